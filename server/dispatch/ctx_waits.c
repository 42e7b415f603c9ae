#include "server/dispatch/ctx_waits.h"

#include <math.h>

#include "server/core/core.h"
#include "storage/base/checked.h"
#include "storage/base/num.h"

bool ctx_wait_for_keys(struct cmd_ctx *ctx, const struct key_wait_for *what)
{
    struct client *c = ctx->client;
    struct key_wait_for wait = *what;
    if (c->conn == NULL || exec_is_nested(&ctx->core->exec)) return false;
    ctx->waits = true;
    if (client_has(c, CLIENT_BLOCKED)) return true; /* this was another run: the client keeps its place */
    if (wait.argv == NULL) wait.argv = ctx->argv;
    key_waits_block(c, &wait, ctx->slot, ctx->argc);
    return true;
}

/* Rounds up: a fraction of a millisecond must not become 0, which means no timeout. */
static bool parse_seconds(struct cmd_ctx *ctx, int arg, int64_t *timeout_ms)
{
    long double seconds;
    if (!num_parse_long_double(ctx->argv[arg], &seconds) || isnan(seconds)) {
        reply_error(ctx->reply, "ERR timeout is not a float or out of range");
        return false;
    }
    long double ms = ceill(seconds * 1000);
    if (ms > (long double)INT64_MAX) {
        reply_error(ctx->reply, "ERR timeout is out of range");
        return false;
    }
    *timeout_ms = ms < (long double)INT64_MIN ? INT64_MIN : (int64_t)ms;
    return true;
}

static bool parse_ms(struct cmd_ctx *ctx, int arg, int64_t *timeout_ms)
{
    if (num_parse_i64(ctx->argv[arg], timeout_ms)) return true;
    reply_error(ctx->reply, "ERR timeout is not an integer or out of range");
    return false;
}

bool ctx_arg_timeout(struct cmd_ctx *ctx, int arg, enum timeout_unit unit, int64_t *until_ms)
{
    int64_t timeout_ms = 0;
    if (!(unit == TIMEOUT_SECONDS ? parse_seconds : parse_ms)(ctx, arg, &timeout_ms)) return false;
    if (timeout_ms < 0) {
        reply_error(ctx->reply, "ERR timeout is negative");
        return false;
    }
    *until_ms = 0;
    if (timeout_ms > 0 && add_overflow(ctx->core->clock.mono_ms, timeout_ms, until_ms)) {
        reply_error(ctx->reply, "ERR timeout is out of range");
        return false;
    }
    return true;
}
