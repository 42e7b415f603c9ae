/* sim_sys.h -- the `struct sys` of a simulated node: its clocks, random bytes, files, pipes and child processes.
 *
 * A child process runs at once, on a fiber of its own, on the memory of the moment in which it is spawned. What it does
 * to files and pipes gets its result at once, is recorded, and takes effect later:
 *
 *      server  --spawn--> child's fiber: write, write, fsync, tell the parent, read: waits ...
 *                              |  recorded with virtual times, `pace_us` apart
 *                              v
 *      events      ......open...write...write......fsync...message...[all have taken effect: the read may go on]
 *
 * A child that is killed in between drops what has not taken effect; it dies with its server. It does not wait where a
 * real one would: a full pipe delays its effects, and writing to a pipe without a reader ends it with status 1.
 *
 * An fsync takes `fsync_us` of virtual time; what it covers is what was written when it began, or when it ended, by
 * chance. All other calls take no time. */
#ifndef LOCKSTEP_TESTS_SIMULATION_SIM_SYS_H
#define LOCKSTEP_TESTS_SIMULATION_SIM_SYS_H

#include "tests/simulation/sim_disk.h"
#include "tests/simulation/world.h"

struct sim_sys_settings {
    int64_t fsync_us;         /* an fsync takes up to this */
    int64_t child_pace_us;    /* from one effect of a child to the next, at most */
    unsigned spawn_fails;     /* so many of the next spawns fail with EAGAIN */
    unsigned log_fsyncs_fail; /* so many of the server's next fsyncs of its log fail with EIO, and none of a child */
};

struct sim_sys_stats {
    uint64_t spawns, failed_spawns, children_killed, children_done;
    uint64_t full_pipes, broken_pipes; /* met by children */
};

void sim_sys_begin(void); /* before the first node of a run: default settings, no children */
void sim_sys_end(void);   /* after the last process: frees what is left; fails the run if a child or pipe is */
/* Fills node->sys. node->disk exists. */
void sim_sys_init(struct sim_node *node);
struct sim_sys_settings *sim_sys_settings(struct sim_node *node);
const struct sim_sys_stats *sim_sys_stats(const struct sim_node *node);

/* The server of the node has ended in any way: its children die with it. Call it before sim_disk_power_cut(). */
void sim_sys_server_ended(struct sim_node *node);
/* Ends the running child by the signal, as the kernel does when memory is short. False: no child runs. */
bool sim_sys_kill_child(struct sim_node *node, int signal);
/* What was written to the node's append-only files before this moment was synced with success. 0: nothing was. */
int64_t sim_sys_log_synced_before_us(const struct sim_node *node);
/* For how long the log has had bytes that are not synced, while no sync is going on. 0: it has none. */
int64_t sim_sys_log_unsynced_us(const struct sim_node *node);
bool sim_sys_has_child(const struct sim_node *node);
/* The machine has started: it has another boot_id. */
void sim_sys_boot(struct sim_node *node);
/* Removes the files in this directory, synced. */
void sim_sys_remove_files(struct sim_node *node, const char *directory);
void sim_sys_remove_file(struct sim_node *node, const char *path); /* likewise */
/* Writes a whole file of the node's disk, as an administrator would; synced. */
void sim_sys_put_file(struct sim_node *node, const char *path, struct bytes_view content);

#endif
