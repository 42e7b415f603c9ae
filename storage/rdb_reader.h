/* rdb_reader.h -- a parser of RDB files, versions 1 to 12, that is fed with bytes in any split.
 *
 * Bytes go in; keys come out through callbacks. The reader trusts nothing in the file:
 * - Allocations grow with the bytes that have arrived, whatever length was announced.
 * - Listpacks, ziplists, zipmaps and intsets are validated entry by entry.
 * - Duplicates, NaN scores, odd counts and broken order are errors. A sorted set that is only out of order is
 *   sorted.
 * - Data of modules is an error that names the module.
 *
 * Errors are permanent: after the first one all calls return it again.
 * The reader does not consume bytes behind the end of the file; *consumed is where the file ended.
 * Ownership: the views passed to a callback are valid during the callback only; collections passed to on_key are
 * then the callback's.
 * Not here: what to do with a key (rdb_load.h, rdb_check.h). */
#ifndef LOCKSTEP_STORAGE_RDB_READER_H
#define LOCKSTEP_STORAGE_RDB_READER_H

#include "storage/rdb.h"
#include "storage/value.h"

struct blob; /* storage/entry.h */

enum rdb_status { RDB_MORE = 0 /* needs more bytes */, RDB_DONE, RDB_ERROR };

struct rdb_reader_options {
    const struct value_env *env; /* for the values that are built; outlives the reader */
    uint64_t max_string;         /* limit for a string or blob; 0: the default, 4 GiB */
    int max_db;                  /* number of databases; 0: any number up to INT_MAX */
    bool skip_functions;         /* report function libraries to on_skipped instead of failing */
    bool skip_modules;           /* the same for data of modules, where its end can be found without the module */
    bool skip_empty;             /* the same for keys with an empty collection, which old versions could write */
    bool ignore_checksum;
};

/* What was skipped. The name passed with it is that of the key, the library or the module. */
enum rdb_skipped { RDB_SKIPPED_EMPTY_KEY, RDB_SKIPPED_FUNCTION, RDB_SKIPPED_MODULE_AUX, RDB_SKIPPED_MODULE_VALUE };

enum rdb_checksum {
    RDB_CHECKSUM_NOT_YET = 0,
    RDB_CHECKSUM_RIGHT,
    RDB_CHECKSUM_NONE,        /* versions before 5 have no checksum */
    RDB_CHECKSUM_NOT_CHECKED, /* the writer omitted it, or the options say to ignore it */
};

struct rdb_key { /* views are valid during the callback only */
    int db;
    struct bytes_view name;
    int64_t expiry_ms;    /* -1: none */
    int64_t idle_seconds; /* -1: not given */
    int freq;             /* -1: not given */
    enum value_type type;
    void *value;              /* a collection: owned by the callback from now on */
    struct bytes_view string; /* TYPE_STRING */
    /* The buffer of a long string, or NULL. The callback may take it (and set it to NULL) instead of copying the
     * string. */
    struct blob **blob;
};

struct rdb_callbacks { /* any may be NULL, except on_key. Nonzero refuses: the reader stops with an error */
    void *ctx;
    int (*on_aux)(void *ctx, struct bytes_view name, struct bytes_view value);
    int (*on_db)(void *ctx, int id);
    int (*on_size)(void *ctx, int id, uint64_t keys, uint64_t expires); /* hints that may be wrong */
    int (*on_key)(void *ctx, const struct rdb_key *key);
    int (*on_library)(void *ctx, struct bytes_view source); /* NULL: function libraries are an error */
    void (*on_skipped)(void *ctx, enum rdb_skipped what, struct bytes_view name); /* see the skip_ options */
};

struct rdb_place {       /* the position of the reader, for messages; the view is valid until the next call */
    uint64_t start, end; /* the bytes of the file being handled; after an error, the offending bytes */
    const char *doing;   /* in the words of redis-check-rdb */
    bool in_value;       /* if true, the fields below are set */
    struct bytes_view key;
    enum rdb_type type;
    int64_t expiry_ms; /* -1: none */
};

struct rdb_reader; /* opaque */

struct rdb_reader *rdb_reader_new(const struct rdb_reader_options *options, const struct rdb_callbacks *callbacks);
void rdb_reader_free(struct rdb_reader *r);
/* *consumed is in.len unless the file ended or broke before. */
enum rdb_status rdb_reader_feed(struct rdb_reader *r, struct bytes_view in, size_t *consumed);
/* For a callback that is about to return nonzero: sets the reason. */
void rdb_reader_set_error(struct rdb_reader *r, const char *fmt, ...) PRINTF(2, 3);
const char *rdb_reader_error(const struct rdb_reader *r);  /* with the byte offset; "" if there is no error */
const char *rdb_reader_reason(const struct rdb_reader *r); /* the same without the position */
struct rdb_place rdb_reader_place(const struct rdb_reader *r);
enum rdb_checksum rdb_reader_checksum(const struct rdb_reader *r);
uint64_t rdb_reader_offset(const struct rdb_reader *r); /* bytes consumed so far */
int rdb_reader_version(const struct rdb_reader *r);     /* 0 until the header has been read */

/* The name in a library's first line, "#!lua name=mylib", for messages; "?" if there is none. */
struct bytes_view rdb_library_name(struct bytes_view source);
/* FUNCTION RESTORE: calls on_library with each source. 0; -EBADMSG as below; -EINVAL with the reason. */
NODISCARD int rdb_restore_libraries(struct bytes_view payload, int (*on_library)(void *ctx, struct bytes_view source),
                                    void *ctx, struct bytes_buf *why);
/* RESTORE. 0; -EBADMSG: wrong version or checksum ("DUMP payload version or checksum are wrong"); -EINVAL: any other
 * fault ("Bad data format"), with the reason appended to *why unless that is NULL. On success *value is a collection
 * that the caller owns, or *string (empty when passed in) holds the string. */
NODISCARD int rdb_restore(struct bytes_view payload, const struct value_env *env, enum value_type *type, void **value,
                          struct bytes_buf *string, struct bytes_buf *why);

#endif
