/* list.h -- a sequence of strings. One listpack while it fits list_max_listpack_size, else ("quicklist") a chain of
 * listpacks and of elements too big for one, the middle ones LZF-compressed if list_compress_depth says so. Converts
 * back to one listpack as Redis 7.2 does when a quicklist has shrunk to one node of at most half the limit.
 *
 * Indexes: 0 is the head, -1 the tail. Views live until the next change (one from list_get(): or the next list_get()),
 * or as long as the number_text or iterator. What is pushed or set must not be a view into the same list. */
#ifndef LOCKSTEP_STORAGE_LIST_H
#define LOCKSTEP_STORAGE_LIST_H

#include "storage/value.h"

struct list;      /* opaque */
struct list_node; /* a node of the chain, opaque */

enum list_end { LIST_HEAD, LIST_TAIL };

struct list *list_new(const struct value_env *env);
void list_free(struct list *l);
struct list *list_dup(const struct list *l);
size_t list_count(const struct list *l);
enum value_encoding list_encoding(const struct list *l);
size_t list_memory(const struct list *l, size_t samples);
size_t list_free_effort(const struct list *l);

void list_push(struct list *l, enum list_end end, struct bytes_view value);
/* The element at one end, without taking it; false if empty. list_drop() then removes it. */
bool list_peek(const struct list *l, enum list_end end, struct number_text *buf, struct bytes_view *value);
void list_drop(struct list *l, enum list_end end);

bool list_get(const struct list *l, int64_t index, struct number_text *buf, struct bytes_view *value);
bool list_set(struct list *l, int64_t index, struct bytes_view value); /* false: no such index */
/* LINSERT: false if the pivot is not there. */
bool list_insert(struct list *l, struct bytes_view pivot, bool before, struct bytes_view value);
/* LREM: removes up to |count| equal elements from the head (count > 0), the tail (< 0), or all (0). How many went. */
size_t list_remove(struct list *l, int64_t count, struct bytes_view value);
/* Removes `count` elements from index `start` (>= 0). */
void list_remove_range(struct list *l, size_t start, size_t count);

struct list_iter { /* no change of the list meanwhile */
    const struct list *list;
    struct list_node *node;
    unsigned char *lp, *element;
    unsigned char *unpacked; /* a compressed node's copy, owned by the iterator */
    bool reverse;
    struct number_text buf;
};
void list_iter_init(struct list_iter *it, const struct list *l, int64_t index, bool reverse);
bool list_iter_next(struct list_iter *it, struct bytes_view *value);
void list_iter_release(struct list_iter *it);

/* For the file codec. Nodes head to tail: the listpack of a packed node (decompressed into *owned if need be: free it),
 * or the bytes of one big element when *plain. Returns false past the end. */
struct list_walk {
    const struct list *list;
    struct list_node *node;
};
void list_walk_init(struct list_walk *w, const struct list *l);
bool list_walk_next(struct list_walk *w, struct bytes_view *bytes, bool *plain, unsigned char **owned);
size_t list_nodes(const struct list *l);
/* Appends a validated listpack or plain element (mem_alloc'ed, taken) as a node at the tail; list_finish_load() settles
 * the encoding once all are in. */
void list_append_node(struct list *l, unsigned char *bytes, size_t len, bool plain);
void list_finish_load(struct list *l);
void list_check(const struct list *l);

#endif
