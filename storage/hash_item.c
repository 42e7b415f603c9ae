#include "storage/hash_item.h"

#include "storage/base/assert.h"
#include "storage/base/checked.h"
#include "storage/base/memory.h"

enum { SLOT_SIZE = 6, PREFIX_SIZE = 7 /* odd, while allocations have even addresses */ };

static size_t prefix_size(const void *item)
{
    return item_expires(item) ? PREFIX_SIZE : 0;
}

static char *item_base(const void *item)
{
    return (char *)item - prefix_size(item);
}

static size_t body_size(size_t field_len, size_t value_len)
{
    size_t lengths = packed_length_size(field_len) + packed_length_size(value_len);
    return checked_size_add(lengths, checked_size_add(field_len, value_len));
}

static char *put_bytes(char *at, struct bytes_view bytes)
{
    if (bytes.len > 0) memcpy(at, bytes.data, bytes.len);
    return at + bytes.len;
}

char *item_new(struct bytes_view field, struct bytes_view value, bool expires)
{
    size_t prefix = expires ? PREFIX_SIZE : 0;
    char *base = mem_alloc(checked_size_add(prefix, body_size(field.len, value.len)));
    ASSERT(((uintptr_t)base & 1) == 0);
    char *item = base + prefix;
    char *at = packed_put_length(packed_put_length(item, field.len), value.len);
    put_bytes(put_bytes(at, field), value);
    return item;
}

void item_free(void *ctx, void *item)
{
    (void)ctx;
    struct item_view v = item_view(item);
    mem_free_sized(item_base(item), prefix_size(item) + body_size(v.field.len, v.value.len));
}

static char *item_renewed(char *item, struct bytes_view value)
{
    char *fresh = item_new(item_view(item).field, value, item_expires(item));
    if (item_expires(item)) item_set_slot(fresh, item_slot(item));
    item_free(NULL, item);
    return fresh;
}

char *item_set_value(char *item, struct bytes_view value)
{
    struct item_view old = item_view(item);
    if (packed_length_size(old.value.len) != packed_length_size(value.len)) return item_renewed(item, value);
    size_t value_at = (size_t)(old.value.data - item);
    if (value.len != old.value.len) {
        size_t prefix = prefix_size(item);
        item = (char *)mem_realloc(item - prefix, prefix + value_at + value.len) + prefix;
        packed_put_length(item + packed_length_size(old.field.len), value.len);
    }
    put_bytes(item + value_at, value);
    return item;
}

size_t item_memory(const void *item)
{
    return mem_usable_size(item_base(item));
}

size_t item_slot(const void *item)
{
    uint64_t slot = 0;
    ASSERT(item_expires(item));
    memcpy(&slot, item_base(item), SLOT_SIZE);
    return slot;
}

void item_set_slot(void *item, size_t slot)
{
    uint64_t wide = slot;
    ASSERT(item_expires(item) && wide >> (8 * SLOT_SIZE) == 0);
    memcpy(item_base(item), &wide, SLOT_SIZE);
}
