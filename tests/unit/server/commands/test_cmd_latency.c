/* LATENCY: events that were noted, histograms of commands. */

#include "tests/unit/server/commands/fixture.h"

#include "server/core/latency.h"

static void test_events(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "LATENCY LATEST", "[]");
    CHECK(f, "CONFIG SET latency-monitor-threshold 100", "+OK");
    latency_note(&f->server->core, "fork", 99);
    latency_note(&f->server->core, "fork", 150);
    later_ms(f, 2000);
    latency_note(&f->server->core, "fork", 120);
    CHECK(f, "LATENCY LATEST", "[[fork :1700000002 :120 :150]]");
    CHECK(f, "LATENCY HISTORY fork", "[[:1700000000 :150] [:1700000002 :120]]");
    CHECK(f, "LATENCY HISTORY none", "[]");
    CHECK(f, "LATENCY GRAPH none", "-ERR No samples available for event 'none'");
    assert_non_null(strstr(run(f, "LATENCY GRAPH fork"), "high 150 ms, low 120 ms"));
    assert_non_null(strstr(run(f, "LATENCY DOCTOR"), "fork: 2 latency spikes (average 135ms"));
    CHECK(f, "LATENCY RESET none", ":0");
    CHECK(f, "LATENCY RESET fork", ":1");
    CHECK(f, "LATENCY LATEST", "[]");
}

static void test_histograms(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "LATENCY HISTOGRAM get", "[]");
    CHECK(f, "GET k", "nil");
    CHECK(f, "GET k", "nil");
    const char *one = run(f, "LATENCY HISTOGRAM GET none");
    assert_int_equal(strncmp(one, "[get [calls :2 histogram_usec [", 31), 0);
    assert_non_null(strstr(one, " :2]]]")); /* all of them, at the last limit */
    const char *all = run(f, "LATENCY HISTOGRAM");
    assert_non_null(strstr(all, "get [calls :2"));
    assert_non_null(strstr(all, "latency|histogram [calls"));
    assert_null(strstr(all, "lpush"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_events),
        TEST(test_histograms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
