#include "server/net/outbuf.h"

#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "storage/base/memory.h"
#include "storage/base/sys.h"

static void assert_pending(const struct outbuf *o, const struct bytes_buf *want)
{
    struct bytes_buf got = {0};
    outbuf_copy(o, &got);
    assert_int_equal(got.len, want->len);
    assert_int_equal(outbuf_bytes(o), want->len);
    if (want->len != 0) assert_memory_equal(got.data, want->data, want->len);
    bytes_buf_release(&got);
}

static void append_both(struct outbuf *o, struct bytes_buf *want, struct rng *rng, size_t len)
{
    char *data = mem_alloc(len);
    for (size_t i = 0; i < len; i++) data[i] = (char)rng_next(rng);
    outbuf_append(o, data, len);
    bytes_buf_append(want, data, len);
    mem_free(data);
}

/* ---- bytes of somebody else ---- */

struct shared {
    char bytes[300000];
    size_t used;
    int refs;
};

static void shared_unref(void *ctx)
{
    ((struct shared *)ctx)->refs--;
}

static void append_shared(struct outbuf *o, struct bytes_buf *want, struct rng *rng, struct shared *s)
{
    size_t len = rng_below(rng, 3000), skip = rng_below(rng, 2) ? 0 : rng_below(rng, 100);
    if (s->used + skip + len > sizeof(s->bytes)) return;
    s->used += skip;
    struct bytes_view v = bytes_view(s->bytes + s->used, len);
    s->used += len;
    s->refs++;
    outbuf_append_shared(o, v, shared_unref, s);
    bytes_buf_append_view(want, v);
}

/* A deferred header around random content, which may hold deferred headers too. */
static void append_deferred(struct outbuf *o, struct bytes_buf *want, struct rng *rng, int depth)
{
    struct outbuf_mark mark = outbuf_mark(o);
    char header[OUTBUF_MARK_MAX + 1] = "0123456789abcdef";
    size_t len = rng_below(rng, OUTBUF_MARK_MAX + 1);
    bytes_buf_append(want, header, len);
    for (uint64_t n = rng_below(rng, 4); n > 0; n--) {
        if (depth < 4 && rng_below(rng, 2)) append_deferred(o, want, rng, depth + 1);
        append_both(o, want, rng, rng_below(rng, 8) == 0 ? rng_below(rng, 50000) : rng_below(rng, 100));
    }
    outbuf_set_mark(o, mark, header, len);
}

static void append_reserved(struct outbuf *o, struct bytes_buf *want, struct rng *rng)
{
    size_t room = rng_below(rng, OUTBUF_BLOCK / 2 + 1), len = rng_below(rng, room + 1);
    char *p = outbuf_reserve(o, room);
    if (len != 0) memset(p, 'r', len);
    outbuf_commit(o, p + len);
    bytes_buf_append(want, p, len);
}

static void consume_both(struct outbuf *o, struct bytes_buf *want, struct rng *rng)
{
    size_t n = rng_below(rng, want->len + 1);
    if (rng_below(rng, 4) == 0) n = want->len;
    outbuf_consume(o, n);
    want->len -= n;
    if (want->len != 0) memmove(want->data, want->data + n, want->len);
}

static void move_some_in(struct outbuf *o, struct bytes_buf *want, struct rng *rng)
{
    struct outbuf from;
    struct bytes_buf added = {0};
    outbuf_init(&from);
    for (uint64_t n = rng_below(rng, 4); n > 0; n--) append_both(&from, &added, rng, rng_below(rng, 30000));
    consume_both(&from, &added, rng);
    outbuf_move(o, &from);
    assert_int_equal(outbuf_bytes(&from), 0);
    append_both(&from, &added, rng, 10); /* still usable */
    outbuf_release(&from);
    bytes_buf_append(want, added.data, added.len - 10);
    bytes_buf_release(&added);
}

static void random_step(struct outbuf *o, struct bytes_buf *want, struct rng *rng, struct shared *s)
{
    switch (rng_below(rng, 12)) {
    case 0: append_both(o, want, rng, rng_below(rng, 200000)); break;
    case 1: append_shared(o, want, rng, s); break;
    case 2:
    case 3: append_deferred(o, want, rng, 0); break;
    case 4: append_reserved(o, want, rng); break;
    case 5: move_some_in(o, want, rng); break;
    case 6:
    case 7:
    case 8: consume_both(o, want, rng); break;
    case 9:
        outbuf_trim(o);
        if (rng_below(rng, 4) > 0) break;
        outbuf_clear(o);
        want->len = 0;
        break;
    default: append_both(o, want, rng, rng_below(rng, 300)); break;
    }
}

static void test_random_operations_match_a_flat_buffer(void **state)
{
    struct shared *s = mem_alloc(sizeof(*s));
    for (uint64_t seed = 0; seed < 300; seed++) {
        struct outbuf o;
        struct bytes_buf want = {0};
        struct rng rng;
        rng_seed(&rng, seed);
        for (size_t i = 0; i < sizeof(s->bytes); i++) s->bytes[i] = (char)(i * 31);
        s->used = 0;
        s->refs = 0;
        outbuf_init(&o);
        for (int step = 0; step < 60; step++) {
            random_step(&o, &want, &rng, s);
            assert_int_equal(outbuf_bytes(&o), want.len);
            if (step % 8 == 0) assert_pending(&o, &want);
        }
        assert_pending(&o, &want);
        outbuf_release(&o);
        assert_int_equal(s->refs, 0);
        bytes_buf_release(&want);
    }
    mem_free(s);
}

static void test_bytes_that_continue_share_an_entry(void **state)
{
    struct shared *s = mem_calloc(sizeof(*s));
    struct outbuf o;
    struct outbuf_stats st;
    outbuf_init(&o);
    for (int i = 0; i < 100; i++) {
        s->refs++;
        outbuf_append_shared(&o, bytes_view(s->bytes + i * 100, 100), shared_unref, s);
    }
    assert_int_equal(s->refs, 1);
    outbuf_get_stats(&o, &st);
    assert_int_equal(st.oll, 1);
    assert_int_equal(outbuf_bytes(&o), 10000);
    outbuf_consume(&o, 9999);
    assert_int_equal(s->refs, 1);
    outbuf_consume(&o, 1);
    assert_int_equal(s->refs, 0);
    outbuf_release(&o);
    mem_free(s);
}

static void test_first_block_is_kept_until_trimmed(void **state)
{
    struct outbuf o;
    struct outbuf_stats st;
    outbuf_init(&o);
    outbuf_get_stats(&o, &st);
    assert_int_equal(st.total_memory, 0);
    outbuf_append(&o, "hello", 5);
    outbuf_get_stats(&o, &st);
    assert_int_equal(st.obl, 5);
    assert_int_equal(st.oll, 0);
    assert_int_equal(st.omem, 0);
    assert_int_equal(st.rbs, OUTBUF_BLOCK);
    outbuf_trim(&o); /* busy: no effect */
    outbuf_consume(&o, 5);
    assert_true(outbuf_empty(&o));
    outbuf_get_stats(&o, &st);
    assert_int_equal(st.total_memory, OUTBUF_BLOCK);
    outbuf_trim(&o);
    outbuf_get_stats(&o, &st);
    assert_int_equal(st.total_memory, 0);
    outbuf_release(&o);
}

static void test_large_payloads_are_counted(void **state)
{
    struct outbuf o;
    struct outbuf_stats st;
    size_t len = 1000000;
    char *data = mem_calloc(len);
    outbuf_init(&o);
    outbuf_append(&o, "x", 1);
    outbuf_append(&o, data, len);
    outbuf_append(&o, "\r\n", 2); /* into the free space after the payload */
    outbuf_get_stats(&o, &st);
    assert_int_equal(st.oll, 1);
    assert_true(st.omem >= len && st.omem < len + len / 4);
    assert_int_equal(outbuf_memory(&o), st.omem);
    outbuf_consume(&o, outbuf_bytes(&o));
    assert_int_equal(outbuf_memory(&o), 0);
    outbuf_release(&o);
    mem_free(data);
}

/* ---- over a socket ---- */

/* The peer reads slowly, so writes may stop at any byte. */
static void test_partial_writes_lose_nothing(void **state)
{
    struct loop *loop = loop_new();
    int fds[2];
    struct rng rng;
    struct outbuf o;
    struct bytes_buf want = {0}, got = {0};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    struct conn *c = conn_adopt(loop, fds[0]);
    rng_seed(&rng, 9);
    outbuf_init(&o);
    int blocked = 0, rc = 0;
    for (int i = 0; i < 400 || rc != 1; i++) {
        for (int n = 0; i < 400 && n < 8; n++) append_both(&o, &want, &rng, rng_below(&rng, n == 7 ? 70000 : 5000));
        rc = outbuf_flush(&o, c);
        assert_true(rc == 0 || rc == 1);
        assert_int_equal(rc, outbuf_empty(&o));
        blocked += rc == 0;
        size_t room = 1 + rng_below(&rng, 60000);
        bytes_buf_reserve(&got, room);
        ssize_t n = recv(fds[1], got.data + got.len, room, MSG_DONTWAIT);
        if (n > 0) got.len += (size_t)n;
    }
    assert_true(blocked > 10);
    assert_int_equal(outbuf_sent(&o), want.len);
    conn_close(c);
    bytes_buf_reserve(&got, want.len - got.len);
    for (ssize_t n = 1; n > 0;) {
        n = recv(fds[1], got.data + got.len, want.len - got.len, 0);
        got.len += n > 0 ? (size_t)n : 0;
        if (got.len == want.len) break;
    }
    assert_true(bytes_equal(bytes_buf_view(&want), bytes_buf_view(&got)));
    close(fds[1]);
    outbuf_release(&o);
    loop_free(loop);
    bytes_buf_release(&want);
    bytes_buf_release(&got);
}

static void test_a_gone_peer_is_an_error_and_no_signal(void **state)
{
    struct loop *loop = loop_new();
    struct outbuf o;
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    struct conn *c = conn_adopt(loop, fds[0]);
    close(fds[1]);
    outbuf_init(&o);
    outbuf_append(&o, "x", 1);
    assert_int_equal(outbuf_flush(&o, c), -EPIPE);
    outbuf_release(&o);
    conn_close(c);
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_operations_match_a_flat_buffer),
        cmocka_unit_test(test_bytes_that_continue_share_an_entry),
        cmocka_unit_test(test_first_block_is_kept_until_trimmed),
        cmocka_unit_test(test_large_payloads_are_counted),
        cmocka_unit_test(test_partial_writes_lose_nothing),
        cmocka_unit_test(test_a_gone_peer_is_an_error_and_no_signal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
