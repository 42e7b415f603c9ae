/* hash_expiry.h -- fields of a hash that expire.
 *
 * A listpack gets a time behind each field and is kept in their order (OBJECT ENCODING says listpackex from then on). A
 * table's items get a place for their slot in a heap of times. A hash without such fields has neither, and pays
 * nothing.
 *
 * By itself a hash shows all its fields, whatever the clock says: a replica applies what its master sends to fields
 * that are past their time. Whoever answers a client asks hash_is_due(), which is cheap and mostly false, and then
 * leaves out what hash_field_is_past() says, or walks with hash_iter_init_at().
 *
 * A time is Unix time in milliseconds, 1 to HASH_TIME_MAX. A field is past its time when the clock is beyond it.
 *
 * hash_watch() puts a hash under observation: it then stands in a heap of hashes by the next of its times, and keeps
 * its place there right whatever happens to its fields, until no field expires any more. */
#ifndef LOCKSTEP_STORAGE_HASH_EXPIRY_H
#define LOCKSTEP_STORAGE_HASH_EXPIRY_H

#include "storage/hash.h"

struct time_heap;

enum { HASH_FIELD_STAYS = -1 };
#define HASH_TIME_MAX (((int64_t)1 << 48) - 2) /* that a file may have */

bool hash_has_times(const struct hash *h);              /* some field expires */
size_t hash_timed_fields(const struct hash *h);         /* how many do */
bool hash_is_due(const struct hash *h, int64_t now_ms); /* some field is past its time */
/* False: no such field, else *at_ms is its time or HASH_FIELD_STAYS. */
bool hash_get_time(const struct hash *h, struct bytes_view field, int64_t *at_ms);
bool hash_field_is_past(const struct hash *h, struct bytes_view field, int64_t now_ms);
int64_t hash_next_time(const struct hash *h); /* the earliest, or HASH_FIELD_STAYS */
/* at_ms may be HASH_FIELD_STAYS. False: no such field. */
bool hash_set_time(struct hash *h, struct bytes_view field, int64_t at_ms);

size_t hash_count_past(const struct hash *h, int64_t now_ms);
/* Calls fn for fields past their time, until it answers false. fn must not change the hash. */
void hash_each_past(const struct hash *h, int64_t now_ms, bool (*fn)(void *ctx, struct bytes_view field), void *ctx);
/* A field that is not past its time, each with the same chance. False: there is none. value may be NULL. */
bool hash_random_at(const struct hash *h, int64_t now_ms, struct number_text buf[2], struct bytes_view *field,
                    struct bytes_view *value);

/* Fields with their values and times as RDB carries them; an empty view if this is no listpack with times. */
struct bytes_view hash_timed_blob(const struct hash *h);
/* Takes a validated listpack of field, value, time, ...: as hash_from_listpack(). */
struct hash *hash_from_timed_listpack(const struct value_env *env, unsigned char *lp);

/* Nothing happens if no field expires. Once more: only the owner is another now. `placed` of the heap has to be
 * hash_watch_placed(). The heap must stay where it is in memory while it has hashes. */
void hash_watch(struct hash *h, struct time_heap *heap, const void *owner);
void hash_unwatch(struct hash *h);
const void *hash_watch_owner(const struct hash *h);
void hash_watch_placed(void *hash, size_t slot);

#endif
