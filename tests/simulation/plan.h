/* plan.h -- what happens in a run: a list of items, made from the seed before the run begins.
 *
 * An item is a burst of traffic or a fault, with a time. Dropping one changes nothing about the others: each has a
 * generator of its own, seeded by the run's seed and its number. So a failing run can be shrunk, by dropping items as
 * long as it still fails (simulate.c). */
#ifndef LOCKSTEP_TESTS_SIMULATION_PLAN_H
#define LOCKSTEP_TESTS_SIMULATION_PLAN_H

#include "tests/simulation/world.h"

enum { PLAN_ITEMS_MAX = 512, PLAN_WORDS_MAX = 120 };

struct plan_item {
    int64_t at_us;
    void (*fn)(struct plan_item *item); /* runs at its time */
    uint64_t args[6];                   /* drawn when the plan was made */
    struct rng rng;                     /* for what it draws while it runs */
    bool is_fault;
    bool dropped;
    char words[PLAN_WORDS_MAX]; /* "kill -9 node2 at its 17th system call" */
    struct sim_event event;
};

struct plan {
    struct rng rng; /* for making the plan: never used while it runs */
    struct plan_item items[PLAN_ITEMS_MAX];
    size_t count;
};
extern struct plan plan;

/* Adds an item; NULL: the plan is full. */
struct plan_item *plan_add(int64_t at_us, bool is_fault, void (*fn)(struct plan_item *item), const char *fmt, ...)
    PRINTF(4, 5);
uint64_t plan_below(uint64_t bound);
int64_t plan_between(int64_t least, int64_t most);
bool plan_chance(unsigned per_mille);

#endif
