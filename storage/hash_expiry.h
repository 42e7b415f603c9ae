/* hash_expiry.h -- the expiry of hash fields.
 *
 *      listpackex   [ field | value | time ] ...     in the order of the times; 0 (no expiry) comes last
 *      hashtable    items, and a heap of the items that expire; each item knows its slot in the heap
 *
 * OBJECT ENCODING reports a listpack with times as listpackex. A hash without expiring fields has neither times nor
 * heap and costs nothing more.
 *
 * A hash shows all its fields, whatever the time: a replica applies its master's commands to expired fields too.
 * Code that answers a client calls hash_is_due(), which is cheap and mostly false. If it is true, that code skips
 * fields for which hash_field_is_past() is true, or iterates with hash_iter_init_at().
 *
 * A time is Unix time in milliseconds, from 1 to HASH_TIME_MAX. A field has expired when the present time is
 * greater.
 *
 * hash_watch() puts the hash into a heap of hashes ordered by their next expiry. The hash keeps its position there
 * up to date until none of its fields expires any more. */
#ifndef LOCKSTEP_STORAGE_HASH_EXPIRY_H
#define LOCKSTEP_STORAGE_HASH_EXPIRY_H

#include "storage/hash.h"

struct time_heap;

enum { HASH_FIELD_STAYS = -1 };
#define HASH_TIME_MAX (((int64_t)1 << 48) - 2) /* the maximum in an RDB file */

bool hash_has_times(const struct hash *h);              /* true if some field has an expiry */
size_t hash_timed_fields(const struct hash *h);         /* number of fields with an expiry */
bool hash_is_due(const struct hash *h, int64_t now_ms); /* true if some field has expired */
/* False: no such field. Else *at_ms is its expiry or HASH_FIELD_STAYS. */
bool hash_get_time(const struct hash *h, struct bytes_view field, int64_t *at_ms);
bool hash_field_is_past(const struct hash *h, struct bytes_view field, int64_t now_ms);
int64_t hash_next_time(const struct hash *h); /* the earliest expiry, or HASH_FIELD_STAYS */
/* at_ms may be HASH_FIELD_STAYS. False: no such field. */
bool hash_set_time(struct hash *h, struct bytes_view field, int64_t at_ms);

size_t hash_count_past(const struct hash *h, int64_t now_ms);
/* Calls fn for each expired field until it returns false. fn must not change the hash. */
void hash_each_past(const struct hash *h, int64_t now_ms, bool (*fn)(void *ctx, struct bytes_view field), void *ctx);
/* A random field that has not expired, each with the same probability. False: there is none. value may be NULL. */
bool hash_random_at(const struct hash *h, int64_t now_ms, struct number_text buf[2], struct bytes_view *field,
                    struct bytes_view *value);

/* The listpack of fields, values and times as RDB files have it; an empty view for other encodings. */
struct bytes_view hash_timed_blob(const struct hash *h);
/* Takes ownership of a validated listpack of field, value, time, ...: as hash_from_listpack(). */
struct hash *hash_from_timed_listpack(const struct value_env *env, unsigned char *lp);

/* Does nothing if no field expires. A second call changes only the owner. The `placed` callback of the heap must be
 * hash_watch_placed(). The heap must not move in memory while it holds hashes. */
void hash_watch(struct hash *h, struct time_heap *heap, const void *owner);
void hash_unwatch(struct hash *h);
const void *hash_watch_owner(const struct hash *h);
void hash_watch_placed(void *hash, size_t slot);

#endif
