/* pacing.h -- how far apart the turns of the loop are.
 *
 * A server that is faster than its clients is woken by the first request that comes, answers it, and sleeps again: many
 * turns of one request each, whose waits, wake-ups and writes to replicas cost more than the commands in them. While
 * many clients are at it, turns are therefore kept some microseconds apart, and what comes meanwhile shares one.
 *
 *     without   wait 1 . wait 2 . wait 3 . wait 4 .           with   wait ........ 1 2 3 4
 *
 * The interval is decided anew every few milliseconds, from what the last ones saw:
 *
 *   clients      at most an eighth of the time from one request of a client to its next, and none unless at least two
 *                requests come in it. Both hold only where sixteen clients or more are busy at the same time: one that
 *                talks to the server alone never waits. A turn that took as long as the interval is followed by no
 *                pause, so a server that has enough to do is not slowed down.
 *   our master   while no client asks for anything: four times the limit, if enough commands come in it. The bytes are
 *                here already, and only who reads this replica could tell the difference. A master that asks for an
 *                acknowledgement (WAIT) gets it without delay.
 *
 * Limits: turn-interval-us; 0 turns it off. */
#ifndef LOCKSTEP_SERVER_OPERATION_PACING_H
#define LOCKSTEP_SERVER_OPERATION_PACING_H

#include <stdbool.h>
#include <stdint.h>

struct core;

struct pacing_window { /* what was seen in a few milliseconds */
    uint64_t us;       /* its length */
    uint64_t clients;  /* different ones that sent something */
    uint64_t reads;    /* how often they did */
    uint64_t commands; /* of our master's stream */
    bool ack_asked;    /* by our master */
};
/* Microseconds from one turn to the next, as said above; 0: none. */
unsigned pacing_interval_us(const struct pacing_window *w, unsigned limit_us);

struct pacing {
    int64_t start_us;            /* of the window, monotonic */
    uint32_t number;             /* of the window: clients note it when they send something */
    uint64_t commands_before;    /* of our master's stream, run before the window */
    struct pacing_window window; /* so far; `us` and `commands` are filled in at its end */
};

/* A client has sent something. *noted: the window in which it did so before; each client keeps one. */
static inline void pacing_client_sent(struct pacing *p, uint32_t *noted)
{
    p->window.reads++;
    p->window.clients += *noted != p->number;
    *noted = p->number;
}
/* Our master asked for an acknowledgement. */
static inline void pacing_ack_asked(struct pacing *p)
{
    p->window.ack_asked = true;
}

void pacing_init(struct pacing *p);
/* `commands`: how many commands of our master's stream have been run since the start. */
void pacing_turn_ends(struct core *core, uint64_t commands);

#endif
