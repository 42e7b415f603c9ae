/* zset.h -- the sorted set type: members ordered by score, then by bytes.
 *
 *      few, short members   listpack   [ member | score | member | score ... ]   in order
 *      otherwise            index      table: member -> {score, member}, and a counted B+tree over these
 *
 * A sorted set is a listpack while it has at most zset_max_entries members of at most zset_max_value bytes. The
 * index is reported as "skiplist"; ranks and ranges take O(log n) in it.
 *
 * A range by score or by bytes is first turned into a range of ranks; the functions that iterate, count, pop or
 * delete take ranks. Scores are never NaN: callers check that.
 * Validity: views of members are valid until the set changes, and no longer than their iterator. */
#ifndef LOCKSTEP_STORAGE_ZSET_H
#define LOCKSTEP_STORAGE_ZSET_H

#include "storage/table.h"
#include "storage/value.h"

struct zset; /* opaque */

struct zset *zset_new(const struct value_env *env, size_t size_hint, size_t longest_member_hint);
/* For a result under construction: an index of any size, since a listpack stores -0 as 0. */
struct zset *zset_new_table(const struct value_env *env, size_t size_hint);
/* Converts to a listpack if the limits allow it for the present members. */
void zset_compact(struct zset *z);
void zset_free(struct zset *z);
struct zset *zset_dup(const struct zset *z);
size_t zset_count(const struct zset *z);
enum value_encoding zset_encoding(const struct zset *z);
size_t zset_memory(const struct zset *z, size_t samples);
size_t zset_free_effort(const struct zset *z);

bool zset_score(const struct zset *z, struct bytes_view member, double *score);
enum zset_outcome { ZSET_ADDED, ZSET_UPDATED, ZSET_UNCHANGED };
enum zset_outcome zset_set(struct zset *z, struct bytes_view member, double score);
bool zset_remove(struct zset *z, struct bytes_view member);
void zset_prefetch(const struct zset *z, struct bytes_view member);
void zset_prefetch_member(const struct zset *z, struct bytes_view member);
/* False: not a member. Rank 0 is the lowest score. */
bool zset_rank(const struct zset *z, struct bytes_view member, size_t *rank, double *score);

/* The number of members with a score < bound (with `inclusive`: <= bound). It is the rank where that range ends or
 * the next one starts. */
size_t zset_rank_of_score(const struct zset *z, double bound, bool inclusive);
/* The same by member bytes, for sets whose scores are all equal (ZRANGEBYLEX). */
size_t zset_rank_of_lex(const struct zset *z, struct bytes_view bound, bool inclusive);
size_t zset_remove_range(struct zset *z, size_t first_rank, size_t count); /* returns how many members were removed */

struct zset_iter { /* the set must not change meanwhile */
    const struct zset *zset;
    void *leaf;        /* position in the B+tree */
    unsigned char *lp; /* or in the listpack */
    unsigned slot;
    bool reverse;
    struct number_text buf;
};
/* Starts at a rank, counted from the lowest score in both directions, and goes up or, with `reverse`, down. */
void zset_iter_init(struct zset_iter *it, const struct zset *z, size_t rank, bool reverse);
bool zset_iter_next(struct zset_iter *it, struct bytes_view *member, double *score);

/* A random member, each with the same probability. The set must not be empty. */
void zset_random(const struct zset *z, struct number_text *buf, struct bytes_view *member, double *score);
uint64_t zset_scan(const struct zset *z, uint64_t cursor, void (*fn)(void *ctx, struct bytes_view member, double score),
                   void *ctx);

struct bytes_view zset_blob(const struct zset *z); /* the listpack; an empty view for an index */
/* Takes ownership of a validated listpack (from mem_alloc(); even count, sorted, no duplicates, no NaN). Converts it
 * if the limits require that. */
struct zset *zset_from_listpack(const struct value_env *env, unsigned char *lp);
/* The table of members, or NULL for a listpack: for DEBUG HTSTATS-KEY and table_part_next(). */
const struct table *zset_table(const struct zset *z);
struct bytes_view zset_table_member(const void *entry, double *score); /* of an entry of that table */
void zset_check(const struct zset *z);

#endif
