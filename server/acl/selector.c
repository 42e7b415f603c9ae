#include "server/acl/selector.h"

#include <ctype.h>

#include "server/catalog/command_words.h"
#include "storage/base/assert.h"
#include "storage/base/checked.h"
#include "storage/base/glob.h"
#include "storage/base/memory.h"

struct pattern {
    char *text;
    size_t len;
    unsigned access; /* key patterns: enum acl_access */
};
struct pattern_list {
    struct pattern *items;
    size_t count;
};

struct first_arg { /* "+select|0": a command that is permitted only with this first argument */
    unsigned command;
    char *arg; /* lower case */
};

struct acl_selector {
    bool all_keys, all_channels;
    bool begins_with_all; /* the words below follow +@all; if false, -@all */
    size_t command_count; /* number of ids in the command table */
    uint64_t *commands;   /* a bit for the id of each permitted slot */
    struct first_arg *first_args;
    size_t first_arg_count;
    char **words; /* "+get", "-@string", "+select|0": lower case, in order */
    size_t word_count;
    struct pattern_list keys, channels;
};

const char *acl_rule_result_text(enum acl_rule_result result)
{
    switch (result) {
    case ACL_RULE_OK: return "OK";
    case ACL_RULE_SYNTAX: return "Syntax error";
    case ACL_RULE_UNKNOWN_COMMAND: return "Unknown command or category name in ACL";
    case ACL_RULE_ARG_OF_SUBCOMMAND: return "Allowing first-arg of a subcommand is not supported";
    case ACL_RULE_KEY_AFTER_ALL:
        return "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not have any effect. "
               "Try 'resetkeys' to start with an empty list of patterns";
    case ACL_RULE_CHANNEL_AFTER_ALL:
        return "Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and does not have any "
               "effect. Try 'resetchannels' to start with an empty list of channels";
    case ACL_RULE_NO_SUCH_PASSWORD: return "The password you are trying to remove from the user does not exist";
    case ACL_RULE_BAD_HASH:
        return "The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters";
    }
    return "";
}

/* ---- Patterns ---- */

static void patterns_clear(struct pattern_list *list)
{
    for (size_t i = 0; i < list->count; i++) mem_free(list->items[i].text);
    mem_free(list->items);
    *list = (struct pattern_list){0};
}

static void patterns_append(struct pattern_list *list, struct bytes_view text, unsigned access)
{
    list->items = mem_realloc(list->items, checked_size_mul(list->count + 1, sizeof(*list->items)));
    list->items[list->count++] = (struct pattern){.text = bytes_to_cstr(text), .len = text.len, .access = access};
}

/* A pattern that is in the list already gets the additional access. */
static void patterns_add(struct pattern_list *list, struct bytes_view text, unsigned access)
{
    for (size_t i = 0; i < list->count; i++) {
        if (!bytes_equal(bytes_view(list->items[i].text, list->items[i].len), text)) continue;
        list->items[i].access |= access;
        return;
    }
    patterns_append(list, text, access);
}

static struct pattern_list patterns_copy(const struct pattern_list *list)
{
    struct pattern_list copy = {0};
    for (size_t i = 0; i < list->count; i++)
        patterns_append(&copy, bytes_view(list->items[i].text, list->items[i].len), list->items[i].access);
    return copy;
}

/* ---- Life ---- */

static size_t bitmap_words(const struct acl_selector *sel)
{
    return (sel->command_count + 63) / 64;
}

struct acl_selector *acl_selector_new(const struct acl_env *env)
{
    struct acl_selector *sel = mem_calloc(sizeof(*sel));
    sel->command_count = command_table_id_count(env->commands);
    sel->commands = mem_calloc(bitmap_words(sel) * sizeof(uint64_t));
    sel->all_channels = env->all_channels;
    return sel;
}

static void forget_words(struct acl_selector *sel)
{
    for (size_t i = 0; i < sel->word_count; i++) mem_free(sel->words[i]);
    mem_free(sel->words);
    sel->words = NULL;
    sel->word_count = 0;
}

static void forget_first_args(struct acl_selector *sel)
{
    for (size_t i = 0; i < sel->first_arg_count; i++) mem_free(sel->first_args[i].arg);
    mem_free(sel->first_args);
    sel->first_args = NULL;
    sel->first_arg_count = 0;
}

void acl_selector_free(struct acl_selector *sel)
{
    if (sel == NULL) return;
    forget_words(sel);
    forget_first_args(sel);
    patterns_clear(&sel->keys);
    patterns_clear(&sel->channels);
    mem_free(sel->commands);
    mem_free(sel);
}

static void append_word(struct acl_selector *sel, const char *word)
{
    sel->words = mem_realloc(sel->words, checked_size_mul(sel->word_count + 1, sizeof(*sel->words)));
    sel->words[sel->word_count++] = mem_strdup(word);
}

static void append_first_arg(struct acl_selector *sel, unsigned command, const char *arg)
{
    sel->first_args =
        mem_realloc(sel->first_args, checked_size_mul(sel->first_arg_count + 1, sizeof(*sel->first_args)));
    sel->first_args[sel->first_arg_count++] = (struct first_arg){.command = command, .arg = mem_strdup(arg)};
}

struct acl_selector *acl_selector_copy(const struct acl_selector *sel)
{
    struct acl_selector *copy = mem_calloc(sizeof(*copy));
    copy->all_keys = sel->all_keys;
    copy->all_channels = sel->all_channels;
    copy->begins_with_all = sel->begins_with_all;
    copy->command_count = sel->command_count;
    copy->commands = mem_alloc(bitmap_words(sel) * sizeof(uint64_t));
    memcpy(copy->commands, sel->commands, bitmap_words(sel) * sizeof(uint64_t));
    for (size_t i = 0; i < sel->first_arg_count; i++)
        append_first_arg(copy, sel->first_args[i].command, sel->first_args[i].arg);
    for (size_t i = 0; i < sel->word_count; i++) append_word(copy, sel->words[i]);
    copy->keys = patterns_copy(&sel->keys);
    copy->channels = patterns_copy(&sel->channels);
    return copy;
}

/* ---- The bits of commands ---- */

static bool has_bit(const struct acl_selector *sel, unsigned id)
{
    ASSERT(id < sel->command_count);
    return sel->commands[id / 64] >> (id % 64) & 1;
}

static void set_bit(struct acl_selector *sel, unsigned id, bool permitted)
{
    uint64_t bit = 1ull << (id % 64);
    ASSERT(id < sel->command_count);
    if (permitted)
        sel->commands[id / 64] |= bit;
    else
        sel->commands[id / 64] &= ~bit;
}

static void drop_first_args_of(struct acl_selector *sel, unsigned id)
{
    size_t kept = 0;
    for (size_t i = 0; i < sel->first_arg_count; i++) {
        if (sel->first_args[i].command == id)
            mem_free(sel->first_args[i].arg);
        else
            sel->first_args[kept++] = sel->first_args[i];
    }
    sel->first_arg_count = kept;
}

static void set_slot(struct acl_selector *sel, const struct command_slot *slot, bool permitted)
{
    set_bit(sel, slot->id, permitted);
    drop_first_args_of(sel, slot->id);
}

static void set_slot_and_subcommands(struct acl_selector *sel, const struct command_slot *slot, bool permitted)
{
    set_slot(sel, slot, permitted);
    for (size_t i = 0; i < slot->subcommand_count; i++) set_slot(sel, &slot->subcommands[i], permitted);
}

static void set_all(struct acl_selector *sel, bool permitted)
{
    for (unsigned id = 0; id < sel->command_count; id++) set_bit(sel, id, permitted);
    forget_first_args(sel);
    forget_words(sel);
    sel->begins_with_all = permitted;
}

static void set_members(struct acl_selector *sel, const struct command_slot *slots, size_t count, unsigned category,
                        bool permitted)
{
    for (size_t i = 0; i < count; i++) {
        if (command_categories(slots[i].command) & category) set_slot(sel, &slots[i], permitted);
        set_members(sel, slots[i].subcommands, slots[i].subcommand_count, category, permitted);
    }
}

/* ---- Rules on commands ---- */

/* True if the new word makes the older one meaningless. Both come without their signs. */
static bool overrules(const char *word, const char *older)
{
    size_t len = strlen(word);
    if (strncmp(older, word, len) != 0) return false;
    return older[len] == '\0' || (older[len] == '|' && strchr(word, '|') == NULL);
}

static void note_word(struct acl_selector *sel, bool permitted, const char *name)
{
    size_t kept = 0;
    for (size_t i = 0; i < sel->word_count; i++) {
        if (overrules(name, sel->words[i] + 1))
            mem_free(sel->words[i]);
        else
            sel->words[kept++] = sel->words[i];
    }
    sel->word_count = kept;
    struct bytes_buf word = {0};
    bytes_buf_printf(&word, "%c%s", permitted ? '+' : '-', name);
    bytes_buf_append(&word, "", 1);
    append_word(sel, word.data);
    bytes_buf_release(&word);
}

static enum acl_rule_result apply_category(struct acl_selector *sel, const struct acl_env *env, const char *name,
                                           bool permitted)
{
    size_t count;
    if (strcmp(name, "@all") == 0) {
        set_all(sel, permitted);
        return ACL_RULE_OK;
    }
    unsigned category = acl_category_find(bytes_str(name + 1));
    if (category == 0) return ACL_RULE_UNKNOWN_COMMAND;
    const struct command_slot *slots = command_table_slots(env->commands, &count);
    set_members(sel, slots, count, category, permitted);
    note_word(sel, permitted, name);
    return ACL_RULE_OK;
}

/* ---- Rules on a command with its first argument: "+select|0" ---- */

static size_t find_first_arg(const struct acl_selector *sel, unsigned command, const char *arg)
{
    size_t at = 0;
    while (at < sel->first_arg_count &&
           (sel->first_args[at].command != command || strcmp(sel->first_args[at].arg, arg) != 0))
        at++;
    return at;
}

/* If the command is permitted with every argument, this adds no permission; apply_command() still keeps the word. */
static void permit_first_arg(struct acl_selector *sel, unsigned command, const char *arg)
{
    if (find_first_arg(sel, command, arg) == sel->first_arg_count) append_first_arg(sel, command, arg);
}

/* "+command|word", where the word is not a subcommand. bar points to the '|'. */
static enum acl_rule_result apply_first_arg(struct acl_selector *sel, const struct acl_env *env, const char *name,
                                            const char *bar)
{
    const struct command_slot *slot =
        command_table_find_documented(env->commands, bytes_view(name, (size_t)(bar - name)));
    if (slot == NULL) return ACL_RULE_UNKNOWN_COMMAND;
    if (bar[1] == '\0') return ACL_RULE_SYNTAX;
    if (strchr(bar + 1, '|') != NULL || slot->subcommand_count > 0) return ACL_RULE_UNKNOWN_COMMAND;
    permit_first_arg(sel, slot->id, bar + 1);
    return ACL_RULE_OK;
}

/* "+config|get|x": Redis has an error of its own for the argument of a subcommand. */
static bool is_arg_of_subcommand(const struct acl_env *env, const char *name)
{
    const char *bar = strchr(name, '|'), *second = bar == NULL ? NULL : strchr(bar + 1, '|');
    if (second == NULL) return false;
    return command_table_find_documented(env->commands, bytes_view(name, (size_t)(second - name))) != NULL;
}

static enum acl_rule_result apply_command(struct acl_selector *sel, const struct acl_env *env, const char *name,
                                          bool permitted)
{
    const char *bar = strchr(name, '|');
    enum acl_rule_result result = ACL_RULE_OK;
    const struct command_slot *slot = command_table_find_documented(env->commands, bytes_str(name));
    if (slot != NULL)
        set_slot_and_subcommands(sel, slot, permitted);
    else if (permitted && is_arg_of_subcommand(env, name))
        result = ACL_RULE_ARG_OF_SUBCOMMAND;
    else if (permitted && bar != NULL)
        result = apply_first_arg(sel, env, name, bar);
    else
        result = ACL_RULE_UNKNOWN_COMMAND;
    if (result == ACL_RULE_OK) note_word(sel, permitted, name);
    return result;
}

/* "+name", "-name", "+@name". */
static enum acl_rule_result apply_command_rule(struct acl_selector *sel, const struct acl_env *env,
                                               struct bytes_view rule)
{
    bool permitted = rule.data[0] == '+';
    char *name = bytes_to_cstr(bytes_view(rule.data + 1, rule.len - 1));
    for (char *p = name; *p != '\0'; p++) *p = (char)tolower((unsigned char)*p);
    enum acl_rule_result result =
        name[0] == '@' ? apply_category(sel, env, name, permitted) : apply_command(sel, env, name, permitted);
    mem_free(name);
    return result;
}

/* ---- Rules on keys and channels ---- */

static void permit_all_keys(struct acl_selector *sel, bool permitted)
{
    patterns_clear(&sel->keys);
    sel->all_keys = permitted;
}
static void permit_all_channels(struct acl_selector *sel, bool permitted)
{
    patterns_clear(&sel->channels);
    sel->all_channels = permitted;
}

/* Parses the access of "%RW~": R, W or both, in any order, also repeated. 0: anything else (CVE-2024-51741). */
static unsigned parse_access(struct bytes_view rule, size_t *tilde)
{
    unsigned access = 0;
    size_t at = 1;
    for (; at < rule.len && rule.data[at] != '~'; at++) {
        int letter = toupper((unsigned char)rule.data[at]);
        if (letter != 'R' && letter != 'W') return 0;
        access |= letter == 'R' ? ACL_MAY_READ : ACL_MAY_WRITE;
    }
    *tilde = at;
    return at < rule.len ? access : 0;
}

/* "~pattern", "%R~pattern". */
static enum acl_rule_result apply_key_rule(struct acl_selector *sel, struct bytes_view rule)
{
    size_t tilde = 0;
    unsigned access = rule.data[0] == '~' ? ACL_MAY_BOTH : parse_access(rule, &tilde);
    if (access == 0) return ACL_RULE_SYNTAX;
    if (sel->all_keys) return ACL_RULE_KEY_AFTER_ALL;
    patterns_add(&sel->keys, bytes_view(rule.data + tilde + 1, rule.len - tilde - 1), access);
    return ACL_RULE_OK;
}

static enum acl_rule_result apply_channel_rule(struct acl_selector *sel, struct bytes_view rule)
{
    if (sel->all_channels) return ACL_RULE_CHANNEL_AFTER_ALL;
    patterns_add(&sel->channels, bytes_view(rule.data + 1, rule.len - 1), 0);
    return ACL_RULE_OK;
}

/* ---- Any rule ---- */

static bool apply_word(struct acl_selector *sel, struct bytes_view rule)
{
    static const struct {
        const char *word;
        void (*apply)(struct acl_selector *sel, bool permitted);
        bool permitted;
    } words[] = {
        {"allkeys", permit_all_keys, true},    {"~*", permit_all_keys, true},
        {"resetkeys", permit_all_keys, false}, {"allchannels", permit_all_channels, true},
        {"&*", permit_all_channels, true},     {"resetchannels", permit_all_channels, false},
        {"allcommands", set_all, true},        {"nocommands", set_all, false},
    };
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (!bytes_equal_nocase(rule, words[i].word)) continue;
        words[i].apply(sel, words[i].permitted);
        return true;
    }
    return false;
}

/* True if a line of an ACL file can hold the rule as one word. */
static bool fits_a_file(struct bytes_view rule)
{
    for (size_t i = 0; i < rule.len; i++)
        if (rule.data[i] == ' ' || iscntrl((unsigned char)rule.data[i])) return false;
    return true;
}

enum acl_rule_result acl_selector_apply(struct acl_selector *sel, const struct acl_env *env, struct bytes_view rule)
{
    if (rule.len == 0 || !fits_a_file(rule)) return ACL_RULE_SYNTAX;
    if (apply_word(sel, rule)) return ACL_RULE_OK;
    switch (rule.data[0]) {
    case '~':
    case '%': return apply_key_rule(sel, rule);
    case '&': return apply_channel_rule(sel, rule);
    case '+':
    case '-': return rule.len > 1 ? apply_command_rule(sel, env, rule) : ACL_RULE_UNKNOWN_COMMAND;
    default: return ACL_RULE_SYNTAX;
    }
}

/* ---- Questions ---- */

static bool permits_all_commands(const struct acl_selector *sel)
{
    for (unsigned id = 0; id < sel->command_count; id++)
        if (!has_bit(sel, id)) return false;
    return true;
}

bool acl_selector_permits_all(const struct acl_selector *sel)
{
    return sel->all_keys && sel->all_channels && permits_all_commands(sel);
}

bool acl_selector_permits_command(const struct acl_selector *sel, const struct command_slot *slot, int argc,
                                  const struct bytes_view *argv)
{
    if (has_bit(sel, slot->id)) return true;
    for (size_t i = 0; argc > 1 && i < sel->first_arg_count; i++)
        if (sel->first_args[i].command == slot->id && bytes_equal_nocase(argv[1], sel->first_args[i].arg)) return true;
    return false;
}

bool acl_selector_permits_key(const struct acl_selector *sel, struct bytes_view key, unsigned access)
{
    if (sel->all_keys) return true;
    for (size_t i = 0; i < sel->keys.count; i++) {
        const struct pattern *p = &sel->keys.items[i];
        if ((p->access & access) == access && glob_match(bytes_view(p->text, p->len), key, false)) return true;
    }
    return false;
}

bool acl_selector_permits_all_keys(const struct acl_selector *sel, unsigned access)
{
    if (sel->all_keys) return true;
    for (size_t i = 0; i < sel->keys.count; i++)
        if ((sel->keys.items[i].access & access) == access && strcmp(sel->keys.items[i].text, "*") == 0) return true;
    return false;
}

bool acl_selector_permits_channel(const struct acl_selector *sel, struct bytes_view channel, bool is_pattern)
{
    if (sel->all_channels) return true;
    for (size_t i = 0; i < sel->channels.count; i++) {
        struct bytes_view pattern = bytes_view(sel->channels.items[i].text, sel->channels.items[i].len);
        if (is_pattern ? bytes_equal(pattern, channel) : glob_match(pattern, channel, false)) return true;
    }
    return false;
}

/* ---- As text ---- */

void acl_selector_describe_commands(const struct acl_selector *sel, struct bytes_buf *out)
{
    bytes_buf_printf(out, "%c@all", sel->begins_with_all ? '+' : '-');
    for (size_t i = 0; i < sel->word_count; i++) bytes_buf_printf(out, " %s", sel->words[i]);
}

static void describe_patterns(const struct pattern_list *list, bool is_keys, struct bytes_buf *out)
{
    static const char *const access[] = {"", "%R", "%W", ""};
    for (size_t i = 0; i < list->count; i++) {
        const struct pattern *p = &list->items[i];
        bytes_buf_printf(out, "%s%s%c%s", i == 0 ? "" : " ", is_keys ? access[p->access] : "", is_keys ? '~' : '&',
                         p->text);
    }
}

void acl_selector_describe_keys(const struct acl_selector *sel, struct bytes_buf *out)
{
    if (sel->all_keys)
        bytes_buf_append(out, "~*", 2);
    else
        describe_patterns(&sel->keys, true, out);
}

void acl_selector_describe_channels(const struct acl_selector *sel, struct bytes_buf *out)
{
    if (sel->all_channels)
        bytes_buf_append(out, "&*", 2);
    else
        describe_patterns(&sel->channels, false, out);
}

void acl_selector_describe(const struct acl_selector *sel, struct bytes_buf *out)
{
    size_t before = out->len;
    acl_selector_describe_keys(sel, out);
    if (out->len > before) bytes_buf_append(out, " ", 1);
    if (!sel->all_channels) bytes_buf_printf(out, "resetchannels ");
    before = out->len;
    acl_selector_describe_channels(sel, out);
    if (out->len > before) bytes_buf_append(out, " ", 1);
    acl_selector_describe_commands(sel, out);
}
