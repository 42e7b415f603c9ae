/* memory.h -- allocation. Out of memory stops the process, so no call here returns NULL.
 * Use is counted without a cost on the hot path: jemalloc keeps, for each thread, the bytes it ever allocated and
 * freed, and mem_used() adds these up over the threads that called mem_thread_register() (the main one and the
 * lazy-free one). */
#ifndef LOCKSTEP_STORAGE_BASE_MEMORY_H
#define LOCKSTEP_STORAGE_BASE_MEMORY_H

#include <stddef.h>

void *mem_alloc(size_t size) __attribute__((malloc, alloc_size(1), returns_nonnull));
void *mem_calloc(size_t size) __attribute__((malloc, alloc_size(1), returns_nonnull)); /* zero-filled */
void *mem_realloc(void *ptr, size_t size) __attribute__((alloc_size(2), returns_nonnull));
void mem_free(void *ptr); /* NULL is fine */
/* mem_free() for a caller that knows the size it asked for: cheaper. */
void mem_free_sized(void *ptr, size_t size);
char *mem_strdup(const char *s);
/* Bytes really taken by the allocation of this pointer / that a request of this size would take. */
size_t mem_usable_size(const void *ptr);
size_t mem_good_size(size_t size);
/* Bytes in use by allocations of the registered threads. Constant time. */
size_t mem_used(void);
void mem_thread_register(void);
void mem_thread_unregister(void); /* before the thread ends */
/* At an address that is a multiple of `alignment`, a power of two. To be freed with mem_free(), not with the sized
 * form. */
void *mem_alloc_aligned(size_t alignment, size_t size) __attribute__((malloc, alloc_size(2), returns_nonnull));
/* One try that may fail: NULL instead of a stopped process. For sizes a peer chose. */
void *mem_try_alloc(size_t size) __attribute__((malloc, alloc_size(1)));
void *mem_try_realloc(void *ptr, size_t size) __attribute__((alloc_size(2))); /* NULL: ptr is as it was */

#endif
