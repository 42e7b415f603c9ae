/* process.h -- the life of the process: background, pid file, supervision, descriptors, memory advice, version.
 *
 * Everything here concerns the one process that a server runs in; a server object that shares its process (simulator,
 * unit tests) does without. Not here: the title (process_title.h), the crash report (process_crash.h), and signals that
 * stop the server, which the event loop turns into events. */
#ifndef LOCKSTEP_SERVER_PROCESS_PROCESS_H
#define LOCKSTEP_SERVER_PROCESS_PROCESS_H

#include "server/process/settings_process.h"
#include "storage/base/bytes.h"
#include "storage/base/log.h"
#include "storage/base/made_file.h"

#define LOCKSTEP_VERSION       "0.1.0"
#define LOCKSTEP_REDIS_VERSION "7.2.4" /* the level of behaviour, reported as redis_version */

/* ---- Version ---- */
void process_print_version(struct bytes_buf *out); /* "Lockstep server v=7.2.4 sha=... malloc=... bits=64 build=...
                                                      lockstep=0.1.0": tools look for the third word */
void process_print_help(struct bytes_buf *out);
enum { PROCESS_BUILD_ID_CHARS = 16 };
void process_build_id(char out[PROCESS_BUILD_ID_CHARS + 1]); /* hexadecimal digits that differ between builds */
void process_allocator(char *out, size_t cap);               /* "jemalloc-5.3.0" */

/* ---- Becoming a daemon, and being supervised ---- */

enum process_supervisor { PROCESS_UNSUPERVISED = 0, PROCESS_SYSTEMD, PROCESS_UPSTART };
/* Looks at the environment as `supervised` asks; upstart is told at once (SIGSTOP), systemd when ready. Logs what it
 * found. A supervised process must not daemonize. */
enum process_supervisor process_supervise(int supervised, struct log *lg);
/* sd_notify's datagram, e.g. "READY=1\nSTATUS=Ready to accept connections\n", "STOPPING=1\n". false when there is no
 * socket to send to. */
bool process_systemd_notify(const char *state);
/* Forks and leaves the terminal; the parent exits. 0 in the child, or -errno with nothing changed. */
NODISCARD int process_daemonize(void);
/* The pid file: to be written when daemonized or when one is named (NULL: the default one). A failure is logged and
 * does not stop the start, as with Redis. It is locked while the process lives: the file of a running server is neither
 * overwritten nor removed. Removing does nothing when nothing was written, or when another file has the name by now. */
struct process_pidfile {
    int fd; /* holds the lock */
    struct made_file made;
};
void process_pidfile_write(struct process_pidfile *pf, const char *path, struct log *lg);
void process_pidfile_remove(struct process_pidfile *pf, struct log *lg);
#define PROCESS_DEFAULT_PIDFILE "/var/run/redis.pid"

/* ---- Limits and advice of the system ---- */

/* Raises RLIMIT_NOFILE to maxclients plus what the server itself needs; returns the maxclients that fit (possibly
 * fewer; it logs so), or 0 when not even one does. */
unsigned process_adjust_open_files(unsigned maxclients, struct log *lg);
enum { PROCESS_RESERVED_FDS = 32 };
/* Overcommit, and a listen queue shorter than tcp_backlog (0: not looked at): logs a warning for each that
 * is set in a way that hurts; true when none is. */
bool process_check_system(int tcp_backlog, struct log *lg);
/* Huge pages are kept from this process if so asked, or if the kernel is too old to share them well with a child. */
void process_choose_page_size(bool disable_thp, struct log *lg);
int process_change_dir(void *ctx, const char *path, char *absolute, size_t cap); /* for config_hooks.change_dir */
/* `server_cpulist` and its like, "0-3,8,10-20:2": pins the calling thread. 0 or -errno; NULL or "" does nothing. */
NODISCARD int process_pin_to_cpus(const char *cpulist);

enum process_oom_role { PROCESS_OOM_MASTER = 0, PROCESS_OOM_REPLICA, PROCESS_OOM_CHILD };
/* What the process's own score was before we first changed it. Start from zero. */
struct process_oom {
    bool adjusted;
    int base;
};
/* Writes /proc/self/oom_score_adj as the settings say, or restores it when they are switched off. 0 or -errno. */
NODISCARD int process_set_oom_score(struct process_oom *oom, const struct settings_process *st,
                                    enum process_oom_role role);

#endif
