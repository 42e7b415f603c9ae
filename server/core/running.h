/* running.h -- the command that runs now, for modules that are called from inside it.
 *
 * All of it is empty while no command runs: clients time out, links fail and keys expire then, too. So code that has a
 * cmd_ctx takes client and command from there; the rest (a hook of the keyspace, a push, the crash report) reads this and
 * copes with NULL. The dispatcher is the only writer.
 *
 *     dispatch_call() sets client, command, request ... handler ... a push to this client goes into `pushes`
 *                                                                   nested commands (EXEC, scripts) change `command`
 *     its end         pushes follow the reply; all is empty again */
#ifndef LOCKSTEP_SERVER_CORE_RUNNING_H
#define LOCKSTEP_SERVER_CORE_RUNNING_H

#include <stddef.h>

#include "server/net/outbuf.h"

struct client;
struct command;
struct resp_request;

struct running {
    struct client *client;              /* whose command it is, a script's included; NULL: none runs */
    const struct command *command;      /* the innermost: that of a transaction or a script */
    const struct resp_request *request; /* NULL: it was not parsed just now (a blocked client's command) */
    struct outbuf pushes;               /* messages pushed to that client meanwhile: they follow the reply */
    struct running *outer;              /* what runs the slow script, while other clients are answered */
};

void running_init(struct running *r);
void running_release(struct running *r);
/* A message pushed while its receiver's own command runs would stand in the middle of the reply. The queue where it has
 * to wait, or NULL: it goes straight into the client's output. */
struct outbuf *running_push_queue(struct running *r, const struct client *c);
/* Of the request whose command this client runs now, 0 if none: its bytes, and those of its arguments alone. */
size_t running_request_bytes(const struct running *r, const struct client *c, size_t *arguments);

#endif
