/* exec.h -- units: what goes into the stream, and when.
 *
 * A unit is one command, one EXEC with all it runs, or a deletion of the server's own accord (expiry, eviction). Units
 * nest. What they want replicated is collected in pieces and emitted by exec_end() of the outermost one; more than one
 * piece is wrapped in MULTI and EXEC, and nothing can come between them, since they are fed in one go. A unit of one
 * plain command is not collected: its bytes go from the query buffer into the stream as they are.
 *
 * Invariant: outside of units nothing is pending. */
#ifndef LOCKSTEP_SERVER_CORE_EXEC_H
#define LOCKSTEP_SERVER_CORE_EXEC_H

#include <stdbool.h>

#include "storage/base/bytes.h"

struct core;

/* One piece of what a unit puts into the stream: a slice of exec.bytes. */
struct exec_piece {
    int db;
    bool of_the_moment; /* it changes no data: repl_feed_moment(), if it is alone */
    size_t offset, len;
};

struct exec {
    unsigned depth;
    bool no_wrap;
    bool abandoned; /* exec_abandon() */
    bool replaying; /* what runs was in the stream before */
    struct bytes_buf bytes;
    struct exec_piece *pieces;
    size_t count, cap;
    size_t command_start; /* pieces of the running command begin here */
};

void exec_release(struct exec *x);

/* The running command is one of a transaction or a script. */
static inline bool exec_is_nested(const struct exec *x)
{
    return x->depth > 1;
}

/* Around the handler of a command, in a unit: pieces added between the two are the command's own. */
static inline size_t exec_command_begins(struct exec *x)
{
    size_t outer = x->command_start;
    x->command_start = x->count;
    return outer;
}
static inline void exec_command_ends(struct exec *x, size_t outer)
{
    x->command_start = outer;
}

/* Also around a unit of the server's own accord. */
void exec_begin(struct core *core);
void exec_end(struct core *core);
/* Adds a piece to the running unit. */
void exec_add(struct core *core, int db, int argc, const struct bytes_view *argv);
/* The same for what a command came upon before it did anything: it goes before whatever the command has put there. */
void exec_add_before(struct core *core, int db, int argc, const struct bytes_view *argv);
void exec_add_delete(struct core *core, int db, struct bytes_view key, bool unlink); /* so: DEL or UNLINK of one key */
/* The unit is not to be wrapped in MULTI even if it has many pieces (deletions found by SCAN, eviction). */
void exec_no_wrap(struct core *core);
/* Nothing of this unit, or after it, goes into the stream: the server stops in the middle of it. */
void exec_abandon(struct core *core);

/* From the dispatcher: the running command itself, as it stands in the query buffer if nothing else is in this unit. */
void exec_add_verbatim(struct core *core, int db, int argc, const struct bytes_view *argv, struct bytes_view raw);
/* The same for one that changes no data: left out where no replica is attached. */
void exec_add_moment(struct core *core, int db, int argc, const struct bytes_view *argv);
/* What the running command has put there since it began, but for what it came upon, does not go into the stream. */
void exec_drop_own(struct core *core);

#endif
