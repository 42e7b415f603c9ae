#include "storage/hash.h"

#include "storage/base/assert.h"
#include "storage/base/checked.h"
#include "storage/base/memory.h"
#include "storage/hash_internal.h"
#include "storage/listpack.h"
#include "storage/hash_item.h"

/* ---- Items of the table --------------------------------------------------------------------------------------- */

static uint64_t item_hash(const void *env, const void *item)
{
    return value_hash(env, item_view(item).field);
}

char *hash_item_find(const struct hash *h, uint64_t hash, struct bytes_view field, struct table_pos *pos)
{
    struct table_probe p;
    table_probe_start(&p, h->table, hash);
    for (char *item; (item = table_probe_next(&p)) != NULL;) {
        if (!bytes_equal(item_view(item).field, field)) continue;
        *pos = p.pos;
        return item;
    }
    return NULL;
}

static bool table_get(const struct hash *h, struct bytes_view field, struct bytes_view *value)
{
    struct table_pos pos;
    const char *item = hash_item_find(h, value_hash(h->env, field), field, &pos);
    if (item == NULL) return false;
    *value = item_view(item).value;
    return true;
}

/* Sets a new value and removes the expiry of the field. */
static void table_overwrite_timed(struct hash *h, struct table_pos pos, char *item, struct bytes_view value)
{
    table_replace_at(pos, item_new(item_view(item).field, value, false));
    hash_item_untimed(h, item);
    item_free(NULL, item);
    hash_timing_refresh(h);
}

static void table_change_value(struct hash *h, struct table_pos pos, char *item, struct bytes_view value)
{
    char *changed = item_set_value(item, value);
    if (changed == item) return;
    table_replace_at(pos, changed);
    if (item_expires(changed)) time_heap_moved(&h->timing->fields, item_slot(changed), changed);
}

static bool table_put(struct hash *h, struct bytes_view field, struct bytes_view value, bool keep_time)
{
    struct table_pos pos;
    uint64_t hash = value_hash(h->env, field);
    char *item = hash_item_find(h, hash, field, &pos);
    if (item == NULL) {
        table_insert(h->table, hash, item_new(field, value, false));
        return true;
    }
    if (UNLIKELY(item_expires(item)) && !keep_time)
        table_overwrite_timed(h, pos, item, value);
    else
        table_change_value(h, pos, item, value);
    return false;
}

static bool table_take_out(struct hash *h, struct bytes_view field)
{
    struct table_pos pos;
    uint64_t hash = value_hash(h->env, field);
    char *item = hash_item_find(h, hash, field, &pos);
    if (item == NULL) return false;
    table_remove_at(h->table, hash, pos);
    bool expires = item_expires(item);
    if (UNLIKELY(expires)) hash_item_untimed(h, item);
    item_free(NULL, item);
    if (UNLIKELY(expires)) hash_timing_refresh(h);
    return true;
}

/* ---- Life and encoding --------------------------------------------------------------------------------------- */

static struct hash *hash_alloc(const struct value_env *env, enum value_encoding encoding)
{
    struct hash *h = mem_alloc(sizeof(*h));
    h->env = env;
    h->timing = NULL;
    h->encoding = encoding;
    return h;
}

struct hash *hash_new(const struct value_env *env)
{
    struct hash *h = hash_alloc(env, ENCODING_LISTPACK);
    h->lp = lp_new(0);
    return h;
}

static void body_free(struct hash *h)
{
    if (hash_is_table(h)) {
        table_release(h->table, item_free, NULL);
        mem_free_sized(h->table, sizeof(*h->table));
    } else {
        lp_free(h->lp);
    }
}

void hash_free(struct hash *h)
{
    body_free(h);
    if (h->timing != NULL) hash_timing_free(h);
    mem_free_sized(h, sizeof(*h));
}

/* Fills a table with copies of all pairs and their expiries. */
static void fill_table(struct hash *to, const struct hash *from, size_t expected)
{
    struct hash_iter it;
    struct bytes_view field, value;
    to->table = mem_alloc(sizeof(*to->table));
    table_init(to->table, item_hash, to->env);
    table_reserve(to->table, expected);
    hash_iter_init(&it, from);
    while (hash_iter_next(&it, &field, &value)) {
        int64_t at_ms = hash_iter_time(&it);
        char *item = item_new(field, value, at_ms != HASH_FIELD_STAYS);
        table_insert(to->table, value_hash(to->env, field), item);
        if (at_ms != HASH_FIELD_STAYS) hash_item_timed(to, item, at_ms);
    }
}

void hash_convert_to_table(struct hash *h, size_t expected)
{
    struct hash as_table = {.env = h->env, .timing = h->timing, .encoding = ENCODING_HASHTABLE};
    fill_table(&as_table, h, expected);
    body_free(h);
    *h = as_table;
}

struct hash *hash_dup(const struct hash *h)
{
    struct hash *copy = hash_alloc(h->env, h->encoding);
    if (hash_is_table(h))
        fill_table(copy, h, table_count(h->table));
    else
        copy->lp = lp_copy(h->lp);
    if (h->timing != NULL) hash_timing_refresh(copy);
    return copy;
}

void hash_reserve(struct hash *h, size_t pairs, size_t longest)
{
    const struct encoding_limits *limits = h->env->limits;
    if (hash_is_table(h)) return;
    if (pairs > limits->hash_max_entries || longest > limits->hash_max_value)
        hash_convert_to_table(h, checked_size_add(hash_count(h), pairs));
}

size_t hash_count(const struct hash *h)
{
    return hash_is_table(h) ? table_count(h->table) : lp_count(h->lp) / hash_stride(h);
}

enum value_encoding hash_encoding(const struct hash *h)
{
    return h->encoding;
}

size_t hash_memory(const struct hash *h, size_t samples)
{
    size_t bytes = mem_usable_size(h) + hash_timing_memory(h);
    if (!hash_is_table(h)) return bytes + mem_usable_size(h->lp);
    return bytes + mem_usable_size(h->table) + table_memory(h->table) +
           table_entry_memory(h->table, samples, item_memory);
}

size_t hash_free_effort(const struct hash *h)
{
    return h->encoding == ENCODING_HASHTABLE ? table_count(h->table) : 1;
}

/* ---- Fields -------------------------------------------------------------------------------------------------- */

unsigned char *hash_lp_find(const struct hash *h, struct bytes_view field)
{
    unsigned char *first = lp_first(h->lp);
    return first == NULL ? NULL : lp_find(h->lp, first, field, hash_stride(h) - 1);
}

unsigned char *hash_lp_after(const struct hash *h, unsigned char *at)
{
    for (size_t i = hash_stride(h); i > 0; i--) at = lp_next(h->lp, at);
    return at;
}

bool hash_get(const struct hash *h, struct bytes_view field, struct number_text *buf, struct bytes_view *value)
{
    if (hash_is_table(h)) return table_get(h, field, value);
    unsigned char *at = hash_lp_find(h, field);
    if (at == NULL) return false;
    *value = lp_get_view(lp_next(h->lp, at), buf->text);
    return true;
}

bool hash_contains(const struct hash *h, struct bytes_view field)
{
    struct number_text buf;
    struct bytes_view value;
    return hash_get(h, field, &buf, &value);
}

static bool fits_listpack(const struct hash *h, struct bytes_view field, struct bytes_view value)
{
    enum { TIME_MAX = 16 };
    size_t limit = h->env->limits->hash_max_value;
    return field.len <= limit && value.len <= limit &&
           lp_safe_to_add(h->lp, checked_size_add(TIME_MAX, checked_size_add(field.len, value.len)));
}

static bool listpack_put(struct hash *h, struct bytes_view field, struct bytes_view value, bool keep_time)
{
    unsigned char *at = hash_lp_find(h, field);
    if (at != NULL) {
        unsigned char *value_at = lp_next(h->lp, at);
        h->lp = lp_replace(h->lp, &value_at, value);
        if (h->timing == NULL || keep_time) return false;
        hash_lp_set_time(h, lp_prev(h->lp, value_at), HASH_FIELD_STAYS);
        hash_timing_refresh(h);
        return false;
    }
    h->lp = lp_append(lp_append(h->lp, field), value);
    if (h->encoding == ENCODING_LISTPACK_EX) h->lp = lp_append_int(h->lp, 0); /* fields without an expiry come last */
    size_t count = hash_count(h);
    if (count > h->env->limits->hash_max_entries) hash_convert_to_table(h, count);
    return true;
}

static bool put(struct hash *h, struct bytes_view field, struct bytes_view value, bool keep_time)
{
    if (!hash_is_table(h)) {
        if (fits_listpack(h, field, value)) return listpack_put(h, field, value, keep_time);
        hash_convert_to_table(h, hash_count(h) + 1);
    }
    return table_put(h, field, value, keep_time);
}

bool hash_set(struct hash *h, struct bytes_view field, struct bytes_view value)
{
    return put(h, field, value, false);
}
bool hash_alter(struct hash *h, struct bytes_view field, struct bytes_view value)
{
    return put(h, field, value, true);
}

bool hash_remove(struct hash *h, struct bytes_view field)
{
    if (hash_is_table(h)) return table_take_out(h, field);
    unsigned char *at = hash_lp_find(h, field);
    if (at == NULL) return false;
    h->lp = lp_delete_range_at(h->lp, &at, hash_stride(h));
    if (h->timing != NULL) hash_timing_refresh(h);
    return true;
}

void hash_prefetch(const struct hash *h, struct bytes_view field)
{
    if (hash_is_table(h)) table_prefetch_bucket(h->table, value_hash(h->env, field));
}

void hash_prefetch_field(const struct hash *h, struct bytes_view field)
{
    if (hash_is_table(h)) table_prefetch_entries(h->table, value_hash(h->env, field));
}

static void listpack_pair(const struct hash *h, const unsigned char *at, struct number_text buf[2],
                          struct bytes_view *field, struct bytes_view *value)
{
    *field = lp_get_view(at, buf[0].text);
    if (value != NULL) *value = lp_get_view(lp_next(h->lp, at), buf[1].text);
}

void hash_random(const struct hash *h, struct number_text buf[2], struct bytes_view *field, struct bytes_view *value)
{
    struct rng *rng = h->env->rng;
    size_t count = hash_count(h);
    ASSERT(count > 0);
    if (!hash_is_table(h)) {
        listpack_pair(h, lp_seek(h->lp, (int64_t)(rng_below(rng, count) * hash_stride(h))), buf, field, value);
        return;
    }
    struct item_view v = item_view(table_random(h->table, rng));
    *field = v.field;
    if (value != NULL) *value = v.value;
}

/* ---- Visiting ------------------------------------------------------------------------------------------------ */

void hash_iter_init(struct hash_iter *it, const struct hash *h)
{
    it->hash = h;
    it->hide_ms = HASH_SHOW_ALL;
    it->at = NULL;
    if (hash_is_table(h))
        table_iter_init(&it->table, h->table);
    else
        it->lp = lp_first(h->lp);
}

void hash_iter_init_at(struct hash_iter *it, const struct hash *h, int64_t now_ms)
{
    hash_iter_init(it, h);
    if (hash_is_due(h, now_ms)) it->hide_ms = now_ms;
}

static const void *iter_next(struct hash_iter *it)
{
    if (hash_is_table(it->hash)) return table_iter_next(&it->table);
    unsigned char *at = it->lp;
    if (at != NULL) it->lp = hash_lp_after(it->hash, at);
    return at;
}

int64_t hash_iter_time(const struct hash_iter *it)
{
    const struct hash *h = it->hash;
    if (h->timing == NULL) return HASH_FIELD_STAYS;
    return hash_is_table(h) ? hash_item_time(h, it->at) : hash_lp_time(h, it->at);
}

/* HASH_FIELD_STAYS is less than any time, but is never hidden. */
static bool is_hidden(int64_t at_ms, int64_t hide_ms)
{
    return at_ms < hide_ms && at_ms != HASH_FIELD_STAYS;
}

bool hash_iter_next(struct hash_iter *it, struct bytes_view *field, struct bytes_view *value)
{
    do {
        it->at = iter_next(it);
        if (it->at == NULL) return false;
    } while (UNLIKELY(it->hide_ms != HASH_SHOW_ALL) && is_hidden(hash_iter_time(it), it->hide_ms));
    if (!hash_is_table(it->hash)) {
        listpack_pair(it->hash, it->at, it->buf, field, value);
        return true;
    }
    struct item_view v = item_view(it->at);
    *field = v.field;
    *value = v.value;
    return true;
}

struct scan_call {
    void (*fn)(void *ctx, struct bytes_view field, struct bytes_view value);
    void *ctx;
    const struct hash *hash;
    int64_t hide_ms;
};

static void scan_item(void *ctx, void *item)
{
    const struct scan_call *call = ctx;
    if (UNLIKELY(item_expires(item)) && is_hidden(hash_item_time(call->hash, item), call->hide_ms)) return;
    struct item_view v = item_view(item);
    call->fn(call->ctx, v.field, v.value);
}

uint64_t hash_scan(const struct hash *h, uint64_t cursor, int64_t now_ms,
                   void (*fn)(void *ctx, struct bytes_view field, struct bytes_view value), void *ctx)
{
    struct scan_call call = {.fn = fn, .ctx = ctx, .hash = h, .hide_ms = now_ms};
    if (hash_is_table(h)) return table_scan(h->table, cursor, scan_item, &call);
    struct hash_iter it;
    struct bytes_view field, value;
    hash_iter_init_at(&it, h, now_ms);
    while (hash_iter_next(&it, &field, &value)) fn(ctx, field, value);
    return 0;
}

/* ---- Files --------------------------------------------------------------------------------------------------- */

struct bytes_view hash_blob(const struct hash *h)
{
    return h->encoding == ENCODING_LISTPACK ? bytes_view(h->lp, lp_bytes(h->lp)) : bytes_view(NULL, 0);
}

/* True if the limits allow a listpack of these pairs. */
static bool listpack_within_limits(const struct hash *h)
{
    const struct encoding_limits *limits = h->env->limits;
    if (hash_count(h) > limits->hash_max_entries) return false;
    for (unsigned char *p = lp_first(h->lp); p != NULL; p = lp_next(h->lp, p)) {
        struct lp_value v = lp_get(p);
        if (!v.is_int && v.str.len > limits->hash_max_value) return false;
    }
    return true;
}

static struct hash *from_listpack(const struct value_env *env, enum value_encoding encoding, unsigned char *lp)
{
    struct hash *h = hash_alloc(env, encoding);
    h->lp = lp;
    ASSERT(lp_count(lp) % hash_stride(h) == 0);
    hash_timing_refresh(h);
    if (!listpack_within_limits(h)) hash_convert_to_table(h, hash_count(h));
    return h;
}

struct hash *hash_from_listpack(const struct value_env *env, unsigned char *lp)
{
    return from_listpack(env, ENCODING_LISTPACK, lp);
}
struct hash *hash_from_timed_listpack(const struct value_env *env, unsigned char *lp)
{
    return from_listpack(env, ENCODING_LISTPACK_EX, lp);
}

struct bytes_view hash_timed_blob(const struct hash *h)
{
    return h->encoding == ENCODING_LISTPACK_EX ? bytes_view(h->lp, lp_bytes(h->lp)) : bytes_view(NULL, 0);
}

static void check_table(const struct hash *h)
{
    table_check(h->table);
    struct table_iter it;
    struct table_pos pos;
    table_iter_init(&it, h->table);
    for (char *item; (item = table_iter_next(&it)) != NULL;) {
        struct bytes_view field = item_view(item).field;
        ASSERT(hash_item_find(h, value_hash(h->env, field), field, &pos) == item); /* fails if the field is there
                                                                                    * twice */
    }
}

const struct table *hash_table(const struct hash *h)
{
    return hash_is_table(h) ? h->table : NULL;
}

int64_t hash_table_pair(const struct hash *h, const void *entry, struct bytes_view *field, struct bytes_view *value)
{
    struct item_view v = item_view(entry);
    *field = v.field;
    *value = v.value;
    return h->timing == NULL ? HASH_FIELD_STAYS : hash_item_time(h, entry);
}

static void check_listpack(const struct hash *h)
{
    ASSERT(h->encoding == ENCODING_LISTPACK || h->encoding == ENCODING_LISTPACK_EX);
    ASSERT(lp_validate(h->lp, lp_bytes(h->lp), true, NULL, NULL));
    ASSERT(lp_count(h->lp) % hash_stride(h) == 0);
    for (unsigned char *p = lp_first(h->lp); p != NULL; p = hash_lp_after(h, p)) {
        struct number_text buf;
        ASSERT(hash_lp_find(h, lp_get_view(p, buf.text)) == p);
    }
}

void hash_check(const struct hash *h)
{
    if (hash_is_table(h))
        check_table(h);
    else
        check_listpack(h);
    hash_timing_check(h);
}
