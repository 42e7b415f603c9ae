#include "storage/intset.h"

#include "storage/base/assert.h"
#include "storage/base/memory.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the format is little-endian and read with plain loads");

struct intset {
    uint32_t width; /* bytes per element: 2, 4 or 8 */
    uint32_t length;
    char elements[];
};
_Static_assert(sizeof(struct intset) == INTSET_HEADER_SIZE, "the header is part of the file format");

static uint32_t width_of(int64_t value)
{
    if (value < INT32_MIN || value > INT32_MAX) return 8;
    return value < INT16_MIN || value > INT16_MAX ? 4 : 2;
}

static int64_t load(const char *elements, uint32_t width, uint32_t pos)
{
    int16_t v16;
    int32_t v32;
    int64_t v64;
    switch (width) {
    case 2: return memcpy(&v16, elements + (size_t)pos * 2, sizeof(v16)), v16;
    case 4: return memcpy(&v32, elements + (size_t)pos * 4, sizeof(v32)), v32;
    default: return memcpy(&v64, elements + (size_t)pos * 8, sizeof(v64)), v64;
    }
}

/* Stores the low bytes of a value that fits the width. */
static void store(struct intset *is, uint32_t pos, int64_t value)
{
    memcpy(is->elements + (size_t)pos * is->width, &value, is->width);
}

static size_t bytes_for(uint32_t width, size_t length)
{
    return INTSET_HEADER_SIZE + length * width;
}

uint32_t intset_len(const struct intset *is)
{
    return is->length;
}
size_t intset_blob_len(const struct intset *is)
{
    return bytes_for(is->width, is->length);
}

bool intset_safe_to_add(const struct intset *is)
{
    return bytes_for(sizeof(int64_t), (size_t)is->length + 1) <= INTSET_MAX_BYTES;
}

struct intset *intset_new(void)
{
    struct intset *is = mem_alloc(sizeof(*is));
    *is = (struct intset){.width = 2};
    return is;
}

void intset_free(struct intset *is)
{
    mem_free(is);
}

struct intset *intset_copy(const struct intset *is)
{
    size_t size = intset_blob_len(is);
    return memcpy(mem_alloc(size), is, size);
}

int64_t intset_get(const struct intset *is, uint32_t pos)
{
    ASSERT(pos < is->length);
    return load(is->elements, is->width, pos);
}

int64_t intset_random(const struct intset *is, struct rng *rng)
{
    return intset_get(is, (uint32_t)rng_below(rng, is->length));
}

/* The first position from low on, below high, whose element is not less than value; else high. */
static uint32_t lower_bound_within(const struct intset *is, uint32_t low, uint32_t high, int64_t value)
{
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (load(is->elements, is->width, middle) < value)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static uint32_t lower_bound(const struct intset *is, int64_t value)
{
    if (is->length > 0 && value > load(is->elements, is->width, is->length - 1))
        return is->length; /* fast path for
                                                                                                     * appending */
    return lower_bound_within(is, 0, is->length, value);
}

uint32_t intset_seek(const struct intset *is, uint32_t from, int64_t value)
{
    uint32_t low = from, step = 1;
    while (low < is->length && load(is->elements, is->width, low) < value) {
        from = low + 1;
        low = step < is->length - low ? low + step : is->length;
        step *= 2;
    }
    return lower_bound_within(is, from, low, value);
}

static bool is_at(const struct intset *is, uint32_t pos, int64_t value)
{
    return pos < is->length && load(is->elements, is->width, pos) == value;
}

bool intset_contains(const struct intset *is, int64_t value)
{
    return width_of(value) <= is->width && is_at(is, lower_bound(is, value), value);
}

static struct intset *reserve(struct intset *is, size_t size)
{
    ASSERT(size <= INTSET_MAX_BYTES);
    return mem_usable_size(is) < size ? mem_realloc(is, size) : is;
}

/* A value wider than all others belongs at one end. Moves the elements to their wider places from the last on, so
 * that none is overwritten before it is read. */
static struct intset *widen_and_add(struct intset *is, int64_t value)
{
    uint32_t old_width = is->width, count = is->length, shift = value < 0;
    is = reserve(is, bytes_for(width_of(value), (size_t)count + 1));
    is->width = width_of(value);
    for (uint32_t i = count; i-- > 0;) store(is, i + shift, load(is->elements, old_width, i));
    store(is, shift ? 0 : count, value);
    is->length = count + 1;
    return is;
}

struct intset *intset_add(struct intset *is, int64_t value, bool *added)
{
    *added = true;
    if (width_of(value) > is->width) return widen_and_add(is, value);
    uint32_t pos = lower_bound(is, value);
    if (is_at(is, pos, value)) {
        *added = false;
        return is;
    }
    is = reserve(is, bytes_for(is->width, (size_t)is->length + 1));
    char *at = is->elements + (size_t)pos * is->width;
    memmove(at + is->width, at, (size_t)(is->length - pos) * is->width);
    store(is, pos, value);
    is->length++;
    return is;
}

struct intset *intset_remove_range(struct intset *is, uint32_t pos, uint32_t count)
{
    if (pos >= is->length) return is;
    if (count > is->length - pos) count = is->length - pos;
    char *at = is->elements + (size_t)pos * is->width;
    memmove(at, at + (size_t)count * is->width, (size_t)(is->length - pos - count) * is->width);
    is->length -= count;
    size_t size = intset_blob_len(is);
    return mem_usable_size(is) / 2 > size ? mem_realloc(is, size) : is;
}

struct intset *intset_remove(struct intset *is, int64_t value, bool *removed)
{
    uint32_t pos = lower_bound(is, value);
    *removed = width_of(value) <= is->width && is_at(is, pos, value);
    return *removed ? intset_remove_range(is, pos, 1) : is;
}

bool intset_validate(const unsigned char *blob, size_t len, bool deep)
{
    struct intset header;
    if (len < sizeof(header)) return false;
    memcpy(&header, blob, sizeof(header));
    if (header.width != 2 && header.width != 4 && header.width != 8) return false;
    if (header.length == 0 || bytes_for(header.width, header.length) != len) return false;
    if (!deep) return true;
    const char *elements = (const char *)blob + sizeof(header);
    for (uint32_t i = 1; i < header.length; i++)
        if (load(elements, header.width, i - 1) >= load(elements, header.width, i)) return false;
    return true;
}
