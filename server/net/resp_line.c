#include "server/net/resp_line.h"

#include <errno.h>

#include "storage/base/words.h"

/* ---- words ---- */

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* \v and \f are blanks between words but do not end a word outside quotes, as in Redis. */
static bool ends_word(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* Decodes quoted text; p is after the opening quote. Returns the position after the closing quote, or NULL if there is
 * none or if it is not followed by a blank or the end. */
static const char *take_quoted(const char *p, const char *end, char quote, char **out)
{
    while (p < end && *p != quote) {
        bool escape = *p == '\\' && end - p >= 2;
        if (escape && quote == '"') {
            p++;
            *(*out)++ = word_take_escape(&p, end);
        } else {
            if (escape && p[1] == '\'') p++;
            *(*out)++ = *p++;
        }
    }
    if (p == end) return NULL;
    p++;
    return p == end || is_blank(*p) ? p : NULL;
}

/* Decodes a word with quotes in it. The result is never longer than the source. */
static const char *take_quoted_word(struct resp_batch *batch, const char *p, const char *end, struct bytes_view *word)
{
    char *start = resp_batch_bytes(batch, (size_t)(end - p)), *out = start;
    while (p != NULL && p < end && !ends_word(*p)) {
        if (*p == '"' || *p == '\'')
            p = take_quoted(p + 1, end, *p, &out);
        else
            *out++ = *p++;
    }
    *word = bytes_view(start, (size_t)(out - start));
    return p;
}

/* Takes the word at p, which is not blank. Returns its end, or NULL for unbalanced quotes. */
static const char *take_word(struct resp_batch *batch, const char *p, const char *end, struct bytes_view *word)
{
    const char *q = p;
    while (q < end && !ends_word(*q) && *q != '"' && *q != '\'') q++;
    if (q < end && !ends_word(*q)) return take_quoted_word(batch, p, end, word);
    *word = bytes_view(p, (size_t)(q - p));
    return q;
}

static size_t count_words_at_most(struct bytes_view line)
{
    size_t n = 1;
    for (size_t i = 0; i < line.len; i++) n += is_blank(line.data[i]);
    return n;
}

bool resp_split_line(struct resp_batch *batch, struct bytes_view line, struct bytes_view **argv, uint32_t *argc)
{
    size_t most = count_words_at_most(line);
    struct bytes_view *words = resp_batch_reserve(batch, most);
    resp_batch_commit(batch, most);
    uint32_t n = 0;
    const char *p = line.data, *end = line.data + line.len;
    for (;;) {
        while (p < end && is_blank(*p)) p++;
        if (p == end) break;
        p = take_word(batch, p, end, &words[n]);
        if (p == NULL) return false;
        n++;
    }
    *argv = words;
    *argc = n;
    return true;
}

/* ---- single-line replies ---- */

void resp_line_reader_init(struct resp_line_reader *lr, size_t max_line)
{
    *lr = (struct resp_line_reader){.max_line = max_line};
}

void resp_line_reader_release(struct resp_line_reader *lr)
{
    bytes_buf_release(&lr->buf);
    lr->pos = 0;
}

static void drop_lines_taken(struct resp_line_reader *lr)
{
    if (lr->pos == 0) return;
    lr->buf.len -= lr->pos;
    memmove(lr->buf.data, lr->buf.data + lr->pos, lr->buf.len);
    lr->pos = 0;
}

void resp_line_reader_feed(struct resp_line_reader *lr, struct bytes_view bytes)
{
    drop_lines_taken(lr);
    bytes_buf_append(&lr->buf, bytes.data, bytes.len);
}

struct bytes_view resp_line_reader_rest(const struct resp_line_reader *lr)
{
    return bytes_view(lr->buf.data + lr->pos, lr->buf.len - lr->pos);
}

int resp_line_reader_next(struct resp_line_reader *lr, struct bytes_view *line)
{
    struct bytes_view rest = resp_line_reader_rest(lr);
    const char *lf = rest.len == 0 ? NULL : memchr(rest.data, '\n', rest.len);
    size_t len = lf == NULL ? rest.len : (size_t)(lf - rest.data);
    if (len > lr->max_line) return -EMSGSIZE;
    if (lf == NULL) return 0;
    lr->pos += len + 1;
    if (len > 0 && rest.data[len - 1] == '\r') len--;
    *line = bytes_view(rest.data, len);
    return 1;
}
