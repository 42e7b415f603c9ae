/* selector.h -- one set of permissions: which commands, on which keys, on which channels.
 *
 *   rules  "+@all" "-@string" "+incr" "+select|0" "%R~cache:*" "&news.*"
 *            |  each in order                      |           |
 *            v                                     v           v
 *   a bit for each command, first arguments     patterns    patterns
 *
 * The bits answer; the words of the rules on commands are kept beside them, so that what is shown and saved is what was
 * asked for, and means the same when a later version has more commands. A word leaves when a later one says the
 * opposite or the same, or speaks of the whole command or of all of them.
 *
 * Nothing that is kept here holds blanks or control bytes: every word goes into files, a line for each user (R14970,
 * V3847). Ownership: a selector owns all its texts. Not here: names, passwords, and more than one selector (user.h);
 * what a request's keys and channels are (check.h). */
#ifndef LOCKSTEP_SERVER_ACL_SELECTOR_H
#define LOCKSTEP_SERVER_ACL_SELECTOR_H

#include "server/catalog/command_table.h"

/* What rules are read against. */
struct acl_env {
    struct command_table *commands;
    bool all_channels; /* what a selector may listen to before it is told otherwise: acl-pubsub-default */
};

enum acl_rule_result {
    ACL_RULE_OK = 0,
    ACL_RULE_SYNTAX,
    ACL_RULE_UNKNOWN_COMMAND,
    ACL_RULE_ARG_OF_SUBCOMMAND,
    ACL_RULE_KEY_AFTER_ALL,
    ACL_RULE_CHANNEL_AFTER_ALL,
    ACL_RULE_NO_SUCH_PASSWORD,
    ACL_RULE_BAD_HASH,
};
const char *acl_rule_result_text(enum acl_rule_result result); /* in Redis's words */

enum acl_access { ACL_MAY_READ = 1, ACL_MAY_WRITE = 2, ACL_MAY_BOTH = 3 };

struct acl_selector; /* opaque */

struct acl_selector *acl_selector_new(const struct acl_env *env); /* no command, no key, the channels of `env` */
struct acl_selector *acl_selector_copy(const struct acl_selector *sel);
void acl_selector_free(struct acl_selector *sel);
/* One rule on commands, keys or channels. Unless ACL_RULE_OK nothing has changed. */
NODISCARD enum acl_rule_result acl_selector_apply(struct acl_selector *sel, const struct acl_env *env,
                                                  struct bytes_view rule);

/* --- what it permits --- */
bool acl_selector_permits_all(const struct acl_selector *sel); /* every command, key and channel */
bool acl_selector_permits_command(const struct acl_selector *sel, const struct command_slot *slot, int argc,
                                  const struct bytes_view *argv);
/* `access` 0: any permission on the key will do. */
bool acl_selector_permits_key(const struct acl_selector *sel, struct bytes_view key, unsigned access);
bool acl_selector_permits_all_keys(const struct acl_selector *sel, unsigned access);
/* A pattern to be listened to has to be one of the patterns, letter for letter. */
bool acl_selector_permits_channel(const struct acl_selector *sel, struct bytes_view channel, bool is_pattern);

/* --- how it is written: words with single blanks between them, nothing where there are none --- */
void acl_selector_describe_commands(const struct acl_selector *sel, struct bytes_buf *out); /* "-@all +get" */
void acl_selector_describe_keys(const struct acl_selector *sel, struct bytes_buf *out);     /* "~a %R~b" */
void acl_selector_describe_channels(const struct acl_selector *sel, struct bytes_buf *out); /* "&a &b" */
/* All of it, as rules that make the same of a new one. */
void acl_selector_describe(const struct acl_selector *sel, struct bytes_buf *out);

#endif
