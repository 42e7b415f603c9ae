/* What handlers call: keys by type, changes, arguments, errors, and big arguments that become values. */
#include "server/dispatch/command.h"

#include "tests/unit/server/dispatch/dispatch_fixture.h"

enum { WORDS_MAX = 8 };

struct call {
    struct bytes_view argv[WORDS_MAX];
    struct cmd_ctx ctx;
};

/* A context for a command of client a that has these words. */
static struct cmd_ctx *call(struct dispatch_fixture *f, struct call *k, const char *words)
{
    static const struct command row = {.name = "example"};
    int argc = 0;
    for (const char *p = words; *p != '\0'; p += strcspn(p, " "), p += *p == ' ')
        k->argv[argc++] = bytes_view(p, strcspn(p, " "));
    k->ctx = dispatch_ctx(f->dispatcher, f->a, argc, k->argv);
    k->ctx.command = &row;
    return &k->ctx;
}

static void put_list(struct dispatch_fixture *f, const char *name)
{
    struct list *l = list_new(f->core->keyspace->env);
    list_push(l, LIST_TAIL, BYTES_LIT("element"));
    keyspace_put_value(keyspace_db(f->core->keyspace, 0), memory_key(&f->room, 0, name), TYPE_LIST, l, 0);
}

/* ---- Keys ---- */

static void test_the_hash_of_the_first_key_is_taken_over(void **state)
{
    struct dispatch_fixture *f = *state;
    struct call k;
    struct cmd_ctx *ctx = call(f, &k, "get a b");
    assert_int_equal(ctx_key(ctx, 1).hash, memory_key(&f->room, 0, "a").hash);
    ctx->first_key_arg = 1;
    ctx->first_key_hash = 42;
    assert_int_equal(ctx_key(ctx, 1).hash, 42);
    assert_int_equal(ctx_key(ctx, 2).hash, memory_key(&f->room, 0, "b").hash);
    assert_true(bytes_equal(ctx_key(ctx, 2).name, BYTES_LIT("b")));
}

static void test_reading_a_key(void **state)
{
    struct dispatch_fixture *f = *state;
    struct call k;
    const struct entry *e;
    memory_put(&f->room, 0, "k", 0);
    assert_int_equal(ctx_read(call(f, &k, "get k"), 1, TYPE_STRING, &e), LOOKUP_FOUND);
    assert_non_null(e);
    assert_int_equal(ctx_read(call(f, &k, "get none"), 1, TYPE_STRING, &e), LOOKUP_MISSING);
    assert_null(e);
    assert_int_equal(ctx_read(call(f, &k, "get k"), 1, TYPE_LIST, &e), LOOKUP_WRONG_TYPE);
    assert_null(e);
    assert_out(f->a, "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n");
    assert_int_equal(f->core->keyspace->stats.hits, 2);
    assert_int_equal(f->core->keyspace->stats.misses, 1);
}

static void test_writing_a_key(void **state)
{
    struct dispatch_fixture *f = *state;
    struct call k;
    struct entry *e;
    memory_put(&f->room, 0, "k", 5);
    assert_int_equal(ctx_write(call(f, &k, "set k"), 1, TYPE_STRING, &e), LOOKUP_FOUND);
    assert_non_null(e);
    assert_int_equal(ctx_write(call(f, &k, "set k"), 1, TYPE_HASH, &e), LOOKUP_WRONG_TYPE);
    assert_null(e);
    outbuf_clear(&f->a->out);
    core_later_ms(f->base, 10);
    assert_int_equal(ctx_write(call(f, &k, "set k"), 1, TYPE_HASH, &e), LOOKUP_MISSING); /* its time is over */
    assert_null(e);
    assert_out(f->a, "");
}

static void test_the_value_alone(void **state)
{
    struct dispatch_fixture *f = *state;
    struct call k;
    const void *value;
    void *writable;
    put_list(f, "list");
    memory_put(&f->room, 0, "k", 0);
    assert_int_equal(ctx_read_value(call(f, &k, "llen list"), 1, TYPE_LIST, &value), LOOKUP_FOUND);
    assert_int_equal(value_count(TYPE_LIST, value), 1);
    assert_int_equal(ctx_write_value(call(f, &k, "lpop list"), 1, TYPE_LIST, &writable), LOOKUP_FOUND);
    assert_ptr_equal(writable, value);
    assert_int_equal(ctx_read_value(call(f, &k, "llen none"), 1, TYPE_LIST, &value), LOOKUP_MISSING);
    assert_null(value);
    assert_int_equal(ctx_write_value(call(f, &k, "lpop k"), 1, TYPE_LIST, &writable), LOOKUP_WRONG_TYPE);
    assert_null(writable);
}

static void test_no_touch(void **state)
{
    struct dispatch_fixture *f = *state;
    struct call k;
    struct entry *e = memory_put(&f->room, 0, "k", 0);
    keyspace_set_access(f->core->keyspace, e, 100, -1);
    assert_int_equal(ctx_find_flags(call(f, &k, "get k")), 0);
    client_set_no_touch(f->a, true);
    assert_int_equal(ctx_find_flags(call(f, &k, "get k")), FIND_NO_TOUCH);
    const struct entry *read = ctx_read_any(call(f, &k, "get k"), 1);
    assert_int_equal(entry_idle_seconds(f->core->keyspace, read), 100);
    client_set_no_touch(f->a, false);
    read = ctx_read_any(call(f, &k, "get k"), 1);
    assert_int_equal(entry_idle_seconds(f->core->keyspace, read), 0);
}

/* ---- Changes and events ---- */

static void listen_to(struct dispatch_fixture *f, unsigned classes)
{
    f->base->settings.misc.notify_keyspace_events = NOTIFY_KEYEVENT | classes;
    assert_true(pubsub_subscribe(f->b, PUBSUB_PATTERN, BYTES_LIT("__keyevent*")));
    outbuf_clear(&f->b->out);
    f->b->reply.proto = 2;
}

#define EVENT(channel_len, channel, key)                                                                               \
    "*4\r\n$8\r\npmessage\r\n$11\r\n__keyevent*\r\n$" channel_len "\r\n__keyevent@0__:" channel "\r\n$1\r\n" key "\r\n"

static void test_a_change_is_counted_and_told(void **state)
{
    struct dispatch_fixture *f = *state;
    struct call k;
    listen_to(f, NOTIFY_SET);
    uint64_t before = f->core->keyspace->stats.changes;
    f->room.trace.len = 0;
    struct cmd_ctx *ctx = call(f, &k, "sadd k");
    ctx_changed(ctx, ctx_key(ctx, 1), NOTIFY_SET, "sadd", 3);
    assert_int_equal(f->core->keyspace->stats.changes, before + 3);
    assert_trace(&f->room, "changed k;");
    assert_out(f->b, EVENT("19", "sadd", "k"));
    ctx_changed(ctx, ctx_key(ctx, 1), NOTIFY_HASH, "hset", 1); /* a class that nobody asked for */
    assert_out(f->b, "");
}

static void test_a_change_beside_the_data_calls_no_hook(void **state)
{
    struct dispatch_fixture *f = *state;
    struct call k;
    listen_to(f, NOTIFY_STREAM);
    uint64_t before = f->core->keyspace->stats.changes;
    f->room.trace.len = 0;
    struct cmd_ctx *ctx = call(f, &k, "xgroup k");
    ctx_changed_beside(ctx, ctx_key(ctx, 1), NOTIFY_STREAM, "xgroup", 1);
    assert_int_equal(f->core->keyspace->stats.changes, before + 1);
    assert_trace(&f->room, "");
    assert_out(f->b, EVENT("21", "xgroup", "k"));
}

static void test_a_miss_is_told_to_who_asks(void **state)
{
    struct dispatch_fixture *f = *state;
    struct call k;
    listen_to(f, NOTIFY_KEY_MISS);
    assert_null(ctx_read_any(call(f, &k, "get k"), 1));
    assert_out(f->b, EVENT("22", "keymiss", "k"));
    memory_put(&f->room, 0, "k", 0);
    assert_non_null(ctx_read_any(call(f, &k, "get k"), 1));
    assert_out(f->b, "");
}

static void test_an_emptied_collection_goes(void **state)
{
    struct dispatch_fixture *f = *state;
    struct call k;
    listen_to(f, NOTIFY_GENERIC);
    put_list(f, "k");
    struct cmd_ctx *ctx = call(f, &k, "lpop k");
    ctx_delete_emptied(ctx, ctx_key(ctx, 1));
    assert_false(memory_has(&f->room, 0, "k"));
    assert_out(f->b, EVENT("18", "del", "k"));
}

/* ---- Arguments ---- */

static void test_integers(void **state)
{
    struct dispatch_fixture *f = *state;
    struct call k;
    int64_t n = -7;
    assert_true(ctx_arg_i64(call(f, &k, "x 9223372036854775807"), 1, &n));
    assert_int_equal(n, INT64_MAX);
    n = -7;
    static const char *const bad[] = {"x 9223372036854775808", "x 1.5", "x 01", "x +1", "x -", "x 1a"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(ctx_arg_i64(call(f, &k, bad[i]), 1, &n));
        assert_out(f->a, "-ERR value is not an integer or out of range\r\n");
        assert_int_equal(n, -7); /* untouched */
    }
}

static void test_integers_of_32_bits(void **state)
{
    struct dispatch_fixture *f = *state;
    struct call k;
    int64_t n = -7;
    assert_true(ctx_arg_i32(call(f, &k, "x 2147483647"), 1, &n));
    assert_int_equal(n, INT32_MAX);
    assert_true(ctx_arg_i32(call(f, &k, "x -2147483648"), 1, &n));
    assert_int_equal(n, INT32_MIN);
    assert_false(ctx_arg_i32(call(f, &k, "x 2147483648"), 1, &n));
    assert_out(f->a, "-ERR value is out of range, value must between -2147483648 and 2147483647\r\n");
    assert_false(ctx_arg_i32(call(f, &k, "x -2147483649"), 1, &n));
    outbuf_clear(&f->a->out);
    assert_false(ctx_arg_i32(call(f, &k, "x word"), 1, &n));
    assert_out(f->a, "-ERR value is not an integer or out of range\r\n");
    assert_int_equal(n, INT32_MIN);
}

static void test_integers_in_a_range(void **state)
{
    struct dispatch_fixture *f = *state;
    struct call k;
    int64_t n = -7;
    assert_true(ctx_arg_i64_range(call(f, &k, "x 1"), 1, 1, 9, &n, NULL));
    assert_true(ctx_arg_i64_range(call(f, &k, "x 9"), 1, 1, 9, &n, NULL));
    assert_int_equal(n, 9);
    assert_false(ctx_arg_i64_range(call(f, &k, "x 10"), 1, 1, 9, &n, NULL));
    assert_out(f->a, "-ERR value is out of range\r\n");
    assert_false(ctx_arg_i64_range(call(f, &k, "x 0"), 1, 1, 9, &n, "COUNT must be positive"));
    assert_out(f->a, "-ERR COUNT must be positive\r\n");
    assert_false(ctx_arg_i64_range(call(f, &k, "x word"), 1, 1, 9, &n, "COUNT must be positive"));
    assert_out(f->a, "-ERR COUNT must be positive\r\n");
    assert_int_equal(n, 9);
}

static void test_floats_and_cursors(void **state)
{
    struct dispatch_fixture *f = *state;
    struct call k;
    double d;
    uint64_t cursor;
    assert_true(ctx_arg_double(call(f, &k, "x -1.5e3"), 1, &d));
    assert_true(d == -1500.0);
    assert_false(ctx_arg_double(call(f, &k, "x nan"), 1, &d));
    assert_out(f->a, "-ERR value is not a valid float\r\n");
    assert_true(ctx_arg_cursor(call(f, &k, "x 18446744073709551615"), 1, &cursor));
    assert_true(cursor == UINT64_MAX);
    assert_false(ctx_arg_cursor(call(f, &k, "x abc"), 1, &cursor));
    assert_out(f->a, "-ERR invalid cursor\r\n");
}

static void test_words(void **state)
{
    struct dispatch_fixture *f = *state;
    struct call k;
    struct cmd_ctx *ctx = call(f, &k, "set k v eX");
    assert_true(ctx_has_arg(ctx, 3));
    assert_false(ctx_has_arg(ctx, 4));
    assert_true(ctx_arg_is(ctx, 3, "EX"));
    assert_false(ctx_arg_is(ctx, 3, "E"));
    assert_false(ctx_arg_is(ctx, 3, "EXAT"));
}

/* ---- Errors ---- */

static void test_common_errors(void **state)
{
    struct dispatch_fixture *f = *state;
    struct call k;
    struct cmd_ctx *ctx = call(f, &k, "object nonsense");
    ctx_error_syntax(ctx);
    ctx_error_no_key(ctx);
    ctx_error_arity(ctx);
    assert_out(f->a, "-ERR syntax error\r\n-ERR no such key\r\n"
                     "-ERR wrong number of arguments for 'example' command\r\n");
    ctx_error_subcommand(ctx, "OBJECT");
    assert_out(f->a, "-ERR unknown subcommand or wrong number of arguments for 'nonsense'. Try OBJECT HELP.\r\n");
    char long_name[200];
    memset(long_name, 'x', sizeof(long_name));
    k.argv[1] = bytes_view(long_name, sizeof(long_name));
    ctx_error_subcommand(ctx, "OBJECT");
    char wanted[300];
    snprintf(wanted, sizeof(wanted),
             "-ERR unknown subcommand or wrong number of arguments for '%.128s'. Try OBJECT HELP.\r\n", long_name);
    assert_out(f->a, wanted);
}

static void test_help(void **state)
{
    struct dispatch_fixture *f = *state;
    struct call k;
    static const char *const lines[] = {"X HELP", "    Prints this.", NULL};
    ctx_reply_help(call(f, &k, "x help"), lines);
    assert_out(f->a, "*2\r\n+X HELP\r\n+    Prints this.\r\n");
}

static void test_who_asks_and_when(void **state)
{
    struct dispatch_fixture *f = *state;
    struct call k;
    struct cmd_ctx *ctx = call(f, &k, "x");
    assert_false(ctx_is_replayed(ctx));
    assert_int_equal(ctx_now_ms(ctx), INT64_C(1000) * CORE_START_S);
    ctx->client = client_new(f->room.clients, NULL);
    assert_true(ctx_is_replayed(ctx));
    client_free_fake(ctx->client);
}

/* ---- Big arguments ---- */

static void take_second(struct cmd_ctx *ctx)
{
    struct keyref key = ctx_key(ctx, 1);
    struct blob *b = ctx_take_blob(ctx, 2);
    assert_null(ctx_take_blob(ctx, 1)); /* small ones are copied */
    if (b == NULL) {
        reply_status(ctx->reply, "small");
        return;
    }
    assert_null(ctx_take_blob(ctx, 2)); /* it was taken */
    assert_int_equal(ctx->keyspace->held_blobs, 1);
    keyspace_put_blob(ctx->db, key, b, 0);
    ctx_changed(ctx, key, NOTIFY_STRING, "set", 1);
    keyspace_delete(ctx->db, key, false);                        /* whatever becomes of the value: */
    assert_int_equal(((const char *)ctx->argv[2].data)[7], 'x'); /* the argument stays */
    ctx_replicate_force(ctx);
    reply_ok(ctx->reply);
}

static void say_big(struct client *c, size_t len)
{
    struct bytes_buf raw = {0};
    bytes_buf_printf(&raw, "*3\r\n$6\r\nduring\r\n$1\r\nk\r\n$%zu\r\n", len);
    resp_reader_feed(&c->reader, bytes_buf_view(&raw)); /* the argument arrives later, and gets a block of its own */
    struct resp_batch batch;
    struct resp_request request;
    resp_batch_init(&batch);
    assert_int_equal(resp_reader_next(&c->reader, &batch, &request), RESP_INCOMPLETE);
    resp_batch_release(&batch);
    raw.len = 0;
    char *bytes = mem_alloc(len);
    memset(bytes, 'x', len);
    bytes_buf_append(&raw, bytes, len);
    bytes_buf_append(&raw, "\r\n", 2);
    resp_reader_feed(&c->reader, bytes_buf_view(&raw));
    mem_free(bytes);
    bytes_buf_release(&raw);
    client_make_ready(c);
}

static void test_a_big_argument_becomes_a_value(void **state)
{
    struct dispatch_fixture *f = *state;
    f->during = take_second;
    say_big(f->a, RESP_BIG_ARG);
    (void)dispatch_round(f);
    assert_out(f->a, "+OK\r\n");
    assert_int_equal(f->core->keyspace->held_blobs, 0); /* the dispatcher lets go of it */
    struct bytes_buf raw = {0};
    core_stream_take(f->base, &raw);
    assert_true(raw.len > RESP_BIG_ARG); /* with all of its bytes */
    assert_non_null(memmem(raw.data, raw.len, "\r\nxxxxxxxx", 10));
    bytes_buf_release(&raw);
}

static void test_an_argument_that_is_not_big_enough(void **state)
{
    struct dispatch_fixture *f = *state;
    f->during = take_second;
    say_big(f->a, RESP_BIG_ARG - 1);
    (void)dispatch_round(f);
    assert_out(f->a, "+small\r\n");
}

/* EXEC's arguments are those of the queue. */
static void test_a_queued_argument_is_copied(void **state)
{
    struct dispatch_fixture *f = *state;
    f->during = take_second;
    assert_reply(f, f->a, "multi", "+OK\r\n");
    say_big(f->a, RESP_BIG_ARG);
    say(f->a, "exec");
    (void)dispatch_round(f);
    assert_out(f->a, "+QUEUED\r\n*1\r\n+small\r\n");
}

static void take_many(struct cmd_ctx *ctx)
{
    for (int i = 1; i < ctx->argc; i++) {
        struct keyref key = keyref(ctx->db, bytes_view("abcdefgh" + i, 1));
        struct blob *b = ctx_take_blob(ctx, i);
        assert_non_null(b);
        keyspace_put_blob(ctx->db, key, b, 0);
    }
    assert_int_equal(ctx->keyspace->held_blobs, ctx->argc - 1);
    reply_ok(ctx->reply);
}

static void test_many_big_arguments(void **state)
{
    struct dispatch_fixture *f = *state;
    struct bytes_buf part = {0};
    struct resp_batch batch;
    struct resp_request request;
    char *bytes = mem_alloc(RESP_BIG_ARG);
    memset(bytes, 'y', RESP_BIG_ARG);
    f->during = take_many;
    resp_batch_init(&batch);
    resp_reader_feed(&f->a->reader, BYTES_LIT("*7\r\n$6\r\nduring\r\n"));
    for (int i = 0; i < 6; i++) {
        part.len = 0;
        bytes_buf_printf(&part, "$%d\r\n", RESP_BIG_ARG);
        resp_reader_feed(&f->a->reader, bytes_buf_view(&part));
        assert_int_equal(resp_reader_next(&f->a->reader, &batch, &request), RESP_INCOMPLETE);
        part.len = 0;
        bytes_buf_append(&part, bytes, RESP_BIG_ARG);
        bytes_buf_append(&part, "\r\n", 2);
        resp_reader_feed(&f->a->reader, bytes_buf_view(&part));
    }
    client_make_ready(f->a);
    (void)dispatch_round(f);
    assert_out(f->a, "+OK\r\n");
    assert_int_equal(f->core->keyspace->held_blobs, 0);
    assert_int_equal(keyspace_count(f->core->keyspace), 6);
    resp_batch_release(&batch);
    bytes_buf_release(&part);
    mem_free(bytes);
}

/* ---- Monitors ---- */

static void test_monitors_are_fed_only_if_there_are_any(void **state)
{
    struct dispatch_fixture *f = *state;
    struct call k;
    static const struct command row = {.name = "example"};
    f->base->settings.net.unixsocket = NULL;
    client_flag_clear(f->a, CLIENT_UNIX);
    snprintf(f->a->peer, sizeof(f->a->peer), "1.2.3.4:5");
    ctx_feed_monitors(call(f, &k, "example word"), &row);
    assert_out(f->b, "");
    monitor_start(f->b);
    ctx_feed_monitors(call(f, &k, "example word"), &row);
    assert_out(f->b, "+1700000000.000000 [0 1.2.3.4:5] \"example\" \"word\"\r\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        DISPATCH_TEST(test_the_hash_of_the_first_key_is_taken_over),
        DISPATCH_TEST(test_reading_a_key),
        DISPATCH_TEST(test_writing_a_key),
        DISPATCH_TEST(test_the_value_alone),
        DISPATCH_TEST(test_no_touch),
        DISPATCH_TEST(test_a_change_is_counted_and_told),
        DISPATCH_TEST(test_a_change_beside_the_data_calls_no_hook),
        DISPATCH_TEST(test_a_miss_is_told_to_who_asks),
        DISPATCH_TEST(test_an_emptied_collection_goes),
        DISPATCH_TEST(test_integers),
        DISPATCH_TEST(test_integers_of_32_bits),
        DISPATCH_TEST(test_integers_in_a_range),
        DISPATCH_TEST(test_floats_and_cursors),
        DISPATCH_TEST(test_words),
        DISPATCH_TEST(test_common_errors),
        DISPATCH_TEST(test_help),
        DISPATCH_TEST(test_who_asks_and_when),
        DISPATCH_TEST(test_a_big_argument_becomes_a_value),
        DISPATCH_TEST(test_an_argument_that_is_not_big_enough),
        DISPATCH_TEST(test_a_queued_argument_is_copied),
        DISPATCH_TEST(test_many_big_arguments),
        DISPATCH_TEST(test_monitors_are_fed_only_if_there_are_any),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
