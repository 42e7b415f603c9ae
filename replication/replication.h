/* replication.h -- the product of the server: one stream of writes, who reads it, and whom we follow.
 *
 *      dispatcher --repl_feed()--> stream --> backlog (shared blocks) --> replicas (a position in it each)
 *                                       `--> the append-only file: one more reader, the server's own
 *      master --link--> host.apply_stream() --applied bytes--> the same stream, byte for byte
 *
 * The server calls down into this header; the way back is struct repl_host, filled in at start-up (with fakes in unit
 * tests).
 *
 * Invariants: the offset counts bytes of the stream and advances only here, and only by whole units (a command, a whole
 * MULTI..EXEC) that have been applied; a replica is a position in that stream; a chained replica hands on the very
 * bytes it received; nothing of the stream, and no acknowledgement, leaves the process before the log has been offered
 * it: repl_flush() comes behind the log's turn. Ownership:  the connection of a client that becomes a replica stays the
 * server's to close; replication writes to it from then on.
 *
 * How an old master comes back without a full synchronization (fault 10). Content of the moment changes no data: PINGs,
 * questions for acknowledgements, messages to subscribers. (A unit of several commands, a SELECT and a deletion of the
 * server's own accord never are.) It enters the stream of a master only while a replica is attached; the log does not
 * need it. But a link that died half-open counts as attached, and what nobody got then puts the old master's offset
 * beyond the history of the new one. So a master remembers where its last content that is not of the moment ends, also
 * over a restart, which finds that place in the log:
 *
 *       ... data | PING PUBLISH GETACK |      data_end: the data set is the same at each position from here to the end
 *                ^ data_end   ^ acked  ^ end
 *
 * When it becomes a replica it takes back what is behind data_end and what nobody else has: neither was it
 * acknowledged, nor sent to a replica that is alive. Replicas are sent away, the stream is cut, the log goes on in a
 * new file whose note says the new place, and that position is what PSYNC asks for. Why this keeps data sets equal (P9,
 * P12, P6, P8):
 *   1. The data set at the cut is ours: only content of the moment was behind it, and a SELECT is not, so that the
 *      database selected there is the one that was selected at the end.
 *   2. The new master accepts only what its history covers, up to the fork if it knows ours as its second id. What it
 *      sends from the cut up to the fork are our own bytes, which change nothing; behind the fork its own begin, with
 *      a SELECT. If a write of ours is behind the fork, then so is data_end, and the synchronization is a full one.
 *   3. Nothing is counted or inferred: bytes come in from the cut on as they are, and the offset is theirs. (Servers
 *      that left out trailing PINGs of a replica, or counted bytes of a log which has none, were wrong by some bytes.)
 *   4. No position beyond the cut is ours any more: a promotion makes the cut the fork, so that whoever has more of the
 *      old bytes is refused, even one whose data are the same.
 *   5. The log is never rewritten in place. Before the manifest lists the new file the old ones say the old place, and
 *      the restart finds data_end again; after that the new one says the cut. Each of them tells the truth.
 * What it does not do: replicas that got such content from a dead master are no masters and keep it. */
#ifndef LOCKSTEP_REPLICATION_REPLICATION_H
#define LOCKSTEP_REPLICATION_REPLICATION_H

#include "replication/repl_settings.h"
#include "replication/stream.h"
#include "server/net/conn.h"
#include "server/net/loop.h"
#include "storage/base/bytes.h"
#include "storage/base/log.h"
#include "storage/base/sys.h"

struct repl;    /* opaque: the whole of replication of one server */
struct replica; /* opaque: one peer that speaks REPLCONF / PSYNC to us */

enum repl_role { REPL_MASTER, REPL_REPLICA };
enum { REPL_ID_LEN = 40, REPL_HOST_MAX = 255 /* of an announced name or address, as Redis limits it */ };

/* Where a snapshot stands in the stream; goes into the RDB's aux fields and into FULLRESYNC. */
struct repl_position {
    char id[REPL_ID_LEN + 1]; /* "": no history that anybody could continue; the aux fields are left out */
    uint64_t offset;
    int db;          /* the database selected in the stream at this offset, or -1: the next bytes will select one */
    uint64_t moment; /* how many of the bytes before it are known to be of the moment, up to its very end */
};

enum repl_load_kind {
    REPL_LOAD_REPLACE,    /* empty the data set, then load into it (commands get -LOADING meanwhile) */
    REPL_LOAD_SWAP,       /* load into a second one, serve the old until the new is complete */
    REPL_LOAD_SWAP_QUIET, /* the same, but the old one is of another history: commands get -LOADING meanwhile */
    REPL_LOAD_ASIDE,      /* into a second one, and nobody is told of a load before the new one is complete */
};

enum repl_snapshot_target {
    REPL_SNAPSHOT_FILE, /* dbfilename: the whole data set */
    REPL_SNAPSHOT_PIPE,
};
/* What a snapshot through a pipe leaves out: flags. */
enum repl_omission {
    REPL_OMIT_FIELD_TIMES = 1 << 0, /* fields of hashes have no times at which they expire */
    REPL_OMIT_KEYS = 1 << 1,
    REPL_OMIT_FUNCTIONS = 1 << 2,
};

struct repl_host { /* all that replication may ask of the process around it */
    void *ctx;
    /* --- following a master --- */
    /* `in` starts at the first byte not yet applied; bytes seen in an earlier call are there again (the host remembers
     * how far it has parsed). *consumed = bytes that are now wholly applied: whole commands, whole transactions. 0;
     * -EAGAIN: nothing can be applied for now (a pause, a busy script), repl_apply_again() tells when; -EPROTO. */
    int (*apply_stream)(void *ctx, struct bytes_view in, size_t *consumed);
    /* Forget everything about the current stream (parser, queued MULTI) and select this database for the next (-1: 0).
     */
    void (*reset_stream)(void *ctx, int db);
    int (*stream_db)(void *ctx); /* the database selected behind the last applied unit */
    /* Loading a data set from the master: begin, feed any split of bytes, end. `feed` answers 1 when the file is
     * complete, 0 for more, or a negative code with *error set (static or owned by the host until the next call).
     * end(commit=false) drops what was loaded; but for REPL_LOAD_REPLACE the old data set is then still there.
     * position->db is what the file says of the selected database. */
    int (*load_begin)(void *ctx, enum repl_load_kind kind, bool empty_async);
    int (*load_feed)(void *ctx, struct bytes_view in, size_t *consumed, const char **error);
    int (*load_end)(void *ctx, bool commit, struct repl_position *position);
    bool (*dataset_is_empty)(void *ctx);
    /* Connected/disconnected/changed role: INFO, log role letter, expiry mode, clients blocked for writes, CONFIG's
     * view of replicaof. */
    void (*role_changed)(void *ctx, enum repl_role role);
    /* --- serving replicas --- */
    /* Starts a child that writes an RDB of this very moment to dbfilename or to a pipe, without what `omit` (enum
     * repl_omission; 0 for FILE) leaves out. *pipe_fd (for PIPE) is the read end, then owned by replication. -EBUSY
     * when another child runs: host calls repl_child_ended() when there is room. The result of ours comes through
     * repl_snapshot_done(), never from inside this call. The framing ("$EOF:" and its mark) is written by replication,
     * not by the child. */
    int (*snapshot_start)(void *ctx, enum repl_snapshot_target target, unsigned omit, const struct repl_position *at,
                          int *pipe_fd);
    /* Nobody waits for it any more. The host may let a FILE go on where save points are set. repl_snapshot_done()
     * follows either way. */
    void (*snapshot_cancel)(void *ctx);
    void (*disconnect_replica)(void *ctx, void *client,
                               const char *why); /* schedules the close; repl_replica_gone() follows */
    void (*acks_changed)(void *ctx);             /* some replica acknowledged more: WAIT */
    bool (*writes_paused)(void *ctx);            /* CLIENT PAUSE or hand-over: no PINGs into the stream */
    int (*listening_port)(void *ctx);
    const char *(*rdb_path)(void *ctx); /* dbfilename in dir */
    /* Whether a snapshot would now be of a higher RDB version than configured, since fields of hashes expire. */
    bool (*has_field_times)(void *ctx);
    bool (*is_loading)(void *ctx);
    /* --- the log --- */
    /* The stream is about to forget all its bytes: repl_aof_stop() has to follow from inside this call. */
    void (*history_ends)(void *ctx);
    /* What the stream has behind this position is about to be taken back: whoever loads the log is to find this place.
     * False: it cannot be made so, and the stream stays as it is. */
    bool (*cut_aof)(void *ctx, const struct repl_position *at);
    /* The data set is now that of our master, which nothing in the log says: it has to begin anew. */
    void (*history_replaced)(void *ctx);
};

struct repl *repl_new(const struct repl_host *host, const struct repl_settings *settings, struct loop *loop,
                      const struct sys *sys, struct log *log);
void repl_free(struct repl *r);

/* --- the stream --- */
/* False while nobody could ever read it (no replica, no backlog, no log): the dispatcher then skips repl_feed(). */
bool repl_stream_wanted(const struct repl *r);
/* One whole unit of effects, RESP commands, in database `db` (a SELECT is put before them when the stream stands
 * elsewhere; -1: any will do). On a replica it can only be the rest of a unit in which REPLICAOF stood: then the data
 * set is no longer what our offset says, and the next synchronization is a full one (X11). */
void repl_feed(struct repl *r, int db, struct bytes_view unit);
/* A unit of one command that changes no data: for replicas that are attached, and not worth to be kept for others. It
 * is the same in every database; `db` is selected where the stream stands in none. */
void repl_feed_moment(struct repl *r, int db, struct bytes_view unit);
bool repl_moment_wanted(const struct repl *r);
uint64_t repl_offset(const struct repl *r);
/* Both are called once per loop turn, after commands ran, with the log's turn between them. The first adds what the
 * turn still has for the stream. The second sends what is pending: the stream to every replica that is online,
 * acknowledgements to our master. Nothing of the stream leaves the process before that (fault 9). */
void repl_end_turn(struct repl *r);
void repl_flush(struct repl *r);

/* --- the log: a reader of the stream that belongs to the server --- */
/* Whether the stream is wanted for its sake: it is counted then, with or without replicas, and keeps its name. */
void repl_aof_want(struct repl *r, bool wanted);
void repl_aof_start(struct repl *r, struct repl_stream_reader *reader); /* from the stream's end on */
void repl_aof_stop(struct repl *r, struct repl_stream_reader *reader);
/* A file of the log begins here, and is read by those who start with database 0: the database to be selected at its
 * head, or -1 where the stream itself does so. Also to be asked after repl_aof_start(). */
int repl_aof_select(struct repl *r);
/* Up to here the stream is on disk (FACK of a replica's acknowledgements). `on` false: there is no log that could tell.
 */
void repl_aof_synced(struct repl *r, bool on, uint64_t position);

/* --- identity over restarts --- */
void repl_position(const struct repl *r, struct repl_position *at); /* for SAVE/BGSAVE aux fields */
/* A new name for the history: what others know of it no longer helps them (DEBUG CHANGE-REPL-ID). */
void repl_change_id(struct repl *r);
/* The file loaded at start-up carried this identity: a replica tries PSYNC with it; a master serves it as replid2.
 * `tail`: the bytes of the stream that end at this position, as far as they are known and no more than at->offset; the
 * backlog begins with them, so that a replica that is a little behind continues. */
void repl_restore_position(struct repl *r, const struct repl_position *at, struct bytes_view tail);

/* --- following --- */
int repl_follow(struct repl *r, const char *host,
                int port); /* REPLICAOF host port: drops the present link, keeps history */
/* The same before the own file is loaded, which is a replica's then; repl_start() follows when what is here is known.
 */
int repl_follow_at_start(struct repl *r, const char *host, int port);
void repl_start(struct repl *r);            /* in any role: the own file was loaded, or there is none */
void repl_promote(struct repl *r);          /* REPLICAOF NO ONE */
bool repl_may_resume(const struct repl *r); /* a master that could go on as a replica under the name in its file */
void repl_drop_link(struct repl *r, const char *why); /* CLIENT KILL of the master's link: reconnects at once */
void repl_apply_again(struct repl *r);                /* what made apply_stream() answer -EAGAIN is over */
void repl_ack_soon(struct repl *r); /* the stream held REPLCONF GETACK: an ACK leaves in repl_flush() */
enum repl_role repl_role(const struct repl *r);
bool repl_link_up(const struct repl *r);
bool repl_is_master_host(const struct repl *r, const char *host, int port);
void repl_settings_changed(struct repl *r); /* backlog size, ttl, timeouts... were changed by CONFIG SET */

/* --- serving: called by the REPLCONF, PSYNC, SYNC, WAIT and ROLE commands and by the client's life --- */
struct replica *repl_replica_new(struct repl *r, struct conn *conn, void *client, const char *peer_ip);
/* Bytes that are to be sent before anything of replication's own: replies still pending when PSYNC came. Before
 * repl_replica_psync(). */
void repl_replica_queue(struct replica *rp, struct bytes_view bytes);
void repl_replica_heard(struct replica *rp); /* it sent something: an empty line counts as a sign of life */
/* Its client is going to be closed, by whomever: nothing is written to it and nobody waits for it from now on. */
void repl_replica_closing(struct replica *rp);
void repl_replica_gone(struct replica *rp);     /* the client is being freed; also for one that never sent PSYNC */
void repl_replica_writable(struct replica *rp); /* the connection can take more, once repl_replica_is_attached() */
bool repl_replica_is_attached(
    const struct replica *rp); /* after PSYNC/SYNC: only replication writes to the connection */
/* One REPLCONF pair. 0: answer +OK; 1: answer nothing (ACK, GETACK); -EINVAL: *error is the text to answer (static, or
 * the replica's until its next pair), NULL for an option that is not known. */
int repl_replica_conf(struct replica *rp, struct bytes_view name, struct bytes_view value, const char **error);
/* PSYNC id offset, or SYNC (id without data). First the question whether it may be asked at all: 0, or a negative code
 * with *error set. With `failover` this server may have become the master by it. Then the rest: everything that is to
 * be answered is written by replication. */
NODISCARD int repl_replica_check_psync(struct replica *rp, struct bytes_view id, struct bytes_view offset,
                                       bool failover, const char **error);
void repl_replica_psync(struct replica *rp);
void repl_snapshot_done(struct repl *r, bool ok,
                        const char *error); /* the child that snapshot_start() began has ended */
void repl_child_ended(struct repl *r);      /* some other child ended: waiting replicas may start now */

size_t repl_replica_count(const struct repl *r);
size_t repl_good_replica_count(const struct repl *r);            /* online with lag <= min-replicas-max-lag */
size_t repl_acked_count(const struct repl *r, uint64_t offset);  /* replicas that acknowledged at least this */
size_t repl_synced_count(const struct repl *r, uint64_t offset); /* and those that have it on disk */
void repl_request_acks(struct repl *r);                          /* REPLCONF GETACK * into the stream, at once */
void repl_want_acks(struct repl *r); /* the same at the end of this turn, once, and not while writes are paused */
/* Shutdown: are all online replicas at our offset? Logs laggards if asked. */
bool repl_replicas_caught_up(const struct repl *r, bool log_laggards);
void repl_disconnect_replicas(struct repl *r, const char *why);

/* --- for people and tools --- */
void repl_info(const struct repl *r, struct bytes_buf *out); /* the body of "# Replication", as Redis prints it */
struct repl_replica_info {
    const char *host; /* as it announced, or the address of its connection; the replica's */
    int port;
    const char *state; /* wait_bgsave, send_bulk, online */
    uint64_t acked_offset;
    int64_t lag_s;
    size_t pending_bytes; /* not yet sent: counts as output memory of this client */
};
void repl_replica_describe(const struct replica *rp, struct repl_replica_info *out);
/* Walks the attached replicas: NULL starts; for ROLE and CLIENT LIST. */
struct replica *repl_replica_next(const struct repl *r, const struct replica *after);
struct repl_link_info {
    const char *host;
    int port;
    const char *state;        /* as ROLE: connect, connecting, handshake, sync, connected */
    int64_t offset;           /* -1 unless connected */
    const char *peer, *local; /* names of the connection's ends, for CLIENT LIST and KILL; NULL without one */
};
void repl_link_describe(const struct repl *r, struct repl_link_info *out);
/* What the stream takes. Only the backlog is an expense that somebody has configured: the rest comes and goes with
 * those who read it, and deleting keys would not give it back (fault 7). */
struct repl_memory {
    size_t backlog;
    size_t replica_buffers; /* kept for replicas beyond that, snapshots on their way included */
    size_t aof_buffer;      /* kept for the log alone */
};
void repl_memory(const struct repl *r, struct repl_memory *out);
struct repl_stats {
    uint64_t sync_full, sync_partial_ok, sync_partial_err;
    uint64_t net_output_bytes, net_input_bytes;
};
void repl_get_stats(const struct repl *r, struct repl_stats *out);
void repl_reset_stats(struct repl *r);

#endif
