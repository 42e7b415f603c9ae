/* ctx_waits.h -- what a handler calls when its command has to wait for keys, and the timeouts of such commands. */
#ifndef LOCKSTEP_SERVER_DISPATCH_CTX_WAITS_H
#define LOCKSTEP_SERVER_DISPATCH_CTX_WAITS_H

#include "server/clients/key_waits.h"
#include "server/dispatch/command.h"

/* The command found nothing in its keys. True: its client is blocked, and the handler returns without a reply. False: it
 * must not wait (in a transaction or a script, from a master), and the handler answers that there is nothing.
 * what->argv NULL: the arguments as they came. XREAD hands in others: with the id that "$" means now. */
NODISCARD bool ctx_wait_for_keys(struct cmd_ctx *ctx, const struct key_wait_for *what);

/* A timeout as argument: *until_ms is the wall clock's ms at which it is over, 0: never. In seconds, with a fraction; or
 * in whole milliseconds. False: the error has been answered. */
enum timeout_unit { TIMEOUT_SECONDS, TIMEOUT_MS };
NODISCARD bool ctx_arg_timeout(struct cmd_ctx *ctx, int arg, enum timeout_unit unit, int64_t *until_ms);

#endif
