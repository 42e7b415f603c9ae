/* candidates.c -- which replica becomes the master.
 *
 * Redis takes the replica of the best priority, then offset, then run id, as its last INFO of up to five seconds ago had
 * them. Here INFO is asked for in the moment of the choice, and a replica counts only if its data set is whole and of
 * the master's history:
 *
 *     rank 0   it is a master already, and continues the master's last history (a leader that is gone has promoted it),
 *              or the master itself says that it follows it (they have changed roles without a sentinel)
 *     rank 1   its history is the master's last one
 *     rank 2   its history is an earlier one of the master, which was restarted a moment ago
 *     rank 3   we know of no history of the master, or another than this replica had while it was linked to the master
 *
 * A replica that has never been linked up, or whose first synchronization the death of the master has broken off, is
 * none of these. Ranks go before priorities, because offsets of different histories cannot be compared. */
#include <string.h>

#include "replication/sentinel/sentinel_internal.h"

enum { RANK_PROMOTED, RANK_SAME, RANK_EARLIER, RANK_PROVEN, RANK_NONE };

static bool follows_this_master(const struct sentinel_node *replica)
{
    const struct node_facts *f = &replica->facts;
    return f->master_host != NULL &&
           address_means(replica->sentinel, &replica->master->address, f->master_host, f->master_port) == 1;
}

bool candidate_has_taken_over(const struct sentinel_node *replica)
{
    const struct node_facts *f = &replica->master->facts;
    return replica->facts.role == ROLE_MASTER && f->role == ROLE_REPLICA && f->master_host != NULL &&
           address_means(replica->sentinel, &replica->address, f->master_host, f->master_port) == 1;
}

static int rank_of_master(const struct sentinel_node *node, const struct master_part *m)
{
    bool continues = m->histories[0][0] != '\0' && strcmp(node->facts.replid2, m->histories[0]) == 0;
    return continues || candidate_has_taken_over(node) ? RANK_PROMOTED : RANK_NONE;
}

static int rank_of(const struct sentinel_node *replica)
{
    const struct node_facts *f = &replica->facts;
    const struct master_part *m = replica->master->m;
    if (f->role == ROLE_MASTER) return rank_of_master(replica, m);
    if (m->histories[0][0] != '\0') {
        if (strcmp(f->replid, m->histories[0]) == 0 || strcmp(f->replid2, m->histories[0]) == 0) return RANK_SAME;
        for (int i = 1; i < HISTORIES; i++)
            if (m->histories[i][0] != '\0' && strcmp(f->replid, m->histories[i]) == 0) return RANK_EARLIER;
        bool proven = f->replid[0] != '\0' && strcmp(f->replid, replica->proven_replid) == 0;
        return proven && follows_this_master(replica) ? RANK_PROVEN : RANK_NONE;
    }
    return f->offset > 0 ? RANK_PROVEN : RANK_NONE;
}

/* Its last link to the master was not too long ago: ten times down-after before the master went down. */
static bool is_recent(const struct sentinel_node *replica)
{
    const struct sentinel_node *master = replica->master;
    int64_t limit = 10 * master->m->down_after_ms;
    if (master->s_down) limit += replica->sentinel->now - master->s_down_since;
    return replica->facts.link_down_ms <= limit;
}

static bool is_known_well(const struct sentinel_node *replica)
{
    const struct tunables *t = &replica->sentinel->tunables;
    int64_t now = replica->sentinel->now;
    int64_t limit = replica->master->s_down ? 5 * t->ping_period : 3 * t->info_period;
    return replica->info_at != 0 && now - replica->info_at <= limit && now - replica->last_ok_at <= 5 * t->ping_period;
}

static bool is_candidate(const struct sentinel_node *replica)
{
    const struct node_facts *f = &replica->facts;
    if (!node_usable(replica) || !is_known_well(replica)) return false;
    if (f->priority == 0 || f->loading || f->sync_in_progress) return false;
    return rank_of(replica) != RANK_NONE && is_recent(replica);
}

static int compare_runids(const struct sentinel_node *a, const struct sentinel_node *b)
{
    if (a->runid[0] == '\0' || b->runid[0] == '\0') return (a->runid[0] == '\0') - (b->runid[0] == '\0');
    return strcmp(a->runid, b->runid);
}

static bool is_better(const struct sentinel_node *a, const struct sentinel_node *b)
{
    int rank_a = rank_of(a), rank_b = rank_of(b);
    if (rank_a != rank_b) return rank_a < rank_b;
    if (a->facts.priority != b->facts.priority) return a->facts.priority < b->facts.priority;
    if (a->facts.offset != b->facts.offset) return a->facts.offset > b->facts.offset;
    return compare_runids(a, b) < 0;
}

struct sentinel_node *candidate_best(struct sentinel_node *master)
{
    struct sentinel_node *best = NULL;
    FOR_EACH_NODE(replica, master->m->replicas)
    if (is_candidate(replica) && (best == NULL || is_better(replica, best))) best = replica;
    return best;
}

void candidates_ask(struct sentinel_node *master)
{
    FOR_EACH_NODE(replica, master->m->replicas)
    if (node_usable(replica)) watch_ask_info(replica);
}

bool candidates_answered(const struct sentinel_node *master)
{
    FOR_EACH_NODE(replica, master->m->replicas)
    if (node_usable(replica) && replica->info_at < master->m->state_since) return false;
    return true;
}
