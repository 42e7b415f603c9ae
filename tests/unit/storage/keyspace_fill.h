/* keyspace_fill.h -- a keyspace with values of every type and encoding, for tests that save and compare it. */
#ifndef LOCKSTEP_TESTS_KEYSPACE_FILL_H
#define LOCKSTEP_TESTS_KEYSPACE_FILL_H

#include <math.h>
#include <stdio.h>

#include "storage/hash.h"
#include "storage/keyspace.h"
#include "storage/list.h"
#include "storage/set.h"
#include "storage/stream.h"
#include "storage/zset.h"

static inline struct bytes_view numbered(char buf[64], const char *prefix, int n)
{
    return bytes_view(buf, (size_t)snprintf(buf, 64, "%s%d", prefix, n));
}

static inline struct keyref key_of(struct db *db, const char *name)
{
    return keyref(db, bytes_str(name));
}

static inline void fill_strings(struct db *db)
{
    static const int64_t numbers[] = {0,
                                      1,
                                      -1,
                                      127,
                                      128,
                                      -128,
                                      -129,
                                      32767,
                                      32768,
                                      -32769,
                                      INT32_MAX,
                                      INT32_MIN,
                                      (int64_t)INT32_MAX + 1,
                                      INT64_MAX,
                                      INT64_MIN};
    char name[64], text[5000];
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        keyspace_put_int(db, keyref(db, numbered(name, "int:", (int)i)), numbers[i], 0);
    for (size_t len = 0; len < sizeof(text); len = len < 300 ? len + 7 : len + 1000) {
        for (size_t i = 0; i < len; i++) text[i] = (char)(i * i % 251);
        keyspace_put_string(db, keyref(db, numbered(name, "noise:", (int)len)), bytes_view(text, len), 0);
        memset(text, 'r', len);
        keyspace_put_string(db, keyref(db, numbered(name, "run:", (int)len)), bytes_view(text, len), 0);
    }
    keyspace_put_string(db, key_of(db, "12345"), BYTES_LIT("the key is a number"), 0);
    keyspace_put_string(db, key_of(db, "text of a number"), BYTES_LIT("77"), PUT_NO_INT);
    keyspace_put_string(db, key_of(db, ""), BYTES_LIT("the key is empty"), 0);
    memset(text, 'k', 1000);
    keyspace_put_string(db, keyref(db, bytes_view(text, 1000)), BYTES_LIT("the key is long"), 0);
}

static inline struct list *filled_list(const struct value_env *env, int n)
{
    char buf[64];
    struct list *l = list_new(env);
    for (int i = 0; i < n; i++)
        list_push(l, i % 5 == 0 ? LIST_HEAD : LIST_TAIL,
                  i % 3 == 0 ? numbered(buf, "", i % 2000 * 1000003) : numbered(buf, "element ", i));
    return l;
}

static inline struct set *filled_set(const struct value_env *env, const char *prefix, int n)
{
    char buf[64];
    struct set *s = set_new(env, numbered(buf, prefix, 0), 1);
    for (int i = 0; i < n; i++) set_add(s, numbered(buf, prefix, i * 7));
    return s;
}

static inline struct hash *filled_hash(const struct value_env *env, int n)
{
    char field[64], value[64];
    struct hash *h = hash_new(env);
    for (int i = 0; i < n; i++) hash_set(h, numbered(field, i % 2 ? "f" : "", i), numbered(value, i % 3 ? "v" : "", i));
    return h;
}

static inline struct zset *filled_zset(const struct value_env *env, int n)
{
    static const double special[] = {INFINITY, -INFINITY, -0.0, 5e-324, 0.1, 1e300, -7};
    char buf[64];
    struct zset *z = zset_new(env, 0, 0);
    for (int i = 0; i < n; i++) zset_set(z, numbered(buf, "m", i), i < 7 ? special[i] : i / 7.0 - 3);
    return z;
}

/* Entries with gaps, and a group that has read some of them and acknowledged every third. */
static inline struct stream *filled_stream(const struct value_env *env, int n)
{
    char value[64];
    struct stream *s = stream_new(env);
    struct stream_group *g = stream_group_create(s, BYTES_LIT("g"), STREAM_ID_MIN, 0);
    struct stream_consumer *c[2] = {stream_consumer_create(g, BYTES_LIT("even"), 1700000000001),
                                    stream_consumer_create(g, BYTES_LIT("odd"), 1700000000002)};
    for (uint64_t i = 1; i <= (uint64_t)n; i++) {
        struct bytes_view pair[] = {i % 9 ? BYTES_LIT("field") : BYTES_LIT("other"),
                                    numbered(value, i % 2 ? "v" : "", n)};
        if (stream_append(s, (struct stream_id){i / 3, i}, pair, 1) != 0) abort();
        if (i > 5 && i % 3 != 0) stream_pending_add(g, c[i % 2], (struct stream_id){i / 3, i}, 1700000000003, i);
        if (i % 7 == 0) stream_delete(s, (struct stream_id){i / 3, i});
    }
    return s;
}

static inline void fill_collections(struct db *db)
{
    const struct value_env *env = db->keyspace->env;
    char name[64];
    for (int n = 1; n < 3000; n *= 5) {
        keyspace_put_value(db, keyref(db, numbered(name, "list:", n)), TYPE_LIST, filled_list(env, n), 0);
        keyspace_put_value(db, keyref(db, numbered(name, "intset:", n)), TYPE_SET, filled_set(env, "", n), 0);
        keyspace_put_value(db, keyref(db, numbered(name, "wide intset:", n)), TYPE_SET, filled_set(env, "100000000", n),
                           0);
        keyspace_put_value(db, keyref(db, numbered(name, "set:", n)), TYPE_SET, filled_set(env, "m", n), 0);
        keyspace_put_value(db, keyref(db, numbered(name, "hash:", n)), TYPE_HASH, filled_hash(env, n), 0);
        keyspace_put_value(db, keyref(db, numbered(name, "zset:", n)), TYPE_ZSET, filled_zset(env, n), 0);
        keyspace_put_value(db, keyref(db, numbered(name, "stream:", n)), TYPE_STREAM, filled_stream(env, n), 0);
    }
    char *big = calloc(1, 100000);
    struct list *l = list_new(env);
    list_push(l, LIST_TAIL, bytes_view(big, 100000));
    list_push(l, LIST_TAIL, BYTES_LIT("small"));
    keyspace_put_value(db, key_of(db, "list with a big element"), TYPE_LIST, l, 0);
    free(big);
}

static inline void fill_expiry(struct db *db, const char *name, int64_t at_ms)
{
    struct keyref key = key_of(db, name);
    keyspace_set_expiry(db, key, keyspace_put_string(db, key, bytes_str(name), 0), at_ms);
    char of_hash[64];
    snprintf(of_hash, sizeof(of_hash), "hash %s", name);
    key = key_of(db, of_hash);
    keyspace_set_expiry(db, key, keyspace_put_value(db, key, TYPE_HASH, filled_hash(db->keyspace->env, 3), 0), at_ms);
}

/* Every other field of small and big hashes expires, some at the same time. For files of version 12 and later. */
static inline void fill_timed_hashes(struct db *db)
{
    char name[64], field[64];
    for (int n = 1; n < 3000; n *= 5) {
        struct keyref key = keyref(db, numbered(name, "timed hash:", n));
        struct entry *e = keyspace_put_value(db, key, TYPE_HASH, filled_hash(db->keyspace->env, n), 0);
        for (int i = 0; i < n; i += 2)
            keyspace_set_field_time(db, e, numbered(field, "", i), 4102444800000 + i % 10 * 1000000007LL);
        if (n == 25) keyspace_set_field_time(db, e, BYTES_LIT("0"), 1);
        if (n == 625) keyspace_set_field_time(db, e, BYTES_LIT("f1"), HASH_TIME_MAX);
    }
    struct keyref key = keyref(db, BYTES_LIT("hash that was timed"));
    struct entry *e = keyspace_put_value(db, key, TYPE_HASH, filled_hash(db->keyspace->env, 3), 0);
    keyspace_set_field_time(db, e, BYTES_LIT("0"), 4102444800000);
    keyspace_set_field_time(db, e, BYTES_LIT("0"), HASH_FIELD_STAYS);
}

static inline void fill_keyspace(struct keyspace *ks)
{
    fill_strings(keyspace_db(ks, 0));
    fill_collections(keyspace_db(ks, 0));
    fill_expiry(keyspace_db(ks, 0), "expires", 4102444800123);
    fill_expiry(keyspace_db(ks, 0), "expires at once", 0);
    fill_collections(keyspace_db(ks, 3));
    fill_expiry(keyspace_db(ks, 15), "expires", 4102444800123);
}

#endif
