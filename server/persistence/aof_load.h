/* aof_load.h -- fills the keyspace from the files of an append-only log.
 *
 * Commands run as they did once, without the checks for clients, and nothing of it goes into the stream. A transaction
 * is run when its EXEC is there: a file that ends inside one has none of it (S8). What is wrong with the end of the
 * last file is cut off, where aof-load-truncated allows it: a command that is not all there, or zeros that a power cut
 * left. What a power cut, or a copy that was made of a file in use, has destroyed is told by checksums
 * (storage/aof_sum.h): the file is cut off there and loaded again, or the start is refused. A command that fails is
 * logged and counted (unexpected_error_replies), and what follows is run all the same, as on the link to a master.
 *
 * The commands of the last file are the bytes of the stream that end at the place, if there is one: as long as one
 * history is counted, one file gets its bytes without a gap. (With another program's commands at its end a file has no
 * place; what this server appends then is of a new history that is counted from 0, and no tail is longer than its
 * position.) A SELECT at the head of a file may be the file's own, so it is never a part of that. */
#ifndef LOCKSTEP_SERVER_PERSISTENCE_AOF_LOAD_H
#define LOCKSTEP_SERVER_PERSISTENCE_AOF_LOAD_H

#include "server/core/core.h"
#include "storage/aof_manifest.h"
#include "storage/aof_sum.h"

/* Does it change no data? What was said to subscribers was said then; and PINGs, like questions of a master, are in the
 * stream for replicas. */
struct command;
bool aof_is_of_the_moment(const struct command *cmd);

struct aof_loaded {
    struct aof_place place;  /* in the history, if the files say so */
    uint64_t moment;         /* the bytes in front of it that changed no data, as far as the last file has them */
    uint64_t last_part_size; /* bytes of the last file, without the note at its end */
    uint64_t total_size;     /* of all */
    struct aof_sum *sum;     /* of the last file up to there, to go on with */
    struct bytes_buf tail;   /* the bytes of the stream in front of the place */
};

struct aof_load_uses { /* what a load needs */
    struct core *core;
    struct clients *clients;       /* a client without a connection runs the commands */
    struct dispatcher *dispatcher; /* which finds and runs them */
    struct scripting *scripting;   /* gets the libraries of functions */
    struct loading *loading;
    struct saving *saving;
};

/* 0, or a negative code with the reason logged. `turn` (or NULL) is called now and then, with the core; nonzero from it ends the load.
 * `dir` is the directory of the files. out->tail gets up to tail_max bytes. */
NODISCARD int aof_load(const struct aof_load_uses *uses, const struct aof_manifest *m, const char *dir,
                       int (*turn)(void *ctx), uint64_t tail_max, struct aof_loaded *out);
void aof_loaded_release(struct aof_loaded *loaded); /* after a failure too */

#endif
