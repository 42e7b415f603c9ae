#include "server/sentinel/sentinel_room.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "server/clients/pubsub.h"
#include "server/config/config.h"
#include "server/core/core.h"
#include "server/net/address.h"
#include "server/sentinel/sentinel_links.h"
#include "server/sentinel/sentinel_names.h"
#include "storage/base/log.h"
#include "storage/base/memory.h"
#include "storage/base/words.h"

enum { CRASH_STATUS = 99, TUNABLES_MAX = 64 };

struct sentinel_room {
    struct core *core;
    struct config *config;
    struct pubsub *pubsub;
    struct sentinel *sentinel;
    struct sentinel_links *links;
    struct sentinel_scripts *scripts;
    struct sentinel_names *names;
    bool started;
    bool touched;            /* the library has to be asked what is due */
    int64_t next_tick_ms;    /* when it wants to be asked at the latest */
    int64_t next_scripts_ms; /* when scripts are looked after */
    struct loop_timer timer; /* ends the wait of the loop */
    void (*name_answered)(void *ctx);
    void *name_answered_ctx;
};

/* ---- What the library asks for ---- */

static int64_t host_now(void *ctx)
{
    const struct sentinel_room *room = ctx;
    return room->core->clock.mono_ms;
}

static uint64_t host_random(void *ctx)
{
    const struct sentinel_room *room = ctx;
    uint64_t n;
    sys_random(room->core->sys, &n, sizeof(n));
    return n;
}

static void host_connect(void *ctx, struct sentinel_node *node)
{
    const struct sentinel_room *room = ctx;
    sentinel_links_connect(room->links, node);
}
static void host_disconnect(void *ctx, struct sentinel_node *node)
{
    const struct sentinel_room *room = ctx;
    sentinel_links_disconnect(room->links, node);
}
static void host_reconnect(void *ctx, struct sentinel_node *node, enum sentinel_which which)
{
    const struct sentinel_room *room = ctx;
    sentinel_links_reconnect(room->links, node, which);
}
static bool host_send(void *ctx, struct sentinel_node *node, unsigned tag, int argc, const struct bytes_view *argv)
{
    const struct sentinel_room *room = ctx;
    return sentinel_links_send(room->links, node, tag, argc, argv);
}
static bool host_local_ip(void *ctx, struct sentinel_node *node, char out[SENTINEL_IP_SIZE])
{
    const struct sentinel_room *room = ctx;
    return sentinel_links_local_ip(room->links, node, out);
}

static int host_listening_port(void *ctx)
{
    const struct settings *st = ((const struct sentinel_room *)ctx)->core->settings;
    return st->replication.tls_replication && st->net.tls_port != 0 ? st->net.tls_port : st->net.port;
}

static enum log_level log_level_of(enum sentinel_level level)
{
    switch (level) {
    case SENTINEL_DEBUG: return LOG_LEVEL_DEBUG;
    case SENTINEL_VERBOSE: return LOG_LEVEL_VERBOSE;
    case SENTINEL_NOTICE: return LOG_LEVEL_NOTICE;
    case SENTINEL_WARNING: return LOG_LEVEL_WARNING;
    }
    return LOG_LEVEL_WARNING;
}

static void host_log(void *ctx, enum sentinel_level level, const char *text)
{
    const struct sentinel_room *room = ctx;
    log_write(room->core->log, log_level_of(level), "%s", text);
}

static void host_event(void *ctx, enum sentinel_level level, const char *type, const struct sentinel_node *master,
                       const char *text)
{
    struct sentinel_room *room = ctx;
    log_write(room->core->log, log_level_of(level), "%s %s", type, text);
    if (level != SENTINEL_DEBUG) pubsub_publish(room->pubsub, bytes_str(type), bytes_str(text));
    const char *script = master != NULL && level == SENTINEL_WARNING ? sentinel_notification_script(master) : NULL;
    if (script != NULL) sentinel_scripts_run(room->scripts, 3, (const char *[]){script, type, text});
}

static void host_reconfig(void *ctx, const struct sentinel_node *master, const char *role, const char *state,
                          const char *from_host, int from_port, const char *to_host, int to_port)
{
    struct sentinel_room *room = ctx;
    const char *script = sentinel_client_reconfig_script(master);
    char from[16], to[16];
    if (script == NULL) return;
    snprintf(from, sizeof(from), "%d", from_port);
    snprintf(to, sizeof(to), "%d", to_port);
    const char *argv[] = {script, sentinel_node_name(master), role, state, from_host, from, to_host, to};
    sentinel_scripts_run(room->scripts, sizeof(argv) / sizeof(argv[0]), argv);
}

/* ---- The proof that the next start accepts the lines (H8) ---- */

static int unknown_name(void *ctx, const char *name, char ip[SENTINEL_IP_SIZE])
{
    (void)ctx, (void)name, (void)ip;
    return -EAGAIN;
}
/* A script that was removed since is no reason to stop saving votes. */
static bool any_script(void *ctx, const char *path)
{
    (void)ctx, (void)path;
    return true;
}

struct proof {
    struct sentinel *scratch;
    bool refused;
};
static void prove_line(void *to, const char *text)
{
    struct proof *p = to;
    struct word_list w;
    if (words_split(bytes_str(text), &w) != 0) {
        p->refused = true;
        return;
    }
    const char *const *words = (const char *const *)w.words;
    if (w.count < 2 || !sentinel_config_line(p->scratch, 0, (int)w.count - 1, words + 1)) p->refused = true;
    words_release(&w);
}

static int prove_lines(const struct sentinel_room *room, struct config_error *err)
{
    struct sentinel_host host = {.ctx = (void *)room,
                                 .now = host_now,
                                 .random = host_random,
                                 .resolve = unknown_name,
                                 .script_usable = any_script};
    struct proof p = {.scratch = sentinel_new(&host)};
    struct sentinel_error why = {"a line is not one of a sentinel"};
    int line = 0;
    sentinel_room_lines(room, &p, prove_line);
    if (!p.refused && sentinel_config_end(p.scratch, &line, &why) != 0) p.refused = true;
    sentinel_free(p.scratch);
    return p.refused ? config_fail(err, "the new file would not load: %s", why.text) : 0;
}

static int host_save(void *ctx)
{
    const struct sentinel_room *room = ctx;
    struct config_error err = {""};
    int rc = prove_lines(room, &err);
    if (rc == 0) rc = config_rewrite(room->config, &err);
    if (rc != 0)
        log_warning(room->core->log, "WARNING: Sentinel was not able to save the new configuration on disk!!!: %s",
                    err.text);
    else
        log_verbose(room->core->log, "Sentinel new configuration saved on disk");
    return rc;
}

int sentinel_room_resolve(struct sentinel_room *room, const char *host, char ip[SENTINEL_IP_SIZE])
{
    struct net_address digits;
    if (!net_address_parse(host, 0, &digits)) return sentinel_names_find(room->names, host, ip);
    snprintf(ip, SENTINEL_IP_SIZE, "%s", host);
    return 0;
}

static int host_resolve(void *ctx, const char *name, char ip[SENTINEL_IP_SIZE])
{
    return sentinel_room_resolve(ctx, name, ip);
}

static bool host_script_usable(void *ctx, const char *path)
{
    const struct sentinel_room *room = ctx;
    return room->core->sys->may_run(room->core->sys->ctx, path) == 0;
}

static void host_crash(void *ctx)
{
    const struct sentinel_room *room = ctx;
    if (room->core->life.process_owner) exit(CRASH_STATUS);
    lifecycle_stop(room->core, CRASH_STATUS);
}

static struct sentinel_host host_of(struct sentinel_room *room)
{
    return (struct sentinel_host){
        .ctx = room,
        .now = host_now,
        .random = host_random,
        .connect = host_connect,
        .disconnect = host_disconnect,
        .reconnect = host_reconnect,
        .send = host_send,
        .local_ip = host_local_ip,
        .listening_port = host_listening_port,
        .event = host_event,
        .log = host_log,
        .reconfig = host_reconfig,
        .save = host_save,
        .resolve = host_resolve,
        .script_usable = host_script_usable,
        .crash = host_crash,
    };
}

/* ---- What it is told ---- */

static void name_answered(void *ctx, const char *name, const char *ip)
{
    struct sentinel_room *room = ctx;
    room->touched = true;
    sentinel_resolved(room->sentinel, name, ip);
    if (room->name_answered != NULL) room->name_answered(room->name_answered_ctx);
}

static void script_event(void *ctx, const char *type, const char *text)
{
    host_event(ctx, SENTINEL_WARNING, type, NULL, text);
}

static int64_t tunable(const struct sentinel_room *room, const char *name, int64_t otherwise)
{
    struct sentinel_tunable all[TUNABLES_MAX];
    size_t count = sentinel_tunables(room->sentinel, all, TUNABLES_MAX);
    for (size_t i = 0; i < count && i < TUNABLES_MAX; i++)
        if (strcasecmp(all[i].name, name) == 0) return all[i].value;
    return otherwise;
}
static int64_t max_runtime_ms(void *ctx)
{
    return tunable(ctx, "script-max-runtime", 60 * 1000);
}
static int64_t retry_delay_ms(void *ctx)
{
    return tunable(ctx, "script-retry-delay", 30 * 1000);
}

/* ---- Turns ---- */

static void on_timer(void *ctx)
{
    (void)ctx; /* the turn does the work */
}

static void look_after_scripts(struct sentinel_room *room)
{
    int64_t now_ms = room->core->clock.mono_ms;
    if (now_ms < room->next_scripts_ms) return;
    sentinel_scripts_cron(room->scripts);
    room->next_scripts_ms = now_ms + SENTINEL_TICK_MS;
}

bool sentinel_room_turn(struct sentinel_room *room)
{
    int64_t now_ms = room->core->clock.mono_ms;
    if (!room->started) return false;
    bool told = sentinel_links_turn(room->links);
    if (told || room->touched || now_ms >= room->next_tick_ms) {
        room->touched = false;
        int wait_ms = sentinel_tick(room->sentinel);
        room->next_tick_ms = now_ms + wait_ms;
        loop_timer_start(room->core->loop, &room->timer, wait_ms, 0, on_timer, room);
    }
    look_after_scripts(room);
    return sentinel_links_waiting(room->links);
}

void sentinel_room_touch(struct sentinel_room *room)
{
    room->touched = true;
}

/* ---- The configuration ---- */

struct line_to {
    void *to;
    void (*line)(void *to, const char *text);
};
static void pass_line(void *ctx, const char *directive, const char *line)
{
    const struct line_to *t = ctx;
    (void)directive; /* the rewriting finds the place by the words */
    t->line(t->to, line);
}

void sentinel_room_lines(const struct sentinel_room *room, void *to, void (*line)(void *to, const char *text))
{
    struct line_to t = {.to = to, .line = line};
    sentinel_config_lines(room->sentinel, &(struct sentinel_line_out){.ctx = &t, .line = pass_line});
}

static void log_wrong_line(const struct sentinel_room *room, const struct sentinel_line *line, const char *why)
{
    struct bytes_buf text = {NULL, 0, 0};
    for (size_t i = 0; i < line->count; i++) bytes_buf_printf(&text, " %s", line->words[i]);
    char shown[BYTES_QUOTED_SIZE(256)];
    log_warning(room->core->log, "FATAL CONFIG FILE ERROR: 'sentinel%s': %s",
                bytes_quoted(bytes_buf_view(&text), 256, shown), why);
    bytes_buf_release(&text);
}

static int read_lines(struct sentinel_room *room)
{
    const struct settings_sentinel *st = &room->core->settings->sentinel;
    struct sentinel_error err = {""};
    int at = 0;
    for (size_t i = 0; i < st->line_count; i++) {
        const struct sentinel_line *line = &st->lines[i];
        if (sentinel_config_line(room->sentinel, (int)i, (int)line->count, (const char *const *)line->words)) continue;
        log_wrong_line(room, line, "Unrecognized sentinel configuration statement.");
        return -1;
    }
    if (sentinel_config_end(room->sentinel, &at, &err) == 0) return 0;
    if (at >= 0 && (size_t)at < st->line_count)
        log_wrong_line(room, &st->lines[at], err.text);
    else
        log_warning(room->core->log, "FATAL CONFIG FILE ERROR: %s", err.text);
    return -1;
}

/* ---- Life ---- */

struct sentinel_room *sentinel_room_new(const struct sentinel_room_uses *uses)
{
    if (config_path(uses->config) == NULL) {
        log_warning(uses->core->log, "Sentinel needs config file on disk, can't continue. Exiting...");
        return NULL;
    }
    struct sentinel_room *room = mem_calloc(sizeof(*room));
    room->core = uses->core;
    room->config = uses->config;
    room->pubsub = uses->pubsub;
    room->links = sentinel_links_new(room->core, uses->tls);
    room->names = sentinel_names_new(room->core, name_answered, room);
    room->scripts = sentinel_scripts_new(&(struct sentinel_scripts_uses){.core = room->core,
                                                                         .ctx = room,
                                                                         .event = script_event,
                                                                         .max_runtime_ms = max_runtime_ms,
                                                                         .retry_delay_ms = retry_delay_ms});
    struct sentinel_host host = host_of(room);
    room->sentinel = sentinel_new(&host);
    sentinel_links_serve(room->links, room->sentinel);
    if (read_lines(room) == 0) return room;
    sentinel_room_free(room);
    return NULL;
}

void sentinel_room_free(struct sentinel_room *room)
{
    if (room == NULL) return;
    loop_timer_stop(&room->timer);
    sentinel_free(room->sentinel);
    sentinel_links_free(room->links);
    sentinel_names_free(room->names);
    sentinel_scripts_free(room->scripts);
    mem_free(room);
}

/* A file that cannot be written would be noticed at the first vote otherwise. */
int sentinel_room_start(struct sentinel_room *room)
{
    if (host_save(room) != 0) {
        log_warning(room->core->log, "Sentinel config file %s is not writable. Exiting...", config_path(room->config));
        return -1;
    }
    log_warning(room->core->log, "Sentinel ID is %s", sentinel_id(room->sentinel));
    int rc = sentinel_start(room->sentinel);
    room->started = rc == 0;
    room->touched = true;
    return rc == 0 ? 0 : -1;
}

struct sentinel *sentinel_room_library(const struct sentinel_room *room)
{
    return room->sentinel;
}
const struct sentinel_scripts *sentinel_room_scripts(const struct sentinel_room *room)
{
    return room->scripts;
}

void sentinel_room_on_name(struct sentinel_room *room, void (*answered)(void *ctx), void *ctx)
{
    room->name_answered = answered;
    room->name_answered_ctx = ctx;
}

/* ---- INFO ---- */

void sentinel_room_info(const struct sentinel_room *room, struct bytes_buf *out)
{
    const struct sentinel *s = room->sentinel;
    int64_t since_s;
    bool tilt = sentinel_in_tilt(s, &since_s);
    bytes_buf_printf(out,
                     "sentinel_masters:%zu\r\nsentinel_tilt:%d\r\nsentinel_tilt_since_seconds:%lld\r\n"
                     "sentinel_running_scripts:%zu\r\nsentinel_scripts_queue_length:%zu\r\n"
                     "sentinel_simulate_failure_flags:%u\r\n",
                     sentinel_master_count(s), tilt, (long long)since_s, sentinel_scripts_running(room->scripts),
                     sentinel_scripts_count(room->scripts), sentinel_simulation_bits(s));
    size_t at = 0;
    for (const struct sentinel_node *m = NULL; (m = sentinel_next_master(s, m)) != NULL; at++) {
        const char *host;
        int port;
        sentinel_master_address(m, &host, &port);
        bytes_buf_printf(out, "master%zu:name=%s,status=%s,address=%s:%d,slaves=%zu,sentinels=%zu\r\n", at,
                         sentinel_node_name(m), sentinel_master_status(m), host, port, sentinel_replica_count(m),
                         sentinel_peer_count(m) + 1);
    }
}
