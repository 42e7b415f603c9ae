/* FUNCTION and FCALL through the wire: libraries come, go, are dumped and restored. */
#include "tests/unit/server/commands/fixture.h"

#define LIBRARY "\"#!lua name=lib\\nredis.register_function('f', function(keys, args) return args[1] end)\""
#define CHANGED "\"#!lua name=lib\\nredis.register_function('g', function() return 2 end)\""

static void test_load_and_call(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "FUNCTION LOAD " LIBRARY, "lib");
    CHECK(f, "FUNCTION LOAD " LIBRARY, "-ERR Library 'lib' already exists");
    CHECK(f, "FCALL f 0 x", "x");
    CHECK(f, "FCALL g 0", "-ERR Function not found");
    CHECK(f, "FCALL f x", "-ERR Bad number of keys provided");
    CHECK(f, "FUNCTION LOAD REPLACE " CHANGED, "lib");
    CHECK(f, "FCALL f 0 x", "-ERR Function not found");
    CHECK(f, "FCALL g 0", ":2");
    CHECK(f, "FUNCTION LIST", "[[library_name lib engine LUA functions [[name g description nil flags []]]]]");
    CHECK(f, "FUNCTION LIST LIBRARYNAME x*", "[]");
    CHECK(f, "FUNCTION DELETE lib", "+OK");
    CHECK(f, "FUNCTION DELETE lib", "-ERR Library not found");
    CHECK(f, "FUNCTION KILL", "-NOTBUSY No scripts in execution right now.");
}

static void test_dump_and_restore(void **state)
{
    struct fixture *f = *state;
    char line[4096];
    CHECK(f, "FUNCTION LOAD " LIBRARY, "lib");
    snprintf(line, sizeof(line), "FUNCTION RESTORE %s", run(f, "FUNCTION DUMP"));
    CHECK(f, line, "-ERR Library lib already exists");
    CHECK(f, "FUNCTION FLUSH SYNC", "+OK");
    CHECK(f, "FUNCTION LIST", "[]");
    CHECK(f, line, "+OK");
    CHECK(f, "FCALL f 0 x", "x");
    strcat(line, " REPLACE");
    CHECK(f, line, "+OK");
    line[strlen(line) - 7] = '\0';
    strcat(line, "FLUSH");
    CHECK(f, line, "+OK");
    CHECK(f, "FUNCTION RESTORE x", "-ERR DUMP payload version or checksum are wrong");
    assert_int_equal(run(f, "FUNCTION RESTORE x WHAT")[0], '-');
    CHECK(f, "FCALL f 0 x", "x"); /* what failed changed nothing */
}

static void test_what_is_replicated(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "FUNCTION LOAD " LIBRARY, "lib");
    assert_int_equal(strncmp(fixture_replicated(f), "FUNCTION LOAD ", 14), 0);
    CHECK(f, "FUNCTION LIST WITHCODE", run(f, "FUNCTION LIST WITHCODE"));
    CHECK(f, "FCALL_RO f 0 x", "-ERR Can not execute a script with write flag using *_ro command.");
    CHECK_STREAM(f, "");
    CHECK(f, "FUNCTION FLUSH", "+OK");
    CHECK_STREAM(f, "FUNCTION FLUSH");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_load_and_call),
        TEST(test_dump_and_restore),
        TEST(test_what_is_replicated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
