/* The table of routes: which handler is asked, and that access is checked before. */
#include "server/web/web.h"

#include "tests/unit/server/web/web_fixture.h"

static void count(void *ctx, const struct web_request *request, struct web_reply *reply)
{
    int *asked = ctx;
    ++*asked;
    bytes_buf_printf(&reply->body, "%.*s?%.*s", (int)request->path.len, request->path.data, (int)request->query.len,
                     request->query.data);
}

static void test_a_row_of_a_test(void **state)
{
    struct fixture *f = *state;
    int asked = 0;
    web_add(f->server->web,
            &(struct web_route){.path = "/a", .group = HTTP_GROUP_METRICS, .handle = count, .ctx = &asked});
    struct web_asked got = web_ask(f, "/a?b=c");
    assert_int_equal(got.status, 200);
    assert_string_equal(got.body, "/a?b=c");
    assert_int_equal(web_ask(f, "/a/").status, 404);
    assert_int_equal(web_ask(f, "/A").status, 404);
    assert_int_equal(web_ask(f, "//a").status, 404);
    assert_int_equal(asked, 1);
}

static void test_the_handler_is_not_asked_without_permission(void **state)
{
    struct fixture *f = *state;
    int asked = 0;
    web_add(f->server->web,
            &(struct web_route){.path = "/a", .group = HTTP_GROUP_METRICS, .handle = count, .ctx = &asked});
    assert_int_equal(web_ask_with(f, "/a", "Host: evil.example\r\n").status, 403);
    CHECK(f, "CONFIG SET requirepass secret", "+OK");
    assert_int_equal(web_ask(f, "/a").status, 401);
    assert_int_equal(asked, 0);
    assert_int_equal(web_ask_with(f, "/a", "Authorization: Basic ZGVmYXVsdDpzZWNyZXQ=\r\n").status, 200);
    assert_int_equal(asked, 1);
    assert_int_equal(web_ask(f, "/live").status, 200); /* another group */
}

/* What a stranger cannot tell: whether a path exists. */
static void test_paths_that_do_not_exist(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(web_ask(f, "/none").status, 404);
    CHECK(f, "CONFIG SET requirepass secret", "+OK");
    assert_int_equal(web_ask(f, "/none").status, 401);
    CHECK(f, "CONFIG SET http-public page", "+OK");
    assert_int_equal(web_ask(f, "/none").status, 404);
}

static void test_statistics(void **state)
{
    struct fixture *f = *state;
    struct http_stats st;
    (void)web_ask(f, "/live");
    (void)web_ask(f, "/none");
    web_get_stats(f->server->web, &st);
    assert_int_equal(st.accepted, 2);
    assert_int_equal(st.requests, 2);
    assert_int_equal(st.connections, 0);
    assert_int_equal(st.errors, 0); /* 404 is an answer */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_row_of_a_test),
        TEST(test_the_handler_is_not_asked_without_permission),
        TEST(test_paths_that_do_not_exist),
        TEST(test_statistics),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
