#include "server/web/web.h"

#include "server/clients/clients.h"
#include "server/clients/listening.h"
#include "server/net/conn_tls.h"
#include "server/web/web_access.h"
#include "storage/base/assert.h"
#include "storage/base/memory.h"

struct web {
    struct clients *clients;
    struct tls_share *handshakes;
    struct http *http;
    struct listening_kind kind;
    struct web_route routes[WEB_ROUTES_MAX];
    size_t route_count;
};

/* ---- Routes ---- */

static const struct web_route *find(const struct web *w, struct bytes_view path)
{
    for (size_t i = 0; i < w->route_count; i++)
        if (bytes_equal(path, bytes_str(w->routes[i].path))) return &w->routes[i];
    return NULL;
}

/* A path that does not exist is refused as the page is, so that nobody learns from it which paths exist. */
static void answer(void *ctx, const struct conn *conn, const struct web_request *request, struct web_reply *reply)
{
    const struct web *w = ctx;
    const struct web_route *route = find(w, request->path);
    if (!web_access_permits(w->clients, conn, request, route != NULL ? route->group : HTTP_GROUP_PAGE, reply)) return;
    if (route == NULL)
        web_reply_line(reply, 404, "not found");
    else
        route->handle(route->ctx, request, reply);
}

void web_add(struct web *w, const struct web_route *route)
{
    ASSERT(w->route_count < WEB_ROUTES_MAX);
    ASSERT(find(w, bytes_str(route->path)) == NULL);
    w->routes[w->route_count++] = *route;
}

/* ---- Connections ---- */

void web_accept(struct web *w, struct conn *conn)
{
    http_accept(w->http, conn);
}

static void on_accepted(void *ctx, struct conn *conn)
{
    web_accept(ctx, conn);
}

static void accept_any(void *ctx, struct conn *conn)
{
    struct web *w = ctx;
    if (w->clients->core->settings->http.tls)
        conn_tls_accept(w->handshakes, conn, on_accepted, w);
    else
        web_accept(w, conn);
}

static int rest_ms(void *ctx)
{
    const struct web *w = ctx;
    return http_rest_ms(w->http);
}

static void run_now(void *ctx)
{
    const struct web *w = ctx;
    http_run_now(w->http);
}

bool web_turn(struct web *w)
{
    return http_turn(w->http);
}

void web_get_stats(const struct web *w, struct http_stats *out)
{
    http_get_stats(w->http, out);
}

/* ---- Life ---- */

struct web *web_new(struct clients *cs, struct listening *listening, struct tls_transport *tls)
{
    struct web *w = mem_calloc(sizeof(*w));
    const struct settings_http *st = &cs->core->settings->http;
    w->clients = cs;
    w->handshakes = tls_share_new(tls, WEB_HANDSHAKES_MAX);
    w->http = http_new(cs->core, &http_default_limits, answer, w);
    w->kind = (struct listening_kind){.name = "http",
                                      .bind = &st->bind,
                                      .port = &st->port,
                                      .on_accept = accept_any,
                                      .accepts_per_event = HTTP_ACCEPTS,
                                      .rest_ms = rest_ms,
                                      .run_now = run_now,
                                      .ctx = w};
    listening_add(listening, &w->kind);
    return w;
}

void web_free(struct web *w)
{
    if (w == NULL) return;
    http_free(w->http);
    mem_free(w);
}
