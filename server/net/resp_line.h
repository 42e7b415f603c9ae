/* resp_line.h -- lines: inline requests and lines of redis.conf split into words, and single-line replies. */
#ifndef LOCKSTEP_SERVER_NET_RESP_LINE_H
#define LOCKSTEP_SERVER_NET_RESP_LINE_H

#include <stdbool.h>
#include <stdint.h>

#include "server/net/resp_batch.h"
#include "storage/base/bytes.h"

/* Splits at blanks, with "double \x41\n quotes" and 'single \' quotes'; a NUL is a byte like others. Words without
 * quotes are slices of the line, others live in the batch, and so does *argv. False: unbalanced quotes. */
NODISCARD bool resp_split_line(struct resp_batch *batch, struct bytes_view line, struct bytes_view **argv,
                               uint32_t *argc);

/* Single-line replies, as a replica gets them from its master during the handshake. */
struct resp_line_reader {
    struct bytes_buf buf;
    size_t pos;
    size_t max_line;
};
void resp_line_reader_init(struct resp_line_reader *lr, size_t max_line);
void resp_line_reader_release(struct resp_line_reader *lr);
void resp_line_reader_feed(struct resp_line_reader *lr, struct bytes_view bytes);
/* 1: *line is the next line without its LF or CR LF, good until the next feed; 0: no whole line yet; -EMSGSIZE: longer
 * than max_line. */
NODISCARD int resp_line_reader_next(struct resp_line_reader *lr, struct bytes_view *line);
/* What follows the lines taken so far (the start of an RDB or of the stream); good until the next feed. */
struct bytes_view resp_line_reader_rest(const struct resp_line_reader *lr);

#endif
