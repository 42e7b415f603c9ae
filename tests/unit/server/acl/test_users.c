/* The table of users. */
#include "server/acl/users.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "server/acl/acl_file.h"
#include "tests/unit/server/acl/fixture.h"

#define FOO_DIGEST "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"

static int set(struct fixture *f, const char *name, struct config_error *err, size_t count, const char *const *rules)
{
    struct bytes_view views[16];
    struct acl_user *user;
    assert_true(count <= 16);
    for (size_t i = 0; i < count; i++) views[i] = bytes_str(rules[i]);
    return acl_users_set(f->us, bytes_str(name), views, count, &user, err);
}
#define RULES(...)                                                                                                     \
    sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *), (const char *const[])                                 \
    {                                                                                                                  \
        __VA_ARGS__                                                                                                    \
    }

static void is_text(struct fixture *f, const char *expected)
{
    struct bytes_buf text = {0};
    acl_file_format(f->us, &text);
    bytes_buf_append(&text, "", 1);
    assert_string_equal(text.data, expected);
    bytes_buf_release(&text);
}
#define DEFAULT_LINE "user default on nopass sanitize-payload ~* &* +@all\n"

static void test_the_default_user(void **state)
{
    struct fixture *f = *state;
    const struct acl_user *user = acl_users_default(f->us);
    assert_int_equal(acl_users_count(f->us), 1);
    assert_true(acl_user_permits_all(user) && acl_user_accepts(user, BYTES_LIT("any")));
    is_text(f, DEFAULT_LINE);
    struct bytes_view password = BYTES_LIT("foo");
    acl_users_set_default_password(f->us, &password);
    is_text(f, "user default on sanitize-payload #" FOO_DIGEST " ~* &* +@all\n");
    assert_false(acl_user_accepts(user, BYTES_LIT("any")));
    assert_true(acl_user_accepts(user, BYTES_LIT("foo")));
    acl_users_set_default_password(f->us, NULL);
    is_text(f, DEFAULT_LINE);
}

static void test_users_are_in_the_order_of_their_names(void **state)
{
    struct fixture *f = *state;
    char name[16];
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof(name), "u%d", i * 37 % 100);
        assert_int_equal(set(f, name, NULL, 0, NULL), 0);
    }
    assert_int_equal(acl_users_count(f->us), 101);
    for (size_t i = 1; i < 101; i++)
        assert_true(bytes_compare(acl_user_name(acl_users_at(f->us, i - 1)), acl_user_name(acl_users_at(f->us, i))) <
                    0);
    for (int i = 0; i < 100; i += 2) {
        snprintf(name, sizeof(name), "u%d", i);
        acl_users_remove(f->us, acl_users_find(f->us, bytes_str(name)));
        assert_null(acl_users_find(f->us, bytes_str(name)));
    }
    assert_int_equal(acl_users_count(f->us), 51);
    assert_non_null(acl_users_find(f->us, BYTES_LIT("u99")));
    assert_null(acl_users_find(f->us, BYTES_LIT("")));
}

/* CVE-2024-31227, CVE-2024-51741 */
static void test_all_or_nothing_CVE_2024_31227(void **state)
{
    struct fixture *f = *state;
    struct config_error err;
    assert_int_equal(set(f, "u", &err, RULES("on", ">foo", "~a", "(+get", "~b)")), 0);
    const char *before =
        "user default on nopass sanitize-payload ~* &* +@all\n"
        "user u on sanitize-payload #" FOO_DIGEST " ~a resetchannels -@all (~b resetchannels -@all +get)\n";
    is_text(f, before);
    static const char *const bad[] = {"nonsense",
                                      "(",
                                      "(+get",
                                      "(%~x)",
                                      "(+get))",
                                      "((+get))",
                                      "(+get (+set))",
                                      ")",
                                      "(reset)",
                                      "(>foo)",
                                      "(clearselectors)",
                                      "#",
                                      "!",
                                      "(~a\n)",
                                      "",
                                      "(+get )x",
                                      "%"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        err.text[0] = '\0';
        assert_true(set(f, "u", &err, RULES("reset", "nopass", "+@all", "(+set)", bad[i])) < 0);
        assert_true(err.text[0] != '\0');
        is_text(f, before);
        assert_true(set(f, "fresh", &err, RULES("on", bad[i])) < 0);
        is_text(f, before);
    }
}

static void test_reset(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(set(f, "u", NULL, RULES("on", ">foo", "allkeys", "+@all", "(+get)", "skip-sanitize-payload")), 0);
    assert_int_equal(set(f, "u", NULL, RULES("RESET")), 0);
    is_text(f, DEFAULT_LINE "user u off sanitize-payload resetchannels -@all\n");
}

static void test_a_password_is_kept_once(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(set(f, "u", NULL, RULES(">foo", "#" FOO_DIGEST, ">foo", ">")), 0);
    const struct acl_user *user = acl_users_find(f->us, BYTES_LIT("u"));
    assert_int_equal(acl_user_password_count(user), 2);
    assert_false(acl_user_accepts(user, BYTES_LIT("foo"))); /* off */
    assert_int_equal(set(f, "u", NULL, RULES("on", "<foo")), 0);
    assert_false(acl_user_accepts(user, BYTES_LIT("foo")));
    assert_true(acl_user_accepts(user, BYTES_LIT("")));
}

static void test_who_holds_a_user_keeps_it(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(set(f, "u", NULL, RULES("on")), 0);
    struct acl_user *user = acl_user_ref(acl_users_find(f->us, BYTES_LIT("u")));
    acl_users_remove(f->us, user);
    assert_string_equal(acl_user_name_text(user), "u");
    acl_user_unref(user);
}

static void count_gone(void *ctx, struct acl_user *user)
{
    assert_string_not_equal(acl_user_name_text(user), "default");
    ++*(int *)ctx;
}

/* A user that is in both tables keeps its identity, so its clients stay connected. */
static void test_fault_32_replacing_all(void **state)
{
    struct fixture *f = *state;
    struct bytes_buf errors = {0};
    struct acl_user *before = acl_users_default(f->us);
    int gone = 0;
    assert_int_equal(set(f, "a", NULL, 0, NULL), 0);
    assert_int_equal(set(f, "b", NULL, 0, NULL), 0);
    struct acl_user *kept = acl_users_find(f->us, BYTES_LIT("b"));
    struct acl_users *from = acl_users_new(f->commands, &f->settings.security);
    assert_true(acl_file_parse(from, BYTES_LIT("user z on\nuser default off -@all\nuser b +get"), "text", &errors));
    acl_users_replace(f->us, from, count_gone, &gone);
    assert_int_equal(gone, 1);
    assert_ptr_equal(acl_users_default(f->us), before);
    assert_ptr_equal(acl_users_find(f->us, BYTES_LIT("b")), kept);
    is_text(f, "user b off sanitize-payload resetchannels -@all +get\n"
               "user default off sanitize-payload resetchannels -@all\n"
               "user z on sanitize-payload resetchannels -@all\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_default_user, setup, teardown),
        cmocka_unit_test_setup_teardown(test_users_are_in_the_order_of_their_names, setup, teardown),
        cmocka_unit_test_setup_teardown(test_all_or_nothing_CVE_2024_31227, setup, teardown),
        cmocka_unit_test_setup_teardown(test_reset, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_password_is_kept_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_who_holds_a_user_keeps_it, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fault_32_replacing_all, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
