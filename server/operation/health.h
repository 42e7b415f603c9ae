/* health.h -- the health of a node as load balancers and monitors see it: role, readiness, reason and lag.
 *
 * A pure question: it changes nothing, runs no command and evicts nothing, and costs a few microseconds. It may be asked
 * at any time of a turn, also while a data set is loaded or a script is busy.
 *
 *     serves_reads     commands of clients that read are run, on a complete data set. On a replica: the stream of the
 *                      master arrives, too, or the data would grow old without a bound
 *     serves_writes    this is a master, and commands of clients that write are run
 *
 * The reason names the first thing in the order of enum health_reason that is not as it should be. What stops reads comes
 * before what stops only writes. The reason of a node without a fault is load-balancer-state, if an operator has set it.
 *
 * Invariants: 1. !serves_reads implies !serves_writes, and each of them has a reason other than HEALTH_OK.
 *             2. health_is_primary() and health_is_replica() are never both true.
 * Not here:   how a protocol says it (web/, agent-check). */
#ifndef LOCKSTEP_SERVER_OPERATION_HEALTH_H
#define LOCKSTEP_SERVER_OPERATION_HEALTH_H

#include "replication/replication.h"
#include "server/config/settings.h"

struct server;

enum health_reason {
    HEALTH_OK = 0,
    /* No reads and no writes: */
    HEALTH_STOPPING, /* SHUTDOWN waits for replicas, or the process ends */
    HEALTH_LOADING,  /* a data set is loaded, and commands get -LOADING */
    HEALTH_BUSY,     /* a script is past busy-reply-threshold, and commands get -BUSY */
    HEALTH_PAUSED,   /* CLIENT PAUSE ALL, or the like */
    HEALTH_NO_DATA,  /* a replica without a complete data set */
    HEALTH_EMPTY,    /* -NOWRITES: a master that came up without the data that it had */
    HEALTH_SYNCING,  /* a replica that receives a new data set; the old one may still be served */
    HEALTH_LINK_DOWN,
    /* A master that takes no writes: */
    HEALTH_FAILOVER,      /* writes are paused until a replica has taken over */
    HEALTH_WRITES_PAUSED, /* CLIENT PAUSE WRITE */
    HEALTH_DISK,          /* -MISCONF: the append-only file or the last background save failed */
    HEALTH_MIN_REPLICAS,  /* -NOREPLICAS */
    HEALTH_MEMORY,        /* -OOM: memory is full, and maxmemory-policy finds nothing to evict */
    /* The operator does not want new connections: */
    HEALTH_DRAIN,
    HEALTH_MAINT,
    HEALTH_REASONS
};

struct health {
    enum repl_role role;
    bool serves_reads, serves_writes;
    int asked;                       /* enum settings_balancer: load-balancer-state */
    enum health_reason reason;       /* the first one, or HEALTH_OK */
    char text[192];                  /* the reason as one line of printable ASCII without '#' */
    struct repl_freshness freshness; /* of a replica; else zero, and silent_ms -1 */
};

void health_ask(const struct server *s, struct health *out);
/* A word for labels: "ok", "loading", "no-data", ... */
const char *health_reason_name(enum health_reason reason);

static inline bool health_is_ready(const struct health *h) /* may get connections of clients that at least read */
{
    return h->serves_reads && h->asked == BALANCER_READY;
}
static inline bool health_is_primary(const struct health *h) /* may get connections of clients that write */
{
    return h->serves_writes && h->asked == BALANCER_READY;
}
static inline bool
health_is_replica(const struct health *h) /* may get connections of clients that read from replicas */
{
    return h->role == REPL_REPLICA && health_is_ready(h);
}

#endif
