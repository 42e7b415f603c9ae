/* aof_rewrite.c -- when the log is rewritten: by command, by growth, when it is switched on, and after a load. */
#include "server/persistence/aof_internal.h"

#include <errno.h>
#include <inttypes.h>

#include "server/dispatch/dispatch.h"
#include "server/persistence/saving_options.h"
#include "storage/base/memory.h"

enum {
    FAILURES_FREE = 3, /* so many failures in a row before retries are delayed */
    RETRY_MINUTES_MAX = 60,
};

/* ---- One rewrite ---- */

static void rewrite_failed(struct aof *a, bool killed)
{
    struct rewrite *rw = &a->rewrite;
    if (!killed) {
        rw->last_ok = false;
        rw->failures++;
        aof_found_no_room(a);
    }
    aof_drop_base(a);
    if (a->state == AOF_WAITS) aof_drop_temp_incr(a);
    if (a->state == AOF_WAITS || a->doubtful) rw->scheduled = true;
}

/* If the child succeeded, the base has its final name. */
static void rewrite_ended(void *ctx, const struct child_end *end)
{
    struct aof *a = ctx;
    struct core *core = a->core;
    struct rewrite *rw = &a->rewrite;
    rw->running = false;
    rw->last_s = core->clock.now_ms / 1000 - rw->started_s;
    rw->last_cow_bytes = end->cow_bytes;
    if (end->ok && aof_adopt_base(a) == 0) {
        log_notice(core->log, "Background AOF rewrite finished successfully");
        rw->last_ok = true;
        rw->failures = 0;
        rw->done++;
        return;
    }
    log_warning(core->log, "Background AOF rewrite failed: %s", end->ok ? "see above" : end->error);
    rewrite_failed(a, end->killed);
}

static int start_child(struct aof *a)
{
    struct rewrite *rw = &a->rewrite;
    struct repl_position at;
    rw->as_rdb = aof_settings(a)->aof_use_rdb_preamble;
    repl_position(a->core->repl, &at);
    rw->position = at.offset;
    rw->base = aof_new_part(a, rw->as_rdb ? AOF_PART_BASE_RDB : AOF_PART_BASE_COMMANDS);
    char *path = aof_path(a, rw->base.name);
    struct child_job job = {.kind = CHILD_REWRITE,
                            .target = {.path = path},
                            .options = saving_options_of_base(a->core, !rw->as_rdb, &at),
                            .ended = rewrite_ended,
                            .ctx = a};
    int rc = child_start(a->uses.child, &job);
    mem_free(path);
    return rc;
}

static int begin_rewrite(struct aof *a)
{
    struct rewrite *rw = &a->rewrite;
    rw->scheduled = false;
    aof_measure_room(a);
    int rc = aof_prepare_files(a);
    if (rc == 0) rc = start_child(a);
    if (rc != 0) {
        rewrite_failed(a, false);
        if (rc != -ENOSPC) aof_try_soon(a);
        return rc;
    }
    rw->running = true;
    rw->started_s = a->core->clock.now_ms / 1000;
    return 0;
}

enum aof_rewrite_answer aof_rewrite(struct aof *a, bool later)
{
    if (a->rewrite.running) return AOF_REWRITE_RUNNING;
    if (later || a->interrupted || child_is_active(a->uses.child)) {
        a->rewrite.scheduled = true;
        a->rewrite.failures = 0; /* a request ends the delay of retries */
        a->room.retry_us = 0;
        return AOF_REWRITE_SCHEDULED;
    }
    return begin_rewrite(a) == 0 ? AOF_REWRITE_STARTED : AOF_REWRITE_FAILED;
}

/* ---- Without a request ---- */

/* True if a rewrite must wait because earlier ones failed. The delay doubles with each failure. While the log has no
 * base (AOF_WAITS), free room on the disk decides instead. */
static bool is_limited(struct aof *a)
{
    struct rewrite *rw = &a->rewrite;
    int64_t now_s = a->core->clock.mono_us / 1000000;
    if (a->state == AOF_WAITS && (a->let_go || rw->failures >= FAILURES_FREE)) return !aof_has_room(a);
    if (rw->failures < FAILURES_FREE) {
        rw->delay_minutes = 0;
        rw->next_s = 0;
        return false;
    }
    if (rw->next_s > now_s) return true;
    if (rw->next_s != 0) {
        rw->next_s = 0; /* the delay is over */
        return false;
    }
    rw->delay_minutes = rw->delay_minutes == 0 ? 1 : rw->delay_minutes * 2;
    if (rw->delay_minutes > RETRY_MINUTES_MAX) rw->delay_minutes = RETRY_MINUTES_MAX;
    rw->next_s = now_s + rw->delay_minutes * INT64_C(60);
    log_warning(a->core->log,
                "Background AOF rewrite has repeatedly failed and triggered the limit, will retry in %d minutes",
                rw->delay_minutes);
    return true;
}

/* In percent of the size after the last rewrite; -1: the log is too small, or growth is not looked at. */
static int64_t growth(const struct aof *a)
{
    const struct settings_persistence *st = aof_settings(a);
    uint64_t now = aof_current_bytes(a), base = a->base_bytes > 0 ? a->base_bytes : 1;
    if (a->state != AOF_ON || st->auto_aof_rewrite_percentage == 0 || now <= (uint64_t)st->auto_aof_rewrite_min_size)
        return -1;
    return (int64_t)((double)now * 100 / (double)base - 100);
}

void aof_cron(struct aof *a)
{
    if (a->interrupted || a->core->modes.loading || child_is_active(a->uses.child)) return;
    if (a->rewrite.scheduled) {
        if (!is_limited(a)) (void)begin_rewrite(a); /* a failure is logged, and retried where needed */
        return;
    }
    int64_t grown = growth(a);
    if (grown < a->core->settings->persistence.auto_aof_rewrite_percentage || grown < 0 || is_limited(a)) return;
    log_notice(a->core->log, "Starting automatic rewriting of AOF on %" PRId64 "%% growth", grown);
    (void)begin_rewrite(a); /* likewise */
}

/* ---- On and off ---- */

static int switch_on(struct aof *a)
{
    struct core *core = a->core;
    if (a->state != AOF_OFF) return 0;
    repl_aof_want(core->repl, true);
    aof_set_state(a, AOF_WAITS);
    if (a->rewrite.running) {
        log_notice(core->log,
                   "AOF was enabled but there is already an AOF rewriting in background. Stopping background AOF "
                   "and starting a rewrite now.");
        aof_set_state(a, AOF_OFF); /* the state in which the rewrite began */
        aof_cancel_rewrite(a);
        aof_set_state(a, AOF_WAITS);
    }
    if (child_is_active(a->uses.child) || exec_is_nested(&core->exec)) {
        log_notice(core->log,
                   "AOF was enabled but there is already another background operation. An AOF background was "
                   "scheduled to start when possible.");
        a->rewrite.scheduled = true;
        return 0;
    }
    int rc = begin_rewrite(a);
    if (rc == 0) return 0;
    log_warning(core->log,
                "The server needs to enable the AOF but can't trigger a background AOF rewrite operation: %s",
                strerror(-rc));
    aof_set_state(a, AOF_OFF);
    a->rewrite.scheduled = false;
    repl_aof_want(core->repl, false);
    return rc;
}

/* Ends the log of this history, and a rewrite of it. */
static void break_off(struct aof *a)
{
    if (a->rewrite.running) {
        log_notice(a->core->log, "Killing running AOF rewrite child");
        aof_cancel_rewrite(a);
    }
    aof_stop_writing(a);
}

static void switch_off(struct aof *a)
{
    if (a->state == AOF_OFF) return;
    break_off(a);
    a->interrupted = a->rewrite.scheduled = a->let_go = false;
    aof_set_state(a, AOF_OFF);
    repl_aof_want(a->core->repl, false);
    a->uses.off(a->uses.ctx);
}

int aof_switch(struct aof *a, bool on)
{
    if (on) return switch_on(a) == 0 ? 0 : -1;
    switch_off(a);
    return 0;
}

void aof_history_ends(struct aof *a)
{
    if (a->state == AOF_OFF && !a->rewrite.running) return;
    break_off(a);
    a->rewrite.scheduled = false;
    a->interrupted = a->state != AOF_OFF;
}

void aof_history_replaced(struct aof *a)
{
    if (a->state == AOF_OFF || !a->interrupted) return;
    a->interrupted = false;
    aof_set_state(a, AOF_WAITS);
    a->rewrite.scheduled = true;
    a->room.retry_us = 0;
    a->of_the_moment_to = 0;
    if (a->let_go) repl_aof_start(a->core->repl, &a->reader);
}

bool aof_wants_snapshot(const struct aof *a)
{
    return a->state != AOF_OFF;
}

void aof_begin_with(struct aof *a, const char *path)
{
    if (a->state != AOF_WAITS || a->interrupted || a->rewrite.running) return;
    if (aof_adopt_snapshot(a, path) != 0) return; /* the rewrite that is scheduled will make the base */
    a->rewrite.scheduled = !aof_settings(a)->aof_use_rdb_preamble;
}

/* The log cannot continue there: a rewrite replaces it. Its files stay valid, since nothing is added to them. */
static bool cut_by_rewrite(struct aof *a)
{
    aof_history_ends(a);
    aof_history_replaced(a);
    return true;
}

/* The rewrite would keep only the last incremental file, and the one before it would be lost. */
static void stop_rewrite(struct aof *a)
{
    if (!a->rewrite.running) return;
    aof_cancel_rewrite(a);
    a->rewrite.scheduled = true;
}

bool aof_cut(struct aof *a, const struct repl_position *at)
{
    bool listed;
    if (a->state == AOF_OFF || a->interrupted) return true;
    if (a->state == AOF_WAITS || at->id[0] == '\0') return cut_by_rewrite(a);
    if (aof_flush(a) != 0) return false;
    stop_rewrite(a);
    if (aof_cut_file(a, at, &listed) != 0) return listed && cut_by_rewrite(a);
    a->epoch++; /* a pending sync will report positions that are taken back */
    if (a->synced > at->offset) a->synced = at->offset;
    a->sync_asked = 0;
    return true;
}

bool aof_may_shut_down(struct aof *a, bool force)
{
    if (!a->rewrite.running) return true;
    if (a->state == AOF_WAITS) {
        log_warning(a->core->log, force ? "Writing initial AOF. Exit anyway." : "Writing initial AOF, can't exit");
        if (!force) return false;
    }
    log_warning(a->core->log, "There is a child rewriting the AOF. Killing it!");
    aof_cancel_rewrite(a);
    return true;
}
