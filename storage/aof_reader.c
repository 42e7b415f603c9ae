#include "storage/aof_reader.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "storage/base/assert.h"
#include "storage/base/memory.h"
#include "storage/base/num.h"

enum {
    ANNOTATION_MAX = 1024,
    HEADER_MAX = 32, /* of a line with a number */
    PLACE_ID_LEN = 40,
};

void aof_reader_release(struct aof_reader *r)
{
    mem_free(r->args);
    mem_free(r->argv);
    *r = (struct aof_reader){0};
}

const char *aof_reader_error(const struct aof_reader *r)
{
    return r->error;
}

static enum aof_status PRINTF(2, 3) fail(struct aof_reader *r, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(r->error, sizeof(r->error), fmt, ap);
    va_end(ap);
    return AOF_ERROR;
}

/* ---- Pieces: each parses from r->scanned on ---- */

enum piece { PIECE_MORE, PIECE_DONE, PIECE_BAD };

/* Parses "<prefix><number>\r\n". */
static enum piece take_number(struct aof_reader *r, struct bytes_view in, char prefix, int64_t *out)
{
    const char *at = in.data + r->scanned;
    size_t left = in.len - r->scanned, window = left < HEADER_MAX ? left : HEADER_MAX;
    if (left == 0) return PIECE_MORE;
    if (*at != prefix) {
        (void)fail(r, "Expected prefix '%c', got: '%c'", prefix, *at >= ' ' && *at <= '~' ? *at : '?');
        return PIECE_BAD;
    }
    const char *end = memchr(at, '\n', window);
    if (end == NULL && left < HEADER_MAX) return PIECE_MORE;
    if (end == NULL || end - at < 3 || end[-1] != '\r' ||
        !num_parse_i64(bytes_view(at + 1, (size_t)(end - at) - 2), out)) {
        (void)fail(r, "Expected a number behind '%c'", prefix);
        return PIECE_BAD;
    }
    r->scanned += (size_t)(end - at) + 1;
    r->lines++;
    return PIECE_DONE;
}

static void add_arg(struct aof_reader *r, size_t at, size_t len)
{
    if (r->argc == r->cap) {
        r->cap = r->cap == 0 ? 16 : r->cap * 2;
        r->args = mem_realloc(r->args, r->cap * sizeof(*r->args));
        r->argv = mem_realloc(r->argv, r->cap * sizeof(*r->argv));
    }
    r->args[r->argc++] = (struct aof_arg){.at = at, .len = len};
}

static enum piece take_bulk_bytes(struct aof_reader *r, struct bytes_view in)
{
    size_t left = in.len - r->scanned;
    if (left < 2 || left - 2 < r->bulk_len) return PIECE_MORE;
    const char *end = in.data + r->scanned + r->bulk_len;
    if (end[0] != '\r' || end[1] != '\n') {
        (void)fail(r, "Expected \\r\\n, got: %02x%02x", (unsigned char)end[0], (unsigned char)end[1]);
        return PIECE_BAD;
    }
    add_arg(r, r->scanned, r->bulk_len);
    r->scanned += r->bulk_len + 2;
    r->in_bulk = false;
    r->lines++;
    return PIECE_DONE;
}

static enum piece take_arg(struct aof_reader *r, struct bytes_view in)
{
    int64_t len;
    if (!r->in_bulk) {
        enum piece piece = take_number(r, in, '$', &len);
        if (piece != PIECE_DONE) return piece;
        if (len < 0 || len > INT64_MAX / 4) {
            (void)fail(r, "Not the length of a string: %" PRId64, len);
            return PIECE_BAD;
        }
        r->bulk_len = (size_t)len;
        r->in_bulk = true;
    }
    return take_bulk_bytes(r, in);
}

static enum piece take_command(struct aof_reader *r, struct bytes_view in)
{
    if (!r->in_command) {
        enum piece piece = take_number(r, in, '*', &r->args_due);
        if (piece != PIECE_DONE) return piece;
        if (r->args_due < 1 || r->args_due > INT32_MAX) {
            (void)fail(r, "Not a number of arguments: %" PRId64, r->args_due);
            return PIECE_BAD;
        }
        r->in_command = true;
        r->argc = 0;
    }
    while ((int64_t)r->argc < r->args_due) {
        enum piece piece = take_arg(r, in);
        if (piece != PIECE_DONE) return piece;
    }
    return PIECE_DONE;
}

static enum aof_status take_annotation(struct aof_reader *r, struct bytes_view in, struct aof_item *item)
{
    const char *end = memchr(in.data, '\n', in.len < ANNOTATION_MAX ? in.len : ANNOTATION_MAX);
    if (end == NULL) return in.len < ANNOTATION_MAX ? AOF_MORE : fail(r, "An annotation without an end");
    size_t len = (size_t)(end - in.data);
    item->len = len + 1;
    item->line = bytes_view(in.data, len > 0 && end[-1] == '\r' ? len - 1 : len);
    r->lines++;
    return AOF_ANNOTATION;
}

static void finish_command(struct aof_reader *r, struct bytes_view in, struct aof_item *item)
{
    for (size_t i = 0; i < r->argc; i++) r->argv[i] = bytes_view(in.data + r->args[i].at, r->args[i].len);
    *item = (struct aof_item){.argc = (int)r->argc, .argv = r->argv, .len = r->scanned};
    r->scanned = 0;
    r->in_command = r->in_bulk = false;
}

enum aof_status aof_reader_next(struct aof_reader *r, struct bytes_view in, struct aof_item *item)
{
    *item = (struct aof_item){0};
    ASSERT(in.len >= r->scanned);
    if (in.len == 0) return AOF_MORE;
    if (r->scanned == 0 && in.data[0] == '#') return take_annotation(r, in, item);
    switch (take_command(r, in)) {
    case PIECE_MORE: return AOF_MORE;
    case PIECE_BAD: return AOF_ERROR;
    case PIECE_DONE: finish_command(r, in, item); return AOF_COMMAND;
    }
    UNREACHABLE();
}

/* ---- Annotations ---- */

static bool strip_prefix(struct bytes_view *line, struct bytes_view prefix)
{
    if (line->len < prefix.len || memcmp(line->data, prefix.data, prefix.len) != 0) return false;
    *line = bytes_view(line->data + prefix.len, line->len - prefix.len);
    return true;
}

int64_t aof_annotation_time(struct bytes_view line)
{
    int64_t seconds;
    if (!strip_prefix(&line, BYTES_LIT("#TS:"))) return -1;
    return num_parse_i64(line, &seconds) && seconds >= 0 ? seconds : -1;
}

static bool is_id(struct bytes_view text)
{
    for (size_t i = 0; i < text.len; i++)
        if (strchr("0123456789abcdef", text.data[i]) == NULL || text.data[i] == '\0') return false;
    return text.len == PLACE_ID_LEN;
}

bool aof_annotation_place(struct bytes_view line, struct aof_place *out)
{
    uint64_t offset;
    int64_t db;
    if (!strip_prefix(&line, BYTES_LIT("#REPL:"))) return false;
    if (line.len < PLACE_ID_LEN + 2 || line.data[PLACE_ID_LEN] != ':') return false;
    struct bytes_view id = bytes_view(line.data, PLACE_ID_LEN);
    struct bytes_view rest = bytes_view(line.data + PLACE_ID_LEN + 1, line.len - PLACE_ID_LEN - 1);
    const char *colon = memchr(rest.data, ':', rest.len);
    if (colon == NULL || !is_id(id)) return false;
    size_t offset_len = (size_t)(colon - rest.data);
    if (!num_parse_u64(bytes_view(rest.data, offset_len), &offset) ||
        !num_parse_i64(bytes_view(colon + 1, rest.len - offset_len - 1), &db) || db < 0 || db > INT32_MAX)
        return false;
    *out = (struct aof_place){.offset = offset, .db = (int)db};
    memcpy(out->id, id.data, id.len);
    return true;
}

void aof_place_format(const struct aof_place *place, struct bytes_buf *out)
{
    char line[sizeof("#REPL:") + sizeof(place->id) + NUM_U64_MAX_CHARS + NUM_I64_MAX_CHARS + 4];
    char *at = stpcpy(stpcpy(line, "#REPL:"), place->id);
    *at++ = ':';
    at += num_format_u64(at, place->offset);
    *at++ = ':';
    at += num_format_i64(at, place->db);
    at = stpcpy(at, "\r\n");
    bytes_buf_append(out, line, (size_t)(at - line));
}
