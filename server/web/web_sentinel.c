#include "server/web/web_sentinel.h"

#include <stdio.h>

#include "server/operation/metrics_text.h"
#include "server/sentinel/sentinel_room.h"
#include "server/web/web.h"
#include "storage/base/json.h"
#include "storage/base/memory.h"

static const struct sentinel *library(const void *ctx)
{
    return sentinel_room_library(ctx);
}

/* ---- Health ---- */

static void live(void *ctx, const struct web_request *request, struct web_reply *reply)
{
    (void)ctx, (void)request;
    web_reply_line(reply, 200, "live");
}

static void ready(void *ctx, const struct web_request *request, struct web_reply *reply)
{
    int64_t since_s;
    (void)request;
    if (sentinel_in_tilt(library(ctx), &since_s))
        web_reply_line(reply, 503, "not ready: this sentinel stood still, and decides nothing for a while (TILT)");
    else
        web_reply_line(reply, 200, "ready");
}

/* ---- JSON ---- */

static void append_text(struct bytes_buf *out, const char *text)
{
    bytes_buf_append(out, "\"", 1);
    json_append_escaped(out, bytes_str(text));
    bytes_buf_append(out, "\"", 1);
}

static void append_field(void *ctx, const char *name, const char *value)
{
    struct bytes_buf *out = ctx;
    bytes_buf_append(out, out->data[out->len - 1] == '{' ? "" : ",", out->data[out->len - 1] != '{');
    append_text(out, name);
    bytes_buf_append(out, ":", 1);
    append_text(out, value);
}

/* The object is left open, for more members. */
static void begin_node(const struct sentinel *s, const struct sentinel_node *node, struct bytes_buf *out)
{
    bytes_buf_append(out, "{", 1);
    sentinel_describe(s, node, &(struct sentinel_field_out){.ctx = out, .field = append_field});
}

typedef struct sentinel_node *next_node_fn(const struct sentinel_node *master, const struct sentinel_node *after);

static void append_nodes(const struct sentinel *s, const struct sentinel_node *master, const char *name,
                         next_node_fn *next, struct bytes_buf *out)
{
    bytes_buf_printf(out, ",\"%s\":[", name);
    bool first = true;
    for (const struct sentinel_node *n = NULL; (n = next(master, n)) != NULL; first = false) {
        if (!first) bytes_buf_append(out, ",", 1);
        begin_node(s, n, out);
        bytes_buf_append(out, "}", 1);
    }
    bytes_buf_append(out, "]", 1);
}

static void masters(void *ctx, const struct web_request *request, struct web_reply *reply)
{
    const struct sentinel *s = library(ctx);
    bool first = true;
    (void)request;
    reply->type = "application/json";
    bytes_buf_append(&reply->body, "[", 1);
    for (const struct sentinel_node *m = NULL; (m = sentinel_next_master(s, m)) != NULL; first = false) {
        if (!first) bytes_buf_append(&reply->body, ",", 1);
        begin_node(s, m, &reply->body);
        bytes_buf_append(&reply->body, "}", 1);
    }
    bytes_buf_append(&reply->body, "]\n", 2);
}

/* Names of masters may be anything that fits a URL without escapes, which are not decoded. */
static const struct sentinel_node *named_master(const struct sentinel *s, struct bytes_view query)
{
    struct bytes_view name, value;
    if (!web_query_next(&query, &name, &value) || !bytes_equal(name, BYTES_LIT("name")) || query.len > 0) return NULL;
    char *text = bytes_to_cstr(value);
    const struct sentinel_node *master = sentinel_find_master(s, text);
    mem_free(text);
    return master;
}

static void master(void *ctx, const struct web_request *request, struct web_reply *reply)
{
    const struct sentinel *s = library(ctx);
    const struct sentinel_node *m = named_master(s, request->query);
    if (m == NULL) {
        web_reply_line(reply, 404, "no master of this name: /master?name=NAME");
        return;
    }
    reply->type = "application/json";
    begin_node(s, m, &reply->body);
    append_nodes(s, m, "replicas", sentinel_next_replica, &reply->body);
    append_nodes(s, m, "sentinels", sentinel_next_peer, &reply->body);
    bytes_buf_append(&reply->body, "}\n", 2);
}

/* ---- Metrics ---- */

static void write_gauge(struct bytes_buf *out, const char *name, const char *help, int64_t value)
{
    metrics_family(out, name, METRICS_GAUGE, help);
    metrics_number(out, name, METRICS_NO_LABELS, value);
}

static void label_master(const struct sentinel_node *m, struct bytes_buf *labels)
{
    char address[SENTINEL_HOST_MAX + 16];
    const char *host;
    int port;
    sentinel_master_address(m, &host, &port);
    int len = snprintf(address, sizeof(address), "%s:%d", host, port);
    labels->len = 0;
    metrics_label(labels, "master_name", bytes_str(sentinel_node_name(m)));
    metrics_label(labels, "master_address", bytes_view(address, (size_t)len));
}

static int64_t count_replicas(const struct sentinel_node *m)
{
    return (int64_t)sentinel_replica_count(m);
}
static int64_t count_sentinels(const struct sentinel_node *m)
{
    return (int64_t)sentinel_peer_count(m) + 1;
}

static void write_per_master(const struct sentinel *s, const char *name, const char *help,
                             int64_t (*value)(const struct sentinel_node *m), struct bytes_buf *out)
{
    struct bytes_buf labels = {NULL, 0, 0};
    metrics_family(out, name, METRICS_GAUGE, help);
    for (const struct sentinel_node *m = NULL; (m = sentinel_next_master(s, m)) != NULL;) {
        label_master(m, &labels);
        metrics_number(out, name, bytes_buf_view(&labels), value(m));
    }
    bytes_buf_release(&labels);
}

static void write_status(const struct sentinel *s, struct bytes_buf *out)
{
    static const char name[] = "redis_sentinel_master_status";
    struct bytes_buf labels = {NULL, 0, 0};
    metrics_family(out, name, METRICS_GAUGE, "1, with the status of the master as a label: ok, sdown or odown.");
    for (const struct sentinel_node *m = NULL; (m = sentinel_next_master(s, m)) != NULL;) {
        label_master(m, &labels);
        metrics_label(&labels, "master_status", bytes_str(sentinel_master_status(m)));
        metrics_number(out, name, bytes_buf_view(&labels), 1);
    }
    bytes_buf_release(&labels);
}

static void metrics(void *ctx, const struct web_request *request, struct web_reply *reply)
{
    const struct sentinel *s = library(ctx);
    const struct sentinel_scripts *scripts = sentinel_room_scripts(ctx);
    struct bytes_buf *out = &reply->body;
    int64_t since_s;
    (void)request;
    reply->type = "text/plain; version=0.0.4; charset=utf-8";
    write_gauge(out, "redis_up", "Always 1: a sentinel that is down answers nothing.", 1);
    write_gauge(out, "redis_sentinel_masters", "Masters that are watched.", (int64_t)sentinel_master_count(s));
    write_gauge(out, "redis_sentinel_tilt", "1 while this sentinel decides nothing, because it stood still.",
                sentinel_in_tilt(s, &since_s));
    write_gauge(out, "redis_sentinel_running_scripts", "Scripts that run.", (int64_t)sentinel_scripts_running(scripts));
    write_gauge(out, "redis_sentinel_scripts_queue_length", "Scripts that run or wait.",
                (int64_t)sentinel_scripts_count(scripts));
    write_gauge(out, "lockstep_sentinel_epoch", "The latest epoch that this sentinel has heard of.",
                (int64_t)sentinel_epoch(s));
    write_status(s, out);
    write_per_master(s, "redis_sentinel_master_slaves", "Replicas of the master.", count_replicas, out);
    write_per_master(s, "redis_sentinel_master_sentinels", "Sentinels that watch the master.", count_sentinels, out);
}

void web_sentinel_add(struct web *w, struct sentinel_room *room)
{
    web_add(w, &(struct web_route){.path = "/live", .group = HTTP_GROUP_HEALTH, .handle = live, .ctx = room});
    web_add(w, &(struct web_route){.path = "/ready", .group = HTTP_GROUP_HEALTH, .handle = ready, .ctx = room});
    web_add(w, &(struct web_route){.path = "/masters", .group = HTTP_GROUP_PAGE, .handle = masters, .ctx = room});
    web_add(w, &(struct web_route){.path = "/master", .group = HTTP_GROUP_PAGE, .handle = master, .ctx = room});
    web_add(w, &(struct web_route){.path = "/metrics", .group = HTTP_GROUP_METRICS, .handle = metrics, .ctx = room});
}
