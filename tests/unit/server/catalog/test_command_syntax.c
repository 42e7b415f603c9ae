#include "server/catalog/command_syntax.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "server/commands/tables.h"
#include "server/dispatch/command.h"

static void assert_view(struct bytes_view view, const char *expected)
{
    assert_int_equal(view.len, strlen(expected));
    assert_memory_equal(view.data, expected, view.len);
}

static struct command_argument only_argument(const char *text)
{
    struct bytes_view rest = bytes_str(text);
    struct command_argument arg, none;
    assert_true(command_syntax_next(&rest, &arg));
    assert_false(command_syntax_next(&rest, &none));
    return arg;
}

static void test_no_arguments(void **state)
{
    struct bytes_view text = BYTES_LIT(" ");
    struct command_argument arg;
    assert_false(command_syntax_next(&text, &arg));
}

static void test_types(void **state)
{
    static const struct {
        const char *text;
        enum argument_type type;
    } cases[] = {
        {"value", ARGUMENT_STRING},       {"count:i", ARGUMENT_INTEGER}, {"radius:d", ARGUMENT_DOUBLE},
        {"at:t", ARGUMENT_UNIX_TIME},     {"match:p", ARGUMENT_PATTERN}, {"key:k", ARGUMENT_KEY},
        {"NX", ARGUMENT_PURE_TOKEN},      {"a<B | c>", ARGUMENT_ONEOF},  {"a(b c)", ARGUMENT_BLOCK},
        {"equal!=", ARGUMENT_PURE_TOKEN},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(only_argument(cases[i].text).type, cases[i].type);
    assert_int_equal(only_argument("key:k").key_spec, -1);
    assert_int_equal(only_argument("key:k1").key_spec, 1);
    assert_int_equal(only_argument("match:p").key_spec, -1);
    assert_int_equal(only_argument("match:p1").key_spec, 1);
}

static void test_tokens(void **state)
{
    struct command_argument arg = only_argument("EX seconds:i@6.2.0");
    assert_view(arg.token, "EX");
    assert_view(arg.name, "seconds");
    assert_view(arg.since, "6.2.0");
    arg = only_argument("[increment!INCR]@3.0.2");
    assert_view(arg.name, "increment");
    assert_view(arg.token, "INCR");
    assert_view(arg.since, "3.0.2");
    arg = only_argument("empty!\"\"");
    assert_non_null(arg.token.data);
    assert_int_equal(arg.token.len, 0);
    assert_null(only_argument("value").token.data);
    struct bytes_view text = BYTES_LIT("NO ONE"); /* two words without an argument that they belong to */
    assert_true(command_syntax_next(&text, &arg));
    assert_view(arg.token, "NO");
    assert_true(command_syntax_next(&text, &arg));
    assert_view(arg.token, "ONE");
}

static void test_fault_16_texts_that_are_shown(void **state)
{
    struct command_argument arg = only_argument("STORE storekey\"key\":k1");
    assert_view(arg.name, "storekey");
    assert_view(arg.shown, "key");
    assert_int_equal(arg.type, ARGUMENT_KEY);
    assert_int_equal(arg.key_spec, 1);
    arg = only_argument("[ADDR addr\"ip:port\"]@6.2.0");
    assert_view(arg.shown, "ip:port");
    assert_view(arg.since, "6.2.0");
    assert_null(only_argument("key:k0").shown.data);
}

static void test_fault_16_versions(void **state)
{
    struct command_argument arg = only_argument("[a<B@2.0.0 | c>@2.4.0@-6.2.0]");
    assert_view(arg.since, "2.4.0");
    assert_view(arg.deprecated_since, "6.2.0");
    arg = only_argument("old\"ip:port\"@-2.8.12");
    assert_null(arg.since.data);
    assert_view(arg.deprecated_since, "2.8.12");
    assert_null(only_argument("a@6.0.0").deprecated_since.data);
}

static void test_flags(void **state)
{
    assert_int_equal(only_argument("a").flags, 0);
    assert_int_equal(only_argument("[a]").flags, ARGUMENT_OPTIONAL);
    assert_int_equal(only_argument("a...").flags, ARGUMENT_MULTIPLE);
    assert_int_equal(only_argument("[GET a:p]+...").flags,
                     ARGUMENT_OPTIONAL | ARGUMENT_MULTIPLE | ARGUMENT_MULTIPLE_TOKEN);
}

static void test_parts_nest(void **state)
{
    struct command_argument arg = only_argument("[operation<GET | write([OVERFLOW mode<WRAP | SAT>] do(a b:i))>]...");
    assert_view(arg.name, "operation");
    assert_int_equal(arg.type, ARGUMENT_ONEOF);
    struct bytes_view parts = arg.parts;
    assert_true(command_syntax_next(&parts, &arg));
    assert_view(arg.token, "GET");
    assert_true(command_syntax_next(&parts, &arg));
    assert_view(arg.name, "write");
    parts = arg.parts;
    assert_true(command_syntax_next(&parts, &arg));
    assert_int_equal(arg.flags, ARGUMENT_OPTIONAL);
    assert_view(arg.token, "OVERFLOW");
    assert_view(arg.parts, "WRAP | SAT");
    assert_true(command_syntax_next(&parts, &arg));
    assert_view(arg.parts, "a b:i");
    assert_false(command_syntax_next(&parts, &arg));
}

/* ---- The rows of all commands ---- */

struct words { /* how many words an argument can be */
    int min, max;
};

static struct words count_words(struct bytes_view syntax, bool one_of);

static struct words words_of(const struct command_argument *arg)
{
    struct words w = {1, 1};
    if (arg->type == ARGUMENT_ONEOF || arg->type == ARGUMENT_BLOCK)
        w = count_words(arg->parts, arg->type == ARGUMENT_ONEOF);
    if (arg->token.data != NULL && arg->type != ARGUMENT_PURE_TOKEN) w.min++, w.max += w.max < INT_MAX;
    if (arg->flags & ARGUMENT_OPTIONAL) w.min = 0;
    if (arg->flags & ARGUMENT_MULTIPLE) w.max = INT_MAX;
    return w;
}

static struct words count_words(struct bytes_view syntax, bool one_of)
{
    struct words all = {one_of ? INT_MAX : 0, 0};
    struct command_argument arg;
    while (command_syntax_next(&syntax, &arg)) {
        struct words w = words_of(&arg);
        if (one_of) {
            if (w.min < all.min) all.min = w.min;
            if (w.max > all.max) all.max = w.max;
        } else {
            all.min += w.min;
            all.max = w.max == INT_MAX || all.max == INT_MAX ? INT_MAX : all.max + w.max;
        }
    }
    return all;
}

/* Rows whose arity admits what the command then refuses by itself, or whose arguments are told as Redis tells them: not
 * at all, or (of CLIENT KILL's filters) as if all could be left out. */
static bool arity_is_lax(const char *name)
{
    static const char *const names[] = {"quit", "psync", "debug", "replconf", "kill", NULL};
    for (size_t i = 0; names[i] != NULL; i++)
        if (strcmp(name, names[i]) == 0) return true;
    return false;
}

static int wrong_keys(const struct command *row, struct bytes_view syntax)
{
    struct command_argument arg;
    int wrong = 0;
    while (command_syntax_next(&syntax, &arg)) {
        if (arg.type == ARGUMENT_KEY && arg.key_spec >= 0 && row->keys[arg.key_spec].begin == KEY_BEGIN_NONE) {
            print_error("%s has no key spec %d\n", row->name, arg.key_spec);
            wrong++;
        }
        wrong += wrong_keys(row, arg.parts);
    }
    return wrong;
}

static int check_row(const struct command *row, int name_words)
{
    int wrong = 0;
    if (row->subcommands != NULL) {
        for (const struct command *sub = row->subcommands; sub->name != NULL; sub++) wrong += check_row(sub, 2);
        return wrong;
    }
    if (row->flags & CMD_HIDDEN) return 0;
    struct bytes_view syntax = row->syntax == NULL ? bytes_view("", 0) : bytes_str(row->syntax);
    struct words w = count_words(syntax, false);
    int least = abs(row->arity) - name_words;
    if ((w.min != least || (row->arity > 0) != (w.max == w.min)) && !arity_is_lax(row->name)) {
        print_error("%s: arity %d, but \"%s\" is %d to %d words\n", row->name, row->arity,
                    row->syntax == NULL ? "" : row->syntax, w.min, w.max);
        wrong++;
    }
    return wrong + wrong_keys(row, syntax);
}

static void test_rows_agree_with_their_arity_and_keys(void **state)
{
    int wrong = 0;
    for (const struct command *const *tables = command_row_tables(); *tables != NULL; tables++)
        for (const struct command *row = *tables; row->name != NULL; row++) wrong += check_row(row, 1);
    assert_int_equal(wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_arguments),
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_tokens),
        cmocka_unit_test(test_fault_16_texts_that_are_shown),
        cmocka_unit_test(test_fault_16_versions),
        cmocka_unit_test(test_flags),
        cmocka_unit_test(test_parts_nest),
        cmocka_unit_test(test_rows_agree_with_their_arity_and_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
