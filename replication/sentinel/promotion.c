/* promotion.c -- the steps of a failover that this sentinel leads.
 *
 *     IDLE --election or order--> WAIT_START --elected--> SELECT --chosen--> PROMOTE --sent--> WAIT_PROMOTED
 *      ^                              |                     |                  |                 |     | INFO says master
 *      |<---- not elected ------------'                     |                  |                 |     v
 *      |<---- no good replica, master is back, superseded --'------------------'-----------------'   RECONF
 *      |                                                                        `time is over          | all follow, or
 *      `<------------------------------------------------- UPDATE <------------------------------------' time is over
 *
 *   1. Before SLAVEOF NO ONE leaves, the leader makes sure that it still is one: its epoch is the greatest that it has
 *      heard of for this master, `quorum` sentinels have said within the last second that the master is down, and its
 *      time (LEAD_MS) is not over. An order by hand needs none of the votes, but an unused epoch.
 *   2. From RECONF on the new configuration is valid: it is in the file, hellos tell it, clients are told the promoted
 *      replica. Nothing before it changes the configuration, so giving up is harmless; if the replica was promoted all
 *      the same, it is told to follow the master again (roles.c), or the next leader finds it promoted (candidates.c).
 *   3. A step is taken in the moment in which its condition is true: failover_tick() goes on until nothing changes.
 *
 * COORDINATED: instead of promoting the replica, the master is told to hand over to it (FAILOVER TO ip port TIMEOUT ms),
 * which loses no write. What follows is the same. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "replication/sentinel/sentinel_internal.h"
#include "storage/base/assert.h"

/* ---- States ---- */

static const struct {
    const char *name;
    unsigned next; /* states that may follow, as bits */
} states[] = {
    [FAILOVER_IDLE] = {"none", 1u << FAILOVER_WAIT_START},
    [FAILOVER_WAIT_START] = {"wait_start", 1u << FAILOVER_SELECT | 1u << FAILOVER_IDLE},
    [FAILOVER_SELECT] = {"select_slave", 1u << FAILOVER_PROMOTE | 1u << FAILOVER_IDLE},
    [FAILOVER_PROMOTE] = {"send_slaveof_noone", 1u << FAILOVER_WAIT_PROMOTED | 1u << FAILOVER_IDLE},
    [FAILOVER_WAIT_PROMOTED] = {"wait_promotion", 1u << FAILOVER_RECONF | 1u << FAILOVER_IDLE},
    [FAILOVER_RECONF] = {"reconf_slaves", 1u << FAILOVER_UPDATE | 1u << FAILOVER_IDLE},
    [FAILOVER_UPDATE] = {"update_config", 1u << FAILOVER_IDLE},
};

const char *failover_state_name(enum failover_state state)
{
    return states[state].name;
}

static void enter(struct sentinel_node *master, enum failover_state next) /* the only writer of m->state */
{
    struct master_part *m = master->m;
    ASSERT(states[m->state].next & 1u << next);
    m->state = next;
    m->state_since = master->sentinel->now;
    ASSERT((m->promoted != NULL) == (next >= FAILOVER_PROMOTE));
}

void failover_forget(struct sentinel_node *master)
{
    struct master_part *m = master->m;
    m->promoted = NULL;
    m->forced = m->coordinated = false;
    if (m->state != FAILOVER_IDLE) enter(master, FAILOVER_IDLE);
    FOR_EACH_NODE(replica, m->replicas) replica->reconf = RECONF_NONE;
}

static void give_up(struct sentinel_node *master, const char *type, int64_t pause_ms)
{
    sentinel_event(master->sentinel, SENTINEL_WARNING, type, master, "%s", "");
    failover_forget(master);
    election_postpone(master, pause_ms);
}

const struct node_address *failover_current_address(const struct sentinel_node *master)
{
    return master->m->state >= FAILOVER_RECONF ? &master->m->promoted->address : &master->address;
}

/* ---- Begin: WAIT_START ---- */

void failover_begin(struct sentinel_node *master, bool forced)
{
    struct master_part *m = master->m;
    enter(master, FAILOVER_WAIT_START);
    m->forced = forced;
    m->failover_since = master->sentinel->now;
    m->had_no_candidate = false;
    election_begin(master);
}

static int64_t shorter(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* A pause after an attempt that began something. Redis waits twice failover-timeout. */
static int64_t long_pause(const struct master_part *m)
{
    return shorter(2 * m->failover_timeout_ms, PAUSE_MS);
}

static void elected(struct sentinel_node *master)
{
    struct sentinel *s = master->sentinel;
    sentinel_event(s, SENTINEL_WARNING, "+elected-leader", master, "%s", "");
    if (s->simulations & SIMULATE_CRASH_AFTER_ELECTION) s->host.crash(s->host.ctx);
    enter(master, FAILOVER_SELECT);
    sentinel_event(s, SENTINEL_WARNING, "+failover-state-select-slave", master, "%s", "");
    candidates_ask(master);
    if (!master->m->forced) agree_ask(master);
}

static void step_wait_start(struct sentinel_node *master)
{
    struct sentinel *s = master->sentinel;
    const struct master_part *m = master->m;
    int64_t end = m->failover_since + shorter(s->tunables.election_timeout, shorter(m->failover_timeout_ms, LEAD_MS));
    if (m->forced ? sentinel_saved(s) : election_won(master))
        elected(master);
    else if (s->now >= end || (!m->forced && election_lost(master)))
        give_up(master, "-failover-abort-not-elected", election_has_other_leader(master) ? LEAD_MS : 0);
    else
        sentinel_wake_at(s, end);
}

/* ---- SELECT ---- */

/* May a leader still act? Gives up if not. */
static bool still_leads(struct sentinel_node *master)
{
    const struct master_part *m = master->m;
    if (m->forced && m->config_epoch < m->failover_epoch) return true;
    if (!m->forced && !m->o_down)
        give_up(master, "-failover-abort-master-is-up", 0);
    else if (election_superseded(master))
        give_up(master, "-failover-abort-superseded", LEAD_MS);
    else if (master->sentinel->now - m->failover_since >= shorter(m->failover_timeout_ms, LEAD_MS))
        give_up(master, "-failover-abort-slave-timeout", 0);
    else
        return true;
    return false;
}

static bool is_agreed_now(const struct sentinel_node *master)
{
    return master->m->forced || agree_count(master, master->sentinel->now - AGREED_WITHIN_MS) >= master->m->quorum;
}

static void choose(struct sentinel_node *master)
{
    struct sentinel *s = master->sentinel;
    struct sentinel_node *best = candidate_best(master);
    if (best == NULL) {
        master->m->had_no_candidate = true;
        give_up(master, "-failover-abort-no-good-slave", 1000);
        return;
    }
    sentinel_event(s, SENTINEL_WARNING, "+selected-slave", best, "%s", "");
    master->m->promoted = best;
    enter(master, FAILOVER_PROMOTE);
    sentinel_event(s, SENTINEL_NOTICE, "+failover-state-send-slaveof-noone", best, "%s", "");
}

static void step_select(struct sentinel_node *master)
{
    struct sentinel *s = master->sentinel;
    int64_t end = master->m->state_since + SELECT_WAIT_MS;
    if (!still_leads(master)) return;
    if (s->now < end && !candidates_answered(master)) return sentinel_wake_at(s, end);
    choose(master);
}

/* ---- PROMOTE ---- */

static bool send_transaction(struct sentinel_node *node, enum tag tag, const char *host, const char *port)
{
    if (!node->up[SENTINEL_LINK_COMMANDS] || node->pending + 6 > PENDING_MAX) return false;
    return node_send(node, TAG_IGNORE, "MULTI") && node_send(node, TAG_IGNORE, "SLAVEOF", host, port) &&
           node_send(node, TAG_IGNORE, "CONFIG", "REWRITE") &&
           node_send(node, TAG_IGNORE, "CLIENT", "KILL", "TYPE", "normal") &&
           node_send(node, TAG_IGNORE, "CLIENT", "KILL", "TYPE", "pubsub") && node_send(node, tag, "EXEC");
}

bool failover_send_follow(struct sentinel_node *node, const struct node_address *target)
{
    char port[16];
    if (address_same(&node->address, target)) return false; /* nobody is told to follow itself (H9) */
    snprintf(port, sizeof(port), "%d", target->port);
    return send_transaction(node, TAG_FOLLOW, node_shown_host(node->sentinel, target), port);
}

static bool send_hand_over(struct sentinel_node *master)
{
    const struct node_address *target = &master->m->promoted->address;
    char port[16], timeout[24];
    snprintf(port, sizeof(port), "%d", target->port);
    snprintf(timeout, sizeof(timeout), "%" PRId64, master->m->failover_timeout_ms);
    return node_send(master, TAG_COORDINATED, "FAILOVER", "TO", node_shown_host(master->sentinel, target), port,
                     "TIMEOUT", timeout);
}

static bool send_promotion(struct sentinel_node *master)
{
    if (master->m->coordinated) return send_hand_over(master);
    return send_transaction(master->m->promoted, TAG_PROMOTE, "NO", "ONE");
}

static void step_promote(struct sentinel_node *master)
{
    struct sentinel *s = master->sentinel;
    struct master_part *m = master->m;
    if (!still_leads(master)) return;
    if (is_agreed_now(master) && sentinel_saved(s) && send_promotion(master)) {
        enter(master, FAILOVER_WAIT_PROMOTED);
        sentinel_event(s, SENTINEL_NOTICE, "+failover-state-wait-promotion", m->promoted, "%s", "");
    } else if (s->now - m->state_since > m->failover_timeout_ms) {
        give_up(master, "-failover-abort-slave-timeout", long_pause(m));
    }
}

/* ---- WAIT_PROMOTED ---- */

void failover_promote_answered(struct sentinel_node *node, const struct sentinel_value *reply)
{
    if (reply != NULL && reply->kind == SENTINEL_REPLY_ERROR)
        sentinel_log(node->sentinel, SENTINEL_WARNING, "%s refused the promotion: %.*s", node->name,
                     bytes_shown(reply->text, 200), reply->text.data);
    watch_ask_info(node);
}

void failover_coordinated_answered(struct sentinel_node *master, const struct sentinel_value *reply)
{
    struct master_part *m = master->m;
    if (m->state != FAILOVER_WAIT_PROMOTED || !m->coordinated) return;
    if (reply == NULL || reply->kind != SENTINEL_REPLY_ERROR) return watch_ask_info(m->promoted);
    sentinel_log(master->sentinel, SENTINEL_WARNING, "%s refused to hand over: %.*s", master->name,
                 bytes_shown(reply->text, 200), reply->text.data);
    give_up(master, "-failover-abort-master-refused", 0);
}

static void step_wait_promoted(struct sentinel_node *master)
{
    struct sentinel *s = master->sentinel;
    struct master_part *m = master->m;
    if (m->config_epoch >= m->failover_epoch) return give_up(master, "-failover-abort-superseded", LEAD_MS);
    if (s->now - m->state_since <= m->failover_timeout_ms) return;
    if (m->coordinated) (void)node_send(master, TAG_IGNORE, "FAILOVER", "ABORT"); /* its own time is over, too */
    give_up(master, "-failover-abort-slave-timeout", long_pause(m));
}

void failover_promoted(struct sentinel_node *promoted)
{
    struct sentinel_node *master = promoted->master;
    struct sentinel *s = master->sentinel;
    struct master_part *m = master->m;
    if (m->state != FAILOVER_WAIT_PROMOTED || m->config_epoch >= m->failover_epoch) return;
    m->config_epoch = m->failover_epoch;
    enter(master, FAILOVER_RECONF);
    sentinel_changed(s);
    sentinel_event(s, SENTINEL_WARNING, "+promoted-slave", promoted, "%s", "");
    if (s->simulations & SIMULATE_CRASH_AFTER_PROMOTION) s->host.crash(s->host.ctx);
    sentinel_event(s, SENTINEL_WARNING, "+failover-state-reconf-slaves", master, "%s", "");
    s->host.reconfig(s->host.ctx, master, "leader", "start", node_shown_host(s, &master->address), master->address.port,
                     node_shown_host(s, &promoted->address), promoted->address.port);
    hello_everywhere(master);
}

/* ---- RECONF: the other replicas ---- */

void failover_follow_answered(struct sentinel_node *node, const struct sentinel_value *reply)
{
    if (reply != NULL && reply->kind == SENTINEL_REPLY_ERROR)
        sentinel_log(node->sentinel, SENTINEL_WARNING, "%s refused to follow: %.*s", node->name,
                     bytes_shown(reply->text, 200), reply->text.data);
    if (reply == NULL) node->told_to_follow = false;
    watch_ask_info(node);
}

void failover_reconf_seen(struct sentinel_node *replica)
{
    struct sentinel *s = replica->sentinel;
    const struct master_part *m = replica->master->m;
    const struct node_facts *f = &replica->facts;
    if (m->promoted == NULL || f->role != ROLE_REPLICA || f->master_host == NULL) return;
    if (address_means(s, &m->promoted->address, f->master_host, f->master_port) != 1) return;
    if (replica->reconf == RECONF_SENT) {
        replica->reconf = RECONF_IN_PROGRESS;
        sentinel_event(s, SENTINEL_NOTICE, "+slave-reconf-inprog", replica, "%s", "");
    }
    if (replica->reconf == RECONF_IN_PROGRESS && f->link_up) {
        replica->reconf = RECONF_DONE;
        sentinel_event(s, SENTINEL_NOTICE, "+slave-reconf-done", replica, "%s", "");
    }
}

static bool is_under_way(const struct sentinel_node *replica)
{
    return replica->reconf == RECONF_SENT || replica->reconf == RECONF_IN_PROGRESS;
}

static int64_t count_under_way(const struct master_part *m)
{
    int64_t n = 0;
    FOR_EACH_NODE(replica, m->replicas)
    if (is_under_way(replica)) n++;
    return n;
}

static void reconfigure(struct sentinel_node *replica, const char *type)
{
    struct sentinel *s = replica->sentinel;
    if (!failover_send_follow(replica, &replica->master->m->promoted->address)) return;
    replica->reconf = RECONF_SENT;
    replica->reconf_sent_at = s->now;
    sentinel_event(s, SENTINEL_NOTICE, type, replica, "%s", "");
}

static void note_unheard(struct sentinel_node *replica)
{
    struct sentinel *s = replica->sentinel;
    if (replica->reconf != RECONF_SENT || s->now - replica->reconf_sent_at <= s->tunables.reconf_timeout) return;
    sentinel_event(s, SENTINEL_NOTICE, "-slave-reconf-sent-timeout", replica, "%s", "");
    replica->reconf = RECONF_DONE; /* roles.c tells it again */
}

static bool all_reconfigured(const struct master_part *m)
{
    FOR_EACH_NODE(replica, m->replicas)
    if (replica != m->promoted && replica->reconf != RECONF_DONE && !replica->s_down) return false;
    return true;
}

static void reconfigure_rest(struct master_part *m)
{
    FOR_EACH_NODE(replica, m->replicas)
    if (replica != m->promoted && replica->reconf == RECONF_NONE && replica->up[SENTINEL_LINK_COMMANDS])
        reconfigure(replica, "+slave-reconf-sent-be");
}

static void end_reconf(struct sentinel_node *master)
{
    sentinel_event(master->sentinel, SENTINEL_WARNING, "+failover-end", master, "%s", "");
    enter(master, FAILOVER_UPDATE);
}

static void step_reconf(struct sentinel_node *master)
{
    struct sentinel *s = master->sentinel;
    struct master_part *m = master->m;
    if (m->config_epoch > m->failover_epoch) return failover_forget(master);
    FOR_EACH_NODE(replica, m->replicas)
    {
        note_unheard(replica);
        if (replica == m->promoted || replica->reconf != RECONF_NONE || !node_usable(replica)) continue;
        if (count_under_way(m) < m->parallel_syncs) reconfigure(replica, "+slave-reconf-sent");
    }
    if (all_reconfigured(m)) return end_reconf(master);
    if (s->now - m->state_since <= m->failover_timeout_ms) return;
    sentinel_event(s, SENTINEL_WARNING, "+failover-end-for-timeout", master, "%s", "");
    reconfigure_rest(m);
    end_reconf(master);
}

/* ---- UPDATE ---- */

static void step_update(struct sentinel_node *master)
{
    struct sentinel *s = master->sentinel;
    const struct node_address *to = &master->m->promoted->address;
    char host[SENTINEL_HOST_MAX + 1];
    int port = to->port;
    snprintf(host, sizeof(host), "%s", to->host);
    sentinel_event_text(s, SENTINEL_WARNING, "+switch-master", master, "%s %s %d %s %d", master->name,
                        node_shown_host(s, &master->address), master->address.port, node_shown_host(s, to), to->port);
    master_moved(master, host, port);
}

/* ---- All ---- */

static void step(struct sentinel_node *master)
{
    switch (master->m->state) {
    case FAILOVER_IDLE: return;
    case FAILOVER_WAIT_START: return step_wait_start(master);
    case FAILOVER_SELECT: return step_select(master);
    case FAILOVER_PROMOTE: return step_promote(master);
    case FAILOVER_WAIT_PROMOTED: return step_wait_promoted(master);
    case FAILOVER_RECONF: return step_reconf(master);
    case FAILOVER_UPDATE: return step_update(master);
    }
}

void failover_tick(struct sentinel_node *master)
{
    enum failover_state before;
    do {
        before = master->m->state;
        step(master);
    } while (master->m->state != before && master->m->state != FAILOVER_IDLE);
}
