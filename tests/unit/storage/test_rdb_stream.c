#include "storage/rdb_stream.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "storage/base/memory.h"
#include "storage/rdb_reader.h"
#include "tests/unit/storage/keyspace_fill.h"
#include "tests/unit/storage/rdb_bytes.h"
#include "tests/unit/storage/rdb_render.h"
#include "storage/rdb_writer.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* ---- reading ---- */

struct fixture {
    struct encoding_limits limits;
    struct rng rng;
    struct value_env env;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    f->limits = encoding_limits_default();
    rng_seed(&f->rng, 1);
    f->env = (struct value_env){.key_seed = 42, .element_seed = 42, .limits = &f->limits, .rng = &f->rng};
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    free(*state);
    return 0;
}

static int on_key(void *ctx, const struct rdb_key *key)
{
    render_value(ctx, key->type, key->value, key->string);
    check_value(key->type, key->value);
    if (key->value != NULL) value_free(key->type, key->value);
    return 0;
}

/* The value as text, or "!" and the error. */
static char *read_file(struct fixture *f, struct bytes_view file, size_t chunk)
{
    struct bytes_buf text = {0};
    struct rdb_callbacks callbacks = {.ctx = &text, .on_key = on_key};
    struct rdb_reader_options options = {.env = &f->env};
    struct rdb_reader *r = rdb_reader_new(&options, &callbacks);
    enum rdb_status status = RDB_MORE;
    for (size_t pos = 0, used; status == RDB_MORE && pos < file.len; pos += used) {
        size_t n = file.len - pos < chunk ? file.len - pos : chunk;
        char *piece = malloc(n); /* an allocation of its own, so that the sanitizer sees reads behind it or after it
                                  * is freed */
        memcpy(piece, file.data + pos, n);
        status = rdb_reader_feed(r, bytes_view(piece, n), &used);
        free(piece);
    }
    if (status == RDB_ERROR) text.len = 0, bytes_buf_printf(&text, "!%s", rdb_reader_error(r));
    if (status == RDB_MORE) text.len = 0, bytes_buf_printf(&text, "more");
    rdb_reader_free(r);
    return take_text(&text);
}

/* ---- pieces of a file ---- */

struct id {
    uint64_t ms, seq;
};

static void put_be64(struct bytes_buf *b, uint64_t value)
{
    for (int shift = 56; shift >= 0; shift -= 8) rb_byte(b, value >> shift & 255);
}

static void put_raw_id(struct bytes_buf *b, struct id id)
{
    put_be64(b, id.ms);
    put_be64(b, id.seq);
}

static void put_id(struct bytes_buf *b, struct id id)
{
    rb_len(b, id.ms);
    rb_len(b, id.seq);
}

static void put_node_id(struct bytes_buf *b, struct id id)
{
    rb_len(b, 16);
    put_raw_id(b, id);
}

#define NODE(b, ms, seq, ...) (put_node_id(b, (struct id){ms, seq}), LP_PUT(b, __VA_ARGS__))
/* A master entry with the field f, and entries of it. */
#define MASTER(count, deleted)  count, deleted, "1", "f", "0"
#define ENTRY(ms, seq, value)   "2", ms, seq, value, "4"
#define DELETED(ms, seq, value) "3", ms, seq, value, "4"

static void put_totals(struct bytes_buf *b, int form, uint64_t count, struct id last, struct id deleted, uint64_t added)
{
    rb_len(b, count);
    put_id(b, last);
    if (form == 1) return;
    put_id(b, (struct id){77, 77}); /* a first id that is wrong */
    put_id(b, deleted);
    rb_len(b, added);
}

static void put_group(struct bytes_buf *b, int form, const char *name, struct id last, int64_t read)
{
    rb_str(b, name);
    put_id(b, last);
    if (form > 1) rb_len(b, (uint64_t)read);
}

static void put_pending(struct bytes_buf *b, struct id id, int64_t ms, uint64_t deliveries)
{
    put_raw_id(b, id);
    rb_le(b, (uint64_t)ms, 8);
    rb_len(b, deliveries);
}

static void put_consumer(struct bytes_buf *b, int form, const char *name, int64_t seen, int64_t active, uint64_t count)
{
    rb_str(b, name);
    rb_le(b, (uint64_t)seen, 8);
    if (form > 2) rb_le(b, (uint64_t)active, 8);
    rb_len(b, count);
}

/* ---- what is good ---- */

struct sample {
    const char *name;
    void (*build)(struct bytes_buf *b, int form);
    const char *expect[3]; /* by form: the text, or "!" and a part of the error; NULL: as for the previous form */
};

static void build_nothing(struct bytes_buf *b, int form)
{
    rb_len(b, 0);
    put_totals(b, form, 0, (struct id){0, 0}, (struct id){0, 0}, 0);
    rb_len(b, 0);
}

static void build_nodes(struct bytes_buf *b, int form)
{
    rb_len(b, 2);
    NODE(b, 5, 1, MASTER("2", "1"), ENTRY("0", "0", "a"), DELETED("0", "1", "b"), ENTRY("3", "-1", "c"));
    NODE(b, 9, 0, MASTER("2", "0"), "0", "0", "0", "2", "x", "1", "", "-7", "8", ENTRY("1", "0", "d"));
    put_totals(b, form, 4, (struct id){20, 0}, (struct id){5, 2}, 100);
    rb_len(b, 0);
}

/* A later id behind a deleted, greater one; and a node whose first entry is deleted. */
static void build_deleted(struct bytes_buf *b, int form)
{
    rb_len(b, 1);
    NODE(b, 1, 0, MASTER("1", "2"), DELETED("0", "0", "a"), DELETED("90", "0", "b"), ENTRY("2", "0", "c"));
    put_totals(b, form, 1, (struct id){3, 0}, (struct id){91, 0}, 3);
    rb_len(b, 0);
}

static void build_groups(struct bytes_buf *b, int form)
{
    rb_len(b, 1);
    NODE(b, 1, 0, MASTER("2", "0"), ENTRY("0", "0", "a"), ENTRY("1", "0", "b"));
    put_totals(b, form, 2, (struct id){2, 0}, (struct id){0, 0}, 5);
    rb_len(b, 2);
    put_group(b, form, "workers", (struct id){2, 0}, 4);
    rb_len(b, 3);
    put_pending(b, (struct id){1, 0}, 1000, 1);
    put_pending(b, (struct id){1, 7}, -5, 300);
    put_pending(b, (struct id){2, 0}, 1001, 2);
    rb_len(b, 3);
    put_consumer(b, form, "bob", 500, 400, 1);
    put_raw_id(b, (struct id){1, 7});
    put_consumer(b, form, "alice", 600, -1, 2);
    put_raw_id(b, (struct id){2, 0}), put_raw_id(b, (struct id){1, 0});
    put_consumer(b, form, "idle", 7, 7, 0);
    put_group(b, form, "", (struct id){1, 0}, -1);
    rb_len(b, 0), rb_len(b, 0);
}

#define GROUPS  "stream[1-0(f:a) 2-0(f:b) 2-0 1-0 0-0 "
#define CLAIMED "1-7@0*300) idle@7/7()}]"

static const struct sample good[] = {
    {"nothing", build_nothing, {"stream[0-0 0-0 0-0 0]", NULL, NULL}},
    {"nodes",
     build_nodes,
     {"stream[5-1(f:a) 8-0(f:c) 9-0(x:1 :-7) 10-0(f:d) 20-0 5-1 0-0 4]",
      "stream[5-1(f:a) 8-0(f:c) 9-0(x:1 :-7) 10-0(f:d) 20-0 5-1 5-2 100]", NULL}},
    {"deleted", build_deleted, {"stream[3-0(f:c) 3-0 3-0 0-0 1]", "stream[3-0(f:c) 3-0 3-0 91-0 3]", NULL}},
    {"groups",
     build_groups,
     {GROUPS "2 { 1-0 1} {workers 2-0 2 alice@600/600(1-0@1000*1 2-0@1001*2) bob@500/500(" CLAIMED,
      GROUPS "5 { 1-0 -1} {workers 2-0 4 alice@600/600(1-0@1000*1 2-0@1001*2) bob@500/500(" CLAIMED,
      GROUPS "5 { 1-0 -1} {workers 2-0 4 alice@600/-1(1-0@1000*1 2-0@1001*2) bob@500/400(" CLAIMED}},
};

/* ---- what is bad ---- */

static void end_after(struct bytes_buf *b, int form, uint64_t count, struct id last)
{
    put_totals(b, form, count, last, (struct id){0, 0}, count);
    rb_len(b, 0);
}

#define NODE_SAMPLE(name, count, ...)                                                                                  \
    static void name(struct bytes_buf *b, int form)                                                                    \
    {                                                                                                                  \
        rb_len(b, 1);                                                                                                  \
        NODE(b, 1, 5, __VA_ARGS__);                                                                                    \
        end_after(b, form, count, (struct id){100, 0});                                                                \
    }

NODE_SAMPLE(build_no_master, 0, "0")
NODE_SAMPLE(build_word_for_count, 1, "one", "0", "1", "f", "0", ENTRY("0", "0", "a"))
NODE_SAMPLE(build_negative_deleted, 1, "1", "-1", "1", "f", "0", ENTRY("0", "0", "a"))
NODE_SAMPLE(build_more_fields_than_there_are, 1, "1", "0", "100", "f", "0", ENTRY("0", "0", "a"))
NODE_SAMPLE(build_negative_fields, 1, "1", "0", "-1", "f", "0", ENTRY("0", "0", "a"))
NODE_SAMPLE(build_master_without_end, 1, "1", "0", "1", "f", "1", ENTRY("0", "0", "a"))
NODE_SAMPLE(build_count_too_high, 2, MASTER("2", "0"), ENTRY("0", "0", "a"))
NODE_SAMPLE(build_deleted_too_high, 1, MASTER("1", "1"), ENTRY("0", "0", "a"))
NODE_SAMPLE(build_no_fields, 1, "1", "0", "0", "0", "2", "0", "0", "3")
NODE_SAMPLE(build_unknown_flag, 1, MASTER("1", "0"), "4", "0", "0", "1", "f", "a", "6")
NODE_SAMPLE(build_word_for_flags, 1, MASTER("1", "0"), "x", "0", "0", "a", "4")
NODE_SAMPLE(build_word_for_ms, 1, MASTER("1", "0"), "2", "x", "0", "a", "4")
NODE_SAMPLE(build_word_for_seq, 1, MASTER("1", "0"), "2", "0", "x", "a", "4")
NODE_SAMPLE(build_wrong_size, 1, MASTER("1", "0"), "2", "0", "0", "a", "5")
NODE_SAMPLE(build_negative_size, 1, MASTER("1", "0"), "2", "0", "0", "a", "-4")
NODE_SAMPLE(build_no_size, 1, MASTER("1", "0"), "2", "0", "0", "a")
NODE_SAMPLE(build_entry_too_many_fields, 1, MASTER("1", "0"), "0", "0", "0", "9223372036854775807", "f", "a", "6")
NODE_SAMPLE(build_entry_negative_fields, 1, MASTER("1", "0"), "0", "0", "0", "-1", "f", "a", "6")
NODE_SAMPLE(build_entry_odd_fields, 1, MASTER("1", "0"), "0", "0", "0", "2", "f", "a", "g", "7")
NODE_SAMPLE(build_zero_id, 1, MASTER("1", "0"), ENTRY("-1", "-5", "a"))

static void build_no_listpack(struct bytes_buf *b, int form)
{
    rb_len(b, 1), put_node_id(b, (struct id){1, 5}), rb_str(b, "no listpack");
}
static void build_short_node_id(struct bytes_buf *b, int form)
{
    rb_len(b, 1), rb_str(b, "123456789012345");
}

static void build_two_nodes(struct bytes_buf *b, int form, uint64_t second)
{
    rb_len(b, 2);
    NODE(b, 2, 0, MASTER("2", "0"), ENTRY("0", "0", "a"), ENTRY("3", "0", "b"));
    NODE(b, second, 0, MASTER("1", "0"), ENTRY("0", "0", "a"));
    end_after(b, form, 3, (struct id){100, 0});
}
static void build_node_twice(struct bytes_buf *b, int form)
{
    build_two_nodes(b, form, 2);
}
static void build_nodes_descend(struct bytes_buf *b, int form)
{
    build_two_nodes(b, form, 1);
}

static void build_entries_without_nodes(struct bytes_buf *b, int form)
{
    rb_len(b, 0);
    end_after(b, form, 3, (struct id){9, 0});
}

/* A stream without entries, and the start of a group with its pending entries. */
static void begin_group(struct bytes_buf *b, int form, uint64_t pending)
{
    rb_len(b, 0);
    put_totals(b, form, 0, (struct id){9, 0}, (struct id){0, 0}, 9);
    rb_len(b, 1);
    put_group(b, form, "g", (struct id){9, 0}, 9);
    rb_len(b, pending);
    for (uint64_t i = 1; i <= pending; i++) put_pending(b, (struct id){i, 0}, 1, 1);
}

static void build_group_twice(struct bytes_buf *b, int form)
{
    rb_len(b, 0);
    put_totals(b, form, 0, (struct id){9, 0}, (struct id){0, 0}, 9);
    rb_len(b, 2);
    for (int i = 0; i < 2; i++) put_group(b, form, "g", (struct id){9, 0}, 9), rb_len(b, 0), rb_len(b, 0);
}
static void build_pending_twice(struct bytes_buf *b, int form)
{
    begin_group(b, form, 0);
    b->len--;
    rb_len(b, 2);
    put_pending(b, (struct id){1, 0}, 1, 1), put_pending(b, (struct id){1, 0}, 1, 1);
}
static void build_consumer_twice(struct bytes_buf *b, int form)
{
    begin_group(b, form, 0);
    rb_len(b, 2), put_consumer(b, form, "c", 1, 1, 0), put_consumer(b, form, "c", 1, 1, 0);
}
static void build_unknown_claim(struct bytes_buf *b, int form)
{
    begin_group(b, form, 1);
    rb_len(b, 1), put_consumer(b, form, "c", 1, 1, 1), put_raw_id(b, (struct id){2, 0});
}
static void build_two_consumers_share(struct bytes_buf *b, int form)
{
    begin_group(b, form, 1);
    rb_len(b, 2);
    put_consumer(b, form, "c", 1, 1, 1), put_raw_id(b, (struct id){1, 0});
    put_consumer(b, form, "d", 1, 1, 1), put_raw_id(b, (struct id){1, 0});
}
static void build_claimed_twice(struct bytes_buf *b, int form)
{
    begin_group(b, form, 1);
    rb_len(b, 1);
    put_consumer(b, form, "c", 1, 1, 2), put_raw_id(b, (struct id){1, 0}), put_raw_id(b, (struct id){1, 0});
}
static void build_nobody_claims(struct bytes_buf *b, int form)
{
    begin_group(b, form, 2);
    rb_len(b, 1), put_consumer(b, form, "c", 1, 1, 1), put_raw_id(b, (struct id){1, 0});
}
static void build_no_consumers(struct bytes_buf *b, int form)
{
    begin_group(b, form, 1), rb_len(b, 0);
}

#define BAD_NODE   "!Stream listpack integrity check failed"
#define BAD_COUNTS "!the counts of a stream node are wrong"
#define BAD_CLAIM  "!is not pending in its group, or another's"
#define NO_CLAIM   "!a pending entry of a stream has no consumer"

static const struct sample bad[] = {
    {"no listpack", build_no_listpack, {BAD_NODE}},
    {"short id of a node", build_short_node_id, {"!the id of a stream node has a wrong length"}},
    {"no master entry", build_no_master, {BAD_NODE}},
    {"a word for the count", build_word_for_count, {BAD_NODE}},
    {"deleted less than none", build_negative_deleted, {BAD_NODE}},
    {"more fields than there are", build_more_fields_than_there_are, {BAD_NODE}},
    {"fewer fields than none", build_negative_fields, {BAD_NODE}},
    {"master without its end", build_master_without_end, {BAD_NODE}},
    {"count too high", build_count_too_high, {BAD_COUNTS}},
    {"deleted too high", build_deleted_too_high, {BAD_COUNTS}},
    {"an entry without fields", build_no_fields, {BAD_NODE}},
    {"an entry with the id of none", build_zero_id, {BAD_NODE}},
    {"unknown flag", build_unknown_flag, {BAD_NODE}},
    {"a word for flags", build_word_for_flags, {BAD_NODE}},
    {"a word for milliseconds", build_word_for_ms, {BAD_NODE}},
    {"a word for the sequence", build_word_for_seq, {BAD_NODE}},
    {"wrong size", build_wrong_size, {BAD_NODE}},
    {"size below zero", build_negative_size, {BAD_NODE}},
    {"no size", build_no_size, {BAD_NODE}},
    {"entry with too many fields", build_entry_too_many_fields, {BAD_NODE}},
    {"entry with less than no fields", build_entry_negative_fields, {BAD_NODE}},
    {"entry with a field without value", build_entry_odd_fields, {BAD_NODE}},
    {"entries but no node", build_entries_without_nodes, {"!a stream's entries are counted, but none is there"}},
    {"node twice", build_node_twice, {"!stream nodes are not in order"}},
    {"nodes descend", build_nodes_descend, {"!stream nodes are not in order"}},
    {"group twice", build_group_twice, {"!Duplicate stream consumer group detected"}},
    {"pending twice", build_pending_twice, {"!a pending entry of a stream appears twice"}},
    {"consumer twice", build_consumer_twice, {"!Duplicate stream consumer detected"}},
    {"claim of what is not pending", build_unknown_claim, {BAD_CLAIM}},
    {"two consumers share", build_two_consumers_share, {BAD_CLAIM}},
    {"claimed twice by one", build_claimed_twice, {BAD_CLAIM}},
    {"claimed by nobody", build_nobody_claims, {NO_CLAIM}},
    {"no consumers at all", build_no_consumers, {NO_CLAIM}},
};

/* ---- what is odd, but comes from real Redis ---- */

NODE_SAMPLE(build_all_deleted, 0, MASTER("0", "1"), DELETED("0", "0", "a"))
NODE_SAMPLE(build_wrong_count, 2, MASTER("1", "0"), ENTRY("0", "0", "a"))
NODE_SAMPLE(build_wrong_node_counts, 2, MASTER("2", "0"), ENTRY("0", "0", "a"), DELETED("0", "1", "b"))
NODE_SAMPLE(build_id_below_node, 1, MASTER("1", "0"), ENTRY("0", "-1", "a"))
NODE_SAMPLE(build_id_twice, 2, MASTER("2", "0"), ENTRY("0", "0", "a"), ENTRY("0", "0", "b"))
NODE_SAMPLE(build_ids_descend, 2, MASTER("2", "0"), ENTRY("1", "0", "a"), "0", "0", "3", "1", "-7", "8", "6")
NODE_SAMPLE(build_last_id_too_low, 1, MASTER("1", "0"), ENTRY("100", "0", "a"))

/* The first and the last node have no live entries, whatever their ids are. */
static void build_dead_nodes(struct bytes_buf *b, int form)
{
    rb_len(b, 3);
    NODE(b, 1, 0, MASTER("0", "2"), DELETED("0", "0", "a"), DELETED("90", "0", "b"));
    NODE(b, 2, 0, MASTER("1", "0"), ENTRY("0", "0", "c"));
    NODE(b, 3, 0, MASTER("0", "1"), DELETED("0", "0", "d"));
    end_after(b, form, 1, (struct id){100, 0});
}

/* The second node begins below the last entry of the first; of two entries with one id the first stays. */
static void build_nodes_overlap(struct bytes_buf *b, int form)
{
    rb_len(b, 2);
    NODE(b, 2, 0, MASTER("3", "0"), ENTRY("0", "0", "a"), ENTRY("3", "0", "b"), ENTRY("7", "0", "c"));
    NODE(b, 4, 0, MASTER("2", "0"), ENTRY("0", "0", "d"), ENTRY("1", "0", "e"));
    end_after(b, form, 5, (struct id){4, 0});
}

static void build_entries_read_overflowed(struct bytes_buf *b, int form)
{
    rb_len(b, 0);
    put_totals(b, form, 0, (struct id){9, 0}, (struct id){0, 0}, 9);
    rb_len(b, 1);
    put_group(b, form, "g", (struct id){8, 0}, INT64_MIN), rb_len(b, 0), rb_len(b, 0);
}

static const struct sample odd[] = {
    {"all deleted", build_all_deleted, {"stream[100-0 0-0 0-0 0]", NULL, NULL}},
    {"dead nodes", build_dead_nodes, {"stream[2-0(f:c) 100-0 2-0 0-0 1]", NULL, NULL}},
    {"wrong count", build_wrong_count, {"stream[1-5(f:a) 100-0 1-5 0-0 1]", "stream[1-5(f:a) 100-0 1-5 0-0 2]", NULL}},
    {"wrong counts of a node",
     build_wrong_node_counts,
     {"stream[1-5(f:a) 100-0 1-5 0-0 1]", "stream[1-5(f:a) 100-0 1-5 0-0 2]", NULL}},
    {"id below that of the node", build_id_below_node, {"stream[1-4(f:a) 100-0 1-4 0-0 1]", NULL, NULL}},
    {"id twice", build_id_twice, {"stream[1-5(f:a) 100-0 1-5 0-0 1]", "stream[1-5(f:a) 100-0 1-5 0-0 2]", NULL}},
    {"ids descend", build_ids_descend, {"stream[1-8(-7:8) 2-5(f:a) 100-0 1-8 0-0 2]", NULL, NULL}},
    {"last id too low", build_last_id_too_low, {"stream[101-5(f:a) 101-5 101-5 0-0 1]", NULL, NULL}},
    {"nodes overlap",
     build_nodes_overlap,
     {"stream[2-0(f:a) 4-0(f:d) 5-0(f:b) 9-0(f:c) 9-0 2-0 0-0 4]",
      "stream[2-0(f:a) 4-0(f:d) 5-0(f:b) 9-0(f:c) 9-0 2-0 0-0 5]", NULL}},
    {"entries read overflowed",
     build_entries_read_overflowed,
     {"stream[9-0 0-0 0-0 0 {g 8-0 0}]", "stream[9-0 0-0 0-0 9 {g 8-0 -1}]", NULL}},
};

/* ---- the tests ---- */

static struct bytes_buf build(const struct sample *s, int form)
{
    static const int types[] = {RDB_TYPE_STREAM, RDB_TYPE_STREAM_2, RDB_TYPE_STREAM_3};
    struct bytes_buf b = {0};
    rb_begin(&b, 8 + form);
    rb_key(&b, types[form - 1], "k");
    s->build(&b, form);
    rb_end(&b, 8 + form);
    return b;
}

static void check_sample(struct fixture *f, const struct sample *s, int form, size_t chunk)
{
    struct bytes_buf file = build(s, form);
    int at = form - 1;
    while (s->expect[at] == NULL) at--;
    const char *expect = s->expect[at];
    char *text = read_file(f, bytes_buf_view(&file), chunk);
    bool right = expect[0] == '!' ? text[0] == '!' && strstr(text, expect + 1) != NULL : strcmp(text, expect) == 0;
    if (!right) fail_msg("%s, form %d: \"%s\", wanted \"%s\"", s->name, form, text, expect);
    mem_free(text);
    bytes_buf_release(&file);
}

static void check_samples(struct fixture *f, const struct sample *samples, size_t n)
{
    for (size_t i = 0; i < n; i++)
        for (int form = 1; form <= 3; form++)
            for (size_t chunk = 1; chunk < 500; chunk += chunk < 20 ? 1 : 97) check_sample(f, &samples[i], form, chunk);
}

static void test_every_form_in_every_split(void **state)
{
    check_samples(*state, good, COUNT(good));
}

static void test_CVE_2026_25243_CVE_2026_63639_bad_streams_are_errors(void **state)
{
    check_samples(*state, bad, COUNT(bad));
}

static void test_fault_12_N4_N10_streams_that_redis_makes_are_taken(void **state)
{
    check_samples(*state, odd, COUNT(odd));
}

static void test_F7_truncated_at_every_byte(void **state)
{
    for (size_t i = 0; i < COUNT(good); i++) {
        struct bytes_buf file = build(&good[i], 3);
        for (size_t len = 1; len < file.len; len++) {
            char *text = read_file(*state, bytes_view(file.data, len), SIZE_MAX);
            assert_string_equal(text, "more");
            mem_free(text);
        }
        bytes_buf_release(&file);
    }
}

static void restore(struct fixture *f, struct bytes_view body)
{
    struct bytes_buf payload = {0}, string = {0};
    enum value_type type;
    void *value;
    bytes_buf_append_view(&payload, body);
    rb_le(&payload, 11, 2);
    rb_le(&payload, crc64(0, payload.data, payload.len), 8);
    if (rdb_restore(bytes_buf_view(&payload), &f->env, &type, &value, &string, NULL) == 0 && value != NULL) {
        check_value(type, value);
        value_free(type, value);
    }
    bytes_buf_release(&payload);
    bytes_buf_release(&string);
}

/* Whatever a damaged value contains: no crash, no leak, and a stream that keeps its invariants. */
static void test_CVE_2026_25243_flipped_bits(void **state)
{
    for (size_t i = 0; i < COUNT(good) + COUNT(odd); i++) {
        struct bytes_buf body = {0};
        rb_byte(&body, RDB_TYPE_STREAM_3);
        (i < COUNT(good) ? &good[i] : &odd[i - COUNT(good)])->build(&body, 3);
        for (size_t bit = 0; bit < body.len * 8; bit++) {
            body.data[bit / 8] ^= (char)(1 << bit % 8);
            restore(*state, bytes_buf_view(&body));
            body.data[bit / 8] ^= (char)(1 << bit % 8);
        }
        bytes_buf_release(&body);
    }
}

static void test_what_is_written_is_read_again(void **state)
{
    struct fixture *f = *state;
    struct keyspace *ks = keyspace_new(1, &f->limits, NULL, sys_real());
    struct db *db = keyspace_db(ks, 0);
    for (int n = 0; n < 700; n = 2 * n + 1) {
        struct stream *s = filled_stream(&f->env, n);
        struct bytes_buf dump = {0}, string = {0}, want = {0}, got = {0};
        enum value_type type;
        void *value;
        stream_set_entries_added(s, 5000);
        stream_group_create(s, BYTES_LIT("unread"), STREAM_ID_MAX, STREAM_ENTRIES_READ_UNKNOWN);
        render_stream(&want, s);
        rdb_dump(keyspace_put_value(db, key_of(db, "s"), TYPE_STREAM, s, 0), 11, &dump);
        assert_int_equal(rdb_restore(bytes_buf_view(&dump), &f->env, &type, &value, &string, NULL), 0);
        render_stream(&got, value);
        check_value(type, value);
        assert_true(bytes_equal(bytes_buf_view(&got), bytes_buf_view(&want)));
        stream_free(value);
        bytes_buf_release(&dump), bytes_buf_release(&want), bytes_buf_release(&got);
    }
    keyspace_free(ks);
}

static void test_announced_counts_are_not_believed(void **state)
{
    struct fixture *f = *state;
    size_t before = mem_used();
    struct bytes_buf b = {0};
    rb_begin(&b, 11);
    rb_key(&b, RDB_TYPE_STREAM_3, "k");
    rb_len(&b, UINT64_MAX), put_node_id(&b, (struct id){1, 1}), rb_len(&b, (uint64_t)1 << 31);
    char *text = read_file(f, bytes_buf_view(&b), SIZE_MAX);
    assert_string_equal(text, "more");
    mem_free(text);
    assert_in_range(mem_used() - before, 0, 100000);
    bytes_buf_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_form_in_every_split),
        cmocka_unit_test(test_CVE_2026_25243_CVE_2026_63639_bad_streams_are_errors),
        cmocka_unit_test(test_fault_12_N4_N10_streams_that_redis_makes_are_taken),
        cmocka_unit_test(test_F7_truncated_at_every_byte),
        cmocka_unit_test(test_CVE_2026_25243_flipped_bits),
        cmocka_unit_test(test_what_is_written_is_read_again),
        cmocka_unit_test(test_announced_counts_are_not_believed),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
