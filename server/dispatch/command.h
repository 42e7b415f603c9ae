/* command.h -- a command is a row of data beside its handler, and a handler gets a context.
 *
 *     void cmd_strlen(struct cmd_ctx *ctx)
 *     {
 *         const struct entry *e;
 *         if (ctx_read(ctx, 1, TYPE_STRING, &e) == LOOKUP_WRONG_TYPE) return;      // the error is already answered
 *         reply_int(ctx->reply, e == NULL ? 0 : (int64_t)entry_string_len(e));
 *     }
 *
 * Life of a write: the handler gets the entry through ctx_write(), changes it, and says ctx_changed() (WATCH, change
 * counter, keyspace event). The dispatcher sees that something changed and puts the command, verbatim, into the stream,
 * unless the handler said otherwise with ctx_replicate_as() / ctx_replicate_none(). What a unit puts there is collected
 * and emitted once, at its end. Views of arguments live until the handler returns. */
#ifndef LOCKSTEP_SERVER_DISPATCH_COMMAND_H
#define LOCKSTEP_SERVER_DISPATCH_COMMAND_H

#include "server/clients/client.h"
#include "server/config/settings.h"
#include "server/net/reply.h"
#include "storage/hash.h"
#include "storage/keyspace.h"
#include "storage/set.h"
#include "storage/zset.h"

struct server;
struct cmd_ctx;
struct command_slot; /* a row with its counters: command_table.h */

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
    unsigned (*flags_now)(struct server *s, const struct command *cmd, int argc, const struct bytes_view *argv);
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
    bool (*hides)(const struct server *s, int argc, const struct bytes_view *argv, int arg);
};

/* Rows by file: each server/commands/<group>.c defines one table that ends with a row without a name; they are listed
 * in server/catalog/command_table.c. */
struct command_stats {
    uint64_t calls, ticks /* of ticks.h */, rejected, failed;
};

/* What becomes of the command in the stream. */
enum replicate_mode {
    REPLICATE_IF_CHANGED = 0, /* verbatim, if it is a write and changed something */
    REPLICATE_FORCED,         /* verbatim */
    REPLICATE_MOMENT,         /* verbatim, for replicas that are attached: it changes no data */
    REPLICATE_REPLACED,       /* other commands were given instead */
    REPLICATE_NOT,
};

struct cmd_ctx {
    struct server *server;
    struct client *client;
    struct client *caller; /* who asked for it: `client`, or whoever runs the script whose command this is */
    struct keyspace *keyspace;
    struct db *db;
    struct reply *reply;
    const struct settings *settings;
    const struct command *command; /* the subcommand's row, where there is one */
    struct command_slot *slot;     /* its slot, from dispatch_call() on */
    int argc;
    const struct bytes_view *argv;
    uint64_t first_key_hash;       /* of argv[first_key_arg], computed ahead for the batch */
    int first_key_arg;             /* 0: not computed */
    struct resp_request *request;  /* for ctx_take_blob(); NULL inside EXEC */
    enum replicate_mode replicate; /* what the handler said about the stream */
    bool not_into_stream;          /* whatever the handler says: redis.set_repl() */
    struct taken_blobs *taken;     /* by ctx_take_blob(); NULL: none */
    bool waits;                    /* it found nothing, and its client is blocked: ctx_wait_for_keys() */
};

/* --- keys --- */
static inline struct keyref ctx_key(const struct cmd_ctx *ctx, int arg)
{
    if (arg == ctx->first_key_arg) return (struct keyref){.name = ctx->argv[arg], .hash = ctx->first_key_hash};
    return keyref(ctx->db, ctx->argv[arg]);
}
enum lookup { LOOKUP_MISSING, LOOKUP_FOUND, LOOKUP_WRONG_TYPE /* -WRONGTYPE was answered */ };
/* The key in this argument for reading, whatever it holds, or NULL: counted as a hit or miss, and listeners hear of a
 * miss. */
const struct entry *ctx_read_any(struct cmd_ctx *ctx, int arg);
/* The same of one type. *e is NULL unless found. */
enum lookup ctx_read(struct cmd_ctx *ctx, int arg, enum value_type type, const struct entry **e);
/* The same through the door for writes. */
enum lookup ctx_write(struct cmd_ctx *ctx, int arg, enum value_type type, struct entry **e);
/* The collection itself, for callers that need no entry. */
enum lookup ctx_read_value(struct cmd_ctx *ctx, int arg, enum value_type type, const void **value);
enum lookup ctx_write_value(struct cmd_ctx *ctx, int arg, enum value_type type, void **value);
unsigned ctx_find_flags(const struct cmd_ctx *ctx); /* for keyspace_find(): CLIENT NO-TOUCH */

/* `changes` things changed under this key: keyspace_changed() and a keyspace event such as (NOTIFY_SET, "sadd"). */
void ctx_changed(struct cmd_ctx *ctx, struct keyref key, unsigned event_class, const char *event, uint64_t changes);
/* The same for what lies beside the data: keyspace_changed_beside(). */
void ctx_changed_beside(struct cmd_ctx *ctx, struct keyref key, unsigned event_class, const char *event,
                        uint64_t changes);
/* Only the event / for another database. */
void ctx_notify(struct cmd_ctx *ctx, unsigned event_class, const char *event, struct keyref key);
/* A collection that became empty is deleted, with the event "del". */
void ctx_delete_emptied(struct cmd_ctx *ctx, struct keyref key);
/* The argument as a blob for keyspace_put_blob(), taken without a copy if it arrived in an allocation of its own; else
 * NULL. Whatever becomes of the value then, ctx->argv[arg] stays as it is until the command is in the stream, in the
 * slow log and with those who MONITOR: it is held until ctx_let_go(). */
struct blob *ctx_take_blob(struct cmd_ctx *ctx, int arg);
void ctx_let_go(struct cmd_ctx *ctx); /* of what it took, for the dispatcher: nobody needs the arguments any more */

/* --- what goes into the stream --- */
/* Instead of the command itself; may be called several times, in order. Numbers are for the caller to format. */
void ctx_replicate_as(struct cmd_ctx *ctx, int argc, const struct bytes_view *argv);
void ctx_replicate_in(struct cmd_ctx *ctx, int db, int argc, const struct bytes_view *argv); /* in another database */
#define ctx_replicate(ctx, ...)                                                                                        \
    ctx_replicate_as(ctx, (int)(sizeof((struct bytes_view[]){__VA_ARGS__}) / sizeof(struct bytes_view)),               \
                     (struct bytes_view[]){__VA_ARGS__})
void ctx_replicate_none(struct cmd_ctx *ctx);   /* nothing, though something changed */
void ctx_replicate_force(struct cmd_ctx *ctx);  /* the command itself, though nothing changed */
void ctx_replicate_moment(struct cmd_ctx *ctx); /* the command itself, which changes no data (PUBLISH) */

/* --- arguments; each answers the error and returns false if the argument does not fit --- */
bool ctx_arg_i64(struct cmd_ctx *ctx, int arg, int64_t *out); /* "value is not an integer or out of range" */
bool ctx_arg_i32(struct cmd_ctx *ctx, int arg, int64_t *out); /* or "value is out of range, value must between ..." */
bool ctx_arg_i64_range(struct cmd_ctx *ctx, int arg, int64_t min, int64_t max, int64_t *out,
                       const char *error /* or NULL */);
bool ctx_arg_double(struct cmd_ctx *ctx, int arg, double *out); /* "value is not a valid float" */
static inline bool ctx_arg_is(const struct cmd_ctx *ctx, int arg, const char *word)
{
    return bytes_equal_nocase(ctx->argv[arg], word);
}
static inline bool ctx_has_arg(const struct cmd_ctx *ctx, int arg)
{
    return arg < ctx->argc;
}
void ctx_error_syntax(struct cmd_ctx *ctx);
void ctx_error_wrong_type(struct cmd_ctx *ctx);
void ctx_error_no_key(struct cmd_ctx *ctx); /* "ERR no such key" */
void ctx_error_arity(struct cmd_ctx *ctx);
void ctx_error_subcommand(struct cmd_ctx *ctx, const char *container); /* "unknown subcommand or wrong number of..." */
/* Cursor of the SCAN family: "ERR invalid cursor". */
bool ctx_arg_cursor(struct cmd_ctx *ctx, int arg, uint64_t *cursor);

bool ctx_is_replayed(const struct cmd_ctx *ctx); /* applying a master's stream: rules that guard clients do not apply */
int64_t ctx_now_ms(const struct cmd_ctx *ctx);

/* The argument as it may be shown: "(redacted)" in place of a secret. */
struct bytes_view command_shown_arg(const struct server *s, const struct command *cmd, int argc,
                                    const struct bytes_view *argv, int arg);

/* --- the table of all commands: command_table.c --- */
struct command_table; /* opaque: rows by name, with rename-command applied */
/* Fills keys[]; how many there are, or -1: wrong arguments. Never reads past argc (CVE-2023-36824). */
int command_keys(const struct command *cmd, int argc, const struct bytes_view *argv, struct command_key *keys, int max);
/* Adds the subcommand "help": lines as Redis answers them to X HELP. */
void ctx_reply_help(struct cmd_ctx *ctx, const char *const *lines);

#endif
