/* words.h -- splitting a line into words and quoting words, as in configuration files and the AOF manifest.
 *
 * Words are separated by spaces. "..." understands \n \r \t \b \a \\ \" and \xHH; '...' understands only \'. A
 * closing quote must be followed by a space or the end of the line. */
#ifndef LOCKSTEP_STORAGE_BASE_WORDS_H
#define LOCKSTEP_STORAGE_BASE_WORDS_H

#include "storage/base/bytes.h"

struct word_list {
    char **words; /* NUL-terminated; any byte, with a NUL as C0 80 (bytes_to_text()) */
    size_t count;
};
/* Splits one line. 0, or -EINVAL for unbalanced quotes. On success the caller frees the words with words_release(). */
NODISCARD int words_split(struct bytes_view line, struct word_list *out);
void words_release(struct word_list *w);
/* Decodes one escape of a "..." word. *at stands behind the backslash, before `end`; it is moved behind the escape. An
 * unknown escape is its own character. */
char word_take_escape(const char **at, const char *end);
/* Appends a word in a form that words_split() reads back: unquoted where that is safe, else "quoted". */
void word_append(struct bytes_buf *out, const char *word);
void word_append_quoted(struct bytes_buf *out, const char *word); /* always "quoted" */

#endif
