/* clients_room.h -- all modules of this room, made in one place.
 *
 *     clients_room_new() --> clients.c, with the rows of all modules (client_part.h)
 *                        --> blocking, key_waits, pubsub, watches, trackings: one object for each server
 *
 * The modules reach each other through struct clients (clients.h). A unit test uses this with a struct core of its own,
 * and fakes for what it is handed. */
#ifndef LOCKSTEP_SERVER_CLIENTS_CLIENTS_ROOM_H
#define LOCKSTEP_SERVER_CLIENTS_CLIENTS_ROOM_H

#include "server/clients/blocking.h"
#include "server/clients/clients.h"

struct clients_uses { /* all of it outlives the room */
    struct core *core;
    struct config *config;
    struct command_table *commands;
    struct acl_users *users;
    struct acl_log *acl_log;
    struct command_runner runner;
};

struct clients *clients_room_new(const struct clients_uses *uses);
void clients_room_free(struct clients *cs); /* closes all clients; fake ones must be gone. NULL is allowed */

#endif
