#include "replication/lag.h"

#include <string.h>

#include "storage/base/assert.h"
#include "storage/base/memory.h"

/* ---- Marks ---- */

void lag_marks_clear(struct lag_marks *l)
{
    mem_free(l->marks);
    *l = (struct lag_marks){0};
}

/* Takes marks away where that makes a lag larger by one part in LAG_PART at most. The mark before each reaches up to it
 * then, and keeps its time. */
static void thin_out(struct lag_marks *l, int64_t now_us)
{
    size_t kept = 1;
    for (size_t i = 1; i + 1 < l->count; i++) {
        struct lag_mark *before = &l->marks[kept - 1];
        int64_t until_us = l->marks[i + 1].us; /* all its bytes were written before */
        if ((until_us - before->us) * LAG_PART <= now_us - until_us)
            before->offset = l->marks[i].offset;
        else
            l->marks[kept++] = l->marks[i];
    }
    l->marks[kept++] = l->marks[l->count - 1];
    if (kept == l->count) memmove(&l->marks[0], &l->marks[1], --kept * sizeof(l->marks[0]));
    l->count = kept;
}

void lag_marks_note(struct lag_marks *l, uint64_t end, int64_t now_us)
{
    if (l->marks == NULL) l->marks = mem_alloc(LAG_MARKS * sizeof(l->marks[0]));
    struct lag_mark *last = l->count > 0 ? &l->marks[l->count - 1] : NULL;
    if (last != NULL && end <= last->offset) return;
    if (last != NULL && now_us - last->us < LAG_MERGE_MS * INT64_C(1000)) {
        last->offset = end;
        return;
    }
    if (l->count == LAG_MARKS) thin_out(l, now_us);
    l->marks[l->count++] = (struct lag_mark){.offset = end, .us = now_us};
}

/* The first mark whose offset is at least `offset`; `count` if there is none. */
static size_t first_from(const struct lag_marks *l, uint64_t offset)
{
    size_t low = 0, high = l->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (l->marks[middle].offset < offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

int64_t lag_marks_age_us(const struct lag_marks *l, uint64_t offset, int64_t now_us)
{
    size_t i = first_from(l, offset);
    return i < l->count && now_us > l->marks[i].us ? now_us - l->marks[i].us : 0;
}

int64_t lag_marks_missing_us(const struct lag_marks *l, uint64_t offset, int64_t now_us)
{
    return offset == UINT64_MAX ? 0 : lag_marks_age_us(l, offset + 1, now_us);
}

/* ---- Samples ---- */

static void fade(struct lag_samples *s)
{
    s->count = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) s->count += s->histogram.counts[i] /= 2;
}

void lag_samples_add(struct lag_samples *s, int64_t us)
{
    ASSERT(us >= 0);
    if (s->count >= LAG_SAMPLES) fade(s);
    histogram_add(&s->histogram, (uint64_t)us);
    s->count++;
    s->last_us = us;
}

int64_t lag_samples_quantile_us(const struct lag_samples *s, double part)
{
    uint64_t seen = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += s->histogram.counts[i];
        if (seen > 0 && (double)seen >= part * (double)s->count) return (int64_t)histogram_bucket_limit(i);
    }
    return 0;
}
