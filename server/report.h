/* report.h -- what a server tells about itself: the sections of INFO, and the same for the log of a crash. */
#ifndef LOCKSTEP_SERVER_REPORT_H
#define LOCKSTEP_SERVER_REPORT_H

#include "server/process_title.h"
#include "server/server.h"

/* INFO: sections by name ("server", "replication", ...; "default", "all", "everything"); count 0: the default ones. */
void server_info(struct server *s, const struct bytes_view *sections, size_t count, struct bytes_buf *out);
/* Inside a signal handler: INFO and the clients, to a descriptor. */
void server_crash_report(void *ctx, int fd);
void server_set_title(struct server *s, struct process_title *title);

#endif
