#include "storage/base/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "storage/base/assert.h"

static int64_t clock_us(clockid_t id)
{
    struct timespec ts;
    clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static int64_t real_wall_us(void *ctx)
{
    return clock_us(CLOCK_REALTIME);
}
static int64_t real_mono_us(void *ctx)
{
    return clock_us(CLOCK_MONOTONIC);
}

static void real_random(void *ctx, void *buf, size_t len)
{
    char *p = buf;
    while (len > 0) {
        ssize_t n = getrandom(p, len, 0);
        if (n == -1 && errno == EINTR) continue;
        ASSERT(n > 0);
        p += n;
        len -= (size_t)n;
    }
}

#define OR_ERRNO(call)                                                                                                 \
    ({                                                                                                                 \
        __auto_type rc_ = (call);                                                                                      \
        rc_ == -1 ? (__typeof__(rc_))-errno : rc_;                                                                     \
    })

static int real_open(void *ctx, const char *path, int flags, int mode)
{
    return OR_ERRNO(open(path, flags | O_CLOEXEC, mode));
}
static int real_close(void *ctx, int fd)
{
    return OR_ERRNO(close(fd));
}
static ssize_t real_read(void *ctx, int fd, void *buf, size_t len)
{
    return OR_ERRNO(read(fd, buf, len));
}
static ssize_t real_write(void *ctx, int fd, const void *buf, size_t len)
{
    return OR_ERRNO(write(fd, buf, len));
}
static ssize_t real_pread(void *ctx, int fd, void *buf, size_t len, int64_t offset)
{
    return OR_ERRNO(pread(fd, buf, len, offset));
}
static ssize_t real_pwritev(void *ctx, int fd, const struct iovec *iov, int count, int64_t offset)
{
    return OR_ERRNO(pwritev(fd, iov, count, offset));
}
static int real_truncate(void *ctx, int fd, int64_t len)
{
    return OR_ERRNO(ftruncate(fd, len));
}
static int real_start_sync(void *ctx, int fd, int64_t offset, int64_t len)
{
    return OR_ERRNO(sync_file_range(fd, offset, len, SYNC_FILE_RANGE_WRITE));
}

static int real_fsync(void *ctx, int fd)
{
    return OR_ERRNO(fsync(fd));
}
static int real_rename(void *ctx, const char *from, const char *to)
{
    return OR_ERRNO(rename(from, to));
}
static int real_link(void *ctx, const char *from, const char *to)
{
    return OR_ERRNO(link(from, to));
}
static int real_unlink(void *ctx, const char *path)
{
    return OR_ERRNO(unlink(path));
}
static int real_mkdir(void *ctx, const char *path, int mode)
{
    return OR_ERRNO(mkdir(path, (mode_t)mode));
}

static int64_t real_file_size(void *ctx, const char *path)
{
    struct stat st;
    return stat(path, &st) == -1 ? -errno : (int64_t)st.st_size;
}

static int64_t real_free_bytes(void *ctx, const char *path)
{
    struct statvfs st;
    return statvfs(path, &st) == -1 ? -errno : (int64_t)(st.f_bavail * st.f_frsize);
}

static int real_fsync_dir(void *ctx, const char *path_of_file)
{
    char copy[PATH_MAX];
    if ((size_t)snprintf(copy, sizeof(copy), "%s", path_of_file) >= sizeof(copy)) return -ENAMETOOLONG;
    int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd == -1) return -errno;
    int rc = OR_ERRNO(fsync(fd));
    close(fd);
    return rc == -EINVAL ? 0 : rc; /* some file systems cannot sync a directory */
}

static int real_pipe(void *ctx, int fds[2])
{
    return OR_ERRNO(pipe2(fds, O_CLOEXEC));
}
static int real_set_nonblocking(void *ctx, int fd)
{
    int flags = fcntl(fd, F_GETFL);
    return flags == -1 ? -errno : OR_ERRNO(fcntl(fd, F_SETFL, flags | O_NONBLOCK));
}
static int real_wait_writable(void *ctx, int fd)
{
    struct pollfd room = {.fd = fd, .events = POLLOUT};
    int rc;
    do rc = OR_ERRNO(poll(&room, 1, -1));
    while (rc == -EINTR);
    return rc < 0 ? rc : 0;
}

static pid_t real_getpid(void *ctx)
{
    return getpid();
}

/* On failure the descriptors merely stay open. */
static void close_all_but(const struct sys_child *child)
{
    unsigned from = STDERR_FILENO + 1;
    for (;;) { /* closes the gaps between the descriptors to keep, in ascending order */
        int next = -1;
        for (int i = 0; i < child->keep_count; i++) {
            if (child->keep[i] >= (int)from && (next == -1 || child->keep[i] < next)) next = child->keep[i];
        }
        if (next == -1) break;
        if ((unsigned)next > from) (void)close_range(from, (unsigned)next - 1, 0);
        from = (unsigned)next + 1;
    }
    (void)close_range(from, ~0u, 0);
}

static _Noreturn void be_child(const struct sys_child *child, pid_t parent)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)prctl(PR_SET_NAME, child->name);
    if (getppid() != parent) _exit(1); /* the parent died before prctl() */
    signal(SIGPIPE, SIG_IGN);
    if (child->nice != 0) {
        int ignored = nice(child->nice); /* best effort */
        (void)ignored;
    }
    close_all_but(child);
    _exit(child->run(child->arg));
}

static pid_t real_spawn(void *ctx, const struct sys_child *child)
{
    pid_t parent = getpid();
    ASSERT(child->keep_count <= SYS_CHILD_KEEPS_MAX);
    pid_t pid = fork();
    if (pid == 0) be_child(child, parent);
    return pid == -1 ? -errno : pid;
}

/* Signals that this process ignores would stay ignored in the program. */
static _Noreturn void be_program(char *const *argv)
{
    sigset_t none;
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    signal(SIGHUP, SIG_DFL);
    close_all_but(&(struct sys_child){.keep_count = 0});
    execv(argv[0], argv);
    _exit(2);
}

static pid_t real_run_program(void *ctx, char *const *argv)
{
    pid_t pid = fork();
    if (pid == 0) be_program(argv);
    return pid == -1 ? -errno : pid;
}

static int real_may_run(void *ctx, const char *path)
{
    struct stat st;
    if (stat(path, &st) == -1) return -errno;
    return S_ISREG(st.st_mode) ? OR_ERRNO(access(path, X_OK)) : -EACCES;
}

static int real_kill(void *ctx, pid_t pid, int signal)
{
    return OR_ERRNO(kill(pid, signal));
}
static pid_t real_waitpid(void *ctx, pid_t pid, int *status, int options)
{
    return OR_ERRNO(waitpid(pid, status, options));
}

static int64_t real_resident_bytes(void *ctx)
{
    unsigned long pages = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (f == NULL) return 0;
    if (fscanf(f, "%*u %lu", &pages) != 1) pages = 0;
    fclose(f);
    return (int64_t)pages * sysconf(_SC_PAGESIZE);
}

static int64_t real_private_bytes(void *ctx)
{
    FILE *f = fopen("/proc/self/smaps_rollup", "re");
    char line[128];
    int64_t kb = 0;
    if (f == NULL) return 0;
    while (fgets(line, sizeof(line), f) != NULL && sscanf(line, "Private_Dirty: %" SCNd64, &kb) != 1) continue;
    fclose(f);
    return kb * 1024;
}

static void real_sleep_us(void *ctx, int64_t us)
{
    struct timespec left = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};
    while (nanosleep(&left, &left) == -1 && errno == EINTR) continue;
}

const struct sys *sys_real(void)
{
    static const struct sys real = {
        .wall_us = real_wall_us,
        .mono_us = real_mono_us,
        .random = real_random,
        .open = real_open,
        .close = real_close,
        .read = real_read,
        .write = real_write,
        .pread = real_pread,
        .pwritev = real_pwritev,
        .truncate = real_truncate,
        .fsync = real_fsync,
        .start_sync = real_start_sync,
        .rename = real_rename,
        .link = real_link,
        .unlink = real_unlink,
        .mkdir = real_mkdir,
        .file_size = real_file_size,
        .free_bytes = real_free_bytes,
        .fsync_dir = real_fsync_dir,
        .pipe = real_pipe,
        .set_nonblocking = real_set_nonblocking,
        .wait_writable = real_wait_writable,
        .getpid = real_getpid,
        .spawn = real_spawn,
        .run_program = real_run_program,
        .may_run = real_may_run,
        .kill = real_kill,
        .waitpid = real_waitpid,
        .resident_bytes = real_resident_bytes,
        .private_bytes = real_private_bytes,
        .sleep_us = real_sleep_us,
    };
    return &real;
}

void sys_test_delay(const struct sys *s, int64_t delay_us, int64_t *calls)
{
    if (delay_us > 0) {
        s->sleep_us(s->ctx, delay_us);
    } else if (delay_us < 0 && --*calls <= delay_us) {
        *calls = 0;
        s->sleep_us(s->ctx, 1);
    }
}

int sys_write_all(const struct sys *s, int fd, const void *buf, size_t len)
{
    const char *p = buf;
    while (len > 0) {
        ssize_t n = s->write(s->ctx, fd, p, len);
        if (n == -EINTR) continue;
        if (n < 0) return (int)n;
        p += n;
        len -= (size_t)n;
    }
    return 0;
}

/* splitmix64 spreads a seed over the state, as the authors of the generator recommend. */
void rng_seed(struct rng *r, uint64_t seed)
{
    for (int i = 0; i < 4; i++) {
        uint64_t z = (seed += 0x9e3779b97f4a7c15u);
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        r->s[i] = z ^ (z >> 31);
    }
}

static uint64_t rotate_left(uint64_t x, int bits)
{
    return (x << bits) | (x >> (64 - bits));
}

uint64_t rng_next(struct rng *r)
{
    uint64_t *s = r->s, result = rotate_left(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate_left(s[3], 45);
    return result;
}

uint64_t rng_below(struct rng *r, uint64_t bound)
{
    ASSERT(bound > 0);
    unsigned __int128 product = (unsigned __int128)rng_next(r) * bound; /* Lemire's method */
    if ((uint64_t)product < bound) {
        uint64_t threshold = -bound % bound;
        while ((uint64_t)product < threshold) product = (unsigned __int128)rng_next(r) * bound;
    }
    return (uint64_t)(product >> 64);
}
