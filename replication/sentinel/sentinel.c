/* sentinel.c -- the life of a sentinel, and where its events go.
 *
 * Each function of sentinel.h that brings an event reads the clock, hands the event to the file that owns it, and then
 * lets every master go on as far as it can (advance()). So a failover takes its next step in the very call that brought
 * what it waited for; the tick is for what happens because time passes. */
#include "replication/sentinel/sentinel.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "replication/sentinel/sentinel_internal.h"
#include "storage/base/assert.h"
#include "storage/base/memory.h"

/* ---- Life ---- */

static void random_id(struct sentinel *s)
{
    static const char digits[] = "0123456789abcdef";
    for (int i = 0; i < SENTINEL_ID_LEN; i++) s->id[i] = digits[s->host.random(s->host.ctx) & 15];
    s->id[SENTINEL_ID_LEN] = '\0';
}

static void read_clock(struct sentinel *s)
{
    s->now = s->host.now(s->host.ctx) + 1; /* 0 means never */
}

struct sentinel *sentinel_new(const struct sentinel_host *host)
{
    struct sentinel *s = mem_calloc(sizeof(*s));
    s->host = *host;
    s->deny_scripts = true;
    options_tunables_init(&s->tunables);
    read_clock(s);
    random_id(s);
    return s;
}

void sentinel_free(struct sentinel *s)
{
    if (s == NULL) return;
    while (s->masters != NULL) master_remove(s->masters);
    directives_release(s);
    mem_free(s->announce_ip);
    mem_free(s->user);
    mem_free(s->pass);
    mem_free(s);
}

static void start_node(struct sentinel_node *node)
{
    struct sentinel *s = node->sentinel;
    node->added_at = node->last_ok_at = node->last_pong_at = node->not_down_since = node->down_at = s->now;
    node_connect(node);
}

static void start_master(struct sentinel_node *master)
{
    struct master_part *m = master->m;
    /* A vote whose failover did not come to an end that we know of may be a moment old: nobody else gets one while its
     * leader may still act on it (H5). */
    if (m->leader_epoch > m->config_epoch) m->lease_until = master->sentinel->now + LEAD_MS;
    start_node(master);
    FOR_EACH_NODE(replica, m->replicas) start_node(replica);
    FOR_EACH_NODE(peer, m->peers) start_node(peer);
    sentinel_event(master->sentinel, SENTINEL_WARNING, "+monitor", master, " quorum %lld", (long long)m->quorum);
}

int sentinel_start(struct sentinel *s)
{
    read_clock(s);
    s->last_tick = s->now;
    int rc = s->host.save(s->host.ctx);
    if (rc != 0) return rc;
    s->dirty = false;
    s->started = true;
    FOR_EACH_NODE(master, s->masters) start_master(master);
    return 0;
}

bool sentinel_saved(struct sentinel *s)
{
    if (!s->dirty || !s->started) return true;
    int rc = s->host.save(s->host.ctx);
    s->dirty = rc != 0;
    if (rc != 0)
        sentinel_log(s, SENTINEL_WARNING, "The configuration was not saved, so nothing is promised: %s", strerror(-rc));
    return rc == 0;
}

int sentinel_flush_config(struct sentinel *s)
{
    int rc = s->host.save(s->host.ctx);
    s->dirty = rc != 0;
    return rc;
}

/* ---- Time ---- */

void sentinel_wake_at(struct sentinel *s, int64_t when)
{
    if (when < s->wake_at) s->wake_at = when;
}

int64_t sentinel_random(struct sentinel *s, int64_t low, int64_t high)
{
    return low + (int64_t)(s->host.random(s->host.ctx) % (uint64_t)(high - low + 1));
}

/* Everything that follows from what is known now. */
static void advance(struct sentinel *s)
{
    if (!s->started) return;
    if (s->tilt_since == 0) {
        FOR_EACH_NODE(master, s->masters)
        {
            agree_tick(master);
            election_tick(master);
            failover_tick(master);
        }
    }
    (void)sentinel_saved(s); /* a failure is logged there, and tried again with the next event or tick */
}

static void watch_all(struct sentinel_node *master)
{
    watch_tick(master);
    FOR_EACH_NODE(replica, master->m->replicas) watch_tick(replica);
    FOR_EACH_NODE(peer, master->m->peers) watch_tick(peer);
}

int sentinel_tick(struct sentinel *s)
{
    read_clock(s);
    s->wake_at = s->now + SENTINEL_TICK_MS;
    watch_tilt(s);
    FOR_EACH_NODE(master, s->masters)
    {
        watch_all(master);
        forget_absent(master);
    }
    advance(s);
    s->last_tick = s->now;
    int64_t wait = s->wake_at - s->now;
    return wait < 1 ? 1 : (int)wait;
}

/* ---- Events that we tell ---- */

static const char *kind_word(enum sentinel_kind kind)
{
    switch (kind) {
    case SENTINEL_MASTER: return "master";
    case SENTINEL_REPLICA: return "slave";
    case SENTINEL_PEER: return "sentinel";
    }
    UNREACHABLE();
}

/* "<instance-type> <name> <ip> <port> @ <master-name> <master-ip> <master-port>" */
static void append_details(struct bytes_buf *out, const struct sentinel_node *node)
{
    const struct sentinel *s = node->sentinel;
    const struct sentinel_node *master = node->master;
    bytes_buf_printf(out, "%s %s %s %d", kind_word(node->kind), node->name, node_shown_host(s, &node->address),
                     node->address.port);
    if (node == master) return;
    bytes_buf_printf(out, " @ %s %s %d", master->name, node_shown_host(s, &master->address), master->address.port);
}

static void tell(struct sentinel *s, enum sentinel_level level, const char *type, const struct sentinel_node *master,
                 struct bytes_buf *text)
{
    bytes_buf_append(text, "", 1);
    s->host.event(s->host.ctx, level, type, master, text->data);
    bytes_buf_release(text);
}

static void append_formatted(struct bytes_buf *out, const char *fmt, va_list args)
{
    char more[1024];
    vsnprintf(more, sizeof(more), fmt, args);
    bytes_buf_append(out, more, strlen(more));
}

void sentinel_event(struct sentinel *s, enum sentinel_level level, const char *type, const struct sentinel_node *node,
                    const char *fmt, ...)
{
    struct bytes_buf text = {0};
    va_list args;
    append_details(&text, node);
    va_start(args, fmt);
    append_formatted(&text, fmt, args);
    va_end(args);
    tell(s, level, type, node->master, &text);
}

void sentinel_event_text(struct sentinel *s, enum sentinel_level level, const char *type,
                         const struct sentinel_node *master, const char *fmt, ...)
{
    struct bytes_buf text = {0};
    va_list args;
    va_start(args, fmt);
    append_formatted(&text, fmt, args);
    va_end(args);
    tell(s, level, type, master, &text);
}

void sentinel_log(struct sentinel *s, enum sentinel_level level, const char *fmt, ...)
{
    char text[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    s->host.log(s->host.ctx, level, text);
}

/* ---- Sending ---- */

const char *sentinel_node_command(const struct sentinel_node *node, const char *word)
{
    if (node->kind == SENTINEL_PEER) return word;
    for (const struct renamed_word *w = node->master->m->renamed; w != NULL; w = w->next)
        if (strcasecmp(w->from, word) == 0) return w->to;
    return word;
}

bool node_send_words(struct sentinel_node *node, enum tag tag, const char *const *words)
{
    struct sentinel *s = node->sentinel;
    struct bytes_view argv[8];
    int argc = 0;
    for (; words[argc] != NULL; argc++) {
        ASSERT(argc < 8);
        argv[argc] = bytes_str(argc == 0 ? sentinel_node_command(node, words[0]) : words[argc]);
    }
    if (!node->up[SENTINEL_LINK_COMMANDS] || node->pending >= PENDING_MAX) return false;
    if (!s->host.send(s->host.ctx, node, (unsigned)tag | (unsigned)s->now << 8, argc, argv)) return false;
    node->pending++;
    return true;
}

/* When the command of this tag was sent: within 24 bits of milliseconds, more than four hours. */
static int64_t sent_at(const struct sentinel *s, unsigned tag)
{
    unsigned ago = ((unsigned)s->now - (tag >> 8)) & 0xffffff;
    return s->now - (int64_t)ago;
}

/* ---- Events that we are told ---- */

void sentinel_link_up(struct sentinel *s, struct sentinel_node *node, enum sentinel_which which)
{
    read_clock(s);
    node->up[which] = true;
    node->up_at[which] = s->now;
    if (which == SENTINEL_LINK_HELLOS) {
        node->last_heard_hellos = s->now;
    } else {
        node->pending = node->down_pending = 0;
        node->ping_pending = node->info_pending = false;
        node->no_prevote = false; /* another program may run there now */
        watch_connected(node);
    }
    advance(s);
}

void sentinel_link_down(struct sentinel *s, struct sentinel_node *node, enum sentinel_which which, const char *reason)
{
    read_clock(s);
    if (node->up[which] && which == SENTINEL_LINK_COMMANDS) node->down_at = s->now;
    if (node->up[which])
        sentinel_event(s, SENTINEL_DEBUG, which == SENTINEL_LINK_COMMANDS ? "-cmd-link" : "-pubsub-link", node, " #%s",
                       reason);
    node->up[which] = false;
    if (!address_is_ip(node->address.host)) node_resolve_again(node);
    advance(s);
}

void sentinel_link_auth(struct sentinel *s, struct sentinel_node *node, const char *error)
{
    read_clock(s);
    node_auth_failed(node, error);
}

static void dispatch_reply(struct sentinel_node *node, enum tag tag, int64_t asked_at,
                           const struct sentinel_value *reply)
{
    switch (tag) {
    case TAG_IGNORE: return;
    case TAG_PING: watch_ping_answered(node, reply); return;
    case TAG_INFO: info_answered(node, reply); return;
    case TAG_HELLO: hello_answered(node, reply); return;
    case TAG_DOWN: agree_answered(node, reply, asked_at); return;
    case TAG_PREVOTE: election_prevote_answered(node, reply, asked_at); return;
    case TAG_CONFIRM: roles_confirm_answered(node, reply, asked_at); return;
    case TAG_PROMOTE: failover_promote_answered(node, reply); return;
    case TAG_FOLLOW: failover_follow_answered(node, reply); return;
    case TAG_COORDINATED: failover_coordinated_answered(node, reply); return;
    }
    UNREACHABLE();
}

void sentinel_reply(struct sentinel *s, struct sentinel_node *node, unsigned tag, const struct sentinel_value *reply)
{
    read_clock(s);
    if (node->pending > 0) node->pending--;
    dispatch_reply(node, (enum tag)(tag & 0xff), sent_at(s, tag), reply);
    advance(s);
}

void sentinel_hello(struct sentinel *s, struct sentinel_node *node, struct bytes_view text)
{
    read_clock(s);
    if (node != NULL) node->last_heard_hellos = s->now;
    hello_received(s, text);
    advance(s);
}
/* ---- Questions of peers ---- */

static struct sentinel_node *master_asked_about(struct sentinel *s, struct bytes_view ip, int port)
{
    char host[SENTINEL_HOST_MAX + 1];
    if (ip.len > SENTINEL_HOST_MAX || memchr(ip.data, '\0', ip.len) != NULL) return NULL;
    snprintf(host, sizeof(host), "%.*s", (int)ip.len, ip.data);
    return node_find_master_at(s, host, port);
}

/* A run id as a C string: false if it is none. */
static bool read_runid(struct bytes_view text, char out[SENTINEL_ID_LEN + 1])
{
    if (text.len != SENTINEL_ID_LEN) return false;
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] <= ' ' || text.data[i] > '~') return false;
    memcpy(out, text.data, SENTINEL_ID_LEN);
    out[SENTINEL_ID_LEN] = '\0';
    return true;
}

void sentinel_down_by_addr(struct sentinel *s, struct bytes_view ip, int port, uint64_t epoch, struct bytes_view runid,
                           struct sentinel_vote *out)
{
    char candidate[SENTINEL_ID_LEN + 1];
    read_clock(s);
    *out = (struct sentinel_vote){.leader = "*"};
    struct sentinel_node *master = master_asked_about(s, ip, port);
    if (master == NULL) return;
    out->down = s->tilt_since == 0 && master->s_down;
    if (master->s_down) agree_ask_doubters(master);
    if (!read_runid(runid, candidate)) return;
    agree_vote(master, epoch, candidate);
    if (!sentinel_saved(s)) return; /* a vote that a power cut would undo is none */
    if (master->m->leader[0] != '\0') snprintf(out->leader, sizeof(out->leader), "%s", master->m->leader);
    out->epoch = master->m->leader_epoch;
}

bool sentinel_would_vote(struct sentinel *s, struct bytes_view ip, int port, uint64_t epoch, struct bytes_view runid)
{
    char candidate[SENTINEL_ID_LEN + 1];
    read_clock(s);
    struct sentinel_node *master = master_asked_about(s, ip, port);
    if (master == NULL || !read_runid(runid, candidate)) return false;
    return election_reserve(master, epoch, candidate);
}

/* ---- Reading ---- */

const char *sentinel_id(const struct sentinel *s)
{
    return s->id;
}

uint64_t sentinel_epoch(const struct sentinel *s)
{
    return s->current_epoch;
}

bool sentinel_in_tilt(const struct sentinel *s, int64_t *since_s)
{
    *since_s = s->tilt_since == 0 ? -1 : (s->host.now(s->host.ctx) + 1 - s->tilt_since) / 1000;
    return s->tilt_since != 0;
}

unsigned sentinel_simulation_bits(const struct sentinel *s)
{
    return s->simulations;
}

static size_t length(const struct sentinel_node *list)
{
    size_t n = 0;
    for (; list != NULL; list = list->next) n++;
    return n;
}

size_t sentinel_master_count(const struct sentinel *s)
{
    return length(s->masters);
}

size_t sentinel_replica_count(const struct sentinel_node *master)
{
    return length(master->m->replicas);
}

size_t sentinel_peer_count(const struct sentinel_node *master)
{
    return length(master->m->peers);
}

struct sentinel_node *sentinel_next_master(const struct sentinel *s, const struct sentinel_node *after)
{
    return after == NULL ? s->masters : after->next;
}

struct sentinel_node *sentinel_next_replica(const struct sentinel_node *master, const struct sentinel_node *after)
{
    return after == NULL ? master->m->replicas : after->next;
}

struct sentinel_node *sentinel_next_peer(const struct sentinel_node *master, const struct sentinel_node *after)
{
    return after == NULL ? master->m->peers : after->next;
}

const char *sentinel_master_status(const struct sentinel_node *master)
{
    return master->m->o_down ? "odown" : master->s_down ? "sdown" : "ok";
}

void sentinel_master_address(const struct sentinel_node *master, const char **host, int *port)
{
    const struct node_address *a = failover_current_address(master);
    *host = node_shown_host(master->sentinel, a);
    *port = a->port;
}

struct bytes_view sentinel_node_info(const struct sentinel *s, const struct sentinel_node *node, int64_t *age_ms)
{
    *age_ms = node->info_at == 0 ? -1 : s->host.now(s->host.ctx) + 1 - node->info_at;
    return bytes_buf_view(&node->info);
}

enum sentinel_kind sentinel_node_kind(const struct sentinel_node *node)
{
    return node->kind;
}

const char *sentinel_node_name(const struct sentinel_node *node)
{
    return node->name;
}

const char *sentinel_node_runid(const struct sentinel_node *node)
{
    return node->runid;
}

const char *sentinel_node_ip(const struct sentinel_node *node)
{
    return node->address.ip;
}

int sentinel_node_port(const struct sentinel_node *node)
{
    return node->address.port;
}

bool sentinel_node_announced(const struct sentinel_node *replica)
{
    return replica->facts.announced;
}

const char *sentinel_node_user(const struct sentinel *s, const struct sentinel_node *node)
{
    return node->kind == SENTINEL_PEER ? s->user : node->master->m->auth_user;
}

const char *sentinel_node_pass(const struct sentinel *s, const struct sentinel_node *node)
{
    return node->kind == SENTINEL_PEER ? s->pass : node->master->m->auth_pass;
}

const char *sentinel_notification_script(const struct sentinel_node *master)
{
    return master->m->notification_script;
}

const char *sentinel_client_reconfig_script(const struct sentinel_node *master)
{
    return master->m->reconfig_script;
}

void sentinel_link_name(const struct sentinel *s, enum sentinel_which which, char out[SENTINEL_LINK_NAME_SIZE])
{
    snprintf(out, SENTINEL_LINK_NAME_SIZE, "sentinel-%.8s-%s", s->id,
             which == SENTINEL_LINK_COMMANDS ? "cmd" : "pubsub");
}

void *sentinel_node_link(const struct sentinel_node *node)
{
    return node->link;
}

void sentinel_node_set_link(struct sentinel_node *node, void *link)
{
    node->link = link;
}
