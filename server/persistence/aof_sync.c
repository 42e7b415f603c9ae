/* aof_sync.c -- syncs of the append-only file: by a worker thread, or by the main thread where it must wait. */
#include "server/persistence/aof_internal.h"

#include <errno.h>

#include "server/core/latency.h"
#include "server/core/obstacles.h"
#include "server/process/process.h"
#include "storage/base/memory.h"
#include "storage/base/ticks.h"
#include "storage/base/worker.h"

/* ---- The worker ---- */

struct job {
    struct aof *aof;
    const struct sys *sys;
    int fd;
    unsigned what;            /* of enum aof_job */
    uint64_t epoch, position; /* of what is synced */
    unsigned file_number;
    uint64_t file_size;
};

static void tell_result(struct aof *a, const struct job *job, int rc)
{
    struct sync_result *r = &a->result;
    pthread_mutex_lock(&r->lock);
    r->syncs++;
    r->error = -rc;
    if (rc != 0) {
        r->failed = true;
        r->failed_file = job->file_number;
    } else {
        r->epoch = job->epoch;
        r->position = job->position;
        r->file_number = job->file_number;
        r->file_size = job->file_size;
        r->any_good = true;
    }
    pthread_mutex_unlock(&r->lock);
    loop_waker_wake(&a->waker);
}

static int sync_and_measure(struct sync_result *r, const struct sys *sys, int fd)
{
    uint64_t start = ticks_now();
    int rc = sys->fsync(sys->ctx, fd);
    uint64_t took = ticks_now() - start;
    pthread_mutex_lock(&r->lock);
    histogram_add(&r->times, took);
    pthread_mutex_unlock(&r->lock);
    return rc;
}

void aof_sync_times(struct aof *a, struct histogram *out)
{
    pthread_mutex_lock(&a->result.lock);
    *out = a->result.times;
    pthread_mutex_unlock(&a->result.lock);
}

static void run_job(void *ctx)
{
    struct job *job = ctx;
    int rc = 0;
    if (job->what & AOF_JOB_SYNC) rc = sync_and_measure(&job->aof->result, job->sys, job->fd);
    if (job->what & AOF_JOB_CLOSE)
        (void)job->sys->close(job->sys->ctx, job->fd); /* the file is synced, or the failure of the sync is reported */
    if (job->what & AOF_JOB_SYNC) tell_result(job->aof, job, rc);
    mem_free(job);
}

void aof_hand_over(struct aof *a, int fd, unsigned what)
{
    struct job *job = mem_alloc(sizeof(*job));
    *job = (struct job){.aof = a,
                        .sys = a->core->sys,
                        .fd = fd,
                        .what = what,
                        .epoch = a->epoch,
                        .position = a->reader.pos,
                        .file_number = a->file_number,
                        .file_size = a->file != NULL ? aof_file_size(a->file) : 0};
    if (what & AOF_JOB_SYNC) a->syncs++;
    worker_run(a->worker, run_job, job);
}

void aof_note_obstacle(struct aof *a)
{
    bool waits = a->state == AOF_WAITS && a->promised;
    obstacle_note(&a->core->obstacles, OBSTACLE_AOF, waits || a->let_go || a->write_error != 0 || a->sync_error != 0);
}

static void note_sync_error(struct aof *a, int error)
{
    if (error != 0 && a->sync_error == 0)
        log_warning(a->core->log, "Syncing the AOF file failed: %s. Writes are refused until it works again.",
                    strerror(error));
    if (error == 0 && a->sync_error != 0) log_warning(a->core->log, "Syncing the AOF file works again.");
    a->sync_error = error;
    aof_note_obstacle(a);
}

int aof_note_end(struct aof *a)
{
    struct bytes_buf note = {0};
    if (LIKELY(aof_file_has_note(a->file)) || aof_file_size(a->file) <= AOF_SUM_FIRST) return 0;
    aof_sum_write_note(aof_file_sum(a->file), a->file_synced, a->boot, &note);
    int rc = aof_file_write(a->file, &(struct iovec){.iov_base = note.data, .iov_len = note.len}, 1);
    if (rc == 0) rc = aof_file_commit(a->file, bytes_view(NULL, 0)); /* a #SUM stays in the file */
    if (rc != 0) aof_file_undo(a->file);
    bytes_buf_release(&note);
    return rc;
}

void aof_sync_later(struct aof *a)
{
    a->last_sync_us = a->core->clock.mono_us;
    int rc = aof_note_end(a);
    if (rc != 0) {
        note_sync_error(a, -rc); /* no sync has failed: there is no doubt, and the next one covers these bytes */
        return;
    }
    a->sync_asked = a->reader.pos;
    a->sum_due = true;
    aof_hand_over(a, aof_file_fd(a->file), AOF_JOB_SYNC);
}

/* After a failed fsync the kernel may drop the pages that it could not write, and the next fsync succeeds (S4). After a
 * failure nothing counts as synced until a rewrite has written everything to new files: one that began after it, since the
 * base of one that is running lacks what is in the file that was begun with it: aof_end_doubt(). */
static void doubt(struct aof *a, unsigned file_number)
{
    if (!a->doubtful || file_number > a->doubtful_file) a->doubtful_file = file_number;
    a->doubtful = true;
    if (a->state != AOF_OFF && !a->interrupted) a->rewrite.scheduled = true;
}

void aof_doubt_file(struct aof *a)
{
    doubt(a, a->file_number);
    a->rewrite.scheduled = true;
}

void aof_end_doubt(struct aof *a)
{
    if (!a->doubtful || a->doubtful_file == a->file_number) return;
    a->doubtful = false;
    a->sync_asked = 0; /* the next sync covers everything since the base */
}

void aof_on_synced(struct aof *a, uint64_t position)
{
    if (a->doubtful) return;
    a->synced = position;
    a->has_synced = true;
    if (a->state != AOF_ON) return; /* the file is useless until its base exists */
    repl_aof_synced(a->core->repl, true, position);
    a->uses.synced(a->uses.ctx);
}

void aof_set_state(struct aof *a, enum aof_state state)
{
    a->state = state;
    if (state != AOF_WAITS) a->promised = state == AOF_ON;
    aof_note_obstacle(a);
}

static void on_wake(void *ctx)
{
    struct aof *a = ctx;
    struct sync_result *r = &a->result;
    pthread_mutex_lock(&r->lock);
    unsigned syncs = r->syncs;
    bool failed = r->failed;
    unsigned failed_file = r->failed_file;
    bool good = r->any_good && r->epoch == a->epoch;
    uint64_t position = r->position, file_size = r->file_size;
    bool same_file = r->any_good && r->file_number == a->file_number;
    int error = r->error;
    r->syncs = 0;
    r->any_good = r->failed = false;
    pthread_mutex_unlock(&r->lock);
    a->syncs -= syncs;
    if (failed) doubt(a, failed_file);
    if (syncs > 0) note_sync_error(a, error);
    if (same_file && !a->doubtful && file_size > a->file_synced) a->file_synced = file_size;
    if (error != 0) a->sync_asked = 0; /* the next sync covers these bytes too */
    if (good && a->state != AOF_OFF && (!a->has_synced || position > a->synced)) aof_on_synced(a, position);
}

void aof_await_syncs(struct aof *a)
{
    if (a->syncs == 0) return;
    worker_drain(a->worker);
    on_wake(a);
}

static void pin_worker(void *ctx)
{
    const struct core *core = ctx;
    const char *cpus = core->settings->process.bio_cpulist;
    if (core->life.process_owner && process_pin_to_cpus(cpus) != 0)
        log_warning(core->log, "bio_cpulist %s cannot be applied", cpus);
}

void aof_sync_start(struct aof *a)
{
    pthread_mutex_init(&a->result.lock, NULL);
    a->worker = worker_new();
    worker_on_start(a->worker, pin_worker, a->core);
    loop_waker_start(a->core->loop, &a->waker, on_wake, a);
}

void aof_sync_stop(struct aof *a)
{
    worker_free(a->worker);
    loop_waker_stop(&a->waker);
    pthread_mutex_destroy(&a->result.lock);
}

/* ---- Syncs by the main thread ---- */

/* Of two syncs at the same time one alone is told of an error. So the worker's is waited for. 0 or -errno. */
static int hear_of_failures(struct aof *a)
{
    bool was_doubtful = a->doubtful;
    aof_await_syncs(a);
    if (was_doubtful || !a->doubtful || a->doubtful_file != a->file_number) return 0;
    return a->sync_error != 0 ? -a->sync_error : -EIO;
}

int aof_sync_now(struct aof *a)
{
    struct core *core = a->core;
    int64_t start = sys_mono_us(core->sys);
    int rc = hear_of_failures(a);
    if (rc == 0) rc = aof_note_end(a);
    if (rc != 0) return rc;
    rc = sync_and_measure(&a->result, core->sys, aof_file_fd(a->file));
    latency_note(core, "aof-fsync-always", (sys_mono_us(core->sys) - start) / 1000);
    a->last_sync_us = core->clock.mono_us;
    if (rc != 0) return rc;
    note_sync_error(a, 0);
    a->sync_asked = a->reader.pos;
    a->sum_due = true;
    if (!a->doubtful) a->file_synced = aof_file_size(a->file);
    aof_on_synced(a, a->reader.pos);
    return 0;
}

bool aof_end_server(struct aof *a, const char *what, int rc)
{
    log_warning(a->core->log, "Can't %s the AOF file: %s, and the AOF fsync policy is 'always'. Exiting...", what,
                strerror(-rc));
    a->broken = true;
    lifecycle_stop(a->core, 1);
    return false;
}

/* With `always` the next sync, at the end of the turn, would succeed without the pages that are lost. */
void aof_sync_failed(struct aof *a, int error)
{
    note_sync_error(a, error);
    doubt(a, a->file_number);
    a->sync_asked = 0; /* the next sync covers these bytes too */
    if (a->state == AOF_ON && aof_settings(a)->appendfsync == APPENDFSYNC_ALWAYS)
        (void)aof_end_server(a, "sync", -error);
}

int aof_sync(struct aof *a)
{
    if (a->file == NULL || !aof_is_unsynced(a)) return 0;
    int rc = aof_sync_now(a);
    if (rc == 0) return 0;
    aof_sync_failed(a, -rc);
    return rc;
}

/* ---- Another file, or another history ---- */

/* Syncs the file before it is closed, lest a power cut leaves a later file whole and this one short (S5). */
void aof_retire_file(struct aof *a)
{
    if (a->file == NULL) return;
    if (aof_note_end(a) != 0) doubt(a, a->file_number); /* a start that finds another file behind it may be refused */
    a->other_bytes += aof_file_size(a->file);
    a->last_sync_us = a->core->clock.mono_us;
    aof_hand_over(a, aof_file_fd(a->file), AOF_JOB_SYNC | AOF_JOB_CLOSE);
    aof_file_forget(a->file);
    a->file = NULL;
}

void aof_forget_synced(struct aof *a)
{
    a->epoch++;
    a->has_synced = a->doubtful = false;
    repl_aof_synced(a->core->repl, false, 0);
}
