/* proxy_ports.h -- the ports on which a proxy tells, by the PROXY protocol, for which client it connects.
 *
 *     accept() --> source in proxy-protocol-trusted? --+--> header (server/net/conn_proxy.h) --> as on `port` or `tls-port`
 *                                                      `--> no: closed, and logged
 *
 * Two kinds of listeners (listening.h): proxy-protocol-port, and proxy-protocol-tls-port for clients whose TLS the proxy
 * passes through, or that begins at the proxy: the header comes first, unencrypted, then the handshake.
 * Everything that is decided or shown about the client comes after the header and uses the client's address: protected
 * mode, maxclients, ACL LOG, MONITOR, CLIENT LIST and KILL, the slow log, the log.
 *
 * Each connection must begin with a header, and only trusted sources may connect: a source that could send a header or
 * leave it out as it likes could choose its own address (specification, section 5).
 * Limits:   those of conn_proxy.h. Connections that wait for their header have descriptors beside those of maxclients
 *           (server_other_descriptors()). Each kind of trouble is logged once a second at most.
 * Not here: the bytes of a header (server/net/proxy_protocol.h). */
#ifndef LOCKSTEP_SERVER_CLIENTS_PROXY_PORTS_H
#define LOCKSTEP_SERVER_CLIENTS_PROXY_PORTS_H

#include "server/net/conn_proxy.h"

struct clients;
struct listening;
struct proxy_ports; /* opaque */

/* Adds its kinds to `l`, which is freed first. */
struct proxy_ports *proxy_ports_new(struct clients *cs, struct listening *l);
void proxy_ports_free(struct proxy_ports *pp); /* closes the connections that wait for a header. NULL is allowed */
bool proxy_ports_are_on(const struct proxy_ports *pp);

struct proxy_ports_info {
    struct proxy_stats headers;
    uint64_t untrusted; /* connections closed because of their source */
};
void proxy_ports_describe(const struct proxy_ports *pp, struct proxy_ports_info *out);

#endif
