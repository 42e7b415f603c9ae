/* rdb_unpack.h -- turns the packed values of RDB files (listpack, ziplist, zipmap, intset) into collections.
 * The bytes are not trusted: every one is checked before it is believed, and the answer is a collection that keeps all
 * of its type's promises, or a reason. */
#ifndef LOCKSTEP_STORAGE_RDB_UNPACK_H
#define LOCKSTEP_STORAGE_RDB_UNPACK_H

#include "storage/rdb.h"
#include "storage/value.h"

struct list;

/* NULL: *value is the caller's. Otherwise what is wrong, in words that follow rdb_packed_name(); RDB_EMPTY (that very
 * pointer) for a collection without elements. type is one of the types that carry a whole collection in one string. The
 * blob is borrowed. */
extern const char RDB_EMPTY[];
extern const char RDB_BAD_TIME[]; /* of a field of a hash */
NODISCARD const char *rdb_unpack(enum rdb_type type, struct bytes_view blob, const struct value_env *env, void **value);

/* Appends one node of a LIST_QUICKLIST (a ziplist) or of a LIST_QUICKLIST_2 (a listpack, or plain). NULL or the reason.
 * Empty nodes are left out, as some old versions wrote them. */
NODISCARD const char *rdb_unpack_ziplist_node(struct list *l, struct bytes_view blob);
NODISCARD const char *rdb_unpack_listpack_node(struct list *l, struct bytes_view blob);
NODISCARD const char *rdb_unpack_plain_node(struct list *l, struct bytes_view element);

const char *rdb_packed_name(enum rdb_type type); /* "Hash ziplist" */

#endif
