/* What does not count towards maxmemory. */
#include "server/memory/used_memory.h"

#include "tests/unit/server/memory/memory_fixture.h"

static size_t left_out_bytes;
static size_t left_out(void *ctx)
{
    assert_ptr_equal(ctx, &left_out_bytes);
    return left_out_bytes;
}

static size_t buffers(const struct memory_fixture *f)
{
    struct repl_memory stream;
    repl_memory(f->core->repl, &stream);
    return stream.replica_buffers + stream.aof_buffer;
}

static void feed(struct memory_fixture *f, size_t bytes)
{
    struct bytes_view argv[] = {BYTES_LIT("SET"), {.data = mem_calloc(bytes), .len = bytes}};
    exec_begin(f->core);
    exec_add(f->core, 0, 2, argv);
    exec_end(f->core);
    mem_free((void *)argv[1].data);
}

static void test_what_the_allocator_gave_out_counts(void **state)
{
    struct memory_fixture *f = *state;
    f->used.left_out = NULL;
    size_t before = used_memory_now(&f->used);
    assert_int_equal(before, mem_used() - buffers(f));
    void *block = mem_alloc(100000);
    assert_int_equal(used_memory_now(&f->used), before + mem_usable_size(block));
    mem_free(block);
    assert_int_equal(used_memory_now(&f->used), before);
}

static void test_what_others_leave_out(void **state)
{
    struct memory_fixture *f = *state;
    f->used.left_out = NULL;
    size_t all = used_memory_now(&f->used);
    f->used.left_out = left_out;
    f->used.left_out_ctx = &left_out_bytes;
    left_out_bytes = 1234;
    assert_int_equal(used_memory_now(&f->used), all - 1234);
    left_out_bytes = all + 1; /* two counters that were read one after the other may differ by more than there is */
    assert_int_equal(used_memory_now(&f->used), 0);
}

static void test_bytes_that_the_log_has_not_written_do_not_count(void **state)
{
    struct memory_fixture *f = *state;
    f->used.left_out = NULL;
    size_t before = used_memory_now(&f->used), before_buffers = buffers(f);
    feed(f, 4 << 20);
    assert_true(buffers(f) >= before_buffers + (4 << 20));
    assert_in_range(used_memory_now(&f->used), before - 4096, before + 65536);
}

static void test_bytes_that_a_replica_has_not_read_do_not_count(void **state)
{
    struct memory_fixture *f = *state;
    f->used.left_out = NULL;
    replica_attach(&f->base);
    repl_aof_stop(f->core->repl, &f->base.stream);
    feed(f, 2 << 20); /* fills the backlog, which counts */
    size_t before = used_memory_now(&f->used), before_buffers = buffers(f);
    feed(f, 4 << 20);
    assert_true(buffers(f) >= before_buffers + (4 << 20) - 65536);
    assert_in_range(used_memory_now(&f->used), before - 65536, before + 65536);
}

/* They are freed at the end of the turn: no key has to go for what they still take. */
static void test_evicted_clients_do_not_count(void **state)
{
    struct memory_fixture *f = *state;
    f->used.left_out = NULL;
    struct client *c = memory_client(f);
    struct bytes_view big = {.data = mem_calloc(1 << 20), .len = 1 << 20};
    outbuf_append(&c->out, big.data, big.len);
    mem_free((void *)big.data);
    size_t before = used_memory_now(&f->used);
    f->base.settings.clients.maxmemory_clients = 100000;
    clients_evict_all(f->clients);
    assert_true(client_has(c, CLIENT_CLOSING));
    assert_true(used_memory_now(&f->used) <= before - (1 << 20));
    clients_reap(f->clients);
    assert_int_equal(clients_leaving_memory(f->clients), 0);
    assert_true(used_memory_now(&f->used) <= before - (1 << 20));
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, memory_setup, memory_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_what_the_allocator_gave_out_counts),
        TEST(test_what_others_leave_out),
        TEST(test_bytes_that_the_log_has_not_written_do_not_count),
        TEST(test_bytes_that_a_replica_has_not_read_do_not_count),
        TEST(test_evicted_clients_do_not_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
