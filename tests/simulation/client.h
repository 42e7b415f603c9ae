/* client.h -- a simulated client: it connects to a node, sends commands, and gets replies through callbacks.
 *
 *     sim_client_new() -> sim_client_connect() -> events->connected() -> sim_client_send() ... -> events->reply()
 *                                ^                                                    `-> events->closed()
 *                                `---------------------- again -----------------------------'
 *
 * Replies come in the order of the commands; pushed messages (pub/sub) come as replies, too. A client never gives up by
 * itself: sim_client_close() drops the connection without waiting, and what was not answered is then unknown.
 * Ownership: a client belongs to the world, which frees it at the end of the run. */
#ifndef LOCKSTEP_TESTS_SIMULATION_CLIENT_H
#define LOCKSTEP_TESTS_SIMULATION_CLIENT_H

#include "tests/simulation/network.h"
#include "tests/simulation/world.h"

struct sim_client;

enum { SIM_REPLY_ITEMS = 8 /* so many are kept, so that long replies cost little */ };

struct sim_reply {
    char type; /* '+', '-', ':', '$', '*', and of RESP3 '_', '#', ',', '%', '~', '>', ... */
    int64_t integer;
    bool is_null;
    struct bytes_view text;  /* of '+', '-', '$', ... */
    struct sim_reply *items; /* the first SIM_REPLY_ITEMS */
    size_t count;            /* of all items */
};

/* Each may be NULL. All of them may send, close and connect. The reply lives until the callback returns. */
struct sim_client_events {
    bool wants_type_only; /* of replies: their content is not looked at */
    void (*connected)(struct sim_client *c);
    void (*reply)(struct sim_client *c, const struct sim_reply *reply);
    void (*closed)(struct sim_client *c, int error); /* refused, reset, or the end of the stream (0) */
};

struct sim_client {
    char name[16];
    struct sim_host *host; /* its own machine */
    const struct sim_client_events *events;
    void *ctx;               /* the owner's */
    struct sim_node *target; /* of the last sim_client_connect() */
    bool is_connected;
    bool is_slow;            /* reads nothing */
    uint64_t sent, answered; /* commands sent and replies received on this connection */
    /* private: */
    struct sim_end *end;
    struct bytes_buf out, in;
    size_t out_used;     /* bytes of `out` that are sent */
    size_t in_used;      /* bytes of complete replies */
    size_t passed;       /* bytes of `in` that were looked at, behind in_used */
    uint64_t missing;    /* replies and items that are not complete, of the reply at in_used */
    uint64_t connection; /* the number of this one */
    struct sim_client *next;
};

struct sim_client *sim_client_new(const char *name, const struct sim_client_events *events, void *ctx);
void sim_client_connect(struct sim_client *c, struct sim_node *target); /* drops a connection that is there */
void sim_client_close(struct sim_client *c);                            /* no callback follows */
void sim_client_send(struct sim_client *c, const struct bytes_view *args, size_t count);
/* Splits at blanks: sim_client_sendf(c, "RPUSH list:%u %s", 3, value). */
void sim_client_sendf(struct sim_client *c, const char *fmt, ...) PRINTF(2, 3);
void sim_client_send_raw(struct sim_client *c, const void *bytes, size_t len, unsigned commands);
void sim_client_set_slow(struct sim_client *c, bool slow);
bool sim_reply_is(const struct sim_reply *r, const char *text); /* a status, error or string of exactly this text */
bool sim_reply_starts(const struct sim_reply *r, const char *text);
void sim_reply_print(const struct sim_reply *r, struct bytes_buf *out); /* for traces */

void sim_clients_begin(void);
void sim_clients_end(void);

#endif
