#include "storage/aof_commands.h"

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "storage/aof_reader.h"
#include "storage/base/memory.h"
#include "storage/digest.h"
#include "tests/unit/storage/keyspace_fill.h"
#include "tests/unit/storage/rdb_render.h"

struct fixture {
    struct encoding_limits limits;
    struct keyspace *ks, *copy;
    struct bytes_buf out;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    f->limits = encoding_limits_default();
    f->ks = keyspace_new(16, &f->limits, NULL, sys_real());
    f->copy = keyspace_new_sibling(f->ks, NULL);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    keyspace_free(f->ks);
    keyspace_free(f->copy);
    bytes_buf_release(&f->out);
    free(f);
    return 0;
}

static int append(void *ctx, const void *data, size_t len)
{
    bytes_buf_append(ctx, data, len);
    return 0;
}

static void write_all(struct fixture *f, const struct rdb_info *info, int64_t timestamp_s)
{
    struct rdb_sink sink = {.write = append, .ctx = &f->out};
    assert_int_equal(aof_write_keyspace(f->ks, sink, info, timestamp_s, NULL), 0);
}

/* ---- a server that runs the commands that were written, and counts them ---- */

struct server {
    struct keyspace *ks;
    int db;
    size_t commands, most_args, annotations, libraries;
};

static int64_t number(struct bytes_view v)
{
    int64_t n;
    assert_true(num_parse_i64(v, &n));
    return n;
}

static struct stream_id id_of(struct bytes_view v)
{
    char text[64];
    unsigned long long ms, seq;
    assert_true(v.len < sizeof(text));
    memcpy(text, v.data, v.len);
    text[v.len] = '\0';
    assert_int_equal(sscanf(text, "%llu-%llu", &ms, &seq), 2);
    return (struct stream_id){ms, seq};
}

/* The collection of the key, created if it does not exist. */
static void *collection(struct server *s, struct bytes_view key, enum value_type type, struct bytes_view first)
{
    struct db *db = keyspace_db(s->ks, s->db);
    struct keyref ref = keyref(db, key);
    struct entry *e = keyspace_find_for_write(db, ref);
    void *value = NULL;
    if (e != NULL) {
        assert_int_equal(e->type, type);
        return entry_pointer(e);
    }
    switch (type) {
    case TYPE_LIST: value = list_new(s->ks->env); break;
    case TYPE_SET: value = set_new(s->ks->env, first, 0); break;
    case TYPE_ZSET: value = zset_new_table(s->ks->env, 0); break;
    case TYPE_HASH: value = hash_new(s->ks->env); break;
    case TYPE_STREAM: value = stream_new(s->ks->env); break;
    case TYPE_STRING: break;
    }
    keyspace_put_value(db, ref, type, value, 0);
    return value;
}

static struct stream_group *group(struct stream *st, struct bytes_view name)
{
    struct stream_group *g = stream_group_find(st, name);
    assert_non_null(g);
    return g;
}

static void run_xadd(struct server *s, const struct bytes_view *argv, int argc)
{
    struct stream *st = collection(s, argv[1], TYPE_STREAM, argv[1]);
    bool empty = bytes_equal(argv[2], BYTES_LIT("MAXLEN"));
    int at = empty ? 4 : 2;
    assert_int_equal(stream_append(st, id_of(argv[at]), argv + at + 1, (size_t)(argc - at - 1) / 2), 0);
    struct stream_trim all = {.by = STREAM_TRIM_MAXLEN};
    if (empty) assert_int_equal(stream_trim(st, &all), 1);
}

static void run_xgroup(struct server *s, const struct bytes_view *argv)
{
    struct stream *st = collection(s, argv[2], TYPE_STREAM, argv[2]);
    if (bytes_equal(argv[1], BYTES_LIT("CREATE"))) {
        assert_true(bytes_equal(argv[5], BYTES_LIT("ENTRIESREAD")));
        assert_non_null(stream_group_create(st, argv[3], id_of(argv[4]), number(argv[6])));
    } else {
        assert_true(bytes_equal(argv[1], BYTES_LIT("CREATECONSUMER")));
        assert_non_null(stream_consumer_create(group(st, argv[3]), argv[4], 0));
    }
}

static void run_xclaim(struct server *s, const struct bytes_view *argv)
{
    struct stream *st = collection(s, argv[1], TYPE_STREAM, argv[1]);
    struct stream_group *g = group(st, argv[2]);
    struct stream_consumer *c = stream_consumer_find(g, argv[3]);
    assert_non_null(c);
    assert_non_null(stream_pending_add(g, c, id_of(argv[5]), number(argv[7]), (uint64_t)number(argv[9])));
}

static void run(struct server *s, const struct bytes_view *argv, int argc)
{
    struct db *db = keyspace_db(s->ks, s->db);
    struct bytes_view name = argv[0];
    s->commands++;
    if ((size_t)argc > s->most_args) s->most_args = (size_t)argc;
    if (bytes_equal(name, BYTES_LIT("SELECT"))) {
        s->db = (int)number(argv[1]);
    } else if (bytes_equal(name, BYTES_LIT("SET"))) {
        keyspace_put_string(db, keyref(db, argv[1]), argv[2], 0);
    } else if (bytes_equal(name, BYTES_LIT("RPUSH"))) {
        for (int i = 2; i < argc; i++) list_push(collection(s, argv[1], TYPE_LIST, argv[2]), LIST_TAIL, argv[i]);
    } else if (bytes_equal(name, BYTES_LIT("SADD"))) {
        for (int i = 2; i < argc; i++) assert_true(set_add(collection(s, argv[1], TYPE_SET, argv[2]), argv[i]));
    } else if (bytes_equal(name, BYTES_LIT("ZADD"))) {
        for (int i = 2; i < argc; i += 2) {
            double score;
            assert_true(num_parse_double(argv[i], &score));
            assert_int_equal(zset_set(collection(s, argv[1], TYPE_ZSET, argv[2]), argv[i + 1], score), ZSET_ADDED);
        }
    } else if (bytes_equal(name, BYTES_LIT("HSET"))) {
        for (int i = 2; i < argc; i += 2)
            assert_true(hash_set(collection(s, argv[1], TYPE_HASH, argv[2]), argv[i], argv[i + 1]));
    } else if (bytes_equal(name, BYTES_LIT("HPEXPIREAT"))) {
        struct entry *e = keyspace_find_for_write(db, keyref(db, argv[1]));
        assert_true(keyspace_set_field_time(db, e, argv[5], number(argv[2])));
    } else if (bytes_equal(name, BYTES_LIT("PEXPIREAT"))) {
        struct keyref key = keyref(db, argv[1]);
        keyspace_set_expiry(db, key, keyspace_find_for_write(db, key), number(argv[2]));
    } else if (bytes_equal(name, BYTES_LIT("XADD"))) {
        run_xadd(s, argv, argc);
    } else if (bytes_equal(name, BYTES_LIT("XSETID"))) {
        struct stream *st = collection(s, argv[1], TYPE_STREAM, argv[1]);
        stream_set_last_id(st, id_of(argv[2]));
        stream_set_entries_added(st, (uint64_t)number(argv[4]));
        stream_set_max_deleted_id(st, id_of(argv[6]));
    } else if (bytes_equal(name, BYTES_LIT("XGROUP"))) {
        run_xgroup(s, argv);
    } else if (bytes_equal(name, BYTES_LIT("XCLAIM"))) {
        run_xclaim(s, argv);
    } else {
        assert_true(bytes_equal(name, BYTES_LIT("FUNCTION")));
        assert_true(bytes_equal(argv[1], BYTES_LIT("LOAD")));
        s->libraries++;
    }
}

static struct server run_all(struct keyspace *ks, struct bytes_view in)
{
    struct server s = {.ks = ks};
    struct aof_reader r = {0};
    struct aof_item item;
    while (in.len > 0) {
        enum aof_status status = aof_reader_next(&r, in, &item);
        if (status == AOF_COMMAND)
            run(&s, item.argv, item.argc);
        else
            assert_int_equal(status, AOF_ANNOTATION);
        s.annotations += status == AOF_ANNOTATION;
        in = bytes_view(in.data + item.len, in.len - item.len);
    }
    aof_reader_release(&r);
    return s;
}

/* ---- what is written makes the same data set ---- */

static void expect_equal_hashes(const struct hash *a, const struct hash *b)
{
    struct bytes_buf text = {0}, text_b = {0};
    render_hash(&text, a);
    render_hash(&text_b, b);
    assert_true(bytes_equal(bytes_buf_view(&text), bytes_buf_view(&text_b)));
    bytes_buf_release(&text);
    bytes_buf_release(&text_b);
}

static void test_the_commands_make_the_same_data_set(void **state)
{
    struct fixture *f = *state;
    struct rdb_info info = {0};
    unsigned char digest[DIGEST_SIZE], digest_copy[DIGEST_SIZE];
    fill_keyspace(f->ks);
    fill_timed_hashes(keyspace_db(f->ks, 7));
    write_all(f, &info, -1);
    struct server s = run_all(f->copy, bytes_buf_view(&f->out));
    keyspace_check(f->copy);
    digest_keyspace(f->ks, digest);
    digest_keyspace(f->copy, digest_copy);
    assert_memory_equal(digest, digest_copy, DIGEST_SIZE);
    assert_int_equal(s.annotations, 0);
    for (int id = 0; id < f->ks->db_count; id++) { /* the digest does not include times */
        struct table_iter it;
        const struct entry *e;
        table_iter_init(&it, &keyspace_db(f->ks, id)->keys);
        while ((e = table_iter_next(&it)) != NULL) {
            struct db *db = keyspace_db(f->copy, id);
            const struct entry *twin = keyspace_peek(db, keyref(db, entry_key(e)));
            assert_non_null(twin);
            assert_int_equal(entry_expiry(twin), entry_expiry(e));
            if (e->type == TYPE_HASH) expect_equal_hashes(entry_pointer(e), entry_pointer(twin));
        }
    }
}

/* A stream with all its parts. Seen and active times are not written; Redis does not write them either. */
static void test_streams_with_groups(void **state)
{
    struct fixture *f = *state;
    struct db *db = keyspace_db(f->ks, 3), *copy = keyspace_db(f->copy, 3);
    struct rdb_info info = {0};
    struct stream *st = stream_new(f->ks->env);
    struct bytes_view pair[] = {BYTES_LIT("field"), BYTES_LIT("value")};
    for (uint64_t i = 1; i <= 300; i++) assert_int_equal(stream_append(st, (struct stream_id){i / 3, i}, pair, 1), 0);
    assert_true(stream_delete(st, (struct stream_id){100, 300}));
    stream_set_last_id(st, (struct stream_id){500, 7});
    struct stream_group *g = stream_group_create(st, BYTES_LIT("g1"), (struct stream_id){2, 8}, 8);
    struct stream_consumer *c = stream_consumer_create(g, BYTES_LIT("alice"), 0);
    stream_consumer_create(g, BYTES_LIT("bob"), 0);
    stream_group_create(st, BYTES_LIT("g2"), STREAM_ID_MIN, STREAM_ENTRIES_READ_UNKNOWN);
    for (uint64_t i = 1; i <= 8; i++)
        assert_non_null(stream_pending_add(g, c, (struct stream_id){i / 3, i}, 1000 + (int64_t)i, i));
    keyspace_put_value(db, keyref(db, BYTES_LIT("s")), TYPE_STREAM, st, 0);
    struct stream *empty = stream_new(f->ks->env), *never_used = stream_new(f->ks->env);
    assert_int_equal(stream_append(empty, (struct stream_id){9, 9}, pair, 1), 0);
    assert_true(stream_delete(empty, (struct stream_id){9, 9}));
    keyspace_put_value(db, keyref(db, BYTES_LIT("empty")), TYPE_STREAM, empty, 0);
    keyspace_put_value(db, keyref(db, BYTES_LIT("never")), TYPE_STREAM, never_used, 0);
    write_all(f, &info, -1);
    run_all(f->copy, bytes_buf_view(&f->out));
    static const char *const keys[] = {"s", "empty", "never"};
    for (size_t i = 0; i < 3; i++) {
        struct bytes_buf text = {0}, text_copy = {0};
        const struct entry *e = keyspace_peek(copy, keyref(copy, bytes_str(keys[i])));
        assert_non_null(e);
        stream_check(entry_pointer(e));
        render_stream(&text, entry_pointer(keyspace_peek(db, keyref(db, bytes_str(keys[i])))));
        render_stream(&text_copy, entry_pointer(e));
        assert_true(bytes_equal(bytes_buf_view(&text), bytes_buf_view(&text_copy)));
        bytes_buf_release(&text);
        bytes_buf_release(&text_copy);
    }
}

static void test_long_values_are_several_commands(void **state)
{
    struct fixture *f = *state;
    struct db *db = keyspace_db(f->ks, 0);
    struct rdb_info info = {0};
    struct list *l = list_new(f->ks->env);
    struct hash *h = hash_new(f->ks->env);
    char text[32];
    for (int i = 0; i < 2 * AOF_ITEMS_MAX + 1; i++) {
        struct bytes_view v = bytes_view(text, (size_t)snprintf(text, sizeof(text), "%d", i));
        list_push(l, LIST_TAIL, v);
        hash_set(h, v, v);
    }
    keyspace_put_value(db, keyref(db, BYTES_LIT("l")), TYPE_LIST, l, 0);
    keyspace_put_value(db, keyref(db, BYTES_LIT("h")), TYPE_HASH, h, 0);
    write_all(f, &info, -1);
    struct server s = run_all(f->copy, bytes_buf_view(&f->out));
    assert_int_equal(s.commands, 1 + 3 + 3); /* SELECT, and 64, 64 and 1 elements of each */
    assert_int_equal(s.most_args, 2 + 2 * AOF_ITEMS_MAX);
}

static void test_an_empty_keyspace_is_an_empty_file(void **state)
{
    struct fixture *f = *state;
    struct rdb_info info = {0};
    write_all(f, &info, -1);
    assert_int_equal(f->out.len, 0);
}

static void test_time_libraries_and_place(void **state)
{
    struct fixture *f = *state;
    struct rdb_info info = {.has_replication = true, .repl_offset = 1234, .repl_stream_db = -1};
    strcpy(info.repl_id, "0123456789abcdef0123456789abcdef01234567");
    libraries_set(f->ks->libraries, BYTES_LIT("lib"), BYTES_LIT("#!lua name=lib\nreturn 1"));
    write_all(f, &info, 1700000000);
    static const char expected[] = "#TS:1700000000\r\n"
                                   "*3\r\n$8\r\nFUNCTION\r\n$4\r\nLOAD\r\n$23\r\n#!lua name=lib\nreturn 1\r\n"
                                   "#REPL:0123456789abcdef0123456789abcdef01234567:1234:0\r\n";
    assert_int_equal(f->out.len, sizeof(expected) - 1);
    assert_memory_equal(f->out.data, expected, f->out.len);
    f->out.len = 0;
    info.repl_id[0] = '\0'; /* unknown: no place */
    libraries_clear(f->ks->libraries);
    write_all(f, &info, -1);
    assert_int_equal(f->out.len, 0);
}

/* ---- errors ---- */

struct limited {
    size_t left;
    bool failed;
};

static int write_limited(void *ctx, const void *data, size_t len)
{
    struct limited *l = ctx;
    assert_false(l->failed); /* nothing is written after an error */
    l->failed = len > l->left;
    if (l->failed) return -ENOSPC;
    l->left -= len;
    return 0;
}

static void test_the_first_error_of_the_sink_ends_it(void **state)
{
    struct fixture *f = *state;
    struct rdb_info info = {0};
    fill_keyspace(f->ks);
    write_all(f, &info, -1);
    for (size_t room = 0; room < f->out.len; room += 1 + f->out.len / 50) {
        struct limited l = {.left = room};
        struct rdb_sink sink = {.write = write_limited, .ctx = &l};
        assert_int_equal(aof_write_keyspace(f->ks, sink, &info, -1, NULL), -ENOSPC);
        assert_true(l.failed);
    }
}

static int stop_at_five(void *ctx, uint64_t keys_done)
{
    *(uint64_t *)ctx = keys_done;
    return keys_done == 5 ? -ECANCELED : 0;
}

static void test_progress_can_stop_it(void **state)
{
    struct fixture *f = *state;
    struct rdb_info info = {0};
    uint64_t done = 0;
    struct rdb_sink sink = {.write = append, .ctx = &f->out};
    struct rdb_progress progress = {.report = stop_at_five, .ctx = &done, .interval = 1};
    fill_keyspace(f->ks);
    assert_int_equal(aof_write_keyspace(f->ks, sink, &info, -1, &progress), -ECANCELED);
    assert_int_equal(done, 5);
    progress.interval = 3;
    assert_int_equal(aof_write_keyspace(f->ks, sink, &info, -1, &progress), 0);
    assert_int_equal(done, keyspace_count(f->ks) / 3 * 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_commands_make_the_same_data_set, setup, teardown),
        cmocka_unit_test_setup_teardown(test_streams_with_groups, setup, teardown),
        cmocka_unit_test_setup_teardown(test_long_values_are_several_commands, setup, teardown),
        cmocka_unit_test_setup_teardown(test_an_empty_keyspace_is_an_empty_file, setup, teardown),
        cmocka_unit_test_setup_teardown(test_time_libraries_and_place, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_first_error_of_the_sink_ends_it, setup, teardown),
        cmocka_unit_test_setup_teardown(test_progress_can_stop_it, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
