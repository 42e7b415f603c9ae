#include "replication/handshake.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "replication/identity.h"
#include "storage/base/num.h"

static void put_command(struct bytes_buf *out, int argc, const char *const *argv)
{
    bytes_buf_printf(out, "*%d\r\n", argc);
    for (int i = 0; i < argc; i++) {
        struct bytes_buf arg = {0};
        bytes_from_text(argv[i], &arg); /* a password may hold any byte, so settings store it encoded */
        bytes_buf_printf(out, "$%zu\r\n", arg.len);
        bytes_buf_append_view(out, bytes_buf_view(&arg));
        bytes_buf_append(out, "\r\n", 2);
        bytes_buf_release(&arg);
    }
}
#define PUT(out, ...)                                                                                                  \
    put_command(out, (int)(sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *)), (const char *const[]){__VA_ARGS__})

/* The text of the peer goes into the log, so control bytes are replaced. */
static void set_error(struct handshake *h, const char *what, struct bytes_view line)
{
    int n = snprintf(h->error, sizeof(h->error), "%s: '%.*s'", what, bytes_shown(line, 160), line.data);
    for (int i = 0; i < n && (size_t)i < sizeof(h->error) - 1; i++)
        if ((unsigned char)h->error[i] < ' ') h->error[i] = '?';
}

void handshake_begin(struct handshake *h, struct bytes_buf *out)
{
    *h = (struct handshake){.step = HANDSHAKE_PING, .due = 1u << HANDSHAKE_PING};
    PUT(out, "PING");
}

static void expect(struct handshake *h, enum handshake_step step)
{
    h->due |= 1u << step;
}

#define COMMON_CAPAS                                                                                                   \
    "capa", "eof", "capa", "psync2", "capa", REPL_CAPA_FIELD_TIMES, "capa", REPL_CAPA_VERIFY, "capa",                  \
        REPL_CAPA_PROMOTION

static void introduce(struct handshake *h, const struct handshake_options *o, struct bytes_buf *out)
{
    char port[16];
    if (o->password != NULL) {
        if (o->user != NULL)
            PUT(out, "AUTH", o->user, o->password);
        else
            PUT(out, "AUTH", o->password);
        expect(h, HANDSHAKE_AUTH);
    }
    snprintf(port, sizeof(port), "%d", o->port);
    PUT(out, "REPLCONF", "listening-port", port);
    expect(h, HANDSHAKE_PORT);
    if (o->announce_ip != NULL) {
        PUT(out, "REPLCONF", "ip-address", o->announce_ip);
        expect(h, HANDSHAKE_IP);
    }
    if (o->not_master)
        PUT(out, "REPLCONF", COMMON_CAPAS, "capa", REPL_CAPA_NOT_MASTER);
    else
        PUT(out, "REPLCONF", COMMON_CAPAS);
    expect(h, HANDSHAKE_CAPA);
    PUT(out, "REPLCONF", "version", o->version);
    expect(h, HANDSHAKE_VERSION);
}

static enum handshake_verdict fail(struct handshake *h, const char *what, struct bytes_view line)
{
    set_error(h, what, line);
    h->step = HANDSHAKE_OVER;
    return HANDSHAKE_LATER;
}

/* ---- PING, AUTH, REPLCONF ---- */

/* A master that requires a password, or does not allow us PING, still answers: AUTH comes next. One whose disk fails
 * answers so, too, and can still serve us from its backlog. A replica that lost its link to us (MASTERDOWN, with
 * replica-serve-stale-data no) can still take over from us. */
static bool pong_is_good(struct bytes_view line)
{
    return bytes_starts_with(line, "+") || bytes_starts_with(line, "-NOAUTH") || bytes_starts_with(line, "-NOPERM") ||
           bytes_starts_with(line, "-MISCONF") || bytes_starts_with(line, "-MASTERDOWN") ||
           bytes_starts_with(line, "-ERR operation not permitted");
}

static enum handshake_verdict next_step(struct handshake *h)
{
    while (h->step < HANDSHAKE_PSYNC && (h->due & 1u << h->step) == 0) h->step++;
    return h->step == HANDSHAKE_PSYNC ? HANDSHAKE_ASK_PSYNC : HANDSHAKE_WAIT;
}

static enum handshake_verdict on_pong(struct handshake *h, struct bytes_view line, const struct handshake_options *o,
                                      struct bytes_buf *out)
{
    if (!pong_is_good(line)) return fail(h, "Error reply to PING from master", line);
    introduce(h, o, out);
    return next_step(h);
}

static enum handshake_verdict on_introduced(struct handshake *h, struct bytes_view line)
{
    if (h->step == HANDSHAKE_AUTH && !bytes_starts_with(line, "+")) return fail(h, "Unable to AUTH to MASTER", line);
    /* An error reply to REPLCONF is fine: the master does not know the option and does without it. */
    if (!bytes_starts_with(line, "+") && !bytes_starts_with(line, "-"))
        return fail(h, "Unexpected reply to REPLCONF", line);
    if (h->step == HANDSHAKE_CAPA) h->master_hands_over = bytes_equal(line, BYTES_LIT("+OK " REPL_CAPA_PROMOTION));
    h->due &= ~(1u << h->step);
    return next_step(h);
}

/* ---- PSYNC ---- */

void handshake_psync(struct handshake *h, const char *id, uint64_t position, enum repl_take_over how,
                     struct bytes_buf *out)
{
    char offset[24];
    snprintf(offset, sizeof(offset), "%" PRIu64, position + 1);
    h->asked_by_id = id != NULL;
    h->asked_to_take_over = how != REPL_NO_TAKE_OVER;
    h->step = HANDSHAKE_PSYNC;
    expect(h, HANDSHAKE_PSYNC);
    if (id == NULL)
        PUT(out, "PSYNC", "?", "-1");
    else if (how == REPL_TAKE_OVER)
        PUT(out, "PSYNC", id, offset, "FAILOVER");
    else if (how == REPL_TAKE_OVER_BEHIND)
        PUT(out, "PSYNC", id, offset, "FAILOVER", "FORCE");
    else
        PUT(out, "PSYNC", id, offset);
}

/* "<id> <offset>" or "<id> <offset> <secret>" */
static bool parse_full(struct handshake *h, struct bytes_view rest)
{
    int64_t offset;
    if (rest.len < HANDSHAKE_ID_LEN + 2 || rest.data[HANDSHAKE_ID_LEN] != ' ') return false;
    if (!identity_is_id(bytes_view(rest.data, HANDSHAKE_ID_LEN))) return false;
    struct bytes_view digits = bytes_view(rest.data + HANDSHAKE_ID_LEN + 1, rest.len - HANDSHAKE_ID_LEN - 1);
    const char *space = memchr(digits.data, ' ', digits.len);
    h->has_secret = space != NULL;
    if (space != NULL) {
        const char *end = digits.data + digits.len;
        if (!hash_secret_parse(bytes_view(space + 1, (size_t)(end - space) - 1), &h->secret)) return false;
        digits.len = (size_t)(space - digits.data);
    }
    if (!num_parse_i64(digits, &offset) || offset < 0 || offset == INT64_MAX) return false;
    memcpy(h->id, rest.data, HANDSHAKE_ID_LEN);
    h->id[HANDSHAKE_ID_LEN] = '\0';
    h->position = (uint64_t)offset;
    return true;
}

/* "" or " <id>" */
static bool parse_continue(struct handshake *h, struct bytes_view rest)
{
    h->has_id = false;
    if (rest.len == 0) return true;
    if (rest.data[0] != ' ' || !identity_is_id(bytes_view(rest.data + 1, rest.len - 1))) return false;
    memcpy(h->id, rest.data + 1, HANDSHAKE_ID_LEN);
    h->id[HANDSHAKE_ID_LEN] = '\0';
    h->has_id = true;
    return true;
}

static struct bytes_view after(struct bytes_view line, const char *prefix)
{
    size_t n = strlen(prefix);
    return bytes_view(line.data + n, line.len - n);
}

/* The part of a +FULLRESYNC line in front of its third word, which may be a secret. */
static struct bytes_view loggable(struct bytes_view line)
{
    size_t spaces = 0, len = 0;
    while (len < line.len && (line.data[len] != ' ' || ++spaces < 3)) len++;
    return bytes_view(line.data, len);
}

static enum handshake_verdict on_psync_reply(struct handshake *h, struct bytes_view line, struct bytes_buf *out)
{
    if (bytes_starts_with(line, "+FULLRESYNC ")) {
        if (!parse_full(h, after(line, "+FULLRESYNC ")))
            return fail(h, "Master replied with wrong +FULLRESYNC", loggable(line));
        h->step = HANDSHAKE_OVER;
        return HANDSHAKE_FULL;
    }
    if (bytes_starts_with(line, "+CONTINUE")) {
        if (!h->asked_by_id || !parse_continue(h, after(line, "+CONTINUE")))
            return fail(h, "Master replied with wrong +CONTINUE", line);
        h->step = HANDSHAKE_OVER;
        return HANDSHAKE_CONTINUE;
    }
    if (bytes_starts_with(line, "-NOMASTERLINK") || bytes_starts_with(line, "-LOADING"))
        return fail(h, "Master is currently unable to PSYNC but should be in the future", line);
    if (h->asked_to_take_over) {
        bool is_master = bytes_starts_with(line, REPL_ERROR_IS_MASTER);
        (void)fail(h, "Failover target rejected psync request", line);
        return is_master ? HANDSHAKE_IS_MASTER : HANDSHAKE_REFUSED;
    }
    if (bytes_starts_with(line, "-ERR unknown command")) {
        PUT(out, "SYNC");
        h->step = HANDSHAKE_OVER;
        return HANDSHAKE_OLD;
    }
    return fail(h, "Unexpected reply to PSYNC from master", line);
}

enum handshake_verdict handshake_line(struct handshake *h, struct bytes_view line, const struct handshake_options *o,
                                      struct bytes_buf *out)
{
    switch (h->step) {
    case HANDSHAKE_PING: h->due = 0; return on_pong(h, line, o, out);
    case HANDSHAKE_AUTH:
    case HANDSHAKE_PORT:
    case HANDSHAKE_IP:
    case HANDSHAKE_CAPA:
    case HANDSHAKE_VERSION: return on_introduced(h, line);
    case HANDSHAKE_PSYNC:
        if ((h->due & 1u << HANDSHAKE_PSYNC) == 0) return fail(h, "Master speaks before it was asked", line);
        if (line.len == 0) return HANDSHAKE_WAIT; /* a keep-alive, while the master cannot answer yet */
        return on_psync_reply(h, line, out);
    case HANDSHAKE_OVER: return fail(h, "Master speaks after the handshake", line);
    }
    return fail(h, "Master speaks out of turn", line);
}
