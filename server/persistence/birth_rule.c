#include "server/persistence/birth_rule.h"

size_t birth_replica_count(const struct lineage_record *before)
{
    int64_t since_s = before->written_ms / 1000 - (int64_t)BIRTH_REPLICA_DAYS * 24 * 3600;
    size_t count = 0;
    for (size_t i = 0; i < before->replica_count; i++) count += before->replicas[i].seen_s >= since_s;
    return count;
}

static bool has_lost_data(const struct birth_facts *f)
{
    return f->before != NULL && f->before->keys > 0 && !f->before->flushed && !f->has_loaded;
}

enum birth_verdict birth_judge(const struct birth_facts *f)
{
    if (f->policy == SAFE_BIRTH_NO || f->role != REPL_MASTER || !has_lost_data(f)) return BIRTH_OPEN;
    if (birth_replica_count(f->before) == 0) return BIRTH_OPEN;
    return f->policy == SAFE_BIRTH_YES || f->before->sentinel_count > 0 ? BIRTH_REFUSED : BIRTH_WARN;
}
