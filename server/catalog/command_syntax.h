/* command_syntax.h -- parser of the notation in which rows describe arguments, for COMMAND DOCS.
 *
 *     key:k0 value [condition<NX | XX>@2.6.12] [GET@6.2.0]
 *     [expiration<EX seconds:i | PX milliseconds:i | KEEPTTL@6.0.0>]
 *
 *     name           a string; name:i an integer, :d a double, :t a time, :p a pattern, :k a key
 *     name:k0        the key of key spec 0; :p1 a pattern of key spec 1
 *     name"text"     has this display text
 *     TOKEN          a keyword; its name is the token in lower case
 *     name!TOKEN     a keyword with another name; name!"" is an empty token
 *     TOKEN name:i   an argument that follows a keyword
 *     name<a | b>    one of several arguments
 *     name(a b)      a sequence of arguments
 *     [a]            optional
 *     a...           may be repeated; a+... with its keyword each time
 *     a@6.2.0        since this version; a@-2.8.12 deprecated since this version
 *
 * Names begin with a lower-case letter, tokens do not. The text is part of the program: an error in it is asserted. */
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

/* One argument. The views point into the text. */
struct command_argument {
    enum argument_type type;
    unsigned flags;                            /* enum argument_flag */
    struct bytes_view name;                    /* empty: the token in lower case */
    struct bytes_view token;                   /* data NULL: none; so in the three below */
    struct bytes_view shown;                   /* the display text */
    struct bytes_view since, deprecated_since; /* versions */
    struct bytes_view parts;                   /* ONEOF, BLOCK: the text between the brackets */
    int key_spec;                              /* KEY, PATTERN: its key spec, or -1 */
};

/* Takes the first argument off the text. False if the text is empty. */
bool command_syntax_next(struct bytes_view *text, struct command_argument *out);
const char *argument_type_name(enum argument_type type); /* as COMMAND DOCS says it */

#endif
