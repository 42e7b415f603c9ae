/* options.c -- settings: of one master (SENTINEL SET), of the whole (SENTINEL CONFIG), and periods (SENTINEL DEBUG).
 *
 * Values go into the configuration file, so a control byte in one is refused: a line end would add a line. */
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "replication/sentinel/sentinel_internal.h"
#include "storage/base/memory.h"
#include "storage/base/num.h"

/* ---- Helpers ---- */

int options_fail(struct sentinel_error *err, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(err->text, sizeof(err->text), fmt, args);
    va_end(args);
    return -EINVAL;
}

bool options_has_control_bytes(const char *value)
{
    if (strstr(value, BYTES_TEXT_NUL) != NULL) return true;
    for (const unsigned char *c = (const unsigned char *)value; *c != '\0'; c++)
        if (*c < ' ' || *c == 127) return true;
    return false;
}

/* Redis documents A-z 0-9 . - _ and checks nothing. A name with a blank destroys its configuration file, one with a comma
 * its hellos. */
bool options_is_name(const char *name)
{
    if (name[0] == '\0' || strlen(name) > SENTINEL_NAME_MAX) return false;
    return !options_has_control_bytes(name) && strpbrk(name, " ,\"'\\#") == NULL;
}

void options_replace(char **slot, const char *value)
{
    char *copy = value == NULL || value[0] == '\0' ? NULL : mem_strdup(value);
    mem_free(*slot);
    *slot = copy;
}

static const char *quoted(const char *value, char out[BYTES_QUOTED_SIZE(64)])
{
    return bytes_quoted(bytes_str(value), 64, out);
}

static bool is_yes_or_no(const char *value, bool *out)
{
    *out = strcasecmp(value, "yes") == 0;
    return *out || strcasecmp(value, "no") == 0;
}

/* ---- Of a master ---- */

enum option_kind { OPTION_NUMBER, OPTION_TEXT, OPTION_SCRIPT };

struct option {
    const char *name;
    enum option_kind kind;
    size_t at;   /* in struct master_part */
    int64_t min; /* of a number */
    bool secret, credentials;
    const char *missing; /* of a script: what is said if it cannot be run */
};

#define AT(member) offsetof(struct master_part, member)

static const struct option options[] = {
    {.name = "down-after-milliseconds", .kind = OPTION_NUMBER, .at = AT(down_after_ms), .min = 1},
    {.name = "failover-timeout", .kind = OPTION_NUMBER, .at = AT(failover_timeout_ms), .min = 1},
    {.name = "parallel-syncs", .kind = OPTION_NUMBER, .at = AT(parallel_syncs), .min = 1},
    {.name = "quorum", .kind = OPTION_NUMBER, .at = AT(quorum), .min = 1},
    {.name = "master-reboot-down-after-period", .kind = OPTION_NUMBER, .at = AT(reboot_down_after_ms)},
    {.name = "refusal-down-after-ms", .kind = OPTION_NUMBER, .at = AT(refusal_down_after_ms)},
    {.name = "forget-after-ms", .kind = OPTION_NUMBER, .at = AT(forget_after_ms)},
    {.name = "auth-pass", .kind = OPTION_TEXT, .at = AT(auth_pass), .secret = true, .credentials = true},
    {.name = "auth-user", .kind = OPTION_TEXT, .at = AT(auth_user), .credentials = true},
    {.name = "notification-script",
     .kind = OPTION_SCRIPT,
     .at = AT(notification_script),
     .missing = "ERR Notification script seems non existing or non executable"},
    {.name = "client-reconfig-script",
     .kind = OPTION_SCRIPT,
     .at = AT(reconfig_script),
     .missing = "ERR Client reconfiguration script seems non existing or non executable"},
};

static const struct option *find_option(const char *name)
{
    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
        if (strcasecmp(options[i].name, name) == 0) return &options[i];
    return NULL;
}

int options_words(const char *name)
{
    if (strcasecmp(name, "rename-command") == 0) return 3;
    return find_option(name) != NULL ? 2 : 0;
}

static int wrong_value(const char *name, const char *value, struct sentinel_error *err)
{
    char shown[BYTES_QUOTED_SIZE(64)];
    return options_fail(err, "ERR Invalid argument '%s' for SENTINEL SET '%s'", quoted(value, shown), name);
}

static int set_number(struct sentinel_node *master, const struct option *o, const char *value,
                      struct sentinel_error *err)
{
    int64_t n;
    if (!num_parse_i64(bytes_str(value), &n) || n < o->min || n > INT32_MAX) return wrong_value(o->name, value, err);
    *(int64_t *)((char *)master->m + o->at) = n;
    return 0;
}

static int check_script(struct sentinel *s, const struct option *o, const char *value, bool at_runtime,
                        struct sentinel_error *err)
{
    if (at_runtime && s->deny_scripts)
        return options_fail(err, "ERR Reconfiguration of scripts path is denied for security reasons. Check the "
                                 "deny-scripts-reconfig configuration directive in your Sentinel configuration");
    if (value[0] != '\0' && !s->host.script_usable(s->host.ctx, value)) return options_fail(err, "%s", o->missing);
    return 0;
}

static void reconnect_servers(struct sentinel_node *master)
{
    if (!master->sentinel->started) return;
    node_connect(master);
    FOR_EACH_NODE(replica, master->m->replicas) node_connect(replica);
}

static int set_text(struct sentinel_node *master, const struct option *o, const char *value, bool at_runtime,
                    struct sentinel_error *err)
{
    int rc = o->kind == OPTION_SCRIPT ? check_script(master->sentinel, o, value, at_runtime, err) : 0;
    if (rc != 0) return rc;
    options_replace((char **)((char *)master->m + o->at), value);
    if (o->credentials) reconnect_servers(master);
    return 0;
}

/* A word renamed to itself has its own name again. */
static void rename_word(struct master_part *m, const char *from, const char *to)
{
    struct renamed_word **at = &m->renamed;
    while (*at != NULL && strcasecmp((*at)->from, from) != 0) at = &(*at)->next;
    struct renamed_word *w = *at;
    if (w != NULL) {
        *at = w->next;
        mem_free(w->from);
        mem_free(w->to);
        mem_free(w);
    }
    if (strcasecmp(from, to) == 0) return;
    w = mem_calloc(sizeof(*w));
    w->from = mem_strdup(from);
    w->to = mem_strdup(to);
    w->next = m->renamed;
    m->renamed = w;
}

int options_set_master(struct sentinel_node *master, int argc, const char *const *words, bool at_runtime,
                       struct sentinel_error *err)
{
    const struct option *o = find_option(words[0]);
    for (int i = 1; i < argc; i++)
        if (options_has_control_bytes(words[i])) return wrong_value(words[0], words[i], err);
    sentinel_changed(master->sentinel);
    if (o == NULL) { /* rename-command */
        if (words[1][0] == '\0' || words[2][0] == '\0') return wrong_value(words[0], "", err);
        rename_word(master->m, words[1], words[2]);
        return 0;
    }
    if (o->kind == OPTION_NUMBER) return set_number(master, o, words[1], err);
    return set_text(master, o, words[1], at_runtime, err);
}

static void say_set(struct sentinel_node *master, int argc, const char *const *words)
{
    const struct option *o = find_option(words[0]);
    bool secret = o != NULL && o->secret;
    sentinel_event(master->sentinel, SENTINEL_WARNING, "+set", master, " %s %s%s%s", words[0],
                   secret ? "******" : words[1], argc == 3 ? " " : "", argc == 3 ? words[2] : "");
}

static int set_all(struct sentinel_node *master, int argc, const char *const *argv, struct sentinel_error *err)
{
    int words;
    for (int i = 0; i < argc; i += words) {
        char shown[BYTES_QUOTED_SIZE(64)];
        words = options_words(argv[i]);
        if (words == 0 || words > argc - i)
            return options_fail(err, "ERR Unknown option or number of arguments for SENTINEL SET '%s'",
                                quoted(argv[i], shown));
        int rc = options_set_master(master, words, argv + i, true, err);
        if (rc != 0) return rc;
        say_set(master, words, argv + i);
    }
    return 0;
}

int sentinel_set(struct sentinel *s, const char *name, int argc, const char *const *argv, struct sentinel_error *err)
{
    s->now = s->host.now(s->host.ctx) + 1;
    struct sentinel_node *master = sentinel_find_master(s, name);
    if (master == NULL) return options_fail(err, "ERR No such master with that name");
    int rc = set_all(master, argc, argv, err); /* what came before a wrong option stays, and is saved */
    if (sentinel_flush_config(s) == 0 || rc != 0) return rc;
    options_fail(err, "ERR Failed to save config file");
    return -EIO;
}

/* ---- Of the whole ---- */

size_t sentinel_globals(const struct sentinel *s, struct sentinel_global *out, size_t max)
{
    const struct sentinel_global all[] = {
        {"resolve-hostnames", s->resolve_hostnames ? "yes" : "no"},
        {"announce-hostnames", s->announce_hostnames ? "yes" : "no"},
        {"announce-ip", s->announce_ip == NULL ? "" : s->announce_ip},
        {"announce-port", s->announce_port == 0 ? "0" : s->announce_port_text},
        {"sentinel-user", s->user == NULL ? "" : s->user},
        {"sentinel-pass", s->pass == NULL ? "" : s->pass},
    };
    size_t count = sizeof(all) / sizeof(all[0]);
    for (size_t i = 0; i < count && i < max; i++) out[i] = all[i];
    return count;
}

static bool is_port(const char *value, int64_t *port)
{
    return num_parse_i64(bytes_str(value), port) && *port >= 0 && *port <= 65535;
}

static bool is_host(const char *value)
{
    return strlen(value) <= SENTINEL_HOST_MAX && strpbrk(value, " ,\"'") == NULL;
}

int sentinel_global_check(const struct sentinel *s, const char *name, const char *value, struct sentinel_error *err)
{
    char shown[BYTES_QUOTED_SIZE(64)];
    int64_t port;
    bool yes, ok;
    (void)s;
    if (strcasecmp(name, "resolve-hostnames") == 0 || strcasecmp(name, "announce-hostnames") == 0) {
        ok = is_yes_or_no(value, &yes);
    } else if (strcasecmp(name, "announce-port") == 0) {
        ok = is_port(value, &port);
    } else if (strcasecmp(name, "announce-ip") == 0) {
        ok = is_host(value);
    } else if (strcasecmp(name, "sentinel-user") == 0 || strcasecmp(name, "sentinel-pass") == 0) {
        ok = true;
    } else {
        options_fail(err, "ERR Invalid argument '%s' to SENTINEL CONFIG SET", quoted(name, shown));
        return -ENOENT;
    }
    if (ok && !options_has_control_bytes(value)) return 0;
    return options_fail(err, "ERR Invalid value '%s' to SENTINEL CONFIG SET '%s'", quoted(value, shown), name);
}

static void resolve_all(struct sentinel *s)
{
    FOR_EACH_NODE(master, s->masters)
    {
        node_resolve_again(master);
        FOR_EACH_NODE(replica, master->m->replicas) node_resolve_again(replica);
        FOR_EACH_NODE(peer, master->m->peers) node_resolve_again(peer);
    }
}

static void reconnect_peers(struct sentinel *s)
{
    if (!s->started) return;
    FOR_EACH_NODE(master, s->masters)
    FOR_EACH_NODE(peer, master->m->peers) node_connect(peer);
}

static void set_port(struct sentinel *s, const char *value)
{
    int64_t port = 0;
    (void)is_port(value, &port); /* checked */
    s->announce_port = (int)port;
    snprintf(s->announce_port_text, sizeof(s->announce_port_text), "%d", (int)port);
}

int sentinel_global_set(struct sentinel *s, const char *name, const char *value, struct sentinel_error *err)
{
    int rc = sentinel_global_check(s, name, value, err);
    if (rc != 0) return rc;
    s->now = s->host.now(s->host.ctx) + 1;
    sentinel_changed(s);
    if (strcasecmp(name, "resolve-hostnames") == 0) {
        (void)is_yes_or_no(value, &s->resolve_hostnames);
        resolve_all(s);
    } else if (strcasecmp(name, "announce-hostnames") == 0) {
        (void)is_yes_or_no(value, &s->announce_hostnames);
    } else if (strcasecmp(name, "announce-port") == 0) {
        set_port(s, value);
    } else if (strcasecmp(name, "announce-ip") == 0) {
        options_replace(&s->announce_ip, value);
    } else {
        options_replace(strcasecmp(name, "sentinel-user") == 0 ? &s->user : &s->pass, value);
        reconnect_peers(s);
    }
    return 0;
}

/* ---- Periods ---- */

static const struct {
    const char *name;
    size_t at;
    int64_t value;
} periods[] = {
    {"INFO-PERIOD", offsetof(struct tunables, info_period), 10000},
    {"PING-PERIOD", offsetof(struct tunables, ping_period), 1000},
    {"ASK-PERIOD", offsetof(struct tunables, ask_period), 1000},
    {"PUBLISH-PERIOD", offsetof(struct tunables, publish_period), 2000},
    {"DEFAULT-DOWN-AFTER", offsetof(struct tunables, default_down_after), DOWN_AFTER_DEFAULT_MS},
    {"DEFAULT-FAILOVER-TIMEOUT", offsetof(struct tunables, default_failover_timeout), FAILOVER_TIMEOUT_DEFAULT_MS},
    {"TILT-TRIGGER", offsetof(struct tunables, tilt_trigger), 2000},
    {"TILT-PERIOD", offsetof(struct tunables, tilt_period), 30000},
    {"SLAVE-RECONF-TIMEOUT", offsetof(struct tunables, reconf_timeout), 10000},
    {"MIN-LINK-RECONNECT-PERIOD", offsetof(struct tunables, min_link_reconnect), 15000},
    {"ELECTION-TIMEOUT", offsetof(struct tunables, election_timeout), 10000},
    {"SCRIPT-MAX-RUNTIME", offsetof(struct tunables, script_max_runtime), 60000},
    {"SCRIPT-RETRY-DELAY", offsetof(struct tunables, script_retry_delay), 30000},
};

enum { PERIODS = sizeof(periods) / sizeof(periods[0]) };

static int64_t *period_at(struct tunables *t, size_t i)
{
    return (int64_t *)((char *)t + periods[i].at);
}

void options_tunables_init(struct tunables *t)
{
    for (size_t i = 0; i < PERIODS; i++) *period_at(t, i) = periods[i].value;
}

size_t sentinel_tunables(const struct sentinel *s, struct sentinel_tunable *out, size_t max)
{
    struct tunables t = s->tunables;
    for (size_t i = 0; i < PERIODS && i < max; i++)
        out[i] = (struct sentinel_tunable){periods[i].name, *period_at(&t, i)};
    return PERIODS;
}

int sentinel_tune(struct sentinel *s, const char *name, const char *value, struct sentinel_error *err)
{
    char shown[BYTES_QUOTED_SIZE(64)];
    for (size_t i = 0; i < PERIODS; i++) {
        int64_t n;
        if (strcasecmp(periods[i].name, name) != 0) continue;
        if (!num_parse_i64(bytes_str(value), &n) || n < 1 || n > INT32_MAX)
            return options_fail(err, "ERR Invalid argument '%s' for SENTINEL DEBUG '%s'", quoted(value, shown), name);
        *period_at(&s->tunables, i) = n;
        return 0;
    }
    return options_fail(err, "ERR Unknown option or number of arguments for SENTINEL DEBUG '%s'", quoted(name, shown));
}
