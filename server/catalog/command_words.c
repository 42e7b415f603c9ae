#include "server/catalog/command_words.h"

const struct flag_word *command_flag_words(void)
{
    static const struct flag_word words[] = {
        {CMD_WRITE, "write"},
        {CMD_READONLY, "readonly"},
        {CMD_DENYOOM, "denyoom"},
        {CMD_ADMIN, "admin"},
        {CMD_PUBSUB, "pubsub"},
        {CMD_NOSCRIPT, "noscript"},
        {CMD_BLOCKING, "blocking"},
        {CMD_LOADING, "loading"},
        {CMD_STALE, "stale"},
        {CMD_SKIP_MONITOR, "skip_monitor"},
        {CMD_SKIP_SLOWLOG, "skip_slowlog"},
        {CMD_ASKING, "asking"},
        {CMD_FAST, "fast"},
        {CMD_NO_AUTH, "no_auth"},
        {CMD_NO_MANDATORY_KEYS, "no_mandatory_keys"},
        {CMD_NO_ASYNC_LOADING, "no_async_loading"},
        {CMD_NO_MULTI, "no_multi"},
        {CMD_MOVABLE_KEYS, "movablekeys"},
        {CMD_ALLOW_BUSY, "allow_busy"},
        {0, NULL},
    };
    return words;
}

const struct flag_word *key_flag_words(void)
{
    static const struct flag_word words[] = {
        {KEY_RO, "RO"},
        {KEY_RW, "RW"},
        {KEY_OW, "OW"},
        {KEY_RM, "RM"},
        {KEY_ACCESS, "access"},
        {KEY_UPDATE, "update"},
        {KEY_INSERT, "insert"},
        {KEY_DELETE, "delete"},
        {KEY_NOT_KEY, "not_key"},
        {KEY_INCOMPLETE, "incomplete"},
        {KEY_VARIABLE_FLAGS, "variable_flags"},
        {0, NULL},
    };
    return words;
}

const struct flag_word *acl_category_words(void)
{
    static const struct flag_word words[] = {
        {ACL_KEYSPACE, "keyspace"},
        {ACL_READ, "read"},
        {ACL_WRITE, "write"},
        {ACL_SET, "set"},
        {ACL_SORTEDSET, "sortedset"},
        {ACL_LIST, "list"},
        {ACL_HASH, "hash"},
        {ACL_STRING, "string"},
        {ACL_BITMAP, "bitmap"},
        {ACL_HYPERLOGLOG, "hyperloglog"},
        {ACL_GEO, "geo"},
        {ACL_STREAM, "stream"},
        {ACL_PUBSUB, "pubsub"},
        {ACL_ADMIN, "admin"},
        {ACL_FAST, "fast"},
        {ACL_SLOW, "slow"},
        {ACL_BLOCKING, "blocking"},
        {ACL_DANGEROUS, "dangerous"},
        {ACL_CONNECTION, "connection"},
        {ACL_TRANSACTION, "transaction"},
        {ACL_SCRIPTING, "scripting"},
        {ACL_HTTP, "http"},
        {ACL_LOCKSTEP, "lockstep"},
        {0, NULL},
    };
    return words;
}

unsigned acl_category_find(struct bytes_view word)
{
    for (const struct flag_word *w = acl_category_words(); w->word != NULL; w++)
        if (bytes_equal_nocase(word, w->word)) return w->flag;
    return 0;
}

unsigned command_categories(const struct command *cmd)
{
    static const struct {
        unsigned flag, categories;
    } implied[] = {
        {CMD_WRITE, ACL_WRITE}, {CMD_ADMIN, ACL_ADMIN | ACL_DANGEROUS}, {CMD_PUBSUB, ACL_PUBSUB},
        {CMD_FAST, ACL_FAST},   {CMD_BLOCKING, ACL_BLOCKING},
    };
    unsigned categories = cmd->acl;
    if (categories == ACL_HTTP) return categories; /* no rule of Redis that names a category shall permit it */
    for (size_t i = 0; i < sizeof(implied) / sizeof(implied[0]); i++)
        if (cmd->flags & implied[i].flag) categories |= implied[i].categories;
    if ((cmd->flags & CMD_READONLY) && !(cmd->acl & ACL_SCRIPTING)) categories |= ACL_READ;
    if (!(cmd->flags & CMD_FAST)) categories |= ACL_SLOW;
    return categories;
}

static bool is_plain_range(const struct key_spec *spec)
{
    return spec->begin == KEY_BEGIN_INDEX && spec->find == KEY_FIND_RANGE && spec->limit <= 1;
}

unsigned command_reported_flags(const struct command *cmd)
{
    unsigned flags = cmd->flags;
    for (size_t i = 0; i < COMMAND_KEY_SPECS_MAX && cmd->keys[i].begin != KEY_BEGIN_NONE; i++)
        if (!is_plain_range(&cmd->keys[i])) flags |= CMD_MOVABLE_KEYS;
    if (flags & CMD_UNPROMISED_LOADING) flags &= ~(unsigned)CMD_LOADING;
    if (flags & CMD_UNPROMISED_STALE) flags &= ~(unsigned)CMD_STALE;
    return flags;
}

struct legacy_range command_legacy_range(const struct command *cmd)
{
    struct legacy_range range = {0};
    for (size_t i = 0; i < COMMAND_KEY_SPECS_MAX && cmd->keys[i].begin != KEY_BEGIN_NONE; i++) {
        const struct key_spec *spec = &cmd->keys[i];
        if (!is_plain_range(spec)) continue;
        int last = spec->last >= 0 ? spec->begin_at + spec->last : spec->last;
        if (range.first == 0) {
            range = (struct legacy_range){.first = spec->begin_at, .last = last, .step = spec->step};
            continue;
        }
        if (spec->begin_at < range.first) range.first = spec->begin_at;
        if (last < 0 || (range.last >= 0 && last > range.last)) range.last = last;
        range.step = 1;
    }
    return range;
}
