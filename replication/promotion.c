/* promotion.c -- a replica that is promoted asks its master first.
 *
 *     repl_promote_asking() --> the question is sent --> PSYNC FAILOVER of our master --> master, with everything
 *                                 |   ^                  (serving.c)
 *           the link breaks       v   | it is made again
 *                              connecting                  (a master that is handing over cannot serve: that goes on, too)
 *                                 `--- cannot be made; nothing heard for 300 ms; a second is over --> master all the same
 *
 * Invariants:
 * 1. An order ends in a promotion, within a second: whoever gave it waits for that, and may have gone away.
 * 2. Until then this is a replica in every respect; what its master sends is applied and acknowledged.
 * 3. No full synchronization begins meanwhile: it would give up the data of the server that is to be the master.
 * The master's side is failover.c. replication/README.md says what is promised together. */
#include "replication/replication_internal.h"

enum { SIGN_OF_LIFE_MS = 300 /* a master that was asked appends GETACK to its stream at once */ };

bool repl_promoting(const struct repl *r)
{
    return r->promotion.wanted;
}

const char *repl_promoted_alone(const struct repl *r)
{
    return r->promotion.alone_because;
}

static void on_time(void *ctx);

static void wait_at_most(struct repl *r, int64_t ms)
{
    int64_t left_ms = r->promotion.until_ms - repl_now_ms(r);
    if (left_ms < ms) ms = left_ms;
    loop_timer_start(r->loop, &r->promotion.timer, ms > 0 ? ms : 0, 0, on_time, r);
}

static void on_time(void *ctx)
{
    struct repl *r = ctx;
    const struct promotion *p = &r->promotion;
    if (repl_now_ms(r) >= p->until_ms)
        promotion_go_alone(r, "the master did not hand over within a second");
    else if (p->asked && r->stats.net_input_bytes == p->heard)
        promotion_go_alone(r, "the master is silent");
    else
        wait_at_most(r, PROMOTION_MS);
}

static void ask(struct repl *r)
{
    struct promotion *p = &r->promotion;
    if (!repl_ask_master(r, REPL_ASK_PROMOTION, BYTES_LIT("1000"))) {
        promotion_go_alone(r, "the master takes no more bytes");
        return;
    }
    p->asked = true;
    p->heard = r->stats.net_input_bytes;
    wait_at_most(r, SIGN_OF_LIFE_MS);
}

bool repl_promote_asking(struct repl *r)
{
    struct promotion *p = &r->promotion;
    if (p->wanted) return true;
    if (r->role != REPL_REPLICA || r->link.state != LINK_STREAM || !r->link.handshake.master_hands_over) return false;
    log_notice(r->log, "Asking the master %s:%d to hand over.", r->link.host, r->link.port);
    *p = (struct promotion){.wanted = true, .until_ms = repl_now_ms(r) + PROMOTION_MS};
    ask(r);
    return true;
}

void promotion_turn(struct repl *r)
{
    struct promotion *p = &r->promotion;
    if (LIKELY(!p->due)) return;
    p->due = false;
    if (!p->asked && p->alone_because == NULL && r->link.state == LINK_STREAM) { /* the link is up again */
        if (r->link.handshake.master_hands_over)
            ask(r);
        else
            p->alone_because = "the master cannot be asked any more";
    }
    if (p->alone_because == NULL) return;
    log_warning(r->log, "Promoted without the consent of the master: %s.", p->alone_because);
    repl_promote(r);
}
