/* session.h -- the user of a connection: logging in, refused requests, and changes of users.
 *
 * A client holds a reference on its user (client.h: `user`). Two flags tell the dispatcher what it needs to know:
 *
 *     CLIENT_AUTHENTICATED   the client has logged in, or need not
 *     CLIENT_RESTRICTED      the user may not do everything: acl_check() is called for each command
 *
 * Both are written when the client changes its user and when the user changes. So a command of an unrestricted user
 * costs no look at rules. Fake clients have no user (NULL): our master's stream may do everything. */
#ifndef LOCKSTEP_SERVER_CLIENTS_SESSION_H
#define LOCKSTEP_SERVER_CLIENTS_SESSION_H

#include "server/acl/acl_log.h"
#include "server/clients/client.h"
#include "server/clients/client_part.h"

extern const struct client_part session_part;

/* Connections need not log in: the default user is on and has no password. */
bool acl_session_is_open(const struct clients *cs);
/* Changes the client's user, if the password is right. False: the failure has been counted, and logged as one of the
 * command `object`. */
NODISCARD bool acl_session_login(struct client *c, struct bytes_view name, struct bytes_view password,
                                 struct bytes_view object);
/* With tls-auth-clients-user: logs a new connection in as the user that its verified certificate names, without a
 * password. Of several alternative names the first one that is a user counts. Without such a user, or if the user is
 * off, the client stays what it is. */
void acl_session_login_by_certificate(struct client *c);
struct acl_user *acl_session_user_of_certificate(const struct clients *cs, const struct conn *conn); /* or NULL */
/* Counts and logs a request that was refused. */
void acl_session_denied(struct client *c, enum acl_context context, const struct acl_denial *why);

/* The fake client of scripts may do what this client may, until acl_session_return(). The user is borrowed: the caller
 * holds the reference meanwhile. */
void acl_session_borrow(struct client *script, const struct client *caller);
void acl_session_return(struct client *script);

/* ---- Changes of users. `current` (or NULL) is the client that asked for it: if it is to be closed, it gets its reply
 * first ---- */

/* The user has other rules now: flags are updated, and clients that subscribe to a channel they may not read any more
 * are closed. */
void acl_session_user_changed(struct clients *cs, struct acl_user *user, struct client *current);
void acl_session_users_changed(struct clients *cs, struct client *current); /* any user */
/* The user is about to be removed: its clients are closed. */
void acl_session_user_gone(struct clients *cs, struct acl_user *user, struct client *current);

#endif
