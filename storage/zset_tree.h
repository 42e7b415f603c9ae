/* zset_tree.h -- the order of a sorted set's members: a counted B+tree over their allocations.
 *
 *      inner:  [ child | sep | child | sep | child ]   with the number of members of each child, for ranks in O(log n)
 *      leaf:   [ heads: 4 bytes of each key ][ members: 48-bit pointers ]  <-> next leaf
 *
 * For zset.c only.
 * A key is the eight bytes of the score, encoded so that memcmp() orders them, followed by the bytes of the member.
 * So one order covers scores and ties. A head is four bytes of a key (eight in an inner node) at the offset `skip`;
 * up to that offset all keys that can reach the node are equal. Heads decide nearly every comparison without reading
 * the members, which are scattered in memory. Only equal heads need the members. This holds for a million members
 * with score 0 as well as for random scores.
 *
 * Invariants (zset_tree_check()):
 * 1. seps[i] of an inner node is the least member below children[i + 1], by address.
 * 2. skip of a leaf is at most the common prefix of its least key and the least key of the next leaf. It is 0 in the
 *    first and the last leaf, which any key can reach.
 * 3. skip of an inner node is at most the common prefix of its separators; a search compares that prefix with the
 *    first of them.
 * 4. All leaves have the same depth. Leaves other than the root, the first and the last hold LEAF_MIN to LEAF_CAP
 *    members.
 *
 * Ownership: the tree owns its nodes, the caller owns the members.
 * Validity: a position is valid until the tree changes. */
#ifndef LOCKSTEP_STORAGE_ZSET_TREE_H
#define LOCKSTEP_STORAGE_ZSET_TREE_H

#include "storage/base/bytes.h"

/* A member: 9 bytes and its own bytes. */
struct zset_member {
    double score;
    uint8_t len; /* 255: a uint32_t with the length follows */
    char rest[];
} __attribute__((packed));
_Static_assert(sizeof(struct zset_member) == 9, "20 bytes of member fit in 32");

enum { ZSET_MEMBER_LONG = 255 };

struct zset_member *zset_member_new(struct bytes_view bytes, double score);
void zset_member_free(struct zset_member *m);
size_t zset_member_size(const struct zset_member *m); /* size requested from the allocator */

static inline struct bytes_view zset_member_bytes(const struct zset_member *m)
{
    if (LIKELY(m->len != ZSET_MEMBER_LONG)) return bytes_view(m->rest, m->len);
    uint32_t len;
    memcpy(&len, m->rest, sizeof(len));
    return bytes_view(m->rest + sizeof(len), len);
}

/* Maps scores to unsigned numbers in the same order; -0 and 0 are equal. */
static inline uint64_t zset_score_bits(double score)
{
    uint64_t bits;
    if (score == 0) score = 0;
    memcpy(&bits, &score, sizeof(bits));
    return bits >> 63 ? ~bits : bits | (uint64_t)1 << 63;
}

struct zset_key {
    uint64_t bits; /* zset_score_bits() */
    struct bytes_view member;
};

struct zset_tree {
    void *root; /* a leaf if height is 0; NULL while empty */
    unsigned height;
    size_t count;
    size_t leaves, inners; /* number of nodes */
    struct zset_leaf *first, *last;
};

struct zset_pos {
    struct zset_leaf *leaf; /* NULL: no position */
    unsigned slot;
};

void zset_tree_init(struct zset_tree *t);
void zset_tree_release(struct zset_tree *t); /* frees the nodes; the tree is empty and usable afterwards */
size_t zset_tree_memory(const struct zset_tree *t);

/* `m` must not be in a tree, and the tree must have no equal key. */
void zset_tree_insert(struct zset_tree *t, struct zset_member *m);
void zset_tree_remove(struct zset_tree *t, struct zset_member *m);
/* Changes the score of a member in the tree, in place if its position stays. */
void zset_tree_update(struct zset_tree *t, struct zset_member *m, double score);
/* Removes members from a rank on: up to `max`, and no more than its leaf holds. Passes each to fn. Returns how many. */
size_t zset_tree_remove_run(struct zset_tree *t, size_t rank, size_t max, void (*fn)(void *ctx, struct zset_member *m),
                            void *ctx);

/* The number of members below the key (with `after_equal`: up to it). */
size_t zset_tree_rank(const struct zset_tree *t, const struct zset_key *key, bool after_equal);
struct zset_pos zset_tree_first(const struct zset_tree *t);
struct zset_pos zset_tree_at(const struct zset_tree *t, size_t rank); /* rank < count */
struct zset_member *zset_tree_get(struct zset_pos pos);
/* Move to the neighbour; leaf is NULL past either end. */
void zset_tree_next(struct zset_pos *pos);
void zset_tree_prev(struct zset_pos *pos);

void zset_tree_check(const struct zset_tree *t);

#endif
