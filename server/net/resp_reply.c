/* resp_reply.c -- see resp_reply.h. */
#include "server/net/resp_reply.h"

#include "storage/base/assert.h"
#include "storage/base/memory.h"
#include "storage/base/num.h"

enum { READ_SIZE = 16 * 1024 };

static const char text_syntax[] = "not a reply of RESP";
static const char text_large[] = "the reply is too large";
static const char text_deep[] = "the reply is nested too deeply";

void resp_reply_init(struct resp_reply_reader *r)
{
    *r = (struct resp_reply_reader){.failure = NULL};
}

void resp_reply_release(struct resp_reply_reader *r)
{
    bytes_buf_release(&r->buf);
    mem_free(r->tree);
    resp_reply_init(r);
}

void resp_reply_reset(struct resp_reply_reader *r)
{
    resp_reply_release(r);
}

/* ---- bytes ---- */

static void drop_given_out(struct resp_reply_reader *r)
{
    if (r->start == 0) return;
    memmove(r->buf.data, r->buf.data + r->start, r->buf.len - r->start);
    r->buf.len -= r->start;
    r->scanned -= r->start;
    r->line = r->line > r->start ? r->line - r->start : 0;
    r->start = 0;
}

void resp_reply_space(struct resp_reply_reader *r, char **ptr, size_t *len)
{
    drop_given_out(r);
    bytes_buf_reserve(&r->buf, READ_SIZE);
    *ptr = r->buf.data + r->buf.len;
    *len = READ_SIZE;
}

void resp_reply_added(struct resp_reply_reader *r, size_t n)
{
    ASSERT(n <= r->buf.cap - r->buf.len);
    r->buf.len += n;
}

void resp_reply_feed(struct resp_reply_reader *r, struct bytes_view bytes)
{
    drop_given_out(r);
    bytes_buf_append_view(&r->buf, bytes);
}

/* ---- scan ---- */

enum step { STEP_VALUE, STEP_MORE, STEP_FAILED };

static enum step fail(struct resp_reply_reader *r, const char *why)
{
    r->failure = why;
    return STEP_FAILED;
}

/* The line that begins at r->scanned, without its first byte and its end. */
static enum step find_line(struct resp_reply_reader *r, struct bytes_view *line)
{
    if (r->line < r->scanned) r->line = r->scanned;
    const char *from = r->buf.data + r->line;
    const char *end = memchr(from, '\n', r->buf.len - r->line);
    if (end == NULL) {
        r->line = r->buf.len;
        return STEP_MORE;
    }
    const char *begin = r->buf.data + r->scanned;
    if (end - begin < 2 || end[-1] != '\r') return fail(r, text_syntax);
    *line = bytes_view(begin + 1, (size_t)(end - begin) - 2);
    if (memchr(line->data, '\r', line->len) != NULL) return fail(r, text_syntax);
    return STEP_VALUE;
}

static size_t after_line(const struct resp_reply_reader *r, struct bytes_view line)
{
    return (size_t)(line.data - r->buf.data) + line.len + 2;
}

/* A length in a header. -1 is a null, in RESP2. */
static enum step take_length(struct resp_reply_reader *r, struct bytes_view line, int64_t *length)
{
    if (!num_parse_i64(line, length) || *length < -1) return fail(r, text_syntax);
    if (*length > RESP_REPLY_MAX) return fail(r, text_large);
    return STEP_VALUE;
}

static enum step scan_bulk(struct resp_reply_reader *r, struct bytes_view line)
{
    int64_t length = 0;
    if (take_length(r, line, &length) == STEP_FAILED) return STEP_FAILED;
    size_t body = after_line(r, line), size = length < 0 ? 0 : (size_t)length + 2;
    if (r->buf.len - body < size) return STEP_MORE;
    if (size > 0 && memcmp(r->buf.data + body + length, "\r\n", 2) != 0) return fail(r, text_syntax);
    r->scanned = body + size;
    return STEP_VALUE;
}

static enum step scan_aggregate(struct resp_reply_reader *r, struct bytes_view line, unsigned each)
{
    int64_t length = 0;
    if (take_length(r, line, &length) == STEP_FAILED) return STEP_FAILED;
    r->scanned = after_line(r, line);
    if (length <= 0) return STEP_VALUE;
    if (r->depth == RESP_REPLY_DEPTH_MAX) return fail(r, text_deep);
    r->levels[r->depth++].left = (uint64_t)length * each;
    return STEP_VALUE;
}

static enum step scan_line(struct resp_reply_reader *r, char type, struct bytes_view line)
{
    int64_t number;
    if (type == ':' && !num_parse_i64(line, &number)) return fail(r, text_syntax);
    if (type == '#' && !bytes_equal(line, BYTES_LIT("t")) && !bytes_equal(line, BYTES_LIT("f")))
        return fail(r, text_syntax);
    if (type == '_' && line.len != 0) return fail(r, text_syntax);
    r->scanned = after_line(r, line);
    return STEP_VALUE;
}

/* Scans one value, or the header of an aggregate, at r->scanned. */
static enum step scan_value(struct resp_reply_reader *r)
{
    struct bytes_view line;
    if (r->buf.len == r->scanned) return STEP_MORE;
    char type = r->buf.data[r->scanned];
    if (type == '\0' || strchr("+-:$*_#,(!=%~>", type) == NULL) return fail(r, text_syntax);
    enum step found = find_line(r, &line);
    if (found != STEP_VALUE) return found;
    switch (type) {
    case '$':
    case '!':
    case '=': return scan_bulk(r, line);
    case '*':
    case '~':
    case '>': return scan_aggregate(r, line, 1);
    case '%': return scan_aggregate(r, line, 2);
    default: return scan_line(r, type, line);
    }
}

/* Counts a value that was scanned, and closes the aggregates that end with it. A header that has just opened one counts
 * as a value of the aggregate around it. */
static void count_value(struct resp_reply_reader *r, unsigned depth_before)
{
    r->values++;
    if (depth_before > 0) r->levels[depth_before - 1].left--;
    while (r->depth > 0 && r->levels[r->depth - 1].left == 0) r->depth--;
}

static enum step scan(struct resp_reply_reader *r)
{
    do {
        unsigned depth_before = r->depth;
        enum step step = scan_value(r);
        if (step == STEP_FAILED) return step;
        if (r->values >= RESP_REPLY_VALUES_MAX) return fail(r, text_large);
        size_t size = (step == STEP_MORE ? r->buf.len : r->scanned) - r->start;
        if (size > RESP_REPLY_MAX) return fail(r, text_large);
        if (step == STEP_MORE) return step;
        count_value(r, depth_before);
    } while (r->depth > 0);
    return STEP_VALUE;
}

/* ---- build ---- */

struct builder {
    const char *at, *end;    /* end: of the reply */
    struct resp_reply *next; /* free ones of the tree */
};

static struct bytes_view take_line(struct builder *b)
{
    const char *end = memchr(b->at, '\n', (size_t)(b->end - b->at)); /* the scan has found it */
    struct bytes_view line = bytes_view(b->at + 1, (size_t)(end - b->at) - 2);
    b->at = end + 1;
    return line;
}

static void build_bulk(struct builder *b, struct resp_reply *out, char type, int64_t length)
{
    if (length < 0) {
        out->kind = RESP_REPLY_NULL;
        return;
    }
    out->kind = type == '!' ? RESP_REPLY_ERROR : RESP_REPLY_BULK;
    out->text = bytes_view(b->at, (size_t)length);
    b->at += length + 2;
}

static void build_values(struct builder *b, struct resp_reply *out, size_t count, unsigned depth);

static void build_value(struct builder *b, struct resp_reply *out, unsigned depth)
{
    char type = *b->at;
    struct bytes_view line = take_line(b);
    int64_t number = 0;
    (void)num_parse_i64(line, &number); /* the scan has parsed those that have to be numbers */
    *out = (struct resp_reply){.kind = RESP_REPLY_BULK, .text = line};
    switch (type) {
    case '+': out->kind = RESP_REPLY_STATUS; return;
    case '-': out->kind = RESP_REPLY_ERROR; return;
    case ',': out->kind = RESP_REPLY_DOUBLE; return;
    case '_': out->kind = RESP_REPLY_NULL; return;
    case '(': return;
    case ':':
        out->kind = RESP_REPLY_INT;
        out->integer = number;
        return;
    case '#':
        out->kind = RESP_REPLY_BOOL;
        out->integer = line.data[0] == 't';
        return;
    case '$':
    case '!':
    case '=': build_bulk(b, out, type, number); return;
    default: break;
    }
    out->kind = number < 0 ? RESP_REPLY_NULL : RESP_REPLY_ARRAY;
    if (number > 0) build_values(b, out, (size_t)number * (type == '%' ? 2 : 1), depth + 1);
}

/* Depth is bounded by the scan. The values of one aggregate stand side by side. */
static void build_values(struct builder *b, struct resp_reply *out, size_t count, unsigned depth)
{
    struct resp_reply *values = b->next;
    ASSERT(depth <= RESP_REPLY_DEPTH_MAX);
    b->next += count;
    for (size_t i = 0; i < count; i++) build_value(b, &values[i], depth);
    out->values = values;
    out->count = count;
}

static const struct resp_reply *build(struct resp_reply_reader *r)
{
    if (r->tree_size < r->values) {
        r->tree_size = r->values;
        mem_free(r->tree);
        r->tree = mem_alloc(r->tree_size * sizeof(*r->tree));
    }
    struct builder b = {.at = r->buf.data + r->start, .end = r->buf.data + r->scanned, .next = r->tree + 1};
    build_value(&b, &r->tree[0], 0);
    ASSERT(b.at == b.end);
    ASSERT(b.next == r->tree + r->values);
    return &r->tree[0];
}

enum resp_reply_status resp_reply_next(struct resp_reply_reader *r, const struct resp_reply **out)
{
    if (r->failure != NULL) return RESP_REPLY_FAILED;
    enum step step = scan(r);
    if (step == STEP_FAILED) return RESP_REPLY_FAILED;
    if (step == STEP_MORE) return RESP_REPLY_MORE;
    *out = build(r);
    r->start = r->scanned;
    r->values = 0;
    return RESP_REPLY_READY;
}

const char *resp_reply_failure(const struct resp_reply_reader *r)
{
    return r->failure;
}
