#include "server/catalog/command_syntax.h"

#include <ctype.h>

#include "storage/base/assert.h"

static char first(struct bytes_view text)
{
    return text.len > 0 ? text.data[0] : '\0';
}

static struct bytes_view take(struct bytes_view *text, size_t n)
{
    struct bytes_view taken = bytes_view(text->data, n);
    ASSERT(n <= text->len);
    *text = bytes_view(text->data + n, text->len - n);
    return taken;
}

static bool take_char(struct bytes_view *text, char c)
{
    if (first(*text) != c) return false;
    take(text, 1);
    return true;
}

static bool take_words(struct bytes_view *text, const char *words)
{
    size_t len = strlen(words);
    if (text->len < len || memcmp(text->data, words, len) != 0) return false;
    take(text, len);
    return true;
}

static struct bytes_view take_until(struct bytes_view *text, const char *ends)
{
    size_t n = 0;
    while (n < text->len && strchr(ends, text->data[n]) == NULL) n++;
    return take(text, n);
}

static void skip_separators(struct bytes_view *text)
{
    while (take_char(text, ' ') || take_char(text, '|')) {
    }
}

/* Takes a bracketed part with its brackets. Returns the text between them. */
static struct bytes_view take_bracketed(struct bytes_view *text, char open, char close)
{
    size_t depth = 0, n = 0;
    do {
        ASSERT(n < text->len);
        depth += text->data[n] == open;
        depth -= text->data[n] == close;
        n++;
    } while (depth > 0);
    struct bytes_view taken = take(text, n);
    return bytes_view(taken.data + 1, n - 2);
}

static bool begins_name(struct bytes_view text)
{
    return islower((unsigned char)first(text));
}

static struct bytes_view take_token(struct bytes_view *text)
{
    struct bytes_view token = take_until(text, " |@.]>)+");
    ASSERT(token.len > 0);
    return bytes_equal(token, BYTES_LIT("\"\"")) ? bytes_view(token.data, 0) : token;
}

static void take_type(struct bytes_view *text, struct command_argument *out)
{
    char letter = take(text, 1).data[0];
    switch (letter) {
    case 'i': out->type = ARGUMENT_INTEGER; break;
    case 'd': out->type = ARGUMENT_DOUBLE; break;
    case 't': out->type = ARGUMENT_UNIX_TIME; break;
    case 'p': out->type = ARGUMENT_PATTERN; break;
    default: ASSERT(letter == 'k'); out->type = ARGUMENT_KEY;
    }
    bool may_be_key = out->type == ARGUMENT_KEY || out->type == ARGUMENT_PATTERN;
    if (may_be_key && isdigit((unsigned char)first(*text))) out->key_spec = take(text, 1).data[0] - '0';
}

/* name, name"text", name:type, name!TOKEN, name<...> or name(...) */
static void take_named(struct bytes_view *text, struct command_argument *out)
{
    out->name = take_until(text, " |@.]>)+:!<(\"");
    out->type = ARGUMENT_STRING;
    if (take_char(text, '"')) {
        out->shown = take_until(text, "\"");
        take(text, 1);
    }
    if (take_char(text, ':')) {
        take_type(text, out);
    } else if (take_char(text, '!')) {
        out->type = ARGUMENT_PURE_TOKEN;
        out->token = take_token(text);
    } else if (first(*text) == '<') {
        out->type = ARGUMENT_ONEOF;
        out->parts = take_bracketed(text, '<', '>');
    } else if (first(*text) == '(') {
        out->type = ARGUMENT_BLOCK;
        out->parts = take_bracketed(text, '(', ')');
    }
}

/* A token and a following name are one argument, unless a separator stands between them. */
static void take_one(struct bytes_view *text, struct command_argument *out)
{
    out->type = ARGUMENT_PURE_TOKEN;
    if (!begins_name(*text)) {
        out->token = take_token(text);
        if (text->len < 2 || text->data[0] != ' ' || !islower((unsigned char)text->data[1])) return;
        take(text, 1);
    }
    take_named(text, out);
}

static void take_suffixes(struct bytes_view *text, struct command_argument *out)
{
    if (take_words(text, "+...")) out->flags |= ARGUMENT_MULTIPLE | ARGUMENT_MULTIPLE_TOKEN;
    if (take_words(text, "...")) out->flags |= ARGUMENT_MULTIPLE;
    while (take_char(text, '@')) {
        struct bytes_view *version = take_char(text, '-') ? &out->deprecated_since : &out->since;
        *version = take_until(text, " |]>)@");
    }
}

bool command_syntax_next(struct bytes_view *text, struct command_argument *out)
{
    *out = (struct command_argument){.key_spec = -1};
    skip_separators(text);
    if (text->len == 0) return false;
    if (first(*text) == '[') {
        struct bytes_view inside = take_bracketed(text, '[', ']');
        bool any = command_syntax_next(&inside, out);
        ASSERT(any && inside.len == 0);
        out->flags |= ARGUMENT_OPTIONAL;
    } else {
        take_one(text, out);
    }
    take_suffixes(text, out);
    ASSERT(text->len == 0 || strchr(" |", first(*text)) != NULL);
    return true;
}

const char *argument_type_name(enum argument_type type)
{
    static const char *const names[] = {
        [ARGUMENT_STRING] = "string",         [ARGUMENT_INTEGER] = "integer", [ARGUMENT_DOUBLE] = "double",
        [ARGUMENT_UNIX_TIME] = "unix-time",   [ARGUMENT_PATTERN] = "pattern", [ARGUMENT_KEY] = "key",
        [ARGUMENT_PURE_TOKEN] = "pure-token", [ARGUMENT_ONEOF] = "oneof",     [ARGUMENT_BLOCK] = "block",
    };
    return names[type];
}
