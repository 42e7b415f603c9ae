#include "server/persistence/child.h"

#include <stdio.h>

#include "replication/replication.h"
#include "server/config/settings.h"
#include "server/core/latency.h"
#include "server/net/loop.h"
#include "server/process/process.h"
#include "storage/base/assert.h"
#include "storage/base/memory.h"

struct child {
    struct core *core;
    struct process_oom *oom;
    struct snapshot *snapshot; /* NULL: no child is active */
    struct loop_io io;         /* of snapshot_fd() */
    enum child_kind kind;      /* CHILD_NONE: no child is active */
    void (*ended)(void *ctx, const struct child_end *end);
    void *ended_ctx;
    int64_t started_s, last_fork_us;
    uint64_t forks;
    uint64_t peak_cow_bytes; /* of the last child */
    char error[256];
};

struct child *child_new(struct core *core, struct process_oom *oom)
{
    struct child *ch = mem_calloc(sizeof(*ch));
    ch->core = core;
    ch->oom = oom;
    return ch;
}

void child_free(struct child *ch)
{
    if (ch == NULL) return;
    if (child_is_active(ch)) child_drop(ch);
    mem_free(ch);
}

enum child_kind child_kind(const struct child *ch)
{
    return ch->kind;
}
bool child_is_active(const struct child *ch)
{
    return ch->kind != CHILD_NONE;
}
int64_t child_started_s(const struct child *ch)
{
    return ch->started_s;
}
uint64_t child_fork_count(const struct child *ch)
{
    return ch->forks;
}
int64_t child_last_fork_us(const struct child *ch)
{
    return ch->last_fork_us;
}

/* ---- In the child ---- */

static void set_up_process(void *ctx)
{
    const struct child *ch = ctx;
    const struct settings_process *st = &ch->core->settings->process;
    bool is_rewrite = ch->kind == CHILD_REWRITE;
    const char *cpus = is_rewrite ? st->aof_rewrite_cpulist : st->bgsave_cpulist;
    log_set_role(ch->core->log, 'C');
    if (!ch->core->life.process_owner) return;
    if (process_set_oom_score(ch->oom, st, PROCESS_OOM_CHILD) != 0)
        log_warning(ch->core->log, "Unable to write oom_score_adj of the child");
    if (process_pin_to_cpus(cpus) != 0)
        log_warning(ch->core->log, "%s %s cannot be applied", is_rewrite ? "aof_rewrite_cpulist" : "bgsave_cpulist",
                    cpus);
}

/* ---- The end ---- */

/* To rename or remove a large file takes long on some file systems: the file that goes is freed meanwhile. */
static void note_files(struct child *ch, bool removed, int64_t start_us)
{
    const char *renamed = ch->kind == CHILD_REWRITE ? "aof-rename" : "rdb-rename";
    latency_note(ch->core, removed ? "rdb-unlink-temp-file" : renamed, (sys_mono_us(ch->core->sys) - start_us) / 1000);
}

void child_drop(struct child *ch)
{
    ASSERT(child_is_active(ch));
    int64_t start = sys_mono_us(ch->core->sys);
    loop_io_stop(&ch->io);
    snapshot_end(ch->snapshot);
    note_files(ch, true, start);
    ch->snapshot = NULL;
    ch->kind = CHILD_NONE;
}

static void end(struct child *ch, const struct child_end *how)
{
    enum child_kind kind = ch->kind;
    child_drop(ch);
    ch->ended(ch->ended_ctx, how);
    if (kind != CHILD_REPLICAS) repl_child_ended(ch->core->repl); /* replicas may have waited for it (F15) */
}

void child_kill(struct child *ch)
{
    ASSERT(child_is_active(ch));
    snapshot_kill(ch->snapshot);
}

void child_cancel(struct child *ch)
{
    ASSERT(child_is_active(ch));
    end(ch, &(struct child_end){.killed = true, .error = "killed on request", .cow_bytes = ch->peak_cow_bytes});
}

static void on_readable(void *ctx, unsigned ready)
{
    struct child *ch = ctx;
    (void)ready;
    int64_t start = sys_mono_us(ch->core->sys);
    enum snapshot_state state = snapshot_poll(ch->snapshot);
    note_files(ch, state == SNAPSHOT_FAILED, start);
    const struct snapshot_progress *progress = snapshot_progress(ch->snapshot);
    if (progress->cow_bytes > ch->peak_cow_bytes) ch->peak_cow_bytes = progress->cow_bytes;
    if (state == SNAPSHOT_RUNNING) return;
    struct child_end how = {.ok = state == SNAPSHOT_DONE, .error = ch->error, .cow_bytes = ch->peak_cow_bytes};
    if (!how.ok) {
        how.killed = snapshot_was_killed(ch->snapshot);
        snprintf(ch->error, sizeof(ch->error), "%s", snapshot_error(ch->snapshot));
    }
    clock_update(ch->core);
    end(ch, &how);
}

/* ---- The start ---- */

static const char *what_started(const struct child_job *job)
{
    if (job->kind == CHILD_REWRITE) return "append only file rewriting";
    return job->target.path != NULL ? "saving" : "RDB transfer";
}

int child_start(struct child *ch, const struct child_job *job)
{
    struct core *core = ch->core;
    struct snapshot_options options = job->options;
    ASSERT(!child_is_active(ch) && job->kind != CHILD_NONE);
    options.in_child = set_up_process;
    options.in_child_ctx = ch;
    ch->kind = job->kind; /* the child reads it */
    ch->ended = job->ended;
    ch->ended_ctx = job->ctx;
    int64_t start = sys_mono_us(core->sys);
    int rc = snapshot_begin(core->keyspace, core->sys, &job->target, &options, &ch->snapshot);
    ch->last_fork_us = sys_mono_us(core->sys) - start;
    if (rc != 0) {
        ch->kind = CHILD_NONE;
        log_warning(core->log, "Can't %s in background: fork: %s",
                    job->kind == CHILD_REWRITE ? "rewrite append only file" : "save", strerror(-rc));
        return rc;
    }
    latency_note(core, "fork", ch->last_fork_us / 1000);
    ch->forks++;
    ch->peak_cow_bytes = 0;
    ch->started_s = core->clock.now_ms / 1000;
    loop_io_start(core->loop, &ch->io, snapshot_fd(ch->snapshot), on_readable, ch);
    loop_io_want(&ch->io, LOOP_READ);
    log_notice(core->log, "Background %s started by pid %d", what_started(job), (int)snapshot_pid(ch->snapshot));
    return 0;
}

/* ---- INFO ---- */

void child_info(const struct child *ch, struct bytes_buf *out)
{
    struct snapshot_progress progress = {0};
    if (child_is_active(ch)) progress = *snapshot_progress(ch->snapshot);
    double perc = progress.keys_total > 0 ? 100.0 * (double)progress.keys_done / (double)progress.keys_total : 0;
    int64_t age_us = progress.cow_us > 0 ? sys_mono_us(ch->core->sys) - progress.cow_us : 0;
    bytes_buf_printf(
        out,
        "current_cow_peak:%llu\r\ncurrent_cow_size:%llu\r\ncurrent_cow_size_age:%lld\r\ncurrent_fork_perc:%.2f\r\n"
        "current_save_keys_processed:%llu\r\ncurrent_save_keys_total:%llu\r\n",
        (unsigned long long)(child_is_active(ch) ? ch->peak_cow_bytes : 0), (unsigned long long)progress.cow_bytes,
        (long long)age_us / 1000000, perc, (unsigned long long)progress.keys_done,
        (unsigned long long)progress.keys_total);
}
