#include "server/clients/blocking.h"

#include "replication/replication.h"
#include "server/clients/clients.h"
#include "server/core/core.h"
#include "storage/base/memory.h"

enum { HEAP_KEPT = 1 << 10 }; /* the heap is never shrunk below this many deadlines */

struct blocking {
    struct clients *clients;
    struct core *core;
    struct command_runner runner;
    struct loop_timer timer; /* wakes the loop at the next deadline; blocking_check_timeouts() does the work */
    int64_t timer_at_ms;
    bool timer_fired;
    struct client **heap; /* binary heap by blocked.until_ms, the earliest first; heap[0] is unused */
    size_t heap_count, heap_cap;
    size_t counts[BLOCK_KINDS];
    bool stream_resumes; /* a pause has ended: the master's stream is applied again in the next turn */
};

void blocking_free(struct blocking *b)
{
    if (b == NULL) return;
    loop_timer_stop(&b->timer);
    mem_free(b->heap);
    mem_free(b);
}

size_t blocking_client_count(const struct blocking *b)
{
    size_t count = 0;
    for (int i = 0; i < BLOCK_KINDS; i++) count += b->counts[i];
    return count;
}

size_t blocking_deadline_count(const struct blocking *b)
{
    return b->heap_count;
}

/* ---- Deadlines of clients ---- */

static int64_t heap_time(const struct blocking *b, size_t at)
{
    return b->heap[at]->blocked->until_ms;
}

static void heap_place(struct blocking *b, size_t at, struct client *c)
{
    b->heap[at] = c;
    c->blocked->heap_at = at;
}

static void heap_up(struct blocking *b, size_t at)
{
    struct client *c = b->heap[at];
    for (; at > 1 && heap_time(b, at / 2) > c->blocked->until_ms; at /= 2) heap_place(b, at, b->heap[at / 2]);
    heap_place(b, at, c);
}

static void heap_down(struct blocking *b, size_t at)
{
    struct client *c = b->heap[at];
    for (size_t child; (child = at * 2) <= b->heap_count; at = child) {
        if (child < b->heap_count && heap_time(b, child + 1) < heap_time(b, child)) child++;
        if (heap_time(b, child) >= c->blocked->until_ms) break;
        heap_place(b, at, b->heap[child]);
    }
    heap_place(b, at, c);
}

static void heap_add(struct blocking *b, struct client *c)
{
    if (b->heap_count + 1 >= b->heap_cap) {
        b->heap_cap = b->heap_cap == 0 ? 16 : b->heap_cap * 2;
        b->heap = mem_realloc(b->heap, b->heap_cap * sizeof(*b->heap));
    }
    heap_place(b, ++b->heap_count, c);
    heap_up(b, b->heap_count);
}

static void heap_remove(struct blocking *b, struct client *c)
{
    size_t at = c->blocked->heap_at;
    struct client *moved = b->heap[b->heap_count--];
    if (moved != c) {
        heap_place(b, at, moved);
        heap_up(b, at);
        heap_down(b, moved->blocked->heap_at);
    }
    if (b->heap_cap <= HEAP_KEPT || b->heap_count >= b->heap_cap / 4) return;
    b->heap_cap /= 2;
    b->heap = mem_realloc(b->heap, b->heap_cap * sizeof(*b->heap));
}

/* ---- Blocking ---- */

static void wake(void *ctx)
{
    struct blocking *b = ctx;
    b->timer_fired = true; /* blocking_check_timeouts() looks at the deadlines */
}

static void arm(struct blocking *b, int64_t deadline_ms)
{
    if (deadline_ms >= b->timer_at_ms) return;
    b->timer_at_ms = deadline_ms;
    int64_t after = deadline_ms - b->core->clock.mono_ms;
    loop_timer_start(b->core->loop, &b->timer, after > 0 ? after : 0, 0, wake, b);
}

void client_block(struct client *c, const struct blocked *how)
{
    struct blocking *b = c->clients->blocking;
    ASSERT(!client_has(c, CLIENT_BLOCKED));
    c->blocked = mem_alloc(sizeof(*c->blocked));
    *c->blocked = *how;
    client_flag_set(c, CLIENT_BLOCKED);
    b->counts[how->kind]++;
    if (how->until_ms == 0) return;
    heap_add(b, c);
    arm(b, how->until_ms);
}

static void end_block(struct client *c)
{
    struct blocking *b = c->clients->blocking;
    ASSERT(client_has(c, CLIENT_BLOCKED));
    if (c->blocked->ended != NULL) c->blocked->ended(c);
    if (c->blocked->heap_at > 0) heap_remove(b, c);
    b->counts[c->blocked->kind]--;
    client_flag_clear(c, CLIENT_BLOCKED);
    queued_command_release(&c->blocked->command);
    mem_free(c->blocked);
    c->blocked = NULL;
}

void client_unblock(struct client *c)
{
    const struct command_runner *runner = &c->clients->blocking->runner;
    runner->unblocked(runner->ctx, c);
    end_block(c);
    if (!outbuf_empty(&c->out)) client_wants_flush(c);
    client_make_ready(c);
}

bool client_run_again(struct client *c)
{
    const struct command_runner *runner = &c->clients->blocking->runner;
    return runner->again(runner->ctx, c);
}

static void cancel_block(struct client *c)
{
    if (client_has(c, CLIENT_BLOCKED)) end_block(c);
}

const struct client_part blocking_part = {.free = cancel_block};

void blocking_each(struct blocking *b, enum block_kind kind, void (*fn)(struct client *c, void *ctx), void *ctx)
{
    if (b->counts[kind] == 0) return;
    for (struct client *c = clients_first(b->clients); c != NULL; c = c->next)
        if (client_has(c, CLIENT_BLOCKED) && !client_has(c, CLIENT_CLOSING) && c->blocked->kind == kind) fn(c, ctx);
}

static void refuse_wait(struct client *c, void *ctx)
{
    (void)ctx;
    reply_error(&c->reply,
                "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)");
    client_unblock(c);
    client_close_after_reply(c);
}

void blocking_role_changed(struct blocking *b)
{
    blocking_each(b, BLOCK_WAIT, refuse_wait, NULL);
    blocking_each(b, BLOCK_WAIT_AOF, refuse_wait, NULL);
    blocking_each(b, BLOCK_KEYS, refuse_wait, NULL);
}

/* ---- Pauses ---- */

static void resume_one(struct client *c, void *ctx)
{
    (void)ctx;
    client_unblock(c);
}

void blocking_promotion_ended(struct blocking *b)
{
    blocking_each(b, BLOCK_PROMOTION, resume_one, NULL);
}

static void turn_away(struct client *c, void *ctx)
{
    (void)ctx;
    if (client_has(c, CLIENT_REDIRECT)) return; /* it is resumed, and told where to go */
    if (c->blocked->transaction) {
        multi_discard(c);
        reply_error(&c->reply, "EXECABORT Transaction discarded because of: another server is the master now");
    }
    client_unblock(c);
    client_close_after_reply(c);
}

void blocking_turn_away(struct blocking *b)
{
    blocking_each(b, BLOCK_PAUSE, turn_away, NULL);
}

static void pause_changed(void *ctx, bool relaxed)
{
    struct blocking *b = ctx;
    arm(b, pause_next_end(b->core));
    if (!relaxed) return;
    blocking_each(b, BLOCK_PAUSE, resume_one, NULL); /* admission holds back again what another pause holds back */
    b->stream_resumes = true;                        /* not here: this may be called by a command */
    arm(b, b->core->clock.mono_ms);
}

struct blocking *blocking_new(struct clients *cs, const struct command_runner *runner)
{
    struct blocking *b = mem_calloc(sizeof(*b));
    b->clients = cs;
    b->core = cs->core;
    b->runner = *runner;
    pauses_on_change(&b->core->pauses, pause_changed, b);
    b->timer_at_ms = INT64_MAX;
    return b;
}

/* ---- The turn ---- */

static void time_out(struct client *c)
{
    void (*answer)(struct client * c) = c->blocked->timed_out;
    if (answer != NULL) answer(c);
    client_unblock(c); /* a closing client gets no reply: client_wants_flush() ignores it */
}

void blocking_check_timeouts(struct blocking *b)
{
    struct core *core = b->core;
    if (UNLIKELY(b->stream_resumes)) {
        b->stream_resumes = false;
        repl_apply_again(core->repl);
    }
    if (LIKELY(core->clock.mono_ms < b->timer_at_ms && !b->timer_fired)) return;
    b->timer_at_ms = INT64_MAX;
    b->timer_fired = false;
    loop_timer_stop(&b->timer);
    int64_t next_ms = pause_check_deadlines(core);
    if (next_ms != INT64_MAX) arm(b, next_ms);
    while (b->heap_count > 0 && heap_time(b, 1) <= core->clock.mono_ms) time_out(b->heap[1]);
    if (b->heap_count > 0) arm(b, heap_time(b, 1));
}
