/* stream_load.c: nodes read from files, including the odd ones that Redis writes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "storage/base/memory.h"
#include "storage/stream.h"

static struct encoding_limits limits;
static struct rng rng;
static struct value_env env;

static int setup(void **state)
{
    limits = encoding_limits_default();
    rng_seed(&rng, 1);
    env = (struct value_env){.key_seed = 42, .element_seed = 42, .limits = &limits, .rng = &rng};
    return 0;
}

/* A node under `master` with entries of the given sequence numbers; a negative one is deleted. Each entry has the field
 * "n" with its number among all entries. The master entry counts `live_off` more live entries than there are. */
static int entry_number;

static unsigned char *node(struct stream_id master, const int64_t *seqs, size_t n, int64_t live_off)
{
    int64_t live = 0, deleted = 0;
    for (size_t i = 0; i < n; i++) seqs[i] < 0 ? deleted++ : live++;
    unsigned char *lp = lp_append_int(lp_append_int(lp_new(0), live + live_off), deleted - live_off);
    lp = lp_append_int(lp_append(lp_append_int(lp, 1), BYTES_LIT("n")), 0);
    for (size_t i = 0; i < n; i++) {
        int64_t seq = seqs[i] < 0 ? -seqs[i] : seqs[i];
        lp = lp_append_int(lp, STREAM_ENTRY_SAME_FIELDS | (seqs[i] < 0 ? STREAM_ENTRY_DELETED : 0));
        lp = lp_append_int(lp_append_int(lp, 0), seq - (int64_t)master.seq);
        lp = lp_append_int(lp_append_int(lp, ++entry_number), 4);
    }
    return lp;
}

struct load {
    struct stream *stream;
    struct stream_loading loading;
};

static const char *load_node_with(struct load *l, uint64_t master, const int64_t *seqs, size_t n, int64_t live_off)
{
    struct stream_id id = {0, master};
    unsigned char *lp = node(id, seqs, n, live_off);
    const char *why = stream_load_node(l->stream, &l->loading, id, bytes_view(lp, lp_bytes(lp)));
    lp_free(lp); /* it was borrowed */
    return why;
}

#define LOAD(l, master, ...)                                                                                           \
    load_node_with(l, master, (const int64_t[]){__VA_ARGS__},                                                          \
                   sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t), 0)

static struct load begin(void)
{
    entry_number = 0;
    return (struct load){.stream = stream_new(&env)};
}

/* Entries as "seq:number ", in order. */
static void expect_and_free(struct load *l, uint64_t count, uint64_t last_seq, const char *expected)
{
    struct bytes_buf text = {0};
    struct stream_iter it;
    struct stream_id id;
    size_t fields;
    assert_null(stream_load_totals(l->stream, &l->loading, count, (struct stream_id){0, last_seq}));
    stream_check(l->stream);
    stream_iter_init(&it, l->stream, STREAM_ID_MIN, STREAM_ID_MAX, false);
    while (stream_iter_next(&it, &id, &fields)) {
        struct bytes_view field, value;
        stream_iter_pair(&it, &field, &value);
        bytes_buf_printf(&text, "%llu:%.*s ", (unsigned long long)id.seq, (int)value.len, value.data);
    }
    bytes_buf_append(&text, "", 1);
    assert_string_equal(text.data, expected);
    assert_int_equal(stream_entries_added(l->stream), stream_count(l->stream));
    bytes_buf_release(&text);
    stream_free(l->stream);
}

static void test_nodes_in_order(void **state)
{
    struct load l = begin();
    assert_null(LOAD(&l, 10, 10, 11, 12));
    assert_null(LOAD(&l, 20, 20, -21, 22));
    assert_int_equal(stream_last_id(l.stream).seq, 22);
    expect_and_free(&l, 5, 30, "10:1 11:2 12:3 20:4 22:6 ");
}

static void test_the_greatest_id_is_the_last_one_at_least(void **state)
{
    struct load l = begin();
    assert_null(LOAD(&l, 10, 10, 11));
    assert_null(stream_load_totals(l.stream, &l.loading, 2, (struct stream_id){0, 5}));
    assert_int_equal(stream_last_id(l.stream).seq, 11);
    assert_int_equal(stream_first_id(l.stream).seq, 10);
    stream_free(l.stream);
}

static void test_a_node_without_live_entries_is_left_out(void **state)
{
    struct load l = begin();
    assert_null(LOAD(&l, 5, -5, -6));
    assert_null(LOAD(&l, 10, 10));
    assert_int_equal(stream_node_count(l.stream), 1);
    expect_and_free(&l, 1, 10, "10:3 ");
    l = begin();
    assert_null(LOAD(&l, 5, -5));
    expect_and_free(&l, 3, 9, ""); /* a wrong count, and no entries at all */
}

static void test_entries_out_of_order_are_sorted(void **state)
{
    struct load l = begin();
    assert_null(LOAD(&l, 10, 30, 12, 20)); /* inside a node */
    expect_and_free(&l, 3, 30, "12:2 20:3 30:1 ");
    l = begin();
    assert_null(LOAD(&l, 10, 10, 40)); /* beyond the next node */
    assert_null(LOAD(&l, 20, 20, 30, 50));
    expect_and_free(&l, 5, 50, "10:1 20:3 30:4 40:2 50:5 ");
    l = begin();
    assert_null(LOAD(&l, 10, 3, 4)); /* below its node */
    expect_and_free(&l, 2, 10, "3:1 4:2 ");
}

static void test_of_entries_with_one_id_the_first_stays(void **state)
{
    struct load l = begin();
    assert_null(LOAD(&l, 10, 10, 20));
    assert_null(LOAD(&l, 15, 20, 10, 25));
    expect_and_free(&l, 5, 25, "10:1 20:2 25:5 ");
}

static void test_sorting_keeps_to_the_limits_of_nodes(void **state)
{
    enum { N = 1000 };
    struct load l = begin();
    int64_t seqs[N];
    for (int i = 0; i < N; i++) seqs[i] = 10 + (i * 7919) % N; /* a permutation */
    limits.stream_max_entries = 10;
    assert_null(load_node_with(&l, 10, seqs, N, 0));
    assert_null(stream_load_totals(l.stream, &l.loading, N, STREAM_ID_MIN));
    stream_check(l.stream);
    assert_int_equal(stream_count(l.stream), N);
    assert_int_equal(stream_node_count(l.stream), N / 10);
    stream_free(l.stream);
}

static void test_wrong_counts_in_a_node_are_counted_again(void **state)
{
    struct load l = begin();
    const int64_t seqs[] = {10, -11, 12};
    assert_null(load_node_with(&l, 10, seqs, 3, 1));
    expect_and_free(&l, 77, 12, "10:1 12:3 ");
}

static void test_nodes_twice_or_out_of_order_are_refused(void **state)
{
    struct load l = begin();
    assert_null(LOAD(&l, 10, 10));
    assert_non_null(LOAD(&l, 10, 11));
    stream_free(l.stream);
    l = begin();
    assert_null(LOAD(&l, 10, -10)); /* a skipped node counts too */
    assert_non_null(LOAD(&l, 9, 9));
    stream_free(l.stream);
}

static void test_damage_is_refused(void **state)
{
    struct load l = begin();
    unsigned char *lp = node((struct stream_id){0, 10}, (const int64_t[]){10, 11}, 2, 0);
    lp[lp_bytes(lp) - 1] = 0;
    assert_non_null(stream_load_node(l.stream, &l.loading, (struct stream_id){0, 10}, bytes_view(lp, lp_bytes(lp))));
    lp_free(lp);
    stream_free(l.stream);
    l = begin();
    assert_non_null(stream_load_totals(l.stream, &l.loading, 1, (struct stream_id){0, 1})); /* a count without a node */
    stream_free(l.stream);
    l = begin();
    expect_and_free(&l, 0, 9, "");
}

static void test_claims(void **state)
{
    struct stream *s = stream_new(&env);
    struct stream_group *g = stream_group_create(s, BYTES_LIT("g"), STREAM_ID_MIN, 0);
    struct stream_consumer *a = stream_consumer_create(g, BYTES_LIT("a"), 0);
    struct stream_consumer *b = stream_consumer_create(g, BYTES_LIT("b"), 0);
    for (uint64_t seq = 1; seq <= 3; seq++)
        assert_non_null(stream_pending_add(g, NULL, (struct stream_id){0, seq}, 0, 1));
    assert_true(stream_load_claim(g, a, (struct stream_id){0, 1}));
    assert_true(stream_load_claim(g, b, (struct stream_id){0, 3}));
    assert_false(stream_load_claim(g, b, (struct stream_id){0, 1})); /* claimed by another consumer */
    assert_false(stream_load_claim(g, a, (struct stream_id){0, 1})); /* twice */
    assert_false(stream_load_claim(g, a, (struct stream_id){0, 4})); /* not pending */
    assert_false(stream_load_group_is_whole(g));
    assert_true(stream_load_claim(g, a, (struct stream_id){0, 2}));
    assert_true(stream_load_group_is_whole(g));
    assert_int_equal(stream_consumer_pending_count(a), 2);
    assert_int_equal(stream_consumer_pending_count(b), 1);
    stream_check(s);
    stream_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_nodes_in_order, setup),
        cmocka_unit_test_setup(test_the_greatest_id_is_the_last_one_at_least, setup),
        cmocka_unit_test_setup(test_a_node_without_live_entries_is_left_out, setup),
        cmocka_unit_test_setup(test_entries_out_of_order_are_sorted, setup),
        cmocka_unit_test_setup(test_of_entries_with_one_id_the_first_stays, setup),
        cmocka_unit_test_setup(test_sorting_keeps_to_the_limits_of_nodes, setup),
        cmocka_unit_test_setup(test_wrong_counts_in_a_node_are_counted_again, setup),
        cmocka_unit_test_setup(test_nodes_twice_or_out_of_order_are_refused, setup),
        cmocka_unit_test_setup(test_damage_is_refused, setup),
        cmocka_unit_test_setup(test_claims, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
