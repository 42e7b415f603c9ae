#include "server/clients/clients.h"

#include <errno.h>
#include <stdio.h>

#include "replication/replication.h"
#include "server/acl/users.h"
#include "server/catalog/command_table.h"
#include "server/clients/blocking.h"
#include "server/clients/key_waits.h"
#include "server/clients/monitor.h"
#include "server/clients/multi.h"
#include "server/clients/pubsub.h"
#include "server/clients/session.h"
#include "server/clients/tracking.h"
#include "server/core/core.h"
#include "storage/base/memory.h"

enum {
    UNAUTHENTICATED_OUTPUT_MAX = 64 * 1024, /* CVE-2025-21605: what somebody unknown may leave unread */
    BLOCKED_INPUT_MAX = 1024 * 1024,        /* a blocked client's input is left in the socket beyond this */
    READY_INPUT_MAX = 256 * 1024,           /* and one's that has not been run yet beyond this */
    IDLE_TRIM_MS = 2000,
    CLIENT_FLAGS_MAX = 24, /* letters of CLIENT LIST */
};

static uint64_t hash_of_id(uint64_t id)
{
    return id * 0x9e3779b97f4a7c15u ^ id >> 32; /* ids are handed out in turn: nobody chooses them */
}
static uint64_t client_hash(const void *ctx, const void *entry)
{
    (void)ctx;
    return hash_of_id(((const struct client *)entry)->id);
}

struct clients *clients_new(const struct clients_uses *uses)
{
    struct clients *cs = mem_calloc(sizeof(*cs));
    cs->core = uses->core;
    cs->config = uses->config;
    cs->commands = uses->commands;
    cs->users = uses->users;
    cs->acl_log = uses->acl_log;
    cs->blocking = blocking_new(cs, &uses->runner);
    cs->key_waits = key_waits_new(cs->core);
    cs->pubsub = pubsub_new(cs->core);
    cs->watches = watches_new(cs->core);
    cs->trackings = trackings_new(cs);
    table_init(&cs->by_id, client_hash, NULL);
    cs->ready_last = &cs->ready;
    cs->flush_last = &cs->flush;
    clients_limits_changed(cs);
    return cs;
}

void clients_limits_changed(struct clients *cs)
{
    cs->limits = (struct resp_limits){.max_bulk = (size_t)cs->core->settings->clients.proto_max_bulk_len,
                                      .max_pending = cs->core->settings->clients.query_buffer_limit,
                                      .authenticated = true};
    cs->unauthenticated_limits = cs->limits;
    cs->unauthenticated_limits.authenticated = false;
    cs->master_limits =
        (struct resp_limits){.max_bulk = SIZE_MAX / 4, .max_pending = SIZE_MAX / 4, .authenticated = true};
    clients_evict_all(cs);
}

static const struct resp_limits *limits_of(const struct client *c)
{
    struct clients *cs = c->clients;
    if (client_has(c, CLIENT_MASTER)) return &cs->master_limits;
    return client_has(c, CLIENT_AUTHENTICATED) ? &cs->limits : &cs->unauthenticated_limits;
}

void clients_auth_changed(struct client *c)
{
    resp_reader_set_limits(&c->reader, limits_of(c));
}

/* ---- Life ---- */

static void on_readable(void *ctx);
static void on_writable(void *ctx);

static void link_client(struct clients *cs, struct client *c)
{
    c->next = cs->first;
    if (cs->first != NULL) cs->first->prev = c;
    cs->first = c;
    table_insert(&cs->by_id, hash_of_id(c->id), c);
    if (c->conn != NULL) cs->count++;
}

static void unlink_client(struct clients *cs, struct client *c)
{
    if (c->prev != NULL)
        c->prev->next = c->next;
    else
        cs->first = c->next;
    if (c->next != NULL) c->next->prev = c->prev;
    ASSERT(table_remove(&cs->by_id, hash_of_id(c->id), c));
    if (c->conn != NULL) cs->count--;
}

struct client *client_new(struct clients *cs, struct conn *conn)
{
    struct client *c = mem_calloc(sizeof(*c));
    struct core *core = cs->core;
    c->clients = cs;
    c->core = core;
    c->conn = conn;
    c->id = ++cs->last_id;
    c->db = keyspace_db(core->keyspace, 0);
    c->created_ms = c->last_active_ms = core->clock.now_ms;
    outbuf_init(&c->out);
    reply_init(&c->reply, &c->out);
    if (core->settings->clients.client_default_resp == 3) c->reply.proto = 3;
    if (conn == NULL) {
        c->flags |= CLIENT_MASTER;
    } else {
        if (conn_is_unix(conn)) c->flags |= CLIENT_UNIX;
        snprintf(c->peer, sizeof(c->peer), "%s", conn_peer_name(conn));
        snprintf(c->local, sizeof(c->local), "%s", conn_local_name(conn));
        conn_set_handler(conn, on_readable, on_writable, c);
        conn_want_read(conn, true);
        link_client(cs, c);
    }
    resp_reader_init(&c->reader, limits_of(c));
    acl_session_open(c);
    client_update_muted(c);
    return c;
}

struct client *client_new_script(struct clients *cs)
{
    struct client *c = client_new(cs, NULL);
    c->flags = CLIENT_SCRIPT | CLIENT_AUTHENTICATED;
    snprintf(c->peer, sizeof(c->peer), "lua"); /* as MONITOR shows it */
    client_update_muted(c);
    return c;
}

void client_update_muted(struct client *c)
{
    c->reply.muted = client_has(c, CLIENT_MASTER | CLIENT_REPLY_OFF | CLIENT_REPLY_SKIP);
}

/* It is not one of those that could be evicted any more. */
static void forget_memory(struct client *c)
{
    c->clients->evictable_memory -= c->counted_memory;
    c->counted_memory = 0;
}

static void client_free(struct client *c)
{
    client_cancel_block(c);
    monitor_stop(c);
    if (c->replica != NULL) repl_replica_gone(c->replica);
    if (c->subscriptions != NULL) pubsub_client_free(c);
    tracking_stop(c);
    if (c->multi != NULL) multi_free(c);
    resp_reader_release(&c->reader);
    outbuf_release(&c->out);
    if (c->conn != NULL) {
        unlink_client(c->clients, c);
        conn_close(c->conn);
    }
    mem_free(c->name);
    mem_free(c->lib_name);
    mem_free(c->lib_ver);
    acl_session_close(c);
    mem_free(c);
}

void client_free_fake(struct client *c)
{
    ASSERT(c->conn == NULL);
    client_free(c);
}

void client_close_later(struct client *c)
{
    if (client_has(c, CLIENT_CLOSING) || c->conn == NULL) return;
    c->flags |= CLIENT_CLOSING;
    forget_memory(c);
    conn_want_read(c->conn, false);
    conn_want_write(c->conn, false);
    if (c->replica != NULL) repl_replica_closing(c->replica);
    c->free_next = c->clients->to_free;
    c->clients->to_free = c;
}

void client_close_after_reply(struct client *c)
{
    if (c->conn == NULL) return;
    c->flags |= CLIENT_CLOSE_AFTER_REPLY;
    conn_want_read(c->conn, false);
    client_wants_flush(c);
}

void client_reset(struct client *c)
{
    multi_discard(c);
    if (c->subscriptions != NULL) pubsub_unsubscribe_all(c);
    tracking_stop(c);
    monitor_stop(c);
    c->flags &= ~(uint32_t)CLIENT_RESET_CLEARS;
    acl_session_reset(c);
    c->db = keyspace_db(c->core->keyspace, 0);
    c->reply.proto = 2;
    mem_free(c->name);
    c->name = NULL;
    client_update_muted(c);
}

/* Takes it off a singly linked list; rare, so it is searched for. */
#define LIST_REMOVE(head, last, which, member)                                                                         \
    do {                                                                                                               \
        struct client **at_ = &(head);                                                                                 \
        while (*at_ != NULL && *at_ != (which)) at_ = &(*at_)->member;                                                 \
        if (*at_ == NULL) break;                                                                                       \
        *at_ = (which)->member;                                                                                        \
        if (*at_ == NULL) (last) = at_;                                                                                \
    } while (0)

void clients_reap(struct clients *cs)
{
    struct client *c;
    cs->leaving_memory = 0;
    while ((c = cs->to_free) != NULL) {
        cs->to_free = c->free_next;
        if (client_has(c, CLIENT_READY)) LIST_REMOVE(cs->ready, cs->ready_last, c, ready_next);
        if (client_has(c, CLIENT_WANTS_FLUSH)) LIST_REMOVE(cs->flush, cs->flush_last, c, flush_next);
        client_free(c);
    }
}

void clients_close_all(struct clients *cs)
{
    if (cs == NULL) return;
    for (struct client *c = cs->first; c != NULL; c = c->next) client_close_later(c);
    clients_reap(cs);
}

void clients_free(struct clients *cs)
{
    if (cs == NULL) return;
    clients_close_all(cs);
    trackings_free(cs->trackings);
    watches_free(cs->watches);
    pubsub_free(cs->pubsub);
    key_waits_free(cs->key_waits);
    blocking_free(cs->blocking);
    table_release(&cs->by_id, NULL, NULL);
    mem_free(cs);
}

/* ---- Accepting ---- */

static void refuse_connection(struct clients *cs, struct conn *conn, const char *text)
{
    cs->core->stats.connections_rejected++;
    (void)conn_write(conn, text, strlen(text)); /* a courtesy: if it does not fit, the close says enough */
    conn_close(conn);
}

static bool protected_mode_refuses(const struct clients *cs, const struct conn *conn)
{
    return cs->core->settings->net.protected_mode && acl_user_has_nopass(acl_users_default(cs->users)) &&
           !conn_is_local(conn);
}

void clients_accept(struct clients *cs, struct conn *conn)
{
    if (cs->count >= cs->core->settings->clients.maxclients) {
        refuse_connection(cs, conn, "-ERR max number of clients reached\r\n");
        return;
    }
    if (protected_mode_refuses(cs, conn)) {
        refuse_connection(
            cs, conn,
            "-DENIED Redis is running in protected mode because protected mode is enabled and no password "
            "is set for the default user. In this mode connections are only accepted from the loopback "
            "interface. To connect from elsewhere, set a password (requirepass), or turn protected mode off "
            "(protected-mode no in the configuration file, --protected-mode no on the command line, or "
            "CONFIG SET protected-mode no from the same host) where the network is trusted.\r\n");
        return;
    }
    int rc = conn_set_nodelay(conn, true);
    if (rc == 0 && cs->core->settings->net.tcp_keepalive_s > 0)
        rc = conn_set_keepalive(conn, cs->core->settings->net.tcp_keepalive_s);
    if (rc != 0) log_debug(cs->core->log, "Socket options of %s: %s", conn_peer_name(conn), strerror(-rc));
    cs->core->stats.connections_received++;
    client_new(cs, conn);
}

struct client *clients_first(struct clients *cs)
{
    return cs->first;
}
size_t clients_count(const struct clients *cs)
{
    return cs->count;
}

struct client *client_by_id(struct clients *cs, uint64_t id)
{
    struct table_probe probe;
    struct client *c;
    table_probe_start(&probe, &cs->by_id, hash_of_id(id));
    while ((c = table_probe_next(&probe)) != NULL && c->id != id) continue;
    return c;
}

bool client_set_name(struct client *c, struct bytes_view name)
{
    for (size_t i = 0; i < name.len; i++)
        if (name.data[i] < '!' || name.data[i] > '~') return false;
    mem_free(c->name);
    c->name = name.len == 0 ? NULL : bytes_to_cstr(name);
    return true;
}

/* ---- Input ---- */

void client_make_ready(struct client *c)
{
    struct clients *cs = c->clients;
    if (c->flags & (CLIENT_READY | CLIENT_CLOSING) || c->conn == NULL) return;
    c->flags |= CLIENT_READY;
    c->ready_next = NULL;
    *cs->ready_last = c;
    cs->ready_last = &c->ready_next;
    if (UNLIKELY(!client_has(c, CLIENT_CLOSE_AFTER_REPLY))) conn_want_read(c->conn, true);
}

/* Of all that became readable during one wait, whoever was first is told of last: so this one goes in front, and
 * requests of different connections run in the order in which they came. */
static void make_ready_in_front(struct client *c)
{
    struct clients *cs = c->clients;
    if (c->flags & (CLIENT_READY | CLIENT_CLOSING)) return;
    c->flags |= CLIENT_READY;
    c->ready_next = cs->ready;
    cs->ready = c;
    if (c->ready_next == NULL) cs->ready_last = &c->ready_next;
}

struct client *clients_take_ready(struct clients *cs)
{
    struct client *all = cs->ready;
    cs->ready = NULL;
    cs->ready_last = &cs->ready;
    return all;
}

bool clients_any_ready(const struct clients *cs)
{
    return cs->ready != NULL;
}

static void on_readable(void *ctx)
{
    struct client *c = ctx;
    struct core *core = c->core;
    char *room;
    size_t len;
    /* What was read before is still waiting for its turn: the socket may hold the rest. */
    if (UNLIKELY(client_has(c, CLIENT_READY)) && resp_reader_pending(&c->reader) > READY_INPUT_MAX) return;
    if (UNLIKELY(client_has(c, CLIENT_BLOCKED)) && resp_reader_pending(&c->reader) > BLOCKED_INPUT_MAX) {
        conn_want_read(c->conn, false);
        return;
    }
    resp_reader_space(&c->reader, &room, &len);
    ssize_t n = conn_read(c->conn, room, len);
    if (n == -EAGAIN) return;
    if (UNLIKELY(n <= 0)) {
        if (n < 0) log_verbose(core->log, "Reading from client %s: %s", c->peer, strerror((int)-n));
        client_close_later(c);
        return;
    }
    resp_reader_added(&c->reader, (size_t)n);
    core->stats.reads_processed++;
    core->stats.net_in += (uint64_t)n;
    c->net_in += (uint64_t)n;
    c->last_active_ms = core->clock.now_ms;
    pacing_client_sent(&core->pacing, &c->pacing_window);
    if (client_has(c, CLIENT_REPLICA)) repl_replica_heard(c->replica); /* an empty line is a sign of life, too */
    if (!client_has(c, CLIENT_BLOCKED)) make_ready_in_front(c);
    client_memory_changed(c);
}

void clients_read_now(struct clients *cs, const struct client *except)
{
    for (struct client *c = cs->first; c != NULL; c = c->next)
        if (c != except && !client_has(c, CLIENT_CLOSING | CLIENT_CLOSE_AFTER_REPLY)) on_readable(c);
}

/* ---- Output ---- */

void client_wants_flush(struct client *c)
{
    struct clients *cs = c->clients;
    if (c->flags & (CLIENT_WANTS_FLUSH | CLIENT_CLOSING) || c->conn == NULL) return;
    c->flags |= CLIENT_WANTS_FLUSH;
    c->flush_next = NULL;
    *cs->flush_last = c;
    cs->flush_last = &c->flush_next;
}

enum client_limit_class client_limit_class(const struct client *c)
{
    if (client_has(c, CLIENT_REPLICA | CLIENT_MONITOR))
        return client_has(c, CLIENT_REPLICA) ? CLIENT_LIMIT_REPLICA : CLIENT_LIMIT_NORMAL;
    return c->subscriptions != NULL && pubsub_client_any(c) ? CLIENT_LIMIT_PUBSUB : CLIENT_LIMIT_NORMAL;
}

size_t client_output_memory(const struct client *c)
{
    struct repl_replica_info info;
    if (!client_has(c, CLIENT_REPLICA)) return outbuf_memory(&c->out);
    repl_replica_describe(c->replica, &info);
    return outbuf_memory(&c->out) + info.pending_bytes;
}

/* Bytes of replies, whatever the blocks take that hold them. What fits into the first block counts for nothing, as in
 * Redis: every busy connection has one. */
size_t client_output_waiting(const struct client *c)
{
    return outbuf_memory(&c->out) == 0 ? 0 : outbuf_bytes(&c->out);
}

/* A replica's limit is replication's own to watch: it knows what is in the backlog anyway. */
static bool over_output_limit(struct client *c)
{
    struct core *core = c->core;
    size_t used = client_output_waiting(c);
    if (LIKELY(used == 0) || client_has(c, CLIENT_REPLICA)) {
        c->soft_limit_since_ms = 0;
        return false;
    }
    if (!client_has(c, CLIENT_AUTHENTICATED) && used > UNAUTHENTICATED_OUTPUT_MAX) return true;
    const struct output_limit *limit = &core->settings->clients.output_limits[client_limit_class(c)];
    if (limit->hard_bytes > 0 && used >= limit->hard_bytes) return true;
    if (limit->soft_bytes == 0 || used < limit->soft_bytes) {
        c->soft_limit_since_ms = 0;
        return false;
    }
    if (c->soft_limit_since_ms == 0) c->soft_limit_since_ms = core->clock.now_ms;
    return core->clock.now_ms - c->soft_limit_since_ms > limit->soft_seconds * 1000;
}

void client_enforce_output_limit(struct client *c)
{
    if (LIKELY(!over_output_limit(c)) || client_has(c, CLIENT_CLOSING)) return;
    log_warning(c->core->log, "Client %s closed for overcoming of output buffer limits.", c->peer);
    c->core->stats.output_limit_disconnections++;
    client_close_later(c);
}

bool client_flush(struct client *c)
{
    uint64_t before = outbuf_sent(&c->out);
    int rc = outbuf_flush(&c->out, c->conn);
    uint64_t sent = outbuf_sent(&c->out) - before;
    c->net_out += sent;
    c->core->stats.net_out += sent;
    c->core->stats.writes_processed++;
    if (UNLIKELY(rc < 0)) {
        log_verbose(c->core->log, "Writing to client %s: %s", c->peer, strerror(-rc));
        client_close_later(c);
        return false;
    }
    if (sent > 0) c->last_active_ms = c->core->clock.now_ms;
    conn_want_write(c->conn, rc == 0);
    if (rc == 1 && client_has(c, CLIENT_CLOSE_AFTER_REPLY)) client_close_later(c);
    return true;
}

/* Soft limits count from what the socket did not take. */
static void flush_and_check(struct client *c)
{
    if (!client_flush(c)) return;
    client_enforce_output_limit(c);
    client_memory_changed(c);
}

static void on_writable(void *ctx)
{
    struct client *c = ctx;
    if (client_has(c, CLIENT_REPLICA)) {
        repl_replica_writable(c->replica);
        return;
    }
    flush_and_check(c);
}

void clients_flush(struct clients *cs)
{
    struct client *next, *c = cs->flush;
    cs->flush = NULL;
    cs->flush_last = &cs->flush;
    for (; c != NULL; c = next) {
        next = c->flush_next;
        c->flags &= ~(uint32_t)CLIENT_WANTS_FLUSH;
        if (client_has(c, CLIENT_CLOSING)) continue;
        if (client_has(c, CLIENT_REPLICA)) { /* what it was answered went out when it became one */
            outbuf_clear(&c->out);
            if (client_has(c, CLIENT_CLOSE_AFTER_REPLY)) client_close_later(c);
            continue;
        }
        client_enforce_output_limit(c); /* what is over the limit is not sent, even if there is room */
        client_memory_changed(c);       /* somebody else may have written to it */
        if (client_has(c, CLIENT_CLOSING) || UNLIKELY(conn_wants_write(c->conn))) continue;
        flush_and_check(c);
    }
}

/* ---- Cron ---- */

static void client_cron(struct client *c)
{
    struct core *core = c->core;
    int64_t idle_ms = core->clock.now_ms - c->last_active_ms;
    bool exempt = client_has(c, CLIENT_REPLICA | CLIENT_BLOCKED | CLIENT_MONITOR) ||
                  (c->subscriptions != NULL && pubsub_client_any(c));
    if (core->settings->clients.timeout_s > 0 && !exempt &&
        idle_ms > core->settings->clients.timeout_s * INT64_C(1000)) {
        log_verbose(core->log, "Closing idle client %s", c->peer);
        client_close_later(c);
        return;
    }
    if (!client_has(c, CLIENT_READY)) resp_reader_shrink(&c->reader, idle_ms > IDLE_TRIM_MS);
    if (idle_ms > IDLE_TRIM_MS && outbuf_empty(&c->out)) outbuf_trim(&c->out);
    client_enforce_output_limit(c);
}

/* Every client comes round about once a second. */
void clients_cron(struct clients *cs)
{
    size_t share = cs->count / (size_t)(cs->core->settings->misc.hz > 0 ? cs->core->settings->misc.hz : 1) + 5;
    struct client *c = cs->first;
    while (c != NULL && c->id > cs->cron_next_id) c = c->next; /* the list is in descending order of ids */
    for (; share > 0; share--) {
        if (c == NULL) {
            cs->cron_next_id = UINT64_MAX;
            return;
        }
        cs->cron_next_id = c->id - 1;
        if (!client_has(c, CLIENT_CLOSING)) client_cron(c);
        c = c->next;
    }
}

/* ---- Eviction ---- */

/* 0: no limit. */
static size_t clients_memory_limit(const struct clients *cs)
{
    int64_t limit = cs->core->settings->clients.maxmemory_clients;
    if (limit >= 0) return (size_t)limit;
    return (size_t)((double)cs->core->settings->memory.maxmemory * (double)-limit / 100);
}

static bool may_be_evicted(const struct client *c)
{
    return !client_has(c, CLIENT_CLOSING | CLIENT_REPLICA | CLIENT_MASTER | CLIENT_NO_EVICT);
}

static void count_memory(struct clients *cs, struct client *c)
{
    size_t now = may_be_evicted(c) ? client_memory(c) : 0;
    cs->evictable_memory += now - c->counted_memory;
    c->counted_memory = now;
}

static struct client *largest(struct clients *cs)
{
    struct client *most = NULL;
    for (struct client *c = cs->first; c != NULL; c = c->next)
        if (c->counted_memory > 0 && (most == NULL || c->counted_memory > most->counted_memory)) most = c;
    return most;
}

static void evict_largest(struct clients *cs)
{
    struct client *c = largest(cs);
    log_notice(cs->core->log, "Evicting client %s, which takes %zu bytes: all clients take more than maxmemory-clients",
               c->peer, c->counted_memory);
    cs->core->stats.evicted_clients++;
    cs->leaving_memory += c->counted_memory;
    client_close_later(c);
}

static void evict_over_limit(struct clients *cs)
{
    size_t limit = clients_memory_limit(cs);
    while (limit > 0 && cs->evictable_memory > limit) evict_largest(cs);
}

void client_check_memory(struct client *c)
{
    struct clients *cs = c->clients;
    if (c->conn == NULL || client_has(c, CLIENT_CLOSING)) return;
    count_memory(cs, c);
    evict_over_limit(cs);
}

void clients_evict_all(struct clients *cs)
{
    if (clients_memory_limit(cs) == 0) return;
    for (struct client *c = cs->first; c != NULL; c = c->next) count_memory(cs, c);
    evict_over_limit(cs);
}

size_t clients_leaving_memory(const struct clients *cs)
{
    return cs->leaving_memory;
}

/* ---- Describing ---- */

static void describe_flags(const struct client *c, char out[CLIENT_FLAGS_MAX])
{
    char *p = out;
    if (client_has(c, CLIENT_REPLICA)) *p++ = client_has(c, CLIENT_MONITOR) ? 'O' : 'S';
    if (client_has(c, CLIENT_MONITOR) && !client_has(c, CLIENT_REPLICA)) *p++ = 'O';
    if (client_has(c, CLIENT_MASTER)) *p++ = 'M';
    if (c->subscriptions != NULL && pubsub_client_any(c)) *p++ = 'P';
    if (client_has(c, CLIENT_IN_MULTI)) *p++ = 'x';
    if (client_has(c, CLIENT_BLOCKED)) *p++ = 'b';
    if (client_has(c, CLIENT_TRACKING)) *p++ = 't';
    if (tracking_redirect_is_broken(c)) *p++ = 'R';
    if (tracking_mode_of(c) & TRACKING_BCAST) *p++ = 'B';
    if (client_has(c, CLIENT_WATCH_BROKEN)) *p++ = 'd';
    if (client_has(c, CLIENT_CLOSE_AFTER_REPLY)) *p++ = 'c';
    if (client_has(c, CLIENT_CLOSING)) *p++ = 'A';
    if (client_has(c, CLIENT_UNIX)) *p++ = 'U';
    if (client_has(c, CLIENT_READONLY)) *p++ = 'r';
    if (client_has(c, CLIENT_NO_EVICT)) *p++ = 'e';
    if (client_has(c, CLIENT_NO_TOUCH)) *p++ = 'T';
    if (p == out) *p++ = 'N';
    *p = '\0';
}

size_t client_memory(const struct client *c)
{
    struct outbuf_stats st;
    outbuf_get_stats(&c->out, &st);
    return sizeof(*c) + resp_reader_memory(&c->reader) + st.total_memory + multi_memory(c) + pubsub_client_memory(c) +
           tracking_client_memory(c) + key_waits_memory(c);
}

static void describe_command(const struct client *c, struct bytes_buf *out)
{
    const struct command_slot *slot = c->last_slot;
    bytes_buf_printf(out, " cmd=%s", slot == NULL ? "NULL" : slot->full_name);
}

void client_describe(const struct client *c, struct bytes_buf *out)
{
    char flags[CLIENT_FLAGS_MAX];
    size_t channels = 0, patterns = 0, shard = 0;
    struct outbuf_stats st;
    const struct core *core = c->core;
    size_t arguments, request = running_request_bytes(&c->core->running, c, &arguments);
    describe_flags(c, flags);
    if (c->subscriptions != NULL) pubsub_client_counts(c, &channels, &patterns, &shard);
    outbuf_get_stats(&c->out, &st);
    bytes_buf_printf(
        out, "id=%llu addr=%s laddr=%s fd=%d name=%s age=%lld idle=%lld flags=%s db=%d sub=%zu psub=%zu ssub=%zu",
        (unsigned long long)c->id, c->peer, c->local, c->conn == NULL ? -1 : conn_fd(c->conn),
        c->name == NULL ? "" : c->name, (long long)(core->clock.now_ms - c->created_ms) / 1000,
        (long long)(core->clock.now_ms - c->last_active_ms) / 1000, flags, c->db->id, channels, patterns, shard);
    bytes_buf_printf(
        out, " multi=%d qbuf=%zu qbuf-free=%zu argv-mem=%zu multi-mem=%zu rbs=%zu rbp=%zu obl=%zu oll=%zu omem=%zu",
        multi_queued(c), resp_reader_unparsed(&c->reader) + request, resp_reader_room(&c->reader), arguments,
        multi_memory(c), st.rbs, st.rbp, st.obl, st.oll, client_output_memory(c));
    bytes_buf_printf(out, " tot-mem=%zu events=%s%s", client_memory(c), "r",
                     c->conn != NULL && conn_wants_write(c->conn) ? "w" : "");
    describe_command(c, out);
    bytes_buf_printf(out, " user=%s redir=%lld resp=%d lib-name=%s lib-ver=%s",
                     c->user == NULL ? "(superuser)" : acl_user_name_text(c->user),
                     client_has(c, CLIENT_TRACKING) ? (long long)tracking_redirect(c) : -1LL, c->reply.proto,
                     c->lib_name == NULL ? "" : c->lib_name, c->lib_ver == NULL ? "" : c->lib_ver);
    bytes_buf_printf(out, " watch=%zu", multi_watch_count(c)); /* of 7.4; last, so that the rest is the line of 7.2 */
}

void clients_summarize(struct clients *cs, struct clients_summary *out)
{
    *out = (struct clients_summary){0};
    for (const struct client *c = cs->first; c != NULL; c = c->next) {
        size_t input = resp_reader_pending(&c->reader), output = client_output_memory(c);
        if (client_has(c, CLIENT_REPLICA))
            out->memory_replicas += client_memory(c);
        else
            out->connected++, out->memory_normal += client_memory(c);
        if (c->subscriptions != NULL && pubsub_client_any(c)) out->pubsub++;
        if (client_has(c, CLIENT_BLOCKED)) out->blocked++;
        if (multi_watch_count(c) > 0) out->watching++;
        if (input > out->max_input) out->max_input = input;
        if (output > out->max_output) out->max_output = output;
    }
}
