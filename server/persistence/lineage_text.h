/* lineage_text.h -- the text of a lineage file: format, parser and checksum. No I/O.
 *
 *     lockstep-lineage 1                         magic and version: the first line
 *     run-id <40 digits>                         of the server that wrote the file (INFO server)
 *     written-ms <Unix time>
 *     role master | role replica
 *     master <host> <port>                       of a replica
 *     history <id> <offset> yes|no               yes: the secret is that of this history
 *     former-history <id> <offset> yes|no        the second id and the position of the fork (replication/identity.h)
 *     secret <32 digits>                         that keys and elements are hashed with (storage/hash_secret.h)
 *     keys <number>                              when it was last known
 *     flushed yes|no                             yes: keys is 0 because FLUSHALL or FLUSHDB emptied the data set
 *     sentinel <id> <Unix time in s>             seen then: a client named sentinel-<id>-cmd or -pubsub
 *     replica <host> <port> <Unix time in s>     was online then
 *     checksum <16 digits>                       CRC-64 of all bytes before this line: the last line
 *
 * Lines end in a line feed; words are separated by one blank. run-id, role, secret, keys, flushed and
 * checksum are in every file, once; the lines before the checksum are in any order. A reader skips lines whose first word
 * it does not know, so later versions may add some; a change that a reader must not skip gets another version number.
 *
 * The bytes are not trusted: the text has at most LINEAGE_TEXT_MAX bytes, lists have a limit, numbers are canonical, names
 * hold only printable characters. The checksum tells accidents, not forgery. */
#ifndef LOCKSTEP_SERVER_PERSISTENCE_LINEAGE_TEXT_H
#define LOCKSTEP_SERVER_PERSISTENCE_LINEAGE_TEXT_H

#include "replication/replication.h"
#include "server/core/lifecycle.h"
#include "storage/hash_secret.h"

enum { LINEAGE_TEXT_MAX = 64 * 1024, LINEAGE_LIST_MAX = 32, LINEAGE_SENTINEL_MAX = 64 };

struct lineage_history {
    char id[REPL_ID_LEN + 1]; /* "": none */
    uint64_t offset;
    bool has_secret; /* the secret is that of this history */
};

struct lineage_sentinel {
    char id[LINEAGE_SENTINEL_MAX + 1]; /* what stands between "sentinel-" and "-cmd" in the name of its clients */
    int64_t seen_s;
};

struct lineage_replica {
    char host[REPL_HOST_MAX + 1];
    int port;
    int64_t seen_s;
};

/* A value type of about 15 KB. Zeroed, it is a record of nothing. */
struct lineage_record {
    char run_id[RUN_ID_LEN + 1];
    int64_t written_ms;
    enum repl_role role;
    char master_host[REPL_HOST_MAX + 1]; /* "": none */
    int master_port;
    struct lineage_history history, former;
    struct hash_secret secret;
    uint64_t keys;
    bool flushed;
    size_t sentinel_count, replica_count;
    struct lineage_sentinel sentinels[LINEAGE_LIST_MAX]; /* the one seen longest ago goes if the list is full */
    struct lineage_replica replicas[LINEAGE_LIST_MAX];
};

void lineage_text_format(const struct lineage_record *record, struct bytes_buf *out);
/* 0; or -EINVAL with *record untouched and *why a constant. */
NODISCARD int lineage_text_parse(struct bytes_view text, struct lineage_record *record, const char **why);

/* Puts a sentinel or replica into its list, or notes that it was seen again. Names that the file cannot hold are left
 * out. True: it is new. */
bool lineage_note_sentinel(struct lineage_record *record, struct bytes_view id, int64_t now_s);
bool lineage_note_replica(struct lineage_record *record, struct bytes_view host, int port, int64_t now_s);
bool lineage_is_word(struct bytes_view text, size_t max); /* the file can hold it: printable, without blanks */
/* True if the secret is known to be that of the history with this id. */
bool lineage_has_secret_of(const struct lineage_record *record, const char *id);

#endif
