/* web.h -- the HTTP port: a table of routes, each a path and a handler that fills an answer from memory.
 *
 *     http-port --> listening.h --> (http-tls: handshake) --> http.h: connections, limits
 *                                                               |  a request
 *                                                               v
 *     web_access.h: may it ask? <-- answer: path in the table? --> handler --> web_reply
 *
 * A handler runs inside the turn of the loop. It runs no command, waits for nothing, and takes microseconds: what costs
 * more is made beforehand, at most once a second, and copied from memory.
 *
 *     path                       group     handler
 *     /live /ready /primary      health    web_health.c
 *     /replica                   health    web_health.c
 *     /metrics                   metrics   web_metrics.c
 *     / /page.css /page.js       page      web_page.c
 *     /status.json               page      web_page.c
 *     /masters /master           page      web_sentinel.c, which a sentinel has in the place of all these
 *     ...                        rows of others: web_add() */
#ifndef LOCKSTEP_SERVER_WEB_WEB_H
#define LOCKSTEP_SERVER_WEB_WEB_H

#include "server/config/settings.h"
#include "server/web/http.h"
#include "server/web/web_reply.h"
#include "server/web/web_request.h"

struct clients;
struct core;
struct listening;
struct tls_transport;
struct web; /* opaque */

enum {
    WEB_ROUTES_MAX = 32,
    WEB_HANDSHAKES_MAX = 64, /* with http-tls: connections that are not open yet */
    WEB_DESCRIPTORS = 224,   /* these, the connections of http.h, and some that are being refused */
};

struct web_route {
    const char *path;               /* "/ready", compared byte by byte */
    enum settings_http_group group; /* who may ask: http-public, or a user with +http|GROUP */
    /* Fills the reply, which is 200 with an empty body before. For HEAD, too: the body is counted and not sent. */
    void (*handle)(void *ctx, const struct web_request *request, struct web_reply *reply);
    void *ctx;
};

/* Adds its kind of listener to `listening`. All are borrowed and outlive it, except for `listening`. */
struct web *web_new(struct clients *cs, struct listening *listening, struct tls_transport *tls);
void web_free(struct web *w);
/* Adds a row to the table. The path is borrowed, and not in the table yet. */
void web_add(struct web *w, const struct web_route *route);
void web_accept(struct web *w, struct conn *conn); /* takes over a connection of the port, after its handshake */
/* At the end of a turn: goes on with connections, within the budget of http.h. True: the next turn must not wait. */
bool web_turn(struct web *w);
void web_get_stats(const struct web *w, struct http_stats *out);

#endif
