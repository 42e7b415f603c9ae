/* hash_internal.h -- what hash.c and hash_expiry.c share. */
#ifndef LOCKSTEP_STORAGE_HASH_INTERNAL_H
#define LOCKSTEP_STORAGE_HASH_INTERNAL_H

#include "storage/hash.h"
#include "storage/hash_expiry.h"
#include "storage/hash_item.h"
#include "storage/time_heap.h"

struct hash {
    const struct value_env *env;
    union {
        /* field, value, field, value, ... or field, value, time, field, value, time, ... in the order of the times, 0
         * for a field that stays, those last */
        unsigned char *lp;
        struct table *table; /* of items */
    };
    struct hash_timing *timing; /* NULL while no field expires */
    uint8_t encoding;
};

struct hash_timing {
    int64_t next_ms;         /* the earliest time of a field */
    struct time_heap fields; /* the items of a table that expire */
    struct time_heap *watch; /* where this hash stands by next_ms; or NULL */
    size_t watch_slot;
    const void *owner;
};

static inline bool hash_is_table(const struct hash *h)
{
    return h->encoding == ENCODING_HASHTABLE;
}
static inline size_t hash_stride(const struct hash *h) /* entries of the listpack for one field */
{
    return h->encoding == ENCODING_LISTPACK_EX ? 3 : 2;
}

/* hash.c */
char *hash_item_find(const struct hash *h, uint64_t hash, struct bytes_view field, struct table_pos *pos);
unsigned char *hash_lp_find(const struct hash *h, struct bytes_view field); /* NULL: it is not there */
unsigned char *hash_lp_after(const struct hash *h, unsigned char *at);      /* the next field, or NULL */
void hash_convert_to_table(struct hash *h, size_t expected);

/* hash_expiry.c */
struct hash_timing *hash_timing_of(struct hash *h); /* made if there is none */
void hash_timing_free(struct hash *h);              /* the watch is not told */
void hash_timing_refresh(struct hash *h);           /* fields or their times have changed */
size_t hash_timing_memory(const struct hash *h);
void hash_timing_check(const struct hash *h);
/* The time of the field here, HASH_FIELD_STAYS if it has none. */
int64_t hash_item_time(const struct hash *h, const void *item);
int64_t hash_lp_time(const struct hash *h, const unsigned char *at);
/* Table items: it gets a time / is about to go, and the caller refreshes. */
void hash_item_timed(struct hash *h, void *item, int64_t at_ms);
void hash_item_untimed(struct hash *h, const void *item);
/* Moves the field to where its new time belongs: of a listpack with times. */
void hash_lp_set_time(struct hash *h, unsigned char *at, int64_t at_ms);

#endif
