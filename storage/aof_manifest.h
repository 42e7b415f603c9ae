/* aof_manifest.h -- the list of the files that make up an append-only log, as in Redis 7.
 *
 * A log is a directory with these files:
 *
 *      NAME.manifest         this list
 *      NAME.3.base.rdb       the data set at one moment (.base.aof: as commands)
 *      NAME.7.incr.aof       the stream from that moment on; several of them, in order, after failed rewrites
 *      NAME.2.base.rdb ...   history: replaced files that are about to be deleted
 *
 * A line of the list is "file NAME seq NUMBER type b|i|h"; other pairs of words are ignored. Files that are not
 * listed do not count. The list is replaced as a whole (write a temporary file, sync, rename, sync the directory),
 * so a crash leaves either the old or the new list. The manifest is a value type: the caller changes a copy, stores
 * it, and then replaces its manifest. If storing fails, nothing is lost.
 *
 * Names: NUMBER only grows while the list has a file of the kind, including history. Still, the next name may be
 * that of an existing file, in two cases:
 * 1. With the log off, a rewrite leaves no incremental file. Once its history is deleted, the numbers begin at 1
 *    again, as in Redis.
 * 2. A crash between creating a file and storing the list leaves a file that no list has.
 * So code that creates a part also checks the directory (aof_new_part() in server/persistence/aof_files.c).
 * Ownership: a manifest owns the names of its parts; the caller owns a part until it is put into a manifest. */
#ifndef LOCKSTEP_STORAGE_AOF_MANIFEST_H
#define LOCKSTEP_STORAGE_AOF_MANIFEST_H

#include "storage/base/sys.h"

struct aof_part {
    char *name; /* name of the file, in the directory of the manifest */
    int64_t seq;
};
struct aof_parts {
    struct aof_part *parts;
    size_t count;
};

struct aof_manifest {
    struct aof_part base;       /* name NULL: none */
    struct aof_parts incr;      /* in the order in which they were written */
    struct aof_parts history;   /* most recent first */
    int64_t base_seq, incr_seq; /* the highest numbers used so far */
};

enum aof_part_kind { AOF_PART_BASE_RDB, AOF_PART_BASE_COMMANDS, AOF_PART_INCR };

struct aof_manifest_error {
    int line;        /* 0: no particular line */
    char text[128];  /* the line, truncated */
    const char *why; /* in the words of Redis */
};

void aof_parts_copy(const struct aof_parts *from, struct aof_parts *to); /* appends to *to */
void aof_parts_release(struct aof_parts *list);
void aof_manifest_release(struct aof_manifest *m); /* leaves an empty manifest */
void aof_manifest_copy(const struct aof_manifest *from, struct aof_manifest *to);
static inline bool aof_manifest_is_empty(const struct aof_manifest *m)
{
    return m->base.name == NULL && m->incr.count == 0;
}

/* 0, or -EINVAL with *error. *out is unchanged on failure. */
NODISCARD int aof_manifest_parse(struct bytes_view text, struct aof_manifest *out, struct aof_manifest_error *error);
void aof_manifest_format(const struct aof_manifest *m, struct bytes_buf *out);

bool aof_manifest_lists(const struct aof_manifest *m, const char *name);   /* including history */
bool aof_manifest_is_live(const struct aof_manifest *m, const char *name); /* as base or incremental file */

/* ---- new parts: the caller owns the name until it puts the part into a manifest ---- */
/* The name of the next file of this kind according to the list. `name` is appendfilename. */
struct aof_part aof_manifest_next(const struct aof_manifest *m, const char *name, enum aof_part_kind kind);
void aof_part_renumber(struct aof_part *part, const char *name, enum aof_part_kind kind); /* the next number */
void aof_part_release(struct aof_part *part);

/* ---- changes; all but add_history take ownership of *part ---- */
void aof_manifest_add_history(struct aof_manifest *m, const struct aof_part *part);
/* The previous base and all incremental files but the last `keep` ones become history. */
void aof_manifest_replace_base(struct aof_manifest *m, struct aof_part *part, size_t keep);
void aof_manifest_add_incr(struct aof_manifest *m, struct aof_part *part);
void aof_manifest_adopt_old(struct aof_manifest *m, const char *name); /* the base becomes a single file from before
                                                                        * Redis 7 */
void aof_manifest_forget_history(struct aof_manifest *m);
/* True if this is the manifest of an upgrade from before Redis 7 that was not completed. */
bool aof_manifest_is_upgrade(const struct aof_manifest *m, const char *name);

/* ---- the file ---- */
/* 0; -ENOENT; -EINVAL with *error; another -errno of reading. */
NODISCARD int aof_manifest_load(const struct sys *sys, const char *path, struct aof_manifest *out,
                                struct aof_manifest_error *error);
/* 0, or -errno. On failure the old list is in place; with *renamed set, the new one is, but a power cut may restore
 * the old one. So the files of both lists must stay. `temp` is a path in the same directory. */
NODISCARD int aof_manifest_store(const struct sys *sys, const char *path, const char *temp,
                                 const struct aof_manifest *m, bool *renamed);

#endif
