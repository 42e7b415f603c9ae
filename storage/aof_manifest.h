/* aof_manifest.h -- which files make up an append-only file, as Redis 7 keeps it: a directory with
 *
 *     NAME.manifest         this list
 *     NAME.3.base.rdb       the data set of one moment (.base.aof: as commands)
 *     NAME.7.incr.aof       the stream from that moment on; more of them, in this order, where rewrites failed
 *     NAME.2.base.rdb ...   history: replaced, and about to be deleted
 *
 * One line of the list is "file NAME seq NUMBER type b|i|h"; further pairs of words are skipped. What is not in the
 * list is not there. The list is replaced as a whole (written beside, synced, renamed, directory synced), so that a
 * crash leaves the old one or the new one. A value type with functions: whoever changes a copy, stores it, and puts it
 * in the place of the one before has lost nothing if storing fails.
 *
 * Names: NUMBER only grows while the list holds a file of the kind, history included. Two things can make the next
 * name one that a file has already: with the log off a rewrite leaves no incremental file, and once its history is
 * deleted the numbers begin at 1 again, as Redis's do; and a crash between making a file and storing the list leaves a
 * file that no list holds. Who makes a part therefore asks the directory too (aof_new_part() in server/aof_files.c). */
#ifndef LOCKSTEP_STORAGE_AOF_MANIFEST_H
#define LOCKSTEP_STORAGE_AOF_MANIFEST_H

#include "storage/base/sys.h"

struct aof_part {
    char *name; /* of the file, in the directory of the manifest */
    int64_t seq;
};
struct aof_parts {
    struct aof_part *parts;
    size_t count;
};

struct aof_manifest {
    struct aof_part base;       /* name NULL: none */
    struct aof_parts incr;      /* in the order in which they were written */
    struct aof_parts history;   /* the latest to become it comes first */
    int64_t base_seq, incr_seq; /* the last ones that were given to a file */
};

enum aof_part_kind { AOF_PART_BASE_RDB, AOF_PART_BASE_COMMANDS, AOF_PART_INCR };

struct aof_manifest_error {
    int line;        /* 0: of no particular line */
    char text[128];  /* of the line, cut short */
    const char *why; /* in Redis's words */
};

void aof_parts_copy(const struct aof_parts *from, struct aof_parts *to); /* behind what *to has */
void aof_parts_release(struct aof_parts *list);
void aof_manifest_release(struct aof_manifest *m); /* leaves an empty one */
void aof_manifest_copy(const struct aof_manifest *from, struct aof_manifest *to);
static inline bool aof_manifest_is_empty(const struct aof_manifest *m)
{
    return m->base.name == NULL && m->incr.count == 0;
}

/* 0, or -EINVAL with *error. *out is untouched on failure. */
NODISCARD int aof_manifest_parse(struct bytes_view text, struct aof_manifest *out, struct aof_manifest_error *error);
void aof_manifest_format(const struct aof_manifest *m, struct bytes_buf *out);

bool aof_manifest_lists(const struct aof_manifest *m, const char *name);   /* history included */
bool aof_manifest_is_live(const struct aof_manifest *m, const char *name); /* as base or incremental file */

/* ---- new parts: whoever has one owns its name, until it is put into a manifest ---- */
/* What the next file of this kind is called after the list alone; `name` is appendfilename. */
struct aof_part aof_manifest_next(const struct aof_manifest *m, const char *name, enum aof_part_kind kind);
void aof_part_renumber(struct aof_part *part, const char *name, enum aof_part_kind kind); /* the number after that */
void aof_part_release(struct aof_part *part);

/* ---- changes; *part is used up, but for add_history ---- */
void aof_manifest_add_history(struct aof_manifest *m, const struct aof_part *part);
/* The base there was is history, and so are all incremental files but the last `keep` ones. */
void aof_manifest_replace_base(struct aof_manifest *m, struct aof_part *part, size_t keep);
void aof_manifest_add_incr(struct aof_manifest *m, struct aof_part *part);
void aof_manifest_adopt_old(struct aof_manifest *m, const char *name); /* a file of before Redis 7 is the base */
void aof_manifest_forget_history(struct aof_manifest *m);
/* Is this the one of an upgrade from before Redis 7 that did not get further? */
bool aof_manifest_is_upgrade(const struct aof_manifest *m, const char *name);

/* ---- the file ---- */
/* 0; -ENOENT; -EINVAL with *error; another -errno of reading. */
NODISCARD int aof_manifest_load(const struct sys *sys, const char *path, struct aof_manifest *out,
                                struct aof_manifest_error *error);
/* 0, or -errno: then the old list is in place, or with *renamed the new one, which a power cut may take back. So what
 * either of them lists must stay. `temp` is a path beside it. */
NODISCARD int aof_manifest_store(const struct sys *sys, const char *path, const char *temp,
                                 const struct aof_manifest *m, bool *renamed);

#endif
