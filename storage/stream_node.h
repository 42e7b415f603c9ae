/* stream_node.h -- the listpack format of stream entries, byte for byte as in RDB files, for stream*.c only.
 *
 *      master entry:  count | deleted | n | field * n | 0
 *      entry:         flags | ms | seq | value * n                      | size      with STREAM_ENTRY_SAME_FIELDS
 *                     flags | ms | seq | n | (field | value) * n        | size
 *
 * `count` is the number of live entries, `deleted` that of marked ones. The master entry has the fields of the first
 * entry, which many others share. ms and seq are added, modulo 2^64, to the id of the node in the index. `size` is
 * the number of elements of the entry before it, for walking backwards.
 *
 * Invariants of our nodes:
 * 1. At least one entry is live.
 * 2. Ids of live entries ascend and are not below the node's id. Ids of deleted entries may be greater than later
 *    ones, after XSETID to a lower id.
 *
 * Redis guarantees less for its nodes: see stream_load.c. */
#ifndef LOCKSTEP_STORAGE_STREAM_NODE_H
#define LOCKSTEP_STORAGE_STREAM_NODE_H

#include "storage/listpack.h"
#include "storage/stream_id.h"

enum { STREAM_ENTRY_DELETED = 1, STREAM_ENTRY_SAME_FIELDS = 2 };

/* An entry, parsed up to its pairs. */
struct stream_entry {
    struct stream_id id;
    const unsigned char *at;    /* its flags */
    const unsigned char *pairs; /* the first field; with same_fields the first value */
    size_t fields;
    bool deleted, same_fields;
};

struct stream_master {
    struct stream_id id;
    size_t count, deleted;
    size_t fields;
    const unsigned char *first_field;
    const unsigned char *end; /* the first entry */
};

/* Sets *bound to the most bytes that an entry with these pairs can take, with its master entry. False: more than a
 * node can hold. */
bool stream_node_bound(const struct bytes_view *pairs, size_t fields, size_t *bound);
/* Makes a node with its first entry, whose id is the node's. */
unsigned char *stream_node_new(const struct bytes_view *pairs, size_t fields, size_t bound);
/* The bound must be lp_safe_to_add(). A growing node gets room in advance, up to `room` bytes without much waste. */
unsigned char *stream_node_append(unsigned char *lp, struct stream_id master, struct stream_id id,
                                  const struct bytes_view *pairs, size_t fields, size_t bound, size_t room);

void stream_node_master(const unsigned char *lp, struct stream_id id, struct stream_master *m);
size_t stream_node_total(const unsigned char *lp); /* live and deleted entries */
/* Read the entry at p, or the one that ends before p. p is m->end, the end of an entry, or stream_node_end(). False:
 * there is none. */
bool stream_node_next(const struct stream_master *m, const unsigned char *p, struct stream_entry *e);
bool stream_node_prev(const unsigned char *lp, const struct stream_master *m, const unsigned char *p,
                      struct stream_entry *e);
const unsigned char *stream_node_end(const unsigned char *lp);
/* Skips n elements. */
const unsigned char *stream_node_skip(const unsigned char *p, size_t n);
/* Skips the rest of an entry: its pairs are read up to p, and `left` pairs follow. */
const unsigned char *stream_node_leave(const struct stream_entry *e, const unsigned char *p, size_t left);

/* Marks an entry as deleted. The caller updates the counts with stream_node_set_counts(), which may move the node. */
void stream_node_mark(const struct stream_entry *e);
unsigned char *stream_node_set_counts(unsigned char *lp, size_t count, size_t deleted);

struct stream_node_facts {
    size_t live, deleted;         /* numbers of entries by their flags; the master entry may say otherwise */
    struct stream_id first, last; /* first and last live id in node order; zeros if there is none */
    struct stream_id greatest;    /* greatest live id */
    bool ordered;                 /* live ids ascend, beginning at the node's id or above */
    bool counted;                 /* the master entry has the right counts */
    bool oversized;               /* too large for its counts to grow within the limit of a listpack */
};
/* Validates that the bytes are a master entry and entries, with any ids. NULL, or what is wrong. */
const char *stream_node_validate(struct bytes_view bytes, struct stream_id master, struct stream_node_facts *facts);

#endif
