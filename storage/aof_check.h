/* aof_check.h -- redis-check-aof: reads an append-only file, or all files that a manifest lists, says whether they are
 * good in that program's words, and cuts off what is not, or what is younger than some time.
 *
 * It is the reader of the server that judges, with its checksums (aof_sum.h). Only the last file is ever cut: in front
 * of another one a hole would be left. Text from files is escaped before it gets to a terminal. */
#ifndef LOCKSTEP_STORAGE_AOF_CHECK_H
#define LOCKSTEP_STORAGE_AOF_CHECK_H

#include "storage/base/sys.h"

struct aof_check_options {
    bool fix;            /* cut off what is bad, if `confirm` agrees */
    int64_t truncate_to; /* Unix time: cut off what was written later; -1: nothing */
};

struct aof_check_output {
    void *ctx;
    void (*line)(void *ctx, const char *text);      /* without a line end */
    bool (*confirm)(void *ctx, const char *prompt); /* asks somebody */
};

/* What the program's exit code is to be: 0 good, or made so; 1. */
int aof_check(const struct sys *sys, const char *path, const struct aof_check_options *options,
              const struct aof_check_output *out);

#endif
