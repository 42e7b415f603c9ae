/* sim_assert.c -- an assertion that fails in a process fails the run; stands in place of storage/base/assert.c. */
#include "storage/base/assert.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/simulation/process.h"

_Noreturn void assert_failed(const char *condition, const char *file, int line)
{
    if (sim.process == NULL || sim_fiber_current() == NULL) {
        fprintf(stderr, "assertion failed: %s (%s:%d)\n", condition, file, line);
        abort();
    }
    sim_fail("assertion", "%s: %s (%s:%d)", sim.process->node->name, condition, file, line);
    for (;;) sim_process_stop_here();
}

_Noreturn void assert_unreachable(const char *file, int line)
{
    assert_failed("code that is never reached", file, line);
}
