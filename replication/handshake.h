/* handshake.h -- what a replica says to its master before the data flows, and what it makes of the answers.
 *
 *     PING -> [AUTH] REPLCONF listening-port [ip-address] capa version (sent together) -> PSYNC | SYNC -> the verdict
 *
 * Pure: a line comes in, bytes to send and a verdict come out. Connections, timeouts and what follows are the caller's.
 * Invariants: nothing the master says is trusted: a line that fits nowhere ends the handshake (P14), and only a
 *             well-formed answer to a PSYNC that was sent leads to a synchronization. */
#ifndef LOCKSTEP_REPLICATION_HANDSHAKE_H
#define LOCKSTEP_REPLICATION_HANDSHAKE_H

#include "storage/base/bytes.h"

/* The capability of reading RDB version 12. Redis does not know the word and ignores it. */
#define REPL_CAPA_FIELD_TIMES "field-times"

enum { HANDSHAKE_LINE_MAX = 1024, HANDSHAKE_ID_LEN = 40 };

struct handshake_options {   /* borrowed until handshake_begin() returns or the verdict HANDSHAKE_ASK_PSYNC was acted on
                              */
    const char *user;        /* or NULL */
    const char *password;    /* or NULL: no AUTH */
    int port;                /* we listen on, or announce */
    const char *announce_ip; /* or NULL */
    const char *version;
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
    HANDSHAKE_ASK_PSYNC, /* call handshake_psync() with where we are */
    HANDSHAKE_FULL,      /* a snapshot of id and position follows */
    HANDSHAKE_CONTINUE,  /* the stream goes on; `id` is its id if has_id */
    HANDSHAKE_OLD,       /* knows no PSYNC: SYNC was put into `out`, a snapshot without a position follows */
    HANDSHAKE_LATER,     /* not now, see `error`: try again with a new connection */
};

struct handshake {
    enum handshake_step step;
    unsigned due; /* steps whose replies are still to come, as bits */
    bool asked_by_id;
    bool has_id;
    char id[HANDSHAKE_ID_LEN + 1];
    uint64_t position;
    char error[256];
};

void handshake_begin(struct handshake *h, struct bytes_buf *out);
/* One line without its end. `options` are looked at when the PING was answered. */
enum handshake_verdict handshake_line(struct handshake *h, struct bytes_view line,
                                      const struct handshake_options *options, struct bytes_buf *out);
/* id NULL: a full synchronization is asked for. position: how much of that history we have. */
void handshake_psync(struct handshake *h, const char *id, uint64_t position, struct bytes_buf *out);

#endif
