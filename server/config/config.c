#include "server/config/config_internal.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <strings.h>

#include "storage/base/assert.h"
#include "storage/base/glob.h"
#include "storage/base/memory.h"
#include "storage/base/num.h"
#include "storage/base/words.h"

/* ---- Small things ---- */

void config_replace_string(char **field, const char *text)
{
    char *copy = text != NULL ? mem_strdup(text) : NULL; /* before the free: text may be the old value */
    mem_free(*field);
    *field = copy;
}

int config_parse_memory(const char *text, uint64_t *out)
{
    if (*text == '\0') { /* CONFIG SET maxmemory "" sets 0 */
        *out = 0;
        return 0;
    }
    return num_parse_memory(bytes_str(text), out) ? 0 : -EINVAL;
}

/* Of a slot of the index; NULL: it is free. */
static const char *name_in(const struct config *cfg, size_t slot)
{
    unsigned entry = cfg->index[slot];
    if (entry == 0) return NULL;
    const struct config_directive *d = cfg->rows[(entry - 1) / 2].dir;
    return (entry - 1) % 2 == 0 ? d->name : d->alias;
}

/* The slot that has this name, or the free one that it would get. */
static size_t slot_of(const struct config *cfg, const char *name)
{
    const char *there;
    uint64_t h = 14695981039346656037u; /* FNV-1a over the lower-case name */
    for (const char *c = name; *c != '\0'; c++) h = (h ^ (uint8_t)(*c | 0x20)) * 1099511628211u;
    size_t slot = (h ^ (h >> 32)) % CONFIG_INDEX_SIZE;
    while ((there = name_in(cfg, slot)) != NULL && strcasecmp(there, name) != 0) slot = (slot + 1) % CONFIG_INDEX_SIZE;
    return slot;
}

struct config_row *config_find(const struct config *cfg, const char *name)
{
    unsigned entry = cfg->index[slot_of(cfg, name)];
    return entry != 0 ? &cfg->rows[(entry - 1) / 2] : NULL;
}

static void index_add(struct config *cfg, const char *name, size_t row, bool is_alias)
{
    size_t slot = slot_of(cfg, name);
    ASSERT(cfg->index[slot] == 0);
    cfg->name_count++;
    ASSERT(cfg->name_count <= CONFIG_INDEX_SIZE / 2);
    cfg->index[slot] = (uint16_t)(1 + 2 * row + is_alias);
}

void *config_row_field(const struct config_row *row)
{
    return (char *)row->target + row->dir->offset;
}

/* ---- Values as text ---- */

static bool is_number(enum config_kind kind)
{
    return kind >= CONFIG_INT && kind <= CONFIG_SIZE;
}

/* The field's value. Unsigned 64-bit values above INT64_MAX are kept exactly. */
struct number {
    bool negative;
    uint64_t magnitude;
};

static struct number number_of(int64_t v)
{
    return (struct number){.negative = v < 0, .magnitude = v < 0 ? 0 - (uint64_t)v : (uint64_t)v};
}

static struct number number_load(const struct config_row *row)
{
    const void *field = config_row_field(row);
    switch (row->dir->kind) {
    case CONFIG_INT: return number_of(*(const int *)field);
    case CONFIG_UINT: return number_of(*(const unsigned *)field);
    case CONFIG_I64: return number_of(*(const int64_t *)field);
    case CONFIG_U64: return (struct number){.magnitude = *(const uint64_t *)field};
    case CONFIG_SIZE: return (struct number){.magnitude = *(const size_t *)field};
    case CONFIG_BOOL:
    case CONFIG_ENUM:
    case CONFIG_STRING:
    case CONFIG_SPECIAL: break;
    }
    UNREACHABLE();
}

/* `value` is within the row's bounds, so it fits the field. */
static void number_store(const struct config_row *row, uint64_t value)
{
    void *field = config_row_field(row);
    switch (row->dir->kind) {
    case CONFIG_INT: *(int *)field = (int)(int64_t)value; return;
    case CONFIG_UINT: *(unsigned *)field = (unsigned)value; return;
    case CONFIG_I64: *(int64_t *)field = (int64_t)value; return;
    case CONFIG_U64: *(uint64_t *)field = value; return;
    case CONFIG_SIZE: *(size_t *)field = (size_t)value; return;
    case CONFIG_BOOL:
    case CONFIG_ENUM:
    case CONFIG_STRING:
    case CONFIG_SPECIAL: break;
    }
    UNREACHABLE();
}

static void get_number(const struct config_row *row, struct bytes_buf *out)
{
    struct number n = number_load(row);
    bool is_percent = n.negative && config_row_has(row, CONFIG_FLAG_PERCENT);
    char digits[NUM_U64_MAX_CHARS];
    if (config_row_has(row, CONFIG_FLAG_OCTAL)) {
        bytes_buf_printf(out, "%s%llo", n.negative ? "-" : "", (unsigned long long)n.magnitude);
        return;
    }
    if (n.negative && !is_percent) bytes_buf_append(out, "-", 1);
    bytes_buf_append(out, digits, num_format_u64(digits, n.magnitude));
    if (is_percent) bytes_buf_append(out, "%", 1);
}

static void get_enum(const struct config_row *row, struct bytes_buf *out)
{
    int value = *(const int *)config_row_field(row);
    bool bits = config_row_has(row, CONFIG_FLAG_BITS);
    size_t start = out->len;
    for (const struct config_enum *e = row->dir->names; e->name != NULL; e++) {
        bool named = bits && e->value != 0 ? (value & e->value) == e->value : value == e->value;
        if (!named) continue;
        if (out->len > start) bytes_buf_append(out, " ", 1);
        bytes_buf_append_view(out, bytes_str(e->name));
        if (!bits) return;
    }
}

void config_row_get(const struct config *cfg, const struct config_row *row, struct bytes_buf *out)
{
    const void *field = config_row_field(row);
    switch (row->dir->kind) {
    case CONFIG_BOOL: bytes_buf_append_view(out, bytes_str(*(const bool *)field ? "yes" : "no")); return;
    case CONFIG_ENUM: get_enum(row, out); return;
    case CONFIG_STRING: {
        const char *text = *(char *const *)field;
        bytes_buf_append_view(out, bytes_str(text != NULL ? text : ""));
        return;
    }
    case CONFIG_SPECIAL:
        if (row->dir->special != NULL && row->dir->special->get != NULL) row->dir->special->get(cfg, field, out);
        return;
    case CONFIG_INT:
    case CONFIG_UINT:
    case CONFIG_I64:
    case CONFIG_U64:
    case CONFIG_SIZE: get_number(row, out); return;
    }
}

/* ---- Setting one value ---- */

static int set_bool(struct config_row *row, const char *text, struct config_error *err)
{
    bool value = strcasecmp(text, "yes") == 0;
    if (!value && strcasecmp(text, "no") != 0) return config_fail(err, "argument must be 'yes' or 'no'");
    *(bool *)config_row_field(row) = value;
    return 0;
}

static int fail_enum(const struct config_row *row, struct config_error *err)
{
    struct bytes_buf names = {NULL, 0, 0};
    for (const struct config_enum *e = row->dir->names; e->name != NULL; e++)
        bytes_buf_printf(&names, "%s%s", names.len > 0 ? ", " : "", e->name);
    int rc = config_fail(err, "argument(s) must be one of the following: %.*s", (int)names.len, names.data);
    bytes_buf_release(&names);
    return rc;
}

static const struct config_enum *enum_find(const struct config_enum *names, const char *text)
{
    for (const struct config_enum *e = names; e->name != NULL; e++) {
        if (strcasecmp(e->name, text) == 0) return e;
    }
    return NULL;
}

static int set_enum(struct config_row *row, char **words, size_t count, struct config_error *err)
{
    int value = 0;
    for (size_t i = 0; i < count; i++) {
        const struct config_enum *e = enum_find(row->dir->names, words[i]);
        if (e == NULL || (e->value == 0 && count > 1 && config_row_has(row, CONFIG_FLAG_BITS)))
            return fail_enum(row, err);
        value |= e->value;
    }
    if (count == 0) return fail_enum(row, err);
    *(int *)config_row_field(row) = value;
    return 0;
}

static int set_string(const struct config *cfg, struct config_row *row, const char *text, struct config_error *err)
{
    if (row->dir->check != NULL) {
        int rc = row->dir->check(cfg, text, NULL, err);
        if (rc != 0) return rc;
    }
    bool unset = *text == '\0' && config_row_has(row, CONFIG_FLAG_EMPTY_NULL);
    config_replace_string(config_row_field(row), unset ? NULL : text);
    return 0;
}

static int parse_percent(const struct config_row *row, struct bytes_view digits, int64_t *out, struct config_error *err)
{
    int64_t percent;
    if (!num_parse_i64(digits, &percent) || percent < 0)
        return config_fail(err, "argument must be a memory or percent value");
    if (percent > -row->dir->min)
        return config_fail(err, "percentage argument must be less or equal to %lld", (long long)-row->dir->min);
    *out = -percent;
    return 0;
}

static int parse_octal(const char *text, int64_t *out, struct config_error *err)
{
    char *end;
    errno = 0;
    long long v = strtoll(text, &end, 8);
    if (errno != 0 || *text == '\0' || isspace((unsigned char)*text) || *end != '\0')
        return config_fail(err, "argument couldn't be parsed as an octal number");
    *out = v;
    return 0;
}

static int parse_size(const struct config_row *row, const char *text, uint64_t *out, struct config_error *err)
{
    if (config_parse_memory(text, out) == 0) return 0;
    return config_fail(err, config_row_has(row, CONFIG_FLAG_PERCENT) ? "argument must be a memory or percent value"
                                                                     : "argument must be a memory value");
}

static int fail_range(const struct config_row *row, struct config_error *err)
{
    const char *shape = config_row_has(row, CONFIG_FLAG_OCTAL) ? "argument must be between %llo and %llo inclusive"
                                                               : "argument must be between %lld and %llu inclusive";
    return config_fail(err, shape, (long long)row->dir->min, (unsigned long long)row->dir->max);
}

/* Parses a number within the row's bounds. A negative one is returned as its two's complement. */
static int parse_number(const struct config_row *row, const char *text, uint64_t *out, struct config_error *err)
{
    struct bytes_view view = bytes_str(text);
    int64_t value = 0;
    if (config_row_has(row, CONFIG_FLAG_PERCENT) && view.len > 1 && text[view.len - 1] == '%') {
        int rc = parse_percent(row, bytes_view(text, view.len - 1), &value, err);
        *out = (uint64_t)value;
        return rc;
    }
    if (config_row_has(row, CONFIG_FLAG_MEMORY)) {
        int rc = parse_size(row, text, out, err);
        if (rc != 0) return rc;
        bool below = row->dir->min > 0 && *out < (uint64_t)row->dir->min;
        return below || *out > row->dir->max ? fail_range(row, err) : 0;
    }
    if (config_row_has(row, CONFIG_FLAG_OCTAL)) {
        int rc = parse_octal(text, &value, err);
        if (rc != 0) return rc;
    } else if (!num_parse_i64(view, &value)) {
        return config_fail(err, "argument couldn't be parsed into an integer");
    }
    *out = (uint64_t)value;
    bool above = value > 0 && (uint64_t)value > row->dir->max;
    return value < row->dir->min || above ? fail_range(row, err) : 0;
}

static int set_number(const struct config *cfg, struct config_row *row, const char *text, struct config_error *err)
{
    uint64_t value;
    int rc = parse_number(row, text, &value, err);
    if (rc != 0) return rc;
    if (row->dir->check != NULL) {
        rc = row->dir->check(cfg, text, (int64_t *)&value, err);
        if (rc != 0) return rc;
    }
    number_store(row, value);
    return 0;
}

static int dispatch_set(struct config *cfg, struct config_row *row, char **words, size_t count,
                        struct config_error *err)
{
    const struct config_directive *d = row->dir;
    if (config_row_has(row, CONFIG_FLAG_FILE_ONLY) && d->refusal != NULL) return config_fail(err, "%s", d->refusal);
    if (d->kind == CONFIG_SPECIAL && d->special == NULL)
        return 0; /* a line that old files have, without a meaning now */
    if (d->kind == CONFIG_SPECIAL) return d->special->set(cfg, config_row_field(row), words, count, err);
    if (d->kind == CONFIG_ENUM) return set_enum(row, words, count, err);
    if (count != 1) return config_fail(err, "wrong number of arguments");
    if (d->kind == CONFIG_BOOL) return set_bool(row, words[0], err);
    if (d->kind == CONFIG_STRING) return set_string(cfg, row, words[0], err);
    ASSERT(is_number(d->kind));
    return set_number(cfg, row, words[0], err);
}

/* A control byte in a value could start a new line of the file when CONFIG REWRITE writes it. */
static bool has_control_bytes(const char *text)
{
    if (strstr(text, BYTES_TEXT_NUL) != NULL) return true;
    for (; *text != '\0'; text++) {
        if (iscntrl((unsigned char)*text)) return true;
    }
    return false;
}

static bool at_default(const struct config *cfg, const struct config_row *row)
{
    struct bytes_buf now = {NULL, 0, 0};
    config_row_get(cfg, row, &now);
    bool same = bytes_equal(bytes_buf_view(&now), bytes_str(row->default_text));
    bytes_buf_release(&now);
    return same;
}

static char *text_of(const struct config *cfg, const struct config_row *row)
{
    struct bytes_buf text = {NULL, 0, 0};
    config_row_get(cfg, row, &text);
    char *copy = text.len > 0 ? bytes_to_cstr(bytes_buf_view(&text)) : mem_strdup("");
    bytes_buf_release(&text);
    return copy;
}

static int check_words(const struct config_row *row, char **words, size_t count, struct config_error *err)
{
    if (count != 1 && !config_row_has(row, CONFIG_FLAG_MULTI_ARG)) return config_fail(err, "wrong number of arguments");
    for (size_t i = 0; i < count && !config_row_has(row, CONFIG_FLAG_FILE_ONLY | CONFIG_FLAG_BINARY); i++) {
        if (has_control_bytes(words[i])) return config_fail(err, "argument must not contain control characters");
    }
    return 0;
}

int config_row_set(struct config *cfg, struct config_row *row, char **words, size_t count, struct config_error *err)
{
    int rc = check_words(row, words, count, err);
    if (rc != 0) return rc;
    cfg->appending = row->seen && config_row_has(row, CONFIG_FLAG_VARIADIC);
    rc = dispatch_set(cfg, row, words, count, err);
    cfg->appending = false;
    if (rc == 0 && config_row_has(row, CONFIG_FLAG_ONLY_DEFAULT) && !at_default(cfg, row)) {
        char *back = mem_strdup(row->default_text);
        rc = config_row_set_text(cfg, row, back, NULL);
        ASSERT(rc == 0);
        mem_free(back);
        return config_fail(err, "%s", row->dir->refusal);
    }
    return rc;
}

int config_row_set_text(struct config *cfg, struct config_row *row, char *text, struct config_error *err)
{
    if (!config_row_has(row, CONFIG_FLAG_MULTI_ARG)) return config_row_set(cfg, row, &text, 1, err);
    struct word_list w;
    if (words_split(bytes_str(text), &w) != 0) return config_fail(err, "Unbalanced quotes in configuration line");
    int rc = config_row_set(cfg, row, w.words, w.count, err);
    words_release(&w);
    return rc;
}

/* ---- Life ---- */

static void row_init(struct config *cfg, struct config_row *row)
{
    struct config_error err = {""};
    row->default_text = mem_strdup("");
    if (config_row_has(row, CONFIG_FLAG_FILE_ONLY)) return;
    char *text = mem_strdup(row->dir->def);
    unsigned only = row->dir->flags & CONFIG_FLAG_ONLY_DEFAULT; /* there is no default to compare with yet */
    struct config_directive plain = *row->dir;
    plain.flags &= ~only;
    struct config_row initial = {.dir = &plain, .target = row->target};
    int rc = config_row_set_text(cfg, &initial, text, &err);
    ASSERT(rc == 0);
    mem_free(text);
    mem_free(row->default_text);
    row->default_text = text_of(cfg, row);
}

void config_register(struct config *cfg, const struct config_directive *rows, size_t count, void *target,
                     const void *hooks)
{
    cfg->rows = mem_realloc(cfg->rows, (cfg->row_count + count) * sizeof(*cfg->rows));
    for (size_t i = 0; i < count; i++) {
        size_t at = cfg->row_count++;
        struct config_row *row = &cfg->rows[at];
        *row = (struct config_row){.dir = &rows[i], .target = target, .hooks = hooks};
        index_add(cfg, rows[i].name, at, false);
        if (rows[i].alias != NULL) index_add(cfg, rows[i].alias, at, true);
        row_init(cfg, row);
    }
}

struct config *config_new(struct settings *settings, const struct sys *sys, const struct config_hooks *hooks)
{
    struct config *cfg = mem_calloc(sizeof(*cfg));
    cfg->settings = settings;
    cfg->sys = sys;
    if (hooks != NULL) cfg->hooks = *hooks;
    memset(settings, 0, sizeof(*settings));
    config_register(cfg, config_builtin_rows, config_builtin_row_count, settings, &cfg->hooks);
    settings->replication.replica_output_limit = &settings->clients.output_limits[CLIENT_LIMIT_REPLICA];
    return cfg;
}

void config_set_hooks(struct config *cfg, const struct config_hooks *hooks)
{
    cfg->hooks = *hooks;
}

static void row_release(struct config_row *row)
{
    void *field = config_row_field(row);
    if (row->dir->kind == CONFIG_STRING) config_replace_string(field, NULL);
    const struct config_special *special = row->dir->special;
    if (special != NULL && special->release != NULL) special->release(field);
    mem_free(row->default_text);
}

void config_free(struct config *cfg)
{
    if (cfg == NULL) return;
    for (size_t i = 0; i < cfg->row_count; i++) row_release(&cfg->rows[i]);
    config_users_release(cfg->users, cfg->user_count);
    mem_free(cfg->rows);
    mem_free(cfg->path);
    mem_free(cfg);
}

const char *config_path(const struct config *cfg)
{
    return cfg->path;
}

void config_each_row(const struct config *cfg, void *ctx, void (*each)(void *ctx, const struct config_directive *row))
{
    for (size_t i = 0; i < cfg->row_count; i++) each(ctx, cfg->rows[i].dir);
}

/* ---- CONFIG GET ---- */

/* Whether CONFIG GET with this pattern shows this name. A hidden directive needs its full name. */
static bool pattern_shows(const struct config_row *row, const char *name, struct bytes_view pattern)
{
    if (glob_is_literal(pattern)) return bytes_equal_nocase(pattern, name);
    if (config_row_has(row, CONFIG_FLAG_HIDDEN)) return false;
    if (name == row->dir->alias && config_row_has(row, CONFIG_FLAG_ALIAS_HIDDEN)) return false;
    return glob_match(pattern, bytes_str(name), true);
}

static bool any_pattern_shows(const struct config_row *row, const char *name, const struct bytes_view *patterns,
                              size_t count)
{
    for (size_t i = 0; name != NULL && i < count; i++) {
        if (pattern_shows(row, name, patterns[i])) return true;
    }
    return false;
}

static void show_value(const struct config *cfg, const struct config_row *row, struct bytes_buf *out)
{
    if (!config_row_has(row, CONFIG_FLAG_BINARY)) {
        config_row_get(cfg, row, out);
        return;
    }
    char *text = text_of(cfg, row);
    bytes_from_text(text, out);
    mem_free(text);
}

void config_get(const struct config *cfg, const struct bytes_view *patterns, size_t count, void *ctx,
                void (*each)(void *ctx, const char *name, struct bytes_view value))
{
    struct bytes_buf value = {NULL, 0, 0};
    for (size_t i = 0; i < cfg->row_count; i++) {
        const struct config_row *row = &cfg->rows[i];
        if (config_row_has(row, CONFIG_FLAG_FILE_ONLY)) continue;
        const char *names[] = {row->dir->name, row->dir->alias};
        for (size_t j = 0; j < 2; j++) {
            if (!any_pattern_shows(row, names[j], patterns, count)) continue;
            value.len = 0;
            show_value(cfg, row, &value);
            each(ctx, names[j], bytes_view(value.len > 0 ? value.data : "", value.len));
        }
    }
    bytes_buf_release(&value);
}

bool config_get_one(const struct config *cfg, const char *name, struct bytes_buf *out)
{
    const struct config_row *row = config_find(cfg, name);
    if (row == NULL || config_row_has(row, CONFIG_FLAG_FILE_ONLY)) return false;
    show_value(cfg, row, out);
    return true;
}

/* ---- CONFIG SET ---- */

/* One pair of the current CONFIG SET. */
struct change {
    struct config_row *row;
    char *name; /* in the client's spelling */
    char *value;
    char *old_text; /* what to restore */
    bool stored;    /* the new value is in place */
    bool differs;   /* from the old one: its hook has to run */
};

static int fail_change(const struct change *c, const char *reason, struct config_error *err)
{
    return config_fail(err, "ERR CONFIG SET failed (possibly related to argument '%s') - %s", c->name, reason);
}

static int resolve_changes(const struct config *cfg, struct change *changes, size_t count, struct config_error *err)
{
    for (size_t i = 0; i < count; i++) {
        struct config_row *row = config_find(cfg, changes[i].name);
        if (row == NULL || config_row_has(row, CONFIG_FLAG_FILE_ONLY))
            return config_fail(err, "ERR Unknown option or number of arguments for CONFIG SET - '%s'", changes[i].name);
        changes[i].row = row;
    }
    return 0;
}

static int check_allowed(const struct change *c, const struct config_set_context *how, struct config_error *err)
{
    if (config_row_has(c->row, CONFIG_FLAG_IMMUTABLE)) return fail_change(c, "can't set immutable config", err);
    if (config_row_has(c->row, CONFIG_FLAG_PROTECTED) && !how->protected_allowed)
        return fail_change(c, "can't set protected config", err);
    if (config_row_has(c->row, CONFIG_FLAG_DENY_LOADING) && how->loading)
        return config_fail(err, "LOADING '%s' can't be set while the dataset is being loaded", c->name);
    return 0;
}

static int check_changes(const struct change *changes, size_t count, const struct config_set_context *how,
                         struct config_error *err)
{
    for (size_t i = 0; i < count; i++) {
        int rc = check_allowed(&changes[i], how, err);
        if (rc != 0) return rc;
        for (size_t j = 0; j < i; j++) {
            if (changes[j].row == changes[i].row) return fail_change(&changes[i], "duplicate parameter", err);
        }
    }
    return 0;
}

static int store_changes(struct config *cfg, struct change *changes, size_t count, struct config_error *err)
{
    for (size_t i = 0; i < count; i++) {
        struct change *c = &changes[i];
        struct config_error reason = {""};
        c->old_text = text_of(cfg, c->row);
        cfg->by_command = true;
        int rc = config_row_set_text(cfg, c->row, c->value, &reason);
        cfg->by_command = false;
        if (rc != 0) return fail_change(c, reason.text, err);
        c->stored = true;
        char *now = text_of(cfg, c->row);
        c->differs = config_row_has(c->row, CONFIG_FLAG_VOLATILE) || strcmp(now, c->old_text) != 0;
        mem_free(now);
    }
    return 0;
}

static void *hooks_ctx(const void *hooks)
{
    return *(void *const *)hooks;
}

static config_hook_fn *hook_of(const struct config_row *row)
{
    if (row->hooks == NULL || row->dir->apply == 0) return NULL;
    return *(config_hook_fn *const *)((const char *)row->hooks + row->dir->apply);
}

static bool same_hook_before(const struct change *changes, size_t i)
{
    for (size_t j = 0; j < i; j++) {
        if (changes[j].differs && changes[j].row->hooks == changes[i].row->hooks &&
            changes[j].row->dir->apply == changes[i].row->dir->apply)
            return true;
    }
    return false;
}

/* Runs each hook once, in the order of the pairs. On failure the hooks of the first *ran pairs may have had an effect.
 */
static int apply_changes(const struct change *changes, size_t count, size_t *ran, struct config_error *err)
{
    for (size_t i = 0; i < count; i++) {
        config_hook_fn *hook = changes[i].differs ? hook_of(changes[i].row) : NULL;
        *ran = i + 1;
        if (hook == NULL || same_hook_before(changes, i)) continue;
        struct config_error reason = {""};
        if (hook(hooks_ctx(changes[i].row->hooks), &reason) != 0) return fail_change(&changes[i], reason.text, err);
    }
    return 0;
}

static void restore_changes(struct config *cfg, struct change *changes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!changes[i].stored) continue;
        /* The text came from get(), so it parses. Only `dir` can fail, if the old directory is gone; it then keeps the
         * new value. */
        (void)config_row_set_text(cfg, changes[i].row, changes[i].old_text, NULL);
    }
}

static int commit_changes(struct config *cfg, struct change *changes, size_t count,
                          const struct config_set_context *how, struct config_error *err)
{
    size_t ran = 0;
    int rc = resolve_changes(cfg, changes, count, err);
    if (rc == 0) rc = check_changes(changes, count, how, err);
    if (rc != 0) return rc;
    rc = store_changes(cfg, changes, count, err);
    if (rc == 0) rc = apply_changes(changes, count, &ran, err);
    if (rc == 0) return 0;
    restore_changes(cfg, changes, count);
    size_t again;
    (void)apply_changes(changes, ran, &again, NULL); /* the first failure is reported, not this one */
    return rc;
}

static struct change *changes_new(const struct bytes_view *pairs, size_t count)
{
    struct change *changes = mem_calloc(count * sizeof(*changes));
    for (size_t i = 0; i < count; i++) {
        changes[i].name = bytes_to_text(pairs[2 * i]);
        changes[i].value = bytes_to_text(pairs[2 * i + 1]);
    }
    return changes;
}

static void changes_free(struct change *changes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        mem_free(changes[i].name);
        mem_free(changes[i].value);
        mem_free(changes[i].old_text);
    }
    mem_free(changes);
}

/* bytes_to_text() writes a NUL as C0 80, so these bytes would be read back as a NUL. */
static int refuse_text_nul(const struct bytes_view *pairs, size_t count, struct config_error *err)
{
    for (size_t i = 0; i < 2 * count; i++) {
        if (pairs[i].len > 0 && memmem(pairs[i].data, pairs[i].len, BYTES_TEXT_NUL, 2) != NULL)
            return config_fail(err, "ERR CONFIG SET failed - argument must not contain the bytes C0 80");
    }
    return 0;
}

int config_set_many(struct config *cfg, const struct bytes_view *pairs, size_t pair_count,
                    const struct config_set_context *how, struct config_error *err)
{
    int rc = refuse_text_nul(pairs, pair_count, err);
    if (rc != 0) return rc;
    struct change *changes = changes_new(pairs, pair_count);
    rc = commit_changes(cfg, changes, pair_count, how, err);
    changes_free(changes, pair_count);
    return rc;
}

bool config_is_sensitive(const struct config *cfg, struct bytes_view name)
{
    char *text = bytes_to_cstr(name);
    const struct config_row *row = config_find(cfg, text);
    mem_free(text);
    return row != NULL && (row->dir->flags & CONFIG_FLAG_SENSITIVE);
}

int config_set_internal(struct config *cfg, const char *name, const char *value, struct config_error *err)
{
    struct config_row *row = config_find(cfg, name);
    ASSERT(row != NULL);
    row->seen = false; /* replaces, even a VARIADIC value */
    char *text = mem_strdup(value);
    int rc = config_row_set_text(cfg, row, text, err);
    mem_free(text);
    return rc;
}

/* ---- What others tell ---- */

void config_note_master(struct config *cfg, const char *host, int port)
{
    struct repl_settings *repl = &cfg->settings->replication;
    config_replace_string(&repl->master_host, host);
    repl->master_port = host != NULL ? port : 0;
}

void config_users_release(struct user_line *users, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < users[i].count; j++) mem_free(users[i].words[j]);
        mem_free(users[i].words);
    }
    mem_free(users);
}

static struct user_line user_copy(const struct user_line *user)
{
    struct user_line copy = {.words = mem_alloc(user->count * sizeof(char *) + 1), .count = user->count};
    for (size_t i = 0; i < user->count; i++) copy.words[i] = mem_strdup(user->words[i]);
    return copy;
}

void config_note_users(struct config *cfg, const struct user_line *users, size_t count)
{
    struct user_line *copy = mem_alloc(count * sizeof(*copy) + 1);
    for (size_t i = 0; i < count; i++) copy[i] = user_copy(&users[i]);
    config_users_release(cfg->users, cfg->user_count);
    cfg->users = copy;
    cfg->user_count = count;
    cfg->users_noted = true;
}
