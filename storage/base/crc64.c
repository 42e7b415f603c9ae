#include "storage/base/crc64.h"

#include <string.h>

#ifdef __x86_64__
#include <immintrin.h>
#endif

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "eight bytes are taken in with one load");

/* Slicing by eight: table k holds the remainder of each byte when k more bytes follow it. Remainders are linear, so
 * each of the 256 entries of a table is the xor of the table's eight values for single bits. The compiler computes
 * the tables from these 64 numbers. */
#define BIT(byte, n, value) ((uint64_t)((byte) >> (n)&1) * UINT64_C(value))
#define ENTRY(byte, v0, v1, v2, v3, v4, v5, v6, v7)                                                                    \
    (BIT(byte, 0, v0) ^ BIT(byte, 1, v1) ^ BIT(byte, 2, v2) ^ BIT(byte, 3, v3) ^ BIT(byte, 4, v4) ^ BIT(byte, 5, v5) ^ \
     BIT(byte, 6, v6) ^ BIT(byte, 7, v7))
#define ENTRIES4(b, ...)                                                                                               \
    ENTRY((b), __VA_ARGS__), ENTRY((b) + 1, __VA_ARGS__), ENTRY((b) + 2, __VA_ARGS__), ENTRY((b) + 3, __VA_ARGS__)
#define ENTRIES16(b, ...)                                                                                              \
    ENTRIES4(b, __VA_ARGS__), ENTRIES4((b) + 4, __VA_ARGS__), ENTRIES4((b) + 8, __VA_ARGS__),                          \
        ENTRIES4((b) + 12, __VA_ARGS__)
#define ENTRIES64(b, ...)                                                                                              \
    ENTRIES16(b, __VA_ARGS__), ENTRIES16((b) + 16, __VA_ARGS__), ENTRIES16((b) + 32, __VA_ARGS__),                     \
        ENTRIES16((b) + 48, __VA_ARGS__)
#define TABLE(...)                                                                                                     \
    {                                                                                                                  \
        ENTRIES64(0, __VA_ARGS__), ENTRIES64(64, __VA_ARGS__), ENTRIES64(128, __VA_ARGS__),                            \
            ENTRIES64(192, __VA_ARGS__)                                                                                \
    }

// clang-format off
static const uint64_t tables[8][256] = {
    TABLE(0x7ad870c830358979, 0xf5b0e190606b12f2, 0xc038e5739841b68f, 0xab28ecb46814fe75,
          0x7d08ff3b88be6f81, 0xfa11fe77117cdf02, 0xdf7adabd7a6e2d6f, 0x95ac9329ac4bc9b5),
    TABLE(0x89e99ffd73bddf69, 0x388a19a9bfec2db9, 0x711433537fd85b72, 0xe22866a6ffb0b6e4,
          0xef09eb1ea7f6fea3, 0xf54af06e177a6e2d, 0xc1ccc68f76634f31, 0xa8c0ab4db4510d09),
    TABLE(0xf4125129ce4038be, 0xc37d8400c417e217, 0xada22e52d0b85745, 0x701d7af6f9e73de1,
          0xe03af5edf3ce7bc2, 0xeb2ccd88bf0b64ef, 0xfd00bd4226815ab5, 0xd1585cd715952601),
    TABLE(0x8ce168638c796306, 0x329bf69440655567, 0x6537ed2880caaace, 0xca6fda510195559c,
          0xbf8692f15bbd3853, 0x545403b1efede3cd, 0xa8a80763dfdbc79a, 0x7a092894e7201c5f),
    TABLE(0x3504e58b9ba6dd1e, 0x6a09cb17374dba3c, 0xd413962e6e9b7478, 0x837e0a0f85a17b9b,
          0x2da5324c53d5645d, 0x5b4a6498a7aac8ba, 0xb694c9314f559174, 0x4670b431c63cb183),
    TABLE(0xe39d1389931b9354, 0xec6301407ea0b5c3, 0xf39f24d3a5d6f8ed, 0xcc676ff4133a62b1,
          0xb397f9bb7ee35609, 0x4c76d525a5513f79, 0x98edaa4b4aa27ef2, 0x1a8272c5cdd36e8f),
    TABLE(0x62a95de6e302eff2, 0xc552bbcdc605dfe4, 0xa1fc51c8d49c2ca3, 0x68a185c2f1afca2d,
          0xd1430b85e35f945a, 0x89df31589e28bbdf, 0x38e744e264c6e4d5, 0x71ce89c4c98dc9aa),
    TABLE(0x381d0015c96f4444, 0x703a002b92de8888, 0xe074005725bd1110, 0xebb126fd13edb14b,
          0xfc3b6ba97f4cf1fd, 0xd32ff101a60e7091, 0x8d06c450148b7249, 0x3154aef3718177f9),
};
// clang-format on

static uint64_t add_byte(uint64_t crc, unsigned char byte)
{
    return tables[0][(crc ^ byte) & 255] ^ (crc >> 8);
}

static uint64_t add_eight(uint64_t crc, const unsigned char *p)
{
    uint64_t word;
    memcpy(&word, p, sizeof(word));
    crc ^= word;
    return tables[7][crc & 255] ^ tables[6][crc >> 8 & 255] ^ tables[5][crc >> 16 & 255] ^ tables[4][crc >> 24 & 255] ^
           tables[3][crc >> 32 & 255] ^ tables[2][crc >> 40 & 255] ^ tables[1][crc >> 48 & 255] ^ tables[0][crc >> 56];
}

static uint64_t crc64_portable(uint64_t crc, const unsigned char *p, size_t len)
{
    for (; len >= 8; len -= 8, p += 8) crc = add_eight(crc, p);
    for (; len > 0; len--) crc = add_byte(crc, *p++);
    return crc;
}

#ifdef __x86_64__
#define CARRYLESS __attribute__((target("pclmul,sse2")))
enum { LANE = 16, STRIDE = 4 * LANE };

/* Moves 16 bytes of the message forward by n bits: their halves, multiplied by x^(n + 63) and x^(n - 1) modulo the
 * polynomial, are congruent to them n bits further on (one bit less, since a product of reflected numbers is one bit
 * short). */
CARRYLESS static __m128i fold(__m128i lane, __m128i powers, __m128i next)
{
    __m128i low = _mm_clmulepi64_si128(lane, powers, 0x00), high = _mm_clmulepi64_si128(lane, powers, 0x11);
    return _mm_xor_si128(_mm_xor_si128(low, high), next);
}

CARRYLESS static __m128i load_lane(const unsigned char *p)
{
    return _mm_loadu_si128((const __m128i *)p);
}

/* The remainder over a multiple of 16 bytes, at least 64: folds them to 16 bytes, which the tables finish. */
CARRYLESS static uint64_t crc64_folding(uint64_t crc, const unsigned char *p, size_t len)
{
    const __m128i by_512_bits = _mm_set_epi64x((int64_t)0xf49784a634f014e4, (int64_t)0xaf86efb16d9ab4fb);
    const __m128i by_128_bits = _mm_set_epi64x((int64_t)0x381d0015c96f4444, (int64_t)0xd9d7be7d505da32c);
    __m128i a = _mm_xor_si128(load_lane(p), _mm_set_epi64x(0, (int64_t)crc)), b = load_lane(p + LANE);
    __m128i c = load_lane(p + 2 * LANE), d = load_lane(p + 3 * LANE);
    for (p += STRIDE, len -= STRIDE; len >= STRIDE; p += STRIDE, len -= STRIDE) {
        a = fold(a, by_512_bits, load_lane(p));
        b = fold(b, by_512_bits, load_lane(p + LANE));
        c = fold(c, by_512_bits, load_lane(p + 2 * LANE));
        d = fold(d, by_512_bits, load_lane(p + 3 * LANE));
    }
    a = fold(fold(fold(a, by_128_bits, b), by_128_bits, c), by_128_bits, d);
    for (; len >= LANE; p += LANE, len -= LANE) a = fold(a, by_128_bits, load_lane(p));
    unsigned char rest[LANE];
    _mm_storeu_si128((__m128i *)rest, a);
    return crc64_portable(0, rest, sizeof(rest));
}
#endif

uint64_t crc64(uint64_t crc, const void *data, size_t len)
{
    const unsigned char *p = data;
#ifdef __x86_64__
    if (len >= STRIDE && __builtin_cpu_supports("pclmul")) {
        size_t whole = len - len % LANE;
        crc = crc64_folding(crc, p, whole);
        p += whole;
        len -= whole;
    }
#endif
    return crc64_portable(crc, p, len);
}
