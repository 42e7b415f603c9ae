/* proxy_protocol.h -- the header of the PROXY protocol, in which a proxy names the two ends of its client's connection.
 *
 * Versions 1 and 2, after "The PROXY protocol, Versions 1 & 2" of 2020/03/05, haproxy.org, doc/proxy-protocol.txt. Marks
 * such as (2.1) are its sections.
 *
 *     v1   "PROXY TCP4 192.0.2.1 198.51.100.7 56324 6379\r\n"        a line of at most 107 bytes (2.1)
 *     v2   [ signature 12 | version, command | family, protocol | length 2 | addresses | TLV ... ]     (2.2)
 *
 * A pure function of bytes. It decides as early as it can: the first byte that no header has ends it.
 *
 * What a header says is used, or the addresses of the socket hold:
 *     v1   TCP4, TCP6                              used
 *          UNKNOWN                                 the socket's
 *     v2   PROXY with TCP over IPv4 or IPv6        used
 *          PROXY with another family or protocol   the socket's: as for UNSPEC, which is allowed for what a receiver does
 *                                                  not know
 *          LOCAL                                   the socket's: the proxy speaks for itself (health checks)
 * Of TLVs only CRC32C is looked at: with it, the checksum of the header must be right (2.2.3). */
#ifndef LOCKSTEP_SERVER_NET_PROXY_PROTOCOL_H
#define LOCKSTEP_SERVER_NET_PROXY_PROTOCOL_H

#include <stdint.h>

#include "storage/base/bytes.h"

enum {
    PROXY_V1_MAX = 107,
    PROXY_HEADER_MAX = 4096, /* a longer header is refused: senders keep below 536 bytes (2), apart from long TLVs */
};

enum proxy_family { PROXY_SOCKET = 0 /* the addresses of the socket hold */, PROXY_IPV4, PROXY_IPV6 };

struct proxy_end {
    uint8_t ip[16]; /* in network order; IPv4 has 4 bytes */
    uint16_t port;
};

struct proxy_header {
    enum proxy_family family;
    struct proxy_end source, destination; /* the client, and where it has connected to */
};

enum proxy_result {
    PROXY_INCOMPLETE, /* a header may begin like this */
    PROXY_COMPLETE,
    PROXY_INVALID,
};

/* Parses the bytes that a connection has begun with. PROXY_COMPLETE: *out and *len, the bytes of the header, are set.
 * PROXY_INVALID: *reason is set, a text for the log. More than PROXY_HEADER_MAX bytes are never incomplete. */
enum proxy_result proxy_header_parse(struct bytes_view in, struct proxy_header *out, size_t *len, const char **reason);

#endif
