#include "server/net/address.h"

#include <netdb.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

bool net_address_parse(const char *digits, int port, struct net_address *out)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST};
    struct addrinfo *found;
    if (getaddrinfo(digits, NULL, &hints, &found) != 0) return false;
    *out = (struct net_address){.len = found->ai_addrlen};
    memcpy(&out->storage, found->ai_addr, found->ai_addrlen);
    freeaddrinfo(found);
    net_address_set_port(out, port);
    return true;
}

void net_address_set_port(struct net_address *a, int port)
{
    if (a->storage.ss_family == AF_INET6)
        ((struct sockaddr_in6 *)&a->storage)->sin6_port = htons((in_port_t)port);
    else
        ((struct sockaddr_in *)&a->storage)->sin_port = htons((in_port_t)port);
}

void net_address_show(const char *host, int port, char *out, size_t size)
{
    snprintf(out, size, strchr(host, ':') != NULL ? "[%s]:%d" : "%s:%d", host, port);
}
