/* COMMAND: counts, names, keys of a request, documentation. */
#include "tests/unit/server/commands/fixture.h"

static void test_names(void **state)
{
    struct fixture *f = *state;
    size_t count;
    command_table_slots(f->server->commands, &count);
    long said = strtol(run(f, "COMMAND COUNT") + 1, NULL, 10);
    assert_in_range(said, count - 5, count); /* hidden ones are left out */
    assert_non_null(strstr(run(f, "COMMAND LIST"), " sunionstore "));
    CHECK(f, "COMMAND LIST FILTERBY PATTERN zunion*", "[zunion zunionstore]");
    CHECK(f, "COMMAND LIST FILTERBY MODULE none", "[]");
    CHECK(f, "COMMAND LIST FILTERBY ACLCAT nonsense", "[]");
    assert_non_null(strstr(run(f, "COMMAND LIST FILTERBY ACLCAT transaction"), "multi"));
    CHECK(f, "COMMAND LIST FILTERBY PATTERN", "-ERR syntax error");
    CHECK(f, "COMMAND LIST WHAT", "-ERR syntax error");
    assert_null(strstr(run(f, "COMMAND LIST"), "host:"));
}

static void test_keys(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "COMMAND GETKEYS MSET a 1 b 2", "[a b]");
    CHECK(f, "COMMAND GETKEYS EVAL script 2 a b c", "[a b]");
    CHECK(f, "COMMAND GETKEYS XGROUP CREATE s g 0", "[s]");
    CHECK(f, "COMMAND GETKEYSANDFLAGS SET k v", "[[k [+OW +update]]]");
    CHECK(f, "COMMAND GETKEYSANDFLAGS SET k v GET", "[[k [+RW +access +update]]]");
    CHECK(f, "COMMAND GETKEYS PING", "-ERR The command has no key arguments");
    CHECK(f, "COMMAND GETKEYS NONE k", "-ERR Invalid command specified");
    CHECK(f, "COMMAND GETKEYS GET", "-ERR Invalid number of arguments specified for command");
    CHECK(f, "COMMAND GETKEYS ZUNION 9 a", "-ERR Invalid arguments specified for command");
    CHECK(f, "COMMAND GETKEYS EVAL script 0", "[]");
}

static void test_info(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "COMMAND INFO none", "[nil]");
    assert_int_equal(
        strncmp(run(f, "COMMAND INFO GET"), "[[get :2 [+readonly +fast] :1 :1 :1 [+@read +@string +@fast] [] [", 64),
        0);
    assert_int_equal(strncmp(run(f, "COMMAND INFO config|get"), "[[config|get :-3 ", 17), 0);
    CHECK(f, "COMMAND INFO config|none", "[nil]");
}

static void test_docs(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "COMMAND DOCS none", "[]");
    const char *docs = run(f, "COMMAND DOCS get");
    assert_int_equal(strncmp(docs, "[get [summary ", 14), 0);
    assert_non_null(strstr(docs, "arguments [[name key type key"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_names),
        TEST(test_keys),
        TEST(test_info),
        TEST(test_docs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
