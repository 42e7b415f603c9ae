#include "storage/entry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "storage/base/memory.h"
#include "storage/keyspace.h"
#include "storage/list.h"
#include "storage/set.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* Only keyspace.c builds entries; these tests read them. */
static struct encoding_limits limits;
static struct keyspace *ks;
static struct db *db;

static int setup(void **state)
{
    limits = encoding_limits_default();
    ks = keyspace_new(1, &limits, NULL, sys_real());
    db = keyspace_db(ks, 0);
    return 0;
}

static int teardown(void **state)
{
    keyspace_free(ks);
    return 0;
}

static char *noise(size_t len, unsigned seed)
{
    char *bytes = malloc(len + 1);
    for (size_t i = 0; i < len; i++) bytes[i] = (char)(i * 31 + seed);
    return bytes;
}

static void check_shape(size_t key_len, size_t value_len, int64_t expiry_ms)
{
    char *key = noise(key_len, 1), *value = noise(value_len, 2);
    struct number_text buf;
    struct entry *e = keyspace_build_string(db, bytes_view(key, key_len), bytes_view(value, value_len), expiry_ms);
    assert_true(bytes_equal(entry_key(e), bytes_view(key, key_len)));
    assert_true(bytes_equal(entry_string(e, &buf), bytes_view(value, value_len)));
    assert_int_equal(entry_string_len(e), value_len);
    assert_int_equal(entry_expiry(e), expiry_ms);
    assert_int_equal(e->type, TYPE_STRING);
    assert_int_equal(entry_encoding(e), value_len <= 44 ? ENCODING_EMBSTR : ENCODING_RAW);
    assert_true(entry_memory(e, 0) >= sizeof(struct entry) + key_len + value_len);
    assert_int_equal(!!(e->flags & ENTRY_INLINE), value_len <= ENTRY_INLINE_MAX);
    keyspace_free_built(e);
    free(key);
    free(value);
}

static void test_strings_of_every_shape(void **state)
{
    static const size_t keys[] = {0, 1, 7, 8, 254, 255, 256, 257, 70000};
    static const size_t values[] = {0, 1, 8, 44, 45, 254, 255, 256, 257, 100000};
    static const int64_t expiries[] = {-1, 0, 1, INT64_MAX};
    for (size_t k = 0; k < COUNT(keys); k++)
        for (size_t v = 0; v < COUNT(values); v++)
            for (size_t x = 0; x < COUNT(expiries); x++) check_shape(keys[k], values[v], expiries[x]);
}

static void test_integers(void **state)
{
    static const char *const numbers[] = {"0", "-1", "12345", "9223372036854775807", "-9223372036854775808"};
    static const char *const texts[] = {"-0", "01", "+1", " 1", "1 ", "9223372036854775808", "1.0", ""};
    struct number_text buf;
    for (size_t i = 0; i < COUNT(numbers); i++) {
        struct entry *e = keyspace_build_string(db, BYTES_LIT("k"), bytes_str(numbers[i]), i % 2 == 0 ? 5 : -1);
        assert_int_equal(entry_encoding(e), ENCODING_INT);
        assert_int_equal(entry_int(e), strtoll(numbers[i], NULL, 10));
        assert_true(bytes_equal(entry_string(e, &buf), bytes_str(numbers[i])));
        assert_int_equal(entry_string_len(e), strlen(numbers[i]));
        assert_int_equal(entry_memory(e, 0), mem_usable_size(e)); /* there is no second allocation */
        keyspace_free_built(e);
    }
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct entry *e = keyspace_build_string(db, BYTES_LIT("k"), bytes_str(texts[i]), -1);
        assert_int_equal(entry_encoding(e), ENCODING_EMBSTR);
        keyspace_free_built(e);
    }
}

static void test_collections_say_their_own_encoding(void **state)
{
    struct list *l = list_new(ks->env);
    for (int i = 0; i < 3; i++) list_push(l, LIST_TAIL, BYTES_LIT("element"));
    struct entry *e = keyspace_build_value(db, BYTES_LIT("list"), TYPE_LIST, l, -1);
    assert_int_equal(entry_encoding(e), ENCODING_LISTPACK);
    assert_ptr_equal(entry_pointer(e), l);
    assert_int_equal(entry_memory(e, 0), mem_usable_size(e) + list_memory(l, 0));
    size_t small = entry_memory(e, 0);
    for (int i = 0; i < 3000; i++) list_push(l, LIST_TAIL, BYTES_LIT("element"));
    assert_int_equal(entry_encoding(e), ENCODING_QUICKLIST);
    assert_true(entry_memory(e, 0) > small + (size_t)3000 * 7);
    keyspace_free_built(e);

    struct set *s = set_new(ks->env, BYTES_LIT("1"), 1);
    set_add(s, BYTES_LIT("1"));
    e = keyspace_build_value(db, BYTES_LIT("set"), TYPE_SET, s, 1000);
    assert_int_equal(entry_encoding(e), ENCODING_INTSET);
    set_add(s, BYTES_LIT("text"));
    assert_int_equal(entry_encoding(e), ENCODING_LISTPACK);
    assert_int_equal(entry_expiry(e), 1000);
    keyspace_free_built(e);
}

static void test_a_blob_is_a_copy(void **state)
{
    char text[] = "some bytes";
    struct blob *b = blob_new(bytes_view(text, 10));
    text[0] = 'X';
    assert_int_equal(b->len, 10);
    assert_int_equal(b->cap, 10);
    assert_false(b->held);
    assert_memory_equal(b->data, "some bytes", 10);
    struct entry *e = keyspace_build_blob(db, BYTES_LIT("k"), b, -1);
    assert_ptr_equal(entry_pointer(e), b); /* taken, not copied */
    assert_int_equal(entry_encoding(e), ENCODING_RAW);
    keyspace_free_built(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_strings_of_every_shape, setup, teardown),
        cmocka_unit_test_setup_teardown(test_integers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_collections_say_their_own_encoding, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_blob_is_a_copy, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
