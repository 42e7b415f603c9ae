/* The program as a checker: which names and options select one, and its exit codes. Its output is discarded. */
#include "server/process/file_checker.h"

#include "tests/unit/server/process/process_fixture.h"

struct call {
    const char *words[6];
    int argc;
    bool is_checker;
    int code;
};

static int run(void *ctx)
{
    struct call *c = ctx;
    int code = 99;
    if (freopen("/dev/null", "w", stdout) == NULL || freopen("/dev/null", "w", stderr) == NULL) return 98;
    bool is_checker = file_checker_run(sys_real(), c->argc, (char **)c->words, &code);
    if (is_checker != c->is_checker) return 97;
    return is_checker ? code : code == 99 ? c->code : 96;
}

#define CHECK(checker, exit_code, ...)                                                                                 \
    do {                                                                                                               \
        struct call c_ = {.words = {__VA_ARGS__}, .is_checker = checker, .code = exit_code};                           \
        while (c_.words[c_.argc] != NULL) c_.argc++;                                                                   \
        int status_ = in_child(run, &c_);                                                                              \
        assert_true(WIFEXITED(status_));                                                                               \
        assert_int_equal(WEXITSTATUS(status_), exit_code);                                                             \
    } while (0)

static void write_file(const char *path, const char *bytes, size_t len)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, len, file), len);
    fclose(file);
}

static void test_a_server_is_no_checker(void **state)
{
    (void)state;
    CHECK(false, 0, "lockstep-server");
    CHECK(false, 0, "/usr/bin/lockstep-server", "redis.conf");
    CHECK(false, 0, "lockstep-server", "redis.conf", "--check-rdb"); /* only as the first argument */
    CHECK(false, 0, "/opt/check-rdb/lockstep-server");               /* the name counts, not the folder */
    struct call none = {.is_checker = false, .code = 0};
    assert_int_equal(WEXITSTATUS(in_child(run, &none)), 0);
}

static void test_versions_and_usage(void **state)
{
    (void)state;
    CHECK(true, 0, "redis-check-rdb", "--version");
    CHECK(true, 0, "/usr/bin/redis-check-aof", "-v");
    CHECK(true, 0, "lockstep-server", "--check-rdb", "--version");
    CHECK(true, 1, "redis-check-rdb");
    CHECK(true, 1, "redis-check-rdb", "a", "b");
    CHECK(true, 1, "redis-check-aof");
    CHECK(true, 1, "redis-check-aof", "--mend", "a");
    CHECK(true, 1, "redis-check-aof", "--truncate-to-timestamp", "x", "a");
    CHECK(true, 1, "redis-check-aof", "--truncate-to-timestamp", "-1", "a");
}

static void test_rdb_files(void **state)
{
    static const char empty[] = "REDIS0009\xff\x00\x00\x00\x00\x00\x00\x00\x00";
    char path[128];
    snprintf(path, sizeof(path), "%s/dump.rdb", (char *)*state);
    CHECK(true, 1, "redis-check-rdb", path);
    write_file(path, empty, sizeof(empty) - 1);
    CHECK(true, 0, "redis-check-rdb", path);
    CHECK(true, 0, "lockstep-server", "--check-rdb", path);
    write_file(path, empty, 9);
    CHECK(true, 1, "redis-check-rdb", path);
}

static void test_append_only_files(void **state)
{
    static const char whole[] = "*1\r\n$4\r\nPING\r\n";
    char path[128], text[64];
    snprintf(path, sizeof(path), "%s/x.aof", (char *)*state);
    CHECK(true, 1, "redis-check-aof", path);
    write_file(path, whole, sizeof(whole) - 1);
    CHECK(true, 0, "redis-check-aof", path);
    write_file(path, whole, sizeof(whole) - 3);
    CHECK(true, 1, "redis-check-aof", path);
    assert_int_equal(read_text(path, text, sizeof(text)), sizeof(whole) - 3); /* a check changes nothing */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_server_is_no_checker),
        cmocka_unit_test(test_versions_and_usage),
        cmocka_unit_test_setup_teardown(test_rdb_files, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_append_only_files, make_dir, remove_dir),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
