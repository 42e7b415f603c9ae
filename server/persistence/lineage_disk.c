#include "server/persistence/lineage_disk.h"

#include <errno.h>
#include <fcntl.h>

#include "storage/base/memory.h"

enum { READ_CHUNK = 4096 };

static int read_all(const struct sys *sys, int fd, size_t max, struct bytes_buf *out)
{
    for (;;) {
        bytes_buf_reserve(out, READ_CHUNK);
        ssize_t n = sys->read(sys->ctx, fd, out->data + out->len, READ_CHUNK);
        if (n == -EINTR) continue;
        if (n <= 0) return (int)n;
        out->len += (size_t)n;
        if (out->len > max) return -EFBIG;
    }
}

/* O_NONBLOCK: a FIFO under this name must not stop the server. */
int lineage_disk_read(const struct sys *sys, const char *path, size_t max, struct bytes_buf *out)
{
    int fd = sys->open(sys->ctx, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
    if (fd < 0) return fd;
    int rc = read_all(sys, fd, max, out);
    (void)sys->close(sys->ctx, fd); /* it was only read */
    if (rc < 0) bytes_buf_release(out);
    return rc;
}

static int write_temp(const struct sys *sys, const char *temp, struct bytes_view text, const char **step)
{
    *step = "open";
    (void)sys->unlink(sys->ctx, temp); /* what a killed server left; whatever remains makes open() fail */
    int fd = sys->open(sys->ctx, temp, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW, 0600);
    if (fd < 0) return fd;
    *step = "write";
    int rc = sys_write_all(sys, fd, text.data, text.len);
    if (rc == 0) {
        *step = "fsync";
        rc = sys->fsync(sys->ctx, fd);
    }
    int closed = sys->close(sys->ctx, fd);
    if (rc == 0 && closed < 0) {
        *step = "close";
        rc = closed;
    }
    return rc;
}

int lineage_disk_write(const struct sys *sys, const char *path, struct bytes_view text, const char **step)
{
    struct bytes_buf name = {0};
    bytes_buf_printf(&name, "%s.tmp", path);
    char *temp = bytes_to_cstr(bytes_buf_view(&name));
    bytes_buf_release(&name);
    int rc = write_temp(sys, temp, text, step);
    if (rc == 0) {
        *step = "rename";
        rc = sys->rename(sys->ctx, temp, path);
    }
    if (rc < 0) {
        (void)sys->unlink(sys->ctx, temp); /* a leftover does no harm */
    } else {
        *step = "fsync of the directory";
        rc = sys->fsync_dir(sys->ctx, path);
    }
    mem_free(temp);
    return rc;
}

int lineage_disk_remove(const struct sys *sys, const char *path)
{
    int rc = sys->unlink(sys->ctx, path);
    if (rc == -ENOENT) return 0;
    return rc < 0 ? rc : sys->fsync_dir(sys->ctx, path);
}

static int empty(const struct sys *sys, const char *path)
{
    int fd = sys->open(sys->ctx, path, O_WRONLY | O_NOFOLLOW | O_NONBLOCK, 0);
    if (fd < 0) return fd;
    int rc = sys->truncate(sys->ctx, fd, 0);
    if (rc == 0) rc = sys->fsync(sys->ctx, fd);
    (void)sys->close(sys->ctx, fd); /* nothing was written */
    return rc;
}

int lineage_disk_forget(const struct sys *sys, const char *path)
{
    int rc = lineage_disk_remove(sys, path);
    return rc < 0 && empty(sys, path) == 0 ? 0 : rc;
}
