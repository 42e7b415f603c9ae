/* memory_fixture.h -- core_fixture.h with clients, eviction and expiry, and a keyspace that reports what happens.
 *
 * Used memory can be made a formula (costs): so many bytes for each key, and nothing else. So a test can say how many
 * keys have to go.
 * The keyspace's hooks do what those of the server do, and write a trace: "expired k;" "changed k;" ... */
#ifndef LOCKSTEP_TESTS_UNIT_SERVER_MEMORY_MEMORY_FIXTURE_H
#define LOCKSTEP_TESTS_UNIT_SERVER_MEMORY_MEMORY_FIXTURE_H

#include "server/acl/acl_log.h"
#include "server/acl/users.h"
#include "server/clients/clients_room.h"
#include "server/clients/pubsub.h"
#include "server/clients/tracking.h"
#include "server/memory/eviction.h"
#include "server/memory/expiry.h"
#include "tests/unit/server/core/core_fixture.h"

enum { KEY_COST = 10 /* less than a key really takes: what is left over is left out */, MEMORY_CLIENTS_MAX = 8 };

struct memory_fixture {
    struct core_fixture base;
    struct core *core; /* of base */
    struct command_table *commands;
    struct acl_users *users;
    struct acl_log *acl_log;
    struct clients *clients;
    struct used_memory used;
    bool costs; /* used memory is KEY_COST for each key, and what told clients cost */
    struct eviction *eviction;
    struct expiry *expiry;
    int peers[MEMORY_CLIENTS_MAX]; /* the other ends of clients */
    int peer_count;
    struct bytes_buf trace;
};

static const struct command memory_no_rows[] = {{.name = NULL}};

/* ---- Hooks of the keyspace ---- */

static inline void memory_note(struct memory_fixture *f, const char *event, struct bytes_view key)
{
    bytes_buf_printf(&f->trace, "%s %.*s;", event, (int)key.len, key.data);
}
static inline void memory_expired(void *ctx, struct db *db, struct bytes_view key)
{
    struct memory_fixture *f = ctx;
    exec_begin(f->core);
    exec_add_delete(f->core, db->id, key, f->core->settings->memory.lazyfree_lazy_expire);
    notify_keyspace_event(f->clients->pubsub, NOTIFY_EXPIRED, "expired", key, db->id);
    key_watch_expired(&f->core->keys, key);
    exec_end(f->core);
    memory_note(f, "expired", key);
}
static inline void memory_fields_expired(void *ctx, struct db *db, struct bytes_view key,
                                         const struct bytes_view *fields, size_t count, bool emptied)
{
    struct memory_fixture *f = ctx;
    (void)db;
    (void)emptied;
    memory_note(f, "fields", key);
    for (size_t i = 0; i < count; i++) memory_note(f, "field", fields[i]);
}
static inline void memory_changed(void *ctx, struct db *db, struct bytes_view key)
{
    struct memory_fixture *f = ctx;
    key_watch_changed(&f->core->keys, db, key);
    memory_note(f, "changed", key);
}
static inline void memory_created(void *ctx, struct db *db, struct bytes_view key, enum value_type type)
{
    struct memory_fixture *f = ctx;
    (void)type;
    key_watch_created(&f->core->keys, db, key);
}
static inline void memory_flushed(void *ctx, struct db *db, struct db *replacement)
{
    struct memory_fixture *f = ctx;
    key_watch_flushed(&f->core->keys, db, replacement);
}
static inline void memory_hidden_expiry(void *ctx, struct db *db, struct bytes_view key)
{
    struct memory_fixture *f = ctx;
    expiry_note_own(f->expiry, db, key);
}

/* ---- Life ---- */

static inline size_t memory_left_out(void *ctx)
{
    const struct memory_fixture *f = ctx;
    struct repl_memory stream;
    if (!f->costs) return 0;
    repl_memory(f->core->repl, &stream);
    size_t wanted =
        keyspace_count(f->core->keyspace) * KEY_COST + (size_t)tracking_memory_of_changes(f->clients->trackings);
    size_t others = stream.replica_buffers + stream.aof_buffer + clients_leaving_memory(f->clients);
    return mem_used() - others - wanted;
}
static inline bool memory_run_again(void *ctx, struct client *c)
{
    (void)ctx;
    (void)c;
    return false;
}
static inline void memory_unblocked(void *ctx, struct client *c)
{
    (void)ctx;
    (void)c;
}

/* `rows`: as for command_table_new(), or NULL: no commands. `runner`: NULL: blocked clients' commands are not run. */
static inline void memory_fixture_init(struct memory_fixture *f, const char *directives,
                                       const struct command *const *rows, const struct command_runner *runner)
{
    static const struct command *const none[] = {memory_no_rows, NULL};
    const struct command_runner idle = {.again = memory_run_again, .unblocked = memory_unblocked};
    memset(f, 0, sizeof(*f));
    core_fixture_init(&f->base, directives);
    struct core *core = f->core = &f->base.core;
    core->keyspace->lazyfree = core->lazyfree;
    core->keyspace->hooks = (struct keyspace_hooks){
        .ctx = f,
        .expired = memory_expired,
        .fields_expired = memory_fields_expired,
        .changed = memory_changed,
        .created = memory_created,
        .flushed = memory_flushed,
        .hidden_expiry = memory_hidden_expiry,
    };
    f->commands = command_table_new(rows == NULL ? none : rows, NULL, 0);
    f->users = acl_users_new(f->commands, &f->base.settings.security);
    f->acl_log = acl_log_new();
    f->clients = clients_room_new(&(struct clients_uses){
        .core = core,
        .config = f->base.config,
        .commands = f->commands,
        .users = f->users,
        .acl_log = f->acl_log,
        .runner = runner == NULL ? idle : *runner,
    });
    f->used = (struct used_memory){.core = core, .clients = f->clients, .left_out = memory_left_out, .left_out_ctx = f};
    f->eviction = eviction_new(core, f->clients, &f->used);
    f->expiry = expiry_new(core);
}

static inline void memory_fixture_release(struct memory_fixture *f)
{
    clients_room_free(f->clients);
    eviction_free(f->eviction);
    expiry_free(f->expiry);
    acl_log_free(f->acl_log);
    acl_users_free(f->users);
    for (int i = 0; i < f->peer_count; i++) close(f->peers[i]);
    bytes_buf_release(&f->trace);
    f->core->keyspace->hooks = (struct keyspace_hooks){0};
    core_fixture_release(&f->base);
    command_table_free(f->commands);
}

static inline int memory_setup(void **state)
{
    struct memory_fixture *f = mem_calloc(sizeof(*f));
    memory_fixture_init(f, NULL, NULL, NULL);
    *state = f;
    return 0;
}
static inline int memory_teardown(void **state)
{
    memory_fixture_release(*state);
    mem_free(*state);
    return 0;
}

/* ---- Clients ---- */

/* A client over a socketpair; the test's end is the last one of peers[]. */
static inline struct client *memory_client(struct memory_fixture *f)
{
    int fds[2];
    assert_true(f->peer_count < MEMORY_CLIENTS_MAX);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    f->peers[f->peer_count++] = fds[1];
    return client_new(f->clients, conn_adopt(f->core->loop, fds[0]));
}

/* What was queued for it since the last call. */
#define assert_out(c, wanted) client_assert_out(c, wanted, __FILE__, __LINE__)
static inline void client_assert_out(struct client *c, const char *wanted, const char *file, int line)
{
    struct bytes_buf text = {0};
    outbuf_copy(&c->out, &text);
    outbuf_clear(&c->out);
    bytes_buf_append(&text, "", 1);
    _assert_string_equal(text.data, wanted, file, line);
    bytes_buf_release(&text);
}

/* ---- Keys ---- */

static inline struct keyref memory_key(struct memory_fixture *f, int db, const char *name)
{
    return keyref(keyspace_db(f->core->keyspace, db), bytes_str(name));
}
/* expiry_ms: from now on; 0: none. */
static inline struct entry *memory_put(struct memory_fixture *f, int db, const char *name, int64_t expiry_ms)
{
    struct db *d = keyspace_db(f->core->keyspace, db);
    struct keyref key = keyref(d, bytes_str(name));
    struct entry *e = keyspace_put_string(d, key, BYTES_LIT("value"), 0);
    return expiry_ms == 0 ? e : keyspace_set_expiry(d, key, e, f->core->clock.now_ms + expiry_ms);
}
static inline bool memory_has(struct memory_fixture *f, int db, const char *name)
{
    return keyspace_peek(keyspace_db(f->core->keyspace, db), memory_key(f, db, name)) != NULL;
}

/* What the keyspace has reported since the last call. */
#define assert_trace(f, wanted) memory_assert_trace(f, wanted, __FILE__, __LINE__)
static inline void memory_assert_trace(struct memory_fixture *f, const char *wanted, const char *file, int line)
{
    bytes_buf_append(&f->trace, "", 1);
    _assert_string_equal(f->trace.data, wanted, file, line);
    f->trace.len = 0;
}

#endif
