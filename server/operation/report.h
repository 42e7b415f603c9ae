/* report.h -- what a server tells about itself: the sections of INFO, and the same for the log of a crash. */
#ifndef LOCKSTEP_SERVER_OPERATION_REPORT_H
#define LOCKSTEP_SERVER_OPERATION_REPORT_H

#include "replication/replication.h"
#include "server/house.h"
#include "server/process/process_title.h"
#include "storage/base/allocator.h"

/* INFO: sections by name ("server", "replication", ...; "default", "all", "everything"); count 0: the default ones. */
void server_info(struct server *s, const struct bytes_view *sections, size_t count, struct bytes_buf *out);
/* What INFO memory and MEMORY STATS say, in bytes. */
struct memory_breakdown {
    size_t used, resident, startup;
    struct allocator_usage allocator;
    struct repl_memory stream;
    size_t tables, clients_normal, clients_replicas;
    size_t overhead, dataset;
    double dataset_percent;
};
void memory_breakdown(struct server *s, struct memory_breakdown *out);
struct command_slot;
double command_latency_percentile_us(struct server *s, const struct command_slot *slot, double percentile);
/* Inside a signal handler: INFO and the clients, to a descriptor. */
void server_crash_report(void *ctx, int fd);
void server_set_title(struct server *s, struct process_title *title);

#endif
