/* From the command line to values; what a bad start says. */
#include "tests/unit/server/config/config_fixture.h"

static enum config_start_result start(struct fixture *f, int argc, const char *const *argv, struct config_start *out)
{
    return config_load(f->cfg, argc, (char **)argv, out);
}

static void test_command_line_wins_over_the_file(void **state)
{
    struct fixture *f = *state;
    char path[] = "/tmp/lockstep-conf-XXXXXX";
    int fd = mkstemp(path);
    FILE *file = fdopen(fd, "w");
    fputs("port 7001\nsave 900 1\nmaxmemory 1mb\n", file);
    fclose(file);
    const char *argv[] = {"lockstep-server", path, "--port", "7002", "--save", "100", "100"};
    struct config_start out;
    assert_int_equal(start(f, COUNT(argv), argv, &out), CONFIG_START_RUN);
    assert_int_equal(f->settings.net.port, 7002);
    value_is(f, "save", "900 1 100 100");
    value_is(f, "maxmemory", "1048576");
    assert_string_equal(config_path(f->cfg), path);
    remove(path);
}

static void test_a_bad_start_exits(void **state)
{
    struct fixture *f = *state;
    static const char *const missing[] = {"lockstep-server", "/nonexistent.conf"};
    static const char *const bad[] = {"lockstep-server", "--port", "x"};
    static const char *const log[] = {"lockstep-server", "--logfile", "/nonexistent/x.log"};
    static const char *const memory[] = {"lockstep-server", "--test-memory", "10"};
    struct config_start out;
    assert_int_equal(start(f, 2, missing, &out), CONFIG_START_EXIT);
    assert_int_equal(out.exit_code, 1);
    assert_int_equal(start(f, 3, bad, &out), CONFIG_START_EXIT);
    assert_int_equal(start(f, 3, log, &out), CONFIG_START_EXIT);
    assert_int_equal(start(f, 3, memory, &out), CONFIG_START_EXIT);
    assert_int_equal(out.exit_code, 1);
}

static void test_the_message_of_a_bad_start(void **state)
{
    struct fixture *f = *state;
    struct config_failure failure;
    struct bytes_buf text = {NULL, 0, 0};
    assert_int_equal(config_load_text(f->cfg, BYTES_LIT("\nport \"abc\" \n"), &failure), -EINVAL);
    config_failure_print(&failure, &text);
    bytes_buf_append(&text, "", 1);
    assert_string_equal(text.data, "\n*** FATAL CONFIG FILE ERROR (Lockstep 0.1.0, Redis 7.2.4) ***\n"
                                   "Reading the configuration file, at line 2\n>>> 'port \"abc\"'\n"
                                   "argument couldn't be parsed into an integer\n");
    bytes_buf_release(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(test_command_line_wins_over_the_file),
        WITH(test_a_bad_start_exits),
        WITH(test_the_message_of_a_bad_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
