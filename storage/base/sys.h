/* sys.h -- the interface to the operating system: clock, random bytes, files, processes.
 *
 * All modules above use clock, files, pipes and child processes only through a `struct sys`. Sockets, timers and readiness
 * are server/net/socket.h and server/net/loop.h, threads are worker.h, in the same way. sys_real() is Linux; tests use
 * simulated ones. All calls return >= 0, or -errno. */
#ifndef LOCKSTEP_STORAGE_BASE_SYS_H
#define LOCKSTEP_STORAGE_BASE_SYS_H

#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "storage/base/bytes.h"

enum { SYS_CHILD_KEEPS_MAX = 4 };

/* A child process that runs one function. It dies with its parent, ignores SIGPIPE, and has no descriptors but 0, 1, 2 and
 * those to keep. */
struct sys_child {
    const char *name;      /* of the process: at most 15 bytes */
    int (*run)(void *arg); /* runs in the child, on a copy of all memory; returns the status of the exit, 0 to 255 */
    void *arg;
    int keep[SYS_CHILD_KEEPS_MAX];
    int keep_count;
    int nice; /* added to the niceness of the process, if that is possible */
};

struct sys {
    void *ctx;
    int64_t (*wall_us)(void *ctx); /* Unix time in microseconds */
    int64_t (*mono_us)(void *ctx); /* never goes back */
    void (*random)(void *ctx, void *buf, size_t len);
    int (*open)(void *ctx, const char *path, int flags, int mode);
    int (*close)(void *ctx, int fd);
    ssize_t (*read)(void *ctx, int fd, void *buf, size_t len);
    ssize_t (*write)(void *ctx, int fd, const void *buf, size_t len);
    ssize_t (*pread)(void *ctx, int fd, void *buf, size_t len, int64_t offset);
    ssize_t (*pwritev)(void *ctx, int fd, const struct iovec *iov, int count, int64_t offset);
    int (*truncate)(void *ctx, int fd, int64_t len);
    int (*fsync)(void *ctx, int fd);
    /* Starts writing these bytes of the file to disk, so that a later fsync() has less to do. Does not wait. */
    int (*start_sync)(void *ctx, int fd, int64_t offset, int64_t len);
    int (*rename)(void *ctx, const char *from, const char *to);
    int (*link)(void *ctx, const char *from, const char *to); /* another name of the file; -EEXIST: `to` exists */
    int (*unlink)(void *ctx, const char *path);
    int (*mkdir)(void *ctx, const char *path, int mode);
    int64_t (*file_size)(void *ctx, const char *path);
    int64_t (*free_bytes)(void *ctx, const char *path);       /* free on its file system, for this user */
    int (*fsync_dir)(void *ctx, const char *path_of_file);    /* syncs the directory of this file */
    int (*pipe)(void *ctx, int fds[2]);                       /* both ends close-on-exec; [0] reads */
    int (*set_nonblocking)(void *ctx, int fd);                /* an end of a pipe */
    int (*wait_writable)(void *ctx, int fd);                  /* blocks until a write has room, or an error to report */
    pid_t (*getpid)(void *ctx);                               /* of the calling process, which may be a child */
    pid_t (*spawn)(void *ctx, const struct sys_child *child); /* *child is not used after the call */
    /* Starts another program with the environment of this process and its descriptors 0, 1 and 2. argv ends with NULL, and
     * argv[0] is its path. It outlives this process. It ends with the status 2 if it cannot be run. */
    pid_t (*run_program)(void *ctx, char *const *argv);
    int (*may_run)(void *ctx, const char *path); /* 0: it is a file that this process may run */
    int (*kill)(void *ctx, pid_t pid, int signal);
    pid_t (*waitpid)(void *ctx, pid_t pid, int *status, int options);
    int64_t (*resident_bytes)(void *ctx); /* of the calling process, in main memory; 0: it cannot be read */
    int64_t (*private_bytes)(void *ctx);  /* those that it has written to since it was spawned; 0: cannot be read */
    void (*sleep_us)(void *ctx, int64_t us);
};

const struct sys *sys_real(void);

static inline int64_t sys_wall_us(const struct sys *s)
{
    return s->wall_us(s->ctx);
}
static inline int64_t sys_wall_ms(const struct sys *s)
{
    return s->wall_us(s->ctx) / 1000;
}
static inline int64_t sys_mono_us(const struct sys *s)
{
    return s->mono_us(s->ctx);
}
static inline void sys_random(const struct sys *s, void *buf, size_t len)
{
    s->random(s->ctx, buf, len);
}
/* Writes all of it; retries short writes and EINTR. 0 or -errno. */
NODISCARD int sys_write_all(const struct sys *s, int fd, const void *buf, size_t len);

/* Sleeps, for directives that slow the server down for tests. delay_us < 0: 1 us after every
 * so many calls, counted in *calls. */
void sys_test_delay(const struct sys *s, int64_t delay_us, int64_t *calls);

/* A small fast random generator (xoshiro256**, public domain, prng.di.unimi.it) for sampling and for random
 * commands, not for secrets. */
struct rng {
    uint64_t s[4];
};
void rng_seed(struct rng *r, uint64_t seed);
uint64_t rng_next(struct rng *r);
uint64_t rng_below(struct rng *r, uint64_t bound); /* unbiased, bound > 0 */

#endif
