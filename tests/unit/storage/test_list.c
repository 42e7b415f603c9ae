#include "storage/list.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "storage/base/memory.h"
#include "storage/listpack.h"

struct fixture {
    struct encoding_limits limits;
    struct rng rng;
    struct value_env env;
};

static void fixture_init(struct fixture *f, int max_listpack_size, int compress_depth)
{
    f->limits = encoding_limits_default();
    f->limits.list_max_listpack_size = max_listpack_size;
    f->limits.list_compress_depth = compress_depth;
    rng_seed(&f->rng, 7);
    f->env = (struct value_env){.key_seed = 1, .element_seed = 1, .limits = &f->limits, .rng = &f->rng};
}

static void push_str(struct list *l, const char *s)
{
    list_push(l, LIST_TAIL, bytes_str(s));
}

static void push_sized(struct list *l, enum list_end end, char fill, size_t len)
{
    char *bytes = mem_alloc(len);
    memset(bytes, fill, len);
    list_push(l, end, bytes_view(bytes, len));
    mem_free(bytes);
}

static struct list *list_of(const struct value_env *env, const char *const *items, size_t n)
{
    struct list *l = list_new(env);
    for (size_t i = 0; i < n; i++) push_str(l, items[i]);
    return l;
}

static void assert_items(const struct list *l, const char *const *items, size_t n)
{
    struct list_iter it;
    struct bytes_view value;
    size_t i = 0;
    list_check(l);
    assert_int_equal(list_count(l), n);
    list_iter_init(&it, l, 0, false);
    for (; list_iter_next(&it, &value); i++) assert_true(bytes_equal(value, bytes_str(items[i])));
    list_iter_release(&it);
    assert_int_equal(i, n);
}
#define ITEMS(...)                   (const char *const[]){__VA_ARGS__}, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *)
#define assert_encoding(l, expected) assert_string_equal(value_name(list_encoding(l)), expected)

static const char *value_name(enum value_encoding e)
{
    return e == ENCODING_LISTPACK ? "listpack" : "quicklist";
}

/* ---- when the encoding changes ---- */

static void test_push_converts_past_the_limit(void **state)
{
    struct fixture f;
    fixture_init(&f, 3, 0);
    struct list *l = list_of(&f.env, ITEMS("a", "b", "c"));
    assert_encoding(l, "listpack");
    push_str(l, "d");
    assert_encoding(l, "quicklist");
    assert_items(l, ITEMS("a", "b", "c", "d"));
    list_free(l);
    fixture_init(&f, -2, 0);
    l = list_of(&f.env, ITEMS("a"));
    push_sized(l, LIST_HEAD, 'x', 8192);
    assert_encoding(l, "quicklist");
    assert_int_equal(list_nodes(l), 2);
    list_drop(l, LIST_TAIL);
    assert_encoding(l, "quicklist"); /* one big element alone does not fit a listpack */
    list_check(l);
    list_free(l);
}

static void test_insert_and_set_convert(void **state)
{
    struct fixture f;
    fixture_init(&f, 3, 0);
    struct list *l = list_of(&f.env, ITEMS("a", "b", "c"));
    assert_true(list_insert(l, BYTES_LIT("b"), false, BYTES_LIT("hello")));
    assert_encoding(l, "quicklist");
    assert_items(l, ITEMS("a", "b", "hello", "c"));
    list_free(l);
    l = list_of(&f.env, ITEMS("a", "b", "c"));
    assert_true(list_set(l, 0, BYTES_LIT("hello"))); /* Redis counts LSET as if it added an element */
    assert_encoding(l, "quicklist");
    assert_items(l, ITEMS("hello", "b", "c"));
    list_free(l);
}

static void test_removals_convert_back_at_half_the_limit(void **state)
{
    struct fixture f;
    fixture_init(&f, 3, 0);
    struct list *l = list_of(&f.env, ITEMS("a", "b", "c", "d"));
    list_drop(l, LIST_TAIL);
    assert_encoding(l, "quicklist");
    list_drop(l, LIST_TAIL);
    assert_encoding(l, "quicklist");
    list_drop(l, LIST_TAIL);
    assert_encoding(l, "listpack");
    list_free(l);
    l = list_of(&f.env, ITEMS("a", "a", "a", "d"));
    assert_int_equal(list_remove(l, 3, BYTES_LIT("a")), 3);
    assert_encoding(l, "listpack");
    assert_items(l, ITEMS("d"));
    list_free(l);
    l = list_of(&f.env, ITEMS("a", "b", "c", "d"));
    list_remove_range(l, 2, 2);
    list_remove_range(l, 0, 1);
    assert_encoding(l, "listpack");
    assert_items(l, ITEMS("b"));
    list_free(l);
}

static void test_set_of_a_big_element_converts_back(void **state)
{
    struct fixture f;
    fixture_init(&f, -1, 0);
    struct list *l = list_new(&f.env);
    push_sized(l, LIST_TAIL, 'x', 8192);
    push_str(l, "a");
    push_str(l, "b");
    assert_encoding(l, "quicklist");
    list_drop(l, LIST_TAIL);
    list_drop(l, LIST_TAIL);
    assert_encoding(l, "quicklist");
    assert_true(list_set(l, -1, BYTES_LIT("c")));
    assert_encoding(l, "listpack");
    assert_items(l, ITEMS("c"));
    list_free(l);
}

static void test_odd_limits(void **state)
{
    struct fixture f;
    fixture_init(&f, 0, 0); /* as 1 */
    struct list *l = list_of(&f.env, ITEMS("a"));
    assert_encoding(l, "listpack");
    push_str(l, "b");
    assert_encoding(l, "quicklist");
    assert_int_equal(list_nodes(l), 2);
    list_free(l);
    fixture_init(&f, -6, 0); /* as -5 */
    l = list_new(&f.env);
    push_sized(l, LIST_TAIL, 'x', 60000);
    assert_encoding(l, "listpack");
    push_sized(l, LIST_TAIL, 'x', 5536);
    assert_encoding(l, "quicklist");
    list_check(l);
    list_free(l);
}

/* A listpack has a ceiling in bytes, whatever number of elements is configured. */
static void test_CVE_2021_32627_listpack_ceiling_does_not_follow_the_configuration(void **state)
{
    struct fixture f;
    fixture_init(&f, INT32_MAX, 0);
    struct list *l = list_new(&f.env);
    for (int i = 0; i < 40; i++) push_sized(l, i % 2 ? LIST_HEAD : LIST_TAIL, 'x', 1000);
    assert_encoding(l, "quicklist");
    assert_true(list_nodes(l) >= 5);
    push_sized(l, LIST_HEAD, 'y', 1 << 20);
    assert_true(list_insert(l, BYTES_LIT("nothing"), true, BYTES_LIT("z")) == false);
    struct list_walk w;
    struct bytes_view bytes;
    unsigned char *owned;
    bool plain;
    for (list_walk_init(&w, l); list_walk_next(&w, &bytes, &plain, &owned);) assert_true(plain || bytes.len <= 8192);
    list_check(l);
    list_free(l);
}

/* ---- saving and loading ---- */

static struct list *reload(const struct list *l, const struct value_env *env)
{
    struct list *copy = list_new(env);
    struct list_walk w;
    struct bytes_view bytes;
    unsigned char *owned;
    bool plain;
    for (list_walk_init(&w, l); list_walk_next(&w, &bytes, &plain, &owned);) {
        if (owned == NULL) {
            owned = mem_alloc(bytes.len);
            memcpy(owned, bytes.data, bytes.len);
        }
        if (!plain) assert_true(lp_validate(owned, bytes.len, true, NULL, NULL));
        list_append_node(copy, owned, bytes.len, plain);
    }
    list_finish_load(copy);
    list_check(copy);
    return copy;
}

static void test_reload_settles_the_encoding(void **state)
{
    struct fixture f;
    fixture_init(&f, 3, 0);
    struct list *l = list_of(&f.env, ITEMS("a", "b", "c", "d"));
    struct list *again = reload(l, &f.env);
    assert_encoding(again, "quicklist");
    list_free(again);
    list_drop(l, LIST_TAIL);
    assert_encoding(l, "quicklist");
    again = reload(l, &f.env); /* one packed node within the limit */
    assert_encoding(again, "listpack");
    assert_items(again, ITEMS("a", "b", "c"));
    list_free(again);
    list_free(l);
}

static void test_pushes_at_the_head_leave_a_valid_listpack(void **state)
{
    struct fixture f;
    fixture_init(&f, -2, 0);
    struct list *l = list_new(&f.env);
    for (int i = 0; i < 200; i++) {
        char text[16];
        snprintf(text, sizeof(text), i % 3 ? "v%d" : "%d", i);
        list_push(l, i % 5 ? LIST_HEAD : LIST_TAIL, bytes_str(text));
        list_free(reload(l, &f.env));
    }
    for (int i = 0; i < 199; i++) {
        list_drop(l, i % 3 ? LIST_HEAD : LIST_TAIL);
        list_free(reload(l, &f.env));
    }
    list_free(l);
}

/* ---- memory ---- */

static void test_memory_stays_near_the_bytes(void **state)
{
    struct fixture f;
    fixture_init(&f, -2, 0);
    for (int end = 0; end < 2; end++) {
        struct list *l = list_new(&f.env);
        for (int i = 0; i < 10000; i++) push_sized(l, end ? LIST_HEAD : LIST_TAIL, 'x', 20);
        assert_in_range(list_memory(l, 0), 22 * 10000, 22 * 10000 * 115 / 100);
        assert_in_range(list_memory(l, 5), 22 * 10000 / 2, 22 * 10000 * 2);
        for (int i = 0; i < 9990; i++) list_drop(l, end ? LIST_HEAD : LIST_TAIL);
        assert_in_range(list_memory(l, 0), 220, 2048);
        list_free(l);
    }
}

static void test_compression_saves_memory(void **state)
{
    struct fixture f;
    fixture_init(&f, -2, 1);
    struct list *l = list_new(&f.env);
    for (int i = 0; i < 10000; i++) push_sized(l, LIST_TAIL, 'x', 20);
    assert_true(list_memory(l, 0) < 22 * 10000 / 5);
    assert_int_equal(list_count(l), 10000);
    list_check(l);
    list_free(l);
}

/* ---- random operations against an array of strings ---- */

struct item {
    char *bytes;
    size_t len;
};

struct model {
    struct fixture f;
    struct list *l;
    struct item items[4096];
    size_t count;
    size_t big; /* one in that many elements is big; 0: none */
};

static struct bytes_view item_view(const struct item *i)
{
    return bytes_view(i->bytes, i->len);
}

static void model_insert(struct model *m, size_t at, struct bytes_view value)
{
    memmove(m->items + at + 1, m->items + at, (m->count - at) * sizeof(m->items[0]));
    m->items[at] = (struct item){mem_alloc(value.len), value.len};
    if (value.len > 0) memcpy(m->items[at].bytes, value.data, value.len);
    m->count++;
}

static void model_remove(struct model *m, size_t at)
{
    mem_free(m->items[at].bytes);
    memmove(m->items + at, m->items + at + 1, (m->count - at - 1) * sizeof(m->items[0]));
    m->count--;
}

/* Few different values, so that searches find some. */
static struct bytes_view random_value(struct model *m, char *buf)
{
    uint64_t n = rng_next(&m->f.rng);
    size_t len;
    if (m->big > 0 && n % m->big == 0) {
        len = 3000 + n / 7 % 9000;
        memset(buf, 'A' + (int)(n % 3), len);
    } else if (n % 3 == 0) {
        len = (size_t)sprintf(buf, "%d", (int)(n / 3 % 40) * (int)(n / 400 % 2 ? 1 : 100003));
    } else if (n % 50 == 1) {
        len = 0;
    } else {
        len = n / 3 % 120;
        memset(buf, 'a' + (int)(n / 1000 % 3), len);
    }
    return bytes_view(buf, len);
}

static void compare_all(struct model *m, const struct list *l)
{
    struct list_iter it;
    struct bytes_view value;
    list_check(l);
    assert_int_equal(list_count(l), m->count);
    for (int reverse = 0; reverse < 2; reverse++) {
        size_t start = m->count == 0 ? 0 : rng_below(&m->f.rng, m->count), i = start;
        list_iter_init(&it, l, (int64_t)start, reverse);
        for (; list_iter_next(&it, &value); i += reverse ? (size_t)-1 : 1)
            assert_true(bytes_equal(value, item_view(&m->items[i])));
        list_iter_release(&it);
        assert_true(m->count == 0 || i == (reverse ? (size_t)-1 : m->count));
    }
}

static void do_push(struct model *m, struct bytes_view value)
{
    enum list_end end = rng_below(&m->f.rng, 2) ? LIST_HEAD : LIST_TAIL;
    list_push(m->l, end, value);
    model_insert(m, end == LIST_HEAD ? 0 : m->count, value);
}

static void do_drop(struct model *m)
{
    struct number_text text;
    struct bytes_view value;
    enum list_end end = rng_below(&m->f.rng, 2) ? LIST_HEAD : LIST_TAIL;
    if (!list_peek(m->l, end, &text, &value)) {
        assert_int_equal(m->count, 0);
        return;
    }
    size_t at = end == LIST_HEAD ? 0 : m->count - 1;
    assert_true(bytes_equal(value, item_view(&m->items[at])));
    list_drop(m->l, end);
    model_remove(m, at);
}

static void do_get(struct model *m)
{
    struct number_text text;
    struct bytes_view got;
    int64_t index = (int64_t)rng_below(&m->f.rng, m->count * 2 + 2) - (int64_t)m->count - 1;
    size_t at = (size_t)(index < 0 ? index + (int64_t)m->count : index);
    bool there = list_get(m->l, index, &text, &got);
    assert_int_equal(there, at < m->count);
    if (there) assert_true(bytes_equal(got, item_view(&m->items[at])));
}

static void do_set(struct model *m, struct bytes_view value)
{
    int64_t index = (int64_t)rng_below(&m->f.rng, m->count * 2 + 1) - (int64_t)m->count;
    size_t at = (size_t)(index < 0 ? index + (int64_t)m->count : index);
    bool there = list_set(m->l, index, value);
    assert_int_equal(there, at < m->count);
    if (!there) return;
    model_insert(m, at, value);
    model_remove(m, at + 1);
}

static void do_insert(struct model *m, struct bytes_view value)
{
    char buf[16384];
    struct bytes_view pivot = m->count > 0 && rng_below(&m->f.rng, 4)
                                  ? item_view(&m->items[rng_below(&m->f.rng, m->count)])
                                  : random_value(m, buf);
    bool before = rng_below(&m->f.rng, 2);
    size_t at = 0;
    while (at < m->count && !bytes_equal(item_view(&m->items[at]), pivot)) at++;
    bool found = at < m->count;
    char *copy = mem_alloc(pivot.len);
    if (pivot.len > 0) memcpy(copy, pivot.data, pivot.len);
    assert_int_equal(list_insert(m->l, bytes_view(copy, pivot.len), before, value), found);
    mem_free(copy);
    if (found) model_insert(m, before ? at : at + 1, value);
}

static void do_remove(struct model *m, struct bytes_view value)
{
    int64_t count = (int64_t)rng_below(&m->f.rng, 9) - 4;
    size_t max = count == 0 ? SIZE_MAX : (size_t)(count < 0 ? -count : count), gone = 0;
    for (size_t i = 0; i < m->count && gone < max;) {
        size_t at = count < 0 ? m->count - 1 - i : i;
        if (bytes_equal(item_view(&m->items[at]), value)) {
            model_remove(m, at);
            gone++;
        } else {
            i++;
        }
    }
    assert_int_equal(list_remove(m->l, count, value), gone);
}

static void do_remove_range(struct model *m)
{
    size_t start = rng_below(&m->f.rng, m->count + 2);
    size_t count = rng_below(&m->f.rng, rng_below(&m->f.rng, 8) ? 6 : m->count + 3);
    list_remove_range(m->l, start, count);
    for (size_t i = 0; i < count && start < m->count; i++) model_remove(m, start);
}

static void step(struct model *m, unsigned growth)
{
    char buf[16384];
    struct bytes_view value = random_value(m, buf);
    unsigned what = (unsigned)rng_below(&m->f.rng, 100);
    if (what < growth && m->count < 4000)
        do_push(m, value);
    else if (what < 55)
        do_drop(m);
    else if (what < 70)
        do_get(m);
    else if (what < 80)
        do_set(m, value);
    else if (what < 88 && m->count < 4000)
        do_insert(m, value);
    else if (what < 96)
        do_remove(m, value);
    else
        do_remove_range(m);
}

static void run_random(int max_listpack_size, int depth, size_t big, size_t steps)
{
    struct model *m = mem_calloc(sizeof(*m));
    fixture_init(&m->f, max_listpack_size, depth);
    m->big = big;
    m->l = list_new(&m->f.env);
    for (size_t i = 0; i < steps; i++) {
        step(m, i * 4 / steps % 2 ? 25 : 50);
        if (i % 16 == 0) compare_all(m, m->l);
        if (i % 500 == 250) { /* limits are live configuration */
            m->f.limits.list_compress_depth = depth == 0 ? 0 : (int)rng_below(&m->f.rng, 4);
            if (big == 0) m->f.limits.list_max_listpack_size = (int)rng_below(&m->f.rng, 30) - 3;
        }
        if (i % 100 == 0) {
            struct list *copy = list_dup(m->l), *again = reload(m->l, &m->f.env);
            assert_int_equal(list_encoding(copy), list_encoding(m->l));
            compare_all(m, copy);
            compare_all(m, again);
            list_free(copy);
            list_free(again);
        }
    }
    compare_all(m, m->l);
    list_free(m->l);
    while (m->count > 0) model_remove(m, m->count - 1);
    mem_free(m);
}

static void test_random_default(void **state)
{
    run_random(-2, 0, 0, 8000);
}
static void test_random_small_nodes(void **state)
{
    run_random(4, 0, 0, 8000);
}
static void test_random_single_element_nodes(void **state)
{
    run_random(1, 0, 0, 3000);
}
static void test_random_big_elements(void **state)
{
    run_random(-1, 0, 9, 6000);
}
static void test_random_compressed(void **state)
{
    run_random(-1, 1, 0, 6000);
}
static void test_random_compressed_big_elements(void **state)
{
    run_random(5, 2, 9, 6000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_push_converts_past_the_limit),
        cmocka_unit_test(test_insert_and_set_convert),
        cmocka_unit_test(test_removals_convert_back_at_half_the_limit),
        cmocka_unit_test(test_set_of_a_big_element_converts_back),
        cmocka_unit_test(test_odd_limits),
        cmocka_unit_test(test_CVE_2021_32627_listpack_ceiling_does_not_follow_the_configuration),
        cmocka_unit_test(test_reload_settles_the_encoding),
        cmocka_unit_test(test_pushes_at_the_head_leave_a_valid_listpack),
        cmocka_unit_test(test_memory_stays_near_the_bytes),
        cmocka_unit_test(test_compression_saves_memory),
        cmocka_unit_test(test_random_default),
        cmocka_unit_test(test_random_small_nodes),
        cmocka_unit_test(test_random_single_element_nodes),
        cmocka_unit_test(test_random_big_elements),
        cmocka_unit_test(test_random_compressed),
        cmocka_unit_test(test_random_compressed_big_elements),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
