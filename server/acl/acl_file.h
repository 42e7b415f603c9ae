/* acl_file.h -- the text format of ACL files: a line "user NAME RULES..." for each user.
 *
 *     user default on nopass sanitize-payload ~* &* +@all
 *     user alice on sanitize-payload #<sha256 in hexadecimal> ~cache:* resetchannels -@all +@read
 *
 * White space separates words, and there are no quotes: rules hold no blanks (selector.h), and passwords are written as
 * digests. The caller parses a text into a new table of users and drops the table if any line is wrong.
 * Not here:  reading and writing the file (acl_source.h). */
#ifndef LOCKSTEP_SERVER_ACL_ACL_FILE_H
#define LOCKSTEP_SERVER_ACL_ACL_FILE_H

#include "server/acl/users.h"

/* Reads users into `us`, which has only the default user. False: *errors describes each wrong line, in the words of ACL
 * LOAD; `name` is the name of the text in them. */
NODISCARD bool acl_file_parse(struct acl_users *us, struct bytes_view text, const char *name, struct bytes_buf *errors);
void acl_file_format(const struct acl_users *us, struct bytes_buf *out);

#endif
