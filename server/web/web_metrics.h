/* web_metrics.h -- the route /metrics: the state of the server and of the HTTP port as text for Prometheus.
 *
 * The text is made at most once a second (operation/metrics.h). What this module adds are the counts of the HTTP port. */
#ifndef LOCKSTEP_SERVER_WEB_WEB_METRICS_H
#define LOCKSTEP_SERVER_WEB_WEB_METRICS_H

struct metrics;
struct web;

void web_metrics_add(struct web *w, struct metrics *m);

#endif
