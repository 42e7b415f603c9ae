/* handshake.h -- the replica's side of the replication handshake, as a state machine without I/O.
 *
 *     PING -> [AUTH] REPLCONF listening-port [ip-address] capa version (sent together) -> PSYNC | SYNC -> the verdict
 *
 * A line of the master comes in; bytes to send and a verdict come out.
 * Invariants: 1. The master is not trusted: a line that does not fit the step ends the handshake (P14).
 *             2. Only a well-formed answer to a PSYNC that was sent leads to a synchronization.
 * Not here:   connections, timeouts, and the synchronization that follows: following.c. */
#ifndef LOCKSTEP_REPLICATION_HANDSHAKE_H
#define LOCKSTEP_REPLICATION_HANDSHAKE_H

#include "replication/replication.h"
#include "storage/base/bytes.h"
#include "storage/hash_secret.h"

/* The capability to read RDB version 12. Redis does not know this word and ignores it. */
#define REPL_CAPA_FIELD_TIMES "field-times"
/* The capability to take the secret of the key hash with +FULLRESYNC: a third word, which only such replicas get. */
#define REPL_CAPA_VERIFY "lockstep-verify"

/* Not to be made a master by a shutdown: replica-priority is 0. */
#define REPL_CAPA_NOT_MASTER "lockstep-not-master"

/* How a peer that is a master answers a PSYNC that asks it to take over; Redis does so in the same words. */
#define REPL_ERROR_IS_MASTER "-ERR PSYNC FAILOVER can't be sent to a master."

enum { HANDSHAKE_LINE_MAX = 1024, HANDSHAKE_ID_LEN = 40 };

struct handshake_options {   /* read only during handshake_line() */
    const char *user;        /* or NULL */
    const char *password;    /* or NULL: no AUTH */
    int port;                /* the port that we announce */
    const char *announce_ip; /* or NULL */
    const char *version;
    bool not_master; /* announce REPL_CAPA_NOT_MASTER */
};

enum handshake_step {
    HANDSHAKE_PING = 0,
    HANDSHAKE_AUTH,
    HANDSHAKE_PORT,
    HANDSHAKE_IP,
    HANDSHAKE_CAPA,
    HANDSHAKE_VERSION,
    HANDSHAKE_PSYNC,
    HANDSHAKE_OVER,
};

enum handshake_verdict {
    HANDSHAKE_WAIT = 0,  /* send what was appended to `out`, then wait for the next line */
    HANDSHAKE_ASK_PSYNC, /* call handshake_psync() with our id and position */
    HANDSHAKE_FULL,      /* a snapshot follows, of `id` at `position`; its secret is `secret` if has_secret */
    HANDSHAKE_CONTINUE,  /* the stream continues; `id` is its id if has_id */
    HANDSHAKE_OLD,       /* the master has no PSYNC: SYNC was put into `out`, a snapshot without a position follows */
    HANDSHAKE_LATER,     /* the handshake failed, see `error`: try again with a new connection */
    HANDSHAKE_REFUSED,   /* the peer does not take over from us, see `error` */
    HANDSHAKE_IS_MASTER, /* the peer is a master already, so it does not take over: try again, without that */
};

struct handshake {
    enum handshake_step step;
    unsigned due; /* the steps whose replies are outstanding, as bits */
    bool asked_by_id, asked_to_take_over;
    bool master_hands_over; /* the master has answered with REPL_CAPA_PROMOTION */
    bool has_id;
    char id[HANDSHAKE_ID_LEN + 1];
    uint64_t position;
    bool has_secret;
    struct hash_secret secret;
    char error[256];
};

void handshake_begin(struct handshake *h, struct bytes_buf *out);
/* Takes one line, without its line end. `options` are read when the line answers the PING. */
enum handshake_verdict handshake_line(struct handshake *h, struct bytes_view line,
                                      const struct handshake_options *options, struct bytes_buf *out);
/* Asks for the history `id` from `position` on, which is how much of it we have. id NULL asks for a full
 * synchronization. With `how` the peer is our replica, and is to become the master first: it refuses that, with REFUSED or
 * IS_MASTER. */
void handshake_psync(struct handshake *h, const char *id, uint64_t position, enum repl_take_over how,
                     struct bytes_buf *out);

#endif
