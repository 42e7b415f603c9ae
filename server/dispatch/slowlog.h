/* slowlog.h -- the slow log: the last slowlog-max-len commands that took slowlog-log-slower-than or longer.
 *
 * Ownership: entries copy names and arguments. At most 32 arguments are kept, and 128 bytes of each, as in Redis.
 * Secret arguments are replaced.
 * Not here:  the SLOWLOG command (commands/cmd_slowlog.c). */
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
/* Adds an entry if the command took long enough. */
void slowlog_note(struct slowlog *sl, const struct client *c, const struct command *cmd, int argc,
                  const struct bytes_view *argv, int64_t us);

#endif
