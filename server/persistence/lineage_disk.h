/* lineage_disk.h -- reads and replaces a lineage file through struct sys.
 *
 *     write:  <path>.tmp, mode 0600 -> write -> fsync -> rename to <path> -> fsync of the directory
 *
 * After a kill or a power cut at any point the path names the old content or the new one, whole; <path>.tmp may be left,
 * and the next write removes it. Symbolic links are not followed: one at the path is not read, and is replaced; one at
 * <path>.tmp is removed. Nothing here is logged. The functions may run in a worker thread. */
#ifndef LOCKSTEP_SERVER_PERSISTENCE_LINEAGE_DISK_H
#define LOCKSTEP_SERVER_PERSISTENCE_LINEAGE_DISK_H

#include "storage/base/sys.h"

/* 0 with the content in *out, -ENOENT, -EFBIG for more than `max` bytes, or another -errno; *out is then empty. */
NODISCARD int lineage_disk_read(const struct sys *sys, const char *path, size_t max, struct bytes_buf *out);
/* 0: the text is on disk under this path. -errno: the old content or the new one is, and *step names the call. */
NODISCARD int lineage_disk_write(const struct sys *sys, const char *path, struct bytes_view text, const char **step);
/* 0: there is no such file any more, also after a power cut. */
int lineage_disk_remove(const struct sys *sys, const char *path);
/* 0: no file under this path has a content, also after a power cut. In a folder that lets no file go, it is emptied. */
int lineage_disk_forget(const struct sys *sys, const char *path);

#endif
