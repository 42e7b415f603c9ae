/* sentinel_names.h -- addresses of host names for a sentinel: asked for without waiting, remembered for seconds.
 *
 *     sentinel_names_find() --> known for less than SENTINEL_NAME_FRESH_MS: the address
 *                           `-> -EAGAIN, and answered() follows
 *
 * Ownership:  names are copied. At most SENTINEL_NAMES_MAX are remembered; the one that was asked for longest ago goes.
 * Not here:   the questions to name servers (server/net/resolver.h). */
#ifndef LOCKSTEP_SERVER_SENTINEL_SENTINEL_NAMES_H
#define LOCKSTEP_SERVER_SENTINEL_SENTINEL_NAMES_H

#include "replication/sentinel/sentinel.h"

struct core;
struct sentinel_names; /* opaque */

enum { SENTINEL_NAMES_MAX = 1024, SENTINEL_NAME_FRESH_MS = 5000 };

/* ip NULL: the name has no address. Called from the loop, never from sentinel_names_find(). */
typedef void sentinel_name_answered_fn(void *ctx, const char *name, const char *ip);

struct sentinel_names *sentinel_names_new(struct core *core, sentinel_name_answered_fn *answered, void *ctx);
void sentinel_names_free(struct sentinel_names *ns);
/* 0 and `ip`; -EAGAIN: answered() follows; -ENOENT: a moment ago it had none. */
int sentinel_names_find(struct sentinel_names *ns, const char *name, char ip[SENTINEL_IP_SIZE]);

#endif
