#include "server/net/resp_reply.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "storage/base/sys.h"

/* Writes a value in a form that differs for different values. */
static void show(const struct resp_reply *v, struct bytes_buf *out)
{
    static const char letters[] = "+-:$_*#,";
    bytes_buf_append(out, &letters[v->kind], 1);
    switch (v->kind) {
    case RESP_REPLY_INT:
    case RESP_REPLY_BOOL: bytes_buf_printf(out, "%lld", (long long)v->integer); return;
    case RESP_REPLY_NULL: return;
    case RESP_REPLY_ARRAY:
        for (size_t i = 0; i < v->count; i++) {
            bytes_buf_append(out, i == 0 ? "(" : " ", 1);
            show(&v->values[i], out);
        }
        bytes_buf_printf(out, v->count > 0 ? ")" : "()");
        return;
    default: bytes_buf_append_view(out, v->text);
    }
}

/* All replies in the bytes, a line each; the last line is "?" if more is needed, "!" after a failure. */
static void parse_in_pieces(struct bytes_view bytes, size_t piece, struct bytes_buf *out)
{
    struct resp_reply_reader r;
    const struct resp_reply *v;
    enum resp_reply_status status = RESP_REPLY_MORE;
    resp_reply_init(&r);
    for (size_t at = 0; at < bytes.len && status != RESP_REPLY_FAILED; at += piece) {
        size_t n = bytes.len - at < piece ? bytes.len - at : piece;
        resp_reply_feed(&r, bytes_view(bytes.data + at, n));
        while ((status = resp_reply_next(&r, &v)) == RESP_REPLY_READY) {
            show(v, out);
            bytes_buf_append(out, "\n", 1);
        }
    }
    if (r.buf.len > r.start || status == RESP_REPLY_FAILED)
        bytes_buf_append(out, status == RESP_REPLY_FAILED ? "!" : "?", 1);
    assert_int_equal(resp_reply_failure(&r) != NULL, status == RESP_REPLY_FAILED);
    resp_reply_release(&r);
}

static void check(struct bytes_view bytes, const char *want)
{
    for (size_t piece = 1; piece <= bytes.len; piece++) {
        struct bytes_buf got = {NULL, 0, 0};
        parse_in_pieces(bytes, piece, &got);
        bytes_buf_append(&got, "", 1);
        assert_string_equal(got.data, want);
        bytes_buf_release(&got);
    }
}
#define CHECK(bytes, want) check(BYTES_LIT(bytes), want)

static void test_values(void **state)
{
    CHECK("+PONG\r\n", "+PONG\n");
    CHECK("-ERR no\r\n+\r\n", "-ERR no\n+\n");
    CHECK(":12\r\n:-9\r\n", ":12\n:-9\n");
    CHECK("$3\r\na\r\n\r\n$0\r\n\r\n$-1\r\n", "$a\r\n\n$\n_\n");
    CHECK("*0\r\n*-1\r\n", "*()\n_\n");
    CHECK("*3\r\n$1\r\na\r\n*2\r\n:1\r\n*0\r\n+x\r\n+next\r\n", "*($a *(:1 *()) +x)\n+next\n");
}

static void test_values_of_resp3(void **state)
{
    CHECK("_\r\n#t\r\n#f\r\n,1.5\r\n(123\r\n", "_\n#1\n#0\n,1.5\n$123\n");
    CHECK("!5\r\nERR x\r\n=5\r\ntxt:a\r\n", "-ERR x\n$txt:a\n");
    CHECK("%2\r\n+a\r\n:1\r\n+b\r\n~1\r\n:2\r\n>1\r\n+p\r\n", "*(+a :1 +b *(:2))\n*(+p)\n");
}

static void test_a_text_may_hold_any_byte(void **state)
{
    struct resp_reply_reader r;
    const struct resp_reply *v;
    resp_reply_init(&r);
    resp_reply_feed(&r, BYTES_LIT("*2\r\n+a\0b\r\n$2\r\n\0\n\r\n"));
    assert_int_equal(resp_reply_next(&r, &v), RESP_REPLY_READY);
    assert_int_equal(v->values[0].text.len, 3);
    assert_true(bytes_equal(v->values[1].text, BYTES_LIT("\0\n")));
    resp_reply_release(&r);
}

static void test_unfinished_values_wait(void **state)
{
    CHECK("+PON", "?");
    CHECK("$5\r\nabcde\r", "?");
    CHECK("*2\r\n:1\r\n", "?");
}

static void test_what_is_not_resp_fails(void **state)
{
    CHECK("PONG\r\n", "!");
    CHECK("\r\n", "!");
    CHECK("+a\n", "!");
    CHECK("+a\rb\r\n", "!");
    CHECK(":1x\r\n", "!");
    CHECK(":\r\n", "!");
    CHECK("$-2\r\n", "!");
    CHECK("$1\r\nabc", "!");
    CHECK("#x\r\n", "!");
    CHECK("_x\r\n", "!");
    CHECK("|1\r\n+a\r\n+b\r\n+c\r\n", "!");
    CHECK("+one\r\n*1\r\n?\r\n", "+one\n!");
}

static void test_a_failure_stays_until_reset(void **state)
{
    struct resp_reply_reader r;
    const struct resp_reply *v;
    resp_reply_init(&r);
    resp_reply_feed(&r, BYTES_LIT("x\r\n"));
    assert_int_equal(resp_reply_next(&r, &v), RESP_REPLY_FAILED);
    resp_reply_feed(&r, BYTES_LIT("+OK\r\n"));
    assert_int_equal(resp_reply_next(&r, &v), RESP_REPLY_FAILED);
    resp_reply_reset(&r);
    resp_reply_feed(&r, BYTES_LIT("+OK\r\n"));
    assert_int_equal(resp_reply_next(&r, &v), RESP_REPLY_READY);
    resp_reply_release(&r);
}

static void test_a_header_alone_allocates_nothing(void **state)
{
    struct resp_reply_reader r;
    const struct resp_reply *v;
    resp_reply_init(&r);
    resp_reply_feed(&r, BYTES_LIT("*1000000\r\n$1000000\r\n"));
    assert_int_equal(resp_reply_next(&r, &v), RESP_REPLY_MORE);
    assert_true(r.buf.cap < 1024);
    assert_null(r.tree);
    resp_reply_release(&r);
}

static enum resp_reply_status status_of(const struct bytes_buf *bytes)
{
    struct resp_reply_reader r;
    const struct resp_reply *v;
    resp_reply_init(&r);
    resp_reply_feed(&r, bytes_buf_view(bytes));
    enum resp_reply_status status = resp_reply_next(&r, &v);
    resp_reply_release(&r);
    return status;
}

static enum resp_reply_status status_of_repeated(const char *head, const char *each, size_t times)
{
    struct bytes_buf bytes = {NULL, 0, 0};
    bytes_buf_printf(&bytes, "%s", head);
    for (size_t i = 0; i < times; i++) bytes_buf_printf(&bytes, "%s", each);
    enum resp_reply_status status = status_of(&bytes);
    bytes_buf_release(&bytes);
    return status;
}

static void test_limits(void **state)
{
    assert_int_equal(status_of_repeated("", "*1\r\n", RESP_REPLY_DEPTH_MAX), RESP_REPLY_MORE);
    assert_int_equal(status_of_repeated("", "*1\r\n", RESP_REPLY_DEPTH_MAX + 1), RESP_REPLY_FAILED);
    assert_int_equal(status_of_repeated("*16383\r\n", ":1\r\n", RESP_REPLY_VALUES_MAX - 1), RESP_REPLY_READY);
    assert_int_equal(status_of_repeated("*16384\r\n", ":1\r\n", RESP_REPLY_VALUES_MAX), RESP_REPLY_FAILED);
    assert_int_equal(status_of_repeated("$1048577\r\n", "", 0), RESP_REPLY_FAILED);
    assert_int_equal(status_of_repeated("+", "a", RESP_REPLY_MAX - 1), RESP_REPLY_MORE);
    assert_int_equal(status_of_repeated("+", "a", RESP_REPLY_MAX), RESP_REPLY_FAILED);
    assert_int_equal(status_of_repeated("$1048000\r\n", "a", 1047999), RESP_REPLY_MORE);
}

/* ---- random replies ---- */

static void make_value(struct rng *rng, struct bytes_buf *bytes, struct bytes_buf *want, unsigned depth)
{
    unsigned kind = (unsigned)rng_below(rng, depth < 4 ? 6 : 5), n = (unsigned)rng_below(rng, 20);
    switch (kind) {
    case 0:
        bytes_buf_printf(bytes, "+s%u\r\n", n);
        bytes_buf_printf(want, "+s%u", n);
        return;
    case 1:
        bytes_buf_printf(bytes, "-E%u\r\n", n);
        bytes_buf_printf(want, "-E%u", n);
        return;
    case 2:
        bytes_buf_printf(bytes, ":%u\r\n", n);
        bytes_buf_printf(want, ":%u", n);
        return;
    case 3:
        bytes_buf_printf(bytes, "$%u\r\n%.*s\r\n", n, (int)n, "abc\r\ndefghij*3\r\nklmnop");
        bytes_buf_printf(want, "$%.*s", (int)n, "abc\r\ndefghij*3\r\nklmnop");
        return;
    case 4:
        bytes_buf_printf(bytes, "$-1\r\n");
        bytes_buf_printf(want, "_");
        return;
    default: break;
    }
    n %= 5;
    bytes_buf_printf(bytes, "*%u\r\n", n);
    bytes_buf_printf(want, n > 0 ? "*" : "*()");
    for (unsigned i = 0; i < n; i++) {
        bytes_buf_append(want, i == 0 ? "(" : " ", 1);
        make_value(rng, bytes, want, depth + 1);
    }
    if (n > 0) bytes_buf_append(want, ")", 1);
}

static void test_random_replies_in_random_pieces(void **state)
{
    struct rng rng;
    rng_seed(&rng, 12);
    for (int round = 0; round < 500; round++) {
        struct bytes_buf bytes = {NULL, 0, 0}, want = {NULL, 0, 0}, got = {NULL, 0, 0};
        for (int i = 0; i < 5; i++) {
            make_value(&rng, &bytes, &want, 0);
            bytes_buf_append(&want, "\n", 1);
        }
        parse_in_pieces(bytes_buf_view(&bytes), 1 + rng_below(&rng, 30), &got);
        assert_true(bytes_equal(bytes_buf_view(&got), bytes_buf_view(&want)));
        bytes_buf_release(&bytes);
        bytes_buf_release(&want);
        bytes_buf_release(&got);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_values_of_resp3),
        cmocka_unit_test(test_a_text_may_hold_any_byte),
        cmocka_unit_test(test_unfinished_values_wait),
        cmocka_unit_test(test_what_is_not_resp_fails),
        cmocka_unit_test(test_a_failure_stays_until_reset),
        cmocka_unit_test(test_a_header_alone_allocates_nothing),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_random_replies_in_random_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
