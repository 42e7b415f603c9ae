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

/* What becomes of the command in the stream. */
enum replicate_mode {
    REPLICATE_IF_CHANGED = 0, /* verbatim, if it is a write and changed something */
    REPLICATE_FORCED,         /* verbatim */
    REPLICATE_MOMENT,         /* verbatim, for replicas that are attached: it changes no data */
    REPLICATE_REPLACED,       /* other commands were given instead */
    REPLICATE_NOT,
};

struct cmd_ctx {
    struct server *server; /* house.h: for the handlers that need more than the core */
    struct core *core;
    struct dispatcher *dispatcher;
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

/* MONITOR shows a command before it has run: CMD_SKIP_MONITOR commands call it before anything can refuse them, and an
 * EXEC that does not run is shown as well, since its MULTI was. */
void ctx_feed_monitors(const struct cmd_ctx *ctx, const struct command *cmd);

/* Replies to X HELP with these lines, which end with NULL, and the ones that Redis adds. */
void ctx_reply_help(struct cmd_ctx *ctx, const char *const *lines);

#endif
