/* replication_internal.h -- what the files of replication share. For replication/ alone.
 *
 *     replication.c   the object: roles, feeding the stream, backlog, identity, the cron
 *     serving.c       replicas: REPLCONF, PSYNC, acknowledgements, sending, limits
 *     full_sync.c     snapshots for replicas: when one starts, who shares it, its way to them
 *     following.c     the link to our master: states, timeouts, applying
 *     receiving.c     a snapshot from our master: to a file and then, or directly, into the data set
 *     info.c          INFO, ROLE, memory
 * Pure helpers without I/O: stream.h, identity.h, handshake.h, transfer.h. */
#ifndef LOCKSTEP_REPLICATION_REPLICATION_INTERNAL_H
#define LOCKSTEP_REPLICATION_REPLICATION_INTERNAL_H

#include "replication/handshake.h"
#include "replication/identity.h"
#include "replication/replication.h"
#include "replication/stream.h"
#include "replication/transfer.h"
#include "server/net/outbuf.h"
#include "server/net/resp_line.h"

/* ---- Serving ---- */

enum replica_state {
    REPLICA_HANDSHAKE = 0, /* no PSYNC yet: an ordinary client so far */
    REPLICA_WAITING,       /* for a snapshot to start */
    REPLICA_WAITING_FILE,  /* its snapshot is being written to a file */
    REPLICA_RECEIVING,     /* the snapshot is being sent to it */
    REPLICA_LOADING,       /* has got a snapshot without a length; its first ACK opens the stream */
    REPLICA_ONLINE,        /* gets the stream */
    REPLICA_RDB_DONE,      /* wanted the snapshot only, and has it */
};

struct replica {
    struct repl *repl;
    struct conn *conn;
    void *client;
    struct replica *prev, *next; /* attached ones, in the order of their PSYNC */
    enum replica_state state;
    bool doomed; /* its disconnection was asked for; nothing is written any more */

    char announced[REPL_HOST_MAX + 1]; /* a name or address, by REPLCONF ip-address; "": that of the connection */
    char ip[64];                       /* of the connection */
    int port;                          /* it listens on */
    bool capa_eof;                     /* takes a snapshot without a length */
    bool capa_psync2;                  /* takes a new id with +CONTINUE */
    bool capa_field_times;             /* reads RDB version 12 */
    bool rdb_only;                     /* a tool that wants the snapshot and no stream */
    unsigned filter;                /* enum repl_omission: what REPLCONF rdb-filter-only leaves out of its snapshot */
    bool speaks_psync;              /* came with PSYNC, not SYNC */
    char asked_id[REPL_ID_LEN + 1]; /* by PSYNC; cut short if it is too long to be one */
    size_t asked_len;
    int64_t asked_offset;
    char error[128];       /* text of an answer to REPLCONF, where it is no constant */
    struct bytes_buf head; /* goes out before anything else */
    size_t head_sent;

    struct repl_stream_reader reader; /* its place in the stream */
    uint64_t acked;                   /* position */
    bool has_aof;                     /* it keeps one, and told up to where that is on disk: */
    uint64_t synced;                  /* position */
    int64_t heard_ms;                 /* last ACK or sign of life */
    int64_t waiting_since_ms;
    int64_t progress_ms; /* when its socket last took bytes of the snapshot */
    int64_t soft_limit_since_ms;

    struct snapshot_pipe *pipe;         /* RECEIVING through a pipe, else NULL */
    struct repl_stream_reader snapshot; /* its place in what comes out of it */
    int file_fd;                        /* RECEIVING a file, else -1 */
    uint64_t file_left;
    struct bytes_buf file_chunk;
    size_t file_chunk_sent;
};

/* A snapshot on its way from a child's pipe to the replicas that share it. */
struct snapshot_pipe {
    struct repl *repl;
    unsigned replicas; /* that still get it */
    unsigned pins;     /* callers that go on with it after something that may free it */
    int fd;            /* -1: everything was read, or nothing more is wanted */
    struct loop_io io;
    struct repl_stream bytes; /* what some replica has not got yet */
    bool child_ok;            /* the child ended well */
    bool complete;            /* the end mark is in: those who reach the end are done */
    char mark[40];
};

/* The snapshot that is being made, and when the next one may be. */
struct full_sync {
    bool running; /* the host's child lives, or was told to end and has not yet */
    bool cancelled;
    enum repl_snapshot_target target;
    unsigned omit;                  /* PIPE: enum repl_omission */
    uint64_t position;              /* of the stream, that it stands for */
    struct repl_stream_reader hold; /* FILE: keeps the stream from there on, so that more replicas may join */
    struct snapshot_pipe *pipe;     /* PIPE: of this child */
    struct loop_timer start;        /* the next one may start then */
    bool child_in_the_way;          /* the host runs another child */
};

struct serving {
    struct replica *first, *last;
    size_t count;
    struct full_sync sync;
};

/* ---- Following ---- */

/* What is needed to tell whether a received RDB is whole. */
struct rdb_check {
    uint64_t crc; /* of all but the tail */
    char head[9];
    size_t head_len;
    char tail[16]; /* its last bytes: the checksum, at the end */
    size_t tail_len;
};

enum link_state {
    LINK_NONE = 0,   /* a master follows nobody */
    LINK_CONNECT,    /* the next try is due at retry_ms */
    LINK_CONNECTING, /* TCP */
    LINK_HANDSHAKE,  /* PING, AUTH and REPLCONF are out, replies are due */
    LINK_PSYNC,      /* PSYNC is out: the answer may take as long as a snapshot needs to start */
    LINK_TRANSFER,   /* receiving the snapshot, into a file or directly into the data set */
    LINK_LOADING,    /* loading the file */
    LINK_STREAM,     /* applying commands */
};

struct link {
    enum link_state state;
    char *host; /* NULL: none */
    int port;
    struct conn *conn;
    struct outbuf out;
    int64_t retry_ms, last_io_ms;
    int64_t down_since_ms; /* 0: never was up since we are a replica */
    bool held;             /* until the own file is loaded: it may tell where we can continue */

    struct handshake handshake;
    struct resp_line_reader lines;

    struct transfer transfer;
    char new_id[REPL_ID_LEN + 1]; /* of the snapshot that is coming, or was to come; "": none since this master was set,
                                     or since the stream flows */
    uint64_t new_position;
    bool old_master; /* speaks SYNC only: no ids, no ACKs */
    bool direct;     /* the snapshot is loaded as it comes */
    bool to_file;    /* it is written to a file */
    bool loading;    /* between load_begin and load_end */
    bool load_complete;
    enum repl_load_kind load_kind;
    char load_error[256];
    int file_fd; /* -1: none */
    char *file_path;
    uint64_t file_written, file_started; /* bytes; of these, on their way to disk */
    struct rdb_check check;
    struct loop_timer load_timer;

    struct bytes_buf in; /* the stream from in_pos on is not applied yet */
    size_t in_pos;
    bool at_start; /* no byte of the stream yet: keep-alives may still come */
    bool stalled;  /* apply_stream() said -EAGAIN */
    bool applying; /* inside apply_stream(): nothing may pull the link away */
    bool drop_wanted;
    bool ack_wanted; /* at the end of this turn */
    bool ack_owed;   /* one was sent that told less to be on disk than there is: another one follows the sync */
};

/* ---- The object ---- */

/* What a replica has in memory, for the one question whether it may be promoted. */
enum data_state {
    DATA_UNPROVEN = 0, /* whatever was there when it began to follow: a data set, unless that is empty */
    DATA_COMPLETE,     /* one that some master had; it may be empty */
    DATA_GIVEN_UP,     /* for another one that has not come: a part of it at most */
};

struct repl {
    struct repl_host host;
    const struct repl_settings *settings;
    struct loop *loop;
    const struct sys *sys;
    struct log *log;

    enum repl_role role;
    struct repl_stream stream; /* its end is our offset, whether or not bytes are kept */
    uint64_t data_end;         /* position: what is behind it is of the moment */
    uint64_t released;         /* position: what is before it has been offered to the log, and may leave the process */
    bool has_backlog;          /* bytes are kept for those who resume */
    enum data_state data;
    struct repl_identity identity;
    bool history_broken; /* the data set is not what id and offset say: no partial resync for us */
    int db;              /* selected in the stream at its end; -1: the next feed selects one */
    bool was_restored;
    struct repl_position restored; /* by repl_restore_position(), good as long as nothing was fed since */
    bool role_turned;              /* master to replica, in this turn of the loop */
    bool acks_wanted;              /* GETACK is due at the end of a turn */
    bool aof_wanted;               /* the stream is counted, for the log's sake */
    bool aof_on;                   /* a log says what of it is on disk: */
    uint64_t aof_synced;           /* position */

    struct serving serving;
    struct link link;
    struct loop_timer cron;
    unsigned cron_loops;
    int64_t alone_since_ms; /* no replica since then */
    struct repl_stats stats;
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

/* Somebody counts on the stream: it has all that is written, and a name. */
static inline bool repl_is_counted(const struct repl *r)
{
    return r->has_backlog || r->aof_wanted;
}

/* Replicas and acknowledgements get no further than this. */
static inline uint64_t repl_released(const struct repl *r)
{
    uint64_t end = repl_stream_end(&r->stream);
    return r->released < end ? r->released : end;
}

/* replication.c */
bool repl_has_history(const struct repl *r);
bool repl_lacks_data(const struct repl *r);
void repl_cron_master(struct repl *r); /* PINGs, and the end of an unused backlog */
void repl_create_backlog(struct repl *r);
/* Nobody can continue from us any more: the data set is about to be replaced. Replicas are sent away. */
void repl_abandon_history(struct repl *r, const char *why);
/* The data set is now that of another history, received as a whole. */
void repl_adopt_history(struct repl *r, const char *id, uint64_t position, int db);

/* serving.c */
void serving_release(struct repl *r);
void serving_cron(struct repl *r);
void serving_flush(struct repl *r);
void serving_disconnect_all(struct repl *r, const char *why);
void replica_doom(struct replica *rp, const char *why);
void replica_push(struct replica *rp);       /* sends what there is to send, as far as its socket takes it */
void replica_set_online(struct replica *rp); /* the stream may flow */
const char *replica_name(const struct replica *rp);
const char *replica_state_name(const struct replica *rp);

/* full_sync.c */
void full_sync_init(struct repl *r);
void full_sync_release(struct repl *r);
/* Starts a snapshot if somebody waits and nothing forbids it, or sees to it that it will. */
void full_sync_consider(struct repl *r);
void full_sync_add(struct replica *rp);    /* it needs a snapshot */
void full_sync_remove(struct replica *rp); /* it is going away */
/* Sends to a RECEIVING replica. 1: all it can for now; 0: the socket is full; -errno. */
NODISCARD int full_sync_send(struct replica *rp);
void full_sync_cron(struct repl *r);

/* following.c */
void following_init(struct repl *r);
void following_release(struct repl *r);
void following_start(struct repl *r, const char *host, int port);
void following_stop(struct repl *r);
void following_cron(struct repl *r);
void following_flush(struct repl *r);            /* the acknowledgement that this turn owes our master */
void following_aof_synced(struct repl *r);       /* tells our master, if it was told less */
void link_fail(struct repl *r, const char *why); /* back to LINK_CONNECT, after a second */
void link_transition(struct repl *r, enum link_state next, const char *why);
void link_stream_begins(struct repl *r); /* the data set is that of the master at our offset */
const char *link_state_name(enum link_state state);

/* receiving.c */
void receiving_begin(struct repl *r);
/* 0: more is to come; 1: the link is in another state now. */
int receiving_feed(struct repl *r, struct bytes_view in);
void receiving_abort(struct repl *r);

#endif
