/* stream_group.c -- consumer groups of a stream, their consumers and pending entries. */
#include "storage/base/assert.h"
#include "storage/base/memory.h"
#include "storage/stream_internal.h"

/* ---- pending entries ---- */

struct stream_pending *stream_pending_find(const struct stream_group *g, struct stream_id id)
{
    return stream_index_find(&g->pending, stream_key_id(id));
}

struct stream_pending *stream_pending_find_of(const struct stream_consumer *c, struct stream_id id)
{
    return stream_index_find(&c->pending, stream_key_id(id));
}

struct stream_pending *stream_pending_add(struct stream_group *g, struct stream_consumer *c, struct stream_id id,
                                          int64_t delivery_ms, uint64_t delivery_count)
{
    struct stream_pos last = stream_index_last(&g->pending);
    bool newest = last.leaf == NULL || stream_id_compare(stream_pos_key(last).id, id) < 0;
    if (!newest && stream_pending_find(g, id) != NULL) return NULL;
    struct stream_pending *p = mem_alloc(sizeof(*p));
    *p = (struct stream_pending){.consumer = c, .delivery_ms = delivery_ms, .delivery_count = delivery_count};
    stream_index_insert(&g->pending, stream_key_id(id), p);
    if (c != NULL) stream_index_insert(&c->pending, stream_key_id(id), p);
    return p;
}

void stream_pending_give(struct stream_pending *p, struct stream_id id, struct stream_consumer *to)
{
    if (p->consumer == to) return;
    stream_index_remove(&p->consumer->pending, stream_key_id(id));
    stream_index_insert(&to->pending, stream_key_id(id), p);
    p->consumer = to;
}

bool stream_pending_remove(struct stream_group *g, struct stream_id id)
{
    struct stream_pending *p = stream_index_remove(&g->pending, stream_key_id(id));
    if (p == NULL) return false;
    stream_index_remove(&p->consumer->pending, stream_key_id(id));
    mem_free_sized(p, sizeof(*p));
    return true;
}

bool stream_pending_bounds(const struct stream_group *g, struct stream_id *first, struct stream_id *last)
{
    if (g->pending.count == 0) return false;
    *first = stream_pos_key(stream_index_first(&g->pending)).id;
    *last = stream_pos_key(stream_index_last(&g->pending)).id;
    return true;
}

static void init_iter(struct stream_pending_iter *it, const struct stream_index *index, struct stream_id from)
{
    *it = (struct stream_pending_iter){.index = index, .id = from};
    it->pos = stream_index_ceiling(index, stream_key_id(from));
    it->changes = index->changes;
}

void stream_pending_iter_init(struct stream_pending_iter *it, const struct stream_group *g, struct stream_id from)
{
    init_iter(it, &g->pending, from);
}

void stream_pending_iter_init_of(struct stream_pending_iter *it, const struct stream_consumer *c, struct stream_id from)
{
    init_iter(it, &c->pending, from);
}

/* The index has changed: finds the position again by the id. */
static void find_place(struct stream_pending_iter *it)
{
    struct stream_id from = it->id;
    it->changes = it->index->changes;
    if (it->started && !stream_id_increment(&from))
        it->pos.leaf = NULL;
    else
        it->pos = stream_index_ceiling(it->index, stream_key_id(from));
}

struct stream_pending *stream_pending_iter_next(struct stream_pending_iter *it, struct stream_id *id)
{
    if (it->changes != it->index->changes)
        find_place(it);
    else if (it->started && it->pos.leaf != NULL)
        stream_pos_next(&it->pos);
    if (it->pos.leaf == NULL) return NULL;
    it->started = true;
    *id = it->id = stream_pos_key(it->pos).id;
    return stream_pos_value(it->pos);
}

static void free_pending(void *p)
{
    mem_free_sized(p, sizeof(struct stream_pending));
}

/* ---- consumers ---- */

struct stream_consumer *stream_consumer_find(const struct stream_group *g, struct bytes_view name)
{
    return stream_index_find(&g->consumers, stream_key_name(name));
}

struct stream_consumer *stream_consumer_create(struct stream_group *g, struct bytes_view name, int64_t now_ms)
{
    if (stream_consumer_find(g, name) != NULL) return NULL;
    struct stream_consumer *c = mem_alloc(sizeof(*c) + name.len);
    *c = (struct stream_consumer){.seen_ms = now_ms, .active_ms = -1, .name_len = name.len};
    if (name.len > 0) memcpy(c->name, name.data, name.len);
    stream_index_init(&c->pending, false);
    stream_index_insert(&g->consumers, stream_key_name(stream_consumer_name(c)), c);
    return c;
}

static void free_consumer(void *consumer)
{
    struct stream_consumer *c = consumer;
    stream_index_release(&c->pending, NULL);
    mem_free(c);
}

size_t stream_consumer_delete(struct stream_group *g, struct stream_consumer *c)
{
    size_t count = c->pending.count;
    struct stream_pos pos = stream_index_first(&c->pending);
    for (; pos.leaf != NULL; stream_pos_next(&pos)) free_pending(stream_index_remove(&g->pending, stream_pos_key(pos)));
    stream_index_remove(&g->consumers, stream_key_name(stream_consumer_name(c)));
    free_consumer(c);
    return count;
}

struct stream_pos stream_consumer_first(const struct stream_group *g)
{
    return stream_index_first(&g->consumers);
}

/* Returns the value at *pos and moves *pos to the next one. */
static void *next_value(struct stream_pos *pos)
{
    if (pos->leaf == NULL) return NULL;
    void *value = stream_pos_value(*pos);
    stream_pos_next(pos);
    return value;
}

struct stream_consumer *stream_consumer_next(struct stream_pos *pos)
{
    return next_value(pos);
}

struct bytes_view stream_consumer_name(const struct stream_consumer *c)
{
    return bytes_view(c->name, c->name_len);
}
size_t stream_consumer_pending_count(const struct stream_consumer *c)
{
    return c->pending.count;
}
int64_t stream_consumer_seen_ms(const struct stream_consumer *c)
{
    return c->seen_ms;
}
int64_t stream_consumer_active_ms(const struct stream_consumer *c)
{
    return c->active_ms;
}
void stream_consumer_set_seen(struct stream_consumer *c, int64_t now_ms)
{
    c->seen_ms = now_ms;
}
void stream_consumer_set_active(struct stream_consumer *c, int64_t now_ms)
{
    c->active_ms = now_ms;
}

/* ---- groups ---- */

size_t stream_group_count(const struct stream *s)
{
    return s->groups.count;
}

struct stream_group *stream_group_find(const struct stream *s, struct bytes_view name)
{
    return stream_index_find(&s->groups, stream_key_name(name));
}

struct stream_group *stream_group_create(struct stream *s, struct bytes_view name, struct stream_id last_id,
                                         int64_t entries_read)
{
    if (stream_group_find(s, name) != NULL) return NULL;
    struct stream_group *g = mem_alloc(sizeof(*g) + name.len);
    *g = (struct stream_group){.last_id = last_id, .entries_read = entries_read, .name_len = name.len};
    if (name.len > 0) memcpy(g->name, name.data, name.len);
    stream_index_init(&g->pending, false);
    stream_index_init(&g->consumers, true);
    stream_index_insert(&s->groups, stream_key_name(stream_group_name(g)), g);
    return g;
}

static void free_group(void *group)
{
    struct stream_group *g = group;
    stream_index_release(&g->consumers, free_consumer);
    stream_index_release(&g->pending, free_pending);
    mem_free(g);
}

bool stream_group_destroy(struct stream *s, struct bytes_view name)
{
    struct stream_group *g = stream_index_remove(&s->groups, stream_key_name(name));
    if (g != NULL) free_group(g);
    return g != NULL;
}

struct stream_pos stream_group_first(const struct stream *s)
{
    return stream_index_first(&s->groups);
}

struct stream_group *stream_group_next(struct stream_pos *pos)
{
    return next_value(pos);
}

struct bytes_view stream_group_name(const struct stream_group *g)
{
    return bytes_view(g->name, g->name_len);
}
struct stream_id stream_group_last_id(const struct stream_group *g)
{
    return g->last_id;
}
int64_t stream_group_entries_read(const struct stream_group *g)
{
    return g->entries_read;
}
size_t stream_group_pending_count(const struct stream_group *g)
{
    return g->pending.count;
}
size_t stream_group_consumer_count(const struct stream_group *g)
{
    return g->consumers.count;
}

void stream_group_set_position(struct stream_group *g, struct stream_id last_id, int64_t entries_read)
{
    g->last_id = last_id;
    g->entries_read = entries_read;
}

/* ---- entries read ---- */

/* True if an entry at or behind this id was deleted, so that entries cannot be counted by ids. As in Redis 7.2, a
 * deleted id below the first entry does not count (later versions differ). */
static bool has_deleted_from(const struct stream *s, struct stream_id id)
{
    if (s->count == 0 || stream_id_is_zero(s->max_deleted_id)) return false;
    if (stream_id_compare(s->first_id, s->max_deleted_id) > 0) return false;
    return stream_id_compare(id, s->max_deleted_id) <= 0;
}

bool stream_entries_up_to(const struct stream *s, struct stream_id id, int64_t *entries)
{
    int to_last = stream_id_compare(id, s->last_id), to_first = stream_id_compare(id, s->first_id);
    int64_t added = (int64_t)s->entries_added;
    bool first_to_last = stream_id_is_zero(s->max_deleted_id) || stream_id_compare(s->max_deleted_id, s->first_id) < 0;
    if (added < 0) return false; /* more than XGROUP SETID can tell a replica */
    if (added == 0) {
        *entries = 0;
    } else if (to_last == 0 || (s->count == 0 && to_last < 0)) {
        *entries = added;
    } else if (to_last < 0 && first_to_last && to_first <= 0) { /* nothing is missing from the first entry on */
        *entries = added - (int64_t)s->count + (to_first == 0);
    } else {
        return false;
    }
    return true;
}

void stream_group_advance(const struct stream *s, struct stream_group *g, struct stream_id id)
{
    bool counted = g->entries_read != STREAM_ENTRIES_READ_UNKNOWN && g->entries_read < INT64_MAX;
    if (counted && !has_deleted_from(s, id))
        g->entries_read++;
    else if (!stream_entries_up_to(s, id, &g->entries_read))
        g->entries_read = STREAM_ENTRIES_READ_UNKNOWN;
    g->last_id = id;
}

bool stream_group_lag(const struct stream *s, const struct stream_group *g, int64_t *lag)
{
    int64_t read = 0;
    bool counted = g->entries_read != STREAM_ENTRIES_READ_UNKNOWN && !has_deleted_from(s, g->last_id);
    if (s->entries_added == 0)
        read = 0;
    else if (counted)
        read = g->entries_read;
    else if (!stream_entries_up_to(s, g->last_id, &read))
        return false;
    *lag = (int64_t)(s->entries_added - (uint64_t)read);
    return true;
}

/* ---- all groups of a stream ---- */

void stream_groups_release(struct stream *s)
{
    stream_index_release(&s->groups, free_group);
}

static void copy_group(struct stream *s, const struct stream_group *from)
{
    struct stream_group *g = stream_group_create(s, stream_group_name(from), from->last_id, from->entries_read);
    struct stream_pos pos = stream_consumer_first(from);
    const struct stream_consumer *c;
    while ((c = stream_consumer_next(&pos)) != NULL)
        stream_consumer_create(g, stream_consumer_name(c), c->seen_ms)->active_ms = c->active_ms;
    for (pos = stream_index_first(&from->pending); pos.leaf != NULL; stream_pos_next(&pos)) {
        const struct stream_pending *p = stream_pos_value(pos);
        struct stream_consumer *owner = stream_consumer_find(g, stream_consumer_name(p->consumer));
        stream_pending_add(g, owner, stream_pos_key(pos).id, p->delivery_ms, p->delivery_count);
    }
}

void stream_groups_copy(struct stream *to, const struct stream *from)
{
    struct stream_pos pos = stream_group_first(from);
    const struct stream_group *g;
    while ((g = stream_group_next(&pos)) != NULL) copy_group(to, g);
}

static size_t group_memory(const struct stream_group *g)
{
    size_t sum = mem_usable_size(g) + stream_index_memory(&g->pending) + stream_index_memory(&g->consumers);
    struct stream_pos pos = stream_consumer_first(g);
    const struct stream_consumer *c;
    while ((c = stream_consumer_next(&pos)) != NULL) sum += mem_usable_size(c) + stream_index_memory(&c->pending);
    return sum + g->pending.count * mem_good_size(sizeof(struct stream_pending));
}

size_t stream_groups_memory(const struct stream *s)
{
    size_t sum = stream_index_memory(&s->groups);
    struct stream_pos pos = stream_group_first(s);
    const struct stream_group *g;
    while ((g = stream_group_next(&pos)) != NULL) sum += group_memory(g);
    return sum;
}

size_t stream_groups_free_effort(const struct stream *s)
{
    size_t effort = 0;
    struct stream_pos pos = stream_group_first(s);
    const struct stream_group *g;
    while ((g = stream_group_next(&pos)) != NULL) effort += 1 + g->consumers.count + g->pending.count;
    return effort;
}

/* ---- files ---- */

bool stream_load_claim(struct stream_group *g, struct stream_consumer *c, struct stream_id id)
{
    struct stream_pending *p = stream_pending_find(g, id);
    if (p == NULL || p->consumer != NULL) return false;
    p->consumer = c;
    stream_index_insert(&c->pending, stream_key_id(id), p);
    return true;
}

static size_t claimed(const struct stream_group *g)
{
    size_t sum = 0;
    struct stream_pos pos = stream_consumer_first(g);
    const struct stream_consumer *c;
    while ((c = stream_consumer_next(&pos)) != NULL) sum += c->pending.count;
    return sum;
}

bool stream_load_group_is_whole(const struct stream_group *g)
{
    return claimed(g) == g->pending.count; /* stream_load_claim() prevents claiming an entry twice */
}

/* ---- checking ---- */

static void check_group(const struct stream_group *g)
{
    struct stream_pos pos;
    stream_index_check(&g->pending);
    stream_index_check(&g->consumers);
    for (pos = stream_index_first(&g->pending); pos.leaf != NULL; stream_pos_next(&pos)) {
        const struct stream_pending *p = stream_pos_value(pos);
        ASSERT(stream_pending_find_of(p->consumer, stream_pos_key(pos).id) == p);
    }
    for (pos = stream_consumer_first(g); pos.leaf != NULL; stream_pos_next(&pos)) {
        const struct stream_consumer *c = stream_pos_value(pos);
        ASSERT(bytes_equal(stream_pos_key(pos).name, stream_consumer_name(c)));
        stream_index_check(&c->pending);
    }
    ASSERT(stream_load_group_is_whole(g));
}

void stream_groups_check(const struct stream *s)
{
    struct stream_pos pos = stream_group_first(s);
    const struct stream_group *g;
    stream_index_check(&s->groups);
    while ((g = stream_group_next(&pos)) != NULL) check_group(g);
}
