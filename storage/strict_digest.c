#include "storage/strict_digest.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <stdio.h>

#include "storage/hash.h"
#include "storage/hash_expiry.h"
#include "storage/list.h"
#include "storage/set.h"
#include "storage/zset.h"

/* ---- Records: what is hashed at once ---- */

/* The first byte of a record. So two records of different kinds are never the same bytes. */
enum kind {
    KIND_KEY = 1,
    KIND_LIBRARY,
    KIND_BYTES,
    KIND_ELEMENT,
    KIND_MEMBER,
    KIND_FIELD,
    KIND_SCORED,
    KIND_STREAM_ENTRY,
    KIND_STREAM_FIELD,
    KIND_GROUP,
    KIND_CONSUMER,
    KIND_PENDING,
};

enum { PLAIN_MAX = 128 /* longer bytes enter a record as their hash */, RECORD_MAX = 1 + 12 * 8 + 2 * (8 + PLAIN_MAX) };

struct record {
    size_t len;
    unsigned char bytes[RECORD_MAX];
};

static inline void record_start(struct record *r, enum kind kind)
{
    r->bytes[0] = (unsigned char)kind;
    r->len = 1;
}

static inline void record_number(struct record *r, uint64_t n)
{
    memcpy(r->bytes + r->len, &n, sizeof(n));
    r->len += sizeof(n);
}

static inline void record_id(struct record *r, struct stream_id id)
{
    record_number(r, id.ms);
    record_number(r, id.seq);
}

/* The length comes first, so that it is known where the bytes end and whether they are hashed. */
static inline void record_bytes(struct record *r, struct bytes_view bytes)
{
    record_number(r, bytes.len);
    if (bytes.len > PLAIN_MAX) {
        XXH128_hash_t h = XXH3_128bits(bytes.data, bytes.len);
        record_number(r, h.low64);
        record_number(r, h.high64);
        return;
    }
    if (bytes.len > 0) memcpy(r->bytes + r->len, bytes.data, bytes.len);
    r->len += bytes.len;
}

static inline void record_add(const struct record *r, struct strict_digest *sum)
{
    XXH128_hash_t h = XXH3_128bits(r->bytes, r->len);
    sum->low += h.low64;
    sum->high += h.high64 + (sum->low < h.low64);
}

/* ---- Elements ---- */

void strict_digest_bytes(struct strict_digest *sum, uint64_t from, struct bytes_view bytes)
{
    struct record r;
    record_start(&r, KIND_BYTES);
    record_number(&r, from);
    record_bytes(&r, bytes);
    record_add(&r, sum);
}

void strict_digest_element(struct strict_digest *sum, uint64_t index, struct bytes_view value)
{
    struct record r;
    record_start(&r, KIND_ELEMENT);
    record_number(&r, index);
    record_bytes(&r, value);
    record_add(&r, sum);
}

void strict_digest_member(struct strict_digest *sum, struct bytes_view member)
{
    struct record r;
    record_start(&r, KIND_MEMBER);
    record_bytes(&r, member);
    record_add(&r, sum);
}

void strict_digest_field(struct strict_digest *sum, struct bytes_view field, struct bytes_view value, int64_t at_ms)
{
    struct record r;
    record_start(&r, KIND_FIELD);
    record_number(&r, (uint64_t)at_ms);
    record_bytes(&r, field);
    record_bytes(&r, value);
    record_add(&r, sum);
}

void strict_digest_scored(struct strict_digest *sum, struct bytes_view member, double score)
{
    struct record r;
    uint64_t bits;
    if (score == 0) score = 0; /* -0 */
    memcpy(&bits, &score, sizeof(bits));
    record_start(&r, KIND_SCORED);
    record_number(&r, bits);
    record_bytes(&r, member);
    record_add(&r, sum);
}

void strict_digest_stream_entry(struct strict_digest *sum, struct stream_iter *it, struct stream_id id, size_t fields)
{
    struct record r;
    record_start(&r, KIND_STREAM_ENTRY);
    record_id(&r, id);
    record_number(&r, fields);
    record_add(&r, sum);
    for (size_t i = 0; i < fields; i++) {
        struct bytes_view field, value;
        stream_iter_pair(it, &field, &value);
        record_start(&r, KIND_STREAM_FIELD);
        record_id(&r, id);
        record_number(&r, i);
        record_bytes(&r, field);
        record_bytes(&r, value);
        record_add(&r, sum);
    }
}

static void add_consumer(struct strict_digest *sum, const struct stream_group *g, const struct stream_consumer *c)
{
    struct record r;
    record_start(&r, KIND_CONSUMER);
    record_bytes(&r, stream_group_name(g));
    record_bytes(&r, stream_consumer_name(c));
    record_add(&r, sum);
}

void strict_digest_group(struct strict_digest *sum, const struct stream_group *g)
{
    struct record r;
    struct stream_consumer *c;
    record_start(&r, KIND_GROUP);
    record_id(&r, stream_group_last_id(g));
    record_number(&r, (uint64_t)stream_group_entries_read(g));
    record_bytes(&r, stream_group_name(g));
    record_add(&r, sum);
    struct stream_pos pos = stream_consumer_first(g);
    while ((c = stream_consumer_next(&pos)) != NULL) add_consumer(sum, g, c);
}

void strict_digest_pending(struct strict_digest *sum, const struct stream_group *g, struct stream_id id,
                           const struct stream_pending *p)
{
    struct record r;
    record_start(&r, KIND_PENDING);
    record_id(&r, id);
    record_number(&r, (uint64_t)p->delivery_ms);
    record_number(&r, p->delivery_count);
    record_bytes(&r, stream_group_name(g));
    record_bytes(&r, stream_consumer_name(p->consumer));
    record_add(&r, sum);
}

/* ---- Values ---- */

static void add_list(struct strict_digest *sum, const struct list *l)
{
    struct list_iter it;
    struct bytes_view value;
    uint64_t index = 0;
    list_iter_init(&it, l, 0, false);
    while (list_iter_next(&it, &value)) strict_digest_element(sum, index++, value);
    list_iter_release(&it);
}

static void add_set(struct strict_digest *sum, const struct set *s)
{
    struct set_iter it;
    struct bytes_view member;
    set_iter_init(&it, s);
    while (set_iter_next(&it, &member)) strict_digest_member(sum, member);
}

static void add_hash(struct strict_digest *sum, const struct hash *h)
{
    struct hash_iter it;
    struct bytes_view field, value;
    hash_iter_init(&it, h);
    while (hash_iter_next(&it, &field, &value)) strict_digest_field(sum, field, value, hash_iter_time(&it));
}

static void add_zset(struct strict_digest *sum, const struct zset *z)
{
    struct zset_iter it;
    struct bytes_view member;
    double score;
    zset_iter_init(&it, z, 0, false);
    while (zset_iter_next(&it, &member, &score)) strict_digest_scored(sum, member, score);
}

static void add_group(struct strict_digest *sum, const struct stream_group *g)
{
    struct stream_pending_iter it;
    const struct stream_pending *p;
    struct stream_id id;
    strict_digest_group(sum, g);
    stream_pending_iter_init(&it, g, STREAM_ID_MIN);
    while ((p = stream_pending_iter_next(&it, &id)) != NULL) strict_digest_pending(sum, g, id, p);
}

static void add_stream(struct strict_digest *sum, const struct stream *s)
{
    struct stream_iter it;
    struct stream_id id;
    struct stream_group *g;
    size_t fields;
    stream_iter_init(&it, s, STREAM_ID_MIN, STREAM_ID_MAX, false);
    while (stream_iter_next(&it, &id, &fields)) strict_digest_stream_entry(sum, &it, id, fields);
    struct stream_pos pos = stream_group_first(s);
    while ((g = stream_group_next(&pos)) != NULL) add_group(sum, g);
}

static void add_elements(struct strict_digest *sum, const struct entry *e)
{
    struct number_text buf;
    switch ((enum value_type)e->type) {
    case TYPE_STRING: strict_digest_bytes(sum, 0, entry_string(e, &buf)); return;
    case TYPE_LIST: add_list(sum, entry_pointer(e)); return;
    case TYPE_SET: add_set(sum, entry_pointer(e)); return;
    case TYPE_ZSET: add_zset(sum, entry_pointer(e)); return;
    case TYPE_HASH: add_hash(sum, entry_pointer(e)); return;
    case TYPE_STREAM: add_stream(sum, entry_pointer(e)); return;
    }
    UNREACHABLE();
}

/* ---- Keys ---- */

static void record_stream(struct record *r, const struct stream *s)
{
    record_id(r, stream_last_id(s));
    record_id(r, stream_max_deleted_id(s));
    record_number(r, stream_entries_added(s));
}

void strict_digest_key(struct strict_digest *sum, int db, const struct entry *e, struct strict_digest elements)
{
    struct record r;
    record_start(&r, KIND_KEY);
    record_number(&r, (uint64_t)db);
    record_number(&r, e->type);
    record_number(&r, (uint64_t)entry_expiry(e));
    record_number(&r, elements.low);
    record_number(&r, elements.high);
    if (e->type == TYPE_STREAM) record_stream(&r, entry_pointer(e));
    record_bytes(&r, entry_key(e));
    record_add(&r, sum);
}

void strict_digest_entry(struct strict_digest *sum, int db, const struct entry *e)
{
    struct strict_digest elements = {0};
    add_elements(&elements, e);
    strict_digest_key(sum, db, e, elements);
}

void strict_digest_library(struct strict_digest *sum, struct bytes_view name, struct bytes_view source)
{
    struct record r;
    record_start(&r, KIND_LIBRARY);
    record_bytes(&r, name);
    record_bytes(&r, source);
    record_add(&r, sum);
}

void strict_digest_keyspace(struct keyspace *ks, struct strict_digest *out)
{
    *out = (struct strict_digest){0};
    for (int id = 0; id < ks->db_count; id++) {
        struct table_iter it;
        const struct entry *e;
        table_iter_init(&it, &keyspace_db(ks, id)->keys);
        while ((e = table_iter_next(&it)) != NULL) strict_digest_entry(out, id, e);
    }
    for (size_t i = 0; i < libraries_count(ks->libraries); i++)
        strict_digest_library(out, libraries_name(ks->libraries, i), libraries_source(ks->libraries, i));
}

/* ---- Text ---- */

void strict_digest_format(struct strict_digest digest, char hex[STRICT_DIGEST_CHARS + 1])
{
    snprintf(hex, STRICT_DIGEST_CHARS + 1, "%016llx%016llx", (unsigned long long)digest.high,
             (unsigned long long)digest.low);
}

static bool parse_half(const char *hex, uint64_t *half)
{
    static const char digits[] = "0123456789abcdef";
    *half = 0;
    for (int i = 0; i < STRICT_DIGEST_CHARS / 2; i++) {
        const char *digit = memchr(digits, hex[i], 16);
        if (digit == NULL) return false;
        *half = *half << 4 | (uint64_t)(digit - digits);
    }
    return true;
}

bool strict_digest_parse(struct bytes_view hex, struct strict_digest *digest)
{
    return hex.len == STRICT_DIGEST_CHARS && parse_half(hex.data, &digest->high) &&
           parse_half(hex.data + STRICT_DIGEST_CHARS / 2, &digest->low);
}
