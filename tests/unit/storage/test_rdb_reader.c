#include "storage/rdb_reader.h"

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "storage/base/memory.h"
#include "storage/entry.h"
#include "storage/hash_expiry.h"
#include "storage/list.h"
#include "storage/rdb_unpack.h"
#include "tests/unit/storage/rdb_bytes.h"
#include "tests/unit/storage/rdb_render.h"

/* ---- what a file says, as text ---- */

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

static int on_aux(void *ctx, struct bytes_view name, struct bytes_view value)
{
    bytes_buf_append(ctx, "(", 1);
    render_bytes(ctx, name);
    bytes_buf_append(ctx, "=", 1);
    render_bytes(ctx, value);
    bytes_buf_append(ctx, ")", 1);
    return 0;
}

static int on_db(void *ctx, int id)
{
    bytes_buf_printf(ctx, "<db%d>", id);
    return 0;
}

static int on_size(void *ctx, int id, uint64_t keys, uint64_t expires)
{
    bytes_buf_printf(ctx, "<db%d has %d,%d>", id, (int)keys, (int)expires);
    return 0;
}

static int on_key(void *ctx, const struct rdb_key *key)
{
    struct bytes_buf *out = ctx;
    render_bytes(out, key->name);
    if (key->db != 0) bytes_buf_printf(out, "#%d", key->db);
    if (key->expiry_ms != -1) bytes_buf_printf(out, "@%lld", (long long)key->expiry_ms);
    if (key->idle_seconds != -1) bytes_buf_printf(out, "~%lld", (long long)key->idle_seconds);
    if (key->freq != -1) bytes_buf_printf(out, "^%d", key->freq);
    bytes_buf_append(out, "=", 1);
    render_value(out, key->type, key->value, key->string);
    bytes_buf_append(out, ";", 1);
    if (key->value != NULL) {
        check_value(key->type, key->value);
        value_free(key->type, key->value);
    }
    return 0;
}

static void on_skipped(void *ctx, enum rdb_skipped what, struct bytes_view name)
{
    static const char *const names[] = {[RDB_SKIPPED_EMPTY_KEY] = "key",
                                        [RDB_SKIPPED_FUNCTION] = "function",
                                        [RDB_SKIPPED_MODULE_AUX] = "data of",
                                        [RDB_SKIPPED_MODULE_VALUE] = "value of"};
    bytes_buf_printf(ctx, "(skip %s ", names[what]);
    render_bytes(ctx, name);
    bytes_buf_append(ctx, ")", 1);
}

struct outcome {
    enum rdb_status status;
    struct bytes_buf text;
    char error[512];
    size_t consumed;
};

static void outcome_release(struct outcome *o)
{
    bytes_buf_release(&o->text);
}

static struct rdb_reader *reader_for(struct fixture *f, struct rdb_reader_options options, struct outcome *o)
{
    struct rdb_callbacks callbacks = {.ctx = &o->text,
                                      .on_aux = on_aux,
                                      .on_db = on_db,
                                      .on_size = on_size,
                                      .on_key = on_key,
                                      .on_skipped = on_skipped};
    options.env = &f->env;
    return rdb_reader_new(&options, &callbacks);
}

/* Feeds pieces: the first one of `first` bytes, then `chunk` each. Every piece is an allocation of its own, so that
 * the sanitizer sees reads behind it or after it is freed. */
static struct outcome read_with(struct fixture *f, struct rdb_reader_options options, struct bytes_view file,
                                size_t first, size_t chunk)
{
    struct outcome o = {0};
    struct rdb_reader *r = reader_for(f, options, &o);
    while (o.status == RDB_MORE && o.consumed < file.len) {
        size_t n = o.consumed == 0 && first > 0 ? first : chunk, used;
        if (n > file.len - o.consumed) n = file.len - o.consumed;
        char *piece = malloc(n);
        memcpy(piece, file.data + o.consumed, n);
        o.status = rdb_reader_feed(r, bytes_view(piece, n), &used);
        free(piece);
        if (o.status == RDB_MORE) assert_int_equal(used, n);
        o.consumed += used;
        assert_int_equal(rdb_reader_offset(r), o.consumed);
    }
    snprintf(o.error, sizeof(o.error), "%s", rdb_reader_error(r));
    bytes_buf_append(&o.text, "", 1);
    o.text.len--;
    if (o.status == RDB_ERROR) { /* it stays */
        size_t used = 7;
        assert_int_equal(rdb_reader_feed(r, BYTES_LIT("more"), &used), RDB_ERROR);
        assert_int_equal(used, 0);
        assert_string_equal(rdb_reader_error(r), o.error);
    }
    rdb_reader_free(r);
    return o;
}

/* ---- samples: files built by hand ---- */

struct sample {
    const char *name;
    int version;
    void (*build)(struct bytes_buf *b);
    const char *expect; /* the text; or '!' and a part of the error */
};

static void build_strings(struct bytes_buf *b)
{
    rb_key(b, RDB_TYPE_STRING, "raw"), rb_str(b, "hello");
    rb_key(b, RDB_TYPE_STRING, "empty"), rb_str(b, "");
    rb_key(b, RDB_TYPE_STRING, "i8"), bytes_buf_append(b, "\xc0\x85", 2);
    rb_key(b, RDB_TYPE_STRING, "i16"), bytes_buf_append(b, "\xc1\x39\x30", 3);
    rb_key(b, RDB_TYPE_STRING, "i32"), bytes_buf_append(b, "\xc2\x00\x00\x00\x80", 5);
    rb_byte(b, RDB_TYPE_STRING), bytes_buf_append(b, "\xc0\x7b", 2), rb_str(b, "int key");
    rb_key(b, RDB_TYPE_STRING, "len14"), bytes_buf_append(b, "\x40\x03xyz", 5); /* longer than need be */
    rb_key(b, RDB_TYPE_STRING, "len32"), bytes_buf_append(b, "\x80\0\0\0\x03xyz", 8);
    rb_key(b, RDB_TYPE_STRING, "len64"), bytes_buf_append(b, "\x81\0\0\0\0\0\0\0\x03xyz", 12);
    rb_key(b, RDB_TYPE_STRING, "lzf"); /* 26 times 'a': two, 22 copied, two */
    bytes_buf_append(b, "\xc3\x09\x1a\x01\x61\x61\xe0\x0d\x00\x01\x61\x61", 12);
}

static void build_attributes(struct bytes_buf *b)
{
    rb_byte(b, RDB_OP_AUX), rb_str(b, "redis-ver"), rb_str(b, "7.0.15");
    rb_byte(b, RDB_OP_AUX), rb_str(b, "redis-bits"), bytes_buf_append(b, "\xc0\x40", 2);
    rb_byte(b, RDB_OP_SELECTDB), rb_len(b, 5);
    rb_byte(b, RDB_OP_RESIZEDB), rb_len(b, 300), rb_len(b, 2);
    rb_byte(b, RDB_OP_EXPIRE_MS), rb_le(b, 1234567890123, 8);
    rb_key(b, RDB_TYPE_STRING, "ms"), rb_str(b, "v");
    rb_byte(b, RDB_OP_EXPIRE_S), rb_le(b, 1671963072, 4);
    rb_key(b, RDB_TYPE_STRING, "s"), rb_str(b, "v");
    rb_byte(b, RDB_OP_EXPIRE_MS), rb_le(b, (uint64_t)-1, 8);
    rb_key(b, RDB_TYPE_STRING, "past"), rb_str(b, "v");
    rb_byte(b, RDB_OP_EXPIRE_MS), rb_le(b, 77, 8), rb_byte(b, RDB_OP_IDLE), rb_len(b, 100000);
    rb_key(b, RDB_TYPE_STRING, "idle"), rb_str(b, "v");
    rb_byte(b, RDB_OP_FREQ), rb_byte(b, 255);
    rb_key(b, RDB_TYPE_STRING, "freq"), rb_str(b, "v");
    rb_byte(b, RDB_OP_SLOT_INFO), rb_len(b, 16383), rb_len(b, 1000000), rb_len(b, 0);
    rb_byte(b, RDB_OP_SELECTDB), rb_len(b, 0);
    rb_key(b, RDB_TYPE_STRING, "none"), rb_str(b, "v");
}

static void build_plain_types(struct bytes_buf *b)
{
    rb_key(b, RDB_TYPE_LIST, "l"), rb_len(b, 4), rb_str(b, "a"), rb_str(b, ""), bytes_buf_append(b, "\xc0\x07", 2),
        rb_str(b, "a");
    rb_key(b, RDB_TYPE_SET, "s"), rb_len(b, 3), rb_str(b, "x"), rb_str(b, "y"), rb_str(b, "");
    rb_key(b, RDB_TYPE_SET, "si"), rb_len(b, 2), rb_str(b, "10"), bytes_buf_append(b, "\xc0\x09", 2);
    rb_key(b, RDB_TYPE_HASH, "h"), rb_len(b, 2), rb_str(b, "f"), rb_str(b, "v"), rb_str(b, ""),
        bytes_buf_append(b, "\xc0\x09", 2);
}

static void build_text_scores(struct bytes_buf *b)
{
    rb_key(b, RDB_TYPE_ZSET, "z"), rb_len(b, 5);
    rb_str(b, "one"), bytes_buf_append(b,
                                       "\x01"
                                       "1",
                                       2);
    rb_str(b, "pi"), bytes_buf_append(b,
                                      "\x12"
                                      "3.1400000000000001",
                                      19);
    rb_str(b, "top"), rb_byte(b, RDB_SCORE_INF);
    rb_str(b, "low"), rb_byte(b, RDB_SCORE_NEG_INF);
    rb_str(b, "neg"), bytes_buf_append(b,
                                       "\x05"
                                       "-1e20",
                                       6);
}

static void build_binary_scores(struct bytes_buf *b)
{
    static const double scores[] = {1.5, -0.25, INFINITY, -INFINITY, 5e-324};
    rb_key(b, RDB_TYPE_ZSET_2, "z"), rb_len(b, 5);
    for (int i = 0; i < 5; i++) {
        uint64_t bits;
        char name[2] = {(char)('a' + i), 0};
        memcpy(&bits, &scores[i], 8);
        rb_str(b, name), rb_le(b, bits, 8);
    }
}

static void build_zipmap(struct bytes_buf *b)
{
    rb_key(b, RDB_TYPE_HASH_ZIPMAP, "h");
    rb_view(b, BYTES_LIT("\x02"
                         "\x03"
                         "foo"
                         "\x03\x00"
                         "bar"
                         "\x05"
                         "hello"
                         "\x02\x03"
                         "42xxx"
                         "\xff")); /* 3 free bytes */
}

static void build_list_ziplist(struct bytes_buf *b)
{
    struct zl z = zl_new();
    char wide[301];
    memset(wide, 'w', 300), wide[300] = '\0';
    zl_str(&z, "a"), zl_str(&z, ""), zl_str(&z, wide), zl_str(&z, "after a wide one");
    zl_raw(&z, BYTES_LIT("\xf1")); /* 0 */
    zl_raw(&z, BYTES_LIT("\xfd")); /* 12 */
    zl_int(&z, 0xfe, -128, 1), zl_int(&z, 0xc0, -32768, 2), zl_int(&z, 0xf0, -8388608, 3);
    zl_int(&z, 0xd0, INT32_MIN, 4), zl_int(&z, 0xe0, INT64_MIN, 8), zl_int(&z, 0xe0, INT64_MAX, 8);
    zl_raw(&z, BYTES_LIT("\x80\0\0\0\x02zz"));
    rb_key(b, RDB_TYPE_LIST_ZIPLIST, "l");
    zl_put(&z, b);
}

static void build_intsets(struct bytes_buf *b)
{
    rb_key(b, RDB_TYPE_SET_INTSET, "i16"), rb_view(b, BYTES_LIT("\x02\0\0\0\x03\0\0\0\xfe\xff\x01\0\x02\0"));
    rb_key(b, RDB_TYPE_SET_INTSET, "i32"), rb_view(b, BYTES_LIT("\x04\0\0\0\x02\0\0\0\0\0\0\x80\xff\xff\xff\x7f"));
    rb_key(b, RDB_TYPE_SET_INTSET, "i64"), rb_view(b, BYTES_LIT("\x08\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\x80"));
}

static void build_other_ziplists(struct bytes_buf *b)
{
    struct zl z = zl_new(), h = zl_new(), u = zl_new();
    zl_str(&z, "a"), zl_str(&z, "-inf"), zl_str(&z, "b"), zl_raw(&z, BYTES_LIT("\xf3")), zl_str(&z, "c"),
        zl_str(&z, "2.5");
    rb_key(b, RDB_TYPE_ZSET_ZIPLIST, "z"), zl_put(&z, b);
    zl_str(&h, "f"), zl_str(&h, "v"), zl_int(&h, 0xc0, 1000, 2), zl_int(&h, 0xfe, 9, 1);
    rb_key(b, RDB_TYPE_HASH_ZIPLIST, "h"), zl_put(&h, b);
    zl_str(&u, "b"), zl_str(&u, "2"), zl_str(&u, "a"), zl_str(&u, "1");
    rb_key(b, RDB_TYPE_ZSET_ZIPLIST, "unsorted"), zl_put(&u, b);
}

static void build_quicklist(struct bytes_buf *b)
{
    struct zl first = zl_new(), empty = zl_new(), last = zl_new();
    zl_str(&first, "a"), zl_int(&first, 0xfe, 50, 1);
    zl_str(&last, "z");
    rb_key(b, RDB_TYPE_LIST_QUICKLIST, "l"), rb_len(b, 3);
    zl_put(&first, b), zl_put(&empty, b), zl_put(&last, b);
}

static void build_quicklist_2(struct bytes_buf *b)
{
    rb_key(b, RDB_TYPE_LIST_QUICKLIST_2, "l"), rb_len(b, 4);
    rb_len(b, RDB_QUICKLIST_PACKED), LP_PUT(b, "a", "-1", "b");
    rb_len(b, RDB_QUICKLIST_PLAIN), rb_str(b, "plain");
    rb_len(b, RDB_QUICKLIST_PLAIN), rb_str(b, "p2");
    rb_len(b, RDB_QUICKLIST_PACKED), LP_PUT(b, "5000000000", "c");
    rb_key(b, RDB_TYPE_LIST_QUICKLIST_2, "one"), rb_len(b, 1);
    rb_len(b, RDB_QUICKLIST_PACKED), LP_PUT(b, "a");
}

static void build_listpacks(struct bytes_buf *b)
{
    rb_key(b, RDB_TYPE_HASH_LISTPACK, "h"), LP_PUT(b, "f", "v", "2", "-3", "", "");
    rb_key(b, RDB_TYPE_ZSET_LISTPACK, "z"), LP_PUT(b, "m", "-inf", "a", "1", "b", "1", "c", "1.5");
    rb_key(b, RDB_TYPE_SET_LISTPACK, "s"), LP_PUT(b, "x", "1", "");
    rb_key(b, RDB_TYPE_ZSET_LISTPACK, "unsorted"), LP_PUT(b, "a", "2", "b", "1", "9", "1");
}

static void build_negative_zero(struct bytes_buf *b)
{
    rb_key(b, RDB_TYPE_ZSET_LISTPACK, "z"), LP_PUT(b, "a", "-0", "b", "-0e-7", "c", "0");
}

/* Redis's own bytes: a listpack of "a" 1024 "hello" -5. */
static void build_redis_listpack(struct bytes_buf *b)
{
    rb_key(b, RDB_TYPE_HASH_LISTPACK, "h");
    rb_view(b, BYTES_LIT("\x17\0\0\0\x04\0\x81"
                         "a\x02\xc4\0\x02\x85"
                         "hello\x06\xdf\xfb\x02\xff"));
}

static void build_over_the_limits(struct bytes_buf *b)
{
    unsigned char *lp = lp_new(0);
    rb_key(b, RDB_TYPE_SET_LISTPACK, "s");
    for (int i = 0; i < 130; i++) lp = lp_append_int(lp, i * (int64_t)100003);
    lp = lp_append(lp, BYTES_LIT("text"));
    rb_view(b, bytes_view(lp, lp_bytes(lp)));
    lp_free(lp);
}

/* Of 600 fields, three of four with times. */
static void build_timed_over_the_limits(struct bytes_buf *b)
{
    unsigned char *lp = lp_new(0);
    for (int64_t i = 0; i < 600; i++) {
        lp = lp_append_int(lp, i);
        lp = lp_append(lp, BYTES_LIT("v"));
        lp = lp_append_int(lp, i < 450 ? 1000 + i : 0);
    }
    rb_key(b, RDB_TYPE_HASH_LISTPACK_TTL, "h"), rb_le(b, 1000, 8), rb_view(b, bytes_view(lp, lp_bytes(lp)));
    lp_free(lp);
}

static void build_nothing(struct bytes_buf *b) {}

static void build_function(struct bytes_buf *b)
{
    rb_byte(b, RDB_OP_FUNCTION2), rb_str(b, "#!lua name=mylib engine=x\nreturn 1 -- name=other");
    rb_key(b, RDB_TYPE_STRING, "k"), rb_str(b, "v");
}

static void build_function_without_code(struct bytes_buf *b)
{
    rb_byte(b, RDB_OP_FUNCTION2), rb_str(b, "");
}
static void build_old_function(struct bytes_buf *b)
{
    rb_byte(b, RDB_OP_FUNCTION_PRE_GA), rb_str(b, "oldlib"), rb_str(b, "lua"), rb_len(b, 1), rb_str(b, "what it is"),
        rb_str(b, "return 1");
    rb_byte(b, RDB_OP_FUNCTION_PRE_GA), rb_str(b, "other"), rb_str(b, "lua"), rb_len(b, 0), rb_str(b, "return 2");
    rb_key(b, RDB_TYPE_STRING, "k"), rb_str(b, "v");
}

/* "ReJSON-RL" version 3: nine characters of six bits. */
static uint64_t module_id(void)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint64_t id = 0;
    for (const char *p = "ReJSON-RL"; *p != '\0'; p++) id = id << 6 | (uint64_t)(strchr(alphabet, *p) - alphabet);
    return id << 10 | 3;
}

static void put_module_items(struct bytes_buf *b)
{
    rb_len(b, RDB_MODULE_SINT), rb_len(b, UINT64_MAX);
    rb_len(b, RDB_MODULE_UINT), rb_len(b, 5);
    rb_len(b, RDB_MODULE_FLOAT), rb_le(b, 0, 4);
    rb_len(b, RDB_MODULE_DOUBLE), rb_le(b, 0, 8);
    rb_len(b, RDB_MODULE_STRING), rb_str(b, "text"), rb_len(b, RDB_MODULE_END);
}

static void build_module_aux(struct bytes_buf *b)
{
    rb_byte(b, RDB_OP_MODULE_AUX), rb_len(b, module_id()), rb_len(b, RDB_MODULE_UINT), rb_len(b, 1);
    put_module_items(b);
    rb_key(b, RDB_TYPE_STRING, "k"), rb_str(b, "v");
}

static void build_module_value(struct bytes_buf *b)
{
    rb_byte(b, RDB_OP_EXPIRE_MS), rb_le(b, 77, 8);
    rb_key(b, RDB_TYPE_MODULE_2, "doc"), rb_len(b, module_id());
    put_module_items(b);
    rb_key(b, RDB_TYPE_STRING, "k"), rb_str(b, "v");
}

static void build_old_module_value(struct bytes_buf *b)
{
    rb_key(b, RDB_TYPE_MODULE, "doc"), rb_len(b, module_id()), rb_len(b, 1);
}
static void build_module_aux_without_when(struct bytes_buf *b)
{
    rb_byte(b, RDB_OP_MODULE_AUX), rb_len(b, module_id()), rb_len(b, RDB_MODULE_SINT), rb_len(b, 1);
    put_module_items(b);
}
static void build_unknown_module_item(struct bytes_buf *b)
{
    rb_key(b, RDB_TYPE_MODULE_2, "doc"), rb_len(b, module_id()), rb_len(b, 6), rb_len(b, 0);
}

static void build_field_times(struct bytes_buf *b)
{
    rb_key(b, RDB_TYPE_HASH_FIELD_TTL, "h"), rb_le(b, 1700000000000, 8), rb_len(b, 4);
    rb_len(b, 1), rb_str(b, "first"), rb_str(b, "1");
    rb_len(b, 0), rb_str(b, "stays"), rb_str(b, "");
    rb_len(b, 100001), rb_str(b, "last"), rb_str(b, "x");
    rb_len(b, 1), rb_str(b, "too"), rb_str(b, "y");
    rb_key(b, RDB_TYPE_HASH_FIELD_TTL_PRE_GA, "old"), rb_len(b, 2);
    rb_len(b, 1700000000001), rb_str(b, "f"), rb_str(b, "v");
    rb_len(b, 0), rb_str(b, "g"), rb_str(b, "w");
    rb_key(b, RDB_TYPE_HASH_LISTPACK_TTL, "lp"), rb_le(b, 5, 8), LP_PUT(b, "7", "v", "5", "g", "w", "5", "9", "", "0");
    rb_key(b, RDB_TYPE_HASH_LISTPACK_TTL_PRE_GA, "oldlp"), LP_PUT(b, "f", "1", "281474976710654");
}
/* No field has an expiry, as after all were removed: Redis then writes 0, or one more than the last possible time. */
static void build_no_field_times(struct bytes_buf *b)
{
    rb_key(b, RDB_TYPE_HASH_FIELD_TTL, "h"), rb_le(b, 0, 8), rb_len(b, 1);
    rb_len(b, 0), rb_str(b, "f"), rb_str(b, "v");
    rb_key(b, RDB_TYPE_HASH_LISTPACK_TTL, "lp"), rb_le(b, 281474976710655, 8), LP_PUT(b, "f", "v", "0");
}
static void build_late_field_time(struct bytes_buf *b)
{
    rb_key(b, RDB_TYPE_HASH_FIELD_TTL, "k"), rb_le(b, 281474976710654, 8), rb_len(b, 1);
    rb_len(b, 2), rb_str(b, "f"), rb_str(b, "v");
}
static void build_late_first_time(struct bytes_buf *b)
{
    rb_key(b, RDB_TYPE_HASH_LISTPACK_TTL, "k"), rb_le(b, 281474976710656, 8), LP_PUT(b, "f", "v", "0");
}
static void build_wrapping_field_time(struct bytes_buf *b)
{
    rb_key(b, RDB_TYPE_HASH_FIELD_TTL, "k"), rb_le(b, 1000, 8), rb_len(b, 1);
    rb_len(b, UINT64_MAX), rb_str(b, "f"), rb_str(b, "v");
}
static void build_field_time_of_nothing(struct bytes_buf *b)
{
    rb_key(b, RDB_TYPE_HASH_FIELD_TTL, "k"), rb_le(b, 0, 8), rb_len(b, 1);
    rb_len(b, 1), rb_str(b, "f"), rb_str(b, "v");
}
static void build_late_old_field_time(struct bytes_buf *b)
{
    rb_key(b, RDB_TYPE_HASH_FIELD_TTL_PRE_GA, "k"), rb_len(b, 1);
    rb_len(b, 281474976710656), rb_str(b, "f"), rb_str(b, "v");
}
static void build_late_packed_field_time(struct bytes_buf *b)
{
    rb_key(b, RDB_TYPE_HASH_LISTPACK_TTL_PRE_GA, "k"), LP_PUT(b, "f", "v", "281474976710655");
}
static void build_negative_field_time(struct bytes_buf *b)
{
    rb_key(b, RDB_TYPE_HASH_LISTPACK_TTL_PRE_GA, "k"), LP_PUT(b, "f", "v", "-1");
}
static void build_word_for_field_time(struct bytes_buf *b)
{
    rb_key(b, RDB_TYPE_HASH_LISTPACK_TTL_PRE_GA, "k"), LP_PUT(b, "f", "v", "soon");
}
static void build_unordered_field_times(struct bytes_buf *b)
{
    rb_key(b, RDB_TYPE_HASH_LISTPACK_TTL, "k"), rb_le(b, 5, 8), LP_PUT(b, "f", "v", "6", "g", "v", "5");
}
static void build_field_time_behind_none(struct bytes_buf *b)
{
    rb_key(b, RDB_TYPE_HASH_LISTPACK_TTL, "k"), rb_le(b, 5, 8), LP_PUT(b, "f", "v", "0", "g", "v", "5");
}
static void build_missing_field_time(struct bytes_buf *b)
{
    rb_key(b, RDB_TYPE_HASH_LISTPACK_TTL, "k"), rb_le(b, 5, 8), LP_PUT(b, "f", "v", "5", "g", "v");
}
static void build_twice_with_field_times(struct bytes_buf *b)
{
    rb_key(b, RDB_TYPE_HASH_LISTPACK_TTL, "k"), rb_le(b, 5, 8), LP_PUT(b, "f", "v", "5", "f", "v", "0");
}
static void build_twice_with_times(struct bytes_buf *b)
{
    rb_key(b, RDB_TYPE_HASH_FIELD_TTL, "k"), rb_le(b, 5, 8), rb_len(b, 2);
    for (int i = 0; i < 2; i++) rb_len(b, 1), rb_str(b, "f"), rb_str(b, "v");
}
static void build_empty_with_field_times(struct bytes_buf *b)
{
    rb_key(b, RDB_TYPE_HASH_FIELD_TTL, "k"), rb_le(b, 5, 8), rb_len(b, 0);
}
static void build_empty_listpack_with_times(struct bytes_buf *b)
{
    rb_key(b, RDB_TYPE_HASH_LISTPACK_TTL, "k"), rb_le(b, 5, 8), rb_view(b, BYTES_LIT("\x07\0\0\0\0\0\xff"));
}
static void build_unknown_opcode(struct bytes_buf *b)
{
    rb_byte(b, 200);
}
static void build_unknown_type(struct bytes_buf *b)
{
    rb_byte(b, 8);
}
static void build_far_db(struct bytes_buf *b)
{
    rb_byte(b, RDB_OP_SELECTDB), rb_len(b, 16);
}
static void build_bad_slot(struct bytes_buf *b)
{
    rb_byte(b, RDB_OP_SLOT_INFO), rb_len(b, 16384), rb_len(b, 1), rb_len(b, 1);
}
static void build_bad_length(struct bytes_buf *b)
{
    rb_byte(b, RDB_TYPE_STRING), rb_byte(b, 0x82);
}
static void build_bad_encoding(struct bytes_buf *b)
{
    rb_byte(b, RDB_TYPE_STRING), rb_byte(b, 0xc4);
}
static void build_encoded_length(struct bytes_buf *b)
{
    rb_key(b, RDB_TYPE_LIST, "l"), rb_byte(b, 0xc0);
}
static void build_dangling_expiry(struct bytes_buf *b)
{
    rb_byte(b, RDB_OP_EXPIRE_MS), rb_le(b, 1, 8);
}
static void build_huge_string(struct bytes_buf *b)
{
    rb_key(b, RDB_TYPE_STRING, "k"), rb_len(b, (uint64_t)1 << 60);
}
static void build_lzf_bomb(struct bytes_buf *b)
{
    rb_key(b, RDB_TYPE_STRING, "k"), rb_byte(b, 0xc3), rb_len(b, 10), rb_len(b, 1 << 30),
        bytes_buf_append(b, "0123456789", 10);
}
static void build_lzf_damaged(struct bytes_buf *b)
{
    rb_key(b, RDB_TYPE_STRING, "k"), rb_byte(b, 0xc3), rb_len(b, 4), rb_len(b, 30),
        bytes_buf_append(b, "\xe0\xff\xff\xff", 4);
}

static void build_empty_list(struct bytes_buf *b)
{
    rb_key(b, RDB_TYPE_LIST, "k"), rb_len(b, 0);
}
static void build_empty_set(struct bytes_buf *b)
{
    rb_key(b, RDB_TYPE_SET, "k"), rb_len(b, 0);
}
static void build_empty_hash(struct bytes_buf *b)
{
    rb_key(b, RDB_TYPE_HASH, "k"), rb_len(b, 0);
}
static void build_empty_zset(struct bytes_buf *b)
{
    rb_key(b, RDB_TYPE_ZSET_2, "k"), rb_len(b, 0);
}
static void build_empty_quicklist(struct bytes_buf *b)
{
    rb_key(b, RDB_TYPE_LIST_QUICKLIST_2, "k"), rb_len(b, 0);
}
static void build_quicklist_of_nothing(struct bytes_buf *b)
{
    rb_key(b, RDB_TYPE_LIST_QUICKLIST_2, "k"), rb_len(b, 1), rb_len(b, RDB_QUICKLIST_PACKED);
    rb_view(b, BYTES_LIT("\x07\0\0\0\0\0\xff"));
}
static void build_empty_ziplist(struct bytes_buf *b)
{
    struct zl z = zl_new();
    rb_key(b, RDB_TYPE_ZSET_ZIPLIST, "k"), zl_put(&z, b);
}
static void build_empty_hash_ziplist(struct bytes_buf *b)
{
    struct zl z = zl_new();
    rb_key(b, RDB_TYPE_HASH_ZIPLIST, "k"), zl_put(&z, b);
}
static void build_empty_list_ziplist(struct bytes_buf *b)
{
    struct zl z = zl_new();
    rb_key(b, RDB_TYPE_LIST_ZIPLIST, "k"), zl_put(&z, b);
}
static void build_empty_listpack(struct bytes_buf *b)
{
    rb_key(b, RDB_TYPE_HASH_LISTPACK, "k"), rb_view(b, BYTES_LIT("\x07\0\0\0\0\0\xff"));
}
static void build_empty_set_listpack(struct bytes_buf *b)
{
    rb_key(b, RDB_TYPE_SET_LISTPACK, "k"), rb_view(b, BYTES_LIT("\x07\0\0\0\0\0\xff"));
}
static void build_empty_zset_listpack(struct bytes_buf *b)
{
    rb_key(b, RDB_TYPE_ZSET_LISTPACK, "k"), rb_view(b, BYTES_LIT("\x07\0\0\0\0\0\xff"));
}
static void build_empty_zipmap(struct bytes_buf *b)
{
    rb_key(b, RDB_TYPE_HASH_ZIPMAP, "k"), rb_view(b, BYTES_LIT("\x00\xff"));
}
static void build_empty_intset(struct bytes_buf *b)
{
    rb_key(b, RDB_TYPE_SET_INTSET, "k"), rb_view(b, BYTES_LIT("\x02\0\0\0\0\0\0\0"));
}

static void build_twice_in_set(struct bytes_buf *b)
{
    rb_key(b, RDB_TYPE_SET, "k"), rb_len(b, 2), rb_str(b, "7"), bytes_buf_append(b, "\xc0\x07", 2);
}
static void build_twice_in_hash(struct bytes_buf *b)
{
    rb_key(b, RDB_TYPE_HASH, "k"), rb_len(b, 2), rb_str(b, "f"), rb_str(b, "1"), rb_str(b, "f"), rb_str(b, "2");
}
static void build_twice_in_zset(struct bytes_buf *b)
{
    rb_key(b, RDB_TYPE_ZSET_2, "k"), rb_len(b, 2), rb_str(b, "m"), rb_le(b, 0, 8), rb_str(b, "m"), rb_le(b, 0, 8);
}
static void build_twice_in_hash_listpack(struct bytes_buf *b)
{
    rb_key(b, RDB_TYPE_HASH_LISTPACK, "k"), LP_PUT(b, "f", "1", "g", "f", "f", "2");
}
static void build_twice_in_zset_listpack(struct bytes_buf *b)
{
    rb_key(b, RDB_TYPE_ZSET_LISTPACK, "k"), LP_PUT(b, "m", "1", "m", "2");
}
static void build_twice_in_unsorted_zset_listpack(struct bytes_buf *b)
{
    rb_key(b, RDB_TYPE_ZSET_LISTPACK, "k"), LP_PUT(b, "m", "2", "m", "1");
}
static void build_twice_in_set_listpack(struct bytes_buf *b)
{
    rb_key(b, RDB_TYPE_SET_LISTPACK, "k"), LP_PUT(b, "a", "1", "b", "1");
}
static void build_twice_in_intset(struct bytes_buf *b)
{
    rb_key(b, RDB_TYPE_SET_INTSET, "k"), rb_view(b, BYTES_LIT("\x02\0\0\0\x02\0\0\0\x01\0\x01\0"));
}
static void build_unsorted_intset(struct bytes_buf *b)
{
    rb_key(b, RDB_TYPE_SET_INTSET, "k"), rb_view(b, BYTES_LIT("\x02\0\0\0\x02\0\0\0\x02\0\x01\0"));
}
static void build_twice_in_hash_ziplist(struct bytes_buf *b)
{
    struct zl z = zl_new();
    zl_str(&z, "f"), zl_str(&z, "v"), zl_str(&z, "f"), zl_str(&z, "v");
    rb_key(b, RDB_TYPE_HASH_ZIPLIST, "k"), zl_put(&z, b);
}
static void build_twice_in_zset_ziplist(struct bytes_buf *b)
{
    struct zl z = zl_new();
    zl_str(&z, "f"), zl_str(&z, "1"), zl_str(&z, "f"), zl_str(&z, "1");
    rb_key(b, RDB_TYPE_ZSET_ZIPLIST, "k"), zl_put(&z, b);
}
static void build_twice_in_zipmap(struct bytes_buf *b)
{
    rb_key(b, RDB_TYPE_HASH_ZIPMAP, "k"), rb_view(b, BYTES_LIT("\x02"
                                                               "\x01"
                                                               "f"
                                                               "\x01\x00"
                                                               "v"
                                                               "\x01"
                                                               "f"
                                                               "\x01\x00"
                                                               "v"
                                                               "\xff"));
}
static void build_twice_in_big_set_listpack(struct bytes_buf *b)
{
    unsigned char *lp = lp_new(0);
    for (int i = 0; i < 200; i++) lp = lp_append_int(lp, i);
    lp = lp_append_int(lp, 77);
    rb_key(b, RDB_TYPE_SET_LISTPACK, "k"), rb_view(b, bytes_view(lp, lp_bytes(lp)));
    lp_free(lp);
}

static void build_odd_hash_listpack(struct bytes_buf *b)
{
    rb_key(b, RDB_TYPE_HASH_LISTPACK, "k"), LP_PUT(b, "f", "v", "g");
}
static void build_odd_zset_listpack(struct bytes_buf *b)
{
    rb_key(b, RDB_TYPE_ZSET_LISTPACK, "k"), LP_PUT(b, "f", "1", "g");
}
static void build_odd_ziplist(struct bytes_buf *b)
{
    struct zl z = zl_new();
    zl_str(&z, "f"), zl_str(&z, "1"), zl_str(&z, "g");
    rb_key(b, RDB_TYPE_HASH_ZIPLIST, "k"), zl_put(&z, b);
}

static void build_nan_binary(struct bytes_buf *b)
{
    rb_key(b, RDB_TYPE_ZSET_2, "k"), rb_len(b, 1), rb_str(b, "m"), rb_le(b, 0x7ff8000000000000, 8);
}
static void build_nan_text(struct bytes_buf *b)
{
    rb_key(b, RDB_TYPE_ZSET, "k"), rb_len(b, 1), rb_str(b, "m"), rb_byte(b, RDB_SCORE_NAN);
}
static void build_nan_text_2(struct bytes_buf *b)
{
    rb_key(b, RDB_TYPE_ZSET, "k"), rb_len(b, 1), rb_str(b, "m"), rb_str(b, "nan");
}
static void build_no_score_text(struct bytes_buf *b)
{
    rb_key(b, RDB_TYPE_ZSET, "k"), rb_len(b, 1), rb_str(b, "m"), rb_str(b, "");
}
static void build_nan_listpack(struct bytes_buf *b)
{
    rb_key(b, RDB_TYPE_ZSET_LISTPACK, "k"), LP_PUT(b, "m", "nan");
}
static void build_word_listpack(struct bytes_buf *b)
{
    rb_key(b, RDB_TYPE_ZSET_LISTPACK, "k"), LP_PUT(b, "m", "1x");
}

static void build_bad_ziplist(struct bytes_buf *b)
{
    rb_key(b, RDB_TYPE_LIST_ZIPLIST, "k"), rb_view(b, BYTES_LIT("\x0e\0\0\0\x0a\0\0\0\x01\0\x00\x05"
                                                                "a\xff"));
}
static void build_bad_listpack(struct bytes_buf *b)
{
    rb_key(b, RDB_TYPE_HASH_LISTPACK, "k"), rb_view(b, BYTES_LIT("\x0d\0\0\0\x02\0\x85"
                                                                 "a\x02\x81"
                                                                 "b\x02\xff"));
}
static void build_bad_node(struct bytes_buf *b)
{
    rb_key(b, RDB_TYPE_LIST_QUICKLIST_2, "k"), rb_len(b, 1), rb_len(b, 2), rb_str(b, "junk");
}
static void build_empty_plain_node(struct bytes_buf *b)
{
    rb_key(b, RDB_TYPE_LIST_QUICKLIST_2, "k"), rb_len(b, 1), rb_len(b, RDB_QUICKLIST_PLAIN), rb_str(b, "");
}
static void build_bad_node_kind(struct bytes_buf *b)
{
    rb_key(b, RDB_TYPE_LIST_QUICKLIST_2, "k"), rb_len(b, 1), rb_len(b, 3), rb_str(b, "junk");
}
static void build_bad_zipmap(struct bytes_buf *b)
{
    rb_key(b, RDB_TYPE_HASH_ZIPMAP, "k"), rb_view(b, BYTES_LIT("\x01"
                                                               "\xfe\xff\xff\xff\xff"
                                                               "foo\xff"));
}
static void build_bad_intset(struct bytes_buf *b)
{
    rb_key(b, RDB_TYPE_SET_INTSET, "k"), rb_view(b, BYTES_LIT("\x03\0\0\0\x01\0\0\0\x01\0\0"));
}

#define A26 "aaaaaaaaaaaaaaaaaaaaaaaaaa"
#define W50 "wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwww"

static const struct sample good[] = {
    {"strings", 9, build_strings,
     "raw=string[hello];empty=string[];i8=string[-123];i16=string[12345];i32=string[-2147483648];123=string["
     "int\\x20key];"
     "len14=string[xyz];len32=string[xyz];len64=string[xyz];lzf=string[" A26 "];"},
    {"attributes", 9, build_attributes,
     "(redis-ver=7.0.15)(redis-bits=64)<db5><db5 has 300,2>ms#5@1234567890123=string[v];s#5@1671963072000=string[v];"
     "past#5@0=string[v];idle#5@77~100000=string[v];freq#5^255=string[v];<db0>none=string[v];"},
    {"plain types", 1, build_plain_types, "l=list[a  7 a];s=set[ x y];si=set[10 9];h=hash[:9 f:v];"},
    {"scores as text", 1, build_text_scores, "z=zset[low:-inf neg:-1e+20 one:1 pi:3.1400000000000001 top:inf];"},
    {"binary scores", 8, build_binary_scores, "z=zset[d:-inf b:-0.25 e:4.9406564584124654e-324 a:1.5 c:inf];"},
    {"zipmap", 2, build_zipmap, "h=hash[foo:bar hello:42];"},
    {"list ziplist", 4, build_list_ziplist,
     "l=list[a  " W50 W50 W50 W50 W50 W50 " after\\x20a\\x20wide\\x20one 0 12 -128 -32768 -8388608 -2147483648 "
     "-9223372036854775808 9223372036854775807 zz];"},
    {"intsets", 4, build_intsets, "i16=set[-2 1 2];i32=set[-2147483648 2147483647];i64=set[-9223372036854775808];"},
    {"other ziplists", 6, build_other_ziplists, "z=zset[a:-inf b:2 c:2.5];h=hash[1000:9 f:v];unsorted=zset[a:1 b:2];"},
    {"quicklist", 7, build_quicklist, "l=list[a 50 z];"},
    {"quicklist 2", 10, build_quicklist_2, "l=list[a -1 b plain p2 5000000000 c];one=list[a];"},
    {"listpacks", 11, build_listpacks,
     "h=hash[2:-3 : f:v];z=zset[m:-inf a:1 b:1 c:1.5];s=set[ 1 x];unsorted=zset[9:1 b:1 a:2];"},
    {"zero with a sign", 10, build_negative_zero, "z=zset[a:0 b:0 c:0];"},
    {"Redis's listpack", 10, build_redis_listpack, "h=hash[a:1024 hello:-5];"},
    {"field times", 12, build_field_times,
     "h=hash[first:1@1700000000000 last:x@1700000100000 stays: too:y@1700000000000];"
     "old=hash[f:v@1700000000001 g:w];lp=hash[7:v@5 9: g:w@5];oldlp=hash[f:1@281474976710654];"},
    {"no field times", 12, build_no_field_times, "h=hash[f:v];lp=hash[f:v];"},
    {"nothing", 12, build_nothing, ""},
    {"nothing, without a checksum", 4, build_nothing, ""},
};

static const struct sample bad[] = {
    {"function", 10, build_function, "!function library 'mylib': there is no place for it here"},
    {"old function", 10, build_old_function, "!function library 'oldlib': it is in the format of a release candidate"},
    {"function without code", 10, build_function_without_code, "!function library '?'"},
    {"module data", 9, build_module_aux,
     "!The RDB file contains AUX module data I can't load: no matching module 'ReJSON-RL'"},
    {"module value", 9, build_module_value,
     "!key 'doc': The RDB file contains module data I can't load: no matching module type 'ReJSON-RL'"},
    {"old module value", 9, build_old_module_value, "!no matching module type 'ReJSON-RL'"},
    {"late field time", 12, build_late_field_time, "!key 'k': Hash with a time that is out of range"},
    {"late first time", 12, build_late_first_time, "!with a time that is out of range"},
    {"wrapping field time", 12, build_wrapping_field_time, "!with a time that is out of range"},
    {"field time, but no first", 12, build_field_time_of_nothing, "!with a time that is out of range"},
    {"late old field time", 12, build_late_old_field_time, "!with a time that is out of range"},
    {"late packed field time", 12, build_late_packed_field_time, "!with a time that is out of range"},
    {"negative field time", 12, build_negative_field_time, "!with a time that is out of range"},
    {"word for a field time", 12, build_word_for_field_time, "!with a time that is out of range"},
    {"unordered field times", 12, build_unordered_field_times,
     "!Hash listpackex with fields that are not in the order of their times"},
    {"field time behind none", 12, build_field_time_behind_none,
     "!Hash listpackex with fields that are not in the order of their times"},
    {"missing field time", 12, build_missing_field_time, "!integrity check failed: a field or score is missing"},
    {"twice in a timed hash listpack", 12, build_twice_with_field_times, "!Hash listpackex with dup elements"},
    {"twice in a timed hash", 12, build_twice_with_times, "!an element appears twice"},
    {"empty timed hash", 12, build_empty_with_field_times, "!empty collection"},
    {"empty timed hash listpack", 12, build_empty_listpack_with_times, "!empty collection"},
    {"unknown opcode", 9, build_unknown_opcode, "!at byte 9: unknown type or opcode 200"},
    {"unknown type", 9, build_unknown_type, "!unknown type or opcode 8"},
    {"database out of range", 9, build_far_db, "!at byte 10: database 16 does not exist: there are 16"},
    {"CVE_no_id slot out of range", 12, build_bad_slot, "!slot 16384 is out of range"},
    {"form of length", 9, build_bad_length, "!unknown form of length 130"},
    {"string encoding", 9, build_bad_encoding, "!unknown string encoding 4"},
    {"encoded string for a length", 9, build_encoded_length, "!a length is due"},
    {"expiry without key", 9, build_dangling_expiry, "!between the attributes of a key and the key"},
    {"string over the limit", 9, build_huge_string,
     "!key 'k': a string of 1152921504606846976 bytes is longer than the limit"},
    {"compressed string, impossible size", 9, build_lzf_bomb,
     "!a compressed string of 10 bytes cannot come to 1073741824"},
    {"compressed string, damaged", 9, build_lzf_damaged, "!a compressed string is damaged"},
    {"empty list", 9, build_empty_list, "!key 'k': empty collection"},
    {"empty set", 9, build_empty_set, "!empty collection"},
    {"empty hash", 9, build_empty_hash, "!empty collection"},
    {"empty zset", 9, build_empty_zset, "!empty collection"},
    {"empty quicklist", 10, build_empty_quicklist, "!empty collection"},
    {"quicklist of empty nodes", 10, build_quicklist_of_nothing, "!empty collection"},
    {"empty zset ziplist", 9, build_empty_ziplist, "!empty collection"},
    {"empty hash ziplist", 9, build_empty_hash_ziplist, "!empty collection"},
    {"empty list ziplist", 9, build_empty_list_ziplist, "!empty collection"},
    {"empty hash listpack", 10, build_empty_listpack, "!empty collection"},
    {"empty set listpack", 11, build_empty_set_listpack, "!empty collection"},
    {"empty zset listpack", 10, build_empty_zset_listpack, "!empty collection"},
    {"empty zipmap", 3, build_empty_zipmap, "!Zipmap integrity check failed"},
    {"empty intset", 4, build_empty_intset, "!empty collection"},
    {"twice in a set", 9, build_twice_in_set, "!an element appears twice"},
    {"twice in a hash", 9, build_twice_in_hash, "!an element appears twice"},
    {"twice in a zset", 9, build_twice_in_zset, "!an element appears twice"},
    {"twice in a hash listpack", 10, build_twice_in_hash_listpack, "!Hash listpack with dup elements"},
    {"twice in a zset listpack", 10, build_twice_in_zset_listpack, "!Zset listpack with dup elements"},
    {"twice in an unsorted one", 10, build_twice_in_unsorted_zset_listpack, "!Zset listpack with dup elements"},
    {"twice in a set listpack", 11, build_twice_in_set_listpack, "!Set listpack with dup elements"},
    {"twice in a big set listpack", 11, build_twice_in_big_set_listpack, "!Set listpack with dup elements"},
    {"twice in an intset", 9, build_twice_in_intset, "!Intset integrity check failed"},
    {"unsorted intset", 9, build_unsorted_intset, "!Intset integrity check failed"},
    {"twice in a hash ziplist", 9, build_twice_in_hash_ziplist, "!Hash ziplist with dup elements"},
    {"twice in a zset ziplist", 9, build_twice_in_zset_ziplist, "!Zset ziplist with dup elements"},
    {"twice in a zipmap", 3, build_twice_in_zipmap, "!Zipmap with dup elements"},
    {"odd hash listpack", 10, build_odd_hash_listpack, "!a field or score is missing"},
    {"odd zset listpack", 10, build_odd_zset_listpack, "!a field or score is missing"},
    {"odd hash ziplist", 9, build_odd_ziplist, "!a field or score is missing"},
    {"NaN", 9, build_nan_binary, "!a score is not a number"},
    {"NaN as text", 9, build_nan_text, "!a score is not a number"},
    {"NaN in letters", 9, build_nan_text_2, "!a score is not a number"},
    {"no score", 9, build_no_score_text, "!a score is not a number"},
    {"NaN in a listpack", 10, build_nan_listpack, "!Zset listpack with a score that is not a number"},
    {"no number in a listpack", 10, build_word_listpack, "!Zset listpack with a score that is not a number"},
    {"ziplist", 9, build_bad_ziplist, "! ziplist integrity check failed"},
    {"listpack", 10, build_bad_listpack, "! listpack integrity check failed"},
    {"list node", 10, build_bad_node, "! listpack integrity check failed"},
    {"plain list node of nothing", 10, build_empty_plain_node, "!Quicklist listpack with an empty plain node"},
    {"kind of list node", 10, build_bad_node_kind, "!unknown kind of list node 3"},
    {"zipmap", 3, build_bad_zipmap, "!Zipmap integrity check failed"},
    {"intset", 9, build_bad_intset, "!Intset integrity check failed"},
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static struct bytes_buf build(const struct sample *s)
{
    struct bytes_buf b = {0};
    rb_begin(&b, s->version);
    s->build(&b);
    rb_end(&b, s->version);
    return b;
}

static const struct rdb_reader_options sixteen = {.max_db = 16};

static void check_outcome(const struct sample *s, struct outcome *o)
{
    bool wants_error = s->expect[0] == '!';
    bool right = wants_error ? o->status == RDB_ERROR && strstr(o->error, s->expect + 1) != NULL
                             : o->status == RDB_DONE && strcmp(o->text.data, s->expect) == 0;
    if (!right)
        fail_msg("%s: status %d, text \"%s\", error \"%s\", wanted \"%s\"", s->name, o->status, o->text.data, o->error,
                 s->expect);
    outcome_release(o);
}

static void check_sample(struct fixture *f, const struct sample *s)
{
    struct bytes_buf file = build(s);
    for (size_t split = 0; split < file.len; split++) {
        struct outcome o = read_with(f, sixteen, bytes_buf_view(&file), split, file.len);
        if (s->expect[0] != '!') assert_int_equal(o.consumed, file.len);
        check_outcome(s, &o);
    }
    for (size_t chunk = 1; chunk < 20; chunk += 3) {
        struct outcome o = read_with(f, sixteen, bytes_buf_view(&file), 0, chunk);
        check_outcome(s, &o);
    }
    bytes_buf_release(&file);
}

static void test_every_encoding_in_every_split(void **state)
{
    for (size_t i = 0; i < COUNT(good); i++) check_sample(*state, &good[i]);
}

static void test_CVE_2026_25243_bad_values_are_errors_in_every_split(void **state)
{
    for (size_t i = 0; i < COUNT(bad); i++) check_sample(*state, &bad[i]);
}

static void test_F7_truncated_at_every_byte(void **state)
{
    for (size_t i = 0; i < COUNT(good); i++) {
        struct bytes_buf file = build(&good[i]);
        for (size_t len = 0; len < file.len; len++) {
            struct outcome o = read_with(*state, sixteen, bytes_view(file.data, len), 0, 1 + len % 17);
            assert_int_equal(o.status, RDB_MORE);
            outcome_release(&o);
        }
        bytes_buf_release(&file);
    }
}

static void test_flipped_bits_never_crash(void **state)
{
    struct rdb_reader_options options = {
        .max_db = 16, .ignore_checksum = true, .skip_functions = true, .skip_empty = true};
    for (size_t i = 0; i < COUNT(good); i++) {
        struct bytes_buf file = build(&good[i]);
        for (size_t bit = 0; bit < file.len * 8; bit++) {
            file.data[bit / 8] ^= (char)(1 << bit % 8);
            struct outcome o = read_with(*state, options, bytes_buf_view(&file), 0, file.len);
            outcome_release(&o);
            file.data[bit / 8] ^= (char)(1 << bit % 8);
        }
        bytes_buf_release(&file);
    }
}

static void test_a_flipped_bit_fails_the_checksum(void **state)
{
    struct bytes_buf file = build(&good[0]);
    file.data[16] ^= 1; /* inside a string */
    struct outcome o = read_with(*state, sixteen, bytes_buf_view(&file), 0, 7);
    assert_int_equal(o.status, RDB_ERROR);
    assert_non_null(strstr(o.error, "RDB CRC error"));
    outcome_release(&o);
    struct rdb_reader_options options = {.ignore_checksum = true};
    o = read_with(*state, options, bytes_buf_view(&file), 0, 7);
    assert_int_equal(o.status, RDB_DONE);
    outcome_release(&o);
    memset(file.data + file.len - 8, 0, 8); /* "not computed" */
    o = read_with(*state, sixteen, bytes_buf_view(&file), 0, 7);
    assert_int_equal(o.status, RDB_DONE);
    outcome_release(&o);
    bytes_buf_release(&file);
}

static void check_magic(struct fixture *f, const char *magic, const char *error)
{
    struct outcome o = read_with(f, sixteen, bytes_str(magic), 0, 4);
    assert_int_equal(o.status, error == NULL ? RDB_MORE : RDB_ERROR);
    if (error != NULL && strstr(o.error, error) == NULL) fail_msg("%s: %s", magic, o.error);
    outcome_release(&o);
}

static void test_magic_and_versions(void **state)
{
    check_magic(*state, "REDIS0001", NULL);
    check_magic(*state, "REDIS0012", NULL);
    check_magic(*state, "REDIS0000", "Can't handle RDB format version 0");
    check_magic(*state, "REDIS0013", "Can't handle RDB format version 13");
    check_magic(*state, "REDIS9999", "Can't handle RDB format version 9999");
    check_magic(*state, "REDIS00a1", "wrong signature");
    check_magic(*state, "redis0009", "wrong signature");
    check_magic(*state, "VALKEY080", "Valkey");
    check_magic(*state, "*3\r\n$3\r\nSET", "wrong signature");
}

static void test_what_follows_the_end_is_left(void **state)
{
    for (int version = 4; version <= 11; version += 7) {
        struct sample s = {"", version, build_strings, ""};
        struct bytes_buf file = build(&s);
        size_t len = file.len;
        bytes_buf_append(&file, "*1\r\n$4\r\nPING\r\n", 14);
        for (size_t first = 1; first < file.len; first++) {
            struct outcome o = read_with(*state, sixteen, bytes_buf_view(&file), first, file.len);
            assert_int_equal(o.status, RDB_DONE);
            assert_int_equal(o.consumed, len);
            outcome_release(&o);
        }
        bytes_buf_release(&file);
    }
}

static const struct sample skipped[] = {
    {"functions", 10, build_function, "(skip function mylib)k=string[v];"},
    {"old functions", 10, build_old_function, "(skip function oldlib)(skip function other)k=string[v];"},
    {"module data", 9, build_module_aux, "(skip data of ReJSON-RL)k=string[v];"},
    {"module value", 9, build_module_value, "(skip value of ReJSON-RL)k=string[v];"},
    {"old module value", 9, build_old_module_value, "!in the old form"},
    {"module data without its time", 9, build_module_aux_without_when, "!bad when_opcode"},
    {"unknown module item", 9, build_unknown_module_item, "!an item of unknown kind 6"},
};

static void test_functions_modules_and_empty_keys_are_skipped_only_on_request(void **state)
{
    struct rdb_reader_options options = {.skip_functions = true, .skip_modules = true, .skip_empty = true};
    struct sample s;
    struct bytes_buf file;
    struct outcome o;
    for (size_t i = 0; i < COUNT(skipped); i++) {
        file = build(&skipped[i]);
        for (size_t chunk = 1; chunk <= file.len; chunk++) {
            o = read_with(*state, options, bytes_buf_view(&file), 0, chunk);
            check_outcome(&skipped[i], &o);
        }
        bytes_buf_release(&file);
    }
    for (size_t i = 0; i < COUNT(bad); i++) {
        if (strstr(bad[i].expect, "empty collection") == NULL) continue;
        s = bad[i];
        s.expect = "(skip key k)";
        file = build(&s);
        o = read_with(*state, options, bytes_buf_view(&file), 0, 3);
        check_outcome(&s, &o);
        bytes_buf_release(&file);
    }
}

static void test_listpacks_over_the_limits_are_converted(void **state)
{
    struct fixture *f = *state;
    struct sample s = {"over the limits", 11, build_over_the_limits, ""};
    struct bytes_buf file = build(&s);
    struct outcome o = read_with(f, sixteen, bytes_buf_view(&file), 0, 1000);
    assert_int_equal(o.status, RDB_DONE);
    assert_non_null(strstr(o.text.data, "12800384 ")); /* 128 * 100003 */
    outcome_release(&o);
    f->limits.set_max_listpack_entries = 1000; /* now it stays one */
    o = read_with(f, sixteen, bytes_buf_view(&file), 0, 1000);
    assert_int_equal(o.status, RDB_DONE);
    outcome_release(&o);
    f->limits = encoding_limits_default();
    bytes_buf_release(&file);
}

static int on_timed_hash(void *ctx, const struct rdb_key *key)
{
    const struct hash *h = key->value;
    check_value(key->type, key->value);
    bytes_buf_printf(ctx, "%d fields, %d with times, first at %d, table %d;", (int)hash_count(h),
                     (int)hash_timed_fields(h), (int)hash_next_time(h), hash_table(h) != NULL);
    value_free(key->type, key->value);
    return 0;
}

/* Redis 7.0 makes such nodes: the element has less than 2^30 bytes, the listpack around it slightly more. */
static void test_fault_12_a_list_node_above_the_limit_of_listpacks(void **state)
{
    struct fixture *f = *state;
    struct lp_encoded e;
    struct number_text text;
    struct bytes_view got;
    size_t len = LP_MAX_BYTES - 1;
    unsigned char *blob = mem_calloc(len + 64), *p = blob + LP_HEADER_SIZE; /* untouched pages of zeros */
    lp_encode(&e, bytes_view(blob, len));
    memcpy(p, e.head, e.head_len);
    memcpy(p + e.head_len + len, e.back, e.back_len);
    size_t total = LP_EMPTY_SIZE + e.head_len + len + e.back_len;
    lp_frame(blob, total, 1);
    assert_true(total > LP_MAX_BYTES);
    struct list *l = list_new(&f->env);
    assert_null(rdb_unpack_listpack_node(l, bytes_view(blob, total)));
    assert_int_equal(list_count(l), 1);
    assert_true(list_peek(l, LIST_HEAD, &text, &got));
    assert_int_equal(got.len, len);
    blob[total - 2] ^= 1; /* damage is found there too */
    assert_non_null(rdb_unpack_listpack_node(l, bytes_view(blob, total)));
    list_free(l);
    mem_free(blob);
}

static void test_timed_listpacks_over_the_limits_are_converted(void **state)
{
    struct fixture *f = *state;
    struct sample s = {"over the limits", 12, build_timed_over_the_limits, ""};
    struct bytes_buf file = build(&s), text = {0};
    struct rdb_callbacks callbacks = {.ctx = &text, .on_key = on_timed_hash};
    for (int i = 0; i < 2; i++) {
        struct rdb_reader *r = rdb_reader_new(&(struct rdb_reader_options){.env = &f->env}, &callbacks);
        size_t used;
        assert_int_equal(rdb_reader_feed(r, bytes_buf_view(&file), &used), RDB_DONE);
        rdb_reader_free(r);
        f->limits.hash_max_entries = 600; /* then it stays one */
    }
    bytes_buf_append(&text, "", 1);
    assert_string_equal(text.data, "600 fields, 450 with times, first at 1000, table 1;"
                                   "600 fields, 450 with times, first at 1000, table 0;");
    f->limits = encoding_limits_default();
    bytes_buf_release(&text);
    bytes_buf_release(&file);
}

/* Long string values are collected in the buffer that becomes the value. */
struct long_value {
    struct bytes_view want;
    bool take;
    unsigned seen, blobs;
};

static int on_long_key(void *ctx, const struct rdb_key *key)
{
    struct long_value *v = ctx;
    v->seen++;
    if (!bytes_equal(key->name, BYTES_LIT("long"))) return 0;
    assert_true(bytes_equal(key->string, v->want));
    if (key->blob == NULL) return 0;
    v->blobs++;
    assert_int_equal((*key->blob)->len, v->want.len);
    assert_ptr_equal((*key->blob)->data, key->string.data);
    if (!v->take) return 0;
    mem_free(*key->blob);
    *key->blob = NULL;
    return 0;
}

static void feed_long(struct fixture *f, struct bytes_view file, size_t len, size_t chunk, struct long_value *v)
{
    struct rdb_reader_options options = {.env = &f->env};
    struct rdb_callbacks callbacks = {.ctx = v, .on_key = on_long_key};
    struct rdb_reader *r = rdb_reader_new(&options, &callbacks);
    enum rdb_status status = RDB_MORE;
    size_t pos = 0, used;
    for (; status == RDB_MORE && pos < len; pos += used) {
        size_t n = chunk < len - pos ? chunk : len - pos;
        char *piece = malloc(n);
        memcpy(piece, file.data + pos, n);
        status = rdb_reader_feed(r, bytes_view(piece, n), &used);
        free(piece);
    }
    assert_int_equal(status, len == file.len ? RDB_DONE : RDB_MORE);
    assert_int_equal(v->seen, len == file.len ? 3 : v->seen);
    rdb_reader_free(r);
}

static void test_long_strings_in_pieces(void **state)
{
    static const size_t lengths[] = {32767, 32768, 100000, 1000003};
    for (size_t i = 0; i < COUNT(lengths); i++) {
        struct bytes_buf text = {0}, file = {0};
        for (size_t k = 0; k < lengths[i]; k++) rb_byte(&text, (unsigned)(k * k % 253));
        rb_begin(&file, 9);
        rb_key(&file, RDB_TYPE_STRING, "before"), rb_str(&file, "x");
        rb_key(&file, RDB_TYPE_STRING, "long"), rb_view(&file, bytes_buf_view(&text));
        rb_key(&file, RDB_TYPE_STRING, "after"), rb_str(&file, "x");
        rb_end(&file, 9);
        for (size_t chunk = 1; chunk < 2 * file.len; chunk = chunk < 8 ? chunk + 1 : chunk * 3) {
            struct long_value v = {.want = bytes_buf_view(&text), .take = chunk & 1};
            if (chunk < 8 && lengths[i] > 100000) continue;
            feed_long(*state, bytes_buf_view(&file), file.len, chunk, &v);
            assert_int_equal(v.blobs, lengths[i] >= 32768 && chunk < 32000 ? 1 : v.blobs);
        }
        for (size_t cut = 1; cut < file.len; cut = cut < 60 ? cut + 1 : cut * 2) {
            struct long_value v = {.want = bytes_buf_view(&text)};
            feed_long(*state, bytes_buf_view(&file), cut, 1000, &v);
        }
        bytes_buf_release(&text);
        bytes_buf_release(&file);
    }
}

/* A file that announces enormous sizes causes no large allocation before the bytes arrive. */
static void test_announced_sizes_are_not_believed(void **state)
{
    static const unsigned types[] = {RDB_TYPE_STRING,
                                     RDB_TYPE_LIST,
                                     RDB_TYPE_SET,
                                     RDB_TYPE_HASH,
                                     RDB_TYPE_ZSET_2,
                                     RDB_TYPE_LIST_QUICKLIST,
                                     RDB_TYPE_LIST_QUICKLIST_2,
                                     RDB_TYPE_HASH_LISTPACK};
    for (size_t i = 0; i < COUNT(types); i++) {
        struct bytes_buf file = {0};
        struct outcome o = {0};
        size_t used;
        rb_begin(&file, 11);
        rb_byte(&file, RDB_OP_RESIZEDB), rb_len(&file, UINT64_MAX), rb_len(&file, UINT64_MAX);
        rb_key(&file, types[i], "k"), rb_len(&file, UINT32_MAX), bytes_buf_append(&file, "\x02\x50", 2);
        mem_thread_register();
        size_t before = mem_used();
        struct rdb_reader *r = reader_for(*state, (struct rdb_reader_options){.max_string = (uint64_t)1 << 40}, &o);
        assert_int_equal(rdb_reader_feed(r, bytes_buf_view(&file), &used), RDB_MORE);
        assert_true(mem_used() < before + 4 * 1024 * 1024);
        rdb_reader_free(r);
        outcome_release(&o);
        bytes_buf_release(&file);
    }
}

static int refuse_key(void *ctx, const struct rdb_key *key)
{
    if (key->value != NULL) value_free(key->type, key->value);
    if (ctx != NULL) rdb_reader_set_error(*(struct rdb_reader **)ctx, "no thanks");
    return -EPERM;
}

static void test_callbacks_can_refuse(void **state)
{
    struct fixture *f = *state;
    struct bytes_buf file = build(&good[2]);
    for (int i = 0; i < 2; i++) {
        struct rdb_reader *r = NULL;
        struct rdb_reader_options options = {.env = &f->env};
        struct rdb_callbacks callbacks = {.ctx = i == 0 ? NULL : &r, .on_key = refuse_key};
        size_t used;
        r = rdb_reader_new(&options, &callbacks);
        assert_int_equal(rdb_reader_feed(r, bytes_buf_view(&file), &used), RDB_ERROR);
        assert_non_null(strstr(rdb_reader_error(r), i == 0 ? "refused" : "no thanks"));
        assert_non_null(strstr(rdb_reader_error(r), "key 'l'"));
        rdb_reader_free(r);
    }
    bytes_buf_release(&file);
}

/* ---- RESTORE ---- */

static struct bytes_buf payload(struct bytes_view body, int version)
{
    struct bytes_buf b = {0};
    bytes_buf_append_view(&b, body);
    rb_le(&b, (uint64_t)version, 2);
    rb_le(&b, crc64(0, b.data, b.len), 8);
    return b;
}

static int restore(struct fixture *f, struct bytes_view bytes, struct bytes_buf *text)
{
    enum value_type type = TYPE_STRING;
    void *value = NULL;
    struct bytes_buf string = {0}, why = {0};
    int rc = rdb_restore(bytes, &f->env, &type, &value, &string, &why);
    assert_int_equal(why.len > 0, rc == -EINVAL);
    bytes_buf_release(&why);
    text->len = 0;
    if (rc == 0) render_value(text, type, value, bytes_buf_view(&string));
    if (value != NULL) value_free(type, value);
    bytes_buf_release(&string);
    bytes_buf_append(text, "", 1);
    return rc;
}

static void test_restore(void **state)
{
    struct bytes_buf text = {0};
    struct bytes_buf p = payload(BYTES_LIT("\x00\x05hello"), 9);
    assert_int_equal(restore(*state, bytes_buf_view(&p), &text), 0);
    assert_string_equal(text.data, "string[hello]");
    bytes_buf_release(&p);
    p = payload(BYTES_LIT("\x02\x02\x01"
                          "a\xc0\x05"),
                12);
    assert_int_equal(restore(*state, bytes_buf_view(&p), &text), 0);
    assert_string_equal(text.data, "set[5 a]");
    for (size_t len = 0; len < p.len; len++)
        assert_int_equal(restore(*state, bytes_view(p.data, len), &text), -EBADMSG);
    for (size_t bit = 0; bit < p.len * 8; bit++) {
        p.data[bit / 8] ^= (char)(1 << bit % 8);
        assert_int_equal(restore(*state, bytes_buf_view(&p), &text), -EBADMSG);
        p.data[bit / 8] ^= (char)(1 << bit % 8);
    }
    bytes_buf_release(&p);
    bytes_buf_release(&text);
}

static void test_CVE_2026_25243_restore_refuses_bad_data(void **state)
{
    static const struct bytes_view bodies[] = {
        {"", 0},
        {"\x00", 1},
        {"\x00\x05hell", 6},
        {"\x00\x05hello!", 8},
        {"\x02\x00", 2},
        {"\x02\x02\x01"
         "a\x01"
         "a",
         6},
        {"\xfc\0\0\0\0\0\0\0\0\x00\x01"
         "a",
         12},
        {"\xff", 1},
        {"\x0f\x00", 2},
        {"\x02\x01\x01"
         "a!",
         5},
        {"\x08", 1},
    };
    struct bytes_buf text = {0};
    for (size_t i = 0; i < COUNT(bodies); i++) {
        struct bytes_buf p = payload(bodies[i], 10);
        assert_int_equal(restore(*state, bytes_buf_view(&p), &text), -EINVAL);
        bytes_buf_release(&p);
        p = payload(bodies[i], 13);
        assert_int_equal(restore(*state, bytes_buf_view(&p), &text), -EBADMSG);
        bytes_buf_release(&p);
    }
    bytes_buf_release(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_encoding_in_every_split),
        cmocka_unit_test(test_CVE_2026_25243_bad_values_are_errors_in_every_split),
        cmocka_unit_test(test_F7_truncated_at_every_byte),
        cmocka_unit_test(test_flipped_bits_never_crash),
        cmocka_unit_test(test_a_flipped_bit_fails_the_checksum),
        cmocka_unit_test(test_magic_and_versions),
        cmocka_unit_test(test_what_follows_the_end_is_left),
        cmocka_unit_test(test_functions_modules_and_empty_keys_are_skipped_only_on_request),
        cmocka_unit_test(test_listpacks_over_the_limits_are_converted),
        cmocka_unit_test(test_fault_12_a_list_node_above_the_limit_of_listpacks),
        cmocka_unit_test(test_timed_listpacks_over_the_limits_are_converted),
        cmocka_unit_test(test_long_strings_in_pieces),
        cmocka_unit_test(test_announced_sizes_are_not_believed),
        cmocka_unit_test(test_callbacks_can_refuse),
        cmocka_unit_test(test_restore),
        cmocka_unit_test(test_CVE_2026_25243_restore_refuses_bad_data),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
