/* Fields that are past their time: on a master, on a replica, and what the stream gets. */
#include "server/commands/hash_fields.h"

#include "tests/unit/server/commands/ctx_fixture.h"

static void fill(struct fixture *f)
{
    CHECK(f, "HSET h a 1 b 2 c 3", ":3");
    CHECK(f, "HPEXPIRE h 100 FIELDS 2 a b", "[:1 :1]");
    (void)fixture_replicated(f);
    later_ms(f, 101);
}

static void test_a_read_deletes_the_fields_that_it_names(void **state)
{
    struct fixture *f = *state;
    struct by_hand h;
    const struct hash *value;
    struct number_text buf;
    struct bytes_view text;
    fill(f);
    by_hand_init(f, &h, "hmget h a c");
    assert_int_equal(fields_read(&h.ctx, 2, 2, &value), LOOKUP_FOUND);
    assert_false(field_get(&h.ctx, value, BYTES_LIT("a"), &buf, &text));
    assert_false(field_get(&h.ctx, value, BYTES_LIT("b"), &buf, &text)); /* hidden, though it is still there */
    assert_true(field_get(&h.ctx, value, BYTES_LIT("c"), &buf, &text));
    assert_int_equal(hash_count(value), 2);
    by_hand_release(f, &h);
    CHECK_STREAM(f, "HDEL h a");
}

static void test_the_last_fields_take_the_key_away(void **state)
{
    struct fixture *f = *state;
    struct by_hand h;
    struct hash *value;
    fill(f);
    CHECK(f, "HDEL h c", ":1");
    (void)fixture_replicated(f);
    by_hand_init(f, &h, "hset h a b");
    assert_int_equal(fields_write(&h.ctx, 2, 2, &value), LOOKUP_MISSING);
    assert_null(value);
    by_hand_release(f, &h);
    CHECK_STREAM(f, "HDEL h a b");
    assert_int_equal(keyspace_count(f->server->core.keyspace), 0);
}

static void test_no_names_delete_nothing(void **state)
{
    struct fixture *f = *state;
    struct by_hand h;
    const struct hash *value;
    fill(f);
    by_hand_init(f, &h, "hlen h");
    assert_int_equal(fields_read(&h.ctx, 2, 0, &value), LOOKUP_FOUND);
    assert_int_equal(hash_count(value), 3);
    fields_expire_some(&h.ctx);
    assert_int_equal(hash_count(value), 1);
    by_hand_release(f, &h);
    CHECK(f, "HGETALL h", "[c 3]");
}

static void test_a_replica_hides_and_keeps(void **state)
{
    struct fixture *f = *state;
    struct by_hand h;
    const struct hash *value;
    struct number_text buf;
    struct bytes_view text;
    fill(f);
    CHECK(f, "REPLICAOF 127.0.0.1 1", "+OK");
    by_hand_init(f, &h, "hmget h a c");
    assert_int_equal(fields_read(&h.ctx, 2, 2, &value), LOOKUP_FOUND);
    assert_false(field_get(&h.ctx, value, BYTES_LIT("a"), &buf, &text));
    fields_expire_some(&h.ctx);
    assert_int_equal(hash_count(value), 3);
    by_hand_release(f, &h);
}

static void test_other_types_and_no_key(void **state)
{
    struct fixture *f = *state;
    struct by_hand h;
    const struct hash *value;
    struct hash *writable;
    CHECK(f, "SET s v", "+OK");
    by_hand_init(f, &h, "hget s a");
    assert_int_equal(fields_read(&h.ctx, 2, 1, &value), LOOKUP_WRONG_TYPE);
    assert_null(value);
    assert_int_equal(fields_write(&h.ctx, 2, 1, &writable), LOOKUP_WRONG_TYPE);
    fields_expire_some(&h.ctx); /* of no hash: nothing happens */
    by_hand_release(f, &h);
    by_hand_answer(f);
    by_hand_init(f, &h, "hget none a");
    assert_int_equal(fields_read(&h.ctx, 2, 1, &value), LOOKUP_MISSING);
    fields_expire_some(&h.ctx);
    CHECK_ANSWER(f, "");
    by_hand_release(f, &h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_read_deletes_the_fields_that_it_names),
        TEST(test_the_last_fields_take_the_key_away),
        TEST(test_no_names_delete_nothing),
        TEST(test_a_replica_hides_and_keeps),
        TEST(test_other_types_and_no_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
