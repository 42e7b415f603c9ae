/* aof_reader.h -- a parser that takes commands out of the bytes of an append-only file.
 *
 * The file is the stream that replicas get: arrays of bulk strings. Between commands there may be lines that begin
 * with '#': annotations. Three kinds of them are written:
 *
 *      #TS:<Unix time>                      time of the commands that follow
 *      #SUM:...                             a checksum (aof_sum.h)
 *      #REPL:<id>:<offset>:<database>...    the place in the replication history at which the file ends
 *
 * #REPL is the last line of a file, with a checksum (older files have it without). The next append overwrites it, so
 * it always describes the whole file. If another program has appended to the file, #REPL is not the last line any
 * more, and the place is unknown (P12).
 *
 * The caller feeds the bytes from the first one not yet consumed, in any split. The reader remembers how far it has
 * parsed, so no byte is parsed twice. Memory grows with the bytes that have arrived, not with announced lengths. */
#ifndef LOCKSTEP_STORAGE_AOF_READER_H
#define LOCKSTEP_STORAGE_AOF_READER_H

#include "storage/base/bytes.h"

enum aof_status {
    AOF_MORE,       /* the item is not complete yet */
    AOF_COMMAND,    /* item.argv is set */
    AOF_ANNOTATION, /* item.line is set */
    AOF_ERROR,      /* not an append-only file: see aof_reader_error() */
};

struct aof_item {
    int argc;
    const struct bytes_view *argv; /* views into the bytes that were fed */
    struct bytes_view line;        /* without the line end */
    size_t len;                    /* bytes of the item */
};

struct aof_arg { /* offsets, since the bytes may move while more arrive */
    size_t at, len;
};

struct aof_reader { /* all zero: at the start of an item */
    size_t scanned; /* bytes of the current item already parsed */
    int64_t args_due;
    size_t bulk_len;
    bool in_command, in_bulk;
    struct aof_arg *args;
    struct bytes_view *argv;
    size_t argc, cap;
    uint64_t lines; /* lines passed so far, for error messages */
    char error[96];
};

void aof_reader_release(struct aof_reader *r);
enum aof_status aof_reader_next(struct aof_reader *r, struct bytes_view in, struct aof_item *item);
const char *aof_reader_error(const struct aof_reader *r);

/* The time of a line such as "#TS:1700000000"; -1 for any other line. */
int64_t aof_annotation_time(struct bytes_view line);

/* The place in the replication history at which a file ends. */
struct aof_place {
    char id[41]; /* "": unknown */
    uint64_t offset;
    int db;
};
bool aof_annotation_place(struct bytes_view line, struct aof_place *out);
void aof_place_format(const struct aof_place *place, struct bytes_buf *out); /* including the line end */

#endif
