/* users.h -- all users of a server, by name. One is always there: "default", whom connections start as.
 *
 * A change is tried on a copy and then takes the user's place at once; so is a whole file, on a table of its own
 * (acl_users_replace()). The default user is never deleted. A user keeps its identity when its rules are replaced:
 * those who use it stay connected. What a change means for the connections of a user is for others to see to
 * (session.h). */
#ifndef LOCKSTEP_SERVER_ACL_USERS_H
#define LOCKSTEP_SERVER_ACL_USERS_H

#include "server/acl/user.h"

struct acl_users; /* opaque */

/* With the default user, on and without a password, who may do everything. `settings` is read when rules are. */
struct acl_users *acl_users_new(struct command_table *commands, const struct settings_security *settings);
void acl_users_free(struct acl_users *us);
struct acl_env acl_users_env(const struct acl_users *us); /* for rules, as the configuration is now */

struct acl_user *acl_users_default(const struct acl_users *us);
struct acl_user *acl_users_find(const struct acl_users *us, struct bytes_view name); /* or NULL */
size_t acl_users_count(const struct acl_users *us);
struct acl_user *acl_users_at(const struct acl_users *us, size_t index); /* in the order of their names' bytes */

/* Makes the user if there is none, and applies the rules: all or nothing. 0 with *out, or -EINVAL with the reason. */
NODISCARD int acl_users_set(struct acl_users *us, struct bytes_view name, const struct bytes_view *rules, size_t count,
                            struct acl_user **out, struct config_error *err);
/* The same, but with nothing left of the rules there were. */
NODISCARD int acl_users_set_anew(struct acl_users *us, struct bytes_view name, const struct bytes_view *rules,
                                 size_t count, struct config_error *err);
void acl_users_remove(struct acl_users *us, struct acl_user *user); /* not the default one */
/* The password of the default user, and no other; NULL: none is needed. */
void acl_users_set_default_password(struct acl_users *us, const struct bytes_view *password);

/* The users become those of `from`, which is used up. A user whose name is in both keeps its identity and gets the new
 * rules, as by ACL SETUSER, so that its clients stay (as in Redis 7.4). The others of `us` are let go, and `gone` is
 * called with each before. */
void acl_users_replace(struct acl_users *us, struct acl_users *from, void (*gone)(void *ctx, struct acl_user *user),
                       void *ctx);

#endif
