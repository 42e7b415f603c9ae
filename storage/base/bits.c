#include "storage/base/bits.h"

#ifdef __x86_64__
#include <immintrin.h>
#endif

/* ---- Counting ---- */

static uint64_t count_tail(const char *data, size_t len)
{
    uint64_t count = 0, word;
    size_t i = 0;
    for (; i + sizeof(word) <= len; i += sizeof(word)) {
        memcpy(&word, data + i, sizeof(word));
        count += (uint64_t)__builtin_popcountll(word);
    }
    for (; i < len; i++) count += (uint64_t)__builtin_popcount((uint8_t)data[i]);
    return count;
}

#ifdef __x86_64__
enum { VECTOR = sizeof(__m256i), VECTORS_PER_ROUND = 31 /* sums of at most eight per vector stay within a byte */ };

/* Counts the ones in each byte by looking up its two halves. */
__attribute__((target("avx2"))) static inline __m256i count_bytes(__m256i v)
{
    const __m256i ones = _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, 0, 1, 1, 2, 1, 2, 2, 3, 1, 2,
                                          2, 3, 2, 3, 3, 4);
    const __m256i half = _mm256_set1_epi8(15);
    __m256i low = _mm256_and_si256(v, half), high = _mm256_and_si256(_mm256_srli_epi16(v, 4), half);
    return _mm256_add_epi8(_mm256_shuffle_epi8(ones, low), _mm256_shuffle_epi8(ones, high));
}

/* Counts in whole vectors; *done is the number of bytes counted. */
__attribute__((target("avx2"))) static uint64_t count_vectors(const char *data, size_t len, size_t *done)
{
    __m256i total = _mm256_setzero_si256();
    uint64_t parts[4];
    size_t at = 0;
    while (at + VECTOR <= len) {
        __m256i round = _mm256_setzero_si256();
        for (int i = 0; i < VECTORS_PER_ROUND && at + VECTOR <= len; i++, at += VECTOR)
            round = _mm256_add_epi8(round, count_bytes(_mm256_loadu_si256((const __m256i *)(const void *)(data + at))));
        total = _mm256_add_epi64(total, _mm256_sad_epu8(round, _mm256_setzero_si256()));
    }
    _mm256_storeu_si256((__m256i *)(void *)parts, total);
    *done = at;
    return parts[0] + parts[1] + parts[2] + parts[3];
}

__attribute__((target("popcnt"))) static uint64_t count_words(const char *data, size_t len, size_t *done)
{
    uint64_t count = 0, word;
    size_t i = 0;
    for (; i + sizeof(word) <= len; i += sizeof(word)) {
        memcpy(&word, data + i, sizeof(word));
        count += (uint64_t)__builtin_popcountll(word);
    }
    *done = i;
    return count;
}

/* Uses the fastest method of this machine; the caller counts the rest. */
static uint64_t count_fast(const char *data, size_t len, size_t *done)
{
    if (len >= 4 * (size_t)VECTOR && __builtin_cpu_supports("avx2")) return count_vectors(data, len, done);
    if (__builtin_cpu_supports("popcnt")) return count_words(data, len, done);
    *done = 0;
    return 0;
}
#else
static uint64_t count_fast(const char *data, size_t len, size_t *done)
{
    *done = 0;
    return 0;
}
#endif

uint64_t bits_count(struct bytes_view v)
{
    size_t done;
    uint64_t count = count_fast(v.data, v.len, &done);
    return count + count_tail(v.data + done, v.len - done);
}

/* ---- Combining ---- */

void bits_and(char *restrict to, const char *restrict from, size_t len)
{
    for (size_t i = 0; i < len; i++) to[i] = (char)(to[i] & from[i]);
}
void bits_or(char *restrict to, const char *restrict from, size_t len)
{
    for (size_t i = 0; i < len; i++) to[i] = (char)(to[i] | from[i]);
}
void bits_xor(char *restrict to, const char *restrict from, size_t len)
{
    for (size_t i = 0; i < len; i++) to[i] = (char)(to[i] ^ from[i]);
}
void bits_not(char *restrict to, const char *restrict from, size_t len)
{
    for (size_t i = 0; i < len; i++) to[i] = (char)~from[i];
}

/* ---- Finding ---- */

static bool bit_at(struct bytes_view v, uint64_t at)
{
    return (uint8_t)v.data[at / 8] >> (7 - at % 8) & 1;
}

/* Returns how many bytes from `at` on equal `dull`, that is, contain no bit of the kind searched for. */
static size_t skip_bytes(struct bytes_view v, size_t at, size_t end, uint8_t dull)
{
    uint64_t word, words[4], dull_word = dull == 0 ? 0 : UINT64_MAX;
    size_t i = at;
    for (; i + sizeof(words) <= end; i += sizeof(words)) {
        memcpy(words, v.data + i, sizeof(words));
        if (((words[0] ^ dull_word) | (words[1] ^ dull_word) | (words[2] ^ dull_word) | (words[3] ^ dull_word)) != 0)
            break;
    }
    for (; i + sizeof(word) <= end; i += sizeof(word)) {
        memcpy(&word, v.data + i, sizeof(word));
        if (word != dull_word) break;
    }
    while (i < end && (uint8_t)v.data[i] == dull) i++;
    return i - at;
}

int64_t bits_find(struct bytes_view v, uint64_t first, uint64_t last, bool one)
{
    uint64_t at = first;
    while (at <= last) {
        if (at % 8 == 0) at += 8 * skip_bytes(v, at / 8, (size_t)(last / 8), one ? 0 : 0xff);
        if (bit_at(v, at) == one) return (int64_t)at;
        at++;
    }
    return -1;
}

/* ---- Fields ---- */

uint64_t bits_get(struct bytes_view v, uint64_t at, unsigned width)
{
    uint64_t value = 0;
    for (unsigned done = 0; done < width;) {
        uint64_t byte = (at + done) / 8;
        unsigned skipped = (unsigned)((at + done) % 8), take = 8 - skipped;
        if (take > width - done) take = width - done;
        unsigned bits = byte < v.len ? (uint8_t)v.data[byte] : 0;
        value = value << take | (bits >> (8 - skipped - take) & ((1u << take) - 1));
        done += take;
    }
    return value;
}

void bits_set(char *data, uint64_t at, unsigned width, uint64_t value)
{
    for (unsigned done = 0; done < width;) {
        unsigned skipped = (unsigned)((at + done) % 8), take = 8 - skipped;
        if (take > width - done) take = width - done;
        unsigned shift = 8 - skipped - take, mask = ((1u << take) - 1) << shift;
        unsigned bits = (unsigned)(value >> (width - done - take)) << shift & mask;
        char *byte = data + (at + done) / 8;
        *byte = (char)(((uint8_t)*byte & ~mask) | bits);
        done += take;
    }
}
