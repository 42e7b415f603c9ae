#include "server/core/pacing.h"

#include "server/config/settings.h"
#include "server/core/core.h"
#include "server/net/loop.h"

enum {
    WINDOW_US = 4000,
    CLIENT_SHARE = 8,        /* the interval is 1/8 of the time between two requests of a client */
    CLIENT_READS_MIN = 2,    /* requests in an interval, else it is 0 */
    STREAM_FACTOR = 4,       /* times the limit, if only our master sends */
    STREAM_COMMANDS_MIN = 8, /* commands in an interval, else it is 0 */
};

static unsigned clients_interval_us(const struct pacing_window *w, uint64_t limit_us)
{
    uint64_t share_us = w->us * w->clients / w->reads / CLIENT_SHARE;
    uint64_t interval_us = share_us < limit_us ? share_us : limit_us;
    return interval_us * w->reads >= CLIENT_READS_MIN * w->us ? (unsigned)interval_us : 0;
}

static unsigned stream_interval_us(const struct pacing_window *w, uint64_t limit_us)
{
    uint64_t interval_us = STREAM_FACTOR * limit_us;
    bool worth_it = interval_us * w->commands >= STREAM_COMMANDS_MIN * w->us;
    return worth_it && !w->ack_asked ? (unsigned)interval_us : 0;
}

unsigned pacing_interval_us(const struct pacing_window *w, unsigned limit_us)
{
    if (w->us == 0 || limit_us == 0) return 0;
    return w->reads > 0 ? clients_interval_us(w, limit_us) : stream_interval_us(w, limit_us);
}

void pacing_init(struct pacing *p)
{
    *p = (struct pacing){.number = 1}; /* a new client has 0 */
}

static void pacing_decide(struct core *core, uint64_t us, uint64_t commands)
{
    struct pacing *p = &core->pacing;
    p->window.us = us;
    p->window.commands = commands - p->commands_before;
    loop_set_interval(core->loop, pacing_interval_us(&p->window, core->settings->misc.turn_interval_us));
    *p = (struct pacing){.start_us = core->clock.mono_us, .number = p->number + 1, .commands_before = commands};
}

void pacing_turn_ends(struct core *core, uint64_t commands)
{
    uint64_t us = (uint64_t)(core->clock.mono_us - core->pacing.start_us);
    if (UNLIKELY(us >= WINDOW_US)) pacing_decide(core, us, commands);
}
