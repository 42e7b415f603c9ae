#include "server/commands/debug_damage.h"

#include "replication/replication.h"
#include "server/dispatch/command.h"
#include "server/core/core.h"
#include "storage/list.h"
#include "storage/stream.h"

/* Nothing here is reported to the stream: a replica's own replicas do not get it either. */

/* The entry, open for writing, or NULL if there is none of this type. */
static struct entry *find(struct cmd_ctx *ctx, enum value_type type)
{
    struct entry *e = keyspace_find_for_write(ctx->db, ctx_key(ctx, 3));
    return e != NULL && e->type == type ? e : NULL;
}

static bool damage_byte(struct cmd_ctx *ctx)
{
    char *data;
    struct entry *e = find(ctx, TYPE_STRING);
    size_t len = e != NULL ? entry_string_len(e) : 0;
    if (len == 0) return false;
    keyspace_resize_string(ctx->db, ctx_key(ctx, 3), e, len, &data);
    data[len / 2] ^= 1;
    return true;
}

static bool damage_key(struct cmd_ctx *ctx)
{
    keyspace_put_string(ctx->db, ctx_key(ctx, 3), BYTES_LIT("damage"), 0);
    return true;
}

static bool damage_lost(struct cmd_ctx *ctx)
{
    return keyspace_drop(ctx->db, ctx_key(ctx, 3), false);
}

static bool damage_ttl(struct cmd_ctx *ctx)
{
    struct entry *e = keyspace_find_for_write(ctx->db, ctx_key(ctx, 3));
    if (e == NULL) return false;
    int64_t at_ms = entry_expiry(e);
    keyspace_set_expiry(ctx->db, ctx_key(ctx, 3), e, at_ms == -1 ? ctx->keyspace->now_ms + 1000000000 : at_ms + 1);
    return true;
}

static bool damage_pending(struct cmd_ctx *ctx)
{
    struct stream_id first, last;
    const struct entry *e = find(ctx, TYPE_STREAM);
    const struct stream_group *g = e != NULL ? stream_group_find(entry_pointer(e), ctx->argv[4]) : NULL;
    if (g == NULL || !stream_pending_bounds(g, &first, &last)) return false;
    stream_pending_find(g, first)->delivery_count++;
    return true;
}

static bool damage_element(struct cmd_ctx *ctx)
{
    int64_t index;
    const struct entry *e = find(ctx, TYPE_LIST);
    return e != NULL && num_parse_i64(ctx->argv[4], &index) && list_set(entry_pointer(e), index, BYTES_LIT("damage"));
}

static bool damage_drop(struct cmd_ctx *ctx)
{
    ctx->core->modes.drop_write = true;
    return true;
}

void debug_replica_damage(struct cmd_ctx *ctx)
{
    static const struct {
        const char *name;
        int argc;
        bool (*run)(struct cmd_ctx *ctx); /* false: there is nothing to damage */
    } kinds[] = {
        {"byte", 4, damage_byte}, {"key", 4, damage_key},         {"lost", 4, damage_lost},
        {"ttl", 4, damage_ttl},   {"pending", 5, damage_pending}, {"element", 5, damage_element},
        {"drop", 3, damage_drop},
    };
    if (repl_role(ctx->core->repl) != REPL_REPLICA) {
        reply_error(ctx->reply, "ERR only a replica can be damaged");
        return;
    }
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (!ctx_arg_is(ctx, 2, kinds[i].name) || ctx->argc != kinds[i].argc) continue;
        if (kinds[i].run(ctx))
            reply_ok(ctx->reply);
        else
            reply_error(ctx->reply, "ERR there is nothing to damage");
        return;
    }
    ctx_error_syntax(ctx);
}
