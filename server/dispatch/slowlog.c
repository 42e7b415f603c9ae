#include "server/dispatch/slowlog.h"

#include "server/catalog/command_row.h"
#include "server/clients/client.h"
#include "server/config/settings.h"
#include "server/core/core.h"
#include "server/dispatch/slowlog_internal.h"
#include "storage/base/memory.h"

struct slowlog *slowlog_new(const struct core *core, const struct config *config)
{
    struct slowlog *sl = mem_calloc(sizeof(*sl));
    sl->core = core;
    sl->config = config;
    return sl;
}

static void free_entry(struct slowlog_entry *e)
{
    for (int i = 0; i < e->argc; i++) bytes_buf_release(&e->argv[i]);
    mem_free(e->argv);
    mem_free(e->client_name);
    mem_free(e);
}

void slowlog_trim(struct slowlog *sl, size_t keep)
{
    while (sl->count > keep) {
        struct slowlog_entry *oldest = sl->oldest;
        sl->oldest = oldest->newer;
        if (sl->oldest != NULL)
            sl->oldest->older = NULL;
        else
            sl->newest = NULL;
        sl->count--;
        free_entry(oldest);
    }
}

void slowlog_free(struct slowlog *sl)
{
    if (sl == NULL) return;
    slowlog_trim(sl, 0);
    mem_free(sl);
}

/* A long argument is cut, and the text says how many bytes are missing. */
static void copy_argument(struct bytes_buf *to, struct bytes_view arg)
{
    if (arg.len <= SLOWLOG_ARGUMENT_MAX) {
        bytes_buf_append_view(to, arg);
        return;
    }
    bytes_buf_append(to, arg.data, SLOWLOG_ARGUMENT_MAX);
    bytes_buf_printf(to, "... (%zu more bytes)", arg.len - SLOWLOG_ARGUMENT_MAX);
}

static void copy_arguments(const struct config *config, const struct command *cmd, struct slowlog_entry *e, int argc,
                           const struct bytes_view *argv)
{
    e->argc = argc > SLOWLOG_ARGUMENTS_MAX ? SLOWLOG_ARGUMENTS_MAX : argc;
    e->argv = mem_calloc(sizeof(struct bytes_buf) * (size_t)e->argc);
    for (int i = 0; i < e->argc; i++) {
        if (argc > SLOWLOG_ARGUMENTS_MAX && i == e->argc - 1)
            bytes_buf_printf(&e->argv[i], "... (%d more arguments)", argc - SLOWLOG_ARGUMENTS_MAX + 1);
        else
            copy_argument(&e->argv[i], command_shown_arg(config, cmd, argc, argv, i));
    }
}

void slowlog_note(struct slowlog *sl, const struct client *c, const struct command *cmd, int argc,
                  const struct bytes_view *argv, int64_t us)
{
    const struct settings_latency *st = &sl->core->settings->latency;
    if (st->slowlog_log_slower_than_us < 0 || us < st->slowlog_log_slower_than_us) return;
    if (st->slowlog_max_len <= 0) { /* as in Redis, old entries go with the next slow command, not at CONFIG SET */
        sl->next_id++;
        slowlog_trim(sl, 0);
        return;
    }
    struct slowlog_entry *e = mem_calloc(sizeof(*e));
    e->id = sl->next_id++;
    e->time_s = sl->core->clock.now_ms / 1000;
    e->us = us;
    memcpy(e->peer, c->peer, sizeof(e->peer));
    e->client_name = mem_strdup(c->name == NULL ? "" : c->name);
    copy_arguments(sl->config, cmd, e, argc, argv);
    e->older = sl->newest;
    if (sl->newest != NULL)
        sl->newest->newer = e;
    else
        sl->oldest = e;
    sl->newest = e;
    sl->count++;
    slowlog_trim(sl, (size_t)st->slowlog_max_len);
}
