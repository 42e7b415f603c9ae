#include "server/expiry.h"

#include "server/dispatch.h"
#include "server/latency.h"

enum {
    FAST_BUDGET_US = 500, /* per turn while the last cycle left many behind */
    SLOW_BUDGET_US = 800, /* per cron; with the fast one this stays under a millisecond for any turn of either kind */
    SCAN_POSITIONS = 16,  /* of the table, between two looks at the clock: about a hundred keys */
    FOUND_MAX = 256,
};

/* Keys that one scan found past their time. They are collected first, since a scan must not change the table. */
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
    int64_t ttl = entry_expiry(e) - f->db->keyspace->now_ms;
    if (ttl >= 0) {
        f->ttl_sum += ttl;
        f->ttl_count++;
    } else if (f->found < FOUND_MAX) {
        f->expired[f->found++] = e;
    }
}

static void note_ttl(struct db *db, const struct finding *f)
{
    if (f->ttl_count == 0) return;
    int64_t average = f->ttl_sum / (int64_t)f->ttl_count;
    db->avg_ttl_ms = db->avg_ttl_ms == 0 ? average : db->avg_ttl_ms / 50 * 49 + average / 50;
}

/* One portion of one database. True while so many were expired that the rest is worth looking at, at once. */
static bool expire_portion(struct db *db, struct finding *f)
{
    *f = (struct finding){.db = db};
    for (int i = 0; i < SCAN_POSITIONS && f->found < FOUND_MAX / 2; i++) {
        db->expire_cursor = table_scan(&db->expires, db->expire_cursor, look_at, f);
        if (db->expire_cursor == 0) break;
    }
    for (size_t i = 0; i < f->found; i++) keyspace_delete_expired(db, f->expired[i]);
    note_ttl(db, f);
    return f->found * 10 > f->seen;
}

static bool may_expire(const struct server *s)
{
    return s->active_expire && !s->is_loading && s->keyspace->expiry_mode == EXPIRY_DELETE;
}

/* Goes on where the last call stopped. True if it stopped for want of time in a database that is full of expired keys.
 */
static bool cycle(struct server *s, int64_t budget_us)
{
    struct keyspace *ks = s->keyspace;
    int64_t start = sys_mono_us(s->sys);
    size_t seen = 0, found = 0;
    bool behind = false;
    for (int done = 0; done < ks->db_count;) {
        struct db *db = keyspace_db(ks, s->expire_next_db);
        struct finding f = {0};
        bool dense = table_count(&db->expires) > 0 && expire_portion(db, &f);
        seen += f.seen, found += f.found;
        if (sys_mono_us(s->sys) - start > budget_us) {
            behind = dense;
            s->stats.expired_time_cap_reached++;
            break;
        }
        if (dense) continue;
        s->expire_next_db = (s->expire_next_db + 1) % ks->db_count;
        done++;
    }
    uint64_t took = (uint64_t)(sys_mono_us(s->sys) - start);
    s->stats.active_expire_us += took;
    if (seen > 0)
        s->stats.expired_stale_perc_x100 = (s->stats.expired_stale_perc_x100 * 19 + found * 10000 / seen) / 20;
    latency_note(s, "expire-cycle", (int64_t)took / 1000);
    return behind;
}

void expiry_slow_cycle(struct server *s)
{
    if (may_expire(s)) s->expire_behind = cycle(s, SLOW_BUDGET_US);
}

bool expiry_fast_cycle(struct server *s)
{
    if (LIKELY(!s->expire_behind)) return false;
    s->expire_behind = may_expire(s) && cycle(s, FAST_BUDGET_US);
    return s->expire_behind;
}
