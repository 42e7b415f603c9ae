#include "storage/range_walk.h"

#include "storage/base/memory.h"

enum {
    KEYS_PER_RANGE = 1000,    /* at most, on average */
    MEMBERS_PER_RANGE = 2000, /* at most, on average */
};

/* Ranges of hashes in the order of their reversed bits: a range of `bits` bits is an interval of length 2^(64 - bits),
 * and its halves are the ranges of one bit more. So ranges of different sizes follow each other without a gap. */
struct hash_cursor {
    uint64_t at; /* beginning of the interval */
    unsigned bits;
    bool done;
};

struct big_value {
    int db;
    struct bytes_buf key;
};

/* Where the walk is in a big value. */
struct value_walk {
    bool active;
    struct big_value value;
    enum range_kind kind;
    struct hash_cursor members;
    uint64_t from, group;
    struct stream_id from_id;
};

struct range_walk {
    bool functions_done;
    int db; /* the next range of keys begins in it */
    struct hash_cursor keys;
    uint64_t keys_passed, unnamed;
    struct value_walk value;
    struct big_value *found; /* in the last range of keys, to be walked */
    size_t found_count, found_cap;
};

/* ---- Cursors over hashes ---- */

static uint64_t reverse_bits(uint64_t v)
{
    v = ((v >> 1) & 0x5555555555555555u) | ((v & 0x5555555555555555u) << 1);
    v = ((v >> 2) & 0x3333333333333333u) | ((v & 0x3333333333333333u) << 2);
    v = ((v >> 4) & 0x0f0f0f0f0f0f0f0fu) | ((v & 0x0f0f0f0f0f0f0f0fu) << 4);
    return __builtin_bswap64(v);
}

static unsigned bits_for(uint64_t count, uint64_t per_range)
{
    unsigned bits = 0;
    while (count >> bits > per_range) bits++;
    return bits;
}

/* Before a step: at least so many bits as the count requires. */
static void cursor_fit(struct hash_cursor *c, uint64_t count, uint64_t per_range)
{
    unsigned least = bits_for(count, per_range);
    if (c->bits < least) c->bits = least;
}

/* The interval cannot be longer than its beginning is aligned. */
static bool cursor_may_widen(const struct hash_cursor *c)
{
    return c->bits > 1 && (c->at & (((uint64_t)1 << (65 - c->bits)) - 1)) == 0;
}

static void cursor_advance(struct hash_cursor *c)
{
    if (c->bits > 0) c->at += (uint64_t)1 << (64 - c->bits);
    c->done = c->at == 0;
}

/* True if a smaller range can be tried: this one would not be nearly empty. */
static bool cursor_narrow(struct hash_cursor *c, uint64_t count)
{
    if (c->bits >= TABLE_PART_BITS_MAX || count >> c->bits < 2) return false;
    c->bits++;
    return true;
}

static void cursor_range(const struct hash_cursor *c, struct range *r)
{
    r->bits = c->bits;
    r->part = reverse_bits(c->at);
}

static void cursor_learn(struct hash_cursor *c, uint64_t work, uint64_t work_max)
{
    cursor_advance(c);
    if (work < work_max / 4 && cursor_may_widen(c)) c->bits--;
}

/* ---- Big values that were found ---- */

static void big_release(struct big_value *b)
{
    bytes_buf_release(&b->key);
}

static void drop_found(struct range_walk *w)
{
    while (w->found_count > 0) big_release(&w->found[--w->found_count]);
}

static void note_big(void *ctx, int db, const struct entry *e)
{
    struct range_walk *w = ctx;
    if (w->found_count == w->found_cap) {
        w->found_cap = w->found_cap > 0 ? 2 * w->found_cap : 16;
        w->found = mem_realloc(w->found, w->found_cap * sizeof(*w->found));
    }
    struct big_value *b = &w->found[w->found_count++];
    *b = (struct big_value){.db = db};
    bytes_buf_append_view(&b->key, entry_key(e));
}

static const struct entry *entry_of(struct keyspace *ks, const struct big_value *b)
{
    const struct db *db = keyspace_db(ks, b->db);
    return keyspace_peek(db, keyref(db, bytes_buf_view(&b->key)));
}

static enum range_kind first_kind(const struct entry *e)
{
    switch ((enum value_type)e->type) {
    case TYPE_STRING: return RANGE_BYTES;
    case TYPE_LIST: return RANGE_ELEMENTS;
    case TYPE_STREAM: return RANGE_ENTRIES;
    case TYPE_SET:
    case TYPE_ZSET:
    case TYPE_HASH: return RANGE_MEMBERS;
    }
    UNREACHABLE();
}

/* Its key stays: the range of the last step names it. */
static void leave_value(struct range_walk *w)
{
    w->value.active = false;
}

static void enter_value(struct range_walk *w, const struct entry *e)
{
    big_release(&w->value.value);
    w->value = (struct value_walk){.active = true, .value = w->found[--w->found_count], .kind = first_kind(e)};
}

/* Takes the next value that was found and is still there. */
static void next_value(struct range_walk *w, struct keyspace *ks)
{
    while (!w->value.active && w->found_count > 0) {
        struct big_value *b = &w->found[w->found_count - 1];
        const struct entry *e = entry_of(ks, b);
        if (e != NULL && b->key.len <= RANGE_KEY_MAX) {
            enter_value(w, e);
            return;
        }
        w->unnamed += e != NULL;
        big_release(b);
        w->found_count--;
    }
}

/* ---- Ranges of a big value ---- */

static size_t members_of(const struct keyspace *ks, const struct range_walk *w)
{
    const struct db *db = ks->dbs[w->value.value.db];
    const struct entry *e = keyspace_peek(db, keyref(db, bytes_buf_view(&w->value.value.key)));
    return e->type == TYPE_STRING ? 0 : value_count(e->type, entry_pointer(e));
}

static enum range_step members_step(struct range_walk *w, struct keyspace *ks, uint64_t work_max, struct range *r,
                                    struct range_result *result)
{
    struct hash_cursor *c = &w->value.members;
    size_t count = members_of(ks, w);
    cursor_fit(c, count, MEMBERS_PER_RANGE);
    cursor_range(c, r);
    if (!range_digest(ks, r, work_max, NULL, NULL, result)) {
        if (cursor_narrow(c, count)) return RANGE_STEP_AGAIN;
        if (!range_digest(ks, r, UINT64_MAX, NULL, NULL, result)) UNREACHABLE();
    }
    cursor_learn(c, result->work, work_max);
    if (c->done) leave_value(w);
    return RANGE_STEP_DONE;
}

/* A stream has groups after its entries, and the pending entries of each group after these. */
static void stream_part_done(struct range_walk *w, const struct stream *s)
{
    struct value_walk *v = &w->value;
    v->from = 0;
    v->from_id = STREAM_ID_MIN;
    if (v->kind == RANGE_PENDING) v->group++;
    v->kind = v->kind == RANGE_ENTRIES ? RANGE_GROUPS : RANGE_PENDING;
    if (v->kind == RANGE_PENDING && v->group >= stream_group_count(s)) leave_value(w);
}

static void part_done(struct range_walk *w, const struct entry *e)
{
    if (e->type == TYPE_STREAM)
        stream_part_done(w, entry_pointer(e));
    else
        leave_value(w);
}

static void ordered_step(struct range_walk *w, struct keyspace *ks, const struct entry *e, uint64_t work_max,
                         struct range *r, struct range_result *result)
{
    struct value_walk *v = &w->value;
    r->from = v->from;
    r->to = UINT64_MAX;
    r->group = v->group;
    r->from_id = v->from_id;
    r->to_id = STREAM_ID_MAX;
    if (!range_digest(ks, r, work_max, NULL, NULL, result)) UNREACHABLE();
    v->from = r->to + 1;
    v->from_id = r->to_id;
    bool last_id = !stream_id_increment(&v->from_id);
    if (v->kind == RANGE_ENTRIES || v->kind == RANGE_PENDING ? last_id : r->to == UINT64_MAX) part_done(w, e);
}

static enum range_step value_step(struct range_walk *w, struct keyspace *ks, const struct entry *e, uint64_t work_max,
                                  struct range *r, struct range_result *result)
{
    *r = (struct range){
        .kind = w->value.kind, .db = (uint64_t)w->value.value.db, .key = bytes_buf_view(&w->value.value.key)};
    if (r->kind == RANGE_MEMBERS) return members_step(w, ks, work_max, r, result);
    ordered_step(w, ks, e, work_max, r, result);
    return RANGE_STEP_DONE;
}

/* ---- Ranges of keys ---- */

/* The last of the databases that share a range of keys with this one: together they have few keys. */
static int last_of_small(const struct keyspace *ks, int db)
{
    size_t count = db_count(ks->dbs[db]);
    if (count > KEYS_PER_RANGE) return db;
    while (db + 1 < ks->db_count && count + db_count(ks->dbs[db + 1]) <= KEYS_PER_RANGE)
        count += db_count(ks->dbs[++db]);
    return db;
}

static enum range_step too_many_keys(struct range_walk *w, struct keyspace *ks, struct range *r,
                                     struct range_result *result)
{
    uint64_t work = result->work;
    size_t count = 0;
    drop_found(w);
    for (uint64_t db = r->db; db <= r->last_db; db++) count += db_count(ks->dbs[db]);
    if (cursor_narrow(&w->keys, count)) {
        result->work = work;
        return RANGE_STEP_AGAIN;
    }
    if (!range_digest(ks, r, UINT64_MAX, note_big, w, result)) UNREACHABLE();
    return RANGE_STEP_DONE;
}

static enum range_step keys_step(struct range_walk *w, struct keyspace *ks, uint64_t work_max, struct range *r,
                                 struct range_result *result)
{
    struct hash_cursor *c = &w->keys;
    cursor_fit(c, db_count(ks->dbs[w->db]), KEYS_PER_RANGE);
    int last = c->bits == 0 && c->at == 0 ? last_of_small(ks, w->db) : w->db;
    *r = (struct range){.kind = RANGE_KEYS, .db = (uint64_t)w->db, .last_db = (uint64_t)last};
    cursor_range(c, r);
    if (!range_digest(ks, r, work_max, note_big, w, result) && too_many_keys(w, ks, r, result) == RANGE_STEP_AGAIN)
        return RANGE_STEP_AGAIN;
    w->keys_passed += result->count;
    cursor_learn(c, result->work, work_max);
    if (!c->done) return RANGE_STEP_DONE;
    w->db = last + 1;
    *c = (struct hash_cursor){0};
    return RANGE_STEP_DONE;
}

/* ---- The walk ---- */

struct range_walk *range_walk_new(void)
{
    return mem_calloc(sizeof(struct range_walk));
}

void range_walk_free(struct range_walk *w)
{
    if (w == NULL) return;
    drop_found(w);
    big_release(&w->value.value);
    mem_free(w->found);
    mem_free(w);
}

void range_walk_start(struct range_walk *w)
{
    drop_found(w);
    leave_value(w);
    w->functions_done = false;
    w->db = 0;
    w->keys = (struct hash_cursor){0};
    w->keys_passed = w->unnamed = 0;
}

uint64_t range_walk_keys(const struct range_walk *w)
{
    return w->keys_passed;
}

uint64_t range_walk_unnamed(const struct range_walk *w)
{
    return w->unnamed;
}

static enum range_step functions_step(struct range_walk *w, struct keyspace *ks, struct range *r,
                                      struct range_result *result)
{
    *r = (struct range){.kind = RANGE_FUNCTIONS};
    w->functions_done = true;
    if (!range_digest(ks, r, UINT64_MAX, NULL, NULL, result)) UNREACHABLE();
    return RANGE_STEP_DONE;
}

enum range_step range_walk_step(struct range_walk *w, struct keyspace *ks, uint64_t work_max, struct range *r,
                                struct range_result *result)
{
    *result = (struct range_result){0};
    if (!w->functions_done) return functions_step(w, ks, r, result);
    for (;;) {
        next_value(w, ks);
        if (!w->value.active) break;
        const struct entry *e = entry_of(ks, &w->value.value);
        if (e != NULL && (first_kind(e) == w->value.kind || e->type == TYPE_STREAM))
            return value_step(w, ks, e, work_max, r, result);
        leave_value(w); /* it was deleted or replaced */
    }
    return w->db < ks->db_count ? keys_step(w, ks, work_max, r, result) : RANGE_STEP_END;
}
