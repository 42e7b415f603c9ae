/* limits.h -- the thresholds at which a collection leaves its compact encoding.
 *
 * Plain numbers: the configuration writes them, and the value types read them on every write. They count elements or
 * bytes, as the directive of the same name does. The types have hard ceilings besides. */
#ifndef LOCKSTEP_STORAGE_LIMITS_H
#define LOCKSTEP_STORAGE_LIMITS_H

#include <stddef.h>

struct encoding_limits {
    size_t hash_max_entries; /* hash-max-listpack-entries */
    size_t hash_max_value;   /* hash-max-listpack-value */
    size_t set_max_intset_entries;
    size_t set_max_listpack_entries;
    size_t set_max_listpack_value;
    size_t zset_max_entries;   /* zset-max-listpack-entries */
    size_t zset_max_value;     /* zset-max-listpack-value */
    size_t stream_max_bytes;   /* stream-node-max-bytes; 0: no limit */
    size_t stream_max_entries; /* stream-node-max-entries; 0: no limit */
    size_t hll_sparse_max_bytes;
    int list_max_listpack_size; /* > 0: elements per node; -1..-5: 4, 8, 16, 32, 64 KiB per node */
    int list_compress_depth;    /* nodes at each end left uncompressed; 0: no compression */
    size_t list_plain_min;      /* for tests: elements of at least this size get a node of their own; 0: when they
                                 * need one */
};

static inline struct encoding_limits encoding_limits_default(void)
{
    return (struct encoding_limits){
        .hash_max_entries = 512,
        .hash_max_value = 64,
        .set_max_intset_entries = 512,
        .set_max_listpack_entries = 128,
        .set_max_listpack_value = 64,
        .zset_max_entries = 128,
        .zset_max_value = 64,
        .stream_max_bytes = 4096,
        .stream_max_entries = 100,
        .hll_sparse_max_bytes = 3000,
        .list_max_listpack_size = -2,
        .list_compress_depth = 0,
    };
}

#endif
