#include "server/clients/multi.h"

#include "server/clients/clients.h"
#include "server/core/core.h"
#include "storage/base/checked.h"
#include "storage/base/memory.h"
#include "storage/table.h"

/* ---- The queue ---- */

static struct multi *multi_of(struct client *c)
{
    if (c->multi == NULL) {
        c->multi = mem_calloc(sizeof(*c->multi));
        c->multi->common = ~0u;
    }
    return c->multi;
}

void queued_command_init(struct queued_command *q, struct command_slot *slot, int argc, const struct bytes_view *argv)
{
    size_t head = sizeof(struct bytes_view) * (size_t)argc, total = head;
    for (int i = 0; i < argc; i++) total = checked_size_add(total, argv[i].len);
    *q = (struct queued_command){.slot = slot, .argc = argc, .argv = mem_alloc(total), .bytes = total};
    char *p = (char *)q->argv + head;
    for (int i = 0; i < argc; i++) {
        memcpy(p, argv[i].data, argv[i].len);
        q->argv[i] = bytes_view(p, argv[i].len);
        p += argv[i].len;
    }
}

void queued_command_release(struct queued_command *q)
{
    mem_free(q->argv);
    *q = (struct queued_command){0};
}

void multi_queue(struct client *c, struct command_slot *slot, unsigned flags, int argc, const struct bytes_view *argv)
{
    struct multi *m = multi_of(c);
    if (client_has(c, CLIENT_MULTI_FAILED | CLIENT_WATCH_BROKEN)) return; /* EXEC will not run the queue */
    if (m->count == m->cap) {
        m->cap = m->cap == 0 ? 8 : m->cap * 2;
        m->queue = mem_realloc(m->queue, m->cap * sizeof(*m->queue));
    }
    queued_command_init(&m->queue[m->count], slot, argc, argv);
    m->bytes += m->queue[m->count++].bytes;
    m->flags |= flags;
    m->common &= flags;
}

static void forget_queue(struct multi *m)
{
    for (size_t i = 0; i < m->count; i++) queued_command_release(&m->queue[i]);
    mem_free(m->queue);
    m->queue = NULL;
    m->count = m->cap = m->bytes = 0;
    m->flags = 0;
    m->common = ~0u;
}

void multi_begin(struct client *c)
{
    client_flag_set(c, CLIENT_IN_MULTI);
}

void multi_fail(struct client *c)
{
    if (client_has(c, CLIENT_IN_MULTI)) client_flag_set(c, CLIENT_MULTI_FAILED);
}

void multi_executing(struct client *c, bool on)
{
    client_flag_put(c, CLIENT_EXECUTING_MULTI, on);
}

int multi_queued(const struct client *c)
{
    if (!client_has(c, CLIENT_IN_MULTI)) return -1;
    return c->multi == NULL ? 0 : (int)c->multi->count;
}

size_t multi_watch_count(const struct client *c)
{
    return c->multi == NULL ? 0 : c->multi->watched_count;
}

/* ---- Watched keys ----
 * A record stands for a watched key and has the list of its watches. A client has the list of its own watches. A second
 * table finds the watch of one client on one record, so that WATCH and UNWATCH of n keys are O(n), however many clients
 * watch these keys. */

struct watch_record {
    int db;
    struct bytes_view key; /* bytes behind the struct */
    uint64_t hash;
    struct watched_key *first;
};

struct watched_key { /* one client's watch of one key, on the lists of both */
    struct client *client;
    struct watch_record *record;
    struct watched_key *record_prev, *record_next, *client_next;
    bool expired; /* at the time of WATCH the key was past its expiry: its removal is no change */
};

size_t multi_memory(const struct client *c)
{
    const struct multi *m = c->multi;
    if (m == NULL) return 0;
    return m->bytes + m->cap * sizeof(*m->queue) + m->watched_count * sizeof(*m->watched);
}

struct watches {
    struct core *core;
    struct table records; /* struct watch_record, by database and key */
    struct table watched; /* struct watched_key, by record and client */
    size_t client_count;  /* clients that watch a key */
};

static uint64_t record_hash_of(const struct watches *w, int db, struct bytes_view key)
{
    return seeded_hash(w->core->name_seed, key) + (uint64_t)(unsigned)db * 0x9e3779b97f4a7c15u;
}
static uint64_t record_hash(const void *ctx, const void *entry)
{
    (void)ctx;
    return ((const struct watch_record *)entry)->hash;
}

static uint64_t watched_hash_of(const struct watches *w, const struct watch_record *r, const struct client *c)
{
    const uint64_t pair[2] = {r->hash, c->id};
    return seeded_hash(w->core->name_seed, bytes_view(pair, sizeof(pair)));
}
static uint64_t watched_hash(const void *ctx, const void *entry)
{
    const struct watched_key *wk = entry;
    return watched_hash_of(ctx, wk->record, wk->client);
}

static void on_changed(void *ctx, struct db *db, struct bytes_view key);
static void on_flushed(void *ctx, struct db *db, struct db *replacement);

struct watches *watches_new(struct core *core)
{
    struct watches *w = mem_calloc(sizeof(*w));
    w->core = core;
    key_watch_set(&core->keys, KEY_WATCH_TRANSACTIONS,
                  &(struct key_watcher){.ctx = w, .changed = on_changed, .flushed = on_flushed});
    table_init(&w->records, record_hash, NULL);
    table_init(&w->watched, watched_hash, w);
    return w;
}

void watches_free(struct watches *w)
{
    if (w == NULL) return;
    ASSERT(table_count(&w->records) == 0 &&
           table_count(&w->watched) == 0); /* all clients are freed, and their watches with them */
    table_release(&w->records, NULL, NULL);
    table_release(&w->watched, NULL, NULL);
    mem_free(w);
}

size_t watches_key_count(const struct watches *w)
{
    return table_count(&w->records);
}

size_t watches_client_count(const struct watches *w)
{
    return w->client_count;
}

static struct watch_record *find_record(const struct watches *w, int db, struct bytes_view key)
{
    struct table_probe probe;
    struct watch_record *r;
    table_probe_start(&probe, &w->records, record_hash_of(w, db, key));
    while ((r = table_probe_next(&probe)) != NULL)
        if (r->db == db && bytes_equal(r->key, key)) return r;
    return NULL;
}

static struct watch_record *new_record(struct watches *w, int db, struct bytes_view key)
{
    struct watch_record *r = mem_calloc(sizeof(*r) + key.len);
    memcpy(r + 1, key.data, key.len);
    r->db = db;
    r->key = bytes_view(r + 1, key.len);
    r->hash = record_hash_of(w, db, key);
    table_insert(&w->records, r->hash, r);
    key_watch_add(&w->core->keys, KEY_WATCH_TRANSACTIONS);
    return r;
}

static bool watches_already(const struct watches *w, const struct watch_record *r, const struct client *c)
{
    struct table_probe probe;
    const struct watched_key *wk;
    table_probe_start(&probe, &w->watched, watched_hash_of(w, r, c));
    while ((wk = table_probe_next(&probe)) != NULL)
        if (wk->record == r && wk->client == c) return true;
    return false;
}

void multi_watch(struct client *c, struct bytes_view key)
{
    struct watches *w = c->clients->watches;
    struct multi *m = multi_of(c);
    struct watch_record *r = find_record(w, c->db->id, key);
    if (r == NULL) r = new_record(w, c->db->id, key);
    if (watches_already(w, r, c)) return;
    const struct entry *e = keyspace_peek(c->db, keyref(c->db, key));
    struct watched_key *wk = mem_alloc(sizeof(*wk));
    *wk = (struct watched_key){.client = c, .record = r, .record_next = r->first, .client_next = m->watched};
    wk->expired = e != NULL && entry_is_expired(c->core->keyspace, e);
    if (r->first != NULL) r->first->record_prev = wk;
    r->first = wk;
    m->watched = wk;
    table_insert(&w->watched, watched_hash_of(w, r, c), wk);
    w->client_count += m->watched_count++ == 0;
}

static void unlink_from_record(struct watches *w, struct watched_key *wk)
{
    struct watch_record *r = wk->record;
    ASSERT(table_remove(&w->watched, watched_hash_of(w, r, wk->client), wk));
    if (wk->record_next != NULL) wk->record_next->record_prev = wk->record_prev;
    if (wk->record_prev != NULL)
        wk->record_prev->record_next = wk->record_next;
    else
        r->first = wk->record_next;
    if (r->first != NULL) return;
    ASSERT(table_remove(&w->records, r->hash, r));
    key_watch_remove(&w->core->keys, KEY_WATCH_TRANSACTIONS);
    mem_free(r);
}

void multi_unwatch(struct client *c)
{
    struct watches *w = c->clients->watches;
    struct multi *m = c->multi;
    if (m == NULL || m->watched == NULL) return;
    for (struct watched_key *next, *wk = m->watched; wk != NULL; wk = next) {
        next = wk->client_next;
        unlink_from_record(w, wk);
        mem_free(wk);
    }
    m->watched = NULL;
    m->watched_count = 0;
    w->client_count--;
}

void multi_unwatch_and_mend(struct client *c)
{
    multi_unwatch(c);
    client_flag_clear(c, CLIENT_WATCH_BROKEN);
}

/* A key that has expired since WATCH counts as changed. A key that had expired before does not. */
bool multi_watch_expired(struct client *c)
{
    struct keyspace *ks = c->core->keyspace;
    if (c->multi == NULL) return false;
    for (const struct watched_key *wk = c->multi->watched; wk != NULL; wk = wk->client_next) {
        struct db *db = keyspace_db(ks, wk->record->db);
        const struct entry *e = keyspace_peek(db, keyref(db, wk->record->key));
        if (!wk->expired && e != NULL && entry_is_expired(ks, e)) return true;
    }
    return false;
}

static void on_changed(void *ctx, struct db *db, struct bytes_view key)
{
    const struct watches *w = ctx;
    struct watch_record *r = find_record(w, db->id, key);
    for (struct watched_key *wk = r == NULL ? NULL : r->first; wk != NULL; wk = wk->record_next) {
        if (wk->expired) {
            /* The removal of an expired key changes nothing. Every later event is a change. */
            wk->expired = false;
            if (keyspace_peek(db, keyref(db, key)) == NULL) continue;
        }
        client_flag_set(wk->client, CLIENT_WATCH_BROKEN);
    }
}

/* One watch of a key in a flushed database. `here`: the key was in it; `comes`: the key is in the replacement. */
static void break_watch(struct watched_key *wk, bool here, bool comes, bool comes_expired)
{
    if (wk->expired && (!comes || comes_expired)) {
        wk->expired = comes;
    } else if (!wk->expired && !here && comes_expired) {
        wk->expired = true;
    } else {
        client_flag_set(wk->client, CLIENT_WATCH_BROKEN);
    }
}

/* A key that is absent before and after has not changed. */
static void record_flushed(struct keyspace *ks, struct watch_record *r, struct db *replacement)
{
    struct db *in = keyspace_db(ks, r->db);
    bool here = keyspace_peek(in, keyref(in, r->key)) != NULL;
    const struct entry *e = replacement == NULL ? NULL : keyspace_peek(replacement, keyref(replacement, r->key));
    if (!here && e == NULL) return;
    for (struct watched_key *wk = r->first; wk != NULL; wk = wk->record_next)
        break_watch(wk, here, e != NULL, e != NULL && entry_is_expired(ks, e));
}

static void on_flushed(void *ctx, struct db *db, struct db *replacement)
{
    struct watches *w = ctx;
    struct table_iter it;
    struct watch_record *r;
    table_iter_init(&it, &w->records);
    while ((r = table_iter_next(&it)) != NULL) {
        if (db == NULL || r->db == db->id) record_flushed(w->core->keyspace, r, replacement);
    }
}

/* ---- Ends ---- */

void multi_discard(struct client *c)
{
    if (c->multi != NULL) {
        forget_queue(c->multi);
        multi_unwatch(c);
    }
    client_flag_clear(c, CLIENT_IN_MULTI | CLIENT_MULTI_FAILED | CLIENT_WATCH_BROKEN);
}

static void forget_client(struct client *c)
{
    multi_discard(c);
    mem_free(c->multi);
    c->multi = NULL;
}

const struct client_part multi_part = {.reset = multi_discard, .free = forget_client, .memory = multi_memory};
