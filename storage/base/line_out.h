/* line_out.h -- a receiver of lines of text: a function and its context.
 *
 * For modules that report to a person and do not know where the lines go, such as the checkers of RDB and append-only
 * files.
 * Limits: a line is cut off behind LINE_OUT_MAX - 1 bytes. */
#ifndef LOCKSTEP_STORAGE_BASE_LINE_OUT_H
#define LOCKSTEP_STORAGE_BASE_LINE_OUT_H

#include "storage/base/bytes.h"

enum { LINE_OUT_MAX = 2048 };

struct line_out {
    void *ctx;
    void (*line)(void *ctx, const char *text); /* without a line end; `text` is valid during the call */
};

void line_out_say(const struct line_out *out, const char *fmt, ...) PRINTF(2, 3);

#endif
