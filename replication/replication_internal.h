/* replication_internal.h -- the structs and functions that the files of replication/ share.
 *
 *     replication.c   struct repl: roles, feeding the stream, backlog, identity, the cron
 *     serving.c       replicas: REPLCONF, PSYNC, acknowledgements, sending, limits
 *     full_sync.c     snapshots for replicas: when one starts, which replicas share it, sending it
 *     following.c     the link to our master: states, timeouts, applying the stream
 *     receiving.c     the snapshot from our master: into a file and then, or directly, into the data set
 *     failover.c      handing the role over to a replica
 *     promotion.c     asking our master to do so, when we are promoted
 *     info.c          INFO, ROLE, memory
 * Helpers without I/O have headers of their own: stream.h, identity.h, handshake.h, transfer.h.
 *
 * The states of a replica (of a link to our master: following.c):
 *
 *     HANDSHAKE -+-> WAITING -+-> WAITING_FILE -> RECEIVING -+-> ONLINE               after a file
 *                |            `-> RECEIVING -----------------+-> LOADING -> ONLINE    after a pipe
 *                |                                           `-> RDB_DONE             if it wants no stream
 *                `-> ONLINE                                                           partial resynchronization */
#ifndef LOCKSTEP_REPLICATION_REPLICATION_INTERNAL_H
#define LOCKSTEP_REPLICATION_REPLICATION_INTERNAL_H

#include "replication/events.h"
#include "replication/handshake.h"
#include "replication/identity.h"
#include "replication/lag.h"
#include "replication/replication.h"
#include "replication/stream.h"
#include "replication/transfer.h"
#include "server/net/outbuf.h"
#include "server/net/resp_line.h"
#include "storage/base/memory.h"

/* ---- Serving ---- */

enum replica_state {
    REPLICA_HANDSHAKE = 0, /* no PSYNC yet: still an ordinary client */
    REPLICA_WAITING,       /* needs a snapshot that has not been started */
    REPLICA_WAITING_FILE,  /* its snapshot is being written to a file */
    REPLICA_RECEIVING,     /* the snapshot is being sent to it */
    REPLICA_LOADING,       /* received a snapshot without a length; the stream starts with its first ACK */
    REPLICA_ONLINE,        /* receives the stream */
    REPLICA_RDB_DONE,      /* wanted only the snapshot, and has received it */
};

struct replica {
    struct repl *repl;
    struct conn *conn;
    void *client;
    struct replica *prev, *next; /* the list of attached replicas, in the order of their PSYNC */
    enum replica_state state;
    bool doomed;   /* the host was asked to disconnect it; nothing is written to it any more */
    bool doubtful; /* a later link announced the same address: counts for nothing until it acknowledges again */

    char announced[REPL_HOST_MAX + 1]; /* host of REPLCONF ip-address; "": use the address of the connection */
    char ip[64];                       /* address of the connection */
    int port;                          /* the port it listens on, by REPLCONF listening-port */
    char name[REPL_HOST_MAX + 16];     /* host and port, for the log; "": it has not told its port */
    bool capa_eof;                     /* can receive a snapshot without a length */
    bool capa_psync2;                  /* can receive a new id with +CONTINUE */
    bool capa_field_times;             /* can read RDB version 12 */
    bool capa_verify;                  /* takes the secret of the key hash with +FULLRESYNC */
    bool not_master;                   /* a shutdown does not hand over to it */
    bool rdb_only;                     /* a tool that wants the snapshot and no stream */
    unsigned filter;                /* enum repl_omission: what REPLCONF rdb-filter-only leaves out of its snapshot */
    bool speaks_psync;              /* it sent PSYNC, not SYNC */
    char asked_id[REPL_ID_LEN + 1]; /* PSYNC's id, truncated if it is longer than an id */
    size_t asked_len;
    int64_t asked_offset;
    char error[128];       /* the text of an error reply to REPLCONF, if it is not a constant */
    struct bytes_buf head; /* bytes to send before the snapshot and the stream */
    size_t head_sent;

    struct repl_stream_reader reader; /* its position in the stream */
    uint64_t acked;                   /* position */
    struct lag_samples lags;          /* of its acknowledgements */
    bool has_aof;                     /* it keeps an AOF and has reported `synced` */
    uint64_t synced;                  /* position up to which its AOF is on disk */
    int64_t heard_ms;                 /* when it last sent an ACK or a sign of life */
    int64_t waiting_since_ms;
    int64_t progress_ms; /* when its socket last took bytes of the snapshot */
    int64_t soft_limit_since_ms;
    bool synchronizing; /* it has not acknowledged sync_until yet */
    enum repl_sync_kind sync_kind;
    int64_t sync_began_us; /* when it sent PSYNC */
    const char *why_full;  /* why it could not resume, a constant; NULL: it did, or has not asked */
    uint64_t lacked;       /* how long the backlog should have been, if only that was missing */
    uint64_t sync_until;   /* the end of the stream at that moment */

    struct snapshot_pipe *pipe;         /* RECEIVING through a pipe, else NULL */
    struct repl_stream_reader snapshot; /* its position in the bytes of that pipe */
    int file_fd;                        /* RECEIVING a file, else -1 */
    uint64_t file_left;
    struct bytes_buf file_chunk;
    size_t file_chunk_sent;
};

/* A snapshot that a child writes into a pipe, and the replicas that share it. */
struct snapshot_pipe {
    struct repl *repl;
    unsigned replicas; /* that still receive it */
    unsigned pins;     /* callers that use it across a call that may release it */
    int fd;            /* -1: read to the end, or closed because no more is wanted */
    struct loop_io io;
    struct repl_stream bytes; /* bytes that some replica has not been sent yet */
    bool child_ok;            /* the child ended without error */
    bool complete;            /* the end mark was appended: a replica that reaches the end is done */
    char mark[40];
};

/* The snapshot that is being made, and the start of the next one. */
struct full_sync {
    bool running; /* the host's child lives, or was told to end and has not ended yet */
    bool cancelled;
    enum repl_snapshot_target target;
    unsigned omit;                  /* PIPE: enum repl_omission */
    uint64_t position;              /* position of the snapshot in the stream */
    struct repl_stream_reader hold; /* FILE: keeps the stream from `position` on, so that more replicas can join */
    struct snapshot_pipe *pipe;     /* PIPE: the pipe of the running child */
    struct loop_timer start;        /* starts the next snapshot */
    bool child_in_the_way;          /* the host runs another child */
};

struct serving {
    struct replica *first, *last;
    size_t count;
    struct full_sync sync;
    const char *refusal; /* repl_refuse_replicas() */
};

/* ---- Following ---- */

/* Verifies the header and checksum of an RDB while its bytes arrive. */
struct rdb_check {
    uint64_t crc; /* of all bytes but the tail */
    char head[9];
    size_t head_len;
    char tail[16]; /* the last bytes: at the end of the file these are its checksum */
    size_t tail_len;
};

enum link_state {
    LINK_NONE = 0,   /* we are a master */
    LINK_CONNECT,    /* the next attempt to connect is due at retry_ms */
    LINK_CONNECTING, /* waiting for the TCP connection */
    LINK_HANDSHAKE,  /* PING, AUTH and REPLCONF were sent, replies are outstanding */
    LINK_PSYNC,      /* PSYNC was sent; the master may not answer before its snapshot starts */
    LINK_TRANSFER,   /* receiving the snapshot, into a file or directly into the data set */
    LINK_LOADING,    /* loading the received file */
    LINK_STREAM,     /* applying the master's commands */
};

struct link {
    enum link_state state;
    char *host; /* NULL in LINK_NONE */
    int port;
    struct conn *conn;
    struct outbuf out;
    int64_t retry_ms, last_io_ms, connect_us; /* connect_us: start of this attempt to connect */
    int64_t up_since_ms;                      /* in LINK_STREAM */
    int64_t down_since_ms;                    /* 0: the link has not been up since we became a replica */
    bool held; /* stay down until the own file is loaded: it may hold the position to continue from */

    struct handshake handshake;
    struct resp_line_reader lines;

    struct transfer transfer;
    char new_id[REPL_ID_LEN + 1]; /* id of the snapshot that the master last promised; "": it promised none since
                                     REPLICAOF, or the stream has begun since */
    uint64_t new_position;
    bool new_secret_known; /* the master told the secret of that history: new_secret */
    struct hash_secret new_secret;
    bool old_master; /* knows only SYNC: no ids, no ACKs */
    bool direct;     /* the snapshot is loaded while it arrives */
    bool to_file;    /* the snapshot is written to a file */
    bool to_dbfile;  /* the file becomes dbfilename */
    bool to_log;     /* the log begins with the file; if nothing else needs it, it may be missing */
    bool loading;    /* between load_begin and load_end */
    bool load_complete;
    bool guarded;       /* an empty snapshot is refused */
    bool empty_refused; /* the last one was */
    enum repl_load_kind load_kind;
    char load_error[256];
    int file_fd; /* -1: none */
    char *file_path;
    uint64_t file_written, file_started; /* bytes written; bytes whose write-back to disk was started */
    struct rdb_check check;
    struct loop_timer load_timer;

    struct bytes_buf in; /* bytes of the stream; those from in_pos on are not applied yet */
    size_t in_pos;
    bool at_start;               /* no byte of the stream has arrived: keep-alives may still come */
    bool stalled;                /* apply_stream() returned -EAGAIN */
    bool applying;               /* inside apply_stream(): the link must not be taken down */
    bool drop_wanted;            /* take the link down when apply_stream() returns */
    bool ack_wanted;             /* send an ACK at the end of this turn, and `asks` before it */
    struct bytes_buf asks;       /* commands of repl_ask_master() */
    struct loop_timer ack_timer; /* runs while more is applied than acknowledged */
    bool ack_owed; /* the last ACK reported less than our offset as on disk: send another after the fsync */
};

/* ---- Handing over ---- */

enum failover_state {
    FAILOVER_NONE = 0,
    FAILOVER_WAITING,     /* a master that holds its writes until a replica has acknowledged all */
    FAILOVER_IN_PROGRESS, /* a replica that asks its master to take over */
};

/* What the target has said to our PSYNC. */
enum failover_answer {
    FAILOVER_UNANSWERED = 0,
    FAILOVER_CONTINUES,     /* it has taken over, and sends its stream */
    FAILOVER_OTHER_HISTORY, /* it has taken over without some of our writes, and sends its data set (FORCE) */
    FAILOVER_REFUSED,       /* it does not take over: we become a master again */
};

/* Who wants it decides how long the target is asked, and what becomes of writes that were held. */
enum failover_cause {
    FAILOVER_BY_COMMAND = 0, /* FAILOVER: for ever; refused, as Redis does */
    FAILOVER_BY_REPLICA,     /* the replica itself, which is being promoted */
    FAILOVER_BY_SHUTDOWN,
};

struct failover {
    enum failover_state state;
    enum failover_cause cause;
    int64_t began_ms;
    enum failover_answer answer;
    char *host; /* of the target; NULL: any replica */
    int port;
    char *asker_host; /* of a replica that has asked for the role in this turn; NULL: none */
    int asker_port;
    bool force;         /* hand over when the time is over, whatever is acknowledged */
    bool late;          /* the time is over */
    bool asked, unsure; /* the target was asked; an earlier question has had no answer, so it may have taken over */
    bool is_master;     /* it has said that it is a master: it is asked as any master is */
    bool due;           /* repl_failover_turn() has something to do */
    struct loop_timer timer;
};

/* ---- Being promoted ---- */

enum { PROMOTION_MS = 1000 /* so long a promotion waits for our master, and a master for such a replica */ };

struct promotion {
    bool wanted;               /* an order is being carried out: this will be a master by until_ms */
    bool asked;                /* our master was asked over the present link */
    bool due;                  /* promotion_turn() has something to do */
    const char *alone_because; /* promote at the end of this turn, or promoted, without its consent; NULL: not */
    int64_t until_ms;
    uint64_t heard; /* bytes that had come from our master when it was asked */
    struct loop_timer timer;
};

/* ---- The object ---- */

/* Whether a replica holds a complete data set, and so may be promoted: repl_lacks_data(). */
enum data_state {
    DATA_UNPROVEN = 0, /* the data set we had when we became a replica: complete unless it is empty */
    DATA_COMPLETE,     /* a data set that a master had; it may be empty */
    DATA_GIVEN_UP,     /* the old data set was dropped for a snapshot that has not been loaded to its end */
};

struct repl {
    struct repl_host host;
    const struct repl_settings *settings;
    struct loop *loop;
    const struct sys *sys;
    struct log *log;

    enum repl_role role;
    struct repl_stream stream; /* its end is our offset, even while no bytes are kept */
    uint64_t data_end;         /* position: the bytes after it are of the moment (replication.h) */
    uint64_t released;         /* position: the bytes before it were offered to the AOF and may leave the process */
    struct lag_marks written;  /* when the stream got so far */
    bool has_backlog;          /* bytes are kept for replicas that resume */
    enum data_state data;
    struct repl_identity identity;
    bool secret_unknown; /* a replica: the data set is not hashed with the secret of its master's history */
    bool history_broken; /* the data set does not match id and offset: we cannot ask for a partial resynchronization */
    int db;              /* the database selected at the end of the stream; -1: the next unit selects one */
    bool was_restored;   /* `restored` is valid */
    struct repl_position restored; /* from repl_restore_position(), usable while the offset is still the same */
    bool role_turned;              /* we went from master to replica in this turn of the loop */
    bool acks_wanted;              /* append GETACK at the end of the turn */
    bool aof_wanted;               /* the AOF needs the stream: all writes are appended */
    bool aof_on;                   /* the AOF is written and aof_synced is valid */
    uint64_t aof_synced;           /* position up to which the AOF is on disk */

    struct serving serving;
    struct link link;
    struct failover failover;
    struct promotion promotion;
    struct loop_timer cron;
    unsigned cron_loops;
    int64_t alone_since_ms; /* when the last replica left */
    struct repl_stats stats;
    struct repl_sync_times sync_times;
    struct repl_events events;
};

static inline int64_t repl_now_ms(const struct repl *r)
{
    return sys_mono_us(r->sys) / 1000;
}
static inline uint64_t repl_backlog_limit(const struct repl *r)
{
    int64_t size = r->settings->repl_backlog_size;
    return (uint64_t)(size > REPL_BACKLOG_MIN ? size : REPL_BACKLOG_MIN);
}
static inline int64_t repl_timeout_ms(const struct repl *r)
{
    return (int64_t)r->settings->repl_timeout_s * 1000;
}

/* True if all writes go into the stream, so that offset and id have a meaning to others. */
static inline bool repl_is_counted(const struct repl *r)
{
    return r->has_backlog || r->aof_wanted;
}

/* Replicas are sent nothing after this position (invariant 3 of replication.h). */
static inline uint64_t repl_released(const struct repl *r)
{
    uint64_t end = repl_stream_end(&r->stream);
    return r->released < end ? r->released : end;
}

/* replication.c */
bool repl_has_history(const struct repl *r);
/* Adds an event of now. The caller may fill in the rest of it. */
struct repl_event *repl_note(struct repl *r, enum repl_event_kind kind, const char *cause);
/* The same, about another server. */
struct repl_event *repl_note_peer(struct repl *r, enum repl_event_kind kind, const char *cause, const char *host,
                                  int port);
bool repl_lacks_data(const struct repl *r);
void repl_cron_master(struct repl *r); /* feeds PINGs and frees an unused backlog */
void repl_create_backlog(struct repl *r);
/* The data set is about to be replaced: disconnects all replicas, and no server can continue our history any more. */
void repl_abandon_history(struct repl *r, const char *why);
/* The data set was replaced by that of another history, received as a whole. secret_known: it is hashed with the secret
 * of that history. */
void repl_adopt_history(struct repl *r, const char *id, uint64_t position, int db, bool secret_known);

/* serving.c */
void serving_release(struct repl *r);
void serving_cron(struct repl *r);
void serving_flush(struct repl *r);
void serving_disconnect_all(struct repl *r, const char *why);
void replica_doom(struct replica *rp, const char *why);
void replica_push(struct replica *rp);              /* sends pending bytes, as many as the socket takes */
void replica_set_online(struct replica *rp);        /* starts to send it the stream */
const char *replica_name(const struct replica *rp); /* for the log: where it listens, else its end of the connection */
const char *replica_host(const struct replica *rp); /* where it can be reached, as far as it has told */
struct repl_event *replica_note(struct replica *rp, enum repl_event_kind kind, const char *cause);
const char *replica_state_name(const struct replica *rp);

/* full_sync.c */
void full_sync_init(struct repl *r);
void full_sync_release(struct repl *r);
/* Schedules a snapshot if a replica waits for one and no child runs. */
void full_sync_consider(struct repl *r);
void full_sync_add(struct replica *rp);    /* the replica needs a snapshot */
void full_sync_remove(struct replica *rp); /* the replica is going away */
/* Sends to a RECEIVING replica. 1: everything available was sent; 0: the socket is full, or the replica had its share
 * of this turn; -errno. */
NODISCARD int full_sync_send(struct replica *rp);
void full_sync_cron(struct repl *r);

/* following.c */
void following_init(struct repl *r);
void following_release(struct repl *r);
void following_start(struct repl *r, const char *host, int port);
void following_stop(struct repl *r);
void following_cron(struct repl *r);
void following_flush(struct repl *r);            /* sends the ACK that this turn owes our master */
void following_aof_synced(struct repl *r);       /* requests another ACK if the last one reported less on disk */
void link_fail(struct repl *r, const char *why); /* logs, and goes back to LINK_CONNECT for a second */
void link_transition(struct repl *r, enum link_state next, const char *why);
void link_stream_begins(struct repl *r); /* the data set equals the master's at our offset */
const char *link_state_name(enum link_state state);

/* What failover.c is told; it acts at the end of the turn. */
static inline void failover_acked(struct repl *r)
{
    r->failover.due |= r->failover.state == FAILOVER_WAITING;
}
static inline void failover_answered(struct repl *r, enum failover_answer answer)
{
    if (r->failover.state != FAILOVER_IN_PROGRESS) return;
    r->failover.answer = answer;
    r->failover.due = true;
}
/* The replica is being promoted, and asks for the role. It may be gone at the end of the turn. */
static inline void failover_asked(const struct replica *rp)
{
    struct failover *f = &rp->repl->failover;
    if (rp->state != REPLICA_ONLINE || rp->port == 0) return;
    mem_free(f->asker_host);
    f->asker_host = mem_strdup(replica_host(rp));
    f->asker_port = rp->port;
    f->due = true;
}
/* No process is at the target's address that could be the master. One that was, and said so, keeps the role; and one that
 * is being promoted may still do so until its time is over. */
static inline void failover_nobody_there(struct repl *r)
{
    const struct failover *f = &r->failover;
    if (f->cause == FAILOVER_BY_COMMAND || f->is_master || repl_now_ms(r) - f->began_ms < PROMOTION_MS) return;
    failover_answered(r, FAILOVER_REFUSED);
}

/* What promotion.c is told; it acts at the end of the turn, too. */
#define REPL_ASK_PROMOTION "lockstep-promote"
static inline void promotion_go_alone(struct repl *r, const char *why)
{
    r->promotion.alone_because = why;
    r->promotion.due = true;
}
static inline void promotion_link_up(struct repl *r)
{
    r->promotion.due |= r->promotion.wanted;
}
static inline void promotion_link_down(struct repl *r, bool comes_back)
{
    if (LIKELY(!r->promotion.wanted)) return;
    r->promotion.asked = false;
    if (!comes_back) promotion_go_alone(r, "the link to the master is down");
}
static inline void promotion_consented(struct repl *r) /* our master hands over to us: repl_promote() follows */
{
    r->promotion.alone_because = NULL;
}
static inline void promotion_over(struct repl *r) /* the role is settled */
{
    struct promotion *p = &r->promotion;
    if (LIKELY(!p->wanted)) return;
    loop_timer_stop(&p->timer);
    p->wanted = p->asked = p->due = false;
    r->host.promotion_ended(r->host.ctx);
}
void promotion_turn(struct repl *r); /* for failover.c */

/* receiving.c */
void receiving_begin(struct repl *r);
/* 0: more bytes are needed; 1: the link is in another state now. */
int receiving_feed(struct repl *r, struct bytes_view in);
void receiving_abort(struct repl *r);

#endif
