/* world.h -- a small world for sentinels: servers, sentinels of the library, a network, and a clock of its own.
 *
 *     sentinel 0..n-1  --connections-->  server 0..m-1      each process has a host of its own: 10.0.1.x, 10.0.0.x
 *                      --connections-->  sentinel
 *
 * Messages of one connection arrive in order, after a random delay. Across a cut they wait until it is mended, as TCP
 * makes them; new connections cannot be made. A paused process reads nothing and does not tick. A crash closes its
 * connections; a restarted server has another run id and the role of its configuration file, a restarted sentinel has
 * what save() wrote.
 *
 * A server is a role, a history (replid), an offset and a configuration file. It answers PING, INFO, PUBLISH, FAILOVER
 * and the transactions of sentinels; CLIENT KILL closes the other connections, as with Redis. Replicas copy the history
 * and the offset of their master as long as they reach it.
 *
 * The world checks while it runs (world_check_* say what): one leader in an epoch, one vote in an epoch, no two leaders
 * that act at the same time, nobody told to follow itself. */
#ifndef LOCKSTEP_TESTS_UNIT_REPLICATION_SENTINEL_WORLD_H
#define LOCKSTEP_TESTS_UNIT_REPLICATION_SENTINEL_WORLD_H

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <cmocka.h>

#include "replication/sentinel/sentinel_internal.h"
#include "storage/base/memory.h"
#include "storage/base/words.h"

enum { SERVERS_MAX = 4, SENTINELS_MAX = 5, PROCESSES_MAX = SERVERS_MAX + SENTINELS_MAX, EPOCHS_MAX = 1000 };

struct world;
struct process;

/* One connection of a sentinel. Messages name it by pointer and generation. */
struct connection {
    struct sentinel_node *node;
    struct process *from, *to;
    enum sentinel_which which;
    bool open;
    unsigned generation;
    int64_t retry_at, last_to, last_back; /* arrival of the last message in each direction */
    bool multi, slaveof_no_one, slaveof, killing;
    char follow_host[64];
    int follow_port;
    unsigned tags[256]; /* of commands without an answer, in order */
    size_t tag_count;
    struct connection *next;
};

struct message {
    int64_t at;
    uint64_t order;
    struct connection *c;
    unsigned generation;
    bool back;             /* to the sentinel */
    bool push;             /* a message of the channel */
    struct bytes_buf text; /* words of a request, separated by NUL; or a reply */
    struct message *next;
};

struct process {
    struct world *w;
    int index;
    bool is_sentinel, up, paused;
    char host[32];
    int port;
    int64_t up_again; /* 0: not planned */
    /* a server */
    char runid[41], replid[41], replid2[41];
    uint64_t offset, data; /* data: bytes of the whole data set that it has */
    int follows;           /* server index, -1: a master */
    bool linked, synced, syncing, loading;
    int64_t linked_since;
    int file_follows; /* the configuration file */
    int priority;
    bool refuses;    /* answers LOADING for ever */
    bool old_server; /* does not know FAILOVER */
    /* a sentinel */
    struct sentinel *s;
    struct bytes_buf file;
    bool save_fails;
    int64_t tick_at;
    int tries;
};

struct world {
    int64_t now;
    uint64_t seed, random, order;
    int servers, sentinels;
    int64_t down_after, failover_timeout, delay_max;
    int quorum;
    bool cut[PROCESSES_MAX][PROCESSES_MAX];
    bool same_random;                /* all sentinels draw the same numbers (H6) */
    bool debian[SENTINELS_MAX];      /* does not know PRE-VOTE */
    struct process p[PROCESSES_MAX]; /* servers, then sentinels */
    struct connection *connections;
    struct message *messages;
    int leaders[EPOCHS_MAX];                   /* 1 + sentinel */
    char votes[SENTINELS_MAX][EPOCHS_MAX][41]; /* told to others */
    int last_elected;
    int64_t first_switch; /* when clients could first learn of another master */
    int promotions, sdowns, events;
    bool trace, writes;
    int configured[SENTINELS_MAX]; /* the master in the first file */
    const char *extra_lines;
};

/* ---- Chance ---- */

static uint64_t world_random(struct world *w)
{
    uint64_t x = w->random += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

static int64_t world_between(struct world *w, int64_t low, int64_t high)
{
    return low + (int64_t)(world_random(w) % (uint64_t)(high - low + 1));
}

static void world_id(struct world *w, char out[41])
{
    for (int i = 0; i < 40; i++) out[i] = "0123456789abcdef"[world_random(w) & 15];
    out[40] = '\0';
}

/* ---- Processes ---- */

static struct process *server(struct world *w, int i)
{
    return &w->p[i];
}

static struct process *sentinel(struct world *w, int i)
{
    return &w->p[w->servers + i];
}

static int processes(const struct world *w)
{
    return w->servers + w->sentinels;
}

static struct process *process_at(struct world *w, const char *host, int port)
{
    for (int i = 0; i < processes(w); i++)
        if (strcmp(w->p[i].host, host) == 0 && w->p[i].port == port) return &w->p[i];
    return NULL;
}

static bool reaches(const struct world *w, const struct process *a, const struct process *b)
{
    return !w->cut[a->index][b->index] && !w->cut[b->index][a->index];
}

static bool runs(const struct process *p)
{
    return p->up && !p->paused;
}

/* ---- Messages ---- */

static void post(struct world *w, struct connection *c, bool back, bool push, const void *text, size_t len)
{
    struct message *m = mem_calloc(sizeof(*m));
    int64_t *last = back ? &c->last_back : &c->last_to;
    m->at = w->now + world_between(w, 0, w->delay_max);
    if (m->at < *last) m->at = *last;
    *last = m->at;
    m->order = w->order++;
    m->c = c;
    m->generation = c->generation;
    m->back = back;
    m->push = push;
    bytes_buf_append(&m->text, text, len);
    m->next = w->messages;
    w->messages = m;
}

static void reply(struct connection *c, const char *fmt, ...) PRINTF(2, 3);
static void reply(struct connection *c, const char *fmt, ...)
{
    char text[4096];
    va_list args;
    va_start(args, fmt);
    int len = vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    assert_true((size_t)len < sizeof(text));
    post(c->from->w, c, true, false, text, (size_t)len + 1);
}

/* ---- Connections ---- */

static void lose(struct connection *c, const char *why, bool tell)
{
    struct process *p = c->from;
    if (!c->open) return;
    c->open = false;
    c->generation++;
    c->retry_at = p->w->now + 1000;
    c->multi = false;
    size_t n = c->tag_count;
    c->tag_count = 0;
    unsigned tags[256];
    memcpy(tags, c->tags, sizeof(tags));
    if (p->s == NULL || c->node == NULL) return;
    struct sentinel_node *node = c->node;
    for (size_t i = 0; i < n; i++)
        if (c->node == node) sentinel_reply(p->s, node, tags[i], NULL);
    if (tell && c->node == node) sentinel_link_down(p->s, node, c->which, why);
}

static void try_connection(struct connection *c)
{
    struct world *w = c->from->w;
    const char *ip = c->node == NULL ? "" : sentinel_node_ip(c->node);
    if (c->node == NULL || c->open || w->now < c->retry_at || !runs(c->from)) return;
    c->retry_at = w->now + 1000;
    c->to = process_at(w, ip, sentinel_node_port(c->node));
    if (c->to == NULL || !c->to->up || !reaches(w, c->from, c->to)) return;
    c->open = true;
    c->generation++;
    c->last_to = c->last_back = w->now;
    c->tag_count = 0;
    sentinel_link_up(c->from->s, c->node, c->which);
}

static struct connection *connection_of(struct world *w, const struct sentinel_node *node, enum sentinel_which which)
{
    for (struct connection *c = w->connections; c != NULL; c = c->next)
        if (c->node == node && c->which == which) return c;
    return NULL;
}

/* ---- The host of a sentinel ---- */

static int64_t host_now(void *ctx)
{
    return ((struct process *)ctx)->w->now;
}

static uint64_t host_random(void *ctx)
{
    struct process *p = ctx;
    if (p->w->same_random) return 7;
    return world_random(p->w);
}

static void host_connect(void *ctx, struct sentinel_node *node)
{
    struct process *p = ctx;
    for (int which = 0; which < (sentinel_node_kind(node) == SENTINEL_PEER ? 1 : 2); which++) {
        struct connection *c = connection_of(p->w, node, (enum sentinel_which)which);
        if (c == NULL) {
            c = mem_calloc(sizeof(*c));
            c->node = node;
            c->from = p;
            c->which = (enum sentinel_which)which;
            c->next = p->w->connections;
            p->w->connections = c;
        }
        c->open = false;
        c->generation++;
        c->tag_count = 0;
        c->multi = false;
        c->retry_at = 0;
    }
}

static void host_disconnect(void *ctx, struct sentinel_node *node)
{
    struct process *p = ctx;
    for (struct connection *c = p->w->connections; c != NULL; c = c->next) {
        if (c->node != node) continue;
        c->node = NULL;
        c->open = false;
        c->generation++;
    }
}

static void host_reconnect(void *ctx, struct sentinel_node *node, enum sentinel_which which)
{
    struct process *p = ctx;
    struct connection *c = connection_of(p->w, node, which);
    c->open = false;
    c->generation++;
    c->tag_count = 0;
    c->retry_at = p->w->now + 100;
}

static bool host_send(void *ctx, struct sentinel_node *node, unsigned tag, int argc, const struct bytes_view *argv)
{
    struct process *p = ctx;
    struct connection *c = connection_of(p->w, node, SENTINEL_LINK_COMMANDS);
    struct bytes_buf text = {0};
    if (c == NULL || !c->open) return false;
    for (int i = 0; i < argc; i++) {
        bytes_buf_append_view(&text, argv[i]);
        bytes_buf_append(&text, "", 1);
    }
    assert_true(c->tag_count < 256);
    c->tags[c->tag_count++] = tag;
    post(p->w, c, false, false, text.data, text.len);
    bytes_buf_release(&text);
    return true;
}

static bool host_local_ip(void *ctx, struct sentinel_node *node, char out[SENTINEL_IP_SIZE])
{
    struct process *p = ctx;
    snprintf(out, SENTINEL_IP_SIZE, "%s", p->host);
    return true;
}

static int host_listening_port(void *ctx)
{
    return ((struct process *)ctx)->port;
}

static int sentinel_index(const struct process *p)
{
    return p->index - p->w->servers;
}

/* One leader in an epoch. */
static void check_elected(struct process *p, const struct sentinel_node *master)
{
    struct world *w = p->w;
    if (master->m->forced) return;
    uint64_t epoch = master->m->failover_epoch;
    assert_true(epoch < EPOCHS_MAX);
    if (w->leaders[epoch] != 0 && w->leaders[epoch] != 1 + sentinel_index(p))
        fail_msg("seed %" PRIu64 ": sentinels %d and %d both lead epoch %" PRIu64, w->seed, w->leaders[epoch] - 1,
                 sentinel_index(p), epoch);
    w->leaders[epoch] = 1 + sentinel_index(p);
    w->last_elected = sentinel_index(p);
}

/* Between the election of a leader and its promotion nobody else was elected, in whatever epoch (H5). */
static void check_promotion(struct process *p, const struct sentinel_node *master)
{
    struct world *w = p->w;
    w->promotions++;
    if (!master->m->forced && w->last_elected != sentinel_index(p))
        fail_msg("seed %" PRIu64 ": sentinel %d promotes, although sentinel %d was elected meanwhile, at %" PRId64,
                 w->seed, sentinel_index(p), w->last_elected, w->now);
}

static void host_event(void *ctx, enum sentinel_level level, const char *type, const struct sentinel_node *master,
                       const char *text)
{
    struct process *p = ctx;
    struct world *w = p->w;
    w->events++;
    if (w->trace && strcmp(type, "-cmd-link") != 0 && strcmp(type, "-pubsub-link") != 0)
        printf("%8" PRId64 " sentinel %d: %s %s\n", w->now, sentinel_index(p), type, text);
    if (strcmp(type, "+elected-leader") == 0) check_elected(p, master);
    if (strcmp(type, "+try-failover") == 0) p->tries++;
    if (strcmp(type, "+failover-state-wait-promotion") == 0) check_promotion(p, master);
    if (strcmp(type, "+promoted-slave") == 0 && w->first_switch == 0) w->first_switch = w->now;
    if (strcmp(type, "+sdown") == 0 && strncmp(text, "master", 6) == 0) w->sdowns++;
}

static void host_reconfig(void *ctx, const struct sentinel_node *master, const char *role, const char *state,
                          const char *from_host, int from_port, const char *to_host, int to_port)
{
    assert_string_equal(state, "start");
}

static void save_line(void *ctx, const char *directive, const char *line)
{
    struct bytes_buf *file = ctx;
    assert_int_equal(strncmp(line, directive, strlen(directive)), 0);
    bytes_buf_append(file, line, strlen(line));
    bytes_buf_append(file, "\n", 1);
}

static int host_save(void *ctx)
{
    struct process *p = ctx;
    if (p->save_fails) return -28;
    bytes_buf_release(&p->file);
    sentinel_config_lines(p->s, &(struct sentinel_line_out){&p->file, save_line});
    return 0;
}

static int host_resolve(void *ctx, const char *name, char ip[SENTINEL_IP_SIZE])
{
    return -11;
}

static bool host_script_usable(void *ctx, const char *path)
{
    return strcmp(path, "/bin/true") == 0;
}

static void host_log(void *ctx, enum sentinel_level level, const char *text)
{
    struct process *p = ctx;
    if (p->w->trace) printf("%8" PRId64 " sentinel %d: %s\n", p->w->now, sentinel_index(p), text);
}

static void host_crash(void *ctx) {}

/* ---- Sentinels live and die ---- */

static void read_file(struct process *p, struct bytes_view file)
{
    struct sentinel_error err = {""};
    int line = 0;
    while (file.len > 0) {
        const char *end = memchr(file.data, '\n', file.len);
        struct word_list words;
        assert_int_equal(words_split(bytes_view(file.data, (size_t)(end - file.data)), &words), 0);
        assert_string_equal(words.words[0], "sentinel");
        assert_true(sentinel_config_line(p->s, ++line, (int)words.count - 1, (const char *const *)words.words + 1));
        words_release(&words);
        file = bytes_view(end + 1, file.len - (size_t)(end + 1 - file.data));
    }
    if (sentinel_config_end(p->s, &line, &err) != 0) fail_msg("line %d: %s", line, err.text);
}

static void start_sentinel(struct process *p)
{
    struct sentinel_host host = {
        .ctx = p,
        .now = host_now,
        .random = host_random,
        .connect = host_connect,
        .disconnect = host_disconnect,
        .reconnect = host_reconnect,
        .send = host_send,
        .local_ip = host_local_ip,
        .listening_port = host_listening_port,
        .event = host_event,
        .log = host_log,
        .reconfig = host_reconfig,
        .save = host_save,
        .resolve = host_resolve,
        .script_usable = host_script_usable,
        .crash = host_crash,
    };
    struct bytes_buf file = p->file;
    p->file = (struct bytes_buf){0};
    p->s = sentinel_new(&host);
    read_file(p, bytes_buf_view(&file));
    bytes_buf_release(&file);
    p->up = true;
    assert_int_equal(sentinel_tune(p->s, "TILT-PERIOD", "3000", &(struct sentinel_error){""}),
                     0); /* else little happens */
    p->tick_at = p->w->now;
    assert_int_equal(sentinel_start(p->s), 0);
}

static void close_connections_to(struct process *p)
{
    for (struct connection *c = p->w->connections; c != NULL; c = c->next)
        if (c->to == p && c->open && c->from->up) lose(c, "closed", true);
}

static void crash(struct process *p)
{
    if (!p->up) return;
    if (p->w->trace) printf("%8" PRId64 " crash of %s\n", p->w->now, p->host);
    p->up = p->paused = p->linked = false;
    if (p->is_sentinel) {
        struct sentinel *s = p->s;
        p->s = NULL;
        for (struct connection *c = p->w->connections; c != NULL; c = c->next)
            if (c->from == p) c->node = NULL, c->open = false, c->generation++;
        sentinel_free(s);
    }
    close_connections_to(p);
}

static void restart(struct process *p)
{
    struct world *w = p->w;
    if (p->up) return;
    if (w->trace) printf("%8" PRId64 " restart of %s\n", w->now, p->host);
    p->up_again = 0;
    p->save_fails = false; /* a sentinel that cannot save does not start */
    if (p->is_sentinel) return start_sentinel(p);
    p->up = true;
    world_id(w, p->runid);
    p->follows = p->file_follows;
    if (p->follows < 0) { /* a history of its own that goes on from its file */
        memcpy(p->replid2, p->replid, sizeof(p->replid2));
        world_id(w, p->replid);
    }
}

static void pause_process(struct process *p, bool on)
{
    if (p->w->trace && p->paused != on)
        printf("%8" PRId64 " %s of %s\n", p->w->now, on ? "pause" : "end of the pause", p->host);
    p->paused = on && p->up;
}

/* ---- Servers ---- */

static void promote(struct process *p)
{
    if (p->follows < 0) return;
    p->follows = -1;
    p->linked = p->syncing = false;
    memcpy(p->replid2, p->replid, sizeof(p->replid2));
    world_id(p->w, p->replid);
}

static void follow(struct process *p, const char *host, int port)
{
    struct process *m = process_at(p->w, host, port);
    assert_non_null(m);
    if (m == p) fail_msg("%s is told to follow itself", p->host);
    if (p->follows == m->index) return;
    p->follows = m->index;
    p->linked = false;
}

static void server_info(struct process *p, struct connection *c)
{
    struct world *w = p->w;
    struct bytes_buf text = {0};
    bytes_buf_printf(&text, "# Server\r\nrun_id:%s\r\n# Persistence\r\nloading:%d\r\n# Replication\r\nrole:%s\r\n",
                     p->runid, p->loading || p->refuses, p->follows < 0 ? "master" : "slave");
    if (p->follows >= 0) {
        const struct process *m = &w->p[p->follows];
        bytes_buf_printf(&text,
                         "master_host:%s\r\nmaster_port:%d\r\nmaster_link_status:%s\r\nmaster_sync_in_progress:%d\r\n",
                         m->host, m->port, p->linked ? "up" : "down", p->syncing);
        bytes_buf_printf(&text, "slave_repl_offset:%" PRIu64 "\r\n", p->offset);
        if (!p->linked)
            bytes_buf_printf(&text, "master_link_down_since_seconds:%" PRId64 "\r\n",
                             (w->now - p->linked_since) / 1000);
        bytes_buf_printf(&text, "slave_priority:%d\r\nreplica_announced:1\r\n", p->priority);
    } else {
        int n = 0;
        for (int i = 0; i < w->servers; i++)
            if (w->p[i].up && w->p[i].follows == p->index && w->p[i].linked)
                bytes_buf_printf(&text, "slave%d:ip=%s,port=%d,state=online,offset=%" PRIu64 ",lag=0\r\n", n++,
                                 w->p[i].host, w->p[i].port, w->p[i].offset);
    }
    if (!p->old_server) bytes_buf_printf(&text, "master_failover_state:no-failover\r\n");
    bytes_buf_printf(&text, "master_replid:%s\r\nmaster_replid2:%s\r\nmaster_repl_offset:%" PRIu64 "\r\n", p->replid,
                     p->replid2[0] != '\0' ? p->replid2 : "0000000000000000000000000000000000000000", p->offset);
    reply(c, "$%.*s", (int)text.len, text.data);
    bytes_buf_release(&text);
}

static void server_publish(struct process *p, const char *text, int depth)
{
    struct world *w = p->w;
    for (struct connection *c = w->connections; c != NULL; c = c->next)
        if (c->open && c->to == p && c->which == SENTINEL_LINK_HELLOS) post(w, c, true, true, text, strlen(text));
    for (int i = 0; i < w->servers && depth < SERVERS_MAX; i++)
        if (w->p[i].up && w->p[i].follows == p->index && w->p[i].linked) server_publish(&w->p[i], text, depth + 1);
}

static void hand_over(struct process *p, const char *host, int port)
{
    struct process *target = process_at(p->w, host, port);
    if (target == NULL || !target->up || !target->linked || target->follows != p->index) return;
    target->offset = p->offset;
    promote(target);
    follow(p, host, port);
    p->file_follows = target->index;
}

static void end_transaction(struct process *p, struct connection *c)
{
    c->multi = false;
    if (c->slaveof_no_one)
        promote(p);
    else if (c->slaveof)
        follow(p, c->follow_host, c->follow_port);
    p->file_follows = p->follows;
    reply(c, "*OK");
    if (!c->killing) return;
    for (struct connection *o = p->w->connections; o != NULL; o = o->next)
        if (o != c && o->to == p && o->open) lose(o, "killed", true);
}

static void server_queued(struct process *p, struct connection *c, const char **word)
{
    if (strcasecmp(word[0], "EXEC") == 0) return end_transaction(p, c);
    if (strcasecmp(word[0], "SLAVEOF") == 0) {
        c->slaveof_no_one = strcasecmp(word[1], "NO") == 0;
        c->slaveof = !c->slaveof_no_one;
        snprintf(c->follow_host, sizeof(c->follow_host), "%s", word[1]);
        c->follow_port = atoi(word[2]);
    }
    if (strcasecmp(word[0], "CLIENT") == 0) c->killing = true;
    reply(c, "+QUEUED");
}

static void server_run(struct process *p, struct connection *c, int argc, const char **word)
{
    if (c->multi) return server_queued(p, c, word);
    if (strcasecmp(word[0], "PING") == 0)
        reply(c, "%s", p->loading || p->refuses ? "-LOADING Redis is loading the dataset in memory" : "+PONG");
    else if (strcasecmp(word[0], "INFO") == 0)
        server_info(p, c);
    else if (strcasecmp(word[0], "PUBLISH") == 0) {
        server_publish(p, word[2], 0);
        reply(c, ":1");
    } else if (strcasecmp(word[0], "MULTI") == 0) {
        c->multi = true;
        c->slaveof = c->slaveof_no_one = c->killing = false;
        reply(c, "+OK");
    } else if (strcasecmp(word[0], "FAILOVER") == 0) {
        if (argc > 2) hand_over(p, word[2], atoi(word[3]));
        reply(c, "+OK");
    } else {
        reply(c, "-ERR unknown command '%s'", word[0]);
    }
}

/* Replicas that reach their master get its stream; a history that is not theirs takes half a second of synchronization. */
static void replicate(struct process *p)
{
    struct world *w = p->w;
    struct process *m = &w->p[p->follows];
    if (!runs(p)) return;
    bool can = runs(m) && reaches(w, p, m) && !m->refuses;
    if (p->linked && !can && (!m->up || world_between(w, 0, 40) == 0)) p->linked = false, p->linked_since = w->now;
    if (!can || (m->follows >= 0 && !m->linked)) return;
    if (!p->linked) {
        bool known = strcmp(p->replid, m->replid) == 0 || strcmp(p->replid, m->replid2) == 0;
        if (!known && !p->syncing) {
            p->syncing = true;
            p->linked_since = w->now;
        }
        if (p->syncing && w->now - p->linked_since < 500) return;
        p->syncing = false;
        p->linked = true;
    }
    memcpy(p->replid, m->replid, sizeof(p->replid));
    p->replid2[0] = '\0';
    p->offset = m->offset;
}

/* ---- What sentinels answer ---- */

static void sentinel_field(void *ctx, const char *name, const char *value)
{
    bytes_buf_printf(ctx, "%s\n%s\n", name, value);
}

static void check_told_vote(struct process *p, const struct sentinel_vote *v)
{
    char *told = p->w->votes[sentinel_index(p)][v->epoch];
    if (v->leader[0] == '*') return;
    assert_true(v->epoch < EPOCHS_MAX);
    if (told[0] != '\0' && strcmp(told, v->leader) != 0)
        fail_msg("sentinel %d votes for two in epoch %" PRIu64, sentinel_index(p), v->epoch);
    memcpy(told, v->leader, 41);
}

static void sentinel_run(struct process *p, struct connection *c, int argc, const char **word)
{
    if (strcasecmp(word[0], "PING") == 0) return reply(c, "+PONG");
    if (strcasecmp(word[0], "PUBLISH") == 0) {
        sentinel_hello(p->s, NULL, bytes_str(word[2]));
        return reply(c, ":1");
    }
    assert_string_equal(word[0], "SENTINEL");
    if (strcasecmp(word[1], "is-master-down-by-addr") == 0) {
        struct sentinel_vote v;
        sentinel_down_by_addr(p->s, bytes_str(word[2]), atoi(word[3]), strtoull(word[4], NULL, 10), bytes_str(word[5]),
                              &v);
        check_told_vote(p, &v);
        return reply(c, "V%d %s %" PRIu64, v.down, v.leader, v.epoch);
    }
    if (strcasecmp(word[1], "PRE-VOTE") == 0) {
        if (p->w->debian[sentinel_index(p)]) return reply(c, "-ERR unknown subcommand 'PRE-VOTE'. Try SENTINEL HELP.");
        bool yes = sentinel_would_vote(p->s, bytes_str(word[2]), atoi(word[3]), strtoull(word[4], NULL, 10),
                                       bytes_str(word[5]));
        return reply(c, "P%d %" PRIu64, yes, sentinel_epoch(p->s));
    }
    assert_string_equal(word[1], "MASTER");
    struct bytes_buf fields = {0};
    bytes_buf_append(&fields, "F", 1);
    sentinel_describe(p->s, sentinel_find_master(p->s, word[2]), &(struct sentinel_field_out){&fields, sentinel_field});
    post(p->w, c, true, false, fields.data, fields.len);
    bytes_buf_release(&fields);
}

/* ---- Delivery ---- */

static void deliver_request(struct message *m)
{
    struct process *p = m->c->to;
    const char *word[16];
    int argc = 0;
    for (size_t at = 0; at < m->text.len; at += strlen(m->text.data + at) + 1) word[argc++] = m->text.data + at;
    if (p->is_sentinel)
        sentinel_run(p, m->c, argc, word);
    else
        server_run(p, m->c, argc, word);
}

static struct sentinel_value string_value(const char *text)
{
    return (struct sentinel_value){.kind = SENTINEL_REPLY_STRING, .text = bytes_str(text)};
}

static struct sentinel_value number_value(const char *text)
{
    return (struct sentinel_value){.kind = SENTINEL_REPLY_INTEGER, .integer = atoll(text)};
}

/* Replies are written in a language of this world: + - : $ as in RESP, V and P for votes, F for fields. */
static void deliver_reply(struct message *m)
{
    struct connection *c = m->c;
    struct sentinel_value items[128], v = {.items = items};
    bytes_buf_append(&m->text, "", 1);
    char *text = m->text.data + 1;
    assert_true(c->tag_count > 0);
    unsigned tag = c->tags[0];
    memmove(c->tags, c->tags + 1, --c->tag_count * sizeof(c->tags[0]));
    v.text = bytes_str(text);
    switch (m->text.data[0]) {
    case '+': v.kind = SENTINEL_REPLY_STATUS; break;
    case '-': v.kind = SENTINEL_REPLY_ERROR; break;
    case ':': v = number_value(text); break;
    case '$': v.kind = SENTINEL_REPLY_STRING; break;
    default:
        v.kind = SENTINEL_REPLY_ARRAY;
        const char *separators = m->text.data[0] == 'F' ? "\n" : " ";
        for (char *part; (part = strsep(&text, separators)) != NULL;) {
            bool number = m->text.data[0] == 'P' || (m->text.data[0] == 'V' && v.count != 1);
            if (m->text.data[0] == 'F' && text == NULL) break;
            assert_true(v.count < 128);
            items[v.count++] = number ? number_value(part) : string_value(part);
        }
    }
    sentinel_reply(c->from->s, c->node, tag, &v);
}

static bool deliver(struct world *w, struct message *m)
{
    struct connection *c = m->c;
    if (m->generation != c->generation || !c->open || c->node == NULL) return true; /* the connection is gone */
    struct process *receiver = m->back ? c->from : c->to;
    if (!reaches(w, c->from, c->to) || receiver->paused) {
        m->at = w->now + 20;
        return false;
    }
    if (m->push)
        sentinel_hello(c->from->s, c->node, bytes_buf_view(&m->text));
    else if (m->back)
        deliver_reply(m);
    else
        deliver_request(m);
    return true;
}

static struct message **next_due(struct world *w)
{
    struct message **best = NULL;
    for (struct message **at = &w->messages; *at != NULL; at = &(*at)->next)
        if ((*at)->at <= w->now &&
            (best == NULL || (*at)->at < (*best)->at || ((*at)->at == (*best)->at && (*at)->order < (*best)->order)))
            best = at;
    return best;
}

static void deliver_due(struct world *w)
{
    for (struct message **at; (at = next_due(w)) != NULL;) {
        struct message *m = *at;
        if (!deliver(w, m)) continue;
        for (at = &w->messages; *at != m;) at = &(*at)->next; /* delivering has posted others */
        *at = m->next;
        bytes_buf_release(&m->text);
        mem_free(m);
    }
}

/* ---- Time ---- */

static void drop_dead_connections(struct world *w)
{
    for (struct connection **at = &w->connections; *at != NULL;) {
        struct connection *c = *at;
        bool named = c->node != NULL;
        for (struct message *m = w->messages; m != NULL && !named; m = m->next) named = m->c == c;
        if (named) {
            at = &c->next;
            continue;
        }
        *at = c->next;
        mem_free(c);
    }
}

static void world_step(struct world *w) /* one millisecond */
{
    w->now++;
    deliver_due(w);
    for (int i = 0; i < w->sentinels; i++) {
        struct process *p = sentinel(w, i);
        if (!p->up && p->up_again != 0 && w->now >= p->up_again) restart(p);
        if (runs(p) && w->now >= p->tick_at) p->tick_at = w->now + sentinel_tick(p->s);
    }
    if (w->now % 10 != 0) return;
    for (struct connection *c = w->connections; c != NULL; c = c->next) try_connection(c);
    for (int i = 0; i < w->servers; i++) {
        struct process *p = server(w, i);
        if (!p->up && p->up_again != 0 && w->now >= p->up_again) restart(p);
        if (runs(p) && p->follows < 0 && w->writes) p->offset += 100;
        if (runs(p) && p->follows >= 0) replicate(p);
    }
    if (w->now % 1000 == 0) drop_dead_connections(w);
}

static void world_run(struct world *w, int64_t ms)
{
    for (int64_t end = w->now + ms; w->now < end;) world_step(w);
}

/* ---- Begin and end ---- */

static void init_process(struct world *w, int i)
{
    struct process *p = &w->p[i];
    p->w = w;
    p->index = i;
    p->is_sentinel = i >= w->servers;
    p->port = p->is_sentinel ? 26379 : 6379;
    snprintf(p->host, sizeof(p->host), "10.0.%d.%d", p->is_sentinel, p->is_sentinel ? i - w->servers + 1 : i + 1);
    p->follows = p->file_follows = i == 0 ? -1 : 0;
    p->priority = 100;
    p->up = !p->is_sentinel;
    p->offset = 1000;
    world_id(w, p->runid);
    world_id(w, p->replid);
}

static void world_first_file(struct world *w, int i)
{
    struct process *p = sentinel(w, i);
    const struct process *m = server(w, w->configured[i]);
    bytes_buf_printf(&p->file, "sentinel myid %040d\n", i + 1);
    bytes_buf_printf(&p->file, "sentinel down-after-milliseconds mymaster %" PRId64 "\n", w->down_after);
    bytes_buf_printf(&p->file, "sentinel failover-timeout mymaster %" PRId64 "\n", w->failover_timeout);
    bytes_buf_printf(&p->file, "sentinel monitor mymaster %s %d %d\n", m->host, m->port, w->quorum);
    if (w->extra_lines != NULL) bytes_buf_printf(&p->file, "%s", w->extra_lines);
}

static struct world *world_new(int servers, int sentinels, uint64_t seed)
{
    struct world *w = mem_calloc(sizeof(*w));
    w->now = 1000000;
    w->servers = servers;
    w->sentinels = sentinels;
    w->seed = seed;
    w->random = seed * 7919 + 1;
    w->down_after = 1000;
    w->failover_timeout = 10000;
    w->delay_max = 2;
    w->quorum = sentinels / 2 + 1;
    w->writes = true;
    w->trace = getenv("WORLD_TRACE") != NULL;
    for (int i = 0; i < processes(w); i++) init_process(w, i);
    return w;
}

static void world_begin(struct world *w)
{
    for (int i = 0; i < w->sentinels; i++) {
        world_first_file(w, i);
        start_sentinel(sentinel(w, i));
        world_run(w, world_between(w, 0, 300));
    }
    world_run(w, 11000); /* one INFO of the master after all replicas have come */
}

static void world_free(struct world *w)
{
    for (int i = 0; i < w->sentinels; i++) {
        struct sentinel *s = sentinel(w, i)->s;
        sentinel(w, i)->s = NULL;
        sentinel_free(s);
        bytes_buf_release(&sentinel(w, i)->file);
    }
    for (struct message *m = w->messages, *next; m != NULL; m = next) {
        next = m->next;
        bytes_buf_release(&m->text);
        mem_free(m);
    }
    w->messages = NULL;
    drop_dead_connections(w);
    assert_null(w->connections);
    mem_free(w);
}

/* ---- Looking ---- */

static struct sentinel_node *mymaster(struct process *p)
{
    return sentinel_find_master(p->s, "mymaster");
}

static int master_in_the_eyes_of(struct process *p)
{
    const char *host;
    int port;
    sentinel_master_address(mymaster(p), &host, &port);
    struct process *m = process_at(p->w, host, port);
    return m == NULL ? -1 : m->index;
}

/* All that run name one master, which is one; the others follow it. */
static bool world_is_at_rest(struct world *w, char *why, size_t size)
{
    int master = -1;
    for (int i = 0; i < w->sentinels; i++) {
        struct process *p = sentinel(w, i);
        if (!p->up) continue;
        int m = master_in_the_eyes_of(p);
        snprintf(why, size, "sentinel %d names server %d, others %d", i, m, master);
        if (m < 0 || (master >= 0 && m != master)) return false;
        master = m;
        snprintf(why, size, "sentinel %d is in the middle of a failover", i);
        if (mymaster(p)->m->state != FAILOVER_IDLE) return false;
        snprintf(why, size, "sentinel %d has epoch %" PRIu64 ", the first one %" PRIu64, i,
                 mymaster(p)->m->config_epoch, mymaster(sentinel(w, 0))->m->config_epoch);
        if (sentinel(w, 0)->up && mymaster(p)->m->config_epoch != mymaster(sentinel(w, 0))->m->config_epoch)
            return false;
        snprintf(why, size, "sentinel %d knows %zu peers", i, sentinel_peer_count(mymaster(p)));
        if (sentinel_peer_count(mymaster(p)) != (size_t)w->sentinels - 1) return false;
    }
    for (int i = 0; i < w->servers; i++) {
        if (!server(w, i)->up) continue;
        snprintf(why, size, "server %d follows %d, but the master is %d", i, server(w, i)->follows, master);
        if (i == master ? server(w, i)->follows >= 0 : server(w, i)->follows != master) return false;
    }
    return true;
}

static void world_expect_rest(struct world *w, int64_t within_ms)
{
    char why[200] = "";
    for (int64_t end = w->now + within_ms; w->now < end; world_run(w, 100))
        if (world_is_at_rest(w, why, sizeof(why))) return;
    fail_msg("seed %" PRIu64 ": no rest at %" PRId64 ": %s", w->seed, w->now, why);
}

#endif
