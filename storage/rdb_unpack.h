/* rdb_unpack.h -- the decoder of packed RDB values (listpack, ziplist, zipmap, intset) into collections.
 *
 * All bytes are validated. The result is a collection that satisfies all invariants of its type, or a reason.
 * Ownership: blobs are borrowed; a returned collection is the caller's. */
#ifndef LOCKSTEP_STORAGE_RDB_UNPACK_H
#define LOCKSTEP_STORAGE_RDB_UNPACK_H

#include "storage/rdb.h"
#include "storage/value.h"

struct list;

/* NULL: *value is set and the caller's. Otherwise a reason, worded to follow rdb_packed_name(). RDB_EMPTY (that very
 * pointer) stands for a collection without elements. `type` is a type that holds a whole collection in one string. */
extern const char RDB_EMPTY[];
extern const char RDB_BAD_TIME[]; /* of a hash field */
NODISCARD const char *rdb_unpack(enum rdb_type type, struct bytes_view blob, const struct value_env *env, void **value);

/* Append a node of a LIST_QUICKLIST (a ziplist) or a LIST_QUICKLIST_2 (a listpack, or plain). NULL or the reason.
 * Empty nodes of ziplist or listpack form, which some old versions wrote, are skipped. */
NODISCARD const char *rdb_unpack_ziplist_node(struct list *l, struct bytes_view blob);
NODISCARD const char *rdb_unpack_listpack_node(struct list *l, struct bytes_view blob);
NODISCARD const char *rdb_unpack_plain_node(struct list *l, struct bytes_view element);

const char *rdb_packed_name(enum rdb_type type); /* for example "Hash ziplist" */

#endif
