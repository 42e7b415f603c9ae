/* Positions, counts and keys as arguments; results that are stored. */
#include "server/commands/collection.h"

#include "tests/unit/server/commands/ctx_fixture.h"

static void check_span(int64_t start, int64_t stop, size_t len, size_t first, size_t count)
{
    struct span s = span_of(start, stop, len);
    assert_int_equal(s.count, count);
    if (count > 0) assert_int_equal(s.first, first);
}

static void test_spans(void **state)
{
    (void)state;
    check_span(0, -1, 5, 0, 5);
    check_span(1, 3, 5, 1, 3);
    check_span(-2, -1, 5, 3, 2);
    check_span(-100, 100, 5, 0, 5);
    check_span(3, 1, 5, 0, 0);
    check_span(5, 9, 5, 0, 0);
    check_span(-1, -3, 5, 0, 0);
    check_span(0, -6, 5, 0, 0);
    check_span(4, 4, 5, 4, 1);
    check_span(0, 0, 0, 0, 0);
    check_span(INT64_MIN, INT64_MAX, 5, 0, 5);
    check_span(INT64_MAX, INT64_MIN, 5, 0, 0);
    check_span(0, INT64_MIN, 5, 0, 0);
}

static void check_pop_count(struct fixture *f, const char *line, uint64_t wanted, const char *error)
{
    struct by_hand h;
    uint64_t count = 77;
    by_hand_init(f, &h, line);
    assert_int_equal(arg_pop_count(&h.ctx, 2, &count), *error == '\0');
    assert_int_equal(count, wanted);
    CHECK_ANSWER(f, error);
    by_hand_release(f, &h);
}

static void test_counts_of_pops(void **state)
{
    struct fixture *f = *state;
    check_pop_count(f, "lpop k 0", 0, "");
    check_pop_count(f, "lpop k 9223372036854775807", INT64_MAX, "");
    check_pop_count(f, "lpop k -1", 77, "-ERR value is out of range, must be positive");
    check_pop_count(f, "lpop k x", 77, "-ERR value is out of range, must be positive");
}

static void test_numbers_that_can_be_negated(void **state)
{
    struct fixture *f = *state;
    struct by_hand h;
    int64_t n = 0;
    by_hand_init(f, &h, "srandmember -9223372036854775807 -9223372036854775808 x");
    assert_true(arg_negatable(&h.ctx, 1, &n));
    assert_true(n == -INT64_MAX);
    assert_false(arg_negatable(&h.ctx, 2, &n));
    CHECK_ANSWER(f, "-ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807");
    assert_false(arg_negatable(&h.ctx, 3, &n));
    by_hand_answer(f);
    by_hand_release(f, &h);
}

static void check_multi_pop(struct fixture *f, const char *line, const char *error)
{
    struct by_hand h;
    struct multi_pop m;
    by_hand_init(f, &h, line);
    assert_int_equal(parse_multi_pop(&h.ctx, 1, "left", "right", &m), *error == '\0');
    CHECK_ANSWER(f, error);
    by_hand_release(f, &h);
}

static void test_multi_pops(void **state)
{
    struct fixture *f = *state;
    struct by_hand h;
    struct multi_pop m;
    by_hand_init(f, &h, "lmpop 2 a b RIGHT count 7");
    assert_true(parse_multi_pop(&h.ctx, 1, "left", "right", &m));
    assert_int_equal(m.first_key, 2);
    assert_int_equal(m.key_count, 2);
    assert_true(m.second);
    assert_int_equal(m.count, 7);
    by_hand_release(f, &h);
    by_hand_init(f, &h, "lmpop 1 left left");
    assert_true(parse_multi_pop(&h.ctx, 1, "left", "right", &m));
    assert_false(m.second);
    assert_int_equal(m.count, 1);
    by_hand_release(f, &h);
    check_multi_pop(f, "lmpop 2 a left", "-ERR syntax error");
    check_multi_pop(f, "lmpop 1 a up", "-ERR syntax error");
    check_multi_pop(f, "lmpop 1 a left count", "-ERR syntax error");
    check_multi_pop(f, "lmpop 1 a left 5", "-ERR syntax error");
    check_multi_pop(f, "lmpop 0 a left", "-ERR numkeys should be greater than 0");
    check_multi_pop(f, "lmpop -1 a left", "-ERR numkeys should be greater than 0");
    check_multi_pop(f, "lmpop 4294967297 a left", "-ERR syntax error"); /* not taken for 1 */
    check_multi_pop(f, "lmpop 9223372036854775807 a left", "-ERR syntax error");
    check_multi_pop(f, "lmpop 1 a left count 0", "-ERR count should be greater than 0");
}

static void test_a_pop_in_the_stream(void **state)
{
    struct fixture *f = *state;
    struct by_hand h;
    CHECK(f, "RPUSH k a", ":1");
    (void)fixture_replicated(f);
    by_hand_init(f, &h, "lmpop 1 k left");
    replicate_pop(&h.ctx, BYTES_LIT("LPOP"), BYTES_LIT("k"), 12);
    by_hand_release(f, &h);
    CHECK_STREAM(f, "LPOP k 12");
}

static void test_stored_results(void **state)
{
    struct fixture *f = *state;
    struct by_hand h;
    CHECK(f, "SET d text", "+OK");
    by_hand_init(f, &h, "sunionstore d a");
    struct set *s = set_new(f->server->core.keyspace->env, BYTES_LIT("m"), 4);
    (void)set_add(s, BYTES_LIT("m"));
    store_result(&h.ctx, 1, TYPE_SET, s, "sunionstore"); /* in place of a string */
    CHECK_ANSWER(f, ":1");
    store_result(&h.ctx, 1, TYPE_SET, set_new(f->server->core.keyspace->env, BYTES_LIT("m"), 4), "sunionstore");
    CHECK_ANSWER(f, ":0");
    assert_int_equal(keyspace_count(f->server->core.keyspace), 0);
    store_result(&h.ctx, 1, TYPE_SET, NULL, "sunionstore"); /* nothing to delete */
    CHECK_ANSWER(f, ":0");
    by_hand_release(f, &h);
}

static void test_replies_that_grow_too_long(void **state)
{
    struct fixture *f = *state;
    struct by_hand h;
    char line[4096];
    f->settings.clients.output_limits[CLIENT_LIMIT_NORMAL].hard_bytes = 10000;
    by_hand_init(f, &h, "srandmember k");
    memset(line, 'x', sizeof(line));
    reply_bulk(h.ctx.reply, bytes_view(line, sizeof(line)));
    assert_false(close_if_over_limit(&h.ctx));
    for (int i = 0; i < 3; i++) reply_bulk(h.ctx.reply, bytes_view(line, sizeof(line)));
    assert_true(close_if_over_limit(&h.ctx));
    assert_true(client_has(f->clients[0], CLIENT_CLOSING));
    by_hand_release(f, &h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_spans),
        TEST(test_counts_of_pops),
        TEST(test_numbers_that_can_be_negated),
        TEST(test_multi_pops),
        TEST(test_a_pop_in_the_stream),
        TEST(test_stored_results),
        TEST(test_replies_that_grow_too_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
