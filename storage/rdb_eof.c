#include "storage/rdb_eof.h"

/* Knuth-Morris-Pratt: after i matching bytes and a mismatch, fallback[i] of them still are a prefix of the mark. The
 * bytes held back always equal mark[0..matched), so only their number is stored. */
void rdb_eof_init(struct rdb_eof *e, const char mark[RDB_EOF_MARK_LEN])
{
    *e = (struct rdb_eof){0};
    memcpy(e->mark, mark, RDB_EOF_MARK_LEN);
    unsigned k = 0;
    for (unsigned i = 1; i < RDB_EOF_MARK_LEN; i++) {
        e->fallback[i] = (unsigned char)k;
        while (k > 0 && mark[i] != mark[k]) k = e->fallback[k];
        if (mark[i] == mark[k]) k++;
    }
}

/* Matches one more byte. Returns how many bytes held back turned out to be payload. */
static unsigned step(struct rdb_eof *e, char byte, bool *matches)
{
    unsigned before = e->matched;
    while (e->matched > 0 && e->mark[e->matched] != byte) e->matched = e->fallback[e->matched];
    *matches = e->mark[e->matched] == byte;
    unsigned released = before - e->matched;
    if (*matches) e->matched++;
    return released;
}

/* Runs while a prefix of the mark is held back. 0, or the error of the payload callback. */
static int feed_held(struct rdb_eof *e, struct bytes_view in, size_t *pos,
                     int (*payload)(void *ctx, struct bytes_view bytes), void *ctx)
{
    while (*pos < in.len && e->matched > 0 && e->matched < RDB_EOF_MARK_LEN) {
        bool matches;
        unsigned released = step(e, in.data[*pos], &matches);
        int rc = released > 0 ? payload(ctx, bytes_view(e->mark, released)) : 0;
        if (rc != 0) return rc;
        if (!matches) break; /* nothing is held back now; the caller looks at this byte */
        (*pos)++;
    }
    return 0;
}

/* Returns how many bytes at the end of `in` are a prefix of the mark. They are held back. */
static unsigned match_tail(struct rdb_eof *e, struct bytes_view in)
{
    size_t start = in.len < RDB_EOF_MARK_LEN ? 0 : in.len - (RDB_EOF_MARK_LEN - 1);
    for (size_t i = start; i < in.len; i++) {
        bool matches;
        (void)step(e, in.data[i], &matches); /* released bytes are still in `in` */
    }
    return e->matched;
}

int rdb_eof_feed(struct rdb_eof *e, struct bytes_view in, size_t *consumed,
                 int (*payload)(void *ctx, struct bytes_view bytes), void *ctx)
{
    size_t pos = 0;
    *consumed = 0;
    if (e->done) return 1;
    int rc = feed_held(e, in, &pos, payload, ctx);
    if (rc == 0 && e->matched == 0 && pos < in.len) {
        struct bytes_view rest = bytes_view(in.data + pos, in.len - pos);
        const char *mark = memmem(rest.data, rest.len, e->mark, RDB_EOF_MARK_LEN);
        size_t body = mark != NULL ? (size_t)(mark - rest.data) : rest.len - match_tail(e, rest);
        if (body > 0) rc = payload(ctx, bytes_view(rest.data, body));
        if (mark != NULL) e->matched = RDB_EOF_MARK_LEN;
        pos = mark != NULL ? pos + body + RDB_EOF_MARK_LEN : in.len;
    }
    if (rc != 0) return rc;
    *consumed = pos;
    e->done = e->matched == RDB_EOF_MARK_LEN;
    return e->done ? 1 : 0;
}

void rdb_eof_random_mark(char mark[RDB_EOF_MARK_LEN], const struct sys *sys)
{
    unsigned char raw[RDB_EOF_MARK_LEN / 2];
    sys_random(sys, raw, sizeof(raw));
    for (size_t i = 0; i < sizeof(raw); i++) {
        mark[2 * i] = "0123456789abcdef"[raw[i] >> 4];
        mark[2 * i + 1] = "0123456789abcdef"[raw[i] & 15];
    }
}

void rdb_eof_format_header(char header[RDB_EOF_HEADER_LEN], const char mark[RDB_EOF_MARK_LEN])
{
    memcpy(header, "$EOF:", 5);
    memcpy(header + 5, mark, RDB_EOF_MARK_LEN);
    memcpy(header + 5 + RDB_EOF_MARK_LEN, "\r\n", 2);
}

bool rdb_eof_parse_header(struct bytes_view line, char mark[RDB_EOF_MARK_LEN])
{
    while (line.len > 0 && (line.data[line.len - 1] == '\n' || line.data[line.len - 1] == '\r')) line.len--;
    if (line.len != 5 + RDB_EOF_MARK_LEN || memcmp(line.data, "$EOF:", 5) != 0) return false;
    memcpy(mark, line.data + 5, RDB_EOF_MARK_LEN);
    return true;
}
