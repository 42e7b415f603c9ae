#include "replication/transfer.h"

#include <errno.h>
#include <stdio.h>

#include "storage/base/num.h"

void transfer_init(struct transfer *t, const struct transfer_sink *sink)
{
    *t = (struct transfer){.sink = *sink};
}

static int bad_header(struct transfer *t, const char *what, struct bytes_view line)
{
    int n = snprintf(t->error, sizeof(t->error), "%s: '%.*s'", what, bytes_shown(line, 160), line.data);
    for (int i = 0; i < n && (size_t)i < sizeof(t->error) - 1; i++)
        if ((unsigned char)t->error[i] < ' ') t->error[i] = '?';
    return -EPROTO;
}

static int on_header(struct transfer *t, struct bytes_view line)
{
    char mark[RDB_EOF_MARK_LEN];
    int64_t length;
    if (line.data[0] == '-') return bad_header(t, "MASTER aborted replication with an error", line);
    if (line.data[0] != '$') return bad_header(t, "Bad protocol from MASTER, the first byte is not '$'", line);
    if (rdb_eof_parse_header(line, mark)) {
        rdb_eof_init(&t->eof, mark);
        t->phase = TRANSFER_MARK;
    } else if (num_parse_i64(bytes_view(line.data + 1, line.len - 1), &length) && length >= 0) {
        t->total = (uint64_t)length;
        t->phase = TRANSFER_LENGTH;
    } else {
        return bad_header(t, "Bad protocol from MASTER, this is no length", line);
    }
    return t->sink.begin(t->sink.ctx);
}

static int feed_header(struct transfer *t, struct bytes_view in, size_t *consumed)
{
    for (size_t i = 0; i < in.len; i++) {
        if (in.data[i] != '\n') {
            if (t->line_len == sizeof(t->line))
                return bad_header(t, "Bad protocol from MASTER, endless line", bytes_view(t->line, t->line_len));
            t->line[t->line_len++] = in.data[i];
            continue;
        }
        if (t->line_len > 0 && t->line[t->line_len - 1] == '\r') t->line_len--;
        if (t->line_len == 0) continue;
        *consumed = i + 1;
        return on_header(t, bytes_view(t->line, t->line_len));
    }
    *consumed = in.len;
    return 0;
}

static int count_payload(void *ctx, struct bytes_view bytes)
{
    struct transfer *t = ctx;
    t->received += bytes.len;
    return t->sink.payload(t->sink.ctx, bytes);
}

static int feed_length(struct transfer *t, struct bytes_view in, size_t *consumed)
{
    uint64_t left = t->total - t->received;
    size_t n = in.len < left ? in.len : (size_t)left;
    *consumed = n;
    int rc = n > 0 ? count_payload(t, bytes_view(in.data, n)) : 0;
    if (rc < 0) return rc;
    return t->received == t->total ? 1 : 0;
}

static int feed_body(struct transfer *t, struct bytes_view in, size_t *consumed)
{
    int rc = t->phase == TRANSFER_LENGTH ? feed_length(t, in, consumed)
                                         : rdb_eof_feed(&t->eof, in, consumed, count_payload, t);
    if (rc == 1) t->phase = TRANSFER_OVER;
    return rc;
}

int transfer_feed(struct transfer *t, struct bytes_view in, size_t *consumed)
{
    size_t used = 0, n = 0;
    *consumed = 0;
    if (t->phase == TRANSFER_OVER) return 1;
    if (t->phase == TRANSFER_HEADER) {
        int rc = feed_header(t, in, &used);
        if (rc < 0) return rc;
        *consumed = used;
        if (t->phase == TRANSFER_HEADER) return 0;
    }
    int rc = feed_body(t, bytes_view(in.data + used, in.len - used), &n);
    *consumed = used + n;
    return rc;
}
