/* stream_node.h -- entries of a stream in a listpack, for stream*.c alone; byte for byte as Redis's RDB files have it.
 *
 *     master entry:  count | deleted | n | field * n | 0
 *     entry:         flags | ms | seq | value * n                      | size      with STREAM_ENTRY_SAME_FIELDS
 *                    flags | ms | seq | n | (field | value) * n        | size
 *
 * `count` entries live, `deleted` ones are marked. The fields of the master entry are those of the first entry, that
 * many others share. ms and seq are added to the id that the node has in the index, modulo 2^64. `size` is the number
 * of elements of its entry before it, so that entries can be walked backwards.
 *
 * In a node of ours at least one entry lives, and ids of live entries ascend and are not below the node's. Those of
 * deleted ones need not: after an XSETID to a lower id, new entries come behind tombstones with greater ids. Nodes of
 * real Redis keep less than that: see stream_load.c. */
#ifndef LOCKSTEP_STORAGE_STREAM_NODE_H
#define LOCKSTEP_STORAGE_STREAM_NODE_H

#include "storage/listpack.h"
#include "storage/stream_id.h"

enum { STREAM_ENTRY_DELETED = 1, STREAM_ENTRY_SAME_FIELDS = 2 };

/* An entry, read as far as its fields. */
struct stream_entry {
    struct stream_id id;
    const unsigned char *at;    /* its flags */
    const unsigned char *pairs; /* the first field, or with same_fields the first value */
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

/* Most bytes that an entry of these pairs takes, a master entry before it included. False: more than any node may
 * have. */
bool stream_node_bound(const struct bytes_view *pairs, size_t fields, size_t *bound);
/* A node with its first entry, whose id is the node's. */
unsigned char *stream_node_new(const struct bytes_view *pairs, size_t fields, size_t bound);
/* The bound must be lp_safe_to_add(). A node that grows gets room ahead, without much waste up to `room` bytes. */
unsigned char *stream_node_append(unsigned char *lp, struct stream_id master, struct stream_id id,
                                  const struct bytes_view *pairs, size_t fields, size_t bound, size_t room);

void stream_node_master(const unsigned char *lp, struct stream_id id, struct stream_master *m);
size_t stream_node_live(const unsigned char *lp);  /* entries that are not deleted */
size_t stream_node_total(const unsigned char *lp); /* with the deleted ones */
/* The entry at p, or the one that ends before it. p is the first entry's place, one behind an entry, or the end's.
 * False: there is none. */
bool stream_node_next(const struct stream_master *m, const unsigned char *p, struct stream_entry *e);
bool stream_node_prev(const unsigned char *lp, const struct stream_master *m, const unsigned char *p,
                      struct stream_entry *e);
const unsigned char *stream_node_end(const unsigned char *lp);
/* Past `n` elements. */
const unsigned char *stream_node_skip(const unsigned char *p, size_t n);
/* Past an entry, whose pairs are read up to p with `left` of them to come. */
const unsigned char *stream_node_leave(const struct stream_entry *e, const unsigned char *p, size_t left);

/* Marks an entry; the counts are written by stream_node_set_counts(), which may move the node. */
void stream_node_mark(const struct stream_entry *e);
unsigned char *stream_node_set_counts(unsigned char *lp, size_t count, size_t deleted);

struct stream_node_facts {
    size_t live, deleted;         /* entries, by their flags; the master entry's own counts may be others */
    struct stream_id first, last; /* ids of live entries in their order in the node; zeros if there are none */
    struct stream_id greatest;    /* of the live ones */
    bool ordered;                 /* the live ids ascend from the node's on */
    bool counted;                 /* the master entry says `live` and `deleted` */
    bool oversized;               /* too large for its counts to grow within the limits of a listpack */
};
/* Whether these bytes are entries of a stream behind a master entry, whatever their ids are. NULL, or what is wrong. */
const char *stream_node_validate(struct bytes_view bytes, struct stream_id master, struct stream_node_facts *facts);

#endif
