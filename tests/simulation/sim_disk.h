/* sim_disk.h -- the simulated file system of one node: in memory, with a model of what a power cut leaves.
 *
 *      write ---> [ now ] ---- fsync, or by chance at a power cut, page by page ----> [ durable ]
 *      rename, unlink, create --> [ pending ops ] -- fsync_dir, or by chance -------> [ durable entries ]
 *
 * kill -9 loses nothing: the state "now" stays. sim_disk_power_cut() makes one of the states that the model allows, and
 * that state becomes both "now" and durable:
 *   1. A page (4 KB) that was written after the last fsync is kept, lost (its old content), or torn: each sector of 512
 *      bytes is old or new.
 *   2. A file that has grown since then ends anywhere between its old and its new size. A file that was truncated has its
 *      old size, or grows from the size it was truncated to.
 *   3. Changes of directories wait for fsync_dir() of the directory. Each is atomic.
 *
 *   order     | what grows                              | what survives of the pending changes of directories
 *   ----------+-----------------------------------------+-----------------------------------------------------
 *   JOURNAL   | no gap: the new part is a prefix        | a prefix: one journal for all (ext4, data=ordered);
 *             |                                         | an fsync of a changed file commits the journal
 *   HARSH     | pages that were not written read as     | any subset in which a change of a name survives only if
 *             | zeros (XFS, or data=writeback)          | the earlier changes of that name do; fsync of a file
 *             |                                         | does not sync its name, nor fsync_dir its parents
 *
 * After an fsync that fails with EIO its pages count as clean, whether they reached the disk or not: the next fsync
 * succeeds without them, as on Linux.
 * Paths are absolute or relative to "/". All calls return >= 0, or -errno. Memory is the C library's, not that of a
 * simulated process. */
#ifndef LOCKSTEP_TESTS_SIMULATION_SIM_DISK_H
#define LOCKSTEP_TESTS_SIMULATION_SIM_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "storage/base/sys.h"

struct sim_disk; /* opaque */
struct sim_file; /* opaque: an open file with its position */

enum sim_disk_order { SIM_DISK_JOURNAL, SIM_DISK_HARSH };
enum sim_disk_fault {
    SIM_DISK_EIO_READ,
    SIM_DISK_EIO_WRITE,
    SIM_DISK_EIO_FSYNC,
    SIM_DISK_EIO_DIRECTORY /* fsyncs of one */,
    SIM_DISK_FAULTS
};
enum { SIM_DISK_PAGE = 4096, SIM_DISK_SECTOR = 512, SIM_DISK_PPM = 1000000 };

struct sim_disk_stats {
    uint64_t fsyncs, dir_fsyncs, failed_fsyncs, failed_dir_fsyncs, failed_writes, failed_reads, short_writes,
        full_writes;
    uint64_t power_cuts;
    uint64_t torn_pages, lost_pages, zero_pages;    /* by power cuts */
    uint64_t lost_changes, lost_renames, cut_tails; /* by power cuts: changes of directories, and ends of files */
};

/* The disk draws from rng, which outlives it. */
struct sim_disk *sim_disk_new(struct rng *rng, enum sim_disk_order order);
void sim_disk_free(struct sim_disk *d);
void sim_disk_set_order(struct sim_disk *d, enum sim_disk_order order);
void sim_disk_knows_no_links(struct sim_disk *d); /* a file system on which link(2) fails */
const struct sim_disk_stats *sim_disk_stats(const struct sim_disk *d);

/* --- what a process calls --- */
int sim_disk_open(struct sim_disk *d, const char *path, int flags, struct sim_file **out); /* open(2) */
void sim_disk_close(struct sim_disk *d, struct sim_file *f);
ssize_t sim_disk_read(struct sim_disk *d, struct sim_file *f, void *buf, size_t len);
ssize_t sim_disk_pread(struct sim_disk *d, struct sim_file *f, void *buf, size_t len, int64_t offset);
ssize_t sim_disk_write(struct sim_disk *d, struct sim_file *f, const void *buf, size_t len);
ssize_t sim_disk_pwritev(struct sim_disk *d, struct sim_file *f, const struct iovec *iov, int count, int64_t offset);
int sim_disk_truncate(struct sim_disk *d, struct sim_file *f, int64_t len);
int sim_disk_fsync(struct sim_disk *d, struct sim_file *f);
int sim_disk_start_sync(struct sim_disk *d, struct sim_file *f);
int sim_disk_fsync_dir(struct sim_disk *d, const char *path_of_file);
int sim_disk_rename(struct sim_disk *d, const char *from, const char *to); /* files only */
int sim_disk_link(struct sim_disk *d, const char *from, const char *to);   /* files only */
int sim_disk_unlink(struct sim_disk *d, const char *path);
int sim_disk_mkdir(struct sim_disk *d, const char *path);
int64_t sim_disk_file_size(struct sim_disk *d, const char *path);
int64_t sim_disk_free_bytes(const struct sim_disk *d);

/* --- a child process, whose calls get their results before they take effect (sim_sys.c) --- */
int sim_disk_decide(struct sim_disk *d, enum sim_disk_fault kind); /* 0, or -EIO by chance */
int sim_disk_decide_dir(struct sim_disk *d);                       /* likewise, the fsync of a directory */
/* Takes room for a later sim_disk_write_reserved(). Returns the bytes taken, at most len. */
size_t sim_disk_reserve(struct sim_disk *d, size_t len);
void sim_disk_unreserve(struct sim_disk *d, size_t len);
void sim_disk_write_reserved(struct sim_disk *d, struct sim_file *f, const void *buf, size_t len); /* cannot fail */
int sim_disk_fsync_as(struct sim_disk *d, struct sim_file *f, int result); /* an fsync with this result */
int sim_disk_fsync_dir_as(struct sim_disk *d, const char *path_of_file, int result);

/* --- what the simulator does to it --- */
void sim_disk_power_cut(struct sim_disk *d);                   /* closes all files */
void sim_disk_tear(struct sim_disk *d);                        /* the next power cut tears all pages that it may */
void sim_disk_close_all(struct sim_disk *d);                   /* the end of the processes; frees the struct sim_file */
void sim_disk_set_capacity(struct sim_disk *d, int64_t bytes); /* may be less than what is in use; negative: no limit */
int64_t sim_disk_used_bytes(const struct sim_disk *d);
void sim_disk_set_fault(struct sim_disk *d, enum sim_disk_fault kind, unsigned ppm); /* chance of each call to fail */

/* --- what tests look at --- */
typedef void sim_disk_list_fn(void *ctx, const char *path, struct bytes_view content, bool directory);
void sim_disk_list(const struct sim_disk *d, sim_disk_list_fn *fn, void *ctx);
bool sim_disk_content(const struct sim_disk *d, const char *path, struct bytes_view *out); /* borrowed until a change */
unsigned sim_disk_open_files(const struct sim_disk *d);
bool sim_disk_has_renamed(const struct sim_disk *d); /* a power cut now may undo a rename */
bool sim_disk_is_clean(const struct sim_disk *d);    /* a power cut now would lose nothing */
void sim_disk_check(const struct sim_disk *d);       /* asserts the invariants */

#endif
