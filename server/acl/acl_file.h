/* acl_file.h -- users as text, a line each, "user NAME RULES...": ACL files, and the lines of the configuration.
 *
 * Words are separated by blanks and nothing quotes them: rules hold no blanks (selector.h), and passwords are written
 * as digests. A text is read into a table of users of its own; a single wrong line makes it worth nothing. */
#ifndef LOCKSTEP_SERVER_ACL_ACL_FILE_H
#define LOCKSTEP_SERVER_ACL_ACL_FILE_H

#include "server/acl/users.h"

/* Reads users into `us`, which has the default user alone. False: *errors says what is wrong with each line that is,
 * as ACL LOAD answers it; `name` is what the text is called. */
NODISCARD bool acl_file_parse(struct acl_users *us, struct bytes_view text, const char *name, struct bytes_buf *errors);
void acl_file_format(const struct acl_users *us, struct bytes_buf *out);

#endif
