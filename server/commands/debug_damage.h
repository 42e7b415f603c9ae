/* debug_damage.h -- DEBUG REPLICA-DAMAGE: makes a replica's data differ from its master's, for tests of verification. */
#ifndef LOCKSTEP_SERVER_COMMANDS_DEBUG_DAMAGE_H
#define LOCKSTEP_SERVER_COMMANDS_DEBUG_DAMAGE_H

struct cmd_ctx;

void debug_replica_damage(struct cmd_ctx *ctx);

#endif
