/* Every row of the command set is well-formed: names, arities, keys, documentation. */

#include "server/commands/tables.h"

#include "tests/unit/server/commands/fixture.h"

#include "server/catalog/command_syntax.h"
#include "server/catalog/command_words.h"

/* Calls fn for each row; container: NULL for commands themselves. */
static void each_row(void (*fn)(const struct command *cmd, const struct command *container))
{
    for (const struct command *const *t = command_row_tables(); *t != NULL; t++)
        for (const struct command *c = *t; c->name != NULL; c++) {
            fn(c, NULL);
            for (const struct command *sub = c->subcommands; sub != NULL && sub->name != NULL; sub++) fn(sub, c);
        }
}

static void check_name(const struct command *cmd, const struct command *container)
{
    (void)container;
    for (const char *p = cmd->name; *p != '\0'; p++)
        if (isupper((unsigned char)*p) || *p == ' ' || *p == '|') fail_msg("%s has a bad name", cmd->name);
    if (cmd->arity == 0) fail_msg("%s has no arity", cmd->name);
    if (cmd->run == NULL && cmd->subcommands == NULL) fail_msg("%s has neither a handler nor subcommands", cmd->name);
    if (container != NULL && (cmd->arity > 0 ? cmd->arity : -cmd->arity) < 2)
        fail_msg("%s %s: the arity counts both names", container->name, cmd->name);
}

static void test_names(void **state)
{
    (void)state;
    each_row(check_name);
}

static void check_flags(const struct command *cmd, const struct command *container)
{
    (void)container;
    if ((cmd->flags & CMD_WRITE) && (cmd->flags & CMD_READONLY)) fail_msg("%s reads and writes", cmd->name);
    if ((cmd->flags & CMD_DENYOOM) && !(cmd->flags & CMD_WRITE) && !(cmd->flags & CMD_RUNS_SCRIPT) &&
        !(cmd->flags & (CMD_MAY_REPLICATE | CMD_NO_QUEUE)) && cmd->acl != 0 && !(cmd->acl & ACL_TRANSACTION))
        fail_msg("%s is no write, but refused for want of memory", cmd->name);
    if ((cmd->flags & CMD_RUNS_SCRIPT) && cmd->flags_now == NULL) fail_msg("%s: who knows its flags?", cmd->name);
}

static void test_flags(void **state)
{
    (void)state;
    each_row(check_flags);
}

/* With the least number of arguments, finding keys reads none that is not there, and finds no more than there are. */
static void check_keys_of(const struct command *cmd, const struct command *container)
{
    struct bytes_view argv[16];
    struct command_key keys[16];
    int least = cmd->arity > 0 ? cmd->arity : -cmd->arity;
    (void)container;
    for (int i = 0; i < 16; i++) argv[i] = BYTES_LIT("1");
    for (int argc = least; argc < 16; argc++) {
        int n = command_keys(cmd, argc, argv, keys, 16);
        for (int i = 0; i < n && i < 16; i++)
            if (keys[i].arg <= 0 || keys[i].arg >= argc) fail_msg("%s: key %d of %d", cmd->name, keys[i].arg, argc);
        if (cmd->arity > 0) break;
    }
    for (size_t i = 0; i < COMMAND_KEY_SPECS_MAX && cmd->keys[i].begin != KEY_BEGIN_NONE; i++) {
        const struct key_spec *spec = &cmd->keys[i];
        if (spec->flags & KEY_NOT_KEY) continue;                                /* a channel */
        bool may_be_empty = i > 0 && spec->begin_at == least && spec->last < 0; /* PFMERGE without sources */
        if (spec->begin == KEY_BEGIN_INDEX && spec->begin_at >= least && !may_be_empty)
            fail_msg("%s: its key may be missing", cmd->name);
        if (spec->begin != KEY_BEGIN_UNKNOWN && spec->step < 1) fail_msg("%s: a key spec without a step", cmd->name);
    }
}

static void test_keys(void **state)
{
    (void)state;
    each_row(check_keys_of);
}

static void check_documentation(const struct command *cmd, const struct command *container)
{
    static const char *const groups[] = {"generic", "string",       "list",       "set",    "sorted-set", "hash",
                                         "pubsub",  "transactions", "connection", "server", "scripting",  "hyperloglog",
                                         "cluster", "geo",          "stream",     "bitmap", "sentinel"};
    struct command_argument arg;
    size_t i = 0;
    (void)container;
    if (cmd->flags & CMD_HIDDEN) return;
    if (cmd->summary == NULL || cmd->since == NULL || cmd->group == NULL)
        fail_msg("%s lacks summary, since or group", cmd->name);
    while (i < sizeof(groups) / sizeof(groups[0]) && strcmp(groups[i], cmd->group) != 0) i++;
    if (i == sizeof(groups) / sizeof(groups[0])) fail_msg("%s is of group %s", cmd->name, cmd->group);
    if (cmd->syntax == NULL) return;
    struct bytes_view text = bytes_str(cmd->syntax);
    while (command_syntax_next(&text, &arg)) /* asserts that it is well-formed */
        if (arg.key_spec >= COMMAND_KEY_SPECS_MAX ||
            (arg.key_spec >= 0 && cmd->keys[arg.key_spec].begin == KEY_BEGIN_NONE))
            fail_msg("%s: argument %.*s is of key spec %d", cmd->name, (int)arg.name.len, arg.name.data, arg.key_spec);
}

static void test_documentation(void **state)
{
    (void)state;
    each_row(check_documentation);
}

static void test_no_name_is_used_twice(void **state)
{
    (void)state;
    const struct command *all[512];
    size_t n = 0;
    for (const struct command *const *t = command_row_tables(); *t != NULL; t++)
        for (const struct command *c = *t; c->name != NULL; c++) {
            assert_true(n < 512);
            for (size_t i = 0; i < n; i++)
                if (strcmp(all[i]->name, c->name) == 0) fail_msg("%s is there twice", c->name);
            all[n++] = c;
        }
    assert_true(n > 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_flags),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_documentation),
        cmocka_unit_test(test_no_name_is_used_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
