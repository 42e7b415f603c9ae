/* made_file.h -- a file name that this process creates and removes only while the name is its own.
 *
 * For the Unix socket and the pid file, which other processes find under a fixed name. A second start with the same
 * configuration uses the same names. It must neither remove what a running server made nor leave both servers
 * without a name.
 *
 *      made_file_begin()  opens the directory, and locks it against processes in the same phase
 *      ...                the caller checks what exists, and creates its own file or socket
 *      made_file_note()   records device and inode of the name, and unlocks the directory
 *      made_file_remove() locks the directory, and unlinks the name if device and inode are unchanged
 *
 * Invariants:
 * 1. The name is looked up in the directory that was opened, whatever the working directory is by then.
 * 2. The caller keeps the file open, or its socket bound, until after made_file_remove(). Until then no other file
 *    gets the inode.
 *
 * Guarantee: two processes that use this module never remove each other's names. It does not hold against processes
 * that do not take the lock (redis-server unlinks a socket without a check), or if a process holds the lock for more
 * than MADE_FILE_LOCK_MS: then the server continues without it, so that nobody can keep it from starting.
 * Ownership: the struct owns a descriptor and a string; made_file_remove() and made_file_forget() release them. */
#ifndef LOCKSTEP_STORAGE_BASE_MADE_FILE_H
#define LOCKSTEP_STORAGE_BASE_MADE_FILE_H

#include <sys/types.h>

#include "storage/base/bytes.h"

enum { MADE_FILE_LOCK_MS = 1000 };

struct made_file {
    int dir_fd;
    char *name; /* within that directory; NULL: nothing to remove */
    dev_t dev;
    ino_t ino;
};

/* 0, or -errno with *f as after made_file_forget(). */
NODISCARD int made_file_begin(struct made_file *f, const char *path);
/* 0, or -errno: the name does not exist. Unlocks the directory in both cases. */
NODISCARD int made_file_note(struct made_file *f);
bool made_file_is_ours(const struct made_file *f);
/* Returns true if the name was ours and has been removed. The struct is empty afterwards. */
bool made_file_remove(struct made_file *f);
void made_file_forget(struct made_file *f); /* leaves the name in place */

#endif
