/* obstacles.h -- one word that says whether any state of the server may keep a command from running.
 *
 * While no bit is set, a plain command of a plain client runs without further questions (dispatch_admission.c). A set
 * bit only means that the questions are asked: so a bit that stays set too long costs time and is no fault, and a bit
 * that is not set in time is a fault. Development builds ask the questions each time and assert that they all say yes.
 *
 *     bit            is set while                                          set and cleared by
 *     LOADING        a data set is loaded                                  modes.c
 *     REPLICA        this server is a replica                              modes.c
 *     PAUSE          a pause is in force                                   modes.c
 *     MAXMEMORY      there is a maxmemory                                  modes.c
 *     MIN_REPLICAS   there is a min-replicas-to-write                      modes.c
 *     EXPIRY_HELD    expiry waits for the first write of a client          modes.c
 *     WRITES_REFUSED a master refuses writes (enum writes_refused)         modes.c
 *     AOF            the append-only file has an error, was given up, or   persistence/aof_sync.c
 *                    lacks the data set that it has to hold
 *     RDB            the last background save failed                       persistence/saving.c */
#ifndef LOCKSTEP_SERVER_CORE_OBSTACLES_H
#define LOCKSTEP_SERVER_CORE_OBSTACLES_H

#include <stdbool.h>

enum obstacle {
    OBSTACLE_LOADING = 1 << 0,
    OBSTACLE_REPLICA = 1 << 1,
    OBSTACLE_PAUSE = 1 << 2,
    OBSTACLE_MAXMEMORY = 1 << 3,
    OBSTACLE_MIN_REPLICAS = 1 << 4,
    OBSTACLE_EXPIRY_HELD = 1 << 5,
    OBSTACLE_AOF = 1 << 6,
    OBSTACLE_RDB = 1 << 7,
    OBSTACLE_WRITES_REFUSED = 1 << 8,
};

static inline void obstacle_note(unsigned *obstacles, enum obstacle which, bool is_there)
{
    if (is_there)
        *obstacles |= which;
    else
        *obstacles &= ~(unsigned)which;
}

#endif
