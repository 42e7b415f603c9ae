/* user.h -- a user of the ACL: a name, passwords and one or several selectors.
 *
 *   user alice on >secret ~cache:* +@read (~log:* +xadd)
 *                 |        \___________/   \__________/
 *             passwords     the root        another selector: a request has to be permitted by one of them
 *
 *   1. Rules are applied to a copy. If all are valid, the copy's contents replace the user's (acl_user_assign()), so a
 *      user never has half of the rules.
 *   2. Only digests of passwords are kept.
 *   3. A user has at least one selector, the root, which is number 0.
 * Ownership: the table of users and each client that is logged in hold a reference. A deleted user lives until the last
 *            of its clients is gone. */
#ifndef LOCKSTEP_SERVER_ACL_USER_H
#define LOCKSTEP_SERVER_ACL_USER_H

#include "server/acl/selector.h"
#include "server/config/config_file.h"

struct acl_user; /* opaque */

struct acl_user *acl_user_new(const struct acl_env *env, struct bytes_view name); /* off, no password, no permissions */
struct acl_user *acl_user_copy(const struct acl_user *user);
struct acl_user *acl_user_ref(struct acl_user *user);
void acl_user_unref(struct acl_user *user); /* NULL is allowed */
/* Moves everything but the name from `draft` to `user`, and frees `draft`. */
void acl_user_assign(struct acl_user *user, struct acl_user *draft);

/* NULL if the name is allowed, else the reason why not. */
const char *acl_user_name_refusal(struct bytes_view name);

/* Applies one rule, or one selector as a single text: "(~a +get)". On an error nothing has changed. */
NODISCARD enum acl_rule_result acl_user_apply(struct acl_user *user, const struct acl_env *env, struct bytes_view rule);
/* Applies rules in order. A selector may take several of them: "(~a" "+get" ")". 0, or -EINVAL with the reason in the
 * words of ACL SETUSER: then the rules before the wrong one have been applied. */
NODISCARD int acl_user_apply_all(struct acl_user *user, const struct acl_env *env, const struct bytes_view *rules,
                                 size_t count, struct config_error *err);

struct bytes_view acl_user_name(const struct acl_user *user);
const char *acl_user_name_text(const struct acl_user *user); /* NUL-terminated; a name holds no NUL */
bool acl_user_is_enabled(const struct acl_user *user);
bool acl_user_has_nopass(const struct acl_user *user);                          /* any password is accepted */
bool acl_user_permits_all(const struct acl_user *user);                         /* requests need no check */
bool acl_user_accepts(const struct acl_user *user, struct bytes_view password); /* enabled, and the password fits */
size_t acl_user_selector_count(const struct acl_user *user);                    /* including the root */
const struct acl_selector *acl_user_selector(const struct acl_user *user, size_t index);
bool acl_user_permits_channel(const struct acl_user *user, struct bytes_view channel, bool is_pattern);

size_t acl_user_password_count(const struct acl_user *user);
const char *acl_user_password(const struct acl_user *user, size_t index); /* SHA-256 in hexadecimal */
/* Calls fn for each flag: "on", "nopass", "sanitize-payload". Returns their number. */
size_t acl_user_flags(const struct acl_user *user, void (*fn)(void *ctx, const char *flag), void *ctx);
void acl_user_describe_rules(const struct acl_user *user, struct bytes_buf *out); /* without the name */
void acl_user_describe(const struct acl_user *user, struct bytes_buf *out);       /* "user alice on ..." */

#endif
