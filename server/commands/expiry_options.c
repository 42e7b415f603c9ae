#include "server/commands/expiry_options.h"

#include "replication/replication.h"
#include "server/core/core.h"
#include "storage/base/checked.h"

struct expiry_word {
    const char *word;
    bool seconds, absolute;
};

static const struct expiry_word *find_expiry_word(const struct cmd_ctx *ctx, int arg)
{
    static const struct expiry_word words[] = {
        {"ex", true, false}, {"px", false, false}, {"exat", true, true}, {"pxat", false, true}};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (ctx_arg_is(ctx, arg, words[i].word)) return &words[i];
    return NULL;
}

static bool take_flag(const struct cmd_ctx *ctx, int arg, enum set_options_of command, struct set_options *o)
{
    bool set = command == SET_OPTIONS_SET;
    if (set && ctx_arg_is(ctx, arg, "nx") && !o->xx) return o->nx = true;
    if (set && ctx_arg_is(ctx, arg, "xx") && !o->nx) return o->xx = true;
    if (set && ctx_arg_is(ctx, arg, "get")) return o->get = true;
    if (set && ctx_arg_is(ctx, arg, "keepttl") && !o->has_expiry) return o->keep_ttl = true;
    if (!set && ctx_arg_is(ctx, arg, "persist") && !o->has_expiry) return o->persist = true;
    return false;
}

bool parse_set_options(struct cmd_ctx *ctx, int arg, enum set_options_of command, struct set_options *out)
{
    *out = (struct set_options){0};
    for (; arg < ctx->argc; arg++) {
        const struct expiry_word *word = find_expiry_word(ctx, arg);
        if (word == NULL) {
            if (take_flag(ctx, arg, command, out)) continue;
        } else if (!out->has_expiry && !out->keep_ttl && !out->persist && arg + 1 < ctx->argc) {
            out->has_expiry = true;
            out->expiry_in_seconds = word->seconds;
            out->expiry_is_absolute = word->absolute;
            out->expiry_arg = ++arg;
            continue;
        }
        ctx_error_syntax(ctx);
        return false;
    }
    return true;
}

bool expiry_to_ms(int64_t value, bool seconds, int64_t base_ms, int64_t *at_ms)
{
    if (seconds && mul_overflow(value, 1000, &value)) return false;
    return !add_overflow(value, base_ms, at_ms);
}

bool set_options_expiry(struct cmd_ctx *ctx, const struct set_options *options, int64_t *at_ms)
{
    int64_t value, base = options->expiry_is_absolute ? 0 : ctx_now_ms(ctx);
    if (!ctx_arg_i64(ctx, options->expiry_arg, &value)) return false;
    if (value > 0 && expiry_to_ms(value, options->expiry_in_seconds, base, at_ms)) return true;
    reply_errorf(ctx->reply, "ERR invalid expire time in '%s' command", ctx->command->name);
    return false;
}

bool expiry_is_past(const struct cmd_ctx *ctx, int64_t at_ms)
{
    return at_ms <= ctx_now_ms(ctx) && !ctx_is_replayed(ctx) && !ctx->core->modes.loading &&
           repl_role(ctx->core->repl) == REPL_MASTER;
}

void expire_at_once(struct cmd_ctx *ctx, struct keyref key)
{
    bool lazy = ctx->settings->memory.lazyfree_lazy_expire;
    keyspace_delete(ctx->db, key, lazy);
    ctx_changed(ctx, key, NOTIFY_GENERIC, "del", 1);
    ctx_replicate(ctx, lazy ? BYTES_LIT("UNLINK") : BYTES_LIT("DEL"), key.name);
}
