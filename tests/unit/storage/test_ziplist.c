#include "storage/ziplist.h"

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

/* Builds ziplists for the tests from the format's description, entry by entry. */
struct builder {
    unsigned char *bytes;
    size_t len, last, previous, count;
};

static struct builder builder_new(void)
{
    return (struct builder){.bytes = mem_calloc(1 << 20), .len = 10, .last = 10};
}

static void add(struct builder *b, bool wide_previous, const void *encoded, size_t encoded_len, const void *data,
                size_t len)
{
    b->last = b->len;
    if (wide_previous || b->previous >= 254) {
        b->bytes[b->len++] = 254;
        memcpy(b->bytes + b->len, &(uint32_t){(uint32_t)b->previous}, 4);
        b->len += 4;
    } else {
        b->bytes[b->len++] = (unsigned char)b->previous;
    }
    memcpy(b->bytes + b->len, encoded, encoded_len);
    memcpy(b->bytes + b->len + encoded_len, data, len);
    b->len += encoded_len + len;
    b->previous = b->len - b->last;
    b->count++;
}

static void add_string(struct builder *b, const char *data, size_t len)
{
    unsigned char e[5] = {0x80, (unsigned char)(len >> 24), (unsigned char)(len >> 16), (unsigned char)(len >> 8),
                          (unsigned char)len};
    if (len < 64) {
        add(b, false, &(unsigned char){(unsigned char)len}, 1, data, len);
    } else if (len < 16384) {
        add(b, false, (unsigned char[]){(unsigned char)(0x40 | len >> 8), (unsigned char)len}, 2, data, len);
    } else {
        add(b, false, e, 5, data, len);
    }
}

static void add_int(struct builder *b, unsigned char encoding, int64_t value, size_t width)
{
    add(b, false, &encoding, 1, &value, width);
}

static struct bytes_view finish(struct builder *b)
{
    b->bytes[b->len++] = 0xFF;
    memcpy(b->bytes, &(uint32_t){(uint32_t)b->len}, 4);
    memcpy(b->bytes + 4, &(uint32_t){(uint32_t)b->last}, 4);
    memcpy(b->bytes + 8, &(uint16_t){b->count < 65535 ? (uint16_t)b->count : 65535}, 2);
    return bytes_view(b->bytes, b->len);
}

static void expect_view(struct ziplist_iter *it, const char *data, size_t len)
{
    struct lp_value v;
    assert_int_equal(ziplist_next(it, &v), 1);
    assert_false(v.is_int);
    assert_int_equal(v.str.len, len);
    assert_memory_equal(v.str.data, data, len);
}

static void expect_text(struct ziplist_iter *it, const char *text)
{
    expect_view(it, text, strlen(text));
}

static void expect_int(struct ziplist_iter *it, int64_t value)
{
    struct lp_value v;
    assert_int_equal(ziplist_next(it, &v), 1);
    assert_true(v.is_int && v.num == value);
}

static void expect_end(struct ziplist_iter *it)
{
    struct lp_value v;
    assert_int_equal(ziplist_next(it, &v), 0);
    assert_int_equal(ziplist_next(it, &v), 0);
}

/* From RDB files that Redis 4.0 and 6.0 wrote. */
static void test_reads_what_redis_wrote(void **state)
{
    unsigned char blob[64];
    struct ziplist_iter it;
    size_t len = from_hex("1b000000160000000400000266310402763104026632040276"
                          "32ff",
                          blob);
    assert_int_equal(ziplist_open(&it, bytes_view(blob, len)), 0);
    expect_text(&it, "f1");
    expect_text(&it, "v1");
    expect_text(&it, "f2");
    expect_text(&it, "v2");
    expect_end(&it);

    len = from_hex("1900000016000000040000036f6e6505f2020374776f05f3ff", blob);
    assert_int_equal(ziplist_open(&it, bytes_view(blob, len)), 0);
    expect_text(&it, "one");
    expect_int(&it, 1);
    expect_text(&it, "two");
    expect_int(&it, 2);
    expect_end(&it);

    len = from_hex("0d0000000a000000010000f8ff", blob);
    assert_int_equal(ziplist_open(&it, bytes_view(blob, len)), 0);
    expect_int(&it, 7);
    expect_end(&it);
}

static void test_every_encoding(void **state)
{
    static char big[20000];
    memset(big, 'x', sizeof(big));
    static const struct {
        unsigned char encoding;
        int64_t value;
        size_t width;
    } ints[] = {{0xF1, 0, 0},         {0xFD, 12, 0},        {0xFE, -128, 1},      {0xFE, 127, 1},
                {0xC0, INT16_MIN, 2}, {0xC0, INT16_MAX, 2}, {0xF0, -8388608, 3},  {0xF0, 8388607, 3},
                {0xD0, INT32_MIN, 4}, {0xD0, INT32_MAX, 4}, {0xE0, INT64_MIN, 8}, {0xE0, INT64_MAX, 8}};
    static const size_t lengths[] = {0, 1, 63, 64, 250, 251, 252, 253, 300, 16383, 16384, 20000};
    struct builder b = builder_new();
    for (size_t i = 0; i < COUNT(ints); i++) add_int(&b, ints[i].encoding, ints[i].value, ints[i].width);
    for (size_t i = 0; i < COUNT(lengths); i++) add_string(&b, big, lengths[i]);
    struct bytes_view blob = finish(&b);
    struct ziplist_iter it;
    assert_int_equal(ziplist_open(&it, blob), 0);
    for (size_t i = 0; i < COUNT(ints); i++) expect_int(&it, ints[i].value);
    for (size_t i = 0; i < COUNT(lengths); i++) expect_view(&it, big, lengths[i]);
    expect_end(&it);
    size_t count;
    assert_int_equal(ziplist_validate(blob, &count), 0);
    assert_int_equal(count, COUNT(ints) + COUNT(lengths));
    mem_free(b.bytes);
}

/* Redis keeps the wide form when the previous entry has become short again. */
static void test_wide_length_of_a_short_entry(void **state)
{
    struct builder b = builder_new();
    add_string(&b, "a", 1);
    add(&b, true, &(unsigned char){1}, 1, "b", 1);
    size_t count;
    assert_int_equal(ziplist_validate(finish(&b), &count), 0);
    assert_int_equal(count, 2);
    mem_free(b.bytes);
}

static void test_empty_and_uncounted(void **state)
{
    struct builder b = builder_new();
    size_t count = 42;
    assert_int_equal(ziplist_validate(finish(&b), &count), 0);
    assert_int_equal(count, 0);
    mem_free(b.bytes);

    b = builder_new();
    for (int i = 0; i < 70000; i++) add_int(&b, 0xF1, 0, 0);
    assert_int_equal(ziplist_validate(finish(&b), &count), 0);
    assert_int_equal(count, 70000);
    mem_free(b.bytes);
}

static int validate_exact(const unsigned char *bytes, size_t len) /* in a block of that size, for the sanitizer */
{
    size_t count;
    unsigned char *exact = memcpy(mem_alloc(len), bytes, len);
    int rc = ziplist_validate(bytes_view(exact, len), &count);
    mem_free(exact);
    return rc;
}

static void test_CVE_2021_32627_ziplist_refuses_malformed(void **state)
{
    static const char *const bad[] = {
        "",
        "0b0000000a0000000000",               /* no end */
        "0b0000000a000000000000",             /* another byte in its place */
        "0c0000000a0000000000ff",             /* longer than it is */
        "0a0000000a0000000000ff",             /* shorter */
        "0b0000000b0000000000ff",             /* last entry beyond the end */
        "0b000000000000000000ff",             /* last entry in the header */
        "0b0000000a0000000100ff",             /* an entry too few */
        "0d0000000a000000000000f8ff",         /* an entry too many */
        "0d0000000a000000010001f8ff",         /* something before the first entry */
        "0f0000000c000000020000f803f8ff",     /* wrong length of the entry before */
        "0f0000000a000000020000f802f8ff",     /* last is the first */
        "0d0000000a0000000100fff8ff",         /* the end inside */
        "0d0000000a0000000100fe00ff",         /* wide length cut off */
        "120000000a0000000100feffffffff00ff", /* 4 GB before the first entry */
        "0c0000000a000000010000ff",           /* no encoding */
        "0d0000000a0000000100003fff",         /* string over the end */
        "0d0000000a00000001000040ff",         /* no second byte of its length */
        "0e0000000a0000000100007fffff",
        "0f0000000a000000010000800000ff",     /* length cut off */
        "110000000a00000001000080ffffffffff", /* string of 4 GB */
        "0d0000000a000000010000c0ff",         /* integers over the end */
        "0f0000000a000000010000f00102ff",
        "140000000a000000010000e001020304050607ff",
        "0d0000000a000000010000c1ff", /* no such encoding */
        "0d0000000a000000010000ffff",
    };
    for (size_t i = 0; i < COUNT(bad); i++) {
        unsigned char bytes[64];
        size_t len = from_hex(bad[i], bytes);
        if (validate_exact(bytes, len) != -EINVAL) fail_msg("accepted: %s", bad[i]);
    }
}

static void test_ziplist_survives_mutations(void **state)
{
    struct builder b = builder_new();
    add_string(&b, "first", 5);
    add_int(&b, 0xFE, -5, 1);
    add_int(&b, 0xD0, 1 << 20, 4);
    add_string(&b, "0123456789012345678901234567890123456789012345678901234567890123456789", 70);
    add_int(&b, 0xF5, 0, 0);
    struct bytes_view base = finish(&b);
    struct rng rng;
    rng_seed(&rng, 12);
    size_t accepted = 0;
    for (int i = 0; i < 100000; i++) {
        unsigned char bytes[256];
        size_t len = rng_below(&rng, 8) ? base.len : rng_below(&rng, base.len + 1);
        memcpy(bytes, base.data, len);
        for (uint64_t n = rng_below(&rng, 3); n > 0 && len > 0; n--)
            bytes[rng_below(&rng, len)] = (unsigned char)rng_next(&rng);
        if (len >= 4 && rng_below(&rng, 2)) memcpy(bytes, &(uint32_t){(uint32_t)len}, 4);
        accepted += validate_exact(bytes, len) == 0;
    }
    assert_in_range(accepted, 1000, 99000); /* both sides were exercised */
    mem_free(b.bytes);
}

static void test_an_error_stays_an_error(void **state)
{
    unsigned char bytes[64];
    size_t len = from_hex("0f0000000c000000020000f803f8ff", bytes);
    struct ziplist_iter it;
    struct lp_value v;
    assert_int_equal(ziplist_open(&it, bytes_view(bytes, len)), 0);
    expect_int(&it, 7);
    v.num = 42;
    assert_int_equal(ziplist_next(&it, &v), -EINVAL);
    assert_int_equal(ziplist_next(&it, &v), -EINVAL);
    assert_int_equal(v.num, 42);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_what_redis_wrote),
        cmocka_unit_test(test_every_encoding),
        cmocka_unit_test(test_wide_length_of_a_short_entry),
        cmocka_unit_test(test_empty_and_uncounted),
        cmocka_unit_test(test_CVE_2021_32627_ziplist_refuses_malformed),
        cmocka_unit_test(test_ziplist_survives_mutations),
        cmocka_unit_test(test_an_error_stays_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
