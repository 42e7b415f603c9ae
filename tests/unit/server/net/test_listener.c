#include "server/net/listener.h"

#include "tests/unit/server/net/fixture.h"

static void test_addresses_that_cannot_be_bound(void **state)
{
    struct fixture *f = fixture_new();
    struct listener_handler handler = handler_of(f);
    struct listener_error err;
    struct listener *second = NULL;
    listen_tcp(f, "127.0.0.1");
    int port = listener_port(f->listener);
    assert_int_equal(listener_open_tcp(f->loop, "127.0.0.1", port, 5, &handler, &second, &err), -EADDRINUSE);
    assert_string_equal(err.text, "bind: Address already in use");
    assert_int_equal(listener_open_tcp(f->loop, "192.0.2.1", port, 5, &handler, &second, &err), -EADDRNOTAVAIL);
    assert_string_equal(err.text, "bind: Cannot assign requested address");
    assert_int_equal(listener_open_tcp(f->loop, "not an address", port, 5, &handler, &second, &err), -ENOENT);
    assert_true(strlen(err.text) > 0);
    char long_path[200];
    memset(long_path, 'x', sizeof(long_path));
    long_path[199] = '\0';
    assert_int_equal(listener_open_unix(f->loop, long_path, 0, 5, &handler, &second, &err), -ENAMETOOLONG);
    assert_null(second);
    fixture_free(f);
}

static struct listener *open_unix(struct fixture *f, const char *path)
{
    struct listener_handler handler = handler_of(f);
    struct listener *l = NULL;
    assert_int_equal(listener_open_unix(f->loop, path, 0, 5, &handler, &l, NULL), 0);
    return l;
}

static int fails_to_open_unix(struct fixture *f, const char *path)
{
    struct listener_handler handler = handler_of(f);
    struct listener_error err = {{0}};
    struct listener *l = NULL;
    int rc = listener_open_unix(f->loop, path, 0, 5, &handler, &l, &err);
    assert_null(l);
    assert_true(strlen(err.text) > 0);
    return rc;
}

static void test_fault_17_socket_that_answers_is_left_alone(void **state)
{
    struct fixture *f = fixture_new();
    f->listener = open_unix(f, f->path);
    assert_int_equal(fails_to_open_unix(f, f->path), -EADDRINUSE);
    assert_int_equal(access(f->path, F_OK), 0);
    assert_int_equal(conn_connect_unix(f->loop, f->path, on_connected, f, &f->out), 0);
    turn_until(f, &f->accepted_count, 2); /* the first connection was the probe */
    fixture_free(f);
}

static void test_fault_17_file_that_is_no_socket_is_left_alone(void **state)
{
    struct fixture *f = fixture_new();
    int fd = open(f->path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(fails_to_open_unix(f, f->path), -EADDRINUSE);
    assert_int_equal(unlink(f->path), 0);
    fixture_free(f);
}

/* A socket file as a crash leaves it: no socket is bound to it. */
static void leave_dead_socket(const char *path)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(un.sun_path, sizeof(un.sun_path), "%s", path);
    assert_int_equal(bind(fd, (const struct sockaddr *)&un, sizeof(un)), 0);
    close(fd);
    assert_int_equal(access(path, F_OK), 0);
}

static void test_fault_17_dead_socket_is_taken_over(void **state)
{
    struct fixture *f = fixture_new();
    leave_dead_socket(f->path);
    f->listener = open_unix(f, f->path);
    assert_int_equal(conn_connect_unix(f->loop, f->path, on_connected, f, &f->out), 0);
    turn_until(f, &f->accepted_count, 1);
    listener_close(f->listener);
    f->listener = NULL;
    assert_int_equal(access(f->path, F_OK), -1);
    fixture_free(f);
}

/* Another server may unlink the file without looking, as redis-server does. Closing ours must not remove its file. */
static void test_fault_17_name_that_another_has_taken_stays(void **state)
{
    struct fixture *f = fixture_new();
    f->listener = open_unix(f, f->path);
    assert_int_equal(unlink(f->path), 0);
    leave_dead_socket(f->path);
    listener_close(f->listener);
    f->listener = NULL;
    assert_int_equal(access(f->path, F_OK), 0);
    assert_int_equal(unlink(f->path), 0);
    fixture_free(f);
}

/* A relative path is relative to the directory of the open call, even if the process has changed it since. */
static void test_fault_17_socket_goes_from_its_own_directory(void **state)
{
    struct fixture *f = fixture_new();
    char here[1024];
    assert_non_null(getcwd(here, sizeof(here)));
    const char *slash = strrchr(f->path, '/');
    char dir[128];
    snprintf(dir, sizeof(dir), "%.*s", (int)(slash - f->path), f->path);
    assert_int_equal(chdir(dir), 0);
    f->listener = open_unix(f, slash + 1);
    assert_int_equal(chdir(here), 0);
    assert_int_equal(access(f->path, F_OK), 0);
    listener_close(f->listener);
    f->listener = NULL;
    assert_int_equal(access(f->path, F_OK), -1);
    fixture_free(f);
}

/* IPv6 sockets accept no IPv4, so both wildcards can use the same port. */
static void test_both_wildcards_share_a_port(void **state)
{
    struct fixture *f = fixture_new();
    struct listener_handler handler = handler_of(f);
    struct listener *v6 = NULL;
    listen_tcp(f, "*");
    assert_int_equal(listener_open_tcp(f->loop, "::*", listener_port(f->listener), 5, &handler, &v6, NULL), 0);
    connect_and_accept(f, "127.0.0.1");
    assert_string_equal(conn_peer_ip(f->accepted[0]), "127.0.0.1");
    conn_close(f->out);
    assert_int_equal(conn_connect(f->loop, "::1", listener_port(v6), NULL, on_connected, f, &f->out), 0);
    turn_until(f, &f->accepted_count, 2);
    assert_string_equal(conn_peer_ip(f->accepted[1]), "::1");
    listener_close(v6);
    fixture_free(f);
}

static mode_t mode_of(const char *path)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return st.st_mode & 07777;
}

static void test_CVE_2023_45145_unix_socket_mode(void **state)
{
    struct fixture *f = fixture_new();
    struct listener_handler handler = handler_of(f);
    mode_t old = umask(0);
    assert_int_equal(listener_open_unix(f->loop, f->path, 0600, 5, &handler, &f->listener, NULL), 0);
    assert_int_equal(mode_of(f->path), 0600);
    listener_close(f->listener);
    umask(077); /* a mode wider than the umask is possible too, and an old file is removed */
    assert_int_equal(listener_open_unix(f->loop, f->path, 0777, 5, &handler, &f->listener, NULL), 0);
    assert_int_equal(mode_of(f->path), 0777);
    umask(old);
    fixture_free(f);
}

static void test_only_a_socket_is_removed_from_the_path(void **state)
{
    struct fixture *f = fixture_new();
    struct listener_handler handler = handler_of(f);
    struct listener_error err;
    int fd = open(f->path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(listener_open_unix(f->loop, f->path, 0, 5, &handler, &f->listener, &err), -EADDRINUSE);
    assert_int_equal(mode_of(f->path), 0600);
    fixture_free(f);
}

static int plain_connect(int port)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&in, sizeof(in)), 0);
    return fd;
}

static void test_many_waiting_connections_are_accepted_in_one_turn(void **state)
{
    struct fixture *f = fixture_new();
    int fds[50];
    listen_tcp(f, "127.0.0.1");
    for (int i = 0; i < 50; i++) fds[i] = plain_connect(listener_port(f->listener));
    loop_poll_turn(f->loop);
    assert_int_equal(f->accepted_count, 50);
    for (int i = 0; i < 50; i++) close(fds[i]);
    fixture_free(f);
}

/* Without free descriptors the error is reported once, and waiting connections are accepted when some are free again.
 * */
static void test_CVE_2025_48367_accepting_goes_on_after_descriptors_run_out(void **state)
{
    struct fixture *f = fixture_new();
    struct rlimit old, tight;
    int fds[10];
    listen_tcp(f, "127.0.0.1");
    for (int i = 0; i < 10; i++) fds[i] = plain_connect(listener_port(f->listener));
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    int lowest = dup(0);
    close(lowest);
    tight = (struct rlimit){.rlim_cur = (rlim_t)lowest + 4, .rlim_max = old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    turn_until(f, &f->accept_errors, 1);
    assert_int_equal(f->accepted_count, 4);
    for (int i = 0; i < 5; i++) loop_poll_turn(f->loop);
    loop_run_turn(f->loop); /* after the pause it tried again */
    loop_run_turn(f->loop);
    assert_int_equal(f->accept_errors, 1);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    turn_until(f, &f->accepted_count, 10);
    int more = plain_connect(listener_port(f->listener)); /* a second lack is reported again */
    tight.rlim_cur = 3;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    turn_until(f, &f->accept_errors, 2);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    turn_until(f, &f->accepted_count, 11);
    close(more);
    for (int i = 0; i < 10; i++) close(fds[i]);
    fixture_free(f);
}

/* Waiting connections can be accepted without a turn of the loop. */
static void test_accepting_without_a_turn(void **state)
{
    struct fixture *f = fixture_new();
    int fds[4];
    listen_tcp(f, "127.0.0.1");
    listener_accept_now(f->listener); /* no connection waits */
    assert_int_equal(f->accepted_count, 0);
    for (int i = 0; i < 4; i++) fds[i] = plain_connect(listener_port(f->listener));
    listener_accept_now(f->listener);
    assert_int_equal(f->accepted_count, 4);
    assert_int_equal(f->accept_errors, 0);
    for (int i = 0; i < 4; i++) close(fds[i]);
    fixture_free(f);
}

/* A peer that left before it was accepted does not disturb the others. */
static void test_peers_that_have_left_already(void **state)
{
    struct fixture *f = fixture_new();
    struct linger at_once = {.l_onoff = 1};
    char byte;
    listen_tcp(f, "127.0.0.1");
    int gone = plain_connect(listener_port(f->listener));
    assert_int_equal(setsockopt(gone, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)), 0);
    close(gone); /* with a reset */
    int alive = plain_connect(listener_port(f->listener));
    turn_until(f, &f->accepted_count, 2);
    assert_int_equal(f->accept_errors, 0);
    assert_int_equal(conn_read(f->accepted[0], &byte, 1), -ECONNRESET);
    assert_int_equal(conn_read(f->accepted[1], &byte, 1), -EAGAIN);
    close(alive);
    fixture_free(f);
}

static void test_a_directory_that_is_not_there(void **state)
{
    struct fixture *f = fixture_new();
    char path[96];
    snprintf(path, sizeof(path), "%s/nowhere/socket", f->dir);
    assert_int_equal(fails_to_open_unix(f, path), -ENOENT);
    fixture_free(f);
}

static void test_what_a_listener_is(void **state)
{
    struct fixture *f = fixture_new();
    f->listener = open_unix(f, f->path);
    assert_int_equal(listener_port(f->listener), 0);
    listener_close(f->listener);
    listen_tcp(f, "localhost");
    connect_and_accept(f, "localhost");
    assert_false(conn_is_unix(f->accepted[0]));
    listener_close(NULL);
    fixture_free(f);
}

/* The others wait in the queue for the next turn. */
static void test_few_are_accepted_in_one_event(void **state)
{
    struct fixture *f = fixture_new();
    struct listener_handler handler = handler_of(f);
    struct conn *out[5];
    handler.accepts_per_event = 2;
    assert_int_equal(listener_open_tcp(f->loop, "127.0.0.1", 0, 511, &handler, &f->listener, NULL), 0);
    for (int i = 0; i < 5; i++)
        assert_int_equal(conn_connect(f->loop, "127.0.0.1", listener_port(f->listener), NULL, on_connected, f, &out[i]),
                         0);
    turn_until(f, &f->connected_calls, 5);
    for (int before = f->accepted_count; f->accepted_count < 5; before = f->accepted_count) {
        loop_run_turn(f->loop);
        assert_true(f->accepted_count - before <= 2);
    }
    for (int i = 0; i < 5; i++) conn_close(out[i]);
    fixture_free(f);
}

static int rest_twice(void *ctx)
{
    struct fixture *f = ctx;
    return f->write_events++ < 2 ? 5 : 0;
}

static void test_the_owner_asks_for_a_pause(void **state)
{
    struct fixture *f = fixture_new();
    struct listener_handler handler = handler_of(f);
    handler.rest_ms = rest_twice;
    assert_int_equal(listener_open_tcp(f->loop, "127.0.0.1", 0, 511, &handler, &f->listener, NULL), 0);
    connect_and_accept(f, "127.0.0.1");
    assert_int_equal(f->write_events, 3); /* two pauses, and then it was accepted */
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_few_are_accepted_in_one_event),
        cmocka_unit_test(test_the_owner_asks_for_a_pause),
        cmocka_unit_test(test_addresses_that_cannot_be_bound),
        cmocka_unit_test(test_fault_17_socket_that_answers_is_left_alone),
        cmocka_unit_test(test_fault_17_file_that_is_no_socket_is_left_alone),
        cmocka_unit_test(test_fault_17_dead_socket_is_taken_over),
        cmocka_unit_test(test_fault_17_name_that_another_has_taken_stays),
        cmocka_unit_test(test_fault_17_socket_goes_from_its_own_directory),
        cmocka_unit_test(test_both_wildcards_share_a_port),
        cmocka_unit_test(test_CVE_2023_45145_unix_socket_mode),
        cmocka_unit_test(test_only_a_socket_is_removed_from_the_path),
        cmocka_unit_test(test_many_waiting_connections_are_accepted_in_one_turn),
        cmocka_unit_test(test_CVE_2025_48367_accepting_goes_on_after_descriptors_run_out),
        cmocka_unit_test(test_accepting_without_a_turn),
        cmocka_unit_test(test_peers_that_have_left_already),
        cmocka_unit_test(test_a_directory_that_is_not_there),
        cmocka_unit_test(test_what_a_listener_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
