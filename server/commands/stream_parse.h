/* stream_parse.h -- arguments of stream commands: ids, intervals of ids, options of trimming.
 * Functions that take a context answer the error themselves and return false. */
#ifndef LOCKSTEP_SERVER_COMMANDS_STREAM_PARSE_H
#define LOCKSTEP_SERVER_COMMANDS_STREAM_PARSE_H

#include "server/dispatch/command.h"
#include "storage/stream.h"

/* "<ms>" or "<ms>-<seq>"; a missing sequence number becomes `missing_seq`. Refuses "-" and "+". */
bool stream_id_parse(struct bytes_view text, uint64_t missing_seq, struct stream_id *out);
/* The same for an argument, with 0 as the missing sequence number. */
bool arg_stream_id(struct cmd_ctx *ctx, int arg, struct stream_id *out);
/* Accepts "-" and "+" too: XGROUP SETID. */
bool arg_stream_id_or_end(struct cmd_ctx *ctx, int arg, struct stream_id *out);

/* Both ends are included; empty if start > end. */
struct stream_interval {
    struct stream_id start, end;
};
/* The ends of an interval: "-", "+", an id, or "(" and an id that is excluded. */
bool arg_stream_start(struct cmd_ctx *ctx, int arg, struct stream_id *out);
bool arg_stream_interval(struct cmd_ctx *ctx, int start_arg, int end_arg, struct stream_interval *out);

/* Parses [MAXLEN|MINID [=|~] threshold [LIMIT count]]. */
struct xadd_options {
    bool no_create;
    bool auto_id;  /* "*" */
    bool auto_seq; /* "<ms>-*" */
    struct stream_id id;
    int id_arg;
    bool trims;
    struct stream_trim trim;
};
bool parse_xadd_options(struct cmd_ctx *ctx, struct xadd_options *out);
bool parse_xtrim_options(struct cmd_ctx *ctx, struct stream_trim *out);

/* -NOGROUP, with `where` behind the names ("" for nothing). */
void ctx_error_no_group(struct cmd_ctx *ctx, struct bytes_view key, struct bytes_view group, const char *where);

#endif
