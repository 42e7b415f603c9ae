/* time_heap.h -- things in the order of the times at which they are due: a heap, four children to a node.
 *
 * Each thing is told where in the heap it stands whenever that changes, and keeps it, so that it can be moved and taken
 * out in O(log n) without a search. The earliest is at hand; those that are due by some time are found by visiting just
 * them and their children.
 * Invariants: no node is due before its parent; `placed` was told of every thing's present slot (time_heap_check()).
 * Ownership:  the things are the caller's. The heap must not be moved in memory while somebody keeps its address. */
#ifndef LOCKSTEP_STORAGE_TIME_HEAP_H
#define LOCKSTEP_STORAGE_TIME_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct time_node {
    int64_t at;
    void *item;
};

struct time_heap {
    struct time_node *nodes; /* NULL while empty */
    size_t count, capacity;
    void (*placed)(void *item, size_t slot);
};

void time_heap_init(struct time_heap *h, void (*placed)(void *item, size_t slot));
void time_heap_release(struct time_heap *h); /* empty and usable afterwards */

static inline const struct time_node *time_heap_first(const struct time_heap *h) /* NULL: there is none */
{
    return h->count == 0 ? NULL : &h->nodes[0];
}
static inline int64_t time_heap_at(const struct time_heap *h, size_t slot)
{
    return h->nodes[slot].at;
}

void time_heap_insert(struct time_heap *h, int64_t at, void *item);
void time_heap_remove(struct time_heap *h, size_t slot);
void time_heap_change(struct time_heap *h, size_t slot, int64_t at);
/* The thing lies elsewhere in memory now, and knows its slot. */
static inline void time_heap_moved(struct time_heap *h, size_t slot, void *item)
{
    h->nodes[slot].item = item;
}

/* Calls fn for things that are due before `time`, in no particular order, until it answers false. fn must not change
 * the heap. Takes time in proportion to how many were visited. */
void time_heap_due(const struct time_heap *h, int64_t time, bool (*fn)(void *ctx, void *item), void *ctx);
size_t time_heap_count_due(const struct time_heap *h, int64_t time);

size_t time_heap_memory(const struct time_heap *h); /* without the struct itself */
void time_heap_check(const struct time_heap *h);

#endif
