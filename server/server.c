/* server.c -- makes the rooms of a server, passes them to each other, and runs the turn of the loop. */
#include "server/house.h"

#include <errno.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "server/acl/acl_log.h"
#include "server/acl/users.h"
#include "server/catalog/command_table.h"
#include "server/clients/acl_source.h"
#include "server/clients/blocking.h"
#include "server/clients/clients_room.h"
#include "server/clients/key_waits.h"
#include "server/clients/listening.h"
#include "server/clients/tls_setup.h"
#include "server/clients/proxy_ports.h"
#include "server/clients/pubsub.h"
#include "server/clients/tracking.h"
#include "server/core/latency.h"
#include "server/dispatch/dispatch.h"
#include "server/dispatch/slowlog.h"
#include "server/memory/eviction.h"
#include "server/memory/expiry.h"
#include "server/net/listener.h"
#include "server/operation/agent_check.h"
#include "server/operation/cron.h"
#include "server/operation/metrics.h"
#include "server/operation/report.h"
#include "server/operation/samples.h"
#include "server/operation/shutdown.h"
#include "server/operation/turn_end.h"
#include "server/persistence/aof.h"
#include "server/persistence/birth.h"
#include "server/persistence/lineage.h"
#include "server/persistence/rdb_loading.h"
#include "server/process/process.h"
#include "server/process/process_crash.h"
#include "server/scripting/scripting.h"
#include "server/sentinel/sentinel_room.h"
#include "server/streams/ack_waits.h"
#include "server/streams/master_stream.h"
#include "server/streams/migration.h"
#include "server/streams/repair_master.h"
#include "server/streams/repair_replica.h"
#include "server/streams/verify_master.h"
#include "server/streams/verify_replica.h"
#include "server/web/web.h"
#include "server/web/web_health.h"
#include "server/web/web_metrics.h"
#include "server/web/web_page.h"
#include "server/web/web_sentinel.h"
#include "storage/base/allocator.h"
#include "storage/base/memory.h"
#include "storage/lazyfree.h"

/* ---- The turn of the loop ---- */

static void on_wake(void *ctx)
{
    struct server *s = ctx;
    stats_turn_begins(&s->core.stats, &s->core.turn);
    clock_update(&s->core);
}

/* Does the work that became due in this turn. True if some of it continues in the next turn. */
static bool serve_due(struct server *s)
{
    const struct clients *cs = s->clients;
    bool more = false;
    if (s->core.due & DUE_EVICTION) more = eviction_run(s->eviction) == EVICTION_GOES_ON;
    if (s->core.due & DUE_MIGRATIONS) migrations_serve(s->migrations);
    /* Keys that became ready without a command: by a load, an expiry, the end of a pause. */
    if (s->core.due & DUE_KEY_WAITS) key_waits_serve(cs->key_waits);
    if (s->core.due & DUE_TRACKING_ROOM) more = tracking_make_room(cs->trackings) || more;
    if (s->core.due & DUE_TRACKING_BROADCAST) tracking_broadcast(cs->trackings);
    return more;
}

static bool on_turn(void *ctx)
{
    struct server *s = ctx;
    bool more = dispatcher_run(s->dispatcher);
    blocking_check_timeouts(s->clients->blocking);
    more = expiry_fast_cycle(s->expiry) || more;
    lineage_turn(s->lineage); /* notes a flush before the empty RDB file is written */
    saving_turn(s->saving);
    if (UNLIKELY(s->core.sentinel != NULL)) more = sentinel_room_turn(s->core.sentinel) || more;
    if (UNLIKELY(s->core.due != 0)) more = serve_due(s) || more;
    clients_reap(s->clients); /* before the replies: the reply to CLIENT KILL means that the client is gone */
    turn_end_send(&s->core, s->lineage, s->aof, s->clients);
    clients_reap(s->clients);
    if (UNLIKELY(shutdown_is_active(s))) shutdown_cron(s);
    more = web_turn(s->web) || more;
    more = tls_transport_turn(tls_setup_transport(s->tls), s->core.stats.commands_processed) || more;
    stats_turn_ends(&s->core.stats, &s->core.turn);
    pacing_turn_ends(&s->core, master_stream_commands(s->master_stream));
    return more || clients_any_ready(s->clients);
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
    s->core.keyspace = keyspace_new(s->core.settings->misc.databases, &s->core.settings->limits, NULL, s->core.sys);
    sys_random(s->core.sys, &s->core.name_seed, sizeof(s->core.name_seed));
    s->core.keyspace->lazyfree = s->core.lazyfree;
    connect_keyspace(s);
}

static void make_core(struct server *s, struct settings *settings, const struct sys *sys, struct log *log)
{
    struct core *core = &s->core;
    core->sys = sys;
    core->log = log;
    core->settings = settings;
    core->loop = loop_new();
    make_keyspace(s);
    clock_update(core);
    core->clock.started_ms = core->clock.now_ms;
    core->latency = latency_new();
    pacing_init(&core->pacing);
    running_init(&core->running);
    modes_init(&core->modes);
    lifecycle_make_run_id(core);
    s->tls = tls_setup_new(core);
    core->repl = connect_replication(s);
}

static size_t memory_left_out(void *ctx)
{
    const struct server *s = ctx;
    return scripting_vm_memory(s->scripting);
}

static const char *disk_refusal(void *ctx)
{
    const struct server *s = ctx;
    const char *refusal = aof_refuses_writes(s->aof);
    return UNLIKELY(refusal != NULL) ? refusal : saving_write_refusal(s->saving);
}

static void accept_now(void *ctx)
{
    const struct server *s = ctx;
    listening_accept_now(s->listening);
}

static void send_now(void *ctx)
{
    struct server *s = ctx;
    turn_end_send(&s->core, s->lineage, s->aof, s->clients);
}

static bool run_again(void *ctx, struct client *c)
{
    const struct server *s = ctx;
    return dispatch_again(s->dispatcher, c);
}

static void unblocked(void *ctx, struct client *c)
{
    const struct server *s = ctx;
    dispatch_unblocked(s->dispatcher, c);
}

static void make_clients_and_dispatcher(struct server *s)
{
    struct core *core = &s->core;
    s->clients = clients_room_new(&(struct clients_uses){
        .core = core,
        .config = s->config,
        .commands = s->commands,
        .users = s->users,
        .acl_log = s->acl_log,
        .runner = {.ctx = s, .again = run_again, .unblocked = unblocked},
    });
    s->used_memory =
        (struct used_memory){.core = core, .clients = s->clients, .left_out = memory_left_out, .left_out_ctx = s};
    s->eviction = eviction_new(core, s->clients, &s->used_memory);
    s->expiry = expiry_new(core);
    s->slowlog = slowlog_new(core, s->config);
    s->dispatcher = dispatcher_new(&(struct dispatcher_uses){
        .house = s,
        .core = core,
        .commands = s->commands,
        .clients = s->clients,
        .eviction = s->eviction,
        .expiry = s->expiry,
        .slowlog = s->slowlog,
        .ctx = s,
        .disk_refusal = disk_refusal,
        .accept_now = accept_now,
        .send = send_now,
    });
}

static void aof_has_synced(void *ctx)
{
    const struct server *s = ctx;
    ack_waits_synced(s->ack_waits);
}

static void aof_is_off(void *ctx)
{
    const struct server *s = ctx;
    ack_waits_aof_off(s->ack_waits);
}

static void make_persistence(struct server *s)
{
    struct core *core = &s->core;
    s->child = child_new(core, &s->oom);
    s->loading = loading_new(core, s->clients->key_waits);
    s->saving =
        saving_new(&(struct saving_uses){.core = core, .child = s->child, .stop_asked = shutdown_insisted, .ctx = s});
    s->rdb_loading = rdb_loading_new(&(struct rdb_loading_uses){.core = core,
                                                                .clients = s->clients,
                                                                .scripting = s->scripting,
                                                                .child = s->child,
                                                                .saving = s->saving,
                                                                .loading = s->loading});
    s->lineage = lineage_new(core);
    s->birth = birth_new(core, s->lineage);
    s->aof = aof_new(&(struct aof_uses){.load = {.core = core,
                                                 .clients = s->clients,
                                                 .dispatcher = s->dispatcher,
                                                 .scripting = s->scripting,
                                                 .loading = s->loading,
                                                 .saving = s->saving},
                                        .child = s->child,
                                        .ctx = s,
                                        .synced = aof_has_synced,
                                        .off = aof_is_off});
}

static void add_web_paths(struct server *s)
{
    web_health_add(s->web, s);
    web_metrics_add(s->web, s->metrics);
    web_page_add(s->web, s);
}

static void run_waiting(struct client *c, void *ctx)
{
    (void)ctx;
    if (client_run_again(c)) client_unblock(c);
}

static void name_answered(void *ctx)
{
    const struct server *s = ctx;
    blocking_each(s->clients->blocking, BLOCK_SENTINEL, run_waiting, NULL);
}

static int make_sentinel(struct server *s)
{
    if (!s->core.settings->sentinel.mode) return 0;
    log_set_role(s->core.log, 'X');
    s->core.sentinel = sentinel_room_new(&(struct sentinel_room_uses){
        .core = &s->core, .config = s->config, .pubsub = s->clients->pubsub, .tls = tls_setup_transport(s->tls)});
    if (s->core.sentinel == NULL) return -1; /* the reason is logged */
    sentinel_room_on_name(s->core.sentinel, name_answered, s);
    web_sentinel_add(s->web, s->core.sentinel);
    return 0;
}

struct server *server_new(struct config *config, struct settings *settings, const struct command *const *rows,
                          const struct sys *sys, struct log *log)
{
    struct server *s = mem_calloc(sizeof(*s));
    mem_thread_register();
    make_core(s, settings, sys, log);
    s->config = config;
    s->commands = command_table_new_of(rows, settings->sentinel.mode ? CMD_SENTINEL : 0, settings->misc.renamed,
                                       settings->misc.renamed_count);
    s->users = acl_users_new(s->commands, &settings->security);
    s->acl_log = acl_log_new();
    make_clients_and_dispatcher(s);
    s->listening = listening_new(s->clients, tls_setup_transport(s->tls));
    s->proxy_ports = proxy_ports_new(s->clients, s->listening);
    s->scripting = scripting_new(s->clients, s->dispatcher, s->commands);
    make_persistence(s);
    s->ack_waits = ack_waits_new(s->clients, s->aof);
    s->migrations = migrations_new(&s->core, tls_setup_transport(s->tls));
    s->master_stream = master_stream_new(s->clients, s->dispatcher);
    s->repair_master = repair_master_new(&s->core);
    s->repair_replica = repair_replica_new(&s->core);
    s->verify_master = verify_master_new(&s->core, s->repair_master);
    s->verify_replica = verify_replica_new(&s->core, s->repair_replica);
    s->core.master_ping = (struct master_ping_hook){.ctx = s->verify_replica, .fn = verify_replica_on_ping};
    s->samples = samples_new();
    s->shutdown = shutdown_new();
    s->metrics = metrics_new(s);
    s->agent_check = agent_check_new(s, &s->core, s->listening);
    s->web = web_new(s->clients, s->listening, tls_setup_transport(s->tls));
    if (!settings->sentinel.mode) add_web_paths(s);
    connect_config(s);
    modes_refresh(&s->core);
    dispatcher_settings_changed(s->dispatcher);
    s->core.life.startup_memory = mem_used();
    if (acl_source_load(s->clients) == 0 && make_sentinel(s) == 0) return s;
    server_free(s);
    return NULL;
}

unsigned server_other_descriptors(const struct server *s)
{
    unsigned of_http = s->core.settings->http.port != 0 ? WEB_DESCRIPTORS : 0;
    return of_http + (proxy_ports_are_on(s->proxy_ports) ? PROXY_WAITING_MAX : 0);
}

/* Raises the limit of open files, or lowers maxclients to what the system allows. */
static int fit_maxclients(struct server *s)
{
    char text[16];
    unsigned fitting =
        process_adjust_open_files(s->core.settings->clients.maxclients, server_other_descriptors(s), s->core.log);
    if (fitting == 0) return -1;
    if (fitting == s->core.settings->clients.maxclients) return 0;
    snprintf(text, sizeof(text), "%u", fitting);
    return config_set_internal(s->config, "maxclients", text, NULL);
}

enum process_oom_role server_oom_role(const struct server *s)
{
    return repl_role(s->core.repl) == REPL_MASTER ? PROCESS_OOM_MASTER : PROCESS_OOM_REPLICA;
}

void server_adjust_oom_score(struct server *s)
{
    if (!s->core.life.process_owner) return;
    int rc = process_set_oom_score(&s->oom, &s->core.settings->process, server_oom_role(s));
    if (rc != 0) log_warning(s->core.log, "Unable to write oom_score_adj: %s", strerror(-rc));
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
    (void)process_check_system(st->net.tcp_backlog, s->core.log); /* findings are logged */
    server_adjust_oom_score(s);
    server_set_title(s, title);
    return 0;
}

static void watch_signals(struct server *s)
{
    loop_signal(s->core.loop, SIGTERM, on_signal, s);
    loop_signal(s->core.loop, SIGINT, on_signal, s);
}

/* Tells replication of the configured master. repl_start() connects to it after the own file is loaded, which may allow
 * a partial resynchronization. */
static void start_following(struct server *s)
{
    if (s->core.settings->replication.master_host == NULL) return;
    /* A copy: host_role_changed() writes this setting. */
    char *host = mem_strdup(s->core.settings->replication.master_host);
    if (repl_follow_at_start(s->core.repl, host, s->core.settings->replication.master_port) != 0)
        log_warning(s->core.log, "Cannot follow %s:%d", host, s->core.settings->replication.master_port);
    mem_free(host);
}

static int load_at_start(struct server *s)
{
    if (s->core.settings->persistence.appendonly) return aof_load_at_start(s->aof);
    return rdb_loading_at_start(s->rdb_loading);
}

static bool has_loaded_keys(const struct server *s)
{
    return keyspace_count(s->core.keyspace) > 0 || aof_had_data(s->aof) || rdb_loading_had_keys(s->rdb_loading);
}

/* 0, or -1: the server cannot run, or was told to stop. */
static int begin_with_data(struct server *s)
{
    start_following(s);
    lineage_read(s->lineage);
    if (aof_find_files(s->aof) != 0 || load_at_start(s) != 0 || aof_open_at_start(s->aof) != 0) return -1;
    lineage_begin(s->lineage);
    birth_begin(s->birth, has_loaded_keys(s));
    repl_start(s->core.repl);
    expiry_hold(s->expiry);
    return 0;
}

int server_run(struct server *s)
{
    if (s->core.life.process_owner) watch_signals(s);
    loop_on_wake(s->core.loop, on_wake, s);
    loop_on_turn(s->core.loop, on_turn, s);
    int rc = s->core.sentinel != NULL ? sentinel_room_start(s->core.sentinel) : begin_with_data(s);
    if (rc != 0) return s->core.life.stopping ? s->core.life.exit_code : 1;
    cron_start(s);
    listening_log_ready(s->listening);
    if (s->core.life.process_owner) process_systemd_notify("STATUS=Ready to accept connections\nREADY=1\n");
    if (!s->core.life.stopping) loop_run(s->core.loop);
    return s->core.life.exit_code;
}

void server_free(struct server *s)
{
    if (s == NULL) return;
    listening_free(s->listening);
    metrics_free(s->metrics);
    agent_check_free(s->agent_check);
    web_free(s->web);
    proxy_ports_free(s->proxy_ports);
    cron_stop(s);
    sentinel_room_free(s->core.sentinel);
    if (child_is_active(s->child)) child_drop(s->child);
    clients_close_all(s->clients);
    aof_free(s->aof);
    repl_free(s->core.repl); /* calls host functions of master_stream, rdb_loading and saving */
    verify_replica_free(s->verify_replica);
    verify_master_free(s->verify_master);
    repair_replica_free(s->repair_replica);
    repair_master_free(s->repair_master);
    birth_free(s->birth);
    lineage_free(s->lineage);
    master_stream_free(s->master_stream);
    rdb_loading_free(s->rdb_loading);
    saving_free(s->saving);
    loading_free(s->loading);
    child_free(s->child);
    shutdown_free(s->shutdown);
    samples_free(s->samples);
    scripting_free(s->scripting);
    dispatcher_free(s->dispatcher);
    eviction_free(s->eviction);
    expiry_free(s->expiry);
    slowlog_free(s->slowlog);
    migrations_free(s->migrations);
    ack_waits_free(s->ack_waits);
    clients_room_free(s->clients);
    exec_release(&s->core.exec);
    running_release(&s->core.running);
    latency_free(s->core.latency);
    tls_setup_free(s->tls); /* clients and the link to our master are closed */
    acl_log_free(s->acl_log);
    acl_users_free(s->users);
    command_table_free(s->commands);
    keyspace_free(s->core.keyspace);
    lazyfree_free(s->core.lazyfree);
    loop_free(s->core.loop);
    mem_free(s);
}
