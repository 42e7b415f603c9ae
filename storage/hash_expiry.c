#include "storage/hash_expiry.h"

#include "storage/base/assert.h"
#include "storage/base/memory.h"
#include "storage/hash_internal.h"
#include "storage/listpack.h"
#include "storage/hash_item.h"

enum { LP_STAYS = 0 /* the time, in a listpack, of a field without an expiry */ };

/* ---- Shared by both encodings ---- */

static void item_placed(void *item, size_t slot)
{
    item_set_slot(item, slot);
}

struct hash_timing *hash_timing_of(struct hash *h)
{
    if (h->timing != NULL) return h->timing;
    h->timing = mem_calloc(sizeof(*h->timing));
    h->timing->next_ms = HASH_FIELD_STAYS;
    time_heap_init(&h->timing->fields, item_placed);
    return h->timing;
}

void hash_timing_free(struct hash *h)
{
    time_heap_release(&h->timing->fields);
    mem_free_sized(h->timing, sizeof(*h->timing));
    h->timing = NULL;
}

static int64_t earliest(const struct hash *h)
{
    if (hash_is_table(h)) {
        const struct time_node *first = h->timing == NULL ? NULL : time_heap_first(&h->timing->fields);
        return first == NULL ? HASH_FIELD_STAYS : first->at;
    }
    unsigned char *first = h->encoding == ENCODING_LISTPACK_EX ? lp_first(h->lp) : NULL;
    return first == NULL ? HASH_FIELD_STAYS : hash_lp_time(h, first);
}

void hash_timing_refresh(struct hash *h)
{
    int64_t next = earliest(h);
    if (next == HASH_FIELD_STAYS) {
        hash_unwatch(h);
        if (h->timing != NULL) hash_timing_free(h);
        return;
    }
    struct hash_timing *t = hash_timing_of(h);
    if (t->next_ms == next) return;
    t->next_ms = next;
    if (t->watch != NULL) time_heap_change(t->watch, t->watch_slot, next);
}

size_t hash_timing_memory(const struct hash *h)
{
    return h->timing == NULL ? 0 : mem_usable_size(h->timing) + time_heap_memory(&h->timing->fields);
}

/* ---- Table ---- */

int64_t hash_item_time(const struct hash *h, const void *item)
{
    return item_expires(item) ? time_heap_at(&h->timing->fields, item_slot(item)) : HASH_FIELD_STAYS;
}

void hash_item_timed(struct hash *h, void *item, int64_t at_ms)
{
    time_heap_insert(&hash_timing_of(h)->fields, at_ms, item);
}

void hash_item_untimed(struct hash *h, const void *item)
{
    time_heap_remove(&h->timing->fields, item_slot(item));
}

/* Replaces the item by a copy with or without room for a heap slot. */
static char *exchange_item(struct table_pos pos, const char *item, bool expires)
{
    struct item_view v = item_view(item);
    char *fresh = item_new(v.field, v.value, expires);
    table_replace_at(pos, fresh);
    return fresh;
}

static bool table_set_time(struct hash *h, struct bytes_view field, int64_t at_ms)
{
    struct table_pos pos;
    char *item = hash_item_find(h, value_hash(h->env, field), field, &pos);
    if (item == NULL) return false;
    bool had = item_expires(item), has = at_ms != HASH_FIELD_STAYS;
    if (had && has) {
        time_heap_change(&h->timing->fields, item_slot(item), at_ms);
    } else if (has) {
        hash_item_timed(h, exchange_item(pos, item, true), at_ms);
        item_free(NULL, item);
    } else if (had) {
        hash_item_untimed(h, item);
        exchange_item(pos, item, false);
        item_free(NULL, item);
    }
    return true;
}

/* ---- Listpack ---- */

static unsigned char *time_entry(const struct hash *h, const unsigned char *at)
{
    return lp_next(h->lp, lp_next(h->lp, at));
}

int64_t hash_lp_time(const struct hash *h, const unsigned char *at)
{
    int64_t time;
    if (h->encoding != ENCODING_LISTPACK_EX) return HASH_FIELD_STAYS;
    ASSERT(lp_get_int(time_entry(h, at), &time));
    return time == LP_STAYS ? HASH_FIELD_STAYS : time;
}

/* The first field that expires later than at_ms or never; NULL: none. */
static unsigned char *place_for(const struct hash *h, int64_t at_ms)
{
    unsigned char *at = at_ms == HASH_FIELD_STAYS ? NULL : lp_first(h->lp);
    for (; at != NULL; at = hash_lp_after(h, at)) {
        int64_t time = hash_lp_time(h, at);
        if (time == HASH_FIELD_STAYS || time > at_ms) break;
    }
    return at;
}

static void insert_timed(struct hash *h, struct bytes_view field, struct bytes_view value, int64_t at_ms)
{
    unsigned char *at = place_for(h, at_ms);
    int64_t time = at_ms == HASH_FIELD_STAYS ? LP_STAYS : at_ms;
    if (at == NULL) {
        h->lp = lp_append_int(lp_append(lp_append(h->lp, field), value), time);
        return;
    }
    h->lp = lp_insert(h->lp, at, LP_BEFORE, field, &at);
    h->lp = lp_insert(h->lp, at, LP_AFTER, value, &at);
    h->lp = lp_insert_int(h->lp, at, LP_AFTER, time, NULL);
}

/* A copy of a field and its value, which stays in place when the listpack moves. */
static struct bytes_buf copy_pair(const struct hash *h, const unsigned char *at, size_t *field_len)
{
    struct number_text buf;
    struct bytes_buf copy = {0};
    struct bytes_view field = lp_get_view(at, buf.text);
    *field_len = field.len;
    bytes_buf_append_view(&copy, field);
    bytes_buf_append_view(&copy, lp_get_view(lp_next(h->lp, at), buf.text));
    return copy;
}

void hash_lp_set_time(struct hash *h, unsigned char *at, int64_t at_ms)
{
    size_t field_len;
    if (hash_lp_time(h, at) == at_ms) return;
    struct bytes_buf copy = copy_pair(h, at, &field_len);
    h->lp = lp_delete_range_at(h->lp, &at, 3);
    const char *data = copy.len > 0 ? copy.data : "";
    insert_timed(h, bytes_view(data, field_len), bytes_view(data + field_len, copy.len - field_len), at_ms);
    bytes_buf_release(&copy);
}

/* Converts a listpack of pairs to one with times, all of them LP_STAYS. */
static void add_times(struct hash *h)
{
    unsigned char *lp = lp_new(lp_bytes(h->lp) + 2 * hash_count(h));
    for (unsigned char *at = lp_first(h->lp); at != NULL; at = lp_next(h->lp, at)) {
        struct lp_value field = lp_get(at);
        lp = lp_append_value(lp, &field);
        struct lp_value value = lp_get(at = lp_next(h->lp, at));
        lp = lp_append_int(lp_append_value(lp, &value), LP_STAYS);
    }
    lp_free(h->lp);
    h->lp = lp;
    h->encoding = ENCODING_LISTPACK_EX;
}

static bool listpack_set_time(struct hash *h, struct bytes_view field, int64_t at_ms)
{
    enum { TIME_MAX = 16 };
    unsigned char *at = hash_lp_find(h, field);
    if (at == NULL) return false;
    if (h->encoding == ENCODING_LISTPACK) {
        if (at_ms == HASH_FIELD_STAYS) return true;
        if (!lp_safe_to_add(h->lp, 2 * hash_count(h) + TIME_MAX)) {
            hash_convert_to_table(h, hash_count(h));
            return table_set_time(h, field, at_ms);
        }
        add_times(h);
        at = hash_lp_find(h, field);
    }
    hash_lp_set_time(h, at, at_ms);
    return true;
}

/* ---- Either encoding ---- */

bool hash_has_times(const struct hash *h)
{
    return h->timing != NULL;
}

bool hash_is_due(const struct hash *h, int64_t now_ms)
{
    return UNLIKELY(h->timing != NULL) && h->timing->next_ms < now_ms;
}

int64_t hash_next_time(const struct hash *h)
{
    return h->timing == NULL ? HASH_FIELD_STAYS : h->timing->next_ms;
}

bool hash_get_time(const struct hash *h, struct bytes_view field, int64_t *at_ms)
{
    if (hash_is_table(h)) {
        struct table_pos pos;
        const char *item = hash_item_find(h, value_hash(h->env, field), field, &pos);
        if (item != NULL) *at_ms = hash_item_time(h, item);
        return item != NULL;
    }
    const unsigned char *at = hash_lp_find(h, field);
    if (at != NULL) *at_ms = hash_lp_time(h, at);
    return at != NULL;
}

static bool is_past(int64_t at_ms, int64_t now_ms)
{
    return at_ms != HASH_FIELD_STAYS && at_ms < now_ms;
}

bool hash_field_is_past(const struct hash *h, struct bytes_view field, int64_t now_ms)
{
    int64_t at_ms;
    return hash_is_due(h, now_ms) && hash_get_time(h, field, &at_ms) && is_past(at_ms, now_ms);
}

bool hash_set_time(struct hash *h, struct bytes_view field, int64_t at_ms)
{
    ASSERT(at_ms == HASH_FIELD_STAYS || (at_ms > 0 && at_ms <= HASH_TIME_MAX));
    bool found = hash_is_table(h) ? table_set_time(h, field, at_ms) : listpack_set_time(h, field, at_ms);
    if (found) hash_timing_refresh(h);
    return found;
}

/* Counts the expired fields, which are at the start of the listpack. */
static size_t listpack_count_past(const struct hash *h, int64_t now_ms)
{
    size_t count = 0;
    for (unsigned char *at = lp_first(h->lp); at != NULL && is_past(hash_lp_time(h, at), now_ms); count++)
        at = hash_lp_after(h, at);
    return count;
}

size_t hash_timed_fields(const struct hash *h)
{
    if (h->timing == NULL) return 0;
    return hash_is_table(h) ? h->timing->fields.count : listpack_count_past(h, INT64_MAX);
}

size_t hash_count_past(const struct hash *h, int64_t now_ms)
{
    if (!hash_is_due(h, now_ms)) return 0;
    return hash_is_table(h) ? time_heap_count_due(&h->timing->fields, now_ms) : listpack_count_past(h, now_ms);
}

struct each_call {
    bool (*fn)(void *ctx, struct bytes_view field);
    void *ctx;
};

static bool call_with_item(void *ctx, void *item)
{
    const struct each_call *call = ctx;
    return call->fn(call->ctx, item_view(item).field);
}

void hash_each_past(const struct hash *h, int64_t now_ms, bool (*fn)(void *ctx, struct bytes_view field), void *ctx)
{
    if (!hash_is_due(h, now_ms)) return;
    if (hash_is_table(h)) {
        time_heap_due(&h->timing->fields, now_ms, call_with_item, &(struct each_call){.fn = fn, .ctx = ctx});
        return;
    }
    struct number_text buf;
    for (unsigned char *at = lp_first(h->lp); at != NULL && is_past(hash_lp_time(h, at), now_ms);
         at = hash_lp_after(h, at))
        if (!fn(ctx, lp_get_view(at, buf.text))) return;
}

/* ---- Random fields ---- */

static void item_pair(const void *item, struct bytes_view *field, struct bytes_view *value)
{
    struct item_view v = item_view(item);
    *field = v.field;
    if (value != NULL) *value = v.value;
}

/* Tries random items; where most have expired, walks instead. */
static void table_random_at(const struct hash *h, int64_t now_ms, size_t living, struct bytes_view *field,
                            struct bytes_view *value)
{
    enum { TRIES = 64 };
    struct bytes_view ignored;
    struct hash_iter it;
    for (int i = 0; i < TRIES; i++) {
        const void *item = table_random(h->table, h->env->rng);
        if (is_past(hash_item_time(h, item), now_ms)) continue;
        item_pair(item, field, value);
        return;
    }
    hash_iter_init_at(&it, h, now_ms);
    for (size_t skip = rng_below(h->env->rng, living) + 1; skip > 0; skip--)
        ASSERT(hash_iter_next(&it, field, value != NULL ? value : &ignored));
}

bool hash_random_at(const struct hash *h, int64_t now_ms, struct number_text buf[2], struct bytes_view *field,
                    struct bytes_view *value)
{
    size_t past = hash_count_past(h, now_ms), living = hash_count(h) - past;
    if (living == 0) return false;
    if (past == 0) {
        hash_random(h, buf, field, value);
    } else if (hash_is_table(h)) {
        table_random_at(h, now_ms, living, field, value);
    } else { /* expired fields come first */
        unsigned char *at = lp_seek(h->lp, (int64_t)((past + rng_below(h->env->rng, living)) * hash_stride(h)));
        *field = lp_get_view(at, buf[0].text);
        if (value != NULL) *value = lp_get_view(lp_next(h->lp, at), buf[1].text);
    }
    return true;
}

/* ---- Watching ---- */

void hash_watch_placed(void *hash, size_t slot)
{
    ((struct hash *)hash)->timing->watch_slot = slot;
}

void hash_watch(struct hash *h, struct time_heap *heap, const void *owner)
{
    struct hash_timing *t = h->timing;
    if (t == NULL) return;
    ASSERT(t->watch == NULL || t->watch == heap);
    t->owner = owner;
    if (t->watch != NULL) return;
    t->watch = heap;
    time_heap_insert(heap, t->next_ms, h);
}

void hash_unwatch(struct hash *h)
{
    struct hash_timing *t = h->timing;
    if (t == NULL || t->watch == NULL) return;
    time_heap_remove(t->watch, t->watch_slot);
    t->watch = NULL;
}

const void *hash_watch_owner(const struct hash *h)
{
    return h->timing->owner;
}

/* ---- Checking ---- */

static void check_listpack_times(const struct hash *h)
{
    int64_t before = 0;
    bool stays = false;
    for (unsigned char *at = lp_first(h->lp); at != NULL; at = hash_lp_after(h, at)) {
        int64_t time = hash_lp_time(h, at);
        stays = stays || time == HASH_FIELD_STAYS;
        ASSERT(stays ? time == HASH_FIELD_STAYS : time >= before);
        before = time;
    }
}

static void check_table_times(const struct hash *h)
{
    struct table_iter it;
    size_t timed = 0;
    table_iter_init(&it, h->table);
    for (char *item; (item = table_iter_next(&it)) != NULL;) {
        if (!item_expires(item)) continue;
        timed++;
        ASSERT(h->timing->fields.nodes[item_slot(item)].item == item);
    }
    ASSERT(timed == (h->timing == NULL ? 0 : h->timing->fields.count));
    if (h->timing != NULL) time_heap_check(&h->timing->fields);
}

void hash_timing_check(const struct hash *h)
{
    const struct hash_timing *t = h->timing;
    if (hash_is_table(h))
        check_table_times(h);
    else if (h->encoding == ENCODING_LISTPACK_EX)
        check_listpack_times(h);
    ASSERT((t == NULL) == (earliest(h) == HASH_FIELD_STAYS));
    if (t == NULL) return;
    ASSERT(t->next_ms == earliest(h));
    if (t->watch == NULL) return;
    ASSERT(t->watch->nodes[t->watch_slot].item == h && time_heap_at(t->watch, t->watch_slot) == t->next_ms);
}
