/* hello.c -- the messages by which sentinels find each other and agree on who is master.
 *
 *     ip,port,runid,current_epoch,master_name,master_ip,master_port,master_config_epoch
 *
 * Each sentinel publishes one for each master on __sentinel__:hello of the master and of each replica, and to each peer,
 * every 2 s and at once when its configuration changes. Redis reads exactly these eight fields and nothing else.
 *
 *   1. A greater config_epoch wins: its address is that of the master.
 *   2. Equal config_epochs with different addresses are no result of elections, but of sentinels that were started with
 *      different masters, or of orders by hand (H7). Redis stays divided for ever. Here the address that more than half
 *      of the sentinels name wins; without such an address, one of which a server itself says that it is the right one;
 *      else the smaller.
 *   3. Run ids identify peers. A peer at another address has moved; another peer at its address has replaced it. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "replication/sentinel/sentinel_internal.h"
#include "storage/base/num.h"

/* ---- Sending ---- */

static bool own_ip(struct sentinel_node *node, char out[SENTINEL_HOST_MAX + 1])
{
    struct sentinel *s = node->sentinel;
    char ip[SENTINEL_IP_SIZE];
    if (s->announce_ip != NULL) {
        snprintf(out, SENTINEL_HOST_MAX + 1, "%s", s->announce_ip);
        return true;
    }
    if (!s->host.local_ip(s->host.ctx, node, ip)) return false;
    snprintf(out, SENTINEL_HOST_MAX + 1, "%s", ip);
    return true;
}

void hello_send(struct sentinel_node *node)
{
    struct sentinel *s = node->sentinel;
    const struct sentinel_node *master = node->master;
    const struct node_address *a = failover_current_address(master);
    char text[3 * SENTINEL_HOST_MAX + 160], ip[SENTINEL_HOST_MAX + 1];
    if (!sentinel_saved(s)) return; /* epochs that are not in the file are not told */
    if (!own_ip(node, ip)) return;
    int port = s->announce_port != 0 ? s->announce_port : s->host.listening_port(s->host.ctx);
    snprintf(text, sizeof(text), "%s,%d,%s,%" PRIu64 ",%s,%s,%d,%" PRIu64, ip, port, s->id, s->current_epoch,
             master->name, node_shown_host(s, a), a->port, master->m->config_epoch);
    if (node_send(node, TAG_HELLO, "PUBLISH", SENTINEL_HELLO_CHANNEL, text)) node->hello_sent_at = s->now;
}

void hello_everywhere(struct sentinel_node *master)
{
    struct sentinel_node *const lists[] = {master->m->replicas, master->m->peers};
    master->hello_sent_at = 0; /* also for those that are not connected now */
    if (master->up[SENTINEL_LINK_COMMANDS]) hello_send(master);
    for (int i = 0; i < 2; i++) {
        FOR_EACH_NODE(node, lists[i])
        {
            node->hello_sent_at = 0;
            if (node->up[SENTINEL_LINK_COMMANDS]) hello_send(node);
        }
    }
}

/* ---- Reading ---- */

struct hello {
    char ip[SENTINEL_HOST_MAX + 1], runid[SENTINEL_ID_LEN + 1], name[SENTINEL_NAME_MAX + 1],
        master_host[SENTINEL_HOST_MAX + 1];
    int port, master_port;
    uint64_t current_epoch, config_epoch;
};

enum { HELLO_FIELDS = 8 };

static bool split(struct bytes_view text, struct bytes_view fields[HELLO_FIELDS])
{
    int n = 0;
    for (;;) {
        const char *comma = text.len == 0 ? NULL : memchr(text.data, ',', text.len);
        if (n == HELLO_FIELDS) return false;
        fields[n++] = bytes_view(text.data, comma == NULL ? text.len : (size_t)(comma - text.data));
        if (comma == NULL) return n == HELLO_FIELDS;
        text = bytes_view(comma + 1, text.len - (size_t)(comma + 1 - text.data));
    }
}

static bool read_text(struct bytes_view field, size_t min, size_t max, char *out)
{
    if (field.len < min || field.len > max) return false;
    for (size_t i = 0; i < field.len; i++)
        if (field.data[i] <= ' ' || field.data[i] > '~' || field.data[i] == '"') return false;
    memcpy(out, field.data, field.len);
    out[field.len] = '\0';
    return true;
}

static bool read_port(struct bytes_view field, int *out)
{
    int64_t n;
    if (!num_parse_i64(field, &n) || n < 1 || n > 65535) return false;
    *out = (int)n;
    return true;
}

static bool read_epoch(struct bytes_view field, uint64_t *out)
{
    int64_t n;
    if (!num_parse_i64(field, &n) || n < 0) return false;
    *out = (uint64_t)n;
    return true;
}

static bool read_hello(struct bytes_view text, struct hello *h)
{
    struct bytes_view f[HELLO_FIELDS];
    return split(text, f) && read_text(f[0], 1, SENTINEL_HOST_MAX, h->ip) && read_port(f[1], &h->port) &&
           read_text(f[2], SENTINEL_ID_LEN, SENTINEL_ID_LEN, h->runid) && read_epoch(f[3], &h->current_epoch) &&
           read_text(f[4], 1, SENTINEL_NAME_MAX, h->name) && read_text(f[5], 1, SENTINEL_HOST_MAX, h->master_host) &&
           read_port(f[6], &h->master_port) && read_epoch(f[7], &h->config_epoch);
}

/* ---- The peer that sent it ---- */

static struct sentinel_node *peer_at(const struct sentinel_node *master, const char *host, int port)
{
    FOR_EACH_NODE(peer, master->m->peers)
    if (address_is(&peer->address, host, port)) return peer;
    return NULL;
}

static void move_peer(struct sentinel_node *peer, const struct hello *h)
{
    struct sentinel *s = peer->sentinel;
    sentinel_event(s, SENTINEL_NOTICE, "+sentinel-address-switch", peer->master, " ip %s port %d for %s", h->ip,
                   h->port, h->runid);
    address_set(s, &peer->address, h->ip, h->port);
    node_connect(peer);
    sentinel_changed(s);
}

/* Two run ids cannot live at one address: whoever is there now has replaced the other. So a sentinel that lost its file
 * does not count twice, and a majority stays what it was. */
static void remove_replaced(struct sentinel_node *master, const struct hello *h)
{
    struct sentinel_node *other = peer_at(master, h->ip, h->port);
    if (other == NULL || strcasecmp(other->runid, h->runid) == 0) return;
    sentinel_event(master->sentinel, SENTINEL_NOTICE, "-dup-sentinel", master, " #duplicate of %s:%d or %s", h->ip,
                   h->port, h->runid);
    node_remove(other);
}

static struct sentinel_node *peer_of(struct sentinel_node *master, const struct hello *h)
{
    struct sentinel *s = master->sentinel;
    struct sentinel_node *peer = node_find_peer(master, h->runid);
    if (!s->resolve_hostnames && !address_is_ip(h->ip)) return peer;
    remove_replaced(master, h);
    if (peer != NULL) {
        if (!address_is(&peer->address, h->ip, h->port)) move_peer(peer, h);
        return peer;
    }
    if (sentinel_peer_count(master) >= PEERS_MAX) return NULL;
    peer = node_add(s, master, SENTINEL_PEER, h->runid, h->runid, h->ip, h->port);
    sentinel_event(s, SENTINEL_NOTICE, "+sentinel", peer, "%s", "");
    return peer;
}

/* ---- Its configuration ---- */

static void follow_configuration(struct sentinel_node *peer, const char *host, int port)
{
    struct sentinel_node *master = peer->master;
    struct sentinel *s = master->sentinel;
    char from[SENTINEL_HOST_MAX + 1];
    int from_port = master->address.port;
    snprintf(from, sizeof(from), "%s", node_shown_host(s, &master->address));
    sentinel_event(s, SENTINEL_WARNING, "+config-update-from", peer, "%s", "");
    sentinel_event_text(s, SENTINEL_WARNING, "+switch-master", master, "%s %s %d %s %d", master->name, from, from_port,
                        host, port);
    master_moved(master, host, port);
    s->host.reconfig(s->host.ctx, master, "observer", "start", from, from_port, host, port);
}

static void compare_configurations(struct sentinel_node *peer, const struct hello *h)
{
    struct sentinel_node *master = peer->master;
    struct master_part *m = master->m;
    if (h->config_epoch <= m->config_epoch) return;
    m->config_epoch = h->config_epoch;
    sentinel_changed(master->sentinel);
    if (address_means(master->sentinel, &master->address, h->master_host, h->master_port) != 1)
        follow_configuration(peer, h->master_host, h->master_port);
    else if (m->state != FAILOVER_IDLE)
        failover_forget(master); /* somebody else has decided later than we */
}

/* ---- Configurations of equal age (H7) ---- */

static bool claims(const struct sentinel_node *peer, const char *host, int port)
{
    const struct sentinel *s = peer->sentinel;
    return peer->claim_epoch == peer->master->m->config_epoch && peer->claim_port == port &&
           strcasecmp(peer->claim_host, host) == 0 && s->now - peer->hello_at <= 5 * s->tunables.publish_period;
}

static size_t count_claims(const struct sentinel_node *master, const char *host, int port)
{
    size_t n = address_is(&master->address, host, port) ? 1 : 0;
    FOR_EACH_NODE(peer, master->m->peers)
    if (claims(peer, host, port)) n++;
    return n;
}

/* What servers themselves say: 1 for the other address, -1 for ours, 0 if they do not. */
static int servers_say(const struct sentinel_node *master, const struct sentinel_node *peer)
{
    const struct node_facts *f = &master->facts;
    const struct sentinel_node *replica = node_find_replica(master, peer->claim_host, peer->claim_port);
    if (f->role == ROLE_REPLICA && f->master_host != NULL && f->master_port == peer->claim_port &&
        strcasecmp(f->master_host, peer->claim_host) == 0)
        return 1;
    return replica != NULL && replica->info_at != 0 && replica->facts.role == ROLE_REPLICA ? -1 : 0;
}

static bool is_smaller(const struct sentinel_node *peer, const struct node_address *ours)
{
    int order = strcasecmp(peer->claim_host, node_shown_host(peer->sentinel, ours));
    return order < 0 || (order == 0 && peer->claim_port < ours->port);
}

static bool other_is_better(const struct sentinel_node *peer)
{
    const struct sentinel_node *master = peer->master;
    const struct node_address *a = &master->address;
    if (count_claims(master, peer->claim_host, peer->claim_port) >= master_majority(master)) return true;
    if (count_claims(master, node_shown_host(master->sentinel, a), a->port) >= master_majority(master)) return false;
    int said = servers_say(master, peer);
    return said != 0 ? said > 0 : is_smaller(peer, a);
}

static void settle_claims(struct sentinel_node *peer, const struct hello *h)
{
    struct sentinel_node *master = peer->master;
    struct master_part *m = master->m;
    snprintf(peer->claim_host, sizeof(peer->claim_host), "%s", h->master_host);
    peer->claim_port = h->master_port;
    peer->claim_epoch = h->config_epoch;
    if (h->config_epoch != m->config_epoch || m->state != FAILOVER_IDLE || master->sentinel->tilt_since != 0) return;
    if (address_means(master->sentinel, &master->address, h->master_host, h->master_port) != 0) return;
    if (!other_is_better(peer)) return;
    follow_configuration(peer, peer->claim_host, peer->claim_port);
}

/* ---- Both ---- */

void hello_received(struct sentinel *s, struct bytes_view text)
{
    struct hello h;
    if (!read_hello(text, &h) || strcasecmp(h.runid, s->id) == 0) return;
    struct sentinel_node *master = sentinel_find_master(s, h.name);
    if (master == NULL) return;
    struct sentinel_node *peer = peer_of(master, &h);
    if (peer == NULL) return;
    peer->hello_at = s->now;
    agree_epoch_seen(s, h.current_epoch);
    if (!s->resolve_hostnames && !address_is_ip(h.master_host)) return;
    compare_configurations(peer, &h);
    settle_claims(peer, &h);
}

void hello_answered(struct sentinel_node *node, const struct sentinel_value *reply)
{
    if (reply == NULL || reply->kind == SENTINEL_REPLY_ERROR) node->hello_sent_at = 0; /* next tick */
}
