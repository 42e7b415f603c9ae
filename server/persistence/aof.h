/* aof.h -- the append-only file: a reader of the stream that writes it to disk.
 *
 *                                     off
 *      appendonly no  ^ |                             | ^  appendonly no
 *                     | | at the start: load, open    | |
 *                     | v                             v |
 *                     on  <---- a rewrite has made a base, waiting for a rewrite (retried if it fails)
 *                      `------- let go, by a full disk ------^
 *
 * The log holds the stream byte for byte, PINGs included, from the position of its base on. The last line of the last
 * file tells the place in the history (storage/aof_reader.h), so that a restarted server knows its position.
 *
 * Invariants:
 *   1. Between two turns the file ends at the end of a unit (S8).
 *   2. A reply is sent after the write that it answers is in the file, with `appendfsync always` on disk: aof_turn()
 *      precedes replies in each turn, on every path (S1).
 *   3. aof_turn() also precedes sending the stream to replicas, and acknowledging it to the master. So after a kill -9
 *      a server has everything that others had from it (fault 9) and everything that it answered, with any policy,
 *      except for writes between a write error and its end. A power cut loses what was not synced. A full disk has the
 *      effect of a write error: replicas get the stream nevertheless.
 *   4. A rewrite begins a new incremental file. Its base replaces the earlier files in the manifest only when the base
 *      is complete and synced (S6).
 *   5. A file is synced before a manifest lists it or a file after it, and before it is closed, unless it is
 *      deleted (S4, S5).
 *   6. Nothing is said to be on disk before all files that the manifest lists, and their directory, are synced: a start
 *      finds the list that a former life could not sync, and goes on with it.
 *   7. After a failed sync of the directory the stream goes on in a file that the old list and the new one both name.
 *
 * Threads: fsync and close run in a worker thread (storage/base/worker.h), in order. The main thread waits for the disk
 * only with `always`, and at the beginning of a rewrite (invariant 5). A write does not wait for a pending sync (Redis
 * waits up to 2 s): waiting would save tens of milliseconds (ext4, virtual disk: while 100 MB are synced in
 * 0.2 s, appends take 10 to 20 us, the slowest 19 to 44 ms), but delay what WAIT acknowledges.
 *
 * While writes to the disk fail (S7), clients' writes are refused, the stream keeps what waits, and a write is tried
 * again each second. With `always` the server ends if it cannot write data; content that changes no data (messages,
 * PINGs, REPLCONF GETACK) is not owed, and waits.
 *
 * What waits is bounded (fault 7): the stream keeps at most repl-backlog-size, or 16 MB if that is more, for the log,
 * whether the disk is full or slow. Beyond that the log is let go (aof_disk.c):
 *   1. The files stay as they are, whole up to the last unit that was written, until a new base, a new incremental file
 *      and the manifest that lists both are on disk. A server that is killed before starts with the old files, which
 *      hold everything that was ever reported as synced.
 *   2. Until then clients' writes are refused, nothing counts as synced (WAITAOF, FACK), and with `always` the server
 *      ends as soon as it owes data.
 *   3. A rewrite is tried when the file system has more free room, each minute, and for BGREWRITEAOF; five seconds after
 *      a failure that has to do with neither room nor the child.
 * Limits of this: what was accepted before the first write failed (all of it in one turn), keys that the server deleted
 * itself (expiry, eviction), and on a replica the master's writes are only in memory and on replicas until the rewrite
 * is done. If the server is killed before, it has lost them; a replica that has them gets a full synchronization.
 *
 * A data set that replaces ours, after a full synchronization, is the promise of our master until we are promoted. From
 * then on whatever clients are told has to survive (fault_38):
 *   1. The file of the received snapshot becomes the base, under a second name, before more of the stream is applied
 *      (aof_begin_with()): base, incremental file and manifest are synced, so neither a kill -9 nor a power cut finds the
 *      log without the data set. Until the manifest is stored, the files are those of the old data set.
 *   2. If that fails (a full disk, a file system without links, a snapshot without a file because the log was switched on
 *      meanwhile), or if a promotion breaks off a load, the log waits for a rewrite. A master refuses clients' writes
 *      until it is done; the disk decides how long that is, as above.
 *   3. A log that CONFIG SET has switched on promises nothing until its first rewrite is done, as with Redis: writes are
 *      accepted meanwhile, and a crash starts the server from what was there before.
 *
 * Not here: the child process (child.h), reading the files (aof_load.h). */
#ifndef LOCKSTEP_SERVER_PERSISTENCE_AOF_H
#define LOCKSTEP_SERVER_PERSISTENCE_AOF_H

#include "server/persistence/aof_load.h"

struct aof; /* opaque */
struct child;
struct histogram;
struct repl_position;

struct aof_uses { /* all of it outlives the log */
    struct aof_load_uses load;
    struct child *child;
    void *ctx;                 /* of the functions */
    void (*synced)(void *ctx); /* aof_synced() holds for a later position now */
    void (*off)(void *ctx);    /* appendonly was switched off */
};
struct aof *aof_new(const struct aof_uses *uses);
void aof_free(struct aof *a);

/* --- start-up --- */
/* Reads the manifest. With appendonly, moves the file of a server older than Redis 7 into the directory. All three
 * functions: 0, or -1 with the reason logged: the server must not start. */
int aof_find_files(struct aof *a);
int aof_load_at_start(struct aof *a);   /* loads the data set, and the place in the history */
bool aof_had_data(const struct aof *a); /* the files that were loaded then have keys, or commands of clients */
int aof_open_at_start(struct aof *a);   /* continues the last file, or makes the first files */

/* --- running --- */
/* Writes, and with `always` syncs, what was added to the stream in this turn. False: the promise of `always` cannot be
 * kept; no reply may be sent, and the server ends. */
bool aof_turn(struct aof *a);
void aof_cron(struct aof *a);
/* The error that refuses writes, valid until the next call; or NULL. */
const char *aof_refuses_writes(struct aof *a);
bool aof_is_on(const struct aof *a);                   /* true also while it waits for a rewrite */
bool aof_synced(const struct aof *a, uint64_t offset); /* the log is on disk up to this offset */

/* CONFIG SET appendonly. 0, or -1 with the reason logged. */
int aof_switch(struct aof *a, bool on);
void aof_settings_changed(struct aof *a); /* aof-disable-auto-gc, appendfsync */
/* Called by replication: the stream drops its content; another data set has replaced this one. */
void aof_history_ends(struct aof *a);
void aof_history_replaced(struct aof *a);
/* Is a file of the snapshot of use that is about to be received? */
bool aof_wants_snapshot(const struct aof *a);
/* After aof_history_replaced(), before the stream goes on: the data set came from this file, an RDB that is synced. The log
 * begins with it, under a name of its own. On failure, logged, the log waits for a rewrite. */
void aof_begin_with(struct aof *a, const char *path);
/* Takes back the stream after this position, which changed no data. The log continues in a new file, whose head notes
 * this place: it is that of the data set that the earlier files make. False: failed, the log is as it was. */
bool aof_cut(struct aof *a, const struct repl_position *at);

/* --- rewriting --- */
enum aof_rewrite_answer { AOF_REWRITE_STARTED, AOF_REWRITE_SCHEDULED, AOF_REWRITE_RUNNING, AOF_REWRITE_FAILED };
enum aof_rewrite_answer aof_rewrite(struct aof *a, bool later); /* BGREWRITEAOF; `later`: after the running unit */

/* --- the end, and tools --- */
/* Kills a running rewrite. False: it is the first one of the log, which is not killed unless forced. */
bool aof_may_shut_down(struct aof *a, bool force);
void aof_shut_down(struct aof *a);                   /* writes and syncs what is pending */
int aof_reload(struct aof *a);                       /* DEBUG LOADAOF: 0 or -1, logged */
void aof_set_flush_sleep(struct aof *a, int64_t us); /* DEBUG AOF-FLUSH-SLEEP */
void aof_info(const struct aof *a, struct bytes_buf *out);
uint64_t aof_buffered_bytes(const struct aof *a);
/* How long the syncs of the log took since the start, in ticks of ticks.h. */
void aof_sync_times(struct aof *a, struct histogram *out);

#endif
