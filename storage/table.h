/* table.h -- the hash table under the keyspace, sets, hashes and sorted sets: linear hashing over cache-line buckets.
 *
 * The table holds pointers to entries and nothing else of them: the caller computes 64-bit hashes, compares keys and
 * owns the entries. A bucket is one cache line:
 *
 *      0        9    10                                                 64
 *     [ 9 tags | meta | 9 slots of 48-bit pointers                        ]
 *
 * A tag is the top byte of the hash, so a look-up compares all nine tags with one instruction and then follows, nearly
 * always, one pointer. A bucket that overflows gives its last slot to the address of a further bucket, so that it holds
 * eight entries and a chain:
 *
 *     head (8) -> second (1..9) -> full -> full ...        only the head of a chain of one, or the second, has room
 *
 * A chained bucket starts with half a line (3 slots) and is exchanged for a whole one when these are used up.
 *
 * Growth is linear: with 2^L <= buckets < 2^(L+1), bucket i of the first (buckets - 2^L) has already been split into i
 * and i + 2^L. An insert that takes the load over the target splits the next one, a removal that takes it below the
 * low-water mark merges the last one back. So there is never a second table, a long pause, or work left for a timer.
 * Buckets live in segments of 64 KB that never move; only the first segment, while it is the only one, is reallocated
 * as it grows. An empty table owns no memory, and one of up to nine entries owns one bucket.
 *
 * Invariants (table_check()): every entry is in the chain of the bucket its hash selects, with its tag; head and middle
 * buckets of a chain are full; no bucket of a chain is empty.
 * Ownership:  entries are the caller's. A struct table may be moved in memory (it holds no pointer to itself).
 * Validity:   a position (table_pos) dies with the next insert or removal; look-ups and table_replace_at() keep it.
 * Not here:   keys, hashing, expiry, who may change an entry. */
#ifndef LOCKSTEP_STORAGE_TABLE_H
#define LOCKSTEP_STORAGE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "storage/base/prefetch.h"
#include "storage/base/assert.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

struct bytes_buf;
struct rng;

#define TABLE_BUCKET_SLOTS    9
#define TABLE_SEGMENT_SHIFT   10
#define TABLE_SEGMENT_BUCKETS ((size_t)1 << TABLE_SEGMENT_SHIFT)

struct table_bucket {
    uint8_t tags[TABLE_BUCKET_SLOTS];
    uint8_t meta; /* TABLE_META_* */
    uint8_t slots[TABLE_BUCKET_SLOTS][6];
};
_Static_assert(sizeof(struct table_bucket) == 64, "a bucket is a cache line");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "slots are read with little-endian loads");

enum {
    TABLE_META_COUNT = 0x0f,   /* entries in this bucket */
    TABLE_META_SMALL = 0x40,   /* a chained bucket of half a line: slots 0 to 2 exist */
    TABLE_META_CHAINED = 0x80, /* slot 8 is the next bucket of the chain */
};

/* The hash of an entry that is in the table: the value the caller passed to table_insert() for it. */
typedef uint64_t table_hash_fn(const void *ctx, const void *entry);
typedef void table_entry_fn(void *ctx, void *entry);

struct table {
    struct table_bucket *first;     /* the first segment; table_no_bucket while the table is empty */
    struct table_bucket **segments; /* all of them, once there are more than one */
    size_t buckets;                 /* without the chained ones; at least 1 */
    size_t mask;                    /* 2^(L+1) - 1 */
    size_t count;
    size_t chained_bytes;
    table_hash_fn *hash;
    const void *hash_ctx;
    uint32_t first_capacity;   /* buckets allocated in the first segment */
    uint32_t segment_capacity; /* allocated length of `segments` */
    uint32_t longest;          /* upper bound of the entries in one chain */
    uint16_t paused;
    uint16_t shrink_paused;
};

extern const struct table_bucket table_no_bucket; /* what an empty table is looked up in; never written to */

void table_init(struct table *t, table_hash_fn *hash, const void *ctx);
/* Frees all buckets, after calling free_entry (NULL: nothing) for each entry; the table is then empty and usable. */
void table_release(struct table *t, table_entry_fn *free_entry, void *ctx);
/* The same in bounded steps: takes up to max_buckets buckets from the end. Returns the number of entries left; 0 means
 * that the table is empty and usable. In between nothing but this and table_release() may be called. */
size_t table_release_some(struct table *t, size_t max_buckets, table_entry_fn *free_entry, void *ctx);

static inline size_t table_count(const struct table *t)
{
    return t->count;
}
static inline size_t table_buckets(const struct table *t)
{
    return t->buckets;
}
/* Bytes of buckets and directory, without struct table itself and without the entries. */
size_t table_memory(const struct table *t);
/* Bytes that the allocations of all entries take, for entries that are one allocation each; estimated from the first
 * `samples` of them, or counted when that is 0. */
size_t table_entry_memory(const struct table *t, size_t samples, size_t (*size)(const void *entry));

/* ---- Looking up ---------------------------------------------------------------------------------------------- */

/*     struct table_probe p;
 *     table_probe_start(&p, t, hash);
 *     while ((e = table_probe_next(&p)) != NULL)
 *         if (key_equal(e, key)) break;     p.pos is where e is */
struct table_pos {
    struct table_bucket *bucket;
    unsigned slot;
};

struct table_probe {
    struct table_pos pos; /* of the entry returned last */
    unsigned matches;     /* slots of pos.bucket still to return, one bit each */
    uint8_t tag;
};

static inline uint8_t table_tag(uint64_t hash)
{
    return hash >> 56;
}

static inline size_t table_index(const struct table *t, uint64_t hash)
{
    size_t index = hash & t->mask;
    return index < t->buckets ? index : index & (t->mask >> 1);
}

static inline struct table_bucket *table_bucket_at(const struct table *t, size_t index)
{
    if (t->buckets <= TABLE_SEGMENT_BUCKETS) return t->first + index;
    return t->segments[index >> TABLE_SEGMENT_SHIFT] + (index & (TABLE_SEGMENT_BUCKETS - 1));
}

static inline unsigned table_bucket_count(const struct table_bucket *b)
{
    return b->meta & TABLE_META_COUNT;
}

/* Loads the two bytes before the slot as well and shifts them out, so that no load leaves the line. */
static inline void *table_slot_get(const struct table_bucket *b, unsigned slot)
{
    uint64_t word;
    memcpy(&word, (const char *)b + offsetof(struct table_bucket, slots) - 2 + slot * 6, sizeof(word));
    return (void *)(uintptr_t)(word >> 16);
}

static inline struct table_bucket *table_bucket_next(const struct table_bucket *b)
{
    return b->meta & TABLE_META_CHAINED ? table_slot_get(b, TABLE_BUCKET_SLOTS - 1) : NULL;
}

/* One bit for each used slot with this tag. */
static inline unsigned table_bucket_match(const struct table_bucket *b, uint8_t tag)
{
    unsigned used = (1u << table_bucket_count(b)) - 1;
#ifdef __SSE2__
    __m128i line = _mm_loadu_si128((const __m128i *)(const void *)b);
    return (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(line, _mm_set1_epi8((char)tag))) & used;
#else
    unsigned equal = 0;
    for (unsigned i = 0; i < TABLE_BUCKET_SLOTS; i++) equal |= (unsigned)(b->tags[i] == tag) << i;
    return equal & used;
#endif
}

static inline void table_probe_start(struct table_probe *p, const struct table *t, uint64_t hash)
{
    p->tag = table_tag(hash);
    p->pos.bucket = table_bucket_at(t, table_index(t, hash));
    p->matches = table_bucket_match(p->pos.bucket, p->tag);
}

/* The next entry whose tag matches, or NULL. */
static inline void *table_probe_next(struct table_probe *p)
{
    while (p->matches == 0) {
        struct table_bucket *next = table_bucket_next(p->pos.bucket);
        if (next == NULL) return NULL;
        p->pos.bucket = next;
        p->matches = table_bucket_match(next, p->tag);
    }
    p->pos.slot = (unsigned)__builtin_ctz(p->matches);
    p->matches &= p->matches - 1;
    return table_slot_get(p->pos.bucket, p->pos.slot);
}

/* For many look-ups at once: for all keys the first, for all keys the second, then the probes. Each call only starts
 * loads, and the second works on lines that the first has brought. */
static inline void table_prefetch_bucket(const struct table *t, uint64_t hash)
{
    prefetch(table_bucket_at(t, table_index(t, hash)));
}

/* Entries that matter are small: their head and what lies 40 bytes further is one line or two. */
static inline void table_prefetch_entries(const struct table *t, uint64_t hash)
{
    const struct table_bucket *b = table_bucket_at(t, table_index(t, hash));
    if (b->meta & TABLE_META_CHAINED) prefetch(table_bucket_next(b));
    for (unsigned matches = table_bucket_match(b, table_tag(hash)); matches != 0; matches &= matches - 1) {
        const char *entry = table_slot_get(b, (unsigned)__builtin_ctz(matches));
        prefetch(entry);
        prefetch(entry + 40);
    }
}

/* ---- Changing ------------------------------------------------------------------------------------------------ */

/* The caller has made sure that no equal entry is there. Ends all positions. */
void table_insert(struct table *t, uint64_t hash, void *entry);
/* Another entry with the same hash takes the place. Positions stay. Returns the old entry. */
void *table_replace_at(struct table_pos pos, void *entry);
/* `hash` is that of the entry at pos. Ends all positions. Returns the entry. */
void *table_remove_at(struct table *t, uint64_t hash, struct table_pos pos);
/* Removes this very entry (by address). False when it is not there. */
bool table_remove(struct table *t, uint64_t hash, const void *entry);
/* Where this very entry (by address) is; false when it is not there. */
bool table_locate(const struct table *t, uint64_t hash, const void *entry, struct table_pos *pos);

/* While paused, inserts do not split and removals do not merge, so no entry changes its bucket index; nests. What was
 * put off is made up for by later inserts and removals (two steps each), or by table_settle(). */
static inline void table_pause_resize(struct table *t)
{
    ASSERT(t->paused < UINT16_MAX);
    t->paused++;
}
static inline void table_resume_resize(struct table *t)
{
    ASSERT(t->paused > 0);
    t->paused--;
}
/* The same for merges alone (see table_walk()). */
static inline void table_pause_shrink(struct table *t)
{
    ASSERT(t->shrink_paused < UINT16_MAX);
    t->shrink_paused++;
}
static inline void table_resume_shrink(struct table *t)
{
    ASSERT(t->shrink_paused > 0);
    t->shrink_paused--;
}
/* Up to max_steps splits or merges towards the load the table should have. True when it is there. */
bool table_settle(struct table *t, size_t max_steps);
/* Splits now what `count` entries will need, while that is cheap: for a loader that knows how many come. */
void table_reserve(struct table *t, size_t count);

/* ---- Visiting ------------------------------------------------------------------------------------------------ */

/* One step of SCAN: calls fn for all entries of one cursor position and returns the next cursor, 0 at the end. Start
 * with 0. The cursor counts with its bits reversed, so that an entry present during the whole scan is visited at least
 * once, however the table grows and shrinks between the steps; some may be visited again. fn must not insert or remove.
 */
uint64_t table_scan(const struct table *t, uint64_t cursor, table_entry_fn *fn, void *ctx);

/* All entries of a table that does not change, in no particular order. Between two calls the caller may remove the
 * entry just returned (and replace any) if it has paused resizing; nothing else may be inserted or removed. */
struct table_iter {
    const struct table *table;
    struct table_bucket *bucket; /* slots below `slot` of it are still to come */
    struct table_bucket *next;   /* of the chain, to visit after it */
    size_t index;                /* of the chain */
    unsigned slot;
};
void table_iter_init(struct table_iter *it, const struct table *t);
void *table_iter_next(struct table_iter *it); /* NULL at the end */
/* The position of the entry just returned, until the table changes. */
static inline struct table_pos table_iter_pos(const struct table_iter *it)
{
    return (struct table_pos){.bucket = it->bucket, .slot = it->slot};
}

/* Calls fn for all entries in the chain of the bucket with this index (< table_buckets()). fn must not insert or
 * remove. For a walk in ascending order while the table is written to in between:
 * - a split moves entries from a lower index to the index that was table_buckets(), so behind the walker: an entry may
 * be seen twice (which the caller recognizes by a mark on the entry), but none is missed;
 * - a merge moves entries from the end to a lower index, where they would be missed: hold table_pause_shrink()
 * meanwhile;
 * - entries inserted meanwhile may or may not be seen. */
void table_walk(const struct table *t, size_t index, table_entry_fn *fn, void *ctx);

/* An entry, each with the same probability; NULL when empty. */
void *table_random(const struct table *t, struct rng *rng);
/* Up to n different entries in out[], from consecutive buckets after a random one: cheap, but correlated. Returns how
 * many: n, or all there are, unless more than 4n + 16 buckets would have had to be looked at. */
size_t table_sample(const struct table *t, struct rng *rng, void *out[], size_t n);

/* ---- For people and tests ------------------------------------------------------------------------------------ */

#define TABLE_STATS_LENGTHS 33
struct table_stats {
    size_t entries;
    size_t buckets;
    size_t chains;                       /* buckets with at least one chained bucket */
    size_t chained_buckets;              /* these, counted */
    size_t chained_entries;              /* entries that need a second line */
    size_t longest;                      /* entries in the longest chain */
    size_t lengths[TABLE_STATS_LENGTHS]; /* buckets by the entries of their chain; the last one: so many or more */
};
void table_get_stats(const struct table *t, struct table_stats *stats);
/* The same as text, for DEBUG HTSTATS. */
void table_stats_print(const struct table_stats *stats, struct bytes_buf *out);
/* Asserts every invariant. Calls the hash function for every entry. */
void table_check(const struct table *t);

#endif
