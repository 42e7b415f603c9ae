#include "storage/zset.h"

#include "storage/base/prefetch.h"
#include "storage/base/assert.h"
#include "storage/base/memory.h"
#include "storage/base/num.h"
#include "storage/listpack.h"
#include "storage/zset_tree.h"

/* The encoding for many members. Each member is in both structures. */
struct zset_index {
    struct table members; /* by member bytes; owns the members */
    struct zset_tree order;
};

struct zset {
    const struct value_env *env;
    unsigned char *lp;        /* member, score, member, score ... in order; NULL: see `index` */
    struct zset_index *index; /* used when lp is NULL */
};

/* A member and its score, in either encoding. */
struct element {
    struct bytes_view member;
    double score;
};

static struct element element_of(const struct zset_member *m)
{
    return (struct element){zset_member_bytes(m), m->score};
}

static int compare_elements(const struct element *a, const struct element *b)
{
    if (a->score != b->score) return a->score < b->score ? -1 : 1;
    return bytes_compare(a->member, b->member);
}

/* ---- listpack ---- */

/* Stores integral scores as integers, as Redis does; so -0 becomes 0. */
static unsigned char *lp_insert_score(unsigned char *lp, unsigned char *member, double score)
{
    const double limit = (double)((int64_t)1 << 62);
    if (score >= -limit && score <= limit && score == (double)(int64_t)score)
        return lp_insert_int(lp, member, LP_AFTER, (int64_t)score, NULL);
    char text[NUM_DOUBLE_MAX_CHARS];
    return lp_insert(lp, member, LP_AFTER, bytes_view(text, num_format_double(text, score)), NULL);
}

static double lp_score(const unsigned char *p)
{
    struct lp_value v = lp_get(p);
    double score = 0;
    if (v.is_int) return (double)v.num;
    if (!num_parse_double(v.str, &score)) return 0; /* validated when the listpack was loaded */
    return score;
}

static struct element lp_element(const unsigned char *lp, const unsigned char *p, struct number_text *buf)
{
    return (struct element){lp_get_view(p, buf->text), lp_score(lp_next(lp, p))};
}

static unsigned char *lp_next_member(const unsigned char *lp, const unsigned char *p)
{
    return lp_next(lp, lp_next(lp, p));
}

static unsigned char *lp_prev_member(const unsigned char *lp, const unsigned char *p)
{
    unsigned char *score = lp_prev(lp, p);
    return score != NULL ? lp_prev(lp, score) : NULL;
}

static unsigned char *lp_find_member(const unsigned char *lp, struct bytes_view member)
{
    return lp_find(lp, lp_first(lp), member, 1);
}

/* Counts the members below `bound` (with `inclusive`: up to it) in the order of `compare`. */
static size_t lp_rank(const unsigned char *lp, const struct element *bound, bool inclusive,
                      int (*compare)(const struct element *, const struct element *))
{
    struct number_text buf;
    size_t rank = 0;
    for (const unsigned char *p = lp_first(lp); p != NULL; p = lp_next_member(lp, p), rank++) {
        struct element e = lp_element(lp, p, &buf);
        if (compare(&e, bound) >= inclusive) break;
    }
    return rank;
}

static unsigned char *lp_add(unsigned char *lp, const struct element *e)
{
    unsigned char *p = lp_seek(lp, (int64_t)lp_rank(lp, e, false, compare_elements) * 2), *at;
    if (p != NULL) {
        lp = lp_insert(lp, p, LP_BEFORE, e->member, &at);
    } else {
        lp = lp_append(lp, e->member);
        at = lp_last(lp);
    }
    return lp_insert_score(lp, at, e->score);
}

static unsigned char *lp_remove_member(unsigned char *lp, unsigned char *p)
{
    return lp_delete_range_at(lp, &p, 2);
}

/* ---- index ---- */

static uint64_t hash_member(const void *env, const void *member)
{
    return value_hash(env, zset_member_bytes(member));
}

static struct zset_index *index_new(const struct value_env *env, size_t size_hint)
{
    enum { RESERVE_MAX = 1 << 16 }; /* a hint may come from a file */
    struct zset_index *x = mem_alloc(sizeof(*x));
    table_init(&x->members, hash_member, env);
    zset_tree_init(&x->order);
    table_reserve(&x->members, size_hint < RESERVE_MAX ? size_hint : RESERVE_MAX);
    return x;
}

static void free_member(void *ctx, void *member)
{
    zset_member_free(member);
}

static void index_free(struct zset_index *x)
{
    zset_tree_release(&x->order);
    table_release(&x->members, free_member, NULL);
    mem_free_sized(x, sizeof(*x));
}

/* The member must not exist. */
static void index_add(struct zset_index *x, uint64_t hash, const struct element *e)
{
    struct zset_member *m = zset_member_new(e->member, e->score);
    table_insert(&x->members, hash, m);
    zset_tree_insert(&x->order, m);
}

static struct zset_member *index_find(const struct zset_index *x, uint64_t hash, struct bytes_view member,
                                      struct table_pos *pos)
{
    struct table_probe probe;
    struct zset_member *m;
    table_probe_start(&probe, &x->members, hash);
    while ((m = table_probe_next(&probe)) != NULL)
        if (bytes_equal(zset_member_bytes(m), member)) break;
    *pos = probe.pos;
    return m;
}

static struct zset_member *find(const struct zset *z, struct bytes_view member)
{
    struct table_pos unused;
    return index_find(z->index, value_hash(z->env, member), member, &unused);
}

/* ---- encoding ---- */

static void convert_to_index(struct zset *z, size_t size_hint)
{
    struct zset_index *x = index_new(z->env, size_hint);
    struct number_text buf;
    for (const unsigned char *p = lp_first(z->lp); p != NULL; p = lp_next_member(z->lp, p)) {
        struct element e = lp_element(z->lp, p, &buf);
        index_add(x, value_hash(z->env, e.member), &e);
    }
    lp_free(z->lp);
    z->lp = NULL;
    z->index = x;
}

static bool fits_listpack(const struct value_env *env, size_t count, size_t longest)
{
    return count <= env->limits->zset_max_entries && longest <= env->limits->zset_max_value;
}

/* ---- life ---- */

static struct zset *zset_alloc(const struct value_env *env, unsigned char *lp, struct zset_index *x)
{
    struct zset *z = mem_alloc(sizeof(*z));
    *z = (struct zset){.env = env, .lp = lp, .index = x};
    return z;
}

struct zset *zset_new(const struct value_env *env, size_t size_hint, size_t longest_member_hint)
{
    if (fits_listpack(env, size_hint, longest_member_hint)) return zset_alloc(env, lp_new(0), NULL);
    return zset_alloc(env, NULL, index_new(env, size_hint));
}

struct zset *zset_new_table(const struct value_env *env, size_t size_hint)
{
    return zset_alloc(env, NULL, index_new(env, size_hint));
}

void zset_free(struct zset *z)
{
    if (z->lp != NULL)
        lp_free(z->lp);
    else
        index_free(z->index);
    mem_free_sized(z, sizeof(*z));
}

struct zset *zset_dup(const struct zset *z)
{
    if (z->lp != NULL) return zset_alloc(z->env, lp_copy(z->lp), NULL);
    struct zset_index *x = index_new(z->env, zset_count(z));
    for (struct zset_pos pos = zset_tree_first(&z->index->order); pos.leaf != NULL; zset_tree_next(&pos)) {
        struct element e = element_of(zset_tree_get(pos));
        index_add(x, value_hash(z->env, e.member), &e);
    }
    return zset_alloc(z->env, NULL, x);
}

/* Returns the members as a listpack, or NULL if a limit forbids it. */
static unsigned char *listpack_of(const struct zset *z)
{
    unsigned char *lp = lp_new(0);
    for (struct zset_pos pos = zset_tree_first(&z->index->order); pos.leaf != NULL; zset_tree_next(&pos)) {
        struct element e = element_of(zset_tree_get(pos));
        if (!fits_listpack(z->env, 0, e.member.len) || !lp_safe_to_add(lp, e.member.len + NUM_DOUBLE_MAX_CHARS)) {
            lp_free(lp);
            return NULL;
        }
        lp = lp_append(lp, e.member);
        lp = lp_insert_score(lp, lp_last(lp), e.score);
    }
    return lp;
}

void zset_compact(struct zset *z)
{
    if (z->lp != NULL || !fits_listpack(z->env, zset_count(z), 0)) return;
    z->lp = listpack_of(z);
    if (z->lp == NULL) return;
    index_free(z->index);
    z->index = NULL;
}

size_t zset_count(const struct zset *z)
{
    return z->lp != NULL ? lp_count(z->lp) / 2 : z->index->order.count;
}

enum value_encoding zset_encoding(const struct zset *z)
{
    return z->lp != NULL ? ENCODING_LISTPACK : ENCODING_SKIPLIST;
}

static size_t members_memory(const struct zset *z, size_t samples)
{
    size_t looked = 0, bytes = 0, count = zset_count(z);
    struct zset_pos pos = zset_tree_first(&z->index->order);
    for (; pos.leaf != NULL && (samples == 0 || looked < samples); zset_tree_next(&pos), looked++)
        bytes += mem_usable_size(zset_tree_get(pos));
    return looked < count ? (size_t)((double)bytes / (double)looked * (double)count) : bytes;
}

size_t zset_memory(const struct zset *z, size_t samples)
{
    size_t own = mem_usable_size(z);
    if (z->lp != NULL) return own + mem_usable_size(z->lp);
    return own + mem_usable_size(z->index) + table_memory(&z->index->members) + zset_tree_memory(&z->index->order) +
           members_memory(z, samples);
}

size_t zset_free_effort(const struct zset *z)
{
    return z->lp != NULL ? 1 : zset_count(z);
}

/* ---- single members ---- */

bool zset_score(const struct zset *z, struct bytes_view member, double *score)
{
    if (z->lp != NULL) {
        const unsigned char *p = lp_find_member(z->lp, member);
        if (p == NULL) return false;
        *score = lp_score(lp_next(z->lp, p));
        return true;
    }
    const struct zset_member *m = find(z, member);
    if (m == NULL) return false;
    *score = m->score;
    return true;
}

/* False, with nothing changed: one more member would exceed the limits of a listpack. */
static bool set_in_listpack(struct zset *z, const struct element *e, enum zset_outcome *outcome)
{
    unsigned char *p = lp_find_member(z->lp, e->member);
    if (p != NULL) {
        *outcome = ZSET_UNCHANGED;
        if (lp_score(lp_next(z->lp, p)) == e->score) return true;
        z->lp = lp_remove_member(z->lp, p);
        *outcome = ZSET_UPDATED;
    } else {
        *outcome = ZSET_ADDED;
        if (!fits_listpack(z->env, zset_count(z) + 1, e->member.len)) return false;
        if (!lp_safe_to_add(z->lp, e->member.len + NUM_DOUBLE_MAX_CHARS)) return false;
    }
    z->lp = lp_add(z->lp, e);
    return true;
}

static enum zset_outcome set_in_index(struct zset *z, const struct element *e)
{
    struct table_pos unused;
    uint64_t hash = value_hash(z->env, e->member);
    struct zset_member *m = index_find(z->index, hash, e->member, &unused);
    if (m == NULL) {
        index_add(z->index, hash, e);
        return ZSET_ADDED;
    }
    if (m->score == e->score) return ZSET_UNCHANGED;
    zset_tree_update(&z->index->order, m, e->score);
    return ZSET_UPDATED;
}

enum zset_outcome zset_set(struct zset *z, struct bytes_view member, double score)
{
    struct element e = {member, score};
    enum zset_outcome outcome;
    if (z->lp != NULL) {
        if (set_in_listpack(z, &e, &outcome)) return outcome;
        convert_to_index(z, 0);
    }
    return set_in_index(z, &e);
}

bool zset_remove(struct zset *z, struct bytes_view member)
{
    if (z->lp != NULL) {
        unsigned char *p = lp_find_member(z->lp, member);
        if (p != NULL) z->lp = lp_remove_member(z->lp, p);
        return p != NULL;
    }
    struct table_pos pos;
    uint64_t hash = value_hash(z->env, member);
    struct zset_member *m = index_find(z->index, hash, member, &pos);
    if (m == NULL) return false;
    table_remove_at(&z->index->members, hash, pos);
    zset_tree_remove(&z->index->order, m);
    zset_member_free(m);
    return true;
}

void zset_prefetch(const struct zset *z, struct bytes_view member)
{
    if (z->lp != NULL)
        prefetch(z->lp);
    else
        table_prefetch_bucket(&z->index->members, value_hash(z->env, member));
}

void zset_prefetch_member(const struct zset *z, struct bytes_view member)
{
    if (z->lp == NULL) table_prefetch_entries(&z->index->members, value_hash(z->env, member));
}

bool zset_rank(const struct zset *z, struct bytes_view member, size_t *rank, double *score)
{
    if (z->lp != NULL) {
        *rank = 0;
        for (const unsigned char *p = lp_first(z->lp); p != NULL; p = lp_next_member(z->lp, p), ++*rank) {
            if (!lp_compare(p, member)) continue;
            *score = lp_score(lp_next(z->lp, p));
            return true;
        }
        return false;
    }
    const struct zset_member *m = find(z, member);
    if (m == NULL) return false;
    struct zset_key key = {.bits = zset_score_bits(m->score), .member = member};
    *rank = zset_tree_rank(&z->index->order, &key, false);
    *score = m->score;
    return true;
}

/* ---- ranges ---- */

static int compare_scores(const struct element *a, const struct element *b)
{
    return (a->score > b->score) - (a->score < b->score);
}

static int compare_members(const struct element *a, const struct element *b)
{
    return bytes_compare(a->member, b->member);
}

size_t zset_rank_of_score(const struct zset *z, double bound, bool inclusive)
{
    struct element e = {.score = bound};
    if (z->lp != NULL) return lp_rank(z->lp, &e, inclusive, compare_scores);
    /* The empty member is the least of its score. Adding 1 to the score's bits gives the next score up, also for
     * infinity. */
    struct zset_key key = {.bits = zset_score_bits(bound) + inclusive, .member = BYTES_LIT("")};
    return zset_tree_rank(&z->index->order, &key, false);
}

size_t zset_rank_of_lex(const struct zset *z, struct bytes_view bound, bool inclusive)
{
    struct element e = {.member = bound};
    if (z->lp != NULL) return lp_rank(z->lp, &e, inclusive, compare_members);
    if (zset_count(z) == 0) return 0;
    const struct zset_member *least = zset_tree_get(zset_tree_first(&z->index->order));
    struct zset_key key = {.bits = zset_score_bits(least->score), .member = bound};
    return zset_tree_rank(&z->index->order, &key, inclusive);
}

static void forget_member(void *ctx, struct zset_member *m)
{
    struct zset *z = ctx;
    bool found = table_remove(&z->index->members, value_hash(z->env, zset_member_bytes(m)), m);
    ASSERT(found);
    zset_member_free(m);
}

size_t zset_remove_range(struct zset *z, size_t first_rank, size_t count)
{
    size_t all = zset_count(z);
    if (first_rank >= all) return 0;
    if (count > all - first_rank) count = all - first_rank;
    if (z->lp != NULL) {
        z->lp = lp_delete_range(z->lp, (int64_t)first_rank * 2, count * 2);
        return count;
    }
    for (size_t left = count; left > 0;)
        left -= zset_tree_remove_run(&z->index->order, first_rank, left, forget_member, z);
    return count;
}

/* ---- iteration ---- */

void zset_iter_init(struct zset_iter *it, const struct zset *z, size_t rank, bool reverse)
{
    it->zset = z;
    it->reverse = reverse;
    it->leaf = NULL;
    it->lp = NULL;
    if (rank >= zset_count(z)) return;
    if (z->lp != NULL) {
        it->lp = lp_seek(z->lp, (int64_t)rank * 2);
        return;
    }
    struct zset_pos pos = zset_tree_at(&z->index->order, rank);
    it->leaf = pos.leaf;
    it->slot = pos.slot;
}

static void iter_next_in_listpack(struct zset_iter *it, struct element *e)
{
    const unsigned char *lp = it->zset->lp;
    *e = lp_element(lp, it->lp, &it->buf);
    it->lp = it->reverse ? lp_prev_member(lp, it->lp) : lp_next_member(lp, it->lp);
}

static void iter_next_in_tree(struct zset_iter *it, struct element *e)
{
    struct zset_pos pos = {.leaf = it->leaf, .slot = it->slot};
    *e = element_of(zset_tree_get(pos));
    if (it->reverse)
        zset_tree_prev(&pos);
    else
        zset_tree_next(&pos);
    it->leaf = pos.leaf;
    it->slot = pos.slot;
}

bool zset_iter_next(struct zset_iter *it, struct bytes_view *member, double *score)
{
    struct element e;
    if (it->lp != NULL)
        iter_next_in_listpack(it, &e);
    else if (it->leaf != NULL)
        iter_next_in_tree(it, &e);
    else
        return false;
    *member = e.member;
    *score = e.score;
    return true;
}

void zset_random(const struct zset *z, struct number_text *buf, struct bytes_view *member, double *score)
{
    size_t rank = rng_below(z->env->rng, zset_count(z));
    struct element e = z->lp != NULL ? lp_element(z->lp, lp_seek(z->lp, (int64_t)rank * 2), buf)
                                     : element_of(zset_tree_get(zset_tree_at(&z->index->order, rank)));
    *member = e.member;
    *score = e.score;
}

struct scan {
    void (*fn)(void *ctx, struct bytes_view member, double score);
    void *ctx;
};

static void scan_member(void *ctx, void *member)
{
    const struct scan *scan = ctx;
    const struct zset_member *m = member;
    scan->fn(scan->ctx, zset_member_bytes(m), m->score);
}

uint64_t zset_scan(const struct zset *z, uint64_t cursor, void (*fn)(void *ctx, struct bytes_view member, double score),
                   void *ctx)
{
    struct scan scan = {fn, ctx};
    if (z->lp == NULL) return table_scan(&z->index->members, cursor, scan_member, &scan);
    struct zset_iter it;
    struct bytes_view member;
    double score;
    for (zset_iter_init(&it, z, 0, false); zset_iter_next(&it, &member, &score);) fn(ctx, member, score);
    return 0;
}

/* ---- RDB ---- */

struct bytes_view zset_blob(const struct zset *z)
{
    return z->lp != NULL ? bytes_view(z->lp, lp_bytes(z->lp)) : bytes_view("", 0);
}

struct zset *zset_from_listpack(const struct value_env *env, unsigned char *lp)
{
    struct zset *z = zset_alloc(env, lp, NULL);
    struct number_text buf;
    size_t longest = 0, count = 0;
    for (const unsigned char *p = lp_first(lp); p != NULL; p = lp_next_member(lp, p), count++) {
        size_t len = lp_get_view(p, buf.text).len;
        if (len > longest) longest = len;
    }
    if (!fits_listpack(env, count, longest)) convert_to_index(z, count);
    return z;
}

/* ---- checks ---- */

static void check_listpack(const struct zset *z)
{
    struct number_text bufs[2];
    struct element before;
    unsigned turn = 0;
    ASSERT(z->index == NULL && lp_validate(z->lp, lp_bytes(z->lp), true, NULL, NULL) && lp_count(z->lp) % 2 == 0);
    for (const unsigned char *p = lp_first(z->lp); p != NULL; p = lp_next_member(z->lp, p)) {
        struct element e = lp_element(z->lp, p, &bufs[turn]);
        ASSERT(p == lp_first(z->lp) || compare_elements(&before, &e) < 0);
        before = e;
        turn ^= 1;
    }
}

const struct table *zset_table(const struct zset *z)
{
    return z->index != NULL ? &z->index->members : NULL;
}

struct bytes_view zset_table_member(const void *entry, double *score)
{
    struct element e = element_of(entry);
    *score = e.score;
    return e.member;
}

void zset_check(const struct zset *z)
{
    if (z->lp != NULL) {
        check_listpack(z);
        return;
    }
    const struct zset_index *x = z->index;
    zset_tree_check(&x->order);
    table_check(&x->members);
    ASSERT(table_count(&x->members) == x->order.count);
    for (struct zset_pos pos = zset_tree_first(&x->order); pos.leaf != NULL; zset_tree_next(&pos)) {
        const struct zset_member *m = zset_tree_get(pos);
        ASSERT(find(z, zset_member_bytes(m)) == m);
    }
}
