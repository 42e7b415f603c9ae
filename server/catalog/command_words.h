/* command_words.h -- the words by which COMMAND and ACL speak of a row: flags, categories, key flags. */
#ifndef LOCKSTEP_SERVER_CATALOG_COMMAND_WORDS_H
#define LOCKSTEP_SERVER_CATALOG_COMMAND_WORDS_H

#include "server/catalog/command_row.h"

struct flag_word {
    unsigned flag;
    const char *word;
};
/* In the order in which they are reported; each ends with a NULL word. */
const struct flag_word *command_flag_words(void);   /* enum command_flag */
const struct flag_word *key_flag_words(void);       /* enum key_spec_flag */
const struct flag_word *acl_category_words(void);   /* enum acl_category, without the '@' */
unsigned acl_category_find(struct bytes_view word); /* 0: there is none of this name */

/* All categories of a command: those of its row, and those that follow from its flags. */
unsigned command_categories(const struct command *cmd);
/* Its flags, with what follows from its key specs. */
unsigned command_reported_flags(const struct command *cmd);

/* Positions of the keys as one range, which is how old clients ask: zeros if there is none. Keys that no range can
 * express make the command CMD_MOVABLE_KEYS. */
struct legacy_range {
    int first, last, step;
};
struct legacy_range command_legacy_range(const struct command *cmd);

#endif
