/* stream_load.c -- stream entries read from a file: validated and brought into our order.
 *
 * Redis can write streams that break the invariants of stream_node.h, after commands that any client may send:
 * 1. A node without a live entry (XADD k 1-0, XADD k 2-0, XDEL k 2-0, XTRIM k MINID = 2-0). It is skipped.
 * 2. Live ids that do not ascend, or are below the id of their node. After case 1 left a node with a great id
 *    behind, XSETID may set a lower id, and new entries then go into that node or one before it. The entries are
 *    sorted; of two with the same id the first stays.
 * 3. A last id below the id of an entry, by another XSETID after case 2. The greatest id is used instead.
 * 4. A wrong number of entries in the totals or in a node (files of older versions). They are counted.
 * 5. A node larger than LP_MAX_BYTES, by the overhead of an entry of nearly 2^30 bytes. Its entries are added one by
 *    one as well; an entry that is too large for any node of ours is an error.
 *
 * Damage is an error: malformed listpacks and entries, nodes with a wrong total of live and deleted entries, nodes
 * that are repeated or out of order, a nonzero count without nodes. */
#include <stdlib.h>

#include "storage/base/assert.h"
#include "storage/base/checked.h"
#include "storage/base/memory.h"
#include "storage/stream_internal.h"

static const char *check_master(struct stream_loading *l, struct stream_id master)
{
    if (l->has_nodes && stream_id_compare(master, l->master) <= 0) return "stream nodes are not in order";
    l->has_nodes = true;
    l->master = master;
    return NULL;
}

const char *stream_load_node(struct stream *s, struct stream_loading *l, struct stream_id master,
                             struct bytes_view listpack)
{
    struct stream_node_facts facts = {0};
    const char *why = check_master(l, master);
    if (why == NULL) why = stream_node_validate(listpack, master, &facts);
    if (why != NULL || facts.live == 0) return why;
    bool overlaps = s->tail != NULL && stream_id_compare(master, s->last_id) <= 0;
    if (!facts.ordered || facts.oversized || overlaps) l->disordered = true;
    unsigned char *lp = lp_copy((const unsigned char *)listpack.data);
    if (!facts.counted && !facts.oversized) lp = stream_node_set_counts(lp, facts.live, facts.deleted);
    stream_add_node(s, master, lp);
    s->count += facts.live;
    if (stream_id_compare(facts.greatest, s->last_id) > 0) s->last_id = facts.greatest;
    return NULL;
}

/* ---- sorting ---- */

struct place { /* a live entry */
    struct stream_id id;
    size_t nth; /* number in file order */
    struct stream_id master;
    const unsigned char *lp, *at;
};

static int compare_places(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    int order = stream_id_compare(x->id, y->id);
    return order != 0 ? order : x->nth < y->nth ? -1 : x->nth > y->nth;
}

static struct place *find_places(const struct stream *s)
{
    struct place *places = mem_alloc(checked_size_mul(s->count, sizeof(*places)));
    size_t n = 0;
    for (struct stream_pos pos = stream_nodes_first(s); pos.leaf != NULL; stream_pos_next(&pos)) {
        struct stream_master m;
        struct stream_entry e;
        const unsigned char *lp = stream_pos_value(pos);
        stream_node_master(lp, stream_pos_key(pos).id, &m);
        const unsigned char *p = m.end;
        for (; stream_node_next(&m, p, &e); p = stream_node_leave(&e, e.pairs, e.fields)) {
            if (e.deleted) continue;
            places[n] = (struct place){.id = e.id, .nth = n, .master = m.id, .lp = lp, .at = e.at};
            n++;
        }
    }
    ASSERT(n == s->count);
    return places;
}

struct pairs {
    struct bytes_view *views;
    struct number_text *numbers;
    size_t cap;
};

static void pairs_reserve(struct pairs *p, size_t n)
{
    if (n <= p->cap) return;
    p->views = mem_realloc(p->views, checked_size_mul(n, sizeof(*p->views)));
    p->numbers = mem_realloc(p->numbers, checked_size_mul(n, sizeof(*p->numbers)));
    p->cap = n;
}

static int append_place(struct stream *to, const struct place *from, struct pairs *pairs)
{
    struct stream_master m;
    struct stream_entry e;
    stream_node_master(from->lp, from->master, &m);
    bool there = stream_node_next(&m, from->at, &e);
    ASSERT(there);
    const unsigned char *field = m.first_field, *value = e.pairs;
    const unsigned char **field_at = e.same_fields ? &field : &value;
    pairs_reserve(pairs, checked_size_mul(e.fields, 2));
    for (size_t i = 0; i < 2 * e.fields; i++) {
        const unsigned char **at = i % 2 == 0 ? field_at : &value;
        pairs->views[i] = lp_get_view(*at, pairs->numbers[i].text);
        *at += lp_entry_size_at(*at);
    }
    return stream_append(to, from->id, pairs->views, e.fields);
}

static int append_places(struct stream *to, const struct place *places, size_t count)
{
    struct pairs pairs = {0};
    int rc = 0;
    for (size_t i = 0; i < count && rc == 0; i++) {
        if (i > 0 && stream_id_compare(places[i].id, places[i - 1].id) == 0) continue;
        rc = append_place(to, &places[i], &pairs);
    }
    mem_free(pairs.views);
    mem_free(pairs.numbers);
    return rc;
}

static void swap_entries(struct stream *s, struct stream *sorted)
{
    struct stream_index nodes = s->nodes;
    s->nodes = sorted->nodes;
    sorted->nodes = nodes;
    s->tail = sorted->tail;
    s->count = sorted->count;
}

static const char *sort_entries(struct stream *s)
{
    struct stream *sorted = stream_new(s->env);
    struct place *places = find_places(s);
    qsort(places, s->count, sizeof(*places), compare_places);
    int rc = append_places(sorted, places, s->count);
    if (rc == 0) swap_entries(s, sorted);
    mem_free(places);
    stream_free(sorted);
    return rc == 0 ? NULL : "an entry of a stream is too large to be put into its order";
}

/* ---- totals ---- */

const char *stream_load_totals(struct stream *s, const struct stream_loading *l, uint64_t count,
                               struct stream_id last_id)
{
    const char *why = l->disordered ? sort_entries(s) : NULL;
    if (why != NULL) return why;
    if (count > 0 && !l->has_nodes) return "a stream's entries are counted, but none is there";
    if (stream_id_compare(last_id, s->last_id) > 0) s->last_id = last_id;
    s->entries_added = s->count;
    stream_find_first(s);
    return NULL;
}
