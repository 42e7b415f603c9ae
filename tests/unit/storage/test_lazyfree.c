#include "storage/lazyfree.h"

#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "storage/base/memory.h"
#include "storage/keyspace.h"
#include "storage/list.h"
#include "storage/set.h"

struct jobs { /* read after a drain only */
    sem_t go;
    int ran, starts;
    pthread_t thread;
};

static void hold_up(void *taken)
{
    struct jobs *j = taken;
    while (sem_wait(&j->go) != 0) continue;
    j->ran++;
    j->thread = pthread_self();
}

static void note_start(void *ctx)
{
    struct jobs *j = ctx;
    j->starts++;
}

static void test_pending_and_freed_count_objects(void **state)
{
    struct jobs j = {0};
    struct lazyfree *lf = lazyfree_new();
    sem_init(&j.go, 0, 0);
    lazyfree_on_start(lf, note_start, &j);
    assert_int_equal(lazyfree_pending(lf), 0);
    lazyfree_run(lf, hold_up, &j, 1000);
    lazyfree_run(lf, hold_up, &j, 7);
    assert_int_equal(lazyfree_pending(lf), 1007);
    assert_int_equal(lazyfree_freed(lf), 0);
    sem_post(&j.go), sem_post(&j.go);
    lazyfree_drain(lf);
    assert_int_equal(lazyfree_pending(lf), 0);
    assert_int_equal(lazyfree_freed(lf), 1007);
    assert_int_equal(j.ran, 2);
    assert_int_equal(j.starts, 1);
    assert_false(pthread_equal(j.thread, pthread_self()));
    lazyfree_reset_stats(lf);
    assert_int_equal(lazyfree_freed(lf), 0);
    lazyfree_free(lf);
    sem_destroy(&j.go);
}

static void test_freeing_finishes_all_jobs(void **state)
{
    struct jobs j = {0};
    struct lazyfree *lf = lazyfree_new();
    sem_init(&j.go, 0, 5);
    for (int i = 0; i < 5; i++) lazyfree_run(lf, hold_up, &j, 1);
    lazyfree_free(lf);
    assert_int_equal(j.ran, 5);
    sem_destroy(&j.go);
    lazyfree_free(NULL);
    lazyfree_free(lazyfree_new()); /* that had no job */
}

/* Leak checks of the sanitizer and mem_used() show that they are freed. */
static void test_values_are_freed(void **state)
{
    struct encoding_limits limits = encoding_limits_default();
    struct keyspace *ks = keyspace_new(1, &limits, NULL, sys_real());
    struct lazyfree *lf = lazyfree_new();
    char text[32];
    mem_thread_register();
    size_t before = mem_used();
    for (int round = 0; round < 10; round++) {
        struct list *l = list_new(ks->env);
        struct set *s = set_new(ks->env, BYTES_LIT("first"), 0);
        for (int i = 0; i < 5000; i++) {
            struct bytes_view v = bytes_view(text, (size_t)snprintf(text, sizeof(text), "element %d", i));
            list_push(l, LIST_TAIL, v);
            set_add(s, v);
        }
        lazyfree_value(lf, TYPE_LIST, l);
        lazyfree_value(lf, TYPE_SET, s);
    }
    lazyfree_drain(lf);
    assert_int_equal(lazyfree_freed(lf), 20); /* a value is one object */
    assert_true(mem_used() < before + 1024 * 1024);
    mem_thread_unregister();
    lazyfree_free(lf);
    keyspace_free(ks);
}

static void test_a_keyspace_hands_over_only_what_is_big(void **state)
{
    struct encoding_limits limits = encoding_limits_default();
    struct keyspace *ks = keyspace_new(1, &limits, NULL, sys_real());
    struct db *db = keyspace_db(ks, 0);
    ks->lazyfree = lazyfree_new();
    for (int big = 0; big <= 1; big++) {
        struct set *s = set_new(ks->env, BYTES_LIT("first"), (size_t)1000); /* a table */
        char text[32];
        for (int i = 0; i < (big ? LAZYFREE_THRESHOLD + 1 : LAZYFREE_THRESHOLD); i++)
            set_add(s, bytes_view(text, (size_t)snprintf(text, sizeof(text), "member %d", i)));
        struct keyref key = keyref(db, BYTES_LIT("set"));
        keyspace_put_value(db, key, TYPE_SET, s, 0);
        assert_true(keyspace_delete(db, key, true));
        lazyfree_drain(ks->lazyfree);
        assert_int_equal(lazyfree_freed(ks->lazyfree), big);
    }
    lazyfree_free(ks->lazyfree);
    ks->lazyfree = NULL;
    keyspace_free(ks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pending_and_freed_count_objects),
        cmocka_unit_test(test_freeing_finishes_all_jobs),
        cmocka_unit_test(test_values_are_freed),
        cmocka_unit_test(test_a_keyspace_hands_over_only_what_is_big),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
