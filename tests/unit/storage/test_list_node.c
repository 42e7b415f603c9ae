#include "storage/list_node.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "storage/base/memory.h"
#include "storage/base/sys.h"

enum { MODEL_MAX = 400 };

struct model { /* the expected elements of a packed node */
    char *items[MODEL_MAX];
    size_t count;
};

static void model_insert(struct model *m, size_t at, const char *text)
{
    assert_true(m->count < MODEL_MAX);
    memmove(&m->items[at + 1], &m->items[at], (m->count - at) * sizeof(m->items[0]));
    m->items[at] = mem_strdup(text);
    m->count++;
}

static void model_remove(struct model *m, size_t at, size_t n)
{
    for (size_t i = at; i < at + n; i++) mem_free(m->items[i]);
    memmove(&m->items[at], &m->items[at + n], (m->count - at - n) * sizeof(m->items[0]));
    m->count -= n;
}

static void expect(const struct list_node *n, const struct model *m)
{
    char buf[LP_INT_CHARS];
    const unsigned char *lp = list_node_lp(n), *p = lp_first(lp);
    assert_int_equal(n->count, m->count);
    if (m->count > 0) list_node_check(n);
    for (size_t i = 0; i < m->count; i++, p = lp_next(lp, p))
        assert_true(bytes_equal(lp_get_view(p, buf), bytes_str(m->items[i])));
    assert_null(p);
}

static size_t offset_of(const struct list_node *n, size_t index)
{
    const unsigned char *lp = list_node_lp(n);
    return index == n->count ? list_node_end(n) : (size_t)(lp_seek(lp, (int64_t)index) - lp);
}

static void insert(struct list_node *n, struct model *m, size_t at, const char *text)
{
    struct lp_encoded e;
    lp_encode(&e, bytes_str(text));
    list_node_splice(n, offset_of(n, at), 0, 0, &e);
    model_insert(m, at, text);
}

static void remove_run(struct list_node *n, struct model *m, size_t at, size_t count)
{
    size_t start = offset_of(n, at);
    list_node_splice(n, start, offset_of(n, at + count) - start, count, NULL);
    model_remove(m, at, count);
}

static void replace(struct list_node *n, struct model *m, size_t at, const char *text)
{
    struct lp_encoded e;
    size_t start = offset_of(n, at);
    lp_encode(&e, bytes_str(text));
    list_node_splice(n, start, offset_of(n, at + 1) - start, 1, &e);
    model_remove(m, at, 1);
    model_insert(m, at, text);
}

static const char *random_text(struct rng *rng, char *buf, size_t size)
{
    size_t len = rng_below(rng, 20) == 0 ? (size_t)rng_below(rng, size - 1) : (size_t)rng_below(rng, 12);
    if (rng_below(rng, 3) == 0) {
        snprintf(buf, size, "%lld", (long long)(int64_t)(rng_next(rng) >> rng_below(rng, 64)));
        return buf;
    }
    for (size_t i = 0; i < len; i++) buf[i] = (char)('a' + rng_below(rng, 26));
    buf[len] = '\0';
    return buf;
}

static void test_random_changes(void **state)
{
    struct rng rng;
    char text[3000];
    rng_seed(&rng, 5);
    for (int round = 0; round < 20; round++) {
        struct model m = {.count = 0};
        struct list_node n = {0};
        list_node_init_packed(&n);
        for (int step = 0; step < 600; step++) {
            bool shrink = m.count > 0 && (m.count == MODEL_MAX || rng_below(&rng, 5) < (step / 150 % 2 ? 3u : 2u));
            uint64_t end = rng_below(&rng, 3); /* the ends more often than the middle */
            size_t at = end == 0 ? 0 : end == 1 ? m.count : (size_t)rng_below(&rng, m.count + 1);
            if (shrink) {
                if (at == m.count) at--;
                remove_run(&n, &m, at, 1 + (size_t)rng_below(&rng, (m.count - at) < 4 ? m.count - at : 4));
            } else if (m.count > 0 && rng_below(&rng, 4) == 0) {
                replace(&n, &m, (size_t)rng_below(&rng, m.count), random_text(&rng, text, sizeof(text)));
            } else {
                insert(&n, &m, at, random_text(&rng, text, sizeof(text)));
            }
            if (rng_below(&rng, 20) == 0) list_node_trim(&n);
            expect(&n, &m);
        }
        model_remove(&m, 0, m.count);
        list_node_release(&n);
        assert_null(n.buf);
    }
}

static void fill(struct list_node *n, struct model *m, int count)
{
    char text[32];
    list_node_init_packed(n);
    for (int i = 0; i < count; i++) {
        snprintf(text, sizeof(text), i % 2 ? "%d" : "element %d", i);
        insert(n, m, m->count, text);
    }
}

static void test_pushes_at_the_head_leave_the_rest_where_it_is(void **state)
{
    struct model m = {.count = 0};
    struct list_node n = {0};
    fill(&n, &m, 100);
    insert(&n, &m, 0, "makes room in front");
    assert_true(n.front >= 16);
    for (int i = 0; i < 5 && n.front >= 16; i++) {
        const unsigned char *last = lp_last(list_node_lp(&n));
        insert(&n, &m, 0, "x");
        assert_ptr_equal(lp_last(list_node_lp(&n)), last);
        expect(&n, &m);
    }
    model_remove(&m, 0, m.count);
    list_node_release(&n);
}

static void test_room_is_given_back(void **state)
{
    struct model m = {.count = 0};
    struct list_node n = {0};
    fill(&n, &m, 300);
    size_t full = list_node_memory(&n);
    remove_run(&n, &m, 10, 280);
    assert_true(list_node_memory(&n) < full / 2);
    expect(&n, &m);
    list_node_trim(&n);
    assert_true(n.cap <= mem_good_size(n.len));
    assert_int_equal(n.front, 0);
    expect(&n, &m);
    model_remove(&m, 0, m.count);
    list_node_release(&n);
}

static void test_splitting_and_joining(void **state)
{
    for (size_t at = 1; at < 30; at++) {
        struct model m = {.count = 0}, right_m = {.count = 0};
        struct list_node n = {0}, right = {0};
        fill(&n, &m, 30);
        for (size_t i = at; i < m.count; i++) model_insert(&right_m, i - at, m.items[i]);
        list_node_split(&n, offset_of(&n, at), m.count - at, &right);
        model_remove(&m, at, m.count - at);
        expect(&n, &m);
        expect(&right, &right_m);
        list_node_append_all(&n, &right);
        expect(&right, &right_m); /* is not changed */
        for (size_t i = 0; i < right_m.count; i++) model_insert(&m, m.count, right_m.items[i]);
        expect(&n, &m);
        model_remove(&m, 0, m.count);
        model_remove(&right_m, 0, right_m.count);
        list_node_release(&n);
        list_node_release(&right);
    }
}

static void test_compression(void **state)
{
    struct model m = {.count = 0};
    struct list_node n = {0}, copy = {0};
    fill(&n, &m, 200);
    size_t len = n.len;
    list_node_compress(&n);
    assert_true(n.lzf_len > 0 && n.lzf_len < len);
    assert_int_equal(n.len, len); /* that of what it was */
    assert_int_equal(n.count, 200);
    list_node_check(&n);
    unsigned char *unpacked = list_node_unpacked_copy(&n);
    assert_int_equal(lp_bytes(unpacked), len);
    assert_int_equal(lp_count(unpacked), 200);
    mem_free(unpacked);
    list_node_init_copy(&copy, &n);
    assert_int_equal(copy.lzf_len, n.lzf_len);
    list_node_release(&n);
    list_node_unpack(&copy);
    assert_int_equal(copy.lzf_len, 0);
    expect(&copy, &m);
    list_node_unpack(&copy); /* once more does nothing */
    insert(&copy, &m, 0, "goes on");
    expect(&copy, &m);
    model_remove(&m, 0, m.count);
    list_node_release(&copy);
}

static void test_what_gains_nothing_stays_uncompressed(void **state)
{
    struct model m = {.count = 0};
    struct list_node n = {0};
    struct rng rng;
    char bytes[200];
    list_node_init_packed(&n);
    insert(&n, &m, 0, "aaaaaaaaaaaaaaaaaaaaaaaa"); /* below 48 bytes */
    list_node_compress(&n);
    assert_int_equal(n.lzf_len, 0);
    model_remove(&m, 0, m.count);
    list_node_release(&n);

    rng_seed(&rng, 9);
    for (size_t i = 0; i < sizeof(bytes); i++) bytes[i] = (char)rng_next(&rng);
    list_node_init_plain(&n, bytes_view(bytes, sizeof(bytes)));
    list_node_compress(&n);
    assert_int_equal(n.lzf_len, 0);
    assert_memory_equal(n.buf, bytes, sizeof(bytes));
    list_node_release(&n);
}

static void test_plain_nodes(void **state)
{
    char bytes[5000];
    struct list_node n = {0}, copy = {0};
    memset(bytes, 'p', sizeof(bytes));
    list_node_init_plain(&n, bytes_view(bytes, sizeof(bytes)));
    list_node_check(&n);
    assert_int_equal(n.count, 1);
    list_node_trim(&n); /* has no room to give */
    list_node_compress(&n);
    assert_true(n.lzf_len > 0);
    list_node_init_copy(&copy, &n);
    list_node_unpack(&copy);
    assert_true(copy.plain);
    assert_int_equal(copy.len, sizeof(bytes));
    assert_memory_equal(copy.buf, bytes, sizeof(bytes));
    list_node_release(&n);
    list_node_release(&copy);
}

static void test_bytes_that_are_taken(void **state)
{
    struct list_node n = {0};
    unsigned char *lp = lp_append(lp_append(lp_new(0), BYTES_LIT("a")), BYTES_LIT("12"));
    list_node_init_taking(&n, lp, lp_bytes(lp), false);
    assert_ptr_equal(n.buf, lp);
    assert_int_equal(n.count, 2);
    list_node_check(&n);
    list_node_release(&n);
    unsigned char *plain = mem_alloc(100);
    memset(plain, 1, 100);
    list_node_init_taking(&n, plain, 100, true);
    assert_int_equal(n.count, 1);
    assert_true(n.plain);
    list_node_release(&n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_changes),     cmocka_unit_test(test_pushes_at_the_head_leave_the_rest_where_it_is),
        cmocka_unit_test(test_room_is_given_back), cmocka_unit_test(test_splitting_and_joining),
        cmocka_unit_test(test_compression),        cmocka_unit_test(test_what_gains_nothing_stays_uncompressed),
        cmocka_unit_test(test_plain_nodes),        cmocka_unit_test(test_bytes_that_are_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
