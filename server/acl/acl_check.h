/* acl_check.h -- may this user run this request?
 *
 * A request fits if one of the user's selectors permits its command, each of its keys and each of its channels; the
 * selectors are not added up. Which arguments are keys, and whether they are read or written, the command's row tells
 * (command_keys()): what a command touches beyond what its row names must ask by itself, as SORT does. A request whose
 * keys cannot be told is one that its handler refuses as well, before it looks at any.
 *
 * Nothing is counted or logged here (denial.h). */
#ifndef LOCKSTEP_SERVER_ACL_ACL_CHECK_H
#define LOCKSTEP_SERVER_ACL_ACL_CHECK_H

#include "server/acl/user.h"

enum acl_reason { ACL_PERMITTED = 0, ACL_DENIED_COMMAND, ACL_DENIED_KEY, ACL_DENIED_CHANNEL, ACL_DENIED_AUTH };

/* What was refused: the texts are borrowed from the request and the table of commands. */
struct acl_denial {
    enum acl_reason reason;
    struct bytes_view object; /* the command's full name, the key, or the channel */
};

/* True: it may run. False with *why filled in: of all selectors, what the one that got furthest could not permit. A
 * NULL user is the server itself, or its master, and may do everything. */
bool acl_check(const struct acl_user *user, const struct command_slot *slot, int argc, const struct bytes_view *argv,
               struct acl_denial *why);
/* The same, by a selector that permits reading every key there is. */
bool acl_check_reading_all(const struct acl_user *user, const struct command_slot *slot, int argc,
                           const struct bytes_view *argv);
/* "User alice has no permissions to run the 'get' command". Unless `verbose`, without naming keys and channels. */
void acl_denial_text(const struct acl_user *user, const struct acl_denial *why, bool verbose, struct bytes_buf *out);

#endif
