#include "server/web/web_metrics.h"

#include "server/operation/metrics.h"
#include "server/operation/metrics_text.h"
#include "server/web/web.h"

static void write_gauge(struct bytes_buf *out, const char *name, const char *help, size_t value)
{
    metrics_family(out, name, METRICS_GAUGE, help);
    metrics_number(out, name, METRICS_NO_LABELS, (int64_t)value);
}

static void write_counter(struct bytes_buf *out, const char *name, const char *help, uint64_t value)
{
    metrics_family(out, name, METRICS_COUNTER, help);
    metrics_number(out, name, METRICS_NO_LABELS, (int64_t)value);
}

static void write_port(void *ctx, struct bytes_buf *out)
{
    struct http_stats st;
    web_get_stats(ctx, &st);
    write_gauge(out, "lockstep_http_connections", "Connections of the HTTP port.", st.connections);
    write_counter(out, "lockstep_http_connections_accepted_total", "Connections that the HTTP port has accepted.",
                  st.accepted);
    write_counter(out, "lockstep_http_connections_displaced_total",
                  "Connections of the HTTP port that were closed to make room for another one.", st.displaced);
    write_counter(out, "lockstep_http_requests_total", "Requests that the HTTP port has answered.", st.requests);
    write_counter(out, "lockstep_http_request_errors_total",
                  "Requests of the HTTP port that were malformed, too long or too late.", st.errors);
}

static void answer(void *ctx, const struct web_request *request, struct web_reply *reply)
{
    (void)request;
    reply->type = "text/plain; version=0.0.4; charset=utf-8";
    bytes_buf_append_view(&reply->body, metrics_text(ctx));
}

void web_metrics_add(struct web *w, struct metrics *m)
{
    metrics_add(m, write_port, w);
    web_add(w, &(struct web_route){.path = "/metrics", .group = HTTP_GROUP_METRICS, .handle = answer, .ctx = m});
}
