/* cmd_migrate.c -- MIGRATE: sends keys to another server. server/streams/migration.h describes the transfer. */
#include "server/clients/blocking.h"
#include "server/commands/tables.h"
#include "server/dispatch/dispatch.h"
#include "server/house.h"
#include "server/streams/migration.h"
#include "storage/base/memory.h"

enum { OPTIONS_AT = 6, DEFAULT_TIMEOUT_MS = 1000 };

struct migrate {
    struct migration_target to;
    bool copy;
    int first_key, key_count;
};

/* The number of arguments of the option, without its name; -1: not an option. */
static int option_arguments(struct bytes_view word)
{
    if (bytes_equal_nocase(word, "copy") || bytes_equal_nocase(word, "replace")) return 0;
    if (bytes_equal_nocase(word, "auth")) return 1;
    return bytes_equal_nocase(word, "auth2") ? 2 : -1;
}

static void set_option(struct cmd_ctx *ctx, int arg, struct migrate *mg)
{
    struct migration_target *to = &mg->to;
    if (ctx_arg_is(ctx, arg, "copy")) {
        mg->copy = true;
    } else if (ctx_arg_is(ctx, arg, "replace")) {
        to->replace = true;
    } else {
        to->has_password = true;
        to->has_user = ctx_arg_is(ctx, arg, "auth2");
        if (to->has_user) to->user = ctx->argv[arg + 1];
        to->password = ctx->argv[arg + (to->has_user ? 2 : 1)];
    }
}

static bool parse_options(struct cmd_ctx *ctx, struct migrate *mg)
{
    mg->first_key = 3;
    mg->key_count = 1;
    for (int i = OPTIONS_AT, more; i < ctx->argc; i += 1 + more) {
        if (ctx_arg_is(ctx, i, "keys")) {
            mg->first_key = i + 1;
            mg->key_count = ctx->argc - i - 1;
            if (ctx->argv[3].len == 0) return true;
            reply_error(ctx->reply,
                        "ERR When using MIGRATE KEYS option, the key argument must be set to the empty string");
            return false;
        }
        more = option_arguments(ctx->argv[i]);
        if (more == -1 || i + more >= ctx->argc) {
            ctx_error_syntax(ctx);
            return false;
        }
        set_option(ctx, i, mg);
    }
    return true;
}

static bool parse_numbers(struct cmd_ctx *ctx, struct migrate *mg)
{
    int64_t db;
    if (!ctx_arg_i64(ctx, 5, &mg->to.timeout_ms) || !ctx_arg_i64(ctx, 4, &db)) return false;
    if (mg->to.timeout_ms <= 0) mg->to.timeout_ms = DEFAULT_TIMEOUT_MS;
    mg->to.db = db < 0 || db > INT32_MAX ? INT32_MAX : (int)db; /* out of range: the target answers the error */
    return true;
}

/* An invalid port becomes 0, a target that cannot be reached. */
static void parse_address(struct cmd_ctx *ctx, struct migrate *mg)
{
    int64_t port;
    mg->to.host = ctx->argv[1];
    if (num_parse_i64(ctx->argv[2], &port) && port > 0 && port <= 65535) mg->to.port = (int)port;
}

static size_t add_keys(struct cmd_ctx *ctx, const struct migrate *mg, struct migration *m)
{
    for (int i = 0; i < mg->key_count; i++) {
        const struct entry *e = keyspace_find(ctx->db, ctx_key(ctx, mg->first_key + i), ctx_find_flags(ctx));
        if (e != NULL) migration_add(m, ctx->db, e);
    }
    return migration_count(m);
}

static void client_gone(struct client *c)
{
    migration_free(c->blocked->data);
}

static void wait_for(struct cmd_ctx *ctx, struct migration *m)
{
    struct blocked how = {.kind = BLOCK_MIGRATE, .ended = client_gone, .data = m};
    queued_command_init(&how.command, ctx->slot, ctx->argc, ctx->argv);
    ctx->waits = true;
    client_block(ctx->client, &how);
}

static void begin(struct cmd_ctx *ctx, struct migrate *mg)
{
    parse_address(ctx, mg);
    struct migration *m = migration_new(ctx->server->migrations, ctx->client, &mg->to);
    if (add_keys(ctx, mg, m) == 0) {
        reply_status(ctx->reply, "NOKEY");
    } else if (migration_start(m) != 0) {
        reply_error(ctx->reply, migration_error(m));
    } else {
        wait_for(ctx, m);
        return;
    }
    migration_free(m);
}

/* Deletes the keys that the target has stored, and replicates one DEL for all. False: some keys have changed since they
 * were sent. */
static bool delete_migrated(struct cmd_ctx *ctx, struct migration *m)
{
    bool all = true;
    int deleted = 0;
    struct bytes_view name;
    struct bytes_view *argv = mem_alloc(sizeof(*argv) * (migration_count(m) + 1));
    argv[0] = BYTES_LIT("DEL");
    for (size_t i = 0; i < migration_count(m); i++) {
        enum migrated how = migration_key(m, i, &name);
        all = all && how != MIGRATED_BUT_CHANGED;
        if (how != MIGRATED) continue;
        struct keyref key = keyref(ctx->db, name);
        if (!keyspace_delete(ctx->db, key, false)) continue;
        ctx_changed(ctx, key, NOTIFY_GENERIC, "del", 1);
        argv[++deleted] = name;
    }
    if (deleted > 0) ctx_replicate_as(ctx, deleted + 1, argv);
    mem_free(argv);
    return all;
}

static void finish(struct cmd_ctx *ctx, const struct migrate *mg)
{
    struct migration *m = ctx->client->blocked->data;
    migration_settle(m);
    bool unchanged = mg->copy || delete_migrated(ctx, m);
    if (migration_error(m) != NULL)
        reply_error(ctx->reply, migration_error(m));
    else if (!unchanged)
        reply_error(ctx->reply,
                    "ERR Keys were changed while they were sent: they stay, and the target has what they held before");
    else
        reply_ok(ctx->reply);
}

static void cmd_migrate(struct cmd_ctx *ctx)
{
    struct migrate mg = {0};
    if (!parse_options(ctx, &mg) || !parse_numbers(ctx, &mg)) return;
    if (client_has(ctx->client, CLIENT_BLOCKED))
        finish(ctx, &mg);
    else if (ctx->client->conn == NULL || exec_is_nested(&ctx->core->exec))
        reply_error(ctx->reply, "ERR MIGRATE cannot wait for its target inside a transaction or a script");
    else
        begin(ctx, &mg);
}

/* Finds the keys as the command parses its options: after AUTH, the word KEYS is a password. */
static int find_keys(int argc, const struct bytes_view *argv, struct command_key *keys, int max)
{
    int first = 3, count = 1;
    for (int i = OPTIONS_AT; i < argc && first == 3; i++) {
        if (bytes_equal_nocase(argv[i], "keys") && argv[3].len == 0) {
            first = i + 1;
            count = argc - first;
        } else if (option_arguments(argv[i]) > 0) {
            i += option_arguments(argv[i]);
        }
    }
    for (int i = 0; i < count && i < max; i++)
        keys[i] = (struct command_key){.arg = first + i, .flags = KEY_RW | KEY_ACCESS | KEY_DELETE};
    return count;
}

static bool hides_credentials(const struct config *config, int argc, const struct bytes_view *argv, int arg)
{
    (void)config;
    for (int i = OPTIONS_AT, more; i < argc; i += 1 + more) {
        more = option_arguments(argv[i]);
        if (more == -1) return false; /* KEYS, or a syntax error */
        if (arg > i && arg <= i + more) return true;
    }
    return false;
}

// clang-format off
const struct command migrate_commands[] = {
    { .name = "migrate", .run = cmd_migrate, .arity = -6, .flags = CMD_WRITE | CMD_MOVABLE_KEYS | CMD_NO_MULTI | CMD_NOSCRIPT, .acl = ACL_KEYSPACE | ACL_DANGEROUS,
      .keys = { KEY_AT(3, KEY_RW | KEY_ACCESS | KEY_DELETE),
                { .flags = KEY_RW | KEY_ACCESS | KEY_DELETE | KEY_INCOMPLETE, .begin = KEY_BEGIN_KEYWORD, .begin_keyword = "KEYS", .begin_at = -2, .last = -1, .step = 1 } },
      .find_keys = find_keys, .hides = hides_credentials, .group = "generic", .since = "2.6.0", .tips = "nondeterministic_output",
      .complexity = "This command actually executes a DUMP+DEL in the source instance, and a RESTORE in the target instance. See the pages of these commands for time complexity. Also an O(N) data transfer between the two instances is performed.",
      .summary = "Moves keys to another server.",
      .history = "3.0.0 COPY and REPLACE were added.\n3.0.6 KEYS was added.\n4.0.7 AUTH was added.\n6.0.0 AUTH2 was added.",
      .syntax = "host port:i key-selector<key:k0 | empty-string!\"\"> destination-db:i timeout:i [COPY]@3.0.0 [REPLACE]@3.0.0 [authentication<AUTH auth\"password\"@4.0.7 | AUTH2 auth2(username password)@6.0.0>] [KEYS keys\"key\":k1...]@3.0.6" },
    { 0 },
};
// clang-format on
