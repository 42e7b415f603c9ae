/* slowlog.h -- the commands that took longer than slowlog-log-slower-than, newest first, at most slowlog-max-len of
 * them. */
#ifndef LOCKSTEP_SERVER_DISPATCH_SLOWLOG_H
#define LOCKSTEP_SERVER_DISPATCH_SLOWLOG_H

#include <stddef.h>
#include <stdint.h>

#include "storage/base/bytes.h"

struct command;
struct client;
struct core;
struct config;

struct slowlog *slowlog_new(const struct core *core, const struct config *config);
void slowlog_free(struct slowlog *sl);
/* Keeps it if it was slow enough; arguments are cut as Redis cuts them (32 arguments, 128 bytes), secrets hidden. */
void slowlog_note(struct slowlog *sl, const struct client *c, const struct command *cmd, int argc,
                  const struct bytes_view *argv, int64_t us);

#endif
