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
 * in the place of the one before has lost nothing if storing fails. */
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

/* ---- changes; `name` is appendfilename; what is returned lives as long as the manifest keeps it ---- */
/* The name that the next base gets. The caller frees it. */
char *aof_manifest_next_base(const struct aof_manifest *m, const char *name, bool rdb);
/* The next base: the one there was is history, and so are all incremental files but the last `keep` ones. */
void aof_manifest_replace_base(struct aof_manifest *m, const char *name, bool rdb, size_t keep);
const char *aof_manifest_add_incr(struct aof_manifest *m, const char *name);
void aof_manifest_adopt_old(struct aof_manifest *m, const char *name); /* a file of before Redis 7 is the base */
void aof_manifest_forget_history(struct aof_manifest *m);
/* Is this the one of an upgrade from before Redis 7 that did not get further? */
bool aof_manifest_is_upgrade(const struct aof_manifest *m, const char *name);

/* ---- the file ---- */
/* 0; -ENOENT; -EINVAL with *error; another -errno of reading. */
NODISCARD int aof_manifest_load(const struct sys *sys, const char *path, struct aof_manifest *out,
                                struct aof_manifest_error *error);
/* 0, or -errno with the old file in place. `temp` is a path beside it. */
NODISCARD int aof_manifest_store(const struct sys *sys, const char *path, const char *temp,
                                 const struct aof_manifest *m);

#endif
