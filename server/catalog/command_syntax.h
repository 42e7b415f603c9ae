/* command_syntax.h -- the arguments of a command, as its row writes them and as COMMAND DOCS tells them.
 *
 *     key:k0 value [condition<NX | XX>@2.6.12] [GET@6.2.0] [expiration<EX seconds:i | PX milliseconds:i |
 * KEEPTTL@6.0.0>]
 *
 *     name           a string; name:i an integer, :d a double, :t a time, :p a pattern, :k a key
 *     name:k0        the key of key spec 0; :p1 a pattern that is in key spec 1
 *     name"text"     shown to people as this text instead of its name
 *     TOKEN          a word that stands for itself, and whose name is itself
 *     name!TOKEN     one that has another name; name!"" an empty word
 *     TOKEN name:i   an argument with a word before it
 *     name<a | b>    one of these
 *     name(a b)      these, one after the other
 *     [a]            may be left out
 *     a...           may be repeated; a+... with its word before it each time
 *     a@6.2.0        since then; a@-2.8.12 deprecated since then
 *
 * Names begin with a small letter, tokens do not. The text is a part of our program: whatever is not well-formed in it
 * is a fault of ours, and asserted. */
#ifndef LOCKSTEP_SERVER_CATALOG_COMMAND_SYNTAX_H
#define LOCKSTEP_SERVER_CATALOG_COMMAND_SYNTAX_H

#include "storage/base/bytes.h"

enum argument_type {
    ARGUMENT_STRING = 0,
    ARGUMENT_INTEGER,
    ARGUMENT_DOUBLE,
    ARGUMENT_UNIX_TIME,
    ARGUMENT_PATTERN,
    ARGUMENT_KEY,
    ARGUMENT_PURE_TOKEN,
    ARGUMENT_ONEOF,
    ARGUMENT_BLOCK,
};

enum argument_flag {
    ARGUMENT_OPTIONAL = 1 << 0,
    ARGUMENT_MULTIPLE = 1 << 1,
    ARGUMENT_MULTIPLE_TOKEN = 1 << 2,
};

/* Views into the text. */
struct command_argument {
    enum argument_type type;
    unsigned flags;                            /* enum argument_flag */
    struct bytes_view name;                    /* empty for a token that is named like itself, in small letters */
    struct bytes_view token;                   /* or no data: there is none */
    struct bytes_view shown;                   /* to people, where not by its name; or no data */
    struct bytes_view since, deprecated_since; /* or no data */
    struct bytes_view parts;                   /* ONEOF, BLOCK: the text of what is inside */
    int key_spec;                              /* KEY, PATTERN: its key spec, or -1 */
};

/* Takes the first argument off the text. False: there is none left. */
bool command_syntax_next(struct bytes_view *text, struct command_argument *out);
const char *argument_type_name(enum argument_type type); /* as COMMAND DOCS says it */

#endif
