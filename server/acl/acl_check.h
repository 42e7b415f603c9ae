/* acl_check.h -- the decision whether a user may run a request.
 *
 *     request --> selector 0: command? --> every key? --> every channel? --> permitted
 *                     | no                  | no           | no
 *                     v                     v              v
 *                 selector 1 ...        no selector left: the denial of the selector that got furthest
 *
 *   1. A request is permitted if one selector of the user permits its command, each of its keys and each of its
 *      channels. The permissions of several selectors are not combined.
 *   2. The command's row tells which arguments are keys, and whether they are read or written (command_keys()). A
 *      handler that touches other keys must check these itself, as SORT does.
 *   3. If command_keys() finds no keys because the request is malformed, the handler refuses the request too, before it
 *      touches a key.
 * Not here:  counting and logging a denial (clients/session.h, acl_log.h). */
#ifndef LOCKSTEP_SERVER_ACL_ACL_CHECK_H
#define LOCKSTEP_SERVER_ACL_ACL_CHECK_H

#include "server/acl/user.h"

enum acl_reason { ACL_PERMITTED = 0, ACL_DENIED_COMMAND, ACL_DENIED_KEY, ACL_DENIED_CHANNEL, ACL_DENIED_AUTH };

/* What was denied. The text is borrowed from the request or from the command table. */
struct acl_denial {
    enum acl_reason reason;
    struct bytes_view object; /* the command's full name, the key, or the channel */
};

/* True if the request may run. False with *why: the first part that the selector which got furthest does not permit.
 * A NULL user is the server itself or its master, and may do everything. */
bool acl_check(const struct acl_user *user, const struct command_slot *slot, int argc, const struct bytes_view *argv,
               struct acl_denial *why);
/* True if one selector permits the request and reading of all keys. */
bool acl_check_reading_all(const struct acl_user *user, const struct command_slot *slot, int argc,
                           const struct bytes_view *argv);
/* "User alice has no permissions to run the 'get' command". Keys and channels are named only if `verbose`. */
void acl_denial_text(const struct acl_user *user, const struct acl_denial *why, bool verbose, struct bytes_buf *out);

#endif
