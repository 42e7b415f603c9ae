#include "tests/simulation/triggers.h"

#include <string.h>

#include "replication/replication_internal.h"
#include "server/house.h"
#include "server/persistence/aof_internal.h"
#include "tests/simulation/observe.h"
#include "tests/simulation/sim_disk.h"
#include "tests/simulation/sim_sys.h"
#include "tests/simulation/truth.h"

enum { LOOK_EVERY_US = 1000 };

struct trigger {
    struct sim_node *node; /* NULL: free */
    enum trigger_state state;
    int64_t until_us;
    void (*act)(void *ctx);
    void *ctx;
};

static struct {
    struct trigger at[TRIGGERS_MAX];
    struct sim_event event;
    int64_t next_us;      /* the time of the next look, or one that is over */
    bool is_armed;        /* a trigger was armed since the last look began, or it has left one armed */
    bool has_just_looked; /* the event that has just run was a look */
} triggers;

const char *trigger_state_words(enum trigger_state state)
{
    static const char *const words[] = {
        [WHEN_RECEIVING] = "receives a snapshot",
        [WHEN_SENDING] = "sends a snapshot",
        [WHEN_CHILD] = "has a child that writes",
        [WHEN_REWRITTEN] = "has a new base that no manifest lists",
        [WHEN_RENAMED] = "has renamed a file",
        [WHEN_PART_OF_UNIT] = "has a part of a unit",
        [WHEN_AHEAD] = "is ahead of a replica",
        [WHEN_ALONE] = "is a master without replicas",
        [WHEN_ADOPTED] = "has a data set from its master",
        [WHEN_FLUSHED] = "was flushed",
        [WHEN_OVERWRITTEN] = "has written over the synced end of its log",
    };
    return words[state];
}

static bool any_replica_is(const struct repl *r, enum replica_state state)
{
    for (const struct replica *rp = r->serving.first; rp != NULL; rp = rp->next) {
        if (rp->state == state) return true;
    }
    return false;
}

static bool is_ahead(const struct repl *r)
{
    for (const struct replica *rp = r->serving.first; rp != NULL; rp = rp->next) {
        if (rp->state == REPLICA_ONLINE && rp->reader.pos < r->stream.end) return true;
    }
    return false;
}

/* A note that lies there may be torn, if the server does not see to that. */
static bool has_overwritten_edge(const struct aof *a)
{
    enum { NOTE_LEN = 110 };
    if (a == NULL || a->file == NULL || a->file_synced <= SIM_DISK_SECTOR) return false;
    uint64_t edge = (a->file_synced + NOTE_LEN) / SIM_DISK_SECTOR * SIM_DISK_SECTOR;
    return edge + 3 >= a->file_synced && aof_file_size(a->file) > a->file_synced;
}

static bool is_reached(const struct trigger *t)
{
    const struct repl *r = truth_repl(t->node);
    const struct server *s = t->node->server;
    if (r == NULL || s == NULL) return false; /* it starts, or is being freed */
    switch (t->state) {
    case WHEN_RECEIVING: return r->link.state == LINK_TRANSFER || r->link.state == LINK_LOADING;
    case WHEN_SENDING: return any_replica_is(r, REPLICA_RECEIVING);
    case WHEN_CHILD: return sim_sys_has_child(t->node);
    case WHEN_REWRITTEN: return s->aof != NULL && s->aof->rewrite.running && s->aof->rewrite.base.name != NULL;
    case WHEN_RENAMED: return sim_disk_has_renamed(t->node->disk);
    case WHEN_PART_OF_UNIT: return r->link.state == LINK_STREAM && r->link.in.len > r->link.in_pos;
    case WHEN_AHEAD: return is_ahead(r);
    case WHEN_ALONE: return r->role == REPL_MASTER && r->has_backlog && r->serving.count == 0;
    case WHEN_ADOPTED: return truth_has_adopted(t->node);
    case WHEN_FLUSHED: return observe_is_flushed(t->node);
    case WHEN_OVERWRITTEN: return has_overwritten_edge(s->aof);
    case TRIGGER_STATES: break;
    }
    return false;
}

static void look(void *ctx)
{
    bool any = false;
    triggers.is_armed = false;
    for (size_t i = 0; i < TRIGGERS_MAX; i++) {
        struct trigger *t = &triggers.at[i];
        if (t->node == NULL) continue;
        if (sim.now_us > t->until_us) {
            t->node = NULL;
        } else if (is_reached(t)) {
            struct trigger done = *t;
            t->node = NULL;
            sim_trace(done.node->name, "%s: the trigger acts", trigger_state_words(done.state));
            done.act(done.ctx);
        }
        any |= t->node != NULL;
    }
    triggers.next_us = sim.now_us + LOOK_EVERY_US;
    triggers.has_just_looked = true;
    triggers.is_armed |= any;
    if (!triggers.is_armed) sim.after_event = NULL;
}

/* A look each millisecond, but none before something has happened. */
static void look_soon(void)
{
    bool is_over = triggers.event.place != 0 || triggers.has_just_looked;
    triggers.has_just_looked = false;
    if (is_over) return;
    while (triggers.next_us < sim.now_us) triggers.next_us += LOOK_EVERY_US;
    sim_event_at(&triggers.event, triggers.next_us, look, NULL);
}

void triggers_begin(void)
{
    memset(&triggers, 0, sizeof(triggers));
    sim.after_event = NULL;
}

void triggers_free(void)
{
    sim_event_cancel(&triggers.event);
    triggers_begin();
}

void triggers_disarm(void)
{
    for (size_t i = 0; i < TRIGGERS_MAX; i++) triggers.at[i].node = NULL;
}

void triggers_arm(struct sim_node *node, enum trigger_state state, int64_t for_us, void (*act)(void *ctx), void *ctx)
{
    size_t i = 0;
    while (i < TRIGGERS_MAX && triggers.at[i].node != NULL) i++;
    if (i == TRIGGERS_MAX) return;
    triggers.at[i] =
        (struct trigger){.node = node, .state = state, .until_us = sim.now_us + for_us, .act = act, .ctx = ctx};
    triggers.is_armed = true;
    if (sim.after_event != NULL) return;
    sim.after_event = look_soon;
    triggers.has_just_looked = false;
    triggers.next_us = sim.now_us + 1;
}
