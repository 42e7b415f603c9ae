#include "server/memory/eviction.h"

#include "replication/replication.h"
#include "server/clients/blocking.h"
#include "server/clients/clients.h"
#include "server/clients/pubsub.h"
#include "server/clients/tracking.h"
#include "server/core/core.h"
#include "server/core/exec.h"
#include "server/core/latency.h"
#include "server/core/pause.h"
#include "server/core/stats.h"
#include "storage/base/memory.h"
#include "storage/lazyfree.h"

/* The pool keeps the best candidates of all samples, the best one last. So few samples per eviction come close to the
 * true order. */
enum { POOL_SIZE = 16, SAMPLES_MAX = 64 };

struct candidate {
    uint64_t score; /* the key with the highest score is evicted first */
    int db;
    uint64_t hash; /* of the key; its name is not copied, since memory is short */
};

struct eviction {
    struct core *core;
    struct clients *clients;
    const struct used_memory *used;
    struct candidate pool[POOL_SIZE];
    size_t count;
    int policy;        /* the policy that gave the scores in the pool */
    uint64_t key_seed; /* the hashes in the pool were made with it */
    int next_db;       /* the database to sample first, or to pick from: they take turns */
    bool found_nothing;
};

struct eviction *eviction_new(struct core *core, struct clients *clients, const struct used_memory *used)
{
    struct eviction *ev = mem_calloc(sizeof(*ev));
    ev->core = core;
    ev->clients = clients;
    ev->used = used;
    return ev;
}

void eviction_free(struct eviction *ev)
{
    mem_free(ev);
}

static bool policy_is_volatile(int policy)
{
    return policy == EVICT_VOLATILE_LRU || policy == EVICT_VOLATILE_LFU || policy == EVICT_VOLATILE_RANDOM ||
           policy == EVICT_VOLATILE_TTL;
}

static const struct table *table_for(const struct db *db, int policy)
{
    return policy_is_volatile(policy) ? &db->expires : &db->keys;
}

static uint64_t score_of(const struct keyspace *ks, const struct entry *e, int policy)
{
    switch (policy) {
    case EVICT_ALLKEYS_LFU:
    case EVICT_VOLATILE_LFU: return 255 - entry_lfu_counter(ks, e);
    case EVICT_VOLATILE_TTL: return UINT64_MAX - (uint64_t)entry_expiry(e);
    default: return entry_idle_seconds(ks, e);
    }
}

static bool in_pool(const struct eviction *ev, int db, uint64_t hash)
{
    for (size_t i = 0; i < ev->count; i++)
        if (ev->pool[i].db == db && ev->pool[i].hash == hash) return true;
    return false;
}

static void pool_offer(struct eviction *ev, const struct db *db, struct bytes_view key, uint64_t score)
{
    if (ev->count == POOL_SIZE && score <= ev->pool[0].score) return;
    uint64_t hash = keyref(db, key).hash;
    if (in_pool(ev, db->id, hash)) return;
    if (ev->count == POOL_SIZE) /* drop the worst one */
        memmove(&ev->pool[0], &ev->pool[1], --ev->count * sizeof(ev->pool[0]));
    size_t at = ev->count++;
    for (; at > 0 && ev->pool[at - 1].score > score; at--) ev->pool[at] = ev->pool[at - 1];
    ev->pool[at] = (struct candidate){.score = score, .db = db->id, .hash = hash};
}

static void fill_pool(struct eviction *ev, int policy)
{
    struct keyspace *ks = ev->core->keyspace;
    void *samples[SAMPLES_MAX];
    size_t wanted = (size_t)ev->core->settings->memory.maxmemory_samples;
    if (wanted > SAMPLES_MAX) wanted = SAMPLES_MAX;
    for (int i = 0; i < ks->db_count; i++) {
        int id = (ev->next_db + i) % ks->db_count;
        const struct db *db = keyspace_db(ks, id);
        const struct table *t = table_for(db, policy);
        size_t got = table_count(t) == 0 ? 0 : table_sample(t, ks->env->rng, samples, wanted);
        for (size_t j = 0; j < got; j++) pool_offer(ev, db, entry_key(samples[j]), score_of(ks, samples[j], policy));
    }
    ev->next_db = (ev->next_db + 1) % ks->db_count; /* a full pool takes no further key with an equal score */
}

static const struct entry *find_by_hash(const struct db *db, uint64_t hash)
{
    struct table_probe probe;
    const struct entry *e;
    table_probe_start(&probe, &db->keys, hash);
    while ((e = table_probe_next(&probe)) != NULL)
        if (keyref(db, entry_key(e)).hash == hash) return e;
    return NULL;
}

/* Removes candidates from the pool until one still exists and fits the policy. NULL: the pool is empty. */
static const struct entry *take_best(struct eviction *ev, int policy, struct db **db)
{
    while (ev->count > 0) {
        const struct candidate *best = &ev->pool[--ev->count];
        *db = keyspace_db(ev->core->keyspace, best->db);
        const struct entry *e = find_by_hash(*db, best->hash);
        if (e != NULL && (!policy_is_volatile(policy) || entry_expiry(e) >= 0)) return e;
    }
    return NULL;
}

static const struct entry *pick_random(struct eviction *ev, int policy, struct db **db)
{
    struct keyspace *ks = ev->core->keyspace;
    for (int i = 0; i < ks->db_count; i++) {
        ev->next_db = (ev->next_db + 1) % ks->db_count;
        *db = keyspace_db(ks, ev->next_db);
        const struct entry *e = table_random(table_for(*db, policy), ks->env->rng);
        if (e != NULL) return e;
    }
    return NULL;
}

static const struct entry *pick(struct eviction *ev, struct db **db)
{
    int policy = ev->core->settings->memory.maxmemory_policy;
    if (policy == EVICT_ALLKEYS_RANDOM || policy == EVICT_VOLATILE_RANDOM) return pick_random(ev, policy, db);
    uint64_t key_seed = ev->core->keyspace->env->key_seed;
    if (ev->policy != policy || ev->key_seed != key_seed) ev->count = 0; /* scores or hashes cannot be compared */
    ev->policy = policy;
    ev->key_seed = key_seed;
    fill_pool(ev, policy);
    return take_best(ev, policy, db);
}

static void evict(struct eviction *ev, struct db *db, const struct entry *e)
{
    bool lazy = ev->core->settings->memory.lazyfree_lazy_eviction;
    if (entry_is_expired(ev->core->keyspace, e)) {
        keyspace_delete_expired(db, e);
        return;
    }
    char *copy = bytes_to_cstr(entry_key(e)); /* the event is published after the entry is freed */
    struct bytes_view key = bytes_view(copy, entry_key(e).len);
    exec_begin(ev->core);
    exec_add_delete(ev->core, db->id, key, lazy);
    keyspace_delete(db, keyref(db, key), lazy);
    notify_keyspace_event(ev->clients->pubsub, NOTIFY_EVICTED, "evicted", key, db->id);
    exec_end(ev->core);
    ev->core->stats.evicted_keys++;
    mem_free(copy);
}

/* Reads the clock only for the latency monitor: to delete a large value takes long. */
static void evict_and_measure(struct eviction *ev, struct db *db, const struct entry *e)
{
    const struct core *core = ev->core;
    if (LIKELY(core->settings->latency.latency_monitor_threshold_ms <= 0)) {
        evict(ev, db, e);
        return;
    }
    int64_t start = sys_mono_us(core->sys);
    evict(ev, db, e);
    latency_note(ev->core, "eviction-del", (sys_mono_us(core->sys) - start) / 1000);
}

static int64_t time_limit_us(const struct eviction *ev)
{
    int tenacity = ev->core->settings->memory.maxmemory_eviction_tenacity;
    if (tenacity >= 100) return INT64_MAX;
    if (tenacity <= 10) return 50 * tenacity;
    double us = 500; /* 15 % more for each step above 10 */
    for (int i = 10; i < tenacity; i++) us *= 1.15;
    return (int64_t)us;
}

/* Leaves out invalidation messages queued since tracking_memory_of_changes() returned `told`: eviction would feed
 * itself. */
static bool over_limit(const struct eviction *ev, int64_t told)
{
    int64_t used = (int64_t)used_memory_now(ev->used) - (tracking_memory_of_changes(ev->clients->trackings) - told);
    return used > 0 && (uint64_t)used > ev->core->settings->memory.maxmemory;
}

static bool exempt(const struct eviction *ev)
{
    return ev->core->settings->memory.maxmemory == 0 || ev->core->modes.loading ||
           (repl_role(ev->core->repl) == REPL_REPLICA && ev->core->settings->memory.replica_ignore_maxmemory);
}

/* For INFO: a period above the limit begins with a run that does not get below it, and ends with one that does. */
static void note_time_over_limit(struct eviction *ev, bool over)
{
    struct stats *st = &ev->core->stats;
    if (over == (st->over_memory_since_us != 0)) return;
    int64_t now = sys_mono_us(ev->core->sys);
    if (!over) st->over_memory_us += (uint64_t)(now - st->over_memory_since_us);
    st->over_memory_since_us = over ? now : 0;
}

static enum eviction_result evict_until_below(struct eviction *ev, int64_t told, int64_t start)
{
    int64_t limit = time_limit_us(ev);
    for (unsigned i = 1; over_limit(ev, told); i++) {
        struct db *db;
        const struct entry *e = pick(ev, &db);
        if (e == NULL) return lazyfree_pending(ev->core->lazyfree) > 0 ? EVICTION_GOES_ON : EVICTION_OUT_OF_MEMORY;
        evict_and_measure(ev, db, e);
        if (i % 16 == 0 && sys_mono_us(ev->core->sys) - start > limit) {
            due_set(ev->core, DUE_EVICTION);
            return EVICTION_GOES_ON;
        }
    }
    return EVICTION_DONE;
}

static enum eviction_result free_memory(struct eviction *ev)
{
    int64_t told = tracking_memory_of_changes(ev->clients->trackings);
    if (exempt(ev) || !over_limit(ev, told)) return EVICTION_DONE;
    if (ev->core->settings->memory.maxmemory_policy == EVICT_NONE) return EVICTION_OUT_OF_MEMORY;
    int64_t start = sys_mono_us(ev->core->sys);
    enum eviction_result result = evict_until_below(ev, told, start);
    latency_note(ev->core, "eviction-cycle", (sys_mono_us(ev->core->sys) - start) / 1000);
    return result;
}

enum eviction_result eviction_run(struct eviction *ev)
{
    due_clear(ev->core, DUE_EVICTION);
    if (pause_current(ev->core) != PAUSE_NONE) return EVICTION_DONE; /* the data set must not change */
    enum eviction_result result = free_memory(ev);
    ev->found_nothing = result == EVICTION_OUT_OF_MEMORY;
    note_time_over_limit(ev, result != EVICTION_DONE);
    return result;
}

bool eviction_found_nothing(const struct eviction *ev)
{
    return ev->found_nothing;
}
