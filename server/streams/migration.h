/* migration.h -- keys on their way to another server: what MIGRATE does while its client waits.
 *
 *     cmd_migrate() -> migration_new(), migration_add() for each key -> migration_start() -> the client is blocked
 *       connect -> [AUTH] [SELECT], answered -> RESTORE for each key, answered -> on the list of those that are over
 *     migrations_serve(), in the turn of the loop -> cmd_migrate() once more: deletes what was taken over, and answers
 *
 * Nothing waits inside a handler, so other clients go on meanwhile, and may write to the keys. The promise is that a
 * key is deleted only if what the target took over is what is there: a key that changed since it was sent stays, and
 * the error says so. The keyspace's hooks tell of changes; while nothing is under way they cost a comparison. The
 * deletion is a run of the command like any other: it waits while writes are paused, and it is refused if this server
 * has become a replica.
 * Connections are kept for ten seconds, for the next MIGRATE to the same target with the same credentials. One that
 * turns out to be dead when it is used again is replaced by a new one, once, if it had not answered anything yet.
 * Timeouts: as MIGRATE's argument says, for each time in which nothing moves; a transfer as a whole may take longer.
 * Ownership: a migration is its client's (blocked.data) and ends with it: if the client goes, the keys stay. */
#ifndef LOCKSTEP_SERVER_STREAMS_MIGRATION_H
#define LOCKSTEP_SERVER_STREAMS_MIGRATION_H

#include "server/clients/client.h"
#include "storage/keyspace.h"

struct migrations; /* opaque: those under way, and the connections that are kept */
struct migration;  /* opaque */

struct migrations *migrations_new(struct core *core);
void migrations_free(struct migrations *ms);
size_t migrations_cached_links(const struct migrations *ms);

struct migration_target { /* borrowed until migration_new() returns */
    struct bytes_view host;
    int port, db;
    int64_t timeout_ms;
    bool replace;
    bool has_user, has_password;
    struct bytes_view user, password;
};

struct migration *migration_new(struct migrations *ms, struct client *c, const struct migration_target *to);
void migration_add(struct migration *m, struct db *db, const struct entry *e);
/* 0: migrations_serve() will run the client's command again. Else it failed at once, as migration_error() says. */
NODISCARD int migration_start(struct migration *m);
void migration_free(struct migration *m);

/* --- of one that is over --- */
enum migrated { MIGRATED_NOT, MIGRATED, MIGRATED_BUT_CHANGED };
size_t migration_count(const struct migration *m);
enum migrated migration_key(const struct migration *m, size_t i, struct bytes_view *name);
const char *migration_error(const struct migration *m); /* to be answered, or NULL */
/* Changes of its keys are its own from now on. */
void migration_settle(struct migration *m);

void migrations_serve(struct migrations *ms); /* if DUE_MIGRATIONS is set */

#endif
