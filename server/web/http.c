#include "server/web/http.h"

#include <errno.h>

#include "server/core/core.h"
#include "server/net/outbuf.h"
#include "storage/base/assert.h"
#include "storage/base/memory.h"

const struct http_limits http_default_limits = {
    .connections = 128,
    .output_bytes = 16 * 1024 * 1024,
    .request_ms = 5 * 1000,
    .idle_ms = 75 * 1000,
    .send_ms = 10 * 1000,
    .slow_ms = 1000,
    .leave_ms = 1000,
};

enum state {
    READING = 0, /* the next head is due, or a part of it is here */
    HELD,        /* the answer is kept back for delay_ms */
    SENDING,
    LEAVING, /* everything is sent; input is dropped */
};

struct peer {
    struct http *http;
    struct conn *conn;
    enum state state;
    bool closes;         /* after the answer */
    bool failed;         /* the answer is an error of the connection: LEAVING follows */
    bool due;            /* on the list of due connections */
    size_t may_drop;     /* LEAVING: bytes */
    int64_t progress_us; /* monotonic: when it was accepted, or last changed its state */
    struct bytes_buf in; /* bytes that are not parsed yet */
    struct outbuf out;
    struct loop_timer deadline;
    struct peer *prev, *next; /* all connections; the one whose progress is longest ago first */
    struct peer *due_next;
};

struct http {
    struct core *core;
    struct http_limits limits;
    http_answer_fn *answer;
    void *ctx;
    struct peer *first, *last;
    struct peer *due, **due_last;
    size_t output; /* bytes in all output queues */
    struct http_stats stats;
};

/* ---- Lists ---- */

static void append(struct http *h, struct peer *p)
{
    p->prev = h->last;
    p->next = NULL;
    *(h->last != NULL ? &h->last->next : &h->first) = p;
    h->last = p;
    h->stats.connections++;
}

static void take_out(struct http *h, const struct peer *p)
{
    *(p->prev != NULL ? &p->prev->next : &h->first) = p->next;
    *(p->next != NULL ? &p->next->prev : &h->last) = p->prev;
    h->stats.connections--;
}

static void make_due(struct peer *p)
{
    struct http *h = p->http;
    if (p->due) return;
    p->due = true;
    p->due_next = NULL;
    *h->due_last = p;
    h->due_last = &p->due_next;
}

static struct peer *take_due(struct http *h)
{
    struct peer *p = h->due;
    if (p == NULL) return NULL;
    h->due = p->due_next;
    if (h->due == NULL) h->due_last = &h->due;
    p->due = false;
    return p;
}

static void forget_due(struct http *h, const struct peer *p)
{
    struct peer **at = &h->due;
    if (!p->due) return;
    while (*at != p) at = &(*at)->due_next;
    *at = p->due_next;
    if (h->due_last == &p->due_next) h->due_last = at;
}

/* ---- States ---- */

static void end(struct peer *p)
{
    struct http *h = p->http;
    h->output -= outbuf_bytes(&p->out);
    forget_due(h, p);
    take_out(h, p);
    loop_timer_stop(&p->deadline);
    conn_close(p->conn);
    outbuf_release(&p->out);
    bytes_buf_release(&p->in);
    mem_free(p);
}

static void on_deadline(void *ctx);

static void enter(struct peer *p, enum state next, int deadline_ms)
{
    struct http *h = p->http;
    p->state = next;
    p->progress_us = sys_mono_us(h->core->sys);
    take_out(h, p);
    append(h, p);
    conn_want_read(p->conn, next == READING || next == LEAVING);
    conn_want_write(p->conn, next == SENDING);
    loop_timer_start(h->core->loop, &p->deadline, deadline_ms, 0, on_deadline, p);
}

/* ---- Answers ---- */

static void queue(struct peer *p, const struct web_reply *reply, bool keep_alive, bool head_only)
{
    struct http *h = p->http;
    struct bytes_buf head = {0};
    size_t before = outbuf_bytes(&p->out);
    web_reply_head(reply, keep_alive, h->core->clock.now_ms / 1000, &head);
    outbuf_append(&p->out, head.data, head.len);
    if (!head_only) outbuf_append(&p->out, reply->body.data, reply->body.len);
    bytes_buf_release(&head);
    h->output += outbuf_bytes(&p->out) - before;
    h->stats.requests++;
    p->closes = !keep_alive;
}

static void send_some(struct peer *p);

/* Answers an error of the connection, and ends it. */
static void refuse(struct peer *p, int status)
{
    struct web_reply reply = {0};
    web_reply_line(&reply, status, "%s", web_status_text(status));
    queue(p, &reply, false, false);
    bytes_buf_release(&reply.body);
    p->failed = true;
    p->http->stats.errors++;
    enter(p, SENDING, p->http->limits.send_ms);
    send_some(p);
}

static void answer(struct peer *p, const struct web_request *request)
{
    struct http *h = p->http;
    struct web_reply reply = {0};
    h->answer(h->ctx, p->conn, request, &reply);
    if (!request->head_only && h->output + reply.body.len > h->limits.output_bytes)
        web_reply_line(&reply, 503, "too many answers wait to be sent");
    queue(p, &reply, request->keep_alive && !reply.close, request->head_only);
    enter(p, reply.delay_ms > 0 ? HELD : SENDING, reply.delay_ms > 0 ? reply.delay_ms : h->limits.send_ms);
    bytes_buf_release(&reply.body);
    if (p->state == SENDING) send_some(p);
}

/* Everything is sent. */
static void next_request(struct peer *p)
{
    const struct http_limits *limits = &p->http->limits;
    outbuf_trim(&p->out);
    if (p->closes && !p->failed && p->in.len == 0) {
        end(p);
    } else if (p->closes) {
        p->may_drop = HTTP_LEAVE_BYTES;
        enter(p, LEAVING, limits->leave_ms);
    } else if (p->in.len > 0) {
        enter(p, READING, limits->request_ms);
        make_due(p); /* another request may be here */
    } else {
        bytes_buf_release(&p->in);
        enter(p, READING, limits->idle_ms);
    }
}

static void send_some(struct peer *p)
{
    size_t before = outbuf_bytes(&p->out);
    int rc = outbuf_flush(&p->out, p->conn);
    p->http->output -= before - outbuf_bytes(&p->out);
    if (rc < 0)
        end(p);
    else if (outbuf_empty(&p->out))
        next_request(p);
}

/* ---- Requests ---- */

/* 1: something was read; 0: nothing is there; -1: the connection has ended. */
static int read_some(struct peer *p)
{
    enum { CHUNK = 4096 };
    size_t room = WEB_HEAD_MAX - p->in.len;
    bytes_buf_reserve(&p->in, room < CHUNK ? room : CHUNK);
    ssize_t n = conn_read(p->conn, p->in.data + p->in.len, room < CHUNK ? room : CHUNK);
    if (n == -EAGAIN) return 0;
    if (n <= 0) return -1;
    if (p->in.len == 0) /* the time of a request begins with its first byte */
        loop_timer_start(p->http->core->loop, &p->deadline, p->http->limits.request_ms, 0, on_deadline, p);
    p->in.len += (size_t)n;
    return 1;
}

static void take_request(struct peer *p, size_t len)
{
    struct web_request request;
    int status = web_request_parse(bytes_view(p->in.data, len), &request);
    struct bytes_buf in = p->in; /* the request points into it */
    p->in = (struct bytes_buf){0};
    bytes_buf_append(&p->in, in.data + len, in.len - len);
    if (status != 0)
        refuse(p, status);
    else
        answer(p, &request);
    bytes_buf_release(&in);
}

static void read_request(struct peer *p)
{
    ssize_t len = web_head_length(bytes_buf_view(&p->in));
    if (len == 0) {
        int rc = read_some(p);
        if (rc < 0) {
            end(p);
            return;
        }
        if (rc == 0) return;
        len = web_head_length(bytes_buf_view(&p->in));
    }
    if (len < 0)
        refuse(p, 400);
    else if (len > 0)
        take_request(p, (size_t)len);
    else if (p->in.len >= WEB_HEAD_MAX)
        refuse(p, web_request_too_long(bytes_buf_view(&p->in)));
}

static void drop_input(struct peer *p)
{
    char buf[4096];
    ssize_t n = conn_read(p->conn, buf, sizeof(buf));
    if (n == -EAGAIN) return;
    if (n <= 0 || (size_t)n >= p->may_drop)
        end(p);
    else
        p->may_drop -= (size_t)n;
}

/* ---- Events ---- */

static void step(struct peer *p)
{
    switch (p->state) {
    case READING: read_request(p); return;
    case HELD: return;
    case SENDING: send_some(p); return;
    case LEAVING: drop_input(p); return;
    }
    UNREACHABLE();
}

static void on_event(void *ctx)
{
    make_due(ctx);
}

static void on_deadline(void *ctx)
{
    struct peer *p = ctx;
    if (p->state == HELD) {
        enter(p, SENDING, p->http->limits.send_ms);
        make_due(p);
    } else if (p->state == READING && p->in.len > 0) {
        refuse(p, 408);
    } else {
        end(p);
    }
}

/* ---- Accepting ---- */

static void say_unavailable(struct conn *conn)
{
    struct web_reply reply = {0};
    struct bytes_buf text = {0};
    web_reply_line(&reply, 503, "too many connections");
    web_reply_head(&reply, false, 0, &text);
    bytes_buf_append(&text, reply.body.data, reply.body.len);
    (void)conn_write(conn, text.data, text.len); /* what the socket does not take at once is not worth waiting for */
    bytes_buf_release(&text);
    bytes_buf_release(&reply.body);
}

/* The connection to close for another one; NULL: none. One that is due may have a request. */
static struct peer *choose_victim(const struct http *h)
{
    int64_t slow_since = sys_mono_us(h->core->sys) - (int64_t)h->limits.slow_ms * 1000;
    struct peer *busy = NULL;
    for (struct peer *p = h->first; p != NULL; p = p->next) {
        if (p->state == SENDING && p->progress_us > slow_since) continue;
        if (!p->due) return p;
        if (busy == NULL) busy = p;
    }
    return busy;
}

static bool make_room(struct http *h)
{
    if (h->stats.connections < h->limits.connections) return true;
    struct peer *victim = choose_victim(h);
    if (victim == NULL) return false;
    if (victim->state == READING && victim->in.len > 0) say_unavailable(victim->conn);
    end(victim);
    h->stats.displaced++;
    return true;
}

void http_accept(struct http *h, struct conn *conn)
{
    if (!make_room(h)) {
        h->stats.refused++;
        say_unavailable(conn);
        conn_close(conn);
        return;
    }
    struct peer *p = mem_calloc(sizeof(*p));
    p->http = h;
    p->conn = conn;
    outbuf_init(&p->out);
    append(h, p);
    conn_set_handler(conn, on_event, on_event, p);
    enter(p, READING, h->limits.request_ms);
    h->stats.accepted++;
}

/* ---- Turns ---- */

bool http_turn(struct http *h)
{
    if (LIKELY(h->due == NULL)) return false;
    int64_t end_us = sys_mono_us(h->core->sys) + HTTP_TURN_US;
    struct peer *p;
    while ((p = take_due(h)) != NULL) {
        step(p);
        if (sys_mono_us(h->core->sys) >= end_us) break;
    }
    return h->due != NULL;
}

void http_run_now(struct http *h)
{
    for (struct peer *p = h->first; p != NULL; p = p->next)
        if (p->state != HELD) make_due(p);
    (void)http_turn(h); /* the next call goes on */
}

/* ---- Life ---- */

struct http *http_new(struct core *core, const struct http_limits *limits, http_answer_fn *answer_fn, void *ctx)
{
    struct http *h = mem_calloc(sizeof(*h));
    h->core = core;
    h->limits = *limits;
    h->answer = answer_fn;
    h->ctx = ctx;
    h->due_last = &h->due;
    return h;
}

void http_free(struct http *h)
{
    if (h == NULL) return;
    while (h->first != NULL) end(h->first);
    mem_free(h);
}

void http_get_stats(const struct http *h, struct http_stats *out)
{
    *out = h->stats;
}
