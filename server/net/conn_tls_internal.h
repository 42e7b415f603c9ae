/* conn_tls_internal.h -- the state of a connection with TLS, shared by conn_tls.c (records) and tls_handshakes.c. */
#ifndef LOCKSTEP_SERVER_NET_CONN_TLS_INTERNAL_H
#define LOCKSTEP_SERVER_NET_CONN_TLS_INTERNAL_H

#include <openssl/ssl.h>

#include "server/net/conn_internal.h"
#include "server/net/conn_tls.h"

enum {
    TLS_RECORD_MAX = SSL3_RT_MAX_PLAIN_LENGTH, /* data of one record: 16 KB */
    TLS_INPUT_MAX = 64 * 1024,                 /* bytes that are read from a socket at once */
    TLS_OUTPUT_MAX = 68 * 1024, /* bytes that are written to a socket at once: four full records, and more */
};

/* A place on a circular list. The list itself is one, too. */
struct place {
    struct place *prev, *next; /* NULL: on no list */
};

static inline void list_init(struct place *list)
{
    list->prev = list->next = list;
}
static inline bool list_is_empty(const struct place *list)
{
    return list->next == list;
}
static inline bool is_placed(const struct place *p)
{
    return p->next != NULL;
}
static inline void place_remove(struct place *p)
{
    if (!is_placed(p)) return;
    p->prev->next = p->next;
    p->next->prev = p->prev;
    p->prev = p->next = NULL;
}
static inline void place_last(struct place *list, struct place *p)
{
    place_remove(p);
    p->prev = list->prev;
    p->next = list;
    list->prev->next = p;
    list->prev = p;
}

#define OWNER_OF(p, type, member) ((type *)((char *)(p)-offsetof(type, member)))

struct tls_transport {
    struct loop *loop;
    const struct sys *sys;
    struct tls_context *context;
    BIO_METHOD *method;   /* how OpenSSL reads from and writes to a connection's socket */
    struct place silent;  /* accepted connections that have sent nothing; these and queued ones have no SSL */
    struct place queued;  /* accepted connections that have sent something */
    struct place due;     /* handshakes that can continue */
    struct place idle;    /* handshakes that wait for their peer */
    struct place begun;   /* those of accepted connections on due and idle, the oldest first */
    struct place pending; /* connections with bytes that no event of the socket will report */
    size_t begun_count;
    bool queue_is_next;
    struct tls_share *shares;           /* all of them */
    const struct tls_share *begun_last; /* whose handshake began last, or NULL */
    struct loop_timer recheck;
    struct tls_stats stats;
    int64_t now_us;      /* the last look at the clock */
    int64_t credit_us;   /* time that handshakes may take; negative: what they took too much */
    int64_t credited_us; /* when it was credited last */
    uint64_t commands;   /* that had run then */
    conn_tls_failed_fn *failed;
    void *failed_ctx;
    /* Of the connection at work: */
    char input[TLS_INPUT_MAX];   /* what was read from its socket */
    char output[TLS_OUTPUT_MAX]; /* what OpenSSL has written and the socket will get at the end of the call */
    size_t output_len;
    char record[TLS_RECORD_MAX]; /* small pieces are joined before they are encrypted */
};

struct tls_share {
    struct tls_transport *t;
    size_t most, running;
    struct tls_share *next;
};

/* While the handshake has not ended. */
struct handshake {
    struct place place;  /* on silent, queued, due or idle */
    struct place by_age; /* on begun */
    struct loop_timer deadline;
    int64_t begun_us;
    unsigned records; /* that the peer has sent */
    bool is_idle;
    struct tls_share *share; /* NULL: we have connected */
    conn_tls_accepted_fn *on_accepted;
    void *ctx;
};

struct conn_tls {
    struct tls_transport *t;
    struct conn *conn;
    SSL *ssl;                    /* NULL: the handshake has not begun */
    struct handshake *handshake; /* NULL: complete */
    struct place pending;

    /* Input for OpenSSL, from `in_pos` on: in t->input during a call, in `kept` between two calls. */
    const char *in;
    size_t in_pos, in_len;
    char *kept;       /* owned; NULL: all that was read from the socket has been taken */
    size_t read_size; /* how much to read from the socket at once, in this call */
    unsigned records; /* that OpenSSL has begun to read in this call */
    bool is_short;    /* the socket has given less than was asked for in this call: it is empty */
    bool is_blocked;  /* in this call, the socket or a limit has refused to give or take bytes */
    bool saw_eof;
    int socket_error; /* errno of the socket in this call, or 0 */

    uint64_t debt; /* TLS_RECORD_MAX for each record without data, less the data that were received */

    /* Output of OpenSSL that the socket has not taken, from unsent_pos on. */
    struct bytes_buf unsent;
    size_t unsent_pos;
    size_t retry_len;   /* bytes of the owner that are encrypted in `unsent` and count as not written */
    uint64_t retry_sum; /* their checksum */

    bool write_wants_read; /* OpenSSL must read the rest of a message before it can write */
    bool has_ended;        /* reads return `ended` from now on: 0 or -errno */
    int ended, broken;     /* broken: -errno that writes return from now on, or 0 */
};

/* ---- conn_tls.c ---- */

BIO_METHOD *tls_method_new(void);
/* Turns a connected TCP connection into one whose handshake has not begun. No event is wanted. */
struct conn_tls *tls_upgrade(struct tls_transport *t, struct conn *c);
void tls_make_ssl(struct conn_tls *s, SSL_CTX *context);
/* Around each use of s->ssl that reads or writes. tls_leave() sends what OpenSSL has written. */
void tls_enter(struct conn_tls *s, size_t read_size);
void tls_leave(struct conn_tls *s);
/* What a call that has failed means: -EAGAIN (more input is needed), 0 for the end of the stream, or another -errno. */
int tls_failure(struct conn_tls *s, int result);
static inline bool tls_has_unsent(const struct conn_tls *s)
{
    return s->unsent_pos < s->unsent.len;
}
/* Sends what is left of the output. False: some of it still is, or the connection is broken. */
bool tls_send_unsent(struct conn_tls *s);
void tls_set_error(struct conn *c, const char *text);
static inline bool tls_has_input(const struct conn_tls *s)
{
    return s->in_pos < s->in_len;
}
void tls_update_pending(struct conn_tls *s);

/* ---- tls_handshakes.c ---- */

void tls_handshake_free(struct conn_tls *s);  /* does nothing if it is complete */
void tls_handshake_ready(struct conn_tls *s); /* an event of the socket */

#endif
