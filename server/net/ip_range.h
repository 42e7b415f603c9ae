/* ip_range.h -- ranges of IP addresses, such as "10.0.0.0/8", "::1" and "127.0.0.1".
 *
 * An IPv4 address is kept as the IPv6 address that stands for it (behind ::ffff:0:0/96). So "::ffff:10.0.0.1" and "10.0.0.1" are
 * the same address. Bits behind the length of a range have no meaning and are stored as 0. */
#ifndef LOCKSTEP_SERVER_NET_IP_RANGE_H
#define LOCKSTEP_SERVER_NET_IP_RANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "storage/base/bytes.h"

enum { IP_RANGE_TEXT_MAX = 64 };

struct ip_range {
    uint8_t first[16]; /* the lowest address */
    uint8_t bits;      /* how many bits of it all addresses have: 0 to 128 */
};

/* An address, or an address with "/" and a length: up to 32 for IPv4, 128 for IPv6. 0, or -EINVAL. */
NODISCARD int ip_range_parse(const char *text, struct ip_range *out);
void ip_range_print(const struct ip_range *r, char text[IP_RANGE_TEXT_MAX]); /* without the length of one address */
/* Whether the address, as text, is in one of the ranges. False for a text that is no address. */
bool ip_range_any_has(const struct ip_range *ranges, size_t count, const char *address);

#endif
