#include "server/net/resolver.h"

#include <dirent.h>

#include "storage/base/memory.h"
#include "tests/unit/server/net/fake_dns.h"

static const struct dns_name names[] = {
    {.name = "both.test", .addresses = {"192.0.2.1", "2001:db8::1"}},
    {.name = "four.test", .addresses = {"192.0.2.1", "192.0.2.2"}},
    {.name = "six.test", .addresses = {"2001:db8::2"}},
    {.name = "many.test",
     .addresses = {"192.0.2.1",  "192.0.2.2",  "192.0.2.3",  "192.0.2.4",  "192.0.2.5",  "192.0.2.6",  "192.0.2.7",
                   "192.0.2.8",  "192.0.2.9",  "192.0.2.10", "192.0.2.11", "192.0.2.12", "192.0.2.13", "192.0.2.14",
                   "192.0.2.15", "192.0.2.16", "192.0.2.17", "192.0.2.18", "192.0.2.19", "192.0.2.20"}},
    {.name = "silent.test", .how = DNS_SILENT},
    {.name = "lost.test", .how = DNS_SILENT_ONCE, .addresses = {"192.0.2.7"}},
    {.name = "fails.test", .how = DNS_FAILS},
    {.name = "garbage.test", .how = DNS_GARBAGE, .addresses = {"192.0.2.1"}},
    {.name = "empty.test", .how = DNS_EMPTY},
    {.name = NULL},
};

struct fixture {
    struct loop *loop;
    struct fake_dns dns;
    struct resolver_options options;
    int descriptors; /* open before the test */
    int calls, count;
    struct net_address found[RESOLVER_ADDRESSES_MAX];
    char error[128];
    int ticks;
};

static int open_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int n = 0;
    assert_non_null(dir);
    while (readdir(dir) != NULL) n++;
    closedir(dir);
    return n;
}

static int setup(void **state)
{
    struct fixture *f = mem_calloc(sizeof(*f));
    f->loop = loop_new();
    fake_dns_start(&f->dns, f->loop, names);
    f->options = (struct resolver_options){.servers = f->dns.servers, .patience_ms = 300, .try_ms = 50};
    f->descriptors = open_descriptors();
    *state = f;
    return 0;
}

/* Each test leaves no descriptor and no watcher behind. */
static int teardown(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(open_descriptors(), f->descriptors);
    fake_dns_stop(&f->dns);
    loop_free(f->loop);
    mem_free(f);
    return 0;
}

static void on_done(void *ctx, const struct net_address *found, int count, const char *error)
{
    struct fixture *f = ctx;
    f->calls++;
    f->count = count;
    if (count > 0) memcpy(f->found, found, (size_t)count * sizeof(*found));
    snprintf(f->error, sizeof(f->error), "%s", error);
}

static struct resolver_query *start(struct fixture *f, const char *name)
{
    f->calls = 0;
    struct resolver_query *q = resolver_start(f->loop, &f->options, name, 6379, on_done, f);
    assert_int_equal(f->calls, 0); /* never from inside the call */
    return q;
}

static void resolve(struct fixture *f, const char *name)
{
    (void)start(f, name); /* it frees itself */
    while (f->calls == 0) loop_run_turn(f->loop);
    assert_int_equal(f->calls, 1);
}

static bool has_found(const struct fixture *f, const char *digits)
{
    struct net_address a;
    assert_true(net_address_parse(digits, 6379, &a));
    for (int i = 0; i < f->count; i++)
        if (f->found[i].len == a.len && memcmp(&f->found[i].storage, &a.storage, a.len) == 0) return true;
    return false;
}

static void test_addresses_of_both_families(void **state)
{
    struct fixture *f = *state;
    resolve(f, "both.test");
    assert_int_equal(f->count, 2);
    assert_true(has_found(f, "192.0.2.1"));
    assert_true(has_found(f, "2001:db8::1"));
    resolve(f, "four.test");
    assert_int_equal(f->count, 2);
    assert_true(has_found(f, "192.0.2.1"));
    assert_true(has_found(f, "192.0.2.2"));
    resolve(f, "six.test");
    assert_int_equal(f->count, 1);
    assert_true(has_found(f, "2001:db8::2"));
}

static void test_more_addresses_than_there_is_room(void **state)
{
    struct fixture *f = *state;
    resolve(f, "many.test");
    assert_int_equal(f->count, RESOLVER_ADDRESSES_MAX);
}

static void test_a_name_of_the_hosts_file_asks_nobody(void **state)
{
    struct fixture *f = *state;
    resolve(f, "localhost");
    assert_true(f->count > 0);
    assert_true(has_found(f, "127.0.0.1") || has_found(f, "::1"));
    assert_int_equal(f->dns.queries, 0);
}

static void assert_fails(struct fixture *f, const char *name, const char *error)
{
    resolve(f, name);
    assert_int_equal(f->count, 0);
    if (strstr(f->error, error) == NULL) fail_msg("%s: [%s] instead of [%s]", name, f->error, error);
}

static void test_failures_have_their_reasons(void **state)
{
    struct fixture *f = *state;
    assert_fails(f, "unknown.test", "not found");
    assert_fails(f, "a-label-of-more-than-sixty-three-bytes-which-is-as-long-as-a-label-can-be.test", "Misformatted");
    assert_fails(f, "", "");
    char longest[2000];
    memset(longest, 'x', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    assert_fails(f, longest, "");
    for (const char *name = "empty.test\0fails.test\0garbage.test\0"; *name != '\0'; name += strlen(name) + 1)
        assert_fails(f, name, "");
}

static void on_tick(void *ctx)
{
    ((struct fixture *)ctx)->ticks++;
}

static void test_a_silent_server_stops_nothing_else(void **state)
{
    struct fixture *f = *state;
    struct loop_timer tick = {0};
    loop_timer_start(f->loop, &tick, 10, 10, on_tick, f);
    assert_fails(f, "silent.test", "no answer in time");
    assert_true(f->ticks >= 15); /* of the 30 in 300 ms */
    assert_true(f->dns.queries > 2);
    loop_timer_stop(&tick);
}

static void test_a_lost_packet_is_sent_again(void **state)
{
    struct fixture *f = *state;
    f->options.patience_ms = 20000;
    resolve(f, "lost.test");
    assert_int_equal(f->count, 1);
    assert_true(has_found(f, "192.0.2.7"));
    assert_true(f->dns.queries > 2);
}

static void test_no_server_listens(void **state)
{
    struct fixture *f = *state;
    f->options.servers = "127.0.0.1:1";
    resolve(f, "both.test");
    assert_int_equal(f->count, 0);
    assert_true(f->error[0] != '\0');
}

static void test_a_cancelled_query_calls_nobody(void **state)
{
    struct fixture *f = *state;
    resolver_cancel(start(f, "both.test")); /* at once */
    resolver_cancel(start(f, "localhost"));
    struct resolver_query *q = start(f, "silent.test");
    f->dns.queries = 0;
    while (f->dns.queries == 0) loop_run_turn(f->loop); /* it waits for the answer */
    resolver_cancel(q);
    resolver_cancel(NULL);
    for (int i = 0; i < 10; i++) loop_poll_turn(f->loop);
    assert_int_equal(f->calls, 0);
}

static void test_many_queries_at_once(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 50; i++) (void)start(f, i % 2 ? "both.test" : "unknown.test");
    while (f->calls < 50) loop_run_turn(f->loop);
    assert_int_equal(f->calls, 50);
}

#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    resolver_prepare_process();
    const struct CMUnitTest tests[] = {
        WITH_FIXTURE(test_addresses_of_both_families),
        WITH_FIXTURE(test_more_addresses_than_there_is_room),
        WITH_FIXTURE(test_a_name_of_the_hosts_file_asks_nobody),
        WITH_FIXTURE(test_failures_have_their_reasons),
        WITH_FIXTURE(test_a_silent_server_stops_nothing_else),
        WITH_FIXTURE(test_a_lost_packet_is_sent_again),
        WITH_FIXTURE(test_no_server_listens),
        WITH_FIXTURE(test_a_cancelled_query_calls_nobody),
        WITH_FIXTURE(test_many_queries_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
