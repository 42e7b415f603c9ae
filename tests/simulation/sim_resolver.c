/* sim_resolver.c -- the name server of the simulated world; stands in place of server/net/resolver.c.
 *
 * It knows each host by its name. Answers take a while, some a long one, and some queries fail although the name exists. */
#include "server/net/resolver.h"

#include <arpa/inet.h>
#include <string.h>

#include "storage/base/assert.h"
#include "storage/base/memory.h"
#include "tests/simulation/network.h"

enum {
    ANSWER_MOST_MS = 100,
    LATE_ANSWER_MOST_MS = 8000, /* longer than repl-timeout */
    LATE_PER_MILLE = 50,
    FAILS_PER_MILLE = 30,
};

/* In the heap of its process, with a timer of its loop: both go with a process that is killed. */
struct resolver_query {
    struct loop_timer timer;
    char *name;
    int port;
    bool fails;
    resolver_done_fn *done;
    void *ctx;
};

void resolver_prepare_process(void) {}

static const struct sim_host *host_of(const char *name)
{
    const struct sim_host *h;
    for (size_t i = 0; (h = sim_host_at(i)) != NULL; i++)
        if (strcmp(h->name, name) == 0) return h;
    return NULL;
}

static void query_free(struct resolver_query *q)
{
    loop_timer_stop(&q->timer);
    mem_free(q->name);
    mem_free(q);
}

static void on_answer(void *ctx)
{
    struct resolver_query *q = ctx;
    const struct sim_host *h = host_of(q->name);
    struct net_address found;
    if (q->fails) sim_reached("name-fails");
    if (q->fails || h == NULL) {
        q->done(q->ctx, NULL, 0, q->fails ? "DNS server returned general failure" : "Domain name not found");
    } else {
        ASSERT(net_address_parse(h->ip, q->port, &found));
        q->done(q->ctx, &found, 1, "");
    }
    query_free(q);
}

struct resolver_query *resolver_start(struct loop *loop, const struct resolver_options *options, const char *name,
                                      int port, resolver_done_fn *done, void *ctx)
{
    struct resolver_query *q = mem_calloc(sizeof(*q));
    (void)options;
    q->name = mem_strdup(name);
    q->port = port;
    q->fails = sim_chance(FAILS_PER_MILLE);
    q->done = done;
    q->ctx = ctx;
    int64_t most_ms = sim_chance(LATE_PER_MILLE) ? LATE_ANSWER_MOST_MS : ANSWER_MOST_MS;
    loop_timer_start(loop, &q->timer, sim_between(0, most_ms), 0, on_answer, q);
    return q;
}

void resolver_cancel(struct resolver_query *q)
{
    if (q == NULL) return;
    sim_reached("name-given-up");
    query_free(q);
}
