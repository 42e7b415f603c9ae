/* stream_index.h -- what streams keep in order: a B+tree from a key of 16 bytes to a pointer, for stream*.c alone.
 *
 *     inner:  [ children | for each child its least key ]
 *     leaf:   [ keys | pointers ]  <-> neighbours
 *
 * The key is a stream id (nodes of entries by their first id, pending entries by theirs) or a view of a name that lies
 * in what the pointer leads to (groups, consumers). Keys mostly come in ascending order, so a leaf that overflows at
 * its end stays full and a new one begins. While there is but one leaf it is only as large as it has to be.
 *
 * Invariants (stream_index_check()): keys ascend, without duplicates; all leaves have the same depth; no node is empty;
 * the key beside a child is the least key below it (a view of a name must not outlive the name).
 * Ownership: nodes are the index's, what pointers lead to (names included) the caller's. An index may be moved.
 * Validity: a position dies with the next insert or removal; `changes` tells whether there was one. */
#ifndef LOCKSTEP_STORAGE_STREAM_INDEX_H
#define LOCKSTEP_STORAGE_STREAM_INDEX_H

#include "storage/base/bytes.h"
#include "storage/stream_id.h"

struct stream_key { /* which of them: the index says */
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
    uint32_t changes; /* inserts and removals so far */
    uint32_t nodes;   /* leaves and inner nodes */
};
_Static_assert(sizeof(struct stream_index) == 24, "one for each consumer");

struct stream_pos {
    struct stream_leaf *leaf; /* NULL: none */
    unsigned slot;
};

void stream_index_init(struct stream_index *x, bool by_name);
void stream_index_release(struct stream_index *x, void (*free_value)(void *value)); /* NULL: they stay */
size_t stream_index_memory(const struct stream_index *x);

void *stream_index_find(const struct stream_index *x, struct stream_key key); /* NULL: not there */
/* The key must not be there. */
struct stream_pos stream_index_insert(struct stream_index *x, struct stream_key key, void *value);
void *stream_index_remove(struct stream_index *x, struct stream_key key); /* its value, or NULL: not there */

struct stream_pos stream_index_first(const struct stream_index *x);
struct stream_pos stream_index_last(const struct stream_index *x);
struct stream_pos stream_leaf_last(struct stream_leaf *leaf); /* none if the leaf is NULL */
/* The least key that is not below / the greatest that is not above. */
struct stream_pos stream_index_ceiling(const struct stream_index *x, struct stream_key key);
struct stream_pos stream_index_floor(const struct stream_index *x, struct stream_key key);
void stream_pos_next(struct stream_pos *pos);
void stream_pos_prev(struct stream_pos *pos);
struct stream_key stream_pos_key(struct stream_pos pos);
void *stream_pos_value(struct stream_pos pos);
void stream_pos_set_value(struct stream_pos pos, void *value);

void stream_index_check(const struct stream_index *x);

#endif
