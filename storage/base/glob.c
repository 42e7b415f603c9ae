#include "storage/base/glob.h"

struct matcher {
    struct bytes_view pattern;
    bool nocase;
};

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

static bool same(const struct matcher *m, char a, char b)
{
    return m->nocase ? lower(a) == lower(b) : a == b;
}

/* Bounds are compared as signed bytes and swapped before the case is folded, as Redis does on x86. */
static bool in_range(const struct matcher *m, signed char from, signed char to, signed char c)
{
    if (from > to) {
        signed char swap = from;
        from = to;
        to = swap;
    }
    if (m->nocase) {
        from = (signed char)lower((char)from);
        to = (signed char)lower((char)to);
        c = (signed char)lower((char)c);
    }
    return c >= from && c <= to;
}

/* Matches c against the class whose '[' is before *p. Moves *p behind its ']', or to the end if there is none. */
static bool match_class(const struct matcher *m, size_t *p, char c)
{
    const char *text = m->pattern.data;
    size_t len = m->pattern.len, i = *p;
    bool negated = i < len && text[i] == '^', found = false;
    for (i += negated; i < len && text[i] != ']'; i++) {
        if (text[i] == '\\' && i + 1 < len) {
            found |= text[++i] == c; /* case-sensitive even with nocase, as in Redis */
        } else if (i + 2 < len && text[i + 1] == '-') {
            found |= in_range(m, (signed char)text[i], (signed char)text[i + 2], (signed char)c);
            i += 2;
        } else {
            found |= same(m, text[i], c);
        }
    }
    *p = i < len ? i + 1 : len;
    return found != negated;
}

/* Matches c against the element at *p (not a star, not the end). Moves *p past it. */
static bool match_one(const struct matcher *m, size_t *p, char c)
{
    char special = m->pattern.data[(*p)++];
    if (special == '?') return true;
    if (special == '[') return match_class(m, p, c);
    if (special == '\\' && *p < m->pattern.len) special = m->pattern.data[(*p)++];
    return same(m, special, c);
}

static size_t skip_stars(struct bytes_view pattern, size_t p)
{
    while (p < pattern.len && pattern.data[p] == '*') p++;
    return p;
}

/* Only the last star is retried: it can take whatever an earlier one could take more. */
bool glob_match(struct bytes_view pattern, struct bytes_view s, bool nocase)
{
    const struct matcher m = {.pattern = pattern, .nocase = nocase};
    size_t p = 0, i = 0, after_star = 0, retry_at = 0, stars = 0; /* after_star 0: no star yet */
    if (s.len == 0) return pattern.len == 0;
    while (i < s.len) {
        if (p < pattern.len && pattern.data[p] == '*') {
            p = after_star = skip_stars(pattern, p);
            if (p == pattern.len) return true;
            if (++stars > GLOB_STARS_MAX) return false;
            retry_at = i;
        } else if (p < pattern.len && match_one(&m, &p, s.data[i])) {
            i++;
        } else if (after_star > 0) {
            p = after_star;
            i = ++retry_at;
        } else {
            return false;
        }
    }
    return skip_stars(pattern, p) == pattern.len;
}

bool glob_is_literal(struct bytes_view pattern)
{
    for (size_t i = 0; i < pattern.len; i++)
        if (memchr("*?[\\", pattern.data[i], 4) != NULL) return false;
    return true;
}
