#include "server/scripting/script_flags.h"

#include "server/catalog/command_row.h"

static const struct {
    unsigned flag;
    const char *name;
} flag_names[] = {
    {SCRIPT_NO_WRITES, "no-writes"},
    {SCRIPT_ALLOW_OOM, "allow-oom"},
    {SCRIPT_ALLOW_STALE, "allow-stale"},
    {SCRIPT_NO_CLUSTER, "no-cluster"},
    {SCRIPT_ALLOW_CROSS_SLOT_KEYS, "allow-cross-slot-keys"},
};
enum { FLAG_COUNT = sizeof(flag_names) / sizeof(flag_names[0]) };

unsigned script_flag_by_name(struct bytes_view name)
{
    for (size_t i = 0; i < FLAG_COUNT; i++)
        if (bytes_equal(name, bytes_str(flag_names[i].name))) return flag_names[i].flag;
    return 0;
}

const char *script_flag_name(unsigned flag)
{
    for (size_t i = 0; i < FLAG_COUNT; i++)
        if (flag_names[i].flag == flag) return flag_names[i].name;
    return NULL;
}

/* Takes the next word of *rest, up to one of the separators. Empty words are skipped. False at the end. */
static bool next_word(struct bytes_view *rest, const char *separators, struct bytes_view *word)
{
    while (rest->len > 0 && strchr(separators, rest->data[0]) != NULL)
        *rest = bytes_view(rest->data + 1, rest->len - 1);
    size_t n = 0;
    while (n < rest->len && (rest->data[n] == '\0' || strchr(separators, rest->data[n]) == NULL)) n++;
    *word = bytes_view(rest->data, n);
    *rest = bytes_view(rest->data + n, rest->len - n);
    return n > 0;
}

static bool read_flags(struct bytes_view list, unsigned *flags, struct bytes_buf *error)
{
    struct bytes_view name;
    while (next_word(&list, ",", &name)) {
        unsigned flag = script_flag_by_name(name);
        if (flag == 0) {
            bytes_buf_printf(error, "Unexpected flag in script shebang: %.*s", bytes_shown(name, BYTES_WHOLE),
                             name.data);
            return false;
        }
        *flags |= flag;
    }
    return true;
}

static bool read_words(struct bytes_view line, unsigned *flags, struct bytes_buf *error)
{
    struct bytes_view word;
    const struct bytes_view option = BYTES_LIT("flags=");
    if (!next_word(&line, " \t\r", &word) || !bytes_equal(word, BYTES_LIT("#!lua"))) {
        bytes_buf_printf(error, "Unexpected engine in script shebang: %.*s", bytes_shown(word, BYTES_WHOLE), word.data);
        return false;
    }
    while (next_word(&line, " \t\r", &word)) {
        if (word.len < option.len || memcmp(word.data, option.data, option.len) != 0) {
            bytes_buf_printf(error, "Unknown lua shebang option: %.*s", bytes_shown(word, BYTES_WHOLE), word.data);
            return false;
        }
        if (!read_flags(bytes_view(word.data + option.len, word.len - option.len), flags, error)) return false;
    }
    return true;
}

bool script_read_shebang(struct bytes_view source, struct bytes_view *body, unsigned *flags, struct bytes_buf *error)
{
    *body = source;
    *flags = SCRIPT_SAYS_NOTHING;
    if (source.len < 2 || memcmp(source.data, "#!", 2) != 0) return true;
    const char *end = memchr(source.data, '\n', source.len);
    if (end == NULL) {
        bytes_buf_printf(error, "Invalid script shebang");
        return false;
    }
    size_t len = (size_t)(end - source.data);
    *body = bytes_view(end, source.len - len);
    *flags = 0;
    return read_words(bytes_view(source.data, len), flags, error);
}

unsigned script_command_flags(unsigned command_flags, unsigned script_flags)
{
    if (script_flags & SCRIPT_SAYS_NOTHING) return command_flags;
    command_flags &= ~(unsigned)(CMD_STALE | CMD_MAY_REPLICATE | CMD_WRITE | CMD_DENYOOM);
    if (script_flags & SCRIPT_ALLOW_STALE) command_flags |= CMD_STALE;
    if (script_flags & SCRIPT_NO_WRITES) return command_flags;
    return command_flags | CMD_WRITE | ((script_flags & SCRIPT_ALLOW_OOM) ? 0 : CMD_DENYOOM);
}
