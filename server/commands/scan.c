#include "server/commands/scan.h"

#include "storage/base/checked.h"
#include "storage/base/glob.h"
#include "storage/base/memory.h"
#include "storage/base/num.h"

enum { SCAN_DEFAULT_COUNT = 10, SCAN_STEPS_PER_COUNT = 10 };

/* ---- Options ---- */

static bool parse_count(struct cmd_ctx *ctx, int arg, struct scan_options *out)
{
    int64_t count;
    if (!ctx_arg_i64(ctx, arg, &count)) return false;
    if (count < 1) {
        ctx_error_syntax(ctx);
        return false;
    }
    out->count = (uint64_t)count;
    return true;
}

static bool parse_option(struct cmd_ctx *ctx, int arg, unsigned allowed, struct scan_options *out)
{
    struct bytes_view value = ctx->argv[arg + 1];
    if (ctx_arg_is(ctx, arg, "COUNT")) return parse_count(ctx, arg + 1, out);
    if (ctx_arg_is(ctx, arg, "MATCH")) {
        out->pattern = value;
        out->has_pattern = !(value.len == 1 && value.data[0] == '*');
        return true;
    }
    if (ctx_arg_is(ctx, arg, "TYPE") && (allowed & SCAN_OPTION_TYPE)) {
        out->type = value;
        out->has_type = true;
        return true;
    }
    ctx_error_syntax(ctx);
    return false;
}

bool scan_parse_options(struct cmd_ctx *ctx, int arg, unsigned allowed, struct scan_options *out)
{
    *out = (struct scan_options){.count = SCAN_DEFAULT_COUNT};
    while (arg < ctx->argc) {
        if ((allowed & SCAN_OPTION_NOVALUES) && ctx_arg_is(ctx, arg, "NOVALUES")) {
            out->no_values = true;
            arg++;
            continue;
        }
        if (arg + 1 == ctx->argc) { /* an option without its value */
            ctx_error_syntax(ctx);
            return false;
        }
        if (!parse_option(ctx, arg, allowed, out)) return false;
        arg += 2;
    }
    return true;
}

bool scan_matches(const struct scan_options *options, struct bytes_view element)
{
    return !options->has_pattern || glob_match(options->pattern, element, false);
}

bool scan_type_matches(const struct scan_options *options, enum value_type type)
{
    return !options->has_type || bytes_equal_nocase(options->type, value_type_name(type));
}

/* ---- Pages ---- */

bool scan_continues(const struct scan_options *options, struct scan_page *page, uint64_t cursor)
{
    page->steps++;
    return cursor != 0 && page->visited < options->count && page->steps / SCAN_STEPS_PER_COUNT < options->count;
}

void scan_page_add(struct scan_page *page, struct bytes_view item)
{
    if (page->count == page->capacity) {
        page->capacity = page->capacity == 0 ? 2 * SCAN_DEFAULT_COUNT : checked_size_mul(page->capacity, 2);
        page->ends = mem_realloc(page->ends, checked_size_mul(page->capacity, sizeof(*page->ends)));
    }
    bytes_buf_append_view(&page->bytes, item);
    page->ends[page->count++] = page->bytes.len;
}

struct bytes_view scan_page_item(const struct scan_page *page, size_t i)
{
    size_t start = i == 0 ? 0 : page->ends[i - 1];
    if (page->ends[i] == start) return bytes_view("", 0); /* if all items are empty, no bytes were allocated */
    return bytes_view(page->bytes.data + start, page->ends[i] - start);
}

void scan_page_release(struct scan_page *page)
{
    bytes_buf_release(&page->bytes);
    mem_free(page->ends);
    *page = (struct scan_page){0};
}

void scan_page_reply(struct cmd_ctx *ctx, struct scan_page *page, uint64_t cursor)
{
    char number[NUM_U64_MAX_CHARS];
    reply_array(ctx->reply, 2);
    reply_bulk(ctx->reply, bytes_view(number, num_format_u64(number, cursor)));
    reply_array(ctx->reply, page->count);
    for (size_t i = 0; i < page->count; i++) reply_bulk(ctx->reply, scan_page_item(page, i));
    scan_page_release(page);
}

/* ---- The scans of one key ---- */

bool scan_visit(struct scan_pass *pass, struct bytes_view element)
{
    pass->page->visited++;
    return scan_matches(pass->options, element);
}

void scan_collection(struct cmd_ctx *ctx, enum value_type type, scan_step_fn *step)
{
    struct scan_options options;
    struct scan_page page = {0};
    struct scan_pass pass = {.options = &options, .page = &page, .now_ms = keyspace_field_clock(ctx->keyspace)};
    const void *value;
    uint64_t cursor;
    if (!ctx_arg_cursor(ctx, 2, &cursor)) return;
    switch (ctx_read_value(ctx, 1, type, &value)) {
    case LOOKUP_WRONG_TYPE: return;
    case LOOKUP_MISSING: scan_page_reply(ctx, &page, 0); return;
    case LOOKUP_FOUND: break;
    }
    if (!scan_parse_options(ctx, 3, type == TYPE_HASH ? SCAN_OPTION_NOVALUES : 0, &options)) return;
    do cursor = step(value, cursor, &pass);
    while (scan_continues(&options, &page, cursor));
    scan_page_reply(ctx, &page, cursor);
}
