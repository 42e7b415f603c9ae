#include "server/clients/key_waits.h"

#include "server/clients/blocking.h"
#include "server/clients/clients.h"
#include "server/core/core.h"
#include "storage/base/checked.h"
#include "storage/base/memory.h"

struct waiter { /* one client in the queue of one key */
    struct key_wait *wait;
    struct waited_key *key;
    struct waiter *prev, *next;
    uint64_t number; /* ascending along a queue */
};

struct key_wait {
    struct client *client;
    enum value_type type;
    bool or_gone;
    size_t count; /* of different keys */
    struct waiter waiters[];
};

struct waited_key {
    struct db *db;
    struct bytes_view name; /* bytes behind the struct */
    struct waiter *first, *last;
    struct waiter *cursor; /* while being served: the next waiter to look at */
    size_t or_gone;        /* waiters with or_gone */
    bool is_ready, being_served;
    struct waited_key *ready_prev, *ready_next;
};

struct key_waits {
    struct core *core;
    struct table keys;
    struct waited_key *ready_first, *ready_last;
    uint64_t arrivals;
    size_t gone_keys; /* keys with or_gone > 0 */
    bool serving;
};

/* ---- The table of keys ---- */

static uint64_t hash_of(const struct key_waits *kw, const struct db *db, struct bytes_view name)
{
    return seeded_hash(kw->core->name_seed, name) + (uint64_t)(unsigned)db->id * 0x9e3779b97f4a7c15u;
}
static uint64_t waited_hash(const void *ctx, const void *entry)
{
    const struct waited_key *k = entry;
    return hash_of(ctx, k->db, k->name);
}

static void on_changed(void *ctx, struct db *db, struct bytes_view key);
static void on_created(void *ctx, struct db *db, struct bytes_view key);
static void on_flushed(void *ctx, struct db *db, struct db *replacement);

struct key_waits *key_waits_new(struct core *core)
{
    struct key_waits *kw = mem_calloc(sizeof(*kw));
    kw->core = core;
    key_watch_set(
        &core->keys, KEY_WATCH_WAITS,
        &(struct key_watcher){.ctx = kw, .changed = on_changed, .created = on_created, .flushed = on_flushed});
    table_init(&kw->keys, waited_hash, kw);
    return kw;
}

void key_waits_free(struct key_waits *kw)
{
    if (kw == NULL) return;
    ASSERT(table_count(&kw->keys) == 0); /* all clients are freed, and their waits with them */
    table_release(&kw->keys, NULL, NULL);
    mem_free(kw);
}

size_t key_waits_key_count(const struct key_waits *kw)
{
    return table_count(&kw->keys);
}
size_t key_waits_gone_count(const struct key_waits *kw)
{
    return kw->gone_keys;
}

static struct waited_key *find_key(const struct key_waits *kw, const struct db *db, struct bytes_view name)
{
    struct table_probe probe;
    struct waited_key *k;
    table_probe_start(&probe, &kw->keys, hash_of(kw, db, name));
    while ((k = table_probe_next(&probe)) != NULL)
        if (k->db == db && bytes_equal(k->name, name)) return k;
    return NULL;
}

static struct waited_key *new_key(struct key_waits *kw, struct db *db, struct bytes_view name)
{
    struct waited_key *k = mem_calloc(checked_size_add(sizeof(*k), name.len));
    memcpy(k + 1, name.data, name.len);
    k->db = db;
    k->name = bytes_view(k + 1, name.len);
    table_insert(&kw->keys, hash_of(kw, db, name), k);
    key_watch_add(&kw->core->keys, KEY_WATCH_WAITS);
    return k;
}

/* ---- The list of keys that are ready ---- */

static void make_ready(struct key_waits *kw, struct waited_key *k)
{
    if (k->is_ready) return;
    k->is_ready = true;
    k->ready_prev = kw->ready_last;
    k->ready_next = NULL;
    if (kw->ready_last != NULL)
        kw->ready_last->ready_next = k;
    else
        kw->ready_first = k;
    kw->ready_last = k;
    due_set(kw->core, DUE_KEY_WAITS);
}

static void take_off_ready(struct key_waits *kw, struct waited_key *k)
{
    if (!k->is_ready) return;
    k->is_ready = false;
    if (k->ready_prev != NULL)
        k->ready_prev->ready_next = k->ready_next;
    else
        kw->ready_first = k->ready_next;
    if (k->ready_next != NULL)
        k->ready_next->ready_prev = k->ready_prev;
    else
        kw->ready_last = k->ready_prev;
    if (kw->ready_first == NULL) due_clear(kw->core, DUE_KEY_WAITS);
}

static void drop_if_unused(struct key_waits *kw, struct waited_key *k)
{
    if (k->first != NULL || k->being_served) return;
    take_off_ready(kw, k);
    ASSERT(table_remove(&kw->keys, hash_of(kw, k->db, k->name), k));
    key_watch_remove(&kw->core->keys, KEY_WATCH_WAITS);
    mem_free(k);
}

/* ---- Queues ---- */

/* A client joins all its queues in one go, so if it is in this queue already, it is the last one. */
static bool is_queued(const struct waited_key *k, const struct key_wait *wait)
{
    return k->last != NULL && k->last->wait == wait;
}

static void enqueue(struct key_waits *kw, struct waited_key *k, struct waiter *w)
{
    w->key = k;
    w->number = ++kw->arrivals;
    w->prev = k->last;
    w->next = NULL;
    if (k->last != NULL)
        k->last->next = w;
    else
        k->first = w;
    k->last = w;
    if (w->wait->or_gone && k->or_gone++ == 0) kw->gone_keys++;
}

static void leave_queue(struct key_waits *kw, struct waiter *w)
{
    struct waited_key *k = w->key;
    if (k->cursor == w) k->cursor = w->next;
    if (w->prev != NULL)
        w->prev->next = w->next;
    else
        k->first = w->next;
    if (w->next != NULL)
        w->next->prev = w->prev;
    else
        k->last = w->prev;
    if (w->wait->or_gone && --k->or_gone == 0) kw->gone_keys--;
    drop_if_unused(kw, k);
}

/* ---- Waiting ---- */

static void wait_ended(struct client *c)
{
    struct key_wait *wait = c->blocked->data;
    for (size_t i = 0; i < wait->count; i++) leave_queue(c->clients->key_waits, &wait->waiters[i]);
    mem_free(wait);
}

static void wait_timed_out(struct client *c)
{
    reply_null_array(&c->reply); /* for BLMOVE too, whose reply is a bulk string otherwise */
}

static struct key_wait *new_wait(struct client *c, const struct key_wait_for *what)
{
    struct key_waits *kw = c->clients->key_waits;
    size_t keys = (size_t)what->key_count;
    struct key_wait *wait = mem_alloc(checked_size_add(sizeof(*wait), checked_size_mul(keys, sizeof(struct waiter))));
    *wait = (struct key_wait){.client = c, .type = what->type, .or_gone = what->or_gone};
    for (size_t i = 0; i < keys; i++) {
        struct bytes_view name = what->argv[what->first_key + (int)i];
        struct waited_key *k = find_key(kw, c->db, name);
        if (k == NULL) k = new_key(kw, c->db, name);
        if (is_queued(k, wait)) continue;
        struct waiter *w = &wait->waiters[wait->count++];
        w->wait = wait;
        enqueue(kw, k, w);
    }
    return wait;
}

void key_waits_block(struct client *c, const struct key_wait_for *what, struct command_slot *slot, int argc)
{
    struct blocked how = {.kind = BLOCK_KEYS,
                          .until_ms = what->until_ms,
                          .timed_out = wait_timed_out,
                          .ended = wait_ended,
                          .data = new_wait(c, what)};
    queued_command_init(&how.command, slot, argc, what->argv);
    client_block(c, &how);
}

static size_t memory_of(const struct client *c)
{
    if (!client_has(c, CLIENT_BLOCKED) || c->blocked->kind != BLOCK_KEYS) return 0;
    const struct key_wait *wait = c->blocked->data;
    return sizeof(*wait) + wait->count * sizeof(struct waiter) + c->blocked->command.bytes;
}

const struct client_part key_waits_part = {.memory = memory_of};

/* ---- What happens to keys ---- */

/* The type of the value. False: there is none, or it has expired. Deletes nothing. */
static bool look_at(const struct waited_key *k, enum value_type *type)
{
    const struct entry *e = keyspace_peek(k->db, keyref(k->db, k->name));
    if (e == NULL || entry_is_expired(k->db->keyspace, e)) return false;
    *type = e->type;
    return true;
}

void key_waits_ready(struct key_waits *kw, struct db *db, struct bytes_view key)
{
    struct waited_key *k = table_count(&kw->keys) == 0 ? NULL : find_key(kw, db, key);
    if (k != NULL) make_ready(kw, k);
}

static void on_created(void *ctx, struct db *db, struct bytes_view key)
{
    key_waits_ready(ctx, db, key);
}

static void on_changed(void *ctx, struct db *db, struct bytes_view key)
{
    enum value_type type;
    struct key_waits *kw = ctx;
    struct waited_key *k = find_key(kw, db, key);
    if (k == NULL) return;
    bool here = look_at(k, &type);
    if (here && type == TYPE_STREAM) return;
    if (here ? type == TYPE_LIST || type == TYPE_ZSET || k->or_gone > 0 : k->or_gone > 0) make_ready(kw, k);
}

static void on_flushed(void *ctx, struct db *db, struct db *replacement)
{
    struct key_waits *kw = ctx;
    struct table_iter it;
    struct waited_key *k;
    table_iter_init(&it, &kw->keys);
    while ((k = table_iter_next(&it)) != NULL) {
        if (db != NULL && k->db != db) continue;
        bool comes = replacement != NULL && keyspace_peek(replacement, keyref(replacement, k->name)) != NULL;
        if (comes || k->or_gone > 0) make_ready(kw, k);
    }
}

void key_waits_all_ready(struct key_waits *kw)
{
    struct table_iter it;
    struct waited_key *k;
    table_iter_init(&it, &kw->keys);
    while ((k = table_iter_next(&it)) != NULL) make_ready(kw, k);
}

/* ---- Serving ---- */

/* Runs the commands of waiters that wait for what the key holds. Waiters that arrive meanwhile are not served here. */
static void serve_key(struct key_waits *kw, struct waited_key *k)
{
    enum value_type type;
    uint64_t last = k->last->number;
    k->being_served = true;
    for (struct waiter *w = k->first; w != NULL && w->number <= last; w = k->cursor) {
        struct client *c = w->wait->client;
        k->cursor = w->next;
        bool here = look_at(k, &type); /* each time: the command before may have taken everything */
        if (!here && k->or_gone == 0) break;
        bool wanted = here && type == w->wait->type;
        if ((!wanted && !w->wait->or_gone) || client_has(c, CLIENT_CLOSING)) continue;
        if (client_run_again(c)) client_unblock(c);
    }
    k->cursor = NULL;
    k->being_served = false;
    drop_if_unused(kw, k);
}

void key_waits_serve(struct key_waits *kw)
{
    struct core *core = kw->core;
    struct waited_key *k;
    if (kw->serving || core->modes.loading || core->life.stopping || pause_current(core) != PAUSE_NONE) return;
    kw->serving = true;
    clock_update(core);
    /* The stream of our master may have made the keys ready, and it sees expired keys. Commands of clients do not. */
    enum expiry_mode before = core->keyspace->expiry_mode;
    modes_refresh(core);
    while ((k = kw->ready_first) != NULL) {
        take_off_ready(kw, k);
        serve_key(kw, k);
    }
    modes_restore_expiry(core, before);
    kw->serving = false;
}
