/* aof_check.h -- the checker of append-only files, with the messages of redis-check-aof.
 *
 * It reads a file, or all files that a manifest lists, with the reader of the server and with its checksums
 * (aof_sum.h). It reports whether they are valid. On request it truncates the last file: behind the last valid
 * command, or before the first one that is younger than a given time. It never truncates another file, since that
 * would leave a gap. Text from files is escaped before it is printed. */
#ifndef LOCKSTEP_STORAGE_AOF_CHECK_H
#define LOCKSTEP_STORAGE_AOF_CHECK_H

#include "storage/base/sys.h"

struct aof_check_options {
    bool fix;            /* truncate an invalid file if `confirm` agrees */
    int64_t truncate_to; /* Unix time: remove what was written later; -1: nothing */
};

struct aof_check_output {
    void *ctx;
    void (*line)(void *ctx, const char *text);      /* one line of output, without a line end */
    bool (*confirm)(void *ctx, const char *prompt); /* asks the user */
};

/* Returns the exit code of the program. 0: the files are valid, or have been made so; 1: they are not. */
int aof_check(const struct sys *sys, const char *path, const struct aof_check_options *options,
              const struct aof_check_output *out);

#endif
