/* sentinel.h -- the states and decisions of a sentinel, without sockets, files or a clock.
 *
 *     room (server/sentinel/, or a test)                     library (replication/sentinel/)
 *     links, replies, hellos, questions of peers  --events-->  nodes, who is down, votes, failovers
 *     sends commands, publishes, saves            <---host---  struct sentinel_host
 *
 * A node is a server or a sentinel that this sentinel knows: a master, a replica of it, or another sentinel that watches
 * it. A sentinel that watches three masters with us is three nodes with one run id; the room may let them share a link.
 *
 * Invariants:
 *   1. No vote, epoch or promise leaves before host.save() has returned 0. If it fails, there is no vote.
 *   2. Votes: at most one for each epoch and master. current_epoch never decreases.
 *   3. A node passed to a call of the host is valid until host.disconnect() has been called for it.
 *      Any event and any request may end with disconnect() for any node, the one that it named included.
 *   4. No function of the library calls the host after sentinel_free(), and none is entered again from inside a call of
 *      the host, but for sentinel_config_lines() and the reading functions (marked R below).
 * Ownership:  the library owns nodes; the room owns one pointer in each (sentinel_node_set_link()). Strings that are
 *             returned are valid until the next call that changes something. Strings that are passed are copied.
 * Time:       milliseconds of a monotonic clock, from host.now(), which must not change within one call of the library.
 * Not here:   connections and their handshakes, scripts, the file, who may call what (ACL), text of replies.
 *
 * README.md beside this file has the picture of a failover, and what is promised. */
#ifndef LOCKSTEP_REPLICATION_SENTINEL_SENTINEL_H
#define LOCKSTEP_REPLICATION_SENTINEL_SENTINEL_H

#include "storage/base/bytes.h"

struct sentinel;      /* opaque: all of one sentinel */
struct sentinel_node; /* opaque: a master, a replica or another sentinel */

enum {
    SENTINEL_ID_LEN = 40,    /* hexadecimal digits of a run id */
    SENTINEL_HOST_MAX = 255, /* bytes of a host name or address */
    SENTINEL_IP_SIZE = 64,   /* digits of an address, with scope and NUL */
    SENTINEL_NAME_MAX = 255, /* bytes of the name of a master */
    SENTINEL_TICK_MS = 100,  /* sentinel_tick() is called at least this often */
    SENTINEL_PORT = 26379,
};
#define SENTINEL_HELLO_CHANNEL "__sentinel__:hello"

enum sentinel_kind { SENTINEL_MASTER, SENTINEL_REPLICA, SENTINEL_PEER };
enum sentinel_which {
    SENTINEL_LINK_COMMANDS,
    SENTINEL_LINK_HELLOS, /* subscribed to SENTINEL_HELLO_CHANNEL; masters and replicas only */
};
enum sentinel_level {
    SENTINEL_DEBUG, /* logged, not published */
    SENTINEL_VERBOSE,
    SENTINEL_NOTICE,
    SENTINEL_WARNING, /* logged, published, and given to the notification script */
};

/* A reply, parsed. The room fills it from what its parser has; it is borrowed for the call. */
enum sentinel_reply_kind {
    SENTINEL_REPLY_STATUS,  /* +text */
    SENTINEL_REPLY_ERROR,   /* -text */
    SENTINEL_REPLY_INTEGER, /* :integer */
    SENTINEL_REPLY_STRING,  /* $text */
    SENTINEL_REPLY_NIL,
    SENTINEL_REPLY_ARRAY, /* items[count] */
};
struct sentinel_value {
    enum sentinel_reply_kind kind;
    struct bytes_view text;
    int64_t integer;
    const struct sentinel_value *items;
    size_t count;
};

/* What went wrong with a request of an operator or with a line of the file. `text` begins with the code of the error
 * reply ("ERR ...", "NOGOODSLAVE ...", "INPROG ...", "NOQUORUM ..."), without '-'. */
struct sentinel_error {
    char text[512];
};

struct sentinel_host { /* everything that the library asks of the process around it */
    void *ctx;
    int64_t (*now)(void *ctx);     /* monotonic milliseconds */
    uint64_t (*random)(void *ctx); /* all 64 bits, seeded anew in each process (H6) */

    /* --- links --- */
    /* A node is new, or its address or its credentials changed: drop the connections that it had and keep connections
     * to it from now on. Both for masters and replicas, SENTINEL_LINK_COMMANDS alone for peers. The first attempt is
     * made at once, each further one at the earliest 1 s after the one before it. The handshake is the room's: TLS, AUTH
     * with sentinel_node_user() and _pass(), CLIENT SETNAME with sentinel_link_name(), SUBSCRIBE. sentinel_link_up()
     * tells that a connection was established (the answers to the handshake need not be there). Without an address
     * (sentinel_node_ip() is "") nothing is tried. */
    void (*connect)(void *ctx, struct sentinel_node *node);
    void (*disconnect)(void *ctx, struct sentinel_node *node); /* the node goes: no event may name it any more */
    /* A connection is of no use (no answers): close it and connect again, with the same limit of attempts. The room
     * calls no sentinel_link_down() for it, but sentinel_reply() with NULL for what was not answered. */
    void (*reconnect)(void *ctx, struct sentinel_node *node, enum sentinel_which which);
    /* Sends a command; sentinel_reply() brings the answer, in order, with the same tag. False: there is no connection,
     * nothing was sent and no answer comes. `argv` is borrowed. */
    bool (*send)(void *ctx, struct sentinel_node *node, unsigned tag, int argc, const struct bytes_view *argv);
    /* Our own address as that node sees us: of the socket of its command link, in digits. False: not connected. */
    bool (*local_ip)(void *ctx, struct sentinel_node *node, char out[SENTINEL_IP_SIZE]);
    int (*listening_port)(void *ctx); /* TLS port if links use TLS */

    /* --- the outside --- */
    /* Something happened: `text` is the message, as SUBSCRIBE of the channel `type` ("+sdown") gets it. Log it as
     * "type text"; publish unless `level` is DEBUG; with WARNING start the notification script of `master` (NULL for an
     * event of no master, such as +tilt). */
    void (*event)(void *ctx, enum sentinel_level level, const char *type, const struct sentinel_node *master,
                  const char *text);
    void (*log)(void *ctx, enum sentinel_level level, const char *text); /* a line of the log, no event */
    /* Starts the client-reconfig-script of `master`: name, role ("leader" or "observer"), state ("start"), addresses. */
    void (*reconfig)(void *ctx, const struct sentinel_node *master, const char *role, const char *state,
                     const char *from_host, int from_port, const char *to_host, int to_port);
    /* Writes the configuration file with what sentinel_config_lines() says, synced, whole or not at all. 0 or -errno. It
     * is called for every change, so also while an event or a command is handled. */
    int (*save)(void *ctx);
    /* The address of a name. 0 and `ip` if it is known (from a cache of some seconds); -EAGAIN: it is being asked for,
     * and sentinel_resolved() follows. Digits are never asked for. */
    int (*resolve)(void *ctx, const char *name, char ip[SENTINEL_IP_SIZE]);
    bool (*script_usable)(void *ctx, const char *path); /* exists and may be executed */
    void (*crash)(void *ctx);                           /* SENTINEL SIMULATE-FAILURE: end the process with status 99 */
};

/* --- life --- */
/* A sentinel that knows nobody and has a random id. `host` is copied; its ctx must outlive the sentinel. */
struct sentinel *sentinel_new(const struct sentinel_host *host);
void sentinel_free(struct sentinel *s); /* disconnects every node */
/* Call it once the file is read and the links can be made: connects every node and saves if the id or a default has to
 * be in the file. 0, or what save() returned. Before it the host is not called, except now(), random(), resolve() and
 * script_usable(). */
NODISCARD int sentinel_start(struct sentinel *s);
/* Does what is due. Returns in how many milliseconds it wants the next call (1 to SENTINEL_TICK_MS). Events may make
 * something due earlier: a call after a batch of events is cheap. */
int sentinel_tick(struct sentinel *s);

/* --- events of links --- */
void sentinel_link_up(struct sentinel *s, struct sentinel_node *node, enum sentinel_which which);
/* A connection was lost, or could not be made. Commands without an answer get sentinel_reply() with NULL first. */
void sentinel_link_down(struct sentinel *s, struct sentinel_node *node, enum sentinel_which which, const char *reason);
/* The answer to AUTH: NULL if it was accepted, else the error without '-'. Also for a NOAUTH of any other command of
 * the handshake. After an error the room closes the connection and tries again. */
void sentinel_link_auth(struct sentinel *s, struct sentinel_node *node, const char *error);
/* The answer to a command of host.send(). NULL: the connection was lost before it. */
void sentinel_reply(struct sentinel *s, struct sentinel_node *node, unsigned tag, const struct sentinel_value *reply);
/* A message of SENTINEL_HELLO_CHANNEL: from the subscription of `node`, or published to us by a peer (NULL). Whatever is
 * not a hello is ignored. */
void sentinel_hello(struct sentinel *s, struct sentinel_node *node, struct bytes_view text);
/* The answer to host.resolve(): `ip` is NULL if the name has no address. */
void sentinel_resolved(struct sentinel *s, const char *name, const char *ip);

/* --- questions of peers --- */
struct sentinel_vote {
    bool down;                        /* we see that master down */
    char leader[SENTINEL_ID_LEN + 1]; /* whom we voted for, "*" for nobody */
    uint64_t epoch;                   /* the epoch of that vote, 0 for none */
};
/* SENTINEL IS-MASTER-DOWN-BY-ADDR ip port epoch runid: with a run id it asks for our vote, with "*" it does not. The
 * reply is an array: integer 1 or 0, bulk string, integer. */
void sentinel_down_by_addr(struct sentinel *s, struct bytes_view ip, int port, uint64_t epoch, struct bytes_view runid,
                           struct sentinel_vote *out);
/* SENTINEL PRE-VOTE ip port epoch runid, a question of ours: would a vote be given for that epoch? It changes no epoch.
 * The reply is an array: integer 1 or 0, integer our current epoch. Redis answers with an error, which says that it
 * cannot be asked. */
bool sentinel_would_vote(struct sentinel *s, struct bytes_view ip, int port, uint64_t epoch, struct bytes_view runid);

/* --- requests of operators --- (0, or -errno and *err filled in) */
/* A host name needs `sentinel resolve-hostnames yes`, and host.resolve() to know it already. */
NODISCARD int sentinel_monitor(struct sentinel *s, const char *name, const char *host, int port, int64_t quorum,
                               struct sentinel_error *err);
NODISCARD int sentinel_remove(struct sentinel *s, const char *name, struct sentinel_error *err);
/* Options and values of SENTINEL SET in a row ("rename-command" takes two values). As with Redis the options before a
 * wrong one stay set. Values are C strings; a value with a control byte is refused (also a NUL: C0 80). */
NODISCARD int sentinel_set(struct sentinel *s, const char *name, int argc, const char *const *argv,
                           struct sentinel_error *err);
int sentinel_reset(struct sentinel *s, const char *pattern); /* number of masters that match */
NODISCARD int sentinel_failover(struct sentinel *s, const char *name, bool coordinated, struct sentinel_error *err);
/* Forgets one replica or peer: by run id, or by host and port. */
NODISCARD int sentinel_forget(struct sentinel *s, const char *name, const char *host_or_runid, int port,
                              struct sentinel_error *err);
/* 0 and the sentence of +OK in `text`, or -errno and the error. */
NODISCARD int sentinel_ckquorum(struct sentinel *s, const char *name, char *text, size_t size,
                                struct sentinel_error *err);
NODISCARD int sentinel_flush_config(struct sentinel *s); /* 0 or -errno */
/* "crash-after-election" or "crash-after-promotion"; false for another word. SENTINEL SIMULATE-FAILURE ends those that
 * were set before, and sets those that it names. */
bool sentinel_simulate(struct sentinel *s, const char *failure);
void sentinel_simulate_nothing(struct sentinel *s);
/* Their names. (R) */
const char *const *sentinel_simulations(void); /* ends with NULL */

/* SENTINEL DEBUG: periods by name, for tests ("info-period", "ping-period", ...). */
struct sentinel_tunable {
    const char *name;
    int64_t value;
};
size_t sentinel_tunables(const struct sentinel *s, struct sentinel_tunable *out,
                         size_t max); /* how many there are (R) */
NODISCARD int sentinel_tune(struct sentinel *s, const char *name, const char *value, struct sentinel_error *err);

/* SENTINEL CONFIG GET/SET: the settings of the sentinel as a whole, except loglevel, which is the room's. */
struct sentinel_global {
    const char *name;
    const char *value;
};
size_t sentinel_globals(const struct sentinel *s, struct sentinel_global *out, size_t max); /* by name (R) */
NODISCARD int sentinel_global_check(const struct sentinel *s, const char *name, const char *value,
                                    struct sentinel_error *err); /* -ENOENT for an unknown name (R) */
/* Sets it, saves nothing: the caller ends with sentinel_flush_config(). */
NODISCARD int sentinel_global_set(struct sentinel *s, const char *name, const char *value, struct sentinel_error *err);

/* --- the configuration file --- */
/* One line of the file: the words behind "sentinel". Lines are kept until sentinel_config_end(), because the file may
 * have them in any order. False: no such directive. */
bool sentinel_config_line(struct sentinel *s, int line, int argc, const char *const *argv);
/* Applies the lines. 0, or -EINVAL with *line and *err of the first that is wrong. */
NODISCARD int sentinel_config_end(struct sentinel *s, int *line, struct sentinel_error *err);
/* Every line that has to be in the file, in Redis's order, without defaults. `directive` is its first two words
 * ("sentinel monitor"): the rewriting puts a line where one of the same directive was, and removes other lines that
 * begin with "sentinel". (R) */
struct sentinel_line_out {
    void *ctx;
    void (*line)(void *ctx, const char *directive, const char *line);
};
void sentinel_config_lines(const struct sentinel *s, const struct sentinel_line_out *out);

/* --- reading: INFO, ROLE, SENTINEL MASTERS ... (R) --- */
const char *sentinel_id(const struct sentinel *s);
uint64_t sentinel_epoch(const struct sentinel *s); /* current_epoch */
bool sentinel_in_tilt(const struct sentinel *s, int64_t *since_s /* -1 if not */);
unsigned sentinel_simulation_bits(const struct sentinel *s);
size_t sentinel_master_count(const struct sentinel *s);
/* Walking: NULL first, then the last one returned; NULL ends. In order of arrival. */
struct sentinel_node *sentinel_next_master(const struct sentinel *s, const struct sentinel_node *after);
struct sentinel_node *sentinel_find_master(const struct sentinel *s, const char *name); /* or NULL */
struct sentinel_node *sentinel_next_replica(const struct sentinel_node *master, const struct sentinel_node *after);
struct sentinel_node *sentinel_next_peer(const struct sentinel_node *master, const struct sentinel_node *after);
size_t sentinel_replica_count(const struct sentinel_node *master);
size_t sentinel_peer_count(const struct sentinel_node *master); /* without ourselves */
/* The fields of a node, in the order of Redis, then ours. Two calls in a row say the same, so a caller may count first. */
struct sentinel_field_out {
    void *ctx;
    void (*field)(void *ctx, const char *name, const char *value);
};
void sentinel_describe(const struct sentinel *s, const struct sentinel_node *node,
                       const struct sentinel_field_out *out);
/* The status in INFO: "ok", "sdown" or "odown". */
const char *sentinel_master_status(const struct sentinel_node *master);
/* What clients are told: the address of the master, or of the replica that is promoted and has answered. A name if
 * announce-hostnames is set. */
void sentinel_master_address(const struct sentinel_node *master, const char **host, int *port);
/* The last answer to INFO, "" if there was none, and its age in ms (-1). */
struct bytes_view sentinel_node_info(const struct sentinel *s, const struct sentinel_node *node, int64_t *age_ms);

/* --- of one node, for links and scripts (R) --- */
enum sentinel_kind sentinel_node_kind(const struct sentinel_node *node);
const char *
sentinel_node_name(const struct sentinel_node *node); /* of a master; "ip:port" of a replica; run id of a peer */
const char *sentinel_node_runid(const struct sentinel_node *node); /* "" if unknown */
const char *sentinel_node_ip(const struct sentinel_node *node);    /* in digits; "": not resolved */
int sentinel_node_port(const struct sentinel_node *node);
bool sentinel_node_announced(const struct sentinel_node *replica); /* false: left out of SENTINEL REPLICAS */
/* Credentials for the link, or NULL: of the master for it and its replicas, sentinel-user and -pass for peers. */
const char *sentinel_node_user(const struct sentinel *s, const struct sentinel_node *node);
const char *sentinel_node_pass(const struct sentinel *s, const struct sentinel_node *node);
/* The name that this command has there (rename-command). */
const char *sentinel_node_command(const struct sentinel_node *node, const char *word);
const char *sentinel_notification_script(const struct sentinel_node *master);    /* or NULL */
const char *sentinel_client_reconfig_script(const struct sentinel_node *master); /* or NULL */
/* "sentinel-<8 digits of our id>-cmd", "...-pubsub": the name of a connection. */
enum { SENTINEL_LINK_NAME_SIZE = 32 };
void sentinel_link_name(const struct sentinel *s, enum sentinel_which which, char out[SENTINEL_LINK_NAME_SIZE]);
void *sentinel_node_link(const struct sentinel_node *node); /* what the room put there */
void sentinel_node_set_link(struct sentinel_node *node, void *link);

#endif
