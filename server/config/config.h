/* config.h -- the registry of configuration directives, each of which is a row of data.
 *
 *     redis.conf, stdin, argv --> config_file.c --> words
 *                                                     |
 *     CONFIG SET ----------------------------------> words --> row: parse, check --> struct settings <-- all code reads
 *                                                                    |
 *                                                                    +--(CONFIG SET)--> struct config_hooks
 *
 * Use, in main():
 *     struct config *cfg = config_new(&settings, sys, &hooks);      registers the built-in rows and stores the defaults
 *     config_register(cfg, rows, count, &target, &hooks);           optional: a subsystem's own rows, before loading
 *     if (config_load(cfg, argc, argv, &start) == CONFIG_START_EXIT) return start.exit_code;
 * While the server runs, the handlers of CONFIG call config_get(), config_set_many() and config_rewrite().
 *
 * Loading stores values and runs only the hooks `change_dir` and `renamed`. CONFIG SET stores all its values and then
 * runs their hooks; if one fails, it restores all values and runs the hooks again.
 * Invariant: a field always holds a value that its row's checks accepted.
 * Ownership: the configuration owns every string in settings. The caller owns the struct, which outlives it. */
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
    CONFIG_SPECIAL, /* parsed and printed by the functions in `special` */
};

enum config_flag {
    CONFIG_FLAG_IMMUTABLE = 1 << 0,    /* CONFIG SET refuses it */
    CONFIG_FLAG_PROTECTED = 1 << 1,    /* CONFIG SET only where enable-protected-configs allows */
    CONFIG_FLAG_SENSITIVE = 1 << 2,    /* the value is kept out of logs */
    CONFIG_FLAG_MULTI_ARG = 1 << 3,    /* takes several words in a file; CONFIG SET splits its one argument */
    CONFIG_FLAG_HIDDEN = 1 << 4,       /* CONFIG GET only under its full name; not in redis.conf.example */
    CONFIG_FLAG_NO_EFFECT = 1 << 5,    /* accepted, kept, reported; changes nothing, and redis.conf.example says so */
    CONFIG_FLAG_DENY_LOADING = 1 << 6, /* refused while a dataset is being loaded */
    CONFIG_FLAG_FILE_ONLY = 1 << 7,    /* CONFIG GET and SET do not know it (user, rename-command, ...) */
    CONFIG_FLAG_EMPTY_NULL = 1 << 8,   /* strings: "" is stored as NULL */
    CONFIG_FLAG_MEMORY = 1 << 9,       /* numbers: units k, kb, m, mb, g, gb */
    CONFIG_FLAG_PERCENT = 1 << 10,     /* with MEMORY: "5%" is stored as -5 */
    CONFIG_FLAG_OCTAL = 1 << 11,
    CONFIG_FLAG_BITS = 1 << 12,           /* enums: several names, or-ed */
    CONFIG_FLAG_VARIADIC = 1 << 13,       /* a file may repeat the line; each adds to the value (save) */
    CONFIG_FLAG_ONLY_DEFAULT = 1 << 14,   /* accepts only its default; `refusal` is the reason */
    CONFIG_FLAG_ALWAYS_REWRITE = 1 << 15, /* CONFIG REWRITE writes it even at its default */
    CONFIG_FLAG_NO_REWRITE = 1 << 16,
    CONFIG_FLAG_BINARY = 1 << 17,       /* strings: any bytes; the field holds them as bytes_to_text() writes them */
    CONFIG_FLAG_ALIAS_HIDDEN = 1 << 18, /* CONFIG GET shows the alias only under its full name: Redis 7.2 has none */
    CONFIG_FLAG_VOLATILE = 1 << 19,     /* names a file: CONFIG SET runs the hook even if the value is the same */
};

struct config_enum {
    const char *name; /* NULL ends the list */
    int value;
};

/* Adds one line, in the directive's syntax, to the file that CONFIG REWRITE writes. `force` false: only if the old file
 * has a line of this directive. */
struct config_rewriter;
void config_rewrite_line(struct config_rewriter *rw, const char *name, struct bytes_view line, bool force);
/* Writes all lines of a directive that has many, which say different things ("sentinel monitor ...", "sentinel myid
 * ..."). A line that the old file has stays where it is. Another one takes the place of an old line that says the same
 * thing about the same subject, by its first words: three, or two if it has less than four. What finds no place is
 * appended. */
void config_rewrite_lines(struct config_rewriter *rw, const struct bytes_view *lines, size_t count);
/* Whether an included file has a line of this directive. */
bool config_rewrite_is_included(const struct config_rewriter *rw);
/* Drops the old file's remaining lines of this directive, so that the next lines go to the end, behind the includes. */
void config_rewrite_at_end(struct config_rewriter *rw);

/* How a special row reads and writes itself. `target` is the registration's target plus the row's offset. */
struct config_special {
    /* Parses the words after the name; at least one unless MULTI_ARG. 0, or config_fail() with *target unchanged. */
    int (*set)(struct config *cfg, void *target, char **words, size_t count, struct config_error *err);
    void (*get)(const struct config *cfg, const void *target, struct bytes_buf *out);
    /* NULL: one line with the name and the text of get(), quoted where necessary. */
    void (*rewrite)(const struct config *cfg, const void *target, const char *name, struct config_rewriter *rw);
    void (*release)(void *target); /* frees what set() allocated; may be NULL */
    /* FILE_ONLY: whether rewrite() is called now. False, or NULL: the old file's lines are kept. */
    bool (*rewrites)(const struct config *cfg);
};

struct config_directive {
    const char *name;
    const char *alias; /* a second name, or NULL */
    enum config_kind kind;
    unsigned flags;  /* enum config_flag */
    size_t offset;   /* of the field in the registration's target */
    const char *def; /* the default as text, in the syntax of the file; parsed when the row is registered */
    int64_t min;     /* numbers, both inclusive */
    uint64_t max;
    const struct config_enum *names;
    const struct config_special *special;
    /* Checks a value whose form is valid; NULL: no check. A string is in `text`. A number is in *number, which the
     * check may clamp to a narrower range than min to max. 0, or config_fail(). */
    int (*check)(const struct config *cfg, const char *text, int64_t *number, struct config_error *err);
    size_t apply;        /* offset of the hook in the registration's hooks, by CONFIG_HOOK(); 0: none */
    const char *refusal; /* for ONLY_DEFAULT */
};

/* ---- Hooks: called after CONFIG SET has changed values. NULL is skipped. ----
 * A hook reads the new values from settings. 0, or config_fail(err, ...), which undoes the whole CONFIG SET. */
typedef int config_hook_fn(void *ctx, struct config_error *err);
struct config_hooks {
    void *ctx;                        /* must be the first member: offset 0 means "no hook" */
    config_hook_fn *bind_changed;     /* bind; "Failed to bind to specified addresses." */
    config_hook_fn *port_changed;     /* other ports; "Unable to listen on this port. Check server logs." */
    config_hook_fn *tls_port_changed; /* ports of TLS; the same, or "Unable to update TLS configuration. ..." */
    config_hook_fn *tls_changed;      /* other tls-*; "Unable to update TLS configuration. Check server logs." */
    /* http-port, http-tls, proxy-protocol-*port: as tls_port_changed and maxclients_changed */
    config_hook_fn *other_port_changed;
    config_hook_fn *log_changed;        /* loglevel, log-format, log-timestamp-format */
    config_hook_fn *crash_log_changed;  /* crash-log-enabled */
    config_hook_fn *proc_title_changed; /* proc-title-template */
    config_hook_fn *locale_changed;     /* locale-collate; "Invalid locale" */
    config_hook_fn *allocator_changed;  /* jemalloc-bg-thread */
    config_hook_fn *oom_score_changed;  /* oom-score-adj, oom-score-adj-values */
    config_hook_fn *maxclients_changed; /* maxclients; fails if the system allows too few descriptors */
    /* client-output-buffer-limit, client-query-buffer-limit, proto-max-bulk-len, maxmemory-clients */
    config_hook_fn *client_limits_changed;
    config_hook_fn *tracking_limit_changed; /* tracking-table-max-keys */
    config_hook_fn *requirepass_changed;    /* requirepass */
    config_hook_fn *maxmemory_changed;      /* maxmemory, maxmemory-policy, maxmemory-samples, -tenacity */
    config_hook_fn *modes_changed;          /* lfu-*, lazyfree-lazy-expire and -server-del */
    config_hook_fn *appendonly_changed;     /* appendonly; fails if the first rewrite cannot start */
    config_hook_fn *aof_changed;            /* aof-disable-auto-gc */
    config_hook_fn *backlog_changed;        /* repl-backlog-size, repl-backlog-ttl */
    config_hook_fn *verify_changed;         /* replica-verify, replica-verify-period */
    config_hook_fn *replication_changed;    /* most of repl-*, masterauth, masteruser, bind-source-addr */
    config_hook_fn *min_replicas_changed;   /* min-replicas-to-write, min-replicas-max-lag */
    config_hook_fn *slowlog_changed;        /* slowlog-* */
    config_hook_fn *latency_changed;        /* latency-* */
    config_hook_fn *hz_changed;             /* hz, dynamic-hz */
    /* Changes the working directory of the process and writes its absolute path; called when loading too. 0 or -errno.
     * NULL: `dir` is stored as written, for several servers in one process. process_change_dir() fits. */
    int (*change_dir)(void *ctx, const char *path, char *absolute, size_t cap);
    /* Called when a line of rename-command is loaded: may the command that is now called `from` be called `to` ("":
     * removed)? Returns the command's built-in name, or NULL with *refusal set. `before` has the lines so far, with
     * built-in names. Without this hook every line is accepted. command_table_rename() fits. */
    const char *(*renamed)(void *ctx, const struct renamed_command *before, size_t count, const char *from,
                           const char *to, const char **refusal);
    /* CONFIG REWRITE begins: the hook calls config_note_users() with the users as they are now. */
    void (*users_wanted)(void *ctx);
    /* CONFIG REWRITE of a sentinel: calls `line` with each line "sentinel ..." that the file is to have. NULL: it keeps
     * those that it has. */
    void (*sentinel_lines)(void *ctx, void *to, void (*line)(void *to, const char *text));
};
#define CONFIG_HOOK(member) offsetof(struct config_hooks, member)

/* ---- Life ---- */

/* `settings` may be uninitialised; *hooks is copied. */
struct config *config_new(struct settings *settings, const struct sys *sys, const struct config_hooks *hooks);
void config_free(struct config *cfg); /* frees the strings in settings too */
/* Replaces the hooks that config_new() was given, once the subsystems exist. */
void config_set_hooks(struct config *cfg, const struct config_hooks *hooks);
/* Adds a subsystem's rows and gives every target its default. `hooks` begins with `void *ctx`; rows, target and hooks
 * outlive cfg. A name that is already taken is a bug and stops the process. */
void config_register(struct config *cfg, const struct config_directive *rows, size_t count, void *target,
                     const void *hooks);

/* Makes this the configuration of a sentinel, before it is loaded: lines "sentinel ..." are accepted, and a few
 * directives have other defaults. */
void config_be_sentinel(struct config *cfg);

/* ---- Loading ---- */

enum config_start_result { CONFIG_START_RUN = 0, CONFIG_START_EXIT };
struct config_start {
    int exit_code;
    int argc_options; /* number of arguments; 0: the server runs on defaults */
    bool from_stdin;
};
/* Parses the command line, answers --version and --help, and loads the file, standard input and options. Prints errors
 * to standard error in Redis's format. */
enum config_start_result config_load(struct config *cfg, int argc, char **argv, struct config_start *out);
/* Loads a text. 0, or -EINVAL with place and reason in *failure. */
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
/* Appends the value of the directive with exactly this name. False if there is none. */
bool config_get_one(const struct config *cfg, const char *name, struct bytes_buf *out);

/* Whether the directive's value is a secret, such as a password. */
bool config_is_sensitive(const struct config *cfg, struct bytes_view name);

struct config_set_context {
    bool protected_allowed; /* this client may set protected directives (enable-protected-configs) */
    bool loading;
};
/* Sets all of the pairs (name, value, name, value, ...) or none. 0, or -EINVAL with the error reply in err->text,
 * without the '-': "ERR CONFIG SET failed (possibly related to argument 'hz') - ...". */
NODISCARD int config_set_many(struct config *cfg, const struct bytes_view *pairs, size_t pair_count,
                              const struct config_set_context *how, struct config_error *err);
/* Rewrites the configuration file. Comments and the order of lines stay. Values that differ from their default and have
 * no line yet are appended, and so are values that a line of an included file would override at the next start
 * (included files are never written). Atomic: temporary file, fsync, rename, fsync of the directory. 0 or -errno;
 * -ENOENT without a file (config_path() is NULL); -EINVAL if a value does not fit on one line. */
NODISCARD int config_rewrite(struct config *cfg, struct config_error *err);
void config_rewrite_force_all(struct config *cfg); /* the next config_rewrite() writes every directive (DEBUG) */
/* Stores our master in settings.replication.master_*, after REPLICAOF or a promotion. host NULL: no master. */
void config_note_master(struct config *cfg, const char *host, int port);
/* Stores the lines "user ..." that CONFIG REWRITE is to write. The words are copied. */
void config_note_users(struct config *cfg, const struct user_line *users, size_t count);
void config_users_release(struct user_line *users, size_t count);
/* Sets a directive from inside the server (a lowered maxclients), as a file would. */
NODISCARD int config_set_internal(struct config *cfg, const char *name, const char *value, struct config_error *err);

/* Calls `each` for every registered row; for tests of the documentation. */
void config_each_row(const struct config *cfg, void *ctx, void (*each)(void *ctx, const struct config_directive *row));
/* The flags of notify-keyspace-events as text, and back: -1 for an unknown letter. */
void config_notify_to_text(unsigned flags, struct bytes_buf *out);
int config_notify_from_text(const char *text);
/* Parses a size such as "64mb". 0, or -EINVAL for a bad form or a number that does not fit. */
NODISCARD int config_parse_memory(const char *text, uint64_t *out);

#endif
