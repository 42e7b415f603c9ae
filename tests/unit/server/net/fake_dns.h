/* fake_dns.h -- a name server on loopback, driven by the loop of the test.
 *
 * It answers A and AAAA queries from a table. A name that is not in the table does not exist (NXDOMAIN). */
#ifndef LOCKSTEP_TESTS_UNIT_SERVER_NET_FAKE_DNS_H
#define LOCKSTEP_TESTS_UNIT_SERVER_NET_FAKE_DNS_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/net/loop.h"

enum { DNS_A = 1, DNS_AAAA = 28, DNS_HEADER = 12, DNS_ADDRESSES_MAX = 40 };
enum dns_behaviour { DNS_ANSWERS = 0, DNS_SILENT, DNS_SILENT_ONCE, DNS_FAILS, DNS_GARBAGE, DNS_EMPTY };

struct dns_name {
    const char *name;
    enum dns_behaviour how;
    const char *addresses[DNS_ADDRESSES_MAX]; /* both families */
};

struct fake_dns {
    struct loop_io io;
    int fd, port, queries;
    const struct dns_name *names; /* ends with a name of NULL */
    char servers[40];             /* for struct resolver_options */
};

/* Reads the name of the question; returns the position behind it. */
static inline size_t dns_read_name(const uint8_t *packet, size_t len, char *out)
{
    size_t at = DNS_HEADER, n = 0;
    while (at < len && packet[at] != 0) {
        size_t label = packet[at++];
        assert_true(label < 64 && at + label < len && n + label < 250);
        memcpy(out + n, packet + at, label);
        n += label;
        out[n++] = '.';
        at += label;
    }
    out[n > 0 ? n - 1 : 0] = '\0';
    return at + 1;
}

static inline const struct dns_name *dns_find(const struct fake_dns *d, const char *name)
{
    static const struct dns_name none;
    const struct dns_name *n = d->names;
    while (n->name != NULL && strcasecmp(n->name, name) != 0) n++;
    return n->name != NULL ? n : &none;
}

static inline size_t dns_append_record(uint8_t *out, int type, const char *address)
{
    bool six = type == DNS_AAAA;
    uint8_t head[12] = {0xc0, DNS_HEADER, 0, (uint8_t)type, 0, 1, 0, 0, 0, 60, 0, six ? 16 : 4};
    if (inet_pton(six ? AF_INET6 : AF_INET, address, out + sizeof(head)) != 1) return 0; /* of the other family */
    memcpy(out, head, sizeof(head));
    return sizeof(head) + (six ? 16 : 4);
}

static inline void dns_on_readable(void *ctx, unsigned ready)
{
    struct fake_dns *d = ctx;
    uint8_t packet[2048];
    char name[256] = "";
    struct sockaddr_in from;
    socklen_t from_len = sizeof(from);
    (void)ready;
    ssize_t got = recvfrom(d->fd, packet, 512, 0, (struct sockaddr *)&from, &from_len);
    if (got < DNS_HEADER + 5) return;
    d->queries++;
    size_t end = dns_read_name(packet, (size_t)got, name) + 4;
    int type = packet[end - 3], answers = 0, code = 0;
    const struct dns_name *n = dns_find(d, name);
    if (n->how == DNS_SILENT || (n->how == DNS_SILENT_ONCE && d->queries <= 2)) return;
    if (n->name == NULL) code = 3;
    if (n->how == DNS_FAILS) code = 2;
    size_t len = end;
    for (int i = 0; n->name != NULL && n->how != DNS_EMPTY && i < DNS_ADDRESSES_MAX && n->addresses[i] != NULL; i++) {
        size_t record = dns_append_record(packet + len, type, n->addresses[i]);
        answers += record > 0;
        len += record;
    }
    packet[2] = 0x81; /* an answer; recursion was desired */
    packet[3] = (uint8_t)(0x80 | code);
    memcpy(packet + 4, (uint8_t[]){0, 1, 0, (uint8_t)answers, 0, 0, 0, 0}, 8);
    if (n->how == DNS_GARBAGE) memset(packet + DNS_HEADER, 0xff, len - DNS_HEADER);
    assert_int_equal(sendto(d->fd, packet, len, 0, (struct sockaddr *)&from, from_len), len);
}

static inline void fake_dns_start(struct fake_dns *d, struct loop *loop, const struct dns_name *names)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(in);
    *d = (struct fake_dns){.fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), .names = names};
    assert_true(d->fd >= 0);
    assert_int_equal(bind(d->fd, (struct sockaddr *)&in, len), 0);
    assert_int_equal(getsockname(d->fd, (struct sockaddr *)&in, &len), 0);
    d->port = ntohs(in.sin_port);
    snprintf(d->servers, sizeof(d->servers), "127.0.0.1:%d", d->port);
    loop_io_start(loop, &d->io, d->fd, dns_on_readable, d);
    loop_io_want(&d->io, LOOP_READ);
}

static inline void fake_dns_stop(struct fake_dns *d)
{
    loop_io_stop(&d->io);
    close(d->fd);
}

#endif
