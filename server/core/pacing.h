/* pacing.h -- the least time between two turns of the loop, which lets requests of many clients share a turn.
 *
 * A server that is faster than its clients wakes up for each request, answers it, and sleeps again. The waits, wake-ups
 * and writes to replicas of such turns cost more than the commands in them. So while many clients are busy, turns are
 * kept some microseconds apart, and the requests that arrive in between share one turn.
 *
 *     without   wait 1 . wait 2 . wait 3 . wait 4 .           with   wait ........ 1 2 3 4
 *
 * The interval is set every few milliseconds (a window), from what the last window counted:
 *
 *   clients      An eighth of the mean time between two requests of one client, if at least two requests arrive in this
 *                interval; else 0. It follows that at least sixteen clients must be busy at the same time: a client
 *                that is alone with the server never waits. A turn that took as long as the interval is not followed by
 *                a pause, so a busy server is not slowed down.
 *   our master   While no client sends anything: four times the limit, if enough commands arrive in it. Only a client
 *                that reads from this replica could notice. If the master asks for an acknowledgement (WAIT), the
 *                interval is 0.
 *
 * Limits: turn-interval-us bounds the interval of clients; 0 turns pacing off. */
#ifndef LOCKSTEP_SERVER_CORE_PACING_H
#define LOCKSTEP_SERVER_CORE_PACING_H

#include <stdbool.h>
#include <stdint.h>

struct core;

struct pacing_window { /* counted in a few milliseconds */
    uint64_t us;       /* its length */
    uint64_t clients;  /* that sent something, each counted once */
    uint64_t reads;    /* how often clients sent something */
    uint64_t commands; /* of our master's stream */
    bool ack_asked;    /* our master asked for an acknowledgement */
};
/* Microseconds from one turn to the next; 0: no least time. */
unsigned pacing_interval_us(const struct pacing_window *w, unsigned limit_us);

struct pacing {
    int64_t start_us;            /* of the window, monotonic */
    uint32_t number;             /* of the window; a client keeps that of the last window in which it sent something */
    uint64_t commands_before;    /* of our master's stream, run before the window */
    struct pacing_window window; /* so far; `us` and `commands` are filled in at its end */
};

/* A client has sent something. *noted: the client's own record of the window in which it did so last. */
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
/* `commands`: number of commands of our master's stream that have run since the start. */
void pacing_turn_ends(struct core *core, uint64_t commands);

#endif
