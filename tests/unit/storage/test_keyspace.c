#include "storage/keyspace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "storage/base/memory.h"
#include "storage/lazyfree.h"
#include "storage/list.h"
#include "storage/set.h"

/* ---- A trivial model: an array with the expected state of each key ---- */

enum { DBS = 3, KEYS = 24, TEXT_MAX = 3000 };

struct item {
    bool present;
    enum value_type type;
    char text[TEXT_MAX]; /* of a string */
    size_t len;          /* length of a string; of a collection: its elements are "0" to "<len - 1>" */
    int64_t expiry_ms;   /* -1: none */
};

struct world {
    struct encoding_limits limits;
    struct keyspace *ks;
    struct lazyfree *lazyfree;
    struct rng rng;
    struct item items[DBS][KEYS];
    char names[KEYS][1100];
    size_t name_lens[KEYS];
    uint64_t expired, created, changed, flushed, hidden_expiries; /* calls of hooks */
    bool saved[DBS][KEYS]; /* before_change() was called in this step and saw the state of the model */
    bool expiring[DBS][KEYS];
};

static struct bytes_view name_of(const struct world *w, int key)
{
    return bytes_view(w->names[key], w->name_lens[key]);
}
static struct keyref ref(const struct world *w, int db, int key)
{
    return keyref(keyspace_db(w->ks, db), name_of(w, key));
}
static int key_number(const struct world *w, struct bytes_view name)
{
    for (int i = 0; i < KEYS; i++)
        if (bytes_equal(name_of(w, i), name)) return i;
    fail_msg("a key that nobody made");
    return -1;
}
static unsigned below(struct world *w, unsigned bound)
{
    return (unsigned)rng_below(&w->rng, bound);
}

static void assert_entry_is(const struct entry *e, const struct item *it)
{
    struct number_text buf;
    assert_int_equal(e->type, it->type);
    assert_int_equal(entry_expiry(e), it->expiry_ms);
    if (it->type != TYPE_STRING) {
        assert_int_equal(value_count(it->type, entry_pointer(e)), it->len);
        return;
    }
    struct bytes_view value = entry_string(e, &buf);
    assert_int_equal(value.len, it->len);
    assert_memory_equal(value.data, it->text, it->len);
}

static bool model_expired(const struct world *w, const struct item *it)
{
    return it->present && it->expiry_ms != -1 && w->ks->now_ms > it->expiry_ms;
}
/* What a reader must see. */
static bool model_visible(const struct world *w, const struct item *it)
{
    return it->present && (w->ks->expiry_mode == EXPIRY_IGNORE || !model_expired(w, it));
}
/* After a look-up: on a master an expired key is deleted. */
static struct item *model_look(struct world *w, int db, int key)
{
    struct item *it = &w->items[db][key];
    if (model_expired(w, it) && w->ks->expiry_mode == EXPIRY_DELETE) it->present = false;
    return it;
}

/* ---- Hooks: they check that every change was reported first ---- */

static void on_expired(void *ctx, struct db *db, struct bytes_view key)
{
    struct world *w = ctx;
    w->expired++;
    w->expiring[db->id][key_number(w, key)] = true;
    assert_non_null(keyspace_peek(db, keyref(db, key))); /* it is told before */
}
static void on_changed(void *ctx, struct db *db, struct bytes_view key)
{
    struct world *w = ctx;
    (void)db, (void)key_number(w, key);
    w->changed++;
}
static void on_created(void *ctx, struct db *db, struct bytes_view key, enum value_type type)
{
    struct world *w = ctx;
    const struct entry *e = keyspace_peek(db, keyref(db, key));
    assert_non_null(e);
    assert_int_equal(e->type, type);
    w->created++;
}
static void on_flushed(void *ctx, struct db *db, struct db *replacement)
{
    struct world *w = ctx;
    (void)db, (void)replacement;
    w->flushed++;
}
static void on_hidden_expiry(void *ctx, struct db *db, struct bytes_view key)
{
    struct world *w = ctx;
    (void)db, (void)key;
    w->hidden_expiries++;
}
static void on_before_change(void *ctx, struct db *db, struct entry *e)
{
    struct world *w = ctx;
    int key = key_number(w, entry_key(e));
    bool *saved = &w->saved[db->id][key];
    if (!*saved) assert_entry_is(e, &w->items[db->id][key]);
    *saved = true;
}

static void world_init(struct world *w, uint64_t seed)
{
    static const size_t lens[] = {3, 8, 40, 255, 256, 1000};
    memset(w, 0, sizeof(*w));
    w->limits = encoding_limits_default();
    rng_seed(&w->rng, seed);
    for (int i = 0; i < KEYS; i++) {
        size_t want = i == 0 ? 0 : lens[(size_t)i % (sizeof(lens) / sizeof(lens[0]))];
        memset(w->names[i], '.', sizeof(w->names[i]));
        char number[16];
        int digits = snprintf(number, sizeof(number), "k%d", i);
        memcpy(w->names[i], number, (size_t)digits);
        w->name_lens[i] = i == 0 ? 0 : want;
    }
    w->lazyfree = lazyfree_new();
    w->ks = keyspace_new(DBS, &w->limits, NULL, sys_real());
    w->ks->lazyfree = w->lazyfree;
    w->ks->now_ms = 1000000;
    w->ks->hooks = (struct keyspace_hooks){.ctx = w,
                                           .expired = on_expired,
                                           .changed = on_changed,
                                           .created = on_created,
                                           .flushed = on_flushed,
                                           .hidden_expiry = on_hidden_expiry,
                                           .before_change = on_before_change};
}

static void world_release(struct world *w)
{
    keyspace_free(w->ks);
    lazyfree_free(w->lazyfree);
}

/* ---- Steps ---- */

static void make_text(struct world *w, struct item *it)
{
    static const size_t lens[] = {0, 1, 5, 20, 44, 45, 200, 255, 256, 1000, TEXT_MAX};
    it->type = TYPE_STRING;
    it->len = lens[below(w, sizeof(lens) / sizeof(lens[0]))];
    char fill = (char)('a' + below(w, 26));
    memset(it->text, fill, it->len);
}

static void make_number(struct world *w, struct item *it, int64_t *number)
{
    *number = below(w, 4) == 0 ? (int64_t)rng_next(&w->rng) : (int64_t)below(w, 20000);
    it->type = TYPE_STRING;
    it->len = num_format_i64(it->text, *number);
}

static void *make_collection(struct world *w, struct item *it)
{
    char buf[32];
    it->type = below(w, 2) ? TYPE_SET : TYPE_LIST;
    it->len = below(w, 8) == 0 ? 1000 : 1 + below(w, 20);
    struct set *set = it->type == TYPE_SET ? set_new(w->ks->env, BYTES_LIT("x"), 0) : NULL;
    struct list *list = it->type == TYPE_LIST ? list_new(w->ks->env) : NULL;
    for (size_t i = 0; i < it->len; i++) {
        struct bytes_view element = bytes_view(buf, (size_t)snprintf(buf, sizeof(buf), "%zu", i));
        if (set != NULL)
            set_add(set, element);
        else
            list_push(list, LIST_TAIL, element);
    }
    return set != NULL ? (void *)set : (void *)list;
}

static void step_put(struct world *w, int db, int key)
{
    struct item *it = model_look(w, db, key), fresh = {.present = true, .expiry_ms = -1};
    unsigned flags = below(w, 3) == 0 ? PUT_KEEP_EXPIRY : 0;
    struct db *in = keyspace_db(w->ks, db);
    bool there = model_visible(w, it);
    uint64_t created = w->created;
    int64_t number;
    struct entry *e = NULL;
    if ((flags & PUT_KEEP_EXPIRY) && there) fresh.expiry_ms = it->expiry_ms;
    switch (below(w, 4)) {
    case 0:
        make_text(w, &fresh);
        e = keyspace_put_string(in, ref(w, db, key), bytes_view(fresh.text, fresh.len), flags | PUT_NO_INT);
        break;
    case 1:
        make_number(w, &fresh, &number);
        e = below(w, 2) ? keyspace_put_int(in, ref(w, db, key), number, flags)
                        : keyspace_put_string(in, ref(w, db, key), bytes_view(fresh.text, fresh.len), flags);
        assert_int_equal(entry_encoding(e), ENCODING_INT);
        break;
    case 2:
        make_text(w, &fresh);
        e = keyspace_put_blob(in, ref(w, db, key), blob_new(bytes_view(fresh.text, fresh.len)), flags);
        break;
    case 3: {
        void *value = make_collection(w, &fresh);
        e = keyspace_put_value(in, ref(w, db, key), fresh.type, value, flags);
    }
    }
    assert_int_equal(w->created - created, !there);
    *it = fresh;
    assert_entry_is(e, it);
}

static void step_update(struct world *w, int db, int key)
{
    struct item *it = model_look(w, db, key);
    struct db *in = keyspace_db(w->ks, db);
    struct entry *e = keyspace_find_for_write(in, ref(w, db, key));
    int64_t number;
    char *data;
    assert_int_equal(e != NULL, model_visible(w, it));
    if (e == NULL || it->type != TYPE_STRING) return;
    switch (below(w, 3)) {
    case 0:
        make_number(w, it, &number);
        e = keyspace_update_int(in, ref(w, db, key), e, number);
        break;
    case 1:
        make_text(w, it);
        e = keyspace_update_string(in, ref(w, db, key), e, bytes_view(it->text, it->len), 0);
        break;
    case 2: {
        size_t len = below(w, TEXT_MAX + 1);
        if (len > it->len) memset(it->text + it->len, 0, len - it->len);
        it->len = len;
        e = keyspace_resize_string(in, ref(w, db, key), e, len, &data);
        assert_int_equal(entry_encoding(e), ENCODING_RAW);
        if (len > 0) data[len / 2] = it->text[len / 2] = 'X';
    }
    }
    assert_entry_is(e, it);
}

static void step_delete(struct world *w, int db, int key)
{
    struct item *it = model_look(w, db, key);
    bool visible = model_visible(w, it);
    assert_int_equal(keyspace_delete(keyspace_db(w->ks, db), ref(w, db, key), below(w, 2)), visible);
    if (visible) it->present = false;
}

static void step_expiry(struct world *w, int db, int key)
{
    struct item *it = model_look(w, db, key);
    struct db *in = keyspace_db(w->ks, db);
    struct entry *e = keyspace_find_for_write(in, ref(w, db, key));
    uint64_t hidden = w->hidden_expiries;
    if (e == NULL) return;
    if (below(w, 3) == 0) {
        it->expiry_ms = -1;
        e = keyspace_clear_expiry(in, ref(w, db, key), e);
    } else {
        it->expiry_ms = w->ks->now_ms + (int64_t)below(w, 2000) - 100;
        e = keyspace_set_expiry(in, ref(w, db, key), e, it->expiry_ms);
        assert_int_equal(w->hidden_expiries - hidden, w->ks->expiry_mode == EXPIRY_HIDE);
    }
    assert_entry_is(e, it);
}

static void step_rename(struct world *w, int db, int key)
{
    int to_db = (int)below(w, DBS), to_key = (int)below(w, KEYS);
    struct db *from = keyspace_db(w->ks, db), *to = keyspace_db(w->ks, to_db);
    if (to_db == db && to_key == key) return;
    struct item *it = model_look(w, db, key);
    if (keyspace_find_for_write(from, ref(w, db, key)) == NULL) return;
    model_look(w, to_db, to_key);
    (void)keyspace_find_for_write(to, ref(w, to_db, to_key));
    struct entry *e = keyspace_rename(from, ref(w, db, key), to, ref(w, to_db, to_key));
    assert_true(w->saved[db][key]);
    assert_true(!w->items[to_db][to_key].present || w->saved[to_db][to_key]);
    w->items[to_db][to_key] = *it;
    it->present = false;
    assert_entry_is(e, &w->items[to_db][to_key]);
}

static void step_copy(struct world *w, int db, int key)
{
    int to_db = (int)below(w, DBS), to_key = (int)below(w, KEYS);
    struct db *from = keyspace_db(w->ks, db), *to = keyspace_db(w->ks, to_db);
    if (to_db == db && to_key == key) return;
    struct item *it = model_look(w, db, key);
    const struct entry *source = keyspace_find(from, ref(w, db, key), 0);
    if (source == NULL) return;
    model_look(w, to_db, to_key);
    (void)keyspace_find_for_write(to, ref(w, to_db, to_key));
    struct entry *e = keyspace_copy(from, source, to, ref(w, to_db, to_key));
    w->items[to_db][to_key] = *it;
    assert_entry_is(e, it);
    assert_entry_is(keyspace_peek(from, ref(w, db, key)), it);
    assert_ptr_not_equal(e, keyspace_peek(from, ref(w, db, key)));
}

static size_t model_count(const struct world *w, int db)
{
    size_t count = 0;
    for (int i = 0; i < KEYS; i++) count += w->items[db][i].present;
    return count;
}

static void step_flush(struct world *w, int db)
{
    bool all = below(w, 4) == 0;
    size_t count = 0;
    for (int i = 0; i < DBS; i++) {
        if (!all && i != db) continue;
        count += model_count(w, i);
        for (int k = 0; k < KEYS; k++) w->items[i][k].present = false;
    }
    assert_int_equal(keyspace_flush(w->ks, all ? NULL : keyspace_db(w->ks, db), below(w, 2)), count);
}

static void step_swap(struct world *w, int db)
{
    static struct item kept[KEYS];
    int other = (int)below(w, DBS);
    uint64_t told = w->flushed;
    memcpy(kept, w->items[db], sizeof(kept));
    memmove(w->items[db], w->items[other], sizeof(kept));
    memcpy(w->items[other], kept, sizeof(kept));
    keyspace_swap_dbs(w->ks, db, other);
    assert_int_equal(w->flushed - told, db == other ? 0 : 2);
}

/* A data set is exchanged with a sibling's and back. */
static void step_swap_data(struct world *w)
{
    struct hash_secret secret;
    hash_secret_random(&secret, sys_real());
    struct keyspace *sibling = keyspace_new_sibling(w->ks, below(w, 2) == 0 ? NULL : &secret);
    struct db *other = keyspace_db(sibling, 1);
    keyspace_put_string(other, keyref(other, BYTES_LIT("of the sibling")), BYTES_LIT("v"), 0);
    keyspace_swap_data(w->ks, sibling);
    assert_int_equal(keyspace_count(w->ks), 1);
    keyspace_check(sibling);
    keyspace_swap_data(w->ks, sibling);
    keyspace_free(sibling);
}

static void step_look(struct world *w, int db, int key)
{
    struct item *it = model_look(w, db, key);
    uint64_t hits = w->ks->stats.hits, misses = w->ks->stats.misses;
    const struct entry *e = keyspace_find(keyspace_db(w->ks, db), ref(w, db, key), 0);
    assert_int_equal(e != NULL, model_visible(w, it));
    if (e != NULL) assert_entry_is(e, it);
    assert_int_equal(w->ks->stats.hits - hits, e != NULL);
    assert_int_equal(w->ks->stats.misses - misses, e == NULL);
    e = keyspace_peek(keyspace_db(w->ks, db), ref(w, db, key));
    assert_int_equal(e != NULL, it->present);
}

/* Deletes expired keys on the way; the model does so when the hook reports them. */
static void step_random(struct world *w, int db)
{
    const struct entry *e = keyspace_random(keyspace_db(w->ks, db));
    for (int i = 0; i < KEYS; i++)
        if (w->expiring[db][i]) w->items[db][i].present = false;
    if (e == NULL) {
        assert_int_equal(model_count(w, db), 0);
        return;
    }
    const struct item *it = &w->items[db][key_number(w, entry_key(e))];
    assert_entry_is(e, it);
    if (w->ks->expiry_mode == EXPIRY_DELETE) assert_false(model_expired(w, it));
}

static void step_delete_expired(struct world *w, int db, int key)
{
    struct item *it = &w->items[db][key];
    const struct entry *e = keyspace_peek(keyspace_db(w->ks, db), ref(w, db, key));
    uint64_t expired = w->ks->stats.expired_keys;
    if (e == NULL || !model_expired(w, it)) return;
    assert_true(entry_is_expired(w->ks, e));
    keyspace_delete_expired(keyspace_db(w->ks, db), e);
    assert_true(w->expiring[db][key]);
    assert_int_equal(w->ks->stats.expired_keys, expired + 1);
    it->present = false;
}

static void count_one(void *ctx, const struct entry *e)
{
    struct world *w = ((void **)ctx)[0];
    unsigned *seen = ((void **)ctx)[1];
    seen[key_number(w, entry_key(e))]++;
}

static void assert_world(struct world *w)
{
    keyspace_check(w->ks);
    size_t total = 0;
    for (int db = 0; db < DBS; db++) {
        unsigned seen[KEYS] = {0};
        void *ctx[2] = {w, seen};
        uint64_t cursor = 0;
        do cursor = keyspace_scan(keyspace_db(w->ks, db), cursor, count_one, ctx);
        while (cursor != 0);
        for (int key = 0; key < KEYS; key++) {
            const struct entry *e = keyspace_peek(keyspace_db(w->ks, db), ref(w, db, key));
            assert_int_equal(e != NULL, w->items[db][key].present);
            assert_int_equal(seen[key], w->items[db][key].present);
            if (e != NULL) assert_entry_is(e, &w->items[db][key]);
        }
        assert_int_equal(db_count(keyspace_db(w->ks, db)), model_count(w, db));
        total += model_count(w, db);
    }
    assert_int_equal(keyspace_count(w->ks), total);
}

static void step(struct world *w)
{
    int db = (int)below(w, DBS), key = (int)below(w, KEYS);
    memset(w->saved, 0, sizeof(w->saved));
    memset(w->expiring, 0, sizeof(w->expiring));
    static struct item before[DBS][KEYS];
    bool structural = false;
    memcpy(before, w->items, sizeof(before));
    switch (below(w, 16)) {
    case 0:
    case 1:
    case 2: step_put(w, db, key); break;
    case 3: step_update(w, db, key); break;
    case 4:
    case 5: step_delete(w, db, key); break;
    case 6:
    case 7: step_expiry(w, db, key); break;
    case 8: step_rename(w, db, key); break;
    case 9: step_copy(w, db, key); break;
    case 10:
        structural = true;
        if (below(w, 10) == 0) step_flush(w, db);
        break;
    case 11:
        structural = true;
        if (below(w, 4) == 0) step_swap(w, db);
        break;
    case 12: step_look(w, db, key); break;
    case 13: step_random(w, db); break;
    case 14: step_delete_expired(w, db, key); break;
    case 15: w->ks->now_ms += below(w, 300); break;
    }
    /* Every entry that differs from the copy must have passed before_change(). */
    for (int i = 0; i < DBS && !structural; i++)
        for (int k = 0; k < KEYS; k++) {
            const struct item *was = &before[i][k], *is = &w->items[i][k];
            bool same = was->present == is->present && was->type == is->type && was->len == is->len &&
                        was->expiry_ms == is->expiry_ms && memcmp(was->text, is->text, is->len) == 0;
            if (was->present && !same) assert_true(w->saved[i][k]);
        }
}

static void run_model(enum expiry_mode mode, bool changing, uint64_t seed)
{
    static struct world w;
    world_init(&w, seed);
    w.ks->expiry_mode = mode;
    for (int i = 0; i < 6000; i++) {
        step(&w);
        if (changing && below(&w, 20) == 0) w.ks->expiry_mode = (enum expiry_mode)below(&w, 3);
        if (below(&w, 50) == 0) w.ks->lazy_server_del = !w.ks->lazy_server_del;
        if (below(&w, 50) == 0) w.ks->lazy_expire = !w.ks->lazy_expire;
        if (i % 20 == 0) assert_world(&w);
        if (i % 500 == 0) step_swap_data(&w);
    }
    assert_world(&w);
    assert_true(w.created > 0 && w.changed > 0 && w.flushed > 0);
    if (mode == EXPIRY_DELETE || changing) assert_true(w.expired > 0);
    world_release(&w);
}

static void test_random_operations_of_a_master(void **state)
{
    for (uint64_t seed = 1; seed <= 3; seed++) run_model(EXPIRY_DELETE, false, seed);
}
static void test_random_operations_of_a_replicas_clients(void **state)
{
    for (uint64_t seed = 1; seed <= 3; seed++) run_model(EXPIRY_HIDE, false, seed);
}
static void test_random_operations_of_a_masters_stream(void **state)
{
    for (uint64_t seed = 1; seed <= 3; seed++) run_model(EXPIRY_IGNORE, false, seed);
}
static void test_random_operations_with_changing_roles(void **state)
{
    for (uint64_t seed = 11; seed <= 14; seed++) run_model(EXPIRY_DELETE, true, seed);
}

/* ---- Single rules ---- */

static struct entry *put(struct world *w, const char *name, const char *value)
{
    struct db *db = keyspace_db(w->ks, 0);
    return keyspace_put_string(db, keyref(db, bytes_str(name)), bytes_str(value), 0);
}

static struct world *plain_world(void)
{
    static struct world w;
    world_init(&w, 5);
    w.ks->hooks = (struct keyspace_hooks){0};
    return &w;
}

/* X1: the master's INCR finds the key, although it has expired by our clock. */
static void test_X1_a_masters_stream_sees_keys_past_their_time(void **state)
{
    struct world *w = plain_world();
    struct db *db = keyspace_db(w->ks, 0);
    struct keyref key = keyref(db, BYTES_LIT("counter"));
    keyspace_set_expiry(db, key, put(w, "counter", "10"), w->ks->now_ms + 5);
    w->ks->now_ms += 100;
    w->ks->expiry_mode = EXPIRY_HIDE;
    assert_null(keyspace_find(db, key, 0));
    assert_null(keyspace_find_for_write(db, key));
    w->ks->expiry_mode = EXPIRY_IGNORE;
    struct entry *e = keyspace_find_for_write(db, key);
    assert_non_null(e);
    e = keyspace_update_int(db, key, e, entry_int(e) + 1);
    assert_int_equal(entry_int(e), 11);
    assert_int_equal(entry_expiry(e), w->ks->now_ms - 95);
    world_release(w);
}

/* A client of a writable replica sets a key that exists but is hidden. */
static void test_a_hidden_key_is_replaced_not_doubled(void **state)
{
    struct world *w = plain_world();
    struct db *db = keyspace_db(w->ks, 0);
    struct keyref key = keyref(db, BYTES_LIT("k"));
    keyspace_set_expiry(db, key, put(w, "k", "old"), w->ks->now_ms + 5);
    w->ks->now_ms += 100;
    w->ks->expiry_mode = EXPIRY_HIDE;
    put(w, "k", "new");
    assert_int_equal(db_count(db), 1);
    assert_int_equal(entry_expiry(keyspace_find(db, key, 0)), -1);
    keyspace_check(w->ks);
    world_release(w);
}

static void test_an_expiry_holds_through_its_last_millisecond(void **state)
{
    struct world *w = plain_world();
    struct db *db = keyspace_db(w->ks, 0);
    struct keyref key = keyref(db, BYTES_LIT("k"));
    int64_t at = w->ks->now_ms + 50;
    keyspace_set_expiry(db, key, put(w, "k", "v"), at);
    w->ks->now_ms = at;
    assert_non_null(keyspace_find(db, key, 0));
    w->ks->now_ms = at + 1;
    assert_null(keyspace_find(db, key, 0));
    assert_int_equal(db_count(db), 0);
    assert_int_equal(table_count(&db->expires), 0);
    world_release(w);
}

static void test_negative_times_are_past_not_none(void **state)
{
    struct world *w = plain_world();
    struct db *db = keyspace_db(w->ks, 0);
    w->ks->expiry_mode = EXPIRY_IGNORE;
    struct entry *e = keyspace_set_expiry(db, keyref(db, BYTES_LIT("k")), put(w, "k", "v"), -1);
    assert_true(e->flags & ENTRY_EXPIRES);
    assert_true(entry_is_expired(w->ks, e));
    world_release(w);
}

static void test_random_key_of_a_master_is_never_past_its_time(void **state)
{
    struct world *w = plain_world();
    struct db *db = keyspace_db(w->ks, 0);
    char name[32];
    for (int i = 0; i < 500; i++) {
        snprintf(name, sizeof(name), "k%d", i);
        keyspace_set_expiry(db, keyref(db, bytes_str(name)), put(w, name, "v"), w->ks->now_ms + 5);
    }
    put(w, "stays", "v");
    w->ks->now_ms += 100;
    const struct entry *e = keyspace_random(db);
    assert_non_null(e);
    assert_true(bytes_equal(entry_key(e), BYTES_LIT("stays")));
    w->ks->expiry_mode = EXPIRY_HIDE;
    assert_non_null(keyspace_random(db));
    keyspace_delete(db, keyref(db, BYTES_LIT("stays")), false);
    w->ks->expiry_mode = EXPIRY_DELETE;
    assert_null(keyspace_random(db));
    world_release(w);
}

static void test_rename_and_copy_keep_the_expiry(void **state)
{
    struct world *w = plain_world();
    struct db *db = keyspace_db(w->ks, 0), *other = keyspace_db(w->ks, 2);
    struct keyref a = keyref(db, BYTES_LIT("a")), b = keyref(db, BYTES_LIT("a name much longer than the one before"));
    int64_t at = w->ks->now_ms + 5000;
    keyspace_set_expiry(db, a, put(w, "a", "v"), at);
    assert_int_equal(entry_expiry(keyspace_rename(db, a, db, b)), at);
    assert_null(keyspace_peek(db, a));
    assert_int_equal(entry_expiry(keyspace_rename(db, b, other, a)), at);
    assert_int_equal(table_count(&db->expires), 0);
    assert_int_equal(table_count(&other->expires), 1);
    struct entry *copy = keyspace_copy(other, keyspace_peek(other, a), db, b);
    assert_int_equal(entry_expiry(copy), at);
    keyspace_check(w->ks);
    world_release(w);
}

/* A copy is independent of its original. */
static void test_copy_is_deep(void **state)
{
    struct world *w = plain_world();
    struct db *db = keyspace_db(w->ks, 0);
    struct keyref from = keyref(db, BYTES_LIT("from")), to = keyref(db, BYTES_LIT("to"));
    struct set *set = set_new(w->ks->env, BYTES_LIT("a"), 1);
    set_add(set, BYTES_LIT("a"));
    keyspace_put_value(db, from, TYPE_SET, set, 0);
    struct entry *copy = keyspace_copy(db, keyspace_peek(db, from), db, to);
    set_add(entry_pointer(keyspace_find_for_write(db, from)), BYTES_LIT("b"));
    assert_int_equal(set_count(entry_pointer(copy)), 1);
    world_release(w);
}

static void test_snapshots_know_a_moved_entry_again(void **state)
{
    struct world *w = plain_world();
    struct db *db = keyspace_db(w->ks, 0);
    struct keyref key = keyref(db, BYTES_LIT("k"));
    w->ks->epoch = 7;
    struct entry *e = put(w, "k", "v");
    assert_int_equal(e->epoch, 7); /* created after the snapshot began: not part of it */
    e->epoch = 3;
    e = keyspace_set_expiry(db, key, e, w->ks->now_ms + 1000);
    e = keyspace_update_string(db, key, e, BYTES_LIT("a longer value than before, so that it has to move"), 0);
    assert_int_equal(e->epoch, 3);
    world_release(w);
}

static void test_access_times(void **state)
{
    struct world *w = plain_world();
    struct db *db = keyspace_db(w->ks, 0);
    struct keyref key = keyref(db, BYTES_LIT("k"));
    struct entry *e = put(w, "k", "v");
    w->ks->now_ms += 100 * 1000;
    assert_int_equal(entry_idle_seconds(w->ks, e), 100);
    keyspace_find(db, key, FIND_NO_TOUCH);
    assert_int_equal(entry_idle_seconds(w->ks, e), 100);
    w->ks->freeze_access = true;
    keyspace_find(db, key, 0);
    assert_int_equal(entry_idle_seconds(w->ks, e), 100);
    w->ks->freeze_access = false;
    keyspace_find(db, key, 0);
    assert_int_equal(entry_idle_seconds(w->ks, e), 0);
    keyspace_set_access(w->ks, e, 1000, -1);
    assert_int_equal(entry_idle_seconds(w->ks, e), 1000);
    keyspace_set_access(w->ks, e, INT64_MAX, -1); /* longer than can be told */
    assert_int_equal(entry_idle_seconds(w->ks, e), (1 << 24) - 1);
    keyspace_set_access(w->ks, e, -1, -1);
    assert_int_equal(entry_idle_seconds(w->ks, e), (1 << 24) - 1);
    world_release(w);
}

static void test_frequency_rises_slowly_and_decays(void **state)
{
    struct world *w = plain_world();
    struct db *db = keyspace_db(w->ks, 0);
    struct keyref key = keyref(db, BYTES_LIT("k"));
    w->ks->lfu = true;
    struct entry *e = put(w, "k", "v");
    assert_int_equal(entry_lfu_counter(w->ks, e), 5);
    for (int i = 0; i < 1000; i++) keyspace_find(db, key, 0);
    unsigned busy = entry_lfu_counter(w->ks, e);
    assert_in_range(busy, 10, 40); /* about 18 after a thousand hits, as in the table of redis.conf */
    w->ks->now_ms += 3 * 60 * 1000;
    assert_int_equal(entry_lfu_counter(w->ks, e), busy - 3);
    w->ks->now_ms += 60 * 60 * 1000;
    assert_int_equal(entry_lfu_counter(w->ks, e), 0);
    w->ks->lfu_decay_minutes = 0;
    assert_int_equal(entry_lfu_counter(w->ks, e), busy);
    keyspace_set_access(w->ks, e, -1, 200);
    assert_int_equal(entry_lfu_counter(w->ks, e), 200);
    world_release(w);
}

static void test_a_new_string_takes_no_more_than_it_needs(void **state)
{
    struct world *w = plain_world();
    struct db *db = keyspace_db(w->ks, 0);
    struct keyref key = keyref(db, BYTES_LIT("k"));
    char *data;
    struct entry *e = keyspace_resize_string(db, key, put(w, "k", ""), 100000, &data);
    assert_in_range(entry_memory(e, 0), 100000, 120000);
    e = keyspace_resize_string(db, key, e, 100001, &data); /* now it grows */
    assert_in_range(entry_memory(e, 0), 200000, 240000);
    world_release(w);
}

static char pattern(size_t i)
{
    return (char)('a' + i * 7 % 23);
}

/* Changes the length, fills new bytes with the pattern, and compares the whole string. */
static struct entry *resize_and_check(struct db *db, struct keyref key, struct entry *e, size_t from, size_t to)
{
    char *data;
    struct number_text buf;
    e = keyspace_resize_string(db, key, e, to, &data);
    for (size_t i = from; i < to; i++) {
        assert_int_equal(data[i], '\0');
        data[i] = pattern(i);
    }
    struct bytes_view text = entry_string(keyspace_peek(db, key), &buf);
    assert_int_equal(text.len, to);
    for (size_t i = 0; i < to; i++) assert_int_equal(text.data[i], pattern(i));
    return e;
}

/* Crosses the lengths at which the encoding of length and capacity changes. */
static void test_CVE_2023_41056_a_string_of_every_length(void **state)
{
    static const size_t steps[] = {40, 255, 256, 257, 4095, 4096, 65534, 65535, 65536, 65537, 70000, 1 << 20, 3 << 20};
    struct world *w = plain_world();
    struct db *db = keyspace_db(w->ks, 0);
    struct keyref key = keyref(db, BYTES_LIT("k"));
    struct entry *e = put(w, "k", "");
    size_t len = 0;
    for (; len < 1200; len++) e = resize_and_check(db, key, e, len, len + 1);
    for (; len > 0; len -= 3) e = resize_and_check(db, key, e, len, len - 3);
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); len = steps[i++])
        e = resize_and_check(db, key, e, len, steps[i]);
    for (size_t i = sizeof(steps) / sizeof(steps[0]); i-- > 0; len = steps[i])
        e = resize_and_check(db, key, e, len, steps[i]);
    world_release(w);
}

/* ---- Freeing in the background ---- */

static void change_somehow(struct world *w, struct db *db, struct keyref key, struct keyref other, size_t most)
{
    char *data;
    struct entry *e = keyspace_find_for_write(db, key);
    switch (below(w, 6)) {
    case 0: keyspace_put_string(db, key, BYTES_LIT("small"), 0); return;
    case 1: keyspace_put_blob(db, key, blob_new(BYTES_LIT("a blob")), 0); return;
    case 2: keyspace_delete(db, key, below(w, 2)); return;
    }
    if (e == NULL) return;
    switch (below(w, 3)) {
    case 0:
        keyspace_resize_string(db, key, e, below(w, (unsigned)most) + 1, &data);
        data[0] = '#';
        return;
    case 1: keyspace_update_int(db, key, e, 7); return;
    case 2: keyspace_delete(db, other, false); keyspace_rename(db, key, db, other);
    }
}

/* A blob that the request still reads after handing it over. The sanitizers see that it is freed exactly once. */
static void test_fault_2_a_held_blob_stays_as_it_is(void **state)
{
    (void)state;
    enum { LEN = 3000, ROUNDS = 3000 };
    char text[LEN], *data;
    struct world *w = plain_world();
    struct db *db = keyspace_db(w->ks, 0);
    struct keyref key = keyref(db, name_of(w, 0)), other = keyref(db, name_of(w, 1));
    for (int i = 0; i < ROUNDS; i++) {
        memset(text, 'a' + i % 26, LEN);
        struct blob *first = blob_new(bytes_view(text, LEN)), *second = blob_new(bytes_view(text, LEN));
        keyspace_hold_blob(w->ks, first);
        keyspace_hold_blob(w->ks, second);
        keyspace_put_blob(db, key, first, 0);
        keyspace_put_blob(db, other, second, 0);
        for (unsigned steps = below(w, 4); steps > 0; steps--) {
            change_somehow(w, db, key, other, 2 * LEN);
            assert_memory_equal(first->data, text, LEN);
            assert_memory_equal(second->data, text, LEN);
        }
        keyspace_let_go_of_blob(w->ks, first);
        keyspace_let_go_of_blob(w->ks, second);
        struct entry *e = keyspace_find_for_write(db, other);
        if (e == NULL) continue;
        keyspace_resize_string(db, other, e, LEN, &data); /* it is nobody else's now */
        data[0] = '!';
    }
    world_release(w);
}

static void test_big_values_are_freed_in_the_background(void **state)
{
    static struct world w;
    world_init(&w, 3);
    w.ks->hooks = (struct keyspace_hooks){0};
    struct db *db = keyspace_db(w.ks, 0);
    char buf[32];
    struct set *set = set_new(w.ks->env, BYTES_LIT("x"), 5000);
    for (int i = 0; i < 5000; i++) set_add(set, bytes_view(buf, (size_t)snprintf(buf, sizeof(buf), "member %d", i)));
    keyspace_put_value(db, keyref(db, BYTES_LIT("big")), TYPE_SET, set, 0);
    put(&w, "small", "v");
    assert_true(keyspace_delete(db, keyref(db, BYTES_LIT("small")), true));
    lazyfree_drain(w.lazyfree);
    assert_int_equal(lazyfree_freed(w.lazyfree), 0); /* not worth it */
    assert_true(keyspace_delete(db, keyref(db, BYTES_LIT("big")), true));
    lazyfree_drain(w.lazyfree);
    assert_int_equal(lazyfree_freed(w.lazyfree), 1);
    assert_int_equal(lazyfree_pending(w.lazyfree), 0);
    for (int i = 0; i < 1000; i++) {
        snprintf(buf, sizeof(buf), "k%d", i);
        put(&w, buf, "v");
    }
    assert_int_equal(keyspace_flush(w.ks, NULL, true), 1000);
    assert_int_equal(db_count(db), 0);
    put(&w, "after", "v"); /* while the others are being freed */
    lazyfree_drain(w.lazyfree);
    assert_int_equal(lazyfree_freed(w.lazyfree), 1001);
    world_release(&w);
}

static struct set *numbered_set(const struct value_env *env, int count)
{
    char buf[32];
    struct set *set = set_new(env, BYTES_LIT("x"), (size_t)count);
    for (int i = 0; i < count; i++) set_add(set, bytes_view(buf, (size_t)snprintf(buf, sizeof(buf), "member %d", i)));
    return set;
}

/* Tables and values know their environment: they take it along to another keyspace, and it outlives them. */
static void test_a_data_set_takes_its_secret_along(void **state)
{
    static struct world w;
    struct hash_secret own, secret;
    world_init(&w, 5);
    w.ks->hooks = (struct keyspace_hooks){0};
    own = *keyspace_secret(w.ks);
    hash_secret_random(&secret, sys_real());
    put(&w, "old", "v");
    struct keyspace *sibling = keyspace_new_sibling(w.ks, &secret);
    assert_true(hash_secret_equal(keyspace_secret(sibling), &secret));
    assert_int_equal(keyspace_fingerprint(sibling), hash_secret_fingerprint(&secret));
    struct db *db = keyspace_db(w.ks, 0), *other = keyspace_db(sibling, 0);
    assert_int_equal(keyref(other, BYTES_LIT("k")).hash, seeded_hash(hash_secret_key_seed(&secret), BYTES_LIT("k")));
    keyspace_put_value(other, keyref(other, BYTES_LIT("set")), TYPE_SET, numbered_set(sibling->env, 1000), 0);
    keyspace_swap_data(w.ks, sibling);
    assert_true(hash_secret_equal(keyspace_secret(w.ks), &secret));
    assert_true(hash_secret_equal(keyspace_secret(sibling), &own));
    assert_non_null(keyspace_peek(other, keyref(other, BYTES_LIT("old"))));
    keyspace_free(sibling);
    struct entry *e = keyspace_find_for_write(db, keyref(db, BYTES_LIT("set")));
    assert_true(set_add(entry_pointer(e), BYTES_LIT("another"))); /* its table may grow */
    assert_true(set_contains(entry_pointer(e), BYTES_LIT("member 999")));
    keyspace_check(w.ks);
    world_release(&w);
}

/* Values that wait in the queue of the thread belong to the environment that is given up. */
static void test_an_empty_keyspace_gets_another_secret(void **state)
{
    static struct world w;
    struct hash_secret secret;
    char name[32];
    world_init(&w, 7);
    w.ks->hooks = (struct keyspace_hooks){0};
    struct db *db = keyspace_db(w.ks, 0);
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 100; i++) {
            snprintf(name, sizeof(name), "set %d", i);
            keyspace_put_value(db, keyref(db, bytes_str(name)), TYPE_SET, numbered_set(w.ks->env, 200), 0);
        }
        assert_int_equal(keyspace_flush(w.ks, NULL, true), 100);
        hash_secret_random(&secret, sys_real());
        keyspace_set_secret(w.ks, &secret);
        assert_true(hash_secret_equal(keyspace_secret(w.ks), &secret));
        keyspace_set_secret(w.ks, &secret); /* changes nothing */
    }
    put(&w, "k", "v");
    assert_non_null(keyspace_peek(db, keyref(db, BYTES_LIT("k"))));
    keyspace_check(w.ks);
    world_release(&w);
}

struct marked {
    _Atomic int *order;
    int at;
};
static void note_order(void *taken)
{
    struct marked *m = taken;
    m->at = ++*m->order;
}

static void test_lazyfree_does_all_jobs_in_order_before_it_ends(void **state)
{
    enum { JOBS = 2000 };
    static struct marked marks[JOBS];
    _Atomic int order = 0;
    struct lazyfree *lf = lazyfree_new();
    for (int i = 0; i < JOBS; i++) {
        marks[i] = (struct marked){.order = &order};
        lazyfree_run(lf, note_order, &marks[i], 1);
    }
    lazyfree_free(lf);
    for (int i = 0; i < JOBS; i++) assert_int_equal(marks[i].at, i + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_operations_of_a_master),
        cmocka_unit_test(test_random_operations_of_a_replicas_clients),
        cmocka_unit_test(test_random_operations_of_a_masters_stream),
        cmocka_unit_test(test_random_operations_with_changing_roles),
        cmocka_unit_test(test_X1_a_masters_stream_sees_keys_past_their_time),
        cmocka_unit_test(test_a_hidden_key_is_replaced_not_doubled),
        cmocka_unit_test(test_an_expiry_holds_through_its_last_millisecond),
        cmocka_unit_test(test_negative_times_are_past_not_none),
        cmocka_unit_test(test_random_key_of_a_master_is_never_past_its_time),
        cmocka_unit_test(test_rename_and_copy_keep_the_expiry),
        cmocka_unit_test(test_copy_is_deep),
        cmocka_unit_test(test_snapshots_know_a_moved_entry_again),
        cmocka_unit_test(test_access_times),
        cmocka_unit_test(test_frequency_rises_slowly_and_decays),
        cmocka_unit_test(test_a_new_string_takes_no_more_than_it_needs),
        cmocka_unit_test(test_CVE_2023_41056_a_string_of_every_length),
        cmocka_unit_test(test_fault_2_a_held_blob_stays_as_it_is),
        cmocka_unit_test(test_big_values_are_freed_in_the_background),
        cmocka_unit_test(test_a_data_set_takes_its_secret_along),
        cmocka_unit_test(test_an_empty_keyspace_gets_another_secret),
        cmocka_unit_test(test_lazyfree_does_all_jobs_in_order_before_it_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
