#include "storage/base/lzf.h"

#include <errno.h>
#include <liblzf/lzf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "storage/base/memory.h"
#include "storage/base/sys.h"

static void test_round_trip(void **state)
{
    struct rng rng;
    rng_seed(&rng, 10);
    for (int round = 0; round < 2000; round++) {
        char in[3000], packed[4000], out[3000];
        size_t len = 1 + rng_below(&rng, sizeof(in));
        for (size_t i = 0; i < len; i++) in[i] = (char)('a' + rng_below(&rng, 2));
        size_t packed_len = lzf_pack(bytes_view(in, len), packed, sizeof(packed));
        if (len > 100) assert_in_range(packed_len, 1, len - 1);
        if (packed_len == 0) continue;
        assert_int_equal(lzf_unpack(bytes_view(packed, packed_len), out, len), 0);
        assert_memory_equal(in, out, len);
        assert_int_equal(lzf_unpack(bytes_view(packed, packed_len), out, len - 1), -EINVAL);
        assert_int_equal(lzf_unpack(bytes_view(packed, packed_len - 1), out, len), -EINVAL);
    }
}

/* Runs with a period of `period` bytes, with some noise between them: repetitions of every distance and length. */
static void fill_periodic(struct rng *rng, char *out, size_t len, size_t period)
{
    for (size_t i = 0; i < len; i++)
        out[i] = i < period || rng_below(rng, 300) == 0 ? (char)rng_next(rng) : out[i - period];
}

static void test_round_trip_of_every_distance(void **state)
{
    struct rng rng;
    rng_seed(&rng, 12);
    for (size_t period = 1; period < 300; period++) {
        for (size_t len = period + 1; len < period + 700; len += 1 + rng_below(&rng, 40)) {
            char in[1000], packed[1100];
            fill_periodic(&rng, in, len, period);
            size_t packed_len = lzf_pack(bytes_view(in, len), packed, sizeof(packed));
            if (packed_len == 0) continue;
            char *out = mem_alloc(len); /* of exact size, for the sanitizer */
            assert_int_equal(lzf_unpack(bytes_view(packed, packed_len), out, len), 0);
            assert_memory_equal(in, out, len);
            mem_free(out);
        }
    }
}

/* The library is the measure for what is well-formed, and of what comes out. */
static void test_unpack_agrees_with_liblzf(void **state)
{
    struct rng rng;
    rng_seed(&rng, 13);
    size_t good = 0;
    for (int round = 0; round < 200000; round++) {
        unsigned char in[60], out[400], expected[400];
        size_t in_len = 2 + rng_below(&rng, sizeof(in) - 1), out_len;
        fill_periodic(&rng, (char *)in, in_len, 1 + rng_below(&rng, 30));
        in[0] &= 31; /* begins with literals: few others get far */
        if (rng_below(&rng, 2) == 0)
            in[1 + rng_below(&rng, in_len - 1)] = (unsigned char)(32 + rng_below(&rng, 7) * 32);
        out_len = lzf_decompress(in, (unsigned)in_len, expected, sizeof(expected));
        if (out_len == 0) {
            assert_int_equal(lzf_unpack(bytes_view(in, in_len), out, sizeof(out)), -EINVAL);
            continue;
        }
        good++;
        assert_int_equal(lzf_unpack(bytes_view(in, in_len), out, out_len), 0);
        assert_memory_equal(out, expected, out_len);
        if (out_len > 1) assert_int_equal(lzf_unpack(bytes_view(in, in_len), out, out_len - 1), -EINVAL);
        assert_int_equal(lzf_unpack(bytes_view(in, in_len), out, out_len + 1), -EINVAL);
    }
    assert_in_range(good, 1000, 200000);
}

static void test_does_not_pack_what_does_not_fit(void **state)
{
    unsigned char in[256], out[256];
    for (size_t i = 0; i < sizeof(in); i++) in[i] = (unsigned char)i;
    assert_int_equal(lzf_pack(bytes_view(in, sizeof(in)), out, sizeof(in) - 4), 0);
    assert_int_equal(lzf_pack(bytes_view(in, 0), out, sizeof(out)), 0);
    assert_int_equal(lzf_pack(bytes_view(in, 10), out, 0), 0);
    assert_int_equal(lzf_pack(bytes_view(in, (size_t)UINT32_MAX + 1), out, sizeof(out)), 0);
}

static void test_unpack_refuses_malformed(void **state)
{
    char out[64];
    assert_int_equal(lzf_unpack(BYTES_LIT(""), out, 1), -EINVAL);
    assert_int_equal(lzf_unpack(BYTES_LIT("\x00"
                                          "a"),
                                out, 0),
                     -EINVAL);
    assert_int_equal(lzf_unpack(BYTES_LIT("\x00"
                                          "a"),
                                out, 2),
                     -EINVAL); /* too short for its target */
    assert_int_equal(lzf_unpack(BYTES_LIT("\x05"
                                          "ab"),
                                out, 6),
                     -EINVAL);                                            /* literal run past the end */
    assert_int_equal(lzf_unpack(BYTES_LIT("\x20\x00"), out, 3), -EINVAL); /* reference before the start */
    assert_int_equal(lzf_unpack(BYTES_LIT("\xe0"), out, 9), -EINVAL);     /* reference cut off */
    assert_int_equal(lzf_unpack(BYTES_LIT("\x00"
                                          "a\xe0\xff\x00"),
                                out, sizeof(out)),
                     -EINVAL); /* longer than its target */
    assert_int_equal(lzf_unpack(bytes_view("\x00"
                                           "a",
                                           (size_t)UINT32_MAX + 1),
                                out, 1),
                     -EINVAL);
    assert_int_equal(lzf_unpack(BYTES_LIT("\x00"
                                          "a"),
                                out, (size_t)UINT32_MAX + 1),
                     -EINVAL);
    assert_int_equal(lzf_unpack(BYTES_LIT("\x00"
                                          "a"),
                                out, 1),
                     0);
    assert_int_equal(out[0], 'a');
}

static void test_unpack_survives_random_bytes(void **state)
{
    struct rng rng;
    rng_seed(&rng, 11);
    for (int round = 0; round < 100000; round++) {
        size_t in_len = 1 + rng_below(&rng, 40), out_len = 1 + rng_below(&rng, 300);
        unsigned char *in = mem_alloc(in_len), *out = mem_alloc(out_len); /* of exact size, for the sanitizer */
        for (size_t i = 0; i < in_len; i++) in[i] = (unsigned char)rng_next(&rng);
        int rc = lzf_unpack(bytes_view(in, in_len), out, out_len);
        assert_true(rc == 0 || rc == -EINVAL);
        mem_free(in);
        mem_free(out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_round_trip_of_every_distance),
        cmocka_unit_test(test_unpack_agrees_with_liblzf),
        cmocka_unit_test(test_does_not_pack_what_does_not_fit),
        cmocka_unit_test(test_unpack_refuses_malformed),
        cmocka_unit_test(test_unpack_survives_random_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
