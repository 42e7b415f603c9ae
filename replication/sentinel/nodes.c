/* nodes.c -- masters, their replicas and peers, and what changes when a master changes.
 *
 *     s->masters -> master -> master
 *                     |-- replicas -> replica -> replica     identity: their address
 *                     `-- peers    -> peer -> peer           identity: run id; one address has one peer
 *
 * A list is in order of arrival. The nodes of a replica and of a peer belong to one master, so a sentinel that watches
 * two masters with us is two nodes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "replication/sentinel/sentinel_internal.h"
#include "server/net/address.h"
#include "storage/base/assert.h"
#include "storage/base/memory.h"

/* ---- Addresses ---- */

bool address_is_ip(const char *host)
{
    struct net_address parsed;
    return net_address_parse(host, 0, &parsed);
}

bool address_is(const struct node_address *a, const char *host, int port)
{
    if (a->port != port) return false;
    return strcasecmp(a->host, host) == 0 || (a->ip[0] != '\0' && strcasecmp(a->ip, host) == 0);
}

bool address_same(const struct node_address *a, const struct node_address *b)
{
    return address_is(a, b->host, b->port) || (b->ip[0] != '\0' && address_is(a, b->ip, b->port));
}

int address_means(const struct sentinel *s, const struct node_address *a, const char *host, int port)
{
    char ip[SENTINEL_IP_SIZE];
    if (a->port != port || address_is(a, host, port)) return a->port == port;
    if (address_is_ip(host)) return 0;
    if (!s->resolve_hostnames || s->host.resolve(s->host.ctx, host, ip) != 0) return -1;
    return address_is(a, ip, port);
}

static void resolve(struct sentinel *s, struct node_address *a)
{
    char ip[SENTINEL_IP_SIZE];
    if (address_is_ip(a->host))
        snprintf(a->ip, sizeof(a->ip), "%s", a->host);
    else if (s->resolve_hostnames && s->host.resolve(s->host.ctx, a->host, ip) == 0)
        snprintf(a->ip, sizeof(a->ip), "%s", ip);
    else
        a->ip[0] = '\0';
}

void address_set(struct sentinel *s, struct node_address *a, const char *host, int port)
{
    char *copy = mem_strdup(host); /* `host` may be the old one */
    mem_free(a->host);
    *a = (struct node_address){.host = copy, .port = port};
    resolve(s, a);
}

void address_release(struct node_address *a)
{
    mem_free(a->host);
    a->host = NULL;
}

const char *node_shown_host(const struct sentinel *s, const struct node_address *a)
{
    return s->announce_hostnames || a->ip[0] == '\0' ? a->host : a->ip;
}

/* A name has another address, or it has one at last. */
static void take_resolved(struct sentinel_node *node, const char *name, const char *ip)
{
    struct node_address *a = &node->address;
    if (strcasecmp(a->host, name) != 0 || address_is_ip(a->host) || strcmp(a->ip, ip) == 0) return;
    snprintf(a->ip, sizeof(a->ip), "%s", ip);
    if (node->sentinel->started) node_connect(node);
}

void sentinel_resolved(struct sentinel *s, const char *name, const char *ip)
{
    if (ip == NULL) return; /* what was known stays; the next attempt to connect asks again */
    FOR_EACH_NODE(master, s->masters)
    {
        take_resolved(master, name, ip);
        FOR_EACH_NODE(replica, master->m->replicas) take_resolved(replica, name, ip);
        FOR_EACH_NODE(peer, master->m->peers) take_resolved(peer, name, ip);
        node_remove_duplicates(master);
    }
}

/* ---- One node ---- */

static bool is_known_already(const struct sentinel_node *replica)
{
    if (address_same(&replica->master->address, &replica->address)) return true;
    for (const struct sentinel_node *r = replica->master->m->replicas; r != replica; r = r->next)
        if (address_same(&r->address, &replica->address)) return true;
    return false;
}

/* A name turns out to be an address that we know. */
void node_remove_duplicates(struct sentinel_node *master)
{
    struct sentinel_node *next;
    for (struct sentinel_node *replica = master->m->replicas; replica != NULL; replica = next) {
        next = replica->next;
        if (replica != master->m->promoted && is_known_already(replica)) node_remove(replica);
    }
}

/* Everything that was observed of a node at its address: it begins to be watched now. */
static void forget_observations(struct sentinel_node *node)
{
    int64_t now = node->sentinel->now;
    facts_release(&node->facts);
    bytes_buf_release(&node->info);
    node->facts.role = node->kind == SENTINEL_REPLICA ? ROLE_REPLICA : ROLE_MASTER;
    node->facts.priority = 100;
    node->facts.announced = true;
    node->runid[0] = '\0';
    node->added_at = node->last_ok_at = node->last_pong_at = node->not_down_since = now;
    node->down_at = node->role_since = node->following_since = now;
    node->unanswered_since = node->refused_since = node->rebooted_at = 0;
    node->info_at = node->info_asked_at = node->ping_sent_at = node->hello_sent_at = 0;
    node->ping_pending = node->info_pending = node->s_down = node->script_killed = false;
    node->was_replica = node->told_to_follow = node->auth_failed = false;
    node->proven_replid[0] = '\0';
    node->s_down_since = 0;
    node->reconf = RECONF_NONE;
}

void node_connect(struct sentinel_node *node)
{
    struct sentinel *s = node->sentinel;
    node->connected = true;
    node->up[SENTINEL_LINK_COMMANDS] = node->up[SENTINEL_LINK_HELLOS] = false;
    node->pending = node->down_pending = 0;
    node->ping_pending = node->info_pending = node->ask_again = false;
    s->host.connect(s->host.ctx, node);
}

void node_reconnect(struct sentinel_node *node, enum sentinel_which which)
{
    struct sentinel *s = node->sentinel;
    node->up[which] = false;
    if (which == SENTINEL_LINK_COMMANDS) node->down_at = s->now;
    s->host.reconnect(s->host.ctx, node, which);
}

void node_auth_failed(struct sentinel_node *node, const char *error)
{
    struct sentinel *s = node->sentinel;
    if (error != NULL && !node->auth_failed) sentinel_event(s, SENTINEL_WARNING, "+auth-failed", node, " #%s", error);
    if (error == NULL && node->auth_failed) sentinel_event(s, SENTINEL_WARNING, "-auth-failed", node, "%s", "");
    node->auth_failed = error != NULL;
}

static void append(struct sentinel_node **list, struct sentinel_node *node)
{
    while (*list != NULL) list = &(*list)->next;
    *list = node;
}

static void unlink_from(struct sentinel_node **list, struct sentinel_node *node)
{
    while (*list != node) list = &(*list)->next;
    *list = node->next;
}

static struct master_part *new_master_part(const struct sentinel *s)
{
    struct master_part *m = mem_calloc(sizeof(*m));
    m->quorum = 1;
    m->down_after_ms = s->tunables.default_down_after;
    m->failover_timeout_ms = s->tunables.default_failover_timeout;
    m->parallel_syncs = PARALLEL_SYNCS_DEFAULT;
    return m;
}

static struct sentinel_node **list_of(struct sentinel *s, struct sentinel_node *master, enum sentinel_kind kind)
{
    switch (kind) {
    case SENTINEL_MASTER: return &s->masters;
    case SENTINEL_REPLICA: return &master->m->replicas;
    case SENTINEL_PEER: return &master->m->peers;
    }
    UNREACHABLE();
}

static char *replica_name(const struct sentinel *s, const struct node_address *a)
{
    char name[SENTINEL_HOST_MAX + 16];
    net_address_show(node_shown_host(s, a), a->port, name, sizeof(name));
    return mem_strdup(name);
}

struct sentinel_node *node_add(struct sentinel *s, struct sentinel_node *master, enum sentinel_kind kind,
                               const char *name, const char *runid, const char *host, int port)
{
    struct sentinel_node *node = mem_calloc(sizeof(*node));
    node->sentinel = s;
    node->kind = kind;
    node->master = kind == SENTINEL_MASTER ? node : master;
    address_set(s, &node->address, host, port);
    if (kind == SENTINEL_MASTER) node->m = new_master_part(s);
    node->name = kind == SENTINEL_REPLICA ? replica_name(s, &node->address) : mem_strdup(name);
    forget_observations(node);
    if (runid != NULL) snprintf(node->runid, sizeof(node->runid), "%s", runid);
    append(list_of(s, master, kind), node);
    sentinel_changed(s);
    if (s->started) node_connect(node);
    return node;
}

static void free_renamed(struct master_part *m)
{
    struct renamed_word *next;
    for (struct renamed_word *w = m->renamed; w != NULL; w = next) {
        next = w->next;
        mem_free(w->from);
        mem_free(w->to);
        mem_free(w);
    }
}

static void free_master_part(struct master_part *m)
{
    if (m == NULL) return;
    free_renamed(m);
    mem_free(m->auth_user);
    mem_free(m->auth_pass);
    mem_free(m->notification_script);
    mem_free(m->reconfig_script);
    mem_free(m);
}

static void free_node(struct sentinel_node *node)
{
    struct sentinel *s = node->sentinel;
    if (node->connected) s->host.disconnect(s->host.ctx, node);
    facts_release(&node->facts);
    bytes_buf_release(&node->info);
    address_release(&node->address);
    free_master_part(node->m);
    mem_free(node->name);
    mem_free(node);
}

void node_remove(struct sentinel_node *node)
{
    ASSERT(node->kind != SENTINEL_MASTER);
    ASSERT(node->master->m->promoted != node);
    unlink_from(list_of(node->sentinel, node->master, node->kind), node);
    sentinel_changed(node->sentinel);
    free_node(node);
}

static void remove_all(struct sentinel_node **list)
{
    while (*list != NULL) node_remove(*list);
}

void master_remove(struct sentinel_node *master)
{
    failover_forget(master);
    remove_all(&master->m->replicas);
    remove_all(&master->m->peers);
    unlink_from(&master->sentinel->masters, master);
    sentinel_changed(master->sentinel);
    free_node(master);
}

/* ---- Finding ---- */

struct sentinel_node *node_find_replica(const struct sentinel_node *master, const char *host, int port)
{
    FOR_EACH_NODE(replica, master->m->replicas)
    if (address_is(&replica->address, host, port)) return replica;
    return NULL;
}

struct sentinel_node *node_find_peer(const struct sentinel_node *master, const char *runid)
{
    FOR_EACH_NODE(peer, master->m->peers)
    if (strcasecmp(peer->runid, runid) == 0) return peer;
    return NULL;
}

struct sentinel_node *node_find_master_at(const struct sentinel *s, const char *host, int port)
{
    FOR_EACH_NODE(master, s->masters)
    if (address_is(&master->address, host, port)) return master;
    return NULL;
}

struct sentinel_node *sentinel_find_master(const struct sentinel *s, const char *name)
{
    FOR_EACH_NODE(master, s->masters)
    if (strcmp(master->name, name) == 0) return master;
    return NULL;
}

size_t master_voters(const struct sentinel_node *master)
{
    return sentinel_peer_count(master) + 1;
}

size_t master_majority(const struct sentinel_node *master)
{
    return master_voters(master) / 2 + 1;
}

/* ---- A master changes ---- */

static void forget_agreement(struct sentinel_node *master)
{
    struct master_part *m = master->m;
    m->o_down = false;
    m->prevote_running = false;
    m->not_before = m->confirm_asked_at = 0;
    memset(m->histories, 0, sizeof(m->histories));
    FOR_EACH_NODE(peer, m->peers)
    {
        peer->says_down = false;
        peer->says_down_at = peer->down_asked_at = 0;
        peer->prevote = PREVOTE_NONE;
        peer->confirms = false;
    }
}

void master_reset(struct sentinel_node *master)
{
    failover_forget(master);
    remove_all(&master->m->replicas);
    remove_all(&master->m->peers);
    forget_agreement(master);
    forget_observations(master);
    if (master->sentinel->started) node_connect(master);
    sentinel_changed(master->sentinel);
}

void master_moved(struct sentinel_node *master, const char *host, int port)
{
    struct sentinel *s = master->sentinel;
    struct node_address old = master->address;
    failover_forget(master);
    master->address = (struct node_address){0};
    address_set(s, &master->address, host, port);
    struct sentinel_node *successor = node_find_replica(master, host, port);
    if (successor != NULL) node_remove(successor);
    forget_agreement(master);
    forget_observations(master);
    node_connect(master);
    FOR_EACH_NODE(replica, master->m->replicas)
    {
        replica->reconf = RECONF_NONE;
        replica->following_since = s->now;
        sentinel_event(s, SENTINEL_NOTICE, "+slave", replica, "%s", "");
    }
    if (!address_same(&old, &master->address) && node_find_replica(master, old.host, old.port) == NULL) {
        struct sentinel_node *former = node_add(s, master, SENTINEL_REPLICA, NULL, NULL, old.host, old.port);
        sentinel_event(s, SENTINEL_NOTICE, "+slave", former, "%s", "");
    }
    address_release(&old);
    sentinel_changed(s);
}

void node_resolve_again(struct sentinel_node *node)
{
    struct sentinel *s = node->sentinel;
    char ip[SENTINEL_IP_SIZE];
    if (!s->resolve_hostnames || s->host.resolve(s->host.ctx, node->address.host, ip) != 0) return;
    take_resolved(node, node->address.host, ip);
}

/* ---- forget-after-ms ---- */

static size_t count_present(const struct sentinel_node *master)
{
    size_t n = 1;
    FOR_EACH_NODE(peer, master->m->peers)
    if (node_usable(peer)) n++;
    return n;
}

/* A peer is forgotten only while more than half of the sentinels are here: a few that are cut off must not forget the
 * others until they are a majority of what they know. */
static bool absent_too_long(const struct sentinel_node *node, int64_t limit)
{
    const struct sentinel_node *master = node->master;
    if (node->kind == SENTINEL_PEER && count_present(master) < master_majority(master)) return false;
    return node->s_down && node->sentinel->now - node->s_down_since > limit;
}

/* Replicas and peers that have been down for so long are no longer known; never during a failover. */
void forget_absent(struct sentinel_node *master)
{
    struct sentinel *s = master->sentinel;
    struct master_part *m = master->m;
    if (m->forget_after_ms == 0 || m->state != FAILOVER_IDLE || master->s_down || s->tilt_since != 0) return;
    struct sentinel_node *const lists[] = {m->replicas, m->peers};
    for (int i = 0; i < 2; i++) {
        struct sentinel_node *next;
        for (struct sentinel_node *node = lists[i]; node != NULL; node = next) {
            next = node->next;
            if (!absent_too_long(node, m->forget_after_ms)) continue;
            sentinel_event(s, SENTINEL_WARNING, "+forget", node, "%s", "");
            node_remove(node);
        }
    }
}
