/* rdb_check.h -- the checker of RDB files, with the messages of redis-check-rdb.
 *
 * It reads a whole file with the reader of the server, with all its checks, and keeps nothing. Two things that the
 * server refuses are skipped and counted: function libraries and data of modules. Text from the file is escaped
 * before it is printed.
 *
 * Ownership: the caller frees the checker with rdb_check_free(). */
#ifndef LOCKSTEP_STORAGE_RDB_CHECK_H
#define LOCKSTEP_STORAGE_RDB_CHECK_H

#include "storage/base/sys.h"
#include "storage/rdb_reader.h"

struct rdb_check_output {
    void *ctx;
    void (*line)(void *ctx, const char *text);                        /* one line of output, without a line end */
    void (*progress)(void *ctx, uint64_t offset, uint64_t keys_read); /* called after every chunk; may be NULL */
    bool has_tail;                                                    /* other data follows the RDB */
};

struct rdb_check; /* opaque */

struct rdb_check *rdb_check_new(const struct sys *sys, const struct rdb_check_output *out);
void rdb_check_free(struct rdb_check *c);
/* False: the end of the RDB, good or bad, has been reached. */
bool rdb_check_feed(struct rdb_check *c, struct bytes_view in);
size_t rdb_check_tail(const struct rdb_check *c); /* bytes of the last input that follow the end of the RDB */
/* Call once, when there is no more input: prints the result. True: the file is good. */
bool rdb_check_finish(struct rdb_check *c);

/* Checks a whole file. 0: good. -EINVAL: bad, and `line` got the reason. Another -errno: the file cannot be read. */
NODISCARD int rdb_check_file(const struct sys *sys, const char *path, const struct rdb_check_output *out);

#endif
