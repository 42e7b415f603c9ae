/* user.h -- a user: a name, passwords, and what may be done, as one selector or several.
 *
 *   user alice on >secret ~cache:* +@read (~log:* +xadd)
 *                 |        \___________/   \__________/
 *             passwords     the root        another selector: a request has to fit into one of them
 *
 * Rules are tried on a copy, and the copy takes the user's place when all of them are good (acl_user_assign()): nobody
 * ever has half of what was asked for. Only digests of passwords are kept. A user is held by the table of users and by
 * the clients that logged in with it, so one that is deleted lives until the last of them is gone. */
#ifndef LOCKSTEP_SERVER_ACL_USER_H
#define LOCKSTEP_SERVER_ACL_USER_H

#include "server/acl/selector.h"
#include "server/config/config_file.h"

struct acl_user; /* opaque */

struct acl_user *acl_user_new(const struct acl_env *env, struct bytes_view name); /* off, no password, may do nothing */
struct acl_user *acl_user_copy(const struct acl_user *user);
struct acl_user *acl_user_ref(struct acl_user *user);
void acl_user_unref(struct acl_user *user); /* NULL is fine */
/* All but the name, which stays. `draft` is used up. */
void acl_user_assign(struct acl_user *user, struct acl_user *draft);

/* May it be called so? NULL, or why not. */
const char *acl_user_name_refusal(struct bytes_view name);

/* One rule, or a selector as one text: "(~a +get)". Unless ACL_RULE_OK nothing has changed. */
NODISCARD enum acl_rule_result acl_user_apply(struct acl_user *user, const struct acl_env *env, struct bytes_view rule);
/* Rules in a row, of which a selector may take several: "(~a" "+get" ")". The first that is wrong ends it, and leaves
 * the user as it was up to there: -EINVAL with the reason, as ACL SETUSER answers it. */
NODISCARD int acl_user_apply_all(struct acl_user *user, const struct acl_env *env, const struct bytes_view *rules,
                                 size_t count, struct config_error *err);

struct bytes_view acl_user_name(const struct acl_user *user);
const char *acl_user_name_text(const struct acl_user *user); /* the same: a name holds no NUL */
bool acl_user_is_enabled(const struct acl_user *user);
bool acl_user_has_nopass(const struct acl_user *user);                          /* any password will do */
bool acl_user_permits_all(const struct acl_user *user);                         /* nothing need be checked */
bool acl_user_accepts(const struct acl_user *user, struct bytes_view password); /* and is it enabled? */
size_t acl_user_selector_count(const struct acl_user *user);                    /* the root counts: it is number 0 */
const struct acl_selector *acl_user_selector(const struct acl_user *user, size_t index);
bool acl_user_permits_channel(const struct acl_user *user, struct bytes_view channel, bool is_pattern);

size_t acl_user_password_count(const struct acl_user *user);
const char *acl_user_password(const struct acl_user *user, size_t index); /* SHA-256 in hexadecimal */
/* "on", "nopass", "sanitize-payload": calls fn for each. How many. */
size_t acl_user_flags(const struct acl_user *user, void (*fn)(void *ctx, const char *flag), void *ctx);
void acl_user_describe_rules(const struct acl_user *user, struct bytes_buf *out); /* without the name */
void acl_user_describe(const struct acl_user *user, struct bytes_buf *out);       /* "user alice on ..." */

#endif
