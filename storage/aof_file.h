/* aof_file.h -- one file that is appended to, so that what is in it is always whole.
 *
 *     [ committed ............ | note ]      an append overwrites the note, and puts a new one behind it
 *                              ^ size
 *
 * An append is any number of writes, then commit or undo. After a write that failed (S7: a full disk), undo takes the
 * part that got there away again; where not even that works, the next commit sees to it. Whoever appends does so from
 * one boundary of commands to another, and the file ends at one at all times but within an append. The checksum of what
 * is committed is kept here; who appends adds to it, and an undo takes that back. Not here: what the
 * bytes mean, and when they are synced. */
#ifndef LOCKSTEP_STORAGE_AOF_FILE_H
#define LOCKSTEP_STORAGE_AOF_FILE_H

#include "storage/aof_sum.h"

struct aof_file; /* opaque */

/* Opens it for appends from `size` on, which may leave out a note at its end; a new one is made if there is none. `sum`
 * is of these bytes. 0 and *out, or -errno. */
NODISCARD int aof_file_open(const struct sys *sys, const char *path, uint64_t size, const struct aof_sum *sum,
                            struct aof_file **out);
NODISCARD int aof_file_empty(struct aof_file *f); /* of all that it holds: 0 or -errno */
void aof_file_close(struct aof_file *f);          /* unsynced */
void aof_file_forget(struct aof_file *f);         /* ends it, but its descriptor is the caller's to sync and close */
int aof_file_fd(const struct aof_file *f);
uint64_t aof_file_size(const struct aof_file *f); /* committed, without the note */

/* Behind what was written since the last commit. 0, or -errno: only undo may follow. iov is used up. */
NODISCARD int aof_file_write(struct aof_file *f, struct iovec *iov, int count);
struct aof_sum *aof_file_sum(struct aof_file *f); /* with what was added since the last commit */
/* Of what was written, the last `note` bytes are the note. 0, or -errno: only undo may follow. */
NODISCARD int aof_file_commit(struct aof_file *f, size_t note);
void aof_file_undo(struct aof_file *f);

#endif
