/* Connections of the HTTP port: order of answers, ends, deadlines, limits, and the budget of a turn. */
#include "server/web/http.h"

#include <time.h>

#include "tests/unit/server/core/core_fixture.h"

enum { PEERS = 16 };

struct web_fixture {
    struct core_fixture f; /* first */
    struct http *http;
    int fds[PEERS];
    int answered;
    size_t body_bytes; /* of /big */
    struct bytes_buf got;
};

/* ---- A server whose routes are: / (a line with its number), /big, /late, /end ---- */

static void answer(void *ctx, const struct conn *conn, const struct web_request *rq, struct web_reply *reply)
{
    struct web_fixture *w = ctx;
    assert_non_null(conn_peer_name(conn));
    web_reply_line(reply, 200, "answer %d", ++w->answered);
    if (bytes_equal(rq->path, BYTES_LIT("/big"))) {
        bytes_buf_reserve(&reply->body, w->body_bytes);
        memset(reply->body.data, 'x', w->body_bytes);
        reply->body.len = w->body_bytes;
    }
    if (bytes_equal(rq->path, BYTES_LIT("/late"))) reply->delay_ms = 30;
    if (bytes_equal(rq->path, BYTES_LIT("/end"))) reply->close = true;
}

enum { NEVER_MS = 600 * 1000 }; /* beyond the test's own time: how fast this machine is does not matter */

/* A test gives what it waits for, and nothing else passes. */
static int setup_with(void **state, const struct http_limits *deadlines)
{
    struct http_limits limits = {.connections = 4,
                                 .output_bytes = 4 * 1024 * 1024,
                                 .request_ms = NEVER_MS,
                                 .idle_ms = NEVER_MS,
                                 .send_ms = NEVER_MS,
                                 .leave_ms = NEVER_MS};
    if (deadlines->request_ms) limits.request_ms = deadlines->request_ms;
    if (deadlines->idle_ms) limits.idle_ms = deadlines->idle_ms;
    if (deadlines->send_ms) limits.send_ms = deadlines->send_ms;
    if (deadlines->leave_ms) limits.leave_ms = deadlines->leave_ms;
    struct web_fixture *w = mem_calloc(sizeof(*w));
    core_fixture_init(&w->f, NULL);
    for (int i = 0; i < PEERS; i++) w->fds[i] = -1;
    w->http = http_new(&w->f.core, &limits, answer, w);
    *state = w;
    return 0;
}

static int setup(void **state)
{
    return setup_with(state, &(struct http_limits){0});
}
static int setup_request(void **state)
{
    return setup_with(state, &(struct http_limits){.request_ms = 60});
}
static int setup_request_and_idle(void **state)
{
    return setup_with(state, &(struct http_limits){.request_ms = 20, .idle_ms = 1000});
}
static int setup_send(void **state)
{
    return setup_with(state, &(struct http_limits){.send_ms = 60});
}
static int setup_leave(void **state)
{
    return setup_with(state, &(struct http_limits){.leave_ms = 60});
}

static int teardown(void **state)
{
    struct web_fixture *w = *state;
    http_free(w->http);
    for (int i = 0; i < PEERS; i++)
        if (w->fds[i] != -1) close(w->fds[i]);
    bytes_buf_release(&w->got);
    core_fixture_release(&w->f);
    mem_free(w);
    return 0;
}

static struct http_stats stats(struct web_fixture *w)
{
    struct http_stats st;
    http_get_stats(w->http, &st);
    return st;
}

static void turns(struct web_fixture *w)
{
    for (int i = 0; i < 8; i++) {
        loop_poll_turn(w->f.core.loop);
        (void)http_turn(w->http);
    }
}

static void open_peer(struct web_fixture *w, int i)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    w->fds[i] = fds[1];
    http_accept(w->http, conn_adopt(w->f.core.loop, fds[0]));
}

static void say(struct web_fixture *w, int i, const char *text)
{
    assert_int_equal(send(w->fds[i], text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
    turns(w);
}

/* Reads what is there. True: the connection has been closed. */
static bool hear(struct web_fixture *w, int i)
{
    char buf[65536];
    ssize_t n;
    w->got.len = 0;
    while ((n = recv(w->fds[i], buf, sizeof(buf), MSG_DONTWAIT)) > 0) {
        bytes_buf_append(&w->got, buf, (size_t)n);
        turns(w);
    }
    bool closed = n == 0 || errno != EAGAIN;
    bytes_buf_append(&w->got, "", 1);
    return closed;
}

/* `closes`: the answer says so. `closed`: it is so. */
static void compare(struct web_fixture *w, int i, const char *status, const char *body, bool closes, bool closed)
{
    bool is_closed = hear(w, i);
    if (strncmp(w->got.data, "HTTP/1.1 ", 9) != 0 || strncmp(w->got.data + 9, status, strlen(status)) != 0)
        fail_msg("'%s' does not begin with %s", w->got.data, status);
    const char *found = strstr(w->got.data, "\r\n\r\n");
    assert_non_null(found);
    assert_string_equal(found + 4, body);
    assert_non_null(strstr(w->got.data, closes ? "\r\nConnection: close\r\n" : "\r\nConnection: keep-alive\r\n"));
    assert_int_equal(is_closed, closed);
}
static void assert_answer(struct web_fixture *w, int i, const char *status, const char *body, bool closed)
{
    compare(w, i, status, body, closed, closed);
}
/* The connection is LEAVING. */
static void assert_error(struct web_fixture *w, int i, const char *status, const char *body)
{
    compare(w, i, status, body, true, false);
}

static void wait_ms(struct web_fixture *w, int ms)
{
    struct timespec start, now;
    clock_gettime(CLOCK_MONOTONIC, &start);
    do {
        turns(w);
        usleep(1000);
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while ((now.tv_sec - start.tv_sec) * 1000 + (now.tv_nsec - start.tv_nsec) / 1000000 < ms);
}

static bool is_closed(struct web_fixture *w, int i)
{
    return hear(w, i);
}

/* Until the peer is closed; the test's time limit ends a wait in vain. */
static void wait_closed(struct web_fixture *w, int i)
{
    while (!hear(w, i)) wait_ms(w, 1);
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"

static void send_many(struct web_fixture *w, int i, int count)
{
    struct bytes_buf many = {0};
    for (int n = 0; n < count; n++) bytes_buf_printf(&many, "%s", GET("/"));
    assert_int_equal(send(w->fds[i], many.data, many.len, 0), (ssize_t)many.len);
    bytes_buf_release(&many);
}

/* ---- Requests ---- */

static void test_one_after_the_other(void **state)
{
    struct web_fixture *w = *state;
    open_peer(w, 0);
    say(w, 0, GET("/"));
    assert_answer(w, 0, "200", "answer 1\n", false);
    assert_non_null(strstr(w->got.data, "\r\nDate: Tue, 14 Nov 2023 22:13:20 GMT\r\n"));
    say(w, 0, "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_answer(w, 0, "200", "", false);
    assert_non_null(strstr(w->got.data, "\r\nContent-Length: 9\r\n"));
    say(w, 0, "GET / HTTP/1.0\r\n\r\n");
    assert_answer(w, 0, "200", "answer 3\n", true);
    assert_int_equal(stats(w).connections, 0);
    assert_int_equal(stats(w).requests, 3);
}

static void test_byte_by_byte(void **state)
{
    struct web_fixture *w = *state;
    open_peer(w, 0);
    for (const char *p = GET("/"); *p != '\0'; p++) {
        assert_false(is_closed(w, 0));
        assert_int_equal(w->got.len, 1); /* nothing yet */
        say(w, 0, (char[]){*p, '\0'});
    }
    assert_answer(w, 0, "200", "answer 1\n", false);
}

static void test_pipelined(void **state)
{
    struct web_fixture *w = *state;
    open_peer(w, 0);
    say(w, 0, GET("/") GET("/") GET("/") "GET /");
    turns(w);
    assert_false(hear(w, 0));
    const char *first = strstr(w->got.data, "answer 1\n"), *third = strstr(w->got.data, "answer 3\n");
    assert_true(first != NULL && strstr(first, "answer 2\n") != NULL && third > first);
    assert_null(strstr(w->got.data, "answer 4\n"));
    say(w, 0, "end HTTP/1.1\r\nHost: a\r\n\r\n" GET("/"));
    assert_error(w, 0, "200", "answer 4\n"); /* the last request is dropped with the connection */
    assert_int_equal(w->answered, 4);
}

/* The peer has sent all its requests and closed its side. */
static void test_a_half_closed_connection_is_answered(void **state)
{
    struct web_fixture *w = *state;
    open_peer(w, 0);
    assert_int_equal(send(w->fds[0], GET("/"), strlen(GET("/")), 0), (ssize_t)strlen(GET("/")));
    shutdown(w->fds[0], SHUT_WR);
    turns(w);
    assert_true(hear(w, 0));
    assert_non_null(strstr(w->got.data, "answer 1\n"));
    assert_int_equal(stats(w).connections, 0);
}

static void test_a_peer_that_goes_away(void **state)
{
    struct web_fixture *w = *state;
    for (int i = 0; i < 3; i++) {
        static const char *const sent[] = {"", "GET /", GET("/")};
        open_peer(w, i);
        assert_int_equal(send(w->fds[i], sent[i], strlen(sent[i]), 0), (ssize_t)strlen(sent[i]));
        close(w->fds[i]);
        w->fds[i] = -1;
    }
    turns(w);
    assert_int_equal(stats(w).connections, 0);
}

static void test_large_answers_arrive_whole(void **state)
{
    struct web_fixture *w = *state;
    w->body_bytes = 3 * 1024 * 1024;
    open_peer(w, 0);
    say(w, 0, GET("/big") GET("/"));
    struct bytes_buf all = {0};
    while (memmem(bytes_buf_view(&all).data, all.len, "answer 2\n", 9) == NULL) {
        assert_false(hear(w, 0));
        bytes_buf_append(&all, w->got.data, w->got.len - 1);
        turns(w);
    }
    const char *body = memmem(all.data, all.len, "\r\n\r\n", 4);
    assert_non_null(body);
    size_t xs = 0;
    while (body[4 + xs] == 'x') xs++;
    assert_int_equal(xs, w->body_bytes);
    assert_memory_equal(body + 4 + xs, "HTTP/1.1 200", 12);
    bytes_buf_release(&all);
}

/* ---- Errors ---- */

static void test_an_error_ends_the_connection(void **state)
{
    struct web_fixture *w = *state;
    static const struct {
        const char *sent, *status, *body;
    } cases[] = {
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", "405", "Method Not Allowed\n"},
        {"GET / HTTP/1.1\r\n\r\n", "400", "Bad Request\n"},
        {"*1\r\n", "400", "Bad Request\n"},
        {"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", "413", "Content Too Large\n"},
        {"GET / HTTP/3.0\r\nHost: a\r\n\r\n", "505", "HTTP Version Not Supported\n"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        open_peer(w, 0);
        say(w, 0, cases[i].sent);
        assert_error(w, 0, cases[i].status, cases[i].body);
    }
}

static void test_a_head_that_is_too_long(void **state)
{
    struct web_fixture *w = *state;
    char text[WEB_HEAD_MAX + 100];
    memset(text, 'a', sizeof(text));
    for (int i = 0; i < 2; i++) {
        memcpy(text, i == 0 ? "GET /" : "GET / HTTP/1.1\r\nX: ", i == 0 ? 5 : 19);
        text[sizeof(text) - 1] = '\0';
        open_peer(w, i);
        say(w, i, text);
        (void)hear(w, i);
        assert_memory_equal(w->got.data, i == 0 ? "HTTP/1.1 414" : "HTTP/1.1 431", 12);
    }
    assert_int_equal(w->answered, 0);
    assert_int_equal(stats(w).errors, 2);
}

/* What is still sent is read and dropped, so that the answer is not lost in a reset; but not for ever. */
static void test_leaving_has_limits(void **state)
{
    struct web_fixture *w = *state;
    open_peer(w, 0);
    say(w, 0, "*1\r\n");
    (void)hear(w, 0);
    assert_memory_equal(w->got.data, "HTTP/1.1 400", 12);
    say(w, 0, "more");
    assert_false(is_closed(w, 0));
    wait_closed(w, 0);
    open_peer(w, 1);
    say(w, 1, "*1\r\n");
    static char flood[HTTP_LEAVE_BYTES];
    memset(flood, 'a', sizeof(flood));
    for (int i = 0; i < 100 && send(w->fds[1], flood, sizeof(flood), MSG_NOSIGNAL) >= 0; i++) turns(w);
    (void)hear(w, 1);
    assert_int_equal(stats(w).connections, 0);
}

/* ---- Deadlines ---- */

static void test_slow_heads_are_ended(void **state)
{
    struct web_fixture *w = *state;
    open_peer(w, 0); /* says nothing */
    open_peer(w, 1); /* one byte after the other */
    const char *p =
        "GET / HTTP/1.1\r\nHost: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    while (stats(w).errors == 0 && *p != '\0') {
        say(w, 1, (char[]){*p++, '\0'});
        wait_ms(w, 5);
    }
    assert_error(w, 1, "408", "Request Timeout\n");
    wait_closed(w, 0);
    assert_int_equal(w->got.len, 1); /* closed without a word: no request had begun */
    assert_int_equal(w->answered, 0);
}

static void test_between_requests_there_is_more_time(void **state)
{
    struct web_fixture *w = *state;
    open_peer(w, 0);
    say(w, 0, GET("/"));
    assert_answer(w, 0, "200", "answer 1\n", false);
    wait_ms(w, 40); /* more than request_ms, less than idle_ms */
    say(w, 0, GET("/"));
    assert_answer(w, 0, "200", "answer 2\n", false);
    wait_closed(w, 0);
}

static void test_an_answer_must_be_taken(void **state)
{
    struct web_fixture *w = *state;
    w->body_bytes = 3 * 1024 * 1024;
    open_peer(w, 0);
    say(w, 0, GET("/big"));
    assert_int_equal(stats(w).connections, 1);
    while (stats(w).connections > 0) wait_ms(w, 1);
    (void)hear(w, 0);
    assert_true(w->got.len < w->body_bytes);
}

static void test_an_answer_is_held_back(void **state)
{
    struct web_fixture *w = *state;
    open_peer(w, 0);
    say(w, 0, GET("/late") GET("/"));
    assert_false(hear(w, 0));
    assert_int_equal(w->got.len, 1);
    assert_int_equal(w->answered, 1); /* the next one waits, too */
    open_peer(w, 1);
    say(w, 1, GET("/")); /* others do not */
    assert_answer(w, 1, "200", "answer 2\n", false);
    while (w->answered < 3) wait_ms(w, 1);
    assert_false(hear(w, 0));
    assert_non_null(strstr(w->got.data, "answer 1\n"));
    assert_non_null(strstr(w->got.data, "answer 3\n"));
}

/* ---- Limits ---- */

static void test_a_new_connection_displaces_the_idlest(void **state)
{
    struct web_fixture *w = *state;
    for (int i = 0; i < 4; i++) open_peer(w, i);
    w->f.mono_us += (HTTP_FRESH_MS + 1) * 1000;
    say(w, 0, GET("/")); /* the oldest has made progress */
    assert_answer(w, 0, "200", "answer 1\n", false);
    say(w, 2, "GET /"); /* a part of a head is no progress */
    open_peer(w, 4);
    assert_true(is_closed(w, 1));
    assert_int_equal(w->got.len, 1);
    open_peer(w, 5);
    assert_answer(w, 2, "503", "too many connections\n", true);
    assert_false(is_closed(w, 0));
    assert_false(is_closed(w, 3));
    assert_int_equal(stats(w).connections, 4);
    assert_int_equal(stats(w).displaced, 2);
    say(w, 5, GET("/"));
    assert_answer(w, 5, "200", "answer 2\n", false);
}

/* Of those that have had an answer, even one that has asked again makes room for a new one. */
static void test_fresh_connections_stay_and_are_served_first(void **state)
{
    struct web_fixture *w = *state;
    for (int i = 0; i < 3; i++) {
        open_peer(w, i);
        say(w, i, GET("/"));
        (void)hear(w, i);
    }
    for (int i = 0; i < 3; i++) send_many(w, i, 20);
    open_peer(w, 3);
    send_many(w, 3, 1);
    loop_poll_turn(w->f.core.loop);
    w->f.step_us = HTTP_TURN_US; /* one step for each turn */
    assert_true(http_turn(w->http));
    w->f.step_us = 0;
    assert_int_equal(w->answered, 4);
    assert_answer(w, 3, "200", "answer 4\n", false);
    open_peer(w, 4); /* instead of 0 */
    open_peer(w, 5); /* instead of 1 */
    open_peer(w, 6); /* instead of 2 */
    open_peer(w, 7); /* instead of 3 */
    open_peer(w, 8); /* only fresh ones are left */
    assert_true(is_closed(w, 4));
    for (int i = 5; i <= 8; i++) assert_false(is_closed(w, i));
}

/* Peers that take no answers hold half of the connections at most. */
static void test_who_takes_no_answer_makes_room(void **state)
{
    struct web_fixture *w = *state;
    w->body_bytes = 900 * 1024;
    for (int i = 0; i < 4; i++) {
        open_peer(w, i);
        say(w, i, GET("/big"));
    }
    open_peer(w, 4); /* instead of 0 */
    open_peer(w, 5); /* instead of 1 */
    assert_int_equal(stats(w).displaced, 2);
    open_peer(w, 6); /* two are sending: they are spared, and 4 is not, fresh though it is */
    assert_true(is_closed(w, 4));
    say(w, 5, GET("/"));
    assert_answer(w, 5, "200", "answer 5\n", false);
    (void)hear(w, 1);
    assert_true(w->got.len < w->body_bytes);
    (void)hear(w, 2);
    assert_true(w->got.len > w->body_bytes);
}

static void test_answers_that_wait_are_bounded(void **state)
{
    struct web_fixture *w = *state;
    w->body_bytes = 2 * 1024 * 1024 - 1024;
    for (int i = 0; i < 3; i++) {
        open_peer(w, i);
        say(w, i, GET("/big"));
    }
    w->body_bytes = 4 * 1024 * 1024 + 1;
    open_peer(w, 3);
    say(w, 3, GET("/big"));
    assert_answer(w, 3, "503", "too many answers wait to be sent\n", false);
    say(w, 3, "HEAD /big HTTP/1.1\r\nHost: a\r\n\r\n"); /* nothing of that waits */
    assert_answer(w, 3, "200", "", false);
    for (int i = 0; i < 3; i++) assert_false(hear(w, i));
    w->body_bytes = 3 * 1024 * 1024; /* what is gone does not count any more */
    say(w, 3, GET("/big"));
    (void)hear(w, 3);
    assert_memory_equal(w->got.data, "HTTP/1.1 200", 12);
}

/* Each look at the clock takes 40 us: the budget is three steps. */
static void test_a_turn_has_a_budget(void **state)
{
    struct web_fixture *w = *state;
    open_peer(w, 0);
    send_many(w, 0, 50);
    loop_poll_turn(w->f.core.loop);
    w->f.step_us = 40;
    int before = 0;
    bool more = true;
    while (more) {
        more = http_turn(w->http);
        assert_true(w->answered - before <= 3);
        assert_true(w->answered > before || !more);
        before = w->answered;
    }
    w->f.step_us = 0;
    assert_int_equal(w->answered, 50);
    turns(w);
    assert_false(http_turn(w->http));
}

/* A stretch of time with more requests than can be answered: a quarter of it is spent on them. */
static void test_a_share_of_the_time(void **state)
{
    struct web_fixture *w = *state;
    open_peer(w, 0);
    int64_t spent_us = 0;
    for (int i = 0; i < 2000; i++) { /* 100 us pass in each turn besides */
        if (i % 50 == 0) {
            (void)hear(w, 0);
            send_many(w, 0, 100);
            w->f.step_us = 0;
            loop_poll_turn(w->f.core.loop);
        }
        w->f.mono_us += 100;
        int64_t before_us = w->f.mono_us;
        w->f.step_us = 10;
        (void)http_turn(w->http);
        w->f.step_us = 0;
        spent_us += w->f.mono_us - before_us;
    }
    int64_t whole_us = 2000 * 100 + spent_us;
    assert_true(spent_us < whole_us / HTTP_SHARE + HTTP_CREDIT_US + 5000);
    assert_true(spent_us > whole_us / HTTP_SHARE / 2);
    w->f.mono_us += 1000 * 1000;
    assert_int_equal(http_rest_ms(w->http), 0);
    (void)hear(w, 0);
}

/* Connections cost time as well; the loop wakes up when there is some again. */
static void test_a_flood_of_connections_is_charged(void **state)
{
    struct web_fixture *w = *state;
    int accepted = 0;
    for (; http_rest_ms(w->http) == 0; accepted++) {
        if (w->fds[0] != -1) close(w->fds[0]);
        open_peer(w, 0);
        assert_true(accepted <= HTTP_CREDIT_US / HTTP_ACCEPT_US);
    }
    assert_int_equal(accepted, HTTP_CREDIT_US / HTTP_ACCEPT_US);
    send_many(w, 0, 1);
    loop_poll_turn(w->f.core.loop);
    assert_false(http_turn(w->http)); /* later: the loop may wait */
    assert_int_equal(w->answered, 0);
    w->f.mono_us += 100 * HTTP_SHARE;
    loop_run_turn(w->f.core.loop); /* until the timer */
    (void)http_turn(w->http);
    assert_int_equal(w->answered, 1);
}

static void test_without_the_loop(void **state)
{
    struct web_fixture *w = *state;
    for (int i = 0; i < 3; i++) open_peer(w, i);
    assert_int_equal(send(w->fds[1], GET("/"), strlen(GET("/")), 0), (ssize_t)strlen(GET("/")));
    http_run_now(w->http);
    assert_answer(w, 1, "200", "answer 1\n", false);
    close(w->fds[2]);
    w->fds[2] = -1;
    http_run_now(w->http);
    assert_int_equal(stats(w).connections, 2);
}

#define TEST_WITH(name, its_setup) cmocka_unit_test_setup_teardown(name, its_setup, teardown)
#define TEST(name)                 TEST_WITH(name, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_one_after_the_other),
        TEST(test_byte_by_byte),
        TEST(test_pipelined),
        TEST(test_a_half_closed_connection_is_answered),
        TEST(test_a_peer_that_goes_away),
        TEST(test_large_answers_arrive_whole),
        TEST(test_an_error_ends_the_connection),
        TEST(test_a_head_that_is_too_long),
        TEST_WITH(test_leaving_has_limits, setup_leave),
        TEST_WITH(test_slow_heads_are_ended, setup_request),
        TEST_WITH(test_between_requests_there_is_more_time, setup_request_and_idle),
        TEST_WITH(test_an_answer_must_be_taken, setup_send),
        TEST(test_an_answer_is_held_back),
        TEST(test_a_new_connection_displaces_the_idlest),
        TEST(test_fresh_connections_stay_and_are_served_first),
        TEST(test_who_takes_no_answer_makes_room),
        TEST(test_answers_that_wait_are_bounded),
        TEST(test_a_turn_has_a_budget),
        TEST(test_a_share_of_the_time),
        TEST(test_a_flood_of_connections_is_charged),
        TEST(test_without_the_loop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
