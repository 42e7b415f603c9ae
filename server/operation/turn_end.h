/* turn_end.h -- the end of a turn: what was done goes into the log, to replicas, and then to clients.
 *
 * The order is a promise: no reply, and no byte of the stream, leaves the server before the append-only file has the
 * stream up to there, synced where `appendfsync always` promises it (S1, fault 9). If the log cannot keep that promise,
 * nothing is sent and the server stops. The lineage file comes first: it notes a flush before the log has it. */
#ifndef LOCKSTEP_SERVER_OPERATION_TURN_END_H
#define LOCKSTEP_SERVER_OPERATION_TURN_END_H

struct aof;
struct clients;
struct core;
struct lineage;

/* At the end of each turn; also out of turn, while a script is busy and before the server exits. */
void turn_end_send(struct core *core, struct lineage *lineage, struct aof *aof, struct clients *cs);

#endif
