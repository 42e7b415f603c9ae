/* snapshot.h -- a point-in-time RDB (or AOF commands) of a keyspace, written by a forked child.
 *
 *      snapshot_begin() --> [ RUNNING ] --fd readable: snapshot_poll()--> DONE | FAILED --> snapshot_end()
 *
 *      parent                              child (forked)
 *      serves clients                      writes temp-<its pid>.rdb, fsyncs it
 *                         <-- progress --
 *                         <-- written ---
 *      renames the file   --- go -------->  fsyncs the directory
 *                         <-- done ------   exits
 *
 * Callers see only begin, poll, kill and end, so that another implementation can replace the fork. The child writes
 * to the file or pipe, reports its progress through a second pipe and dies with its parent. The temporary file is in
 * the directory of the target. The parent renames it, in snapshot_poll(), so that an abandoned child can never
 * replace a newer file. The child syncs the directory, since that may take long. With a pipe as target there are no
 * steps "written" and "go".
 *
 * While a snapshot runs, reads do not write to the keyspace (freeze_access), which keeps pages shared.
 * Ownership: the caller ends each snapshot with snapshot_end(). The keyspace and sys outlive it.
 * Not here: when to save, what DONE and FAILED mean to the server. */
#ifndef LOCKSTEP_STORAGE_SNAPSHOT_H
#define LOCKSTEP_STORAGE_SNAPSHOT_H

#include "storage/rdb_eof.h"
#include "storage/rdb_writer.h"

struct snapshot; /* opaque */

enum snapshot_state { SNAPSHOT_RUNNING = 0, SNAPSHOT_DONE, SNAPSHOT_FAILED };

struct snapshot_target {
    const char *path;     /* the final name of the file; NULL: write to a pipe */
    int pipe_fd;          /* else: the write end; the caller keeps its own copy and closes that right after begin */
    const char *eof_mark; /* with a pipe: write "$EOF:<mark>\r\n" before and the mark after the RDB; NULL: neither */
};

struct snapshot_options {
    struct rdb_options rdb;
    struct rdb_info info;
    bool as_commands;            /* write commands instead of an RDB (storage/aof_commands.h) */
    int64_t timestamp_s;         /* with as_commands: written as an annotation at the start; -1: none */
    int nice;                    /* added to the child's niceness */
    bool fsync;                  /* of the file and of its directory */
    bool incremental_fsync;      /* sync the file while it grows */
    void (*in_child)(void *ctx); /* called first in the child, to set up its process; may be NULL */
    void *in_child_ctx;
    bool (*stop_asked)(void *ctx); /* called now and then; true ends the snapshot with -ECANCELED; may be NULL */
    void *stop_asked_ctx;
    int64_t key_delay_us; /* rdb-key-save-delay, for tests: > 0: delay after every key; < 0: 1 us after every so many
                           * keys */
};

struct snapshot_progress {
    uint64_t keys_done, keys_total;
    uint64_t bytes;     /* written so far */
    uint64_t cow_bytes; /* private dirty memory of the child */
    int64_t cow_us;     /* time of the measurement by the clock mono_us; 0: none yet */
};

/* 0 and *out, or -errno with nothing left behind (fork or pipe failed). ks and sys must outlive the snapshot. */
NODISCARD int snapshot_begin(struct keyspace *ks, const struct sys *sys, const struct snapshot_target *target,
                             const struct snapshot_options *options, struct snapshot **out);
/* Readable when snapshot_poll() has work: progress, or the end of the child for any reason. */
int snapshot_fd(const struct snapshot *s);
pid_t snapshot_pid(const struct snapshot *s);
/* Never blocks. Once the state is DONE, the file has its final name. */
enum snapshot_state snapshot_poll(struct snapshot *s);
const struct snapshot_progress *snapshot_progress(const struct snapshot *s);
const char *snapshot_error(const struct snapshot *s); /* after FAILED: the reason */
bool snapshot_was_killed(const struct snapshot *s);   /* after FAILED: snapshot_kill() was the reason */
/* Kills the child; snapshot_poll() reports its end. */
void snapshot_kill(struct snapshot *s);
/* Ends a snapshot in any state: kills a running child, waits for it and removes its temporary file. */
void snapshot_end(struct snapshot *s);

/* SAVE: writes a snapshot in the foreground, through a temporary file. 0 or -errno. Appends the reason to `error`
 * unless that is NULL. */
NODISCARD int snapshot_save_file(struct keyspace *ks, const struct sys *sys, const char *path,
                                 const struct snapshot_options *options, struct bytes_buf *error);

#endif
