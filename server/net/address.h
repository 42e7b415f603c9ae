/* address.h -- socket addresses as values: an IP address in digits with a port, or the path of a Unix socket. */
#ifndef LOCKSTEP_SERVER_NET_ADDRESS_H
#define LOCKSTEP_SERVER_NET_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

struct net_address {
    struct sockaddr_storage storage;
    socklen_t len;
};

static inline const struct sockaddr *net_address_raw(const struct net_address *a)
{
    return (const struct sockaddr *)&a->storage;
}

/* Takes an IPv4 or IPv6 address in digits ("127.0.0.1", "::1", "fe80::1%eth0"). False for a name, which resolver.h
 * resolves; nothing is asked here. */
bool net_address_parse(const char *digits, int port, struct net_address *out);
/* Host and port as one name: "127.0.0.1:6379", "[::1]:6379", "name:6379". What does not fit is cut off. */
void net_address_show(const char *host, int port, char *out, size_t size);
void net_address_set_port(struct net_address *a, int port); /* of an IP address */

#endif
