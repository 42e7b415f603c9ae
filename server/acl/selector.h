/* selector.h -- a selector: one set of permissions on commands, keys and channels.
 *
 *   rules  "+@all" "-@string" "+incr" "+select|0" "%R~cache:*" "&news.*"
 *            |  each in order                      |           |
 *            v                                     v           v
 *   a bit for each command, first arguments     patterns    patterns
 *
 *   1. The bits decide. The words of the rules on commands are kept too, for ACL LIST and for files: so what is shown
 *      is what was asked for, and a word such as +@read also covers the commands of a later version.
 *   2. A new word removes older words that it makes meaningless: the same or the opposite word, the subcommands of its
 *      command, and with +@all or -@all every word.
 *   3. No kept text holds a blank or a control byte, since every user is one line of a file (R14970, V3847).
 * Ownership: a selector owns all its texts.
 * Not here:  names, passwords, several selectors (user.h); the keys and channels of a request (acl_check.h). */
#ifndef LOCKSTEP_SERVER_ACL_SELECTOR_H
#define LOCKSTEP_SERVER_ACL_SELECTOR_H

#include "server/catalog/command_table.h"

/* What the meaning of a rule depends on. */
struct acl_env {
    struct command_table *commands;
    bool all_channels; /* acl-pubsub-default: whether a new selector permits all channels */
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
/* Applies one rule on commands, keys or channels. On an error nothing has changed. */
NODISCARD enum acl_rule_result acl_selector_apply(struct acl_selector *sel, const struct acl_env *env,
                                                  struct bytes_view rule);

/* --- questions --- */
bool acl_selector_permits_all(const struct acl_selector *sel); /* every command, key and channel */
bool acl_selector_permits_command(const struct acl_selector *sel, const struct command_slot *slot, int argc,
                                  const struct bytes_view *argv);
/* `access` 0: any permission on the key is enough. */
bool acl_selector_permits_key(const struct acl_selector *sel, struct bytes_view key, unsigned access);
bool acl_selector_permits_all_keys(const struct acl_selector *sel, unsigned access);
/* With is_pattern, `channel` is a pattern of PSUBSCRIBE: it must equal one of the selector's patterns byte by byte. */
bool acl_selector_permits_channel(const struct acl_selector *sel, struct bytes_view channel, bool is_pattern);

/* --- as text: words separated by single blanks, an empty text for an empty list --- */
void acl_selector_describe_commands(const struct acl_selector *sel, struct bytes_buf *out); /* "-@all +get" */
void acl_selector_describe_keys(const struct acl_selector *sel, struct bytes_buf *out);     /* "~a %R~b" */
void acl_selector_describe_channels(const struct acl_selector *sel, struct bytes_buf *out); /* "&a &b" */
/* Everything, as rules that give a new selector the same permissions. */
void acl_selector_describe(const struct acl_selector *sel, struct bytes_buf *out);

#endif
