#include "server/memory/used_memory.h"

#include "replication/replication.h"
#include "server/clients/clients.h"
#include "server/core/core.h"
#include "storage/base/memory.h"

size_t used_memory_now(const struct used_memory *um)
{
    struct repl_memory stream;
    size_t used = mem_used();
    repl_memory(um->core->repl, &stream);
    size_t buffers = stream.replica_buffers + stream.aof_buffer + clients_leaving_memory(um->clients);
    if (um->left_out != NULL) buffers += um->left_out(um->left_out_ctx);
    return used > buffers ? used - buffers : 0;
}
