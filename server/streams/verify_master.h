/* verify_master.h -- puts checks of the data set into the stream, so that replicas can compare theirs.
 *
 *     round:  | functions | keys | keys | elements of a big list ... | keys |     rest of the period     | next round
 *             0 s                                                                              replica-verify-period
 *
 * A step of storage/range_walk.h computes the digest of one range, between two units of the stream, and the check
 * (verify_check.h) is fed right behind: so it speaks of the data set at that position. Steps are spread over the period
 * in proportion to their work, which the last round has measured. A step takes at most about 0.3 ms; after it the
 * checker rests at least nine times as long, even if the round then takes longer than the period.
 *
 * Nothing is computed unless replica-verify is on, this is a master, and a replica that announced the capability is
 * attached; nor with rdb-version 9, by which replicas lose properties of streams; nor while writes are paused (the offset must not move then) or a data set is loaded.
 * Not here: what a replica does with a check (verify_replica.h). */
#ifndef LOCKSTEP_SERVER_STREAMS_VERIFY_MASTER_H
#define LOCKSTEP_SERVER_STREAMS_VERIFY_MASTER_H

#include <stdbool.h>
#include <stdint.h>

struct core;
struct repair_master; /* repair_master.h */
struct verify_master; /* opaque */

/* `repair` gets to know each range that is checked. */
struct verify_master *verify_master_new(struct core *core, struct repair_master *repair);
void verify_master_free(struct verify_master *vm);
void verify_master_settings_changed(struct verify_master *vm); /* replica-verify or its period */

struct verify_master_info {
    const char *state;       /* off, replica, rdb-version, no-replica, waiting, running */
    uint64_t checks_sent;    /* since the start of the server */
    uint64_t rounds;         /* complete ones */
    int64_t last_round_ms;   /* how long the last complete round took; -1: there was none */
    int64_t round_age_ms;    /* since the present round began; -1: none runs */
    uint64_t cost_us;        /* time spent on all checks */
    uint64_t check_max_us;   /* the longest step */
    uint64_t unnamed_values; /* in the last complete round: big values whose keys are too long to be named */
};
void verify_master_describe(const struct verify_master *vm, struct verify_master_info *out);

#endif
