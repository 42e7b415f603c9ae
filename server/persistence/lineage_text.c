#include "server/persistence/lineage_text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "storage/base/crc64.h"
#include "storage/base/num.h"

#define MAGIC    "lockstep-lineage"
#define VERSION  "1"
#define CHECKSUM "checksum "

enum { WORDS_MAX = 4, CHECKSUM_LINE = sizeof(CHECKSUM) - 1 + 16 + 1 };

/* ---- Lists ---- */

bool lineage_is_word(struct bytes_view word, size_t max)
{
    if (word.len == 0 || word.len > max) return false;
    for (size_t i = 0; i < word.len; i++)
        if (word.data[i] <= ' ' || word.data[i] > '~') return false;
    return true;
}

static void set_text(char *to, struct bytes_view text)
{
    memcpy(to, text.data, text.len);
    to[text.len] = '\0';
}

bool lineage_note_sentinel(struct lineage_record *record, struct bytes_view id, int64_t now_s)
{
    size_t at = 0, oldest = 0;
    if (!lineage_is_word(id, LINEAGE_SENTINEL_MAX)) return false;
    for (; at < record->sentinel_count; at++) {
        struct lineage_sentinel *known = &record->sentinels[at];
        if (bytes_equal(bytes_str(known->id), id)) {
            known->seen_s = now_s;
            return false;
        }
        if (known->seen_s < record->sentinels[oldest].seen_s) oldest = at;
    }
    if (at == LINEAGE_LIST_MAX)
        at = oldest;
    else
        record->sentinel_count++;
    record->sentinels[at].seen_s = now_s;
    set_text(record->sentinels[at].id, id);
    return true;
}

bool lineage_note_replica(struct lineage_record *record, struct bytes_view host, int port, int64_t now_s)
{
    size_t at = 0, oldest = 0;
    if (!lineage_is_word(host, REPL_HOST_MAX) || port < 0) return false;
    for (; at < record->replica_count; at++) {
        struct lineage_replica *known = &record->replicas[at];
        if (known->port == port && bytes_equal(bytes_str(known->host), host)) {
            known->seen_s = now_s;
            return false;
        }
        if (known->seen_s < record->replicas[oldest].seen_s) oldest = at;
    }
    if (at == LINEAGE_LIST_MAX)
        at = oldest;
    else
        record->replica_count++;
    record->replicas[at].port = port;
    record->replicas[at].seen_s = now_s;
    set_text(record->replicas[at].host, host);
    return true;
}

static bool is_history(const struct lineage_history *h, const char *id)
{
    return h->has_secret && h->id[0] != '\0' && strcmp(h->id, id) == 0;
}

bool lineage_has_secret_of(const struct lineage_record *record, const char *id)
{
    return is_history(&record->history, id) || is_history(&record->former, id);
}

/* ---- Writing ---- */

static const char *yes_no(bool yes)
{
    return yes ? "yes" : "no";
}

static void format_history(const char *name, const struct lineage_history *h, struct bytes_buf *out)
{
    if (h->id[0] == '\0') return;
    bytes_buf_printf(out, "%s %s %" PRIu64 " %s\n", name, h->id, h->offset, yes_no(h->has_secret));
}

void lineage_text_format(const struct lineage_record *record, struct bytes_buf *out)
{
    char secret[HASH_SECRET_HEX_CHARS + 1];
    size_t start = out->len;
    hash_secret_format(&record->secret, secret);
    bytes_buf_printf(out, MAGIC " " VERSION "\nrun-id %s\nwritten-ms %" PRId64 "\nrole %s\n", record->run_id,
                     record->written_ms, record->role == REPL_MASTER ? "master" : "replica");
    if (record->master_host[0] != '\0')
        bytes_buf_printf(out, "master %s %d\n", record->master_host, record->master_port);
    format_history("history", &record->history, out);
    format_history("former-history", &record->former, out);
    bytes_buf_printf(out, "secret %s\nkeys %" PRIu64 "\nflushed %s\n", secret, record->keys, yes_no(record->flushed));
    for (size_t i = 0; i < record->sentinel_count; i++)
        bytes_buf_printf(out, "sentinel %s %" PRId64 "\n", record->sentinels[i].id, record->sentinels[i].seen_s);
    for (size_t i = 0; i < record->replica_count; i++) {
        const struct lineage_replica *r = &record->replicas[i];
        bytes_buf_printf(out, "replica %s %d %" PRId64 "\n", r->host, r->port, r->seen_s);
    }
    bytes_buf_printf(out, CHECKSUM "%016" PRIx64 "\n", crc64(0, out->data + start, out->len - start));
}

/* ---- Reading ---- */

enum { HAS_RUN_ID = 1, HAS_ROLE = 2, HAS_SECRET = 4, HAS_KEYS = 8, HAS_FLUSHED = 16, HAS_ALL = 31 };

struct parser {
    struct lineage_record record;
    unsigned seen; /* bits HAS_* */
    struct bytes_view words[WORDS_MAX];
    size_t count; /* WORDS_MAX + 1: the line has more */
};

static void split(struct parser *p, struct bytes_view line)
{
    const char *at = line.data, *end = line.data + line.len;
    for (p->count = 0; p->count <= WORDS_MAX; p->count++) {
        const char *space = memchr(at, ' ', (size_t)(end - at));
        const char *stop = space != NULL ? space : end;
        if (p->count < WORDS_MAX) p->words[p->count] = bytes_view(at, (size_t)(stop - at));
        if (space == NULL) break;
        at = space + 1;
    }
    p->count++;
}

static bool parse_yes_no(struct bytes_view word, bool *out)
{
    *out = bytes_equal(word, BYTES_LIT("yes"));
    return *out || bytes_equal(word, BYTES_LIT("no"));
}

static bool is_id(struct bytes_view word)
{
    if (word.len != REPL_ID_LEN) return false;
    for (size_t i = 0; i < word.len; i++) {
        char c = word.data[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'))) return false;
    }
    return true;
}

/* True for the first line with this meaning. */
static bool first(struct parser *p, unsigned what)
{
    bool is_first = !(p->seen & what);
    p->seen |= what;
    return is_first;
}

static bool parse_history(const struct parser *p, struct lineage_history *h)
{
    if (p->count != 4 || h->id[0] != '\0' || !is_id(p->words[1])) return false;
    set_text(h->id, p->words[1]);
    return num_parse_u64(p->words[2], &h->offset) && parse_yes_no(p->words[3], &h->has_secret);
}

static bool parse_port(struct bytes_view word, int *port)
{
    int64_t number;
    if (!num_parse_i64(word, &number) || number < 0 || number > INT32_MAX) return false;
    *port = (int)number;
    return true;
}

static bool parse_role(struct parser *p)
{
    bool master = bytes_equal(p->words[1], BYTES_LIT("master"));
    p->record.role = master ? REPL_MASTER : REPL_REPLICA;
    return p->count == 2 && first(p, HAS_ROLE) && (master || bytes_equal(p->words[1], BYTES_LIT("replica")));
}

static bool parse_run_id(struct parser *p)
{
    if (p->count != 2 || !first(p, HAS_RUN_ID) || !is_id(p->words[1])) return false;
    set_text(p->record.run_id, p->words[1]);
    return true;
}

static bool parse_master(struct parser *p)
{
    if (p->count != 3 || p->record.master_host[0] != '\0' || !lineage_is_word(p->words[1], REPL_HOST_MAX)) return false;
    set_text(p->record.master_host, p->words[1]);
    return parse_port(p->words[2], &p->record.master_port);
}

static bool parse_sentinel(struct parser *p)
{
    int64_t seen_s;
    return p->count == 3 && p->record.sentinel_count < LINEAGE_LIST_MAX && num_parse_i64(p->words[2], &seen_s) &&
           lineage_note_sentinel(&p->record, p->words[1], seen_s);
}

static bool parse_replica(struct parser *p)
{
    int64_t seen_s;
    int port;
    return p->count == 4 && p->record.replica_count < LINEAGE_LIST_MAX && parse_port(p->words[2], &port) &&
           num_parse_i64(p->words[3], &seen_s) && lineage_note_replica(&p->record, p->words[1], port, seen_s);
}

/* False: the line is wrong. */
static bool parse_line(struct parser *p, struct bytes_view line)
{
    struct lineage_record *r = &p->record;
    split(p, line);
    struct bytes_view name = p->words[0];
    if (bytes_equal(name, BYTES_LIT("run-id"))) return parse_run_id(p);
    if (bytes_equal(name, BYTES_LIT("written-ms"))) return p->count == 2 && num_parse_i64(p->words[1], &r->written_ms);
    if (bytes_equal(name, BYTES_LIT("role"))) return parse_role(p);
    if (bytes_equal(name, BYTES_LIT("master"))) return parse_master(p);
    if (bytes_equal(name, BYTES_LIT("history"))) return parse_history(p, &r->history);
    if (bytes_equal(name, BYTES_LIT("former-history"))) return parse_history(p, &r->former);
    if (bytes_equal(name, BYTES_LIT("secret")))
        return p->count == 2 && first(p, HAS_SECRET) && hash_secret_parse(p->words[1], &r->secret);
    if (bytes_equal(name, BYTES_LIT("keys")))
        return p->count == 2 && first(p, HAS_KEYS) && num_parse_u64(p->words[1], &r->keys);
    if (bytes_equal(name, BYTES_LIT("flushed")))
        return p->count == 2 && first(p, HAS_FLUSHED) && parse_yes_no(p->words[1], &r->flushed);
    if (bytes_equal(name, BYTES_LIT("sentinel"))) return parse_sentinel(p);
    if (bytes_equal(name, BYTES_LIT("replica"))) return parse_replica(p);
    return true; /* of a later version */
}

/* Takes the last line off the text. False: it is not the checksum of the bytes before it. */
static bool take_checksum(struct bytes_view *text)
{
    char expected[CHECKSUM_LINE + 1];
    if (text->len < CHECKSUM_LINE) return false;
    size_t summed = text->len - CHECKSUM_LINE;
    snprintf(expected, sizeof(expected), CHECKSUM "%016" PRIx64 "\n", crc64(0, text->data, summed));
    if (memcmp(text->data + summed, expected, CHECKSUM_LINE) != 0) return false;
    text->len = summed;
    return true;
}

static bool next_line(struct bytes_view *text, struct bytes_view *line)
{
    const char *end = text->len == 0 ? NULL : memchr(text->data, '\n', text->len);
    if (end == NULL) return false;
    *line = bytes_view(text->data, (size_t)(end - text->data));
    *text = bytes_view(end + 1, text->len - line->len - 1);
    return true;
}

int lineage_text_parse(struct bytes_view text, struct lineage_record *record, const char **why)
{
    struct parser p = {0};
    struct bytes_view line = {0};
    *why = "it is longer than any lineage file";
    if (text.len > LINEAGE_TEXT_MAX) return -EINVAL;
    struct bytes_view rest = text;
    *why = "it is no lineage file, or of another version";
    if (!next_line(&rest, &line) || !bytes_equal(line, BYTES_LIT(MAGIC " " VERSION))) return -EINVAL;
    *why = "its checksum is wrong";
    if (!take_checksum(&text)) return -EINVAL;
    rest.len -= CHECKSUM_LINE;
    *why = "a line of it is wrong";
    while (next_line(&rest, &line))
        if (!parse_line(&p, line)) return -EINVAL;
    *why = "it lacks a line";
    if (rest.len > 0 || p.seen != HAS_ALL) return -EINVAL;
    *record = p.record;
    return 0;
}
