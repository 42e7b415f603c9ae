/* report.h -- the sections of INFO, the memory figures, the crash report and the process title. */
#ifndef LOCKSTEP_SERVER_OPERATION_REPORT_H
#define LOCKSTEP_SERVER_OPERATION_REPORT_H

#include "replication/replication.h"
#include "server/house.h"
#include "server/process/process_title.h"
#include "storage/base/allocator.h"

/* Appends sections of INFO by name: "server", "replication", ..., or "default", "all", "everything". count 0: the
 * default sections. */
void server_info(struct server *s, const struct bytes_view *sections, size_t count, struct bytes_buf *out);
/* The figures of INFO memory and MEMORY STATS, in bytes. */
struct memory_breakdown {
    size_t used, resident, startup;
    struct allocator_usage allocator;
    struct repl_memory stream;
    size_t tables, clients_normal, clients_replicas;
    size_t overhead, dataset;
    double dataset_percent;
};
const char *memory_policy_name(int policy); /* "allkeys-lru" */
void memory_breakdown(struct server *s, struct memory_breakdown *out);
struct command_slot;
/* Fills ns[] with the percentiles of latency-tracking-info-percentiles. The slot has a histogram. */
void command_latency_percentiles(struct server *s, const struct command_slot *slot, uint64_t *ns);
/* process_crash_hooks.report, in a signal handler: writes INFO and the list of clients to a descriptor. */
void server_crash_report(void *ctx, int fd);
/* Sets the title by proc-title-template and the settings of listening. */
void server_set_title(struct server *s, struct process_title *title);

#endif
