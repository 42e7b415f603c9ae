#include "server/streams/migration.h"

#include <errno.h>
#include <stdio.h>

#include "server/clients/blocking.h"
#include "server/core/core.h"
#include "server/core/key_watch.h"
#include "server/dispatch/dispatch.h"
#include "server/net/conn_tls.h"
#include "server/net/resp_command.h"
#include "server/net/resp_line.h"
#include "storage/base/checked.h"
#include "storage/base/memory.h"
#include "storage/rdb_writer.h"

enum {
    LINKS_KEPT_MAX = 64,
    LINK_IDLE_MS = 10000,
    READ_BYTES = 16 * 1024,
    LINE_MAX_BYTES = 64 * 1024, /* of an answer of the target */
};

/* A connection to a target. It belongs to a migration, or while it is idle to struct migrations. */
struct link {
    struct migrations *owner;
    struct conn *conn;
    struct bytes_view name; /* kind of the connection, host, port and credentials; the bytes follow the struct */
    int db;                 /* selected at the target; -1: unknown */
    bool reused;
    struct loop_timer idle;
    struct link *prev, *next;
};

struct sent_key {
    struct migration *migration;
    struct db *db;
    struct bytes_view name; /* the bytes follow the struct */
    int64_t expiry_ms;      /* -1: none */
    bool taken_over;        /* the target has answered +OK */
    bool changed;           /* here, since it was sent */
};

enum migration_state {
    MIGRATION_CONNECTING = 0,
    MIGRATION_OPENING, /* AUTH and SELECT are sent and not answered yet */
    MIGRATION_SENDING, /* RESTORE for each key */
    MIGRATION_OVER,    /* on the list of struct migrations until it is served */
};

struct migration {
    struct migrations *owner;
    struct client *client;
    enum migration_state state;
    struct link *link; /* NULL when it is over, or the link was closed */
    char *host;
    int port, db;
    int64_t timeout_ms;
    bool replace, restarted, answered;
    struct bytes_buf name;    /* of the link */
    struct bytes_buf auth;    /* the AUTH command; empty: none */
    struct bytes_buf opening; /* bytes to send in MIGRATION_OPENING */
    struct bytes_buf keys_out;
    size_t sent; /* bytes sent of those of the state */
    unsigned opening_due;
    struct sent_key **keys;
    size_t count, cap, answers;
    bool settled; /* migration_settle() */
    struct resp_line_reader lines;
    struct loop_timer timeout;
    char *error;
    struct migration *prev, *next; /* in migrations.over */
};

struct migrations {
    struct core *core;
    struct tls_transport *tls;
    struct table keys; /* struct sent_key, by database and name */
    struct link *links;
    size_t link_count;
    struct migration *over;
};

/* ---- Keys under way ---- */

static uint64_t hash_of(const struct migrations *ms, const struct db *db, struct bytes_view name)
{
    return seeded_hash(ms->core->name_seed, name) + (uint64_t)(unsigned)db->id * 0x9e3779b97f4a7c15u;
}
static uint64_t sent_key_hash(const void *ctx, const void *entry)
{
    const struct sent_key *k = entry;
    return hash_of(ctx, k->db, k->name);
}

static void on_changed(void *ctx, struct db *db, struct bytes_view key);
static void on_flushed(void *ctx, struct db *db, struct db *replacement);

struct migrations *migrations_new(struct core *core, struct tls_transport *tls)
{
    struct migrations *ms = mem_calloc(sizeof(*ms));
    ms->core = core;
    ms->tls = tls;
    key_watch_set(&core->keys, KEY_WATCH_MIGRATIONS,
                  &(struct key_watcher){.ctx = ms, .changed = on_changed, .flushed = on_flushed});
    table_init(&ms->keys, sent_key_hash, ms);
    return ms;
}

static void on_changed(void *ctx, struct db *db, struct bytes_view key)
{
    struct migrations *ms = ctx;
    struct table_probe probe;
    struct sent_key *k;
    table_probe_start(&probe, &ms->keys, hash_of(ms, db, key));
    while ((k = table_probe_next(&probe)) != NULL)
        if (k->db == db && bytes_equal(k->name, key)) k->changed = true;
}

static void on_flushed(void *ctx, struct db *db, struct db *replacement)
{
    struct migrations *ms = ctx;
    (void)replacement;
    struct table_iter it;
    struct sent_key *k;
    table_iter_init(&it, &ms->keys);
    while ((k = table_iter_next(&it)) != NULL)
        if (db == NULL || k->db == db) k->changed = true;
}

static void append_restore(struct migration *m, const struct entry *e)
{
    struct core *core = m->owner->core;
    struct bytes_buf payload = {0};
    char ttl[24];
    int64_t left_ms = 0;
    if (entry_expiry(e) != -1)
        left_ms = entry_expiry(e) > core->clock.now_ms ? entry_expiry(e) - core->clock.now_ms : 1;
    rdb_dump(e, core->settings->persistence.rdb_version, &payload);
    struct bytes_view argv[] = {BYTES_LIT("RESTORE"), entry_key(e), bytes_view(ttl, num_format_i64(ttl, left_ms)),
                                bytes_buf_view(&payload), BYTES_LIT("REPLACE")};
    resp_command_append(&m->keys_out, m->replace ? 5 : 4, argv);
    bytes_buf_release(&payload);
}

void migration_add(struct migration *m, struct db *db, const struct entry *e)
{
    struct core *core = m->owner->core;
    struct bytes_view name = entry_key(e);
    struct sent_key *k = mem_alloc(checked_size_add(sizeof(*k), name.len));
    memcpy(k + 1, name.data, name.len);
    *k = (struct sent_key){.migration = m, .db = db, .name = bytes_view(k + 1, name.len), .expiry_ms = entry_expiry(e)};
    if (m->count == m->cap) {
        m->cap = m->cap == 0 ? 4 : m->cap * 2;
        m->keys = mem_realloc(m->keys, checked_size_mul(m->cap, sizeof(*m->keys)));
    }
    m->keys[m->count++] = k;
    table_insert(&m->owner->keys, hash_of(m->owner, db, k->name), k);
    key_watch_add(&core->keys, KEY_WATCH_MIGRATIONS);
    append_restore(m, e);
}

void migration_settle(struct migration *m)
{
    struct core *core = m->owner->core;
    if (m->settled) return;
    m->settled = true;
    for (size_t i = 0; i < m->count; i++)
        ASSERT(table_remove(&m->owner->keys, hash_of(m->owner, m->keys[i]->db, m->keys[i]->name), m->keys[i]));
    for (size_t i = 0; i < m->count; i++) key_watch_remove(&core->keys, KEY_WATCH_MIGRATIONS);
}

/* ---- Links ---- */

static void link_close(struct link *l)
{
    loop_timer_stop(&l->idle);
    conn_close(l->conn);
    mem_free(l);
}

static void link_take_out(struct migrations *ms, struct link *l)
{
    loop_timer_stop(&l->idle);
    if (l->prev != NULL)
        l->prev->next = l->next;
    else
        ms->links = l->next;
    if (l->next != NULL) l->next->prev = l->prev;
    ms->link_count--;
}

static void drop_idle_link(void *ctx) /* it was idle for too long, or the target closed it or sent something */
{
    struct link *l = ctx;
    link_take_out(l->owner, l);
    link_close(l);
}

static void link_keep(struct migrations *ms, struct link *l)
{
    struct link *oldest = ms->links;
    while (oldest != NULL && oldest->next != NULL) oldest = oldest->next;
    if (ms->link_count == LINKS_KEPT_MAX) drop_idle_link(oldest);
    l->prev = NULL;
    l->next = ms->links;
    if (ms->links != NULL) ms->links->prev = l;
    ms->links = l;
    ms->link_count++;
    conn_set_handler(l->conn, drop_idle_link, NULL, l);
    conn_want_write(l->conn, false);
    conn_want_read(l->conn, true);
    loop_timer_start(ms->core->loop, &l->idle, LINK_IDLE_MS, 0, drop_idle_link, l);
}

static struct link *find_kept_link(struct migrations *ms, struct bytes_view name)
{
    for (struct link *l = ms->links; l != NULL; l = l->next) {
        if (!bytes_equal(l->name, name)) continue;
        link_take_out(ms, l);
        l->reused = true;
        return l;
    }
    return NULL;
}

size_t migrations_cached_links(const struct migrations *ms)
{
    return ms->link_count;
}

void migrations_free(struct migrations *ms)
{
    if (ms == NULL) return;
    ASSERT(table_count(&ms->keys) == 0); /* migrations end with their clients */
    while (ms->links != NULL) drop_idle_link(ms->links);
    table_release(&ms->keys, NULL, NULL);
    mem_free(ms);
}

/* ---- The end of a migration ---- */

static void give_up_link(struct migration *m)
{
    if (m->link == NULL) return;
    link_close(m->link);
    m->link = NULL;
}

static void set_error(struct migration *m, const char *text)
{
    if (m->error == NULL) m->error = mem_strdup(text); /* the first error is answered */
}

/* Leaves the rest to migrations_serve(). */
static void over(struct migration *m)
{
    struct migrations *ms = m->owner;
    ASSERT(m->state != MIGRATION_OVER);
    m->state = MIGRATION_OVER;
    loop_timer_stop(&m->timeout);
    bytes_buf_release(&m->keys_out);
    m->prev = NULL;
    m->next = ms->over;
    if (ms->over != NULL) ms->over->prev = m;
    ms->over = m;
    due_set(ms->core, DUE_MIGRATIONS);
}

static void take_off_over(struct migration *m)
{
    struct migrations *ms = m->owner;
    if (m->prev != NULL)
        m->prev->next = m->next;
    else
        ms->over = m->next;
    if (m->next != NULL) m->next->prev = m->prev;
    if (ms->over == NULL) due_clear(ms->core, DUE_MIGRATIONS);
}

void migration_free(struct migration *m)
{
    migration_settle(m);
    if (m->state == MIGRATION_OVER) take_off_over(m);
    loop_timer_stop(&m->timeout);
    give_up_link(m);
    for (size_t i = 0; i < m->count; i++) mem_free(m->keys[i]);
    mem_free(m->keys);
    bytes_buf_release(&m->name);
    bytes_buf_release(&m->auth);
    bytes_buf_release(&m->opening);
    bytes_buf_release(&m->keys_out);
    resp_line_reader_release(&m->lines);
    mem_free(m->host);
    mem_free(m->error);
    mem_free(m);
}

size_t migration_count(const struct migration *m)
{
    return m->count;
}
const char *migration_error(const struct migration *m)
{
    return m->error;
}

enum migrated migration_key(const struct migration *m, size_t i, struct bytes_view *name)
{
    const struct sent_key *k = m->keys[i];
    *name = k->name;
    if (!k->taken_over) return MIGRATED_NOT;
    bool expired = k->expiry_ms != -1 && k->expiry_ms <= k->db->keyspace->now_ms;
    return k->changed && !expired ? MIGRATED_BUT_CHANGED : MIGRATED; /* it expired at the target, too */
}

void migrations_serve(struct migrations *ms)
{
    struct migration *next;
    for (struct migration *m = ms->over; m != NULL; m = next) {
        struct client *c = m->client;
        next = m->next;
        if (client_has(c, CLIENT_CLOSING)) continue;
        if (client_run_again(c)) client_unblock(c); /* which frees the migration */
    }
}

/* ---- Talking to the target ---- */

static int start_link(struct migration *m);

/* The connection failed: tries a new one if that is safe, else ends the migration. */
static void broken(struct migration *m, const char *error)
{
    bool may_restart = m->link->reused && !m->answered && !m->restarted;
    give_up_link(m);
    if (may_restart) {
        m->restarted = true;
        if (start_link(m) == 0) return;
    }
    set_error(m, error);
    over(m);
}

static const struct bytes_buf *outgoing(const struct migration *m)
{
    return m->state == MIGRATION_OPENING ? &m->opening : &m->keys_out;
}

static const char *io_error(const struct migration *m)
{
    if (m->state == MIGRATION_CONNECTING) return "IOERR error or timeout connecting to the client";
    return m->sent < outgoing(m)->len ? "IOERR error or timeout writing to target instance"
                                      : "IOERR error or timeout reading to target instance";
}

static void on_timeout(void *ctx)
{
    struct migration *m = ctx;
    m->restarted = true; /* a second attempt would wait for another timeout */
    broken(m, io_error(m));
}

static void progress(struct migration *m)
{
    loop_timer_start(m->client->core->loop, &m->timeout, m->timeout_ms, 0, on_timeout, m);
}

static void send_more(void *ctx)
{
    struct migration *m = ctx;
    const struct bytes_buf *out = outgoing(m);
    while (m->sent < out->len) {
        ssize_t n = conn_write(m->link->conn, out->data + m->sent, out->len - m->sent);
        if (n == -EAGAIN) break;
        if (n < 0) {
            broken(m, io_error(m));
            return;
        }
        m->sent += (size_t)n;
        progress(m);
    }
    conn_want_write(m->link->conn, m->sent < out->len);
}

static void send_keys(struct migration *m)
{
    m->link->db = m->db;
    m->state = MIGRATION_SENDING;
    m->sent = 0;
    send_more(m);
}

static void all_answered(struct migration *m)
{
    struct link *l = m->link;
    m->link = NULL;
    link_keep(l->owner, l);
    over(m);
}

static void target_error(struct migration *m, struct bytes_view line)
{
    char text[512];
    snprintf(text, sizeof(text), "ERR Target instance replied with error: %.*s", bytes_shown(line, 400), line.data);
    set_error(m, text);
}

/* Takes one line of the target's replies. False: the migration is over or has a new link; the rest
 * of the input is not looked at. */
static bool on_line(struct migration *m, struct bytes_view line)
{
    bool ok = line.len > 0 && line.data[0] == '+';
    if (!ok && (line.len == 0 || line.data[0] != '-')) {
        m->answered = true;
        broken(m, io_error(m)); /* the peer does not speak RESP */
        return false;
    }
    m->answered = true;
    if (!ok) target_error(m, bytes_view(line.data + 1, line.len - 1));
    if (m->state == MIGRATION_OPENING) {
        if (!ok) m->link->db = -1;
        if (--m->opening_due > 0) return true;
        if (m->error == NULL) {
            send_keys(m);
            return m->state == MIGRATION_SENDING && m->link != NULL;
        }
        all_answered(m);
        return false;
    }
    m->keys[m->answers++]->taken_over = ok;
    if (m->answers < m->count) return true;
    all_answered(m);
    return false;
}

static bool on_lines(struct migration *m)
{
    struct bytes_view line;
    int rc = 1;
    while (rc == 1) {
        rc = resp_line_reader_next(&m->lines, &line);
        if (rc == 1 && !on_line(m, line)) return false;
    }
    if (rc == 0) return true;
    broken(m, io_error(m));
    return false;
}

static void read_more(void *ctx)
{
    struct migration *m = ctx;
    char bytes[READ_BYTES];
    for (;;) {
        ssize_t n = conn_read(m->link->conn, bytes, sizeof(bytes));
        if (n == -EAGAIN) return;
        if (n <= 0) {
            broken(m, io_error(m));
            return;
        }
        progress(m);
        resp_line_reader_feed(&m->lines, bytes_view(bytes, (size_t)n));
        if (!on_lines(m)) return;
    }
}

/* ---- Beginning ---- */

static void open_session(struct migration *m)
{
    char number[24];
    m->opening.len = 0;
    m->opening_due = m->auth.len > 0;
    m->sent = 0;
    bytes_buf_append_view(&m->opening, bytes_buf_view(&m->auth));
    if (m->link->db != m->db) {
        resp_command_append(
            &m->opening, 2,
            (struct bytes_view[]){BYTES_LIT("SELECT"), bytes_view(number, num_format_i64(number, m->db))});
        m->opening_due++;
    }
    resp_line_reader_release(&m->lines); /* input of a connection that has been replaced */
    resp_line_reader_init(&m->lines, LINE_MAX_BYTES);
    conn_set_handler(m->link->conn, read_more, send_more, m);
    conn_want_read(m->link->conn, true);
    progress(m);
    if (m->opening_due == 0) {
        send_keys(m);
        return;
    }
    m->state = MIGRATION_OPENING;
    send_more(m);
}

static void on_connected(void *ctx, int rc)
{
    struct migration *m = ctx;
    if (rc == 0) {
        open_session(m);
        return;
    }
    if (rc == -ENOENT)
        broken(m, "IOERR error or timeout connecting to the client"); /* unknown host */
    else
        broken(m, "IOERR error or timeout writing to target instance"); /* Redis notices it at the first write */
}

static struct link *new_link(struct migration *m)
{
    struct link *l = mem_calloc(checked_size_add(sizeof(*l), m->name.len));
    memcpy(l + 1, m->name.data, m->name.len);
    l->owner = m->owner;
    l->name = bytes_view(l + 1, m->name.len);
    return l;
}

static int connect_link(struct migration *m, struct conn **conn)
{
    const struct core *core = m->client->core;
    if (m->port == 0) return -EINVAL;
    if (core->settings->tls.cluster)
        return conn_tls_connect(m->owner->tls, m->host, m->port, NULL, on_connected, m, conn);
    return conn_connect(core->loop, m->host, m->port, NULL, on_connected, m, conn);
}

static int start_link(struct migration *m)
{
    m->state = MIGRATION_CONNECTING;
    struct link *l = new_link(m);
    int rc = connect_link(m, &l->conn);
    if (rc != 0) {
        mem_free(l);
        return rc;
    }
    m->link = l;
    progress(m);
    return 0;
}

static void on_kept_link(void *ctx) /* from the loop, since migration_start() returns before the client is blocked */
{
    open_session(ctx);
}

int migration_start(struct migration *m)
{
    m->link = find_kept_link(m->owner, bytes_buf_view(&m->name));
    if (m->link != NULL) {
        conn_set_handler(m->link->conn, NULL, on_kept_link, m);
        conn_want_read(m->link->conn, false);
        conn_want_write(m->link->conn, true);
        progress(m);
        return 0;
    }
    int rc = start_link(m);
    if (rc != 0) set_error(m, "IOERR error or timeout writing to target instance");
    return rc;
}

static void append_counted(struct bytes_buf *out, struct bytes_view v)
{
    bytes_buf_printf(out, "%zu:", v.len);
    bytes_buf_append_view(out, v);
}

struct migration *migration_new(struct migrations *ms, struct client *c, const struct migration_target *to)
{
    struct migration *m = mem_calloc(sizeof(*m));
    m->owner = ms;
    m->client = c;
    m->host = bytes_to_cstr(to->host);
    m->port = to->port;
    m->db = to->db;
    m->timeout_ms = to->timeout_ms;
    m->replace = to->replace;
    bytes_buf_printf(&m->name, "%s %d ", ms->core->settings->tls.cluster ? "tls" : "tcp", to->port);
    append_counted(&m->name, to->host);
    if (to->has_user) append_counted(&m->name, to->user);
    if (!to->has_password) return m;
    append_counted(&m->name, to->password);
    struct bytes_view argv[] = {BYTES_LIT("AUTH"), to->has_user ? to->user : to->password, to->password};
    resp_command_append(&m->auth, to->has_user ? 3 : 2, argv);
    return m;
}
