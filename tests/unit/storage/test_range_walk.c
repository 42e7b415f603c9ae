#include "storage/range_walk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/storage/keyspace_fill.h"

struct fixture {
    struct encoding_limits limits;
    struct keyspace *one, *other; /* with one secret: a master and its replica */
    struct range_walk *walk;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    f->limits = encoding_limits_default();
    f->one = keyspace_new(16, &f->limits, NULL, sys_real());
    f->other = keyspace_new_sibling(f->one, NULL);
    f->walk = range_walk_new();
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    range_walk_free(f->walk);
    keyspace_free(f->one);
    keyspace_free(f->other);
    free(f);
    return 0;
}

struct seen {
    uint64_t keys, ranges[RANGE_KINDS], different[RANGE_KINDS], work_most, again;
    char last[256]; /* text of the last range that differed */
};

/* Between two steps of a walk; NULL: nothing happens. */
typedef void between_fn(struct fixture *f, int step);

static void compare(struct fixture *f, struct range *r, const struct range_result *one, struct seen *seen)
{
    struct range_result other;
    assert_true(range_digest(f->other, r, UINT64_MAX, NULL, NULL, &other));
    seen->ranges[r->kind]++;
    if (one->count == other.count && strict_digest_equal(one->digest, other.digest)) return;
    struct bytes_buf text = {0};
    range_format(r, &text);
    snprintf(seen->last, sizeof(seen->last), "%.*s", (int)text.len, text.data);
    bytes_buf_release(&text);
    seen->different[r->kind]++;
}

static struct seen walk(struct fixture *f, uint64_t work_max, between_fn *between)
{
    struct seen seen = {0};
    struct range r;
    struct range_result result;
    enum range_step step;
    range_walk_start(f->walk);
    for (int i = 0; (step = range_walk_step(f->walk, f->one, work_max, &r, &result)) != RANGE_STEP_END; i++) {
        assert_true(i < 1000000);
        if (result.work > seen.work_most) seen.work_most = result.work;
        if (step == RANGE_STEP_DONE) compare(f, &r, &result, &seen);
        seen.again += step == RANGE_STEP_AGAIN;
        if (between != NULL) between(f, i);
    }
    seen.keys = range_walk_keys(f->walk);
    return seen;
}

static uint64_t all_different(const struct seen *seen)
{
    uint64_t sum = 0;
    for (int i = 0; i < RANGE_KINDS; i++) sum += seen->different[i];
    return sum;
}

static void put_key(struct keyspace *ks, int db, int n)
{
    char name[64], value[64];
    struct db *d = keyspace_db(ks, db);
    keyspace_put_string(d, keyref(d, numbered(name, "key:", n)), numbered(value, "value:", n), 0);
}

static void put_both(struct fixture *f, int db, int first, int count)
{
    for (int i = 0; i < count; i++) put_key(f->one, db, first + i), put_key(f->other, db, first + i);
}

static void damage_key(struct fixture *f, int db, int n)
{
    char name[64];
    struct db *d = keyspace_db(f->other, db);
    keyspace_put_string(d, keyref(d, numbered(name, "key:", n)), BYTES_LIT("damaged"), 0);
}

static void test_nothing(void **state)
{
    struct fixture *f = *state;
    struct seen seen = walk(f, 10000, NULL);
    assert_int_equal(seen.ranges[RANGE_FUNCTIONS], 1);
    assert_int_equal(seen.ranges[RANGE_KEYS], 1); /* of all databases */
    assert_int_equal(all_different(&seen), 0);
    put_key(f->other, 7, 1); /* a key too many, in a database that is empty here */
    seen = walk(f, 10000, NULL);
    assert_string_equal(seen.last, "keys 0 15 0 0");
}

static void test_keys_of_many_databases(void **state)
{
    struct fixture *f = *state;
    put_both(f, 0, 0, 400), put_both(f, 1, 0, 400), put_both(f, 2, 0, 400), put_both(f, 9, 0, 50000);
    struct seen seen = walk(f, 10000, NULL);
    assert_int_equal(seen.keys, 51200);
    assert_in_range(seen.ranges[RANGE_KEYS], 50, 150);
    assert_in_range(seen.work_most, 4000, 12000);
    assert_int_equal(all_different(&seen), 0);
    damage_key(f, 9, 77);
    seen = walk(f, 10000, NULL);
    assert_int_equal(all_different(&seen), 1);
    assert_memory_equal(seen.last, "keys 9 9 ", 9);
    damage_key(f, 2, 77);
    seen = walk(f, 10000, NULL);
    assert_int_equal(all_different(&seen), 2);
}

static void test_ranges_become_smaller_and_larger(void **state)
{
    struct fixture *f = *state;
    char name[64];
    put_both(f, 0, 0, 3000);
    for (int i = 0; i < 300; i++) { /* values of much work */
        struct db *db = keyspace_db(f->one, 0);
        if (keyref(db, numbered(name, "set:", i)).hash % 4 != 1) continue;
        keyspace_put_value(db, keyref(db, numbered(name, "set:", i)), TYPE_SET, filled_set(f->one->env, "m", 900), 0);
        keyspace_put_value(keyspace_db(f->other, 0), keyref(db, numbered(name, "set:", i)), TYPE_SET,
                           filled_set(f->one->env, "m", 900), 0);
    }
    damage_key(f, 0, 5);
    struct seen seen = walk(f, 8000, NULL);
    assert_int_equal(seen.keys, db_count(keyspace_db(f->one, 0)));
    assert_true(seen.again > 0);
    assert_in_range(seen.work_most, 4000, 8000 + 2000);
    assert_int_equal(all_different(&seen), 1);
    assert_true(seen.ranges[RANGE_KEYS] < 80);
}

/* Keys come and go, and tables grow and shrink, but those below 1,000 stay. */
static void churn(struct fixture *f, int step)
{
    char name[64];
    struct db *db = keyspace_db(f->one, 0), *other = keyspace_db(f->other, 0);
    int first = 1000 + step * 100;
    put_both(f, 0, first, 300);
    for (int i = step * 37 % 900; i < 250; i++) {
        keyspace_delete(db, keyref(db, numbered(name, "key:", first - i)), false);
        keyspace_delete(other, keyref(db, numbered(name, "key:", first - i)), false);
        if (first - i <= 1000) break;
    }
    for (int n = 0; n < 1000; n++) assert_non_null(keyspace_peek(db, keyref(db, numbered(name, "key:", n))));
}

static void churn_some(struct fixture *f, int step)
{
    if (step < 60) churn(f, step);
}

static void test_each_key_once_whatever_happens(void **state)
{
    struct fixture *f = *state;
    for (int n = 0; n < 20; n++) {
        keyspace_flush(f->one, NULL, false);
        keyspace_flush(f->other, NULL, false);
        put_both(f, 0, 0, 1000 + n * 1000);
        damage_key(f, 0, n * 41);
        struct seen seen = walk(f, 2000 + 300 * (uint64_t)n, churn_some);
        assert_int_equal(all_different(&seen), 1);
    }
}

static void put_value(struct fixture *f, const char *name, enum value_type type, void *one, void *other)
{
    keyspace_put_value(keyspace_db(f->one, 3), key_of(keyspace_db(f->one, 3), name), type, one, 0);
    keyspace_put_value(keyspace_db(f->other, 3), key_of(keyspace_db(f->one, 3), name), type, other, 0);
}

static void fill_big(struct fixture *f, int n)
{
    const struct value_env *env = f->one->env;
    put_value(f, "list", TYPE_LIST, filled_list(env, n), filled_list(env, n));
    put_value(f, "set", TYPE_SET, filled_set(env, "m", n), filled_set(env, "m", n));
    put_value(f, "hash", TYPE_HASH, filled_hash(env, n), filled_hash(env, n));
    put_value(f, "zset", TYPE_ZSET, filled_zset(env, n), filled_zset(env, n));
    put_value(f, "stream", TYPE_STREAM, filled_stream(env, n), filled_stream(env, n));
    char *bytes = calloc(1, (size_t)n * 100);
    struct bytes_view value = bytes_view(bytes, (size_t)n * 100);
    keyspace_put_string(keyspace_db(f->one, 3), key_of(keyspace_db(f->one, 3), "string"), value, 0);
    keyspace_put_string(keyspace_db(f->other, 3), key_of(keyspace_db(f->one, 3), "string"), value, 0);
    free(bytes);
}

static void *value_of(struct fixture *f, const char *name)
{
    return entry_pointer(keyspace_peek(keyspace_db(f->other, 3), key_of(keyspace_db(f->one, 3), name)));
}

static void test_big_values(void **state)
{
    struct fixture *f = *state;
    fill_big(f, 20000);
    put_both(f, 3, 0, 5000);
    struct seen seen = walk(f, 5000, NULL);
    assert_int_equal(all_different(&seen), 0);
    assert_int_equal(seen.keys, 5006);
    assert_in_range(seen.work_most, 2500, 5000 + 500);
    assert_in_range(seen.ranges[RANGE_MEMBERS], 3 * 10, 3 * 32);
    assert_in_range(seen.ranges[RANGE_ELEMENTS], 8, 12);
    assert_in_range(seen.ranges[RANGE_ENTRIES], 10, 30);
    assert_in_range(seen.ranges[RANGE_PENDING], 4, 12);
    assert_int_equal(seen.ranges[RANGE_GROUPS], 1);
    assert_true(seen.ranges[RANGE_BYTES] >= 1);
    assert_int_equal(range_walk_unnamed(f->walk), 0);

    assert_true(list_set(value_of(f, "list"), 10000, BYTES_LIT("damaged")));
    seen = walk(f, 5000, NULL), assert_int_equal(all_different(&seen), seen.different[RANGE_ELEMENTS]);
    assert_true(set_remove(value_of(f, "set"), BYTES_LIT("m700")) && set_add(value_of(f, "set"), BYTES_LIT("other")));
    hash_alter(value_of(f, "hash"), BYTES_LIT("f701"), BYTES_LIT("damaged"));
    zset_set(value_of(f, "zset"), BYTES_LIT("m1000"), 7);
    seen = walk(f, 5000, NULL);
    assert_in_range(seen.different[RANGE_MEMBERS], 3, 4);
    assert_int_equal(seen.different[RANGE_KEYS], 0);
    struct stream_group *g = stream_group_find(value_of(f, "stream"), BYTES_LIT("g"));
    stream_pending_find(g, (struct stream_id){1000, 3001})->delivery_ms++;
    seen = walk(f, 5000, NULL), assert_int_equal(seen.different[RANGE_PENDING], 1);
    stream_group_set_position(g, (struct stream_id){1, 1}, 1);
    seen = walk(f, 5000, NULL), assert_int_equal(seen.different[RANGE_GROUPS], 1);
}

static void delete_values(struct fixture *f, int step)
{
    static const char *const names[] = {"list", "set", "hash", "zset", "stream", "string"};
    for (int i = 0; i < 2; i++) {
        struct db *db = keyspace_db(i ? f->one : f->other, 3);
        if (step % 9 == 4) keyspace_delete(db, key_of(db, names[step / 9 % 6]), false);
        if (step % 9 == 5) /* of another type */
            keyspace_put_value(db, key_of(db, names[(step / 9 + 1) % 6]), TYPE_STREAM, filled_stream(f->one->env, 2000),
                               0);
    }
}

static void test_values_that_go_meanwhile(void **state)
{
    struct fixture *f = *state;
    fill_big(f, 20000);
    struct seen seen = walk(f, 2000, delete_values);
    assert_int_equal(all_different(&seen), 0);
}

static void test_a_key_that_cannot_be_named(void **state)
{
    struct fixture *f = *state;
    static char name[RANGE_KEY_MAX + 2];
    memset(name, 'k', RANGE_KEY_MAX + 1);
    put_value(f, name, TYPE_LIST, filled_list(f->one->env, 2000), filled_list(f->one->env, 2000));
    struct seen seen = walk(f, 2000, NULL);
    assert_int_equal(range_walk_unnamed(f->walk), 1);
    assert_int_equal(seen.ranges[RANGE_ELEMENTS], 0);
    name[RANGE_KEY_MAX] = '\0';
    put_value(f, name, TYPE_LIST, filled_list(f->one->env, 2000), filled_list(f->one->env, 2000));
    seen = walk(f, 2000, NULL);
    assert_true(seen.ranges[RANGE_ELEMENTS] > 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_nothing),
        TEST(test_keys_of_many_databases),
        TEST(test_ranges_become_smaller_and_larger),
        TEST(test_each_key_once_whatever_happens),
        TEST(test_big_values),
        TEST(test_values_that_go_meanwhile),
        TEST(test_a_key_that_cannot_be_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
