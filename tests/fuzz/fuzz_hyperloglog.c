/* fuzz_hyperloglog.c -- any string: either it is no HyperLogLog, or every call is safe on it and reads what was set. */
#include "storage/hyperloglog.h"

#include <errno.h>

#include "storage/base/assert.h"
#include "storage/base/memory.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RAISES = 16, MAX_BYTES = 3000 };

struct hll_copy {
    struct hll_sparse hll;
    struct hll_registers registers;
    bool good;
};

static void read_registers(struct hll_copy *c)
{
    memset(&c->registers, 0, sizeof(c->registers));
    int rc = hll_merge(&c->registers, bytes_view(c->hll.data, c->hll.len));
    ASSERT(rc == 0 || rc == -EBADMSG);
    ASSERT((rc == 0) == c->good);
}

static void check_dense(const struct hll_copy *c)
{
    char dense[HLL_DENSE_SIZE];
    struct hll_registers again = {0};
    hll_write_dense(&c->registers, c->hll.data, dense);
    ASSERT(hll_is_one(bytes_view(dense, sizeof(dense))));
    ASSERT(hll_merge(&again, bytes_view(dense, sizeof(dense))) == 0);
    for (size_t i = 0; i < HLL_REGISTERS; i++) ASSERT(again.value[i] == (c->registers.value[i] & 63));
    (void)hll_estimate(&again);
}

static bool raise(struct hll_copy *c, struct hll_place place)
{
    unsigned was = c->registers.value[place.index];
    int rc = hll_sparse_raise(&c->hll, place, MAX_BYTES);
    if (rc == HLL_MUST_BE_DENSE) return false;
    ASSERT(rc == HLL_RAISED || rc == HLL_UNCHANGED || (rc == -EBADMSG && !c->good));
    read_registers(c);
    if (!c->good) return true;
    ASSERT((rc == HLL_RAISED) == (was < place.value));
    ASSERT(c->registers.value[place.index] == (was < place.value ? place.value : was));
    return true;
}

static void walk_runs(struct bytes_view hll)
{
    size_t at = HLL_HEADER_SIZE;
    struct hll_run run;
    while (hll_next_run(hll, &at, &run) == 1) ASSERT(at <= hll.len && run.length >= 1 && run.length <= HLL_REGISTERS);
}

static void change_sparse(const uint8_t *data, size_t size)
{
    struct hll_copy c = {.hll = {.data = mem_alloc(size + RAISES * HLL_SPARSE_GROWTH), .len = size}};
    struct hll_registers r = {0};
    memcpy(c.hll.data, data, size);
    c.good = hll_merge(&r, bytes_view(data, size)) == 0;
    read_registers(&c);
    if (c.good) check_dense(&c);
    walk_runs(bytes_view(data, size));
    for (size_t i = 0; i < RAISES && i + 3 <= size; i++) {
        const uint8_t *p = data + size - i - 3;
        struct hll_place place = {.index = (unsigned)(p[0] << 8 | p[1]) % HLL_REGISTERS, .value = 1 + p[2] % 40u};
        if (!raise(&c, place)) break;
    }
    mem_free(c.hll.data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *hll = mem_alloc(size + HLL_EMPTY_SIZE);
    (void)hll_is_one(bytes_view(data, size));
    hll_write_empty(hll); /* a valid header, so that each input passes that check */
    memcpy(hll + HLL_HEADER_SIZE, data, size);
    struct hll_place place = hll_place_of(bytes_view(data, size));
    ASSERT(place.index < HLL_REGISTERS && place.value >= 1 && place.value <= 51);
    change_sparse((const uint8_t *)hll, size + HLL_HEADER_SIZE);
    mem_free(hll);
    return 0;
}
