/* libraries.h -- the function libraries of a data set: names and sources.
 *
 * The caller validates a source before it sets one. Libraries are sorted by name, so that equal data sets produce
 * equal files.
 * Ownership: names and sources are copied. */
#ifndef LOCKSTEP_STORAGE_LIBRARIES_H
#define LOCKSTEP_STORAGE_LIBRARIES_H

#include "storage/base/bytes.h"

struct libraries; /* opaque */

struct libraries *libraries_new(void);
void libraries_free(struct libraries *l);
/* Adds a library or replaces the one of that name. Copies both views. */
void libraries_set(struct libraries *l, struct bytes_view name, struct bytes_view source);
bool libraries_remove(struct libraries *l, struct bytes_view name); /* false: not found */
void libraries_clear(struct libraries *l);
size_t libraries_count(const struct libraries *l);
/* By position. Views are valid until the next change. */
struct bytes_view libraries_name(const struct libraries *l, size_t at);
struct bytes_view libraries_source(const struct libraries *l, size_t at);
/* Sets *at to the position of a name. False: not found; *at is where it would be inserted. */
bool libraries_find(const struct libraries *l, struct bytes_view name, size_t *at);
size_t libraries_memory(const struct libraries *l);

#endif
