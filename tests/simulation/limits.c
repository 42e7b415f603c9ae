#include "tests/simulation/limits.h"

#include <inttypes.h>

#include "replication/replication_internal.h"
#include "server/clients/clients.h"
#include "server/house.h"
#include "server/persistence/aof_internal.h"

enum { LOG_WAITS_MOST = 1536 * 1024, READ_MOST = RESP_BIG_STEP, TURN_MOST = 1024 * 1024 };

void limits_lower(struct server *s)
{
    s->aof->pinned_max = LOG_WAITS_MOST;
}

static uint64_t most(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static void check(const struct sim_node *node, const char *what, uint64_t bytes, uint64_t limit)
{
    if (bytes > limit) sim_fail("limits", "%s: %s: %" PRIu64 " bytes, limit %" PRIu64, node->name, what, bytes, limit);
}

static void check_replicas(const struct sim_node *node, const struct repl *r)
{
    uint64_t hard = r->settings->replica_output_limit->hard_bytes;
    for (const struct replica *rp = r->serving.first; rp != NULL && hard > 0; rp = rp->next) {
        if (rp->doomed || !repl_stream_reader_active(&rp->reader)) continue;
        check(node, "a replica waits for", repl_stream_pending(&rp->reader), most(hard, repl_backlog_limit(r)));
    }
}

static void check_log(const struct sim_node *node, const struct repl *r, const struct aof *a)
{
    if (!repl_stream_reader_active(&a->reader)) return;
    uint64_t limit = most(LOG_WAITS_MOST, repl_backlog_limit(r));
    if (a->let_go) limit += TURN_MOST; /* it was over the limit in this turn, and drops all in the next one */
    check(node, "the log waits for", repl_stream_pending(&a->reader), limit);
}

static void check_backlog(const struct sim_node *node, const struct repl *r)
{
    const struct repl_stream *s = &r->stream;
    uint64_t behind = r->has_backlog ? repl_backlog_limit(r) : s->limit;
    for (const struct repl_stream_reader *reader = s->readers; reader != NULL; reader = reader->next)
        behind = most(behind, s->end - reader->pos);
    check(node, "the backlog has", repl_stream_length(s), behind + STREAM_BLOCK_BYTES);
}

static void check_clients(const struct sim_node *node, const struct server *s)
{
    const struct output_limit *limits = s->core.settings->clients.output_limits;
    for (const struct client *c = s->clients->first; c != NULL; c = c->next) {
        if (c->conn == NULL || client_has(c, CLIENT_CLOSING | CLIENT_REPLICA)) continue;
        uint64_t hard = limits[client_limit_class(c)].hard_bytes;
        if (hard > 0) check(node, "replies to a client", client_output_waiting(c), hard);
        check(node, "a request of a client", resp_reader_pending(&c->reader),
              s->core.settings->clients.query_buffer_limit + READ_MOST);
    }
}

void limits_check(const struct sim_node *node, const struct server *s)
{
    const struct repl *r = s->core.repl;
    check_replicas(node, r);
    check_backlog(node, r);
    if (s->aof != NULL) check_log(node, r, s->aof);
    check_clients(node, s);
}
