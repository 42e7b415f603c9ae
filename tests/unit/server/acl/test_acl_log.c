#include "server/acl/acl_log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "storage/base/memory.h"

static void note(struct acl_log *lg, enum acl_context context, enum acl_reason reason, const char *object, int64_t now)
{
    acl_log_note(lg, context, &(struct acl_denial){reason, bytes_str(object)}, BYTES_LIT("u"), BYTES_LIT("info"), now,
                 4);
}

static void test_the_log_merges(void **state)
{
    struct acl_log *lg = acl_log_new();
    note(lg, ACL_TOPLEVEL, ACL_DENIED_KEY, "a", 1000);
    note(lg, ACL_TOPLEVEL, ACL_DENIED_KEY, "b", 2000);
    note(lg, ACL_TOPLEVEL, ACL_DENIED_KEY, "a", 61000);
    assert_int_equal(acl_log_count(lg), 2);
    const struct acl_log_entry *e = acl_log_newest(lg);
    assert_true(e->id == 0 && e->count == 2 && e->created_ms == 1000 && e->updated_ms == 61000);
    assert_true(e->older->id == 1 && e->older->older == NULL && e->older->newer == e);
    note(lg, ACL_TOPLEVEL, ACL_DENIED_KEY, "b", 62001); /* too long ago */
    note(lg, ACL_IN_MULTI, ACL_DENIED_KEY, "a", 62001);
    assert_int_equal(acl_log_count(lg), 4);
    note(lg, ACL_TOPLEVEL, ACL_DENIED_COMMAND, "a", 62001);
    assert_int_equal(acl_log_count(lg), 4); /* the maximum */
    assert_int_equal(acl_log_newest(lg)->id, 4);
    acl_log_trim(lg, 1);
    assert_int_equal(acl_log_newest(lg)->id, 4);
    acl_log_free(lg);
}

static void test_the_log_cuts_what_is_long(void **state)
{
    struct acl_log *lg = acl_log_new();
    char *key = mem_calloc(5000);
    memset(key, 'k', 4999);
    note(lg, ACL_TOPLEVEL, ACL_DENIED_KEY, key, 0);
    assert_int_equal(acl_log_newest(lg)->object.len, ACL_LOG_TEXT_MAX);
    mem_free(key);
    acl_log_free(lg);
}

/* Compared are reason, context, object and user, but not the client. */
static void test_what_makes_two_refusals_the_same(void **state)
{
    static const struct {
        enum acl_context context;
        enum acl_reason reason;
        const char *object, *user;
        bool same;
    } cases[] = {
        {ACL_TOPLEVEL, ACL_DENIED_KEY, "k", "u", true},   {ACL_IN_MULTI, ACL_DENIED_KEY, "k", "u", false},
        {ACL_IN_SCRIPT, ACL_DENIED_KEY, "k", "u", false}, {ACL_TOPLEVEL, ACL_DENIED_CHANNEL, "k", "u", false},
        {ACL_TOPLEVEL, ACL_DENIED_KEY, "K", "u", false},  {ACL_TOPLEVEL, ACL_DENIED_KEY, "k", "v", false},
        {ACL_TOPLEVEL, ACL_DENIED_KEY, "", "u", false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct acl_log *lg = acl_log_new();
        struct acl_denial first = {ACL_DENIED_KEY, BYTES_LIT("k")},
                          again = {cases[i].reason, bytes_str(cases[i].object)};
        acl_log_note(lg, ACL_TOPLEVEL, &first, BYTES_LIT("u"), BYTES_LIT("client 1"), 5, 100);
        acl_log_note(lg, cases[i].context, &again, bytes_str(cases[i].user), BYTES_LIT("client 2"), 6, 100);
        const struct acl_log_entry *e = acl_log_newest(lg);
        assert_int_equal(acl_log_count(lg), cases[i].same ? 1 : 2);
        assert_int_equal(e->count, cases[i].same ? 2 : 1);
        assert_int_equal(e->created_ms, cases[i].same ? 5 : 6);
        assert_int_equal(e->updated_ms, 6);
        assert_true(bytes_equal(bytes_buf_view(&e->client), BYTES_LIT("client 2"))); /* the client of the last denial */
        acl_log_free(lg);
    }
}

/* A bounded search keeps the cost of a flood of denials constant. */
static void test_only_the_ten_newest_are_compared(void **state)
{
    struct acl_log *lg = acl_log_new();
    char object[8];
    for (int i = 0; i < 11; i++) {
        struct acl_denial what = {ACL_DENIED_KEY, {object, (size_t)snprintf(object, sizeof(object), "k%d", i)}};
        acl_log_note(lg, ACL_TOPLEVEL, &what, BYTES_LIT("u"), BYTES_LIT("c"), 0, 100);
    }
    acl_log_note(lg, ACL_TOPLEVEL, &(struct acl_denial){ACL_DENIED_KEY, BYTES_LIT("k1")}, BYTES_LIT("u"),
                 BYTES_LIT("c"), 0, 100);
    assert_int_equal(acl_log_count(lg), 11);
    acl_log_note(lg, ACL_TOPLEVEL, &(struct acl_denial){ACL_DENIED_KEY, BYTES_LIT("k0")}, BYTES_LIT("u"),
                 BYTES_LIT("c"), 0, 100);
    assert_int_equal(acl_log_count(lg), 12);
    acl_log_free(lg);
}

static void test_the_newest_first(void **state)
{
    struct acl_log *lg = acl_log_new();
    note(lg, ACL_TOPLEVEL, ACL_DENIED_KEY, "a", 1);
    note(lg, ACL_TOPLEVEL, ACL_DENIED_KEY, "b", 2);
    note(lg, ACL_TOPLEVEL, ACL_DENIED_KEY, "c", 3);
    note(lg, ACL_TOPLEVEL, ACL_DENIED_KEY, "b", 4); /* moves from the middle to the front */
    note(lg, ACL_TOPLEVEL, ACL_DENIED_KEY, "b", 5); /* stays at the front */
    const struct acl_log_entry *e = acl_log_newest(lg);
    static const char *const order[] = {"b", "c", "a"};
    for (int i = 0; i < 3; i++, e = e->older) {
        assert_true(bytes_equal(bytes_buf_view(&e->object), bytes_str(order[i])));
        assert_true(e->older == NULL ? i == 2 : e->older->newer == e);
    }
    assert_null(e);
    acl_log_trim(lg, 0);
    assert_null(acl_log_newest(lg));
    assert_int_equal(acl_log_count(lg), 0);
    note(lg, ACL_TOPLEVEL, ACL_DENIED_KEY, "d", 6);
    assert_int_equal(acl_log_newest(lg)->id, 3); /* ids are not used twice */
    acl_log_free(lg);
}

/* acllog-max-len 0 */
static void test_a_log_of_no_length_keeps_nothing(void **state)
{
    struct acl_log *lg = acl_log_new();
    acl_log_note(lg, ACL_TOPLEVEL, &(struct acl_denial){ACL_DENIED_AUTH, BYTES_LIT("AUTH")}, BYTES_LIT("u"),
                 BYTES_LIT("c"), 0, 0);
    assert_int_equal(acl_log_count(lg), 0);
    acl_log_free(lg);
    acl_log_free(NULL);
}

static void test_words(void **state)
{
    assert_string_equal(acl_reason_word(ACL_DENIED_COMMAND), "command");
    assert_string_equal(acl_reason_word(ACL_DENIED_KEY), "key");
    assert_string_equal(acl_reason_word(ACL_DENIED_CHANNEL), "channel");
    assert_string_equal(acl_reason_word(ACL_DENIED_AUTH), "auth");
    assert_string_equal(acl_context_word(ACL_TOPLEVEL), "toplevel");
    assert_string_equal(acl_context_word(ACL_IN_MULTI), "multi");
    assert_string_equal(acl_context_word(ACL_IN_SCRIPT), "lua");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_log_merges),
        cmocka_unit_test(test_the_log_cuts_what_is_long),
        cmocka_unit_test(test_what_makes_two_refusals_the_same),
        cmocka_unit_test(test_only_the_ten_newest_are_compared),
        cmocka_unit_test(test_the_newest_first),
        cmocka_unit_test(test_a_log_of_no_length_keeps_nothing),
        cmocka_unit_test(test_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
