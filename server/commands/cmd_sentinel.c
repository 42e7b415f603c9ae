/* cmd_sentinel.c -- SENTINEL: what operators, clients and other sentinels ask of a sentinel.
 *
 * The decisions are those of replication/sentinel/. Handlers parse arguments and write replies. */
#include <errno.h>
#include <inttypes.h>

#include "server/clients/blocking.h"
#include "server/clients/clients.h"
#include "server/commands/tables.h"
#include "server/config/config.h"
#include "server/core/core.h"
#include "server/dispatch/command.h"
#include "server/sentinel/sentinel_room.h"
#include "storage/base/glob.h"
#include "storage/base/memory.h"

static const char no_master[] = "ERR No such master with that name";
static const char not_saved[] = "ERR Failed to save config file. Please check server logs.";

static struct sentinel *library(const struct cmd_ctx *ctx)
{
    return sentinel_room_library(ctx->core->sentinel);
}

/* ---- Arguments ---- */

/* The arguments from `first` on as C strings, a NUL as the bytes C0 80. */
struct words {
    char **words;
    int count;
};
static struct words words_from(const struct cmd_ctx *ctx, int first)
{
    struct words w = {.words = mem_alloc((size_t)ctx->argc * sizeof(char *))};
    for (int i = first; i < ctx->argc; i++) w.words[w.count++] = bytes_to_text(ctx->argv[i]);
    return w;
}
static void words_free(struct words *w)
{
    for (int i = 0; i < w->count; i++) mem_free(w->words[i]);
    mem_free(w->words);
}

static struct sentinel_node *find_master(const struct cmd_ctx *ctx, int arg)
{
    char *name = bytes_to_text(ctx->argv[arg]);
    struct sentinel_node *master = sentinel_find_master(library(ctx), name);
    mem_free(name);
    return master;
}

/* Answers the error if there is none. */
static struct sentinel_node *need_master(const struct cmd_ctx *ctx, int arg)
{
    struct sentinel_node *master = find_master(ctx, arg);
    if (master == NULL) reply_error(ctx->reply, no_master);
    return master;
}

/* Replies OK or the error, and has the library asked what is due. */
static void reply_done(const struct cmd_ctx *ctx, int rc, const struct sentinel_error *err)
{
    sentinel_room_touch(ctx->core->sentinel);
    if (rc != 0)
        reply_error(ctx->reply, err->text[0] != '\0' ? err->text : not_saved);
    else
        reply_ok(ctx->reply);
}

/* ---- Reading ---- */

struct counted {
    struct reply *reply;
    size_t count;
};
static void reply_field(void *ctx, const char *name, const char *value)
{
    struct counted *c = ctx;
    reply_bulk_cstr(c->reply, name);
    reply_bulk_cstr(c->reply, value);
    c->count++;
}

static void reply_node(const struct cmd_ctx *ctx, const struct sentinel_node *node)
{
    struct counted c = {.reply = ctx->reply};
    struct outbuf_mark mark = reply_deferred(ctx->reply);
    sentinel_describe(library(ctx), node, &(struct sentinel_field_out){.ctx = &c, .field = reply_field});
    reply_deferred_map(ctx->reply, mark, c.count);
}

static void cmd_sentinel_masters(struct cmd_ctx *ctx)
{
    reply_array(ctx->reply, sentinel_master_count(library(ctx)));
    for (const struct sentinel_node *m = NULL; (m = sentinel_next_master(library(ctx), m)) != NULL;) reply_node(ctx, m);
}

static void cmd_sentinel_master(struct cmd_ctx *ctx)
{
    const struct sentinel_node *master = need_master(ctx, 2);
    if (master != NULL) reply_node(ctx, master);
}

static void cmd_sentinel_replicas(struct cmd_ctx *ctx)
{
    const struct sentinel_node *master = need_master(ctx, 2);
    if (master == NULL) return;
    struct outbuf_mark mark = reply_deferred(ctx->reply);
    size_t count = 0;
    for (const struct sentinel_node *n = NULL; (n = sentinel_next_replica(master, n)) != NULL;) {
        if (!sentinel_node_announced(n)) continue;
        reply_node(ctx, n);
        count++;
    }
    reply_deferred_array(ctx->reply, mark, count);
}

static void cmd_sentinel_sentinels(struct cmd_ctx *ctx)
{
    const struct sentinel_node *master = need_master(ctx, 2);
    if (master == NULL) return;
    reply_array(ctx->reply, sentinel_peer_count(master));
    for (const struct sentinel_node *n = NULL; (n = sentinel_next_peer(master, n)) != NULL;) reply_node(ctx, n);
}

static void cmd_sentinel_address(struct cmd_ctx *ctx)
{
    const struct sentinel_node *master = find_master(ctx, 2);
    const char *host;
    int port;
    if (master == NULL) {
        reply_null_array(ctx->reply);
        return;
    }
    sentinel_master_address(master, &host, &port);
    reply_array(ctx->reply, 2);
    reply_bulk_cstr(ctx->reply, host);
    reply_bulk_int(ctx->reply, port);
}

static void cmd_sentinel_myid(struct cmd_ctx *ctx)
{
    reply_bulk_cstr(ctx->reply, sentinel_id(library(ctx)));
}

static void cmd_sentinel_ckquorum(struct cmd_ctx *ctx)
{
    char text[256];
    struct sentinel_error err = {""};
    char *name = bytes_to_text(ctx->argv[2]);
    if (sentinel_ckquorum(library(ctx), name, text, sizeof(text), &err) == 0)
        reply_status(ctx->reply, text);
    else
        reply_error(ctx->reply, err.text);
    mem_free(name);
}

static void reply_cached_info(const struct cmd_ctx *ctx, const struct sentinel_node *node)
{
    int64_t age_ms;
    struct bytes_view info = sentinel_node_info(library(ctx), node, &age_ms);
    reply_array(ctx->reply, 2);
    reply_int(ctx->reply, age_ms < 0 ? 0 : age_ms);
    if (info.len > 0)
        reply_bulk(ctx->reply, info);
    else
        reply_null(ctx->reply);
}

static void cmd_sentinel_info_cache(struct cmd_ctx *ctx)
{
    struct outbuf_mark mark = reply_deferred(ctx->reply);
    size_t masters = 0;
    for (int i = 2; i < ctx->argc; i++) {
        const struct sentinel_node *master = find_master(ctx, i);
        if (master == NULL) continue;
        reply_bulk(ctx->reply, ctx->argv[i]);
        reply_array(ctx->reply, 1 + sentinel_replica_count(master));
        reply_cached_info(ctx, master);
        for (const struct sentinel_node *n = NULL; (n = sentinel_next_replica(master, n)) != NULL;)
            reply_cached_info(ctx, n);
        masters++;
    }
    reply_deferred_map(ctx->reply, mark, masters);
}

static void reply_script(struct reply *reply, const struct sentinel_script_info *script)
{
    bool runs = script->pid != 0;
    reply_map(reply, 5);
    reply_bulk_cstr(reply, "argv");
    reply_array(reply, script->argc);
    for (size_t i = 0; i < script->argc; i++) reply_bulk_cstr(reply, script->argv[i]);
    reply_bulk_cstr(reply, "flags");
    reply_bulk_cstr(reply, runs ? "running" : "scheduled");
    reply_bulk_cstr(reply, "pid");
    reply_bulk_int(reply, script->pid);
    reply_bulk_cstr(reply, runs ? "run-time" : "run-delay");
    reply_bulk_int(reply, script->for_ms);
    reply_bulk_cstr(reply, "retry-num");
    reply_bulk_int(reply, script->tries);
}

static void cmd_sentinel_scripts(struct cmd_ctx *ctx)
{
    const struct sentinel_scripts *scripts = sentinel_room_scripts(ctx->core->sentinel);
    struct sentinel_script_info info;
    reply_array(ctx->reply, sentinel_scripts_count(scripts));
    for (size_t i = 0; i < sentinel_scripts_count(scripts); i++) {
        sentinel_scripts_describe(scripts, i, &info);
        reply_script(ctx->reply, &info);
    }
}

/* ---- Questions of other sentinels ---- */

struct question {
    struct bytes_view ip, runid;
    int64_t port, epoch;
};
static bool parse_question(struct cmd_ctx *ctx, struct question *q)
{
    q->ip = ctx->argv[2];
    q->runid = ctx->argv[5];
    return ctx_arg_i64_range(ctx, 3, 0, 65535, &q->port, "value is not an integer or out of range") &&
           ctx_arg_i64_range(ctx, 4, 0, INT64_MAX, &q->epoch, "value is not an integer or out of range");
}

static void cmd_sentinel_is_down(struct cmd_ctx *ctx)
{
    struct question q;
    struct sentinel_vote vote;
    if (!parse_question(ctx, &q)) return;
    sentinel_room_touch(ctx->core->sentinel);
    sentinel_down_by_addr(library(ctx), q.ip, (int)q.port, (uint64_t)q.epoch, q.runid, &vote);
    reply_array(ctx->reply, 3);
    reply_int(ctx->reply, vote.down);
    reply_bulk_cstr(ctx->reply, vote.leader);
    reply_int(ctx->reply, (int64_t)vote.epoch);
}

static void cmd_sentinel_pre_vote(struct cmd_ctx *ctx)
{
    struct question q;
    if (!parse_question(ctx, &q)) return;
    bool would = sentinel_would_vote(library(ctx), q.ip, (int)q.port, (uint64_t)q.epoch, q.runid);
    reply_array(ctx->reply, 2);
    reply_int(ctx->reply, would);
    reply_int(ctx->reply, (int64_t)sentinel_epoch(library(ctx)));
}

/* ---- Masters ---- */

static const char not_a_host[] = "ERR Invalid IP address or hostname specified";

static void monitor(struct cmd_ctx *ctx, int64_t quorum, int64_t port)
{
    struct sentinel_error err = {""};
    struct words w = words_from(ctx, 2);
    reply_done(ctx, sentinel_monitor(library(ctx), w.words[0], w.words[1], (int)port, quorum, &err), &err);
    words_free(&w);
}

/* The command runs again when a name was answered. */
static void wait_for_name(struct cmd_ctx *ctx)
{
    ctx->waits = true;
    if (client_has(ctx->client, CLIENT_BLOCKED)) return;
    struct blocked how = {.kind = BLOCK_SENTINEL};
    queued_command_init(&how.command, ctx->slot, ctx->argc, ctx->argv);
    client_block(ctx->client, &how);
}

static bool names_are_resolved(const struct cmd_ctx *ctx)
{
    struct sentinel_global all[32];
    size_t count = sentinel_globals(library(ctx), all, 32);
    for (size_t i = 0; i < count && i < 32; i++)
        if (strcmp(all[i].name, "resolve-hostnames") == 0) return strcmp(all[i].value, "yes") == 0;
    return false;
}

static void cmd_sentinel_monitor(struct cmd_ctx *ctx)
{
    int64_t port, quorum;
    char ip[SENTINEL_IP_SIZE];
    if (!ctx_arg_i64_range(ctx, 5, INT32_MIN, INT32_MAX, &quorum, "Invalid quorum") ||
        !ctx_arg_i64_range(ctx, 4, INT32_MIN, INT32_MAX, &port, "Invalid port"))
        return;
    char *host = bytes_to_text(ctx->argv[3]);
    int rc = names_are_resolved(ctx) ? sentinel_room_resolve(ctx->core->sentinel, host, ip) : 0;
    mem_free(host);
    if (rc == -EAGAIN && !exec_is_nested(&ctx->core->exec))
        wait_for_name(ctx);
    else if (rc != 0)
        reply_error(ctx->reply, not_a_host);
    else
        monitor(ctx, quorum, port);
}

static void cmd_sentinel_remove(struct cmd_ctx *ctx)
{
    struct sentinel_error err = {""};
    struct words w = words_from(ctx, 2);
    reply_done(ctx, sentinel_remove(library(ctx), w.words[0], &err), &err);
    words_free(&w);
}

static void cmd_sentinel_set(struct cmd_ctx *ctx)
{
    struct sentinel_error err = {""};
    struct words w = words_from(ctx, 2);
    int rc = sentinel_set(library(ctx), w.words[0], w.count - 1, (const char *const *)w.words + 1, &err);
    reply_done(ctx, rc, &err);
    words_free(&w);
}

static void cmd_sentinel_reset(struct cmd_ctx *ctx)
{
    struct words w = words_from(ctx, 2);
    sentinel_room_touch(ctx->core->sentinel);
    reply_int(ctx->reply, sentinel_reset(library(ctx), w.words[0]));
    words_free(&w);
}

static void cmd_sentinel_forget(struct cmd_ctx *ctx)
{
    struct sentinel_error err = {""};
    int64_t port = 0;
    if (ctx->argc > 5) {
        ctx_error_arity(ctx);
        return;
    }
    if (ctx->argc == 5 && !ctx_arg_i64_range(ctx, 4, 1, 65535, &port, "Invalid port")) return;
    struct words w = words_from(ctx, 2);
    reply_done(ctx, sentinel_forget(library(ctx), w.words[0], w.words[1], (int)port, &err), &err);
    words_free(&w);
}

static void cmd_sentinel_failover(struct cmd_ctx *ctx)
{
    struct sentinel_error err = {""};
    bool coordinated = ctx->argc == 4 && ctx_arg_is(ctx, 3, "coordinated");
    if (ctx->argc > 3 && !coordinated) {
        ctx_error_syntax(ctx);
        return;
    }
    struct words w = words_from(ctx, 2);
    reply_done(ctx, sentinel_failover(library(ctx), w.words[0], coordinated, &err), &err);
    words_free(&w);
}

/* ---- The sentinel as a whole ---- */

static void cmd_sentinel_flushconfig(struct cmd_ctx *ctx)
{
    reply_done(ctx, sentinel_flush_config(library(ctx)), &(struct sentinel_error){""});
}

enum { GLOBALS_MAX = 32 };

/* The settings of the library, and the one that is ours. */
static size_t all_globals(const struct cmd_ctx *ctx, struct sentinel_global all[GLOBALS_MAX + 1],
                          struct bytes_buf *loglevel)
{
    size_t count = sentinel_globals(library(ctx), all, GLOBALS_MAX);
    (void)config_get_one(ctx->client->clients->config, "loglevel", loglevel); /* it exists */
    bytes_buf_append(loglevel, "", 1);
    if (count > GLOBALS_MAX) count = GLOBALS_MAX;
    all[count] = (struct sentinel_global){.name = "loglevel", .value = loglevel->data};
    return count + 1;
}

static bool asked_for(const struct cmd_ctx *ctx, const char *name)
{
    for (int i = 3; i < ctx->argc; i++)
        if (glob_match(ctx->argv[i], bytes_str(name), true)) return true;
    return false;
}

static void cmd_config_get(struct cmd_ctx *ctx)
{
    struct sentinel_global all[GLOBALS_MAX + 1];
    struct bytes_buf loglevel = {NULL, 0, 0};
    size_t count = all_globals(ctx, all, &loglevel), shown = 0;
    struct outbuf_mark mark = reply_deferred(ctx->reply);
    for (size_t i = 0; i < count; i++) {
        if (!asked_for(ctx, all[i].name)) continue;
        reply_bulk_cstr(ctx->reply, all[i].name);
        reply_bulk_cstr(ctx->reply, all[i].value);
        shown++;
    }
    reply_deferred_map(ctx->reply, mark, shown);
    bytes_buf_release(&loglevel);
}

static int set_loglevel(const struct cmd_ctx *ctx, const char *value)
{
    struct bytes_view pair[2] = {BYTES_LIT("loglevel"), bytes_str(value)};
    struct config_error ignored;
    return config_set_many(ctx->client->clients->config, pair, 1, &(struct config_set_context){.loading = false},
                           &ignored);
}

static bool loglevel_is_valid(const char *value)
{
    static const char *const levels[] = {"debug", "verbose", "notice", "warning", "nothing"};
    for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++)
        if (bytes_equal_nocase(bytes_str(value), levels[i])) return true;
    return false;
}

static bool is_repeated(const struct words *w, int at)
{
    for (int i = 0; i < at; i += 2)
        if (bytes_equal_nocase(bytes_str(w->words[i]), w->words[at])) return true;
    return false;
}

static void refuse_value(const struct cmd_ctx *ctx, const char *name, const char *value)
{
    reply_errorf(ctx->reply, "ERR Invalid value '%.128s' to SENTINEL CONFIG SET '%.128s'", value, name);
}

/* Checks one pair, or answers the error. */
static bool check_global(const struct cmd_ctx *ctx, const struct words *w, int at)
{
    const char *name = w->words[at];
    struct sentinel_error err = {""};
    if (at + 1 == w->count) {
        reply_errorf(ctx->reply, "ERR Missing argument '%.128s' value", name);
        return false;
    }
    if (is_repeated(w, at)) {
        reply_errorf(ctx->reply, "ERR Duplicate argument '%.128s'", name);
        return false;
    }
    bool is_loglevel = bytes_equal_nocase(bytes_str(name), "loglevel");
    if (is_loglevel && loglevel_is_valid(w->words[at + 1])) return true;
    int rc = is_loglevel ? -EINVAL : sentinel_global_check(library(ctx), name, w->words[at + 1], &err);
    if (rc == -ENOENT)
        reply_errorf(ctx->reply, "ERR Invalid argument '%.128s' to SENTINEL CONFIG SET", name);
    else if (rc != 0)
        refuse_value(ctx, name, w->words[at + 1]);
    return rc == 0;
}

static void set_globals(const struct cmd_ctx *ctx, const struct words *w)
{
    struct sentinel_error err = {""};
    for (int i = 0; i < w->count; i += 2) {
        bool is_loglevel = bytes_equal_nocase(bytes_str(w->words[i]), "loglevel");
        int rc = is_loglevel ? set_loglevel(ctx, w->words[i + 1])
                             : sentinel_global_set(library(ctx), w->words[i], w->words[i + 1], &err);
        if (rc == 0) continue;
        refuse_value(ctx, w->words[i], w->words[i + 1]);
        return;
    }
    cmd_sentinel_flushconfig((struct cmd_ctx *)ctx);
}

/* Sets all, or none if one is wrong. */
static void cmd_config_set(struct cmd_ctx *ctx)
{
    struct words w = words_from(ctx, 3);
    int at = 0;
    while (at < w.count && check_global(ctx, &w, at)) at += 2;
    if (at >= w.count) set_globals(ctx, &w);
    words_free(&w);
}

static void cmd_sentinel_config(struct cmd_ctx *ctx)
{
    if (ctx_arg_is(ctx, 2, "get"))
        cmd_config_get(ctx);
    else if (ctx_arg_is(ctx, 2, "set") && ctx->argc > 4)
        cmd_config_set(ctx);
    else
        reply_error(ctx->reply,
                    "ERR Only SENTINEL CONFIG GET <param> [<param> <param> ...] / SET <param> <value> [<param> "
                    "<value> ...] are supported.");
}

enum { TUNABLES_MAX = 64 };

static void reply_tunables(const struct cmd_ctx *ctx)
{
    struct sentinel_tunable all[TUNABLES_MAX];
    size_t count = sentinel_tunables(library(ctx), all, TUNABLES_MAX);
    if (count > TUNABLES_MAX) count = TUNABLES_MAX;
    reply_map(ctx->reply, count);
    for (size_t i = 0; i < count; i++) {
        reply_bulk_cstr(ctx->reply, all[i].name);
        reply_bulk_int(ctx->reply, all[i].value);
    }
}

static void cmd_sentinel_debug(struct cmd_ctx *ctx)
{
    struct sentinel_error err = {""};
    if (ctx->argc == 2) {
        reply_tunables(ctx);
        return;
    }
    struct words w = words_from(ctx, 2);
    int rc = 0, at = 0;
    for (; rc == 0 && at + 1 < w.count; at += 2) rc = sentinel_tune(library(ctx), w.words[at], w.words[at + 1], &err);
    if (rc == 0 && at < w.count) {
        rc = -EINVAL;
        snprintf(err.text, sizeof(err.text), "ERR Unknown option or number of arguments for SENTINEL DEBUG '%.128s'",
                 w.words[at]);
    }
    reply_done(ctx, rc, &err);
    words_free(&w);
}

static void reply_simulations(const struct cmd_ctx *ctx)
{
    const char *const *names = sentinel_simulations();
    size_t count = 0;
    while (names[count] != NULL) count++;
    reply_array(ctx->reply, count);
    for (size_t i = 0; i < count; i++) reply_bulk_cstr(ctx->reply, names[i]);
}

static void cmd_sentinel_simulate(struct cmd_ctx *ctx)
{
    sentinel_simulate_nothing(library(ctx));
    for (int i = 2; i < ctx->argc; i++) {
        if (ctx_arg_is(ctx, i, "help")) {
            reply_simulations(ctx);
            return;
        }
        char *name = bytes_to_text(ctx->argv[i]);
        bool known = sentinel_simulate(library(ctx), name);
        mem_free(name);
        if (known) continue;
        reply_error(ctx->reply, "ERR Unknown failure simulation specified");
        return;
    }
    reply_ok(ctx->reply);
}

static void cmd_sentinel_help(struct cmd_ctx *ctx)
{
    static const char *const lines[] = {
        "SENTINEL <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "CKQUORUM <master-name>",
        "    Say whether enough sentinels are usable to agree that the master is down, and to",
        "    authorize a failover.",
        "CONFIG SET <param> <value> [<param> <value> ...]",
        "    Change settings of this sentinel as a whole.",
        "CONFIG GET <param> [<param> ...]",
        "    Return settings of this sentinel as a whole, by patterns.",
        "DEBUG [<param> <value> ...]",
        "    Return periods in milliseconds, or change some of them.",
        "GET-MASTER-ADDR-BY-NAME <master-name>",
        "    Return host and port of the master.",
        "FAILOVER <master-name> [COORDINATED]",
        "    Promote a replica without asking other sentinels. COORDINATED: the master hands over,",
        "    and no acknowledged write is lost.",
        "FLUSHCONFIG",
        "    Write the configuration file, with the state of this sentinel.",
        "FORGET <master-name> <ip> <port> | FORGET <master-name> <runid>",
        "    Forget one replica, or one other sentinel.",
        "INFO-CACHE <master-name> [<master-name> ...]",
        "    Return the last answers to INFO, of masters and their replicas.",
        "IS-MASTER-DOWN-BY-ADDR <ip> <port> <current-epoch> <runid>",
        "    Say whether this sentinel sees the master down; with a run id, vote.",
        "MASTER <master-name>",
        "    Return the state of this master.",
        "MASTERS",
        "    Return the state of all masters.",
        "MONITOR <name> <ip> <port> <quorum>",
        "    Begin to watch a master.",
        "MYID",
        "    Return the id of this sentinel.",
        "PENDING-SCRIPTS",
        "    Return the scripts that run, or wait.",
        "PRE-VOTE <ip> <port> <epoch> <runid>",
        "    Say whether this sentinel would vote, without a vote.",
        "REMOVE <master-name>",
        "    Stop watching a master.",
        "REPLICAS <master-name>",
        "    Return the state of the master's replicas.",
        "RESET <pattern>",
        "    Forget replicas and sentinels of the masters that match, and find them anew.",
        "SENTINELS <master-name>",
        "    Return the state of the other sentinels that watch the master.",
        "SET <master-name> <option> <value> [<option> <value> ...]",
        "    Change settings of a master.",
        "SIMULATE-FAILURE [CRASH-AFTER-ELECTION] [CRASH-AFTER-PROMOTION] [HELP]",
        "    End this sentinel at that point of a failover.",
        "HELP",
        "    Print this help.",
        NULL,
    };
    ctx_reply_help(ctx, lines);
}

/* The value of a password. */
static bool hides_passwords(const struct config *config, int argc, const struct bytes_view *argv, int arg)
{
    (void)config, (void)argc;
    return arg >= 4 &&
           (bytes_equal_nocase(argv[arg - 1], "auth-pass") || bytes_equal_nocase(argv[arg - 1], "sentinel-pass"));
}

// clang-format off
#define SENTINEL_ROW .flags = CMD_ADMIN | CMD_SENTINEL, .group = "sentinel"
static const struct command sentinel_subcommands[] = {
    { .name = "ckquorum", .run = cmd_sentinel_ckquorum, .arity = 3, SENTINEL_ROW, .since = "2.8.4", .complexity = "O(N) where N is the number of other sentinels",
      .summary = "Tells whether enough sentinels are usable.", .syntax = "master-name" },
    { .name = "config", .run = cmd_sentinel_config, .arity = -4, SENTINEL_ROW, .since = "6.2.0", .complexity = "O(N) where N is the number of parameters",
      .summary = "Returns or changes settings of the sentinel.", .history = "7.2.0 Several parameters may be given.", .hides = hides_passwords,
      .syntax = "action<set-params(SET data(parameter value)...) | get-params(GET parameter...)>" },
    { .name = "debug", .run = cmd_sentinel_debug, .arity = -2, SENTINEL_ROW, .since = "7.0.0", .complexity = "O(N) where N is the number of parameters",
      .summary = "Returns or changes periods, for tests.", .syntax = "[data(parameter value)]..." },
    { .name = "failover", .run = cmd_sentinel_failover, .arity = -3, SENTINEL_ROW, .since = "2.8.4", .complexity = "O(1)",
      .summary = "Promotes a replica.", .syntax = "master-name [COORDINATED]" },
    { .name = "flushconfig", .run = cmd_sentinel_flushconfig, .arity = 2, SENTINEL_ROW, .since = "2.8.4", .complexity = "O(1)",
      .summary = "Writes the configuration file." },
    { .name = "forget", .run = cmd_sentinel_forget, .arity = -4, SENTINEL_ROW, .since = "7.2.0", .complexity = "O(1)",
      .summary = "Forgets one replica or sentinel.", .syntax = "master-name host-or-runid [port:i]" },
    { .name = "get-master-addr-by-name", .run = cmd_sentinel_address, .arity = 3, SENTINEL_ROW, .since = "2.8.4", .complexity = "O(1)",
      .summary = "Returns host and port of a master.", .syntax = "master-name" },
    { .name = "help", .run = cmd_sentinel_help, .arity = 2, .flags = CMD_LOADING | CMD_STALE | CMD_SENTINEL, .group = "sentinel", .since = "6.2.0", .complexity = "O(1)",
      .summary = "Tells about the subcommands." },
    { .name = "info-cache", .run = cmd_sentinel_info_cache, .arity = -3, SENTINEL_ROW, .since = "3.2.0", .complexity = "O(N) where N is the number of servers",
      .summary = "Returns the last answers to INFO.", .syntax = "nodename..." },
    { .name = "is-master-down-by-addr", .run = cmd_sentinel_is_down, .arity = 6, SENTINEL_ROW, .since = "2.8.4", .complexity = "O(1)",
      .summary = "Used between sentinels: tells whether a master is down, and votes.", .syntax = "ip port:i current-epoch:i runid" },
    { .name = "master", .run = cmd_sentinel_master, .arity = 3, SENTINEL_ROW, .since = "2.8.4", .complexity = "O(1)",
      .summary = "Returns the state of a master.", .syntax = "master-name" },
    { .name = "masters", .run = cmd_sentinel_masters, .arity = 2, SENTINEL_ROW, .since = "2.8.4", .complexity = "O(N) where N is the number of masters",
      .summary = "Returns the state of all masters." },
    { .name = "monitor", .run = cmd_sentinel_monitor, .arity = 6, SENTINEL_ROW, .since = "2.8.4", .complexity = "O(1)",
      .summary = "Begins to watch a master.", .syntax = "name ip port:i quorum:i" },
    { .name = "myid", .run = cmd_sentinel_myid, .arity = 2, SENTINEL_ROW, .since = "6.2.0", .complexity = "O(1)",
      .summary = "Returns the id of the sentinel." },
    { .name = "pending-scripts", .run = cmd_sentinel_scripts, .arity = 2, SENTINEL_ROW, .since = "2.8.4", .complexity = "O(N) where N is the number of scripts",
      .summary = "Returns the scripts that run or wait." },
    { .name = "pre-vote", .run = cmd_sentinel_pre_vote, .arity = 6, SENTINEL_ROW, .since = "7.2.0", .complexity = "O(1)",
      .summary = "Used between sentinels: tells whether there would be a vote.", .syntax = "ip port:i epoch:i runid" },
    { .name = "remove", .run = cmd_sentinel_remove, .arity = 3, SENTINEL_ROW, .since = "2.8.4", .complexity = "O(N) where N is the number of servers and sentinels of the master",
      .summary = "Stops watching a master.", .syntax = "master-name" },
    { .name = "replicas", .run = cmd_sentinel_replicas, .arity = 3, SENTINEL_ROW, .since = "5.0.0", .complexity = "O(N) where N is the number of replicas",
      .summary = "Returns the state of the replicas of a master.", .syntax = "master-name" },
    { .name = "reset", .run = cmd_sentinel_reset, .arity = 3, SENTINEL_ROW, .since = "2.8.4", .complexity = "O(N) where N is the number of masters",
      .summary = "Forgets replicas and sentinels, and finds them anew.", .syntax = "pattern:p" },
    { .name = "sentinels", .run = cmd_sentinel_sentinels, .arity = 3, SENTINEL_ROW, .since = "2.8.4", .complexity = "O(N) where N is the number of sentinels",
      .summary = "Returns the state of the other sentinels.", .syntax = "master-name" },
    { .name = "set", .run = cmd_sentinel_set, .arity = -5, SENTINEL_ROW, .since = "2.8.4", .complexity = "O(1)", .hides = hides_passwords,
      .summary = "Changes settings of a master.", .syntax = "master-name data(option value)..." },
    { .name = "simulate-failure", .run = cmd_sentinel_simulate, .arity = -3, SENTINEL_ROW, .since = "3.2.0", .complexity = "O(1)",
      .summary = "Ends the sentinel in the middle of a failover, for tests.", .syntax = "[mode<CRASH-AFTER-ELECTION | CRASH-AFTER-PROMOTION | HELP>]..." },
    { .name = "slaves", .run = cmd_sentinel_replicas, .arity = 3, SENTINEL_ROW, .since = "2.8.0", .complexity = "O(N) where N is the number of replicas",
      .summary = "The old name of SENTINEL REPLICAS.", .deprecated_since = "5.0.0", .replaced_by = "`SENTINEL REPLICAS`", .syntax = "master-name" },
    { 0 },
};
const struct command sentinel_commands[] = {
    { .name = "sentinel", .arity = -2, .subcommands = sentinel_subcommands, SENTINEL_ROW, .since = "2.8.4", .complexity = "Depends on subcommand.",
      .summary = "A container for the commands of a sentinel." },
    { 0 },
};
// clang-format on
