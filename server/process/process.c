#include "server/process/process.h"

#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <unistd.h>
#ifndef LOCKSTEP_SANITIZE
#include <jemalloc/jemalloc.h>
#endif

#include "storage/base/num.h"

/* ---- Version ---- */

/* The linker's build id: a digest of the linked program, the same for equal builds only. */
static int find_build_id(struct dl_phdr_info *info, size_t size, void *out)
{
    for (int i = 0; i < info->dlpi_phnum; i++) {
        if (info->dlpi_phdr[i].p_type != PT_NOTE) continue;
        const ElfW(Nhdr) *note = (const void *)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr);
        if (note->n_type != NT_GNU_BUILD_ID || note->n_namesz != 4 || note->n_descsz < PROCESS_BUILD_ID_CHARS / 2)
            continue;
        const unsigned char *id = (const unsigned char *)(note + 1) + note->n_namesz;
        for (int j = 0; j < PROCESS_BUILD_ID_CHARS / 2; j++) snprintf((char *)out + 2 * j, 3, "%02x", id[j]);
        break;
    }
    return 1; /* stops the iteration: the program itself comes first */
}

void process_build_id(char out[PROCESS_BUILD_ID_CHARS + 1])
{
    memset(out, '0', PROCESS_BUILD_ID_CHARS);
    out[PROCESS_BUILD_ID_CHARS] = '\0';
    dl_iterate_phdr(find_build_id, out);
}

void process_allocator(char *out, size_t cap)
{
#ifdef LOCKSTEP_SANITIZE
    snprintf(out, cap, "libc");
#else
    const char *version = "";
    size_t len = sizeof(version);
    if (mallctl("version", &version, &len, NULL, 0) != 0) version = "";
    snprintf(out, cap, "jemalloc-%.*s", (int)strcspn(version, "-"), version);
#endif
}

void process_print_version(struct bytes_buf *out)
{
    char build[PROCESS_BUILD_ID_CHARS + 1], allocator[64];
    process_build_id(build);
    process_allocator(allocator, sizeof(allocator));
    bytes_buf_printf(out, "Lockstep server v=%s sha=00000000:0 malloc=%s bits=%d build=%s lockstep=%s\n",
                     LOCKSTEP_REDIS_VERSION, allocator, (int)sizeof(long) * CHAR_BIT, build, LOCKSTEP_VERSION);
}

void process_print_help(struct bytes_buf *out)
{
    static const char text[] =
        "Usage: lockstep-server [/path/to/redis.conf] [options] [-]\n"
        "       lockstep-sentinel /path/to/sentinel.conf, or lockstep-server /path/to/sentinel.conf --sentinel\n"
        "       lockstep-server -                 the configuration comes from standard input\n"
        "       lockstep-server -v | --version\n"
        "       lockstep-server -h | --help\n"
        "       lockstep-server --check-system    look for settings of this machine that would hurt\n"
        "       lockstep-server --check-rdb FILE  check an RDB file, as redis-check-rdb does\n"
        "       lockstep-server --check-aof [--fix] [--truncate-to-timestamp SECONDS] FILE\n"
        "                                         check and mend an append-only file or its manifest, as redis-check-aof\n"
        "                                         does; both go by the names lockstep-check-rdb and lockstep-check-aof too\n"
        "\n"
        "Any directive of redis.conf can be given as an option, and wins over the file:\n"
        "       lockstep-server --port 7777 --replicaof 127.0.0.1 6379\n"
        "       lockstep-server /etc/redis/redis.conf --loglevel verbose --save \"\"\n"
        "       echo 'maxmemory 128mb' | lockstep-server -\n";
    bytes_buf_append(out, text, sizeof(text) - 1);
}

/* ---- Supervision ---- */

static enum process_supervisor supervisor_of(int supervised)
{
    bool any = supervised == SUPERVISED_AUTO;
    if ((any && getenv("UPSTART_JOB") != NULL) || supervised == SUPERVISED_UPSTART) return PROCESS_UPSTART;
    if ((any && getenv("NOTIFY_SOCKET") != NULL) || supervised == SUPERVISED_SYSTEMD) return PROCESS_SYSTEMD;
    return PROCESS_UNSUPERVISED;
}

static enum process_supervisor supervised_by_upstart(struct log *lg)
{
    if (getenv("UPSTART_JOB") == NULL) {
        log_warning(lg, "upstart supervision requested, but UPSTART_JOB not found");
        return PROCESS_UNSUPERVISED;
    }
    log_notice(lg, "supervised by upstart, will stop to signal readiness");
    raise(SIGSTOP);
    unsetenv("UPSTART_JOB");
    return PROCESS_UPSTART;
}

static enum process_supervisor supervised_by_systemd(struct log *lg)
{
    if (getenv("NOTIFY_SOCKET") == NULL) {
        log_warning(lg, "systemd supervision requested, but NOTIFY_SOCKET not found");
        return PROCESS_UNSUPERVISED;
    }
    log_notice(
        lg,
        "supervised by systemd. Readiness is reported once the dataset is loaded: see to it that TimeoutStartSec and "
        "TimeoutStopSec of the unit leave time for that, and for a save on the way out.");
    (void)process_systemd_notify("STATUS=Loading...\n"); /* optional: only READY=1 matters */
    return PROCESS_SYSTEMD;
}

enum process_supervisor process_supervise(int supervised, struct log *lg)
{
    switch (supervisor_of(supervised)) {
    case PROCESS_UPSTART: return supervised_by_upstart(lg);
    case PROCESS_SYSTEMD: return supervised_by_systemd(lg);
    case PROCESS_UNSUPERVISED: break;
    }
    return PROCESS_UNSUPERVISED;
}

/* A path, or with a leading '@' a name in the abstract namespace. */
static bool notify_address(struct sockaddr_un *addr, socklen_t *len)
{
    const char *path = getenv("NOTIFY_SOCKET");
    *addr = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (path == NULL || (path[0] != '/' && path[0] != '@') || strlen(path) >= sizeof(addr->sun_path)) return false;
    memcpy(addr->sun_path, path, strlen(path));
    if (path[0] == '@') addr->sun_path[0] = '\0';
    *len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
    return true;
}

bool process_systemd_notify(const char *state)
{
    struct sockaddr_un addr;
    socklen_t len;
    if (!notify_address(&addr, &len)) return false;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd == -1) return false;
    ssize_t n = sendto(fd, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *)&addr, len);
    close(fd);
    return n == (ssize_t)strlen(state);
}

/* ---- Daemon ---- */

int process_daemonize(void)
{
    pid_t pid = fork();
    if (pid == -1) return -errno;
    if (pid != 0) _exit(0); /* not exit(): the child flushes the buffered output */
    setsid();
    int fd = open("/dev/null", O_RDWR, 0);
    if (fd == -1) return 0; /* not fatal: the terminal stays open */
    dup2(fd, STDIN_FILENO);
    dup2(fd, STDOUT_FILENO);
    dup2(fd, STDERR_FILENO);
    if (fd > STDERR_FILENO) close(fd);
    return 0;
}

/* Locks the file while this process lives. Children do not inherit fcntl() locks, so a snapshot child that outlives a
 * crash of its parent does not keep the lock. */
static int lock_pidfile(int fd, pid_t *holder)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(fd, F_SETLK, &lock) == 0) return 0;
    int rc = -errno;
    if (rc != -EACCES && rc != -EAGAIN) return 0; /* a file system without locks */
    *holder = fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK ? lock.l_pid : 0;
    return -EWOULDBLOCK;
}

/* 0 or -errno; -EWOULDBLOCK: the running process *holder has locked it. */
static int fill_pidfile(int fd, pid_t *holder)
{
    char text[16];
    int len = snprintf(text, sizeof(text), "%d\n", (int)getpid());
    int rc = lock_pidfile(fd, holder);
    if (rc != 0) return rc;
    if (ftruncate(fd, 0) == -1) return -errno;
    ssize_t n = pwrite(fd, text, (size_t)len, 0);
    return n == len ? 0 : n == -1 ? -errno : -ENOSPC;
}

/* A symbolic link stays; its target is the pid file. */
static int open_pidfile(struct process_pidfile *pf, const char *path, pid_t *holder)
{
    char *real = realpath(path, NULL);
    int rc = made_file_begin(&pf->made, real != NULL ? real : path);
    free(real);
    if (rc != 0) return rc;
    pf->fd = openat(pf->made.dir_fd, pf->made.name, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    rc = pf->fd == -1 ? -errno : fill_pidfile(pf->fd, holder);
    if (rc == 0) rc = made_file_note(&pf->made);
    if (rc == 0) return 0;
    made_file_forget(&pf->made);
    if (pf->fd != -1) close(pf->fd);
    return rc;
}

void process_pidfile_write(struct process_pidfile *pf, const char *path, struct log *lg)
{
    pid_t holder = 0;
    if (path == NULL) path = PROCESS_DEFAULT_PIDFILE;
    *pf = (struct process_pidfile){.fd = -1};
    int rc = open_pidfile(pf, path, &holder);
    if (rc == -EWOULDBLOCK)
        log_warning(lg, "The PID file %s belongs to the running process %d: it is left as it is", path, (int)holder);
    else if (rc != 0)
        log_warning(lg, "Failed to write PID file: %s", strerror(-rc));
}

void process_pidfile_remove(struct process_pidfile *pf, struct log *lg)
{
    if (pf->made.name == NULL) return;
    if (made_file_is_ours(&pf->made)) log_notice(lg, "Removing the pid file.");
    (void)made_file_remove(&pf->made); /* fails if the file is gone or no longer ours, which is fine */
    close(pf->fd);
}

int process_change_dir(void *ctx, const char *path, char *absolute, size_t cap)
{
    if (chdir(path) == -1) return -errno;
    return getcwd(absolute, cap) != NULL ? 0 : -errno;
}

/* ---- Descriptors ---- */

/* Raises the soft limit to `wanted`, and the hard limit if that is allowed. Returns the soft limit afterwards. */
static rlim_t raise_open_files(rlim_t wanted, int *error)
{
    struct rlimit now;
    *error = 0;
    if (getrlimit(RLIMIT_NOFILE, &now) == -1) {
        *error = errno;
        return 1024;
    }
    if (now.rlim_cur >= wanted) return now.rlim_cur;
    struct rlimit more = {.rlim_cur = wanted, .rlim_max = wanted > now.rlim_max ? wanted : now.rlim_max};
    if (setrlimit(RLIMIT_NOFILE, &more) == 0) return wanted;
    *error = errno;
    more = (struct rlimit){.rlim_cur = now.rlim_max, .rlim_max = now.rlim_max};
    return setrlimit(RLIMIT_NOFILE, &more) == 0 ? more.rlim_cur : now.rlim_cur;
}

static unsigned lowered_maxclients(unsigned maxclients, unsigned reserved, unsigned long long limit, int error,
                                   struct log *lg)
{
    unsigned long long wanted = (unsigned long long)maxclients + reserved;
    if (limit <= reserved) {
        log_warning(
            lg,
            "Your current 'ulimit -n' of %llu is not enough for the server to start. Please increase your open file "
            "limit to at least %llu. Exiting.",
            limit, wanted);
        return 0;
    }
    unsigned fits = (unsigned)(limit - reserved);
    log_warning(lg, "You requested maxclients of %u requiring at least %llu max file descriptors.", maxclients, wanted);
    log_warning(lg, "Server can't set maximum open files to %llu because of OS error: %s.", wanted, strerror(error));
    log_warning(
        lg,
        "Current maximum open files is %llu. maxclients has been reduced to %u to compensate for low ulimit. If you "
        "need higher maxclients increase 'ulimit -n'.",
        limit, fits);
    return fits;
}

unsigned process_adjust_open_files(unsigned maxclients, unsigned others, struct log *lg)
{
    struct rlimit before = {0};
    unsigned reserved = PROCESS_RESERVED_FDS + others;
    rlim_t wanted = (rlim_t)maxclients + reserved;
    int error;
    (void)getrlimit(RLIMIT_NOFILE, &before); /* only for the log line */
    rlim_t limit = raise_open_files(wanted, &error);
    if (limit < wanted) return lowered_maxclients(maxclients, reserved, limit, error, lg);
    if (before.rlim_cur < wanted)
        log_notice(lg, "Increased maximum number of open files to %llu (it was originally set to %llu).",
                   (unsigned long long)wanted, (unsigned long long)before.rlim_cur);
    return maxclients;
}

/* ---- Advice ---- */

static bool read_line(const char *path, char *buf, size_t cap)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) return false;
    bool got = fgets(buf, (int)cap, file) != NULL;
    fclose(file);
    return got;
}

static bool check_overcommit(struct log *lg)
{
    char line[64];
    if (!read_line("/proc/sys/vm/overcommit_memory", line, sizeof(line)) || atoi(line) == 1) return true;
    log_warning(
        lg,
        "WARNING Memory overcommit must be enabled! Without it a background save or a full synchronization may fail "
        "while memory is short. Add 'vm.overcommit_memory = 1' to /etc/sysctl.conf and run "
        "'sysctl vm.overcommit_memory=1'.");
    return false;
}

static bool check_backlog(int tcp_backlog, struct log *lg)
{
    char line[64];
    if (tcp_backlog <= 0 || !read_line("/proc/sys/net/core/somaxconn", line, sizeof(line))) return true;
    int somaxconn = atoi(line);
    if (somaxconn <= 0 || somaxconn >= tcp_backlog) return true;
    log_warning(
        lg,
        "WARNING: The TCP backlog setting of %d cannot be enforced because /proc/sys/net/core/somaxconn is set to the "
        "lower value of %d.",
        tcp_backlog, somaxconn);
    return false;
}

bool process_check_system(int tcp_backlog, struct log *lg)
{
    bool overcommit = check_overcommit(lg), backlog = check_backlog(tcp_backlog, lg);
    return overcommit && backlog;
}

/* Before Linux 5.8, a write to a huge page that is shared with a child copied the whole page. */
static bool huge_pages_are_copied_whole(void)
{
    struct utsname kernel;
    int major, minor;
    if (uname(&kernel) != 0 || sscanf(kernel.release, "%d.%d", &major, &minor) != 2) return true;
    return major < 5 || (major == 5 && minor < 8);
}

void process_choose_page_size(bool disable_thp, struct log *lg)
{
    if (!disable_thp && !huge_pages_are_copied_whole()) return;
    if (prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) == -1)
        log_warning(lg, "WARNING Can't disable Transparent Huge Pages for this process: %s", strerror(errno));
}

/* ---- The out-of-memory killer's score ---- */

static int oom_read(int *out)
{
    char line[32];
    if (!read_line("/proc/self/oom_score_adj", line, sizeof(line))) return -EIO;
    *out = atoi(line);
    return 0;
}

static int oom_write(int score)
{
    char text[16];
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd == -1) return -errno;
    int len = snprintf(text, sizeof(text), "%d", score);
    ssize_t n = write(fd, text, (size_t)len);
    int rc = n == len ? 0 : n == -1 ? -errno : -EIO;
    close(fd);
    return rc;
}

static int oom_clamp(int score)
{
    return score > 1000 ? 1000 : score < -1000 ? -1000 : score;
}

int process_set_oom_score(struct process_oom *oom, const struct settings_process *st, enum process_oom_role role)
{
    if (st->oom_score_adj == OOM_SCORE_NO) {
        if (!oom->adjusted) return 0;
        oom->adjusted = false;
        return oom_write(oom->base);
    }
    if (!oom->adjusted) {
        int rc = oom_read(&oom->base);
        if (rc != 0) return rc;
        oom->adjusted = true;
    }
    int score = st->oom_score_adj_values[role];
    if (st->oom_score_adj == OOM_SCORE_RELATIVE) score += oom->base;
    return oom_write(oom_clamp(score));
}

/* ---- Processors ---- */

struct cpu_range {
    int64_t first, last, stride;
};

static bool take_int(const char **at, int64_t *out)
{
    size_t digits = strspn(*at, "0123456789");
    if (!num_parse_i64(bytes_view(*at, digits), out)) return false;
    *at += digits;
    return true;
}

/* "3", "0-7" or "0-30:2" */
static bool take_range(const char **at, struct cpu_range *r)
{
    if (!take_int(at, &r->first)) return false;
    *r = (struct cpu_range){.first = r->first, .last = r->first, .stride = 1};
    if (**at == '-') {
        (*at)++;
        if (!take_int(at, &r->last)) return false;
        if (**at == ':') {
            (*at)++;
            if (!take_int(at, &r->stride)) return false;
        }
    }
    return r->first <= r->last && r->last < CPU_SETSIZE && r->stride > 0;
}

int process_pin_to_cpus(const char *cpulist)
{
    if (cpulist == NULL || *cpulist == '\0') return 0;
    cpu_set_t set;
    CPU_ZERO(&set);
    for (const char *at = cpulist;; at++) {
        struct cpu_range r;
        if (!take_range(&at, &r)) return -EINVAL;
        for (int64_t cpu = r.first; cpu <= r.last; cpu += r.stride) CPU_SET((size_t)cpu, &set);
        if (*at == '\0') break;
        if (*at != ',') return -EINVAL;
    }
    return sched_setaffinity(0, sizeof(set), &set) == 0 ? 0 : -errno;
}
