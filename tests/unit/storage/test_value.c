#include "storage/value.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "storage/hash.h"
#include "storage/list.h"
#include "storage/set.h"
#include "storage/stream.h"
#include "storage/zset.h"

struct fixture {
    struct encoding_limits limits;
    struct rng rng;
    struct value_env env;
};

static void fixture_init(struct fixture *f)
{
    f->limits = encoding_limits_default();
    rng_seed(&f->rng, 1);
    f->env = (struct value_env){.key_seed = 5, .element_seed = 5, .limits = &f->limits, .rng = &f->rng};
}

/* A collection of each type with the three elements a, b and c. */
static void *collection(const struct value_env *env, enum value_type type)
{
    static const char *const elements[] = {"a", "b", "c"};
    void *value = type == TYPE_LIST   ? (void *)list_new(env)
                  : type == TYPE_SET  ? (void *)set_new(env, BYTES_LIT("a"), 0)
                  : type == TYPE_ZSET ? (void *)zset_new(env, 0, 0)
                  : type == TYPE_HASH ? (void *)hash_new(env)
                                      : (void *)stream_new(env);
    for (int i = 0; i < 3; i++) {
        struct bytes_view element = bytes_str(elements[i]), pair[2] = {element, element};
        if (type == TYPE_LIST) list_push(value, LIST_TAIL, element);
        if (type == TYPE_SET) assert_true(set_add(value, element));
        if (type == TYPE_ZSET) assert_int_equal(zset_set(value, element, i), ZSET_ADDED);
        if (type == TYPE_HASH) assert_true(hash_set(value, element, element));
        if (type == TYPE_STREAM) assert_int_equal(stream_append(value, (struct stream_id){1, (uint64_t)i}, pair, 1), 0);
    }
    return value;
}

static void test_operations_reach_the_type(void **state)
{
    static const enum value_type types[] = {TYPE_LIST, TYPE_SET, TYPE_ZSET, TYPE_HASH, TYPE_STREAM};
    struct fixture f;
    fixture_init(&f);
    for (size_t i = 0; i < 5; i++) {
        void *value = collection(&f.env, types[i]), *copy = value_dup(types[i], value);
        assert_ptr_not_equal(value, copy);
        assert_int_equal(value_count(types[i], copy), 3);
        assert_int_equal(value_encoding_of(types[i], copy),
                         types[i] == TYPE_STREAM ? ENCODING_STREAM : ENCODING_LISTPACK);
        assert_in_range(value_memory(types[i], copy, 0), 16, 512);
        assert_in_range(value_free_effort(types[i], copy), 1, 3);
        value_free(types[i], value);
        value_free(types[i], copy);
    }
}

static void test_names_are_those_of_redis(void **state)
{
    static const char *const types[] = {[TYPE_STRING] = "string", [TYPE_LIST] = "list", [TYPE_SET] = "set",
                                        [TYPE_ZSET] = "zset",     [TYPE_HASH] = "hash", [TYPE_STREAM] = "stream"};
    static const char *const encodings[] = {[ENCODING_RAW] = "raw",
                                            [ENCODING_INT] = "int",
                                            [ENCODING_EMBSTR] = "embstr",
                                            [ENCODING_LISTPACK] = "listpack",
                                            [ENCODING_QUICKLIST] = "quicklist",
                                            [ENCODING_INTSET] = "intset",
                                            [ENCODING_HASHTABLE] = "hashtable",
                                            [ENCODING_SKIPLIST] = "skiplist",
                                            [ENCODING_STREAM] = "stream",
                                            [ENCODING_LISTPACK_EX] = "listpackex"};
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (types[i] != NULL) assert_string_equal(value_type_name((enum value_type)i), types[i]);
    for (size_t i = 0; i < sizeof(encodings) / sizeof(encodings[0]); i++)
        assert_string_equal(value_encoding_name((enum value_encoding)i), encodings[i]);
}

static void test_hash_depends_on_the_secret(void **state)
{
    struct fixture f;
    fixture_init(&f);
    uint64_t before = value_hash(&f.env, BYTES_LIT("key"));
    assert_true(before == value_hash(&f.env, BYTES_LIT("key")));
    f.env.element_seed = 6;
    assert_true(before != value_hash(&f.env, BYTES_LIT("key")));
}

/* Prefetching changes nothing, for members that are there and for others, small and large. */
static void test_prefetching(void **state)
{
    static const enum value_type types[] = {TYPE_LIST, TYPE_SET, TYPE_ZSET, TYPE_HASH, TYPE_STREAM};
    struct fixture f;
    fixture_init(&f);
    for (int large = 0; large <= 1; large++) {
        if (large) f.limits.set_max_listpack_entries = f.limits.zset_max_entries = f.limits.hash_max_entries = 2;
        for (size_t i = 0; i < 5; i++) {
            void *value = collection(&f.env, types[i]);
            for (int step = 0; step <= 1; step++) {
                value_prefetch(types[i], value, BYTES_LIT("a"), step);
                value_prefetch(types[i], value, BYTES_LIT("absent"), step);
            }
            assert_int_equal(value_count(types[i], value), 3);
            value_free(types[i], value);
        }
    }
    value_prefetch(TYPE_STRING, NULL, BYTES_LIT("a"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_operations_reach_the_type),
        cmocka_unit_test(test_names_are_those_of_redis),
        cmocka_unit_test(test_hash_depends_on_the_secret),
        cmocka_unit_test(test_prefetching),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
