#include "storage/table.h"

#include <inttypes.h>

#include "storage/base/prefetch.h"
#include "storage/base/bytes.h"
#include "storage/base/memory.h"
#include "storage/base/sys.h"

#define LINE          sizeof(struct table_bucket)
#define SMALL_BYTES   (LINE / 2)
#define SMALL_SLOTS   3u
#define SEGMENT_BYTES (TABLE_SEGMENT_BUCKETS * LINE)
#define PAGE          4096 /* alignment of whole segments, so that a segment does not touch one page more */

/* The target load, in entries per bucket, is 29/4. A higher one saves memory and makes more chains. At 7.25 a table
 * of a million entries takes 10.3 bytes per entry and reads 1.1 cache lines per hit. */
#define TARGET_NUM 29
#define TARGET_DEN 4
#define LOW_NUM    9
#define LOW_DEN    2

#define STEPS_PER_CHANGE 2 /* splits or merges per insert or removal */

const struct table_bucket table_no_bucket = {.meta = 0};

/* ---- One bucket ---------------------------------------------------------------------------------------------- */

static void slot_set(struct table_bucket *b, unsigned slot, const void *ptr)
{
    uintptr_t word = (uintptr_t)ptr;
    memcpy(b->slots[slot], &word, sizeof(b->slots[slot]));
}

static unsigned bucket_capacity(const struct table_bucket *b)
{
    if (b->meta & TABLE_META_SMALL) return SMALL_SLOTS;
    return b->meta & TABLE_META_CHAINED ? TABLE_BUCKET_SLOTS - 1 : TABLE_BUCKET_SLOTS;
}

static bool bucket_full(const struct table_bucket *b)
{
    return table_bucket_count(b) == bucket_capacity(b);
}

static void bucket_push(struct table_bucket *b, uint8_t tag, const void *entry)
{
    unsigned slot = table_bucket_count(b);
    b->tags[slot] = tag;
    slot_set(b, slot, entry);
    b->meta++;
}

static void bucket_set_next(struct table_bucket *b, const struct table_bucket *next)
{
    b->meta |= TABLE_META_CHAINED;
    slot_set(b, TABLE_BUCKET_SLOTS - 1, next);
}

/* ---- The chain of one bucket --------------------------------------------------------------------------------- */

static struct table_bucket *chained_new(struct table *t, bool small)
{
    size_t size = small ? SMALL_BYTES : LINE;
    struct table_bucket *b = mem_alloc(size); /* the allocator aligns blocks of these sizes to their size */
    b->meta = small ? TABLE_META_SMALL : 0;
    t->chained_bytes += size;
    return b;
}

static void chained_free(struct table *t, struct table_bucket *b)
{
    size_t size = b->meta & TABLE_META_SMALL ? SMALL_BYTES : LINE;
    t->chained_bytes -= size;
    mem_free_sized(b, size);
}

static struct table_bucket *chained_enlarge(struct table *t, struct table_bucket *small)
{
    struct table_bucket *b = chained_new(t, false);
    memcpy(b, small, SMALL_BYTES);
    b->meta &= (uint8_t)~TABLE_META_SMALL;
    chained_free(t, small);
    return b;
}

static size_t chain_length(const struct table_bucket *b)
{
    size_t length = 0;
    for (; b != NULL; b = table_bucket_next(b)) length += table_bucket_count(b);
    return length;
}

static void note_longest(struct table *t, size_t length)
{
    if (length > t->longest) t->longest = length < UINT32_MAX ? (uint32_t)length : UINT32_MAX;
}

/* The head has nine entries and no chain. Moves the ninth to a new second bucket, whose address takes its slot. */
static struct table_bucket *chain_begin(struct table *t, struct table_bucket *head)
{
    struct table_bucket *second = chained_new(t, true);
    bucket_push(second, head->tags[TABLE_BUCKET_SLOTS - 1], table_slot_get(head, TABLE_BUCKET_SLOTS - 1));
    head->meta--;
    bucket_set_next(head, second);
    note_longest(t, TABLE_BUCKET_SLOTS - 1 + SMALL_SLOTS);
    return second;
}

/* Returns a bucket with room in the chain of this full head. A further bucket becomes the new second one, so that
 * only the second has room and an insert never walks the chain. */
static struct table_bucket *chain_make_room(struct table *t, struct table_bucket *head)
{
    struct table_bucket *second = table_bucket_next(head);
    if (second == NULL) return chain_begin(t, head);
    if (!bucket_full(second)) return second;
    struct table_bucket *room;
    if (second->meta & TABLE_META_SMALL) {
        room = chained_enlarge(t, second);
        note_longest(t, 2 * TABLE_BUCKET_SLOTS - 1);
    } else {
        room = chained_new(t, false);
        note_longest(t, chain_length(head) + TABLE_BUCKET_SLOTS - 1);
        bucket_set_next(room, second);
    }
    bucket_set_next(head, room);
    return room;
}

static void chain_add(struct table *t, struct table_bucket *head, uint8_t tag, const void *entry)
{
    bucket_push(UNLIKELY(bucket_full(head)) ? chain_make_room(t, head) : head, tag, entry);
}

/* Called after the second bucket has lost an entry. Frees it when it is empty, or when its last entry fits into the
 * head. That entry does not move while resizing is paused: an iterator could miss it or return it twice. */
static void chain_tidy(struct table *t, struct table_bucket *head, struct table_bucket *second)
{
    struct table_bucket *third = table_bucket_next(second);
    unsigned left = table_bucket_count(second);
    if (left > 1 || (left == 1 && (third != NULL || t->paused > 0))) return;
    if (third != NULL) {
        bucket_set_next(head, third);
    } else {
        head->meta &= (uint8_t)~TABLE_META_CHAINED;
        if (left == 1) bucket_push(head, second->tags[0], table_slot_get(second, 0));
    }
    chained_free(t, second);
}

/* Fills the hole with the last entry of the only bucket that may have room. */
static void chain_remove(struct table *t, struct table_bucket *head, struct table_pos pos)
{
    struct table_bucket *second = table_bucket_next(head);
    struct table_bucket *from = second != NULL ? second : head;
    unsigned last = table_bucket_count(from) - 1;
    pos.bucket->tags[pos.slot] = from->tags[last];
    slot_set(pos.bucket, pos.slot, table_slot_get(from, last));
    from->meta--;
    if (second != NULL) chain_tidy(t, head, second);
}

static void chain_visit(const struct table_bucket *b, table_entry_fn *fn, void *ctx)
{
    for (; b != NULL; b = table_bucket_next(b))
        for (unsigned i = 0; i < table_bucket_count(b); i++) fn(ctx, table_slot_get(b, i));
}

static void chain_prefetch_entries(const struct table_bucket *b)
{
    for (; b != NULL; b = table_bucket_next(b))
        for (unsigned i = 0; i < table_bucket_count(b); i++) prefetch(table_slot_get(b, i));
}

static void *chain_nth(const struct table_bucket *b, size_t n)
{
    for (; b != NULL; b = table_bucket_next(b)) {
        if (n < table_bucket_count(b)) return table_slot_get(b, (unsigned)n);
        n -= table_bucket_count(b);
    }
    return NULL;
}

/* ---- The array of buckets ------------------------------------------------------------------------------------ */

static size_t segments_of(size_t buckets)
{
    return (buckets + TABLE_SEGMENT_BUCKETS - 1) >> TABLE_SEGMENT_SHIFT;
}

static void set_buckets(struct table *t, size_t buckets)
{
    t->buckets = buckets;
    while (t->mask < buckets) t->mask = 2 * t->mask + 1;
    while (t->mask >= 2 * buckets) t->mask >>= 1;
}

static struct table_bucket *segment_new(size_t buckets)
{
    size_t size = buckets * LINE;
    return mem_alloc_aligned(size == SEGMENT_BYTES ? PAGE : LINE, size);
}

static void first_segment_resize(struct table *t, size_t buckets)
{
    size_t capacity = mem_good_size(buckets * LINE) / LINE;
    if (capacity > TABLE_SEGMENT_BUCKETS) capacity = TABLE_SEGMENT_BUCKETS;
    if (capacity == t->first_capacity) return;
    struct table_bucket *resized = segment_new(capacity);
    memcpy(resized, t->first, t->buckets * LINE); /* at least the bucket of table_no_bucket */
    if (t->first_capacity > 0) mem_free(t->first);
    t->first = resized;
    t->first_capacity = (uint32_t)capacity;
}

static void segments_reserve(struct table *t, size_t count)
{
    if (count <= t->segment_capacity) return;
    size_t capacity = count < 8 ? 8 : count + count / 2;
    t->segments = mem_realloc(t->segments, capacity * sizeof(*t->segments));
    t->segment_capacity = (uint32_t)capacity;
}

/* Appends an empty bucket at index t->buckets. */
static void buckets_append(struct table *t)
{
    size_t index = t->buckets;
    if (index < TABLE_SEGMENT_BUCKETS) {
        if (index >= t->first_capacity) first_segment_resize(t, index + index / 4 + 1);
    } else if ((index & (TABLE_SEGMENT_BUCKETS - 1)) == 0) {
        size_t segment = index >> TABLE_SEGMENT_SHIFT;
        segments_reserve(t, segment + 1);
        t->segments[0] = t->first;
        t->segments[segment] = segment_new(TABLE_SEGMENT_BUCKETS);
    }
    set_buckets(t, index + 1);
    table_bucket_at(t, index)->meta = 0;
}

static void directory_free(struct table *t)
{
    mem_free(t->segments);
    t->segments = NULL;
    t->segment_capacity = 0;
}

/* Removes the last bucket. The caller has moved its chain. */
static void buckets_drop_last(struct table *t)
{
    size_t index = t->buckets - 1;
    if (index >= TABLE_SEGMENT_BUCKETS && (index & (TABLE_SEGMENT_BUCKETS - 1)) == 0)
        mem_free(t->segments[index >> TABLE_SEGMENT_SHIFT]);
    if (index == TABLE_SEGMENT_BUCKETS) directory_free(t);
    set_buckets(t, index);
    if (index < t->first_capacity / 2) first_segment_resize(t, index + index / 4);
}

/* Frees the buckets of a table without entries. */
static void buckets_clear(struct table *t)
{
    for (size_t i = 1; i < segments_of(t->buckets); i++) mem_free(t->segments[i]);
    directory_free(t);
    if (t->first_capacity > 0) mem_free(t->first);
    t->first = (struct table_bucket *)&table_no_bucket;
    t->first_capacity = 0;
    t->longest = TABLE_BUCKET_SLOTS;
    set_buckets(t, 1);
}

/* ---- Splits and merges --------------------------------------------------------------------------------------- */

/* The bucket to split next. */
static size_t split_index(const struct table *t)
{
    return t->buckets - ((t->mask >> 1) + 1);
}

static bool wants_split(const struct table *t)
{
    return t->count * TARGET_DEN > t->buckets * TARGET_NUM && t->count > TABLE_BUCKET_SLOTS && t->paused == 0;
}

static bool wants_merge(const struct table *t)
{
    return t->count * LOW_DEN < t->buckets * LOW_NUM && t->buckets > 1 && t->paused == 0 && t->shrink_paused == 0;
}

static void split_one(struct table *t)
{
    size_t from = split_index(t), to = t->buckets;
    buckets_append(t);
    struct table_bucket *head = table_bucket_at(t, from), *high = table_bucket_at(t, to), old = *head;
    head->meta = 0;
    for (struct table_bucket *b = &old, *next; b != NULL; b = next) {
        for (unsigned i = 0; i < table_bucket_count(b); i++) {
            void *entry = table_slot_get(b, i);
            size_t index = table_index(t, t->hash(t->hash_ctx, entry));
            ASSERT(index == from || index == to); /* else the hash differs from the one at its insert */
            chain_add(t, index == from ? head : high, b->tags[i], entry);
        }
        next = table_bucket_next(b);
        if (b != &old) chained_free(t, b);
    }
}

/* Prefetches, up to three inserts ahead, what the next split reads: the bucket, its chain, the entries. */
static void prefetch_split(const struct table *t)
{
    size_t inserts_left = (t->buckets * TARGET_NUM - t->count * TARGET_DEN) / TARGET_DEN;
    if (inserts_left > 3) return;
    const struct table_bucket *head = table_bucket_at(t, split_index(t));
    if (inserts_left == 3)
        prefetch(head);
    else if (inserts_left == 1)
        chain_prefetch_entries(head);
    else if (inserts_left == 2 && (head->meta & TABLE_META_CHAINED))
        prefetch(table_bucket_next(head));
}

static void merge_one(struct table *t)
{
    struct table_bucket old = *table_bucket_at(t, t->buckets - 1);
    buckets_drop_last(t);
    struct table_bucket *head = table_bucket_at(t, split_index(t));
    for (struct table_bucket *b = &old, *next; b != NULL; b = next) {
        for (unsigned i = 0; i < table_bucket_count(b); i++) chain_add(t, head, b->tags[i], table_slot_get(b, i));
        next = table_bucket_next(b);
        if (b != &old) chained_free(t, b);
    }
}

bool table_settle(struct table *t, size_t max_steps)
{
    for (; max_steps > 0; max_steps--) {
        if (t->count == 0 && t->paused == 0 && t->first != &table_no_bucket) buckets_clear(t);
        if (wants_split(t))
            split_one(t);
        else if (wants_merge(t))
            merge_one(t);
        else
            return true;
    }
    return !wants_split(t) && !wants_merge(t);
}

void table_reserve(struct table *t, size_t count)
{
    if (t->paused > 0 || count <= TABLE_BUCKET_SLOTS) return;
    if (t->first_capacity == 0) first_segment_resize(t, 1);
    while (t->buckets < count / TARGET_NUM * TARGET_DEN) split_one(t);
}

/* ---- Life and change ----------------------------------------------------------------------------------------- */

void table_init(struct table *t, table_hash_fn *hash, const void *ctx)
{
    *t = (struct table){.first = (struct table_bucket *)&table_no_bucket,
                        .buckets = 1,
                        .mask = 1,
                        .hash = hash,
                        .hash_ctx = ctx,
                        .longest = TABLE_BUCKET_SLOTS};
}

/* Passes all entries of the chain to fn and leaves an empty bucket. */
static void chain_release(struct table *t, struct table_bucket *head, table_entry_fn *fn, void *ctx)
{
    if (fn != NULL) {
        chain_prefetch_entries(head);
        chain_visit(head, fn, ctx);
    }
    t->count -= chain_length(head);
    for (struct table_bucket *b = table_bucket_next(head), *next; b != NULL; b = next) {
        next = table_bucket_next(b);
        chained_free(t, b);
    }
    head->meta = 0;
}

size_t table_release_some(struct table *t, size_t max_buckets, table_entry_fn *free_entry, void *ctx)
{
    for (; max_buckets > 0 && t->count > 0; max_buckets--) {
        chain_release(t, table_bucket_at(t, t->buckets - 1), free_entry, ctx);
        if (t->buckets > 1) buckets_drop_last(t);
    }
    if (t->count == 0) buckets_clear(t);
    return t->count;
}

void table_release(struct table *t, table_entry_fn *free_entry, void *ctx)
{
    (void)table_release_some(t, SIZE_MAX, free_entry, ctx); /* releases everything */
}

size_t table_memory(const struct table *t)
{
    size_t segments = segments_of(t->buckets);
    size_t array = segments > 1 ? segments * SEGMENT_BYTES : t->first_capacity * LINE;
    return array + t->segment_capacity * sizeof(*t->segments) + t->chained_bytes;
}

size_t table_entry_memory(const struct table *t, size_t samples, size_t (*size)(const void *entry))
{
    struct table_iter it;
    size_t bytes = 0, seen = 0;
    table_iter_init(&it, t);
    for (const void *entry; (samples == 0 || seen < samples) && (entry = table_iter_next(&it)) != NULL; seen++)
        bytes += size(entry);
    return seen == t->count ? bytes : (size_t)((double)bytes / (double)seen * (double)t->count);
}

void table_insert(struct table *t, uint64_t hash, void *entry)
{
    ASSERT((uintptr_t)entry >> 48 == 0);
    if (UNLIKELY(t->first_capacity == 0)) first_segment_resize(t, 1);
    chain_add(t, table_bucket_at(t, table_index(t, hash)), table_tag(hash), entry);
    t->count++;
    if (LIKELY(!wants_split(t))) {
        prefetch_split(t);
        return;
    }
    for (unsigned i = 0; i < STEPS_PER_CHANGE && wants_split(t); i++) split_one(t);
}

void *table_replace_at(struct table_pos pos, void *entry)
{
    ASSERT((uintptr_t)entry >> 48 == 0);
    void *old = table_slot_get(pos.bucket, pos.slot);
    slot_set(pos.bucket, pos.slot, entry);
    return old;
}

void *table_remove_at(struct table *t, uint64_t hash, struct table_pos pos)
{
    ASSERT(pos.slot < table_bucket_count(pos.bucket) && pos.bucket->tags[pos.slot] == table_tag(hash));
    void *entry = table_slot_get(pos.bucket, pos.slot);
    chain_remove(t, table_bucket_at(t, table_index(t, hash)), pos);
    t->count--;
    if (t->count == 0 && t->paused == 0) buckets_clear(t);
    for (unsigned i = 0; i < STEPS_PER_CHANGE && wants_merge(t); i++) merge_one(t);
    return entry;
}

bool table_locate(const struct table *t, uint64_t hash, const void *entry, struct table_pos *pos)
{
    struct table_probe p;
    table_probe_start(&p, t, hash);
    for (const void *e; (e = table_probe_next(&p)) != NULL;) {
        if (e != entry) continue;
        *pos = p.pos;
        return true;
    }
    return false;
}

bool table_remove(struct table *t, uint64_t hash, const void *entry)
{
    struct table_pos pos;
    if (!table_locate(t, hash, entry, &pos)) return false;
    table_remove_at(t, hash, pos);
    return true;
}

/* ---- Visiting ------------------------------------------------------------------------------------------------ */

static uint64_t reverse_bits(uint64_t v)
{
    v = ((v >> 1) & 0x5555555555555555u) | ((v & 0x5555555555555555u) << 1);
    v = ((v >> 2) & 0x3333333333333333u) | ((v & 0x3333333333333333u) << 2);
    v = ((v >> 4) & 0x0f0f0f0f0f0f0f0fu) | ((v & 0x0f0f0f0f0f0f0f0fu) << 4);
    return __builtin_bswap64(v);
}

/* A cursor position is a value of the low L bits of the hash. It covers bucket i, and bucket i + 2^L if i has been
 * split. The bits above L are set before the reversed increment, so that the carry enters at the highest of the L
 * bits. Then what has been passed at one L counts as passed at every other L. */
uint64_t table_scan(const struct table *t, uint64_t cursor, table_entry_fn *fn, void *ctx)
{
    size_t low = t->mask >> 1, index = cursor & low;
    chain_visit(table_bucket_at(t, index), fn, ctx);
    if (index + low + 1 < t->buckets) chain_visit(table_bucket_at(t, index + low + 1), fn, ctx);
    return reverse_bits(reverse_bits(cursor | ~(uint64_t)low) + 1);
}

/* Chained buckets come first and the head last, each from its last entry to its first. So the entry that fills the
 * hole after a removal has always been returned already. */
static void iter_enter(struct table_iter *it, struct table_bucket *b, struct table_bucket *head)
{
    it->bucket = b;
    it->slot = table_bucket_count(b);
    it->next = NULL;
    if (b == head) return;
    struct table_bucket *next = table_bucket_next(b);
    it->next = next != NULL ? next : head;
}

static void iter_enter_chain(struct table_iter *it)
{
    struct table_bucket *head = table_bucket_at(it->table, it->index), *second = table_bucket_next(head);
    iter_enter(it, second != NULL ? second : head, head);
}

void table_iter_init(struct table_iter *it, const struct table *t)
{
    *it = (struct table_iter){.table = t};
    iter_enter_chain(it);
}

void *table_iter_next(struct table_iter *it)
{
    while (it->slot == 0) {
        if (it->next != NULL) {
            iter_enter(it, it->next, table_bucket_at(it->table, it->index));
        } else {
            if (it->index + 1 >= it->table->buckets) return NULL;
            it->index++;
            iter_enter_chain(it);
        }
    }
    it->slot--;
    return table_slot_get(it->bucket, it->slot);
}

void table_walk(const struct table *t, size_t index, table_entry_fn *fn, void *ctx)
{
    ASSERT(index < t->buckets);
    chain_visit(table_bucket_at(t, index), fn, ctx);
}

/* With 2^L <= buckets < 2^(L+1): a part of up to L bits consists of whole chains, 2^bits apart. A part of more bits lies
 * in one chain, together with other entries. */
void table_part_init(struct table_part *p, const struct table *t, unsigned bits, uint64_t part)
{
    ASSERT(bits <= TABLE_PART_BITS_MAX && part >> bits == 0);
    size_t low = t->mask >> 1, all = ((size_t)1 << bits) - 1;
    *p = (struct table_part){.table = t, .part = part, .bits = bits, .filter = all > low};
    p->index = p->filter ? table_index(t, part) : part;
    p->step = p->filter ? t->buckets : all + 1;
}

struct part_filter {
    const struct table_part *part;
    table_entry_fn *fn;
    void *ctx;
};

static void visit_if_in_part(void *ctx, void *entry)
{
    const struct part_filter *f = ctx;
    const struct table *t = f->part->table;
    uint64_t all = ((uint64_t)1 << f->part->bits) - 1;
    if ((t->hash(t->hash_ctx, entry) & all) == f->part->part) f->fn(f->ctx, entry);
}

/* The chains of a part are far from each other in memory: buckets are loaded ahead, and entries after them. */
static void part_prefetch(const struct table_part *p)
{
    enum { BUCKETS_AHEAD = 6, ENTRIES_AHEAD = 2 };
    const struct table *t = p->table;
    size_t far = p->index + BUCKETS_AHEAD * p->step, near = p->index + ENTRIES_AHEAD * p->step;
    if (far < t->buckets) prefetch(table_bucket_at(t, far));
    if (near >= t->buckets) return;
    const struct table_bucket *b = table_bucket_at(t, near);
    for (unsigned i = 0; i < table_bucket_count(b); i++) prefetch(table_slot_get(b, i));
}

bool table_part_next(struct table_part *p, table_entry_fn *fn, void *ctx)
{
    const struct table *t = p->table;
    if (p->index >= t->buckets) return false;
    struct part_filter filter = {.part = p, .fn = fn, .ctx = ctx};
    if (p->filter) {
        chain_visit(table_bucket_at(t, p->index), visit_if_in_part, &filter);
    } else {
        part_prefetch(p);
        chain_visit(table_bucket_at(t, p->index), fn, ctx);
    }
    p->index += p->step;
    return true;
}

/* Treats every chain as if it had `longest` places, most of them vacant, and retries when it hits a vacant one: so
 * each entry has the same probability. The loads of one round of tries overlap. */
void *table_random(const struct table *t, struct rng *rng)
{
    enum { TRIES = 4 };
    const struct table_bucket *heads[TRIES];
    if (t->count == 0) return NULL;
    for (;;) {
        for (unsigned i = 0; i < TRIES; i++) {
            heads[i] = table_bucket_at(t, rng_below(rng, t->buckets));
            prefetch(heads[i]);
        }
        for (unsigned i = 0; i < TRIES; i++) {
            void *entry = chain_nth(heads[i], rng_below(rng, t->longest));
            if (entry != NULL) return entry;
        }
    }
}

/* Copies the entries of the chain with numbers from `from` up to, but not including, `to`. */
static size_t sample_chain(const struct table_bucket *b, size_t from, size_t to, void *out[], size_t room)
{
    size_t taken = 0, number = 0;
    for (; b != NULL && taken < room; b = table_bucket_next(b))
        for (unsigned i = 0; i < table_bucket_count(b) && taken < room; i++, number++)
            if (number >= from && number < to) out[taken++] = table_slot_get(b, i);
    return taken;
}

/* Starts inside the chain of a random bucket; otherwise the first entries of each chain would be preferred. */
size_t table_sample(const struct table *t, struct rng *rng, void *out[], size_t n)
{
    if (t->count == 0 || n == 0) return 0;
    size_t start = rng_below(rng, t->buckets), limit = n > SIZE_MAX / 8 ? SIZE_MAX : 4 * n + 16;
    const struct table_bucket *head = table_bucket_at(t, start);
    size_t length = chain_length(head), skipped = length > 1 ? rng_below(rng, length) : 0;
    size_t taken = sample_chain(head, skipped, SIZE_MAX, out, n), looked = 1;
    for (; taken < n && looked < t->buckets && looked < limit; looked++) {
        size_t index = start + looked;
        if (index >= t->buckets) index -= t->buckets;
        taken += sample_chain(table_bucket_at(t, index), 0, SIZE_MAX, out + taken, n - taken);
    }
    if (looked == t->buckets) taken += sample_chain(head, 0, skipped, out + taken, n - taken);
    return taken;
}

/* ---- Statistics and checks ------------------------------------------------------------------------------------ */

static void stats_add_chain(struct table_stats *stats, const struct table_bucket *head)
{
    size_t length = chain_length(head);
    for (const struct table_bucket *b = table_bucket_next(head); b != NULL; b = table_bucket_next(b)) {
        stats->chained_buckets++;
        stats->chained_entries += table_bucket_count(b);
    }
    if (head->meta & TABLE_META_CHAINED) stats->chains++;
    if (length > stats->longest) stats->longest = length;
    stats->lengths[length < TABLE_STATS_LENGTHS ? length : TABLE_STATS_LENGTHS - 1]++;
}

void table_get_stats(const struct table *t, struct table_stats *stats)
{
    *stats = (struct table_stats){.entries = t->count, .buckets = t->buckets};
    for (size_t i = 0; i < t->buckets; i++) stats_add_chain(stats, table_bucket_at(t, i));
}

static double percent(size_t part, size_t whole)
{
    return whole == 0 ? 0 : 100.0 * (double)part / (double)whole;
}

void table_stats_print(const struct table_stats *stats, struct bytes_buf *out)
{
    bytes_buf_printf(out, " table size: %zu\n number of elements: %zu\n", stats->buckets * TABLE_BUCKET_SLOTS,
                     stats->entries);
    bytes_buf_printf(out, " buckets: %zu\n different slots: %zu\n", stats->buckets, stats->buckets - stats->lengths[0]);
    bytes_buf_printf(out, " chained buckets: %zu (%.2f%% of all buckets have some)\n", stats->chained_buckets,
                     percent(stats->chains, stats->buckets));
    bytes_buf_printf(out, " elements in chained buckets: %zu (%.2f%%)\n", stats->chained_entries,
                     percent(stats->chained_entries, stats->entries));
    bytes_buf_printf(out, " max chain length: %zu\n avg chain length: %.2f\n Chain length distribution:\n",
                     stats->longest, (double)stats->entries / (double)stats->buckets);
    for (size_t i = 0; i < TABLE_STATS_LENGTHS; i++)
        if (stats->lengths[i] > 0)
            bytes_buf_printf(out, "   %zu%s: %zu (%.2f%%)\n", i, i == TABLE_STATS_LENGTHS - 1 ? " or more" : "",
                             stats->lengths[i], percent(stats->lengths[i], stats->buckets));
}

static void check_entries(const struct table *t, const struct table_bucket *b, size_t index)
{
    for (unsigned i = 0; i < table_bucket_count(b); i++) {
        uint64_t hash = t->hash(t->hash_ctx, table_slot_get(b, i));
        ASSERT(table_index(t, hash) == index);
        ASSERT(b->tags[i] == table_tag(hash));
    }
}

/* Adds the bytes of the chained buckets to *chained_bytes. */
static size_t check_chain(const struct table *t, size_t index, size_t *chained_bytes)
{
    const struct table_bucket *head = table_bucket_at(t, index);
    ASSERT(!(head->meta & TABLE_META_SMALL));
    size_t length = 0;
    for (const struct table_bucket *b = head, *next; b != NULL; b = next) {
        next = table_bucket_next(b);
        ASSERT(table_bucket_count(b) <= bucket_capacity(b));
        ASSERT(!(b->meta & TABLE_META_SMALL) || next == NULL);
        if (next != NULL && b != table_bucket_next(head)) ASSERT(bucket_full(b));
        if (b != head) {
            ASSERT(table_bucket_count(b) > 0);
            *chained_bytes += b->meta & TABLE_META_SMALL ? SMALL_BYTES : LINE;
        }
        check_entries(t, b, index);
        length += table_bucket_count(b);
    }
    ASSERT(length <= t->longest);
    return length;
}

void table_check(const struct table *t)
{
    ASSERT(t->buckets >= 1);
    ASSERT(t->mask >= t->buckets && t->mask < 2 * t->buckets && (t->mask & (t->mask + 1)) == 0);
    ASSERT((t->first_capacity == 0) == (t->first == &table_no_bucket));
    ASSERT(t->first_capacity > 0 || (t->count == 0 && t->buckets == 1));
    ASSERT(t->buckets <= TABLE_SEGMENT_BUCKETS || segments_of(t->buckets) <= t->segment_capacity);
    ASSERT(table_no_bucket.meta == 0);
    size_t count = 0, chained_bytes = 0;
    for (size_t i = 0; i < t->buckets; i++) count += check_chain(t, i, &chained_bytes);
    ASSERT(count == t->count);
    ASSERT(chained_bytes == t->chained_bytes);
}
