/* CLIENT TRACKING: which options fit each other, and what is told of them. */
#include "tests/unit/server/commands/fixture.h"

static void test_refusals(void **state)
{
    static const struct {
        const char *command, *error;
    } cases[] = {
        {"CLIENT TRACKING maybe", "-ERR syntax error"},
        {"CLIENT TRACKING on WHAT", "-ERR syntax error"},
        {"CLIENT TRACKING on PREFIX a", "-ERR PREFIX option requires BCAST mode to be enabled"},
        {"CLIENT TRACKING on OPTIN OPTOUT", "-ERR You can't specify both OPTIN mode and OPTOUT mode"},
        {"CLIENT TRACKING on BCAST OPTIN", "-ERR OPTIN and OPTOUT are not compatible with BCAST"},
        {"CLIENT TRACKING on REDIRECT 99999", "-ERR The client ID you want redirect to does not exist"},
        {"CLIENT TRACKING on REDIRECT x", "-ERR value is not an integer or out of range"},
        {"CLIENT CACHING yes",
         "-ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or "
         "OPTOUT mode enabled"},
    };
    struct fixture *f = *state;
    (void)run(f, "HELLO 3");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) CHECK(f, cases[i].command, cases[i].error);
    CHECK(f, "CLIENT TRACKING off", "+OK"); /* it is off already */
}

static void test_prefixes_that_overlap(void **state)
{
    struct fixture *f = *state;
    (void)run(f, "HELLO 3");
    CHECK(f, "CLIENT TRACKING on BCAST PREFIX foo PREFIX foobar",
          "-ERR Prefix 'foo' overlaps with another provided prefix 'foobar'. Prefixes for a single client must not "
          "overlap.");
    CHECK(f, "CLIENT TRACKING on BCAST PREFIX a PREFIX ''",
          "-ERR Prefix 'a' overlaps with another provided prefix ''. Prefixes for a single client must not overlap.");
    CHECK(f, "CLIENT TRACKING on BCAST PREFIX foo PREFIX bar", "+OK");
    CHECK(f, "CLIENT TRACKING on BCAST PREFIX fo",
          "-ERR Prefix 'fo' overlaps with an existing prefix 'foo'. Prefixes for a single client must not overlap.");
    CHECK(f, "CLIENT TRACKING on BCAST PREFIX baz", "+OK"); /* added to those before */
    CHECK(f, "CLIENT TRACKING on",
          "-ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling it "
          "with a different mode.");
}

static void test_what_is_told(void **state)
{
    struct fixture *f = *state;
    (void)run(f, "HELLO 3");
    CHECK(f, "CLIENT TRACKINGINFO", "{flags ~[off] redirect :-1 prefixes []}");
    CHECK(f, "CLIENT TRACKING on OPTIN NOLOOP", "+OK");
    CHECK(f, "CLIENT TRACKINGINFO", "{flags ~[on optin noloop] redirect :0 prefixes []}");
    CHECK(f, "CLIENT CACHING no", "-ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.");
    CHECK(f, "CLIENT CACHING yes", "+OK");
    CHECK(f, "CLIENT TRACKINGINFO", "{flags ~[on optin caching-yes noloop] redirect :0 prefixes []}");
    CHECK(f, "CLIENT TRACKING off", "+OK");
    CHECK(f, "CLIENT TRACKING on BCAST PREFIX a", "+OK");
    CHECK(f, "CLIENT TRACKINGINFO", "{flags ~[on bcast] redirect :0 prefixes [a]}");
}

static void test_invalidations(void **state)
{
    struct fixture *f = *state;
    (void)run(f, "HELLO 3");
    CHECK(f, "CLIENT TRACKING on", "+OK");
    CHECK(f, "GET k", "nil");
    CHECK_AS(f, 1, "SET k v", "+OK");
    CHECK_REPLY(f, 0, ">[invalidate [k]]");
    CHECK_AS(f, 1, "SET k w", "+OK");
    CHECK_REPLY(f, 0, ""); /* once, until it is read again */
    CHECK_AS(f, 1, "FLUSHALL", "+OK");
    CHECK_REPLY(f, 0, ">[invalidate nil]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_refusals),
        TEST(test_prefixes_that_overlap),
        TEST(test_what_is_told),
        TEST(test_invalidations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
