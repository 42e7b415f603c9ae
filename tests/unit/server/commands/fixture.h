/* fixture.h -- a server that does not listen, with clients over socket pairs: commands in, replies and stream out.
 *
 *     CHECK(f, "LPUSH l a b", ":2");           runs a command as client 0; its reply, written as below
 *     CHECK_AS(f, 1, "BLPOP l 0", "");         as another client; "": no reply yet
 *     CHECK_REPLY(f, 1, "[l b]");              what a client has been sent since the last look
 *     CHECK_STREAM(f, "LPUSH l a b|LPOP l");   what was replicated since the last look
 *
 * A command is a line of words, quoted as in redis.conf: "a b", "\x00", ''. A reply is written without lengths:
 *     +OK :1 -ERR text  as they are        abc ''           bulk strings, quoted if they are empty or not plain
 *     nil               a null             [a :1]           an array
 *     {k v} ~[a b] >[a] RESP3: map, set, push        ,1.5 #t (1 =txt:a RESP3: double, boolean, big number, verbatim
 *
 * Both clocks stand at START_MS until later_ms(). SELECT 0 of the stream is left out. */
#ifndef LOCKSTEP_TESTS_UNIT_SERVER_COMMANDS_FIXTURE_H
#define LOCKSTEP_TESTS_UNIT_SERVER_COMMANDS_FIXTURE_H

#include <ctype.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "replication/replication.h"
#include "server/clients/blocking.h"
#include "server/clients/clients.h"
#include "server/clients/key_waits.h"
#include "server/commands/tables.h"
#include "server/dispatch/dispatch.h"
#include "server/house.h"
#include "server/operation/turn_end.h"
#include "storage/base/memory.h"
#include "storage/base/words.h"

#define START_MS INT64_C(1700000000000)

enum { FIXTURE_CLIENTS = 4, FIXTURE_TURNS = 6 };

struct fixture {
    struct settings settings;
    struct config *config;
    struct server *server;
    struct sys sys; /* sys_real(), except for the clocks */
    int64_t now_ms;
    struct client *clients[FIXTURE_CLIENTS];
    int fds[FIXTURE_CLIENTS];
    struct repl_stream_reader stream;
    struct bytes_buf raw, text;
};

static inline int64_t fixture_wall_us(void *ctx)
{
    return ((struct fixture *)ctx)->now_ms * 1000;
}
static inline int64_t fixture_mono_us(void *ctx)
{
    return ((struct fixture *)ctx)->now_ms * 1000 - 1000;
}

/* ---- Replies as text ---- */

static inline void fixture_word(struct bytes_view v, struct bytes_buf *out)
{
    bool plain = v.len > 0;
    for (size_t i = 0; i < v.len && plain; i++) plain = isgraph((unsigned char)v.data[i]) && v.data[i] != '"';
    if (plain) {
        bytes_buf_append_view(out, v);
    } else if (v.len == 0) {
        bytes_buf_append(out, "''", 2);
    } else {
        char *text = bytes_to_text(v);
        word_append_quoted(out, text);
        mem_free(text);
    }
}

static inline const char *fixture_value(const char *p, const char *end, struct bytes_buf *out);

static inline const char *fixture_values(const char *p, const char *end, long count, const char *around,
                                         struct bytes_buf *out)
{
    bytes_buf_append(out, around, 1);
    for (long i = 0; i < count; i++) {
        if (i > 0) bytes_buf_append(out, " ", 1);
        p = fixture_value(p, end, out);
    }
    bytes_buf_append(out, around + 1, 1);
    return p;
}

static inline const char *fixture_value(const char *p, const char *end, struct bytes_buf *out)
{
    const char *cr = memchr(p, '\r', (size_t)(end - p));
    if (cr == NULL || cr + 1 >= end || cr[1] != '\n') fail_msg("a reply is cut off");
    long n = strtol(p + 1, NULL, 10);
    char type = *p;
    struct bytes_view line = bytes_view(p, (size_t)(cr - p));
    p = cr + 2;
    if (type == '_' || (n < 0 && strchr("$*", type) != NULL)) {
        bytes_buf_append(out, "nil", 3);
        return p;
    }
    switch (type) {
    case '$': fixture_word(bytes_view(p, (size_t)n), out); return p + n + 2;
    case '=': bytes_buf_printf(out, "=%.*s", (int)n, p); return p + n + 2;
    case '~':
    case '>': bytes_buf_append(out, &type, 1); /* fall through */
    case '*': return fixture_values(p, end, n, "[]", out);
    case '%': return fixture_values(p, end, 2 * n, "{}", out);
    default: bytes_buf_append_view(out, line); return p;
    }
}

/* Several replies have blanks between them. */
static inline const char *fixture_text(struct fixture *f)
{
    const char *p = f->raw.data, *end = p + f->raw.len;
    f->text.len = 0;
    while (p < end) {
        if (f->text.len > 0) bytes_buf_append(&f->text, " ", 1);
        p = fixture_value(p, end, &f->text);
    }
    bytes_buf_append(&f->text, "", 1);
    return f->text.data;
}

/* ---- Commands ---- */

/* The end of a turn, as in on_turn() of server.c, without expiry, eviction and files. */
static inline void fixture_turns(struct fixture *f)
{
    struct server *s = f->server;
    for (int i = 0; i < FIXTURE_TURNS; i++) {
        clock_update(&s->core);
        loop_poll_turn(s->core.loop);
        dispatcher_run(s->dispatcher);
        blocking_check_timeouts(s->clients->blocking);
        if (s->core.due & DUE_KEY_WAITS) key_waits_serve(s->clients->key_waits);
        clients_reap(s->clients);
        turn_end_send(&s->core, s->lineage, s->aof, s->clients);
        clients_reap(s->clients);
    }
}

static inline void fixture_read(struct fixture *f, int client)
{
    char buf[65536];
    ssize_t n;
    while ((n = recv(f->fds[client], buf, sizeof(buf), MSG_DONTWAIT)) > 0) {
        bytes_buf_append(&f->raw, buf, (size_t)n);
        fixture_turns(f); /* there may be more than a socket holds */
    }
}

static inline void fixture_request(const char *line, struct bytes_buf *out)
{
    struct word_list w;
    struct bytes_buf word = {0};
    assert_int_equal(words_split(bytes_str(line), &w), 0);
    bytes_buf_printf(out, "*%zu\r\n", w.count);
    for (size_t i = 0; i < w.count; i++) {
        word.len = 0;
        bytes_from_text(w.words[i], &word);
        bytes_buf_printf(out, "$%zu\r\n", word.len);
        bytes_buf_append(out, word.data, word.len);
        bytes_buf_append(out, "\r\n", 2);
    }
    bytes_buf_release(&word);
    words_release(&w);
}

/* Sends a command and returns the reply as text, valid until the next call. */
static inline const char *run_as(struct fixture *f, int client, const char *line)
{
    struct bytes_buf request = {0};
    fixture_request(line, &request);
    for (size_t at = 0, idle = 0; at < request.len && idle < 100; idle++) { /* the server may stop reading */
        ssize_t n = send(f->fds[client], request.data + at, request.len - at, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n == -1 && errno != EAGAIN) break;
        if (n > 0) at += (size_t)n, idle = 0;
        fixture_turns(f);
    }
    bytes_buf_release(&request);
    f->raw.len = 0;
    fixture_read(f, client);
    return fixture_text(f);
}
static inline const char *run(struct fixture *f, const char *line)
{
    return run_as(f, 0, line);
}

static inline void fixture_compare(const char *what, const char *got, const char *wanted, const char *file, int line)
{
    if (strcmp(got, wanted) != 0) {
        print_error("%s\n  is       %s\n  and not  %s\n", what, got, wanted);
        _fail(file, line);
    }
}
#define CHECK(f, command, reply) fixture_compare(command, run(f, command), reply, __FILE__, __LINE__)
#define CHECK_AS(f, client, command, reply)                                                                            \
    fixture_compare(command, run_as(f, client, command), reply, __FILE__, __LINE__)
#define CHECK_REPLY(f, client, reply)                                                                                  \
    fixture_compare("the client", fixture_received(f, client), reply, __FILE__, __LINE__)
#define CHECK_STREAM(f, wanted) fixture_compare("the stream", fixture_replicated(f), wanted, __FILE__, __LINE__)

static inline const char *fixture_received(struct fixture *f, int client)
{
    fixture_turns(f);
    f->raw.len = 0;
    fixture_read(f, client);
    return fixture_text(f);
}

/* What the stream got since the last call, as "DEL a|SET b 1". */
static inline const char *fixture_replicated(struct fixture *f)
{
    struct iovec iov[64];
    f->raw.len = f->text.len = 0;
    int n = repl_stream_peek(&f->stream, iov, 64);
    for (int i = 0; i < n; i++) bytes_buf_append(&f->raw, iov[i].iov_base, iov[i].iov_len);
    repl_stream_advance(&f->stream, f->raw.len);
    const char *p = f->raw.data, *end = p + f->raw.len;
    while (p < end) {
        size_t before = f->text.len;
        if (before > 0) bytes_buf_append(&f->text, "|", 1);
        char *next;
        long argc = strtol(p + 1, &next, 10);
        p = next + 2;
        size_t start = f->text.len;
        for (long i = 0; i < argc; i++) {
            if (i > 0) bytes_buf_append(&f->text, " ", 1);
            p = fixture_value(p, end, &f->text);
        }
        if (f->text.len - start == 8 && memcmp(f->text.data + start, "SELECT 0", 8) == 0) f->text.len = before;
    }
    bytes_buf_append(&f->text, "", 1);
    return f->text.data;
}

/* Both clocks go on; what is due then happens, except for the expiry cycle. */
static inline void later_ms(struct fixture *f, int64_t ms)
{
    f->now_ms += ms;
    fixture_turns(f);
}

/* ---- Life ---- */

static inline void fixture_open(struct fixture *f, int client)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    f->fds[client] = fds[1];
    f->clients[client] = client_new(f->server->clients, conn_adopt(f->server->core.loop, fds[0]));
}

static inline void fixture_init(struct fixture *f, const char *directives)
{
    struct config_failure failure;
    *f = (struct fixture){.now_ms = START_MS, .sys = *sys_real()};
    f->sys.ctx = f;
    f->sys.wall_us = fixture_wall_us;
    f->sys.mono_us = fixture_mono_us;
    f->config = config_new(&f->settings, &f->sys, &(struct config_hooks){0});
    assert_int_equal(config_load_text(f->config, BYTES_LIT("port 0\nsave \"\"\nenable-debug-command yes\n"), &failure),
                     0);
    assert_int_equal(config_load_text(f->config, bytes_str(directives), &failure), 0);
    f->server = server_new(f->config, &f->settings, command_row_tables(), &f->sys, NULL);
    assert_non_null(f->server);
    repl_aof_want(f->server->core.repl, true);
    repl_aof_start(f->server->core.repl, &f->stream);
    for (int i = 0; i < FIXTURE_CLIENTS; i++) fixture_open(f, i);
}

static inline void fixture_release(struct fixture *f)
{
    for (int i = 0; i < FIXTURE_CLIENTS; i++) close(f->fds[i]);
    repl_aof_stop(f->server->core.repl, &f->stream);
    server_free(f->server);
    config_free(f->config);
    bytes_buf_release(&f->raw);
    bytes_buf_release(&f->text);
}

static inline int setup_with(void **state, const char *directives)
{
    struct fixture *f = mem_calloc(sizeof(*f));
    fixture_init(f, directives);
    *state = f;
    return 0;
}
static inline int setup(void **state)
{
    return setup_with(state, "");
}
static inline int teardown(void **state)
{
    fixture_release(*state);
    mem_free(*state);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
