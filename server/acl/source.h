/* source.h -- where a server's users come from, and where they are kept: requirepass and the lines "user ..." of the
 * configuration, or a file of their own (aclfile), which then is the only source. */
#ifndef LOCKSTEP_SERVER_ACL_SOURCE_H
#define LOCKSTEP_SERVER_ACL_SOURCE_H

#include "server/server.h"

struct client;

NODISCARD int acl_source_load(struct server *s); /* at the start: 0, or -1 with the reason logged */
/* From the file once more: all of it, or nothing with the reason in *error. Users that were there before are new ones
 * now, so their connections are closed; those of the default user stay. */
NODISCARD int acl_source_reload(struct server *s, struct client *current, struct bytes_buf *error);
NODISCARD int acl_source_save(struct server *s);    /* into the file: 0, or -errno, logged */
void acl_source_password_changed(struct server *s); /* CONFIG SET requirepass */
void acl_source_note_lines(struct server *s);       /* hands the configuration what CONFIG REWRITE is to write */

#endif
