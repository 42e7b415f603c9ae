/* describe.c -- the fields of SENTINEL MASTERS, REPLICAS and SENTINELS, in the order of Redis, then ours.
 *
 * Times are ages in milliseconds at the moment of the question. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "replication/sentinel/sentinel_internal.h"

struct output {
    const struct sentinel_field_out *out;
    int64_t now;
};

static void text(const struct output *o, const char *name, const char *value)
{
    o->out->field(o->out->ctx, name, value);
}

static void number(const struct output *o, const char *name, int64_t value)
{
    char digits[24];
    snprintf(digits, sizeof(digits), "%" PRId64, value);
    text(o, name, digits);
}

static void age(const struct output *o, const char *name, int64_t since)
{
    number(o, name, since == 0 ? 0 : o->now - since);
}

static void flag(char flags[160], bool set, const char *name)
{
    size_t len = strlen(flags);
    if (set) snprintf(flags + len, 160 - len, "%s%s", len == 0 ? "" : ",", name);
}

static void flags(const struct output *o, const struct sentinel_node *node)
{
    const struct master_part *m = node->m;
    char all[160] = "";
    flag(all, node->s_down, "s_down");
    flag(all, m != NULL && m->o_down, "o_down");
    flag(all, node->kind == SENTINEL_MASTER, "master");
    flag(all, node->kind == SENTINEL_REPLICA, "slave");
    flag(all, node->kind == SENTINEL_PEER, "sentinel");
    flag(all, !node->up[SENTINEL_LINK_COMMANDS] || node->auth_failed, "disconnected");
    flag(all, m != NULL && m->state != FAILOVER_IDLE, "failover_in_progress");
    flag(all, node == node->master->m->promoted, "promoted");
    flag(all, node->reconf == RECONF_SENT, "reconf_sent");
    flag(all, node->reconf == RECONF_IN_PROGRESS, "reconf_inprog");
    flag(all, node->reconf == RECONF_DONE, "reconf_done");
    flag(all, m != NULL && m->forced, "force_failover");
    flag(all, node->script_killed, "script_kill_sent");
    flag(all, node->kind == SENTINEL_MASTER && node->rebooted_at != 0, "master_reboot");
    text(o, "flags", all);
}

/* How many of our nodes are the same process: a peer that watches several masters with us. */
static int64_t count_same(const struct sentinel *s, const struct sentinel_node *node)
{
    int64_t n = 0;
    if (node->kind != SENTINEL_PEER) return 1;
    FOR_EACH_NODE(master, s->masters)
    if (node_find_peer(master, node->runid) != NULL) n++;
    return n;
}

static void what_all_have(const struct output *o, const struct sentinel *s, const struct sentinel_node *node)
{
    text(o, "name", node->name);
    text(o, "ip", node_shown_host(s, &node->address));
    number(o, "port", node->address.port);
    text(o, "runid", node->runid);
    flags(o, node);
    number(o, "link-pending-commands", node->pending);
    number(o, "link-refcount", count_same(s, node));
    if (node->m != NULL && node->m->state != FAILOVER_IDLE)
        text(o, "failover-state", failover_state_name(node->m->state));
    age(o, "last-ping-sent", node->unanswered_since);
    age(o, "last-ok-ping-reply", node->last_ok_at);
    age(o, "last-ping-reply", node->last_pong_at);
    if (node->s_down) age(o, "s-down-time", node->s_down_since);
    if (node->m != NULL && node->m->o_down) age(o, "o-down-time", node->m->o_down_since);
    number(o, "down-after-milliseconds", node->master->m->down_after_ms);
}

static void what_servers_have(const struct output *o, const struct sentinel_node *node)
{
    age(o, "info-refresh", node->info_at);
    text(o, "role-reported", node->facts.role == ROLE_MASTER ? "master" : "slave");
    age(o, "role-reported-time", node->role_since);
}

static void what_masters_have(const struct output *o, const struct sentinel_node *node)
{
    const struct master_part *m = node->m;
    number(o, "config-epoch", (int64_t)m->config_epoch);
    number(o, "num-slaves", (int64_t)sentinel_replica_count(node));
    number(o, "num-other-sentinels", (int64_t)sentinel_peer_count(node));
    number(o, "quorum", m->quorum);
    number(o, "failover-timeout", m->failover_timeout_ms);
    number(o, "parallel-syncs", m->parallel_syncs);
    if (m->notification_script != NULL) text(o, "notification-script", m->notification_script);
    if (m->reconfig_script != NULL) text(o, "client-reconfig-script", m->reconfig_script);
    if (m->reboot_down_after_ms != 0) number(o, "master-reboot-down-after-period", m->reboot_down_after_ms);
    if (m->refusal_down_after_ms != 0) number(o, "refusal-down-after-ms", m->refusal_down_after_ms);
    if (m->forget_after_ms != 0) number(o, "forget-after-ms", m->forget_after_ms);
}

static void what_replicas_have(const struct output *o, const struct sentinel_node *node)
{
    const struct node_facts *f = &node->facts;
    number(o, "master-link-down-time", f->link_down_ms);
    text(o, "master-link-status", f->link_up ? "ok" : "err");
    text(o, "master-host", f->master_host != NULL ? f->master_host : "?");
    number(o, "master-port", f->master_port);
    number(o, "slave-priority", f->priority);
    number(o, "slave-repl-offset", (int64_t)f->offset);
    number(o, "replica-announced", f->announced);
}

static void what_peers_have(const struct output *o, const struct sentinel_node *node)
{
    age(o, "last-hello-message", node->hello_at);
    text(o, "voted-leader", node->voted[0] != '\0' ? node->voted : "?");
    number(o, "voted-leader-epoch", (int64_t)node->voted_epoch);
}

void sentinel_describe(const struct sentinel *s, const struct sentinel_node *node, const struct sentinel_field_out *out)
{
    struct output o = {.out = out, .now = s->host.now(s->host.ctx) + 1};
    what_all_have(&o, s, node);
    if (node->kind != SENTINEL_PEER) what_servers_have(&o, node);
    switch (node->kind) {
    case SENTINEL_MASTER: what_masters_have(&o, node); return;
    case SENTINEL_REPLICA: what_replicas_have(&o, node); return;
    case SENTINEL_PEER: what_peers_have(&o, node); return;
    }
}
