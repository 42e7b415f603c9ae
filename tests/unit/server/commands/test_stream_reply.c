/* Ids as text, entries and spans as replies. */
#include "server/commands/stream_reply.h"

#include "tests/unit/server/commands/ctx_fixture.h"

static void test_ids(void **state)
{
    struct fixture *f = *state;
    struct stream_id_text text;
    (void)state;
    assert_true(bytes_equal(stream_id_view((struct stream_id){0, 0}, &text), BYTES_LIT("0-0")));
    assert_true(bytes_equal(stream_id_view((struct stream_id){UINT64_MAX, UINT64_MAX}, &text),
                            BYTES_LIT("18446744073709551615-18446744073709551615")));
    struct by_hand h;
    by_hand_init(f, &h, "xlen s");
    reply_stream_id(h.ctx.reply, (struct stream_id){7, 8});
    CHECK_ANSWER(f, "7-8");
    by_hand_release(f, &h);
}

static const struct stream *filled(struct fixture *f, struct by_hand *h)
{
    const void *s;
    CHECK(f, "XADD s 1-1 a 1", "1-1");
    CHECK(f, "XADD s 1-2 b 2 c 3", "1-2");
    CHECK(f, "XADD s 5-0 d 4", "5-0");
    by_hand_init(f, h, "xrange s - +");
    assert_int_equal(ctx_read_value(&h->ctx, 1, TYPE_STREAM, &s), LOOKUP_FOUND);
    return s;
}

static void test_single_entries(void **state)
{
    struct fixture *f = *state;
    struct by_hand h;
    const struct stream *s = filled(f, &h);
    assert_true(reply_stream_entry_of(h.ctx.reply, s, (struct stream_id){1, 2}));
    CHECK_ANSWER(f, "[1-2 [b 2 c 3]]");
    assert_false(reply_stream_entry_of(h.ctx.reply, s, (struct stream_id){1, 3}));
    CHECK_ANSWER(f, "");
    by_hand_release(f, &h);
}

static void test_spans(void **state)
{
    static const struct {
        struct stream_span span;
        const char *wanted;
    } cases[] = {
        {{.end = {UINT64_MAX, UINT64_MAX}}, "[[1-1 [a 1]] [1-2 [b 2 c 3]] [5-0 [d 4]]]"},
        {{.end = {UINT64_MAX, UINT64_MAX}, .limit = 2}, "[[1-1 [a 1]] [1-2 [b 2 c 3]]]"},
        {{.end = {UINT64_MAX, UINT64_MAX}, .limit = 2, .reverse = true}, "[[5-0 [d 4]] [1-2 [b 2 c 3]]]"},
        {{.start = {1, 2}, .end = {1, 2}}, "[[1-2 [b 2 c 3]]]"},
        {{.start = {2, 0}, .end = {4, 0}}, "[]"},
        {{.start = {5, 1}, .end = {UINT64_MAX, 0}}, "[]"},
        {{.start = {5, 0}, .end = {1, 1}}, "[]"},
        {{.start = {5, 0}, .end = {1, 1}, .reverse = true}, "[]"},
    };
    struct fixture *f = *state;
    struct by_hand h;
    const struct stream *s = filled(f, &h);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        reply_stream_span(&h.ctx, s, &cases[i].span);
        CHECK_ANSWER(f, cases[i].wanted);
    }
    by_hand_release(f, &h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_ids),
        TEST(test_single_entries),
        TEST(test_spans),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
