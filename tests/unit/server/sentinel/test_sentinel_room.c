/* A sentinel in a thread of its own, and servers that the test plays: what comes over the links, and what it does about
 * strange answers. */
#include "server/clients/listening.h"
#include "server/commands/tables.h"
#include "server/house.h"
#include "server/sentinel/sentinel_links.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>
#include <cmocka.h>

#include "storage/base/memory.h"

enum { PATIENCE_S = 20 };

struct fixture {
    char dir[64], path[128];
    struct settings settings;
    struct config *cfg;
    struct server *server;
    pthread_t thread;
    int listener, port; /* of the master that the test plays */
    int sentinel_port, exit_code;
};

static int listen_somewhere(int *port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(fd, 16), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    *port = ntohs(at.sin_port);
    return fd;
}

static void be_patient(int fd)
{
    struct timeval patience = {.tv_sec = PATIENCE_S};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
}

static void *run(void *ctx)
{
    struct fixture *f = ctx;
    f->exit_code = server_run(f->server);
    return NULL;
}

static struct fixture *start(const char *more)
{
    struct fixture *f = mem_calloc(sizeof(*f));
    int probe = listen_somewhere(&f->sentinel_port);
    close(probe);
    f->listener = listen_somewhere(&f->port);
    be_patient(f->listener);
    snprintf(f->dir, sizeof(f->dir), "/tmp/test_sentinel_room_XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->path, sizeof(f->path), "%s/sentinel.conf", f->dir);
    FILE *file = fopen(f->path, "w");
    assert_non_null(file);
    fprintf(file, "port %d\nbind 127.0.0.1\nlineage no\nsentinel monitor m 127.0.0.1 %d 1\n%s", f->sentinel_port,
            f->port, more);
    fclose(file);
    const char *argv[] = {"lockstep-sentinel", f->path};
    struct config_start out;
    f->cfg = config_new(&f->settings, sys_real(), NULL);
    config_be_sentinel(f->cfg);
    assert_int_equal(config_load(f->cfg, 2, (char **)argv, &out), CONFIG_START_RUN);
    f->server = server_new(f->cfg, &f->settings, sentinel_row_tables(), sys_real(), NULL);
    assert_non_null(f->server);
    assert_int_equal(listening_open(f->server->listening, NULL), 0);
    assert_int_equal(pthread_create(&f->thread, NULL, run, f), 0);
    return f;
}

static int ask_sentinel(const struct fixture *f, const char *request)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)f->sentinel_port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    be_patient(fd);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    assert_true(write(fd, request, strlen(request)) == (ssize_t)strlen(request));
    return fd;
}

static int call_sentinel(const struct fixture *f, const char *request, char *reply, size_t size)
{
    int fd = ask_sentinel(f, request);
    ssize_t n = read(fd, reply, size - 1);
    reply[n > 0 ? n : 0] = '\0';
    close(fd);
    return (int)n;
}

static void stop(struct fixture *f)
{
    int fd =
        ask_sentinel(f, "SHUTDOWN\r\n"); /* there is no reply, and the connection stays until the server is freed */
    assert_int_equal(pthread_join(f->thread, NULL), 0);
    close(fd);
    assert_int_equal(f->exit_code, 0);
    server_free(f->server);
    config_free(f->cfg);
    close(f->listener);
    unlink(f->path);
    assert_int_equal(rmdir(f->dir), 0);
    mem_free(f);
}

static int take_link(const struct fixture *f)
{
    int fd = accept(f->listener, NULL, NULL);
    assert_true(fd >= 0);
    be_patient(fd);
    return fd;
}

/* Reads a line without its CR LF. False: the sentinel has closed the connection. */
static bool read_line(int fd, char *line, size_t size)
{
    size_t len = 0;
    for (;;) {
        char c;
        ssize_t n = read(fd, &c, 1);
        if (n == 0) return false;
        assert_true(n == 1 && len < size);
        if (c == '\n') break;
        line[len++] = c;
    }
    line[len - 1] = '\0'; /* the CR */
    return true;
}

/* The next command of the link, with blanks between its words. "": closed. */
static void read_command(int fd, char text[256])
{
    char line[256];
    text[0] = '\0';
    if (!read_line(fd, line, sizeof(line))) return;
    assert_int_equal(line[0], '*');
    for (int words = atoi(line + 1), i = 0; i < words; i++) {
        assert_true(read_line(fd, line, sizeof(line)) && line[0] == '$');
        assert_true(read_line(fd, line, sizeof(line)));
        size_t len = strlen(text);
        snprintf(text + len, 256 - len, "%s%s", i > 0 ? " " : "", line);
    }
}

static void answer(int fd, const char *reply)
{
    assert_true(write(fd, reply, strlen(reply)) == (ssize_t)strlen(reply));
}

static void expect_command(int fd, const char *wanted, const char *reply)
{
    char text[256];
    read_command(fd, text);
    assert_string_equal(text, wanted);
    answer(fd, reply);
}

/* CLIENT SETNAME with the name of this link; the id in it is random. */
static bool expect_name(int fd, const char *reply)
{
    char text[256];
    read_command(fd, text);
    assert_memory_equal(text, "CLIENT SETNAME sentinel-", 24);
    bool commands = strcmp(text + 32, "-cmd") == 0;
    if (!commands) assert_string_equal(text + 32, "-pubsub");
    answer(fd, reply);
    return commands;
}

static void close_links(const int links[2])
{
    close(links[0]);
    close(links[1]);
}

static void expect_closed(int fd)
{
    char text[256];
    do read_command(fd, text);
    while (text[0] != '\0');
}

static void test_the_handshake_of_both_links(void **state)
{
    struct fixture *f = start("sentinel auth-user m watcher\nsentinel auth-pass m secret\n");
    int links[2] = {take_link(f), take_link(f)}, names = 0;
    for (int i = 0; i < 2; i++) {
        char text[256];
        expect_command(links[i], "AUTH watcher secret", "+OK\r\n");
        bool commands = expect_name(links[i], "+OK\r\n");
        names += commands ? 1 : 2;
        read_command(links[i], text);
        if (commands)
            assert_true(strcmp(text, "PING") == 0 || strcmp(text, "INFO") == 0);
        else
            assert_string_equal(text, "SUBSCRIBE __sentinel__:hello");
    }
    assert_int_equal(names, 3);
    close_links(links);
    stop(f);
}

static void test_a_password_alone(void **state)
{
    struct fixture *f = start("sentinel auth-pass m secret\n");
    int links[2] = {take_link(f), take_link(f)};
    expect_command(links[0], "AUTH secret", "+OK\r\n");
    close_links(links);
    stop(f);
}

/* The server needs no password for what follows. */
static void test_a_refused_auth_that_is_not_needed(void **state)
{
    struct fixture *f = start("sentinel auth-pass m secret\n");
    int links[2] = {take_link(f), take_link(f)};
    for (int i = 0; i < 2; i++) {
        char text[256];
        expect_command(links[i], "AUTH secret", "-ERR AUTH <password> called without any password configured\r\n");
        (void)expect_name(links[i], "+OK\r\n");
        read_command(links[i], text);
        assert_string_not_equal(text, "");
    }
    close_links(links);
    stop(f);
}

static void test_after_noauth_it_waits_for_a_second(void **state)
{
    struct fixture *f = start("");
    int links[2] = {take_link(f), take_link(f)};
    int64_t began_us = sys_mono_us(sys_real());
    for (int i = 0; i < 2; i++) {
        (void)expect_name(links[i], "-NOAUTH Authentication required.\r\n");
        expect_closed(links[i]);
    }
    close_links(links);
    int again = take_link(f);
    assert_true(sys_mono_us(sys_real()) - began_us > (SENTINEL_ATTEMPT_MS - 200) * 1000);
    close(again);
    stop(f);
}

static void test_nonsense_closes_the_link_and_nothing_else(void **state)
{
    static const char *const nonsense[] = {"HTTP/1.1 200 OK\r\n", "*2000000\r\n", "$-2\r\n", "+OK\n"};
    for (size_t i = 0; i < sizeof(nonsense) / sizeof(nonsense[0]); i++) {
        struct fixture *f = start("");
        char reply[256];
        int links[2] = {take_link(f), take_link(f)};
        answer(links[0], nonsense[i]);
        expect_closed(links[0]);
        assert_true(call_sentinel(f, "PING\r\n", reply, sizeof(reply)) > 0);
        assert_string_equal(reply, "+PONG\r\n");
        close_links(links);
        stop(f);
    }
}

/* Answers that nobody asked for, and a flood of messages. */
static void test_uninvited_replies_are_dropped(void **state)
{
    struct fixture *f = start("");
    char reply[256];
    int links[2] = {take_link(f), take_link(f)};
    for (int i = 0; i < 2; i++) {
        bool commands = expect_name(links[i], "+OK\r\n");
        if (!commands) expect_command(links[i], "SUBSCRIBE __sentinel__:hello", "*3\r\n+subscribe\r\n+x\r\n:1\r\n");
    }
    for (int i = 0; i < 2; i++)
        for (int n = 0; n < 1000; n++) answer(links[i], "*3\r\n$7\r\nmessage\r\n$1\r\nx\r\n$7\r\n1,2,3,4\r\n");
    assert_true(call_sentinel(f, "PING\r\n", reply, sizeof(reply)) > 0);
    assert_string_equal(reply, "+PONG\r\n");
    close_links(links);
    stop(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_handshake_of_both_links),
        cmocka_unit_test(test_a_password_alone),
        cmocka_unit_test(test_a_refused_auth_that_is_not_needed),
        cmocka_unit_test(test_after_noauth_it_waits_for_a_second),
        cmocka_unit_test(test_nonsense_closes_the_link_and_nothing_else),
        cmocka_unit_test(test_uninvited_replies_are_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
