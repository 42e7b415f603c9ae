#include "storage/base/memory.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <stdint.h>
#include <string.h>

#include "storage/base/assert.h"

#ifndef LOCKSTEP_SANITIZE
#include <jemalloc/jemalloc.h>
#else
#include <malloc.h>
/* From sanitizer/allocator_interface.h, which gcc does not ship. */
size_t __sanitizer_get_current_allocated_bytes(void);
#endif

static _Noreturn void out_of_memory(size_t size)
{
    fprintf(stderr, "Out of memory allocating %zu bytes\n", size);
    abort();
}

void *mem_alloc(size_t size)
{
    void *ptr = malloc(size == 0 ? 1 : size);
    if (__builtin_expect(ptr == NULL, 0)) out_of_memory(size);
    return ptr;
}

void *mem_calloc(size_t size)
{
    void *ptr = calloc(1, size == 0 ? 1 : size);
    if (ptr == NULL) out_of_memory(size);
    return ptr;
}

void *mem_realloc(void *ptr, size_t size)
{
    void *grown = realloc(ptr, size == 0 ? 1 : size);
    if (grown == NULL) out_of_memory(size);
    return grown;
}

void *mem_alloc_aligned(size_t alignment, size_t size)
{
    void *ptr;
    if (posix_memalign(&ptr, alignment, size) != 0) out_of_memory(size);
    return ptr;
}

void *mem_try_alloc(size_t size)
{
    return malloc(size == 0 ? 1 : size);
}

void *mem_try_realloc(void *ptr, size_t size)
{
    return realloc(ptr, size == 0 ? 1 : size);
}

void mem_free(void *ptr)
{
    free(ptr);
}

char *mem_strdup(const char *s)
{
    size_t size = strlen(s) + 1;
    return memcpy(mem_alloc(size), s, size);
}

#ifndef LOCKSTEP_SANITIZE

void mem_free_sized(void *ptr, size_t size)
{
    if (ptr != NULL) sdallocx(ptr, size == 0 ? 1 : size, 0);
}

size_t mem_usable_size(const void *ptr)
{
    return ptr == NULL ? 0 : sallocx(ptr, 0);
}
size_t mem_good_size(size_t size)
{
    return nallocx(size == 0 ? 1 : size, 0);
}

/* The allocator is one per process, and so are its counters: this table is the only mutable state at file scope. A
 * slot is free while its pointers are NULL. */
#define MAX_THREADS 16
static struct {
    _Atomic(uint64_t *) allocated;
    _Atomic(uint64_t *) freed;
} counters[MAX_THREADS];
static atomic_uint counter_count;
static atomic_int_fast64_t ended_threads; /* bytes left in use by threads that have ended (negative if others' memory
                                           * was freed there) */

static bool thread_counters(uint64_t **allocated, uint64_t **freed)
{
    size_t len = sizeof(*allocated);
    return mallctl("thread.allocatedp", allocated, &len, NULL, 0) == 0 &&
           mallctl("thread.deallocatedp", freed, &len, NULL, 0) == 0;
}

void mem_thread_register(void)
{
    uint64_t *allocated, *freed, *empty;
    if (!thread_counters(&allocated, &freed)) return;
    for (unsigned i = 0; i < MAX_THREADS; i++)
        if (atomic_load(&counters[i].allocated) == allocated) return;
    for (unsigned i = 0; i < MAX_THREADS; i++) {
        empty = NULL;
        if (!atomic_compare_exchange_strong(&counters[i].allocated, &empty, allocated)) continue;
        atomic_store(&counters[i].freed, freed);
        if (atomic_load(&counter_count) <= i) atomic_store(&counter_count, i + 1);
        return;
    }
    ASSERT(!"too many threads are registered");
}

void mem_thread_unregister(void)
{
    uint64_t *allocated, *freed;
    if (!thread_counters(&allocated, &freed)) return;
    for (unsigned i = 0; i < MAX_THREADS; i++) {
        if (atomic_load(&counters[i].allocated) != allocated) continue;
        atomic_fetch_add(&ended_threads, (int64_t)(*allocated - *freed));
        atomic_store(&counters[i].freed, NULL);
        atomic_store(&counters[i].allocated, NULL);
    }
}

size_t mem_used(void)
{
    uint64_t used = (uint64_t)atomic_load_explicit(&ended_threads, memory_order_relaxed);
    unsigned count = atomic_load_explicit(&counter_count, memory_order_relaxed);
    for (unsigned i = 0; i < count; i++) {
        uint64_t *allocated = atomic_load_explicit(&counters[i].allocated, memory_order_acquire);
        uint64_t *freed = atomic_load_explicit(&counters[i].freed, memory_order_relaxed);
        if (allocated == NULL || freed == NULL) continue;
        used += __atomic_load_n(allocated, __ATOMIC_RELAXED) - __atomic_load_n(freed, __ATOMIC_RELAXED);
    }
    return (int64_t)used < 0 ? 0 : used;
}

#else

void mem_free_sized(void *ptr, size_t size)
{
    (void)size; /* the sanitizer knows it */
    free(ptr);
}
size_t mem_usable_size(const void *ptr)
{
    return ptr == NULL ? 0 : malloc_usable_size((void *)ptr);
}
size_t mem_good_size(size_t size)
{
    return (size + 15) & ~(size_t)15;
}
void mem_thread_register(void) {}
void mem_thread_unregister(void) {}
size_t mem_used(void)
{
    return __sanitizer_get_current_allocated_bytes();
}

#endif
