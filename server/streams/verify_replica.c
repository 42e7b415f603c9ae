#include "server/streams/verify_replica.h"

#include <inttypes.h>

#include "replication/replication.h"
#include "server/config/settings.h"
#include "server/core/core.h"
#include "server/streams/repair_replica.h"
#include "server/streams/verify_check.h"
#include "storage/base/memory.h"
#include "storage/range_digest.h"

enum { LOG_PERIOD_MS = 1000 /* at most one line about mismatches */ };

struct verify_replica {
    struct core *core;
    struct repair_replica *repair;
    uint64_t round;
    bool in_round;     /* `round` began at round_start_us, and each of its checks so far was compared */
    bool has_verified; /* verified_us is valid */
    int64_t round_start_us, verified_us;
    int64_t logged_ms;
    uint64_t not_logged; /* mismatches since that line */
    bool has_logged;
    struct verify_replica_info info;
};

/* ---- Mismatches ---- */

static void log_mismatch(struct verify_replica *vr, const struct verify_check *check, const struct range_result *ours)
{
    char here[STRICT_DIGEST_CHARS + 1], there[STRICT_DIGEST_CHARS + 1];
    int64_t now_ms = sys_mono_us(vr->core->sys) / 1000;
    if (vr->has_logged && now_ms - vr->logged_ms < LOG_PERIOD_MS) {
        vr->not_logged++;
        return;
    }
    strict_digest_format(ours->digest, here);
    strict_digest_format(check->digest, there);
    log_warning(vr->core->log,
                "Our data differ from our master's at offset %" PRId64 " in the range '%s': count %" PRIu64
                " and digest %s here, count %" PRIu64 " and digest %s there. %" PRIu64
                " other differences were not logged since the last line.",
                vr->info.mismatch_offset, vr->info.mismatch_range, ours->count, here, check->count, there,
                vr->not_logged);
    vr->has_logged = true;
    vr->logged_ms = now_ms;
    vr->not_logged = 0;
}

static void note_mismatch(struct verify_replica *vr, const struct verify_check *check, const struct range_result *ours)
{
    struct bytes_buf text = {0};
    range_format(&check->range, &text);
    bytes_quoted(bytes_buf_view(&text), VERIFY_RANGE_SHOWN, vr->info.mismatch_range);
    bytes_buf_release(&text);
    vr->info.mismatches++;
    vr->info.mismatch_offset = (int64_t)repl_offset(vr->core->repl);
    log_mismatch(vr, check, ours);
}

/* ---- Rounds ---- */

/* The range "functions" is the first of a round: it ends the round before it. */
static void note_round(struct verify_replica *vr, const struct verify_check *check)
{
    if (check->range.kind != RANGE_FUNCTIONS) {
        if (check->round != vr->round) vr->in_round = false;
        return;
    }
    if (vr->in_round && check->round == vr->round + 1) {
        vr->info.rounds++;
        vr->verified_us = vr->round_start_us;
        vr->has_verified = true;
    }
    vr->in_round = true;
    vr->round = check->round;
    vr->round_start_us = sys_mono_us(vr->core->sys);
}

/* ---- Checks ---- */

/* Why our data may rightly differ from our master's, or NULL. */
static const char *data_obstacle(const struct verify_replica *vr)
{
    const struct core *core = vr->core;
    if (!core->settings->replication.replica_read_only) return "writable";
    if (!core->settings->memory.replica_ignore_maxmemory) return "evicting";
    if (!repl_secret_known(core->repl)) return "secret-unknown";
    return NULL;
}

/* Why a check cannot be compared, or NULL. */
static const char *obstacle(const struct verify_replica *vr, const struct verify_check *check)
{
    const char *why = data_obstacle(vr);
    if (why != NULL) return why;
    if (keyspace_fingerprint(vr->core->keyspace) != check->fingerprint) return "other-secret";
    return NULL;
}

static void skip(struct verify_replica *vr, const char *why)
{
    vr->info.state = why;
    vr->info.skipped++;
    vr->in_round = false;
}

/* Whether our data in the range are the master's. */
static bool compare(struct verify_replica *vr, struct verify_check *check, struct range_result *ours)
{
    int64_t start_us = sys_mono_us(vr->core->sys);
    if (!range_digest(vr->core->keyspace, &check->range, UINT64_MAX, NULL, NULL, ours)) UNREACHABLE();
    uint64_t cost_us = (uint64_t)(sys_mono_us(vr->core->sys) - start_us);
    vr->info.cost_us += cost_us;
    if (cost_us > vr->info.check_max_us) vr->info.check_max_us = cost_us;
    return ours->count == check->count && strict_digest_equal(ours->digest, check->digest);
}

static void compare_of_round(struct verify_replica *vr, struct verify_check *check)
{
    struct range_result ours;
    note_round(vr, check);
    vr->info.state = "verifying";
    vr->info.checks++;
    if (compare(vr, check, &ours)) return;
    note_mismatch(vr, check, &ours);
    repair_replica_wanted(vr->repair, &check->range);
}

/* The last command of a unit of repair_master.h. */
static void compare_mended(struct verify_replica *vr, struct verify_check *check)
{
    struct range_result ours;
    repair_replica_finish(vr->repair);
    repair_replica_judge(vr->repair, &check->range, compare(vr, check, &ours));
}

static void on_check(struct verify_replica *vr, struct bytes_view argument)
{
    struct verify_check check;
    bool good = verify_check_parse(argument, &check);
    const char *why = good ? obstacle(vr, &check) : "malformed";
    if (why != NULL)
        skip(vr, why);
    else if (check.round == VERIFY_ROUND_OF_REPAIR)
        compare_mended(vr, &check);
    else
        compare_of_round(vr, &check);
}

void verify_replica_on_ping(void *ctx, struct bytes_view argument)
{
    struct verify_replica *vr = ctx;
    if (verify_check_is(argument))
        on_check(vr, argument);
    else if (data_obstacle(vr) == NULL)
        repair_replica_on_ping(vr->repair, argument);
    repair_replica_check_time(vr->repair);
}

void verify_replica_replaced(struct verify_replica *vr)
{
    vr->in_round = vr->has_verified = false;
    repair_replica_replaced(vr->repair);
}

/* ---- Life ---- */

struct verify_replica *verify_replica_new(struct core *core, struct repair_replica *repair)
{
    struct verify_replica *vr = mem_calloc(sizeof(*vr));
    vr->core = core;
    vr->repair = repair;
    vr->info.state = "none";
    vr->info.mismatch_offset = -1;
    return vr;
}

void verify_replica_free(struct verify_replica *vr)
{
    mem_free(vr);
}

void verify_replica_describe(const struct verify_replica *vr, struct verify_replica_info *out)
{
    *out = vr->info;
    out->verified_ms = vr->has_verified ? (sys_mono_us(vr->core->sys) - vr->verified_us) / 1000 : -1;
}
