/* allocator.h -- statistics and controls of jemalloc, for MEMORY and DEBUG.
 *
 * With another allocator (the sanitizers have their own) the functions return false or do nothing. */
#ifndef LOCKSTEP_STORAGE_BASE_ALLOCATOR_H
#define LOCKSTEP_STORAGE_BASE_ALLOCATOR_H

#include "storage/base/bytes.h"

struct allocator_usage { /* in bytes */
    size_t allocated;    /* allocated by the program */
    size_t active;       /* in pages with at least one allocation */
    size_t resident;     /* in physical memory, including the allocator's own data and unused pages */
};
bool allocator_get_usage(struct allocator_usage *out);
void allocator_purge(void); /* returns unused memory to the system */
/* Starts or stops a background thread of the allocator that returns unused memory, so that no call that frees does
 * it. Applies to the whole process; a forked child has no such thread. 0 or -errno. */
NODISCARD int allocator_set_background_thread(bool on);
void allocator_describe(struct bytes_buf *out); /* the allocator's own report, which is long */
/* Reads a control by name into *out; with `set` also sets it, and *out is the old value. False: no such control, or
 * of another type. */
bool allocator_control_number(const char *name, const int64_t *set, int64_t *out);
bool allocator_control_text(const char *name, const char *set, const char **out); /* "VOID" invokes a control without
                                                                                   * a value */

#endif
