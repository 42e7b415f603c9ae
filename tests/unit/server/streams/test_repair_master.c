/* The units that a master sends for a range that a replica asks for, and the
 * requests that it refuses. */
#include "server/streams/repair_master.h"

#include <inttypes.h>

#include "server/streams/repair_text.h"
#include "storage/list.h"
#include "storage/set.h"
#include "tests/unit/server/core/core_fixture.h"

struct fixture {
    struct core_fixture room; /* first: core_fixture.h's functions take it */
    struct repair_master *rm;
    struct db *db;
};

static int setup(void **state)
{
    struct fixture *f = mem_calloc(sizeof(*f));
    core_fixture_init(&f->room, "replica-verify yes\n");
    f->rm = repair_master_new(&f->room.core);
    f->db = keyspace_db(f->room.core.keyspace, 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    repair_master_free(f->rm);
    core_fixture_release(&f->room);
    mem_free(f);
    return 0;
}

static void put(struct fixture *f, const char *name, const char *value)
{
    keyspace_put_string(f->db, keyref(f->db, bytes_str(name)), bytes_str(value), 0);
}

static void ask_from(struct fixture *f, const void *from, const struct range *range, uint64_t fingerprint)
{
    struct bytes_buf text = {0};
    repair_range_format(fingerprint, range, &text);
    repair_master_asked(f->rm, from, bytes_buf_view(&text));
    bytes_buf_release(&text);
}

static void ask(struct fixture *f, const struct range *range, uint64_t fingerprint)
{
    ask_from(f, NULL, range, fingerprint);
}

static void ask_checked(struct fixture *f, const struct range *range)
{
    repair_master_note_check(f->rm, range);
    ask(f, range, keyspace_fingerprint(f->room.core.keyspace));
}

/* Requests are served by a timer of real time. */
static void wait_served(struct fixture *f)
{
    for (int i = 0; i < 20; i++) {
        (void)usleep(2000);
        loop_poll_turn(f->room.core.loop);
    }
}

static char *take_words(struct fixture *f)
{
    struct bytes_buf raw = {0}, words = {0};
    wait_served(f);
    core_stream_take(&f->room, &raw);
    core_words_of(bytes_buf_view(&raw), &words);
    for (size_t at = 0; at < words.len; at++)
        if (words.data[at] == 0) words.data[at] = '?'; /* in payloads of RESTORE */
    bytes_buf_append(&words, "", 1);
    bytes_buf_release(&raw);
    return words.data;
}

/* The unit is these pieces in this order; between them may be anything. */
static void assert_pieces(char *words, const char *const *pieces)
{
    const char *at = words;
    for (; *pieces != NULL; pieces++) {
        const char *found = strstr(at, *pieces);
        if (found == NULL) fail_msg("no '%s' in: %s", *pieces, at);
        at = found + strlen(*pieces);
    }
    mem_free(words);
}
#define ASSERT_PIECES(f, ...) assert_pieces(take_words(f), (const char *const[]){__VA_ARGS__, NULL})

static struct repair_master_info info_of(const struct fixture *f)
{
    struct repair_master_info info;
    repair_master_describe(f->rm, &info);
    return info;
}

static void test_keys(void **state)
{
    struct fixture *f = *state;
    struct range range = {.kind = RANGE_KEYS, .last_db = 3};
    put(f, "a", "1");
    keyspace_set_expiry(f->db, keyref(f->db, BYTES_LIT("a")),
                        keyspace_find_for_write(f->db, keyref(f->db, BYTES_LIT("a"))), 4102444800000);
    ask_checked(f, &range);
    ASSERT_PIECES(f, "MULTI|", "PING lockstep-drop:1 ", " keys 0 3 0 0|RESTORE a 4102444800000 ", " REPLACE ABSTTL|",
                  "PING lockstep-check:1 ", " 0 1 ", " keys 0 3 0 0|EXEC");
    assert_int_equal(info_of(f).sent, 1);
}

static void test_big_values_are_sent_by_part(void **state)
{
    struct fixture *f = *state;
    struct list *l = list_new(f->room.core.keyspace->env);
    struct range keys = {.kind = RANGE_KEYS};
    struct range part = {.kind = RANGE_ELEMENTS, .from = 5, .to = 6, .key = BYTES_LIT("l")};
    for (int i = 0; i < 1500; i++) {
        char text[16];
        list_push(l, LIST_TAIL, bytes_view(text, num_format_i64(text, i)));
    }
    keyspace_put_value(f->db, keyref(f->db, BYTES_LIT("l")), TYPE_LIST, l, 0);
    ask_checked(f, &keys);
    ASSERT_PIECES(f, "PING lockstep-drop:1 ", "PING lockstep-big:1 ", " 0 1 1500 -1 l|PING lockstep-check:1 ");
    ask_checked(f, &part);
    ASSERT_PIECES(f, "MULTI|", "PING lockstep-big:1 ",
                  " 1500 -1 l|LSET l 5 5|LSET l 6 6|PERSIST l|PING lockstep-check:1 ", "|EXEC");
}

static void test_members(void **state)
{
    struct fixture *f = *state;
    struct set *s = set_new(f->room.core.keyspace->env, BYTES_LIT("1"), 1);
    struct range range = {.kind = RANGE_MEMBERS, .bits = 1, .part = 0, .key = BYTES_LIT("s")};
    size_t in_part = 0;
    for (int i = 0; i < 2500; i++) {
        char text[16];
        struct bytes_view member = bytes_view(text, num_format_i64(text, i));
        set_add(s, member);
        in_part += value_hash(f->room.core.keyspace->env, member) % 2 == 0;
    }
    keyspace_put_value(f->db, keyref(f->db, BYTES_LIT("s")), TYPE_SET, s, 0);
    ask_checked(f, &range);
    char *words = take_words(f);
    size_t blanks = 0, commands = 0;
    for (const char *p = words; (p = strstr(p, "|SADD s ")) != NULL; p++) {
        commands++;
        for (const char *q = p + 7; *q != '|'; q++) blanks += *q == ' ';
    }
    assert_int_equal(commands, 2); /* a thousand arguments at once */
    assert_int_equal(blanks, in_part);
    assert_pieces(words, (const char *const[]){"MULTI|", "PING lockstep-drop:1 ", " members 0 1 0 s|", NULL});
}

static void test_requests_that_are_refused(void **state)
{
    struct fixture *f = *state;
    struct range checked = {.kind = RANGE_KEYS}, other = {.kind = RANGE_KEYS, .bits = 1};
    uint64_t fingerprint = keyspace_fingerprint(f->room.core.keyspace);
    ask(f, &checked, fingerprint); /* nothing was checked yet */
    repair_master_note_check(f->rm, &checked);
    ask(f, &other, fingerprint);
    ask(f, &checked, fingerprint + 1);
    repair_master_asked(f->rm, NULL, BYTES_LIT("nonsense"));
    f->room.settings.replication.replica_verify = false;
    ask(f, &checked, fingerprint);
    f->room.settings.replication.replica_verify = true;
    wait_served(f);
    assert_stream(&f->room, "");
    assert_int_equal(info_of(f).refused, 5);
    for (int i = 0; i < 10; i++) ask(f, &checked, fingerprint);
    wait_served(f);
    assert_int_equal(info_of(f).sent, 1); /* the same request waits once */
}

static void test_as_many_as_wait(void **state)
{
    struct fixture *f = *state;
    static const char replicas[10];
    for (uint64_t part = 0; part < 100; part++) {
        struct range range = {.kind = RANGE_KEYS, .bits = 7, .part = part};
        repair_master_note_check(f->rm, &range);
        ask_from(f, &replicas[part / 10], &range, keyspace_fingerprint(f->room.core.keyspace));
        if (part == 9) assert_int_equal(info_of(f).refused, 2); /* one replica leaves room for others */
    }
    assert_int_equal(info_of(f).refused, 100 - 64);
}

static void test_replicas_take_turns(void **state)
{
    struct fixture *f = *state;
    static const char replicas[2];
    uint64_t fingerprint = keyspace_fingerprint(f->room.core.keyspace);
    for (uint64_t part = 0; part < 4; part++) {
        struct range range = {.kind = RANGE_KEYS, .bits = 2, .part = part};
        repair_master_note_check(f->rm, &range);
        ask_from(f, &replicas[part == 3], &range, fingerprint);
    }
    for (int i = 0; i < 10; i++) wait_served(f);
    ASSERT_PIECES(f, " keys 0 0 2 0|EXEC", " keys 0 0 2 3|EXEC", " keys 0 0 2 1|EXEC", " keys 0 0 2 2|EXEC");
}

static void test_a_range_that_is_too_big(void **state)
{
    struct fixture *f = *state;
    struct range range = {.kind = RANGE_BYTES, .to = UINT64_MAX, .key = BYTES_LIT("k")};
    char *big = mem_calloc(REPAIR_BYTES_MAX + 1);
    keyspace_put_string(f->db, keyref(f->db, range.key), bytes_view(big, REPAIR_BYTES_MAX + 1), 0);
    mem_free(big);
    ask_checked(f, &range);
    wait_served(f);
    assert_stream(&f->room, "");
    assert_int_equal(info_of(f).too_big, 1);
    assert_int_equal(info_of(f).sent, 0);
}

static void test_a_pause_holds_it_back(void **state)
{
    struct fixture *f = *state;
    pause_start(&f->room.core, PAUSE_BY_CLIENT, PAUSE_WRITES, f->room.core.clock.now_ms + 100000);
    ask_checked(f, &(struct range){.kind = RANGE_FUNCTIONS});
    wait_served(f);
    assert_stream(&f->room, "");
    pause_end(&f->room.core, PAUSE_BY_CLIENT);
    (void)usleep(100000);
    ASSERT_PIECES(f, "MULTI|", "FUNCTION FLUSH SYNC|PING lockstep-check:1 ", " 0 0 ", " functions|EXEC");
}

static void test_a_replica_sends_nothing(void **state)
{
    struct fixture *f = *state;
    core_follow(&f->room);
    ask_checked(f, &(struct range){.kind = RANGE_KEYS});
    wait_served(f);
    assert_stream(&f->room, "");
    assert_int_equal(info_of(f).sent, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_keys),
        TEST(test_big_values_are_sent_by_part),
        TEST(test_members),
        TEST(test_requests_that_are_refused),
        TEST(test_as_many_as_wait),
        TEST(test_replicas_take_turns),
        TEST(test_a_range_that_is_too_big),
        TEST(test_a_pause_holds_it_back),
        TEST(test_a_replica_sends_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
