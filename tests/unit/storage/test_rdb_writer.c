#include "storage/rdb_writer.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "storage/base/memory.h"
#include "storage/digest.h"
#include "storage/hash_expiry.h"
#include "storage/rdb_load.h"
#include "tests/unit/storage/keyspace_fill.h"
#include "tests/unit/storage/rdb_bytes.h"
#include "tests/unit/storage/rdb_render.h"

static int append(void *ctx, const void *data, size_t len)
{
    bytes_buf_append(ctx, data, len);
    return 0;
}

static struct keyspace *new_keyspace(const struct encoding_limits *limits)
{
    struct keyspace *ks = keyspace_new(16, limits, NULL, sys_real());
    keyspace_set_time(ks, 1000000000000);
    ks->expiry_mode = EXPIRY_IGNORE;
    return ks;
}

static struct bytes_buf save(struct keyspace *ks, const struct rdb_options *options, const struct rdb_info *info)
{
    struct bytes_buf file = {0};
    struct rdb_writer *w = rdb_writer_new(options, (struct rdb_sink){.write = append, .ctx = &file});
    assert_int_equal(rdb_write_keyspace(w, ks, info, NULL), 0);
    assert_int_equal(rdb_writer_bytes(w), file.len);
    rdb_writer_free(w);
    return file;
}

static void load(struct keyspace *ks, struct bytes_view file, struct rdb_load_info *info)
{
    struct rdb_load_options options = {.keep_expired = true};
    struct rdb_load *l = rdb_load_new(ks, &options);
    size_t used;
    if (rdb_load_feed(l, file, &used) != RDB_DONE) fail_msg("%s", rdb_load_error(l));
    assert_int_equal(used, file.len);
    if (info != NULL) *info = *rdb_load_info(l);
    rdb_load_free(l);
}

static void assert_same_digest(struct keyspace *a, struct keyspace *b)
{
    unsigned char first[DIGEST_SIZE], second[DIGEST_SIZE];
    digest_keyspace(a, first);
    digest_keyspace(b, second);
    assert_memory_equal(first, second, DIGEST_SIZE);
}

static void assert_same_field_times(const struct hash *a, const struct hash *b)
{
    struct hash_iter it;
    struct bytes_view field, value;
    hash_iter_init(&it, a);
    while (hash_iter_next(&it, &field, &value)) {
        int64_t at;
        assert_true(hash_get_time(b, field, &at));
        assert_int_equal(at, hash_iter_time(&it));
    }
}

/* The time of the expiry, which the digest does not include. */
static void assert_same_expiries(struct keyspace *a, struct keyspace *b)
{
    for (int id = 0; id < 16; id++) {
        struct table_iter it;
        const struct entry *e;
        assert_int_equal(db_count(keyspace_db(a, id)), db_count(keyspace_db(b, id)));
        table_iter_init(&it, &keyspace_db(a, id)->keys);
        while ((e = table_iter_next(&it)) != NULL) {
            struct db *db = keyspace_db(b, id);
            const struct entry *other = keyspace_find(db, keyref(db, entry_key(e)), FIND_NO_TOUCH | FIND_NO_STATS);
            assert_non_null(other);
            assert_int_equal(entry_expiry(e), entry_expiry(other));
            if (e->type == TYPE_HASH) assert_same_field_times(entry_pointer(e), entry_pointer(other));
        }
    }
}

static void test_round_trips_at_every_version(void **state)
{
    struct encoding_limits limits = encoding_limits_default();
    struct keyspace *ks = new_keyspace(&limits);
    fill_keyspace(ks);
    for (int version = 9; version <= 12; version++) {
        if (version == RDB_VERSION_FIELD_TIMES) fill_timed_hashes(keyspace_db(ks, 3));
        for (int flags = 0; flags < 4; flags++) {
            struct rdb_options options = {.version = version, .compress = flags & 1, .checksum = flags & 2};
            struct rdb_info info = {.ctime_s = 1700000000, .used_memory = 123456789};
            struct rdb_load_info got;
            struct bytes_buf file = save(ks, &options, &info);
            struct keyspace *copy = new_keyspace(&limits);
            load(copy, bytes_buf_view(&file), &got);
            keyspace_check(copy);
            assert_same_digest(ks, copy);
            assert_same_expiries(ks, copy);
            assert_int_equal(got.version, version);
            assert_int_equal(got.keys_loaded, keyspace_count(ks));
            assert_int_equal(got.ctime_s, 1700000000);
            assert_int_equal(got.used_memory, 123456789);
            assert_string_equal(got.redis_version, "7.2.4");
            assert_string_equal(got.repl_id, "");
            keyspace_free(copy);
            bytes_buf_release(&file);
        }
    }
    keyspace_free(ks);
}

/* Encodings are kept: a packed value is written packed from version 10 on (sets: 11). */
static void check_type_byte(const struct entry *e, int version, enum rdb_type type)
{
    struct bytes_buf dump = {0};
    rdb_dump(e, version, &dump);
    assert_int_equal((unsigned char)dump.data[0], type);
    bytes_buf_release(&dump);
}

static void test_types_by_version(void **state)
{
    static const struct {
        const char *key;
        enum rdb_type v9, v10, v11;
    } rows[] = {
        {"int:3", RDB_TYPE_STRING, RDB_TYPE_STRING, RDB_TYPE_STRING},
        {"list:5", RDB_TYPE_LIST, RDB_TYPE_LIST_QUICKLIST_2, RDB_TYPE_LIST_QUICKLIST_2},
        {"list:625", RDB_TYPE_LIST, RDB_TYPE_LIST_QUICKLIST_2, RDB_TYPE_LIST_QUICKLIST_2},
        {"intset:25", RDB_TYPE_SET_INTSET, RDB_TYPE_SET_INTSET, RDB_TYPE_SET_INTSET},
        {"set:25", RDB_TYPE_SET, RDB_TYPE_SET, RDB_TYPE_SET_LISTPACK},
        {"set:625", RDB_TYPE_SET, RDB_TYPE_SET, RDB_TYPE_SET},
        {"hash:25", RDB_TYPE_HASH, RDB_TYPE_HASH_LISTPACK, RDB_TYPE_HASH_LISTPACK},
        {"hash:625", RDB_TYPE_HASH, RDB_TYPE_HASH, RDB_TYPE_HASH},
        {"zset:25", RDB_TYPE_ZSET_2, RDB_TYPE_ZSET_LISTPACK, RDB_TYPE_ZSET_LISTPACK},
        {"zset:625", RDB_TYPE_ZSET_2, RDB_TYPE_ZSET_2, RDB_TYPE_ZSET_2},
        {"stream:25", RDB_TYPE_STREAM, RDB_TYPE_STREAM_2, RDB_TYPE_STREAM_3},
    };
    struct encoding_limits limits = encoding_limits_default();
    struct keyspace *ks = new_keyspace(&limits);
    struct db *db = keyspace_db(ks, 0);
    fill_keyspace(ks);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct entry *e = keyspace_find(db, key_of(db, rows[i].key), 0);
        check_type_byte(e, 9, rows[i].v9);
        check_type_byte(e, 10, rows[i].v10);
        check_type_byte(e, 11, rows[i].v11);
    }
    keyspace_free(ks);
}

/* Versions before 12 have no field expiries and get the fields alone. A DUMP is then of version 12. */
static void test_fields_with_times_by_version(void **state)
{
    struct encoding_limits limits = encoding_limits_default();
    struct keyspace *ks = new_keyspace(&limits);
    struct rdb_info info = {0};
    fill_timed_hashes(keyspace_db(ks, 0));
    for (int version = 9; version <= 12; version++) {
        struct rdb_options options = {.version = version};
        struct bytes_buf file = save(ks, &options, &info);
        struct keyspace *copy = new_keyspace(&limits);
        load(copy, bytes_buf_view(&file), NULL);
        keyspace_check(copy);
        assert_int_equal(db_count(keyspace_db(copy, 0)), db_count(keyspace_db(ks, 0)));
        assert_int_equal(db_timed_hashes(keyspace_db(copy, 0)),
                         version == 12 ? db_timed_hashes(keyspace_db(ks, 0)) : 0);
        struct db *db = keyspace_db(copy, 0);
        assert_int_equal(hash_count(entry_pointer(keyspace_find(db, key_of(db, "timed hash:625"), 0))), 625);
        keyspace_free(copy);
        bytes_buf_release(&file);
        db = keyspace_db(ks, 0);
        check_type_byte(keyspace_find(db, key_of(db, "timed hash:25"), 0), version, RDB_TYPE_HASH_LISTPACK_TTL);
        check_type_byte(keyspace_find(db, key_of(db, "timed hash:625"), 0), version, RDB_TYPE_HASH_FIELD_TTL);
        check_type_byte(keyspace_find(db, key_of(db, "hash that was timed"), 0), version, RDB_TYPE_HASH);
    }
    keyspace_free(ks);
}

static void test_exact_bytes_of_fields_with_times(void **state)
{
    static const char table[] = "\x18\xe8\x03\0\0\0\0\0\0\x02";
    static const char packed[] = "\x19\xe8\x03\0\0\0\0\0\0";
    struct encoding_limits limits = encoding_limits_default();
    struct keyspace *ks = new_keyspace(&limits);
    struct db *db = keyspace_db(ks, 0);
    for (limits.hash_max_entries = 0; limits.hash_max_entries < 2; limits.hash_max_entries++) {
        struct hash *h = hash_new(ks->env);
        struct bytes_buf dump = {0};
        hash_set(h, BYTES_LIT("f"), BYTES_LIT("v"));
        struct entry *e = keyspace_put_value(db, key_of(db, "h"), TYPE_HASH, h, 0);
        keyspace_set_field_time(db, e, BYTES_LIT("f"), 1000);
        rdb_dump(e, 10, &dump);
        bool is_table = limits.hash_max_entries == 0;
        assert_memory_equal(dump.data, is_table ? table : packed, 9);
        if (is_table)
            assert_memory_equal(dump.data + 9,
                                "\x01\x01\x01"
                                "f\x01v\x0c\0",
                                8); /* one field, whose expiry is the earliest */
        bytes_buf_release(&dump);
    }
    keyspace_free(ks);
}

static void test_exact_bytes(void **state)
{
    struct encoding_limits limits = encoding_limits_default();
    struct keyspace *ks = new_keyspace(&limits);
    struct db *db = keyspace_db(ks, 2);
    struct rdb_options options = rdb_options_default();
    struct rdb_info info = {.ctime_s = 1000,
                            .used_memory = 70000,
                            .has_replication = true,
                            .repl_stream_db = -1,
                            .repl_id = "0123456789abcdef0123456789abcdef01234567",
                            .repl_offset = 5000000000};
    struct keyref key = key_of(db, "key");
    keyspace_set_expiry(db, key, keyspace_put_string(db, key, BYTES_LIT("value"), 0), 0x0102030405);
    struct bytes_buf want = {0}, file = save(ks, &options, &info);
    rb_begin(&want, 10);
    rb_byte(&want, 0xfa), rb_str(&want, "redis-ver"), rb_str(&want, "7.2.4");
    rb_byte(&want, 0xfa), rb_str(&want, "redis-bits"), bytes_buf_append(&want, "\xc0\x40", 2);
    rb_byte(&want, 0xfa), rb_str(&want, "ctime"), bytes_buf_append(&want, "\xc1\xe8\x03", 3);
    rb_byte(&want, 0xfa), rb_str(&want, "used-mem"), bytes_buf_append(&want, "\xc2\x70\x11\x01\x00", 5);
    rb_byte(&want, 0xfa), rb_str(&want, "repl-stream-db"), bytes_buf_append(&want, "\xc0\xff", 2);
    rb_byte(&want, 0xfa), rb_str(&want, "repl-id"), rb_str(&want, "0123456789abcdef0123456789abcdef01234567");
    want.len -= 41; /* it compresses */
    size_t packed = want.len;
    assert_memory_equal(file.data, want.data, packed);
    char *after = memmem(file.data, file.len, "repl-offset", 11);
    assert_non_null(after);
    bytes_buf_release(&want);
    bytes_buf_append(&want,
                     "repl-offset\x0a"
                     "5000000000",
                     22);
    rb_byte(&want, 0xfa), rb_str(&want, "aof-base"), bytes_buf_append(&want, "\xc0\x00", 2);
    bytes_buf_append(&want, "\xfe\x02\xfb\x01\x01\xfc\x05\x04\x03\x02\x01\0\0\0\x00\x03key\x05value\xff", 26);
    assert_int_equal(file.data + file.len - 8 - after, want.len);
    assert_memory_equal(after, want.data, want.len);
    uint64_t crc = crc64(0, file.data, file.len - 8);
    assert_memory_equal(file.data + file.len - 8, &crc, 8);
    bytes_buf_release(&want);
    bytes_buf_release(&file);
    keyspace_free(ks);
}

static void test_replication_fields_come_back(void **state)
{
    struct encoding_limits limits = encoding_limits_default();
    struct keyspace *ks = new_keyspace(&limits);
    struct rdb_options options = rdb_options_default();
    struct rdb_info info = {
        .has_replication = true, .repl_stream_db = 7, .repl_offset = 123456789012, .aof_base = true};
    struct rdb_load_info got;
    memcpy(info.repl_id, "0123456789abcdef0123456789abcdef01234567", 41);
    for (int version = 9; version <= 11; version++) {
        options.version = version;
        struct bytes_buf file = save(ks, &options, &info);
        load(ks, bytes_buf_view(&file), &got);
        assert_string_equal(got.repl_id, info.repl_id);
        assert_int_equal(got.repl_offset, 123456789012);
        assert_int_equal(got.repl_stream_db, 7);
        assert_true(got.aof_base);
        bytes_buf_release(&file);
    }
    keyspace_free(ks);
}

static void test_access_is_written_when_the_policy_asks(void **state)
{
    struct encoding_limits limits = encoding_limits_default();
    struct keyspace *ks = new_keyspace(&limits);
    struct db *db = keyspace_db(ks, 0);
    struct entry *e = keyspace_put_string(db, key_of(db, "k"), BYTES_LIT("v"), 0);
    struct rdb_options options = rdb_options_default();
    struct rdb_info info = {0};
    keyspace_set_access(ks, e, 3000, -1);
    options.access = RDB_ACCESS_LRU;
    struct bytes_buf file = save(ks, &options, &info);
    assert_non_null(memmem(file.data, file.len, "\xf8\x4b\xb8\x00\x01k\x01v", 8));
    struct keyspace *copy = new_keyspace(&limits);
    load(copy, bytes_buf_view(&file), NULL);
    db = keyspace_db(copy, 0);
    assert_int_equal(entry_idle_seconds(copy, keyspace_find(db, key_of(db, "k"), FIND_NO_TOUCH)), 3000);
    keyspace_free(copy);
    bytes_buf_release(&file);

    ks->lfu = true;
    keyspace_set_access(ks, e, -1, 200);
    options.access = RDB_ACCESS_LFU;
    file = save(ks, &options, &info);
    assert_non_null(memmem(file.data, file.len, "\xf9\xc8\x00\x01k\x01v", 7));
    copy = new_keyspace(&limits);
    copy->lfu = true;
    load(copy, bytes_buf_view(&file), NULL);
    db = keyspace_db(copy, 0);
    assert_int_equal(entry_lfu_counter(copy, keyspace_find(db, key_of(db, "k"), FIND_NO_TOUCH)), 200);
    keyspace_free(copy);
    bytes_buf_release(&file);
    keyspace_free(ks);
}

static void test_dump_and_restore(void **state)
{
    struct encoding_limits limits = encoding_limits_default();
    struct keyspace *ks = new_keyspace(&limits);
    fill_keyspace(ks);
    for (int version = 9; version <= 12; version++) {
        struct table_iter it;
        if (version == RDB_VERSION_FIELD_TIMES) fill_timed_hashes(keyspace_db(ks, 0));
        const struct entry *e;
        table_iter_init(&it, &keyspace_db(ks, 0)->keys);
        while ((e = table_iter_next(&it)) != NULL) {
            struct bytes_buf dump = {0}, string = {0}, want = {0}, got = {0};
            enum value_type type;
            void *value;
            struct number_text buf;
            rdb_dump(e, version, &dump);
            assert_int_equal((unsigned char)dump.data[dump.len - 10], version);
            assert_int_equal(rdb_restore(bytes_buf_view(&dump), ks->env, &type, &value, &string, NULL), 0);
            assert_int_equal(type, e->type);
            render_value(&got, type, value, bytes_buf_view(&string));
            bool is_string = e->type == TYPE_STRING;
            render_value(&want, e->type, is_string ? NULL : entry_pointer(e),
                         is_string ? entry_string(e, &buf) : BYTES_LIT(""));
            bool is_all_there = type != TYPE_STREAM || version >= 11; /* older stream types have less data */
            if (is_all_there) assert_true(bytes_equal(bytes_buf_view(&got), bytes_buf_view(&want)));
            if (value != NULL) value_free(type, value);
            bytes_buf_release(&dump), bytes_buf_release(&string), bytes_buf_release(&want), bytes_buf_release(&got);
        }
    }
    keyspace_free(ks);
}

/* The DUMP of "hello" as redis-server 7.0.15 gives it. */
static void test_dump_is_what_redis_gives(void **state)
{
    struct encoding_limits limits = encoding_limits_default();
    struct keyspace *ks = new_keyspace(&limits);
    struct db *db = keyspace_db(ks, 0);
    struct bytes_buf dump = {0};
    rdb_dump(keyspace_put_string(db, key_of(db, "k"), BYTES_LIT("hello"), 0), 10, &dump);
    assert_true(bytes_equal(bytes_buf_view(&dump), BYTES_LIT("\x00\x05hello\n\x00"
                                                             "cr\xdfve4 \n")));
    bytes_buf_release(&dump);
    keyspace_free(ks);
}

struct failing_sink {
    size_t room;
    unsigned calls_after_failure;
    bool failed;
};

static int write_until_full(void *ctx, const void *data, size_t len)
{
    struct failing_sink *s = ctx;
    if (s->failed) s->calls_after_failure++;
    if (len > s->room) {
        s->failed = true;
        return -ENOSPC;
    }
    s->room -= len;
    return 0;
}

static void test_the_first_error_of_the_sink_stays(void **state)
{
    struct encoding_limits limits = encoding_limits_default();
    struct keyspace *ks = new_keyspace(&limits);
    struct rdb_options options = rdb_options_default();
    struct rdb_info info = {0};
    fill_keyspace(ks);
    struct bytes_buf file = save(ks, &options, &info);
    for (size_t room = 0; room < file.len; room += 1 + file.len / 50) {
        struct failing_sink sink = {.room = room};
        struct rdb_writer *w = rdb_writer_new(&options, (struct rdb_sink){.write = write_until_full, .ctx = &sink});
        assert_int_equal(rdb_write_keyspace(w, ks, &info, NULL), -ENOSPC);
        assert_int_equal(rdb_writer_flush(w), -ENOSPC);
        assert_int_equal(sink.calls_after_failure, 0);
        rdb_writer_free(w);
    }
    bytes_buf_release(&file);
    keyspace_free(ks);
}

static int count_reports(void *ctx, uint64_t keys_done)
{
    unsigned *calls = ctx;
    assert_int_equal(keys_done, ++*calls * 10);
    return *calls == 5 ? -ECANCELED : 0;
}

static void test_progress_is_reported_and_can_stop(void **state)
{
    struct encoding_limits limits = encoding_limits_default();
    struct keyspace *ks = new_keyspace(&limits);
    struct rdb_options options = rdb_options_default();
    struct rdb_info info = {0};
    struct bytes_buf file = {0};
    unsigned calls = 0;
    struct rdb_progress progress = {.report = count_reports, .ctx = &calls, .interval = 10};
    fill_keyspace(ks);
    struct rdb_writer *w = rdb_writer_new(&options, (struct rdb_sink){.write = append, .ctx = &file});
    assert_int_equal(rdb_write_keyspace(w, ks, &info, &progress), -ECANCELED);
    assert_int_equal(calls, 5);
    rdb_writer_free(w);
    bytes_buf_release(&file);
    keyspace_free(ks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trips_at_every_version),
        cmocka_unit_test(test_types_by_version),
        cmocka_unit_test(test_fields_with_times_by_version),
        cmocka_unit_test(test_exact_bytes_of_fields_with_times),
        cmocka_unit_test(test_exact_bytes),
        cmocka_unit_test(test_replication_fields_come_back),
        cmocka_unit_test(test_access_is_written_when_the_policy_asks),
        cmocka_unit_test(test_dump_and_restore),
        cmocka_unit_test(test_dump_is_what_redis_gives),
        cmocka_unit_test(test_the_first_error_of_the_sink_stays),
        cmocka_unit_test(test_progress_is_reported_and_can_stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
