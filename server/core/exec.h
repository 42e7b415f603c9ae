/* exec.h -- units: which commands go into the replication stream together, and when.
 *
 * A unit is one command, one EXEC with all the commands it runs, or one deletion by the server itself (expiry,
 * eviction).
 *
 *     exec_begin()                             depth 1
 *       exec_add() ...                         pieces are collected: [DEL a] [SET b 1]
 *       exec_begin() ... exec_end()            depth 2: a command of a transaction or a script; its pieces are added
 *     exec_end()                               the stream gets  MULTI, DEL a, SET b 1, EXEC
 *
 * Invariants:
 * 1. Units nest. Only exec_end() of the outermost unit writes to the stream.
 * 2. Several pieces are wrapped in MULTI and EXEC, unless exec_no_wrap() was called. They are fed in one go, so no
 *    other bytes come between them.
 * 3. A unit of one plain command is not collected: its bytes go from the query buffer into the stream unchanged.
 * 4. No piece is pending outside of units.
 * Ownership: struct exec copies what it is given. It keeps its buffers for the next unit unless they are large.
 * Not here:  which command wants what in the stream (command.h), the stream itself (replication.h). */
#ifndef LOCKSTEP_SERVER_CORE_EXEC_H
#define LOCKSTEP_SERVER_CORE_EXEC_H

#include <stdbool.h>

#include "storage/base/bytes.h"

struct core;

/* One command that a unit puts into the stream: a slice of exec.bytes. */
struct exec_piece {
    int db;
    bool of_the_moment; /* changes no data: fed with repl_feed_moment(), if it is the only piece */
    size_t offset, len;
};

struct exec {
    unsigned depth; /* of nested units; 0: none is open */
    bool no_wrap;   /* exec_no_wrap() */
    bool abandoned; /* exec_abandon() */
    bool replaying; /* a command of an append-only file runs: it has been in the stream before */
    struct bytes_buf bytes;
    struct exec_piece *pieces;
    size_t count, cap;
    size_t command_start; /* index of the running command's first piece; SIZE_MAX: no command runs in this unit */
};

void exec_release(struct exec *x);

/* True while a command of a transaction or a script runs. */
static inline bool exec_is_nested(const struct exec *x)
{
    return x->depth > 1;
}

/* Around the handler of a command, inside a unit: pieces added between the two calls are the command's own. The first
 * returns what the second takes. */
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

/* Around each command, and around each deletion by the server itself. */
void exec_begin(struct core *core);
void exec_end(struct core *core);
/* Adds a piece to the running unit. */
void exec_add(struct core *core, int db, int argc, const struct bytes_view *argv);
/* Adds a piece in front of the running command's own pieces: a key that the command found to be expired. */
void exec_add_before(struct core *core, int db, int argc, const struct bytes_view *argv);
void exec_add_delete(struct core *core, int db, struct bytes_view key, bool unlink); /* the same: DEL or UNLINK */
/* The running unit is not wrapped in MULTI (expired keys that SCAN or RANDOMKEY deletes). Has no effect inside a transaction. */
void exec_no_wrap(struct core *core);
/* Drops all pieces of the running unit: it leaves nothing in the stream. */
void exec_drop_unit(struct core *core);
/* From now on no unit, the running one included, goes into the stream: the server stops in the middle of a command. */
void exec_abandon(struct core *core);

/* For the dispatcher: adds the running command itself. `raw`: its bytes in the query buffer (data NULL: there are
 * none), which are fed directly if the unit has no other piece. */
void exec_add_verbatim(struct core *core, int db, int argc, const struct bytes_view *argv, struct bytes_view raw);
/* For the dispatcher: adds the running command, which changes no data. Left out while no replica is attached. */
void exec_add_moment(struct core *core, int db, int argc, const struct bytes_view *argv);
/* Drops the running command's own pieces (redis.set_repl); deletions added with exec_add_before() stay. */
void exec_drop_own(struct core *core);

#endif
