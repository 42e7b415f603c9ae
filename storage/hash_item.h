/* hash_item.h -- the item of a hash's table: a field and its value in one allocation.
 *
 *      [ slot, 6 bytes ][ unused ]   [ length of field ][ length of value ][ field ][ value ]
 *       if the field expires         ^ the item: what the table points at
 *
 * The seven bytes in front of an expiring field make its address odd, so the address tells whether the field
 * expires. A field without an expiry costs no memory for this and no extra load. */
#ifndef LOCKSTEP_STORAGE_HASH_ITEM_H
#define LOCKSTEP_STORAGE_HASH_ITEM_H

#include "storage/base/bytes.h"
#include "storage/packed.h"

struct item_view {
    struct bytes_view field, value;
};

static inline struct item_view item_view(const void *item)
{
    struct item_view v;
    const char *at = packed_get_length(item, &v.field.len);
    v.field.data = packed_get_length(at, &v.value.len);
    v.value.data = v.field.data + v.field.len;
    return v;
}

static inline bool item_expires(const void *item)
{
    return (uintptr_t)item & 1;
}

char *item_new(struct bytes_view field, struct bytes_view value, bool expires);
void item_free(void *ctx, void *item);
/* Returns the item with a new value, in place where the allocation allows it. Keeps the slot. */
char *item_set_value(char *item, struct bytes_view value);
size_t item_memory(const void *item); /* bytes of its allocation */

/* The slot in the heap of expiring items. Only for items that expire. */
size_t item_slot(const void *item);
void item_set_slot(void *item, size_t slot);

#endif
