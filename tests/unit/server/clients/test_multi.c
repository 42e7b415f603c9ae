/* The queue of MULTI, and which changes of keys break WATCH. */
#include "server/clients/multi.h"

#include "tests/unit/server/clients/fixture.h"

/* ---- The queue ---- */

static void queue(const struct room *r, struct client *c, unsigned flags, const char *name, struct bytes_view arg)
{
    struct bytes_view argv[2] = {bytes_str(name), arg};
    multi_queue(c, command_table_find(r->commands, argv[0]), flags, 2, argv);
}

static void test_commands_are_copied_in_order(void **state)
{
    struct room *r = *state;
    struct client *c = room_open(r);
    char key[] = "key";
    assert_int_equal(multi_queued(c), -1);
    multi_begin(c);
    assert_int_equal(multi_queued(c), 0);
    queue(r, c, CMD_READONLY | CMD_FAST, "get", bytes_str(key));
    key[0] = 'K';
    queue(r, c, CMD_WRITE | CMD_FAST, "set", bytes_str(key));
    assert_int_equal(multi_queued(c), 2);
    assert_ptr_equal(c->multi->queue[0].slot, command_table_find(r->commands, BYTES_LIT("get")));
    assert_true(bytes_equal(c->multi->queue[0].argv[1], BYTES_LIT("key")));
    assert_true(bytes_equal(c->multi->queue[1].argv[1], BYTES_LIT("Key")));
    assert_int_equal(c->multi->flags, CMD_READONLY | CMD_WRITE | CMD_FAST); /* what any of them does */
    assert_int_equal(c->multi->common, CMD_FAST);                           /* what all of them may */
    multi_discard(c);
    assert_int_equal(multi_queued(c), -1);
    assert_int_equal(c->multi->flags, 0);
}

static void test_arguments_may_be_empty_and_hold_zeros(void **state)
{
    struct room *r = *state;
    struct client *c = room_open(r);
    struct bytes_view argv[3] = {BYTES_LIT("set"), BYTES_LIT(""), bytes_view("a\0b", 3)};
    multi_begin(c);
    multi_queue(c, command_table_find(r->commands, argv[0]), 0, 3, argv);
    const struct queued_command *q = &c->multi->queue[0];
    assert_int_equal(q->argc, 3);
    assert_int_equal(q->argv[1].len, 0);
    assert_memory_equal(q->argv[2].data, "a\0b", 3);
}

static void test_a_large_queue_takes_memory_in_proportion(void **state)
{
    struct room *r = *state;
    struct client *c = room_open(r);
    size_t before = mem_used();
    multi_begin(c);
    enum { COMMANDS = 100000 };
    for (int i = 0; i < COMMANDS; i++) queue(r, c, 0, "get", BYTES_LIT("0123456789"));
    assert_int_equal(multi_queued(c), COMMANDS);
    size_t counted = multi_memory(c);
    assert_in_range(mem_used() - before, counted, counted * 2); /* rounding of allocations is all that is not counted */
    assert_in_range(counted, COMMANDS * 45, COMMANDS * 200);
    multi_discard(c);
    assert_int_equal(multi_memory(c), 0);
}

static void test_after_a_failure_nothing_is_queued(void **state)
{
    struct room *r = *state;
    struct client *c = room_open(r);
    multi_fail(c);
    assert_false(client_has(c, CLIENT_MULTI_FAILED)); /* outside of MULTI a refusal has no consequence */
    multi_begin(c);
    queue(r, c, 0, "get", BYTES_LIT("a"));
    multi_fail(c);
    assert_true(client_has(c, CLIENT_MULTI_FAILED));
    queue(r, c, 0, "get", BYTES_LIT("b"));
    assert_int_equal(multi_queued(c), 1);
    multi_discard(c);
    assert_false(client_has(c, CLIENT_IN_MULTI | CLIENT_MULTI_FAILED));
    multi_begin(c);
    queue(r, c, 0, "get", BYTES_LIT("b"));
    assert_int_equal(multi_queued(c), 1);
}

static void test_reset_ends_the_transaction(void **state)
{
    struct room *r = *state;
    struct client *c = room_open(r);
    multi_watch(c, BYTES_LIT("k"));
    multi_begin(c);
    queue(r, c, 0, "get", BYTES_LIT("b"));
    client_reset(c);
    assert_int_equal(multi_queued(c), -1);
    assert_int_equal(multi_watch_count(c), 0);
    assert_int_equal(watches_key_count(r->cs->watches), 0);
}

/* ---- WATCH ---- */

static bool is_broken(struct client *c)
{
    bool broken = client_has(c, CLIENT_WATCH_BROKEN) || multi_watch_expired(c);
    multi_unwatch_and_mend(c);
    assert_false(client_has(c, CLIENT_WATCH_BROKEN));
    return broken;
}

static void watch(struct client *c, const char *key)
{
    multi_watch(c, bytes_str(key));
}

static void test_a_change_breaks_all_that_watch_the_key(void **state)
{
    struct room *r = *state;
    struct client *a = room_open(r), *b = room_open(r), *other = room_open(r);
    watch(a, "k");
    watch(b, "k");
    watch(other, "other");
    assert_int_equal(watches_key_count(r->cs->watches), 2);
    room_set(r, 0, "k", "v");
    assert_true(is_broken(a));
    assert_true(is_broken(b));
    assert_false(is_broken(other));
    assert_int_equal(watches_key_count(r->cs->watches), 0);
    assert_int_equal(r->core->keys.total, 0);
}

static void test_a_key_counts_in_its_database(void **state)
{
    struct room *r = *state;
    struct client *c = room_open(r);
    c->db = keyspace_db(r->core->keyspace, 3);
    watch(c, "k");
    c->db = keyspace_db(r->core->keyspace, 0); /* SELECT afterwards does not matter */
    room_set(r, 0, "k", "v");
    assert_false(client_has(c, CLIENT_WATCH_BROKEN));
    room_set(r, 3, "k", "v");
    assert_true(is_broken(c));
}

static void test_watching_twice_is_watching_once(void **state)
{
    struct room *r = *state;
    struct client *c = room_open(r);
    watch(c, "k");
    watch(c, "k");
    assert_int_equal(multi_watch_count(c), 1);
    multi_unwatch(c);
    assert_int_equal(multi_watch_count(c), 0);
    room_set(r, 0, "k", "v");
    assert_false(is_broken(c));
}

static void test_unwatch_keeps_what_has_happened(void **state)
{
    struct room *r = *state;
    struct client *c = room_open(r);
    watch(c, "k");
    room_set(r, 0, "k", "v");
    multi_unwatch(c); /* EXEC, before its commands run */
    assert_true(client_has(c, CLIENT_WATCH_BROKEN));
    assert_true(is_broken(c));
}

static void test_clients_leave_in_any_order(void **state)
{
    struct room *r = *state;
    struct client *c[5];
    for (int i = 0; i < 5; i++) {
        c[i] = room_open(r);
        watch(c[i], "k");
        watch(c[i], "l");
    }
    room_close(r, c[2]); /* in the middle of the key's list, then its two ends */
    room_close(r, c[0]);
    room_close(r, c[4]);
    assert_int_equal(watches_key_count(r->cs->watches), 2);
    room_set(r, 0, "k", "v");
    assert_true(is_broken(c[1]));
    assert_true(is_broken(c[3]));
    assert_int_equal(watches_key_count(r->cs->watches), 0);
}

/* ---- WATCH and keys whose time comes ---- */

static void test_a_key_that_expires_meanwhile_has_changed(void **state)
{
    struct room *r = *state;
    struct client *c = room_open(r);
    room_set(r, 0, "k", "v");
    room_expire_at(r, 0, "k", r->core->clock.now_ms + 100);
    watch(c, "k");
    assert_false(multi_watch_expired(c));
    core_later_ms(&r->f, 101);
    assert_true(multi_watch_expired(c)); /* no look-up has deleted it yet */
    assert_false(client_has(c, CLIENT_WATCH_BROKEN));
    assert_true(is_broken(c));
}

/* The key counts as absent from WATCH on, so its removal is no change. Everything after it is. */
static void test_a_key_that_had_expired_before(void **state)
{
    struct room *r = *state;
    struct client *c = room_open(r);
    r->core->keyspace->expiry_mode = EXPIRY_HIDE;
    room_set(r, 0, "k", "v");
    room_expire_at(r, 0, "k", r->core->clock.now_ms + 100);
    core_later_ms(&r->f, 101);
    watch(c, "k");
    assert_false(multi_watch_expired(c));
    r->core->keyspace->expiry_mode = EXPIRY_DELETE;
    assert_null(keyspace_find(c->db, keyref(c->db, BYTES_LIT("k")), 0)); /* deletes it */
    assert_false(client_has(c, CLIENT_WATCH_BROKEN));
    room_set(r, 0, "k", "new");
    assert_true(is_broken(c));
}

static void test_an_expired_key_that_is_overwritten_has_changed(void **state)
{
    struct room *r = *state;
    struct client *c = room_open(r);
    r->core->keyspace->expiry_mode = EXPIRY_HIDE;
    room_set(r, 0, "k", "v");
    room_expire_at(r, 0, "k", r->core->clock.now_ms + 100);
    core_later_ms(&r->f, 101);
    watch(c, "k");
    room_set(r, 0, "k", "new");
    assert_true(is_broken(c));
}

/* ---- WATCH, FLUSHALL and SWAPDB ---- */

static void test_a_flush_breaks_keys_that_were_there(void **state)
{
    struct room *r = *state;
    struct client *there = room_open(r), *absent = room_open(r), *elsewhere = room_open(r);
    room_set(r, 0, "k", "v");
    room_set(r, 1, "k", "v");
    watch(there, "k");
    watch(absent, "nothing");
    elsewhere->db = keyspace_db(r->core->keyspace, 1);
    watch(elsewhere, "k");
    keyspace_flush(r->core->keyspace, keyspace_db(r->core->keyspace, 0), false);
    assert_true(is_broken(there));
    assert_false(client_has(absent, CLIENT_WATCH_BROKEN));
    assert_false(client_has(elsewhere, CLIENT_WATCH_BROKEN));
    keyspace_flush(r->core->keyspace, NULL, false);
    assert_false(is_broken(absent));
    assert_true(is_broken(elsewhere));
}

static void test_a_swap_breaks_keys_of_either_side(void **state)
{
    struct room *r = *state;
    struct client *both = room_open(r), *goes = room_open(r), *comes = room_open(r), *neither = room_open(r);
    room_set(r, 0, "both", "v");
    room_set(r, 1, "both", "v");
    room_set(r, 0, "goes", "v");
    room_set(r, 1, "comes", "v");
    watch(both, "both");
    watch(goes, "goes");
    watch(comes, "comes");
    watch(neither, "neither");
    keyspace_swap_dbs(r->core->keyspace, 0, 1);
    assert_true(is_broken(both));
    assert_true(is_broken(goes));
    assert_true(is_broken(comes));
    assert_false(is_broken(neither));
}

static void test_what_a_swap_brings_expired_counts_as_absent(void **state)
{
    struct room *r = *state;
    struct client *absent = room_open(r), *there = room_open(r);
    r->core->keyspace->expiry_mode = EXPIRY_HIDE;
    room_set(r, 1, "k", "v");
    room_expire_at(r, 1, "k", r->core->clock.now_ms + 100);
    room_set(r, 1, "l", "v");
    room_expire_at(r, 1, "l", r->core->clock.now_ms + 100);
    core_later_ms(&r->f, 101);
    room_set(r, 0, "l", "v");
    watch(absent, "k");
    watch(there, "l");
    keyspace_swap_dbs(r->core->keyspace, 0, 1);
    assert_false(client_has(absent, CLIENT_WATCH_BROKEN));
    assert_false(multi_watch_expired(absent)); /* it had expired when it came */
    assert_true(is_broken(there));
    keyspace_swap_dbs(r->core->keyspace, 0, 1);
    assert_false(is_broken(absent)); /* absent before and after */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROOM_TEST(test_commands_are_copied_in_order),
        ROOM_TEST(test_arguments_may_be_empty_and_hold_zeros),
        ROOM_TEST(test_a_large_queue_takes_memory_in_proportion),
        ROOM_TEST(test_after_a_failure_nothing_is_queued),
        ROOM_TEST(test_reset_ends_the_transaction),
        ROOM_TEST(test_a_change_breaks_all_that_watch_the_key),
        ROOM_TEST(test_a_key_counts_in_its_database),
        ROOM_TEST(test_watching_twice_is_watching_once),
        ROOM_TEST(test_unwatch_keeps_what_has_happened),
        ROOM_TEST(test_clients_leave_in_any_order),
        ROOM_TEST(test_a_key_that_expires_meanwhile_has_changed),
        ROOM_TEST(test_a_key_that_had_expired_before),
        ROOM_TEST(test_an_expired_key_that_is_overwritten_has_changed),
        ROOM_TEST(test_a_flush_breaks_keys_that_were_there),
        ROOM_TEST(test_a_swap_breaks_keys_of_either_side),
        ROOM_TEST(test_what_a_swap_brings_expired_counts_as_absent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
