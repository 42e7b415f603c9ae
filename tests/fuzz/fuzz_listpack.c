/* fuzz_listpack.c -- any bytes: lp_validate() refuses them, or every call is safe on them and keeps them valid. */
#include "storage/listpack.h"

#include "storage/base/assert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool count_entry(void *ctx, const struct lp_value *v)
{
    ++*(size_t *)ctx;
    return v->is_int || v->str.data != NULL;
}

static void check_valid(const unsigned char *lp, size_t entries)
{
    size_t seen = 0;
    ASSERT(lp_validate(lp, lp_bytes(lp), true, count_entry, &seen));
    ASSERT(seen == entries);
    ASSERT(lp_count(lp) == entries);
}

/* The n-th entry, found by walking, by index from both ends, and by its own value. */
static void walk(const unsigned char *lp, size_t entries)
{
    int64_t index = 0;
    for (unsigned char *p = lp_first(lp); p != NULL && index < 64; p = lp_next(lp, p), index++) {
        char buf[LP_INT_CHARS];
        struct bytes_view view = lp_get_view(p, buf);
        ASSERT(lp_compare(p, view));
        ASSERT(lp_seek(lp, index) == p);
        ASSERT(lp_seek(lp, index - (int64_t)entries) == p);
        ASSERT(lp_find(lp, p, view, 0) == p);
    }
    size_t backwards = 0;
    for (unsigned char *p = lp_last(lp); p != NULL; p = lp_prev(lp, p)) backwards++;
    ASSERT(backwards == entries);
}

static void change(const unsigned char *blob, size_t entries, const uint8_t *data, size_t size)
{
    struct bytes_view value = bytes_view(data, size < 300 ? size : 300);
    unsigned char *lp = lp_append(lp_append(lp_copy(blob), value), value);
    check_valid(lp, entries + 2);
    unsigned char *p = lp_seek(lp, (int64_t)(entries / 2));
    lp = lp_insert(lp, p, LP_AFTER, value, &p);
    lp = lp_replace_int(lp, &p, size > 0 ? data[size - 1] * (int64_t)-70001 : 0);
    lp = lp_delete(lp, p, &p);
    check_valid(lp, entries + 2);
    lp = lp_delete_range(lp, -3, 2); /* removes nothing if there are only two */
    lp_free(lp_shrink(lp));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t seen = 0;
    (void)lp_validate(data, size, false, NULL, NULL);
    if (!lp_validate(data, size, true, count_entry, &seen)) return 0;
    walk(data, seen);
    change(data, seen, data, size);
    return 0;
}
