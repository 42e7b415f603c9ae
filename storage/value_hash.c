/* value_hash.c -- the hash function of keys, members and names: XXH3 with a secret seed.
 * The library's header is compiled into this file: keys are short, and a call into a shared library costs as much as
 * the hash. */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "storage/value.h"

uint64_t seeded_hash(uint64_t seed, struct bytes_view name)
{
    return XXH3_64bits_withSeed(name.data, name.len, seed);
}

uint64_t key_hash(const struct value_env *env, struct bytes_view name)
{
    return XXH3_64bits_withSeed(name.data, name.len, env->key_seed);
}

uint64_t value_hash(const struct value_env *env, struct bytes_view bytes)
{
    return XXH3_64bits_withSeed(bytes.data, bytes.len, env->element_seed);
}

/* Up to this length, hashing each start on its own is cheaper than a streaming state. */
enum { SHORT_START = 240 };

void seeded_hash_starts(uint64_t seed, struct bytes_view bytes, const size_t *lengths, size_t count, uint64_t *hashes)
{
    size_t i = 0, hashed = 0;
    for (; i < count && lengths[i] <= SHORT_START; i++)
        hashes[i] = seeded_hash(seed, bytes_view(bytes.data, lengths[i]));
    if (i == count) return;
    XXH3_state_t state;
    XXH3_INITSTATE(&state);
    (void)XXH3_64bits_reset_withSeed(&state, seed); /* fails for a null pointer only; so do the updates below */
    for (; i < count; i++) {
        (void)XXH3_64bits_update(&state, bytes.data + hashed, lengths[i] - hashed);
        hashed = lengths[i];
        hashes[i] = XXH3_64bits_digest(&state);
    }
}
