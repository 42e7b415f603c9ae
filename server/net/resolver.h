/* resolver.h -- names to addresses, without blocking the loop.
 *
 *     resolver_start() --> [ asks /etc/hosts, then name servers ] --> done(addresses), or done(0, error)
 *                                       `--- resolver_cancel(): no call of done
 *
 * c-ares does the work; its descriptors and timers are watchers of the loop. It reads /etc/resolv.conf, /etc/hosts and the
 * order of both in /etc/nsswitch.conf, for each query anew, so a changed file needs no restart. Addresses come in the order
 * of RFC 6724.
 * Ownership: a query frees itself once `done` has returned, or in resolver_cancel().
 * Not here:  addresses in digits, which need no query (address.h); a memory of answers (the name server has one). */
#ifndef LOCKSTEP_SERVER_NET_RESOLVER_H
#define LOCKSTEP_SERVER_NET_RESOLVER_H

#include "server/net/address.h"
#include "server/net/loop.h"

enum {
    RESOLVER_ADDRESSES_MAX = 16, /* further ones of a name are left out */
    RESOLVER_PATIENCE_MS = 20 * 1000,
};

void resolver_prepare_process(void); /* once, before threads and queries */

struct resolver_query; /* opaque */

/* `count` addresses with the port; 0: none, and `error` says why. Both die with the call. The loop calls it, never
 * resolver_start(). */
typedef void resolver_done_fn(void *ctx, const struct net_address *found, int count, const char *error);

struct resolver_options { /* for tests; zero: the system's */
    const char *servers;  /* "127.0.0.1:5353,..." in place of those of resolv.conf */
    int64_t patience_ms;  /* in place of RESOLVER_PATIENCE_MS: the time for a whole query */
    int try_ms;           /* in place of resolv.conf's timeout: the time for the first try at each server */
};

/* `options` may be NULL. A failure to start is reported through `done`, too. */
struct resolver_query *resolver_start(struct loop *loop, const struct resolver_options *options, const char *name,
                                      int port, resolver_done_fn *done, void *ctx);
void resolver_cancel(struct resolver_query *q); /* NULL is allowed */

#endif
