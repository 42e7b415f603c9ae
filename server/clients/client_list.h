/* client_list.h -- what CLIENT LIST and INFO show of clients. */
#ifndef LOCKSTEP_SERVER_CLIENTS_CLIENT_LIST_H
#define LOCKSTEP_SERVER_CLIENTS_CLIENT_LIST_H

#include "server/clients/client.h"

/* One line of CLIENT LIST, without the newline. */
void client_describe(const struct client *c, struct bytes_buf *out);

struct clients_summary { /* sums for INFO */
    size_t connected, pubsub, blocked, watching, max_input, max_output;
    size_t memory_normal, memory_replicas;
};
void clients_summarize(struct clients *cs, struct clients_summary *out);

#endif
