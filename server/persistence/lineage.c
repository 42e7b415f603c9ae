#include "server/persistence/lineage.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>

#include "server/clients/client.h"
#include "server/config/settings.h"
#include "server/core/core.h"
#include "server/net/loop.h"
#include "server/persistence/lineage_disk.h"
#include "server/process/process.h"
#include "storage/base/memory.h"
#include "storage/base/worker.h"
#include "storage/keyspace.h"

enum {
    LOOK_MS = 1000,   /* what changes at once in the file is looked at this often */
    DRIFT_MS = 60000, /* the same for offset and number of keys */
    RETRY_MS = 60000, /* after a failure */
};

enum status { STATUS_OK = 0, STATUS_OFF, STATUS_ERR, STATUS_CLASH };
enum found { FOUND_NOTHING = 0 /* no file, or it is off */, FOUND_RECORD, FOUND_DAMAGED };

/* One replacement or removal of the file. The worker writes to the last four fields; `done` publishes them. */
struct job {
    struct lineage *lineage;
    char *path;
    char *old_path; /* the file that this one replaces, in another place; or NULL */
    bool removes;
    bool may_clash; /* the path has a file of this run */
    struct lineage_record record;
    int rc;
    const char *step;
    bool clash;
    atomic_bool done;
};

struct lineage {
    struct core *core;
    bool started;
    enum status status;
    enum found found;
    struct lineage_record before; /* if FOUND_RECORD */
    struct lineage_record now;    /* as observed last */
    struct lineage_record disk;   /* as written last to disk_path */
    char *disk_path;              /* NULL: nothing of this run is on disk */
    bool disk_sure;               /* no write has failed since */
    bool is_there;                /* there may be a file with a record, of this run or the one before */
    bool flushed;                 /* the data set is empty because of a flush */
    uint64_t lost_keys;           /* promise 5: of `before`, while there are none */
    bool flush_owed, look_soon;
    int64_t next_look_ms, wrote_ms, retry_ms;
    struct worker *worker;
    struct loop_waker waker;
    struct job *job; /* the worker has it; or NULL */
    uint64_t writes, failures;
    int64_t last_write_s;
};

static void on_wake(void *ctx);

static int64_t mono_ms(const struct lineage *ln)
{
    return ln->core->clock.mono_us / 1000;
}

static bool is_on(const struct lineage *ln)
{
    return ln->core->settings->persistence.lineage;
}

/* ---- Life ---- */

static void pin_worker(void *ctx)
{
    const struct core *core = ctx;
    const char *cpus = core->settings->process.bio_cpulist;
    if (core->life.process_owner && process_pin_to_cpus(cpus) != 0)
        log_warning(core->log, "bio_cpulist %s cannot be applied", cpus);
}

struct lineage *lineage_new(struct core *core)
{
    struct lineage *ln = mem_calloc(sizeof(*ln));
    ln->core = core;
    ln->worker = worker_new();
    worker_on_start(ln->worker, pin_worker, core);
    loop_waker_start(core->loop, &ln->waker, on_wake, ln);
    return ln;
}

static void job_free(struct job *job)
{
    mem_free(job->path);
    mem_free(job->old_path);
    mem_free(job);
}

void lineage_free(struct lineage *ln)
{
    if (ln == NULL) return;
    worker_free(ln->worker);
    loop_waker_stop(&ln->waker);
    if (ln->job != NULL) job_free(ln->job);
    mem_free(ln->disk_path);
    mem_free(ln);
}

const struct lineage_record *lineage_before(const struct lineage *ln)
{
    return ln->found == FOUND_RECORD ? &ln->before : NULL;
}

/* ---- The path ---- */

static int port_of(const struct settings *st)
{
    return st->net.port != 0 ? st->net.port : st->net.tls_port;
}

/* Absolute where the directory is: the worker must not depend on the working directory, which CONFIG SET dir changes. */
static char *file_path(const struct lineage *ln)
{
    const struct settings *st = ln->core->settings;
    const char *dir = st->persistence.dir, *name = st->persistence.dbfilename;
    struct bytes_buf path = {0};
    size_t len = strlen(name);
    if (len > 4 && strcmp(name + len - 4, ".rdb") == 0) len -= 4;
    if (dir != NULL && dir[0] == '/') bytes_buf_printf(&path, "%s/", dir);
    bytes_buf_printf(&path, "%.*s-%d.lineage", (int)len, name, port_of(st));
    char *text = bytes_to_cstr(bytes_buf_view(&path));
    bytes_buf_release(&path);
    return text;
}

static const char *file_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

/* ---- The start ---- */

static void found_record(struct lineage *ln, const char *path)
{
    const struct lineage_record *r = &ln->before;
    ln->found = FOUND_RECORD;
    ln->is_there = true;
    ln->now = *r;
    keyspace_set_secret(ln->core->keyspace, &r->secret);
    log_notice(ln->core->log,
               "The lineage file %s tells of a %s with %" PRIu64 " keys%s, %zu sentinels and %zu replicas.",
               file_name(path), r->role == REPL_MASTER ? "master" : "replica", r->keys,
               r->flushed ? " (they were flushed)" : "", r->sentinel_count, r->replica_count);
}

static void found_flaw(struct lineage *ln, const char *path, const char *why)
{
    ln->found = FOUND_DAMAGED;
    log_warning(ln->core->log, "The lineage file %s is not used: %s. What this server was before is unknown.",
                file_name(path), why);
}

void lineage_read(struct lineage *ln)
{
    struct bytes_buf text = {0};
    const char *why;
    if (!is_on(ln)) return;
    char *path = file_path(ln);
    int rc = lineage_disk_read(ln->core->sys, path, LINEAGE_TEXT_MAX, &text);
    if (rc == -ENOENT)
        log_notice(ln->core->log, "There is no lineage file %s: what this server was before is unknown.",
                   file_name(path));
    else if (rc < 0)
        found_flaw(ln, path, rc == -ELOOP ? "it is a symbolic link" : strerror(-rc));
    else if (lineage_text_parse(bytes_buf_view(&text), &ln->before, &why) != 0)
        found_flaw(ln, path, why);
    else
        found_record(ln, path);
    bytes_buf_release(&text);
    mem_free(path);
}

/* The history that the data files name: a master that loaded it has begun one of its own. */
static void history_of_files(const struct repl *r, struct repl_position *at)
{
    if (repl_role(r) == REPL_MASTER)
        repl_former_position(r, at);
    else
        repl_position(r, at);
}

static void judge_secret(struct lineage *ln)
{
    struct repl_position at;
    history_of_files(ln->core->repl, &at);
    if (at.id[0] == '\0') return;
    if (lineage_has_secret_of(&ln->before, at.id))
        repl_restore_secret(ln->core->repl);
    else
        log_notice(ln->core->log,
                   "The data are of a history that the lineage file does not name: its secret is unknown.");
}

void lineage_begin(struct lineage *ln)
{
    ln->started = true;
    if (ln->found == FOUND_RECORD) {
        bool empty = keyspace_count(ln->core->keyspace) == 0;
        judge_secret(ln);
        ln->flushed = empty && ln->before.flushed;
        ln->lost_keys = empty ? ln->before.keys : 0;
    }
    lineage_changed(ln);
    lineage_cron(ln);
}

/* ---- Observing ---- */

static void observe_histories(struct lineage *ln)
{
    struct lineage_record *now = &ln->now;
    const struct repl *r = ln->core->repl;
    const struct hash_secret *secret = keyspace_secret(ln->core->keyspace);
    struct lineage_history history = {0}, former = {0};
    struct repl_position at;
    repl_position(r, &at);
    memcpy(history.id, at.id, sizeof(history.id));
    history.offset = at.offset;
    history.has_secret = at.id[0] != '\0' && repl_secret_known(r);
    repl_former_position(r, &at);
    memcpy(former.id, at.id, sizeof(former.id));
    former.offset = at.offset;
    /* It is the history that was the present one at an earlier look, or the former one already. */
    former.has_secret =
        at.id[0] != '\0' && hash_secret_equal(secret, &now->secret) && lineage_has_secret_of(now, at.id);
    now->history = history;
    now->former = former;
    now->secret = *secret;
}

static void observe_role(struct lineage *ln)
{
    struct lineage_record *now = &ln->now;
    struct repl_link_info link;
    now->role = repl_role(ln->core->repl);
    now->master_host[0] = '\0';
    now->master_port = 0;
    if (now->role == REPL_MASTER) return;
    repl_link_describe(ln->core->repl, &link);
    if (link.host == NULL || !lineage_is_word(bytes_str(link.host), REPL_HOST_MAX)) return;
    snprintf(now->master_host, sizeof(now->master_host), "%s", link.host);
    now->master_port = link.port;
}

static void observe_keys(struct lineage *ln)
{
    uint64_t count = keyspace_count(ln->core->keyspace);
    if (count > 0) {
        ln->lost_keys = 0;
        ln->flushed = false;
    }
    ln->now.keys = count > 0 ? count : ln->lost_keys;
    ln->now.flushed = ln->flushed;
}

static void observe_replicas(struct lineage *ln)
{
    const struct repl *r = ln->core->repl;
    for (struct replica *rp = repl_replica_next(r, NULL); rp != NULL; rp = repl_replica_next(r, rp)) {
        struct repl_replica_info info;
        repl_replica_describe(rp, &info);
        if (info.leaving || strcmp(info.state, "online") != 0) continue;
        (void)lineage_note_replica(&ln->now, bytes_str(info.host), info.port, ln->core->clock.now_ms / 1000);
    }
}

/* False while there is nothing that the data files will be like (promise 3). */
static bool may_observe(const struct lineage *ln)
{
    const struct modes *m = &ln->core->modes;
    return !(m->loading && !m->loading_serves_reads) && !repl_gave_up_data(ln->core->repl);
}

static void observe(struct lineage *ln)
{
    memcpy(ln->now.run_id, ln->core->life.run_id, sizeof(ln->now.run_id));
    ln->now.written_ms = ln->core->clock.now_ms;
    observe_role(ln);
    observe_histories(ln);
    observe_keys(ln);
    observe_replicas(ln);
}

void lineage_saw_client(struct lineage *ln, struct bytes_view name)
{
    struct bytes_view id;
    if (UNLIKELY(client_name_of_sentinel(name, &id)))
        (void)lineage_note_sentinel(&ln->now, id, ln->core->clock.now_ms / 1000);
}

bool lineage_knows_sentinels(const struct lineage *ln)
{
    return ln->now.sentinel_count > 0;
}

/* ---- What is due ---- */

static bool same_history(const struct lineage_history *a, const struct lineage_history *b)
{
    return strcmp(a->id, b->id) == 0 && a->has_secret == b->has_secret;
}

static bool same_peers(const struct lineage_record *a, const struct lineage_record *b)
{
    if (a->sentinel_count != b->sentinel_count || a->replica_count != b->replica_count) return false;
    for (size_t i = 0; i < a->sentinel_count; i++)
        if (strcmp(a->sentinels[i].id, b->sentinels[i].id) != 0) return false;
    for (size_t i = 0; i < a->replica_count; i++)
        if (strcmp(a->replicas[i].host, b->replicas[i].host) != 0 || a->replicas[i].port != b->replicas[i].port)
            return false;
    return true;
}

static bool has_changed(const struct lineage_record *now, const struct lineage_record *disk)
{
    return now->role != disk->role || strcmp(now->master_host, disk->master_host) != 0 ||
           now->master_port != disk->master_port || !same_history(&now->history, &disk->history) ||
           !same_history(&now->former, &disk->former) || !hash_secret_equal(&now->secret, &disk->secret) ||
           (now->keys == 0) != (disk->keys == 0) || now->flushed != disk->flushed || !same_peers(now, disk);
}

static bool has_drifted(const struct lineage_record *now, const struct lineage_record *disk)
{
    return now->keys != disk->keys || now->history.offset != disk->history.offset;
}

static bool is_at(const struct lineage *ln, const char *path)
{
    return ln->disk_path != NULL && strcmp(ln->disk_path, path) == 0;
}

static bool is_write_due(struct lineage *ln, const char *path)
{
    if (!may_observe(ln)) return false;
    observe(ln);
    if (ln->status == STATUS_ERR) return mono_ms(ln) >= ln->retry_ms;
    if (!is_at(ln, path) || !ln->disk_sure || has_changed(&ln->now, &ln->disk)) return true;
    return mono_ms(ln) - ln->wrote_ms >= DRIFT_MS && has_drifted(&ln->now, &ln->disk);
}

static bool is_removal_due(const struct lineage *ln)
{
    return ln->status == STATUS_ERR ? mono_ms(ln) >= ln->retry_ms : ln->status != STATUS_OFF;
}

/* ---- Writing ---- */

/* True if the file is of another run: a server that shares the name has written it since we did. */
static bool is_of_another(const struct sys *sys, const char *path, const char *run_id)
{
    struct bytes_buf text = {0};
    struct lineage_record *record = mem_alloc(sizeof(*record));
    const char *why;
    bool another = lineage_disk_read(sys, path, LINEAGE_TEXT_MAX, &text) == 0 &&
                   lineage_text_parse(bytes_buf_view(&text), record, &why) == 0 && strcmp(record->run_id, run_id) != 0;
    bytes_buf_release(&text);
    mem_free(record);
    return another;
}

static void replace_file(struct job *job)
{
    const struct sys *sys = job->lineage->core->sys;
    struct bytes_buf text = {0};
    lineage_text_format(&job->record, &text);
    job->rc = lineage_disk_write(sys, job->path, bytes_buf_view(&text), &job->step);
    bytes_buf_release(&text);
}

static void remove_file(struct job *job)
{
    job->step = "unlink";
    job->rc = lineage_disk_remove(job->lineage->core->sys, job->path);
}

/* Nobody reads it any more. */
static void remove_old_file(const struct job *job)
{
    const struct sys *sys = job->lineage->core->sys;
    if (job->old_path != NULL && !is_of_another(sys, job->old_path, job->record.run_id))
        (void)lineage_disk_remove(sys, job->old_path);
}

static void run_job(void *ctx)
{
    struct job *job = ctx;
    job->clash = job->may_clash && is_of_another(job->lineage->core->sys, job->path, job->record.run_id);
    if (!job->clash) {
        if (job->removes)
            remove_file(job);
        else
            replace_file(job);
        if (job->rc == 0) remove_old_file(job);
    }
    atomic_store(&job->done, true);
}

static void run_job_in_worker(void *ctx)
{
    struct lineage *ln = ((struct job *)ctx)->lineage;
    run_job(ctx);
    loop_waker_wake(&ln->waker);
}

static struct job *job_new(struct lineage *ln, char *path, bool removes)
{
    struct job *job = mem_calloc(sizeof(*job));
    job->lineage = ln;
    job->path = path;
    job->removes = removes;
    job->may_clash = is_at(ln, path);
    if (ln->disk_path != NULL && !job->may_clash) job->old_path = mem_strdup(ln->disk_path);
    job->record = ln->now;
    return job;
}

static void note_on_disk(struct lineage *ln, struct job *job)
{
    mem_free(ln->disk_path);
    ln->disk_path = job->removes ? NULL : job->path;
    if (!job->removes) job->path = NULL;
    ln->disk = job->record;
    ln->disk_sure = true;
    ln->is_there = !job->removes;
    ln->wrote_ms = mono_ms(ln);
    if (job->removes) return;
    ln->writes++;
    ln->last_write_s = ln->core->clock.now_ms / 1000;
}

static void note_success(struct lineage *ln, struct job *job)
{
    if (ln->status == STATUS_ERR) log_notice(ln->core->log, "The lineage file can be written again.");
    ln->status = job->removes ? STATUS_OFF : STATUS_OK;
    note_on_disk(ln, job);
}

static void note_failure(struct lineage *ln, const struct job *job)
{
    if (ln->status != STATUS_ERR)
        log_warning(ln->core->log,
                    "Writing the lineage file %s failed: %s: %s. What is there is out of date until this works again.",
                    job->path, job->step, strerror(-job->rc));
    ln->status = STATUS_ERR;
    ln->failures++;
    ln->disk_sure = false;
    ln->is_there = true;
    ln->retry_ms = mono_ms(ln) + RETRY_MS;
}

static void note_clash(struct lineage *ln, const struct job *job)
{
    log_warning(ln->core->log,
                "The lineage file %s was written by another server, which has the same dir, dbfilename and port. This "
                "server writes no more to it.",
                job->path);
    ln->status = STATUS_CLASH;
}

static void take_result(struct lineage *ln, struct job *job)
{
    if (job->clash)
        note_clash(ln, job);
    else if (job->rc < 0)
        note_failure(ln, job);
    else
        note_success(ln, job);
    job_free(job);
}

static void on_wake(void *ctx)
{
    struct lineage *ln = ctx;
    struct job *job = ln->job;
    if (job == NULL || !atomic_load(&job->done)) return;
    ln->job = NULL;
    take_result(ln, job);
}

static void give_to_worker(struct lineage *ln, struct job *job)
{
    ln->job = job;
    worker_run(ln->worker, run_job_in_worker, job);
}

/* Waits for the worker: what follows must not be overtaken. */
static void finish_job(struct lineage *ln)
{
    if (ln->job == NULL) return;
    worker_drain(ln->worker);
    on_wake(ln);
}

static void write_now(struct lineage *ln)
{
    struct job *job = job_new(ln, file_path(ln), false);
    run_job(job);
    take_result(ln, job);
}

/* ---- Running ---- */

void lineage_changed(struct lineage *ln)
{
    ln->look_soon = true;
}

void lineage_data_replaced(struct lineage *ln)
{
    ln->lost_keys = 0;
    ln->flushed = false;
    lineage_changed(ln);
    lineage_cron(ln);
}

/* Another path may be free of the other server. */
static bool still_clashes(struct lineage *ln, const char *path)
{
    if (ln->status != STATUS_CLASH || is_at(ln, path)) return ln->status == STATUS_CLASH;
    ln->status = STATUS_OK;
    mem_free(ln->disk_path);
    ln->disk_path = NULL;
    return false;
}

static void look(struct lineage *ln)
{
    char *path = file_path(ln);
    bool due = !still_clashes(ln, path) && (is_on(ln) ? is_write_due(ln, path) : is_removal_due(ln));
    if (due)
        give_to_worker(ln, job_new(ln, path, !is_on(ln)));
    else
        mem_free(path);
}

void lineage_cron(struct lineage *ln)
{
    if (!ln->started || ln->job != NULL) return;
    if (!ln->look_soon && mono_ms(ln) < ln->next_look_ms) return;
    ln->look_soon = false;
    ln->next_look_ms = mono_ms(ln) + LOOK_MS;
    look(ln);
}

static bool is_writing(const struct lineage *ln)
{
    return ln->started && is_on(ln) && ln->status != STATUS_CLASH;
}

void lineage_flushed(struct lineage *ln)
{
    if (!is_writing(ln) || keyspace_count(ln->core->keyspace) > 0) return;
    ln->flushed = true;
    ln->lost_keys = 0;
    bool told = ln->job == NULL && ln->disk_sure && ln->disk.keys == 0 && ln->disk.flushed;
    ln->flush_owed |= (ln->is_there || ln->job != NULL) && !told;
}

/* Unknown is better than a number of keys that nobody flushed. */
static void forget_file(struct lineage *ln)
{
    char *path = file_path(ln);
    if (lineage_disk_forget(ln->core->sys, path) == 0) {
        mem_free(ln->disk_path);
        ln->disk_path = NULL;
        ln->is_there = false;
    }
    mem_free(path);
}

void lineage_turn(struct lineage *ln)
{
    if (LIKELY(!ln->flush_owed)) return;
    ln->flush_owed = false;
    finish_job(ln);
    if (ln->status == STATUS_CLASH || !may_observe(ln)) return;
    observe(ln);
    write_now(ln);
    if (ln->status == STATUS_ERR) forget_file(ln);
}

void lineage_shut_down(struct lineage *ln)
{
    if (!is_writing(ln)) return;
    finish_job(ln);
    if (ln->status == STATUS_CLASH || !may_observe(ln)) return;
    observe(ln);
    write_now(ln);
}

/* ---- Figures ---- */

static const char *status_name(const struct lineage *ln)
{
    switch (ln->status) {
    case STATUS_OK: return "ok";
    case STATUS_OFF: return "off";
    case STATUS_ERR: return "err";
    case STATUS_CLASH: return "clash";
    }
    return "";
}

static const char *found_name(const struct lineage *ln)
{
    switch (ln->found) {
    case FOUND_NOTHING: return "nothing";
    case FOUND_RECORD: return "yes";
    case FOUND_DAMAGED: return "damaged";
    }
    return "";
}

static void info_before(const struct lineage *ln, struct bytes_buf *out)
{
    const struct lineage_record *before = lineage_before(ln);
    if (before == NULL) return;
    bytes_buf_printf(out, "lineage_before_role:%s\r\nlineage_before_keys:%" PRIu64 "\r\nlineage_before_flushed:%d\r\n",
                     before->role == REPL_MASTER ? "master" : "slave", before->keys, before->flushed);
}

void lineage_info(const struct lineage *ln, struct bytes_buf *out)
{
    bytes_buf_printf(
        out,
        "lineage_status:%s\r\nlineage_found:%s\r\nlineage_write_in_progress:%d\r\nlineage_last_write_time:%" PRId64
        "\r\nlineage_writes:%" PRIu64 "\r\nlineage_write_failures:%" PRIu64 "\r\n",
        status_name(ln), found_name(ln), ln->job != NULL, ln->last_write_s, ln->writes, ln->failures);
    info_before(ln, out);
}
