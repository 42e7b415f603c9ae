#include "tests/simulation/scenario.h"

#include <stdio.h>

#include "server/house.h"
#include "storage/strict_digest.h"
#include "tests/simulation/client.h"
#include "tests/simulation/plan.h"
#include "tests/simulation/process.h"

static struct sim_node *master, *replica;
static struct sim_client *writer;
static uint64_t written;

static void connected(struct sim_client *c)
{
    sim_client_sendf(c, "RPUSH list %llu", (unsigned long long)written++);
}

static void write_more(void *ctx)
{
    struct sim_client *c = ctx;
    if (c->is_connected) sim_client_sendf(c, "RPUSH list %llu", (unsigned long long)written++);
}

static void on_reply(struct sim_client *c, const struct sim_reply *r)
{
    sim_after(10000, write_more, c);
}

static void again(void *ctx)
{
    sim_client_connect(writer, master);
}

static void closed(struct sim_client *c, int error)
{
    sim_after(100000, again, NULL);
}

static const struct sim_client_events events = {connected, on_reply, closed};

static void kill_item(struct plan_item *item)
{
    sim_node_kill_at_call(item->args[0] ? replica : master, 1 + rng_below(&item->rng, 100));
}

static void start(void *ctx)
{
    for (size_t i = 0; i < sim.node_count; i++) sim_node_start(sim.nodes[i]);
    sim_after(1000000, start, NULL);
}

void scenario_begin(void)
{
    sim.end_us = 20000000;
    master = sim_node_new();
    replica = sim_node_new();
    sim_node_configure(replica, "replicaof 10.0.0.1 6379");
    written = 0;
    writer = sim_client_new("client1", &events, NULL);
    sim_after(0, start, NULL);
    sim_after(500000, again, NULL);
    for (int i = 0; i < 4; i++) {
        struct plan_item *item = plan_add(plan_between(2000000, 15000000), true, kill_item, "kill a node");
        item->args[0] = plan_below(2);
    }
}

static void digest(struct sim_node *n, struct strict_digest *out)
{
    struct sim_process *before = sim_enter(n->process);
    strict_digest_keyspace(n->server->core.keyspace, out);
    sim_leave(before);
}

void scenario_end(void)
{
    struct strict_digest a = {0}, b = {0};
    if (!sim_node_is_up(master) || !sim_node_is_up(replica)) {
        sim_fail("up", "a node is down");
        return;
    }
    sim_client_close(writer);
    sim.end_us += 2000000;
    sim_run();
    digest(master, &a);
    digest(replica, &b);
    if (a.low != b.low || a.high != b.high) sim_fail("digest", "master and replica differ");
    sim_reached("replica-follows");
}

void scenario_free(void) {}
