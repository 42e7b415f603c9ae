/* list.h -- the list type: a sequence of strings.
 *
 *      small        listpack    one packed node
 *      otherwise    quicklist   a chain of nodes: listpacks, and elements too big for one
 *
 * A list is a listpack while it fits list_max_listpack_size. Inner nodes of a quicklist are LZF-compressed if
 * list_compress_depth says so. As in Redis 7.2, a quicklist converts back to a listpack when it has shrunk to one
 * node of at most half the limit.
 *
 * Indexes: 0 is the head, -1 the tail.
 * Validity: views are valid until the list changes, and no longer than the number_text or iterator; a view from
 * list_get() until the next list_get(). A value passed in must not be a view into the same list. */
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
/* Returns the element at one end and leaves it in the list; false if the list is empty. list_drop() removes it. */
bool list_peek(const struct list *l, enum list_end end, struct number_text *buf, struct bytes_view *value);
void list_drop(struct list *l, enum list_end end);

bool list_get(const struct list *l, int64_t index, struct number_text *buf, struct bytes_view *value);
bool list_set(struct list *l, int64_t index, struct bytes_view value); /* false: no such index */
/* LINSERT. False: the pivot was not found. */
bool list_insert(struct list *l, struct bytes_view pivot, bool before, struct bytes_view value);
/* LREM: removes up to |count| equal elements from the head (count > 0) or the tail (< 0), or all (0). Returns how
 * many. */
size_t list_remove(struct list *l, int64_t count, struct bytes_view value);
/* Removes `count` elements from index `start` (>= 0) on. */
void list_remove_range(struct list *l, size_t start, size_t count);

struct list_iter { /* the list must not change meanwhile */
    const struct list *list;
    struct list_node *node;
    unsigned char *lp, *element;
    unsigned char *unpacked; /* copy of a compressed node, owned by the iterator */
    bool reverse;
    struct number_text buf;
};
void list_iter_init(struct list_iter *it, const struct list *l, int64_t index, bool reverse);
bool list_iter_next(struct list_iter *it, struct bytes_view *value);
void list_iter_release(struct list_iter *it);

/* For RDB. Iterates over the nodes from head to tail: *bytes is the listpack of a packed node, or one big element if
 * *plain. A compressed node is decompressed into *owned, which the caller frees. False: the end. */
struct list_walk {
    const struct list *list;
    struct list_node *node;
};
void list_walk_init(struct list_walk *w, const struct list *l);
bool list_walk_next(struct list_walk *w, struct bytes_view *bytes, bool *plain, unsigned char **owned);
size_t list_nodes(const struct list *l);
/* Appends a node at the tail: a validated listpack or a plain element (from mem_alloc(); ownership passes). After
 * the last one, list_finish_load() chooses the encoding. */
void list_append_node(struct list *l, unsigned char *bytes, size_t len, bool plain);
void list_finish_load(struct list *l);
void list_check(const struct list *l);

#endif
