#include "tests/simulation/truth.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "replication/replication_internal.h"
#include "tests/simulation/network.h"
#include "tests/simulation/observe.h"

enum { CLAIMS_MAX = 16 };

struct history {
    char id[REPL_ID_LEN + 1];
    char parent[REPL_ID_LEN + 1]; /* "": it begins with its first byte */
    uint64_t fork;
    uint64_t first; /* position of bytes[0] */
    char *bytes;
    size_t len, room;
    unsigned author;                 /* the node that appended its first byte */
    uint64_t reached[SIM_NODES_MAX]; /* up to here the node has applied it, in any of its lives */
    uint64_t synced[SIM_NODES_MAX];  /* up to here the node has said that its log is on disk */
    struct history *next;
};

/* What is known of the process that runs on a node. */
struct follower {
    struct repl *repl;
    char id[REPL_ID_LEN + 1];
    char parent[REPL_ID_LEN + 1]; /* the history that it had before, of which it has everything up to the fork; or "" */
    uint64_t fork;
    uint64_t end;
    bool adopted;          /* it was fully synchronized in this life */
    bool moved;            /* the next append may be at another position */
    const char *restoring; /* the id whose last bytes come from a file now */
};

struct claim {
    char id[REPL_ID_LEN + 1];
    uint64_t position;
};

static struct history *histories;
static struct claim claims[CLAIMS_MAX];
static size_t claim_count;
static struct follower followers[SIM_NODES_MAX];
/* What the log of a node has to bring back, over its lives. id "": nothing. */
static struct on_disk {
    char id[REPL_ID_LEN + 1];
    uint64_t position;
} on_disk[SIM_NODES_MAX];
static struct {
    const struct replica *rp;
    bool has_backlog;
} asked; /* the last PSYNC */

void truth_begin(void)
{
    memset(followers, 0, sizeof(followers));
    claim_count = 0;
    memset(on_disk, 0, sizeof(on_disk));
}

void truth_end(void)
{
    while (histories != NULL) {
        struct history *h = histories;
        histories = h->next;
        free(h->bytes);
        free(h);
    }
    truth_begin();
}

void truth_master_changes(const struct sim_node *node)
{
    followers[node->index].moved = true;
}

void truth_node_ended(struct sim_node *node)
{
    followers[node->index] = (struct follower){0};
}

struct repl *truth_repl(const struct sim_node *node)
{
    return node->process == NULL ? NULL : followers[node->index].repl;
}

bool truth_has_adopted(const struct sim_node *node)
{
    return followers[node->index].adopted;
}

static struct history *find(const char *id)
{
    for (struct history *h = histories, *before = NULL; h != NULL; before = h, h = h->next) {
        if (strcmp(h->id, id) != 0) continue;
        if (before != NULL) {
            before->next = h->next;
            h->next = histories;
            histories = h;
        }
        return h;
    }
    return NULL;
}

static struct history *find_or_add(const struct repl *r, uint64_t position, unsigned author)
{
    struct history *h = find(r->identity.id);
    if (h != NULL) return h;
    h = calloc(1, sizeof(*h));
    if (h == NULL) abort();
    snprintf(h->id, sizeof(h->id), "%s", r->identity.id);
    h->first = position;
    h->author = author;
    if (r->identity.has_second) {
        snprintf(h->parent, sizeof(h->parent), "%s", r->identity.id2);
        h->fork = r->identity.second_position;
    }
    h->next = histories;
    histories = h;
    return h;
}

static void extend(struct history *h, struct bytes_view bytes)
{
    if (h->len + bytes.len > h->room) {
        h->room = (h->len + bytes.len) * 2;
        h->bytes = realloc(h->bytes, h->room);
        if (h->bytes == NULL) abort();
    }
    memcpy(h->bytes + h->len, bytes.data, bytes.len);
    h->len += bytes.len;
}

static void show(struct bytes_view v, size_t at, char out[64])
{
    size_t from = at > 12 ? at - 12 : 0, n = 0;
    for (size_t i = from; i < v.len && n < 60; i++) {
        char c = v.data[i];
        out[n++] = c >= 32 && c < 127 ? c : '.';
    }
    out[n] = '\0';
}

static void report(const struct sim_node *node, const struct history *h, uint64_t position, struct bytes_view theirs,
                   struct bytes_view ours)
{
    char a[64], b[64];
    size_t at = 0;
    while (at < ours.len && ours.data[at] == theirs.data[at]) at++;
    show(ours, at, a);
    show(theirs, at, b);
    sim_fail("same bytes",
             "%s applied other bytes at position %" PRIu64 " of history %.8s than %s: \"%s\" instead of \"%s\"",
             node->name, position + at, h->id, sim.nodes[h->author]->name, a, b);
}

/* Compares with what is known, and adds what is new. */
static void learn(const struct sim_node *node, struct history *h, uint64_t position, struct bytes_view bytes)
{
    if (position < h->first) { /* of the history that it continues */
        uint64_t n = h->first - position < bytes.len ? h->first - position : bytes.len;
        struct history *parent = h->parent[0] != '\0' ? find(h->parent) : NULL;
        if (parent != NULL && position >= parent->first) learn(node, parent, position, bytes_view(bytes.data, n));
        position += n;
        bytes = bytes_view(bytes.data + n, bytes.len - n);
        if (bytes.len == 0) return;
    }
    uint64_t end = h->first + h->len;
    if (position < end) {
        size_t n = end - position < bytes.len ? (size_t)(end - position) : bytes.len;
        struct bytes_view known = bytes_view(h->bytes + (position - h->first), n);
        if (memcmp(known.data, bytes.data, n) != 0) report(node, h, position, known, bytes_view(bytes.data, n));
        position += n;
        bytes = bytes_view(bytes.data + n, bytes.len - n);
    }
    if (bytes.len > 0 && position == end) extend(h, bytes);
}

static struct follower *follower_of(const struct repl_stream *s)
{
    if (sim.process == NULL || sim.process->is_child) return NULL;
    struct follower *f = &followers[sim.process->node->index];
    return f->repl != NULL && s == &f->repl->stream ? f : NULL;
}

/* The offset of the node is `position` now. */
static void check_offset(const struct sim_node *node, struct follower *f, uint64_t position)
{
    bool same = strcmp(f->id, f->repl->identity.id) == 0;
    if (same && position < f->end && !f->moved)
        sim_fail("offsets", "%s went back from offset %" PRIu64 " to %" PRIu64 " in history %.8s", node->name, f->end,
                 position, f->id);
    if (!same) {
        memcpy(f->parent, f->id, sizeof(f->parent));
        f->fork = position;
        memcpy(f->id, f->repl->identity.id, sizeof(f->id));
    }
    f->end = position;
    f->moved = false;
}

static void reach(const struct sim_node *node, uint64_t end)
{
    struct history *h = find(followers[node->index].repl->identity.id);
    if (h != NULL && end > h->reached[node->index]) h->reached[node->index] = end;
}

void truth_claims(const struct sim_node *master, uint64_t position)
{
    const struct repl *r = truth_repl(master);
    if (r == NULL || claim_count == CLAIMS_MAX) return;
    memcpy(claims[claim_count].id, r->identity.id, sizeof(claims[0].id));
    claims[claim_count++].position = position;
}

/* The history of the master, and the position behind the last place of `text` in it. NULL: it is not there. */
static struct history *find_text(const struct sim_node *master, struct bytes_view text, uint64_t *position)
{
    struct repl *r = truth_repl(master);
    struct history *h = r == NULL ? NULL : find(r->identity.id);
    if (h == NULL || h->len < text.len) return NULL;
    for (size_t at = h->len - text.len + 1; at-- > 0;) {
        if (h->bytes[at] != text.data[0] || memcmp(h->bytes + at, text.data, text.len) != 0) continue;
        *position = h->first + at + text.len;
        return h;
    }
    return NULL;
}

static int count_others(const struct sim_node *master, const uint64_t *reached, uint64_t position)
{
    int count = 0;
    for (size_t i = 0; i < sim.node_count; i++) count += sim.nodes[i] != master && reached[i] >= position;
    return count;
}

int truth_holders(const struct sim_node *master, struct bytes_view text)
{
    uint64_t position;
    const struct history *h = find_text(master, text, &position);
    if (h == NULL) return -1;
    int count = count_others(master, h->reached, position);
    for (size_t i = 0; i < claim_count; i++)
        count += strcmp(claims[i].id, h->id) == 0 && claims[i].position >= position;
    return count;
}

int truth_keepers(const struct sim_node *master, struct bytes_view text)
{
    uint64_t position;
    const struct history *h = find_text(master, text, &position);
    return h == NULL ? -1 : count_others(master, h->synced, position);
}

/* ---- What is on disk ---- */

void truth_log_gone(const struct sim_node *node)
{
    on_disk[node->index].id[0] = '\0';
}

static void note_synced(const struct sim_node *node, const struct repl *r, uint64_t position)
{
    struct history *h = find(r->identity.id);
    bool is_of_parent = r->identity.has_second && position <= r->identity.second_position;
    if (h != NULL && position > h->synced[node->index]) h->synced[node->index] = position;
    if (h == NULL && is_of_parent) h = find(r->identity.id2); /* it has written nothing of its own yet */
    struct on_disk *d = &on_disk[node->index];
    if (h == NULL || (strcmp(d->id, h->id) == 0 && position <= d->position)) return;
    memcpy(d->id, h->id, sizeof(d->id));
    d->position = position;
}

void truth_each_on_disk(const struct sim_node *node, void (*fn)(void *ctx, struct bytes_view bytes), void *ctx)
{
    const char *id = on_disk[node->index].id;
    uint64_t until = on_disk[node->index].position;
    while (id[0] != '\0') {
        const struct history *h = find(id);
        if (h == NULL) return;
        uint64_t end = h->first + h->len < until ? h->first + h->len : until;
        if (end > h->first) fn(ctx, bytes_view(h->bytes, (size_t)(end - h->first)));
        if (h->fork < until) until = h->fork;
        id = h->parent;
    }
}

/* ---- In front of the product's functions ---- */

/* With the types of the product, so that a wrapper cannot have another one. */
#define WRAPPED(fn) extern __typeof__(fn) __real_##fn, __wrap_##fn
WRAPPED(repl_new);
WRAPPED(repl_stream_append);
WRAPPED(repl_stream_cut);
WRAPPED(repl_adopt_history);
WRAPPED(repl_restore_position);
WRAPPED(repl_replica_check_psync);
WRAPPED(identity_renew);
WRAPPED(identity_fork);
WRAPPED(identity_fork_to);
WRAPPED(full_sync_add);
WRAPPED(repl_aof_synced);

struct repl *__wrap_repl_new(const struct repl_host *host, const struct repl_settings *settings, struct loop *loop,
                             const struct sys *sys, struct log *log)
{
    struct repl_host watched = *host;
    observe_host(&watched);
    struct repl *r = __real_repl_new(&watched, settings, loop, sys, log);
    if (sim.process != NULL) followers[sim.process->node->index] = (struct follower){.repl = r, .moved = true};
    return r;
}

void __wrap_repl_stream_append(struct repl_stream *s, struct bytes_view bytes)
{
    struct follower *f = follower_of(s);
    uint64_t position = s->end;
    if (f == NULL || bytes.len == 0) {
        __real_repl_stream_append(s, bytes);
        return;
    }
    const struct sim_node *node = sim.process->node;
    if (f->restoring != NULL) {
        struct history *known = find(f->restoring);
        if (known != NULL && position >= known->first) learn(node, known, position, bytes);
        __real_repl_stream_append(s, bytes);
        return;
    }
    check_offset(node, f, position);
    struct history *h = find_or_add(f->repl, position, node->index);
    learn(node, h, position, bytes);
    __real_repl_stream_append(s, bytes);
    f->end = s->end;
    reach(node, s->end);
}

void __wrap_repl_stream_cut(struct repl_stream *s, uint64_t position)
{
    struct follower *f = follower_of(s);
    if (f != NULL && position < s->end) {
        f->moved = true;
        sim_reached("moment-taken-back");
    }
    __real_repl_stream_cut(s, position);
}

void __wrap_repl_adopt_history(struct repl *r, const char *id, uint64_t position, int db, bool secret_known)
{
    struct follower *f = follower_of(&r->stream);
    __real_repl_adopt_history(r, id, position, db, secret_known);
    if (f == NULL) return;
    if (strcmp(f->id, id) == 0 && position < f->end && !f->moved)
        sim_fail("offsets",
                 "%s went back from offset %" PRIu64 " to %" PRIu64
                 " of the same history %.8s by a full synchronization",
                 sim.process->node->name, f->end, position, id);
    truth_log_gone(sim.process->node);
    f->moved = f->adopted = true;
    f->parent[0] = '\0';
    memcpy(f->id, r->identity.id, sizeof(f->id));
    f->end = position;
    (void)find_or_add(r, position, sim.process->node->index);
    reach(sim.process->node, position);
}

void __wrap_repl_restore_position(struct repl *r, const struct repl_position *at, struct bytes_view tail)
{
    struct follower *f = follower_of(&r->stream);
    if (f != NULL) f->restoring = at->id;
    __real_repl_restore_position(r, at, tail);
    if (f == NULL) return;
    f->restoring = NULL;
    f->moved = true;
    memcpy(f->id, r->identity.id, sizeof(f->id));
    if (r->role != REPL_MASTER || !r->was_restored) return;
    memcpy(f->parent, at->id, sizeof(f->parent)); /* its log may lack what others have behind the place */
    f->fork = at->offset;
}

void __wrap_repl_aof_synced(struct repl *r, bool on, uint64_t position)
{
    __real_repl_aof_synced(r, on, position);
    if (on && follower_of(&r->stream) != NULL) note_synced(sim.process->node, r, position);
}

/* Is `position` of the history `id` in the past that this server has seen itself? */
static bool shares(const struct repl *r, const char *id, uint64_t position)
{
    const struct follower *f = follower_of(&r->stream);
    if (f == NULL || strcmp(f->id, r->identity.id) != 0) return false;
    if (strcmp(f->id, id) == 0) return position <= repl_stream_end(&r->stream);
    return strcmp(f->parent, id) == 0 && position <= f->fork;
}

/* A server keeps one former id: one more change forgets the one before, also if nothing was written in between. */
static void note_fork(const struct repl_identity *i, uint64_t position, const char *before)
{
    struct follower *f = sim.process == NULL ? NULL : &followers[sim.process->node->index];
    if (f == NULL || f->repl == NULL || i != &f->repl->identity || strcmp(f->id, before) != 0) return;
    memcpy(f->parent, f->id, sizeof(f->parent));
    memcpy(f->id, i->id, sizeof(f->id));
    f->fork = position;
}

void __wrap_identity_fork(struct repl_identity *i, const struct sys *sys, uint64_t position)
{
    char before[REPL_ID_LEN + 1];
    memcpy(before, i->id, sizeof(before));
    __real_identity_fork(i, sys, position);
    note_fork(i, position, before);
}

void __wrap_identity_fork_to(struct repl_identity *i, const char *id, uint64_t position)
{
    char before[REPL_ID_LEN + 1];
    memcpy(before, i->id, sizeof(before));
    __real_identity_fork_to(i, id, position);
    note_fork(i, position, before);
}

/* No other server shares the past: there were writes that are not in the stream. */
void __wrap_identity_renew(struct repl_identity *i, const struct sys *sys)
{
    struct follower *f = sim.process == NULL ? NULL : &followers[sim.process->node->index];
    if (f != NULL && f->repl != NULL && i == &f->repl->identity) f->id[0] = '\0';
    __real_identity_renew(i, sys);
}

/* Before a full synchronization makes a backlog. */
int __wrap_repl_replica_check_psync(struct replica *rp, struct bytes_view id, struct bytes_view offset,
                                    enum repl_take_over how, const char **error)
{
    asked.rp = rp;
    asked.has_backlog = rp->repl->has_backlog;
    return __real_repl_replica_check_psync(rp, id, offset, how, error);
}

/* The position that a replica had when it asked, if it waits for the answer now. */
static bool position_of_peer(const struct replica *rp, char id[REPL_ID_LEN + 1], uint64_t *position)
{
    for (size_t i = 0; i < sim.node_count; i++) {
        const struct repl *peer = truth_repl(sim.nodes[i]);
        if (peer == NULL || strcmp(sim.nodes[i]->host->ip, rp->ip) != 0) continue;
        if (peer->link.state != LINK_PSYNC || peer->history_broken) return false;
        memcpy(id, peer->identity.id, REPL_ID_LEN + 1);
        *position = repl_stream_end(&peer->stream);
        return true;
    }
    return false;
}

/* What the replica asked for; or, if it asked for nothing, what it could have asked for. */
static bool position_wanted(const struct replica *rp, char id[REPL_ID_LEN + 1], uint64_t *position)
{
    if (rp->rdb_only) return false;
    if (rp->asked_len != REPL_ID_LEN) return position_of_peer(rp, id, position);
    memcpy(id, rp->asked_id, REPL_ID_LEN);
    return repl_stream_position_of_psync(rp->asked_offset, position);
}

void __wrap_full_sync_add(struct replica *rp)
{
    const struct repl *r = rp->repl;
    uint64_t position;
    char id[REPL_ID_LEN + 1] = "";
    if (asked.rp == rp && asked.has_backlog && position_wanted(rp, id, &position)) {
        if (position + 1 == repl_stream_start(&r->stream)) sim_reached("one-byte-too-old");
        if (shares(r, id, position) && repl_stream_covers(&r->stream, position))
            sim_fail("needless full synchronization",
                     "%s gives a full synchronization to a replica that %s %.8s at %" PRIu64
                     ", which is in its history and its backlog (%" PRIu64 " to %" PRIu64 ")",
                     sim.process->node->name, rp->asked_len == REPL_ID_LEN ? "asked for" : "did not ask for, and has,",
                     id, position, repl_stream_start(&r->stream), repl_stream_end(&r->stream));
    }
    __real_full_sync_add(rp);
}
