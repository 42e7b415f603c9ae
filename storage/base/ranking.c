#include "storage/base/ranking.h"

#include "storage/base/checked.h"
#include "storage/base/memory.h"

enum { INSERTION_MAX = 12 };

struct order {
    ranking_tie_fn *tie;
    const void *ctx;
};

uint64_t ranking_key_of_double(double value)
{
    uint64_t bits;
    value += 0.0; /* turns -0 into 0 */
    memcpy(&bits, &value, sizeof(bits));
    return bits >> 63 ? ~bits : bits | (uint64_t)1 << 63;
}

uint64_t ranking_key_of_bytes(struct bytes_view bytes)
{
    uint64_t key = 0;
    if (bytes.len > 0) memcpy(&key, bytes.data, bytes.len < sizeof(key) ? bytes.len : sizeof(key));
    return __builtin_bswap64(key);
}

static bool before_on_tie(const struct order *o, const struct ranked *a, const struct ranked *b)
{
    int cmp = o->tie == NULL ? 0 : o->tie(o->ctx, a->index, b->index);
    return cmp != 0 ? cmp < 0 : a->index < b->index;
}

static inline bool before(const struct order *o, const struct ranked *a, const struct ranked *b)
{
    if (LIKELY(a->key != b->key)) return a->key < b->key;
    return before_on_tie(o, a, b);
}

/* ---- All items: merge sort ---- */

static void insertion_sort(const struct order *o, struct ranked *r, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        struct ranked moving = r[i];
        size_t at = i;
        for (; at > 0 && before(o, &moving, &r[at - 1]); at--) r[at] = r[at - 1];
        r[at] = moving;
    }
}

/* Merges r[0..left) and r[left..count), both sorted. `scratch` has room for the first part. */
static void merge(const struct order *o, struct ranked *r, size_t left, size_t count, struct ranked *scratch)
{
    if (!before(o, &r[left], &r[left - 1])) return; /* already in order */
    memcpy(scratch, r, left * sizeof(*r));
    size_t a = 0, b = left, out = 0;
    while (a < left && b < count) r[out++] = before(o, &r[b], &scratch[a]) ? r[b++] : scratch[a++];
    memcpy(r + out, scratch + a, (left - a) * sizeof(*r));
}

static void merge_sort(const struct order *o, struct ranked *r, size_t count, struct ranked *scratch)
{
    if (count <= INSERTION_MAX) {
        insertion_sort(o, r, count);
        return;
    }
    size_t left = count / 2; /* halving bounds the depth by the logarithm */
    merge_sort(o, r, left, scratch);
    merge_sort(o, r + left, count - left, scratch);
    merge(o, r, left, count, scratch);
}

static void sort_all(const struct order *o, struct ranked *r, size_t count)
{
    struct ranked *scratch = mem_alloc(checked_size_mul(count / 2 + 1, sizeof(*scratch)));
    merge_sort(o, r, count, scratch);
    mem_free(scratch);
}

void ranking_sort(struct ranked *r, size_t count, ranking_tie_fn *tie, const void *ctx)
{
    struct order o = {.tie = tie, .ctx = ctx};
    sort_all(&o, r, count);
}

/* ---- The first items: a heap of the best so far, with the last of them on top ---- */

static void sift_down(const struct order *o, struct ranked *heap, size_t count, size_t at)
{
    struct ranked moving = heap[at];
    for (size_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && before(o, &heap[child], &heap[child + 1])) child++;
        if (!before(o, &moving, &heap[child])) break;
        heap[at] = heap[child];
    }
    heap[at] = moving;
}

void ranking_sort_first(struct ranked *r, size_t count, size_t wanted, ranking_tie_fn *tie, const void *ctx)
{
    struct order o = {.tie = tie, .ctx = ctx};
    if (wanted == 0) return;
    if (wanted < count) {
        for (size_t i = wanted / 2; i-- > 0;) sift_down(&o, r, wanted, i);
        for (size_t i = wanted; i < count; i++) {
            if (!before(&o, &r[i], &r[0])) continue;
            struct ranked out = r[0];
            r[0] = r[i];
            r[i] = out;
            sift_down(&o, r, wanted, 0);
        }
    }
    sort_all(&o, r, wanted < count ? wanted : count);
}
