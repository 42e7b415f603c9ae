/* slowlog.h -- the commands that took longer than slowlog-log-slower-than, newest first, at most slowlog-max-len of
 * them. */
#ifndef LOCKSTEP_SERVER_DISPATCH_SLOWLOG_H
#define LOCKSTEP_SERVER_DISPATCH_SLOWLOG_H

#include "server/dispatch/command.h"

struct slowlog *slowlog_new(void);
void slowlog_free(struct slowlog *sl);
/* Keeps it if it was slow enough; arguments are cut as Redis cuts them (32 arguments, 128 bytes), secrets hidden. */
void slowlog_note(struct server *s, const struct client *c, const struct command *cmd, int argc,
                  const struct bytes_view *argv, int64_t us);

#endif
