/* rdb_check.h -- redis-check-rdb: reads a whole RDB file as a server would, keeps nothing, and says what it found in
 * that program's words.
 *
 * It is the reader of the server that judges, with all its checks. The difference: function libraries and the data of
 * modules, which are refused by a server that has neither, are stepped over and counted. Text from the file is escaped
 * before it gets to a terminal. */
#ifndef LOCKSTEP_STORAGE_RDB_CHECK_H
#define LOCKSTEP_STORAGE_RDB_CHECK_H

#include "storage/base/sys.h"
#include "storage/rdb_reader.h"

struct rdb_check_output {
    void *ctx;
    void (*line)(void *ctx, const char *text);                        /* without a line end */
    void (*progress)(void *ctx, uint64_t offset, uint64_t keys_read); /* after every chunk; may be NULL */
    bool has_tail;                                                    /* something else follows the data */
};

struct rdb_check; /* opaque */

struct rdb_check *rdb_check_new(const struct sys *sys, const struct rdb_check_output *out);
void rdb_check_free(struct rdb_check *c);
/* False: that was the end, good or bad. */
bool rdb_check_feed(struct rdb_check *c, struct bytes_view in);
size_t rdb_check_tail(const struct rdb_check *c); /* bytes of what was fed last that lie behind the end */
/* There is no more: says how it went. True: the file is good. Once. */
bool rdb_check_finish(struct rdb_check *c);

/* All of it. 0: good. -EINVAL: bad, and `line` has heard why. Another -errno: the file cannot be read. */
NODISCARD int rdb_check_file(const struct sys *sys, const char *path, const struct rdb_check_output *out);

#endif
