/* resp_line.h -- lines of text: inline requests split into words, and a reader of single-line replies.
 *
 * A replica reads its master's answers to the handshake with the reader: the bytes after the last line belong to a
 * snapshot or to the stream. */
#ifndef LOCKSTEP_SERVER_NET_RESP_LINE_H
#define LOCKSTEP_SERVER_NET_RESP_LINE_H

#include <stdbool.h>
#include <stdint.h>

#include "server/net/resp_batch.h"
#include "storage/base/bytes.h"

/* Splits a line at blanks, with "double \x41\n quotes" and 'single \' quotes'. NUL is an ordinary byte. Words without
 * quotes are slices of the line; the others, and *argv, live in the batch. False: unbalanced quotes. */
NODISCARD bool resp_split_line(struct resp_batch *batch, struct bytes_view line, struct bytes_view **argv,
                               uint32_t *argc);

struct resp_line_reader {
    struct bytes_buf buf;
    size_t pos;
    size_t max_line;
};
void resp_line_reader_init(struct resp_line_reader *lr, size_t max_line);
void resp_line_reader_release(struct resp_line_reader *lr);
void resp_line_reader_feed(struct resp_line_reader *lr, struct bytes_view bytes);
/* 1: *line is the next line without its LF or CR LF, valid until the next feed; 0: no whole line yet; -EMSGSIZE: the
 * line is longer than max_line. */
NODISCARD int resp_line_reader_next(struct resp_line_reader *lr, struct bytes_view *line);
/* The bytes after the lines taken so far, valid until the next feed. */
struct bytes_view resp_line_reader_rest(const struct resp_line_reader *lr);

#endif
