#include "storage/aof_sum.h"

#include <errno.h>
#include <fcntl.h>
#define XXH_STATIC_LINKING_ONLY /* for the state as a complete type */
#include <xxhash.h>

#include "storage/base/memory.h"
#include "storage/base/num.h"

enum {
    SUM_DIGITS = 16,
    BOOT_DIGITS = 8,
    LINE_MAX_LEN = 128,  /* of a note */
    PLACE_MAX_LEN = 110, /* of a #REPL, which is longer than any #SUM */
    READ_CHUNK = 256 * 1024,
    SECTOR = AOF_SUM_SECTOR,
};

struct aof_sum {
    XXH3_state_t state; /* needs 64-byte alignment */
    uint64_t bytes;
};

struct aof_sum *aof_sum_new(void)
{
    struct aof_sum *sum = mem_alloc_aligned(_Alignof(struct aof_sum), sizeof(*sum));
    aof_sum_reset(sum, 0);
    return sum;
}

void aof_sum_free(struct aof_sum *sum)
{
    mem_free(sum);
}

void aof_sum_reset(struct aof_sum *sum, uint64_t seed)
{
    (void)XXH3_64bits_reset_withSeed(&sum->state, seed); /* cannot fail with a state */
    sum->bytes = 0;
}

void aof_sum_copy(struct aof_sum *to, const struct aof_sum *from)
{
    XXH3_copyState(&to->state, &from->state);
    to->bytes = from->bytes;
}

void aof_sum_add(struct aof_sum *sum, struct bytes_view bytes)
{
    if (bytes.len == 0) return;
    (void)XXH3_64bits_update(&sum->state, bytes.data, bytes.len); /* cannot fail with bytes */
    sum->bytes += bytes.len;
}

uint64_t aof_sum_bytes(const struct aof_sum *sum)
{
    return sum->bytes;
}

/* The checksum continued by the words of a note. */
static uint64_t sum_with(const struct aof_sum *sum, struct bytes_view words)
{
    struct aof_sum copy;
    aof_sum_copy(&copy, sum);
    aof_sum_add(&copy, words);
    return XXH3_64bits_digest(&copy.state);
}

/* ---- Writing ---- */

/* These lines are written in each turn that has writes: printf() would cost more than the checksum. */
static void put_hex(struct bytes_buf *out, size_t digits, uint64_t value)
{
    char text[SUM_DIGITS];
    for (size_t i = digits; i-- > 0; value >>= 4) text[i] = "0123456789abcdef"[value & 15];
    bytes_buf_append(out, text, digits);
}

/* Ends a line that begins at `at` with the boot and the checksum, which it returns. */
static uint64_t put_sum(const struct aof_sum *sum, uint32_t boot, size_t at, struct bytes_buf *out)
{
    bytes_buf_append(out, ":", 1);
    put_hex(out, BOOT_DIGITS, boot);
    bytes_buf_append(out, ":", 1);
    uint64_t value = sum_with(sum, bytes_view(out->data + at, out->len - at));
    put_hex(out, SUM_DIGITS, value);
    bytes_buf_append(out, "\r\n", 2);
    return value;
}

void aof_sum_write_note(struct aof_sum *sum, uint64_t synced, uint32_t boot, struct bytes_buf *out)
{
    char digits[NUM_U64_MAX_CHARS];
    size_t at = out->len;
    bytes_buf_append_view(out, BYTES_LIT("#SUM:"));
    bytes_buf_append(out, digits, num_format_u64(digits, synced));
    aof_sum_reset(sum, put_sum(sum, boot, at, out));
}

void aof_sum_write_place(const struct aof_sum *sum, const struct aof_place *place, uint32_t boot, struct bytes_buf *out)
{
    size_t at = out->len;
    aof_place_format(place, out);
    out->len -= 2; /* removes the line end, since more follows */
    (void)put_sum(sum, boot, at, out);
}

void aof_sum_write_filler(struct aof_sum *sum, uint64_t size, struct bytes_buf *out)
{
    size_t at = out->len, left = SECTOR - (size_t)(size % SECTOR);
    if (left >= PLACE_MAX_LEN) return;
    if (left < 3) left += 3; /* the shortest line has 3 bytes */
    bytes_buf_reserve(out, left);
    memset(out->data + at, ' ', left);
    out->data[at] = '#';
    memcpy(out->data + at + left - 2, "\r\n", 2);
    out->len += left;
    aof_sum_add(sum, bytes_view(out->data + at, out->len - at));
}

/* ---- Reading ---- */

static bool take_hex(struct bytes_view digits, uint64_t *out)
{
    uint64_t value = 0;
    for (size_t i = 0; i < digits.len; i++) {
        char c = digits.data[i];
        if ((c < '0' || c > '9') && (c < 'a' || c > 'f')) return false;
        value = value << 4 | (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    *out = value;
    return true;
}

/* Removes ":<digits in hex>" from the end of the line. */
static bool split_hex(struct bytes_view *line, size_t digits, uint64_t *out)
{
    if (line->len < digits + 1 || line->data[line->len - digits - 1] != ':') return false;
    if (!take_hex(bytes_view(line->data + line->len - digits, digits), out)) return false;
    line->len -= digits + 1;
    return true;
}

static bool read_sum_note(struct bytes_view line, struct aof_sum_note *out)
{
    uint64_t boot;
    if (line.len < 5 || memcmp(line.data, "#SUM:", 5) != 0) return false;
    if (!split_hex(&line, SUM_DIGITS, &out->sum) || !split_hex(&line, BOOT_DIGITS, &boot)) return false;
    out->boot = (uint32_t)boot;
    return line.len > 5 && num_parse_u64(bytes_view(line.data + 5, line.len - 5), &out->synced);
}

void aof_sum_judge(const struct aof_sum *sum, struct bytes_view line, struct aof_note *out)
{
    struct bytes_view rest = line;
    uint64_t value, boot;
    *out = (struct aof_note){.kind = AOF_NOTE_OTHER};
    if (read_sum_note(line, &out->sum)) {
        out->kind = AOF_NOTE_SUM;
        out->boot = out->sum.boot;
        value = out->sum.sum;
    } else if (split_hex(&rest, SUM_DIGITS, &value) && split_hex(&rest, BOOT_DIGITS, &boot) &&
               aof_annotation_place(rest, &out->place)) {
        out->kind = AOF_NOTE_PLACE;
        out->boot = (uint32_t)boot;
    } else {
        return;
    }
    out->right = sum_with(sum, bytes_view(line.data, line.len - SUM_DIGITS)) == value;
}

/* ---- Damaged files ---- */

struct scan {
    const struct sys *sys;
    int fd;
    uint64_t start; /* position of the first byte in buf */
    struct bytes_buf buf;
};

/* 1; 0 at the end; -errno. */
static int scan_more(struct scan *s)
{
    ssize_t n;
    bytes_buf_reserve(&s->buf, READ_CHUNK);
    do n = s->sys->read(s->sys->ctx, s->fd, s->buf.data + s->buf.len, READ_CHUNK);
    while (n == -EINTR);
    if (n <= 0) return (int)n;
    s->buf.len += (size_t)n;
    return 1;
}

static void scan_drop(struct scan *s, size_t n)
{
    if (n == 0) return; /* there may be no buffer yet */
    memmove(s->buf.data, s->buf.data + n, s->buf.len - n);
    s->buf.len -= n;
    s->start += n;
}

static int scan_open(struct scan *s, const struct sys *sys, const char *path, uint64_t from)
{
    *s = (struct scan){.sys = sys};
    s->fd = sys->open(sys->ctx, path, O_RDONLY, 0);
    if (s->fd < 0) return s->fd;
    int rc = 1;
    while (rc == 1 && s->start < from) {
        rc = scan_more(s);
        uint64_t skip = from - s->start;
        scan_drop(s, skip < s->buf.len ? (size_t)skip : s->buf.len);
    }
    return rc < 0 ? rc : 0;
}

static void scan_close(struct scan *s)
{
    if (s->fd >= 0) (void)s->sys->close(s->sys->ctx, s->fd); /* opened for reading only */
    bytes_buf_release(&s->buf);
}

/* Finds the next line that begins with `mark`. Adds the bytes before it to *sum, and leaves the line at the
 * beginning of the buffer. 1; 0 at the end; -errno. */
static int next_candidate(struct scan *s, struct aof_sum *sum, struct bytes_view mark, struct bytes_view *line)
{
    for (;;) {
        const char *at = s->buf.len == 0 ? NULL : memmem(s->buf.data, s->buf.len, mark.data, mark.len);
        size_t before = at != NULL ? (size_t)(at - s->buf.data) : s->buf.len > mark.len ? s->buf.len - mark.len : 0;
        aof_sum_add(sum, bytes_view(s->buf.data, before));
        scan_drop(s, before);
        const char *end = at == NULL ? NULL : memchr(s->buf.data, '\r', s->buf.len);
        if (end != NULL && end - s->buf.data < LINE_MAX_LEN) {
            *line = bytes_view(s->buf.data, (size_t)(end - s->buf.data));
            return 1;
        }
        if (at != NULL && (end != NULL || s->buf.len > LINE_MAX_LEN)) {
            aof_sum_add(sum, bytes_view(s->buf.data, 1)); /* not a note */
            scan_drop(s, 1);
            continue;
        }
        int rc = scan_more(s);
        if (rc <= 0) return rc;
    }
}

int aof_sum_vouched(const struct sys *sys, const char *path, uint64_t from, uint32_t *boot)
{
    struct scan s;
    struct bytes_view line;
    struct aof_note note;
    struct aof_sum *sum = aof_sum_new();
    bool found = false;
    int rc = scan_open(&s, sys, path, from);
    while (rc == 0 && !found && (rc = next_candidate(&s, sum, BYTES_LIT("#SUM:"), &line)) == 1) {
        struct aof_sum_note candidate;
        rc = 0;
        if (!read_sum_note(line, &candidate)) {
            aof_sum_add(sum, bytes_view(s.buf.data, 1));
            scan_drop(&s, 1);
            continue;
        }
        aof_sum_judge(sum, line, &note);
        found = (note.right || from == 0) && note.sum.synced > from;
        *boot = candidate.boot;
        aof_sum_reset(sum, candidate.sum); /* the next #SUM is verified against this one, which may be the first
                                            * whole one behind the damage */
        scan_drop(&s, line.len);
        while (s.buf.len < 2 && (rc = scan_more(&s)) == 1) continue;
        if (rc == 1) rc = 0;
        scan_drop(&s, s.buf.len < 2 ? s.buf.len : 2);
    }
    scan_close(&s);
    aof_sum_free(sum);
    return rc < 0 ? rc : found;
}

int aof_sum_goes_on(const struct sys *sys, const char *path, uint64_t from, const struct aof_place *place)
{
    struct scan s;
    struct bytes_view line;
    struct aof_note note;
    struct aof_sum *sum = aof_sum_new(); /* its value is not used */
    bool found = false;
    int rc = scan_open(&s, sys, path, from);
    while (rc == 0 && !found && (rc = next_candidate(&s, sum, BYTES_LIT("#REPL:"), &line)) == 1) {
        rc = 0;
        aof_sum_judge(sum, line, &note);
        found =
            note.kind == AOF_NOTE_PLACE && strcmp(note.place.id, place->id) == 0 && note.place.offset > place->offset;
        scan_drop(&s, 1);
    }
    scan_close(&s);
    aof_sum_free(sum);
    return rc < 0 ? rc : found;
}

static bool is_zeros(const char *bytes, size_t len)
{
    return bytes[0] == '\0' && memcmp(bytes, bytes + 1, len - 1) == 0;
}

int aof_sum_has_hole(const struct sys *sys, const char *path, uint64_t from)
{
    struct scan s;
    bool found = false;
    int rc = scan_open(&s, sys, path, (from + SECTOR - 1) / SECTOR * SECTOR);
    while (rc >= 0 && !found) {
        size_t at = 0;
        for (; s.buf.len - at >= SECTOR && !found; at += SECTOR) found = is_zeros(s.buf.data + at, SECTOR);
        scan_drop(&s, at);
        if (found || (rc = scan_more(&s)) <= 0) break;
    }
    scan_close(&s);
    return rc < 0 ? rc : found;
}

uint32_t aof_boot(const struct sys *sys)
{
    char text[64];
    int fd = sys->open(sys->ctx, "/proc/sys/kernel/random/boot_id", O_RDONLY, 0);
    if (fd < 0) return 0;
    ssize_t n = sys->read(sys->ctx, fd, text, sizeof(text));
    (void)sys->close(sys->ctx, fd); /* opened for reading only */
    return n <= 0 ? 0 : (uint32_t)XXH3_64bits(text, (size_t)n);
}
