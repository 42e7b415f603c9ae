/* Two servers in one process, each in a thread with its own loop, one following the other. */
#include "server/clients/listening.h"
#include "server/commands/tables.h"
#include "server/house.h"

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

enum { READY_MS = 20000 };

struct node {
    struct settings settings;
    struct config *cfg;
    struct server *server;
    pthread_t thread;
    int port, fd, exit_code;
};

static struct sockaddr_in loopback(int port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static int free_port(void)
{
    struct sockaddr_in at = loopback(0);
    socklen_t len = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    close(fd);
    return ntohs(at.sin_port);
}

static void *run(void *ctx)
{
    struct node *n = ctx;
    n->exit_code = server_run(n->server);
    return NULL;
}

/* Data sets go over sockets and no files are written, because both servers share the working directory. */
static void node_start(struct node *n)
{
    char text[256];
    struct config_failure failure;
    n->port = free_port();
    n->cfg = config_new(&n->settings, sys_real(), &(struct config_hooks){0});
    snprintf(text, sizeof(text),
             "port %d\nbind 127.0.0.1\nsave \"\"\nenable-debug-command yes\nrepl-diskless-sync-delay 0\n"
             "repl-diskless-load on-empty-db\ndbfilename no-such-file.rdb\nlineage no\n",
             n->port);
    assert_int_equal(config_load_text(n->cfg, bytes_str(text), &failure), 0);
    n->server = server_new(n->cfg, &n->settings, command_row_tables(), sys_real(), NULL);
    assert_non_null(n->server);
    assert_int_equal(listening_open(n->server->listening, NULL), 0);
    assert_int_equal(pthread_create(&n->thread, NULL, run, n), 0);
    struct sockaddr_in to = loopback(n->port);
    struct timeval patience = {.tv_sec = READY_MS / 1000};
    n->fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(n->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    assert_int_equal(connect(n->fd, (struct sockaddr *)&to, sizeof(to)), 0);
}

static void node_stop(struct node *n)
{
    assert_true(write(n->fd, "SHUTDOWN NOSAVE\r\n", 17) == 17);
    assert_int_equal(pthread_join(n->thread, NULL), 0);
    assert_int_equal(n->exit_code, 0);
    close(n->fd);
    server_free(n->server);
    config_free(n->cfg);
}

/* Sends a command whose reply is one line (two for a bulk string), and returns the reply. */
static const char *ask(struct node *n, char *reply, size_t cap, const char *command)
{
    size_t len = 0, lines = 0, wanted = 1;
    char request[256];
    int size = snprintf(request, sizeof(request), "%s\r\n", command);
    assert_true(write(n->fd, request, (size_t)size) == size);
    while (lines < wanted) {
        assert_true(len + 1 < cap);
        assert_true(read(n->fd, reply + len, 1) == 1);
        if (reply[len++] != '\n') continue;
        if (++lines == 1 && reply[0] == '$' && reply[1] != '-') wanted = 2;
    }
    reply[len - 2] = '\0';
    return reply;
}

static void expect(struct node *n, const char *command, const char *reply)
{
    char text[256];
    assert_string_equal(ask(n, text, sizeof(text), command), reply);
}

static int setup(void **state)
{
    struct node *nodes = mem_calloc(2 * sizeof(*nodes));
    node_start(&nodes[0]);
    node_start(&nodes[1]);
    *state = nodes;
    return 0;
}

static int teardown(void **state)
{
    struct node *nodes = *state;
    node_stop(&nodes[1]);
    node_stop(&nodes[0]);
    mem_free(nodes);
    return 0;
}

static void test_two_servers_share_nothing(void **state)
{
    struct node *a = *state, *b = a + 1;
    expect(a, "SET k a", "+OK");
    expect(b, "SET k b", "+OK");
    expect(a, "CONFIG SET slowlog-max-len 7", "+OK");
    expect(a, "CLIENT SETNAME first", "+OK");
    expect(a, "SELECT 3", "+OK");
    expect(b, "GET k", "$1\r\nb");
    expect(b, "DBSIZE", ":1");
    expect(b, "CLIENT GETNAME", "$-1");
    assert_int_equal(a->settings.latency.slowlog_max_len, 7);
    assert_int_equal(b->settings.latency.slowlog_max_len, 128);
}

/* Waits until the replica has everything: WAIT returns the number of such replicas. */
static void wait_in_step(struct node *master)
{
    char reply[64];
    for (int tries = 0; tries < READY_MS / 100; tries++)
        if (strcmp(ask(master, reply, sizeof(reply), "WAIT 1 100"), ":1") == 0) return;
    fail_msg("the replica did not follow");
}

static void test_one_follows_the_other(void **state)
{
    struct node *a = *state, *b = a + 1;
    char command[128], first[128], second[128];
    expect(a, "RPUSH before 1 2 3", ":3");
    snprintf(command, sizeof(command), "REPLICAOF 127.0.0.1 %d", a->port);
    expect(b, command, "+OK");
    for (int i = 0; i < 500; i++) {
        snprintf(command, sizeof(command), "ZADD z %d member:%d", i * 7 % 100, i);
        expect(a, command, ":1");
    }
    expect(a, "MULTI", "+OK");
    expect(a, "INCR counter", "+QUEUED");
    expect(a, "EXPIRE counter 1000", "+QUEUED");
    expect(a, "EXEC", "*2");
    char rest[8];
    assert_true(read(a->fd, rest, 8) == 8); /* :1 and :1 */
    wait_in_step(a);
    ask(a, first, sizeof(first), "DEBUG DIGEST");
    assert_string_equal(ask(b, second, sizeof(second), "DEBUG DIGEST"), first);
    expect(b, "ZRANK z member:99", ask(a, first, sizeof(first), "ZRANK z member:99"));
    expect(b, "SET k v", "-READONLY You can't write against a read only replica.");
}

static void wait_loading(struct node *n)
{
    char reply[256];
    for (int tries = 0; tries < READY_MS; tries++) {
        if (strncmp(ask(n, reply, sizeof(reply), "PING"), "-LOADING", 8) == 0) return;
        usleep(1000);
    }
    fail_msg("nothing is loaded");
}

/* The teardown stops the replica first. Its replication gives up the load when it is freed, and needs what loads. */
static void test_replica_stops_while_it_loads(void **state)
{
    struct node *a = *state, *b = a + 1;
    char command[128];
    expect(a, "DEBUG POPULATE 1000", "+OK");
    expect(a, "CONFIG SET rdb-key-save-delay 10000", "+OK");
    snprintf(command, sizeof(command), "REPLICAOF 127.0.0.1 %d", a->port);
    expect(b, command, "+OK");
    wait_loading(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_two_servers_share_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_one_follows_the_other, setup, teardown),
        cmocka_unit_test_setup_teardown(test_replica_stops_while_it_loads, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
