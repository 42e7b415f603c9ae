/* world.h -- one simulated run: virtual time, events, chance, nodes and processes, and what is reported.
 *
 *     plan of a seed --> events, ordered by (time, order of scheduling) --> sim_run() runs them one by one
 *                            |                   |                  |
 *                        a node's fibers     the network       clients, faults, checks
 *
 * A node is a machine with an address, a disk and at most one server process. A process has a heap of its own
 * (sim_memory.c), descriptors and fibers: the server itself, its worker threads. A fiber that waits (for its loop, a disk,
 * a lock) gives control back to the world, so other nodes go on meanwhile. A process that is killed is simply never
 * resumed: its fibers are dropped and its heap is emptied, wherever it stood.
 *
 * Invariants: 1. One run depends on its seed and plan alone: no real clock, no address, no file.
 *             2. `sim.process` is the process that runs, or NULL: the world itself (clients, faults, checks).
 *             3. Times are virtual microseconds since the start of the run.
 * Not here:   the network (network.h), clients (client.h), files (sim_sys.h), what happens in a run (scenario.h). */
#ifndef LOCKSTEP_TESTS_SIMULATION_WORLD_H
#define LOCKSTEP_TESTS_SIMULATION_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "storage/base/bytes.h"
#include "storage/base/sys.h"

/* ---- events ---- */

typedef void sim_event_fn(void *ctx);

/* Embedded in its owner, which cancels it before it goes. A zero-filled event is not scheduled. */
struct sim_event {
    int64_t at_us;
    size_t place; /* in the queue, from 1; 0: not scheduled */
    sim_event_fn *fn;
    void *ctx;
};

/* Schedules or moves the event. */
void sim_event_at(struct sim_event *e, int64_t at_us, sim_event_fn *fn, void *ctx);
void sim_event_cancel(struct sim_event *e);
/* Once, without a way to cancel it. */
void sim_after(int64_t delay_us, sim_event_fn *fn, void *ctx);

/* ---- the world ---- */

enum { SIM_NODES_MAX = 8, SIM_HOSTS_MAX = 32, SIM_FAILURE_MAX = 2048 };

/* The wall clock at the start of each run: 2027-01-01 00:00:00 UTC. */
#define SIM_WALL_START_US (INT64_C(1798761600) * 1000000)

struct sim_node;
struct sim_process;

struct sim {
    uint64_t seed;
    int64_t now_us;
    int64_t end_us;    /* sim_run() stops here */
    struct rng chance; /* of the network and of scheduling; a plan and each node have generators of their own */
    struct sim_node *nodes[SIM_NODES_MAX];
    size_t node_count;
    struct sim_process *process; /* that runs now, or NULL */
    uint64_t hash;               /* of all bytes that arrived anywhere, with their times, and of all log lines */
    uint64_t events;             /* that have run */
    /* Of the scenario: sees each line of a server's log. May be NULL. */
    void (*on_log)(struct sim_node *node, const char *text);
    void (*after_event)(void); /* of the scenario: after each event, when no process runs. May be NULL */
    bool tracing;
    bool failed;
    char failure[SIM_FAILURE_MAX];
};
extern struct sim sim;

void sim_begin(uint64_t seed); /* an empty world */
void sim_run(void);            /* runs events until end_us, or until a failure */
void sim_end(void);            /* kills what still runs and frees everything */

/* Chance. `per_mille` of 0 never draws. */
uint64_t sim_below(uint64_t bound);
int64_t sim_between(int64_t least, int64_t most);
bool sim_chance(unsigned per_mille);

/* ---- what is reported ---- */

/* A line of the trace: time, who (a node, a client, or "world"), text. Costs nothing unless the run is traced. */
#define sim_trace(who, ...)                                                                                            \
    do {                                                                                                               \
        if (sim.tracing) sim_trace_line(who, __VA_ARGS__);                                                             \
    } while (0)
void sim_trace_line(const char *who, const char *fmt, ...) PRINTF(2, 3);
/* Ends the run as failed. The first failure counts. Returns also inside a node: the run stops at the next event. */
void sim_fail(const char *check, const char *fmt, ...) PRINTF(2, 3);
/* Notes that the run has reached one of the named states of states.h. */
void sim_reached(const char *state);
void sim_hash_bytes(const void *data, size_t len);

/* ---- nodes ---- */

struct sim_host; /* network.h */
struct sim_disk; /* sim_disk.h */
struct server;
struct log;

struct sim_node {
    unsigned index;
    char name[16]; /* "node1" */
    struct sim_host *host;
    struct sim_disk *disk;
    struct sys sys; /* its ctx is the node */
    struct rng rng; /* sys->random() */
    int64_t wall_offset_us, mono_offset_us;
    struct bytes_buf config;     /* the lines it is started with */
    struct sim_process *process; /* NULL: no server runs */
    struct server *server;       /* of the process, while it may be looked at */
    struct log *log;
    bool stopped;     /* SIGSTOP */
    unsigned life;    /* how often it was started */
    unsigned ended;   /* lives that ended, in any way */
    int exit_code;    /* of the last life that ended by itself */
    unsigned boots;   /* how often the machine was switched on */
    bool has_booted;  /* since its last power cut */
    bool loses_power; /* private: while it is being cut */
    bool was_killed;  /* the last life ended by kill -9 or a power cut */
    int next_pid;
    void (*on_exit)(struct sim_node *node); /* of the scenario: the process has ended by itself. May be NULL */
    void *scenario;                         /* the scenario's own */
};

/* A machine that is switched on, with an empty disk and no process. */
struct sim_node *sim_node_new(void);
/* The file that a server is started with, on the node's disk: CONFIG REWRITE may write it. It is made at the first
 * start, from the lines of sim_node_configure(); "port 6379", "dir /", "bind 0.0.0.0", "protected-mode no" are there. */
#define SIM_CONFIG_PATH "/lockstep.conf"
void sim_node_configure(struct sim_node *node, const char *fmt, ...) PRINTF(2, 3);
void sim_node_start(struct sim_node *node); /* does nothing if it runs */
void sim_node_kill(struct sim_node *node);  /* kill -9: the machine goes on, so peers see the connections end */
/* kill -9 at the system call that comes `calls` from now (1: the next one). */
void sim_node_kill_at_call(struct sim_node *node, uint64_t calls);
/* kill -9 in the middle of the next write to its log that crosses pages: whole pages of it are in the file. */
void sim_node_kill_in_write(struct sim_node *node);
/* The same, of a write that has a transaction across pages: a part of the transaction is in the file. */
void sim_node_kill_in_transaction(struct sim_node *node);
/* Takes the last three back, for this life. */
void sim_node_spare(struct sim_node *node);
void sim_node_power_cut(struct sim_node *node); /* the disk loses what was not synced; peers see silence */
void sim_node_pause(struct sim_node *node);     /* SIGSTOP */
void sim_node_resume(struct sim_node *node);    /* SIGCONT */
void sim_node_terminate(struct sim_node *node); /* SIGTERM: a clean stop */
/* Runs fn as a callback of the node's loop, in one of its next turns. */
void sim_node_call(struct sim_node *node, void (*fn)(struct server *s, void *ctx), void *ctx);
bool sim_node_is_up(const struct sim_node *node); /* the server runs its loop (it may still be stopped) */

/* ---- processes and their fibers ---- */

struct sim_arena; /* sim_memory.h */
struct sim_fiber;

enum { SIM_FDS_MAX = 256 };

struct sim_fd_ops {
    const char *kind;
    unsigned (*ready)(void *object); /* LOOP_READ | LOOP_WRITE */
    void (*close)(void *object);     /* the descriptor is gone: its last close(), or the process ended */
};

struct sim_process {
    struct sim_node *node;
    int pid;
    bool is_child; /* a spawned child of the server */
    bool is_dead;  /* killed while one of its fibers ran: it ends at the next chance */
    struct sim_arena *arena;
    struct {
        const struct sim_fd_ops *ops; /* NULL: free */
        void *object;
    } fds[SIM_FDS_MAX];
    struct sim_fiber *fibers; /* that have not ended */
    uint64_t calls;           /* system calls in this life */
    uint64_t kill_at_call;    /* 0: never */
    bool kill_in_write, kill_in_transaction;
    struct sim_fiber *job_fiber; /* the last worker that has begun a job, and when that job was queued */
    int64_t job_queued_us;
    int64_t clock_us;             /* of a child: how far its clocks are ahead of the world (sim_sys.c) */
    int64_t busy_until_us;        /* of a server: its own clock, ahead of the world while work takes time */
    struct sim_fiber *loop_fiber; /* waits for the loop, or NULL */
    int64_t loop_ready_us;        /* it does not go on before */
    bool loop_is_up, main_ended;
    bool timers_first; /* a turn looks at its timers before what has arrived, as some loops do */
    struct sim_call *calls_first;
};

/* A process without fibers. A child's memory is its own; it reads its parent's. */
struct sim_process *sim_process_new(struct sim_node *node, bool is_child);
/* Ends it at once: drops fibers, closes descriptors, empties the heap. Not from one of its own fibers. */
void sim_process_end(struct sim_process *p);

/* A fiber begins to run at the next sim_fiber_resume(), which returns when it waits or ends (true: it has ended). */
struct sim_fiber *sim_fiber_new(struct sim_process *p, void (*fn)(void *ctx), void *ctx);
bool sim_fiber_resume(struct sim_fiber *f);
struct sim_fiber *sim_fiber_current(void); /* NULL: the world runs */
/* The running fiber waits for sim_fiber_wake(). Spurious wake-ups do not happen. */
void sim_fiber_wait(void);
void sim_fiber_wake(struct sim_fiber *f); /* it goes on at an event of its own */
/* The running fiber's call takes so long; everybody else goes on meanwhile. Does nothing in the world itself. */
void sim_block(int64_t us);

/* Called first by each system call of a process: counts it, and ends the process here if that was planned. */
void sim_system_call(const char *name);

/* Descriptors of the running process. */
int sim_fd_open(const struct sim_fd_ops *ops, void *object); /* the lowest free number from 3 on, or -EMFILE */
void *sim_fd_object(int fd, const struct sim_fd_ops *ops);   /* NULL: not open, or of another kind */
int sim_fd_close(int fd);                                    /* 0 or -EBADF */
unsigned sim_fd_ready(const struct sim_process *p, int fd);
/* A descriptor of this process may have become ready: its loop looks again. */
void sim_fd_changed(struct sim_process *p);

/* Clocks of a node, as its process sees them. */
int64_t sim_node_wall_us(struct sim_node *node);
int64_t sim_node_mono_us(struct sim_node *node);

#endif
