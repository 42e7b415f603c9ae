#include "replication/identity.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void test_a_fresh_id_has_no_past(void **state)
{
    struct repl_identity a, b;
    identity_init(&a, sys_real());
    identity_init(&b, sys_real());
    assert_true(identity_is_id(bytes_str(a.id)));
    assert_string_not_equal(a.id, b.id);
    assert_string_equal(a.id2, "0000000000000000000000000000000000000000");
    assert_int_equal(identity_second_offset(&a), -1);
    assert_true(identity_shares(&a, bytes_str(a.id), 12345));
    assert_false(identity_shares(&a, bytes_str(a.id2), 0)); /* forty zeros name no history */
    assert_false(identity_shares(&a, bytes_str(b.id), 0));
}

static void test_P8_the_second_id_ends_at_the_fork(void **state)
{
    struct repl_identity i;
    char old[41];
    identity_init(&i, sys_real());
    memcpy(old, i.id, sizeof(old));
    identity_fork(&i, sys_real(), 119);
    assert_string_equal(i.id2, old);
    assert_string_not_equal(i.id, old);
    assert_int_equal(identity_second_offset(&i), 120); /* as Redis counts */
    assert_true(identity_shares(&i, bytes_str(old), 0));
    assert_true(identity_shares(&i, bytes_str(old), 119));
    assert_false(identity_shares(&i, bytes_str(old), 120));
    assert_true(identity_shares(&i, bytes_str(i.id), 120));
}

static void test_P3_another_history_leaves_nothing_of_the_old(void **state)
{
    struct repl_identity i;
    char old[41];
    identity_init(&i, sys_real());
    identity_fork(&i, sys_real(), 5);
    memcpy(old, i.id, sizeof(old));
    identity_adopt(&i, "aaaaaaaaaabbbbbbbbbbccccccccccdddddddddd");
    assert_false(identity_shares(&i, bytes_str(old), 0));
    assert_int_equal(identity_second_offset(&i), -1);
    assert_true(identity_shares(&i, bytes_str("aaaaaaaaaabbbbbbbbbbccccccccccdddddddddd"), 0));
}

static void test_only_the_last_fork_is_remembered(void **state)
{
    struct repl_identity i;
    char first[41], second[41];
    identity_init(&i, sys_real());
    memcpy(first, i.id, sizeof(first));
    identity_fork(&i, sys_real(), 10);
    memcpy(second, i.id, sizeof(second));
    identity_fork_to(&i, "0123456789012345678901234567890123456789", 20);
    assert_false(identity_shares(&i, bytes_str(first), 0));
    assert_true(identity_shares(&i, bytes_str(second), 20));
    assert_string_equal(i.id, "0123456789012345678901234567890123456789");
}

static void test_what_an_id_is(void **state)
{
    assert_true(identity_is_id(bytes_str("0123456789abcdefABCDEF789012345678901234")));
    assert_false(identity_is_id(bytes_str("0123456789abcdefABCDEF78901234567890123")));
    assert_false(identity_is_id(bytes_str("0123456789abcdefABCDEF7890123456789012345")));
    assert_false(identity_is_id(bytes_str("0123456789abcdefABCDEF78901234567890123g")));
    assert_false(identity_is_id(bytes_str("")));
    assert_false(identity_is_id(bytes_str("?")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_fresh_id_has_no_past),
        cmocka_unit_test(test_P8_the_second_id_ends_at_the_fork),
        cmocka_unit_test(test_P3_another_history_leaves_nothing_of_the_old),
        cmocka_unit_test(test_only_the_last_fork_is_remembered),
        cmocka_unit_test(test_what_an_id_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
