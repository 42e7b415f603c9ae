#include "tests/simulation/promises.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/house.h"
#include "storage/base/num.h"
#include "storage/list.h"
#include "tests/simulation/client.h"
#include "tests/simulation/truth.h"

enum { WRITERS_MAX = 6, VALUES_MAX = 4096, PIPELINE_MAX = 8, LISTS = 3, VALUE_CHARS = 32 };

enum outcome { NOT_SENT = 0, UNKNOWN, REFUSED, ACKNOWLEDGED };
enum kind { PLAIN = 0, TRANSACTION, SCRIPT, KINDS };

/* Bits: what a stop of the node that acknowledged the value must leave. */
enum { OWED = 1, ON_DISK = 2 /* WAITAOF confirmed it */ };

struct value {
    unsigned char outcome, kind, owed;
    bool handed;      /* check_handed_over() has to find it */
    signed char node; /* that acknowledged it; -1: none, or nobody owes it any more */
    int64_t acked_us;
};

enum asked { ASKED_VALUE, ASKED_QUEUED, ASKED_WAIT, ASKED_WAITAOF };

struct writer {
    struct sim_client *client;
    unsigned index;
    struct sim_node *node; /* it is connected to */
    unsigned ended;        /* how many lives of the node had ended then */
    struct value *values;
    unsigned next;
    struct {
        enum asked what;
        unsigned value;
        int64_t timeout_us;    /* of ASKED_WAIT and ASKED_WAITAOF */
    } asked[PIPELINE_MAX * 6]; /* in the order of the replies */
    unsigned asked_first, asked_count, pending;
    int64_t first_since_us; /* since then the first of these waits for its reply */
    bool stopped;
    struct sim_event think;
};

static struct {
    struct writer writers[WRITERS_MAX];
    unsigned count;
    struct sim_node *master;
    bool calm; /* rule 7 holds */
    int64_t rest_us;
    uint64_t acknowledged;
} promises;

static void think_later(struct writer *w, int64_t most_us);

/* ---- Sending ---- */

static void ask_with_timeout(struct writer *w, enum asked what, unsigned value, unsigned timeout_ms)
{
    unsigned size = sizeof(w->asked) / sizeof(w->asked[0]);
    if (w->asked_count == 0) w->first_since_us = sim.now_us;
    unsigned at = (w->asked_first + w->asked_count++) % size;
    w->asked[at].what = what;
    w->asked[at].value = value;
    w->asked[at].timeout_us = (int64_t)timeout_ms * 1000;
}

static void ask(struct writer *w, enum asked what, unsigned value)
{
    ask_with_timeout(w, what, value, 0);
}

static const char script[] = "redis.call('rpush',KEYS[1],ARGV[1]) return redis.call('rpush',KEYS[2],ARGV[1])";

static void send_script(struct writer *w, const char *text)
{
    char a[32], b[32];
    snprintf(a, sizeof(a), "s:%u:a", w->index);
    snprintf(b, sizeof(b), "s:%u:b", w->index);
    struct bytes_view args[] = {bytes_str("EVAL"), bytes_str(script), bytes_str("2"),
                                bytes_str(a),      bytes_str(b),      bytes_str(text)};
    sim_client_send(w->client, args, 6);
}

static void name_value(const struct writer *w, unsigned v, char out[VALUE_CHARS])
{
    size_t len = num_format_u64(out, w->index);
    out[len++] = '.';
    len += num_format_u64(out + len, v);
    memcpy(out + len, ".", 2);
}

/* To the list "w:3", or "t:3:a". */
static void push(const struct writer *w, char list, const char *part, const char *text)
{
    char key[NUM_U64_MAX_CHARS + 8] = {list, ':'};
    size_t len = 2 + num_format_u64(key + 2, w->index);
    snprintf(key + len, sizeof(key) - len, "%s", part);
    sim_trace(w->client->name, "-> %s: RPUSH %s %s", w->node->name, key, text);
    sim_client_send(w->client, (struct bytes_view[]){BYTES_LIT("RPUSH"), bytes_str(key), bytes_str(text)}, 3);
}

static void send_word(const struct writer *w, const char *word)
{
    sim_trace(w->client->name, "-> %s: %s", w->node->name, word);
    sim_client_send(w->client, (struct bytes_view[]){bytes_str(word)}, 1);
}

static void send_value(struct writer *w)
{
    unsigned v = w->next++;
    enum kind kind = sim_chance(700) ? PLAIN : sim_chance(600) ? TRANSACTION : SCRIPT;
    char text[VALUE_CHARS];
    name_value(w, v, text);
    w->values[v] = (struct value){.outcome = UNKNOWN, .kind = (unsigned char)kind, .node = -1};
    w->pending++;
    switch (kind) {
    case PLAIN: push(w, 'w', "", text); break;
    case TRANSACTION:
        send_word(w, "MULTI");
        push(w, 't', ":a", text);
        push(w, 't', ":b", text);
        send_word(w, "EXEC");
        for (int i = 0; i < 3; i++) ask(w, ASKED_QUEUED, v);
        break;
    case SCRIPT:
    case KINDS: send_script(w, text); break;
    }
    ask(w, ASKED_VALUE, v);
}

static void send_wait(struct writer *w)
{
    bool aof = !sim_chance(500);
    unsigned timeout_ms = 50 + (unsigned)sim_below(1000);
    if (!aof) {
        sim_client_sendf(w->client, "WAIT %u %u", 1 + (unsigned)sim_below(2), timeout_ms);
        ask_with_timeout(w, ASKED_WAIT, w->next - 1, timeout_ms);
    } else {
        sim_client_sendf(w->client, "WAITAOF %u %u %u", (unsigned)sim_below(2), (unsigned)sim_below(3), timeout_ms);
        ask_with_timeout(w, ASKED_WAITAOF, w->next - 1, timeout_ms);
    }
    w->pending++;
}

static void on_think(void *ctx)
{
    struct writer *w = ctx;
    if (!w->client->is_connected) {
        if (w->stopped || promises.master == NULL) return;
        w->node = promises.master;
        sim_client_connect(w->client, w->node);
        return;
    }
    if (w->node != promises.master && w->pending == 0 && !w->stopped) {
        sim_client_close(w->client);
        think_later(w, 20 * 1000);
        return;
    }
    if (w->stopped) return;
    unsigned burst = sim_chance(800) ? 1 : 1 + (unsigned)sim_below(PIPELINE_MAX);
    while (burst-- > 0 && w->pending < PIPELINE_MAX && w->next < VALUES_MAX) send_value(w);
    if (w->next > 0 && w->pending < PIPELINE_MAX && sim_chance(80)) send_wait(w);
    think_later(w, sim_chance(900) ? 80 * 1000 : 400 * 1000);
}

static void think_later(struct writer *w, int64_t most_us)
{
    sim_event_at(&w->think, sim.now_us + 1 + (int64_t)sim_below((uint64_t)most_us), on_think, w);
}

/* ---- Replies ---- */

static void on_value(struct writer *w, unsigned v, const struct sim_reply *reply)
{
    struct value *value = &w->values[v];
    if (reply->type == '-') {
        value->outcome = REFUSED;
        return;
    }
    if (reply->type == '*' && (reply->count == 0 || reply->items[0].type == '-')) return; /* unknown */
    value->outcome = ACKNOWLEDGED;
    bool is_master = w->node == promises.master;
    if (!is_master) sim_reached("old-master-answers");
    value->node = is_master && w->node->ended == w->ended ? (signed char)w->node->index : -1;
    value->owed = OWED;
    value->acked_us = sim.now_us;
    promises.acknowledged++;
}

/* All that this client has written on this connection before. */
static void mark_on_disk(struct writer *w, unsigned last)
{
    for (unsigned v = last + 1; v-- > 0;) {
        struct value *value = &w->values[v];
        if (value->outcome == ACKNOWLEDGED && value->node == (int)w->node->index) value->owed |= ON_DISK;
    }
}

static void on_wait(struct writer *w, unsigned v, const struct sim_reply *reply)
{
    char text[VALUE_CHARS];
    if (reply->type != ':' || reply->integer <= 0 || w->values[v].outcome != ACKNOWLEDGED) return;
    name_value(w, v, text);
    int holders = truth_holders(w->node, bytes_str(text));
    if (holders < 0) return; /* the node has restarted, or continues another history */
    if (holders < reply->integer)
        sim_fail("WAIT", "%s told %s that %" PRId64 " replicas have %s; %d have it", w->node->name, w->client->name,
                 reply->integer, text, holders);
    sim_reached("wait-confirmed");
}

static void on_waitaof(struct writer *w, unsigned v, const struct sim_reply *reply)
{
    char text[VALUE_CHARS];
    if (reply->type != '*' || reply->count != 2) return;
    int64_t replicas = reply->items[1].integer;
    if (reply->items[0].integer > 0) {
        mark_on_disk(w, v);
        sim_reached("waitaof-confirmed");
    }
    if (replicas <= 0 || w->values[v].outcome != ACKNOWLEDGED) return;
    name_value(w, v, text);
    int keepers = truth_keepers(w->node, bytes_str(text));
    if (keepers < 0) return; /* as above */
    if (keepers < replicas)
        sim_fail("WAITAOF", "%s told %s that %" PRId64 " replicas have %s on disk; %d have said so", w->node->name,
                 w->client->name, replicas, text, keepers);
    sim_reached("waitaof-of-replica");
}

static void on_reply(struct sim_client *c, const struct sim_reply *reply)
{
    struct writer *w = c->ctx;
    if (w->asked_count == 0) return;
    unsigned size = sizeof(w->asked) / sizeof(w->asked[0]);
    enum asked what = w->asked[w->asked_first].what;
    unsigned v = w->asked[w->asked_first].value;
    w->asked_first = (w->asked_first + 1) % size;
    w->asked_count--;
    w->first_since_us = sim.now_us;
    if (what == ASKED_QUEUED) return;
    w->pending--;
    switch (what) {
    case ASKED_VALUE: on_value(w, v, reply); break;
    case ASKED_WAIT: on_wait(w, v, reply); break;
    case ASKED_WAITAOF: on_waitaof(w, v, reply); break;
    case ASKED_QUEUED: break;
    }
}

static void lose_connection(struct writer *w)
{
    for (unsigned i = 0; i < w->asked_count; i++) {
        if (w->asked[(w->asked_first + i) % (sizeof(w->asked) / sizeof(w->asked[0]))].what != ASKED_QUEUED) continue;
        sim_reached("cut-in-transaction");
    }
    w->asked_count = w->pending = 0;
    think_later(w, 300 * 1000);
}

static void on_closed(struct sim_client *c, int error)
{
    lose_connection(c->ctx);
}

static void on_connected(struct sim_client *c)
{
    struct writer *w = c->ctx;
    w->ended = w->node->ended;
    think_later(w, 1000);
}

static const struct sim_client_events events = {.connected = on_connected, .reply = on_reply, .closed = on_closed};

/* ---- What the lists hold ---- */

struct reading {
    const struct sim_node *node;
    const struct writer *writer;
    const char *key;
    bool *seen; /* by value */
    long last;
    uint64_t hash;
};

/* Removes a number and the dot behind it from the front of the text. */
static bool take_number(struct bytes_view *text, uint64_t *out)
{
    const char *dot = memchr(text->data, '.', text->len);
    if (dot == NULL || !num_parse_u64(bytes_view(text->data, (size_t)(dot - text->data)), out)) return false;
    text->len -= (size_t)(dot + 1 - text->data);
    text->data = dot + 1;
    return true;
}

static bool parse_value(const struct writer *w, struct bytes_view text, long *out)
{
    uint64_t index, v;
    if (!take_number(&text, &index) || !take_number(&text, &v) || text.len > 0) return false;
    if (index != w->index || v >= w->next) return false;
    *out = (long)v;
    return true;
}

static void read_element(struct reading *r, struct bytes_view text)
{
    long v;
    if (!parse_value(r->writer, text, &v)) {
        sim_fail("lists", "%s: list %s holds %.*s, which was never sent", r->node->name, r->key, (int)text.len,
                 text.data);
        return;
    }
    if (v == r->last)
        sim_fail("lists", "%s: list %s holds %.*s twice", r->node->name, r->key, (int)text.len, text.data);
    if (v < r->last)
        sim_fail("lists", "%s: list %s holds %u.%ld. after %u.%ld.", r->node->name, r->key, r->writer->index, v,
                 r->writer->index, r->last);
    if (r->writer->values[v].outcome == REFUSED)
        sim_fail("lists", "%s: list %s holds %.*s, which was refused", r->node->name, r->key, (int)text.len, text.data);
    r->last = v;
    r->hash = r->hash * 1000003 + (uint64_t)v;
    if (r->seen != NULL) r->seen[v] = true;
}

static uint64_t read_list(struct server *s, const struct sim_node *node, const struct writer *w, const char *key,
                          bool *seen)
{
    struct reading r = {.node = node, .writer = w, .key = key, .seen = seen, .last = -1, .hash = 1};
    struct db *db = keyspace_db(s->core.keyspace, 0);
    const struct entry *e = keyspace_peek(db, keyref(db, bytes_str(key)));
    if (e == NULL || e->type != TYPE_LIST) return r.hash;
    struct list_iter it;
    struct bytes_view text;
    list_iter_init(&it, entry_pointer(e), 0, false);
    while (list_iter_next(&it, &text)) read_element(&r, text);
    list_iter_release(&it);
    return r.hash;
}

static void read_lists(struct server *s, const struct sim_node *node, const struct writer *w, bool *seen)
{
    char key[4][32];
    snprintf(key[0], sizeof(key[0]), "w:%u", w->index);
    (void)read_list(s, node, w, key[0], seen);
    for (int kind = 0; kind < 2; kind++) {
        snprintf(key[1], sizeof(key[1]), "%c:%u:a", "ts"[kind], w -> index);
        snprintf(key[2], sizeof(key[2]), "%c:%u:b", "ts"[kind], w -> index);
        uint64_t a = read_list(s, node, w, key[1], seen), b = read_list(s, node, w, key[2], NULL);
        if (a != b) sim_fail("transactions", "%s has half a transaction: %s and %s differ", node->name, key[1], key[2]);
    }
}

static const char *show_value(const struct writer *w, unsigned v, char buf[96])
{
    snprintf(buf, 96, "%u.%u. (%s, acknowledged at %.6f s)", w->index, v,
             w->values[v].kind == PLAIN         ? "RPUSH"
             : w->values[v].kind == TRANSACTION ? "MULTI"
                                                : "EVAL",
             (double)w->values[v].acked_us / 1e6);
    return buf;
}

/* Which values of a writer a server has to have. */
typedef bool wanted_fn(const struct writer *w, unsigned v, const void *ctx);

/* The first wanted value that is not in the lists of this server, in words; NULL: it has all. */
static const char *find_missing(struct server *s, const struct sim_node *node, const struct writer *w,
                                wanted_fn *is_wanted, const void *ctx, char text[96])
{
    const char *missing = NULL;
    bool *seen = calloc(VALUES_MAX, 1);
    read_lists(s, node, w, seen);
    for (unsigned v = 0; v < w->next && missing == NULL; v++)
        if (is_wanted(w, v, ctx) && !seen[v]) missing = show_value(w, v, text);
    free(seen);
    return missing;
}

static bool is_owed_by(const struct writer *w, unsigned v, const void *ctx)
{
    const struct sim_node *node = ctx;
    return w->values[v].node == (int)node->index && (w->values[v].owed & OWED);
}

static void check_restarted(struct server *s, void *ctx)
{
    const struct sim_node *node = ctx;
    char text[96];
    for (unsigned i = 0; i < promises.count; i++) {
        const char *lost = find_missing(s, node, &promises.writers[i], is_owed_by, node, text);
        if (lost != NULL) sim_fail("acknowledged writes", "%s has lost %s", node->name, lost);
    }
}

/* ---- What a log has to bring back ---- */

struct log_content {
    bool *has[WRITERS_MAX]; /* by value */
};

/* Notes the values among these bytes of a history: arguments that end with a point. */
static void note_values(void *ctx, struct bytes_view bytes)
{
    struct log_content *log = ctx;
    const char *from = bytes.data, *end = bytes.data + bytes.len, *at;
    while ((at = memmem(from, (size_t)(end - from), ".\r\n", 3)) != NULL) {
        const char *first = at;
        while (first > from && first[-1] != '\n') first--;
        struct bytes_view text = bytes_view(first, (size_t)(at + 1 - first));
        long v;
        for (unsigned i = 0; i < promises.count; i++) {
            if (parse_value(&promises.writers[i], text, &v)) log->has[i][v] = true;
        }
        from = at + 3;
    }
}

static bool is_marked(const struct writer *w, unsigned v, const void *ctx)
{
    const bool *has = ctx;
    (void)w;
    return has[v];
}

static void check_log_of(const struct sim_node *node, const struct writer *w, const bool *has)
{
    char text[96];
    const char *lost = find_missing(node->server, node, w, is_marked, has, text);
    if (lost == NULL) return;
    sim_fail("log", "%s has said that %s is in its log on disk, and does not find it there", node->name, lost);
}

void promises_check_log(const struct sim_node *node)
{
    struct log_content log = {0};
    for (unsigned i = 0; i < promises.count; i++) log.has[i] = calloc(VALUES_MAX, 1);
    truth_each_on_disk(node, note_values, &log);
    for (unsigned i = 0; i < promises.count; i++) {
        check_log_of(node, &promises.writers[i], log.has[i]);
        free(log.has[i]);
    }
}

static void check_at_end(struct server *s, void *ctx)
{
    struct sim_node *node = ctx;
    for (unsigned i = 0; i < promises.count; i++) {
        struct writer *w = &promises.writers[i];
        bool *seen = calloc(VALUES_MAX, 1);
        char text[96];
        read_lists(s, node, w, seen);
        for (unsigned v = 0; v < w->next; v++) {
            if (w->values[v].outcome == UNKNOWN) sim_reached(seen[v] ? "unknown-applied" : "unknown-lost");
        }
        for (unsigned v = 0; v < w->next && promises.calm; v++) {
            bool in_time = w->values[v].outcome == ACKNOWLEDGED && w->values[v].acked_us < promises.rest_us;
            if (!in_time || seen[v]) continue;
            sim_fail("acknowledged writes", "%s lacks %s, though nothing crashed", node->name, show_value(w, v, text));
            break;
        }
        free(seen);
    }
}

static bool is_handed(const struct writer *w, unsigned v, const void *ctx)
{
    (void)ctx;
    return w->values[v].handed;
}

static void check_handed_over(struct server *s, void *ctx)
{
    const struct sim_node *from = ctx, *node = sim.process->node;
    char text[96];
    for (unsigned i = 0; i < promises.count; i++) {
        struct writer *w = &promises.writers[i];
        const char *lost = find_missing(s, node, w, is_handed, NULL, text);
        for (unsigned v = 0; v < w->next; v++) w->values[v].handed = false;
        if (lost != NULL)
            sim_fail("handed over", "%s has handed over to %s, which lacks %s", from->name, node->name, lost);
    }
}

/* What is owed is noted now: the check runs later, when the roles have changed. */
void promises_check_handed_over(const struct sim_node *from, struct sim_node *to)
{
    for (unsigned i = 0; i < promises.count; i++) {
        struct writer *w = &promises.writers[i];
        for (unsigned v = 0; v < w->next; v++) w->values[v].handed = is_owed_by(w, v, from);
    }
    sim_node_call(to, check_handed_over, (void *)(uintptr_t)from);
}

void promises_check_restarted(struct sim_node *node)
{
    sim_node_call(node, check_restarted, node);
}

void promises_check_at_end(struct sim_node *node, int64_t rest_us)
{
    promises.rest_us = rest_us;
    sim_node_call(node, check_at_end, node);
}

/* ---- What is owed ---- */

static bool is_kept(const struct value *v, enum stop stop, const struct stop_terms *terms)
{
    if (v->owed & ON_DISK) return true;
    if (stop == STOP_CLEAN) return terms->saves || (terms->has_log && !terms->disk_failed);
    if (!terms->has_log) return false;
    if (terms->always) return true;
    if (terms->disk_failed) return false;
    if (stop == STOP_KILLED) return true;
    return terms->everysec && v->acked_us < terms->synced_before_us;
}

static void forget_if(const struct sim_node *node, const struct stop_terms *terms, enum stop stop)
{
    for (unsigned i = 0; i < promises.count; i++) {
        struct writer *w = &promises.writers[i];
        for (unsigned v = 0; v < w->next; v++) {
            struct value *value = &w->values[v];
            if (value->node != (int)node->index || (terms != NULL && is_kept(value, stop, terms))) continue;
            value->owed = 0;
        }
    }
}

void promises_node_stopped(const struct sim_node *node, enum stop stop, const struct stop_terms *terms)
{
    if (stop != STOP_CLEAN || terms->disk_failed || !(terms->saves || terms->has_log)) promises.calm = false;
    forget_if(node, terms, stop);
}

void promises_forget(const struct sim_node *node)
{
    promises.calm = false;
    forget_if(node, NULL, STOP_KILLED);
}

void promises_forget_all(void)
{
    promises.calm = false;
}

/* ---- The whole ---- */

void promises_begin(unsigned writers)
{
    memset(&promises, 0, sizeof(promises));
    promises.calm = true;
    promises.count = writers < WRITERS_MAX ? writers : WRITERS_MAX;
    for (unsigned i = 0; i < promises.count; i++) {
        struct writer *w = &promises.writers[i];
        char name[16];
        snprintf(name, sizeof(name), "writer%u", i);
        w->index = i;
        w->values = calloc(VALUES_MAX, sizeof(*w->values));
        if (w->values == NULL) abort();
        w->client = sim_client_new(name, &events, w);
        think_later(w, 500 * 1000);
    }
}

int64_t promises_overdue_us(const struct sim_node *node)
{
    int64_t most_us = 0;
    for (unsigned i = 0; i < promises.count; i++) {
        const struct writer *w = &promises.writers[i];
        if (!w->client->is_connected || w->node != node || w->ended != node->ended || w->asked_count == 0) continue;
        int64_t timeout_us = w->asked[w->asked_first].timeout_us, waits_us = sim.now_us - w->first_since_us;
        if (timeout_us > 0 && waits_us - timeout_us > most_us) most_us = waits_us - timeout_us;
    }
    return most_us;
}

void promises_free(void)
{
    for (unsigned i = 0; i < promises.count; i++) {
        sim_event_cancel(&promises.writers[i].think);
        free(promises.writers[i].values);
    }
    memset(&promises, 0, sizeof(promises));
}

void promises_stop(void)
{
    for (unsigned i = 0; i < promises.count; i++) promises.writers[i].stopped = true;
}

void promises_set_master(struct sim_node *node)
{
    promises.master = node;
    for (unsigned i = 0; i < promises.count; i++) think_later(&promises.writers[i], 200 * 1000);
}

uint64_t promises_acknowledged(void)
{
    return promises.acknowledged;
}
