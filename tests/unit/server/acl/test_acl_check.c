/* Requests against users. */
#include "server/acl/acl_check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "tests/unit/server/acl/fixture.h"

static size_t split(char *text, struct bytes_view *words, size_t max)
{
    size_t count = 0;
    for (char *word = strtok(text, " "); word != NULL && count < max; word = strtok(NULL, " "))
        words[count++] = bytes_str(word);
    return count;
}

static void user_is(struct fixture *f, const char *rules)
{
    struct bytes_view words[32];
    char *text = mem_strdup(rules);
    size_t count = split(text, words, 32);
    assert_int_equal(acl_users_set_anew(f->us, BYTES_LIT("u"), words, count, NULL), 0);
    f->user = acl_users_find(f->us, BYTES_LIT("u"));
    mem_free(text);
}

/* Checks the denial that the user is told, with keys and channels named; "" if the request is permitted. */
static void answers(struct fixture *f, const char *request, const char *expected)
{
    struct bytes_view argv[32];
    struct acl_denial why;
    struct bytes_buf said = {0};
    char *text = mem_strdup(request);
    int argc = (int)split(text, argv, 32);
    const struct command_slot *slot = command_table_find_full(f->commands, argv[0]);
    assert_non_null(slot);
    if (!acl_check(f->user, slot, argc, argv, &why)) acl_denial_text(f->user, &why, true, &said);
    bytes_buf_append(&said, "", 1);
    assert_string_equal(said.data, expected);
    mem_free(text);
    bytes_buf_release(&said);
}

static void test_commands_keys_and_channels(void **state)
{
    struct fixture *f = *state;
    user_is(f, "+@all -del %R~r* ~b* &c");
    answers(f, "get r", "");
    answers(f, "set b v", "");
    answers(f, "set r v", "User u has no permissions to access the 'r' key");
    answers(f, "set b v get", "");
    answers(f, "mget r b x y", "User u has no permissions to access the 'x' key");
    answers(f, "del b", "User u has no permissions to run the 'del' command");
    answers(f, "copy r b", "");
    answers(f, "copy b r", "User u has no permissions to access the 'r' key");
    answers(f, "publish c x", "");
    answers(f, "publish d x", "User u has no permissions to access the 'd' channel");
    answers(f, "unsubscribe d", "");
    answers(f, "psubscribe c", "");
    answers(f, "psubscribe c*", "User u has no permissions to access the 'c*' channel");
}

/* Any permission on a key is enough to see that it exists, but not to read it. */
static void test_existence_needs_any_access(void **state)
{
    struct fixture *f = *state;
    user_is(f, "+@all %W~w %R~r");
    answers(f, "exists w r", "");
    answers(f, "type w", "");
    answers(f, "exists x", "User u has no permissions to access the 'x' key");
    answers(f, "get w", "User u has no permissions to access the 'w' key");
    answers(f, "set w v", "");
    answers(f, "set w v get", "User u has no permissions to access the 'w' key");
}

static void test_selectors_are_not_added_up(void **state)
{
    struct fixture *f = *state;
    user_is(f, "+mget ~a (+mget ~a ~b) (+set ~c)");
    answers(f, "mget a b", "");
    answers(f, "mget a c", "User u has no permissions to access the 'c' key");
    answers(f, "mget a b x", "User u has no permissions to access the 'x' key"); /* of the selector that got furthest */
    answers(f, "set a v", "User u has no permissions to access the 'a' key");
    answers(f, "get a", "User u has no permissions to run the 'get' command");
}

static void test_whoever_has_no_user_may_do_everything(void **state)
{
    struct fixture *f = *state;
    f->user = NULL;
    answers(f, "flushall", "");
}

static void test_what_makes_another_user_is_always_permitted(void **state)
{
    struct fixture *f = *state;
    user_is(f, "on");
    answers(f, "auth a b", "");
    answers(f, "hello 3", "");
    answers(f, "quit", "");
    answers(f, "ping", "User u has no permissions to run the 'ping' command");
}

static void test_many_keys(void **state)
{
    struct fixture *f = *state;
    enum { KEYS = 1000 };
    struct bytes_view argv[KEYS + 1];
    struct acl_denial why;
    const struct command_slot *slot = command_table_find(f->commands, BYTES_LIT("del"));
    user_is(f, "+del ~own");
    argv[0] = BYTES_LIT("del");
    for (int i = 1; i <= KEYS; i++) argv[i] = BYTES_LIT("own");
    assert_true(acl_check(f->user, slot, KEYS + 1, argv, &why));
    argv[KEYS] = BYTES_LIT("other");
    assert_false(acl_check(f->user, slot, KEYS + 1, argv, &why));
    assert_true(why.reason == ACL_DENIED_KEY && bytes_equal(why.object, BYTES_LIT("other")));
}

static void test_reading_all(void **state)
{
    struct fixture *f = *state;
    const struct command_slot *slot = command_table_find(f->commands, BYTES_LIT("sort"));
    struct bytes_view argv[] = {BYTES_LIT("sort"), BYTES_LIT("l")};
    static const struct {
        const char *rules;
        bool permitted;
    } cases[] = {
        {"+sort ~l", false},
        {"+sort ~l %W~*", false},
        {"+sort %R~*", true},
        {"+sort allkeys", true},
        {"+sort ~l (%R~*)", false},
        {"+get (+sort ~*)", true},
        {"+get %R~* (+sort ~l)", false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        user_is(f, cases[i].rules);
        assert_int_equal(acl_check_reading_all(f->user, slot, 2, argv), cases[i].permitted);
    }
    assert_true(acl_check_reading_all(NULL, slot, 2, argv));
}

/* Every slot has its own id, and all ids are used. */
static void test_numbers_of_commands(void **state)
{
    struct fixture *f = *state;
    size_t count, total = command_table_id_count(f->commands), seen = 0;
    const struct command_slot *slots = command_table_slots(f->commands, &count);
    bool *used = mem_calloc(total);
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j <= slots[i].subcommand_count; j++) {
            const struct command_slot *slot = j == 0 ? &slots[i] : &slots[i].subcommands[j - 1];
            assert_true(slot->id < total && !used[slot->id]);
            used[slot->id] = true;
            seen++;
            assert_ptr_equal(command_table_slot_of(f->commands, slot->command), slot);
            assert_ptr_equal(command_table_find_documented(f->commands, bytes_str(slot->full_name)), slot);
        }
    }
    assert_int_equal(seen, total);
    mem_free(used);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_commands_keys_and_channels, setup, teardown),
        cmocka_unit_test_setup_teardown(test_existence_needs_any_access, setup, teardown),
        cmocka_unit_test_setup_teardown(test_selectors_are_not_added_up, setup, teardown),
        cmocka_unit_test_setup_teardown(test_whoever_has_no_user_may_do_everything, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_makes_another_user_is_always_permitted, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_keys, setup, teardown),
        cmocka_unit_test_setup_teardown(test_reading_all, setup, teardown),
        cmocka_unit_test_setup_teardown(test_numbers_of_commands, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
