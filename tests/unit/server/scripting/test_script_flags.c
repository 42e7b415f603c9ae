#include "server/scripting/script_flags.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "server/dispatch/command.h"

static const char *read(const char *source, unsigned *flags, struct bytes_view *body)
{
    static char text[128];
    struct bytes_buf error = {0};
    bool good = script_read_shebang(bytes_str(source), body, flags, &error);
    snprintf(text, sizeof(text), "%.*s", (int)error.len, bytes_buf_view(&error).data);
    assert_int_equal(good, error.len == 0);
    bytes_buf_release(&error);
    return text;
}

static void test_first_lines(void **state)
{
    struct bytes_view body;
    unsigned flags;
    (void)state;
    assert_string_equal(read("return 1", &flags, &body), "");
    assert_int_equal(flags, SCRIPT_SAYS_NOTHING);
    assert_int_equal(body.len, 8);
    assert_string_equal(read("", &flags, &body), "");
    assert_int_equal(flags, SCRIPT_SAYS_NOTHING);
    assert_string_equal(read("#!lua\nreturn 1", &flags, &body), "");
    assert_int_equal(flags, 0);
    assert_true(bytes_equal(body, BYTES_LIT("\nreturn 1")));
    assert_string_equal(read("#!lua flags=no-writes,allow-oom\n", &flags, &body), "");
    assert_int_equal(flags, SCRIPT_NO_WRITES | SCRIPT_ALLOW_OOM);
    assert_string_equal(read("#!lua  flags=allow-stale flags=,no-cluster,,allow-cross-slot-keys\r\n", &flags, &body),
                        "");
    assert_int_equal(flags, SCRIPT_ALLOW_STALE | SCRIPT_NO_CLUSTER | SCRIPT_ALLOW_CROSS_SLOT_KEYS);
    assert_string_equal(read("#!lua flags=\nx", &flags, &body), "");
    assert_int_equal(flags, 0);
}

static void test_bad_first_lines(void **state)
{
    struct bytes_view body;
    unsigned flags;
    (void)state;
    assert_string_equal(read("#!lua", &flags, &body), "Invalid script shebang");
    assert_string_equal(read("#!not-lua\n", &flags, &body), "Unexpected engine in script shebang: #!not-lua");
    assert_string_equal(read("#!\n", &flags, &body), "Unexpected engine in script shebang: #!");
    assert_string_equal(read("#!lua name=x\n", &flags, &body), "Unknown lua shebang option: name=x");
    assert_string_equal(read("#!lua flags=no-writes,what\n", &flags, &body), "Unexpected flag in script shebang: what");
}

static void test_what_commands_are_allowed(void **state)
{
    const unsigned eval = CMD_NOSCRIPT | CMD_STALE | CMD_MAY_REPLICATE;
    (void)state;
    assert_int_equal(script_command_flags(eval, SCRIPT_SAYS_NOTHING), eval);
    assert_int_equal(script_command_flags(eval, 0), CMD_NOSCRIPT | CMD_WRITE | CMD_DENYOOM);
    assert_int_equal(script_command_flags(eval, SCRIPT_ALLOW_OOM), CMD_NOSCRIPT | CMD_WRITE);
    assert_int_equal(script_command_flags(eval, SCRIPT_NO_WRITES), CMD_NOSCRIPT);
    assert_int_equal(script_command_flags(eval, SCRIPT_NO_WRITES | SCRIPT_ALLOW_STALE), CMD_NOSCRIPT | CMD_STALE);
}

static void test_names(void **state)
{
    (void)state;
    for (unsigned flag = SCRIPT_NO_WRITES; flag < SCRIPT_SAYS_NOTHING; flag <<= 1)
        assert_int_equal(script_flag_by_name(bytes_str(script_flag_name(flag))), flag);
    assert_null(script_flag_name(SCRIPT_SAYS_NOTHING));
    assert_int_equal(script_flag_by_name(BYTES_LIT("no-write")), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_lines),
        cmocka_unit_test(test_bad_first_lines),
        cmocka_unit_test(test_what_commands_are_allowed),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
