/* resp_batch.h -- where the argument vectors of a round of requests live.
 * A batch hands out runs of slots and takes them all back at once. One batch serves all connections of a loop. */
#ifndef LOCKSTEP_SERVER_NET_RESP_BATCH_H
#define LOCKSTEP_SERVER_NET_RESP_BATCH_H

#include <stddef.h>

#include "storage/base/bytes.h"

/* Fields are private, except through the inline functions below. */
struct resp_batch {
    struct bytes_view *next, *end; /* free slots of the newest chunk */
    struct resp_batch_chunk *chunks;
};

void resp_batch_init(struct resp_batch *b);
void resp_batch_release(struct resp_batch *b);
void resp_batch_reset(struct resp_batch *b); /* everything handed out dies; the memory of an ordinary round is kept */

struct bytes_view *resp_batch_grow(struct resp_batch *b, size_t n); /* slow path of resp_batch_reserve() */
/* Room for n slots; resp_batch_commit() keeps the first few of them. */
static inline struct bytes_view *resp_batch_reserve(struct resp_batch *b, size_t n)
{
    if (LIKELY((size_t)(b->end - b->next) >= n)) return b->next;
    return resp_batch_grow(b, n);
}
static inline void resp_batch_commit(struct resp_batch *b, size_t n)
{
    b->next += n;
}

/* Bytes that live as long as the vectors. */
char *resp_batch_bytes(struct resp_batch *b, size_t len);

#endif
