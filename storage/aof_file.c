#include "storage/aof_file.h"

#include <errno.h>
#include <fcntl.h>

#include "storage/base/assert.h"
#include "storage/base/memory.h"

struct aof_file {
    const struct sys *sys;
    int fd;
    uint64_t size;                 /* committed bytes */
    uint64_t at;                   /* position of the next write */
    struct aof_sum *sum, *sum_now; /* of the committed bytes; of all written bytes */
    uint64_t length;               /* of the file on disk: a note or leftovers may follow `at` */
};

int aof_file_open(const struct sys *sys, const char *path, uint64_t size, const struct aof_sum *sum,
                  struct aof_file **out)
{
    int fd = sys->open(sys->ctx, path, O_WRONLY | O_CREAT, 0644);
    if (fd < 0) return fd;
    int64_t length = sys->file_size(sys->ctx, path);
    if (length < 0) {
        (void)sys->close(sys->ctx, fd); /* nothing was written */
        return (int)length;
    }
    struct aof_file *f = mem_alloc(sizeof(*f));
    *f = (struct aof_file){.sys = sys, .fd = fd, .size = size, .at = size, .length = (uint64_t)length};
    f->sum = aof_sum_new();
    f->sum_now = aof_sum_new();
    aof_sum_copy(f->sum, sum);
    aof_sum_copy(f->sum_now, sum);
    *out = f;
    return 0;
}

void aof_file_forget(struct aof_file *f)
{
    aof_sum_free(f->sum);
    aof_sum_free(f->sum_now);
    mem_free(f);
}

void aof_file_close(struct aof_file *f)
{
    if (f == NULL) return;
    (void)f->sys->close(f->sys->ctx, f->fd); /* the caller has synced what must be on disk */
    aof_file_forget(f);
}

int aof_file_fd(const struct aof_file *f)
{
    return f->fd;
}
struct aof_sum *aof_file_sum(struct aof_file *f)
{
    return f->sum_now;
}
uint64_t aof_file_size(const struct aof_file *f)
{
    return f->size;
}

/* Removes n bytes from the front. */
static void iov_skip(struct iovec **iov, int *count, size_t n)
{
    while (*count > 0 && n >= (*iov)->iov_len) {
        n -= (*iov)->iov_len;
        ++*iov;
        --*count;
    }
    if (*count == 0) return;
    (*iov)->iov_base = (char *)(*iov)->iov_base + n;
    (*iov)->iov_len -= n;
}

int aof_file_write(struct aof_file *f, struct iovec *iov, int count)
{
    const struct sys *sys = f->sys;
    iov_skip(&iov, &count, 0);
    while (count > 0) {
        ssize_t n = sys->pwritev(sys->ctx, f->fd, iov, count, (int64_t)f->at);
        if (n == -EINTR) continue;
        if (n < 0) return (int)n;
        f->at += (uint64_t)n;
        if (f->at > f->length) f->length = f->at;
        iov_skip(&iov, &count, (size_t)n);
    }
    return 0;
}

static int cut(struct aof_file *f, uint64_t length)
{
    if (f->length <= length) return 0;
    int rc = f->sys->truncate(f->sys->ctx, f->fd, (int64_t)length);
    if (rc == 0) f->length = length;
    return rc;
}

int aof_file_commit(struct aof_file *f, size_t note)
{
    ASSERT(f->at - f->size >= note);
    int rc = cut(f, f->at);
    if (rc != 0) return rc;
    f->size = f->at = f->at - note;
    aof_sum_copy(f->sum, f->sum_now);
    return 0;
}

int aof_file_empty(struct aof_file *f)
{
    f->size = f->at = 0;
    aof_sum_reset(f->sum, 0);
    aof_sum_reset(f->sum_now, 0);
    return cut(f, 0);
}

void aof_file_undo(struct aof_file *f)
{
    f->at = f->size;
    aof_sum_copy(f->sum_now, f->sum);
    (void)cut(f, f->size); /* on failure the next commit truncates the leftovers */
}
