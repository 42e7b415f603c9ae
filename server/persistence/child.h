/* child.h -- the one child process of a server, which writes a snapshot of the data set.
 *
 *     child_start() --> active --- the child exits -----------------> ended() is called
 *                         |------- child_kill(), it exits ----------> ended() is called with `killed`
 *                         |------- child_cancel() ------------------> ended() is called with `killed`, at once
 *                         '------- child_drop() --------------------> nothing is called
 *
 * Invariants:
 *   1. At most one child runs. Its owner (enum child_kind) decides what the end of the child means.
 *   2. When ended() is called, no child is active any more: ended() may start another one.
 *   3. After ended() of a save or a rewrite, replication is told that a child can be started again (F15). A child for
 *      replicas is reported to replication by its owner.
 * Errors: child_start() returns -errno and logs the reason.
 * Not here: what is written and when (saving.h, aof.h), the protocol between the two processes (snapshot.h). */
#ifndef LOCKSTEP_SERVER_PERSISTENCE_CHILD_H
#define LOCKSTEP_SERVER_PERSISTENCE_CHILD_H

#include "server/core/core.h"
#include "storage/snapshot.h"

struct child; /* opaque */
struct process_oom;

enum child_kind {
    CHILD_NONE = 0,
    CHILD_SAVE,     /* BGSAVE or a save point: writes dbfilename */
    CHILD_REPLICAS, /* a full synchronization: writes to a pipe, or dbfilename */
    CHILD_REWRITE,  /* a new base of the append-only file */
};

struct child_end {
    bool ok;
    bool killed;        /* by child_kill() or child_cancel(); ok is false */
    const char *error;  /* unless ok: the reason */
    uint64_t cow_bytes; /* the most memory that the child did not share with the server */
};

struct child_job {
    enum child_kind kind; /* not CHILD_NONE */
    struct snapshot_target target;
    struct snapshot_options options; /* without in_child, which is set here */
    void (*ended)(void *ctx, const struct child_end *end);
    void *ctx;
};

/* `oom` is the state of the process's OOM score. Both are borrowed. */
struct child *child_new(struct core *core, struct process_oom *oom);
void child_free(struct child *ch); /* drops a child that is active */

/* Starts the child of this moment. No child may be active. 0, or -errno, logged. */
NODISCARD int child_start(struct child *ch, const struct child_job *job);
enum child_kind child_kind(const struct child *ch); /* CHILD_NONE: no child is active */
bool child_is_active(const struct child *ch);
int64_t child_started_s(const struct child *ch); /* Unix time of the last start */

void child_kill(struct child *ch);   /* of an active child; the loop reports its end later */
void child_cancel(struct child *ch); /* of an active child; ended() is called at once */
void child_drop(struct child *ch);   /* of an active child, without a word to its owner */

uint64_t child_fork_count(const struct child *ch);
int64_t child_last_fork_us(const struct child *ch);             /* how long the last fork took */
void child_info(const struct child *ch, struct bytes_buf *out); /* INFO's fields about the active child */

#endif
