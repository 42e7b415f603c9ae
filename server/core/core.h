/* core.h -- what every room of the server may read: resources, clock, state of the running command.
 *
 * Each struct server (house.h) contains one struct core. A module that needs more than this is handed it at its creation
 * and keeps it in its own object, so a unit test makes a struct core and no server. The header of each part says who
 * writes it. The pointers are set before any module is made and do not change. */
#ifndef LOCKSTEP_SERVER_CORE_CORE_H
#define LOCKSTEP_SERVER_CORE_CORE_H

#include "server/core/clock.h"
#include "server/core/exec.h"
#include "server/core/key_watch.h"
#include "server/core/lifecycle.h"
#include "server/core/modes.h"
#include "server/core/pacing.h"
#include "server/core/pause.h"
#include "server/core/running.h"
#include "server/core/stats.h"

/* Work for the end of the turn. The code that finds work sets the bit; the function named here clears it when all of it
 * is done. */
enum due {
    DUE_EVICTION = 1 << 0,           /* memory may be over maxmemory: eviction_run() */
    DUE_MIGRATIONS = 1 << 1,         /* migrations have ended, well or not: migrations_serve() */
    DUE_KEY_WAITS = 1 << 2,          /* keys that blocked clients wait for may exist: key_waits_serve() */
    DUE_TRACKING_ROOM = 1 << 3,      /* the table of tracked keys is full: tracking_make_room() */
    DUE_TRACKING_BROADCAST = 1 << 4, /* keys with tracked prefixes changed: tracking_broadcast() */
};

/* Gets the argument of a PING in our master's stream; set by server.c. fn NULL: nobody does. */
struct master_ping_hook {
    void *ctx;
    void (*fn)(void *ctx, struct bytes_view argument);
};

struct core {
    const struct sys *sys;
    struct log *log;
    struct loop *loop;
    struct settings *settings;
    struct keyspace *keyspace;
    uint64_t name_seed; /* of seeded_hash(): random, set before any module is made */
    struct lazyfree *lazyfree;
    struct repl *repl;
    struct sentinel_room *sentinel; /* sentinel/sentinel_room.h; NULL: an ordinary server */

    struct clock clock;
    struct lifecycle life;
    struct modes modes;
    struct pauses pauses;
    struct running running;  /* the outermost running command */
    struct exec exec;        /* what the running unit puts into the stream */
    struct latency *latency; /* latency.h */
    struct stats stats;
    struct stats_turn turn;

    struct key_watch keys;
    struct pacing pacing;
    struct master_ping_hook master_ping;
    unsigned obstacles;     /* bits of enum obstacle */
    unsigned due;           /* bits of enum due */
    unsigned monitor_count; /* clients in MONITOR: written by monitor.c */
};

static inline void core_master_pings(struct core *core, struct bytes_view argument)
{
    if (core->master_ping.fn != NULL) core->master_ping.fn(core->master_ping.ctx, argument);
}

static inline void due_set(struct core *core, enum due what)
{
    core->due |= what;
}
static inline void due_clear(struct core *core, enum due what)
{
    core->due &= ~(unsigned)what;
}

#endif
