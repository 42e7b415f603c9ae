/* fiber.h -- stacks to switch between: the machine's part of a fiber.
 *
 * A stack is reused by later fibers. Dropping one that is not running needs no more than giving its stack back. */
#ifndef LOCKSTEP_TESTS_SIMULATION_FIBER_H
#define LOCKSTEP_TESTS_SIMULATION_FIBER_H

#include <stddef.h>

enum { FIBER_STACK_BYTES = 1024 * 1024 };

struct fiber_stack {
    struct fiber_stack *next;
    char *memory; /* the lowest address, above a page that may not be touched */
    void *saved;  /* stack pointer while it does not run */
    void *fake;   /* AddressSanitizer's */
};

struct fiber_stack *fiber_stack_take(void (*entry)(void *ctx), void *ctx);
void fiber_stack_give_back(struct fiber_stack *s);
/* Runs `to` until it calls fiber_leave(). The two calls nest. */
void fiber_enter(struct fiber_stack *to);
/* Back to whoever entered. `for_ever`: the stack will not be entered again. */
void fiber_leave(int for_ever);

#endif
