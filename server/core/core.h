/* core.h -- what every room of the server may read: resources, clock, state of the running command.
 *
 * One struct core lies in each struct server (house.h). A module that needs more than this gets it at its creation and
 * keeps it in its own object, so that a unit test makes a struct core and no server. Each part says in its header who
 * writes it. The pointers are set before anything else is made and stay. */
#ifndef LOCKSTEP_SERVER_CORE_CORE_H
#define LOCKSTEP_SERVER_CORE_CORE_H

#include "server/core/clock.h"
#include "server/core/exec.h"
#include "server/core/lifecycle.h"
#include "server/core/modes.h"
#include "server/core/pause.h"
#include "server/core/running.h"
#include "server/core/stats.h"

struct core {
    const struct sys *sys;
    struct log *log;
    struct loop *loop;
    struct settings *settings;
    struct keyspace *keyspace;
    struct lazyfree *lazyfree;
    struct repl *repl;

    struct clock clock;
    struct lifecycle life;
    struct modes modes;
    struct pauses pauses;
    struct running running;  /* the outermost running command */
    struct exec exec;        /* what the running unit puts into the stream */
    struct latency *latency; /* latency.h */
    struct stats stats;
    struct stats_turn turn;

    unsigned monitor_count;    /* clients in MONITOR */
    unsigned waited_keys;      /* keys that clients wait for */
    bool keys_ready;           /* and some of them may have what is waited for: key_waits_serve() */
    unsigned tracking_clients; /* that cache keys */
    bool tracking_pending;     /* keys changed of which some of them are to be told: tracking_broadcast() */
    bool tracking_over;        /* their table holds too many keys: tracking_make_room() */
    unsigned migrating_keys;   /* keys that are on their way */
    bool migrations_over;      /* some of them have arrived, or will not: migrations_serve() */
    bool eviction_pending;     /* over maxmemory: goes on each turn */
};

#endif
