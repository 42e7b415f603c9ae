/* Headers of the PROXY protocol: every form of the specification, what it forbids, and headers that arrive in pieces. */
#include "server/net/proxy_protocol.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "storage/base/bytes.h"
#include "storage/base/memory.h"
#include "storage/base/sys.h"

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
/* A header of version 2: command, family and protocol, and what follows the length. */
#define V2(command, family, rest) LIT(SIGNATURE command family), LIT(rest)
#define LIT(s)                                                                                                         \
    {                                                                                                                  \
        .data = (s), .len = sizeof(s) - 1                                                                              \
    }

#define ENDS4 "\300\0\2\1\306\63\144\7\334\4\30\353" /* 192.0.2.1:56324 to 198.51.100.7:6379 */
#define ENDS6                                                                                                          \
    "\40\1\15\270\0\0\0\0\0\0\0\0\0\0\0\1\40\1\15\270\0\0\0\0\0\0\0\0\0\0\0\2"                                         \
    "\377\377\0\0" /* [2001:db8::1]:65535 to [2001:db8::2]:0 */

/* Parses from a block of exactly this size, so that the sanitizers see each read beyond it. */
static enum proxy_result parse(struct bytes_view in, struct proxy_header *out, size_t *len, const char **reason)
{
    char *copy = malloc(in.len > 0 ? in.len : 1);
    if (in.len > 0) memcpy(copy, in.data, in.len);
    enum proxy_result result = proxy_header_parse((struct bytes_view){.data = copy, .len = in.len}, out, len, reason);
    free(copy);
    return result;
}

/* A complete header: as a whole, with bytes behind it, and in every beginning of it. */
static struct proxy_header parse_whole(struct bytes_view header)
{
    struct proxy_header out, more_out;
    struct bytes_buf more = {0};
    size_t len = 0;
    const char *reason = "?";
    for (size_t i = 0; i < header.len; i++) {
        struct bytes_view part = {.data = header.data, .len = i};
        enum proxy_result result = parse(part, &out, &len, &reason);
        if (result != PROXY_INCOMPLETE) fail_msg("%zu of %zu bytes: %d %s", i, header.len, result, reason);
    }
    if (parse(header, &out, &len, &reason) != PROXY_COMPLETE)
        fail_msg("%.*s: %s", (int)header.len, header.data, reason);
    assert_int_equal(len, header.len);
    bytes_buf_append_view(&more, header);
    bytes_buf_append_view(&more, BYTES_LIT("PING\r\nPROXY UNKNOWN\r\n"));
    assert_int_equal(parse(bytes_buf_view(&more), &more_out, &len, &reason), PROXY_COMPLETE);
    assert_int_equal(len, header.len);
    assert_memory_equal(&more_out, &out, sizeof(out));
    bytes_buf_release(&more);
    return out;
}

static void assert_end(enum proxy_family family, const struct proxy_end *end, const char *ip, int port)
{
    char text[INET6_ADDRSTRLEN];
    assert_non_null(inet_ntop(family == PROXY_IPV4 ? AF_INET : AF_INET6, end->ip, text, sizeof(text)));
    assert_string_equal(text, ip);
    assert_int_equal(end->port, port);
}

static void assert_ends(const struct proxy_header *h, enum proxy_family family, const char *source, int from,
                        const char *destination, int to)
{
    assert_int_equal(h->family, family);
    assert_end(family, &h->source, source, from);
    assert_end(family, &h->destination, destination, to);
}

static struct bytes_view v2(struct bytes_buf *buf, struct bytes_view head, struct bytes_view rest)
{
    buf->len = 0;
    bytes_buf_append_view(buf, head);
    bytes_buf_append(buf, (char[]){(char)(rest.len >> 8), (char)rest.len}, 2);
    bytes_buf_append_view(buf, rest);
    return bytes_buf_view(buf);
}

/* ---- Version 1 ---- */

static void test_lines(void **state)
{
    struct proxy_header h;
    (void)state;
    h = parse_whole(BYTES_LIT("PROXY TCP4 192.0.2.1 198.51.100.7 56324 6379\r\n"));
    assert_ends(&h, PROXY_IPV4, "192.0.2.1", 56324, "198.51.100.7", 6379);
    h = parse_whole(BYTES_LIT("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n"));
    assert_ends(&h, PROXY_IPV4, "255.255.255.255", 65535, "255.255.255.255", 65535);
    h = parse_whole(BYTES_LIT("PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n"));
    assert_ends(&h, PROXY_IPV4, "0.0.0.0", 0, "0.0.0.0", 0);
    h = parse_whole(BYTES_LIT("PROXY TCP6 2001:db8::1 ::1 1 10\r\n"));
    assert_ends(&h, PROXY_IPV6, "2001:db8::1", 1, "::1", 10);
    h = parse_whole(BYTES_LIT("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
                              "FFFF:FFFF:FFFF:FFFF:FFFF:FFFF:FFFF:FFFF 65535 65535\r\n"));
    assert_int_equal(h.family, PROXY_IPV6);
    h = parse_whole(BYTES_LIT("PROXY TCP6 ::ffff:192.0.2.1 ::ffff:192.0.2.2 1 2\r\n")); /* inet_ntop() writes it so */
    assert_ends(&h, PROXY_IPV6, "::ffff:192.0.2.1", 1, "::ffff:192.0.2.2", 2);
}

static void test_unknown_lines(void **state)
{
    static const struct bytes_view lines[] = {
        LIT("PROXY UNKNOWN\r\n"),
        LIT("PROXY UNKNOWN \r\n"),
        LIT("PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"),
        LIT("PROXY UNKNOWN anything, \0 \r too \n\r\n"),
    };
    (void)state;
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        assert_int_equal(parse_whole(lines[i]).family, PROXY_SOCKET);
    assert_int_equal(lines[2].len, PROXY_V1_MAX);
}

static void test_bad_lines(void **state)
{
    static const struct bytes_view lines[] = {
        LIT("GET / HTTP/1.1\r\n"),
        LIT("*1\r\n$4\r\nPING\r\n"),
        LIT("proxy TCP4 1.2.3.4 1.2.3.4 1 2\r\n"),
        LIT("PROXY\tTCP4 1.2.3.4 1.2.3.4 1 2\r\n"),
        LIT("PROXY  TCP4 1.2.3.4 1.2.3.4 1 2\r\n"),
        LIT("PROXY TCP4  1.2.3.4 1.2.3.4 1 2\r\n"),
        LIT("PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n"),
        LIT("PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n\r\n"),
        LIT("PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\r\n"),
        LIT("PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n"),
        LIT("PROXY TCP4 1.2.3.4 1.2.3.4 1 \r\n"),
        LIT("PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n"),
        LIT("PROXY TCP4 1.2.3.4 1.2.3.4 65536 1\r\n"),
        LIT("PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n"),
        LIT("PROXY TCP4 1.2.3.4 1.2.3.4 -1 2\r\n"),
        LIT("PROXY TCP4 1.2.3.4 1.2.3.4 +1 2\r\n"),
        LIT("PROXY TCP4 1.2.3.4 1.2.3.4 0x1 2\r\n"),
        LIT("PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n"),
        LIT("PROXY TCP4 01.2.3.4 1.2.3.4 1 2\r\n"),
        LIT("PROXY TCP4 1.2.3.256 1.2.3.4 1 2\r\n"),
        LIT("PROXY TCP4 1.2.3 1.2.3.4 1 2\r\n"),
        LIT("PROXY TCP4 1.2.3.4 ::1 1 2\r\n"),
        LIT("PROXY TCP4 1.2.3.4\0 1.2.3.4 1 2\r\n"),
        LIT("PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n"),
        LIT("PROXY TCP6 ::1%lo ::1 1 2\r\n"),
        LIT("PROXY TCP6 1::2::3 ::1 1 2\r\n"),
        LIT("PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n"),
        LIT("PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n"),
        LIT("PROXY UNKNOWNS\r\n"),
        LIT("PROXY \r\n"),
        LIT("PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 655350\r\n"),
    };
    struct proxy_header out = {PROXY_IPV6}, before = out;
    size_t len = 77;
    (void)state;
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        const char *reason = NULL;
        if (parse(lines[i], &out, &len, &reason) != PROXY_INVALID) fail_msg("accepted: %s", lines[i].data);
        assert_non_null(reason);
    }
    assert_memory_equal(&out, &before, sizeof(out));
    assert_int_equal(len, 77);
}

/* The first byte that no header has ends the waiting. */
static void test_refused_at_once(void **state)
{
    struct proxy_header out;
    size_t len;
    const char *reason;
    (void)state;
    assert_int_equal(parse(BYTES_LIT("*"), &out, &len, &reason), PROXY_INVALID);
    assert_int_equal(parse(BYTES_LIT("PROXX"), &out, &len, &reason), PROXY_INVALID);
    assert_int_equal(parse(BYTES_LIT("\r\n\r\n\0\r\nQUIX"), &out, &len, &reason), PROXY_INVALID);
    assert_int_equal(parse(BYTES_LIT("\26\3\1"), &out, &len, &reason), PROXY_INVALID); /* a TLS handshake */
    assert_int_equal(parse(BYTES_LIT(SIGNATURE "\21"), &out, &len, &reason), PROXY_INVALID);
    assert_string_equal(reason, "an unknown version");
    assert_int_equal(parse(BYTES_LIT(SIGNATURE "\42"), &out, &len, &reason), PROXY_INVALID);
    assert_string_equal(reason, "an unknown command");
    assert_int_equal(parse((struct bytes_view){0}, &out, &len, &reason), PROXY_INCOMPLETE);
}

/* ---- Version 2 ---- */

static void test_addresses(void **state)
{
    struct bytes_buf buf = {0};
    struct proxy_header h;
    (void)state;
    h = parse_whole(v2(&buf, BYTES_LIT(SIGNATURE "\41\21"), BYTES_LIT(ENDS4)));
    assert_ends(&h, PROXY_IPV4, "192.0.2.1", 56324, "198.51.100.7", 6379);
    h = parse_whole(v2(&buf, BYTES_LIT(SIGNATURE "\41\41"), BYTES_LIT(ENDS6)));
    assert_ends(&h, PROXY_IPV6, "2001:db8::1", 65535, "2001:db8::2", 0);
    bytes_buf_release(&buf);
}

static void test_the_addresses_of_the_socket(void **state)
{
    static char unix_ends[216];
    static const struct {
        struct bytes_view head, rest;
    } cases[] = {
        {V2("\40", "\0", "")},         /* LOCAL */
        {V2("\40", "\21", ENDS4)},     /* ... with addresses, which count for nothing */
        {V2("\40", "\377", "\1\2")},   /* ... and with a family and bytes that mean nothing */
        {V2("\40", "\0", "\4\0\1\0")}, /* ... with a TLV */
        {V2("\41", "\0", "")},         /* UNSPEC */
        {V2("\41", "\0", "\1\2")},     /* ... with what might be addresses */
        {V2("\41", "\20", ENDS4)},     /* IPv4, protocol UNSPEC */
        {V2("\41", "\22", ENDS4)},     /* UDP */
        {V2("\41", "\42", ENDS6)},
        {LIT(SIGNATURE "\41\61"), {.data = unix_ends, .len = sizeof(unix_ends)}},
        {LIT(SIGNATURE "\41\62"), {.data = unix_ends, .len = sizeof(unix_ends)}},
    };
    struct bytes_buf buf = {0};
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(parse_whole(v2(&buf, cases[i].head, cases[i].rest)).family, PROXY_SOCKET);
    bytes_buf_release(&buf);
}

static void test_tlvs_are_skipped(void **state)
{
    struct bytes_buf buf = {0};
    struct proxy_header h;
    (void)state;
    h = parse_whole(
        v2(&buf, BYTES_LIT(SIGNATURE "\41\21"), BYTES_LIT(ENDS4 "\1\0\2h2\2\0\0\4\0\3abc\40\0\5\1\0\0\0\0\360\0\1x")));
    assert_ends(&h, PROXY_IPV4, "192.0.2.1", 56324, "198.51.100.7", 6379);
    bytes_buf_release(&buf);
}

#define CRC4 "\163\152\144\77"  /* of the header below, computed apart */
#define CRC0 "\346\315\245\330" /* of LOCAL with NOOP "hello" */

static void test_checksums(void **state)
{
    struct bytes_buf buf = {0};
    struct proxy_header h;
    size_t len;
    const char *reason;
    (void)state;
    struct bytes_view header = v2(&buf, BYTES_LIT(SIGNATURE "\41\21"), BYTES_LIT(ENDS4 "\3\0\4" CRC4));
    h = parse_whole(header);
    assert_ends(&h, PROXY_IPV4, "192.0.2.1", 56324, "198.51.100.7", 6379);
    for (size_t bit = 8 * 16; bit < 8 * header.len; bit++) { /* each bit of the addresses and of the checksum counts */
        if (bit / 8 >= 28 && bit / 8 < 31) continue;
        buf.data[bit / 8] ^= (char)(1 << bit % 8);
        assert_int_equal(parse(header, &h, &len, &reason), PROXY_INVALID);
        assert_string_equal(reason, "wrong checksum");
        buf.data[bit / 8] ^= (char)(1 << bit % 8);
    }
    assert_int_equal(parse(header, &h, &len, &reason), PROXY_COMPLETE);
    assert_int_equal(parse_whole(v2(&buf, BYTES_LIT(SIGNATURE "\40\0"), BYTES_LIT("\4\0\5hello\3\0\4" CRC0))).family,
                     PROXY_SOCKET);
    header = v2(&buf, BYTES_LIT(SIGNATURE "\40\0"), BYTES_LIT("\4\0\5hellO\3\0\4" CRC0));
    assert_int_equal(parse(header, &h, &len, &reason), PROXY_INVALID);
    assert_string_equal(reason, "wrong checksum");
    bytes_buf_release(&buf);
}

static void test_bad_headers(void **state)
{
    static const struct {
        struct bytes_view head, rest;
        const char *reason;
    } cases[] = {
        {V2("\41", "\101", ENDS4), "an unknown family or protocol"},
        {V2("\41", "\23", ENDS4), "an unknown family or protocol"},
        {V2("\41", "\21", ""), "the header is too short for its addresses"},
        {V2("\41", "\41", ENDS4), "the header is too short for its addresses"},
        {V2("\41", "\61", ENDS6), "the header is too short for its addresses"},
        {V2("\41", "\21", ENDS4 "\1"), "a TLV without a length"},
        {V2("\41", "\21", ENDS4 "\1\0"), "a TLV without a length"},
        {V2("\41", "\21", ENDS4 "\1\0\1"), "a TLV that is longer than the header"},
        {V2("\41", "\21", ENDS4 "\1\377\377"), "a TLV that is longer than the header"},
        {V2("\41", "\21", ENDS4 "\3\0\0"), "a checksum of a wrong length, or a second one"},
        {V2("\41", "\21", ENDS4 "\3\0\5\0\0\0\0\0"), "a checksum of a wrong length, or a second one"},
        {V2("\41", "\21", ENDS4 "\3\0\4\0\0\0\0\3\0\4\0\0\0\0"), "a checksum of a wrong length, or a second one"},
        {V2("\41", "\21", ENDS4 "\3\0\4\0\0\0\0"), "wrong checksum"},
    };
    struct bytes_buf buf = {0};
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct proxy_header out;
        size_t len;
        const char *reason = NULL;
        struct bytes_view header = v2(&buf, cases[i].head, cases[i].rest);
        assert_int_equal(parse(header, &out, &len, &reason), PROXY_INVALID);
        assert_string_equal(reason, cases[i].reason);
    }
    bytes_buf_release(&buf);
}

/* The length is refused as soon as it is there. */
static void test_longest_header(void **state)
{
    enum { REST = PROXY_HEADER_MAX - 16 };
    struct bytes_buf buf = {0};
    struct proxy_header out;
    size_t len;
    const char *reason;
    char *rest = mem_calloc(REST);
    (void)state;
    memcpy(rest, ENDS4, 12);
    rest[12] = 4; /* NOOP */
    rest[13] = (REST - 15) >> 8;
    rest[14] = (char)((REST - 15) & 255);
    struct bytes_view header = v2(&buf, BYTES_LIT(SIGNATURE "\41\21"), (struct bytes_view){.data = rest, .len = REST});
    assert_int_equal(header.len, PROXY_HEADER_MAX);
    assert_int_equal(parse(header, &out, &len, &reason), PROXY_COMPLETE);
    header.len--;
    assert_int_equal(parse(header, &out, &len, &reason), PROXY_INCOMPLETE);
    mem_free(rest);
    bytes_buf_release(&buf);
    assert_int_equal(parse(BYTES_LIT(SIGNATURE "\41\21\17\361"), &out, &len, &reason), PROXY_INVALID);
    assert_string_equal(reason, "the header is too long");
    assert_int_equal(parse(BYTES_LIT(SIGNATURE "\41\21\17\360"), &out, &len, &reason), PROXY_INCOMPLETE);
}

/* Whatever arrives: no wait beyond the limit, and a decision does not change when more bytes come. */
static void test_any_bytes(void **state)
{
    static const char alphabet[] = "PROXY UNKNOWN TCP46 0123456789.:abf\r\n\0\41\40\21\3\4";
    struct rng rng;
    (void)state;
    rng_seed(&rng, 42);
    for (int round = 0; round < 20000; round++) {
        char bytes[160];
        size_t begin = rng_below(&rng, 2) ? 6 : 12, decided = 0;
        memcpy(bytes, begin == 6 ? "PROXY " : SIGNATURE, begin);
        for (size_t i = begin; i < sizeof(bytes); i++) bytes[i] = alphabet[rng_below(&rng, sizeof(alphabet) - 1)];
        enum proxy_result first = PROXY_INCOMPLETE;
        for (size_t n = 1; n <= sizeof(bytes); n += 1 + rng_below(&rng, 7)) {
            struct proxy_header out;
            size_t len = 0;
            const char *reason = NULL;
            enum proxy_result now = parse((struct bytes_view){.data = bytes, .len = n}, &out, &len, &reason);
            if (first != PROXY_INCOMPLETE) assert_int_equal(now, first);
            if (now == PROXY_COMPLETE) {
                assert_true(len <= n && len > 0);
                if (decided != 0) assert_int_equal(len, decided);
                decided = len;
            }
            assert_true((now == PROXY_INVALID) == (reason != NULL));
            if (now != PROXY_INCOMPLETE) first = now;
            if (begin == 6 && n >= PROXY_V1_MAX) assert_int_not_equal(now, PROXY_INCOMPLETE);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_unknown_lines),
        cmocka_unit_test(test_bad_lines),
        cmocka_unit_test(test_refused_at_once),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_the_addresses_of_the_socket),
        cmocka_unit_test(test_tlvs_are_skipped),
        cmocka_unit_test(test_checksums),
        cmocka_unit_test(test_bad_headers),
        cmocka_unit_test(test_longest_header),
        cmocka_unit_test(test_any_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
