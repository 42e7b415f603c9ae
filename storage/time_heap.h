/* time_heap.h -- a priority queue of items by time: a heap with four children per node.
 *
 * The heap reports to each item its slot, through the callback `placed`, whenever it changes. So an item can be
 * moved or removed in O(log n) without a search. The earliest item is at slot 0. Items due by a given time are found
 * by visiting only them and their children.
 *
 * Invariants:
 * 1. No node is due before its parent (time_heap_check()).
 * 2. `placed` was called with the present slot of each item.
 *
 * Ownership: items are the caller's. The heap must not move in memory while somebody holds its address. */
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
void time_heap_release(struct time_heap *h); /* the heap is empty and usable afterwards */

static inline const struct time_node *time_heap_first(const struct time_heap *h) /* NULL: the heap is empty */
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
/* The item has a new address and knows its slot. */
static inline void time_heap_moved(struct time_heap *h, size_t slot, void *item)
{
    h->nodes[slot].item = item;
}

/* Calls fn for the items due before `time`, in no particular order, until it returns false. fn must not change the
 * heap. The cost is proportional to the number of items visited. */
void time_heap_due(const struct time_heap *h, int64_t time, bool (*fn)(void *ctx, void *item), void *ctx);
size_t time_heap_count_due(const struct time_heap *h, int64_t time);

size_t time_heap_memory(const struct time_heap *h); /* without the struct itself */
void time_heap_check(const struct time_heap *h);

#endif
