/* prefetch.h -- starts loading a cache line, ahead of its use.
 * __builtin_prefetch() does not count as an effect: gcc takes a function that does nothing else for pure and drops
 * calls to it. */
#ifndef LOCKSTEP_STORAGE_BASE_PREFETCH_H
#define LOCKSTEP_STORAGE_BASE_PREFETCH_H

static inline __attribute__((always_inline)) void prefetch(const void *line)
{
#if defined(__x86_64__)
    __asm__ volatile("prefetcht0 %0" : : "m"(*(const char *)line));
#elif defined(__aarch64__)
    __asm__ volatile("prfm pldl1keep, %0" : : "Q"(*(const char *)line));
#else
    __builtin_prefetch(line);
#endif
}

#endif
