#include "storage/base/sha1.h"

#include <string.h>

static uint32_t rotate(uint32_t x, unsigned bits)
{
    return x << bits | x >> (32 - bits);
}

static uint32_t load_be32(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void store_be32(unsigned char *p, uint32_t v)
{
    for (int i = 0; i < 4; i++) p[i] = (unsigned char)(v >> (24 - 8 * i));
}

/* f of section 4.1.1 with K of section 4.2.1, for each of the four stages. */
static uint32_t choose(uint32_t b, uint32_t c, uint32_t d)
{
    return (d ^ (b & (c ^ d))) + 0x5a827999;
}
static uint32_t parity1(uint32_t b, uint32_t c, uint32_t d)
{
    return (b ^ c ^ d) + 0x6ed9eba1;
}
static uint32_t majority(uint32_t b, uint32_t c, uint32_t d)
{
    return ((b & c) | (d & (b | c))) + 0x8f1bbcdc;
}
static uint32_t parity2(uint32_t b, uint32_t c, uint32_t d)
{
    return (b ^ c ^ d) + 0xca62c1d6;
}

/* One round. Instead of moving the five variables, each round renames them; after five rounds the names repeat. */
#define ROUND(f, a, b, c, d, e, word) (e += rotate(a, 5) + f(b, c, d) + (word), b = rotate(b, 30))
#define STAGE(f, w)                                                                                                    \
    for (unsigned t = 0; t < 20; t += 5) {                                                                             \
        ROUND(f, a, b, c, d, e, (w)[t]);                                                                               \
        ROUND(f, e, a, b, c, d, (w)[t + 1]);                                                                           \
        ROUND(f, d, e, a, b, c, (w)[t + 2]);                                                                           \
        ROUND(f, c, d, e, a, b, (w)[t + 3]);                                                                           \
        ROUND(f, b, c, d, e, a, (w)[t + 4]);                                                                           \
    }

static void compress(uint32_t state[5], const unsigned char *block)
{
    uint32_t w[80];
    for (unsigned t = 0; t < 16; t++) w[t] = load_be32(block + (size_t)4 * t);
    for (unsigned t = 16; t < 80; t++) w[t] = rotate(w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16], 1);
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3], e = state[4];
    STAGE(choose, w)
    STAGE(parity1, w + 20)
    STAGE(majority, w + 40)
    STAGE(parity2, w + 60)
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
    state[4] += e;
}

void sha1_init(struct sha1 *h)
{
    h->total = 0;
    memcpy(h->state, (const uint32_t[5]){0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0}, sizeof(h->state));
}

void sha1_update(struct sha1 *h, const void *data, size_t len)
{
    const unsigned char *p = data;
    size_t held = h->total % SHA1_BLOCK;
    h->total += len;
    if (held > 0 && held + len >= SHA1_BLOCK) {
        memcpy(h->block + held, p, SHA1_BLOCK - held);
        compress(h->state, h->block);
        p += SHA1_BLOCK - held;
        len -= SHA1_BLOCK - held;
        held = 0;
    }
    if (held == 0)
        for (; len >= SHA1_BLOCK; len -= SHA1_BLOCK, p += SHA1_BLOCK) compress(h->state, p);
    if (len > 0) memcpy(h->block + held, p, len);
}

/* Appends a one bit, zeros, and the length in bits in the last eight bytes of a block. */
void sha1_final(struct sha1 *h, unsigned char digest[SHA1_SIZE])
{
    static const unsigned char padding[SHA1_BLOCK] = {0x80};
    unsigned char length[8];
    uint64_t bits = h->total * 8;
    store_be32(length, (uint32_t)(bits >> 32));
    store_be32(length + 4, (uint32_t)bits);
    size_t held = h->total % SHA1_BLOCK;
    sha1_update(h, padding, held < 56 ? 56 - held : SHA1_BLOCK + 56 - held);
    sha1_update(h, length, sizeof(length));
    for (size_t i = 0; i < 5; i++) store_be32(digest + 4 * i, h->state[i]);
}

void sha1(const void *data, size_t len, unsigned char digest[SHA1_SIZE])
{
    struct sha1 h;
    sha1_init(&h);
    sha1_update(&h, data, len);
    sha1_final(&h, digest);
}
