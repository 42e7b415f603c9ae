/* alone.h -- one sentinel, whose host the test plays: what it sends, tells and saves is recorded as text. */
#ifndef LOCKSTEP_TESTS_UNIT_REPLICATION_SENTINEL_ALONE_H
#define LOCKSTEP_TESTS_UNIT_REPLICATION_SENTINEL_ALONE_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <cmocka.h>

#include "replication/sentinel/sentinel_internal.h"
#include "storage/base/memory.h"
#include "storage/base/words.h"

#define MY_ID   "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define PEER_ID "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define HIST_A  "1111111111111111111111111111111111111111"
#define HIST_B  "2222222222222222222222222222222222222222"

struct alone {
    struct sentinel *s;
    int64_t now;
    uint64_t random;
    struct bytes_buf sent;   /* "<node> <words>\n" */
    struct bytes_buf events; /* "<type> <text>\n" */
    struct bytes_buf links;  /* "connect <node>\n" */
    struct bytes_buf file;
    struct {
        struct sentinel_node *node;
        unsigned tag;
    } expected[512]; /* answers that are due, in order */
    size_t expected_count;
    int save_result, saves;
    const char *known_name, *known_ip; /* what resolve() knows */
};

static int64_t alone_now(void *ctx)
{
    return ((struct alone *)ctx)->now;
}

static uint64_t alone_random(void *ctx)
{
    return ((struct alone *)ctx)->random += 0x9e3779b97f4a7c15u;
}

static void alone_connect(void *ctx, struct sentinel_node *node)
{
    bytes_buf_printf(&((struct alone *)ctx)->links, "connect %s\n", sentinel_node_name(node));
}

static void alone_disconnect(void *ctx, struct sentinel_node *node)
{
    struct alone *a = ctx;
    for (size_t i = 0; i < a->expected_count; i++)
        if (a->expected[i].node == node) a->expected[i].node = NULL;
    bytes_buf_printf(&a->links, "disconnect %s\n", sentinel_node_name(node));
}

static void alone_reconnect(void *ctx, struct sentinel_node *node, enum sentinel_which which)
{
    bytes_buf_printf(&((struct alone *)ctx)->links, "reconnect %s %s\n", sentinel_node_name(node),
                     which == SENTINEL_LINK_COMMANDS ? "commands" : "hellos");
}

static bool alone_send(void *ctx, struct sentinel_node *node, unsigned tag, int argc, const struct bytes_view *argv)
{
    struct alone *a = ctx;
    bytes_buf_printf(&a->sent, "%s", sentinel_node_name(node));
    for (int i = 0; i < argc; i++) bytes_buf_printf(&a->sent, " %.*s", (int)argv[i].len, argv[i].data);
    bytes_buf_printf(&a->sent, "\n");
    assert_true(a->expected_count < 512);
    a->expected[a->expected_count].node = node;
    a->expected[a->expected_count++].tag = tag;
    return true;
}

static bool alone_local_ip(void *ctx, struct sentinel_node *node, char out[SENTINEL_IP_SIZE])
{
    snprintf(out, SENTINEL_IP_SIZE, "10.0.1.1");
    return true;
}

static int alone_port(void *ctx)
{
    return 26379;
}

static void alone_event(void *ctx, enum sentinel_level level, const char *type, const struct sentinel_node *master,
                        const char *text)
{
    bytes_buf_printf(&((struct alone *)ctx)->events, "%s %s\n", type, text);
}

static void alone_log(void *ctx, enum sentinel_level level, const char *text) {}

static void alone_reconfig(void *ctx, const struct sentinel_node *master, const char *role, const char *state,
                           const char *from_host, int from_port, const char *to_host, int to_port)
{
    bytes_buf_printf(&((struct alone *)ctx)->events, "script %s %s %s %s %d %s %d\n", sentinel_node_name(master), role,
                     state, from_host, from_port, to_host, to_port);
}

static void alone_line(void *ctx, const char *directive, const char *line)
{
    bytes_buf_printf(ctx, "%s\n", line);
}

static int alone_save(void *ctx)
{
    struct alone *a = ctx;
    a->saves++;
    if (a->save_result != 0) return a->save_result;
    bytes_buf_release(&a->file);
    sentinel_config_lines(a->s, &(struct sentinel_line_out){&a->file, alone_line});
    return 0;
}

static int alone_resolve(void *ctx, const char *name, char ip[SENTINEL_IP_SIZE])
{
    struct alone *a = ctx;
    if (a->known_name == NULL || strcasecmp(name, a->known_name) != 0) return -EAGAIN;
    snprintf(ip, SENTINEL_IP_SIZE, "%s", a->known_ip);
    return 0;
}

static bool alone_script(void *ctx, const char *path)
{
    return strcmp(path, "/bin/true") == 0;
}

static void alone_crash(void *ctx)
{
    bytes_buf_printf(&((struct alone *)ctx)->events, "crash\n");
}

/* Lines of a file, each without "sentinel" and with a line end. 0, or the number of the wrong one with *err. */
static int alone_read(struct alone *a, const char *lines, struct sentinel_error *err)
{
    int at = 0, line = 0;
    for (const char *end; *lines != '\0'; lines = end + 1) {
        struct word_list words;
        end = strchr(lines, '\n');
        assert_non_null(end);
        assert_int_equal(words_split(bytes_view(lines, (size_t)(end - lines)), &words), 0);
        bool known = sentinel_config_line(a->s, ++at, (int)words.count, (const char *const *)words.words);
        words_release(&words);
        if (!known) return at;
    }
    return sentinel_config_end(a->s, &line, err) == 0 ? 0 : line;
}

static void alone_new(struct alone *a)
{
    struct sentinel_host host = {.ctx = a,
                                 .now = alone_now,
                                 .random = alone_random,
                                 .connect = alone_connect,
                                 .disconnect = alone_disconnect,
                                 .reconnect = alone_reconnect,
                                 .send = alone_send,
                                 .local_ip = alone_local_ip,
                                 .listening_port = alone_port,
                                 .event = alone_event,
                                 .log = alone_log,
                                 .reconfig = alone_reconfig,
                                 .save = alone_save,
                                 .resolve = alone_resolve,
                                 .script_usable = alone_script,
                                 .crash = alone_crash};
    *a = (struct alone){.now = 5000000};
    a->s = sentinel_new(&host);
}

static void alone_begin(struct alone *a, const char *lines)
{
    struct sentinel_error err = {""};
    alone_new(a);
    int wrong = alone_read(a, lines, &err);
    if (wrong != 0) fail_msg("line %d: %s", wrong, err.text);
    assert_int_equal(sentinel_start(a->s), 0);
}

#define ONE_MASTER "myid " MY_ID "\nmonitor mymaster 10.0.0.1 6379 2\ndown-after-milliseconds mymaster 1000\n"

static void alone_end(struct alone *a)
{
    sentinel_free(a->s);
    bytes_buf_release(&a->sent);
    bytes_buf_release(&a->events);
    bytes_buf_release(&a->links);
    bytes_buf_release(&a->file);
}

/* Text that was recorded: compares it with what is expected, and clears it. */
static void expect_text(struct bytes_buf *b, const char *expected)
{
    bytes_buf_append(b, "", 1);
    assert_string_equal(b->data, expected);
    bytes_buf_release(b);
}

static bool has_text(struct bytes_buf *b, const char *part)
{
    bytes_buf_append(b, "", 1);
    b->len--;
    return strstr(b->data, part) != NULL;
}

static void expect_part(struct bytes_buf *b, const char *part)
{
    if (!has_text(b, part)) fail_msg("no \"%s\" in: %s", part, b->data);
}

static void alone_forget(struct alone *a)
{
    bytes_buf_release(&a->sent);
    bytes_buf_release(&a->events);
    bytes_buf_release(&a->links);
}

static struct sentinel_node *the_master(struct alone *a)
{
    return sentinel_find_master(a->s, "mymaster");
}

static void alone_ticks(struct alone *a, int64_t ms)
{
    for (int64_t end = a->now + ms; a->now < end;) {
        a->now += 10;
        sentinel_tick(a->s);
    }
}

static void link_up(struct alone *a, struct sentinel_node *node)
{
    sentinel_link_up(a->s, node, SENTINEL_LINK_COMMANDS);
}

static struct sentinel_value status(const char *text)
{
    return (struct sentinel_value){.kind = SENTINEL_REPLY_STATUS, .text = bytes_str(text)};
}

static struct sentinel_value error_value(const char *text)
{
    return (struct sentinel_value){.kind = SENTINEL_REPLY_ERROR, .text = bytes_str(text)};
}

static struct sentinel_value text_value(const char *text)
{
    return (struct sentinel_value){.kind = SENTINEL_REPLY_STRING, .text = bytes_str(text)};
}

static inline struct sentinel_value number_value(int64_t n)
{
    return (struct sentinel_value){.kind = SENTINEL_REPLY_INTEGER, .integer = n};
}

/* Answers the oldest command of a kind that the node has not answered. False: there is none. */
static bool try_answer(struct alone *a, struct sentinel_node *node, enum tag kind, const struct sentinel_value *v)
{
    for (size_t i = 0; i < a->expected_count; i++) {
        if (a->expected[i].node != node || (a->expected[i].tag & 0xff) != kind) continue;
        unsigned tag = a->expected[i].tag;
        a->expected[i].node = NULL;
        sentinel_reply(a->s, node, tag, v);
        return true;
    }
    return false;
}

static void answer(struct alone *a, struct sentinel_node *node, enum tag kind, struct sentinel_value v)
{
    if (!try_answer(a, node, kind, &v)) fail_msg("%s was not asked that", node->name);
}

static void hello(struct alone *a, const char *text)
{
    sentinel_hello(a->s, NULL, bytes_str(text));
}

#define PEER_HELLO "10.0.1.2,26379," PEER_ID ",0,mymaster,10.0.0.1,6379,0"

static struct sentinel_node *add_peer(struct alone *a)
{
    hello(a, PEER_HELLO);
    struct sentinel_node *peer = sentinel_next_peer(the_master(a), NULL);
    assert_non_null(peer);
    link_up(a, peer);
    return peer;
}

/* A master with one replica, connected and known. */
static struct sentinel_node *add_replica(struct alone *a)
{
    link_up(a, the_master(a));
    answer(a, the_master(a), TAG_PING, status("PONG"));
    answer(a, the_master(a), TAG_INFO,
           text_value("run_id:cccccccccccccccccccccccccccccccccccccccc\r\nrole:master\r\nconnected_slaves:1\r\n"
                      "slave0:ip=10.0.0.2,port=6379,state=online,offset=100,lag=0\r\n"
                      "master_failover_state:no-failover\r\nmaster_replid:" HIST_A "\r\nmaster_repl_offset:100\r\n"));
    struct sentinel_node *replica = sentinel_next_replica(the_master(a), NULL);
    assert_non_null(replica);
    link_up(a, replica);
    answer(a, replica, TAG_PING, status("PONG"));
    return replica;
}

#define REPLICA_INFO                                                                                                   \
    "run_id:dddddddddddddddddddddddddddddddddddddddd\r\nloading:0\r\nrole:slave\r\nmaster_host:10.0.0.1\r\n"           \
    "master_port:6379\r\nmaster_link_status:up\r\nmaster_sync_in_progress:0\r\nslave_repl_offset:100\r\n"              \
    "slave_priority:100\r\nreplica_announced:1\r\nmaster_replid:" HIST_A "\r\n"

#endif
