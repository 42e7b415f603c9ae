#include "server/clients/acl_source.h"

#include "server/acl/acl_file.h"
#include "server/clients/session.h"
#include "server/config/config.h"
#include "storage/base/checked.h"
#include "storage/base/log.h"
#include "storage/base/memory.h"

/* ---- requirepass ---- */

static void apply_requirepass(struct acl_users *us, const char *requirepass)
{
    struct bytes_buf password = {0};
    if (requirepass != NULL) bytes_from_text(requirepass, &password);
    struct bytes_view view = bytes_buf_view(&password);
    acl_users_set_default_password(us, requirepass == NULL ? NULL : &view);
    bytes_buf_release(&password);
}

void acl_source_password_changed(struct clients *cs)
{
    apply_requirepass(cs->users, cs->core->settings->security.requirepass);
    acl_session_user_changed(cs, acl_users_default(cs->users), NULL);
}

/* ---- Lines of the configuration ---- */

static int apply_line(const struct clients *cs, struct acl_users *us, const struct user_line *line)
{
    struct config_error err = {{0}};
    struct bytes_buf *words = mem_calloc(checked_size_mul(line->count, sizeof(*words)));
    struct bytes_view *views = mem_calloc(checked_size_mul(line->count, sizeof(*views)));
    for (size_t i = 0; i < line->count; i++) {
        bytes_from_text(line->words[i], &words[i]);
        views[i] = bytes_buf_view(&words[i]);
    }
    int rc = acl_users_set_anew(us, views[0], views + 1, line->count - 1, &err);
    if (rc != 0) log_warning(cs->core->log, "Error in user declaration '%s': %s", line->words[0], err.text);
    for (size_t i = 0; i < line->count; i++) bytes_buf_release(&words[i]);
    mem_free(words);
    mem_free(views);
    return rc;
}

static int apply_lines(const struct clients *cs, struct acl_users *us, bool included)
{
    const struct settings_misc *st = &cs->core->settings->misc;
    for (size_t i = 0; i < st->user_count; i++)
        if (st->users[i].included == included && apply_line(cs, us, &st->users[i]) != 0) return -1;
    return 0;
}

/* The lines of the main file are applied last, so they win. */
static int load_lines(struct clients *cs)
{
    apply_requirepass(cs->users, cs->core->settings->security.requirepass);
    return apply_lines(cs, cs->users, true) == 0 && apply_lines(cs, cs->users, false) == 0 ? 0 : -1;
}

/* ---- The file ---- */

/* A new table with the users of the file, or NULL with the reason in *error. */
static struct acl_users *read_file(const struct clients *cs, struct bytes_buf *error)
{
    const char *path = cs->core->settings->security.aclfile;
    struct bytes_buf text = {0};
    int rc = config_file_read(cs->core->sys, path, &text);
    struct acl_users *us = rc == 0 ? acl_users_new(cs->commands, &cs->core->settings->security) : NULL;
    if (rc != 0) {
        bytes_buf_printf(error, "Error loading ACLs, opening file '%s': %s", path, strerror(-rc));
    } else if (!acl_file_parse(us, bytes_buf_view(&text), path, error)) {
        bytes_buf_printf(error,
                         "WARNING: ACL errors detected, no change to the previously active ACL rules was performed");
        acl_users_free(us);
        us = NULL;
    }
    bytes_buf_release(&text);
    return us;
}

struct going {
    struct clients *clients;
    struct client *current;
};

static void end_sessions(void *ctx, struct acl_user *user)
{
    const struct going *g = ctx;
    acl_session_user_gone(g->clients, user, g->current);
}

int acl_source_reload(struct clients *cs, struct client *current, struct bytes_buf *error)
{
    struct going going = {.clients = cs, .current = current};
    struct acl_users *us = read_file(cs, error);
    if (us == NULL) return -1;
    acl_users_replace(cs->users, us, end_sessions, &going);
    acl_session_users_changed(cs, current);
    return 0;
}

int acl_source_save(struct clients *cs)
{
    const char *path = cs->core->settings->security.aclfile;
    struct bytes_buf text = {0};
    acl_file_format(cs->users, &text);
    int rc = config_file_replace(cs->core->sys, path, bytes_buf_view(&text));
    if (rc != 0) log_warning(cs->core->log, "Saving the users to '%s': %s", path, strerror(-rc));
    bytes_buf_release(&text);
    return rc;
}

static int load_file(struct clients *cs)
{
    struct bytes_buf error = {0};
    int rc = acl_source_reload(cs, NULL, &error);
    if (rc != 0) log_warning(cs->core->log, "Aborting startup because of ACL errors: %.*s", (int)error.len, error.data);
    bytes_buf_release(&error);
    return rc;
}

int acl_source_load(struct clients *cs)
{
    if (cs->core->settings->security.aclfile == NULL) return load_lines(cs);
    if (cs->core->settings->misc.user_count == 0) return load_file(cs);
    log_warning(cs->core->log,
                "Users are declared in the configuration, and aclfile names a file of users as well. That is "
                "likely to end in mistakes and security holes: please use one of the two, but not both.");
    return -1;
}

/* ---- CONFIG REWRITE ---- */

static void line_append_word(struct user_line *line, struct bytes_view word)
{
    line->words = mem_realloc(line->words, checked_size_mul(line->count + 1, sizeof(char *)));
    line->words[line->count++] = bytes_to_cstr(word);
}

static struct user_line make_line(const struct acl_user *user)
{
    struct user_line line = {0};
    struct bytes_buf rules = {0};
    acl_user_describe_rules(user, &rules);
    line_append_word(&line, acl_user_name(user));
    for (size_t at = 0, end; at < rules.len; at = end + 1) {
        for (end = at; end < rules.len && rules.data[end] != ' ';) end++;
        line_append_word(&line, bytes_view(rules.data + at, end - at));
    }
    bytes_buf_release(&rules);
    return line;
}

static bool is_listed(const struct settings_misc *st, const char *name)
{
    for (size_t i = 0; i < st->user_count; i++)
        if (strcmp(st->users[i].words[0], name) == 0) return true;
    return false;
}

/* The user as the lines of included files define it, or NULL if they do not name it. `us` is the result of these
 * lines. */
static const struct acl_user *included_user(const struct settings_misc *st, const struct acl_users *us,
                                            struct bytes_view name)
{
    for (size_t i = 0; i < st->user_count; i++)
        if (st->users[i].included && bytes_equal(name, bytes_str(st->users[i].words[0])))
            return acl_users_find(us, name);
    return NULL;
}

static bool same_rules(const struct acl_user *a, const struct acl_user *b)
{
    struct bytes_buf text_a = {0}, text_b = {0};
    acl_user_describe(a, &text_a);
    acl_user_describe(b, &text_b);
    bool same = bytes_equal(bytes_buf_view(&text_a), bytes_buf_view(&text_b));
    bytes_buf_release(&text_a);
    bytes_buf_release(&text_b);
    return same;
}

/* True for a default user that needs no line: no line names it, and requirepass alone gives it the same rules. */
static bool goes_without_saying(const struct clients *cs, const struct acl_user *user)
{
    if (user != acl_users_default(cs->users) || is_listed(&cs->core->settings->misc, "default")) return false;
    struct acl_users *us = acl_users_new(cs->commands, &cs->core->settings->security);
    apply_requirepass(us, cs->core->settings->security.requirepass);
    bool same = same_rules(user, acl_users_default(us));
    acl_users_free(us);
    return same;
}

/* A line for a deleted user whom an included file defines: CONFIG REWRITE does not change that file, so a line of the
 * main file takes away all rights. */
static struct user_line line_without_rights(const char *name)
{
    struct user_line line = {0};
    line_append_word(&line, bytes_str(name));
    line_append_word(&line, BYTES_LIT("reset"));
    return line;
}

struct noted_lines {
    struct user_line *lines;
    size_t count;
};

static void note_line(struct noted_lines *noted, struct user_line line)
{
    noted->lines = mem_realloc(noted->lines, checked_size_mul(noted->count + 1, sizeof(*noted->lines)));
    noted->lines[noted->count++] = line;
}

/* A user whose rules equal those of an included file gets no line in the main file: a later edit of the included file
 * must keep its effect. */
static void note_users(const struct clients *cs, const struct acl_users *included, struct noted_lines *noted)
{
    const struct settings_misc *st = &cs->core->settings->misc;
    for (size_t i = 0; i < acl_users_count(cs->users); i++) {
        const struct acl_user *user = acl_users_at(cs->users, i);
        const struct acl_user *as_included = included_user(st, included, acl_user_name(user));
        bool said = as_included != NULL ? same_rules(user, as_included) : goes_without_saying(cs, user);
        if (!said) note_line(noted, make_line(user));
    }
    for (size_t i = 0; i < st->user_count; i++) {
        const char *name = st->users[i].words[0];
        if (st->users[i].included && acl_users_find(cs->users, bytes_str(name)) == NULL)
            note_line(noted, line_without_rights(name));
    }
}

void acl_source_note_lines(struct clients *cs)
{
    struct noted_lines noted = {0};
    struct acl_users *included = acl_users_new(cs->commands, &cs->core->settings->security);
    apply_requirepass(included, cs->core->settings->security.requirepass);
    (void)apply_lines(cs, included, true); /* a line that fails now is treated as missing */
    if (cs->core->settings->security.aclfile == NULL) note_users(cs, included, &noted);
    acl_users_free(included);
    config_note_users(cs->config, noted.lines, noted.count);
    config_users_release(noted.lines, noted.count);
}
