#include "server/operation/turn_end.h"

#include "replication/replication.h"
#include "server/clients/clients.h"
#include "server/persistence/aof.h"
#include "server/persistence/lineage.h"

void turn_end_send(struct core *core, struct lineage *lineage, struct aof *aof, struct clients *cs)
{
    lineage_turn(lineage);
    repl_failover_turn(core->repl);
    repl_end_turn(core->repl);
    if (UNLIKELY(!aof_turn(aof))) return; /* the log could not be written: no reply, nothing to replicas (S1) */
    repl_flush(core->repl);
    clients_flush(cs);
}
