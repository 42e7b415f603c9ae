/* process.h -- the process: daemon, pid file, supervision, descriptors, memory advice, version.
 *
 * A server object that does not own its process (unit tests) calls none of this. Not here: the title (process_title.h),
 * the crash report (process_crash.h), and signals that stop the server, which the event loop turns into events. */
#ifndef LOCKSTEP_SERVER_PROCESS_PROCESS_H
#define LOCKSTEP_SERVER_PROCESS_PROCESS_H

#include "server/process/settings_process.h"
#include "storage/base/bytes.h"
#include "storage/base/log.h"
#include "storage/base/made_file.h"

#define LOCKSTEP_VERSION       "0.1.0"
#define LOCKSTEP_REDIS_VERSION "7.2.4" /* the level of behaviour, reported as redis_version */

/* ---- Version ---- */
/* "Lockstep server v=7.2.4 sha=... malloc=... bits=64 build=... lockstep=0.1.0"; tools parse the third word. */
void process_print_version(struct bytes_buf *out);
void process_print_help(struct bytes_buf *out);
enum { PROCESS_BUILD_ID_CHARS = 16 };
void process_build_id(char out[PROCESS_BUILD_ID_CHARS + 1]); /* hexadecimal digits that differ between builds */
void process_allocator(char *out, size_t cap);               /* "jemalloc-5.3.0" */

/* ---- Becoming a daemon, and being supervised ---- */

enum process_supervisor { PROCESS_UNSUPERVISED = 0, PROCESS_SYSTEMD, PROCESS_UPSTART };
/* `supervised` (enum settings_supervised) names the supervisor, or AUTO looks for one in the environment. Logs the
 * result. Upstart is notified at once (SIGSTOP), systemd when the server is ready. A supervised process must not
 * daemonize. */
enum process_supervisor process_supervise(int supervised, struct log *lg);
/* Sends a datagram as sd_notify does: "READY=1\nSTATUS=Ready to accept connections\n", "STOPPING=1\n". False if there
 * is no socket or the send fails. */
bool process_systemd_notify(const char *state);
/* Forks and detaches from the terminal; the parent exits. 0 in the child, or -errno with nothing changed. */
NODISCARD int process_daemonize(void);
/* The pid file; path NULL is the default. A failure is logged and does not stop the start, as with Redis. The file is
 * locked while the process lives: another server neither overwrites nor removes it. process_pidfile_remove() does
 * nothing if no file was written or if the name now belongs to another file. */
struct process_pidfile {
    int fd; /* holds the lock */
    struct made_file made;
};
void process_pidfile_write(struct process_pidfile *pf, const char *path, struct log *lg);
void process_pidfile_remove(struct process_pidfile *pf, struct log *lg);
#define PROCESS_DEFAULT_PIDFILE "/var/run/redis.pid"

/* ---- Limits and advice of the system ---- */

/* Raises RLIMIT_NOFILE to maxclients plus PROCESS_RESERVED_FDS plus `others`, for connections that are no clients.
 * Returns maxclients, or the smaller number that the system allows (logged), or 0 if it allows none. */
unsigned process_adjust_open_files(unsigned maxclients, unsigned others, struct log *lg);
enum { PROCESS_RESERVED_FDS = 32 };
/* Checks the system's overcommit setting, and whether its listen queue is as long as tcp_backlog (0: not checked). Logs
 * a warning for each bad setting. True if there is none. */
bool process_check_system(int tcp_backlog, struct log *lg);
/* Disables transparent huge pages for this process if disable_thp is set or the kernel is older than 5.8. */
void process_choose_page_size(bool disable_thp, struct log *lg);
int process_change_dir(void *ctx, const char *path, char *absolute, size_t cap); /* for config_hooks.change_dir */
/* Pins the calling thread to a list of processors such as "0-3,8,10-20:2". 0 or -errno; NULL and "" do nothing. */
NODISCARD int process_pin_to_cpus(const char *cpulist);

enum process_oom_role { PROCESS_OOM_MASTER = 0, PROCESS_OOM_REPLICA, PROCESS_OOM_CHILD };
/* The oom score before the first change. Initialised with zeros. */
struct process_oom {
    bool adjusted;
    int base;
};
/* Writes /proc/self/oom_score_adj by the settings for this role; with oom-score-adj no, restores the score from before
 * the first change. 0 or -errno. */
NODISCARD int process_set_oom_score(struct process_oom *oom, const struct settings_process *st,
                                    enum process_oom_role role);

#endif
