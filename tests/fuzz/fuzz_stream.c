/* fuzz_stream.c -- any bytes as the node of a stream: refused, or a stream on which every operation is safe.
 * The first eight bytes choose the id and the operations. The length of the listpack is corrected, so that more inputs
 * are accepted. */
#include "storage/base/assert.h"
#include "storage/base/memory.h"
#include "storage/rdb.h"
#include "storage/stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t walk(const struct stream *s, bool reverse)
{
    struct stream_iter it;
    struct stream_id id, last = {0};
    struct bytes_view field, value;
    size_t fields, n = 0;
    stream_iter_init(&it, s, STREAM_ID_MIN, STREAM_ID_MAX, reverse);
    for (; stream_iter_next(&it, &id, &fields); n++, last = id) {
        ASSERT(n == 0 || (stream_id_compare(id, last) > 0) == !reverse);
        for (; fields > 0; fields--) stream_iter_pair(&it, &field, &value);
    }
    return n;
}

static void check(const struct stream *s)
{
    stream_check(s);
    ASSERT(walk(s, false) == stream_count(s) && walk(s, true) == stream_count(s));
}

/* The entry after the first `skip` entries, if there is one. */
static struct stream_id nth(const struct stream *s, unsigned skip)
{
    struct stream_iter it;
    struct stream_id id = {0};
    size_t fields;
    stream_iter_init(&it, s, STREAM_ID_MIN, STREAM_ID_MAX, false);
    while (stream_iter_next(&it, &id, &fields) && skip-- > 0) {
    }
    return id;
}

static void append(struct stream *s, unsigned fields)
{
    const struct bytes_view pairs[] = {BYTES_LIT("f"), BYTES_LIT("1"), BYTES_LIT("g"), BYTES_LIT("")};
    struct stream_id id = stream_last_id(s);
    if (!stream_id_increment(&id)) return;
    int rc = stream_append(s, id, pairs, 1 + fields % 2);
    ASSERT(rc == 0);
}

static struct stream *change(struct stream *s, uint8_t how)
{
    struct stream_trim trim = {.by = how & 4 ? STREAM_TRIM_MINID : STREAM_TRIM_MAXLEN,
                               .max_len = how >> 4,
                               .min_id = nth(s, how >> 4),
                               .approximate = how & 8};
    struct stream *copy;
    switch (how & 3) {
    case 0: append(s, how >> 2); break;
    case 1: (void)stream_delete(s, nth(s, how >> 2)); break; /* the stream may be empty */
    case 2: (void)stream_trim(s, &trim); break;
    default:
        copy = stream_dup(s);
        stream_free(s);
        return copy;
    }
    return s;
}

static const char *load(struct stream *s, struct stream_id master, const uint8_t *bytes, size_t size)
{
    unsigned char *lp = mem_alloc(size); /* an allocation of its own, so the sanitizer sees a read beyond it */
    uint32_t total = (uint32_t)size;
    memcpy(lp, bytes, size);
    memcpy(lp, &total, sizeof(total));
    lp[size - 1] = 0xFF;
    struct stream_loading loading = {0};
    struct stream_id next = {master.ms + (size & 3), master.seq + 1}; /* often within the ids of the first node */
    const char *why = stream_load_node(s, &loading, master, bytes_view(lp, size));
    if (why == NULL && size % 3 != 0) why = stream_load_node(s, &loading, next, bytes_view(lp, size));
    mem_free(lp);
    if (why == NULL) why = stream_load_totals(s, &loading, stream_count(s), stream_last_id(s));
    return why;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 8 + LP_EMPTY_SIZE) return 0;
    struct encoding_limits limits = encoding_limits_default();
    limits.stream_max_entries = data[0] & 15;
    struct value_env env = {.limits = &limits};
    struct stream *s = stream_new(&env);
    struct stream_id master = {data[1], data[2] == 255 ? UINT64_MAX : data[2]};
    if (load(s, master, data + 8, size - 8) == NULL) {
        check(s);
        for (int i = 3; i < 8; i++) check(s = change(s, data[i]));
    }
    stream_free(s);
    return 0;
}
