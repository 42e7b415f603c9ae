/* What units put into the stream: nesting, wrapping, order of pieces, content that changes no data. */
#include "server/core/exec.h"

#include "replication/replication_internal.h"
#include "tests/unit/server/core/core_fixture.h"

static void add(struct core_fixture *f, int db, const char *name, const char *key)
{
    struct bytes_view argv[] = {bytes_str(name), bytes_str(key)};
    exec_add(&f->core, db, 2, argv);
}

static void add_before(struct core_fixture *f, int db, const char *name, const char *key)
{
    struct bytes_view argv[] = {bytes_str(name), bytes_str(key)};
    exec_add_before(&f->core, db, 2, argv);
}

static void add_moment(struct core_fixture *f, int db, const char *text)
{
    struct bytes_view argv[] = {BYTES_LIT("PUBLISH"), bytes_str(text)};
    exec_add_moment(&f->core, db, 2, argv);
}

static void test_one_piece_is_not_wrapped(void **state)
{
    struct core_fixture *f = *state;
    exec_begin(&f->core);
    add(f, 0, "INCR", "a");
    assert_stream(f, ""); /* not before the unit's end */
    exec_end(&f->core);
    assert_stream(f, "SELECT 0|INCR a");
    assert_int_equal(f->core.exec.depth, 0);
}

static void test_several_pieces_are_one_transaction(void **state)
{
    struct core_fixture *f = *state;
    exec_begin(&f->core);
    add(f, 0, "INCR", "a");
    add(f, 3, "INCR", "b");
    add(f, 0, "INCR", "c");
    exec_end(&f->core);
    assert_stream(f, "MULTI|SELECT 0|INCR a|SELECT 3|INCR b|SELECT 0|INCR c|EXEC");
    exec_begin(&f->core);
    exec_end(&f->core); /* nothing is left of the unit before */
    assert_stream(f, "");
}

static void test_only_the_outermost_unit_emits(void **state)
{
    struct core_fixture *f = *state;
    exec_begin(&f->core);
    assert_false(exec_is_nested(&f->core.exec));
    exec_begin(&f->core);
    assert_true(exec_is_nested(&f->core.exec));
    add(f, 0, "INCR", "a");
    exec_end(&f->core);
    assert_stream(f, "");
    exec_begin(&f->core);
    add(f, 0, "INCR", "b");
    exec_end(&f->core);
    exec_end(&f->core);
    assert_stream(f, "MULTI|SELECT 0|INCR a|INCR b|EXEC");
}

static void test_no_wrap_lasts_for_one_unit(void **state)
{
    struct core_fixture *f = *state;
    for (int i = 0; i < 2; i++) {
        exec_begin(&f->core);
        if (i == 0) exec_no_wrap(&f->core);
        add(f, 0, "DEL", "a");
        add(f, 0, "DEL", "b");
        exec_end(&f->core);
    }
    assert_stream(f, "SELECT 0|DEL a|DEL b|MULTI|DEL a|DEL b|EXEC");
}

/* SCAN inside EXEC: the unit is more than SCAN's deletions. */
static void test_no_wrap_has_no_effect_inside_a_transaction(void **state)
{
    struct core_fixture *f = *state;
    exec_begin(&f->core);
    exec_begin(&f->core);
    exec_no_wrap(&f->core);
    add(f, 0, "DEL", "a");
    exec_end(&f->core);
    add(f, 0, "INCR", "b");
    exec_end(&f->core);
    assert_stream(f, "MULTI|SELECT 0|DEL a|INCR b|EXEC");
}

static void test_expiry_goes_before_the_commands_own_pieces(void **state)
{
    struct core_fixture *f = *state;
    exec_begin(&f->core);
    add(f, 0, "SET", "earlier"); /* a command before, in the same transaction */
    size_t outer = exec_command_begins(&f->core.exec);
    add(f, 0, "SET", "own1");
    add(f, 0, "SET", "own2");
    exec_add_delete(&f->core, 0, BYTES_LIT("gone1"), false);
    exec_add_delete(&f->core, 0, BYTES_LIT("gone2"), true);
    add(f, 0, "SET", "own3");
    exec_command_ends(&f->core.exec, outer);
    exec_end(&f->core);
    assert_stream(f, "MULTI|SELECT 0|SET earlier|DEL gone1|UNLINK gone2|SET own1|SET own2|SET own3|EXEC");
}

static void test_outside_of_a_command_pieces_stay_in_order(void **state)
{
    struct core_fixture *f = *state;
    exec_begin(&f->core);
    add(f, 0, "SET", "a");
    add_before(f, 0, "DEL", "b");
    exec_end(&f->core);
    assert_stream(f, "MULTI|SELECT 0|SET a|DEL b|EXEC");
}

/* A command of a transaction: the pieces of the command before are not its own. */
static void test_commands_nest(void **state)
{
    struct core_fixture *f = *state;
    exec_begin(&f->core);
    size_t outermost = exec_command_begins(&f->core.exec);
    add(f, 0, "SET", "outer");
    exec_begin(&f->core);
    size_t outer = exec_command_begins(&f->core.exec);
    add(f, 0, "SET", "inner");
    add_before(f, 0, "DEL", "inner-gone");
    exec_command_ends(&f->core.exec, outer);
    exec_end(&f->core);
    add_before(f, 0, "DEL", "outer-gone");
    exec_command_ends(&f->core.exec, outermost);
    exec_end(&f->core);
    assert_stream(f, "MULTI|SELECT 0|DEL outer-gone|SET outer|DEL inner-gone|SET inner|EXEC");
}

/* redis.set_repl(): deletions of expired keys go into the stream all the same. */
static void test_dropping_a_commands_own_pieces(void **state)
{
    struct core_fixture *f = *state;
    exec_begin(&f->core);
    add(f, 0, "SET", "earlier");
    size_t outer = exec_command_begins(&f->core.exec);
    add(f, 0, "SET", "own");
    add_before(f, 0, "DEL", "gone");
    exec_drop_own(&f->core);
    exec_command_ends(&f->core.exec, outer);
    add(f, 0, "SET", "later");
    exec_end(&f->core);
    assert_stream(f, "MULTI|SELECT 0|SET earlier|DEL gone|SET later|EXEC");
}

static void test_nothing_is_emitted_once_abandoned(void **state)
{
    struct core_fixture *f = *state;
    exec_begin(&f->core);
    add(f, 0, "SET", "a");
    add(f, 0, "SET", "b");
    exec_abandon(&f->core);
    exec_end(&f->core);
    exec_begin(&f->core);
    add(f, 0, "SET", "c");
    exec_end(&f->core);
    assert_stream(f, "");
    assert_int_equal(f->core.exec.count, 0);
}

/* ---- Verbatim ---- */

static const char raw_set[] = "*2\r\n$3\r\nset\r\n$1\r\na\r\n";

static void add_verbatim(struct core_fixture *f, struct bytes_view raw)
{
    struct bytes_view argv[] = {BYTES_LIT("SET"), BYTES_LIT("a")};
    exec_add_verbatim(&f->core, 0, 2, argv, raw);
}

static void test_a_plain_command_is_fed_as_it_arrived(void **state)
{
    struct core_fixture *f = *state;
    exec_begin(&f->core);
    add_verbatim(f, BYTES_LIT(raw_set));
    assert_int_equal(f->core.exec.count, 0); /* it was not collected */
    exec_end(&f->core);
    assert_stream(f, "SELECT 0|set a");
}

static void test_a_command_without_raw_bytes_is_encoded(void **state)
{
    struct core_fixture *f = *state;
    exec_begin(&f->core);
    add_verbatim(f, (struct bytes_view){0});
    exec_end(&f->core);
    assert_stream(f, "SELECT 0|SET a");
}

static void test_a_command_that_is_not_alone_is_collected(void **state)
{
    struct core_fixture *f = *state;
    exec_begin(&f->core); /* behind a deletion */
    exec_add_delete(&f->core, 0, BYTES_LIT("gone"), false);
    add_verbatim(f, BYTES_LIT(raw_set));
    exec_end(&f->core);
    assert_stream(f, "MULTI|SELECT 0|DEL gone|SET a|EXEC");
    exec_begin(&f->core); /* inside a transaction */
    exec_begin(&f->core);
    add_verbatim(f, BYTES_LIT(raw_set));
    exec_end(&f->core);
    assert_stream(f, "");
    exec_end(&f->core);
    assert_stream(f, "SET a");
}

static void test_nothing_is_collected_while_nobody_reads_the_stream(void **state)
{
    struct core_fixture *f = *state;
    repl_aof_stop(f->core.repl, &f->stream);
    repl_aof_want(f->core.repl, false);
    assert_false(repl_stream_wanted(f->core.repl));
    uint64_t before = repl_offset(f->core.repl);
    exec_begin(&f->core);
    add(f, 0, "SET", "a");
    add_verbatim(f, BYTES_LIT(raw_set));
    exec_add_delete(&f->core, 0, BYTES_LIT("gone"), false);
    assert_int_equal(f->core.exec.count, 0);
    exec_end(&f->core);
    assert_int_equal(repl_offset(f->core.repl), before);
}

/* Commands of an append-only file that is loaded. */
static void test_nothing_is_collected_while_replaying(void **state)
{
    struct core_fixture *f = *state;
    f->core.exec.replaying = true;
    exec_begin(&f->core);
    add(f, 0, "SET", "a");
    add_verbatim(f, BYTES_LIT(raw_set));
    exec_end(&f->core);
    f->core.exec.replaying = false;
    assert_stream(f, "");
}

/* ---- Content that changes no data ---- */

static void test_a_moment_needs_a_replica(void **state)
{
    struct core_fixture *f = *state;
    exec_begin(&f->core);
    add_moment(f, 0, "unheard");
    exec_end(&f->core);
    assert_stream(f, "");
    replica_attach(f);
    exec_begin(&f->core);
    add_moment(f, 0, "heard");
    exec_end(&f->core);
    assert_stream(f, "SELECT 0|PUBLISH heard");
    exec_begin(&f->core);
    add_moment(f, 5, "anywhere"); /* it means the same in each database */
    exec_end(&f->core);
    assert_stream(f, "PUBLISH anywhere");
}

static void test_a_moment_among_writes_is_part_of_their_transaction(void **state)
{
    struct core_fixture *f = *state;
    replica_attach(f);
    exec_begin(&f->core);
    add(f, 0, "SET", "a");
    add_moment(f, 0, "message");
    exec_end(&f->core);
    assert_stream(f, "MULTI|SELECT 0|SET a|PUBLISH message|EXEC");
    exec_begin(&f->core);
    add_moment(f, 0, "one");
    add_moment(f, 0, "two");
    exec_end(&f->core);
    assert_stream(f, "MULTI|PUBLISH one|PUBLISH two|EXEC");
}

/* An old master takes back what stands behind the last data (replication.h). */
static void test_a_lone_moment_is_not_data(void **state)
{
    struct core_fixture *f = *state;
    replica_attach(f);
    exec_begin(&f->core);
    add(f, 0, "SET", "a");
    exec_end(&f->core);
    uint64_t data_end = repl_offset(f->core.repl);
    exec_begin(&f->core);
    add_moment(f, 0, "message");
    exec_end(&f->core);
    assert_true(repl_offset(f->core.repl) > data_end);
    assert_int_equal(f->core.repl->data_end, data_end);
    exec_begin(&f->core);
    add(f, 0, "SET", "a");
    add_moment(f, 0, "message");
    exec_end(&f->core); /* EXEC ends a write */
    assert_int_equal(f->core.repl->data_end, repl_offset(f->core.repl));
}

/* redis.set_repl() has dropped a command of the same script, whose bytes are still there. */
static void test_a_moment_behind_dropped_pieces(void **state)
{
    struct core_fixture *f = *state;
    replica_attach(f);
    exec_begin(&f->core);
    size_t outer = exec_command_begins(&f->core.exec);
    add(f, 0, "SET", "dropped");
    exec_drop_own(&f->core);
    exec_command_ends(&f->core.exec, outer);
    add_moment(f, 0, "message");
    exec_end(&f->core);
    assert_stream(f, "SELECT 0|PUBLISH message");
}

/* ---- Memory ---- */

static void test_large_buffers_are_given_back(void **state)
{
    struct core_fixture *f = *state;
    struct exec *x = &f->core.exec;
    struct bytes_view argv[] = {BYTES_LIT("SET"), {.data = mem_calloc(2 << 20), .len = 2 << 20}};
    exec_begin(&f->core);
    exec_add(&f->core, 0, 2, argv);
    assert_true(x->bytes.cap > 2 << 20);
    exec_end(&f->core);
    assert_int_equal(x->bytes.cap, 0);
    mem_free((void *)argv[1].data);
    exec_begin(&f->core);
    for (int i = 0; i < 3000; i++) add(f, 0, "INCR", "a");
    assert_true(x->cap >= 3000);
    exec_end(&f->core);
    assert_int_equal(x->cap, 0);
    assert_null(x->pieces);
    exec_begin(&f->core); /* and it goes on */
    add(f, 0, "INCR", "a");
    exec_end(&f->core);
    assert_true(x->bytes.cap > 0 && x->cap > 0); /* ordinary ones are kept */
}

static void test_release_leaves_an_empty_object(void **state)
{
    struct core_fixture *f = *state;
    exec_begin(&f->core);
    add(f, 0, "INCR", "a");
    exec_end(&f->core);
    exec_release(&f->core.exec);
    assert_null(f->core.exec.pieces);
    assert_int_equal(f->core.exec.bytes.cap, 0);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, core_setup, core_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_one_piece_is_not_wrapped),
        TEST(test_several_pieces_are_one_transaction),
        TEST(test_only_the_outermost_unit_emits),
        TEST(test_no_wrap_lasts_for_one_unit),
        TEST(test_no_wrap_has_no_effect_inside_a_transaction),
        TEST(test_expiry_goes_before_the_commands_own_pieces),
        TEST(test_outside_of_a_command_pieces_stay_in_order),
        TEST(test_commands_nest),
        TEST(test_dropping_a_commands_own_pieces),
        TEST(test_nothing_is_emitted_once_abandoned),
        TEST(test_a_plain_command_is_fed_as_it_arrived),
        TEST(test_a_command_without_raw_bytes_is_encoded),
        TEST(test_a_command_that_is_not_alone_is_collected),
        TEST(test_nothing_is_collected_while_nobody_reads_the_stream),
        TEST(test_nothing_is_collected_while_replaying),
        TEST(test_a_moment_needs_a_replica),
        TEST(test_a_moment_among_writes_is_part_of_their_transaction),
        TEST(test_a_lone_moment_is_not_data),
        TEST(test_a_moment_behind_dropped_pieces),
        TEST(test_large_buffers_are_given_back),
        TEST(test_release_leaves_an_empty_object),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
