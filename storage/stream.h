/* stream.h -- a log of entries {id, fields and values} in the order of ids, and groups of consumers that read it.
 *
 *     nodes:  first id -> listpack { master entry | entry | entry ... }      (stream_node.h)
 *     groups: name -> { last id, pending: id -> P, consumers: name -> { pending: id -> P } }
 *
 * A node holds as many entries as stream-node-max-bytes and -entries say, and never more than hard ceilings. A deleted
 * entry is marked in its node; a node whose entries are all deleted goes. The last node is remembered, so an append
 * costs no look-up.
 *
 * A pending entry P was delivered to a consumer and not acknowledged. It is in the list of its group and in the list of
 * exactly one consumer of that group. The group owns it. Its entry in the stream may be deleted meanwhile.
 *
 * A stream may be empty and still exist. Groups, consumers and pending entries belong to the stream they are in. They
 * are found through a const stream too; whoever has the stream for reading only reads them.
 * Views of fields, values and names live until the next change of the stream, or as long as the iterator. */
#ifndef LOCKSTEP_STORAGE_STREAM_H
#define LOCKSTEP_STORAGE_STREAM_H

#include "storage/stream_id.h"
#include "storage/stream_index.h"
#include "storage/stream_node.h"
#include "storage/value.h"

struct stream;          /* opaque, as are these */
struct stream_group;    /* of consumers */
struct stream_consumer; /* that it keeps pending entries for */

struct stream *stream_new(const struct value_env *env);
void stream_free(struct stream *s);
struct stream *stream_dup(const struct stream *s);
size_t stream_count(const struct stream *s); /* entries: XLEN */
size_t stream_memory(const struct stream *s, size_t samples);
size_t stream_free_effort(const struct stream *s);

/* ---- what is known of all of it ---- */

struct stream_id stream_last_id(const struct stream *s);        /* greatest id ever added, or set */
struct stream_id stream_first_id(const struct stream *s);       /* of the first entry; 0-0 while empty */
struct stream_id stream_max_deleted_id(const struct stream *s); /* greatest id deleted by stream_delete(), or set */
uint64_t stream_entries_added(const struct stream *s);          /* ever, or as set */
size_t stream_node_count(const struct stream *s);               /* XINFO's radix-tree-keys */
size_t stream_index_node_count(const struct stream *s);         /* nodes of the index over them */
/* XSETID. The caller has checked that last_id is not below that of any entry. */
void stream_set_last_id(struct stream *s, struct stream_id last_id);
void stream_set_entries_added(struct stream *s, uint64_t entries_added);
void stream_set_max_deleted_id(struct stream *s, struct stream_id id);

/* ---- entries ---- */

/* pairs: field, value, field, value ... (2 * fields views, at least one pair). The id must be greater than
 * stream_last_id(). 0, or -EFBIG for an entry too large for any node (nothing is added then). */
NODISCARD int stream_append(struct stream *s, struct stream_id id, const struct bytes_view *pairs, size_t fields);
bool stream_has(const struct stream *s, struct stream_id id);
bool stream_delete(struct stream *s, struct stream_id id); /* false: not there */
/* The first or last entry there is, deleted ones not counted. False while empty. */
bool stream_first_entry_id(const struct stream *s, struct stream_id *id);
bool stream_last_entry_id(const struct stream *s, struct stream_id *id);

enum stream_trim_by { STREAM_TRIM_MAXLEN, STREAM_TRIM_MINID };
struct stream_trim {
    enum stream_trim_by by;
    uint64_t max_len;        /* MAXLEN: how many entries may stay */
    struct stream_id min_id; /* MINID: entries below go */
    bool approximate;        /* "~": whole nodes only */
    uint64_t limit;          /* with approximate: no more than so many entries go; 0: no limit */
};
uint64_t stream_trim(struct stream *s, const struct stream_trim *trim); /* how many went */

/*     struct stream_iter it;
 *     stream_iter_init(&it, s, from, to, reverse);
 *     while (stream_iter_next(&it, &id, &fields))
 *         for (size_t i = 0; i < fields; i++) stream_iter_pair(&it, &field, &value);
 * The pairs need not be taken, but no more than `fields` of them. No change of entries meanwhile (groups may change).
 */
struct stream_iter {
    struct stream_pos node;    /* leaf NULL: at the end */
    struct stream_id from, to; /* both inclusive, from below to, whatever the direction */
    struct stream_master master;
    struct stream_entry entry;   /* given last; its `at` NULL: none of this node was yet */
    const unsigned char *lp;     /* of the node */
    const unsigned char *cursor; /* the next element of the entry */
    const unsigned char *field;  /* the next of the master's fields */
    size_t left;                 /* pairs of the entry to come */
    bool reverse;
    struct number_text field_buf, value_buf;
};
void stream_iter_init(struct stream_iter *it, const struct stream *s, struct stream_id from, struct stream_id to,
                      bool reverse);
bool stream_iter_next(struct stream_iter *it, struct stream_id *id, size_t *fields);
/* The views live until the next call. */
void stream_iter_pair(struct stream_iter *it, struct bytes_view *field, struct bytes_view *value);

/* ---- groups ---- */

#define STREAM_ENTRIES_READ_UNKNOWN ((int64_t)-1)

size_t stream_group_count(const struct stream *s);
struct stream_group *stream_group_find(const struct stream *s, struct bytes_view name); /* NULL: none */
/* NULL: there is one of that name. */
struct stream_group *stream_group_create(struct stream *s, struct bytes_view name, struct stream_id last_id,
                                         int64_t entries_read);
bool stream_group_destroy(struct stream *s, struct bytes_view name); /* false: none */
/* In the order of names. No group may come or go meanwhile. */
struct stream_pos stream_group_first(const struct stream *s);
struct stream_group *stream_group_next(struct stream_pos *pos); /* NULL after the last */

struct bytes_view stream_group_name(const struct stream_group *g);
struct stream_id stream_group_last_id(const struct stream_group *g);
int64_t stream_group_entries_read(const struct stream_group *g); /* or STREAM_ENTRIES_READ_UNKNOWN */
size_t stream_group_pending_count(const struct stream_group *g);
size_t stream_group_consumer_count(const struct stream_group *g);
void stream_group_set_position(struct stream_group *g, struct stream_id last_id, int64_t entries_read);
/* The entry with this id, greater than the group's last, goes to a consumer: last id and entries read follow. */
void stream_group_advance(const struct stream *s, struct stream_group *g, struct stream_id id);
/* Position of an entry among all that were ever added; false: cannot be told, since some were deleted. */
bool stream_entries_up_to(const struct stream *s, struct stream_id id, int64_t *entries);
/* How many entries the group has not read yet. False: cannot be told. */
bool stream_group_lag(const struct stream *s, const struct stream_group *g, int64_t *lag);

/* ---- consumers ---- */

struct stream_consumer *stream_consumer_find(const struct stream_group *g, struct bytes_view name); /* NULL: none */
/* Seen now, not yet active. NULL: there is one of that name. */
struct stream_consumer *stream_consumer_create(struct stream_group *g, struct bytes_view name, int64_t now_ms);
/* With what is pending for it; how many that were. The consumer is gone. */
size_t stream_consumer_delete(struct stream_group *g, struct stream_consumer *c);
struct stream_pos stream_consumer_first(const struct stream_group *g); /* as for groups */
struct stream_consumer *stream_consumer_next(struct stream_pos *pos);

struct bytes_view stream_consumer_name(const struct stream_consumer *c);
size_t stream_consumer_pending_count(const struct stream_consumer *c);
int64_t stream_consumer_seen_ms(const struct stream_consumer *c);   /* it last tried something */
int64_t stream_consumer_active_ms(const struct stream_consumer *c); /* it last got something; -1: never */
void stream_consumer_set_seen(struct stream_consumer *c, int64_t now_ms);
void stream_consumer_set_active(struct stream_consumer *c, int64_t now_ms);

/* ---- pending entries ---- */

struct stream_pending {
    struct stream_consumer *consumer; /* written by stream_pending_give() alone */
    int64_t delivery_ms;              /* the last time; write at will */
    uint64_t delivery_count;          /* likewise */
};

/* NULL: not pending in the group, or not for that consumer. */
struct stream_pending *stream_pending_find(const struct stream_group *g, struct stream_id id);
struct stream_pending *stream_pending_find_of(const struct stream_consumer *c, struct stream_id id);
/* NULL: it is pending already. */
struct stream_pending *stream_pending_add(struct stream_group *g, struct stream_consumer *c, struct stream_id id,
                                          int64_t delivery_ms, uint64_t delivery_count);
/* Moves what is pending (with this id) to another consumer of the group, or leaves it with the one that has it. */
void stream_pending_give(struct stream_pending *p, struct stream_id id, struct stream_consumer *to);
bool stream_pending_remove(struct stream_group *g, struct stream_id id); /* XACK; false: not pending */
/* The least and the greatest id pending; false: nothing is. */
bool stream_pending_bounds(const struct stream_group *g, struct stream_id *first, struct stream_id *last);

/* Walks upwards from an id. What is pending may change meanwhile; the walk goes on behind the id given last. */
struct stream_pending_iter {
    const struct stream_index *index;
    struct stream_pos pos;
    struct stream_id id; /* next, or given last */
    uint32_t changes;
    bool started;
};
void stream_pending_iter_init(struct stream_pending_iter *it, const struct stream_group *g, struct stream_id from);
void stream_pending_iter_init_of(struct stream_pending_iter *it, const struct stream_consumer *c,
                                 struct stream_id from);
struct stream_pending *stream_pending_iter_next(struct stream_pending_iter *it, struct stream_id *id); /* NULL: end */

/* ---- files ---- */

/* The nodes in order: their first id and their bytes. */
struct stream_pos stream_nodes_first(const struct stream *s);
bool stream_nodes_next(struct stream_pos *pos, struct stream_id *master, struct bytes_view *listpack);
struct stream_loading {      /* of one stream; zeros at first */
    struct stream_id master; /* of the last node taken */
    bool has_nodes;          /* one was taken, perhaps without live entries */
    bool disordered;         /* entries are to be sorted, and put into new nodes, at the end */
};
/* Takes the next node from outside, whose bytes (borrowed) are not trusted. NULL, or what is wrong. */
NODISCARD const char *stream_load_node(struct stream *s, struct stream_loading *l, struct stream_id master,
                                       struct bytes_view listpack);
/* After the last node: what the file says besides. NULL, or what is wrong. */
NODISCARD const char *stream_load_totals(struct stream *s, const struct stream_loading *l, uint64_t count,
                                         struct stream_id last_id);
/* A file has a group's pending entries before its consumers: stream_pending_add() with a NULL consumer, then
 * stream_load_claim() for each id that a consumer has. False: nobody's, or another's already. */
NODISCARD bool stream_load_claim(struct stream_group *g, struct stream_consumer *c, struct stream_id id);
/* Whether each pending entry has found its consumer. */
bool stream_load_group_is_whole(const struct stream_group *g);

void stream_check(const struct stream *s);

#endif
