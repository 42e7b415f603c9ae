/* When WAIT and WAITAOF end, and what they answer: replicas that the test plays, and a log that says what it is told. */
#include "server/streams/ack_waits.h"

#include "server/persistence/aof_internal.h"
#include "tests/unit/server/memory/memory_fixture.h"

struct fixture {
    struct memory_fixture room; /* first: memory_fixture.h's functions take it */
    struct aof aof;             /* only its state and how far it is synced are looked at */
    struct ack_waits *waits;
    struct client *c;
};

static void on_acks(void *ctx)
{
    ack_waits_acked(((struct fixture *)ctx)->waits);
}

static int setup(void **state)
{
    struct fixture *f = mem_calloc(sizeof(*f));
    memory_fixture_init(&f->room, NULL, NULL, NULL);
    f->waits = ack_waits_new(f->room.clients, &f->aof);
    f->room.base.acks_changed = on_acks;
    f->room.base.acks_ctx = f;
    f->c = memory_client(&f->room);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    clients_close_all(f->room.clients);
    f->room.base.acks_changed = NULL;
    memory_fixture_release(&f->room);
    ack_waits_free(f->waits);
    mem_free(f);
    return 0;
}

/* The client has written. */
static void write_key(struct fixture *f, struct client *c)
{
    exec_begin(f->room.core);
    exec_add_delete(f->room.core, 0, BYTES_LIT("k"), false);
    exec_end(f->room.core);
    c->write_offset = repl_offset(f->room.core->repl);
}

static void aof_is_synced_to(struct fixture *f, uint64_t offset)
{
    f->aof.state = AOF_ON;
    f->aof.has_synced = true;
    f->aof.synced = offset;
    ack_waits_synced(f->waits);
}

/* ---- WAIT ---- */

static void test_enough_replicas_end_the_wait(void **state)
{
    struct fixture *f = *state;
    struct fake_peer *one = replica_attach(&f->room.base), *two = replica_attach(&f->room.base);
    write_key(f, f->c);
    ack_waits_block(f->waits, f->c, 2, 0);
    assert_true(client_has(f->c, CLIENT_BLOCKED));
    replica_says_offset(one, "ack");
    assert_out(f->c, "");
    assert_true(client_has(f->c, CLIENT_BLOCKED));
    replica_says_offset(two, "ack");
    assert_out(f->c, ":2\r\n");
    assert_false(client_has(f->c, CLIENT_BLOCKED));
}

static void test_the_offset_of_the_clients_own_write_counts(void **state)
{
    struct fixture *f = *state;
    struct fake_peer *p = replica_attach(&f->room.base);
    char text[32];
    struct client *other = memory_client(&f->room);
    write_key(f, f->c);
    snprintf(text, sizeof(text), "%llu", (unsigned long long)f->c->write_offset);
    write_key(f, other);
    ack_waits_block(f->waits, f->c, 1, 0);
    ack_waits_block(f->waits, other, 1, 0);
    core_turns(&f->room.base);
    replica_conf(p, "ack", text);
    assert_out(f->c, ":1\r\n");
    assert_out(other, "");
    assert_true(client_has(other, CLIENT_BLOCKED));
}

static void test_acknowledgements_are_asked_for(void **state)
{
    struct fixture *f = *state;
    (void)replica_attach(&f->room.base);
    write_key(f, f->c);
    assert_stream(&f->room.base, "SELECT 0|DEL k");
    ack_waits_block(f->waits, f->c, 1, 0);
    assert_stream(&f->room.base, ""); /* at the end of the turn, once for all that wait */
    repl_end_turn(f->room.core->repl);
    assert_stream(&f->room.base, "REPLCONF GETACK *");
}

static void test_at_the_deadline_it_answers_what_there_is(void **state)
{
    struct fixture *f = *state;
    struct fake_peer *p = replica_attach(&f->room.base);
    write_key(f, f->c);
    ack_waits_block(f->waits, f->c, 5, f->room.core->clock.mono_ms + 100);
    replica_says_offset(p, "ack");
    assert_out(f->c, "");
    core_later_ms(&f->room.base, 99);
    blocking_check_timeouts(f->room.clients->blocking);
    assert_out(f->c, "");
    core_later_ms(&f->room.base, 1);
    blocking_check_timeouts(f->room.clients->blocking);
    assert_out(f->c, ":1\r\n");
    assert_false(client_has(f->c, CLIENT_BLOCKED));
}

static void test_a_replica_that_synced_has_not_acknowledged(void **state)
{
    struct fixture *f = *state;
    struct fake_peer *p = replica_attach(&f->room.base);
    write_key(f, f->c);
    ack_waits_block_synced(f->waits, f->c, false, 1, 0);
    replica_says_offset(p, "ack"); /* it has it in memory */
    assert_out(f->c, "");
    replica_says_offset(p, "fack");
    assert_out(f->c, "*2\r\n:0\r\n:1\r\n");
}

/* ---- WAITAOF ---- */

static void test_the_local_file_ends_the_wait(void **state)
{
    struct fixture *f = *state;
    write_key(f, f->c);
    aof_is_synced_to(f, f->c->write_offset - 1);
    ack_waits_block_synced(f->waits, f->c, true, 0, 0);
    ack_waits_synced(f->waits);
    assert_out(f->c, "");
    aof_is_synced_to(f, f->c->write_offset);
    assert_out(f->c, "*2\r\n:1\r\n:0\r\n");
    assert_false(client_has(f->c, CLIENT_BLOCKED));
}

static void test_both_are_needed_in_any_order(void **state)
{
    struct fixture *f = *state;
    struct fake_peer *p = replica_attach(&f->room.base);
    struct client *other = memory_client(&f->room);
    write_key(f, f->c);
    ack_waits_block_synced(f->waits, f->c, true, 1, 0);
    aof_is_synced_to(f, f->c->write_offset);
    assert_out(f->c, "");
    replica_says_offset(p, "fack");
    assert_out(f->c, "*2\r\n:1\r\n:1\r\n");
    write_key(f, other);
    ack_waits_block_synced(f->waits, other, true, 1, 0);
    replica_says_offset(p, "fack");
    assert_out(other, "");
    aof_is_synced_to(f, other->write_offset);
    assert_out(other, "*2\r\n:1\r\n:1\r\n");
}

/* It is told what the local file has, even if it did not ask for it. */
static void test_the_reply_says_both_numbers(void **state)
{
    struct fixture *f = *state;
    struct fake_peer *p = replica_attach(&f->room.base);
    write_key(f, f->c);
    aof_is_synced_to(f, f->c->write_offset);
    ack_waits_block_synced(f->waits, f->c, false, 1, 0);
    replica_says_offset(p, "fack");
    assert_out(f->c, "*2\r\n:1\r\n:1\r\n");
}

static void test_waitaof_at_its_deadline(void **state)
{
    struct fixture *f = *state;
    (void)replica_attach(&f->room.base);
    write_key(f, f->c);
    aof_is_synced_to(f, f->c->write_offset);
    ack_waits_block_synced(f->waits, f->c, true, 1, f->room.core->clock.mono_ms + 10);
    core_later_ms(&f->room.base, 10);
    blocking_check_timeouts(f->room.clients->blocking);
    assert_out(f->c, "*2\r\n:1\r\n:0\r\n");
}

/* appendonly no: what they wait for will not come. */
static void test_turning_the_file_off(void **state)
{
    struct fixture *f = *state;
    struct client *replicas_only = memory_client(&f->room), *wait = memory_client(&f->room);
    write_key(f, f->c);
    ack_waits_block_synced(f->waits, f->c, true, 0, 0);
    ack_waits_block_synced(f->waits, replicas_only, false, 1, 0);
    ack_waits_block(f->waits, wait, 1, 0);
    ack_waits_aof_off(f->waits);
    assert_out(f->c, "-ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.\r\n");
    assert_false(client_has(f->c, CLIENT_BLOCKED));
    assert_out(replicas_only, "");
    assert_true(client_has(replicas_only, CLIENT_BLOCKED));
    assert_out(wait, "");
    assert_true(client_has(wait, CLIENT_BLOCKED));
}

static void test_a_client_that_goes_is_not_looked_at(void **state)
{
    struct fixture *f = *state;
    struct fake_peer *p = replica_attach(&f->room.base);
    write_key(f, f->c);
    ack_waits_block(f->waits, f->c, 1, f->room.core->clock.mono_ms + 10);
    client_close_later(f->c);
    replica_says_offset(p, "ack");
    assert_out(f->c, "");
    clients_reap(f->room.clients);
    core_later_ms(&f->room.base, 20);
    blocking_check_timeouts(f->room.clients->blocking);
    assert_int_equal(blocking_deadline_count(f->room.clients->blocking), 0);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_enough_replicas_end_the_wait),
        TEST(test_the_offset_of_the_clients_own_write_counts),
        TEST(test_acknowledgements_are_asked_for),
        TEST(test_at_the_deadline_it_answers_what_there_is),
        TEST(test_a_replica_that_synced_has_not_acknowledged),
        TEST(test_the_local_file_ends_the_wait),
        TEST(test_both_are_needed_in_any_order),
        TEST(test_the_reply_says_both_numbers),
        TEST(test_waitaof_at_its_deadline),
        TEST(test_turning_the_file_off),
        TEST(test_a_client_that_goes_is_not_looked_at),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
