/* keyspace.h -- the databases of a server and the only write access to their entries.
 *
 * A keyspace is an array of databases. Each database has three indexes over the same entries:
 *
 *      keyspace -> db 0, db 1, ...
 *                    |
 *                    +-- keys           table: every entry, by key; owns the entries
 *                    +-- expires        table: the entries with an expiry; borrowed
 *                    +-- timed_hashes   heap: the hashes with fields that expire, by their next expiry; borrowed
 *
 * Reading: keyspace_find() returns a const entry. Readers do not see a key whose expiry has passed. The expiry mode
 * says what else happens to such a key: a master deletes it and reports that, a replica keeps it until its master
 * sends a DEL.
 * Writing: keyspace_find_for_write() is the only way to get a writable entry. Only the functions below create,
 * replace, delete or rename an entry or change its expiry. An existing entry passes the hook before_change() before it
 * is handed out for writing, replaced, moved or deleted (not when a database is flushed).
 * Reporting: a caller that changed or deleted a value calls keyspace_changed(): the change counter, and so the stream,
 * depend on it. Expiring and flushing call their hooks themselves.
 * Time: the caller sets the time with keyspace_set_time(), once per command or per turn of the loop, so that one
 * command sees one time.
 *
 * Invariants (keyspace_check()):
 * 1. Each entry with ENTRY_EXPIRES is in `expires`, and no other entry is.
 * 2. Each hash with fields that expire is in `timed_hashes` of its database, under its current entry.
 *
 * Ownership: a database owns its entries, an entry owns its value. Entries move: a function that takes or returns a
 * writable `struct entry *` may reallocate it, so the caller uses the returned pointer. A pointer is valid until the
 * next call that changes the same key.
 * Not here: what a value does (value.h and the types), what goes into the stream, active expiry, eviction. */
#ifndef LOCKSTEP_STORAGE_KEYSPACE_H
#define LOCKSTEP_STORAGE_KEYSPACE_H

#include "storage/entry.h"
#include "storage/hash_secret.h"
#include "storage/libraries.h"
#include "storage/hash_expiry.h"
#include "storage/table.h"
#include "storage/time_heap.h"
#include "storage/value.h"

struct keyspace;
struct lazyfree;

struct db {
    struct keyspace *keyspace;
    int id;
    struct table keys;              /* struct entry, by key; owns the entries */
    struct table expires;           /* entries that have an expiry; borrowed */
    struct time_heap *timed_hashes; /* hashes with fields that expire, by their next expiry; borrowed */
    uint64_t expire_cursor;
    int64_t avg_ttl_ms; /* running estimate, kept by the active expiry cycle */
};

/* A key and its hash. The hash is computed once per command, or ahead of time for a whole batch. */
struct keyref {
    struct bytes_view name;
    uint64_t hash;
};

enum expiry_mode {
    EXPIRY_DELETE, /* master: a look-up that finds an expired key deletes it */
    EXPIRY_HIDE,   /* clients of a replica, or while writes are paused: an expired key is hidden but stays */
    EXPIRY_IGNORE, /* applying the master's stream, or loading: an expired key is visible until a DEL arrives */
};

struct keyspace_hooks { /* what the keyspace reports; any of them may be NULL */
    void *ctx;
    /* The key is about to be deleted because it has expired. */
    void (*expired)(void *ctx, struct db *db, struct bytes_view key);
    /* These fields of a hash were removed because they have expired. `emptied`: the key is about to be deleted as
     * well. */
    void (*fields_expired)(void *ctx, struct db *db, struct bytes_view key, const struct bytes_view *fields,
                           size_t count, bool emptied);
    /* The value, the expiry or the existence of a key has changed. */
    void (*changed)(void *ctx, struct db *db, struct bytes_view key);
    /* A key that did not exist was created. */
    void (*created)(void *ctx, struct db *db, struct bytes_view key, enum value_type type);
    /* All keys of `db` (NULL: of all databases) are about to go, and the keys of `replacement` (NULL: none) take
     * their place. When two databases are swapped, the hook is called once for each. */
    void (*flushed)(void *ctx, struct db *db, struct db *replacement);
    /* A key got an expiry in mode EXPIRY_HIDE, in which no look-up deletes it later. */
    void (*hidden_expiry)(void *ctx, struct db *db, struct bytes_view key);
    void (*before_change)(void *ctx, struct db *db, struct entry *e); /* The entry is about to change: the place
                                                                       * where a snapshot without fork() would copy
                                                                       * it. Unused today. */
};

struct keyspace_stats {
    uint64_t hits, misses;
    uint64_t expired_keys, expired_fields; /* by look-ups and by the active cycle */
    uint64_t changes;                      /* successful writes; INFO's rdb_changes_since_last_save is computed from
                                            * it */
};

struct keyspace {
    const struct value_env *env; /* of the present data set; may be shared with siblings */
    int db_count;
    struct db **dbs; /* by id; SWAPDB exchanges the contents of two databases, not these pointers */
    int64_t now_ms;
    enum expiry_mode expiry_mode;
    bool lfu;           /* entries hold LFU counters instead of access times */
    bool freeze_access; /* a forked child shares our memory: reads must not write to entries */
    uint8_t epoch;
    struct keyspace_hooks hooks;
    struct keyspace_stats stats;
    struct lazyfree *lazyfree; /* NULL: everything is freed in place */
    bool lazy_expire;          /* directive lazyfree-lazy-expire */
    bool lazy_server_del;      /* directive lazyfree-lazy-server-del: values replaced by a write */
    unsigned lfu_log_factor, lfu_decay_minutes;
    unsigned held_blobs;         /* number of blobs under keyspace_hold_blob() */
    struct libraries *libraries; /* function libraries: swapped with the data, but kept by a flush */
    struct keyspace_shared *shared;
};

/* `secret` NULL: a random one. */
struct keyspace *keyspace_new(int db_count, const struct encoding_limits *limits, const struct hash_secret *secret,
                              const struct sys *sys);
/* A second keyspace with the same limits, in which a data set is loaded while this one serves clients. `secret` NULL: it
 * hashes as this one does. */
struct keyspace *keyspace_new_sibling(const struct keyspace *ks, const struct hash_secret *secret);
void keyspace_free(struct keyspace *ks);
/* Exchanges the data and their environments (not hooks, statistics or modes) with a sibling: a replica calls it once its
 * new data set has been loaded without an error. Hashes of keys that were computed before do not fit afterwards. */
void keyspace_swap_data(struct keyspace *ks, struct keyspace *sibling);
/* The keyspace must be empty. Hashes of keys that were computed before do not fit afterwards. */
void keyspace_set_secret(struct keyspace *ks, const struct hash_secret *secret);
const struct hash_secret *keyspace_secret(const struct keyspace *ks); /* never printed: see hash_secret.h */
uint64_t keyspace_fingerprint(const struct keyspace *ks);             /* of the secret; public */
static inline void keyspace_set_time(struct keyspace *ks, int64_t now_ms)
{
    ks->now_ms = now_ms;
}
static inline struct db *keyspace_db(struct keyspace *ks, int id)
{
    return ks->dbs[id];
}
static inline size_t db_count(const struct db *db)
{
    return table_count(&db->keys);
}
size_t keyspace_count(const struct keyspace *ks);
size_t keyspace_overhead(const struct keyspace *ks); /* bytes of the tables and of the heaps */

static inline struct keyref keyref(const struct db *db, struct bytes_view name)
{
    return (struct keyref){.name = name, .hash = key_hash(db->keyspace->env, name)};
}

/* --- reading --- */
enum {
    FIND_NO_TOUCH = 1 << 0 /* leave access time and LFU counter as they are */,
    FIND_NO_STATS = 1 << 1 /* count neither a hit
                                                                                               * nor a miss */
};
const struct entry *keyspace_find(struct db *db, struct keyref key, unsigned flags);
static inline bool keyspace_exists(struct db *db, struct keyref key)
{
    return keyspace_find(db, key, FIND_NO_TOUCH | FIND_NO_STATS) != NULL;
}
/* Returns the entry whether expired or not, and changes nothing. */
const struct entry *keyspace_peek(const struct db *db, struct keyref key);
/* Batched look-ups in two phases: first prefetch all buckets and do other work, then prefetch all entries. */
static inline void keyspace_prefetch_bucket(const struct db *db, uint64_t hash)
{
    table_prefetch_bucket(&db->keys, hash);
}
static inline void keyspace_prefetch_entry(const struct db *db, uint64_t hash)
{
    table_prefetch_entries(&db->keys, hash);
}
bool entry_is_expired(const struct keyspace *ks, const struct entry *e); /* by the clock alone, whatever the mode */
const struct entry *keyspace_random(struct db *db); /* NULL if the database is empty; expired keys are skipped
                                                     * (EXPIRY_DELETE: deleted) */
/* One step of SCAN. It visits expired keys too, so the caller looks each key up. fn must not change the database. */
uint64_t keyspace_scan(struct db *db, uint64_t cursor, void (*fn)(void *ctx, const struct entry *e), void *ctx);
/* For OBJECT IDLETIME and OBJECT FREQ. */
uint64_t entry_idle_seconds(const struct keyspace *ks, const struct entry *e);
unsigned entry_lfu_counter(const struct keyspace *ks, const struct entry *e); /* after decay */

/* --- writing --- */
struct entry *keyspace_find_for_write(struct db *db, struct keyref key); /* NULL if the key does not exist or has
                                                                          * expired; EXPIRY_DELETE deletes an expired
                                                                          * one */
void keyspace_changed(struct db *db, struct keyref key, uint64_t changes);
/* Counts changes of a key that leave its data alone, such as those of a stream's consumer groups. They call no hook. */
static inline void keyspace_changed_beside(struct db *db, uint64_t changes)
{
    db->keyspace->stats.changes += changes;
}

enum put_flags { PUT_KEEP_EXPIRY = 1 << 0, PUT_NO_INT = 1 << 1 /* store text even if it is a number */ };
/* Create the key or replace its value, of any type. Without PUT_KEEP_EXPIRY the key has no expiry afterwards. */
struct entry *keyspace_put_string(struct db *db, struct keyref key, struct bytes_view value, unsigned flags);
struct entry *keyspace_put_blob(struct db *db, struct keyref key, struct blob *taken, unsigned flags);
/* While a blob is held, its bytes neither move nor change, even if its key is overwritten, changed or deleted.
 * Keyspaces must not be flushed or exchanged while a blob is held (asserted). */
void keyspace_hold_blob(struct keyspace *ks, struct blob *b);
void keyspace_let_go_of_blob(struct keyspace *ks, struct blob *b);
struct entry *keyspace_put_int(struct db *db, struct keyref key, int64_t value, unsigned flags);
struct entry *keyspace_put_value(struct db *db, struct keyref key, enum value_type type, void *taken, unsigned flags);

/* For loading a file: the loader builds several entries first and inserts them later, with
 * keyspace_prefetch_bucket() in between, so that the table's cache lines are loaded together. The caller owns a
 * built entry until it is inserted. */
struct entry *keyspace_build_string(struct db *db, struct bytes_view key, struct bytes_view value, int64_t expiry_ms);
struct entry *keyspace_build_blob(struct db *db, struct bytes_view key, struct blob *taken, int64_t expiry_ms);
struct entry *keyspace_build_value(struct db *db, struct bytes_view key, enum value_type type, void *taken,
                                   int64_t expiry_ms);
void keyspace_free_built(struct entry *built);
/* Takes ownership of the entry. False: the key exists and `replace` is false; the entry is still the caller's. */
bool keyspace_insert_built(struct db *db, uint64_t hash, struct entry *built, bool replace);

/* Change the string of an entry that is open for writing. The expiry stays. */
struct entry *keyspace_update_int(struct db *db, struct keyref key, struct entry *e, int64_t value);
struct entry *keyspace_update_string(struct db *db, struct keyref key, struct entry *e, struct bytes_view value,
                                     unsigned flags /* PUT_NO_INT */);
/* Makes the string `len` bytes long, zero-filled behind its old end, as a raw string that can be changed in place.
 * Sets *data to its bytes. */
struct entry *keyspace_resize_string(struct db *db, struct keyref key, struct entry *e, size_t len, char **data);

bool keyspace_delete(struct db *db, struct keyref key, bool lazy); /* false: the key did not exist */
/* As keyspace_delete(), but an expired key counts as existing and is not reported as expired. */
bool keyspace_drop(struct db *db, struct keyref key, bool lazy);
struct entry *keyspace_set_expiry(struct db *db, struct keyref key, struct entry *e, int64_t at_ms);
struct entry *keyspace_clear_expiry(struct db *db, struct keyref key, struct entry *e);
void keyspace_set_access(struct keyspace *ks, struct entry *e, int64_t idle_seconds, int lfu_freq); /* -1: leave as
                                                                                                     * is */
/* Moves an entry, with its expiry, to a new name, another database or both. Replaces an existing key. */
struct entry *keyspace_rename(struct db *from, struct keyref key, struct db *to, struct keyref new_key);
/* Makes a deep copy, with the expiry. Replaces an existing key. */
struct entry *keyspace_copy(struct db *from, const struct entry *e, struct db *to, struct keyref new_key);
/* Empties one database (NULL: all of them). Returns how many keys were removed. */
size_t keyspace_flush(struct keyspace *ks, struct db *db, bool lazy);
void keyspace_swap_dbs(struct keyspace *ks, int first, int second);
/* Deletes an expired key; calls the hook `expired` first. For the active cycle and for eviction of expired keys. */
void keyspace_delete_expired(struct db *db, const struct entry *e);

/* --- fields of hashes that expire: see hash_expiry.h --- */
/* The time to compare field expiries with in the present mode. */
static inline int64_t keyspace_field_clock(const struct keyspace *ks)
{
    return ks->expiry_mode == EXPIRY_IGNORE ? HASH_SHOW_ALL : ks->now_ms;
}
/* Calls hash_set_time() for a hash that is open for writing. */
bool keyspace_set_field_time(struct db *db, struct entry *e, struct bytes_view field, int64_t at_ms);
/* Removes those of the given fields that have expired. In mode EXPIRY_DELETE it calls the hook `fields_expired`.
 * Reorders fields[]. True: no field is left and the key has been deleted. */
bool keyspace_expire_fields(struct db *db, struct keyref key, struct bytes_view *fields, size_t count);
/* The same for up to `max` expired fields of this hash. */
bool keyspace_expire_some_fields(struct db *db, struct keyref key, size_t max);
/* The same for the hash whose next field is due first. False: none is due. */
bool keyspace_expire_next_fields(struct db *db, size_t max);
static inline size_t db_timed_hashes(const struct db *db) /* number of hashes with fields that expire */
{
    return db->timed_hashes->count;
}
bool keyspace_has_field_times(const struct keyspace *ks);

void keyspace_check(struct keyspace *ks);

#endif
