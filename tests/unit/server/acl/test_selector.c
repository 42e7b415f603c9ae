#include "server/commands/tables.h"
#include "server/acl/selector.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "storage/base/memory.h"
#include "storage/base/sys.h"

struct fixture {
    struct acl_env env;
    struct acl_selector *sel;
};

static int setup(void **state)
{
    struct fixture *f = mem_calloc(sizeof(*f));
    f->env.commands = command_table_new(command_row_tables(), NULL, 0);
    f->sel = acl_selector_new(&f->env);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    acl_selector_free(f->sel);
    command_table_free(f->env.commands);
    mem_free(f);
    return 0;
}

static void apply(struct fixture *f, const char *rule)
{
    assert_int_equal(acl_selector_apply(f->sel, &f->env, bytes_str(rule)), ACL_RULE_OK);
}

static void is_described_as(const struct acl_selector *sel, const char *expected)
{
    struct bytes_buf text = {0};
    acl_selector_describe(sel, &text);
    bytes_buf_append(&text, "", 1);
    assert_string_equal(text.data, expected);
    bytes_buf_release(&text);
}

static bool permits(const struct fixture *f, const char *name, const char *arg)
{
    const struct command_slot *slot = command_table_find_full(f->env.commands, bytes_str(name));
    struct bytes_view argv[] = {bytes_str(name), arg == NULL ? BYTES_LIT("") : bytes_str(arg)};
    assert_non_null(slot);
    return acl_selector_permits_command(f->sel, slot, arg == NULL ? 1 : 2, argv);
}

static bool reads(const struct fixture *f, const char *key)
{
    return acl_selector_permits_key(f->sel, bytes_str(key), ACL_MAY_READ);
}
static bool writes(const struct fixture *f, const char *key)
{
    return acl_selector_permits_key(f->sel, bytes_str(key), ACL_MAY_WRITE);
}

static void test_a_new_one_permits_nothing(void **state)
{
    struct fixture *f = *state;
    assert_false(permits(f, "get", NULL));
    assert_false(reads(f, "k"));
    assert_false(acl_selector_permits_key(f->sel, BYTES_LIT("k"), 0));
    assert_false(acl_selector_permits_channel(f->sel, BYTES_LIT("c"), false));
    assert_false(acl_selector_permits_all(f->sel));
    is_described_as(f->sel, "resetchannels -@all");
}

static void test_everything(void **state)
{
    struct fixture *f = *state;
    static const char *const rules[] = {"AllKeys", "&*", "+@ALL"};
    for (size_t i = 0; i < 3; i++) {
        assert_false(acl_selector_permits_all(f->sel));
        apply(f, rules[i]);
    }
    assert_true(acl_selector_permits_all(f->sel));
    is_described_as(f->sel, "~* &* +@all");
    apply(f, "-get");
    assert_false(acl_selector_permits_all(f->sel));
    apply(f, "+get"); /* every bit is set again, whatever the words say */
    assert_true(acl_selector_permits_all(f->sel));
    is_described_as(f->sel, "~* &* +@all +get");
}

static void test_commands_and_subcommands(void **state)
{
    struct fixture *f = *state;
    apply(f, "+config");
    apply(f, "-config|set");
    assert_true(permits(f, "config|get", NULL));
    assert_false(permits(f, "config|set", NULL));
    apply(f, "-config");
    assert_false(permits(f, "config|get", NULL));
    apply(f, "+config|get");
    assert_true(permits(f, "config|get", NULL));
    assert_false(permits(f, "config|rewrite", NULL));
    is_described_as(f->sel, "resetchannels -@all -config +config|get");
}

static void test_categories(void **state)
{
    struct fixture *f = *state;
    apply(f, "+@string");
    assert_true(permits(f, "get", NULL));
    assert_false(permits(f, "lpush", NULL));
    apply(f, "-@write");
    assert_true(permits(f, "get", NULL));
    assert_false(permits(f, "set", NULL));
    apply(f, "+@connection"); /* subcommands have categories of their own */
    assert_true(permits(f, "client|id", NULL));
    apply(f, "-@admin");
    assert_true(permits(f, "client|id", NULL));
    assert_false(permits(f, "client|kill", NULL));
}

static void test_first_arguments(void **state)
{
    struct fixture *f = *state;
    apply(f, "+select|0");
    apply(f, "+select|ABC");
    assert_true(permits(f, "select", "0"));
    assert_true(permits(f, "select", "abc"));
    assert_false(permits(f, "select", "1"));
    assert_false(permits(f, "select", NULL));
    apply(f, "-@connection"); /* removes them, as it would remove the command */
    assert_false(permits(f, "select", "0"));
    apply(f, "+select|0");
    is_described_as(f->sel, "resetchannels -@all +select|abc -@connection +select|0");
    apply(f, "+select");
    assert_true(permits(f, "select", "1"));
    apply(f, "-select");
    assert_false(permits(f, "select", "0"));
}

/* A configuration may name commands that are refused for every client. */
static void test_commands_of_a_cluster(void **state)
{
    struct fixture *f = *state;
    apply(f, "+cluster|slots");
    assert_true(permits(f, "cluster|slots", NULL));
    apply(f, "-cluster|slots");
    assert_false(permits(f, "cluster|slots", NULL));
    apply(f, "+CLUSTER|NODES");
    apply(f, "-cluster|myid");
    is_described_as(f->sel, "resetchannels -@all -cluster|slots +cluster|nodes -cluster|myid");
    apply(f, "-cluster");
    assert_false(permits(f, "cluster|nodes", NULL));
    is_described_as(f->sel, "resetchannels -@all -cluster");
    assert_int_equal(acl_selector_apply(f->sel, &f->env, BYTES_LIT("-cluster|nosuch")), ACL_RULE_UNKNOWN_COMMAND);
}

static void test_keys(void **state)
{
    struct fixture *f = *state;
    apply(f, "%R~r:*");
    apply(f, "%w~w:*");
    apply(f, "%WR~b:*");
    apply(f, "~h[ae]llo");
    assert_true(reads(f, "r:1") && !writes(f, "r:1"));
    assert_true(writes(f, "w:1") && !reads(f, "w:1"));
    assert_true(reads(f, "b:1") && writes(f, "b:1") && writes(f, "hello") && !reads(f, "hillo"));
    assert_true(acl_selector_permits_key(f->sel, BYTES_LIT("w:1"), 0));
    assert_false(acl_selector_permits_key(f->sel, BYTES_LIT("r:1"), ACL_MAY_BOTH));
    apply(f, "%W~r:*"); /* the same pattern: now with both permissions */
    assert_true(acl_selector_permits_key(f->sel, BYTES_LIT("r:1"), ACL_MAY_BOTH));
    is_described_as(f->sel, "~r:* %W~w:* ~b:* ~h[ae]llo resetchannels -@all");
    assert_false(acl_selector_permits_all_keys(f->sel, ACL_MAY_READ));
    apply(f, "%R~*");
    assert_true(acl_selector_permits_all_keys(f->sel, ACL_MAY_READ));
    assert_false(acl_selector_permits_all_keys(f->sel, ACL_MAY_BOTH));
    assert_false(writes(f, "other"));
    apply(f, "resetkeys");
    assert_false(reads(f, "r:1"));
}

/* One pattern has to permit all access to a key: reading by one and writing by another are not combined. */
static void test_access_is_not_added_up(void **state)
{
    struct fixture *f = *state;
    apply(f, "%R~a*");
    apply(f, "%W~*b");
    assert_true(reads(f, "ab") && writes(f, "ab"));
    assert_false(acl_selector_permits_key(f->sel, BYTES_LIT("ab"), ACL_MAY_BOTH));
}

static void test_channels(void **state)
{
    struct fixture *f = *state;
    apply(f, "&news.*");
    apply(f, "&a");
    assert_true(acl_selector_permits_channel(f->sel, BYTES_LIT("news.it"), false));
    assert_false(acl_selector_permits_channel(f->sel, BYTES_LIT("news.it"), true));
    assert_true(acl_selector_permits_channel(f->sel, BYTES_LIT("news.*"), true));
    assert_false(acl_selector_permits_channel(f->sel, BYTES_LIT("news.?"), true));
    assert_true(acl_selector_permits_channel(f->sel, BYTES_LIT("a"), true));
    is_described_as(f->sel, "resetchannels &news.* &a -@all");
}

/* A wrong rule changes nothing (CVE-2024-31227, CVE-2024-51741). */
static void test_malformed_rules_CVE_2024_51741(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *rule;
        enum acl_rule_result result;
    } cases[] = {
        {"", ACL_RULE_SYNTAX},
        {"%", ACL_RULE_SYNTAX},
        {"%~a", ACL_RULE_SYNTAX},
        {"%R", ACL_RULE_SYNTAX},
        {"%X~a", ACL_RULE_SYNTAX},
        {"%R W~a", ACL_RULE_SYNTAX},
        {"get", ACL_RULE_SYNTAX},
        {"on", ACL_RULE_SYNTAX},
        {">password", ACL_RULE_SYNTAX},
        {"(+get)", ACL_RULE_SYNTAX},
        {"~a b", ACL_RULE_SYNTAX},
        {"+", ACL_RULE_UNKNOWN_COMMAND},
        {"-", ACL_RULE_UNKNOWN_COMMAND},
        {"+@", ACL_RULE_UNKNOWN_COMMAND},
        {"+|", ACL_RULE_UNKNOWN_COMMAND},
        {"+||", ACL_RULE_UNKNOWN_COMMAND},
        {"+get|", ACL_RULE_SYNTAX},
        {"+get|a|b", ACL_RULE_UNKNOWN_COMMAND},
        {"+config|get|a", ACL_RULE_ARG_OF_SUBCOMMAND},
        {"+config|", ACL_RULE_SYNTAX},
        {"-get|a", ACL_RULE_UNKNOWN_COMMAND},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(acl_selector_apply(f->sel, &f->env, bytes_str(cases[i].rule)), cases[i].result);
    is_described_as(f->sel, "resetchannels -@all");
}

static void test_control_bytes_R14970_V3847(void **state)
{
    struct fixture *f = *state;
    static const char *const starts[] = {"~a", "%R~a", "&a", "+get|a", "-get", "+@all", "+get"};
    for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
        for (int c = 0; c < 256; c++) {
            char rule[16];
            bool control = c <= ' ' || c == 127;
            int len = snprintf(rule, sizeof(rule), "%s%c", starts[i], c);
            enum acl_rule_result result = acl_selector_apply(f->sel, &f->env, bytes_view(rule, (size_t)len));
            if (control) assert_int_equal(result, ACL_RULE_SYNTAX);
        }
    }
    struct bytes_buf text = {0};
    acl_selector_describe(f->sel, &text);
    for (size_t i = 0; i < text.len; i++) assert_true((unsigned char)text.data[i] >= ' ' && text.data[i] != 127);
    bytes_buf_release(&text);
}

static void test_channels_of_a_new_one(void **state)
{
    struct fixture *f = *state;
    f->env.all_channels = true;
    struct acl_selector *sel = acl_selector_new(&f->env);
    assert_int_equal(acl_selector_apply(sel, &f->env, BYTES_LIT("&a")), ACL_RULE_CHANNEL_AFTER_ALL);
    is_described_as(sel, "&* -@all");
    acl_selector_free(sel);
}

/* Random rules: the text of a selector gives the same permissions again, and so does a copy. */
static struct acl_selector *read_again(struct fixture *f, struct bytes_view text)
{
    struct acl_selector *sel = acl_selector_new(&f->env);
    while (text.len > 0) {
        const char *blank = memchr(text.data, ' ', text.len);
        size_t len = blank == NULL ? text.len : (size_t)(blank - text.data);
        assert_int_equal(acl_selector_apply(sel, &f->env, bytes_view(text.data, len)), ACL_RULE_OK);
        len += blank != NULL;
        text = bytes_view(text.data + len, text.len - len);
    }
    return sel;
}

static void same_commands(struct fixture *f, const struct acl_selector *a, const struct acl_selector *b)
{
    size_t count;
    const struct command_slot *slots = command_table_slots(f->env.commands, &count);
    struct bytes_view argv[] = {BYTES_LIT(""), BYTES_LIT("x")};
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(acl_selector_permits_command(a, &slots[i], 2, argv),
                         acl_selector_permits_command(b, &slots[i], 2, argv));
        for (size_t j = 0; j < slots[i].subcommand_count; j++)
            assert_int_equal(acl_selector_permits_command(a, &slots[i].subcommands[j], 2, argv),
                             acl_selector_permits_command(b, &slots[i].subcommands[j], 2, argv));
    }
}

static void test_what_is_written_is_the_same_read_again(void **state)
{
    struct fixture *f = *state;
    static const char *const rules[] = {
        "+@all",   "-@all",         "+@string",      "-@string",  "+@connection", "-@connection",
        "+@slow",  "-@admin",       "+client",       "-client",   "+client|id",   "-client|id",
        "+select", "-select",       "+select|x",     "+select|y", "+get",         "-get",
        "~a",      "%R~a",          "%W~a",          "resetkeys", "&a",           "resetchannels",
        "+get|x",  "+cluster|info", "-cluster|info", "-cluster",  "+config|get",  "-config|get",
        "-config", "+config",       "-@dangerous"};
    struct rng rng;
    rng_seed(&rng, 7);
    for (int round = 0; round < 3000; round++) {
        struct bytes_buf text = {0};
        (void)!acl_selector_apply(f->sel, &f->env, bytes_str(rules[rng_below(&rng, sizeof(rules) / sizeof(rules[0]))]));
        acl_selector_describe(f->sel, &text);
        bytes_buf_append(&text, "", 1);
        struct acl_selector *again = read_again(f, bytes_view(text.data, text.len - 1));
        struct acl_selector *copy = acl_selector_copy(f->sel);
        is_described_as(again, text.data);
        is_described_as(copy, text.data);
        same_commands(f, f->sel, again);
        same_commands(f, f->sel, copy);
        acl_selector_free(again);
        acl_selector_free(copy);
        bytes_buf_release(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_new_one_permits_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_everything, setup, teardown),
        cmocka_unit_test_setup_teardown(test_commands_and_subcommands, setup, teardown),
        cmocka_unit_test_setup_teardown(test_categories, setup, teardown),
        cmocka_unit_test_setup_teardown(test_first_arguments, setup, teardown),
        cmocka_unit_test_setup_teardown(test_commands_of_a_cluster, setup, teardown),
        cmocka_unit_test_setup_teardown(test_keys, setup, teardown),
        cmocka_unit_test_setup_teardown(test_access_is_not_added_up, setup, teardown),
        cmocka_unit_test_setup_teardown(test_channels, setup, teardown),
        cmocka_unit_test_setup_teardown(test_malformed_rules_CVE_2024_51741, setup, teardown),
        cmocka_unit_test_setup_teardown(test_control_bytes_R14970_V3847, setup, teardown),
        cmocka_unit_test_setup_teardown(test_channels_of_a_new_one, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_written_is_the_same_read_again, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
