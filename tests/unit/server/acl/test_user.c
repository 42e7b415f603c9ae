/* One user: its rules, passwords, selectors and text. */
#include "server/acl/user.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "tests/unit/server/acl/fixture.h"

#define FOO_DIGEST   "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"
#define EMPTY_DIGEST "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static struct acl_env env_of(struct fixture *f)
{
    return acl_users_env(f->us);
}

static struct acl_user *fresh(struct fixture *f)
{
    struct acl_env env = env_of(f);
    return acl_user_new(&env, BYTES_LIT("alice"));
}

static enum acl_rule_result apply(struct fixture *f, struct acl_user *user, const char *rule)
{
    struct acl_env env = env_of(f);
    return acl_user_apply(user, &env, bytes_str(rule));
}

static void is_text(const struct acl_user *user, const char *expected)
{
    struct bytes_buf text = {0};
    acl_user_describe(user, &text);
    bytes_buf_append(&text, "", 1);
    assert_string_equal(text.data, expected);
    bytes_buf_release(&text);
}

static void test_a_new_user_may_do_nothing(void **state)
{
    struct fixture *f = *state;
    struct acl_user *user = fresh(f);
    assert_false(acl_user_is_enabled(user));
    assert_false(acl_user_has_nopass(user));
    assert_false(acl_user_permits_all(user));
    assert_false(acl_user_accepts(user, BYTES_LIT("")));
    assert_int_equal(acl_user_selector_count(user), 1); /* the root */
    assert_int_equal(acl_user_password_count(user), 0);
    is_text(user, "user alice off sanitize-payload resetchannels -@all");
    acl_user_unref(user);
    acl_user_unref(NULL);
}

static void test_names(void **state)
{
    assert_null(acl_user_name_refusal(BYTES_LIT("a")));
    assert_null(acl_user_name_refusal(BYTES_LIT("\xc3\xa4"))); /* other bytes are allowed */
    assert_string_equal(acl_user_name_refusal(BYTES_LIT("")), "Usernames can't be empty");
    static const struct bytes_view blanks[] = {BYTES_LIT("a b"), BYTES_LIT("a\tb"), BYTES_LIT("a\n"),
                                               BYTES_LIT("a\0b")};
    for (size_t i = 0; i < sizeof(blanks) / sizeof(blanks[0]); i++)
        assert_string_equal(acl_user_name_refusal(blanks[i]), "Usernames can't contain spaces or null characters");
    assert_string_equal(acl_user_name_refusal(BYTES_LIT("a\x7f")), "Usernames can't contain control characters");
}

static void test_passwords(void **state)
{
    struct fixture *f = *state;
    struct acl_user *user = fresh(f);
    assert_int_equal(apply(f, user, "on"), ACL_RULE_OK);
    assert_int_equal(apply(f, user, ">foo"), ACL_RULE_OK);
    assert_int_equal(apply(f, user, ">bar"), ACL_RULE_OK);
    assert_string_equal(acl_user_password(user, 0), FOO_DIGEST);
    assert_true(acl_user_accepts(user, BYTES_LIT("foo")) && acl_user_accepts(user, BYTES_LIT("bar")));
    assert_false(acl_user_accepts(user, BYTES_LIT("fo")));
    assert_false(acl_user_accepts(user, BYTES_LIT(FOO_DIGEST))); /* the digest is not the password */
    assert_int_equal(apply(f, user, "<foo"), ACL_RULE_OK);
    assert_false(acl_user_accepts(user, BYTES_LIT("foo")));
    assert_true(acl_user_accepts(user, BYTES_LIT("bar")));
    assert_int_equal(apply(f, user, "<foo"), ACL_RULE_NO_SUCH_PASSWORD);
    assert_int_equal(apply(f, user, "!" FOO_DIGEST), ACL_RULE_NO_SUCH_PASSWORD);
    assert_int_equal(apply(f, user, "#" FOO_DIGEST), ACL_RULE_OK);
    assert_true(acl_user_accepts(user, BYTES_LIT("foo")));
    assert_int_equal(apply(f, user, "!" FOO_DIGEST), ACL_RULE_OK);
    assert_int_equal(acl_user_password_count(user), 1);
    assert_int_equal(apply(f, user, "resetpass"), ACL_RULE_OK);
    assert_int_equal(acl_user_password_count(user), 0);
    assert_false(acl_user_accepts(user, BYTES_LIT("bar")));
    assert_int_equal(apply(f, user, ">"), ACL_RULE_OK); /* an empty password is a password too */
    assert_string_equal(acl_user_password(user, 0), EMPTY_DIGEST);
    assert_true(acl_user_accepts(user, BYTES_LIT("")));
    acl_user_unref(user);
}

static void test_digests_are_64_lower_case_digits(void **state)
{
    static const char *const bad[] = {"#",
                                      "#2c26",
                                      "#" FOO_DIGEST "0",
                                      "#2C26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae",
                                      "#gc26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae",
                                      "!",
                                      "!2c26"};
    struct fixture *f = *state;
    struct acl_user *user = fresh(f);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(apply(f, user, bad[i]), ACL_RULE_BAD_HASH);
    assert_int_equal(acl_user_password_count(user), 0);
    acl_user_unref(user);
}

/* nopass and passwords exclude each other. */
static void test_nopass(void **state)
{
    struct fixture *f = *state;
    struct acl_user *user = fresh(f);
    assert_int_equal(apply(f, user, ">foo"), ACL_RULE_OK);
    assert_int_equal(apply(f, user, "nopass"), ACL_RULE_OK);
    assert_int_equal(acl_user_password_count(user), 0);
    assert_false(acl_user_accepts(user, BYTES_LIT("any"))); /* off */
    assert_int_equal(apply(f, user, "ON"), ACL_RULE_OK);
    assert_true(acl_user_accepts(user, BYTES_LIT("any")));
    assert_int_equal(apply(f, user, ">foo"), ACL_RULE_OK);
    assert_false(acl_user_has_nopass(user));
    assert_false(acl_user_accepts(user, BYTES_LIT("any")));
    assert_int_equal(apply(f, user, "nopass"), ACL_RULE_OK);
    assert_int_equal(apply(f, user, "resetpass"),
                     ACL_RULE_OK); /* neither nopass nor a password: no client can log in */
    assert_false(acl_user_accepts(user, BYTES_LIT("any")));
    acl_user_unref(user);
}

static void test_selectors(void **state)
{
    struct fixture *f = *state;
    struct acl_user *user = fresh(f);
    assert_int_equal(apply(f, user, "(~a +get)"), ACL_RULE_OK);
    assert_int_equal(apply(f, user, "(   )"), ACL_RULE_OK); /* a selector that permits nothing */
    assert_int_equal(apply(f, user, "(+@all ~* &*)"), ACL_RULE_OK);
    assert_int_equal(acl_user_selector_count(user), 4);
    assert_true(acl_user_permits_all(user)); /* one selector that permits everything is enough */
    assert_true(acl_user_permits_channel(user, BYTES_LIT("any"), false));
    assert_true(acl_selector_permits_key(acl_user_selector(user, 1), BYTES_LIT("a"), ACL_MAY_BOTH));
    assert_false(acl_selector_permits_key(acl_user_selector(user, 0), BYTES_LIT("a"), 0));
    assert_int_equal(apply(f, user, "(~a +nonsense)"), ACL_RULE_UNKNOWN_COMMAND);
    assert_int_equal(apply(f, user, "(~a"), ACL_RULE_SYNTAX);
    assert_int_equal(apply(f, user, "("), ACL_RULE_SYNTAX);
    assert_int_equal(apply(f, user, ""), ACL_RULE_SYNTAX);
    assert_int_equal(acl_user_selector_count(user), 4);
    is_text(user, "user alice off sanitize-payload resetchannels -@all (~a resetchannels -@all +get) (resetchannels "
                  "-@all) (~* &* +@all)");
    assert_int_equal(apply(f, user, "+@read"), ACL_RULE_OK); /* applies to the root */
    assert_int_equal(apply(f, user, "clearselectors"), ACL_RULE_OK);
    is_text(user, "user alice off sanitize-payload resetchannels -@all +@read");
    assert_false(acl_user_permits_all(user));
    acl_user_unref(user);
}

/* The words of one selector may be separate arguments of ACL SETUSER. */
static void test_rules_in_a_row(void **state)
{
    struct fixture *f = *state;
    struct acl_env env = env_of(f);
    struct acl_user *user = fresh(f);
    struct config_error err;
    static const struct bytes_view good[] = {BYTES_LIT("on"), BYTES_LIT("(~a"),    BYTES_LIT("+get"),
                                             BYTES_LIT(")"),  BYTES_LIT("(+set)"), BYTES_LIT("~k")};
    assert_int_equal(acl_user_apply_all(user, &env, good, 6, &err), 0);
    is_text(user, "user alice on sanitize-payload ~k resetchannels -@all (~a resetchannels -@all +get) (resetchannels "
                  "-@all +set)");
    static const struct bytes_view open[] = {BYTES_LIT("off"), BYTES_LIT("(~a"), BYTES_LIT("+get")};
    assert_int_equal(acl_user_apply_all(user, &env, open, 3, &err), -EINVAL);
    assert_string_equal(err.text, "Unmatched parenthesis in acl selector starting at '(~a'.");
    assert_false(acl_user_is_enabled(user)); /* rules before the wrong one are applied: callers use a copy */
    static const struct bytes_view wrong[] = {BYTES_LIT("on"), BYTES_LIT("+get"), BYTES_LIT("what"), BYTES_LIT("off")};
    assert_int_equal(acl_user_apply_all(user, &env, wrong, 4, &err), -EINVAL);
    assert_string_equal(err.text, "Error in ACL SETUSER modifier 'what': Syntax error");
    assert_true(acl_user_is_enabled(user));
    assert_int_equal(acl_user_apply_all(user, &env, NULL, 0, &err), 0);
    acl_user_unref(user);
}

static void test_a_copy_is_another_user(void **state)
{
    struct fixture *f = *state;
    struct acl_user *user = fresh(f);
    assert_int_equal(apply(f, user, ">foo"), ACL_RULE_OK);
    assert_int_equal(apply(f, user, "(~a +get)"), ACL_RULE_OK);
    struct acl_user *copy = acl_user_copy(user);
    assert_int_equal(apply(f, copy, "allchannels"), ACL_RULE_OK);
    struct acl_user *second = acl_user_copy(copy);
    is_text(second, "user alice off sanitize-payload #" FOO_DIGEST " &* -@all (~a resetchannels -@all +get)");
    acl_user_unref(second);
    assert_int_equal(apply(f, copy, "resetchannels"), ACL_RULE_OK);
    assert_int_equal(apply(f, copy, "on"), ACL_RULE_OK);
    assert_int_equal(apply(f, copy, "resetpass"), ACL_RULE_OK);
    assert_int_equal(apply(f, copy, "clearselectors"), ACL_RULE_OK);
    assert_int_equal(apply(f, copy, "~mine"), ACL_RULE_OK);
    is_text(user, "user alice off sanitize-payload #" FOO_DIGEST " resetchannels -@all (~a resetchannels -@all +get)");
    is_text(copy, "user alice on sanitize-payload ~mine resetchannels -@all");
    acl_user_unref(user);
    is_text(copy, "user alice on sanitize-payload ~mine resetchannels -@all");
    acl_user_unref(copy);
}

/* Holders of a reference see the new rules under the old name. */
static void test_assigning_keeps_name_and_references(void **state)
{
    struct fixture *f = *state;
    struct acl_env env = env_of(f);
    struct acl_user *user = fresh(f), *held = acl_user_ref(user);
    struct acl_user *draft = acl_user_new(&env, BYTES_LIT("draft"));
    assert_int_equal(apply(f, user, ">foo"), ACL_RULE_OK);
    assert_int_equal(apply(f, draft, "(~a +get)"), ACL_RULE_OK);
    acl_user_assign(user, draft);
    is_text(held, "user alice off sanitize-payload resetchannels -@all (~a resetchannels -@all +get)");
    acl_user_unref(user);
    assert_string_equal(acl_user_name_text(held), "alice");
    acl_user_unref(held);
}

static void count_flag(void *ctx, const char *flag)
{
    struct bytes_buf *out = ctx;
    bytes_buf_printf(out, "%s,", flag);
}

static void test_flags(void **state)
{
    struct fixture *f = *state;
    struct acl_user *user = fresh(f);
    struct bytes_buf out = {0};
    assert_int_equal(acl_user_flags(user, count_flag, &out), 2);
    assert_int_equal(apply(f, user, "on"), ACL_RULE_OK);
    assert_int_equal(apply(f, user, "nopass"), ACL_RULE_OK);
    assert_int_equal(apply(f, user, "skip-sanitize-payload"), ACL_RULE_OK);
    assert_int_equal(acl_user_flags(user, count_flag, &out), 3);
    bytes_buf_append(&out, "", 1);
    assert_string_equal(out.data, "off,sanitize-payload,on,nopass,skip-sanitize-payload,");
    bytes_buf_release(&out);
    acl_user_unref(user);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_new_user_may_do_nothing, setup, teardown),
        cmocka_unit_test(test_names),
        cmocka_unit_test_setup_teardown(test_passwords, setup, teardown),
        cmocka_unit_test_setup_teardown(test_digests_are_64_lower_case_digits, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nopass, setup, teardown),
        cmocka_unit_test_setup_teardown(test_selectors, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rules_in_a_row, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_copy_is_another_user, setup, teardown),
        cmocka_unit_test_setup_teardown(test_assigning_keeps_name_and_references, setup, teardown),
        cmocka_unit_test_setup_teardown(test_flags, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
