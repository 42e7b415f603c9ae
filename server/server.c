#include "server/server.h"

#include <errno.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "server/acl/acl_log.h"
#include "server/acl/source.h"
#include "server/acl/users.h"
#include "server/catalog/command_table.h"
#include "server/clients/blocking.h"
#include "server/clients/clients.h"
#include "server/clients/key_waits.h"
#include "server/clients/multi.h"
#include "server/clients/pubsub.h"
#include "server/clients/tracking.h"
#include "server/core/latency.h"
#include "server/dispatch/dispatch.h"
#include "server/dispatch/slowlog.h"
#include "server/memory/eviction.h"
#include "server/memory/expiry.h"
#include "server/net/listener.h"
#include "server/operation/cron.h"
#include "server/operation/report.h"
#include "server/operation/shutdown.h"
#include "server/persistence/aof.h"
#include "server/persistence/persistence.h"
#include "server/process/process.h"
#include "server/process/process_crash.h"
#include "server/scripting/scripting.h"
#include "server/streams/ack_waits.h"
#include "server/streams/master_stream.h"
#include "server/streams/migration.h"
#include "storage/base/allocator.h"
#include "storage/base/checked.h"
#include "storage/base/memory.h"
#include "storage/lazyfree.h"
#include "storage/rdb.h"

/* ---- What the keyspace tells ---- */

static void on_key_expired(void *ctx, struct db *db, struct bytes_view key)
{
    struct server *s = ctx;
    exec_begin(&s->core);
    exec_add_delete(&s->core, db->id, key, s->core.settings->memory.lazyfree_lazy_expire);
    notify_keyspace_event(s, NOTIFY_EXPIRED, "expired", key, db->id);
    if (s->core.tracking_clients > 0) tracking_key_changed(s, NULL, key); /* whoever came upon it did not do it */
    exec_end(&s->core);
}

static void on_fields_expired(void *ctx, struct db *db, struct bytes_view key, const struct bytes_view *fields,
                              size_t count, bool emptied)
{
    struct server *s = ctx;
    struct bytes_view *argv = mem_alloc(checked_size_mul(count + 2, sizeof(*argv)));
    argv[0] = BYTES_LIT("HDEL");
    argv[1] = key;
    memcpy(argv + 2, fields, count * sizeof(*fields));
    exec_begin(&s->core);
    exec_add_before(&s->core, db->id, (int)count + 2, argv);
    notify_keyspace_event(s, NOTIFY_HASH, "hexpired", key, db->id);
    if (emptied) notify_keyspace_event(s, NOTIFY_GENERIC, "del", key, db->id);
    if (s->core.tracking_clients > 0) tracking_key_changed(s, NULL, key);
    exec_end(&s->core);
    mem_free(argv);
}

static void on_key_changed(void *ctx, struct db *db, struct bytes_view key)
{
    struct server *s = ctx;
    watches_key_changed(s, db->id, key);
    if (LIKELY((s->core.waited_keys | s->core.migrating_keys | s->core.tracking_clients) == 0)) return;
    if (s->core.waited_keys > 0) key_waits_changed(s, db, key);
    if (s->core.migrating_keys > 0) migrations_key_changed(s, db, key);
    if (s->core.tracking_clients > 0) tracking_key_changed(s, s->core.running.client, key);
}

static void on_key_created(void *ctx, struct db *db, struct bytes_view key, enum value_type type)
{
    struct server *s = ctx;
    (void)type;
    if (s->core.settings->misc.notify_keyspace_events & NOTIFY_NEW)
        notify_keyspace_event(s, NOTIFY_NEW, "new", key, db->id);
    if (UNLIKELY(s->core.waited_keys > 0)) key_waits_ready(s, db, key);
}

static void on_flushed(void *ctx, struct db *db, struct db *replacement)
{
    struct server *s = ctx;
    watches_flushed(s, db == NULL ? -1 : db->id, replacement);
    if (UNLIKELY(s->core.waited_keys > 0)) key_waits_flushed(s, db, replacement);
    if (UNLIKELY(s->core.migrating_keys > 0)) migrations_flushed(s, db);
    if (UNLIKELY(s->core.tracking_clients > 0) && replacement == NULL) tracking_flushed(s);
}

/* Set by a client of ours while we follow a master that knows nothing of it. */
static void on_hidden_expiry(void *ctx, struct db *db, struct bytes_view key)
{
    expiry_note_own(ctx, db, key);
}

/* ---- What replication asks ---- */

static int host_apply_stream(void *ctx, struct bytes_view in, size_t *consumed)
{
    struct server *s = ctx;
    if (pause_current(&s->core) != PAUSE_NONE) { /* what is not run must not count as applied (P18) */
        *consumed = 0;
        return -EAGAIN;
    }
    return master_stream_apply(s->master_stream, in, consumed);
}
static void host_reset_stream(void *ctx, int db)
{
    struct server *s = ctx;
    master_stream_reset(s->master_stream, db);
}
static int host_stream_db(void *ctx)
{
    struct server *s = ctx;
    return master_stream_db(s->master_stream);
}
static int host_load_begin(void *ctx, enum repl_load_kind kind, bool empty_async)
{
    return persistence_load_begin(ctx, kind, empty_async);
}
static int host_load_feed(void *ctx, struct bytes_view in, size_t *consumed, const char **error)
{
    return persistence_load_feed(ctx, in, consumed, error);
}
static int host_load_end(void *ctx, bool commit, struct repl_position *position)
{
    return persistence_load_end(ctx, commit, position);
}
static bool host_dataset_is_empty(void *ctx)
{
    struct server *s = ctx;
    return keyspace_count(s->core.keyspace) == 0 && libraries_count(s->core.keyspace->libraries) == 0;
}
static void adjust_oom_score(struct server *s, enum process_oom_role role)
{
    if (!s->core.life.process_owner) return;
    int rc = process_set_oom_score(&s->oom, &s->core.settings->process, role);
    if (rc != 0) log_warning(s->core.log, "Unable to write oom_score_adj: %s", strerror(-rc));
}

static enum process_oom_role oom_role(const struct server *s)
{
    return repl_role(s->core.repl) == REPL_MASTER ? PROCESS_OOM_MASTER : PROCESS_OOM_REPLICA;
}

static void host_role_changed(void *ctx, enum repl_role role)
{
    struct server *s = ctx;
    struct repl_link_info link;
    log_set_role(s->core.log, role == REPL_MASTER ? 'M' : 'S');
    repl_link_describe(s->core.repl, &link);
    config_note_master(s->config, role == REPL_REPLICA ? link.host : NULL, link.port);
    modes_hold_expiry(&s->core, false);
    adjust_oom_score(s, role == REPL_MASTER ? PROCESS_OOM_MASTER : PROCESS_OOM_REPLICA);
    expiry_forget_own(s);
    if (role == REPL_REPLICA)
        blocking_role_changed(s);
    else
        aof_history_replaced(s); /* if a master's data set was to replace ours and did not */
}
static int host_snapshot_start(void *ctx, enum repl_snapshot_target target, unsigned omit,
                               const struct repl_position *at, int *pipe_fd)
{
    return persistence_snapshot_for_replicas(ctx, target, omit, at, pipe_fd);
}
static void host_snapshot_cancel(void *ctx)
{
    persistence_snapshot_cancel(ctx);
}
static void host_disconnect_replica(void *ctx, void *client, const char *why)
{
    struct server *s = ctx;
    struct client *c = client;
    log_notice(s->core.log, "Closing replica %s: %s", c->peer, why);
    client_close_later(c);
}

static void host_acks_changed(void *ctx)
{
    ack_waits_acked(ctx);
}
static bool host_writes_paused(void *ctx)
{
    return pause_current(&((const struct server *)ctx)->core) != PAUSE_NONE;
}
static int host_listening_port(void *ctx)
{
    struct server *s = ctx;
    return s->core.settings->net.port;
}
static const char *host_rdb_path(void *ctx)
{
    struct server *s = ctx;
    return s->core.settings->persistence.dbfilename;
}
static bool host_has_field_times(void *ctx)
{
    struct server *s = ctx;
    return s->core.settings->persistence.rdb_version < RDB_VERSION_FIELD_TIMES &&
           keyspace_has_field_times(s->core.keyspace);
}
static bool host_cut_aof(void *ctx, const struct repl_position *at)
{
    return aof_cut(ctx, at);
}
static void host_history_ends(void *ctx)
{
    aof_history_ends(ctx);
}
static void host_history_replaced(void *ctx)
{
    aof_history_replaced(ctx);
}

static struct repl *make_repl(struct server *s)
{
    struct repl_host host = {
        .ctx = s,
        .apply_stream = host_apply_stream,
        .reset_stream = host_reset_stream,
        .stream_db = host_stream_db,
        .load_begin = host_load_begin,
        .load_feed = host_load_feed,
        .load_end = host_load_end,
        .dataset_is_empty = host_dataset_is_empty,
        .role_changed = host_role_changed,
        .snapshot_start = host_snapshot_start,
        .snapshot_cancel = host_snapshot_cancel,
        .disconnect_replica = host_disconnect_replica,
        .acks_changed = host_acks_changed,
        .writes_paused = host_writes_paused,
        .listening_port = host_listening_port,
        .rdb_path = host_rdb_path,
        .has_field_times = host_has_field_times,
        .cut_aof = host_cut_aof,
        .history_ends = host_history_ends,
        .history_replaced = host_history_replaced,
    };
    s->core.settings->replication.replica_output_limit = &s->core.settings->clients.output_limits[CLIENT_LIMIT_REPLICA];
    return repl_new(&host, &s->core.settings->replication, s->core.loop, s->core.sys, s->core.log);
}

/* ---- What CONFIG SET changes ---- */

static int hook_listen(void *ctx, struct config_error *err)
{
    return server_listen(ctx) == 0 ? 0 : config_fail(err, "Unable to listen on this port. Check server logs.");
}
static int hook_bind(void *ctx, struct config_error *err)
{
    return server_listen(ctx) == 0 ? 0 : config_fail(err, "Failed to bind to specified addresses.");
}
static int hook_log(void *ctx, struct config_error *err)
{
    struct server *s = ctx;
    (void)err;
    log_set_level(s->core.log, (enum log_level)s->core.settings->log.loglevel);
    return 0;
}
static int hook_client_limits(void *ctx, struct config_error *err)
{
    (void)err;
    clients_limits_changed(ctx);
    return 0;
}
static int hook_tracking(void *ctx, struct config_error *err)
{
    (void)err;
    tracking_limit_changed(ctx);
    return 0;
}
static int hook_requirepass(void *ctx, struct config_error *err)
{
    (void)err;
    acl_source_password_changed(ctx);
    return 0;
}
static void hook_users_wanted(void *ctx)
{
    acl_source_note_lines(ctx);
}
static int hook_proc_title(void *ctx, struct config_error *err)
{
    struct server *s = ctx;
    (void)err;
    if (s->title != NULL) server_set_title(s, s->title);
    return 0;
}
static int hook_locale(void *ctx, struct config_error *err)
{
    struct server *s = ctx;
    if (!s->core.life.process_owner || setlocale(LC_COLLATE, s->core.settings->process.locale_collate) != NULL)
        return 0;
    return config_fail(err, "Invalid locale");
}
static int hook_allocator(void *ctx, struct config_error *err)
{
    const struct server *s = ctx;
    if (!s->core.life.process_owner ||
        allocator_set_background_thread(s->core.settings->process.jemalloc_bg_thread) == 0)
        return 0;
    return config_fail(err, "Failed to start or stop the allocator's thread.");
}
static int hook_oom_score(void *ctx, struct config_error *err)
{
    struct server *s = ctx;
    if (!s->core.life.process_owner || process_set_oom_score(&s->oom, &s->core.settings->process, oom_role(s)) == 0)
        return 0;
    return config_fail(err, "Failed to set the oom score of the process. Check server logs.");
}
static int hook_maxclients(void *ctx, struct config_error *err)
{
    struct server *s = ctx;
    unsigned asked = s->core.settings->clients.maxclients;
    if (!s->core.life.process_owner || process_adjust_open_files(asked, s->core.log) >= asked) return 0;
    return config_fail(err, "The operating system is not able to handle the specified number of clients, try with %u",
                       process_adjust_open_files(asked, NULL));
}
static int hook_modes(void *ctx, struct config_error *err)
{
    (void)err;
    modes_refresh(&((struct server *)ctx)->core);
    return 0;
}
/* Eviction starts, or sees that there is nothing to do any more, with the next turn, whether or not a command comes. */
static int hook_maxmemory(void *ctx, struct config_error *err)
{
    struct server *s = ctx;
    uint64_t limit = s->core.settings->memory.maxmemory;
    size_t used = server_used_memory(s);
    if (limit > 0 && used > limit)
        log_warning(s->core.log,
                    "WARNING: the new maxmemory value set via CONFIG SET (%llu) is smaller than the current memory "
                    "usage (%zu). This will result in key eviction and/or the inability to accept new write commands "
                    "depending on the maxmemory-policy.",
                    (unsigned long long)limit, used);
    s->core.eviction_pending = true;
    return hook_modes(ctx, err);
}
static int hook_replication(void *ctx, struct config_error *err)
{
    struct server *s = ctx;
    (void)err;
    repl_settings_changed(s->core.repl);
    return 0;
}
static int hook_slow(void *ctx, struct config_error *err)
{
    (void)err;
    dispatcher_settings_changed(ctx);
    return 0;
}
static int hook_crash_log(void *ctx, struct config_error *err)
{
    struct server *s = ctx;
    (void)err;
    if (s->core.life.process_owner) process_crash_install(NULL, s->core.settings->log.crash_log_enabled);
    return 0;
}
static int hook_appendonly(void *ctx, struct config_error *err)
{
    struct server *s = ctx;
    if (aof_switch(s, s->core.settings->persistence.appendonly) == 0) return 0;
    return config_fail(err, "Unable to turn on AOF. Check server logs.");
}
static int hook_aof(void *ctx, struct config_error *err)
{
    (void)err;
    aof_settings_changed(ctx);
    return 0;
}
static int hook_hz(void *ctx, struct config_error *err)
{
    (void)err;
    cron_restart(ctx);
    return 0;
}

static void connect_config(struct server *s)
{
    struct config_hooks hooks = {
        .ctx = s,
        .bind_changed = hook_bind,
        .port_changed = hook_listen,
        .log_changed = hook_log,
        .crash_log_changed = hook_crash_log,
        .proc_title_changed = hook_proc_title,
        .locale_changed = hook_locale,
        .allocator_changed = hook_allocator,
        .oom_score_changed = hook_oom_score,
        .maxclients_changed = hook_maxclients,
        .client_limits_changed = hook_client_limits,
        .tracking_limit_changed = hook_tracking,
        .requirepass_changed = hook_requirepass,
        .maxmemory_changed = hook_maxmemory,
        .modes_changed = hook_modes,
        .backlog_changed = hook_replication,
        .replication_changed = hook_replication,
        .min_replicas_changed = hook_replication,
        .slowlog_changed = hook_slow,
        .latency_changed = hook_slow,
        .hz_changed = hook_hz,
        .appendonly_changed = hook_appendonly,
        .aof_changed = hook_aof,
        .change_dir = process_change_dir,
        .users_wanted = hook_users_wanted,
    };
    config_set_hooks(s->config, &hooks);
}

/* ---- Listening ---- */

static void on_accept(void *ctx, struct conn *conn)
{
    clients_accept(ctx, conn);
}
static void on_accept_error(void *ctx, int rc, const char *text)
{
    struct server *s = ctx;
    (void)rc;
    log_warning(s->core.log, "Accepting a connection: %s", text);
}

static void close_listeners(struct server *s)
{
    for (size_t i = 0; i < s->listener_count; i++) listener_close(s->listeners[i]);
    s->listener_count = 0;
}

/* What CONFIG SET bind and port are about: the Unix socket stays as it is. */
static void close_tcp_listeners(struct server *s)
{
    size_t kept = 0;
    for (size_t i = 0; i < s->listener_count; i++) {
        if (listener_is_unix(s->listeners[i]))
            s->listeners[kept++] = s->listeners[i];
        else
            listener_close(s->listeners[i]);
    }
    s->listener_count = kept;
}

/* An address written with a '-' before it may be missing on this machine. */
static bool may_be_missing(const char *address, int rc)
{
    return address[0] == '-' &&
           (rc == -EADDRNOTAVAIL || rc == -EAFNOSUPPORT || rc == -ENOENT || rc == -EPROTONOSUPPORT);
}

static int listen_tcp(struct server *s, const char *address, const struct listener_handler *handler)
{
    struct listener_error err = {{0}};
    struct listener *l;
    const char *plain = address[0] == '-' ? address + 1 : address;
    int rc = listener_open_tcp(s->core.loop, plain, s->core.settings->net.port, s->core.settings->net.tcp_backlog,
                               handler, &l, &err);
    if (rc == 0) {
        s->listeners[s->listener_count++] = l;
        return 0;
    }
    if (may_be_missing(address, rc)) return 0;
    log_warning(s->core.log, "Warning: Could not create server TCP listening socket %s:%d: %s", plain,
                s->core.settings->net.port, err.text);
    return -1;
}

static int listen_unix(struct server *s, const struct listener_handler *handler)
{
    struct listener_error err = {{0}};
    struct listener *l;
    int rc =
        listener_open_unix(s->core.loop, s->core.settings->net.unixsocket, (mode_t)s->core.settings->net.unixsocketperm,
                           s->core.settings->net.tcp_backlog, handler, &l, &err);
    if (rc != 0) {
        log_warning(s->core.log, "Failed opening the Unix socket %s: %s", s->core.settings->net.unixsocket, err.text);
        return SERVER_LISTEN_UNIX_FAILED;
    }
    s->listeners[s->listener_count++] = l;
    return 0;
}

int server_listen(struct server *s)
{
    struct listener_handler handler = {.on_accept = on_accept, .on_error = on_accept_error, .ctx = s};
    const struct settings_net *net = &s->core.settings->net;
    close_tcp_listeners(s);
    bool needs_unix = net->unixsocket != NULL && s->listener_count == 0;
    for (int i = 0; net->port != 0 && i < net->bind_count; i++)
        if (listen_tcp(s, net->bind[i], &handler) != 0) return SERVER_LISTEN_TCP_FAILED;
    return needs_unix ? listen_unix(s, &handler) : 0;
}

void server_accept_now(struct server *s)
{
    for (size_t i = 0; i < s->listener_count; i++) listener_accept_now(s->listeners[i]);
}

/* ---- The turn of the loop ---- */

static void on_wake(void *ctx)
{
    struct server *s = ctx;
    stats_turn_begins(&s->core.stats, &s->core.turn);
    clock_update(&s->core);
}

void server_send(struct server *s)
{
    repl_end_turn(s->core.repl);
    if (UNLIKELY(!aof_turn(s))) return; /* nothing may be answered (S1) */
    repl_flush(s->core.repl);
    clients_flush(s);
}

static bool on_turn(void *ctx)
{
    struct server *s = ctx;
    bool more = dispatcher_run(s);
    blocking_check_timeouts(s);
    more = expiry_fast_cycle(s) || more;
    if (UNLIKELY(s->core.eviction_pending)) more = eviction_run(s) == EVICTION_GOES_ON || more;
    persistence_turn(s);
    if (UNLIKELY(s->core.migrations_over)) migrations_serve(s);
    if (UNLIKELY(s->core.keys_ready))
        key_waits_serve(s); /* by what was no command: a load, an expiry, the end of a pause */
    if (UNLIKELY(s->core.tracking_over)) more = tracking_make_room(s) || more;
    if (UNLIKELY(s->core.tracking_pending)) tracking_broadcast(s);
    clients_reap(s); /* whoever closed another client and has the answer finds it closed */
    server_send(s);
    clients_reap(s);
    if (UNLIKELY(shutdown_is_active(s))) shutdown_cron(s);
    stats_turn_ends(&s->core.stats, &s->core.turn);
    pacing_turn_ends(s);
    return more || clients_any_ready(s);
}

static void on_signal(void *ctx, int signo)
{
    shutdown_on_signal(ctx, signo);
}

/* ---- Life ---- */

static void pin_background_thread(void *ctx)
{
    const struct server *s = ctx;
    if (s->core.life.process_owner && process_pin_to_cpus(s->core.settings->process.bio_cpulist) != 0)
        log_warning(s->core.log, "bio_cpulist %s cannot be applied", s->core.settings->process.bio_cpulist);
}

static void make_keyspace(struct server *s)
{
    s->core.lazyfree = lazyfree_new();
    lazyfree_on_start(s->core.lazyfree, pin_background_thread, s);
    s->core.keyspace = keyspace_new(s->core.settings->misc.databases, &s->core.settings->limits, s->core.sys);
    s->core.keyspace->lazyfree = s->core.lazyfree;
    s->core.keyspace->hooks = (struct keyspace_hooks){
        .ctx = s,
        .expired = on_key_expired,
        .fields_expired = on_fields_expired,
        .changed = on_key_changed,
        .created = on_key_created,
        .flushed = on_flushed,
        .hidden_expiry = on_hidden_expiry,
    };
}

struct server *server_new(struct config *config, struct settings *settings, const struct command *const *rows,
                          const struct sys *sys, struct log *log)
{
    struct server *s = mem_calloc(sizeof(*s));
    mem_thread_register();
    s->core.sys = sys;
    s->core.log = log;
    s->config = config;
    s->core.settings = settings;
    s->core.loop = loop_new();
    make_keyspace(s);
    clock_update(&s->core);
    s->core.clock.started_ms = s->core.clock.now_ms;
    pacing_init(&s->pacing);
    lifecycle_make_run_id(&s->core);
    s->commands = command_table_new(rows, s->core.settings->misc.renamed, s->core.settings->misc.renamed_count);
    s->users = acl_users_new(s->commands, &s->core.settings->security);
    s->acl_log = acl_log_new();
    s->clients = clients_new(s);
    clients_limits_changed(s);
    s->blocking = blocking_new(s);
    s->key_waits = key_waits_new(s);
    s->migrations = migrations_new(s);
    s->pubsub = pubsub_new(s);
    s->watches = watches_new(s->core.keyspace->env);
    s->trackings = trackings_new(s);
    running_init(&s->core.running);
    s->dispatcher = dispatcher_new(s);
    s->scripting = scripting_new(s);
    s->persistence = persistence_new(s);
    s->aof = aof_new(s);
    s->slowlog = slowlog_new();
    s->core.latency = latency_new();
    s->shutdown = shutdown_new();
    s->eviction = eviction_new();
    s->expiry = expiry_new(s);
    modes_init(&s->core.modes);
    s->master_stream = master_stream_new(s);
    s->core.repl = make_repl(s);
    connect_config(s);
    modes_refresh(&s->core);
    dispatcher_settings_changed(s);
    s->core.life.startup_memory = mem_used();
    if (acl_source_load(s) == 0) return s;
    server_free(s);
    return NULL;
}

/* Told to the process at its start, and again when the file or the command line lowered it. */
static int fit_maxclients(struct server *s)
{
    char text[16];
    unsigned fitting = process_adjust_open_files(s->core.settings->clients.maxclients, s->core.log);
    if (fitting == 0) return -1;
    if (fitting == s->core.settings->clients.maxclients) return 0;
    snprintf(text, sizeof(text), "%u", fitting);
    return config_set_internal(s->config, "maxclients", text, NULL);
}

int server_take_process(struct server *s, struct process_title *title)
{
    const struct settings *st = s->core.settings;
    s->core.life.process_owner = true;
    s->title = title;
    process_choose_page_size(st->process.disable_thp, s->core.log);
    if (process_pin_to_cpus(st->process.server_cpulist) != 0)
        log_warning(s->core.log, "server_cpulist %s cannot be applied", st->process.server_cpulist);
    if (setlocale(LC_COLLATE, st->process.locale_collate) == NULL) {
        log_warning(s->core.log, "Failed to set the locale %s", st->process.locale_collate);
        return -1;
    }
    if (fit_maxclients(s) != 0) return -1;
    if (allocator_set_background_thread(st->process.jemalloc_bg_thread) != 0)
        log_warning(s->core.log, "The allocator cannot have a thread of its own (jemalloc-bg-thread)");
    (void)process_check_system(st->net.tcp_backlog, s->core.log); /* it has logged what it found */
    adjust_oom_score(s, oom_role(s));
    server_set_title(s, title);
    return 0;
}

static void watch_signals(struct server *s)
{
    loop_signal(s->core.loop, SIGTERM, on_signal, s);
    loop_signal(s->core.loop, SIGINT, on_signal, s);
}

/* A configured master is connected to once the own file is loaded, which may allow a partial resync. */
static void start_following(struct server *s)
{
    if (s->core.settings->replication.master_host == NULL) return;
    char *host =
        mem_strdup(s->core.settings->replication.master_host); /* repl_follow() leads to the setting being rewritten */
    if (repl_follow_at_start(s->core.repl, host, s->core.settings->replication.master_port) != 0)
        log_warning(s->core.log, "Cannot follow %s:%d", host, s->core.settings->replication.master_port);
    mem_free(host);
}

int server_run(struct server *s)
{
    if (s->core.life.process_owner) watch_signals(s);
    loop_on_wake(s->core.loop, on_wake, s);
    loop_on_turn(s->core.loop, on_turn, s);
    start_following(s);
    if (aof_find_files(s) != 0 || persistence_load_at_start(s) != 0 || aof_open_at_start(s) != 0)
        return s->core.life.stopping ? s->core.life.exit_code : 1;
    repl_start(s->core.repl);
    expiry_hold(s);
    cron_start(s);
    log_notice(s->core.log, "Ready to accept connections tcp");
    if (s->core.life.process_owner) process_systemd_notify("STATUS=Ready to accept connections\nREADY=1\n");
    if (!s->core.life.stopping) loop_run(s->core.loop);
    return s->core.life.exit_code;
}

size_t server_used_memory(const struct server *s)
{
    struct repl_memory stream;
    size_t used = mem_used();
    repl_memory(s->core.repl, &stream);
    size_t buffers = stream.replica_buffers + stream.aof_buffer + clients_leaving_memory(s) + scripting_vm_memory(s);
    return used > buffers ? used - buffers : 0;
}

void server_free(struct server *s)
{
    if (s == NULL) return;
    close_listeners(s);
    cron_stop(s);
    persistence_free(s->persistence);
    clients_free(s->clients);
    aof_free(s->aof);
    repl_free(s->core.repl); /* leaves the master, and says so to its stream */
    master_stream_free(s->master_stream);
    eviction_free(s->eviction);
    expiry_free(s->expiry);
    shutdown_free(s->shutdown);
    latency_free(s->core.latency);
    slowlog_free(s->slowlog);
    scripting_free(s->scripting);
    dispatcher_free(s->dispatcher);
    exec_release(&s->core.exec);
    running_release(&s->core.running);
    trackings_free(s->trackings);
    watches_free(s->watches);
    pubsub_free(s->pubsub);
    migrations_free(s->migrations);
    key_waits_free(s->key_waits);
    blocking_free(s->blocking);
    acl_log_free(s->acl_log);
    acl_users_free(s->users);
    command_table_free(s->commands);
    keyspace_free(s->core.keyspace);
    lazyfree_free(s->core.lazyfree);
    loop_free(s->core.loop);
    mem_free(s);
}
