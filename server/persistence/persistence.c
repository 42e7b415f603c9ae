#include "server/persistence/persistence.h"

#include <errno.h>
#include <stdio.h>

#include "server/clients/clients.h"
#include "server/clients/key_waits.h"
#include "server/clients/tracking.h"
#include "server/core/exec.h"
#include "server/core/latency.h"
#include "server/operation/shutdown.h"
#include "server/persistence/aof.h"
#include "server/scripting/functions.h"
#include "storage/base/memory.h"
#include "storage/lazyfree.h"
#include "storage/rdb_load.h"
#include "storage/snapshot.h"

enum child_kind {
    CHILD_NONE = 0,
    CHILD_SAVE,     /* BGSAVE or a save point */
    CHILD_REPLICAS, /* a full sync */
    CHILD_REWRITE,  /* of the append-only file */
};

enum { RETRY_AFTER_FAILURE_S = 5 };

struct load {             /* one that is under way */
    struct rdb_load *rdb; /* NULL: append-only files, of which this much was read: */
    uint64_t loaded_bytes;
    struct keyspace *into;       /* the server's own, or a sibling */
    struct functions *functions; /* its functions: the server's own, or new ones */
    bool replace;                /* what is there already */
    int64_t started_s;
    uint64_t total_bytes;
    struct bytes_buf expired; /* database, length and name of each key that was left out */
};

struct persistence {
    struct server *server;
    struct snapshot *snapshot; /* the child, if child != CHILD_NONE */
    struct loop_io snapshot_io;
    enum child_kind child;
    bool child_to_file;       /* the child writes dbfilename */
    bool save_this_turn;      /* see persistence_flushed_all() */
    bool scheduled;           /* BGSAVE SCHEDULE: once the present child has ended */
    uint64_t changes_at_save; /* keyspace.stats.changes at the last good save */
    uint64_t changes_at_fork;
    int64_t last_save_s, last_try_s, started_s;
    int64_t last_duration_s; /* -1: never saved in the background */
    bool last_ok;
    uint64_t saves, forks;
    uint64_t last_cow_bytes, peak_cow_bytes;
    int64_t last_fork_us;
    uint64_t last_load_keys, last_load_expired;
    struct load load;
    char error[256];
};

struct persistence *persistence_new(struct server *s)
{
    struct persistence *p = mem_calloc(sizeof(*p));
    p->server = s;
    p->last_save_s = s->core.clock.now_ms / 1000;
    p->last_duration_s = -1;
    p->last_ok = true;
    return p;
}

/* In the child, which is a copy of the process and no more than that. */
static void become_child(void *ctx)
{
    struct server *s = ctx;
    const struct settings_process *st = &s->core.settings->process;
    if (!s->core.life.process_owner) return;
    if (process_set_oom_score(&s->oom, st, PROCESS_OOM_CHILD) != 0)
        log_warning(s->core.log, "Unable to write oom_score_adj of the child");
    if (process_pin_to_cpus(st->bgsave_cpulist) != 0)
        log_warning(s->core.log, "bgsave_cpulist %s cannot be applied", st->bgsave_cpulist);
}

static void become_rewriter(void *ctx)
{
    struct server *s = ctx;
    const struct settings_process *st = &s->core.settings->process;
    if (!s->core.life.process_owner) return;
    if (process_set_oom_score(&s->oom, st, PROCESS_OOM_CHILD) != 0)
        log_warning(s->core.log, "Unable to write oom_score_adj of the child");
    if (process_pin_to_cpus(st->aof_rewrite_cpulist) != 0)
        log_warning(s->core.log, "aof_rewrite_cpulist %s cannot be applied", st->aof_rewrite_cpulist);
}

int persistence_file_version(const struct server *s)
{
    int configured = s->core.settings->persistence.rdb_version;
    if (configured < RDB_VERSION_FIELD_TIMES && keyspace_has_field_times(s->core.keyspace))
        return RDB_VERSION_FIELD_TIMES;
    if (configured < RDB_VERSION_LIBRARIES && libraries_count(s->core.keyspace->libraries) > 0)
        return RDB_VERSION_LIBRARIES;
    return configured;
}

static struct snapshot_options snapshot_options(struct server *s, const struct repl_position *at)
{
    const struct settings_persistence *st = &s->core.settings->persistence;
    struct snapshot_options options = {.rdb = rdb_options_default(), .fsync = true, .nice = 0};
    options.rdb.version = persistence_file_version(s);
    options.rdb.compress = st->rdbcompression;
    options.rdb.checksum = st->rdbchecksum;
    int policy = s->core.settings->memory.maxmemory_policy;
    if (s->core.keyspace->lfu)
        options.rdb.access = RDB_ACCESS_LFU;
    else if (s->core.settings->memory.maxmemory > 0 && (policy == EVICT_ALLKEYS_LRU || policy == EVICT_VOLATILE_LRU))
        options.rdb.access = RDB_ACCESS_LRU;
    options.in_child = become_child;
    options.in_child_ctx = s;
    options.incremental_fsync = st->rdb_save_incremental_fsync;
    options.key_delay_us = st->rdb_key_save_delay_us;
    options.info =
        (struct rdb_info){.ctime_s = s->core.clock.now_ms / 1000, .used_memory = mem_used(), .has_replication = true};
    snprintf(options.info.repl_id, sizeof(options.info.repl_id), "%s", at->id);
    options.info.repl_offset = (int64_t)at->offset;
    options.info.repl_stream_db = at->db;
    return options;
}

/* ---- In the foreground ---- */

static void note_result(struct persistence *p, bool ok)
{
    p->last_ok = ok;
    obstacle_note(&p->server->core.obstacles, OBSTACLE_RDB, !ok);
}

static void note_saved(struct persistence *p, uint64_t changes)
{
    p->changes_at_save = changes;
    p->last_save_s = p->server->core.clock.now_ms / 1000;
    note_result(p, true);
    p->saves++;
}

int persistence_save(struct server *s)
{
    struct persistence *p = s->persistence;
    struct repl_position at;
    struct bytes_buf error = {0};
    repl_position(s->core.repl, &at);
    struct snapshot_options options = snapshot_options(s, &at);
    options.stop_asked = shutdown_insisted;
    options.stop_asked_ctx = s;
    int rc =
        snapshot_save_file(s->core.keyspace, s->core.sys, s->core.settings->persistence.dbfilename, &options, &error);
    clock_update(&s->core);
    if (rc == 0) {
        note_saved(p, s->core.keyspace->stats.changes);
        log_notice(s->core.log, "DB saved on disk");
    } else {
        log_warning(s->core.log, "Error saving DB on disk: %.*s (in server root dir %s)", (int)error.len,
                    error.data == NULL ? "" : error.data, s->core.settings->persistence.dir);
    }
    bytes_buf_release(&error);
    return rc == 0 ? 0 : -1;
}

/* ---- The child ---- */

bool persistence_child_active(const struct server *s)
{
    return s->persistence->child != CHILD_NONE;
}

static void end_child(struct persistence *p)
{
    loop_io_stop(&p->snapshot_io);
    snapshot_end(p->snapshot);
    p->snapshot = NULL;
    p->child = CHILD_NONE;
}

static void save_ended(struct persistence *p, bool ok, const char *error, bool killed)
{
    struct server *s = p->server;
    p->last_duration_s = s->core.clock.now_ms / 1000 - p->started_s;
    if (ok) {
        log_notice(s->core.log, "Background saving terminated with success");
        note_saved(p, p->changes_at_fork);
    } else if (killed) {
        log_warning(s->core.log, "Background saving terminated by signal");
    } else {
        log_warning(s->core.log, "Background saving error: %s (in server root dir %s)", error,
                    s->core.settings->persistence.dir);
        note_result(p, false);
    }
}

static void child_ended(struct persistence *p, enum child_kind kind, bool ok, bool killed)
{
    struct server *s = p->server;
    switch (kind) {
    case CHILD_NONE: UNREACHABLE();
    case CHILD_REPLICAS:
        if (ok && p->child_to_file) note_saved(p, p->changes_at_fork); /* it is as good as a save */
        repl_snapshot_done(s->core.repl, ok, p->error);
        return;
    case CHILD_SAVE: save_ended(p, ok, p->error, killed); break;
    case CHILD_REWRITE: aof_rewrite_ended(s, ok, killed, p->error, p->peak_cow_bytes); break;
    }
    repl_child_ended(s->core.repl); /* replicas may have waited for it (F15) */
}

static void on_child(void *ctx, unsigned ready)
{
    struct persistence *p = ctx;
    struct server *s = p->server;
    (void)ready;
    enum snapshot_state state = snapshot_poll(p->snapshot);
    const struct snapshot_progress *progress = snapshot_progress(p->snapshot);
    if (progress->cow_bytes > p->peak_cow_bytes) p->peak_cow_bytes = progress->cow_bytes;
    if (state == SNAPSHOT_RUNNING) return;
    enum child_kind kind = p->child;
    bool killed = state == SNAPSHOT_FAILED && snapshot_was_killed(p->snapshot);
    if (state == SNAPSHOT_FAILED) snprintf(p->error, sizeof(p->error), "%s", snapshot_error(p->snapshot));
    if (kind != CHILD_REWRITE) p->last_cow_bytes = p->peak_cow_bytes;
    clock_update(&s->core);
    end_child(p);
    child_ended(p, kind, state == SNAPSHOT_DONE, killed);
}

static int start_child(struct persistence *p, enum child_kind kind, const struct snapshot_target *target,
                       const struct snapshot_options *options)
{
    struct server *s = p->server;
    int64_t start = sys_mono_us(s->core.sys);
    int rc = snapshot_begin(s->core.keyspace, s->core.sys, target, options, &p->snapshot);
    p->last_fork_us = sys_mono_us(s->core.sys) - start;
    if (rc != 0) {
        log_warning(s->core.log, "Can't %s in background: fork: %s",
                    kind == CHILD_REWRITE ? "rewrite append only file" : "save", strerror(-rc));
        return rc;
    }
    latency_note(&s->core, "fork", p->last_fork_us / 1000);
    p->child = kind;
    p->forks++;
    p->peak_cow_bytes = 0;
    p->started_s = s->core.clock.now_ms / 1000;
    loop_io_start(s->core.loop, &p->snapshot_io, snapshot_fd(p->snapshot), on_child, p);
    loop_io_want(&p->snapshot_io, LOOP_READ);
    p->child_to_file = target->path != NULL;
    p->changes_at_fork = s->core.keyspace->stats.changes;
    log_notice(s->core.log, "Background %s started by pid %d",
               kind == CHILD_REWRITE ? "append only file rewriting"
               : p->child_to_file    ? "saving"
                                     : "RDB transfer",
               (int)snapshot_pid(p->snapshot));
    return 0;
}

static int start_save(struct persistence *p)
{
    struct server *s = p->server;
    struct repl_position at;
    struct snapshot_target target = {.path = s->core.settings->persistence.dbfilename};
    repl_position(s->core.repl, &at);
    p->last_try_s = s->core.clock.now_ms / 1000;
    struct snapshot_options options = snapshot_options(s, &at);
    int rc = start_child(p, CHILD_SAVE, &target, &options);
    if (rc != 0) note_result(p, false);
    return rc;
}

int persistence_bgsave(struct server *s, bool *scheduled, const char **error)
{
    struct persistence *p = s->persistence;
    bool may_wait = *scheduled;
    *scheduled = false;
    if ((p->child == CHILD_REPLICAS || p->child == CHILD_REWRITE) && may_wait) {
        p->scheduled = *scheduled = true;
        return 0;
    }
    if (p->child == CHILD_REWRITE) {
        *error = "ERR Another child process is active (AOF?): can't BGSAVE right now. Use BGSAVE SCHEDULE in order to "
                 "schedule a BGSAVE whenever possible.";
        return -1;
    }
    if (p->child != CHILD_NONE) {
        *error = "ERR Background save already in progress";
        return -1;
    }
    if (start_save(p) == 0) return 0;
    *error = "ERR Background saving could not start: see the server's log";
    return -1;
}

void persistence_schedule_save(struct server *s)
{
    s->persistence->scheduled = true;
}

static bool writes_refused(const struct server *s)
{
    const struct settings_persistence *st = &s->core.settings->persistence;
    return UNLIKELY(!s->persistence->last_ok) && st->stop_writes_on_bgsave_error && st->save_count > 0;
}

const char *persistence_write_refusal(const struct server *s)
{
    if (LIKELY(!writes_refused(s))) return NULL;
    return "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. Commands "
           "that may modify the data set are disabled, because this instance is configured to report errors during "
           "writes if RDB snapshotting fails (stop-writes-on-bgsave-error option). Please check the Redis logs for "
           "details about the RDB error.";
}

void persistence_kill_child(struct server *s)
{
    struct persistence *p = s->persistence;
    if (p->child == CHILD_NONE || p->child == CHILD_REWRITE) return;
    log_warning(s->core.log, "There is a child saving an .rdb. Killing it!");
    enum child_kind kind = p->child;
    end_child(p);
    if (kind == CHILD_REPLICAS) repl_snapshot_done(s->core.repl, false, "the child was killed");
}

/* What it stands for goes on in the incremental file, so a rewrite is given up only where its owner says so. */
void persistence_kill_rewrite(struct server *s)
{
    struct persistence *p = s->persistence;
    if (p->child != CHILD_REWRITE) return;
    snprintf(p->error, sizeof(p->error), "killed on request");
    end_child(p);
    child_ended(p, CHILD_REWRITE, false, true);
}

void persistence_flushed_all(struct server *s)
{
    persistence_kill_child(s); /* what it writes is out of date: replicas get an empty snapshot sooner */
    s->persistence->save_this_turn = s->core.settings->persistence.save_count > 0;
}

void persistence_turn(struct server *s)
{
    if (LIKELY(!s->persistence->save_this_turn)) return;
    if (s->persistence->child != CHILD_NONE) return; /* its older file would take the place of ours (F4): later */
    s->persistence->save_this_turn = false;
    (void)persistence_save(s); /* a failure is logged, and save points try again */
}

static bool save_point_reached(const struct persistence *p, const struct save_point *point)
{
    const struct server *s = p->server;
    int64_t now_s = s->core.clock.now_ms / 1000;
    return persistence_changes_since_save(s) >= (uint64_t)point->changes && now_s - p->last_save_s > point->seconds &&
           (p->last_ok || now_s - p->last_try_s > RETRY_AFTER_FAILURE_S);
}

void persistence_cron(struct server *s)
{
    struct persistence *p = s->persistence;
    const struct settings_persistence *st = &s->core.settings->persistence;
    if (p->child != CHILD_NONE || s->core.modes.loading) return;
    if (p->scheduled && (p->last_ok || s->core.clock.now_ms / 1000 - p->last_try_s > RETRY_AFTER_FAILURE_S)) {
        p->scheduled = start_save(p) != 0;
        return;
    }
    for (int i = 0; i < st->save_count; i++) {
        if (!save_point_reached(p, &st->save[i])) continue;
        log_notice(s->core.log, "%lld changes in %lld seconds. Saving...", (long long)st->save[i].changes,
                   (long long)st->save[i].seconds);
        (void)start_save(p); /* a failure is logged and tried again later */
        return;
    }
}

uint64_t persistence_changes_since_save(const struct server *s)
{
    return s->core.keyspace->stats.changes - s->persistence->changes_at_save;
}
int64_t persistence_last_save_s(const struct server *s)
{
    return s->persistence->last_save_s;
}
uint64_t persistence_fork_count(const struct server *s)
{
    return s->persistence->forks;
}
int64_t persistence_last_fork_us(const struct server *s)
{
    return s->persistence->last_fork_us;
}

/* ---- Bases of the append-only file ---- */

static struct snapshot_options base_options(struct server *s, bool as_commands, const struct repl_position *at)
{
    const struct settings_persistence *st = &s->core.settings->persistence;
    struct snapshot_options options = snapshot_options(s, at);
    options.info.aof_base = true;
    options.incremental_fsync = st->aof_rewrite_incremental_fsync;
    options.in_child = become_rewriter;
    options.as_commands = as_commands;
    options.timestamp_s = st->aof_timestamp_enabled ? s->core.clock.now_ms / 1000 : -1;
    return options;
}

int persistence_start_rewrite(struct server *s, const char *path, bool as_commands, const struct repl_position *at)
{
    struct snapshot_target target = {.path = path};
    struct snapshot_options options = base_options(s, as_commands, at);
    return start_child(s->persistence, CHILD_REWRITE, &target, &options);
}

int persistence_write_base(struct server *s, const char *path, bool as_commands, const struct repl_position *at)
{
    struct bytes_buf error = {0};
    struct snapshot_options options = base_options(s, as_commands, at);
    int rc = snapshot_save_file(s->core.keyspace, s->core.sys, path, &options, &error);
    if (rc != 0)
        log_warning(s->core.log, "Error writing the base of the append only file: %.*s (in server root dir %s)",
                    (int)error.len, error.data, s->core.settings->persistence.dir);
    bytes_buf_release(&error);
    return rc;
}

/* ---- Snapshots for replicas ---- */

/* `omit`: enum repl_omission. */
static void apply_omissions(const struct server *s, unsigned omit, struct rdb_options *rdb)
{
    if (omit & (REPL_OMIT_FIELD_TIMES | REPL_OMIT_KEYS)) rdb->version = s->core.settings->persistence.rdb_version;
    rdb->omit_keys = omit & REPL_OMIT_KEYS;
    rdb->omit_functions = omit & REPL_OMIT_FUNCTIONS;
    bool functions_alone = rdb->omit_keys && !rdb->omit_functions;
    if (functions_alone && rdb->version < RDB_VERSION_LIBRARIES) rdb->version = RDB_VERSION_LIBRARIES;
}

int persistence_snapshot_for_replicas(struct server *s, enum repl_snapshot_target kind, unsigned omit,
                                      const struct repl_position *at, int *pipe_fd)
{
    struct persistence *p = s->persistence;
    struct snapshot_target target = {0};
    int fds[2] = {-1, -1};
    if (p->child != CHILD_NONE) return -EBUSY;
    if (kind == REPL_SNAPSHOT_FILE) {
        target.path = s->core.settings->persistence.dbfilename;
    } else {
        int rc = s->core.sys->pipe(s->core.sys->ctx, fds);
        if (rc != 0) return rc;
        target.pipe_fd = fds[1];
    }
    struct snapshot_options options = snapshot_options(s, at);
    apply_omissions(s, omit, &options.rdb);
    int rc = start_child(p, CHILD_REPLICAS, &target, &options);
    if (fds[1] != -1) s->core.sys->close(s->core.sys->ctx, fds[1]);
    if (rc != 0 && fds[0] != -1) s->core.sys->close(s->core.sys->ctx, fds[0]);
    if (rc == 0 && kind != REPL_SNAPSHOT_FILE) *pipe_fd = fds[0];
    return rc;
}

void persistence_snapshot_cancel(struct server *s)
{
    const struct persistence *p = s->persistence;
    if (p->child != CHILD_REPLICAS) return;
    if (p->child_to_file && s->core.settings->persistence.save_count > 0) return; /* it serves as a save */
    snapshot_kill(p->snapshot);
}

/* ---- Loading ---- */

struct load_how {
    bool serves_reads; /* the data set there is, meanwhile */
    bool aside;        /* to all others nothing is loading */
    bool keep_expired; /* a master will send their DEL */
    bool replace;      /* keys that are there already */
};

/* Remembers a key that the file still had but whose time is past: replicas that go on from the file's offset have it
 * too. */
static void note_expired(void *ctx, struct db *db, struct bytes_view key)
{
    struct persistence *p = ctx;
    uint32_t head[2] = {(uint32_t)db->id, (uint32_t)key.len};
    bytes_buf_append(&p->load.expired, head, sizeof(head));
    bytes_buf_append_view(&p->load.expired, key);
}

/* P11: what was dropped while loading is told to the stream, once its offset is the file's. */
static void replicate_expired(struct persistence *p)
{
    struct server *s = p->server;
    const struct bytes_buf *list = &p->load.expired;
    exec_begin(&s->core);
    exec_no_wrap(&s->core);
    for (size_t at = 0; at < list->len;) {
        uint32_t head[2];
        memcpy(head, list->data + at, sizeof(head));
        exec_add_delete(&s->core, (int)head[0], bytes_view(list->data + at + sizeof(head), head[1]), false);
        at += sizeof(head) + head[1];
    }
    exec_end(&s->core);
}

static void loading_begins(struct persistence *p, struct keyspace *into, bool serves_reads)
{
    struct server *s = p->server;
    p->load = (struct load){.into = into, .started_s = s->core.clock.now_ms / 1000};
    modes_loading_begins(&s->core, serves_reads);
}

static void loading_ends(struct persistence *p)
{
    struct server *s = p->server;
    p->load = (struct load){0};
    modes_loading_ends(&s->core);
    key_waits_all_ready(s->clients->key_waits);
}

static int take_library(void *ctx, struct bytes_view source, struct bytes_buf *why)
{
    struct load *load = &((struct persistence *)ctx)->load;
    const char *name;
    return functions_load(load->functions, load->into, source, load->replace, LIBRARY_LOAD_MS_FROM_FILE, &name, why);
}

static void load_started(struct persistence *p, struct keyspace *into, const struct load_how *how)
{
    struct server *s = p->server;
    struct rdb_load_options options = {
        .keep_expired = how->keep_expired,
        .replace = how->replace,
        .ignore_checksum = !s->core.settings->persistence.rdbchecksum,
        .chunk = (uint64_t)s->core.settings->persistence.loading_process_events_interval_bytes,
        .key_delay_us = &s->core.settings->persistence.key_load_delay_us,
        .log = s->core.log,
        .ctx = p,
        .expired = note_expired,
        .library = take_library};
    if (how->aside)
        p->load = (struct load){.into = into};
    else
        loading_begins(p, into, how->serves_reads);
    p->load.functions = into == s->core.keyspace ? functions_of(s->scripting) : functions_new(s->scripting);
    p->load.replace = how->replace;
    p->load.rdb = rdb_load_new(into, &options);
}

static void load_ended(struct persistence *p)
{
    const struct rdb_load_info *info = rdb_load_info(p->load.rdb);
    p->last_load_keys = info->keys_loaded;
    p->last_load_expired = info->keys_expired;
    p->server->core.stats.payloads_checked += info->keys_loaded;
    rdb_load_free(p->load.rdb);
    bytes_buf_release(&p->load.expired);
    loading_ends(p);
}

void persistence_load_begins(struct server *s, uint64_t total_bytes)
{
    loading_begins(s->persistence, s->core.keyspace, false);
    s->persistence->load.total_bytes = total_bytes;
}

void persistence_load_progress(struct server *s, uint64_t loaded_bytes)
{
    s->persistence->load.loaded_bytes = loaded_bytes;
}

void persistence_load_ends(struct server *s)
{
    loading_ends(s->persistence);
    s->persistence->changes_at_save = s->core.keyspace->stats.changes;
}

int persistence_load_begin(struct server *s, enum repl_load_kind kind, bool empty_async)
{
    struct persistence *p = s->persistence;
    /* What it saves is about to be replaced, and so may the file be that it writes to. */
    if (p->child == CHILD_SAVE || kind == REPL_LOAD_REPLACE) persistence_kill_child(s);
    if (kind != REPL_LOAD_REPLACE) {
        load_started(p, keyspace_new_sibling(s->core.keyspace),
                     &(struct load_how){.serves_reads = kind == REPL_LOAD_SWAP,
                                        .aside = kind == REPL_LOAD_ASIDE,
                                        .keep_expired = true});
    } else {
        keyspace_flush(s->core.keyspace, NULL, empty_async);
        functions_flush(functions_of(s->scripting), s->core.keyspace, empty_async ? s->core.lazyfree : NULL);
        load_started(p, s->core.keyspace, &(struct load_how){.keep_expired = true});
    }
    return 0;
}

int persistence_load_feed(struct server *s, struct bytes_view in, size_t *consumed, const char **error)
{
    struct persistence *p = s->persistence;
    switch (rdb_load_feed(p->load.rdb, in, consumed)) {
    case RDB_MORE: return 0;
    case RDB_DONE: return 1;
    case RDB_ERROR: break;
    }
    snprintf(p->error, sizeof(p->error), "%s", rdb_load_error(p->load.rdb));
    *error = p->error;
    return -EINVAL;
}

/* Freed by the background thread, with its whole data set. */
static void free_keyspace(void *taken)
{
    keyspace_free(taken);
}

int persistence_load_end(struct server *s, bool commit, struct repl_position *position)
{
    struct persistence *p = s->persistence;
    struct keyspace *into = p->load.into;
    struct functions *functions = p->load.functions;
    if (position != NULL) position->db = rdb_load_info(p->load.rdb)->repl_stream_db;
    load_ended(p);
    if (into != s->core.keyspace) {
        if (commit) {
            if (p->child == CHILD_SAVE) persistence_kill_child(s); /* begun meanwhile, of what is now replaced */
            keyspace_swap_data(s->core.keyspace, into);
            tracking_flushed(s->clients->trackings);
            functions_replace(s->scripting, functions);
        } else {
            functions_free(functions);
        }
        size_t objects = keyspace_count(into);
        lazyfree_run(s->core.lazyfree, free_keyspace, into, objects);
    } else if (!commit) {
        keyspace_flush(s->core.keyspace, NULL, false); /* half a data set is none */
        functions_flush(functions, s->core.keyspace, NULL);
    }
    if (commit) p->changes_at_save = s->core.keyspace->stats.changes;
    return 0;
}

/* Between two chunks of the file at start-up: clients are answered (-LOADING), signals are seen. */
static int load_turn(void *ctx, uint64_t offset)
{
    struct server *s = ctx;
    (void)offset;
    loop_poll_turn(s->core.loop);
    return s->core.life.stopping ? -ECANCELED : 0;
}

static void restore_identity(struct server *s, const struct rdb_load_info *info)
{
    struct repl_position at = {.offset = (uint64_t)info->repl_offset, .db = info->repl_stream_db};
    if (info->repl_id[0] == '\0' || info->repl_offset < 0) return;
    snprintf(at.id, sizeof(at.id), "%s", info->repl_id);
    repl_restore_position(s->core.repl, &at, BYTES_LIT(""));
}

/* Loads dbfilename into the keyspace. 0, -ENOENT, or another negative code with the reason logged. */
static int load_file(struct server *s, int (*turn)(void *ctx, uint64_t offset), bool with_identity, bool replace)
{
    struct persistence *p = s->persistence;
    const char *path = s->core.settings->persistence.dbfilename;
    bool replica = s->core.settings->replication.master_host != NULL;
    int64_t start = sys_mono_us(s->core.sys);
    load_started(p, s->core.keyspace, &(struct load_how){.keep_expired = replica, .replace = replace});
    int64_t size = s->core.sys->file_size(s->core.sys->ctx, path);
    p->load.total_bytes = size > 0 ? (uint64_t)size : 0;
    int rc = rdb_load_file(p->load.rdb, s->core.sys, path, turn, s);
    const struct rdb_load_info *info = rdb_load_info(p->load.rdb);
    if (rc == 0) {
        log_notice(s->core.log, "Done loading RDB, keys loaded: %llu, keys expired: %llu.",
                   (unsigned long long)info->keys_loaded, (unsigned long long)info->keys_expired);
        if (info->keys_empty > 0)
            log_warning(s->core.log, "Done loading RDB, empty keys skipped: %llu.",
                        (unsigned long long)info->keys_empty);
        log_notice(s->core.log, "DB loaded from disk: %.3f seconds", (double)(sys_mono_us(s->core.sys) - start) / 1e6);
        if (with_identity) {
            restore_identity(s, info);
            replicate_expired(p);
        }
    } else if (rc != -ENOENT) {
        log_warning(s->core.log, "Fatal error loading the DB, check server logs. %s: %s", path,
                    rc == -EINVAL ? rdb_load_error(p->load.rdb) : strerror(-rc));
    }
    load_ended(p);
    p->changes_at_save = s->core.keyspace->stats.changes;
    return rc;
}

int persistence_load_at_start(struct server *s)
{
    if (s->core.settings->persistence.appendonly) return aof_load_at_start(s);
    int rc = load_file(s, load_turn, true, false);
    if (rc == -EINVAL) log_warning(s->core.log, "Terminating server after rdb file reading failure.");
    return rc == 0 || rc == -ENOENT ? 0 : -1;
}

bool persistence_is_receiving(const struct server *s)
{
    return s->persistence->load.rdb != NULL;
}

int persistence_reload(struct server *s, bool save, bool flush, bool merge)
{
    if (persistence_is_receiving(s)) {
        log_warning(s->core.log, "A data set of the master is being loaded: nothing else can be before that is over");
        return -1;
    }
    if (save && persistence_save(s) != 0) return -1;
    if (flush) {
        keyspace_flush(s->core.keyspace, NULL, false);
        functions_flush(functions_of(s->scripting), s->core.keyspace, NULL);
    }
    return load_file(s, NULL, false, merge) == 0 ? 0 : -1;
}

/* ---- INFO ---- */

static void loading_info(const struct persistence *p, struct bytes_buf *out)
{
    const struct load *l = &p->load;
    uint64_t loaded = l->rdb != NULL ? rdb_load_offset(l->rdb) : l->loaded_bytes;
    uint64_t memory = l->rdb != NULL ? rdb_load_info(l->rdb)->used_memory : 0;
    double share = l->total_bytes > 0 ? (double)loaded / (double)l->total_bytes : 0;
    int64_t elapsed = p->server->core.clock.now_ms / 1000 - l->started_s;
    int64_t left = share > 0 ? (int64_t)((double)elapsed / share) - elapsed : 0;
    bytes_buf_printf(out,
                     "loading_start_time:%lld\r\nloading_total_bytes:%llu\r\nloading_rdb_used_mem:%llu\r\n"
                     "loading_loaded_bytes:%llu\r\nloading_loaded_perc:%.2f\r\nloading_eta_seconds:%lld\r\n",
                     (long long)l->started_s, (unsigned long long)l->total_bytes, (unsigned long long)memory,
                     (unsigned long long)loaded, share * 100, (long long)left);
}

void persistence_info(struct server *s, struct bytes_buf *out)
{
    const struct persistence *p = s->persistence;
    bool saving = p->child != CHILD_NONE, rewriting = p->child == CHILD_REWRITE;
    struct snapshot_progress progress = {0};
    if (saving) progress = *snapshot_progress(p->snapshot);
    double perc = progress.keys_total > 0 ? 100.0 * (double)progress.keys_done / (double)progress.keys_total : 0;
    bytes_buf_printf(out, "loading:%d\r\nasync_loading:%d\r\n",
                     s->core.modes.loading && !s->core.modes.loading_serves_reads, s->core.modes.loading_serves_reads);
    bytes_buf_printf(
        out,
        "current_cow_peak:%llu\r\ncurrent_cow_size:%llu\r\ncurrent_cow_size_age:%lld\r\ncurrent_fork_perc:%.2f\r\n"
        "current_save_keys_processed:%llu\r\ncurrent_save_keys_total:%llu\r\n",
        (unsigned long long)(saving ? p->peak_cow_bytes : 0), (unsigned long long)progress.cow_bytes,
        progress.cow_us > 0 ? (long long)(sys_mono_us(s->core.sys) - progress.cow_us) / 1000000 : 0, perc,
        (unsigned long long)progress.keys_done, (unsigned long long)progress.keys_total);
    bytes_buf_printf(
        out,
        "rdb_changes_since_last_save:%llu\r\nrdb_bgsave_in_progress:%d\r\nrdb_last_save_time:%lld\r\n"
        "rdb_last_bgsave_status:%s\r\nrdb_last_bgsave_time_sec:%lld\r\nrdb_current_bgsave_time_sec:%lld\r\n"
        "rdb_saves:%llu\r\nrdb_last_cow_size:%llu\r\nrdb_last_load_keys_expired:%llu\r\nrdb_last_load_keys_loaded:%"
        "llu\r\n",
        (unsigned long long)persistence_changes_since_save(s), saving && !rewriting, (long long)p->last_save_s,
        p->last_ok ? "ok" : "err", (long long)p->last_duration_s,
        saving && !rewriting ? (long long)(s->core.clock.now_ms / 1000 - p->started_s) : -1LL,
        (unsigned long long)p->saves, (unsigned long long)p->last_cow_bytes, (unsigned long long)p->last_load_expired,
        (unsigned long long)p->last_load_keys);
    aof_info(s, out);
    if (s->core.modes.loading) loading_info(p, out);
}

void persistence_free(struct persistence *p)
{
    if (p == NULL) return;
    if (p->child != CHILD_NONE) end_child(p);
    mem_free(p);
}
