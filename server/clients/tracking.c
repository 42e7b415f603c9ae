#include "server/clients/tracking.h"

#include <stdlib.h>

#include "server/catalog/command_row.h"
#include "server/clients/clients.h"
#include "server/core/core.h"
#include "storage/base/checked.h"
#include "storage/base/memory.h"
#include "storage/table.h"

enum {
    ROOM_SLICE = 1000,  /* keys that tracking_make_room() evicts in one call */
    KEYS_ON_STACK = 32, /* of a command */
};
#define INVALIDATE_CHANNEL BYTES_LIT("__redis__:invalidate")

struct tracked_key {
    struct bytes_view name; /* bytes behind the struct */
    uint64_t *ids;          /* ascending */
    size_t count, cap;
};

struct changed_key {
    struct bytes_view name;   /* bytes behind the struct */
    const struct client *by;  /* NULL: no client, or several. Only compared, since it may be freed */
    struct changed_key *next; /* in the order of changes */
};

struct prefix {
    struct bytes_view text;   /* bytes behind the struct */
    struct prefix_use *first; /* its clients */
    struct table changed;     /* struct changed_key, by name */
    struct changed_key *oldest, **newest;
    size_t changed_count;
    struct prefix *prev, *next; /* list of prefixes with changes, if is_pending */
    bool is_pending;
};

struct prefix_use { /* one client's use of one prefix */
    struct client *client;
    struct prefix *prefix;
    struct prefix_use *prev, *next;
};

struct tracking { /* of one client */
    unsigned mode;
    uint64_t redirect;
    struct prefix_use **prefixes; /* sorted by text; none begins with another one, except for "" */
    size_t prefix_count, prefix_cap;
};

struct trackings {
    struct clients *clients;
    struct core *core;
    struct table keys, prefixes;
    size_t items;
    /* The lengths of prefixes, ascending, and the number of prefixes of each. A key is looked up once per length. */
    size_t *lengths, *length_uses;
    uint64_t *length_hashes; /* of the key that is looked up */
    size_t length_count, length_cap;
    struct prefix *pending;
    int64_t memory_of_changes; /* taken by messages since the start */
};

static uint64_t tracked_hash(const void *ctx, const void *entry)
{
    return seeded_hash(*(const uint64_t *)ctx, ((const struct tracked_key *)entry)->name);
}
static uint64_t changed_hash(const void *ctx, const void *entry)
{
    return seeded_hash(*(const uint64_t *)ctx, ((const struct changed_key *)entry)->name);
}
static uint64_t prefix_hash(const void *ctx, const void *entry)
{
    return seeded_hash(*(const uint64_t *)ctx, ((const struct prefix *)entry)->text);
}
static uint64_t hash_of(const struct trackings *ts, struct bytes_view name)
{
    return seeded_hash(ts->core->name_seed, name);
}

static void on_changed(void *ctx, struct db *db, struct bytes_view key);
static void on_expired(void *ctx, struct bytes_view key);
static void on_flushed(void *ctx, struct db *db, struct db *replacement);

struct trackings *trackings_new(struct clients *cs)
{
    struct trackings *ts = mem_calloc(sizeof(*ts));
    ts->clients = cs;
    ts->core = cs->core;
    key_watch_set(
        &ts->core->keys, KEY_WATCH_TRACKING,
        &(struct key_watcher){.ctx = ts, .changed = on_changed, .flushed = on_flushed, .expired = on_expired});
    table_init(&ts->keys, tracked_hash, &ts->core->name_seed);
    table_init(&ts->prefixes, prefix_hash, &ts->core->name_seed);
    return ts;
}

static void free_tracked_key(void *ctx, void *entry)
{
    struct tracked_key *k = entry;
    (void)ctx;
    mem_free(k->ids);
    mem_free(k);
}

static void forget_all_keys(struct trackings *ts)
{
    table_release(&ts->keys, free_tracked_key, NULL);
    table_init(&ts->keys, tracked_hash, &ts->core->name_seed);
    ts->items = 0;
}

void trackings_free(struct trackings *ts)
{
    if (ts == NULL) return;
    ASSERT(table_count(&ts->prefixes) == 0); /* all clients are freed, and their prefixes with them */
    table_release(&ts->keys, free_tracked_key, NULL);
    table_release(&ts->prefixes, NULL, NULL);
    mem_free(ts->lengths);
    mem_free(ts->length_uses);
    mem_free(ts->length_hashes);
    mem_free(ts);
}

/* Allocates a zeroed struct that begins with a bytes_view, and copies the name behind it. */
static void *new_named(size_t size, struct bytes_view name)
{
    char *p = mem_calloc(checked_size_add(size, name.len));
    if (name.len > 0) memcpy(p + size, name.data, name.len);
    *(struct bytes_view *)p = bytes_view(p + size, name.len);
    return p;
}

/* ---- Messages ---- */

/* The client that gets the messages for this client; NULL: none does. */
static struct client *receiver_of(struct client *c)
{
    struct tracking *t = c->tracking;
    if (t->redirect == 0) return c->reply.proto > 2 ? c : NULL;
    struct client *to = client_by_id(c->clients, t->redirect);
    if (to != NULL && !client_has(to, CLIENT_CLOSING | CLIENT_CLOSE_AFTER_REPLY))
        return to->reply.proto > 2 || client_has(to, CLIENT_SUBSCRIBED) ? to : NULL;
    client_flag_set(c, CLIENT_TRACKING_BROKEN);
    if (c->reply.proto == 2) return NULL;
    client_push_begin(c);
    reply_push(&c->reply, 2);
    reply_bulk_cstr(&c->reply, "tracking-redir-broken");
    reply_int(&c->reply, (int64_t)t->redirect);
    client_push_end(c);
    return NULL;
}

/* The caller appends the array of keys, or null for all keys. */
static void begin_message(struct client *to)
{
    client_push_begin(to);
    if (to->reply.proto > 2) {
        reply_push(&to->reply, 2);
        reply_bulk_cstr(&to->reply, "invalidate");
        return;
    }
    reply_array(&to->reply, 3);
    reply_bulk_cstr(&to->reply, "message");
    reply_bulk(&to->reply, INVALIDATE_CHANNEL);
}

static void send_key(struct client *c, struct bytes_view key)
{
    struct client *to = receiver_of(c);
    if (to == NULL) return;
    begin_message(to);
    reply_array(&to->reply, 1);
    reply_bulk(&to->reply, key);
    client_push_end(to);
}

static void send_flush(struct client *c)
{
    struct client *to = receiver_of(c);
    if (to == NULL) return;
    begin_message(to);
    reply_null_array(&to->reply);
    client_push_end(to);
}

/* ---- Keys that clients have read ---- */

static struct tracked_key *find_key(const struct trackings *ts, struct bytes_view name)
{
    struct table_probe probe;
    struct tracked_key *k;
    table_probe_start(&probe, &ts->keys, hash_of(ts, name));
    while ((k = table_probe_next(&probe)) != NULL)
        if (bytes_equal(k->name, name)) return k;
    return NULL;
}

static void take_out_key(struct trackings *ts, struct tracked_key *k)
{
    ASSERT(table_remove(&ts->keys, hash_of(ts, k->name), k));
    ts->items -= k->count;
}

/* Sends a message to the readers of the key, except to `by` if it has NOLOOP. Drops the key. */
static void invalidate_key(struct trackings *ts, struct tracked_key *k, const struct client *by)
{
    take_out_key(ts, k);
    size_t before = mem_used();
    for (size_t i = 0; i < k->count; i++) {
        struct client *c = client_by_id(ts->clients, k->ids[i]);
        if (c == NULL || c->tracking == NULL || (c->tracking->mode & TRACKING_BCAST)) continue;
        if (c != by || !(c->tracking->mode & TRACKING_NOLOOP)) send_key(c, k->name);
    }
    ts->memory_of_changes += (int64_t)(mem_used() - before);
    free_tracked_key(NULL, k);
}

static bool is_full(const struct trackings *ts)
{
    uint64_t max = ts->core->settings->clients.tracking_table_max_keys;
    return max > 0 && table_count(&ts->keys) > max;
}

bool tracking_make_room(struct trackings *ts)
{
    for (int i = 0; i < ROOM_SLICE && is_full(ts); i++)
        invalidate_key(ts, table_random(&ts->keys, ts->core->keyspace->env->rng), NULL);
    if (is_full(ts))
        due_set(ts->core, DUE_TRACKING_ROOM);
    else
        due_clear(ts->core, DUE_TRACKING_ROOM);
    return is_full(ts);
}

void tracking_limit_changed(struct trackings *ts)
{
    (void)tracking_make_room(ts); /* the end of the turn goes on with it */
}

/* The count of ascending numbers that are below this one. */
static size_t numbers_below(const uint64_t *numbers, size_t count, uint64_t number)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (numbers[middle] < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void add_id(struct trackings *ts, struct tracked_key *k, uint64_t id)
{
    size_t low = numbers_below(k->ids, k->count, id);
    if (low < k->count && k->ids[low] == id) return;
    if (k->count == k->cap) {
        k->cap = k->cap == 0 ? 1 : checked_size_mul(k->cap, 2);
        k->ids = mem_realloc(k->ids, checked_size_mul(k->cap, sizeof(*k->ids)));
    }
    memmove(k->ids + low + 1, k->ids + low, (k->count - low) * sizeof(*k->ids));
    k->ids[low] = id;
    k->count++;
    ts->items++;
}

static void remember_key(struct trackings *ts, const struct client *c, struct bytes_view name)
{
    struct tracked_key *k = find_key(ts, name);
    if (k == NULL) {
        k = new_named(sizeof(*k), name);
        table_insert(&ts->keys, hash_of(ts, name), k);
        /* Keys are evicted at the end of the turn, not in the middle of a command. */
        if (is_full(ts)) due_set(ts->core, DUE_TRACKING_ROOM);
    }
    add_id(ts, k, c->id);
}

static bool wants_to_remember(const struct client *c)
{
    unsigned mode = c->tracking->mode;
    if (mode & TRACKING_BCAST) return false;
    bool caching = client_has(c, CLIENT_TRACKING_CACHING); /* CLIENT CACHING YES with OPTIN, NO with OPTOUT */
    return mode & TRACKING_OPTIN ? caching : !(mode & TRACKING_OPTOUT) || !caching;
}

void tracking_set_caching(struct client *c)
{
    client_flag_set(c, CLIENT_TRACKING_CACHING);
}
void tracking_end_caching(struct client *c)
{
    client_flag_clear(c, CLIENT_TRACKING_CACHING);
}

void tracking_remember(struct client *c, const struct command *cmd, int argc, const struct bytes_view *argv)
{
    struct command_key few[KEYS_ON_STACK], *keys = few;
    if (!wants_to_remember(c)) return;
    int max = KEYS_ON_STACK, count = command_keys(cmd, argc, argv, keys, max);
    if (count > max) {
        keys = mem_alloc(checked_size_mul((size_t)count, sizeof(*keys)));
        max = count;
        count = command_keys(cmd, argc, argv, keys, max);
    }
    for (int i = 0; i < count && i < max; i++)
        if (!(keys[i].flags & KEY_NOT_KEY)) remember_key(c->clients->trackings, c, argv[keys[i].arg]);
    if (keys != few) mem_free(keys);
}

/* ---- Prefixes ---- */

static struct prefix *find_prefix_hashed(const struct trackings *ts, struct bytes_view text, uint64_t hash)
{
    struct table_probe probe;
    struct prefix *p;
    table_probe_start(&probe, &ts->prefixes, hash);
    while ((p = table_probe_next(&probe)) != NULL)
        if (bytes_equal(p->text, text)) return p;
    return NULL;
}
static struct prefix *find_prefix(const struct trackings *ts, struct bytes_view text)
{
    return find_prefix_hashed(ts, text, hash_of(ts, text));
}

static void grow_lengths(struct trackings *ts)
{
    ts->length_cap = ts->length_cap == 0 ? 4 : checked_size_mul(ts->length_cap, 2);
    ts->lengths = mem_realloc(ts->lengths, checked_size_mul(ts->length_cap, sizeof(*ts->lengths)));
    ts->length_uses = mem_realloc(ts->length_uses, checked_size_mul(ts->length_cap, sizeof(*ts->length_uses)));
    ts->length_hashes = mem_realloc(ts->length_hashes, checked_size_mul(ts->length_cap, sizeof(*ts->length_hashes)));
}

static void count_length(struct trackings *ts, size_t length)
{
    size_t at = numbers_below(ts->lengths, ts->length_count, length);
    if (at < ts->length_count && ts->lengths[at] == length) {
        ts->length_uses[at]++;
        return;
    }
    if (ts->length_count == ts->length_cap) grow_lengths(ts);
    size_t behind = ts->length_count - at;
    memmove(ts->lengths + at + 1, ts->lengths + at, behind * sizeof(*ts->lengths));
    memmove(ts->length_uses + at + 1, ts->length_uses + at, behind * sizeof(*ts->length_uses));
    ts->lengths[at] = length;
    ts->length_uses[at] = 1;
    ts->length_count++;
}

static void uncount_length(struct trackings *ts, size_t length)
{
    size_t at = numbers_below(ts->lengths, ts->length_count, length);
    if (--ts->length_uses[at] > 0) return;
    size_t behind = --ts->length_count - at;
    memmove(ts->lengths + at, ts->lengths + at + 1, behind * sizeof(*ts->lengths));
    memmove(ts->length_uses + at, ts->length_uses + at + 1, behind * sizeof(*ts->length_uses));
}

static struct prefix *new_prefix(struct trackings *ts, struct bytes_view text)
{
    struct prefix *p = new_named(sizeof(*p), text);
    p->newest = &p->oldest;
    table_init(&p->changed, changed_hash, &ts->core->name_seed);
    table_insert(&ts->prefixes, hash_of(ts, text), p);
    count_length(ts, text.len);
    return p;
}

static void add_prefix(struct client *c, struct bytes_view text)
{
    struct trackings *ts = c->clients->trackings;
    struct tracking *t = c->tracking;
    struct prefix *p = find_prefix(ts, text);
    if (p == NULL) p = new_prefix(ts, text);
    if (t->prefix_count == t->prefix_cap) {
        t->prefix_cap = t->prefix_cap == 0 ? 4 : checked_size_mul(t->prefix_cap, 2);
        t->prefixes = mem_realloc(t->prefixes, checked_size_mul(t->prefix_cap, sizeof(*t->prefixes)));
    }
    struct prefix_use *use = mem_alloc(sizeof(*use));
    *use = (struct prefix_use){.client = c, .prefix = p, .next = p->first};
    if (p->first != NULL) p->first->prev = use;
    p->first = use;
    t->prefixes[t->prefix_count++] = use;
}

static int compare_uses(const void *a, const void *b)
{
    const struct prefix_use *const *first = a, *const *second = b;
    return bytes_compare((*first)->prefix->text, (*second)->prefix->text);
}

/* The count of the client's first `count` prefixes that sort before this text. */
static size_t prefixes_before(const struct tracking *t, size_t count, struct bytes_view text)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (bytes_compare(t->prefixes[middle]->prefix->text, text) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Merges the prefixes behind the first `sorted` into these; each of the sorted ones moves once. */
static void sort_prefixes(struct tracking *t, size_t sorted)
{
    size_t added = t->prefix_count - sorted, size = added * sizeof(*t->prefixes);
    if (added == 0) return;
    struct prefix_use **tail = memcpy(mem_alloc(size), t->prefixes + sorted, size);
    qsort(tail, added, sizeof(*tail), compare_uses);
    while (added-- > 0) {
        size_t at = prefixes_before(t, sorted, tail[added]->prefix->text);
        memmove(t->prefixes + at + added + 1, t->prefixes + at, (sorted - at) * sizeof(*t->prefixes));
        t->prefixes[at + added] = tail[added];
        sorted = at;
    }
    mem_free(tail);
}

static void forget_changes(struct trackings *ts, struct prefix *p)
{
    struct changed_key *next;
    table_release(&p->changed, NULL, NULL);
    table_init(&p->changed, changed_hash, &ts->core->name_seed);
    for (struct changed_key *k = p->oldest; k != NULL; k = next) {
        next = k->next;
        mem_free(k);
    }
    p->oldest = NULL;
    p->newest = &p->oldest;
    p->changed_count = 0;
}

static void take_off_pending(struct trackings *ts, struct prefix *p)
{
    if (!p->is_pending) return;
    p->is_pending = false;
    if (p->prev != NULL)
        p->prev->next = p->next;
    else
        ts->pending = p->next;
    if (p->next != NULL) p->next->prev = p->prev;
    if (ts->pending == NULL) due_clear(ts->core, DUE_TRACKING_BROADCAST);
}

static void drop_prefix_use(struct trackings *ts, struct prefix_use *use)
{
    struct prefix *p = use->prefix;
    if (use->prev != NULL)
        use->prev->next = use->next;
    else
        p->first = use->next;
    if (use->next != NULL) use->next->prev = use->prev;
    mem_free(use);
    if (p->first != NULL) return;
    take_off_pending(ts, p);
    forget_changes(ts, p);
    table_release(&p->changed, NULL, NULL);
    uncount_length(ts, p->text.len);
    ASSERT(table_remove(&ts->prefixes, hash_of(ts, p->text), p));
    mem_free(p);
}

/* ---- Broadcasting ---- */

static struct changed_key *find_change(const struct trackings *ts, const struct prefix *p, struct bytes_view name)
{
    struct table_probe probe;
    struct changed_key *k;
    table_probe_start(&probe, &p->changed, hash_of(ts, name));
    while ((k = table_probe_next(&probe)) != NULL)
        if (bytes_equal(k->name, name)) return k;
    return NULL;
}

static void note_change(struct trackings *ts, struct prefix *p, const struct client *by, struct bytes_view name)
{
    struct changed_key *k = find_change(ts, p, name);
    if (k != NULL) {
        if (k->by != by) k->by = NULL;
        return;
    }
    k = new_named(sizeof(*k), name);
    k->by = by;
    *p->newest = k;
    p->newest = &k->next;
    p->changed_count++;
    table_insert(&p->changed, hash_of(ts, name), k);
    if (p->is_pending) return;
    p->is_pending = true;
    p->prev = NULL;
    p->next = ts->pending;
    if (ts->pending != NULL) ts->pending->prev = p;
    ts->pending = p;
    due_set(ts->core, DUE_TRACKING_BROADCAST);
}

static void note_change_at_prefixes(struct trackings *ts, const struct client *by, struct bytes_view name)
{
    size_t fit = numbers_below(ts->lengths, ts->length_count, name.len + 1);
    seeded_hash_starts(ts->core->name_seed, name, ts->lengths, fit, ts->length_hashes);
    for (size_t i = 0; i < fit; i++) {
        struct prefix *p = find_prefix_hashed(ts, bytes_view(name.data, ts->lengths[i]), ts->length_hashes[i]);
        if (p != NULL) note_change(ts, p, by, name);
    }
}

static void tell_of_changes(struct client *c, const struct prefix *p)
{
    const struct client *not_by = c->tracking->mode & TRACKING_NOLOOP ? c : NULL;
    size_t count = 0;
    for (const struct changed_key *k = p->oldest; k != NULL; k = k->next) count += not_by == NULL || k->by != not_by;
    struct client *to = count == 0 ? NULL : receiver_of(c);
    if (to == NULL) return;
    begin_message(to);
    reply_array(&to->reply, count);
    for (const struct changed_key *k = p->oldest; k != NULL; k = k->next)
        if (not_by == NULL || k->by != not_by) reply_bulk(&to->reply, k->name);
    client_push_end(to);
}

void tracking_broadcast(struct trackings *ts)
{
    struct prefix *p;
    while ((p = ts->pending) != NULL) {
        take_off_pending(ts, p);
        for (struct prefix_use *use = p->first; use != NULL; use = use->next) tell_of_changes(use->client, p);
        forget_changes(ts, p);
    }
}

/* ---- What happens to keys ---- */

/* `by`: the client whose command changed the key, or NULL. */
static void key_changed(struct trackings *ts, struct client *by, struct bytes_view key)
{
    if (ts->length_count > 0) {
        size_t before = mem_used();
        note_change_at_prefixes(ts, by, key);
        ts->memory_of_changes += (int64_t)(mem_used() - before);
    }
    struct tracked_key *k = find_key(ts, key);
    if (k != NULL) invalidate_key(ts, k, by);
}

static void on_changed(void *ctx, struct db *db, struct bytes_view key)
{
    struct trackings *ts = ctx;
    (void)db; /* a key counts by its name, whatever its database */
    key_changed(ts, ts->core->running.client, key);
}

/* No client has changed a key that has expired, although a client's look-up may have removed it. */
static void on_expired(void *ctx, struct bytes_view key)
{
    key_changed(ctx, NULL, key);
}

int64_t tracking_memory_of_changes(const struct trackings *ts)
{
    return ts->memory_of_changes;
}

static void on_flushed(void *ctx, struct db *db, struct db *replacement)
{
    (void)db;
    if (replacement == NULL)
        tracking_flushed(ctx); /* SWAPDB sends no messages: a key counts by its name in all databases */
}

void tracking_flushed(struct trackings *ts)
{
    for (struct client *c = clients_first(ts->clients); c != NULL; c = c->next)
        if (c->tracking != NULL) send_flush(c);
    forget_all_keys(ts);
}

/* ---- Clients ---- */

/* The client has the prefix "", which sorts first. */
static bool has_every_key(const struct tracking *t)
{
    return t->prefix_count > 0 && t->prefixes[0]->prefix->text.len == 0;
}

void tracking_start(struct client *c, unsigned mode, uint64_t redirect, const struct bytes_view *prefixes, size_t count)
{
    if (c->tracking == NULL) {
        c->tracking = mem_calloc(sizeof(*c->tracking));
        client_flag_set(c, CLIENT_TRACKING);
        key_watch_add(&c->core->keys, KEY_WATCH_TRACKING);
    }
    c->tracking->mode = mode;
    c->tracking->redirect = redirect;
    client_flag_clear(c, CLIENT_TRACKING_BROKEN);
    client_flag_put(c, CLIENT_TRACKING_BCAST, (mode & TRACKING_BCAST) != 0);
    if (!(mode & TRACKING_BCAST)) return;
    size_t sorted = c->tracking->prefix_count;
    for (size_t i = 0; i < count; i++) add_prefix(c, prefixes[i]);
    if (count == 0 && !has_every_key(c->tracking)) add_prefix(c, BYTES_LIT(""));
    sort_prefixes(c->tracking, sorted);
}

void tracking_stop(struct client *c)
{
    struct tracking *t = c->tracking;
    if (t == NULL) return;
    for (size_t i = 0; i < t->prefix_count; i++) drop_prefix_use(c->clients->trackings, t->prefixes[i]);
    mem_free(t->prefixes);
    mem_free(t);
    c->tracking = NULL;
    client_flag_clear(c, CLIENT_TRACKING | CLIENT_TRACKING_BCAST | CLIENT_TRACKING_BROKEN | CLIENT_TRACKING_CACHING);
    key_watch_remove(&c->core->keys, KEY_WATCH_TRACKING);
    if (c->core->keys.counts[KEY_WATCH_TRACKING] == 0) forget_all_keys(c->clients->trackings); /* no client tracks */
}

bool tracking_prefixes_overlap(struct bytes_view a, struct bytes_view b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    return len == 0 || memcmp(a.data, b.data, len) == 0;
}

/* No prefix of a client begins with another one. So if prefixes overlap with the text, one of them is its neighbour in
 * sorted order. Only "", which sorts first, may be elsewhere. */
const struct bytes_view *tracking_overlap(const struct client *c, struct bytes_view prefix)
{
    const struct tracking *t = c->tracking;
    if (t == NULL || t->prefix_count == 0) return NULL;
    size_t low = prefixes_before(t, t->prefix_count, prefix);
    size_t near[3] = {0, low > 0 ? low - 1 : 0, low < t->prefix_count ? low : 0};
    for (int i = 0; i < 3; i++) {
        const struct bytes_view *text = &t->prefixes[near[i]]->prefix->text;
        if (tracking_prefixes_overlap(*text, prefix)) return text;
    }
    return NULL;
}

unsigned tracking_mode_of(const struct client *c)
{
    return c->tracking == NULL ? 0 : c->tracking->mode;
}
uint64_t tracking_redirect(const struct client *c)
{
    return c->tracking == NULL ? 0 : c->tracking->redirect;
}
size_t tracking_prefix_count(const struct client *c)
{
    return c->tracking == NULL ? 0 : c->tracking->prefix_count;
}
struct bytes_view tracking_prefix(const struct client *c, size_t i)
{
    return c->tracking->prefixes[i]->prefix->text;
}

static size_t memory_of(const struct client *c)
{
    const struct tracking *t = c->tracking;
    if (t == NULL) return 0;
    size_t bytes = sizeof(*t) + t->prefix_cap * sizeof(struct prefix_use *);
    for (size_t i = 0; i < t->prefix_count; i++) bytes += sizeof(struct prefix_use) + t->prefixes[i]->prefix->text.len;
    return bytes;
}

const struct client_part tracking_part = {.reset = tracking_stop, .free = tracking_stop, .memory = memory_of};

void tracking_summarize(const struct trackings *ts, struct tracking_summary *out)
{
    *out = (struct tracking_summary){.clients = ts->core->keys.counts[KEY_WATCH_TRACKING],
                                     .keys = table_count(&ts->keys),
                                     .items = ts->items,
                                     .prefixes = table_count(&ts->prefixes)};
}
