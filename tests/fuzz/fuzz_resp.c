/* fuzz_resp.c -- any bytes, split anywhere, as input of the request parser.
 * The first two bytes choose the split and the limits. The rest is fed twice, in pieces and as a whole; on the way,
 * requests are put back and blocks are taken. Both runs must return the same requests and the same error. */
#include <stdio.h>
#include <stdlib.h>

#include "server/net/resp_reader.h"
#include "storage/base/memory.h"
#include "storage/base/sys.h"

enum { ROUND = 16 };

struct run {
    struct bytes_view in;
    const struct resp_limits *limits;
    struct rng rng;
    size_t max_piece;
    struct bytes_buf seen; /* what was parsed, as text */
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok, const char *what)
{
    if (ok) return;
    fprintf(stderr, "fuzz_resp: %s\n", what);
    abort();
}

static void see_request(struct run *run, struct resp_reader *r, const struct resp_request *req)
{
    check(req->argc > 0 && req->end_offset <= run->in.len, "request out of bounds");
    check(req->raw.data == NULL ||
              memcmp(req->raw.data, run->in.data + req->end_offset - req->raw.len, req->raw.len) == 0,
          "raw bytes differ from the stream");
    bytes_buf_printf(&run->seen, "%d %u %llu", req->is_inline, req->argc, (unsigned long long)req->end_offset);
    for (uint32_t i = 0; i < req->argc; i++) {
        bytes_buf_printf(&run->seen, " %zu:", req->argv[i].len);
        bytes_buf_append_view(&run->seen, req->argv[i]);
    }
    size_t capacity;
    void *block = rng_below(&run->rng, 2) ? resp_arg_take(r, req, req->argc - 1, &capacity) : NULL;
    if (block != NULL) memset(block, 0xee, capacity);
    mem_free(block);
}

static enum resp_status drain(struct run *run, struct resp_reader *r, struct resp_batch *batch)
{
    struct resp_request reqs[ROUND];
    for (;;) {
        uint32_t n = 0, used;
        enum resp_status status = RESP_REQUEST;
        while (n < ROUND && (status = resp_reader_next(r, batch, &reqs[n])) == RESP_REQUEST) n++;
        used = n > 1 && rng_below(&run->rng, 4) == 0 ? (uint32_t)(1 + rng_below(&run->rng, n - 1)) : n;
        if (used < n) resp_reader_unread(r, &reqs[used]);
        for (uint32_t i = 0; i < used; i++) see_request(run, r, &reqs[i]);
        resp_batch_reset(batch);
        if (used == n && status != RESP_REQUEST) return status;
    }
}

static void run_reader(struct run *run)
{
    struct resp_reader r;
    struct resp_batch batch;
    enum resp_status status = RESP_INCOMPLETE;
    resp_reader_init(&r, run->limits);
    resp_batch_init(&batch);
    for (size_t fed = 0; fed < run->in.len && status == RESP_INCOMPLETE;) {
        char *room;
        size_t len, n = run->max_piece == 0 ? run->in.len : 1 + rng_below(&run->rng, run->max_piece);
        resp_reader_space(&r, &room, &len);
        check(len > 0, "no room to read to");
        if (n > len) n = len;
        if (n > run->in.len - fed) n = run->in.len - fed;
        memcpy(room, run->in.data + fed, n);
        resp_reader_added(&r, n);
        fed += n;
        status = drain(run, &r, &batch);
        check(resp_reader_memory(&r) <= 2 * RESP_BIG_STEP + 64 * run->in.len, "memory beyond what arrived");
        if (rng_below(&run->rng, 8) == 0) resp_reader_shrink(&r, rng_below(&run->rng, 2) == 0);
    }
    bytes_buf_printf(&run->seen, "%d", status);
    if (status == RESP_ERROR) bytes_buf_append_view(&run->seen, resp_reader_error(&r));
    resp_batch_release(&batch);
    resp_reader_release(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct resp_limits limits[2] = {
        {.max_bulk = 512 << 20, .max_pending = SIZE_MAX, .authenticated = true},
        {.max_bulk = 512 << 20, .max_pending = SIZE_MAX, .authenticated = false},
    };
    if (size < 2) return 0;
    struct run whole = {.in = bytes_view(data + 2, size - 2), .limits = &limits[data[0] & 1]};
    struct run pieces = whole;
    pieces.max_piece = (size_t)1 << (data[1] % 16);
    rng_seed(&whole.rng, data[0]);
    rng_seed(&pieces.rng, data[1]);
    run_reader(&whole);
    run_reader(&pieces);
    check(bytes_equal(bytes_buf_view(&whole.seen), bytes_buf_view(&pieces.seen)), "the cuts made a difference");
    bytes_buf_release(&whole.seen);
    bytes_buf_release(&pieces.seen);
    return 0;
}
