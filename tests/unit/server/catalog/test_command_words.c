/* Words for flags and categories, and what follows from the flags of a row. */
#include "server/catalog/command_words.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void each_is_one_bit(const struct flag_word *words)
{
    unsigned seen = 0;
    for (; words->word != NULL; words++) {
        assert_true(words->flag != 0 && (words->flag & (words->flag - 1)) == 0);
        assert_false(seen & words->flag);
        seen |= words->flag;
    }
}

static void test_words(void **state)
{
    (void)state;
    each_is_one_bit(command_flag_words());
    each_is_one_bit(key_flag_words());
    each_is_one_bit(acl_category_words());
    for (const struct flag_word *w = acl_category_words(); w->word != NULL; w++)
        assert_int_equal(acl_category_find(bytes_str(w->word)), w->flag);
    assert_int_equal(acl_category_find(BYTES_LIT("STRING")), ACL_STRING);
    assert_int_equal(acl_category_find(BYTES_LIT("@string")), 0);
    assert_int_equal(acl_category_find(BYTES_LIT("all")), 0); /* no category, but all of them */
    assert_int_equal(acl_category_find(BYTES_LIT("")), 0);
}

static unsigned categories(unsigned flags, unsigned acl)
{
    struct command cmd = {.flags = flags, .acl = acl};
    return command_categories(&cmd);
}

static void test_categories_follow_from_flags(void **state)
{
    (void)state;
    assert_int_equal(categories(0, 0), ACL_SLOW);
    assert_int_equal(categories(CMD_FAST, ACL_STRING), ACL_FAST | ACL_STRING);
    assert_int_equal(categories(CMD_WRITE, ACL_LIST), ACL_WRITE | ACL_SLOW | ACL_LIST);
    assert_int_equal(categories(CMD_READONLY | CMD_FAST, 0), ACL_READ | ACL_FAST);
    assert_int_equal(categories(CMD_READONLY, ACL_SCRIPTING), ACL_SCRIPTING | ACL_SLOW); /* EVAL_RO is no @read */
    assert_int_equal(categories(CMD_ADMIN, 0), ACL_ADMIN | ACL_DANGEROUS | ACL_SLOW);
    assert_int_equal(categories(CMD_PUBSUB | CMD_BLOCKING, 0), ACL_PUBSUB | ACL_BLOCKING | ACL_SLOW);
    assert_int_equal(categories(CMD_HIDDEN, ACL_HTTP), ACL_HTTP);
}

static void test_reported_flags(void **state)
{
    struct command plain = {.flags = CMD_FAST, .keys = {KEY_AT(1, 0)}};
    struct command counted = {.keys = {KEY_AT(1, 0), KEY_NUM(2, 0)}};
    struct command silent = {.flags = CMD_LOADING | CMD_UNPROMISED_LOADING};
    (void)state;
    assert_int_equal(command_reported_flags(&plain), CMD_FAST);
    assert_true(command_reported_flags(&counted) & CMD_MOVABLE_KEYS);
    assert_false(command_reported_flags(&silent) & CMD_LOADING);
}

#define CHECK_RANGE(cmd, first_, last_, step_)                                                                         \
    do {                                                                                                               \
        struct legacy_range r_ = command_legacy_range(&(cmd));                                                         \
        assert_int_equal(r_.first, first_);                                                                            \
        assert_int_equal(r_.last, last_);                                                                              \
        assert_int_equal(r_.step, step_);                                                                              \
    } while (0)

static void test_one_range_of_keys(void **state)
{
    struct command none = {0};
    struct command one = {.keys = {KEY_AT(1, 0)}};
    struct command many = {.keys = {KEY_RANGE(1, -1, 2, 0)}};
    struct command pair = {.keys = {KEY_AT(1, 0), KEY_AT(2, 0)}};
    struct command open_end = {.keys = {KEY_AT(2, 0), KEY_RANGE(3, -1, 1, 0)}};
    struct command swapped = {.keys = {KEY_RANGE(2, 1, 1, 0), KEY_AT(1, 0)}};
    struct command counted = {.keys = {KEY_NUM(1, 0)}};
    struct command mixed = {.keys = {KEY_AT(1, 0), KEY_NUM(2, 0)}};
    (void)state;
    CHECK_RANGE(none, 0, 0, 0);
    CHECK_RANGE(one, 1, 1, 1);
    CHECK_RANGE(many, 1, -1, 2);
    CHECK_RANGE(pair, 1, 2, 1);
    CHECK_RANGE(open_end, 2, -1, 1);
    CHECK_RANGE(swapped, 1, 3, 1);
    CHECK_RANGE(counted, 0, 0, 0);
    CHECK_RANGE(mixed, 1, 1, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_categories_follow_from_flags),
        cmocka_unit_test(test_reported_flags),
        cmocka_unit_test(test_one_range_of_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
