#include "server/acl/acl_file.h"

#include <ctype.h>

#include "storage/base/checked.h"
#include "storage/base/memory.h"

struct words {
    struct bytes_view *items; /* slices of the text */
    size_t count;
};

static void split(struct bytes_view line, struct words *w)
{
    size_t at = 0;
    w->count = 0;
    while (at < line.len) {
        size_t start = at;
        while (at < line.len && !isspace((unsigned char)line.data[at])) at++;
        if (at > start) {
            w->items = mem_realloc(w->items, checked_size_mul(w->count + 1, sizeof(*w->items)));
            w->items[w->count++] = bytes_view(line.data + start, at - start);
        }
        while (at < line.len && isspace((unsigned char)line.data[at])) at++;
    }
}

struct reading {
    struct acl_users *users;
    const char *name;
    int line;
    bool default_seen;
    struct words words;
    struct bytes_buf *errors;
};

static bool is_duplicate(const struct reading *rd, struct bytes_view name)
{
    bool is_default = bytes_equal(name, BYTES_LIT("default"));
    return is_default ? rd->default_seen : acl_users_find(rd->users, name) != NULL;
}

static void read_user(struct reading *rd, struct bytes_view name, const struct bytes_view *rules, size_t count)
{
    struct config_error err = {{0}};
    if (is_duplicate(rd, name)) {
        bytes_buf_printf(rd->errors, "WARNING: Duplicate user '%.*s' found on line %d. ", bytes_shown(name, 128),
                         name.data, rd->line);
        return;
    }
    if (acl_users_set_anew(rd->users, name, rules, count, &err) != 0)
        bytes_buf_printf(rd->errors, "%s:%d: %s. ", rd->name, rd->line, err.text);
    if (bytes_equal(name, BYTES_LIT("default"))) rd->default_seen = true;
}

static void read_line(struct reading *rd, struct bytes_view line)
{
    split(line, &rd->words);
    if (rd->words.count == 0) return;
    if (rd->words.count < 2 || !bytes_equal(rd->words.items[0], BYTES_LIT("user")))
        bytes_buf_printf(rd->errors, "%s:%d should start with user keyword followed by the username. ", rd->name,
                         rd->line);
    else
        read_user(rd, rd->words.items[1], rd->words.items + 2, rd->words.count - 2);
}

bool acl_file_parse(struct acl_users *us, struct bytes_view text, const char *name, struct bytes_buf *errors)
{
    struct reading rd = {.users = us, .name = name, .errors = errors};
    while (text.len > 0) {
        const char *newline = memchr(text.data, '\n', text.len);
        size_t len = newline == NULL ? text.len : (size_t)(newline - text.data);
        rd.line++;
        read_line(&rd, bytes_view(text.data, len));
        if (newline != NULL) len++;
        text = bytes_view(text.data + len, text.len - len);
    }
    mem_free(rd.words.items);
    return errors->len == 0;
}

void acl_file_format(const struct acl_users *us, struct bytes_buf *out)
{
    for (size_t i = 0; i < acl_users_count(us); i++) {
        acl_user_describe(acl_users_at(us, i), out);
        bytes_buf_append(out, "\n", 1);
    }
}
