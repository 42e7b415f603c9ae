/* web_access.h -- who may ask for what on the HTTP port: hosts, origins, users and permissions.
 *
 *     Host, Origin, Sec-Fetch-* --> the group of the route is public --> a user --> the user's permission --> answered
 *        | of another site             (http-public): answered         | none, or    | missing: 403
 *        `--> 403                                                      `--> 401
 *
 *   1. A page of another site must not read what a browser inside the network can: the name in Host must be an address,
 *      "localhost" or one of http-hosts (a name of the attacker may lead here: DNS rebinding), and an Origin must be this
 *      server. There are no CORS fields.
 *   2. The user is the one of Authorization: Basic, else of the client's certificate (tls-auth-clients-user), else the
 *      user "default" if it needs no password and protected mode does not object.
 *   3. A group needs the permission of its name: +http|health, +http|metrics, +http|page, or +@http for all.
 *   4. A wrong password is compared in constant time, counted and logged as one of AUTH (ACL LOG), and answered
 *      WEB_ACCESS_DELAY_MS later.
 * Not here:  which route belongs to which group (web.h). */
#ifndef LOCKSTEP_SERVER_WEB_WEB_ACCESS_H
#define LOCKSTEP_SERVER_WEB_WEB_ACCESS_H

#include "server/config/settings.h"
#include "server/web/web_reply.h"
#include "server/web/web_request.h"

struct clients;
struct conn;

enum { WEB_ACCESS_DELAY_MS = 1000 };

/* False: it is refused, and *reply says why. */
bool web_access_permits(struct clients *cs, const struct conn *conn, const struct web_request *request,
                        enum settings_http_group group, struct web_reply *reply);

#endif
