#include "server/net/ip_range.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "storage/base/num.h"

enum { MAPPED_BITS = 96 };

static const uint8_t mapped_prefix[12] = {[10] = 0xff, [11] = 0xff};

static bool is_mapped(const uint8_t ip[16])
{
    return memcmp(ip, mapped_prefix, sizeof(mapped_prefix)) == 0;
}

/* Returns how many bits the text's family has, or 0: it is no address. */
static int address_parse(const char *text, uint8_t ip[16])
{
    if (inet_pton(AF_INET6, text, ip) == 1) return 128;
    if (inet_pton(AF_INET, text, ip + sizeof(mapped_prefix)) != 1) return 0;
    memcpy(ip, mapped_prefix, sizeof(mapped_prefix));
    return 32;
}

static bool has_prefix(const uint8_t ip[16], const uint8_t prefix[16], unsigned bits)
{
    unsigned whole = bits / 8, rest = bits % 8;
    if (memcmp(ip, prefix, whole) != 0) return false;
    return rest == 0 || ((ip[whole] ^ prefix[whole]) >> (8 - rest)) == 0;
}

static void clear_behind(uint8_t ip[16], unsigned bits)
{
    for (unsigned i = 0; i < 16; i++) {
        unsigned kept = bits > 8 * i ? bits - 8 * i : 0;
        if (kept < 8) ip[i] &= (uint8_t)(0xff00u >> kept);
    }
}

int ip_range_parse(const char *text, struct ip_range *out)
{
    char address[INET6_ADDRSTRLEN];
    struct ip_range r = {{0}};
    int64_t length;
    const char *slash = strchr(text, '/');
    size_t len = slash != NULL ? (size_t)(slash - text) : strlen(text);
    if (len >= sizeof(address)) return -EINVAL;
    memcpy(address, text, len);
    address[len] = '\0';
    int family_bits = address_parse(address, r.first);
    length = family_bits;
    if (family_bits == 0) return -EINVAL;
    if (slash != NULL && (!num_parse_i64(bytes_str(slash + 1), &length) || length < 0 || length > family_bits))
        return -EINVAL;
    r.bits = (uint8_t)(family_bits == 32 ? length + MAPPED_BITS : length);
    clear_behind(r.first, r.bits);
    *out = r;
    return 0;
}

void ip_range_print(const struct ip_range *r, char text[IP_RANGE_TEXT_MAX])
{
    bool is_v4 = r->bits >= MAPPED_BITS && is_mapped(r->first);
    char address[INET6_ADDRSTRLEN] = "";
    (void)inet_ntop(is_v4 ? AF_INET : AF_INET6, is_v4 ? r->first + sizeof(mapped_prefix) : r->first, address,
                    sizeof(address)); /* it fits */
    if (r->bits == 128)
        (void)snprintf(text, IP_RANGE_TEXT_MAX, "%s", address);
    else
        (void)snprintf(text, IP_RANGE_TEXT_MAX, "%s/%d", address, is_v4 ? r->bits - MAPPED_BITS : r->bits);
}

bool ip_range_any_has(const struct ip_range *ranges, size_t count, const char *address)
{
    uint8_t ip[16];
    if (address_parse(address, ip) == 0) return false;
    for (size_t i = 0; i < count; i++)
        if (has_prefix(ip, ranges[i].first, ranges[i].bits)) return true;
    return false;
}
