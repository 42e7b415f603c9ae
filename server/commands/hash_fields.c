#include "server/commands/hash_fields.h"

#include "storage/base/checked.h"
#include "storage/base/memory.h"

/* Deletes those of the named fields that are expired. True: no field is left, and the key is deleted. */
static bool expire_named(struct cmd_ctx *ctx, int first, int count)
{
    if (count == 0) return false;
    size_t size = checked_size_mul((size_t)count, sizeof(struct bytes_view));
    struct bytes_view *fields = mem_alloc(size);
    memcpy(fields, &ctx->argv[first], size);
    bool emptied = keyspace_expire_fields(ctx->db, ctx_key(ctx, 1), fields, (size_t)count);
    mem_free(fields);
    return emptied;
}

enum lookup fields_read(struct cmd_ctx *ctx, int first, int count, const struct hash **h)
{
    const void *value;
    enum lookup found = ctx_read_value(ctx, 1, TYPE_HASH, &value);
    *h = value;
    if (LIKELY(*h == NULL || !hash_is_due(*h, keyspace_field_clock(ctx->keyspace)))) return found;
    if (ctx->keyspace->expiry_mode != EXPIRY_DELETE || !expire_named(ctx, first, count)) return found;
    *h = NULL;
    return LOOKUP_MISSING;
}

enum lookup fields_write(struct cmd_ctx *ctx, int first, int count, struct hash **h)
{
    void *value;
    enum lookup found = ctx_write_value(ctx, 1, TYPE_HASH, &value);
    *h = value;
    if (LIKELY(*h == NULL || !hash_is_due(*h, keyspace_field_clock(ctx->keyspace)))) return found;
    if (!expire_named(ctx, first, count)) return found;
    *h = NULL;
    return LOOKUP_MISSING;
}

void fields_expire_some(struct cmd_ctx *ctx)
{
    enum { MANY = 100 };
    if (ctx->keyspace->expiry_mode != EXPIRY_DELETE) return;
    struct keyref key = ctx_key(ctx, 1);
    for (int i = 0; i < MANY; i++) {
        const struct entry *e = keyspace_find(ctx->db, key, FIND_NO_TOUCH | FIND_NO_STATS);
        if (e == NULL || e->type != TYPE_HASH || !hash_is_due(entry_pointer(e), ctx_now_ms(ctx))) return;
        if (keyspace_expire_some_fields(ctx->db, key, 1)) return;
    }
}
