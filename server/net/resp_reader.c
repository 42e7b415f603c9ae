#include "server/net/resp_reader.h"

#include <limits.h>

#include "server/net/resp_line.h"
#include "storage/base/assert.h"
#include "storage/base/checked.h"
#include "storage/base/memory.h"
#include "storage/base/num.h"

/* Two parsers read the same grammar:
 *   1. next_multibulk(), the fast one, knows only the usual case, a whole canonical request within its limits. It
 *      parses that in one pass.
 *   2. next_careful() continues from the argument at which the fast parser gave up. It knows every error, and keeps an
 *      unfinished request in a struct resp_partial until more bytes arrive. */

enum {
    PAD = 2,                       /* zero bytes after the data: they end a run of digits */
    SMALL_ARGC = 8,                /* arguments of an unfinished request without another allocation */
    MIN_ARG_SIZE = 6,              /* "$0\r\n\r\n": the shortest argument on the wire */
    GENEROUS_CAP = 64 * 1024,      /* a buffer that reads fill entirely grows up to this size */
    MIN_ROOM = RESP_READ_SIZE / 4, /* less free space than this is not worth a read */
};

/* An argument in a block of its own. This header is what becomes headroom when a command takes over the block. */
struct resp_big {
    struct resp_big *next;
    size_t size; /* of the block, including this header */
};
_Static_assert(sizeof(struct resp_big) == RESP_BIG_HEADROOM, "the header is the headroom");

static char *big_data(struct resp_big *big)
{
    return (char *)(big + 1);
}

/* A request that could not be parsed in one pass. Its bytes are in the buffer from `start` on, except those of
 * arguments in blocks of their own. */
struct resp_partial {
    struct resp_partial *older; /* next in the reader's list of held requests */
    size_t start;               /* position in the buffer */
    size_t cursor;              /* position in the buffer of the next byte to parse */
    bool has_count;
    bool has_length;  /* bulk_len is the length of the argument at the cursor */
    bool broken;      /* an argument with its own block is not followed by CR LF */
    bool block_taken; /* a command has taken a block: the request cannot be given out again */
    uint32_t left;    /* arguments that are missing */
    size_t bulk_len;
    struct resp_big *filling; /* the block of the argument that is being read, */
    size_t filled;            /* and the bytes of it and its CR LF that have arrived */
    struct resp_big *bigs;    /* the blocks of finished arguments */
    size_t big_bytes;         /* bytes of finished arguments in blocks, with their CR LF */
    struct bytes_view *argv;
    size_t argc, argv_cap;
    struct bytes_view small[SMALL_ARGC];
};

static inline bool is_crlf(const char *p)
{
    uint16_t both; /* one load and one comparison on the hot path */
    memcpy(&both, p, sizeof(both));
    return both == (uint16_t)('\r' | '\n' << 8);
}
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "is_crlf() compares two bytes as one number");

static inline uint32_t max_args(const struct resp_reader *r)
{
    return r->limits->authenticated ? INT_MAX : RESP_UNAUTH_ARGS;
}

static inline size_t max_bulk(const struct resp_reader *r)
{
    size_t max = r->limits->max_bulk;
    return r->limits->authenticated || max < RESP_UNAUTH_BULK ? max : RESP_UNAUTH_BULK;
}

/* ---- life ---- */

static void partial_free(struct resp_partial **slot)
{
    struct resp_partial *p = *slot;
    if (p == NULL) return;
    *slot = NULL;
    while (p->bigs != NULL) {
        struct resp_big *big = p->bigs;
        p->bigs = big->next;
        mem_free(big);
    }
    mem_free(p->filling);
    if (p->argv != p->small) mem_free(p->argv);
    mem_free(p);
}

static void held_free_newest(struct resp_reader *r)
{
    struct resp_partial *p = r->held;
    r->held = p->older;
    partial_free(&p);
}

static struct resp_partial *partial_new(size_t start)
{
    struct resp_partial *p = mem_calloc(sizeof(*p));
    p->start = start;
    p->cursor = start;
    p->argv = p->small;
    p->argv_cap = SMALL_ARGC;
    return p;
}

static void partial_push(struct resp_partial *p, struct bytes_view arg)
{
    if (p->argc == p->argv_cap) {
        size_t cap = checked_size_mul(p->argv_cap, 2);
        struct bytes_view *old = p->argv == p->small ? NULL : p->argv;
        p->argv = mem_realloc(old, checked_size_mul(cap, sizeof(*p->argv)));
        if (old == NULL) memcpy(p->argv, p->small, sizeof(p->small));
        p->argv_cap = cap;
    }
    p->argv[p->argc++] = arg;
}

/* The bytes of this request that are not in the buffer. */
static size_t partial_outside(const struct resp_partial *p)
{
    return p->big_bytes + p->filled;
}

static size_t partial_memory(const struct resp_partial *p)
{
    if (p == NULL) return 0;
    size_t sum = sizeof(*p) + (p->argv == p->small ? 0 : p->argv_cap * sizeof(*p->argv));
    for (const struct resp_big *big = p->bigs; big != NULL; big = big->next) sum += big->size;
    return sum + (p->filling != NULL ? p->filling->size : 0);
}

void resp_reader_init(struct resp_reader *r, const struct resp_limits *limits)
{
    *r = (struct resp_reader){.limits = limits};
}

void resp_reader_release(struct resp_reader *r)
{
    partial_free(&r->partial);
    while (r->held != NULL) held_free_newest(r);
    mem_free(r->data);
    *r = (struct resp_reader){.limits = r->limits};
}

void resp_reader_reset(struct resp_reader *r)
{
    resp_reader_release(r);
}

void resp_reader_set_limits(struct resp_reader *r, const struct resp_limits *limits)
{
    r->limits = limits;
}

/* ---- positions ---- */

/* The stream position of a boundary between requests in the buffer. */
static uint64_t offset_at(const struct resp_reader *r, size_t pos)
{
    uint64_t offset = r->received - (r->len - pos);
    if (UNLIKELY(r->partial != NULL) && r->partial->start >= pos) offset -= partial_outside(r->partial);
    for (const struct resp_partial *h = r->held; UNLIKELY(h != NULL); h = h->older) {
        if (h->start >= pos) offset -= partial_outside(h);
    }
    return offset;
}

uint64_t resp_reader_offset(const struct resp_reader *r)
{
    return offset_at(r, r->pos);
}

size_t resp_reader_pending(const struct resp_reader *r)
{
    return (size_t)(r->received - resp_reader_offset(r));
}

size_t resp_reader_unparsed(const struct resp_reader *r)
{
    const struct resp_partial *p = r->partial;
    size_t pending = resp_reader_pending(r);
    return p != NULL && p->filling != NULL ? pending - (p->cursor - p->start) - p->big_bytes : pending;
}

size_t resp_reader_memory(const struct resp_reader *r)
{
    size_t sum = (r->data == NULL ? 0 : r->cap + PAD) + partial_memory(r->partial);
    for (const struct resp_partial *h = r->held; h != NULL; h = h->older) sum += partial_memory(h);
    return sum;
}

size_t resp_reader_room(const struct resp_reader *r)
{
    const struct resp_partial *p = r->partial;
    bool filling = p != NULL && p->filling != NULL;
    return r->cap - r->len + (filling ? p->filling->size - RESP_BIG_HEADROOM - p->filled : 0);
}

/* ---- the buffer ---- */

static void end_with_zeros(struct resp_reader *r)
{
    memset(r->data + r->len, 0, PAD);
}

/* Adjusts p to a buffer that moved: its bytes from `shift` on went from `old` to the front of `data`. */
static void partial_rebase(struct resp_partial *p, const char *old, size_t old_len, size_t shift, char *data)
{
    if (p == NULL) return;
    p->start -= shift;
    p->cursor -= shift;
    for (size_t i = 0; i < p->argc; i++) {
        uintptr_t offset = (uintptr_t)p->argv[i].data - (uintptr_t)old;
        if (offset <= old_len) p->argv[i].data = data + (offset - shift); /* the others have their own blocks */
    }
}

/* Moves the bytes from r->pos on to the front of a buffer of `cap` bytes. */
static void move_to(struct resp_reader *r, size_t cap)
{
    char *old = r->data;
    size_t shift = r->pos, old_len = r->len;
    if (r->failed != RESP_REQUEST) r->failed_at -= shift;
    r->len -= shift;
    r->pos = 0;
    if (cap != r->cap) {
        r->data = mem_alloc(checked_size_add(cap, PAD));
        r->cap = cap;
    }
    if (r->len != 0) memmove(r->data, old + shift, r->len);
    end_with_zeros(r);
    partial_rebase(r->partial, old, old_len, shift, r->data);
    for (struct resp_partial *h = r->held; h != NULL; h = h->older) partial_rebase(h, old, old_len, shift, r->data);
    if (old != r->data) mem_free(old);
}

static size_t good_cap(size_t wanted)
{
    return mem_good_size(checked_size_add(wanted, PAD)) - PAD;
}

static void make_room(struct resp_reader *r)
{
    size_t kept = r->len - r->pos;
    if (r->cap < kept + MIN_ROOM) {
        move_to(r, good_cap(kept < RESP_READ_SIZE ? RESP_READ_SIZE : checked_size_mul(kept, 2)));
    } else if (r->filled && r->cap < GENEROUS_CAP) {
        move_to(r, good_cap(r->cap * 2));
    } else if (r->pos != 0 && (kept == 0 || r->cap - r->len < RESP_READ_SIZE)) {
        move_to(r, r->cap);
    }
}

/* Grows a full block, to the declared length at most. */
static void big_make_room(struct resp_partial *p)
{
    size_t need = p->bulk_len + RESP_BIG_TAILROOM, have = p->filling->size - RESP_BIG_HEADROOM;
    if (p->filled < have) return;
    size_t cap = have < RESP_BIG_STEP ? RESP_BIG_STEP : checked_size_mul(have, 2);
    if (cap > need) cap = need;
    p->filling = mem_realloc(p->filling, RESP_BIG_HEADROOM + cap);
    p->filling->size = RESP_BIG_HEADROOM + cap;
}

/* Frees the held requests that were given out and not taken back by resp_reader_unread(). */
static void drop_given_out(struct resp_reader *r)
{
    struct resp_partial **link = &r->held;
    while (*link != NULL) {
        struct resp_partial *p = *link;
        if (p->start >= r->pos) {
            link = &p->older;
            continue;
        }
        *link = p->older;
        partial_free(&p);
    }
}

void resp_reader_space(struct resp_reader *r, char **ptr, size_t *len)
{
    drop_given_out(r);
    struct resp_partial *p = r->partial;
    if (p != NULL && p->filling != NULL) {
        big_make_room(p);
        *ptr = big_data(p->filling) + p->filled;
        *len = p->filling->size - RESP_BIG_HEADROOM - p->filled;
        return;
    }
    make_room(r);
    *ptr = r->data + r->len;
    *len = r->cap - r->len;
}

static void finish_big(struct resp_partial *p)
{
    struct resp_big *big = p->filling;
    if (!is_crlf(big_data(big) + p->bulk_len)) p->broken = true;
    partial_push(p, bytes_view(big_data(big), p->bulk_len));
    p->big_bytes += p->filled;
    big->next = p->bigs;
    p->bigs = big;
    p->filling = NULL;
    p->filled = 0;
    p->has_length = false;
    p->left--;
}

void resp_reader_added(struct resp_reader *r, size_t n)
{
    r->received += n;
    struct resp_partial *p = r->partial;
    if (p != NULL && p->filling != NULL) {
        p->filled += n;
        ASSERT(p->filled <= p->filling->size - RESP_BIG_HEADROOM);
        if (p->filled == p->bulk_len + RESP_BIG_TAILROOM) finish_big(p);
        return;
    }
    ASSERT(n <= r->cap - r->len);
    r->filled = n == r->cap - r->len;
    r->len += n;
    if (r->len > r->peak) r->peak = r->len;
    end_with_zeros(r);
}

void resp_reader_feed(struct resp_reader *r, struct bytes_view bytes)
{
    while (bytes.len > 0) {
        char *ptr;
        size_t len;
        resp_reader_space(r, &ptr, &len);
        if (len > bytes.len) len = bytes.len;
        memcpy(ptr, bytes.data, len);
        resp_reader_added(r, len);
        bytes = bytes_view(bytes.data + len, bytes.len - len);
    }
}

static void partial_shrink(struct resp_partial *p)
{
    if (p == NULL || p->filling == NULL) return;
    p->filling = mem_realloc(p->filling, RESP_BIG_HEADROOM + p->filled);
    p->filling->size = RESP_BIG_HEADROOM + p->filled;
}

void resp_reader_shrink(struct resp_reader *r, bool idle)
{
    drop_given_out(r);
    size_t kept = r->len - r->pos, peak = r->peak;
    r->peak = r->len;
    if (idle) partial_shrink(r->partial);
    if (idle && kept == 0) {
        mem_free(r->data);
        r->data = NULL;
        r->pos = r->len = r->cap = 0;
        return;
    }
    size_t wanted = idle ? kept : peak;
    if (!idle && wanted < RESP_READ_SIZE) wanted = RESP_READ_SIZE;
    if (r->cap > good_cap(wanted)) move_to(r, good_cap(wanted));
}

/* ---- giving out ---- */

static enum resp_status fail_with(struct resp_reader *r, enum resp_status status, struct bytes_view text)
{
    ASSERT(text.len <= sizeof(r->error));
    r->failed = status;
    r->failed_at = r->pos;
    r->error_len = text.len;
    memcpy(r->error, text.data, text.len);
    return status;
}

static enum resp_status fail(struct resp_reader *r, const char *text)
{
    return fail_with(r, RESP_ERROR, bytes_str(text));
}

struct bytes_view resp_reader_error(const struct resp_reader *r)
{
    return bytes_view(r->error, r->error_len);
}

/* More bytes are needed, unless the request already exceeds its limit. */
static enum resp_status incomplete(struct resp_reader *r)
{
    if (LIKELY(resp_reader_pending(r) <= r->limits->max_pending)) return RESP_INCOMPLETE;
    return fail_with(r, RESP_TOO_BIG, BYTES_LIT("request exceeds the query buffer limit"));
}

static enum resp_status give_inline(struct resp_reader *r, struct resp_request *req, struct bytes_view *argv,
                                    uint32_t argc, size_t end)
{
    *req = (struct resp_request){.argv = argv, .argc = argc, .is_inline = true, .start = r->pos, .end = end};
    req->end_offset = offset_at(r, end);
    r->pos = end;
    return RESP_REQUEST;
}

/* Gives out a request that the careful parser has finished. */
static void give_partial(struct resp_reader *r, struct resp_batch *batch, struct resp_request *req,
                         const struct resp_partial *p)
{
    *req = (struct resp_request){.argc = (uint32_t)p->argc, .has_blocks = p->bigs != NULL};
    req->argv = resp_batch_reserve(batch, p->argc);
    memcpy(req->argv, p->argv, p->argc * sizeof(*p->argv));
    resp_batch_commit(batch, p->argc);
    req->start = p->start;
    req->end = r->pos = p->cursor;
    if (!req->has_blocks) req->raw = bytes_view(r->data + p->start, p->cursor - p->start);
    req->end_offset = offset_at(r, p->cursor);
}

/* The held request at this position. NULL: it has no blocks of its own, or was not parsed before. */
static struct resp_partial *find_held(const struct resp_reader *r, size_t start)
{
    struct resp_partial *p = r->held;
    while (p != NULL && p->start != start) p = p->older;
    return p;
}

void resp_reader_unread(struct resp_reader *r, const struct resp_request *req)
{
    ASSERT(req->start <= r->pos);
    for (const struct resp_partial *p = r->held; p != NULL; p = p->older)
        ASSERT(p->start < req->start || !p->block_taken);
    r->pos = req->start;
    r->scanned = 0;
}

static void *unlink_block(struct resp_partial *p, const char *data, size_t *capacity)
{
    for (struct resp_big **link = &p->bigs; *link != NULL; link = &(*link)->next) {
        struct resp_big *big = *link;
        if (big_data(big) != data) continue;
        *link = big->next;
        *capacity = big->size;
        p->block_taken = true;
        return big;
    }
    return NULL;
}

void *resp_arg_take(struct resp_reader *r, const struct resp_request *req, uint32_t i, size_t *capacity)
{
    if (LIKELY(!req->has_blocks)) return NULL;
    struct resp_partial *p = find_held(r, req->start);
    return p == NULL ? NULL : unlink_block(p, req->argv[i].data, capacity);
}

/* ---- the careful parser ---- */

/* Finds the line at `at`, up to `terminator`. 1; 0: its end has not arrived; -1: it is longer than RESP_INLINE_MAX. The
 * result depends on the bytes alone, not on how they were split. */
static int find_line(struct resp_reader *r, size_t at, char terminator, struct bytes_view *line)
{
    const char *from = r->data + at;
    size_t there = r->len - at, window = there <= RESP_INLINE_MAX ? there : RESP_INLINE_MAX + 1;
    const char *found = memchr(from + r->scanned, terminator, window - r->scanned);
    if (found == NULL) {
        r->scanned = window;
        return there > RESP_INLINE_MAX ? -1 : 0;
    }
    *line = bytes_view(from, (size_t)(found - from));
    r->scanned = line->len;
    return 1;
}

/* Takes a line up to CR and one more byte. The caller checks that byte after the number: has_line_end(). */
static int find_length_line(struct resp_reader *r, struct resp_partial *p, struct bytes_view *line)
{
    int rc = find_line(r, p->cursor, '\r', line);
    if (rc != 1) return rc;
    size_t end = p->cursor + line->len + 2;
    if (end > r->len) return 0;
    r->scanned = 0;
    p->cursor = end;
    return 1;
}

static bool has_line_end(const struct resp_reader *r, const struct resp_partial *p)
{
    return is_crlf(r->data + p->cursor - 2);
}

static enum resp_status fail_line_end(struct resp_reader *r)
{
    return fail(r, "Protocol error: invalid CRLF in request");
}

/* Parses "*3". RESP_REQUEST: the number of arguments is known, possibly 0. */
static enum resp_status take_count(struct resp_reader *r, struct resp_partial *p)
{
    struct bytes_view line;
    int64_t count;
    int rc = find_length_line(r, p, &line);
    if (rc == 0) return incomplete(r);
    if (rc == -1) return fail(r, "Protocol error: too big mbulk count string");
    if (!num_parse_i64(bytes_view(line.data + 1, line.len - 1), &count) || count > INT_MAX)
        return fail(r, "Protocol error: invalid multibulk length");
    if (count > (int64_t)max_args(r)) return fail(r, "Protocol error: unauthenticated multibulk length");
    if (!has_line_end(r, p)) return fail_line_end(r);
    p->left = count > 0 ? (uint32_t)count : 0;
    p->has_count = true;
    return RESP_REQUEST;
}

static enum resp_status fail_expected_dollar(struct resp_reader *r, char got)
{
    char text[] = "Protocol error: expected '$', got '?'";
    text[sizeof(text) - 3] = got; /* may be a NUL */
    return fail_with(r, RESP_ERROR, bytes_view(text, sizeof(text) - 1));
}

/* Parses "$5". RESP_REQUEST: the length of the next argument is known. */
static enum resp_status take_length(struct resp_reader *r, struct resp_partial *p)
{
    struct bytes_view line;
    int64_t len;
    int rc = find_length_line(r, p, &line);
    if (rc == 0) return incomplete(r);
    if (rc == -1) return fail(r, "Protocol error: too big bulk count string");
    if (line.data[0] != '$') return fail_expected_dollar(r, line.data[0]);
    if (!num_parse_i64(bytes_view(line.data + 1, line.len - 1), &len) || len < 0 || (uint64_t)len > r->limits->max_bulk)
        return fail(r, "Protocol error: invalid bulk length");
    if ((size_t)len > max_bulk(r)) return fail(r, "Protocol error: unauthenticated bulk length");
    if (!has_line_end(r, p)) return fail_line_end(r);
    p->bulk_len = (size_t)len;
    p->has_length = true;
    return RESP_REQUEST;
}

/* Gives the argument at the cursor its own block. The bytes after the cursor are all its own, and move into the
 * block. */
static void start_big(struct resp_reader *r, struct resp_partial *p)
{
    size_t there = r->len - p->cursor, need = p->bulk_len + RESP_BIG_TAILROOM;
    size_t cap = there < RESP_BIG_STEP ? RESP_BIG_STEP : there;
    if (cap > need) cap = need;
    p->filling = mem_alloc(RESP_BIG_HEADROOM + cap);
    p->filling->size = RESP_BIG_HEADROOM + cap;
    p->filling->next = NULL;
    memcpy(big_data(p->filling), r->data + p->cursor, there);
    p->filled = there;
    r->len = p->cursor;
    end_with_zeros(r);
}

/* Takes the bytes of the argument whose length is known. RESP_REQUEST: all have arrived. */
static enum resp_status take_bytes(struct resp_reader *r, struct resp_partial *p)
{
    size_t need = p->bulk_len + RESP_BIG_TAILROOM;
    if (p->filling != NULL) return incomplete(r);
    if (r->len - p->cursor < need) {
        if (p->bulk_len >= RESP_BIG_ARG) start_big(r, p);
        return incomplete(r);
    }
    const char *data = r->data + p->cursor;
    if (!is_crlf(data + p->bulk_len)) return fail_line_end(r);
    partial_push(p, bytes_view(data, p->bulk_len));
    p->cursor += need;
    p->has_length = false;
    p->left--;
    return RESP_REQUEST;
}

/* Continues to parse a request. RESP_REQUEST: all its arguments are complete. */
static enum resp_status resume(struct resp_reader *r, struct resp_partial *p)
{
    enum resp_status status = RESP_REQUEST;
    if (p->broken) return fail_line_end(r);
    if (!p->has_count) status = take_count(r, p);
    while (status == RESP_REQUEST && p->left > 0) {
        if (!p->has_length) status = take_length(r, p);
        if (status == RESP_REQUEST) status = take_bytes(r, p);
    }
    return status;
}

/* The request was given out. If it has blocks of its own, it is held while its arguments live; else it is freed. */
static void retire(struct resp_reader *r, struct resp_partial *p)
{
    if (r->partial == p) r->partial = NULL;
    if (p->bigs == NULL) {
        partial_free(&p);
        return;
    }
    p->older = r->held;
    r->held = p;
}

/* p is r->partial, or new. An empty request is skipped: RESP_INCOMPLETE, with r->pos after it. */
static enum resp_status next_careful(struct resp_reader *r, struct resp_batch *batch, struct resp_request *req,
                                     struct resp_partial *p)
{
    enum resp_status status = resume(r, p);
    if (status == RESP_INCOMPLETE) {
        ASSERT(r->partial == NULL || r->partial == p); /* only the last request can be unfinished */
        r->partial = p;
        return status;
    }
    if (status != RESP_REQUEST) {
        if (p != r->partial) partial_free(&p);
        return status;
    }
    r->pos = p->cursor;
    if (p->argc > 0)
        give_partial(r, batch, req, p);
    else
        status = RESP_INCOMPLETE;
    retire(r, p);
    return status;
}

/* ---- the usual case ---- */

/* Reads a canonical length of at most 8 digits and its CR LF. NULL for anything else, which the careful parser then
 * judges. It stops at the zero bytes after the data. */
static inline const char *read_length(const char *p, uint32_t *out)
{
    uint32_t digit = (uint32_t)(unsigned char)*p - '0', value = digit;
    if (UNLIKELY(digit > 9)) return NULL;
    if (LIKELY(is_crlf(p + 1))) {
        *out = value;
        return p + 3;
    }
    if (UNLIKELY(digit == 0)) return NULL;
    const char *last = p + 8;
    while ((digit = (uint32_t)(unsigned char)*++p - '0') <= 9) {
        value = value * 10 + digit;
        if (UNLIKELY(p == last)) return NULL;
    }
    if (UNLIKELY(!is_crlf(p))) return NULL;
    *out = value;
    return p + 2;
}

/* Passes the part of a request that the fast parser has read to the careful parser. */
static enum resp_status stumble(struct resp_reader *r, struct resp_batch *batch, struct resp_request *req,
                                const struct bytes_view *argv, uint32_t argc, uint32_t count, const char *cursor)
{
    struct resp_partial *p = partial_new(r->pos);
    p->cursor = (size_t)(cursor - r->data);
    p->has_count = true;
    p->left = count - argc;
    for (uint32_t i = 0; i < argc; i++) partial_push(p, argv[i]);
    return next_careful(r, batch, req, p);
}

static inline enum resp_status next_multibulk(struct resp_reader *r, struct resp_batch *batch, struct resp_request *req)
{
    const char *start = r->data + r->pos, *end = r->data + r->len;
    uint32_t count, len, i = 0;
    const char *p = read_length(start + 1, &count);
    if (UNLIKELY(p == NULL || count == 0 || count > max_args(r)))
        return next_careful(r, batch, req, partial_new(r->pos));
    size_t most = (size_t)(end - p) / MIN_ARG_SIZE + 1, longest = max_bulk(r);
    struct bytes_view *argv = resp_batch_reserve(batch, count < most ? count : most);
    for (; i < count; i++) {
        if (UNLIKELY(*p != '$')) break;
        const char *data = read_length(p + 1, &len);
        if (UNLIKELY(data == NULL || len > longest || (size_t)(end - data) < (size_t)len + 2)) break;
        if (UNLIKELY(!is_crlf(data + len))) break;
        argv[i] = bytes_view(data, len);
        p = data + len + 2;
    }
    if (UNLIKELY(i < count)) return stumble(r, batch, req, argv, i, count, p);
    resp_batch_commit(batch, count);
    req->argv = argv;
    req->argc = count;
    req->is_inline = false;
    req->has_blocks = false;
    req->raw = bytes_view(start, (size_t)(p - start));
    req->start = r->pos;
    req->end = r->pos = (size_t)(p - r->data);
    req->end_offset = offset_at(r, r->pos);
    return RESP_REQUEST;
}

/* ---- inline requests ---- */

/* As next_careful(): an empty line is RESP_INCOMPLETE, with r->pos after it. */
static enum resp_status next_inline(struct resp_reader *r, struct resp_batch *batch, struct resp_request *req)
{
    struct bytes_view line, *argv;
    uint32_t argc;
    int rc = find_line(r, r->pos, '\n', &line);
    if (rc == 0) return incomplete(r);
    if (rc == -1) return fail(r, "Protocol error: too big inline request");
    r->scanned = 0;
    size_t end = r->pos + line.len + 1;
    if (line.len > 0 && line.data[line.len - 1] == '\r') line.len--;
    if (!resp_split_line(batch, line, &argv, &argc)) return fail(r, "Protocol error: unbalanced quotes in request");
    if (argc > 0) return give_inline(r, req, argv, argc, end);
    r->pos = end;
    r->empty_lines++;
    return RESP_INCOMPLETE;
}

/* Returns the request at r->pos if the careful parser has seen it before. */
static enum resp_status next_again(struct resp_reader *r, struct resp_batch *batch, struct resp_request *req)
{
    const struct resp_partial *held = find_held(r, r->pos);
    if (held != NULL) {
        give_partial(r, batch, req, held);
        return RESP_REQUEST;
    }
    if (r->partial != NULL && r->partial->start == r->pos) return next_careful(r, batch, req, r->partial);
    return next_multibulk(r, batch, req);
}

enum resp_status resp_reader_next(struct resp_reader *r, struct resp_batch *batch, struct resp_request *req)
{
    if (UNLIKELY(r->failed != RESP_REQUEST) && r->pos >= r->failed_at) return r->failed;
    for (;;) {
        if (r->pos == r->len) return RESP_INCOMPLETE;
        size_t before = r->pos;
        enum resp_status status;
        if (UNLIKELY(r->data[before] != '*'))
            status = next_inline(r, batch, req);
        else if (UNLIKELY(r->partial != NULL || r->held != NULL))
            status = next_again(r, batch, req);
        else
            status = next_multibulk(r, batch, req);
        bool skipped = status == RESP_INCOMPLETE && r->pos != before;
        if (LIKELY(!skipped)) return status;
    }
}
