#include "storage/digest.h"

#include "storage/base/sha1.h"
#include "storage/hash.h"
#include "storage/hash_expiry.h"
#include "storage/list.h"
#include "storage/set.h"
#include "storage/stream.h"
#include "storage/zset.h"

_Static_assert((int)DIGEST_SIZE == (int)SHA1_SIZE, "a digest is a SHA-1");

/* The two ways in which Redis adds bytes to a digest. Unordered: xor with the hash of the bytes, so the order of set
 * members does not matter. Ordered: the same, after which the digest is replaced by its own hash. */
static void add_unordered(unsigned char digest[DIGEST_SIZE], const void *data, size_t len)
{
    unsigned char h[SHA1_SIZE];
    sha1(data, len, h);
    for (int i = 0; i < DIGEST_SIZE; i++) digest[i] ^= h[i];
}

static void add_ordered(unsigned char digest[DIGEST_SIZE], const void *data, size_t len)
{
    add_unordered(digest, data, len);
    unsigned char copy[DIGEST_SIZE];
    memcpy(copy, digest, DIGEST_SIZE);
    sha1(copy, DIGEST_SIZE, digest);
}

static void add_number(unsigned char digest[DIGEST_SIZE], uint32_t n)
{
    unsigned char bytes[4] = {n >> 24, (n >> 16) & 255, (n >> 8) & 255, n & 255};
    add_ordered(digest, bytes, sizeof(bytes));
}

static void add_pair(unsigned char digest[DIGEST_SIZE], struct bytes_view first, struct bytes_view second)
{
    unsigned char pair[DIGEST_SIZE] = {0};
    add_ordered(pair, first.data, first.len);
    add_ordered(pair, second.data, second.len);
    add_unordered(digest, pair, DIGEST_SIZE);
}

static void add_list(unsigned char digest[DIGEST_SIZE], const struct list *l)
{
    struct list_iter it;
    struct bytes_view value;
    list_iter_init(&it, l, 0, false);
    while (list_iter_next(&it, &value)) add_ordered(digest, value.data, value.len);
    list_iter_release(&it);
}

static void add_set(unsigned char digest[DIGEST_SIZE], const struct set *s)
{
    struct set_iter it;
    struct bytes_view member;
    set_iter_init(&it, s);
    while (set_iter_next(&it, &member)) add_unordered(digest, member.data, member.len);
}

static void add_hash(unsigned char digest[DIGEST_SIZE], const struct hash *h)
{
    struct hash_iter it;
    struct bytes_view field, value;
    hash_iter_init(&it, h);
    while (hash_iter_next(&it, &field, &value)) {
        unsigned char pair[DIGEST_SIZE] = {0};
        add_ordered(pair, field.data, field.len);
        add_ordered(pair, value.data, value.len);
        if (hash_iter_time(&it) != HASH_FIELD_STAYS) add_unordered(pair, "!!hexpire!!", 11);
        add_unordered(digest, pair, DIGEST_SIZE);
    }
}

static void add_zset(unsigned char digest[DIGEST_SIZE], const struct zset *z)
{
    struct zset_iter it;
    struct bytes_view member;
    double score;
    zset_iter_init(&it, z, 0, false);
    while (zset_iter_next(&it, &member, &score)) {
        char text[NUM_DOUBLE_MAX_CHARS];
        add_pair(digest, member, bytes_view(text, num_format_double17(text, score)));
    }
}

/* Only the entries: Redis's digest leaves out groups and pending entries. */
static void add_stream(unsigned char digest[DIGEST_SIZE], const struct stream *s)
{
    struct stream_iter it;
    struct stream_id id;
    size_t fields;
    stream_iter_init(&it, s, STREAM_ID_MIN, STREAM_ID_MAX, false);
    while (stream_iter_next(&it, &id, &fields)) {
        char text[2 * NUM_U64_MAX_CHARS + 1];
        size_t len = num_format_u64(text, id.ms);
        text[len++] = '.';
        len += num_format_u64(text + len, id.seq);
        add_ordered(digest, text, len);
        for (size_t i = 0; i < fields; i++) {
            struct bytes_view field, value;
            stream_iter_pair(&it, &field, &value);
            add_ordered(digest, field.data, field.len);
            add_ordered(digest, value.data, value.len);
        }
    }
}

static void add_value(unsigned char digest[DIGEST_SIZE], const struct entry *e)
{
    struct number_text buf;
    struct bytes_view string;
    add_number(digest, e->type);
    switch ((enum value_type)e->type) {
    case TYPE_STRING:
        string = entry_string(e, &buf);
        add_ordered(digest, string.data, string.len);
        break;
    case TYPE_LIST: add_list(digest, entry_pointer(e)); break;
    case TYPE_SET: add_set(digest, entry_pointer(e)); break;
    case TYPE_ZSET: add_zset(digest, entry_pointer(e)); break;
    case TYPE_HASH: add_hash(digest, entry_pointer(e)); break;
    case TYPE_STREAM: add_stream(digest, entry_pointer(e)); break;
    }
    if (entry_expiry(e) != -1) add_unordered(digest, "!!expire!!", 10);
}

void digest_value(const struct entry *e, unsigned char digest[DIGEST_SIZE])
{
    memset(digest, 0, DIGEST_SIZE);
    if (e != NULL) add_value(digest, e);
}

static void add_db(unsigned char digest[DIGEST_SIZE], const struct db *db)
{
    struct table_iter it;
    const struct entry *e;
    add_number(digest, (uint32_t)db->id);
    table_iter_init(&it, &db->keys);
    while ((e = table_iter_next(&it)) != NULL) {
        unsigned char of_key[DIGEST_SIZE] = {0};
        struct bytes_view key = entry_key(e);
        add_ordered(of_key, key.data, key.len);
        add_value(of_key, e);
        add_unordered(digest, of_key, DIGEST_SIZE);
    }
}

void digest_keyspace(struct keyspace *ks, unsigned char digest[DIGEST_SIZE])
{
    memset(digest, 0, DIGEST_SIZE);
    for (int id = 0; id < ks->db_count; id++) {
        if (db_count(keyspace_db(ks, id)) > 0) add_db(digest, keyspace_db(ks, id));
    }
}

void digest_format(const unsigned char digest[DIGEST_SIZE], char hex[2 * DIGEST_SIZE + 1])
{
    for (size_t i = 0; i < DIGEST_SIZE; i++) {
        hex[2 * i] = "0123456789abcdef"[digest[i] >> 4];
        hex[2 * i + 1] = "0123456789abcdef"[digest[i] & 15];
    }
    hex[2 * DIGEST_SIZE] = '\0';
}
