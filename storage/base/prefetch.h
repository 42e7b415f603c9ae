/* prefetch.h -- an instruction that starts loading a cache line before its use.
 *
 * Written in assembly, since __builtin_prefetch() does not count as a side effect: gcc treats a function that does
 * nothing else as pure and drops calls to it. */
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
