#include "replication/events.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "storage/base/assert.h"
#include "storage/base/memory.h"

void repl_events_release(struct repl_events *e)
{
    mem_free(e->ring);
    *e = (struct repl_events){0};
}

/* The ring grows up to its limit before it turns. */
static void grow(struct repl_events *e)
{
    if (e->count < e->room || e->room == REPL_EVENTS_MAX) return;
    e->room = e->room == 0 ? 8 : 2 * e->room;
    e->ring = mem_realloc(e->ring, e->room * sizeof(e->ring[0]));
    e->next = e->count;
}

struct repl_event *repl_events_add(struct repl_events *e)
{
    grow(e);
    struct repl_event *added = &e->ring[e->next];
    e->next = (e->next + 1) % e->room;
    if (e->count < e->room) e->count++;
    e->total++;
    *added = (struct repl_event){.duration_ms = -1};
    return added;
}

const struct repl_event *repl_events_get(const struct repl_events *e, size_t i)
{
    return i < e->count ? &e->ring[(e->next + e->room - 1 - i) % e->room] : NULL;
}

const char *repl_event_name(enum repl_event_kind kind)
{
    switch (kind) {
    case REPL_EVENT_MASTER: return "master";
    case REPL_EVENT_REPLICA: return "replica";
    case REPL_EVENT_LINK_UP: return "link-up";
    case REPL_EVENT_LINK_DOWN: return "link-down";
    case REPL_EVENT_PARTIAL: return "partial-sync";
    case REPL_EVENT_FULL: return "full-sync";
    case REPL_EVENT_SYNCHRONIZED: return "synchronized";
    case REPL_EVENT_REFUSED: return "refused";
    case REPL_EVENT_DISCONNECTED: return "disconnected";
    case REPL_EVENT_GONE: return "replica-gone";
    case REPL_EVENT_HISTORY: return "history-ended";
    case REPL_EVENT_FAILOVER: return "failover";
    case REPL_EVENT_KINDS: break;
    }
    UNREACHABLE();
}

/* ---- Advice ---- */

static size_t times_lost(const struct repl_events *e, const char *peer)
{
    size_t times = 0;
    const struct repl_event *ev;
    for (size_t i = 0; (ev = repl_events_get(e, i)) != NULL; i++)
        times += ev->kind == REPL_EVENT_GONE && strcmp(ev->peer, peer) == 0;
    return times;
}

static void find_flapping(const struct repl_events *e, const struct repl_event *gone, struct repl_findings *out)
{
    size_t times = times_lost(e, gone->peer);
    if (times <= 2 || times <= out->flapping) return;
    out->flapping = times;
    snprintf(out->flapping_peer, sizeof(out->flapping_peer), "%s", gone->peer);
}

void repl_events_find(const struct repl_events *e, struct repl_findings *out)
{
    const struct repl_event *ev;
    *out = (struct repl_findings){0};
    for (size_t i = 0; (ev = repl_events_get(e, i)) != NULL; i++) {
        if (ev->kind == REPL_EVENT_FULL && ev->bytes > 0) {
            out->backlog_times++;
            if (ev->bytes > out->backlog_bytes) out->backlog_bytes = ev->bytes;
        }
        if (ev->kind == REPL_EVENT_DISCONNECTED && strstr(ev->cause, "client-output-buffer-limit") != NULL)
            out->over_limit++;
        if (ev->kind == REPL_EVENT_GONE) find_flapping(e, ev, out);
        if (ev->kind == REPL_EVENT_REFUSED) out->refused++;
        if (ev->kind == REPL_EVENT_LINK_DOWN && ev->duration_ms >= 0 && out->lost_master++ == 0)
            out->lost_because = ev->cause;
    }
}
