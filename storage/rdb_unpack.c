#include "storage/rdb_unpack.h"

#include <math.h>

#include "storage/base/assert.h"
#include "storage/base/checked.h"
#include "storage/base/memory.h"
#include "storage/base/num.h"
#include "storage/hash.h"
#include "storage/hash_expiry.h"
#include "storage/intset.h"
#include "storage/list.h"
#include "storage/listpack.h"
#include "storage/set.h"
#include "storage/ziplist.h"
#include "storage/zipmap.h"
#include "storage/zset.h"

const char RDB_EMPTY[] = "empty collection";
const char RDB_BAD_TIME[] = "with a time that is out of range";

/* Reasons, worded to follow the name of the packed form. */
static const char BAD[] = "integrity check failed";
static const char ODD_COUNT[] = "integrity check failed: a field or score is missing at the end";
static const char DUPLICATE[] = "with dup elements";
static const char BAD_SCORE[] = "with a score that is not a number";
static const char BAD_ORDER[] = "with fields that are not in the order of their times";

static unsigned char *copy_blob(struct bytes_view blob)
{
    unsigned char *copy = mem_alloc(blob.len);
    memcpy(copy, blob.data, blob.len);
    return copy;
}

/* ---- listpacks ---- */

struct packed {
    const unsigned char *lp;
    size_t count;   /* entries */
    size_t longest; /* bytes of the longest entry */
    bool oversized; /* larger than our listpacks may be: insert its entries one by one */
};

static bool measure_entry(void *ctx, const struct lp_value *v)
{
    struct packed *p = ctx;
    char buf[LP_INT_CHARS];
    size_t len = lp_value_view(v, buf).len;
    p->count++;
    if (len > p->longest) p->longest = len;
    return true;
}

static const char *open_listpack(struct bytes_view blob, struct packed *p)
{
    *p = (struct packed){.lp = (const unsigned char *)blob.data, .oversized = blob.len > LP_MAX_BYTES};
    return lp_validate(p->lp, blob.len, true, measure_entry, p) ? NULL : BAD;
}

static bool appears_before(const struct packed *p, const unsigned char *end, size_t stride, struct bytes_view value)
{
    char buf[LP_INT_CHARS];
    const unsigned char *at = lp_first(p->lp);
    while (at != end) {
        if (bytes_equal(lp_get_view(at, buf), value)) return true;
        for (size_t i = 0; i < stride; i++) at = lp_next(p->lp, at);
    }
    return false;
}

/* True if two of every stride-th entries are equal. Uses a small hash set of hashes, and compares entries when two
 * hashes are equal. */
static bool has_duplicates(const struct packed *p, size_t stride, const struct value_env *env)
{
    char buf[LP_INT_CHARS];
    bool found = false;
    size_t room = 16;
    while (room < 2 * (p->count / stride)) room *= 2;
    uint64_t *seen = mem_calloc(checked_size_mul(room, sizeof(*seen)));
    for (const unsigned char *at = lp_first(p->lp); at != NULL && !found;) {
        struct bytes_view value = lp_get_view(at, buf);
        uint64_t hash = value_hash(env, value) | 1; /* 0 marks a free slot */
        size_t i = hash >> 1 & (room - 1);
        for (; seen[i] != 0 && !found; i = (i + 1) & (room - 1)) {
            if (seen[i] == hash) found = appears_before(p, at, stride, value);
        }
        seen[i] = hash;
        for (size_t k = 0; k < stride && at != NULL; k++) at = lp_next(p->lp, at);
    }
    mem_free(seen);
    return found;
}

/* ---- hashes ---- */

/* With a stride of 3 each value is followed by its expiry, or 0. */
static const char *hash_by_inserting(const struct packed *p, size_t stride, const struct value_env *env, void **value)
{
    char bufs[2][LP_INT_CHARS];
    struct hash *h = hash_new(env);
    hash_reserve(h, p->count / stride, p->longest);
    for (const unsigned char *at = lp_first(p->lp); at != NULL; at = lp_next(p->lp, at)) {
        int64_t time = 0;
        struct bytes_view field = lp_get_view(at, bufs[0]);
        at = lp_next(p->lp, at);
        if (!hash_set(h, field, lp_get_view(at, bufs[1]))) {
            hash_free(h);
            return DUPLICATE;
        }
        if (stride == 3 && lp_get_int(at = lp_next(p->lp, at), &time) && time != 0) hash_set_time(h, field, time);
    }
    *value = h;
    return NULL;
}

static const char *unpack_hash_listpack(struct bytes_view blob, const struct value_env *env, void **value)
{
    struct packed p;
    const char *why = open_listpack(blob, &p);
    if (why != NULL) return why;
    if (p.count % 2 != 0) return ODD_COUNT;
    if (p.count == 0) return RDB_EMPTY;
    if (p.oversized || p.count / 2 > env->limits->hash_max_entries) return hash_by_inserting(&p, 2, env, value);
    if (has_duplicates(&p, 2, env)) return DUPLICATE;
    *value = hash_from_listpack(env, copy_blob(blob));
    return NULL;
}

static const char *check_field_times(const struct packed *p)
{
    int64_t before = 0;
    bool stays = false;
    for (const unsigned char *at = lp_first(p->lp); at != NULL; at = lp_next(p->lp, at)) {
        int64_t time;
        at = lp_next(p->lp, lp_next(p->lp, at));
        if (!lp_get_int(at, &time) || time < 0 || time > HASH_TIME_MAX) return RDB_BAD_TIME;
        if (stays ? time != 0 : time != 0 && time < before) return BAD_ORDER;
        stays = time == 0;
        before = time;
    }
    return NULL;
}

static const char *unpack_timed_hash_listpack(struct bytes_view blob, const struct value_env *env, void **value)
{
    struct packed p;
    const char *why = open_listpack(blob, &p);
    if (why != NULL) return why;
    if (p.count % 3 != 0) return ODD_COUNT;
    if (p.count == 0) return RDB_EMPTY;
    why = check_field_times(&p);
    if (why != NULL) return why;
    if (p.oversized || p.count / 3 > env->limits->hash_max_entries) return hash_by_inserting(&p, 3, env, value);
    if (has_duplicates(&p, 3, env)) return DUPLICATE;
    *value = hash_from_timed_listpack(env, copy_blob(blob));
    return NULL;
}

static const char *unpack_hash_ziplist(struct bytes_view blob, const struct value_env *env, void **value)
{
    struct ziplist_iter it;
    struct lp_value field, text;
    char bufs[2][LP_INT_CHARS];
    int rc = ziplist_open(&it, blob);
    if (rc != 0) return BAD;
    struct hash *h = hash_new(env);
    const char *why = NULL;
    while (why == NULL && (rc = ziplist_next(&it, &field)) == 1) {
        rc = ziplist_next(&it, &text);
        if (rc != 1) {
            why = rc == 0 ? ODD_COUNT : BAD;
        } else if (!hash_set(h, lp_value_view(&field, bufs[0]), lp_value_view(&text, bufs[1]))) {
            why = DUPLICATE;
        }
    }
    if (why == NULL) why = rc < 0 ? BAD : hash_count(h) == 0 ? RDB_EMPTY : NULL;
    if (why != NULL) {
        hash_free(h);
        return why;
    }
    *value = h;
    return NULL;
}

static const char *unpack_hash_zipmap(struct bytes_view blob, const struct value_env *env, void **value)
{
    struct zipmap_iter it;
    struct bytes_view field, text;
    int rc = zipmap_open(&it, blob);
    if (rc != 0) return BAD;
    struct hash *h = hash_new(env);
    const char *why = NULL;
    while (why == NULL && (rc = zipmap_next(&it, &field, &text)) == 1) {
        if (!hash_set(h, field, text)) why = DUPLICATE;
    }
    if (why == NULL && (rc < 0 || hash_count(h) == 0))
        why = BAD; /* an empty zipmap is an error, as in Redis, which
                                                                   * never wrote one */
    if (why != NULL) {
        hash_free(h);
        return why;
    }
    *value = h;
    return NULL;
}

/* ---- sorted sets ---- */

static bool read_score(const struct lp_value *v, double *score)
{
    if (v->is_int) *score = (double)v->num;
    return v->is_int || num_parse_double(v->str, score); /* num_parse_double() refuses NaN */
}

enum order { ORDER_SORTED, ORDER_REBUILD, ORDER_BAD_SCORE };

static enum order zset_order(const struct packed *p)
{
    char bufs[2][LP_INT_CHARS];
    struct bytes_view previous = {0};
    double previous_score = 0, score = 0;
    bool sorted = true;
    unsigned side = 0; /* two buffers in turn, since the previous member may lie in the other one */
    for (const unsigned char *at = lp_first(p->lp); at != NULL; side ^= 1) {
        struct bytes_view member = lp_get_view(at, bufs[side]);
        bool first = at == lp_first(p->lp);
        struct lp_value v = lp_get(at = lp_next(p->lp, at));
        if (!read_score(&v, &score)) return ORDER_BAD_SCORE;
        if (!first && (score < previous_score || (score == previous_score && bytes_compare(previous, member) >= 0)))
            sorted = false;
        if (score == 0 && signbit(score))
            sorted = false; /* zset_set() turns a -0 in a listpack into 0: do the same here */
        previous = member;
        previous_score = score;
        at = lp_next(p->lp, at);
    }
    return sorted ? ORDER_SORTED : ORDER_REBUILD;
}

static const char *zset_by_inserting(const struct packed *p, const struct value_env *env, void **value)
{
    char buf[LP_INT_CHARS];
    struct zset *z = zset_new(env, p->count / 2, p->longest);
    for (const unsigned char *at = lp_first(p->lp); at != NULL;) {
        double score = 0;
        struct bytes_view member = lp_get_view(at, buf);
        struct lp_value v = lp_get(at = lp_next(p->lp, at));
        bool good = read_score(&v, &score);
        ASSERT(good); /* zset_order() has parsed all scores */
        if (zset_set(z, member, score) != ZSET_ADDED) {
            zset_free(z);
            return DUPLICATE;
        }
        at = lp_next(p->lp, at);
    }
    *value = z;
    return NULL;
}

static const char *unpack_zset_listpack(struct bytes_view blob, const struct value_env *env, void **value)
{
    struct packed p;
    const char *why = open_listpack(blob, &p);
    if (why != NULL) return why;
    if (p.count % 2 != 0) return ODD_COUNT;
    if (p.count == 0) return RDB_EMPTY;
    enum order order = zset_order(&p);
    if (order == ORDER_BAD_SCORE) return BAD_SCORE;
    bool large = p.oversized || p.count / 2 > env->limits->zset_max_entries;
    if (large || order == ORDER_REBUILD) return zset_by_inserting(&p, env, value);
    if (has_duplicates(&p, 2, env)) return DUPLICATE;
    *value = zset_from_listpack(env, copy_blob(blob));
    return NULL;
}

static const char *unpack_zset_ziplist(struct bytes_view blob, const struct value_env *env, void **value)
{
    struct ziplist_iter it;
    struct lp_value member, number;
    char buf[LP_INT_CHARS];
    double score;
    int rc = ziplist_open(&it, blob);
    if (rc != 0) return BAD;
    struct zset *z = zset_new(env, 0, 0);
    const char *why = NULL;
    while (why == NULL && (rc = ziplist_next(&it, &member)) == 1) {
        rc = ziplist_next(&it, &number);
        if (rc != 1) {
            why = rc == 0 ? ODD_COUNT : BAD;
        } else if (!read_score(&number, &score)) {
            why = BAD_SCORE;
        } else if (zset_set(z, lp_value_view(&member, buf), score) != ZSET_ADDED) {
            why = DUPLICATE;
        }
    }
    if (why == NULL) why = rc < 0 ? BAD : zset_count(z) == 0 ? RDB_EMPTY : NULL;
    if (why != NULL) {
        zset_free(z);
        return why;
    }
    *value = z;
    return NULL;
}

/* ---- sets ---- */

static const char *set_by_inserting(const struct packed *p, const struct value_env *env, void **value)
{
    char buf[LP_INT_CHARS];
    const unsigned char *at = lp_first(p->lp);
    struct set *s = set_new(env, lp_get_view(at, buf), p->count);
    for (; at != NULL; at = lp_next(p->lp, at)) {
        if (set_add(s, lp_get_view(at, buf))) continue;
        set_free(s);
        return DUPLICATE;
    }
    *value = s;
    return NULL;
}

static const char *unpack_set_listpack(struct bytes_view blob, const struct value_env *env, void **value)
{
    struct packed p;
    const char *why = open_listpack(blob, &p);
    if (why != NULL) return why;
    if (p.count == 0) return RDB_EMPTY;
    if (p.oversized || p.count > env->limits->set_max_listpack_entries) return set_by_inserting(&p, env, value);
    if (has_duplicates(&p, 1, env)) return DUPLICATE;
    *value = set_from_blob(env, ENCODING_LISTPACK, copy_blob(blob), blob.len);
    return NULL;
}

static const char *unpack_intset(struct bytes_view blob, const struct value_env *env, void **value)
{
    static const unsigned char no_elements[4];
    if (blob.len == INTSET_HEADER_SIZE && memcmp(blob.data + 4, no_elements, 4) == 0) return RDB_EMPTY;
    if (!intset_validate((const unsigned char *)blob.data, blob.len, true)) return BAD;
    *value = set_from_blob(env, ENCODING_INTSET, copy_blob(blob), blob.len);
    return NULL;
}

/* ---- lists ---- */

const char *rdb_unpack_ziplist_node(struct list *l, struct bytes_view blob)
{
    struct ziplist_iter it;
    struct lp_value element;
    char buf[LP_INT_CHARS];
    int rc = ziplist_open(&it, blob);
    if (rc != 0) return BAD;
    while ((rc = ziplist_next(&it, &element)) == 1) list_push(l, LIST_TAIL, lp_value_view(&element, buf));
    return rc < 0 ? BAD : NULL;
}

static const char *unpack_list_ziplist(struct bytes_view blob, const struct value_env *env, void **value)
{
    struct list *l = list_new(env);
    const char *why = rdb_unpack_ziplist_node(l, blob);
    if (why == NULL && list_count(l) == 0) why = RDB_EMPTY;
    if (why != NULL) {
        list_free(l);
        return why;
    }
    *value = l;
    return NULL;
}

/* Redis 7.0 stores an element of a little less than 2^30 bytes in a listpack, which then exceeds our limit. */
static void push_entries(struct list *l, const struct packed *p)
{
    char buf[LP_INT_CHARS];
    for (const unsigned char *at = lp_first(p->lp); at != NULL; at = lp_next(p->lp, at))
        list_push(l, LIST_TAIL, lp_get_view(at, buf));
}

const char *rdb_unpack_listpack_node(struct list *l, struct bytes_view blob)
{
    struct packed p;
    const char *why = open_listpack(blob, &p);
    if (why != NULL || p.count == 0) return why;
    if (p.oversized)
        push_entries(l, &p);
    else
        list_append_node(l, copy_blob(blob), blob.len, false);
    return NULL;
}

const char *rdb_unpack_plain_node(struct list *l, struct bytes_view element)
{
    if (element.len == 0) return "with an empty plain node"; /* no version writes one, and Redis refuses it */
    list_push(l, LIST_TAIL, element);
    return NULL;
}

const char *rdb_packed_name(enum rdb_type type)
{
    switch (type) {
    case RDB_TYPE_HASH_ZIPMAP: return "Zipmap";
    case RDB_TYPE_LIST_ZIPLIST: return "List ziplist";
    case RDB_TYPE_SET_INTSET: return "Intset";
    case RDB_TYPE_ZSET_ZIPLIST: return "Zset ziplist";
    case RDB_TYPE_HASH_ZIPLIST: return "Hash ziplist";
    case RDB_TYPE_LIST_QUICKLIST: return "Quicklist ziplist";
    case RDB_TYPE_HASH_LISTPACK: return "Hash listpack";
    case RDB_TYPE_HASH_LISTPACK_TTL_PRE_GA:
    case RDB_TYPE_HASH_LISTPACK_TTL: return "Hash listpackex";
    case RDB_TYPE_ZSET_LISTPACK: return "Zset listpack";
    case RDB_TYPE_LIST_QUICKLIST_2: return "Quicklist listpack";
    case RDB_TYPE_SET_LISTPACK: return "Set listpack";
    default: return "Value";
    }
}

const char *rdb_unpack(enum rdb_type type, struct bytes_view blob, const struct value_env *env, void **value)
{
    switch (type) {
    case RDB_TYPE_HASH_ZIPMAP: return unpack_hash_zipmap(blob, env, value);
    case RDB_TYPE_LIST_ZIPLIST: return unpack_list_ziplist(blob, env, value);
    case RDB_TYPE_SET_INTSET: return unpack_intset(blob, env, value);
    case RDB_TYPE_ZSET_ZIPLIST: return unpack_zset_ziplist(blob, env, value);
    case RDB_TYPE_HASH_ZIPLIST: return unpack_hash_ziplist(blob, env, value);
    case RDB_TYPE_HASH_LISTPACK: return unpack_hash_listpack(blob, env, value);
    case RDB_TYPE_HASH_LISTPACK_TTL_PRE_GA:
    case RDB_TYPE_HASH_LISTPACK_TTL: return unpack_timed_hash_listpack(blob, env, value);
    case RDB_TYPE_ZSET_LISTPACK: return unpack_zset_listpack(blob, env, value);
    case RDB_TYPE_SET_LISTPACK: return unpack_set_listpack(blob, env, value);
    default: UNREACHABLE(); /* the reader passes no other type */
    }
}
