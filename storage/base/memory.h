/* memory.h -- memory allocation that never returns NULL, and the number of bytes in use.
 *
 * Out of memory stops the process. Counting costs nothing on the hot path: jemalloc counts for each thread the bytes
 * it ever allocated and freed. mem_used() adds these up for the threads that called mem_thread_register() (the main
 * thread and workers). */
#ifndef LOCKSTEP_STORAGE_BASE_MEMORY_H
#define LOCKSTEP_STORAGE_BASE_MEMORY_H

#include <stddef.h>

void *mem_alloc(size_t size) __attribute__((malloc, alloc_size(1), returns_nonnull));
void *mem_calloc(size_t size) __attribute__((malloc, alloc_size(1), returns_nonnull)); /* zero-filled */
void *mem_realloc(void *ptr, size_t size) __attribute__((alloc_size(2), returns_nonnull));
void mem_free(void *ptr); /* NULL is allowed */
/* As mem_free(), for a caller that knows the size it requested: cheaper. */
void mem_free_sized(void *ptr, size_t size);
char *mem_strdup(const char *s);
/* Bytes that the allocation of this pointer takes; bytes that a request of this size would take. */
size_t mem_usable_size(const void *ptr);
size_t mem_good_size(size_t size);
/* Bytes in use by allocations of the registered threads. Constant time. */
size_t mem_used(void);
void mem_thread_register(void);
void mem_thread_unregister(void); /* call before the thread ends */
/* Returns an address that is a multiple of `alignment`, a power of two. Free it with mem_free(), not
 * mem_free_sized(). */
void *mem_alloc_aligned(size_t alignment, size_t size) __attribute__((malloc, alloc_size(2), returns_nonnull));
/* May return NULL instead of stopping the process: for sizes chosen by a peer. */
void *mem_try_alloc(size_t size) __attribute__((malloc, alloc_size(1)));
void *mem_try_realloc(void *ptr, size_t size) __attribute__((alloc_size(2))); /* NULL: ptr is unchanged */

#endif
