/* roles.c -- servers whose role is not what the configuration says, outside failovers.
 *
 * Every sentinel imposes its configuration: a replica that says it is a master, or follows another master, is told whom to
 * follow. The danger is a sentinel whose configuration is old: it would demote the new master. So:
 *
 *   1. A master that comes back: it has not been a replica since our configuration is valid. Redis watches it for 8 s, in
 *      which clients write to it and lose what they wrote. Here the peers are asked (SENTINEL MASTER name). If more than
 *      half of all sentinels, this one included, answer in this moment that their configuration is ours and that no
 *      failover is under way, it is told at once.
 *   2. A replica that has become a master while we watched it: perhaps a leader has promoted it and its hello is on its
 *      way. It is watched for four periods of hellos, as Redis does.
 *   3. A replica of another master: watched for failover-timeout, as sentinel.conf says.
 * In every case the master has to be up and to say that it is one. A server that loads its data refuses the order, and
 * writes of clients as well: it gets the order when it is done. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "replication/sentinel/sentinel_internal.h"
#include "storage/base/num.h"

static bool master_is_sane(const struct sentinel_node *master)
{
    const struct sentinel *s = master->sentinel;
    return node_usable(master) && !master->m->o_down && master->facts.role == ROLE_MASTER && master->info_at != 0 &&
           s->now - master->info_at < 2 * s->tunables.info_period;
}

static bool may_correct(const struct sentinel_node *node)
{
    const struct sentinel_node *master = node->master;
    return node->kind == SENTINEL_REPLICA && master->m->state == FAILOVER_IDLE && node_usable(node) &&
           !node->facts.loading && !node->told_to_follow && node->info_at != 0 && master_is_sane(master);
}

static void tell(struct sentinel_node *node, const char *type)
{
    if (!failover_send_follow(node, &node->master->address)) return;
    node->told_to_follow = true;
    sentinel_event(node->sentinel, SENTINEL_NOTICE, type, node, "%s", "");
}

/* ---- A master that comes back ---- */

static bool came_back(const struct sentinel_node *node)
{
    return node->facts.role == ROLE_MASTER && !node->was_replica && may_correct(node);
}

static bool is_confirmed(const struct sentinel_node *master)
{
    size_t n = 1;
    FOR_EACH_NODE(peer, master->m->peers)
    if (peer->confirms) n++;
    return n >= master_majority(master);
}

static void tell_returned(struct sentinel_node *master)
{
    if (!is_confirmed(master)) return;
    FOR_EACH_NODE(replica, master->m->replicas)
    if (came_back(replica)) tell(replica, "+convert-to-slave");
}

static void ask_peers(struct sentinel_node *master)
{
    struct sentinel *s = master->sentinel;
    struct master_part *m = master->m;
    if (m->confirm_asked_at != 0 && s->now - m->confirm_asked_at < CONFIRM_PERIOD_MS) return;
    m->confirm_asked_at = s->now;
    FOR_EACH_NODE(peer, m->peers)
    {
        peer->confirms = false;
        (void)node_send(peer, TAG_CONFIRM, "SENTINEL", "MASTER", master->name); /* who is away does not confirm */
    }
    tell_returned(master);
}

static bool text_of(const struct sentinel_value *v, char *out, size_t size)
{
    if (v->kind != SENTINEL_REPLY_STRING || v->text.len >= size) return false;
    memcpy(out, v->text.data, v->text.len);
    out[v->text.len] = '\0';
    return true;
}

/* The value of a field in a reply that is names and values in turn, "" if there is none. */
static void field_of(const struct sentinel_value *reply, const char *name, char out[SENTINEL_HOST_MAX + 1])
{
    out[0] = '\0';
    for (size_t i = 0; i + 1 < reply->count; i += 2)
        if (reply->items[i].kind == SENTINEL_REPLY_STRING && bytes_equal(reply->items[i].text, bytes_str(name)))
            if (text_of(&reply->items[i + 1], out, SENTINEL_HOST_MAX + 1)) return;
}

static bool is_our_configuration(const struct sentinel_node *master, const struct sentinel_value *reply)
{
    char ip[SENTINEL_HOST_MAX + 1], text[SENTINEL_HOST_MAX + 1];
    int64_t port, epoch;
    field_of(reply, "ip", ip);
    field_of(reply, "port", text);
    if (!num_parse_i64(bytes_str(text), &port) || !address_is(&master->address, ip, (int)port)) return false;
    field_of(reply, "config-epoch", text);
    if (!num_parse_i64(bytes_str(text), &epoch) || (uint64_t)epoch != master->m->config_epoch) return false;
    field_of(reply, "flags", text);
    return strstr(text, "failover_in_progress") == NULL && strstr(text, "o_down") == NULL;
}

void roles_confirm_answered(struct sentinel_node *peer, const struct sentinel_value *reply, int64_t asked_at)
{
    struct sentinel_node *master = peer->master;
    if (reply == NULL || reply->kind != SENTINEL_REPLY_ARRAY || asked_at < master->m->confirm_asked_at) return;
    if (master->sentinel->tilt_since != 0) return;
    peer->confirms = is_our_configuration(master, reply);
    tell_returned(master);
}

/* ---- All cases ---- */

static bool follows_other(const struct sentinel_node *node)
{
    const struct node_facts *f = &node->facts;
    return f->role == ROLE_REPLICA && f->master_host != NULL &&
           address_means(node->sentinel, &node->master->address, f->master_host, f->master_port) == 0;
}

void roles_check(struct sentinel_node *node)
{
    struct sentinel *s = node->sentinel;
    int64_t hellos = CONVERT_HELLOS * s->tunables.publish_period, timeout = node->master->m->failover_timeout_ms;
    node->told_to_follow = false; /* this INFO shows whether it obeyed */
    if (!may_correct(node)) return;
    if (came_back(node)) ask_peers(node->master);
    if (node->told_to_follow) return;
    if (node->facts.role == ROLE_MASTER && s->now - node->role_since > hellos && s->now - node->not_down_since > hellos)
        tell(node, "+convert-to-slave");
    else if (follows_other(node) && s->now - node->following_since > timeout && s->now - node->not_down_since > timeout)
        tell(node, "+fix-slave-config");
}
