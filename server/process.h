/* process.h -- the life of the process: background, pid file, supervision, descriptors, title, crash report.
 *
 * Everything here concerns the one process that a server runs in; a server object that shares its process (simulator,
 * unit tests) does without. Only the crash handler needs state at file scope, since a signal handler has no argument:
 * see process_crash_install(). Not here: signals that stop the server, which the event loop turns into events. */
#ifndef LOCKSTEP_SERVER_PROCESS_H
#define LOCKSTEP_SERVER_PROCESS_H

#include "server/config_file.h"
#include "server/settings.h"
#include "storage/base/log.h"

#define LOCKSTEP_VERSION       "0.1.0"
#define LOCKSTEP_REDIS_VERSION "7.2.4" /* the level of behaviour, reported as redis_version */

/* ---- Command line texts ---- */
void process_print_version(struct bytes_buf *out); /* "Lockstep server v=7.2.4 sha=... malloc=... bits=64 build=..." */
void process_print_help(struct bytes_buf *out);
const char *process_build_id(void);  /* 16 hexadecimal digits that differ between builds */
const char *process_allocator(void); /* "jemalloc-5.3.0" */

/* ---- Becoming a daemon, and being supervised ---- */

enum process_supervisor { PROCESS_UNSUPERVISED = 0, PROCESS_SYSTEMD, PROCESS_UPSTART };
/* Looks at the environment as `supervised` asks; upstart is told at once (SIGSTOP), systemd when ready. Logs what it
 * found. */
enum process_supervisor process_supervise(int supervised, struct log *lg);
/* sd_notify's datagram, e.g. "READY=1\nSTATUS=Ready to accept connections". false when there is no socket to send to.
 */
bool process_systemd_notify(const char *state);
/* Forks and leaves the terminal; the parent exits. 0 in the child, or -errno with nothing changed. */
NODISCARD int process_daemonize(void);
/* The pid file: written when daemonized or when named; a failure is logged, as in Redis, and does not stop the start.
 */
void process_pidfile_write(const char *path, struct log *lg);
void process_pidfile_remove(const char *path, struct log *lg);
#define PROCESS_DEFAULT_PIDFILE "/var/run/redis.pid"

/* ---- Limits and advice of the system ---- */

/* Raises RLIMIT_NOFILE to maxclients plus what the server itself needs; returns the maxclients that fit (possibly less;
 * it logs so), or 0 when not even one does. */
unsigned process_adjust_open_files(unsigned maxclients, struct log *lg);
enum { PROCESS_RESERVED_FDS = 32 };
void process_check_system(bool tcp_backlog_check, int tcp_backlog,
                          struct log *lg); /* overcommit, THP, somaxconn: warnings */
void process_disable_thp(struct log *lg);
void process_allow_core_dumps(bool allow);
int process_change_dir(void *ctx, const char *path, char *absolute, size_t cap); /* for config_hooks.change_dir */
enum process_oom_role { PROCESS_OOM_MASTER = 0, PROCESS_OOM_REPLICA, PROCESS_OOM_CHILD };
/* Writes /proc/self/oom_score_adj. `base` is its value at start-up (process_oom_base()). 0 or -errno. */
NODISCARD int process_set_oom_score(const struct settings_process *st, enum process_oom_role role, int base);
int process_oom_base(void);
/* `server_cpulist` and its like: pins the calling thread. 0 or -errno; NULL or "" does nothing. */
NODISCARD int process_pin_to_cpus(const char *cpulist);

/* ---- The title in ps ---- */

struct process_title; /* opaque */
/* Takes over the memory of argv and environ: call it first in main(). */
struct process_title *process_title_new(int argc, char **argv);
void process_title_free(struct process_title *title);
struct process_title_values {
    const char *title;       /* NULL: argv[0] */
    const char *listen_addr; /* "127.0.0.1:6379" or "unixsocket:/..." */
    const char *server_mode; /* "" or "[sentinel]" */
    int port;
    int tls_port;
    const char *unixsocket;
    const char *config_file;
};
bool process_title_template_valid(const char *template_text);
void process_title_set(struct process_title *title, const char *template_text,
                       const struct process_title_values *values);

/* ---- Crash report ---- */

struct process_crash_hooks {
    void *ctx;
    struct log *log;
    /* Writes INFO, clients and the like to fd. Runs inside the signal handler on a damaged process, after the backtrace
     * is out: it may crash in turn, which ends the report. */
    void (*report)(void *ctx, int fd);
};
/* Handles SIGSEGV, SIGBUS, SIGFPE, SIGILL and SIGABRT: writes a report to the log, then dies of the same signal.
 * `hooks` is copied; NULL or enabled false restores the default action. */
void process_crash_install(const struct process_crash_hooks *hooks, bool enabled);

#endif
