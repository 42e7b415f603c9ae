#include "storage/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "storage/base/memory.h"
#include "storage/listpack.h"

enum { TEXT_MAX = 1200, ABSENT = -1 };

struct world {
    struct encoding_limits limits;
    struct rng rng;
    struct value_env env;
    struct hash *hash;
    int *values; /* the number of the value each field has, or ABSENT */
    unsigned *visits;
    size_t size;
    bool long_texts;
};

/* Field i and value n as text, of many shapes and lengths. */
static struct bytes_view text_of(const struct world *w, char kind, size_t n, char *buf)
{
    int len;
    switch (n % 5) {
    case 0: len = snprintf(buf, TEXT_MAX, "%zu", n); break;
    case 1: len = snprintf(buf, TEXT_MAX, "-%zu", n); break;
    case 2: len = snprintf(buf, TEXT_MAX, "%c:%zu", kind, n); break;
    case 3: len = n == 3 ? 0 : snprintf(buf, TEXT_MAX, "0%zu", n); break;
    default: len = snprintf(buf, TEXT_MAX, "%0*zu", w->long_texts ? 240 + (int)(n % 31) : 40, n); break;
    }
    return bytes_view(buf, (size_t)len);
}

static struct bytes_view field_of(const struct world *w, size_t i, char *buf)
{
    return text_of(w, 'f', i, buf);
}
static struct bytes_view value_of(const struct world *w, int n, char *buf)
{
    return text_of(w, 'v', (size_t)n, buf);
}

static void world_init(struct world *w, size_t size, bool long_texts)
{
    *w = (struct world){.limits = encoding_limits_default(), .size = size, .long_texts = long_texts};
    rng_seed(&w->rng, 7);
    w->env = (struct value_env){.key_seed = 99, .element_seed = 99, .limits = &w->limits, .rng = &w->rng};
    w->hash = hash_new(&w->env);
    w->values = mem_alloc(size * sizeof(*w->values));
    w->visits = mem_calloc(size * sizeof(*w->visits));
    for (size_t i = 0; i < size; i++) w->values[i] = ABSENT;
}

static void world_release(struct world *w)
{
    hash_free(w->hash);
    mem_free(w->values);
    mem_free(w->visits);
}

static void set(struct world *w, size_t i, int value)
{
    char f[TEXT_MAX], v[TEXT_MAX];
    assert_int_equal(hash_set(w->hash, field_of(w, i, f), value_of(w, value, v)), w->values[i] == ABSENT);
    w->values[i] = value;
}

static void fill(struct world *w, size_t count)
{
    for (size_t i = 0; i < count; i++) set(w, i, (int)(i * 7 % 1000));
}

static size_t index_of(const struct world *w, struct bytes_view field)
{
    char buf[TEXT_MAX];
    for (size_t i = 0; i < w->size; i++)
        if (bytes_equal(field_of(w, i, buf), field)) return i;
    fail_msg("a field that nobody set");
    return 0;
}

static void visit(void *ctx, struct bytes_view field, struct bytes_view value)
{
    struct world *w = ctx;
    char buf[TEXT_MAX];
    size_t i = index_of(w, field);
    assert_int_not_equal(w->values[i], ABSENT);
    assert_true(bytes_equal(value, value_of(w, w->values[i], buf)));
    w->visits[i]++;
}

static void assert_field(const struct world *w, const struct hash *h, size_t i)
{
    char f[TEXT_MAX], v[TEXT_MAX];
    struct number_text buf;
    struct bytes_view value, field = field_of(w, i, f);
    assert_int_equal(hash_contains(h, field), w->values[i] != ABSENT);
    assert_int_equal(hash_get(h, field, &buf, &value), w->values[i] != ABSENT);
    if (w->values[i] != ABSENT) assert_true(bytes_equal(value, value_of(w, w->values[i], v)));
}

static void assert_equals_model(struct world *w, const struct hash *h)
{
    size_t count = 0;
    hash_check(h);
    for (size_t i = 0; i < w->size; i++) {
        assert_field(w, h, i);
        count += w->values[i] != ABSENT;
    }
    assert_int_equal(hash_count(h), count);
    struct hash_iter it;
    struct bytes_view field, value;
    memset(w->visits, 0, w->size * sizeof(*w->visits));
    hash_iter_init(&it, h);
    while (hash_iter_next(&it, &field, &value)) visit(w, field, value);
    for (size_t i = 0; i < w->size; i++) assert_int_equal(w->visits[i], w->values[i] != ABSENT);
}

static void random_op(struct world *w)
{
    char f[TEXT_MAX];
    size_t i = rng_below(&w->rng, w->size);
    struct bytes_view field = field_of(w, i, f);
    hash_prefetch(w->hash, field);
    hash_prefetch_field(w->hash, field);
    if (rng_below(&w->rng, 100) < 65) {
        set(w, i, (int)rng_below(&w->rng, 2000));
        return;
    }
    assert_int_equal(hash_remove(w->hash, field), w->values[i] != ABSENT);
    w->values[i] = ABSENT;
}

static void test_random_ops(void **state)
{
    (void)state;
    static const size_t sizes[] = {20, 300, 900};
    for (unsigned round = 0; round < 6; round++) {
        struct world w;
        world_init(&w, sizes[round / 2], round % 2 == 1);
        for (int n = 0; n < 4000; n++) {
            random_op(&w);
            if (n % 500 == 0) assert_equals_model(&w, w.hash);
        }
        assert_equals_model(&w, w.hash);
        struct hash *copy = hash_dup(w.hash);
        assert_int_equal(hash_encoding(copy), hash_encoding(w.hash));
        assert_equals_model(&w, copy);
        hash_free(copy);
        world_release(&w);
    }
}

static void assert_encoding(const struct world *w, enum value_encoding encoding)
{
    assert_int_equal(hash_encoding(w->hash), encoding);
    hash_check(w->hash);
}

static void test_converts_by_count(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 513, false);
    fill(&w, 512);
    set(&w, 5, 77);
    assert_encoding(&w, ENCODING_LISTPACK);
    set(&w, 512, 1);
    assert_encoding(&w, ENCODING_HASHTABLE);
    assert_equals_model(&w, w.hash);
    for (size_t i = 1; i < 513; i++) {
        char f[TEXT_MAX];
        assert_true(hash_remove(w.hash, field_of(&w, i, f)));
        w.values[i] = ABSENT;
    }
    assert_encoding(&w, ENCODING_HASHTABLE); /* never back */
    assert_equals_model(&w, w.hash);
    world_release(&w);
}

static void test_converts_by_length(void **state)
{
    (void)state;
    struct world w;
    char text[65];
    memset(text, 'x', sizeof(text));
    for (int round = 0; round < 2; round++) {
        struct bytes_view fits = bytes_view(text, 64), over = bytes_view(text, 65), one = BYTES_LIT("1");
        world_init(&w, 1, false);
        assert_true(hash_set(w.hash, fits, fits));
        assert_encoding(&w, ENCODING_LISTPACK);
        if (round == 0)
            assert_true(hash_set(w.hash, over, one));
        else
            assert_false(hash_set(w.hash, fits, over)); /* a replaced value counts too */
        assert_encoding(&w, ENCODING_HASHTABLE);
        assert_true(hash_contains(w.hash, fits));
        assert_int_equal(hash_count(w.hash), round == 0 ? 2 : 1);
        world_release(&w);
    }
}

static void test_reserve_converts_at_once(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 300, false);
    fill(&w, 10);
    hash_reserve(w.hash, 512, 64);
    assert_encoding(&w, ENCODING_LISTPACK);
    hash_reserve(w.hash, 1, 65);
    assert_encoding(&w, ENCODING_HASHTABLE);
    assert_equals_model(&w, w.hash);
    world_release(&w);
    world_init(&w, 300, false);
    hash_reserve(w.hash, 513, 1);
    assert_encoding(&w, ENCODING_HASHTABLE);
    fill(&w, 300);
    assert_equals_model(&w, w.hash);
    world_release(&w);
}

/* Every change of a value's length across the one-byte limit and back, for items of a table. */
static void test_value_changes_length_in_place(void **state)
{
    (void)state;
    struct world w;
    static char text[TEXT_MAX], field[300];
    struct number_text buf;
    struct bytes_view value;
    for (size_t i = 0; i < sizeof(text); i++) text[i] = (char)('a' + i % 26);
    memset(field, 'f', sizeof(field));
    world_init(&w, 1, false);
    hash_reserve(w.hash, 1000, 0);
    static const size_t field_lens[] = {0, 18, 254, 255, 300};
    for (size_t f = 0; f < 5; f++)
        for (int step = 0; step < 600; step++) {
            size_t len = step < 300 ? (size_t)step : (size_t)(600 - step) * 2;
            struct bytes_view name = bytes_view(field, field_lens[f]), v = bytes_view(text + step % 3, len);
            assert_int_equal(hash_set(w.hash, name, v), step == 0);
            assert_true(hash_get(w.hash, name, &buf, &value) && bytes_equal(value, v));
        }
    assert_int_equal(hash_count(w.hash), 5);
    hash_check(w.hash);
    world_release(&w);
}

static void test_random_reaches_all_evenly(void **state)
{
    (void)state;
    for (int round = 0; round < 2; round++) {
        struct world w;
        struct number_text buf[2];
        struct bytes_view field, value;
        world_init(&w, 40, round == 1);
        fill(&w, 40);
        for (int i = 0; i < 8000; i++) {
            hash_random(w.hash, buf, &field, &value);
            visit(&w, field, value);
        }
        hash_random(w.hash, buf, &field, NULL);
        for (size_t i = 0; i < 40; i++) assert_in_range(w.visits[i], 120, 280);
        world_release(&w);
    }
}

static void test_scan_gives_all(void **state)
{
    (void)state;
    for (size_t size = 50; size <= 800; size += 750) {
        struct world w;
        world_init(&w, size, false);
        fill(&w, size);
        uint64_t cursor = 0;
        do cursor = hash_scan(w.hash, cursor, HASH_SHOW_ALL, visit, &w);
        while (cursor != 0);
        for (size_t i = 0; i < w.size; i++) assert_int_equal(w.visits[i], 1);
        world_release(&w);
    }
}

static unsigned char *copy_of(struct bytes_view blob)
{
    return memcpy(mem_alloc(blob.len), blob.data, blob.len);
}

static void assert_reads_as(struct world *w, enum value_encoding encoding)
{
    struct hash *read = hash_from_listpack(&w->env, copy_of(hash_blob(w->hash)));
    assert_int_equal(hash_encoding(read), encoding);
    assert_int_equal(hash_blob(read).len > 0, encoding == ENCODING_LISTPACK);
    assert_equals_model(w, read);
    hash_free(read);
}

static void test_blob_comes_back(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 100, false);
    fill(&w, 100);
    assert_reads_as(&w, ENCODING_LISTPACK);
    w.limits.hash_max_entries = 99;
    assert_reads_as(&w, ENCODING_HASHTABLE);
    w.limits.hash_max_entries = 100;
    w.limits.hash_max_value = 39;
    assert_reads_as(&w, ENCODING_HASHTABLE);
    world_release(&w);
}

static void test_CVE_2021_32627_huge_limits_are_clamped(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 2000, true);
    w.limits.hash_max_entries = w.limits.hash_max_value = SIZE_MAX;
    fill(&w, 2000);
    assert_encoding(&w, ENCODING_LISTPACK);
    /* One value that would take the listpack to its ceiling: must be checked before a byte is copied. */
    size_t len = LP_MAX_BYTES;
    char *big = mem_calloc(len);
    assert_true(hash_set(w.hash, BYTES_LIT("big"), bytes_view(big, len)));
    mem_free(big);
    assert_encoding(&w, ENCODING_HASHTABLE);
    assert_true(hash_remove(w.hash, BYTES_LIT("big")));
    assert_equals_model(&w, w.hash);
    world_release(&w);
}

static void test_memory_is_counted(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 1, false);
    assert_int_equal(hash_free_effort(w.hash), 1);
    for (size_t i = 0; i < 100000; i++) {
        char f[32], v[32];
        hash_set(w.hash, bytes_view(f, (size_t)snprintf(f, sizeof(f), "field:%012zu", i)),
                 bytes_view(v, (size_t)snprintf(v, sizeof(v), "value:%010zu", i)));
    }
    assert_int_equal(hash_free_effort(w.hash), 100000);
    size_t exact = hash_memory(w.hash, 0), estimate = hash_memory(w.hash, 5);
    assert_in_range(estimate, exact / 10 * 9, exact / 10 * 11);
    assert_true(exact > 100000 * 36);
#ifndef LOCKSTEP_SANITIZE
    assert_true(exact < 100000 * 60); /* fields of 18 bytes, values of 16 */
#endif
    world_release(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_ops),
        cmocka_unit_test(test_converts_by_count),
        cmocka_unit_test(test_converts_by_length),
        cmocka_unit_test(test_reserve_converts_at_once),
        cmocka_unit_test(test_value_changes_length_in_place),
        cmocka_unit_test(test_random_reaches_all_evenly),
        cmocka_unit_test(test_scan_gives_all),
        cmocka_unit_test(test_blob_comes_back),
        cmocka_unit_test(test_CVE_2021_32627_huge_limits_are_clamped),
        cmocka_unit_test(test_memory_is_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
