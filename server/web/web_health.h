/* web_health.h -- the routes that health checks ask: /live, /ready, /primary and /replica.
 *
 *     /live       200 while the loop turns
 *     /ready      200 if the node serves reads; else 503
 *     /primary    200 if it is a master that takes writes; else 503
 *     /replica    200 if it is a replica whose data are up to date within the bounds of the query; else 503
 *
 * The answer is one line of text, with the reason. operation/health.h says what is behind it. A parameter that is unknown
 * or malformed gets 400: a bound that is not kept would be worse than none. */
#ifndef LOCKSTEP_SERVER_WEB_WEB_HEALTH_H
#define LOCKSTEP_SERVER_WEB_WEB_HEALTH_H

struct server;
struct web;

void web_health_add(struct web *w, struct server *s);

#endif
