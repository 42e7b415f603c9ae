#include "server/core/pause.h"

#include "server/core/core.h"

void pauses_on_change(struct pauses *p, void (*changed)(void *ctx, bool relaxed), void *ctx)
{
    p->changed = changed;
    p->changed_ctx = ctx;
}

static void refresh(struct core *core)
{
    struct pauses *p = &core->pauses;
    enum pause_mode strictest = PAUSE_NONE;
    for (int i = 0; i < PAUSE_PURPOSES; i++)
        if (p->of[i].mode > strictest) strictest = p->of[i].mode;
    bool relaxed = strictest < p->mode;
    p->mode = strictest;
    modes_refresh(core);
    if (p->changed != NULL) p->changed(p->changed_ctx, relaxed);
}

void pause_start(struct core *core, enum pause_purpose purpose, enum pause_mode mode, int64_t until_ms)
{
    struct pause *p = &core->pauses.of[purpose];
    if (p->mode == PAUSE_NONE || mode > p->mode) p->mode = mode;
    if (until_ms > p->until_ms) p->until_ms = until_ms;
    refresh(core);
}

void pause_end(struct core *core, enum pause_purpose purpose)
{
    core->pauses.of[purpose] = (struct pause){0};
    refresh(core);
}

int64_t pause_next_end(const struct core *core)
{
    int64_t next_ms = INT64_MAX;
    for (int i = 0; i < PAUSE_PURPOSES; i++) {
        const struct pause *p = &core->pauses.of[i];
        if (p->mode != PAUSE_NONE && p->until_ms < next_ms) next_ms = p->until_ms;
    }
    return next_ms;
}

int64_t pause_check_deadlines(struct core *core)
{
    for (int i = 0; i < PAUSE_PURPOSES; i++) {
        const struct pause *p = &core->pauses.of[i];
        if (p->mode != PAUSE_NONE && core->clock.mono_ms >= p->until_ms) pause_end(core, (enum pause_purpose)i);
    }
    return pause_next_end(core);
}

enum pause_mode pause_current(const struct core *core)
{
    return core->pauses.mode;
}
