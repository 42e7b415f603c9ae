#include "storage/base/sha1.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "storage/base/memory.h"
#include "storage/base/sys.h"

static void assert_digest(const unsigned char digest[SHA1_SIZE], const char *hex)
{
    char got[2 * SHA1_SIZE + 1];
    for (size_t i = 0; i < SHA1_SIZE; i++) snprintf(got + 2 * i, 3, "%02x", digest[i]);
    assert_string_equal(got, hex);
}

static void check(const char *text, const char *hex)
{
    unsigned char digest[SHA1_SIZE];
    sha1(text, strlen(text), digest);
    assert_digest(digest, hex);
}

/* Messages of the FIPS 180 examples, one on each side of the block limits, and a million bytes. */
static void test_known_digests(void **state)
{
    check("abc", "a9993e364706816aba3e25717850c26c9cd0d89d");
    check("", "da39a3ee5e6b4b0d3255bfef95601890afd80709");
    check("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
    check("abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopq"
          "rstu",
          "a49b2446a02c645bf419f995b67091253a04a259");
    unsigned char digest[SHA1_SIZE];
    char *million = mem_alloc(1000000);
    memset(million, 'a', 1000000);
    sha1(million, 1000000, digest);
    assert_digest(digest, "34aa973cd4c4daa4f61eeb2bdbad27316534016f");
    mem_free(million);
}

static void test_any_split(void **state)
{
    unsigned char data[400], whole[SHA1_SIZE], parts[SHA1_SIZE];
    struct rng rng;
    rng_seed(&rng, 9);
    for (size_t i = 0; i < sizeof(data); i++) data[i] = (unsigned char)rng_next(&rng);
    for (int round = 0; round < 5000; round++) {
        struct sha1 h;
        size_t len = rng_below(&rng, sizeof(data) + 1);
        sha1(data, len, whole);
        sha1_init(&h);
        for (size_t done = 0, step; done < len; done += step) {
            step = 1 + rng_below(&rng, 130);
            if (step > len - done) step = len - done;
            sha1_update(&h, data + done, step);
        }
        sha1_final(&h, parts);
        assert_memory_equal(parts, whole, SHA1_SIZE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_digests),
        cmocka_unit_test(test_any_split),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
