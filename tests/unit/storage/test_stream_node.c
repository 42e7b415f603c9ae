#include "storage/stream_node.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "storage/base/memory.h"
#include "storage/base/sys.h"

enum { ROOM = 4096, MODEL_MAX = 200, PAIRS_MAX = 4 };

static const struct stream_id master = {1000, 5};

struct model_entry {
    struct stream_id id;
    size_t fields;
    char text[2 * PAIRS_MAX][32];
    bool deleted;
};

struct model {
    struct model_entry entries[MODEL_MAX];
    size_t count, live;
};

static void views_of(const struct model_entry *e, struct bytes_view *out)
{
    for (size_t i = 0; i < 2 * e->fields; i++) out[i] = bytes_str(e->text[i]);
}

static unsigned char *append(unsigned char *lp, struct model *m, const struct model_entry *e)
{
    struct bytes_view pairs[2 * PAIRS_MAX];
    size_t bound;
    views_of(e, pairs);
    assert_true(stream_node_bound(pairs, e->fields, &bound));
    m->entries[m->count++] = *e;
    m->live++;
    if (lp == NULL) return stream_node_new(pairs, e->fields, bound);
    assert_true(lp_safe_to_add(lp, bound));
    return stream_node_append(lp, master, e->id, pairs, e->fields, bound, ROOM);
}

static void expect_entry(const struct stream_master *m, const struct stream_entry *e,
                         const struct model_entry *expected)
{
    char buf[LP_INT_CHARS];
    const unsigned char *field = m->first_field, *p = e->pairs;
    assert_int_equal(stream_id_compare(e->id, expected->id), 0);
    assert_int_equal(e->deleted, expected->deleted);
    assert_int_equal(e->fields, expected->fields);
    for (size_t i = 0; i < 2 * e->fields; i++) {
        const unsigned char **at = i % 2 == 0 && e->same_fields ? &field : &p;
        assert_true(bytes_equal(lp_get_view(*at, buf), bytes_str(expected->text[i])));
        *at += lp_entry_size_at(*at);
    }
}

static void expect(const unsigned char *lp, const struct model *model)
{
    struct stream_node_facts facts;
    struct stream_master m;
    struct stream_entry e;
    size_t i = 0;
    assert_null(stream_node_validate(bytes_view(lp, lp_bytes(lp)), master, &facts));
    assert_int_equal(facts.live, model->live);
    assert_int_equal(facts.deleted, model->count - model->live);
    assert_true(facts.ordered && facts.counted && !facts.oversized);
    assert_int_equal(stream_node_total(lp), model->count);
    stream_node_master(lp, master, &m);
    assert_int_equal(m.count, model->live);
    assert_int_equal(m.deleted, model->count - model->live);
    for (const unsigned char *p = m.end; stream_node_next(&m, p, &e); p = stream_node_leave(&e, e.pairs, e.fields))
        expect_entry(&m, &e, &model->entries[i++]);
    assert_int_equal(i, model->count);
    for (const unsigned char *p = stream_node_end(lp); stream_node_prev(lp, &m, p, &e); p = e.at)
        expect_entry(&m, &e, &model->entries[--i]);
    assert_int_equal(i, 0);
}

static struct model_entry random_entry(struct rng *rng, struct stream_id id)
{
    struct model_entry e = {.id = id, .fields = 1 + (size_t)rng_below(rng, PAIRS_MAX)};
    bool usual = rng_below(rng, 2) == 0; /* with fields that many entries share */
    if (usual) e.fields = 2;
    for (size_t i = 0; i < 2 * e.fields; i++) {
        if (usual && i % 2 == 0)
            snprintf(e.text[i], sizeof(e.text[i]), "field%zu", i);
        else if (rng_below(rng, 2) == 0)
            snprintf(e.text[i], sizeof(e.text[i]), "%lld", (long long)(int64_t)(rng_next(rng) >> rng_below(rng, 64)));
        else
            snprintf(e.text[i], sizeof(e.text[i]), "%.*s", (int)rng_below(rng, 20), "abcdefghijklmnopqrst");
    }
    return e;
}

static unsigned char *mark(unsigned char *lp, struct model *model, size_t number)
{
    struct stream_master m;
    struct stream_entry e;
    stream_node_master(lp, master, &m);
    const unsigned char *p = m.end;
    for (size_t i = 0; stream_node_next(&m, p, &e) && i < number; i++) p = stream_node_leave(&e, e.pairs, e.fields);
    stream_node_mark(&e);
    model->entries[number].deleted = true;
    model->live--;
    return stream_node_set_counts(lp, model->live, model->count - model->live);
}

static void test_random_entries(void **state)
{
    struct rng rng;
    rng_seed(&rng, 11);
    for (int round = 0; round < 30; round++) {
        struct model m = {.count = 0};
        struct stream_id id = master;
        unsigned char *lp = NULL;
        for (size_t i = 0; i < MODEL_MAX; i++) {
            struct model_entry e = random_entry(&rng, id);
            lp = append(lp, &m, &e);
            if (i > 2 && rng_below(&rng, 4) == 0) {
                size_t victim = (size_t)rng_below(&rng, m.count);
                if (!m.entries[victim].deleted && m.live > 1) lp = mark(lp, &m, victim);
            }
            if (i % 20 == 0 || i + 1 == MODEL_MAX) expect(lp, &m);
            if (rng_below(&rng, 3) == 0)
                id = (struct stream_id){id.ms + 1 + rng_below(&rng, 100000), rng_below(&rng, 10)};
            else
                id.seq++;
        }
        lp_free(lp);
    }
}

static void test_sequence_numbers_below_that_of_the_node(void **state)
{
    struct model m = {.count = 0};
    struct model_entry e = {.id = master, .fields = 1, .text = {"f", "v"}};
    unsigned char *lp = append(NULL, &m, &e);
    e.id = (struct stream_id){UINT64_MAX, 0}; /* 0 - 5 wraps around, and back */
    lp = append(lp, &m, &e);
    e.id = (struct stream_id){UINT64_MAX, UINT64_MAX};
    lp = append(lp, &m, &e);
    expect(lp, &m);
    lp_free(lp);
}

static void test_the_bound_holds_what_is_written(void **state)
{
    struct rng rng;
    rng_seed(&rng, 12);
    for (int round = 0; round < 500; round++) {
        struct model m = {.count = 0};
        struct model_entry e = random_entry(&rng, master);
        struct bytes_view pairs[2 * PAIRS_MAX];
        size_t bound;
        views_of(&e, pairs);
        assert_true(stream_node_bound(pairs, e.fields, &bound));
        unsigned char *lp = append(NULL, &m, &e);
        assert_true(lp_bytes(lp) <= bound);
        lp_free(lp);
    }
}

static void test_what_no_node_can_hold_has_no_bound(void **state)
{
    char byte = 'x';
    size_t bound = 77;
    struct bytes_view huge[] = {bytes_view(&byte, 1), bytes_view(&byte, LP_MAX_BYTES + 1)};
    struct bytes_view half[] = {bytes_view(&byte, 1), bytes_view(&byte, LP_MAX_BYTES / 2), bytes_view(&byte, 1),
                                bytes_view(&byte, LP_MAX_BYTES / 2)};
    struct bytes_view twice[] = {bytes_view(&byte, LP_MAX_BYTES / 2),
                                 bytes_view(&byte, 1)}; /* a field may be stored twice */
    assert_false(stream_node_bound(huge, 1, &bound));
    assert_false(stream_node_bound(half, 2, &bound));
    assert_false(stream_node_bound(twice, 1, &bound));
    assert_int_equal(bound, 77);
    assert_true(stream_node_bound(half, 1, &bound));
    assert_true(bound >= LP_MAX_BYTES / 2);
}

/* ---- bytes from outside ---- */

/* A listpack of integers. */
static unsigned char *lp_of(const int64_t *numbers, size_t n)
{
    unsigned char *lp = lp_new(0);
    for (size_t i = 0; i < n; i++) lp = lp_append_int(lp, numbers[i]);
    return lp;
}

#define NODE(...) lp_of((const int64_t[]){__VA_ARGS__}, sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t))

static const char *validate(unsigned char *lp, struct stream_node_facts *facts)
{
    size_t len = lp_bytes(lp);
    unsigned char *copy = malloc(len); /* exact size: the sanitizer sees reads behind it */
    memcpy(copy, lp, len);
    lp_free(lp);
    const char *why = stream_node_validate(bytes_view(copy, len), master, facts);
    free(copy);
    return why;
}

static void test_malformed_nodes_are_refused(void **state)
{
    struct stream_node_facts facts;
    /* count, deleted, fields, field..., 0; then flags, ms, seq, [fields], pairs..., size */
    assert_null(validate(NODE(1, 0, 1, 7, 0, 2, 0, 0, 8, 4), &facts));       /* good, with the same fields */
    assert_null(validate(NODE(1, 0, 1, 7, 0, 0, 0, 0, 1, 9, 8, 6), &facts)); /* good, with its own */
    assert_non_null(validate(NODE(1, 0, 1), &facts));                        /* ends within the master entry */
    assert_non_null(validate(NODE(1, 0, 5, 7, 0), &facts));                  /* more fields than there are */
    assert_non_null(validate(NODE(1, 0, -1, 0), &facts));
    assert_non_null(validate(NODE(-1, 2, 1, 7, 0, 2, 0, 0, 8, 4), &facts));
    assert_non_null(validate(NODE(1, 0, 1, 7, 1, 2, 0, 0, 8, 4), &facts));       /* no 0 behind the master entry */
    assert_non_null(validate(NODE(1, 0, 1, 7, 0, 2, 0, 0, 8, 5), &facts));       /* a wrong size */
    assert_non_null(validate(NODE(1, 0, 1, 7, 0, 2, 0, 0, 8), &facts));          /* no size */
    assert_non_null(validate(NODE(1, 0, 1, 7, 0, 4, 0, 0, 8, 4), &facts));       /* unknown flags */
    assert_non_null(validate(NODE(1, 0, 1, 7, 0, 0, 0, 0, 9, 1, 2, 6), &facts)); /* more pairs than there are */
    assert_non_null(validate(NODE(1, 0, 1, 7, 0, 0, 0, 0, -1, 4), &facts));
    assert_non_null(validate(NODE(1, 0, 1, 7, 0, 0, 0, 0, 0, 4), &facts));      /* an entry without a field */
    assert_non_null(validate(NODE(2, 0, 1, 7, 0, 2, 0, 0, 8, 4), &facts));      /* the total is wrong */
    assert_non_null(validate(NODE(1, 0, 1, 7, 0, 2, -1000, -5, 8, 4), &facts)); /* the id 0-0 */
    assert_non_null(validate(lp_append(lp_new(0), BYTES_LIT("text")), &facts));
    assert_non_null(validate(lp_new(0), &facts));
    assert_non_null(stream_node_validate(bytes_view("", 0), master, &facts));
}

static void test_facts_of_odd_nodes(void **state)
{
    struct stream_node_facts facts;
    /* One entry is marked, though the master entry counts both as live. */
    assert_null(validate(NODE(2, 0, 1, 7, 0, 3, 0, 0, 8, 4, 2, 1, 0, 8, 4), &facts));
    assert_false(facts.counted);
    assert_int_equal(facts.live, 1);
    assert_int_equal(facts.deleted, 1);
    assert_int_equal(facts.first.ms, 1001);
    /* Ids that descend. */
    assert_null(validate(NODE(2, 0, 1, 7, 0, 2, 9, 0, 8, 4, 2, 1, 0, 8, 4), &facts));
    assert_false(facts.ordered);
    assert_int_equal(facts.first.ms, 1009);
    assert_int_equal(facts.last.ms, 1001);
    assert_int_equal(facts.greatest.ms, 1009);
    /* An id below the node's. */
    assert_null(validate(NODE(1, 0, 1, 7, 0, 2, -1, 0, 8, 4), &facts));
    assert_false(facts.ordered);
    /* No live entry. */
    assert_null(validate(NODE(0, 1, 1, 7, 0, 3, 0, 0, 8, 4), &facts));
    assert_int_equal(facts.live, 0);
    assert_true(stream_id_is_zero(facts.first) && stream_id_is_zero(facts.last) && stream_id_is_zero(facts.greatest));
}

/* A node that is accepted after a bit was flipped must be safe to walk. */
static void test_flipped_bits(void **state)
{
    struct rng rng;
    struct model model = {.count = 0};
    struct stream_id id = master;
    unsigned char *lp = NULL;
    rng_seed(&rng, 13);
    for (size_t i = 0; i < 8; i++, id.seq++) {
        struct model_entry entry = random_entry(&rng, id);
        lp = append(lp, &model, &entry);
    }
    size_t len = lp_bytes(lp);
    for (size_t bit = 0; bit < 8 * len; bit++) {
        struct stream_node_facts facts;
        unsigned char *copy = malloc(len);
        memcpy(copy, lp, len);
        copy[bit / 8] ^= (unsigned char)(1 << bit % 8);
        if (stream_node_validate(bytes_view(copy, len), master, &facts) == NULL) {
            struct stream_master m;
            struct stream_entry e;
            size_t entries = 0;
            stream_node_master(copy, master, &m);
            for (const unsigned char *p = m.end; stream_node_next(&m, p, &e);
                 p = stream_node_leave(&e, e.pairs, e.fields))
                entries++;
            assert_int_equal(entries, facts.live + facts.deleted);
        }
        free(copy);
    }
    lp_free(lp);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_entries),
        cmocka_unit_test(test_sequence_numbers_below_that_of_the_node),
        cmocka_unit_test(test_the_bound_holds_what_is_written),
        cmocka_unit_test(test_what_no_node_can_hold_has_no_bound),
        cmocka_unit_test(test_malformed_nodes_are_refused),
        cmocka_unit_test(test_facts_of_odd_nodes),
        cmocka_unit_test(test_flipped_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
