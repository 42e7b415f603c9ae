/* fuzz_rdb.c -- any bytes as an RDB file, in any pieces, for the loader or the checker.
 * The result is an error, or a keyspace that keeps its invariants and whose own file gives the same keyspace again. The
 * first three bytes choose the pieces and the options. */
#include "storage/base/assert.h"
#include "storage/base/memory.h"
#include "storage/digest.h"
#include "storage/rdb_check.h"
#include "storage/rdb_load.h"
#include "storage/rdb_writer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct keyspace *new_keyspace(const struct encoding_limits *limits)
{
    struct keyspace *ks = keyspace_new(4, limits, NULL, sys_real());
    keyspace_set_time(ks, 1700000000000);
    ks->expiry_mode = EXPIRY_IGNORE;
    return ks;
}

/* Every piece has an allocation of its own, so the sanitizer sees a read beyond it, or after it is freed. */
static enum rdb_status feed(struct rdb_load *l, struct bytes_view in, size_t piece)
{
    enum rdb_status status = RDB_MORE;
    for (size_t pos = 0, used = 0; status == RDB_MORE && pos < in.len; pos += used) {
        size_t n = in.len - pos < piece ? in.len - pos : piece;
        char *copy = mem_alloc(n);
        memcpy(copy, in.data + pos, n);
        status = rdb_load_feed(l, bytes_view(copy, n), &used);
        ASSERT(used <= n && (status != RDB_MORE || used == n));
        mem_free(copy);
    }
    ASSERT((status == RDB_ERROR) == (rdb_load_error(l)[0] != '\0'));
    return status;
}

static enum rdb_status load(struct keyspace *ks, struct bytes_view in, size_t piece, unsigned flags)
{
    struct rdb_load_options options = {.keep_expired = !(flags & 1), .ignore_checksum = true};
    struct rdb_load *l = rdb_load_new(ks, &options);
    enum rdb_status status = feed(l, in, piece);
    rdb_load_free(l);
    keyspace_check(ks);
    return status;
}

static void count_line(void *ctx, const char *text)
{
    *(size_t *)ctx += strlen(text);
}

/* The checker also reads what loading refuses: functions, and data of modules. */
static void check_file(struct bytes_view in, size_t piece)
{
    size_t said = 0;
    struct rdb_check_output out = {.ctx = &said, .line = count_line};
    struct rdb_check *c = rdb_check_new(sys_real(), &out);
    bool more = true;
    for (size_t pos = 0; more && pos < in.len; pos += piece) {
        if (in.len - pos < piece) piece = in.len - pos;
        char *copy = mem_alloc(piece);
        memcpy(copy, in.data + pos, piece);
        more = rdb_check_feed(c, bytes_view(copy, piece));
        mem_free(copy);
    }
    (void)rdb_check_finish(c); /* either result is valid */
    ASSERT(said > 0);
    rdb_check_free(c);
}

static int append(void *ctx, const void *data, size_t len)
{
    bytes_buf_append(ctx, data, len);
    return 0;
}

static void check_round_trip(struct keyspace *ks, const struct encoding_limits *limits, int version)
{
    unsigned char first[DIGEST_SIZE], second[DIGEST_SIZE];
    struct bytes_buf file = {0};
    struct rdb_options options = {.version = version, .compress = true, .checksum = true};
    struct rdb_info info = {0};
    struct rdb_writer *w = rdb_writer_new(&options, (struct rdb_sink){.write = append, .ctx = &file});
    int rc = rdb_write_keyspace(w, ks, &info, NULL);
    ASSERT(rc == 0);
    rdb_writer_free(w);
    struct keyspace *copy = new_keyspace(limits);
    enum rdb_status status = load(copy, bytes_buf_view(&file), SIZE_MAX, 0);
    ASSERT(status == RDB_DONE);
    digest_keyspace(ks, first);
    digest_keyspace(copy, second);
    ASSERT(memcmp(first, second, DIGEST_SIZE) == 0);
    keyspace_free(copy);
    bytes_buf_release(&file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 3) return 0;
    struct encoding_limits limits = encoding_limits_default();
    if (data[0] & 4) limits.hash_max_entries = limits.zset_max_entries = limits.set_max_listpack_entries = 2;
    if (data[0] & 8) limits.list_max_listpack_size = 2;
    size_t piece = data[1] == 0 ? SIZE_MAX : data[1];
    if (data[0] & 2) {
        check_file(bytes_view(data + 3, size - 3), piece);
        return 0;
    }
    struct keyspace *ks = new_keyspace(&limits);
    enum rdb_status status = load(ks, bytes_view(data + 3, size - 3), piece, data[0]);
    /* Older versions do not store expiry times of fields. */
    int version = keyspace_has_field_times(ks) ? RDB_VERSION_FIELD_TIMES : RDB_VERSION_WRITE_MIN + data[2] % 4;
    if (status == RDB_DONE) check_round_trip(ks, &limits, version);
    keyspace_free(ks);
    return 0;
}
