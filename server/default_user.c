#include "server/default_user.h"

#include <ctype.h>
#include <stdio.h>

#include "storage/base/memory.h"
#include "storage/base/sha256.h"

struct default_user {
    char digest[SHA256_HEX_CHARS + 1]; /* "": no password is needed */
    bool listed;                       /* the file has a line for it, which CONFIG REWRITE keeps up to date */
};

bool default_user_has_password(const struct server *s)
{
    return s->default_user->digest[0] != '\0';
}

const char *default_user_digest(const struct server *s)
{
    return default_user_has_password(s) ? s->default_user->digest : NULL;
}

/* Takes the same time wherever the digests differ. */
bool default_user_admits(const struct server *s, struct bytes_view password)
{
    char given[SHA256_HEX_CHARS + 1];
    unsigned difference = 0;
    if (!default_user_has_password(s)) return true;
    sha256_hex(password, given);
    for (size_t i = 0; i < SHA256_HEX_CHARS; i++) difference |= (unsigned)(given[i] ^ s->default_user->digest[i]);
    return difference == 0;
}

static void digest_text(const char *text, char digest[SHA256_HEX_CHARS + 1])
{
    struct bytes_buf password = {0};
    bytes_from_text(text, &password);
    sha256_hex(bytes_buf_view(&password), digest);
    bytes_buf_release(&password);
}

static void take_requirepass(struct default_user *user, const struct settings *settings)
{
    user->digest[0] = '\0';
    if (settings->security.requirepass != NULL) digest_text(settings->security.requirepass, user->digest);
}

/* ---- The line of the file ---- */

static void note_line(struct server *s, const struct default_user *user)
{
    char password[SHA256_HEX_CHARS + 2] = "nopass";
    if (user->digest[0] != '\0') snprintf(password, sizeof(password), "#%s", user->digest);
    char *words[] = {"default", "on", password, "sanitize-payload", "~*", "&*", "+@all"};
    struct user_line line = {.words = words, .count = sizeof(words) / sizeof(words[0])};
    if (user->listed) config_note_users(s->config, &line, 1);
}

enum rule { RULE_ON = 1, RULE_PASSWORD = 2, RULE_KEYS = 4, RULE_COMMANDS = 8, RULE_CHANNELS = 16, RULE_NOTHING = 32 };

static bool is_digest(const char *text)
{
    size_t len = strspn(text, "0123456789abcdef");
    return len == SHA256_HEX_CHARS && text[len] == '\0';
}

/* What the rule grants; 0: it is one we cannot follow. */
static unsigned apply_rule(struct default_user *user, const char *rule)
{
    static const struct {
        const char *word;
        unsigned grants;
    } words[] = {{"on", RULE_ON},
                 {"~*", RULE_KEYS},
                 {"allkeys", RULE_KEYS},
                 {"&*", RULE_CHANNELS},
                 {"allchannels", RULE_CHANNELS},
                 {"+@all", RULE_COMMANDS},
                 {"allcommands", RULE_COMMANDS},
                 {"sanitize-payload", RULE_NOTHING},
                 {"skip-sanitize-payload", RULE_NOTHING}};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strcmp(rule, words[i].word) == 0) return words[i].grants;
    if (strcmp(rule, "nopass") == 0) {
        user->digest[0] = '\0';
        return RULE_PASSWORD;
    }
    if (rule[0] == '#' && is_digest(rule + 1)) {
        memcpy(user->digest, rule + 1, SHA256_HEX_CHARS + 1);
        return RULE_PASSWORD;
    }
    if (rule[0] == '>') {
        digest_text(rule + 1, user->digest);
        return RULE_PASSWORD;
    }
    return 0;
}

static int apply_line(struct server *s, struct default_user *user, const struct user_line *line)
{
    const unsigned needed = RULE_ON | RULE_PASSWORD | RULE_KEYS | RULE_COMMANDS;
    unsigned granted = 0;
    if (strcmp(line->words[0], "default") != 0) {
        log_warning(s->log,
                    "The configuration has a user '%s', but users other than 'default' are not available in this "
                    "version",
                    line->words[0]);
        return -1;
    }
    for (size_t i = 1; i < line->count; i++) {
        unsigned grants = apply_rule(user, line->words[i]);
        granted |= grants;
        if (grants != 0) continue;
        log_warning(s->log, "The rule '%s' for the user 'default' is not available in this version", line->words[i]);
        return -1;
    }
    if ((granted & needed) != needed) {
        log_warning(s->log,
                    "The user 'default' cannot be restricted in this version: its line must have on, a password "
                    "or nopass, ~* and +@all");
        return -1;
    }
    if (!(granted & RULE_CHANNELS))
        log_warning(s->log, "The user 'default' may use all channels, although its line does not say so");
    user->listed = true;
    return 0;
}

static int load(struct server *s, struct default_user *user)
{
    const struct settings *st = s->settings;
    take_requirepass(user, st);
    for (size_t i = 0; i < st->misc.user_count; i++)
        if (apply_line(s, user, &st->misc.users[i]) != 0) return -1;
    note_line(s, user);
    return 0;
}

struct default_user *default_user_new(struct server *s)
{
    struct default_user *user = mem_calloc(sizeof(*user));
    if (load(s, user) == 0) return user;
    mem_free(user);
    return NULL;
}

void default_user_free(struct default_user *user)
{
    mem_free(user);
}

void default_user_password_changed(struct server *s)
{
    take_requirepass(s->default_user, s->settings);
    note_line(s, s->default_user);
}
