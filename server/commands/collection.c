#include "server/commands/collection.h"

#include "storage/base/num.h"

struct span span_of(int64_t start, int64_t stop, size_t len)
{
    int64_t count = (int64_t)len;
    if (start < 0) start = start + count < 0 ? 0 : start + count;
    if (stop < 0) stop += count;
    if (stop >= count) stop = count - 1;
    if (start > stop) return (struct span){.first = 0, .count = 0};
    return (struct span){.first = (size_t)start, .count = (size_t)(stop - start) + 1};
}

/* ---- Counts ---- */

bool arg_pop_count(struct cmd_ctx *ctx, int arg, uint64_t *count)
{
    int64_t value;
    if (!ctx_arg_i64_range(ctx, arg, 0, INT64_MAX, &value, "value is out of range, must be positive")) return false;
    *count = (uint64_t)value;
    return true;
}

bool arg_negatable(struct cmd_ctx *ctx, int arg, int64_t *out)
{
    int64_t value;
    if (!ctx_arg_i64(ctx, arg, &value)) return false;
    if (value == INT64_MIN) {
        reply_errorf(ctx->reply, "ERR value is out of range, value must between %lld and %lld", -(long long)INT64_MAX,
                     (long long)INT64_MAX);
        return false;
    }
    *out = value;
    return true;
}

bool arg_cardinality_limit(struct cmd_ctx *ctx, int arg, uint64_t *limit)
{
    int64_t value;
    if (!ctx_arg_i64_range(ctx, arg, 0, INT64_MAX, &value, "LIMIT can't be negative")) return false;
    *limit = (uint64_t)value;
    return true;
}

/* ---- Popping from the first of several keys ---- */

static bool parse_multi_pop_count(struct cmd_ctx *ctx, int arg, uint64_t *count)
{
    int64_t value;
    if (!ctx_has_arg(ctx, arg)) return true;
    if (!ctx_arg_is(ctx, arg, "COUNT") || !ctx_has_arg(ctx, arg + 1)) {
        ctx_error_syntax(ctx);
        return false;
    }
    if (!ctx_arg_i64_range(ctx, arg + 1, 1, INT64_MAX, &value, "count should be greater than 0")) return false;
    *count = (uint64_t)value;
    if (!ctx_has_arg(ctx, arg + 2)) return true;
    ctx_error_syntax(ctx);
    return false;
}

bool parse_multi_pop(struct cmd_ctx *ctx, int arg, const char *first, const char *second, struct multi_pop *out)
{
    int64_t keys;
    if (!ctx_arg_i64_range(ctx, arg, 1, INT64_MAX, &keys, "numkeys should be greater than 0")) return false;
    if (keys >= ctx->argc - arg - 1) { /* no room for the word behind the keys */
        ctx_error_syntax(ctx);
        return false;
    }
    int word = arg + 1 + (int)keys;
    *out = (struct multi_pop){.first_key = arg + 1, .key_count = (int)keys, .count = 1};
    out->second = ctx_arg_is(ctx, word, second);
    if (!out->second && !ctx_arg_is(ctx, word, first)) {
        ctx_error_syntax(ctx);
        return false;
    }
    return parse_multi_pop_count(ctx, word + 1, &out->count);
}

void replicate_pop(struct cmd_ctx *ctx, struct bytes_view command, struct bytes_view key, size_t count)
{
    char number[NUM_U64_MAX_CHARS];
    ctx_replicate(ctx, command, key, bytes_view(number, num_format_u64(number, count)));
}

/* ---- Results ---- */

static unsigned event_class_of(enum value_type type)
{
    return type == TYPE_ZSET ? NOTIFY_ZSET : NOTIFY_SET;
}

void store_result(struct cmd_ctx *ctx, int arg, enum value_type type, void *value, const char *event)
{
    struct keyref key = ctx_key(ctx, arg);
    size_t count = value == NULL ? 0 : value_count(type, value);
    if (count > 0) {
        keyspace_put_value(ctx->db, key, type, value, 0);
        ctx_changed(ctx, key, event_class_of(type), event, 1);
    } else {
        if (value != NULL) value_free(type, value);
        if (keyspace_delete(ctx->db, key, ctx->settings->memory.lazyfree_lazy_server_del))
            ctx_changed(ctx, key, NOTIFY_GENERIC, "del", 1);
    }
    reply_int(ctx->reply, (int64_t)count);
}

bool close_if_over_limit(struct cmd_ctx *ctx)
{
    struct client *c = ctx->client;
    size_t limit = ctx->settings->clients.output_limits[client_limit_class(c)].hard_bytes;
    if (limit == 0 || client_output_waiting(c) < limit) return false;
    client_enforce_output_limit(c);
    return true;
}
