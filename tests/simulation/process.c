#include "tests/simulation/process.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "server/catalog/command_table.h"
#include "server/clients/listening.h"
#include "server/clients/tls_setup.h"
#include "server/commands/tables.h"
#include "server/house.h"
#include "server/operation/shutdown.h"
#include "storage/base/assert.h"
#include "storage/base/log.h"
#include "storage/base/memory.h"
#include "storage/base/ticks.h"
#include "tests/simulation/fiber.h"
#include "tests/simulation/limits.h"
#include "tests/simulation/network.h"
#include "tests/simulation/sim_memory.h"
#include "tests/simulation/sim_sys.h"

enum { FIRST_FD = 3, FIRST_PID = 100, TURN_MOST_US = 100 * 1000 /* of looks at the clock, which take 1 us each */ };

/* ---- fibers ---- */

struct sim_fiber {
    struct sim_process *process;
    struct fiber_stack *stack;
    void (*fn)(void *ctx);
    void *ctx;
    bool ended, wants_wake;
    struct sim_event event; /* goes on */
    struct sim_fiber *next;
};

static struct sim_fiber *running;

struct sim_fiber *sim_fiber_current(void)
{
    return running;
}

static void fiber_main(void *ctx)
{
    struct sim_fiber *f = ctx;
    f->fn(f->ctx);
    f->ended = true;
}

struct sim_fiber *sim_fiber_new(struct sim_process *p, void (*fn)(void *ctx), void *ctx)
{
    struct sim_fiber *f = calloc(1, sizeof(*f));
    ASSERT(f != NULL);
    *f = (struct sim_fiber){.process = p, .fn = fn, .ctx = ctx, .next = p->fibers};
    f->stack = fiber_stack_take(fiber_main, f);
    p->fibers = f;
    return f;
}

static void fiber_drop(struct sim_fiber *f)
{
    struct sim_fiber **at = &f->process->fibers;
    while (*at != f) at = &(*at)->next;
    *at = f->next;
    sim_event_cancel(&f->event);
    fiber_stack_give_back(f->stack);
    free(f);
}

/* What the process has done by itself while the fiber ran: died, or come to an end. */
static void settle(struct sim_process *p);

bool sim_fiber_resume(struct sim_fiber *f)
{
    struct sim_fiber *before = running;
    struct sim_process *process_before = sim.process, *p = f->process;
    running = f;
    sim.process = p;
    fiber_enter(f->stack);
    running = before;
    sim.process = process_before;
    bool ended = f->ended;
    if (ended) fiber_drop(f);
    if (process_before != p) settle(p);
    return ended;
}

static void resume_event(void *ctx)
{
    struct sim_fiber *f = ctx;
    if (f->process->node->stopped && !f->process->is_child) {
        f->wants_wake = true; /* SIGCONT wakes it */
        return;
    }
    sim_fiber_resume(f);
}

void sim_fiber_wait(void)
{
    ASSERT(running != NULL);
    fiber_leave(0);
}

static void wake_at(struct sim_fiber *f, int64_t at_us)
{
    if (f->event.place != 0 && f->event.at_us <= at_us) return;
    sim_event_at(&f->event, at_us, resume_event, f);
}

void sim_fiber_wake(struct sim_fiber *f)
{
    wake_at(f, sim.now_us);
}

void sim_block(int64_t us)
{
    if (running == NULL || us <= 0) return;
    sim_event_at(&running->event, sim.now_us + us, resume_event, running);
    sim_fiber_wait();
}

/* ---- descriptors ---- */

int sim_fd_open(const struct sim_fd_ops *ops, void *object)
{
    struct sim_process *p = sim.process;
    for (int fd = FIRST_FD; fd < SIM_FDS_MAX; fd++) {
        if (p->fds[fd].ops != NULL) continue;
        p->fds[fd].ops = ops;
        p->fds[fd].object = object;
        return fd;
    }
    return -EMFILE;
}

static bool is_open(const struct sim_process *p, int fd)
{
    return p != NULL && fd >= 0 && fd < SIM_FDS_MAX && p->fds[fd].ops != NULL;
}

void *sim_fd_object(int fd, const struct sim_fd_ops *ops)
{
    if (!is_open(sim.process, fd) || sim.process->fds[fd].ops != ops) return NULL;
    return sim.process->fds[fd].object;
}

static void close_fd(struct sim_process *p, int fd)
{
    const struct sim_fd_ops *ops = p->fds[fd].ops;
    void *object = p->fds[fd].object;
    p->fds[fd].ops = NULL;
    p->fds[fd].object = NULL;
    if (ops->close != NULL) ops->close(object);
}

int sim_fd_close(int fd)
{
    if (!is_open(sim.process, fd)) return -EBADF;
    close_fd(sim.process, fd);
    return 0;
}

unsigned sim_fd_ready(const struct sim_process *p, int fd)
{
    if (!is_open(p, fd) || p->fds[fd].ops->ready == NULL) return 0;
    return p->fds[fd].ops->ready(p->fds[fd].object);
}

/* ---- processes ---- */

struct sim_call {
    void (*fn)(struct server *s, void *ctx);
    void *ctx;
    struct sim_call *next;
};

struct sim_process *sim_process_new(struct sim_node *node, bool is_child)
{
    struct sim_process *p = calloc(1, sizeof(*p));
    ASSERT(p != NULL);
    p->node = node;
    p->pid = node->next_pid++;
    p->is_child = is_child;
    p->arena = sim_arena_take();
    return p;
}

void sim_process_end(struct sim_process *p)
{
    for (const struct sim_fiber *f = p->fibers; f != NULL; f = f->next) ASSERT(f != running);
    while (p->fibers != NULL) fiber_drop(p->fibers);
    while (p->calls_first != NULL) {
        struct sim_call *c = p->calls_first;
        p->calls_first = c->next;
        free(c);
    }
    for (int fd = 0; fd < SIM_FDS_MAX; fd++)
        if (p->fds[fd].ops != NULL) close_fd(p, fd);
    sim_arena_give_back(p->arena);
    free(p);
}

struct sim_process *sim_enter(struct sim_process *p)
{
    struct sim_process *before = sim.process;
    sim.process = p;
    return before;
}

void sim_leave(struct sim_process *before)
{
    sim.process = before;
}

bool sim_process_run_calls(struct sim_process *p)
{
    bool any = false;
    while (p->calls_first != NULL) {
        struct sim_call c = *p->calls_first, *old = p->calls_first;
        p->calls_first = c.next;
        free(old);
        c.fn(p->node->server, c.ctx);
        any = true;
    }
    return any;
}

/* ---- clocks ---- */

static void end_endless(const struct sim_process *p)
{
    sim_fail("endless", "%s has looked at its clock %d times in one turn", p->node->name, TURN_MOST_US);
    sim_process_stop_here();
}

int64_t sim_process_clock_us(struct sim_process *p)
{
    if (p == NULL) return sim.now_us;
    if (p->is_child) return sim.now_us + p->clock_us;
    if (p->busy_until_us < sim.now_us) p->busy_until_us = sim.now_us;
    if (running == NULL || running->process != p) return p->busy_until_us;
    if (UNLIKELY(++p->busy_until_us - sim.now_us > TURN_MOST_US)) end_endless(p);
    return p->busy_until_us;
}

/* A child sees a clock of its own. */
static struct sim_process *reader_of_clock(const struct sim_node *node)
{
    return sim.process != NULL && sim.process->node == node ? sim.process : node->process;
}

int64_t sim_node_wall_us(struct sim_node *node)
{
    return SIM_WALL_START_US + node->wall_offset_us + sim_process_clock_us(reader_of_clock(node));
}

int64_t sim_node_mono_us(struct sim_node *node)
{
    return node->mono_offset_us + sim_process_clock_us(reader_of_clock(node));
}

uint64_t sim_ticks_now(void)
{
    if (sim.process == NULL) return (uint64_t)sim.now_us * 1000;
    return (uint64_t)sim_node_mono_us(sim.process->node) * 1000;
}

/* ---- waiting for the loop ---- */

/* The fiber does not go on before its clock, which is ahead of the world by the work of the last turn. */
void sim_process_wait(struct sim_process *p, int64_t not_before_us, int64_t until_us)
{
    int64_t least_us = not_before_us > p->busy_until_us ? not_before_us : p->busy_until_us;
    if (least_us < sim.now_us) least_us = sim.now_us;
    p->loop_fiber = running;
    p->loop_ready_us = least_us;
    if (until_us >= 0) sim_event_at(&running->event, until_us > least_us ? until_us : least_us, resume_event, running);
    sim_fiber_wait();
    p->loop_fiber = NULL;
}

void sim_fd_changed(struct sim_process *p)
{
    if (p == NULL || p->loop_fiber == NULL || p->is_dead) return;
    wake_at(p->loop_fiber, p->loop_ready_us > sim.now_us ? p->loop_ready_us : sim.now_us);
}

/* ---- death ---- */

void sim_node_kill_in_write(struct sim_node *node)
{
    if (node->process != NULL) node->process->kill_in_write = true;
}

void sim_node_kill_in_transaction(struct sim_node *node)
{
    if (node->process != NULL) node->process->kill_in_transaction = true;
}

static void lose_power(struct sim_node *node)
{
    node->loses_power = node->has_booted = false;
    sim_disk_power_cut(node->disk);
}

static void node_ended(struct sim_node *node)
{
    node->process = NULL;
    node->server = NULL;
    node->log = NULL;
    node->stopped = false;
    node->ended++;
}

static void bury(struct sim_process *p)
{
    struct sim_node *node = p->node;
    sim_sys_server_ended(node);
    node_ended(node);
    sim_process_end(p);
    if (node->loses_power) lose_power(node);
}

static void settle(struct sim_process *p)
{
    if (p->is_child) return;
    if (p->is_dead) {
        bury(p);
        return;
    }
    if (p->main_ended && p->fibers == NULL) {
        struct sim_node *node = p->node;
        bury(p);
        if (node->on_exit != NULL) node->on_exit(node);
    }
}

_Noreturn void sim_process_stop_here(void)
{
    sim.process->is_dead = true;
    for (;;) fiber_leave(0); /* settle() buries it */
}

static void die(struct sim_process *p)
{
    p->node->was_killed = true;
    p->node->server = NULL;
    bool is_inside = sim.process == p && running != NULL && running->process == p;
    if (is_inside) sim_process_stop_here();
    bury(p);
}

void sim_node_kill(struct sim_node *node)
{
    if (node->process == NULL || node->process->is_dead) return;
    sim_trace(node->name, "is killed (kill -9)");
    die(node->process);
}

void sim_node_kill_at_call(struct sim_node *node, uint64_t calls)
{
    if (node->process != NULL) node->process->kill_at_call = node->process->calls + calls;
}

void sim_node_spare(struct sim_node *node)
{
    if (node->process == NULL) return;
    node->process->kill_in_write = node->process->kill_in_transaction = false;
    node->process->kill_at_call = 0;
}

void sim_node_power_cut(struct sim_node *node)
{
    sim_trace(node->name, "loses its power");
    sim_host_off(node->host);
    node->loses_power = true;
    if (node->process != NULL)
        die(node->process);
    else
        lose_power(node);
}

void sim_system_call(const char *name)
{
    struct sim_process *p = sim.process;
    if (p == NULL) return;
    p->calls++;
    if (p->is_child || running == NULL || p->kill_at_call == 0 || p->calls < p->kill_at_call) return;
    sim_trace(p->node->name, "is killed at its %lluth system call, %s()", (unsigned long long)p->calls, name);
    sim_reached("killed-at-call");
    die(p);
}

void sim_node_pause(struct sim_node *node)
{
    if (node->process == NULL || node->stopped) return;
    sim_trace(node->name, "is stopped (SIGSTOP)");
    node->stopped = true;
}

void sim_node_resume(struct sim_node *node)
{
    if (!node->stopped) return;
    sim_trace(node->name, "goes on (SIGCONT)");
    node->stopped = false;
    for (struct sim_fiber *f = node->process->fibers; f != NULL; f = f->next) {
        if (!f->wants_wake) continue;
        f->wants_wake = false;
        sim_fiber_wake(f);
    }
}

void sim_node_call(struct sim_node *node, void (*fn)(struct server *s, void *ctx), void *ctx)
{
    if (node->process == NULL) return;
    struct sim_call *c = calloc(1, sizeof(*c)), **at = &node->process->calls_first;
    ASSERT(c != NULL);
    c->fn = fn;
    c->ctx = ctx;
    while (*at != NULL) at = &(*at)->next;
    *at = c;
    sim_fd_changed(node->process);
}

static void terminate(struct server *s, void *ctx)
{
    shutdown_on_signal(s, SIGTERM);
}

void sim_node_terminate(struct sim_node *node)
{
    if (node->process == NULL) return;
    sim_trace(node->name, "gets SIGTERM");
    sim_node_call(node, terminate, NULL);
}

bool sim_node_is_up(const struct sim_node *node)
{
    return node->process != NULL && node->server != NULL && node->process->loop_is_up;
}

/* ---- the server's main() ---- */

struct program {
    struct settings settings;
    struct config *config;
    struct config_start start;
    struct log *log;
};

static void on_log_line(void *ctx, enum log_level level, const char *text, size_t len)
{
    struct sim_node *node = ctx;
    sim_hash_bytes(text, len);
    sim_trace(node->name, "log %c %.*s", ".-*#"[level], (int)len, text);
    if (sim.on_log != NULL) sim.on_log(node, text);
}

static int change_dir(void *ctx, const char *path, char *absolute, size_t cap)
{
    snprintf(absolute, cap, "%s", path);
    return 0;
}

static int serve(struct sim_node *node, struct program *p)
{
    struct server *s = server_new(p->config, &p->settings, command_row_tables(), &node->sys, p->log);
    int code = 1;
    if (s == NULL) return code;
    const struct listening_kind *failed;
    node->server = s;
    limits_lower(s);
    if (tls_setup_apply(s->tls) == 0 && listening_open(s->listening, &failed) == 0) code = server_run(s);
    node->process->loop_is_up = false;
    node->server = NULL;
    server_free(s);
    return code;
}

static int run_program(struct sim_node *node, struct program *p)
{
    static char name[] = "lockstep-server", file[] = SIM_CONFIG_PATH;
    char *argv[] = {name, file, NULL};
    struct config_hooks hooks = {
        .ctx = (void *)command_row_tables(), .change_dir = change_dir, .renamed = command_table_rename};
    int code = 1;
    p->log = log_new();
    log_set_sink(p->log, on_log_line, node);
    node->log = p->log;
    p->config = config_new(&p->settings, &node->sys, &hooks);
    if (config_load(p->config, 2, argv, &p->start) == CONFIG_START_RUN) {
        code = serve(node, p);
    }
    config_free(p->config);
    node->log = NULL;
    log_free(p->log);
    return code;
}

static void check_leaks(struct sim_process *p)
{
    if (sim_arena_blocks(p->arena) > 0) {
        struct bytes_buf text = {0};
        struct sim_process *before = sim_enter(NULL);
        sim_arena_describe(p->arena, &text);
        sim_fail("leak", "%s ended with %zu allocations left: %.*s", p->node->name, sim_arena_blocks(p->arena),
                 (int)text.len, text.data);
        bytes_buf_release(&text);
        sim_leave(before);
    }
    for (int fd = 0; fd < SIM_FDS_MAX; fd++)
        if (p->fds[fd].ops != NULL)
            sim_fail("descriptor", "%s ended with descriptor %d open, a %s", p->node->name, fd, p->fds[fd].ops->kind);
}

static void process_main(void *ctx)
{
    struct sim_node *node = ctx;
    struct program *p = mem_calloc(sizeof(*p));
    node->exit_code = run_program(node, p);
    mem_free(p);
    sim_trace(node->name, "ends with code %d", node->exit_code);
    check_leaks(node->process);
    node->process->main_ended = true;
}

static void first_turn(void *ctx)
{
    sim_fiber_resume(ctx);
}

/* Linux makes a new one at each boot. The log tells by it whether a power cut lies in between. */
static void write_boot_id(struct sim_node *node)
{
    static const char *const folders[] = {"/proc", "/proc/sys", "/proc/sys/kernel", "/proc/sys/kernel/random"};
    char text[64];
    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) (void)sim_disk_mkdir(node->disk, folders[i]);
    int len = snprintf(text, sizeof(text), "%016llx-%u\n", (unsigned long long)sim.seed, ++node->boots);
    sim_sys_put_file(node, "/proc/sys/kernel/random/boot_id", bytes_view(text, (size_t)len));
}

static void trace_config(const struct sim_node *node)
{
    for (size_t at = 0; sim.tracing && at < node->config.len;) {
        size_t len =
            (size_t)((char *)memchr(node->config.data + at, '\n', node->config.len - at) - node->config.data) - at;
        sim_trace(node->name, "  %.*s", (int)len, node->config.data + at);
        at += len + 1;
    }
}

void sim_node_start(struct sim_node *node)
{
    if (node->process != NULL) return;
    sim_trace(node->name, "starts");
    if (node->life == 0) trace_config(node);
    if (!node->has_booted) write_boot_id(node);
    node->has_booted = true;
    sim_host_on(node->host);
    if (node->life == 0) sim_sys_put_file(node, SIM_CONFIG_PATH, bytes_buf_view(&node->config));
    node->life++;
    node->was_killed = false;
    node->process = sim_process_new(node, false);
    struct sim_fiber *f = sim_fiber_new(node->process, process_main, node);
    sim_event_at(&f->event, sim.now_us, first_turn, f);
}

/* ---- nodes ---- */

struct sim_node *sim_node_new(void)
{
    struct sim_node *node = calloc(1, sizeof(*node));
    ASSERT(node != NULL && sim.node_count < SIM_NODES_MAX);
    node->index = (unsigned)sim.node_count;
    snprintf(node->name, sizeof(node->name), "node%u", node->index + 1);
    rng_seed(&node->rng, sim.seed * 31 + node->index);
    node->mono_offset_us = (int64_t)(node->index + 1) * 1000000000;
    node->next_pid = FIRST_PID;
    node->host = sim_host_new(node->name, node);
    sim.nodes[sim.node_count++] = node;
    node->disk = sim_disk_new(&node->rng, SIM_DISK_JOURNAL);
    sim_sys_init(node);
    sim_node_configure(node, "port 6379");
    sim_node_configure(node, "dir /");
    sim_node_configure(node, "bind 0.0.0.0");
    sim_node_configure(node, "protected-mode no");
    return node;
}

void sim_node_configure(struct sim_node *node, const char *fmt, ...)
{
    char line[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(line, sizeof(line), fmt, args);
    va_end(args);
    struct sim_process *before = sim_enter(NULL);
    bytes_buf_printf(&node->config, "%s\n", line);
    sim_leave(before);
}

void sim_nodes_end(void)
{
    for (size_t i = 0; i < sim.node_count; i++) {
        struct sim_node *node = sim.nodes[i];
        if (node->process != NULL) die(node->process);
    }
    sim_sys_end();
    for (size_t i = 0; i < sim.node_count; i++) {
        struct sim_node *node = sim.nodes[i];
        sim_disk_free(node->disk);
        bytes_buf_release(&node->config);
        free(node);
    }
    sim.node_count = 0;
}
