#include "storage/hyperloglog.h"

#include <errno.h>
#include <math.h>

enum {
    INDEX_BITS = 14,
    RANK_BITS = 64 - INDEX_BITS, /* bits of the hash behind the index; the position of the first one bit is the value */
    ZERO_MAX = 64,               /* most registers in one run, by kind of run */
    VALUE_MAX = 4,
    SPARSE_VALUE_MAX = 32, /* highest value of a run */
    MERGE_SCAN = 5,        /* runs checked for equal neighbours after a change */
    SPLIT_BYTES = 5,       /* most bytes that replace a run */
};
_Static_assert(HLL_REGISTERS == 1 << INDEX_BITS, "an index is the low bits of the hash");

#define HASH_SEED 0xadc83b19u

/* ---- Hashing: MurmurHash64A, of Austin Appleby, public domain ---- */

static uint64_t load_u64(const char *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}

static uint64_t murmur64(struct bytes_view bytes, uint64_t seed)
{
    const uint64_t m = 0xc6a4a7935bd1e995u;
    uint64_t h = seed ^ (bytes.len * m), tail = 0;
    size_t i = 0;
    for (; i + 8 <= bytes.len; i += 8) {
        uint64_t k = load_u64(bytes.data + i) * m;
        h = (h ^ ((k ^ k >> 47) * m)) * m;
    }
    if (i < bytes.len) {
        memcpy(&tail, bytes.data + i, bytes.len - i);
        h = (h ^ tail) * m;
    }
    h = (h ^ h >> 47) * m;
    return h ^ h >> 47;
}

struct hll_place hll_place_of(struct bytes_view element)
{
    uint64_t hash = murmur64(element, HASH_SEED);
    uint64_t rest = hash >> INDEX_BITS | (uint64_t)1 << RANK_BITS; /* the extra one bit ends the search */
    return (struct hll_place){.index = (unsigned)(hash & (HLL_REGISTERS - 1)),
                              .value = (unsigned)__builtin_ctzll(rest) + 1};
}

/* ---- The header ---- */

bool hll_is_one(struct bytes_view hll)
{
    if (hll.len < HLL_HEADER_SIZE || memcmp(hll.data, "HYLL", 4) != 0) return false;
    if (hll.data[4] == HLL_DENSE) return hll.len == HLL_DENSE_SIZE;
    return hll.data[4] == HLL_SPARSE;
}

void hll_write_empty(char out[HLL_EMPTY_SIZE])
{
    memset(out, 0, HLL_EMPTY_SIZE);
    memcpy(out, "HYLL", 4);
    out[4] = HLL_SPARSE;
    out[HLL_HEADER_SIZE] = 0x7f; /* one run of all registers */
    out[HLL_HEADER_SIZE + 1] = (char)0xff;
}

bool hll_cached_count(struct bytes_view hll, uint64_t *count)
{
    if (hll.data[15] & 0x80) return false;
    *count = load_u64(hll.data + 8);
    return true;
}

void hll_cache_count(char *hll, uint64_t count)
{
    memcpy(hll + 8, &count, sizeof(count));
}

void hll_invalidate_count(char *hll)
{
    hll[15] = (char)(hll[15] | 0x80);
}

/* ---- Dense ---- */

bool hll_dense_raise(char *hll, struct hll_place place)
{
    unsigned bit = place.index * 6, shift = bit % 8;
    unsigned char *p = (unsigned char *)hll + HLL_HEADER_SIZE + bit / 8;
    bool crosses = shift > 2; /* into the next byte, which exists */
    unsigned both = p[0] | (crosses ? (unsigned)p[1] << 8 : 0);
    if ((both >> shift & 63) >= place.value) return false;
    both = (both & ~(63u << shift)) | place.value << shift;
    p[0] = (unsigned char)both;
    if (crosses) p[1] = (unsigned char)(both >> 8);
    return true;
}

/* Eight registers are 48 bits packed and eight bytes unpacked. Four such groups are processed together; the compiler
 * uses the vector registers of the machine. */
enum { GROUP = 8, GROUP_BYTES = 6, LANES = 4, GROUPS = HLL_REGISTERS / GROUP };
typedef uint64_t lanes __attribute__((vector_size(8 * LANES)));

#define SPREAD(x, low, high, shift) (((x) & (low)) | (((x) & (high)) << (shift)))
#define GATHER(x, low, high, shift) (((x) & (low)) | (((x) & ((high) << (shift))) >> (shift)))
#define LOW_24                      ((uint64_t)0x0000000000ffffff)
#define LOW_12                      ((uint64_t)0x00000fff00000fff)
#define LOW_6                       ((uint64_t)0x003f003f003f003f)

static inline __attribute__((always_inline)) void unpack(lanes *x)
{
    *x = SPREAD(*x, LOW_24, LOW_24 << 24, 8);
    *x = SPREAD(*x, LOW_12, LOW_12 << 12, 4);
    *x = SPREAD(*x, LOW_6, LOW_6 << 6, 2);
}

static inline void pack(lanes *x)
{
    *x = GATHER(*x, LOW_6, LOW_6 << 6, 2);
    *x = GATHER(*x, LOW_12, LOW_12 << 12, 4);
    *x = GATHER(*x, LOW_24, LOW_24 << 24, 8);
}

/* Unpacks registers and keeps the higher value of each. */
static inline __attribute__((always_inline)) void merge_groups(const char *packed, uint8_t *values)
{
    for (size_t i = 0; i < GROUPS; i += LANES) {
        const char *p = packed + i * GROUP_BYTES;
        uint8_t unpacked[GROUP * LANES], *to = values + i * GROUP;
        /* Each load reads two bytes too many, which unpack() ignores; the last one reads two bytes before its group
         * instead. */
        lanes x = {load_u64(p), load_u64(p + GROUP_BYTES), load_u64(p + 2 * GROUP_BYTES),
                   load_u64(p + 3 * GROUP_BYTES - 2) >> 16};
        unpack(&x);
        memcpy(unpacked, &x, sizeof(x));
        for (size_t k = 0; k < sizeof(unpacked); k++) to[k] = to[k] > unpacked[k] ? to[k] : unpacked[k];
    }
}

#ifdef __x86_64__
__attribute__((target("avx2"))) static void merge_groups_avx2(const char *packed, uint8_t *values)
{
    merge_groups(packed, values);
}
#endif

static void merge_dense(struct hll_registers *r, const char *packed)
{
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx2")) {
        merge_groups_avx2(packed, r->value);
        return;
    }
#endif
    merge_groups(packed, r->value);
}

static void write_dense(const struct hll_registers *r, char *packed)
{
    for (size_t i = 0; i < GROUPS; i += LANES) {
        lanes x;
        memcpy(&x, r->value + i * GROUP, sizeof(x));
        pack(&x);
        for (size_t k = 0; k < LANES; k++) {
            uint64_t group = x[k];
            memcpy(packed + (i + k) * GROUP_BYTES, &group, GROUP_BYTES);
        }
    }
}

void hll_write_dense(const struct hll_registers *r, const char header[HLL_HEADER_SIZE], char out[HLL_DENSE_SIZE])
{
    memmove(out, header, HLL_HEADER_SIZE);
    out[4] = HLL_DENSE;
    write_dense(r, out + HLL_HEADER_SIZE);
}

/* ---- Sparse: reading ---- */

int hll_next_run(struct bytes_view hll, size_t *at, struct hll_run *run)
{
    if (*at >= hll.len) return 0;
    unsigned byte = (unsigned char)hll.data[*at], low = byte & 63;
    if (byte & 0x80) {
        *run = (struct hll_run){
            .kind = HLL_RUN_VALUE, .length = (byte & 3) + 1, .value = (byte >> 2 & 31) + 1, .bytes = 1};
    } else if (byte & 0x40) {
        if (hll.len - *at < 2) return -EBADMSG;
        unsigned more = (unsigned char)hll.data[*at + 1];
        *run = (struct hll_run){.kind = HLL_RUN_LONG_ZERO, .length = (low << 8 | more) + 1, .bytes = 2};
    } else {
        *run = (struct hll_run){.kind = HLL_RUN_ZERO, .length = low + 1, .bytes = 1};
    }
    *at += run->bytes;
    return 1;
}

static int merge_sparse(struct hll_registers *r, struct bytes_view hll)
{
    size_t at = HLL_HEADER_SIZE;
    unsigned index = 0;
    struct hll_run run;
    int rc;
    while ((rc = hll_next_run(hll, &at, &run)) == 1) {
        if (run.length > HLL_REGISTERS - index) return -EBADMSG;
        unsigned end = index + run.length;
        for (; run.value > 0 && index < end; index++)
            if (r->value[index] < run.value) r->value[index] = (uint8_t)run.value;
        index = end;
    }
    if (rc < 0) return rc;
    return index == HLL_REGISTERS ? 0 : -EBADMSG;
}

int hll_merge(struct hll_registers *r, struct bytes_view hll)
{
    if (hll_encoding_of(hll) == HLL_SPARSE) return merge_sparse(r, hll);
    merge_dense(r, hll.data + HLL_HEADER_SIZE);
    return 0;
}

/* ---- Sparse: writing ---- */

struct found_run {
    size_t at, previous; /* previous: start of the previous run; 0: there is none */
    unsigned first;      /* first register of the run */
    unsigned previous_first;
    struct hll_run run;
};

/* There are many runs and this visits half of them on average, so it decodes no more than it needs. */
static bool find_from(struct bytes_view hll, unsigned index, struct found_run *f)
{
    const unsigned char *start = (const unsigned char *)hll.data, *end = start + hll.len, *p = start + f->at, *next;
    const unsigned char *previous = NULL;
    unsigned first = f->first, previous_first = 0;
    for (; p < end; p = next) {
        unsigned length = *p;
        next = p + 1;
        if (length & 0x80)
            length = (length & 3) + 1;
        else if (!(length & 0x40))
            length++;
        else if (next < end)
            length = ((length & 63) << 8 | *next++) + 1;
        else
            return false;
        if (index - first < length) break;
        previous = p;
        previous_first = first;
        first += length;
    }
    size_t at = (size_t)(p - start);
    *f = (struct found_run){.at = at, .first = first, .previous_first = previous_first};
    if (previous != NULL) f->previous = (size_t)(previous - start);
    return hll_next_run(hll, &at, &f->run) == 1;
}

/* Finds the run of a register. Starts at the cursor if the register is behind the run there, so that its predecessor
 * is known. */
static bool find_run(const struct hll_sparse *s, unsigned index, struct found_run *f)
{
    struct bytes_view hll = bytes_view(s->data, s->len);
    *f = (struct found_run){.at = s->cursor, .first = s->cursor_index};
    if (s->cursor != 0 && index >= s->cursor_index && find_from(hll, index, f) && f->previous != 0) return true;
    *f = (struct found_run){.at = HLL_HEADER_SIZE};
    return find_from(hll, index, f);
}

static size_t put_zeros(unsigned char *out, unsigned length)
{
    if (length == 0) return 0;
    if (length <= ZERO_MAX) {
        out[0] = (unsigned char)(length - 1);
        return 1;
    }
    out[0] = (unsigned char)(0x40 | (length - 1) >> 8);
    out[1] = (unsigned char)(length - 1);
    return 2;
}

static size_t put_values(unsigned char *out, unsigned length, unsigned value)
{
    if (length == 0) return 0;
    out[0] = (unsigned char)(0x80 | (value - 1) << 2 | (length - 1));
    return 1;
}

static size_t put_run(unsigned char *out, unsigned length, unsigned value)
{
    return value == 0 ? put_zeros(out, length) : put_values(out, length, value);
}

/* Writes what replaces the run: the registers before the given one, that register, the registers behind it. */
static size_t split_run(const struct found_run *f, struct hll_place place, unsigned char out[SPLIT_BYTES])
{
    unsigned before = place.index - f->first, behind = f->run.length - 1 - before;
    size_t len = put_run(out, before, f->run.value);
    len += put_values(out + len, 1, place.value);
    return len + put_run(out + len, behind, f->run.value);
}

/* Merges neighbouring runs of equal value, as far as one run can hold them, beginning at `at`. */
static void join_values(struct hll_sparse *s, size_t at)
{
    unsigned char *data = (unsigned char *)s->data;
    for (int scan = 0; scan < MERGE_SCAN && at < s->len; scan++) {
        struct bytes_view hll = bytes_view(s->data, s->len);
        struct hll_run run, next;
        size_t end = at, next_end;
        if (hll_next_run(hll, &end, &run) != 1) return;
        next_end = end;
        if (run.kind == HLL_RUN_VALUE && hll_next_run(hll, &next_end, &next) == 1 && next.kind == HLL_RUN_VALUE &&
            next.value == run.value && run.length + next.length <= VALUE_MAX) {
            put_values(data + end, run.length + next.length, run.value);
            memmove(data + at, data + end, s->len - end);
            s->len--;
        } else {
            at = end; /* a merged run is compared with the next one again */
        }
    }
}

int hll_sparse_raise(struct hll_sparse *s, struct hll_place place, size_t max_bytes)
{
    unsigned char split[SPLIT_BYTES];
    struct found_run f;
    if (place.value > SPARSE_VALUE_MAX) return HLL_MUST_BE_DENSE;
    if (!find_run(s, place.index, &f)) return -EBADMSG;
    if (f.run.value >= place.value) return HLL_UNCHANGED;
    size_t len = split_run(&f, place, split), old = f.run.bytes;
    if (len > old && s->len + (len - old) > max_bytes) return HLL_MUST_BE_DENSE;
    char *p = s->data + f.at;
    memmove(p + len, p + old, s->len - f.at - old);
    memcpy(p, split, len);
    s->len = s->len + len - old;
    join_values(s, f.previous != 0 ? f.previous : HLL_HEADER_SIZE);
    hll_invalidate_count(s->data);
    s->cursor = f.previous != 0 ? f.previous : HLL_HEADER_SIZE;
    s->cursor_index = f.previous_first;
    return HLL_RAISED;
}

/* ---- Estimating: Otmar Ertl, "New cardinality estimation algorithms for HyperLogLog sketches", arXiv 1702.01284 ----
 */

static double sigma(double x)
{
    if (x == 1.) return INFINITY;
    double before, y = 1, z = x;
    do {
        x *= x;
        before = z;
        z += x * y;
        y += y;
    } while (before != z);
    return z;
}

static double tau(double x)
{
    if (x == 0. || x == 1.) return 0.;
    double before, y = 1, z = 1 - x;
    do {
        x = sqrt(x);
        before = z;
        y *= 0.5;
        z -= pow(1 - x, 2) * y;
    } while (before != z);
    return z / 3;
}

/* Counts the registers per value. Uses several tables, since successive increments of one counter would wait for one
 * another. */
static void histogram_of(const struct hll_registers *r, unsigned histogram[64])
{
    enum { TABLES = 8 };
    uint16_t part[TABLES][64] = {{0}};
    for (size_t i = 0; i < HLL_REGISTERS; i += TABLES) {
        uint64_t values;
        memcpy(&values, r->value + i, sizeof(values));
        for (size_t k = 0; k < TABLES; k++) part[k][values >> (8 * k) & 63]++;
    }
    for (size_t v = 0; v < 64; v++) {
        histogram[v] = 0;
        for (size_t k = 0; k < TABLES; k++) histogram[v] += part[k][v];
    }
}

uint64_t hll_estimate(const struct hll_registers *r)
{
    const double m = HLL_REGISTERS, alpha = 0.721347520444481703680; /* 1 / (2 ln 2) */
    unsigned histogram[64];
    histogram_of(r, histogram);
    double z = m * tau((m - histogram[RANK_BITS + 1]) / m);
    for (int value = RANK_BITS; value >= 1; value--) {
        z += histogram[value];
        z *= 0.5;
    }
    z += m * sigma(histogram[0] / m);
    return (uint64_t)llroundl(alpha * m * m / z);
}
