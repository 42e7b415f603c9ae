#include "tests/simulation/client.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/net/loop.h"
#include "storage/base/assert.h"
#include "storage/base/num.h"

enum { ITEMS_DEPTH_MAX = 16, SERVER_PORT = 6379 };

static struct sim_client *clients;

/* ---- replies ---- */

static int64_t number_of(const char *digits)
{
    bool negative = *digits == '-';
    uint64_t n = 0;
    for (digits += negative; *digits >= '0' && *digits <= '9'; digits++) n = n * 10 + (uint64_t)(*digits - '0');
    return (int64_t)(negative ? 0 - n : n);
}

/* Reads a reply but for its items, which follow it: how many bytes it takes. 0: they are not complete. */
static size_t read_head(const char *data, size_t len, struct sim_reply *out)
{
    const char *line_end = len > 0 ? memchr(data, '\r', len) : NULL;
    *out = (struct sim_reply){0};
    if (line_end == NULL || (size_t)(line_end - data) + 2 > len) return 0;
    size_t line = (size_t)(line_end - data) + 2;
    int64_t number = number_of(data + 1);
    out->type = data[0];
    out->integer = number;
    switch (data[0]) {
    case '$':
    case '=':
    case '!':
        out->is_null = number < 0;
        if (number < 0) return line;
        if (len < line + (size_t)number + 2) return 0;
        out->text = bytes_view(data + line, (size_t)number);
        return line + (size_t)number + 2;
    case '*':
    case '~':
    case '>':
        out->is_null = number < 0;
        out->count = number > 0 ? (size_t)number : 0;
        return line;
    case '%': out->count = (size_t)number * 2; return line;
    case '_': out->is_null = true; return line;
    default: out->text = bytes_view(data + 1, line - 3); return line;
    }
}

/* Passes over replies from *at on, until *missing of them are complete with their items. False: bytes are missing; it
 * goes on from there when they have come. */
static bool pass_over(const char *data, size_t len, size_t *at, uint64_t *missing)
{
    struct sim_reply r;
    for (; *missing > 0; *missing += r.count - 1) {
        size_t used = read_head(data + *at, len - *at, &r);
        if (used == 0) return false;
        *at += used;
    }
    return true;
}

/* Of a complete reply: how many bytes it takes. */
static size_t parse(const char *data, size_t len, int depth, struct sim_reply *out)
{
    size_t at = read_head(data, len, out);
    size_t kept = out->count < SIM_REPLY_ITEMS ? out->count : SIM_REPLY_ITEMS;
    uint64_t missing = out->count - kept;
    ASSERT(at > 0 && depth < ITEMS_DEPTH_MAX);
    if (kept > 0) out->items = calloc(kept, sizeof(*out->items));
    for (size_t i = 0; i < kept; i++) at += parse(data + at, len - at, depth + 1, &out->items[i]);
    bool is_complete = pass_over(data, len, &at, &missing);
    ASSERT(is_complete);
    return at;
}

static void reply_release(struct sim_reply *r)
{
    for (size_t i = 0; i < r->count && i < SIM_REPLY_ITEMS; i++) reply_release(&r->items[i]);
    free(r->items);
    r->items = NULL;
    r->count = 0;
}

bool sim_reply_is(const struct sim_reply *r, const char *text)
{
    return r->text.len == strlen(text) && memcmp(r->text.data, text, r->text.len) == 0;
}

bool sim_reply_starts(const struct sim_reply *r, const char *text)
{
    return r->text.len >= strlen(text) && memcmp(r->text.data, text, strlen(text)) == 0;
}

void sim_reply_print(const struct sim_reply *r, struct bytes_buf *out)
{
    enum { SHOWN = 60 };
    if (r->is_null) {
        bytes_buf_printf(out, "nil");
    } else if (r->count > 0 || r->type == '*') {
        bytes_buf_printf(out, "[");
        for (size_t i = 0; i < r->count && i < SIM_REPLY_ITEMS; i++) {
            if (i > 0) bytes_buf_printf(out, ", ");
            sim_reply_print(&r->items[i], out);
        }
        bytes_buf_printf(out, r->count > SIM_REPLY_ITEMS ? ", ...]" : "]");
    } else if (r->type == ':') {
        bytes_buf_printf(out, "%lld", (long long)r->integer);
    } else {
        bytes_buf_printf(out, "%s%.*s", r->type == '-' ? "-" : "", (int)(r->text.len < SHOWN ? r->text.len : SHOWN),
                         r->text.data);
    }
}

/* ---- bytes ---- */

static void flush(struct sim_client *c)
{
    while (c->is_connected && c->out_used < c->out.len) {
        ssize_t n = sim_end_write(c->end, c->out.data + c->out_used, c->out.len - c->out_used);
        if (n <= 0) break; /* no room, or an error that reading finds, too */
        c->out_used += (size_t)n;
    }
    if (c->out_used < c->out.len) return;
    c->out_used = c->out.len = 0;
}

static void drop(struct sim_client *c)
{
    if (c->end != NULL) sim_end_close(c->end);
    c->end = NULL;
    c->is_connected = false;
    c->out.len = c->out_used = c->in.len = c->in_used = c->passed = 0;
    c->missing = 0;
    c->sent = c->answered = 0;
    c->connection++;
}

static void has_closed(struct sim_client *c, int error)
{
    drop(c);
    sim_trace(c->name, "connection to %s: %s", c->target->name, error == 0 ? "closed" : strerror(error));
    if (c->events->closed != NULL) c->events->closed(c, error);
}

/* Callbacks may close the connection or make another. */
static void run_replies(struct sim_client *c)
{
    uint64_t connection = c->connection;
    while (c->connection == connection && c->in_used < c->in.len) {
        struct sim_reply reply;
        if (c->missing == 0) c->missing = 1;
        if (!pass_over(c->in.data, c->in.len, &c->passed, &c->missing)) break;
        if (c->events->wants_type_only)
            reply = (struct sim_reply){.type = c->in.data[c->in_used]};
        else
            parse(c->in.data + c->in_used, c->passed - c->in_used, 0, &reply);
        c->in_used = c->passed;
        if (reply.type != '>') c->answered++;
        if (c->events->reply != NULL) c->events->reply(c, &reply);
        reply_release(&reply);
    }
    if (c->connection != connection) return;
    if (c->in_used == 0) return;
    memmove(c->in.data, c->in.data + c->in_used, c->in.len - c->in_used);
    c->in.len -= c->in_used;
    c->passed -= c->in_used;
    c->in_used = 0;
}

static void receive(struct sim_client *c)
{
    uint64_t connection = c->connection;
    while (c->connection == connection && !c->is_slow) {
        char chunk[16384];
        ssize_t n = sim_end_read(c->end, chunk, sizeof(chunk));
        if (n == -EAGAIN) return;
        if (n <= 0) {
            has_closed(c, (int)-n);
            return;
        }
        bytes_buf_append(&c->in, chunk, (size_t)n);
        run_replies(c);
    }
}

static void changed(void *owner)
{
    struct sim_client *c = owner;
    if (!c->is_connected) {
        int rc = sim_end_result(c->end);
        if (rc == -EINPROGRESS) return;
        if (rc != 0) {
            has_closed(c, -rc);
            return;
        }
        c->is_connected = true;
        sim_trace(c->name, "is connected to %s", c->target->name);
        uint64_t connection = c->connection;
        if (c->events->connected != NULL) c->events->connected(c);
        if (c->connection != connection) return;
    }
    flush(c);
    receive(c);
}

/* ---- what owners call ---- */

struct sim_client *sim_client_new(const char *name, const struct sim_client_events *events, void *ctx)
{
    struct sim_client *c = calloc(1, sizeof(*c));
    ASSERT(c != NULL);
    snprintf(c->name, sizeof(c->name), "%s", name);
    c->host = sim_host_new(name, NULL);
    c->events = events;
    c->ctx = ctx;
    c->next = clients;
    clients = c;
    return c;
}

void sim_client_connect(struct sim_client *c, struct sim_node *target)
{
    drop(c);
    c->target = target;
    c->end = sim_connect(c->host, target->host->address, SERVER_PORT, changed, c);
}

void sim_client_close(struct sim_client *c)
{
    drop(c);
}

void sim_client_send_raw(struct sim_client *c, const void *bytes, size_t len, unsigned commands)
{
    if (c->end == NULL) return;
    bytes_buf_append(&c->out, bytes, len);
    c->sent += commands;
    flush(c);
}

static void put_header(struct bytes_buf *out, char type, size_t number)
{
    char line[NUM_U64_MAX_CHARS + 3] = {type};
    size_t len = 1 + num_format_u64(line + 1, number);
    line[len++] = '\r';
    line[len++] = '\n';
    bytes_buf_append(out, line, len);
}

void sim_client_send(struct sim_client *c, const struct bytes_view *args, size_t count)
{
    if (c->end == NULL) return;
    put_header(&c->out, '*', count);
    for (size_t i = 0; i < count; i++) {
        put_header(&c->out, '$', args[i].len);
        bytes_buf_append(&c->out, args[i].data, args[i].len);
        bytes_buf_append(&c->out, "\r\n", 2);
    }
    c->sent++;
    flush(c);
}

void sim_client_sendf(struct sim_client *c, const char *fmt, ...)
{
    enum { WORDS_MAX = 32 };
    char text[1024];
    struct bytes_view args[WORDS_MAX];
    size_t count = 0;
    va_list list;
    va_start(list, fmt);
    vsnprintf(text, sizeof(text), fmt, list);
    va_end(list);
    for (char *at = text; *at != '\0' && count < WORDS_MAX;) {
        size_t len = strcspn(at, " ");
        if (len > 0) args[count++] = bytes_view(at, len);
        at += len;
        if (*at == ' ') at++;
    }
    sim_trace(c->name, "-> %s: %s", c->target->name, text);
    sim_client_send(c, args, count);
}

void sim_client_set_slow(struct sim_client *c, bool slow)
{
    c->is_slow = slow;
    if (!slow && c->is_connected) receive(c);
}

void sim_clients_begin(void)
{
    clients = NULL;
}

void sim_clients_end(void)
{
    while (clients != NULL) {
        struct sim_client *c = clients;
        clients = c->next;
        drop(c);
        bytes_buf_release(&c->out);
        bytes_buf_release(&c->in);
        free(c);
    }
}
