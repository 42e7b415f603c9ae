/* verify_check.h -- one check of a replica's data, as the argument of a PING in the stream.
 *
 *     PING "lockstep-check:1 <fingerprint> <round> <count> <digest> <range>"
 *
 * says: at this position of the stream, this range (storage/range.h) of the master's data has so many keys or elements
 * and this digest (storage/strict_digest.h). The fingerprint tells which secret the hashes of the range depend on.
 * Rounds are numbered; each begins with the range "functions". docs/VERIFICATION.md describes the whole. */
#ifndef LOCKSTEP_SERVER_STREAMS_VERIFY_CHECK_H
#define LOCKSTEP_SERVER_STREAMS_VERIFY_CHECK_H

#include "storage/range.h"
#include "storage/strict_digest.h"

enum { VERIFY_ROUND_OF_REPAIR = 0 /* the check at the end of a unit of repair_master.h */ };

struct verify_check {
    uint64_t fingerprint, round;
    uint64_t count;
    struct strict_digest digest;
    struct range range; /* its key is borrowed */
};

/* True for the argument of a PING that is meant for this module, well-formed or not. */
bool verify_check_is(struct bytes_view argument);
void verify_check_format(const struct verify_check *check, struct bytes_buf *out); /* appends the argument */
/* False: it is malformed, or of another version. */
NODISCARD bool verify_check_parse(struct bytes_view argument, struct verify_check *check);

#endif
