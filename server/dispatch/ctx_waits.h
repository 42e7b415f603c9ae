/* ctx_waits.h -- lets a handler block its client until keys change, and reads the timeouts of blocking commands. */
#ifndef LOCKSTEP_SERVER_DISPATCH_CTX_WAITS_H
#define LOCKSTEP_SERVER_DISPATCH_CTX_WAITS_H

#include "server/clients/key_waits.h"
#include "server/dispatch/command.h"

/* The command found nothing in its keys. True: the client is blocked, and the handler returns without a reply. The
 * command will run again when a key has changed. False: it must not wait (inside a transaction or a script, or from a
 * master), and the handler replies that there is nothing.
 * what->argv: the arguments of the next run; NULL: the present ones. XREAD replaces "$" by the id that it means now. */
NODISCARD bool ctx_wait_for_keys(struct cmd_ctx *ctx, const struct key_wait_for *what);

/* Reads a timeout, in seconds with a fraction or in whole milliseconds. *until_ms: the deadline by the monotonic clock; 0:
 * none. False: an error has been answered. */
enum timeout_unit { TIMEOUT_SECONDS, TIMEOUT_MS };
NODISCARD bool ctx_arg_timeout(struct cmd_ctx *ctx, int arg, enum timeout_unit unit, int64_t *until_ms);

#endif
