#include "storage/hash_secret.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static struct hash_secret numbered(void)
{
    struct hash_secret secret;
    for (int i = 0; i < HASH_SECRET_SIZE; i++) secret.bytes[i] = (unsigned char)(i * 17);
    return secret;
}

/* Servers of different versions must derive the same numbers. Computed with Python's hashlib. */
static void test_derived_numbers_never_change(void **state)
{
    struct hash_secret secret = numbered();
    (void)state;
    assert_int_equal(hash_secret_key_seed(&secret), 0xcaa585b7fb170782u);
    assert_int_equal(hash_secret_element_seed(&secret), 0x5d8d0415286bd5d1u);
    assert_int_equal(hash_secret_fingerprint(&secret), 0x7d0e4ef89bc4f35bu);
}

static void test_each_bit_counts(void **state)
{
    struct hash_secret secret = numbered();
    uint64_t key = hash_secret_key_seed(&secret), element = hash_secret_element_seed(&secret);
    (void)state;
    for (int bit = 0; bit < 8 * HASH_SECRET_SIZE; bit++) {
        struct hash_secret other = secret;
        other.bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
        assert_false(hash_secret_equal(&secret, &other));
        assert_true(hash_secret_key_seed(&other) != key);
        assert_true(hash_secret_element_seed(&other) != element);
        assert_true(hash_secret_fingerprint(&other) != hash_secret_fingerprint(&secret));
    }
}

static void test_text_and_back(void **state)
{
    struct hash_secret secret = numbered(), read;
    char hex[HASH_SECRET_HEX_CHARS + 1];
    (void)state;
    hash_secret_format(&secret, hex);
    assert_string_equal(hex, "00112233445566778899aabbccddeeff");
    assert_true(hash_secret_parse(bytes_str(hex), &read));
    assert_true(hash_secret_equal(&secret, &read));
}

static void test_other_texts_are_refused(void **state)
{
    static const char *const bad[] = {"",
                                      "00112233445566778899aabbccddeef",
                                      "00112233445566778899aabbccddeeff0",
                                      "00112233445566778899AABBCCDDEEFF",
                                      "00112233445566778899aabbccddeefg",
                                      " 0112233445566778899aabbccddeeff"};
    struct hash_secret secret = numbered(), read = secret;
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) assert_false(hash_secret_parse(bytes_str(bad[i]), &read));
    assert_true(hash_secret_equal(&secret, &read));
}

static void test_random_ones_differ(void **state)
{
    struct hash_secret a, b;
    (void)state;
    hash_secret_random(&a, sys_real());
    hash_secret_random(&b, sys_real());
    assert_false(hash_secret_equal(&a, &b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_derived_numbers_never_change),
        cmocka_unit_test(test_each_bit_counts),
        cmocka_unit_test(test_text_and_back),
        cmocka_unit_test(test_other_texts_are_refused),
        cmocka_unit_test(test_random_ones_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
