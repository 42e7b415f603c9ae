/* What clients in MONITOR see of a command. */
#include "server/clients/monitor.h"

#include "tests/unit/server/clients/fixture.h"

static void feed(const struct client *from, int row, int argc, const struct bytes_view *argv)
{
    monitor_feed(from, &room_rows[row], argc, argv);
}

/* As if it had come over TCP. */
static void comes_from(struct client *c, const char *address)
{
    client_flag_clear(c, CLIENT_UNIX);
    snprintf(c->peer, sizeof(c->peer), "%s", address);
}

static void test_a_line_shows_time_database_address_and_arguments(void **state)
{
    struct room *r = *state;
    struct client *from = room_open(r), *sees = room_open(r), *other = room_open(r);
    struct bytes_view argv[] = {BYTES_LIT("SET"), BYTES_LIT("k"), BYTES_LIT("v w")};
    from->db = keyspace_db(r->core->keyspace, 3);
    comes_from(from, "127.0.0.1:5555");
    r->f.wall_us += 42;
    monitor_start(sees);
    feed(from, 1, 3, argv);
    assert_told(sees, "+1700000000.000042 [3 127.0.0.1:5555] \"SET\" \"k\" \"v w\"\r\n");
    assert_told(other, "");
    assert_true(client_has(sees, CLIENT_WANTS_FLUSH));
}

static void test_a_unix_client_is_shown_with_its_socket(void **state)
{
    struct room *r = *state;
    struct client *c = room_open(r);
    struct bytes_view argv[] = {BYTES_LIT("get"), BYTES_LIT("k")};
    char path[] = "/run/lockstep.sock", *before = r->f.settings.net.unixsocket;
    r->f.settings.net.unixsocket = path;
    monitor_start(c);
    feed(c, 0, 2, argv); /* its own command, too */
    assert_told(c, "+1700000000.000000 [0 unix:/run/lockstep.sock] \"get\" \"k\"\r\n");
    r->f.settings.net.unixsocket = before;
}

/* No argument can end the line, or be taken for another one. */
static void test_arguments_are_quoted(void **state)
{
    struct room *r = *state;
    struct client *c = room_open(r);
    struct bytes_view argv[] = {BYTES_LIT("get"), bytes_view("\"\\\r\n\t\a\b\0\x7f\xff", 10), BYTES_LIT("")};
    monitor_start(c);
    comes_from(c, "lua");
    feed(c, 0, 3, argv);
    assert_told(c, "+1700000000.000000 [0 lua] \"get\" \"\\\"\\\\\\r\\n\\t\\a\\b\\x00\\x7f\\xff\" \"\"\r\n");
}

static void test_secrets_are_hidden(void **state)
{
    struct room *r = *state;
    struct client *c = room_open(r);
    struct bytes_view argv[] = {BYTES_LIT("auth"), BYTES_LIT("user"), BYTES_LIT("secret")};
    monitor_start(c);
    comes_from(c, "lua");
    feed(c, 2, 3, argv);
    assert_told(c, "+1700000000.000000 [0 lua] \"auth\" \"user\" \"(redacted)\"\r\n");
}

static void test_it_ends_with_reset_or_the_connection(void **state)
{
    struct room *r = *state;
    struct client *a = room_open(r), *b = room_open(r);
    struct bytes_view argv[] = {BYTES_LIT("get"), BYTES_LIT("k")};
    monitor_start(a);
    monitor_start(a); /* twice is once */
    monitor_start(b);
    assert_int_equal(r->core->monitor_count, 2);
    client_reset(a);
    assert_int_equal(r->core->monitor_count, 1);
    client_close_later(b);
    feed(a, 0, 2, argv);
    assert_told(a, "");
    assert_told(b, ""); /* it is closing */
    clients_reap(r->cs);
    assert_int_equal(r->core->monitor_count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROOM_TEST(test_a_line_shows_time_database_address_and_arguments),
        ROOM_TEST(test_a_unix_client_is_shown_with_its_socket),
        ROOM_TEST(test_arguments_are_quoted),
        ROOM_TEST(test_secrets_are_hidden),
        ROOM_TEST(test_it_ends_with_reset_or_the_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
