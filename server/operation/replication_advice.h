/* replication_advice.h -- what an administrator should change, judged by the last events of replication.
 *
 * Each advice is one sentence that says what was seen and what to do. None means that nothing was seen.
 * Not here: the events (replication/events.h). */
#ifndef LOCKSTEP_SERVER_OPERATION_REPLICATION_ADVICE_H
#define LOCKSTEP_SERVER_OPERATION_REPLICATION_ADVICE_H

#include "server/core/core.h"

typedef void advice_fn(void *ctx, const char *sentence);
void replication_advise(const struct core *core, advice_fn *say, void *ctx);

#endif
