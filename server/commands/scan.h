/* scan.h -- what the SCAN family shares: its options, and the page of elements that one call answers.
 *
 *     if (!ctx_arg_cursor(ctx, 1, &cursor) || !scan_parse_options(ctx, 2, SCAN_OPTION_TYPE, &options)) return;
 *     do cursor = keyspace_scan(ctx->db, cursor, visit, &pass);     visit: if (scan_visit(...)) scan_page_add(...)
 *     while (scan_continues(&options, &page, cursor));
 *     scan_page_reply(ctx, &page, cursor);
 *
 * A page holds copies, so that what was visited may go away (an expired key) before it is answered. */
#ifndef LOCKSTEP_SERVER_COMMANDS_SCAN_H
#define LOCKSTEP_SERVER_COMMANDS_SCAN_H

#include "server/dispatch/command.h"

/* What a command takes besides MATCH and COUNT. */
enum scan_option {
    SCAN_OPTION_TYPE = 1 << 0,     /* TYPE: SCAN does, the scans of one key do not */
    SCAN_OPTION_NOVALUES = 1 << 1, /* NOVALUES of Redis 7.4: HSCAN does */
};

struct scan_options {
    uint64_t count;            /* COUNT, how many elements to visit at least: 1 or more */
    struct bytes_view pattern; /* MATCH */
    struct bytes_view type;    /* TYPE */
    bool has_pattern;          /* and it is not "*" */
    bool has_type;
    bool no_values; /* NOVALUES: fields without their values */
};
/* MATCH, COUNT and, where allowed, the others from `arg` to the end. False: the error has been answered. */
bool scan_parse_options(struct cmd_ctx *ctx, int arg, unsigned allowed, struct scan_options *out);
/* Whether an element passes MATCH / a key of this type passes TYPE (a name that is no type passes none). */
bool scan_matches(const struct scan_options *options, struct bytes_view element);
bool scan_type_matches(const struct scan_options *options, enum value_type type);

struct scan_page {
    struct bytes_buf bytes; /* of all items, one behind the other */
    size_t *ends;           /* where each ends */
    size_t count, capacity; /* of `ends` */
    uint64_t visited;       /* elements looked at, whether they matched or not */
    uint64_t steps;         /* cursor positions */
};
/* Whether a scan that has got this far goes on to the next cursor position before it answers: until COUNT elements were
 * visited, but not for ever where positions are empty. Counts the steps. */
bool scan_continues(const struct scan_options *options, struct scan_page *page, uint64_t cursor);
void scan_page_add(struct scan_page *page, struct bytes_view item);
/* The item number i, in order of adding. Valid until the next one is added. */
struct bytes_view scan_page_item(const struct scan_page *page, size_t i);
/* The cursor and the items. Releases the page. */
void scan_page_reply(struct cmd_ctx *ctx, struct scan_page *page, uint64_t cursor);
void scan_page_release(struct scan_page *page);

/* SSCAN, HSCAN and ZSCAN: `step` visits one cursor position of the value and returns the next; for each element it
 * calls scan_visit(), and where that answers true scan_page_add() for what is to be answered. */
struct scan_pass {
    const struct scan_options *options;
    struct scan_page *page;
    int64_t now_ms; /* fields of a hash that are past their time are left out */
};
bool scan_visit(struct scan_pass *pass, struct bytes_view element);
typedef uint64_t scan_step_fn(const void *value, uint64_t cursor, struct scan_pass *pass);
void scan_collection(struct cmd_ctx *ctx, enum value_type type, scan_step_fn *step);

#endif
