#include "server/persistence/loading.h"

#include "server/clients/key_waits.h"
#include "storage/base/memory.h"
#include "storage/rdb_load.h"

struct loading {
    struct core *core;
    struct key_waits *key_waits;
    const struct rdb_load *rdb; /* knows how far it is, or NULL: */
    uint64_t loaded_bytes;
    uint64_t total_bytes;
    int64_t started_s;
};

struct loading *loading_new(struct core *core, struct key_waits *key_waits)
{
    struct loading *l = mem_calloc(sizeof(*l));
    l->core = core;
    l->key_waits = key_waits;
    return l;
}

void loading_free(struct loading *l)
{
    mem_free(l);
}

void loading_begin(struct loading *l, bool serves_reads, uint64_t total_bytes)
{
    l->rdb = NULL;
    l->loaded_bytes = 0;
    l->total_bytes = total_bytes;
    l->started_s = l->core->clock.now_ms / 1000;
    modes_loading_begins(l->core, serves_reads);
}

void loading_read_by(struct loading *l, const struct rdb_load *rdb)
{
    l->rdb = rdb;
}

void loading_progress(struct loading *l, uint64_t loaded_bytes)
{
    l->loaded_bytes = loaded_bytes;
}

void loading_end(struct loading *l)
{
    l->rdb = NULL;
    modes_loading_ends(l->core);
    key_waits_all_ready(l->key_waits);
}

bool loading_is_receiving(const struct loading *l)
{
    return l->rdb != NULL;
}

void loading_info(const struct loading *l, struct bytes_buf *out)
{
    if (!l->core->modes.loading) return;
    uint64_t loaded = l->rdb != NULL ? rdb_load_offset(l->rdb) : l->loaded_bytes;
    uint64_t memory = l->rdb != NULL ? rdb_load_info(l->rdb)->used_memory : 0;
    double share = l->total_bytes > 0 ? (double)loaded / (double)l->total_bytes : 0;
    int64_t elapsed = l->core->clock.now_ms / 1000 - l->started_s;
    int64_t left = share > 0 ? (int64_t)((double)elapsed / share) - elapsed : 0;
    bytes_buf_printf(out,
                     "loading_start_time:%lld\r\nloading_total_bytes:%llu\r\nloading_rdb_used_mem:%llu\r\n"
                     "loading_loaded_bytes:%llu\r\nloading_loaded_perc:%.2f\r\nloading_eta_seconds:%lld\r\n",
                     (long long)l->started_s, (unsigned long long)l->total_bytes, (unsigned long long)memory,
                     (unsigned long long)loaded, share * 100, (long long)left);
}
