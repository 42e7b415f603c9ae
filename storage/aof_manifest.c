#include "storage/aof_manifest.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>

#include "storage/base/assert.h"
#include "storage/base/memory.h"
#include "storage/base/num.h"
#include "storage/base/words.h"

enum {
    LINE_MAX_LEN = 1024,
    FILE_MAX_LEN = 16 * 1024 * 1024,
};
static const int64_t SEQ_MAX = INT64_MAX / 2; /* so that there is always a next number */

/* ---- Lists of files ---- */

static void parts_insert(struct aof_parts *list, size_t at, char *name, int64_t seq)
{
    list->parts = mem_realloc(list->parts, (list->count + 1) * sizeof(*list->parts));
    memmove(&list->parts[at + 1], &list->parts[at], (list->count - at) * sizeof(*list->parts));
    list->parts[at] = (struct aof_part){.name = name, .seq = seq};
    list->count++;
}

void aof_parts_release(struct aof_parts *list)
{
    for (size_t i = 0; i < list->count; i++) mem_free(list->parts[i].name);
    mem_free(list->parts);
    *list = (struct aof_parts){0};
}

void aof_parts_copy(const struct aof_parts *from, struct aof_parts *to)
{
    for (size_t i = 0; i < from->count; i++)
        parts_insert(to, to->count, mem_strdup(from->parts[i].name), from->parts[i].seq);
}

void aof_manifest_release(struct aof_manifest *m)
{
    mem_free(m->base.name);
    aof_parts_release(&m->incr);
    aof_parts_release(&m->history);
    *m = (struct aof_manifest){0};
}

void aof_manifest_copy(const struct aof_manifest *from, struct aof_manifest *to)
{
    *to = (struct aof_manifest){.base_seq = from->base_seq, .incr_seq = from->incr_seq};
    if (from->base.name != NULL) to->base = (struct aof_part){mem_strdup(from->base.name), from->base.seq};
    aof_parts_copy(&from->incr, &to->incr);
    aof_parts_copy(&from->history, &to->history);
}

static bool parts_have(const struct aof_parts *list, const char *name)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->parts[i].name, name) == 0) return true;
    return false;
}

bool aof_manifest_is_live(const struct aof_manifest *m, const char *name)
{
    return (m->base.name != NULL && strcmp(m->base.name, name) == 0) || parts_have(&m->incr, name);
}

bool aof_manifest_lists(const struct aof_manifest *m, const char *name)
{
    return aof_manifest_is_live(m, name) || parts_have(&m->history, name);
}

/* ---- Reading ---- */

static const char *const suffixes[] = {
    [AOF_PART_BASE_RDB] = ".base.rdb", [AOF_PART_BASE_COMMANDS] = ".base.aof", [AOF_PART_INCR] = ".incr.aof"};

static const char invalid_format[] = "Invalid AOF manifest file format";

struct line {
    const char *name, *type;
    int64_t seq;
};

/* NULL, or what is wrong. */
static const char *read_pairs(const struct word_list *w, struct line *out)
{
    if (w->count < 6 || w->count % 2 != 0) return invalid_format;
    for (size_t i = 0; i < w->count; i += 2) {
        struct bytes_view key = bytes_str(w->words[i]), value = bytes_str(w->words[i + 1]);
        if (bytes_equal_nocase(key, "file")) {
            out->name = w->words[i + 1];
        } else if (bytes_equal_nocase(key, "seq")) {
            if (!num_parse_i64(value, &out->seq)) return invalid_format;
        } else if (bytes_equal_nocase(key, "type")) {
            out->type = w->words[i + 1];
        }
    }
    if (out->name == NULL || out->type == NULL || out->seq <= 0 || out->seq > SEQ_MAX) return invalid_format;
    if (out->name[0] == '\0' || strchr(out->name, '/') != NULL) return "File can't be a path, just a filename";
    return NULL;
}

static const char *add_part(struct aof_manifest *m, const struct line *line)
{
    if (strcmp(line->type, "b") == 0) {
        if (m->base.name != NULL) return "Found duplicate base file information";
        m->base = (struct aof_part){mem_strdup(line->name), line->seq};
    } else if (strcmp(line->type, "h") == 0) {
        parts_insert(&m->history, m->history.count, mem_strdup(line->name), line->seq);
    } else if (strcmp(line->type, "i") == 0) {
        if (m->incr.count > 0 && line->seq <= m->incr.parts[m->incr.count - 1].seq)
            return "Found a non-monotonic sequence number";
        parts_insert(&m->incr, m->incr.count, mem_strdup(line->name), line->seq);
    } else {
        return "Unknown AOF file type";
    }
    return NULL;
}

static const char *read_line(struct aof_manifest *m, struct bytes_view text)
{
    struct word_list w;
    struct line line = {0};
    if (text.len > 0 && text.data[0] == '#') return NULL;
    if (words_split(text, &w) != 0) return invalid_format;
    const char *why = read_pairs(&w, &line);
    if (why == NULL) why = add_part(m, &line);
    words_release(&w);
    return why;
}

static int fail(struct aof_manifest_error *error, int line, struct bytes_view text, const char *why)
{
    *error = (struct aof_manifest_error){.line = line, .why = why};
    snprintf(error->text, sizeof(error->text), "%.*s", bytes_shown(text, 127), text.data);
    return -EINVAL;
}

static int read_lines(struct aof_manifest *m, struct bytes_view text, struct aof_manifest_error *error)
{
    if (text.len == 0) return fail(error, 0, text, "Found an empty AOF manifest");
    for (int number = 1; text.len > 0; number++) {
        const char *end = memchr(text.data, '\n', text.len);
        size_t len = end == NULL ? text.len : (size_t)(end - text.data);
        struct bytes_view line = bytes_view(text.data, len);
        if (end == NULL || len >= LINE_MAX_LEN)
            return fail(error, number, line, "The AOF manifest file contains too long line");
        const char *why = read_line(m, line);
        if (why != NULL) return fail(error, number, line, why);
        text = bytes_view(end + 1, text.len - len - 1);
    }
    return 0;
}

static bool has_suffix(const char *name, const char *suffix)
{
    size_t len = strlen(name), n = strlen(suffix);
    return len >= n && strcmp(name + len - n, suffix) == 0;
}

static void raise_seq(int64_t *seq, int64_t used)
{
    if (used > *seq) *seq = used;
}

/* The list does not say of which kind a history file was; its name does. */
static void count_seqs(struct aof_manifest *m)
{
    if (m->base.name != NULL) raise_seq(&m->base_seq, m->base.seq);
    for (size_t i = 0; i < m->incr.count; i++) raise_seq(&m->incr_seq, m->incr.parts[i].seq);
    for (size_t i = 0; i < m->history.count; i++) {
        const struct aof_part *part = &m->history.parts[i];
        raise_seq(has_suffix(part->name, suffixes[AOF_PART_INCR]) ? &m->incr_seq : &m->base_seq, part->seq);
    }
}

int aof_manifest_parse(struct bytes_view text, struct aof_manifest *out, struct aof_manifest_error *error)
{
    struct aof_manifest m = {0};
    int rc = read_lines(&m, text, error);
    count_seqs(&m);
    if (rc == 0)
        *out = m;
    else
        aof_manifest_release(&m);
    return rc;
}

/* ---- Writing ---- */

static void format_part(const struct aof_part *part, char type, struct bytes_buf *out)
{
    bytes_buf_append_view(out, BYTES_LIT("file "));
    word_append(out, part->name);
    bytes_buf_printf(out, " seq %" PRId64 " type %c\n", part->seq, type);
}

void aof_manifest_format(const struct aof_manifest *m, struct bytes_buf *out)
{
    if (m->base.name != NULL) format_part(&m->base, 'b', out);
    for (size_t i = 0; i < m->history.count; i++) format_part(&m->history.parts[i], 'h', out);
    for (size_t i = 0; i < m->incr.count; i++) format_part(&m->incr.parts[i], 'i', out);
}

/* ---- Changing ---- */

static char *part_name(const char *name, int64_t seq, enum aof_part_kind kind)
{
    struct bytes_buf text = {0};
    bytes_buf_printf(&text, "%s.%" PRId64 "%s", name, seq, suffixes[kind]);
    char *out = bytes_to_cstr(bytes_buf_view(&text));
    bytes_buf_release(&text);
    return out;
}

struct aof_part aof_manifest_next(const struct aof_manifest *m, const char *name, enum aof_part_kind kind)
{
    int64_t seq = (kind == AOF_PART_INCR ? m->incr_seq : m->base_seq) + 1;
    return (struct aof_part){part_name(name, seq, kind), seq};
}

void aof_part_renumber(struct aof_part *part, const char *name, enum aof_part_kind kind)
{
    mem_free(part->name);
    part->name = part_name(name, ++part->seq, kind);
}

void aof_part_release(struct aof_part *part)
{
    mem_free(part->name);
    *part = (struct aof_part){0};
}

void aof_manifest_add_history(struct aof_manifest *m, const struct aof_part *part)
{
    parts_insert(&m->history, 0, mem_strdup(part->name), part->seq);
}

static void retire_incr(struct aof_manifest *m, size_t keep)
{
    ASSERT(keep <= m->incr.count);
    size_t retired = m->incr.count - keep;
    for (size_t i = 0; i < retired; i++)
        parts_insert(&m->history, 0, m->incr.parts[i].name, m->incr.parts[i].seq); /* ownership of the name passes */
    if (keep > 0) memmove(m->incr.parts, m->incr.parts + retired, keep * sizeof(*m->incr.parts));
    m->incr.count = keep;
}

void aof_manifest_replace_base(struct aof_manifest *m, struct aof_part *part, size_t keep)
{
    if (m->base.name != NULL)
        parts_insert(&m->history, 0, m->base.name, m->base.seq); /* ownership of the name
                                                                                        * passes */
    m->base = *part;
    raise_seq(&m->base_seq, part->seq);
    *part = (struct aof_part){0};
    retire_incr(m, keep);
}

void aof_manifest_add_incr(struct aof_manifest *m, struct aof_part *part)
{
    parts_insert(&m->incr, m->incr.count, part->name, part->seq); /* ownership of the name passes */
    raise_seq(&m->incr_seq, part->seq);
    *part = (struct aof_part){0};
}

void aof_manifest_adopt_old(struct aof_manifest *m, const char *name)
{
    aof_manifest_release(m);
    m->base = (struct aof_part){mem_strdup(name), 1};
    m->base_seq = 1;
}

bool aof_manifest_is_upgrade(const struct aof_manifest *m, const char *name)
{
    return m->base.name != NULL && m->incr.count == 0 && strcmp(m->base.name, name) == 0;
}

void aof_manifest_forget_history(struct aof_manifest *m)
{
    aof_parts_release(&m->history);
    if (m->incr.count == 0) m->incr_seq = 0;
}

/* ---- The file ---- */

static int read_all(const struct sys *sys, int fd, struct bytes_buf *out)
{
    for (;;) {
        bytes_buf_reserve(out, 4096);
        ssize_t n = sys->read(sys->ctx, fd, out->data + out->len, 4096);
        if (n == -EINTR) continue;
        if (n <= 0) return (int)n;
        out->len += (size_t)n;
        if (out->len > FILE_MAX_LEN) return -EFBIG;
    }
}

int aof_manifest_load(const struct sys *sys, const char *path, struct aof_manifest *out,
                      struct aof_manifest_error *error)
{
    struct bytes_buf text = {0};
    int fd = sys->open(sys->ctx, path, O_RDONLY, 0);
    if (fd < 0) return fd;
    int rc = read_all(sys, fd, &text);
    (void)sys->close(sys->ctx, fd); /* opened for reading only */
    if (rc == 0) rc = aof_manifest_parse(bytes_buf_view(&text), out, error);
    bytes_buf_release(&text);
    return rc;
}

static int write_synced(const struct sys *sys, const char *path, struct bytes_view text)
{
    int fd = sys->open(sys->ctx, path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (fd < 0) return fd;
    int rc = sys_write_all(sys, fd, text.data, text.len);
    if (rc == 0) rc = sys->fsync(sys->ctx, fd);
    int closed = sys->close(sys->ctx, fd);
    return rc != 0 ? rc : closed;
}

int aof_manifest_store(const struct sys *sys, const char *path, const char *temp, const struct aof_manifest *m,
                       bool *renamed)
{
    struct bytes_buf text = {0};
    *renamed = false;
    aof_manifest_format(m, &text);
    int rc = write_synced(sys, temp, bytes_buf_view(&text));
    bytes_buf_release(&text);
    if (rc == 0) rc = sys->rename(sys->ctx, temp, path);
    *renamed = rc == 0;
    if (rc == 0) return sys->fsync_dir(sys->ctx, path);
    (void)sys->unlink(sys->ctx, temp); /* report the first error */
    return rc;
}
