/* script_flags.h -- what a script says of itself: "#!lua flags=no-writes,allow-oom" in its first line, or the flags of
 * a registered function; and what commands that run it are allowed because of that. */
#ifndef LOCKSTEP_SERVER_SCRIPTING_SCRIPT_FLAGS_H
#define LOCKSTEP_SERVER_SCRIPTING_SCRIPT_FLAGS_H

#include "storage/base/bytes.h"

enum script_flag {
    SCRIPT_NO_WRITES = 1 << 0,
    SCRIPT_ALLOW_OOM = 1 << 1,
    SCRIPT_ALLOW_STALE = 1 << 2,
    SCRIPT_NO_CLUSTER = 1 << 3,
    SCRIPT_ALLOW_CROSS_SLOT_KEYS = 1 << 4,
    SCRIPT_SAYS_NOTHING = 1 << 5, /* an EVAL without that line: what it does decides, command by command */
};

/* A flag by name; 0: there is none. */
unsigned script_flag_by_name(struct bytes_view name);
const char *script_flag_name(unsigned flag);

/* Splits the first line off a script for EVAL. What follows begins with the line end, so that lines count as they are
 * written. NULL, or what is wrong, appended to *error. */
NODISCARD bool script_read_shebang(struct bytes_view source, struct bytes_view *body, unsigned *flags,
                                   struct bytes_buf *error);
/* Of command flags (command.h): those that hold for a command that runs a script with these flags. */
unsigned script_command_flags(unsigned command_flags, unsigned script_flags);

#endif
