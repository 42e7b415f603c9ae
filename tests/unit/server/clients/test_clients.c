/* The life of connections: accepting, lists, sending, limits, memory, and how they end. */
#include "server/clients/clients.h"

#include "server/clients/monitor.h"
#include "server/clients/pubsub.h"
#include "server/net/resp_batch.h"
#include "tests/unit/server/clients/fixture.h"

static struct client *next_ready(struct client **list)
{
    return clients_pop_ready(list);
}

/* Queues this many bytes of replies. */
static void queue_bytes(struct client *c, size_t len)
{
    char *bytes = mem_calloc(len);
    reply_raw(&c->reply, bytes_view(bytes, len));
    mem_free(bytes);
}

static bool is_closing(const struct client *c)
{
    return client_has(c, CLIENT_CLOSING);
}

static enum resp_status next_status(struct client *c)
{
    struct resp_batch batch = {0};
    struct resp_request request;
    enum resp_status status = resp_reader_next(&c->reader, &batch, &request);
    resp_batch_release(&batch);
    return status;
}

/* A room with these lines of redis.conf; the test frees it. */
static struct room *with(void **state, const char *directives)
{
    room_free(*state);
    *state = room_new(directives);
    return *state;
}

/* ---- Registry ---- */

static void test_ids_ascend_and_find_their_clients(void **state)
{
    struct room *r = *state;
    struct client *c[20];
    for (int i = 0; i < 20; i++) {
        c[i] = room_open(r);
        if (i > 0) assert_true(c[i]->id > c[i - 1]->id);
    }
    room_close(r, c[7]);
    assert_true(room_peer_sees_end(r, 7));
    room_close(r, c[0]);
    room_close(r, c[19]);
    assert_int_equal(clients_count(r->cs), 17);
    uint64_t before = UINT64_MAX;
    size_t walked = 0;
    for (struct client *at = clients_first(r->cs); at != NULL; at = at->next, walked++) {
        assert_true(at->id < before); /* descending */
        assert_ptr_equal(client_by_id(r->cs, at->id), at);
        before = at->id;
    }
    assert_int_equal(walked, 17);
    assert_null(client_by_id(r->cs, 8));
    assert_true(room_open(r)->id > 20); /* an id is never used again */
}

static void test_a_fake_client_is_on_no_list(void **state)
{
    struct room *r = *state;
    struct client *master = client_new(r->cs, NULL), *script = client_new_script(r->cs);
    assert_int_equal(clients_count(r->cs), 0);
    assert_null(clients_first(r->cs));
    assert_null(client_by_id(r->cs, master->id));
    assert_int_equal(master->flags, CLIENT_MASTER | CLIENT_AUTHENTICATED);
    assert_int_equal(script->flags, CLIENT_SCRIPT | CLIENT_AUTHENTICATED);
    assert_null(master->user);
    resp_reader_feed(&master->reader, BYTES_LIT("*1\r\n$100000000000\r\n"));
    assert_int_equal(next_status(master), RESP_INCOMPLETE); /* no limit: it is our master */
    reply_ok(&master->reply);
    assert_told(master, ""); /* a master gets no replies */
    reply_ok(&script->reply);
    assert_told(script, "+OK\r\n");
    client_close_later(master);
    client_close_after_reply(master);
    client_make_ready(master);
    client_wants_flush(master);
    assert_int_equal(master->flags, CLIENT_MASTER | CLIENT_AUTHENTICATED);
    client_free_fake(master);
    client_free_fake(script);
}

static void test_scripts_run_with_the_rights_of_their_caller(void **state)
{
    struct room *r = *state;
    struct client *caller = room_open(r), *master = client_new(r->cs, NULL), *script = client_new_script(r->cs);
    client_set_no_touch(caller, true);
    caller->db = keyspace_db(r->core->keyspace, 2);
    caller->write_offset = 77;
    client_run_script_for(script, caller);
    assert_int_equal(script->flags, CLIENT_SCRIPT | CLIENT_AUTHENTICATED | CLIENT_NO_TOUCH);
    assert_int_equal(script->db->id, 2);
    assert_int_equal(script->write_offset, 77);
    client_run_script_for(script, master);
    assert_int_equal(script->flags, CLIENT_SCRIPT | CLIENT_AUTHENTICATED | CLIENT_MASTER);
    reply_ok(&script->reply);
    assert_told(script, "+OK\r\n"); /* the script reads the reply, so it is not muted */
    client_free_fake(script);
    client_free_fake(master);
}

/* ---- Accepting ---- */

static void test_maxclients_refuses_with_a_reason(void **state)
{
    struct room *r = with(state, "maxclients 2\n");
    room_open(r);
    clients_accept(r->cs, room_connect(r));
    r->count++;
    assert_int_equal(clients_count(r->cs), 2);
    clients_accept(r->cs, room_connect(r));
    assert_int_equal(clients_count(r->cs), 2);
    assert_int_equal(r->core->stats.connections_received, 1);
    assert_int_equal(r->core->stats.connections_rejected, 1);
    r->count++;
    room_assert_received(r, 2, "-ERR max number of clients reached\r\n", __FILE__, __LINE__);
    assert_true(room_peer_sees_end(r, 2));
    room_close(r, r->clients[0]);
    clients_accept(r->cs, room_connect(r)); /* there is room again */
    r->count++;
    assert_int_equal(clients_count(r->cs), 2);
}

static void test_a_client_begins_as_configured(void **state)
{
    struct room *r = with(state, "client-default-resp 3\n");
    struct client *c = room_open(r);
    assert_int_equal(c->reply.proto, 3);
    assert_int_equal(c->db->id, 0);
    assert_int_equal(c->flags, CLIENT_UNIX | CLIENT_AUTHENTICATED);
    assert_ptr_equal(c->user, acl_users_default(r->users));
}

/* ---- Input ---- */

static void test_requests_run_in_the_order_in_which_they_came(void **state)
{
    struct room *r = *state;
    for (int i = 0; i < 8; i++) room_open(r);
    static const int order[] = {3, 0, 7, 1, 5};
    loop_poll_turn(r->core->loop); /* it watches them from now on */
    for (int i = 0; i < 5; i++) assert_int_equal(write(r->peers[order[i]], "PING\r\n", 6), 6);
    loop_poll_turn(r->core->loop);
    assert_true(clients_any_ready(r->cs));
    struct client *ready = clients_take_ready(r->cs);
    assert_false(clients_any_ready(r->cs));
    for (int i = 0; i < 5; i++) {
        struct client *c = next_ready(&ready);
        assert_ptr_equal(c, r->clients[order[i]]);
        assert_false(client_has(c, CLIENT_READY));
    }
    assert_null(next_ready(&ready));
}

static void test_a_client_is_ready_once(void **state)
{
    struct room *r = *state;
    struct client *a = room_open(r), *b = room_open(r);
    room_say(r, a, "PI");
    room_say(r, a, "NG\r\n");
    client_make_ready(a);
    client_make_ready(b);
    client_make_ready(b);
    struct client *ready = clients_take_ready(r->cs);
    assert_ptr_equal(next_ready(&ready), a);
    client_make_ready(a); /* with a full batch: on the next list */
    assert_ptr_equal(next_ready(&ready), b);
    assert_null(next_ready(&ready));
    ready = clients_take_ready(r->cs);
    assert_ptr_equal(next_ready(&ready), a);
    assert_int_equal(r->core->stats.net_in, 6);
    assert_int_equal(r->core->stats.reads_processed, 2);
    assert_int_equal(a->net_in, 6);
}

/* Bytes that arrive in the reader, as far as the socket and the client take them. */
static void say_much(struct room *r, struct client *c, size_t len)
{
    static char bytes[64 * 1024];
    memset(bytes, 'x', sizeof(bytes));
    for (size_t sent = 0; sent < len;) {
        ssize_t n = write(r->peers[room_number(r, c)], bytes, sizeof(bytes));
        if (n > 0) sent += (size_t)n;
        size_t before = resp_reader_pending(&c->reader);
        loop_poll_turn(r->core->loop);
        if (n < 0 && resp_reader_pending(&c->reader) == before) return;
    }
}

static void test_a_client_whose_turn_has_not_come_is_not_read_without_end(void **state)
{
    struct room *r = *state;
    struct client *c = room_open(r);
    say_much(r, c, 4 * 1024 * 1024);
    assert_in_range(resp_reader_pending(&c->reader), 256 * 1024, 1024 * 1024);
}

static void test_a_blocked_client_is_read_up_to_a_limit_and_goes_on_later(void **state)
{
    struct room *r = *state;
    struct client *c = room_open(r);
    client_block(c, &(struct blocked){.kind = BLOCK_KEYS});
    say_much(r, c, 8 * 1024 * 1024);
    size_t pending = resp_reader_pending(&c->reader);
    assert_in_range(pending, 1024 * 1024, 3 * 1024 * 1024);
    assert_false(clients_any_ready(r->cs));
    client_unblock(c);
    struct client *ready = clients_take_ready(r->cs);
    assert_ptr_equal(next_ready(&ready), c);
    loop_poll_turn(r->core->loop);
    assert_true(resp_reader_pending(&c->reader) > pending); /* it is read again */
}

static void test_reading_without_the_loop_leaves_one_out(void **state)
{
    struct room *r = *state;
    struct client *a = room_open(r), *b = room_open(r), *leaving = room_open(r);
    for (int i = 0; i < 3; i++) assert_int_equal(write(r->peers[i], "PING\r\n", 6), 6);
    client_close_after_reply(leaving);
    clients_read_now(r->cs, a);
    assert_int_equal(resp_reader_pending(&a->reader), 0);
    assert_int_equal(resp_reader_pending(&b->reader), 6);
    assert_int_equal(resp_reader_pending(&leaving->reader), 0);
}

static void test_the_query_buffer_has_a_limit_that_may_change(void **state)
{
    struct room *r = with(state, "client-query-buffer-limit 1mb\n");
    struct client *c = room_open(r);
    struct bytes_buf unfinished = {0};
    bytes_buf_append(&unfinished, "*1000000\r\n", 10);
    while (unfinished.len < 1100 * 1024) bytes_buf_append(&unfinished, "$8\r\nargument\r\n", 14);
    resp_reader_feed(&c->reader, bytes_buf_view(&unfinished));
    assert_int_equal(next_status(c), RESP_TOO_BIG);
    struct client *other = room_open(r);
    r->f.settings.clients.query_buffer_limit = 64 << 20;
    clients_limits_changed(r->cs); /* it holds for clients that were there before, too */
    resp_reader_feed(&other->reader, bytes_buf_view(&unfinished));
    assert_int_equal(next_status(other), RESP_INCOMPLETE);
    bytes_buf_release(&unfinished);
}

static void test_before_login_only_little_may_be_sent(void **state)
{
    struct room *r = with(state, "requirepass secret\n");
    struct bytes_view password = BYTES_LIT("secret");
    acl_users_set_default_password(r->users, &password);
    struct client *c = room_open(r);
    assert_false(client_has(c, CLIENT_AUTHENTICATED));
    resp_reader_feed(&c->reader, BYTES_LIT("*2\r\n$4\r\nAUTH\r\n$3\r\nabc\r\n*1\r\n$100000\r\n"));
    assert_int_equal(next_status(c), RESP_REQUEST);
    assert_int_equal(next_status(c), RESP_ERROR);
    queue_bytes(c, 60 * 1024);
    client_enforce_output_limit(c);
    assert_false(is_closing(c));
    queue_bytes(c, 10 * 1024); /* CVE-2025-21605 */
    client_enforce_output_limit(c);
    assert_true(is_closing(c));
}

/* ---- Output ---- */

static void test_output_is_sent_once_in_each_turn(void **state)
{
    struct room *r = *state;
    struct client *a = room_open(r), *b = room_open(r), *silent = room_open(r);
    reply_ok(&a->reply);
    client_wants_flush(a);
    reply_int(&b->reply, 1);
    client_wants_flush(b);
    client_wants_flush(a);
    reply_ok(&silent->reply); /* without client_wants_flush() */
    clients_flush(r->cs);
    assert_received(r, a, "+OK\r\n");
    assert_received(r, b, ":1\r\n");
    assert_received(r, silent, "");
    assert_int_equal(a->net_out, 5);
    assert_int_equal(r->core->stats.net_out, 9);
    assert_int_equal(r->core->stats.writes_processed, 2);
    assert_false(client_has(a, CLIENT_WANTS_FLUSH));
    clients_flush(r->cs);
    assert_int_equal(r->core->stats.writes_processed, 2);
}

static void test_what_the_socket_does_not_take_follows_when_it_is_writable(void **state)
{
    struct room *r = *state;
    struct client *c = room_open(r);
    size_t got = 0;
    ssize_t n;
    static char bytes[1 << 16];
    queue_bytes(c, 4 << 20);
    client_wants_flush(c);
    clients_flush(r->cs);
    assert_true(conn_wants_write(c->conn));
    while ((n = read(r->peers[0], bytes, sizeof(bytes))) > 0) {
        got += (size_t)n;
        loop_poll_turn(r->core->loop);
    }
    assert_int_equal(got, 4 << 20);
    assert_false(conn_wants_write(c->conn));
    assert_int_equal(c->net_out, 4 << 20);
}

static void test_the_last_reply_is_sent_before_the_end(void **state)
{
    struct room *r = *state;
    struct client *c = room_open(r);
    reply_ok(&c->reply);
    client_close_after_reply(c);
    room_say(r, c, "PING\r\n"); /* not read any more */
    assert_false(clients_any_ready(r->cs));
    assert_false(is_closing(c));
    clients_flush(r->cs);
    assert_true(is_closing(c));
    clients_reap(r->cs);
    assert_int_equal(clients_count(r->cs), 0);
    loop_poll_turn(r->core->loop);
    room_assert_received(r, 0, "+OK\r\n", __FILE__, __LINE__);
}

static void test_a_peer_that_leaves_ends_its_client(void **state)
{
    struct room *r = *state;
    struct client *c = room_open(r), *writes = room_open(r);
    close(r->peers[0]);
    r->peers[0] = -1;
    loop_poll_turn(r->core->loop);
    assert_true(is_closing(c));
    close(r->peers[1]);
    r->peers[1] = -1;
    reply_ok(&writes->reply);
    assert_false(client_flush(writes)); /* broken pipe */
    assert_true(is_closing(writes));
}

static void test_closing_drops_what_is_queued(void **state)
{
    struct room *r = *state;
    struct client *c = room_open(r);
    reply_ok(&c->reply);
    client_wants_flush(c);
    client_close_later(c);
    room_say(r, c, "PING\r\n"); /* not read any more */
    assert_int_equal(r->core->stats.reads_processed, 0);
    clients_flush(r->cs);
    assert_received(r, c, "");
    client_close_later(c); /* once is enough */
    clients_reap(r->cs);
    assert_int_equal(clients_count(r->cs), 0);
}

/* Lists stay whole when a client is freed that is first, last or in the middle of them. */
static void test_a_freed_client_leaves_all_lists(void **state)
{
    for (int gone = 0; gone < 3; gone++) {
        struct room *r = with(state, NULL);
        for (int i = 0; i < 3; i++) {
            room_open(r);
            client_make_ready(r->clients[i]);
            client_wants_flush(r->clients[i]);
            reply_int(&r->clients[i]->reply, i);
        }
        room_close(r, r->clients[gone]);
        struct client *late = room_open(r);
        client_make_ready(late);
        client_wants_flush(late);
        reply_int(&late->reply, 3);
        struct client *ready = clients_take_ready(r->cs);
        clients_flush(r->cs);
        for (int i = 0; i < 4; i++) {
            char wanted[16];
            snprintf(wanted, sizeof(wanted), ":%d\r\n", i);
            if (i == gone) continue;
            assert_ptr_equal(next_ready(&ready), r->clients[i]);
            assert_received(r, r->clients[i], wanted);
        }
        assert_null(next_ready(&ready));
    }
}

/* ---- Limits of output ---- */

static void test_the_hard_limit_ends_a_client_at_once(void **state)
{
    struct room *r = with(state, "client-output-buffer-limit normal 100000 0 0\n");
    struct client *c = room_open(r);
    queue_bytes(c, 99000);
    client_enforce_output_limit(c);
    assert_false(is_closing(c));
    queue_bytes(c, 1000);
    client_wants_flush(c);
    clients_flush(r->cs);
    assert_true(is_closing(c));
    assert_int_equal(r->core->stats.output_limit_disconnections, 1);
    assert_int_equal(r->core->stats.net_out, 0); /* what is over the limit is not sent, even if there is room */
    assert_int_equal(core_logged(&r->f, "closed for overcoming of output buffer limits"), 1);
}

static void test_the_soft_limit_counts_time_above_it(void **state)
{
    struct room *r = with(state, "client-output-buffer-limit normal 0 50000 2\n");
    struct client *c = room_open(r);
    queue_bytes(c, 60000);
    client_enforce_output_limit(c);
    core_later_ms(&r->f, 2000);
    client_enforce_output_limit(c);
    assert_false(is_closing(c));
    outbuf_clear(&c->out); /* below the limit for a moment: the time starts again */
    client_enforce_output_limit(c);
    queue_bytes(c, 60000);
    client_enforce_output_limit(c);
    core_later_ms(&r->f, 2000);
    client_enforce_output_limit(c);
    assert_false(is_closing(c));
    core_later_ms(&r->f, 1);
    client_enforce_output_limit(c);
    assert_true(is_closing(c));
}

static void test_each_class_has_limits_of_its_own(void **state)
{
    struct room *r = with(state, "client-output-buffer-limit normal 0 0 0 pubsub 50000 0 0\n");
    struct client *normal = room_open(r), *listens = room_open(r);
    pubsub_subscribe(listens, PUBSUB_CHANNEL, BYTES_LIT("c"));
    queue_bytes(normal, 60000);
    queue_bytes(listens, 60000);
    client_enforce_output_limit(normal);
    client_enforce_output_limit(listens);
    assert_false(is_closing(normal));
    assert_true(is_closing(listens));
}

/* ---- Memory ---- */

static void test_the_largest_client_goes_when_all_take_too_much(void **state)
{
    struct room *r = with(state, "maxmemory-clients 3mb\n");
    struct client *c[4];
    for (int i = 0; i < 4; i++) {
        c[i] = room_open(r);
        client_memory_changed(c[i]);
    }
    queue_bytes(c[0], 500 * 1024);
    queue_bytes(c[1], 1500 * 1024);
    queue_bytes(c[2], 700 * 1024);
    for (int i = 0; i < 3; i++) client_memory_changed(c[i]);
    for (int i = 0; i < 4; i++) assert_false(is_closing(c[i]));
    queue_bytes(c[3], 600 * 1024);
    client_memory_changed(c[3]);
    assert_true(is_closing(c[1]));
    assert_false(is_closing(c[0]) || is_closing(c[2]) || is_closing(c[3]));
    assert_int_equal(r->core->stats.evicted_clients, 1);
    assert_in_range(clients_leaving_memory(r->cs), 1500 * 1024, 1700 * 1024); /* eviction of keys leaves it out */
    clients_reap(r->cs);
    assert_int_equal(clients_leaving_memory(r->cs), 0);
    r->clients[1] = NULL;
    size_t sum = 0;
    for (struct client *at = clients_first(r->cs); at != NULL; at = at->next) sum += at->counted_memory;
    assert_int_equal(r->cs->evictable_memory, sum);
}

static void test_a_client_with_no_evict_is_not_counted(void **state)
{
    struct room *r = with(state, "maxmemory-clients 1mb\n");
    struct client *protected = room_open(r), *small = room_open(r);
    client_set_no_evict(protected, true);
    queue_bytes(protected, 5 << 20);
    client_memory_changed(protected);
    client_memory_changed(small);
    assert_false(is_closing(protected) || is_closing(small));
    client_set_no_evict(protected, false);
    clients_evict_all(r->cs);
    assert_true(is_closing(protected));
    assert_false(is_closing(small));
}

static void test_the_limit_may_be_a_share_of_maxmemory(void **state)
{
    struct room *r = with(state, "maxmemory 100mb\nmaxmemory-clients 2%\n");
    struct client *c = room_open(r);
    queue_bytes(c, 1 << 20);
    client_memory_changed(c);
    assert_false(is_closing(c));
    queue_bytes(c, 2 << 20);
    client_memory_changed(c);
    assert_true(is_closing(c));
}

static void test_a_lower_limit_holds_at_once(void **state)
{
    struct room *r = *state;
    struct client *c = room_open(r);
    queue_bytes(c, 2 << 20);
    client_memory_changed(c);
    assert_int_equal(r->cs->evictable_memory, 0); /* nothing is counted without a limit */
    r->f.settings.clients.maxmemory_clients = 1 << 20;
    clients_limits_changed(r->cs);
    assert_true(is_closing(c));
}

/* ---- Cron ---- */

static void test_idle_clients_are_closed(void **state)
{
    struct room *r = with(state, "timeout 10\n");
    struct client *idle = room_open(r), *blocked = room_open(r), *monitors = room_open(r), *listens = room_open(r),
                  *busy = room_open(r);
    client_block(blocked, &(struct blocked){.kind = BLOCK_WAIT});
    monitor_start(monitors);
    pubsub_subscribe(listens, PUBSUB_CHANNEL, BYTES_LIT("c"));
    core_later_ms(&r->f, 6000);
    room_say(r, busy, "PING\r\n");
    core_later_ms(&r->f, 4001);
    clients_cron(r->cs);
    assert_true(is_closing(idle));
    assert_false(is_closing(blocked) || is_closing(monitors) || is_closing(listens) || is_closing(busy));
}

/* Each call visits a share of the clients and goes on where the last call ended. */
static void test_cron_comes_round_to_every_client(void **state)
{
    struct room *r = with(state, "timeout 1\nhz 10\n");
    for (int i = 0; i < 60; i++) room_open(r);
    core_later_ms(&r->f, 2000);
    clients_cron(r->cs);
    size_t closed = 0;
    for (struct client *c = clients_first(r->cs); c != NULL; c = c->next) closed += is_closing(c);
    assert_in_range(closed, 5, 20); /* not all at once */
    for (int i = 0; i < 10; i++) {
        clients_reap(r->cs);
        clients_cron(r->cs);
    }
    clients_reap(r->cs);
    assert_int_equal(clients_count(r->cs), 0);
    clients_cron(r->cs);
}

static void test_buffers_of_idle_clients_are_given_back(void **state)
{
    struct room *r = *state;
    struct client *c = room_open(r);
    queue_bytes(c, 10000);
    client_wants_flush(c);
    clients_flush(r->cs);
    assert_true(client_memory(c) > sizeof(*c) + 10000);
    core_later_ms(&r->f, 3000);
    clients_cron(r->cs);
    assert_true(client_memory(c) < sizeof(*c) + 1000);
}

/* ---- What CLIENT commands say ---- */

static void test_reply_modes(void **state)
{
    struct room *r = *state;
    struct client *c = room_open(r);
    client_set_reply_mode(c, CLIENT_REPLIES_SKIP); /* CLIENT REPLY SKIP itself has no reply to be muted */
    reply_ok(&c->reply);
    assert_told(c, "+OK\r\n");
    client_reply_skipped(c);
    reply_ok(&c->reply); /* the command behind it */
    assert_told(c, "");
    client_reply_skipped(c);
    reply_ok(&c->reply);
    assert_told(c, "+OK\r\n");
    client_set_reply_mode(c, CLIENT_REPLIES_OFF);
    client_set_reply_mode(c, CLIENT_REPLIES_SKIP); /* says nothing new */
    assert_false(client_has(c, CLIENT_REPLY_SKIP_NEXT));
    reply_ok(&c->reply);
    assert_told(c, "");
    client_set_reply_mode(c, CLIENT_REPLIES_ON);
    reply_ok(&c->reply);
    assert_told(c, "+OK\r\n");
}

static void test_names_hold_no_blanks(void **state)
{
    struct room *r = *state;
    struct client *c = room_open(r);
    assert_true(client_set_name(c, BYTES_LIT("worker-1")));
    assert_false(client_set_name(c, BYTES_LIT("a b")));
    assert_false(client_set_name(c, BYTES_LIT("a\n")));
    assert_false(client_set_name(c, bytes_view("a\0b", 3)));
    assert_false(client_set_name(c, BYTES_LIT("\xc3\xa4")));
    assert_string_equal(c->name, "worker-1"); /* a refused name changes nothing */
    assert_true(client_set_name(c, (struct bytes_view){0}));
    assert_null(c->name);
}

static void test_reset_makes_it_a_new_connection(void **state)
{
    struct room *r = *state;
    struct client *c = room_open(r), *fresh = room_open(r);
    c->reply.proto = 3;
    c->db = keyspace_db(r->core->keyspace, 5);
    client_set_name(c, BYTES_LIT("name"));
    client_set_no_evict(c, true);
    client_set_no_touch(c, true);
    client_set_reply_mode(c, CLIENT_REPLIES_OFF);
    monitor_start(c);
    pubsub_subscribe(c, PUBSUB_PATTERN, BYTES_LIT("*"));
    client_wants_flush(c);
    client_reset(c);
    assert_int_equal(c->flags, fresh->flags | CLIENT_WANTS_FLUSH); /* on which lists it is stays */
    assert_int_equal(c->reply.proto, 2);
    assert_int_equal(c->db->id, 0);
    assert_null(c->name);
    assert_false(c->reply.muted);
    assert_int_equal(r->core->monitor_count, 0);
}

/* ---- Parts ---- */

static int opened, freed;
static void note_open(struct client *c)
{
    (void)c;
    opened++;
}
static void note_free(struct client *c)
{
    assert_non_null(c->conn); /* it is still there */
    freed++;
}
static size_t some_memory(const struct client *c)
{
    (void)c;
    return 1000;
}

static void test_parts_are_called(void **state)
{
    static const struct client_part notes = {.open = note_open, .free = note_free}, takes = {.memory = some_memory};
    static const struct client_part *const none[] = {NULL}, *const both[] = {&notes, &takes, NULL};
    struct room *r = *state;
    struct clients *plain = clients_new(r->core, none), *cs = clients_new(r->core, both);
    struct client *without = client_new(plain, room_connect(r));
    r->count++;
    struct client *c = client_new(cs, room_connect(r));
    r->count++;
    assert_int_equal(opened, 1);
    assert_int_equal(client_memory(c), client_memory(without) + 1000);
    clients_close_all(plain);
    clients_free(plain);
    assert_int_equal(freed, 0);
    clients_close_all(cs);
    assert_int_equal(freed, 1);
    clients_free(cs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROOM_TEST(test_ids_ascend_and_find_their_clients),
        ROOM_TEST(test_a_fake_client_is_on_no_list),
        ROOM_TEST(test_scripts_run_with_the_rights_of_their_caller),
        ROOM_TEST(test_maxclients_refuses_with_a_reason),
        ROOM_TEST(test_a_client_begins_as_configured),
        ROOM_TEST(test_requests_run_in_the_order_in_which_they_came),
        ROOM_TEST(test_a_client_is_ready_once),
        ROOM_TEST(test_a_client_whose_turn_has_not_come_is_not_read_without_end),
        ROOM_TEST(test_a_blocked_client_is_read_up_to_a_limit_and_goes_on_later),
        ROOM_TEST(test_reading_without_the_loop_leaves_one_out),
        ROOM_TEST(test_the_query_buffer_has_a_limit_that_may_change),
        ROOM_TEST(test_before_login_only_little_may_be_sent),
        ROOM_TEST(test_output_is_sent_once_in_each_turn),
        ROOM_TEST(test_what_the_socket_does_not_take_follows_when_it_is_writable),
        ROOM_TEST(test_the_last_reply_is_sent_before_the_end),
        ROOM_TEST(test_a_peer_that_leaves_ends_its_client),
        ROOM_TEST(test_closing_drops_what_is_queued),
        ROOM_TEST(test_a_freed_client_leaves_all_lists),
        ROOM_TEST(test_the_hard_limit_ends_a_client_at_once),
        ROOM_TEST(test_the_soft_limit_counts_time_above_it),
        ROOM_TEST(test_each_class_has_limits_of_its_own),
        ROOM_TEST(test_the_largest_client_goes_when_all_take_too_much),
        ROOM_TEST(test_a_client_with_no_evict_is_not_counted),
        ROOM_TEST(test_the_limit_may_be_a_share_of_maxmemory),
        ROOM_TEST(test_a_lower_limit_holds_at_once),
        ROOM_TEST(test_idle_clients_are_closed),
        ROOM_TEST(test_cron_comes_round_to_every_client),
        ROOM_TEST(test_buffers_of_idle_clients_are_given_back),
        ROOM_TEST(test_reply_modes),
        ROOM_TEST(test_names_hold_no_blanks),
        ROOM_TEST(test_reset_makes_it_a_new_connection),
        ROOM_TEST(test_parts_are_called),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
