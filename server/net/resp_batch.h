/* resp_batch.h -- an arena for the argument vectors of one round of requests.
 *
 *     chunks: newest                        oldest, of ordinary size
 *            [used|used|next ... end] -----> [used ...           ]
 *
 * The batch gives out runs of slots and takes all of them back at once (resp_batch_reset()). One batch serves all
 * connections of a loop.
 * Ownership: the batch owns all slots and bytes that it gives out; they die with the next reset. */
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
void resp_batch_reset(struct resp_batch *b); /* takes everything back; keeps the memory of an ordinary round */

struct bytes_view *resp_batch_grow(struct resp_batch *b, size_t n); /* slow path of resp_batch_reserve() */
/* Returns n free slots; resp_batch_commit() tells how many of them are used. */
static inline struct bytes_view *resp_batch_reserve(struct resp_batch *b, size_t n)
{
    if (LIKELY((size_t)(b->end - b->next) >= n)) return b->next;
    return resp_batch_grow(b, n);
}
static inline void resp_batch_commit(struct resp_batch *b, size_t n)
{
    b->next += n;
}

/* Bytes that live as long as the slots. */
char *resp_batch_bytes(struct resp_batch *b, size_t len);

#endif
