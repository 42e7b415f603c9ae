#include "server/net/proxy_protocol.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

enum {
    SIGNATURE = 12, /* bytes of it */
    V2_HEAD = 16,   /* bytes before the addresses */
    TLV_HEAD = 3,
    TLV_CRC32C = 3,
    CRC_BYTES = 4,
};

static const char v1_begin[] = "PROXY ";
static const char v2_begin[] = "\r\n\r\n\0\r\nQUIT\n";
_Static_assert(sizeof(v2_begin) == SIGNATURE + 1, "with the final 0");

static enum proxy_result invalid(const char **reason, const char *why)
{
    *reason = why;
    return PROXY_INVALID;
}

/* ---- Version 1 ---- */

/* Takes the next word, which must end with the given byte, or at the end for '\0'. It is copied to `word`. */
static bool take_word(struct bytes_view *line, char end, char *word, size_t cap)
{
    const char *stop = end == '\0' ? line->data + line->len : memchr(line->data, end, line->len);
    if (stop == NULL) return false;
    size_t len = (size_t)(stop - line->data);
    if (len == 0 || len >= cap || memchr(line->data, '\0', len) != NULL) return false;
    memcpy(word, line->data, len);
    word[len] = '\0';
    size_t taken = end == '\0' ? len : len + 1;
    line->data += taken;
    line->len -= taken;
    return true;
}

/* Digits without leading zeros, at most 65535. */
static bool parse_port(const char *word, uint16_t *out)
{
    unsigned value = 0;
    if (word[0] == '0' && word[1] != '\0') return false;
    for (const char *p = word; *p != '\0'; p++) {
        if (*p < '0' || *p > '9') return false;
        value = 10 * value + (unsigned)(*p - '0');
        if (value > UINT16_MAX) return false;
    }
    *out = (uint16_t)value;
    return true;
}

/* What follows the family: "SOURCE DESTINATION PORT PORT". inet_pton() refuses IPv4 numbers with leading zeros. */
static bool parse_ends(struct bytes_view line, int family, struct proxy_header *out)
{
    char source[INET6_ADDRSTRLEN], destination[INET6_ADDRSTRLEN], from[6], to[6];
    return take_word(&line, ' ', source, sizeof(source)) && take_word(&line, ' ', destination, sizeof(destination)) &&
           take_word(&line, ' ', from, sizeof(from)) && take_word(&line, '\0', to, sizeof(to)) &&
           inet_pton(family, source, out->source.ip) == 1 && inet_pton(family, destination, out->destination.ip) == 1 &&
           parse_port(from, &out->source.port) && parse_port(to, &out->destination.port);
}

static bool take_prefix(struct bytes_view *line, const char *prefix)
{
    size_t len = strlen(prefix);
    if (line->len < len || memcmp(line->data, prefix, len) != 0) return false;
    line->data += len;
    line->len -= len;
    return true;
}

static enum proxy_result parse_v1_line(struct bytes_view line, struct proxy_header *out, const char **reason)
{
    static const char bad_ends[] = "bad addresses or ports in the line of version 1";
    (void)take_prefix(&line, v1_begin); /* it was compared already */
    if (take_prefix(&line, "UNKNOWN") && (line.len == 0 || line.data[0] == ' ')) {
        out->family = PROXY_SOCKET;
    } else if (take_prefix(&line, "TCP4 ")) {
        out->family = PROXY_IPV4;
        if (!parse_ends(line, AF_INET, out)) return invalid(reason, bad_ends);
    } else if (take_prefix(&line, "TCP6 ")) {
        out->family = PROXY_IPV6;
        if (!parse_ends(line, AF_INET6, out)) return invalid(reason, bad_ends);
    } else {
        return invalid(reason, "an unknown protocol in the line of version 1");
    }
    return PROXY_COMPLETE;
}

static enum proxy_result parse_v1(struct bytes_view in, struct proxy_header *out, size_t *len, const char **reason)
{
    size_t looked = in.len < PROXY_V1_MAX ? in.len : PROXY_V1_MAX;
    const char *end = memmem(in.data, looked, "\r\n", 2);
    if (end == NULL)
        return looked < PROXY_V1_MAX ? PROXY_INCOMPLETE : invalid(reason, "the line of version 1 is too long");
    *len = (size_t)(end - in.data) + 2;
    return parse_v1_line((struct bytes_view){.data = in.data, .len = *len - 2}, out, reason);
}

/* ---- Version 2 ---- */

static unsigned u16_at(const char *p)
{
    return (unsigned)(unsigned char)p[0] << 8 | (unsigned char)p[1];
}

static uint32_t u32_at(const char *p)
{
    return (uint32_t)u16_at(p) << 16 | u16_at(p + 2);
}

/* CRC32c (RFC 4960, appendix B). Headers are short and come once for each connection, so there is no table. */
static uint32_t crc32c_add(uint32_t crc, const char *data, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        crc ^= (unsigned char)data[i];
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ ((crc & 1) != 0 ? 0x82f63b78u : 0);
    }
    return crc;
}

/* The checksum counts as zeros when it is computed. */
static bool checksum_is_right(struct bytes_view header, size_t checksum_at)
{
    static const char zeros[CRC_BYTES];
    size_t behind = checksum_at + CRC_BYTES;
    uint32_t crc = crc32c_add(UINT32_MAX, header.data, checksum_at);
    crc = crc32c_add(crc, zeros, sizeof(zeros));
    crc = crc32c_add(crc, header.data + behind, header.len - behind);
    return ~crc == u32_at(header.data + checksum_at);
}

/* Walks over the TLVs from `at` to the end of the header, and finds the checksum; *crc_at is 0 without one. Returns what
 * is wrong, or NULL. */
static const char *find_checksum(struct bytes_view header, size_t at, size_t *crc_at)
{
    *crc_at = 0;
    while (at < header.len) {
        if (header.len - at < TLV_HEAD) return "a TLV without a length";
        size_t value_len = u16_at(header.data + at + 1), value_at = at + TLV_HEAD;
        if (value_len > header.len - value_at) return "a TLV that is longer than the header";
        if (header.data[at] == TLV_CRC32C) {
            if (value_len != CRC_BYTES || *crc_at != 0) return "a checksum of a wrong length, or a second one";
            *crc_at = value_at;
        }
        at = value_at + value_len;
    }
    return NULL;
}

enum { V2_UNSPEC = 0, V2_INET = 1, V2_INET6 = 2, V2_UNIX = 3, V2_FAMILIES = 4, V2_STREAM = 1, V2_PROTOCOLS = 3 };

/* Length of the addresses and ports of a family. */
static size_t v2_ends_len(unsigned family)
{
    static const uint8_t lens[V2_FAMILIES] = {[V2_INET] = 12, [V2_INET6] = 36, [V2_UNIX] = 216};
    return lens[family];
}

static void take_ends(const char *ends, size_t ip_len, struct proxy_header *out)
{
    memcpy(out->source.ip, ends, ip_len);
    memcpy(out->destination.ip, ends + ip_len, ip_len);
    out->source.port = (uint16_t)u16_at(ends + 2 * ip_len);
    out->destination.port = (uint16_t)u16_at(ends + 2 * ip_len + 2);
}

/* `is_known`: bytes behind the addresses must be TLVs. Else their place is a guess, and something else may be there. */
static enum proxy_result check_tlvs(struct bytes_view header, size_t at, bool is_known, const char **reason)
{
    size_t crc_at;
    const char *fault = find_checksum(header, at, &crc_at);
    if (fault != NULL) return is_known ? invalid(reason, fault) : PROXY_COMPLETE;
    return crc_at == 0 || checksum_is_right(header, crc_at) ? PROXY_COMPLETE : invalid(reason, "wrong checksum");
}

/* The command PROXY. */
static enum proxy_result parse_proxied(struct bytes_view header, struct proxy_header *out, const char **reason)
{
    unsigned family = (unsigned char)header.data[13] >> 4, protocol = (unsigned char)header.data[13] & 15;
    if (family >= V2_FAMILIES || protocol >= V2_PROTOCOLS) return invalid(reason, "an unknown family or protocol");
    size_t ends_len = v2_ends_len(family);
    if (header.len < V2_HEAD + ends_len) return invalid(reason, "the header is too short for its addresses");
    if (protocol == V2_STREAM && family == V2_INET) {
        out->family = PROXY_IPV4;
        take_ends(header.data + V2_HEAD, 4, out);
    } else if (protocol == V2_STREAM && family == V2_INET6) {
        out->family = PROXY_IPV6;
        take_ends(header.data + V2_HEAD, 16, out);
    }
    return check_tlvs(header, V2_HEAD + ends_len, family != V2_UNSPEC && protocol != V2_UNSPEC, reason);
}

/* The command LOCAL. What follows has no meaning, family included. */
static enum proxy_result parse_local(struct bytes_view header, const char **reason)
{
    unsigned family = (unsigned char)header.data[13] >> 4;
    size_t ends_len = family < V2_FAMILIES ? v2_ends_len(family) : 0;
    return check_tlvs(header, V2_HEAD + ends_len, false, reason);
}

static enum proxy_result parse_v2(struct bytes_view in, struct proxy_header *out, size_t *len, const char **reason)
{
    enum { LOCAL = 0, PROXY = 1 };
    if (in.len > SIGNATURE && (unsigned char)in.data[SIGNATURE] >> 4 != 2) return invalid(reason, "an unknown version");
    unsigned command = in.len > SIGNATURE ? (unsigned char)in.data[SIGNATURE] & 15 : LOCAL;
    if (command > PROXY) return invalid(reason, "an unknown command");
    if (in.len < V2_HEAD) return PROXY_INCOMPLETE;
    size_t total = V2_HEAD + u16_at(in.data + 14);
    if (total > PROXY_HEADER_MAX) return invalid(reason, "the header is too long");
    if (in.len < total) return PROXY_INCOMPLETE;
    struct bytes_view header = {.data = in.data, .len = total};
    *len = total;
    return command == PROXY ? parse_proxied(header, out, reason) : parse_local(header, reason);
}

/* ---- Both ---- */

static bool begins_with(struct bytes_view in, const char *begin, size_t len)
{
    return memcmp(in.data, begin, in.len < len ? in.len : len) == 0;
}

enum proxy_result proxy_header_parse(struct bytes_view in, struct proxy_header *out, size_t *len, const char **reason)
{
    struct proxy_header parsed = {PROXY_SOCKET};
    size_t parsed_len = 0;
    enum proxy_result result;
    if (in.len == 0) return PROXY_INCOMPLETE;
    if (begins_with(in, v1_begin, sizeof(v1_begin) - 1))
        result = parse_v1(in, &parsed, &parsed_len, reason);
    else if (begins_with(in, v2_begin, SIGNATURE))
        result = parse_v2(in, &parsed, &parsed_len, reason);
    else
        return invalid(reason, "no header of the PROXY protocol");
    if (result != PROXY_COMPLETE) return result;
    *out = parsed;
    *len = parsed_len;
    return result;
}
