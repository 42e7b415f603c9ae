/* repair_master.h -- sends a range of the data into the stream, for a replica that has found a difference in it.
 *
 *     replica: REPLCONF lockstep-repair "<fingerprint> <range>"
 *     stream:  MULTI
 *              PING "lockstep-drop:1 <fingerprint> <range>"            a replica of ours deletes the range
 *              RESTORE key ... | SADD key ... | LSET key ... | ...     its contents; any replica can run these
 *              PING "lockstep-big:1 <fingerprint> ... <key>"           outline of a big value: a replica of ours makes
 *                                                                      a list or string as long as ours
 *              PING "lockstep-check:1 <fingerprint> 0 <count> <digest> <range>"
 *              EXEC
 *
 * The unit stands at one position of the stream, so that what a replica has afterwards is what we have there. It
 * changes nothing for a replica whose data were right.
 *
 * Bounds: only ranges are sent that were checked recently; at most REPAIR_BYTES_MAX bytes a unit; after a unit, a rest
 * of nine times its cost, and so long that no more than ten MB a second are sent; at most 64 requests wait, 8 of
 * one replica, and replicas take turns. A range that is too large is not sent: the replica gives up after some time.
 * On a replica, requests of its own replicas are passed on to its master. */
#ifndef LOCKSTEP_SERVER_STREAMS_REPAIR_MASTER_H
#define LOCKSTEP_SERVER_STREAMS_REPAIR_MASTER_H

#include "storage/range.h"

enum { REPAIR_BYTES_MAX = 16 << 20 };

struct core;
struct repair_master; /* opaque */

struct repair_master *repair_master_new(struct core *core);
void repair_master_free(struct repair_master *rm);
/* A check of this range has just been fed: it may be asked for now. */
void repair_master_note_check(struct repair_master *rm, const struct range *range);
/* A replica asks. Anything that is not allowed is ignored. `from` tells replicas apart, and is only compared. */
void repair_master_asked(struct repair_master *rm, const void *from, struct bytes_view request);

struct repair_master_info {
    uint64_t sent;    /* units */
    uint64_t refused; /* requests that were malformed, of unknown ranges, or too many */
    uint64_t too_big; /* ranges above REPAIR_BYTES_MAX */
};
void repair_master_describe(const struct repair_master *rm, struct repair_master_info *out);

#endif
