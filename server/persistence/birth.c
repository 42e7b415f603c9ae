#include "server/persistence/birth.h"

#include <inttypes.h>

#include "replication/replication.h"
#include "server/core/core.h"
#include "server/persistence/birth_rule.h"
#include "server/persistence/lineage.h"
#include "storage/base/log.h"
#include "storage/base/memory.h"

struct birth {
    struct core *core;
    struct lineage *lineage;
    bool accepts_empty; /* of our master, once */
};

struct birth *birth_new(struct core *core, struct lineage *lineage)
{
    struct birth *b = mem_calloc(sizeof(*b));
    b->core = core;
    b->lineage = lineage;
    return b;
}

void birth_free(struct birth *b)
{
    mem_free(b);
}

static bool is_refused(const struct birth *b)
{
    return b->core->modes.writes_refused == WRITES_REFUSED_EMPTY;
}

static void refuse(struct birth *b)
{
    modes_refuse_writes(b->core, WRITES_REFUSED_EMPTY);
    repl_refuse_replicas(b->core->repl, "NOMASTERLINK This master came up without the data that it had");
}

static void open_up(struct birth *b, const char *why)
{
    if (!is_refused(b)) return;
    modes_refuse_writes(b->core, WRITES_NOT_REFUSED);
    repl_refuse_replicas(b->core->repl, NULL);
    log_notice(b->core->log, "Writes and replicas are not refused any more: %s.", why);
}

static void tell(const struct birth *b, const struct lineage_record *before, const char *consequence)
{
    log_warning(b->core->log,
                "This server had %" PRIu64
                " keys, which nobody flushed, and %zu replicas when it ended, and has loaded no "
                "key. %s",
                before->keys, birth_replica_count(before), consequence);
}

void birth_begin(struct birth *b, bool has_loaded)
{
    struct birth_facts facts = {.role = repl_role(b->core->repl),
                                .before = lineage_before(b->lineage),
                                .has_loaded = has_loaded,
                                .policy = (enum settings_safe_birth)b->core->settings->persistence.safe_birth};
    switch (birth_judge(&facts)) {
    case BIRTH_OPEN: return;
    case BIRTH_WARN:
        tell(
            b, facts.before,
            "It saw no sentinels, so it acts as a master all the same (safe-birth auto): replicas that synchronize with it "
            "lose what they have.");
        return;
    case BIRTH_REFUSED:
        tell(b, facts.before,
             "It refuses writes and replicas, so that a replica that has the data can be promoted, until it is told to "
             "follow another server, or gets LOCKSTEP ACCEPT EMPTY (safe-birth).");
        refuse(b);
        return;
    }
}

void birth_follows(struct birth *b)
{
    open_up(b, "this server follows another one");
}

void birth_settings_changed(struct birth *b)
{
    if (b->core->settings->persistence.safe_birth == SAFE_BIRTH_NO) open_up(b, "safe-birth is off");
}

bool birth_guards_data(const struct birth *b)
{
    int policy = b->core->settings->persistence.safe_birth;
    if (policy == SAFE_BIRTH_NO || b->accepts_empty || keyspace_count(b->core->keyspace) == 0) return false;
    return policy == SAFE_BIRTH_YES || lineage_knows_sentinels(b->lineage);
}

void birth_data_replaced(struct birth *b)
{
    b->accepts_empty = false;
}

bool birth_accept(struct birth *b)
{
    if (repl_refused_empty(b->core->repl)) {
        log_notice(b->core->log, "The empty data set of the master will be accepted.");
        return b->accepts_empty = true;
    }
    if (!is_refused(b)) return false;
    open_up(b, "the empty data set was accepted");
    lineage_flushed(b->lineage);
    return true;
}
