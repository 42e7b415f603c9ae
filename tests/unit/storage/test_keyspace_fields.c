#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "storage/base/memory.h"
#include "storage/hash.h"
#include "storage/keyspace.h"
#include "storage/lazyfree.h"

/* Hashes with expiring fields in three databases, and their model. */
enum { DBS = 3, KEYS = 12, FIELDS = 30, TEXT = 32 };

struct item {
    bool in;
    int64_t fields[FIELDS]; /* the expiry, HASH_FIELD_STAYS, or ABSENT */
};
enum { ABSENT = -2 };

struct world {
    struct encoding_limits limits;
    struct keyspace *ks;
    struct lazyfree *lazyfree;
    struct rng rng;
    struct item items[DBS][KEYS];
    size_t told, emptied, before_changes;
};

static struct keyref ref(const struct world *w, int db, int key)
{
    static const char *const names[KEYS] = {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"};
    return keyref(keyspace_db(w->ks, db), bytes_str(names[key]));
}

static struct bytes_view field_name(int i, char buf[TEXT])
{
    return bytes_view(buf, (size_t)snprintf(buf, TEXT, i % 2 ? "%d" : "field %d", i));
}

static int field_number(struct bytes_view field)
{
    char buf[TEXT];
    for (int i = 0; i < FIELDS; i++)
        if (bytes_equal(field, field_name(i, buf))) return i;
    fail_msg("a field that nobody made");
    return -1;
}

static struct item *item_of(struct world *w, const struct db *db, struct bytes_view key)
{
    for (int i = 0; i < KEYS; i++)
        if (bytes_equal(ref(w, db->id, i).name, key)) return &w->items[db->id][i];
    fail_msg("a key that nobody made");
    return NULL;
}

static size_t count_in(const struct item *it)
{
    size_t count = 0;
    for (int i = 0; i < FIELDS; i++) count += it->fields[i] != ABSENT;
    return it->in ? count : 0;
}

static void on_fields_expired(void *ctx, struct db *db, struct bytes_view key, const struct bytes_view *fields,
                              size_t count, bool emptied)
{
    struct world *w = ctx;
    struct item *it = item_of(w, db, key);
    assert_true(count > 0);
    for (size_t i = 0; i < count; i++) {
        int64_t *at = &it->fields[field_number(fields[i])];
        assert_true(*at > 0 && *at < w->ks->now_ms);
        *at = ABSENT;
    }
    w->told += count;
    w->emptied += emptied;
    assert_int_equal(emptied, count_in(it) == 0);
    if (emptied) it->in = false;
}

static void on_before_change(void *ctx, struct db *db, struct entry *e)
{
    ((struct world *)ctx)->before_changes++;
    (void)entry_key(e);
}

static void world_init(struct world *w, size_t max_entries)
{
    *w = (struct world){.limits = encoding_limits_default()};
    w->limits.hash_max_entries = max_entries;
    rng_seed(&w->rng, 3);
    w->ks = keyspace_new(DBS, &w->limits, NULL, sys_real());
    w->lazyfree = lazyfree_new();
    w->ks->lazyfree = w->lazyfree;
    w->ks->hooks =
        (struct keyspace_hooks){.ctx = w, .fields_expired = on_fields_expired, .before_change = on_before_change};
    keyspace_set_time(w->ks, 1000);
}

static void world_release(struct world *w)
{
    keyspace_free(w->ks);
    lazyfree_free(w->lazyfree);
}

static void forget(struct item *it)
{
    it->in = false;
}

/* ---- Steps ---- */

static void add_field(struct world *w, struct keyref key, struct item *it, int db, int i)
{
    char buf[TEXT];
    struct entry *e = keyspace_find_for_write(keyspace_db(w->ks, db), key);
    if (e == NULL) {
        e = keyspace_put_value(keyspace_db(w->ks, db), key, TYPE_HASH, hash_new(w->ks->env), 0);
        it->in = true;
        for (int k = 0; k < FIELDS; k++) it->fields[k] = ABSENT;
    }
    hash_set(entry_pointer(e), field_name(i, buf), BYTES_LIT("value"));
    it->fields[i] = HASH_FIELD_STAYS;
}

static void set_time(struct world *w, struct keyref key, struct item *it, int db, int i)
{
    char buf[TEXT];
    struct entry *e = keyspace_find_for_write(keyspace_db(w->ks, db), key);
    if (e == NULL) return;
    int64_t at = rng_below(&w->rng, 4) == 0 ? HASH_FIELD_STAYS : w->ks->now_ms + 1 + (int64_t)rng_below(&w->rng, 200);
    bool found = keyspace_set_field_time(keyspace_db(w->ks, db), e, field_name(i, buf), at);
    assert_int_equal(found, it->fields[i] != ABSENT);
    if (found) it->fields[i] = at;
}

/* It may become empty; commands then delete it. */
static void remove_field(struct world *w, struct keyref key, struct item *it, int db, int i)
{
    char buf[TEXT];
    struct db *in = keyspace_db(w->ks, db);
    struct entry *e = keyspace_find_for_write(in, key);
    if (e == NULL) return;
    assert_int_equal(hash_remove(entry_pointer(e), field_name(i, buf)), it->fields[i] != ABSENT);
    it->fields[i] = ABSENT;
    if (count_in(it) > 0) return;
    keyspace_delete(in, key, false);
    forget(it);
}

static void copy_or_rename(struct world *w, int db, int key, bool rename)
{
    int to_db = (int)rng_below(&w->rng, DBS), to_key = (int)rng_below(&w->rng, KEYS);
    struct db *from = keyspace_db(w->ks, db), *to = keyspace_db(w->ks, to_db);
    const struct entry *e = keyspace_find(from, ref(w, db, key), 0);
    if (e == NULL || (db == to_db && key == to_key)) return;
    if (rename)
        keyspace_rename(from, ref(w, db, key), to, ref(w, to_db, to_key));
    else
        keyspace_copy(from, e, to, ref(w, to_db, to_key));
    w->items[to_db][to_key] = w->items[db][key];
    if (rename) forget(&w->items[db][key]);
}

static void change_key(struct world *w, int db, int key, struct item *it)
{
    struct db *in = keyspace_db(w->ks, db);
    struct keyref r = ref(w, db, key);
    struct entry *e = keyspace_find_for_write(in, r);
    switch (rng_below(&w->rng, 6)) {
    case 0:
        keyspace_delete(in, r, true);
        forget(it);
        break;
    case 1:
        keyspace_put_string(in, r, BYTES_LIT("no hash"), 0);
        keyspace_delete(in, r, false);
        forget(it);
        break;
    case 2: copy_or_rename(w, db, key, true); break;
    case 3: copy_or_rename(w, db, key, false); break;
    case 4: /* the entry moves */
        if (e != NULL) e = keyspace_set_expiry(in, r, e, INT64_MAX);
        if (e != NULL && rng_below(&w->rng, 2) == 0) keyspace_clear_expiry(in, r, e);
        break;
    default: keyspace_drop(in, r, false); forget(it);
    }
}

static void swap_databases(struct world *w)
{
    struct item first[KEYS];
    keyspace_swap_dbs(w->ks, 0, 2);
    memcpy(first, w->items[0], sizeof(first));
    memcpy(w->items[0], w->items[2], sizeof(first));
    memcpy(w->items[2], first, sizeof(first));
}

static void flush(struct world *w, int db)
{
    keyspace_flush(w->ks, keyspace_db(w->ks, db), rng_below(&w->rng, 2) == 0);
    for (int i = 0; i < KEYS; i++) forget(&w->items[db][i]);
}

/* The data set is exchanged for an empty one and back, as when a replica loads. */
static void swap_data(struct world *w)
{
    struct keyspace *sibling = keyspace_new_sibling(w->ks, NULL);
    keyspace_swap_data(w->ks, sibling);
    assert_false(keyspace_has_field_times(w->ks));
    keyspace_check(sibling);
    keyspace_swap_data(w->ks, sibling);
    keyspace_free(sibling);
}

static void step(struct world *w)
{
    int db = (int)rng_below(&w->rng, DBS), key = (int)rng_below(&w->rng, KEYS), i = (int)rng_below(&w->rng, FIELDS);
    struct item *it = &w->items[db][key];
    switch (rng_below(&w->rng, 100)) {
    case 0: flush(w, db); break;
    case 1: swap_databases(w); break;
    case 2: swap_data(w); break;
    case 3 ... 12: change_key(w, db, key, it); break;
    case 13 ... 30: remove_field(w, ref(w, db, key), it, db, i); break;
    case 31 ... 60: add_field(w, ref(w, db, key), it, db, i); break;
    default: set_time(w, ref(w, db, key), it, db, i);
    }
}

/* ---- Checks ---- */

static size_t count_due(const struct world *w, int db)
{
    size_t due = 0;
    for (int key = 0; key < KEYS; key++)
        for (int i = 0; i < FIELDS; i++) {
            int64_t at = w->items[db][key].fields[i];
            due += w->items[db][key].in && at > 0 && at < w->ks->now_ms;
        }
    return due;
}

static void check(struct world *w)
{
    bool any = false;
    keyspace_check(w->ks);
    for (int db = 0; db < DBS; db++) {
        size_t timed = 0;
        for (int key = 0; key < KEYS; key++) {
            const struct item *it = &w->items[db][key];
            const struct entry *e = keyspace_peek(keyspace_db(w->ks, db), ref(w, db, key));
            assert_int_equal(e != NULL, it->in);
            if (e == NULL) continue;
            hash_check(entry_pointer(e));
            assert_int_equal(hash_count(entry_pointer(e)), count_in(it));
            timed += hash_has_times(entry_pointer(e));
            for (int i = 0; i < FIELDS; i++) {
                char buf[TEXT];
                int64_t at = ABSENT;
                (void)hash_get_time(entry_pointer(e), field_name(i, buf), &at);
                assert_int_equal(at, it->fields[i]);
            }
        }
        assert_int_equal(db_timed_hashes(keyspace_db(w->ks, db)), timed);
        any = any || timed > 0;
    }
    assert_int_equal(keyspace_has_field_times(w->ks), any);
}

/* As in the active cycle: a few at a time, until none is due. */
static void expire_all(struct world *w)
{
    for (int db = 0; db < DBS; db++) {
        size_t due = count_due(w, db);
        w->told = 0;
        while (keyspace_expire_next_fields(keyspace_db(w->ks, db), 1 + rng_below(&w->rng, 5))) {
        }
        assert_int_equal(w->told, due);
        assert_int_equal(count_due(w, db), 0);
    }
}

static void run_model(size_t max_entries, enum expiry_mode mode)
{
    struct world w;
    world_init(&w, max_entries);
    for (int i = 0; i < 15000; i++) {
        w.ks->expiry_mode = mode;
        step(&w);
        if (i % 20 == 0) keyspace_set_time(w.ks, w.ks->now_ms + (int64_t)rng_below(&w.rng, 30));
        if (i % 37 == 0) check(&w);
        w.ks->expiry_mode = EXPIRY_DELETE;
        if (i % 111 == 0) expire_all(&w);
    }
    check(&w);
    assert_true(w.emptied > 0);
    world_release(&w);
}

static void test_random_operations_on_listpacks(void **state)
{
    run_model(100, EXPIRY_DELETE);
}
static void test_random_operations_on_tables(void **state)
{
    run_model(0, EXPIRY_DELETE);
}
static void test_random_operations_of_both(void **state)
{
    run_model(8, EXPIRY_IGNORE);
}

/* ---- Single things ---- */

static struct entry *make_hash(struct world *w, int64_t first_at, int fields)
{
    char buf[TEXT];
    struct db *db = keyspace_db(w->ks, 0);
    struct item *it = &w->items[0][0];
    for (int i = 0; i < fields; i++) add_field(w, ref(w, 0, 0), it, 0, i);
    struct entry *e = keyspace_find_for_write(db, ref(w, 0, 0));
    for (int i = 0; i < fields; i++) {
        keyspace_set_field_time(db, e, field_name(i, buf), first_at + i);
        it->fields[i] = first_at + i;
    }
    return e;
}

static void test_named_fields_go_when_past_their_time(void **state)
{
    struct world w;
    char bufs[4][TEXT];
    world_init(&w, 100);
    struct entry *e = make_hash(&w, 1000, 10);
    struct db *db = keyspace_db(w.ks, 0);
    keyspace_set_time(w.ks, 1002); /* 0 and 1 have expired; 2 is in its last millisecond */
    struct bytes_view fields[] = {field_name(2, bufs[0]), field_name(1, bufs[1]), field_name(1, bufs[1]),
                                  BYTES_LIT("none")};
    size_t before = w.before_changes;
    assert_false(keyspace_expire_fields(db, ref(&w, 0, 0), fields, 4));
    assert_true(w.before_changes > before);
    assert_int_equal(w.told, 1);
    assert_int_equal(w.ks->stats.expired_fields, 1);
    assert_int_equal(hash_count(entry_pointer(e)), 9);
    assert_false(keyspace_expire_fields(db, ref(&w, 0, 0), fields, 4));
    assert_int_equal(w.told, 1);
    keyspace_set_time(w.ks, 5000);
    for (int i = 0; i < 8; i++) assert_false(keyspace_expire_some_fields(db, ref(&w, 0, 0), 1));
    assert_true(keyspace_expire_some_fields(db, ref(&w, 0, 0), 1));
    assert_int_equal(w.told, 10);
    assert_null(keyspace_peek(db, ref(&w, 0, 0)));
    check(&w);
    world_release(&w);
}

/* A client of a writable replica finds such a field: it is removed, but not reported. */
static void test_hidden_fields_go_quietly(void **state)
{
    struct world w;
    char buf[TEXT];
    world_init(&w, 100);
    make_hash(&w, 1000, 2);
    struct bytes_view field = field_name(0, buf);
    keyspace_set_time(w.ks, 5000);
    w.ks->expiry_mode = EXPIRY_HIDE;
    assert_false(keyspace_expire_fields(keyspace_db(w.ks, 0), ref(&w, 0, 0), &field, 1));
    field = field_name(1, buf);
    assert_true(keyspace_expire_fields(keyspace_db(w.ks, 0), ref(&w, 0, 0), &field, 1));
    assert_int_equal(w.told, 0);
    assert_int_equal(w.ks->stats.expired_fields, 0);
    assert_null(keyspace_peek(keyspace_db(w.ks, 0), ref(&w, 0, 0)));
    world_release(&w);
}

static void test_the_clock_of_each_mode(void **state)
{
    struct world w;
    world_init(&w, 100);
    keyspace_set_time(w.ks, 777);
    assert_int_equal(keyspace_field_clock(w.ks), 777);
    w.ks->expiry_mode = EXPIRY_HIDE;
    assert_int_equal(keyspace_field_clock(w.ks), 777);
    w.ks->expiry_mode = EXPIRY_IGNORE; /* X1 */
    assert_int_equal(keyspace_field_clock(w.ks), HASH_SHOW_ALL);
    world_release(&w);
}

static void test_the_hash_that_is_due_first_comes_first(void **state)
{
    struct world w;
    world_init(&w, 100);
    struct db *db = keyspace_db(w.ks, 0);
    for (int key = 0; key < KEYS; key++) {
        struct item *it = &w.items[0][key];
        add_field(&w, ref(&w, 0, key), it, 0, 0);
        struct entry *e = keyspace_find_for_write(db, ref(&w, 0, key));
        it->fields[0] = 2000 + (key * 5) % KEYS * 10;
        char buf[TEXT];
        keyspace_set_field_time(db, e, field_name(0, buf), it->fields[0]);
    }
    for (int due = 1; due <= KEYS; due++) {
        keyspace_set_time(w.ks, 2000 + due * 10 - 5);
        assert_true(keyspace_expire_next_fields(db, 10));
        assert_int_equal(w.told, due);
        assert_false(keyspace_expire_next_fields(db, 10));
    }
    check(&w);
    world_release(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_operations_on_listpacks),
        cmocka_unit_test(test_random_operations_on_tables),
        cmocka_unit_test(test_random_operations_of_both),
        cmocka_unit_test(test_named_fields_go_when_past_their_time),
        cmocka_unit_test(test_hidden_fields_go_quietly),
        cmocka_unit_test(test_the_clock_of_each_mode),
        cmocka_unit_test(test_the_hash_that_is_due_first_comes_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
