/* aof_load.h -- loads the data set from the files of an append-only log.
 *
 * - Commands run without the checks for clients, and do not enter the stream.
 * - A transaction runs when its EXEC is read: of one without EXEC at the end of the file nothing runs (S8).
 * - A damaged end of the last file is cut off if aof-load-truncated allows it: an incomplete command, or zeros that a
 *   power cut left. Checksums (storage/aof_sum.h) find other damage, by a power cut or by a copy made of a file in use:
 *   the file is cut off there and loaded again, or the start is refused.
 * - A command that fails is logged and counted (unexpected_error_replies), and the load continues, as on the link to a
 *   master.
 *
 * The tail: the commands of the last file are the bytes of the stream that end at its place, if it has one, because a
 * file receives the stream of one history without gaps. If another program has appended commands, the file has no
 * place. What this server appends then belongs to a new history that begins at 0, and a tail is never longer than its
 * offset. A SELECT at the head of a file may be the file's own and is never part of the tail. */
#ifndef LOCKSTEP_SERVER_PERSISTENCE_AOF_LOAD_H
#define LOCKSTEP_SERVER_PERSISTENCE_AOF_LOAD_H

#include "server/core/core.h"
#include "storage/aof_manifest.h"
#include "storage/aof_sum.h"

/* True if the command changes no data and is not run: messages, which had their subscribers then; and PING and
 * REPLCONF, which are meant for replicas. */
struct command;
bool aof_is_of_the_moment(const struct command *cmd);

enum { AOF_HEAD_MAX_LEN = 256 }; /* of what a new file begins with: a checksum note, SELECT, a note of the place */

struct aof_loaded {
    struct aof_place place;  /* of the data set; id "": the files tell none */
    uint64_t moment;         /* so many bytes in front of the place change no data, as far as the last file shows */
    uint64_t last_part_size; /* bytes of the last file, without the note of the place at its end */
    uint64_t last_part_sure; /* so many bytes of it are surely on disk: notes say so, or the system was started since */
    bool last_part_bare;     /* it has no commands, so none that selects a database */
    bool last_part_noted;    /* it has notes of ours, which say what is on disk; another program's file has none */
    uint64_t total_size;     /* bytes of all files */
    bool has_data;           /* they have keys, or commands that a client has sent */
    struct aof_sum *sum;     /* of the last file up to last_part_size, to be continued */
    struct bytes_buf tail;   /* the bytes of the stream in front of the place */
};

struct aof_load_uses { /* all of it outlives the load */
    struct core *core;
    struct clients *clients;       /* for a client without a connection, which runs the commands */
    struct dispatcher *dispatcher; /* finds and runs commands */
    struct scripting *scripting;   /* takes function libraries */
    struct loading *loading;
    struct saving *saving;
};

/* 0, or a negative code with the reason logged. `dir`: the directory of the files. `turn`, unless it is NULL, is called
 * now and then with the core; nonzero from it ends the load with that code. out->tail gets up to tail_max bytes. */
NODISCARD int aof_load(const struct aof_load_uses *uses, const struct aof_manifest *m, const char *dir,
                       int (*turn)(void *ctx), uint64_t tail_max, struct aof_loaded *out);
void aof_loaded_release(struct aof_loaded *loaded); /* after a failure too */

#endif
