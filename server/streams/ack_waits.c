#include "server/streams/ack_waits.h"

#include "replication/replication.h"
#include "server/clients/blocking.h"
#include "server/clients/clients.h"
#include "server/persistence/aof.h"
#include "storage/base/memory.h"

const char ack_waits_no_aof[] = "ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.";

struct ack_waits {
    struct clients *clients;
    struct repl *repl;
    const struct aof *aof;
};

struct ack_waits *ack_waits_new(struct clients *cs, const struct aof *aof)
{
    struct ack_waits *aw = mem_alloc(sizeof(*aw));
    *aw = (struct ack_waits){.clients = cs, .repl = cs->core->repl, .aof = aof};
    return aw;
}

void ack_waits_free(struct ack_waits *aw)
{
    mem_free(aw);
}

static const struct ack_waits *waits_of(const struct client *c)
{
    return c->blocked->data;
}

static void block(struct ack_waits *aw, struct client *c, struct blocked how)
{
    how.offset = c->write_offset;
    how.data = aw;
    client_block(c, &how);
    repl_want_acks(aw->repl);
}

/* ---- WAIT ---- */

static void wait_timed_out(struct client *c)
{
    reply_int(&c->reply, (int64_t)repl_acked_count(waits_of(c)->repl, c->blocked->offset));
}

void ack_waits_block(struct ack_waits *aw, struct client *c, size_t replicas, int64_t until_ms)
{
    block(
        aw, c,
        (struct blocked){.kind = BLOCK_WAIT, .until_ms = until_ms, .replicas = replicas, .timed_out = wait_timed_out});
}

static void check_wait(struct client *c, void *ctx)
{
    (void)ctx;
    size_t acked = repl_acked_count(waits_of(c)->repl, c->blocked->offset);
    if (acked < c->blocked->replicas) return;
    reply_int(&c->reply, (int64_t)acked);
    client_unblock(c);
}

/* ---- WAITAOF ---- */

void ack_waits_reply_synced(struct client *c, bool local, size_t replicas)
{
    reply_array(&c->reply, 2);
    reply_int(&c->reply, local);
    reply_int(&c->reply, (int64_t)replicas);
}

static void waitaof_timed_out(struct client *c)
{
    const struct ack_waits *aw = waits_of(c);
    ack_waits_reply_synced(c, aof_synced(aw->aof, c->blocked->offset), repl_synced_count(aw->repl, c->blocked->offset));
}

void ack_waits_block_synced(struct ack_waits *aw, struct client *c, bool local, size_t replicas, int64_t until_ms)
{
    block(aw, c,
          (struct blocked){.kind = BLOCK_WAIT_AOF,
                           .until_ms = until_ms,
                           .local = local,
                           .replicas = replicas,
                           .timed_out = waitaof_timed_out});
}

static void check_waitaof(struct client *c, void *ctx)
{
    const struct ack_waits *aw = waits_of(c);
    const struct blocked *b = c->blocked;
    (void)ctx;
    bool synced = aof_synced(aw->aof, b->offset);
    size_t replicas = repl_synced_count(aw->repl, b->offset);
    if (replicas < b->replicas || (b->local && !synced)) return;
    ack_waits_reply_synced(c, synced, replicas);
    client_unblock(c);
}

static void refuse_waitaof(struct client *c, void *ctx)
{
    (void)ctx;
    if (!c->blocked->local) return;
    reply_error(&c->reply, ack_waits_no_aof);
    client_unblock(c);
}

/* ---- Events ---- */

void ack_waits_acked(struct ack_waits *aw)
{
    blocking_each(aw->clients->blocking, BLOCK_WAIT, check_wait, NULL);
    blocking_each(aw->clients->blocking, BLOCK_WAIT_AOF, check_waitaof, NULL);
}

void ack_waits_synced(struct ack_waits *aw)
{
    blocking_each(aw->clients->blocking, BLOCK_WAIT_AOF, check_waitaof, NULL);
}

void ack_waits_aof_off(struct ack_waits *aw)
{
    blocking_each(aw->clients->blocking, BLOCK_WAIT_AOF, refuse_waitaof, NULL);
}
