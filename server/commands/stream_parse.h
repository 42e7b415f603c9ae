/* stream_parse.h -- arguments of the commands of streams: ids, intervals of ids, the options of trimming. Functions
 * that read arguments answer the error themselves and return false. */
#ifndef LOCKSTEP_SERVER_COMMANDS_STREAM_PARSE_H
#define LOCKSTEP_SERVER_COMMANDS_STREAM_PARSE_H

#include "server/dispatch/command.h"
#include "storage/stream.h"

/* "<ms>" or "<ms>-<seq>"; without a sequence number it is `missing_seq`. Never "-" or "+". */
bool stream_id_parse(struct bytes_view text, uint64_t missing_seq, struct stream_id *out);
/* The same of an argument, "0-0" where no sequence number is given. */
bool arg_stream_id(struct cmd_ctx *ctx, int arg, struct stream_id *out);
/* "-" and "+" as well: XGROUP SETID. */
bool arg_stream_id_or_end(struct cmd_ctx *ctx, int arg, struct stream_id *out);

/* Both ends included. start > end: empty. */
struct stream_interval {
    struct stream_id start, end;
};
/* Ends of an interval: "-", "+", an id, or "(" and an id that is not included itself. */
bool arg_stream_start(struct cmd_ctx *ctx, int arg, struct stream_id *out);
bool arg_stream_interval(struct cmd_ctx *ctx, int start_arg, int end_arg, struct stream_interval *out);

/* [MAXLEN|MINID [=|~] threshold [LIMIT count]], in struct stream_trim. */
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

/* The error that every command about a group has, with its own words behind the names ("" for none). */
void ctx_error_no_group(struct cmd_ctx *ctx, struct bytes_view key, struct bytes_view group, const char *where);

#endif
