#include "storage/value.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

enum { LONGEST = 2000 };

/* Hashing all starts of a text at once gives the same as hashing each of them. */
static void test_fault_5_hashes_of_starts(void **state)
{
    struct value_env env = {.hash_seed = 0x1234567890abcdefu};
    static char text[LONGEST];
    static size_t lengths[LONGEST + 1];
    static uint64_t hashes[LONGEST + 1];
    (void)state;
    for (size_t i = 0; i < LONGEST; i++) text[i] = (char)(i * 7 + i / 256);
    for (size_t step = 1; step < 400; step = step * 2 + 1) {
        size_t count = 0;
        for (size_t length = 0; length <= LONGEST; length += step) lengths[count++] = length;
        value_hash_starts(&env, bytes_view(text, LONGEST), lengths, count, hashes);
        for (size_t i = 0; i < count; i++) assert_true(hashes[i] == value_hash(&env, bytes_view(text, lengths[i])));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_fault_5_hashes_of_starts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
