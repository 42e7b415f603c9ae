/* hash_fields.h -- a hash as a command gets it, when some of its fields may be past their time.
 *
 * On a master the fields that a command names, and whose time is past, are deleted before it looks at them, and their
 * HDEL goes into the stream before it: so the command does the same wherever it is run again (X1). A replica's clients
 * do not see such fields, but they stay until the master's HDEL comes; what the master sends sees them. A time that a
 * replica's own client has set (replica-read-only no) hides the field likewise, for good: no HDEL will come for it. */
#ifndef LOCKSTEP_SERVER_COMMANDS_HASH_FIELDS_H
#define LOCKSTEP_SERVER_COMMANDS_HASH_FIELDS_H

#include "server/dispatch/command.h"

/* The hash in the first argument, for a command whose arguments from `first` on, `count` of them, are names of fields.
 * *h is NULL unless found. */
enum lookup fields_read(struct cmd_ctx *ctx, int first, int count, const struct hash **h);
/* The same for writing: a replica's own client, where it may write, takes away what is past its time too. */
enum lookup fields_write(struct cmd_ctx *ctx, int first, int count, struct hash **h);
/* Deletes all fields of the first argument's hash that are past their time, unless they are very many. On a master. */
void fields_expire_some(struct cmd_ctx *ctx);

/* hash_get() without fields that are past their time. */
static inline bool field_get(const struct cmd_ctx *ctx, const struct hash *h, struct bytes_view field,
                             struct number_text *buf, struct bytes_view *value)
{
    return !hash_field_is_past(h, field, keyspace_field_clock(ctx->keyspace)) && hash_get(h, field, buf, value);
}

#endif
