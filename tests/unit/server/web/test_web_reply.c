/* Answers: their heads, and lines of text. */
#include "server/web/web_reply.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static const char *head(const struct web_reply *reply, bool keep_alive)
{
    static char text[2048];
    struct bytes_buf out = {0};
    web_reply_head(reply, keep_alive, 951782400, &out);
    snprintf(text, sizeof(text), "%.*s", (int)out.len, out.data);
    bytes_buf_release(&out);
    return text;
}

static void assert_has(const char *text, const char *line)
{
    char whole[256];
    snprintf(whole, sizeof(whole), "\r\n%s\r\n", line);
    if (strstr(text, whole) == NULL) fail_msg("no line '%s' in\n%s", line, text);
}

static void test_the_plain_head(void **state)
{
    struct web_reply reply = {0};
    const char *text = head(&reply, true);
    assert_memory_equal(text, "HTTP/1.1 200 OK\r\n", 17);
    assert_has(text, "Date: Tue, 29 Feb 2000 00:00:00 GMT");
    assert_has(text, "Content-Type: text/plain; charset=utf-8");
    assert_has(text, "Content-Length: 0");
    assert_has(text, "Cache-Control: no-store");
    assert_has(text, "X-Content-Type-Options: nosniff");
    assert_has(text, "X-Frame-Options: DENY");
    assert_has(text, "Cross-Origin-Resource-Policy: same-origin");
    assert_has(text, "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'");
    assert_has(text, "Connection: keep-alive");
    assert_null(strstr(text, "Access-Control"));
    assert_null(strstr(text, "WWW-Authenticate"));
    assert_null(strstr(text, "Allow"));
    assert_string_equal(text + strlen(text) - 4, "\r\n\r\n");
}

static void test_what_a_handler_sets(void **state)
{
    struct web_reply reply = {
        .status = 401, .type = "text/html", .content_policy = "default-src 'self'", .asks_login = true};
    bytes_buf_append(&reply.body, "12345", 5);
    const char *text = head(&reply, false);
    assert_memory_equal(text, "HTTP/1.1 401 Unauthorized\r\n", 27);
    assert_has(text, "Content-Type: text/html");
    assert_has(text, "Content-Length: 5");
    assert_has(text, "Content-Security-Policy: default-src 'self'");
    assert_has(text, "WWW-Authenticate: Basic realm=\"lockstep\", charset=\"UTF-8\"");
    assert_has(text, "Connection: close");
    reply.status = 405;
    assert_has(head(&reply, false), "Allow: GET, HEAD");
    bytes_buf_release(&reply.body);
}

static void test_every_status_has_a_text(void **state)
{
    static const int used[] = {200, 400, 401, 403, 404, 405, 408, 413, 414, 431, 503, 505};
    for (size_t i = 0; i < sizeof(used) / sizeof(used[0]); i++)
        assert_string_not_equal(web_status_text(used[i]), web_status_text(999));
}

static void test_lines(void **state)
{
    struct web_reply reply = {0};
    char text[2000];
    web_reply_line(&reply, 503, "%s %d", "a", 1);
    web_reply_line(&reply, 404, "%s", "b"); /* instead of the first */
    assert_int_equal(reply.status, 404);
    assert_true(bytes_equal(bytes_buf_view(&reply.body), BYTES_LIT("b\n")));
    memset(text, 'x', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    web_reply_line(&reply, 200, "%s", text); /* cut off, and still a line */
    assert_true(reply.body.len > 100 && reply.body.len < sizeof(text));
    assert_int_equal(reply.body.data[reply.body.len - 1], '\n');
    assert_ptr_equal(memchr(reply.body.data, '\n', reply.body.len), reply.body.data + reply.body.len - 1);
    bytes_buf_release(&reply.body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_plain_head),
        cmocka_unit_test(test_what_a_handler_sets),
        cmocka_unit_test(test_every_status_has_a_text),
        cmocka_unit_test(test_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
