/* node_info.c -- what the INFO of a server says, and what follows from it at once.
 *
 * INFO comes from a server that we may not trust: lines that make no sense are skipped, numbers that do not parse leave
 * the default, and a replica list names at most what fits into a reply. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "replication/sentinel/sentinel_internal.h"
#include "storage/base/memory.h"
#include "storage/base/num.h"

void facts_release(struct node_facts *f)
{
    mem_free(f->master_host);
    *f = (struct node_facts){0};
}

/* ---- Lines ---- */

/* Takes the next line off `text`, without its end. */
static bool next_line(struct bytes_view *text, struct bytes_view *line)
{
    if (text->len == 0) return false;
    const char *end = memchr(text->data, '\n', text->len);
    size_t len = end == NULL ? text->len : (size_t)(end - text->data);
    *line = bytes_view(text->data, len > 0 && text->data[len - 1] == '\r' ? len - 1 : len);
    size_t taken = end == NULL ? len : len + 1;
    *text = bytes_view(text->data + taken, text->len - taken);
    return true;
}

/* The value of "name:value". */
static bool value_of(struct bytes_view line, const char *name, struct bytes_view *value)
{
    size_t len = strlen(name);
    if (line.len <= len || memcmp(line.data, name, len) != 0 || line.data[len] != ':') return false;
    *value = bytes_view(line.data + len + 1, line.len - len - 1);
    return true;
}

static void read_id(struct bytes_view value, char out[41])
{
    out[0] = '\0';
    if (value.len != 40 || bytes_equal(value, BYTES_LIT("0000000000000000000000000000000000000000"))) return; /* none */
    for (size_t i = 0; i < value.len; i++)
        if (value.data[i] <= ' ' || value.data[i] > '~') return;
    memcpy(out, value.data, 40);
    out[40] = '\0';
}

static int64_t read_number(struct bytes_view value, int64_t otherwise)
{
    int64_t n;
    return num_parse_i64(value, &n) ? n : otherwise;
}

static bool is_host(struct bytes_view host)
{
    if (host.len == 0 || host.len > SENTINEL_HOST_MAX) return false;
    for (size_t i = 0; i < host.len; i++)
        if (host.data[i] <= ' ' || host.data[i] > '~' || host.data[i] == ',') return false;
    return true;
}

/* ---- Facts ---- */

struct reading {
    struct node_facts facts;
    char runid[SENTINEL_ID_LEN + 1];
};

static void read_role(struct reading *r, struct bytes_view value)
{
    if (bytes_equal(value, BYTES_LIT("master"))) r->facts.role = ROLE_MASTER;
    if (bytes_equal(value, BYTES_LIT("slave"))) r->facts.role = ROLE_REPLICA;
}

static void read_replication(struct reading *r, struct bytes_view line)
{
    struct node_facts *f = &r->facts;
    struct bytes_view v;
    if (value_of(line, "master_replid", &v)) read_id(v, f->replid);
    if (value_of(line, "master_replid2", &v)) read_id(v, f->replid2);
    if (value_of(line, "slave_repl_offset", &v)) f->offset = (uint64_t)read_number(v, 0);
    if (value_of(line, "master_repl_offset", &v) && f->role == ROLE_MASTER) f->offset = (uint64_t)read_number(v, 0);
    if (value_of(line, "master_link_status", &v)) f->link_up = bytes_equal(v, BYTES_LIT("up"));
    if (value_of(line, "master_sync_in_progress", &v)) f->sync_in_progress = read_number(v, 1) != 0;
    if (value_of(line, "master_port", &v)) f->master_port = (int)read_number(v, 0);
    if (value_of(line, "master_link_down_since_seconds", &v)) {
        int64_t seconds = read_number(v, 0);
        f->link_down_ms = seconds > INT32_MAX ? INT32_MAX : seconds < 0 ? INT32_MAX : seconds * 1000;
    }
    if (value_of(line, "master_host", &v) && is_host(v)) {
        mem_free(f->master_host);
        f->master_host = bytes_to_cstr(v);
    }
    if (value_of(line, "slave_priority", &v)) f->priority = (int)read_number(v, 100);
    if (value_of(line, "replica_announced", &v)) f->announced = read_number(v, 1) != 0;
    if (value_of(line, "master_failover_state", &v)) f->knows_failover = true;
}

static void read_line(struct reading *r, struct bytes_view line)
{
    struct bytes_view v;
    if (value_of(line, "run_id", &v)) read_id(v, r->runid);
    if (value_of(line, "role", &v)) read_role(r, v);
    if (value_of(line, "loading", &v)) r->facts.loading = read_number(v, 0) != 0;
    read_replication(r, line);
}

/* ---- The replicas that a master lists ---- */

/* The value of "key=" in "ip=...,port=...,state=...". */
static bool part_of(struct bytes_view list, const char *key, struct bytes_view *value)
{
    size_t len = strlen(key);
    while (list.len > 0) {
        const char *comma = memchr(list.data, ',', list.len);
        size_t part = comma == NULL ? list.len : (size_t)(comma - list.data);
        if (part > len && memcmp(list.data, key, len) == 0 && list.data[len] == '=') {
            *value = bytes_view(list.data + len + 1, part - len - 1);
            return true;
        }
        size_t taken = comma == NULL ? part : part + 1;
        list = bytes_view(list.data + taken, list.len - taken);
    }
    return false;
}

static void discover_replica(struct sentinel_node *master, struct bytes_view ip, int64_t port)
{
    char host[SENTINEL_HOST_MAX + 1];
    struct sentinel *s = master->sentinel;
    snprintf(host, sizeof(host), "%.*s", (int)ip.len, ip.data);
    if (!s->resolve_hostnames && !address_is_ip(host)) return;
    if (address_is(&master->address, host, (int)port)) return; /* nobody replicates itself (H9) */
    if (node_find_replica(master, host, (int)port) != NULL) return;
    struct sentinel_node *replica = node_add(s, master, SENTINEL_REPLICA, NULL, NULL, host, (int)port);
    size_t before = sentinel_replica_count(master);
    node_remove_duplicates(master); /* it may be a name of one that we know */
    if (sentinel_replica_count(master) == before) sentinel_event(s, SENTINEL_NOTICE, "+slave", replica, "%s", "");
}

static void read_replica_line(struct sentinel_node *master, struct bytes_view line)
{
    struct bytes_view ip, port;
    if (line.len < 7 || memcmp(line.data, "slave", 5) != 0 || line.data[5] < '0' || line.data[5] > '9') return;
    const char *colon = memchr(line.data, ':', line.len);
    if (colon == NULL) return;
    struct bytes_view list = bytes_view(colon + 1, line.len - (size_t)(colon + 1 - line.data));
    if (!part_of(list, "ip", &ip) || !part_of(list, "port", &port) || !is_host(ip)) return;
    int64_t number = read_number(port, 0);
    if (number > 0 && number <= 65535) discover_replica(master, ip, number);
}

static void discover_replicas(struct sentinel_node *master, struct bytes_view text)
{
    for (struct bytes_view line; next_line(&text, &line);) read_replica_line(master, line);
}

/* ---- What follows ---- */

static void note_runid(struct sentinel_node *node, const char *runid)
{
    struct sentinel *s = node->sentinel;
    if (runid[0] == '\0' || strcmp(node->runid, runid) == 0) return;
    if (node->runid[0] != '\0') {
        sentinel_event(s, SENTINEL_NOTICE, "+reboot", node, "%s", "");
        node->was_replica = false;
        if (node->kind == SENTINEL_MASTER) node->rebooted_at = s->now;
    }
    memcpy(node->runid, runid, sizeof(node->runid));
}

static void note_role(struct sentinel_node *node, enum node_role before)
{
    enum node_role expected = node->kind == SENTINEL_MASTER ? ROLE_MASTER : ROLE_REPLICA;
    enum node_role role = node->facts.role;
    if (role == ROLE_REPLICA) node->was_replica = true;
    if (role == before) return;
    node->role_since = node->sentinel->now;
    sentinel_event(node->sentinel, SENTINEL_VERBOSE, role == expected ? "+role-change" : "-role-change", node,
                   " new reported role is %s", role == ROLE_MASTER ? "master" : "slave");
}

static bool same_master(const struct node_facts *a, const struct node_facts *b)
{
    if (a->master_port != b->master_port || (a->master_host == NULL) != (b->master_host == NULL)) return false;
    return a->master_host == NULL || strcasecmp(a->master_host, b->master_host) == 0;
}

/* A replica that is linked to its master has a whole data set of that history. */
static void note_proof(struct sentinel_node *node)
{
    const struct node_facts *f = &node->facts;
    if (f->role == ROLE_REPLICA && f->link_up && !f->sync_in_progress && !f->loading)
        memcpy(node->proven_replid, f->replid, sizeof(node->proven_replid));
}

static bool history_known(const struct master_part *m, const char *replid)
{
    for (int i = 0; i < HISTORIES; i++)
        if (strcmp(m->histories[i], replid) == 0) return true;
    return false;
}

static void push_history(struct master_part *m, int at, const char *replid)
{
    for (int i = HISTORIES - 1; i > at; i--) memcpy(m->histories[i], m->histories[i - 1], sizeof(m->histories[i]));
    memcpy(m->histories[at], replid, sizeof(m->histories[at]));
}

static void note_history(struct sentinel_node *master)
{
    struct master_part *m = master->m;
    const struct node_facts *f = &master->facts;
    if (f->role != ROLE_MASTER || f->loading || f->replid[0] == '\0' || strcmp(m->histories[0], f->replid) == 0) return;
    push_history(m, 0, f->replid);
    if (f->replid2[0] != '\0' && !history_known(m, f->replid2)) push_history(m, 1, f->replid2);
}

static void keep_text(struct sentinel_node *node, struct bytes_view text)
{
    bytes_buf_release(&node->info);
    bytes_buf_append_view(&node->info, text);
    node->info_at = node->sentinel->now;
}

static void take_facts(struct sentinel_node *node, struct reading *r)
{
    enum node_role before = node->facts.role;
    bool moved = !same_master(&node->facts, &r->facts);
    if (r->facts.role == ROLE_UNKNOWN) r->facts.role = before;
    facts_release(&node->facts);
    node->facts = r->facts;
    if (moved) node->following_since = node->sentinel->now;
    note_runid(node, r->runid);
    note_role(node, before);
}

void info_answered(struct sentinel_node *node, const struct sentinel_value *reply)
{
    struct reading r = {.facts = {.priority = 100, .announced = true}};
    node->info_pending = false;
    if (reply == NULL || reply->kind != SENTINEL_REPLY_STRING) return;
    keep_text(node, reply->text);
    struct bytes_view text = reply->text;
    for (struct bytes_view line; next_line(&text, &line);) read_line(&r, line);
    take_facts(node, &r);
    if (node->kind == SENTINEL_MASTER) {
        note_history(node);
        if (node->facts.role == ROLE_MASTER) discover_replicas(node, reply->text);
    } else {
        note_proof(node);
    }
    if (node->sentinel->tilt_since != 0) return;
    if (node == node->master->m->promoted && node->facts.role == ROLE_MASTER) failover_promoted(node);
    if (node->kind == SENTINEL_REPLICA) {
        failover_reconf_seen(node);
        roles_check(node);
    }
}
