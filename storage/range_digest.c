#include "storage/range_digest.h"

#include "storage/hash.h"
#include "storage/list.h"
#include "storage/listpack.h"
#include "storage/set.h"
#include "storage/zset.h"

enum { WORK_KEY = 6, WORK_ELEMENT = 2, WORK_BYTES = 128 /* so many take one unit */, WORK_CHUNK = 1 << 16 };

struct digesting {
    struct keyspace *ks;
    struct range *range;
    uint64_t work_max;
    range_big_fn *big;
    void *big_ctx;
    int db;
    struct range_result *out;
};

/* True: there is work left to do within the limit. */
static bool worked(struct digesting *d, uint64_t work)
{
    d->out->work += work;
    return d->out->work <= d->work_max;
}

static bool counted(struct digesting *d, size_t bytes)
{
    d->out->count++;
    return worked(d, WORK_ELEMENT + bytes / WORK_BYTES);
}

/* ---- Which values are big ---- */

/* A listpack keeps a number of up to 20 digits in fewer bytes. If the value cannot be big even if all are such numbers,
 * its elements need not be read. */
static bool blob_is_small(struct bytes_view blob, size_t strings)
{
    return blob.len > 0 && blob.len + strings * NUM_I64_MAX_CHARS <= RANGE_BIG_BYTES;
}

static bool list_has_bytes(const struct list *l)
{
    struct list_iter it;
    struct bytes_view value;
    size_t bytes = 0;
    list_iter_init(&it, l, 0, false);
    while (bytes <= RANGE_BIG_BYTES && list_iter_next(&it, &value)) bytes += value.len;
    list_iter_release(&it);
    return bytes > RANGE_BIG_BYTES;
}

static bool set_has_bytes(const struct set *s)
{
    struct set_iter it;
    struct bytes_view member;
    size_t bytes = 0;
    if (blob_is_small(set_blob(s), set_count(s))) return false;
    set_iter_init(&it, s);
    while (bytes <= RANGE_BIG_BYTES && set_iter_next(&it, &member)) bytes += member.len;
    return bytes > RANGE_BIG_BYTES;
}

static bool hash_has_bytes(const struct hash *h)
{
    struct hash_iter it;
    struct bytes_view field, value;
    size_t bytes = 0;
    if (blob_is_small(hash_blob(h), 2 * hash_count(h))) return false;
    hash_iter_init(&it, h);
    while (bytes <= RANGE_BIG_BYTES && hash_iter_next(&it, &field, &value)) bytes += field.len + value.len;
    return bytes > RANGE_BIG_BYTES;
}

static bool zset_has_bytes(const struct zset *z)
{
    struct zset_iter it;
    struct bytes_view member;
    double score;
    size_t bytes = 0;
    if (blob_is_small(zset_blob(z), zset_count(z))) return false;
    zset_iter_init(&it, z, 0, false);
    while (bytes <= RANGE_BIG_BYTES && zset_iter_next(&it, &member, &score)) bytes += member.len;
    return bytes > RANGE_BIG_BYTES;
}

static size_t stream_bytes(const struct stream *s)
{
    struct stream_iter it;
    struct stream_id id;
    size_t fields, bytes = 0;
    stream_iter_init(&it, s, STREAM_ID_MIN, STREAM_ID_MAX, false);
    while (bytes <= RANGE_BIG_BYTES && stream_iter_next(&it, &id, &fields)) {
        for (size_t i = 0; i < fields; i++) {
            struct bytes_view field, value;
            stream_iter_pair(&it, &field, &value);
            bytes += field.len + value.len;
        }
    }
    return bytes;
}

/* Entries, groups, consumers and pending entries. */
static uint64_t stream_elements(const struct stream *s)
{
    uint64_t count = stream_count(s) + stream_group_count(s);
    struct stream_group *g;
    struct stream_pos pos = stream_group_first(s);
    while ((g = stream_group_next(&pos)) != NULL)
        count += stream_group_consumer_count(g) + stream_group_pending_count(g);
    return count;
}

static uint64_t elements_of(const struct entry *e)
{
    if (e->type == TYPE_STRING) return 1;
    if (e->type == TYPE_STREAM) return stream_elements(entry_pointer(e));
    return value_count(e->type, entry_pointer(e));
}

bool range_entry_is_big(const struct entry *e)
{
    if (elements_of(e) > RANGE_BIG_ELEMENTS) return true;
    switch ((enum value_type)e->type) {
    case TYPE_STRING: return entry_string_len(e) > RANGE_BIG_BYTES;
    case TYPE_LIST: return list_has_bytes(entry_pointer(e));
    case TYPE_SET: return set_has_bytes(entry_pointer(e));
    case TYPE_ZSET: return zset_has_bytes(entry_pointer(e));
    case TYPE_HASH: return hash_has_bytes(entry_pointer(e));
    case TYPE_STREAM: return stream_bytes(entry_pointer(e)) > RANGE_BIG_BYTES;
    }
    UNREACHABLE();
}

/* ---- Keys ---- */

/* What stands for the elements of a big value in the digest of its key. */
static struct strict_digest outline_of(const struct entry *e)
{
    uint64_t count = e->type == TYPE_STRING ? entry_string_len(e) : elements_of(e);
    return (struct strict_digest){.low = count, .high = UINT64_MAX};
}

static void add_key(void *ctx, void *entry)
{
    struct digesting *d = ctx;
    const struct entry *e = entry;
    if (d->out->work > d->work_max) return;
    uint64_t elements = elements_of(e);
    d->out->count++;
    if (range_entry_is_big(e)) {
        strict_digest_key(&d->out->digest, d->db, e, outline_of(e));
        worked(d, WORK_KEY + RANGE_BIG_ELEMENTS / 4);
        if (d->big != NULL) d->big(d->big_ctx, d->db, e);
        return;
    }
    strict_digest_entry(&d->out->digest, d->db, e);
    worked(d,
           WORK_KEY + elements * WORK_ELEMENT + (e->type == TYPE_STRING ? entry_string_len(e) / (4 * WORK_BYTES) : 0));
}

static bool digest_keys(struct digesting *d)
{
    const struct range *r = d->range;
    for (uint64_t id = r->db; id <= r->last_db && id < (uint64_t)d->ks->db_count; id++) {
        struct table_part p;
        d->db = (int)id;
        table_part_init(&p, &keyspace_db(d->ks, d->db)->keys, (unsigned)r->bits, r->part);
        while (table_part_next(&p, add_key, d))
            if (!worked(d, 1)) return false;
    }
    return d->out->work <= d->work_max;
}

/* ---- Members of sets, hashes and sorted sets ---- */

static bool in_part(const struct digesting *d, struct bytes_view member)
{
    uint64_t all = ((uint64_t)1 << d->range->bits) - 1;
    return (value_hash(d->ks->env, member) & all) == d->range->part;
}

static void add_table_member(void *ctx, void *entry)
{
    struct digesting *d = ctx;
    struct bytes_view member = set_table_member(entry);
    strict_digest_member(&d->out->digest, member);
    counted(d, member.len);
}

static void add_table_scored(void *ctx, void *entry)
{
    struct digesting *d = ctx;
    double score;
    struct bytes_view member = zset_table_member(entry, &score);
    strict_digest_scored(&d->out->digest, member, score);
    counted(d, member.len);
}

struct hash_digesting {
    struct digesting *d;
    const struct hash *hash;
};

static void add_table_pair(void *ctx, void *entry)
{
    const struct hash_digesting *h = ctx;
    struct bytes_view field, value;
    int64_t at_ms = hash_table_pair(h->hash, entry, &field, &value);
    strict_digest_field(&h->d->out->digest, field, value, at_ms);
    counted(h->d, field.len + value.len);
}

static bool digest_table(struct digesting *d, const struct table *t, table_entry_fn *fn, void *ctx)
{
    struct table_part p;
    table_part_init(&p, t, (unsigned)d->range->bits, d->range->part);
    while (table_part_next(&p, fn, ctx))
        if (!worked(d, 1)) return false;
    return true;
}

/* Compact encodings are read as a whole, whichever part is asked for. */

static bool digest_set(struct digesting *d, const struct set *s)
{
    struct set_iter it;
    struct bytes_view member;
    if (set_table(s) != NULL) return digest_table(d, set_table(s), add_table_member, d);
    set_iter_init(&it, s);
    while (set_iter_next(&it, &member)) {
        if (!in_part(d, member)) continue;
        strict_digest_member(&d->out->digest, member);
        counted(d, member.len);
    }
    return d->out->work <= d->work_max;
}

static bool digest_hash(struct digesting *d, const struct hash *h)
{
    struct hash_iter it;
    struct bytes_view field, value;
    if (hash_table(h) != NULL)
        return digest_table(d, hash_table(h), add_table_pair, &(struct hash_digesting){.d = d, .hash = h});
    hash_iter_init(&it, h);
    while (hash_iter_next(&it, &field, &value)) {
        if (!in_part(d, field)) continue;
        strict_digest_field(&d->out->digest, field, value, hash_iter_time(&it));
        counted(d, field.len + value.len);
    }
    return d->out->work <= d->work_max;
}

static bool digest_zset(struct digesting *d, const struct zset *z)
{
    struct zset_iter it;
    struct bytes_view member;
    double score;
    if (zset_table(z) != NULL) return digest_table(d, zset_table(z), add_table_scored, d);
    zset_iter_init(&it, z, 0, false);
    while (zset_iter_next(&it, &member, &score)) {
        if (!in_part(d, member)) continue;
        strict_digest_scored(&d->out->digest, member, score);
        counted(d, member.len);
    }
    return d->out->work <= d->work_max;
}

static bool digest_members(struct digesting *d, const struct entry *e)
{
    switch ((enum value_type)e->type) {
    case TYPE_SET: return digest_set(d, entry_pointer(e));
    case TYPE_HASH: return digest_hash(d, entry_pointer(e));
    case TYPE_ZSET: return digest_zset(d, entry_pointer(e));
    case TYPE_STRING:
    case TYPE_LIST:
    case TYPE_STREAM: return true;
    }
    UNREACHABLE();
}

/* ---- Ranges in an order: shortened where the work ends ---- */

static void digest_elements(struct digesting *d, const struct list *l)
{
    struct range *r = d->range;
    struct list_iter it;
    struct bytes_view value;
    if (r->from >= list_count(l)) return;
    list_iter_init(&it, l, (int64_t)r->from, false);
    for (uint64_t i = r->from; i <= r->to && list_iter_next(&it, &value); i++) {
        strict_digest_element(&d->out->digest, i, value);
        if (counted(d, value.len)) continue;
        r->to = i;
        break;
    }
    list_iter_release(&it);
}

/* Chunks begin at multiples of their size, so that both servers hash the same ones. */
static void digest_bytes(struct digesting *d, const struct entry *e)
{
    struct range *r = d->range;
    struct number_text buf;
    struct bytes_view all = entry_string(e, &buf);
    for (uint64_t at = r->from; at < all.len && at <= r->to; at += WORK_CHUNK) {
        size_t len = all.len - at < WORK_CHUNK ? all.len - at : WORK_CHUNK;
        if (r->to - at < len) len = r->to - at + 1;
        strict_digest_bytes(&d->out->digest, at, bytes_view(all.data + at, len));
        d->out->count += len;
        if (worked(d, len / (4 * WORK_BYTES) + 1)) continue;
        r->to = at + len - 1;
        break;
    }
}

static void digest_entries(struct digesting *d, const struct stream *s)
{
    struct range *r = d->range;
    struct stream_iter it;
    struct stream_id id;
    size_t fields;
    stream_iter_init(&it, s, r->from_id, r->to_id, false);
    while (stream_iter_next(&it, &id, &fields)) {
        strict_digest_stream_entry(&d->out->digest, &it, id, fields);
        worked(d, fields * WORK_ELEMENT);
        if (counted(d, 0)) continue;
        r->to_id = id;
        return;
    }
}

static void digest_groups(struct digesting *d, const struct stream *s)
{
    struct range *r = d->range;
    const struct stream_group *g;
    struct stream_pos pos = stream_group_first(s);
    for (uint64_t i = 0; i <= r->to && (g = stream_group_next(&pos)) != NULL; i++) {
        if (i < r->from) continue;
        strict_digest_group(&d->out->digest, g);
        worked(d, stream_group_consumer_count(g) * WORK_ELEMENT);
        if (counted(d, 0)) continue;
        r->to = i;
        return;
    }
}

static const struct stream_group *group_number(const struct stream *s, uint64_t number)
{
    struct stream_pos pos = stream_group_first(s);
    const struct stream_group *g = stream_group_next(&pos);
    for (; g != NULL && number > 0; number--) g = stream_group_next(&pos);
    return g;
}

static void digest_pending(struct digesting *d, const struct stream *s)
{
    struct range *r = d->range;
    struct stream_pending_iter it;
    const struct stream_pending *p;
    struct stream_id id;
    const struct stream_group *g = group_number(s, r->group);
    if (g == NULL) return;
    stream_pending_iter_init(&it, g, r->from_id);
    while ((p = stream_pending_iter_next(&it, &id)) != NULL && stream_id_compare(id, r->to_id) <= 0) {
        strict_digest_pending(&d->out->digest, g, id, p);
        if (counted(d, 0)) continue;
        r->to_id = id;
        return;
    }
}

/* ---- One value ---- */

static bool digest_value_range(struct digesting *d)
{
    const struct range *r = d->range;
    if (r->db >= (uint64_t)d->ks->db_count) return true;
    const struct db *db = keyspace_db(d->ks, (int)r->db);
    const struct entry *e = keyspace_peek(db, keyref(db, r->key));
    if (e == NULL) return true;
    if (r->kind == RANGE_MEMBERS) return digest_members(d, e);
    if (r->kind == RANGE_ELEMENTS && e->type == TYPE_LIST) digest_elements(d, entry_pointer(e));
    if (r->kind == RANGE_BYTES && e->type == TYPE_STRING) digest_bytes(d, e);
    if (e->type != TYPE_STREAM) return true;
    if (r->kind == RANGE_ENTRIES) digest_entries(d, entry_pointer(e));
    if (r->kind == RANGE_GROUPS) digest_groups(d, entry_pointer(e));
    if (r->kind == RANGE_PENDING) digest_pending(d, entry_pointer(e));
    return true;
}

static void digest_functions(struct digesting *d)
{
    const struct libraries *l = d->ks->libraries;
    for (size_t i = 0; i < libraries_count(l); i++)
        strict_digest_library(&d->out->digest, libraries_name(l, i), libraries_source(l, i));
    d->out->count = libraries_count(l);
}

bool range_digest(struct keyspace *ks, struct range *r, uint64_t work_max, range_big_fn *big, void *big_ctx,
                  struct range_result *out)
{
    struct digesting d = {.ks = ks, .range = r, .work_max = work_max, .big = big, .big_ctx = big_ctx, .out = out};
    *out = (struct range_result){0};
    if (r->kind == RANGE_KEYS) return digest_keys(&d);
    if (r->kind != RANGE_FUNCTIONS) return digest_value_range(&d);
    digest_functions(&d);
    return true;
}
