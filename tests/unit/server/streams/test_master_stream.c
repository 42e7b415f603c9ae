/* What of a master's stream counts as applied, however it is cut into pieces, and what a broken stream does. */
#include "server/streams/master_stream.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>

#include "tests/unit/server/dispatch/dispatch_fixture.h"

#define SET(key, value) "*3\r\n$3\r\nset\r\n$1\r\n" key "\r\n$1\r\n" value "\r\n"
#define MULTI           "*1\r\n$5\r\nmulti\r\n"
#define EXEC            "*1\r\n$4\r\nexec\r\n"
#define FAIL            "*1\r\n$4\r\nfail\r\n"

struct fixture {
    struct dispatch_fixture room; /* first: dispatch_fixture.h's functions take it */
    struct master_stream *stream;
    struct bytes_buf kept; /* bytes that were not applied: replication gives them again */
};

static int setup(void **state)
{
    struct fixture *f = mem_calloc(sizeof(*f));
    dispatch_fixture_init(&f->room, NULL, NULL);
    f->stream = master_stream_new(f->room.room.clients, f->room.dispatcher);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    master_stream_free(f->stream);
    bytes_buf_release(&f->kept);
    dispatch_fixture_release(&f->room);
    mem_free(f);
    return 0;
}

/* Bytes arrive, as replication hands them on. -> how many are applied now; *rc as master_stream_apply(). */
static size_t arrive(struct fixture *f, const void *bytes, size_t len, int *rc)
{
    size_t consumed = 999;
    bytes_buf_append(&f->kept, bytes, len);
    *rc = master_stream_apply(f->stream, bytes_buf_view(&f->kept), &consumed);
    assert_true(consumed <= f->kept.len);
    memmove(f->kept.data, f->kept.data + consumed, f->kept.len - consumed);
    f->kept.len -= consumed;
    return consumed;
}
static size_t good(struct fixture *f, const char *bytes)
{
    int rc;
    size_t consumed = arrive(f, bytes, strlen(bytes), &rc);
    assert_int_equal(rc, 0);
    return consumed;
}

static void test_whole_commands_are_applied(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(good(f, SET("a", "1") SET("b", "2")), 2 * strlen(SET("a", "1")));
    assert_ran(&f->room, "set a 1;set b 2;");
    assert_int_equal(f->kept.len, 0);
    assert_int_equal(master_stream_commands(f->stream), 2);
    assert_int_equal(good(f, ""), 0);
}

static void test_a_part_of_a_command_waits(void **state)
{
    struct fixture *f = *state;
    const char *whole = SET("a", "1");
    assert_int_equal(good(f, SET("b", "2") "*3\r\n$3\r\nse"), strlen(SET("b", "2")));
    assert_ran(&f->room, "set b 2;");
    assert_int_equal(good(f, whole + strlen("*3\r\n$3\r\nse")), strlen(whole));
    assert_ran(&f->room, "set a 1;");
}

static void test_any_split_gives_the_same(void **state)
{
    struct fixture *f = *state;
    static const char bytes[] = SET("a", "1") MULTI SET("b", "2") SET("c", "3") EXEC "\r\n" SET("d", "4");
    for (size_t step = 1; step < 40; step++) {
        size_t applied = 0;
        int rc;
        for (size_t i = 0; i < sizeof(bytes) - 1; i += step) {
            size_t len = sizeof(bytes) - 1 - i < step ? sizeof(bytes) - 1 - i : step;
            applied += arrive(f, bytes + i, len, &rc);
            assert_int_equal(rc, 0);
        }
        assert_int_equal(applied, sizeof(bytes) - 1);
        assert_ran(&f->room, "set a 1;set b 2;set c 3;set d 4;"); /* each once */
    }
}

static void test_a_transaction_counts_with_its_exec(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(good(f, SET("a", "1") MULTI SET("b", "2")), strlen(SET("a", "1")));
    assert_int_equal(good(f, SET("c", "3")), 0);
    assert_ran(&f->room, "set a 1;");
    assert_int_equal(good(f, EXEC), strlen(MULTI SET("b", "2") SET("c", "3") EXEC));
    assert_ran(&f->room, "set b 2;set c 3;");
}

static void test_keep_alives_count(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(good(f, "\r\n\r\n"), 4);
    assert_int_equal(good(f, "\r\n" SET("a", "1")), 2 + strlen(SET("a", "1")));
}

static void test_a_malformed_stream(void **state)
{
    struct fixture *f = *state;
    int rc;
    const char *bytes = SET("a", "1") "*1\r\n#bad\r\n" SET("b", "2");
    assert_int_equal(arrive(f, bytes, strlen(bytes), &rc), strlen(SET("a", "1")));
    assert_int_equal(rc, -EPROTO);
    assert_ran(&f->room, "set a 1;");
}

/* A malformed transaction is not applied in part. */
static void test_a_malformed_transaction(void **state)
{
    struct fixture *f = *state;
    int rc;
    const char *bytes = MULTI SET("a", "1") "*1\r\n#bad\r\n";
    assert_int_equal(arrive(f, bytes, strlen(bytes), &rc), 0);
    assert_int_equal(rc, -EPROTO);
    assert_ran(&f->room, "");
}

static void test_a_command_that_fails_is_applied_and_reported(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(good(f, FAIL SET("a", "1")), strlen(FAIL SET("a", "1")));
    assert_ran(&f->room, "fail;set a 1;");
    assert_int_equal(f->room.core->stats.unexpected_errors, 1);
}

static void test_a_reset_begins_another_stream(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(master_stream_db(f->stream), 0);
    assert_int_equal(good(f, SET("a", "1") MULTI SET("b", "2") "*3\r\n$3"), strlen(SET("a", "1")));
    master_stream_reset(f->stream, 5);
    f->kept.len = 0;
    assert_int_equal(master_stream_db(f->stream), 5);
    assert_int_equal(good(f, SET("c", "3")), strlen(SET("c", "3"))); /* neither parser nor transaction remembers */
    assert_ran(&f->room, "set a 1;set c 3;");
    assert_true(memory_has(&f->room.room, 5, "c"));
    assert_int_equal(master_stream_commands(f->stream), 4); /* counts all streams */
    master_stream_reset(f->stream, -1);
    assert_int_equal(master_stream_db(f->stream), 0);
    master_stream_reset(f->stream, 16); /* a master with more databases than we have */
    assert_int_equal(master_stream_db(f->stream), 0);
}

/* The master decides what is gone. */
static void test_expired_keys_are_there_for_the_master(void **state)
{
    struct fixture *f = *state;
    core_follow(f->room.base);
    memory_put(&f->room.room, 0, "k", 5);
    core_later_ms(f->room.base, 10);
    assert_int_equal(f->room.core->keyspace->expiry_mode, EXPIRY_HIDE);
    uint64_t misses = f->room.core->keyspace->stats.misses;
    assert_true(good(f, "*2\r\n$3\r\nget\r\n$1\r\nk\r\n") > 0);
    assert_int_equal(f->room.core->keyspace->stats.misses, misses);
    assert_int_equal(f->room.core->keyspace->expiry_mode, EXPIRY_HIDE);
    assert_reply(&f->room, f->room.a, "get k", "$-1\r\n"); /* for a client it is not there */
}

/* ---- The link ---- */

static int apply(void *ctx, struct bytes_view in, size_t *consumed)
{
    return master_stream_apply(ctx, in, consumed);
}

static void turn(struct fixture *f, int fd)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    core_turns(f->room.base);
    (void)poll(&wait, 1, 1); /* only to give way */
}

static void hear(struct fixture *f, int fd, const char *text)
{
    char heard[4096];
    size_t len = 0;
    for (int i = 0; i < 2000; i++) {
        ssize_t n = read(fd, heard + len, sizeof(heard) - len);
        if (n > 0) len += (size_t)n;
        if (memmem(heard, len, text, strlen(text)) != NULL) return;
        turn(f, fd);
    }
    fail_msg("never heard: %s", text);
}

static void say_line(int fd, const char *text)
{
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static void test_the_client_is_named_after_the_link(void **state)
{
    struct fixture *f = *state;
    struct core *core = f->room.core;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    struct repl_position from = {.offset = 1000};
    char peer[32];
    int fd = -1, listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(listen_fd, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(listen_fd, 1), 0);
    assert_int_equal(getsockname(listen_fd, (struct sockaddr *)&at, &len), 0);
    snprintf(peer, sizeof(peer), "127.0.0.1:%d", ntohs(at.sin_port));
    f->room.base->apply_stream = apply;
    f->room.base->apply_ctx = f->stream;
    memset(from.id, 'a', REPL_ID_LEN);
    repl_aof_stop(core->repl, &f->room.base->stream);
    repl_restore_position(core->repl, &from, (struct bytes_view){0});
    repl_start(core->repl);
    assert_null(master_stream_client(f->stream)); /* a master has none */
    assert_int_equal(repl_follow(core->repl, "127.0.0.1", ntohs(at.sin_port)), 0);
    assert_null(master_stream_client(f->stream)); /* the link is not up */
    for (int i = 0; i < 2000 && fd == -1; i++) {
        turn(f, listen_fd);
        fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK);
    }
    hear(f, fd, "PING");
    say_line(fd, "+PONG\r\n");
    hear(f, fd, "version");
    say_line(fd, "+OK\r\n+OK\r\n+OK\r\n");
    hear(f, fd, "PSYNC");
    say_line(fd, "+CONTINUE\r\n" SET("a", "1"));
    for (int i = 0; i < 2000 && f->room.ran.len == 0; i++) turn(f, fd);
    assert_ran(&f->room, "set a 1;");
    const struct client *c = master_stream_client(f->stream);
    assert_non_null(c);
    assert_string_equal(c->peer, peer);
    assert_int_equal(strncmp(c->local, "127.0.0.1:", 10), 0);
    close(fd);
    close(listen_fd);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_whole_commands_are_applied),
        TEST(test_a_part_of_a_command_waits),
        TEST(test_any_split_gives_the_same),
        TEST(test_a_transaction_counts_with_its_exec),
        TEST(test_keep_alives_count),
        TEST(test_a_malformed_stream),
        TEST(test_a_malformed_transaction),
        TEST(test_a_command_that_fails_is_applied_and_reported),
        TEST(test_a_reset_begins_another_stream),
        TEST(test_expired_keys_are_there_for_the_master),
        TEST(test_the_client_is_named_after_the_link),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
