/* Which arguments of MIGRATE are keys and which are secrets, as its row says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "server/commands/tables.h"
#include "server/dispatch/command.h"

enum { WORDS_MAX = 16 };

struct line {
    struct bytes_view argv[WORDS_MAX];
    int argc;
};

static struct line line_of(const char *text)
{
    struct line l = {0};
    while (*text != '\0') {
        size_t len = strcspn(text, " ");
        l.argv[l.argc++] = strncmp(text, "''", len) == 0 ? BYTES_LIT("") : bytes_view(text, len);
        text += len + (text[len] == ' ');
    }
    return l;
}

/* The keys, as words with blanks between them. */
static void assert_keys(const char *text, const char *wanted)
{
    struct line l = line_of(text);
    struct command_key keys[WORDS_MAX];
    struct bytes_buf found = {0};
    int count = migrate_commands[0].find_keys(l.argc, l.argv, keys, WORDS_MAX);
    for (int i = 0; i < count; i++) {
        assert_int_equal(keys[i].flags, KEY_RW | KEY_ACCESS | KEY_DELETE);
        bytes_buf_printf(&found, "%s%.*s", i > 0 ? " " : "", (int)l.argv[keys[i].arg].len, l.argv[keys[i].arg].data);
    }
    assert_int_equal(found.len, strlen(wanted));
    assert_memory_equal(found.data, wanted, found.len);
    bytes_buf_release(&found);
}

static void test_keys(void **state)
{
    (void)state;
    assert_keys("migrate host 1 k 0 100", "k");
    assert_keys("migrate host 1 k 0 100 COPY REPLACE AUTH keys", "k");
    assert_keys("migrate host 1 '' 0 100 KEYS a b", "a b");
    assert_keys("migrate host 1 '' 0 100 copy keys keys", "keys");
    assert_keys("migrate host 1 '' 0 100 AUTH KEYS KEYS a", "a");
    assert_keys("migrate host 1 '' 0 100 AUTH2 KEYS KEYS KEYS a", "a");
    assert_keys("migrate host 1 k 0 100 KEYS a b", "k");
}

static void assert_shown(const char *text, const char *wanted)
{
    struct line l = line_of(text);
    struct bytes_buf shown = {0};
    for (int i = 0; i < l.argc; i++) {
        struct bytes_view arg = command_shown_arg(NULL, &migrate_commands[0], l.argc, l.argv, i);
        bytes_buf_printf(&shown, "%s%.*s", i > 0 ? " " : "", (int)arg.len, arg.data);
    }
    assert_int_equal(shown.len, strlen(wanted));
    assert_memory_equal(shown.data, wanted, shown.len);
    bytes_buf_release(&shown);
}

static void test_secrets(void **state)
{
    (void)state;
    assert_shown("migrate host 1 k 0 100 COPY", "migrate host 1 k 0 100 COPY");
    assert_shown("migrate host 1 k 0 100 auth pw COPY", "migrate host 1 k 0 100 auth (redacted) COPY");
    assert_shown("migrate host 1 k 0 100 AUTH2 me pw", "migrate host 1 k 0 100 AUTH2 (redacted) (redacted)");
    assert_shown("migrate host 1 k 0 100 KEYS auth pw", "migrate host 1 k 0 100 KEYS auth pw");
    assert_shown("migrate host 1 k 0 100 AUTH auth KEYS pw", "migrate host 1 k 0 100 AUTH (redacted) KEYS pw");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_keys), cmocka_unit_test(test_secrets)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
