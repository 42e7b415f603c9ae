/* What a replica does with the pieces of a unit that mends a range: what it
 * empties, and what it keeps. */
#include "server/streams/repair_replica.h"

#include "server/streams/repair_text.h"
#include "storage/hash.h"
#include "storage/list.h"
#include "storage/set.h"
#include "tests/unit/server/core/core_fixture.h"

struct fixture {
    struct core_fixture room; /* first: core_fixture.h's functions take it */
    struct repair_replica *rr;
    struct db *db;
};

static int setup(void **state)
{
    struct fixture *f = mem_calloc(sizeof(*f));
    core_fixture_init(&f->room, "replica-verify-repair yes\n");
    f->rr = repair_replica_new(&f->room.core);
    f->db = keyspace_db(f->room.core.keyspace, 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    repair_replica_free(f->rr);
    core_fixture_release(&f->room);
    mem_free(f);
    return 0;
}

static struct keyref key_of(struct fixture *f, const char *name)
{
    return keyref(f->db, bytes_str(name));
}
static const struct entry *find(struct fixture *f, const char *name)
{
    return keyspace_peek(f->db, key_of(f, name));
}

static void put_set(struct fixture *f, const char *name, int members)
{
    struct set *s = set_new(f->room.core.keyspace->env, BYTES_LIT("1"), 1);
    for (int i = 0; i < members; i++) {
        char text[16];
        set_add(s, bytes_view(text, num_format_i64(text, i)));
    }
    keyspace_put_value(f->db, key_of(f, name), TYPE_SET, s, 0);
}

static void hear_text(struct fixture *f, const char *start, const struct bytes_buf *text)
{
    struct bytes_buf argument = {0};
    bytes_buf_append_view(&argument, bytes_str(start));
    bytes_buf_append_view(&argument, bytes_buf_view(text));
    repair_replica_on_ping(f->rr, bytes_buf_view(&argument));
    bytes_buf_release(&argument);
}

static void drop(struct fixture *f, struct range range, uint64_t fingerprint)
{
    struct bytes_buf text = {0};
    repair_range_format(fingerprint, &range, &text);
    hear_text(f, REPAIR_DROP, &text);
    bytes_buf_release(&text);
}
static uint64_t fingerprint_of(struct fixture *f)
{
    return keyspace_fingerprint(f->room.core.keyspace);
}

static void hear_big(struct fixture *f, enum value_type type, uint64_t elements, int64_t expiry_ms, const char *name)
{
    struct bytes_buf text = {0};
    struct repair_big big = {.fingerprint = fingerprint_of(f),
                             .type = type,
                             .elements = elements,
                             .expiry_ms = expiry_ms,
                             .key = bytes_str(name)};
    repair_big_format(&big, &text);
    hear_text(f, REPAIR_BIG, &text);
    bytes_buf_release(&text);
}

static void test_a_range_of_keys_is_emptied(void **state)
{
    struct fixture *f = *state;
    keyspace_put_int(f->db, key_of(f, "a"), 1, 0);
    keyspace_put_int(keyspace_db(f->room.core.keyspace, 5), key_of(f, "other"), 1, 0);
    put_set(f, "big", 2000);
    drop(f, (struct range){.kind = RANGE_KEYS, .last_db = 3}, fingerprint_of(f));
    assert_null(find(f, "a"));
    assert_non_null(find(f, "big")); /* its parts are mended one by one */
    assert_int_equal(keyspace_count(f->room.core.keyspace), 2);
    hear_big(f, TYPE_SET, 2000, 4102444800000, "big");
    repair_replica_finish(f->rr);
    assert_int_equal(entry_expiry(find(f, "big")), 4102444800000);
}

static void test_a_big_value_that_the_master_lacks_goes(void **state)
{
    struct fixture *f = *state;
    put_set(f, "big", 2000), put_set(f, "big2", 2000);
    drop(f, (struct range){.kind = RANGE_KEYS}, fingerprint_of(f));
    hear_big(f, TYPE_SET, 2000, -1, "big2");
    repair_replica_finish(f->rr);
    assert_null(find(f, "big"));
    assert_non_null(find(f, "big2"));
}

static void test_only_keys_of_the_part(void **state)
{
    struct fixture *f = *state;
    size_t outside = 0;
    for (int i = 0; i < 1000; i++) {
        char name[16];
        struct keyref key = keyref(f->db, bytes_view(name, num_format_i64(name, i)));
        keyspace_put_int(f->db, key, i, 0);
        outside += key.hash % 4 != 3;
    }
    drop(f, (struct range){.kind = RANGE_KEYS, .bits = 2, .part = 3}, fingerprint_of(f));
    assert_int_equal(db_count(f->db), outside);
}

static void test_nothing_happens_unless_it_is_meant(void **state)
{
    struct fixture *f = *state;
    keyspace_put_int(f->db, key_of(f, "a"), 1, 0);
    drop(f, (struct range){.kind = RANGE_KEYS}, fingerprint_of(f) + 1); /* its hashes mean something else */
    repair_replica_on_ping(f->rr, BYTES_LIT(REPAIR_DROP "nonsense"));
    repair_replica_on_ping(f->rr, BYTES_LIT(REPAIR_BIG "nonsense"));
    repair_replica_on_ping(f->rr, BYTES_LIT("hello"));
    f->room.settings.replication.replica_verify_repair = false;
    drop(f, (struct range){.kind = RANGE_KEYS}, fingerprint_of(f));
    hear_big(f, TYPE_LIST, 5, -1, "a");
    repair_replica_finish(f->rr);
    assert_int_equal(entry_int(find(f, "a")), 1);
}

static void test_members_of_the_part(void **state)
{
    struct fixture *f = *state;
    put_set(f, "s", 2000);
    const struct set *s = entry_pointer(find(f, "s"));
    drop(f, (struct range){.kind = RANGE_MEMBERS, .bits = 1, .part = 1, .key = BYTES_LIT("s")}, fingerprint_of(f));
    assert_in_range(set_count(s), 800, 1200);
    struct set_iter it;
    struct bytes_view member;
    for (set_iter_init(&it, s); set_iter_next(&it, &member);)
        assert_int_equal(value_hash(f->room.core.keyspace->env, member) % 2, 0);
    drop(f, (struct range){.kind = RANGE_MEMBERS, .key = BYTES_LIT("s")}, fingerprint_of(f));
    assert_null(find(f, "s")); /* an empty set does not exist */
    drop(f, (struct range){.kind = RANGE_MEMBERS, .key = BYTES_LIT("no such key")}, fingerprint_of(f));
    drop(f, (struct range){.kind = RANGE_MEMBERS, .db = 99, .key = BYTES_LIT("s")}, fingerprint_of(f));
}

static void test_fields_that_expire(void **state)
{
    struct fixture *f = *state;
    struct hash *h = hash_new(f->room.core.keyspace->env);
    hash_set(h, BYTES_LIT("f"), BYTES_LIT("v"));
    struct entry *e = keyspace_put_value(f->db, key_of(f, "h"), TYPE_HASH, h, 0);
    keyspace_set_field_time(f->db, e, BYTES_LIT("f"), 4102444800000);
    drop(f, (struct range){.kind = RANGE_MEMBERS, .key = BYTES_LIT("h")}, fingerprint_of(f));
    assert_null(find(f, "h"));
    keyspace_check(f->room.core.keyspace);
}

static void test_lengths_of_lists_and_strings(void **state)
{
    struct fixture *f = *state;
    hear_big(f, TYPE_LIST, 3000, -1, "l"); /* made, to be filled by LSET */
    assert_int_equal(list_count(entry_pointer(find(f, "l"))), 3000);
    hear_big(f, TYPE_LIST, 5, 4102444800000, "l");
    assert_int_equal(list_count(entry_pointer(find(f, "l"))), 5);
    assert_int_equal(entry_expiry(find(f, "l")), 4102444800000);
    hear_big(f, TYPE_STRING, 100000, -1, "l"); /* of another type */
    assert_int_equal(entry_string_len(find(f, "l")), 100000);
    assert_int_equal(entry_expiry(find(f, "l")), -1);
    hear_big(f, TYPE_STRING, 70000, -1, "l");
    assert_int_equal(entry_string_len(find(f, "l")), 70000);
    hear_big(f, TYPE_SET, 70000, -1, "l"); /* its members come with ranges of their own */
    assert_null(find(f, "l"));
    hear_big(f, TYPE_LIST, UINT64_MAX, -1, "l"); /* no list has so many */
    hear_big(f, TYPE_STRING, UINT64_MAX, -1, "l");
    assert_null(find(f, "l"));
    keyspace_check(f->room.core.keyspace);
}

static void test_without_a_link_nothing_is_asked(void **state)
{
    struct fixture *f = *state;
    struct repair_replica_info info;
    for (uint64_t part = 0; part < 200; part++)
        repair_replica_wanted(f->rr, &(struct range){.kind = RANGE_KEYS, .bits = 8, .part = part});
    repair_replica_check_time(f->rr);
    repair_replica_judge(f->rr, &(struct range){.kind = RANGE_KEYS, .bits = 8, .part = 3}, true);
    repair_replica_judge(f->rr, &(struct range){.kind = RANGE_KEYS, .bits = 8, .part = 199}, true);
    repair_replica_describe(f->rr, &info);
    assert_int_equal(info.asked, 0);
    assert_int_equal(info.mended, 1); /* by what another replica has asked for;
                                       the second was one too many */
    assert_int_equal(core_logged(&f->room, "was mended in the range 'keys 0 0 8 3'"), 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_a_range_of_keys_is_emptied),   TEST(test_a_big_value_that_the_master_lacks_goes),
        TEST(test_only_keys_of_the_part),        TEST(test_nothing_happens_unless_it_is_meant),
        TEST(test_members_of_the_part),          TEST(test_fields_that_expire),
        TEST(test_lengths_of_lists_and_strings), TEST(test_without_a_link_nothing_is_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
