/* script_flags.h -- the flags that a script declares, and their effect on the command that runs it.
 *
 *     #!lua flags=no-writes,allow-oom        the first line of a script for EVAL
 *     flags = {'no-writes', 'allow-oom'}     an argument of redis.register_function()
 *
 * A script for EVAL without that line declares nothing: then each of its commands is checked by itself. */
#ifndef LOCKSTEP_SERVER_SCRIPTING_SCRIPT_FLAGS_H
#define LOCKSTEP_SERVER_SCRIPTING_SCRIPT_FLAGS_H

#include "storage/base/bytes.h"

enum script_flag {
    SCRIPT_NO_WRITES = 1 << 0,
    SCRIPT_ALLOW_OOM = 1 << 1,
    SCRIPT_ALLOW_STALE = 1 << 2,
    SCRIPT_NO_CLUSTER = 1 << 3,
    SCRIPT_ALLOW_CROSS_SLOT_KEYS = 1 << 4,
    SCRIPT_SAYS_NOTHING = 1 << 5, /* a script for EVAL without that line */
};

/* The flag of this name, or 0. */
unsigned script_flag_by_name(struct bytes_view name);
const char *script_flag_name(unsigned flag);

/* Parses the first line of a script for EVAL. *body begins with the end of that line, so that line numbers are those of
 * the source. False, with the reason appended to *error. */
NODISCARD bool script_read_shebang(struct bytes_view source, struct bytes_view *body, unsigned *flags,
                                   struct bytes_buf *error);
/* Adapts the flags of a command (CMD_*) that runs a script with these flags. */
unsigned script_command_flags(unsigned command_flags, unsigned script_flags);

#endif
