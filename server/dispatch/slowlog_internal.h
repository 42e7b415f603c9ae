/* slowlog_internal.h -- the entries of the slow log, shared by slowlog.c and the SLOWLOG command. */
#ifndef LOCKSTEP_SERVER_DISPATCH_SLOWLOG_INTERNAL_H
#define LOCKSTEP_SERVER_DISPATCH_SLOWLOG_INTERNAL_H

#include "server/dispatch/slowlog.h"

enum { SLOWLOG_ARGUMENTS_MAX = 32, SLOWLOG_ARGUMENT_MAX = 128 };

struct slowlog_entry {
    struct slowlog_entry *newer, *older;
    uint64_t id;
    int64_t time_s, us;
    int argc;
    struct bytes_buf *argv;
    char peer[80];
    char *client_name;
};

struct slowlog {
    const struct core *core;
    const struct config *config; /* knows which arguments are secret */
    struct slowlog_entry *newest, *oldest;
    size_t count;
    uint64_t next_id;
};

void slowlog_trim(struct slowlog *sl, size_t keep);

#endif
