#include "server/streams/verify_master.h"

#include "replication/replication.h"
#include "server/config/settings.h"
#include "server/core/core.h"
#include "server/streams/repair_master.h"
#include "server/streams/verify_check.h"
#include "storage/base/memory.h"
#include "storage/range_walk.h"
#include "storage/rdb.h"

enum {
    IDLE_MS = 500,      /* how often an idle checker looks whether it has something to do */
    WAIT_MAX_MS = 200,  /* how often a waiting one looks whether it may go on, and when */
    STEP_GOAL_US = 300, /* of a step's work, so that it stays below 500 us on a busy machine */
    WORK_MIN = 1000,
    WORK_MAX = 15000, /* of a step: 300 us at 20 ns */
    WORK_PER_KEY = 8, /* the guess before anything was measured */
    REST_FACTOR = 9,  /* a step that took 1 is followed by a rest of 9: at most a tenth of the time */
};

struct verify_master {
    struct core *core;
    struct repair_master *repair;
    struct loop_timer timer; /* runs while replica-verify is on */
    struct range_walk *walk;
    bool running; /* a round is under way, or the next one waits for its time */
    bool walking; /* ... and not at its end */
    int64_t round_start_us, next_us;
    uint64_t round;                       /* its number */
    uint64_t round_work, last_round_work; /* of this round so far; of the last complete one, or 0 */
    uint64_t ns_per_work_16;              /* measured, in sixteenths of a nanosecond; 0: nothing was measured yet */
    struct verify_master_info info;
};

static const char *state_of(const struct verify_master *vm)
{
    const struct core *core = vm->core;
    if (!core->settings->replication.replica_verify) return "off";
    if (repl_role(core->repl) != REPL_MASTER) return "replica";
    if (core->settings->persistence.rdb_version < RDB_VERSION_STREAM_COUNTS) return "rdb-version";
    if (!repl_verify_wanted(core->repl)) return "no-replica";
    if (core->modes.loading || pause_current(core) != PAUSE_NONE) return "waiting";
    return "running";
}

/* ---- Pace ---- */

static uint64_t work_max(const struct verify_master *vm)
{
    if (vm->ns_per_work_16 == 0) return WORK_MAX / 4;
    uint64_t max = (uint64_t)STEP_GOAL_US * 1000 * 16 / vm->ns_per_work_16;
    if (max < WORK_MIN) return WORK_MIN;
    return max > WORK_MAX ? WORK_MAX : max;
}

/* A step of little work says more about the clock than about the work. */
static void measure(struct verify_master *vm, uint64_t work, int64_t cost_us)
{
    vm->info.cost_us += (uint64_t)cost_us;
    if ((uint64_t)cost_us > vm->info.check_max_us) vm->info.check_max_us = (uint64_t)cost_us;
    if (work < WORK_MIN / 2) return;
    uint64_t now_16 = (uint64_t)cost_us * 1000 * 16 / work + 1;
    vm->ns_per_work_16 = vm->ns_per_work_16 == 0 ? now_16 : (vm->ns_per_work_16 * 7 + now_16) / 8;
}

/* The work of the whole round, from what the last one took and from what this one took for its share of the keys. */
static uint64_t expected_work(const struct verify_master *vm)
{
    uint64_t keys = keyspace_count(vm->core->keyspace), passed = range_walk_keys(vm->walk), expected;
    if (vm->last_round_work > 0)
        expected = vm->last_round_work;
    else if (passed > 0 && passed < keys)
        expected = (uint64_t)((double)vm->round_work * (double)keys / (double)passed);
    else
        expected = keys * WORK_PER_KEY;
    return expected > vm->round_work ? expected : vm->round_work + 1;
}

static int64_t period_us(const struct verify_master *vm)
{
    return (int64_t)vm->core->settings->replication.replica_verify_period_s * 1000000;
}

static void plan_next(struct verify_master *vm, int64_t now_us, int64_t cost_us)
{
    double done = (double)vm->round_work / (double)expected_work(vm);
    vm->next_us = vm->round_start_us + (int64_t)((double)period_us(vm) * done);
    int64_t rested_us = now_us + REST_FACTOR * cost_us;
    if (vm->next_us < rested_us) vm->next_us = rested_us;
}

/* ---- Rounds ---- */

static void begin_round(struct verify_master *vm, int64_t now_us)
{
    range_walk_start(vm->walk);
    vm->running = vm->walking = true;
    vm->round++;
    vm->round_work = 0;
    vm->round_start_us = vm->next_us = now_us;
}

static void end_round(struct verify_master *vm, int64_t now_us)
{
    vm->walking = false;
    vm->last_round_work = vm->round_work > 0 ? vm->round_work : 1;
    vm->info.rounds++;
    vm->info.last_round_ms = (now_us - vm->round_start_us) / 1000;
    vm->info.unnamed_values = range_walk_unnamed(vm->walk);
    vm->next_us = vm->round_start_us + period_us(vm);
}

static void feed(struct verify_master *vm, const struct range *range, const struct range_result *result)
{
    struct verify_check check = {.fingerprint = keyspace_fingerprint(vm->core->keyspace),
                                 .round = vm->round,
                                 .count = result->count,
                                 .digest = result->digest,
                                 .range = *range};
    struct bytes_buf text = {0}, unit = {0};
    verify_check_format(&check, &text);
    bytes_buf_printf(&unit, "*2\r\n$4\r\nPING\r\n$%zu\r\n", text.len);
    bytes_buf_append_view(&unit, bytes_buf_view(&text));
    bytes_buf_append(&unit, "\r\n", 2);
    repl_feed_moment(vm->core->repl, -1, bytes_buf_view(&unit));
    bytes_buf_release(&unit);
    bytes_buf_release(&text);
    repair_master_note_check(vm->repair, range);
    vm->info.checks_sent++;
}

static void step(struct verify_master *vm, int64_t start_us)
{
    struct range range;
    struct range_result result;
    enum range_step outcome = range_walk_step(vm->walk, vm->core->keyspace, work_max(vm), &range, &result);
    if (outcome == RANGE_STEP_DONE) feed(vm, &range, &result);
    int64_t now_us = sys_mono_us(vm->core->sys), cost_us = now_us - start_us;
    measure(vm, result.work, cost_us);
    vm->round_work += result.work;
    if (outcome == RANGE_STEP_END)
        end_round(vm, now_us);
    else
        plan_next(vm, now_us, cost_us);
}

static void on_timer(void *ctx);

static void wait_until_next(struct verify_master *vm, int64_t now_us)
{
    int64_t wait_ms = (vm->next_us - now_us + 999) / 1000;
    if (wait_ms < 1) wait_ms = 1;
    loop_timer_start(vm->core->loop, &vm->timer, wait_ms > WAIT_MAX_MS ? WAIT_MAX_MS : wait_ms, 0, on_timer, vm);
}

/* Runs outside of units: whatever was executed is in the stream. */
static void on_timer(void *ctx)
{
    struct verify_master *vm = ctx;
    int64_t now_us = sys_mono_us(vm->core->sys);
    ASSERT(vm->core->exec.depth == 0);
    if (strcmp(state_of(vm), "running") != 0) {
        vm->running = false;
        loop_timer_start(vm->core->loop, &vm->timer, IDLE_MS, 0, on_timer, vm);
        return;
    }
    if (!vm->running || (!vm->walking && now_us >= vm->next_us)) begin_round(vm, now_us);
    if (vm->walking && now_us >= vm->next_us) step(vm, now_us);
    wait_until_next(vm, sys_mono_us(vm->core->sys));
}

/* ---- Life ---- */

struct verify_master *verify_master_new(struct core *core, struct repair_master *repair)
{
    struct verify_master *vm = mem_calloc(sizeof(*vm));
    uint32_t first_round;
    sys_random(core->sys, &first_round, sizeof(first_round)); /* so that a replica does not continue another's count */
    vm->core = core;
    vm->repair = repair;
    vm->walk = range_walk_new();
    vm->round = first_round;
    vm->info.last_round_ms = -1;
    verify_master_settings_changed(vm);
    return vm;
}

void verify_master_free(struct verify_master *vm)
{
    if (vm == NULL) return;
    loop_timer_stop(&vm->timer);
    range_walk_free(vm->walk);
    mem_free(vm);
}

void verify_master_settings_changed(struct verify_master *vm)
{
    if (!vm->core->settings->replication.replica_verify) {
        loop_timer_stop(&vm->timer);
        vm->running = false;
        return;
    }
    if (vm->running && !vm->walking) vm->next_us = vm->round_start_us + period_us(vm);
    loop_timer_start(vm->core->loop, &vm->timer, 1, 0, on_timer, vm);
}

void verify_master_describe(const struct verify_master *vm, struct verify_master_info *out)
{
    *out = vm->info;
    out->state = state_of(vm);
    out->round_age_ms = vm->running ? (sys_mono_us(vm->core->sys) - vm->round_start_us) / 1000 : -1;
}
