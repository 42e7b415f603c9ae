#include "storage/base/bits.h"

uint64_t bits_count(struct bytes_view v)
{
    uint64_t count = 0, word;
    size_t i = 0;
    for (; i + sizeof(word) <= v.len; i += sizeof(word)) {
        memcpy(&word, v.data + i, sizeof(word));
        count += (uint64_t)__builtin_popcountll(word);
    }
    for (; i < v.len; i++) count += (uint64_t)__builtin_popcount((uint8_t)v.data[i]);
    return count;
}

static bool bit_at(struct bytes_view v, uint64_t at)
{
    return (uint8_t)v.data[at / 8] >> (7 - at % 8) & 1;
}

/* How many bytes from `at` on hold no bit of the kind looked for. */
static size_t skip_bytes(struct bytes_view v, size_t at, size_t end, uint8_t dull)
{
    uint64_t word, dull_word = dull == 0 ? 0 : UINT64_MAX;
    size_t i = at;
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
