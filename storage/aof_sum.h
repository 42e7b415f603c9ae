/* aof_sum.h -- checksums in an append-only file that detect what a power cut has lost.
 *
 *      [ commands | #SUM | commands | #SUM | commands | #REPL ]      a note covers the bytes since the previous #SUM
 *      ^ 0                                                  ^ end    (or 0), and its own words
 *
 * "#SUM:<synced>:<boot>:<sum>" stays in the file. It is written before the first append after a sync, and after each
 * megabyte (or after one longer append).
 * - <sum> is the XXH3 of the bytes it covers, with the <sum> of the previous #SUM as the seed. So it depends on all
 *   bytes of the file, and a #SUM behind a damaged place can still be verified from the #SUM before it.
 * - <synced>: a sync of the file up to this position had ended when the note was written.
 * - <boot> names the running system. While it runs, everything that was written is in the file; a kill -9 can only
 *   shorten the end.
 *
 * "#REPL" (aof_reader.h) ends with ":<boot>:<sum>" too; the next append overwrites it. Redis skips lines that begin
 * with '#' wherever a command may begin.
 *
 * A disk writes a sector of 512 bytes whole or not at all; more than that may be torn. Each file begins with a #SUM that
 * is synced before anything else is written. While a file ends within its first sector and was not synced since, no #SUM
 * is added. After a sync there is one even there: the sector on disk may be a later one than the length of the file.
 *
 * The note at the end lies within one sector: a filler line before it sees to that, and the #SUM that overwrites it is
 * shorter. So whether a power cut leaves the old or the new sector, there is a right note where the file ended when it
 * was synced. A sync counts only if a note ends the file, unless it is no longer than a sector: where there is no
 * #REPL, since a failed write or a kill has taken it, or since no place is known, a #SUM is written first.
 *
 * Guarantees when the last file of a log is loaded:
 * 1. Bytes covered by a note are the bytes that were written. Otherwise the file is truncated behind the last right
 *    note before them, or the start is refused.
 * 2. Nothing that a sync brought to disk is ever truncated: if a right note says that it had been synced, the start
 *    is refused.
 * 3. The place in the history is taken only from a right note at the very end.
 *
 * Bytes behind the last right note, covered by no note, are accepted in two cases: the same system is still running,
 * or another program has written them (they follow a #REPL that was not overwritten, or are more than AOF_TAIL_MAX).
 * In other cases a broken end, or a sector of zeros among them, causes their truncation. If the system is unknown
 * (<boot> is 0: no /proc/sys), a broken end costs only itself, since a kill -9 leaves one.
 *
 * A file may be copied while it is written to. A copying program that reaches the end and continues when more has
 * arrived gets a #REPL, followed by the bytes behind those that have overwritten it. No kill and no sync leaves such
 * a file. The copy is truncated behind this #REPL if a later #REPL of the same history proves that the file went on,
 * unless guarantee 2 forbids it or more than AOF_TAIL_MAX would be lost. (A program that repeatedly copies only what
 * is new behind the size of the copy gets this at each pass: such a copy ends with the first pass, or is refused.)
 *
 * A kill -9 in the middle of a write of several pages leaves a part of it, and no #REPL. The commands before the torn
 * one are kept, but the place is lost: replicas then need a full synchronization.
 *
 * What breaks the guarantees:
 * - A client that may write values and computes checksums can forge a note within a value. Such a note is read only
 *   when a file is damaged; it can make the start be refused.
 * - A disk that reports a sync it has not done.
 * - A lost sector with contents other than zeros, behind the last note, in a file that ends exactly at the end of a
 *   command.
 * Whoever edits a file by hand must remove the #SUM and #REPL lines. */
#ifndef LOCKSTEP_STORAGE_AOF_SUM_H
#define LOCKSTEP_STORAGE_AOF_SUM_H

#include "storage/aof_reader.h"
#include "storage/base/sys.h"

enum {
    AOF_SUM_EVERY = 1024 * 1024,
    AOF_SUM_SECTOR = 512,            /* the least that a disk writes whole */
    AOF_SUM_FIRST = AOF_SUM_SECTOR,  /* a file that ends before this needs no second #SUM */
    AOF_TAIL_MAX = 16 * 1024 * 1024, /* limit of whole commands without a note that may be ours */
};

struct aof_sum; /* opaque: the checksum of the bytes since the last #SUM */

struct aof_sum *aof_sum_new(void); /* state at the start of a file */
void aof_sum_free(struct aof_sum *sum);
void aof_sum_reset(struct aof_sum *sum, uint64_t seed); /* state behind a #SUM with this sum; 0: at the start of a
                                                         * file */
void aof_sum_copy(struct aof_sum *to, const struct aof_sum *from);
void aof_sum_add(struct aof_sum *sum, struct bytes_view bytes);
uint64_t aof_sum_bytes(const struct aof_sum *sum); /* number of bytes since the last #SUM */

/* Both append a line to *out. After a #SUM the checksum starts again. */
void aof_sum_write_note(struct aof_sum *sum, uint64_t synced, uint32_t boot, struct bytes_buf *out);
void aof_sum_write_place(const struct aof_sum *sum, const struct aof_place *place, uint32_t boot,
                         struct bytes_buf *out);

/* Writes the filler line that goes before the note at the end of a file of this size, if one is needed. */
void aof_sum_write_filler(struct aof_sum *sum, uint64_t size, struct bytes_buf *out);

struct aof_sum_note {
    uint64_t synced, sum;
    uint32_t boot;
};
enum aof_note_kind { AOF_NOTE_OTHER, AOF_NOTE_SUM, AOF_NOTE_PLACE };
struct aof_note {
    enum aof_note_kind kind; /* AOF_NOTE_OTHER: a line without a checksum */
    bool right;
    uint32_t boot;
    struct aof_sum_note sum; /* set for a #SUM */
    struct aof_place place;  /* set for a #REPL */
};
/* Parses and verifies a line that follows the bytes in *sum. */
void aof_sum_judge(const struct aof_sum *sum, struct bytes_view line, struct aof_note *out);

/* Does a right #SUM behind `from` prove that more than `from` bytes had been synced? Commands are not parsed:
 * anything may follow `from`. With `from` 0 no checksum can be verified, so any #SUM is believed. 1, 0, or -errno.
 * *boot is set from the last #SUM; unchanged if there is none. */
int aof_sum_vouched(const struct sys *sys, const char *path, uint64_t from, uint32_t *boot);
/* Is there a #REPL behind `from` with a later place in the same history? Its checksum is not verified. 1, 0, or
 * -errno. */
int aof_sum_goes_on(const struct sys *sys, const char *path, uint64_t from, const struct aof_place *place);
/* Is there a sector of zeros behind `from`? 1, 0, or -errno. */
int aof_sum_has_hole(const struct sys *sys, const char *path, uint64_t from);

uint32_t aof_boot(const struct sys *sys); /* an identifier of the running system; 0: unknown */

#endif
