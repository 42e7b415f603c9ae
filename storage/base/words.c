#include "storage/base/words.h"

#include <ctype.h>
#include <errno.h>

#include "storage/base/memory.h"

struct cursor {
    const char *at, *end;
};

static bool at_end(const struct cursor *c)
{
    return c->at == c->end;
}

static void skip_spaces(struct cursor *c)
{
    while (!at_end(c) && isspace((unsigned char)*c->at)) c->at++;
}

static int hex_value(char ch)
{
    if (ch >= '0' && ch <= '9') return ch - '0';
    if (ch >= 'a' && ch <= 'f') return ch - 'a' + 10;
    if (ch >= 'A' && ch <= 'F') return ch - 'A' + 10;
    return -1;
}

static char escaped_char(char ch)
{
    switch (ch) {
    case 'n': return '\n';
    case 'r': return '\r';
    case 't': return '\t';
    case 'b': return '\b';
    case 'a': return '\a';
    default: return ch;
    }
}

char word_take_escape(const char **at, const char *end)
{
    const char *p = *at;
    if (end - p >= 3 && p[0] == 'x' && hex_value(p[1]) >= 0 && hex_value(p[2]) >= 0) {
        *at = p + 3;
        return (char)(hex_value(p[1]) * 16 + hex_value(p[2]));
    }
    *at = p + 1;
    return escaped_char(*p);
}

/* Reads from behind the opening quote to behind the closing one, which must end the word. */
static int take_quoted(struct cursor *c, char quote, struct bytes_buf *word)
{
    while (!at_end(c) && *c->at != quote) {
        char ch = *c->at++;
        if (ch == '\\' && !at_end(c)) {
            if (quote == '"')
                ch = word_take_escape(&c->at, c->end);
            else if (*c->at == '\'')
                ch = *c->at++;
        }
        bytes_buf_append(word, &ch, 1);
    }
    if (at_end(c)) return -EINVAL;
    c->at++;
    return at_end(c) || isspace((unsigned char)*c->at) ? 0 : -EINVAL;
}

static int take_word(struct cursor *c, struct bytes_buf *word)
{
    while (!at_end(c) && !isspace((unsigned char)*c->at)) {
        char ch = *c->at++;
        if (ch == '"' || ch == '\'') return take_quoted(c, ch, word);
        bytes_buf_append(word, &ch, 1);
    }
    return 0;
}

static void words_add(struct word_list *w, struct bytes_view word)
{
    w->words = mem_realloc(w->words, (w->count + 1) * sizeof(*w->words));
    w->words[w->count++] = bytes_to_text(word);
}

int words_split(struct bytes_view line, struct word_list *out)
{
    struct word_list w = {NULL, 0};
    struct bytes_buf word = {NULL, 0, 0};
    struct cursor c = {line.data, line.data + line.len};
    int rc = 0;
    for (skip_spaces(&c); rc == 0 && !at_end(&c); skip_spaces(&c)) {
        word.len = 0;
        rc = take_word(&c, &word);
        if (rc == 0) words_add(&w, bytes_buf_view(&word));
    }
    bytes_buf_release(&word);
    if (rc != 0)
        words_release(&w);
    else
        *out = w;
    return rc;
}

void words_release(struct word_list *w)
{
    for (size_t i = 0; i < w->count; i++) mem_free(w->words[i]);
    mem_free(w->words);
    *w = (struct word_list){NULL, 0};
}

static void append_escaped(struct bytes_buf *out, unsigned char ch)
{
    static const char plain[] = "\\\"";
    static const char from[] = "\n\r\t\b\a", to[] = "nrtba";
    const char *named = ch != '\0' ? strchr(from, ch) : NULL;
    if (ch != '\0' && strchr(plain, ch) != NULL)
        bytes_buf_printf(out, "\\%c", ch);
    else if (named != NULL)
        bytes_buf_printf(out, "\\%c", to[named - from]);
    else if (isprint(ch))
        bytes_buf_append(out, &ch, 1);
    else
        bytes_buf_printf(out, "\\x%02x", ch);
}

void word_append_quoted(struct bytes_buf *out, const char *word)
{
    bytes_buf_append(out, "\"", 1);
    for (const char *p = word; *p != '\0'; p++) {
        bool nul = strncmp(p, BYTES_TEXT_NUL, 2) == 0;
        append_escaped(out, nul ? '\0' : (unsigned char)*p);
        p += nul;
    }
    bytes_buf_append(out, "\"", 1);
}

static bool is_safe_bare(const char *word)
{
    if (*word == '\0' || *word == '#') return false;
    for (const char *p = word; *p != '\0'; p++) {
        if (!isgraph((unsigned char)*p) || *p == '"' || *p == '\'' || *p == '\\') return false;
    }
    return true;
}

void word_append(struct bytes_buf *out, const char *word)
{
    if (is_safe_bare(word))
        bytes_buf_append(out, word, strlen(word));
    else
        word_append_quoted(out, word);
}
