/* dispatch_count.c -- counts calls, execution times and errors of commands. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "server/clients/blocking.h"
#include "server/core/latency.h"
#include "server/dispatch/dispatch_internal.h"
#include "server/dispatch/slowlog.h"
#include "storage/base/log.h"
#include "storage/base/memory.h"

void dispatch_count_error(struct dispatcher *d, const char *code, bool invented)
{
    d->core->stats.errors++;
    for (size_t i = 0; i < d->error_count; i++) {
        if (strcmp(d->errors[i].code, code) == 0) {
            d->errors[i].count++;
            return;
        }
    }
    invented = invented && strcmp(code, "ERR") != 0;
    if (d->error_count == ERROR_CODES_MAX || (invented && d->invented_count == INVENTED_CODES_MAX)) {
        if (d->errors_overflow++ == 0)
            log_warning(d->core->log,
                        "Errorstats: no more codes of scripts are counted one by one, since there are %d of them; see "
                        "errorstat_ERRORSTATS_OVERFLOW. The first word of an error is its code.",
                        INVENTED_CODES_MAX);
        return;
    }
    if (invented) d->invented_count++;
    struct error_count *fresh = &d->errors[d->error_count++];
    snprintf(fresh->code, sizeof(fresh->code), "%s", code);
    fresh->count = 1;
}

void dispatch_errors_each(struct dispatcher *d, void (*fn)(void *ctx, const char *code, uint64_t count), void *ctx)
{
    for (size_t i = 0; i < d->error_count; i++) fn(ctx, d->errors[i].code, d->errors[i].count);
    if (d->errors_overflow > 0) fn(ctx, "ERRORSTATS_OVERFLOW", d->errors_overflow);
}

static void reset_slot(struct command_slot *slot)
{
    slot->stats = (struct command_stats){0};
    mem_free(slot->latency);
    slot->latency = NULL;
    for (size_t i = 0; i < slot->subcommand_count; i++) reset_slot(&slot->subcommands[i]);
}

void dispatch_reset_stats(struct dispatcher *d)
{
    size_t count;
    struct command_slot *slots = command_table_slots(d->commands, &count);
    for (size_t i = 0; i < count; i++) reset_slot(&slots[i]);
    d->error_count = d->invented_count = 0;
    d->errors_overflow = 0;
}

/* propagation-error-behavior can stop a replica whose data set may differ from its master's. It does not apply to a
 * replica that its own clients may write to. */
static void panic_if_configured(const struct dispatcher *d)
{
    const struct repl_settings *st = &d->core->settings->replication;
    if (st->propagation_error_behavior == PROPAGATION_IGNORE || !st->replica_read_only) return;
    log_warning(d->core->log,
                "This replica panicked sending an error to its master after processing a command from its "
                "replication stream (propagation-error-behavior)");
    if (d->core->settings->misc.use_exit_on_panic) _exit(1); /* at once: nothing is saved or closed */
    abort();
}

void dispatch_note_master_error(struct dispatcher *d, struct bytes_view name, const char *code)
{
    log_warning(
        d->core->log,
        "== CRITICAL == This replica is sending an error to its master: %s, after processing the command '%.*s'", code,
        bytes_shown(name, 128), name.data);
    d->core->stats.unexpected_errors++;
    panic_if_configured(d);
}

void dispatch_note_replay_error(struct dispatcher *d, const struct client *c, struct command_slot *slot)
{
    slot->stats.failed++;
    if (!c->reply.error_counted) dispatch_count_error(d, c->reply.error_code, c->reply.error_invented);
    d->core->stats.unexpected_errors++;
}

static void after_error(struct dispatcher *d, struct client *c, struct command_slot *slot)
{
    slot->stats.failed++;
    if (!c->reply.error_counted) dispatch_count_error(d, c->reply.error_code, c->reply.error_invented);
    c->reply.errors = 0;
    if (client_has(c, CLIENT_MASTER) && !client_has(c, CLIENT_SCRIPT))
        dispatch_note_master_error(d, bytes_str(slot->full_name), c->reply.error_code);
}

static void note_slow(struct cmd_ctx *ctx, struct command_slot *slot, uint64_t ticks)
{
    struct dispatcher *d = ctx->dispatcher;
    int64_t us = (int64_t)(ticks_to_ns(&d->rate, ticks) / 1000);
    if (!(slot->command->flags & CMD_SKIP_SLOWLOG))
        slowlog_note(d->uses.slowlog, ctx->caller, slot->command, ctx->argc, ctx->argv, us);
    latency_note(d->core, (slot->command->flags & CMD_FAST) ? "fast-command" : "command", us / 1000);
    if (d->core->exec.depth == 0) clock_update(d->core);
}

void dispatch_count_call(struct cmd_ctx *ctx, struct command_slot *slot, uint64_t took)
{
    struct dispatcher *d = ctx->dispatcher;
    slot->stats.calls++;
    slot->stats.ticks += took;
    d->core->stats.commands_processed++;
    if (UNLIKELY(ctx->client->reply.errors != 0)) after_error(d, ctx->client, slot);
    if (d->core->settings->latency.latency_tracking) latency_count(slot, took);
    if (UNLIKELY(took >= d->slow_ticks)) note_slow(ctx, slot, took);
}

void dispatch_count_blocked(struct cmd_ctx *ctx, struct command_slot *slot, uint64_t took)
{
    struct blocked *b = ctx->client->blocked;
    b->ticks += took;
    if (ctx->waits) return;
    b->counted = true;
    dispatch_count_call(ctx, slot, b->ticks);
}
