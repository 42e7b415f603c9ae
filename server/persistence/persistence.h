/* persistence.h -- saving and loading the data set, and the one child process that may run at a time. */
#ifndef LOCKSTEP_SERVER_PERSISTENCE_PERSISTENCE_H
#define LOCKSTEP_SERVER_PERSISTENCE_PERSISTENCE_H

#include "replication/replication.h"
#include "server/house.h"

struct persistence *persistence_new(struct server *s);
void persistence_free(struct persistence *p);

/* --- start-up --- */
/* Loads dbfilename, if it is there. 0, or -1 with the reason logged: the server must not start. Restores the
 * replication id and offset. */
int persistence_load_at_start(struct server *s);

/* --- saving --- */
/* The RDB version of what is saved now: rdb-version, or a higher one that the data needs. */
int persistence_file_version(const struct server *s);
int persistence_save(struct server *s);                                        /* SAVE: 0 or -1, logged */
int persistence_bgsave(struct server *s, bool *scheduled, const char **error); /* 0; -1 with *error the reply */
void persistence_schedule_save(struct server *s); /* in the background, as soon as nothing forbids it */
/* The text to refuse writes with, and PING, by which Sentinel and HAProxy see a master that cannot save; or NULL. */
const char *persistence_write_refusal(const struct server *s);
bool persistence_child_active(const struct server *s); /* a save, or a snapshot for replicas */
void persistence_kill_child(struct server *s);
/* FLUSHALL: a background save of what is no more is given up, and the file becomes empty too where save points are set,
 * at the end of the turn: then FLUSHALL is in the stream, and the position in the file is right. */
void persistence_flushed_all(struct server *s);
void persistence_turn(struct server *s);
void persistence_cron(struct server *s); /* save points, scheduled saves */
/* The body of INFO's section. */
void persistence_info(struct server *s, struct bytes_buf *out);
uint64_t persistence_changes_since_save(const struct server *s);
uint64_t persistence_fork_count(const struct server *s);
int64_t persistence_last_fork_us(const struct server *s);
int64_t persistence_last_save_s(const struct server *s); /* Unix time */

/* --- for replication: see struct repl_host --- */
int persistence_snapshot_for_replicas(struct server *s, enum repl_snapshot_target target, unsigned omit,
                                      const struct repl_position *at, int *pipe_fd);
void persistence_snapshot_cancel(struct server *s);
int persistence_load_begin(struct server *s, enum repl_load_kind kind, bool empty_async);
int persistence_load_feed(struct server *s, struct bytes_view in, size_t *consumed, const char **error);
int persistence_load_end(struct server *s, bool commit, struct repl_position *position);

/* --- for the append-only file --- */
/* A child that writes its base to this path, of this moment, which is that place in the history: as an RDB, or as
 * commands. 0, with aof_rewrite_ended() to come; or -errno, logged. */
int persistence_start_rewrite(struct server *s, const char *path, bool as_commands, const struct repl_position *at);
/* The same in the foreground. 0 or -errno, logged. */
int persistence_write_base(struct server *s, const char *path, bool as_commands, const struct repl_position *at);
void persistence_kill_rewrite(struct server *s);
/* It is being loaded: clients get -LOADING, INFO shows how far it is. */
void persistence_load_begins(struct server *s, uint64_t total_bytes);
void persistence_load_progress(struct server *s, uint64_t loaded_bytes);
void persistence_load_ends(struct server *s);

/* A data set of our master is being loaded, perhaps aside (REPL_LOAD_ASIDE). */
bool persistence_is_receiving(const struct server *s);
/* DEBUG RELOAD: saves (unless nosave), empties (unless noflush), loads. 0 or -1. */
int persistence_reload(struct server *s, bool save, bool flush, bool merge);

#endif
