#include "server/operation/replication_advice.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "replication/replication.h"
#include "server/config/settings.h"

struct advisor {
    const struct core *core;
    struct repl_findings found;
    advice_fn *say;
    void *ctx;
};

static void say(const struct advisor *a, const char *fmt, ...) PRINTF(2, 3);
static void say(const struct advisor *a, const char *fmt, ...)
{
    char sentence[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(sentence, sizeof(sentence), fmt, args);
    va_end(args);
    a->say(a->ctx, sentence);
}

/* Twice what was missing, in whole MB: the next outage may be longer. */
static void on_backlog(const struct advisor *a)
{
    const struct repl_findings *f = &a->found;
    if (f->backlog_times == 0) return;
    uint64_t mb = f->backlog_bytes / (512 * 1024) + 1;
    say(a,
        "%zu full synchronizations would have been partial ones with a longer backlog: replicas lacked up to %" PRIu64
        " bytes, and repl-backlog-size is %" PRId64 ". Set repl-backlog-size to %" PRIu64 "mb.",
        f->backlog_times, f->backlog_bytes, a->core->settings->replication.repl_backlog_size, mb);
}

static void on_limits(const struct advisor *a)
{
    if (a->found.over_limit == 0) return;
    say(a,
        "%zu times a replica was disconnected because more output waited for it than client-output-buffer-limit allows. "
        "Raise the limit of the class replica, or find out why the replica or its network is slow.",
        a->found.over_limit);
}

static void on_flapping(const struct advisor *a)
{
    if (a->found.flapping == 0) return;
    say(a, "The replica %s was lost %zu times. Look at its log, at its network, and at repl-timeout (%d seconds).",
        a->found.flapping_peer, a->found.flapping, a->core->settings->replication.repl_timeout_s);
}

static void on_link(const struct advisor *a)
{
    if (a->found.lost_master < 3) return;
    say(a, "The link to the master was lost %zu times, the last time because: %s.", a->found.lost_master,
        a->found.lost_because);
}

static void on_persistence(const struct advisor *a)
{
    const struct settings *st = a->core->settings;
    if (repl_role(a->core->repl) != REPL_MASTER || repl_replica_next(a->core->repl, NULL) == NULL) return;
    if (st->persistence.appendonly || st->persistence.save_count > 0) return;
    say(a,
        "This master has replicas, but neither save points nor an append-only file. If it starts again before another "
        "server was promoted, it is empty, and its replicas become empty with it. Set appendonly yes or save.");
}

void replication_advise(const struct core *core, advice_fn *fn, void *ctx)
{
    struct advisor a = {.core = core, .say = fn, .ctx = ctx};
    repl_find(core->repl, &a.found);
    on_backlog(&a);
    on_limits(&a);
    on_flapping(&a);
    on_link(&a);
    on_persistence(&a);
}
