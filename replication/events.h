/* events.h -- the last events of replication: what happened to the role, to the links and to the synchronizations, and why.
 *
 * LOCKSTEP HISTORY shows them. They are a memory of one process, bounded, and lost with it; the log file has more words
 * and lasts longer.
 * Invariants: the list holds the last REPL_EVENTS_MAX events in the order in which they happened.
 * Ownership:  an event is copied, and its texts are cut to their arrays.
 * Not here:   what an administrator should do about them (server/operation/replication_advice.h). */
#ifndef LOCKSTEP_REPLICATION_EVENTS_H
#define LOCKSTEP_REPLICATION_EVENTS_H

#include <stddef.h>
#include <stdint.h>

enum { REPL_EVENTS_MAX = 256, REPL_PEER_MAX = 272 /* a host of REPL_HOST_MAX bytes, and its port */ };

enum repl_event_kind {
    REPL_EVENT_MASTER,       /* this server became a master */
    REPL_EVENT_REPLICA,      /* this server became a replica, or the replica of another master: `peer` */
    REPL_EVENT_LINK_UP,      /* the stream of our master begins; bytes: of its snapshot, 0 after a partial one */
    REPL_EVENT_LINK_DOWN,    /* the link to our master was lost, or an attempt failed; duration: it was up */
    REPL_EVENT_PARTIAL,      /* a replica resumed; bytes: what it lacked */
    REPL_EVENT_FULL,         /* a replica gets a full synchronization; cause: why it is not a partial one;
                                bytes: what it lacked, if only the backlog was too short */
    REPL_EVENT_SYNCHRONIZED, /* a replica has acknowledged all that there was at its PSYNC; duration: since that */
    REPL_EVENT_REFUSED,      /* a replica was refused */
    REPL_EVENT_DISCONNECTED, /* we disconnect a replica */
    REPL_EVENT_GONE,         /* a replica is gone; duration: it was attached */
    REPL_EVENT_HISTORY,      /* the history ended: the id changed, and no server can continue the old one */
    REPL_EVENT_FAILOVER,     /* handing over begins (peer: the target, if one was named), or is over; duration: of it */
    REPL_EVENT_KINDS,
};

struct repl_event {
    int64_t at_ms; /* wall clock */
    enum repl_event_kind kind;
    char id[41]; /* of the history, and the offset in it, after the event */
    uint64_t offset;
    char peer[REPL_PEER_MAX]; /* "host:port" of master or replica; "": none */
    char cause[160];
    uint64_t bytes;      /* 0: none */
    int64_t duration_ms; /* -1: none */
};

struct repl_events { /* zeros: none */
    struct repl_event *ring;
    size_t room, count, next;
    uint64_t total; /* ever */
};

void repl_events_release(struct repl_events *e);
/* The caller fills in what it knows. The pointer is valid until the next call. */
struct repl_event *repl_events_add(struct repl_events *e);
/* i: 0 for the newest. NULL: there are not so many. */
const struct repl_event *repl_events_get(const struct repl_events *e, size_t i);
const char *repl_event_name(enum repl_event_kind kind); /* "link-up" */

/* --- advice --- */
struct repl_findings {
    uint64_t backlog_bytes;            /* the largest backlog that would have spared a full synchronization; 0: none */
    size_t backlog_times;              /* how many of them */
    size_t over_limit;                 /* replicas disconnected for their output limit */
    size_t flapping;                   /* most often that one replica was lost */
    char flapping_peer[REPL_PEER_MAX]; /* "": none was lost more than twice */
    size_t refused;                    /* replicas refused */
    size_t lost_master;                /* how often the link to our master was lost */
    const char *lost_because;          /* cause of the last loss, or NULL */
};
void repl_events_find(const struct repl_events *e, struct repl_findings *out);

#endif
