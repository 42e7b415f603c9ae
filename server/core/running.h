/* running.h -- the command that runs now, for modules that are called while it runs.
 *
 * Code that has a cmd_ctx takes client and command from there. Other code (hooks of the keyspace, push messages, the
 * crash report) reads this. Client and command are NULL while no command runs: keys expire, links fail and clients time
 * out then, too. The dispatcher is the only writer.
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
    struct client *client;              /* that sent the command (of a script: its caller); NULL: no command runs */
    const struct command *command;      /* the innermost one: a command of EXEC or of a script */
    const struct resp_request *request; /* NULL: the command of a blocked client, which was parsed earlier */
    struct outbuf pushes;               /* push messages to that client; sent after the reply */
    struct running *outer;              /* the slow script, while a command of another client runs beside it */
};

void running_init(struct running *r);
void running_release(struct running *r);
/* The queue for a push message to this client, or NULL: the client's output. While the client's own command runs, a
 * push must wait, or it would stand in the middle of the reply. */
struct outbuf *running_push_queue(struct running *r, const struct client *c);
/* Bytes of the request that this client is running (0: none); *arguments: of its arguments alone. */
size_t running_request_bytes(const struct running *r, const struct client *c, size_t *arguments);

#endif
