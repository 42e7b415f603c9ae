/* list_node.h -- a node of a list: a listpack with spare room at both ends, or one big element.
 *
 *      buf                                        buf + cap
 *       [ room ][header][entry][entry]...[end][ room ]
 *               ^ front
 *
 * For list.c only.
 * A push or pop at the head moves only the six bytes of the header. From the header to the end mark the bytes are
 * always a listpack as Redis stores it. A node may be LZF-compressed instead. It must then be unpacked before
 * anything but its length, count and links is used.
 * Offsets count from the header, so offsets of entries before a change stay valid when the change moves the
 * listpack. */
#ifndef LOCKSTEP_STORAGE_LIST_NODE_H
#define LOCKSTEP_STORAGE_LIST_NODE_H

#include "storage/base/bytes.h"
#include "storage/listpack.h"

struct list_node {
    struct list_node *prev, *next;
    unsigned char *buf;
    size_t len;          /* of the listpack or the plain element, uncompressed */
    uint32_t front;      /* spare bytes before the listpack */
    uint32_t cap;        /* size of buf, of a listpack that is not compressed */
    uint32_t lzf_len;    /* nonzero: buf holds that many bytes of LZF */
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

/* Fill a node that holds nothing. They leave the links alone. */
void list_node_init_packed(struct list_node *n);
void list_node_init_plain(struct list_node *n, struct bytes_view value);
void list_node_init_taking(struct list_node *n, unsigned char *bytes, size_t len, bool plain); /* takes ownership;
                                                                                                * from mem_alloc() */
void list_node_init_copy(struct list_node *n, const struct list_node *from);
void list_node_release(struct list_node *n); /* frees its bytes */

/* Replaces `removed` bytes (`entries` entries) at an offset by a new entry (NULL: by nothing). */
void list_node_splice(struct list_node *n, size_t offset, size_t removed, size_t entries, const struct lp_encoded *e);
/* Moves the entries from an offset on (`entries` of them) to the empty node `right`. */
void list_node_split(struct list_node *n, size_t offset, size_t entries, struct list_node *right);
void list_node_append_all(struct list_node *n, const struct list_node *from); /* both packed and not compressed */
void list_node_trim(struct list_node *n);                                     /* releases the spare room */

/* Leaves the node uncompressed if it is small or compression saves little. */
void list_node_compress(struct list_node *n);
void list_node_unpack(struct list_node *n);
unsigned char *list_node_unpacked_copy(const struct list_node *n); /* of a compressed node; free it with mem_free() */

void list_node_check(const struct list_node *n);

#endif
