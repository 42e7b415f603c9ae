/* Where the keys of a request are, by every kind of key spec, and with too few arguments. */
#include "server/catalog/command_row.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { WORDS_MAX = 16 };

struct line {
    struct bytes_view argv[WORDS_MAX];
    int argc;
};

static struct line line_of(const char *text)
{
    struct line l = {0};
    for (; *text != '\0'; l.argc++) {
        size_t len = strcspn(text, " ");
        l.argv[l.argc] = bytes_view(text, len);
        text += len + (text[len] == ' ');
    }
    return l;
}

/* "a b": the keys; "none"; "wrong": the arguments do not fit. */
#define CHECK_KEYS(cmd, text, wanted) check_keys(cmd, text, wanted, __FILE__, __LINE__)
static void check_keys(const struct command *cmd, const char *text, const char *wanted, const char *file, int at)
{
    struct line l = line_of(text);
    struct command_key keys[WORDS_MAX];
    char found[128] = "";
    int count = command_keys(cmd, l.argc, l.argv, keys, WORDS_MAX);
    for (int i = 0; i < count; i++) {
        if (i > 0) strcat(found, " ");
        strncat(found, l.argv[keys[i].arg].data, l.argv[keys[i].arg].len);
    }
    _assert_string_equal(count < 0 ? "wrong" : count == 0 ? "none" : found, wanted, file, at);
}

static void test_one_key_and_ranges(void **state)
{
    static const struct command get = {.keys = {KEY_AT(1, KEY_RO)}};
    static const struct command mget = {.keys = {KEY_RANGE(1, -1, 1, KEY_RO)}};
    static const struct command mset = {.keys = {KEY_RANGE(1, -1, 2, KEY_OW)}};
    static const struct command blpop = {.keys = {KEY_RANGE(1, -2, 1, KEY_RW)}};
    static const struct command rename = {.keys = {KEY_AT(1, KEY_RW), KEY_AT(2, KEY_OW)}};
    static const struct command pfmerge = {.keys = {KEY_AT(1, KEY_RW), KEY_RANGE(2, -1, 1, KEY_RO)}};
    static const struct command ping = {0};
    (void)state;
    CHECK_KEYS(&get, "get k", "k");
    CHECK_KEYS(&get, "get k more", "k");
    CHECK_KEYS(&get, "get", "wrong");
    CHECK_KEYS(&mget, "mget a", "a");
    CHECK_KEYS(&mget, "mget a b c", "a b c");
    CHECK_KEYS(&mset, "mset a 1 b 2", "a b");
    CHECK_KEYS(&mset, "mset a 1 b", "a b");
    CHECK_KEYS(&blpop, "blpop a b 0", "a b");
    CHECK_KEYS(&blpop, "blpop 0", "none");
    CHECK_KEYS(&rename, "rename a b", "a b");
    CHECK_KEYS(&rename, "rename a", "wrong");
    CHECK_KEYS(&pfmerge, "pfmerge d a b", "d a b");
    CHECK_KEYS(&pfmerge, "pfmerge d", "d"); /* no sources, but the target is a key */
    CHECK_KEYS(&pfmerge, "pfmerge", "wrong");
    CHECK_KEYS(&ping, "ping x", "none");
}

static void test_a_count_of_keys(void **state)
{
    static const struct command zunion = {.keys = {KEY_NUM(1, KEY_RO)}};
    static const struct command store = {.keys = {KEY_AT(1, KEY_OW), KEY_NUM(2, KEY_RO)}};
    static const struct command eval = {.flags = CMD_NO_MANDATORY_KEYS, .keys = {KEY_NUM(2, KEY_RW)}};
    (void)state;
    CHECK_KEYS(&zunion, "zunion 2 a b", "a b");
    CHECK_KEYS(&zunion, "zunion 1 a b", "a");
    CHECK_KEYS(&zunion, "zunion 3 a b", "wrong");
    CHECK_KEYS(&zunion, "zunion 0 a", "wrong");
    CHECK_KEYS(&zunion, "zunion -1 a", "wrong");
    CHECK_KEYS(&zunion, "zunion x a", "wrong");
    CHECK_KEYS(&zunion, "zunion", "wrong");
    CHECK_KEYS(&zunion, "zunion 2147483647 a", "wrong");
    CHECK_KEYS(&zunion, "zunion 9223372036854775807 a", "wrong");
    CHECK_KEYS(&zunion, "zunion 18446744073709551617 a", "wrong");
    CHECK_KEYS(&store, "zunionstore d 2 a b", "d a b");
    CHECK_KEYS(&eval, "eval script 0", "none");
    CHECK_KEYS(&eval, "eval script 0 arg", "none");
    CHECK_KEYS(&eval, "eval script 1 k arg", "k");
    CHECK_KEYS(&eval, "eval script 1", "wrong");
}

static void test_keywords(void **state)
{
    static const struct command xread = {.keys = {{.flags = KEY_RO,
                                                   .begin = KEY_BEGIN_KEYWORD,
                                                   .begin_at = 1,
                                                   .begin_keyword = "STREAMS",
                                                   .last = -1,
                                                   .step = 1,
                                                   .limit = 2}}};
    static const struct command from_end = {
        .keys = {{.begin = KEY_BEGIN_KEYWORD, .begin_at = -2, .begin_keyword = "KEYS", .last = -1, .step = 1}}};
    (void)state;
    CHECK_KEYS(&xread, "xread streams a b 0 0", "a b");
    CHECK_KEYS(&xread, "xread COUNT 1 Streams a 0", "a");
    CHECK_KEYS(&xread, "xread streams a b 0", "a"); /* half of three */
    CHECK_KEYS(&xread, "xread streams", "wrong");
    CHECK_KEYS(&xread, "xread COUNT 1", "none");
    CHECK_KEYS(&from_end, "migrate x keys a b", "a b");
    CHECK_KEYS(&from_end, "migrate keys keys a b", "a b"); /* the last one, as seen from the end */
    CHECK_KEYS(&from_end, "migrate x y", "none");
}

static int two_keys(int argc, const struct bytes_view *argv, struct command_key *keys, int max)
{
    (void)argv;
    if (argc < 3) return -1;
    for (int i = 0; i < 2 && i < max; i++) keys[i] = (struct command_key){.arg = 2 - i, .flags = KEY_RW};
    return 2;
}

static void test_specs_that_are_not_read(void **state)
{
    static const struct command channel = {.keys = {KEY_AT(1, KEY_NOT_KEY), KEY_AT(2, KEY_RO)}};
    static const struct command unknown = {.keys = {KEY_AT(1, KEY_RO), KEY_UNKNOWN(KEY_RO, "by data")}};
    static const struct command own = {.keys = {KEY_AT(1, KEY_RO)}, .find_keys = two_keys};
    (void)state;
    CHECK_KEYS(&channel, "spublish channel k", "k");
    CHECK_KEYS(&unknown, "sort k", "k");
    CHECK_KEYS(&own, "x a b", "b a");
    CHECK_KEYS(&own, "x a", "wrong");
}

static void test_room_for_fewer_keys(void **state)
{
    static const struct command mget = {.keys = {KEY_RANGE(1, -1, 1, KEY_RO)}};
    struct line l = line_of("mget a b c");
    struct command_key keys[3] = {{.arg = 77}, {.arg = 77}, {.arg = 77}};
    (void)state;
    assert_int_equal(command_keys(&mget, l.argc, l.argv, keys, 2), 3); /* all are counted */
    assert_int_equal(keys[1].arg, 2);
    assert_int_equal(keys[2].arg, 77);
    assert_int_equal(command_keys(&mget, l.argc, l.argv, NULL, 0), 3);
}

static unsigned flags_by_count(int argc, const struct bytes_view *argv)
{
    (void)argv;
    return argc > 2 ? KEY_RW : KEY_RO;
}

static void test_flags(void **state)
{
    static const struct command set = {.keys = {KEY_AT(1, KEY_OW | KEY_VARIABLE_FLAGS)}, .key_flags = flags_by_count};
    static const struct command plain = {.keys = {KEY_AT(1, KEY_OW)}, .key_flags = flags_by_count};
    struct command_key key;
    struct line two = line_of("set k"), three = line_of("set k v");
    (void)state;
    assert_int_equal(command_keys(&set, two.argc, two.argv, &key, 1), 1);
    assert_int_equal(key.flags, KEY_RO);
    assert_int_equal(command_keys(&set, three.argc, three.argv, &key, 1), 1);
    assert_int_equal(key.flags, KEY_RW);
    assert_int_equal(command_keys(&plain, three.argc, three.argv, &key, 1), 1);
    assert_int_equal(key.flags, KEY_OW);
}

static bool hides_second(const struct config *config, int argc, const struct bytes_view *argv, int arg)
{
    (void)config;
    (void)argv;
    return argc > 2 && arg == 2;
}

static void test_secrets(void **state)
{
    static const struct command auth = {.hides = hides_second}, open = {0};
    struct line l = line_of("auth user password");
    (void)state;
    assert_true(bytes_equal(command_shown_arg(NULL, &auth, 3, l.argv, 1), BYTES_LIT("user")));
    assert_true(bytes_equal(command_shown_arg(NULL, &auth, 3, l.argv, 2), BYTES_LIT("(redacted)")));
    assert_true(bytes_equal(command_shown_arg(NULL, &open, 3, l.argv, 2), BYTES_LIT("password")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_key_and_ranges),
        cmocka_unit_test(test_a_count_of_keys),
        cmocka_unit_test(test_keywords),
        cmocka_unit_test(test_specs_that_are_not_read),
        cmocka_unit_test(test_room_for_fewer_keys),
        cmocka_unit_test(test_flags),
        cmocka_unit_test(test_secrets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
