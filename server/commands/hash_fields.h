/* hash_fields.h -- access to a hash whose fields may be expired.
 *
 * On a master, a command first deletes those expired fields that it names. Their HDEL precedes the command in the
 * stream, so that the command has the same result wherever it runs again (X1). Clients of a replica do not see expired
 * fields, which stay until the master's HDEL arrives; commands of the master see them. If a replica's own client has
 * set the time (replica-read-only no), the field stays hidden, since no HDEL will come. */
#ifndef LOCKSTEP_SERVER_COMMANDS_HASH_FIELDS_H
#define LOCKSTEP_SERVER_COMMANDS_HASH_FIELDS_H

#include "server/dispatch/command.h"

/* The hash in argument 1, for a command whose `count` arguments from `first` on are names of fields. *h is NULL unless
 * found. */
enum lookup fields_read(struct cmd_ctx *ctx, int first, int count, const struct hash **h);
/* The same for writing. On a writable replica, this deletes expired fields too. */
enum lookup fields_write(struct cmd_ctx *ctx, int first, int count, struct hash **h);
/* Deletes all expired fields of argument 1's hash, on a master, unless there are very many. */
void fields_expire_some(struct cmd_ctx *ctx);

/* As hash_get(), without expired fields. */
static inline bool field_get(const struct cmd_ctx *ctx, const struct hash *h, struct bytes_view field,
                             struct number_text *buf, struct bytes_view *value)
{
    return !hash_field_is_past(h, field, keyspace_field_clock(ctx->keyspace)) && hash_get(h, field, buf, value);
}

#endif
