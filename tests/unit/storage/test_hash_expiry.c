#include "storage/hash_expiry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "storage/base/memory.h"
#include "storage/listpack.h"
#include "storage/time_heap.h"

/* A watched hash and its model. Half of the fields are numbers, some values are long. */
enum { FIELDS_MAX = 400, TEXT_MAX = 400 };

struct model_field {
    bool in;
    int value;
    int64_t at; /* HASH_FIELD_STAYS */
};

struct world {
    struct encoding_limits limits;
    struct rng rng;
    struct value_env env;
    struct hash *hash;
    struct time_heap watch;
    size_t size;
    struct model_field fields[FIELDS_MAX];
    unsigned visits[FIELDS_MAX];
};

static void world_init(struct world *w, size_t size, size_t max_entries)
{
    *w = (struct world){.limits = encoding_limits_default(), .size = size};
    w->limits.hash_max_entries = max_entries;
    rng_seed(&w->rng, 11);
    w->env = (struct value_env){.key_seed = 42, .element_seed = 42, .limits = &w->limits, .rng = &w->rng};
    w->hash = hash_new(&w->env);
    time_heap_init(&w->watch, hash_watch_placed);
}

static void world_release(struct world *w)
{
    hash_unwatch(w->hash);
    assert_int_equal(w->watch.count, 0);
    hash_free(w->hash);
    time_heap_release(&w->watch);
}

static struct bytes_view field_name(size_t i, char *buf)
{
    int len = i == 0 ? 0 : snprintf(buf, TEXT_MAX, i % 2 ? "%zu" : "field:%zu", i);
    return bytes_view(buf, (size_t)len);
}

static struct bytes_view value_text(int n, char *buf)
{
    int len = n % 3 == 0 ? snprintf(buf, TEXT_MAX, "%d", n) : snprintf(buf, TEXT_MAX, "%0*d", n % 60, n);
    return bytes_view(buf, (size_t)len);
}

static size_t index_of(struct bytes_view field)
{
    char text[TEXT_MAX];
    if (field.len == 0) return 0;
    memcpy(text, field.data, field.len);
    text[field.len] = '\0';
    return (size_t)atoi(strncmp(text, "field:", 6) == 0 ? text + 6 : text);
}

static bool is_past(const struct model_field *f, int64_t now)
{
    return f->in && f->at != HASH_FIELD_STAYS && f->at < now;
}

static void visit(void *ctx, struct bytes_view field, struct bytes_view value)
{
    struct world *w = ctx;
    char text[TEXT_MAX];
    size_t i = index_of(field);
    assert_true(i < w->size && w->fields[i].in);
    assert_true(bytes_equal(value, value_text(w->fields[i].value, text)));
    w->visits[i]++;
}

static bool visit_past(void *ctx, struct bytes_view field)
{
    struct world *w = ctx;
    w->visits[index_of(field)]++;
    return true;
}

static void assert_visits(struct world *w, int64_t now, bool of_past)
{
    for (size_t i = 0; i < w->size; i++) {
        assert_int_equal(w->visits[i], w->fields[i].in && is_past(&w->fields[i], now) == of_past);
        w->visits[i] = 0;
    }
}

static void check_walks(struct world *w, int64_t now)
{
    struct hash_iter it;
    struct bytes_view field, value;
    hash_iter_init_at(&it, w->hash, now);
    while (hash_iter_next(&it, &field, &value)) {
        visit(w, field, value);
        assert_int_equal(hash_iter_time(&it), w->fields[index_of(field)].at);
    }
    assert_visits(w, now, false);
    uint64_t cursor = 0;
    do cursor = hash_scan(w->hash, cursor, now, visit, w);
    while (cursor != 0);
    assert_visits(w, now, false);
    hash_each_past(w->hash, now, visit_past, w);
    assert_visits(w, now, true);
}

static void check_field(struct world *w, size_t i, int64_t now)
{
    char name[TEXT_MAX], text[TEXT_MAX];
    const struct model_field *f = &w->fields[i];
    struct bytes_view field = field_name(i, name), value;
    struct number_text buf;
    int64_t at;
    assert_int_equal(hash_get(w->hash, field, &buf, &value), f->in);
    assert_int_equal(hash_get_time(w->hash, field, &at), f->in);
    assert_int_equal(hash_field_is_past(w->hash, field, now), is_past(f, now));
    if (!f->in) return;
    assert_true(bytes_equal(value, value_text(f->value, text)));
    assert_int_equal(at, f->at);
}

static void check_world(struct world *w, int64_t now)
{
    size_t in = 0, past = 0, timed = 0;
    int64_t next = HASH_FIELD_STAYS;
    hash_check(w->hash);
    time_heap_check(&w->watch);
    for (size_t i = 0; i < w->size; i++) {
        const struct model_field *f = &w->fields[i];
        check_field(w, i, now);
        in += f->in;
        past += is_past(f, now);
        if (!f->in || f->at == HASH_FIELD_STAYS) continue;
        timed++;
        if (next == HASH_FIELD_STAYS || f->at < next) next = f->at;
    }
    assert_int_equal(hash_count(w->hash), in);
    assert_int_equal(hash_count_past(w->hash, now), past);
    assert_int_equal(hash_timed_fields(w->hash), timed);
    assert_int_equal(hash_has_times(w->hash), timed > 0);
    assert_int_equal(hash_is_due(w->hash, now), past > 0);
    assert_int_equal(hash_next_time(w->hash), next);
    assert_int_equal(w->watch.count, timed > 0);
    if (timed > 0) assert_int_equal(time_heap_first(&w->watch)->at, next);
    check_walks(w, now);
}

static void set_time(struct world *w, size_t i, int64_t at)
{
    char name[TEXT_MAX];
    assert_int_equal(hash_set_time(w->hash, field_name(i, name), at), w->fields[i].in);
    if (!w->fields[i].in) return;
    w->fields[i].at = at;
    hash_watch(w->hash, &w->watch, w);
}

static void set_value(struct world *w, size_t i, int value, bool alter)
{
    char name[TEXT_MAX], text[TEXT_MAX];
    struct model_field *f = &w->fields[i];
    struct bytes_view field = field_name(i, name), bytes = value_text(value, text);
    bool fresh = alter ? hash_alter(w->hash, field, bytes) : hash_set(w->hash, field, bytes);
    assert_int_equal(fresh, !f->in);
    if (fresh || !alter) f->at = HASH_FIELD_STAYS;
    f->in = true;
    f->value = value;
}

static void remove_field(struct world *w, size_t i)
{
    char name[TEXT_MAX];
    assert_int_equal(hash_remove(w->hash, field_name(i, name)), w->fields[i].in);
    w->fields[i].in = false;
}

static void change_something(struct world *w, int64_t now)
{
    size_t i = rng_below(&w->rng, w->size);
    int value = (int)rng_below(&w->rng, 10000);
    switch (rng_below(&w->rng, 7)) {
    case 0:
    case 1: set_value(w, i, value, false); break;
    case 2: set_value(w, i, value, true); break;
    case 3: remove_field(w, i); break;
    case 4: set_time(w, i, HASH_FIELD_STAYS); break;
    default: set_time(w, i, now + 1 + (int64_t)rng_below(&w->rng, 100)); break;
    }
}

static void replace_by_copy(struct world *w)
{
    struct hash *copy = hash_dup(w->hash);
    hash_unwatch(w->hash);
    hash_free(w->hash);
    w->hash = copy;
    hash_watch(w->hash, &w->watch, w);
}

/* max_entries: always a table, never, or converted in the middle. */
static void run_random(size_t size, size_t max_entries, int steps)
{
    struct world w;
    world_init(&w, size, max_entries);
    int64_t now = 1000;
    for (int step = 0; step < steps; step++) {
        change_something(&w, now);
        if (step % 11 == 0) now += (int64_t)rng_below(&w.rng, 20);
        if (step % 13 == 0) check_world(&w, now);
        if (step % 401 == 0) replace_by_copy(&w);
    }
    check_world(&w, HASH_SHOW_ALL);
    check_world(&w, HASH_TIME_MAX);
    world_release(&w);
}

static void test_random_changes_of_a_listpack(void **state)
{
    run_random(60, 1000, 6000);
}
static void test_random_changes_of_a_table(void **state)
{
    run_random(FIELDS_MAX, 0, 6000);
}
static void test_random_changes_over_the_edge(void **state)
{
    run_random(120, 40, 6000);
}

static void fill(struct world *w, size_t count, int64_t first_at)
{
    for (size_t i = 0; i < count; i++) {
        set_value(w, i, (int)i, false);
        if (first_at > 0) set_time(w, i, first_at + (int64_t)i);
    }
}

static void test_encoding_names(void **state)
{
    struct world w;
    world_init(&w, 100, 20);
    fill(&w, 10, 0);
    assert_string_equal(value_encoding_name(hash_encoding(w.hash)), "listpack");
    set_time(&w, 3, HASH_FIELD_STAYS); /* nothing to set */
    assert_string_equal(value_encoding_name(hash_encoding(w.hash)), "listpack");
    set_time(&w, 3, 1000);
    assert_string_equal(value_encoding_name(hash_encoding(w.hash)), "listpackex");
    set_time(&w, 3, HASH_FIELD_STAYS);
    assert_string_equal(value_encoding_name(hash_encoding(w.hash)), "listpackex");
    assert_false(hash_has_times(w.hash));
    set_time(&w, 4, 2000);
    for (size_t i = 10; i < 21; i++) set_value(&w, i, 5, false);
    assert_string_equal(value_encoding_name(hash_encoding(w.hash)), "hashtable");
    check_world(&w, 5000);
    world_release(&w);
}

static void test_a_listpack_is_in_the_order_of_times(void **state)
{
    struct world w;
    world_init(&w, 100, 100);
    fill(&w, 5, 0);
    set_time(&w, 4, 500);
    set_time(&w, 2, 100);
    set_time(&w, 3, 500); /* behind the one that was inserted first */
    static const size_t order[] = {2, 4, 3};
    struct bytes_view blob = hash_timed_blob(w.hash);
    const unsigned char *lp = (const unsigned char *)blob.data, *at = lp_first(lp);
    for (size_t i = 0; i < 3; i++) {
        char name[TEXT_MAX], buf[LP_INT_CHARS];
        assert_true(bytes_equal(lp_get_view(at, buf), field_name(order[i], name)));
        for (int k = 0; k < 3; k++) at = lp_next(lp, at);
    }
    int64_t none;
    assert_true(lp_get_int(lp_last(lp), &none) && none == 0);
    world_release(&w);
}

static void test_from_a_listpack(void **state)
{
    for (size_t max = 3; max <= 4; max++) { /* it converts, or not */
        struct world w;
        world_init(&w, 100, max);
        hash_free(w.hash);
        w.limits.hash_max_entries = 100;
        w.hash = hash_new(&w.env);
        fill(&w, 4, 100);
        struct bytes_view blob = hash_timed_blob(w.hash);
        unsigned char *copy = mem_alloc(blob.len);
        memcpy(copy, blob.data, blob.len);
        w.limits.hash_max_entries = max;
        hash_unwatch(w.hash);
        hash_free(w.hash);
        w.hash = hash_from_timed_listpack(&w.env, copy);
        hash_watch(w.hash, &w.watch, &w);
        assert_int_equal(hash_encoding(w.hash), max == 3 ? ENCODING_HASHTABLE : ENCODING_LISTPACK_EX);
        check_world(&w, 102);
        world_release(&w);
    }
}

/* Each remaining field is equally likely, whether they are few or many. */
static void check_chances(size_t max_entries, size_t count, size_t living)
{
    struct world w;
    world_init(&w, count, max_entries);
    fill(&w, count, 100);
    int64_t now = 100 + (int64_t)(count - living);
    unsigned picked[FIELDS_MAX] = {0};
    for (size_t i = 0; i < living * 500; i++) {
        struct number_text buf[2];
        struct bytes_view field;
        assert_true(hash_random_at(w.hash, now, buf, &field, NULL));
        picked[index_of(field)]++;
    }
    for (size_t i = 0; i < count; i++) {
        if (i < count - living)
            assert_int_equal(picked[i], 0);
        else
            assert_in_range(picked[i], 350, 650);
    }
    struct number_text buf[2];
    struct bytes_view field;
    assert_false(hash_random_at(w.hash, HASH_TIME_MAX, buf, &field, NULL));
    world_release(&w);
}

static void test_random_of_those_that_are_left(void **state)
{
    check_chances(1000, 100, 100);
    check_chances(1000, 100, 40);
    check_chances(0, 300, 300);
    check_chances(0, 300, 150);
    check_chances(0, 300, 2);
}

static void test_memory_is_only_for_those_that_expire(void **state)
{
    struct world w;
    char name[TEXT_MAX];
    world_init(&w, 300, 0);
    fill(&w, 300, 0);
    size_t plain = hash_memory(w.hash, 0);
    for (size_t i = 0; i < 300; i++) set_time(&w, i, 5000 + (int64_t)i);
    size_t timed = hash_memory(w.hash, 0);
    assert_true(timed > plain + 300 * 7 && timed < plain + 300 * 60);
    for (size_t i = 0; i < 300; i++) assert_true(hash_set_time(w.hash, field_name(i, name), HASH_FIELD_STAYS));
    assert_int_equal(hash_memory(w.hash, 0), plain);
    assert_int_equal(w.watch.count, 0);
    world_release(&w);
}

static void test_many_hashes_under_one_watch(void **state)
{
    enum { HASHES = 50 };
    struct world w;
    struct hash *hashes[HASHES];
    world_init(&w, 10, 100);
    for (int i = 0; i < HASHES; i++) {
        hashes[i] = hash_new(&w.env);
        hash_set(hashes[i], BYTES_LIT("f"), BYTES_LIT("v"));
        hash_set(hashes[i], BYTES_LIT("g"), BYTES_LIT("v"));
    }
    for (int step = 0; step < 5000; step++) {
        struct hash *h = hashes[rng_below(&w.rng, HASHES)];
        int64_t at = rng_below(&w.rng, 3) == 0 ? HASH_FIELD_STAYS : 1 + (int64_t)rng_below(&w.rng, 100);
        hash_set_time(h, rng_below(&w.rng, 2) == 0 ? BYTES_LIT("f") : BYTES_LIT("g"), at);
        hash_watch(h, &w.watch, h);
        if (step % 10 != 0) continue;
        size_t timed = 0;
        for (int i = 0; i < HASHES; i++) {
            hash_check(hashes[i]);
            timed += hash_has_times(hashes[i]);
        }
        assert_int_equal(w.watch.count, timed);
        time_heap_check(&w.watch);
    }
    for (int i = 0; i < HASHES; i++) {
        hash_unwatch(hashes[i]);
        hash_free(hashes[i]);
    }
    world_release(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_changes_of_a_listpack),
        cmocka_unit_test(test_random_changes_of_a_table),
        cmocka_unit_test(test_random_changes_over_the_edge),
        cmocka_unit_test(test_encoding_names),
        cmocka_unit_test(test_a_listpack_is_in_the_order_of_times),
        cmocka_unit_test(test_from_a_listpack),
        cmocka_unit_test(test_random_of_those_that_are_left),
        cmocka_unit_test(test_memory_is_only_for_those_that_expire),
        cmocka_unit_test(test_many_hashes_under_one_watch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
