#include "server/operation/agent_check.h"

#include "server/clients/listening.h"
#include "server/core/core.h"
#include "server/net/conn.h"
#include "storage/base/memory.h"

enum { ANSWERS_PER_EVENT = 50 }; /* less than a millisecond */

struct agent_check {
    const struct server *server;
    const struct settings *settings;
    struct listening_kind kind;
};

/* ---- The line ---- */

static int falling(uint64_t value, uint64_t limit)
{
    if (limit == 0 || value <= limit) return 100;
    double percent = 100.0 * (double)limit / (double)value;
    return percent < 1 ? 1 : (int)percent;
}

int agent_check_weight(const struct health *h, const struct agent_limits *limits)
{
    if (h->role != REPL_REPLICA) return 100;
    uint64_t silent_ms = h->freshness.silent_ms > 0 ? (uint64_t)h->freshness.silent_ms : 0;
    int by_lag = falling(h->freshness.lag_bytes, limits->lag_bytes);
    int by_silence = falling(silent_ms, limits->silent_ms);
    return by_lag < by_silence ? by_lag : by_silence;
}

void agent_check_line(const struct health *h, const struct agent_limits *limits, struct bytes_buf *out)
{
    if (h->asked == BALANCER_MAINT)
        bytes_buf_printf(out, "maint\n");
    else if (!h->serves_reads)
        bytes_buf_printf(out, "%sdown #%s\n", h->asked == BALANCER_DRAIN ? "drain " : "", h->text);
    else if (h->asked == BALANCER_DRAIN)
        bytes_buf_printf(out, "up drain\n");
    else
        bytes_buf_printf(out, "up ready %d%%\n", agent_check_weight(h, limits));
}

/* ---- The port ---- */

/* What the balancer has sent (agent-send) is dropped: closing a socket with unread bytes would reset the connection. */
static void drop_input(struct conn *conn)
{
    char bytes[256];
    (void)conn_read(conn, bytes, sizeof(bytes));
}

static void answer(void *ctx, struct conn *conn)
{
    const struct agent_check *ac = ctx;
    struct agent_limits limits = {
        .lag_bytes = ac->settings->net.agent_check_lag,
        .silent_ms = 2000 * (uint64_t)ac->settings->replication.repl_ping_replica_period_s,
    };
    struct health h;
    struct bytes_buf line = {0};
    health_ask(ac->server, &h);
    agent_check_line(&h, &limits, &line);
    drop_input(conn);
    (void)conn_write(conn, line.data, line.len); /* a new socket has room for a line; the peer may be gone */
    conn_close(conn);
    bytes_buf_release(&line);
}

struct agent_check *agent_check_new(const struct server *s, const struct core *core, struct listening *l)
{
    struct agent_check *ac = mem_calloc(sizeof(*ac));
    ac->server = s;
    ac->settings = core->settings;
    ac->kind = (struct listening_kind){.name = "agent-check",
                                       .bind = &core->settings->net.agent_check_bind,
                                       .port = &core->settings->net.agent_check_port,
                                       .on_accept = answer,
                                       .accepts_per_event = ANSWERS_PER_EVENT,
                                       .ctx = ac};
    listening_add(l, &ac->kind);
    return ac;
}

void agent_check_free(struct agent_check *ac)
{
    mem_free(ac);
}
