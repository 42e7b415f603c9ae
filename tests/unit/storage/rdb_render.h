/* rdb_render.h -- values rendered as text, to compare what was read with what was expected. */
#ifndef LOCKSTEP_TESTS_RDB_RENDER_H
#define LOCKSTEP_TESTS_RDB_RENDER_H

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>

#include "storage/base/memory.h"
#include "storage/base/num.h"
#include "storage/hash.h"
#include "storage/hash_expiry.h"
#include "storage/list.h"
#include "storage/set.h"
#include "storage/stream.h"
#include "storage/zset.h"

static inline void render_bytes(struct bytes_buf *out, struct bytes_view v)
{
    for (size_t i = 0; i < v.len; i++) {
        unsigned char c = (unsigned char)v.data[i];
        if (isgraph(c))
            bytes_buf_append(out, &v.data[i], 1);
        else
            bytes_buf_printf(out, "\\x%02x", c);
    }
}

static inline int compare_cstr(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Elements have no fixed order, so they are sorted as text. */
static inline void render_sorted(struct bytes_buf *out, char **items, size_t n)
{
    qsort(items, n, sizeof(*items), compare_cstr);
    for (size_t i = 0; i < n; i++) {
        bytes_buf_printf(out, "%s%s", i > 0 ? " " : "", items[i]);
        mem_free(items[i]);
    }
    mem_free(items);
}

static inline char *take_text(struct bytes_buf *text)
{
    char *s = bytes_to_cstr(bytes_buf_view(text));
    bytes_buf_release(text);
    return s;
}

static inline void render_list(struct bytes_buf *out, const struct list *l)
{
    struct list_iter it;
    struct bytes_view v;
    bool first = true;
    list_iter_init(&it, l, 0, false);
    for (; list_iter_next(&it, &v); first = false) {
        if (!first) bytes_buf_append(out, " ", 1);
        render_bytes(out, v);
    }
    list_iter_release(&it);
}

static inline void render_set(struct bytes_buf *out, const struct set *s)
{
    struct set_iter it;
    struct bytes_view v;
    char **items = mem_calloc(sizeof(char *) * (set_count(s) + 1));
    size_t n = 0;
    set_iter_init(&it, s);
    while (set_iter_next(&it, &v)) {
        struct bytes_buf text = {0};
        render_bytes(&text, v);
        items[n++] = take_text(&text);
    }
    render_sorted(out, items, n);
}

static inline void render_hash(struct bytes_buf *out, const struct hash *h)
{
    struct hash_iter it;
    struct bytes_view f, v;
    char **items = mem_calloc(sizeof(char *) * (hash_count(h) + 1));
    size_t n = 0;
    hash_iter_init(&it, h);
    while (hash_iter_next(&it, &f, &v)) {
        struct bytes_buf text = {0};
        render_bytes(&text, f);
        bytes_buf_append(&text, ":", 1);
        render_bytes(&text, v);
        if (hash_iter_time(&it) != HASH_FIELD_STAYS) bytes_buf_printf(&text, "@%" PRId64, hash_iter_time(&it));
        items[n++] = take_text(&text);
    }
    render_sorted(out, items, n);
}

static inline void render_zset(struct bytes_buf *out, const struct zset *z)
{
    struct zset_iter it;
    struct bytes_view v;
    double score;
    bool first = true;
    zset_iter_init(&it, z, 0, false);
    for (; zset_iter_next(&it, &v, &score); first = false) {
        if (!first) bytes_buf_append(out, " ", 1);
        render_bytes(out, v);
        bytes_buf_printf(out, ":%.17g", score);
    }
}

static inline void render_id(struct bytes_buf *out, struct stream_id id)
{
    bytes_buf_printf(out, "%" PRIu64 "-%" PRIu64, id.ms, id.seq);
}

static inline void render_entries(struct bytes_buf *out, const struct stream *s)
{
    struct stream_iter it;
    struct stream_id id;
    struct bytes_view field, value;
    size_t fields;
    stream_iter_init(&it, s, STREAM_ID_MIN, STREAM_ID_MAX, false);
    while (stream_iter_next(&it, &id, &fields)) {
        render_id(out, id);
        for (char mark = '('; fields > 0; fields--, mark = ' ') {
            stream_iter_pair(&it, &field, &value);
            bytes_buf_append(out, &mark, 1);
            render_bytes(out, field);
            bytes_buf_append(out, ":", 1);
            render_bytes(out, value);
        }
        bytes_buf_append(out, ") ", 2);
    }
}

static inline void render_consumer(struct bytes_buf *out, const struct stream_consumer *c)
{
    struct stream_pending_iter it;
    struct stream_id id;
    const struct stream_pending *p;
    bytes_buf_append(out, " ", 1);
    render_bytes(out, stream_consumer_name(c));
    bytes_buf_printf(out, "@%" PRId64 "/%" PRId64 "(", stream_consumer_seen_ms(c), stream_consumer_active_ms(c));
    stream_pending_iter_init_of(&it, c, STREAM_ID_MIN);
    for (const char *gap = ""; (p = stream_pending_iter_next(&it, &id)) != NULL; gap = " ") {
        bytes_buf_printf(out, "%s", gap);
        render_id(out, id);
        bytes_buf_printf(out, "@%" PRId64 "*%" PRIu64, p->delivery_ms, p->delivery_count);
    }
    bytes_buf_append(out, ")", 1);
}

/* id(field:value ...) ... last first deleted added {group last read consumer@seen/active(id@time*deliveries ...) ...}
 */
static inline void render_stream(struct bytes_buf *out, const struct stream *s)
{
    const struct stream_id ids[] = {stream_last_id(s), stream_first_id(s), stream_max_deleted_id(s)};
    struct stream_pos pos = stream_group_first(s), at;
    const struct stream_group *g;
    const struct stream_consumer *c;
    render_entries(out, s);
    for (int i = 0; i < 3; i++) {
        render_id(out, ids[i]);
        bytes_buf_append(out, " ", 1);
    }
    bytes_buf_printf(out, "%" PRIu64, stream_entries_added(s));
    while ((g = stream_group_next(&pos)) != NULL) {
        bytes_buf_append(out, " {", 2);
        render_bytes(out, stream_group_name(g));
        bytes_buf_append(out, " ", 1);
        render_id(out, stream_group_last_id(g));
        bytes_buf_printf(out, " %" PRId64, stream_group_entries_read(g));
        for (at = stream_consumer_first(g); (c = stream_consumer_next(&at)) != NULL;) render_consumer(out, c);
        bytes_buf_append(out, "}", 1);
    }
}

static inline void render_value(struct bytes_buf *out, enum value_type type, const void *value,
                                struct bytes_view string)
{
    bytes_buf_printf(out, "%s[", value_type_name(type));
    switch (type) {
    case TYPE_STRING: render_bytes(out, string); break;
    case TYPE_LIST: render_list(out, value); break;
    case TYPE_SET: render_set(out, value); break;
    case TYPE_ZSET: render_zset(out, value); break;
    case TYPE_HASH: render_hash(out, value); break;
    case TYPE_STREAM: render_stream(out, value); break;
    }
    bytes_buf_append(out, "]", 1);
}

static inline void check_value(enum value_type type, const void *value)
{
    switch (type) {
    case TYPE_STRING: break;
    case TYPE_LIST: list_check(value); break;
    case TYPE_SET: set_check(value); break;
    case TYPE_ZSET: zset_check(value); break;
    case TYPE_HASH: hash_check(value); break;
    case TYPE_STREAM: stream_check(value); break;
    }
}

#endif
