/* aof.h -- the append-only file: a reader of the stream that writes what it reads to disk.
 *
 *                                     off
 *      appendonly no  ^ |                             | ^  appendonly no
 *                     | | at the start: load, open    | |
 *                     | v                             v |
 *                     on  <---- the rewrite is there, waiting for a first rewrite (a failed one is tried again)
 *                      `------- let go, by a full disk ------^
 *
 * The file is the stream, byte for byte, PINGs and all, from the moment on for which its base stands. At its end it
 * says which place in the history that is (storage/aof_reader.h), so that a server which comes back knows where it is.
 *
 * Invariants: between two turns the file ends where a unit does (S8). A reply is sent after what it answers was
 * written, and with `appendfsync always` after it was synced: aof_turn() comes before replies in the turn, on every
 * path (S1). It comes before replicas get the stream, too, and before our master gets an acknowledgement: whoever comes
 * back after a kill -9 knows at least what others had from it (fault 9), and all that was answered, whatever the
 * policy, but for the writes between an error of writing and its end. A power cut takes from that what was not synced;
 * a disk that is full does as well, since the stream goes to replicas all the same. A write does not wait for a sync
 * that is under way, as Redis's does for up to 2 s: what that saves is tens of milliseconds (ext4, virtual disk: while
 * 100 MB are synced in 0.2 s, appends take 10 to 20 us, the slowest 19 to 44 ms), and what it costs is what WAIT has
 * acknowledged. A rewrite begins a new incremental file, so what it stands for is what the files before that say; a
 * base replaces them in the manifest only when it is whole (S6). Waiting for the disk is a thread's
 * (storage/base/worker.h), in order: no descriptor is closed before its sync (S4, S5). The list of files is synced
 * after the files it names, the last part before a new one included: these syncs, at the beginning of a rewrite, are
 * the only ones besides those of `always` that the main thread waits for.
 *
 * While writing fails (S7), writes of clients are refused, the stream keeps what is to be written, and each second
 * tries again. With `always` the server ends over data that it cannot write; what changes no data (messages, PINGs,
 * questions of a master) is not owed, and waits.
 *
 * What waits is bounded (fault 7): no more of the stream is kept for the log than the backlog, or 16 MB if that is
 * more, whether the disk is full or slow. Beyond it the log is let go (aof_disk.c). What that promises:
 *   1. The files stay as they are, whole up to the last unit that was written, until a new base, a new incremental
 *      file and the manifest that lists both are on disk. A server that is killed meanwhile starts with the old ones:
 *      all that was ever said to be synced is in them.
 *   2. Until then writes of clients are refused, nothing counts as synced (WAITAOF, FACK), and with `always` the
 *      server ends as soon as it owes data.
 *   3. The rewrite is tried when the file system has more room, each minute, and for BGREWRITEAOF.
 * What breaks it: what was accepted before the first write failed (all of it in one turn), what the server deleted of
 * its own accord, and on a replica what its master sent, are in memory and with replicas alone until the rewrite is
 * there; killed before, this server has lost it, and a replica that has it is resynchronized fully.
 *
 * Not here: the child process (child.h), reading the files (aof_load.h). */
#ifndef LOCKSTEP_SERVER_PERSISTENCE_AOF_H
#define LOCKSTEP_SERVER_PERSISTENCE_AOF_H

#include "server/persistence/aof_load.h"

struct aof; /* opaque */
struct child;
struct repl_position;

struct aof_uses { /* all of it outlives the log */
    struct aof_load_uses load;
    struct child *child;
    void *ctx;                 /* of the functions */
    void (*synced)(void *ctx); /* the stream is on disk up to another position: aof_synced() */
    void (*off)(void *ctx);    /* appendonly was switched off */
};
struct aof *aof_new(const struct aof_uses *uses);
void aof_free(struct aof *a);

/* --- start-up --- */
/* Reads the manifest; with appendonly, a file of before Redis 7 is moved to where it belongs. All three: 0, or -1 with
 * the reason logged: the server must not start. */
int aof_find_files(struct aof *a);
int aof_load_at_start(struct aof *a); /* the data set, and with it the place in the history */
int aof_open_at_start(struct aof *a); /* goes on with the last file, or makes the first ones */

/* --- running --- */
/* Writes what the stream has got in this turn. False: it could not be made as safe as promised, nothing may be
 * answered, and the server ends. */
bool aof_turn(struct aof *a);
void aof_cron(struct aof *a);
/* The text to refuse writes with, or NULL. */
const char *aof_refuses_writes(struct aof *a);
bool aof_is_on(const struct aof *a);                   /* or waits for its first rewrite */
bool aof_synced(const struct aof *a, uint64_t offset); /* the stream is on disk up to there */

/* appendonly was set while running. 0, or -1 with the reason logged. */
int aof_switch(struct aof *a, bool on);
void aof_settings_changed(struct aof *a); /* aof-disable-auto-gc, appendfsync */
/* From replication: the stream forgets what it had; the data set is another one. */
void aof_history_ends(struct aof *a);
void aof_history_replaced(struct aof *a);
/* The stream behind this position is taken back; it changed no data. The log goes on in a new file from there: its note
 * says this place, which is true of what the files before it make. False: it stays as it was. */
bool aof_cut(struct aof *a, const struct repl_position *at);

/* --- rewriting --- */
enum aof_rewrite_answer { AOF_REWRITE_STARTED, AOF_REWRITE_SCHEDULED, AOF_REWRITE_RUNNING, AOF_REWRITE_FAILED };
enum aof_rewrite_answer aof_rewrite(struct aof *a, bool later); /* BGREWRITEAOF; later: not from inside this unit */

/* --- the end, and tools --- */
/* False: the first rewrite is under way and must not be lost (unless forced). Stops a rewrite. */
bool aof_may_shut_down(struct aof *a, bool force);
void aof_shut_down(struct aof *a);                   /* writes and syncs what there is */
int aof_reload(struct aof *a);                       /* DEBUG LOADAOF: 0 or -1, logged */
void aof_set_flush_sleep(struct aof *a, int64_t us); /* DEBUG AOF-FLUSH-SLEEP */
void aof_info(const struct aof *a, struct bytes_buf *out);
uint64_t aof_buffered_bytes(const struct aof *a);

#endif
