/* fuzz_ziplist.c -- any bytes as a ziplist and as a zipmap: the iterators end, stay within the bytes, and agree with
 * validation; what they return can be appended to a listpack. */
#include "storage/ziplist.h"
#include "storage/zipmap.h"

#include "storage/base/assert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_inside(struct bytes_view blob, struct bytes_view part)
{
    ASSERT(part.data >= blob.data);
    ASSERT(part.data + part.len <= blob.data + blob.len);
}

static void run_ziplist(struct bytes_view blob)
{
    struct ziplist_iter it;
    struct lp_value v;
    size_t count = 0, validated;
    if (ziplist_open(&it, blob) != 0) return;
    unsigned char *lp = lp_new(0);
    int rc;
    for (; (rc = ziplist_next(&it, &v)) == 1; count++) {
        if (!v.is_int) check_inside(blob, v.str);
        lp = lp_append_value(lp, &v);
    }
    ASSERT(lp_count(lp) == count);
    ASSERT(ziplist_validate(blob, &validated) == rc);
    ASSERT(rc != 0 || validated == count);
    lp_free(lp);
}

static void run_zipmap(struct bytes_view blob)
{
    struct zipmap_iter it;
    struct bytes_view field, value;
    size_t count = 0, validated;
    if (zipmap_open(&it, blob) != 0) return;
    unsigned char *lp = lp_new(0);
    int rc;
    for (; (rc = zipmap_next(&it, &field, &value)) == 1; count++) {
        check_inside(blob, field);
        check_inside(blob, value);
        lp = lp_append(lp_append(lp, field), value);
    }
    ASSERT(lp_count(lp) == 2 * count);
    ASSERT(zipmap_validate(blob, &validated) == rc);
    ASSERT(rc != 0 || validated == count);
    lp_free(lp);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    run_ziplist(bytes_view(data, size));
    run_zipmap(bytes_view(data, size));
    return 0;
}
