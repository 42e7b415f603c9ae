/* aof_internal.h -- the object of the append-only file, for the files that implement it.
 *
 *     aof_rewrite.c   when the log is rewritten, switched on and off, or ended with its history
 *     aof_files.c     the files of the log and its manifest
 *     aof.c           writing the stream to the file, shutdown, INFO
 *     aof_disk.c      while the disk takes no writes: what is owed, letting go, waiting for room
 *     aof_sync.c      syncs, by the worker thread or by the main thread
 *
 * Each file uses only those below it.
 *
 * Terms: a *position* is an offset in the stream. A *place* is a position with the id of its history. A write is *owed*
 * if it changes data and `appendfsync always` promises it. The log is *let go* when it gives up what waits for the disk
 * (aof.h). */
#ifndef LOCKSTEP_SERVER_PERSISTENCE_AOF_INTERNAL_H
#define LOCKSTEP_SERVER_PERSISTENCE_AOF_INTERNAL_H

#include <pthread.h>

#include "replication/replication.h"
#include "replication/stream.h"
#include "server/config/settings.h"
#include "server/core/core.h"
#include "server/persistence/aof.h"
#include "server/persistence/child.h"
#include "storage/aof_file.h"
#include "storage/aof_manifest.h"
#include "storage/base/histogram.h"

enum aof_state { AOF_OFF = 0, AOF_WAITS /* for a rewrite that makes a base */, AOF_ON };

struct rewrite {
    bool scheduled, running;
    bool as_rdb;               /* format of the running rewrite; the setting may change meanwhile (S6) */
    int64_t started_s, last_s; /* last_s: duration of the last rewrite, -1: none yet */
    bool last_ok;
    uint64_t done, last_cow_bytes;
    uint64_t position;    /* the base is the data set at this position */
    struct aof_part base; /* the base being written; no manifest lists it. name NULL: none */
    unsigned failures;    /* in a row */
    int delay_minutes;    /* before the next automatic retry, 0: none */
    int64_t next_s;       /* by the monotonic clock */
};

/* Free room for a rewrite, as the file system reports it. */
struct room {
    uint64_t bytes; /* the least that was free since the last try began */
    int64_t failed_us, retry_us;
};

/* Results of the worker, for the main thread. */
struct sync_result {
    pthread_mutex_t lock;
    struct histogram times; /* of all syncs, those of the main thread too, in ticks of ticks.h */
    unsigned syncs;         /* that ended since the main thread looked */
    uint64_t epoch, position;
    unsigned file_number;
    uint64_t file_size;
    bool any_good;
    int error;            /* errno of the latest sync, 0: it succeeded */
    bool failed;          /* one of them failed */
    unsigned failed_file; /* the last file of which one failed */
};

struct aof {
    struct aof_uses uses;
    struct core *core;
    enum aof_state state;  /* aof_set_state() writes it */
    bool promised;         /* it was on since it was switched on: what is acknowledged survives a crash */
    bool broken;           /* the promise of `always` cannot be kept, and the server ends */
    bool interrupted;      /* the data set is being replaced: nothing is written until then */
    bool directory_synced; /* its name is on disk, whoever made it */
    struct aof_manifest manifest;
    struct aof_file *file; /* the stream is written to it; or NULL */
    bool file_is_temp;     /* no manifest lists the file yet */
    unsigned file_number;  /* of the file; counts up */
    bool is_bare;          /* the file that a start has found has no commands */
    int select_db;         /* to be selected before the next append, since the file has no command; -1: none */
    bool sum_due;          /* the next append begins with a checksum note */
    uint64_t file_synced;  /* bytes of the file that are surely on disk */
    uint32_t boot;
    struct repl_stream_reader reader;
    int64_t timestamp_s; /* of the last #TS line in the file */

    struct worker *worker;
    struct loop_waker waker;
    struct sync_result result;
    unsigned syncs;         /* pending at the worker */
    bool doubtful;          /* a sync failed: its bytes may be lost although later syncs succeed (S4) */
    unsigned doubtful_file; /* the number of the last file of which one failed, if doubtful */
    uint64_t epoch;         /* of the history; results of another epoch are ignored */
    uint64_t synced;        /* position up to which the log is on disk, if has_synced */
    bool has_synced;
    uint64_t sync_asked;                /* position up to which a sync is pending or done */
    int64_t last_sync_us, slow_sync_us; /* slow_sync_us: start of the sync that was logged as slow */
    uint64_t delayed_syncs;

    int64_t pinned_max; /* so many bytes may wait for a disk that takes none, or repl-backlog-size if that is more */
    bool let_go;        /* the stream is in no listed file until a rewrite is done; implies AOF_WAITS */
    int let_go_error;
    bool let_go_owes;          /* the temporary file contains data */
    uint64_t of_the_moment_to; /* position up to which the unread stream changes no data */
    struct room room;

    int write_error, sync_error; /* errno, 0: none */
    int64_t retry_us, error_logged_us;
    char refusal[160];

    uint64_t other_bytes; /* of all files except `file` */
    bool had_data;        /* the files that were loaded at the start */
    uint64_t base_bytes;  /* of all files, after the last rewrite or at the start */
    int64_t flush_sleep_us;
    struct rewrite rewrite;
};

static inline const struct settings_persistence *aof_settings(const struct aof *a)
{
    return &a->core->settings->persistence;
}

/* Bytes of all files; a temporary one does not count. */
static inline uint64_t aof_current_bytes(const struct aof *a)
{
    return a->other_bytes + (a->file != NULL && !a->file_is_temp ? aof_file_size(a->file) : 0);
}

/* Kills a running rewrite and drops its base. */
static inline void aof_cancel_rewrite(struct aof *a)
{
    if (child_kind(a->uses.child) == CHILD_REWRITE) child_cancel(a->uses.child);
}

/* aof_sync.c */
enum aof_job { AOF_JOB_SYNC = 1, AOF_JOB_CLOSE = 2 };
void aof_sync_start(struct aof *a); /* starts the worker thread */
void aof_sync_stop(struct aof *a);  /* waits until the worker has done all its jobs */
/* Gives a job to the worker, which does its jobs in order. `what`: one of these bits or both. A sync covers everything
 * that was written so far; its result is taken up by the loop. With AOF_JOB_CLOSE the worker owns the descriptor. */
void aof_hand_over(struct aof *a, int fd, unsigned what);
/* Waits until the worker has done its syncs, and takes up the results. */
void aof_await_syncs(struct aof *a);
/* Before a sync: lets a note stand at the end of `file`, since a start after a power cut may take bytes that no note covers
 * for lost ones. A failed write has taken it away, or there is no place to note. 0 or -errno. */
NODISCARD int aof_note_end(struct aof *a);
void aof_sync_later(struct aof *a);        /* by the worker, of `file` */
NODISCARD int aof_sync_now(struct aof *a); /* by the caller, of `file`. 0 or -errno */
/* Syncs what is unsynced, regardless of the policy. 0, or -errno: nothing counts as synced until a rewrite (S4). */
NODISCARD int aof_sync(struct aof *a);
/* The same for a sync of `file` by somebody else, which has failed with this errno. With `always` the server ends. */
void aof_sync_failed(struct aof *a, int error);
/* The promise of `always` cannot be kept: the server ends, and no reply leaves any more. Returns false. */
bool aof_end_server(struct aof *a, const char *what, int rc);
/* Has the worker sync and close `file`, if there is one. */
void aof_retire_file(struct aof *a);
void aof_on_synced(struct aof *a, uint64_t position); /* the log is on disk up to this position */
/* The base of a rewrite is on disk. Bytes of the file that was begun with it stay in doubt if a sync of it has failed. */
void aof_end_doubt(struct aof *a);
void aof_doubt_file(
    struct aof *a); /* at the start: bytes of `file` may be in memory only, whatever its next sync says */
void aof_forget_synced(struct aof *a); /* results of pending syncs will be ignored */
/* Called after each change of write_error, sync_error or let_go: if one is set, or if the log has to hold what is
 * acknowledged and waits for a base, admission asks aof_refuses_writes(). */
void aof_note_obstacle(struct aof *a);
void aof_set_state(struct aof *a, enum aof_state state);
static inline bool aof_is_unsynced(const struct aof *a)
{
    return !a->has_synced || a->synced < a->reader.pos;
}

/* aof.c */
/* Writes everything that the stream has, and syncs it with `always`. 0 or -errno. */
NODISCARD int aof_flush(struct aof *a);
/* Reads the stream from its present end on. The files hold everything before. */
void aof_start_reading(struct aof *a);
/* Writes what is pending and closes the file. The files stay. No rewrite may be running. */
void aof_stop_writing(struct aof *a);
void aof_format_select(struct aof_file *file, int db, struct bytes_buf *out);
void aof_format_place(const struct aof *a, struct aof_file *file, const struct repl_position *at,
                      struct bytes_buf *out); /* formats the note of a file that ends at this place */

/* aof_disk.c */
/* True if the stream, from the log's reader on, has content that changes data. */
bool aof_owes(struct aof *a);
/* True if the stream keeps more for the log than the bound of aof.h. */
bool aof_pins_too_much(const struct aof *a);
/* Lets go: gives up what waits for the disk. The files stay, and a rewrite is scheduled. */
void aof_let_go(struct aof *a);
/* Skips the stream while the log is let go. False: something is owed. */
NODISCARD bool aof_pass_by(struct aof *a);
void aof_measure_room(struct aof *a);  /* when a rewrite begins */
void aof_found_no_room(struct aof *a); /* when it has failed */
void aof_try_soon(struct aof *a);      /* it failed before anything was written that takes room */
bool aof_has_room(struct aof *a);      /* true: another try is worth it */

/* aof_files.c */
struct aof_part aof_new_part(const struct aof *a,
                             enum aof_part_kind kind); /* a name for a new part; the caller releases it */
char *aof_path(const struct aof *a, const char *name); /* in the directory of the log; the caller frees it */
/* Makes what a rewrite needs: the directory and, unless the log is off, a new file for the stream from here on. 0, or
 * -errno: the stream is written where it was before. */
NODISCARD int aof_prepare_files(struct aof *a);
/* Continues the log in a new file at this place, which is that of the data set that the files before it make. 0, or
 * -errno; *listed: the manifest on disk may list the new file in spite of the failure. */
NODISCARD int aof_cut_file(struct aof *a, const struct repl_position *at, bool *listed);
void aof_drop_temp_incr(struct aof *a); /* in AOF_WAITS: deletes the temporary file, if there is one */
void aof_drop_base(struct aof *a);      /* deletes the base of a failed rewrite, if there is one */
/* Makes the new base, and the stream since the rewrite began, the log. 0, or -errno, logged, with the manifest as it
 * was. */
NODISCARD int aof_adopt_base(struct aof *a);
/* In AOF_WAITS: makes this RDB, which is synced and equals the data set at the end of the stream, the base of the log. It
 * keeps its name. 0 with the log on, or -errno, logged, with the log as it was. */
NODISCARD int aof_adopt_snapshot(struct aof *a, const char *path);

#endif
