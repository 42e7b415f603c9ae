/* config.h -- the registry of directives: every directive is a row of data, and CONFIG GET, SET, REWRITE, the file and
 * the command line all go by it.
 *
 *     redis.conf, stdin, argv --> config_file.c --> words --> row->set --> struct settings (plain fields) <-- everybody
 * reads ^                          | CONFIG SET ---------------------------------- words row->apply --> struct
 * config_hooks --> subsystems
 *
 * Use, in main():
 *     struct settings *st = mem_calloc(sizeof(*st));
 *     struct config *cfg = config_new(st, sys, &hooks);             every built-in row registered, every field at its
 * default config_register(cfg, rows, count, &my_settings, &my_hooks);   a subsystem's own rows, before loading int rc =
 * config_load(cfg, argc, argv, &start);                a file, stdin and overrides if (rc != CONFIG_START_RUN) return
 * start.exit_code;           it has printed what there was to print While running, the handlers of CONFIG call
 * config_get(), config_set_many() and config_rewrite().
 *
 * Loading only stores values (and changes to `dir`, through the hook); the other hooks run for CONFIG SET alone, after
 * all values are stored. A hook that fails makes CONFIG SET restore every value and run the hooks of the restored
 * values again. Invariant: a field always holds a value that its row's checks accepted. Ownership: config owns all
 * strings it puts into settings; the settings struct itself is the caller's and outlives it. */
#ifndef LOCKSTEP_SERVER_CONFIG_CONFIG_H
#define LOCKSTEP_SERVER_CONFIG_CONFIG_H

#include "server/config/config_file.h"
#include "server/config/settings.h"

struct config; /* opaque */

/* ---- Rows ---- */

enum config_kind {
    CONFIG_BOOL,    /* bool: yes, no */
    CONFIG_INT,     /* int */
    CONFIG_UINT,    /* unsigned */
    CONFIG_I64,     /* int64_t */
    CONFIG_U64,     /* uint64_t */
    CONFIG_SIZE,    /* size_t */
    CONFIG_ENUM,    /* int: one of `names`, or several where CONFIG_FLAG_BITS */
    CONFIG_STRING,  /* char * */
    CONFIG_SPECIAL, /* whatever `special` makes of it */
};

enum config_flag {
    CONFIG_FLAG_IMMUTABLE = 1 << 0,    /* only in the file and on the command line */
    CONFIG_FLAG_PROTECTED = 1 << 1,    /* CONFIG SET only where enable-protected-configs allows */
    CONFIG_FLAG_SENSITIVE = 1 << 2,    /* the value is kept out of logs */
    CONFIG_FLAG_MULTI_ARG = 1 << 3,    /* takes several words in a file; CONFIG SET splits its one argument */
    CONFIG_FLAG_HIDDEN = 1 << 4,       /* CONFIG GET only under its full name; not in redis.conf.example */
    CONFIG_FLAG_NO_EFFECT = 1 << 5,    /* accepted, kept, reported; changes nothing, and redis.conf.example says so */
    CONFIG_FLAG_DENY_LOADING = 1 << 6, /* refused while a dataset is being loaded */
    CONFIG_FLAG_FILE_ONLY =
        1 << 7, /* a line of the file that CONFIG GET and SET do not know (user, rename-command, ...) */
    CONFIG_FLAG_EMPTY_NULL = 1 << 8, /* strings: "" is stored as NULL */
    CONFIG_FLAG_MEMORY = 1 << 9,     /* numbers: units k, kb, m, mb, g, gb */
    CONFIG_FLAG_PERCENT = 1 << 10,   /* with MEMORY: "5%" is stored as -5 */
    CONFIG_FLAG_OCTAL = 1 << 11,
    CONFIG_FLAG_BITS = 1 << 12,           /* enums: several names, or-ed */
    CONFIG_FLAG_VARIADIC = 1 << 13,       /* a file may repeat the line, each adding to the value (save) */
    CONFIG_FLAG_ONLY_DEFAULT = 1 << 14,   /* any value but the default is refused, with `refusal` as the reason */
    CONFIG_FLAG_ALWAYS_REWRITE = 1 << 15, /* CONFIG REWRITE writes it even at its default */
    CONFIG_FLAG_NO_REWRITE = 1 << 16,
    CONFIG_FLAG_BINARY = 1 << 17,       /* strings: any bytes; the field holds them as bytes_to_text() writes them */
    CONFIG_FLAG_ALIAS_HIDDEN = 1 << 18, /* CONFIG GET shows the alias only under its full name: Redis 7.2 has none */
};

struct config_enum {
    const char *name; /* NULL ends the list */
    int value;
};

/* Where lines of CONFIG REWRITE go: one call a line, in the directive's syntax. */
struct config_rewriter;
void config_rewrite_line(struct config_rewriter *rw, const char *name, struct bytes_view line, bool force);
/* An included file has a line of this directive too. */
bool config_rewrite_is_included(const struct config_rewriter *rw);
/* The lines to come stand behind all others, includes among them. */
void config_rewrite_at_end(struct config_rewriter *rw);

/* How a special row reads and writes itself. `target` is the registration's target plus the row's offset. */
struct config_special {
    /* The words after the name, at least one unless MULTI_ARG. 0, or config_fail(). All or nothing. */
    int (*set)(struct config *cfg, void *target, char **words, size_t count, struct config_error *err);
    void (*get)(const struct config *cfg, const void *target, struct bytes_buf *out);
    /* NULL: one line "name <what get gives, quoted where it must be>". */
    void (*rewrite)(const struct config *cfg, const void *target, const char *name, struct config_rewriter *rw);
    void (*release)(void *target); /* frees what set() allocated; may be NULL */
};

struct config_directive {
    const char *name;
    const char *alias; /* the other name it answers to, or NULL */
    enum config_kind kind;
    unsigned flags;  /* enum config_flag */
    size_t offset;   /* of the field in the registration's target */
    const char *def; /* the default, as it would stand in the file; parsed when registered */
    int64_t min;     /* numbers, both inclusive */
    uint64_t max;
    const struct config_enum *names;
    const struct config_special *special;
    /* A check of a value that already has the right form; NULL: none. Strings come as text, numbers as *number, which
     * it may move into a range that is narrower than min and max. 0, or config_fail(). */
    int (*check)(const struct config *cfg, const char *text, int64_t *number, struct config_error *err);
    size_t apply;        /* offset of the hook in the registration's hooks, by CONFIG_HOOK(); 0: none */
    const char *refusal; /* for ONLY_DEFAULT */
};

/* ---- Hooks: how the rest of the server learns that a value has changed. NULL is skipped. ----
 * Each hook reads the new values from settings. 0, or config_fail(err, ...) to have the whole CONFIG SET undone. */
typedef int config_hook_fn(void *ctx, struct config_error *err);
struct config_hooks {
    void *ctx;                          /* first member, so that offset 0 means "no hook" */
    config_hook_fn *bind_changed;       /* bind; "Failed to bind to specified addresses." */
    config_hook_fn *port_changed;       /* port; "Unable to listen on this port. Check server logs." */
    config_hook_fn *keepalive_changed;  /* tcp-keepalive */
    config_hook_fn *log_changed;        /* loglevel */
    config_hook_fn *crash_log_changed;  /* crash-log-enabled */
    config_hook_fn *proc_title_changed; /* proc-title-template */
    config_hook_fn *locale_changed;     /* locale-collate; "Invalid locale" */
    config_hook_fn *allocator_changed;  /* jemalloc-bg-thread */
    config_hook_fn *oom_score_changed;  /* oom-score-adj, oom-score-adj-values */
    config_hook_fn *maxclients_changed; /* may refuse for want of descriptors */
    config_hook_fn
        *client_limits_changed; /* client-output-buffer-limit, client-query-buffer-limit, maxmemory-clients */
    config_hook_fn *tracking_limit_changed; /* tracking-table-max-keys */
    config_hook_fn *requirepass_changed;    /* the default user's password */
    config_hook_fn *maxmemory_changed;      /* maxmemory, maxmemory-policy, maxmemory-samples, -tenacity */
    config_hook_fn *modes_changed;  /* lfu-*, lazyfree-lazy-expire and -server-del: what the keyspace does by itself */
    config_hook_fn *limits_changed; /* any encoding threshold */
    config_hook_fn *expire_changed; /* active-expire-effort */
    config_hook_fn *save_changed;   /* save */
    config_hook_fn *persistence_changed;  /* dbfilename, rdb-*, stop-writes-on-bgsave-error, sanitize-dump-payload */
    config_hook_fn *appendonly_changed;   /* may fail to begin the rewrite that it takes */
    config_hook_fn *aof_changed;          /* aof-disable-auto-gc */
    config_hook_fn *backlog_changed;      /* repl-backlog-size, repl-backlog-ttl */
    config_hook_fn *replication_changed;  /* any other repl-*, replica-*, masterauth, masteruser */
    config_hook_fn *min_replicas_changed; /* min-replicas-to-write, min-replicas-max-lag */
    config_hook_fn *slowlog_changed;      /* slowlog-* */
    config_hook_fn *latency_changed;      /* latency-* */
    config_hook_fn *hz_changed;           /* hz, dynamic-hz */
    config_hook_fn *notify_changed;       /* notify-keyspace-events */
    /* Loading too: changes the process's directory and writes its absolute name. 0 or -errno. NULL: `dir` is stored as
     * written (several servers in one process share one working directory). See process_change_dir(). */
    int (*change_dir)(void *ctx, const char *path, char *absolute, size_t cap);
    /* Loading, for rename-command: the name that the command called `from` was built in with, where it may be called
     * `to` from now on ("": nothing any more). NULL with *refusal set: there is no such command, or `to` is taken.
     * `before` are the lines so far, with built-in names. Without this hook all names are taken. See
     * command_table_rename(). */
    const char *(*renamed)(void *ctx, const struct renamed_command *before, size_t count, const char *from,
                           const char *to, const char **refusal);
    /* The file is about to be written anew: config_note_users() is to say which users there are. */
    void (*users_wanted)(void *ctx);
};
#define CONFIG_HOOK(member) offsetof(struct config_hooks, member)

/* ---- Life ---- */

/* `settings` need not be initialised; *hooks is copied. */
struct config *config_new(struct settings *settings, const struct sys *sys, const struct config_hooks *hooks);
void config_free(struct config *cfg); /* frees the strings in settings too */
/* Once the subsystems exist: replaces the hooks given to config_new(). */
void config_set_hooks(struct config *cfg, const struct config_hooks *hooks);
/* Adds a subsystem's rows and gives every target its default. `hooks` begins with `void *ctx`; rows, target and hooks
 * outlive cfg. A name that is already taken is a bug and stops the process. */
void config_register(struct config *cfg, const struct config_directive *rows, size_t count, void *target,
                     const void *hooks);

/* ---- Loading ---- */

enum config_start_result { CONFIG_START_RUN = 0, CONFIG_START_EXIT };
struct config_start {
    int exit_code;
    int argc_options; /* how many arguments were given: 0 means that no configuration was named at all */
    bool from_stdin;
};
/* All of a start: parses the command line, answers --version and --help, reads the file, standard input and overrides.
 * Prints errors to standard error in the shape that tools look for. */
enum config_start_result config_load(struct config *cfg, int argc, char **argv, struct config_start *out);
/* The same for a text; *failure says where and why on -EINVAL. */
NODISCARD int config_load_text(struct config *cfg, struct bytes_view text, struct config_failure *failure);
/* "\n*** FATAL CONFIG FILE ERROR ..." */
void config_failure_print(const struct config_failure *failure, struct bytes_buf *out);
/* The absolute path of the file it was loaded from, or NULL. */
const char *config_path(const struct config *cfg);

/* ---- Running ---- */

/* Calls `each` once for every directive, by name and by alias, that one of the patterns matches (glob,
 * case-insensitive). */
void config_get(const struct config *cfg, const struct bytes_view *patterns, size_t count, void *ctx,
                void (*each)(void *ctx, const char *name, struct bytes_view value));
/* The value under that exact name: false when there is none. */
bool config_get_one(const struct config *cfg, const char *name, struct bytes_buf *out);

/* A password or the like: its value must not be shown. */
bool config_is_sensitive(const struct config *cfg, struct bytes_view name);

struct config_set_context {
    bool protected_allowed; /* this client may set protected directives (enable-protected-configs) */
    bool loading;
};
/* name, value, name, value...: all or nothing. 0, or -EINVAL with err->text the whole error reply without the '-',
 * e.g. "ERR CONFIG SET failed (possibly related to argument 'hz') - ...". */
NODISCARD int config_set_many(struct config *cfg, const struct bytes_view *pairs, size_t pair_count,
                              const struct config_set_context *how, struct config_error *err);
/* Writes the file anew: comments and order stay, values differing from their default are added at the end, and so are
 * those that a line of an included file would change at the next start (included files are never written to). Atomic: a
 * temporary file, fsync, rename, fsync of the directory. 0 or -errno; -ENOENT when there is no file (config_path()
 * NULL); -EINVAL when a value cannot be written on one line. */
NODISCARD int config_rewrite(struct config *cfg, struct config_error *err);
void config_rewrite_force_all(struct config *cfg); /* the next config_rewrite() writes every directive (DEBUG) */
/* REPLICAOF and promotion keep settings.replication.master_* current through this; host NULL: no master. */
void config_note_master(struct config *cfg, const char *host, int port);
/* Whoever keeps users in memory hands the lines "user ..." for CONFIG REWRITE here; the words are copied. */
void config_note_users(struct config *cfg, const struct user_line *users, size_t count);
void config_users_release(struct user_line *users, size_t count);
/* Sets a directive from inside the server (a lowered maxclients), as a file would. */
NODISCARD int config_set_internal(struct config *cfg, const char *name, const char *value, struct config_error *err);

/* Every registered name, for documentation tests: `alias` names another row's alternative. */
void config_each_row(const struct config *cfg, void *ctx, void (*each)(void *ctx, const struct config_directive *row));
/* A value as CONFIG GET prints the flags of notify-keyspace-events; and back: -1 for an unknown letter. */
void config_notify_to_text(unsigned flags, struct bytes_buf *out);
int config_notify_from_text(const char *text);
/* "64mb" and its like. 0 or -EINVAL (bad form, or does not fit). */
NODISCARD int config_parse_memory(const char *text, uint64_t *out);

#endif
