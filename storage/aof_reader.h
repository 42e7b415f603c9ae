/* aof_reader.h -- takes the commands out of the bytes of an append-only file.
 *
 * The file is a stream as replicas get it, nothing but arrays of bulk strings, with lines that begin with '#' between
 * commands: annotations. Three kinds of them are written: "#TS:<Unix time>", checksums (aof_sum.h), and, as the very
 * last line of a file, "#REPL:<id>:<offset>:<database>" with a checksum, the place in the history of replication that
 * the file ends at; older files have it without the sum. The next append overwrites that one, so it only ever says
 * something about the whole file: once another program has appended, it is not the last line any more, and nothing is
 * to be believed about the place (P12).
 *
 * Bytes are fed from the first one not yet taken on, in any split; how far they have been looked at is remembered, so
 * that none is parsed twice. Memory grows with what has arrived, not with what was announced. */
#ifndef LOCKSTEP_STORAGE_AOF_READER_H
#define LOCKSTEP_STORAGE_AOF_READER_H

#include "storage/base/bytes.h"

enum aof_status {
    AOF_MORE,       /* what is there is no whole item */
    AOF_COMMAND,    /* item.argv */
    AOF_ANNOTATION, /* item.line */
    AOF_ERROR,      /* aof_reader_error(): no append-only file goes on like this */
};

struct aof_item {
    int argc;
    const struct bytes_view *argv; /* slices of what was fed */
    struct bytes_view line;        /* without its end */
    size_t len;                    /* bytes that the item takes */
};

struct aof_arg { /* positions, since the bytes may move while more arrive */
    size_t at, len;
};

struct aof_reader { /* all zero: at the beginning of an item */
    size_t scanned; /* bytes of the present item that were looked at */
    int64_t args_due;
    size_t bulk_len;
    bool in_command, in_bulk;
    struct aof_arg *args;
    struct bytes_view *argv;
    size_t argc, cap;
    uint64_t lines; /* that were passed, for those who look at the file with an editor */
    char error[96];
};

void aof_reader_release(struct aof_reader *r);
enum aof_status aof_reader_next(struct aof_reader *r, struct bytes_view in, struct aof_item *item);
const char *aof_reader_error(const struct aof_reader *r);

/* "#TS:1700000000": the time, or -1 for any other line. */
int64_t aof_annotation_time(struct bytes_view line);

/* The place that a file ends at, as its last line says. */
struct aof_place {
    char id[41]; /* "": unknown */
    uint64_t offset;
    int db;
};
bool aof_annotation_place(struct bytes_view line, struct aof_place *out);
void aof_place_format(const struct aof_place *place, struct bytes_buf *out); /* with the end of the line */

#endif
