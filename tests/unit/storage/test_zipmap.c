#include "storage/zipmap.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "storage/base/memory.h"
#include "storage/base/sys.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static size_t from_hex(const char *hex, unsigned char *out)
{
    size_t n = 0;
    for (unsigned byte; sscanf(hex + 2 * n, "%2x", &byte) == 1; n++) out[n] = (unsigned char)byte;
    return n;
}

static void expect_pair(struct zipmap_iter *it, const char *field, const char *value)
{
    struct bytes_view f, v;
    assert_int_equal(zipmap_next(it, &f, &v), 1);
    assert_true(bytes_equal(f, bytes_str(field)));
    assert_true(bytes_equal(v, bytes_str(value)));
}

static void expect_end(struct zipmap_iter *it)
{
    struct bytes_view f, v;
    assert_int_equal(zipmap_next(it, &f, &v), 0);
    assert_int_equal(zipmap_next(it, &f, &v), 0);
}

/* From an RDB file of Redis 2.4. */
static void test_reads_what_redis_wrote(void **state)
{
    unsigned char blob[64];
    struct zipmap_iter it;
    size_t len = from_hex("020266310200763102663202007632ff", blob), count;
    assert_int_equal(zipmap_open(&it, bytes_view(blob, len)), 0);
    expect_pair(&it, "f1", "v1");
    expect_pair(&it, "f2", "v2");
    expect_end(&it);
    assert_int_equal(zipmap_validate(bytes_view(blob, len), &count), 0);
    assert_int_equal(count, 2);
}

static void test_unused_bytes_and_unknown_count(void **state)
{
    unsigned char blob[64];
    struct zipmap_iter it;
    size_t len = from_hex("fe"
                          "016b"
                          "020276"
                          "76ffff"
                          "00"
                          "0000"
                          "ff",
                          blob);
    assert_int_equal(zipmap_open(&it, bytes_view(blob, len)), 0);
    expect_pair(&it, "k", "vv");
    expect_pair(&it, "", "");
    expect_end(&it);
}

static void test_empty(void **state)
{
    size_t count = 42;
    assert_int_equal(zipmap_validate(BYTES_LIT("\x00\xff"), &count), 0);
    assert_int_equal(count, 0);
}

static void test_long_strings(void **state)
{
    unsigned char blob[2000] = {1}, *p = blob + 1;
    const uint32_t field_len = 254, value_len = 1000;
    *p++ = 254;
    memcpy(p, &field_len, 4);
    memset(p + 4, 'f', field_len);
    p += 4 + field_len;
    *p++ = 254;
    memcpy(p, &value_len, 4);
    p[4] = 3; /* unused */
    memset(p + 5, 'v', value_len);
    p += 5 + value_len + 3;
    *p++ = 255;
    struct zipmap_iter it;
    struct bytes_view f, v;
    assert_int_equal(zipmap_open(&it, bytes_view(blob, (size_t)(p - blob))), 0);
    assert_int_equal(zipmap_next(&it, &f, &v), 1);
    assert_int_equal(f.len, field_len);
    assert_int_equal(v.len, value_len);
    assert_true(v.data[0] == 'v' && v.data[value_len - 1] == 'v');
    expect_end(&it);
}

static int validate_exact(const unsigned char *bytes, size_t len) /* in a block of that size, for the sanitizer */
{
    size_t count;
    unsigned char *exact = memcpy(mem_alloc(len), bytes, len);
    int rc = zipmap_validate(bytes_view(exact, len), &count);
    mem_free(exact);
    return rc;
}

static void test_CVE_2026_25243_zipmap_refuses_malformed(void **state)
{
    static const char *const bad[] = {
        "",
        "ff",
        "00",
        "0000",
        "01ff",                   /* a pair too few */
        "0000000000ff",           /* a pair too many */
        "01016b017600",           /* no end */
        "01016bff",               /* no value */
        "01016b01ff",             /* value without its unused byte: taken from the end mark */
        "01016b0100ff",           /* value over the end */
        "01016b010176ff",         /* unused bytes over the end */
        "01026bff",               /* field over the end */
        "01ff6b010076ff",         /* the end inside */
        "01fe6b0000ff",           /* wide length cut off */
        "01feffffffff6b010076ff", /* field of 4 GB */
        "01016bfeffffffff0076ff", /* value of 4 GB */
        "01016b01007600ff",       /* a byte left over */
    };
    for (size_t i = 0; i < COUNT(bad); i++) {
        unsigned char bytes[64];
        size_t len = from_hex(bad[i], bytes);
        if (validate_exact(bytes, len) != -EINVAL) fail_msg("accepted: %s", bad[i]);
    }
}

static void test_zipmap_survives_mutations(void **state)
{
    unsigned char base[64];
    size_t base_len = from_hex("03"
                               "026631020076"
                               "31"
                               "02663206"
                               "02000000000000"
                               "0000"
                               "fe03000000616263"
                               "0000"
                               "ff",
                               base);
    assert_int_equal(validate_exact(base, base_len), 0);
    struct rng rng;
    rng_seed(&rng, 13);
    size_t accepted = 0;
    for (int i = 0; i < 100000; i++) {
        unsigned char bytes[64];
        size_t len = rng_below(&rng, 8) ? base_len : rng_below(&rng, base_len + 1);
        memcpy(bytes, base, len);
        for (uint64_t n = rng_below(&rng, 3); n > 0 && len > 0; n--)
            bytes[rng_below(&rng, len)] =
                (unsigned char)(rng_below(&rng, 2) ? rng_next(&rng) : 0xFC | (rng_next(&rng) & 3));
        accepted += validate_exact(bytes, len) == 0;
    }
    assert_in_range(accepted, 1000, 99000); /* both sides were exercised */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_what_redis_wrote),
        cmocka_unit_test(test_unused_bytes_and_unknown_count),
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_long_strings),
        cmocka_unit_test(test_CVE_2026_25243_zipmap_refuses_malformed),
        cmocka_unit_test(test_zipmap_survives_mutations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
