#include "server/streams/master_stream.h"

#include <errno.h>
#include <stdio.h>

#include "replication/replication.h"
#include "server/clients/clients.h"
#include "server/clients/multi.h"
#include "server/dispatch/dispatch.h"
#include "storage/base/memory.h"

struct master_stream {
    struct core *core;
    struct dispatcher *dispatcher;
    struct client *client;
    size_t seen;      /* bytes of the next `in` that the reader already has */
    uint64_t applied; /* the reader's offset behind the last whole unit */
    uint64_t base;    /* the reader's offset of in.data */
};

struct master_stream *master_stream_new(struct clients *cs, struct dispatcher *dispatcher)
{
    struct master_stream *ms = mem_calloc(sizeof(*ms));
    ms->core = cs->core;
    ms->dispatcher = dispatcher;
    ms->client = client_new(cs, NULL);
    return ms;
}

void master_stream_free(struct master_stream *ms)
{
    if (ms == NULL) return;
    client_free_fake(ms->client);
    mem_free(ms);
}

uint64_t master_stream_commands(const struct master_stream *ms)
{
    return ms->client->commands;
}

int master_stream_db(const struct master_stream *ms)
{
    return ms->client->db->id;
}

struct client *master_stream_client(struct master_stream *ms)
{
    struct client *c = ms->client;
    struct repl_link_info link;
    if (!repl_link_up(c->core->repl)) return NULL;
    repl_link_describe(c->core->repl, &link);
    snprintf(c->peer, sizeof(c->peer), "%s", link.peer);
    snprintf(c->local, sizeof(c->local), "%s", link.local);
    return c;
}

void master_stream_reset(struct master_stream *ms, int db)
{
    struct client *c = ms->client;
    multi_discard(c);
    resp_reader_reset(&c->reader);
    c->db = keyspace_db(ms->core->keyspace, db >= 0 && db < ms->core->keyspace->db_count ? db : 0);
    ms->seen = 0;
    ms->applied = ms->base = 0;
}

static void note_applied(void *ctx, uint64_t offset)
{
    struct master_stream *ms = ctx;
    ms->applied = offset;
}

int master_stream_apply(struct master_stream *ms, struct bytes_view in, size_t *consumed)
{
    ASSERT(in.len >= ms->seen);
    resp_reader_feed(&ms->client->reader, bytes_view(in.data + ms->seen, in.len - ms->seen));
    ms->seen = in.len;
    struct core *core = ms->core;
    enum expiry_mode before = modes_override_expiry(core, EXPIRY_IGNORE); /* the master sends a DEL */
    bool good = dispatch_stream(ms->dispatcher, ms->client, note_applied, ms);
    modes_restore_expiry(core, before);
    *consumed = (size_t)(ms->applied - ms->base);
    ms->base = ms->applied;
    ms->seen -= *consumed;
    return good ? 0 : -EPROTO;
}
