/* Which client is told of which change. Clients have unread sockets; tests look at their queued output. */
#include "server/clients/tracking.h"
#include "server/commands/tables.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "server/clients/clients.h"
#include "server/house.h"
#include "storage/base/memory.h"

enum { CLIENTS = 3 };

struct fixture {
    struct settings settings;
    struct config *config;
    struct server *server;
    struct client *clients[CLIENTS];
    int peers[CLIENTS];
};

static int setup(void **state)
{
    struct fixture *f = mem_calloc(sizeof(*f));
    struct config_failure failure;
    f->config = config_new(&f->settings, sys_real(), &(struct config_hooks){0});
    assert_int_equal(config_load_text(f->config, BYTES_LIT("save \"\"\ntracking-table-max-keys 4\n"), &failure), 0);
    f->server = server_new(f->config, &f->settings, command_row_tables(), sys_real(), NULL);
    assert_non_null(f->server);
    for (int i = 0; i < CLIENTS; i++) {
        int pair[2];
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
        f->peers[i] = pair[1];
        f->clients[i] = client_new(f->server->clients, conn_adopt(f->server->core.loop, pair[0]));
        f->clients[i]->reply.proto = 3;
    }
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < CLIENTS; i++) close(f->peers[i]);
    server_free(f->server);
    config_free(f->config);
    mem_free(f);
    return 0;
}

static void reads(struct client *c, const char *key)
{
    static const struct command get = {.name = "get", .keys = {KEY_AT(1, KEY_RO | KEY_ACCESS)}};
    struct bytes_view argv[] = {BYTES_LIT("get"), bytes_str(key)};
    tracking_remember(c, &get, 2, argv);
}

static void changes(const struct fixture *f, struct client *by, const char *key)
{
    struct core *core = &f->server->core;
    core->running.client = by;
    key_watch_changed(&core->keys, keyspace_db(core->keyspace, 0), bytes_str(key));
    core->running.client = NULL;
}

/* The output queued for this client since the last call. */
static void assert_told(struct client *c, const char *wanted)
{
    struct bytes_buf text = {0};
    outbuf_copy(&c->out, &text);
    outbuf_clear(&c->out);
    bytes_buf_append(&text, "", 1);
    assert_string_equal(text.data, wanted);
    bytes_buf_release(&text);
}

static struct tracking_summary summary(const struct fixture *f)
{
    struct tracking_summary sum;
    tracking_summarize(f->server->clients->trackings, &sum);
    return sum;
}

static void test_readers_are_told_once(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 2; i++) tracking_start(f->clients[i], 0, 0, NULL, 0);
    reads(f->clients[1], "k");
    reads(f->clients[0], "k");
    reads(f->clients[0], "k");
    reads(f->clients[0], "other");
    assert_int_equal(summary(f).keys, 2);
    assert_int_equal(summary(f).items, 3);
    changes(f, f->clients[2], "k");
    changes(f, f->clients[2], "k");
    assert_told(f->clients[0], ">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n");
    assert_told(f->clients[1], ">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n");
    assert_int_equal(summary(f).items, 1);
    tracking_flushed(f->server->clients->trackings);
    assert_told(f->clients[0], ">2\r\n$10\r\ninvalidate\r\n_\r\n");
    assert_told(f->clients[2], "");
    assert_int_equal(summary(f).keys, 0);
}

static void test_modes_choose_what_is_remembered(void **state)
{
    struct fixture *f = *state;
    tracking_start(f->clients[0], TRACKING_OPTIN, 0, NULL, 0);
    tracking_start(f->clients[1], TRACKING_OPTOUT, 0, NULL, 0);
    for (int i = 0; i < 2; i++) reads(f->clients[i], i == 0 ? "in" : "out");
    assert_int_equal(summary(f).keys, 1);
    for (int i = 0; i < 2; i++) f->clients[i]->flags |= CLIENT_TRACKING_CACHING;
    for (int i = 0; i < 2; i++) reads(f->clients[i], i == 0 ? "in, said" : "out, said");
    changes(f, NULL, "in, said");
    assert_told(f->clients[0], ">2\r\n$10\r\ninvalidate\r\n*1\r\n$8\r\nin, said\r\n");
    changes(f, NULL, "out, said");
    assert_told(f->clients[1], "");
}

static void test_no_echo_with_noloop(void **state)
{
    struct fixture *f = *state;
    tracking_start(f->clients[0], TRACKING_NOLOOP, 0, NULL, 0);
    reads(f->clients[0], "k");
    changes(f, f->clients[0], "k");
    assert_told(f->clients[0], "");
    assert_int_equal(summary(f).keys, 0); /* removed from the table as well */
    reads(f->clients[0], "k");
    changes(f, NULL, "k"); /* the key expired */
    assert_told(f->clients[0], ">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n");
}

static void test_broadcasts_are_collected_by_prefix(void **state)
{
    struct fixture *f = *state;
    struct bytes_view prefixes[] = {BYTES_LIT("a:"), BYTES_LIT("long:")};
    tracking_start(f->clients[0], TRACKING_BCAST, 0, prefixes, 2);
    tracking_start(f->clients[1], TRACKING_BCAST | TRACKING_NOLOOP, 0, prefixes, 1);
    tracking_start(f->clients[2], TRACKING_BCAST, 0, NULL, 0);
    assert_int_equal(summary(f).prefixes, 3);
    changes(f, f->clients[1], "a:1");
    changes(f, f->clients[0], "a:2");
    changes(f, f->clients[1], "a:1");
    changes(f, NULL, "b");
    assert_told(f->clients[0], ""); /* at the end of the turn */
    assert_true(f->server->core.due & DUE_TRACKING_BROADCAST);
    tracking_broadcast(f->server->clients->trackings);
    assert_told(f->clients[0], ">2\r\n$10\r\ninvalidate\r\n*2\r\n$3\r\na:1\r\n$3\r\na:2\r\n");
    assert_told(f->clients[1], ">2\r\n$10\r\ninvalidate\r\n*1\r\n$3\r\na:2\r\n");
    assert_told(f->clients[2], ">2\r\n$10\r\ninvalidate\r\n*3\r\n$3\r\na:1\r\n$3\r\na:2\r\n$1\r\nb\r\n");
    assert_false(f->server->core.due & DUE_TRACKING_BROADCAST);
}

/* A key changed by the client itself and then by another client: it is told. */
static void test_a_second_hand_ends_noloop(void **state)
{
    struct fixture *f = *state;
    tracking_start(f->clients[0], TRACKING_BCAST | TRACKING_NOLOOP, 0, NULL, 0);
    changes(f, f->clients[0], "k");
    changes(f, NULL, "k");
    changes(f, f->clients[0], "k");
    tracking_broadcast(f->server->clients->trackings);
    assert_told(f->clients[0], ">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n");
}

static void test_a_client_that_goes_takes_its_prefixes_and_their_changes(void **state)
{
    struct fixture *f = *state;
    tracking_start(f->clients[0], TRACKING_BCAST, 0, NULL, 0);
    changes(f, NULL, "k");
    client_close_later(f->clients[0]);
    clients_reap(f->server->clients);
    assert_int_equal(summary(f).prefixes, 0);
    assert_int_equal(summary(f).clients, 0);
    assert_false(f->server->core.due & DUE_TRACKING_BROADCAST);
    tracking_broadcast(f->server->clients->trackings);
}

static void test_redirection_and_what_breaks_it(void **state)
{
    struct fixture *f = *state;
    struct client *c = f->clients[0], *to = f->clients[1];
    tracking_start(c, 0, to->id, NULL, 0);
    reads(c, "k");
    changes(f, NULL, "k");
    assert_told(c, "");
    assert_told(to, ">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n");
    char wanted[80];
    snprintf(wanted, sizeof(wanted), ">2\r\n$21\r\ntracking-redir-broken\r\n:%llu\r\n", (unsigned long long)to->id);
    client_close_later(to);
    clients_reap(f->server->clients);
    reads(c, "k");
    changes(f, NULL, "k");
    assert_told(c, wanted);
    assert_true(tracking_redirect_is_broken(c));
}

static void test_the_table_makes_room(void **state)
{
    struct fixture *f = *state;
    char key[16];
    tracking_start(f->clients[0], 0, 0, NULL, 0);
    for (int i = 0; i < 10; i++) {
        snprintf(key, sizeof(key), "key%d", i);
        reads(f->clients[0], key);
    }
    assert_true(f->server->core.due & DUE_TRACKING_ROOM);
    assert_false(tracking_make_room(f->server->clients->trackings)); /* no work is left */
    assert_int_equal(summary(f).keys, 4);
    assert_int_equal(summary(f).items, 4);
    struct bytes_buf text = {0};
    outbuf_copy(&f->clients[0]->out, &text);
    assert_int_equal(text.len, 6 * strlen(">2\r\n$10\r\ninvalidate\r\n*1\r\n$4\r\nkeyN\r\n"));
    bytes_buf_release(&text);
    tracking_stop(f->clients[0]);
    assert_int_equal(summary(f).keys, 0); /* no client caches them any more */
}

static void test_overlapping_prefixes(void **state)
{
    struct fixture *f = *state;
    struct bytes_view prefixes[] = {BYTES_LIT("foo"), BYTES_LIT("bar")};
    assert_null(tracking_overlap(f->clients[0], BYTES_LIT("foo")));
    tracking_start(f->clients[0], TRACKING_BCAST, 0, prefixes, 2);
    assert_null(tracking_overlap(f->clients[0], BYTES_LIT("fa")));
    assert_true(bytes_equal(*tracking_overlap(f->clients[0], BYTES_LIT("fo")), prefixes[0]));
    assert_true(bytes_equal(*tracking_overlap(f->clients[0], BYTES_LIT("bark")), prefixes[1]));
    assert_non_null(tracking_overlap(f->clients[0], BYTES_LIT("")));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_readers_are_told_once),
        TEST(test_modes_choose_what_is_remembered),
        TEST(test_no_echo_with_noloop),
        TEST(test_broadcasts_are_collected_by_prefix),
        TEST(test_a_second_hand_ends_noloop),
        TEST(test_a_client_that_goes_takes_its_prefixes_and_their_changes),
        TEST(test_redirection_and_what_breaks_it),
        TEST(test_the_table_makes_room),
        TEST(test_overlapping_prefixes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
