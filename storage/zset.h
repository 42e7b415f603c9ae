/* zset.h -- members ordered by score, then by bytes. listpack (member, score, member, score...) while at most
 * zset_max_entries members of at most zset_max_value bytes, else ("skiplist" to clients) a table from member to its one
 * allocation {score, member} and a counted B+tree over these allocations: ranks and ranges in O(log n).
 *
 * Every range, by score or by bytes, is first turned into a range of ranks; what walks, counts, pops or deletes takes
 * ranks. Scores are never NaN; callers check before. Views of members live until the next change, or as long as the
 * iterator. */
#ifndef LOCKSTEP_STORAGE_ZSET_H
#define LOCKSTEP_STORAGE_ZSET_H

#include "storage/table.h"
#include "storage/value.h"

struct zset; /* opaque */

struct zset *zset_new(const struct value_env *env, size_t size_hint, size_t longest_member_hint);
/* For a result in the making, however small: a listpack has no -0 and takes it for 0. */
struct zset *zset_new_table(const struct value_env *env, size_t size_hint);
/* The listpack, if the limits allow it for what is there now. */
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
/* false if it is no member. Rank 0 is the lowest score. */
bool zset_rank(const struct zset *z, struct bytes_view member, size_t *rank, double *score);

/* How many elements have a score < bound (or <= bound with `inclusive`): the rank where that range ends or the next
 * starts. */
size_t zset_rank_of_score(const struct zset *z, double bound, bool inclusive);
/* The same by member bytes, for sets whose scores are all equal (ZRANGEBYLEX). */
size_t zset_rank_of_lex(const struct zset *z, struct bytes_view bound, bool inclusive);
size_t zset_remove_range(struct zset *z, size_t first_rank, size_t count); /* how many went */

struct zset_iter { /* no change of the set meanwhile */
    const struct zset *zset;
    void *leaf;        /* position in the B+tree */
    unsigned char *lp; /* or in the listpack */
    unsigned slot;
    bool reverse;
    struct number_text buf;
};
/* Starts at a rank (counted from the low end even when walking in reverse) and walks up or down. */
void zset_iter_init(struct zset_iter *it, const struct zset *z, size_t rank, bool reverse);
bool zset_iter_next(struct zset_iter *it, struct bytes_view *member, double *score);

/* A member chosen uniformly; the set must not be empty. */
void zset_random(const struct zset *z, struct number_text *buf, struct bytes_view *member, double *score);
uint64_t zset_scan(const struct zset *z, uint64_t cursor, void (*fn)(void *ctx, struct bytes_view member, double score),
                   void *ctx);

struct bytes_view zset_blob(const struct zset *z); /* the listpack, or an empty view */
/* Takes a validated listpack (mem_alloc'ed; even count, sorted, no duplicates, no NaN); converts if the limits ask for
 * it. */
struct zset *zset_from_listpack(const struct value_env *env, unsigned char *lp);
/* The table from member to score unless it is a listpack, else NULL: DEBUG HTSTATS-KEY. */
const struct table *zset_table(const struct zset *z);
void zset_check(const struct zset *z);

#endif
