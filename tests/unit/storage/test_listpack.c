#include "storage/listpack.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "storage/base/memory.h"
#include "storage/base/num.h"
#include "storage/base/sys.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* --- the bytes -------------------------------------------------------------------------------------------------- */

#define X63 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define Y64 "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy"

/* One value of each encoding and both sides of each limit, and the listpack in which redis-server 7.0.15 stores them.
 */
static const char *const every_encoding[] = {"0",
                                             "1",
                                             "127",
                                             "128",
                                             "-1",
                                             "-4096",
                                             "4095",
                                             "4096",
                                             "-4097",
                                             "32767",
                                             "-32768",
                                             "32768",
                                             "-32769",
                                             "8388607",
                                             "-8388608",
                                             "8388608",
                                             "-8388609",
                                             "2147483647",
                                             "-2147483648",
                                             "2147483648",
                                             "-2147483649",
                                             "9223372036854775807",
                                             "-9223372036854775808",
                                             "",
                                             "a",
                                             X63,
                                             Y64,
                                             "01",
                                             "-0",
                                             "hello"};
static const char every_encoding_hex[] =
    "150100001e00000101017f01c08002dfff02d00002cfff02f1001003f1ffef03f1ff7f03f1008003f200800004f2ff7fff04"
    "f2ffff7f04f200008004f30000800005f3ffff7fff05f3ffffff7f05f30000008005f4000000800000000009f4ffffff7fff"
    "ffffff09f4ffffffffffffff7f09f40000000000000080098001816102bf7878787878787878787878787878787878787878"
    "7878787878787878787878787878787878787878787878787878787878787878787878787878787878787840e04079797979"
    "7979797979797979797979797979797979797979797979797979797979797979797979797979797979797979797979797979"
    "797979797979797979794282303103822d30038568656c6c6f06ff";

static size_t from_hex(const char *hex, unsigned char *out)
{
    size_t n = 0;
    for (unsigned byte; sscanf(hex + 2 * n, "%2x", &byte) == 1; n++) out[n] = (unsigned char)byte;
    return n;
}

static bool valid(const unsigned char *lp)
{
    return lp_validate(lp, lp_bytes(lp), true, NULL, NULL);
}

static void assert_entry(const unsigned char *p, const char *expected)
{
    char buf[LP_INT_CHARS];
    assert_non_null(p);
    struct bytes_view got = lp_get_view(p, buf);
    assert_int_equal(got.len, strlen(expected));
    assert_memory_equal(got.data, expected, got.len);
}

static void test_bytes_are_those_of_redis(void **state)
{
    unsigned char expected[512];
    size_t len = from_hex(every_encoding_hex, expected);
    unsigned char *lp = lp_new(0);
    for (size_t i = 0; i < COUNT(every_encoding); i++) lp = lp_append(lp, bytes_str(every_encoding[i]));
    assert_int_equal(lp_bytes(lp), len);
    assert_memory_equal(lp, expected, len);
    lp_free(lp);
}

static void test_reads_what_redis_wrote(void **state)
{
    unsigned char blob[512];
    size_t len = from_hex(every_encoding_hex, blob), i = 0;
    assert_true(lp_validate(blob, len, true, NULL, NULL));
    assert_int_equal(lp_count(blob), COUNT(every_encoding));
    for (const unsigned char *p = lp_first(blob); p != NULL; p = lp_next(blob, p)) {
        assert_entry(p, every_encoding[i]);
        assert_true(lp_compare(p, bytes_str(every_encoding[i])));
        assert_int_equal(lp_entry_size(bytes_str(every_encoding[i])), lp_entry_size_at(p));
        assert_ptr_equal(lp_seek(blob, (int64_t)i), p);
        assert_ptr_equal(lp_seek(blob, (int64_t)i - (int64_t)COUNT(every_encoding)), p);
        i++;
    }
    assert_int_equal(i, COUNT(every_encoding));
    for (const unsigned char *p = lp_last(blob); p != NULL; p = lp_prev(blob, p)) assert_entry(p, every_encoding[--i]);
    assert_int_equal(i, 0);
}

/* The values at which redis-server 7.0.15 widens the length at an entry's end (probed with DUMP): one too early. */
static void test_entry_length_widens_where_redis_does(void **state)
{
    static const struct {
        size_t data;
        const char *back_hex;
    } cases[] = {{127, "7f"},       {128, "0180"},       {16382, "7ffe"},       {16383, "00ffff"},
                 {16384, "018080"}, {2097150, "7ffffe"}, {2097151, "00ffffff"}, {2097152, "01808080"}};
    char *value = mem_alloc(2097152);
    memset(value, 'x', 2097152);
    for (size_t i = 0; i < COUNT(cases); i++) {
        unsigned char expected[8];
        size_t back = from_hex(cases[i].back_hex, expected), head = cases[i].data < 4098 ? 2 : 5;
        unsigned char *lp = lp_append(lp_new(0), bytes_view(value, cases[i].data - head));
        assert_int_equal(lp_bytes(lp), LP_EMPTY_SIZE + cases[i].data + back);
        assert_memory_equal(lp + lp_bytes(lp) - 1 - back, expected, back);
        assert_ptr_equal(lp_last(lp), lp_first(lp));
        assert_true(valid(lp));
        lp_free(lp);
    }
    mem_free(value);
    /* Only the length of such a long value is used. */
    assert_int_equal(lp_entry_size(bytes_view("x", 268435454 - 5)), 268435454 + 4);
    assert_int_equal(lp_entry_size(bytes_view("x", 268435455 - 5)), 268435455 + 5);
}

static void test_digits_stored_as_a_string_still_compare(void **state)
{
    unsigned char blob[16];
    size_t len = from_hex("0e000000"
                          "0200"
                          "82313203"
                          "8001"
                          "ff",
                          blob);
    blob[0] = (unsigned char)len;
    assert_true(lp_validate(blob, len, true, NULL, NULL));
    assert_true(lp_compare(lp_first(blob), BYTES_LIT("12")));
    assert_false(lp_compare(lp_first(blob), BYTES_LIT("13")));
    assert_true(lp_compare(lp_last(blob), bytes_view(NULL, 0)));
}

static void test_empty(void **state)
{
    unsigned char *lp = lp_new(100);
    assert_int_equal(lp_count(lp), 0);
    assert_true(lp_is_empty(lp));
    assert_null(lp_first(lp));
    assert_null(lp_last(lp));
    assert_null(lp_seek(lp, 0));
    assert_null(lp_seek(lp, -1));
    assert_null(lp_find(lp, lp_first(lp), BYTES_LIT("a"), 0));
    assert_true(valid(lp));
    lp = lp_delete_range(lp, 0, 5);
    lp = lp_append(lp, bytes_view(NULL, 0));
    assert_entry(lp_first(lp), "");
    lp_free(lp);
}

static void test_find_skips_values(void **state)
{
    unsigned char *lp = lp_new(0);
    static const char *const pairs[] = {"f1", "f2", "f2", "v2", "7", "8", "8", "9"};
    for (size_t i = 0; i < COUNT(pairs); i++) lp = lp_append(lp, bytes_str(pairs[i]));
    assert_ptr_equal(lp_find(lp, lp_first(lp), BYTES_LIT("f2"), 1), lp_seek(lp, 2));
    assert_ptr_equal(lp_find(lp, lp_first(lp), BYTES_LIT("f2"), 0), lp_seek(lp, 1));
    assert_ptr_equal(lp_find(lp, lp_first(lp), BYTES_LIT("8"), 1), lp_seek(lp, 6));
    assert_null(lp_find(lp, lp_first(lp), BYTES_LIT("v2"), 1));
    assert_null(lp_find(lp, lp_first(lp), BYTES_LIT("9"), 1));
    assert_ptr_equal(lp_find(lp, lp_first(lp), BYTES_LIT("9"), 0), lp_last(lp));
    lp_free(lp);
}

/* --- random operations against an array of strings -------------------------------------------------------------- */

enum { MODEL_MAX = 400 };
struct model {
    char *items[MODEL_MAX];
    size_t lens[MODEL_MAX];
    size_t count;
};

static void model_insert(struct model *m, size_t at, struct bytes_view v)
{
    memmove(m->items + at + 1, m->items + at, (m->count - at) * sizeof(m->items[0]));
    memmove(m->lens + at + 1, m->lens + at, (m->count - at) * sizeof(m->lens[0]));
    m->items[at] = memcpy(mem_alloc(v.len + 1), v.data, v.len);
    m->lens[at] = v.len;
    m->count++;
}

static void model_delete(struct model *m, size_t at, size_t count)
{
    for (size_t i = at; i < at + count; i++) mem_free(m->items[i]);
    memmove(m->items + at, m->items + at + count, (m->count - at - count) * sizeof(m->items[0]));
    memmove(m->lens + at, m->lens + at + count, (m->count - at - count) * sizeof(m->lens[0]));
    m->count -= count;
}

static struct bytes_view random_value(struct rng *rng, char *buf, size_t cap)
{
    if (rng_below(rng, 2) == 0) {
        int64_t value = (int64_t)(rng_next(rng) >> rng_below(rng, 64));
        return bytes_view(buf, num_format_i64(buf, rng_below(rng, 2) ? value : (int64_t)(0 - (uint64_t)value)));
    }
    static const size_t limits[] = {4, 64, 140, 5000, 17000};
    size_t len = rng_below(rng, limits[rng_below(rng, rng_below(rng, 20) == 0 ? 5 : 3)]);
    assert_true(len <= cap);
    for (size_t i = 0; i < len; i++) buf[i] = (char)(rng_below(rng, 4) ? 'a' : rng_next(rng));
    return bytes_view(buf, len);
}

static void check_against_model(const unsigned char *lp, const struct model *m)
{
    assert_true(valid(lp));
    assert_int_equal(lp_count(lp), m->count);
    const unsigned char *p = lp_first(lp);
    for (size_t i = 0; i < m->count; i++, p = lp_next(lp, p)) {
        char buf[LP_INT_CHARS];
        assert_non_null(p);
        assert_true(bytes_equal(lp_get_view(p, buf), bytes_view(m->items[i], m->lens[i])));
    }
    assert_null(p);
}

static void check_find(const unsigned char *lp, const struct model *m, struct bytes_view v, size_t skip)
{
    const unsigned char *expected = NULL;
    for (size_t i = 0; i < m->count && expected == NULL; i += skip + 1)
        if (bytes_equal(bytes_view(m->items[i], m->lens[i]), v)) expected = lp_seek(lp, (int64_t)i);
    assert_ptr_equal(lp_find(lp, lp_first(lp), v, skip), expected);
}

static unsigned char *random_insert(unsigned char *lp, struct model *m, struct rng *rng, struct bytes_view v)
{
    size_t at = rng_below(rng, m->count + 1);
    unsigned char *place = NULL, *near;
    int64_t num;
    if (at == m->count) {
        lp = num_parse_i64(v, &num) ? lp_append_int(lp, num) : lp_append(lp, v);
    } else {
        near = lp_seek(lp, (int64_t)at - (at > 0 ? 1 : 0));
        enum lp_where where = at > 0 ? LP_AFTER : LP_BEFORE;
        lp = num_parse_i64(v, &num) ? lp_insert_int(lp, near, where, num, &place)
                                    : lp_insert(lp, near, where, v, &place);
        assert_ptr_equal(place, lp_seek(lp, (int64_t)at));
    }
    model_insert(m, at, v);
    return lp;
}

static unsigned char *random_replace(unsigned char *lp, struct model *m, struct rng *rng, struct bytes_view v)
{
    size_t at = rng_below(rng, m->count);
    unsigned char *p = lp_seek(lp, (int64_t)at - (rng_below(rng, 2) ? (int64_t)m->count : 0));
    int64_t num;
    lp = num_parse_i64(v, &num) ? lp_replace_int(lp, &p, num) : lp_replace(lp, &p, v);
    assert_ptr_equal(p, lp_seek(lp, (int64_t)at));
    model_delete(m, at, 1);
    model_insert(m, at, v);
    return lp;
}

static unsigned char *random_delete(unsigned char *lp, struct model *m, struct rng *rng)
{
    size_t at = rng_below(rng, m->count), count = 1 + rng_below(rng, 3), left = m->count - at;
    if (rng_below(rng, 3) == 0) {
        lp = lp_delete_range(lp, (int64_t)at - (rng_below(rng, 2) ? (int64_t)m->count : 0), count);
    } else {
        unsigned char *p = lp_seek(lp, (int64_t)at);
        if (count == 1)
            lp = lp_delete(lp, p, &p);
        else
            lp = lp_delete_range_at(lp, &p, count);
        assert_ptr_equal(p, lp_seek(lp, (int64_t)at));
    }
    model_delete(m, at, count < left ? count : left);
    return lp;
}

static void random_run(uint64_t seed, size_t target)
{
    static char buf[20000];
    struct rng rng;
    rng_seed(&rng, seed);
    static struct model m;
    unsigned char *lp = lp_new(rng_below(&rng, 100));
    for (int i = 0; i < 1500; i++) {
        struct bytes_view v = random_value(&rng, buf, sizeof(buf));
        uint64_t dice = rng_below(&rng, 2 * target);
        if (m.count < MODEL_MAX - 1 && (m.count == 0 || dice >= m.count))
            lp = random_insert(lp, &m, &rng, v);
        else if (dice % 2)
            lp = random_delete(lp, &m, &rng);
        else
            lp = random_replace(lp, &m, &rng, v);
        if (i % 8 == 0) check_against_model(lp, &m);
        check_find(lp, &m, v, rng_below(&rng, 3));
        if (i % 100 == 0) lp = lp_shrink(lp);
    }
    check_against_model(lp, &m);
    model_delete(&m, 0, m.count);
    lp_free(lp);
}

static void test_random_operations_follow_the_model(void **state)
{
    for (uint64_t seed = 1; seed <= 20; seed++) random_run(seed, 5 + seed * 4);
}

/* --- many entries, merging -------------------------------------------------------------------------------------- */

static void test_more_entries_than_the_header_can_count(void **state)
{
    unsigned char *lp = lp_new(400000); /* at once: the sanitizer's realloc() always copies */
    for (int64_t i = 0; i < 65534; i++) lp = lp_append_int(lp, i);
    assert_int_equal(lp_count(lp), 65534);
    for (int64_t i = 65534; i < 70000; i++) lp = lp_append_int(lp, i);
    assert_int_equal(lp_count(lp), 70000);
    assert_true(valid(lp));
    int64_t got;
    assert_true(lp_get_int(lp_seek(lp, 69999), &got) && got == 69999);
    assert_true(lp_get_int(lp_seek(lp, -70000), &got) && got == 0);
    assert_null(lp_seek(lp, 70000));
    assert_null(lp_seek(lp, -70001));
    assert_null(lp_seek(lp, INT64_MIN));
    lp = lp_delete_range(lp, 10, 69000);
    assert_int_equal(lp_count(lp), 1000);
    assert_true(valid(lp));
    lp_free(lp);
}

static void test_copy_and_append_value(void **state)
{
    unsigned char *a = lp_append(lp_append_int(lp_new(0), -77), BYTES_LIT("text")), *b = lp_copy(a), *c = lp_new(0);
    for (const unsigned char *p = lp_first(b); p != NULL; p = lp_next(b, p)) {
        struct lp_value v = lp_get(p);
        c = lp_append_value(c, &v);
    }
    lp_free(a);
    assert_int_equal(lp_bytes(c), lp_bytes(b));
    assert_memory_equal(c, b, lp_bytes(b));
    lp_free(b);
    lp_free(c);
}

static void test_shrinks_after_many_deletions(void **state)
{
    unsigned char *lp = lp_new(0);
    for (int i = 0; i < 2000; i++) lp = lp_append(lp, BYTES_LIT("some value of a list"));
    for (int i = 0; i < 1990; i++) lp = lp_delete(lp, lp_first(lp), NULL);
    assert_true(mem_usable_size(lp) <= 4 * lp_bytes(lp));
    lp_free(lp);
}

/* --- limits and hostile bytes ----------------------------------------------------------------------------------- */

static void test_CVE_2021_32627_32628_size_ceiling(void **state)
{
    unsigned char *lp = lp_new(0);
    assert_true(lp_safe_to_add(lp, 1000));
    assert_true(lp_safe_to_add(lp, LP_MAX_BYTES / 2));
    assert_false(lp_safe_to_add(lp, LP_MAX_BYTES));
    assert_false(lp_safe_to_add(lp, SIZE_MAX));
    assert_false(lp_safe_to_add(lp, SIZE_MAX - 1024));
    const uint32_t almost_full = (uint32_t)LP_MAX_BYTES - 2000;
    memcpy(lp, &almost_full, sizeof(almost_full)); /* reads nothing but the header */
    assert_true(lp_safe_to_add(lp, 900));
    assert_false(lp_safe_to_add(lp, 2000));
    lp_free(lp);
}

static bool count_entries(void *ctx, const struct lp_value *v)
{
    ++*(size_t *)ctx;
    return v->is_int || v->str.len != 3;
}

static void test_validate_calls_back(void **state)
{
    size_t seen = 0;
    unsigned char *lp = lp_append(lp_append_int(lp_new(0), 1), BYTES_LIT("ab"));
    assert_true(lp_validate(lp, lp_bytes(lp), true, count_entries, &seen));
    assert_int_equal(seen, 2);
    lp = lp_append(lp, BYTES_LIT("abc"));
    assert_false(lp_validate(lp, lp_bytes(lp), true, count_entries, &seen));
    lp_free(lp);
}

static void test_CVE_2021_32628_validate_refuses_malformed(void **state)
{
    static const char *const bad[] = {
        "",
        "07000000",
        "070000000000",
        "08000000"
        "0000"
        "ff", /* longer than it is */
        "06000000"
        "0000"
        "ff", /* shorter than it is */
        "07000000"
        "0000"
        "00", /* no end */
        "07000000"
        "0100"
        "ff", /* an entry too few */
        "09000000"
        "0000"
        "0101"
        "ff", /* an entry too many */
        "09000000"
        "0100"
        "0102"
        "ff", /* wrong length at the end */
        "09000000"
        "0100"
        "0181"
        "ff", /* the same, continued backwards */
        "09000000"
        "0100"
        "f501"
        "ff", /* no such encoding */
        "09000000"
        "0100"
        "ff01"
        "ff", /* the end inside */
        "09000000"
        "0100"
        "8101"
        "ff", /* string over the end */
        "08000000"
        "0100"
        "01"
        "ff", /* no room for the length */
        "08000000"
        "0100"
        "c0"
        "ff", /* no room for the second byte */
        "0d000000"
        "0100"
        "f0ffffffff05"
        "ff", /* string of 4 GB */
        "0d000000"
        "0100"
        "f0000000010"
        "5"
        "ff",
        "0c000000"
        "0100"
        "efff616102"
        "ff",
        "0f000000"
        "0100"
        "f400000000000009"
        "ff", /* integer over the end */
        "0a000000"
        "0100"
        "0101"
        "ff"
        "ff",
    };
    for (size_t i = 0; i < COUNT(bad); i++) {
        unsigned char scratch[64];
        size_t len = from_hex(bad[i], scratch);
        unsigned char *exact = memcpy(mem_alloc(len), scratch, len); /* so that the sanitizer sees a read past it */
        assert_false(lp_validate(exact, len, true, NULL, NULL));
        mem_free(exact);
    }
}

static void test_CVE_2021_32628_validate_survives_mutations(void **state)
{
    unsigned char base[512];
    size_t base_len = from_hex(every_encoding_hex, base), accepted = 0;
    struct rng rng;
    rng_seed(&rng, 9);
    for (int i = 0; i < 100000; i++) {
        size_t len = rng_below(&rng, 8) ? base_len : rng_below(&rng, base_len + 1);
        unsigned char *blob = memcpy(mem_alloc(len), base, len);
        for (uint64_t n = rng_below(&rng, 4); n > 0 && len > 0; n--)
            blob[rng_below(&rng, len)] =
                (unsigned char)(rng_below(&rng, 4) ? rng_next(&rng) : 0xF0 | (rng_next(&rng) & 15));
        if (len >= 4 && rng_below(&rng, 2)) memcpy(blob, &(uint32_t){(uint32_t)len}, 4);
        if (lp_validate(blob, len, true, NULL, NULL)) { /* then every other function is safe on it */
            size_t forward = 0, backward = 0;
            for (const unsigned char *p = lp_first(blob); p != NULL; p = lp_next(blob, p)) forward++;
            for (const unsigned char *p = lp_last(blob); p != NULL; p = lp_prev(blob, p)) backward++;
            assert_int_equal(forward, backward);
            assert_int_equal(forward, lp_count(blob));
            accepted++;
        }
        mem_free(blob);
    }
    assert_true(accepted > 1000); /* both sides were exercised */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes_are_those_of_redis),
        cmocka_unit_test(test_reads_what_redis_wrote),
        cmocka_unit_test(test_entry_length_widens_where_redis_does),
        cmocka_unit_test(test_digits_stored_as_a_string_still_compare),
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_find_skips_values),
        cmocka_unit_test(test_random_operations_follow_the_model),
        cmocka_unit_test(test_more_entries_than_the_header_can_count),
        cmocka_unit_test(test_copy_and_append_value),
        cmocka_unit_test(test_shrinks_after_many_deletions),
        cmocka_unit_test(test_CVE_2021_32627_32628_size_ceiling),
        cmocka_unit_test(test_validate_calls_back),
        cmocka_unit_test(test_CVE_2021_32628_validate_refuses_malformed),
        cmocka_unit_test(test_CVE_2021_32628_validate_survives_mutations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
