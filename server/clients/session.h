/* session.h -- what users mean for connections: who a client is, what happens to it when its user changes or goes, and
 * what becomes of a request that its user may not make.
 *
 * A client holds a reference on its user (client.h: `user`), and two flags say what the dispatcher needs to know of it:
 * CLIENT_AUTHENTICATED, it need not log in (any more), and CLIENT_RESTRICTED, acl_check() has to be asked. They are
 * written here alone, when a client becomes somebody and when a user changes, so that a command of a user who may do
 * everything is not slowed down by users who may not. The server's own clients have no user (NULL). */
#ifndef LOCKSTEP_SERVER_CLIENTS_SESSION_H
#define LOCKSTEP_SERVER_CLIENTS_SESSION_H

#include "server/acl/acl_log.h"
#include "server/clients/client.h"
#include "server/clients/client_part.h"

extern const struct client_part session_part;

/* The fake client of scripts may do what this client may, until acl_session_return(). The user is borrowed. */
void acl_session_borrow(struct client *script, const struct client *caller);
void acl_session_return(struct client *script);
/* Becomes that user, if the password fits. False: counted and logged, as a failure of the command `object`. */
NODISCARD bool acl_session_login(struct client *c, struct bytes_view name, struct bytes_view password,
                                 struct bytes_view object);
/* Its rules are others now: clients that listen to what it may no longer hear are closed. `current` (or NULL) still
 * gets its answer, here and below. */
void acl_session_user_changed(struct clients *cs, struct acl_user *user, struct client *current);
void acl_session_users_changed(struct clients *cs, struct client *current); /* the same for any of them */
void acl_session_user_gone(struct clients *cs, struct acl_user *user,
                           struct client *current); /* its clients are closed */
/* Counts and logs what a client was refused. */
void acl_session_denied(struct client *c, enum acl_context context, const struct acl_denial *why);
/* Whether connections need not log in at all: the default user is on and has no password. */
bool acl_session_is_open(const struct clients *cs);

#endif
