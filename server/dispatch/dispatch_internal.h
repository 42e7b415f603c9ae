/* dispatch_internal.h -- what the files of the dispatcher share. */
#ifndef LOCKSTEP_SERVER_DISPATCH_DISPATCH_INTERNAL_H
#define LOCKSTEP_SERVER_DISPATCH_DISPATCH_INTERNAL_H

#include "server/dispatch/dispatch.h"
#include "server/clients/clients.h"
#include "server/core/core.h"
#include "storage/base/ticks.h"

enum {
    BATCH_MAX = 64, /* requests parsed, hashed and prefetched together */
    ERROR_CODES_MAX = 256,
    INVENTED_CODES_MAX = 128, /* by scripts: those of the server's own always have room */
    CLIENT_TAKES_NO_COMMANDS = CLIENT_CLOSING | CLIENT_CLOSE_AFTER_REPLY | CLIENT_BLOCKED,
};

struct batch_item {
    struct client *client;
    struct command_slot *slot; /* NULL: unknown, or a container that needs its subcommand */
    struct resp_request request;
    uint64_t hash; /* of the first key, if key_arg > 0 */
    enum value_type value_type;
    const void *value; /* the first key's collection, while members are being loaded ahead */
    int key_arg;
};

struct error_count {
    char code[REPLY_ERROR_CODE_MAX + 1];
    uint64_t count;
};

struct dispatcher {
    struct dispatcher_uses uses;
    struct core *core; /* of uses, as the next one */
    struct command_table *commands;
    struct resp_batch arena;
    struct resp_batch busy_arena; /* of requests that come while a script runs */
    struct batch_item items[BATCH_MAX];
    size_t item_count;
    size_t item_at;       /* the one that runs */
    struct client *ready; /* whose requests are still to be gathered in this round */
    struct ticks_rate rate;
    uint64_t last_ticks;   /* when the last command ended, and so the next one began: reading the counter is not free */
    uint64_t slow_ticks;   /* from here on a command is looked at by the slow log and the latency monitor */
    const char *busy_text; /* while a script takes too long: what commands are answered */
    bool out_of_memory;    /* with maxmemory: when the outermost command was admitted */
    void (*applied)(void *ctx, uint64_t offset); /* while a master's stream is run */
    void *applied_ctx;
    struct error_count errors[ERROR_CODES_MAX];
    size_t error_count, invented_count;
    uint64_t errors_overflow; /* had codes for which there was no room */
    /* The last name looked up, as it was spelled: a pipeline mostly repeats itself. */
    char memo_name[16];
    size_t memo_len;
    struct command_slot *memo_slot;
};

/* A context for a command of this client; the command is still to be said. */
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
/* The handler, what it did into the stream, and the counting. */
void dispatch_call(struct cmd_ctx *ctx, struct command_slot *slot);
void dispatch_after_command(struct client *c);
/* A malformed request: its error is the last thing the client hears. */
void dispatch_protocol_error(struct dispatcher *d, struct client *c, enum resp_status status);

/* --- whether it may run (dispatch_admission.c) --- */
extern const char dispatch_loading_text[];
enum admission {
    ADMIT_RUN,
    ADMIT_QUEUE,   /* inside MULTI */
    ADMIT_REFUSED, /* the error has been answered */
    ADMIT_LATER,   /* the client waits for the end of a pause; the request stays unread */
};
enum admission dispatch_admit(struct cmd_ctx *ctx, struct command_slot *slot);
/* Finds the row that is meant, subcommands included. False: the error has been answered, and *slot is the one that
 * refused it, or NULL. */
bool dispatch_resolve(struct cmd_ctx *ctx, struct command_slot **slot);
/* Answers with this text (NULL: it has been answered), and counts. */
void dispatch_refuse(struct cmd_ctx *ctx, struct command_slot *slot, const char *text);
/* False: the user may not do this, and has been told. */
bool dispatch_permitted(struct cmd_ctx *ctx, struct command_slot *slot);
/* What a whole transaction needs counts for its EXEC; what it may do, all of its commands may. A script says itself. */
unsigned dispatch_effective_flags(const struct cmd_ctx *ctx, const struct command *cmd);

/* --- what is counted (dispatch_count.c) --- */
void dispatch_count_call(struct cmd_ctx *ctx, struct command_slot *slot, uint64_t took);
/* The command of a blocked client was run. It counts as one call, when it is done, with all that it took but the
 * waiting. */
void dispatch_count_blocked(struct cmd_ctx *ctx, struct command_slot *slot, uint64_t took);
void dispatch_count_error(struct dispatcher *d, const char *code, bool invented);
/* What our master's stream says and we cannot do: the data sets may differ from now on. */
void dispatch_note_master_error(struct dispatcher *d, struct bytes_view name, const char *code);
/* A command of the log failed that once did not. */
void dispatch_note_replay_error(struct dispatcher *d, const struct client *c, struct command_slot *slot);

#endif
