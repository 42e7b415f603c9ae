#include "server/acl/acl_file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "storage/base/sys.h"
#include "tests/unit/server/acl/fixture.h"

static void parse_says(struct fixture *f, const char *text, const char *expected)
{
    struct bytes_buf errors = {0};
    struct acl_users *us = acl_users_new(f->commands, &f->settings.security);
    assert_int_equal(acl_file_parse(us, bytes_str(text), "f", &errors), *expected == '\0');
    bytes_buf_append(&errors, "", 1);
    assert_string_equal(errors.data, expected);
    acl_users_free(us);
    bytes_buf_release(&errors);
}

static void test_files(void **state)
{
    struct fixture *f = *state;
    parse_says(f, "", "");
    parse_says(f, "\n \t \r\n", "");
    parse_says(f, " user  a   on \r\nuser b ( +get ~x ) (  )", "");
    parse_says(f, "user", "f:1 should start with user keyword followed by the username. ");
    parse_says(f, "\nusr a on", "f:2 should start with user keyword followed by the username. ");
    parse_says(f, "user a\nuser a", "WARNING: Duplicate user 'a' found on line 2. ");
    parse_says(f, "user default\nuser default", "WARNING: Duplicate user 'default' found on line 2. ");
    parse_says(f, "user a (+get\nuser b )",
               "f:1: Unmatched parenthesis in acl selector starting at '(+get'.. f:2: Error "
               "in ACL SETUSER modifier ')': Syntax error. ");
    parse_says(f, "user a\x01 on", "f:1: Usernames can't contain control characters. ");
}

/* Each wrong line is reported, and the other lines are parsed too, so one answer lists all errors. */
static void test_every_wrong_line_is_told(void **state)
{
    struct fixture *f = *state;
    parse_says(f, "user a nonsense\nuser b on\nuser c +nonsense",
               "f:1: Error in ACL SETUSER modifier 'nonsense': Syntax error. "
               "f:3: Error in ACL SETUSER modifier '+nonsense': Unknown command or category name in ACL. ");
    parse_says(f, "user a\nuser b\nuser a\nuser b",
               "WARNING: Duplicate user 'a' found on line 3. WARNING: Duplicate user 'b' found on line 4. ");
}

/* Names in errors are truncated, so the length of the answer is bounded. */
static void test_long_names_are_cut_in_errors(void **state)
{
    struct fixture *f = *state;
    struct bytes_buf text = {0}, errors = {0};
    char name[1001];
    memset(name, 'n', 1000);
    name[1000] = '\0';
    bytes_buf_printf(&text, "user %s\nuser %s\n", name, name);
    assert_false(acl_file_parse(f->us, bytes_buf_view(&text), "f", &errors));
    assert_true(errors.len < 200);
    bytes_buf_release(&text);
    bytes_buf_release(&errors);
}

/* The line of the default user replaces its initial rules. */
static void test_the_default_user_of_a_text(void **state)
{
    struct fixture *f = *state;
    struct bytes_buf errors = {0}, out = {0};
    assert_true(acl_file_parse(f->us, BYTES_LIT("user default off"), "f", &errors));
    acl_file_format(f->us, &out);
    bytes_buf_append(&out, "", 1);
    assert_string_equal(out.data, "user default off sanitize-payload resetchannels -@all\n");
    bytes_buf_release(&out);
}

/* Random users are written and read again, and are the same. */
static void test_random_users_are_the_same_read_again(void **state)
{
    static const char *const rules[] = {"on",
                                        "off",
                                        "nopass",
                                        ">secret",
                                        ">other",
                                        "resetpass",
                                        "~*",
                                        "~a:*",
                                        "%R~b",
                                        "%W~b",
                                        "&c",
                                        "allchannels",
                                        "resetkeys",
                                        "+@all",
                                        "-@string",
                                        "+get",
                                        "-get",
                                        "+select|0",
                                        "+config",
                                        "-config|get",
                                        "+@read",
                                        "-@all",
                                        "(~x +set)",
                                        "(%R~y &z -@all +get)",
                                        "clearselectors",
                                        "skip-sanitize-payload",
                                        "reset",
                                        "allkeys"};
    struct fixture *f = *state;
    struct rng rng;
    int applied = 0;
    rng_seed(&rng, 7);
    for (int round = 0; round < 200; round++) {
        struct acl_users *us = acl_users_new(f->commands, &f->settings.security);
        for (int i = 0; i < 5; i++) {
            char name[8];
            struct bytes_view view = {name, (size_t)snprintf(name, sizeof(name), "u%d", (int)rng_below(&rng, 3))};
            struct bytes_view rule = bytes_str(rules[rng_below(&rng, sizeof(rules) / sizeof(rules[0]))]);
            struct acl_user *user;
            applied += acl_users_set(us, i == 0 ? BYTES_LIT("default") : view, &rule, 1, &user, NULL) ==
                       0; /* some are refused */
        }
        struct bytes_buf text = {0}, again = {0}, errors = {0};
        acl_file_format(us, &text);
        struct acl_users *read = acl_users_new(f->commands, &f->settings.security);
        if (!acl_file_parse(read, bytes_buf_view(&text), "f", &errors))
            fail_msg("%.*s of %.*s", (int)errors.len, errors.data, (int)text.len, text.data);
        acl_file_format(read, &again);
        assert_int_equal(again.len, text.len);
        assert_memory_equal(again.data, text.data, text.len);
        acl_users_free(us);
        acl_users_free(read);
        bytes_buf_release(&text);
        bytes_buf_release(&again);
    }
    assert_true(applied > 800);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_files, setup, teardown),
        cmocka_unit_test_setup_teardown(test_every_wrong_line_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(test_long_names_are_cut_in_errors, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_default_user_of_a_text, setup, teardown),
        cmocka_unit_test_setup_teardown(test_random_users_are_the_same_read_again, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
