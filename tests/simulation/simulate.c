/* simulate.c -- runs seeds: in several processes, each run isolated from crashes of the others; reports and shrinks those
 * that fail.
 *
 *     simulate [--seeds N] [--from S] [--jobs J] [--file FILE] [--trace] [--no-shrink] [--until-failure] [--twice]
 *
 * A worker process runs seeds one after the other, and takes the next from a counter that all share. If it dies, that is
 * a failure of the seed it was at, and another takes its place. */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/times.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/simulation/plan.h"
#include "tests/simulation/scenario.h"
#include "tests/simulation/states.h"
#include "tests/simulation/world.h"

enum {
    JOBS_MAX = 64,
    STATES_MAX = 128,
    LISTED_MAX = 65536,
    HANG_S = 60, /* of real time for one run */
    REPORTS_MAX = 10,
    SHRINK_RUNS_MAX = 400,
    STATE_RUNS = 10000, /* from so many runs on, each state has to be reached */
    STATE_LEAST = 20,
};

static const char *const state_names[] = {
#define NAME(name, meaning) name,
    SIM_STATES(NAME)
#undef NAME
};
static const char *const state_meanings[] = {
#define MEANING(name, meaning) meaning,
    SIM_STATES(MEANING)
#undef MEANING
};
#define STATES (sizeof(state_names) / sizeof(state_names[0]))
_Static_assert(STATES <= (size_t)STATES_MAX, "the shared counters must have room");

struct result {
    bool finished;
    bool failed;
    uint64_t hash, events;
    char failure[SIM_FAILURE_MAX];
};

/* Shared by the processes. */
struct shared {
    atomic_ulong next, done, failures;
    atomic_ulong events;
    atomic_ulong reached[STATES_MAX];
    struct {
        atomic_ulong at; /* the index of the run, from 1; 0: none */
        atomic_long since_s;
    } jobs[JOBS_MAX];
    struct result trial; /* of a run in a process of its own */
    bool dropped[PLAN_ITEMS_MAX];
};
static struct shared *shared;

static struct {
    uint64_t from, seeds;
    uint64_t listed[LISTED_MAX];
    size_t listed_count;
    int jobs;
    bool trace, no_shrink, until_failure, twice;
} options = {.from = 1, .seeds = 1, .jobs = 1};

static bool reached_now[STATES_MAX];

void sim_reached(const char *state)
{
    size_t i = 0;
    while (i < STATES && strcmp(state_names[i], state) != 0) i++;
    if (i == STATES) {
        fprintf(stderr, "states.h has no state %s\n", state);
        abort();
    }
    if (!reached_now[i]) sim_trace("world", "reached: %s (%s)", state, state_meanings[i]);
    reached_now[i] = true;
}

/* ---- one run ---- */

static void run_item(void *ctx)
{
    struct plan_item *item = ctx;
    sim_trace("world", "%s", item->words);
    item->fn(item);
}

static void schedule_plan(void)
{
    for (size_t i = 0; i < plan.count; i++) {
        struct plan_item *item = &plan.items[i];
        if (!item->dropped) sim_event_at(&item->event, item->at_us, run_item, item);
    }
}

/* `dropped`: the items that are left out, or NULL. */
static void run_seed(uint64_t seed, const bool *dropped, struct result *out)
{
    memset(reached_now, 0, sizeof(reached_now));
    for (size_t i = 0; i < PLAN_ITEMS_MAX; i++) {
        sim_event_cancel(&plan.items[i].event);
        plan.items[i].dropped = dropped != NULL && dropped[i];
    }
    plan.count = 0;
    sim_begin(seed);
    rng_seed(&plan.rng, seed ^ 0x706c616e);
    scenario_begin();
    schedule_plan();
    sim_run();
    if (!sim.failed) scenario_end();
    sim_end();
    scenario_free();
    out->failed = sim.failed;
    out->hash = sim.hash;
    out->events = sim.events;
    memcpy(out->failure, sim.failure, sizeof(out->failure));
    out->finished = true;
}

/* ---- a run in a process of its own, which may crash ---- */

static void describe_death(int status, char *out, size_t cap)
{
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
        snprintf(out, cap, "hang: the run took more than %d seconds", HANG_S);
    else if (WIFSIGNALED(status))
        snprintf(out, cap, "crash: signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
    else
        snprintf(out, cap, "crash: the process has ended with code %d", WEXITSTATUS(status));
}

static struct result run_apart(uint64_t seed, const bool *dropped, bool quiet)
{
    shared->trial = (struct result){0};
    if (dropped != NULL) memcpy(shared->dropped, dropped, sizeof(shared->dropped));
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        if (quiet && freopen("/dev/null", "w", stderr) == NULL) _exit(2);
        alarm(HANG_S);
        run_seed(seed, dropped, &shared->trial);
        fflush(NULL);
        _exit(0);
    }
    int status = 0;
    while (waitpid(pid, &status, 0) == -1 && errno == EINTR) continue;
    struct result r = shared->trial;
    if (r.finished) return r;
    r.failed = true;
    describe_death(status, r.failure, sizeof(r.failure));
    return r;
}

/* ---- shrinking ---- */

static size_t check_len(const char *failure)
{
    const char *colon = strchr(failure, ':');
    return colon == NULL ? strlen(failure) : (size_t)(colon - failure);
}

static bool same_check(const char *a, const char *b)
{
    return check_len(a) == check_len(b) && memcmp(a, b, check_len(a)) == 0;
}

/* Leaves out groups of items, smaller and smaller, as long as the same check fails. */
static struct result shrink(uint64_t seed, size_t items, bool *dropped, struct result found)
{
    int runs = 0;
    for (size_t group = items / 2; group >= 1; group /= 2) {
        for (size_t first = 0; first < items && runs < SHRINK_RUNS_MAX; first += group) {
            bool trial[PLAN_ITEMS_MAX], any = false;
            memcpy(trial, dropped, sizeof(trial));
            for (size_t i = first; i < first + group && i < items; i++) {
                any |= !trial[i];
                trial[i] = true;
            }
            if (!any) continue;
            runs++;
            struct result r = run_apart(seed, trial, true);
            if (!r.failed || !same_check(r.failure, found.failure)) continue;
            found = r;
            memcpy(dropped, trial, sizeof(trial));
        }
    }
    return found;
}

/* ---- reports ---- */

static void print_plan(uint64_t seed, const bool *dropped)
{
    /* The plan is made again in this process; nothing runs. */
    memset(&plan, 0, sizeof(plan));
    for (size_t i = 0; i < PLAN_ITEMS_MAX; i++) plan.items[i].dropped = dropped[i];
    sim_begin(seed);
    rng_seed(&plan.rng, seed ^ 0x706c616e);
    scenario_begin();
    size_t left = 0;
    for (size_t i = 0; i < plan.count; i++) left += !plan.items[i].dropped;
    printf("    %zu of %zu items of the plan are needed:\n", left, plan.count);
    enum { SHOWN = 30 };
    size_t shown = 0;
    for (size_t i = 0; i < plan.count; i++) {
        const struct plan_item *item = &plan.items[i];
        if (item->dropped) continue;
        if (shown++ < SHOWN) printf("      %9.6f s  %s\n", (double)item->at_us / 1e6, item->words);
    }
    if (shown > SHOWN) printf("      ... and %zu more\n", shown - SHOWN);
    sim_end();
    scenario_free();
}

static void report(uint64_t seed, const struct result *first)
{
    bool dropped[PLAN_ITEMS_MAX] = {false};
    struct result again = run_apart(seed, NULL, true), smallest = again;
    printf("seed %llu FAILED: %s\n", (unsigned long long)seed, first->failure);
    if (!again.failed || strcmp(again.failure, first->failure) != 0 || again.hash != first->hash)
        printf("    NOT THE SAME when run again: %s (hashes %016llx and %016llx)\n",
               again.failed ? again.failure : "no failure", (unsigned long long)first->hash,
               (unsigned long long)again.hash);
    if (again.failed && !options.no_shrink) {
        smallest = shrink(seed, PLAN_ITEMS_MAX, dropped, again);
        printf("    after leaving out what it does not need: %s\n", smallest.failure);
        print_plan(seed, dropped);
    }
    printf("    simulate --from %llu --trace prints all of it; hash %016llx\n", (unsigned long long)seed,
           (unsigned long long)again.hash);
    fflush(stdout);
}

/* ---- workers ---- */

static uint64_t seed_of(uint64_t index)
{
    return options.listed_count > 0 ? options.listed[index] : options.from + index;
}

static uint64_t runs_wanted(void)
{
    return options.listed_count > 0 ? options.listed_count : options.seeds;
}

static long now_s(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec;
}

static void send_failure(int to, uint64_t seed, const struct result *r)
{
    struct {
        uint64_t seed;
        struct result result;
    } message = {seed, *r};
    ssize_t n = write(to, &message, sizeof(message));
    if (n != (ssize_t)sizeof(message)) abort();
}

/* Runs it again: it has to do the same to the byte. */
static void compare_with_second(uint64_t seed, struct result *r)
{
    struct result second = {0};
    run_seed(seed, NULL, &second);
    if (second.hash == r->hash || r->failed) return;
    r->failed = true;
    snprintf(r->failure, sizeof(r->failure), "repeat: the second run has hash %016llx instead of %016llx",
             (unsigned long long)second.hash, (unsigned long long)r->hash);
}

static _Noreturn void worker(int job, int reports)
{
    for (;;) {
        uint64_t index = atomic_fetch_add(&shared->next, 1);
        struct result r = {0};
        if (index >= runs_wanted()) _exit(0);
        atomic_store(&shared->jobs[job].at, index + 1);
        atomic_store(&shared->jobs[job].since_s, now_s());
        run_seed(seed_of(index), NULL, &r);
        if (options.twice) compare_with_second(seed_of(index), &r);
        atomic_fetch_add(&shared->events, r.events);
        for (size_t i = 0; i < STATES; i++)
            if (reached_now[i]) atomic_fetch_add(&shared->reached[i], 1);
        atomic_store(&shared->jobs[job].at, 0);
        atomic_fetch_add(&shared->done, 1);
        if (!r.failed) continue;
        atomic_fetch_add(&shared->failures, 1);
        send_failure(reports, seed_of(index), &r);
        if (options.until_failure) atomic_store(&shared->next, runs_wanted());
    }
}

static pid_t start_worker(int job, int reports)
{
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) worker(job, reports);
    return pid;
}

static void kill_if_hung(pid_t *pids)
{
    for (int job = 0; job < options.jobs; job++) {
        bool hangs =
            atomic_load(&shared->jobs[job].at) != 0 && now_s() - atomic_load(&shared->jobs[job].since_s) > HANG_S;
        if (pids[job] > 0 && hangs) kill(pids[job], SIGALRM);
    }
}

/* A worker has ended. True if it died in a run: then another is needed. */
static bool note_end(int job, int status, int reports)
{
    uint64_t at = atomic_exchange(&shared->jobs[job].at, 0);
    struct result r = {.failed = true};
    if (at == 0) return false;
    describe_death(status, r.failure, sizeof(r.failure));
    atomic_fetch_add(&shared->failures, 1);
    atomic_fetch_add(&shared->done, 1);
    send_failure(reports, seed_of(at - 1), &r);
    if (options.until_failure) atomic_store(&shared->next, runs_wanted());
    return true;
}

static void supervise(int reports)
{
    pid_t pids[JOBS_MAX] = {0};
    int running = 0;
    for (; running < options.jobs; running++) pids[running] = start_worker(running, reports);
    while (running > 0) {
        int status;
        pid_t pid = waitpid(-1, &status, WNOHANG);
        if (pid <= 0) {
            usleep(20000);
            kill_if_hung(pids);
            continue;
        }
        int job = 0;
        while (job < options.jobs && pids[job] != pid) job++;
        if (job == options.jobs) continue;
        if (note_end(job, status, reports)) {
            pids[job] = start_worker(job, reports);
        } else {
            pids[job] = 0;
            running--;
        }
    }
}

/* ---- the whole ---- */

static bool print_states(uint64_t runs)
{
    bool good = true;
    for (size_t i = 0; i < STATES; i++) {
        unsigned long times = atomic_load(&shared->reached[i]);
        bool rare = runs >= STATE_RUNS && times < STATE_LEAST * (runs / STATE_RUNS);
        printf("  %8lu  %-28s %s%s\n", times, state_names[i], state_meanings[i], rare ? "  TOO RARE" : "");
        good &= !rare;
    }
    return good;
}

static void read_list(const char *path)
{
    char line[256];
    FILE *f = fopen(path, "r");
    if (f == NULL) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        exit(2);
    }
    while (fgets(line, sizeof(line), f) != NULL && options.listed_count < LISTED_MAX)
        if (line[0] >= '0' && line[0] <= '9') options.listed[options.listed_count++] = strtoull(line, NULL, 10);
    fclose(f);
}

static void parse_options(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(argv[i], "--seeds") == 0)
            options.seeds = strtoull(value, NULL, 10), i++;
        else if (strcmp(argv[i], "--from") == 0)
            options.from = strtoull(value, NULL, 10), i++;
        else if (strcmp(argv[i], "--jobs") == 0)
            options.jobs = atoi(value), i++;
        else if (strcmp(argv[i], "--file") == 0)
            read_list(value), i++;
        else if (strcmp(argv[i], "--trace") == 0)
            options.trace = true;
        else if (strcmp(argv[i], "--no-shrink") == 0)
            options.no_shrink = true;
        else if (strcmp(argv[i], "--twice") == 0)
            options.twice = true;
        else if (strcmp(argv[i], "--until-failure") == 0)
            options.until_failure = true;
        else {
            fprintf(stderr, "usage: simulate [--seeds N] [--from S] [--jobs J] [--file FILE] [--trace] [--no-shrink] "
                            "[--until-failure] [--twice]\n");
            exit(2);
        }
    }
    if (options.jobs < 1 || options.jobs > JOBS_MAX) options.jobs = 1;
}

static int trace_one(void)
{
    struct result r = {0};
    sim.tracing = true;
    run_seed(options.from, NULL, &r);
    printf("%s; %llu events, hash %016llx\n", r.failed ? r.failure : "no failure", (unsigned long long)r.events,
           (unsigned long long)r.hash);
    return r.failed;
}

static double seconds_since(const struct timespec *start)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - start->tv_sec) + (double)(now.tv_nsec - start->tv_nsec) / 1e9;
}

static void print_failures(int from, unsigned long failures)
{
    struct {
        uint64_t seed;
        struct result result;
    } message;
    for (unsigned long i = 0; i < failures; i++) {
        if (pread(from, &message, sizeof(message), (off_t)(i * sizeof(message))) != (ssize_t)sizeof(message)) return;
        if (i < REPORTS_MAX)
            report(message.seed, &message.result);
        else
            printf("seed %llu FAILED: %s\n", (unsigned long long)message.seed, message.result.failure);
    }
}

int main(int argc, char **argv)
{
    struct timespec start;
    parse_options(argc, argv);
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    FILE *failed = tmpfile();
    if (shared == MAP_FAILED || failed == NULL) return 2;
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (options.trace) return trace_one();
    clock_gettime(CLOCK_MONOTONIC, &start);
    supervise(fileno(failed));
    double seconds = seconds_since(&start);
    uint64_t runs = atomic_load(&shared->done);
    unsigned long failures = atomic_load(&shared->failures);
    struct tms spent;
    times(&spent);
    double worked = (double)(spent.tms_cutime + spent.tms_cstime) / (double)sysconf(_SC_CLK_TCK);
    printf("%llu runs, %lu failed, %.1f s, %.0f runs in a second of processor time, %.0f events each\n",
           (unsigned long long)runs, failures, seconds, (double)runs / (worked > 0 ? worked : 1),
           (double)atomic_load(&shared->events) / (double)(runs > 0 ? runs : 1));
    bool good = print_states(runs);
    print_failures(fileno(failed), failures);
    return failures > 0 || !good;
}
