/* metrics_commands.h -- metrics of commands: calls, times, percentiles, and a histogram for each family.
 *
 * A family is a group of COMMAND DOCS: string, hash, sorted-set, connection ... Its histogram is the sum of those that its
 * commands have with latency-tracking. Calls without latency-tracking are missing in the histogram, but not in its sum:
 * rates of both are right as long as latency-tracking stays as it is. */
#ifndef LOCKSTEP_SERVER_OPERATION_METRICS_COMMANDS_H
#define LOCKSTEP_SERVER_OPERATION_METRICS_COMMANDS_H

#include "storage/base/bytes.h"

struct server;
struct metrics_commands; /* opaque */

struct metrics_commands *metrics_commands_new(struct server *s);
void metrics_commands_free(struct metrics_commands *mc);
/* Writes the metrics of commands that were called or refused. */
void metrics_commands_write(struct metrics_commands *mc, struct bytes_buf *out);

#endif
