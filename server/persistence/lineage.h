/* lineage.h -- what a server remembers of itself over restarts: the lineage file.
 *
 *     start:    read, take up the secret --> the data set is loaded --> is the secret that of its history? --> write
 *     running:  FLUSHALL -----------------------> written and synced before its reply      (main thread)
 *               another role, history, peer ----> within a second \
 *               first key, last key ------------> within a second  > whole, synced         (worker thread)
 *               another offset, number of keys -> within a minute /
 *     the end:  written and synced
 *
 * The file is <dbfilename without .rdb>-<port>.lineage in `dir`, so that servers that share a directory have files of
 * their own; the port is `port`, or `tls-port` if that is 0. lineage_text.h has the format. The file belongs to the data:
 * a backup or a move takes it along, and its secret must not be shown (storage/hash_secret.h): mode 0600. A new `dir`,
 * `dbfilename` or `port` moves it with the next write.
 *
 * What is promised:
 *   1. The file is whole: one that a kill or a power cut left is the last or the one before (lineage_disk.h). What is
 *      damaged, of another version, longer than 64 KB or no regular file counts as unknown, and is logged.
 *   2. The secret counts as known (repl_secret_known()) only if the file lists the history that the loaded data files
 *      name. The file and the data files change one after the other; a kill in between leaves an id that the file does
 *      not list, or a file that lists an id of no data. An unmatched secret is still what keys are hashed with.
 *   3. While a master's data set replaces ours, and until it is complete, the file stays as it is: so do the data files.
 *   4. After FLUSHALL, or a FLUSHDB that leaves nothing, has been answered, no restart finds "there were keys, and nobody
 *      flushed them". The file is written before the log is, so a kill in between finds "flushed" and keys.
 *   5. `keys` of a file that was found is kept while the server that came up without any of them stays empty: to come up
 *      empty twice does not erase the memory. Keys, a flush or a master's data set end this.
 *   6. The main thread waits for the disk at the start, at the end and for promise 4 only, and for promise 4 at most once
 *      after each write of a file that tells of keys. Other writes are at least a second apart.
 *
 * What breaks it:
 *   - A folder or a disk that takes no file: one warning, INFO's lineage_status:err, and a try each minute. What is on
 *     disk is out of date meanwhile. After a flush that could not be noted the file is removed, or emptied where it cannot
 *     be: unknown, not wrong, unless its directory can be synced for neither, or the disk has become read-only.
 *   - A disk that says "synced" and lies.
 *   - A file that was copied from another server, or restored from a backup: the secret is checked by promise 2; the
 *     rest is believed.
 *   - Two servers with the same dir, dbfilename and port (on different addresses): the one that finds the other's file
 *     says so once, writes no more, and shows lineage_status:clash.
 *   - Clients may give themselves names of sentinels (CLIENT SETNAME, HELLO): the list is a claim, not a proof. It is bounded.
 *
 * Not here: what follows from an empty start, and from a secret that is unknown. */
#ifndef LOCKSTEP_SERVER_PERSISTENCE_LINEAGE_H
#define LOCKSTEP_SERVER_PERSISTENCE_LINEAGE_H

#include "server/persistence/lineage_text.h"

struct core;
struct lineage; /* opaque */

struct lineage *lineage_new(struct core *core);
void lineage_free(struct lineage *ln);

/* --- the start --- */
void lineage_read(struct lineage *ln);  /* before data are loaded: the keyspace is empty */
void lineage_begin(struct lineage *ln); /* data, id and offset of the files are in place */
/* What the previous run left; NULL: unknown. Valid as long as the object. */
const struct lineage_record *lineage_before(const struct lineage *ln);

/* --- running --- */
void lineage_flushed(struct lineage *ln); /* FLUSHALL or FLUSHDB has run */
void lineage_turn(struct lineage *ln);    /* before the log is written, and before replies and stream are sent */
void lineage_cron(struct lineage *ln);
void lineage_changed(struct lineage *ln);       /* role or history: look at once, not within a second */
void lineage_data_replaced(struct lineage *ln); /* the data set is that of our master now, complete */
void lineage_saw_client(struct lineage *ln, struct bytes_view name); /* it was named, by which sentinels are seen */
bool lineage_knows_sentinels(const struct lineage *ln); /* in this life, or in one that the file tells of */
void lineage_shut_down(struct lineage *ln);             /* the data files are written */

void lineage_info(const struct lineage *ln, struct bytes_buf *out); /* without the secret */

#endif
