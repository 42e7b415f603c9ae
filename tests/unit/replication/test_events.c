/* The last events of replication: a ring, and what it tells together. */
#include "replication/events.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct repl_event *add(struct repl_events *e, enum repl_event_kind kind, const char *peer, const char *cause)
{
    struct repl_event *ev = repl_events_add(e);
    ev->kind = kind;
    snprintf(ev->peer, sizeof(ev->peer), "%s", peer);
    snprintf(ev->cause, sizeof(ev->cause), "%s", cause);
    return ev;
}

static void test_the_newest_comes_first(void **state)
{
    struct repl_events e = {0};
    (void)state;
    assert_null(repl_events_get(&e, 0));
    for (int i = 1; i <= 1000; i++) {
        struct repl_event *ev = repl_events_add(&e);
        assert_int_equal(ev->duration_ms, -1);
        assert_int_equal(ev->offset, 0); /* nothing of the event that was there before */
        ev->offset = (uint64_t)i;
        size_t kept = i < REPL_EVENTS_MAX ? (size_t)i : REPL_EVENTS_MAX;
        for (size_t j = 0; j < kept; j++) assert_int_equal(repl_events_get(&e, j)->offset, i - (int)j);
        assert_null(repl_events_get(&e, kept));
    }
    assert_int_equal(e.total, 1000);
    repl_events_release(&e);
}

static void test_each_kind_has_a_name(void **state)
{
    (void)state;
    for (int i = 0; i < REPL_EVENT_KINDS; i++)
        for (int j = 0; j < i; j++)
            assert_string_not_equal(repl_event_name((enum repl_event_kind)i), repl_event_name((enum repl_event_kind)j));
}

static void test_findings(void **state)
{
    struct repl_events e = {0};
    struct repl_findings f;
    (void)state;
    repl_events_find(&e, &f);
    assert_int_equal(f.backlog_times, 0);
    add(&e, REPL_EVENT_FULL, "a:1", "the backlog was too short")->bytes = 3000;
    add(&e, REPL_EVENT_FULL, "a:1", "the backlog was too short")->bytes = 2000;
    add(&e, REPL_EVENT_FULL, "a:1", "it has no data of a history");
    add(&e, REPL_EVENT_DISCONNECTED, "a:1", "it is further behind than client-output-buffer-limit allows");
    add(&e, REPL_EVENT_DISCONNECTED, "a:1", "Broken pipe");
    add(&e, REPL_EVENT_REFUSED, "b:2", "no");
    for (int i = 0; i < 2; i++) add(&e, REPL_EVENT_GONE, "b:2", "");
    repl_events_find(&e, &f);
    assert_int_equal(f.backlog_times, 2);
    assert_int_equal(f.backlog_bytes, 3000);
    assert_int_equal(f.over_limit, 1);
    assert_int_equal(f.refused, 1);
    assert_int_equal(f.flapping, 0); /* twice may be an update */
    for (int i = 0; i < 4; i++) add(&e, REPL_EVENT_GONE, i == 0 ? "b:2" : "a:1", "");
    repl_events_find(&e, &f);
    assert_int_equal(f.flapping, 3);
    add(&e, REPL_EVENT_GONE, "a:1", "");
    add(&e, REPL_EVENT_LINK_DOWN, "m:3", "refused"); /* an attempt, no loss */
    add(&e, REPL_EVENT_LINK_DOWN, "m:3", "reset")->duration_ms = 5;
    add(&e, REPL_EVENT_LINK_DOWN, "m:3", "timeout")->duration_ms = 9;
    repl_events_find(&e, &f);
    assert_int_equal(f.flapping, 4);
    assert_string_equal(f.flapping_peer, "a:1");
    assert_int_equal(f.lost_master, 2);
    assert_string_equal(f.lost_because, "timeout");
    repl_events_release(&e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_newest_comes_first),
        cmocka_unit_test(test_each_kind_has_a_name),
        cmocka_unit_test(test_findings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
