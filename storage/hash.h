/* hash.h -- fields and values. listpack while at most hash_max_entries pairs with no field or value longer than
 * hash_max_value, else a table with one allocation for a field and its value. Never converts back by itself. Fields may
 * have a time at which they are to go: see hash_expiry.h.
 * Views of fields and values live until the next change of the hash, or as long as the number_text they were written
 * to. */
#ifndef LOCKSTEP_STORAGE_HASH_H
#define LOCKSTEP_STORAGE_HASH_H

#include "storage/table.h"
#include "storage/value.h"

struct hash; /* opaque */

struct hash *hash_new(const struct value_env *env);
void hash_free(struct hash *h);
struct hash *hash_dup(const struct hash *h);
size_t hash_count(const struct hash *h);
enum value_encoding hash_encoding(const struct hash *h);
size_t hash_memory(const struct hash *h, size_t samples);
size_t hash_free_effort(const struct hash *h);

bool hash_get(const struct hash *h, struct bytes_view field, struct number_text *buf, struct bytes_view *value);
bool hash_contains(const struct hash *h, struct bytes_view field);
/* True: the field is new. It stays from now on, whatever time it had. */
bool hash_set(struct hash *h, struct bytes_view field, struct bytes_view value);
/* The same, but the time stays: for what alters a value rather than replacing it. */
bool hash_alter(struct hash *h, struct bytes_view field, struct bytes_view value);
bool hash_remove(struct hash *h, struct bytes_view field); /* false: it was not there */
/* HSET with many pairs: converts at once when the arguments will need it anyway. */
void hash_reserve(struct hash *h, size_t pairs, size_t longest);
/* For batched dispatch: for all fields the first, then for all the second, then the look-ups. */
void hash_prefetch(const struct hash *h, struct bytes_view field);
void hash_prefetch_field(const struct hash *h, struct bytes_view field);
/* A pair chosen uniformly; the hash must not be empty. value may be NULL. */
void hash_random(const struct hash *h, struct number_text buf[2], struct bytes_view *field, struct bytes_view *value);

struct hash_iter { /* no change of the hash meanwhile */
    const struct hash *hash;
    union {
        struct table_iter table;
        unsigned char *lp;
    };
    const void *at;  /* the pair returned last */
    int64_t hide_ms; /* fields with a time before this one are left out */
    struct number_text buf[2];
};
void hash_iter_init(struct hash_iter *it, const struct hash *h);
/* Leaves out the fields that are past their time. */
void hash_iter_init_at(struct hash_iter *it, const struct hash *h, int64_t now_ms);
bool hash_iter_next(struct hash_iter *it, struct bytes_view *field, struct bytes_view *value);
int64_t hash_iter_time(const struct hash_iter *it); /* of the pair returned last; HASH_FIELD_STAYS: none */

#define HASH_SHOW_ALL INT64_MIN /* in place of the time: none is left out */
/* HSCAN, as set_scan(). */
uint64_t hash_scan(const struct hash *h, uint64_t cursor, int64_t now_ms,
                   void (*fn)(void *ctx, struct bytes_view field, struct bytes_view value), void *ctx);

struct bytes_view hash_blob(const struct hash *h); /* the listpack of pairs, or an empty view */
/* Takes a validated listpack (mem_alloc'ed, even count, no duplicate fields); converts if the limits ask for it. */
struct hash *hash_from_listpack(const struct value_env *env, unsigned char *lp);
/* Its table when that is the encoding, else NULL: DEBUG HTSTATS-KEY. */
const struct table *hash_table(const struct hash *h);
void hash_check(const struct hash *h);

#endif
