/* default_user.h -- the one user there is: its password, and what the configuration may say of it.
 *
 * It is allowed everything. Its password is `requirepass`, or what a line "user default ..." of the file gives, as
 * Redis writes one with CONFIG REWRITE; only a digest is kept. Any other user, and any rule that would restrict this
 * one, is refused when the server starts: nobody is to believe in a fence that is not there. */
#ifndef LOCKSTEP_SERVER_DEFAULT_USER_H
#define LOCKSTEP_SERVER_DEFAULT_USER_H

#include "server/server.h"

struct default_user; /* opaque */

/* Reads the settings. NULL with the reason logged. */
struct default_user *default_user_new(struct server *s);
void default_user_free(struct default_user *user);
void default_user_password_changed(struct server *s); /* CONFIG SET requirepass */
bool default_user_has_password(const struct server *s);
bool default_user_admits(const struct server *s, struct bytes_view password); /* without a password: always */
const char *default_user_digest(const struct server *s); /* SHA-256 of it in hexadecimal, or NULL */

#endif
