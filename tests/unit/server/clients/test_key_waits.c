/* Clients that wait for keys: who is served, in which order, and who is left alone. */
#include "server/clients/key_waits.h"

#include "storage/list.h"
#include "storage/stream.h"
#include "storage/zset.h"
#include "tests/unit/server/clients/fixture.h"

/* ---- The fake command: takes the first element of the first of its keys that is a list ---- */

static struct list *list_at(struct db *db, struct bytes_view key)
{
    const struct entry *e = keyspace_find(db, keyref(db, key), 0);
    return e == NULL || e->type != TYPE_LIST ? NULL : entry_pointer(e);
}

static bool pop(struct room *r, struct client *c)
{
    const struct queued_command *q = &c->blocked->command;
    (void)r;
    for (int i = 1; i < q->argc; i++) {
        struct number_text buf;
        struct bytes_view value;
        struct list *l = list_at(c->db, q->argv[i]);
        if (l == NULL || !list_peek(l, LIST_HEAD, &buf, &value)) continue;
        reply_bulk(&c->reply, value);
        list_drop(l, LIST_HEAD);
        if (list_count(l) == 0) keyspace_delete(c->db, keyref(c->db, q->argv[i]), false);
        return true;
    }
    return false;
}

static void push(const struct room *r, int db, const char *key, const char *value)
{
    struct db *in = keyspace_db(r->core->keyspace, db);
    struct keyref ref = keyref(in, bytes_str(key));
    struct list *l = list_at(in, ref.name);
    if (l == NULL) {
        l = list_new(r->core->keyspace->env);
        keyspace_put_value(in, ref, TYPE_LIST, l, 0);
    }
    list_push(l, LIST_TAIL, bytes_str(value));
    keyspace_changed(in, ref, 1);
}

static int setup(void **state)
{
    struct room *r = room_new(NULL);
    r->again = pop;
    *state = r;
    return 0;
}

/* A new client that waits for the keys (at most three; NULL ends them). */
static struct client *wait_with(struct room *r, struct key_wait_for what, const char *a, const char *b, const char *c)
{
    struct client *waiting = room_open(r);
    struct bytes_view argv[4] = {BYTES_LIT("get"), bytes_str(a)};
    int argc = 2;
    if (b != NULL) argv[argc++] = bytes_str(b);
    if (c != NULL) argv[argc++] = bytes_str(c);
    what.first_key = 1;
    what.key_count = argc - 1;
    what.argv = argv;
    key_waits_block(waiting, &what, command_table_find(r->commands, argv[0]), argc);
    return waiting;
}
static struct client *wait_for(struct room *r, const char *key)
{
    return wait_with(r, (struct key_wait_for){.type = TYPE_LIST}, key, NULL, NULL);
}

static void serve(struct room *r)
{
    if (r->core->due & DUE_KEY_WAITS) key_waits_serve(r->cs->key_waits);
    assert_false(r->core->due & DUE_KEY_WAITS);
}

#define assert_served(c, value) assert_told(c, value)
static void assert_waits(struct client *c)
{
    assert_true(client_has(c, CLIENT_BLOCKED));
    assert_told(c, "");
}

/* ---- Serving ---- */

static void test_the_first_to_come_is_served_first(void **state)
{
    struct room *r = *state;
    struct client *a = wait_for(r, "k"), *b = wait_for(r, "k"), *c = wait_for(r, "k");
    push(r, 0, "k", "1");
    assert_waits(a); /* not in the middle of the change */
    push(r, 0, "k", "2");
    serve(r);
    assert_served(a, "$1\r\n1\r\n");
    assert_served(b, "$1\r\n2\r\n");
    assert_waits(c);
    assert_false(client_has(a, CLIENT_BLOCKED) || client_has(b, CLIENT_BLOCKED));
    assert_int_equal(r->run_count, 2); /* c need not look: the key is gone */
    push(r, 0, "k", "3");
    serve(r);
    assert_served(c, "$1\r\n3\r\n");
    assert_int_equal(key_waits_key_count(r->cs->key_waits), 0);
    assert_int_equal(r->core->keys.total, 0);
}

static void test_a_key_counts_in_its_database(void **state)
{
    struct room *r = *state;
    struct client *zero = wait_for(r, "k"), *one = room_open(r);
    struct bytes_view argv[2] = {BYTES_LIT("get"), BYTES_LIT("k")};
    one->db = keyspace_db(r->core->keyspace, 1);
    key_waits_block(one, &(struct key_wait_for){.type = TYPE_LIST, .first_key = 1, .key_count = 1, .argv = argv},
                    command_table_find(r->commands, argv[0]), 2);
    assert_int_equal(key_waits_key_count(r->cs->key_waits), 2);
    push(r, 1, "k", "v");
    serve(r);
    assert_served(one, "$1\r\nv\r\n");
    assert_waits(zero);
}

static void test_any_of_several_keys_will_do(void **state)
{
    struct room *r = *state;
    struct client *c = wait_with(r, (struct key_wait_for){.type = TYPE_LIST}, "a", "b", "c");
    assert_int_equal(key_waits_key_count(r->cs->key_waits), 3);
    push(r, 0, "b", "v");
    push(r, 0, "c", "w"); /* ready as well, but when it is served no client waits */
    serve(r);
    assert_served(c, "$1\r\nv\r\n");
    assert_int_equal(r->run_count, 1);
    assert_int_equal(key_waits_key_count(r->cs->key_waits), 0);
    assert_non_null(list_at(keyspace_db(r->core->keyspace, 0), BYTES_LIT("c")));
}

static void test_several_keys_are_served_in_the_order_in_which_they_became_ready(void **state)
{
    struct room *r = *state;
    static const char *const keys[] = {"c", "a", "b", "d"};
    struct client *c[4];
    for (int i = 0; i < 4; i++) c[i] = wait_for(r, keys[i]);
    push(r, 0, "b", "1"); /* c[2] */
    push(r, 0, "c", "2"); /* c[0] */
    push(r, 0, "d", "3"); /* c[3] */
    push(r, 0, "b", "4");
    room_close(r, c[0]);  /* its key was in the middle of the list */
    push(r, 0, "a", "5"); /* c[1] */
    serve(r);
    assert_int_equal(r->run_count, 3);
    assert_ptr_equal(r->runs[0], c[2]);
    assert_ptr_equal(r->runs[1], c[3]);
    assert_ptr_equal(r->runs[2], c[1]);
    assert_served(c[1], "$1\r\n5\r\n");
}

static void test_a_key_named_twice_is_waited_for_once(void **state)
{
    struct room *r = *state;
    struct client *c = wait_with(r, (struct key_wait_for){.type = TYPE_LIST}, "a", "a", "a");
    assert_int_equal(key_waits_key_count(r->cs->key_waits), 1);
    push(r, 0, "a", "v");
    push(r, 0, "a", "w");
    serve(r);
    assert_served(c, "$1\r\nv\r\n");
    assert_int_equal(r->run_count, 1);
}

static void test_a_client_that_finds_nothing_keeps_its_place(void **state)
{
    struct room *r = *state;
    struct client *a = wait_for(r, "k"), *b = wait_for(r, "k");
    r->again = NULL;
    push(r, 0, "k", "v");
    serve(r);
    assert_int_equal(r->run_count, 2);
    assert_waits(a);
    assert_waits(b);
    r->again = pop;
    push(r, 0, "k", "w");
    serve(r);
    assert_served(a, "$1\r\nv\r\n");
    assert_served(b, "$1\r\nw\r\n");
}

static void test_another_type_serves_nobody(void **state)
{
    struct room *r = *state;
    struct client *c = wait_for(r, "k");
    room_set(r, 0, "k", "a string");
    serve(r);
    assert_int_equal(r->run_count, 0);
    keyspace_put_value(c->db, keyref(c->db, BYTES_LIT("k")), TYPE_ZSET, zset_new(r->core->keyspace->env, 1, 1), 0);
    keyspace_changed(c->db, keyref(c->db, BYTES_LIT("k")), 1);
    serve(r);
    assert_int_equal(r->run_count, 0);
    assert_waits(c);
    room_delete(r, 0, "k");
    push(r, 0, "k", "v");
    serve(r);
    assert_served(c, "$1\r\nv\r\n");
}

static void test_streams_say_themselves_that_they_are_ready(void **state)
{
    struct room *r = *state;
    struct client *c = wait_with(r, (struct key_wait_for){.type = TYPE_STREAM}, "s", NULL, NULL);
    struct keyref ref = keyref(c->db, BYTES_LIT("s"));
    keyspace_put_value(c->db, ref, TYPE_STREAM, stream_new(r->core->keyspace->env), 0);
    serve(r);
    assert_int_equal(r->run_count, 1); /* it was created */
    keyspace_changed(c->db, ref, 1);
    assert_false(r->core->due & DUE_KEY_WAITS); /* most changes of a stream are of no interest */
    key_waits_ready(r->cs->key_waits, c->db, ref.name);
    key_waits_ready(r->cs->key_waits, c->db, BYTES_LIT("nobody waits for this"));
    serve(r);
    assert_int_equal(r->run_count, 2);
}

/* An expired value does not count, even before it is deleted. */
static void test_an_expired_list_is_not_there(void **state)
{
    struct room *r = *state;
    r->core->keyspace->expiry_mode = EXPIRY_HIDE;
    push(r, 0, "k", "v");
    room_expire_at(r, 0, "k", r->core->clock.now_ms + 10);
    struct client *c = wait_for(r, "k");
    core_later_ms(&r->f, 11);
    key_waits_all_ready(r->cs->key_waits);
    serve(r);
    assert_int_equal(r->run_count, 0);
    assert_waits(c);
}

/* ---- or_gone: XREADGROUP gets an error when its stream is gone ---- */

static void test_a_client_with_or_gone_runs_again_when_the_key_goes(void **state)
{
    struct room *r = *state;
    struct keyref ref;
    struct client *plain = wait_with(r, (struct key_wait_for){.type = TYPE_STREAM}, "s", NULL, NULL);
    struct client *gone = wait_with(r, (struct key_wait_for){.type = TYPE_STREAM, .or_gone = true}, "s", NULL, NULL);
    assert_int_equal(key_waits_gone_count(r->cs->key_waits), 1);
    ref = keyref(gone->db, BYTES_LIT("s"));
    keyspace_put_value(gone->db, ref, TYPE_STREAM, stream_new(r->core->keyspace->env), 0);
    serve(r);
    r->run_count = 0;
    keyspace_delete(gone->db, ref, false);
    serve(r);
    assert_int_equal(r->run_count, 1);
    assert_ptr_equal(r->runs[0], gone);
    room_set(r, 0, "s", "a string");
    serve(r);
    assert_int_equal(r->run_count, 2); /* a value of another type is no stream either */
    assert_waits(plain);
    client_unblock(gone);
    assert_int_equal(key_waits_gone_count(r->cs->key_waits), 0);
    assert_int_equal(key_waits_key_count(r->cs->key_waits), 1);
    client_unblock(plain);
    assert_int_equal(key_waits_gone_count(r->cs->key_waits), 0);
    assert_int_equal(key_waits_key_count(r->cs->key_waits), 0);
}

/* ---- FLUSHALL and SWAPDB ---- */

static void test_a_swap_brings_the_key(void **state)
{
    struct room *r = *state;
    struct client *c = wait_for(r, "k"), *other = wait_for(r, "other");
    push(r, 1, "k", "v");
    serve(r);
    assert_waits(c);
    keyspace_swap_dbs(r->core->keyspace, 0, 1);
    serve(r);
    assert_served(c, "$1\r\nv\r\n");
    assert_waits(other);
}

static void test_a_flush_runs_clients_with_or_gone_again(void **state)
{
    struct room *r = *state;
    struct client *plain = wait_for(r, "k");
    struct client *gone = wait_with(r, (struct key_wait_for){.type = TYPE_STREAM, .or_gone = true}, "s", NULL, NULL);
    keyspace_flush(r->core->keyspace, keyspace_db(r->core->keyspace, 1), false);
    assert_false(r->core->due & DUE_KEY_WAITS);
    keyspace_flush(r->core->keyspace, NULL, false);
    serve(r);
    assert_int_equal(r->run_count, 1);
    assert_ptr_equal(r->runs[0], gone);
    assert_waits(plain);
}

/* ---- Leaving in the middle ---- */

static struct client *victim;
static bool close_victim_and_pop(struct room *r, struct client *c)
{
    if (victim != NULL) client_unblock(victim);
    victim = NULL;
    return pop(r, c);
}

static void test_the_next_in_the_queue_may_leave_while_it_is_served(void **state)
{
    struct room *r = *state;
    struct client *a = wait_for(r, "k"), *b = wait_for(r, "k"), *c = wait_for(r, "k");
    victim = b;
    r->again = close_victim_and_pop;
    push(r, 0, "k", "1");
    push(r, 0, "k", "2");
    serve(r);
    assert_served(a, "$1\r\n1\r\n");
    assert_served(c, "$1\r\n2\r\n");
    assert_served(b, "");
}

static void test_all_may_leave_while_one_is_served(void **state)
{
    struct room *r = *state;
    struct client *a = wait_for(r, "k");
    victim = wait_for(r, "k");
    r->again = close_victim_and_pop;
    push(r, 0, "k", "1");
    serve(r);
    assert_served(a, "$1\r\n1\r\n");
    assert_int_equal(key_waits_key_count(r->cs->key_waits), 0);
}

static void test_a_closing_client_is_passed_over(void **state)
{
    struct room *r = *state;
    struct client *a = wait_for(r, "k"), *b = wait_for(r, "k");
    client_close_later(a);
    push(r, 0, "k", "1");
    serve(r);
    assert_served(b, "$1\r\n1\r\n");
    assert_int_equal(r->run_count, 1);
}

static void test_the_last_to_leave_takes_the_ready_key_along(void **state)
{
    struct room *r = *state;
    struct client *c = wait_for(r, "k");
    push(r, 0, "k", "1");
    assert_true(r->core->due & DUE_KEY_WAITS);
    room_close(r, c);
    assert_false(r->core->due & DUE_KEY_WAITS);
    serve(r);
    assert_int_equal(r->run_count, 0);
}

/* ---- Chains: serving one key makes another ready ---- */

static bool move_to_next(struct room *r, struct client *c)
{
    const struct queued_command *q = &c->blocked->command;
    key_waits_serve(r->cs->key_waits); /* never entered from inside */
    if (!pop(r, c)) return false;
    char next[2] = {(char)(q->argv[1].data[0] + 1), '\0'};
    push(r, 0, next, "moved");
    return true;
}

static void test_what_becomes_ready_meanwhile_comes_last(void **state)
{
    struct room *r = *state;
    struct client *a = wait_for(r, "a"), *b = wait_for(r, "b"), *c = wait_for(r, "c");
    r->again = move_to_next;
    push(r, 0, "a", "v");
    serve(r);
    assert_served(a, "$1\r\nv\r\n");
    assert_served(b, "$5\r\nmoved\r\n");
    assert_served(c, "$5\r\nmoved\r\n");
    assert_ptr_equal(r->runs[0], a);
    assert_ptr_equal(r->runs[1], b);
    assert_ptr_equal(r->runs[2], c);
}

static bool push_and_wait_again(struct room *r, struct client *c)
{
    if (!pop(r, c)) return false;
    push(r, 0, "k", "again");
    return true;
}

/* Each round ends at least one wait, so commands that refill the key they have emptied do not run for ever. */
static void test_a_rotation_ends(void **state)
{
    struct room *r = *state;
    for (int i = 0; i < 5; i++) wait_for(r, "k");
    r->again = push_and_wait_again;
    push(r, 0, "k", "v");
    serve(r);
    assert_int_equal(r->run_count, 5);
    assert_int_equal(key_waits_key_count(r->cs->key_waits), 0);
}

/* ---- When nothing is served ---- */

static void test_nothing_is_served_while_loading_paused_or_stopping(void **state)
{
    struct room *r = *state;
    struct client *c = wait_for(r, "k");
    push(r, 0, "k", "v");
    pause_start(r->core, PAUSE_BY_CLIENT, PAUSE_WRITES, r->core->clock.mono_ms + 100);
    key_waits_serve(r->cs->key_waits);
    assert_waits(c);
    pause_end(r->core, PAUSE_BY_CLIENT);
    modes_loading_begins(r->core, false);
    key_waits_serve(r->cs->key_waits);
    assert_waits(c);
    modes_loading_ends(r->core);
    r->core->life.stopping = true;
    key_waits_serve(r->cs->key_waits);
    assert_waits(c);
    r->core->life.stopping = false;
    assert_true(r->core->due & DUE_KEY_WAITS); /* it is still due */
    serve(r);
    assert_served(c, "$1\r\nv\r\n");
}

/* The stream of our master, which sees expired keys, may have made the key ready. Commands of clients do not see it. */
static void test_commands_run_in_the_servers_own_expiry_mode(void **state)
{
    struct room *r = *state;
    struct client *c = wait_for(r, "k");
    r->core->keyspace->expiry_mode = EXPIRY_IGNORE;
    push(r, 0, "k", "v");
    room_expire_at(r, 0, "k", r->core->clock.now_ms - 1);
    serve(r);
    assert_waits(c);
    assert_int_equal(r->core->keyspace->expiry_mode, EXPIRY_IGNORE);
}

static void test_time_up_is_answered_with_null(void **state)
{
    struct room *r = *state;
    struct client *c = wait_with(r, (struct key_wait_for){.type = TYPE_LIST, .until_ms = r->core->clock.mono_ms + 10},
                                 "k", NULL, NULL);
    core_later_ms(&r->f, 10);
    blocking_check_timeouts(r->cs->blocking);
    assert_served(c, "*-1\r\n");
    assert_int_equal(key_waits_key_count(r->cs->key_waits), 0);
}

static void test_memory_is_counted_while_it_waits(void **state)
{
    struct room *r = *state;
    struct client *c = room_open(r);
    size_t before = client_memory(c);
    struct bytes_view argv[2] = {BYTES_LIT("get"), BYTES_LIT("a key of some length")};
    key_waits_block(c, &(struct key_wait_for){.type = TYPE_LIST, .first_key = 1, .key_count = 1, .argv = argv},
                    command_table_find(r->commands, argv[0]), 2);
    assert_true(client_memory(c) >= before + argv[1].len);
    client_unblock(c);
    assert_int_equal(client_memory(c), before);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, room_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_the_first_to_come_is_served_first),
        TEST(test_a_key_counts_in_its_database),
        TEST(test_any_of_several_keys_will_do),
        TEST(test_several_keys_are_served_in_the_order_in_which_they_became_ready),
        TEST(test_a_key_named_twice_is_waited_for_once),
        TEST(test_a_client_that_finds_nothing_keeps_its_place),
        TEST(test_another_type_serves_nobody),
        TEST(test_streams_say_themselves_that_they_are_ready),
        TEST(test_an_expired_list_is_not_there),
        TEST(test_a_client_with_or_gone_runs_again_when_the_key_goes),
        TEST(test_a_swap_brings_the_key),
        TEST(test_a_flush_runs_clients_with_or_gone_again),
        TEST(test_the_next_in_the_queue_may_leave_while_it_is_served),
        TEST(test_all_may_leave_while_one_is_served),
        TEST(test_a_closing_client_is_passed_over),
        TEST(test_the_last_to_leave_takes_the_ready_key_along),
        TEST(test_what_becomes_ready_meanwhile_comes_last),
        TEST(test_a_rotation_ends),
        TEST(test_nothing_is_served_while_loading_paused_or_stopping),
        TEST(test_commands_run_in_the_servers_own_expiry_mode),
        TEST(test_time_up_is_answered_with_null),
        TEST(test_memory_is_counted_while_it_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
