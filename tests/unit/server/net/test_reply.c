#include "server/net/reply.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "storage/base/memory.h"
#include "storage/base/sys.h"

struct encoder {
    struct reply reply;
    struct outbuf out;
};

static void encoder_init(struct encoder *e, uint8_t proto)
{
    outbuf_init(&e->out);
    reply_init(&e->reply, &e->out);
    e->reply.proto = proto;
}

static void encoder_expect(struct encoder *e, struct bytes_view want)
{
    struct bytes_buf got = {0};
    outbuf_copy(&e->out, &got);
    assert_int_equal(got.len, want.len);
    if (want.len != 0) assert_memory_equal(got.data, want.data, want.len);
    bytes_buf_release(&got);
    outbuf_clear(&e->out);
}

static void encoder_release(struct encoder *e)
{
    outbuf_release(&e->out);
}

/* Checks that the statement writes the first bytes in RESP2 and the second in RESP3; `r` is the encoder. */
#define CHECK(statement, resp2, resp3)                                                                                 \
    do {                                                                                                               \
        struct encoder e_;                                                                                             \
        struct reply *r = &e_.reply;                                                                                   \
        encoder_init(&e_, 2);                                                                                          \
        statement;                                                                                                     \
        encoder_expect(&e_, BYTES_LIT(resp2));                                                                         \
        r->proto = 3;                                                                                                  \
        statement;                                                                                                     \
        encoder_expect(&e_, BYTES_LIT(resp3));                                                                         \
        encoder_release(&e_);                                                                                          \
    } while (0)

static void test_every_kind_in_both_protocols(void **state)
{
    CHECK(reply_ok(r), "+OK\r\n", "+OK\r\n");
    CHECK(reply_queued(r), "+QUEUED\r\n", "+QUEUED\r\n");
    CHECK(reply_status(r, "PONG"), "+PONG\r\n", "+PONG\r\n");
    CHECK(reply_error(r, "ERR no"), "-ERR no\r\n", "-ERR no\r\n");
    CHECK(reply_errorf(r, "ERR %s %d", "no", 3), "-ERR no 3\r\n", "-ERR no 3\r\n");
    CHECK(reply_int(r, 0), ":0\r\n", ":0\r\n");
    CHECK(reply_int(r, 42), ":42\r\n", ":42\r\n");
    CHECK(reply_int(r, 1000), ":1000\r\n", ":1000\r\n");
    CHECK(reply_int(r, -7), ":-7\r\n", ":-7\r\n");
    CHECK(reply_int(r, INT64_MAX), ":9223372036854775807\r\n", ":9223372036854775807\r\n");
    CHECK(reply_int(r, INT64_MIN), ":-9223372036854775808\r\n", ":-9223372036854775808\r\n");
    CHECK(reply_bulk(r, BYTES_LIT("")), "$0\r\n\r\n", "$0\r\n\r\n");
    CHECK(reply_bulk(r, BYTES_LIT("a\r\n\0b")), "$5\r\na\r\n\0b\r\n", "$5\r\na\r\n\0b\r\n");
    CHECK(reply_bulk_cstr(r, "0123456789"), "$10\r\n0123456789\r\n", "$10\r\n0123456789\r\n");
    CHECK(reply_bulk_cstr(r, NULL), "$-1\r\n", "_\r\n");
    CHECK(reply_bulkf(r, "%s-%d", "a", 1), "$3\r\na-1\r\n", "$3\r\na-1\r\n");
    CHECK(reply_bulk_int(r, -12), "$3\r\n-12\r\n", "$3\r\n-12\r\n");
    CHECK(reply_null(r), "$-1\r\n", "_\r\n");
    CHECK(reply_null_array(r), "*-1\r\n", "_\r\n");
    CHECK(reply_empty_array(r), "*0\r\n", "*0\r\n");
    CHECK(reply_array(r, 99), "*99\r\n", "*99\r\n");
    CHECK(reply_map(r, 7), "*14\r\n", "%7\r\n");
    CHECK(reply_set(r, 7), "*7\r\n", "~7\r\n");
    CHECK(reply_push(r, 3), "*3\r\n", ">3\r\n");
    CHECK(reply_bool(r, true), ":1\r\n", "#t\r\n");
    CHECK(reply_bool(r, false), ":0\r\n", "#f\r\n");
    CHECK(reply_double(r, 0.1), "$3\r\n0.1\r\n", ",0.1\r\n");
    CHECK(reply_double(r, 3), "$1\r\n3\r\n", ",3\r\n");
    CHECK(reply_double(r, INFINITY), "$3\r\ninf\r\n", ",inf\r\n");
    CHECK(reply_double(r, -INFINITY), "$4\r\n-inf\r\n", ",-inf\r\n");
    CHECK(reply_long_double(r, 10.5L), "$4\r\n10.5\r\n", ",10.5\r\n");
    CHECK(reply_bignum(r, BYTES_LIT("1234567999999999999999999999999999999")),
          "$37\r\n1234567999999999999999999999999999999\r\n", "(1234567999999999999999999999999999999\r\n");
    CHECK(reply_verbatim(r, "txt", BYTES_LIT("a\nb")), "$3\r\na\nb\r\n", "=7\r\ntxt:a\nb\r\n");
}

static void test_deferred_sizes(void **state)
{
    struct encoder e;
    struct reply *r = &e.reply;
    encoder_init(&e, 3);
    struct outbuf_mark outer = reply_deferred(r), inner = reply_deferred(r);
    reply_int(r, 1);
    reply_deferred_set(r, inner, 1);
    inner = reply_deferred(r);
    reply_deferred_map(r, inner, 0);
    reply_deferred_array(r, outer, 1234);
    encoder_expect(&e, BYTES_LIT("*1234\r\n~1\r\n:1\r\n%0\r\n"));
    r->proto = 2;
    outer = reply_deferred(r);
    reply_deferred_map(r, outer, 3);
    encoder_expect(&e, BYTES_LIT("*6\r\n"));
    encoder_release(&e);
}

static void test_CVE_2025_67733_lines_cannot_be_broken(void **state)
{
    CHECK(reply_error(r, "ERR a\r\n+OK\r\n"), "-ERR a  +OK  \r\n", "-ERR a  +OK  \r\n");
    CHECK(reply_errorf(r, "ERR unknown '%s'", "x\n:1\r"), "-ERR unknown 'x :1 '\r\n", "-ERR unknown 'x :1 '\r\n");
    CHECK(reply_status(r, "a\rb\nc"), "+a b c\r\n", "+a b c\r\n");
    CHECK(reply_error_view(r, BYTES_LIT("ERR \0x\n")), "-ERR \0x \r\n", "-ERR \0x \r\n");
    CHECK(reply_bignum(r, BYTES_LIT("1\r\n2")), "$4\r\n1\r\n2\r\n", "(1  2\r\n");
}

static void test_errors_are_noted(void **state)
{
    struct encoder e;
    encoder_init(&e, 2);
    reply_ok(&e.reply);
    assert_int_equal(e.reply.errors, 0);
    reply_error(&e.reply, "WRONGTYPE Operation against a key holding the wrong kind of value");
    assert_string_equal(e.reply.error_code, "WRONGTYPE");
    e.reply.muted = true;
    reply_errorf(&e.reply, "%040d x", 0); /* longer than any code */
    assert_string_equal(e.reply.error_code, "ERR");
    reply_error(&e.reply, "a:b#c\td\r\ne text");
    assert_string_equal(e.reply.error_code, "a_b_c_d__e");
    assert_int_equal(e.reply.errors, 3);
    encoder_release(&e);
}

/* Formatted texts of every length around the buffer on the stack are complete. */
static void test_long_formats_are_complete(void **state)
{
    struct encoder e;
    encoder_init(&e, 2);
    for (int len = 500; len <= 520; len++) {
        struct bytes_buf want = {0};
        bytes_buf_printf(&want, "-%0*d\r\n$%d\r\n%0*d\r\n", len, 7, len, len, 7);
        reply_errorf(&e.reply, "%0*d", len, 7);
        reply_bulkf(&e.reply, "%0*d", len, 7);
        encoder_expect(&e, bytes_buf_view(&want));
        bytes_buf_release(&want);
    }
    encoder_release(&e);
}

static void test_muted_writes_nothing(void **state)
{
    struct encoder e;
    struct reply *r = &e.reply;
    encoder_init(&e, 3);
    r->muted = true;
    reply_ok(r);
    reply_int(r, 3);
    reply_bulk(r, BYTES_LIT("x"));
    reply_bulk_cstr(r, "y");
    reply_null(r);
    reply_null_array(r);
    reply_map(r, 3);
    reply_status(r, "x");
    reply_double(r, 3.5);
    reply_verbatim(r, "txt", BYTES_LIT("x"));
    struct outbuf_mark mark = reply_deferred(r);
    reply_deferred_array(r, mark, 3);
    char *large = mem_calloc(10000);
    reply_bulk(r, bytes_view(large, 10000));
    mem_free(large);
    encoder_expect(&e, BYTES_LIT(""));
    encoder_release(&e);
}

/* ---- whatever is written parses back ---- */

/* Writes a random value and notes it in `want` the way parse_value() describes what it reads. */
static void write_value(struct reply *r, struct rng *rng, struct bytes_buf *want, int depth);

static void write_text(struct reply *r, struct rng *rng, struct bytes_buf *want)
{
    char text[80];
    size_t len = rng_below(rng, sizeof(text));
    for (size_t i = 0; i < len; i++)
        text[i] = (char)(rng_below(rng, 4) ? (uint64_t) "ab\r\n\0+-$*:"[rng_below(rng, 10)] : rng_next(rng));
    bool error = rng_below(rng, 2);
    if (error)
        reply_error_view(r, bytes_view(text, len));
    else
        reply_status_view(r, bytes_view(text, len));
    bytes_buf_printf(want, "line %zu;", len);
}

static void write_bulk(struct reply *r, struct rng *rng, struct bytes_buf *want)
{
    static const size_t lens[] = {0, 1, 9, 10, 11, 99, 100, 4096, 4097, 16384, 65536, 100000};
    size_t len = rng_below(rng, 3) ? rng_below(rng, 50) : lens[rng_below(rng, 12)];
    char *data = mem_alloc(len);
    for (size_t i = 0; i < len; i++) data[i] = "\r\n$*+0"[rng_below(rng, 6)];
    if (rng_below(rng, 10) == 0) {
        reply_verbatim(r, "txt", bytes_view(data, len));
        if (r->proto == 3) len += 4;
    } else {
        reply_bulk(r, bytes_view(data, len));
    }
    mem_free(data);
    bytes_buf_printf(want, "bulk %zu;", len);
}

static void write_elements(struct reply *r, struct rng *rng, struct bytes_buf *want, int depth, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) write_value(r, rng, want, depth + 1);
}

static void write_aggregate(struct reply *r, struct rng *rng, struct bytes_buf *want, int depth)
{
    uint64_t n = rng_below(rng, 6), kind = rng_below(rng, 4), values = kind == 1 ? 2 * n : n;
    bytes_buf_printf(want, "aggregate %llu;", (unsigned long long)values);
    if (kind < 3 && rng_below(rng, 2)) {
        struct outbuf_mark mark = reply_deferred(r);
        write_elements(r, rng, want, depth, values);
        if (kind == 0)
            reply_deferred_array(r, mark, n);
        else if (kind == 1)
            reply_deferred_map(r, mark, n);
        else
            reply_deferred_set(r, mark, n);
        return;
    }
    if (kind == 0)
        reply_array(r, n);
    else if (kind == 1)
        reply_map(r, n);
    else if (kind == 2)
        reply_set(r, n);
    else
        reply_push(r, n);
    write_elements(r, rng, want, depth, values);
}

static void write_value(struct reply *r, struct rng *rng, struct bytes_buf *want, int depth)
{
    int64_t n = (int64_t)(rng_next(rng) >> rng_below(rng, 64)) * (rng_below(rng, 2) ? 1 : -1);
    switch (rng_below(rng, depth < 4 ? 7 : 4)) {
    case 0: write_text(r, rng, want); break;
    case 1: write_bulk(r, rng, want); break;
    case 2:
        reply_int(r, n);
        bytes_buf_printf(want, "int %lld;", (long long)n);
        break;
    case 3:
        if (rng_below(rng, 2))
            reply_null(r);
        else
            reply_null_array(r);
        bytes_buf_printf(want, "null;");
        break;
    default: write_aggregate(r, rng, want, depth); break;
    }
}

/* Reads one value at *p and describes it. */
static void parse_value(const char **p, const char *end, struct bytes_buf *got)
{
    const char *eol = memmem(*p, (size_t)(end - *p), "\r\n", 2);
    assert_non_null(eol);
    char type = **p;
    struct bytes_view line = bytes_view(*p + 1, (size_t)(eol - *p - 1));
    int64_t n = 0;
    *p = eol + 2;
    if (type == '+' || type == '-') {
        bytes_buf_printf(got, "line %zu;", line.len);
        return;
    }
    if (type != '_') assert_true(num_parse_i64(line, &n));
    if (type == ':') {
        bytes_buf_printf(got, "int %lld;", (long long)n);
    } else if (type == '_' || n == -1) {
        bytes_buf_printf(got, "null;");
    } else if (type == '$' || type == '=') {
        assert_true(end - *p >= n + 2);
        assert_memory_equal(*p + n, "\r\n", 2);
        *p += n + 2;
        bytes_buf_printf(got, "bulk %lld;", (long long)n);
    } else {
        assert_non_null(strchr("*%~>", type));
        if (type == '%') n *= 2;
        bytes_buf_printf(got, "aggregate %lld;", (long long)n);
        for (int64_t i = 0; i < n; i++) parse_value(p, end, got);
    }
}

static void test_random_replies_parse_back(void **state)
{
    for (uint64_t seed = 0; seed < 600; seed++) {
        struct encoder e;
        struct rng rng;
        struct bytes_buf want = {0}, got = {0}, wire = {0};
        rng_seed(&rng, seed);
        encoder_init(&e, rng_below(&rng, 2) ? 2 : 3);
        for (int i = 0; i < 10; i++) write_value(&e.reply, &rng, &want, 0);
        outbuf_copy(&e.out, &wire);
        const char *p = wire.data;
        while (p < wire.data + wire.len) parse_value(&p, wire.data + wire.len, &got);
        assert_true(bytes_equal(bytes_buf_view(&want), bytes_buf_view(&got)));
        bytes_buf_release(&want);
        bytes_buf_release(&got);
        bytes_buf_release(&wire);
        encoder_release(&e);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_kind_in_both_protocols),
        cmocka_unit_test(test_deferred_sizes),
        cmocka_unit_test(test_CVE_2025_67733_lines_cannot_be_broken),
        cmocka_unit_test(test_errors_are_noted),
        cmocka_unit_test(test_long_formats_are_complete),
        cmocka_unit_test(test_muted_writes_nothing),
        cmocka_unit_test(test_random_replies_parse_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
