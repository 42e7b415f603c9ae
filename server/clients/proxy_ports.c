#include "server/clients/proxy_ports.h"

#include "server/clients/clients.h"
#include "server/clients/listening.h"
#include "storage/base/log.h"
#include "storage/base/memory.h"

enum {
    ACCEPTS_PER_EVENT = 50, /* half a millisecond */
    LOG_INTERVAL_US = 1000 * 1000,
};

/* A line of the log that strangers could cause as often as they like. */
struct rare_line {
    int64_t next_us;   /* not logged before then */
    uint64_t left_out; /* since it was logged */
};

struct layer {
    struct proxy_ports *pp;
    struct listening_kind kind;
    const struct listening_kind *inner; /* what connections go on as, behind the header */
};

struct proxy_ports {
    struct clients *clients;
    struct proxy_transport *transport;
    struct layer plain, tls;
    uint64_t untrusted;
    struct rare_line untrusted_line, failed_line;
};

/* ---- The log ---- */

/* Whether to log the line now; then *left_out is how often it was not since the last time. */
static bool may_log(const struct proxy_ports *pp, struct rare_line *line, uint64_t *left_out)
{
    int64_t now_us = sys_mono_us(pp->clients->core->sys);
    if (now_us < line->next_us) {
        line->left_out++;
        return false;
    }
    *left_out = line->left_out;
    *line = (struct rare_line){.next_us = now_us + LOG_INTERVAL_US};
    return true;
}

static void log_untrusted(struct proxy_ports *pp, const struct conn *conn)
{
    uint64_t left_out;
    if (!may_log(pp, &pp->untrusted_line, &left_out)) return;
    log_warning(pp->clients->core->log,
                "Refused a connection from %s to a port of the PROXY protocol: its address is not in "
                "proxy-protocol-trusted (%llu more since the last such line)",
                conn_peer_name(conn), (unsigned long long)left_out);
}

/* A check that only connects and closes is no trouble. */
static void on_failed(void *ctx, struct conn *conn, size_t got, const char *text)
{
    struct proxy_ports *pp = ctx;
    uint64_t left_out;
    if (got == 0 || !may_log(pp, &pp->failed_line, &left_out)) {
        log_verbose(pp->clients->core->log, "No header of the PROXY protocol from %s: %s", conn_peer_name(conn), text);
        return;
    }
    log_warning(pp->clients->core->log,
                "Bad header of the PROXY protocol from %s: %s (%llu more since the last such line)",
                conn_peer_name(conn), text, (unsigned long long)left_out);
}

/* ---- Connections ---- */

static void after_header(void *ctx, struct conn *conn)
{
    const struct layer *layer = ctx;
    layer->inner->on_accept(layer->inner->ctx, conn);
}

static bool is_trusted(const struct proxy_ports *pp, const struct conn *conn)
{
    const struct settings_ranges *trusted = &pp->clients->core->settings->net.proxy_trusted;
    return ip_range_any_has(trusted->ranges, (size_t)trusted->count, conn_peer_ip(conn));
}

static void accept_proxy(void *ctx, struct conn *conn)
{
    struct layer *layer = ctx;
    struct proxy_ports *pp = layer->pp;
    if (is_trusted(pp, conn)) {
        conn_proxy_accept(pp->transport, conn, after_header, layer);
        return;
    }
    pp->untrusted++;
    pp->clients->core->stats.connections_rejected++;
    log_untrusted(pp, conn);
    conn_close(conn);
}

static void read_now(void *ctx)
{
    const struct layer *layer = ctx;
    proxy_transport_read_now(layer->pp->transport);
}

/* ---- Life ---- */

/* Without run_now(), which serves both kinds and is to be called once. */
static void add_layer(struct proxy_ports *pp, struct listening *l, struct layer *layer, const char *name,
                      const int *port, const struct listening_kind *inner)
{
    layer->pp = pp;
    layer->inner = inner;
    layer->kind = (struct listening_kind){.name = name,
                                          .bind = &pp->clients->core->settings->net.bind,
                                          .port = port,
                                          .for_clients = true,
                                          .on_accept = accept_proxy,
                                          .accepts_per_event = ACCEPTS_PER_EVENT,
                                          .ctx = layer};
    listening_add(l, &layer->kind);
}

struct proxy_ports *proxy_ports_new(struct clients *cs, struct listening *l)
{
    struct proxy_ports *pp = mem_calloc(sizeof(*pp));
    const struct settings_net *net = &cs->core->settings->net;
    pp->clients = cs;
    pp->transport = proxy_transport_new(cs->core->loop, PROXY_WAIT_MS, on_failed, pp);
    add_layer(pp, l, &pp->plain, "proxy-protocol", &net->proxy_port, listening_tcp(l));
    add_layer(pp, l, &pp->tls, "proxy-protocol-tls", &net->proxy_tls_port, listening_tls(l));
    pp->plain.kind.run_now = read_now;
    return pp;
}

void proxy_ports_free(struct proxy_ports *pp)
{
    if (pp == NULL) return;
    proxy_transport_free(pp->transport);
    mem_free(pp);
}

bool proxy_ports_are_on(const struct proxy_ports *pp)
{
    const struct settings_net *net = &pp->clients->core->settings->net;
    return net->proxy_port != 0 || net->proxy_tls_port != 0;
}

void proxy_ports_describe(const struct proxy_ports *pp, struct proxy_ports_info *out)
{
    *out = (struct proxy_ports_info){.untrusted = pp->untrusted};
    proxy_transport_stats(pp->transport, &out->headers);
}
