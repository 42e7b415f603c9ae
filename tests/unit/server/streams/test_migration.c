/* Keys on their way to a target that the test plays: what it is sent, what its answers mean, what becomes of links. */
#include "server/streams/migration.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>

#include "storage/rdb_writer.h"
#include "tests/unit/server/memory/memory_fixture.h"

#define AUTH(password) "*2\r\n$4\r\nAUTH\r\n$2\r\n" password "\r\n"
#define SELECT(db)     "*2\r\n$6\r\nSELECT\r\n$1\r\n" db "\r\n"
#define RESTORE(key)   "$7\r\nRESTORE\r\n$1\r\n" key "\r\n"
#define CONNECT_ERROR  "IOERR error or timeout writing to target instance"
#define READ_ERROR     "IOERR error or timeout reading to target instance"

struct fixture {
    struct memory_fixture room; /* first: memory_fixture.h's functions take it */
    struct core *core;
    struct migrations *migrations;
    struct client *c;
    struct migration_target to;
    int listen_fd, fd; /* of the target; fd: its last connection, or -1 */
    struct bytes_buf heard;
    struct bytes_buf result; /* of the last migration: a letter for each key, then the error, if any */
    int finished;
};

/* What the command does when it runs again. */
static bool finish(void *ctx, struct client *c)
{
    static const char letters[] = {[MIGRATED_NOT] = 'N', [MIGRATED] = 'M', [MIGRATED_BUT_CHANGED] = 'C'};
    struct fixture *f = ctx;
    struct migration *m = c->blocked->data;
    struct bytes_view name;
    migration_settle(m);
    f->result.len = 0;
    for (size_t i = 0; i < migration_count(m); i++)
        bytes_buf_append(&f->result, &letters[migration_key(m, i, &name)], 1);
    if (migration_error(m) != NULL) bytes_buf_printf(&f->result, " %s", migration_error(m));
    f->finished++;
    return true;
}
static void unblocked(void *ctx, struct client *c)
{
    (void)ctx;
    (void)c;
}
static void forget(struct client *c)
{
    migration_free(c->blocked->data);
}

static int setup(void **state)
{
    struct fixture *f = mem_calloc(sizeof(*f));
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    const struct command_runner runner = {.ctx = f, .again = finish, .unblocked = unblocked};
    memory_fixture_init(&f->room, NULL, NULL, &runner);
    f->core = f->room.core;
    f->migrations = migrations_new(f->core, NULL);
    f->c = memory_client(&f->room);
    f->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(f->listen_fd, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(f->listen_fd, 128), 0);
    assert_int_equal(getsockname(f->listen_fd, (struct sockaddr *)&at, &len), 0);
    f->to = (struct migration_target){
        .host = BYTES_LIT("127.0.0.1"), .port = ntohs(at.sin_port), .db = 0, .timeout_ms = 60000};
    f->fd = -1;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    clients_close_all(f->room.clients);
    migrations_free(f->migrations);
    assert_int_equal(f->core->keys.counts[KEY_WATCH_MIGRATIONS], 0);
    if (f->fd != -1) close(f->fd);
    close(f->listen_fd);
    bytes_buf_release(&f->heard);
    bytes_buf_release(&f->result);
    memory_fixture_release(&f->room);
    mem_free(f);
    return 0;
}

/* ---- Our side ---- */

/* Sends these keys, a letter for each. */
static void migrate(struct fixture *f, struct client *c, const char *keys)
{
    struct db *db = keyspace_db(f->core->keyspace, 0);
    struct migration *m = migration_new(f->migrations, c, &f->to);
    for (const char *k = keys; *k != '\0'; k++)
        migration_add(m, db, keyspace_find(db, keyref(db, bytes_view(k, 1)), 0));
    assert_int_equal(migration_count(m), strlen(keys));
    assert_int_equal(migration_start(m), 0);
    client_block(c, &(struct blocked){.kind = BLOCK_MIGRATE, .ended = forget, .data = m});
}

static void turn(struct fixture *f)
{
    loop_poll_turn(f->core->loop);
    if (f->core->due & DUE_MIGRATIONS) migrations_serve(f->migrations);
    if (f->finished == 0) (void)poll(NULL, 0, 1); /* only to give way */
}

static void assert_result(struct fixture *f, const char *wanted)
{
    for (int i = 0; i < 5000 && f->finished == 0; i++) turn(f);
    assert_int_equal(f->finished, 1);
    f->finished = 0;
    bytes_buf_append(&f->result, "", 1);
    assert_string_equal(f->result.data, wanted);
    assert_false(client_has(f->c, CLIENT_BLOCKED));
    assert_false(f->core->due & DUE_MIGRATIONS);
}

/* ---- The target ---- */

static void accept_link(struct fixture *f)
{
    int fd = -1;
    for (int i = 0; i < 5000 && fd == -1; i++) {
        turn(f);
        fd = accept4(f->listen_fd, NULL, NULL, SOCK_NONBLOCK);
    }
    assert_true(fd != -1);
    if (f->fd != -1) close(f->fd);
    f->fd = fd;
    f->heard.len = 0;
}
static bool no_other_link(struct fixture *f)
{
    for (int i = 0; i < 5; i++) turn(f);
    return accept4(f->listen_fd, NULL, NULL, SOCK_NONBLOCK) == -1;
}
static void listen_for_a_while(struct fixture *f)
{
    char bytes[4096];
    ssize_t n;
    turn(f);
    while ((n = read(f->fd, bytes, sizeof(bytes))) > 0) bytes_buf_append(&f->heard, bytes, (size_t)n);
}
static bool has_heard(const struct fixture *f, const char *text)
{
    return f->heard.len > 0 && memmem(f->heard.data, f->heard.len, text, strlen(text)) != NULL;
}
static void hear(struct fixture *f, const char *text)
{
    for (int i = 0; i < 5000 && !has_heard(f, text); i++) listen_for_a_while(f);
    assert_true(has_heard(f, text));
}
static void answer(struct fixture *f, const char *text)
{
    assert_int_equal(write(f->fd, text, strlen(text)), strlen(text));
}
static void hang_up(struct fixture *f)
{
    close(f->fd);
    f->fd = -1;
}

/* ---- What is sent ---- */

static void test_a_key_is_restored_at_the_target(void **state)
{
    struct fixture *f = *state;
    struct bytes_buf wanted = {0}, payload = {0};
    rdb_dump(memory_put(&f->room, 0, "k", 0), f->room.base.settings.persistence.rdb_version, &payload);
    migrate(f, f->c, "k");
    assert_true(client_has(f->c, CLIENT_BLOCKED));
    accept_link(f);
    hear(f, RESTORE("k"));
    bytes_buf_printf(&wanted, "*4\r\n" RESTORE("k") "$1\r\n0\r\n$%zu\r\n", payload.len);
    bytes_buf_append_view(&wanted, bytes_buf_view(&payload));
    bytes_buf_append(&wanted, "\r\n", 2);
    for (int i = 0; i < 100 && f->heard.len < wanted.len; i++) listen_for_a_while(f);
    assert_int_equal(f->heard.len, wanted.len);
    assert_memory_equal(f->heard.data, wanted.data, wanted.len);
    assert_int_equal(f->finished, 0);
    answer(f, "+OK\r\n");
    assert_result(f, "M");
    assert_true(memory_has(&f->room, 0, "k")); /* deleting it is the command's business */
    bytes_buf_release(&wanted);
    bytes_buf_release(&payload);
}

static void test_times_and_replace(void **state)
{
    struct fixture *f = *state;
    memory_put(&f->room, 0, "k", 12345);
    memory_put(&f->room, 0, "l", 1);
    core_later_ms(&f->room.base, 1); /* due in this very millisecond: 0 would be no expiry at all */
    f->to.replace = true;
    migrate(f, f->c, "kl");
    accept_link(f);
    hear(f, "*5\r\n" RESTORE("k") "$5\r\n12344\r\n");
    hear(f, "*5\r\n" RESTORE("l") "$1\r\n1\r\n");
    hear(f, "$7\r\nREPLACE\r\n");
    answer(f, "+OK\r\n+OK\r\n");
    assert_result(f, "MM");
}

static void test_nothing_is_sent_before_the_session_is_open(void **state)
{
    struct fixture *f = *state;
    memory_put(&f->room, 0, "k", 0);
    f->to.db = 3;
    f->to.has_password = true;
    f->to.password = BYTES_LIT("pw");
    migrate(f, f->c, "k");
    accept_link(f);
    hear(f, AUTH("pw") SELECT("3"));
    answer(f, "+OK\r\n");
    for (int i = 0; i < 5; i++) listen_for_a_while(f);
    assert_false(has_heard(f, "RESTORE"));
    answer(f, "+OK\r\n");
    hear(f, RESTORE("k"));
    answer(f, "+OK\r\n");
    assert_result(f, "M");
}

static void test_a_user_and_a_password(void **state)
{
    struct fixture *f = *state;
    memory_put(&f->room, 0, "k", 0);
    f->to.has_user = f->to.has_password = true;
    f->to.user = BYTES_LIT("me");
    f->to.password = BYTES_LIT("pw");
    migrate(f, f->c, "k");
    accept_link(f);
    hear(f, "*3\r\n$4\r\nAUTH\r\n$2\r\nme\r\n$2\r\npw\r\n");
    answer(f, "+OK\r\n");
    hear(f, RESTORE("k"));
    answer(f, "+OK\r\n");
    assert_result(f, "M");
}

/* ---- What is answered ---- */

static void test_a_session_that_is_refused(void **state)
{
    struct fixture *f = *state;
    memory_put(&f->room, 0, "k", 0);
    f->to.db = 3;
    f->to.has_password = true;
    f->to.password = BYTES_LIT("pw");
    migrate(f, f->c, "k");
    accept_link(f);
    hear(f, SELECT("3"));
    answer(f, "-WRONGPASS no\r\n-NOAUTH first\r\n");
    assert_result(f, "N ERR Target instance replied with error: WRONGPASS no"); /* the first error counts */
    listen_for_a_while(f);
    assert_false(has_heard(f, "RESTORE"));
}

static void test_a_key_that_is_refused(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 3; i++) memory_put(&f->room, 0, (const char *[]){"a", "b", "c"}[i], 0);
    migrate(f, f->c, "abc");
    accept_link(f);
    hear(f, RESTORE("c"));
    answer(f, "+OK\r\n-BUSYKEY there is one\r\n");
    for (int i = 0; i < 5; i++) turn(f);
    assert_int_equal(f->finished, 0); /* an answer is due */
    answer(f, "+OK\r\n");
    assert_result(f, "MNM ERR Target instance replied with error: BUSYKEY there is one");
}

static void test_a_key_that_changed_meanwhile(void **state)
{
    struct fixture *f = *state;
    struct db *db = keyspace_db(f->core->keyspace, 0);
    for (int i = 0; i < 3; i++) memory_put(&f->room, 0, (const char *[]){"a", "b", "c"}[i], 0);
    migrate(f, f->c, "abc");
    memory_put(&f->room, 1, "a", 0); /* in another database */
    keyspace_changed(db, memory_key(&f->room, 0, "b"), 1);
    accept_link(f);
    hear(f, RESTORE("c"));
    answer(f, "+OK\r\n+OK\r\n+OK\r\n");
    assert_result(f, "MCM");
}

/* Two migrations of one key. */
static void test_all_that_send_a_key_hear_of_its_change(void **state)
{
    struct fixture *f = *state;
    memory_put(&f->room, 0, "k", 0);
    migrate(f, f->c, "k");
    struct client *other = memory_client(&f->room);
    migrate(f, other, "k");
    assert_int_equal(f->core->keys.counts[KEY_WATCH_MIGRATIONS], 2);
    keyspace_changed(keyspace_db(f->core->keyspace, 0), memory_key(&f->room, 0, "k"), 1);
    for (int i = 0; i < 2; i++) {
        int before = f->finished;
        accept_link(f);
        hear(f, RESTORE("k"));
        answer(f, "+OK\r\n");
        for (int j = 0; j < 5000 && f->finished == before; j++) turn(f);
        assert_int_equal(f->result.len, 1);
        assert_int_equal(f->result.data[0], 'C');
    }
}

static void flush_while_sending(struct fixture *f, struct db *db, const char *result)
{
    memory_put(&f->room, 0, "k", 0);
    migrate(f, f->c, "k");
    accept_link(f);
    hear(f, RESTORE("k"));
    keyspace_flush(f->core->keyspace, db, false);
    answer(f, "+OK\r\n");
    assert_result(f, result);
    while (migrations_cached_links(f->migrations) > 0) { /* each time over a new link */
        hang_up(f);
        for (int i = 0; i < 5; i++) turn(f);
    }
}

static void test_a_flush_meanwhile(void **state)
{
    struct fixture *f = *state;
    flush_while_sending(f, keyspace_db(f->core->keyspace, 0), "C");
    flush_while_sending(f, NULL, "C");
    flush_while_sending(f, keyspace_db(f->core->keyspace, 1), "M");
}

/* Its time came at both servers, so the target took over what was there. */
static void test_a_key_that_expires_meanwhile(void **state)
{
    struct fixture *f = *state;
    memory_put(&f->room, 0, "k", 5);
    migrate(f, f->c, "k");
    core_later_ms(&f->room.base, 10);
    assert_null(keyspace_find(keyspace_db(f->core->keyspace, 0), memory_key(&f->room, 0, "k"), 0));
    accept_link(f);
    hear(f, RESTORE("k"));
    answer(f, "+OK\r\n");
    assert_result(f, "M");
}

/* ---- Failures ---- */

static void test_a_target_that_is_not_there(void **state)
{
    struct fixture *f = *state;
    memory_put(&f->room, 0, "k", 0);
    f->to.port = core_refusing_port(&f->room.base);
    migrate(f, f->c, "k");
    assert_result(f, "N " CONNECT_ERROR);
    assert_int_equal(migrations_cached_links(f->migrations), 0);
}

static void test_a_target_that_cannot_be_tried(void **state)
{
    struct fixture *f = *state;
    struct entry *e = memory_put(&f->room, 0, "k", 0);
    f->to.port = 0;
    struct migration *m = migration_new(f->migrations, f->c, &f->to);
    migration_add(m, keyspace_db(f->core->keyspace, 0), e);
    assert_true(migration_start(m) != 0);
    assert_string_equal(migration_error(m), CONNECT_ERROR);
    migration_free(m);
}

static void test_a_target_that_hangs_up(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 2; i++) memory_put(&f->room, 0, (const char *[]){"a", "b"}[i], 0);
    migrate(f, f->c, "ab");
    accept_link(f);
    hear(f, RESTORE("b"));
    for (int i = 0; i < 5; i++) listen_for_a_while(f);
    answer(f, "+OK\r\n");
    hang_up(f);
    assert_result(f, "MN " READ_ERROR); /* what was answered counts */
    assert_true(no_other_link(f));      /* a new link is not tried again */
    assert_int_equal(migrations_cached_links(f->migrations), 0);
}

static void test_a_target_that_speaks_another_protocol(void **state)
{
    struct fixture *f = *state;
    static const char *const answers[] = {"HTTP/1.1 400 Bad Request\r\n", "\r\n", "$3\r\nfoo\r\n", ":1\r\n"};
    memory_put(&f->room, 0, "k", 0);
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        migrate(f, f->c, "k");
        accept_link(f);
        hear(f, RESTORE("k"));
        for (int j = 0; j < 5; j++) listen_for_a_while(f);
        answer(f, answers[i]);
        assert_result(f, "N " READ_ERROR);
        assert_int_equal(migrations_cached_links(f->migrations), 0);
    }
}

static void test_an_answer_without_an_end(void **state)
{
    struct fixture *f = *state;
    char *endless = mem_alloc(70000);
    memset(endless, '-', 69999);
    endless[69999] = '\0';
    memory_put(&f->room, 0, "k", 0);
    migrate(f, f->c, "k");
    accept_link(f);
    hear(f, RESTORE("k"));
    for (int j = 0; j < 5; j++) listen_for_a_while(f);
    size_t sent = 0;
    for (int i = 0; i < 5000 && sent < 69999 && f->finished == 0; i++) {
        ssize_t n = write(f->fd, endless + sent, 69999 - sent);
        if (n > 0) sent += (size_t)n;
        turn(f);
    }
    assert_result(f, "N " READ_ERROR);
    mem_free(endless);
}

static void test_a_target_that_does_not_answer(void **state)
{
    struct fixture *f = *state;
    memory_put(&f->room, 0, "k", 0);
    f->to.timeout_ms = 20;
    migrate(f, f->c, "k");
    accept_link(f);
    hear(f, RESTORE("k"));
    assert_result(f, "N " READ_ERROR);
}

/* ---- Links that are kept ---- */

static void migrate_well(struct fixture *f, const char *result)
{
    migrate(f, f->c, "k");
    f->heard.len = 0;
    hear(f, RESTORE("k"));
    answer(f, "+OK\r\n");
    assert_result(f, result);
}

static void first_migration(struct fixture *f)
{
    memory_put(&f->room, 0, "k", 0);
    migrate(f, f->c, "k");
    accept_link(f);
    hear(f, RESTORE("k"));
    answer(f, "+OK\r\n");
    assert_result(f, "M");
    assert_int_equal(migrations_cached_links(f->migrations), 1);
}

static void test_a_link_is_used_again(void **state)
{
    struct fixture *f = *state;
    first_migration(f);
    migrate_well(f, "M"); /* over the same one */
    assert_true(no_other_link(f));
    assert_false(has_heard(f, "SELECT"));
    f->to.db = 3;
    migrate(f, f->c, "k");
    assert_int_equal(migrations_cached_links(f->migrations), 0); /* it belongs to the migration meanwhile */
    f->heard.len = 0;
    hear(f, SELECT("3"));
    answer(f, "+OK\r\n");
    hear(f, RESTORE("k"));
    answer(f, "+OK\r\n");
    assert_result(f, "M");
    migrate_well(f, "M"); /* 3 is selected */
    assert_false(has_heard(f, "SELECT"));
    assert_int_equal(migrations_cached_links(f->migrations), 1);
}

/* A database that the target refuses: the next one selects again. */
static void test_a_link_without_a_known_database(void **state)
{
    struct fixture *f = *state;
    first_migration(f);
    f->to.db = 9;
    migrate(f, f->c, "k");
    hear(f, SELECT("9"));
    answer(f, "-ERR DB index is out of range\r\n");
    assert_result(f, "N ERR Target instance replied with error: ERR DB index is out of range");
    f->to.db = 0;
    migrate(f, f->c, "k");
    hear(f, SELECT("0"));
    answer(f, "+OK\r\n");
    hear(f, RESTORE("k"));
    answer(f, "+OK\r\n");
    assert_result(f, "M");
}

static void test_other_credentials_get_a_link_of_their_own(void **state)
{
    struct fixture *f = *state;
    first_migration(f);
    int first_fd = f->fd;
    f->fd = -1; /* it stays open */
    f->to.has_password = true;
    f->to.password = BYTES_LIT("pw");
    migrate(f, f->c, "k");
    accept_link(f);
    hear(f, AUTH("pw"));
    answer(f, "+OK\r\n");
    hear(f, RESTORE("k"));
    answer(f, "+OK\r\n");
    assert_result(f, "M");
    assert_int_equal(migrations_cached_links(f->migrations), 2);
    close(first_fd);
}

static void test_an_idle_link_that_closes_or_speaks_is_dropped(void **state)
{
    struct fixture *f = *state;
    first_migration(f);
    answer(f, "+unasked\r\n");
    for (int i = 0; i < 100 && migrations_cached_links(f->migrations) > 0; i++) turn(f);
    assert_int_equal(migrations_cached_links(f->migrations), 0);
    first_migration(f);
    hang_up(f);
    for (int i = 0; i < 100 && migrations_cached_links(f->migrations) > 0; i++) turn(f);
    assert_int_equal(migrations_cached_links(f->migrations), 0);
}

static void test_a_dead_link_is_replaced_once(void **state)
{
    struct fixture *f = *state;
    first_migration(f);
    hang_up(f); /* before the loop has noticed */
    migrate(f, f->c, "k");
    accept_link(f);
    hear(f, RESTORE("k"));
    answer(f, "+OK\r\n");
    assert_result(f, "M");
    hang_up(f);
    migrate(f, f->c, "k");
    accept_link(f);
    hang_up(f); /* the second one as well */
    assert_result(f, "N " READ_ERROR);
    assert_true(no_other_link(f));
}

/* It is not dead: a second attempt would only wait again. */
static void test_a_used_link_that_does_not_answer_is_not_replaced(void **state)
{
    struct fixture *f = *state;
    first_migration(f);
    f->to.timeout_ms = 20;
    migrate(f, f->c, "k");
    f->heard.len = 0;
    hear(f, RESTORE("k"));
    assert_result(f, "N " READ_ERROR);
    assert_true(no_other_link(f));
}

/* Then the target may have stored a key: a second time it would be refused, or be another key. */
static void test_a_link_that_has_answered_is_not_replaced(void **state)
{
    struct fixture *f = *state;
    first_migration(f);
    memory_put(&f->room, 0, "l", 0);
    migrate(f, f->c, "kl");
    f->heard.len = 0;
    hear(f, RESTORE("l"));
    for (int i = 0; i < 5; i++) listen_for_a_while(f);
    answer(f, "+OK\r\n");
    for (int i = 0; i < 5; i++) turn(f);
    hang_up(f);
    assert_result(f, "MN " READ_ERROR);
    assert_true(no_other_link(f));
}

static void test_so_many_links_are_kept(void **state)
{
    struct fixture *f = *state;
    char password[8];
    int fds[70];
    memory_put(&f->room, 0, "k", 0);
    f->to.has_password = true;
    for (int i = 0; i < 70; i++) {
        f->to.password = bytes_view(password, (size_t)snprintf(password, sizeof(password), "%d", i));
        migrate(f, f->c, "k");
        f->fd = -1;
        accept_link(f);
        fds[i] = f->fd;
        hear(f, "AUTH");
        answer(f, "+OK\r\n");
        hear(f, RESTORE("k"));
        answer(f, "+OK\r\n");
        assert_result(f, "M");
    }
    assert_int_equal(migrations_cached_links(f->migrations), 64);
    f->to.password = BYTES_LIT("69");
    migrate(f, f->c, "k");
    assert_int_equal(migrations_cached_links(f->migrations), 63); /* the newest is there */
    f->fd = fds[69];
    hear(f, "AUTH"); /* each migration says who it is */
    answer(f, "+OK\r\n");
    hear(f, RESTORE("k"));
    answer(f, "+OK\r\n");
    assert_result(f, "M");
    for (int i = 0; i < 70; i++) close(fds[i]);
    f->fd = -1;
}

/* ---- Clients that go ---- */

static void test_a_client_that_goes_takes_its_migration_along(void **state)
{
    struct fixture *f = *state;
    memory_put(&f->room, 0, "k", 0);
    migrate(f, f->c, "k");
    accept_link(f);
    hear(f, RESTORE("k"));
    client_close_later(f->c);
    clients_reap(f->room.clients);
    assert_int_equal(f->core->keys.counts[KEY_WATCH_MIGRATIONS], 0);
    for (int i = 0; i < 5; i++) turn(f);
    assert_int_equal(f->finished, 0);
    char byte;
    for (int i = 0; i < 100 && read(f->fd, &byte, 1) > 0; i++) continue; /* the rest of what was sent */
    assert_int_equal(read(f->fd, &byte, 1), 0);                          /* the link is closed */
}

/* Its migration is over, but was not served. */
static void test_a_closing_client_is_not_served(void **state)
{
    struct fixture *f = *state;
    struct client *other = memory_client(&f->room);
    memory_put(&f->room, 0, "k", 0);
    f->to.port = core_refusing_port(&f->room.base);
    migrate(f, f->c, "k");
    migrate(f, other, "k");
    for (int i = 0; i < 100; i++) loop_poll_turn(f->core->loop);
    assert_true(f->core->due & DUE_MIGRATIONS);
    client_close_later(f->c);
    migrations_serve(f->migrations);
    assert_int_equal(f->finished, 1); /* the other one */
    assert_true(f->core->due & DUE_MIGRATIONS);
    clients_reap(f->room.clients);
    assert_false(f->core->due & DUE_MIGRATIONS);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_key_is_restored_at_the_target),
        TEST(test_times_and_replace),
        TEST(test_nothing_is_sent_before_the_session_is_open),
        TEST(test_a_user_and_a_password),
        TEST(test_a_session_that_is_refused),
        TEST(test_a_key_that_is_refused),
        TEST(test_a_key_that_changed_meanwhile),
        TEST(test_all_that_send_a_key_hear_of_its_change),
        TEST(test_a_flush_meanwhile),
        TEST(test_a_key_that_expires_meanwhile),
        TEST(test_a_target_that_is_not_there),
        TEST(test_a_target_that_cannot_be_tried),
        TEST(test_a_target_that_hangs_up),
        TEST(test_a_target_that_speaks_another_protocol),
        TEST(test_an_answer_without_an_end),
        TEST(test_a_target_that_does_not_answer),
        TEST(test_a_link_is_used_again),
        TEST(test_a_link_without_a_known_database),
        TEST(test_other_credentials_get_a_link_of_their_own),
        TEST(test_an_idle_link_that_closes_or_speaks_is_dropped),
        TEST(test_a_dead_link_is_replaced_once),
        TEST(test_a_used_link_that_does_not_answer_is_not_replaced),
        TEST(test_a_link_that_has_answered_is_not_replaced),
        TEST(test_so_many_links_are_kept),
        TEST(test_a_client_that_goes_takes_its_migration_along),
        TEST(test_a_closing_client_is_not_served),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
