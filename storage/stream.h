/* stream.h -- the stream type: a log of entries (id, fields and values) in id order, with consumer groups.
 *
 *      nodes:  first id -> listpack { master entry | entry | entry ... }      (stream_node.h)
 *      groups: name -> { last id, pending: id -> P, consumers: name -> { pending: id -> P } }
 *
 * A node holds as many entries as stream-node-max-bytes and stream-node-max-entries allow, and never more than fixed
 * ceilings. Deleting an entry marks it in its node; a node is freed when all its entries are deleted. The stream
 * remembers the last node, so an append needs no look-up.
 *
 * A pending entry P was delivered to a consumer and is not acknowledged yet.
 *
 * Invariants (stream_check()):
 * 1. Ids of live entries ascend over all nodes; none is above last_id.
 * 2. Each pending entry is in the list of its group and in the list of exactly one consumer of that group. The group
 *    owns it. Its entry in the stream may have been deleted.
 *
 * A stream may exist without entries.
 * Ownership: groups, consumers and pending entries belong to their stream. The functions that find them take a const
 * stream; a caller that has the stream for reading only reads them.
 * Validity: views of fields, values and names are valid until the stream changes, and no longer than their iterator.
 * Files: stream.c (entries), stream_group.c (groups), stream_load.c (streams from files). */
#ifndef LOCKSTEP_STORAGE_STREAM_H
#define LOCKSTEP_STORAGE_STREAM_H

#include "storage/stream_id.h"
#include "storage/stream_index.h"
#include "storage/stream_node.h"
#include "storage/value.h"

struct stream;          /* opaque, as are the next two */
struct stream_group;    /* a consumer group */
struct stream_consumer; /* a consumer of a group */

struct stream *stream_new(const struct value_env *env);
void stream_free(struct stream *s);
struct stream *stream_dup(const struct stream *s);
size_t stream_count(const struct stream *s); /* number of entries: XLEN */
size_t stream_memory(const struct stream *s, size_t samples);
size_t stream_free_effort(const struct stream *s);

/* ---- properties of the whole stream ---- */

struct stream_id stream_last_id(const struct stream *s);        /* greatest id ever added, or the one set by XSETID */
struct stream_id stream_first_id(const struct stream *s);       /* id of the first entry; 0-0 while the stream is
                                                                 * empty */
struct stream_id stream_max_deleted_id(const struct stream *s); /* greatest id deleted by stream_delete(), or the one
                                                                 * set */
uint64_t stream_entries_added(const struct stream *s);          /* number of entries ever added, or the one set */
size_t stream_node_count(const struct stream *s);               /* XINFO's radix-tree-keys */
size_t stream_index_node_count(const struct stream *s);         /* nodes of the index over the nodes */
/* XSETID. The caller has checked that last_id is not below the id of an entry. */
void stream_set_last_id(struct stream *s, struct stream_id last_id);
void stream_set_entries_added(struct stream *s, uint64_t entries_added);
void stream_set_max_deleted_id(struct stream *s, struct stream_id id);

/* ---- entries ---- */

/* pairs: field, value, field, value ... (2 * fields views, at least one pair). The id must be greater than
 * stream_last_id(). 0, or -EFBIG for an entry too large for any node; nothing is added then. */
NODISCARD int stream_append(struct stream *s, struct stream_id id, const struct bytes_view *pairs, size_t fields);
bool stream_has(const struct stream *s, struct stream_id id);
bool stream_delete(struct stream *s, struct stream_id id); /* false: not found */
/* The first or last live entry. False: the stream is empty. */
bool stream_first_entry_id(const struct stream *s, struct stream_id *id);
bool stream_last_entry_id(const struct stream *s, struct stream_id *id);

enum stream_trim_by { STREAM_TRIM_MAXLEN, STREAM_TRIM_MINID };
struct stream_trim {
    enum stream_trim_by by;
    uint64_t max_len;        /* MAXLEN: number of entries that stay */
    struct stream_id min_id; /* MINID: entries below it are removed */
    bool approximate;        /* "~": only whole nodes are removed */
    uint64_t limit;          /* with approximate: upper limit of removed entries; 0: none */
};
uint64_t stream_trim(struct stream *s, const struct stream_trim *trim); /* returns how many entries were removed */

/*     struct stream_iter it;
 *     stream_iter_init(&it, s, from, to, reverse);
 *     while (stream_iter_next(&it, &id, &fields))
 *         for (size_t i = 0; i < fields; i++) stream_iter_pair(&it, &field, &value);
 * The caller may read fewer than `fields` pairs, but not more. Entries must not change meanwhile; groups may. */
struct stream_iter {
    struct stream_pos node;    /* leaf NULL: at the end */
    struct stream_id from, to; /* both inclusive, from <= to in both directions */
    struct stream_master master;
    struct stream_entry entry;   /* the entry returned last; `at` NULL: none of this node yet */
    const unsigned char *lp;     /* the listpack of the node */
    const unsigned char *cursor; /* next element of the entry */
    const unsigned char *field;  /* next of the master entry's fields */
    size_t left;                 /* pairs of the entry still to be read */
    bool reverse;
    struct number_text field_buf, value_buf;
};
void stream_iter_init(struct stream_iter *it, const struct stream *s, struct stream_id from, struct stream_id to,
                      bool reverse);
bool stream_iter_next(struct stream_iter *it, struct stream_id *id, size_t *fields);
/* The views are valid until the next call. */
void stream_iter_pair(struct stream_iter *it, struct bytes_view *field, struct bytes_view *value);

/* ---- groups ---- */

#define STREAM_ENTRIES_READ_UNKNOWN ((int64_t)-1)

size_t stream_group_count(const struct stream *s);
struct stream_group *stream_group_find(const struct stream *s, struct bytes_view name); /* NULL: not found */
/* NULL: the name exists. */
struct stream_group *stream_group_create(struct stream *s, struct bytes_view name, struct stream_id last_id,
                                         int64_t entries_read);
bool stream_group_destroy(struct stream *s, struct bytes_view name); /* false: not found */
/* Iterates in name order. No group may be created or destroyed meanwhile. */
struct stream_pos stream_group_first(const struct stream *s);
struct stream_group *stream_group_next(struct stream_pos *pos); /* NULL after the last */

struct bytes_view stream_group_name(const struct stream_group *g);
struct stream_id stream_group_last_id(const struct stream_group *g);
int64_t stream_group_entries_read(const struct stream_group *g); /* or STREAM_ENTRIES_READ_UNKNOWN */
size_t stream_group_pending_count(const struct stream_group *g);
size_t stream_group_consumer_count(const struct stream_group *g);
void stream_group_set_position(struct stream_group *g, struct stream_id last_id, int64_t entries_read);
/* Records that the entry with this id (greater than the group's last id) is delivered: updates last id and entries
 * read. */
void stream_group_advance(const struct stream *s, struct stream_group *g, struct stream_id id);
/* Sets *entries to the number of entries ever added up to this id. False: unknown, since some entries were deleted. */
bool stream_entries_up_to(const struct stream *s, struct stream_id id, int64_t *entries);
/* Sets *lag to the number of entries the group has not read yet. False: unknown. */
bool stream_group_lag(const struct stream *s, const struct stream_group *g, int64_t *lag);

/* ---- consumers ---- */

struct stream_consumer *stream_consumer_find(const struct stream_group *g, struct bytes_view name); /* NULL: not
                                                                                                     * found */
/* The new consumer is seen at now_ms and never active. NULL: the name exists. */
struct stream_consumer *stream_consumer_create(struct stream_group *g, struct bytes_view name, int64_t now_ms);
/* Deletes a consumer with its pending entries and returns how many these were. */
size_t stream_consumer_delete(struct stream_group *g, struct stream_consumer *c);
struct stream_pos stream_consumer_first(const struct stream_group *g); /* as for groups */
struct stream_consumer *stream_consumer_next(struct stream_pos *pos);

struct bytes_view stream_consumer_name(const struct stream_consumer *c);
size_t stream_consumer_pending_count(const struct stream_consumer *c);
int64_t stream_consumer_seen_ms(const struct stream_consumer *c);   /* last time the consumer tried to read or claim */
int64_t stream_consumer_active_ms(const struct stream_consumer *c); /* last time it got an entry; -1: never */
void stream_consumer_set_seen(struct stream_consumer *c, int64_t now_ms);
void stream_consumer_set_active(struct stream_consumer *c, int64_t now_ms);

/* ---- pending entries ---- */

struct stream_pending {
    struct stream_consumer *consumer; /* changed by stream_pending_give() only */
    int64_t delivery_ms;              /* time of the last delivery; the caller may write it */
    uint64_t delivery_count;          /* the caller may write it */
};

/* NULL: not pending in the group, or not for this consumer. */
struct stream_pending *stream_pending_find(const struct stream_group *g, struct stream_id id);
struct stream_pending *stream_pending_find_of(const struct stream_consumer *c, struct stream_id id);
/* NULL: the id is pending already. */
struct stream_pending *stream_pending_add(struct stream_group *g, struct stream_consumer *c, struct stream_id id,
                                          int64_t delivery_ms, uint64_t delivery_count);
/* Moves a pending entry (with this id) to another consumer of the group. `to` may be the present one. */
void stream_pending_give(struct stream_pending *p, struct stream_id id, struct stream_consumer *to);
bool stream_pending_remove(struct stream_group *g, struct stream_id id); /* XACK; false: not pending */
/* The lowest and highest pending id. False: none is pending. */
bool stream_pending_bounds(const struct stream_group *g, struct stream_id *first, struct stream_id *last);

/* Iterates upwards from an id. Pending entries may come and go meanwhile: the iterator continues behind the last id. */
struct stream_pending_iter {
    const struct stream_index *index;
    struct stream_pos pos;
    struct stream_id id; /* the next id, or the last one returned */
    uint32_t changes;
    bool started;
};
void stream_pending_iter_init(struct stream_pending_iter *it, const struct stream_group *g, struct stream_id from);
void stream_pending_iter_init_of(struct stream_pending_iter *it, const struct stream_consumer *c,
                                 struct stream_id from);
struct stream_pending *stream_pending_iter_next(struct stream_pending_iter *it, struct stream_id *id); /* NULL at the
                                                                                                        * end */

/* ---- files ---- */

/* Iterates over the nodes in order: the id of each and its bytes. */
struct stream_pos stream_nodes_first(const struct stream *s);
bool stream_nodes_next(struct stream_pos *pos, struct stream_id *master, struct bytes_view *listpack);
struct stream_loading {      /* the state of loading one stream; zeros at first */
    struct stream_id master; /* id of the last node */
    bool has_nodes;          /* true after the first node, even one without live entries */
    bool disordered;         /* at the end the entries must be sorted into new nodes */
};
/* Adds the next node of a file. The bytes are borrowed and not trusted. NULL, or what is wrong. */
NODISCARD const char *stream_load_node(struct stream *s, struct stream_loading *l, struct stream_id master,
                                       struct bytes_view listpack);
/* Call after the last node, with the totals of the file. NULL, or what is wrong. */
NODISCARD const char *stream_load_totals(struct stream *s, const struct stream_loading *l, uint64_t count,
                                         struct stream_id last_id);
/* A file lists the pending entries of a group before its consumers. The reader calls stream_pending_add() with a
 * NULL consumer, then stream_load_claim() for each id that a consumer lists. False: not pending, or claimed already. */
NODISCARD bool stream_load_claim(struct stream_group *g, struct stream_consumer *c, struct stream_id id);
/* True if every pending entry has its consumer. */
bool stream_load_group_is_whole(const struct stream_group *g);

void stream_check(const struct stream *s);

#endif
