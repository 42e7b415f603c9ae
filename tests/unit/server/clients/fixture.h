/* fixture.h -- the modules of a client without a server: a struct core, a runner that the test plays, socket pairs.
 *
 *     room_open()    client --- socket --- the test's end: room_say() sends to the client, assert_received() reads
 *     assert_told()  what is queued for a client and not sent yet; takes it
 *
 * The keyspace's hooks call the watchers of keys, as the server's do. A blocked client's command is run by room.again,
 * which a test sets; the fixture counts the runs. There is one user, "default", until a test makes more. */
#ifndef LOCKSTEP_TESTS_UNIT_SERVER_CLIENTS_FIXTURE_H
#define LOCKSTEP_TESTS_UNIT_SERVER_CLIENTS_FIXTURE_H

#include <netinet/in.h>
#include <sys/socket.h>

#include "tests/unit/server/core/core_fixture.h"

#include "server/acl/acl_log.h"
#include "server/acl/users.h"
#include "server/catalog/command_table.h"
#include "server/clients/clients_room.h"

enum { ROOM_CLIENTS = 264, ROOM_RUNS = 64 };

struct room {
    struct core_fixture f; /* first: core_*() and assert_stream() take it */
    struct core *core;
    struct command_table *commands;
    struct acl_users *users;
    struct acl_log *acl_log;
    struct clients *cs;
    struct client *clients[ROOM_CLIENTS]; /* in order of room_open() */
    int peers[ROOM_CLIENTS], count;
    bool (*again)(struct room *r, struct client *c); /* NULL: a blocked client waits on */
    struct client *runs[ROOM_RUNS];                  /* whose command ran again */
    int run_count, unblocked_count;
};

/* ---- Fakes ---- */

static inline void room_handler(struct cmd_ctx *ctx)
{
    (void)ctx;
    fail_msg("no handler runs in these tests");
}

static inline bool room_hides_last(const struct config *config, int argc, const struct bytes_view *argv, int arg)
{
    (void)config;
    (void)argv;
    return arg == argc - 1;
}

/* Rows enough for the rules of users. */
static const struct command room_rows[] = {
    {.name = "get", .run = room_handler, .arity = 2, .flags = CMD_READONLY, .keys = {KEY_AT(1, KEY_RO | KEY_ACCESS)}},
    {.name = "set", .run = room_handler, .arity = -3, .flags = CMD_WRITE, .keys = {KEY_AT(1, KEY_RW | KEY_UPDATE)}},
    {.name = "auth", .run = room_handler, .arity = -2, .flags = CMD_NO_AUTH, .hides = room_hides_last},
    {0},
};
static const struct command *const room_tables[] = {room_rows, NULL};

static inline bool room_run_again(void *ctx, struct client *c)
{
    struct room *r = ctx;
    assert_true(r->run_count < ROOM_RUNS);
    assert_true(client_has(c, CLIENT_BLOCKED));
    r->runs[r->run_count++] = c;
    return r->again != NULL && r->again(r, c);
}
static inline void room_unblocked(void *ctx, struct client *c)
{
    struct room *r = ctx;
    assert_true(client_has(c, CLIENT_BLOCKED));
    r->unblocked_count++;
}

static inline void room_on_changed(void *ctx, struct db *db, struct bytes_view key)
{
    struct room *r = ctx;
    key_watch_changed(&r->core->keys, db, key);
}
static inline void room_on_created(void *ctx, struct db *db, struct bytes_view key, enum value_type type)
{
    struct room *r = ctx;
    (void)type;
    key_watch_created(&r->core->keys, db, key);
}
static inline void room_on_flushed(void *ctx, struct db *db, struct db *replacement)
{
    struct room *r = ctx;
    key_watch_flushed(&r->core->keys, db, replacement);
}
static inline void room_on_expired(void *ctx, struct db *db, struct bytes_view key)
{
    struct room *r = ctx;
    (void)db;
    key_watch_expired(&r->core->keys, key);
}

/* ---- Life ---- */

static inline struct room *room_new(const char *directives)
{
    struct room *r = mem_calloc(sizeof(*r));
    core_fixture_init(&r->f, directives);
    r->core = &r->f.core;
    r->core->keyspace->hooks = (struct keyspace_hooks){.ctx = r,
                                                       .changed = room_on_changed,
                                                       .created = room_on_created,
                                                       .flushed = room_on_flushed,
                                                       .expired = room_on_expired};
    r->commands = command_table_new(room_tables, NULL, 0);
    r->users = acl_users_new(r->commands, &r->f.settings.security);
    r->acl_log = acl_log_new();
    r->cs = clients_room_new(&(struct clients_uses){
        .core = r->core,
        .config = r->f.config,
        .commands = r->commands,
        .users = r->users,
        .acl_log = r->acl_log,
        .runner = {.ctx = r, .again = room_run_again, .unblocked = room_unblocked},
    });
    return r;
}

static inline void room_free(struct room *r)
{
    clients_room_free(r->cs);
    assert_int_equal(r->core->keys.total, 0); /* all clients have dropped their keys */
    assert_int_equal(r->core->monitor_count, 0);
    assert_int_equal(r->core->due, 0);
    for (int i = 0; i < r->count; i++)
        if (r->peers[i] != -1) close(r->peers[i]);
    acl_log_free(r->acl_log);
    acl_users_free(r->users);
    command_table_free(r->commands);
    core_fixture_release(&r->f);
    mem_free(r);
}

static inline int room_setup(void **state)
{
    *state = room_new(NULL);
    return 0;
}
static inline int room_teardown(void **state)
{
    room_free(*state);
    return 0;
}
#define ROOM_TEST(name) cmocka_unit_test_setup_teardown(name, room_setup, room_teardown)

/* ---- Clients ---- */

/* A port that was free a moment ago. */
static inline int room_free_port(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    close(fd);
    return ntohs(at.sin_port);
}

static inline struct conn *room_connect(struct room *r)
{
    int fds[2];
    assert_true(r->count < ROOM_CLIENTS);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    r->peers[r->count] = fds[1];
    return conn_adopt(r->core->loop, fds[0]);
}
static inline struct client *room_open(struct room *r)
{
    struct conn *conn = room_connect(r);
    return r->clients[r->count++] = client_new(r->cs, conn);
}
static inline int room_number(const struct room *r, const struct client *c)
{
    for (int i = 0; i < r->count; i++)
        if (r->clients[i] == c) return i;
    fail_msg("no client of room_open()");
    return -1;
}

/* Closes the client and frees it, as the end of a turn does. */
static inline void room_close(struct room *r, struct client *c)
{
    r->clients[room_number(r, c)] = NULL;
    client_close_later(c);
    clients_reap(r->cs);
    loop_poll_turn(r->core->loop); /* the connection's memory */
}

/* The peer sends this, and the loop reads. */
static inline void room_say(struct room *r, const struct client *c, const char *text)
{
    assert_int_equal(write(r->peers[room_number(r, c)], text, strlen(text)), strlen(text));
    loop_poll_turn(r->core->loop);
}

/* What is queued for the client; takes it. */
#define assert_told(c, wanted) room_assert_told(c, wanted, __FILE__, __LINE__)
static inline void room_assert_told(struct client *c, const char *wanted, const char *file, int line)
{
    struct bytes_buf text = {0};
    outbuf_copy(&c->out, &text);
    outbuf_clear(&c->out);
    bytes_buf_append(&text, "", 1);
    _assert_string_equal(text.data, wanted, file, line);
    bytes_buf_release(&text);
}

/* What the peer has got; takes it. */
#define assert_received(r, c, wanted) room_assert_received(r, room_number(r, c), wanted, __FILE__, __LINE__)
static inline void room_assert_received(const struct room *r, int number, const char *wanted, const char *file,
                                        int line)
{
    char text[4096];
    ssize_t n = read(r->peers[number], text, sizeof(text) - 1);
    text[n > 0 ? n : 0] = '\0';
    _assert_string_equal(text, wanted, file, line);
}
static inline bool room_peer_sees_end(const struct room *r, int number)
{
    char byte;
    return read(r->peers[number], &byte, 1) == 0;
}

static inline void room_set(struct room *r, int db, const char *key, const char *value)
{
    struct db *in = keyspace_db(r->core->keyspace, db);
    struct keyref ref = keyref(in, bytes_str(key));
    keyspace_put_string(in, ref, bytes_str(value), 0);
    keyspace_changed(in, ref, 1);
}
static inline void room_expire_at(struct room *r, int db, const char *key, int64_t at_ms)
{
    struct db *in = keyspace_db(r->core->keyspace, db);
    struct keyref ref = keyref(in, bytes_str(key));
    keyspace_set_expiry(in, ref, keyspace_find_for_write(in, ref), at_ms);
    keyspace_changed(in, ref, 1);
}
static inline void room_delete(struct room *r, int db, const char *key)
{
    struct db *in = keyspace_db(r->core->keyspace, db);
    keyspace_delete(in, keyref(in, bytes_str(key)), false);
}

#endif
