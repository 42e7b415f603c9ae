#include "server/streams/repair_replica.h"

#include <inttypes.h>

#include "replication/replication.h"
#include "server/config/settings.h"
#include "server/core/core.h"
#include "server/streams/repair_text.h"
#include "storage/base/memory.h"
#include "storage/hash.h"
#include "storage/list.h"
#include "storage/range_digest.h"
#include "storage/set.h"
#include "storage/zset.h"

enum {
    WANTED_MAX = 64,                /* ranges; the next round finds the others again */
    FAILED_MAX = 64,                /* the one that failed longest ago is forgotten */
    ANSWER_MS = 10000,              /* a request without an answer has failed */
    FAILURES_MAX = 3,               /* of one value or range in a row */
    LENGTH_MAX = 512 * 1024 * 1024, /* of a list or string that is made as long as the master's */
};

/* What could not be mended: a value with all its ranges, whose bounds may be other ones in each round, or a range of keys
 * or functions. */
struct failed {
    struct bytes_buf what;
    unsigned failures; /* since it was mended last */
    bool
        was_unfinished; /* a unit left a big value whose parts have to be mended first, when so many ranges were mended */
    uint64_t mended_then;
};

struct repair_replica {
    struct core *core;
    struct bytes_buf wanted[WANTED_MAX]; /* ranges that differ, as requests; among them the one that is asked for */
    size_t count;
    struct failed failed[FAILED_MAX]; /* the one that failed last is the last one */
    size_t failed_count;
    bool asking; /* for `asked`, since asked_ms */
    struct bytes_buf asked;
    int64_t asked_ms;
    bool unfinished;        /* the present unit left a big value whose parts have to be repaired first */
    struct bytes_buf *kept; /* keys of big values that the present unit left in place, and did not name yet */
    size_t kept_count, kept_cap;
    struct repair_replica_info info;
};

static bool is_on(const struct repair_replica *rr)
{
    return rr->core->settings->replication.replica_verify_repair;
}

static void request_of(const struct repair_replica *rr, const struct range *range, struct bytes_buf *out)
{
    repair_range_format(keyspace_fingerprint(rr->core->keyspace), range, out);
}

/* ---- What has failed ---- */

static void subject_of(const struct range *range, struct bytes_buf *out)
{
    if (!range_has_key(range)) {
        range_format(range, out);
        return;
    }
    bytes_buf_printf(out, "value %" PRIu64 " ", range->db);
    bytes_buf_append_view(out, range->key);
}

static void forget_failed(struct repair_replica *rr, struct failed *f)
{
    struct failed *end = &rr->failed[--rr->failed_count];
    bytes_buf_release(&f->what);
    memmove(f, f + 1, (size_t)(end - f) * sizeof(*f));
}

/* What is known of it, or NULL. */
static struct failed *find_failed(struct repair_replica *rr, const struct range *range)
{
    struct bytes_buf what = {0};
    struct failed *found = NULL;
    subject_of(range, &what);
    for (size_t i = 0; i < rr->failed_count && found == NULL; i++)
        if (bytes_equal(bytes_buf_view(&rr->failed[i].what), bytes_buf_view(&what))) found = &rr->failed[i];
    bytes_buf_release(&what);
    return found;
}

/* The same, put to the end of the list, and made if nothing is known. */
static struct failed *take_failed(struct repair_replica *rr, const struct range *range)
{
    struct failed *found = find_failed(rr, range), known = {0};
    if (found != NULL) {
        known = *found;
        found->what = (struct bytes_buf){0};
        forget_failed(rr, found);
    } else {
        if (rr->failed_count == FAILED_MAX) forget_failed(rr, &rr->failed[0]);
        subject_of(range, &known.what);
    }
    rr->failed[rr->failed_count] = known;
    return &rr->failed[rr->failed_count++];
}

static void synchronize_fully(struct repair_replica *rr)
{
    rr->info.full_syncs++;
    repair_replica_replaced(rr);
    repl_resync_fully(rr->core->repl, "a difference to the master's data could not be mended");
}

static void note_failure(struct repair_replica *rr, const struct range *range)
{
    rr->info.failed++;
    if (++take_failed(rr, range)->failures >= FAILURES_MAX) synchronize_fully(rr);
}

/* Only a failure if nothing was mended since the last time, and nothing waits to be. */
static void note_unfinished(struct repair_replica *rr, const struct range *range)
{
    struct failed *f = take_failed(rr, range);
    bool fails = f->was_unfinished && f->mended_then == rr->info.mended && rr->count == 0;
    f->was_unfinished = true;
    f->mended_then = rr->info.mended;
    if (fails) note_failure(rr, range);
}

static void note_mended(struct repair_replica *rr, const struct range *range)
{
    struct failed *f = find_failed(rr, range);
    if (f != NULL) forget_failed(rr, f);
    rr->info.mended++;
}

/* ---- What is wanted ---- */

static struct bytes_buf *find(struct repair_replica *rr, struct bytes_view request)
{
    for (size_t i = 0; i < rr->count; i++)
        if (bytes_equal(bytes_buf_view(&rr->wanted[i]), request)) return &rr->wanted[i];
    return NULL;
}

static void forget(struct repair_replica *rr, struct bytes_buf *wanted)
{
    bytes_buf_release(wanted);
    *wanted = rr->wanted[--rr->count];
}

static unsigned failures_of(struct repair_replica *rr, const struct bytes_buf *wanted)
{
    struct range range;
    uint64_t fingerprint;
    if (rr->failed_count == 0 || !repair_range_parse(bytes_buf_view(wanted), &fingerprint, &range)) return 0;
    const struct failed *f = find_failed(rr, &range);
    return f != NULL ? f->failures : 0;
}

/* Asks for the next range, if none is outstanding. Those that have failed come last. */
static void ask_next(struct repair_replica *rr)
{
    const struct bytes_buf *next = NULL;
    unsigned failures = 0;
    if (rr->asking) return;
    for (size_t i = 0; i < rr->count && (next == NULL || failures > 0); i++) {
        unsigned of_this = failures_of(rr, &rr->wanted[i]);
        if (next != NULL && of_this >= failures) continue;
        next = &rr->wanted[i];
        failures = of_this;
    }
    if (next == NULL || !repl_ask_master(rr->core->repl, REPL_ASK_REPAIR, bytes_buf_view(next))) return;
    rr->asking = true;
    rr->asked.len = 0;
    bytes_buf_append_view(&rr->asked, bytes_buf_view(next));
    rr->asked_ms = sys_mono_us(rr->core->sys) / 1000;
    rr->info.asked++;
}

void repair_replica_wanted(struct repair_replica *rr, const struct range *range)
{
    struct bytes_buf request = {0};
    if (!is_on(rr)) return;
    request_of(rr, range, &request);
    if (rr->count < WANTED_MAX && find(rr, bytes_buf_view(&request)) == NULL)
        rr->wanted[rr->count++] = request;
    else
        bytes_buf_release(&request);
    ask_next(rr);
}

void repair_replica_check_time(struct repair_replica *rr)
{
    if (LIKELY(!rr->asking) || sys_mono_us(rr->core->sys) / 1000 - rr->asked_ms < ANSWER_MS) return;
    struct range range;
    uint64_t fingerprint;
    rr->asking = false;
    struct bytes_buf *wanted = find(rr, bytes_buf_view(&rr->asked));
    if (wanted != NULL) {
        forget(rr, wanted);
        if (repair_range_parse(bytes_buf_view(&rr->asked), &fingerprint, &range)) note_failure(rr, &range);
    }
    ask_next(rr);
}

/* ---- Deleting what a unit replaces ---- */

static void drop_key(struct repair_replica *rr, int db, struct bytes_view name)
{
    struct db *d = keyspace_db(rr->core->keyspace, db);
    struct keyref key = keyref(d, name);
    if (keyspace_drop(d, key, true)) keyspace_changed(d, key, 1);
}

struct names {
    struct bytes_buf *names;
    size_t count, cap;
    bool big; /* which keys are taken */
};

static void take_name(struct names *n, struct bytes_view name)
{
    if (n->count == n->cap) {
        n->cap = n->cap > 0 ? 2 * n->cap : 64;
        n->names = mem_realloc(n->names, n->cap * sizeof(*n->names));
    }
    n->names[n->count] = (struct bytes_buf){0};
    bytes_buf_append_view(&n->names[n->count++], name);
}

static void take_key(void *ctx, void *entry)
{
    struct names *n = ctx;
    if (range_entry_is_big(entry) == n->big) take_name(n, entry_key(entry));
}

static void release_names(struct bytes_buf *names, size_t count)
{
    for (size_t i = 0; i < count; i++) bytes_buf_release(&names[i]);
    mem_free(names);
}

static struct names keys_of(struct repair_replica *rr, const struct range *range, int db, bool big)
{
    struct names n = {.big = big};
    struct table_part p;
    table_part_init(&p, &keyspace_db(rr->core->keyspace, db)->keys, (unsigned)range->bits, range->part);
    while (table_part_next(&p, take_key, &n)) continue;
    return n;
}

static void forget_kept(struct repair_replica *rr)
{
    release_names(rr->kept, rr->kept_count);
    rr->kept = NULL;
    rr->kept_count = rr->kept_cap = 0;
}

/* The database of a kept key stands in front of its name. */
static void keep(struct repair_replica *rr, int db, struct bytes_view name)
{
    struct names n = {.names = rr->kept, .count = rr->kept_count, .cap = rr->kept_cap};
    take_name(&n, bytes_view(&db, sizeof(db)));
    bytes_buf_append_view(&n.names[n.count - 1], name);
    rr->kept = n.names;
    rr->kept_count = n.count;
    rr->kept_cap = n.cap;
}

static void drop_keys(struct repair_replica *rr, const struct range *range)
{
    for (uint64_t id = range->db; id <= range->last_db && id < (uint64_t)rr->core->keyspace->db_count; id++) {
        int db = (int)id;
        struct names small = keys_of(rr, range, db, false), big = keys_of(rr, range, db, true);
        for (size_t i = 0; i < small.count; i++) drop_key(rr, db, bytes_buf_view(&small.names[i]));
        for (size_t i = 0; i < big.count; i++) keep(rr, db, bytes_buf_view(&big.names[i]));
        release_names(small.names, small.count);
        release_names(big.names, big.count);
    }
}

static bool in_part(const struct repair_replica *rr, const struct range *range, struct bytes_view member)
{
    uint64_t all = ((uint64_t)1 << range->bits) - 1;
    return (value_hash(rr->core->keyspace->env, member) & all) == range->part;
}

static struct names members_of(struct repair_replica *rr, const struct range *range, const struct entry *e)
{
    struct names n = {0};
    struct set_iter set;
    struct zset_iter zset;
    struct hash_iter hash;
    struct bytes_view member, value;
    double score;
    if (e->type == TYPE_SET)
        for (set_iter_init(&set, entry_pointer(e)); set_iter_next(&set, &member);)
            if (in_part(rr, range, member)) take_name(&n, member);
    if (e->type == TYPE_ZSET)
        for (zset_iter_init(&zset, entry_pointer(e), 0, false); zset_iter_next(&zset, &member, &score);)
            if (in_part(rr, range, member)) take_name(&n, member);
    if (e->type == TYPE_HASH)
        for (hash_iter_init(&hash, entry_pointer(e)); hash_iter_next(&hash, &member, &value);)
            if (in_part(rr, range, member)) take_name(&n, member);
    return n;
}

static void drop_members(struct repair_replica *rr, const struct range *range)
{
    if (range->db >= (uint64_t)rr->core->keyspace->db_count) return;
    struct db *db = keyspace_db(rr->core->keyspace, (int)range->db);
    struct keyref key = keyref(db, range->key);
    const struct entry *e = keyspace_find_for_write(db, key);
    if (e == NULL) return;
    struct names members = members_of(rr, range, e);
    for (size_t i = 0; i < members.count; i++) {
        struct bytes_view member = bytes_buf_view(&members.names[i]);
        if (e->type == TYPE_SET) set_remove(entry_pointer(e), member);
        if (e->type == TYPE_ZSET) zset_remove(entry_pointer(e), member);
        if (e->type == TYPE_HASH) hash_remove(entry_pointer(e), member);
    }
    if (members.count > 0 && value_count(e->type, entry_pointer(e)) == 0) keyspace_drop(db, key, true);
    if (members.count > 0) keyspace_changed(db, key, members.count);
    release_names(members.names, members.count);
}

static void drop(struct repair_replica *rr, struct bytes_view text)
{
    struct range range;
    uint64_t fingerprint;
    forget_kept(rr);
    rr->unfinished = false;
    if (!is_on(rr) || !repair_range_parse(text, &fingerprint, &range)) return;
    if (fingerprint != keyspace_fingerprint(rr->core->keyspace)) return;
    if (range.kind == RANGE_KEYS) drop_keys(rr, &range);
    if (range.kind == RANGE_MEMBERS) drop_members(rr, &range);
}

/* ---- Outlines of big values ---- */

static void fit_list(struct db *db, struct keyref key, const struct entry *e, uint64_t length)
{
    struct list *l = e != NULL ? entry_pointer(e) : list_new(db->keyspace->env);
    uint64_t count = list_count(l);
    if (count > length) list_remove_range(l, length, count - length);
    for (; count < length; count++) list_push(l, LIST_TAIL, BYTES_LIT(""));
    if (e == NULL) keyspace_put_value(db, key, TYPE_LIST, l, 0);
}

static void fit_string(struct db *db, struct keyref key, struct entry *e, uint64_t length)
{
    char *data;
    if (e == NULL) e = keyspace_put_string(db, key, BYTES_LIT(""), 0);
    if (entry_string_len(e) != length) keyspace_resize_string(db, key, e, length, &data);
}

/* The elements of other types cannot be made up: their parts are repaired first. False: this may be necessary. */
static bool fit_length(struct db *db, struct keyref key, struct entry *e, const struct repair_big *big)
{
    if (big->type == TYPE_LIST && big->elements > 0 && big->elements <= LENGTH_MAX)
        fit_list(db, key, e, big->elements);
    else if (big->type == TYPE_STRING && big->elements <= LENGTH_MAX)
        fit_string(db, key, e, big->elements);
    else
        return e != NULL && e->type != TYPE_STRING && e->type != TYPE_STREAM &&
               value_count(e->type, entry_pointer(e)) == big->elements;
    return true;
}

static void fit_expiry(struct db *db, struct keyref key, int64_t at_ms)
{
    struct entry *e = keyspace_find_for_write(db, key);
    if (e == NULL || entry_expiry(e) == at_ms) return;
    if (at_ms == -1)
        keyspace_clear_expiry(db, key, e);
    else
        keyspace_set_expiry(db, key, e, at_ms);
}

static void unkeep(struct repair_replica *rr, int db, struct bytes_view name)
{
    for (size_t i = 0; i < rr->kept_count; i++) {
        struct bytes_buf *kept = &rr->kept[i];
        if (memcmp(kept->data, &db, sizeof(db)) != 0) continue;
        if (!bytes_equal(bytes_view(kept->data + sizeof(db), kept->len - sizeof(db)), name)) continue;
        bytes_buf_release(kept);
        rr->kept[i] = rr->kept[--rr->kept_count];
        return;
    }
}

static void fit_big(struct repair_replica *rr, struct bytes_view text)
{
    struct repair_big big;
    if (!is_on(rr) || !repair_big_parse(text, &big)) return;
    if (big.fingerprint != keyspace_fingerprint(rr->core->keyspace)) return;
    if (big.db >= (uint64_t)rr->core->keyspace->db_count) return;
    struct db *db = keyspace_db(rr->core->keyspace, (int)big.db);
    struct keyref key = keyref(db, big.key);
    struct entry *e = keyspace_find_for_write(db, key);
    unkeep(rr, (int)big.db, big.key);
    if (e != NULL && e->type != big.type) {
        keyspace_drop(db, key, true);
        e = NULL;
    }
    if (!fit_length(db, key, e, &big)) rr->unfinished = true;
    fit_expiry(db, key, big.expiry_ms);
    keyspace_changed(db, key, 1);
}

/* Big values that the master did not name are not there. */
static void drop_kept(struct repair_replica *rr)
{
    for (size_t i = 0; i < rr->kept_count; i++) {
        int db;
        memcpy(&db, rr->kept[i].data, sizeof(db));
        drop_key(rr, db, bytes_view(rr->kept[i].data + sizeof(db), rr->kept[i].len - sizeof(db)));
    }
    forget_kept(rr);
}

/* ---- The stream ---- */

void repair_replica_on_ping(struct repair_replica *rr, struct bytes_view argument)
{
    struct bytes_view text;
    if (repair_text_after(argument, REPAIR_DROP, &text)) drop(rr, text);
    if (repair_text_after(argument, REPAIR_BIG, &text)) fit_big(rr, text);
}

void repair_replica_finish(struct repair_replica *rr)
{
    drop_kept(rr);
}

static void log_mended(const struct repair_replica *rr, const struct range *range)
{
    enum { SHOWN = 160 };
    struct bytes_buf text = {0};
    char quoted[BYTES_QUOTED_SIZE(SHOWN)];
    range_format(range, &text);
    log_notice(rr->core->log, "A difference from our master's data was mended in the range '%s'.",
               bytes_quoted(bytes_buf_view(&text), SHOWN, quoted));
    bytes_buf_release(&text);
}

void repair_replica_judge(struct repair_replica *rr, const struct range *range, bool equal)
{
    struct bytes_buf request = {0};
    bool unfinished = rr->unfinished;
    request_of(rr, range, &request);
    struct bytes_buf *wanted = find(rr, bytes_buf_view(&request));
    bool ours = rr->asking && bytes_equal(bytes_buf_view(&rr->asked), bytes_buf_view(&request));
    bytes_buf_release(&request);
    if (ours) rr->asking = false;
    rr->unfinished = false;
    if (wanted != NULL && (equal || unfinished || ours)) {
        forget(rr, wanted);
        if (equal) {
            note_mended(rr, range);
            log_mended(rr, range);
        } else if (unfinished) {
            note_unfinished(rr, range);
        } else {
            note_failure(rr, range);
        }
    }
    ask_next(rr);
}

/* ---- Life ---- */

struct repair_replica *repair_replica_new(struct core *core)
{
    struct repair_replica *rr = mem_calloc(sizeof(*rr));
    rr->core = core;
    return rr;
}

void repair_replica_replaced(struct repair_replica *rr)
{
    while (rr->count > 0) forget(rr, &rr->wanted[rr->count - 1]);
    while (rr->failed_count > 0) forget_failed(rr, &rr->failed[rr->failed_count - 1]);
    forget_kept(rr);
    rr->asking = rr->unfinished = false;
}

void repair_replica_free(struct repair_replica *rr)
{
    if (rr == NULL) return;
    repair_replica_replaced(rr);
    bytes_buf_release(&rr->asked);
    mem_free(rr);
}

void repair_replica_describe(const struct repair_replica *rr, struct repair_replica_info *out)
{
    *out = rr->info;
}
