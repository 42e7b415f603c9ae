#include "server/clients/clients.h"

#include <errno.h>
#include <stdio.h>

#include "replication/replication.h"
#include "server/acl/users.h"
#include "server/clients/client_part.h"
#include "server/core/core.h"
#include "storage/base/memory.h"

enum {
    UNAUTHENTICATED_OUTPUT_MAX = 64 * 1024, /* CVE-2025-21605: pending replies to a client that has not logged in */
    BLOCKED_INPUT_MAX = 1024 * 1024,        /* beyond this, the input of a blocked client is left in the socket */
    READY_INPUT_MAX = 256 * 1024,           /* ... and that of a client on the ready list */
    IDLE_TRIM_MS = 2000,
};

static uint64_t hash_of_id(uint64_t id)
{
    return id * 0x9e3779b97f4a7c15u ^ id >> 32; /* ids are consecutive and no client can choose its own */
}
static uint64_t client_hash(const void *ctx, const void *entry)
{
    (void)ctx;
    return hash_of_id(((const struct client *)entry)->id);
}

/* Calls one of the functions of struct client_part, for each part that has it. */
#define FOR_EACH_PART(cs, call, c)                                                                                     \
    for (const struct client_part *const *part_ = (cs)->parts; *part_ != NULL; part_++)                                \
        if ((*part_)->call != NULL) (*part_)->call(c)

struct clients *clients_new(struct core *core, const struct client_part *const *parts)
{
    struct clients *cs = mem_calloc(sizeof(*cs));
    cs->core = core;
    cs->parts = parts;
    table_init(&cs->by_id, client_hash, NULL);
    cs->ready_last = &cs->ready;
    cs->flush_last = &cs->flush;
    cs->cron_next_id = UINT64_MAX;
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

static void update_muted(struct client *c)
{
    c->reply.muted = client_has(c, CLIENT_MASTER | CLIENT_REPLY_OFF | CLIENT_REPLY_SKIP);
}

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
    if (client_has(c, CLIENT_REPLICA)) cs->replica_count--;
}

static struct client *make_client(struct clients *cs, struct conn *conn, bool for_scripts)
{
    struct client *c = mem_calloc(sizeof(*c));
    struct core *core = cs->core;
    c->clients = cs;
    c->core = core;
    c->conn = conn;
    c->id = ++cs->last_id;
    c->db = keyspace_db(core->keyspace, 0);
    c->created_ms = c->last_active_ms = core->clock.mono_ms;
    client_flag_put(c, CLIENT_MASTER, conn == NULL && !for_scripts);
    client_flag_put(c, CLIENT_SCRIPT, for_scripts);
    outbuf_init(&c->out);
    reply_init(&c->reply, &c->out);
    if (core->settings->clients.client_default_resp == 3) c->reply.proto = 3;
    if (conn != NULL) {
        client_flag_put(c, CLIENT_UNIX, conn_is_unix(conn));
        snprintf(c->peer, sizeof(c->peer), "%s", conn_peer_name(conn));
        snprintf(c->local, sizeof(c->local), "%s", conn_local_name(conn));
        conn_set_handler(conn, on_readable, on_writable, c);
        conn_want_read(conn, true);
        link_client(cs, c);
    }
    resp_reader_init(&c->reader, limits_of(c));
    FOR_EACH_PART(cs, open, c);
    update_muted(c);
    return c;
}

struct client *client_new(struct clients *cs, struct conn *conn)
{
    return make_client(cs, conn, false);
}

struct client *client_new_script(struct clients *cs)
{
    struct client *c = make_client(cs, NULL, true);
    snprintf(c->peer, sizeof(c->peer), "lua"); /* as MONITOR shows it */
    return c;
}

/* The client does not count towards maxmemory-clients any more. */
static void forget_memory(struct client *c)
{
    c->clients->evictable_memory -= c->counted_memory;
    c->counted_memory = 0;
}

static void client_free(struct client *c)
{
    FOR_EACH_PART(c->clients, free, c);
    if (c->replica != NULL) repl_replica_gone(c->replica);
    resp_reader_release(&c->reader);
    outbuf_release(&c->out);
    if (c->conn != NULL) {
        unlink_client(c->clients, c);
        conn_close(c->conn);
    }
    mem_free(c->name);
    mem_free(c->lib_name);
    mem_free(c->lib_ver);
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
    client_flag_set(c, CLIENT_CLOSING);
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
    client_flag_set(c, CLIENT_CLOSE_AFTER_REPLY);
    conn_want_read(c->conn, false);
    client_wants_flush(c);
}

void client_reset(struct client *c)
{
    FOR_EACH_PART(c->clients, reset, c);
    client_flag_clear(c, CLIENT_REPLY_OFF | CLIENT_REPLY_SKIP_NEXT | CLIENT_REPLY_SKIP | CLIENT_NO_EVICT |
                             CLIENT_NO_TOUCH | CLIENT_REDIRECT | CLIENT_READS_REPLICA);
    ASSERT(!client_has(c, CLIENT_RESET_CLEARS));
    c->db = keyspace_db(c->core->keyspace, 0);
    c->reply.proto = 2;
    mem_free(c->name);
    c->name = NULL;
    update_muted(c);
}

/* Removes a client from a singly linked list. It is searched for, since this is rare. */
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

static bool stays_after_demotion(const struct client *c)
{
    if (c->replica != NULL || c == c->core->running.client) return true;
    if (client_is_of_sentinel(c)) return true;
    return client_has(c, CLIENT_REDIRECT) && !client_has(c, CLIENT_SUBSCRIBED);
}

void clients_disconnect_for_demotion(struct clients *cs)
{
    size_t count = 0;
    for (struct client *c = clients_first(cs); c != NULL; c = c->next) {
        if (client_has(c, CLIENT_CLOSING | CLIENT_CLOSE_AFTER_REPLY) || stays_after_demotion(c)) continue;
        client_close_after_reply(c);
        count++;
    }
    if (count > 0) log_notice(cs->core->log, "Demoted: disconnecting %zu clients (demote-clients-kill).", count);
}

void clients_close_all(struct clients *cs)
{
    if (cs == NULL) return;
    for (struct client *c = cs->first; c != NULL; c = c->next) client_close_later(c);
    clients_reap(cs);
}

void clients_free(struct clients *cs)
{
    ASSERT(cs->first == NULL);
    table_release(&cs->by_id, NULL, NULL);
    mem_free(cs);
}

/* ---- Accepting ---- */

static void refuse_connection(struct clients *cs, struct conn *conn, const char *text)
{
    cs->core->stats.connections_rejected++;
    (void)conn_write(conn, text, strlen(text)); /* the connection is closed anyway */
    conn_close(conn);
}

void clients_refuse(struct clients *cs, struct conn *conn)
{
    refuse_connection(cs, conn, "-ERR max number of clients reached\r\n");
}

static bool protected_mode_refuses(const struct clients *cs, const struct conn *conn)
{
    return cs->core->settings->net.protected_mode && acl_user_has_nopass(acl_users_default(cs->users)) &&
           !conn_is_local(conn);
}

bool clients_is_full(const struct clients *cs, size_t more)
{
    return cs->count + more >= cs->core->settings->clients.maxclients;
}

struct client *clients_accept(struct clients *cs, struct conn *conn)
{
    if (clients_is_full(cs, 0)) {
        clients_refuse(cs, conn);
        return NULL;
    }
    if (protected_mode_refuses(cs, conn)) {
        refuse_connection(
            cs, conn,
            "-DENIED Redis is running in protected mode because protected mode is enabled and no password "
            "is set for the default user. In this mode connections are only accepted from the loopback "
            "interface. To connect from elsewhere, set a password (requirepass), or turn protected mode off "
            "(protected-mode no in the configuration file, --protected-mode no on the command line, or "
            "CONFIG SET protected-mode no from the same host) where the network is trusted.\r\n");
        return NULL;
    }
    int rc = conn_set_nodelay(conn, true);
    if (rc == 0 && cs->core->settings->net.tcp_keepalive_s > 0)
        rc = conn_set_keepalive(conn, cs->core->settings->net.tcp_keepalive_s);
    if (rc != 0) log_debug(cs->core->log, "Socket options of %s: %s", conn_peer_name(conn), strerror(-rc));
    cs->core->stats.connections_received++;
    return client_new(cs, conn);
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

/* ---- What CLIENT commands, replication and scripts say ---- */

void client_set_reply_mode(struct client *c, enum client_reply_mode mode)
{
    switch (mode) {
    case CLIENT_REPLIES_ON: client_flag_clear(c, CLIENT_REPLY_OFF | CLIENT_REPLY_SKIP | CLIENT_REPLY_SKIP_NEXT); break;
    case CLIENT_REPLIES_OFF: client_flag_set(c, CLIENT_REPLY_OFF); break;
    case CLIENT_REPLIES_SKIP:
        if (!client_has(c, CLIENT_REPLY_OFF)) client_flag_set(c, CLIENT_REPLY_SKIP_NEXT);
        return; /* this command still gets its reply */
    }
    update_muted(c);
}

void client_reply_skipped(struct client *c)
{
    client_flag_put(c, CLIENT_REPLY_SKIP, client_has(c, CLIENT_REPLY_SKIP_NEXT));
    client_flag_clear(c, CLIENT_REPLY_SKIP_NEXT);
    update_muted(c);
}

void client_set_no_evict(struct client *c, bool on)
{
    client_flag_put(c, CLIENT_NO_EVICT, on);
}
void client_set_no_touch(struct client *c, bool on)
{
    client_flag_put(c, CLIENT_NO_TOUCH, on);
}

void client_set_redirect(struct client *c)
{
    client_flag_set(c, CLIENT_REDIRECT);
}
void client_set_reads_replica(struct client *c, bool on)
{
    client_flag_put(c, CLIENT_READS_REPLICA, on);
}

void client_run_script_for(struct client *script, const struct client *caller)
{
    ASSERT(client_has(script, CLIENT_SCRIPT));
    /* DEBUG SET-DISABLE-DENY-SCRIPTS lets a script say MULTI or CLIENT NO-EVICT: that ends with the script. */
    if (UNLIKELY(client_has(script, CLIENT_RESET_CLEARS & ~CLIENT_NO_TOUCH))) client_reset(script);
    client_flag_put(script, CLIENT_MASTER,
                    client_has(caller, CLIENT_MASTER)); /* without muting: the script reads its replies */
    client_flag_put(script, CLIENT_NO_TOUCH, client_has(caller, CLIENT_NO_TOUCH));
    script->db = caller->db;
    script->write_offset = caller->write_offset;
}

struct replica *client_replica(struct client *c)
{
    if (c->replica == NULL) c->replica = repl_replica_new(c->core->repl, c->conn, c, conn_peer_ip(c->conn));
    return c->replica;
}

void client_become_replica(struct client *c)
{
    struct bytes_buf pending = {0};
    outbuf_copy(&c->out, &pending);
    outbuf_clear(&c->out);
    repl_replica_queue(c->replica, bytes_buf_view(&pending));
    bytes_buf_release(&pending);
    c->clients->replica_count += !client_has(c, CLIENT_REPLICA);
    client_flag_set(c, CLIENT_REPLICA);
    update_muted(c);
}

bool client_name_of_sentinel(struct bytes_view name, struct bytes_view *id)
{
    static const char prefix[] = "sentinel-";
    static const struct bytes_view suffixes[] = {BYTES_LIT("-cmd"), BYTES_LIT("-pubsub")};
    size_t begin = sizeof(prefix) - 1;
    if (LIKELY(!bytes_starts_with(name, prefix))) return false;
    struct bytes_view rest = bytes_view(name.data + begin, name.len - begin);
    for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
        struct bytes_view suffix = suffixes[i];
        if (rest.len <= suffix.len || memcmp(rest.data + rest.len - suffix.len, suffix.data, suffix.len) != 0) continue;
        if (id != NULL) *id = bytes_view(rest.data, rest.len - suffix.len);
        return true;
    }
    return false;
}

bool client_is_of_sentinel(const struct client *c)
{
    return c->name != NULL && client_name_of_sentinel(bytes_str(c->name), NULL);
}

bool client_sees_master(const struct core *core, const struct client *c)
{
    if (repl_role(core->repl) != REPL_MASTER) return false;
    if (LIKELY(core->modes.writes_refused == WRITES_NOT_REFUSED)) return true;
    return c != NULL && client_is_of_sentinel(c);
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
    if (client_has(c, CLIENT_READY | CLIENT_CLOSING) || c->conn == NULL) return;
    client_flag_set(c, CLIENT_READY);
    c->ready_next = NULL;
    *cs->ready_last = c;
    cs->ready_last = &c->ready_next;
    if (UNLIKELY(!client_has(c, CLIENT_CLOSE_AFTER_REPLY))) conn_want_read(c->conn, true);
}

/* The loop reports the connections that became readable during one wait in reverse order. Each is put in front, so that
 * requests of different connections run in the order of their arrival. */
static void make_ready_in_front(struct client *c)
{
    struct clients *cs = c->clients;
    if (client_has(c, CLIENT_READY | CLIENT_CLOSING)) return;
    client_flag_set(c, CLIENT_READY);
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
    /* Requests that were read before have not run yet, so the rest stays in the socket. */
    if (UNLIKELY(client_has(c, CLIENT_READY)) && resp_reader_pending(&c->reader) > READY_INPUT_MAX) return;
    if (UNLIKELY(client_has(c, CLIENT_BLOCKED)) && resp_reader_pending(&c->reader) > BLOCKED_INPUT_MAX) {
        conn_want_read(c->conn, false);
        return;
    }
    resp_reader_space(&c->reader, &room, &len);
    ssize_t n = conn_read(c->conn, room, len);
    if (n == -EAGAIN) return;
    if (UNLIKELY(n <= 0)) {
        if (client_has(c, CLIENT_READY)) return; /* its last requests run first; then the end is read again */
        if (n < 0) log_verbose(core->log, "Reading from client %s: %s", c->peer, conn_error_text(c->conn, (int)n));
        client_close_later(c);
        return;
    }
    resp_reader_added(&c->reader, (size_t)n);
    core->stats.reads_processed++;
    core->stats.net_in += (uint64_t)n;
    c->net_in += (uint64_t)n;
    c->last_active_ms = core->clock.mono_ms;
    pacing_client_sent(&core->pacing, &c->pacing_window);
    if (client_has(c, CLIENT_REPLICA))
        repl_replica_heard(c->replica); /* even an empty line shows that the replica is alive */
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
    if (client_has(c, CLIENT_WANTS_FLUSH | CLIENT_CLOSING) || c->conn == NULL) return;
    client_flag_set(c, CLIENT_WANTS_FLUSH);
    c->flush_next = NULL;
    *cs->flush_last = c;
    cs->flush_last = &c->flush_next;
}

void client_push_begin(struct client *c)
{
    c->reply.muted = client_has(c, CLIENT_MASTER | CLIENT_REPLICA);
    struct outbuf *behind_reply = running_push_queue(&c->core->running, c);
    c->reply.out = behind_reply != NULL ? behind_reply : &c->out;
}

void client_push_end(struct client *c)
{
    c->reply.out = &c->out;
    update_muted(c);
    client_wants_flush(c);
}

enum client_limit_class client_limit_class(const struct client *c)
{
    if (client_has(c, CLIENT_REPLICA | CLIENT_MONITOR))
        return client_has(c, CLIENT_REPLICA) ? CLIENT_LIMIT_REPLICA : CLIENT_LIMIT_NORMAL;
    return client_has(c, CLIENT_SUBSCRIBED) ? CLIENT_LIMIT_PUBSUB : CLIENT_LIMIT_NORMAL;
}

size_t client_output_memory(const struct client *c)
{
    struct repl_replica_info info;
    if (!client_has(c, CLIENT_REPLICA)) return outbuf_memory(&c->out);
    repl_replica_describe(c->replica, &info);
    return outbuf_memory(&c->out) + info.pending_bytes;
}

/* Bytes of replies, not the memory of the blocks that hold them. Replies that fit into the first block do not count, as
 * in Redis: every busy connection has that block. */
size_t client_output_waiting(const struct client *c)
{
    return outbuf_memory(&c->out) == 0 ? 0 : outbuf_bytes(&c->out);
}

/* Replication enforces the limit of replicas: it knows which bytes are in the backlog anyway. */
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
    if (c->soft_limit_since_ms == 0) c->soft_limit_since_ms = core->clock.mono_ms;
    return core->clock.mono_ms - c->soft_limit_since_ms > limit->soft_seconds * 1000;
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
        log_verbose(c->core->log, "Writing to client %s: %s", c->peer, conn_error_text(c->conn, rc));
        client_close_later(c);
        return false;
    }
    if (sent > 0) c->last_active_ms = c->core->clock.mono_ms;
    conn_want_write(c->conn, rc == 0);
    if (rc == 1 && client_has(c, CLIENT_CLOSE_AFTER_REPLY)) client_close_later(c);
    return true;
}

/* Soft limits apply to what the socket did not take. */
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
        client_flag_clear(c, CLIENT_WANTS_FLUSH);
        if (client_has(c, CLIENT_CLOSING)) continue;
        if (client_has(c, CLIENT_REPLICA)) { /* client_become_replica() has handed over what was pending */
            outbuf_clear(&c->out);
            if (client_has(c, CLIENT_CLOSE_AFTER_REPLY)) client_close_later(c);
            continue;
        }
        client_enforce_output_limit(c); /* output over the limit is not sent, even if the socket has room */
        client_memory_changed(c);       /* another client's command may have pushed a message */
        if (client_has(c, CLIENT_CLOSING) || UNLIKELY(conn_wants_write(c->conn))) continue;
        flush_and_check(c);
    }
}

/* ---- Cron ---- */

static void client_cron(struct client *c)
{
    struct core *core = c->core;
    int64_t idle_ms = core->clock.mono_ms - c->last_active_ms;
    bool exempt = client_has(c, CLIENT_REPLICA | CLIENT_BLOCKED | CLIENT_MONITOR | CLIENT_SUBSCRIBED);
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

/* Each client has its turn about once a second. */
void clients_cron(struct clients *cs)
{
    size_t share = cs->count / (size_t)(cs->core->settings->misc.hz > 0 ? cs->core->settings->misc.hz : 1) + 5;
    struct client *c = cs->first;
    while (c != NULL && c->id > cs->cron_next_id) c = c->next; /* the list is in descending order of ids */
    for (; share > 0; share--) {
        if (c == NULL) {
            cs->cron_next_id = UINT64_MAX;
            cs->counted = cs->counting;
            cs->counting = (struct clients_memory){0};
            return;
        }
        cs->cron_next_id = c->id - 1;
        if (!client_has(c, CLIENT_CLOSING)) client_cron(c);
        clients_memory_add(&cs->counting, c);
        c = c->next;
    }
}

/* ---- Memory and eviction ---- */

size_t client_memory(const struct client *c)
{
    struct outbuf_stats st;
    outbuf_get_stats(&c->out, &st);
    size_t bytes = sizeof(*c) + resp_reader_memory(&c->reader) + st.total_memory;
    for (const struct client_part *const *part = c->clients->parts; *part != NULL; part++)
        if ((*part)->memory != NULL) bytes += (*part)->memory(c);
    return bytes;
}

void clients_memory_add(struct clients_memory *sum, const struct client *c)
{
    size_t input = resp_reader_pending(&c->reader), output = client_output_memory(c);
    *(client_has(c, CLIENT_REPLICA) ? &sum->replicas : &sum->normal) += client_memory(c);
    if (input > sum->max_input) sum->max_input = input;
    if (output > sum->max_output) sum->max_output = output;
}

/* maxmemory-clients in bytes; 0: no limit. */
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
