#include "server/sentinel/sentinel_names.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>

#include "server/core/core.h"
#include "server/net/resolver.h"
#include "storage/base/log.h"
#include "storage/base/memory.h"

enum { FAILURE_FRESH_MS = 1000 };

struct name {
    struct sentinel_names *owner;
    struct name *next; /* asked for before this one */
    char *text;
    char ip[SENTINEL_IP_SIZE]; /* "": none */
    bool is_known;             /* there was an answer */
    bool has_failed;           /* the last answer was none: logged once */
    int64_t answered_ms;
    struct resolver_query *query; /* NULL: none runs */
};

struct sentinel_names {
    struct core *core;
    sentinel_name_answered_fn *answered;
    void *ctx;
    struct name *names; /* the latest first */
    size_t count;
};

struct sentinel_names *sentinel_names_new(struct core *core, sentinel_name_answered_fn *answered, void *ctx)
{
    struct sentinel_names *ns = mem_calloc(sizeof(*ns));
    *ns = (struct sentinel_names){.core = core, .answered = answered, .ctx = ctx};
    return ns;
}

static void name_free(struct name *n)
{
    resolver_cancel(n->query);
    mem_free(n->text);
    mem_free(n);
}

void sentinel_names_free(struct sentinel_names *ns)
{
    if (ns == NULL) return;
    for (struct name *n = ns->names, *next; n != NULL; n = next) {
        next = n->next;
        name_free(n);
    }
    mem_free(ns);
}

static void drop_oldest(struct sentinel_names *ns)
{
    struct name **at = &ns->names;
    while ((*at)->next != NULL) at = &(*at)->next;
    name_free(*at);
    *at = NULL;
    ns->count--;
}

/* Finds or makes it, and puts it first. */
static struct name *use_name(struct sentinel_names *ns, const char *text)
{
    struct name **at = &ns->names;
    while (*at != NULL && strcmp((*at)->text, text) != 0) at = &(*at)->next;
    struct name *n = *at;
    if (n != NULL) {
        *at = n->next;
    } else {
        if (ns->count == SENTINEL_NAMES_MAX) drop_oldest(ns);
        n = mem_calloc(sizeof(*n));
        n->owner = ns;
        n->text = mem_strdup(text);
        ns->count++;
    }
    n->next = ns->names;
    ns->names = n;
    return n;
}

static bool print_ip(const struct net_address *address, char ip[SENTINEL_IP_SIZE])
{
    const struct sockaddr *sa = net_address_raw(address);
    const void *bytes = sa->sa_family == AF_INET6
                            ? (const void *)&((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr
                            : (const void *)&((const struct sockaddr_in *)(const void *)sa)->sin_addr;
    return inet_ntop(sa->sa_family, bytes, ip, SENTINEL_IP_SIZE) != NULL;
}

/* The address that the name had stays if it is still one of several: else each answer would move the node. */
static void choose(struct name *n, const struct net_address *found, int count)
{
    char ip[SENTINEL_IP_SIZE], first[SENTINEL_IP_SIZE] = "";
    for (int i = 0; i < count; i++) {
        if (!print_ip(&found[i], ip)) continue;
        if (strcmp(ip, n->ip) == 0) return;
        if (first[0] == '\0') memcpy(first, ip, sizeof(first));
    }
    memcpy(n->ip, first, sizeof(n->ip));
}

static void on_answer(void *ctx, const struct net_address *found, int count, const char *error)
{
    struct name *n = ctx;
    struct sentinel_names *ns = n->owner;
    n->query = NULL;
    n->is_known = true;
    n->answered_ms = ns->core->clock.mono_ms;
    choose(n, found, count);
    bool failed = n->ip[0] == '\0';
    if (failed && !n->has_failed) log_warning(ns->core->log, "Failed to resolve hostname '%s': %s", n->text, error);
    n->has_failed = failed;
    char ip[SENTINEL_IP_SIZE]; /* the answer may end with this name being dropped */
    memcpy(ip, n->ip, sizeof(ip));
    char *text = mem_strdup(n->text);
    ns->answered(ns->ctx, text, failed ? NULL : ip);
    mem_free(text);
}

int sentinel_names_find(struct sentinel_names *ns, const char *name, char ip[SENTINEL_IP_SIZE])
{
    struct name *n = use_name(ns, name);
    int64_t age_ms = ns->core->clock.mono_ms - n->answered_ms;
    if (n->is_known && n->ip[0] != '\0' && age_ms < SENTINEL_NAME_FRESH_MS) {
        memcpy(ip, n->ip, SENTINEL_IP_SIZE);
        return 0;
    }
    if (n->is_known && n->ip[0] == '\0' && age_ms < FAILURE_FRESH_MS) return -ENOENT;
    if (n->query == NULL) n->query = resolver_start(ns->core->loop, NULL, name, 0, on_answer, n);
    return -EAGAIN;
}
