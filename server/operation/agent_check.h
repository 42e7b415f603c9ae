/* agent_check.h -- the port on which HAProxy's agent checks ask for the health and the weight of this server.
 *
 *     connection --> health.h --> one line --> closed
 *
 *     line                   when
 *     maint                  load-balancer-state maint
 *     down #REASON           commands that read are not served; with load-balancer-state drain: "drain down #REASON"
 *     up drain               load-balancer-state drain
 *     up ready WEIGHT%       else
 *
 * HAProxy changes only what a line names, and only the agent may take back what the agent said. So a server that is up
 * always gets both words: "up" ends "down", "ready" ends "drain" and "maint". HAProxy needs the blank before '#': it
 * takes "down#reason", which its documentation suggests, for an unknown word, and leaves the server up.
 *
 * The weight of a master is 100. That of a replica is the lower one of two, each of which is 100 up to its limit, then
 * inversely proportional, and at least 1 (0 would mean drain):
 *
 *     100 * limit / lag        lag: bytes of the stream that are here and not applied; limit: agent-check-lag
 *     100 * limit / silence    silence: since the master was heard; limit: twice repl-ping-replica-period
 *
 *     100 |-------.                      So a replica that lags twice as far as is allowed gets half as many clients, and
 *      50 |        `.                    one that lags a hundred times as far gets 1 %. agent-check-lag 0: lag does not
 *       1 |__________`-----.______       count.
 *         0       L   2L       100L
 *
 * Limits:   of each event of the loop, 50 connections are answered. Nothing is kept of a connection.
 * Not here: roles. A balancer that looks for the master checks http-port for /primary, or INFO replication. */
#ifndef LOCKSTEP_SERVER_OPERATION_AGENT_CHECK_H
#define LOCKSTEP_SERVER_OPERATION_AGENT_CHECK_H

#include "server/operation/health.h"

struct core;
struct listening;
struct agent_check; /* opaque */

/* Adds its kind to `l`, which is freed first. */
struct agent_check *agent_check_new(const struct server *s, const struct core *core, struct listening *l);
void agent_check_free(struct agent_check *ac);

/* The limits of lag and silence from which on the weight falls; 0: it does not. */
struct agent_limits {
    uint64_t lag_bytes, silent_ms;
};
int agent_check_weight(const struct health *h, const struct agent_limits *limits);
/* Appends the line. */
void agent_check_line(const struct health *h, const struct agent_limits *limits, struct bytes_buf *out);

#endif
