/* bench_table.c -- the time of one table operation, and bytes per entry, at sizes on and between powers of two.
 *     bench_table [entries ...]        default: 1000000 1300000 1500000 1900000 10000000
 * Entries are allocations of 48 bytes with a 16-byte key, like small keys of a keyspace; hashing is included. */
#include "storage/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

#include "storage/base/memory.h"
#include "storage/base/sys.h"

#define KEY_BYTES 16
#define BATCH_MAX 64
#define LOOKUPS   2000000
#define HASH_SEED 0x5ca1ab1e

struct entry {
    char header[8];
    char key[KEY_BYTES];
    char value[24];
};

struct bench {
    struct table table;
    struct rng rng;
    size_t entries;
};

static uint64_t hash_key(const char *key)
{
    return XXH3_64bits_withSeed(key, KEY_BYTES, HASH_SEED);
}

static uint64_t hash_entry(const void *ctx, const void *entry)
{
    (void)ctx;
    return hash_key(((const struct entry *)entry)->key);
}

static void make_key(char *key, size_t number)
{
    memcpy(key, "key:0000", 8);
    memcpy(key + 8, &number, 8);
}

static struct entry *find(const struct table *t, const char *key, uint64_t hash, struct table_pos *pos)
{
    struct table_probe p;
    table_probe_start(&p, t, hash);
    for (struct entry *e; (e = table_probe_next(&p)) != NULL;) {
        if (memcmp(e->key, key, KEY_BYTES) != 0) continue;
        *pos = p.pos;
        return e;
    }
    return NULL;
}

static double seconds(void)
{
    return (double)sys_mono_us(sys_real()) / 1e6;
}

static void report(const struct bench *b, const char *what, double start, size_t ops)
{
    printf("%9zu  %-28s %7.1f ns\n", b->entries, what, (seconds() - start) * 1e9 / (double)ops);
}

static void run_insert(struct bench *b)
{
    struct entry **made = mem_alloc(b->entries * sizeof(*made));
    for (size_t i = 0; i < b->entries; i++) {
        made[i] = mem_alloc(sizeof(**made));
        make_key(made[i]->key, i);
    }
    for (size_t i = b->entries; i > 1; i--) { /* shuffled: neighbours in memory are not used in turn */
        size_t j = rng_below(&b->rng, i);
        struct entry *e = made[i - 1];
        made[i - 1] = made[j];
        made[j] = e;
    }
    double start = seconds();
    for (size_t i = 0; i < b->entries; i++) table_insert(&b->table, hash_key(made[i]->key), made[i]);
    report(b, "insert", start, b->entries);
    mem_free(made);
}

/* Looks up keys from `first` on: 0 gives hits, the number of entries gives misses. */
static void run_find(struct bench *b, const char *what, size_t first)
{
    size_t found = 0;
    struct table_pos pos;
    double start = seconds();
    for (size_t i = 0; i < LOOKUPS; i++) {
        char key[KEY_BYTES];
        make_key(key, first + rng_below(&b->rng, b->entries));
        found += find(&b->table, key, hash_key(key), &pos) != NULL;
    }
    report(b, what, start, LOOKUPS);
    if (found != (first == 0 ? LOOKUPS : 0)) abort();
}

static void run_find_batched(struct bench *b, const char *what, size_t first, size_t batch)
{
    char keys[BATCH_MAX][KEY_BYTES];
    uint64_t hashes[BATCH_MAX];
    size_t found = 0, rounds = LOOKUPS / batch;
    struct table_pos pos;
    double start = seconds();
    for (size_t round = 0; round < rounds; round++) {
        for (size_t i = 0; i < batch; i++) {
            make_key(keys[i], first + rng_below(&b->rng, b->entries));
            hashes[i] = hash_key(keys[i]);
            table_prefetch_bucket(&b->table, hashes[i]);
        }
        for (size_t i = 0; i < batch; i++) table_prefetch_entries(&b->table, hashes[i]);
        for (size_t i = 0; i < batch; i++) found += find(&b->table, keys[i], hashes[i], &pos) != NULL;
    }
    char label[64];
    snprintf(label, sizeof(label), "%s, batches of %zu", what, batch);
    report(b, label, start, rounds * batch);
    if (found != (first == 0 ? rounds * batch : 0)) abort();
}

static void run_random(struct bench *b)
{
    uintptr_t sum = 0;
    double start = seconds();
    for (size_t i = 0; i < LOOKUPS / 4; i++) sum += (uintptr_t)table_random(&b->table, &b->rng);
    report(b, "random", start, LOOKUPS / 4);
    void *out[5];
    start = seconds();
    for (size_t i = 0; i < LOOKUPS / 4; i++) sum += table_sample(&b->table, &b->rng, out, 5);
    report(b, "sample of 5", start, LOOKUPS / 4);
    if (sum == 0) abort();
}

static void run_iterate(struct bench *b)
{
    struct table_iter it;
    size_t seen = 0;
    table_iter_init(&it, &b->table);
    double start = seconds();
    while (table_iter_next(&it) != NULL) seen++;
    report(b, "iterate", start, seen);
    if (seen != b->entries) abort();
}

static void run_remove(struct bench *b)
{
    double start = seconds();
    for (size_t i = 0; i < b->entries; i++) {
        char key[KEY_BYTES];
        struct table_pos pos;
        make_key(key, i);
        uint64_t hash = hash_key(key);
        if (find(&b->table, key, hash, &pos) == NULL) abort();
        mem_free_sized(table_remove_at(&b->table, hash, pos), sizeof(struct entry));
    }
    report(b, "find, remove and free", start, b->entries);
}

static void report_shape(const struct bench *b)
{
    struct table_stats s;
    table_get_stats(&b->table, &s);
    printf("%9zu  %.2f bytes per entry, %.1f%% of the entries need a second line, %.1f%% of the buckets have a chain, "
           "longest %zu\n",
           b->entries, (double)table_memory(&b->table) / (double)b->entries,
           100.0 * (double)s.chained_entries / (double)s.entries, 100.0 * (double)s.chains / (double)s.buckets,
           s.longest);
}

static void run(size_t entries)
{
    struct bench b = {.entries = entries};
    rng_seed(&b.rng, entries);
    table_init(&b.table, hash_entry, NULL);
    run_insert(&b);
    report_shape(&b);
    run_find(&b, "find, hit", 0);
    run_find(&b, "find, miss", entries);
    for (size_t batch = 16; batch <= BATCH_MAX; batch *= 2) {
        run_find_batched(&b, "find, hit", 0, batch);
        run_find_batched(&b, "find, miss", entries, batch);
    }
    run_random(&b);
    run_iterate(&b);
    run_remove(&b);
    printf("\n");
}

int main(int argc, char **argv)
{
    static const size_t sizes[] = {1000000, 1300000, 1500000, 1900000, 10000000};
    for (int i = 1; i < argc; i++) run(strtoull(argv[i], NULL, 10));
    if (argc == 1)
        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) run(sizes[i]);
    return 0;
}
