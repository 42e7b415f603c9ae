/* CONFIG through the wire: replies and errors. The registry itself has its own tests (server/config/). */
#include "tests/unit/server/commands/fixture.h"

static void test_get(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "CONFIG GET hz", "[hz 10]");
    CHECK(f, "CONFIG GET none", "[]");
    CHECK(f, "CONFIG GET HZ maxmemory", "[hz 10 maxmemory 0]");
    CHECK(f, "CONFIG GET hz h?", "[hz 10]"); /* once */
    CHECK(f, "CONFIG GET slaveof", "[slaveof '']");
    (void)run(f, "HELLO 3");
    CHECK(f, "CONFIG GET hz", "{hz 10}");
}

static void test_set(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "CONFIG SET hz 20 maxmemory 1mb", "+OK");
    CHECK(f, "CONFIG GET maxmemory", "[maxmemory 1048576]");
    CHECK(f, "CONFIG SET hz", "-ERR wrong number of arguments for 'config|set' command");
    CHECK(f, "CONFIG SET hz 30 maxmemory", "-ERR wrong number of arguments for 'config|set' command");
    CHECK(f, "CONFIG SET none 1", "-ERR Unknown option or number of arguments for CONFIG SET - 'none'");
    CHECK(f, "CONFIG SET maxmemory x",
          "-ERR CONFIG SET failed (possibly related to argument 'maxmemory') - argument must be a memory value");
    CHECK(f, "CONFIG SET hz 30 databases 3",
          "-ERR CONFIG SET failed (possibly related to argument 'databases') - can't set immutable config");
    CHECK(f, "CONFIG GET hz", "[hz 20]"); /* all or nothing */
    CHECK_STREAM(f, "");
}

static void test_protected_directives(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "CONFIG SET dir /tmp",
          "-ERR CONFIG SET failed (possibly related to argument 'dir') - can't set protected config");
    CHECK(
        f, "CONFIG SET enable-protected-configs yes",
        "-ERR CONFIG SET failed (possibly related to argument 'enable-protected-configs') - can't set immutable config");
}

static void test_rewrite_without_a_file(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "CONFIG REWRITE", "-ERR The server is running without a config file");
    CHECK(f, "CONFIG WHAT", "-ERR unknown subcommand 'WHAT'. Try CONFIG HELP.");
}

static void test_resetstat(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "GET none", "nil");
    CHECK(f, "SET k v", "+OK");
    CHECK(f, "GET k", "v");
    assert_int_equal(f->server->core.keyspace->stats.misses, 1);
    assert_int_equal(f->server->core.keyspace->stats.hits, 1);
    CHECK(f, "CONFIG RESETSTAT", "+OK");
    assert_int_equal(f->server->core.keyspace->stats.misses, 0);
    assert_int_equal(f->server->core.keyspace->stats.hits, 0);
    assert_int_equal(command_table_find(f->server->commands, BYTES_LIT("get"))->stats.calls, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_get),       TEST(test_set), TEST(test_protected_directives), TEST(test_rewrite_without_a_file),
        TEST(test_resetstat),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
