#include "storage/value.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

enum { LONGEST = 2000 };

/* Hashing all starts of a text at once gives the same as hashing each of them. */
static void test_fault_5_hashes_of_starts(void **state)
{
    const uint64_t seed = 0x1234567890abcdefu;
    static char text[LONGEST];
    static size_t lengths[LONGEST + 1];
    static uint64_t hashes[LONGEST + 1];
    (void)state;
    for (size_t i = 0; i < LONGEST; i++) text[i] = (char)(i * 7 + i / 256);
    for (size_t step = 1; step < 400; step = step * 2 + 1) {
        size_t count = 0;
        for (size_t length = 0; length <= LONGEST; length += step) lengths[count++] = length;
        seeded_hash_starts(seed, bytes_view(text, LONGEST), lengths, count, hashes);
        for (size_t i = 0; i < count; i++) assert_true(hashes[i] == seeded_hash(seed, bytes_view(text, lengths[i])));
    }
}

/* Keys and elements of the same name must not have the same hash: SCAN cursors would tell about hashes in values. */
static void test_keys_and_elements_hash_apart(void **state)
{
    const struct value_env env = {.key_seed = 1, .element_seed = 2};
    struct bytes_view name = BYTES_LIT("a name");
    (void)state;
    assert_true(key_hash(&env, name) == seeded_hash(1, name));
    assert_true(value_hash(&env, name) == seeded_hash(2, name));
    assert_true(key_hash(&env, name) != value_hash(&env, name));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fault_5_hashes_of_starts),
        cmocka_unit_test(test_keys_and_elements_hash_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
