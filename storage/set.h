/* set.h -- an unordered collection of distinct strings. intset -> listpack -> hashtable, as Redis 7.2 converts:
 * all members integers and at most set_max_intset_entries of them: intset; else at most set_max_listpack_entries
 * members of at most set_max_listpack_value bytes: listpack; else a table of one-allocation members. It never converts
 * back by itself. Every read of a member as a view is valid until the next change of the set, or, if the member is kept
 * as a number, as long as the number_text (or the iterator) it was written to. */
#ifndef LOCKSTEP_STORAGE_SET_H
#define LOCKSTEP_STORAGE_SET_H

#include "storage/table.h"
#include "storage/value.h"

struct set; /* opaque */

/* An empty set in the encoding that suits a first member and an expected size (SADD: the number of arguments). */
struct set *set_new(const struct value_env *env, struct bytes_view first, size_t size_hint);
/* Before adding so many members: converts at once when that many alone are too many for the encoding. */
void set_reserve(struct set *s, size_t more);
void set_free(struct set *s);
struct set *set_dup(const struct set *s);
size_t set_count(const struct set *s);
enum value_encoding set_encoding(const struct set *s);
size_t set_memory(const struct set *s, size_t samples);
size_t set_free_effort(const struct set *s);

bool set_add(struct set *s, struct bytes_view member);    /* false: it was there */
bool set_remove(struct set *s, struct bytes_view member); /* false: it was not */
bool set_contains(const struct set *s, struct bytes_view member);
/* For batched dispatch: for all members the first, then for all the second, then the look-ups. */
void set_prefetch(const struct set *s, struct bytes_view member);
void set_prefetch_member(const struct set *s, struct bytes_view member);
/* A member chosen uniformly; the set must not be empty. */
struct bytes_view set_random(const struct set *s, struct number_text *buf);

struct set_iter { /* any order; no change of the set meanwhile */
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
/* As iteration, and tells when the member is kept as an integer (*is_int, *value). */
bool set_iter_next_int(struct set_iter *it, struct bytes_view *member, bool *is_int, int64_t *value);

/* SSCAN: calls fn for members of the bucket at cursor; returns the next cursor, 0 at the end. Small encodings give
 * everything at once. fn must not change the set. */
uint64_t set_scan(const struct set *s, uint64_t cursor, void (*fn)(void *ctx, struct bytes_view member), void *ctx);

/* For the file codec: the intset or listpack blob when that is the encoding, else an empty view. */
struct bytes_view set_blob(const struct set *s);
/* Takes ownership of a validated blob (mem_alloc'ed) of that encoding; converts onward if the limits ask for it. */
struct set *set_from_blob(const struct value_env *env, enum value_encoding encoding, unsigned char *blob, size_t len);
/* Its table when that is the encoding, else NULL: DEBUG HTSTATS-KEY. */
const struct table *set_table(const struct set *s);
/* Its integers when that is the encoding, else NULL. */
const struct intset *set_intset(const struct set *s);
void set_check(const struct set *s); /* asserts the invariants */

#endif
