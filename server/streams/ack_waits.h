/* ack_waits.h -- WAIT and WAITAOF: blocks clients until replicas or disks have their writes.
 *
 *     last write --> client.write_offset --> blocked
 *                                              |--> WAIT: enough replicas acknowledged the offset       --> unblocked
 *                                              |--> WAITAOF: replicas and the local file have synced it --> unblocked
 *                                              `--> deadline --> unblocked; the reply has the numbers reached by then
 *
 * Not here: the arguments and the cases that are answered at once (commands/cmd_wait.c); deadlines (blocking.h). */
#ifndef LOCKSTEP_SERVER_STREAMS_ACK_WAITS_H
#define LOCKSTEP_SERVER_STREAMS_ACK_WAITS_H

#include "server/clients/client.h"

struct aof;
struct ack_waits; /* opaque */

struct ack_waits *ack_waits_new(struct clients *cs, const struct aof *aof); /* both are borrowed */
void ack_waits_free(struct ack_waits *aw);

/* The error if WAITAOF asks for the local file and appendonly is off. */
extern const char ack_waits_no_aof[];

/* Blocks the client until `replicas` have acknowledged its last write. until_ms: monotonic clock; 0: no deadline. */
void ack_waits_block(struct ack_waits *aw, struct client *c, size_t replicas, int64_t until_ms);
/* The same until `replicas` have it on disk and, if `local`, this server has. */
void ack_waits_block_synced(struct ack_waits *aw, struct client *c, bool local, size_t replicas, int64_t until_ms);
/* WAITAOF's reply: whether the local file has the writes, and how many replicas have. */
void ack_waits_reply_synced(struct client *c, bool local, size_t replicas);

void ack_waits_acked(struct ack_waits *aw);   /* a replica has acknowledged more */
void ack_waits_synced(struct ack_waits *aw);  /* the local append-only file has synced more */
void ack_waits_aof_off(struct ack_waits *aw); /* it was turned off: answers an error to the clients that wait for it */

#endif
