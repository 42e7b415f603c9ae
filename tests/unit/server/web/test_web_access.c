/* Who may ask: hosts, origins, public groups, users, permissions, and what a wrong password leaves behind. */
#include "server/web/web_access.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "server/acl/acl_log.h"
#include "server/net/conn_internal.h"
#include "tests/unit/server/commands/fixture.h"

/* Asks through a connection of a socket pair, which counts as local. Returns the status; *reply is of the last call. */
static int ask_as(struct fixture *f, const struct conn *conn, const struct web_request *rq,
                  enum settings_http_group group, struct web_reply *reply)
{
    bytes_buf_release(&reply->body);
    *reply = (struct web_reply){0};
    bool permitted = web_access_permits(f->server->clients, conn, rq, group, reply);
    assert_int_equal(permitted, reply->status == 0);
    assert_int_equal(reply->asks_login, reply->status == 401);
    if (!permitted) assert_true(reply->body.len > 0);
    return permitted ? 200 : reply->status;
}

static int ask(struct fixture *f, const struct web_request *rq, enum settings_http_group group)
{
    static struct web_reply reply;
    int status = ask_as(f, f->clients[0]->conn, rq, group, &reply);
    bytes_buf_release(&reply.body);
    return status;
}

static const struct web_request *from(const char *host, const char *origin, const char *site, const char *mode)
{
    static struct web_request rq;
    rq = (struct web_request){0};
    if (host != NULL) rq.host = bytes_str(host);
    if (origin != NULL) rq.origin = bytes_str(origin);
    if (site != NULL) rq.fetch_site = bytes_str(site);
    if (mode != NULL) rq.fetch_mode = bytes_str(mode);
    return &rq;
}

static const struct web_request *with_login(const char *authorization)
{
    static struct web_request rq;
    rq = (struct web_request){.host = BYTES_LIT("localhost"), .authorization = bytes_str(authorization)};
    return &rq;
}

/* ---- Sites ---- */

static void test_hosts(void **state)
{
    struct fixture *f = *state;
    static const char *const ours[] = {NULL,       "127.0.0.1", "127.0.0.1:80", "10.1.2.3",
                                       "[::1]:80", "[fe80::1]", "localhost",    "LOCALHOST:1"};
    static const char *const others[] = {"evil.example",
                                         "evil.example:80",
                                         "",
                                         "localhost.evil.example",
                                         "127.0.0.1.nip.io",
                                         "127.1",
                                         "::1",
                                         "[::1",
                                         "a:b",
                                         "0x7f000001",
                                         "xlocalhost"};
    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
        assert_int_equal(ask(f, from(ours[i], NULL, NULL, NULL), HTTP_GROUP_HEALTH), 200);
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        assert_int_equal(ask(f, from(others[i], NULL, NULL, NULL), HTTP_GROUP_HEALTH), 403);
}

static void test_hosts_that_are_listed(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "CONFIG SET http-hosts \"a.example  b_1 C\"", "+OK");
    assert_int_equal(ask(f, from("a.example:80", NULL, NULL, NULL), HTTP_GROUP_HEALTH), 200);
    assert_int_equal(ask(f, from("A.EXAMPLE", NULL, NULL, NULL), HTTP_GROUP_HEALTH), 200);
    assert_int_equal(ask(f, from("b_1", NULL, NULL, NULL), HTTP_GROUP_HEALTH), 200);
    assert_int_equal(ask(f, from("c", NULL, NULL, NULL), HTTP_GROUP_HEALTH), 200);
    assert_int_equal(ask(f, from("a.exampl", NULL, NULL, NULL), HTTP_GROUP_HEALTH), 403);
    assert_int_equal(ask(f, from("example", NULL, NULL, NULL), HTTP_GROUP_HEALTH), 403);
    assert_int_equal(ask(f, from("", NULL, NULL, NULL), HTTP_GROUP_HEALTH), 403);
    CHECK(f, "CONFIG SET http-hosts *", "+OK");
    assert_int_equal(ask(f, from("any.example", NULL, NULL, NULL), HTTP_GROUP_HEALTH), 200);
    assert_int_equal(strncmp(run(f, "CONFIG SET http-hosts a/b"), "-ERR", 4), 0);
    CHECK(f, "CONFIG SET http-hosts ''", "+OK");
    assert_int_equal(ask(f, from("any.example", NULL, NULL, NULL), HTTP_GROUP_HEALTH), 403);
}

static void test_other_sites(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *host, *origin, *site, *mode;
        int status;
    } cases[] = {
        {"localhost:80", "http://localhost:80", NULL, NULL, 200},
        {"localhost", "https://LOCALHOST", "same-origin", "cors", 200},
        {"localhost:80", "http://localhost", NULL, NULL, 403}, /* another port is another origin */
        {"localhost", "http://evil.example", NULL, NULL, 403},
        {"localhost", "http://localhost.evil.example", NULL, NULL, 403},
        {"localhost", "ftp://localhost", NULL, NULL, 403},
        {"localhost", "null", NULL, NULL, 403},
        {"localhost", "", NULL, NULL, 403},
        {NULL, "http://localhost", NULL, NULL, 403},
        {"localhost", NULL, "none", "navigate", 200},       /* typed by the user */
        {"localhost", NULL, "cross-site", "navigate", 200}, /* a link */
        {"localhost", NULL, "cross-site", "no-cors", 403},  /* an image, a script */
        {"localhost", NULL, "same-site", "cors", 403},
        {"localhost", NULL, "cross-site", NULL, 403},
        {"localhost", "http://evil.example", "cross-site", "navigate", 403}, /* a form */
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(ask(f, from(cases[i].host, cases[i].origin, cases[i].site, cases[i].mode), HTTP_GROUP_HEALTH),
                         cases[i].status);
}

/* ---- Users ---- */

static void test_groups_that_need_no_login(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "CONFIG SET requirepass secret", "+OK");
    assert_int_equal(ask(f, from(NULL, NULL, NULL, NULL), HTTP_GROUP_HEALTH), 200);
    assert_int_equal(ask(f, from(NULL, NULL, NULL, NULL), HTTP_GROUP_METRICS), 401);
    assert_int_equal(ask(f, from(NULL, NULL, NULL, NULL), HTTP_GROUP_PAGE), 401);
    CHECK(f, "CONFIG SET http-public \"metrics page\"", "+OK");
    assert_int_equal(ask(f, from(NULL, NULL, NULL, NULL), HTTP_GROUP_HEALTH), 401);
    assert_int_equal(ask(f, from(NULL, NULL, NULL, NULL), HTTP_GROUP_METRICS), 200);
    assert_int_equal(ask(f, from(NULL, NULL, NULL, NULL), HTTP_GROUP_PAGE), 200);
    CHECK(f, "CONFIG SET http-public none", "+OK");
    assert_int_equal(ask(f, from(NULL, NULL, NULL, NULL), HTTP_GROUP_METRICS), 401);
    assert_int_equal(ask(f, with_login("Basic ZGVmYXVsdDpzZWNyZXQ="), HTTP_GROUP_METRICS), 200); /* default:secret */
    assert_int_equal(acl_log_count(f->server->acl_log), 0);
}

/* Without a password the default user is anybody, unless protected mode objects. */
static void test_the_default_user(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(ask(f, from(NULL, NULL, NULL, NULL), HTTP_GROUP_METRICS), 200);
    CHECK(f, "ACL SETUSER default -@http", "+OK");
    assert_int_equal(ask(f, from(NULL, NULL, NULL, NULL), HTTP_GROUP_METRICS), 403);
    CHECK(f, "ACL SETUSER default +http|metrics", "+OK");
    assert_int_equal(ask(f, from(NULL, NULL, NULL, NULL), HTTP_GROUP_METRICS), 200);
    assert_int_equal(ask(f, from(NULL, NULL, NULL, NULL), HTTP_GROUP_PAGE), 403);

    CHECK(f, "ACL SETUSER default off", "+OK");
    assert_int_equal(ask(f, from(NULL, NULL, NULL, NULL), HTTP_GROUP_METRICS), 401);
}

static void test_protected_mode(void **state)
{
    struct fixture *f = *state;
    struct web_reply reply = {0};
    struct sockaddr_in far = {.sin_family = AF_INET, .sin_port = htons(1234)};
    int fds[2];
    assert_int_equal(inet_pton(AF_INET, "192.0.2.1", &far.sin_addr), 1);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    struct conn *conn =
        conn_from_accept(f->server->core.loop, fds[0], (struct sockaddr *)&far, sizeof(far), &conn_tcp_ops);
    assert_int_equal(ask_as(f, conn, from(NULL, NULL, NULL, NULL), HTTP_GROUP_HEALTH, &reply), 200);
    assert_int_equal(ask_as(f, conn, from(NULL, NULL, NULL, NULL), HTTP_GROUP_METRICS, &reply), 401);
    CHECK(f, "CONFIG SET protected-mode no", "+OK");
    assert_int_equal(ask_as(f, conn, from(NULL, NULL, NULL, NULL), HTTP_GROUP_METRICS, &reply), 200);
    bytes_buf_release(&reply.body);
    conn_close(conn);
    close(fds[1]);
}

static void test_permissions(void **state)
{
    struct fixture *f = *state;
    static const enum settings_http_group groups[] = {HTTP_GROUP_HEALTH, HTTP_GROUP_METRICS, HTTP_GROUP_PAGE};
    static const struct {
        const char *rules;
        int statuses[3];
    } cases[] = {
        {"+@http", {200, 200, 200}},
        {"+http", {200, 200, 200}},
        {"+@all", {200, 200, 200}},
        {"+http|metrics", {403, 200, 403}},
        {"+@http -http|page", {200, 200, 403}},
        {"+@all -@http", {403, 403, 403}},
        {"+@all -@dangerous -@admin -@slow", {200, 200, 200}},
        {"+@slow +@read +@admin +@dangerous +@fast +@connection", {403, 403, 403}}, /* no category of Redis has them */
        {"-@all \"(+http|health)\"", {200, 403, 403}},
    };
    CHECK(f, "CONFIG SET http-public none", "+OK");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char line[128];
        snprintf(line, sizeof(line), "ACL SETUSER u reset on >p %s", cases[i].rules);
        CHECK(f, line, "+OK");
        for (int g = 0; g < 3; g++) assert_int_equal(ask(f, with_login("Basic dTpw"), groups[g]), cases[i].statuses[g]);
    }
    CHECK(f, "HTTP metrics", "-ERR HTTP is no command: it names permissions for the HTTP port (http-port)");
    CHECK(f, "ACL CAT http", "[http http|health http|metrics http|page]");
    CHECK(f, "COMMAND INFO http", "[nil]");
}

static void test_logins(void **state)
{
    struct fixture *f = *state;
    struct web_reply reply = {0};
    const struct conn *conn = f->clients[0]->conn;
    static const char *const malformed[] = {"",           "Basic",      "Basic ",          "Bearer dTpw",  "Basic dTp",
                                            "Basic d*==", "Basic dXA=", "Basic dTpw dTpw", "Basic dTpw\t", "dTpw"};
    CHECK(f, "ACL SETUSER u on >p +@http", "+OK");
    CHECK(f, "CONFIG SET http-public none", "+OK");
    assert_int_equal(ask(f, with_login("basic  dTpw"), HTTP_GROUP_PAGE), 200); /* u:p */
    for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++) {
        assert_int_equal(ask_as(f, conn, with_login(malformed[i]), HTTP_GROUP_PAGE, &reply), 401);
        assert_int_equal(reply.delay_ms, 0);
    }
    assert_int_equal(acl_log_count(f->server->acl_log), 0);
    /* u:q, u:, x:p, :p */
    static const char *const wrong[] = {"Basic dTpx", "Basic dTo=", "Basic eDpw", "Basic OnA="};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(ask_as(f, conn, with_login(wrong[i]), HTTP_GROUP_PAGE, &reply), 401);
        assert_int_equal(reply.delay_ms, WEB_ACCESS_DELAY_MS);
    }
    CHECK(f, "ACL SETUSER u off", "+OK");
    assert_int_equal(ask_as(f, conn, with_login("Basic dTpw"), HTTP_GROUP_PAGE, &reply), 401);
    assert_int_equal(f->server->core.stats.acl_denied_auth, 5);
    /* a colon in the password; a user without one */
    CHECK(f, "ACL SETUSER v on >a:b +@http", "+OK");
    assert_int_equal(ask(f, with_login("Basic djphOmI="), HTTP_GROUP_PAGE), 200);
    CHECK(f, "ACL SETUSER n on nopass +@http", "+OK");
    assert_int_equal(ask(f, with_login("Basic bjo="), HTTP_GROUP_PAGE), 200);
    bytes_buf_release(&reply.body);
}

static void test_the_log(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "ACL SETUSER u on >p +http|health", "+OK");
    assert_int_equal(ask(f, with_login("Basic dTpx"), HTTP_GROUP_METRICS), 401);
    assert_int_equal(ask(f, with_login("Basic dTpw"), HTTP_GROUP_METRICS), 403);
    const struct acl_log_entry *e = acl_log_newest(f->server->acl_log);
    assert_int_equal(e->reason, ACL_DENIED_COMMAND);
    assert_true(bytes_equal(bytes_buf_view(&e->object), BYTES_LIT("http|metrics")));
    assert_true(bytes_equal(bytes_buf_view(&e->user), BYTES_LIT("u")));
    e = e->older;
    assert_int_equal(e->reason, ACL_DENIED_AUTH);
    assert_int_equal(e->context, ACL_TOPLEVEL);
    assert_non_null(memmem(e->client.data, e->client.len, " addr=", 6));
    assert_non_null(memmem(e->client.data, e->client.len, " cmd=http|metrics ", 18));
    assert_int_equal(f->server->core.stats.acl_denied_cmd, 1);
    for (int i = 0; i < 5; i++) assert_int_equal(ask(f, with_login("Basic dTpx"), HTTP_GROUP_METRICS), 401);
    assert_int_equal(acl_log_count(f->server->acl_log), 2); /* they count as one */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_hosts),
        TEST(test_hosts_that_are_listed),
        TEST(test_other_sites),
        TEST(test_groups_that_need_no_login),
        TEST(test_the_default_user),
        TEST(test_protected_mode),
        TEST(test_permissions),
        TEST(test_logins),
        TEST(test_the_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
