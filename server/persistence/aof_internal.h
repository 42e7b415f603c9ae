/* aof_internal.h -- what the files of aof share. For them alone.
 *
 *     aof_rewrite.c   when the log is rewritten; switching it on and off, and what the end of a history does to it
 *     aof_files.c     which files the log is made of: at the start, for a rewrite, and after it
 *     aof.c           the object: writing what the stream says, the end, INFO
 *     aof_disk.c      while the disk does not take it: letting go, looking for room
 *     aof_sync.c      syncing: the worker and its results, syncs that are waited for
 *
 * Each file uses only those below it. */
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

enum aof_state { AOF_OFF = 0, AOF_WAITS /* for its first rewrite */, AOF_ON };

struct rewrite {
    bool scheduled, running;
    bool as_rdb;               /* the format of the one that runs, whatever is configured meanwhile (S6) */
    int64_t started_s, last_s; /* last_s: how long the last one took, -1: none yet */
    bool last_ok;
    uint64_t done, last_cow_bytes;
    uint64_t position;    /* of the stream, that its base stands for */
    struct aof_part base; /* that it makes; no list holds it yet. name NULL: none */
    unsigned failures;    /* in a row */
    int delay_minutes;    /* until the next one by itself, 0: none was needed yet */
    int64_t next_s;
};

/* For a rewrite, as far as the file system tells. */
struct room {
    uint64_t bytes; /* free when the last try began, or at any time since it failed */
    int64_t failed_us, retry_us;
};

/* What the worker has to tell. */
struct sync_result {
    pthread_mutex_t lock;
    unsigned syncs; /* ended since the last look */
    uint64_t epoch, position;
    unsigned file_number;
    uint64_t file_size;
    bool any_good;
    int error;   /* of the latest, 0: good */
    bool failed; /* one of them */
};

struct aof {
    struct aof_uses uses;
    struct core *core;
    enum aof_state state;
    bool interrupted; /* the data set is being replaced: nothing is written until it has begun anew */
    struct aof_manifest manifest;
    struct aof_file *file; /* being written to, or NULL */
    bool file_is_temp;     /* until the first rewrite is there */
    unsigned file_number;  /* counts the files that were written to */
    bool sum_due;          /* a checksum note goes in front of the next append */
    uint64_t file_synced;  /* the file is on disk up to there, for sure */
    uint32_t boot;
    struct repl_stream_reader reader;
    int64_t timestamp_s; /* the last one noted in the file */

    struct worker *worker;
    struct loop_waker waker;
    struct sync_result result;
    unsigned syncs;  /* at the worker */
    bool doubtful;   /* one failed: what it was to bring to disk may be lost, whatever later ones say */
    uint64_t epoch;  /* of the history: positions of another one say nothing */
    uint64_t synced; /* position; with has_synced */
    bool has_synced;
    uint64_t sync_asked;                /* position up to which a sync is under way or done */
    int64_t last_sync_us, slow_sync_us; /* slow_sync_us: when the sync was begun that was told to be slow */
    uint64_t delayed_syncs;

    bool let_go; /* what the stream gets is in no file that counts, until a rewrite is there: AOF_WAITS */
    int let_go_error;
    bool let_go_owes;          /* the temporary file has data in it */
    uint64_t of_the_moment_to; /* position: what the reader has up to there changes no data */
    struct room room;

    int write_error, sync_error; /* errno, 0: none */
    int64_t retry_us, error_logged_us;
    char refusal[160];

    uint64_t other_bytes; /* of all files but the one being written to */
    uint64_t base_bytes;  /* of all files after the last rewrite, or at the start */
    int64_t flush_sleep_us;
    struct rewrite rewrite;
};

static inline const struct settings_persistence *aof_settings(const struct aof *a)
{
    return &a->core->settings->persistence;
}

/* In bytes, all files together; the temporary one does not count yet. */
static inline uint64_t aof_current_bytes(const struct aof *a)
{
    return a->other_bytes + (a->file != NULL && !a->file_is_temp ? aof_file_size(a->file) : 0);
}

/* Ends a rewrite that runs; its base is dropped. */
static inline void aof_cancel_rewrite(struct aof *a)
{
    if (child_kind(a->uses.child) == CHILD_REWRITE) child_cancel(a->uses.child);
}

/* aof_sync.c */
enum aof_job { AOF_JOB_SYNC = 1, AOF_JOB_CLOSE = 2 };
void aof_sync_start(struct aof *a); /* the worker */
void aof_sync_stop(struct aof *a);  /* waits until it has done all jobs */
/* The worker does it, behind all that it was given before; `what` is one of these or both. A sync is for all that was
 * written so far; what comes of it is noted later. With AOF_JOB_CLOSE the descriptor is the worker's from now on. */
void aof_hand_over(struct aof *a, int fd, unsigned what);
void aof_sync_later(struct aof *a);        /* hands over a sync of the file that is written to */
NODISCARD int aof_sync_now(struct aof *a); /* the same, waited for. 0, or -errno */
/* All that was written is on disk, whatever the policy. 0, or -errno with the log in doubt. */
NODISCARD int aof_sync(struct aof *a);
/* Syncs and closes the file that is written to, if there is one: another one takes its place, or none. */
void aof_retire_file(struct aof *a);
void aof_on_synced(struct aof *a, uint64_t position); /* all up to there is on disk */
void aof_forget_synced(struct aof *a); /* what a sync that is under way will tell is of no use any more */
/* After each change of write_error, sync_error or let_go: while one of them is set, admission asks aof_refuses_writes(). */
void aof_note_obstacle(struct aof *a);
static inline bool aof_is_unsynced(const struct aof *a)
{
    return !a->has_synced || a->synced < a->reader.pos;
}

/* aof.c */
/* Writes all that the stream has, and syncs it where that is promised. 0, or -errno. */
NODISCARD int aof_flush(struct aof *a);
/* The stream is read from here on. All that came before is in the files. */
void aof_start_reading(struct aof *a);
/* Nothing of this history is written any more. What was, stays. No rewrite may be running. */
void aof_stop_writing(struct aof *a);
void aof_format_place(const struct aof *a, struct aof_file *file, const struct repl_position *at,
                      struct bytes_buf *out); /* the note of a file that ends there */

/* aof_disk.c */
/* Has the stream, from the log's reader on, anything that changes data? Only that is owed. */
bool aof_owes(struct aof *a);
/* Is more of the stream kept for the log than may be, while it cannot be written? */
bool aof_pins_too_much(const struct aof *a);
/* Gives up what waits. The files stay, and a rewrite is to begin the log anew. */
void aof_let_go(struct aof *a);
/* Without a file, what the stream has got is passed over. False: with `always`, and it is owed. */
NODISCARD bool aof_pass_by(struct aof *a);
void aof_measure_room(struct aof *a);  /* a rewrite begins */
void aof_found_no_room(struct aof *a); /* it failed */
bool aof_has_room(struct aof *a);      /* is it worth another try? */

/* aof_files.c */
struct aof_part aof_new_part(const struct aof *a,
                             enum aof_part_kind kind); /* what it is called; the caller releases it */
char *aof_path(const struct aof *a, const char *name); /* of a file of the log; the caller frees it */
/* What a rewrite needs: the directory and, unless the log is off, a new file for what the stream gets from now on. 0,
 * or -errno with the stream going where it went before. */
NODISCARD int aof_prepare_files(struct aof *a);
/* The stream goes on in a new file from this position, which is true of what the files before it make. 0, or -errno;
 * *listed: the manifest on disk may have the new file all the same. */
NODISCARD int aof_cut_file(struct aof *a, const struct repl_position *at, bool *listed);
void aof_drop_temp_incr(struct aof *a); /* while the log waits for its first rewrite: the new file, if there is one */
void aof_drop_base(struct aof *a);      /* of a rewrite that failed, if it has got so far */
/* The new base, and what the stream has got since it was begun, are the log from now on. 0, or -errno, logged, with the
 * manifest as it was. */
NODISCARD int aof_adopt_base(struct aof *a);

#endif
