#include "server/catalog/command_row.h"

#include "storage/base/num.h"

struct bytes_view command_shown_arg(const struct config *config, const struct command *cmd, int argc,
                                    const struct bytes_view *argv, int arg)
{
    return cmd->hides != NULL && cmd->hides(config, argc, argv, arg) ? BYTES_LIT("(redacted)") : argv[arg];
}

/* ---- Finding the keys of a request by its row ---- */

struct key_range {
    int first, last, step; /* first > last: none */
};

static int keyword_position(const struct key_spec *spec, int argc, const struct bytes_view *argv)
{
    int step = spec->begin_at > 0 ? 1 : -1;
    int at = spec->begin_at > 0 ? spec->begin_at : argc + spec->begin_at;
    for (; at > 0 && at < argc; at += step)
        if (bytes_equal_nocase(argv[at], spec->begin_keyword)) return at + 1;
    return -1;
}

/* The positions of one spec's keys. 0, or -1 if the arguments do not fit. */
static int spec_range(const struct key_spec *spec, unsigned flags, int argc, const struct bytes_view *argv,
                      struct key_range *out)
{
    *out = (struct key_range){.first = 1, .last = 0, .step = spec->step > 0 ? spec->step : 1};
    int begin = spec->begin_at;
    if (spec->begin == KEY_BEGIN_KEYWORD) {
        begin = keyword_position(spec, argc, argv);
        if (begin < 0) return 0; /* the keyword is not there: no keys */
    }
    bool may_be_empty = spec->begin == KEY_BEGIN_INDEX && spec->find == KEY_FIND_RANGE && spec->last < 0;
    if (begin == argc && may_be_empty) return 0; /* PFMERGE key: its first key still counts, for permissions too */
    if (begin >= argc) return -1;
    out->first = begin;
    if (spec->find == KEY_FIND_RANGE) {
        out->last = spec->last >= 0 ? begin + spec->last : argc + spec->last;
        if (spec->last < 0 && spec->limit > 1) out->last = begin + (argc - begin) / spec->limit - 1;
        if (out->last >= argc) return -1;
        return 0;
    }
    int64_t count;
    if (begin + spec->keynum_at >= argc || !num_parse_i64(argv[begin + spec->keynum_at], &count)) return -1;
    if (count < 0 || count > argc || (count == 0 && !(flags & CMD_NO_MANDATORY_KEYS))) return -1;
    out->first = begin + spec->first_key;
    out->last = out->first + ((int)count - 1) * out->step;
    return out->last >= argc ? -1 : 0;
}

static unsigned key_flags(const struct command *cmd, const struct key_spec *spec, int argc,
                          const struct bytes_view *argv)
{
    bool varies = (spec->flags & KEY_VARIABLE_FLAGS) && cmd->key_flags != NULL;
    return varies ? cmd->key_flags(argc, argv) : spec->flags;
}

int command_keys(const struct command *cmd, int argc, const struct bytes_view *argv, struct command_key *keys, int max)
{
    int count = 0;
    if (cmd->find_keys != NULL) return cmd->find_keys(argc, argv, keys, max);
    for (size_t i = 0; i < COMMAND_KEY_SPECS_MAX && cmd->keys[i].begin != KEY_BEGIN_NONE; i++) {
        struct key_range range;
        if ((cmd->keys[i].flags & KEY_NOT_KEY) || cmd->keys[i].begin == KEY_BEGIN_UNKNOWN) continue;
        if (spec_range(&cmd->keys[i], cmd->flags, argc, argv, &range) != 0) return -1;
        for (int at = range.first; at <= range.last; at += range.step, count++)
            if (count < max)
                keys[count] = (struct command_key){.arg = at, .flags = key_flags(cmd, &cmd->keys[i], argc, argv)};
    }
    return count;
}
