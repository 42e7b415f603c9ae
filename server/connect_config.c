/* connect_config.c -- what the server does after CONFIG SET: struct config_hooks. */
#include <locale.h>

#include "replication/replication.h"
#include "server/clients/acl_source.h"
#include "server/clients/clients.h"
#include "server/clients/listening.h"
#include "server/clients/tls_setup.h"
#include "server/clients/tracking.h"
#include "server/dispatch/dispatch.h"
#include "server/house.h"
#include "server/operation/cron.h"
#include "server/operation/report.h"
#include "server/persistence/aof.h"
#include "server/persistence/birth.h"
#include "server/process/process_crash.h"
#include "server/sentinel/sentinel_room.h"
#include "server/streams/verify_master.h"
#include "storage/base/allocator.h"

static int hook_listen(void *ctx, struct config_error *err)
{
    if (listening_open(((struct server *)ctx)->listening, NULL) == 0) return 0;
    return config_fail(err, "Unable to listen on this port. Check server logs.");
}
static int hook_bind(void *ctx, struct config_error *err)
{
    if (listening_open(((struct server *)ctx)->listening, NULL) == 0) return 0;
    return config_fail(err, "Failed to bind to specified addresses.");
}
static int hook_tls(void *ctx, struct config_error *err)
{
    const struct server *s = ctx;
    return tls_setup_apply(s->tls) == 0 ? 0
                                        : config_fail(err, "Unable to update TLS configuration. Check server logs.");
}
/* Certificates that were set by the same command are loaded first. */
static int hook_tls_port(void *ctx, struct config_error *err)
{
    int rc = hook_tls(ctx, err);
    return rc == 0 ? hook_listen(ctx, err) : rc;
}
static int hook_log(void *ctx, struct config_error *err)
{
    const struct server *s = ctx;
    const struct settings_log *st = &s->core.settings->log;
    (void)err;
    log_set_level(s->core.log, (enum log_level)st->loglevel);
    log_set_format(s->core.log, (enum log_format)st->format, (enum log_stamp)st->stamp);
    return 0;
}
static int hook_client_limits(void *ctx, struct config_error *err)
{
    (void)err;
    clients_limits_changed(((struct server *)ctx)->clients);
    return 0;
}
static int hook_tracking(void *ctx, struct config_error *err)
{
    (void)err;
    tracking_limit_changed(((struct server *)ctx)->clients->trackings);
    return 0;
}
static int hook_requirepass(void *ctx, struct config_error *err)
{
    (void)err;
    acl_source_password_changed(((struct server *)ctx)->clients);
    return 0;
}
static void hook_users_wanted(void *ctx)
{
    acl_source_note_lines(((struct server *)ctx)->clients);
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
    if (!s->core.life.process_owner ||
        process_set_oom_score(&s->oom, &s->core.settings->process, server_oom_role(s)) == 0)
        return 0;
    return config_fail(err, "Failed to set the oom score of the process. Check server logs.");
}
static int hook_maxclients(void *ctx, struct config_error *err)
{
    struct server *s = ctx;
    unsigned asked = s->core.settings->clients.maxclients;
    unsigned others = server_other_descriptors(s);
    if (!s->core.life.process_owner || process_adjust_open_files(asked, others, s->core.log) >= asked) return 0;
    return config_fail(err, "The operating system is not able to handle the specified number of clients, try with %u",
                       process_adjust_open_files(asked, others, NULL));
}
static int hook_other_port(void *ctx, struct config_error *err)
{
    int rc = hook_maxclients(ctx, err);
    return rc == 0 ? hook_tls_port(ctx, err) : rc;
}
static int hook_modes(void *ctx, struct config_error *err)
{
    (void)err;
    modes_refresh(&((struct server *)ctx)->core);
    return 0;
}
/* Marks eviction as due, so that it starts in this turn even if no command follows. */
static int hook_maxmemory(void *ctx, struct config_error *err)
{
    struct server *s = ctx;
    uint64_t limit = s->core.settings->memory.maxmemory;
    size_t used = used_memory_now(&s->used_memory);
    if (limit > 0 && used > limit)
        log_warning(s->core.log,
                    "WARNING: the new maxmemory value set via CONFIG SET (%llu) is smaller than the current memory "
                    "usage (%zu). This will result in key eviction and/or the inability to accept new write commands "
                    "depending on the maxmemory-policy.",
                    (unsigned long long)limit, used);
    due_set(&s->core, DUE_EVICTION);
    return hook_modes(ctx, err);
}
static int hook_replication(void *ctx, struct config_error *err)
{
    struct server *s = ctx;
    (void)err;
    repl_settings_changed(s->core.repl);
    birth_settings_changed(s->birth);
    modes_refresh(&s->core);
    return 0;
}
static int hook_verify(void *ctx, struct config_error *err)
{
    (void)err;
    verify_master_settings_changed(((struct server *)ctx)->verify_master);
    return 0;
}
static int hook_slow(void *ctx, struct config_error *err)
{
    (void)err;
    dispatcher_settings_changed(((struct server *)ctx)->dispatcher);
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
    if (aof_switch(s->aof, s->core.settings->persistence.appendonly) == 0) return 0;
    return config_fail(err, "Unable to turn on AOF. Check server logs.");
}
static int hook_aof(void *ctx, struct config_error *err)
{
    (void)err;
    aof_settings_changed(((struct server *)ctx)->aof);
    return 0;
}
static int hook_hz(void *ctx, struct config_error *err)
{
    (void)err;
    cron_restart(ctx);
    return 0;
}

static void hook_sentinel_lines(void *ctx, void *to, void (*line)(void *to, const char *text))
{
    const struct server *s = ctx;
    sentinel_room_lines(s->core.sentinel, to, line);
}

void connect_config(struct server *s)
{
    struct config_hooks hooks = {
        .ctx = s,
        .bind_changed = hook_bind,
        .port_changed = hook_listen,
        .tls_port_changed = hook_tls_port,
        .tls_changed = hook_tls,
        .other_port_changed = hook_other_port,
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
        .verify_changed = hook_verify,
        .slowlog_changed = hook_slow,
        .latency_changed = hook_slow,
        .hz_changed = hook_hz,
        .appendonly_changed = hook_appendonly,
        .aof_changed = hook_aof,
        .change_dir = process_change_dir,
        .users_wanted = hook_users_wanted,
        .sentinel_lines = s->core.settings->sentinel.mode ? hook_sentinel_lines : NULL,
    };
    config_set_hooks(s->config, &hooks);
}
