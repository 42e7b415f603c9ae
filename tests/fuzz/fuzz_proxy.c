/* fuzz_proxy.c -- any bytes as the beginning of a connection with the PROXY protocol.
 * No byte beyond the input is read; a decision does not change when more bytes arrive; nothing waits beyond the limits;
 * a header that was accepted means the same when it is written again, in both versions. Two bytes of input choose where
 * the pieces end. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/net/proxy_protocol.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct parsed {
    enum proxy_result result;
    struct proxy_header header;
    size_t len;
};

static void insist(bool holds)
{
    if (!holds) abort();
}

/* From a block of exactly this size. */
static struct parsed parse(const char *bytes, size_t len)
{
    struct parsed p;
    const char *reason = NULL;
    char *copy = malloc(len > 0 ? len : 1);
    memset(&p, 0, sizeof(p));
    if (len > 0) memcpy(copy, bytes, len);
    p.result = proxy_header_parse((struct bytes_view){.data = copy, .len = len}, &p.header, &p.len, &reason);
    free(copy);
    insist((p.result == PROXY_INVALID) == (reason != NULL));
    insist(p.result != PROXY_COMPLETE || (p.len > 0 && p.len <= len && p.len <= PROXY_HEADER_MAX));
    return p;
}

static bool same_end(enum proxy_family family, const struct proxy_end *a, const struct proxy_end *b)
{
    return a->port == b->port && memcmp(a->ip, b->ip, family == PROXY_IPV4 ? 4 : 16) == 0;
}

static void insist_same(const struct proxy_header *a, const struct proxy_header *b)
{
    insist(a->family == b->family);
    if (a->family == PROXY_SOCKET) return;
    insist(same_end(a->family, &a->source, &b->source));
    insist(same_end(a->family, &a->destination, &b->destination));
}

static void insist_on_line(const struct proxy_header *h)
{
    char line[160], source[INET6_ADDRSTRLEN], destination[INET6_ADDRSTRLEN];
    int family = h->family == PROXY_IPV4 ? AF_INET : AF_INET6;
    insist(inet_ntop(family, h->source.ip, source, sizeof(source)) != NULL);
    insist(inet_ntop(family, h->destination.ip, destination, sizeof(destination)) != NULL);
    int len = snprintf(line, sizeof(line), "PROXY %s %s %s %u %u\r\n", family == AF_INET ? "TCP4" : "TCP6", source,
                       destination, h->source.port, h->destination.port);
    struct parsed p = parse(line, (size_t)len);
    insist(len <= PROXY_V1_MAX && p.result == PROXY_COMPLETE && p.len == (size_t)len);
    insist_same(&p.header, h);
}

static void insist_on_binary(const struct proxy_header *h)
{
    char bytes[64] = "\r\n\r\n\0\r\nQUIT\n\41";
    size_t ip_len = h->family == PROXY_IPV4 ? 4 : 16, ends_len = 2 * ip_len + 4;
    uint16_t ports[2] = {htons(h->source.port), htons(h->destination.port)};
    bytes[13] = h->family == PROXY_IPV4 ? 0x11 : 0x21;
    bytes[15] = (char)ends_len;
    memcpy(bytes + 16, h->source.ip, ip_len);
    memcpy(bytes + 16 + ip_len, h->destination.ip, ip_len);
    memcpy(bytes + 16 + 2 * ip_len, ports, sizeof(ports));
    struct parsed p = parse(bytes, 16 + ends_len);
    insist(p.result == PROXY_COMPLETE && p.len == 16 + ends_len);
    insist_same(&p.header, h);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) return 0;
    size_t step = 1 + data[0] % 64, first = data[1];
    const char *bytes = (const char *)data + 2;
    size -= 2;
    struct parsed whole = parse(bytes, size);
    insist(whole.result != PROXY_INCOMPLETE || size < PROXY_HEADER_MAX);
    insist(whole.result != PROXY_INCOMPLETE || size < PROXY_V1_MAX || bytes[0] != 'P');
    bool is_decided = false;
    for (size_t len = first; len <= size; len += step) {
        struct parsed part = parse(bytes, len);
        insist(!is_decided || part.result == whole.result);
        is_decided = part.result != PROXY_INCOMPLETE;
        insist(!is_decided || part.result == whole.result);
        if (part.result != PROXY_COMPLETE) continue;
        insist(part.len == whole.len);
        insist_same(&part.header, &whole.header);
    }
    if (whole.result != PROXY_COMPLETE) return 0;
    insist(parse(bytes, whole.len).result == PROXY_COMPLETE);
    insist(parse(bytes, whole.len - 1).result == PROXY_INCOMPLETE);
    if (whole.header.family == PROXY_SOCKET) return 0;
    insist_on_line(&whole.header);
    insist_on_binary(&whole.header);
    return 0;
}
