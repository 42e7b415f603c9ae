/* json.h -- any bytes as the text of a JSON string, safe for lines and terminals.
 *
 * The result is valid UTF-8 in one line, and stands between two quotes in JSON or in a quoted value of logfmt:
 *
 *     "   \                       \"  \\
 *     tab, line feed, return      \t  \n  \r
 *     other controls              \u001b   C0, DEL and C1; also U+2028 and U+2029, which some readers take for the end
 *                                          of a line, and the marks that turn the direction of text (U+202A to U+202E,
 *                                          U+2066 to U+2069)
 *     a byte that is not UTF-8    \\xff    a reader of JSON gets the text \xff
 *     anything else               as it is
 *
 * Overlong forms, surrogates and code points above U+10FFFF are not UTF-8. The functions cannot fail, and
 * json_escape_next() is safe in a signal handler. */
#ifndef LOCKSTEP_STORAGE_BASE_JSON_H
#define LOCKSTEP_STORAGE_BASE_JSON_H

#include "storage/base/bytes.h"

enum { JSON_ESCAPED_MAX = 6 }; /* bytes that one character, or one bad byte, becomes at most */

/* Writes the first character of `in`, which is not empty, to `out`, and its escaped length to *len. Returns how many
 * bytes of `in` it was: 1 to 4. */
size_t json_escape_next(struct bytes_view in, char out[JSON_ESCAPED_MAX], size_t *len);
/* Appends `in`, escaped, without quotes. */
void json_append_escaped(struct bytes_buf *out, struct bytes_view in);

#endif
