/* What a replica makes of checks: right ones, wrong ones, and those that it cannot compare. */
#include "server/streams/verify_replica.h"

#include "server/streams/repair_replica.h"
#include "server/streams/verify_check.h"
#include "tests/unit/server/core/core_fixture.h"
#include "storage/range_digest.h"

struct fixture {
    struct core_fixture room; /* first: core_fixture.h's functions take it */
    struct repair_replica *repair;
    struct verify_replica *vr;
    struct verify_replica_info info;
};

static int setup(void **state)
{
    struct fixture *f = mem_calloc(sizeof(*f));
    core_fixture_init(&f->room, NULL);
    f->repair = repair_replica_new(&f->room.core);
    f->vr = verify_replica_new(&f->room.core, f->repair);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    verify_replica_free(f->vr);
    repair_replica_free(f->repair);
    core_fixture_release(&f->room);
    mem_free(f);
    return 0;
}

static void put(struct fixture *f, const char *name, const char *value)
{
    struct db *db = keyspace_db(f->room.core.keyspace, 0);
    keyspace_put_string(db, keyref(db, bytes_str(name)), bytes_str(value), 0);
}

/* A check of this range that agrees with our data. */
static struct verify_check right(struct fixture *f, enum range_kind kind, uint64_t round)
{
    struct keyspace *ks = f->room.core.keyspace;
    struct verify_check check = {.fingerprint = keyspace_fingerprint(ks), .round = round, .range = {.kind = kind}};
    struct range_result result;
    assert_true(range_digest(ks, &check.range, UINT64_MAX, NULL, NULL, &result));
    check.count = result.count;
    check.digest = result.digest;
    return check;
}

static const struct verify_replica_info *hear(struct fixture *f, const struct verify_check *check)
{
    struct bytes_buf text = {0};
    verify_check_format(check, &text);
    verify_replica_on_ping(f->vr, bytes_buf_view(&text));
    bytes_buf_release(&text);
    verify_replica_describe(f->vr, &f->info);
    return &f->info;
}

static const struct verify_replica_info *hear_right(struct fixture *f, enum range_kind kind, uint64_t round)
{
    struct verify_check check = right(f, kind, round);
    return hear(f, &check);
}

static void test_equal_data(void **state)
{
    struct fixture *f = *state;
    put(f, "a", "1");
    const struct verify_replica_info *info = hear_right(f, RANGE_KEYS, 1);
    assert_int_equal(info->checks, 1);
    assert_int_equal(info->mismatches, 0);
    assert_int_equal(info->mismatch_offset, -1);
    assert_string_equal(info->mismatch_range, "");
    assert_string_equal(info->state, "verifying");
}

static void test_a_difference(void **state)
{
    struct fixture *f = *state;
    put(f, "a", "1");
    struct verify_check check = right(f, RANGE_KEYS, 1);
    put(f, "a", "2");
    const struct verify_replica_info *info = hear(f, &check);
    assert_int_equal(info->mismatches, 1);
    assert_string_equal(info->mismatch_range, "keys 0 0 0 0");
    assert_int_equal(info->mismatch_offset, repl_offset(f->room.core.repl));
    assert_int_equal(core_logged(&f->room, "in the range 'keys 0 0 0 0': count 1 and digest"), 1);
    put(f, "a", "1");
    check.count++;
    assert_int_equal(hear(f, &check)->mismatches, 2);
}

static void test_the_log_gets_one_line_a_second(void **state)
{
    struct fixture *f = *state;
    struct verify_check check = right(f, RANGE_KEYS, 1);
    check.digest.low++;
    for (int i = 0; i < 100; i++) hear(f, &check);
    assert_int_equal(core_logged(&f->room, "Our data differ"), 1);
    core_later_ms(&f->room, 1001);
    assert_int_equal(hear(f, &check)->mismatches, 101);
    assert_int_equal(core_logged(&f->room, "Our data differ"), 2);
    assert_int_equal(core_logged(&f->room, "99 other differences were not logged"), 1);
}

static void test_rounds(void **state)
{
    struct fixture *f = *state;
    hear_right(f, RANGE_KEYS, 6); /* in the middle of a round */
    hear_right(f, RANGE_FUNCTIONS, 7);
    core_later_ms(&f->room, 1000);
    assert_int_equal(hear_right(f, RANGE_KEYS, 7)->rounds, 0);
    assert_int_equal(f->info.verified_ms, -1);
    core_later_ms(&f->room, 500);
    assert_int_equal(hear_right(f, RANGE_FUNCTIONS, 8)->rounds, 1);
    assert_int_equal(f->info.verified_ms, 1500);
    hear_right(f, RANGE_KEYS, 8);
    assert_int_equal(hear_right(f, RANGE_FUNCTIONS, 9)->rounds, 2);
    assert_int_equal(f->info.verified_ms, 0);
    verify_replica_replaced(f->vr); /* the rest of round 9 is missed */
    assert_int_equal(hear_right(f, RANGE_KEYS, 9)->rounds, 2);
    assert_int_equal(f->info.verified_ms, -1);
    assert_int_equal(hear_right(f, RANGE_FUNCTIONS, 10)->rounds, 2);
    assert_int_equal(hear_right(f, RANGE_FUNCTIONS, 12)->rounds, 2); /* another master counts otherwise */
    assert_int_equal(hear_right(f, RANGE_FUNCTIONS, 13)->rounds, 3);
}

static void test_what_is_not_compared(void **state)
{
    struct fixture *f = *state;
    struct verify_check check = right(f, RANGE_KEYS, 1);
    f->room.settings.replication.replica_read_only = false;
    assert_string_equal(hear(f, &check)->state, "writable");
    f->room.settings.replication.replica_read_only = true;
    f->room.settings.memory.replica_ignore_maxmemory = false;
    assert_string_equal(hear(f, &check)->state, "evicting");
    f->room.settings.memory.replica_ignore_maxmemory = true;
    check.fingerprint++;
    check.digest.low++;
    assert_string_equal(hear(f, &check)->state, "other-secret");
    assert_int_equal(f->info.skipped, 3);
    assert_int_equal(f->info.checks + f->info.mismatches, 0);
    verify_replica_on_ping(f->vr, BYTES_LIT("lockstep-check:1 nonsense"));
    verify_replica_describe(f->vr, &f->info);
    assert_string_equal(f->info.state, "malformed");
    verify_replica_on_ping(f->vr, BYTES_LIT("hello"));
    verify_replica_on_ping(f->vr, BYTES_LIT(""));
    verify_replica_describe(f->vr, &f->info);
    assert_int_equal(f->info.skipped, 4);
}

static void test_a_skipped_check_spoils_the_round(void **state)
{
    struct fixture *f = *state;
    hear_right(f, RANGE_FUNCTIONS, 1);
    f->room.settings.replication.replica_read_only = false;
    hear_right(f, RANGE_KEYS, 1);
    f->room.settings.replication.replica_read_only = true;
    assert_int_equal(hear_right(f, RANGE_FUNCTIONS, 2)->rounds, 0);
    assert_int_equal(hear_right(f, RANGE_FUNCTIONS, 3)->rounds, 1);
}

static void test_ranges_that_are_not_here(void **state)
{
    struct fixture *f = *state;
    struct verify_check check = right(f, RANGE_FUNCTIONS, 1);
    check.range = (struct range){.kind = RANGE_KEYS, .db = 9999, .last_db = 9999};
    assert_int_equal(hear(f, &check)->mismatches, 0); /* nothing on either side */
    check.range = (struct range){.kind = RANGE_ELEMENTS, .db = 9999, .to = 5, .key = BYTES_LIT("k")};
    check.count = 6;
    assert_int_equal(hear(f, &check)->mismatches, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_equal_data),
        TEST(test_a_difference),
        TEST(test_the_log_gets_one_line_a_second),
        TEST(test_rounds),
        TEST(test_what_is_not_compared),
        TEST(test_a_skipped_check_spoils_the_round),
        TEST(test_ranges_that_are_not_here),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
