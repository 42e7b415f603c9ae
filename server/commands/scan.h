/* scan.h -- options and reply pages of the SCAN family.
 *
 *     if (!ctx_arg_cursor(ctx, 1, &cursor) || !scan_parse_options(ctx, 2, SCAN_OPTION_TYPE, &options)) return;
 *     do cursor = keyspace_scan(ctx->db, cursor, visit, &pass);     visit: if (scan_visit(...)) scan_page_add(...)
 *     while (scan_continues(&options, &page, cursor));
 *     scan_page_reply(ctx, &page, cursor);
 *
 * A page holds copies, so that an expired key may be deleted before the page is sent. */
#ifndef LOCKSTEP_SERVER_COMMANDS_SCAN_H
#define LOCKSTEP_SERVER_COMMANDS_SCAN_H

#include "server/dispatch/command.h"

/* Options besides MATCH and COUNT. */
enum scan_option {
    SCAN_OPTION_TYPE = 1 << 0,     /* TYPE, of SCAN */
    SCAN_OPTION_NOVALUES = 1 << 1, /* NOVALUES, of HSCAN in Redis 7.4 */
};

struct scan_options {
    uint64_t count;            /* COUNT: the minimal number of elements to visit, at least 1 */
    struct bytes_view pattern; /* MATCH */
    struct bytes_view type;    /* TYPE */
    bool has_pattern;          /* a pattern other than "*" was given */
    bool has_type;
    bool no_values; /* NOVALUES: replies with fields only */
};
/* Parses MATCH, COUNT and the allowed options from `arg` to the end. False: the error has been answered. */
bool scan_parse_options(struct cmd_ctx *ctx, int arg, unsigned allowed, struct scan_options *out);
/* Whether an element matches MATCH, or a type matches TYPE (an unknown type name matches nothing). */
bool scan_matches(const struct scan_options *options, struct bytes_view element);
bool scan_type_matches(const struct scan_options *options, enum value_type type);

struct scan_page {
    struct bytes_buf bytes; /* all items, concatenated */
    size_t *ends;           /* the end of each item */
    size_t count, capacity; /* of `ends` */
    uint64_t visited;       /* number of elements, including those that did not match */
    uint64_t steps;         /* cursor positions */
};
/* Whether the scan continues with the next cursor position before it replies: until COUNT elements were visited, or
 * many positions were empty. Counts the steps. */
bool scan_continues(const struct scan_options *options, struct scan_page *page, uint64_t cursor);
void scan_page_add(struct scan_page *page, struct bytes_view item);
/* Item number i, in order of adding; valid until the next one is added. */
struct bytes_view scan_page_item(const struct scan_page *page, size_t i);
/* Replies with the cursor and the items, and releases the page. */
void scan_page_reply(struct cmd_ctx *ctx, struct scan_page *page, uint64_t cursor);
void scan_page_release(struct scan_page *page);

/* SSCAN, HSCAN and ZSCAN. `step` visits one cursor position of the value and returns the next one. For each element it
 * calls scan_visit(), and if that returns true, scan_page_add() for each item of the reply. */
struct scan_pass {
    const struct scan_options *options;
    struct scan_page *page;
    int64_t now_ms; /* fields of a hash that are expired at this time are left out */
};
bool scan_visit(struct scan_pass *pass, struct bytes_view element);
typedef uint64_t scan_step_fn(const void *value, uint64_t cursor, struct scan_pass *pass);
void scan_collection(struct cmd_ctx *ctx, enum value_type type, scan_step_fn *step);

#endif
