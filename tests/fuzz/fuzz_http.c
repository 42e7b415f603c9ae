/* fuzz_http.c -- any bytes, split anywhere, as input of a connection to the HTTP port.
 * The first two bytes choose the split. The rest is sent twice, in pieces and as a whole, through socket pairs, each time
 * until the connection has nothing more to answer. Both runs must get the same answers. An answer names the path, the
 * query and the host of its request; each must be a part of the input. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/core/core.h"
#include "server/web/http.h"
#include "storage/base/memory.h"
#include "storage/base/sys.h"

enum { INPUT_MAX = 20000, IDLE_TURNS = 3 };

struct run {
    struct core core;
    struct http *http;
    struct bytes_view in;
    struct bytes_buf got;
    unsigned answered;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok, const char *what)
{
    if (ok) return;
    fprintf(stderr, "fuzz_http: %s\n", what);
    abort();
}

static void check_part(const struct run *run, struct bytes_view part, const char *what)
{
    check(part.len == 0 || memmem(run->in.data, run->in.len, part.data, part.len) != NULL, what);
    for (size_t i = 0; i < part.len; i++)
        check((unsigned char)part.data[i] >= ' ' || part.data[i] == '\t', "a control byte came through");
}

static void answer(void *ctx, const struct conn *conn, const struct web_request *rq, struct web_reply *reply)
{
    struct run *run = ctx;
    struct bytes_view query = rq->query, name, value, host;
    (void)conn;
    run->answered++;
    check(rq->path.len > 0 && rq->path.data[0] == '/', "a path that is none");
    check(rq->path.len + rq->query.len <= WEB_TARGET_MAX, "the target is too long");
    check_part(run, rq->path, "a path from nowhere");
    check_part(run, rq->query, "a query from nowhere");
    check_part(run, rq->host, "a host from nowhere");
    check_part(run, rq->authorization, "a login from nowhere");
    while (web_query_next(&query, &name, &value)) check_part(run, value, "a value from nowhere");
    if (web_host_split(rq->host, &host)) check_part(run, host, "a name from nowhere");
    bytes_buf_printf(&reply->body, "%d %d ", rq->keep_alive, rq->head_only);
    bytes_buf_append_view(&reply->body, rq->path);
    bytes_buf_append_view(&reply->body, rq->query);
    bytes_buf_append_view(&reply->body, rq->host);
}

/* True: the server has closed the connection. */
static bool receive(struct run *run, int fd)
{
    char buf[16384];
    ssize_t n;
    while ((n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT)) > 0) bytes_buf_append(&run->got, buf, (size_t)n);
    return n == 0 || errno != EAGAIN;
}

static bool turn(struct run *run, int fd)
{
    loop_poll_turn(run->core.loop);
    while (http_turn(run->http)) continue;
    return receive(run, fd);
}

static void run_split(struct run *run, struct rng *rng, size_t max_piece)
{
    static const struct http_limits limits = {.connections = 2,
                                              .output_bytes = 1024 * 1024,
                                              .request_ms = 60 * 1000,
                                              .idle_ms = 60 * 1000,
                                              .send_ms = 60 * 1000,
                                              .leave_ms = 60 * 1000};
    int fds[2];
    bool closed = false;
    run->core.loop = loop_new();
    run->http = http_new(&run->core, &limits, answer, run);
    check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0, "no socket pair");
    http_accept(run->http, conn_adopt(run->core.loop, fds[0]));
    for (size_t at = 0; at < run->in.len && !closed;) {
        size_t len = 1 + rng_below(rng, max_piece);
        if (len > run->in.len - at) len = run->in.len - at;
        ssize_t n = send(fds[1], run->in.data + at, len, MSG_NOSIGNAL);
        if (n > 0) at += (size_t)n;
        if (n == -1 && errno != EAGAIN) break;
        closed = turn(run, fds[1]);
    }
    for (int idle = 0; idle < IDLE_TURNS && !closed; idle++) {
        size_t before = run->got.len;
        closed = turn(run, fds[1]);
        if (run->got.len > before) idle = 0;
    }
    http_free(run->http);
    close(fds[1]);
    loop_free(run->core.loop);
}

/* Time stands, so that no budget ends and no deadline comes. */
static int64_t standing_clock(void *ctx)
{
    (void)ctx;
    return 1000 * 1000;
}

static void run_once(struct run *run, struct bytes_view in, struct rng *rng, size_t max_piece)
{
    static struct sys sys;
    sys = *sys_real();
    sys.mono_us = standing_clock;
    *run = (struct run){.in = in, .core.sys = &sys};
    run_split(run, rng, max_piece);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool registered;
    struct run pieces, whole;
    if (!registered) mem_thread_register();
    registered = true;
    if (size < 2 || size > INPUT_MAX) return 0;
    struct rng rng;
    rng_seed(&rng, data[0]);
    struct bytes_view in = bytes_view(data + 2, size - 2);
    run_once(&pieces, in, &rng, data[1] == 0 ? 1 : data[1]);
    run_once(&whole, in, &rng, INPUT_MAX);
    check(pieces.answered == whole.answered, "the number of requests depends on the split");
    check(bytes_equal(bytes_buf_view(&pieces.got), bytes_buf_view(&whole.got)), "the answers depend on the split");
    bytes_buf_release(&pieces.got);
    bytes_buf_release(&whole.got);
    return 0;
}
