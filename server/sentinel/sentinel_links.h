/* sentinel_links.h -- the connections of a sentinel to masters, replicas and other sentinels.
 *
 *     node --> pair --> link for commands   <-- one for all nodes that are the same sentinel, watching several masters
 *                   `-> link for hellos     (masters and replicas)
 *
 *     WAITING --timer--> CONNECTING --> HANDSHAKE (AUTH, CLIENT SETNAME, SUBSCRIBE) --> UP
 *        ^------------------'---------------'----- closed, refused, no answer, reconnect() --'
 *
 * Invariants: 1. Attempts of a link are at least SENTINEL_ATTEMPT_MS apart, but for the first one and for new credentials.
 *             2. The library is never called from inside a call of its host: what it has to be told waits in a queue,
 *                which sentinel_links_turn() empties. Replies and hellos come from callbacks of the loop.
 *             3. Each command that was sent gets exactly one sentinel_reply(), unless its node is gone.
 * Limits:     SENTINEL_EXPECTED_MAX commands without an answer on a link; more are refused. Replies: resp_reply.h.
 * Ownership:  a link belongs to this module and lives while a node uses it; a node carries its pair.
 * Not here:   what the commands mean (replication/sentinel/), names of hosts (sentinel_names.h). */
#ifndef LOCKSTEP_SERVER_SENTINEL_SENTINEL_LINKS_H
#define LOCKSTEP_SERVER_SENTINEL_SENTINEL_LINKS_H

#include "replication/sentinel/sentinel.h"

struct core;
struct tls_transport;
struct sentinel_links; /* opaque */

enum {
    SENTINEL_ATTEMPT_MS = 1000,
    SENTINEL_RENEW_MS = 100,      /* from new credentials, or SENTINEL RESET, to the next attempt */
    SENTINEL_HANDSHAKE_MS = 3000, /* for the connection, and again for the answers to the handshake */
    SENTINEL_EXPECTED_MAX = 256,
};

struct sentinel_links *sentinel_links_new(struct core *core, struct tls_transport *tls);
/* Closes what is left. The nodes are gone. */
void sentinel_links_free(struct sentinel_links *ls);
void sentinel_links_serve(struct sentinel_links *ls, struct sentinel *s); /* whose links they are */
/* Tells the sentinel what has happened since the last call. True: something has. */
bool sentinel_links_turn(struct sentinel_links *ls);
bool sentinel_links_waiting(const struct sentinel_links *ls); /* there is something to tell */

/* As struct sentinel_host has them. */
void sentinel_links_connect(struct sentinel_links *ls, struct sentinel_node *node);
void sentinel_links_disconnect(struct sentinel_links *ls, struct sentinel_node *node);
void sentinel_links_reconnect(struct sentinel_links *ls, struct sentinel_node *node, enum sentinel_which which);
bool sentinel_links_send(struct sentinel_links *ls, struct sentinel_node *node, unsigned tag, int argc,
                         const struct bytes_view *argv);
bool sentinel_links_local_ip(struct sentinel_links *ls, struct sentinel_node *node, char out[SENTINEL_IP_SIZE]);

#endif
