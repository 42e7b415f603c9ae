#include "storage/digest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/storage/keyspace_fill.h"

/* The digests below are what redis-server 7.0.15 answered to DEBUG DIGEST and DEBUG DIGEST-VALUE for the same data. */

static struct keyspace *new_keyspace(void)
{
    static struct encoding_limits limits;
    limits = encoding_limits_default();
    struct keyspace *ks = keyspace_new(16, &limits, NULL, sys_real());
    keyspace_set_time(ks, 1000000000000);
    return ks;
}

static void assert_value_digest(struct db *db, const char *key, const char *want)
{
    unsigned char digest[DIGEST_SIZE];
    char hex[2 * DIGEST_SIZE + 1];
    digest_value(keyspace_find(db, key_of(db, key), 0), digest);
    digest_format(digest, hex);
    assert_string_equal(hex, want);
}

static void assert_digest(struct keyspace *ks, const char *want)
{
    unsigned char digest[DIGEST_SIZE];
    char hex[2 * DIGEST_SIZE + 1];
    digest_keyspace(ks, digest);
    digest_format(digest, hex);
    assert_string_equal(hex, want);
}

static void expire(struct db *db, const char *key)
{
    keyspace_set_expiry(db, key_of(db, key), keyspace_find_for_write(db, key_of(db, key)), 4102444800000);
}

static void fill_like_redis(struct db *db)
{
    const struct value_env *env = db->keyspace->env;
    struct list *l = list_new(env), *big_list = list_new(env);
    struct set *ints = set_new(env, BYTES_LIT("1"), 1), *s = set_new(env, BYTES_LIT("a"), 1);
    struct set *big_set = set_new(env, BYTES_LIT("m0"), 1);
    struct zset *z = zset_new(env, 0, 0), *big_zset = zset_new(env, 0, 0);
    struct hash *h = hash_new(env), *big_hash = hash_new(env);
    static const double scores[] = {1, 2.5, INFINITY, -INFINITY, -0.0, 1e20, 0.1};
    static const char *const members[] = {"a", "b", "3", "-4"};
    char a[64], b[64];
    for (int i = 0; i < 4; i++) list_push(l, LIST_TAIL, bytes_str(members[i]));
    for (int i = 1; i <= 3; i++) set_add(ints, numbered(a, "", i));
    set_add(s, BYTES_LIT("a")), set_add(s, BYTES_LIT("b")), set_add(s, BYTES_LIT("1"));
    for (int i = 0; i < 7; i++) zset_set(z, bytes_view(&"abcdefg"[i], 1), scores[i]);
    hash_set(h, BYTES_LIT("f"), BYTES_LIT("v")), hash_set(h, BYTES_LIT("n"), BYTES_LIT("12"));
    for (int i = 0; i < 1000; i++) {
        list_push(big_list, LIST_TAIL, numbered(a, "element ", i));
        set_add(big_set, numbered(a, "m", i));
        zset_set(big_zset, numbered(a, "m", i), i / 7.0);
        hash_set(big_hash, numbered(a, "f", i), numbered(b, "", i));
    }
    keyspace_put_string(db, key_of(db, "str"), BYTES_LIT("hello"), 0);
    keyspace_put_string(db, key_of(db, "empty"), BYTES_LIT(""), 0);
    keyspace_put_int(db, key_of(db, "int"), -123, 0);
    keyspace_put_value(db, key_of(db, "list"), TYPE_LIST, l, 0);
    keyspace_put_value(db, key_of(db, "biglist"), TYPE_LIST, big_list, 0);
    keyspace_put_value(db, key_of(db, "intset"), TYPE_SET, ints, 0);
    keyspace_put_value(db, key_of(db, "set"), TYPE_SET, s, 0);
    keyspace_put_value(db, key_of(db, "bigset"), TYPE_SET, big_set, 0);
    keyspace_put_value(db, key_of(db, "zset"), TYPE_ZSET, z, 0);
    keyspace_put_value(db, key_of(db, "bigzset"), TYPE_ZSET, big_zset, 0);
    keyspace_put_value(db, key_of(db, "hash"), TYPE_HASH, h, 0);
    keyspace_put_value(db, key_of(db, "bighash"), TYPE_HASH, big_hash, 0);
    keyspace_put_string(db, key_of(db, "expires"), BYTES_LIT("v"), 0);
    expire(db, "expires");
    expire(db, "bighash");
}

static void test_digest_value(void **state)
{
    static const char *const rows[][2] = {
        {"str", "36b23a1456b2dce2c3ed252c456761301dba8060"},
        {"empty", "8b3447c33a834b810e3e181b6fd6a2ee1020921c"},
        {"int", "e5a1931bf1607b9a0eab41d693dd6051cb4dc591"},
        {"list", "e2135c2c60f8e5d42d60d63fa5f9364b9cdc8c2a"},
        {"biglist", "bd6ccd73afc7e3454fad843650577f60ba44f064"},
        {"intset", "2a462a3f51a1db89738ebbeef0c47ce1bbc85246"},
        {"set", "e8f32bbb1ad9bf537c8867de4f19fec9e001296d"},
        {"bigset", "351b86706c8181e24728b9ef86e9e314ac39d342"},
        {"zset", "1a90e760d383a9ac3da031ae8da05e5cff5a5e5c"},
        {"bigzset", "f42d2cb7bc87f7fd5070c74016392094f5645e5c"},
        {"hash", "76d7ce7d8cb69c65ddb54b94589fa9396351461b"},
        {"bighash", "eb0d75a6f18e9c2c66daf9f9db431c340caf8719"},
        {"expires", "311b17018163335616e089f6b951c82c477335ac"},
    };
    struct keyspace *ks = new_keyspace();
    struct db *db = keyspace_db(ks, 0);
    fill_like_redis(db);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) assert_value_digest(db, rows[i][0], rows[i][1]);
    assert_value_digest(db, "no such key", "0000000000000000000000000000000000000000");
    keyspace_free(ks);
}

/* The digest of one field by the definition of Redis 7.4: field and value, mixed with a mark if the field expires. */
static void test_times_of_fields_are_seen(void **state)
{
    struct keyspace *ks = new_keyspace();
    struct db *db = keyspace_db(ks, 0);
    unsigned char without[DIGEST_SIZE], one[DIGEST_SIZE], other[DIGEST_SIZE], both[DIGEST_SIZE];
    struct hash *h = hash_new(ks->env);
    hash_set(h, BYTES_LIT("f"), BYTES_LIT("v")), hash_set(h, BYTES_LIT("n"), BYTES_LIT("12"));
    struct entry *e = keyspace_put_value(db, key_of(db, "hash"), TYPE_HASH, h, 0);
    assert_value_digest(db, "hash", "76d7ce7d8cb69c65ddb54b94589fa9396351461b");
    digest_value(e, without);
    keyspace_set_field_time(db, e, BYTES_LIT("f"), 1000);
    digest_value(e, one);
    keyspace_set_field_time(db, e, BYTES_LIT("n"), 2000);
    digest_value(e, both);
    keyspace_set_field_time(db, e, BYTES_LIT("f"), HASH_FIELD_STAYS);
    digest_value(e, other);
    assert_memory_not_equal(without, one, DIGEST_SIZE);
    assert_memory_not_equal(one, other, DIGEST_SIZE);
    assert_memory_not_equal(without, both, DIGEST_SIZE);
    keyspace_set_field_time(db, e, BYTES_LIT("n"), HASH_FIELD_STAYS);
    assert_value_digest(db, "hash", "76d7ce7d8cb69c65ddb54b94589fa9396351461b");
    keyspace_free(ks);
}

static void test_digest(void **state)
{
    struct keyspace *ks = new_keyspace();
    assert_digest(ks, "0000000000000000000000000000000000000000");
    fill_like_redis(keyspace_db(ks, 0));
    assert_digest(ks, "e48f363f7b9e7c1585096fd211c2eaebccd4f9f0");
    fill_like_redis(keyspace_db(ks, 3));
    fill_like_redis(keyspace_db(ks, 15));
    assert_digest(ks, "7c0db04764827ea3c9924a0be0b7c38989d836cf");
    keyspace_flush(ks, NULL, false);
    assert_digest(ks, "0000000000000000000000000000000000000000");
    keyspace_free(ks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_digest_value),
        cmocka_unit_test(test_times_of_fields_are_seen),
        cmocka_unit_test(test_digest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
