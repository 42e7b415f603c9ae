#include "server/acl/user.h"

#include <ctype.h>

#include "storage/base/assert.h"
#include "storage/base/checked.h"
#include "storage/base/memory.h"
#include "storage/base/sha256.h"

struct digest {
    char hex[SHA256_HEX_CHARS + 1];
};

struct acl_user {
    unsigned refs;
    char *name;
    size_t name_len;
    bool enabled, nopass, skip_sanitize;
    struct digest *passwords;
    size_t password_count;
    struct acl_selector **selectors; /* at least one */
    size_t selector_count;
};

/* ---- Life ---- */

static void add_selector(struct acl_user *user, struct acl_selector *sel)
{
    user->selectors =
        mem_realloc(user->selectors, checked_size_mul(user->selector_count + 1, sizeof(struct acl_selector *)));
    user->selectors[user->selector_count++] = sel;
}

static void drop_selectors(struct acl_user *user, size_t keep)
{
    while (user->selector_count > keep) acl_selector_free(user->selectors[--user->selector_count]);
}

static void forget_passwords(struct acl_user *user)
{
    mem_free(user->passwords);
    user->passwords = NULL;
    user->password_count = 0;
}

static struct acl_user *new_named(struct bytes_view name)
{
    struct acl_user *user = mem_calloc(sizeof(*user));
    user->refs = 1;
    user->name = bytes_to_cstr(name);
    user->name_len = name.len;
    return user;
}

struct acl_user *acl_user_new(const struct acl_env *env, struct bytes_view name)
{
    struct acl_user *user = new_named(name);
    add_selector(user, acl_selector_new(env));
    return user;
}

static void copy_contents(struct acl_user *to, const struct acl_user *from)
{
    size_t size = from->password_count * sizeof(struct digest);
    to->enabled = from->enabled;
    to->nopass = from->nopass;
    to->skip_sanitize = from->skip_sanitize;
    if (size > 0) to->passwords = memcpy(mem_alloc(size), from->passwords, size);
    to->password_count = from->password_count;
    for (size_t i = 0; i < from->selector_count; i++) add_selector(to, acl_selector_copy(from->selectors[i]));
}

struct acl_user *acl_user_copy(const struct acl_user *user)
{
    struct acl_user *copy = new_named(acl_user_name(user));
    copy_contents(copy, user);
    return copy;
}

struct acl_user *acl_user_ref(struct acl_user *user)
{
    user->refs++;
    return user;
}

static void release_contents(struct acl_user *user)
{
    forget_passwords(user);
    drop_selectors(user, 0);
    mem_free(user->selectors);
    user->selectors = NULL;
}

void acl_user_unref(struct acl_user *user)
{
    if (user == NULL || --user->refs > 0) return;
    release_contents(user);
    mem_free(user->name);
    mem_free(user);
}

void acl_user_assign(struct acl_user *user, struct acl_user *draft)
{
    struct acl_user old = *user;
    *user = *draft;
    user->refs = old.refs;
    user->name = old.name;
    user->name_len = old.name_len;
    release_contents(&old);
    mem_free(draft->name);
    mem_free(draft);
}

const char *acl_user_name_refusal(struct bytes_view name)
{
    if (name.len == 0) return "Usernames can't be empty";
    for (size_t i = 0; i < name.len; i++) {
        unsigned char c = (unsigned char)name.data[i];
        if (c == '\0' || isspace(c)) return "Usernames can't contain spaces or null characters";
        if (iscntrl(c)) return "Usernames can't contain control characters";
    }
    return NULL;
}

/* ---- Passwords ---- */

static struct digest digest_of(struct bytes_view password)
{
    struct digest d = {{0}};
    sha256_hex(password, d.hex);
    return d;
}

/* The time does not depend on where the digests differ. */
static bool same_digest(const struct digest *a, const struct digest *b)
{
    unsigned difference = 0;
    for (size_t i = 0; i < SHA256_HEX_CHARS; i++) difference |= (unsigned)(a->hex[i] ^ b->hex[i]);
    return difference == 0;
}

static size_t find_password(const struct acl_user *user, const struct digest *d)
{
    size_t found = SIZE_MAX;
    for (size_t i = 0; i < user->password_count; i++)
        if (same_digest(&user->passwords[i], d)) found = i;
    return found;
}

static void add_password(struct acl_user *user, struct digest d)
{
    user->nopass = false;
    if (find_password(user, &d) != SIZE_MAX) return;
    user->passwords = mem_realloc(user->passwords, checked_size_mul(user->password_count + 1, sizeof(d)));
    user->passwords[user->password_count++] = d;
}

static enum acl_rule_result remove_password(struct acl_user *user, struct digest d)
{
    size_t at = find_password(user, &d);
    if (at == SIZE_MAX) return ACL_RULE_NO_SUCH_PASSWORD;
    user->password_count--;
    memmove(&user->passwords[at], &user->passwords[at + 1], (user->password_count - at) * sizeof(d));
    return ACL_RULE_OK;
}

static bool parse_digest(struct bytes_view hex, struct digest *out)
{
    if (hex.len != SHA256_HEX_CHARS) return false;
    for (size_t i = 0; i < hex.len; i++) {
        char c = hex.data[i];
        if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f')) return false;
    }
    memcpy(out->hex, hex.data, SHA256_HEX_CHARS);
    out->hex[SHA256_HEX_CHARS] = '\0';
    return true;
}

/* ">password" "<password" "#digest" "!digest" */
static enum acl_rule_result apply_password(struct acl_user *user, struct bytes_view rule)
{
    struct bytes_view text = bytes_view(rule.data + 1, rule.len - 1);
    struct digest d;
    switch (rule.data[0]) {
    case '>': add_password(user, digest_of(text)); return ACL_RULE_OK;
    case '<': return remove_password(user, digest_of(text));
    default:
        if (!parse_digest(text, &d)) return ACL_RULE_BAD_HASH;
        if (rule.data[0] == '!') return remove_password(user, d);
        add_password(user, d);
        return ACL_RULE_OK;
    }
}

bool acl_user_accepts(const struct acl_user *user, struct bytes_view password)
{
    struct digest given = digest_of(password); /* in every case, so that the time tells little about the user */
    if (!user->enabled) return false;
    return user->nopass || find_password(user, &given) != SIZE_MAX;
}

/* ---- Selectors ---- */

static struct bytes_view next_word(struct bytes_view *rest)
{
    size_t start = 0, end;
    while (start < rest->len && rest->data[start] == ' ') start++;
    for (end = start; end < rest->len && rest->data[end] != ' ';) end++;
    struct bytes_view word = bytes_view(rest->data + start, end - start);
    *rest = bytes_view(rest->data + end, rest->len - end);
    return word;
}

/* "(~a +get)". No word inside may end in a parenthesis: it would end the selector when a file with it is read. */
static enum acl_rule_result apply_selector(struct acl_user *user, const struct acl_env *env, struct bytes_view text)
{
    enum acl_rule_result result = ACL_RULE_OK;
    if (text.len < 2 || text.data[text.len - 1] != ')') return ACL_RULE_SYNTAX;
    struct bytes_view rest = bytes_view(text.data + 1, text.len - 2);
    struct acl_selector *sel = acl_selector_new(env);
    for (struct bytes_view word = next_word(&rest); word.len > 0 && result == ACL_RULE_OK; word = next_word(&rest))
        result = word.data[word.len - 1] == ')' ? ACL_RULE_SYNTAX : acl_selector_apply(sel, env, word);
    if (result == ACL_RULE_OK)
        add_selector(user, sel);
    else
        acl_selector_free(sel);
    return result;
}

/* ---- Any rule ---- */

enum word {
    WORD_ON,
    WORD_OFF,
    WORD_NOPASS,
    WORD_RESETPASS,
    WORD_SANITIZE,
    WORD_SKIP_SANITIZE,
    WORD_CLEARSELECTORS,
    WORD_RESET,
    WORD_NONE
};

static enum word find_word(struct bytes_view rule)
{
    static const char *const words[] = {
        "on", "off", "nopass", "resetpass", "sanitize-payload", "skip-sanitize-payload", "clearselectors", "reset"};
    for (size_t i = 0; i < WORD_NONE; i++)
        if (bytes_equal_nocase(rule, words[i])) return (enum word)i;
    return WORD_NONE;
}

/* Gives the user the contents of a new one. */
static void reset(struct acl_user *user, const struct acl_env *env)
{
    release_contents(user);
    user->enabled = user->nopass = user->skip_sanitize = false;
    add_selector(user, acl_selector_new(env));
}

static void apply_word(struct acl_user *user, const struct acl_env *env, enum word word)
{
    switch (word) {
    case WORD_ON: user->enabled = true; break;
    case WORD_OFF: user->enabled = false; break;
    case WORD_NOPASS:
        user->nopass = true;
        forget_passwords(user);
        break;
    case WORD_RESETPASS:
        user->nopass = false;
        forget_passwords(user);
        break;
    case WORD_SANITIZE: user->skip_sanitize = false; break;
    case WORD_SKIP_SANITIZE: user->skip_sanitize = true; break;
    case WORD_CLEARSELECTORS: drop_selectors(user, 1); break;
    case WORD_RESET: reset(user, env); break;
    case WORD_NONE: break;
    }
}

enum acl_rule_result acl_user_apply(struct acl_user *user, const struct acl_env *env, struct bytes_view rule)
{
    if (rule.len == 0) return ACL_RULE_SYNTAX;
    enum word word = find_word(rule);
    if (word != WORD_NONE) {
        apply_word(user, env, word);
        return ACL_RULE_OK;
    }
    switch (rule.data[0]) {
    case '>':
    case '<':
    case '#':
    case '!': return apply_password(user, rule);
    case '(': return apply_selector(user, env, rule);
    default: return acl_selector_apply(user->selectors[0], env, rule);
    }
}

/* ---- Several rules ---- */

enum { SHOWN_MAX = 128 /* bytes of a rule in an error message */ };

static int shown(struct bytes_view text)
{
    return bytes_shown(text, SHOWN_MAX);
}

static bool ends_with(struct bytes_view text, char c)
{
    return text.len > 0 && text.data[text.len - 1] == c;
}

/* Puts one rule into *rule, or all words of one selector, joined. Returns the number of words; 0: the selector has no
 * end. */
static size_t take_rule(const struct bytes_view *rules, size_t count, struct bytes_buf *rule)
{
    size_t taken = 1;
    rule->len = 0;
    bytes_buf_append_view(rule, rules[0]);
    if (rules[0].len == 0 || rules[0].data[0] != '(') return 1;
    for (; !ends_with(rules[taken - 1], ')'); taken++) {
        if (taken == count) return 0;
        bytes_buf_append(rule, " ", 1);
        bytes_buf_append_view(rule, rules[taken]);
    }
    return taken;
}

int acl_user_apply_all(struct acl_user *user, const struct acl_env *env, const struct bytes_view *rules, size_t count,
                       struct config_error *err)
{
    struct bytes_buf rule = {0};
    int rc = 0;
    for (size_t at = 0, taken; rc == 0 && at < count; at += taken) {
        taken = take_rule(rules + at, count - at, &rule);
        struct bytes_view text = bytes_buf_view(&rule);
        enum acl_rule_result result = taken == 0 ? ACL_RULE_SYNTAX : acl_user_apply(user, env, text);
        if (taken == 0)
            rc = config_fail(err, "Unmatched parenthesis in acl selector starting at '%.*s'.", shown(rules[at]),
                             rules[at].data);
        else if (result != ACL_RULE_OK)
            rc = config_fail(err, "Error in ACL SETUSER modifier '%.*s': %s", shown(text), text.data,
                             acl_rule_result_text(result));
    }
    bytes_buf_release(&rule);
    return rc;
}

/* ---- Questions ---- */

struct bytes_view acl_user_name(const struct acl_user *user)
{
    return bytes_view(user->name, user->name_len);
}
const char *acl_user_name_text(const struct acl_user *user)
{
    return user->name;
}
bool acl_user_is_enabled(const struct acl_user *user)
{
    return user->enabled;
}
bool acl_user_has_nopass(const struct acl_user *user)
{
    return user->nopass;
}

bool acl_user_permits_all(const struct acl_user *user)
{
    for (size_t i = 0; i < user->selector_count; i++)
        if (acl_selector_permits_all(user->selectors[i])) return true;
    return false;
}

bool acl_user_permits_channel(const struct acl_user *user, struct bytes_view channel, bool is_pattern)
{
    for (size_t i = 0; i < user->selector_count; i++)
        if (acl_selector_permits_channel(user->selectors[i], channel, is_pattern)) return true;
    return false;
}

size_t acl_user_selector_count(const struct acl_user *user)
{
    return user->selector_count;
}

const struct acl_selector *acl_user_selector(const struct acl_user *user, size_t index)
{
    ASSERT(index < user->selector_count);
    return user->selectors[index];
}

size_t acl_user_password_count(const struct acl_user *user)
{
    return user->password_count;
}

const char *acl_user_password(const struct acl_user *user, size_t index)
{
    ASSERT(index < user->password_count);
    return user->passwords[index].hex;
}

/* ---- As text ---- */

size_t acl_user_flags(const struct acl_user *user, void (*fn)(void *ctx, const char *flag), void *ctx)
{
    fn(ctx, user->enabled ? "on" : "off");
    if (user->nopass) fn(ctx, "nopass");
    fn(ctx, user->skip_sanitize ? "skip-sanitize-payload" : "sanitize-payload");
    return user->nopass ? 3 : 2;
}

static void append_flag(void *ctx, const char *flag)
{
    bytes_buf_printf(ctx, "%s ", flag);
}

void acl_user_describe_rules(const struct acl_user *user, struct bytes_buf *out)
{
    (void)acl_user_flags(user, append_flag, out); /* the count is not needed here */
    for (size_t i = 0; i < user->password_count; i++) bytes_buf_printf(out, "#%s ", user->passwords[i].hex);
    acl_selector_describe(user->selectors[0], out);
    for (size_t i = 1; i < user->selector_count; i++) {
        bytes_buf_append(out, " (", 2);
        acl_selector_describe(user->selectors[i], out);
        bytes_buf_append(out, ")", 1);
    }
}

void acl_user_describe(const struct acl_user *user, struct bytes_buf *out)
{
    bytes_buf_printf(out, "user %s ", user->name);
    acl_user_describe_rules(user, out);
}
