#include "server/operation/metrics_commands.h"

#include "server/catalog/command_table.h"
#include "server/dispatch/dispatch.h"
#include "server/operation/metrics_text.h"
#include "server/operation/report.h"
#include "storage/base/assert.h"
#include "storage/base/memory.h"
#include "storage/base/num.h"

enum { FAMILIES_MAX = 24, FIRST_LIMIT = 0 /* 1 us */, LAST_LIMIT = 21 /* 2 s */, QUANTILE_CHARS = 64 };

struct family {
    const char *name;
    bool called;
    uint64_t ticks;
    uint64_t counts[HISTOGRAM_BUCKETS];
};

/* What is known of a slot from the first time on that metrics are written. */
struct known {
    const struct command_slot *slot;
    struct bytes_buf labels; /* cmd="name" */
    unsigned family;
};

struct metrics_commands {
    struct server *server;
    struct known *known; /* by the slot's id; NULL: nobody has asked yet */
    size_t known_count;
    struct family families[FAMILIES_MAX];
    size_t family_count;
    struct metrics_limits limits;
    char quantiles[SETTINGS_PERCENTILES_MAX][QUANTILE_CHARS]; /* quantile="99.9" */
    size_t quantile_lens[SETTINGS_PERCENTILES_MAX];
};

/* ---- Life ---- */

static unsigned family_of(struct metrics_commands *mc, const char *group)
{
    if (group == NULL) group = "other";
    for (unsigned i = 0; i < mc->family_count; i++)
        if (strcmp(mc->families[i].name, group) == 0) return i;
    ASSERT(mc->family_count < FAMILIES_MAX);
    mc->families[mc->family_count].name = group;
    return (unsigned)mc->family_count++;
}

static void know(struct metrics_commands *mc, const struct command_slot *slot)
{
    struct known *k = &mc->known[slot->id];
    k->slot = slot;
    k->family = family_of(mc, slot->command->group);
    metrics_label(&k->labels, "cmd", bytes_str(slot->full_name));
}

static void know_all(struct metrics_commands *mc)
{
    size_t count;
    const struct command_slot *slots = command_table_slots(mc->server->commands, &count);
    mc->known_count = command_table_id_count(mc->server->commands);
    mc->known = mem_calloc(mc->known_count * sizeof(*mc->known));
    for (size_t i = 0; i < count; i++) {
        know(mc, &slots[i]);
        for (size_t j = 0; j < slots[i].subcommand_count; j++) know(mc, &slots[i].subcommands[j]);
    }
}

struct metrics_commands *metrics_commands_new(struct server *s)
{
    struct metrics_commands *mc = mem_calloc(sizeof(*mc));
    mc->server = s;
    return mc;
}

void metrics_commands_free(struct metrics_commands *mc)
{
    if (mc == NULL) return;
    for (size_t i = 0; i < mc->known_count; i++) bytes_buf_release(&mc->known[i].labels);
    mem_free(mc->known);
    mem_free(mc);
}

/* ---- Of each command ---- */

static uint64_t to_ns(const struct metrics_commands *mc, uint64_t ticks)
{
    return dispatch_ticks_to_ns(mc->server->dispatcher, ticks);
}

static const struct command_stats *stats_of(const struct known *k)
{
    return &k->slot->stats;
}

static bool is_shown(const struct known *k)
{
    const struct command_stats *st = stats_of(k);
    return st->calls + st->rejected + st->failed > 0;
}

static void write_calls(const struct metrics_commands *mc, struct bytes_buf *out)
{
    static const char name[] = "redis_commands_total";
    metrics_family(out, name, METRICS_COUNTER, "Calls of the command.");
    for (const struct known *k = mc->known; k < mc->known + mc->known_count; k++)
        if (is_shown(k)) metrics_number(out, name, bytes_buf_view(&k->labels), (int64_t)stats_of(k)->calls);
}

static void write_times(const struct metrics_commands *mc, struct bytes_buf *out)
{
    static const char name[] = "redis_commands_duration_seconds_total";
    metrics_family(out, name, METRICS_COUNTER, "Time of the command's calls.");
    for (const struct known *k = mc->known; k < mc->known + mc->known_count; k++)
        if (is_shown(k)) metrics_decimal(out, name, bytes_buf_view(&k->labels), to_ns(mc, stats_of(k)->ticks), 9);
}

static void write_rejected(const struct metrics_commands *mc, struct bytes_buf *out)
{
    static const char name[] = "redis_commands_rejected_calls_total";
    metrics_family(out, name, METRICS_COUNTER, "Calls that were refused before the command ran.");
    for (const struct known *k = mc->known; k < mc->known + mc->known_count; k++)
        if (is_shown(k)) metrics_number(out, name, bytes_buf_view(&k->labels), (int64_t)stats_of(k)->rejected);
}

static void write_failed(const struct metrics_commands *mc, struct bytes_buf *out)
{
    static const char name[] = "redis_commands_failed_calls_total";
    metrics_family(out, name, METRICS_COUNTER, "Calls that ended with an error.");
    for (const struct known *k = mc->known; k < mc->known + mc->known_count; k++)
        if (is_shown(k)) metrics_number(out, name, bytes_buf_view(&k->labels), (int64_t)stats_of(k)->failed);
}

/* ---- Percentiles ---- */

/* They are percentages, as in the exporter. */
static void prepare_quantiles(struct metrics_commands *mc)
{
    const struct settings_latency *st = &mc->server->core.settings->latency;
    struct bytes_buf label = {0};
    for (int i = 0; i < st->percentile_count; i++) {
        char number[NUM_DOUBLE_MAX_CHARS];
        label.len = 0;
        metrics_label(&label, "quantile", bytes_view(number, num_format_double(number, st->percentiles[i])));
        ASSERT(label.len <= QUANTILE_CHARS);
        memcpy(mc->quantiles[i], label.data, label.len);
        mc->quantile_lens[i] = label.len;
    }
    bytes_buf_release(&label);
}

static void write_percentiles_of(const struct metrics_commands *mc, const struct known *k, struct bytes_buf *labels,
                                 struct bytes_buf *out)
{
    uint64_t ns[SETTINGS_PERCENTILES_MAX];
    struct bytes_view own = bytes_buf_view(&k->labels);
    command_latency_percentiles(mc->server, k->slot, ns);
    labels->len = 0;
    bytes_buf_append_view(labels, own);
    bytes_buf_append(labels, ",", 1);
    for (int i = 0; i < mc->server->core.settings->latency.percentile_count; i++) {
        labels->len = own.len + 1;
        bytes_buf_append(labels, mc->quantiles[i], mc->quantile_lens[i]);
        metrics_decimal(out, "redis_latency_percentiles_usec", bytes_buf_view(labels), ns[i], 3);
    }
    metrics_decimal(out, "redis_latency_percentiles_usec_sum", own, to_ns(mc, stats_of(k)->ticks), 3);
    metrics_number(out, "redis_latency_percentiles_usec_count", own, (int64_t)stats_of(k)->calls);
}

static void write_percentiles(struct metrics_commands *mc, struct bytes_buf *out)
{
    struct bytes_buf labels = {0};
    prepare_quantiles(mc);
    metrics_family(out, "redis_latency_percentiles_usec", METRICS_SUMMARY,
                   "Percentiles of the command's times since the start, in microseconds.");
    for (const struct known *k = mc->known; k < mc->known + mc->known_count; k++)
        if (k->slot->latency != NULL) write_percentiles_of(mc, k, &labels, out);
    bytes_buf_release(&labels);
}

/* ---- Families ---- */

static void add_up_families(struct metrics_commands *mc)
{
    for (size_t i = 0; i < mc->family_count; i++) mc->families[i] = (struct family){.name = mc->families[i].name};
    for (const struct known *k = mc->known; k < mc->known + mc->known_count; k++) {
        struct family *f = &mc->families[k->family];
        if (k->slot->latency == NULL) continue;
        f->called = true;
        f->ticks += stats_of(k)->ticks;
        for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) f->counts[i] += k->slot->latency[i];
    }
}

static void write_families(struct metrics_commands *mc, struct bytes_buf *out)
{
    static const char name[] = "lockstep_commands_duration_seconds";
    struct bytes_buf labels = {0};
    add_up_families(mc);
    metrics_limits_set(&mc->limits, dispatch_ns_per_tick(mc->server->dispatcher), FIRST_LIMIT, LAST_LIMIT);
    metrics_family(out, name, METRICS_HISTOGRAM, "How long commands took, by the group of COMMAND DOCS.");
    for (const struct family *f = mc->families; f < mc->families + mc->family_count; f++) {
        if (!f->called) continue;
        labels.len = 0;
        metrics_label(&labels, "family", bytes_str(f->name));
        metrics_histogram(out, name, bytes_buf_view(&labels), &mc->limits, f->counts, f->ticks);
    }
    bytes_buf_release(&labels);
}

void metrics_commands_write(struct metrics_commands *mc, struct bytes_buf *out)
{
    if (mc->known == NULL) know_all(mc);
    write_calls(mc, out);
    write_times(mc, out);
    write_rejected(mc, out);
    write_failed(mc, out);
    write_percentiles(mc, out);
    write_families(mc, out);
}
