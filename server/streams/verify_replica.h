/* verify_replica.h -- compares our data with the checks in our master's stream.
 *
 *     PING "lockstep-check:1 ..." --> same secret? --no--> skipped, and INFO says why
 *                                          | yes
 *                                     digest of the range --equal--> counted
 *                                                         --not----> counted, logged
 *
 * A check is handled where its PING is applied, so all that the master executed before it is applied here, and nothing
 * that came after. The digest is computed at once, whatever it costs: the master has bounded the work.
 *
 * A round counts as verified when the first check of the next one arrives and no check of it was missed or skipped.
 * Not here: the digests (storage/range_digest.h), what puts the checks into the stream (verify_master.h). */
#ifndef LOCKSTEP_SERVER_STREAMS_VERIFY_REPLICA_H
#define LOCKSTEP_SERVER_STREAMS_VERIFY_REPLICA_H

#include "storage/base/bytes.h"

struct core;
struct repair_replica; /* repair_replica.h */
struct verify_replica; /* opaque */

/* `repair` gets to know what differs, and the other texts of the master. */
struct verify_replica *verify_replica_new(struct core *core, struct repair_replica *repair);
void verify_replica_free(struct verify_replica *vr);
/* Our master's stream held PING with this argument. Anything but a check is passed to `repair`. `ctx` is a
 * struct verify_replica: the function is core.master_ping. */
void verify_replica_on_ping(void *ctx, struct bytes_view argument);
/* The data set was replaced by a snapshot of our master: the round under way has missed checks. */
void verify_replica_replaced(struct verify_replica *vr);

enum { VERIFY_RANGE_SHOWN = 160 };

struct verify_replica_info {
    const char *state;       /* none, verifying, writable, evicting, secret-unknown, other-secret, malformed */
    uint64_t checks;         /* compared */
    uint64_t skipped;        /* not compared; `state` says why the last one was not */
    uint64_t mismatches;     /* compared, and different */
    uint64_t rounds;         /* rounds of which every check was compared */
    int64_t verified_ms;     /* since the begin of the last such round: everything was compared later; -1: never */
    int64_t mismatch_offset; /* position in the stream of the last mismatch; -1: none */
    char mismatch_range[VERIFY_RANGE_SHOWN * 4 + 4]; /* its range, quoted; "" */
    uint64_t cost_us;                                /* time spent on all checks */
    uint64_t check_max_us;                           /* the longest */
};
void verify_replica_describe(const struct verify_replica *vr, struct verify_replica_info *out);

#endif
