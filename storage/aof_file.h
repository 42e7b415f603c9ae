/* aof_file.h -- one append-only file that always ends at a boundary between commands.
 *
 *      [ committed ............ | note ]      an append overwrites the note and writes a new one behind it
 *                               ^ size
 *
 * An append is any number of writes, followed by commit or undo. The caller appends whole commands. After a failed
 * write (S7: a full disk) undo truncates the part that was written, and puts the note back that it had overwritten: in
 * its old place, so a full disk takes it. If truncating fails, the next commit does it, and until then there is no note.
 * The file also keeps the checksum of the committed bytes: the caller adds to it what it appends, and undo takes that
 * back.
 * Ownership: the file owns its descriptor until aof_file_close() or aof_file_forget().
 * Not here: what the bytes mean, and when they are synced. */
#ifndef LOCKSTEP_STORAGE_AOF_FILE_H
#define LOCKSTEP_STORAGE_AOF_FILE_H

#include "storage/aof_sum.h"

struct aof_file; /* opaque */

/* Opens a file for appends at `size`, which may exclude a note at its end. Creates the file if it does not exist.
 * `sum` is the checksum of its first `size` bytes. A line behind them is the note, if it is no longer than a sector. 0 and
 * *out, or -errno. */
NODISCARD int aof_file_open(const struct sys *sys, const char *path, uint64_t size, const struct aof_sum *sum,
                            struct aof_file **out);
NODISCARD int aof_file_empty(struct aof_file *f); /* removes all content: 0 or -errno */
void aof_file_close(struct aof_file *f);          /* does not sync */
void aof_file_forget(struct aof_file *f);         /* frees the struct; the caller syncs and closes the descriptor */
int aof_file_fd(const struct aof_file *f);
uint64_t aof_file_size(const struct aof_file *f); /* committed bytes, without the note */

/* Writes behind all that was written since the last commit. 0, or -errno: then only undo may follow. Changes iov. */
NODISCARD int aof_file_write(struct aof_file *f, struct iovec *iov, int count);
struct aof_sum *aof_file_sum(struct aof_file *f); /* includes what was added since the last commit */
/* Commits what was written, which ends with this note; it is copied. 0, or -errno: then only undo may follow. */
NODISCARD int aof_file_commit(struct aof_file *f, struct bytes_view note);
void aof_file_undo(struct aof_file *f);
/* A note, or a #SUM, stands behind all committed bytes. */
bool aof_file_has_note(const struct aof_file *f);

#endif
