/* table.h -- the hash table under keyspace and values: linear hashing over cache-line buckets.
 *
 * The table stores pointers to entries. The caller computes 64-bit hashes, compares keys and owns the entries. A
 * bucket is one cache line:
 *
 *       0        9    10                                                 64
 *      [ 9 tags | meta | 9 slots of 48-bit pointers                        ]
 *
 * A tag is the top byte of the hash. A look-up compares all nine tags with one instruction and then, nearly always,
 * follows one pointer. When a bucket overflows, its last slot takes the address of a further bucket, so that it
 * holds eight entries and a chain:
 *
 *      head (8) -> second (1..9) -> full -> full ...        only the head of a chain of one, or the second, has room
 *
 * A chained bucket starts with half a line (3 slots) and is replaced by a whole line when these are full.
 *
 * Growth is linear. With 2^L <= buckets < 2^(L+1), each bucket i < buckets - 2^L has already been split into i and i
 * + 2^L. An insert that takes the load over the target splits the next bucket; a removal that takes it below the
 * low-water mark merges the last bucket back. So there is never a second table, a long pause or work for a timer.
 * Buckets lie in segments of 64 KB that never move; only the first segment is reallocated as it grows, while it is
 * the only one. An empty table owns no memory; a table of up to nine entries owns one bucket.
 *
 * Invariants (table_check()):
 * 1. Each entry is in the chain of the bucket that its hash selects, with its tag.
 * 2. In a chain of two or more buckets all but the second are full.
 * 3. No bucket of a chain is empty.
 *
 * Ownership: entries are the caller's. A struct table may be moved in memory, since it holds no pointer to itself.
 * Validity: a position (table_pos) is valid until the next insert or removal. Look-ups and table_replace_at() keep
 * it.
 * Not here: keys, hashing, expiry, who may change an entry. */
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
    TABLE_META_COUNT = 0x0f,   /* number of entries in this bucket */
    TABLE_META_SMALL = 0x40,   /* a chained bucket of half a line: it has slots 0 to 2 */
    TABLE_META_CHAINED = 0x80, /* slot 8 holds the address of the next bucket of the chain */
};

/* Returns the hash of an entry in the table: the value that was passed to table_insert(). */
typedef uint64_t table_hash_fn(const void *ctx, const void *entry);
typedef void table_entry_fn(void *ctx, void *entry);

struct table {
    struct table_bucket *first;     /* first segment; table_no_bucket while the table is empty */
    struct table_bucket **segments; /* all segments, once there is more than one */
    size_t buckets;                 /* without chained buckets; at least 1 */
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

extern const struct table_bucket table_no_bucket; /* the bucket of every empty table; never written to */

void table_init(struct table *t, table_hash_fn *hash, const void *ctx);
/* Calls free_entry (NULL: none) for each entry and frees all buckets. The table is then empty and usable. */
void table_release(struct table *t, table_entry_fn *free_entry, void *ctx);
/* The same in bounded steps: removes up to max_buckets buckets from the end. Returns the number of entries left; at
 * 0 the table is empty and usable. Until then only this function and table_release() may be called. */
size_t table_release_some(struct table *t, size_t max_buckets, table_entry_fn *free_entry, void *ctx);

static inline size_t table_count(const struct table *t)
{
    return t->count;
}
static inline size_t table_buckets(const struct table *t)
{
    return t->buckets;
}
/* Bytes of buckets and directory, without struct table and without the entries. */
size_t table_memory(const struct table *t);
/* Bytes allocated for all entries, where each entry is one allocation. `samples` > 0: estimated from that many
 * entries; 0: counted. */
size_t table_entry_memory(const struct table *t, size_t samples, size_t (*size)(const void *entry));

/* ---- Looking up ---------------------------------------------------------------------------------------------- */

/*     struct table_probe p;
 *     table_probe_start(&p, t, hash);
 *     while ((e = table_probe_next(&p)) != NULL)
 *         if (key_equal(e, key)) break;     p.pos is the position of e */
struct table_pos {
    struct table_bucket *bucket;
    unsigned slot;
};

struct table_probe {
    struct table_pos pos; /* of the entry that was returned last */
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

/* Loads the two bytes before the slot as well and shifts them out, so that the load stays within the cache line. */
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

/* Returns one bit for each used slot with this tag. */
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

/* For many look-ups at once: call the first function for all keys, then the second for all keys, then probe. Both
 * only start loads; the second reads lines that the first has loaded. */
static inline void table_prefetch_bucket(const struct table *t, uint64_t hash)
{
    prefetch(table_bucket_at(t, table_index(t, hash)));
}

/* Most entries are small: the line at their start and the line 40 bytes further cover them. */
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

/* The caller makes sure that no equal entry is in the table. Invalidates all positions. */
void table_insert(struct table *t, uint64_t hash, void *entry);
/* Replaces the entry by another one with the same hash and returns the old one. Positions stay valid. */
void *table_replace_at(struct table_pos pos, void *entry);
/* `hash` is the hash of the entry at pos. Returns the entry. Invalidates all positions. */
void *table_remove_at(struct table *t, uint64_t hash, struct table_pos pos);
/* Removes this entry, compared by address. False: it is not in the table. */
bool table_remove(struct table *t, uint64_t hash, const void *entry);
/* Finds this entry, compared by address. False: it is not in the table. */
bool table_locate(const struct table *t, uint64_t hash, const void *entry, struct table_pos *pos);

/* While resizing is paused, inserts do not split and removals do not merge, so no entry changes its bucket index.
 * Pauses nest. Later inserts and removals catch up (two steps each), or table_settle() does. */
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
/* Does up to max_steps splits or merges towards the target load. True when no more are needed. */
bool table_settle(struct table *t, size_t max_steps);
/* Splits in advance for `count` entries, which is cheap while the table is empty: for a loader that knows the
 * number. */
void table_reserve(struct table *t, size_t count);

/* ---- Visiting ------------------------------------------------------------------------------------------------ */

/* One step of SCAN: calls fn for all entries at one cursor position and returns the next cursor, 0 at the end.
 * Starts with 0. The cursor counts with its bits reversed, so an entry that is present during the whole scan is
 * visited at least once, however the table grows and shrinks between the steps. An entry may be visited twice. fn
 * must not insert or remove. */
uint64_t table_scan(const struct table *t, uint64_t cursor, table_entry_fn *fn, void *ctx);

/* Iterates over a table that does not change, in no particular order. Between two calls the caller may replace any
 * entry, and may remove the entry just returned if resizing is paused. Nothing else may be inserted or removed. */
struct table_iter {
    const struct table *table;
    struct table_bucket *bucket; /* its slots below `slot` are still to be returned */
    struct table_bucket *next;   /* the bucket of the chain to visit next */
    size_t index;                /* index of the chain */
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
 * remove. A caller may walk the indexes in ascending order while the table changes in between:
 * - A split moves entries from a lower index to a new last index, ahead of the walk. So no entry is missed, but one
 *   may be seen twice; the caller recognizes it by a mark on the entry.
 * - A merge moves entries from the last index to a lower one, where they would be missed. The caller prevents it
 *   with table_pause_shrink().
 * - Entries inserted meanwhile may or may not be seen. */
void table_walk(const struct table *t, size_t index, table_entry_fn *fn, void *ctx);

/* Visits the entries whose hash ends with `bits` bits that are equal to `part`: the same entries in every table that uses
 * the same hash function, whatever its size. The table must not change meanwhile. */
struct table_part {
    const struct table *table;
    uint64_t part;
    unsigned bits;
    size_t index, step; /* the chain to visit next, and the distance to the one after it */
    bool filter;        /* chains hold other entries, too */
};
enum { TABLE_PART_BITS_MAX = 56 };
void table_part_init(struct table_part *p, const struct table *t, unsigned bits, uint64_t part);
/* Calls fn for the entries of the next chain. False: there is none. */
bool table_part_next(struct table_part *p, table_entry_fn *fn, void *ctx);

/* A random entry, each with the same probability; NULL if the table is empty. */
void *table_random(const struct table *t, struct rng *rng);
/* Stores up to n different entries in out[] and returns how many. They come from consecutive buckets after a random
 * one, which is cheap but makes them correlated. Fewer than n are found only if the table has fewer, or if 4n + 16
 * buckets did not hold n. */
size_t table_sample(const struct table *t, struct rng *rng, void *out[], size_t n);

/* ---- Statistics and checks ------------------------------------------------------------------------------------ */

#define TABLE_STATS_LENGTHS 33
struct table_stats {
    size_t entries;
    size_t buckets;
    size_t chains;                       /* chains with at least one chained bucket */
    size_t chained_buckets;              /* number of chained buckets */
    size_t chained_entries;              /* entries in chained buckets: a look-up needs a second line */
    size_t longest;                      /* entries in the longest chain */
    size_t lengths[TABLE_STATS_LENGTHS]; /* buckets by the length of their chain; the last one counts longer chains
                                          * too */
};
void table_get_stats(const struct table *t, struct table_stats *stats);
/* The same as text, for DEBUG HTSTATS. */
void table_stats_print(const struct table_stats *stats, struct bytes_buf *out);
/* Asserts all invariants. Calls the hash function for every entry. */
void table_check(const struct table *t);

#endif
