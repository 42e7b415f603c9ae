/* The running command: where pushes to its client wait, and what its request takes. */
#include "server/core/running.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "server/catalog/command_row.h"
#include "server/clients/client.h"
#include "storage/base/memory.h"

static const struct command get = {.name = "get"};
static const struct command subscribe = {.name = "subscribe", .flags = CMD_PUBSUB | CMD_SUBSCRIBED};
static const struct command publish = {.name = "publish", .flags = CMD_PUBSUB};
static const struct command ping = {.name = "ping", .flags = CMD_SUBSCRIBED};

static void test_pushes_wait_while_their_receivers_command_runs(void **state)
{
    struct running r;
    struct client a = {0}, b = {0};
    (void)state;
    running_init(&r);
    assert_null(running_push_queue(&r, &a)); /* no command runs */
    r.client = &a;
    r.command = &get;
    assert_ptr_equal(running_push_queue(&r, &a), &r.pushes);
    assert_null(running_push_queue(&r, &b)); /* the push stands between two replies anyway */
    running_release(&r);
}

/* Both flags are needed: PUBLISH to oneself waits for the reply, and so does what comes while PING runs. */
static void test_the_messages_of_subscribe_do_not_wait(void **state)
{
    struct running r;
    struct client a = {0};
    (void)state;
    running_init(&r);
    r.client = &a;
    r.command = &subscribe;
    assert_null(running_push_queue(&r, &a));
    r.command = &publish;
    assert_non_null(running_push_queue(&r, &a));
    r.command = &ping;
    assert_non_null(running_push_queue(&r, &a));
    running_release(&r);
}

static void test_the_caller_of_a_slow_script_is_still_in_its_command(void **state)
{
    struct running script, r;
    struct client caller = {0}, other = {0};
    (void)state;
    running_init(&script);
    running_init(&r);
    script.client = &caller;
    script.command = &get;
    r.outer = &script;
    r.client = &other;
    r.command = &publish;
    assert_ptr_equal(running_push_queue(&r, &caller), &script.pushes);
    assert_ptr_equal(running_push_queue(&r, &other), &r.pushes);
    running_release(&r);
    running_release(&script);
}

static void test_bytes_of_the_running_request(void **state)
{
    struct running script, r;
    struct client caller = {0}, other = {0};
    struct bytes_view argv[] = {BYTES_LIT("set"), BYTES_LIT("key"), BYTES_LIT("value")};
    struct resp_request request = {.argv = argv, .argc = 3, .raw = BYTES_LIT("*3\r\n$3\r\nset\r\n...")};
    size_t arguments = 99;
    (void)state;
    running_init(&script);
    running_init(&r);
    assert_int_equal(running_request_bytes(&r, &caller, &arguments), 0);
    assert_int_equal(arguments, 0);
    r.client = &caller;
    r.request = &request;
    assert_int_equal(running_request_bytes(&r, &caller, &arguments), request.raw.len);
    assert_int_equal(arguments, 11);
    assert_int_equal(running_request_bytes(&r, &other, &arguments), 0);
    assert_int_equal(arguments, 0);
    script.client = &other; /* its command was not parsed just now */
    r.outer = &script;
    assert_int_equal(running_request_bytes(&r, &other, &arguments), 0);
    script.request = &request;
    assert_int_equal(running_request_bytes(&r, &other, &arguments), request.raw.len);
    running_release(&r);
    running_release(&script);
}

static void test_release_drops_pushes(void **state)
{
    struct running r;
    (void)state;
    running_init(&r);
    size_t before = mem_used();
    outbuf_append(&r.pushes, "message", 7);
    assert_int_equal(outbuf_bytes(&r.pushes), 7);
    running_release(&r);
    assert_int_equal(mem_used(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pushes_wait_while_their_receivers_command_runs),
        cmocka_unit_test(test_the_messages_of_subscribe_do_not_wait),
        cmocka_unit_test(test_the_caller_of_a_slow_script_is_still_in_its_command),
        cmocka_unit_test(test_bytes_of_the_running_request),
        cmocka_unit_test(test_release_drops_pushes),
    };
    mem_thread_register();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
