/* sentinel_room.h -- a server as a sentinel: what replication/sentinel/ asks of the process around it.
 *
 *     lines of the file --> sentinel_room_new() --> the library (sentinel.h)
 *                                                     |  struct sentinel_host
 *                   links, scripts, names  <----------'--> log, PUBLISH, the configuration file
 *                      `-- what happened --> sentinel_room_turn(), at the end of each turn of the loop
 *
 * Invariants: 1. The library is entered from the loop only: from callbacks of links, from commands, and from
 *                sentinel_room_turn(), never from inside a call of its host.
 *             2. Whatever the library wants to keep is in the file, synced, before its call of save() returns.
 * Not here:   replies of commands (server/commands/cmd_sentinel.c). */
#ifndef LOCKSTEP_SERVER_SENTINEL_SENTINEL_ROOM_H
#define LOCKSTEP_SERVER_SENTINEL_SENTINEL_ROOM_H

#include "replication/sentinel/sentinel.h"
#include "server/sentinel/sentinel_scripts.h"

struct config;
struct core;
struct pubsub;
struct tls_transport;
struct sentinel_room; /* opaque */

struct sentinel_room_uses { /* all of it outlives the room */
    struct core *core;
    struct config *config; /* in sentinel mode, loaded */
    struct pubsub *pubsub;
    struct tls_transport *tls;
};

/* NULL: a line of the file is wrong, or there is no file; the reason is logged. */
struct sentinel_room *sentinel_room_new(const struct sentinel_room_uses *uses);
void sentinel_room_free(struct sentinel_room *room); /* NULL is allowed */
/* Begins to watch. 0, or -1 with the reason logged: the file cannot be written. */
NODISCARD int sentinel_room_start(struct sentinel_room *room);
/* True: there is more to do, the next turn must not wait. */
bool sentinel_room_turn(struct sentinel_room *room);

/* For commands. Whoever may have changed something calls sentinel_room_touch(): the library is asked at the end of the
 * turn what is due. */
struct sentinel *sentinel_room_library(const struct sentinel_room *room);
const struct sentinel_scripts *sentinel_room_scripts(const struct sentinel_room *room);
void sentinel_room_touch(struct sentinel_room *room);
/* The lines "sentinel ..." that the configuration file is to have. */
void sentinel_room_lines(const struct sentinel_room *room, void *to, void (*line)(void *to, const char *text));
/* The address of a host, in digits or by name. 0; -EAGAIN: the function of sentinel_room_on_name() is called when some
 * name was answered; -ENOENT: there is none. */
int sentinel_room_resolve(struct sentinel_room *room, const char *host, char ip[SENTINEL_IP_SIZE]);
void sentinel_room_on_name(struct sentinel_room *room, void (*answered)(void *ctx), void *ctx);
/* The section of INFO. */
void sentinel_room_info(const struct sentinel_room *room, struct bytes_buf *out);

#endif
