#include "server/net/resp_batch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "storage/base/memory.h"
#include "storage/base/sys.h"

/* Takes and fills n slots, so that overlapping slots are detected. */
static struct bytes_view *take(struct resp_batch *b, size_t n, size_t tag)
{
    struct bytes_view *slots = resp_batch_reserve(b, n);
    assert_true(b->end >= slots && (size_t)(b->end - slots) >= n); /* all of them are in the chunk */
    for (size_t i = 0; i < n; i++) slots[i] = bytes_view((const char *)(uintptr_t)(tag + i), tag);
    resp_batch_commit(b, n);
    return slots;
}

static void check(const struct bytes_view *slots, size_t n, size_t tag)
{
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(slots[i].len, tag);
        assert_ptr_equal(slots[i].data, (const char *)(uintptr_t)(tag + i));
    }
}

/* Slots stay in place, however many more are given out. */
static void test_vectors_stay_in_place(void **state)
{
    enum { ROUNDS = 300 };
    struct bytes_view *taken[ROUNDS];
    size_t counts[ROUNDS];
    struct resp_batch b;
    struct rng rng;
    rng_seed(&rng, 1);
    resp_batch_init(&b);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < ROUNDS; i++) {
            counts[i] = 1 + (size_t)rng_below(&rng, i % 50 == 0 ? 5000 : 60); /* some larger than a chunk */
            taken[i] = take(&b, counts[i], 1 + (size_t)i * 10000);
        }
        for (int i = 0; i < ROUNDS; i++) check(taken[i], counts[i], 1 + (size_t)i * 10000);
        resp_batch_reset(&b);
    }
    resp_batch_release(&b);
}

static void test_what_is_not_committed_is_given_out_again(void **state)
{
    struct resp_batch b;
    resp_batch_init(&b);
    struct bytes_view *first = resp_batch_reserve(&b, 100);
    resp_batch_commit(&b, 3);
    assert_ptr_equal(resp_batch_reserve(&b, 1), first + 3);
    resp_batch_commit(&b, 0);
    assert_ptr_equal(resp_batch_reserve(&b, 1), first + 3);
    resp_batch_release(&b);
}

/* A reset keeps the memory of an ordinary round and frees the rest. */
static void test_a_reset_keeps_the_first_chunk_alone(void **state)
{
    struct resp_batch b;
    resp_batch_init(&b);
    size_t before = mem_used();
    const struct bytes_view *first = resp_batch_reserve(&b, 1);
    for (int i = 0; i < 100; i++) (void)take(&b, 1000, 1);
    assert_true(mem_used() > before + 100 * 900 * sizeof(struct bytes_view));
    resp_batch_reset(&b);
    assert_int_equal(mem_used(), before);
    assert_ptr_equal(resp_batch_reserve(&b, 1), first);
    resp_batch_reset(&b); /* a second reset changes nothing */
    assert_ptr_equal(resp_batch_reserve(&b, 1), first);
    resp_batch_release(&b);
}

static void test_bytes_live_with_the_vectors(void **state)
{
    static const size_t lengths[] = {0, 1, 15, 16, 17, 1000, 100000};
    struct resp_batch b;
    char *bytes[7];
    resp_batch_init(&b);
    for (int i = 0; i < 7; i++) {
        bytes[i] = resp_batch_bytes(&b, lengths[i]);
        memset(bytes[i], 'a' + i, lengths[i]);
        (void)take(&b, 3, 77); /* slots between the bytes */
    }
    for (int i = 0; i < 7; i++)
        for (size_t k = 0; k < lengths[i]; k++) assert_int_equal(bytes[i][k], 'a' + i);
    resp_batch_release(&b);
}

static void test_nothing_is_left_behind(void **state)
{
    size_t before = mem_used();
    struct resp_batch b;
    resp_batch_init(&b);
    (void)take(&b, 10000, 1);
    (void)resp_batch_bytes(&b, 100000);
    resp_batch_release(&b);
    assert_int_equal(mem_used(), before);
}

int main(void)
{
    mem_thread_register(); /* so that mem_used() counts */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors_stay_in_place),
        cmocka_unit_test(test_what_is_not_committed_is_given_out_again),
        cmocka_unit_test(test_a_reset_keeps_the_first_chunk_alone),
        cmocka_unit_test(test_bytes_live_with_the_vectors),
        cmocka_unit_test(test_nothing_is_left_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
