/* command_row.h -- a command as data: arity, flags, ACL categories, key specs, documentation.
 *
 *     server/commands/cmd_*.c   an array of rows per file, ended by a row without a name, next to the handlers
 *     server/commands/tables.c  the list of these arrays, which main() passes to command_table_new()
 *
 * Dispatch, ACL, COMMAND and command_keys() read the same row. */
#ifndef LOCKSTEP_SERVER_CATALOG_COMMAND_ROW_H
#define LOCKSTEP_SERVER_CATALOG_COMMAND_ROW_H

#include <stdbool.h>
#include <stdint.h>

#include "storage/base/bytes.h"

struct cmd_ctx; /* dispatch/command.h */
struct config;  /* config/config.h */

enum command_flag {
    CMD_WRITE = 1 << 0, /* may change data: replicated if it did; refused on a read-only replica */
    CMD_READONLY = 1 << 1,
    CMD_DENYOOM = 1 << 2, /* refused while memory is over maxmemory */
    CMD_ADMIN = 1 << 3,
    CMD_PUBSUB = 1 << 4,
    CMD_NOSCRIPT = 1 << 5,
    CMD_BLOCKING = 1 << 6,
    CMD_LOADING = 1 << 7, /* allowed while a data set is loaded */
    CMD_STALE = 1 << 8,   /* allowed on a replica without its master if replica-serve-stale-data is no */
    CMD_SKIP_MONITOR = 1 << 9,
    CMD_SKIP_SLOWLOG = 1 << 10,
    CMD_FAST = 1 << 11,
    CMD_NO_AUTH = 1 << 12,       /* allowed before AUTH */
    CMD_MAY_REPLICATE = 1 << 13, /* not a write, but may be replicated (PUBLISH) */
    CMD_NO_MULTI = 1 << 14,      /* refused inside MULTI */
    CMD_MOVABLE_KEYS = 1 << 15,
    CMD_ALLOW_BUSY = 1 << 16,
    CMD_PROTECTED = 1 << 17, /* needs enable-debug-command or the like */
    CMD_NO_QUEUE = 1 << 18,  /* runs at once inside MULTI: EXEC, DISCARD, MULTI, WATCH, QUIT, RESET */
    CMD_HIDDEN = 1 << 21,    /* not in COMMAND's answers */
    CMD_NO_PAUSE = 1 << 20,  /* runs during CLIENT PAUSE ALL */
    CMD_NO_MANDATORY_KEYS = 1 << 22,
    CMD_PROBE = 1 << 24,            /* PING: answers MISCONF and NOWRITES too */
    CMD_NO_ASYNC_LOADING = 1 << 23, /* refused while a second data set is loaded, though reads are served */
    CMD_RUNS_SCRIPT = 1 << 25,      /* EVAL, FCALL: flags_now() adds the script's flags */
    CMD_ASKING = 1 << 26,           /* a flag of Redis Cluster: only reported */
    CMD_SYSTEM = 1 << 27,           /* COMMAND DOCS: internal to a deployment, not for users */
    /* As CMD_LOADING, but not reported: REPLICAOF may end the load of a snapshot, which Redis refuses. */
    CMD_UNPROMISED_LOADING = 1 << 28,
    /* As CMD_STALE, but not reported: PSYNC may promote a replica whose link is down, or says itself that it cannot serve. */
    CMD_UNPROMISED_STALE = 1u << 31,
    CMD_EXEC = 1 << 29,       /* EXEC: checked for its queued commands; a refusal aborts the transaction */
    CMD_SUBSCRIBED = 1 << 19, /* allowed for a RESP2 client that has subscriptions */
    CMD_SENTINEL = 1 << 30,   /* a sentinel has it, too; it has no other commands than these */
};

/* As COMMAND INFO and ACL name them. */
enum acl_category {
    ACL_KEYSPACE = 1 << 0,
    ACL_READ = 1 << 1,
    ACL_WRITE = 1 << 2,
    ACL_SET = 1 << 3,
    ACL_SORTEDSET = 1 << 4,
    ACL_LIST = 1 << 5,
    ACL_HASH = 1 << 6,
    ACL_STRING = 1 << 7,
    ACL_BITMAP = 1 << 8,
    ACL_HYPERLOGLOG = 1 << 9,
    ACL_GEO = 1 << 10,
    ACL_STREAM = 1 << 11,
    ACL_PUBSUB = 1 << 12,
    ACL_ADMIN = 1 << 13,
    ACL_FAST = 1 << 14,
    ACL_SLOW = 1 << 15,
    ACL_BLOCKING = 1 << 16,
    ACL_DANGEROUS = 1 << 17,
    ACL_CONNECTION = 1 << 18,
    ACL_TRANSACTION = 1 << 19,
    ACL_SCRIPTING = 1 << 20,
    ACL_HTTP = 1 << 21,     /* not of Redis: what the HTTP port answers (server/web/). Rows have no other category */
    ACL_LOCKSTEP = 1 << 22, /* not of Redis: the subcommands of LOCKSTEP */
};

/* What a command does to a key, and how its keys are found: the key specs of Redis 7's COMMAND INFO. */
enum key_spec_flag {
    KEY_RO = 1 << 0,
    KEY_RW = 1 << 1,
    KEY_OW = 1 << 2,
    KEY_RM = 1 << 3,
    KEY_ACCESS = 1 << 4,
    KEY_UPDATE = 1 << 5,
    KEY_INSERT = 1 << 6,
    KEY_DELETE = 1 << 7,
    KEY_NOT_KEY = 1 << 8,
    KEY_INCOMPLETE = 1 << 9,
    KEY_VARIABLE_FLAGS = 1 << 10,
};
enum key_begin {
    KEY_BEGIN_NONE = 0,
    KEY_BEGIN_INDEX,
    KEY_BEGIN_KEYWORD,
    KEY_BEGIN_UNKNOWN, /* find_keys() of the row finds it, or it depends on data */
};
enum key_find { KEY_FIND_RANGE = 0, KEY_FIND_KEYNUM };
struct key_spec {
    unsigned flags; /* enum key_spec_flag */
    enum key_begin begin;
    int begin_at; /* INDEX: argument; KEYWORD: start of the search (negative: from the end, backwards) */
    const char *begin_keyword;
    enum key_find find;
    /* RANGE: last key relative to begin (negative: from the end), step; last -1 with limit N: the first 1/N only */
    int last, step, limit;
    int keynum_at, first_key; /* KEYNUM: relative to begin: argument with the count, first key; step as above */
    const char *notes;        /* for COMMAND INFO, or NULL */
};
/* The usual specs: one key; keys from first to last; a count followed by as many keys. */
#define KEY_AT(at, fl)                                                                                                 \
    {                                                                                                                  \
        .flags = (fl), .begin = KEY_BEGIN_INDEX, .begin_at = (at), .step = 1                                           \
    }
#define KEY_RANGE(at, last_, st, fl)                                                                                   \
    {                                                                                                                  \
        .flags = (fl), .begin = KEY_BEGIN_INDEX, .begin_at = (at), .last = (last_), .step = (st)                       \
    }
#define KEY_NUM(at, fl)                                                                                                \
    {                                                                                                                  \
        .flags = (fl), .begin = KEY_BEGIN_INDEX, .begin_at = (at), .find = KEY_FIND_KEYNUM, .keynum_at = 0,            \
        .first_key = 1, .step = 1                                                                                      \
    }

/* One key, with notes for COMMAND INFO. */
#define KEY_NOTED(at, fl, why)                                                                                         \
    {                                                                                                                  \
        .flags = (fl), .begin = KEY_BEGIN_INDEX, .begin_at = (at), .step = 1, .notes = (why)                           \
    }

/* A key that depends on data, or on options that only the command's own parser can find. */
#define KEY_UNKNOWN(fl, why)                                                                                           \
    {                                                                                                                  \
        .flags = (fl), .begin = KEY_BEGIN_UNKNOWN, .notes = (why)                                                      \
    }

enum { COMMAND_KEY_SPECS_MAX = 4 };

struct command_key {
    int arg;        /* its position */
    unsigned flags; /* enum key_spec_flag */
};

/* Which arguments are channels, for ACL. */
enum command_channels {
    CHANNELS_NONE = 0,
    CHANNELS_FIRST,    /* the first argument */
    CHANNELS_ALL,      /* all arguments */
    CHANNELS_PATTERNS, /* all arguments, as patterns */
};

struct command {
    const char *name; /* lower case; of a subcommand: without its container */
    void (*run)(struct cmd_ctx *ctx);
    int arity;      /* number of arguments with the name; negative: minus the minimum */
    unsigned flags; /* enum command_flag */
    unsigned acl;   /* enum acl_category; READ, WRITE, FAST/SLOW, ADMIN+DANGEROUS, PUBSUB, BLOCKING follow from flags */
    struct key_spec keys[COMMAND_KEY_SPECS_MAX];
    /* Finds the keys instead of the specs, for options that may be repeated or in any order. As command_keys(). */
    int (*find_keys)(int argc, const struct bytes_view *argv, struct command_key *keys, int max);
    enum command_channels channels;
    int member_arg; /* argument with a member or field of the first key's collection, to be prefetched; 0: none */
    /* The flags of a spec with KEY_VARIABLE_FLAGS for these arguments; NULL: the flags of the spec. */
    unsigned (*key_flags)(int argc, const struct bytes_view *argv);
    /* With CMD_RUNS_SCRIPT: the command's flags together with those of the script in these arguments. */
    unsigned (*flags_now)(const struct cmd_ctx *ctx, const struct command *cmd);
    const struct command *subcommands; /* ends with a row without a name */
    const char *group;                 /* "string", "generic", ... for COMMAND DOCS */
    const char *since;
    const char *complexity;
    const char *summary;
    const char *syntax;                         /* of its arguments (command_syntax.h); NULL: none */
    const char *history;                        /* lines "VERSION CHANGE", or NULL */
    const char *tips;                           /* COMMAND INFO's tips, separated by blanks, or NULL */
    const char *deprecated_since, *replaced_by; /* or NULL */
    /* Whether this argument is a secret, which slow log and MONITOR must not show; NULL: no argument is. */
    bool (*hides)(const struct config *config, int argc, const struct bytes_view *argv, int arg);
};

struct command_stats {
    uint64_t calls, ticks /* of ticks.h */, rejected, failed;
};

/* Finds the keys of a request. Stores the first `max` in keys[] and returns the number of all, or -1 for arguments that
 * do not fit the row. Never reads past argc (CVE-2023-36824). */
int command_keys(const struct command *cmd, int argc, const struct bytes_view *argv, struct command_key *keys, int max);
/* The argument, or "(redacted)" if it is a secret. */
struct bytes_view command_shown_arg(const struct config *config, const struct command *cmd, int argc,
                                    const struct bytes_view *argv, int arg);

#endif
