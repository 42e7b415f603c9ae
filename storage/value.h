/* value.h -- what every value type shares: the type and encoding a client sees, and what a value needs from around it.
 *
 * A value is `void *` to a struct set, hash, list, zset or stream, or the string forms that storage/entry.h keeps. Each
 * type has its own header and hides its encodings: callers ask set_add(), never which representation is there. */
#ifndef LOCKSTEP_STORAGE_VALUE_H
#define LOCKSTEP_STORAGE_VALUE_H

#include "storage/base/bytes.h"
#include "storage/base/sys.h"
#include "storage/limits.h"

enum value_type { /* the numbers fit in four bits; the order is Redis's */
                  TYPE_STRING = 0,
                  TYPE_LIST = 1,
                  TYPE_SET = 2,
                  TYPE_ZSET = 3,
                  TYPE_HASH = 4,
                  TYPE_STREAM = 6,
};

enum value_encoding { /* what OBJECT ENCODING says; four bits */
                      ENCODING_RAW = 0,
                      ENCODING_INT,
                      ENCODING_EMBSTR,
                      ENCODING_LISTPACK,
                      ENCODING_QUICKLIST,
                      ENCODING_INTSET,
                      ENCODING_HASHTABLE,
                      ENCODING_SKIPLIST,
                      ENCODING_STREAM,
                      ENCODING_LISTPACK_EX, /* a hash with fields that may expire */
};

const char *value_type_name(enum value_type type);             /* "string", "list", ... as TYPE says */
const char *value_encoding_name(enum value_encoding encoding); /* as OBJECT ENCODING says */

/* What values need from the process around them. One per keyspace; it outlives every value made with it. */
struct value_env {
    uint64_t hash_seed;                   /* secret of this process: XXH3_64bits_withSeed() */
    const struct encoding_limits *limits; /* live configuration */
    struct rng *rng;
};

/* Where a getter writes a number it has to turn into text; the returned view points into it or into the value. */
struct number_text {
    char text[24];
};

uint64_t value_hash(const struct value_env *env, struct bytes_view bytes);
/* The same for the first lengths[i] bytes, for `count` lengths in ascending order, none above bytes.len: reads the
 * bytes once, not once for each length. */
void value_hash_starts(const struct value_env *env, struct bytes_view bytes, const size_t *lengths, size_t count,
                       uint64_t *hashes);

/* For batched dispatch: starts loading what a look-up of this member (or field) touches. Two steps, for many
 * collections the first, then for all the second, which reads what the first has brought. Nothing for types without
 * members to look up. */
void value_prefetch(enum value_type type, const void *value, struct bytes_view member, int step);

/* Operations on a collection of any type, by its type; strings are the entry's. */
void value_free(enum value_type type, void *value);
void *value_dup(enum value_type type, const void *value); /* deep copy */
size_t value_count(enum value_type type, const void *value);
enum value_encoding value_encoding_of(enum value_type type, const void *value);
/* Bytes taken; samples > 0 estimates from so many elements as MEMORY USAGE does, 0 counts all. */
size_t value_memory(enum value_type type, const void *value, size_t samples);
/* How much work freeing takes (number of allocations): what decides between here and the lazy-free thread. */
size_t value_free_effort(enum value_type type, const void *value);

#endif
