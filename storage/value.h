/* value.h -- what all value types share: type and encoding names, environment, operations by type.
 *
 * A value is a `void *` to a struct set, hash, list, zset or stream; strings have the forms of storage/entry.h. Each
 * type has its own header and hides its encodings: callers use set_add(), never the representation.
 * Ownership: collections belong to the entry that points to them. */
#ifndef LOCKSTEP_STORAGE_VALUE_H
#define LOCKSTEP_STORAGE_VALUE_H

#include "storage/base/bytes.h"
#include "storage/base/sys.h"
#include "storage/limits.h"

enum value_type { /* fit in four bits; numbered as in Redis */
                  TYPE_STRING = 0,
                  TYPE_LIST = 1,
                  TYPE_SET = 2,
                  TYPE_ZSET = 3,
                  TYPE_HASH = 4,
                  TYPE_STREAM = 6,
};

enum value_encoding { /* as OBJECT ENCODING reports it; fits in four bits */
                      ENCODING_RAW = 0,
                      ENCODING_INT,
                      ENCODING_EMBSTR,
                      ENCODING_LISTPACK,
                      ENCODING_QUICKLIST,
                      ENCODING_INTSET,
                      ENCODING_HASHTABLE,
                      ENCODING_SKIPLIST,
                      ENCODING_STREAM,
                      ENCODING_LISTPACK_EX, /* a hash whose fields may expire */
};

const char *value_type_name(enum value_type type);             /* the reply of TYPE: "string", "list", ... */
const char *value_encoding_name(enum value_encoding encoding); /* the reply of OBJECT ENCODING */

/* What keys and values need from the process. It belongs to a data set, outlives all values made with it, and goes to
 * another keyspace with them (keyspace_swap_data()). Both seeds come from one secret (hash_secret.h). */
struct value_env {
    uint64_t key_seed;                    /* of the hash of key names */
    uint64_t element_seed;                /* of the hash of members and fields */
    const struct encoding_limits *limits; /* the current configuration */
    struct rng *rng;
};

/* Room for a number that a getter formats as text. The returned view points into it or into the value. */
struct number_text {
    char text[24];
};

uint64_t key_hash(const struct value_env *env, struct bytes_view name);    /* of a key */
uint64_t value_hash(const struct value_env *env, struct bytes_view bytes); /* of a member or field */
/* For tables of names that outlive a data set (channels, watched keys): they have a seed of their own, since a
 * synchronization replaces the environment. */
uint64_t seeded_hash(uint64_t seed, struct bytes_view name);
/* The hashes of the first lengths[i] bytes, for `count` lengths in ascending order, none above bytes.len. Reads the
 * bytes once, not once per length. */
void seeded_hash_starts(uint64_t seed, struct bytes_view bytes, const size_t *lengths, size_t count, uint64_t *hashes);

/* For batched dispatch: prefetches what a look-up of this member or field reads. Call it with step 0 for many
 * collections, then with step 1 for all of them. Does nothing for types without members. */
void value_prefetch(enum value_type type, const void *value, struct bytes_view member, int step);

/* Operations on a collection by its type. Strings are handled by the entry. */
void value_free(enum value_type type, void *value);
void *value_dup(enum value_type type, const void *value); /* deep copy */
size_t value_count(enum value_type type, const void *value);
enum value_encoding value_encoding_of(enum value_type type, const void *value);
/* Bytes in use; samples > 0: estimated from that many elements, as MEMORY USAGE does; 0: all are counted. */
size_t value_memory(enum value_type type, const void *value, size_t samples);
/* Number of allocations to free, by which callers choose between freeing in place and the lazy-free thread. */
size_t value_free_effort(enum value_type type, const void *value);

#endif
