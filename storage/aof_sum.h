/* aof_sum.h -- checksums in an append-only file, so that a power cut which kept some pages and lost others is seen.
 *
 *     [ commands | #SUM | commands | #SUM | commands | #REPL ]      a note vouches for the bytes from the #SUM before
 *     ^ 0                                                  ^ end    it (or 0) up to itself, and for its own words
 *
 * "#SUM:<synced>:<boot>:<sum>" stays in the file. It stands in front of the next append behind each sync, and behind
 * each megabyte (or the one append that is longer). <sum> is the XXH3 of these bytes and of the words before it, with
 * the <sum> of the #SUM before as the seed: so it depends on all bytes of the file, and a #SUM behind a damaged place
 * can still be told to be one. <synced>: the file was synced up to there when the note was written, and that had ended.
 * <boot> is the running system: as long as it runs, all that was written is in the file, and a kill -9 can only have
 * made its end short. "#REPL" (aof_reader.h) ends with ":<boot>:<sum>" too, and the next append overwrites it.
 * Redis skips lines that begin with '#', wherever a command may begin.
 *
 * Each file begins with a #SUM but the first one of a log, which has none while it ends within its first page: that
 * page is on disk as it was at some moment, with its #REPL. (What is lost of that file before its first sync can make
 * the next start be refused.)
 *
 * The note at the end lies in one page, filled up to with a line that says nothing, and the #SUM that overwrites it is
 * shorter. So whether a power cut leaves this page as it was or as it is to be, a right note stands where the file
 * ended when it was synced.
 *
 * What it promises, when the last file of a log is loaded: (1) bytes which a note vouches for are those that were
 * written, or the file is cut behind the last right note before them, or the start is refused; (2) nothing that a sync
 * had brought to disk is ever cut off: where a right note says that it had been synced, the start is refused; (3) the
 * place in the history is taken only from a right note at the very end. Bytes behind the last right note that no note
 * vouches for are taken as they are where the same system still runs, or where another program has written them
 * (behind a #REPL that nobody overwrote, or more than AOF_TAIL_MAX); else a broken end or a page of zeros among them
 * cuts them off. Where a system cannot be told from another (<boot> is 0: no /proc/sys), a broken end alone costs no
 * more than itself, since a kill -9 leaves that.
 *
 * A file can be copied while it is written to. A reader that has come to its end, and goes on when more is there, gets
 * a #REPL and behind it what stands behind the bytes that have overwritten it. No kill and no sync leaves that: the
 * copy is cut off behind this #REPL, where a later one of the same history proves that the file went on, unless (2)
 * forbids it or more than AOF_TAIL_MAX would be lost. (Who only ever copies what is new behind the size of the copy
 * gets that at each pass: such a copy ends with the first one, or is refused.)
 * What breaks it: somebody who may write values and computes sums can forge a note inside a value, which is only looked
 * at when a file is damaged, and can make such a start be refused; a disk that says that it has synced and has not; a
 * page of other bytes than zeros, lost behind the last note, in a file that ends exactly where a command does.
 * Somebody who edits a file by hand has to take the lines with #SUM and #REPL out. */
#ifndef LOCKSTEP_STORAGE_AOF_SUM_H
#define LOCKSTEP_STORAGE_AOF_SUM_H

#include "storage/aof_reader.h"
#include "storage/base/sys.h"

enum {
    AOF_SUM_EVERY = 1024 * 1024,
    AOF_SUM_FIRST = 4096,            /* no #SUM in a file that ends before */
    AOF_TAIL_MAX = 16 * 1024 * 1024, /* of whole commands without a note, that may be ours */
};

struct aof_sum; /* opaque: of the bytes since the last #SUM */

struct aof_sum *aof_sum_new(void); /* at the beginning of a file */
void aof_sum_free(struct aof_sum *sum);
void aof_sum_reset(struct aof_sum *sum, uint64_t seed); /* behind a #SUM with this sum; 0: at the beginning */
void aof_sum_copy(struct aof_sum *to, const struct aof_sum *from);
void aof_sum_add(struct aof_sum *sum, struct bytes_view bytes);
uint64_t aof_sum_bytes(const struct aof_sum *sum); /* since the last #SUM */

/* Both append a line to *out. Behind a #SUM the sum begins again. */
void aof_sum_write_note(struct aof_sum *sum, uint64_t synced, uint32_t boot, struct bytes_buf *out);
void aof_sum_write_place(const struct aof_sum *sum, const struct aof_place *place, uint32_t boot,
                         struct bytes_buf *out);

/* What goes in front of a note at the end of a file of this size. */
void aof_sum_write_filler(struct aof_sum *sum, uint64_t size, struct bytes_buf *out);

struct aof_sum_note {
    uint64_t synced, sum;
    uint32_t boot;
};
enum aof_note_kind { AOF_NOTE_OTHER, AOF_NOTE_SUM, AOF_NOTE_PLACE };
struct aof_note {
    enum aof_note_kind kind; /* of one with a sum; AOF_NOTE_OTHER: nothing to judge */
    bool right;
    uint32_t boot;
    struct aof_sum_note sum; /* of a #SUM */
    struct aof_place place;  /* of a #REPL */
};
/* What the line says that follows the bytes which *sum has. */
void aof_sum_judge(const struct aof_sum *sum, struct bytes_view line, struct aof_note *out);

/* Does a right #SUM in the file, behind `from`, say that more than `from` had been synced? Commands are not parsed:
 * `from` may be followed by anything. With `from` 0 no sum can be trusted, and any #SUM is believed. 1, 0, or -errno.
 * *boot: of the last #SUM, unchanged if there is none. */
int aof_sum_vouched(const struct sys *sys, const char *path, uint64_t from, uint32_t *boot);
/* Is there a note behind `from` on a later place in the same history? Its sum is not judged. 1, 0, or -errno. */
int aof_sum_goes_on(const struct sys *sys, const char *path, uint64_t from, const struct aof_place *place);
/* Is there a page of zeros behind `from`? 1, 0, or -errno. */
int aof_sum_has_hole(const struct sys *sys, const char *path, uint64_t from);

uint32_t aof_boot(const struct sys *sys); /* which system runs; 0: unknown */

#endif
