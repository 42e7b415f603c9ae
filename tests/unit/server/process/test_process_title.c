/* The title of the process: templates, and what the kernel shows. */
#include "server/process/process_title.h"

#include "tests/unit/server/process/process_fixture.h"

static void test_title_templates(void **state)
{
    static const char *const good[] = {
        "", "x", "{title} {listen-addr} {server-mode}", "{port}{tls-port}", "a{{b}", "{unixsocket} {config-file}"};
    static const char *const bad[] = {"{", "{}", "{title", "{titles}", "{ title}", "x {port} {y}"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) assert_true(process_title_template_valid(good[i]));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) assert_false(process_title_template_valid(bad[i]));
}

struct arguments {
    int argc;
    char **argv;
};

static void shows(const char *expected)
{
    char text[256];
    read_text("/proc/self/cmdline", text, sizeof(text));
    assert_string_equal(text, expected);
}

static void test_title(void **state)
{
    const struct arguments *args = *state;
    char *path = strdup(getenv("PATH")), *name = strdup(args->argv[0]), expected[256];
    struct process_title *title = process_title_new(args->argc, args->argv);
    struct process_title_values values = {.listen_addr = "127.0.0.1:6379", .server_mode = "", .port = 6379};
    assert_string_equal(args->argv[0], name);
    assert_string_equal(getenv("PATH"), path);
    process_title_set(title, "{title} {listen-addr} {server-mode}", &values);
    snprintf(expected, sizeof(expected), "%s 127.0.0.1:6379", name);
    shows(expected);
    values.title = "child";
    process_title_set(title, "{{{title}} {port}/{tls-port} {unixsocket}", &values);
    shows("{child} 6379/0");
    process_title_set(title, "{nonsense}", &values); /* stays */
    shows("{child} 6379/0");
    assert_string_equal(getenv("PATH"), path);
    free(path);
    free(name);
    process_title_free(title);
}

int main(int argc, char **argv)
{
    struct arguments args = {argc, argv};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_title_templates),
        cmocka_unit_test_prestate(test_title, &args),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
