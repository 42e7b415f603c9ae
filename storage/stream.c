#include "storage/stream.h"

#include <errno.h>

#include "storage/base/assert.h"
#include "storage/base/memory.h"
#include "storage/stream_internal.h"

/* ---- making and ending ---- */

struct stream *stream_new(const struct value_env *env)
{
    struct stream *s = mem_alloc(sizeof(*s));
    *s = (struct stream){.env = env};
    stream_index_init(&s->nodes, false);
    stream_index_init(&s->groups, true);
    return s;
}

static void free_node(void *lp)
{
    lp_free(lp);
}

void stream_free(struct stream *s)
{
    stream_index_release(&s->nodes, free_node);
    stream_groups_release(s);
    mem_free_sized(s, sizeof(*s));
}

/* Call after every change of the index. */
static void find_tail(struct stream *s)
{
    s->tail = stream_index_last(&s->nodes).leaf;
}

void stream_add_node(struct stream *s, struct stream_id master, unsigned char *lp)
{
    stream_index_insert(&s->nodes, stream_key_id(master), lp);
    find_tail(s);
}

static void remove_node(struct stream *s, struct stream_id master)
{
    lp_free(stream_index_remove(&s->nodes, stream_key_id(master)));
    find_tail(s);
}

struct stream *stream_dup(const struct stream *s)
{
    struct stream *copy = stream_new(s->env);
    struct stream_pos pos = stream_nodes_first(s);
    struct stream_id master;
    struct bytes_view lp;
    while (stream_nodes_next(&pos, &master, &lp))
        stream_add_node(copy, master, lp_copy((const unsigned char *)lp.data));
    copy->count = s->count;
    copy->entries_added = s->entries_added;
    copy->last_id = s->last_id;
    copy->first_id = s->first_id;
    copy->max_deleted_id = s->max_deleted_id;
    stream_groups_copy(copy, s);
    return copy;
}

/* ---- properties of the whole stream ---- */

size_t stream_count(const struct stream *s)
{
    return s->count;
}

/* Measures `samples` nodes (0: all) and counts the rest at their average. */
static size_t nodes_memory(const struct stream *s, size_t samples)
{
    size_t sum = 0, seen = 0;
    struct stream_pos pos = stream_index_first(&s->nodes);
    for (; pos.leaf != NULL && (samples == 0 || seen < samples); stream_pos_next(&pos), seen++)
        sum += mem_usable_size(stream_pos_value(pos));
    return seen == 0 ? 0 : sum + sum / seen * (s->nodes.count - seen);
}

size_t stream_memory(const struct stream *s, size_t samples)
{
    return mem_usable_size(s) + stream_index_memory(&s->nodes) + nodes_memory(s, samples) + stream_groups_memory(s);
}

size_t stream_free_effort(const struct stream *s)
{
    return 1 + s->nodes.count + stream_groups_free_effort(s);
}

struct stream_id stream_last_id(const struct stream *s)
{
    return s->last_id;
}
struct stream_id stream_first_id(const struct stream *s)
{
    return s->first_id;
}
struct stream_id stream_max_deleted_id(const struct stream *s)
{
    return s->max_deleted_id;
}
uint64_t stream_entries_added(const struct stream *s)
{
    return s->entries_added;
}
size_t stream_node_count(const struct stream *s)
{
    return s->nodes.count;
}
size_t stream_index_node_count(const struct stream *s)
{
    return s->nodes.nodes;
}

void stream_set_last_id(struct stream *s, struct stream_id last_id)
{
    s->last_id = last_id;
}
void stream_set_entries_added(struct stream *s, uint64_t entries_added)
{
    s->entries_added = entries_added;
}
void stream_set_max_deleted_id(struct stream *s, struct stream_id id)
{
    s->max_deleted_id = id;
}

/* ---- adding ---- */

static size_t max_node_bytes(const struct stream *s)
{
    size_t max = s->env->limits->stream_max_bytes;
    return max == 0 || max > LP_MAX_BYTES ? LP_MAX_BYTES : max;
}

static bool fits(const struct stream *s, const unsigned char *lp, size_t bytes, size_t bound)
{
    size_t max_entries = s->env->limits->stream_max_entries;
    if (lp_bytes(lp) + bytes >= max_node_bytes(s) || !lp_safe_to_add(lp, bound)) return false;
    return max_entries == 0 || stream_node_total(lp) < max_entries;
}

static size_t pairs_bytes(const struct bytes_view *pairs, size_t fields)
{
    size_t sum = 0;
    for (size_t i = 0; i < 2 * fields; i++) sum += pairs[i].len;
    return sum;
}

/* Upper limit of the room that a growing node gets in advance. */
static size_t node_room(const struct stream *s)
{
    enum { ROOM_MAX = 4096 };
    size_t max = max_node_bytes(s);
    return max < ROOM_MAX ? max : ROOM_MAX;
}

static void count_added(struct stream *s, struct stream_id id)
{
    s->last_id = id;
    s->entries_added++;
    if (++s->count == 1) s->first_id = id;
}

int stream_append(struct stream *s, struct stream_id id, const struct bytes_view *pairs, size_t fields)
{
    size_t bound;
    struct stream_pos tail = stream_leaf_last(s->tail);
    ASSERT(fields > 0 && stream_id_compare(id, s->last_id) > 0);
    if (!stream_node_bound(pairs, fields, &bound)) return -EFBIG;
    unsigned char *lp = tail.leaf != NULL ? stream_pos_value(tail) : NULL;
    if (lp != NULL && fits(s, lp, pairs_bytes(pairs, fields), bound)) {
        struct stream_id master = stream_pos_key(tail).id;
        lp = stream_node_append(lp, master, id, pairs, fields, bound, node_room(s));
        stream_pos_set_value(tail, lp);
    } else {
        if (lp != NULL) stream_pos_set_value(tail, lp_shrink(lp));
        stream_add_node(s, id, stream_node_new(pairs, fields, bound));
    }
    count_added(s, id);
    return 0;
}

/* ---- iterating ---- */

static void enter_node(struct stream_iter *it)
{
    it->entry.at = NULL;
    if (it->node.leaf == NULL) return;
    it->lp = stream_pos_value(it->node);
    stream_node_master(it->lp, stream_pos_key(it->node).id, &it->master);
}

static void next_node(struct stream_iter *it)
{
    if (it->reverse)
        stream_pos_prev(&it->node);
    else
        stream_pos_next(&it->node);
    enter_node(it);
}

void stream_iter_init(struct stream_iter *it, const struct stream *s, struct stream_id from, struct stream_id to,
                      bool reverse)
{
    it->from = from;
    it->to = to;
    it->reverse = reverse;
    it->node = stream_index_floor(&s->nodes, stream_key_id(reverse ? to : from));
    if (!reverse && it->node.leaf == NULL) it->node = stream_index_first(&s->nodes);
    if (stream_id_compare(from, to) > 0) it->node.leaf = NULL;
    enter_node(it);
}

/* Reads the next entry of this node, deleted or not. Starts where the reading of the previous entry stopped. */
static bool step(struct stream_iter *it)
{
    struct stream_entry *e = &it->entry;
    bool found;
    if (it->reverse)
        found = stream_node_prev(it->lp, &it->master, e->at != NULL ? e->at : stream_node_end(it->lp), e);
    else
        found = stream_node_next(&it->master,
                                 e->at != NULL ? stream_node_leave(e, it->cursor, it->left) : it->master.end, e);
    if (!found) return false;
    it->cursor = e->pairs;
    it->field = it->master.first_field;
    it->left = e->fields;
    return true;
}

static bool is_past(const struct stream_iter *it, struct stream_id id)
{
    return it->reverse ? stream_id_compare(id, it->from) < 0 : stream_id_compare(id, it->to) > 0;
}

static bool is_before(const struct stream_iter *it, struct stream_id id)
{
    return it->reverse ? stream_id_compare(id, it->to) > 0 : stream_id_compare(id, it->from) < 0;
}

static bool next_entry(struct stream_iter *it)
{
    while (it->node.leaf != NULL) {
        if (!step(it)) {
            next_node(it);
            continue;
        }
        if (it->entry.deleted || is_before(it, it->entry.id)) continue;
        if (!is_past(it, it->entry.id)) return true;
        it->node.leaf = NULL;
    }
    return false;
}

bool stream_iter_next(struct stream_iter *it, struct stream_id *id, size_t *fields)
{
    if (!next_entry(it)) return false;
    *id = it->entry.id;
    *fields = it->entry.fields;
    return true;
}

static struct bytes_view take_view(const unsigned char **p, struct number_text *buf)
{
    struct bytes_view v = lp_get_view(*p, buf->text);
    *p += lp_entry_size_at(*p);
    return v;
}

void stream_iter_pair(struct stream_iter *it, struct bytes_view *field, struct bytes_view *value)
{
    ASSERT(it->left > 0);
    it->left--;
    *field = take_view(it->entry.same_fields ? &it->field : &it->cursor, &it->field_buf);
    *value = take_view(&it->cursor, &it->value_buf);
}

static bool edge_entry_id(const struct stream *s, bool last, struct stream_id *id)
{
    struct stream_iter it;
    size_t fields;
    stream_iter_init(&it, s, STREAM_ID_MIN, STREAM_ID_MAX, last);
    return stream_iter_next(&it, id, &fields);
}

bool stream_first_entry_id(const struct stream *s, struct stream_id *id)
{
    if (s->count > 0) *id = s->first_id;
    return s->count > 0;
}

bool stream_last_entry_id(const struct stream *s, struct stream_id *id)
{
    return edge_entry_id(s, true, id);
}

bool stream_has(const struct stream *s, struct stream_id id)
{
    struct stream_iter it;
    struct stream_id found;
    size_t fields;
    stream_iter_init(&it, s, id, id, false);
    return stream_iter_next(&it, &found, &fields);
}

/* ---- deleting ---- */

void stream_find_first(struct stream *s)
{
    if (!edge_entry_id(s, false, &s->first_id)) s->first_id = STREAM_ID_MIN;
}

/* Updates the counts after `marked` more entries of the node at pos were marked as deleted. Frees an empty node. */
static void settle_node(struct stream *s, struct stream_pos pos, const struct stream_master *m, size_t marked)
{
    s->count -= marked;
    if (marked == m->count)
        remove_node(s, m->id);
    else
        stream_pos_set_value(pos,
                             stream_node_set_counts(stream_pos_value(pos), m->count - marked, m->deleted + marked));
}

bool stream_delete(struct stream *s, struct stream_id id)
{
    struct stream_iter it;
    struct stream_id found;
    size_t fields;
    stream_iter_init(&it, s, id, id, false);
    if (!stream_iter_next(&it, &found, &fields)) return false;
    stream_node_mark(&it.entry);
    settle_node(s, it.node, &it.master, 1);
    if (stream_id_compare(id, s->max_deleted_id) > 0) s->max_deleted_id = id;
    if (stream_id_compare(id, s->first_id) == 0) stream_find_first(s);
    return true;
}

/* True if the whole first node may go. For MINID its last entry counts even if it is deleted. */
static bool may_drop_node(const struct stream *s, const struct stream_trim *t, const unsigned char *lp,
                          const struct stream_master *m)
{
    struct stream_entry last;
    if (t->by == STREAM_TRIM_MAXLEN) return s->count - m->count >= t->max_len;
    return !stream_node_prev(lp, m, stream_node_end(lp), &last) || stream_id_compare(last.id, t->min_id) < 0;
}

/* Part of the first node stays: marks the entries that go, and sets first_id to the next one. */
static size_t trim_in_node(struct stream *s, const struct stream_trim *t, const struct stream_master *m)
{
    struct stream_entry e;
    size_t marked = 0;
    const unsigned char *p = m->end;
    for (; stream_node_next(m, p, &e); p = stream_node_leave(&e, e.pairs, e.fields)) {
        if (e.deleted) continue;
        s->first_id = e.id;
        if (t->by == STREAM_TRIM_MAXLEN && s->count - marked <= t->max_len) break;
        if (t->by == STREAM_TRIM_MINID && stream_id_compare(e.id, t->min_id) >= 0) break;
        stream_node_mark(&e);
        marked++;
    }
    return marked;
}

static bool trim_is_done(const struct stream *s, const struct stream_trim *t)
{
    return s->count == 0 || (t->by == STREAM_TRIM_MAXLEN && s->count <= t->max_len);
}

uint64_t stream_trim(struct stream *s, const struct stream_trim *t)
{
    uint64_t gone = 0;
    while (!trim_is_done(s, t)) {
        struct stream_master m;
        struct stream_pos first = stream_index_first(&s->nodes);
        const unsigned char *lp = stream_pos_value(first);
        stream_node_master(lp, stream_pos_key(first).id, &m);
        if (t->approximate && t->limit > 0 && m.count > t->limit - gone) break;
        bool whole = may_drop_node(s, t, lp, &m);
        if (!whole && t->approximate) break;
        size_t marked = whole ? m.count : trim_in_node(s, t, &m);
        if (marked > 0) settle_node(s, first, &m, marked);
        gone += marked;
        if (marked < m.count) return gone;
    }
    if (gone > 0) stream_find_first(s);
    return gone;
}

/* ---- files ---- */

struct stream_pos stream_nodes_first(const struct stream *s)
{
    return stream_index_first(&s->nodes);
}

bool stream_nodes_next(struct stream_pos *pos, struct stream_id *master, struct bytes_view *listpack)
{
    if (pos->leaf == NULL) return false;
    const unsigned char *lp = stream_pos_value(*pos);
    *master = stream_pos_key(*pos).id;
    *listpack = bytes_view(lp, lp_bytes(lp));
    stream_pos_next(pos);
    return true;
}

/* ---- checking ---- */

static size_t check_node(struct stream_pos pos, struct stream_id *last)
{
    const unsigned char *lp = stream_pos_value(pos);
    struct stream_node_facts facts = {0};
    ASSERT(stream_node_validate(bytes_view(lp, lp_bytes(lp)), stream_pos_key(pos).id, &facts) == NULL);
    ASSERT(facts.live > 0);
    ASSERT(facts.ordered);
    ASSERT(facts.counted);
    *last = facts.last;
    return facts.live;
}

void stream_check(const struct stream *s)
{
    struct stream_id last = {0}, first = {0};
    size_t count = 0;
    stream_index_check(&s->nodes);
    ASSERT(s->tail == stream_index_last(&s->nodes).leaf);
    for (struct stream_pos pos = stream_nodes_first(s); pos.leaf != NULL; stream_pos_next(&pos)) {
        ASSERT(count == 0 || stream_id_compare(stream_pos_key(pos).id, last) > 0);
        count += check_node(pos, &last);
    }
    (void)edge_entry_id(s, false, &first); /* an empty stream has first_id 0-0 */
    ASSERT(count == s->count && stream_id_compare(first, s->first_id) == 0);
    ASSERT(stream_id_compare(last, s->last_id) <= 0);
    stream_groups_check(s);
}
