#include "replication/transfer.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define MARK "0123456789abcdef0123456789abcdef01234567"

struct receiver {
    struct transfer t;
    struct bytes_buf payload;
    int begun;
    int fail_begin, fail_payload;
};

static int on_begin(void *ctx)
{
    struct receiver *r = ctx;
    r->begun++;
    return r->fail_begin;
}

static int on_payload(void *ctx, struct bytes_view bytes)
{
    struct receiver *r = ctx;
    assert_int_equal(r->begun, 1);
    bytes_buf_append_view(&r->payload, bytes);
    return r->fail_payload;
}

static void receiver_begin(struct receiver *r)
{
    *r = (struct receiver){0};
    struct transfer_sink sink = {.ctx = r, .begin = on_begin, .payload = on_payload};
    transfer_init(&r->t, &sink);
}

/* Feeds `wire` in pieces of at most `step` bytes. *rest is the position where the transfer ended. */
static int feed(struct receiver *r, struct bytes_view wire, size_t step, size_t *rest)
{
    size_t at = 0;
    int rc = 0;
    while (at < wire.len && rc == 0) {
        size_t consumed, n = wire.len - at < step ? wire.len - at : step;
        rc = transfer_feed(&r->t, bytes_view(wire.data + at, n), &consumed);
        if (rc == 0) assert_int_equal(consumed, n);
        at += consumed;
    }
    *rest = at;
    return rc;
}

static void check_received(struct receiver *r, const char *payload)
{
    assert_int_equal(r->payload.len, strlen(payload));
    if (r->payload.len > 0) assert_memory_equal(r->payload.data, payload, r->payload.len);
    assert_int_equal(r->t.received, strlen(payload));
    bytes_buf_release(&r->payload);
}

static void check_all_splits(struct bytes_view wire, const char *payload, const char *rest)
{
    for (size_t step = 1; step <= wire.len; step++) { /* into equal pieces */
        struct receiver r;
        size_t at;
        receiver_begin(&r);
        assert_int_equal(feed(&r, wire, step, &at), 1);
        assert_int_equal(wire.len - at, strlen(rest));
        check_received(&r, payload);
    }
    for (size_t cut = 0; cut < wire.len - strlen(rest); cut++) { /* into two pieces, at any position */
        struct receiver r;
        size_t first, second;
        receiver_begin(&r);
        assert_int_equal(transfer_feed(&r.t, bytes_view(wire.data, cut), &first), 0);
        assert_int_equal(first, cut);
        assert_int_equal(transfer_feed(&r.t, bytes_view(wire.data + cut, wire.len - cut), &second), 1);
        assert_int_equal(cut + second, wire.len - strlen(rest));
        check_received(&r, payload);
    }
}

static void test_F5_a_length_in_any_split(void **state)
{
    check_all_splits(BYTES_LIT("\n\n$11\r\nhello\r\nworl*1\r\n$4\r\nPING\r\n"), "hello\r\nworl",
                     "*1\r\n$4\r\nPING\r\n");
    check_all_splits(BYTES_LIT("$0\r\n"), "", "");
}

static void test_F5_a_mark_in_any_split(void **state)
{
    check_all_splits(BYTES_LIT("\r\n\n$EOF:" MARK "\r\nREDIS0123" MARK "\n\n*1\r\n"), "REDIS0123", "\n\n*1\r\n");
}

static void test_F5_payload_that_looks_like_the_mark(void **state)
{
    check_all_splits(BYTES_LIT("$EOF:" MARK "\r\n0123456789abcdef0123456789abcdef0123456" MARK),
                     "0123456789abcdef0123456789abcdef0123456", "");
    check_all_splits(BYTES_LIT("$EOF:" MARK "\r\n01234567" MARK "x"), "01234567", "x");
}

static void test_F5_a_broken_mark_is_payload(void **state)
{
    struct receiver r;
    size_t at;
    receiver_begin(&r);
    struct bytes_view wire = BYTES_LIT("$EOF:" MARK "\r\ndata0123456789abcdef0123456789abcdef01234568");
    assert_int_equal(feed(&r, wire, 7, &at), 0);
    assert_int_equal(r.payload.len, 44);
    bytes_buf_release(&r.payload);
}

static void test_bad_headers(void **state)
{
    static const char *const headers[] = {
        "-ERR no\r\n", "*3\r\n",
        "$\r\n",       "$-1\r\n",
        "$1x\r\n",     "$01\r\n",
        "$EOF:12\r\n", "$EOF:" MARK "0\r\n",
        "REDIS0011\n", "$99999999999999999999\r\n",
    };
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        for (size_t step = 1; step < 5; step++) {
            struct receiver r;
            size_t at;
            receiver_begin(&r);
            assert_int_equal(feed(&r, bytes_str(headers[i]), step, &at), -EPROTO);
            assert_true(r.t.error[0] != '\0');
            assert_int_equal(r.begun, 0);
        }
    }
}

static void test_an_endless_header(void **state)
{
    struct receiver r;
    size_t at;
    char line[TRANSFER_HEADER_MAX + 1];
    receiver_begin(&r);
    memset(line, 'a', sizeof(line));
    assert_int_equal(feed(&r, bytes_view(line, sizeof(line)), 100, &at), -EPROTO);
}

static void test_the_sink_can_stop_it(void **state)
{
    struct receiver r;
    size_t at;
    receiver_begin(&r);
    r.fail_begin = -ECANCELED;
    assert_int_equal(feed(&r, BYTES_LIT("$3\r\nabc"), 100, &at), -ECANCELED);
    receiver_begin(&r);
    r.fail_payload = -ENOSPC;
    assert_int_equal(feed(&r, BYTES_LIT("$3\r\nabc"), 100, &at), -ENOSPC);
    bytes_buf_release(&r.payload);
    receiver_begin(&r);
    r.fail_payload = -ENOSPC;
    assert_int_equal(feed(&r, BYTES_LIT("$EOF:" MARK "\r\nabc"), 100, &at), -ENOSPC);
    bytes_buf_release(&r.payload);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_F5_a_length_in_any_split),
        cmocka_unit_test(test_F5_a_mark_in_any_split),
        cmocka_unit_test(test_F5_payload_that_looks_like_the_mark),
        cmocka_unit_test(test_F5_a_broken_mark_is_payload),
        cmocka_unit_test(test_bad_headers),
        cmocka_unit_test(test_an_endless_header),
        cmocka_unit_test(test_the_sink_can_stop_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
