#include "server/net/resp_batch.h"

#include "storage/base/checked.h"
#include "storage/base/memory.h"

enum { CHUNK_SLOTS = 1023 }; /* 16 KB with the header */

struct resp_batch_chunk {
    struct resp_batch_chunk *older;
    size_t slots_count;
    struct bytes_view slots[];
};

static void use_chunk(struct resp_batch *b, struct resp_batch_chunk *chunk)
{
    b->chunks = chunk;
    b->next = chunk->slots;
    b->end = chunk->slots + chunk->slots_count;
}

static void add_chunk(struct resp_batch *b, size_t count)
{
    size_t size = checked_size_add(sizeof(struct resp_batch_chunk), checked_size_mul(count, sizeof(struct bytes_view)));
    struct resp_batch_chunk *chunk = mem_alloc(size);
    chunk->older = b->chunks;
    chunk->slots_count = count;
    use_chunk(b, chunk);
}

void resp_batch_init(struct resp_batch *b)
{
    b->chunks = NULL;
    add_chunk(b, CHUNK_SLOTS);
}

static void free_newest(struct resp_batch *b)
{
    struct resp_batch_chunk *chunk = b->chunks;
    b->chunks = chunk->older;
    mem_free(chunk);
}

void resp_batch_release(struct resp_batch *b)
{
    while (b->chunks != NULL) free_newest(b);
    *b = (struct resp_batch){0};
}

void resp_batch_reset(struct resp_batch *b)
{
    while (b->chunks->older != NULL) free_newest(b);
    use_chunk(b, b->chunks);
}

struct bytes_view *resp_batch_grow(struct resp_batch *b, size_t n)
{
    add_chunk(b, n > CHUNK_SLOTS ? n : CHUNK_SLOTS);
    return b->next;
}

char *resp_batch_bytes(struct resp_batch *b, size_t len)
{
    size_t slots = len / sizeof(struct bytes_view) + 1;
    char *bytes = (char *)resp_batch_reserve(b, slots);
    resp_batch_commit(b, slots);
    return bytes;
}
