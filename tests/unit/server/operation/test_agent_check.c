/* Agent checks: each line, the curve of the weight, and the port that answers. */
#include "server/operation/agent_check.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/clients/listening.h"
#include "tests/unit/server/commands/fixture.h"

static const struct agent_limits limits = {.lag_bytes = 1000, .silent_ms = 20000};

static void assert_line(const struct health *h, const char *wanted)
{
    struct bytes_buf line = {0};
    agent_check_line(h, &limits, &line);
    bytes_buf_append(&line, "", 1);
    assert_string_equal(line.data, wanted);
    bytes_buf_release(&line);
}

static void test_lines(void **state)
{
    struct health h = {.role = REPL_MASTER, .serves_reads = true, .serves_writes = true, .text = "ready"};
    (void)state;
    assert_line(&h, "up ready 100%\n");
    h.serves_writes = false; /* it still serves reads: who wants the master asks elsewhere */
    assert_line(&h, "up ready 100%\n");
    h.asked = BALANCER_DRAIN;
    assert_line(&h, "up drain\n");
    h.asked = BALANCER_MAINT;
    assert_line(&h, "maint\n");
    h.serves_reads = false;
    strcpy(h.text, "loading the data set");
    assert_line(&h, "maint\n");
    h.asked = BALANCER_DRAIN;
    assert_line(&h, "drain down #loading the data set\n");
    h.asked = BALANCER_READY;
    assert_line(&h, "down #loading the data set\n");
}

static int weight(enum repl_role role, uint64_t lag, int64_t silent_ms)
{
    struct health h = {.role = role, .serves_reads = true};
    h.freshness.lag_bytes = lag;
    h.freshness.silent_ms = silent_ms;
    return agent_check_weight(&h, &limits);
}

static void test_the_weight_falls_with_the_lag(void **state)
{
    int before = 100;
    (void)state;
    assert_int_equal(weight(REPL_REPLICA, 0, 0), 100);
    assert_int_equal(weight(REPL_REPLICA, 1000, 0), 100);
    assert_int_equal(weight(REPL_REPLICA, 1001, 0), 99);
    assert_int_equal(weight(REPL_REPLICA, 2000, 0), 50);
    assert_int_equal(weight(REPL_REPLICA, 4000, 0), 25);
    assert_int_equal(weight(REPL_REPLICA, 100000, 0), 1);
    assert_int_equal(weight(REPL_REPLICA, 200000, 0), 1); /* 0 would take it out of the farm */
    assert_int_equal(weight(REPL_REPLICA, UINT64_MAX, 0), 1);
    for (uint64_t lag = 0; lag < 200000; lag += 37) {
        int now = weight(REPL_REPLICA, lag, 0);
        assert_true(now <= before && now >= 1);
        before = now;
    }
}

static void test_the_weight_falls_with_silence(void **state)
{
    (void)state;
    assert_int_equal(weight(REPL_REPLICA, 0, -1), 100);
    assert_int_equal(weight(REPL_REPLICA, 0, 20000), 100);
    assert_int_equal(weight(REPL_REPLICA, 0, 40000), 50);
    assert_int_equal(weight(REPL_REPLICA, 4000, 40000), 25); /* the worse one counts */
    assert_int_equal(weight(REPL_REPLICA, 2000, 80000), 25);
    assert_int_equal(weight(REPL_REPLICA, 0, INT64_MAX), 1);
}

static void test_no_weight_without_a_limit(void **state)
{
    struct health h = {.role = REPL_REPLICA, .serves_reads = true};
    struct agent_limits none = {0};
    (void)state;
    h.freshness.lag_bytes = UINT64_MAX;
    h.freshness.silent_ms = 1000;
    assert_int_equal(agent_check_weight(&h, &none), 100);
    assert_int_equal(weight(REPL_MASTER, UINT64_MAX, INT64_MAX), 100);
}

/* What a balancer gets that connects and says `request`. */
static void assert_answered(const struct fixture *f, int port, const char *request, const char *wanted)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    char text[256] = {0};
    size_t len = 0;
    ssize_t n = 1;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(write(fd, request, strlen(request)), strlen(request));
    loop_poll_turn(f->server->core.loop);
    for (; n > 0 && len < sizeof(text) - 1; len += (size_t)n) n = read(fd, text + len, sizeof(text) - 1 - len);
    assert_int_equal(n, 0); /* an end, not a reset */
    assert_string_equal(text, wanted);
    close(fd);
}

static void test_the_port(void **state)
{
    struct fixture *f = *state;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    close(fd);
    int port = ntohs(at.sin_port);
    char line[100];
    snprintf(line, sizeof(line), "CONFIG SET port 0 agent-check-port %d agent-check-bind 127.0.0.1", port);
    CHECK(f, line, "+OK");
    assert_false(listening_for_clients(f->server->listening));
    assert_answered(f, port, "", "up ready 100%\n");
    assert_answered(f, port, "backend-name\n", "up ready 100%\n");
    CHECK(f, "CONFIG SET load-balancer-state drain", "+OK");
    assert_answered(f, port, "", "up drain\n");
    f->server->core.modes.loading = true;
    assert_answered(f, port, "", "drain down #loading the data set\n");
    f->server->core.modes.loading = false;
    assert_int_equal(clients_count(f->server->clients), FIXTURE_CLIENTS); /* connections of balancers are no clients */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_the_weight_falls_with_the_lag),
        cmocka_unit_test(test_the_weight_falls_with_silence),
        cmocka_unit_test(test_no_weight_without_a_limit),
        TEST(test_the_port),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
