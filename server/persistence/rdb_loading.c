#include "server/persistence/rdb_loading.h"

#include <errno.h>
#include <stdio.h>

#include "server/clients/clients.h"
#include "server/clients/tracking.h"
#include "server/config/settings.h"
#include "server/net/loop.h"
#include "server/scripting/functions.h"
#include "storage/base/memory.h"
#include "storage/lazyfree.h"
#include "storage/rdb_load.h"

struct rdb_loading {
    struct rdb_loading_uses uses;
    struct core *core;
    struct rdb_load *rdb;        /* NULL: nothing is being read */
    struct keyspace *into;       /* the server's own, or a sibling */
    struct functions *functions; /* of that keyspace: the server's own, or new ones */
    bool replace;                /* keys and libraries that exist already */
    struct bytes_buf expired;    /* database, length and name of each key that was left out */
    uint64_t last_keys, last_expired;
    char error[256];
};

struct rdb_loading *rdb_loading_new(const struct rdb_loading_uses *uses)
{
    struct rdb_loading *rl = mem_calloc(sizeof(*rl));
    rl->uses = *uses;
    rl->core = uses->core;
    return rl;
}

void rdb_loading_free(struct rdb_loading *rl)
{
    mem_free(rl);
}

/* ---- Any load ---- */

struct load_how {
    bool serves_reads;    /* the old data set is read meanwhile */
    bool aside;           /* clients see nothing of the load */
    bool keep_expired;    /* a master will send their DEL */
    bool replace;         /* keys that exist already */
    uint64_t total_bytes; /* 0: unknown */
};

/* Remembers a key that was left out: replicas that continue from the position of the file have it. */
static void note_expired(void *ctx, struct db *db, struct bytes_view key)
{
    struct rdb_loading *rl = ctx;
    uint32_t head[2] = {(uint32_t)db->id, (uint32_t)key.len};
    bytes_buf_append(&rl->expired, head, sizeof(head));
    bytes_buf_append_view(&rl->expired, key);
}

/* P11: puts the DELs of those keys into the stream, at the start once its offset is that of the file. */
static void replicate_expired(struct rdb_loading *rl)
{
    struct core *core = rl->core;
    const struct bytes_buf *list = &rl->expired;
    exec_begin(core);
    exec_no_wrap(core);
    for (size_t at = 0; at < list->len;) {
        uint32_t head[2];
        memcpy(head, list->data + at, sizeof(head));
        exec_add_delete(core, (int)head[0], bytes_view(list->data + at + sizeof(head), head[1]), false);
        at += sizeof(head) + head[1];
    }
    exec_end(core);
}

static int take_library(void *ctx, struct bytes_view source, struct bytes_buf *why)
{
    struct rdb_loading *rl = ctx;
    const char *name;
    return functions_load(rl->functions, rl->into, source, rl->replace, LIBRARY_LOAD_MS_FROM_FILE, &name, why);
}

static void load_begins(struct rdb_loading *rl, struct keyspace *into, const struct load_how *how)
{
    struct core *core = rl->core;
    const struct settings_persistence *st = &core->settings->persistence;
    struct rdb_load_options options = {.keep_expired = how->keep_expired,
                                       .replace = how->replace,
                                       .ignore_checksum = !st->rdbchecksum,
                                       .chunk = (uint64_t)st->loading_process_events_interval_bytes,
                                       .sys = core->sys,
                                       .key_delay_us = &st->key_load_delay_us,
                                       .log = core->log,
                                       .ctx = rl,
                                       .expired = note_expired,
                                       .library = take_library};
    if (!how->aside) loading_begin(rl->uses.loading, how->serves_reads, how->total_bytes);
    rl->into = into;
    rl->functions = into == core->keyspace ? functions_of(rl->uses.scripting) : functions_new(rl->uses.scripting);
    rl->replace = how->replace;
    rl->rdb = rdb_load_new(into, &options);
    loading_read_by(rl->uses.loading, rl->rdb);
}

static void load_ends(struct rdb_loading *rl)
{
    const struct rdb_load_info *info = rdb_load_info(rl->rdb);
    rl->last_keys = info->keys_loaded;
    rl->last_expired = info->keys_expired;
    rl->core->stats.payloads_checked += info->keys_loaded;
    loading_end(rl->uses.loading);
    rdb_load_free(rl->rdb);
    bytes_buf_release(&rl->expired);
    rl->rdb = NULL;
    rl->into = NULL;
    rl->functions = NULL;
}

/* ---- From a master ---- */

int rdb_loading_begin(struct rdb_loading *rl, enum repl_load_kind kind, bool empty_async,
                      const struct hash_secret *secret)
{
    struct core *core = rl->core;
    /* The child's data set is about to be replaced, and its target may be the file that is loaded. */
    if (child_kind(rl->uses.child) == CHILD_SAVE || kind == REPL_LOAD_REPLACE) saving_kill(rl->uses.saving);
    if (kind != REPL_LOAD_REPLACE) {
        load_begins(rl, keyspace_new_sibling(core->keyspace, secret),
                    &(struct load_how){.serves_reads = kind == REPL_LOAD_SWAP,
                                       .aside = kind == REPL_LOAD_ASIDE,
                                       .keep_expired = true});
    } else {
        keyspace_flush(core->keyspace, NULL, empty_async);
        functions_flush(functions_of(rl->uses.scripting), core->keyspace, empty_async ? core->lazyfree : NULL);
        if (secret != NULL) keyspace_set_secret(core->keyspace, secret);
        load_begins(rl, core->keyspace, &(struct load_how){.keep_expired = true});
    }
    return 0;
}

int rdb_loading_feed(struct rdb_loading *rl, struct bytes_view in, size_t *consumed, const char **error)
{
    switch (rdb_load_feed(rl->rdb, in, consumed)) {
    case RDB_MORE: return 0;
    case RDB_DONE: return 1;
    case RDB_ERROR: break;
    }
    snprintf(rl->error, sizeof(rl->error), "%s", rdb_load_error(rl->rdb));
    *error = rl->error;
    return -EINVAL;
}

/* Frees a whole data set, in the background thread. */
static void free_keyspace(void *taken)
{
    keyspace_free(taken);
}

static void end_aside(struct rdb_loading *rl, struct keyspace *into, struct functions *functions, bool commit)
{
    struct core *core = rl->core;
    if (commit) {
        if (child_kind(rl->uses.child) == CHILD_SAVE) saving_kill(rl->uses.saving); /* its data set is replaced now */
        keyspace_swap_data(core->keyspace, into);
        tracking_flushed(rl->uses.clients->trackings);
        functions_replace(rl->uses.scripting, functions);
    } else {
        functions_free(functions);
    }
    size_t objects = keyspace_count(into);
    lazyfree_run(core->lazyfree, free_keyspace, into, objects);
}

int rdb_loading_end(struct rdb_loading *rl, bool commit, struct repl_position *position)
{
    struct core *core = rl->core;
    struct keyspace *into = rl->into;
    struct functions *functions = rl->functions;
    if (position != NULL) position->db = rdb_load_info(rl->rdb)->repl_stream_db;
    load_ends(rl);
    if (into != core->keyspace) {
        end_aside(rl, into, functions, commit);
    } else if (!commit) {
        keyspace_flush(core->keyspace, NULL, false); /* half a data set is of no use */
        functions_flush(functions, core->keyspace, NULL);
    }
    if (commit) saving_note_loaded(rl->uses.saving);
    return 0;
}

/* ---- From dbfilename ---- */

/* Between two chunks of the file at the start: clients are answered (-LOADING), signals are seen. */
static int load_turn(void *ctx, uint64_t offset)
{
    struct core *core = ctx;
    (void)offset;
    loop_poll_turn(core->loop);
    return core->life.stopping ? -ECANCELED : 0;
}

static void restore_identity(struct core *core, const struct rdb_load_info *info)
{
    struct repl_position at = {.offset = (uint64_t)info->repl_offset, .db = info->repl_stream_db};
    if (info->repl_id[0] == '\0' || info->repl_offset < 0) return;
    snprintf(at.id, sizeof(at.id), "%s", info->repl_id);
    repl_restore_position(core->repl, &at, BYTES_LIT(""));
}

static void log_loaded(struct core *core, const struct rdb_load_info *info, int64_t took_us)
{
    log_notice(core->log, "Done loading RDB, keys loaded: %llu, keys expired: %llu.",
               (unsigned long long)info->keys_loaded, (unsigned long long)info->keys_expired);
    if (info->keys_empty > 0)
        log_warning(core->log, "Done loading RDB, empty keys skipped: %llu.", (unsigned long long)info->keys_empty);
    log_notice(core->log, "DB loaded from disk: %.3f seconds", (double)took_us / 1e6);
}

/* Loads dbfilename into the keyspace. 0, -ENOENT, or another negative code with the reason logged. */
static int load_file(struct rdb_loading *rl, int (*turn)(void *ctx, uint64_t offset), bool with_identity, bool replace)
{
    struct core *core = rl->core;
    const char *path = core->settings->persistence.dbfilename;
    bool replica = core->settings->replication.master_host != NULL;
    int64_t start = sys_mono_us(core->sys), size = core->sys->file_size(core->sys->ctx, path);
    load_begins(
        rl, core->keyspace,
        &(struct load_how){.keep_expired = replica, .replace = replace, .total_bytes = size > 0 ? (uint64_t)size : 0});
    int rc = rdb_load_file(rl->rdb, core->sys, path, turn, core);
    if (rc == 0) {
        log_loaded(core, rdb_load_info(rl->rdb), sys_mono_us(core->sys) - start);
        if (with_identity) restore_identity(core, rdb_load_info(rl->rdb));
        replicate_expired(rl);
    } else if (rc != -ENOENT) {
        log_warning(core->log, "Fatal error loading the DB, check server logs. %s: %s", path,
                    rc == -EINVAL ? rdb_load_error(rl->rdb) : strerror(-rc));
    }
    load_ends(rl);
    saving_note_loaded(rl->uses.saving);
    return rc;
}

int rdb_loading_at_start(struct rdb_loading *rl)
{
    int rc = load_file(rl, load_turn, true, false);
    if (rc == -EINVAL) log_warning(rl->core->log, "Terminating server after rdb file reading failure.");
    return rc == 0 || rc == -ENOENT ? 0 : -1;
}

int rdb_loading_reload(struct rdb_loading *rl, bool save, bool flush, bool merge)
{
    struct core *core = rl->core;
    if (loading_is_receiving(rl->uses.loading)) {
        log_warning(core->log, "A data set of the master is being loaded: nothing else can be before that is over");
        return -1;
    }
    if (save && saving_save(rl->uses.saving) != 0) return -1;
    if (flush) {
        keyspace_flush(core->keyspace, NULL, false);
        functions_flush(functions_of(rl->uses.scripting), core->keyspace, NULL);
    }
    return load_file(rl, NULL, false, merge) == 0 ? 0 : -1;
}

bool rdb_loading_is_empty(const struct rdb_loading *rl)
{
    return keyspace_count(rl->into) == 0 && libraries_count(rl->into->libraries) == 0;
}

bool rdb_loading_had_keys(const struct rdb_loading *rl)
{
    return rl->last_keys > 0 || rl->last_expired > 0;
}

/* ---- Figures ---- */

void rdb_loading_info(const struct rdb_loading *rl, struct bytes_buf *out)
{
    bytes_buf_printf(out, "rdb_last_load_keys_expired:%llu\r\nrdb_last_load_keys_loaded:%llu\r\n",
                     (unsigned long long)rl->last_expired, (unsigned long long)rl->last_keys);
}
