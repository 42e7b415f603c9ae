#include "server/clients/key_waits.h"

#include <math.h>

#include "server/clients/blocking.h"
#include "server/dispatch/dispatch.h"
#include "server/server.h"
#include "storage/base/checked.h"
#include "storage/base/memory.h"

struct waiter { /* one client in the queue of one key */
    struct key_wait *wait;
    struct waited_key *key;
    struct waiter *prev, *next;
    uint64_t number; /* of its arrival: they increase along a queue */
};

struct key_wait {
    struct client *client;
    enum value_type type;
    bool or_gone;
    size_t count; /* keys, each once */
    struct waiter waiters[];
};

struct waited_key {
    struct db *db;
    struct bytes_view name; /* bytes behind the struct */
    struct waiter *first, *last;
    struct waiter *cursor; /* while being served: whose turn comes next */
    size_t or_gone;        /* waiters of that kind */
    bool is_ready, being_served;
    struct waited_key *ready_prev, *ready_next;
};

struct key_waits {
    struct server *server;
    struct table keys;
    struct waited_key *ready_first, *ready_last;
    uint64_t arrivals;
    size_t gone_keys; /* keys with or_gone > 0 */
    bool serving;
};

/* ---- The table of keys ---- */

static uint64_t hash_of(const struct db *db, struct bytes_view name)
{
    return value_hash(db->keyspace->env, name) + (uint64_t)(unsigned)db->id * 0x9e3779b97f4a7c15u;
}
static uint64_t key_hash(const void *ctx, const void *entry)
{
    const struct waited_key *k = entry;
    (void)ctx;
    return hash_of(k->db, k->name);
}

struct key_waits *key_waits_new(struct server *s)
{
    struct key_waits *kw = mem_calloc(sizeof(*kw));
    kw->server = s;
    table_init(&kw->keys, key_hash, NULL);
    return kw;
}

void key_waits_free(struct key_waits *kw)
{
    if (kw == NULL) return;
    ASSERT(table_count(&kw->keys) == 0); /* the clients are gone, and their waits with them */
    table_release(&kw->keys, NULL, NULL);
    mem_free(kw);
}

size_t key_waits_key_count(const struct server *s)
{
    return table_count(&s->key_waits->keys);
}
size_t key_waits_gone_count(const struct server *s)
{
    return s->key_waits->gone_keys;
}

static struct waited_key *find_key(const struct key_waits *kw, const struct db *db, struct bytes_view name)
{
    struct table_probe probe;
    struct waited_key *k;
    table_probe_start(&probe, &kw->keys, hash_of(db, name));
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
    table_insert(&kw->keys, hash_of(db, name), k);
    kw->server->core.waited_keys++;
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
    kw->server->core.keys_ready = true;
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
    kw->server->core.keys_ready = kw->ready_first != NULL;
}

static void drop_if_unused(struct key_waits *kw, struct waited_key *k)
{
    if (k->first != NULL || k->being_served) return;
    take_off_ready(kw, k);
    ASSERT(table_remove(&kw->keys, hash_of(k->db, k->name), k));
    kw->server->core.waited_keys--;
    mem_free(k);
}

/* ---- Queues ---- */

/* Appended all at once, so a client that is in this queue already is its last. */
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
    for (size_t i = 0; i < wait->count; i++) leave_queue(c->server->key_waits, &wait->waiters[i]);
    mem_free(wait);
}

static void wait_timed_out(struct client *c)
{
    reply_null_array(&c->reply); /* of BLMOVE too, which answers a bulk otherwise */
}

static struct key_wait *new_wait(struct cmd_ctx *ctx, const struct key_wait_for *what)
{
    struct key_waits *kw = ctx->server->key_waits;
    size_t keys = (size_t)what->key_count;
    struct key_wait *wait = mem_alloc(checked_size_add(sizeof(*wait), checked_size_mul(keys, sizeof(struct waiter))));
    *wait = (struct key_wait){.client = ctx->client, .type = what->type, .or_gone = what->or_gone};
    for (size_t i = 0; i < keys; i++) {
        struct bytes_view name = ctx->argv[what->first_key + (int)i];
        struct waited_key *k = find_key(kw, ctx->db, name);
        if (k == NULL) k = new_key(kw, ctx->db, name);
        if (is_queued(k, wait)) continue;
        struct waiter *w = &wait->waiters[wait->count++];
        w->wait = wait;
        enqueue(kw, k, w);
    }
    return wait;
}

bool ctx_wait_for_keys(struct cmd_ctx *ctx, const struct key_wait_for *what)
{
    struct client *c = ctx->client;
    if (c->conn == NULL || exec_is_nested(&ctx->core->exec)) return false;
    ctx->waits = true;
    if (client_has(c, CLIENT_BLOCKED)) return true; /* it was run again, and waits on */
    struct blocked how = {.kind = BLOCK_KEYS,
                          .until_ms = what->until_ms,
                          .timed_out = wait_timed_out,
                          .ended = wait_ended,
                          .data = new_wait(ctx, what)};
    queued_command_init(&how.command, ctx->slot, ctx->argc, what->argv != NULL ? what->argv : ctx->argv);
    client_block(c, &how);
    return true;
}

size_t key_waits_memory(const struct client *c)
{
    if (!client_has(c, CLIENT_BLOCKED) || c->blocked->kind != BLOCK_KEYS) return 0;
    const struct key_wait *wait = c->blocked->data;
    return sizeof(*wait) + wait->count * sizeof(struct waiter) + c->blocked->command.bytes;
}

/* ---- Timeouts ---- */

/* Rounded up: who asks for a fraction of a millisecond does not ask for eternity. */
static bool parse_seconds(struct cmd_ctx *ctx, int arg, int64_t *timeout_ms)
{
    long double seconds;
    if (!num_parse_long_double(ctx->argv[arg], &seconds) || isnan(seconds)) {
        reply_error(ctx->reply, "ERR timeout is not a float or out of range");
        return false;
    }
    long double ms = ceill(seconds * 1000);
    if (ms > (long double)INT64_MAX) {
        reply_error(ctx->reply, "ERR timeout is out of range");
        return false;
    }
    *timeout_ms = ms < (long double)INT64_MIN ? INT64_MIN : (int64_t)ms;
    return true;
}

static bool parse_ms(struct cmd_ctx *ctx, int arg, int64_t *timeout_ms)
{
    if (num_parse_i64(ctx->argv[arg], timeout_ms)) return true;
    reply_error(ctx->reply, "ERR timeout is not an integer or out of range");
    return false;
}

bool ctx_arg_timeout(struct cmd_ctx *ctx, int arg, enum timeout_unit unit, int64_t *until_ms)
{
    int64_t timeout_ms = 0;
    if (!(unit == TIMEOUT_SECONDS ? parse_seconds : parse_ms)(ctx, arg, &timeout_ms)) return false;
    if (timeout_ms < 0) {
        reply_error(ctx->reply, "ERR timeout is negative");
        return false;
    }
    *until_ms = 0;
    if (timeout_ms > 0 && add_overflow(ctx->core->clock.now_ms, timeout_ms, until_ms)) {
        reply_error(ctx->reply, "ERR timeout is out of range");
        return false;
    }
    return true;
}

/* ---- What happens to keys ---- */

/* What the key holds, an expired value being none; nothing is deleted on the way. */
static bool look_at(const struct waited_key *k, enum value_type *type)
{
    const struct entry *e = keyspace_peek(k->db, keyref(k->db, k->name));
    if (e == NULL || entry_is_expired(k->db->keyspace, e)) return false;
    *type = e->type;
    return true;
}

void key_waits_ready(struct server *s, struct db *db, struct bytes_view key)
{
    struct waited_key *k = s->core.waited_keys == 0 ? NULL : find_key(s->key_waits, db, key);
    if (k != NULL) make_ready(s->key_waits, k);
}

void key_waits_changed(struct server *s, struct db *db, struct bytes_view key)
{
    enum value_type type;
    struct waited_key *k = find_key(s->key_waits, db, key);
    if (k == NULL) return;
    bool here = look_at(k, &type);
    if (here && type == TYPE_STREAM) return;
    if (here ? type == TYPE_LIST || type == TYPE_ZSET || k->or_gone > 0 : k->or_gone > 0) make_ready(s->key_waits, k);
}

void key_waits_flushed(struct server *s, struct db *db, struct db *replacement)
{
    struct table_iter it;
    struct waited_key *k;
    table_iter_init(&it, &s->key_waits->keys);
    while ((k = table_iter_next(&it)) != NULL) {
        if (db != NULL && k->db != db) continue;
        bool comes = replacement != NULL && keyspace_peek(replacement, keyref(replacement, k->name)) != NULL;
        if (comes || k->or_gone > 0) make_ready(s->key_waits, k);
    }
}

void key_waits_all_ready(struct server *s)
{
    struct table_iter it;
    struct waited_key *k;
    table_iter_init(&it, &s->key_waits->keys);
    while ((k = table_iter_next(&it)) != NULL) make_ready(s->key_waits, k);
}

/* ---- Serving ---- */

/* Runs the command of whoever waits for what the key holds now, up to the one that was last when this began. */
static void serve_key(struct server *s, struct waited_key *k)
{
    enum value_type type;
    uint64_t last = k->last->number;
    k->being_served = true;
    for (struct waiter *w = k->first; w != NULL && w->number <= last; w = k->cursor) {
        struct client *c = w->wait->client;
        k->cursor = w->next;
        bool here = look_at(k, &type); /* anew each time: the one before may have taken all there was */
        if (!here && k->or_gone == 0) break;
        bool wanted = here && type == w->wait->type;
        if ((!wanted && !w->wait->or_gone) || client_has(c, CLIENT_CLOSING)) continue;
        if (dispatch_again(c)) client_unblock(c);
    }
    k->cursor = NULL;
    k->being_served = false;
    drop_if_unused(s->key_waits, k);
}

void key_waits_serve(struct server *s)
{
    struct key_waits *kw = s->key_waits;
    struct waited_key *k;
    if (kw->serving || s->core.modes.loading || s->core.life.stopping || pause_current(&s->core) != PAUSE_NONE) return;
    kw->serving = true;
    clock_update(&s->core);
    /* A master's stream may have made the keys ready; the commands of our own clients see expired keys as usual. */
    enum expiry_mode before = modes_override_expiry(&s->core, s->core.keyspace->expiry_mode);
    modes_refresh(&s->core);
    while ((k = kw->ready_first) != NULL) {
        take_off_ready(kw, k);
        serve_key(s, k);
    }
    modes_restore_expiry(&s->core, before);
    kw->serving = false;
}
