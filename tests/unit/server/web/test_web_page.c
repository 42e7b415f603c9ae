/* Routes of the page: types, policies, parameters, and who may ask. */
#include "server/web/web_page.h"

#include "server/web/page_files.h"
#include "tests/unit/server/web/web_fixture.h"

static int setup_public(void **state)
{
    return setup_with(state, "http-public page\n");
}
#define PUBLIC(test) cmocka_unit_test_setup_teardown(test, setup_public, teardown)

static bool contains(struct bytes_view text, const char *part)
{
    return memmem(text.data, text.len, part, strlen(part)) != NULL;
}

static void test_files(void **state)
{
    (void)state;
    assert_true(bytes_equal(bytes_view(page_html().data, 15), BYTES_LIT("<!doctype html>")));
    assert_true(contains(page_html(), "</html>\n"));
    assert_true(contains(page_css(), "prefers-color-scheme: dark"));
    assert_true(contains(page_js(), "'use strict';"));
    assert_int_equal(page_js().data[page_js().len - 1], '\n');
}

/* The page may load its own files and nothing else, so none of them may ask for more. */
static void test_files_need_nothing_from_elsewhere(void **state)
{
    (void)state;
    const struct bytes_view files[] = {page_html(), page_css(), page_js()};
    for (size_t i = 0; i < 3; i++) {
        assert_false(contains(files[i], "https://"));
        assert_false(contains(files[i], "@import"));
        assert_false(contains(files[i], "innerHTML"));
        assert_false(contains(files[i], "style=\""));
        assert_false(contains(files[i], "onclick="));
    }
    assert_false(contains(page_html(), "<style"));
    assert_true(contains(page_html(), "<script src=\"page.js\" defer></script>"));
}

static void test_routes(void **state)
{
    struct fixture *f = *state;
    static const char *const paths[] = {"/", "/page.css", "/page.js", "/status.json"};
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) assert_int_equal(web_ask(f, paths[i]).status, 200);
    assert_true(strncmp(web_ask(f, "/").body, "<!doctype html>", 15) == 0);
    assert_true(strncmp(web_ask(f, "/status.json").body, "{\"now_ms\":", 10) == 0);
    assert_int_equal(web_ask(f, "/page.html").status, 404);
    assert_int_equal(web_ask(f, "/status.json/").status, 404);
}

static void test_parameters(void **state)
{
    struct fixture *f = *state;
    static const char *const wrong[] = {
        "/status.json?x=1",         "/status.json?after",     "/status.json?after=",
        "/status.json?after=-1",    "/status.json?after=1.5", "/status.json?after=1&after=2",
        "/status.json?after=1&x=2", "/status.json?AFTER=1",   "/status.json?after=99999999999999999999"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct web_asked got = web_ask(f, wrong[i]);
        assert_int_equal(got.status, 400);
        assert_string_equal(got.body, "bad request: the only parameter is after=NUMBER\n");
    }
    assert_int_equal(web_ask(f, "/status.json?after=0").status, 200);
    assert_int_equal(web_ask(f, "/status.json?after=18446744073709551615").status, 200);
    assert_int_equal(web_ask(f, "/status.json?").status, 200);
}

/* Without http-public, the user "default" without a password may ask; one with a password must log in. */
static void test_needs_a_login(void **state)
{
    struct fixture *f = *state;
    static const char *const paths[] = {"/", "/page.css", "/page.js", "/status.json"};
    CHECK(f, "CONFIG SET requirepass secret", "+OK");
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        assert_int_equal(web_ask(f, paths[i]).status, 401);
        assert_int_equal(web_ask_with(f, paths[i], "Authorization: Basic ZGVmYXVsdDpzZWNyZXQ=\r\n").status,
                         200); /* default:secret */
    }
    CHECK_AS(f, 1, "AUTH secret", "+OK");
    CHECK_AS(f, 1, "ACL SETUSER default -@http", "+OK");
    assert_int_equal(web_ask_with(f, "/", "Authorization: Basic ZGVmYXVsdDpzZWNyZXQ=\r\n").status, 403);
    CHECK_AS(f, 1, "ACL SETUSER default +http|page", "+OK");
    assert_int_equal(web_ask_with(f, "/", "Authorization: Basic ZGVmYXVsdDpzZWNyZXQ=\r\n").status, 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files), cmocka_unit_test(test_files_need_nothing_from_elsewhere),
        PUBLIC(test_routes),          PUBLIC(test_parameters),
        TEST(test_needs_a_login),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
