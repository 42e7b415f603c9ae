/* replication.h -- the replication stream of a server, the replicas that read it and the master it follows.
 *
 *     as a master:   dispatcher --repl_feed()--> stream -+-> backlog (shared blocks) --> replicas (a position each)
 *                                                        `-> append-only file (one more reader, owned by the server)
 *     as a replica:  master --link--> host.apply_stream() --applied bytes--> the same stream, byte for byte
 *
 * The server calls the functions of this header. Replication calls the server through struct repl_host, which the
 * server fills in at start-up and unit tests fill with fakes. replication/README.md describes the whole flow.
 *
 * Invariants:
 *   1. The offset counts bytes of the stream. Only replication advances it, and only by whole units (a command, a
 *      whole MULTI..EXEC) that have been applied to the data set.
 *   2. A replica is a position in that stream. A replica of a replica gets the very bytes that its master received.
 *   3. No byte of the stream and no acknowledgement leaves the process before the append-only file (AOF) was offered
 *      the bytes: in each turn the AOF is written first, then repl_flush() sends (fault 9).
 * Ownership:  the server keeps the connection of a client that becomes a replica, and closes it. After PSYNC only
 *             replication writes to it.
 * Not here:   what commands mean, the files, the child processes: the host does these.
 *
 * How an old master rejoins without a full synchronization (fault 10). Some content of the stream is "of the moment":
 * it changes no data (PING, REPLCONF GETACK, PUBLISH). A unit of several commands, a SELECT and a DEL that the server
 * generates for expiry or eviction never count as such. A master puts content of the moment into the stream only while
 * a replica is attached; the AOF does not need it. But a replica whose link died half-open still counts as attached.
 * Then content that no replica received moves the old master's offset past the end of the new master's history, and a
 * partial resynchronization would be refused. Therefore a master remembers where the last data in its stream ends
 * (data_end). A restarted master finds that position in the AOF.
 *
 *       ... data | PING PUBLISH GETACK |      data_end: the data set is the same at each position from here to the end
 *                ^ data_end   ^ acked  ^ end
 *
 * When the master becomes a replica, it takes back the bytes after data_end that no attached replica acknowledged and
 * no live replica was sent. It disconnects its replicas, cuts the stream, continues the AOF in a new file whose note
 * holds the new position, and asks for that position in PSYNC. The data sets stay equal (P9, P12, P6, P8) because:
 *   1. The data set at the cut equals ours. Only content of the moment followed the cut. SELECT is not of the moment,
 *      so the database selected at the cut is the one selected at the end.
 *   2. The new master accepts only positions that its history covers, up to the fork if our id is its second id. The
 *      bytes from the cut to the fork are our own, and change nothing. After the fork come the bytes of the new master,
 *      which begin with a SELECT. If the fork precedes a write of ours, it precedes data_end too, and the new master
 *      answers with a full synchronization.
 *   3. No offset is computed or guessed: the replica applies the bytes from the cut on, and counts these. (Servers that
 *      skipped a replica's trailing PINGs, or counted bytes of an AOF without PINGs, were off by some bytes.)
 *   4. No position after the cut belongs to our history any more. If we are promoted again, the fork is the cut, and a
 *      replica that has more of the old bytes is refused, even if its data are the same.
 *   5. The AOF is never changed in place. Until the manifest lists the new file, the old files say the old position and
 *      a restart finds data_end again. Afterwards the new file says the cut. Both are true.
 * Replicas that received such content from a master that died were no masters, and keep it. */
#ifndef LOCKSTEP_REPLICATION_REPLICATION_H
#define LOCKSTEP_REPLICATION_REPLICATION_H

#include "replication/events.h"
#include "replication/repl_settings.h"
#include "replication/stream.h"
#include "server/net/conn.h"
#include "server/net/loop.h"
#include "storage/base/bytes.h"
#include "storage/base/histogram.h"
#include "storage/base/log.h"
#include "storage/base/sys.h"
#include "storage/hash_secret.h"

struct repl;    /* opaque: all replication state of one server */
struct replica; /* opaque: one peer that sends us REPLCONF or PSYNC */

enum repl_role { REPL_MASTER, REPL_REPLICA };
enum { REPL_ID_LEN = 40, REPL_HOST_MAX = 255 /* bytes of an announced name or address, the limit of Redis */ };

/* A position in a history. The position of a snapshot goes into the RDB's aux fields and into +FULLRESYNC. */
struct repl_position {
    char id[REPL_ID_LEN + 1]; /* "": no history that a server could continue; the aux fields are left out */
    uint64_t offset;
    int db;          /* the database selected in the stream at this offset, or -1: the next bytes will select one */
    uint64_t moment; /* how many of the last bytes before the offset are known to be of the moment (see above) */
};

enum repl_load_kind {
    REPL_LOAD_REPLACE,    /* empty the data set, then load into it; commands get -LOADING meanwhile */
    REPL_LOAD_SWAP,       /* load into a second data set, serve the old one until the new one is complete */
    REPL_LOAD_SWAP_QUIET, /* as SWAP, but the old data set is of another history: commands get -LOADING meanwhile */
    REPL_LOAD_ASIDE,      /* load into a second data set; the server does not report a load until it is complete */
};

enum repl_snapshot_target {
    REPL_SNAPSHOT_FILE, /* dbfilename: the whole data set */
    REPL_SNAPSHOT_PIPE,
};
/* What a snapshot through a pipe leaves out (flags). */
enum repl_omission {
    REPL_OMIT_FIELD_TIMES = 1 << 0, /* the expiry times of hash fields */
    REPL_OMIT_KEYS = 1 << 1,
    REPL_OMIT_FUNCTIONS = 1 << 2,
};

/* What becomes of the writes of clients. */
enum repl_writes {
    REPL_WRITES_OPEN = 0, /* they run, or are refused because of the role */
    REPL_WRITES_HELD,     /* they wait, until it is known which server is the master */
    REPL_WRITES_MOVED,    /* OPEN, but another server is the master now: those that waited are not run here, and their
                             connections are closed */
};

struct tls_transport; /* server/net/conn_tls.h */

struct repl_host { /* everything that replication asks of the server around it */
    void *ctx;

    /* --- following a master --- */
    /* Runs commands of the master. `in` starts at the first byte that is not applied yet, so bytes of an earlier call
     * may come again: the host remembers how far it has parsed. *consumed gets the number of bytes that are now wholly
     * applied (whole commands, whole transactions). 0; -EPROTO; -EAGAIN: nothing can be applied now (a pause, a busy
     * script), and the host calls repl_apply_again() when that is over. */
    int (*apply_stream)(void *ctx, struct bytes_view in, size_t *consumed);
    /* Drops the state of the current stream (parser, queued MULTI) and selects `db` for the next one (-1: 0). */
    void (*reset_stream)(void *ctx, int db);
    int (*stream_db)(void *ctx); /* the database selected after the last applied unit */
    /* Loads a data set from the master: load_begin, load_feed with bytes in any split, load_end. load_feed returns 1
     * when the RDB is complete, 0 if it needs more, or a negative code with *error set (a constant, or owned by the
     * host until the next call). The loaded data set is hashed with `secret`, or as the present one (NULL). load_end
     * with commit false drops what was loaded; the old data set is then still in
     * place, except with REPL_LOAD_REPLACE. load_end sets position->db to the selected database that the file names. */
    int (*load_begin)(void *ctx, enum repl_load_kind kind, bool empty_async, const struct hash_secret *secret);
    int (*load_feed)(void *ctx, struct bytes_view in, size_t *consumed, const char **error);
    int (*load_end)(void *ctx, bool commit, struct repl_position *position);
    bool (*dataset_is_empty)(void *ctx);
    /* True: the data set must not be replaced by an empty one of an unrelated history, which load_is_empty() tells of a
     * load that is complete. Not asked with REPL_LOAD_REPLACE. */
    bool (*guards_data)(void *ctx);
    bool (*load_is_empty)(void *ctx);
    void (*hash_secret)(void *ctx, struct hash_secret *secret); /* of the present data set */
    /* A master became a replica, a replica got another master, or a replica was promoted. */
    void (*role_changed)(void *ctx, enum repl_role role);

    /* --- serving replicas --- */
    /* Starts a child that writes an RDB of the data set as it is now, to dbfilename or to a pipe, without the parts in
     * `omit` (enum repl_omission; 0 for FILE). For PIPE, *pipe_fd gets the read end, which replication then owns.
     * Replication writes the framing ("$EOF:" and its mark), not the child. 0; -errno; -EBUSY: another child runs, and
     * the host calls repl_child_ended() when it has ended. The result of a child that was started comes through
     * repl_snapshot_done(), never from inside this call. */
    int (*snapshot_start)(void *ctx, enum repl_snapshot_target target, unsigned omit, const struct repl_position *at,
                          int *pipe_fd);
    /* No replica waits for the snapshot any more. The host may let a FILE be finished if save points are configured.
     * repl_snapshot_done() follows in either case. */
    void (*snapshot_cancel)(void *ctx);
    void (*disconnect_replica)(void *ctx, void *client,
                               const char *why); /* schedules the close; repl_replica_gone() follows */
    void (*acks_changed)(void *ctx);             /* a replica acknowledged more: WAIT and WAITAOF may be satisfied */
    /* A replica sent REPLCONF lockstep-repair. NULL: ignored. */
    void (*repair_asked)(void *ctx, const struct replica *from, struct bytes_view request);
    bool (*writes_paused)(void *ctx); /* CLIENT PAUSE or hand-over: no PING goes into the stream */
    void (*set_writes)(void *ctx, enum repl_writes writes);
    /* A master has become a replica for good: not while it is open whether a hand-over succeeds. */
    void (*demoted)(void *ctx);
    /* The promotion that repl_promote_asking() began is over: this is a master. */
    void (*promotion_ended)(void *ctx);
    int (*listening_port)(void *ctx);
    const char *(*rdb_path)(void *ctx); /* dbfilename in dir */
    /* True if hash fields with expiry times make a snapshot of a higher RDB version than configured. */
    bool (*has_field_times)(void *ctx);

    /* --- the append-only file --- */
    /* The stream is about to drop all its bytes. The host calls repl_aof_stop() from inside this call. */
    void (*history_ends)(void *ctx);
    /* The stream is about to be cut at this position. The host makes the AOF say this position to its next reader.
     * False: it cannot, and the stream is not cut. */
    bool (*cut_aof)(void *ctx, const struct repl_position *at);
    /* The data set was replaced by that of our master. The AOF does not contain it, so it has to be rewritten. */
    void (*history_replaced)(void *ctx);
    /* Is a file of the snapshot that is about to be received of use for the AOF? */
    bool (*wants_snapshot)(void *ctx);
    /* After history_replaced(), before more of the stream is applied: the data set came from this file, which is synced.
     * The AOF may keep it under another name. */
    void (*snapshot_received)(void *ctx, const char *path);

    struct tls_transport *tls; /* for tls-replication; NULL: a link with TLS fails */
};

struct repl *repl_new(const struct repl_host *host, const struct repl_settings *settings, struct loop *loop,
                      const struct sys *sys, struct log *log);
void repl_free(struct repl *r);

/* --- the stream --- */
/* False while nothing can read the stream (no backlog, no AOF): the dispatcher then skips repl_feed(). */
bool repl_stream_wanted(const struct repl *r);
/* Appends one piece of a unit: RESP commands that run in database `db`. All pieces of a unit are appended in one go, with
 * MULTI and EXEC around them if there are several. A SELECT is put in front if another
 * database is selected in the stream (db -1: any database will do). On a replica the unit can only be the rest of the
 * transaction that ran REPLICAOF: then the data set no longer matches our offset, and the next synchronization is a
 * full one (X11). */
void repl_feed(struct repl *r, int db, struct bytes_view unit);
/* Appends a command that changes no data, if repl_moment_wanted(). It means the same in every database. `db` is
 * selected only if no database is selected in the stream yet (-1: never). */
void repl_feed_moment(struct repl *r, int db, struct bytes_view unit);
bool repl_moment_wanted(const struct repl *r); /* we are a master with a replica attached */
bool repl_verify_wanted(const struct repl *r); /* ... that can compare its data with checks in the stream */
uint64_t repl_offset(const struct repl *r);
/* The server calls both once per loop turn, after commands ran, and writes the AOF between the two calls.
 * repl_end_turn() appends what the turn still owes the stream (GETACK). repl_flush() sends the stream to every replica
 * that is online, and acknowledgements to our master (fault 9). */
void repl_end_turn(struct repl *r);
void repl_flush(struct repl *r);

/* --- the append-only file: a reader of the stream that belongs to the server --- */
/* While `wanted`, every write goes into the stream, with or without replicas, and the history keeps its id. */
void repl_aof_want(struct repl *r, bool wanted);
void repl_aof_start(struct repl *r, struct repl_stream_reader *reader); /* reads from the end of the stream on */
void repl_aof_stop(struct repl *r, struct repl_stream_reader *reader);
/* The database that a new AOF file must select at its head, or -1 if the stream itself surely selects one next. A program that
 * reads the file begins in database 0. Call it after repl_aof_start() too. */
int repl_aof_select(struct repl *r);
/* The stream is on disk up to this position (FACK in our acknowledgements). `on` false: there is no AOF to tell. */
void repl_aof_synced(struct repl *r, bool on, uint64_t position);

/* --- identity over restarts --- */
void repl_position(const struct repl *r, struct repl_position *at); /* for the aux fields of SAVE and BGSAVE */
/* The history before the last fork, up to the fork, which our second id names; id "": there is none. */
void repl_former_position(const struct repl *r, struct repl_position *at);
/* True for a replica that has dropped its data set for one of its master that is not complete. */
bool repl_gave_up_data(const struct repl *r);
/* Renames the history, so that no server can continue what it knows of it (DEBUG CHANGE-REPL-ID). */
void repl_change_id(struct repl *r);
/* The file loaded at start-up carried this position. A replica tries PSYNC with it; a master serves it as its second
 * id. `tail` holds the known bytes of the stream that end at this position, at most at->offset of them. The backlog
 * begins with them, so that a replica that is a little behind can continue. */
void repl_restore_position(struct repl *r, const struct repl_position *at, struct bytes_view tail);

/* --- the secret of the key hash (storage/hash_secret.h) --- */
/* True if our data set is hashed with the secret of the history that it belongs to, so that ranges of hashes mean the
 * same to all servers of this history: we are a master, or our master told the secret with the data set. */
bool repl_secret_known(const struct repl *r);
/* The restored history (repl_restore_position()) is the one that the present secret of the data set belongs to. */
void repl_restore_secret(struct repl *r);

/* --- questions of replicas to their master, as REPLCONF pairs without a reply --- */
#define REPL_ASK_REPAIR "lockstep-repair"
/* Sends a pair to our master at the end of this turn. False: there is no link, or too much waits in it. */
bool repl_ask_master(struct repl *r, const char *option, struct bytes_view value);
/* Our data are wrong: gives up the link and asks for a full synchronization. */
void repl_resync_fully(struct repl *r, const char *why);

/* --- following --- */
/* REPLICAOF host port: drops the present link and keeps the history. 0, or -EINVAL for a bad port. */
int repl_follow(struct repl *r, const char *host, int port);
/* The same before the server has loaded its own file. The link stays down until repl_start(). */
int repl_follow_at_start(struct repl *r, const char *host, int port);
void repl_start(struct repl *r);   /* in either role: the own file was loaded, or there is none */
void repl_promote(struct repl *r); /* REPLICAOF NO ONE */
/* The same, after asking our master to hold its writes and to hand over (promotion.c). True: it is under way, and
 * host.promotion_ended() follows within a second. False: there is nobody to ask, and nothing has happened. */
bool repl_promote_asking(struct repl *r);
bool repl_promoting(const struct repl *r); /* meanwhile, REPLICAOF with a host is not allowed */
/* Why the last promotion that should have asked went without the master's consent; NULL: it did not. A constant. */
const char *repl_promoted_alone(const struct repl *r);
bool repl_may_resume(const struct repl *r); /* a master that, as a replica, could continue the history in its file */
void repl_drop_link(struct repl *r, const char *why); /* CLIENT KILL of the master's link: reconnects at once */
void repl_apply_again(struct repl *r);                /* the reason of apply_stream()'s -EAGAIN is over */
void repl_ack_soon(struct repl *r); /* the stream held REPLCONF GETACK: repl_flush() will send an ACK */
enum repl_role repl_role(const struct repl *r);
bool repl_link_up(const struct repl *r);
bool repl_is_master_host(const struct repl *r, const char *host, int port);
void repl_settings_changed(struct repl *r); /* CONFIG SET changed a field of repl_settings */

/* --- handing over --- */
struct repl_failover_order {
    const char *host; /* of the replica that is to be the master, as INFO names it. NULL: any one */
    int port;
    int64_t timeout_ms; /* how long to wait for the replica to acknowledge everything. 0: for ever */
    bool force;         /* hand over even then; needs host and timeout_ms */
};
/* FAILOVER: holds the writes, and hands the role of master over to a replica once it has everything (failover.c). INFO
 * shows how far it has come. 0; -EINVAL: *error is the text to answer, a constant. */
int repl_failover(struct repl *r, const struct repl_failover_order *o, const char **error);
/* FAILOVER ABORT. We are the master afterwards; if the target was told already, it may be one too. 0; -EINVAL: there is
 * no failover. */
int repl_failover_abort(struct repl *r);
bool repl_failing_over(const struct repl *r);
/* Hands over before a shutdown, to the first replica that has everything and may be a master. False: there is none. */
bool repl_failover_for_shutdown(struct repl *r, int64_t timeout_ms);
/* REPLICAOF has come: what it says counts, and a hand-over that no FAILOVER has ordered ends. False: one that FAILOVER has
 * ordered is under way, and REPLICAOF is not allowed. */
bool repl_failover_overrule(struct repl *r);
/* The server calls it once per turn, before repl_end_turn(): takes the next step, if one is due. */
void repl_failover_turn(struct repl *r);

/* --- serving: called by REPLCONF, PSYNC, SYNC, WAIT and ROLE, and by the code that closes and frees clients --- */
struct replica *repl_replica_new(struct repl *r, struct conn *conn, void *client, const char *peer_ip);
/* Queues bytes to be sent before anything else: the replies that were pending when PSYNC came. Call it before
 * repl_replica_psync(). */
void repl_replica_queue(struct replica *rp, struct bytes_view bytes);
void repl_replica_heard(struct replica *rp); /* the peer sent something; an empty line is a sign of life too */
/* The server will close this client. Nothing is written to the replica and nothing waits for it from now on. */
void repl_replica_closing(struct replica *rp);
void repl_replica_gone(struct replica *rp);     /* the client is being freed; also if it never sent PSYNC */
void repl_replica_writable(struct replica *rp); /* the connection of an attached replica can take more */
bool repl_replica_is_attached(
    const struct replica *rp); /* after PSYNC/SYNC: only replication writes to the connection */
/* How a master of ours answers a replica of ours that has announced this capability: it can be asked to hand over. */
#define REPL_CAPA_PROMOTION "lockstep-promotion"
/* One REPLCONF pair. 0: answer +OK; 1: answer nothing (ACK, GETACK); 2: answer +OK and REPL_CAPA_PROMOTION; -EINVAL: *error is the text to answer (a constant,
 * or owned by the replica until its next pair), or NULL for an unknown option. */
int repl_replica_conf(struct replica *rp, struct bytes_view name, struct bytes_view value, const char **error);
/* PSYNC <id> <offset> FAILOVER, from a master to its replica: the replica is to be promoted first. */
enum repl_take_over {
    REPL_NO_TAKE_OVER = 0,
    REPL_TAKE_OVER,        /* if it has all of the master's history */
    REPL_TAKE_OVER_BEHIND, /* even if it has not: another word, FORCE, which is ours */
};
/* PSYNC id offset, or SYNC (id.data NULL). The first call checks and remembers the request: 0, or a negative code with
 * *error set. A request to take over promotes this server first, if it is a good one. The second call carries the request out, and
 * replication writes the whole answer. */
NODISCARD int repl_replica_check_psync(struct replica *rp, struct bytes_view id, struct bytes_view offset,
                                       enum repl_take_over how, const char **error);
void repl_replica_psync(struct replica *rp);
void repl_snapshot_done(struct repl *r, bool ok,
                        const char *error); /* the child that snapshot_start() began has ended */
void repl_child_ended(struct repl *r);      /* another child ended: a snapshot for replicas may start now */

bool repl_needs_good_replicas(const struct repl *r);             /* min-replicas-to-write, with a limit of lag */
size_t repl_good_replica_count(const struct repl *r);            /* online, and within the limits of lag */
bool repl_lacks_good_replicas(const struct repl *r);             /* then writes are refused */
size_t repl_acked_count(const struct repl *r, uint64_t offset);  /* replicas that acknowledged at least `offset` */
size_t repl_synced_count(const struct repl *r, uint64_t offset); /* replicas that have it on disk */
void repl_request_acks(struct repl *r);                          /* appends REPLCONF GETACK * at once */
void repl_want_acks(struct repl *r); /* appends it at the end of this turn, once, and not while writes are paused */
/* For SHUTDOWN: true if all replicas whose snapshot is complete acknowledged our offset. Logs those that did not, if
 * asked to. */
bool repl_replicas_caught_up(const struct repl *r, bool log_laggards);

/* --- INFO, ROLE, CLIENT LIST and statistics --- */
/* The last events, i: 0 for the newest; NULL: there are not so many. And what they tell together. */
const struct repl_event *repl_event(const struct repl *r, size_t i);
void repl_find(const struct repl *r, struct repl_findings *out);
/* The last full synchronization was refused: the master's data set is empty, and guards_data(). */
bool repl_refused_empty(const struct repl *r);
/* From now on replicas may not synchronize, and get this error, which is borrowed; NULL: they may. None is attached. */
void repl_refuse_replicas(struct repl *r, const char *error);
/* The body of "# Replication", as Redis prints it; `role` is the one to name. */
void repl_info(const struct repl *r, enum repl_role role, struct bytes_buf *out);
struct repl_replica_info {
    const char *host; /* announced by the replica, or its address; owned by the replica */
    int port;
    const char *state; /* handshake, wait_bgsave, send_bulk, online, rdb_transmitted */
    uint64_t acked_offset;
    int64_t lag_s;
    size_t pending_bytes; /* not sent yet: counts as output memory of this client */
    bool leaving;         /* it is being disconnected; INFO does not list it */
};
void repl_replica_describe(const struct replica *rp, struct repl_replica_info *out);
enum repl_sync_kind { REPL_SYNC_FULL, REPL_SYNC_PARTIAL, REPL_SYNC_KINDS };
/* How far an attached replica is behind, by our own clock (lag.h). What is on its way counts as missing. */
struct repl_replica_lag {
    uint64_t sent_offset;          /* what was given to its socket */
    uint64_t bytes;                /* written and not acknowledged */
    int64_t missing_us;            /* how long ago the oldest of them was written; 0: none, or not online */
    enum repl_sync_kind sync_kind; /* of its last synchronization; why it was not partial ("": it was) */
    const char *why_full;
    int64_t last_us, median_us, p99_us; /* of its last acknowledgements: how old what they acknowledged was then */
};
void repl_replica_lag(const struct replica *rp, struct repl_replica_lag *out);
/* Walks the attached replicas, for ROLE and CLIENT LIST. NULL returns the first. */
struct replica *repl_replica_next(const struct repl *r, const struct replica *after);
struct repl_link_info {
    const char *host;
    int port;
    const char *state;        /* in ROLE's words: none, connect, connecting, handshake, sync, connected */
    int64_t offset;           /* -1 unless connected */
    const char *peer, *local; /* addresses of the connection, for CLIENT LIST and KILL; NULL without a connection */
};
void repl_link_describe(const struct repl *r, struct repl_link_info *out);
/* What a replica knows about its own data, for health checks. */
struct repl_freshness {
    bool has_data;      /* a complete data set: false before the first synchronization, and after an aborted one */
    bool link_up;       /* the stream of the master arrives */
    bool synchronizing; /* a snapshot of the master is being received or loaded */
    /* While link_up: bytes of the stream that are here and not applied. The master may have more that it could not send
     * yet, so this is a lower bound. */
    uint64_t lag_bytes;
    /* While link_up: since the master was heard last (it sends a PING every repl-ping-replica-period). Else: since the
     * link went down; -1: it has not been up. */
    int64_t silent_ms;
};
void repl_freshness(const struct repl *r, struct repl_freshness *out); /* of a replica */
/* The memory of the stream. Only the backlog is bounded by a directive. The rest grows and shrinks with slow readers,
 * and evicting keys would not free it (fault 7). */
struct repl_memory {
    size_t backlog;
    size_t replica_buffers; /* beyond the backlog, kept for replicas; includes snapshots being sent */
    size_t aof_buffer;      /* beyond the backlog, kept for the AOF alone */
};
void repl_memory(const struct repl *r, struct repl_memory *out);
struct repl_stats {
    uint64_t sync_full, sync_partial_ok, sync_partial_err;
    uint64_t net_output_bytes, net_input_bytes;
};
void repl_get_stats(const struct repl *r, struct repl_stats *out);
/* How long synchronizations took that have succeeded, in microseconds. */
struct repl_sync_times {
    /* Of a replica: from its PSYNC until it has acknowledged everything that the stream held at that moment. */
    struct histogram served[REPL_SYNC_KINDS];
    /* Of our link: from connecting to our master until its stream is applied. */
    struct histogram followed[REPL_SYNC_KINDS];
};
const struct repl_sync_times *repl_get_sync_times(const struct repl *r);
void repl_reset_stats(struct repl *r);

#endif
