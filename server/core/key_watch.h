/* key_watch.h -- tells WATCH, blocked clients, MIGRATE and tracking about changes of keys.
 *
 *     keyspace --> hooks of the server --> key_watch_changed() --> watchers, in the order of enum key_watch_kind
 *
 * Each watcher reports how many keys it watches (key_watch_add(), _remove()). Only watchers with a count above 0 are
 * called. While all counts are 0, a change costs one test.
 * Not here: which keys are watched, and by whom: each watcher knows its own. */
#ifndef LOCKSTEP_SERVER_CORE_KEY_WATCH_H
#define LOCKSTEP_SERVER_CORE_KEY_WATCH_H

#include "storage/base/assert.h"
#include "storage/keyspace.h"

enum key_watch_kind { KEY_WATCH_TRANSACTIONS, KEY_WATCH_WAITS, KEY_WATCH_MIGRATIONS, KEY_WATCH_TRACKING, KEY_WATCHERS };

struct key_watcher { /* called only while the watcher's count is above 0; any function may be NULL */
    void *ctx;
    void (*changed)(void *ctx, struct db *db, struct bytes_view key);
    void (*created)(void *ctx, struct db *db, struct bytes_view key);
    /* db NULL: all databases. `replacement`: the database whose keys take the place of the old ones, or NULL. */
    void (*flushed)(void *ctx, struct db *db, struct db *replacement);
    /* The key, or some of its fields, expired. `changed` is called as well. */
    void (*expired)(void *ctx, struct bytes_view key);
};

struct key_watch {
    unsigned total; /* sum of counts */
    unsigned counts[KEY_WATCHERS];
    struct key_watcher watchers[KEY_WATCHERS];
};

static inline void key_watch_set(struct key_watch *kw, enum key_watch_kind kind, const struct key_watcher *watcher)
{
    kw->watchers[kind] = *watcher;
}
static inline void key_watch_add(struct key_watch *kw, enum key_watch_kind kind)
{
    kw->counts[kind]++;
    kw->total++;
}
static inline void key_watch_remove(struct key_watch *kw, enum key_watch_kind kind)
{
    ASSERT(kw->counts[kind] > 0);
    kw->counts[kind]--;
    kw->total--;
}

void key_watch_call_changed(struct key_watch *kw, struct db *db, struct bytes_view key);
static inline void key_watch_changed(struct key_watch *kw, struct db *db, struct bytes_view key)
{
    if (UNLIKELY(kw->total > 0)) key_watch_call_changed(kw, db, key);
}
void key_watch_created(struct key_watch *kw, struct db *db, struct bytes_view key);
void key_watch_flushed(struct key_watch *kw, struct db *db, struct db *replacement);
void key_watch_expired(struct key_watch *kw, struct bytes_view key);

#endif
