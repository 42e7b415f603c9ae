/* saving.h -- writes the data set to RDB files: SAVE, BGSAVE, save points, and snapshots for replicas.
 *
 *     SAVE, shutdown, FLUSHALL ------ saving_save() -------------> dbfilename, by this process
 *     BGSAVE, save points ----------- saving_bgsave(), cron -----> dbfilename, by the child
 *     a full synchronization -------- saving_for_replicas() -----> a pipe or dbfilename, by the child
 *
 * Invariants:
 *   1. A save in the foreground never runs while a child could still replace its file by an older one (F4).
 *   2. rdb_changes_since_last_save counts from the moment of the last good save or load, not from its end.
 *   3. After a failed background save writes are refused until one succeeds (stop-writes-on-bgsave-error). It is tried
 *      again every 5 seconds, without waiting for changes while it refuses writes.
 * Errors: each failure is logged here.
 * Not here: the child process (child.h), the options of a snapshot (saving_options.h), loading (rdb_loading.h). */
#ifndef LOCKSTEP_SERVER_PERSISTENCE_SAVING_H
#define LOCKSTEP_SERVER_PERSISTENCE_SAVING_H

#include "replication/replication.h"
#include "server/persistence/child.h"

struct saving; /* opaque */

struct saving_uses { /* all of it outlives the object */
    struct core *core;
    struct child *child;
    bool (*stop_asked)(void *ctx); /* ends a save in the foreground */
    void *ctx;
};
struct saving *saving_new(const struct saving_uses *uses);
void saving_free(struct saving *sv);

/* --- what commands and settings ask for --- */
int saving_save(struct saving *sv); /* SAVE: 0 or -1 */
/* BGSAVE. 0: it has started, or with *may_wait it starts once the present child has ended, and *may_wait stays true.
 * -1: *error is the reply. */
int saving_bgsave(struct saving *sv, bool *may_wait, const char **error);
void saving_schedule(struct saving *sv); /* a background save as soon as no child is active */
/* The error that refuses writes, and PING, by which Sentinel and HAProxy see a master that cannot save; or NULL. */
const char *saving_write_refusal(const struct saving *sv);
/* Kills a child that writes an RDB; its end changes no status. Replication is told. A rewrite goes on. */
void saving_kill(struct saving *sv);
/* FLUSHALL: kills such a child, whose data set is out of date. With save points, saving_turn() writes the empty file at
 * the end of the turn: then FLUSHALL is in the stream, and the position in the file is right. */
void saving_flushed_all(struct saving *sv);

/* --- the turn, and cron --- */
void saving_turn(struct saving *sv);
void saving_cron(struct saving *sv); /* scheduled saves, save points, failed saves again */

/* --- for replication: see struct repl_host --- */
int saving_for_replicas(struct saving *sv, enum repl_snapshot_target target, unsigned omit,
                        const struct repl_position *at, int *pipe_fd);
void saving_for_replicas_cancel(struct saving *sv);

/* The data set was loaded from files: its changes are counted from here. */
void saving_note_loaded(struct saving *sv);

uint64_t saving_changes(const struct saving *sv); /* since the last good save */
int64_t saving_last_s(const struct saving *sv);   /* Unix time of the last good save, or of the start */
void saving_info(const struct saving *sv, struct bytes_buf *out);

#endif
