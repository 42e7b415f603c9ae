/* ACL: users through commands, passwords, what a user may do, the log of denials. */
#include "tests/unit/server/commands/fixture.h"

static void test_users(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "ACL WHOAMI", "default");
    CHECK(f, "ACL USERS", "[default]");
    CHECK(f, "ACL SETUSER ann on >pw ~a* +get", "+OK");
    CHECK(f, "ACL USERS", "[ann default]");
    CHECK(f, "ACL LIST",
          "[\"user ann on sanitize-payload #30c952fab122c3f9759f02a6d95c3758b246b4fee239957b2d4fee46e26170c4 ~a* "
          "resetchannels -@all +get\" \"user default on nopass sanitize-payload ~* &* +@all\"]");
    CHECK(f, "ACL SETUSER ann +nonsense",
          "-ERR Error in ACL SETUSER modifier '+nonsense': Unknown command or category name in ACL");
    CHECK(f, "ACL GETUSER none", "nil");
    CHECK(f, "ACL DELUSER ann none", ":1");
    CHECK(f, "ACL DELUSER default", "-ERR The 'default' user cannot be removed");
    CHECK(f, "ACL USERS", "[default]");
}

static void test_logging_in(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "ACL SETUSER ann on >pw ~a* +get +acl|whoami", "+OK");
    CHECK_AS(f, 1, "AUTH ann wrong", "-WRONGPASS invalid username-password pair or user is disabled.");
    CHECK_AS(f, 1, "AUTH ann pw", "+OK");
    CHECK_AS(f, 1, "ACL WHOAMI", "ann");
    CHECK_AS(f, 1, "GET a1", "nil");
    CHECK_AS(f, 1, "GET b1", "-NOPERM No permissions to access a key");
    CHECK_AS(f, 1, "SET a1 v", "-NOPERM User ann has no permissions to run the 'set' command");
    CHECK(f, "ACL SETUSER ann off", "+OK");
    CHECK_AS(f, 2, "AUTH ann pw", "-WRONGPASS invalid username-password pair or user is disabled.");
    CHECK_AS(f, 1, "GET a1", "nil"); /* who is logged in stays so */
    CHECK(f, "ACL DELUSER ann", ":1");
    char byte;
    fixture_turns(f);
    assert_int_equal(recv(f->fds[1], &byte, 1, MSG_DONTWAIT), 0); /* but not without a user */
}

static void test_dryrun(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "ACL SETUSER ann on nopass ~a* %R~r* &c +@read +set +publish", "+OK");
    CHECK(f, "ACL DRYRUN ann GET a", "+OK");
    CHECK(f, "ACL DRYRUN ann SET a v", "+OK");
    CHECK(f, "ACL DRYRUN ann GET r", "+OK");
    CHECK(f, "ACL DRYRUN ann SET r v", "\"User ann has no permissions to access the 'r' key\"");
    CHECK(f, "ACL DRYRUN ann DEL a", "\"User ann has no permissions to run the 'del' command\"");
    CHECK(f, "ACL DRYRUN ann PUBLISH d x", "\"User ann has no permissions to access the 'd' channel\"");
    CHECK(f, "ACL DRYRUN ann PUBLISH c x", "+OK");
    CHECK(f, "ACL DRYRUN none GET a", "-ERR User 'none' not found");
    CHECK(f, "ACL DRYRUN ann NONE", "-ERR Command 'NONE' not found");
    CHECK(f, "ACL DRYRUN ann GET", "-ERR wrong number of arguments for 'get' command");
}

static void test_the_log(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "ACL SETUSER ann on >pw +@all -del ~*", "+OK");
    CHECK_AS(f, 1, "AUTH ann pw", "+OK");
    CHECK_AS(f, 1, "DEL k", "-NOPERM User ann has no permissions to run the 'del' command");
    CHECK_AS(f, 1, "DEL k", "-NOPERM User ann has no permissions to run the 'del' command");
    const char *log = run(f, "ACL LOG");
    assert_int_equal(strncmp(log, "[[count :2 reason command context toplevel object del username ann ", 66), 0);
    CHECK(f, "ACL LOG 0", "[]");
    CHECK(f, "ACL LOG x", "-ERR value is not an integer or out of range");
    CHECK(f, "ACL LOG RESET", "+OK");
    CHECK(f, "ACL LOG", "[]");
}

static void test_categories_and_passwords(void **state)
{
    struct fixture *f = *state;
    assert_non_null(strstr(run(f, "ACL CAT"), " sortedset "));
    CHECK(f, "ACL CAT nonsense", "-ERR Unknown category 'nonsense'");
    assert_non_null(strstr(run(f, "ACL CAT transaction"), "multi"));
    assert_int_equal(strlen(run(f, "ACL GENPASS")), 64);
    assert_int_equal(strlen(run(f, "ACL GENPASS 5")), 2);
    CHECK(f, "ACL GENPASS 0",
          "-ERR ACL GENPASS argument must be the number of bits for the output password, a positive number up to 4096");
    CHECK(f, "ACL SAVE",
          "-ERR This Redis instance is not configured to use an ACL file. You may want to specify users via the ACL "
          "SETUSER command and then issue a CONFIG REWRITE (assuming you have a Redis configuration file set) in order "
          "to store users in the Redis configuration.");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_users),
        TEST(test_logging_in),
        TEST(test_dryrun),
        TEST(test_the_log),
        TEST(test_categories_and_passwords),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
