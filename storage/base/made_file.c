#include "storage/base/made_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "storage/base/memory.h"

enum { LOCK_STEP_MS = 10 };

/* Best effort: some file systems do not lock directories, and write access to a directory does not imply read
 * access. */
static void lock_directory(const struct made_file *f)
{
    struct timespec step = {.tv_nsec = LOCK_STEP_MS * 1000000L};
    for (int waited = 0; waited < MADE_FILE_LOCK_MS; waited += LOCK_STEP_MS) {
        if (flock(f->dir_fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) return;
        (void)nanosleep(&step, NULL); /* after a shorter sleep it only retries earlier */
    }
}

static void unlock_directory(const struct made_file *f)
{
    (void)flock(f->dir_fd, LOCK_UN); /* harmless if it was not locked */
}

static int open_directory(const char *path, size_t dir_len)
{
    char *dir = dir_len == 0 ? mem_strdup(".") : bytes_to_cstr(bytes_view(path, dir_len));
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd == -1 && errno == EACCES) fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    int rc = fd == -1 ? -errno : fd;
    mem_free(dir);
    return rc;
}

int made_file_begin(struct made_file *f, const char *path)
{
    const char *slash = strrchr(path, '/');
    size_t dir_len = slash == NULL ? 0 : (size_t)(slash - path) + 1;
    *f = (struct made_file){.dir_fd = -1};
    int fd = open_directory(path, dir_len);
    if (fd < 0) return fd;
    f->dir_fd = fd;
    f->name = mem_strdup(path + dir_len);
    lock_directory(f);
    return 0;
}

int made_file_note(struct made_file *f)
{
    struct stat st;
    int rc = fstatat(f->dir_fd, f->name, &st, AT_SYMLINK_NOFOLLOW) == -1 ? -errno : 0;
    unlock_directory(f);
    if (rc != 0) return rc;
    f->dev = st.st_dev;
    f->ino = st.st_ino;
    return 0;
}

bool made_file_is_ours(const struct made_file *f)
{
    struct stat st;
    if (f->name == NULL || f->ino == 0 || fstatat(f->dir_fd, f->name, &st, AT_SYMLINK_NOFOLLOW) == -1) return false;
    return st.st_dev == f->dev && st.st_ino == f->ino;
}

bool made_file_remove(struct made_file *f)
{
    if (f->name == NULL) return false;
    lock_directory(f);
    bool removed = made_file_is_ours(f) && unlinkat(f->dir_fd, f->name, 0) == 0;
    made_file_forget(f);
    return removed;
}

void made_file_forget(struct made_file *f)
{
    if (f->name == NULL) return;
    (void)close(f->dir_fd); /* releases the lock too */
    mem_free(f->name);
    *f = (struct made_file){.dir_fd = -1};
}
