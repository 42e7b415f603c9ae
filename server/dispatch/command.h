/* command.h -- struct cmd_ctx: what a command handler gets, and the functions that handlers call.
 *
 *     void cmd_strlen(struct cmd_ctx *ctx)
 *     {
 *         const struct entry *e;
 *         if (ctx_read(ctx, 1, TYPE_STRING, &e) == LOOKUP_WRONG_TYPE) return;      // the error is already answered
 *         reply_int(ctx->reply, e == NULL ? 0 : (int64_t)entry_string_len(e));
 *     }
 *
 * A write: the handler gets the entry with ctx_write(), changes it, and calls ctx_changed() (WATCH, change counter,
 * keyspace event). The dispatcher sees that the change counter has grown and puts the command into the stream verbatim,
 * unless the handler called one of the ctx_replicate functions.
 *
 * Ownership: views of arguments live until the handler returns.
 * Errors:    functions that can fail answer the error themselves and return false, LOOKUP_WRONG_TYPE or NULL.
 * Not here:  rows (catalog/command_row.h), waiting for keys (ctx_waits.h), running (dispatch.h). */
#ifndef LOCKSTEP_SERVER_DISPATCH_COMMAND_H
#define LOCKSTEP_SERVER_DISPATCH_COMMAND_H

#include "server/catalog/command_row.h"
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

/* What the stream gets of the command. */
enum replicate_mode {
    REPLICATE_IF_CHANGED = 0, /* verbatim, if it is a write and changed something */
    REPLICATE_FORCED,         /* verbatim */
    REPLICATE_MOMENT,         /* verbatim, if a replica is attached: it changes no data */
    REPLICATE_REPLACED,       /* the commands that the handler gave instead */
    REPLICATE_NOT,            /* nothing */
};

struct cmd_ctx {
    struct server *server; /* house.h: for the handlers that need more than the core */
    struct core *core;
    struct dispatcher *dispatcher;
    struct client *client;
    struct client *caller; /* `client`; for a command of a script, the client that runs the script */
    struct keyspace *keyspace;
    struct db *db;
    struct reply *reply;
    const struct settings *settings;
    const struct command *command; /* the subcommand's row, where there is one */
    struct command_slot *slot;     /* of `command`; set by dispatch_call() */
    int argc;
    const struct bytes_view *argv;
    uint64_t first_key_hash;       /* of argv[first_key_arg], computed when the batch was prepared */
    int first_key_arg;             /* 0: not computed */
    struct resp_request *request;  /* for ctx_take_blob(); NULL inside EXEC */
    enum replicate_mode replicate; /* set by the handler */
    bool not_into_stream;          /* overrides the handler: redis.set_repl() */
    struct taken_blobs *taken;     /* by ctx_take_blob(); NULL: none */
    bool waits;                    /* the command has no reply yet, and its client is blocked */
};

/* --- keys --- */
static inline struct keyref ctx_key(const struct cmd_ctx *ctx, int arg)
{
    if (arg == ctx->first_key_arg) return (struct keyref){.name = ctx->argv[arg], .hash = ctx->first_key_hash};
    return keyref(ctx->db, ctx->argv[arg]);
}
enum lookup { LOOKUP_MISSING, LOOKUP_FOUND, LOOKUP_WRONG_TYPE /* -WRONGTYPE was answered */ };
/* Finds the key in this argument for reading, whatever its type, or returns NULL. Counts a hit or a miss; a miss is
 * also a keyspace event. */
const struct entry *ctx_read_any(struct cmd_ctx *ctx, int arg);
/* The same for one type. *e is NULL unless LOOKUP_FOUND. */
enum lookup ctx_read(struct cmd_ctx *ctx, int arg, enum value_type type, const struct entry **e);
/* The same for writing; counts neither hit nor miss. */
enum lookup ctx_write(struct cmd_ctx *ctx, int arg, enum value_type type, struct entry **e);
/* The same, for callers that need only the collection. */
enum lookup ctx_read_value(struct cmd_ctx *ctx, int arg, enum value_type type, const void **value);
enum lookup ctx_write_value(struct cmd_ctx *ctx, int arg, enum value_type type, void **value);
unsigned ctx_find_flags(const struct cmd_ctx *ctx); /* for keyspace_find(): CLIENT NO-TOUCH */

/* Reports `changes` changes under this key: keyspace_changed(), and a keyspace event such as (NOTIFY_SET, "sadd"). */
void ctx_changed(struct cmd_ctx *ctx, struct keyref key, unsigned event_class, const char *event, uint64_t changes);
/* The same for changes that leave the data alone: keyspace_changed_beside(). */
void ctx_changed_beside(struct cmd_ctx *ctx, struct keyref key, unsigned event_class, const char *event,
                        uint64_t changes);
/* The keyspace event alone. */
void ctx_notify(struct cmd_ctx *ctx, unsigned event_class, const char *event, struct keyref key);
/* Deletes a collection that has become empty, with the event "del". */
void ctx_delete_emptied(struct cmd_ctx *ctx, struct keyref key);
/* Takes over an argument that has an allocation of its own, as a blob for keyspace_put_blob(), without a copy. NULL: it
 * has none. ctx->argv[arg] stays valid even if the value is changed or deleted: the blob is held until ctx_let_go(),
 * when the command is in the stream, in the slow log and shown to MONITOR. */
struct blob *ctx_take_blob(struct cmd_ctx *ctx, int arg);
void ctx_let_go(struct cmd_ctx *ctx); /* for the dispatcher: the arguments are not needed any more */

/* --- what goes into the stream --- */
/* Puts this command into the stream instead of the handler's own. May be called several times. The caller formats
 * numbers. */
void ctx_replicate_as(struct cmd_ctx *ctx, int argc, const struct bytes_view *argv);
void ctx_replicate_in(struct cmd_ctx *ctx, int db, int argc, const struct bytes_view *argv); /* in another database */
#define ctx_replicate(ctx, ...)                                                                                        \
    ctx_replicate_as(ctx, (int)(sizeof((struct bytes_view[]){__VA_ARGS__}) / sizeof(struct bytes_view)),               \
                     (struct bytes_view[]){__VA_ARGS__})
void ctx_replicate_none(struct cmd_ctx *ctx);   /* nothing, though something changed */
void ctx_replicate_force(struct cmd_ctx *ctx);  /* the command itself, though nothing changed */
void ctx_replicate_moment(struct cmd_ctx *ctx); /* the command itself, which changes no data (PUBLISH) */

/* --- arguments: false, and the error is answered, if the argument is not valid --- */
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

bool ctx_is_replayed(const struct cmd_ctx *ctx); /* it comes from our master: limits for clients do not apply */
int64_t ctx_now_ms(const struct cmd_ctx *ctx);

/* Shows the command to MONITOR. For commands with CMD_SKIP_MONITOR (scripts), which call it first of all, and for an
 * EXEC that is refused, whose MULTI has been shown. */
void ctx_feed_monitors(const struct cmd_ctx *ctx, const struct command *cmd);

/* Replies to X HELP with these lines, which end with NULL, and the ones that Redis adds. */
void ctx_reply_help(struct cmd_ctx *ctx, const char *const *lines);

#endif
