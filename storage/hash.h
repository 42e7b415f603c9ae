/* hash.h -- the hash type: fields with values, as a listpack or a table.
 *
 *      few, short pairs    listpack   [ field | value | field | value ... ]
 *      otherwise           table      -> item (field and value in one allocation, hash_item.h)
 *
 * A hash is a listpack while it has at most hash_max_entries pairs and no field or value longer than hash_max_value.
 * It does not convert back by itself. Fields may expire: see hash_expiry.h.
 * Ownership: the hash owns copies of its fields and values.
 * Validity: views of fields and values are valid until the hash changes, and no longer than the number_text that was
 * passed in. */
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
/* True: the field is new. Removes an expiry that the field had. */
bool hash_set(struct hash *h, struct bytes_view field, struct bytes_view value);
/* As hash_set(), but keeps the expiry: for commands that modify a value rather than replace it. */
bool hash_alter(struct hash *h, struct bytes_view field, struct bytes_view value);
bool hash_remove(struct hash *h, struct bytes_view field); /* false: not found */
/* For HSET with many pairs: converts to a table in advance if the arguments will need one. */
void hash_reserve(struct hash *h, size_t pairs, size_t longest);
/* For batched dispatch: call the first function for all fields, then the second for all fields, then look up. */
void hash_prefetch(const struct hash *h, struct bytes_view field);
void hash_prefetch_field(const struct hash *h, struct bytes_view field);
/* A random pair, each with the same probability. The hash must not be empty. value may be NULL. */
void hash_random(const struct hash *h, struct number_text buf[2], struct bytes_view *field, struct bytes_view *value);

struct hash_iter { /* the hash must not change meanwhile */
    const struct hash *hash;
    union {
        struct table_iter table;
        unsigned char *lp;
    };
    const void *at;  /* the pair returned last */
    int64_t hide_ms; /* fields that expired before this time are skipped */
    struct number_text buf[2];
};
void hash_iter_init(struct hash_iter *it, const struct hash *h);
/* Skips fields that have expired at now_ms. */
void hash_iter_init_at(struct hash_iter *it, const struct hash *h, int64_t now_ms);
bool hash_iter_next(struct hash_iter *it, struct bytes_view *field, struct bytes_view *value);
int64_t hash_iter_time(const struct hash_iter *it); /* expiry of the pair returned last, or HASH_FIELD_STAYS */

#define HASH_SHOW_ALL INT64_MIN /* as now_ms: skip no field */
/* HSCAN; works as set_scan(). */
uint64_t hash_scan(const struct hash *h, uint64_t cursor, int64_t now_ms,
                   void (*fn)(void *ctx, struct bytes_view field, struct bytes_view value), void *ctx);

struct bytes_view hash_blob(const struct hash *h); /* the listpack of pairs; an empty view for other encodings */
/* Takes ownership of a validated listpack (from mem_alloc(), even count, no duplicate fields). Converts it if the
 * limits require that. */
struct hash *hash_from_listpack(const struct value_env *env, unsigned char *lp);
/* The table, or NULL for other encodings: for DEBUG HTSTATS-KEY and table_part_next(). */
const struct table *hash_table(const struct hash *h);
/* The pair of an entry of that table. Returns its expiry or HASH_FIELD_STAYS. */
int64_t hash_table_pair(const struct hash *h, const void *entry, struct bytes_view *field, struct bytes_view *value);
void hash_check(const struct hash *h);

#endif
