#include "server/persistence/saving.h"

#include <errno.h>

#include "server/config/settings.h"
#include "server/core/obstacles.h"
#include "server/persistence/saving_options.h"
#include "storage/base/memory.h"

enum { RETRY_AFTER_FAILURE_S = 5 };

struct saving {
    struct saving_uses uses;
    struct core *core;
    struct child *child;
    bool to_file;             /* the child for replicas writes dbfilename */
    bool save_this_turn;      /* see saving_flushed_all() */
    bool scheduled;           /* a background save starts once the present child has ended */
    uint64_t changes_at_save; /* keyspace.stats.changes at the last good save */
    uint64_t changes_at_fork;
    int64_t last_save_s;
    int64_t last_save_us, last_try_us; /* by the monotonic clock */
    int64_t last_duration_s;           /* -1: no background save has ended */
    bool last_ok;
    uint64_t saves;
    uint64_t last_cow_bytes;
};

struct saving *saving_new(const struct saving_uses *uses)
{
    struct saving *sv = mem_calloc(sizeof(*sv));
    sv->uses = *uses;
    sv->core = uses->core;
    sv->child = uses->child;
    sv->last_save_s = sv->core->clock.now_ms / 1000;
    sv->last_save_us = sv->core->clock.mono_us;
    sv->last_duration_s = -1;
    sv->last_ok = true;
    return sv;
}

void saving_free(struct saving *sv)
{
    mem_free(sv);
}

static const struct settings_persistence *settings_of(const struct saving *sv)
{
    return &sv->core->settings->persistence;
}

static int64_t now_s(const struct saving *sv)
{
    return sv->core->clock.now_ms / 1000;
}

/* ---- In the foreground ---- */

static void note_result(struct saving *sv, bool ok)
{
    sv->last_ok = ok;
    obstacle_note(&sv->core->obstacles, OBSTACLE_RDB, !ok);
}

static void note_saved(struct saving *sv, uint64_t changes)
{
    sv->changes_at_save = changes;
    sv->last_save_s = now_s(sv);
    sv->last_save_us = sv->core->clock.mono_us;
    note_result(sv, true);
    sv->saves++;
}

int saving_save(struct saving *sv)
{
    struct core *core = sv->core;
    struct repl_position at;
    struct bytes_buf error = {0};
    repl_position(core->repl, &at);
    struct snapshot_options options = saving_options(core, &at);
    options.stop_asked = sv->uses.stop_asked;
    options.stop_asked_ctx = sv->uses.ctx;
    int rc = snapshot_save_file(core->keyspace, core->sys, settings_of(sv)->dbfilename, &options, &error);
    clock_update(core);
    if (rc == 0) {
        note_saved(sv, core->keyspace->stats.changes);
        log_notice(core->log, "DB saved on disk");
    } else {
        log_warning(core->log, "Error saving DB on disk: %.*s (in server root dir %s)", (int)error.len,
                    error.data == NULL ? "" : error.data, settings_of(sv)->dir);
    }
    bytes_buf_release(&error);
    return rc == 0 ? 0 : -1;
}

/* ---- In the background ---- */

static void save_ended(void *ctx, const struct child_end *end)
{
    struct saving *sv = ctx;
    sv->last_cow_bytes = end->cow_bytes;
    sv->last_duration_s = now_s(sv) - child_started_s(sv->child);
    if (end->ok) {
        log_notice(sv->core->log, "Background saving terminated with success");
        note_saved(sv, sv->changes_at_fork);
    } else if (end->killed) {
        log_warning(sv->core->log, "Background saving terminated by signal");
    } else {
        log_warning(sv->core->log, "Background saving error: %s (in server root dir %s)", end->error,
                    settings_of(sv)->dir);
        note_result(sv, false);
    }
}

static int start_save(struct saving *sv)
{
    struct repl_position at;
    repl_position(sv->core->repl, &at);
    sv->last_try_us = sv->core->clock.mono_us;
    struct child_job job = {.kind = CHILD_SAVE,
                            .target = {.path = settings_of(sv)->dbfilename},
                            .options = saving_options(sv->core, &at),
                            .ended = save_ended,
                            .ctx = sv};
    int rc = child_start(sv->child, &job);
    if (rc == 0)
        sv->changes_at_fork = sv->core->keyspace->stats.changes;
    else
        note_result(sv, false);
    return rc;
}

int saving_bgsave(struct saving *sv, bool *may_wait, const char **error)
{
    bool asked_to_wait = *may_wait;
    enum child_kind active = child_kind(sv->child);
    *may_wait = false;
    if ((active == CHILD_REPLICAS || active == CHILD_REWRITE) && asked_to_wait) {
        sv->scheduled = *may_wait = true;
        return 0;
    }
    if (active == CHILD_REWRITE) {
        *error = "ERR Another child process is active (AOF?): can't BGSAVE right now. Use BGSAVE SCHEDULE in order to "
                 "schedule a BGSAVE whenever possible.";
        return -1;
    }
    if (active != CHILD_NONE) {
        *error = "ERR Background save already in progress";
        return -1;
    }
    if (start_save(sv) == 0) return 0;
    *error = "ERR Background saving could not start: see the server's log";
    return -1;
}

void saving_schedule(struct saving *sv)
{
    sv->scheduled = true;
}

const char *saving_write_refusal(const struct saving *sv)
{
    const struct settings_persistence *st = settings_of(sv);
    if (LIKELY(sv->last_ok) || !st->stop_writes_on_bgsave_error || st->save_count == 0) return NULL;
    return "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. Commands "
           "that may modify the data set are disabled, because this instance is configured to report errors during "
           "writes if RDB snapshotting fails (stop-writes-on-bgsave-error option). Please check the Redis logs for "
           "details about the RDB error.";
}

void saving_kill(struct saving *sv)
{
    enum child_kind active = child_kind(sv->child);
    if (active == CHILD_NONE || active == CHILD_REWRITE) return;
    log_warning(sv->core->log, "There is a child saving an .rdb. Killing it!");
    child_drop(sv->child);
    if (active == CHILD_REPLICAS)
        repl_snapshot_done(sv->core->repl, false, "the child was killed");
    else
        repl_child_ended(sv->core->repl); /* replicas may have waited for it (F15) */
}

void saving_flushed_all(struct saving *sv)
{
    saving_kill(sv); /* replicas get an empty snapshot sooner */
    sv->save_this_turn = settings_of(sv)->save_count > 0;
}

void saving_turn(struct saving *sv)
{
    if (LIKELY(!sv->save_this_turn)) return;
    if (child_is_active(sv->child)) return; /* its older file would replace ours (F4): later */
    sv->save_this_turn = false;
    (void)saving_save(sv); /* a failure is logged, and save points try again */
}

/* By the monotonic clock: a wall clock that is set back would put off saves until it is there again. */
static bool has_passed(const struct saving *sv, int64_t since_us, int64_t seconds)
{
    return sv->core->clock.mono_us - since_us > seconds * INT64_C(1000000);
}

static bool may_try(const struct saving *sv)
{
    return sv->last_ok || has_passed(sv, sv->last_try_us, RETRY_AFTER_FAILURE_S);
}

static bool save_point_reached(const struct saving *sv, const struct save_point *point)
{
    return saving_changes(sv) >= (uint64_t)point->changes && has_passed(sv, sv->last_save_us, point->seconds) &&
           may_try(sv);
}

/* While a failure refuses writes, no change brings the next save point, so nothing else would end the refusal. */
static void try_again(struct saving *sv)
{
    if (sv->last_ok || saving_write_refusal(sv) == NULL || !may_try(sv)) return;
    log_notice(sv->core->log, "The last background save failed. Saving again...");
    (void)start_save(sv);
}

void saving_cron(struct saving *sv)
{
    const struct settings_persistence *st = settings_of(sv);
    if (child_is_active(sv->child) || sv->core->modes.loading) return;
    if (sv->scheduled && may_try(sv)) {
        sv->scheduled = start_save(sv) != 0;
        return;
    }
    for (int i = 0; i < st->save_count; i++) {
        if (!save_point_reached(sv, &st->save[i])) continue;
        log_notice(sv->core->log, "%lld changes in %lld seconds. Saving...", (long long)st->save[i].changes,
                   (long long)st->save[i].seconds);
        (void)start_save(sv); /* a failure is logged and tried again later */
        return;
    }
    try_again(sv);
}

/* ---- Snapshots for replicas ---- */

static void snapshot_ended(void *ctx, const struct child_end *end)
{
    struct saving *sv = ctx;
    sv->last_cow_bytes = end->cow_bytes;
    if (end->ok && sv->to_file) note_saved(sv, sv->changes_at_fork); /* the file is as good as one of a save */
    repl_snapshot_done(sv->core->repl, end->ok, end->error);
}

/* `omit`: enum repl_omission. */
static void apply_omissions(const struct saving *sv, unsigned omit, struct rdb_options *rdb)
{
    if (omit & (REPL_OMIT_FIELD_TIMES | REPL_OMIT_KEYS)) rdb->version = settings_of(sv)->rdb_version;
    rdb->omit_keys = omit & REPL_OMIT_KEYS;
    rdb->omit_functions = omit & REPL_OMIT_FUNCTIONS;
    bool functions_alone = rdb->omit_keys && !rdb->omit_functions;
    if (functions_alone && rdb->version < RDB_VERSION_LIBRARIES) rdb->version = RDB_VERSION_LIBRARIES;
}

int saving_for_replicas(struct saving *sv, enum repl_snapshot_target kind, unsigned omit,
                        const struct repl_position *at, int *pipe_fd)
{
    const struct sys *sys = sv->core->sys;
    struct child_job job = {.kind = CHILD_REPLICAS, .ended = snapshot_ended, .ctx = sv};
    int fds[2] = {-1, -1};
    if (child_is_active(sv->child)) return -EBUSY;
    if (kind == REPL_SNAPSHOT_FILE) {
        job.target.path = settings_of(sv)->dbfilename;
    } else {
        int rc = sys->pipe(sys->ctx, fds);
        if (rc != 0) return rc;
        job.target.pipe_fd = fds[1];
    }
    job.options = saving_options(sv->core, at);
    apply_omissions(sv, omit, &job.options.rdb);
    int rc = child_start(sv->child, &job);
    if (rc == 0) {
        sv->to_file = kind == REPL_SNAPSHOT_FILE;
        sv->changes_at_fork = sv->core->keyspace->stats.changes;
    }
    if (fds[1] != -1) sys->close(sys->ctx, fds[1]);
    if (rc != 0 && fds[0] != -1) sys->close(sys->ctx, fds[0]);
    if (rc == 0 && kind != REPL_SNAPSHOT_FILE) *pipe_fd = fds[0];
    return rc;
}

void saving_for_replicas_cancel(struct saving *sv)
{
    if (child_kind(sv->child) != CHILD_REPLICAS) return;
    if (sv->to_file && settings_of(sv)->save_count > 0) return; /* it serves as a save */
    child_kill(sv->child);
}

/* ---- Figures ---- */

void saving_note_loaded(struct saving *sv)
{
    sv->changes_at_save = sv->core->keyspace->stats.changes;
}

uint64_t saving_changes(const struct saving *sv)
{
    return sv->core->keyspace->stats.changes - sv->changes_at_save;
}

int64_t saving_last_s(const struct saving *sv)
{
    return sv->last_save_s;
}

void saving_info(const struct saving *sv, struct bytes_buf *out)
{
    enum child_kind active = child_kind(sv->child);
    bool saving = active == CHILD_SAVE || active == CHILD_REPLICAS;
    bytes_buf_printf(
        out,
        "rdb_changes_since_last_save:%llu\r\nrdb_bgsave_in_progress:%d\r\nrdb_last_save_time:%lld\r\n"
        "rdb_last_bgsave_status:%s\r\nrdb_last_bgsave_time_sec:%lld\r\nrdb_current_bgsave_time_sec:%lld\r\n"
        "rdb_saves:%llu\r\nrdb_last_cow_size:%llu\r\n",
        (unsigned long long)saving_changes(sv), saving, (long long)sv->last_save_s, sv->last_ok ? "ok" : "err",
        (long long)sv->last_duration_s, saving ? (long long)(now_s(sv) - child_started_s(sv->child)) : -1LL,
        (unsigned long long)sv->saves, (unsigned long long)sv->last_cow_bytes);
}
