/* stream_index.h -- the ordered map under streams: a B+tree from a 16-byte key to a pointer.
 *
 *      inner:  [ children | for each child its least key ]
 *      leaf:   [ keys | pointers ]  <-> neighbours
 *
 * For stream*.c only.
 * The key is a stream id (of a node's first entry, of a pending entry) or a view of a name that lies in the object
 * the pointer leads to (group, consumer). Keys mostly arrive in ascending order, so a leaf that overflows at its end
 * stays full and a new leaf begins. While there is only one leaf, it is allocated as small as possible.
 *
 * Invariants (stream_index_check()):
 * 1. Keys ascend, without duplicates.
 * 2. All leaves have the same depth; no node is empty.
 * 3. The key beside a child is the least key below it. So no view of a name outlives the name.
 *
 * Ownership: the index owns its nodes; the caller owns what pointers lead to, names included. The struct may be
 * moved.
 * Validity: a position is valid until the next insert or removal; `changes` tells whether there was one. */
#ifndef LOCKSTEP_STORAGE_STREAM_INDEX_H
#define LOCKSTEP_STORAGE_STREAM_INDEX_H

#include "storage/base/bytes.h"
#include "storage/stream_id.h"

struct stream_key { /* by_name of the index selects the member */
    union {
        struct stream_id id;
        struct bytes_view name;
    };
};

static inline struct stream_key stream_key_id(struct stream_id id)
{
    return (struct stream_key){.id = id};
}
static inline struct stream_key stream_key_name(struct bytes_view name)
{
    return (struct stream_key){.name = name};
}

struct stream_index {
    void *root; /* a leaf if height is 0; NULL while empty */
    uint64_t count : 56;
    uint64_t by_name : 1;
    uint64_t height : 7;
    uint32_t changes; /* number of inserts and removals so far */
    uint32_t nodes;   /* leaves and inner nodes */
};
_Static_assert(sizeof(struct stream_index) == 24, "one for each consumer");

struct stream_pos {
    struct stream_leaf *leaf; /* NULL: no position */
    unsigned slot;
};

void stream_index_init(struct stream_index *x, bool by_name);
void stream_index_release(struct stream_index *x, void (*free_value)(void *value)); /* NULL: values are not freed */
size_t stream_index_memory(const struct stream_index *x);

void *stream_index_find(const struct stream_index *x, struct stream_key key); /* NULL: not found */
/* The key must not be in the index. */
struct stream_pos stream_index_insert(struct stream_index *x, struct stream_key key, void *value);
void *stream_index_remove(struct stream_index *x, struct stream_key key); /* returns the value; NULL: not found */

struct stream_pos stream_index_first(const struct stream_index *x);
struct stream_pos stream_index_last(const struct stream_index *x);
struct stream_pos stream_leaf_last(struct stream_leaf *leaf); /* no position if the leaf is NULL */
/* Ceiling: the least key >= the given one. Floor: the greatest key <= it. */
struct stream_pos stream_index_ceiling(const struct stream_index *x, struct stream_key key);
struct stream_pos stream_index_floor(const struct stream_index *x, struct stream_key key);
void stream_pos_next(struct stream_pos *pos);
void stream_pos_prev(struct stream_pos *pos);
struct stream_key stream_pos_key(struct stream_pos pos);
void *stream_pos_value(struct stream_pos pos);
void stream_pos_set_value(struct stream_pos pos, void *value);

void stream_index_check(const struct stream_index *x);

#endif
