/* clock.h -- the time that a turn of the loop works with, read once per turn.
 *
 * Commands of one turn see one time, and all commands of a transaction or a script do. Code that has spent much time
 * calls clock_update(). */
#ifndef LOCKSTEP_SERVER_CORE_CLOCK_H
#define LOCKSTEP_SERVER_CORE_CLOCK_H

#include <stdint.h>

struct core;

struct clock {
    int64_t now_us, now_ms;   /* wall clock */
    int64_t mono_us, mono_ms; /* monotonic clock, for all that lasts: setting the wall clock does not move it */
    int64_t started_ms;       /* wall clock when the server was made */
};

/* Reads the clocks again and tells the keyspace; inside a transaction or a script it does nothing. */
void clock_update(struct core *core);

#endif
