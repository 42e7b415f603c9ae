/* When a command waits for keys and when it must not, and how its timeout is read. */
#include "server/dispatch/ctx_waits.h"

#include "tests/unit/server/dispatch/dispatch_fixture.h"

static const struct key_wait_for wanted = {.type = TYPE_LIST, .first_key = 1, .key_count = 1};

static struct cmd_ctx context(struct dispatch_fixture *f, struct client *c, int argc, const struct bytes_view *argv)
{
    struct cmd_ctx ctx = dispatch_ctx(f->dispatcher, c, argc, argv);
    ctx.slot = slot_of(f, "waitfor");
    ctx.command = ctx.slot->command;
    return ctx;
}

static void test_the_client_is_blocked_with_a_copy_of_its_command(void **state)
{
    struct dispatch_fixture *f = *state;
    char key[] = "key";
    struct bytes_view argv[] = {BYTES_LIT("waitfor"), bytes_str(key), BYTES_LIT("0")};
    struct cmd_ctx ctx = context(f, f->a, 3, argv);
    assert_true(ctx_wait_for_keys(&ctx, &wanted));
    assert_true(ctx.waits);
    assert_true(client_has(f->a, CLIENT_BLOCKED));
    key[0] = 'x'; /* the buffer that the arguments came in is used again */
    const struct queued_command *q = &f->a->blocked->command;
    assert_int_equal(q->argc, 3);
    assert_true(bytes_equal(q->argv[1], BYTES_LIT("key")));
    assert_ptr_equal(q->slot, slot_of(f, "waitfor"));
    assert_int_equal(key_waits_key_count(f->room.clients->key_waits), 1);
}

/* XREAD: with the id that "$" means now. */
static void test_the_command_may_run_again_with_other_arguments(void **state)
{
    struct dispatch_fixture *f = *state;
    struct bytes_view argv[] = {BYTES_LIT("waitfor"), BYTES_LIT("k"), BYTES_LIT("$")};
    struct bytes_view others[] = {BYTES_LIT("waitfor"), BYTES_LIT("k"), BYTES_LIT("5-1")};
    struct key_wait_for wait = wanted;
    wait.argv = others;
    struct cmd_ctx ctx = context(f, f->a, 3, argv);
    assert_true(ctx_wait_for_keys(&ctx, &wait));
    assert_true(bytes_equal(f->a->blocked->command.argv[2], BYTES_LIT("5-1")));
}

static void test_a_command_that_ran_again_waits_on(void **state)
{
    struct dispatch_fixture *f = *state;
    struct bytes_view argv[] = {BYTES_LIT("waitfor"), BYTES_LIT("k"), BYTES_LIT("0")};
    struct cmd_ctx ctx = context(f, f->a, 3, argv);
    assert_true(ctx_wait_for_keys(&ctx, &wanted));
    const struct blocked *before = f->a->blocked;
    struct cmd_ctx again = context(f, f->a, 3, argv);
    assert_true(ctx_wait_for_keys(&again, &wanted));
    assert_true(again.waits);
    assert_ptr_equal(f->a->blocked, before); /* in its place */
}

static void test_a_transaction_does_not_wait(void **state)
{
    struct dispatch_fixture *f = *state;
    say(f->a, "multi");
    say(f->a, "waitfor k 0");
    say(f->a, "set k v");
    say(f->a, "exec");
    (void)dispatch_round(f);
    assert_out(f->a, "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n*-1\r\n+OK\r\n");
    assert_false(client_has(f->a, CLIENT_BLOCKED));
}

static void test_a_client_without_a_connection_does_not_wait(void **state)
{
    struct dispatch_fixture *f = *state;
    struct bytes_view argv[] = {BYTES_LIT("waitfor"), BYTES_LIT("k"), BYTES_LIT("0")};
    struct client *master = client_new(f->room.clients, NULL);
    struct cmd_ctx ctx = context(f, master, 3, argv);
    assert_false(ctx_wait_for_keys(&ctx, &wanted));
    assert_false(ctx.waits);
    assert_false(client_has(master, CLIENT_BLOCKED));
    client_free_fake(master);
}

/* ---- Timeouts ---- */

static const char *timeout(struct dispatch_fixture *f, const char *text, enum timeout_unit unit, int64_t *until_ms)
{
    static char reply[128];
    struct bytes_view argv[] = {bytes_str(text)};
    struct cmd_ctx ctx = context(f, f->a, 1, argv);
    struct bytes_buf out = {0};
    bool good = ctx_arg_timeout(&ctx, 0, unit, until_ms);
    outbuf_copy(&f->a->out, &out);
    outbuf_clear(&f->a->out);
    snprintf(reply, sizeof(reply), "%.*s", (int)out.len, out.data == NULL ? "" : out.data);
    bytes_buf_release(&out);
    assert_int_equal(good, reply[0] == '\0');
    return reply;
}

static int64_t ms_of(struct dispatch_fixture *f, const char *text, enum timeout_unit unit)
{
    int64_t until_ms = -1;
    assert_string_equal(timeout(f, text, unit, &until_ms), "");
    return until_ms == 0 ? 0 : until_ms - f->core->clock.mono_ms;
}

static void test_seconds(void **state)
{
    struct dispatch_fixture *f = *state;
    assert_int_equal(ms_of(f, "0", TIMEOUT_SECONDS), 0); /* for ever */
    assert_int_equal(ms_of(f, "-0.0", TIMEOUT_SECONDS), 0);
    assert_int_equal(ms_of(f, "1", TIMEOUT_SECONDS), 1000);
    assert_int_equal(ms_of(f, "0.25", TIMEOUT_SECONDS), 250);
    assert_int_equal(ms_of(f, "0.0001", TIMEOUT_SECONDS), 1); /* not for ever */
    assert_int_equal(ms_of(f, "1e3", TIMEOUT_SECONDS), 1000000);
}

static void test_milliseconds(void **state)
{
    struct dispatch_fixture *f = *state;
    assert_int_equal(ms_of(f, "0", TIMEOUT_MS), 0);
    assert_int_equal(ms_of(f, "1500", TIMEOUT_MS), 1500);
}

static void assert_bad(struct dispatch_fixture *f, const char *text, enum timeout_unit unit, const char *error)
{
    int64_t until_ms;
    assert_string_equal(timeout(f, text, unit, &until_ms), error);
}

static void test_bad_timeouts(void **state)
{
    struct dispatch_fixture *f = *state;
    assert_bad(f, "soon", TIMEOUT_SECONDS, "-ERR timeout is not a float or out of range\r\n");
    assert_bad(f, "nan", TIMEOUT_SECONDS, "-ERR timeout is not a float or out of range\r\n");
    assert_bad(f, "-1", TIMEOUT_SECONDS, "-ERR timeout is negative\r\n");
    assert_bad(f, "-1e300", TIMEOUT_SECONDS, "-ERR timeout is negative\r\n");
    assert_bad(f, "1e300", TIMEOUT_SECONDS, "-ERR timeout is out of range\r\n");
    assert_bad(f, "9223372036854775", TIMEOUT_SECONDS, "-ERR timeout is out of range\r\n"); /* with the time of now */
    assert_bad(f, "1.5", TIMEOUT_MS, "-ERR timeout is not an integer or out of range\r\n");
    assert_bad(f, "-1", TIMEOUT_MS, "-ERR timeout is negative\r\n");
    assert_bad(f, "9223372036854775807", TIMEOUT_MS, "-ERR timeout is out of range\r\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        DISPATCH_TEST(test_the_client_is_blocked_with_a_copy_of_its_command),
        DISPATCH_TEST(test_the_command_may_run_again_with_other_arguments),
        DISPATCH_TEST(test_a_command_that_ran_again_waits_on),
        DISPATCH_TEST(test_a_transaction_does_not_wait),
        DISPATCH_TEST(test_a_client_without_a_connection_does_not_wait),
        DISPATCH_TEST(test_seconds),
        DISPATCH_TEST(test_milliseconds),
        DISPATCH_TEST(test_bad_timeouts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
