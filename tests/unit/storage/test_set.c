#include "storage/set.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "storage/base/memory.h"
#include "storage/base/num.h"
#include "storage/intset.h"
#include "storage/listpack.h"

struct world {
    struct encoding_limits limits;
    struct rng rng;
    struct value_env env;
    struct set *set;
    bool *present;
    unsigned *visits;
    size_t size;
    unsigned kind; /* of members, see member_of() */
};

enum { INTEGERS, TEXTS, MIXED };

static struct bytes_view member_of(const struct world *w, size_t i, char *buf, size_t cap)
{
    unsigned kind = w->kind == MIXED ? 3 + i % 5 : w->kind;
    int len = 0;
    switch (kind) {
    case INTEGERS: len = snprintf(buf, cap, "%lld", ((long long)i - 20) * (i % 7 == 0 ? 1000000007LL : 1)); break;
    case TEXTS: len = snprintf(buf, cap, "member:%zu", i); break;
    case 3: len = snprintf(buf, cap, "%zu", i); break;
    case 4: len = snprintf(buf, cap, "-%zu", i); break;
    case 5: len = snprintf(buf, cap, "0%zu", i); break; /* not an integer */
    case 6: len = snprintf(buf, cap, "%0*zu", 250 + (int)(i % 10), i); break;
    default: len = i == 4 ? 0 : snprintf(buf, cap, "m%zu", i); break;
    }
    return bytes_view(buf, (size_t)len);
}

static void world_init(struct world *w, unsigned kind, size_t size)
{
    *w = (struct world){.limits = encoding_limits_default(), .size = size, .kind = kind};
    rng_seed(&w->rng, 7);
    w->env = (struct value_env){.key_seed = 99, .element_seed = 99, .limits = &w->limits, .rng = &w->rng};
    w->present = mem_calloc(size * sizeof(*w->present));
    w->visits = mem_calloc(size * sizeof(*w->visits));
}

static void world_release(struct world *w)
{
    if (w->set != NULL) set_free(w->set);
    mem_free(w->present);
    mem_free(w->visits);
}

static bool add(struct world *w, size_t i)
{
    char buf[300];
    struct bytes_view m = member_of(w, i, buf, sizeof(buf));
    if (w->set == NULL) w->set = set_new(&w->env, m, 1);
    return set_add(w->set, m);
}

static void fill(struct world *w, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        assert_true(add(w, i));
        w->present[i] = true;
    }
}

static size_t index_of(const struct world *w, struct bytes_view m)
{
    char buf[300];
    for (size_t i = 0; i < w->size; i++)
        if (bytes_equal(member_of(w, i, buf, sizeof(buf)), m)) return i;
    fail_msg("a member that nobody added");
    return 0;
}

static void visit(void *ctx, struct bytes_view m)
{
    struct world *w = ctx;
    w->visits[index_of(w, m)]++;
}

static void assert_equals_model(struct world *w, const struct set *s)
{
    size_t count = 0;
    char buf[300];
    set_check(s);
    for (size_t i = 0; i < w->size; i++) {
        assert_int_equal(set_contains(s, member_of(w, i, buf, sizeof(buf))), w->present[i]);
        count += w->present[i];
    }
    assert_int_equal(set_count(s), count);
    struct set_iter it;
    struct bytes_view m;
    memset(w->visits, 0, w->size * sizeof(*w->visits));
    set_iter_init(&it, s);
    while (set_iter_next(&it, &m)) visit(w, m);
    for (size_t i = 0; i < w->size; i++) assert_int_equal(w->visits[i], w->present[i]);
}

static void random_ops(struct world *w, size_t ops)
{
    char buf[300];
    for (size_t n = 0; n < ops; n++) {
        size_t i = rng_below(&w->rng, w->size);
        struct bytes_view m = member_of(w, i, buf, sizeof(buf));
        set_prefetch(w->set, m);
        set_prefetch_member(w->set, m);
        if (rng_below(&w->rng, 100) < 60) {
            assert_int_equal(set_add(w->set, m), !w->present[i]);
            w->present[i] = true;
        } else {
            assert_int_equal(set_remove(w->set, m), w->present[i]);
            w->present[i] = false;
        }
        if (n % (ops / 10) == 0) assert_equals_model(w, w->set);
    }
}

static void test_random_ops(void **state)
{
    (void)state;
    static const size_t sizes[] = {30, 100, 700};
    for (unsigned kind = INTEGERS; kind <= MIXED; kind++)
        for (size_t s = 0; s < 3; s++) {
            struct world w;
            world_init(&w, kind, sizes[s]);
            fill(&w, 1);
            random_ops(&w, 4000);
            struct set *copy = set_dup(w.set);
            assert_int_equal(set_encoding(copy), set_encoding(w.set));
            assert_equals_model(&w, copy);
            set_free(copy);
            world_release(&w);
        }
}

static void assert_encoding(const struct world *w, enum value_encoding encoding)
{
    assert_int_equal(set_encoding(w->set), encoding);
    set_check(w->set);
}

static void test_intset_grows_into_table(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, INTEGERS, 513);
    fill(&w, 512);
    assert_encoding(&w, ENCODING_INTSET);
    assert_true(add(&w, 512));
    assert_encoding(&w, ENCODING_HASHTABLE);
    assert_false(add(&w, 3));
    for (size_t i = 1; i < 513; i++) {
        char buf[300];
        assert_true(set_remove(w.set, member_of(&w, i, buf, sizeof(buf))));
    }
    assert_encoding(&w, ENCODING_HASHTABLE); /* never back */
    world_release(&w);
}

static void test_intset_meets_text(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, INTEGERS, 200);
    fill(&w, 127);
    assert_true(set_add(w.set, BYTES_LIT("text")));
    assert_encoding(&w, ENCODING_LISTPACK);
    assert_int_equal(set_count(w.set), 128);
    world_release(&w);
    world_init(&w, INTEGERS, 200);
    fill(&w, 128);
    assert_true(set_add(w.set, BYTES_LIT("text")));
    assert_encoding(&w, ENCODING_HASHTABLE);
    assert_int_equal(set_count(w.set), 129);
    world_release(&w);
    world_init(&w, INTEGERS, 200);
    w.limits.set_max_listpack_value = 5; /* the integers are longer */
    fill(&w, 20);
    assert_true(set_add(w.set, BYTES_LIT("text")));
    assert_encoding(&w, ENCODING_HASHTABLE);
    world_release(&w);
}

static void test_listpack_grows_into_table(void **state)
{
    (void)state;
    struct world w;
    char text[65];
    memset(text, 'x', sizeof(text));
    world_init(&w, TEXTS, 129);
    fill(&w, 128);
    assert_encoding(&w, ENCODING_LISTPACK);
    assert_false(add(&w, 3));
    assert_encoding(&w, ENCODING_LISTPACK);
    assert_true(add(&w, 128));
    assert_encoding(&w, ENCODING_HASHTABLE);
    world_release(&w);
    world_init(&w, TEXTS, 129);
    fill(&w, 2);
    assert_true(set_add(w.set, bytes_view(text, 64)));
    assert_encoding(&w, ENCODING_LISTPACK);
    assert_true(set_add(w.set, bytes_view(text, 65)));
    assert_encoding(&w, ENCODING_HASHTABLE);
    assert_true(set_contains(w.set, bytes_view(text, 64)) && set_contains(w.set, bytes_view(text, 65)));
    world_release(&w);
}

static void test_first_member_and_size_choose(void **state)
{
    (void)state;
    static const struct {
        const char *first;
        size_t hint;
        enum value_encoding encoding;
    } cases[] = {{"1", 1, ENCODING_INTSET},
                 {"1", 512, ENCODING_INTSET},
                 {"1", 513, ENCODING_HASHTABLE},
                 {"a", 1, ENCODING_LISTPACK},
                 {"a", 128, ENCODING_LISTPACK},
                 {"a", 129, ENCODING_HASHTABLE},
                 {"01", 1, ENCODING_LISTPACK},
                 {"", 1, ENCODING_LISTPACK},
                 {"9223372036854775807", 1, ENCODING_INTSET},
                 {"9223372036854775808", 1, ENCODING_LISTPACK}};
    struct world w;
    world_init(&w, TEXTS, 1);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct set *s = set_new(&w.env, bytes_str(cases[i].first), cases[i].hint);
        assert_int_equal(set_encoding(s), cases[i].encoding);
        assert_true(set_add(s, bytes_str(cases[i].first)));
        assert_int_equal(set_encoding(s), cases[i].encoding);
        assert_int_equal(set_count(s), 1);
        set_free(s);
    }
    w.limits.set_max_intset_entries = 0;
    struct set *s = set_new(&w.env, BYTES_LIT("5"), 1);
    assert_int_equal(set_encoding(s), ENCODING_LISTPACK);
    set_free(s);
    world_release(&w);
}

static void test_reserve_converts_at_once(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, TEXTS, 300);
    fill(&w, 10);
    set_reserve(w.set, 128);
    assert_encoding(&w, ENCODING_LISTPACK);
    set_reserve(w.set, 129);
    assert_encoding(&w, ENCODING_HASHTABLE);
    assert_equals_model(&w, w.set);
    world_release(&w);
}

/* Whatever the configured limits are, an intset stays below one gigabyte and each insert below a few megabytes. */
static void test_CVE_2021_32687_huge_limits_are_clamped(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, TEXTS, 1);
    w.limits.set_max_intset_entries = SIZE_MAX;
    w.limits.set_max_listpack_entries = SIZE_MAX;
    w.limits.set_max_listpack_value = SIZE_MAX;
    struct set *s = set_new(&w.env, BYTES_LIT("5"), (size_t)1 << 40);
    assert_int_equal(set_encoding(s), ENCODING_LISTPACK);
    set_free(s);
    s = set_new(&w.env, BYTES_LIT("5"), 1);
    for (int i = 0; i < 1000; i++) {
        char buf[32];
        assert_true(set_add(s, bytes_view(buf, num_format_i64(buf, i * 1000003LL))));
    }
    assert_int_equal(set_encoding(s), ENCODING_INTSET);
    assert_true(set_add(s, BYTES_LIT("text")));
    set_check(s);
    assert_int_equal(set_count(s), 1001);
    set_free(s);
    world_release(&w);
}

static void test_random_reaches_all_evenly(void **state)
{
    (void)state;
    for (unsigned kind = INTEGERS; kind <= MIXED; kind++) {
        struct world w;
        struct number_text buf;
        world_init(&w, kind, 40);
        fill(&w, 40);
        for (int i = 0; i < 8000; i++) visit(&w, set_random(w.set, &buf));
        for (size_t i = 0; i < 40; i++) assert_in_range(w.visits[i], 120, 280);
        world_release(&w);
    }
}

static void test_scan_gives_all(void **state)
{
    (void)state;
    for (unsigned kind = INTEGERS; kind <= MIXED; kind++) {
        struct world w;
        world_init(&w, kind, 600);
        fill(&w, kind == TEXTS ? 100 : 600);
        uint64_t cursor = 0;
        do cursor = set_scan(w.set, cursor, visit, &w);
        while (cursor != 0);
        for (size_t i = 0; i < w.size; i++) assert_int_equal(w.visits[i], w.present[i]);
        world_release(&w);
    }
}

static void test_iter_tells_integers(void **state)
{
    (void)state;
    struct world w;
    struct set_iter it;
    struct bytes_view m;
    bool is_int;
    int64_t value, sum = 0;
    world_init(&w, INTEGERS, 5);
    fill(&w, 5);
    set_iter_init(&it, w.set);
    while (set_iter_next_int(&it, &m, &is_int, &value)) {
        int64_t read;
        assert_true(is_int && num_parse_i64(m, &read) && read == value);
        sum += value;
    }
    assert_int_equal(sum, -20 * 1000000007LL - 19 - 18 - 17 - 16);
    assert_true(set_add(w.set, BYTES_LIT("text")));
    set_iter_init(&it, w.set);
    for (int i = 0; i < 6; i++) {
        assert_true(set_iter_next_int(&it, &m, &is_int, &value));
        assert_int_equal(is_int, i < 5);
    }
    assert_false(set_iter_next_int(&it, &m, &is_int, &value));
    world_release(&w);
}

static unsigned char *copy_of(struct bytes_view blob)
{
    return memcpy(mem_alloc(blob.len), blob.data, blob.len);
}

static void test_blobs_come_back(void **state)
{
    (void)state;
    for (unsigned kind = INTEGERS; kind <= TEXTS; kind++) {
        struct world w;
        world_init(&w, kind, 100);
        fill(&w, 100);
        struct bytes_view blob = set_blob(w.set);
        struct set *read = set_from_blob(&w.env, set_encoding(w.set), copy_of(blob), blob.len);
        assert_int_equal(set_encoding(read), set_encoding(w.set));
        assert_equals_model(&w, read);
        set_free(read);
        w.limits.set_max_intset_entries = w.limits.set_max_listpack_entries = 99;
        read = set_from_blob(&w.env, set_encoding(w.set), copy_of(blob), blob.len);
        assert_int_equal(set_encoding(read), ENCODING_HASHTABLE);
        assert_int_equal(set_blob(read).len, 0);
        assert_equals_model(&w, read);
        set_free(read);
        world_release(&w);
    }
}

static void test_memory_is_counted(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, TEXTS, 1);
    struct set *s = set_new(&w.env, BYTES_LIT("a"), 1);
    assert_int_equal(set_free_effort(s), 1);
    for (size_t i = 0; i < 100000; i++) {
        char buf[32];
        set_add(s, bytes_view(buf, (size_t)snprintf(buf, sizeof(buf), "member:%013zu", i)));
    }
    assert_int_equal(set_free_effort(s), 100000);
    size_t exact = set_memory(s, 0), estimate = set_memory(s, 5);
    assert_in_range(estimate, exact / 10 * 9, exact / 10 * 11);
    assert_true(exact > 100000 * 21);
#ifndef LOCKSTEP_SANITIZE
    assert_true(exact < 100000 * 44); /* members of 20 bytes */
#endif
    set_free(s);
    world_release(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_ops),
        cmocka_unit_test(test_intset_grows_into_table),
        cmocka_unit_test(test_intset_meets_text),
        cmocka_unit_test(test_listpack_grows_into_table),
        cmocka_unit_test(test_first_member_and_size_choose),
        cmocka_unit_test(test_reserve_converts_at_once),
        cmocka_unit_test(test_CVE_2021_32687_huge_limits_are_clamped),
        cmocka_unit_test(test_random_reaches_all_evenly),
        cmocka_unit_test(test_scan_gives_all),
        cmocka_unit_test(test_iter_tells_integers),
        cmocka_unit_test(test_blobs_come_back),
        cmocka_unit_test(test_memory_is_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
