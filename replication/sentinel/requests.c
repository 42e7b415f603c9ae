/* requests.c -- what operators ask for: SENTINEL MONITOR, REMOVE, RESET, FAILOVER, FORGET, CKQUORUM, SIMULATE-FAILURE. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "replication/sentinel/sentinel_internal.h"
#include "storage/base/glob.h"

static void begin(struct sentinel *s)
{
    s->now = s->host.now(s->host.ctx) + 1;
}

static int save_or_fail(struct sentinel *s, struct sentinel_error *err)
{
    if (sentinel_flush_config(s) == 0) return 0;
    options_fail(err, "ERR Failed to save config file");
    return -EIO;
}

static struct sentinel_node *find(struct sentinel *s, const char *name, struct sentinel_error *err)
{
    struct sentinel_node *master = sentinel_find_master(s, name);
    if (master == NULL) options_fail(err, "ERR No such master with that name");
    return master;
}

/* ---- MONITOR, REMOVE, RESET ---- */

static int check_new_master(struct sentinel *s, const char *name, const char *host, int port, int64_t quorum,
                            struct sentinel_error *err)
{
    char ip[SENTINEL_IP_SIZE];
    if (!options_is_name(name)) return options_fail(err, "ERR Invalid master name");
    if (quorum < 1) return options_fail(err, "ERR Quorum must be 1 or greater.");
    if (port < 1 || port > 65535) return options_fail(err, "ERR Invalid port number.");
    if (sentinel_find_master(s, name) != NULL) return options_fail(err, "ERR Duplicate master name.");
    if (options_has_control_bytes(host) || host[0] == '\0' || strlen(host) > SENTINEL_HOST_MAX ||
        strpbrk(host, ", \"'"))
        return options_fail(err, "ERR Invalid IP address or hostname specified");
    if (address_is_ip(host) || (s->resolve_hostnames && s->host.resolve(s->host.ctx, host, ip) == 0)) return 0;
    return options_fail(err, "ERR Invalid IP address or hostname specified");
}

int sentinel_monitor(struct sentinel *s, const char *name, const char *host, int port, int64_t quorum,
                     struct sentinel_error *err)
{
    begin(s);
    int rc = check_new_master(s, name, host, port, quorum, err);
    if (rc != 0) return rc;
    struct sentinel_node *master = node_add(s, NULL, SENTINEL_MASTER, name, NULL, host, port);
    master->m->quorum = quorum;
    sentinel_event(s, SENTINEL_WARNING, "+monitor", master, " quorum %lld", (long long)quorum);
    return save_or_fail(s, err);
}

int sentinel_remove(struct sentinel *s, const char *name, struct sentinel_error *err)
{
    begin(s);
    struct sentinel_node *master = find(s, name, err);
    if (master == NULL) return -EINVAL;
    sentinel_event(s, SENTINEL_WARNING, "-monitor", master, "%s", "");
    master_remove(master);
    return save_or_fail(s, err);
}

int sentinel_reset(struct sentinel *s, const char *pattern)
{
    int n = 0;
    begin(s);
    FOR_EACH_NODE(master, s->masters)
    {
        if (!glob_match(bytes_str(pattern), bytes_str(master->name), true)) continue;
        master_reset(master);
        sentinel_event(s, SENTINEL_WARNING, "+reset-master", master, "%s", "");
        n++;
    }
    (void)sentinel_saved(s); /* RESET only forgets: a file that still names what is forgotten breaks no promise */
    return n;
}

/* ---- FAILOVER ---- */

static int check_coordinated(const struct sentinel_node *master, struct sentinel_error *err)
{
    if (!node_usable(master)) return options_fail(err, "ERR A coordinated failover needs a master that answers");
    if (!master->facts.knows_failover)
        return options_fail(err, "ERR The master does not know FAILOVER, so it cannot be told to hand over");
    return 0;
}

int sentinel_failover(struct sentinel *s, const char *name, bool coordinated, struct sentinel_error *err)
{
    begin(s);
    struct sentinel_node *master = find(s, name, err);
    if (master == NULL) return -EINVAL;
    if (master->m->state != FAILOVER_IDLE) return options_fail(err, "INPROG Failover already in progress");
    if (candidate_best(master) == NULL) return options_fail(err, "NOGOODSLAVE No suitable replica to promote");
    if (coordinated && check_coordinated(master, err) != 0) return -EINVAL;
    sentinel_log(s, SENTINEL_WARNING, "Executing user requested FAILOVER of '%s'", master->name);
    master->m->coordinated = coordinated;
    failover_begin(master, true);
    return 0;
}

/* ---- FORGET ---- */

static struct sentinel_node *find_in(struct sentinel_node *list, const char *host_or_runid, int port)
{
    FOR_EACH_NODE(node, list)
    {
        bool by_id = port == 0 && node->runid[0] != '\0' && strcasecmp(node->runid, host_or_runid) == 0;
        if (by_id || (port != 0 && address_is(&node->address, host_or_runid, port))) return node;
    }
    return NULL;
}

int sentinel_forget(struct sentinel *s, const char *name, const char *host_or_runid, int port,
                    struct sentinel_error *err)
{
    begin(s);
    struct sentinel_node *master = find(s, name, err);
    if (master == NULL) return -EINVAL;
    struct sentinel_node *node = find_in(master->m->replicas, host_or_runid, port);
    if (node == NULL) node = find_in(master->m->peers, host_or_runid, port);
    if (node == NULL) return options_fail(err, "ERR No such replica or sentinel of that master");
    if (node == master->m->promoted) return options_fail(err, "INPROG Failover already in progress");
    sentinel_event(s, SENTINEL_WARNING, "+forget", node, "%s", "");
    node_remove(node);
    return save_or_fail(s, err);
}

/* ---- CKQUORUM ---- */

int sentinel_ckquorum(struct sentinel *s, const char *name, char *text, size_t size, struct sentinel_error *err)
{
    struct sentinel_node *master = find(s, name, err);
    if (master == NULL) return -EINVAL;
    size_t usable = 1;
    FOR_EACH_NODE(peer, master->m->peers)
    if (node_usable(peer)) usable++;
    bool quorum = (int64_t)usable >= master->m->quorum, more_than_half = usable >= master_majority(master);
    if (quorum && more_than_half) {
        snprintf(text, size, "OK %zu usable Sentinels. Quorum and failover authorization can be reached", usable);
        return 0;
    }
    return options_fail(
        err, "NOQUORUM %zu usable Sentinels. %s%s%s", usable,
        quorum ? "" : "Not enough available Sentinels to reach the specified quorum for this master",
        quorum || more_than_half ? "" : ". ",
        more_than_half ? "" : "Not enough available Sentinels to reach the majority and authorize a failover");
}

/* ---- SIMULATE-FAILURE ---- */

static const char *const simulations[] = {"crash-after-election", "crash-after-promotion", NULL};

const char *const *sentinel_simulations(void)
{
    return simulations;
}

bool sentinel_simulate(struct sentinel *s, const char *failure)
{
    for (unsigned i = 0; simulations[i] != NULL; i++) {
        if (strcasecmp(simulations[i], failure) != 0) continue;
        s->simulations |= 1u << i;
        return true;
    }
    return false;
}

void sentinel_simulate_nothing(struct sentinel *s)
{
    s->simulations = 0;
}
