/* election.c -- how a sentinel becomes the leader of a failover.
 *
 *     o_down --> pre-vote --enough would vote--> election --more than half, and quorum--> leader (promotion.c)
 *                  ^  |                             |
 *                  `--' nobody: after 50 to 350 ms  `--> lost: after 50 to 350 ms, or when a leader had its time
 *
 * The pre-vote (SENTINEL PRE-VOTE ip port epoch runid) raises no epoch. It asks the peers whether they would vote, and
 * reserves them for half a second, so that one sentinel at a time holds an election and one round suffices. A sentinel
 * that itself tries gives way to one with a smaller run id. A minority never gets past it and disturbs nobody with
 * epochs. Redis does not know the command; its sentinels count as willing, and their elections are what they are.
 *
 * Rounds that fail are repeated at random times (H6). */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "replication/sentinel/sentinel_internal.h"

void election_postpone(struct sentinel_node *master, int64_t ms)
{
    struct sentinel *s = master->sentinel;
    struct master_part *m = master->m;
    int64_t until = s->now + ms + sentinel_random(s, RETRY_MIN_MS, RETRY_MAX_MS);
    if (until > m->not_before) m->not_before = until;
    m->prevote_running = false;
}

static int64_t needed(const struct sentinel_node *master)
{
    int64_t more_than_half = (int64_t)master_majority(master);
    return master->m->quorum > more_than_half ? master->m->quorum : more_than_half;
}

/* ---- Pre-vote: a peer asks ---- */

static bool is_reserved_for_other(const struct sentinel_node *master, const char *runid)
{
    const struct master_part *m = master->m;
    return master->sentinel->now < m->reserved_until && strcasecmp(m->reserved_for, runid) != 0;
}

static void reserve(struct sentinel_node *master, const char *runid)
{
    struct master_part *m = master->m;
    snprintf(m->reserved_for, sizeof(m->reserved_for), "%s", runid);
    m->reserved_until = master->sentinel->now + PREVOTE_RESERVE_MS;
}

/* We try, too: the smaller run id goes first. */
static bool gives_way(struct sentinel_node *master, const char *runid)
{
    struct master_part *m = master->m;
    if (!m->prevote_running || strcasecmp(runid, master->sentinel->id) > 0) return false;
    m->prevote_running = false;
    return true;
}

bool election_reserve(struct sentinel_node *master, uint64_t epoch, const char *runid)
{
    struct sentinel *s = master->sentinel;
    if (!s->started || master->m->state != FAILOVER_IDLE || !agree_may_vote(master, epoch, runid)) return false;
    if (is_reserved_for_other(master, runid) && !gives_way(master, runid)) return false;
    reserve(master, runid);
    election_leave_to(master, master->m->reserved_until);
    return true;
}

void election_leave_to(struct sentinel_node *master, int64_t until)
{
    election_postpone(master, until - master->sentinel->now);
}

/* ---- Pre-vote: we ask ---- */

static void prevote_begin(struct sentinel_node *master)
{
    struct sentinel *s = master->sentinel;
    struct master_part *m = master->m;
    char port[16], epoch[24];
    m->prevote_running = true;
    m->prevote_since = s->now;
    reserve(master, s->id);
    snprintf(port, sizeof(port), "%d", master->address.port);
    snprintf(epoch, sizeof(epoch), "%" PRIu64, s->current_epoch + 1);
    FOR_EACH_NODE(peer, m->peers)
    {
        peer->prevote = PREVOTE_NONE;
        if (peer->no_prevote) continue;
        if (node_send(peer, TAG_PREVOTE, "SENTINEL", "PRE-VOTE", node_shown_host(s, &master->address), port, epoch,
                      s->id))
            peer->prevote = PREVOTE_ASKED;
    }
}

static void read_prevote(struct sentinel_node *peer, const struct sentinel_value *reply)
{
    if (reply->kind == SENTINEL_REPLY_ERROR) {
        peer->no_prevote = true;
        peer->prevote = PREVOTE_NONE;
    } else if (reply->kind == SENTINEL_REPLY_ARRAY && reply->count >= 2 &&
               reply->items[0].kind == SENTINEL_REPLY_INTEGER) {
        peer->prevote = reply->items[0].integer == 1 ? PREVOTE_YES : PREVOTE_NO;
        if (reply->items[1].kind == SENTINEL_REPLY_INTEGER && reply->items[1].integer > 0)
            agree_epoch_seen(peer->sentinel, (uint64_t)reply->items[1].integer);
    } else {
        peer->prevote = PREVOTE_NO;
    }
}

void election_prevote_answered(struct sentinel_node *peer, const struct sentinel_value *reply, int64_t asked_at)
{
    if (peer->prevote != PREVOTE_ASKED || asked_at < peer->master->m->prevote_since) return;
    if (reply == NULL)
        peer->prevote = PREVOTE_NO;
    else
        read_prevote(peer, reply);
}

static int64_t count_willing(const struct sentinel_node *master)
{
    int64_t n = 1;
    FOR_EACH_NODE(peer, master->m->peers)
    if (peer->prevote == PREVOTE_YES || (peer->no_prevote && node_usable(peer))) n++;
    return n;
}

static bool prevote_waits(const struct sentinel_node *master)
{
    FOR_EACH_NODE(peer, master->m->peers)
    if (peer->prevote == PREVOTE_ASKED) return true;
    return false;
}

static void prevote_look(struct sentinel_node *master)
{
    struct sentinel *s = master->sentinel;
    struct master_part *m = master->m;
    int64_t end = m->prevote_since + PREVOTE_WAIT_MS;
    if (count_willing(master) >= needed(master)) {
        m->prevote_running = false;
        failover_begin(master, false);
    } else if (s->now < end && prevote_waits(master)) {
        sentinel_wake_at(s, end);
    } else {
        m->reserved_until = s->now;
        election_postpone(master, 0);
    }
}

/* ---- When ---- */

static bool is_time(struct sentinel_node *master)
{
    struct sentinel *s = master->sentinel;
    struct master_part *m = master->m;
    if (s->now >= m->not_before) return true;
    sentinel_wake_at(s, m->not_before);
    if (!m->delay_logged && m->not_before - s->now > 1000) {
        sentinel_log(s, SENTINEL_WARNING,
                     "Next failover delay: I will not start a failover of %s before %" PRId64 " ms", master->name,
                     m->not_before - s->now);
        m->delay_logged = true;
    }
    return false;
}

void election_tick(struct sentinel_node *master)
{
    struct master_part *m = master->m;
    if (m->state != FAILOVER_IDLE) return;
    if (!m->o_down) {
        m->prevote_running = false;
        return;
    }
    if (!m->prevote_running) {
        if (!is_time(master) || (m->had_no_candidate && candidate_best(master) == NULL)) return;
        prevote_begin(master);
    }
    prevote_look(master);
}

/* ---- The election ---- */

void election_begin(struct sentinel_node *master)
{
    struct sentinel *s = master->sentinel;
    struct master_part *m = master->m;
    agree_epoch_seen(s, s->current_epoch + 1);
    m->failover_epoch = s->current_epoch;
    sentinel_event(s, SENTINEL_WARNING, "+try-failover", master, "%s", "");
    agree_vote(master, m->failover_epoch, s->id);
    if (!m->forced) agree_ask(master);
}

bool election_won(struct sentinel_node *master)
{
    const struct sentinel *s = master->sentinel;
    const struct master_part *m = master->m;
    int64_t votes = m->leader_epoch == m->failover_epoch && strcasecmp(m->leader, s->id) == 0 ? 1 : 0;
    FOR_EACH_NODE(peer, m->peers)
    if (peer->voted_epoch == m->failover_epoch && strcasecmp(peer->voted, s->id) == 0) votes++;
    return votes >= needed(master);
}

bool election_lost(struct sentinel_node *master)
{
    FOR_EACH_NODE(peer, master->m->peers)
    if (peer->up[SENTINEL_LINK_COMMANDS] && peer->down_pending > 0) return false;
    return !election_won(master);
}

bool election_superseded(const struct sentinel_node *master)
{
    const struct master_part *m = master->m;
    if (m->leader_epoch > m->failover_epoch || m->config_epoch >= m->failover_epoch) return true;
    FOR_EACH_NODE(peer, m->peers)
    if (peer->voted_epoch > m->failover_epoch) return true;
    return false;
}

bool election_has_other_leader(const struct sentinel_node *master)
{
    const struct master_part *m = master->m;
    FOR_EACH_NODE(peer, m->peers)
    if (peer->voted_epoch >= m->failover_epoch && strcasecmp(peer->voted, master->sentinel->id) != 0) return true;
    return false;
}
