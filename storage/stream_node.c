#include "storage/stream_node.h"

#include "storage/base/checked.h"
#include "storage/base/memory.h"

enum {
    ENTRY_OVERHEAD = 10, /* most bytes of an element's header and backlen */
    FIXED_ELEMENTS = 12, /* elements of a master entry and an entry besides fields and values */
    COUNTS_GROWTH = 32,  /* most bytes by which the two counts of a master entry can grow */
};

/* ---- writing ---- */

bool stream_node_bound(const struct bytes_view *pairs, size_t fields, size_t *bound)
{
    size_t sum = LP_EMPTY_SIZE + FIXED_ELEMENTS * ENTRY_OVERHEAD;
    for (size_t i = 0; i < 2 * fields; i++) {
        size_t copies = i % 2 == 0 ? 2 : 1; /* a field may be in the master entry too */
        if (pairs[i].len > LP_MAX_BYTES) return false;
        sum += copies * (pairs[i].len + ENTRY_OVERHEAD);
        if (sum > LP_MAX_BYTES) return false;
    }
    *bound = sum;
    return true;
}

/* The position of the next element, in a listpack that has room. */
struct writer {
    unsigned char *at;
    size_t elements;
};

static void put(struct writer *w, const struct lp_encoded *e)
{
    lp_encoded_store(w->at, e);
    w->at += lp_encoded_size(e);
    w->elements++;
}

static void put_int(struct writer *w, int64_t value)
{
    struct lp_encoded e;
    lp_encode_int(&e, value);
    put(w, &e);
}

static void put_view(struct writer *w, struct bytes_view value)
{
    struct lp_encoded e;
    lp_encode(&e, value);
    put(w, &e);
}

static void put_master(struct writer *w, const struct bytes_view *pairs, size_t fields)
{
    put_int(w, 1);
    put_int(w, 0);
    put_int(w, (int64_t)fields);
    for (size_t i = 0; i < fields; i++) put_view(w, pairs[2 * i]);
    put_int(w, 0);
}

static void put_entry(struct writer *w, struct stream_id delta, const struct bytes_view *pairs, size_t fields,
                      bool same_fields)
{
    size_t before = w->elements;
    put_int(w, same_fields ? STREAM_ENTRY_SAME_FIELDS : 0);
    put_int(w, (int64_t)delta.ms);
    put_int(w, (int64_t)delta.seq);
    if (!same_fields) put_int(w, (int64_t)fields);
    for (size_t i = same_fields; i < 2 * fields; i += 1u + same_fields) put_view(w, pairs[i]);
    put_int(w, (int64_t)(w->elements - before));
}

unsigned char *stream_node_new(const struct bytes_view *pairs, size_t fields, size_t bound)
{
    unsigned char *lp = mem_alloc(bound);
    struct writer w = {.at = lp + LP_HEADER_SIZE};
    put_master(&w, pairs, fields);
    put_entry(&w, (struct stream_id){0}, pairs, fields, true);
    lp_frame(lp, (size_t)(w.at - lp) + 1, w.elements);
    return lp_shrink(lp);
}

static bool has_fields(const struct stream_master *m, const struct bytes_view *pairs, size_t fields)
{
    const unsigned char *p = m->first_field;
    if (m->fields != fields) return false;
    for (size_t i = 0; i < fields; i++, p += lp_entry_size_at(p))
        if (!lp_compare(p, pairs[2 * i])) return false;
    return true;
}

/* Reserves room for the entry: twice the present size, up to `room`; above that an eighth more. */
static unsigned char *make_room(unsigned char *lp, size_t bound, size_t room)
{
    size_t total = lp_bytes(lp), need = checked_size_add(total, bound);
    if (mem_usable_size(lp) >= need) return lp;
    size_t ahead = total * 2 < room ? total * 2 : room > total ? room : total + total / 8;
    return mem_realloc(lp, need > ahead ? need : ahead);
}

unsigned char *stream_node_append(unsigned char *lp, struct stream_id master, struct stream_id id,
                                  const struct bytes_view *pairs, size_t fields, size_t bound, size_t room)
{
    struct stream_master m;
    size_t elements = lp_header_count(lp); /* an unknown count stays unknown */
    lp = make_room(lp, bound, room);
    stream_node_master(lp, master, &m);
    struct writer w = {.at = lp + lp_bytes(lp) - 1, .elements = elements};
    struct stream_id delta = {id.ms - master.ms, id.seq - master.seq};
    put_entry(&w, delta, pairs, fields, has_fields(&m, pairs, fields));
    lp_frame(lp, (size_t)(w.at - lp) + 1, w.elements);
    return stream_node_set_counts(lp, m.count + 1, m.deleted);
}

/* ---- reading ---- */

static uint64_t take_int(const unsigned char **p)
{
    int64_t value = 0;
    (void)lp_get_int(*p, &value); /* the format has an integer here; nodes from files are validated */
    *p += lp_entry_size_at(*p);
    return (uint64_t)value;
}

static bool is_end(const unsigned char *p)
{
    return *p == 0xFF;
}

const unsigned char *stream_node_end(const unsigned char *lp)
{
    return lp + lp_bytes(lp) - 1;
}

const unsigned char *stream_node_skip(const unsigned char *p, size_t n)
{
    while (n-- > 0) p += lp_entry_size_at(p);
    return p;
}

void stream_node_master(const unsigned char *lp, struct stream_id id, struct stream_master *m)
{
    const unsigned char *p = lp + LP_HEADER_SIZE;
    m->id = id;
    m->count = take_int(&p);
    m->deleted = take_int(&p);
    m->fields = take_int(&p);
    m->first_field = p;
    m->end = stream_node_skip(p, m->fields + 1);
}

size_t stream_node_total(const unsigned char *lp)
{
    const unsigned char *p = lp + LP_HEADER_SIZE;
    size_t live = take_int(&p);
    return live + take_int(&p);
}

static void read_entry(const struct stream_master *m, const unsigned char *p, struct stream_entry *e)
{
    e->at = p;
    uint64_t flags = take_int(&p);
    e->deleted = flags & STREAM_ENTRY_DELETED;
    e->same_fields = flags & STREAM_ENTRY_SAME_FIELDS;
    e->id.ms = m->id.ms + take_int(&p);
    e->id.seq = m->id.seq + take_int(&p);
    e->fields = e->same_fields ? m->fields : take_int(&p);
    e->pairs = p;
}

bool stream_node_next(const struct stream_master *m, const unsigned char *p, struct stream_entry *e)
{
    if (is_end(p)) return false;
    read_entry(m, p, e);
    return true;
}

bool stream_node_prev(const unsigned char *lp, const struct stream_master *m, const unsigned char *p,
                      struct stream_entry *e)
{
    if (p == m->end) return false;
    p = is_end(p) ? lp_last(lp) : lp_prev(lp, p);
    const unsigned char *size_at = p;
    for (uint64_t size = take_int(&size_at); size > 0; size--) p = lp_prev(lp, p);
    read_entry(m, p, e);
    return true;
}

const unsigned char *stream_node_leave(const struct stream_entry *e, const unsigned char *p, size_t left)
{
    return stream_node_skip(p, (e->same_fields ? left : 2 * left) + 1);
}

/* ---- deleting ---- */

void stream_node_mark(const struct stream_entry *e)
{
    *(unsigned char *)e->at |= STREAM_ENTRY_DELETED; /* a small integer is stored in its first byte */
}

static unsigned char *set_count(unsigned char *lp, unsigned char **p, size_t count)
{
    int64_t old;
    if (!lp_get_int(*p, &old) || (size_t)old != count) lp = lp_replace_int(lp, p, (int64_t)count);
    *p += lp_entry_size_at(*p);
    return lp;
}

unsigned char *stream_node_set_counts(unsigned char *lp, size_t count, size_t deleted)
{
    unsigned char *p = lp + LP_HEADER_SIZE;
    lp = set_count(lp, &p, count);
    return set_count(lp, &p, deleted);
}

/* ---- validating bytes from files ---- */

static const char BAD_NODE[] = "Stream listpack integrity check failed";

/* A position in a valid listpack whose elements are not known yet. */
struct elements {
    const unsigned char *p;
    size_t left;
};

static bool next_int(struct elements *in, int64_t *value)
{
    if (in->left == 0 || !lp_get_int(in->p, value)) return false;
    in->p += lp_entry_size_at(in->p);
    in->left--;
    return true;
}

static bool next_count(struct elements *in, int64_t *value)
{
    return next_int(in, value) && *value >= 0;
}

static bool skip(struct elements *in, uint64_t n)
{
    if (n > in->left) return false;
    in->p = stream_node_skip(in->p, n);
    in->left -= n;
    return true;
}

struct validation {
    struct elements in;
    struct stream_id master;
    int64_t count, deleted, fields; /* according to the master entry */
    struct stream_node_facts facts;
};

static bool check_master(struct validation *v)
{
    int64_t zero;
    return next_count(&v->in, &v->count) && next_count(&v->in, &v->deleted) && next_count(&v->in, &v->fields) &&
           skip(&v->in, (uint64_t)v->fields) && next_int(&v->in, &zero) && zero == 0;
}

/* An id 0-0 is invalid: XADD never creates it. */
static bool note_entry(struct stream_node_facts *f, struct stream_id master, struct stream_id id)
{
    bool first = f->live++ == 0;
    if (stream_id_is_zero(id)) return false;
    if (first) f->first = id;
    if (first ? stream_id_compare(id, master) < 0 : stream_id_compare(id, f->last) <= 0) f->ordered = false;
    if (stream_id_compare(id, f->greatest) > 0) f->greatest = id;
    f->last = id;
    return true;
}

static bool check_entry(struct validation *v)
{
    int64_t flags, ms, seq, fields = v->fields, size;
    size_t before = v->in.left;
    bool plain = *v->in.p < 4; /* small flags, which can be changed in place */
    if (!plain || !next_int(&v->in, &flags) || !next_int(&v->in, &ms) || !next_int(&v->in, &seq)) return false;
    bool same = flags & STREAM_ENTRY_SAME_FIELDS;
    if (!same && !next_count(&v->in, &fields)) return false;
    if ((uint64_t)fields > v->in.left || !skip(&v->in, (uint64_t)fields * (same ? 1 : 2))) return false;
    size_t elements = before - v->in.left;
    if (!next_int(&v->in, &size) || (uint64_t)size != elements) return false;
    struct stream_id id = {v->master.ms + (uint64_t)ms, v->master.seq + (uint64_t)seq};
    if (!(flags & STREAM_ENTRY_DELETED)) return fields > 0 && note_entry(&v->facts, v->master, id);
    v->facts.deleted++;
    return true;
}

const char *stream_node_validate(struct bytes_view bytes, struct stream_id master, struct stream_node_facts *facts)
{
    const unsigned char *lp = (const unsigned char *)bytes.data;
    if (!lp_validate(lp, bytes.len, true, NULL, NULL)) return BAD_NODE;
    struct validation v = {.in = {.p = lp + LP_HEADER_SIZE, .left = lp_count(lp)}, .master = master};
    v.facts.ordered = true;
    v.facts.oversized = bytes.len > LP_MAX_BYTES - COUNTS_GROWTH;
    if (!check_master(&v)) return BAD_NODE;
    while (v.in.left > 0)
        if (!check_entry(&v)) return BAD_NODE;
    uint64_t entries = v.facts.live + v.facts.deleted;
    if ((uint64_t)v.count + (uint64_t)v.deleted != entries) return "the counts of a stream node are wrong";
    v.facts.counted = (uint64_t)v.count == v.facts.live;
    *facts = v.facts;
    return NULL;
}
