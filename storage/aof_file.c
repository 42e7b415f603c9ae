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
    struct bytes_buf note;         /* behind `size`, unless an append is overwriting it */
};

/* What was left by another life of the server. */
static int read_note(struct aof_file *f)
{
    if (f->length <= f->size || f->length - f->size > AOF_SUM_SECTOR) return 0;
    size_t len = (size_t)(f->length - f->size);
    bytes_buf_reserve(&f->note, len);
    while (f->note.len < len) {
        ssize_t n = f->sys->pread(f->sys->ctx, f->fd, f->note.data + f->note.len, len - f->note.len,
                                  (int64_t)(f->size + f->note.len));
        if (n == -EINTR) continue;
        if (n <= 0) return n < 0 ? (int)n : -EIO;
        f->note.len += (size_t)n;
    }
    return 0;
}

int aof_file_open(const struct sys *sys, const char *path, uint64_t size, const struct aof_sum *sum,
                  struct aof_file **out)
{
    int fd = sys->open(sys->ctx, path, O_RDWR | O_CREAT, 0644);
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
    int rc = read_note(f);
    if (rc != 0) {
        aof_file_close(f);
        return rc;
    }
    *out = f;
    return 0;
}

void aof_file_forget(struct aof_file *f)
{
    aof_sum_free(f->sum);
    aof_sum_free(f->sum_now);
    bytes_buf_release(&f->note);
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

int aof_file_commit(struct aof_file *f, struct bytes_view note)
{
    ASSERT(f->at - f->size >= note.len);
    int rc = cut(f, f->at);
    if (rc != 0) return rc;
    f->size = f->at = f->at - note.len;
    aof_sum_copy(f->sum, f->sum_now);
    f->note.len = 0;
    bytes_buf_append_view(&f->note, note);
    return 0;
}

int aof_file_empty(struct aof_file *f)
{
    f->size = f->at = f->note.len = 0;
    aof_sum_reset(f->sum, 0);
    aof_sum_reset(f->sum_now, 0);
    return cut(f, 0);
}

/* Leaves the blocks of the note to the file while what follows them is cut off. */
static int put_note_back(struct aof_file *f)
{
    struct iovec iov = {.iov_base = f->note.data, .iov_len = f->note.len};
    int rc = cut(f, f->size + f->note.len);
    return rc != 0 ? rc : aof_file_write(f, &iov, 1);
}

void aof_file_undo(struct aof_file *f)
{
    bool touched = f->at > f->size || f->length > f->size + f->note.len;
    f->at = f->size;
    aof_sum_copy(f->sum_now, f->sum);
    if (!touched) return;
    if (f->note.len == 0 || put_note_back(f) != 0) {
        f->note.len = 0;
        (void)cut(f, f->size); /* on failure the next commit truncates the leftovers */
    }
    f->at = f->size;
}

bool aof_file_has_note(const struct aof_file *f)
{
    return f->note.len > 0 || aof_sum_bytes(f->sum) == 0;
}
