/* cmd_latency.c -- LATENCY: events that made the server slow, and histograms of commands. */
#include <stdio.h>

#include "server/clients/clients.h"
#include "server/commands/tables.h"
#include "server/core/core.h"
#include "server/core/latency.h"
#include "server/core/latency_internal.h"
#include "server/dispatch/dispatch.h"

/* The i-th stored sample; 0 is the oldest. */
static const struct latency_sample *sample_at(const struct latency_event *e, size_t i)
{
    return &e->samples[(e->next + LATENCY_HISTORY - e->count + i) % LATENCY_HISTORY];
}

static const struct latency_event *find_event(struct cmd_ctx *ctx, int arg)
{
    const struct latency *lt = ctx->core->latency;
    for (size_t i = 0; i < lt->count; i++)
        if (ctx_arg_is(ctx, arg, lt->events[i]->name)) return lt->events[i];
    return NULL;
}

static void cmd_latency_latest(struct cmd_ctx *ctx)
{
    const struct latency *lt = ctx->core->latency;
    reply_array(ctx->reply, lt->count);
    for (size_t i = 0; i < lt->count; i++) {
        const struct latency_event *e = lt->events[i];
        const struct latency_sample *last = sample_at(e, e->count - 1);
        reply_array(ctx->reply, 4);
        reply_bulk_cstr(ctx->reply, e->name);
        reply_int(ctx->reply, last->time_s);
        reply_int(ctx->reply, last->ms);
        reply_int(ctx->reply, e->max_ms);
    }
}

static void cmd_latency_history(struct cmd_ctx *ctx)
{
    const struct latency_event *e = find_event(ctx, 2);
    if (e == NULL) {
        reply_empty_array(ctx->reply);
        return;
    }
    reply_array(ctx->reply, e->count);
    for (size_t i = 0; i < e->count; i++) {
        reply_array(ctx->reply, 2);
        reply_int(ctx->reply, sample_at(e, i)->time_s);
        reply_int(ctx->reply, sample_at(e, i)->ms);
    }
}

static void cmd_latency_reset(struct cmd_ctx *ctx)
{
    size_t gone = 0;
    if (ctx->argc == 2) gone = latency_reset(ctx->core->latency, (struct bytes_view){0});
    for (int i = 2; i < ctx->argc; i++) gone += latency_reset(ctx->core->latency, ctx->argv[i]);
    reply_int(ctx->reply, (int64_t)gone);
}

/* ---- Summing up ---- */

struct summary {
    int64_t min_ms, max_ms, mean_ms, deviation_ms /* mean absolute deviation */;
    int64_t period_s; /* average time between two samples */
};

static struct summary summarize(const struct latency_event *e, int64_t now_s)
{
    struct summary sum = {.min_ms = INT64_MAX};
    int64_t total = 0, distance = 0;
    for (size_t i = 0; i < e->count; i++) {
        int64_t ms = sample_at(e, i)->ms;
        if (ms < sum.min_ms) sum.min_ms = ms;
        if (ms > sum.max_ms) sum.max_ms = ms;
        total += ms;
    }
    sum.mean_ms = total / (int64_t)e->count;
    for (size_t i = 0; i < e->count; i++) {
        int64_t ms = sample_at(e, i)->ms;
        distance += ms > sum.mean_ms ? ms - sum.mean_ms : sum.mean_ms - ms;
    }
    sum.deviation_ms = distance / (int64_t)e->count;
    sum.period_s = (now_s - sample_at(e, 0)->time_s) / (int64_t)e->count;
    return sum;
}

/* ---- GRAPH ---- */

enum { GRAPH_ROWS = 8, GRAPH_COLUMNS = 80, LABEL_MAX = 24 };

static void format_age(int64_t age_s, char label[LABEL_MAX])
{
    long long age = age_s > 0 ? (long long)age_s : 0;
    if (age < 60)
        snprintf(label, LABEL_MAX, "%llds", age);
    else if (age < 3600)
        snprintf(label, LABEL_MAX, "%lldm", age / 60);
    else if (age < 86400)
        snprintf(label, LABEL_MAX, "%lldh", age / 3600);
    else
        snprintf(label, LABEL_MAX, "%lldd", age / 86400);
}

static void draw_bars(const struct latency_event *e, size_t first, const struct summary *sum, struct bytes_buf *out)
{
    int64_t range = sum->max_ms > sum->min_ms ? sum->max_ms - sum->min_ms : 1;
    for (int row = GRAPH_ROWS - 1; row >= 0; row--) {
        for (size_t i = first; i < e->count; i++) {
            int64_t height = (sample_at(e, i)->ms - sum->min_ms) * (GRAPH_ROWS - 1) / range;
            bytes_buf_append(out, height >= row ? (row == 0 ? "_" : "#") : " ", 1);
        }
        bytes_buf_append(out, "\n", 1);
    }
}

/* The ages of the columns, written downwards. */
static void draw_ages(const struct latency_event *e, size_t first, int64_t now_s, struct bytes_buf *out)
{
    char label[LABEL_MAX];
    bool more = true;
    for (size_t row = 0; more; row++) {
        size_t start = out->len;
        more = false;
        for (size_t i = first; i < e->count; i++) {
            format_age(now_s - sample_at(e, i)->time_s, label);
            bool written = row < strlen(label);
            more |= written;
            bytes_buf_append(out, written ? &label[row] : " ", 1);
        }
        if (!more) out->len = start;
        bytes_buf_append(out, "\n", 1);
    }
}

static void cmd_latency_graph(struct cmd_ctx *ctx)
{
    const struct latency_event *e = find_event(ctx, 2);
    if (e == NULL) {
        reply_errorf(ctx->reply, "ERR No samples available for event '%.*s'", bytes_shown(ctx->argv[2], BYTES_WHOLE),
                     ctx->argv[2].data);
        return;
    }
    int64_t now_s = ctx_now_ms(ctx) / 1000;
    struct summary sum = summarize(e, now_s);
    size_t first = e->count > GRAPH_COLUMNS ? e->count - GRAPH_COLUMNS : 0;
    struct bytes_buf out = {0};
    bytes_buf_printf(&out, "%s - high %lld ms, low %lld ms (all time high %lld ms)\n", e->name, (long long)sum.max_ms,
                     (long long)sum.min_ms, (long long)e->max_ms);
    for (int i = 0; i < GRAPH_COLUMNS; i++) bytes_buf_append(&out, "-", 1);
    bytes_buf_append(&out, "\n", 1);
    draw_bars(e, first, &sum, &out);
    bytes_buf_append(&out, "\n", 1);
    draw_ages(e, first, now_s, &out);
    reply_verbatim(ctx->reply, "txt", bytes_buf_view(&out));
    bytes_buf_release(&out);
}

/* ---- DOCTOR ---- */

static const struct advice {
    const char *event, *text;
} advices[] = {
    {"command",
     "Some commands do much work at once. SLOWLOG GET names them; a lower slowlog-log-slower-than shows more."},
    {"fast-command",
     "Commands that should take microseconds were slow: the machine is overloaded, swaps, or is a noisy "
     "virtual machine."},
    {"fork", "Forking for a background save is slow: it grows with memory in use. Transparent huge pages and some "
             "hypervisors make it worse."},
    {"expire-cycle", "Many keys expire at the same moment, or big ones do: spread their times, and set "
                     "lazyfree-lazy-expire yes."},
    {"expire-del", "Deleting expired keys is slow: set lazyfree-lazy-expire yes."},
    {"eviction-cycle", "Eviction takes long: writes come faster than keys can be evicted. Give maxmemory more room."},
    {"eviction-del", "Deleting evicted keys is slow: set lazyfree-lazy-eviction yes."},
    {"rdb-unlink-temp-file", "Removing a temporary file is slow: look at the disk."},
};

static void append_advice(const char *event, struct bytes_buf *out)
{
    for (size_t i = 0; i < sizeof(advices) / sizeof(advices[0]); i++)
        if (strcmp(advices[i].event, event) == 0) bytes_buf_printf(out, "   %s\n", advices[i].text);
}

static void cmd_latency_doctor(struct cmd_ctx *ctx)
{
    const struct latency *lt = ctx->core->latency;
    struct bytes_buf out = {0};
    if (ctx->settings->latency.latency_monitor_threshold_ms == 0)
        bytes_buf_printf(&out, "The latency monitor is off. CONFIG SET latency-monitor-threshold <milliseconds> makes "
                               "it note what takes at least so long.\n");
    else if (lt->count == 0)
        bytes_buf_printf(&out, "Nothing took %lld milliseconds or more since the monitor was reset.\n",
                         (long long)ctx->settings->latency.latency_monitor_threshold_ms);
    for (size_t i = 0; i < lt->count; i++) {
        const struct latency_event *e = lt->events[i];
        struct summary sum = summarize(e, ctx_now_ms(ctx) / 1000);
        bytes_buf_printf(&out,
                         "%zu. %s: %zu latency spikes (average %lldms, mean deviation %lldms, period %llds). Worst all "
                         "time event %lldms.\n",
                         i + 1, e->name, e->count, (long long)sum.mean_ms, (long long)sum.deviation_ms,
                         (long long)sum.period_s, (long long)e->max_ms);
        append_advice(e->name, &out);
    }
    reply_verbatim(ctx->reply, "txt", bytes_buf_view(&out));
    bytes_buf_release(&out);
}

/* ---- HISTOGRAM ---- */

/* Bucket limits in nanoseconds that LATENCY HISTOGRAM reports: those of Redis, whose histogram has steps of 1/128. */
static uint64_t reported_limit_ns(unsigned step)
{
    uint64_t power = UINT64_C(1024) << step;
    return power + power / 128 - 1;
}

static void reply_histogram(struct cmd_ctx *ctx, const struct command_slot *slot)
{
    enum { STEPS = 40 };
    uint64_t sum = 0, reported = 0;
    unsigned bucket = 0;
    size_t pairs = 0;
    reply_bulk_cstr(ctx->reply, slot->full_name);
    reply_map(ctx->reply, 2);
    reply_bulk_cstr(ctx->reply, "calls");
    reply_int(ctx->reply, (int64_t)slot->stats.calls);
    reply_bulk_cstr(ctx->reply, "histogram_usec");
    struct outbuf_mark mark = reply_deferred(ctx->reply);
    for (unsigned step = 0; step < STEPS; step++) {
        uint64_t limit = step == STEPS - 1 ? UINT64_MAX : reported_limit_ns(step);
        for (; bucket < HISTOGRAM_BUCKETS; bucket++) {
            if (dispatch_ticks_to_ns(ctx->dispatcher, histogram_bucket_limit(bucket)) > limit) break;
            sum += slot->latency[bucket];
        }
        if (sum == reported) continue;
        reply_int(ctx->reply, (int64_t)(reported_limit_ns(step) / 1000));
        reply_int(ctx->reply, (int64_t)sum);
        reported = sum;
        pairs++;
    }
    reply_deferred_map(ctx->reply, mark, pairs);
}

/* The command and its subcommands, if they were called. */
static size_t histogram_tree(struct cmd_ctx *ctx, const struct command_slot *slot)
{
    size_t count = 0;
    if (slot->latency != NULL) {
        reply_histogram(ctx, slot);
        count++;
    }
    for (size_t i = 0; i < slot->subcommand_count; i++) count += histogram_tree(ctx, &slot->subcommands[i]);
    return count;
}

static void cmd_latency_histogram(struct cmd_ctx *ctx)
{
    struct command_table *table = ctx->client->clients->commands;
    size_t count = 0, all;
    struct outbuf_mark mark = reply_deferred(ctx->reply);
    if (ctx->argc == 2) {
        const struct command_slot *slots = command_table_slots(table, &all);
        for (size_t i = 0; i < all; i++) count += histogram_tree(ctx, &slots[i]);
    }
    for (int i = 2; i < ctx->argc; i++) {
        const struct command_slot *slot = command_table_find_full(table, ctx->argv[i]);
        if (slot != NULL) count += histogram_tree(ctx, slot);
    }
    reply_deferred_map(ctx->reply, mark, count);
}

static void cmd_latency_help(struct cmd_ctx *ctx)
{
    static const char *const lines[] = {
        "LATENCY <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "DOCTOR",
        "    Explain what was slow, and what may help.",
        "GRAPH <event>",
        "    Draw the history of an event.",
        "HISTORY <event>",
        "    Return the seconds in which the event happened, with its worst time of each.",
        "HISTOGRAM [COMMAND ...]",
        "    Return how many calls of each command took at most so many microseconds.",
        "LATEST",
        "    Return the latest sample of each event, and its worst.",
        "RESET [<event> ...]",
        "    Forget the samples of these events, or of all.",
        "HELP",
        "    Print this help.",
        NULL,
    };
    ctx_reply_help(ctx, lines);
}

enum { ASK = CMD_ADMIN | CMD_NOSCRIPT | CMD_LOADING | CMD_STALE };

// clang-format off
#define LATENCY_ROW .group = "server", .since = "2.8.13"
static const struct command latency_subcommands[] = {
    { .name = "doctor", .run = cmd_latency_doctor, .arity = 2, .flags = ASK, .tips = "nondeterministic_output request_policy:all_nodes response_policy:special", LATENCY_ROW, .complexity = "O(1)",
      .summary = "Explains what was slow." },
    { .name = "graph", .run = cmd_latency_graph, .arity = 3, .flags = ASK, .tips = "nondeterministic_output request_policy:all_nodes response_policy:special", LATENCY_ROW, .complexity = "O(1)",
      .summary = "Draws the history of an event.",
      .syntax = "event" },
    { .name = "history", .run = cmd_latency_history, .arity = 3, .flags = ASK, .tips = "nondeterministic_output request_policy:all_nodes response_policy:special", LATENCY_ROW, .complexity = "O(1)",
      .summary = "Returns the samples of an event.",
      .syntax = "event" },
    { .name = "histogram", .run = cmd_latency_histogram, .arity = -2, .flags = ASK, .tips = "nondeterministic_output request_policy:all_nodes response_policy:special", .group = "server", .since = "7.0.0",
      .complexity = "O(N) where N is the number of commands with latency information being retrieved.",
      .summary = "Returns how long commands take, as a distribution.",
      .syntax = "[command]..." },
    { .name = "latest", .run = cmd_latency_latest, .arity = 2, .flags = ASK, .tips = "nondeterministic_output request_policy:all_nodes response_policy:special", LATENCY_ROW, .complexity = "O(1)",
      .summary = "Returns the latest samples of all events." },
    { .name = "reset", .run = cmd_latency_reset, .arity = -2, .flags = ASK, .tips = "request_policy:all_nodes response_policy:agg_sum", LATENCY_ROW, .complexity = "O(1)",
      .summary = "Forgets the samples of events.",
      .syntax = "[event]..." },
    { .name = "help", .run = cmd_latency_help, .arity = 2, .flags = CMD_LOADING | CMD_STALE, LATENCY_ROW, .complexity = "O(1)",
      .summary = "Tells about the subcommands." },
    { 0 },
};
const struct command latency_commands[] = {
    { .name = "latency", .arity = -2, .subcommands = latency_subcommands, LATENCY_ROW,
      .complexity = "Depends on subcommand.", .summary = "A container for latency diagnostics commands." },
    { 0 },
};
// clang-format on
