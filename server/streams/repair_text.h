/* repair_text.h -- the texts between a replica that asks for a repair and its master: see repair_master.h. */
#ifndef LOCKSTEP_SERVER_STREAMS_REPAIR_TEXT_H
#define LOCKSTEP_SERVER_STREAMS_REPAIR_TEXT_H

#include "storage/range.h"

/* "<fingerprint> <range>": a request, and the rest of "lockstep-drop:1 ". */
void repair_range_format(uint64_t fingerprint, const struct range *range, struct bytes_buf *out);
NODISCARD bool repair_range_parse(struct bytes_view text, uint64_t *fingerprint, struct range *range);

/* The outline of a big value: "<fingerprint> <db> <type> <elements> <expiry> <key>". */
struct repair_big {
    uint64_t fingerprint, db, type, elements;
    int64_t expiry_ms;     /* -1: none */
    struct bytes_view key; /* borrowed */
};
void repair_big_format(const struct repair_big *big, struct bytes_buf *out);
NODISCARD bool repair_big_parse(struct bytes_view text, struct repair_big *big);

#define REPAIR_DROP "lockstep-drop:1 "
#define REPAIR_BIG  "lockstep-big:1 "
/* If the argument begins with `start`, stores what follows. */
bool repair_text_after(struct bytes_view argument, const char *start, struct bytes_view *rest);

#endif
