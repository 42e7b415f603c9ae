/* migration.h -- MIGRATE: sends keys to another server while its client is blocked.
 *
 *     cmd_migrate() -> migration_new(), migration_add() for each key -> migration_start() -> the client is blocked
 *       CONNECTING -> OPENING: [AUTH] [SELECT], answered -> SENDING: RESTORE for each key, answered -> OVER
 *     migrations_serve(), at the end of a turn -> cmd_migrate() again: deletes the keys that the target stored, answers
 *
 * Nothing waits inside a handler, so other clients continue and may change the keys.
 * Invariants: 1. A key is deleted only if it has not changed since it was sent (key_watch.h). A changed key stays, and
 *                the reply says so.
 *             2. The deletion is a run of the command like any other: a pause of writes holds it, and a server that has
 *                become a replica refuses it.
 *             3. After AUTH and SELECT nothing else is sent until both are answered.
 *             4. A kept connection that proves dead before it has answered is replaced by a new one, once. After an
 *                answer it is not: the target may have stored a key.
 * Ownership:  a migration belongs to its blocked client (blocked.data) and ends with it; then all keys stay.
 * Limits:     MIGRATE's timeout applies to each period without progress, not to the whole transfer. Up to 64 idle
 *             connections are kept for ten seconds, for the next MIGRATE with the same target and credentials.
 * Not here:   MIGRATE's arguments and reply (commands/cmd_migrate.c). */
#ifndef LOCKSTEP_SERVER_STREAMS_MIGRATION_H
#define LOCKSTEP_SERVER_STREAMS_MIGRATION_H

#include "server/clients/client.h"
#include "storage/keyspace.h"

struct tls_transport; /* server/net/conn_tls.h */
struct migrations;    /* opaque: the keys that are being sent, and idle connections */
struct migration;     /* opaque: of one client */

/* `tls`: for connections while tls-cluster is set. */
struct migrations *migrations_new(struct core *core, struct tls_transport *tls);
void migrations_free(struct migrations *ms);
size_t migrations_cached_links(const struct migrations *ms); /* idle connections */

struct migration_target { /* borrowed until migration_new() returns */
    struct bytes_view host;
    int port, db;
    int64_t timeout_ms;
    bool replace;
    bool has_user, has_password;
    struct bytes_view user, password;
};

struct migration *migration_new(struct migrations *ms, struct client *c, const struct migration_target *to);
void migration_add(struct migration *m, struct db *db, const struct entry *e); /* copies the key and its value */
/* 0: migrations_serve() will run the client's command again. Else it failed at once, with migration_error(). */
NODISCARD int migration_start(struct migration *m);
void migration_free(struct migration *m);

/* --- when it is over --- */
enum migrated { MIGRATED_NOT, MIGRATED, MIGRATED_BUT_CHANGED };
size_t migration_count(const struct migration *m);
enum migrated migration_key(const struct migration *m, size_t i, struct bytes_view *name);
const char *migration_error(const struct migration *m); /* the error to answer, or NULL */
/* Stops watching the keys: changes from now on are the command's own. */
void migration_settle(struct migration *m);

/* If DUE_MIGRATIONS is set: runs the commands of all migrations that are over, and unblocks their clients. */
void migrations_serve(struct migrations *ms);

#endif
