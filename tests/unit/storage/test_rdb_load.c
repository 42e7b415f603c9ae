#include "storage/rdb_load.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "storage/base/memory.h"
#include "storage/digest.h"
#include "storage/list.h"
#include "tests/unit/storage/keyspace_fill.h"
#include "tests/unit/storage/rdb_bytes.h"

#define DATA "tests/data/" /* tests run in the root of the tree */
#define NOW  1700000000000

static struct keyspace *new_keyspace(void)
{
    static struct encoding_limits limits;
    limits = encoding_limits_default();
    struct keyspace *ks = keyspace_new(16, &limits, NULL, sys_real());
    keyspace_set_time(ks, NOW);
    ks->expiry_mode = EXPIRY_IGNORE;
    return ks;
}

static struct bytes_buf read_file(const char *path)
{
    struct bytes_buf b = {0};
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    for (ssize_t n = 1; n > 0; b.len += (size_t)n) {
        bytes_buf_reserve(&b, 65536);
        n = read(fd, b.data + b.len, 65536);
        assert_true(n >= 0);
    }
    close(fd);
    return b;
}

static void digest_hex(struct keyspace *ks, char hex[2 * DIGEST_SIZE + 1])
{
    unsigned char digest[DIGEST_SIZE];
    digest_keyspace(ks, digest);
    digest_format(digest, hex);
}

static enum rdb_status feed_pieces(struct rdb_load *l, struct bytes_view file, size_t chunk)
{
    enum rdb_status status = RDB_MORE;
    for (size_t pos = 0, used; status == RDB_MORE && pos < file.len; pos += used) {
        size_t n = chunk < file.len - pos ? chunk : file.len - pos;
        char *piece = malloc(n);
        memcpy(piece, file.data + pos, n);
        status = rdb_load_feed(l, bytes_view(piece, n), &used);
        free(piece);
    }
    return status;
}

/* ---- files that a real server wrote: the digest is the server's own ---- */

static const struct real_file {
    const char *path, *digest;
    int keys; /* in all databases */
} real_files[] = {
    {DATA "redis-7.0-small.rdb", "4f191d0c30a638841c23bd05f994c1e237f6b17b", 3 * 35},
    {DATA "redis-7.0-plain-no-checksum.rdb", "2c28b65cde6652a1310f77ee28c8d96796885955", 35},
    {DATA "redis-7.0-large.rdb", "c9f2895ae3ec1d18eebf05e73a7cdcec2e366587", 36},
    {DATA "redis-7.0-lru.rdb", "db452e8061d726561f30e93fdcb4bfdbc0637ac7", 4},
    {DATA "redis-7.0-lfu.rdb", "6c2f0c12e47210496cd1aaee64ec12831211cb2c", 3},
    {DATA "redis-7.0-stream.rdb", "122384d3e2931bf70978cf93a4c2b1c4526d2159", 6},
};
enum { REAL_FILES = sizeof(real_files) / sizeof(real_files[0]) };

static void check_loads(const struct real_file *f, struct bytes_view bytes, size_t chunk)
{
    struct keyspace *ks = new_keyspace();
    struct rdb_load_options options = {0};
    struct rdb_load *l = rdb_load_new(ks, &options);
    char hex[2 * DIGEST_SIZE + 1];
    if (feed_pieces(l, bytes, chunk) != RDB_DONE) fail_msg("%s: %s", f->path, rdb_load_error(l));
    assert_int_equal(rdb_load_info(l)->keys_loaded, f->keys);
    assert_int_equal(rdb_load_info(l)->version, 10);
    assert_string_equal(rdb_load_info(l)->redis_version, "7.0.15");
    assert_true(rdb_load_info(l)->ctime_s > 1700000000);
    rdb_load_free(l);
    keyspace_check(ks);
    digest_hex(ks, hex);
    assert_string_equal(hex, f->digest);
    keyspace_free(ks);
}

static void test_files_of_redis_in_many_splits(void **state)
{
    static const size_t chunks[] = {1, 2, 3, 7, 10, 63, 64, 65, 1000, 4096, 16384, SIZE_MAX};
    for (int i = 0; i < REAL_FILES; i++) {
        struct bytes_buf file = read_file(real_files[i].path);
        for (size_t c = 0; c < sizeof(chunks) / sizeof(chunks[0]); c++)
            check_loads(&real_files[i], bytes_buf_view(&file), chunks[c]);
        bytes_buf_release(&file);
    }
}

static void test_expiry_and_access_of_a_real_file(void **state)
{
    struct keyspace *ks = new_keyspace();
    struct db *db = keyspace_db(ks, 0);
    struct rdb_load_options options = {0};
    struct rdb_load *l = rdb_load_new(ks, &options);
    assert_int_equal(rdb_load_file(l, sys_real(), DATA "redis-7.0-lru.rdb", NULL, NULL), 0);
    rdb_load_free(l);
    assert_int_equal(entry_expiry(keyspace_find(db, key_of(db, "b"), FIND_NO_TOUCH)), 4102444800000);
    assert_int_equal(entry_expiry(keyspace_find(db, key_of(db, "a"), FIND_NO_TOUCH)), -1);
    assert_in_range(entry_idle_seconds(ks, keyspace_find(db, key_of(db, "old"), FIND_NO_TOUCH)), 100000, 100010);
    keyspace_free(ks);

    ks = new_keyspace();
    db = keyspace_db(ks, 0);
    ks->lfu = true;
    l = rdb_load_new(ks, &options);
    assert_int_equal(rdb_load_file(l, sys_real(), DATA "redis-7.0-lfu.rdb", NULL, NULL), 0);
    rdb_load_free(l);
    assert_true(entry_lfu_counter(ks, keyspace_find(db, key_of(db, "a"), FIND_NO_TOUCH)) >
                entry_lfu_counter(ks, keyspace_find(db, key_of(db, "h"), FIND_NO_TOUCH)));
    keyspace_free(ks);
}

static void test_F7_a_real_file_truncated_at_every_byte(void **state)
{
    struct bytes_buf file = read_file(DATA "redis-7.0-plain-no-checksum.rdb");
    for (size_t len = 0; len < file.len; len++) {
        struct keyspace *ks = new_keyspace();
        struct rdb_load_options options = {0};
        struct rdb_load *l = rdb_load_new(ks, &options);
        assert_int_equal(feed_pieces(l, bytes_view(file.data, len), SIZE_MAX), RDB_MORE);
        rdb_load_free(l);
        keyspace_free(ks);
    }
    bytes_buf_release(&file);
}

/* Whatever a damaged file contains: no crash, no leak, and a keyspace that keeps its invariants. */
static void test_CVE_2026_25243_flipped_bits_in_a_real_file(void **state)
{
    struct bytes_buf file = read_file(DATA "redis-7.0-plain-no-checksum.rdb");
    struct rng rng;
    rng_seed(&rng, 3);
    for (size_t bit = 0; bit < file.len * 8; bit += 1 + rng_below(&rng, 5)) {
        struct keyspace *ks = new_keyspace();
        struct rdb_load_options options = {.keep_expired = true, .ignore_checksum = true};
        struct rdb_load *l = rdb_load_new(ks, &options);
        file.data[bit / 8] ^= (char)(1 << bit % 8);
        (void)feed_pieces(l, bytes_buf_view(&file), SIZE_MAX); /* any outcome is right */
        file.data[bit / 8] ^= (char)(1 << bit % 8);
        rdb_load_free(l);
        keyspace_check(ks);
        keyspace_free(ks);
    }
    bytes_buf_release(&file);
}

/* Takes libraries as data; refuses the one named `refused`. */
struct library_taker {
    struct keyspace *ks;
    const char *refused;
};

static int take_library(void *ctx, struct bytes_view source, struct bytes_buf *why)
{
    struct library_taker *t = ctx;
    struct bytes_view name = rdb_library_name(source);
    if (t->refused != NULL && bytes_equal(name, bytes_str(t->refused))) {
        bytes_buf_printf(why, "nobody wants it");
        return -1;
    }
    libraries_set(t->ks->libraries, name, source);
    return 0;
}

static void test_functions_are_handed_over(void **state)
{
    struct library_taker t = {.ks = new_keyspace()};
    struct rdb_load_options options = {.ctx = &t, .library = take_library};
    struct rdb_load *l = rdb_load_new(t.ks, &options);
    assert_int_equal(rdb_load_file(l, sys_real(), DATA "redis-7.0-function.rdb", NULL, NULL), 0);
    rdb_load_free(l);
    assert_int_equal(libraries_count(t.ks->libraries), 1);
    assert_true(bytes_equal(libraries_name(t.ks->libraries, 0), BYTES_LIT("mylib")));
    t.refused = "mylib";
    l = rdb_load_new(t.ks, &options);
    assert_int_equal(rdb_load_file(l, sys_real(), DATA "redis-7.0-function.rdb", NULL, NULL), -EINVAL);
    assert_non_null(strstr(rdb_load_error(l), "function library 'mylib': nobody wants it"));
    rdb_load_free(l);
    keyspace_free(t.ks);
}

static void test_functions_are_refused_by_name(void **state)
{
    struct keyspace *ks = new_keyspace();
    struct rdb_load_options options = {0};
    struct rdb_load *l = rdb_load_new(ks, &options);
    assert_int_equal(rdb_load_file(l, sys_real(), DATA "redis-7.0-function.rdb", NULL, NULL), -EINVAL);
    assert_non_null(strstr(rdb_load_error(l), "function library 'mylib'"));
    rdb_load_free(l);
    keyspace_free(ks);
}

/* ---- keys ---- */

static struct bytes_buf file_with_expiries(void)
{
    struct bytes_buf b = {0};
    rb_begin(&b, 9);
    rb_byte(&b, RDB_OP_EXPIRE_MS), rb_le(&b, NOW - 1, 8);
    rb_key(&b, RDB_TYPE_STRING, "gone"), rb_str(&b, "v");
    rb_byte(&b, RDB_OP_EXPIRE_MS), rb_le(&b, NOW - 1, 8);
    rb_key(&b, RDB_TYPE_SET, "gone set"), rb_len(&b, 1), rb_str(&b, "v");
    rb_byte(&b, RDB_OP_EXPIRE_MS), rb_le(&b, NOW, 8);
    rb_key(&b, RDB_TYPE_STRING, "now"), rb_str(&b, "v");
    rb_key(&b, RDB_TYPE_STRING, "stays"), rb_str(&b, "v");
    rb_end(&b, 9);
    return b;
}

static void note_expired(void *ctx, struct db *db, struct bytes_view key)
{
    bytes_buf_append_view(ctx, key);
    bytes_buf_append(ctx, ";", 1);
}

static void test_P11_expired_keys_are_left_out_and_told(void **state)
{
    struct bytes_buf told = {0}, file = file_with_expiries();
    struct keyspace *ks = new_keyspace();
    struct rdb_load_options options = {.ctx = &told, .expired = note_expired};
    struct rdb_load *l = rdb_load_new(ks, &options);
    assert_int_equal(feed_pieces(l, bytes_buf_view(&file), SIZE_MAX), RDB_DONE);
    assert_int_equal(rdb_load_info(l)->keys_expired, 2);
    assert_int_equal(rdb_load_info(l)->keys_loaded, 2);
    assert_true(bytes_equal(bytes_buf_view(&told), BYTES_LIT("gone;gone set;")));
    assert_int_equal(keyspace_count(ks), 2);
    rdb_load_free(l);
    keyspace_free(ks);
    bytes_buf_release(&told);
    bytes_buf_release(&file);
}

static void test_X2_expired_keys_of_a_master_are_kept(void **state)
{
    struct bytes_buf file = file_with_expiries();
    struct keyspace *ks = new_keyspace();
    struct db *db = keyspace_db(ks, 0);
    struct rdb_load_options options = {.keep_expired = true};
    struct rdb_load *l = rdb_load_new(ks, &options);
    assert_int_equal(feed_pieces(l, bytes_buf_view(&file), SIZE_MAX), RDB_DONE);
    assert_int_equal(rdb_load_info(l)->keys_loaded, 4);
    assert_int_equal(entry_expiry(keyspace_find(db, key_of(db, "gone"), 0)), NOW - 1);
    rdb_load_free(l);
    keyspace_free(ks);
    bytes_buf_release(&file);
}

static void test_a_key_twice_is_an_error(void **state)
{
    struct bytes_buf b = {0};
    struct keyspace *ks = new_keyspace();
    struct rdb_load_options options = {0};
    struct rdb_load *l = rdb_load_new(ks, &options);
    rb_begin(&b, 9);
    rb_key(&b, RDB_TYPE_STRING, "k"), rb_str(&b, "1");
    rb_byte(&b, RDB_OP_SELECTDB), rb_len(&b, 1);
    rb_key(&b, RDB_TYPE_STRING, "k"), rb_str(&b, "in another database");
    rb_byte(&b, RDB_OP_SELECTDB), rb_len(&b, 0);
    rb_key(&b, RDB_TYPE_LIST, "k"), rb_len(&b, 1), rb_str(&b, "2");
    rb_end(&b, 9);
    assert_int_equal(feed_pieces(l, bytes_buf_view(&b), SIZE_MAX), RDB_ERROR);
    assert_non_null(strstr(rdb_load_error(l), "key 'k': the key appears twice in database 0"));
    rdb_load_free(l);
    keyspace_free(ks);
    bytes_buf_release(&b);
}

static void test_empty_keys_are_left_out_and_counted(void **state)
{
    struct bytes_buf b = {0};
    struct keyspace *ks = new_keyspace();
    struct rdb_load_options options = {0};
    struct rdb_load *l = rdb_load_new(ks, &options);
    rb_begin(&b, 9);
    rb_key(&b, RDB_TYPE_SET, "empty"), rb_len(&b, 0);
    rb_key(&b, RDB_TYPE_STRING, "k"), rb_str(&b, "1");
    rb_end(&b, 9);
    assert_int_equal(feed_pieces(l, bytes_buf_view(&b), SIZE_MAX), RDB_DONE);
    assert_int_equal(rdb_load_info(l)->keys_empty, 1);
    assert_int_equal(keyspace_count(ks), 1);
    rdb_load_free(l);
    keyspace_free(ks);
    bytes_buf_release(&b);
}

static void aux(struct bytes_buf *b, const char *name, const char *value)
{
    rb_byte(b, RDB_OP_AUX);
    rb_str(b, name);
    rb_str(b, value);
}

static struct rdb_load_info load_aux(void (*build)(struct bytes_buf *b))
{
    struct bytes_buf b = {0};
    struct keyspace *ks = new_keyspace();
    struct rdb_load_options options = {0};
    struct rdb_load *l = rdb_load_new(ks, &options);
    rb_begin(&b, 9);
    build(&b);
    rb_end(&b, 9);
    assert_int_equal(feed_pieces(l, bytes_buf_view(&b), 5), RDB_DONE);
    struct rdb_load_info info = *rdb_load_info(l);
    rdb_load_free(l);
    keyspace_free(ks);
    bytes_buf_release(&b);
    return info;
}

static void build_half_an_identity(struct bytes_buf *b)
{
    aux(b, "repl-id", "0123456789abcdef0123456789abcdef01234567");
}

static void build_odd_aux(struct bytes_buf *b)
{
    aux(b, "repl-id", "too short");
    aux(b, "repl-id", "with a space 0123456789abcdef0123456789ab");
    aux(b, "repl-offset", "12x");
    aux(b, "repl-offset", "-5");
    aux(b, "repl-stream-db", "99999999999");
    aux(b, "ctime", "");
    aux(b, "lua", "return 1");
    aux(b, "redis-ver", "a version that is much longer than any version ever was");
    aux(b, "something new", "x");
}

static void test_remarks_that_make_no_sense_are_ignored(void **state)
{
    struct rdb_load_info info = load_aux(build_half_an_identity);
    assert_string_equal(info.repl_id, "");
    info = load_aux(build_odd_aux);
    assert_string_equal(info.repl_id, "");
    assert_string_equal(info.redis_version, "");
    assert_int_equal(info.repl_offset, -1);
    assert_int_equal(info.repl_stream_db, -1);
    assert_int_equal(info.ctime_s, 0);
}

/* ---- files ---- */

static int stop_at_once(void *ctx, uint64_t offset)
{
    return -ECANCELED;
}

static void write_file(const char *path, struct bytes_view bytes)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes.data, 1, bytes.len, f), bytes.len);
    fclose(f);
}

static void test_load_file(void **state)
{
    char path[] = "/tmp/lockstep-test-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    struct bytes_buf file = read_file(DATA "redis-7.0-large.rdb");
    static const struct {
        size_t cut;
        const char *error;
    } cuts[] = {{0, "unexpected end of file at byte 0"}, {1000, "unexpected end of file at byte 1000"}};
    for (int i = 0; i < 2; i++) {
        struct keyspace *ks = new_keyspace();
        struct rdb_load_options options = {0};
        struct rdb_load *l = rdb_load_new(ks, &options);
        write_file(path, bytes_view(file.data, cuts[i].cut));
        assert_int_equal(rdb_load_file(l, sys_real(), path, NULL, NULL), -EINVAL);
        assert_string_equal(rdb_load_error(l), cuts[i].error);
        rdb_load_free(l);
        keyspace_free(ks);
    }
    struct keyspace *ks = new_keyspace();
    struct rdb_load_options options = {0};
    struct rdb_load *l = rdb_load_new(ks, &options);
    unlink(path);
    assert_int_equal(rdb_load_file(l, sys_real(), path, NULL, NULL), -ENOENT);
    assert_int_equal(rdb_load_file(l, sys_real(), "/tmp", NULL, NULL), -EISDIR);
    assert_int_equal(rdb_load_file(l, sys_real(), DATA "redis-7.0-small.rdb", stop_at_once, NULL), -ECANCELED);
    rdb_load_free(l);
    keyspace_free(ks);
    bytes_buf_release(&file);
}

static void test_a_key_twice_can_replace_the_first(void **state)
{
    struct bytes_buf b = {0};
    struct keyspace *ks = new_keyspace();
    struct db *db = keyspace_db(ks, 0);
    struct rdb_load_options options = {.replace = true};
    struct rdb_load *l = rdb_load_new(ks, &options);
    keyspace_put_string(db, key_of(db, "was there"), BYTES_LIT("before"), 0);
    rb_begin(&b, 9);
    rb_key(&b, RDB_TYPE_STRING, "was there"), rb_str(&b, "1");
    rb_key(&b, RDB_TYPE_STRING, "k"), rb_str(&b, "1");
    rb_key(&b, RDB_TYPE_LIST, "k"), rb_len(&b, 1), rb_str(&b, "2");
    rb_end(&b, 9);
    assert_int_equal(feed_pieces(l, bytes_buf_view(&b), SIZE_MAX), RDB_DONE);
    assert_int_equal(db_count(db), 2);
    assert_int_equal(keyspace_find(db, key_of(db, "k"), 0)->type, TYPE_LIST);
    assert_int_equal(entry_int(keyspace_find(db, key_of(db, "was there"), 0)), 1);
    keyspace_check(ks);
    rdb_load_free(l);
    keyspace_free(ks);
    bytes_buf_release(&b);
}

/* It is collected in the buffer that becomes the value, in every split. */
static void test_long_strings(void **state)
{
    enum { LEN = 100000 };
    char *text = malloc(LEN);
    struct bytes_buf b = {0};
    for (size_t i = 0; i < LEN; i++) text[i] = (char)(i * i >> 3);
    rb_begin(&b, 9);
    rb_key(&b, RDB_TYPE_STRING, "long"), rb_view(&b, bytes_view(text, LEN));
    rb_key(&b, RDB_TYPE_STRING, "short"), rb_str(&b, "s");
    rb_end(&b, 9);
    for (size_t chunk = 1; chunk < 2 * LEN; chunk = 3 * chunk + 1) {
        struct keyspace *ks = new_keyspace();
        struct db *db = keyspace_db(ks, 0);
        struct rdb_load_options options = {0};
        struct rdb_load *l = rdb_load_new(ks, &options);
        struct number_text buf;
        assert_int_equal(feed_pieces(l, bytes_buf_view(&b), chunk), RDB_DONE);
        const struct entry *e = keyspace_find(db, key_of(db, "long"), 0);
        assert_true(bytes_equal(entry_string(e, &buf), bytes_view(text, LEN)));
        assert_int_equal(db_count(db), 2);
        rdb_load_free(l);
        keyspace_free(ks);
    }
    bytes_buf_release(&b);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files_of_redis_in_many_splits),
        cmocka_unit_test(test_expiry_and_access_of_a_real_file),
        cmocka_unit_test(test_F7_a_real_file_truncated_at_every_byte),
        cmocka_unit_test(test_CVE_2026_25243_flipped_bits_in_a_real_file),
        cmocka_unit_test(test_functions_are_handed_over),
        cmocka_unit_test(test_functions_are_refused_by_name),
        cmocka_unit_test(test_P11_expired_keys_are_left_out_and_told),
        cmocka_unit_test(test_X2_expired_keys_of_a_master_are_kept),
        cmocka_unit_test(test_a_key_twice_is_an_error),
        cmocka_unit_test(test_empty_keys_are_left_out_and_counted),
        cmocka_unit_test(test_remarks_that_make_no_sense_are_ignored),
        cmocka_unit_test(test_load_file),
        cmocka_unit_test(test_a_key_twice_can_replace_the_first),
        cmocka_unit_test(test_long_strings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
