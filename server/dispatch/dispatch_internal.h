/* dispatch_internal.h -- the dispatcher's state and functions that its four files share. */
#ifndef LOCKSTEP_SERVER_DISPATCH_DISPATCH_INTERNAL_H
#define LOCKSTEP_SERVER_DISPATCH_DISPATCH_INTERNAL_H

#include "server/dispatch/dispatch.h"
#include "server/clients/clients.h"
#include "server/core/core.h"
#include "storage/base/ticks.h"

enum {
    BATCH_MAX = 64, /* requests parsed, hashed and prefetched together */
    ERROR_CODES_MAX = 256,
    INVENTED_CODES_MAX = 128, /* of codes that scripts make up, so that the server's own codes always have room */
    CLIENT_TAKES_NO_COMMANDS = CLIENT_CLOSING | CLIENT_CLOSE_AFTER_REPLY | CLIENT_BLOCKED,
};

struct batch_item {
    struct client *client;
    struct command_slot *slot; /* NULL: unknown, or a container that needs its subcommand */
    struct resp_request request;
    uint64_t hash; /* of the first key, if key_arg > 0 */
    enum value_type value_type;
    const void *value; /* the first key's collection, while its members are prefetched */
    int key_arg;
};

struct error_count {
    char code[REPLY_ERROR_CODE_MAX + 1];
    uint64_t count;
};

struct dispatcher {
    struct dispatcher_uses uses;
    struct core *core; /* copy of uses.core; likewise commands */
    struct command_table *commands;
    struct resp_batch arena;
    struct resp_batch busy_arena; /* of requests that are answered while a script runs */
    struct batch_item items[BATCH_MAX];
    size_t item_count;
    size_t item_at;       /* index of the running item */
    struct client *ready; /* clients whose requests are not gathered yet in this round */
    struct ticks_rate rate;
    uint64_t last_ticks;   /* end of the last command, and beginning of the next: reading the counter is not free */
    uint64_t slow_ticks;   /* a command that took so long is shown to the slow log and the latency monitor */
    const char *busy_text; /* the error that answers commands while a script takes too long */
    bool out_of_memory;    /* memory was above maxmemory when the outermost command was admitted */
    void (*applied)(void *ctx, uint64_t offset); /* of dispatch_stream(), else NULL */
    void *applied_ctx;
    struct error_count errors[ERROR_CODES_MAX];
    size_t error_count, invented_count;
    uint64_t errors_overflow; /* errors whose codes had no room */
    /* The last name that was looked up, as it was spelled: pipelines often repeat one command. */
    char memo_name[16];
    size_t memo_len;
    struct command_slot *memo_slot;
};

/* A context for this client and these arguments. The caller sets the command. */
static inline struct cmd_ctx dispatch_ctx(struct dispatcher *d, struct client *c, int argc,
                                          const struct bytes_view *argv)
{
    return (struct cmd_ctx){
        .server = d->uses.house,
        .dispatcher = d,
        .core = c->core,
        .client = c,
        .caller = c,
        .keyspace = c->core->keyspace,
        .db = c->db,
        .reply = &c->reply,
        .settings = c->core->settings,
        .argc = argc,
        .argv = argv,
    };
}

static inline bool dispatch_arity_fits(const struct command *cmd, int argc)
{
    return cmd->arity >= 0 ? argc == cmd->arity : argc >= -cmd->arity;
}

/* --- running (dispatch.c) --- */
/* Runs the handler, adds the command to the stream, counts it. */
void dispatch_call(struct cmd_ctx *ctx, struct command_slot *slot);
void dispatch_after_command(struct client *c);
/* Answers a malformed request and closes the connection after the reply. */
void dispatch_protocol_error(struct dispatcher *d, struct client *c, enum resp_status status);

/* --- whether it may run (dispatch_admission.c) --- */
extern const char dispatch_loading_text[];
enum admission {
    ADMIT_RUN,
    ADMIT_QUEUE,     /* inside MULTI */
    ADMIT_REFUSED,   /* the error has been answered */
    ADMIT_LATER,     /* a pause holds it: the client is to be blocked, the request stays in its reader */
    ADMIT_PROMOTING, /* likewise, until this server is a master */
};
enum admission dispatch_admit(struct cmd_ctx *ctx, struct command_slot *slot);
/* Replaces the slot of a container by that of the subcommand, and checks the number of arguments. False: an error has
 * been answered; *slot is the command it belongs to, or NULL. */
bool dispatch_resolve(struct cmd_ctx *ctx, struct command_slot **slot);
/* Answers with this error (NULL: the error has been answered) and counts it. */
void dispatch_refuse(struct cmd_ctx *ctx, struct command_slot *slot, const char *text);
/* False: the user may not run this, which has been answered. */
bool dispatch_permitted(struct cmd_ctx *ctx, struct command_slot *slot);
/* The flags that admission goes by. EXEC needs what any of its commands needs, and is allowed (LOADING, STALE) what all
 * of them are. A script declares its own. */
unsigned dispatch_effective_flags(const struct cmd_ctx *ctx, const struct command *cmd);

/* --- what is counted (dispatch_count.c) --- */
void dispatch_count_call(struct cmd_ctx *ctx, struct command_slot *slot, uint64_t took);
/* The command of a blocked client has run. When it has answered, all its runs count as one call; waiting does not
 * count. */
void dispatch_count_blocked(struct cmd_ctx *ctx, struct command_slot *slot, uint64_t took);
void dispatch_count_error(struct dispatcher *d, const char *code, bool invented);
/* A command of our master's stream failed here: the data sets may differ from now on. */
void dispatch_note_master_error(struct dispatcher *d, struct bytes_view name, const char *code);
/* A command of an append-only file failed, although it succeeded once. */
void dispatch_note_replay_error(struct dispatcher *d, const struct client *c, struct command_slot *slot);

#endif
