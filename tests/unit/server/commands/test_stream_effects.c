/* What replicas are told of a group in use: which entries share a command, and in what order. */
#include "server/commands/stream_effects.h"

#include "tests/unit/server/commands/ctx_fixture.h"

static void fill(struct fixture *f)
{
    char command[64], id[16];
    CHECK(f, "XGROUP CREATE s g 0 MKSTREAM", "+OK");
    for (int i = 1; i <= 4; i++) {
        snprintf(command, sizeof(command), "XADD s %d-0 a %d", i, i);
        snprintf(id, sizeof(id), "%d-0", i);
        CHECK(f, command, id);
    }
    (void)run(f, "XREADGROUP GROUP g c STREAMS s >");
    (void)fixture_replicated(f);
}

static void begin(struct fixture *f, struct by_hand *h, struct group_use *use)
{
    by_hand_init(f, h, "xclaim s g");
    assert_true(group_use_begin(&h->ctx, 1, 2, "", use));
}

static void end(struct fixture *f, struct by_hand *h, struct group_use *use)
{
    group_use_end(use);
    by_hand_release(f, h);
}

static void pending(struct group_use *use, const struct stream_consumer *c, uint64_t id, int64_t ms, uint64_t count)
{
    struct stream_pending p = {.consumer = (struct stream_consumer *)c, .delivery_ms = ms, .delivery_count = count};
    group_use_pending(use, (struct stream_id){id, 0}, &p);
}

static void test_entries_that_agree_share_a_command(void **state)
{
    struct fixture *f = *state;
    struct by_hand h;
    struct group_use use;
    fill(f);
    begin(f, &h, &use);
    const struct stream_consumer *c = group_use_consumer(&use, BYTES_LIT("c"));
    pending(&use, c, 1, 1000, 1);
    pending(&use, c, 2, 1000, 1);
    pending(&use, c, 3, 2000, 1); /* another time */
    pending(&use, c, 4, 2000, 9); /* another count */
    end(f, &h, &use);
    CHECK_STREAM(f, "MULTI|XCLAIM s g c 0 1-0 2-0 TIME 1000 RETRYCOUNT 1 FORCE JUSTID LASTID 4-0|"
                    "XCLAIM s g c 0 3-0 TIME 2000 RETRYCOUNT 1 FORCE JUSTID LASTID 4-0|"
                    "XCLAIM s g c 0 4-0 TIME 2000 RETRYCOUNT 9 FORCE JUSTID LASTID 4-0|EXEC");
}

/* A consumer that an XCLAIM names comes to be by it; one that nothing names is told apart. */
static void test_new_consumers(void **state)
{
    struct fixture *f = *state;
    struct by_hand h;
    struct group_use use;
    fill(f);
    begin(f, &h, &use);
    const struct stream_consumer *d = group_use_consumer(&use, BYTES_LIT("d"));
    pending(&use, d, 1, 1000, 1);
    end(f, &h, &use);
    const char *stream = fixture_replicated(f);
    assert_non_null(strstr(stream, "XCLAIM s g d 0 1-0 "));
    begin(f, &h, &use);
    (void)group_use_consumer(&use, BYTES_LIT("e"));
    end(f, &h, &use);
    CHECK_STREAM(f, "XGROUP CREATECONSUMER s g e");
    begin(f, &h, &use);
    (void)group_use_consumer(&use, BYTES_LIT("e")); /* it is there now */
    end(f, &h, &use);
    CHECK_STREAM(f, "");
}

static void test_entries_that_are_gone(void **state)
{
    struct fixture *f = *state;
    struct by_hand h;
    struct group_use use;
    fill(f);
    CHECK(f, "XDEL s 2-0 3-0", ":2");
    (void)fixture_replicated(f);
    begin(f, &h, &use);
    group_use_drop(&use, (struct stream_id){2, 0});
    group_use_drop(&use, (struct stream_id){3, 0});
    assert_int_equal(use.changes, 2);
    end(f, &h, &use);
    CHECK_STREAM(f, "XACK s g 2-0 3-0");
    CHECK(f, "XPENDING s g", "[:2 1-0 4-0 [[c 2]]]");
}

static void test_the_position(void **state)
{
    struct fixture *f = *state;
    struct by_hand h;
    struct group_use use;
    fill(f);
    begin(f, &h, &use);
    stream_group_set_position(use.group, (struct stream_id){3, 0}, 3);
    group_use_moved(&use);
    end(f, &h, &use);
    CHECK_STREAM(f, "XGROUP SETID s g 3-0 ENTRIESREAD 3");
}

/* Servers that read files of version 9 know no ENTRIESREAD. */
static void test_the_position_for_older_servers(void **state)
{
    struct fixture *f = *state;
    struct by_hand h;
    struct group_use use;
    fill(f);
    f->settings.persistence.rdb_version = 9;
    begin(f, &h, &use);
    group_use_moved(&use);
    end(f, &h, &use);
    CHECK_STREAM(f, "XGROUP SETID s g 4-0");
}

static void test_groups_that_are_not_there(void **state)
{
    struct fixture *f = *state;
    struct by_hand h;
    struct group_use use;
    fill(f);
    CHECK(f, "SET k v", "+OK");
    by_hand_init(f, &h, "xclaim k g");
    assert_false(group_use_begin(&h.ctx, 1, 2, "", &use));
    CHECK_ANSWER(f, "-WRONGTYPE Operation against a key holding the wrong kind of value");
    by_hand_release(f, &h);
    by_hand_init(f, &h, "xclaim s none");
    assert_false(group_use_begin(&h.ctx, 1, 2, " in XREADGROUP", &use));
    CHECK_ANSWER(f, "-NOGROUP No such key 's' or consumer group 'none' in XREADGROUP");
    by_hand_release(f, &h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_entries_that_agree_share_a_command),
        TEST(test_new_consumers),
        TEST(test_entries_that_are_gone),
        TEST(test_the_position),
        TEST(test_the_position_for_older_servers),
        TEST(test_groups_that_are_not_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
