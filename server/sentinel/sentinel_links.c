#include "server/sentinel/sentinel_links.h"

#include <errno.h>
#include <stdio.h>

#include "server/config/settings.h"
#include "server/core/core.h"
#include "server/net/conn_tls.h"
#include "server/net/outbuf.h"
#include "server/net/resp_command.h"
#include "server/net/resp_reply.h"
#include "storage/base/assert.h"
#include "storage/base/log.h"
#include "storage/base/memory.h"

enum { KINDS = 2, READS_MAX = 16 /* of one callback: 256 KB */ };

enum link_state {
    LINK_WAITING = 0, /* for the next attempt: the timer runs */
    LINK_CONNECTING,  /* the timer ends it */
    LINK_HANDSHAKE,   /* the same */
    LINK_UP,
};

/* What an answer that is still to come belongs to. */
enum expected_kind { EXPECT_AUTH, EXPECT_NAME, EXPECT_SUBSCRIPTION, EXPECT_REPLY };
struct expected {
    enum expected_kind kind;
    unsigned tag;
    struct sentinel_node *node; /* NULL: it is gone */
};

struct link {
    struct sentinel_links *owner;
    struct link *prev, *next;
    enum sentinel_which which;
    enum link_state state;
    bool is_dead; /* no node uses it: freed at the end of the turn */
    char ip[SENTINEL_IP_SIZE];
    int port;
    char runid[SENTINEL_ID_LEN + 1]; /* of a peer, "" if it may not be shared */
    struct sentinel_node **users;
    size_t user_count;
    struct conn *conn;
    struct resp_reply_reader replies;
    struct outbuf out;
    struct expected expected[SENTINEL_EXPECTED_MAX]; /* a ring */
    size_t first_expected, expected_count;
    char auth_error[128]; /* of this attempt */
    char told_error[128]; /* the last one that was logged or told to the library */
    struct loop_timer timer;
    int64_t attempt_ms; /* when the last attempt began, 0: none yet */
};

/* The links of a node. */
struct pair {
    struct link *of[KINDS];
};

enum notice_kind { NOTICE_UP, NOTICE_DOWN, NOTICE_NO_REPLY, NOTICE_AUTH };
struct notice {
    enum notice_kind kind;
    enum sentinel_which which;
    unsigned tag;
    struct sentinel_node *node; /* NULL: it is gone */
    char *text;                 /* or NULL */
};

struct sentinel_links {
    struct core *core;
    struct tls_transport *tls;
    struct sentinel *sentinel;
    struct link *links;
    struct notice *notices;
    size_t notice_count, notice_cap;
    bool heard; /* a reply or a hello was given to the library */
};

static void attempt(void *ctx);
static void attempt_is_late(void *ctx);

static int64_t now_ms(const struct link *l)
{
    return l->owner->core->clock.mono_ms;
}

/* ---- What the library has to be told ---- */

static void note(struct sentinel_links *ls, enum notice_kind kind, struct sentinel_node *node,
                 enum sentinel_which which, unsigned tag, const char *text)
{
    if (node == NULL) return;
    if (ls->notice_count == ls->notice_cap) {
        ls->notice_cap = ls->notice_cap == 0 ? 16 : 2 * ls->notice_cap;
        ls->notices = mem_realloc(ls->notices, ls->notice_cap * sizeof(*ls->notices));
    }
    ls->notices[ls->notice_count++] = (struct notice){
        .kind = kind, .which = which, .tag = tag, .node = node, .text = text != NULL ? mem_strdup(text) : NULL};
}

static void note_all(struct link *l, enum notice_kind kind, const char *text)
{
    for (size_t i = 0; i < l->user_count; i++) note(l->owner, kind, l->users[i], l->which, 0, text);
}

static void tell(struct sentinel_links *ls, const struct notice *n)
{
    switch (n->kind) {
    case NOTICE_UP: sentinel_link_up(ls->sentinel, n->node, n->which); return;
    case NOTICE_DOWN: sentinel_link_down(ls->sentinel, n->node, n->which, n->text); return;
    case NOTICE_NO_REPLY: sentinel_reply(ls->sentinel, n->node, n->tag, NULL); return;
    case NOTICE_AUTH: sentinel_link_auth(ls->sentinel, n->node, n->text); return;
    }
}

/* Notices that come while it runs are told, too. */
bool sentinel_links_turn(struct sentinel_links *ls)
{
    bool told = ls->heard || ls->notice_count > 0;
    ls->heard = false;
    for (size_t i = 0; i < ls->notice_count; i++) {
        struct notice n = ls->notices[i];
        ls->notices[i].text = NULL;
        if (n.node != NULL) tell(ls, &n);
        mem_free(n.text);
    }
    ls->notice_count = 0;
    return told;
}

bool sentinel_links_waiting(const struct sentinel_links *ls)
{
    return ls->heard || ls->notice_count > 0;
}

static void forget_notices(struct sentinel_links *ls, const struct sentinel_node *node, int which)
{
    for (size_t i = 0; i < ls->notice_count; i++) {
        struct notice *n = &ls->notices[i];
        if (n->node == node && (which < 0 || (int)n->which == which)) n->node = NULL;
    }
}

/* ---- Answers that are still to come ---- */

static bool expect(struct link *l, enum expected_kind kind, struct sentinel_node *node, unsigned tag)
{
    if (l->expected_count == SENTINEL_EXPECTED_MAX) return false;
    size_t at = (l->first_expected + l->expected_count++) % SENTINEL_EXPECTED_MAX;
    l->expected[at] = (struct expected){.kind = kind, .node = node, .tag = tag};
    return true;
}

static struct expected take_expected(struct link *l)
{
    struct expected e = l->expected[l->first_expected];
    l->first_expected = (l->first_expected + 1) % SENTINEL_EXPECTED_MAX;
    l->expected_count--;
    return e;
}

static void forget_expected(struct link *l, const struct sentinel_node *node)
{
    for (size_t i = 0; i < l->expected_count; i++) {
        struct expected *e = &l->expected[(l->first_expected + i) % SENTINEL_EXPECTED_MAX];
        if (e->node == node) e->node = NULL;
    }
}

/* ---- Life of a link ---- */

static struct link *link_new(struct sentinel_links *ls, const struct sentinel_node *node, enum sentinel_which which)
{
    struct link *l = mem_calloc(sizeof(*l));
    l->owner = ls;
    l->which = which;
    snprintf(l->ip, sizeof(l->ip), "%s", sentinel_node_ip(node));
    l->port = sentinel_node_port(node);
    if (sentinel_node_kind(node) == SENTINEL_PEER)
        snprintf(l->runid, sizeof(l->runid), "%s", sentinel_node_runid(node));
    resp_reply_init(&l->replies);
    outbuf_init(&l->out);
    l->next = ls->links;
    if (ls->links != NULL) ls->links->prev = l;
    ls->links = l;
    loop_timer_start(ls->core->loop, &l->timer, 0, 0, attempt, l);
    return l;
}

static void link_free(void *ctx)
{
    struct link *l = ctx;
    resp_reply_release(&l->replies);
    outbuf_release(&l->out);
    mem_free(l->users);
    mem_free(l);
}

/* Its memory stays until the end of the turn: a callback up the stack may be reading from it. */
static void link_end(struct link *l)
{
    struct sentinel_links *ls = l->owner;
    loop_timer_stop(&l->timer);
    conn_close(l->conn);
    l->conn = NULL;
    l->is_dead = true;
    if (l->prev != NULL)
        l->prev->next = l->next;
    else
        ls->links = l->next;
    if (l->next != NULL) l->next->prev = l->prev;
    loop_defer(ls->core->loop, link_free, l);
}

/* Closes the connection and waits for the next attempt. `told`: the node that knows already, or NULL. */
static void link_drop(struct link *l, const char *reason, const struct sentinel_node *told)
{
    struct sentinel_links *ls = l->owner;
    while (l->expected_count > 0) {
        struct expected e = take_expected(l);
        if (e.kind == EXPECT_REPLY) note(ls, NOTICE_NO_REPLY, e.node, l->which, e.tag, NULL);
    }
    for (size_t i = 0; i < l->user_count; i++)
        if (l->users[i] != told) note(ls, NOTICE_DOWN, l->users[i], l->which, 0, reason);
    conn_close(l->conn);
    l->conn = NULL;
    l->state = LINK_WAITING;
    int64_t wait_ms = l->attempt_ms + SENTINEL_ATTEMPT_MS - now_ms(l);
    loop_timer_start(ls->core->loop, &l->timer, wait_ms > 0 ? wait_ms : 0, 0, attempt, l);
}

/* ---- Sending ---- */

static void link_flush(struct link *l)
{
    int rc = outbuf_flush(&l->out, l->conn);
    if (rc < 0) {
        link_drop(l, conn_error_text(l->conn, rc), NULL);
        return;
    }
    conn_want_write(l->conn, rc == 0);
}

static void on_writable(void *ctx)
{
    link_flush(ctx);
}

static void append_command(struct link *l, int argc, const struct bytes_view *argv)
{
    struct bytes_buf command = {0};
    resp_command_append(&command, (size_t)argc, argv);
    outbuf_append(&l->out, command.data, command.len);
    bytes_buf_release(&command);
}

/* ---- The handshake ---- */

static void append_auth(struct link *l, const struct sentinel_node *node)
{
    const struct sentinel_links *ls = l->owner;
    const char *user = sentinel_node_user(ls->sentinel, node), *pass = sentinel_node_pass(ls->sentinel, node);
    /* Sentinels with one requirepass know each other without further directives. */
    if (pass == NULL && sentinel_node_kind(node) == SENTINEL_PEER && user == NULL)
        pass = ls->core->settings->security.requirepass;
    if (pass == NULL || *pass == '\0') return;
    struct bytes_view argv[3] = {bytes_str(sentinel_node_command(node, "AUTH")), bytes_str(user != NULL ? user : pass),
                                 bytes_str(pass)};
    append_command(l, user != NULL ? 3 : 2, argv);
    (void)expect(l, EXPECT_AUTH, NULL, 0); /* nothing else is expected yet */
}

static void shake_hands(struct link *l)
{
    char name[SENTINEL_LINK_NAME_SIZE];
    const struct sentinel_node *node = l->users[0];
    append_auth(l, node);
    sentinel_link_name(l->owner->sentinel, l->which, name);
    struct bytes_view set_name[3] = {bytes_str(sentinel_node_command(node, "CLIENT")), BYTES_LIT("SETNAME"),
                                     bytes_str(name)};
    append_command(l, 3, set_name);
    (void)expect(l, EXPECT_NAME, NULL, 0); /* at most two are expected before it */
    if (l->which == SENTINEL_LINK_HELLOS) {
        struct bytes_view subscribe[2] = {bytes_str(sentinel_node_command(node, "SUBSCRIBE")),
                                          BYTES_LIT(SENTINEL_HELLO_CHANNEL)};
        append_command(l, 2, subscribe);
        (void)expect(l, EXPECT_SUBSCRIPTION, NULL, 0);
    }
    link_flush(l);
}

static void handshake_done(struct link *l)
{
    loop_timer_stop(&l->timer);
    l->state = LINK_UP;
    l->told_error[0] = '\0';
    note_all(l, NOTICE_AUTH, NULL);
    note_all(l, NOTICE_UP, NULL);
}

static void copy_error(char out[128], struct bytes_view text)
{
    snprintf(out, 128, "%.*s", bytes_shown(text, 127), text.data);
}

static bool is_new_error(struct link *l, const char *error)
{
    if (strcmp(l->told_error, error) == 0) return false;
    snprintf(l->told_error, sizeof(l->told_error), "%s", error);
    return true;
}

/* The password was refused, or one is missing. */
static void refused(struct link *l, struct bytes_view text)
{
    char error[128];
    if (l->auth_error[0] != '\0')
        snprintf(error, sizeof(error), "%s", l->auth_error);
    else
        copy_error(error, text);
    note_all(l, NOTICE_AUTH, error);
    link_drop(l, error, NULL);
}

/* A server without a password, or one whose default user needs none, serves us though it refuses AUTH. What the next
 * command gets decides. */
static void on_auth(struct link *l, const struct resp_reply *reply)
{
    if (reply->kind == RESP_REPLY_ERROR) copy_error(l->auth_error, reply->text);
}

static void on_name(struct link *l, const struct resp_reply *reply)
{
    if (reply->kind == RESP_REPLY_ERROR && bytes_starts_with(reply->text, "NOAUTH")) {
        refused(l, reply->text);
        return;
    }
    if (l->auth_error[0] != '\0' && is_new_error(l, l->auth_error))
        log_warning(l->owner->core->log, "%s:%d refuses AUTH, and serves us all the same: %s", l->ip, l->port,
                    l->auth_error);
    if (l->which == SENTINEL_LINK_COMMANDS) handshake_done(l);
}

static void on_subscription(struct link *l, const struct resp_reply *reply)
{
    if (reply->kind != RESP_REPLY_ERROR) {
        handshake_done(l);
        return;
    }
    char error[128];
    copy_error(error, reply->text);
    if (is_new_error(l, error)) log_warning(l->owner->core->log, "%s:%d refuses SUBSCRIBE: %s", l->ip, l->port, error);
    link_drop(l, error, NULL);
}

/* ---- Replies ---- */

static enum sentinel_reply_kind kind_of(enum resp_reply_kind kind)
{
    switch (kind) {
    case RESP_REPLY_STATUS: return SENTINEL_REPLY_STATUS;
    case RESP_REPLY_ERROR: return SENTINEL_REPLY_ERROR;
    case RESP_REPLY_INT:
    case RESP_REPLY_BOOL: return SENTINEL_REPLY_INTEGER;
    case RESP_REPLY_BULK:
    case RESP_REPLY_DOUBLE: return SENTINEL_REPLY_STRING;
    case RESP_REPLY_NULL: return SENTINEL_REPLY_NIL;
    case RESP_REPLY_ARRAY: return SENTINEL_REPLY_ARRAY;
    }
    UNREACHABLE();
}

static size_t count_values(const struct resp_reply *r)
{
    size_t n = r->count;
    for (size_t i = 0; i < r->count; i++) n += count_values(&r->values[i]);
    return n;
}

/* `next`: free values for what is inside; depth is bounded by the reader. */
static void convert(const struct resp_reply *from, struct sentinel_value *to, struct sentinel_value **next)
{
    struct sentinel_value *items = *next;
    *next += from->count;
    *to = (struct sentinel_value){.kind = kind_of(from->kind),
                                  .text = from->text,
                                  .integer = from->integer,
                                  .items = items,
                                  .count = from->count};
    for (size_t i = 0; i < from->count; i++) convert(&from->values[i], &items[i], next);
}

static void give_reply(struct link *l, const struct expected *e, const struct resp_reply *reply)
{
    struct sentinel_value value, *inside = mem_alloc((count_values(reply) + 1) * sizeof(*inside)), *next = inside;
    convert(reply, &value, &next);
    l->owner->heard = true;
    sentinel_reply(l->owner->sentinel, e->node, e->tag, &value);
    mem_free(inside);
}

static void on_message(struct link *l, const struct resp_reply *reply)
{
    if (l->state != LINK_UP || reply->kind != RESP_REPLY_ARRAY || reply->count != 3) return;
    if (!resp_reply_is_text(&reply->values[0]) || !bytes_equal_nocase(reply->values[0].text, "message")) return;
    if (!resp_reply_is_text(&reply->values[2])) return;
    l->owner->heard = true;
    sentinel_hello(l->owner->sentinel, l->users[0], reply->values[2].text);
}

static void on_reply(struct link *l, const struct resp_reply *reply)
{
    if (l->expected_count == 0) {
        on_message(l, reply); /* whatever else comes without a question is dropped */
        return;
    }
    struct expected e = take_expected(l);
    switch (e.kind) {
    case EXPECT_AUTH: on_auth(l, reply); return;
    case EXPECT_NAME: on_name(l, reply); return;
    case EXPECT_SUBSCRIPTION: on_subscription(l, reply); return;
    case EXPECT_REPLY:
        if (e.node != NULL) give_reply(l, &e, reply);
        return;
    }
}

/* False: the link was dropped, or is dead. */
static bool serve_replies(struct link *l)
{
    const struct resp_reply *reply;
    enum resp_reply_status status;
    while ((status = resp_reply_next(&l->replies, &reply)) == RESP_REPLY_READY) {
        on_reply(l, reply);
        if (l->conn == NULL) return false;
    }
    if (status != RESP_REPLY_FAILED) return true;
    link_drop(l, resp_reply_failure(&l->replies), NULL);
    return false;
}

static void on_readable(void *ctx)
{
    struct link *l = ctx;
    for (int reads = 0; reads < READS_MAX; reads++) {
        char *space;
        size_t len;
        resp_reply_space(&l->replies, &space, &len);
        ssize_t n = conn_read(l->conn, space, len);
        if (n == -EAGAIN) return;
        if (n <= 0) {
            link_drop(l, n == 0 ? "closed by the other side" : conn_error_text(l->conn, (int)n), NULL);
            return;
        }
        resp_reply_added(&l->replies, (size_t)n);
        if (!serve_replies(l)) return;
    }
}

/* ---- Connecting ---- */

static void on_connected(void *ctx, int rc)
{
    struct link *l = ctx;
    if (rc < 0) {
        link_drop(l, conn_error_text(l->conn, rc), NULL);
        return;
    }
    conn_set_handler(l->conn, on_readable, on_writable, l);
    conn_want_read(l->conn, true);
    l->state = LINK_HANDSHAKE;
    loop_timer_start(l->owner->core->loop, &l->timer, SENTINEL_HANDSHAKE_MS, 0, attempt_is_late, l);
    shake_hands(l);
}

static void attempt_is_late(void *ctx)
{
    struct link *l = ctx;
    link_drop(l, l->state == LINK_CONNECTING ? "no connection in time" : "no answer to the handshake in time", NULL);
}

static int open_connection(struct link *l)
{
    const struct settings *st = l->owner->core->settings;
    const char *source = st->replication.bind_source_addr;
    if (st->replication.tls_replication)
        return conn_tls_connect(l->owner->tls, l->ip, l->port, source, on_connected, l, &l->conn);
    return conn_connect(l->owner->core->loop, l->ip, l->port, source, on_connected, l, &l->conn);
}

/* Runs from the timer alone: what the last connection brought is not in use any more. */
static void attempt(void *ctx)
{
    struct link *l = ctx;
    resp_reply_reset(&l->replies);
    outbuf_clear(&l->out);
    l->auth_error[0] = '\0';
    l->attempt_ms = now_ms(l);
    l->state = LINK_CONNECTING;
    loop_timer_start(l->owner->core->loop, &l->timer, SENTINEL_HANDSHAKE_MS, 0, attempt_is_late, l);
    int rc = open_connection(l);
    if (rc == 0) return;
    l->conn = NULL;
    link_drop(l, strerror(-rc), NULL);
}

/* ---- Nodes and their links ---- */

static void add_user(struct link *l, struct sentinel_node *node)
{
    l->users = mem_realloc(l->users, (l->user_count + 1) * sizeof(struct sentinel_node *));
    l->users[l->user_count++] = node;
}

static void remove_user(struct link *l, const struct sentinel_node *node)
{
    size_t at = 0;
    while (l->users[at] != node) at++;
    memmove(&l->users[at], &l->users[at + 1], (l->user_count - at - 1) * sizeof(struct sentinel_node *));
    l->user_count--;
    forget_expected(l, node);
    if (l->user_count == 0) link_end(l);
}

static bool leads_to(const struct link *l, const struct sentinel_node *node)
{
    bool peer = sentinel_node_kind(node) == SENTINEL_PEER;
    return strcmp(l->ip, sentinel_node_ip(node)) == 0 && l->port == sentinel_node_port(node) &&
           strcmp(l->runid, peer ? sentinel_node_runid(node) : "") == 0;
}

/* A link to the same sentinel, which watches another master with us. */
static struct link *find_shared(const struct sentinel_links *ls, const struct sentinel_node *node)
{
    if (sentinel_node_kind(node) != SENTINEL_PEER || *sentinel_node_runid(node) == '\0') return NULL;
    for (struct link *l = ls->links; l != NULL; l = l->next)
        if (l->which == SENTINEL_LINK_COMMANDS && *l->runid != '\0' && leads_to(l, node)) return l;
    return NULL;
}

/* The address is the same: so the credentials have changed, for all who share the link, or the master was reset. An operator
 * who has reset it can see for a moment that all is forgotten. */
static void link_renew(struct link *l, const struct sentinel_node *node)
{
    bool is_new = l->attempt_ms == 0 || l->attempt_ms == now_ms(l);
    if (is_new) return; /* the next attempt uses them */
    link_drop(l, "connects anew", node);
    l->told_error[0] = '\0';
    loop_timer_start(l->owner->core->loop, &l->timer, SENTINEL_RENEW_MS, 0, attempt, l);
}

static void lead(struct sentinel_links *ls, struct sentinel_node *node, struct pair *pair, enum sentinel_which which)
{
    struct link *l = pair->of[which];
    if (l != NULL && leads_to(l, node)) {
        link_renew(l, node);
        return;
    }
    pair->of[which] = NULL;
    forget_notices(ls, node, (int)which);
    if (l != NULL) remove_user(l, node);
    if (*sentinel_node_ip(node) == '\0' || sentinel_node_port(node) == 0) return;
    l = which == SENTINEL_LINK_COMMANDS ? find_shared(ls, node) : NULL;
    if (l == NULL) l = link_new(ls, node, which);
    add_user(l, node);
    pair->of[which] = l;
    if (l->state == LINK_UP) note(ls, NOTICE_UP, node, which, 0, NULL);
}

static struct link *link_of(const struct sentinel_node *node, enum sentinel_which which)
{
    const struct pair *pair = sentinel_node_link(node);
    return pair != NULL ? pair->of[which] : NULL;
}

void sentinel_links_connect(struct sentinel_links *ls, struct sentinel_node *node)
{
    struct pair *pair = sentinel_node_link(node);
    if (pair == NULL) {
        pair = mem_calloc(sizeof(*pair));
        sentinel_node_set_link(node, pair);
    }
    lead(ls, node, pair, SENTINEL_LINK_COMMANDS);
    if (sentinel_node_kind(node) != SENTINEL_PEER) lead(ls, node, pair, SENTINEL_LINK_HELLOS);
}

void sentinel_links_disconnect(struct sentinel_links *ls, struct sentinel_node *node)
{
    struct pair *pair = sentinel_node_link(node);
    forget_notices(ls, node, -1);
    if (pair == NULL) return;
    for (int which = 0; which < KINDS; which++)
        if (pair->of[which] != NULL) remove_user(pair->of[which], node);
    mem_free(pair);
    sentinel_node_set_link(node, NULL);
}

void sentinel_links_reconnect(struct sentinel_links *ls, struct sentinel_node *node, enum sentinel_which which)
{
    struct link *l = link_of(node, which);
    (void)ls;
    if (l != NULL && l->conn != NULL) link_drop(l, "no answers", node);
}

bool sentinel_links_send(struct sentinel_links *ls, struct sentinel_node *node, unsigned tag, int argc,
                         const struct bytes_view *argv)
{
    struct link *l = link_of(node, SENTINEL_LINK_COMMANDS);
    (void)ls;
    if (l == NULL || l->state != LINK_UP || !expect(l, EXPECT_REPLY, node, tag)) return false;
    append_command(l, argc, argv);
    link_flush(l); /* if it fails, the answer is that there is none */
    return true;
}

bool sentinel_links_local_ip(struct sentinel_links *ls, struct sentinel_node *node, char out[SENTINEL_IP_SIZE])
{
    const struct link *l = link_of(node, SENTINEL_LINK_COMMANDS);
    (void)ls;
    if (l == NULL || l->state != LINK_UP) return false;
    const char *name = conn_local_name(l->conn), *end = strrchr(name, ':');
    if (end == NULL) return false;
    if (*name == '[') name++, end--;
    snprintf(out, SENTINEL_IP_SIZE, "%.*s", (int)(end - name), name);
    return true;
}

/* ---- Life ---- */

struct sentinel_links *sentinel_links_new(struct core *core, struct tls_transport *tls)
{
    struct sentinel_links *ls = mem_calloc(sizeof(*ls));
    ls->core = core;
    ls->tls = tls;
    return ls;
}

void sentinel_links_serve(struct sentinel_links *ls, struct sentinel *s)
{
    ls->sentinel = s;
}

void sentinel_links_free(struct sentinel_links *ls)
{
    if (ls == NULL) return;
    ASSERT(ls->links == NULL);
    for (size_t i = 0; i < ls->notice_count; i++) mem_free(ls->notices[i].text);
    mem_free(ls->notices);
    mem_free(ls);
}
