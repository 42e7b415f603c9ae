#include "storage/hash.h"

#include "storage/base/assert.h"
#include "storage/base/checked.h"
#include "storage/base/memory.h"
#include "storage/listpack.h"
#include "storage/packed.h"

struct hash {
    const struct value_env *env;
    union {
        unsigned char *lp;   /* field, value, field, value, ... */
        struct table *table; /* of items */
    };
    uint8_t encoding;
};

/* ---- Items of the table: both packed lengths, the field, the value; one allocation --------------------------- */

struct item_view {
    struct bytes_view field, value;
};

static size_t item_size(size_t field_len, size_t value_len)
{
    size_t lengths = packed_length_size(field_len) + packed_length_size(value_len);
    return checked_size_add(lengths, checked_size_add(field_len, value_len));
}

static struct item_view item_view(const void *item)
{
    struct item_view v;
    const char *at = packed_get_length(item, &v.field.len);
    v.field.data = packed_get_length(at, &v.value.len);
    v.value.data = v.field.data + v.field.len;
    return v;
}

static char *put_bytes(char *at, struct bytes_view bytes)
{
    if (bytes.len > 0) memcpy(at, bytes.data, bytes.len);
    return at + bytes.len;
}

static char *item_new(struct bytes_view field, struct bytes_view value)
{
    char *item = mem_alloc(item_size(field.len, value.len));
    char *at = packed_put_length(packed_put_length(item, field.len), value.len);
    put_bytes(put_bytes(at, field), value);
    return item;
}

static void item_free(void *ctx, void *item)
{
    (void)ctx;
    struct item_view v = item_view(item);
    mem_free_sized(item, item_size(v.field.len, v.value.len));
}

/* The item with another value, in place where its allocation allows it. */
static char *item_set_value(char *item, struct bytes_view value)
{
    struct item_view old = item_view(item);
    if (packed_length_size(old.value.len) != packed_length_size(value.len)) {
        char *fresh = item_new(old.field, value);
        item_free(NULL, item);
        return fresh;
    }
    size_t value_at = (size_t)(old.value.data - item);
    if (value.len != old.value.len) {
        item = mem_realloc(item, value_at + value.len);
        packed_put_length(item + packed_length_size(old.field.len), value.len);
    }
    put_bytes(item + value_at, value);
    return item;
}

static uint64_t item_hash(const void *env, const void *item)
{
    return value_hash(env, item_view(item).field);
}

static char *item_find(const struct table *t, uint64_t hash, struct bytes_view field, struct table_pos *pos)
{
    struct table_probe p;
    table_probe_start(&p, t, hash);
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
    const char *item = item_find(h->table, value_hash(h->env, field), field, &pos);
    if (item == NULL) return false;
    *value = item_view(item).value;
    return true;
}

static bool table_put(struct hash *h, struct bytes_view field, struct bytes_view value)
{
    struct table_pos pos;
    uint64_t hash = value_hash(h->env, field);
    char *item = item_find(h->table, hash, field, &pos);
    if (item == NULL) {
        table_insert(h->table, hash, item_new(field, value));
        return true;
    }
    char *changed = item_set_value(item, value);
    if (changed != item) table_replace_at(pos, changed);
    return false;
}

static bool table_take_out(struct hash *h, struct bytes_view field)
{
    struct table_pos pos;
    uint64_t hash = value_hash(h->env, field);
    if (item_find(h->table, hash, field, &pos) == NULL) return false;
    item_free(NULL, table_remove_at(h->table, hash, pos));
    return true;
}

/* ---- Life and encoding --------------------------------------------------------------------------------------- */

static struct hash *hash_alloc(const struct value_env *env, enum value_encoding encoding)
{
    struct hash *h = mem_alloc(sizeof(*h));
    h->env = env;
    h->encoding = encoding;
    return h;
}

static struct table *items_new(const struct value_env *env, size_t expected)
{
    struct table *t = mem_alloc(sizeof(*t));
    table_init(t, item_hash, env);
    table_reserve(t, expected);
    return t;
}

struct hash *hash_new(const struct value_env *env)
{
    struct hash *h = hash_alloc(env, ENCODING_LISTPACK);
    h->lp = lp_new(0);
    return h;
}

static void body_free(struct hash *h)
{
    if (h->encoding == ENCODING_LISTPACK) {
        lp_free(h->lp);
    } else {
        table_release(h->table, item_free, NULL);
        mem_free_sized(h->table, sizeof(*h->table));
    }
}

void hash_free(struct hash *h)
{
    body_free(h);
    mem_free_sized(h, sizeof(*h));
}

/* A table with copies of all pairs. */
static struct table *items_of(const struct hash *h, size_t expected)
{
    struct table *t = items_new(h->env, expected);
    struct hash_iter it;
    struct bytes_view field, value;
    hash_iter_init(&it, h);
    while (hash_iter_next(&it, &field, &value)) table_insert(t, value_hash(h->env, field), item_new(field, value));
    return t;
}

static void convert_to_table(struct hash *h, size_t expected)
{
    struct table *t = items_of(h, expected);
    body_free(h);
    h->table = t;
    h->encoding = ENCODING_HASHTABLE;
}

struct hash *hash_dup(const struct hash *h)
{
    struct hash *copy = hash_alloc(h->env, h->encoding);
    if (h->encoding == ENCODING_LISTPACK)
        copy->lp = lp_copy(h->lp);
    else
        copy->table = items_of(h, table_count(h->table));
    return copy;
}

void hash_reserve(struct hash *h, size_t pairs, size_t longest)
{
    const struct encoding_limits *limits = h->env->limits;
    if (h->encoding != ENCODING_LISTPACK) return;
    if (pairs > limits->hash_max_entries || longest > limits->hash_max_value)
        convert_to_table(h, checked_size_add(hash_count(h), pairs));
}

size_t hash_count(const struct hash *h)
{
    return h->encoding == ENCODING_LISTPACK ? lp_count(h->lp) / 2 : table_count(h->table);
}

enum value_encoding hash_encoding(const struct hash *h)
{
    return h->encoding;
}

size_t hash_memory(const struct hash *h, size_t samples)
{
    size_t bytes = mem_usable_size(h);
    if (h->encoding == ENCODING_LISTPACK) return bytes + mem_usable_size(h->lp);
    return bytes + mem_usable_size(h->table) + table_memory(h->table) + table_entry_memory(h->table, samples);
}

size_t hash_free_effort(const struct hash *h)
{
    return h->encoding == ENCODING_HASHTABLE ? table_count(h->table) : 1;
}

/* ---- Fields -------------------------------------------------------------------------------------------------- */

static unsigned char *listpack_find(const struct hash *h, struct bytes_view field)
{
    unsigned char *first = lp_first(h->lp);
    return first == NULL ? NULL : lp_find(h->lp, first, field, 1);
}

bool hash_get(const struct hash *h, struct bytes_view field, struct number_text *buf, struct bytes_view *value)
{
    if (h->encoding == ENCODING_HASHTABLE) return table_get(h, field, value);
    unsigned char *at = listpack_find(h, field);
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
    size_t limit = h->env->limits->hash_max_value;
    return field.len <= limit && value.len <= limit && lp_safe_to_add(h->lp, checked_size_add(field.len, value.len));
}

static bool listpack_put(struct hash *h, struct bytes_view field, struct bytes_view value)
{
    unsigned char *at = listpack_find(h, field);
    if (at != NULL) {
        unsigned char *value_at = lp_next(h->lp, at);
        h->lp = lp_replace(h->lp, &value_at, value);
        return false;
    }
    h->lp = lp_append(lp_append(h->lp, field), value);
    size_t count = hash_count(h);
    if (count > h->env->limits->hash_max_entries) convert_to_table(h, count);
    return true;
}

bool hash_set(struct hash *h, struct bytes_view field, struct bytes_view value)
{
    if (h->encoding == ENCODING_LISTPACK) {
        if (fits_listpack(h, field, value)) return listpack_put(h, field, value);
        convert_to_table(h, hash_count(h) + 1);
    }
    return table_put(h, field, value);
}

bool hash_remove(struct hash *h, struct bytes_view field)
{
    if (h->encoding == ENCODING_HASHTABLE) return table_take_out(h, field);
    unsigned char *at = listpack_find(h, field);
    if (at == NULL) return false;
    h->lp = lp_delete_range_at(h->lp, &at, 2);
    return true;
}

void hash_prefetch(const struct hash *h, struct bytes_view field)
{
    if (h->encoding == ENCODING_HASHTABLE) table_prefetch_bucket(h->table, value_hash(h->env, field));
}

void hash_prefetch_field(const struct hash *h, struct bytes_view field)
{
    if (h->encoding == ENCODING_HASHTABLE) table_prefetch_entries(h->table, value_hash(h->env, field));
}

static void listpack_pair(const struct hash *h, unsigned char *at, struct number_text buf[2], struct bytes_view *field,
                          struct bytes_view *value)
{
    *field = lp_get_view(at, buf[0].text);
    if (value != NULL) *value = lp_get_view(lp_next(h->lp, at), buf[1].text);
}

void hash_random(const struct hash *h, struct number_text buf[2], struct bytes_view *field, struct bytes_view *value)
{
    struct rng *rng = h->env->rng;
    size_t count = hash_count(h);
    ASSERT(count > 0);
    if (h->encoding == ENCODING_LISTPACK) {
        listpack_pair(h, lp_seek(h->lp, (int64_t)rng_below(rng, count) * 2), buf, field, value);
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
    if (h->encoding == ENCODING_HASHTABLE)
        table_iter_init(&it->table, h->table);
    else
        it->lp = lp_first(h->lp);
}

static bool iter_next_item(struct hash_iter *it, struct bytes_view *field, struct bytes_view *value)
{
    const void *item = table_iter_next(&it->table);
    if (item == NULL) return false;
    struct item_view v = item_view(item);
    *field = v.field;
    *value = v.value;
    return true;
}

bool hash_iter_next(struct hash_iter *it, struct bytes_view *field, struct bytes_view *value)
{
    const struct hash *h = it->hash;
    if (h->encoding == ENCODING_HASHTABLE) return iter_next_item(it, field, value);
    if (it->lp == NULL) return false;
    listpack_pair(h, it->lp, it->buf, field, value);
    it->lp = lp_next(h->lp, lp_next(h->lp, it->lp));
    return true;
}

struct scan_call {
    void (*fn)(void *ctx, struct bytes_view field, struct bytes_view value);
    void *ctx;
};

static void scan_item(void *ctx, void *item)
{
    const struct scan_call *call = ctx;
    struct item_view v = item_view(item);
    call->fn(call->ctx, v.field, v.value);
}

uint64_t hash_scan(const struct hash *h, uint64_t cursor,
                   void (*fn)(void *ctx, struct bytes_view field, struct bytes_view value), void *ctx)
{
    if (h->encoding == ENCODING_HASHTABLE)
        return table_scan(h->table, cursor, scan_item, &(struct scan_call){.fn = fn, .ctx = ctx});
    struct hash_iter it;
    struct bytes_view field, value;
    hash_iter_init(&it, h);
    while (hash_iter_next(&it, &field, &value)) fn(ctx, field, value);
    return 0;
}

/* ---- Files --------------------------------------------------------------------------------------------------- */

struct bytes_view hash_blob(const struct hash *h)
{
    return h->encoding == ENCODING_LISTPACK ? bytes_view(h->lp, lp_bytes(h->lp)) : bytes_view(NULL, 0);
}

/* Whether the limits let these pairs stay a listpack. */
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

struct hash *hash_from_listpack(const struct value_env *env, unsigned char *lp)
{
    struct hash *h = hash_alloc(env, ENCODING_LISTPACK);
    h->lp = lp;
    ASSERT(lp_count(lp) % 2 == 0);
    if (!listpack_within_limits(h)) convert_to_table(h, hash_count(h));
    return h;
}

static void check_table(const struct hash *h)
{
    table_check(h->table);
    struct table_iter it;
    struct table_pos pos;
    table_iter_init(&it, h->table);
    for (char *item; (item = table_iter_next(&it)) != NULL;) {
        struct bytes_view field = item_view(item).field;
        ASSERT(item_find(h->table, value_hash(h->env, field), field, &pos) == item); /* else it is there twice */
    }
}

const struct table *hash_table(const struct hash *h)
{
    return h->encoding == ENCODING_HASHTABLE ? h->table : NULL;
}

void hash_check(const struct hash *h)
{
    if (h->encoding == ENCODING_HASHTABLE) {
        check_table(h);
        return;
    }
    ASSERT(h->encoding == ENCODING_LISTPACK);
    ASSERT(lp_validate(h->lp, lp_bytes(h->lp), true, NULL, NULL));
    ASSERT(lp_count(h->lp) % 2 == 0);
    for (unsigned char *p = lp_first(h->lp); p != NULL; p = lp_next(h->lp, lp_next(h->lp, p))) {
        struct number_text buf;
        ASSERT(listpack_find(h, lp_get_view(p, buf.text)) == p);
    }
}
