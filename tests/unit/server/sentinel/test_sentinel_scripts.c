#include "server/sentinel/sentinel_scripts.h"

#include <signal.h>
#include <sys/wait.h>

#include "tests/unit/server/core/core_fixture.h"

enum { PROGRAMS_MAX = 512, FIRST_PID = 1000, RUNTIME_MS = 60000, DELAY_MS = 30000 };

/* The programs that were started; their pids follow each other. */
struct programs {
    struct core_fixture f;
    struct sentinel_scripts *scripts;
    int count;
    int statuses[PROGRAMS_MAX]; /* -1: it runs */
    int start_error;            /* 0: programs start */
    char started[PROGRAMS_MAX][64];
    char events[1024];
};

static pid_t fake_run(void *ctx, char *const *argv)
{
    struct programs *p = ctx;
    if (p->start_error != 0) return p->start_error;
    assert_true(p->count < PROGRAMS_MAX);
    snprintf(p->started[p->count], sizeof(p->started[0]), "%s %s", argv[0], argv[1] != NULL ? argv[1] : "");
    p->statuses[p->count] = -1;
    return FIRST_PID + p->count++;
}
static pid_t fake_waitpid(void *ctx, pid_t pid, int *status, int options)
{
    const struct programs *p = ctx;
    assert_int_equal(options, WNOHANG);
    if (p->statuses[pid - FIRST_PID] == -1) return 0;
    *status = p->statuses[pid - FIRST_PID];
    return pid;
}
static int fake_kill(void *ctx, pid_t pid, int number)
{
    struct programs *p = ctx;
    assert_int_equal(number, SIGKILL);
    p->statuses[pid - FIRST_PID] = SIGKILL;
    return 0;
}
static int64_t fake_mono(void *ctx)
{
    return ((const struct programs *)ctx)->f.mono_us;
}

static void on_event(void *ctx, const char *type, const char *text)
{
    struct programs *p = ctx;
    size_t len = strlen(p->events);
    snprintf(p->events + len, sizeof(p->events) - len, "%s %s\n", type, text);
}
static int64_t max_runtime(void *ctx)
{
    (void)ctx;
    return RUNTIME_MS;
}
static int64_t retry_delay(void *ctx)
{
    (void)ctx;
    return DELAY_MS;
}

static int setup(void **state)
{
    struct programs *p = mem_calloc(sizeof(*p));
    core_fixture_init(&p->f, NULL);
    struct sys *sys = mem_calloc(sizeof(*sys));
    *sys = *sys_real();
    sys->ctx = p;
    sys->run_program = fake_run;
    sys->waitpid = fake_waitpid;
    sys->kill = fake_kill;
    sys->mono_us = fake_mono;
    p->f.core.sys = sys;
    p->scripts = sentinel_scripts_new(&(struct sentinel_scripts_uses){
        .core = &p->f.core, .ctx = p, .event = on_event, .max_runtime_ms = max_runtime, .retry_delay_ms = retry_delay});
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    struct programs *p = *state;
    sentinel_scripts_free(p->scripts);
    mem_free((void *)p->f.core.sys);
    p->f.core.sys = &p->f.sys;
    core_fixture_release(&p->f);
    mem_free(p);
    return 0;
}

static void run(struct programs *p, const char *argument)
{
    sentinel_scripts_run(p->scripts, 2, (const char *[]){"/script", argument});
}
static void later(struct programs *p, int64_t ms)
{
    p->f.core.clock.mono_ms += ms;
    sentinel_scripts_cron(p->scripts);
}
static void ends(struct programs *p, int at, int code)
{
    p->statuses[at] = code << 8;
}

static void test_a_script_runs_once_and_is_forgotten(void **state)
{
    struct programs *p = *state;
    run(p, "+sdown");
    assert_int_equal(sentinel_scripts_running(p->scripts), 0);
    later(p, 1);
    assert_int_equal(sentinel_scripts_running(p->scripts), 1);
    assert_string_equal(p->started[0], "/script +sdown");
    ends(p, 0, 0);
    later(p, 1);
    assert_int_equal(sentinel_scripts_count(p->scripts), 0);
    assert_string_equal(p->events, "");
}

static void test_sixteen_run_at_once(void **state)
{
    struct programs *p = *state;
    for (int i = 0; i < 20; i++) run(p, "x");
    later(p, 1);
    assert_int_equal(sentinel_scripts_running(p->scripts), SCRIPTS_RUNNING_MAX);
    ends(p, 3, 0);
    later(p, 1);
    assert_int_equal(p->count, SCRIPTS_RUNNING_MAX + 1);
    assert_int_equal(sentinel_scripts_count(p->scripts), 19);
}

static void test_over_the_limit_the_oldest_that_waits_goes(void **state)
{
    struct programs *p = *state;
    char argument[16];
    for (int i = 0; i < SCRIPTS_MAX; i++) {
        snprintf(argument, sizeof(argument), "%d", i);
        run(p, argument);
        if (i == SCRIPTS_RUNNING_MAX - 1) later(p, 1);
    }
    run(p, "last");
    struct sentinel_script_info info;
    assert_int_equal(sentinel_scripts_count(p->scripts), SCRIPTS_MAX);
    sentinel_scripts_describe(p->scripts, SCRIPTS_RUNNING_MAX - 1, &info);
    assert_string_equal(info.argv[1], "15"); /* runs, and stays */
    sentinel_scripts_describe(p->scripts, SCRIPTS_RUNNING_MAX, &info);
    assert_string_equal(info.argv[1], "17");
}

static void test_status_1_is_tried_again_after_a_delay_that_doubles(void **state)
{
    struct programs *p = *state;
    run(p, "x");
    later(p, 1);
    for (int try = 1; try < SCRIPT_TRIES_MAX; try++) {
        struct sentinel_script_info info;
        ends(p, try - 1, 1);
        later(p, 1);
        sentinel_scripts_describe(p->scripts, 0, &info);
        assert_int_equal(info.pid, 0);
        assert_int_equal(info.tries, try);
        assert_int_equal(info.for_ms, (int64_t)DELAY_MS << (try - 1));
        later(p, info.for_ms - 1);
        assert_int_equal(p->count, try);
        later(p, 1);
        assert_int_equal(p->count, try + 1);
    }
    ends(p, SCRIPT_TRIES_MAX - 1, 1);
    later(p, 1);
    assert_int_equal(sentinel_scripts_count(p->scripts), 0);
    assert_string_equal(p->events, "-script-error /script 0 1\n");
}

static void test_status_2_is_final(void **state)
{
    struct programs *p = *state;
    run(p, "x");
    later(p, 1);
    ends(p, 0, 2);
    later(p, 1);
    assert_int_equal(sentinel_scripts_count(p->scripts), 0);
    assert_string_equal(p->events, "-script-error /script 0 2\n");
}

static void test_over_its_time_it_is_killed_and_tried_again(void **state)
{
    struct programs *p = *state;
    run(p, "x");
    later(p, 1);
    later(p, RUNTIME_MS);
    assert_int_equal(p->statuses[0], -1);
    later(p, 1);
    assert_int_equal(p->statuses[0], SIGKILL);
    assert_string_equal(p->events, "-script-timeout /script 1000\n");
    later(p, 1);
    assert_int_equal(sentinel_scripts_running(p->scripts), 0);
    later(p, DELAY_MS);
    assert_int_equal(p->count, 2);
}

static void test_what_cannot_be_started_is_given_up(void **state)
{
    struct programs *p = *state;
    p->start_error = -EAGAIN;
    run(p, "x");
    later(p, 1);
    assert_int_equal(sentinel_scripts_count(p->scripts), 0);
    assert_string_equal(p->events, "-script-error /script 99 0\n");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_a_script_runs_once_and_is_forgotten),
        TEST(test_sixteen_run_at_once),
        TEST(test_over_the_limit_the_oldest_that_waits_goes),
        TEST(test_status_1_is_tried_again_after_a_delay_that_doubles),
        TEST(test_status_2_is_final),
        TEST(test_over_its_time_it_is_killed_and_tried_again),
        TEST(test_what_cannot_be_started_is_given_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
