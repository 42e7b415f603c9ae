#include "server/dispatch/command.h"

#include "server/clients/clients.h"
#include "server/clients/monitor.h"
#include "server/clients/pubsub.h"
#include "server/core/core.h"
#include "server/core/exec.h"
#include "storage/base/checked.h"
#include "storage/base/memory.h"

unsigned ctx_find_flags(const struct cmd_ctx *ctx)
{
    return client_has(ctx->client, CLIENT_NO_TOUCH) ? FIND_NO_TOUCH : 0;
}

void ctx_error_wrong_type(struct cmd_ctx *ctx)
{
    reply_error(ctx->reply, "WRONGTYPE Operation against a key holding the wrong kind of value");
}
void ctx_error_syntax(struct cmd_ctx *ctx)
{
    reply_error(ctx->reply, "ERR syntax error");
}
void ctx_error_no_key(struct cmd_ctx *ctx)
{
    reply_error(ctx->reply, "ERR no such key");
}
void ctx_error_arity(struct cmd_ctx *ctx)
{
    reply_errorf(ctx->reply, "ERR wrong number of arguments for '%s' command", ctx->command->name);
}
void ctx_error_subcommand(struct cmd_ctx *ctx, const char *container)
{
    reply_errorf(ctx->reply, "ERR unknown subcommand or wrong number of arguments for '%.*s'. Try %s HELP.",
                 bytes_shown(ctx->argv[1], 128), ctx->argv[1].data, container);
}

static enum lookup check_type(struct cmd_ctx *ctx, const struct entry *e, enum value_type type)
{
    if (e == NULL) return LOOKUP_MISSING;
    if (LIKELY(e->type == type)) return LOOKUP_FOUND;
    ctx_error_wrong_type(ctx);
    return LOOKUP_WRONG_TYPE;
}

const struct entry *ctx_read_any(struct cmd_ctx *ctx, int arg)
{
    struct keyref key = ctx_key(ctx, arg);
    const struct entry *e = keyspace_find(ctx->db, key, ctx_find_flags(ctx));
    if (UNLIKELY(e == NULL)) ctx_notify(ctx, NOTIFY_KEY_MISS, "keymiss", key);
    return e;
}

enum lookup ctx_read(struct cmd_ctx *ctx, int arg, enum value_type type, const struct entry **e)
{
    *e = ctx_read_any(ctx, arg);
    enum lookup found = check_type(ctx, *e, type);
    if (found == LOOKUP_WRONG_TYPE) *e = NULL;
    return found;
}

enum lookup ctx_write(struct cmd_ctx *ctx, int arg, enum value_type type, struct entry **e)
{
    *e = keyspace_find_for_write(ctx->db, ctx_key(ctx, arg));
    enum lookup found = check_type(ctx, *e, type);
    if (found == LOOKUP_WRONG_TYPE) *e = NULL;
    return found;
}

enum lookup ctx_read_value(struct cmd_ctx *ctx, int arg, enum value_type type, const void **value)
{
    const struct entry *e;
    enum lookup found = ctx_read(ctx, arg, type, &e);
    *value = found == LOOKUP_FOUND ? entry_pointer(e) : NULL;
    return found;
}

enum lookup ctx_write_value(struct cmd_ctx *ctx, int arg, enum value_type type, void **value)
{
    struct entry *e;
    enum lookup found = ctx_write(ctx, arg, type, &e);
    *value = found == LOOKUP_FOUND ? entry_pointer(e) : NULL;
    return found;
}

void ctx_notify(struct cmd_ctx *ctx, unsigned event_class, const char *event, struct keyref key)
{
    unsigned wanted = ctx->settings->misc.notify_keyspace_events;
    if (LIKELY(!(wanted & event_class))) return;
    notify_keyspace_event(ctx->client->clients->pubsub, event_class, event, key.name, ctx->db->id);
}

void ctx_changed(struct cmd_ctx *ctx, struct keyref key, unsigned event_class, const char *event, uint64_t changes)
{
    keyspace_changed(ctx->db, key, changes);
    ctx_notify(ctx, event_class, event, key);
}

void ctx_changed_beside(struct cmd_ctx *ctx, struct keyref key, unsigned event_class, const char *event,
                        uint64_t changes)
{
    keyspace_changed_beside(ctx->db, changes);
    ctx_notify(ctx, event_class, event, key);
}

void ctx_delete_emptied(struct cmd_ctx *ctx, struct keyref key)
{
    keyspace_delete(ctx->db, key, false);
    ctx_notify(ctx, NOTIFY_GENERIC, "del", key);
}

struct taken_blobs {
    size_t count, cap;
    struct blob *blobs[];
};

static void note_taken(struct cmd_ctx *ctx, struct blob *b)
{
    struct taken_blobs *t = ctx->taken;
    if (t == NULL || t->count == t->cap) {
        size_t count = t == NULL ? 0 : t->count, cap = count == 0 ? 4 : checked_size_mul(count, 2);
        t = mem_realloc(t, checked_size_add(sizeof(*t), checked_size_mul(cap, sizeof(struct blob *))));
        t->count = count;
        t->cap = cap;
        ctx->taken = t;
    }
    t->blobs[t->count++] = b;
}

struct blob *ctx_take_blob(struct cmd_ctx *ctx, int arg)
{
    _Static_assert(sizeof(struct blob) == RESP_BIG_HEADROOM, "a big argument becomes a blob in place");
    size_t capacity;
    if (ctx->request == NULL || ctx->argv[arg].len < RESP_BIG_ARG) return NULL;
    struct blob *b = resp_arg_take(&ctx->client->reader, ctx->request, (uint32_t)arg, &capacity);
    if (b == NULL) return NULL;
    blob_init(b, ctx->argv[arg].len, capacity - sizeof(*b));
    keyspace_hold_blob(ctx->keyspace, b);
    note_taken(ctx, b);
    return b;
}

void ctx_let_go(struct cmd_ctx *ctx)
{
    struct taken_blobs *t = ctx->taken;
    for (size_t i = 0; i < t->count; i++) keyspace_let_go_of_blob(ctx->keyspace, t->blobs[i]);
    mem_free(t);
    ctx->taken = NULL;
}

/* ---- The stream ---- */

void ctx_replicate_in(struct cmd_ctx *ctx, int db, int argc, const struct bytes_view *argv)
{
    ctx->replicate = REPLICATE_REPLACED;
    exec_add(ctx->core, db, argc, argv);
}
void ctx_replicate_as(struct cmd_ctx *ctx, int argc, const struct bytes_view *argv)
{
    ctx_replicate_in(ctx, ctx->db->id, argc, argv);
}
void ctx_replicate_none(struct cmd_ctx *ctx)
{
    ctx->replicate = REPLICATE_NOT;
}
void ctx_replicate_force(struct cmd_ctx *ctx)
{
    ctx->replicate = REPLICATE_FORCED;
}
void ctx_replicate_moment(struct cmd_ctx *ctx)
{
    ctx->replicate = REPLICATE_MOMENT;
}

/* ---- Arguments ---- */

bool ctx_arg_i64(struct cmd_ctx *ctx, int arg, int64_t *out)
{
    if (LIKELY(num_parse_i64(ctx->argv[arg], out))) return true;
    reply_error(ctx->reply, "ERR value is not an integer or out of range");
    return false;
}

bool ctx_arg_i32(struct cmd_ctx *ctx, int arg, int64_t *out)
{
    int64_t value;
    if (!ctx_arg_i64(ctx, arg, &value)) return false;
    if (value >= INT32_MIN && value <= INT32_MAX) {
        *out = value;
        return true;
    }
    reply_errorf(ctx->reply, "ERR value is out of range, value must between %d and %d", INT32_MIN, INT32_MAX);
    return false;
}

bool ctx_arg_i64_range(struct cmd_ctx *ctx, int arg, int64_t min, int64_t max, int64_t *out, const char *error)
{
    int64_t value;
    if (num_parse_i64(ctx->argv[arg], &value) && value >= min && value <= max) {
        *out = value;
        return true;
    }
    if (error != NULL)
        reply_errorf(ctx->reply, "ERR %s", error);
    else
        reply_error(ctx->reply, "ERR value is out of range");
    return false;
}

bool ctx_arg_double(struct cmd_ctx *ctx, int arg, double *out)
{
    if (num_parse_double(ctx->argv[arg], out)) return true;
    reply_error(ctx->reply, "ERR value is not a valid float");
    return false;
}

bool ctx_arg_cursor(struct cmd_ctx *ctx, int arg, uint64_t *cursor)
{
    if (num_parse_cursor(ctx->argv[arg], cursor)) return true;
    reply_error(ctx->reply, "ERR invalid cursor");
    return false;
}

bool ctx_is_replayed(const struct cmd_ctx *ctx)
{
    return client_has(ctx->client, CLIENT_MASTER);
}
int64_t ctx_now_ms(const struct cmd_ctx *ctx)
{
    return ctx->keyspace->now_ms;
}

void ctx_reply_help(struct cmd_ctx *ctx, const char *const *lines)
{
    size_t count = 0;
    while (lines[count] != NULL) count++;
    reply_array(ctx->reply, count);
    for (size_t i = 0; i < count; i++) reply_status(ctx->reply, lines[i]);
}

void ctx_feed_monitors(const struct cmd_ctx *ctx, const struct command *cmd)
{
    if (UNLIKELY(ctx->core->monitor_count > 0)) monitor_feed(ctx->client, cmd, ctx->argc, ctx->argv);
}
