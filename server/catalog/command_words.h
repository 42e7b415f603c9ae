/* command_words.h -- the words that COMMAND and ACL use for flags, categories and key flags. */
#ifndef LOCKSTEP_SERVER_CATALOG_COMMAND_WORDS_H
#define LOCKSTEP_SERVER_CATALOG_COMMAND_WORDS_H

#include "server/catalog/command_row.h"

struct flag_word {
    unsigned flag;
    const char *word;
};
/* In the order of COMMAND's replies; a NULL word ends each list. */
const struct flag_word *command_flag_words(void);   /* enum command_flag */
const struct flag_word *key_flag_words(void);       /* enum key_spec_flag */
const struct flag_word *acl_category_words(void);   /* enum acl_category, without the '@' */
unsigned acl_category_find(struct bytes_view word); /* 0: unknown word */

/* The categories of a command: those of its row and those that follow from its flags. */
unsigned command_categories(const struct command *cmd);
/* The flags of its row and those that follow from its key specs. */
unsigned command_reported_flags(const struct command *cmd);

/* The positions of the keys as one range, the first fields of COMMAND INFO; zeros without keys. If one range cannot
 * express the keys, command_reported_flags() has CMD_MOVABLE_KEYS. */
struct legacy_range {
    int first, last, step;
};
struct legacy_range command_legacy_range(const struct command *cmd);

#endif
