/* command_row.h -- a command as data: arity, flags, ACL categories, key specs, documentation.
 *
 * Each server/commands/cmd_*.c defines its rows beside their handlers and ends the array with a row without a name;
 * commands/tables.c lists the arrays, and main() hands the list in. Dispatch, ACL, COMMAND and key extraction read the
 * same row. */
#ifndef LOCKSTEP_SERVER_CATALOG_COMMAND_ROW_H
#define LOCKSTEP_SERVER_CATALOG_COMMAND_ROW_H

#include <stdbool.h>
#include <stdint.h>

#include "storage/base/bytes.h"

struct cmd_ctx; /* dispatch/command.h */
struct config;  /* config/config.h */

enum command_flag {
    CMD_WRITE = 1 << 0, /* may change the data set: goes into the stream when it did; refused on a read-only replica */
    CMD_READONLY = 1 << 1,
    CMD_DENYOOM = 1 << 2, /* refused when memory is over maxmemory */
    CMD_ADMIN = 1 << 3,
    CMD_PUBSUB = 1 << 4,
    CMD_NOSCRIPT = 1 << 5,
    CMD_BLOCKING = 1 << 6,
    CMD_LOADING = 1 << 7, /* allowed while a data set is loaded */
    CMD_STALE = 1 << 8,   /* allowed on a replica whose link is down and replica-serve-stale-data is no */
    CMD_SKIP_MONITOR = 1 << 9,
    CMD_SKIP_SLOWLOG = 1 << 10,
    CMD_FAST = 1 << 11,
    CMD_NO_AUTH = 1 << 12,       /* allowed before AUTH */
    CMD_MAY_REPLICATE = 1 << 13, /* not a write, but may put something into the stream (PUBLISH) */
    CMD_NO_MULTI = 1 << 14,      /* refused inside MULTI */
    CMD_MOVABLE_KEYS = 1 << 15,
    CMD_ALLOW_BUSY = 1 << 16,
    CMD_PROTECTED = 1 << 17, /* needs enable-debug-command or the like */
    CMD_NO_QUEUE = 1 << 18,  /* runs at once inside MULTI: EXEC, DISCARD, MULTI, WATCH, QUIT, RESET */
    CMD_HIDDEN = 1 << 21,    /* not in COMMAND's answers */
    CMD_NO_PAUSE = 1 << 20,  /* runs while everything is paused */
    CMD_NO_MANDATORY_KEYS = 1 << 22,
    CMD_PROBE = 1 << 24,            /* PING: not answered by one that must refuse writes since it cannot save */
    CMD_NO_ASYNC_LOADING = 1 << 23, /* refused while a second data set is loaded, though reads are served */
    CMD_RUNS_SCRIPT = 1 << 25,      /* EVAL, FCALL: the script says what its other flags are */
    CMD_ASKING = 1 << 26,           /* for a cluster's nodes: reported, and nothing else */
    CMD_SYSTEM = 1 << 27,           /* COMMAND DOCS: not for people */
    /* CMD_LOADING without being reported so: REPLICAOF ends the load of a snapshot, which Redis refuses. */
    CMD_UNPROMISED_LOADING = 1 << 28,
    CMD_EXEC = 1 << 29,       /* EXEC: it needs what the queued commands need, and a refusal ends the transaction */
    CMD_SUBSCRIBED = 1 << 19, /* allowed for a RESP2 client that has subscriptions */
};

enum acl_category { /* as COMMAND INFO and ACL name them */
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
};

/* How a command's keys are found and what it does to them (COMMAND INFO's key specs, 7.x). */
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
    KEY_BEGIN_UNKNOWN, /* only find_keys of the row knows where, or the data */
};
enum key_find { KEY_FIND_RANGE = 0, KEY_FIND_KEYNUM };
struct key_spec {
    unsigned flags; /* enum key_spec_flag */
    enum key_begin begin;
    int begin_at; /* INDEX: argument; KEYWORD: where the search starts (negative: from the end, backwards) */
    const char *begin_keyword;
    enum key_find find;
    int last, step, limit;    /* RANGE: last key relative to begin (-1: the last argument), step, limit */
    int keynum_at, first_key; /* KEYNUM: relative to begin: argument with the count, first key; step as above */
    const char *notes;        /* for readers of COMMAND INFO, or NULL */
};
/* The usual shapes: one key; first to last every `step`; a count and as many keys. */
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

/* One key, of whose flags there is something to say. */
#define KEY_NOTED(at, fl, why)                                                                                         \
    {                                                                                                                  \
        .flags = (fl), .begin = KEY_BEGIN_INDEX, .begin_at = (at), .step = 1, .notes = (why)                           \
    }

/* A key that only the data tells, or only the options, read as the command itself reads them. */
#define KEY_UNKNOWN(fl, why)                                                                                           \
    {                                                                                                                  \
        .flags = (fl), .begin = KEY_BEGIN_UNKNOWN, .notes = (why)                                                      \
    }

enum { COMMAND_KEY_SPECS_MAX = 4 };

struct command_key {
    int arg;        /* its position */
    unsigned flags; /* enum key_spec_flag */
};

/* Which arguments are channels, for ACL's rules on them. */
enum command_channels {
    CHANNELS_NONE = 0,
    CHANNELS_FIRST,    /* the first */
    CHANNELS_ALL,      /* all of them */
    CHANNELS_PATTERNS, /* all of them, and they are patterns */
};

struct command {
    const char *name; /* lower case; of a subcommand: without its container */
    void (*run)(struct cmd_ctx *ctx);
    int arity;      /* exact count with the name, or minus the least */
    unsigned flags; /* enum command_flag */
    unsigned acl;   /* enum acl_category; READ, WRITE, FAST/SLOW, ADMIN+DANGEROUS, PUBSUB, BLOCKING follow from flags */
    struct key_spec keys[COMMAND_KEY_SPECS_MAX];
    /* In place of the specs, for options that may be repeated or follow each other in any order: as command_keys(). */
    int (*find_keys)(int argc, const struct bytes_view *argv, struct command_key *keys, int max);
    enum command_channels channels;
    int member_arg; /* of a member or field to look up in the first key's collection: batches load it ahead. 0: none */
    /* What KEY_VARIABLE_FLAGS comes to with these arguments; NULL: the flags as they are. */
    unsigned (*key_flags)(int argc, const struct bytes_view *argv);
    /* What its flags come to with these arguments: for CMD_RUNS_SCRIPT, since the script has its say. */
    unsigned (*flags_now)(const struct cmd_ctx *ctx, const struct command *cmd);
    const struct command *subcommands; /* ends with a row without a name */
    const char *group;                 /* "string", "generic", ... for COMMAND DOCS */
    const char *since;
    const char *complexity;
    const char *summary;                        /* our own words */
    const char *syntax;                         /* of its arguments, as command_syntax.h reads it; NULL: it has none */
    const char *history;                        /* lines: a version, a blank, what changed then; NULL: nothing */
    const char *tips;                           /* words: COMMAND INFO's tips; NULL: none */
    const char *deprecated_since, *replaced_by; /* or NULL */
    /* Whether this argument holds a secret, which the slow log and MONITOR must not show; NULL: none does. */
    bool (*hides)(const struct config *config, int argc, const struct bytes_view *argv, int arg);
};

struct command_stats {
    uint64_t calls, ticks /* of ticks.h */, rejected, failed;
};

/* Fills keys[] with at most `max` keys and returns how many there are, or -1: wrong arguments. Never reads past argc
 * (CVE-2023-36824). */
int command_keys(const struct command *cmd, int argc, const struct bytes_view *argv, struct command_key *keys, int max);
/* The argument as it may be shown: "(redacted)" in place of a secret. */
struct bytes_view command_shown_arg(const struct config *config, const struct command *cmd, int argc,
                                    const struct bytes_view *argv, int arg);

#endif
