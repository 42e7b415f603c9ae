#include "storage/hash_item.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "storage/base/memory.h"
#include "storage/base/sys.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const size_t lengths[] = {0, 1, 7, 100, 253, 254, 255, 256, 1000, 70000};
static char noise[70000];

static void fill_noise(void)
{
    for (size_t i = 0; i < sizeof(noise); i++) noise[i] = (char)(i * 131 >> 3);
}

static void expect(const char *item, struct bytes_view field, struct bytes_view value, bool expires)
{
    struct item_view v = item_view(item);
    assert_true(bytes_equal(v.field, field));
    assert_true(bytes_equal(v.value, value));
    assert_int_equal(item_expires(item), expires);
    assert_true(item_memory(item) >= field.len + value.len + (expires ? 9 : 2));
}

static void test_items_of_every_length(void **state)
{
    fill_noise();
    for (size_t f = 0; f < COUNT(lengths); f++)
        for (size_t v = 0; v < COUNT(lengths); v++)
            for (int expires = 0; expires <= 1; expires++) {
                struct bytes_view field = bytes_view(noise, lengths[f]), value = bytes_view(noise + 1, lengths[v] / 2);
                char *item = item_new(field, value, expires);
                expect(item, field, value, expires);
                item_free(NULL, item);
            }
}

static void test_a_slot_holds_six_bytes(void **state)
{
    static const size_t slots[] = {0, 1, 255, 256, 65536, ((size_t)1 << 48) - 1};
    char *item = item_new(BYTES_LIT("field"), BYTES_LIT("value"), true);
    for (size_t i = 0; i < COUNT(slots); i++) {
        item_set_slot(item, slots[i]);
        assert_true(item_slot(item) == slots[i]);
        expect(item, BYTES_LIT("field"), BYTES_LIT("value"), true);
    }
    item_free(NULL, item);
}

static void test_another_value_keeps_field_and_slot(void **state)
{
    struct rng rng;
    rng_seed(&rng, 3);
    fill_noise();
    for (int expires = 0; expires <= 1; expires++)
        for (size_t f = 0; f < COUNT(lengths) - 1; f++) {
            struct bytes_view field = bytes_view(noise + 5, lengths[f]);
            char *item = item_new(field, BYTES_LIT("first"), expires);
            if (expires) item_set_slot(item, 123456);
            for (int round = 0; round < 60; round++) {
                size_t len = lengths[rng_below(&rng, COUNT(lengths) - 1)];
                struct bytes_view value = bytes_view(noise + rng_below(&rng, 1000), len);
                item = item_set_value(item, value);
                expect(item, field, value, expires);
                if (expires) assert_int_equal(item_slot(item), 123456);
            }
            item_free(NULL, item);
        }
}

static void test_a_value_of_the_same_length_is_changed_in_place(void **state)
{
    char *item = item_new(BYTES_LIT("field"), BYTES_LIT("one"), false);
    assert_ptr_equal(item_set_value(item, BYTES_LIT("two")), item);
    expect(item, BYTES_LIT("field"), BYTES_LIT("two"), false);
    item_free(NULL, item);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_items_of_every_length),
        cmocka_unit_test(test_a_slot_holds_six_bytes),
        cmocka_unit_test(test_another_value_keeps_field_and_slot),
        cmocka_unit_test(test_a_value_of_the_same_length_is_changed_in_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
