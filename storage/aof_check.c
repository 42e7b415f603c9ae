#include "storage/aof_check.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "storage/aof_manifest.h"
#include "storage/aof_sum.h"
#include "storage/base/line_out.h"
#include "storage/rdb_check.h"

enum { READ_CHUNK = 256 * 1024, PROMPT_MAX = 2048, NAME_SHOWN = 256 };

enum part_kind { PART_OLD /* a single file without a manifest */, PART_BASE, PART_INCR };

/* The result for one file. */
enum verdict { VERDICT_GOOD, VERDICT_EMPTY, VERDICT_TRUNCATED, VERDICT_BAD };

struct checker {
    const struct sys *sys;
    const struct aof_check_options *options;
    struct aof_check_output out;
    struct line_out lines; /* to out.line */
};

/* A file being read. buf: [ an unfinished transaction | not yet parsed ]; its first byte is at position `start`. */
struct part {
    enum part_kind kind;
    const char *path;
    char name[NAME_SHOWN * 4 + 1]; /* escaped for output */
    bool is_last;
    int fd;
    uint64_t size, start;
    size_t unit, taken; /* offsets in buf: end of the last whole unit, end of the last item */
    bool in_multi, format_error;
    struct bytes_buf buf;
    struct aof_reader reader;
    struct aof_sum *sum; /* of the bytes since the last #SUM; in buf up to `summed` */
    size_t summed;
    uint64_t noted; /* position behind the last right note */
    bool bad_sum;
    char problem[256]; /* "": none */
};

/* ---- Output ---- */

static void show_name(char *out, const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash != NULL ? slash + 1 : path;
    for (size_t i = 0; i < NAME_SHOWN && name[i] != '\0'; i++)
        out += isprint((unsigned char)name[i]) ? sprintf(out, "%c", name[i])
                                               : sprintf(out, "\\x%02x", (unsigned char)name[i]);
    *out = '\0';
}

static const char *kind_prefix(enum part_kind kind)
{
    switch (kind) {
    case PART_OLD: return "";
    case PART_BASE: return "BASE ";
    case PART_INCR: return "INCR ";
    }
    return "";
}

static uint64_t good_end(const struct part *p)
{
    return p->bad_sum ? p->noted : p->start + p->unit;
}

static void say_analyzed(const struct checker *c, const struct part *p)
{
    line_out_say(&c->lines,
                 "AOF analyzed: filename=%s, size=%" PRIu64 ", ok_up_to=%" PRIu64 ", ok_up_to_line=%" PRIu64
                 ", diff=%" PRIu64,
                 p->name, p->size, good_end(p), p->reader.lines + 1, p->size - good_end(p));
}

static void PRINTF(3, 4) set_problem(struct part *p, uint64_t at, const char *fmt, ...)
{
    va_list ap;
    int n = snprintf(p->problem, sizeof(p->problem), "0x%16" PRIx64 ": ", at);
    va_start(ap, fmt);
    vsnprintf(p->problem + n, sizeof(p->problem) - (size_t)n, fmt, ap);
    va_end(ap);
}

/* ---- Reading ---- */

static void sum_up_to(struct part *p, size_t at)
{
    if (at <= p->summed) return;
    aof_sum_add(p->sum, bytes_view(p->buf.data + p->summed, at - p->summed));
    p->summed = at;
}

/* 1; 0 at the end; -errno. */
static int read_more(const struct checker *c, struct part *p)
{
    ssize_t n;
    sum_up_to(p, p->unit);
    p->summed -= p->unit;
    if (p->unit > 0) memmove(p->buf.data, p->buf.data + p->unit, p->buf.len - p->unit);
    p->buf.len -= p->unit;
    p->start += p->unit;
    p->taken -= p->unit;
    p->unit = 0;
    bytes_buf_reserve(&p->buf, READ_CHUNK);
    do n = c->sys->read(c->sys->ctx, p->fd, p->buf.data + p->buf.len, READ_CHUNK);
    while (n == -EINTR);
    if (n < 0) return (int)n;
    p->buf.len += (size_t)n;
    return n > 0;
}

static bool is_word(const struct aof_item *item, const char *word)
{
    return item->argc == 1 && bytes_equal_nocase(item->argv[0], word);
}

/* False: MULTI or EXEC is out of place. */
static bool take_command(struct part *p, const struct aof_item *item)
{
    bool multi = is_word(item, "multi"), exec = is_word(item, "exec");
    if ((multi && p->in_multi) || (exec && !p->in_multi)) {
        set_problem(p, p->start + p->taken, "Unexpected %s in AOF %s", multi ? "MULTI" : "EXEC", p->name);
        return false;
    }
    if (multi) p->in_multi = true;
    if (exec) p->in_multi = false;
    p->taken += item->len;
    if (!p->in_multi) p->unit = p->taken;
    return true;
}

/* False: the note proves that bytes before it differ from what was written. */
static bool take_note(struct part *p, const struct aof_item *item)
{
    struct aof_note note;
    size_t end = p->taken + item->len;
    sum_up_to(p, p->taken);
    aof_sum_judge(p->sum, item->line, &note);
    p->bad_sum = note.kind != AOF_NOTE_OTHER && !note.right;
    if (p->bad_sum)
        set_problem(p, p->start + p->taken, "Checksum does not match the bytes from 0x%" PRIx64 " on", p->noted);
    if (note.kind == AOF_NOTE_OTHER || p->bad_sum) return !p->bad_sum;
    p->noted = p->start + end;
    if (note.kind == AOF_NOTE_PLACE) return true;
    aof_sum_reset(p->sum, note.sum.sum);
    p->summed = end;
    return true;
}

/* ---- Truncating ---- */

static int cut(const struct checker *c, const struct part *p, uint64_t size)
{
    int fd = c->sys->open(c->sys->ctx, p->path, O_WRONLY, 0), rc = fd;
    if (fd >= 0) {
        rc = c->sys->truncate(c->sys->ctx, fd, (int64_t)size);
        if (rc == 0) rc = c->sys->fsync(c->sys->ctx, fd);
        (void)c->sys->close(c->sys->ctx, fd); /* synced, or the sync failed */
    }
    if (rc < 0) line_out_say(&c->lines, "Failed to truncate AOF %s: %s", p->name, strerror(-rc));
    return rc < 0 ? rc : 0;
}

/* Everything behind the current unit is younger than the given time. */
static enum verdict cut_at_time(const struct checker *c, const struct part *p)
{
    uint64_t at = p->start + p->unit;
    int64_t to = c->options->truncate_to;
    if (at == 0) {
        line_out_say(&c->lines, "AOF %s has nothing before timestamp %" PRId64 ", aborting...", p->name, to);
        return VERDICT_BAD;
    }
    if (!p->is_last) {
        line_out_say(&c->lines,
                     "Failed to truncate AOF %s to timestamp %" PRId64 " to offset %" PRIu64
                     " because it is not the last file.",
                     p->name, to, at);
        return VERDICT_BAD;
    }
    if (cut(c, p, at) != 0) return VERDICT_BAD;
    line_out_say(&c->lines, "Successfully truncated AOF %s to timestamp %" PRId64, p->name, to);
    return VERDICT_TRUNCATED;
}

static enum verdict fix(const struct checker *c, const struct part *p)
{
    char prompt[PROMPT_MAX];
    if (!c->options->fix) {
        line_out_say(&c->lines, "AOF %s is not valid. Use the --fix option to try fixing it.", p->name);
        return VERDICT_BAD;
    }
    if (!p->is_last) {
        line_out_say(&c->lines, "Failed to truncate AOF %s because it is not the last file", p->name);
        return VERDICT_BAD;
    }
    snprintf(prompt, sizeof(prompt),
             "This will shrink the AOF %s from %" PRIu64 " bytes, with %" PRIu64 " bytes, to %" PRIu64 " bytes\n"
             "Continue? [y/N]: ",
             p->name, p->size, p->size - good_end(p), good_end(p));
    if (!c->out.confirm(c->out.ctx, prompt)) {
        line_out_say(&c->lines, "Aborting...");
        return VERDICT_BAD;
    }
    if (cut(c, p, good_end(p)) != 0) return VERDICT_BAD;
    line_out_say(&c->lines, "Successfully truncated AOF %s", p->name);
    return VERDICT_TRUNCATED;
}

/* ---- One file ---- */

/* Returns true if more bytes are needed. Sets *verdict only if the file was truncated at a time, which ends the
 * check. */
static bool take_items(const struct checker *c, struct part *p, enum verdict *verdict)
{
    struct aof_item item;
    for (;;) {
        struct bytes_view rest = bytes_view(p->buf.data + p->taken, p->buf.len - p->taken);
        switch (aof_reader_next(&p->reader, rest, &item)) {
        case AOF_MORE: return true;
        case AOF_ERROR:
            p->format_error = p->reader.scanned == 0;
            set_problem(p, p->start + p->taken + p->reader.scanned, "%s", aof_reader_error(&p->reader));
            return false;
        case AOF_ANNOTATION:
            if (c->options->truncate_to >= 0 && aof_annotation_time(item.line) > c->options->truncate_to) {
                *verdict = cut_at_time(c, p);
                return false;
            }
            if (!take_note(p, &item)) return false;
            p->taken += item.len;
            if (!p->in_multi) p->unit = p->taken;
            break;
        case AOF_COMMAND:
            if (!take_command(p, &item)) return false;
            break;
        }
    }
}

static void note_end(struct part *p)
{
    uint64_t at = p->start + p->taken;
    if (p->buf.len > p->taken)
        set_problem(p, p->start + p->buf.len, "Reached EOF in the middle of the command at 0x%" PRIx64, at);
    else if (p->in_multi)
        set_problem(p, at, "Reached EOF before reading EXEC for MULTI");
}

static enum verdict judge(const struct checker *c, const struct part *p)
{
    if (c->options->truncate_to >= 0)
        line_out_say(&c->lines, "Truncate nothing in AOF %s to timestamp %" PRId64, p->name, c->options->truncate_to);
    if (p->format_error)
        line_out_say(&c->lines, "AOF %s format error", p->name);
    else if (p->problem[0] != '\0')
        line_out_say(&c->lines, "%s", p->problem);
    if (c->options->truncate_to < 0 || p->problem[0] != '\0') say_analyzed(c, p);
    if (p->problem[0] != '\0') return fix(c, p);
    line_out_say(&c->lines, "%sAOF %s is valid", kind_prefix(p->kind), p->name);
    return VERDICT_GOOD;
}

static enum verdict check_commands(const struct checker *c, struct part *p)
{
    enum verdict verdict = VERDICT_GOOD;
    int rc = 1;
    while (rc == 1 && take_items(c, p, &verdict)) rc = read_more(c, p);
    if (verdict != VERDICT_GOOD) return verdict;
    if (rc < 0) {
        line_out_say(&c->lines, "Cannot read file %s: %s", p->path, strerror(-rc));
        return VERDICT_BAD;
    }
    if (rc == 0) note_end(p);
    return judge(c, p);
}

static void say_rdb_line(void *ctx, const char *text)
{
    const struct checker *c = ctx;
    c->out.line(c->out.ctx, text);
}

/* Checks the RDB at the beginning of the file and leaves the bytes behind it in buf. 0, or negative after a message. */
static int check_preamble(struct checker *c, struct part *p)
{
    struct rdb_check_output out = {.ctx = c, .line = say_rdb_line, .has_tail = true};
    struct rdb_check *rdb = rdb_check_new(c->sys, &out);
    int rc = 1;
    line_out_say(&c->lines, "[offset 0] Checking RDB file %s", p->name);
    while (rc == 1) {
        bool more = rdb_check_feed(rdb, bytes_buf_view(&p->buf));
        p->taken = p->unit = p->buf.len - (more ? 0 : rdb_check_tail(rdb));
        if (!more) break;
        rc = read_more(c, p);
    }
    bool good = rdb_check_finish(rdb);
    rdb_check_free(rdb);
    if (good) {
        line_out_say(&c->lines, "RDB preamble is OK, proceeding with AOF tail...");
        return 0;
    }
    line_out_say(&c->lines, "RDB preamble of AOF file is not sane, aborting.");
    return -EINVAL;
}

static enum verdict check_open(struct checker *c, struct part *p)
{
    int rc;
    do rc = read_more(c, p);
    while (rc == 1 && p->buf.len < 5);
    if (rc < 0) {
        line_out_say(&c->lines, "Cannot read file %s: %s", p->path, strerror(-rc));
        return VERDICT_BAD;
    }
    if (p->buf.len == 0) {
        line_out_say(&c->lines, "%sAOF %s is empty", kind_prefix(p->kind), p->name);
        return VERDICT_EMPTY;
    }
    bool rdb = p->buf.len >= 5 && memcmp(p->buf.data, "REDIS", 5) == 0;
    if (p->kind == PART_BASE) line_out_say(&c->lines, "Start to check BASE AOF (%s format).", rdb ? "RDB" : "RESP");
    if (rdb && check_preamble(c, p) != 0) return VERDICT_BAD;
    return check_commands(c, p);
}

static enum verdict check_part(struct checker *c, enum part_kind kind, const char *path, bool is_last)
{
    struct part p = {.kind = kind, .path = path, .is_last = is_last};
    int64_t size = c->sys->file_size(c->sys->ctx, path);
    show_name(p.name, path);
    p.size = size > 0 ? (uint64_t)size : 0;
    p.fd = c->sys->open(c->sys->ctx, path, O_RDONLY, 0);
    if (p.fd < 0) {
        line_out_say(&c->lines, "Cannot open file %s: %s", path, strerror(-p.fd));
        return VERDICT_BAD;
    }
    p.sum = aof_sum_new();
    enum verdict verdict = check_open(c, &p);
    aof_sum_free(p.sum);
    (void)c->sys->close(c->sys->ctx, p.fd); /* opened for reading only */
    bytes_buf_release(&p.buf);
    aof_reader_release(&p.reader);
    return verdict;
}

/* ---- All files of a manifest ---- */

static enum verdict check_listed(struct checker *c, enum part_kind kind, const char *manifest, const char *name,
                                 bool is_last)
{
    const char *slash = strrchr(manifest, '/');
    int dir = slash != NULL ? (int)(slash - manifest) + 1 : 0;
    struct bytes_buf path = {0};
    bytes_buf_printf(&path, "%.*s%s%c", dir, manifest, name, '\0');
    enum verdict verdict = check_part(c, kind, path.data, is_last);
    bytes_buf_release(&path);
    return verdict;
}

static int check_listed_all(struct checker *c, const char *path, const struct aof_manifest *m)
{
    enum verdict verdict = VERDICT_GOOD;
    if (m->base.name != NULL) verdict = check_listed(c, PART_BASE, path, m->base.name, m->incr.count == 0);
    if (m->incr.count > 0 && verdict < VERDICT_TRUNCATED) line_out_say(&c->lines, "Start to check INCR files.");
    for (size_t i = 0; i < m->incr.count && verdict < VERDICT_TRUNCATED; i++)
        verdict = check_listed(c, PART_INCR, path, m->incr.parts[i].name, i + 1 == m->incr.count);
    if (verdict < VERDICT_TRUNCATED) line_out_say(&c->lines, "All AOF files and manifest are valid");
    return verdict == VERDICT_BAD;
}

static int check_manifest(struct checker *c, const char *path)
{
    struct aof_manifest m = {0};
    struct aof_manifest_error error;
    line_out_say(&c->lines, "Start checking Multi Part AOF");
    int rc = aof_manifest_load(c->sys, path, &m, &error);
    if (rc == 0) {
        rc = check_listed_all(c, path, &m);
        aof_manifest_release(&m);
        return rc;
    }
    line_out_say(&c->lines, "*** FATAL AOF MANIFEST FILE ERROR ***");
    if (rc == -EINVAL) line_out_say(&c->lines, "Reading the manifest file, at line %d: %s", error.line, error.why);
    if (rc != -EINVAL) line_out_say(&c->lines, "Cannot read file %s: %s", path, strerror(-rc));
    return 1;
}

/* 1, 0, or -errno. */
static int is_manifest(const struct checker *c, const char *path)
{
    char head[5];
    int fd = c->sys->open(c->sys->ctx, path, O_RDONLY, 0);
    if (fd < 0) return fd;
    ssize_t n = c->sys->read(c->sys->ctx, fd, head, sizeof(head));
    (void)c->sys->close(c->sys->ctx, fd); /* opened for reading only */
    if (n < 0) return (int)n;
    return n == sizeof(head) && memcmp(head, "file ", 5) == 0;
}

int aof_check(const struct sys *sys, const char *path, const struct aof_check_options *options,
              const struct aof_check_output *out)
{
    struct checker c = {.sys = sys, .options = options, .out = *out, .lines = {out->ctx, out->line}};
    int rc = is_manifest(&c, path);
    if (rc < 0) {
        line_out_say(&c.lines, "Cannot open file %s: %s", path, strerror(-rc));
        return 1;
    }
    if (rc == 1) return check_manifest(&c, path);
    line_out_say(&c.lines, "Start checking Old-Style AOF");
    return check_part(&c, PART_OLD, path, true) == VERDICT_BAD;
}
