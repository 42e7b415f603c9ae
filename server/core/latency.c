#include "server/core/latency.h"

#include "server/config/settings.h"
#include "server/core/core.h"
#include "server/core/latency_internal.h"
#include "storage/base/assert.h"
#include "storage/base/memory.h"

struct latency *latency_new(void)
{
    return mem_calloc(sizeof(struct latency));
}

struct latency_event *latency_find(const struct latency *lt, const char *event)
{
    for (size_t i = 0; i < lt->count; i++)
        if (bytes_equal_nocase(bytes_str(event), lt->events[i]->name)) return lt->events[i];
    return NULL;
}

static struct latency_event *add_event(struct latency *lt, const char *name)
{
    ASSERT(lt->count < LATENCY_EVENTS_MAX); /* names are literals in our own code */
    struct latency_event *e = mem_calloc(sizeof(*e));
    e->name = name;
    lt->events[lt->count++] = e;
    return e;
}

void latency_note(struct core *core, const char *event, int64_t ms)
{
    int64_t threshold = core->settings->latency.latency_monitor_threshold_ms, now_s = core->clock.now_ms / 1000;
    if (LIKELY(threshold <= 0 || ms < threshold)) return;
    struct latency_event *e = latency_find(core->latency, event);
    if (e == NULL) e = add_event(core->latency, event);
    if (ms > e->max_ms) e->max_ms = ms;
    struct latency_sample *last = &e->samples[(e->next + LATENCY_HISTORY - 1) % LATENCY_HISTORY];
    if (e->count > 0 && last->time_s == now_s) {
        if (ms > last->ms) last->ms = ms;
        return;
    }
    e->samples[e->next] = (struct latency_sample){.time_s = now_s, .ms = ms};
    e->next = (e->next + 1) % LATENCY_HISTORY;
    if (e->count < LATENCY_HISTORY) e->count++;
}

size_t latency_reset(struct latency *lt, struct bytes_view event)
{
    size_t kept = 0, gone = 0;
    for (size_t i = 0; i < lt->count; i++) {
        if (event.data != NULL && !bytes_equal_nocase(event, lt->events[i]->name)) {
            lt->events[kept++] = lt->events[i];
            continue;
        }
        mem_free(lt->events[i]);
        gone++;
    }
    lt->count = kept;
    return gone;
}

void latency_free(struct latency *lt)
{
    if (lt == NULL) return;
    latency_reset(lt, (struct bytes_view){0});
    mem_free(lt);
}

void latency_histogram_new(struct command_slot *slot)
{
    slot->latency = mem_calloc(HISTOGRAM_BUCKETS * sizeof(uint64_t));
}
