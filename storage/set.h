/* set.h -- the set type: an unordered collection of distinct strings.
 *
 *      intset       all members are integers, at most set_max_intset_entries
 *        v
 *      listpack     at most set_max_listpack_entries members of at most set_max_listpack_value bytes
 *        v
 *      hashtable    a table of members, one allocation each
 *
 * The encodings change as in Redis 7.2. A set never converts back by itself.
 * Validity: a view of a member is valid until the set changes. A view of a member that is stored as a number is
 * valid no longer than the number_text or iterator. */
#ifndef LOCKSTEP_STORAGE_SET_H
#define LOCKSTEP_STORAGE_SET_H

#include "storage/table.h"
#include "storage/value.h"

struct set; /* opaque */

/* Returns an empty set in the encoding for a first member and an expected size (SADD: the number of arguments). */
struct set *set_new(const struct value_env *env, struct bytes_view first, size_t size_hint);
/* Call before adding `more` members: converts in advance if these alone are too many for the encoding. */
void set_reserve(struct set *s, size_t more);
void set_free(struct set *s);
struct set *set_dup(const struct set *s);
size_t set_count(const struct set *s);
enum value_encoding set_encoding(const struct set *s);
size_t set_memory(const struct set *s, size_t samples);
size_t set_free_effort(const struct set *s);

bool set_add(struct set *s, struct bytes_view member);    /* false: it is a member already */
bool set_remove(struct set *s, struct bytes_view member); /* false: not a member */
bool set_contains(const struct set *s, struct bytes_view member);
/* For batched dispatch: call the first function for all members, then the second for all members, then look up. */
void set_prefetch(const struct set *s, struct bytes_view member);
void set_prefetch_member(const struct set *s, struct bytes_view member);
/* A random member, each with the same probability. The set must not be empty. */
struct bytes_view set_random(const struct set *s, struct number_text *buf);

struct set_iter { /* any order; the set must not change meanwhile */
    const struct set *set;
    union {
        struct table_iter table;
        unsigned char *lp;
        uint32_t index;
    };
    struct number_text buf;
};
void set_iter_init(struct set_iter *it, const struct set *s);
bool set_iter_next(struct set_iter *it, struct bytes_view *member);
/* As set_iter_next(); also reports members that are stored as integers (*is_int, *value). */
bool set_iter_next_int(struct set_iter *it, struct bytes_view *member, bool *is_int, int64_t *value);

/* SSCAN: calls fn for the members at the cursor position and returns the next cursor, 0 at the end. Compact
 * encodings return all members at once. fn must not change the set. */
uint64_t set_scan(const struct set *s, uint64_t cursor, void (*fn)(void *ctx, struct bytes_view member), void *ctx);

/* For RDB: the intset or listpack; an empty view for a table. */
struct bytes_view set_blob(const struct set *s);
/* Takes ownership of a validated blob (from mem_alloc()) of that encoding. Converts it if the limits require that. */
struct set *set_from_blob(const struct value_env *env, enum value_encoding encoding, unsigned char *blob, size_t len);
/* The table, or NULL for other encodings: for DEBUG HTSTATS-KEY and table_part_next(). */
const struct table *set_table(const struct set *s);
struct bytes_view set_table_member(const void *entry); /* of an entry of that table */
/* The intset, or NULL for other encodings. */
const struct intset *set_intset(const struct set *s);
void set_check(const struct set *s); /* asserts the invariants */

#endif
