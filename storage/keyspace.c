#include "storage/keyspace.h"

#include <stdatomic.h>

#include "storage/base/checked.h"
#include "storage/base/memory.h"
#include "storage/hash.h"
#include "storage/lazyfree.h"

/* The environment of a data set, shared by siblings with the same secret. Values and tables point to it, also those that
 * wait in the queue of the lazy-free thread: so a keyspace gives up its reference behind them in that queue. */
struct keyspace_shared {
    atomic_uint refs; /* atomic because the lazy-free thread may free a keyspace */
    struct value_env env;
    struct rng rng;
    struct hash_secret secret;
    uint64_t fingerprint;
};

enum { FIELDS_AT_ONCE = 64 };

static void remove_entry(struct db *db, uint64_t hash, struct entry *e, bool lazy);

/* ---- Building entries ---- */

/* Sizes are rounded up to the allocator's quantum, so that a new value of similar length can be written in place. */
static size_t entry_size(size_t key_len, unsigned flags, size_t value_len)
{
    size_t size = sizeof(struct entry) + key_len;
    size += (flags & ENTRY_EXPIRES) ? 8 : 0;
    size += (flags & ENTRY_INLINE) ? value_len : 8;
    size += (flags & ENTRY_LONG_KEY) ? 4 : 0;
    return (size + 15) & ~(size_t)15;
}

static size_t entry_size_of(const struct entry *e)
{
    return entry_size(entry_key(e).len, e->flags, e->value_len);
}

static void entry_write_expiry(struct entry *e, int64_t at_ms)
{
    memcpy(e->rest, &at_ms, 8);
}
static void entry_write_word(struct entry *e, const void *word)
{
    memcpy(e->rest + entry_word_offset(e), word, 8);
}
static char *entry_inline_value(struct entry *e)
{
    struct bytes_view key = entry_key(e);
    return (char *)key.data + key.len;
}

/* The content of an entry: `word` holds the eight bytes of the number or pointer, `value` the inline bytes. */
struct content {
    enum value_type type;
    enum value_encoding encoding;
    bool inlined;
    union {
        int64_t number;
        void *pointer;
        char word[8];
    };
    struct bytes_view value;
};

static struct entry *entry_build(struct bytes_view key, const struct content *c, int64_t expiry_ms, uint32_t access)
{
    ASSERT(key.len <= UINT32_MAX);
    unsigned flags = expiry_ms >= 0 ? ENTRY_EXPIRES : 0;
    if (c->inlined) flags |= ENTRY_INLINE;
    if (key.len > ENTRY_SHORT_KEY_MAX) flags |= ENTRY_LONG_KEY;
    struct entry *e = mem_alloc(entry_size(key.len, flags, c->value.len));
    *e = (struct entry){.type = c->type,
                        .encoding = c->encoding,
                        .flags = (uint8_t)flags,
                        .key_len = (uint8_t)key.len,
                        .access = access,
                        .value_len = c->inlined ? (uint8_t)c->value.len : 0};
    if (expiry_ms >= 0) entry_write_expiry(e, expiry_ms);
    if (!c->inlined) entry_write_word(e, c->word);
    size_t at = entry_key_offset(e);
    if (flags & ENTRY_LONG_KEY) {
        uint32_t len = (uint32_t)key.len;
        memcpy(e->rest + at - 4, &len, 4);
    }
    memcpy(e->rest + at, key.data, key.len);
    if (c->inlined && c->value.len > 0) memcpy(e->rest + at + key.len, c->value.data, c->value.len);
    return e;
}

static struct content entry_content(const struct entry *e)
{
    struct content c = {.type = e->type, .encoding = e->encoding, .inlined = e->flags & ENTRY_INLINE};
    if (c.inlined)
        c.value = entry_string(e, NULL);
    else
        memcpy(c.word, e->rest + entry_word_offset(e), 8);
    return c;
}

/* Frees a blob. A held blob stays and is freed by keyspace_let_go_of_blob(). The header of the blob is read only
 * while some blob is held. `ks` is NULL where no blob can be held. */
static void blob_free(const struct keyspace *ks, struct blob *b)
{
    if (ks != NULL && UNLIKELY(ks->held_blobs > 0) && b->held)
        b->held = false;
    else
        mem_free(b);
}

static void content_free(const struct keyspace *ks, const struct content *c, struct lazyfree *lazyfree)
{
    if (c->inlined || c->encoding == ENCODING_INT) return;
    if (c->type == TYPE_STRING) {
        blob_free(ks, c->pointer);
    } else if (lazyfree != NULL && value_free_effort(c->type, c->pointer) > LAZYFREE_THRESHOLD) {
        lazyfree_value(lazyfree, c->type, c->pointer);
    } else {
        value_free(c->type, c->pointer);
    }
}

static void entry_free_alone(struct entry *e)
{
    mem_free_sized(e, entry_size_of(e));
}

static void entry_free(const struct keyspace *ks, struct entry *e, struct lazyfree *lazyfree)
{
    struct content c = entry_content(e);
    content_free(ks, &c, lazyfree);
    entry_free_alone(e);
}

static void entry_free_fn(void *ctx, void *entry)
{
    (void)ctx;
    entry_free(NULL, entry, NULL);
}

/* ---- Making and ending a keyspace ---- */

static uint64_t entry_hash(const void *ctx, const void *entry)
{
    return key_hash(ctx, entry_key(entry));
}

static void db_init_tables(struct db *db)
{
    table_init(&db->keys, entry_hash, db->keyspace->env);
    table_init(&db->expires, entry_hash, db->keyspace->env);
    db->timed_hashes = mem_alloc(sizeof(*db->timed_hashes));
    time_heap_init(db->timed_hashes, hash_watch_placed);
}

static void timed_hashes_free(struct time_heap *h)
{
    time_heap_release(h);
    mem_free_sized(h, sizeof(*h));
}

static struct keyspace_shared *shared_new(const struct hash_secret *secret, const struct encoding_limits *limits,
                                          uint64_t rng_start)
{
    struct keyspace_shared *shared = mem_calloc(sizeof(*shared));
    shared->secret = *secret;
    shared->fingerprint = hash_secret_fingerprint(secret);
    rng_seed(&shared->rng, rng_start);
    shared->env = (struct value_env){.key_seed = hash_secret_key_seed(secret),
                                     .element_seed = hash_secret_element_seed(secret),
                                     .limits = limits,
                                     .rng = &shared->rng};
    return shared;
}

static void share(struct keyspace *ks, struct keyspace_shared *shared)
{
    atomic_fetch_add(&shared->refs, 1);
    ks->shared = shared;
    ks->env = &shared->env;
}

static void shared_release(void *taken)
{
    struct keyspace_shared *shared = taken;
    if (atomic_fetch_sub(&shared->refs, 1) == 1) mem_free(shared);
}

static struct keyspace *keyspace_build(struct keyspace_shared *shared, int db_count)
{
    struct keyspace *ks = mem_calloc(sizeof(*ks));
    share(ks, shared);
    ks->db_count = db_count;
    ks->lfu_log_factor = 10;
    ks->lfu_decay_minutes = 1;
    ks->libraries = libraries_new();
    ks->dbs = mem_alloc(sizeof(struct db *) * (size_t)db_count);
    for (int i = 0; i < db_count; i++) {
        ks->dbs[i] = mem_calloc(sizeof(struct db));
        ks->dbs[i]->keyspace = ks;
        ks->dbs[i]->id = i;
        db_init_tables(ks->dbs[i]);
    }
    return ks;
}

struct keyspace *keyspace_new(int db_count, const struct encoding_limits *limits, const struct hash_secret *secret,
                              const struct sys *sys)
{
    struct hash_secret own;
    uint64_t rng_start;
    sys_random(sys, &rng_start, sizeof(rng_start));
    if (secret == NULL) hash_secret_random(&own, sys);
    struct keyspace *ks = keyspace_build(shared_new(secret != NULL ? secret : &own, limits, rng_start), db_count);
    ks->now_ms = sys_wall_ms(sys);
    return ks;
}

/* The environment that hashes with this secret: the present one if it does. */
static struct keyspace_shared *shared_with(const struct keyspace *ks, const struct hash_secret *secret)
{
    struct keyspace_shared *shared = ks->shared;
    if (secret == NULL || hash_secret_equal(secret, &shared->secret)) return shared;
    return shared_new(secret, shared->env.limits, rng_next(&shared->rng));
}

struct keyspace *keyspace_new_sibling(const struct keyspace *ks, const struct hash_secret *secret)
{
    struct keyspace *sibling = keyspace_build(shared_with(ks, secret), ks->db_count);
    sibling->now_ms = ks->now_ms;
    sibling->lfu = ks->lfu;
    sibling->expiry_mode = EXPIRY_IGNORE;
    return sibling;
}

void keyspace_free(struct keyspace *ks)
{
    if (ks == NULL) return;
    if (ks->lazyfree != NULL) lazyfree_drain(ks->lazyfree); /* jobs in the queue point to `shared` */
    for (int i = 0; i < ks->db_count; i++) {
        table_release(&ks->dbs[i]->expires, NULL, NULL);
        table_release(&ks->dbs[i]->keys, entry_free_fn, NULL);
        timed_hashes_free(ks->dbs[i]->timed_hashes);
        mem_free(ks->dbs[i]);
    }
    mem_free(ks->dbs);
    libraries_free(ks->libraries);
    shared_release(ks->shared);
    mem_free(ks);
}

const struct hash_secret *keyspace_secret(const struct keyspace *ks)
{
    return &ks->shared->secret;
}

uint64_t keyspace_fingerprint(const struct keyspace *ks)
{
    return ks->shared->fingerprint;
}

void keyspace_set_secret(struct keyspace *ks, const struct hash_secret *secret)
{
    struct keyspace_shared *before = ks->shared, *shared = shared_with(ks, secret);
    ASSERT(keyspace_count(ks) == 0);
    if (shared == before) return;
    share(ks, shared);
    for (int i = 0; i < ks->db_count; i++) {
        table_release(&ks->dbs[i]->expires, NULL, NULL);
        table_release(&ks->dbs[i]->keys, NULL, NULL);
        timed_hashes_free(ks->dbs[i]->timed_hashes);
        db_init_tables(ks->dbs[i]);
    }
    if (ks->lazyfree != NULL && lazyfree_pending(ks->lazyfree) > 0)
        lazyfree_run(ks->lazyfree, shared_release, before, 0);
    else
        shared_release(before);
}

static void db_swap_data(struct db *a, struct db *b)
{
    struct db was_a = *a;
    a->keys = b->keys, a->expires = b->expires, a->expire_cursor = b->expire_cursor, a->avg_ttl_ms = b->avg_ttl_ms;
    a->timed_hashes = b->timed_hashes;
    b->keys = was_a.keys, b->expires = was_a.expires, b->expire_cursor = was_a.expire_cursor;
    b->avg_ttl_ms = was_a.avg_ttl_ms, b->timed_hashes = was_a.timed_hashes;
}

void keyspace_swap_data(struct keyspace *ks, struct keyspace *sibling)
{
    ASSERT(ks->db_count == sibling->db_count);
    ASSERT(ks->held_blobs == 0 && sibling->held_blobs == 0);
    struct libraries *libraries = ks->libraries;
    ks->libraries = sibling->libraries;
    sibling->libraries = libraries;
    struct keyspace_shared *shared = ks->shared;
    for (int i = 0; i < ks->db_count; i++) {
        if (ks->hooks.flushed != NULL) ks->hooks.flushed(ks->hooks.ctx, ks->dbs[i], sibling->dbs[i]);
        db_swap_data(ks->dbs[i], sibling->dbs[i]);
    }
    ks->shared = sibling->shared;
    ks->env = &ks->shared->env;
    sibling->shared = shared;
    sibling->env = &shared->env;
}

size_t keyspace_count(const struct keyspace *ks)
{
    size_t count = 0;
    for (int i = 0; i < ks->db_count; i++) count += db_count(ks->dbs[i]);
    return count;
}

size_t keyspace_overhead(const struct keyspace *ks)
{
    size_t bytes = 0;
    for (int i = 0; i < ks->db_count; i++)
        bytes += table_memory(&ks->dbs[i]->keys) + table_memory(&ks->dbs[i]->expires) +
                 time_heap_memory(ks->dbs[i]->timed_hashes);
    return bytes;
}

/* ---- Access time and frequency ---- */

enum { LFU_INITIAL = 5, ACCESS_MASK = (1 << 24) - 1 };

static uint32_t minutes_now(const struct keyspace *ks)
{
    return (uint32_t)(ks->now_ms / 60000) & 0xffff;
}
static uint32_t seconds_now(const struct keyspace *ks)
{
    return (uint32_t)(ks->now_ms / 1000) & ACCESS_MASK;
}

static uint32_t access_of_new(const struct keyspace *ks)
{
    return ks->lfu ? minutes_now(ks) << 8 | LFU_INITIAL : seconds_now(ks);
}

unsigned entry_lfu_counter(const struct keyspace *ks, const struct entry *e)
{
    unsigned counter = e->access & 0xff;
    if (ks->lfu_decay_minutes == 0) return counter;
    uint32_t elapsed = (minutes_now(ks) - (e->access >> 8)) & 0xffff;
    uint32_t periods = elapsed / ks->lfu_decay_minutes;
    return periods > counter ? 0 : counter - periods;
}

uint64_t entry_idle_seconds(const struct keyspace *ks, const struct entry *e)
{
    return (seconds_now(ks) - e->access) & ACCESS_MASK;
}

/* Eight bits count frequencies of millions: the higher the counter is, the less likely a hit raises it. */
static uint32_t lfu_touched(struct keyspace *ks, const struct entry *e)
{
    unsigned counter = entry_lfu_counter(ks, e);
    if (counter < 255) {
        double base = counter > LFU_INITIAL ? counter - LFU_INITIAL : 0;
        double chance = 1.0 / (base * ks->lfu_log_factor + 1);
        if ((double)(rng_next(ks->env->rng) >> 11) * 0x1.0p-53 < chance) counter++;
    }
    return minutes_now(ks) << 8 | counter;
}

static inline void entry_touch(struct keyspace *ks, struct entry *e)
{
    if (UNLIKELY(ks->freeze_access)) return;
    uint32_t access = UNLIKELY(ks->lfu) ? lfu_touched(ks, e) : seconds_now(ks);
    if (e->access != access) e->access = access & ACCESS_MASK;
}

void keyspace_set_access(struct keyspace *ks, struct entry *e, int64_t idle_seconds, int lfu_freq)
{
    if (ks->lfu && lfu_freq >= 0) e->access = minutes_now(ks) << 8 | (uint32_t)(lfu_freq & 0xff);
    if (ks->lfu || idle_seconds < 0) return;
    uint32_t idle = idle_seconds < ACCESS_MASK ? (uint32_t)idle_seconds : ACCESS_MASK;
    e->access = (seconds_now(ks) - idle) & ACCESS_MASK;
}

/* ---- Reading ---- */

static inline bool key_matches(const struct entry *e, struct bytes_view key)
{
    if (LIKELY(!(e->flags & ENTRY_LONG_KEY))) {
        return e->key_len == key.len && memcmp(e->rest + entry_key_offset(e), key.data, key.len) == 0;
    }
    return bytes_equal(entry_key(e), key);
}

static inline struct entry *lookup(const struct db *db, struct keyref key, struct table_pos *pos)
{
    struct table_probe probe;
    struct entry *e;
    table_probe_start(&probe, &db->keys, key.hash);
    while ((e = table_probe_next(&probe)) != NULL) {
        if (LIKELY(key_matches(e, key.name))) {
            if (pos != NULL) *pos = probe.pos;
            return e;
        }
    }
    return NULL;
}

const struct entry *keyspace_peek(const struct db *db, struct keyref key)
{
    return lookup(db, key, NULL);
}

bool entry_is_expired(const struct keyspace *ks, const struct entry *e)
{
    return (e->flags & ENTRY_EXPIRES) && ks->now_ms > entry_expiry(e);
}

/* The entry as the mode shows it. An expired entry yields NULL, and EXPIRY_DELETE deletes it. */
static inline struct entry *live(struct db *db, struct entry *e)
{
    struct keyspace *ks = db->keyspace;
    if (e == NULL || LIKELY(!entry_is_expired(ks, e)) || ks->expiry_mode == EXPIRY_IGNORE) return e;
    if (ks->expiry_mode == EXPIRY_DELETE) keyspace_delete_expired(db, e);
    return NULL;
}

const struct entry *keyspace_find(struct db *db, struct keyref key, unsigned flags)
{
    struct keyspace *ks = db->keyspace;
    struct entry *e = live(db, lookup(db, key, NULL));
    if (!(flags & FIND_NO_STATS)) {
        if (e != NULL)
            ks->stats.hits++;
        else
            ks->stats.misses++;
    }
    if (e != NULL && !(flags & FIND_NO_TOUCH)) entry_touch(ks, e);
    return e;
}

const struct entry *keyspace_random(struct db *db)
{
    enum { TRIES = 100 };
    struct keyspace *ks = db->keyspace;
    struct entry *e = table_random(&db->keys, ks->env->rng);
    for (int i = 0; i < TRIES && e != NULL && live(db, e) == NULL; i++) {
        if (ks->expiry_mode == EXPIRY_DELETE) i = 0; /* each try removes one key, so the loop ends */
        e = table_random(&db->keys, ks->env->rng);
    }
    return e; /* a replica keeps expired keys: after 100 tries it returns one of them rather than search on */
}

struct scan_ctx {
    void (*fn)(void *ctx, const struct entry *e);
    void *ctx;
};
static void scan_one(void *ctx, void *entry)
{
    struct scan_ctx *scan = ctx;
    scan->fn(scan->ctx, entry);
}
uint64_t keyspace_scan(struct db *db, uint64_t cursor, void (*fn)(void *ctx, const struct entry *e), void *ctx)
{
    struct scan_ctx scan = {.fn = fn, .ctx = ctx};
    return table_scan(&db->keys, cursor, scan_one, &scan);
}

/* ---- Writing ---- */

static inline void before_change(struct db *db, struct entry *e)
{
    struct keyspace *ks = db->keyspace;
    if (UNLIKELY(ks->hooks.before_change != NULL)) ks->hooks.before_change(ks->hooks.ctx, db, e);
}

struct entry *keyspace_find_for_write(struct db *db, struct keyref key)
{
    struct entry *e = live(db, lookup(db, key, NULL));
    if (e == NULL) return NULL;
    entry_touch(db->keyspace, e);
    before_change(db, e);
    return e;
}

void keyspace_changed(struct db *db, struct keyref key, uint64_t changes)
{
    struct keyspace *ks = db->keyspace;
    ks->stats.changes += changes;
    if (ks->hooks.changed != NULL) ks->hooks.changed(ks->hooks.ctx, db, key.name);
}

/* A hash with fields that expire is in the heap of its database, under the entry that it belongs to. */
static void watch_fields(struct db *db, const struct entry *e)
{
    if (e->type == TYPE_HASH) hash_watch(entry_pointer(e), db->timed_hashes, e);
}
static void unwatch_fields(const struct entry *e)
{
    if (e->type == TYPE_HASH) hash_unwatch(entry_pointer(e));
}

/* Puts `to` in the place of `from` in both tables and frees `from` without its value. The key keeps its epoch. */
static struct entry *exchange(struct db *db, uint64_t hash, struct entry *from, struct entry *to)
{
    struct table_pos pos;
    ASSERT(table_locate(&db->keys, hash, from, &pos));
    table_replace_at(pos, to);
    to->epoch = from->epoch;
    bool had = from->flags & ENTRY_EXPIRES, has = to->flags & ENTRY_EXPIRES;
    if (had && has) {
        ASSERT(table_locate(&db->expires, hash, from, &pos));
        table_replace_at(pos, to);
    } else if (had) {
        ASSERT(table_remove(&db->expires, hash, from));
    } else if (has) {
        table_insert(&db->expires, hash, to);
    }
    entry_free_alone(from);
    watch_fields(db, to);
    return to;
}

/* Gives an entry new content and takes ownership of that; the caller owns the old content. Writes in place where the
 * new content fits. */
static struct entry *set_content(struct db *db, uint64_t hash, struct entry *e, const struct content *c,
                                 int64_t expiry_ms)
{
    bool same_shape = !!(e->flags & ENTRY_EXPIRES) == (expiry_ms >= 0) && !!(e->flags & ENTRY_INLINE) == c->inlined;
    struct bytes_view key = entry_key(e);
    if (!same_shape || (c->inlined && entry_size_of(e) != entry_size(key.len, e->flags, c->value.len))) {
        return exchange(db, hash, e, entry_build(key, c, expiry_ms, e->access));
    }
    e->type = c->type;
    e->encoding = c->encoding;
    if (expiry_ms >= 0) entry_write_expiry(e, expiry_ms);
    if (c->inlined) {
        memmove(entry_inline_value(e), c->value.data, c->value.len);
        e->value_len = (uint8_t)c->value.len;
    } else {
        entry_write_word(e, c->word);
    }
    return e;
}

/* The entry that a new value replaces, or NULL. An expired entry is not replaced: in mode EXPIRY_HIDE it is removed
 * first. */
static struct entry *replaceable(struct db *db, struct keyref key)
{
    struct entry *e = lookup(db, key, NULL);
    if (e == NULL || live(db, e) != NULL) return e;
    if (db->keyspace->expiry_mode == EXPIRY_HIDE) remove_entry(db, key.hash, e, db->keyspace->lazy_expire);
    return NULL;
}

static struct entry *put(struct db *db, struct keyref key, const struct content *c, unsigned flags)
{
    struct keyspace *ks = db->keyspace;
    struct entry *e = replaceable(db, key);
    if (e == NULL) {
        e = entry_build(key.name, c, -1, access_of_new(ks));
        e->epoch = ks->epoch;
        table_insert(&db->keys, key.hash, e);
        watch_fields(db, e);
        if (ks->hooks.created != NULL) ks->hooks.created(ks->hooks.ctx, db, key.name, c->type);
        return e;
    }
    before_change(db, e);
    unwatch_fields(e);
    struct content old = entry_content(e);
    e = set_content(db, key.hash, e, c, (flags & PUT_KEEP_EXPIRY) ? entry_expiry(e) : -1);
    watch_fields(db, e);
    entry_touch(ks, e);
    content_free(ks, &old, ks->lazy_server_del ? ks->lazyfree : NULL);
    return e;
}

static struct content content_of_int(int64_t value)
{
    return (struct content){.type = TYPE_STRING, .encoding = ENCODING_INT, .number = value};
}

/* A string in its default encoding: a number, inline, or a blob of its own. */
static struct content content_of_string(struct bytes_view value, bool as_int)
{
    int64_t number;
    if (as_int && value.len <= 20 && num_parse_i64(value, &number)) return content_of_int(number);
    struct content c = {.type = TYPE_STRING};
    c.encoding = value.len <= ENTRY_EMBSTR_MAX ? ENCODING_EMBSTR : ENCODING_RAW;
    c.inlined = value.len <= ENTRY_INLINE_MAX;
    if (c.inlined)
        c.value = value;
    else
        c.pointer = blob_new(value);
    return c;
}

struct entry *keyspace_put_string(struct db *db, struct keyref key, struct bytes_view value, unsigned flags)
{
    struct content c = content_of_string(value, !(flags & PUT_NO_INT));
    return put(db, key, &c, flags);
}

struct entry *keyspace_put_blob(struct db *db, struct keyref key, struct blob *taken, unsigned flags)
{
    struct content c = {.type = TYPE_STRING, .encoding = ENCODING_RAW, .pointer = taken};
    return put(db, key, &c, flags);
}

void keyspace_hold_blob(struct keyspace *ks, struct blob *b)
{
    ASSERT(!b->held);
    b->held = true;
    ks->held_blobs++;
}

void keyspace_let_go_of_blob(struct keyspace *ks, struct blob *b)
{
    ASSERT(ks->held_blobs > 0);
    ks->held_blobs--;
    if (b->held)
        b->held = false;
    else
        mem_free(b); /* the keyspace gave it up while it was held */
}

struct entry *keyspace_put_int(struct db *db, struct keyref key, int64_t value, unsigned flags)
{
    struct content c = content_of_int(value);
    return put(db, key, &c, flags);
}

struct entry *keyspace_put_value(struct db *db, struct keyref key, enum value_type type, void *taken, unsigned flags)
{
    ASSERT(type != TYPE_STRING);
    struct content c = {.type = type, .encoding = ENCODING_RAW, .pointer = taken};
    return put(db, key, &c, flags);
}

/* ---- Loading ---- */

static struct entry *build(struct db *db, struct bytes_view key, const struct content *c, int64_t expiry_ms)
{
    return entry_build(key, c, expiry_ms, access_of_new(db->keyspace));
}

struct entry *keyspace_build_string(struct db *db, struct bytes_view key, struct bytes_view value, int64_t expiry_ms)
{
    struct content c = content_of_string(value, true);
    return build(db, key, &c, expiry_ms);
}

struct entry *keyspace_build_blob(struct db *db, struct bytes_view key, struct blob *taken, int64_t expiry_ms)
{
    struct content c = {.type = TYPE_STRING, .encoding = ENCODING_RAW, .pointer = taken};
    return build(db, key, &c, expiry_ms);
}

struct entry *keyspace_build_value(struct db *db, struct bytes_view key, enum value_type type, void *taken,
                                   int64_t expiry_ms)
{
    struct content c = {.type = type, .encoding = ENCODING_RAW, .pointer = taken};
    return build(db, key, &c, expiry_ms);
}

void keyspace_free_built(struct entry *built)
{
    entry_free(NULL, built, NULL);
}

bool keyspace_insert_built(struct db *db, uint64_t hash, struct entry *built, bool replace)
{
    struct keyref key = {.name = entry_key(built), .hash = hash};
    struct entry *old = lookup(db, key, NULL);
    if (UNLIKELY(old != NULL)) {
        if (!replace) return false;
        remove_entry(db, hash, old, false);
    }
    table_insert(&db->keys, hash, built);
    if (built->flags & ENTRY_EXPIRES) table_insert(&db->expires, hash, built);
    watch_fields(db, built);
    return true;
}

/* ---- Changing strings ---- */

static struct entry *update(struct db *db, struct keyref key, struct entry *e, const struct content *c)
{
    ASSERT(e->type == TYPE_STRING);
    struct content old = entry_content(e);
    e = set_content(db, key.hash, e, c, entry_expiry(e));
    content_free(db->keyspace, &old, NULL);
    return e;
}

struct entry *keyspace_update_int(struct db *db, struct keyref key, struct entry *e, int64_t value)
{
    struct content c = content_of_int(value);
    if (LIKELY(e->encoding == ENCODING_INT && e->type == TYPE_STRING)) {
        entry_write_word(e, c.word);
        return e;
    }
    return update(db, key, e, &c);
}

struct entry *keyspace_update_string(struct db *db, struct keyref key, struct entry *e, struct bytes_view value,
                                     unsigned flags)
{
    struct content c = content_of_string(value, !(flags & PUT_NO_INT));
    return update(db, key, e, &c);
}

/* Capacity for a string that is appended to: twice the length, but at most 1 MB more than the length. */
static size_t blob_capacity(size_t len)
{
    return checked_size_add(len, len < (1u << 20) ? len : (1u << 20));
}

static struct blob *blob_new_with_room(struct bytes_view bytes, size_t cap)
{
    struct blob *b = mem_alloc(checked_size_add(sizeof(*b), cap));
    blob_init(b, bytes.len, cap);
    memcpy(b->data, bytes.data, bytes.len);
    return b;
}

/* The blob itself, or the one that replaces it, with room for `len` bytes. A held blob is copied, so that its bytes
 * stay. */
static struct blob *blob_for_change(const struct keyspace *ks, struct blob *b, size_t len)
{
    if (UNLIKELY(b->held)) {
        size_t kept = b->len < len ? b->len : len;
        struct blob *own = blob_new_with_room(bytes_view(b->data, kept), blob_capacity(len));
        blob_free(ks, b);
        return own;
    }
    if (len <= b->cap) return b;
    size_t cap = blob_capacity(len);
    b = mem_realloc(b, checked_size_add(sizeof(*b), cap));
    b->cap = cap;
    return b;
}

struct entry *keyspace_resize_string(struct db *db, struct keyref key, struct entry *e, size_t len, char **data)
{
    struct number_text text;
    struct bytes_view old = entry_string(e, &text);
    struct content c = {.type = TYPE_STRING, .encoding = ENCODING_RAW};
    if (!(e->flags & ENTRY_INLINE) && e->encoding != ENCODING_INT) {
        size_t old_len = old.len;
        struct blob *b = blob_for_change(db->keyspace, entry_pointer(e), len);
        if (len > old_len) memset(b->data + old_len, 0, len - old_len);
        b->len = len;
        c.pointer = b;
        e = set_content(db, key.hash, e, &c, entry_expiry(e));
        *data = b->data;
        return e;
    }
    size_t cap = old.len == 0 ? len : blob_capacity(len); /* a new string need not be one that grows */
    size_t kept = old.len < len ? old.len : len;
    struct blob *b = blob_new_with_room(bytes_view(old.data, kept), cap);
    memset(b->data + kept, 0, len - kept);
    b->len = len;
    c.pointer = b;
    e = set_content(db, key.hash, e, &c, entry_expiry(e));
    *data = b->data;
    return e;
}

/* ---- Deleting ---- */

/* Takes the entry out of both tables. The caller then owns it. */
static void detach(struct db *db, uint64_t hash, struct entry *e)
{
    before_change(db, e);
    unwatch_fields(e);
    if (e->flags & ENTRY_EXPIRES) ASSERT(table_remove(&db->expires, hash, e));
    ASSERT(table_remove(&db->keys, hash, e));
}

static void remove_entry(struct db *db, uint64_t hash, struct entry *e, bool lazy)
{
    struct keyspace *ks = db->keyspace;
    detach(db, hash, e);
    if (ks->hooks.changed != NULL) ks->hooks.changed(ks->hooks.ctx, db, entry_key(e));
    entry_free(ks, e, lazy ? ks->lazyfree : NULL);
}

bool keyspace_delete(struct db *db, struct keyref key, bool lazy)
{
    struct entry *e = live(db, lookup(db, key, NULL));
    if (e == NULL) return false;
    remove_entry(db, key.hash, e, lazy);
    return true;
}

bool keyspace_drop(struct db *db, struct keyref key, bool lazy)
{
    struct entry *e = lookup(db, key, NULL);
    if (e == NULL) return false;
    remove_entry(db, key.hash, e, lazy);
    return true;
}

void keyspace_delete_expired(struct db *db, const struct entry *e)
{
    struct keyspace *ks = db->keyspace;
    struct keyref key = keyref(db, entry_key(e));
    if (ks->hooks.expired != NULL) ks->hooks.expired(ks->hooks.ctx, db, key.name);
    ks->stats.expired_keys++;
    struct entry *writable = lookup(db, key, NULL); /* `e` is const: look up the writable entry */
    remove_entry(db, key.hash, writable, ks->lazy_expire);
}

/* ---- Expiry ---- */

static void note_hidden_expiry(struct db *db, struct bytes_view key)
{
    struct keyspace *ks = db->keyspace;
    if (UNLIKELY(ks->expiry_mode == EXPIRY_HIDE) && ks->hooks.hidden_expiry != NULL)
        ks->hooks.hidden_expiry(ks->hooks.ctx, db, key);
}

struct entry *keyspace_set_expiry(struct db *db, struct keyref key, struct entry *e, int64_t at_ms)
{
    if (at_ms < 0) at_ms = 0; /* -1 would mean "no expiry"; both are in the past */
    note_hidden_expiry(db, key.name);
    before_change(db, e);
    struct content c = entry_content(e);
    return set_content(db, key.hash, e, &c, at_ms);
}

struct entry *keyspace_clear_expiry(struct db *db, struct keyref key, struct entry *e)
{
    before_change(db, e);
    struct content c = entry_content(e);
    return set_content(db, key.hash, e, &c, -1);
}

/* ---- Expiry of fields ---- */

bool keyspace_set_field_time(struct db *db, struct entry *e, struct bytes_view field, int64_t at_ms)
{
    if (!hash_set_time(entry_pointer(e), field, at_ms)) return false;
    watch_fields(db, e);
    return true;
}

bool keyspace_has_field_times(const struct keyspace *ks)
{
    for (int i = 0; i < ks->db_count; i++)
        if (db_timed_hashes(ks->dbs[i]) > 0) return true;
    return false;
}

/* Removes those of the given fields that have expired and moves their names to the front. Returns how many. */
static size_t remove_past_fields(struct hash *h, int64_t now_ms, struct bytes_view *fields, size_t count)
{
    size_t removed = 0;
    for (size_t i = 0; i < count; i++) {
        if (!hash_field_is_past(h, fields[i], now_ms)) continue; /* also true for a field that is named twice */
        ASSERT(hash_remove(h, fields[i]));
        fields[removed++] = fields[i];
    }
    return removed;
}

bool keyspace_expire_fields(struct db *db, struct keyref key, struct bytes_view *fields, size_t count)
{
    struct keyspace *ks = db->keyspace;
    struct entry *e = lookup(db, key, NULL);
    if (e == NULL || e->type != TYPE_HASH) return false;
    struct hash *h = entry_pointer(e);
    before_change(db, e);
    size_t removed = remove_past_fields(h, ks->now_ms, fields, count);
    if (removed == 0) return false;
    bool emptied = hash_count(h) == 0;
    if (ks->expiry_mode == EXPIRY_DELETE) {
        ks->stats.expired_fields += removed;
        if (ks->hooks.fields_expired != NULL)
            ks->hooks.fields_expired(ks->hooks.ctx, db, key.name, fields, removed, emptied);
    }
    if (emptied)
        remove_entry(db, key.hash, e, ks->lazy_expire);
    else if (ks->hooks.changed != NULL)
        ks->hooks.changed(ks->hooks.ctx, db, key.name);
    return emptied;
}

/* Copies of field names: the originals are freed with the fields. */
struct field_names {
    struct bytes_view views[FIELDS_AT_ONCE];
    struct bytes_buf bytes;
    size_t count, max;
};

static bool note_name(void *ctx, struct bytes_view field)
{
    struct field_names *names = ctx;
    names->views[names->count++].len = field.len;
    bytes_buf_append_view(&names->bytes, field);
    return names->count < names->max;
}

static bool expire_portion(struct db *db, struct keyref key, const struct hash *h, size_t max)
{
    struct field_names names = {.max = max};
    hash_each_past(h, db->keyspace->now_ms, note_name, &names);
    const char *at = names.bytes.len > 0 ? names.bytes.data : "";
    for (size_t i = 0; i < names.count; i++) {
        names.views[i].data = at;
        at += names.views[i].len;
    }
    bool emptied = keyspace_expire_fields(db, key, names.views, names.count);
    bytes_buf_release(&names.bytes);
    return emptied;
}

bool keyspace_expire_some_fields(struct db *db, struct keyref key, size_t max)
{
    const struct entry *e = lookup(db, key, NULL);
    ASSERT(max > 0);
    return e != NULL && e->type == TYPE_HASH &&
           expire_portion(db, key, entry_pointer(e), max < FIELDS_AT_ONCE ? max : FIELDS_AT_ONCE);
}

bool keyspace_expire_next_fields(struct db *db, size_t max)
{
    const struct time_node *first = time_heap_first(db->timed_hashes);
    if (first == NULL || first->at >= db->keyspace->now_ms) return false;
    struct bytes_view name = entry_key(hash_watch_owner(first->item));
    struct keyref key = keyref(db, name);
    (void)keyspace_expire_some_fields(db, key, max); /* whether the key is gone or not, something was due */
    return true;
}

/* ---- Moving ---- */

static struct entry *insert_moved(struct db *to, struct keyref key, struct entry *e)
{
    struct keyspace *ks = to->keyspace;
    struct entry *old = lookup(to, key, NULL);
    if (old != NULL) remove_entry(to, key.hash, old, ks->lazy_server_del);
    e->epoch = ks->epoch;
    table_insert(&to->keys, key.hash, e);
    if (e->flags & ENTRY_EXPIRES) {
        table_insert(&to->expires, key.hash, e);
        note_hidden_expiry(to, key.name);
    }
    watch_fields(to, e);
    if (ks->hooks.created != NULL) ks->hooks.created(ks->hooks.ctx, to, key.name, e->type);
    return e;
}

struct entry *keyspace_rename(struct db *from, struct keyref key, struct db *to, struct keyref new_key)
{
    struct entry *e = lookup(from, key, NULL);
    ASSERT(e != NULL);
    struct content c = entry_content(e);
    struct entry *moved = entry_build(new_key.name, &c, entry_expiry(e), e->access);
    detach(from, key.hash, e);
    if (from->keyspace->hooks.changed != NULL) from->keyspace->hooks.changed(from->keyspace->hooks.ctx, from, key.name);
    entry_free_alone(e);
    return insert_moved(to, new_key, moved);
}

struct entry *keyspace_copy(struct db *from, const struct entry *e, struct db *to, struct keyref new_key)
{
    struct content c = entry_content(e);
    if (!c.inlined && c.encoding != ENCODING_INT) {
        if (c.type == TYPE_STRING) {
            struct blob *b = c.pointer;
            c.pointer = blob_new(bytes_view(b->data, b->len));
        } else {
            c.pointer = value_dup(c.type, c.pointer);
        }
    }
    return insert_moved(to, new_key, entry_build(new_key.name, &c, entry_expiry(e), access_of_new(from->keyspace)));
}

/* ---- Whole databases ---- */

static void free_tables(void *taken)
{
    struct db *dropped = taken;
    table_release(&dropped->expires, NULL, NULL);
    table_release(&dropped->keys, entry_free_fn, NULL);
    timed_hashes_free(dropped->timed_hashes);
    mem_free(dropped);
}

static void db_empty(struct db *db, struct lazyfree *lazyfree)
{
    struct db *dropped = mem_calloc(sizeof(*dropped));
    dropped->keys = db->keys;
    dropped->expires = db->expires;
    dropped->timed_hashes = db->timed_hashes;
    db_init_tables(db);
    db->expire_cursor = 0;
    db->avg_ttl_ms = 0;
    size_t count = table_count(&dropped->keys);
    if (lazyfree != NULL && count > LAZYFREE_THRESHOLD)
        lazyfree_run(lazyfree, free_tables, dropped, count);
    else
        free_tables(dropped);
}

size_t keyspace_flush(struct keyspace *ks, struct db *db, bool lazy)
{
    size_t removed = db != NULL ? db_count(db) : keyspace_count(ks);
    ASSERT(ks->held_blobs == 0);
    if (ks->hooks.flushed != NULL) ks->hooks.flushed(ks->hooks.ctx, db, NULL);
    for (int i = 0; i < ks->db_count; i++) {
        if ((db == NULL || db == ks->dbs[i]) && db_count(ks->dbs[i]) > 0)
            db_empty(ks->dbs[i], lazy ? ks->lazyfree : NULL);
    }
    return removed;
}

void keyspace_swap_dbs(struct keyspace *ks, int first, int second)
{
    if (first == second) return;
    if (ks->hooks.flushed != NULL) {
        ks->hooks.flushed(ks->hooks.ctx, ks->dbs[first], ks->dbs[second]);
        ks->hooks.flushed(ks->hooks.ctx, ks->dbs[second], ks->dbs[first]);
    }
    db_swap_data(ks->dbs[first], ks->dbs[second]);
}

/* True for a hash with fields that expire. Asserts that its heap node belongs to this entry. */
static bool is_watched(const struct entry *e)
{
    if (e->type != TYPE_HASH || !hash_has_times(entry_pointer(e))) return false;
    ASSERT(hash_watch_owner(entry_pointer(e)) == e);
    return true;
}

static void check_db(struct db *db)
{
    struct table_iter it;
    struct entry *e;
    size_t volatile_keys = 0, timed_hashes = 0;
    table_check(&db->keys);
    table_check(&db->expires);
    table_iter_init(&it, &db->keys);
    while ((e = table_iter_next(&it)) != NULL) {
        struct table_pos pos;
        struct keyref key = keyref(db, entry_key(e));
        ASSERT(lookup(db, key, NULL) == e);
        timed_hashes += is_watched(e);
        if (!(e->flags & ENTRY_EXPIRES)) continue;
        volatile_keys++;
        ASSERT(table_locate(&db->expires, key.hash, e, &pos));
    }
    ASSERT(volatile_keys == table_count(&db->expires));
    ASSERT(timed_hashes == db_timed_hashes(db));
    time_heap_check(db->timed_hashes);
}

void keyspace_check(struct keyspace *ks)
{
    for (int i = 0; i < ks->db_count; i++) check_db(ks->dbs[i]);
}
