#include "server/sentinel/sentinel_scripts.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

#include "server/core/core.h"
#include "storage/base/assert.h"
#include "storage/base/log.h"
#include "storage/base/memory.h"

struct script {
    char *argv[SCRIPT_ARGUMENTS_MAX + 1]; /* ends with NULL */
    size_t argc;
    pid_t pid;          /* 0: it waits */
    int64_t since_ms;   /* running: when it was started */
    int64_t not_before; /* waiting: when it may start */
    unsigned tries;
    bool killed; /* for its time; -script-timeout was told */
};

struct sentinel_scripts {
    struct sentinel_scripts_uses uses;
    struct script *queue[SCRIPTS_MAX]; /* in order of arrival */
    size_t count, running;
};

struct sentinel_scripts *sentinel_scripts_new(const struct sentinel_scripts_uses *uses)
{
    struct sentinel_scripts *sc = mem_calloc(sizeof(*sc));
    sc->uses = *uses;
    return sc;
}

static void script_free(struct script *s)
{
    for (size_t i = 0; i < s->argc; i++) mem_free(s->argv[i]);
    mem_free(s);
}

void sentinel_scripts_free(struct sentinel_scripts *sc)
{
    if (sc == NULL) return;
    for (size_t i = 0; i < sc->count; i++) script_free(sc->queue[i]);
    mem_free(sc);
}

static void remove_at(struct sentinel_scripts *sc, size_t at)
{
    script_free(sc->queue[at]);
    memmove(&sc->queue[at], &sc->queue[at + 1], (sc->count - at - 1) * sizeof(struct script *));
    sc->count--;
}

static void drop_oldest_waiting(struct sentinel_scripts *sc)
{
    for (size_t i = 0; i < sc->count; i++) {
        if (sc->queue[i]->pid != 0) continue;
        remove_at(sc, i);
        return;
    }
    UNREACHABLE(); /* fewer run than there are */
}

void sentinel_scripts_run(struct sentinel_scripts *sc, size_t argc, const char *const *argv)
{
    ASSERT(argc <= SCRIPT_ARGUMENTS_MAX);
    if (sc->count == SCRIPTS_MAX) drop_oldest_waiting(sc);
    struct script *s = mem_calloc(sizeof(*s));
    for (size_t i = 0; i < argc; i++) s->argv[s->argc++] = mem_strdup(argv[i]);
    sc->queue[sc->count++] = s;
}

static void tell(struct sentinel_scripts *sc, const char *type, const struct script *s, int64_t first, int second)
{
    char text[512];
    snprintf(text, sizeof(text), "%.400s %lld %d", s->argv[0], (long long)first, second);
    sc->uses.event(sc->uses.ctx, type, text);
}

/* ---- Ends ---- */

static int64_t now_ms(const struct sentinel_scripts *sc)
{
    return sc->uses.core->clock.mono_ms;
}

/* After the nth try: the delay, doubled n - 1 times. */
static int64_t delay_ms(const struct sentinel_scripts *sc, const struct script *s)
{
    return sc->uses.retry_delay_ms(sc->uses.ctx) << (s->tries - 1);
}

/* False: the script is done, or is given up. */
static bool script_ended(struct sentinel_scripts *sc, struct script *s, int status)
{
    int by_signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0, code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
    s->pid = 0;
    sc->running--;
    bool again = by_signal != 0 || code == 1;
    if (again && s->tries < SCRIPT_TRIES_MAX) {
        s->not_before = now_ms(sc) + delay_ms(sc, s);
        s->killed = false;
        return true;
    }
    if (by_signal != 0 || code != 0) tell(sc, "-script-error", s, by_signal, code);
    return false;
}

static void reap(struct sentinel_scripts *sc)
{
    const struct sys *sys = sc->uses.core->sys;
    for (size_t i = 0; i < sc->count;) {
        struct script *s = sc->queue[i];
        int status = 0;
        pid_t ended = s->pid != 0 ? sys->waitpid(sys->ctx, s->pid, &status, WNOHANG) : 0;
        bool runs_on = ended == 0 || ended == -EINTR;
        if (runs_on || script_ended(sc, s, ended > 0 ? status : 0))
            i++;
        else
            remove_at(sc, i);
    }
}

static void kill_late(struct sentinel_scripts *sc)
{
    const struct sys *sys = sc->uses.core->sys;
    for (size_t i = 0; i < sc->count; i++) {
        struct script *s = sc->queue[i];
        if (s->pid == 0 || s->killed || now_ms(sc) - s->since_ms <= sc->uses.max_runtime_ms(sc->uses.ctx)) continue;
        s->killed = true;
        char text[512];
        snprintf(text, sizeof(text), "%.400s %lld", s->argv[0], (long long)s->pid);
        sc->uses.event(sc->uses.ctx, "-script-timeout", text);
        (void)sys->kill(sys->ctx, s->pid, SIGKILL); /* if it has just ended, reap() sees it */
    }
}

/* ---- Starts ---- */

/* False: it cannot be started, and is given up. */
static bool script_start(struct sentinel_scripts *sc, struct script *s)
{
    const struct sys *sys = sc->uses.core->sys;
    pid_t pid = sys->run_program(sys->ctx, s->argv);
    s->tries++;
    if (pid < 0) {
        tell(sc, "-script-error", s, 99, 0); /* as Redis tells it */
        log_warning(sc->uses.core->log, "The script %s cannot be started: %s", s->argv[0], strerror((int)-pid));
        return false;
    }
    s->pid = pid;
    s->since_ms = now_ms(sc);
    sc->running++;
    return true;
}

static void start_waiting(struct sentinel_scripts *sc)
{
    for (size_t i = 0; i < sc->count && sc->running < SCRIPTS_RUNNING_MAX;) {
        struct script *s = sc->queue[i];
        if (s->pid != 0 || s->not_before > now_ms(sc) || script_start(sc, s))
            i++;
        else
            remove_at(sc, i);
    }
}

void sentinel_scripts_cron(struct sentinel_scripts *sc)
{
    if (sc->count == 0) return;
    reap(sc);
    kill_late(sc);
    start_waiting(sc);
}

/* ---- Reading ---- */

size_t sentinel_scripts_count(const struct sentinel_scripts *sc)
{
    return sc->count;
}
size_t sentinel_scripts_running(const struct sentinel_scripts *sc)
{
    return sc->running;
}

void sentinel_scripts_describe(const struct sentinel_scripts *sc, size_t i, struct sentinel_script_info *out)
{
    const struct script *s = sc->queue[i];
    int64_t wait_ms = s->not_before > now_ms(sc) ? s->not_before - now_ms(sc) : 0;
    *out = (struct sentinel_script_info){.argv = (const char *const *)s->argv,
                                         .argc = s->argc,
                                         .pid = s->pid,
                                         .for_ms = s->pid != 0 ? now_ms(sc) - s->since_ms : wait_ms,
                                         .tries = s->tries};
}
