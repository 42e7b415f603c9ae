#include "storage/entry.h"

#include "storage/base/memory.h"

enum value_encoding entry_encoding(const struct entry *e)
{
    if (e->type == TYPE_STRING) return e->encoding;
    return value_encoding_of(e->type, entry_pointer(e));
}

size_t entry_memory(const struct entry *e, size_t samples)
{
    size_t bytes = mem_usable_size(e);
    if ((e->flags & ENTRY_INLINE) || e->encoding == ENCODING_INT) return bytes;
    if (e->type == TYPE_STRING) return bytes + mem_usable_size(entry_pointer(e));
    return bytes + value_memory(e->type, entry_pointer(e), samples);
}

struct blob *blob_new(struct bytes_view bytes)
{
    struct blob *b = mem_alloc(sizeof(*b) + bytes.len);
    blob_init(b, bytes.len, bytes.len);
    memcpy(b->data, bytes.data, bytes.len);
    return b;
}
