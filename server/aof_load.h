/* aof_load.h -- fills the keyspace from the files of an append-only log.
 *
 * Commands run as they did once, without the checks for clients, and nothing of it goes into the stream. A transaction
 * is run when its EXEC is there: a file that ends inside one has none of it (S8). What is wrong with the end of the
 * last file is cut off, where aof-load-truncated allows it: a command that is not all there, or zeros that a power cut
 * left. */
#ifndef LOCKSTEP_SERVER_AOF_LOAD_H
#define LOCKSTEP_SERVER_AOF_LOAD_H

#include "server/server.h"
#include "storage/aof_manifest.h"
#include "storage/aof_reader.h"

struct aof_loaded {
    struct aof_place place;  /* in the history, if the files say so */
    uint64_t last_part_size; /* bytes of the last file, without the note at its end */
    uint64_t total_size;     /* of all */
};

/* 0, or a negative code with the reason logged. `turn` (or NULL) is called now and then; nonzero from it ends the load.
 * `dir` is the directory of the files. */
NODISCARD int aof_load(struct server *s, const struct aof_manifest *m, const char *dir, int (*turn)(void *ctx),
                       struct aof_loaded *out);

#endif
