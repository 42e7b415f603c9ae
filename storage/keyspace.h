/* keyspace.h -- the databases, and the one door through which entries change.
 *
 * Reading:  keyspace_find() answers a const entry. A key past its expiry is not there for a reader; what else happens
 *           to it is told by the expiry mode (a master deletes it and tells the stream, a replica waits for its
 * master). Writing:  an existing entry becomes writable only through keyspace_find_for_write(), and is created,
 * replaced, deleted, renamed and given an expiry only by the calls below. Each of them passes through before_change(),
 * where a running snapshot copies first. The caller then says keyspace_changed() when it did change something: that is
 * what WATCH and the change counter see. Deleting, expiring and flushing say so themselves. Entries move: every call
 * that takes or returns `struct entry *` for writing may reallocate it; use the returned one. A pointer is valid until
 * the next call that changes this key. Time is given in by keyspace_set_time() once per command or loop turn, so that
 * one command sees one time. */
#ifndef LOCKSTEP_STORAGE_KEYSPACE_H
#define LOCKSTEP_STORAGE_KEYSPACE_H

#include "storage/entry.h"
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
    struct table keys;              /* struct entry, by key; owns them */
    struct table expires;           /* those of them with an expiry; borrowed */
    struct time_heap *timed_hashes; /* hashes with fields that expire, by the next of them; borrowed */
    uint64_t expire_cursor;
    int64_t avg_ttl_ms; /* running estimate by the active expiry cycle */
};

/* A key with its hash, computed once per command (or once per batch, ahead of time). */
struct keyref {
    struct bytes_view name;
    uint64_t hash;
};

enum expiry_mode {
    EXPIRY_DELETE, /* a master: whoever finds a key past its time deletes it */
    EXPIRY_HIDE,   /* a replica's clients, or while writes are paused: it is not shown, but stays */
    EXPIRY_IGNORE, /* applying the master's stream, or loading: the key is there until a DEL comes */
};

struct keyspace_hooks { /* what the keyspace tells; any may be NULL */
    void *ctx;
    /* A key is about to be deleted because its time has come. */
    void (*expired)(void *ctx, struct db *db, struct bytes_view key);
    /* These fields of a hash were removed because their time has come; with `emptied` the key is about to be deleted.
     */
    void (*fields_expired)(void *ctx, struct db *db, struct bytes_view key, const struct bytes_view *fields,
                           size_t count, bool emptied);
    /* The value, the expiry or the existence of a key changed. */
    void (*changed)(void *ctx, struct db *db, struct bytes_view key);
    /* A key that did not exist was created. */
    void (*created)(void *ctx, struct db *db, struct bytes_view key, enum value_type type);
    /* All keys of a database (db NULL: of all) are about to go, and those of `replacement` (NULL: none) to come in
     * their place: of two databases that are swapped each is reported once. */
    void (*flushed)(void *ctx, struct db *db, struct db *replacement);
    /* A key got an expiry in mode EXPIRY_HIDE, where nothing deletes it later. */
    void (*hidden_expiry)(void *ctx, struct db *db, struct bytes_view key);
    void (*before_change)(void *ctx, struct db *db, struct entry *e); /* a running snapshot's copy */
};

struct keyspace_stats {
    uint64_t hits, misses;
    uint64_t expired_keys, expired_fields; /* lazily and actively */
    uint64_t changes;                      /* successful writes, INFO's rdb_changes_since_last_save counts from here */
};

struct keyspace {
    const struct value_env *env; /* shared with siblings, so that values can move between them */
    int db_count;
    struct db **dbs; /* by id; SWAPDB swaps the pointers' contents, not these */
    int64_t now_ms;
    enum expiry_mode expiry_mode;
    bool lfu;           /* entries carry LFU counters rather than access times */
    bool freeze_access; /* a forked child shares our pages: reading must not write */
    uint8_t epoch;
    struct keyspace_hooks hooks;
    struct keyspace_stats stats;
    struct lazyfree *lazyfree; /* NULL: everything is freed in place */
    bool lazy_expire;          /* lazyfree-lazy-expire */
    bool lazy_server_del;      /* lazyfree-lazy-server-del: values that a write replaces */
    unsigned lfu_log_factor, lfu_decay_minutes;
    unsigned held_blobs;         /* keyspace_hold_blob() */
    struct libraries *libraries; /* functions: swapped with the data, but not flushed with it */
    struct keyspace_shared *shared;
};

struct keyspace *keyspace_new(int db_count, const struct encoding_limits *limits, const struct sys *sys);
/* Another keyspace with the same secret and limits, to load into while this one serves. */
struct keyspace *keyspace_new_sibling(const struct keyspace *ks);
void keyspace_free(struct keyspace *ks);
/* Exchanges all data (not hooks, stats, modes) with a sibling: what a replica does once a new data set is proven good.
 */
void keyspace_swap_data(struct keyspace *ks, struct keyspace *sibling);
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
size_t keyspace_overhead(const struct keyspace *ks); /* bytes of the tables, and of what orders hashes by time */

static inline struct keyref keyref(const struct db *db, struct bytes_view name)
{
    return (struct keyref){.name = name, .hash = value_hash(db->keyspace->env, name)};
}

/* --- reading --- */
enum { FIND_NO_TOUCH = 1 << 0 /* leave access time and LFU counter */, FIND_NO_STATS = 1 << 1 /* no hit or miss */ };
const struct entry *keyspace_find(struct db *db, struct keyref key, unsigned flags);
static inline bool keyspace_exists(struct db *db, struct keyref key)
{
    return keyspace_find(db, key, FIND_NO_TOUCH | FIND_NO_STATS) != NULL;
}
/* Whether expired or not, and nothing happens to it. */
const struct entry *keyspace_peek(const struct db *db, struct keyref key);
/* Batched look-ups, two phases apart: first the buckets, some work later the entries. */
static inline void keyspace_prefetch_bucket(const struct db *db, uint64_t hash)
{
    table_prefetch_bucket(&db->keys, hash);
}
static inline void keyspace_prefetch_entry(const struct db *db, uint64_t hash)
{
    table_prefetch_entries(&db->keys, hash);
}
bool entry_is_expired(const struct keyspace *ks, const struct entry *e); /* by the clock, whatever the mode */
const struct entry *keyspace_random(struct db *db); /* NULL if empty; expired ones are skipped (or deleted) */
/* SCAN over keys, expired ones included: the caller looks each up. fn must not change the database. */
uint64_t keyspace_scan(struct db *db, uint64_t cursor, void (*fn)(void *ctx, const struct entry *e), void *ctx);
/* Access, for OBJECT IDLETIME and FREQ. */
uint64_t entry_idle_seconds(const struct keyspace *ks, const struct entry *e);
unsigned entry_lfu_counter(const struct keyspace *ks, const struct entry *e); /* decayed */

/* --- the door --- */
struct entry *keyspace_find_for_write(struct db *db, struct keyref key); /* expired keys are deleted or hidden first */
void keyspace_changed(struct db *db, struct keyref key, uint64_t changes);
/* Changes of what lies beside the data of a key, as groups do beside the entries of a stream: they count, and nobody
 * hears of them. */
static inline void keyspace_changed_beside(struct db *db, uint64_t changes)
{
    db->keyspace->stats.changes += changes;
}

enum put_flags { PUT_KEEP_EXPIRY = 1 << 0, PUT_NO_INT = 1 << 1 /* keep it as text even if it is a number */ };
/* Create or replace, whatever was there. Without PUT_KEEP_EXPIRY the key has none afterwards. */
struct entry *keyspace_put_string(struct db *db, struct keyref key, struct bytes_view value, unsigned flags);
struct entry *keyspace_put_blob(struct db *db, struct keyref key, struct blob *taken, unsigned flags);
/* Between the two the bytes of a blob stay where and as they are, though it belongs to the keyspace and its key may be
 * overwritten, changed or deleted. Keyspaces are neither flushed nor exchanged meanwhile
 * (asserted). */
void keyspace_hold_blob(struct keyspace *ks, struct blob *b);
void keyspace_let_go_of_blob(struct keyspace *ks, struct blob *b);
struct entry *keyspace_put_int(struct db *db, struct keyref key, int64_t value, unsigned flags);
struct entry *keyspace_put_value(struct db *db, struct keyref key, enum value_type type, void *taken, unsigned flags);

/* For loading a file: entries are built first and put into their database later, several at once, so that the table's
 * cache lines are fetched together (keyspace_prefetch_bucket() in between). A built entry is the caller's until it is
 * inserted. */
struct entry *keyspace_build_string(struct db *db, struct bytes_view key, struct bytes_view value, int64_t expiry_ms);
struct entry *keyspace_build_blob(struct db *db, struct bytes_view key, struct blob *taken, int64_t expiry_ms);
struct entry *keyspace_build_value(struct db *db, struct bytes_view key, enum value_type type, void *taken,
                                   int64_t expiry_ms);
void keyspace_free_built(struct entry *built);
/* Takes the entry. False, and the entry stays the caller's, if the key is there already and is not to be replaced. */
bool keyspace_insert_built(struct db *db, uint64_t hash, struct entry *built, bool replace);

/* Change the string of an entry got for writing; the expiry stays. */
struct entry *keyspace_update_int(struct db *db, struct keyref key, struct entry *e, int64_t value);
struct entry *keyspace_update_string(struct db *db, struct keyref key, struct entry *e, struct bytes_view value,
                                     unsigned flags /* PUT_NO_INT */);
/* Makes the string `len` bytes long (zero-filled behind its old end), changeable in place and reported as raw; *data is
 * where it lies. */
struct entry *keyspace_resize_string(struct db *db, struct keyref key, struct entry *e, size_t len, char **data);

bool keyspace_delete(struct db *db, struct keyref key, bool lazy); /* false: it was not there */
/* The same, but a key that is past its time is there like any other, and nobody hears that it expired. */
bool keyspace_drop(struct db *db, struct keyref key, bool lazy);
/* Takes the value out (collections only) and deletes the key: the caller owns the value. */
void *keyspace_take_value(struct db *db, struct keyref key, struct entry *e);
struct entry *keyspace_set_expiry(struct db *db, struct keyref key, struct entry *e, int64_t at_ms);
struct entry *keyspace_clear_expiry(struct db *db, struct keyref key, struct entry *e);
void keyspace_set_access(struct keyspace *ks, struct entry *e, int64_t idle_seconds, int lfu_freq); /* -1: leave */
/* Moves the entry under a new name and/or to another database, expiry included; what is there is deleted. */
struct entry *keyspace_rename(struct db *from, struct keyref key, struct db *to, struct keyref new_key);
/* Deep copy with the expiry. What is there is deleted. */
struct entry *keyspace_copy(struct db *from, const struct entry *e, struct db *to, struct keyref new_key);
/* Empties one database (NULL: all). How many keys went. */
size_t keyspace_flush(struct keyspace *ks, struct db *db, bool lazy);
void keyspace_swap_dbs(struct keyspace *ks, int first, int second);
/* Deletes a key that is past its time: tells `expired` first. For the active cycle and for eviction of expired keys. */
void keyspace_delete_expired(struct db *db, const struct entry *e);

/* --- fields of hashes that expire: see hash_expiry.h --- */
/* The time to ask a hash by, for whoever the mode is meant for. */
static inline int64_t keyspace_field_clock(const struct keyspace *ks)
{
    return ks->expiry_mode == EXPIRY_IGNORE ? HASH_SHOW_ALL : ks->now_ms;
}
/* hash_set_time() for a hash got for writing. */
bool keyspace_set_field_time(struct db *db, struct entry *e, struct bytes_view field, int64_t at_ms);
/* Removes those of the fields of this hash that are past their time, and in mode EXPIRY_DELETE tells `fields_expired`
 * of them. fields[] is reordered. True: that was all there was, and the key is deleted. */
bool keyspace_expire_fields(struct db *db, struct keyref key, struct bytes_view *fields, size_t count);
/* The same for up to `max` of those that are past their time, of this hash. */
bool keyspace_expire_some_fields(struct db *db, struct keyref key, size_t max);
/* The same for the hash whose next field is due first. False: none is due. */
bool keyspace_expire_next_fields(struct db *db, size_t max);
static inline size_t db_timed_hashes(const struct db *db) /* how many there are */
{
    return db->timed_hashes->count;
}
bool keyspace_has_field_times(const struct keyspace *ks);

void keyspace_check(struct keyspace *ks);

#endif
