#include "storage/base/worker.h"

#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
enum { JOBS = 1000 };

struct record { /* what jobs did, in order; read after a drain only */
    int seen[JOBS];
    size_t count;
    int starts;
    pthread_t thread;
    sigset_t blocked;
    sem_t go;
};

struct job {
    struct record *record;
    int number;
};

static void run_job(void *ctx)
{
    struct job *job = ctx;
    job->record->seen[job->record->count++] = job->number;
    job->record->thread = pthread_self();
}

static void note_start(void *ctx)
{
    struct record *r = ctx;
    if (r->count == 0) r->starts++; /* only before the first job */
    pthread_sigmask(SIG_BLOCK, NULL, &r->blocked);
}

static void wait_for_go(void *ctx)
{
    struct record *r = ctx;
    while (sem_wait(&r->go) != 0) continue;
}

static void test_jobs_run_in_order_in_one_other_thread(void **state)
{
    static struct record r;
    static struct job jobs[JOBS];
    struct worker *w = worker_new();
    worker_on_start(w, note_start, &r);
    for (int i = 0; i < JOBS; i++) {
        jobs[i] = (struct job){&r, i};
        worker_run(w, run_job, &jobs[i]);
    }
    worker_drain(w);
    assert_int_equal(r.count, JOBS);
    for (int i = 0; i < JOBS; i++) assert_int_equal(r.seen[i], i);
    assert_false(pthread_equal(r.thread, pthread_self()));
    assert_int_equal(r.starts, 1);
    worker_free(w);
}

static void test_the_thread_leaves_signals_to_the_main_one(void **state)
{
    static struct record r;
    static struct job job = {&r, 1};
    static const int left[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGCHLD},
                     own[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
    struct worker *w = worker_new();
    worker_on_start(w, note_start, &r);
    worker_run(w, run_job, &job);
    worker_free(w);
    for (size_t i = 0; i < COUNT(left); i++) assert_true(sigismember(&r.blocked, left[i]));
    for (size_t i = 0; i < COUNT(own); i++) assert_false(sigismember(&r.blocked, own[i]));
}

static void test_freeing_runs_what_is_queued(void **state)
{
    static struct record r;
    static struct job jobs[10];
    struct worker *w = worker_new();
    sem_init(&r.go, 0, 0);
    worker_run(w, wait_for_go, &r);
    for (int i = 0; i < 10; i++) {
        jobs[i] = (struct job){&r, i};
        worker_run(w, run_job, &jobs[i]);
    }
    assert_int_equal(r.count, 0); /* the first job holds up the others */
    sem_post(&r.go);
    worker_free(w);
    assert_int_equal(r.count, 10);
    sem_destroy(&r.go);
}

static void test_a_worker_that_had_no_job(void **state)
{
    struct worker *w = worker_new();
    worker_drain(w); /* returns at once */
    worker_free(w);
    worker_free(NULL);
}

static void test_draining_waits_for_the_running_job(void **state)
{
    static struct record r;
    static struct job job = {&r, 7};
    struct worker *w = worker_new();
    for (int i = 0; i < 200; i++) {
        r.count = 0;
        worker_run(w, run_job, &job);
        worker_drain(w);
        assert_int_equal(r.count, 1);
    }
    worker_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_jobs_run_in_order_in_one_other_thread),
        cmocka_unit_test(test_the_thread_leaves_signals_to_the_main_one),
        cmocka_unit_test(test_freeing_runs_what_is_queued),
        cmocka_unit_test(test_a_worker_that_had_no_job),
        cmocka_unit_test(test_draining_waits_for_the_running_job),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
