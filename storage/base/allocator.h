/* allocator.h -- what the allocator tells of itself, for MEMORY and DEBUG. With another allocator than jemalloc (the
 * sanitizers bring their own) there is little to tell: the calls answer false, or do nothing. */
#ifndef LOCKSTEP_STORAGE_BASE_ALLOCATOR_H
#define LOCKSTEP_STORAGE_BASE_ALLOCATOR_H

#include "storage/base/bytes.h"

struct allocator_usage { /* bytes */
    size_t allocated;    /* by the program */
    size_t active;       /* in pages that hold any of these */
    size_t resident;     /* in memory, with the allocator's own and what it has not given back */
};
bool allocator_get_usage(struct allocator_usage *out);
void allocator_purge(void); /* gives back to the system what is not used */
/* From now on a thread of the allocator's gives it back little by little, and no call that frees has to. 0 or -errno.
 * Concerns the whole process; a child of it starts without that thread. */
NODISCARD int allocator_set_background_thread(bool on);
void allocator_describe(struct bytes_buf *out); /* its own report: long */
/* A control by its name: sets it if `set` is given, and tells it (as it was before). False: no such control, or not of
 * this kind. */
bool allocator_control_number(const char *name, const int64_t *set, int64_t *out);
bool allocator_control_text(const char *name, const char *set, const char **out); /* "VOID" calls one without a value */

#endif
