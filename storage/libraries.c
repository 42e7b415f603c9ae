#include "storage/libraries.h"

#include "storage/base/memory.h"

struct library_source { /* one allocation: name, then source */
    size_t name_len, source_len;
    char bytes[];
};

struct libraries {
    struct library_source **items;
    size_t count, cap;
    size_t bytes;
};

struct libraries *libraries_new(void)
{
    return mem_calloc(sizeof(struct libraries));
}

void libraries_clear(struct libraries *l)
{
    for (size_t i = 0; i < l->count; i++) mem_free(l->items[i]);
    mem_free(l->items);
    *l = (struct libraries){0};
}

void libraries_free(struct libraries *l)
{
    if (l == NULL) return;
    libraries_clear(l);
    mem_free(l);
}

size_t libraries_count(const struct libraries *l)
{
    return l->count;
}
struct bytes_view libraries_name(const struct libraries *l, size_t at)
{
    return bytes_view(l->items[at]->bytes, l->items[at]->name_len);
}
struct bytes_view libraries_source(const struct libraries *l, size_t at)
{
    return bytes_view(l->items[at]->bytes + l->items[at]->name_len, l->items[at]->source_len);
}
size_t libraries_memory(const struct libraries *l)
{
    return l->bytes + l->cap * sizeof(*l->items) + l->count * sizeof(struct library_source);
}

/* Binary search. */
bool libraries_find(const struct libraries *l, struct bytes_view name, size_t *at)
{
    size_t low = 0, high = l->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = bytes_compare(libraries_name(l, middle), name);
        if (order == 0) {
            *at = middle;
            return true;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *at = low;
    return false;
}

static void insert_at(struct libraries *l, size_t at, struct library_source *item)
{
    if (l->count == l->cap) {
        l->cap = l->cap == 0 ? 4 : l->cap * 2;
        l->items = mem_realloc(l->items, l->cap * sizeof(*l->items));
    }
    memmove(l->items + at + 1, l->items + at, (l->count - at) * sizeof(*l->items));
    l->items[at] = item;
    l->count++;
}

void libraries_set(struct libraries *l, struct bytes_view name, struct bytes_view source)
{
    struct library_source *item = mem_alloc(sizeof(*item) + name.len + source.len);
    size_t at;
    *item = (struct library_source){.name_len = name.len, .source_len = source.len};
    memcpy(item->bytes, name.data, name.len);
    memcpy(item->bytes + name.len, source.data, source.len);
    (void)libraries_remove(l, name);    /* there may be none */
    (void)libraries_find(l, name, &at); /* finds where to insert */
    insert_at(l, at, item);
    l->bytes += name.len + source.len;
}

bool libraries_remove(struct libraries *l, struct bytes_view name)
{
    size_t at;
    if (!libraries_find(l, name, &at)) return false;
    l->bytes -= l->items[at]->name_len + l->items[at]->source_len;
    mem_free(l->items[at]);
    memmove(l->items + at, l->items + at + 1, (l->count - at - 1) * sizeof(*l->items));
    l->count--;
    return true;
}
