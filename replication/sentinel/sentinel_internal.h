/* sentinel_internal.h -- what the files of replication/sentinel/ share.
 *
 *     sentinel.c     life, ticks, events to their owners, small readers
 *     nodes.c        masters, their replicas and peers; addresses; what changes when a master changes
 *     watch.c        PING, INFO and hellos when they are due; down by our own judgement; TILT
 *     node_info.c    what an INFO says
 *     hello.c        hellos out and in: peers, epochs, configurations
 *     agree.c        what peers say about a master; down by agreement; our votes
 *     election.c     pre-vote and election: how a sentinel becomes the leader of a failover
 *     candidates.c   which replica is promoted
 *     promotion.c    the steps of a failover
 *     roles.c        nodes whose role is not what the configuration says, outside failovers
 *     requests.c     requests of operators
 *     options.c      SENTINEL SET, SENTINEL CONFIG, SENTINEL DEBUG
 *     directives.c   lines of the configuration file
 *     describe.c     fields of SENTINEL MASTERS, REPLICAS and SENTINELS
 *
 * Times are milliseconds of host.now(); 0 means never, so a clock that starts at 0 is shifted by s->now + 1. */
#ifndef LOCKSTEP_REPLICATION_SENTINEL_SENTINEL_INTERNAL_H
#define LOCKSTEP_REPLICATION_SENTINEL_SENTINEL_INTERNAL_H

#include "replication/sentinel/sentinel.h"

enum { SENTINEL_REPLID_LEN = 40, HISTORIES = 3 };

/* An address: what was configured or announced, and what it is in digits. */
struct node_address {
    char *host;                /* a name or digits; owned */
    char ip[SENTINEL_IP_SIZE]; /* "": not resolved */
    int port;
};

enum node_role { ROLE_UNKNOWN, ROLE_MASTER, ROLE_REPLICA };

/* What the last INFO said. */
struct node_facts {
    enum node_role role;
    char replid[SENTINEL_REPLID_LEN + 1];
    char replid2[SENTINEL_REPLID_LEN + 1]; /* "" for zeros */
    uint64_t offset;                       /* slave_repl_offset of a replica, master_repl_offset of a master */
    bool loading;
    bool sync_in_progress; /* of a replica: the data set is not complete */
    bool link_up;
    int64_t link_down_ms; /* since when the replica has had no master; 0: it has one */
    char *master_host;    /* NULL: none */
    int master_port;
    int priority;
    bool announced;
    bool knows_failover; /* the server has the command FAILOVER */
};

/* The steps of a failover; see promotion.c for the moves. */
enum failover_state {
    FAILOVER_IDLE = 0,
    FAILOVER_WAIT_START,    /* votes are being collected */
    FAILOVER_SELECT,        /* replicas are asked for their offsets, peers whether they still agree */
    FAILOVER_PROMOTE,       /* waits for a link to send SLAVEOF NO ONE to the chosen replica */
    FAILOVER_WAIT_PROMOTED, /* sent; waits until its INFO says master */
    FAILOVER_RECONF,        /* the new configuration is valid; the other replicas are told */
    FAILOVER_UPDATE,        /* the node of the master becomes the new address */
};

enum reconf_state { RECONF_NONE, RECONF_SENT, RECONF_IN_PROGRESS, RECONF_DONE };
enum prevote_answer { PREVOTE_NONE, PREVOTE_ASKED, PREVOTE_YES, PREVOTE_NO };

struct renamed_word {
    char *from, *to;
    struct renamed_word *next;
};

/* What only a master has. */
struct master_part {
    struct sentinel_node *replicas, *peers; /* lists in order of arrival */
    /* settings */
    int64_t quorum;
    int64_t down_after_ms, failover_timeout_ms, parallel_syncs, reboot_down_after_ms, refusal_down_after_ms,
        forget_after_ms;
    char *auth_user, *auth_pass, *notification_script, *reconfig_script;
    struct renamed_word *renamed;
    /* agreement */
    bool o_down;
    int64_t o_down_since;
    /* our vote */
    uint64_t config_epoch;
    char leader[SENTINEL_ID_LEN + 1]; /* whom we voted for in leader_epoch; "": nobody, or unknown after a restart */
    uint64_t leader_epoch;
    int64_t lease_until; /* until then nobody but `leader` gets our vote */
    /* pre-vote: given to, and asked for by us */
    char reserved_for[SENTINEL_ID_LEN + 1];
    int64_t reserved_until;
    bool prevote_running;
    uint64_t prevote_epoch;
    int64_t prevote_since;
    int64_t not_before; /* no failover of ours begins before it */
    bool delay_logged;
    bool had_no_candidate; /* the last attempt failed for that: no further one before there is a candidate */
    /* the failover that we lead */
    enum failover_state state;
    uint64_t failover_epoch;
    int64_t failover_since; /* its begin */
    int64_t state_since;
    bool forced, coordinated;
    struct sentinel_node *promoted; /* one of `replicas` */
    /* histories of this master, the newest first: what its INFO said last, and before */
    char histories[HISTORIES][SENTINEL_REPLID_LEN + 1];
    /* asking peers whether our configuration is theirs (roles.c) */
    int64_t confirm_asked_at;
};

struct sentinel_node {
    struct sentinel *sentinel;
    enum sentinel_kind kind;
    struct sentinel_node *master; /* of a master: itself */
    struct sentinel_node *next;   /* in the list that holds it */
    char *name;                   /* of a master; "ip:port" of a replica; run id of a peer */
    char runid[SENTINEL_ID_LEN + 1];
    struct node_address address;
    struct master_part *m; /* NULL but for masters */
    void *link;            /* the room's */

    /* links */
    bool connected; /* host.connect() was called */
    bool up[2];
    int64_t up_at[2];          /* since when */
    int64_t down_at;           /* since when the command link has been down */
    bool auth_failed;          /* said once, until it is accepted again */
    unsigned pending;          /* commands without an answer */
    int64_t last_heard_hellos; /* the last message of the hello link */

    /* watching */
    int64_t added_at;
    int64_t ping_sent_at;
    bool ping_pending;
    int64_t unanswered_since; /* when the first PING since the last acceptable answer was sent */
    int64_t last_ok_at;       /* the last acceptable answer to a PING */
    int64_t last_pong_at;     /* the last answer of any kind */
    int64_t refused_since;    /* answers have been other than +PONG since (LOADING, MASTERDOWN) */
    int64_t rebooted_at;      /* of a master: seen to have restarted, and no +PONG yet */
    bool script_killed;
    bool s_down;
    int64_t s_down_since;
    int64_t not_down_since; /* the last moment at which it was down, or was added */
    int64_t hello_sent_at;

    /* INFO */
    int64_t info_asked_at, info_at;
    bool info_pending;
    struct bytes_buf info;
    struct node_facts facts;
    int64_t role_since;                          /* when the role that it reports changed */
    int64_t following_since;                     /* when the master that it reports changed */
    char proven_replid[SENTINEL_REPLID_LEN + 1]; /* of a replica: its history when it was linked to its master */
    bool was_replica; /* it has reported to be a replica since it became one in our configuration */

    /* of replicas, in a failover */
    enum reconf_state reconf;
    int64_t reconf_sent_at;
    bool told_to_follow; /* outside failovers; the answer to it is due */

    /* of peers */
    int64_t hello_at;
    bool says_down;
    int64_t says_down_at; /* when that answer was asked for */
    int64_t down_asked_at;
    unsigned down_pending; /* questions without an answer */
    bool ask_again;        /* ask once more if the answer is no */
    char voted[SENTINEL_ID_LEN + 1];
    uint64_t voted_epoch;
    bool no_prevote; /* it does not know PRE-VOTE: Redis */
    enum prevote_answer prevote;
    /* its last hello, for peers whose configuration is as old as ours and different (H7) */
    char claim_host[SENTINEL_HOST_MAX + 1];
    int claim_port;
    uint64_t claim_epoch;
    bool confirms; /* it answered that its configuration is ours, asked at m->confirm_asked_at */
};

struct tunables { /* SENTINEL DEBUG, in the order in which it shows them */
    int64_t info_period, ping_period, ask_period, publish_period, default_down_after, default_failover_timeout,
        tilt_trigger, tilt_period, reconf_timeout, min_link_reconnect, election_timeout, script_max_runtime,
        script_retry_delay;
};

struct kept_line { /* of the configuration file, until sentinel_config_end() */
    int line, argc;
    char **argv;
    struct kept_line *next;
};

struct sentinel {
    struct sentinel_host host;
    int64_t now; /* of the running call */
    char id[SENTINEL_ID_LEN + 1];
    uint64_t current_epoch;
    struct sentinel_node *masters;
    struct tunables tunables;
    bool started;
    bool dirty; /* something that the file has to say is not in it */
    bool id_is_new;
    int64_t last_tick;
    int64_t tilt_since;   /* 0: not in TILT */
    int64_t wake_at;      /* the next moment at which something is due */
    unsigned simulations; /* enum simulation, as bits */
    /* settings of the whole */
    char *announce_ip; /* NULL: the address of the socket */
    int announce_port; /* 0: the listening port */
    char announce_port_text[8];
    char *user, *pass; /* for peers */
    bool resolve_hostnames, announce_hostnames, deny_scripts;
    struct kept_line *lines;
};

enum simulation { SIMULATE_CRASH_AFTER_ELECTION = 1, SIMULATE_CRASH_AFTER_PROMOTION = 2 };

enum {
    DOWN_AFTER_DEFAULT_MS = 30000,
    FAILOVER_TIMEOUT_DEFAULT_MS = 180000,
    PARALLEL_SYNCS_DEFAULT = 1,
    PENDING_MAX = 100,        /* commands of one node without an answer; more are not sent */
    LEAD_MS = 3000,           /* a leader sends SLAVEOF NO ONE within this of its election, or gives up */
    AGREED_WITHIN_MS = 1000,  /* the master was said to be down as lately as this, when it is replaced */
    SELECT_WAIT_MS = 100,     /* for answers to INFO before a replica is chosen */
    PREVOTE_WAIT_MS = 300,    /* for answers to PRE-VOTE */
    PREVOTE_RESERVE_MS = 500, /* one sentinel at a time tries */
    RETRY_MIN_MS = 50,        /* after a round that nobody won, at random */
    RETRY_MAX_MS = 350,
    PAUSE_MS = 10000,        /* after an attempt that may have promoted somebody, unless failover-timeout is shorter */
    CONFIRM_PERIOD_MS = 500, /* peers are asked whether our configuration is theirs */
    PEERS_MAX = 1000,
    BUSY_INFO_MS = 200, /* INFO of a node of which something is expected */
    CONVERT_HELLOS = 4, /* publish periods that a wrong role is watched, if peers cannot be asked */
};

/* What an answer belongs to: the kind in the low byte of a tag, the time of sending above it. */
enum tag {
    TAG_IGNORE, /* nobody waits for it */
    TAG_PING,
    TAG_INFO,
    TAG_HELLO,
    TAG_DOWN,
    TAG_PREVOTE,
    TAG_CONFIRM,
    TAG_PROMOTE,     /* EXEC of the promotion */
    TAG_FOLLOW,      /* EXEC of SLAVEOF host port */
    TAG_COORDINATED, /* FAILOVER TO */
};

#define FOR_EACH_NODE(var, list) for (struct sentinel_node *var = (list); var != NULL; var = var->next)

/* --- sentinel.c --- */
void sentinel_wake_at(struct sentinel *s, int64_t when); /* something is due then */
int64_t sentinel_random(struct sentinel *s, int64_t low, int64_t high);
/* Says what happened to a node: "<instance details><more>". */
void sentinel_event(struct sentinel *s, enum sentinel_level level, const char *type, const struct sentinel_node *node,
                    const char *fmt, ...) PRINTF(5, 6);
/* The same, with a text of its own and the master that it is about (or NULL). */
void sentinel_event_text(struct sentinel *s, enum sentinel_level level, const char *type,
                         const struct sentinel_node *master, const char *fmt, ...) PRINTF(5, 6);
void sentinel_log(struct sentinel *s, enum sentinel_level level, const char *fmt, ...) PRINTF(3, 4);
/* Sends a command of C strings. Renames the first word as the master's settings say. False: there is no link, or too much
 * is unanswered. */
bool node_send_words(struct sentinel_node *node, enum tag tag, const char *const *words /* up to a NULL */);
#define node_send(node, tag, ...) node_send_words(node, tag, (const char *const[]){__VA_ARGS__, NULL})
/* The file says all that it has to: true. Writes it if not; false if that failed (it is tried again). */
bool sentinel_saved(struct sentinel *s);
static inline void sentinel_changed(struct sentinel *s)
{
    s->dirty = true;
}

/* --- nodes.c --- */
struct sentinel_node *node_add(struct sentinel *s, struct sentinel_node *master, enum sentinel_kind kind,
                               const char *name, const char *runid, const char *host, int port);
void node_remove(struct sentinel_node *node); /* a replica or peer */
void master_remove(struct sentinel_node *master);
/* Host and port as clients and peers are told them: a name only with announce-hostnames. */
const char *node_shown_host(const struct sentinel *s, const struct node_address *a);
bool address_is_ip(const char *host);
bool address_is(const struct node_address *a, const char *host, int port);
bool address_same(const struct node_address *a, const struct node_address *b);
void address_set(struct sentinel *s, struct node_address *a, const char *host, int port);
/* Does a server that calls its master `host` mean this address? -1: it is a name that we cannot resolve now. */
int address_means(const struct sentinel *s, const struct node_address *a, const char *host, int port);
void address_release(struct node_address *a);
struct sentinel_node *node_find_replica(const struct sentinel_node *master, const char *host, int port);
struct sentinel_node *node_find_peer(const struct sentinel_node *master, const char *runid);
struct sentinel_node *node_find_master_at(const struct sentinel *s, const char *host, int port);
/* Forgets what was observed of a master, its failover, its peers and replicas. */
void master_reset(struct sentinel_node *master);
/* The master is at another address now: the old one and the other replicas are its replicas. */
void master_moved(struct sentinel_node *master, const char *host, int port);
void node_connect(struct sentinel_node *node);
void node_reconnect(struct sentinel_node *node, enum sentinel_which which); /* the connection is of no use */
void node_auth_failed(struct sentinel_node *node, const char *error);       /* NULL: it works; told when it changes */
void node_remove_duplicates(struct sentinel_node *master);
void node_resolve_again(struct sentinel_node *node);          /* its name may have another address by now */
void forget_absent(struct sentinel_node *master);             /* forget-after-ms */
size_t master_voters(const struct sentinel_node *master);     /* peers and ourselves */
size_t master_majority(const struct sentinel_node *master);   /* more than half of them */
static inline bool node_usable(const struct sentinel_node *n) /* commands can be sent, and it is not known to be down */
{
    return n->up[SENTINEL_LINK_COMMANDS] && !n->auth_failed && !n->s_down;
}

/* --- watch.c --- */
void watch_tick(struct sentinel_node *node);      /* a node of any kind: sends what is due, judges */
void watch_tilt(struct sentinel *s);              /* has this process slept? */
void watch_connected(struct sentinel_node *node); /* its command link is new */
void watch_ask_info(struct sentinel_node *node);  /* now, if none is under way */
void watch_ping_answered(struct sentinel_node *node, const struct sentinel_value *reply);
int64_t watch_ping_period(const struct sentinel_node *node);

/* --- node_info.c --- */
void info_answered(struct sentinel_node *node, const struct sentinel_value *reply);
void facts_release(struct node_facts *f);

/* --- hello.c --- */
void hello_send(struct sentinel_node *node);
void hello_answered(struct sentinel_node *node, const struct sentinel_value *reply);
void hello_received(struct sentinel *s, struct bytes_view text);
void hello_everywhere(struct sentinel_node *master); /* to all nodes of a master: the configuration changed */

/* --- agree.c --- */
void agree_tick(struct sentinel_node *master);
void agree_ask(struct sentinel_node *master); /* all peers, now */
void agree_answered(struct sentinel_node *peer, const struct sentinel_value *reply, int64_t asked_at);
void agree_ask_doubters(struct sentinel_node *master); /* peers that did not see it down when they were asked last */
/* How many sentinels, we among them, say that it is down, asked at `since` or later. */
int64_t agree_count(const struct sentinel_node *master, int64_t since);
/* An epoch was heard of. */
void agree_epoch_seen(struct sentinel *s, uint64_t epoch);
/* Votes for `runid` in `epoch` if that is allowed. The vote that stands is in m->leader and m->leader_epoch. */
void agree_vote(struct sentinel_node *master, uint64_t epoch, const char *runid);
bool agree_may_vote(const struct sentinel_node *master, uint64_t epoch, const char *runid);

/* --- election.c --- */
void election_tick(struct sentinel_node *master); /* down by agreement: try to become the leader */
void election_prevote_answered(struct sentinel_node *peer, const struct sentinel_value *reply, int64_t asked_at);
/* Would a vote be given? True reserves it for a moment: nobody else is told so. */
bool election_reserve(struct sentinel_node *master, uint64_t epoch, const char *runid);
void election_begin(struct sentinel_node *master); /* raises the epoch, votes for itself, asks for votes */
void election_leave_to(struct sentinel_node *master, int64_t until); /* somebody else tries until then */
bool election_superseded(const struct sentinel_node *master);        /* there is a later epoch for this master */
bool election_has_other_leader(const struct sentinel_node *master);  /* somebody else got votes */
bool election_won(struct sentinel_node *master);
bool election_lost(struct sentinel_node *master);                 /* nobody who has not answered can change it */
void election_postpone(struct sentinel_node *master, int64_t ms); /* and a jitter */

/* --- candidates.c --- */
struct sentinel_node *candidate_best(struct sentinel_node *master); /* or NULL */
/* It says that it is a master, and our master says that it follows it. */
bool candidate_has_taken_over(const struct sentinel_node *replica);
void candidates_ask(struct sentinel_node *master);
bool candidates_answered(const struct sentinel_node *master);

/* --- promotion.c --- */
void failover_tick(struct sentinel_node *master); /* goes as far as it can */
void failover_begin(struct sentinel_node *master, bool forced);
void failover_forget(struct sentinel_node *master);     /* drops the state; no event */
void failover_promoted(struct sentinel_node *promoted); /* its INFO says master */
const struct node_address *failover_current_address(const struct sentinel_node *master);
void failover_promote_answered(struct sentinel_node *node, const struct sentinel_value *reply);
void failover_follow_answered(struct sentinel_node *node, const struct sentinel_value *reply);
const char *failover_state_name(enum failover_state state);
void failover_reconf_seen(struct sentinel_node *replica); /* its INFO may show progress */
/* Tells a server to follow `target`. False: not now. */
bool failover_send_follow(struct sentinel_node *node, const struct node_address *target);
void failover_coordinated_answered(struct sentinel_node *master, const struct sentinel_value *reply);

/* --- roles.c --- */
void roles_check(struct sentinel_node *node); /* after its INFO */
void roles_confirm_answered(struct sentinel_node *peer, const struct sentinel_value *reply, int64_t asked_at);

/* --- directives.c --- */
void directives_release(struct sentinel *s);

/* --- options.c --- */
void options_tunables_init(struct tunables *t);
bool options_has_control_bytes(const char *value);
bool options_is_name(const char *name);                                          /* may a master be called that? */
int PRINTF(2, 3) options_fail(struct sentinel_error *err, const char *fmt, ...); /* -EINVAL */
/* One option of a master, from the file or SENTINEL SET: words[0] is its name, and there are options_words() words. */
NODISCARD int options_set_master(struct sentinel_node *master, int argc, const char *const *words, bool at_runtime,
                                 struct sentinel_error *err);
int options_words(const char *name);                  /* how many words the option takes with its values; 0: unknown */
void options_replace(char **slot, const char *value); /* "" and NULL become NULL */

#endif
