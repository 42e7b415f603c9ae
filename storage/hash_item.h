/* hash_item.h -- a field of a hash's table with its value, in one allocation.
 *
 *     [ slot, 6 bytes ][ unused ]   [ length of field ][ length of value ][ field ][ value ]
 *      if the field expires         ^ the item: what the table points at
 *
 * The seven bytes in front of a field that expires make its address odd, and so the address tells which of the two it
 * is: a field that stays pays nothing for it, neither in memory nor in a look at the item. */
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
/* The item with another value, in place where its allocation allows it; the slot stays. */
char *item_set_value(char *item, struct bytes_view value);
size_t item_memory(const void *item); /* bytes of its allocation */

/* Where it stands among those that expire; for items that do. */
size_t item_slot(const void *item);
void item_set_slot(void *item, size_t slot);

#endif
