#include "server/memory/expiry.h"

#include "replication/replication.h"
#include "server/config/settings.h"
#include "server/core/core.h"
#include "server/core/latency.h"
#include "server/core/modes.h"
#include "storage/base/memory.h"

enum {
    SLOW_BUDGET_US = 500, /* per cron */
    FAST_BUDGET_US = 400, /* per turn, while the last cycle left too many expired keys */
    SCAN_POSITIONS = 4,   /* buckets between two readings of the clock: about 30 keys */
    WINDOW = 128,         /* keys to look at before the share of expired ones is computed */
    FOUND_MAX = 256,
    FIELDS_PORTION = 32, /* fields between two readings of the clock */
    HOLD_US = 60 * 1000 * 1000,
    SLOW_ACCEPTS_PERCENT =
        1, /* share of expired keys at which the slow cycle stops; the fast cycle's is the effort's */
};

struct expiry {
    struct core *core;
    int next_db;
    bool behind;      /* the last cycle left too many expired keys */
    bool had_turn;    /* the slow cycle ran in this turn of the loop, so the fast one waits for the next turn */
    struct table own; /* struct own_key: keys that clients of this replica gave an expiry */
    uint64_t own_cursor;
    int64_t held_until_us; /* while core.modes.expiry_held */
};

struct own_key {
    int db;
    struct bytes_view name; /* bytes behind the struct */
};

static uint64_t own_hash_of(uint64_t seed, int db, struct bytes_view name)
{
    return seeded_hash(seed, name) ^ (uint64_t)(unsigned)db * 0x9e3779b97f4a7c15u;
}
static uint64_t own_hash(const void *ctx, const void *entry)
{
    const struct own_key *own = entry;
    return own_hash_of(*(const uint64_t *)ctx, own->db, own->name);
}
static void own_free(void *ctx, void *entry)
{
    (void)ctx;
    mem_free(entry);
}

struct expiry *expiry_new(struct core *core)
{
    struct expiry *x = mem_calloc(sizeof(*x));
    x->core = core;
    table_init(&x->own, own_hash, &core->name_seed);
    return x;
}

void expiry_free(struct expiry *x)
{
    if (x == NULL) return;
    table_release(&x->own, own_free, NULL);
    mem_free(x);
}

/* ---- A master's cycle ---- */

/* A longer time to live counts as this long in the average, so that the sum of thousands does not overflow. */
#define TTL_COUNTED_MAX_MS (INT64_C(1) << 48)

/* Expired keys of one scan. They are collected first, because the table must not change during a scan. */
struct finding {
    struct db *db;
    const struct entry *expired[FOUND_MAX];
    size_t found, seen;
    int64_t ttl_sum;
    size_t ttl_count;
};

static void look_at(void *ctx, void *entry)
{
    struct finding *f = ctx;
    const struct entry *e = entry;
    f->seen++;
    if (!entry_is_expired(f->db->keyspace, e)) {
        int64_t ttl_ms = entry_expiry(e) - f->db->keyspace->now_ms;
        f->ttl_sum += ttl_ms < TTL_COUNTED_MAX_MS ? ttl_ms : TTL_COUNTED_MAX_MS;
        f->ttl_count++;
    } else if (f->found < FOUND_MAX) {
        f->expired[f->found++] = e;
    }
}

static void note_ttl(struct db *db, const struct finding *f)
{
    if (f->ttl_count == 0) return;
    int64_t average = f->ttl_sum / (int64_t)f->ttl_count;
    db->avg_ttl_ms = db->avg_ttl_ms == 0 ? average : db->avg_ttl_ms + (average - db->avg_ttl_ms) / 50;
}

static void expire_portion(struct finding *f)
{
    struct db *db = f->db;
    f->found = f->seen = f->ttl_count = 0;
    f->ttl_sum = 0;
    for (int i = 0; i < SCAN_POSITIONS && f->found < FOUND_MAX / 2; i++) {
        db->expire_cursor = table_scan(&db->expires, db->expire_cursor, look_at, f);
        if (db->expire_cursor == 0) break;
    }
    for (size_t i = 0; i < f->found; i++) keyspace_delete_expired(db, f->expired[i]);
    note_ttl(db, f);
}

struct cycle {
    const struct sys *sys;
    int64_t end_us;
    unsigned accept_percent;
    size_t seen, found;
    bool out_of_time;
};

/* Expires keys until their share is small enough or time is up. True: it was still too large at the end. */
static bool expire_db(struct cycle *c, struct db *db)
{
    struct finding f = {.db = db};
    size_t seen, found;
    do {
        seen = found = 0;
        do {
            expire_portion(&f);
            seen += f.seen, found += f.found;
            c->out_of_time = sys_mono_us(c->sys) >= c->end_us;
        } while (!c->out_of_time && db->expire_cursor != 0 && seen < WINDOW);
        c->seen += seen, c->found += found;
    } while (!c->out_of_time && found * 100 > seen * c->accept_percent);
    return found * 100 > seen * c->accept_percent;
}

/* Expires fields of hashes, in the order of their times. True: more are due. */
static bool expire_fields(const struct cycle *c, struct db *db, int64_t end_us)
{
    while (keyspace_expire_next_fields(db, FIELDS_PORTION))
        if (sys_mono_us(c->sys) >= end_us) return true;
    return false;
}

/* If a database has both, fields get half of the time that is left, and keys the rest. */
static bool expire_in_db(struct cycle *c, struct db *db, int64_t now_us)
{
    bool has_keys = table_count(&db->expires) > 0, behind = false;
    if (db_timed_hashes(db) > 0) behind = expire_fields(c, db, has_keys ? (now_us + c->end_us) / 2 : c->end_us);
    if (has_keys) return expire_db(c, db) || behind;
    c->out_of_time = c->out_of_time || behind;
    return behind;
}

/* Begins with the database after the last one, so that one database cannot use up the time of all. */
static bool run_cycle(struct expiry *x, int64_t budget_us, unsigned accept_percent)
{
    struct keyspace *ks = x->core->keyspace;
    int64_t start = sys_mono_us(x->core->sys);
    struct cycle c = {.sys = x->core->sys, .end_us = start + budget_us, .accept_percent = accept_percent};
    bool behind = false;
    for (int i = 0; i < ks->db_count && !c.out_of_time; i++) {
        struct db *db = keyspace_db(ks, x->next_db);
        x->next_db = (x->next_db + 1) % ks->db_count;
        if (table_count(&db->expires) > 0 || db_timed_hashes(db) > 0)
            behind = expire_in_db(&c, db, sys_mono_us(x->core->sys)) || behind;
    }
    uint64_t took = (uint64_t)(sys_mono_us(x->core->sys) - start);
    x->core->stats.expired_time_cap_reached += c.out_of_time;
    x->core->stats.active_expire_us += took;
    if (c.seen > 0)
        x->core->stats.expired_stale_perc_x100 =
            (x->core->stats.expired_stale_perc_x100 * 19 + c.found * 10000 / c.seen) / 20;
    latency_note(x->core, "expire-cycle", (int64_t)took / 1000);
    return behind;
}

/* ---- A replica's own expiries ---- */

static struct own_key *find_own(const struct expiry *x, uint64_t hash, int db, struct bytes_view name)
{
    struct table_probe probe;
    struct own_key *own;
    table_probe_start(&probe, &x->own, hash);
    while ((own = table_probe_next(&probe)) != NULL)
        if (own->db == db && bytes_equal(own->name, name)) return own;
    return NULL;
}

void expiry_note_own(struct expiry *x, const struct db *db, struct bytes_view key)
{
    uint64_t hash = own_hash_of(x->core->name_seed, db->id, key);
    if (repl_role(x->core->repl) != REPL_REPLICA || find_own(x, hash, db->id, key) != NULL) return;
    struct own_key *own = mem_alloc(sizeof(*own) + key.len);
    memcpy(own + 1, key.data, key.len);
    *own = (struct own_key){.db = db->id, .name = bytes_view(own + 1, key.len)};
    table_insert(&x->own, hash, own);
}

void expiry_forget_own(struct expiry *x)
{
    table_release(&x->own, own_free, NULL);
    x->own_cursor = 0;
}

size_t expiry_own_count(const struct expiry *x)
{
    return table_count(&x->own);
}

struct own_finding {
    struct keyspace *keyspace;
    struct own_key *done[FOUND_MAX]; /* expired, deleted, or without an expiry by now */
    size_t count;
};

static void look_at_own(void *ctx, void *entry)
{
    struct own_finding *f = ctx;
    struct own_key *own = entry;
    struct db *db = keyspace_db(f->keyspace, own->db);
    const struct entry *e = keyspace_peek(db, keyref(db, own->name));
    bool waits = e != NULL && entry_expiry(e) != -1 && !entry_is_expired(f->keyspace, e);
    if (!waits && f->count < FOUND_MAX) f->done[f->count++] = own;
}

static void finish_own(struct expiry *x, struct own_key *own)
{
    struct db *db = keyspace_db(x->core->keyspace, own->db);
    const struct entry *e = keyspace_peek(db, keyref(db, own->name));
    if (e != NULL && entry_is_expired(x->core->keyspace, e)) keyspace_delete_expired(db, e);
    ASSERT(table_remove(&x->own, own_hash_of(x->core->name_seed, own->db, own->name), own));
    mem_free(own);
}

static void own_cycle(struct expiry *x)
{
    int64_t end = sys_mono_us(x->core->sys) + SLOW_BUDGET_US;
    do {
        struct own_finding f = {.keyspace = x->core->keyspace};
        x->own_cursor = table_scan(&x->own, x->own_cursor, look_at_own, &f);
        for (size_t i = 0; i < f.count; i++) finish_own(x, f.done[i]);
    } while (x->own_cursor != 0 && sys_mono_us(x->core->sys) < end);
}

/* ---- When ---- */

static bool may_expire(const struct expiry *x)
{
    return x->core->modes.active_expire && !x->core->modes.loading && x->core->keyspace->expiry_mode == EXPIRY_DELETE;
}

void expiry_hold(struct expiry *x)
{
    if (!repl_may_resume(x->core->repl)) return;
    x->held_until_us = x->core->clock.mono_us + HOLD_US;
    modes_hold_expiry(x->core, true);
}

void expiry_release_hold(struct expiry *x)
{
    modes_hold_expiry(x->core, false);
}

void expiry_slow_cycle(struct expiry *x)
{
    if (UNLIKELY(x->core->modes.expiry_held) &&
        (!repl_may_resume(x->core->repl) || x->core->clock.mono_us >= x->held_until_us))
        expiry_release_hold(x);
    if (may_expire(x)) {
        x->behind = run_cycle(x, SLOW_BUDGET_US, SLOW_ACCEPTS_PERCENT);
        x->had_turn = x->behind;
    } else if (table_count(&x->own) > 0 && x->core->modes.active_expire && !x->core->modes.loading) {
        own_cycle(x);
    }
}

bool expiry_fast_cycle(struct expiry *x)
{
    if (LIKELY(!x->behind)) return false;
    if (x->had_turn) {
        x->had_turn = false;
        return true;
    }
    unsigned accept = 11 - (unsigned)x->core->settings->memory.active_expire_effort; /* 10 % to 1 % */
    x->behind = may_expire(x) && run_cycle(x, FAST_BUDGET_US, accept);
    return x->behind;
}
