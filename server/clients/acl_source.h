/* acl_source.h -- loading and saving the users of a server: from the configuration or from an ACL file.
 *
 *     without aclfile:  requirepass --> lines "user ..." of included files --> lines of the main file (the last wins)
 *     with aclfile:     the file, which is then the only source
 *
 * Changes of users are passed to session.h, which updates or closes the connections. */
#ifndef LOCKSTEP_SERVER_CLIENTS_ACL_SOURCE_H
#define LOCKSTEP_SERVER_CLIENTS_ACL_SOURCE_H

#include "server/clients/clients.h"

struct client;

NODISCARD int acl_source_load(struct clients *cs); /* at start-up. 0, or -1 with the reason logged */
/* ACL LOAD: reads the file again. 0, or -1 with the reason in *error and nothing changed. Users that the file still
 * names keep their connections and get the new rules. Connections of users that it does not name are closed. `current`
 * (or NULL) is the client that asked: it still gets its answer. */
NODISCARD int acl_source_reload(struct clients *cs, struct client *current, struct bytes_buf *error);
NODISCARD int acl_source_save(struct clients *cs);    /* ACL SAVE: 0, or -errno, logged */
void acl_source_password_changed(struct clients *cs); /* CONFIG SET requirepass */
void acl_source_note_lines(struct clients *cs);       /* hands the configuration its "user" lines for CONFIG REWRITE */

#endif
