/* words.h -- a line of text as words, and back: the quoting of configuration files and of the append-only file's
 * manifest.
 *
 * Words are separated by spaces. "..." knows \n \r \t \b \a \\ \" and \xHH, '...' knows \' only, and a closing quote
 * must be followed by a space or the end of the line. */
#ifndef LOCKSTEP_STORAGE_BASE_WORDS_H
#define LOCKSTEP_STORAGE_BASE_WORDS_H

#include "storage/base/bytes.h"

struct word_list {
    char **words; /* NUL-terminated; as bytes_to_text() writes them: any byte, a NUL as C0 80 */
    size_t count;
};
/* Splits one line. 0, or -EINVAL for unbalanced quotes. On success the caller ends it with words_release(). */
NODISCARD int words_split(struct bytes_view line, struct word_list *out);
void words_release(struct word_list *w);
/* Appends the word to `out` in a form that words_split() reads back: bare where that is safe, else "quoted". */
void word_append(struct bytes_buf *out, const char *word);
void word_append_quoted(struct bytes_buf *out, const char *word); /* always "quoted" */

#endif
