#include "server/web/web_health.h"

#include <inttypes.h>

#include "server/operation/health.h"
#include "server/web/web.h"
#include "storage/base/num.h"

static bool has_no_query(const struct web_request *request, struct web_reply *reply)
{
    if (request->query.len == 0) return true;
    web_reply_line(reply, 400, "bad request: this path has no parameters");
    return false;
}

static void live(void *ctx, const struct web_request *request, struct web_reply *reply)
{
    (void)ctx;
    if (has_no_query(request, reply)) web_reply_line(reply, 200, "live");
}

static void ready(void *ctx, const struct web_request *request, struct web_reply *reply)
{
    struct health h;
    if (!has_no_query(request, reply)) return;
    health_ask(ctx, &h);
    if (!health_is_ready(&h))
        web_reply_line(reply, 503, "not ready: %s", h.text);
    else if (h.reason == HEALTH_OK)
        web_reply_line(reply, 200, "ready");
    else
        web_reply_line(reply, 200, "ready: %s", h.text); /* reads are served */
}

static void primary(void *ctx, const struct web_request *request, struct web_reply *reply)
{
    struct health h;
    if (!has_no_query(request, reply)) return;
    health_ask(ctx, &h);
    if (health_is_primary(&h))
        web_reply_line(reply, 200, "primary");
    else if (h.role == REPL_REPLICA)
        web_reply_line(reply, 503, "not primary: this is a replica");
    else
        web_reply_line(reply, 503, "not primary: %s", h.text);
}

/* ---- /replica ---- */

struct bounds {
    uint64_t lag_bytes;
    uint64_t silent_ms;
};

static bool parse_bounds(struct bytes_view query, struct bounds *out, struct web_reply *reply)
{
    struct bytes_view name, value;
    *out = (struct bounds){UINT64_MAX, UINT64_MAX};
    while (web_query_next(&query, &name, &value)) {
        uint64_t *bound = bytes_equal(name, BYTES_LIT("max-lag-bytes"))   ? &out->lag_bytes
                          : bytes_equal(name, BYTES_LIT("max-silent-ms")) ? &out->silent_ms
                                                                          : NULL;
        if (bound != NULL && num_parse_u64(value, bound)) continue;
        web_reply_line(reply, 400, "bad request: the parameters are max-lag-bytes=NUMBER and max-silent-ms=NUMBER");
        return false;
    }
    return true;
}

static void replica(void *ctx, const struct web_request *request, struct web_reply *reply)
{
    struct health h;
    struct bounds bounds;
    if (!parse_bounds(request->query, &bounds, reply)) return;
    health_ask(ctx, &h);
    uint64_t lag = h.freshness.lag_bytes, silent = h.freshness.silent_ms > 0 ? (uint64_t)h.freshness.silent_ms : 0;
    if (h.role != REPL_REPLICA)
        web_reply_line(reply, 503, "not replica: this is a master");
    else if (!health_is_replica(&h))
        web_reply_line(reply, 503, "not replica: %s", h.text);
    else if (lag > bounds.lag_bytes)
        web_reply_line(reply, 503, "not replica: it lags %" PRIu64 " bytes behind", lag);
    else if (silent > bounds.silent_ms)
        web_reply_line(reply, 503, "not replica: the master is silent for %" PRIu64 " ms", silent);
    else
        web_reply_line(reply, 200, "replica: lag %" PRIu64 " bytes, master heard %" PRIu64 " ms ago", lag, silent);
}

void web_health_add(struct web *w, struct server *s)
{
    web_add(w, &(struct web_route){.path = "/live", .group = HTTP_GROUP_HEALTH, .handle = live});
    web_add(w, &(struct web_route){.path = "/ready", .group = HTTP_GROUP_HEALTH, .handle = ready, .ctx = s});
    web_add(w, &(struct web_route){.path = "/primary", .group = HTTP_GROUP_HEALTH, .handle = primary, .ctx = s});
    web_add(w, &(struct web_route){.path = "/replica", .group = HTTP_GROUP_HEALTH, .handle = replica, .ctx = s});
}
