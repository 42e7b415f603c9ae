/* snapshot.h -- an RDB of the keyspace as it is at one moment (or the commands that make it), made while commands go
 * on.
 *
 *     snapshot_begin() --> [ RUNNING ] --fd readable: snapshot_poll()--> DONE | FAILED --> snapshot_end()
 *
 * This implementation forks; callers see only begin, poll, kill and end, so that another one can take its place. The
 * child writes the file or the pipe, tells its progress through a pipe of its own, and dies with its parent. A file is
 * written as temp-<pid of the child>.rdb beside the target and fsynced by the child. It is the parent that then gives
 * it its name, in snapshot_poll(), so that a child which outlives its purpose can never replace a newer file; the child
 * waits for that and syncs the directory, which may take long. While a snapshot runs, reading does not write to the
 * keyspace (freeze_access). */
#ifndef LOCKSTEP_STORAGE_SNAPSHOT_H
#define LOCKSTEP_STORAGE_SNAPSHOT_H

#include "storage/rdb_eof.h"
#include "storage/rdb_writer.h"

struct snapshot; /* opaque */

enum snapshot_state { SNAPSHOT_RUNNING = 0, SNAPSHOT_DONE, SNAPSHOT_FAILED };

struct snapshot_target {
    const char *path;     /* file to end up at; NULL: a pipe */
    int pipe_fd;          /* else: the write end. The caller keeps and closes its own copy (right after begin) */
    const char *eof_mark; /* with a pipe: "$EOF:<mark>\r\n" goes before and the mark after the RDB; NULL: neither */
};

struct snapshot_options {
    struct rdb_options rdb;
    struct rdb_info info;
    bool as_commands;            /* in place of an RDB: what makes the data set anew (storage/aof_commands.h) */
    int64_t timestamp_s;         /* with as_commands: noted in front; -1: not */
    int nice;                    /* added to the child's niceness */
    bool fsync;                  /* of the file and of the directory that holds it */
    bool incremental_fsync;      /* of the file, as it grows */
    void (*in_child)(void *ctx); /* first thing in the child, for what its process is to be; may be NULL */
    void *in_child_ctx;
    bool (*stop_asked)(void *ctx); /* looked at now and then: true ends it with -ECANCELED; may be NULL */
    void *stop_asked_ctx;
    int64_t key_delay_us; /* rdb-key-save-delay, for tests: after every key; below 0: 1 us after every so many keys */
};

struct snapshot_progress {
    uint64_t keys_done, keys_total;
    uint64_t bytes;     /* written so far */
    uint64_t cow_bytes; /* private dirty memory of the child */
    int64_t cow_us;     /* by the clock mono_us, when that was measured; 0: not yet */
};

/* 0 and *out, or -errno (fork or pipe failed) with nothing left behind. ks and sys outlive the snapshot. */
NODISCARD int snapshot_begin(struct keyspace *ks, const struct sys *sys, const struct snapshot_target *target,
                             const struct snapshot_options *options, struct snapshot **out);
/* Readable when there is something to poll: progress, or the end of the child for whatever reason. */
int snapshot_fd(const struct snapshot *s);
pid_t snapshot_pid(const struct snapshot *s);
/* Never blocks. Once the state is DONE a file has its final name. */
enum snapshot_state snapshot_poll(struct snapshot *s);
const struct snapshot_progress *snapshot_progress(const struct snapshot *s);
const char *snapshot_error(const struct snapshot *s); /* after FAILED: the reason */
bool snapshot_was_killed(const struct snapshot *s);   /* after FAILED: by snapshot_kill() */
/* Asks the child to die; poll tells when it has. */
void snapshot_kill(struct snapshot *s);
/* Ends one in any state: a child still running is killed and waited for, a temporary file is removed. */
void snapshot_end(struct snapshot *s);

/* SAVE: in the foreground, through a temporary file. 0 or -errno; `error`, where given, gets the reason as text. */
NODISCARD int snapshot_save_file(struct keyspace *ks, const struct sys *sys, const char *path,
                                 const struct snapshot_options *options, struct bytes_buf *error);

#endif
