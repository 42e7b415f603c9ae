/* fuzz_reply.c -- any bytes as replies of another server.
 * Pieces of any size give the same replies as the whole; limits hold; memory follows the bytes that arrived. The first
 * byte of input chooses the size of the pieces. */
#include <stdlib.h>

#include "server/net/resp_reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
    uint64_t hash;
    size_t replies;
    bool failed;
};

static void insist(bool holds)
{
    if (!holds) abort();
}

static void add(struct seen *s, const void *bytes, size_t len)
{
    const unsigned char *p = bytes;
    for (size_t i = 0; i < len; i++) s->hash = (s->hash ^ p[i]) * 1099511628211u;
}

static size_t look_at(struct seen *s, const struct resp_reply *v, unsigned depth)
{
    size_t values = 1;
    insist(depth <= RESP_REPLY_DEPTH_MAX);
    insist(v->kind == RESP_REPLY_ARRAY || v->count == 0);
    add(s, &v->kind, sizeof(v->kind));
    add(s, &v->integer, sizeof(v->integer));
    add(s, &v->count, sizeof(v->count));
    if (v->text.len > 0) add(s, v->text.data, v->text.len);
    for (size_t i = 0; i < v->count; i++) values += look_at(s, &v->values[i], depth + 1);
    return values;
}

static struct seen parse(const char *bytes, size_t size, size_t piece)
{
    struct seen s = {.hash = 14695981039346656037u};
    struct resp_reply_reader r;
    const struct resp_reply *v;
    enum resp_reply_status status = RESP_REPLY_MORE;
    resp_reply_init(&r);
    for (size_t at = 0; at < size && status != RESP_REPLY_FAILED; at += piece) {
        resp_reply_feed(&r, bytes_view(bytes + at, size - at < piece ? size - at : piece));
        while ((status = resp_reply_next(&r, &v)) == RESP_REPLY_READY) {
            s.replies++;
            insist(look_at(&s, v, 0) <= RESP_REPLY_VALUES_MAX);
        }
        insist(r.buf.cap <= 2 * (size + 64) && r.tree_size <= size);
    }
    s.failed = status == RESP_REPLY_FAILED;
    resp_reply_release(&r);
    return s;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) return 0;
    const char *bytes = (const char *)data + 1;
    struct seen whole = parse(bytes, size - 1, size - 1), pieces = parse(bytes, size - 1, 1 + data[0] % 40);
    insist(whole.hash == pieces.hash && whole.replies == pieces.replies && whole.failed == pieces.failed);
    return 0;
}
