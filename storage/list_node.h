/* list_node.h -- one node of a list, for list.c alone: a listpack with free room at both ends, or one big element.
 *
 *     buf                                        buf + cap
 *      [ room ][header][entry][entry]...[end][ room ]
 *              ^ front
 *
 * A push or pop at the head moves the six bytes of header and nothing else, and what lies from the header to the end
 * mark is at all times a listpack as Redis stores it. Any node may be LZF-compressed instead; it has to be unpacked
 * before anything but its length, count and links is used. Offsets are from the header on: those of entries before a
 * change stay right when it moves the listpack. */
#ifndef LOCKSTEP_STORAGE_LIST_NODE_H
#define LOCKSTEP_STORAGE_LIST_NODE_H

#include "storage/base/bytes.h"
#include "storage/listpack.h"

struct list_node {
    struct list_node *prev, *next;
    unsigned char *buf;
    size_t len;          /* of the listpack or the plain element, unpacked */
    uint32_t front;      /* room before the listpack */
    uint32_t cap;        /* of buf, of a listpack that is not compressed */
    uint32_t lzf_len;    /* not 0: buf holds so many bytes of LZF */
    uint32_t count : 31; /* entries */
    uint32_t plain : 1;  /* buf is one element */
};
_Static_assert(sizeof(struct list_node) == 48, "a size class of its own");

static inline unsigned char *list_node_lp(const struct list_node *n)
{
    return n->buf + n->front;
}
static inline size_t list_node_end(const struct list_node *n)
{
    return n->len - 1;
} /* offset of the end mark */
size_t list_node_memory(const struct list_node *n);

/* These fill a node that holds nothing; links are left alone. */
void list_node_init_packed(struct list_node *n);
void list_node_init_plain(struct list_node *n, struct bytes_view value);
void list_node_init_taking(struct list_node *n, unsigned char *bytes, size_t len, bool plain); /* mem_alloc'ed */
void list_node_init_copy(struct list_node *n, const struct list_node *from);
void list_node_release(struct list_node *n); /* its bytes */

/* The `removed` bytes at an offset, `entries` of them, make place for a new entry (NULL: for none). */
void list_node_splice(struct list_node *n, size_t offset, size_t removed, size_t entries, const struct lp_encoded *e);
/* Moves the entries from an offset on, `entries` of them, to the empty node `right`. */
void list_node_split(struct list_node *n, size_t offset, size_t entries, struct list_node *right);
void list_node_append_all(struct list_node *n, const struct list_node *from); /* both packed and not compressed */
void list_node_trim(struct list_node *n);                                     /* gives back the room */

/* Leaves the node as it is if it is small, or gains little. */
void list_node_compress(struct list_node *n);
void list_node_unpack(struct list_node *n);
unsigned char *list_node_unpacked_copy(const struct list_node *n); /* of a compressed node; mem_free() it */

void list_node_check(const struct list_node *n);

#endif
