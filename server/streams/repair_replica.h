/* repair_replica.h -- asks our master for ranges in which our data differ, and puts what it sends in their place.
 *
 *     mismatch --> queue --> asked --(unit of repair_master.h)--> equal now: mended
 *        ^                                                  `---> still different, or no answer: the next check of the
 *        `------------------------------------------------------  range asks again; three times: full synchronization
 *
 * Failures of all ranges of a value are counted together, since its ranges may have other bounds in each round.
 * One range is asked for at a time. Nothing is asked for, and nothing is deleted, unless replica-verify-repair is on.
 * A range of keys is emptied before the master's keys are restored, except for big values: those stay, get the length
 * and the expiry of the master's, and their parts are repaired as ranges of their own. A big value that the master lacks
 * is deleted at the end of the unit. */
#ifndef LOCKSTEP_SERVER_STREAMS_REPAIR_REPLICA_H
#define LOCKSTEP_SERVER_STREAMS_REPAIR_REPLICA_H

#include "storage/range.h"

struct core;
struct repair_replica; /* opaque */

struct repair_replica *repair_replica_new(struct core *core);
void repair_replica_free(struct repair_replica *rr);
/* A check has shown that our data differ in this range. */
void repair_replica_wanted(struct repair_replica *rr, const struct range *range);
/* The argument of a PING in our master's stream that is no check. Ignored if it is not meant for this module. */
void repair_replica_on_ping(struct repair_replica *rr, struct bytes_view argument);
/* The contents of a unit have been applied: deletes what the master did not name. To be called before the digest. */
void repair_replica_finish(struct repair_replica *rr);
/* The unit that mends this range has been applied, and this is how the digests compare. */
void repair_replica_judge(struct repair_replica *rr, const struct range *range, bool equal);
/* To be called now and then while checks arrive: gives up a request without an answer. */
void repair_replica_check_time(struct repair_replica *rr);
/* The data set was replaced: nothing is wanted any more. */
void repair_replica_replaced(struct repair_replica *rr);

struct repair_replica_info {
    uint64_t asked, mended,
        failed;          /* requests; units after which a range was equal; ... or not, or that did not come */
    uint64_t full_syncs; /* after three failures of a range */
};
void repair_replica_describe(const struct repair_replica *rr, struct repair_replica_info *out);

#endif
