/* range_walk.h -- a walk over a whole data set in small ranges, each with its digest, while the data change.
 *
 *      functions, then per database: range of keys, [ranges of each big value found in it], range of keys, ... end
 *
 * A range takes at most the given work. If it would take more, the walk tries a smaller one in the next step; if it
 * takes much less, the ranges become larger again. Small neighbouring databases share one range.
 *
 * Guarantees, however keys come and go between the steps: a key that is there during the whole walk is in exactly one
 * range of keys, and a member that is there during the whole walk is in exactly one range of members. A list whose
 * elements move is covered as it is at each step.
 *
 * A big value whose key is longer than RANGE_KEY_MAX has no ranges of its own: they could not be named. */
#ifndef LOCKSTEP_STORAGE_RANGE_WALK_H
#define LOCKSTEP_STORAGE_RANGE_WALK_H

#include "storage/range_digest.h"

struct range_walk; /* opaque */

enum range_step {
    RANGE_STEP_DONE,  /* *r and *result are set; r->key is valid until the next step */
    RANGE_STEP_AGAIN, /* the range was too large: nothing but work, in result->work */
    RANGE_STEP_END,   /* the walk is over */
};

struct range_walk *range_walk_new(void);
void range_walk_free(struct range_walk *w);
void range_walk_start(struct range_walk *w); /* from the beginning */
enum range_step range_walk_step(struct range_walk *w, struct keyspace *ks, uint64_t work_max, struct range *r,
                                struct range_result *result);
/* How many keys the walk has passed, big values with all their elements included. */
uint64_t range_walk_keys(const struct range_walk *w);
uint64_t range_walk_unnamed(const struct range_walk *w); /* big values in this walk whose keys are too long */

#endif
