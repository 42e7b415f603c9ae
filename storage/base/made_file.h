/* made_file.h -- a name in the file system that this process made, and takes away again only while it is its own.
 * For what other processes look for under a fixed name: the Unix socket, the pid file. A second start with the same
 * configuration meets the same names, and must neither remove what a running server made nor leave the two of them
 * without.
 *
 *     made_file_begin()  opens the directory, and locks it against others who are at the same point
 *     ...                the caller looks at what is there, and makes its own file or socket
 *     made_file_note()   remembers device and inode of what is there now, and unlocks the directory
 *     made_file_remove() locks the directory, and unlinks the name if device and inode are still the same
 *
 * Invariants: the name is looked up in the directory that was opened, wherever the process works by then. The caller
 * keeps the file open, or its socket bound, until after made_file_remove(): while it does, no other file gets the
 * inode. What it promises: two processes that both use this module never remove each other's names. What breaks it:
 * others who do not ask for the lock (redis-server unlinks a socket without looking), and a lock that somebody holds
 * for more than MADE_FILE_LOCK_MS, which is then done without: nobody is to keep a server from starting. Ownership: the
 * struct owns a descriptor and a string; made_file_remove() and made_file_forget() give them back. */
#ifndef LOCKSTEP_STORAGE_BASE_MADE_FILE_H
#define LOCKSTEP_STORAGE_BASE_MADE_FILE_H

#include <sys/types.h>

#include "storage/base/bytes.h"

enum { MADE_FILE_LOCK_MS = 1000 };

struct made_file {
    int dir_fd;
    char *name; /* in that directory; NULL: nothing to remove */
    dev_t dev;
    ino_t ino;
};

/* 0, or -errno with *f as by made_file_forget(). */
NODISCARD int made_file_begin(struct made_file *f, const char *path);
/* 0; or -errno: nothing is there. Either way the directory is unlocked. */
NODISCARD int made_file_note(struct made_file *f);
bool made_file_is_ours(const struct made_file *f);
/* Whether it was ours, and is gone now. The struct is empty after it. */
bool made_file_remove(struct made_file *f);
void made_file_forget(struct made_file *f); /* leaves the name as it is */

#endif
