/* Options of SET and GETEX, and the arithmetic of times. */
#include "server/commands/expiry_options.h"

#include "tests/unit/server/commands/ctx_fixture.h"

/* "nx px abs@4": what was parsed; "error". */
static const char *parse(struct fixture *f, const char *line, enum set_options_of command)
{
    static char text[64];
    struct by_hand h;
    struct set_options o;
    by_hand_init(f, &h, line);
    if (!parse_set_options(&h.ctx, 1, command, &o)) {
        snprintf(text, sizeof(text), "%s", by_hand_answer(f));
    } else {
        snprintf(text, sizeof(text), "%s%s%s%s%s", o.nx ? "nx " : "", o.xx ? "xx " : "", o.get ? "get " : "",
                 o.keep_ttl ? "keep " : "", o.persist ? "persist " : "");
        if (o.has_expiry)
            snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s@%d ", o.expiry_in_seconds ? "s" : "ms",
                     o.expiry_is_absolute ? " abs" : "", o.expiry_arg);
        if (text[0] != '\0') text[strlen(text) - 1] = '\0';
    }
    by_hand_release(f, &h);
    return text;
}

static void test_options_of_set(void **state)
{
    static const struct {
        const char *line, *wanted;
    } cases[] = {
        {"set", ""},
        {"set NX", "nx"},
        {"set xx get", "xx get"},
        {"set nx get", "nx get"},
        {"set keepttl", "keep"},
        {"set ex 5", "s@2"},
        {"set px 5 nx", "nx ms@2"},
        {"set nx exat 5", "nx s abs@3"},
        {"set pxat 5", "ms abs@2"},
        {"set nx nx", "nx"},
        {"set nx xx", "-ERR syntax error"},
        {"set ex", "-ERR syntax error"},
        {"set ex 5 px 5", "-ERR syntax error"},
        {"set ex 5 ex 5", "-ERR syntax error"},
        {"set ex 5 keepttl", "-ERR syntax error"},
        {"set keepttl px 5", "-ERR syntax error"},
        {"set persist", "-ERR syntax error"},
        {"set none", "-ERR syntax error"},
        {"set ''", "-ERR syntax error"},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_string_equal(parse(f, cases[i].line, SET_OPTIONS_SET), cases[i].wanted);
}

static void test_options_of_getex(void **state)
{
    struct fixture *f = *state;
    assert_string_equal(parse(f, "getex", SET_OPTIONS_GETEX), "");
    assert_string_equal(parse(f, "getex persist", SET_OPTIONS_GETEX), "persist");
    assert_string_equal(parse(f, "getex PX 1", SET_OPTIONS_GETEX), "ms@2");
    assert_string_equal(parse(f, "getex persist px 1", SET_OPTIONS_GETEX), "-ERR syntax error");
    assert_string_equal(parse(f, "getex px 1 persist", SET_OPTIONS_GETEX), "-ERR syntax error");
    assert_string_equal(parse(f, "getex nx", SET_OPTIONS_GETEX), "-ERR syntax error");
    assert_string_equal(parse(f, "getex get", SET_OPTIONS_GETEX), "-ERR syntax error");
    assert_string_equal(parse(f, "getex keepttl", SET_OPTIONS_GETEX), "-ERR syntax error");
}

static void test_arithmetic(void **state)
{
    int64_t at = 0;
    (void)state;
    assert_true(expiry_to_ms(5, true, 100, &at) && at == 5100);
    assert_true(expiry_to_ms(-5, true, 100, &at) && at == -4900);
    assert_true(expiry_to_ms(5, false, 100, &at) && at == 105);
    assert_true(expiry_to_ms(INT64_MAX, false, 0, &at) && at == INT64_MAX);
    assert_false(expiry_to_ms(INT64_MAX, false, 1, &at));
    assert_false(expiry_to_ms(INT64_MAX / 1000 + 1, true, 0, &at));
    assert_true(expiry_to_ms(INT64_MAX / 1000, true, 0, &at) && at == INT64_MAX / 1000 * 1000);
    assert_false(expiry_to_ms(INT64_MAX / 1000, true, 1000, &at));
    assert_false(expiry_to_ms(INT64_MIN / 1000 - 1, true, 0, &at));
}

static void check_expiry(struct fixture *f, const char *line, int64_t wanted, const char *error)
{
    struct by_hand h;
    struct set_options o;
    int64_t at = -1;
    by_hand_init(f, &h, line);
    assert_true(parse_set_options(&h.ctx, 1, SET_OPTIONS_SET, &o));
    assert_int_equal(set_options_expiry(&h.ctx, &o, &at), *error == '\0');
    if (*error == '\0') assert_true(at == wanted);
    CHECK_ANSWER(f, error);
    by_hand_release(f, &h);
}

static void test_expiry(void **state)
{
    struct fixture *f = *state;
    check_expiry(f, "set ex 5", START_MS + 5000, "");
    check_expiry(f, "set px 5", START_MS + 5, "");
    check_expiry(f, "set exat 5", 5000, "");
    check_expiry(f, "set pxat 5", 5, "");
    check_expiry(f, "set ex 0", 0, "-ERR invalid expire time in 'set' command");
    check_expiry(f, "set pxat -1", 0, "-ERR invalid expire time in 'set' command");
    check_expiry(f, "set px 9223372036854775807", 0, "-ERR invalid expire time in 'set' command");
    check_expiry(f, "set ex 1.5", 0, "-ERR value is not an integer or out of range");
}

static void test_what_is_past(void **state)
{
    struct fixture *f = *state;
    struct by_hand h;
    by_hand_init(f, &h, "expire k 1");
    assert_true(expiry_is_past(&h.ctx, START_MS));
    assert_true(expiry_is_past(&h.ctx, START_MS - 1));
    assert_false(expiry_is_past(&h.ctx, START_MS + 1));
    by_hand_release(f, &h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_options_of_set), TEST(test_options_of_getex), TEST(test_arithmetic),
        TEST(test_expiry),         TEST(test_what_is_past),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
