#include "storage/time_heap.h"

#include "storage/base/assert.h"
#include "storage/base/checked.h"
#include "storage/base/memory.h"

enum { CHILDREN = 4, CAPACITY_MIN = 4 };

void time_heap_init(struct time_heap *h, void (*placed)(void *item, size_t slot))
{
    *h = (struct time_heap){.placed = placed};
}

void time_heap_release(struct time_heap *h)
{
    mem_free(h->nodes);
    time_heap_init(h, h->placed);
}

static void set_capacity(struct time_heap *h, size_t capacity)
{
    h->nodes = mem_realloc(h->nodes, checked_size_mul(capacity, sizeof(*h->nodes)));
    h->capacity = capacity;
}

static void put(struct time_heap *h, size_t slot, struct time_node node)
{
    h->nodes[slot] = node;
    h->placed(node.item, slot);
}

/* Move a node up or down from a free slot to its position, shifting the nodes in its way. */
static void sift_up(struct time_heap *h, size_t slot, struct time_node node)
{
    while (slot > 0) {
        size_t parent = (slot - 1) / CHILDREN;
        if (h->nodes[parent].at <= node.at) break;
        put(h, slot, h->nodes[parent]);
        slot = parent;
    }
    put(h, slot, node);
}

static size_t earliest_child(const struct time_heap *h, size_t slot)
{
    size_t first = slot * CHILDREN + 1, best = first;
    size_t end = first + CHILDREN < h->count ? first + CHILDREN : h->count;
    for (size_t i = first + 1; i < end; i++)
        if (h->nodes[i].at < h->nodes[best].at) best = i;
    return best; /* h->count or greater: there is no child */
}

static void sift_down(struct time_heap *h, size_t slot, struct time_node node)
{
    for (;;) {
        size_t child = earliest_child(h, slot);
        if (child >= h->count || h->nodes[child].at >= node.at) break;
        put(h, slot, h->nodes[child]);
        slot = child;
    }
    put(h, slot, node);
}

static void settle(struct time_heap *h, size_t slot, struct time_node node)
{
    if (slot > 0 && h->nodes[(slot - 1) / CHILDREN].at > node.at)
        sift_up(h, slot, node);
    else
        sift_down(h, slot, node);
}

void time_heap_insert(struct time_heap *h, int64_t at, void *item)
{
    if (h->count == h->capacity) set_capacity(h, h->capacity == 0 ? CAPACITY_MIN : checked_size_mul(h->capacity, 2));
    sift_up(h, h->count++, (struct time_node){.at = at, .item = item});
}

void time_heap_remove(struct time_heap *h, size_t slot)
{
    ASSERT(slot < h->count);
    struct time_node last = h->nodes[--h->count];
    if (slot < h->count) settle(h, slot, last);
    if (h->count == 0)
        time_heap_release(h);
    else if (h->capacity > CAPACITY_MIN && h->count <= h->capacity / 4)
        set_capacity(h, h->capacity / 2);
}

void time_heap_change(struct time_heap *h, size_t slot, int64_t at)
{
    ASSERT(slot < h->count);
    settle(h, slot, (struct time_node){.at = at, .item = h->nodes[slot].item});
}

/* ---- Due items ---- */

/* The next slot of a pre-order walk that skips the children of `slot`: the next sibling, or that of the nearest
 * ancestor that has one. 0: the end. */
static size_t after_subtree(size_t slot)
{
    while (slot > 0 && slot % CHILDREN == 0) slot = (slot - 1) / CHILDREN;
    return slot == 0 ? 0 : slot + 1;
}

/* The next due node from `slot` on, in pre-order. h->count: there is none. */
static size_t next_due(const struct time_heap *h, size_t slot, int64_t time)
{
    while (slot >= h->count || h->nodes[slot].at >= time) {
        slot = after_subtree(slot);
        if (slot == 0) return h->count;
    }
    return slot;
}

void time_heap_due(const struct time_heap *h, int64_t time, bool (*fn)(void *ctx, void *item), void *ctx)
{
    for (size_t slot = next_due(h, 0, time); slot < h->count; slot = next_due(h, slot * CHILDREN + 1, time))
        if (!fn(ctx, h->nodes[slot].item)) return;
}

size_t time_heap_count_due(const struct time_heap *h, int64_t time)
{
    size_t count = 0;
    for (size_t slot = next_due(h, 0, time); slot < h->count; slot = next_due(h, slot * CHILDREN + 1, time)) count++;
    return count;
}

size_t time_heap_memory(const struct time_heap *h)
{
    return h->nodes == NULL ? 0 : mem_usable_size(h->nodes);
}

void time_heap_check(const struct time_heap *h)
{
    ASSERT(h->count <= h->capacity && (h->nodes == NULL) == (h->capacity == 0));
    for (size_t slot = 1; slot < h->count; slot++) ASSERT(h->nodes[(slot - 1) / CHILDREN].at <= h->nodes[slot].at);
}
