#include "tests/simulation/sim_memory.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "storage/base/assert.h"
#include "storage/base/bytes.h"
#include "storage/base/memory.h"
#include "tests/simulation/world.h"

enum {
    ARENAS_MAX = 24,
    CLASSES_MAX = 160,
    GROUP_BITS = 2, /* four sizes for each doubling, as jemalloc has them */
    LIVE = 0x11fe,
    FREE = 0xdead,
    ALIGNED = 0xa119,
    GAP = 0x6a9,
    NATURAL_MAX = 4096, /* blocks whose size is a power of two up to this are aligned to it, as jemalloc's are */
};

#define ARENA_BYTES ((size_t)4 << 30)
#define ARENA_BASE  ((uintptr_t)0x100000000000)
/* Memory above this is given back to the system when a heap is emptied. */
#define KEPT_BYTES ((size_t)16 << 20)

/* In front of each block. */
struct head {
    uint32_t class; /* of sizes */
    uint32_t state; /* LIVE, FREE; GAP: `class` bytes of nothing; ALIGNED: a second head in front of an aligned
                     * address, with `site` the block */
    void *site;     /* who allocated it */
};
_Static_assert(sizeof(struct head) == 16, "blocks are aligned to 16 bytes");

#ifdef LOCKSTEP_SANITIZE
struct link {
    struct link *next, *previous;
    struct sim_arena *arena;
    size_t size;
    void *site;
    size_t offset; /* from malloc()'s address to the block */
};
#endif

struct sim_arena {
    bool taken;
    size_t blocks, bytes;
#ifdef LOCKSTEP_SANITIZE
    struct link all;
#else
    char *start, *next, *touched; /* `touched`: the highest that `next` ever was */
    void *free[CLASSES_MAX];
#endif
};

/* The last one is the world's. */
static struct sim_arena arenas[ARENAS_MAX + 1];

static struct sim_arena *current(void)
{
    return sim.process != NULL ? sim.process->arena : &arenas[ARENAS_MAX];
}

/* ---- sizes ---- */

/* 16, 32, ... 128, then four sizes for each doubling. */
static unsigned class_of(size_t size)
{
    if (size <= 128) return size == 0 ? 0 : (unsigned)((size - 1) / 16);
    unsigned bits = 63 - (unsigned)__builtin_clzll(size - 1); /* 2^bits < size <= 2^(bits + 1) */
    unsigned step = (unsigned)((size - 1) >> (bits - GROUP_BITS)) & 3;
    return 8 + (bits - 7) * 4 + step;
}

static size_t class_size(unsigned class)
{
    if (class < 8) return (class + 1) * (size_t)16;
    unsigned bits = 7 + (class - 8) / 4, step = (class - 8) % 4;
    return ((size_t)4 + step + 1) << (bits - GROUP_BITS);
}

size_t mem_good_size(size_t size)
{
    return class_size(class_of(size));
}

#ifndef LOCKSTEP_SANITIZE

/* ---- heaps at fixed addresses ---- */

static void map_arena(struct sim_arena *a)
{
    void *wanted = (void *)(ARENA_BASE + (uintptr_t)(a - arenas) * ARENA_BYTES);
    a->start = mmap(wanted, ARENA_BYTES, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
    if (a->start != wanted) {
        fprintf(stderr, "the simulator cannot have its heap at %p\n", wanted);
        abort();
    }
    a->next = a->touched = a->start;
}

static struct sim_arena *arena_of(const void *block)
{
    return &arenas[((uintptr_t)block - ARENA_BASE) / ARENA_BYTES];
}

static void empty(struct sim_arena *a)
{
    if (a->next > a->touched) a->touched = a->next;
    if (a->touched > a->start + KEPT_BYTES) {
        madvise(a->start + KEPT_BYTES, (size_t)(a->touched - a->start) - KEPT_BYTES, MADV_DONTNEED);
        a->touched = a->start + KEPT_BYTES;
    }
    a->next = a->start;
    a->blocks = a->bytes = 0;
    memset(a->free, 0, sizeof(a->free));
}

static struct head *head_of(const void *block)
{
    return (struct head *)block - 1;
}

static size_t natural_alignment(size_t taken)
{
    return taken >= 32 && taken <= NATURAL_MAX && (taken & (taken - 1)) == 0 ? taken : 16;
}

static void *cut_block(struct sim_arena *a, size_t taken)
{
    size_t alignment = natural_alignment(taken);
    uintptr_t at = (uintptr_t)(a->next + sizeof(struct head));
    size_t gap = (alignment - at % alignment) % alignment;
    if (a->next + gap + sizeof(struct head) + taken > a->start + ARENA_BYTES) return NULL;
    if (gap > 0) *(struct head *)a->next = (struct head){.class = (uint32_t)gap, .state = GAP};
    a->next += gap + sizeof(struct head) + taken;
    return a->next - taken;
}

static void *allocate(size_t size, void *site)
{
    struct sim_arena *a = current();
    unsigned class = class_of(size);
    if (size > ARENA_BYTES / 2) return NULL;
    if (a->start == NULL) map_arena(a);
    size_t taken = class_size(class);
    void *block = a->free[class];
    if (block != NULL) {
        a->free[class] = *(void **)block;
    } else {
        block = cut_block(a, taken);
        if (block == NULL) return NULL;
    }
    *head_of(block) = (struct head){.class = class, .state = LIVE, .site = site};
    a->blocks++;
    a->bytes += taken;
    return block;
}

static void *raw_block(void *block)
{
    struct head *h = head_of(block);
    return h->state == ALIGNED ? h->site : block;
}

void mem_free(void *ptr)
{
    if (ptr == NULL) return;
    void *block = raw_block(ptr);
    struct head *h = head_of(block);
    struct sim_arena *a = arena_of(block);
    ASSERT(h->state == LIVE);
    if (sim.process != NULL && sim.process->is_child && a != sim.process->arena) return;
    h->state = FREE;
    a->blocks--;
    a->bytes -= class_size(h->class);
    *(void **)block = a->free[h->class];
    a->free[h->class] = block;
}

size_t mem_usable_size(const void *ptr)
{
    if (ptr == NULL) return 0;
    char *block = raw_block((void *)ptr);
    return class_size(head_of(block)->class) - (size_t)((const char *)ptr - block);
}

static void *reallocate(void *ptr, size_t size, void *site)
{
    if (ptr == NULL) return allocate(size, site);
    size_t had = mem_usable_size(ptr);
    bool foreign = arena_of(ptr) != current();
    if (!foreign && class_of(size) == head_of(raw_block(ptr))->class && raw_block(ptr) == ptr) return ptr;
    void *moved = allocate(size, site);
    if (moved == NULL) return NULL;
    memcpy(moved, ptr, had < size ? had : size);
    mem_free(ptr);
    return moved;
}

void *mem_alloc_aligned(size_t alignment, size_t size)
{
    if (alignment <= 16) return mem_alloc(size);
    char *block = allocate(size + alignment, __builtin_return_address(0));
    ASSERT(block != NULL);
    char *aligned = (char *)(((uintptr_t)block + alignment - 1) & ~(uintptr_t)(alignment - 1));
    if (aligned == block) return block;
    *head_of(aligned) = (struct head){.state = ALIGNED, .site = block};
    return aligned;
}

/* Blocks lie one behind the other, each with its head. */
static size_t list_live(const struct sim_arena *a, void **sites, size_t *sizes, size_t max)
{
    size_t count = 0;
    for (char *at = a->start; at < a->next && count < max;) {
        const struct head *h = (const struct head *)at;
        if (h->state == GAP) {
            at += h->class;
            continue;
        }
        if (h->state == LIVE) {
            sites[count] = h->site;
            sizes[count++] = class_size(h->class);
        }
        at += sizeof(*h) + class_size(h->class);
    }
    return count;
}

#else

/* ---- with the sanitizers: malloc()'s blocks in a list ---- */

static void empty(struct sim_arena *a)
{
    while (a->all.next != NULL && a->all.next != &a->all) {
        struct link *l = a->all.next;
        a->all.next = l->next;
        l->next->previous = &a->all;
        free((char *)(l + 1) - l->offset);
    }
    a->blocks = a->bytes = 0;
}

static struct link *link_of(const void *block)
{
    return (struct link *)block - 1;
}

static void *allocate_aligned(size_t alignment, size_t size, void *site)
{
    struct sim_arena *a = current();
    size_t offset = (sizeof(struct link) + alignment - 1) & ~(alignment - 1);
    char *memory;
    if (posix_memalign((void **)&memory, alignment, offset + (size == 0 ? 1 : size)) != 0) return NULL;
    struct link *l = link_of(memory + offset);
    if (a->all.next == NULL) a->all.next = a->all.previous = &a->all;
    *l = (struct link){
        .next = a->all.next, .previous = &a->all, .arena = a, .size = size, .site = site, .offset = offset};
    l->next->previous = a->all.next = l;
    a->blocks++;
    a->bytes += size;
    return l + 1;
}

static void *allocate(size_t size, void *site)
{
    size_t taken = mem_good_size(size);
    return allocate_aligned(taken >= 32 && taken <= NATURAL_MAX && (taken & (taken - 1)) == 0 ? taken : 16, size, site);
}

void mem_free(void *ptr)
{
    if (ptr == NULL) return;
    struct link *l = link_of(ptr);
    if (sim.process != NULL && sim.process->is_child && l->arena != sim.process->arena) return;
    l->next->previous = l->previous;
    l->previous->next = l->next;
    l->arena->blocks--;
    l->arena->bytes -= l->size;
    free((char *)ptr - l->offset);
}

size_t mem_usable_size(const void *ptr)
{
    return ptr == NULL ? 0 : link_of(ptr)->size;
}

static void *reallocate(void *ptr, size_t size, void *site)
{
    void *moved = allocate(size, site);
    if (ptr == NULL || moved == NULL) return moved;
    size_t had = link_of(ptr)->size;
    memcpy(moved, ptr, had < size ? had : size);
    mem_free(ptr);
    return moved;
}

void *mem_alloc_aligned(size_t alignment, size_t size)
{
    return allocate_aligned(alignment < 16 ? 16 : alignment, size, __builtin_return_address(0));
}

static size_t list_live(const struct sim_arena *a, void **sites, size_t *sizes, size_t max)
{
    size_t count = 0;
    for (struct link *l = a->all.next; l != NULL && l != &a->all && count < max; l = l->next) {
        sites[count] = l->site;
        sizes[count++] = l->size;
    }
    return count;
}

#endif

/* ---- memory.h ---- */

void *mem_alloc(size_t size)
{
    void *block = allocate(size, __builtin_return_address(0));
    ASSERT(block != NULL);
    return block;
}

void *mem_calloc(size_t size)
{
    void *block = allocate(size, __builtin_return_address(0));
    ASSERT(block != NULL);
    return memset(block, 0, size);
}

void *mem_realloc(void *ptr, size_t size)
{
    void *block = reallocate(ptr, size, __builtin_return_address(0));
    ASSERT(block != NULL);
    return block;
}

void *mem_try_alloc(size_t size)
{
    return allocate(size, __builtin_return_address(0));
}

void *mem_try_realloc(void *ptr, size_t size)
{
    return reallocate(ptr, size, __builtin_return_address(0));
}

void mem_free_sized(void *ptr, size_t size)
{
    (void)size;
    mem_free(ptr);
}

char *mem_strdup(const char *s)
{
    size_t size = strlen(s) + 1;
    void *copy = allocate(size, __builtin_return_address(0));
    ASSERT(copy != NULL);
    return memcpy(copy, s, size);
}

size_t mem_used(void)
{
    return current()->bytes;
}

void mem_thread_register(void) {}
void mem_thread_unregister(void) {}

/* ---- sim_memory.h ---- */

struct sim_arena *sim_arena_take(void)
{
    for (size_t i = 0; i < ARENAS_MAX; i++) {
        if (arenas[i].taken) continue;
        arenas[i].taken = true;
        return &arenas[i];
    }
    ASSERT(!"too many processes");
    return NULL;
}

void sim_arena_give_back(struct sim_arena *a)
{
    empty(a);
    a->taken = false;
}

size_t sim_arena_blocks(const struct sim_arena *a)
{
    return a->blocks;
}

size_t sim_arena_bytes(const struct sim_arena *a)
{
    return a->bytes;
}

void sim_arena_describe(const struct sim_arena *a, struct bytes_buf *out)
{
    void *sites[8];
    size_t sizes[8], count = list_live(a, sites, sizes, 8);
    for (size_t i = 0; i < count; i++) {
        Dl_info info = {0};
        bool known = dladdr(sites[i], &info) != 0 && info.dli_sname != NULL;
        bytes_buf_printf(out, "%s%zu bytes of %s", i > 0 ? ", " : "", sizes[i], known ? info.dli_sname : "?");
        if (!known && info.dli_fbase != NULL)
            bytes_buf_printf(out, " (+0x%zx)", (size_t)((char *)sites[i] - (char *)info.dli_fbase));
    }
}
