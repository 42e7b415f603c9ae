/* fuzz_restore.c -- any bytes as the body of a DUMP payload (with a valid checksum), and as the whole payload.
 * The result is an error, or a value that keeps its invariants and whose own DUMP gives the same value again. */
#include "storage/base/assert.h"
#include "storage/base/crc64.h"
#include "storage/digest.h"
#include "storage/keyspace.h"
#include "storage/rdb_reader.h"
#include "storage/rdb_writer.h"
#include "storage/stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct entry *restore(struct keyspace *ks, struct bytes_view payload)
{
    struct db *db = keyspace_db(ks, 0);
    struct keyref key = keyref(db, BYTES_LIT("k"));
    struct bytes_buf string = {0};
    enum value_type type;
    void *value;
    const struct entry *e = NULL;
    if (rdb_restore(payload, ks->env, &type, &value, &string, NULL) == 0) {
        if (type == TYPE_STREAM) stream_check(value);
        e = type == TYPE_STRING ? keyspace_put_string(db, key, bytes_buf_view(&string), 0)
                                : keyspace_put_value(db, key, type, value, 0);
    }
    bytes_buf_release(&string);
    return e;
}

static void check_dump(struct keyspace *ks, const struct entry *e, int version)
{
    unsigned char first[DIGEST_SIZE], second[DIGEST_SIZE];
    struct bytes_buf dump = {0};
    digest_value(e, first);
    rdb_dump(e, version, &dump);
    const struct entry *again = restore(ks, bytes_buf_view(&dump));
    ASSERT(again != NULL);
    digest_value(again, second);
    ASSERT(memcmp(first, second, DIGEST_SIZE) == 0);
    bytes_buf_release(&dump);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct encoding_limits limits = encoding_limits_default();
    struct keyspace *ks = keyspace_new(1, &limits, NULL, sys_real());
    struct bytes_buf payload = {0};
    unsigned char version[2] = {10, 0};
    bytes_buf_append(&payload, data, size);
    bytes_buf_append(&payload, version, sizeof(version));
    uint64_t crc = crc64(0, payload.data, payload.len);
    bytes_buf_append(&payload, &crc, sizeof(crc));
    const struct entry *e = restore(ks, bytes_buf_view(&payload));
    keyspace_check(ks);
    for (int v = RDB_VERSION_WRITE_MIN; e != NULL && v <= RDB_VERSION_WRITE_MAX; v++) {
        check_dump(ks, e, v);
        e = keyspace_find(keyspace_db(ks, 0), keyref(keyspace_db(ks, 0), BYTES_LIT("k")), 0);
    }
    (void)restore(ks, bytes_view(data, size));
    bytes_buf_release(&payload);
    keyspace_free(ks);
    return 0;
}
