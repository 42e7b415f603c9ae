/* sim_libc.c -- functions of the C library whose answers would differ from run to run; these take their place. */
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/simulation/world.h"

int getrusage(__rusage_who_t who, struct rusage *usage)
{
    memset(usage, 0, sizeof(*usage));
    usage->ru_utime.tv_sec = sim.now_us / 1000000;
    usage->ru_utime.tv_usec = sim.now_us % 1000000;
    return 0;
}

pid_t getpid(void)
{
    return sim.process != NULL ? sim.process->pid : 1;
}
