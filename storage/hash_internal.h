/* hash_internal.h -- the structs and functions shared by hash.c and hash_expiry.c. */
#ifndef LOCKSTEP_STORAGE_HASH_INTERNAL_H
#define LOCKSTEP_STORAGE_HASH_INTERNAL_H

#include "storage/hash.h"
#include "storage/hash_expiry.h"
#include "storage/time_heap.h"

struct hash {
    const struct value_env *env;
    union {
        /* field, value, ...; or field, value, time, ... ordered by time, with time 0 (no expiry) last */
        unsigned char *lp;
        struct table *table; /* of items */
    };
    struct hash_timing *timing; /* NULL while no field expires */
    uint8_t encoding;
};

struct hash_timing {
    int64_t next_ms;         /* the earliest expiry of a field */
    struct time_heap fields; /* table only: the items that expire */
    struct time_heap *watch; /* heap in which this hash is, by next_ms; NULL: none */
    size_t watch_slot;
    const void *owner;
};

static inline bool hash_is_table(const struct hash *h)
{
    return h->encoding == ENCODING_HASHTABLE;
}
static inline size_t hash_stride(const struct hash *h) /* listpack entries per field */
{
    return h->encoding == ENCODING_LISTPACK_EX ? 3 : 2;
}

/* hash.c */
char *hash_item_find(const struct hash *h, uint64_t hash, struct bytes_view field, struct table_pos *pos);
unsigned char *hash_lp_find(const struct hash *h, struct bytes_view field); /* NULL: not found */
unsigned char *hash_lp_after(const struct hash *h, unsigned char *at);      /* the next field, or NULL */
void hash_convert_to_table(struct hash *h, size_t expected);

/* hash_expiry.c */
struct hash_timing *hash_timing_of(struct hash *h); /* allocated on first use */
void hash_timing_free(struct hash *h);              /* does not remove the hash from `watch` */
void hash_timing_refresh(struct hash *h);           /* call after fields or their expiries changed */
size_t hash_timing_memory(const struct hash *h);
void hash_timing_check(const struct hash *h);
/* Expiry of the field, or HASH_FIELD_STAYS. */
int64_t hash_item_time(const struct hash *h, const void *item);
int64_t hash_lp_time(const struct hash *h, const unsigned char *at);
/* Table items: gives an item an expiry; removes it before the item goes. The caller calls hash_timing_refresh(). */
void hash_item_timed(struct hash *h, void *item, int64_t at_ms);
void hash_item_untimed(struct hash *h, const void *item);
/* Listpack with times: moves the field to the position of its new time. */
void hash_lp_set_time(struct hash *h, unsigned char *at, int64_t at_ms);

#endif
