/* directives.c -- the lines of the configuration file that begin with "sentinel".
 *
 * The file may have its lines in any order (a rewritten file has `monitor` behind lines that need it). So they are kept,
 * and applied in three rounds: what concerns the whole, masters, and the rest, which names masters. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "replication/sentinel/sentinel_internal.h"
#include "storage/base/memory.h"
#include "storage/base/num.h"
#include "storage/base/words.h"

/* ---- In ---- */

typedef int apply_fn(struct sentinel *s, int argc, const char *const *argv, struct sentinel_error *err);

static int apply_global(struct sentinel *s, int argc, const char *const *argv, struct sentinel_error *err)
{
    (void)argc;
    return sentinel_global_set(s, argv[0], argv[1], err);
}

static int apply_deny_scripts(struct sentinel *s, int argc, const char *const *argv, struct sentinel_error *err)
{
    (void)argc;
    s->deny_scripts = strcasecmp(argv[1], "yes") == 0;
    return s->deny_scripts || strcasecmp(argv[1], "no") == 0 ? 0 : options_fail(err, "Please specify yes or no");
}

static bool is_id(const char *text)
{
    return strlen(text) == SENTINEL_ID_LEN && strspn(text, "0123456789abcdefABCDEF") == SENTINEL_ID_LEN;
}

static int apply_myid(struct sentinel *s, int argc, const char *const *argv, struct sentinel_error *err)
{
    (void)argc;
    if (!is_id(argv[1])) return options_fail(err, "Malformed Sentinel id in myid option");
    snprintf(s->id, sizeof(s->id), "%s", argv[1]);
    return 0;
}

static int read_epoch(const char *text, uint64_t *out, struct sentinel_error *err)
{
    int64_t n;
    if (!num_parse_i64(bytes_str(text), &n) || n < 0) return options_fail(err, "An epoch is a number from 0 on");
    *out = (uint64_t)n;
    return 0;
}

static void raise_epoch(struct sentinel *s, uint64_t epoch)
{
    if (epoch > s->current_epoch) s->current_epoch = epoch;
}

static int apply_current_epoch(struct sentinel *s, int argc, const char *const *argv, struct sentinel_error *err)
{
    uint64_t epoch = 0;
    (void)argc;
    int rc = read_epoch(argv[1], &epoch, err);
    if (rc == 0) raise_epoch(s, epoch);
    return rc;
}

static int read_port(const char *text, int *out, struct sentinel_error *err)
{
    int64_t n;
    if (!num_parse_i64(bytes_str(text), &n) || n < 1 || n > 65535) return options_fail(err, "Invalid port number.");
    *out = (int)n;
    return 0;
}

static int check_host(struct sentinel *s, const char *host, struct sentinel_error *err)
{
    if (address_is_ip(host) || (s->resolve_hostnames && host[0] != '\0' && strlen(host) <= SENTINEL_HOST_MAX)) return 0;
    return options_fail(err, "Can't resolve instance hostname.");
}

static int apply_monitor(struct sentinel *s, int argc, const char *const *argv, struct sentinel_error *err)
{
    int64_t quorum = 0;
    int port = 0;
    (void)argc;
    if (!options_is_name(argv[1])) return options_fail(err, "Invalid master name.");
    if (!num_parse_i64(bytes_str(argv[4]), &quorum) || quorum < 1)
        return options_fail(err, "Quorum must be 1 or greater.");
    if (read_port(argv[3], &port, err) != 0 || check_host(s, argv[2], err) != 0) return -EINVAL;
    if (sentinel_find_master(s, argv[1]) != NULL) return options_fail(err, "Duplicate master name.");
    struct sentinel_node *master = node_add(s, NULL, SENTINEL_MASTER, argv[1], NULL, argv[2], port);
    master->m->quorum = quorum;
    return 0;
}

static struct sentinel_node *named(struct sentinel *s, const char *const *argv, struct sentinel_error *err)
{
    struct sentinel_node *master = sentinel_find_master(s, argv[1]);
    if (master == NULL) options_fail(err, "No such master with specified name.");
    return master;
}

static int apply_option(struct sentinel *s, int argc, const char *const *argv, struct sentinel_error *err)
{
    const char *words[] = {argv[0], argv[2], argc == 4 ? argv[3] : NULL};
    struct sentinel_node *master = named(s, argv, err);
    return master == NULL ? -EINVAL : options_set_master(master, argc - 1, words, false, err);
}

static int apply_config_epoch(struct sentinel *s, int argc, const char *const *argv, struct sentinel_error *err)
{
    struct sentinel_node *master = named(s, argv, err);
    (void)argc;
    if (master == NULL || read_epoch(argv[2], &master->m->config_epoch, err) != 0) return -EINVAL;
    raise_epoch(s, master->m->config_epoch);
    return 0;
}

static int apply_leader_epoch(struct sentinel *s, int argc, const char *const *argv, struct sentinel_error *err)
{
    struct sentinel_node *master = named(s, argv, err);
    (void)argc;
    if (master == NULL || read_epoch(argv[2], &master->m->leader_epoch, err) != 0) return -EINVAL;
    raise_epoch(s, master->m->leader_epoch);
    return 0;
}

static int apply_known_replica(struct sentinel *s, int argc, const char *const *argv, struct sentinel_error *err)
{
    struct sentinel_node *master = named(s, argv, err);
    int port = 0;
    (void)argc;
    if (master == NULL || read_port(argv[3], &port, err) != 0 || check_host(s, argv[2], err) != 0) return -EINVAL;
    if (node_find_replica(master, argv[2], port) != NULL) return 0;
    if (address_is(&master->address, argv[2], port)) return 0; /* of a file that was edited: the master is no replica */
    node_add(s, master, SENTINEL_REPLICA, NULL, NULL, argv[2], port);
    return 0;
}

static int apply_known_sentinel(struct sentinel *s, int argc, const char *const *argv, struct sentinel_error *err)
{
    struct sentinel_node *master = named(s, argv, err);
    int port = 0;
    if (master == NULL || read_port(argv[3], &port, err) != 0 || check_host(s, argv[2], err) != 0) return -EINVAL;
    if (argc < 5) return 0; /* of Sentinel 1: its hello tells the run id */
    if (!is_id(argv[4])) return options_fail(err, "Malformed Sentinel id");
    if (strcasecmp(argv[4], s->id) == 0 || node_find_peer(master, argv[4]) != NULL) return 0;
    node_add(s, master, SENTINEL_PEER, argv[4], argv[4], argv[2], port);
    return 0;
}

enum { ROUND_WHOLE, ROUND_MASTERS, ROUND_REST, ROUNDS };

static const struct directive {
    const char *name;
    int min, max; /* words, the name included */
    int round;
    apply_fn *apply;
} directives[] = {
    {"myid", 2, 2, ROUND_WHOLE, apply_myid},
    {"current-epoch", 2, 2, ROUND_WHOLE, apply_current_epoch},
    {"announce-ip", 2, 2, ROUND_WHOLE, apply_global},
    {"announce-port", 2, 2, ROUND_WHOLE, apply_global},
    {"resolve-hostnames", 2, 2, ROUND_WHOLE, apply_global},
    {"announce-hostnames", 2, 2, ROUND_WHOLE, apply_global},
    {"sentinel-user", 2, 2, ROUND_WHOLE, apply_global},
    {"sentinel-pass", 2, 2, ROUND_WHOLE, apply_global},
    {"deny-scripts-reconfig", 2, 2, ROUND_WHOLE, apply_deny_scripts},
    {"monitor", 5, 5, ROUND_MASTERS, apply_monitor},
    {"config-epoch", 3, 3, ROUND_REST, apply_config_epoch},
    {"leader-epoch", 3, 3, ROUND_REST, apply_leader_epoch},
    {"known-replica", 4, 4, ROUND_REST, apply_known_replica},
    {"known-slave", 4, 4, ROUND_REST, apply_known_replica},
    {"known-sentinel", 4, 5, ROUND_REST, apply_known_sentinel},
};

static bool find_directive(const char *name, struct directive *out)
{
    for (size_t i = 0; i < sizeof(directives) / sizeof(directives[0]); i++) {
        if (strcasecmp(directives[i].name, name) != 0) continue;
        *out = directives[i];
        return true;
    }
    int words = options_words(name); /* of a master, which the line names behind it */
    *out = (struct directive){name, words + 1, words + 1, ROUND_REST, apply_option};
    return words != 0 && strcasecmp(name, "quorum") != 0; /* the quorum is part of `monitor` */
}

bool sentinel_config_line(struct sentinel *s, int line, int argc, const char *const *argv)
{
    struct directive d;
    if (argc == 0 || !find_directive(argv[0], &d)) return false;
    struct kept_line *kept = mem_calloc(sizeof(*kept)), **at = &s->lines;
    kept->line = line;
    kept->argc = argc;
    kept->argv = mem_calloc((size_t)argc * sizeof(*kept->argv));
    for (int i = 0; i < argc; i++) kept->argv[i] = mem_strdup(argv[i]);
    while (*at != NULL) at = &(*at)->next;
    *at = kept;
    return true;
}

void directives_release(struct sentinel *s)
{
    struct kept_line *next;
    for (struct kept_line *kept = s->lines; kept != NULL; kept = next) {
        next = kept->next;
        for (int i = 0; i < kept->argc; i++) mem_free(kept->argv[i]);
        mem_free(kept->argv);
        mem_free(kept);
    }
    s->lines = NULL;
}

static int apply_kept(struct sentinel *s, const struct kept_line *kept, int round, struct sentinel_error *err)
{
    struct directive d;
    const char *const *argv = (const char *const *)kept->argv;
    if (!find_directive(argv[0], &d)) return options_fail(err, "Unrecognized sentinel configuration statement.");
    if (d.round != round) return 0;
    if (kept->argc < d.min || kept->argc > d.max)
        return options_fail(err, "Wrong number of arguments for sentinel %s.", d.name);
    return d.apply(s, kept->argc, argv, err);
}

int sentinel_config_end(struct sentinel *s, int *line, struct sentinel_error *err)
{
    int rc = 0;
    s->now = s->host.now(s->host.ctx) + 1;
    for (int round = 0; round < ROUNDS && rc == 0; round++) {
        for (const struct kept_line *kept = s->lines; kept != NULL && rc == 0; kept = kept->next) {
            rc = apply_kept(s, kept, round, err);
            *line = kept->line;
        }
    }
    directives_release(s);
    return rc;
}

/* ---- Out ---- */

/* One line: "sentinel <directive>" and words, quoted where that is needed. NULL ends. */
/* The words of a line are given without a NULL at their end. */
#define out_line(out, directive, ...) write_line(out, directive, (const char *const[]){__VA_ARGS__, NULL})

static void write_line(const struct sentinel_line_out *out, const char *directive, const char *const *words)
{
    struct bytes_buf line = {0};
    char key[64];
    snprintf(key, sizeof(key), "sentinel %s", directive);
    bytes_buf_printf(&line, "%s", key);
    for (; *words != NULL; words++) {
        bytes_buf_append(&line, " ", 1);
        word_append(&line, *words);
    }
    bytes_buf_append(&line, "", 1);
    out->line(out->ctx, key, line.data);
    bytes_buf_release(&line);
}

static const char *digits(int64_t n, char out[24])
{
    snprintf(out, 24, "%" PRId64, n);
    return out;
}

static void out_number(const struct sentinel_line_out *out, const char *directive, const struct sentinel_node *master,
                       int64_t value, int64_t otherwise)
{
    char number[24];
    if (value != otherwise) out_line(out, directive, master->name, digits(value, number));
}

static void out_text(const struct sentinel_line_out *out, const char *directive, const struct sentinel_node *master,
                     const char *value)
{
    if (value != NULL) out_line(out, directive, master->name, value);
}

/* A name that was resolved while names were allowed would not be accepted at the next start. */
static const char *host_in_file(const struct sentinel_node *master, const struct node_address *a)
{
    return master->sentinel->resolve_hostnames || a->ip[0] == '\0' ? a->host : a->ip;
}

static void out_settings(const struct sentinel_line_out *out, const struct sentinel_node *master)
{
    const struct master_part *m = master->m;
    const struct node_address *a = failover_current_address(master);
    char port[24], quorum[24];
    out_line(out, "monitor", master->name, host_in_file(master, a), digits(a->port, port), digits(m->quorum, quorum));
    out_number(out, "down-after-milliseconds", master, m->down_after_ms, DOWN_AFTER_DEFAULT_MS);
    out_number(out, "failover-timeout", master, m->failover_timeout_ms, FAILOVER_TIMEOUT_DEFAULT_MS);
    out_number(out, "parallel-syncs", master, m->parallel_syncs, PARALLEL_SYNCS_DEFAULT);
    out_text(out, "notification-script", master, m->notification_script);
    out_text(out, "client-reconfig-script", master, m->reconfig_script);
    out_text(out, "auth-pass", master, m->auth_pass);
    out_text(out, "auth-user", master, m->auth_user);
    out_number(out, "master-reboot-down-after-period", master, m->reboot_down_after_ms, 0);
    out_number(out, "refusal-down-after-ms", master, m->refusal_down_after_ms, 0);
    out_number(out, "forget-after-ms", master, m->forget_after_ms, 0);
    out_number(out, "config-epoch", master, (int64_t)m->config_epoch, -1);
    out_number(out, "leader-epoch", master, (int64_t)m->leader_epoch, -1);
}

static void out_replica(const struct sentinel_line_out *out, const struct sentinel_node *master,
                        const struct node_address *a)
{
    char port[24];
    out_line(out, "known-replica", master->name, host_in_file(master, a), digits(a->port, port));
}

/* From RECONF on the promoted replica is the master, and the old master a replica. */
static void out_nodes(const struct sentinel_line_out *out, const struct sentinel_node *master)
{
    const struct master_part *m = master->m;
    const struct node_address *now = failover_current_address(master);
    char port[24];
    if (now != &master->address) out_replica(out, master, &master->address);
    FOR_EACH_NODE(replica, m->replicas)
    if (now != &replica->address) out_replica(out, master, &replica->address);
    FOR_EACH_NODE(peer, m->peers)
    out_line(out, "known-sentinel", master->name, host_in_file(master, &peer->address),
             digits(peer->address.port, port), peer->runid);
    for (const struct renamed_word *w = m->renamed; w != NULL; w = w->next)
        out_line(out, "rename-command", master->name, w->from, w->to);
}

static void out_whole(const struct sentinel *s, const struct sentinel_line_out *out)
{
    char epoch[24];
    out_line(out, "current-epoch", digits((int64_t)s->current_epoch, epoch));
    if (!s->deny_scripts) out_line(out, "deny-scripts-reconfig", "no");
    if (s->resolve_hostnames) out_line(out, "resolve-hostnames", "yes");
    if (s->announce_hostnames) out_line(out, "announce-hostnames", "yes");
    if (s->announce_ip != NULL) out_line(out, "announce-ip", s->announce_ip);
    if (s->announce_port != 0) out_line(out, "announce-port", s->announce_port_text);
    if (s->user != NULL) out_line(out, "sentinel-user", s->user);
    if (s->pass != NULL) out_line(out, "sentinel-pass", s->pass);
}

void sentinel_config_lines(const struct sentinel *s, const struct sentinel_line_out *out)
{
    out_line(out, "myid", s->id);
    FOR_EACH_NODE(master, s->masters)
    {
        out_settings(out, master);
        out_nodes(out, master);
    }
    out_whole(s, out);
}
