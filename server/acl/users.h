/* users.h -- the table of all users of a server, sorted by name.
 *
 *   1. The user "default" always exists. New connections start as this user.
 *   2. A change is applied to a copy of the user, a whole file to a table of its own (acl_users_replace()): so a failed
 *      change has no effect.
 *   3. A user keeps its identity (its pointer) when its rules are replaced, so its clients stay logged in.
 * Ownership: the table holds a reference on each user.
 * Not here:  what a change means for connections: the caller tells the sessions. */
#ifndef LOCKSTEP_SERVER_ACL_USERS_H
#define LOCKSTEP_SERVER_ACL_USERS_H

#include "server/acl/user.h"
#include "server/config/settings.h"

struct acl_users; /* opaque */

/* A table with only the default user, who is on, needs no password and may do everything. `settings` is read whenever
 * rules are applied, and must outlive the table. */
struct acl_users *acl_users_new(struct command_table *commands, const struct settings_security *settings);
void acl_users_free(struct acl_users *us);
struct acl_env acl_users_env(const struct acl_users *us); /* for applying rules with the current settings */

struct acl_user *acl_users_default(const struct acl_users *us);
struct acl_user *acl_users_find(const struct acl_users *us, struct bytes_view name); /* or NULL */
size_t acl_users_count(const struct acl_users *us);
struct acl_user *acl_users_at(const struct acl_users *us, size_t index); /* in byte order of the names */

/* Applies rules to the user of this name, who is created if missing: all rules or none. 0 with *out, or -EINVAL with
 * the reason. */
NODISCARD int acl_users_set(struct acl_users *us, struct bytes_view name, const struct bytes_view *rules, size_t count,
                            struct acl_user **out, struct config_error *err);
/* The same, but the rules replace the old ones. */
NODISCARD int acl_users_set_anew(struct acl_users *us, struct bytes_view name, const struct bytes_view *rules,
                                 size_t count, struct config_error *err);
void acl_users_remove(struct acl_users *us, struct acl_user *user); /* not the default user */
/* Sets the only password of the default user. NULL: any password is accepted. */
void acl_users_set_default_password(struct acl_users *us, const struct bytes_view *password);

/* Replaces all users by those of `from`, which is freed. A user whose name is in both tables keeps its identity and
 * gets the new rules, so that its clients stay logged in (as in Redis 7.4). The other users of `us` are removed; `gone`
 * is called with each of them first. */
void acl_users_replace(struct acl_users *us, struct acl_users *from, void (*gone)(void *ctx, struct acl_user *user),
                       void *ctx);

#endif
