/* bench_zset.c -- sorted sets of a million members: time per operation and memory per member.
 *   make build/release/bench/bench_zset && build/release/bench/bench_zset [members] */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "storage/base/memory.h"
#include "storage/zset.h"

struct bench {
    struct encoding_limits limits;
    struct rng rng;
    struct value_env env;
    uint32_t *order; /* numbers below n, shuffled */
    size_t n;
    double started; /* ns */
};

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void start(struct bench *b)
{
    b->started = now_ns();
}

static void report(struct bench *b, const char *what, size_t ops)
{
    printf("  %-28s %7.0f ns\n", what, (now_ns() - b->started) / (double)ops);
}

static struct bytes_view member(char buf[32], size_t number)
{
    int len = snprintf(buf, 32, "element:%012zu", number); /* the format of redis-benchmark -r */
    return bytes_view(buf, (size_t)len);
}

static void shuffle(struct bench *b)
{
    for (size_t i = b->n - 1; i > 0; i--) {
        size_t j = rng_below(&b->rng, i + 1);
        uint32_t swap = b->order[i];
        b->order[i] = b->order[j];
        b->order[j] = swap;
    }
}

/* Measures the time to make a member's text, which is as long as that of some operations. */
static void bench_names(struct bench *b)
{
    char buf[32];
    size_t sum = 0;
    start(b);
    for (size_t i = 0; i < b->n; i++) sum += (unsigned char)member(buf, b->order[i]).data[19];
    report(b, sum > 0 ? "(making a name)" : "", b->n);
}

static void bench_updates(struct bench *b, struct zset *z)
{
    char buf[32];
    double score;
    shuffle(b);
    start(b);
    for (size_t i = 0; i < b->n; i++) {
        struct bytes_view m = member(buf, b->order[i]);
        if (zset_score(z, m, &score)) (void)zset_set(z, m, score + 1e-9); /* mostly keeps the order */
    }
    report(b, "score + a little", b->n);
    shuffle(b);
    start(b);
    for (size_t i = 0; i < b->n; i++) (void)zset_set(z, member(buf, b->order[i]), (double)rng_below(&b->rng, 1u << 30));
    report(b, "another score", b->n);
}

static void bench_reads(struct bench *b, const struct zset *z)
{
    char buf[32];
    struct bytes_view m;
    double score = 0, sum = 0;
    size_t rank = 0, ranks = 0;
    shuffle(b);
    start(b);
    for (size_t i = 0; i < b->n; i++) sum += zset_score(z, member(buf, b->order[i]), &score) ? score : 0;
    report(b, "score", b->n);
    shuffle(b);
    start(b);
    for (size_t i = 0; i < b->n; i++) ranks += zset_rank(z, member(buf, b->order[i]), &rank, &score) ? rank : 0;
    report(b, "rank", b->n);
    struct zset_iter it;
    start(b);
    for (zset_iter_init(&it, z, 0, false); zset_iter_next(&it, &m, &score);) sum += score + m.data[0];
    report(b, "walk", b->n);
    if (sum == 0 || ranks == 0) printf("\n");
}

static double score_zero(struct bench *b, size_t i)
{
    return 0;
}
static double score_random(struct bench *b, size_t i)
{
    return (double)(rng_next(&b->rng) >> 11) / 9007199254740992.0;
}
static double score_million(struct bench *b, size_t i)
{
    return (double)rng_below(&b->rng, 1000000);
}
static double score_clock(struct bench *b, size_t i)
{
    return 1.7e12 + (double)i;
}

static void bench_scores(struct bench *b, const char *what, double (*score)(struct bench *b, size_t i))
{
    char buf[32];
    printf("%s\n", what);
    size_t before = mem_used();
    struct zset *z = zset_new(&b->env, 0, 0);
    shuffle(b);
    start(b);
    for (size_t i = 0; i < b->n; i++) (void)zset_set(z, member(buf, b->order[i]), score(b, i));
    report(b, "insert", b->n);
    printf("  %-28s %7.1f bytes (counted: %.1f)\n", "memory", (double)(mem_used() - before) / (double)b->n,
           (double)zset_memory(z, 0) / (double)b->n);
    bench_reads(b, z);
    bench_updates(b, z);
    printf("  %-28s %7.1f bytes\n", "memory after updates", (double)(mem_used() - before) / (double)b->n);
    shuffle(b);
    start(b);
    for (size_t i = 0; i < b->n / 2; i++) (void)zset_remove(z, member(buf, b->order[i]));
    report(b, "remove", b->n / 2);
    start(b);
    size_t left = zset_count(z);
    for (size_t i = 0; i < left / 2; i++) (void)zset_remove_range(z, 0, 1);
    report(b, "pop the lowest", left / 2);
    start(b);
    left = zset_count(z);
    (void)zset_remove_range(z, 0, left); /* removes all members: the count is known */
    report(b, "remove a range, each", left);
    zset_free(z);
}

int main(int argc, char **argv)
{
    struct bench b = {.n = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000000};
    mem_thread_register();
    b.limits = encoding_limits_default();
    rng_seed(&b.rng, 1);
    b.env = (struct value_env){.key_seed = 1, .element_seed = 1, .limits = &b.limits, .rng = &b.rng};
    b.order = mem_alloc(b.n * sizeof(b.order[0]));
    for (size_t i = 0; i < b.n; i++) b.order[i] = (uint32_t)i;
    shuffle(&b);
    bench_names(&b);
    bench_scores(&b, "score 0 for all", score_zero);
    bench_scores(&b, "random scores", score_random);
    bench_scores(&b, "scores below a million", score_million);
    bench_scores(&b, "rising scores", score_clock);
    mem_free(b.order);
    return 0;
}
