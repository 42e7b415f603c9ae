/* connect_replication.c -- the functions through which replication calls the server: struct repl_host. */
#include <errno.h>

#include "replication/replication.h"
#include "server/clients/blocking.h"
#include "server/clients/client.h"
#include "server/clients/clients.h"
#include "server/clients/tls_setup.h"
#include "server/house.h"
#include "server/memory/expiry.h"
#include "server/persistence/aof.h"
#include "server/persistence/birth.h"
#include "server/persistence/lineage.h"
#include "server/persistence/rdb_loading.h"
#include "server/streams/ack_waits.h"
#include "server/streams/master_stream.h"
#include "server/streams/repair_master.h"
#include "server/streams/verify_replica.h"
#include "storage/rdb.h"

static int host_apply_stream(void *ctx, struct bytes_view in, size_t *consumed)
{
    struct server *s = ctx;
    if (pause_current(&s->core) != PAUSE_NONE) { /* commands that do not run must not count as applied (P18) */
        *consumed = 0;
        return -EAGAIN;
    }
    return master_stream_apply(s->master_stream, in, consumed);
}
static void host_reset_stream(void *ctx, int db)
{
    struct server *s = ctx;
    master_stream_reset(s->master_stream, db);
}
static int host_stream_db(void *ctx)
{
    struct server *s = ctx;
    return master_stream_db(s->master_stream);
}
static int host_load_begin(void *ctx, enum repl_load_kind kind, bool empty_async, const struct hash_secret *secret)
{
    return rdb_loading_begin(((struct server *)ctx)->rdb_loading, kind, empty_async, secret);
}
static int host_load_feed(void *ctx, struct bytes_view in, size_t *consumed, const char **error)
{
    return rdb_loading_feed(((struct server *)ctx)->rdb_loading, in, consumed, error);
}
static int host_load_end(void *ctx, bool commit, struct repl_position *position)
{
    struct server *s = ctx;
    if (commit) verify_replica_replaced(s->verify_replica);
    return rdb_loading_end(s->rdb_loading, commit, position);
}
static bool host_dataset_is_empty(void *ctx)
{
    struct server *s = ctx;
    return keyspace_count(s->core.keyspace) == 0 && libraries_count(s->core.keyspace->libraries) == 0;
}
static bool host_guards_data(void *ctx)
{
    return birth_guards_data(((const struct server *)ctx)->birth);
}
static bool host_load_is_empty(void *ctx)
{
    return rdb_loading_is_empty(((const struct server *)ctx)->rdb_loading);
}
static void host_hash_secret(void *ctx, struct hash_secret *secret)
{
    struct server *s = ctx;
    *secret = *keyspace_secret(s->core.keyspace);
}
static void host_role_changed(void *ctx, enum repl_role role)
{
    struct server *s = ctx;
    struct repl_link_info link;
    log_set_role(s->core.log, role == REPL_MASTER ? 'M' : 'S');
    repl_link_describe(s->core.repl, &link);
    config_note_master(s->config, role == REPL_REPLICA ? link.host : NULL, link.port);
    modes_hold_expiry(&s->core, false);
    server_adjust_oom_score(s);
    expiry_forget_own(s->expiry);
    lineage_changed(s->lineage);
    if (role == REPL_REPLICA) birth_follows(s->birth);
    if (role == REPL_REPLICA)
        blocking_role_changed(s->clients->blocking);
    else
        aof_history_replaced(s->aof); /* a cancelled full synchronization may have ended it */
}
static int host_snapshot_start(void *ctx, enum repl_snapshot_target target, unsigned omit,
                               const struct repl_position *at, int *pipe_fd)
{
    return saving_for_replicas(((struct server *)ctx)->saving, target, omit, at, pipe_fd);
}
static void host_snapshot_cancel(void *ctx)
{
    saving_for_replicas_cancel(((struct server *)ctx)->saving);
}
static void host_disconnect_replica(void *ctx, void *client, const char *why)
{
    struct server *s = ctx;
    struct client *c = client;
    log_notice(s->core.log, "Closing replica %s: %s", c->peer, why);
    client_close_later(c);
}

static void host_acks_changed(void *ctx)
{
    struct server *s = ctx;
    ack_waits_acked(s->ack_waits);
}
static void host_repair_asked(void *ctx, const struct replica *from, struct bytes_view request)
{
    repair_master_asked(((struct server *)ctx)->repair_master, from, request);
}
static bool host_writes_paused(void *ctx)
{
    return pause_current(&((const struct server *)ctx)->core) != PAUSE_NONE;
}
static void host_set_writes(void *ctx, enum repl_writes writes)
{
    struct server *s = ctx;
    switch (writes) {
    case REPL_WRITES_HELD: pause_start(&s->core, PAUSE_FAILOVER, PAUSE_WRITES, INT64_MAX); return;
    case REPL_WRITES_MOVED: blocking_turn_away(s->clients->blocking); break;
    case REPL_WRITES_OPEN: break;
    }
    pause_end(&s->core, PAUSE_FAILOVER);
}
static void host_demoted(void *ctx)
{
    const struct server *s = ctx;
    int kill = s->core.settings->clients.demote_clients_kill;
    if (kill == DEMOTE_KILL_YES || (kill == DEMOTE_KILL_AUTO && lineage_knows_sentinels(s->lineage)))
        clients_disconnect_for_demotion(s->clients);
}
static void host_promotion_ended(void *ctx)
{
    blocking_promotion_ended(((struct server *)ctx)->clients->blocking);
}
static int host_listening_port(void *ctx)
{
    const struct settings *st = ((const struct server *)ctx)->core.settings;
    return st->replication.tls_replication && st->net.tls_port != 0 ? st->net.tls_port : st->net.port;
}
static const char *host_rdb_path(void *ctx)
{
    struct server *s = ctx;
    return s->core.settings->persistence.dbfilename;
}
static bool host_has_field_times(void *ctx)
{
    struct server *s = ctx;
    return s->core.settings->persistence.rdb_version < RDB_VERSION_FIELD_TIMES &&
           keyspace_has_field_times(s->core.keyspace);
}
static bool host_cut_aof(void *ctx, const struct repl_position *at)
{
    return aof_cut(((struct server *)ctx)->aof, at);
}

static void host_history_ends(void *ctx)
{
    aof_history_ends(((struct server *)ctx)->aof);
}
static void host_history_replaced(void *ctx)
{
    const struct server *s = ctx;
    aof_history_replaced(s->aof);
    lineage_data_replaced(s->lineage);
    birth_data_replaced(s->birth);
}
static bool host_wants_snapshot(void *ctx)
{
    return aof_wants_snapshot(((struct server *)ctx)->aof);
}
static void host_snapshot_received(void *ctx, const char *path)
{
    aof_begin_with(((struct server *)ctx)->aof, path);
}

struct repl *connect_replication(struct server *s)
{
    struct repl_host host = {
        .ctx = s,
        .apply_stream = host_apply_stream,
        .reset_stream = host_reset_stream,
        .stream_db = host_stream_db,
        .load_begin = host_load_begin,
        .load_feed = host_load_feed,
        .load_end = host_load_end,
        .dataset_is_empty = host_dataset_is_empty,
        .guards_data = host_guards_data,
        .load_is_empty = host_load_is_empty,
        .hash_secret = host_hash_secret,
        .role_changed = host_role_changed,
        .snapshot_start = host_snapshot_start,
        .snapshot_cancel = host_snapshot_cancel,
        .disconnect_replica = host_disconnect_replica,
        .acks_changed = host_acks_changed,
        .repair_asked = host_repair_asked,
        .writes_paused = host_writes_paused,
        .set_writes = host_set_writes,
        .demoted = host_demoted,
        .promotion_ended = host_promotion_ended,
        .listening_port = host_listening_port,
        .rdb_path = host_rdb_path,
        .has_field_times = host_has_field_times,
        .cut_aof = host_cut_aof,
        .history_ends = host_history_ends,
        .history_replaced = host_history_replaced,
        .wants_snapshot = host_wants_snapshot,
        .snapshot_received = host_snapshot_received,
        .tls = tls_setup_transport(s->tls),
    };
    s->core.settings->replication.replica_output_limit = &s->core.settings->clients.output_limits[CLIENT_LIMIT_REPLICA];
    return repl_new(&host, &s->core.settings->replication, s->core.loop, s->core.sys, s->core.log);
}
