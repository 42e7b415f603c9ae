#include "tests/simulation/traffic.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/simulation/client.h"

struct made_command {
    unsigned count; /* of commands */
    unsigned len;
    const char *bytes;
};

#include "commands.inc"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

enum { CLIENTS_MAX = 8, BURST_MAX = 12, OUTSTANDING_MAX = 200 };

struct talker {
    struct sim_client *client;
    struct sim_node *node;
    bool anywhere; /* it talks to any node */
    bool waits;    /* it sent a command that may block */
    bool subscribed;
    int64_t waits_until_us;
    struct sim_event think;
};

static struct {
    struct traffic_mix mix;
    struct talker talkers[CLIENTS_MAX];
    struct sim_node *master;
    bool stopped;
    uint64_t commands;
    unsigned serial;
} traffic;

static void think_later(struct talker *t, int64_t most_us)
{
    sim_event_at(&t->think, sim.now_us + 1 + (int64_t)sim_below((uint64_t)most_us), t->think.fn, t);
}

/* ---- What the grammar lacks ---- */

static const char *const kinds[] = {"str", "list", "set", "hash", "zset", "stream", "nums", "bits"};

static const char *some_key(char buf[32])
{
    snprintf(buf, 32, "%s:%u", kinds[sim_below(LENGTH(kinds))], (unsigned)sim_below(3));
    return buf;
}

static void send_args(struct talker *t, const char *const *args, size_t count)
{
    struct bytes_view views[12];
    for (size_t i = 0; i < count; i++) views[i] = bytes_str(args[i]);
    sim_client_send(t->client, views, count);
    traffic.commands++;
}

static const char *const scripts[] = {
    "local t=redis.call('time') redis.call('set',KEYS[1],t[1]..t[2]) return 1",
    "redis.call('del',KEYS[1]) for i=1,3 do redis.call('rpush',KEYS[1],math.random(1000)) end return 1",
    "redis.call('set',KEYS[1],ARGV[1]) return redis.call('pexpire',KEYS[1],ARGV[2])",
    "redis.call('del',KEYS[1]) redis.call('sadd',KEYS[1],'a','b','c') return redis.call('spop',KEYS[1])",
    "return redis.call('get','str:0')",
    "redis.call('set',KEYS[1],'half') return redis.call('nosuch')",
    "redis.call('select',1) redis.call('set',KEYS[1],ARGV[1]) return 1",
};

static void send_script(struct talker *t)
{
    char key[32], number[16];
    snprintf(number, sizeof(number), "%u", 1 + (unsigned)sim_below(2000));
    send_args(t, (const char *[]){"EVAL", scripts[sim_below(LENGTH(scripts))], "1", some_key(key), number, number}, 6);
}

static void send_function(struct talker *t)
{
    char code[160], number = (char)('0' + sim_below(3));
    snprintf(code, sizeof(code),
             "#!lua name=lib%c\nredis.register_function('fn%c', function(k,a) redis.call('incr',k[1]) "
             "return %u end)",
             number, number, traffic.serial++);
    switch (sim_below(3)) {
    case 0: send_args(t, (const char *[]){"FUNCTION", "LOAD", "REPLACE", code}, 4); break;
    case 1: send_args(t, (const char *[]){"FUNCTION", "DELETE", (char[]){'l', 'i', 'b', number, '\0'}}, 3); break;
    default: send_args(t, (const char *[]){"FCALL", (char[]){'f', 'n', number, '\0'}, "1", "counter"}, 4); break;
    }
}

static void send_expiry(struct talker *t)
{
    char key[32];
    unsigned ms = 1 + (unsigned)sim_below(sim_chance(500) ? 50 : 4000);
    traffic.commands++;
    switch (sim_below(6)) {
    case 0: sim_client_sendf(t->client, "SET str:%u v%u PX %u", (unsigned)sim_below(3), traffic.serial++, ms); break;
    case 1: sim_client_sendf(t->client, "PEXPIRE %s %u", some_key(key), ms); break;
    case 2: sim_client_sendf(t->client, "EXPIRE %s %u", some_key(key), 1 + ms / 1000); break;
    case 3: sim_client_sendf(t->client, "GETEX str:%u PX %u", (unsigned)sim_below(3), ms); break;
    case 4: sim_client_sendf(t->client, "HSET hash:%u e%u x", (unsigned)sim_below(3), (unsigned)sim_below(6)); break;
    default:
        sim_client_sendf(t->client, "HPEXPIRE hash:%u %u FIELDS 1 e%u", (unsigned)sim_below(3), ms,
                         (unsigned)sim_below(6));
        break;
    }
}

static void send_random_pick(struct talker *t)
{
    static const char *const picks[] = {"SPOP set:%u %u",
                                        "XADD stream:%u * n %u",
                                        "ZPOPMIN zset:%u %u",
                                        "LPOP list:%u %u",
                                        "SADD set:%u %u",
                                        "INCRBYFLOAT str:%u 0.%u",
                                        "XGROUP CREATE stream:%u own $ MKSTREAM",
                                        "XREADGROUP GROUP own reader%2$u STREAMS stream:%1$u >",
                                        "XADD stream:%u MAXLEN ~ 20 * n %u"};
    const char *format = picks[sim_below(LENGTH(picks))];
    unsigned a = (unsigned)sim_below(3), b = (unsigned)sim_below(9);
    char line[64];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(line, sizeof(line), format, a, b);
#pragma GCC diagnostic pop
    sim_client_sendf(t->client, "%s", line);
    traffic.commands++;
}

static void send_of(struct talker *t, const struct made_command *table, size_t count)
{
    const struct made_command *c = &table[sim_below(count)];
    sim_client_send_raw(t->client, c->bytes, c->len, c->count);
    traffic.commands += c->count;
}

static void send_transaction(struct talker *t)
{
    char key[32];
    if (sim_chance(200)) sim_client_sendf(t->client, "WATCH %s", some_key(key));
    sim_client_sendf(t->client, "MULTI");
    for (uint64_t n = sim_below(6); n > 0; n--) {
        if (sim_chance(200))
            send_expiry(t);
        else
            send_of(t, made_plain, LENGTH(made_plain));
    }
    sim_client_sendf(t->client, sim_chance(900) ? "EXEC" : "DISCARD");
}

static void send_ours(struct talker *t)
{
    switch (sim_below(8)) {
    case 0: send_script(t); break;
    case 1: send_function(t); break;
    case 2: sim_client_sendf(t->client, "PUBLISH channel m%u", traffic.serial++); break;
    case 3:
    case 4: send_transaction(t); break;
    case 5: send_random_pick(t); break;
    default: send_expiry(t); break;
    }
}

/* ---- Clients ---- */

static void send_some(struct talker *t)
{
    const struct traffic_mix *mix = &traffic.mix;
    if (sim_chance(mix->ours)) {
        send_ours(t);
    } else if (sim_chance(mix->heavy)) {
        send_of(t, made_heavy, LENGTH(made_heavy));
    } else if (sim_chance(mix->sweeping)) {
        send_of(t, made_sweeping, LENGTH(made_sweeping));
    } else if (sim_chance(mix->blocking)) {
        send_of(t, made_blocking, LENGTH(made_blocking));
        t->waits = true;
        t->waits_until_us = sim.now_us + 200 * 1000 + (int64_t)sim_below(2000 * 1000);
    } else {
        send_of(t, made_plain, LENGTH(made_plain));
    }
}

static struct sim_node *choose_node(const struct talker *t)
{
    return t->anywhere ? sim.nodes[sim_below(sim.node_count)] : traffic.master;
}

static bool has_to_leave(const struct talker *t)
{
    if (t->waits) return sim.now_us > t->waits_until_us;
    if (t->client->sent - t->client->answered > OUTSTANDING_MAX) return false;
    return !t->anywhere && t->node != traffic.master;
}

static void on_think(void *ctx)
{
    struct talker *t = ctx;
    if (traffic.stopped) return;
    if (!t->client->is_connected) {
        t->node = choose_node(t);
        t->waits = false;
        if (t->node != NULL) sim_client_connect(t->client, t->node);
        think_later(t, 1000 * 1000);
        return;
    }
    if (has_to_leave(t)) {
        sim_client_close(t->client);
        think_later(t, 20 * 1000);
        return;
    }
    if (t->client->sent - t->client->answered < OUTSTANDING_MAX && !t->waits) {
        for (uint64_t n = 1 + sim_below(BURST_MAX); n > 0; n--) send_some(t);
    }
    think_later(t, traffic.mix.pause_us);
}

static void on_reply(struct sim_client *c, const struct sim_reply *reply)
{
    struct talker *t = c->ctx;
    if (c->sent == c->answered) t->waits = false;
}

static void on_closed(struct sim_client *c, int error)
{
    think_later(c->ctx, 300 * 1000);
}

static void on_connected(struct sim_client *c)
{
    struct talker *t = c->ctx;
    if (sim_chance(100)) sim_client_sendf(c, "SELECT 1");
    if (sim_chance(200)) sim_client_sendf(c, "HELLO 3");
    think_later(t, 1000);
}

static const struct sim_client_events events = {
    .wants_type_only = true, .connected = on_connected, .reply = on_reply, .closed = on_closed};

void traffic_begin(const struct traffic_mix *mix)
{
    memset(&traffic, 0, sizeof(traffic));
    traffic.mix = *mix;
    if (traffic.mix.clients > CLIENTS_MAX) traffic.mix.clients = CLIENTS_MAX;
    for (unsigned i = 0; i < traffic.mix.clients; i++) {
        struct talker *t = &traffic.talkers[i];
        char name[16];
        snprintf(name, sizeof(name), "client%u", i);
        t->client = sim_client_new(name, &events, t);
        t->anywhere = sim_chance(200);
        t->think.fn = on_think;
        t->think.ctx = t;
        think_later(t, 500 * 1000);
    }
}

void traffic_free(void)
{
    for (unsigned i = 0; i < traffic.mix.clients; i++) sim_event_cancel(&traffic.talkers[i].think);
    memset(&traffic, 0, sizeof(traffic));
}

void traffic_stop(void)
{
    traffic.stopped = true;
    for (unsigned i = 0; i < traffic.mix.clients; i++) {
        if (traffic.talkers[i].client->is_connected) sim_client_close(traffic.talkers[i].client);
    }
}

void traffic_set_master(struct sim_node *node)
{
    traffic.master = node;
}

uint64_t traffic_commands(void)
{
    return traffic.commands;
}
