#include "storage/base/crc64.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "storage/base/sys.h"

static void test_check_value(void **state)
{
    assert_true(crc64(0, "123456789", 9) == 0xe9c6d914c4b8d9ca);
    assert_true(crc64(0, "", 0) == 0);
    assert_true(crc64(42, NULL, 0) == 42);
}

/* The polynomial, a bit at a time. */
static uint64_t reference(uint64_t crc, const unsigned char *p, size_t len)
{
    const uint64_t reflected = 0x95ac9329ac4bc9b5; /* of 0xad93d23594c935a9 */
    for (; len > 0; len--) {
        crc ^= *p++;
        for (int i = 0; i < 8; i++) crc = crc & 1 ? crc >> 1 ^ reflected : crc >> 1;
    }
    return crc;
}

static void test_any_split_and_alignment(void **state)
{
    unsigned char data[512];
    struct rng rng;
    rng_seed(&rng, 8);
    for (int round = 0; round < 20000; round++) {
        size_t from = rng_below(&rng, 16), len = rng_below(&rng, sizeof(data) - 15), cut = rng_below(&rng, len + 1);
        for (size_t i = 0; i < sizeof(data); i += 8) memcpy(data + i, &(uint64_t){rng_next(&rng)}, 8);
        uint64_t start = rng_next(&rng), expected = reference(start, data + from, len);
        assert_true(crc64(start, data + from, len) == expected);
        assert_true(crc64(crc64(start, data + from, cut), data + from + cut, len - cut) == expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_check_value),
        cmocka_unit_test(test_any_split_and_alignment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
