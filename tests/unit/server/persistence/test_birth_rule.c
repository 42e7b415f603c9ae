#include "server/persistence/birth_rule.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

enum { NOW_S = 1800000000, DAY_S = 24 * 3600 };

/* A master with keys, a replica and a sentinel, that has loaded nothing. */
static struct lineage_record lost(void)
{
    struct lineage_record r = {.role = REPL_MASTER, .written_ms = (int64_t)NOW_S * 1000, .keys = 3};
    assert_true(lineage_note_replica(&r, BYTES_LIT("10.0.0.2"), 6379, NOW_S));
    assert_true(lineage_note_sentinel(&r, BYTES_LIT("abcdef12"), NOW_S - 100 * DAY_S));
    return r;
}

static enum birth_verdict judge(const struct lineage_record *before, enum settings_safe_birth policy)
{
    return birth_judge(&(struct birth_facts){.role = REPL_MASTER, .before = before, .policy = policy});
}

static void test_a_master_that_lost_its_data_is_refused(void **state)
{
    struct lineage_record r = lost();
    (void)state;
    assert_int_equal(judge(&r, SAFE_BIRTH_AUTO), BIRTH_REFUSED);
    assert_int_equal(judge(&r, SAFE_BIRTH_YES), BIRTH_REFUSED);
    assert_int_equal(judge(&r, SAFE_BIRTH_NO), BIRTH_OPEN);
    r.role = REPL_REPLICA; /* it was promoted in the configuration file */
    assert_int_equal(judge(&r, SAFE_BIRTH_AUTO), BIRTH_REFUSED);
}

static void test_without_sentinels_only_if_asked(void **state)
{
    struct lineage_record r = lost();
    (void)state;
    r.sentinel_count = 0;
    assert_int_equal(judge(&r, SAFE_BIRTH_AUTO), BIRTH_WARN);
    assert_int_equal(judge(&r, SAFE_BIRTH_YES), BIRTH_REFUSED);
    assert_int_equal(judge(&r, SAFE_BIRTH_NO), BIRTH_OPEN);
}

static void test_what_is_in_order(void **state)
{
    struct lineage_record r = lost();
    (void)state;
    assert_int_equal(judge(NULL, SAFE_BIRTH_YES), BIRTH_OPEN);
    r.keys = 0;
    assert_int_equal(judge(&r, SAFE_BIRTH_YES), BIRTH_OPEN);
    r = lost();
    r.flushed = true;
    assert_int_equal(judge(&r, SAFE_BIRTH_YES), BIRTH_OPEN);
    r = lost();
    struct birth_facts facts = {.role = REPL_MASTER, .before = &r, .has_loaded = true, .policy = SAFE_BIRTH_YES};
    assert_int_equal(birth_judge(&facts), BIRTH_OPEN);
    facts.has_loaded = false;
    facts.role = REPL_REPLICA;
    assert_int_equal(birth_judge(&facts), BIRTH_OPEN);
}

static void test_replicas_that_count(void **state)
{
    struct lineage_record r = lost();
    (void)state;
    r.replicas[0].seen_s = NOW_S - BIRTH_REPLICA_DAYS * DAY_S;
    assert_int_equal(judge(&r, SAFE_BIRTH_AUTO), BIRTH_REFUSED);
    r.replicas[0].seen_s--;
    assert_int_equal(judge(&r, SAFE_BIRTH_AUTO), BIRTH_OPEN);
    assert_true(lineage_note_replica(&r, BYTES_LIT("10.0.0.3"), 6379, NOW_S - DAY_S));
    assert_int_equal(birth_replica_count(&r), 1);
    assert_int_equal(judge(&r, SAFE_BIRTH_AUTO), BIRTH_REFUSED);
    r.replica_count = 0;
    assert_int_equal(judge(&r, SAFE_BIRTH_YES), BIRTH_OPEN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_master_that_lost_its_data_is_refused),
        cmocka_unit_test(test_without_sentinels_only_if_asked),
        cmocka_unit_test(test_what_is_in_order),
        cmocka_unit_test(test_replicas_that_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
