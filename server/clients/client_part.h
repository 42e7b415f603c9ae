/* client_part.h -- what a module of this room does with every client: a row of functions.
 *
 * A module that keeps something for a client has one row. clients_room.c lists the rows, clients.c calls them in that
 * order. So clients.c names no module, and modules may use clients.c.
 *
 *     client_new() -> open    RESET -> reset    CLIENT LIST, maxmemory-clients -> memory    clients_reap() -> free
 *
 * Each function may be NULL. Rows do not depend on each other's order. */
#ifndef LOCKSTEP_SERVER_CLIENTS_CLIENT_PART_H
#define LOCKSTEP_SERVER_CLIENTS_CLIENT_PART_H

#include <stddef.h>

struct client;

struct client_part {
    void (*open)(struct client *c);  /* the client has been made */
    void (*reset)(struct client *c); /* clears the module's flags in CLIENT_RESET_CLEARS, and what is behind them */
    void (*free)(struct client *c);  /* the last call; the connection is still there */
    size_t (*memory)(const struct client *c); /* bytes kept for the client, outside of struct client */
};

#endif
