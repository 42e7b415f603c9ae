/* rdb_reader.h -- reads RDB files of versions 1 to 12, fed with bytes in any split.
 *
 * Bytes go in, keys come out through callbacks. Nothing in the file is trusted: allocations grow with the bytes that
 * have arrived, whatever length was announced; listpacks, ziplists, zipmaps and intsets are checked in depth;
 * duplicates, NaN scores, odd counts and broken order are errors (a sorted set that is merely out of order is sorted).
 * The first error stays: later calls return it again. Modules are refused by name.
 *
 * Bytes after the end of the file are not consumed: *consumed tells where it ended, what follows belongs to someone
 * else. */
#ifndef LOCKSTEP_STORAGE_RDB_READER_H
#define LOCKSTEP_STORAGE_RDB_READER_H

#include "storage/rdb.h"
#include "storage/value.h"

struct blob; /* storage/entry.h */

enum rdb_status { RDB_MORE = 0 /* wants bytes */, RDB_DONE, RDB_ERROR };

struct rdb_reader_options {
    const struct value_env *env; /* for the values built; outlives the reader */
    uint64_t max_string;         /* longest string or blob; 0: the default, 4 GiB */
    int max_db;                  /* databases there are; 0: any number up to INT_MAX */
    bool skip_functions;         /* function libraries are told to on_skipped */
    bool skip_modules;           /* so is what modules saved, where its end can be found without the module */
    bool skip_empty;             /* so are keys with an empty collection, which old versions could write */
    bool ignore_checksum;
};

/* The name that comes with it: of the key, of the library, of the module. */
enum rdb_skipped { RDB_SKIPPED_EMPTY_KEY, RDB_SKIPPED_FUNCTION, RDB_SKIPPED_MODULE_AUX, RDB_SKIPPED_MODULE_VALUE };

enum rdb_checksum {
    RDB_CHECKSUM_NOT_YET = 0,
    RDB_CHECKSUM_RIGHT,
    RDB_CHECKSUM_NONE,        /* versions before 5 have none */
    RDB_CHECKSUM_NOT_CHECKED, /* the writer left it out, or the options say to ignore it */
};

struct rdb_key { /* the views live during the callback only */
    int db;
    struct bytes_view name;
    int64_t expiry_ms;    /* -1: none */
    int64_t idle_seconds; /* -1: not told */
    int freq;             /* -1: not told */
    enum value_type type;
    void *value;              /* a collection: the callback owns it now */
    struct bytes_view string; /* TYPE_STRING */
    /* Of a long string: its buffer. Not NULL: the callback may take it (and set it to NULL) instead of copying. */
    struct blob **blob;
};

struct rdb_callbacks { /* any may be NULL, except on_key. Nonzero refuses: the reader stops with an error */
    void *ctx;
    int (*on_aux)(void *ctx, struct bytes_view name, struct bytes_view value);
    int (*on_db)(void *ctx, int id);
    int (*on_size)(void *ctx, int id, uint64_t keys, uint64_t expires); /* hints: not to be trusted */
    int (*on_key)(void *ctx, const struct rdb_key *key);
    int (*on_library)(void *ctx, struct bytes_view source); /* NULL: function libraries are an error */
    void (*on_skipped)(void *ctx, enum rdb_skipped what, struct bytes_view name); /* see the skip_ options */
};

struct rdb_place {       /* where a reader is, for those who tell somebody; the view lives until the next call */
    uint64_t start, end; /* bytes of the file that are being handled; after an error, of the offending ones */
    const char *doing;   /* in redis-check-rdb's words */
    bool in_value;       /* then there are: */
    struct bytes_view key;
    enum rdb_type type;
    int64_t expiry_ms; /* -1: none */
};

struct rdb_reader; /* opaque */

struct rdb_reader *rdb_reader_new(const struct rdb_reader_options *options, const struct rdb_callbacks *callbacks);
void rdb_reader_free(struct rdb_reader *r);
/* *consumed is in.len unless the file ended (or broke) before. */
enum rdb_status rdb_reader_feed(struct rdb_reader *r, struct bytes_view in, size_t *consumed);
/* For a callback that refuses, before it returns nonzero: why. */
void rdb_reader_set_error(struct rdb_reader *r, const char *fmt, ...) PRINTF(2, 3);
const char *rdb_reader_error(const struct rdb_reader *r);  /* with the byte offset; "" if there is none */
const char *rdb_reader_reason(const struct rdb_reader *r); /* the same without the place */
struct rdb_place rdb_reader_place(const struct rdb_reader *r);
enum rdb_checksum rdb_reader_checksum(const struct rdb_reader *r);
uint64_t rdb_reader_offset(const struct rdb_reader *r);  /* bytes consumed so far */
int rdb_reader_version(const struct rdb_reader *r);      /* 0 before the header was read */
bool rdb_reader_has_started(const struct rdb_reader *r); /* anything was fed */

/* The name in a library's first line, "#!lua name=mylib", for those who tell somebody; "?" where there is none. */
struct bytes_view rdb_library_name(struct bytes_view source);
/* FUNCTION RESTORE: calls on_library with each source. 0; -EBADMSG as below; -EINVAL with the reason. */
NODISCARD int rdb_restore_libraries(struct bytes_view payload, int (*on_library)(void *ctx, struct bytes_view source),
                                    void *ctx, struct bytes_buf *why);
/* RESTORE. 0; -EBADMSG: version or checksum are wrong ("DUMP payload version or checksum are wrong"); -EINVAL: anything
 * else ("Bad data format"). On success a collection is the caller's through *value, a string is in *string (an empty
 * buffer that the caller gives); on -EINVAL the reason is appended to *why, unless that is NULL. */
NODISCARD int rdb_restore(struct bytes_view payload, const struct value_env *env, enum value_type *type, void **value,
                          struct bytes_buf *string, struct bytes_buf *why);

#endif
