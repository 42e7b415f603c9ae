/* stream_internal.h -- the structs and functions shared by stream.c, stream_group.c and stream_load.c. */
#ifndef LOCKSTEP_STORAGE_STREAM_INTERNAL_H
#define LOCKSTEP_STORAGE_STREAM_INTERNAL_H

#include "storage/stream.h"

struct stream {
    const struct value_env *env;
    struct stream_index nodes; /* by first id: listpacks */
    struct stream_leaf *tail;  /* leaf whose last slot is the last node; NULL while empty */
    uint64_t count;
    uint64_t entries_added;
    struct stream_id last_id, first_id, max_deleted_id;
    struct stream_index groups; /* by name */
};
_Static_assert(sizeof(struct stream) == 128, "a size class");

struct stream_group {
    struct stream_id last_id;
    int64_t entries_read;
    struct stream_index pending;   /* by id; owned */
    struct stream_index consumers; /* by name */
    size_t name_len;
    char name[];
};

struct stream_consumer {
    int64_t seen_ms, active_ms;
    struct stream_index pending; /* by id; owned by the group */
    size_t name_len;
    char name[];
};

/* Adds a node with an id above all others and takes ownership of the listpack. The caller updates the counts. */
void stream_add_node(struct stream *s, struct stream_id master, unsigned char *lp);
void stream_find_first(struct stream *s); /* call after entries were added or removed */

void stream_groups_release(struct stream *s);
void stream_groups_copy(struct stream *to, const struct stream *from);
size_t stream_groups_memory(const struct stream *s);
size_t stream_groups_free_effort(const struct stream *s);
void stream_groups_check(const struct stream *s);

#endif
