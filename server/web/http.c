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
    bool closes; /* after the answer */
    bool failed; /* the answer is an error of the connection: LEAVING follows */
    bool due;    /* on a list of due connections */
    bool was_answered;
    int64_t accepted_us; /* monotonic */
    size_t may_drop;     /* LEAVING: bytes */
    struct bytes_buf in; /* bytes that are not parsed yet */
    struct outbuf out;
    struct loop_timer deadline;
    struct peer *prev, *next; /* all connections; the one whose last change of state is longest ago first */
    struct peer *due_next;
};

struct due_list {
    struct peer *first, **last;
};

struct http {
    struct core *core;
    struct http_limits limits;
    http_answer_fn *answer;
    void *ctx;
    struct peer *first, *last;
    struct due_list fresh, others; /* due; fresh: no request of theirs has been answered */
    size_t output;                 /* bytes in all output queues */
    int64_t credit_us;             /* time that may be spent; below 0 after a long step */
    int64_t credited_us;           /* monotonic: up to when it was granted */
    struct loop_timer rest;        /* wakes the loop when connections are due and the time was spent */
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

static struct due_list *list_of(struct http *h, const struct peer *p)
{
    return p->was_answered ? &h->others : &h->fresh;
}

static void make_due(struct peer *p)
{
    struct due_list *list = list_of(p->http, p);
    if (p->due) return;
    p->due = true;
    p->due_next = NULL;
    *list->last = p;
    list->last = &p->due_next;
}

static bool any_due(const struct http *h)
{
    return h->fresh.first != NULL || h->others.first != NULL;
}

static struct peer *take_due(struct http *h)
{
    struct due_list *list = h->fresh.first != NULL ? &h->fresh : &h->others;
    struct peer *p = list->first;
    if (p == NULL) return NULL;
    list->first = p->due_next;
    if (list->first == NULL) list->last = &list->first;
    p->due = false;
    return p;
}

static void forget_due(struct http *h, const struct peer *p)
{
    struct due_list *list = list_of(h, p);
    struct peer **at = &list->first;
    if (!p->due) return;
    while (*at != p) at = &(*at)->due_next;
    *at = p->due_next;
    if (list->last == &p->due_next) list->last = at;
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
    p->was_answered = true;
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

static void say_unavailable(const struct http *h, struct conn *conn)
{
    struct web_reply reply = {0};
    struct bytes_buf text = {0};
    web_reply_line(&reply, 503, "too many connections");
    web_reply_head(&reply, false, h->core->clock.now_ms / 1000, &text);
    bytes_buf_append(&text, reply.body.data, reply.body.len);
    (void)conn_write(conn, text.data, text.len); /* what the socket does not take at once is not worth waiting for */
    bytes_buf_release(&text);
    bytes_buf_release(&reply.body);
}

/* The connection to close for another one. */
static struct peer *choose_victim(const struct http *h)
{
    int64_t fresh_since_us = sys_mono_us(h->core->sys) - INT64_C(1000) * HTTP_FRESH_MS;
    struct peer *sending = NULL, *fresh = NULL, *other = NULL;
    size_t sending_count = 0;
    for (struct peer *p = h->last; p != NULL; p = p->prev) {
        bool is_fresh = !p->was_answered && p->accepted_us > fresh_since_us;
        *(p->state == SENDING ? &sending : is_fresh ? &fresh : &other) = p;
        sending_count += p->state == SENDING;
    }
    if (sending_count > h->stats.connections / 2) return sending;
    return other != NULL ? other : fresh;
}

static void make_room(struct http *h)
{
    if (h->stats.connections < h->limits.connections) return;
    struct peer *victim = choose_victim(h);
    if (victim->state == READING && victim->in.len > 0) say_unavailable(h, victim->conn);
    end(victim);
    h->stats.displaced++;
}

void http_accept(struct http *h, struct conn *conn)
{
    make_room(h);
    struct peer *p = mem_calloc(sizeof(*p));
    p->http = h;
    p->conn = conn;
    p->accepted_us = sys_mono_us(h->core->sys);
    outbuf_init(&p->out);
    append(h, p);
    conn_set_handler(conn, on_event, on_event, p);
    (void)conn_set_buffers(conn, HTTP_SEND_BYTES, HTTP_RECEIVE_BYTES); /* else the kernel keeps a little more */
    enter(p, READING, h->limits.request_ms);
    h->stats.accepted++;
    h->credit_us -= HTTP_ACCEPT_US;
}

/* ---- Time ---- */

static int64_t grant_credit(struct http *h)
{
    int64_t now_us = sys_mono_us(h->core->sys);
    int64_t granted_us = (now_us - h->credited_us) / HTTP_SHARE;
    h->credit_us += granted_us;
    h->credited_us += granted_us * HTTP_SHARE; /* the rest counts next time */
    if (h->credit_us > HTTP_CREDIT_US) h->credit_us = HTTP_CREDIT_US;
    return now_us;
}

int http_rest_ms(struct http *h)
{
    (void)grant_credit(h);
    return h->credit_us > 0 ? 0 : HTTP_REST_MS;
}

static void on_rested(void *ctx)
{
    (void)ctx; /* http_turn() follows in this turn */
}

static void run_due(struct http *h, int64_t start_us)
{
    int64_t budget_us = h->credit_us < HTTP_TURN_US ? h->credit_us : HTTP_TURN_US, spent_us = 0;
    struct peer *p;
    while (spent_us < budget_us && (p = take_due(h)) != NULL) {
        step(p);
        spent_us = sys_mono_us(h->core->sys) - start_us;
    }
    h->credit_us -= spent_us;
}

bool http_turn(struct http *h)
{
    if (LIKELY(!any_due(h))) return false;
    int64_t now_us = grant_credit(h);
    run_due(h, now_us);
    if (any_due(h) && h->credit_us <= 0 && !loop_timer_active(&h->rest))
        loop_timer_start(h->core->loop, &h->rest, HTTP_REST_MS, 0, on_rested, h);
    return any_due(h) && h->credit_us > 0;
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
    h->fresh.last = &h->fresh.first;
    h->others.last = &h->others.first;
    h->credit_us = HTTP_CREDIT_US;
    h->credited_us = sys_mono_us(core->sys);
    return h;
}

void http_free(struct http *h)
{
    if (h == NULL) return;
    while (h->first != NULL) end(h->first);
    loop_timer_stop(&h->rest);
    mem_free(h);
}

void http_get_stats(const struct http *h, struct http_stats *out)
{
    *out = h->stats;
}
