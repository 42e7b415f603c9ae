/* agree.c -- what peers say about a master that we see down, and our votes.
 *
 *     SENTINEL IS-MASTER-DOWN-BY-ADDR ip port epoch *         do you see it down?
 *     SENTINEL IS-MASTER-DOWN-BY-ADDR ip port epoch runid     and do you vote for me in that epoch?
 *
 * A master is down by agreement ("o_down") when we and peers, together at least `quorum`, see it down. Answers count for
 * five periods of asking. A peer that asks us sees the master down; so we ask it again at once if it said otherwise when
 * we asked. Redis does not push either, so both find out in the same moment.
 *
 * A vote (H5):
 *   1. is given once for an epoch and master, is in the file before it is told, and raises current_epoch;
 *   2. is a lease: for LEAD_MS nobody else gets one, whatever the epoch. A leader of ours promotes within that time from
 *      the beginning of its election, which is before our vote, or gives up. So two leaders that both have our vote
 *      never act at the same time. Redis as a leader may take longer, and gets a longer lease. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "replication/sentinel/sentinel_internal.h"

/* ---- Asking ---- */

static void ask(struct sentinel_node *peer, const char *runid, uint64_t epoch)
{
    struct sentinel_node *master = peer->master;
    struct sentinel *s = master->sentinel;
    char port[16], digits[24];
    snprintf(port, sizeof(port), "%d", master->address.port);
    snprintf(digits, sizeof(digits), "%" PRIu64, epoch);
    if (!node_send(peer, TAG_DOWN, "SENTINEL", "is-master-down-by-addr", node_shown_host(s, &master->address), port,
                   digits, runid))
        return;
    peer->down_asked_at = s->now;
    peer->down_pending++;
}

static bool wants_votes(const struct master_part *m)
{
    return m->state != FAILOVER_IDLE && m->state <= FAILOVER_PROMOTE && !m->forced;
}

static void ask_one(struct sentinel_node *peer)
{
    struct sentinel *s = peer->sentinel;
    const struct master_part *m = peer->master->m;
    if (!sentinel_saved(s)) return; /* the epoch has to be in the file first */
    if (wants_votes(m))
        ask(peer, s->id, m->failover_epoch);
    else
        ask(peer, "*", s->current_epoch);
}

void agree_ask(struct sentinel_node *master)
{
    FOR_EACH_NODE(peer, master->m->peers) ask_one(peer);
}

static void ask_when_due(struct sentinel_node *master)
{
    struct sentinel *s = master->sentinel;
    FOR_EACH_NODE(peer, master->m->peers)
    if (s->now - peer->down_asked_at >= s->tunables.ask_period) ask_one(peer);
}

void agree_ask_doubters(struct sentinel_node *master)
{
    FOR_EACH_NODE(peer, master->m->peers)
    {
        if (peer->says_down) continue;
        if (peer->down_pending > 0)
            peer->ask_again = true; /* what is under way may have been answered before it saw it down */
        else
            ask_one(peer);
    }
}

/* ---- Answers ---- */

static void take_vote(struct sentinel_node *peer, const struct sentinel_value *leader,
                      const struct sentinel_value *epoch)
{
    struct sentinel *s = peer->sentinel;
    if (leader->kind != SENTINEL_REPLY_STRING || epoch->kind != SENTINEL_REPLY_INTEGER || epoch->integer < 0) return;
    if (leader->text.len != SENTINEL_ID_LEN) return; /* "*": it has not voted */
    bool news = peer->voted_epoch != (uint64_t)epoch->integer;
    memcpy(peer->voted, leader->text.data, SENTINEL_ID_LEN);
    peer->voted[SENTINEL_ID_LEN] = '\0';
    peer->voted_epoch = (uint64_t)epoch->integer;
    if (news) sentinel_log(s, SENTINEL_WARNING, "%s voted for %s %" PRIu64, peer->name, peer->voted, peer->voted_epoch);
}

void agree_answered(struct sentinel_node *peer, const struct sentinel_value *reply, int64_t asked_at)
{
    if (peer->down_pending > 0) peer->down_pending--;
    if (reply == NULL || reply->kind != SENTINEL_REPLY_ARRAY || reply->count < 3) return;
    const struct sentinel_value *item = reply->items;
    if (item[0].kind != SENTINEL_REPLY_INTEGER) return;
    peer->says_down = item[0].integer == 1;
    peer->says_down_at = asked_at;
    take_vote(peer, &item[1], &item[2]);
    bool again = peer->ask_again && !peer->says_down && peer->master->s_down;
    peer->ask_again = false;
    if (again) ask_one(peer);
}

int64_t agree_count(const struct sentinel_node *master, int64_t since)
{
    int64_t n = master->s_down ? 1 : 0;
    FOR_EACH_NODE(peer, master->m->peers)
    if (peer->says_down && peer->says_down_at >= since) n++;
    return n;
}

/* ---- Down by agreement ---- */

static void set_o_down(struct sentinel_node *master, bool down, int64_t count)
{
    struct sentinel *s = master->sentinel;
    struct master_part *m = master->m;
    if (m->o_down == down) return;
    m->o_down = down;
    m->o_down_since = s->now;
    m->delay_logged = false;
    if (down)
        sentinel_event(s, SENTINEL_WARNING, "+odown", master, " #quorum %" PRId64 "/%" PRId64, count, m->quorum);
    else
        sentinel_event(s, SENTINEL_WARNING, "-odown", master, "%s", "");
}

void agree_tick(struct sentinel_node *master)
{
    struct sentinel *s = master->sentinel;
    if (!master->s_down) return set_o_down(master, false, 0);
    ask_when_due(master);
    int64_t count = agree_count(master, s->now - 5 * s->tunables.ask_period);
    set_o_down(master, count >= master->m->quorum, count);
}

/* ---- Epochs and votes ---- */

void agree_epoch_seen(struct sentinel *s, uint64_t epoch)
{
    if (epoch <= s->current_epoch || epoch > INT64_MAX) return;
    s->current_epoch = epoch;
    sentinel_changed(s);
    sentinel_event_text(s, SENTINEL_WARNING, "+new-epoch", NULL, "%" PRIu64, epoch);
}

bool agree_may_vote(const struct sentinel_node *master, uint64_t epoch, const char *runid)
{
    const struct sentinel *s = master->sentinel;
    const struct master_part *m = master->m;
    if (epoch <= m->leader_epoch || epoch < s->current_epoch || epoch > INT64_MAX) return false;
    return s->now >= m->lease_until || strcasecmp(m->leader, runid) == 0;
}

static int64_t lease_ms(const struct master_part *m, const struct sentinel *s, const char *runid)
{
    bool asks_first = strcasecmp(m->reserved_for, runid) == 0; /* a sentinel of ours has asked for a pre-vote */
    int64_t redis =
        s->tunables.election_timeout < m->failover_timeout_ms ? s->tunables.election_timeout : m->failover_timeout_ms;
    return asks_first || redis < LEAD_MS ? LEAD_MS : redis;
}

void agree_vote(struct sentinel_node *master, uint64_t epoch, const char *runid)
{
    struct sentinel *s = master->sentinel;
    struct master_part *m = master->m;
    agree_epoch_seen(s, epoch);
    if (!agree_may_vote(master, epoch, runid)) return;
    snprintf(m->leader, sizeof(m->leader), "%s", runid);
    m->leader_epoch = epoch;
    m->lease_until = s->now + lease_ms(m, s, runid);
    sentinel_changed(s);
    if (!sentinel_saved(s)) return; /* it is told when it is in the file, if somebody still asks then */
    sentinel_event_text(s, SENTINEL_WARNING, "+vote-for-leader", master, "%s %" PRIu64, runid, epoch);
    if (strcasecmp(runid, s->id) != 0) election_leave_to(master, m->lease_until);
}
