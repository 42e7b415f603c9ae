/* Which keys go, by policy; how many at a time; what the stream and listeners hear; and when nothing is evicted. */
#include "server/memory/eviction.h"

#include "server/core/latency_internal.h"
#include "tests/unit/server/memory/memory_fixture.h"

/* So many keys may stay. */
static void limit_to(struct memory_fixture *f, uint64_t keys)
{
    f->costs = true;
    f->base.settings.memory.maxmemory = keys * KEY_COST;
}

static void set_policy(struct memory_fixture *f, int policy)
{
    f->base.settings.memory.maxmemory_policy = policy;
    f->base.settings.memory.maxmemory_samples = 64; /* all keys of a small database are looked at */
    f->base.settings.memory.maxmemory_eviction_tenacity = 100;
    modes_refresh(f->core);
}

/* v0..v5 with an expiry, k0..k5 without. The higher the number, the sooner it should go: not used for longer, used less
 * often, expiring earlier. */
static void put_twelve(struct memory_fixture *f)
{
    char name[16];
    for (int i = 0; i < 12; i++) {
        int number = i / 2;
        snprintf(name, sizeof(name), "%c%d", i % 2 == 0 ? 'v' : 'k', number);
        struct entry *e = memory_put(f, 0, name, i % 2 == 0 ? 100000 - number * 1000 : 0);
        keyspace_set_access(f->core->keyspace, e, number * 100, 50 - number);
    }
}

static void assert_left(struct memory_fixture *f, const char *names)
{
    char name[8];
    int count = 0;
    for (const char *p = names; *p != '\0'; p += strcspn(p, " "), p += *p == ' ', count++) {
        snprintf(name, sizeof(name), "%.*s", (int)strcspn(p, " "), p);
        if (!memory_has(f, 0, name)) fail_msg("%s is gone", name);
    }
    assert_int_equal(keyspace_count(f->core->keyspace), count);
}

static void evict_with(struct memory_fixture *f, int policy, uint64_t keys)
{
    set_policy(f, policy);
    put_twelve(f);
    limit_to(f, keys);
    assert_int_equal(eviction_run(f->eviction), EVICTION_DONE);
    assert_int_equal(f->core->stats.evicted_keys, 12 - keys);
    keyspace_check(f->core->keyspace);
}

static void test_allkeys_lru(void **state)
{
    evict_with(*state, EVICT_ALLKEYS_LRU, 8);
    assert_left(*state, "v0 v1 v2 v3 k0 k1 k2 k3");
}

static void test_allkeys_lfu(void **state)
{
    evict_with(*state, EVICT_ALLKEYS_LFU, 6);
    assert_left(*state, "v0 v1 v2 k0 k1 k2");
}

static void test_volatile_lru(void **state)
{
    evict_with(*state, EVICT_VOLATILE_LRU, 8);
    assert_left(*state, "v0 v1 k0 k1 k2 k3 k4 k5");
}

static void test_volatile_lfu(void **state)
{
    evict_with(*state, EVICT_VOLATILE_LFU, 9);
    assert_left(*state, "v0 v1 v2 k0 k1 k2 k3 k4 k5");
}

static void test_volatile_ttl(void **state)
{
    evict_with(*state, EVICT_VOLATILE_TTL, 10);
    assert_left(*state, "v0 v1 v2 v3 k0 k1 k2 k3 k4 k5");
}

static void test_volatile_random(void **state)
{
    evict_with(*state, EVICT_VOLATILE_RANDOM, 6);
    assert_left(*state, "k0 k1 k2 k3 k4 k5");
}

static void test_allkeys_random(void **state)
{
    struct memory_fixture *f = *state;
    int with_expiry = 0, without = 0;
    evict_with(f, EVICT_ALLKEYS_RANDOM, 6);
    for (int round = 0; round < 20; round++) { /* sooner or later it is the turn of both kinds */
        with_expiry += (int)table_count(&keyspace_db(f->core->keyspace, 0)->expires) < 6;
        without += (int)table_count(&keyspace_db(f->core->keyspace, 0)->expires) > 0;
        put_twelve(f);
        assert_int_equal(eviction_run(f->eviction), EVICTION_DONE);
        assert_int_equal(keyspace_count(f->core->keyspace), 6);
    }
    assert_true(with_expiry > 0 && without > 0);
}

static void test_noeviction(void **state)
{
    struct memory_fixture *f = *state;
    set_policy(f, EVICT_NONE);
    put_twelve(f);
    limit_to(f, 11);
    assert_int_equal(eviction_run(f->eviction), EVICTION_OUT_OF_MEMORY);
    assert_int_equal(keyspace_count(f->core->keyspace), 12);
    limit_to(f, 12); /* exactly as much as allowed */
    assert_int_equal(eviction_run(f->eviction), EVICTION_DONE);
}

static void test_no_limit(void **state)
{
    struct memory_fixture *f = *state;
    set_policy(f, EVICT_ALLKEYS_LRU);
    put_twelve(f);
    limit_to(f, 0);
    assert_int_equal(eviction_run(f->eviction), EVICTION_DONE);
    assert_int_equal(keyspace_count(f->core->keyspace), 12);
}

static void test_volatile_policies_leave_other_keys_alone(void **state)
{
    struct memory_fixture *f = *state;
    put_twelve(f);
    limit_to(f, 3);
    for (int policy = EVICT_VOLATILE_LRU; policy <= EVICT_VOLATILE_TTL; policy++) {
        set_policy(f, policy);
        assert_int_equal(eviction_run(f->eviction), EVICTION_OUT_OF_MEMORY);
        assert_left(f, "k0 k1 k2 k3 k4 k5");
    }
}

static void test_an_empty_data_set_cannot_help(void **state)
{
    struct memory_fixture *f = *state;
    for (int policy = 0; policy <= EVICT_NONE; policy++) {
        set_policy(f, policy);
        f->base.settings.memory.maxmemory = 1; /* real memory is above */
        assert_int_equal(eviction_run(f->eviction), EVICTION_OUT_OF_MEMORY);
    }
}

/* ---- The pool of candidates ---- */

/* Their time may be removed, or they may be deleted, between two runs. */
static void test_candidates_that_do_not_fit_any_more_are_passed_over(void **state)
{
    struct memory_fixture *f = *state;
    struct db *db = keyspace_db(f->core->keyspace, 0);
    set_policy(f, EVICT_VOLATILE_LRU);
    put_twelve(f);
    limit_to(f, 11);
    assert_int_equal(eviction_run(f->eviction), EVICTION_DONE); /* v5 went; the others are in the pool */
    assert_false(memory_has(f, 0, "v5"));
    keyspace_clear_expiry(db, memory_key(f, 0, "v4"), keyspace_find_for_write(db, memory_key(f, 0, "v4")));
    keyspace_delete(db, memory_key(f, 0, "v3"), false);
    limit_to(f, 9);
    assert_int_equal(eviction_run(f->eviction), EVICTION_DONE);
    assert_left(f, "v0 v1 v4 k0 k1 k2 k3 k4 k5");
}

static void test_scores_of_another_policy_do_not_count(void **state)
{
    struct memory_fixture *f = *state;
    struct db *db = keyspace_db(f->core->keyspace, 0);
    set_policy(f, EVICT_ALLKEYS_LRU);
    put_twelve(f);
    limit_to(f, 11);
    assert_int_equal(eviction_run(f->eviction), EVICTION_DONE);
    set_policy(f, EVICT_VOLATILE_TTL);
    keyspace_set_expiry(db, memory_key(f, 0, "v0"), keyspace_find_for_write(db, memory_key(f, 0, "v0")),
                        f->core->clock.now_ms + 10);
    limit_to(f, 10);
    assert_int_equal(eviction_run(f->eviction), EVICTION_DONE);
    assert_false(memory_has(f, 0, "v0"));
}

/* With few samples the pool remembers the best that it has seen, so the result is close to the true order. */
static void test_few_samples_come_close(void **state)
{
    struct memory_fixture *f = *state;
    char name[16];
    int wrong = 0;
    set_policy(f, EVICT_ALLKEYS_LRU);
    f->base.settings.memory.maxmemory_samples = 5;
    for (int i = 0; i < 2000; i++) {
        snprintf(name, sizeof(name), "key:%d", i);
        keyspace_set_access(f->core->keyspace, memory_put(f, 0, name, 0), i, -1);
    }
    limit_to(f, 1000);
    assert_int_equal(eviction_run(f->eviction), EVICTION_DONE);
    for (int i = 0; i < 500; i++) { /* the quarter used last */
        snprintf(name, sizeof(name), "key:%d", i);
        wrong += !memory_has(f, 0, name);
    }
    assert_in_range(wrong, 0, 50); /* 125 with chance alone would be the half of them */
}

static void test_all_databases_are_looked_at(void **state)
{
    struct memory_fixture *f = *state;
    set_policy(f, EVICT_ALLKEYS_LRU);
    for (int db = 0; db < 16; db++)
        keyspace_set_access(f->core->keyspace, memory_put(f, db, "k", 0), db == 11 ? 1000 : db, -1);
    limit_to(f, 15);
    assert_int_equal(eviction_run(f->eviction), EVICTION_DONE);
    assert_false(memory_has(f, 11, "k"));
    assert_stream(&f->base, "SELECT 11|DEL k");
    set_policy(f, EVICT_ALLKEYS_RANDOM); /* takes one database after the other */
    limit_to(f, 0);
    f->base.settings.memory.maxmemory = 1;
    assert_int_equal(eviction_run(f->eviction), EVICTION_DONE);
    assert_int_equal(keyspace_count(f->core->keyspace), 0);
}

static int setup_four_databases(void **state)
{
    struct memory_fixture *f = mem_calloc(sizeof(*f));
    memory_fixture_init(f, "databases 4\n", NULL, NULL);
    *state = f;
    return 0;
}

/* Where all scores are equal, databases take turns to be the first whose keys are candidates. */
static void test_no_database_pays_for_all(void **state)
{
    struct memory_fixture *f = *state;
    char name[16];
    set_policy(f, EVICT_ALLKEYS_LRU);
    f->base.settings.memory.maxmemory_samples = 16;
    for (int i = 0; i < 160; i++) {
        snprintf(name, sizeof(name), "key:%d", i / 4);
        memory_put(f, i % 4, name, 0);
    }
    limit_to(f, 80);
    assert_int_equal(eviction_run(f->eviction), EVICTION_DONE);
    for (int db = 0; db < 4; db++) assert_in_range(db_count(keyspace_db(f->core->keyspace, db)), 5, 35);
}

/* ---- What is heard of it ---- */

static void test_each_key_is_a_unit_of_its_own(void **state)
{
    struct memory_fixture *f = *state;
    set_policy(f, EVICT_ALLKEYS_LRU);
    put_twelve(f);
    f->trace.len = 0;
    limit_to(f, 10);
    assert_int_equal(eviction_run(f->eviction), EVICTION_DONE);
    struct bytes_buf raw = {0}, words = {0};
    core_stream_take(&f->base, &raw);
    core_words_of(bytes_buf_view(&raw), &words);
    bytes_buf_append(&words, "", 1);
    if (strcmp(words.data, "SELECT 0|DEL v5|DEL k5") != 0)
        assert_string_equal(words.data, "SELECT 0|DEL k5|DEL v5"); /* equal scores */
    bytes_buf_release(&raw);
    bytes_buf_release(&words);
}

static void test_lazy_eviction_says_unlink(void **state)
{
    struct memory_fixture *f = *state;
    set_policy(f, EVICT_ALLKEYS_LRU);
    f->base.settings.memory.lazyfree_lazy_eviction = true;
    memory_put(f, 0, "k", 0);
    memory_put(f, 0, "other", 0);
    keyspace_set_access(f->core->keyspace,
                        keyspace_find_for_write(keyspace_db(f->core->keyspace, 0), memory_key(f, 0, "k")), 100, -1);
    limit_to(f, 1);
    assert_int_equal(eviction_run(f->eviction), EVICTION_DONE);
    assert_stream(&f->base, "SELECT 0|UNLINK k");
}

struct witness {
    struct memory_fixture *f;
    struct client *listener;
    int calls;
};

/* When the key is reported as changed, it is not there any more and the event is still to come. */
static void on_evicted_key(void *ctx, struct db *db, struct bytes_view key)
{
    struct witness *w = ctx;
    w->calls++;
    assert_int_equal(db->id, 0);
    assert_true(bytes_equal(key, BYTES_LIT("k")));
    assert_true(outbuf_empty(&w->listener->out));
    assert_stream(&w->f->base, "");
}

static void test_change_event_and_stream_come_in_this_order(void **state)
{
    struct memory_fixture *f = *state;
    struct witness w = {.f = f, .listener = memory_client(f)};
    set_policy(f, EVICT_ALLKEYS_LRU);
    f->base.settings.misc.notify_keyspace_events = NOTIFY_KEYEVENT | NOTIFY_EVICTED;
    assert_true(pubsub_subscribe(w.listener, PUBSUB_CHANNEL, BYTES_LIT("__keyevent@0__:evicted")));
    memory_put(f, 0, "k", 0);
    assert_stream(&f->base, "");
    key_watch_set(&f->core->keys, KEY_WATCH_WAITS, &(struct key_watcher){.ctx = &w, .changed = on_evicted_key});
    key_watch_add(&f->core->keys, KEY_WATCH_WAITS);
    limit_to(f, 1);
    f->base.settings.memory.maxmemory = 1;
    assert_int_equal(eviction_run(f->eviction), EVICTION_DONE);
    key_watch_remove(&f->core->keys, KEY_WATCH_WAITS);
    assert_int_equal(w.calls, 1);
    assert_out(w.listener, "*3\r\n$7\r\nmessage\r\n$22\r\n__keyevent@0__:evicted\r\n$1\r\nk\r\n");
    assert_stream(&f->base, "SELECT 0|DEL k");
}

static void test_an_expired_key_is_expired_not_evicted(void **state)
{
    struct memory_fixture *f = *state;
    set_policy(f, EVICT_VOLATILE_TTL);
    memory_put(f, 0, "gone", 5);
    memory_put(f, 0, "later", 50000);
    core_later_ms(&f->base, 6);
    f->trace.len = 0;
    limit_to(f, 1);
    assert_int_equal(eviction_run(f->eviction), EVICTION_DONE);
    assert_true(memory_has(f, 0, "later"));
    assert_int_equal(f->core->stats.evicted_keys, 0);
    assert_int_equal(f->core->keyspace->stats.expired_keys, 1);
    assert_trace(f, "expired gone;changed gone;");
}

/* Else each eviction would be the reason of the next one. */
static void test_telling_clients_of_it_is_not_counted(void **state)
{
    struct memory_fixture *f = *state;
    static const struct command get = {.name = "get", .keys = {KEY_AT(1, KEY_RO | KEY_ACCESS)}};
    struct client *c = memory_client(f);
    struct entry *e;
    c->reply.proto = 3;
    set_policy(f, EVICT_ALLKEYS_LRU);
    put_twelve(f);
    tracking_start(c, 0, 0, NULL, 0);
    struct bytes_view argv[] = {BYTES_LIT("get"), BYTES_LIT("old")};
    e = memory_put(f, 0, "old", 0);
    keyspace_set_access(f->core->keyspace, e, 5000, -1);
    tracking_remember(c, &get, 2, argv);
    limit_to(f, 12);
    assert_int_equal(eviction_run(f->eviction), EVICTION_DONE);
    assert_true(outbuf_memory(&c->out) > 0 || !outbuf_empty(&c->out));
    assert_true(tracking_memory_of_changes(f->clients->trackings) > 0);
    assert_int_equal(f->core->stats.evicted_keys, 1);
}

/* ---- When, and for how long ---- */

static void put_many(struct memory_fixture *f, int count)
{
    char name[16];
    for (int i = 0; i < count; i++) {
        snprintf(name, sizeof(name), "key:%d", i);
        memory_put(f, 0, name, 0);
    }
}

static void stops_after(struct memory_fixture *f, int tenacity, uint64_t keys)
{
    uint64_t before = f->core->stats.evicted_keys;
    f->base.settings.memory.maxmemory_eviction_tenacity = tenacity;
    f->base.step_us = 100; /* from one look at the clock to the next: each 16 keys, and one at the beginning */
    f->core->due = 0;
    enum eviction_result result = eviction_run(f->eviction);
    f->base.step_us = 0;
    assert_int_equal(result, EVICTION_GOES_ON);
    assert_int_equal(f->core->stats.evicted_keys - before, keys);
    assert_true(f->core->due & DUE_EVICTION);
}

static void test_the_tenacity_bounds_a_run(void **state)
{
    struct memory_fixture *f = *state;
    set_policy(f, EVICT_ALLKEYS_RANDOM);
    put_many(f, 2000);
    limit_to(f, 1);
    stops_after(f, 0, 16);       /* 0 us */
    stops_after(f, 5, 16 * 3);   /* 250 us */
    stops_after(f, 10, 16 * 6);  /* 500 us */
    stops_after(f, 11, 16 * 6);  /* 575 us */
    stops_after(f, 20, 16 * 21); /* 2022 us */
    f->base.settings.memory.maxmemory_eviction_tenacity = 100;
    f->base.step_us = 1000000;
    assert_int_equal(eviction_run(f->eviction), EVICTION_DONE); /* as long as it takes */
    f->base.step_us = 0;
    assert_int_equal(keyspace_count(f->core->keyspace), 1);
    assert_false(f->core->due & DUE_EVICTION);
}

static void test_a_run_is_an_event_of_the_latency_monitor(void **state)
{
    struct memory_fixture *f = *state;
    set_policy(f, EVICT_ALLKEYS_RANDOM);
    f->base.settings.latency.latency_monitor_threshold_ms = 1;
    put_many(f, 100);
    limit_to(f, 1);
    f->base.settings.memory.maxmemory_eviction_tenacity = 1;
    f->base.step_us = 2000;
    assert_int_equal(eviction_run(f->eviction), EVICTION_GOES_ON);
    assert_int_equal(latency_reset(f->core->latency, BYTES_LIT("eviction-cycle")), 1);
    assert_int_equal(latency_reset(f->core->latency, BYTES_LIT("eviction-del")), 1);
    f->base.settings.memory.maxmemory_eviction_tenacity = 100; /* to the end */
    assert_int_equal(eviction_run(f->eviction), EVICTION_DONE);
    f->base.step_us = 0;
    assert_int_equal(latency_reset(f->core->latency, BYTES_LIT("eviction-cycle")), 1);
    assert_int_equal(latency_reset(f->core->latency, BYTES_LIT("eviction-del")), 1);
    assert_int_equal(eviction_run(f->eviction), EVICTION_DONE); /* nothing to do */
    assert_int_equal(latency_reset(f->core->latency, (struct bytes_view){0}), 0);
}

static void test_nothing_is_evicted_during_a_pause(void **state)
{
    struct memory_fixture *f = *state;
    set_policy(f, EVICT_ALLKEYS_LRU);
    put_twelve(f);
    limit_to(f, 6);
    pause_start(f->core, PAUSE_FAILOVER, PAUSE_WRITES, INT64_MAX);
    due_set(f->core, DUE_EVICTION);
    assert_int_equal(eviction_run(f->eviction), EVICTION_DONE);
    assert_int_equal(keyspace_count(f->core->keyspace), 12);
    assert_false(f->core->due & DUE_EVICTION);
    pause_end(f->core, PAUSE_FAILOVER);
    assert_int_equal(eviction_run(f->eviction), EVICTION_DONE);
    assert_int_equal(keyspace_count(f->core->keyspace), 6);
}

static void test_nothing_is_evicted_while_loading(void **state)
{
    struct memory_fixture *f = *state;
    set_policy(f, EVICT_ALLKEYS_LRU);
    put_twelve(f);
    limit_to(f, 6);
    modes_loading_begins(f->core, false);
    assert_int_equal(eviction_run(f->eviction), EVICTION_DONE);
    assert_int_equal(keyspace_count(f->core->keyspace), 12);
    modes_loading_ends(f->core);
}

static void test_a_replica_leaves_it_to_its_master(void **state)
{
    struct memory_fixture *f = *state;
    set_policy(f, EVICT_ALLKEYS_LRU);
    put_twelve(f);
    limit_to(f, 6);
    core_follow(&f->base);
    assert_true(f->base.settings.memory.replica_ignore_maxmemory); /* the default */
    assert_int_equal(eviction_run(f->eviction), EVICTION_DONE);
    assert_int_equal(keyspace_count(f->core->keyspace), 12);
    f->base.settings.memory.replica_ignore_maxmemory = false;
    assert_int_equal(eviction_run(f->eviction), EVICTION_DONE);
    assert_int_equal(keyspace_count(f->core->keyspace), 6);
}

static void wait_for_the_test(void *taken)
{
    char byte;
    const int *fds = taken;
    while (read(fds[0], &byte, 1) == -1 && errno == EINTR) continue;
}

static void test_memory_that_a_thread_still_frees_is_waited_for(void **state)
{
    struct memory_fixture *f = *state;
    int fds[2];
    set_policy(f, EVICT_VOLATILE_LRU);
    memory_put(f, 0, "k", 0);
    limit_to(f, 1);
    f->base.settings.memory.maxmemory = 1;
    assert_int_equal(eviction_run(f->eviction), EVICTION_OUT_OF_MEMORY);
    assert_int_equal(pipe(fds), 0);
    lazyfree_run(f->core->lazyfree, wait_for_the_test, fds, 1);
    assert_int_equal(eviction_run(f->eviction), EVICTION_GOES_ON);
    assert_int_equal(write(fds[1], "x", 1), 1);
    lazyfree_drain(f->core->lazyfree);
    assert_int_equal(eviction_run(f->eviction), EVICTION_OUT_OF_MEMORY);
    close(fds[0]);
    close(fds[1]);
}

static void test_the_time_above_the_limit_is_counted(void **state)
{
    struct memory_fixture *f = *state;
    const struct stats *st = &f->core->stats;
    set_policy(f, EVICT_NONE);
    memory_put(f, 0, "a", 0);
    memory_put(f, 0, "b", 0);
    limit_to(f, 1);
    int64_t since = f->base.mono_us;
    assert_int_equal(eviction_run(f->eviction), EVICTION_OUT_OF_MEMORY);
    assert_int_equal(st->over_memory_since_us, since);
    core_later_ms(&f->base, 5);
    assert_int_equal(eviction_run(f->eviction), EVICTION_OUT_OF_MEMORY);
    assert_int_equal(st->over_memory_since_us, since); /* it goes on */
    assert_int_equal(st->over_memory_us, 0);
    core_later_ms(&f->base, 5);
    keyspace_delete(keyspace_db(f->core->keyspace, 0), memory_key(f, 0, "a"), false);
    assert_int_equal(eviction_run(f->eviction), EVICTION_DONE);
    assert_int_equal(st->over_memory_us, 10000);
    assert_int_equal(st->over_memory_since_us, 0);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, memory_setup, memory_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_allkeys_lru),
        TEST(test_allkeys_lfu),
        TEST(test_volatile_lru),
        TEST(test_volatile_lfu),
        TEST(test_volatile_ttl),
        TEST(test_volatile_random),
        TEST(test_allkeys_random),
        TEST(test_noeviction),
        TEST(test_no_limit),
        TEST(test_volatile_policies_leave_other_keys_alone),
        TEST(test_an_empty_data_set_cannot_help),
        TEST(test_candidates_that_do_not_fit_any_more_are_passed_over),
        TEST(test_scores_of_another_policy_do_not_count),
        TEST(test_few_samples_come_close),
        TEST(test_all_databases_are_looked_at),
        cmocka_unit_test_setup_teardown(test_no_database_pays_for_all, setup_four_databases, memory_teardown),
        TEST(test_each_key_is_a_unit_of_its_own),
        TEST(test_lazy_eviction_says_unlink),
        TEST(test_change_event_and_stream_come_in_this_order),
        TEST(test_an_expired_key_is_expired_not_evicted),
        TEST(test_telling_clients_of_it_is_not_counted),
        TEST(test_the_tenacity_bounds_a_run),
        TEST(test_a_run_is_an_event_of_the_latency_monitor),
        TEST(test_nothing_is_evicted_during_a_pause),
        TEST(test_nothing_is_evicted_while_loading),
        TEST(test_a_replica_leaves_it_to_its_master),
        TEST(test_memory_that_a_thread_still_frees_is_waited_for),
        TEST(test_the_time_above_the_limit_is_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
