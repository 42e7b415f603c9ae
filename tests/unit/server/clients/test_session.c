/* Users and connections: logging in, and what happens to clients when their user changes. */
#include "server/clients/session.h"

#include "server/clients/multi.h"
#include "server/clients/pubsub.h"
#include "server/net/resp_batch.h"
#include "tests/unit/server/clients/fixture.h"

static void set_user(struct room *r, const char *name, const char *rules)
{
    struct bytes_view words[16];
    size_t count = 0;
    struct config_error err = {{0}};
    for (const char *p = rules; *p != '\0'; count++) {
        size_t len = strcspn(p, " ");
        words[count] = bytes_view(p, len);
        p += len + (p[len] == ' ');
    }
    assert_int_equal(acl_users_set_anew(r->users, bytes_str(name), words, count, &err), 0);
}

static struct acl_user *user_of(const struct room *r, const char *name)
{
    return acl_users_find(r->users, bytes_str(name));
}

static bool log_in(struct client *c, const char *name, const char *password)
{
    return acl_session_login(c, bytes_str(name), bytes_str(password), BYTES_LIT("auth"));
}

static bool is_closing(const struct client *c)
{
    return client_has(c, CLIENT_CLOSING);
}

/* ---- Who a client is ---- */

static void test_a_connection_begins_as_the_default_user(void **state)
{
    struct room *r = *state;
    struct client *open = room_open(r);
    assert_true(acl_session_is_open(r->cs));
    assert_true(client_has(open, CLIENT_AUTHENTICATED));
    assert_false(client_has(open, CLIENT_RESTRICTED));
    set_user(r, "default", "on >secret ~* &* +@all");
    assert_false(acl_session_is_open(r->cs));
    struct client *c = room_open(r);
    assert_false(client_has(c, CLIENT_AUTHENTICATED));
    assert_true(log_in(c, "default", "secret"));
    assert_true(client_has(c, CLIENT_AUTHENTICATED));
    assert_true(client_has(open, CLIENT_AUTHENTICATED)); /* it was in before */
    set_user(r, "default", "off nopass ~* &* +@all");
    assert_false(acl_session_is_open(r->cs));
}

static void test_logging_in_changes_user_and_rights(void **state)
{
    struct room *r = *state;
    set_user(r, "reader", "on >pw ~* +get");
    struct client *c = room_open(r);
    assert_false(log_in(c, "reader", "wrong"));
    assert_false(log_in(c, "unknown", "pw"));
    assert_ptr_equal(c->user, acl_users_default(r->users)); /* a failure changes nothing */
    assert_true(client_has(c, CLIENT_AUTHENTICATED));
    assert_true(log_in(c, "reader", "pw"));
    assert_ptr_equal(c->user, user_of(r, "reader"));
    assert_true(client_has(c, CLIENT_RESTRICTED));
    assert_true(log_in(c, "reader", "pw")); /* again */
    client_reset(c);
    assert_ptr_equal(c->user, acl_users_default(r->users));
    assert_false(client_has(c, CLIENT_RESTRICTED));
}

static void test_failures_are_counted_and_logged(void **state)
{
    struct room *r = *state;
    struct client *c = room_open(r);
    client_set_name(c, BYTES_LIT("me"));
    assert_false(log_in(c, "ghost", "pw"));
    multi_begin(c);
    assert_false(log_in(c, "spook", "pw"));
    assert_int_equal(r->core->stats.acl_denied_auth, 2);
    assert_int_equal(acl_log_count(r->acl_log), 2);
    const struct acl_log_entry *e = acl_log_newest(r->acl_log);
    assert_int_equal(e->context, ACL_IN_MULTI);
    assert_true(bytes_equal(bytes_buf_view(&e->user), BYTES_LIT("spook")));
    assert_true(bytes_equal(bytes_buf_view(&e->object), BYTES_LIT("auth")));
    assert_non_null(memmem(e->client.data, e->client.len, " name=me ", 9));
    assert_int_equal(e->older->context, ACL_TOPLEVEL);
}

static void test_refusals_are_counted_by_reason(void **state)
{
    struct room *r = *state;
    struct client *c = room_open(r);
    acl_session_denied(c, ACL_TOPLEVEL, &(struct acl_denial){ACL_DENIED_COMMAND, BYTES_LIT("get")});
    acl_session_denied(c, ACL_IN_SCRIPT, &(struct acl_denial){ACL_DENIED_KEY, BYTES_LIT("k")});
    acl_session_denied(c, ACL_IN_SCRIPT, &(struct acl_denial){ACL_DENIED_KEY, BYTES_LIT("l")});
    acl_session_denied(c, ACL_TOPLEVEL, &(struct acl_denial){ACL_DENIED_CHANNEL, BYTES_LIT("c")});
    assert_int_equal(r->core->stats.acl_denied_cmd, 1);
    assert_int_equal(r->core->stats.acl_denied_key, 2);
    assert_int_equal(r->core->stats.acl_denied_channel, 1);
    assert_int_equal(acl_log_count(r->acl_log), 4);
    assert_true(bytes_equal(bytes_buf_view(&acl_log_newest(r->acl_log)->user), BYTES_LIT("default")));
}

static void test_scripts_borrow_the_user_of_their_caller(void **state)
{
    struct room *r = *state;
    set_user(r, "reader", "on >pw ~* +get");
    struct client *c = room_open(r), *script = client_new_script(r->cs);
    assert_true(log_in(c, "reader", "pw"));
    acl_session_borrow(script, c);
    assert_ptr_equal(script->user, c->user);
    assert_true(client_has(script, CLIENT_RESTRICTED));
    acl_session_return(script);
    acl_session_borrow(script, c);
    client_reset(c);
    acl_session_borrow(script, c);
    assert_false(client_has(script, CLIENT_RESTRICTED));
    acl_session_return(script);
    assert_null(script->user);
    client_free_fake(script); /* drops no reference that it does not hold */
    assert_string_equal(acl_user_name_text(c->user), "default");
}

/* ---- When users change ---- */

static void test_clients_follow_the_rules_of_their_user(void **state)
{
    struct room *r = *state;
    set_user(r, "u", "on >pw ~* &* +@all");
    struct client *c = room_open(r), *other = room_open(r);
    assert_true(log_in(c, "u", "pw"));
    assert_false(client_has(c, CLIENT_RESTRICTED));
    set_user(r, "u", "on >pw ~a* &* +@all");
    acl_session_user_changed(r->cs, user_of(r, "u"), NULL);
    assert_true(client_has(c, CLIENT_RESTRICTED));
    assert_false(client_has(other, CLIENT_RESTRICTED));
    assert_false(is_closing(c));
    set_user(r, "u", "on >pw ~* &* +@all");
    acl_session_users_changed(r->cs, NULL);
    assert_false(client_has(c, CLIENT_RESTRICTED));
}

static void test_clients_with_subscriptions_that_are_no_longer_permitted_are_closed(void **state)
{
    struct room *r = *state;
    set_user(r, "u", "on >pw ~* &* +@all");
    struct client *channel = room_open(r), *pattern = room_open(r), *shard = room_open(r), *fine = room_open(r),
                  *current = room_open(r);
    for (int i = 0; i < 5; i++) assert_true(log_in(r->clients[i], "u", "pw"));
    pubsub_subscribe(channel, PUBSUB_CHANNEL, BYTES_LIT("secret"));
    pubsub_subscribe(pattern, PUBSUB_PATTERN, BYTES_LIT("news.*"));
    pubsub_subscribe(shard, PUBSUB_SHARD, BYTES_LIT("secret"));
    pubsub_subscribe(fine, PUBSUB_CHANNEL, BYTES_LIT("news.it"));
    pubsub_subscribe(current, PUBSUB_CHANNEL, BYTES_LIT("secret"));
    set_user(r, "u", "on >pw ~* +@all &news.*");
    acl_session_user_changed(r->cs, user_of(r, "u"), current);
    assert_true(is_closing(channel));
    assert_false(is_closing(pattern)); /* the rule is the same pattern, literally */
    assert_true(is_closing(shard));
    assert_false(is_closing(fine));
    assert_false(is_closing(current)); /* it gets its answer first */
    assert_true(client_has(current, CLIENT_CLOSE_AFTER_REPLY));
    set_user(r, "u", "on >pw ~* +@all &news.i*");
    acl_session_user_changed(r->cs, user_of(r, "u"), NULL);
    assert_true(is_closing(pattern)); /* a narrower rule does not cover the pattern */
}

static void test_clients_that_had_to_log_in_are_let_in_when_it_opens(void **state)
{
    struct room *r = *state;
    set_user(r, "default", "on >secret ~* &* +@all");
    struct client *c = room_open(r);
    assert_false(client_has(c, CLIENT_AUTHENTICATED));
    set_user(r, "default", "on nopass ~* &* +@all");
    acl_session_user_changed(r->cs, acl_users_default(r->users), NULL);
    assert_true(client_has(c, CLIENT_AUTHENTICATED));
}

/* A change of the default user lets no client in that has not logged in, unless no password is asked any more. */
static void test_a_change_of_rules_logs_no_client_in(void **state)
{
    struct room *r = *state;
    set_user(r, "default", "on >secret ~* &* +@all");
    struct client *c = room_open(r);
    set_user(r, "default", "on >other ~* &* +@all");
    acl_session_user_changed(r->cs, acl_users_default(r->users), NULL);
    acl_session_users_changed(r->cs, NULL);
    assert_false(client_has(c, CLIENT_AUTHENTICATED));
}

/* A client that has not logged in may send small requests only. */
static void test_logging_in_lifts_the_limits_of_input(void **state)
{
    struct room *r = *state;
    struct resp_batch batch = {0};
    struct resp_request request;
    set_user(r, "default", "on >secret ~* &* +@all");
    struct client *before = room_open(r), *after = room_open(r);
    assert_true(log_in(after, "default", "secret"));
    resp_reader_feed(&before->reader, BYTES_LIT("*1\r\n$100000\r\n"));
    resp_reader_feed(&after->reader, BYTES_LIT("*1\r\n$100000\r\n"));
    assert_int_equal(resp_reader_next(&before->reader, &batch, &request), RESP_ERROR);
    assert_int_equal(resp_reader_next(&after->reader, &batch, &request), RESP_INCOMPLETE);
    resp_batch_release(&batch);
}

static void test_clients_of_a_removed_user_are_closed(void **state)
{
    struct room *r = *state;
    set_user(r, "u", "on >pw ~* +@all");
    struct client *c = room_open(r), *current = room_open(r), *other = room_open(r);
    assert_true(log_in(c, "u", "pw") && log_in(current, "u", "pw"));
    struct acl_user *user = user_of(r, "u");
    acl_session_user_gone(r->cs, user, current);
    acl_users_remove(r->users, user);
    assert_true(is_closing(c));
    assert_false(is_closing(current) || is_closing(other));
    assert_string_equal(acl_user_name_text(current->user), "u"); /* its reference keeps the user */
    clients_reap(r->cs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROOM_TEST(test_a_connection_begins_as_the_default_user),
        ROOM_TEST(test_logging_in_changes_user_and_rights),
        ROOM_TEST(test_failures_are_counted_and_logged),
        ROOM_TEST(test_refusals_are_counted_by_reason),
        ROOM_TEST(test_scripts_borrow_the_user_of_their_caller),
        ROOM_TEST(test_clients_follow_the_rules_of_their_user),
        ROOM_TEST(test_clients_with_subscriptions_that_are_no_longer_permitted_are_closed),
        ROOM_TEST(test_clients_that_had_to_log_in_are_let_in_when_it_opens),
        ROOM_TEST(test_a_change_of_rules_logs_no_client_in),
        ROOM_TEST(test_logging_in_lifts_the_limits_of_input),
        ROOM_TEST(test_clients_of_a_removed_user_are_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
