#include "storage/base/memory.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/storage/base/dies.h"

enum { MB = 1024 * 1024 };

static void test_allocations_are_never_null(void **state)
{
    void *empty = mem_alloc(0), *other = mem_calloc(0);
    assert_non_null(empty);
    assert_non_null(other);
    assert_ptr_not_equal(empty, other);
    empty = mem_realloc(empty, 0);
    assert_non_null(empty);
    mem_free_sized(empty, 0);
    mem_free(other);
    mem_free(NULL);
    mem_free_sized(NULL, 10);
    assert_int_equal(mem_usable_size(NULL), 0);
}

static void test_contents(void **state)
{
    for (size_t size = 1; size < 5000; size += 37) {
        unsigned char *zeros = mem_calloc(size);
        for (size_t i = 0; i < size; i++) assert_int_equal(zeros[i], 0);
        memset(zeros, 0xab, size);
        zeros = mem_realloc(zeros, 3 * size);
        for (size_t i = 0; i < size; i++) assert_int_equal(zeros[i], 0xab);
        mem_free_sized(zeros, 3 * size);
    }
    char *copy = mem_strdup("text");
    assert_string_equal(copy, "text");
    mem_free(copy);
}

static void test_sizes_of_allocations(void **state)
{
    for (size_t size = 1; size < 100000; size += 1 + size / 7) {
        void *p = mem_alloc(size);
        assert_true(mem_usable_size(p) >= size);
        assert_true(mem_good_size(size) >= size);
#ifndef LOCKSTEP_SANITIZE
        assert_int_equal(mem_usable_size(p), mem_good_size(size));
#endif
        memset(p, 1, mem_usable_size(p)); /* all of it may be used */
        mem_free(p);
    }
}

static void test_aligned_allocations(void **state)
{
    for (size_t alignment = 16; alignment <= 8192; alignment *= 2) {
        void *a = mem_alloc_aligned(alignment, 100), *b = mem_alloc_aligned(alignment, 100);
        assert_int_equal((uintptr_t)a % alignment, 0);
        assert_int_equal((uintptr_t)b % alignment, 0);
        mem_free(a);
        mem_free(b);
    }
}

#ifndef LOCKSTEP_SANITIZE /* the sanitizers stop at such a size by themselves, and count in their own way */

static volatile size_t absurd = SIZE_MAX / 4; /* not known to the compiler */

static void allocate_too_much(void)
{
    mem_free(mem_alloc(absurd));
}
static void grow_too_much(void)
{
    mem_free(mem_realloc(mem_alloc(10), absurd));
}
static void clear_too_much(void)
{
    mem_free(mem_calloc(absurd));
}

static void test_out_of_memory_stops_the_process(void **state)
{
    char text[512];
    assert_int_equal(dies_of(allocate_too_much, text, sizeof(text)), SIGABRT);
    assert_non_null(strstr(text, "Out of memory allocating"));
    assert_int_equal(signal_of(grow_too_much), SIGABRT);
    assert_int_equal(signal_of(clear_too_much), SIGABRT);
}

static void test_a_try_may_fail(void **state)
{
    assert_null(mem_try_alloc(absurd));
    char *p = mem_try_alloc(4);
    assert_non_null(p);
    memcpy(p, "abc", 4);
    assert_null(mem_try_realloc(p, absurd));
    assert_string_equal(p, "abc"); /* as it was */
    p = mem_try_realloc(p, 1000);
    assert_non_null(p);
    assert_string_equal(p, "abc");
    mem_free(p);
}

static void test_memory_in_use_is_counted(void **state)
{
    mem_thread_register();
    mem_thread_register(); /* counts once */
    size_t before = mem_used();
    char *p = mem_alloc(8 * MB);
    assert_in_range(mem_used() - before, 8 * MB, 10 * MB);
    p = mem_realloc(p, 16 * MB);
    assert_in_range(mem_used() - before, 16 * MB, 20 * MB);
    mem_free(p);
    assert_true(mem_used() < before + MB);
    mem_thread_unregister();
}

static void *allocate_in_thread(void *unused)
{
    (void)unused;
    mem_thread_register();
    void *p = mem_alloc(8 * MB);
    mem_thread_unregister();
    return p;
}

static void test_what_a_thread_leaves_stays_counted(void **state)
{
    pthread_t thread;
    void *left;
    mem_thread_register();
    size_t before = mem_used();
    assert_int_equal(pthread_create(&thread, NULL, allocate_in_thread, NULL), 0);
    assert_int_equal(pthread_join(thread, &left), 0);
    assert_in_range(mem_used() - before, 8 * MB, 10 * MB);
    mem_free(left); /* in another thread than it came from */
    assert_true(mem_used() < before + MB);
    mem_thread_unregister();
}

static void *come_and_go(void *unused)
{
    mem_thread_register();
    mem_thread_unregister();
    return unused;
}

static void test_the_places_of_threads_that_ended_are_used_again(void **state)
{
    for (int i = 0; i < 100; i++) {
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, come_and_go, NULL), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
    }
}

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_allocations_are_never_null),
        cmocka_unit_test(test_contents),
        cmocka_unit_test(test_sizes_of_allocations),
        cmocka_unit_test(test_aligned_allocations),
#ifndef LOCKSTEP_SANITIZE
        cmocka_unit_test(test_out_of_memory_stops_the_process),
        cmocka_unit_test(test_a_try_may_fail),
        cmocka_unit_test(test_memory_in_use_is_counted),
        cmocka_unit_test(test_what_a_thread_leaves_stays_counted),
        cmocka_unit_test(test_the_places_of_threads_that_ended_are_used_again),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
