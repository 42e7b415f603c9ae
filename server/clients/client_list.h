/* client_list.h -- what CLIENT LIST and INFO show of clients. */
#ifndef LOCKSTEP_SERVER_CLIENTS_CLIENT_LIST_H
#define LOCKSTEP_SERVER_CLIENTS_CLIENT_LIST_H

#include "server/clients/clients.h"

/* One line of CLIENT LIST, without the newline. */
void client_describe(const struct client *c, struct bytes_buf *out);

/* Sums for INFO. With more than CLIENTS_WALKED clients, the memory is that of the last pass of clients_cron(), so that
 * INFO does not hold up the loop: a walk over 10000 clients takes a millisecond. */
enum { CLIENTS_WALKED = 256 };
struct clients_summary {
    size_t connected; /* without replicas */
    size_t pubsub, blocked, watching;
    struct clients_memory memory;
};
void clients_summarize(const struct clients *cs, struct clients_summary *out);

#endif
