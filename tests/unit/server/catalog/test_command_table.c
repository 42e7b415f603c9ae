/* Looking up commands, ids of slots, rename-command. */
#include "server/catalog/command_table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const struct command client_subcommands[] = {{.name = "list"}, {.name = "kill"}, {0}};
static const struct command first_rows[] = {{.name = "get"}, {.name = "set"}, {0}};
static const struct command second_rows[] = {
    {.name = "client", .subcommands = client_subcommands}, {.name = "http", .acl = ACL_HTTP}, {0}};
static const struct command *const tables[] = {first_rows, second_rows, NULL};

static struct command_table *make(const struct renamed_command *renames, size_t count)
{
    return command_table_new(tables, renames, count);
}

static const char *find(struct command_table *t, const char *name)
{
    const struct command_slot *slot = command_table_find(t, bytes_str(name));
    return slot == NULL ? NULL : slot->full_name;
}
static const char *find_full(struct command_table *t, const char *name)
{
    const struct command_slot *slot = command_table_find_full(t, bytes_str(name));
    return slot == NULL ? NULL : slot->full_name;
}
static const char *find_documented(struct command_table *t, const char *name)
{
    const struct command_slot *slot = command_table_find_documented(t, bytes_str(name));
    return slot == NULL ? NULL : slot->full_name;
}

static void test_names(void **state)
{
    struct command_table *t = make(NULL, 0);
    (void)state;
    assert_string_equal(find(t, "get"), "get");
    assert_string_equal(find(t, "GeT"), "get");
    assert_string_equal(find(t, "client"), "client");
    assert_null(find(t, ""));
    assert_null(find(t, "ge"));
    assert_null(find(t, "gett"));
    assert_null(find(t, "list"));
    assert_null(find(t, "client|list"));
    assert_string_equal(find_full(t, "CLIENT|List"), "client|list");
    assert_string_equal(find_full(t, "get"), "get");
    assert_null(find_full(t, "client|"));
    assert_null(find_full(t, "|list"));
    assert_null(find_full(t, "get|list"));
    assert_null(find_full(t, ""));
    command_table_free(t);
}

static void test_slots(void **state)
{
    struct command_table *t = make(NULL, 0);
    bool seen[6] = {false};
    size_t count;
    (void)state;
    struct command_slot *slots = command_table_slots(t, &count);
    assert_int_equal(count, 4);
    assert_int_equal(command_table_id_count(t), 6);
    for (size_t i = 0; i < count; i++) {
        assert_false(seen[slots[i].id]);
        seen[slots[i].id] = true;
        assert_ptr_equal(command_table_slot_of(t, slots[i].command), &slots[i]);
        for (size_t j = 0; j < slots[i].subcommand_count; j++) {
            const struct command_slot *sub = &slots[i].subcommands[j];
            assert_false(seen[sub->id]);
            seen[sub->id] = true;
            assert_ptr_equal(sub->container, &slots[i]);
            assert_ptr_equal(command_table_slot_of(t, sub->command), sub);
        }
    }
    assert_string_equal(slots[0].name, "get"); /* in the order of the tables */
    assert_string_equal(slots[2].subcommands[1].name, "client|kill");
    assert_ptr_equal(command_slot_sub(&slots[2], BYTES_LIT("KILL")), &slots[2].subcommands[1]);
    assert_null(command_slot_sub(&slots[2], BYTES_LIT("client|kill")));
    assert_null(command_slot_sub(&slots[0], BYTES_LIT("kill")));
    command_table_free(t);
}

static void test_renamed(void **state)
{
    struct renamed_command renames[] = {
        {"get", "FETCH-a-value-under-a-long-name"}, {"client", ""}, {"set", "a"}, {"set", "get"}};
    struct command_table *t = make(renames, 4);
    (void)state;
    assert_string_equal(find(t, "fetch-A-value-under-a-long-name"), "get");
    assert_string_equal(find(t, "get"), "set"); /* the last line about it holds */
    assert_null(find(t, "set"));
    assert_null(find(t, "a"));
    assert_null(find(t, "client"));
    assert_null(find(t, ""));
    assert_null(find_full(t, "client|list"));
    assert_string_equal(find_documented(t, "GET"), "get");
    assert_string_equal(find_documented(t, "client|kill"), "client|kill");
    assert_null(find_documented(t, "client|none"));
    assert_null(find_documented(t, "get|none"));
    assert_null(find_documented(t, "fetch-a-value-under-a-long-name"));
    assert_null(find_documented(t, ""));
    command_table_free(t);
}

/* The lines of rename-command one after the other, as the configuration hands them in. */
static void test_rules_of_renaming(void **state)
{
    struct renamed_command before[8] = {{0}};
    const char *refusal = NULL;
    size_t n = 0;
    (void)state;
#define RENAME(from_, to_) command_table_rename((void *)tables, before, n, from_, to_, &refusal)
#define TAKEN(from_, to_, built_in)                                                                                    \
    do {                                                                                                               \
        assert_string_equal(RENAME(from_, to_), built_in);                                                             \
        before[n++] = (struct renamed_command){.from = built_in, .to = to_};                                           \
    } while (0)
#define REFUSED(from_, to_, why)                                                                                       \
    do {                                                                                                               \
        assert_null(RENAME(from_, to_));                                                                               \
        assert_string_equal(refusal, why);                                                                             \
    } while (0)
    REFUSED("none", "x", "No such command in rename-command");
    REFUSED("", "x", "No such command in rename-command");
    REFUSED("get", "SET", "Target command name already exists");
    REFUSED("client|list", "x", "No such command in rename-command");
    REFUSED("http", "x", "No such command in rename-command"); /* a name of permissions */
    REFUSED("get", "http", "Target command name already exists");
    TAKEN("get", "GET", "get"); /* to its own name */
    TAKEN("Get", "g", "get");
    REFUSED("get", "h", "No such command in rename-command"); /* it is called g now */
    TAKEN("set", "get", "set");                               /* the name is free */
    TAKEN("g", "set", "get");                                 /* they have changed places */
    TAKEN("client", "", "client");
    REFUSED("client", "x", "No such command in rename-command");
    TAKEN("set", "", "get");
    assert_int_equal(n, 6);
    struct command_table *t = make(before, n);
    assert_string_equal(find(t, "get"), "set");
    assert_null(find(t, "set"));
    assert_null(find(t, "client"));
    command_table_free(t);
}

static void test_ticks_of_all(void **state)
{
    struct command_table *t = make(NULL, 0);
    (void)state;
    assert_int_equal(command_table_ticks(t), 0);
    command_table_find(t, BYTES_LIT("get"))->stats.ticks = 5;
    command_table_find(t, BYTES_LIT("client"))->stats.ticks = 70;
    command_table_find_full(t, BYTES_LIT("client|kill"))->stats.ticks = 900;
    assert_int_equal(command_table_ticks(t), 975);
    command_table_free(t);
}

/* More commands than a short probe meets. */
static void test_many_commands(void **state)
{
    static char names[300][24];
    static struct command rows[301];
    static const struct command *const all[] = {rows, NULL};
    (void)state;
    for (int i = 0; i < 300; i++) {
        snprintf(names[i], sizeof(names[i]), "command%d", i);
        rows[i].name = names[i];
    }
    struct command_table *t = command_table_new(all, NULL, 0);
    for (int i = 0; i < 300; i++) assert_string_equal(find(t, names[i]), names[i]);
    assert_null(find(t, "command300"));
    command_table_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),        cmocka_unit_test(test_slots),
        cmocka_unit_test(test_renamed),      cmocka_unit_test(test_rules_of_renaming),
        cmocka_unit_test(test_ticks_of_all), cmocka_unit_test(test_many_commands),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
