/* web_sentinel.h -- the HTTP port of a sentinel: /live, /ready, /masters, /master?name=NAME, /metrics.
 *
 *     /masters             JSON: an array with an object for each master, as SENTINEL MASTERS has them
 *     /master?name=NAME    JSON: one master, with its replicas and the other sentinels
 *     /metrics             the names of the Prometheus exporter for Redis: redis_sentinel_...
 *
 * A sentinel is neither primary nor replica, and has no data: it has no other paths. */
#ifndef LOCKSTEP_SERVER_WEB_WEB_SENTINEL_H
#define LOCKSTEP_SERVER_WEB_WEB_SENTINEL_H

struct sentinel_room;
struct web;

void web_sentinel_add(struct web *w, struct sentinel_room *room);

#endif
