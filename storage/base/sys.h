/* sys.h -- the interface to the operating system: clock, random bytes, files, processes.
 *
 * All modules above use clock, files and processes only through a `struct sys`; sockets and timers go through
 * server/net/loop.h in the same way. sys_real() is Linux; tests use simulated ones. All calls return >= 0, or
 * -errno. */
#ifndef LOCKSTEP_STORAGE_BASE_SYS_H
#define LOCKSTEP_STORAGE_BASE_SYS_H

#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "storage/base/bytes.h"

struct sys {
    void *ctx;
    int64_t (*wall_us)(void *ctx); /* Unix time in microseconds */
    int64_t (*mono_us)(void *ctx); /* never goes back */
    void (*random)(void *ctx, void *buf, size_t len);
    int (*open)(void *ctx, const char *path, int flags, int mode);
    int (*close)(void *ctx, int fd);
    ssize_t (*read)(void *ctx, int fd, void *buf, size_t len);
    ssize_t (*write)(void *ctx, int fd, const void *buf, size_t len);
    ssize_t (*pwritev)(void *ctx, int fd, const struct iovec *iov, int count, int64_t offset);
    int (*truncate)(void *ctx, int fd, int64_t len);
    int (*fsync)(void *ctx, int fd);
    /* Starts writing these bytes of the file to disk, so that a later fsync() has less to do. Does not wait. */
    int (*start_sync)(void *ctx, int fd, int64_t offset, int64_t len);
    int (*rename)(void *ctx, const char *from, const char *to);
    int (*unlink)(void *ctx, const char *path);
    int (*mkdir)(void *ctx, const char *path, int mode);
    int64_t (*file_size)(void *ctx, const char *path);
    int64_t (*free_bytes)(void *ctx, const char *path);    /* free on its file system, for this user */
    int (*fsync_dir)(void *ctx, const char *path_of_file); /* syncs the directory of this file */
    int (*pipe)(void *ctx, int fds[2]);                    /* both ends close-on-exec; [0] reads */
    pid_t (*fork)(void *ctx);
    int (*kill)(void *ctx, pid_t pid, int signal);
    pid_t (*waitpid)(void *ctx, pid_t pid, int *status, int options);
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
void sys_test_delay(int64_t delay_us, int64_t *calls);

/* A small fast random generator (xoshiro256**, public domain, prng.di.unimi.it) for sampling and for random
 * commands, not for secrets. */
struct rng {
    uint64_t s[4];
};
void rng_seed(struct rng *r, uint64_t seed);
uint64_t rng_next(struct rng *r);
uint64_t rng_below(struct rng *r, uint64_t bound); /* unbiased, bound > 0 */

#endif
