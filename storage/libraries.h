/* libraries.h -- function libraries as the data set has them: names, and sources.
 * What a source means is not known here; whoever sets one has found that it is good. In the order of their names, so
 * that two data sets that are the same are written the same. */
#ifndef LOCKSTEP_STORAGE_LIBRARIES_H
#define LOCKSTEP_STORAGE_LIBRARIES_H

#include "storage/base/bytes.h"

struct libraries; /* opaque */

struct libraries *libraries_new(void);
void libraries_free(struct libraries *l);
/* In place of one of that name, if there is one. Both are copied. */
void libraries_set(struct libraries *l, struct bytes_view name, struct bytes_view source);
bool libraries_remove(struct libraries *l, struct bytes_view name); /* false: there is none */
void libraries_clear(struct libraries *l);
size_t libraries_count(const struct libraries *l);
/* By position. Views live until the next change. */
struct bytes_view libraries_name(const struct libraries *l, size_t at);
struct bytes_view libraries_source(const struct libraries *l, size_t at);
/* The position of a name; false: it is not there. */
bool libraries_find(const struct libraries *l, struct bytes_view name, size_t *at);
size_t libraries_memory(const struct libraries *l);

#endif
