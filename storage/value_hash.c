/* The library's header compiled into this one file: keys are short, and a call into a shared library costs as much as
 * the hash. */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "storage/value.h"

uint64_t value_hash(const struct value_env *env, struct bytes_view bytes)
{
    return XXH3_64bits_withSeed(bytes.data, bytes.len, env->hash_seed);
}
