/* scenario.c -- a run: nodes, their settings and roles, traffic, faults, and the checks at the end.
 *
 *      0 s            1 s                                13 s                     quiet: digests are compared
 *      nodes start    traffic and faults of the plan     all is healed, traffic ends, links come up again       */
#include "tests/simulation/scenario.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "replication/replication_internal.h"
#include "server/house.h"
#include "server/persistence/aof_internal.h"
#include "server/persistence/saving.h"
#include "storage/strict_digest.h"
#include "tests/simulation/client.h"
#include "tests/simulation/damage.h"
#include "tests/simulation/network.h"
#include "tests/simulation/plan.h"
#include "tests/simulation/promises.h"
#include "tests/simulation/sim_disk.h"
#include "tests/simulation/observe.h"
#include "tests/simulation/sim_sys.h"
#include "tests/simulation/traffic.h"
#include "tests/simulation/triggers.h"
#include "tests/simulation/truth.h"

#define MS     INT64_C(1000)
#define SECOND INT64_C(1000000)

enum {
    FAULTS_FROM_MS = 1500,
    HEAL_MS = 13000,
    LINK_BOUND_MS = 45000,
    REFUSAL_BOUND_MS = 75000, /* rewrites that have failed three times may wait for a minute */
    PAUSE_BOUND_MS = 6000,    /* pauses that clients have asked for last 300 ms */
    REST_AFTER_MS = 1500,
    ADMIN_EVERY_MS = 100,
    NOBODY = -1
};

enum persistence { NO_FILES, RDB, LOG_ALWAYS, LOG_EVERYSEC, LOG_NO, PERSISTENCE_KINDS };

struct member {
    struct sim_node *node;
    int master; /* the node that it is to follow, or NOBODY */
    enum persistence persistence;
    bool saves;
    bool loose;  /* the operator changes its persistence: nothing is owed */
    size_t base; /* length of the configuration before its role */
    struct sim_client *admin;
    int64_t start_at_us; /* when it is to be started again; 0: not planned */
    unsigned ended;      /* lives whose end is dealt with */
    bool power_cut, stopped_cleanly, check_due;
    bool is_untold;     /* it was loading, and refused to hear its role */
    int64_t held_up_us; /* by SIGSTOP, when it was last seen; or its disk was slow */
    unsigned failed_starts;
    uint64_t kill_at_start;                    /* kill -9 at this system call of its next life; 0: never */
    uint64_t disk_failures, failed_dir_fsyncs; /* when this life began */
    /* at rest */
    bool is_asked, has_digest;
    char id[REPL_ID_LEN + 1];
    uint64_t offset;
    struct strict_digest digest;
    bool knows_secret;
    uint64_t fingerprint; /* of the secret of its hash functions */
};

static struct {
    struct member members[SIM_NODES_MAX];
    size_t count;
    int master;
    uint64_t promotions;   /* changes of roles by the administrator */
    bool by_name;          /* replicas are told names of masters, not addresses */
    bool secret_forgotten; /* by a node that started with a lineage file of another history, or without one */
    bool healed, quiet_asked, finished;
    uint64_t damage; /* how the data of a replica are damaged in the end; 0: they are not */
    bool is_damaged;
    int64_t rest_by_us;
    int64_t asked_us;
    struct sim_event watch;
} scenario;

/* ---- Settings ---- */

static const char *pick_text(const char *const *texts, size_t count)
{
    return texts[plan_below(count)];
}
#define PICK(...)                                                                                                      \
    pick_text((const char *const[]){__VA_ARGS__}, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *))

static void configure_persistence(struct member *m)
{
    struct sim_node *node = m->node;
    bool log = m->persistence >= LOG_ALWAYS;
    static const char *const policies[] = {[LOG_ALWAYS] = "always", [LOG_EVERYSEC] = "everysec", [LOG_NO] = "no"};
    m->saves = m->persistence != NO_FILES && plan_chance(700);
    sim_node_configure(node, "save %s", m->saves ? "1 1" : "\"\"");
    sim_node_configure(node, "appendonly %s", log ? "yes" : "no");
    if (log) sim_node_configure(node, "appendfsync %s", policies[m->persistence]);
    sim_node_configure(node, "aof-use-rdb-preamble %s", PICK("yes", "no"));
    sim_node_configure(node, "auto-aof-rewrite-percentage %s", PICK("0", "50", "100"));
    sim_node_configure(node, "auto-aof-rewrite-min-size %s", PICK("4kb", "32kb"));
    sim_node_configure(node, "rdbcompression %s", PICK("no", "no", "no", "no", "no", "yes"));
}

static void configure(struct member *m)
{
    struct sim_node *node = m->node;
    configure_persistence(m);
    sim_node_configure(node, "repl-timeout %s", PICK("3", "4", "6"));
    sim_node_configure(node, "repl-ping-replica-period 1");
    sim_node_configure(node, "repl-diskless-sync %s", PICK("yes", "no"));
    sim_node_configure(node, "repl-diskless-sync-delay %s", PICK("0", "0", "1"));
    sim_node_configure(node, "repl-diskless-load %s", PICK("disabled", "swapdb", "on-empty-db"));
    sim_node_configure(node, "repl-backlog-size %s", PICK("16kb", "16kb", "64kb", "1mb"));
    sim_node_configure(node, "repl-backlog-ttl %s", PICK("0", "2", "3600"));
    sim_node_configure(node, "client-output-buffer-limit replica %s", PICK("0 0 0", "0 0 0", "200kb 60kb 1"));
    sim_node_configure(node, "lazyfree-lazy-user-flush %s", PICK("yes", "no"));
    sim_node_configure(node, "replica-serve-stale-data %s", PICK("yes", "yes", "no"));
    sim_node_configure(node, "enable-debug-command yes");
    sim_node_configure(node, "shutdown-timeout %s", PICK("0", "1", "10"));
    sim_node_configure(node, "replica-verify %s", PICK("yes", "yes", "no"));
    m->base = node->config.len;
}

/* Drawn after all else, so that other draws stay what they were. */
static void configure_limits(struct member *m)
{
    sim_node_configure(m->node, "client-output-buffer-limit normal %s", PICK("0 0 0", "150kb 50kb 1"));
    sim_node_configure(m->node, "client-query-buffer-limit %s", PICK("1gb", "1mb"));
    sim_node_configure(m->node, "replica-verify-period %s", PICK("1", "3", "5"));
    sim_node_configure(m->node, "latency-tracking %s", PICK("no", "no", "no", "yes"));
    m->base = m->node->config.len;
}

static const char *master_of(const struct member *m)
{
    const struct sim_host *host = scenario.members[m->master].node->host;
    return scenario.by_name ? host->name : host->ip;
}

/* Writes the configuration of its next start, as an administrator would. */
static void configure_role(struct member *m)
{
    m->node->config.len = m->base;
    if (m->master != NOBODY) sim_node_configure(m->node, "replicaof %s 6379", master_of(m));
    sim_sys_put_file(m->node, SIM_CONFIG_PATH, bytes_buf_view(&m->node->config));
}

/* ---- The administrator: tells each node its role whenever it can ---- */

static void tell_role(struct member *m)
{
    if (!m->admin->is_connected) return;
    if (m->master == NOBODY)
        sim_client_sendf(m->admin, "REPLICAOF NO ONE");
    else
        sim_client_sendf(m->admin, "REPLICAOF %s 6379", master_of(m));
}

static void admin_connected(struct sim_client *c)
{
    tell_role(c->ctx);
}

static void admin_reply(struct sim_client *c, const struct sim_reply *reply)
{
    struct member *m = c->ctx;
    if (reply->type == '-' && sim_reply_starts(reply, "LOADING")) m->is_untold = true;
}

static const struct sim_client_events admin_events = {.connected = admin_connected, .reply = admin_reply};

static void set_role(struct member *m, int master)
{
    m->master = master;
    if (master != NOBODY) promises_forget(m->node);
    tell_role(m);
}

/* ---- Starts and stops ---- */

static uint64_t disk_failures(const struct sim_node *node)
{
    const struct sim_disk_stats *s = sim_disk_stats(node->disk);
    return s->failed_fsyncs + s->failed_reads + s->failed_writes + s->full_writes + s->short_writes;
}

static uint64_t failed_dir_fsyncs(const struct member *m)
{
    return sim_disk_stats(m->node->disk)->failed_dir_fsyncs;
}

static void start(struct member *m)
{
    m->start_at_us = 0;
    m->disk_failures = disk_failures(m->node);
    m->failed_dir_fsyncs = failed_dir_fsyncs(m);
    configure_role(m);
    m->check_due = true;
    sim_node_start(m->node);
    if (m->kill_at_start != 0) sim_node_kill_at_call(m->node, m->kill_at_start);
    m->kill_at_start = 0;
}

static void note_stop(struct member *m, enum stop stop)
{
    struct stop_terms terms = {
        .has_log = m->persistence >= LOG_ALWAYS,
        .always = m->persistence == LOG_ALWAYS,
        .everysec = m->persistence == LOG_EVERYSEC,
        .saves = m->saves,
        .disk_failed = disk_failures(m->node) != m->disk_failures,
        .synced_before_us = sim_sys_log_synced_before_us(m->node),
    };
    if (m->loose) {
        promises_forget(m->node);
        truth_log_gone(m->node);
    } else {
        promises_node_stopped(m->node, stop, &terms);
    }
    if (terms.always && !m->node->was_killed && m->node->exit_code != 0) sim_reached("log-ends-server");
}

/* The machine has lost its power, whether a server was running or not. */
static void note_power_cut(struct member *m)
{
    m->power_cut = false;
    note_stop(m, STOP_POWER_CUT);
    observe_disk(m->node);
    sim_sys_boot(m->node);
}

/* A server that ends again and again before it is up. */
static void note_failed_start(struct member *m)
{
    if (m->node->was_killed || m->node->exit_code == 0 || ++m->failed_starts < 3) return;
    if (disk_failures(m->node) != m->disk_failures || failed_dir_fsyncs(m) != m->failed_dir_fsyncs) return;
    m->failed_starts = 0;
    if (m->loose)
        sim_sys_remove_files(m->node, "/appendonlydir");
    else
        sim_fail("start", "%s does not start any more: code %d", m->node->name, m->node->exit_code);
}

/* A life has ended, however it did. */
static void after_end(struct member *m)
{
    m->ended = m->node->ended;
    m->is_asked = m->has_digest = false;
    truth_node_ended(m->node);
    if (m->check_due && !m->power_cut) note_failed_start(m);
    if (m->power_cut)
        note_power_cut(m);
    else
        note_stop(m, m->stopped_cleanly && !m->node->was_killed ? STOP_CLEAN : STOP_KILLED);
    m->stopped_cleanly = false;
    if (m->start_at_us == 0) m->start_at_us = sim.now_us + 100 * MS + (int64_t)sim_below(1500 * MS);
}

/* With everysec a sync begins at most a second after the last one, or after the first write since then. Not asked for
 * some time after the server was stopped or its disk was slow: it may wait for an fsync that began then. */
static void check_syncs(struct member *m)
{
    enum { LATE_US = 1800 * MS };
    const struct settings_persistence *st = &m->node->server->core.settings->persistence;
    if (m->node->stopped || sim_sys_settings(m->node)->fsync_us > 100 * MS) m->held_up_us = sim.now_us;
    if (st->appendfsync != APPENDFSYNC_EVERYSEC || !st->appendonly || st->no_appendfsync_on_rewrite) return;
    if (m->loose || disk_failures(m->node) != m->disk_failures || m->node->server->core.modes.loading) return;
    if (sim.now_us - m->held_up_us < 8000 * MS) return;
    if (sim_sys_log_unsynced_us(m->node) > LATE_US)
        sim_fail("everysec", "%s has not synced its log for %" PRId64 " ms", m->node->name,
                 sim_sys_log_unsynced_us(m->node) / MS);
}

/* What waits with a timeout waits no longer, whatever happens to the clock. */
static void check_timeouts(const struct member *m)
{
    enum { LATE_US = 3000 * MS };
    if (m->node->stopped || sim.now_us - m->held_up_us < 8000 * MS) return;
    if (promises_overdue_us(m->node) > LATE_US)
        sim_fail("timeout", "%s should have answered a WAIT or WAITAOF %" PRId64 " ms ago", m->node->name,
                 promises_overdue_us(m->node) / MS);
}

static void watch_member(struct member *m)
{
    struct sim_node *node = m->node;
    if (node->ended != m->ended) after_end(m);
    if (node->process == NULL && m->start_at_us != 0 && sim.now_us >= m->start_at_us) start(m);
    if (!sim_node_is_up(node)) return;
    observe_poll(node);
    check_syncs(m);
    check_timeouts(m);
    if (!m->admin->is_connected) sim_client_connect(m->admin, node);
    bool loading = node->server->core.modes.loading;
    if (m->is_untold && !loading) {
        m->is_untold = false;
        tell_role(m);
    }
    if (m->check_due && !loading) {
        m->check_due = false;
        m->failed_starts = 0;
        if (m->master == NOBODY) promises_check_restarted(node);
    }
}

/* ---- The lineage file ---- */

/* It is whole whatever happened to the node; a read may fail. */
static void on_log(struct sim_node *node, const char *text)
{
    if (strstr(text, "is the base of the AOF") != NULL) sim_reached("log-begins-with-snapshot");
    if (strstr(text, "overcoming of output buffer limits") != NULL) sim_reached("output-limit-client");
    if (strstr(text, "reached max query buffer length") != NULL) sim_reached("query-limit");
    if (strstr(text, "ineage file") == NULL) return;
    bool is_flawed = strstr(text, "is not used") != NULL, is_missing = strstr(text, "There is no lineage") != NULL;
    bool is_of_another = strstr(text, "does not name") != NULL;
    if (is_flawed && strstr(text, strerror(EIO)) == NULL) sim_fail("lineage", "%s: %s", node->name, text);
    if (is_of_another) sim_reached("secret-of-another-history");
    scenario.secret_forgotten |= is_flawed || is_of_another || (is_missing && node->life > 1);
}

/* ---- The end: all nodes at rest ---- */

static void take_digest(struct server *s, void *ctx)
{
    struct member *m = ctx;
    struct repl *r = s->core.repl;
    m->is_asked = false;
    if (s->core.modes.loading) return;
    memcpy(m->id, r->identity.id, sizeof(m->id));
    m->offset = repl_offset(r);
    m->has_digest = repl_role(r) == REPL_MASTER || r->link.state == LINK_STREAM;
    strict_digest_keyspace(s->core.keyspace, &m->digest);
    m->knows_secret = repl_secret_known(r);
    m->fingerprint = keyspace_fingerprint(s->core.keyspace);
}

static bool all_up(void)
{
    for (size_t i = 0; i < scenario.count; i++) {
        const struct member *m = &scenario.members[i];
        struct repl *r = truth_repl(m->node);
        if (!sim_node_is_up(m->node) || r == NULL) return false;
        if (m->master != NOBODY && (repl_role(r) == REPL_MASTER || r->link.state != LINK_STREAM)) return false;
        if (m->master == NOBODY && repl_role(r) != REPL_MASTER) return false;
    }
    return true;
}

static bool same_place(void)
{
    const struct member *first = &scenario.members[0];
    for (size_t i = 0; i < scenario.count; i++) {
        const struct member *m = &scenario.members[i];
        if (!m->has_digest || m->offset != first->offset || strcmp(m->id, first->id) != 0) return false;
    }
    return true;
}

/* Appends the names of keys of `ks` that `other` lacks or has with another content. */
static void name_differences(struct keyspace *ks, struct keyspace *other, const char *node, char *out, size_t cap)
{
    for (int id = 0; id < ks->db_count; id++) {
        struct table_iter it;
        const struct entry *e;
        table_iter_init(&it, &keyspace_db(ks, id)->keys);
        while ((e = table_iter_next(&it)) != NULL) {
            struct strict_digest mine = {0}, theirs = {0};
            struct db *db = keyspace_db(other, id);
            const struct entry *o = keyspace_peek(db, keyref(db, entry_key(e)));
            strict_digest_entry(&mine, id, e);
            if (o != NULL) strict_digest_entry(&theirs, id, o);
            size_t len = strlen(out);
            if (strict_digest_equal(mine, theirs) || len + 100 > cap) continue;
            snprintf(out + len, cap - len, "; %s: %s %.*s in db %d, expiry %" PRId64 " and %" PRId64, node,
                     o == NULL ? "only it has" : "differs", (int)entry_key(e).len, entry_key(e).data, id,
                     entry_expiry(e), o == NULL ? 0 : entry_expiry(o));
        }
    }
}

static void compare_digests(void)
{
    const struct member *first = &scenario.members[scenario.master];
    char a[STRICT_DIGEST_CHARS + 1], b[STRICT_DIGEST_CHARS + 1];
    for (size_t i = 0; i < scenario.count; i++) {
        const struct member *m = &scenario.members[i];
        if (strict_digest_equal(m->digest, first->digest)) continue;
        strict_digest_format(first->digest, a);
        strict_digest_format(m->digest, b);
        char keys[1000] = "";
        struct keyspace *ours = first->node->server->core.keyspace, *theirs = m->node->server->core.keyspace;
        name_differences(ours, theirs, first->node->name, keys, sizeof(keys));
        name_differences(theirs, ours, m->node->name, keys, sizeof(keys));
        sim_fail("digests", "%s (%s) and %s (%s) differ at offset %" PRIu64 " of history %.8s%s", first->node->name, a,
                 m->node->name, b, m->offset, m->id, keys);
    }
}

/* While no node has forgotten its secret, all that claim to know that of their history have the same. (A master that has
 * forgotten it has another one, and its replicas find out by the fingerprint.) */
static void compare_secrets(void)
{
    const struct member *first = &scenario.members[scenario.master];
    for (size_t i = 0; i < scenario.count && !scenario.secret_forgotten; i++) {
        const struct member *m = &scenario.members[i];
        if (!m->knows_secret || m->fingerprint == first->fingerprint) continue;
        sim_fail("secrets", "%s claims to know the secret of history %.8s, and has another one than %s", m->node->name,
                 m->id, first->node->name);
    }
}

static void ask_digests(void)
{
    scenario.asked_us = sim.now_us;
    for (size_t i = 0; i < scenario.count; i++) {
        scenario.members[i].has_digest = false;
        scenario.members[i].is_asked = true;
        sim_node_call(scenario.members[i].node, take_digest, &scenario.members[i]);
    }
}

/* ---- Writes: nothing may refuse them or hold them back for ever ---- */

static const char *refusal(const struct member *m)
{
    const struct server *s = m->node->server;
    const char *why = aof_refuses_writes(s->aof);
    return why != NULL ? why : saving_write_refusal(s->saving);
}

/* Nothing counts as synced until a rewrite has succeeded. */
static bool is_in_doubt(const struct member *m)
{
    const struct aof *a = m->node->server->aof;
    return a != NULL && a->state != AOF_OFF && a->doubtful;
}

static bool all_accept_writes(void)
{
    for (size_t i = 0; i < scenario.count; i++) {
        const struct member *m = &scenario.members[i];
        bool is_paused = m->node->server->core.pauses.of[PAUSE_BY_CLIENT].mode != PAUSE_NONE;
        if (is_paused && sim.now_us > (HEAL_MS + PAUSE_BOUND_MS) * MS)
            sim_fail("pause", "%s still holds back commands %d s after the last CLIENT PAUSE", m->node->name,
                     PAUSE_BOUND_MS / 1000);
        if (is_paused || refusal(m) != NULL || is_in_doubt(m)) return false;
    }
    return true;
}

/* True if nodes may still refuse writes or be in doubt of their logs, and one is. */
static bool may_refuse(void)
{
    for (size_t i = 0; i < scenario.count; i++) {
        const struct member *m = &scenario.members[i];
        if (!sim_node_is_up(m->node) || (refusal(m) == NULL && !is_in_doubt(m))) continue;
        if (sim.now_us < (HEAL_MS + REFUSAL_BOUND_MS) * MS) return true;
        if (refusal(m) != NULL)
            sim_fail("refusal", "%d s after the last fault %s still refuses writes: %s", REFUSAL_BOUND_MS / 1000,
                     m->node->name, refusal(m));
        else
            sim_fail("doubt", "%d s after the last fault the log of %s still counts nothing as synced",
                     REFUSAL_BOUND_MS / 1000, m->node->name);
    }
    return false;
}

static void describe_unquiet(char *out, size_t cap)
{
    size_t len = 0;
    for (size_t i = 0; i < scenario.count && len < cap; i++) {
        const struct member *m = &scenario.members[i];
        struct repl *r = truth_repl(m->node);
        len += (size_t)snprintf(out + len, cap - len, "%s%s: %s, link %s, offset %" PRIu64, i == 0 ? "" : "; ",
                                m->node->name,
                                m->node->process == NULL ? "does not run"
                                : r == NULL              ? "starts"
                                : m->master == NOBODY    ? "is to be the master"
                                                         : "is to be a replica",
                                r == NULL ? "?" : link_state_name(r->link.state), r == NULL ? 0 : repl_offset(r));
    }
}

/* Some replica, as long as it compares its data. */
static bool start_damage(void)
{
    if (scenario.damage == 0 || scenario.is_damaged) return false;
    size_t at = (size_t)scenario.damage % scenario.count;
    if ((int)at == scenario.master) at = (at + 1) % scenario.count;
    scenario.is_damaged = damage_start(scenario.members[at].node, scenario.members[scenario.master].node,
                                       (unsigned)(scenario.damage / 8));
    return scenario.is_damaged;
}

static void finish(void)
{
    compare_digests();
    compare_secrets();
    for (size_t i = 0; i < scenario.count; i++) promises_check_at_end(scenario.members[i].node, scenario.asked_us);
    if (start_damage()) return;
    sim.end_us = sim.now_us + 100 * MS;
    scenario.finished = true;
}

static bool any_asked(void)
{
    bool any = false;
    for (size_t i = 0; i < scenario.count; i++) any |= scenario.members[i].is_asked;
    return any;
}

static void watch_rest(void)
{
    if (scenario.is_damaged && !damage_is_over()) {
        scenario.rest_by_us = sim.now_us + LINK_BOUND_MS * MS;
        return;
    }
    if (scenario.quiet_asked && !any_asked()) {
        scenario.quiet_asked = false;
        if (same_place()) {
            finish();
            return;
        }
    }
    if (all_up() && all_accept_writes() && !scenario.quiet_asked) {
        scenario.quiet_asked = true;
        ask_digests();
    }
    if (sim.now_us < scenario.rest_by_us) return;
    if (may_refuse()) {
        scenario.rest_by_us = sim.now_us + 2 * SECOND;
        return;
    }
    char text[600];
    describe_unquiet(text, sizeof(text));
    sim_fail("links", "%d s after the last fault the nodes are not at rest: %s", LINK_BOUND_MS / 1000, text);
}

/* ---- The end of all faults ---- */

static void heal_node(struct member *m)
{
    struct sim_node *node = m->node;
    for (int kind = 0; kind < SIM_DISK_FAULTS; kind++) sim_disk_set_fault(node->disk, (enum sim_disk_fault)kind, 0);
    sim_disk_set_capacity(node->disk, -1);
    sim_sys_settings(node)->spawn_fails = 0;
    sim_sys_settings(node)->log_fsyncs_fail = 0;
    sim_sys_settings(node)->fsync_us = 2000;
    sim_sys_settings(node)->child_pace_us = 500;
    sim_host_on(node->host);
    sim_node_spare(node);
    m->kill_at_start = 0;
    sim_node_resume(node);
    if (node->process == NULL) m->start_at_us = sim.now_us;
}

static void heal_all(void)
{
    sim_trace("world", "all faults end, clients stop");
    scenario.healed = true;
    triggers_disarm();
    traffic_stop();
    promises_stop();
    sim_network_heal_all();
    for (size_t i = 0; i < scenario.count; i++) {
        heal_node(&scenario.members[i]);
        tell_role(&scenario.members[i]);
    }
}

static void observe_roles(void)
{
    unsigned masters = 0;
    for (size_t i = 0; i < scenario.count; i++) {
        const struct repl *r = truth_repl(scenario.members[i].node);
        masters += r != NULL && scenario.members[i].node->server != NULL && repl_role(r) == REPL_MASTER;
    }
    if (masters > 1) sim_reached("two-masters");
}

static void on_watch(void *ctx)
{
    if (scenario.finished) return;
    observe_roles();
    for (size_t i = 0; i < scenario.count; i++) watch_member(&scenario.members[i]);
    if (!scenario.healed && sim.now_us >= HEAL_MS * MS) heal_all();
    if (sim.now_us >= (HEAL_MS + REST_AFTER_MS) * MS) watch_rest();
    sim_event_at(&scenario.watch, sim.now_us + (scenario.healed ? 50 : ADMIN_EVERY_MS) * MS, on_watch, NULL);
}

/* ---- Faults and orders: items of the plan ---- */

static struct member *member_arg(const struct plan_item *item)
{
    return &scenario.members[item->args[0] % scenario.count];
}

static void do_kill(struct plan_item *item)
{
    struct member *m = member_arg(item);
    m->start_at_us = sim.now_us + (int64_t)item->args[1];
    m->kill_at_start = item->args[2];
    sim_node_kill(m->node);
}

static void do_kill_in_write(struct plan_item *item)
{
    sim_node_kill_in_write(member_arg(item)->node);
}

static void do_kill_at_call(struct plan_item *item)
{
    sim_node_kill_at_call(member_arg(item)->node, item->args[1]);
}

static void cut_power(struct member *m, int64_t back_us)
{
    bool runs = m->node->process != NULL;
    m->power_cut = runs;
    m->start_at_us = sim.now_us + back_us;
    sim_node_power_cut(m->node);
    if (!runs) note_power_cut(m);
}

static void do_power_cut(struct plan_item *item)
{
    cut_power(member_arg(item), (int64_t)item->args[1]);
}

static void power_fails(void *ctx)
{
    if (!scenario.healed) do_power_cut(ctx);
}

static void end_next_life(void *ctx)
{
    struct plan_item *item = ctx;
    struct member *m = member_arg(item);
    if (scenario.healed) return;
    if (item->args[2] != 0)
        cut_power(m, 100 * MS);
    else
        sim_node_kill(m->node);
}

/* args: the node, how long its next life lasts once it is up, whether a power cut ends that, the lives that had ended. */
static void await_next_life(void *ctx)
{
    struct plan_item *item = ctx;
    struct member *m = member_arg(item);
    if (scenario.healed) return;
    if (m->node->ended == item->args[3] || !sim_node_is_up(m->node) || m->node->server->core.modes.loading)
        sim_after(10 * MS, await_next_life, item);
    else
        sim_after((int64_t)item->args[1], end_next_life, item);
}

static void do_kill_in_transaction(struct plan_item *item)
{
    struct sim_node *node = member_arg(item)->node;
    item->args[3] = node->ended;
    sim_node_kill_in_transaction(node);
    await_next_life(item);
}

static void do_terminate(struct plan_item *item)
{
    struct member *m = member_arg(item);
    if (!sim_node_is_up(m->node)) return;
    m->stopped_cleanly = true;
    sim_node_terminate(m->node);
}

static void do_pause(struct plan_item *item)
{
    sim_node_pause(member_arg(item)->node);
}

static void resume_member(void *ctx)
{
    const struct member *m = ctx;
    const struct repl *r = truth_repl(m->node);
    if (m->node->stopped && m->master != NOBODY && r != NULL && repl_role(r) == REPL_MASTER)
        sim_reached("stopped-master-returns");
    sim_node_resume(m->node);
}

static void do_resume(struct plan_item *item)
{
    resume_member(member_arg(item));
}

static void do_cut(struct plan_item *item)
{
    const struct sim_host *a = member_arg(item)->node->host,
                          *b = scenario.members[item->args[1] % scenario.count].node->host;
    if (a == b) return;
    if (item->args[2] != 0)
        sim_link_cut(a, b);
    else
        sim_network_cut(a, b);
}

static void do_heal(struct plan_item *item)
{
    sim_network_heal(member_arg(item)->node->host, scenario.members[item->args[1] % scenario.count].node->host);
}

static void do_reset(struct plan_item *item)
{
    sim_network_reset(member_arg(item)->node->host, scenario.members[item->args[1] % scenario.count].node->host);
}

static void do_forget(struct plan_item *item)
{
    sim_network_forget(member_arg(item)->node->host, scenario.members[item->args[1] % scenario.count].node->host);
}

static void do_slow_reader(struct plan_item *item)
{
    sim_host_set_window(member_arg(item)->node->host, item->args[1]);
}

static void do_slow_link(struct plan_item *item)
{
    struct sim_link *l =
        sim_link(member_arg(item)->node->host, scenario.members[item->args[1] % scenario.count].node->host);
    l->bytes_per_s = (int64_t)item->args[2];
}

static void do_refuse(struct plan_item *item)
{
    member_arg(item)->node->host->refuses = item->args[1] != 0;
}

static void do_disk_fault(struct plan_item *item)
{
    sim_disk_set_fault(member_arg(item)->node->disk, (enum sim_disk_fault)item->args[1], (unsigned)item->args[2]);
}

static uint64_t failed_syncs(const struct plan_item *item)
{
    const struct sim_disk_stats *s = sim_disk_stats(member_arg(item)->node->disk);
    return item->args[1] == SIM_DISK_EIO_DIRECTORY ? s->failed_dir_fsyncs : s->failed_fsyncs;
}

/* Fsyncs of files, or of directories, fail until one has failed, or for two seconds. */
static void fail_one_sync(void *ctx)
{
    struct plan_item *item = ctx;
    bool over = failed_syncs(item) > item->args[2] || sim.now_us > item->at_us + 2 * SECOND;
    sim_disk_set_fault(member_arg(item)->node->disk, (enum sim_disk_fault)item->args[1], over ? 0 : SIM_DISK_PPM);
    if (!over) sim_after(MS, fail_one_sync, item);
}

static void do_fail_one_sync(struct plan_item *item)
{
    item->args[2] = failed_syncs(item);
    fail_one_sync(item);
}

/* Fsyncs of a node fail until its log is in doubt, or the server has ended by that. Then it is killed at once; its next
 * life does not know of that, and the power fails in the midst of it. */
static void kill_in_doubt(void *ctx)
{
    struct plan_item *item = ctx;
    struct member *m = member_arg(item);
    const struct server *s = m->node->server;
    if (scenario.healed) return;
    bool over = sim.now_us > item->at_us + 2 * SECOND;
    bool in_doubt = m->node->process == NULL || (s != NULL && s->aof != NULL && s->aof->doubtful);
    sim_disk_set_fault(m->node->disk, SIM_DISK_EIO_FSYNC, over || in_doubt ? 0 : SIM_DISK_PPM);
    if (!over && !in_doubt) sim_after(MS, kill_in_doubt, item);
    if (over || !in_doubt) return;
    m->start_at_us = sim.now_us + 100 * MS;
    sim_node_kill(m->node);
    sim_after((int64_t)item->args[2], power_fails, item);
}

static void do_kill_in_doubt(struct plan_item *item)
{
    kill_in_doubt(item);
}

static void do_full_disk(struct plan_item *item)
{
    struct sim_disk *d = member_arg(item)->node->disk;
    sim_disk_set_capacity(d, item->args[1] == 0 ? -1 : sim_disk_used_bytes(d) + (int64_t)item->args[2]);
}

static void do_slow_disk(struct plan_item *item)
{
    sim_sys_settings(member_arg(item)->node)->fsync_us = (int64_t)item->args[1];
}

static void do_slow_child(struct plan_item *item)
{
    sim_sys_settings(member_arg(item)->node)->child_pace_us = (int64_t)item->args[1];
}

static void do_kill_child(struct plan_item *item)
{
    (void)sim_sys_kill_child(member_arg(item)->node, SIGKILL); /* there may be none */
}

static void do_fail_spawn(struct plan_item *item)
{
    sim_sys_settings(member_arg(item)->node)->spawn_fails = (unsigned)item->args[1];
}

static void do_fail_log_sync(struct plan_item *item)
{
    sim_sys_settings(member_arg(item)->node)->log_fsyncs_fail = 1;
}

static void do_jump(struct plan_item *item)
{
    member_arg(item)->node->wall_offset_us += (int64_t)item->args[1];
}

static const char *const orders[] = {
    "BGSAVE",
    "BGSAVE",
    "BGREWRITEAOF",
    "BGREWRITEAOF",
    "SAVE",
    "CONFIG REWRITE",
    "CONFIG SET repl-backlog-size 16kb",
    "CONFIG SET repl-backlog-size 200kb",
    "CONFIG SET repl-diskless-sync yes",
    "CONFIG SET repl-diskless-sync no",
    "CONFIG SET repl-diskless-load swapdb",
    "CONFIG SET repl-diskless-load disabled",
    "CONFIG SET repl-timeout 3",
    "CONFIG SET repl-backlog-ttl 1",
    "CONFIG SET client-output-buffer-limit replica 200kb 50kb 1",
    "CONFIG SET min-replicas-to-write 1",
    "CONFIG SET min-replicas-to-write 0",
    "CONFIG SET auto-aof-rewrite-percentage 20",
    "CONFIG SET aof-use-rdb-preamble no",
    "CONFIG SET no-appendfsync-on-rewrite yes",
    "CONFIG SET aof-timestamp-enabled yes",
    "CLIENT KILL TYPE replica",
    "CLIENT KILL TYPE master",
    "CLIENT PAUSE 300 WRITE",
    "CONFIG SET hash-max-listpack-entries 4",
    "CONFIG SET hz 50",
    "FUNCTION FLUSH",
    /* by name only */
    "CONFIG SET auto-aof-rewrite-percentage 0",
};

/* Orders that change what a node owes: only for nodes that are loose. */
static const char *const loose_orders[] = {
    "CONFIG SET appendonly yes",     "CONFIG SET appendonly no",        "CONFIG SET appendonly yes",
    "CONFIG SET appendfsync always", "CONFIG SET appendfsync everysec", "CONFIG SET appendfsync no",
    "CONFIG SET save \"\"",
};

enum {
    ORDER_NO_REWRITES = sizeof(orders) / sizeof(orders[0]) - 1,
    ORDERS = ORDER_NO_REWRITES,
    LOOSE_ORDERS = sizeof(loose_orders) / sizeof(loose_orders[0])
};

static void do_order(struct plan_item *item)
{
    struct member *m = member_arg(item);
    if (!m->admin->is_connected) return;
    const char *text = orders[item->args[1]];
    if (m->loose && item->args[2] != 0) text = loose_orders[item->args[2] % LOOSE_ORDERS];
    sim_client_sendf(m->admin, "%s", text);
}

/* The node becomes the master; the others follow it, or one another. */
static void promote(struct member *m, bool chained)
{
    scenario.master = (int)m->node->index;
    scenario.promotions++;
    set_role(m, NOBODY);
    promises_forget_all();
    for (size_t i = 0; i < scenario.count; i++) {
        struct member *other = &scenario.members[i];
        if (other == m) continue;
        bool second = chained && scenario.count > 2 && i == (m->node->index + 2) % scenario.count;
        set_role(other, second ? (int)((m->node->index + 1) % scenario.count) : (int)m->node->index);
    }
    promises_set_master(m->node);
    traffic_set_master(m->node);
}

static void do_promote(struct plan_item *item)
{
    promote(member_arg(item), item->args[1] != 0);
}

/* --- A replica asks its master to hand over --- */

/* The roles are the administrator's affair from now on, whatever became of the order. */
static void settle_hand_over(const struct plan_item *item)
{
    promote(member_arg(item), false);
}

/* The roles when the order is sent: it is the plan's master that is asked, not another one that the node still follows. */
static void hand_over_connected(struct sim_client *c)
{
    struct plan_item *item = c->ctx;
    const struct member *m = member_arg(item), *old = &scenario.members[scenario.master];
    const struct repl *r = truth_repl(m->node), *asked = truth_repl(old->node);
    bool follows =
        r != NULL && r->link.state == LINK_STREAM && m->master == scenario.master &&
        (repl_is_master_host(r, old->node->host->ip, 6379) || repl_is_master_host(r, old->node->host->name, 6379));
    item->args[2] = follows && asked != NULL && repl_role(asked) == REPL_MASTER;
    item->args[3] = scenario.promotions;
    sim_client_sendf(c, "LOCKSTEP PROMOTE");
}

static bool follows(const struct member *old, const struct member *m)
{
    const struct repl *r = truth_repl(old->node);
    return r != NULL && repl_role(r) == REPL_REPLICA && repl_is_master_host(r, m->node->host->ip, 6379);
}

static void hand_over_answered(struct sim_client *c, const struct sim_reply *reply)
{
    const struct plan_item *item = c->ctx;
    const struct member *m = member_arg(item), *old = &scenario.members[item->args[1]];
    sim_client_close(c);
    if (reply->type == '-') return;
    bool same_roles = item->args[2] != 0 && item->args[3] == scenario.promotions;
    if (bytes_equal(reply->text, BYTES_LIT("OK")) && same_roles) {
        sim_reached("handed-over");
        promises_check_handed_over(old->node, m->node);
    } else if (sim_reply_starts(reply, "OK without")) {
        sim_reached("promoted-alone");
    }
    settle_hand_over(item);
}

static void hand_over_closed(struct sim_client *c, int error)
{
    settle_hand_over(c->ctx); /* it may have been promoted, or not */
}

static const struct sim_client_events hand_over_events = {
    .connected = hand_over_connected, .reply = hand_over_answered, .closed = hand_over_closed};

static void await_failover(void *ctx);

/* Over a connection of its own: a write may be held on the administrator's. */
static void abort_connected(struct sim_client *c)
{
    sim_client_sendf(c, "FAILOVER ABORT");
}

static void abort_answered(struct sim_client *c, const struct sim_reply *reply)
{
    sim_client_close(c);
    promote(&scenario.members[scenario.master], false);
}

static void abort_closed(struct sim_client *c, int error)
{
    sim_after(200 * MS, await_failover, c->ctx);
}

static const struct sim_client_events abort_events = {
    .connected = abort_connected, .reply = abort_answered, .closed = abort_closed};

/* FAILOVER ends by itself only if the replica lives: after three seconds it is given up. */
static void await_failover(void *ctx)
{
    struct plan_item *item = ctx;
    const struct member *m = member_arg(item), *old = &scenario.members[item->args[1]];
    const struct repl *r = truth_repl(old->node);
    bool under_way = r != NULL && repl_failing_over(r), late = sim.now_us > item->at_us + 3 * SECOND;
    if (scenario.master != (int)item->args[1]) late = under_way;
    if (under_way && !late) {
        sim_after(20 * MS, await_failover, item);
        return;
    }
    const struct repl *new = truth_repl(m->node);
    bool completed = !under_way && follows(old, m) && new != NULL &&repl_role(new) == REPL_MASTER;
    if (completed && scenario.master == (int)item->args[1]) {
        sim_reached("failed-over");
        promises_check_handed_over(old->node, m->node);
        settle_hand_over(item);
        return;
    }
    if (under_way)
        sim_client_connect(sim_client_new("abort", &abort_events, item), old->node);
    else
        promote(&scenario.members[scenario.master], false);
}

static void failover_order_connected(struct sim_client *c)
{
    sim_client_sendf(c, "FAILOVER TO %s 6379 TIMEOUT %d", member_arg(c->ctx)->node->host->ip, 1000);
}

/* A master that is stopped reads the order when it goes on: what becomes of it is looked at from then on. */
static void failover_order_answered(struct sim_client *c, const struct sim_reply *reply)
{
    sim_client_close(c);
    await_failover(c->ctx);
}

static void failover_order_closed(struct sim_client *c, int error)
{
    sim_after(20 * MS, await_failover, c->ctx);
}

static const struct sim_client_events failover_order_events = {
    .connected = failover_order_connected, .reply = failover_order_answered, .closed = failover_order_closed};

static void do_failover(struct plan_item *item)
{
    const struct member *m = member_arg(item), *old = &scenario.members[scenario.master];
    item->args[1] = (uint64_t)scenario.master;
    if (m == old || !old->admin->is_connected) return;
    sim_client_connect(sim_client_new("failover", &failover_order_events, item), old->node);
}

static void do_hand_over(struct plan_item *item)
{
    const struct member *m = member_arg(item);
    item->args[1] = (uint64_t)scenario.master;
    if ((int)m->node->index == scenario.master || !sim_node_is_up(m->node)) return;
    sim_client_connect(sim_client_new("order", &hand_over_events, item), m->node);
}

/* ---- Faults at a chosen state: the item of a trigger is its context ---- */

enum act {
    ACT_KILL,
    ACT_KILL_SOON,
    ACT_POWER_CUT,
    ACT_PAUSE,
    ACT_PROMOTE,
    ACT_PROMOTE_OTHER,
    ACT_CUT,
    ACT_RESET,
    ACT_BURST,
    ACTS
};

static const char *const act_words[] = {
    [ACT_KILL] = "kill -9",
    [ACT_KILL_SOON] = "kill -9 at one of its next system calls",
    [ACT_POWER_CUT] = "its power fails",
    [ACT_PAUSE] = "SIGSTOP for a second",
    [ACT_PROMOTE] = "it becomes the master",
    [ACT_PROMOTE_OTHER] = "another node becomes the master",
    [ACT_CUT] = "it is cut off for two seconds",
    [ACT_RESET] = "its connections to other nodes are reset",
    [ACT_BURST] = "the master gets a burst of writes",
};

static void cut_off(struct member *m, bool cut)
{
    for (size_t i = 0; i < scenario.count; i++) {
        const struct sim_host *other = scenario.members[i].node->host;
        if (other == m->node->host) continue;
        if (cut)
            sim_network_cut(m->node->host, other);
        else
            sim_network_heal(m->node->host, other);
    }
}

static void heal_member(void *ctx)
{
    struct member *m = ctx;
    cut_off(m, false);
    sim_network_heal(m->admin->host, m->node->host);
}

static void reset_all(struct member *m)
{
    for (size_t i = 0; i < scenario.count; i++) {
        if (&scenario.members[i] != m) sim_network_reset(m->node->host, scenario.members[i].node->host);
    }
}

/* Writes to the master, as much as fits into no backlog. */
static void burst_to(uint64_t keys, uint64_t values, uint64_t bytes)
{
    const struct member *m = &scenario.members[scenario.master];
    char key[24], *value = calloc(1, bytes + 1);
    if (value == NULL || !m->admin->is_connected) {
        free(value);
        return;
    }
    memset(value, 'b', bytes);
    for (uint64_t i = 0; i < values; i++) {
        snprintf(key, sizeof(key), "burst:%u", (unsigned)(i % keys));
        struct bytes_view args[] = {bytes_str("SET"), bytes_str(key), bytes_view(value, bytes)};
        sim_client_send(m->admin, args, 3);
    }
    free(value);
}

static void burst(uint64_t values, uint64_t bytes)
{
    burst_to(40, values, bytes);
}

static void order_master(const char *order)
{
    const struct member *m = &scenario.members[scenario.master];
    if (m->admin->is_connected) sim_client_sendf(m->admin, "%s", order);
}

static void act_on_trigger(void *ctx)
{
    struct plan_item *item = ctx;
    struct member *m = member_arg(item);
    switch ((enum act)(item->args[2] % ACTS)) {
    case ACT_KILL:
        m->start_at_us = sim.now_us + (int64_t)item->args[3];
        sim_node_kill(m->node);
        break;
    case ACT_KILL_SOON: sim_node_kill_at_call(m->node, 1 + item->args[4] % 40); break;
    case ACT_POWER_CUT: cut_power(m, (int64_t)item->args[3]); break;
    case ACT_PAUSE:
        sim_node_pause(m->node);
        sim_after(SECOND, resume_member, m);
        break;
    case ACT_PROMOTE: promote(m, false); break;
    case ACT_PROMOTE_OTHER:
        promote(&scenario.members[(m->node->index + 1 + item->args[4] % 2) % scenario.count], false);
        break;
    case ACT_CUT:
        cut_off(m, true);
        sim_after(2 * SECOND, heal_member, m);
        break;
    case ACT_RESET: reset_all(m); break;
    case ACT_BURST:
        order_master("CONFIG SET client-output-buffer-limit replica 150kb 40kb 1");
        burst(40, 10000);
        break;
    case ACTS: break;
    }
}

static void do_arm(struct plan_item *item)
{
    triggers_arm(member_arg(item)->node, (enum trigger_state)item->args[1], 5 * SECOND, act_on_trigger, item);
}

static void do_burst(struct plan_item *item)
{
    burst(item->args[0], item->args[1]);
}

/* So many keys that a check of verification is of some of them, chosen by their hash. */
static void do_fill(struct plan_item *item)
{
    enum { AT_ONCE = 100 };
    const struct member *m = &scenario.members[scenario.master];
    char keys[AT_ONCE][24];
    struct bytes_view args[1 + 2 * AT_ONCE] = {bytes_str("MSET")};
    for (uint64_t i = 0; i < item->args[1] && m->admin->is_connected; i += AT_ONCE) {
        for (unsigned k = 0; k < AT_ONCE; k++) {
            snprintf(keys[k], sizeof(keys[k]), "fill:%u", (unsigned)i + k);
            args[1 + 2 * k] = bytes_str(keys[k]);
            args[2 + 2 * k] = bytes_str("value");
        }
        sim_client_send(m->admin, args, 1 + 2 * AT_ONCE);
    }
}

static void tear_and_cut_power(void *ctx)
{
    struct plan_item *item = ctx;
    struct member *m = member_arg(item);
    sim_disk_tear(m->node->disk);
    cut_power(m, (int64_t)item->args[1]);
}

static void do_tear(struct plan_item *item)
{
    triggers_arm(member_arg(item)->node, WHEN_OVERWRITTEN, 5 * SECOND, tear_and_cut_power, item);
}

/* args: the node, how many syncs fail (one: of a directory), until when at most, how many had failed before. */
static void give_up(void *ctx)
{
    struct plan_item *item = ctx;
    struct sim_disk *d = member_arg(item)->node->disk;
    const struct sim_disk_stats *s = sim_disk_stats(d);
    uint64_t failed = s->failed_dir_fsyncs + s->failed_fsyncs;
    if (item->args[2] == 0) {
        item->args[2] = (uint64_t)sim.now_us + 200 * MS;
        item->args[3] = failed;
    }
    bool over = failed - item->args[3] >= item->args[1] || sim.now_us > (int64_t)item->args[2];
    sim_disk_set_fault(d, item->args[1] > 1 ? SIM_DISK_EIO_FSYNC : SIM_DISK_EIO_DIRECTORY, over ? 0 : SIM_DISK_PPM);
    if (!over) sim_after(MS / 5, give_up, item);
}

static void do_give_up(struct plan_item *item)
{
    triggers_arm(member_arg(item)->node, WHEN_RENAMED, SECOND, give_up, item);
}

/* An operator removes it. */
static void do_lose_lineage(struct plan_item *item)
{
    struct member *m = &scenario.members[scenario.master];
    m->start_at_us = sim.now_us + (int64_t)item->args[1];
    sim_node_kill(m->node);
    sim_sys_remove_file(m->node, "/dump-6379.lineage");
}

/* A replica is stopped, and finds the signal to end and much to run when it goes on. */
static void do_end_under_load(struct plan_item *item)
{
    struct member *m = member_arg(item);
    const struct member *master = &scenario.members[scenario.master];
    if (m == master || m->node->stopped || !sim_node_is_up(m->node) || !master->admin->is_connected) return;
    sim_node_pause(m->node);
    for (uint64_t i = 0; i < item->args[1]; i++) sim_client_sendf(master->admin, "SET burst:%u b", (unsigned)(i % 40));
    m->node->process->timers_first = true;
    m->stopped_cleanly = true;
    sim_node_terminate(m->node);
    sim_after((int64_t)item->args[2], resume_member, m);
}

/* The master is flushed, and ends as soon as it has said so. */
static void do_flush(struct plan_item *item)
{
    struct member *m = &scenario.members[scenario.master];
    item->args[0] = m->node->index;
    triggers_arm(m->node, WHEN_FLUSHED, SECOND, act_on_trigger, item);
    order_master("FLUSHALL");
}

/* So much that a log which cannot be written is given up (server/persistence/aof.h). */
static void do_flood(struct plan_item *item)
{
    struct sim_disk *d = member_arg(item)->node->disk;
    sim_disk_set_capacity(d, sim_disk_used_bytes(d));
    burst_to(2, item->args[1], 100000); /* the data set stays small: only the log matters */
}

/* The master stops, or is cut off from everybody but clients; another one takes over; the old one comes back. */
static void do_take_over(struct plan_item *item)
{
    struct member *old = &scenario.members[scenario.master], *m = member_arg(item);
    if (old == m) return;
    if (item->args[1] != 0) {
        sim_node_pause(old->node);
        sim_after((int64_t)item->args[2], resume_member, old);
    } else {
        cut_off(old, true);
        sim_network_cut(old->admin->host, old->node->host);
        sim_after((int64_t)item->args[2], heal_member, old);
    }
    promote(m, false);
}

/* Asks as a replica would, for a position at an edge. */
static void probe_connected(struct sim_client *c)
{
    const struct plan_item *item = c->ctx;
    const struct repl *r = truth_repl(c->target);
    if (r == NULL) return;
    bool second = item->args[1] >= 4 && r->identity.has_second;
    uint64_t edges[] = {r->stream.start,
                        r->stream.start + 1,
                        r->stream.end + 1,
                        r->stream.end + 2,
                        r->identity.second_position + 1,
                        r->identity.second_position + 2};
    uint64_t next = edges[item->args[1]];
    if (!second) truth_claims(c->target, next - 1);
    sim_client_sendf(c, "PSYNC %s %" PRIu64, second ? r->identity.id2 : r->identity.id, next);
}

static void probe_answered(struct sim_client *c, const struct sim_reply *reply)
{
    sim_client_close(c);
}

static const struct sim_client_events probe_events = {.connected = probe_connected, .reply = probe_answered};

static void do_probe(struct plan_item *item)
{
    struct sim_client *c = sim_client_new("probe", &probe_events, item);
    sim_client_connect(c, member_arg(item)->node);
}

/* A client that asks for much and reads nothing, or begins a request that is too long. */
static void greedy_connected(struct sim_client *c)
{
    const struct plan_item *item = c->ctx;
    enum { GETS = 60, REQUEST = 3000000 };
    if (item->args[1] == 0) {
        sim_client_set_slow(c, true);
        for (unsigned i = 0; i < GETS; i++) sim_client_sendf(c, "GET burst:%u", i % 40);
        return;
    }
    char *request = calloc(1, REQUEST);
    if (request == NULL) abort();
    memset(request, 'x', REQUEST);
    int len = snprintf(request, REQUEST, "*2\r\n$3\r\nGET\r\n$%d\r\n", 2 * REQUEST);
    request[len] = 'x';
    sim_client_send_raw(c, request, REQUEST, 0);
    free(request);
}

static const struct sim_client_events greedy_events = {.connected = greedy_connected};

static void do_greedy(struct plan_item *item)
{
    if (item->args[1] == 0) burst(40, 8000);
    item->args[0] = (uint64_t)scenario.master;
    sim_client_connect(sim_client_new("greedy", &greedy_events, item), member_arg(item)->node);
}

/* A full synchronization, soon: the links of the node's replicas break, and the backlog is too small. */
static void do_resynchronize(struct plan_item *item)
{
    struct member *m = member_arg(item);
    cut_off(m, true);
    burst(6, 8000);
    reset_all(m);
    sim_after((int64_t)item->args[1], heal_member, m);
}

/* --- A replica with a new data set becomes the master, and dies --- */

static void fresh_master_dies(void *ctx)
{
    struct plan_item *item = ctx;
    struct member *m = member_arg(item);
    if (scenario.healed || m->node->process == NULL || m->master != NOBODY) return;
    m->start_at_us = sim.now_us + 300 * MS;
    sim_node_kill(m->node);
}

static void await_data(void *ctx)
{
    struct plan_item *item = ctx;
    struct member *m = member_arg(item);
    const struct repl *r = truth_repl(m->node);
    if (scenario.healed || r == NULL || r->role == REPL_MASTER || r->link.state < LINK_TRANSFER) return;
    if (r->link.state != LINK_STREAM) {
        sim_after(MS, await_data, item);
        return;
    }
    promote(m, false);
    sim_after((int64_t)item->args[1], fresh_master_dies, item);
}

static void do_fresh_master(struct plan_item *item)
{
    triggers_arm(member_arg(item)->node, WHEN_RECEIVING, 5 * SECOND, await_data, item);
}

/* ---- The plan ---- */

static uint64_t some_node(void)
{
    return plan_below(scenario.count);
}

static const char *name_of(uint64_t node)
{
    return scenario.members[node].node->name;
}

static void set_args(struct plan_item *item, uint64_t a, uint64_t b, uint64_t c)
{
    if (item == NULL) return;
    item->args[0] = a;
    item->args[1] = b;
    item->args[2] = c;
}

static int64_t some_ms(int64_t least, int64_t most)
{
    return plan_between(least, most) * MS;
}

static void plan_process(int64_t at, uint64_t n)
{
    int64_t back = some_ms(50, 3000);
    switch (plan_below(8)) {
    case 6:
    case 7:
        set_args(plan_add(at, true, do_kill_in_write, "kill -9 %s in the middle of a write to its log", name_of(n)), n,
                 0, 0);
        break;
    case 0: {
        uint64_t again = plan_chance(500) ? 1 + plan_below(80) : 0;
        set_args(plan_add(at, true, do_kill, "kill -9 %s%s", name_of(n), again > 0 ? ", and again when it starts" : ""),
                 n, (uint64_t)back, again);
        break;
    }
    case 1:
    case 2: {
        uint64_t calls = 1 + plan_below(plan_chance(500) ? 30 : 400);
        set_args(
            plan_add(at, true, do_kill_at_call, "kill -9 %s at a system call, %" PRIu64 " from now", name_of(n), calls),
            n, calls, 0);
        break;
    }
    case 3: set_args(plan_add(at, true, do_power_cut, "%s loses its power", name_of(n)), n, (uint64_t)back, 0); break;
    case 4: set_args(plan_add(at, true, do_terminate, "SIGTERM to %s", name_of(n)), n, 0, 0); break;
    default:
        set_args(plan_add(at, true, do_pause, "SIGSTOP to %s", name_of(n)), n, 0, 0);
        set_args(plan_add(at + some_ms(100, 6000), true, do_resume, "SIGCONT to %s", name_of(n)), n, 0, 0);
        break;
    }
}

static void plan_network(int64_t at, uint64_t a, uint64_t b)
{
    int64_t until = at + some_ms(50, plan_chance(500) ? 1500 : 7000);
    switch (plan_below(7)) {
    case 0:
    case 1: {
        bool one_way = plan_chance(300);
        set_args(
            plan_add(at, true, do_cut, "cut from %s to %s%s", name_of(a), name_of(b), one_way ? ", one direction" : ""),
            a, b, one_way);
        set_args(plan_add(until, true, do_heal, "the link between %s and %s is whole", name_of(a), name_of(b)), a, b,
                 0);
        break;
    }
    case 2:
        set_args(plan_add(at, true, do_reset, "connections %s - %s are reset", name_of(a), name_of(b)), a, b, 0);
        break;
    case 6:
        set_args(plan_add(at, true, do_forget, "connections %s - %s are half-open", name_of(a), name_of(b)), a, b, 0);
        break;
    case 3:
        set_args(plan_add(at, true, do_slow_reader, "%s reads slowly", name_of(a)), a, 512 + plan_below(4096), 0);
        set_args(plan_add(until, true, do_slow_reader, "%s reads fast", name_of(a)), a, SIM_WINDOW, 0);
        break;
    case 4:
        set_args(plan_add(at, true, do_slow_link, "slow link from %s to %s", name_of(a), name_of(b)), a, b,
                 1000 + plan_below(50000));
        set_args(plan_add(until, true, do_slow_link, "fast link from %s to %s", name_of(a), name_of(b)), a, b, 0);
        break;
    default:
        set_args(plan_add(at, true, do_refuse, "%s refuses connections", name_of(a)), a, 1, 0);
        set_args(plan_add(until, true, do_refuse, "%s accepts connections", name_of(a)), a, 0, 0);
        break;
    }
}

static void plan_disk(int64_t at, uint64_t n)
{
    static const char *const kinds[] = {"reads", "writes", "fsyncs"};
    int64_t until = at + some_ms(50, 4000);
    switch (plan_below(4)) {
    case 0: {
        uint64_t kind = plan_chance(400) ? SIM_DISK_EIO_FSYNC : plan_below(SIM_DISK_EIO_FSYNC + 1),
                 ppm = 1000 + plan_below(plan_chance(500) ? 20000 : 900000);
        set_args(plan_add(at, true, do_disk_fault, "%s of %s fail, %" PRIu64 " ppm", kinds[kind], name_of(n), ppm), n,
                 kind, ppm);
        set_args(plan_add(until, true, do_disk_fault, "%s of %s work", kinds[kind], name_of(n)), n, kind, 0);
        break;
    }
    case 1:
        set_args(plan_add(at, true, do_full_disk, "the disk of %s is full", name_of(n)), n, 1, plan_below(30000));
        set_args(plan_add(until, true, do_full_disk, "the disk of %s has room", name_of(n)), n, 0, 0);
        break;
    case 2:
        set_args(plan_add(at, true, do_slow_disk, "the disk of %s is slow", name_of(n)), n,
                 (uint64_t)some_ms(20, plan_chance(800) ? 500 : 4000), 0);
        set_args(plan_add(until, true, do_slow_disk, "the disk of %s is fast", name_of(n)), n, 2000, 0);
        break;
    default:
        set_args(plan_add(at, true, do_slow_child, "children of %s are slow", name_of(n)), n,
                 (uint64_t)some_ms(20, 600), 0);
        break;
    }
}

static void plan_other(int64_t at, uint64_t n)
{
    switch (plan_below(4)) {
    case 0: set_args(plan_add(at, true, do_kill_child, "the child of %s is killed", name_of(n)), n, 0, 0); break;
    case 1: set_args(plan_add(at, true, do_fail_spawn, "forks of %s fail", name_of(n)), n, 1 + plan_below(3), 0); break;
    case 2: {
        int64_t jump = some_ms(-20000, 20000);
        if (jump / MS % 10 == 0) jump *= 1800; /* up to ten hours */
        set_args(plan_add(at, true, do_jump, "the clock of %s jumps by %" PRId64 " ms", name_of(n), jump / MS), n,
                 (uint64_t)jump, 0);
        break;
    }
    default: set_args(plan_add(at, true, do_promote, "%s becomes the master", name_of(n)), n, plan_below(2), 0); break;
    }
}

static void plan_orders(void)
{
    for (uint64_t count = plan_below(12); count > 0; count--) {
        uint64_t n = some_node(), which = plan_below(ORDERS), loose = plan_chance(500) ? 1 + plan_below(1000) : 0;
        set_args(plan_add(some_ms(800, HEAL_MS - 200), false, do_order, "%s to %s", orders[which], name_of(n)), n,
                 which, loose);
    }
}

static void plan_faults(unsigned kinds)
{
    for (uint64_t count = plan_chance(150) ? 0 : 1 + plan_below(8); count > 0; count--) {
        int64_t at = some_ms(FAULTS_FROM_MS, HEAL_MS - 500);
        uint64_t kind = plan_below(4), n = some_node();
        if (!(kinds >> kind & 1)) continue;
        switch (kind) {
        case 0: plan_process(at, n); break;
        case 1: plan_network(at, n, (n + 1 + plan_below(scenario.count - 1)) % scenario.count); break;
        case 2: plan_disk(at, n); break;
        default: plan_other(at, n); break;
        }
    }
}

static enum act favourite_act(enum trigger_state state)
{
    switch (state) {
    case WHEN_RECEIVING: return plan_chance(500) ? ACT_PROMOTE_OTHER : ACT_BURST;
    case WHEN_SENDING: return plan_chance(500) ? ACT_BURST : ACT_KILL;
    case WHEN_PART_OF_UNIT: return ACT_PROMOTE;
    case WHEN_CHILD:
    case WHEN_REWRITTEN:
    case WHEN_RENAMED: return ACT_POWER_CUT;
    case WHEN_AHEAD: return ACT_KILL;
    case WHEN_ALONE:
    case WHEN_ADOPTED:
    case WHEN_FLUSHED:
    case WHEN_OVERWRITTEN:
    case TRIGGER_STATES: break;
    }
    return ACT_PAUSE;
}

static void plan_trigger(int64_t at, uint64_t n)
{
    enum trigger_state state = (enum trigger_state)plan_below(WHEN_ADOPTED);
    uint64_t act = plan_chance(600) ? plan_below(ACTS) : favourite_act(state);
    struct plan_item *item =
        plan_add(at, true, do_arm, "when %s %s: %s", name_of(n), trigger_state_words(state), act_words[act]);
    set_args(item, n, state, act);
    if (item == NULL) return;
    item->args[3] = (uint64_t)some_ms(50, 2000);
    item->args[4] = plan_below(1000);
}

/* Each trigger may get a reason: a full synchronization, a rewrite, a snapshot, or much to do. */
static void plan_reason(int64_t at, uint64_t n)
{
    switch (plan_below(5)) {
    case 0:
    case 1:
        set_args(plan_add(at, true, do_resynchronize, "%s is cut off, and the master gets more than its backlog",
                          name_of(n)),
                 n, (uint64_t)some_ms(100, 1500), 0);
        break;
    case 2: set_args(plan_add(at, false, do_order, "%s to %s", orders[2], name_of(n)), n, 2, 0); break;
    case 3: set_args(plan_add(at, false, do_order, "%s to %s", orders[0], name_of(n)), n, 0, 0); break;
    default: set_args(plan_add(at, false, do_burst, "a burst of writes"), 20, 1000 + plan_below(8000), 0); break;
    }
}

/* What needs more than one step. */
static void plan_rare(void)
{
    for (uint64_t n = plan_below(3); n > 0; n--)
        set_args(plan_add(some_ms(1000, HEAL_MS - 200), false, do_probe, "a peer asks for an edge of the backlog"),
                 some_node(), plan_below(6), 0);
    if (plan_chance(80)) {
        uint64_t n = some_node(), stop = plan_below(2);
        set_args(plan_add(some_ms(2000, HEAL_MS - 5000), true, do_take_over, "%s takes over while the master is %s",
                          name_of(n), stop ? "stopped" : "cut off"),
                 n, stop, (uint64_t)some_ms(300, 4000));
    }
}

/* Only where no list is looked for. */
static void plan_flushes(void)
{
    for (uint64_t n = 1 + plan_below(3); n > 0; n--) {
        enum act act = plan_chance(500) ? ACT_KILL : ACT_POWER_CUT;
        struct plan_item *item = plan_add(some_ms(2000, HEAL_MS - 1000), true, do_flush,
                                          "FLUSHALL to the master, and when it is done: %s", act_words[act]);
        set_args(item, 0, 0, act);
        if (item != NULL) item->args[3] = (uint64_t)some_ms(50, 2000);
    }
}

static void plan_limits(void)
{
    for (size_t i = 0; i < scenario.count; i++) configure_limits(&scenario.members[i]);
    if (!plan_chance(60)) return;
    uint64_t request = plan_below(2);
    set_args(plan_add(some_ms(1500, HEAL_MS - 1000), true, do_greedy, "a client %s",
                      request ? "begins a request of 6 MB" : "asks for much and reads nothing"),
             0, request, 0);
}

/* There are few of these runs, and nothing else happens in them. */
static bool plan_flood(void)
{
    uint64_t n = scenario.count - 1;
    while (n > 0 && scenario.members[n].persistence < LOG_EVERYSEC) n--;
    if (n == 0 || !plan_chance(12)) return false;
    set_args(plan_add(some_ms(3000, HEAL_MS - 5000), true, do_flood,
                      "the disk of %s is full, and the master gets 1.7 MB", name_of(n)),
             n, 17, 0);
    return true;
}

/* ---- Faults that do harm only together ---- */

/* A node with a log that a power cut may shorten, often the first master; or SIM_NODES_MAX: there is none. */
static uint64_t some_log(enum persistence from)
{
    uint64_t n = plan_chance(500) ? 0 : some_node();
    for (size_t i = 0; i < scenario.count; i++, n = (n + 1) % scenario.count)
        if (scenario.members[n].persistence >= from) return n;
    return SIM_NODES_MAX;
}

static void plan_power_cut(int64_t at, uint64_t n)
{
    uint64_t back = (uint64_t)some_ms(50, 1000);
    set_args(plan_add(at, true, do_power_cut, "%s loses its power", name_of(n)), n, back, 0);
}

/* The fsyncs of a log fail for a while, children that would write it anew are late, and then the power fails: what is lost
 * was dropped by the kernel although later fsyncs succeeded. */
static void plan_doubt(void)
{
    uint64_t n = some_log(LOG_ALWAYS), how_many = plan_below(4);
    if (n == SIM_NODES_MAX) return;
    int64_t at = some_ms(2000, HEAL_MS - 6000), until = at + some_ms(100, plan_chance(500) ? 1200 : 3000);
    if (how_many < 2) {
        set_args(plan_add(at, true, do_fail_one_sync, "one fsync of %s fails", name_of(n)), n, SIM_DISK_EIO_FSYNC, 0);
    } else {
        set_args(plan_add(at, true, do_disk_fault, "%s fsyncs of %s fail", how_many == 2 ? "some" : "all", name_of(n)),
                 n, SIM_DISK_EIO_FSYNC, how_many == 2 ? SIM_DISK_PPM / 3 : SIM_DISK_PPM);
        set_args(plan_add(until, true, do_disk_fault, "fsyncs of %s work", name_of(n)), n, SIM_DISK_EIO_FSYNC, 0);
    }
    if (plan_chance(500))
        set_args(plan_add(at, true, do_fail_spawn, "forks of %s fail", name_of(n)), n, 1 + plan_below(20), 0);
    else
        set_args(plan_add(at, true, do_slow_child, "children of %s are slow", name_of(n)), n,
                 (uint64_t)some_ms(200, 900), 0);
    plan_power_cut(until + some_ms(100, 3000), n);
}

/* A new file of the log is in the manifest, but the directory cannot be synced; and then the server dies. */
static void plan_given_up_file(void)
{
    uint64_t n = some_log(LOG_ALWAYS);
    if (n == SIM_NODES_MAX) return;
    int64_t at = some_ms(2000, HEAL_MS - 3000);
    set_args(plan_add(at, false, do_order, "%s to %s", orders[2], name_of(n)), n, 2, 0);
    set_args(plan_add(at + some_ms(0, 10), true, do_fail_one_sync, "one fsync of a directory of %s fails", name_of(n)),
             n, SIM_DISK_EIO_DIRECTORY, 0);
    set_args(plan_add(at + some_ms(20, 1000), true, do_kill, "kill -9 %s", name_of(n)), n, (uint64_t)some_ms(50, 1000),
             0);
}

/* Long values are in the pages that are lost: only a checksum tells. */
static void plan_lost_values(void)
{
    uint64_t n = some_log(LOG_EVERYSEC);
    if (n == SIM_NODES_MAX) return;
    int64_t at = some_ms(2000, HEAL_MS - 3000);
    set_args(plan_add(at, false, do_burst, "a burst of writes"), 5 + plan_below(20), 5000 + plan_below(20000), 0);
    plan_power_cut(at + some_ms(10, 400), n);
}

/* In a chain, the one in the middle comes back without what its replica has, and gets it slowly. */
static void plan_late_middle(void)
{
    if (scenario.count < 3 || scenario.members[2].master != 1 || scenario.members[1].persistence < LOG_EVERYSEC) return;
    int64_t at = some_ms(2000, HEAL_MS - 6000), cut = at + some_ms(30, 400);
    set_args(plan_add(at, false, do_burst, "a burst of writes"), 10 + plan_below(20), 3000, 0);
    plan_power_cut(cut, 1);
    set_args(plan_add(cut, true, do_slow_link, "slow link from %s to %s", name_of(0), name_of(1)), 0, 1,
             10000 + plan_below(50000));
    set_args(plan_add(cut + some_ms(2000, 4000), true, do_slow_link, "fast link from %s to %s", name_of(0), name_of(1)),
             0, 1, 0);
}

/* A replica has its master's data, and the lineage file is still of its own history. */
static void plan_first_data(void)
{
    uint64_t n = 1 + plan_below(scenario.count - 1);
    while (n < scenario.count && scenario.members[n].persistence != RDB) n++;
    if (n == scenario.count) return;
    struct plan_item *item =
        plan_add(MS, true, do_arm, "when %s %s: kill -9", name_of(n), trigger_state_words(WHEN_ADOPTED));
    set_args(item, n, WHEN_ADOPTED, plan_chance(500) ? ACT_KILL : ACT_KILL_SOON);
    if (item == NULL) return;
    item->args[3] = (uint64_t)some_ms(50, 500);
    item->args[4] = plan_below(1000);
}

static void plan_together(void)
{
    switch (plan_below(16)) {
    case 0:
    case 1:
    case 2: plan_doubt(); break;
    case 3: plan_given_up_file(); break;
    case 4:
    case 9: plan_lost_values(); break;
    case 5:
    case 6: plan_late_middle(); break;
    case 7:
    case 8: plan_first_data(); break;
    default: break;
    }
}

static void plan_triggers(void)
{
    if (plan_chance(500)) return;
    for (uint64_t count = 1 + plan_below(3); count > 0; count--) {
        int64_t at = some_ms(FAULTS_FROM_MS, HEAL_MS - 3000);
        uint64_t n = some_node();
        plan_trigger(at, n);
        plan_reason(at + some_ms(5, 300), plan_chance(700) ? n : some_node());
    }
    if (plan_chance(500)) return;
    set_args(plan_add(SECOND, false, do_burst, "a burst of writes"), 5 + plan_below(30), 1000 + plan_below(8000), 0);
    for (uint64_t a = 0; a < scenario.count; a++) {
        for (uint64_t b = 0; b < scenario.count; b++) {
            if (a == b) continue;
            uint64_t bytes_per_s = 30000 + plan_below(300000);
            set_args(plan_add(SECOND, true, do_slow_link, "slow link from %s to %s", name_of(a), name_of(b)), a, b,
                     bytes_per_s);
        }
    }
}

/* What it acknowledges until it dies is in its log. */
static void plan_fresh_master(void)
{
    uint64_t n = some_node();
    if (scenario.members[n].persistence < LOG_ALWAYS || !plan_chance(100)) return;
    int64_t at = some_ms(2000, HEAL_MS - 6000);
    set_args(plan_add(at, true, do_fresh_master, "%s becomes the master when it has a new data set, and is killed",
                      name_of(n)),
             n, (uint64_t)some_ms(100, 800), 0);
    set_args(plan_add(at, true, do_slow_child, "children of %s are slow", name_of(n)), n, (uint64_t)some_ms(50, 600),
             0);
    if (plan_chance(400)) sim_disk_knows_no_links(scenario.members[n].node->disk);
    set_args(plan_add(at + MS, true, do_resynchronize, "%s is cut off, and the master gets more than its backlog",
                      name_of(n)),
             n, (uint64_t)some_ms(100, 1500), 0);
}

/* With some of the faults of the network close to them. */
static void plan_hand_overs(void)
{
    if (!plan_chance(250)) return;
    for (uint64_t count = 1 + plan_below(3); count > 0; count--) {
        int64_t at = some_ms(1500, HEAL_MS - 3000);
        uint64_t n = some_node();
        if (plan_chance(700))
            set_args(plan_add(at, true, do_hand_over, "LOCKSTEP PROMOTE to %s", name_of(n)), n, 0, 0);
        else
            set_args(plan_add(at, true, do_failover, "FAILOVER to %s", name_of(n)), n, 0, 0);
        if (plan_chance(300))
            plan_network(at + some_ms(-20, 20), n, (n + 1 + plan_below(scenario.count - 1)) % scenario.count);
        if (plan_chance(100))
            set_args(plan_add(at + some_ms(0, 20), true, do_kill_at_call, "kill -9 %s soon", name_of(n)), n,
                     1 + plan_below(20), 0);
    }
}

/* At rest. */
static void plan_end(void)
{
    bool fill = plan_chance(60);
    if (fill)
        set_args(plan_add(some_ms(1000, HEAL_MS - 1000), false, do_fill, "the master gets thousands of keys"), 0,
                 1000 + plan_below(3000), 0);
    if (plan_chance(fill ? 700 : 120)) scenario.damage = 1 + plan_below(1000);
}

/* ---- Faults in an order that chance would rarely bring ---- */

static void plan_order(int64_t at, uint64_t which, uint64_t n)
{
    set_args(plan_add(at, false, do_order, "%s to %s", orders[which], name_of(n)), n, which, 0);
}

/* A part of a transaction is at the end of the log; what the next life appends comes behind it, and the life after that reads
 * both. A replica would begin a new log in between. */
static void plan_half_transaction(int64_t at)
{
    uint64_t n = (uint64_t)scenario.master, dark = plan_below(2);
    if (scenario.members[n].persistence < LOG_ALWAYS) return;
    set_args(plan_add(at, true, do_kill_in_transaction,
                      "kill -9 %s in the middle of a transaction in its log, and soon %s", name_of(n),
                      dark ? "a power cut" : "again"),
             n, (uint64_t)some_ms(50, 800), dark);
}

/* The end of the log that was synced is on disk in two sectors of different moments. */
static void plan_torn_end(int64_t at)
{
    uint64_t n = some_log(LOG_ALWAYS);
    if (n == SIM_NODES_MAX || scenario.members[n].persistence == LOG_NO) return;
    set_args(plan_add(at, true, do_tear, "when %s %s: its power fails, and pages are torn", name_of(n),
                      trigger_state_words(WHEN_OVERWRITTEN)),
             n, (uint64_t)some_ms(50, 500), 0);
}

/* A sync fails, the server dies, and the next life has all the same bytes in memory: the power fails in it. */
static void plan_doubt_of_former_life(int64_t at)
{
    uint64_t n = some_log(LOG_ALWAYS);
    if (n == SIM_NODES_MAX || scenario.members[n].persistence == LOG_NO) return;
    set_args(plan_add(at, false, do_burst, "a burst of writes"), 5 + plan_below(15), 1000 + plan_below(4000), 0);
    set_args(plan_add(at, true, do_kill_in_doubt, "kill -9 %s when a sync of its log has failed, and then a power cut",
                      name_of(n)),
             n, (uint64_t)some_ms(50, 500), (uint64_t)some_ms(400, 3000));
}

/* The sync that fails is that of the file which was begun with a rewrite, and the rewrite ends well. */
static void plan_doubt_in_rewrite(int64_t at)
{
    uint64_t n = some_log(LOG_EVERYSEC);
    if (n == SIM_NODES_MAX) return;
    int64_t fails = at + some_ms(30, 300);
    set_args(plan_add(at, true, do_slow_child, "children of %s are slow", name_of(n)), n, (uint64_t)some_ms(100, 500),
             0);
    plan_order(at, 2, n);
    set_args(plan_add(fails, true, do_fail_log_sync, "the next sync of the log of %s fails", name_of(n)), n, 0, 0);
    set_args(plan_add(fails, false, do_burst, "a burst of writes"), 5 + plan_below(10), 2000, 0);
    if (plan_chance(800)) plan_power_cut(at + some_ms(2000, 5000), n);
}

/* Names in the directory of the log change, and the power fails before that is synced. */
static void plan_dark_rename(int64_t at)
{
    uint64_t n = some_log(LOG_ALWAYS);
    if (n == SIM_NODES_MAX) return;
    struct plan_item *item = plan_add(at, true, do_arm, "when %s %s: %s", name_of(n), trigger_state_words(WHEN_RENAMED),
                                      act_words[ACT_POWER_CUT]);
    set_args(item, n, WHEN_RENAMED, ACT_POWER_CUT);
    if (item != NULL) item->args[3] = (uint64_t)some_ms(50, 500);
    plan_order(at + MS, 2, n);
}

/* A new file of the log is listed and given up, and the stream goes on in the file before it. */
static void plan_given_up_and_dark(int64_t at)
{
    uint64_t kill = plan_below(2), n = some_log(kill ? LOG_ALWAYS : LOG_EVERYSEC), failures = 1 + plan_below(2);
    if (n == SIM_NODES_MAX) return;
    set_args(plan_add(at, true, do_give_up, "when %s %s: a sync of a directory fails%s", name_of(n),
                      trigger_state_words(WHEN_RENAMED), failures > 1 ? ", and the next sync" : ""),
             n, failures, 0);
    plan_order(at - 100 * MS, ORDER_NO_REWRITES, n); /* another one would sync what is to be lost */
    plan_order(at + MS, 2, n);
    set_args(plan_add(at, true, do_fail_spawn, "forks of %s fail", name_of(n)), n, 10, 0);
    int64_t then = at + some_ms(100, 900);
    set_args(plan_add(then - 20 * MS, false, do_burst, "a burst of writes"), 3 + plan_below(5), 2000, 0);
    if (kill) {
        set_args(plan_add(then, true, do_kill, "kill -9 %s", name_of(n)), n, (uint64_t)some_ms(20, 200), 0);
        then += some_ms(300, 1500);
    }
    plan_power_cut(then, n);
}

/* The master has another secret than its replicas, and so many keys that checks are of parts of them. */
static void plan_other_secret(int64_t at)
{
    if (scenario.members[0].persistence < LOG_ALWAYS) return;
    set_args(plan_add(at, false, do_fill, "the master gets thousands of keys"), 0, 1000 + plan_below(3000), 0);
    set_args(
        plan_add(at + some_ms(500, 2000), true, do_lose_lineage, "kill -9 the master, and its lineage file is removed"),
        0, (uint64_t)some_ms(50, 300), 0);
}

/* Its end is asked for while its disk fails: it is given up, and the server goes on. A rewrite at that time would bring its
 * own doubt. */
static void plan_end_given_up(int64_t at)
{
    uint64_t n = plan_below(scenario.count), tries = 0;
    while (tries++ < scenario.count && (scenario.members[n].persistence < LOG_EVERYSEC || !scenario.members[n].saves))
        n = (n + 1) % scenario.count;
    plan_order(at - 100 * MS, ORDER_NO_REWRITES, n);
    set_args(plan_add(at, false, do_burst, "a burst of writes"), 5 + plan_below(10), 1000 + plan_below(4000), 0);
    set_args(plan_add(at + 20 * MS, true, do_disk_fault, "fsyncs of %s fail", name_of(n)), n, SIM_DISK_EIO_FSYNC,
             SIM_DISK_PPM);
    set_args(plan_add(at + 20 * MS, true, do_terminate, "SIGTERM to %s", name_of(n)), n, 0, 0);
    set_args(plan_add(at + some_ms(200, 400), true, do_disk_fault, "fsyncs of %s work", name_of(n)), n,
             SIM_DISK_EIO_FSYNC, 0);
    plan_power_cut(at + some_ms(1000, 3000), n);
}

/* Commands of the master wait in the turn in which the replica is told to end. */
static void plan_end_under_load(int64_t at)
{
    uint64_t n = 1 + plan_below(scenario.count - 1);
    set_args(plan_add(at, true, do_end_under_load, "SIGTERM to %s while it has much to run", name_of(n)), n,
             100 + plan_below(1000), (uint64_t)some_ms(100, 300));
}

/* A save fails, and nobody writes anything that would bring the next one. */
static void plan_failed_save(int64_t at)
{
    uint64_t n = some_node();
    plan_order(at, 4, n);
    set_args(plan_add(at + SECOND, true, do_fail_spawn, "forks of %s fail", name_of(n)), n, 2, 0);
    plan_order(at + SECOND, 0, n);
}

/* Drawn after all else, so that other draws stay what they were. `is_idle`: nobody writes. */
static void plan_ordered(bool is_idle)
{
    int64_t at = some_ms(2000, HEAL_MS - 6000);
    if (is_idle && plan_chance(500)) plan_failed_save(at);
    if (is_idle || !plan_chance(500)) return;
    switch (plan_below(12)) {
    case 0: plan_half_transaction(at); break;
    case 1: plan_torn_end(at); break;
    case 2: plan_doubt_of_former_life(at); break;
    case 3:
    case 4: plan_doubt_in_rewrite(at); break;
    case 5:
    case 6: plan_given_up_and_dark(at); break;
    case 7:
    case 8: plan_end_given_up(at); break;
    case 9: plan_other_secret(at); break;
    case 10: plan_dark_rename(at); break;
    default: plan_end_under_load(at); break;
    }
}

/* ---- The whole ---- */

static void make_member(size_t i, int master, enum persistence persistence, bool loose)
{
    struct member *m = &scenario.members[i];
    char name[16];
    m->node = sim_node_new();
    m->master = master;
    m->persistence = persistence;
    m->loose = loose;
    sim_disk_set_order(m->node->disk, plan_chance(500) ? SIM_DISK_HARSH : SIM_DISK_JOURNAL);
    sim_sys_settings(m->node)->fsync_us = some_ms(1, 20);
    sim_sys_settings(m->node)->child_pace_us = plan_chance(300) ? some_ms(1, 150) : some_ms(0, 5);
    sim_sys_boot(m->node);
    configure(m);
    snprintf(name, sizeof(name), "admin%zu", i + 1);
    m->admin = sim_client_new(name, &admin_events, m);
}

static void make_members(void)
{
    bool chain = plan_chance(300), loose = plan_chance(350), same = plan_chance(500);
    enum persistence persistence = (enum persistence)plan_below(PERSISTENCE_KINDS);
    scenario.count = plan_chance(250) ? 2 : 3;
    for (size_t i = 0; i < scenario.count; i++) {
        int master = i == 0 ? NOBODY : chain ? (int)i - 1 : 0;
        make_member(i, master, same ? persistence : (enum persistence)plan_below(PERSISTENCE_KINDS), loose);
    }
}

void scenario_begin(void)
{
    memset(&scenario, 0, sizeof(scenario));
    scenario.by_name = sim.seed % 3 == 0;
    sim.on_log = on_log;
    scenario.rest_by_us = (HEAL_MS + LINK_BOUND_MS) * MS;
    truth_begin();
    triggers_begin();
    damage_begin();
    observe_begin();
    make_members();
    bool sweeping = plan_chance(300);
    struct traffic_mix mix = {.clients = (unsigned)plan_below(4),
                              .heavy = plan_chance(200) ? 60 : 3,
                              .blocking = plan_chance(300) ? 40 : 5,
                              .ours = (unsigned)plan_below(500),
                              .sweeping = sweeping ? 10 : 0,
                              .pause_us = some_ms(150, 1000)};
    traffic_begin(&mix);
    promises_begin(sweeping ? 0 : 1 + (unsigned)plan_below(3));
    bool flood = plan_flood();
    if (!flood) {
        plan_orders();
        plan_faults(plan_chance(300) ? 15 : 1u << plan_below(4) | 1u << plan_below(4));
        plan_rare();
        plan_triggers();
        plan_together();
    }
    plan_end();
    plan_fresh_master();
    if (sweeping && plan_chance(300)) plan_flushes();
    plan_limits();
    if (!flood) plan_ordered(sweeping && mix.clients == 0);
    if (!flood) plan_hand_overs();
    for (size_t i = 0; i < scenario.count; i++) start(&scenario.members[i]);
    promises_set_master(scenario.members[0].node);
    traffic_set_master(scenario.members[0].node);
    sim_event_at(&scenario.watch, ADMIN_EVERY_MS * MS, on_watch, NULL);
    sim.end_us = 2 * (HEAL_MS + LINK_BOUND_MS) * MS;
}

void scenario_end(void) {}

void scenario_free(void)
{
    sim_event_cancel(&scenario.watch);
    triggers_free();
    traffic_free();
    promises_free();
    truth_end();
}
