/* Heads of requests: where they end, what they hold, and which are refused with which status. */
#include "server/web/web_request.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "storage/base/memory.h"

#define HOST "Host: a\r\n"
#define END  "\r\n"

/* ---- Where a head ends ---- */

static ssize_t length(const char *text)
{
    return web_head_length(bytes_str(text));
}

static void test_a_head_ends_with_an_empty_line(void **state)
{
    static const char text[] = "GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n\r\nGET /next";
    ssize_t whole = (ssize_t)(strstr(text, "GET /next") - text);
    for (size_t i = 0; i < sizeof(text); i++)
        assert_int_equal(web_head_length(bytes_view(text, i)), (ssize_t)i < whole ? 0 : whole);
    assert_int_equal(length("\r\n\r\nGET / HTTP/1.0\r\n\r\n"), 22);
    assert_int_equal(length(""), 0);
    assert_int_equal(length("\r"), 0);
    assert_int_equal(length("\r\n\r"), 0);
}

static void test_what_cannot_become_a_request(void **state)
{
    assert_int_equal(length("*1\r\n$4\r\nPING\r\n"), -EPROTO); /* the Redis protocol */
    assert_int_equal(length("\x16\x03\x01"), -EPROTO);         /* TLS */
    assert_int_equal(length("get / HTTP/1.1\r\n"), -EPROTO);
    assert_int_equal(length(" GET / HTTP/1.1\r\n"), -EPROTO);
    assert_int_equal(length("\nGET / HTTP/1.1\r\n"), -EPROTO);
    assert_int_equal(length("\rG"), -EPROTO);
    assert_int_equal(length("GET / HTTP/1.1\n"), -EPROTO);
    assert_int_equal(length("GET / HTTP/1.1\rHost: a"), -EPROTO);
    assert_int_equal(length("GET / HTTP/1.1\r\nX: a\r b"), -EPROTO);
    assert_int_equal(length("GET / HTTP/1.1\r\nX: a\r\r\n"), -EPROTO);
    assert_int_equal(length("GET / HTTP/1.1\r\nX: a\r\n b"), -EPROTO); /* folded */
    assert_int_equal(length("GET / HTTP/1.1\r\nX: a\r\n\tb"), -EPROTO);
    assert_int_equal(length("GET / HTTP/1.1\r\n Host: a"), -EPROTO);
    assert_int_equal(web_head_length(bytes_view("GET /\0", 6)), -EPROTO);
    assert_int_equal(length("GET / HTTP/1.1\r\nTransfer-Encoding : chunked"), -EPROTO);
    assert_int_equal(length("GET / HTTP/1.1\r\nX: a : b\r\nHost\t: a"), -EPROTO);
    for (int c = 0; c < 256; c++) {
        char text[] = "GET / HTTP/1.1\r\nX: a?b\r\n\r\n";
        *strchr(text, '?') = (char)c;
        bool is_bad = (c < ' ' && c != '\t') || c == 0x7f;
        assert_int_equal(web_head_length(bytes_view(text, sizeof(text) - 1)), is_bad ? -EPROTO : (int)sizeof(text) - 1);
    }
}

static void test_which_part_is_too_long(void **state)
{
    assert_int_equal(web_request_too_long(BYTES_LIT("GET /aaaa")), 414);
    assert_int_equal(web_request_too_long(BYTES_LIT("\r\nGET /aaaa")), 414);
    assert_int_equal(web_request_too_long(BYTES_LIT("GET / HTTP/1.1\r\nX: a")), 431);
}

/* ---- What it holds ---- */

/* The head is copied to an allocation of its size, so that a sanitizer sees a byte read behind it. */
static int parse(const char *text, struct web_request *out)
{
    static char *copy;
    struct bytes_view head = bytes_str(text);
    mem_free(copy);
    copy = NULL;
    if (out == NULL) return 0;
    copy = mem_alloc(head.len);
    memcpy(copy, head.data, head.len);
    return web_request_parse(bytes_view(copy, head.len), out);
}

static int release(void **state)
{
    return parse("", NULL);
}

static void assert_view(struct bytes_view v, const char *text)
{
    if (text == NULL) {
        assert_null(v.data);
        return;
    }
    assert_non_null(v.data);
    if (!bytes_equal(v, bytes_str(text))) fail_msg("'%.*s' is not '%s'", (int)v.len, v.data, text);
}

static void test_parts(void **state)
{
    struct web_request rq;
    assert_int_equal(
        parse("GET /a/b?c=d&e HTTP/1.1\r\nhost:\t a:80 \r\nX-Other: 1\r\nOrigin: http://a:80\r\n"
              "Authorization: Basic eA==\r\nSec-Fetch-Site: none\r\nSec-Fetch-Mode:navigate\r\nEmpty:\r\n\r\n",
              &rq),
        0);
    assert_view(rq.path, "/a/b");
    assert_view(rq.query, "c=d&e");
    assert_view(rq.host, "a:80");
    assert_view(rq.origin, "http://a:80");
    assert_view(rq.authorization, "Basic eA==");
    assert_view(rq.fetch_site, "none");
    assert_view(rq.fetch_mode, "navigate");
    assert_true(rq.keep_alive);
    assert_false(rq.head_only);

    assert_int_equal(parse("\r\nHEAD / HTTP/1.0\r\n\r\n", &rq), 0);
    assert_view(rq.path, "/");
    assert_view(rq.query, "");
    assert_view(rq.host, NULL);
    assert_view(rq.origin, NULL);
    assert_true(rq.head_only);
    assert_false(rq.keep_alive);

    assert_int_equal(parse("GET / HTTP/1.1\r\nHost:\r\nOrigin: \r\n\r\n", &rq), 0);
    assert_view(rq.host, "");
    assert_view(rq.origin, "");
}

static bool kept_alive(const char *text)
{
    struct web_request rq;
    assert_int_equal(parse(text, &rq), 0);
    return rq.keep_alive;
}

static void test_whether_another_request_follows(void **state)
{
    assert_true(kept_alive("GET / HTTP/1.1\r\n" HOST END));
    assert_false(kept_alive("GET / HTTP/1.1\r\n" HOST "Connection: close\r\n" END));
    assert_true(kept_alive("GET / HTTP/1.0\r\nConnection: keep-alive\r\n" END));
    /* curl --http2 offers this: it is answered in HTTP/1.1, and the connection ends */
    assert_false(kept_alive("GET / HTTP/1.1\r\n" HOST "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n" END));
}

static void test_absolute_urls(void **state)
{
    struct web_request rq;
    assert_int_equal(parse("GET http://A:80/x?y HTTP/1.1\r\nHost: a:80\r\n\r\n", &rq), 0);
    assert_view(rq.path, "/x");
    assert_view(rq.query, "y");
    assert_view(rq.host, "A:80");
    assert_int_equal(parse("GET http://[::1]:80 HTTP/1.0\r\n\r\n", &rq), 0);
    assert_view(rq.path, "/");
    assert_view(rq.host, "[::1]:80");
    assert_int_equal(parse("GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", &rq), 400); /* which one counts? */
    assert_int_equal(parse("GET http://u:p@a/ HTTP/1.1\r\nHost: a\r\n\r\n", &rq), 400);
}

/* ---- What is refused ---- */

static void check(const char *text, int status)
{
    struct web_request rq;
    int got = parse(text, &rq);
    if (got != status) fail_msg("%d instead of %d for %s", got, status, text);
}

static void test_methods_and_versions(void **state)
{
    static const char *const methods[] = {"POST",  "PUT",      "DELETE", "OPTIONS", "TRACE",
                                          "PATCH", "M-SEARCH", "BREW",   "GETS"};
    char text[128];
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        snprintf(text, sizeof(text), "%s / HTTP/1.1\r\n" HOST END, methods[i]);
        check(text, 405);
    }
    check("CONNECT a:80 HTTP/1.1\r\n" HOST END, 405);
    check("OPTIONS * HTTP/1.1\r\n" HOST END, 405);
    check("GET\r\n\r\n", 400);
    check("GE(T / HTTP/1.1\r\n" HOST END, 400);
    check("GET / HTTP/2.0\r\n" HOST END, 505);
    check("GET / HTTP/1.2\r\n" HOST END, 505);
    check("GET / HTTP/0.9\r\n" HOST END, 505);
    check("GET /\r\n\r\n", 505);
    check("GET / HTTP/x\r\n" HOST END, 400);
    check("GET / ICE/1.0\r\n" HOST END, 400);
}

/* Whatever a proxy in front and this server could read as different requests. */
static void test_shapes_of_smuggling(void **state)
{
    check("GET / HTTP/1.1\r\n" HOST "Content-Length: 0\r\n" END, 0);
    check("GET / HTTP/1.1\r\n" HOST "Content-Length: 5\r\n" END, 413);
    check("GET / HTTP/1.1\r\n" HOST "Content-Length: 99999999999999999999\r\n" END, 400);
    check("GET / HTTP/1.1\r\n" HOST "Content-Length: -1\r\n" END, 400);
    check("GET / HTTP/1.1\r\n" HOST "Content-Length: +0\r\n" END, 400);
    check("GET / HTTP/1.1\r\n" HOST "Content-Length: 0, 5\r\n" END, 400);
    check("GET / HTTP/1.1\r\n" HOST "Content-Length: 0\r\nContent-Length: 5\r\n" END, 400);
    check("GET / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n" END, 413);
    check("GET / HTTP/1.1\r\n" HOST "Transfer-Encoding: identity\r\n" END, 413);
    check("GET / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked, identity\r\n" END, 413);
    check("GET / HTTP/1.1\r\n" HOST "Transfer-Encoding:\vchunked\r\n" END, 413);
    check("GET / HTTP/1.1\r\n" HOST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n" END, 400);
    check("POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\n" END, 405);
    check("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n" END, 400);
    check("GET / HTTP/1.1\r\nHost: a\r\nhOST: b\r\n" END, 400);
    check("GET / HTTP/1.1\r\n" HOST "Authorization: Basic YQ==\r\nAuthorization: Basic Yg==\r\n" END, 400);
    check("GET / HTTP/1.1\r\n" END, 400); /* without Host */
    check("GET / HTTP/1.1\r\n" HOST "no colon\r\n" END, 400);
    check("GET / HTTP/1.1\r\n" HOST ": no name\r\n" END, 400);
}

static void test_targets(void **state)
{
    check("GET a HTTP/1.1\r\n" HOST END, 400);
    check("GET * HTTP/1.1\r\n" HOST END, 400);
    check("GET  / HTTP/1.1\r\n" HOST END, 0); /* the parser skips the blank */
    check("GET /a b HTTP/1.1\r\n" HOST END, 400);
    check("GET /# HTTP/1.1\r\n" HOST END, 400);
    check("GET ftp:/x HTTP/1.1\r\n" HOST END, 400);
    check("GET //evil.example/x HTTP/1.1\r\n" HOST END, 0); /* a path, in which nothing is found */
    check("GET /%2e%2e/%00 HTTP/1.1\r\n" HOST END, 0);
}

static void test_limits(void **state)
{
    struct bytes_buf text = {0};
    for (size_t extra = 0; extra < 2; extra++) {
        text.len = 0;
        bytes_buf_printf(&text, "GET /%0*d HTTP/1.1\r\n" HOST END, (int)(WEB_TARGET_MAX - 1 + extra), 0);
        bytes_buf_append(&text, "", 1);
        check(text.data, extra == 0 ? 0 : 414);
    }
    for (int fields = WEB_FIELDS_MAX; fields <= WEB_FIELDS_MAX + 1; fields++) {
        text.len = 0;
        bytes_buf_printf(&text, "GET / HTTP/1.1\r\n" HOST);
        for (int i = 1; i < fields; i++) bytes_buf_printf(&text, "X:\r\n");
        bytes_buf_append(&text, "\r\n", 3);
        check(text.data, fields == WEB_FIELDS_MAX ? 0 : 431);
    }
    bytes_buf_release(&text);
}

/* ---- Queries and hosts ---- */

static void test_queries(void **state)
{
    struct bytes_view query = BYTES_LIT("a=1&b&=2&&c==&d="), name, value;
    static const char *const wanted[][2] = {{"a", "1"}, {"b", ""}, {"", "2"}, {"", ""}, {"c", "="}, {"d", ""}};
    for (size_t i = 0; i < 6; i++) {
        assert_true(web_query_next(&query, &name, &value));
        assert_view(name, wanted[i][0]);
        assert_view(value, wanted[i][1]);
    }
    assert_false(web_query_next(&query, &name, &value));
}

static void check_host(const char *authority, const char *host)
{
    struct bytes_view got;
    if (host == NULL) {
        if (web_host_split(bytes_str(authority), &got)) fail_msg("%s", authority);
        return;
    }
    assert_true(web_host_split(bytes_str(authority), &got));
    assert_view(got, host);
}

static void test_hosts(void **state)
{
    check_host("a", "a");
    check_host("a:1", "a");
    check_host("a:65535", "a");
    check_host("127.0.0.1:80", "127.0.0.1");
    check_host("[::1]", "::1");
    check_host("[::1]:80", "::1");
    check_host("", NULL);
    check_host(":80", NULL);
    check_host("[]:80", NULL);
    check_host("[::1", NULL);
    check_host("[::1]80", NULL);
    check_host("a:", NULL);
    check_host("a:b", NULL);
    check_host("a:123456", NULL);
    check_host("::1", NULL);
    check_host("a:80:90", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_head_ends_with_an_empty_line),
        cmocka_unit_test(test_what_cannot_become_a_request),
        cmocka_unit_test(test_which_part_is_too_long),
        cmocka_unit_test_teardown(test_parts, release),
        cmocka_unit_test_teardown(test_whether_another_request_follows, release),
        cmocka_unit_test_teardown(test_absolute_urls, release),
        cmocka_unit_test_teardown(test_methods_and_versions, release),
        cmocka_unit_test_teardown(test_shapes_of_smuggling, release),
        cmocka_unit_test_teardown(test_targets, release),
        cmocka_unit_test_teardown(test_limits, release),
        cmocka_unit_test(test_queries),
        cmocka_unit_test(test_hosts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
