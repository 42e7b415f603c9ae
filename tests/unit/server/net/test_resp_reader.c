#include "server/net/resp_reader.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "storage/base/memory.h"
#include "storage/base/num.h"
#include "storage/base/sys.h"

static const struct resp_limits usual = {.max_bulk = 512 << 20, .max_pending = 1 << 30, .authenticated = true};
static const struct resp_limits stranger = {.max_bulk = 512 << 20, .max_pending = 1 << 30, .authenticated = false};

/* ---- the model: a plain parser of a stream that is there as a whole ---- */

/* A stream as text: one line for each request, and one for the error at its end. */
static void describe_request(struct bytes_buf *out, const struct bytes_view *argv, uint32_t argc, bool is_inline,
                             uint64_t end)
{
    bytes_buf_printf(out, "%s %u", is_inline ? "inline" : "multi", argc);
    for (uint32_t i = 0; i < argc; i++) {
        bytes_buf_printf(out, " %zu:", argv[i].len);
        bytes_buf_append_view(out, argv[i]);
    }
    bytes_buf_printf(out, " @%llu\n", (unsigned long long)end);
}

struct model {
    struct bytes_view in;
    size_t pos;
    bool authenticated;
    struct bytes_buf *out;
};

static bool model_error(struct model *m, const char *text)
{
    bytes_buf_printf(m->out, "error Protocol error: %s\n", text);
    return false;
}

/* 1 line, 0 incomplete, -1 too long */
static int model_line(struct model *m, char end, struct bytes_view *line)
{
    for (size_t i = 0; m->pos + i < m->in.len && i <= RESP_INLINE_MAX; i++) {
        if (m->in.data[m->pos + i] != end) continue;
        *line = bytes_view(m->in.data + m->pos, i);
        return 1;
    }
    return m->in.len - m->pos > RESP_INLINE_MAX ? -1 : 0;
}

static int model_length_line(struct model *m, struct bytes_view *line)
{
    int rc = model_line(m, '\r', line);
    if (rc == 1 && m->pos + line->len + 2 > m->in.len) return 0;
    if (rc == 1) m->pos += line->len + 2;
    return rc;
}

/* True if the two bytes before m->pos are CR and LF. */
static bool model_line_end(struct model *m)
{
    bool good = m->in.data[m->pos - 2] == '\r' && m->in.data[m->pos - 1] == '\n';
    return good || model_error(m, "invalid CRLF in request");
}

/* false: the stream ends here */
static bool model_multibulk(struct model *m)
{
    struct bytes_view line, *argv;
    int64_t count, len;
    int rc = model_length_line(m, &line);
    if (rc == 0) return false;
    if (rc == -1) return model_error(m, "too big mbulk count string");
    if (!num_parse_i64(bytes_view(line.data + 1, line.len - 1), &count) || count > INT_MAX)
        return model_error(m, "invalid multibulk length");
    if (!m->authenticated && count > 10) return model_error(m, "unauthenticated multibulk length");
    if (!model_line_end(m)) return false;
    if (count <= 0) return true;
    size_t room = (size_t)count < m->in.len ? (size_t)count : m->in.len;
    argv = mem_alloc(room * sizeof(*argv));
    bool ok = false;
    for (int64_t i = 0; i < count; i++) {
        rc = model_length_line(m, &line);
        if (rc == -1) model_error(m, "too big bulk count string");
        if (rc != 1) goto done;
        if (line.data[0] != '$') {
            bytes_buf_append_view(m->out, BYTES_LIT("error Protocol error: expected '$', got '"));
            bytes_buf_append(m->out, line.data, 1);
            bytes_buf_append(m->out, "'\n", 2);
            goto done;
        }
        if (!num_parse_i64(bytes_view(line.data + 1, line.len - 1), &len) || len < 0 || len > 512 << 20) {
            model_error(m, "invalid bulk length");
            goto done;
        }
        if (!m->authenticated && len > 16384) {
            model_error(m, "unauthenticated bulk length");
            goto done;
        }
        if (!model_line_end(m) || m->in.len - m->pos < (size_t)len + 2) goto done;
        argv[i] = bytes_view(m->in.data + m->pos, (size_t)len);
        m->pos += (size_t)len + 2;
        if (!model_line_end(m)) goto done;
    }
    describe_request(m->out, argv, (uint32_t)count, false, m->pos);
    ok = true;
done:
    mem_free(argv);
    return ok;
}

/* Only words without quotes: the rules of quotes have tests of their own. */
static bool model_inline(struct model *m)
{
    struct bytes_view line, argv[64];
    uint32_t argc = 0;
    int rc = model_line(m, '\n', &line);
    if (rc == -1) model_error(m, "too big inline request");
    if (rc != 1) return false;
    m->pos += line.len + 1;
    size_t i = 0;
    while (i < line.len) {
        if (memchr(" \r\t\v\f", line.data[i], 5) != NULL) {
            i++;
            continue;
        }
        size_t start = i;
        while (i < line.len && memchr(" \r\t", line.data[i], 3) == NULL) i++;
        assert_true(argc < 64);
        argv[argc++] = bytes_view(line.data + start, i - start);
    }
    if (argc > 0) describe_request(m->out, argv, argc, true, m->pos);
    return true;
}

static void model_parse(struct bytes_view in, bool authenticated, struct bytes_buf *out)
{
    struct model m = {.in = in, .authenticated = authenticated, .out = out};
    while (m.pos < in.len && (in.data[m.pos] == '*' ? model_multibulk(&m) : model_inline(&m))) {
    }
}

/* ---- the reader under test, fed in pieces ---- */

struct feeding {
    struct bytes_view in;
    const struct resp_limits *limits;
    struct rng rng;
    bool unread_sometimes, take_sometimes, shrink_sometimes;
    size_t max_piece; /* pieces have random sizes up to this */
    size_t cut;       /* or exactly one cut, when max_piece is 0 */
};

static size_t next_piece(struct feeding *f, size_t fed)
{
    size_t left = f->in.len - fed;
    if (f->max_piece == 0) return fed < f->cut ? f->cut - fed : left;
    size_t n = 1 + rng_below(&f->rng, f->max_piece);
    return n < left ? n : left;
}

static void check_raw(const struct feeding *f, const struct resp_request *req)
{
    if (req->raw.data == NULL) return;
    assert_false(req->is_inline);
    assert_true(req->raw.len <= req->end_offset);
    assert_memory_equal(req->raw.data, f->in.data + (req->end_offset - req->raw.len), req->raw.len);
    struct bytes_buf canonical = {0};
    bytes_buf_printf(&canonical, "*%u\r\n", req->argc);
    for (uint32_t i = 0; i < req->argc; i++) {
        bytes_buf_printf(&canonical, "$%zu\r\n", req->argv[i].len);
        bytes_buf_append_view(&canonical, req->argv[i]);
        bytes_buf_append(&canonical, "\r\n", 2);
    }
    assert_true(bytes_equal(bytes_buf_view(&canonical), req->raw));
    bytes_buf_release(&canonical);
}

static void maybe_take(struct feeding *f, struct resp_reader *r, const struct resp_request *req)
{
    for (uint32_t i = 0; req->has_blocks && i < req->argc; i++) {
        if (!f->take_sometimes || rng_below(&f->rng, 2) == 0) continue;
        size_t capacity = 0;
        char *block = resp_arg_take(r, req, i, &capacity);
        if (block == NULL) continue;
        assert_ptr_equal(block + RESP_BIG_HEADROOM, req->argv[i].data);
        assert_true(capacity >= RESP_BIG_HEADROOM + req->argv[i].len + RESP_BIG_TAILROOM);
        assert_null(resp_arg_take(r, req, i, &capacity));
        memset(block, 'h', RESP_BIG_HEADROOM);
        mem_free(block);
    }
}

/* Takes all complete requests in rounds of up to `most`, as a server does. It describes each round at its end, so
 * that a request that was moved or overwritten within the round shows. */
static enum resp_status drain(struct feeding *f, struct resp_reader *r, struct resp_batch *batch, struct bytes_buf *out)
{
    struct resp_request reqs[8];
    for (;;) {
        uint32_t most = 1 + (uint32_t)rng_below(&f->rng, 8), n = 0;
        enum resp_status status = RESP_REQUEST;
        while (n < most && (status = resp_reader_next(r, batch, &reqs[n])) == RESP_REQUEST) n++;
        uint32_t used = n;
        if (f->unread_sometimes && n > 0 && rng_below(&f->rng, 3) == 0) {
            used = (uint32_t)rng_below(&f->rng, n);
            resp_reader_unread(r, &reqs[used]);
        }
        for (uint32_t i = 0; i < used; i++) {
            describe_request(out, reqs[i].argv, reqs[i].argc, reqs[i].is_inline, reqs[i].end_offset);
            check_raw(f, &reqs[i]);
        }
        if (used > 0 && used < n) assert_true(resp_reader_offset(r) >= reqs[used - 1].end_offset);
        for (uint32_t i = 0; i < used; i++) maybe_take(f, r, &reqs[i]);
        resp_batch_reset(batch);
        if (used < n && rng_below(&f->rng, 2) == 0) return RESP_INCOMPLETE; /* continues when more bytes have arrived */
        if (used == n && status != RESP_REQUEST) return status;
    }
}

static void describe_end(const struct resp_reader *r, enum resp_status status, struct bytes_buf *out)
{
    if (status != RESP_ERROR) return;
    bytes_buf_append_view(out, BYTES_LIT("error "));
    bytes_buf_append_view(out, resp_reader_error(r));
    bytes_buf_append(out, "\n", 1);
}

static void feed(struct feeding *f, struct bytes_buf *out)
{
    struct resp_reader r;
    struct resp_batch batch;
    resp_reader_init(&r, f->limits);
    resp_batch_init(&batch);
    enum resp_status status = RESP_INCOMPLETE;
    for (size_t fed = 0; fed < f->in.len;) {
        char *room;
        size_t len, n = next_piece(f, fed);
        resp_reader_space(&r, &room, &len);
        if (n > len) n = len;
        memcpy(room, f->in.data + fed, n);
        resp_reader_added(&r, n);
        fed += n;
        status = drain(f, &r, &batch, out);
        if (f->shrink_sometimes && rng_below(&f->rng, f->in.len > 100000 ? 200 : 4) == 0)
            resp_reader_shrink(&r, rng_below(&f->rng, 2) == 0);
        if (status == RESP_ERROR) break;
        assert_int_equal(r.received, fed);
    }
    f->unread_sometimes = false;
    if (status != RESP_ERROR) status = drain(f, &r, &batch, out);
    describe_end(&r, status, out);
    resp_batch_release(&batch);
    resp_reader_release(&r);
}

static void assert_same_text(const struct bytes_buf *want, const struct bytes_buf *got)
{
    if (bytes_equal(bytes_buf_view(want), bytes_buf_view(got))) return;
    fprintf(stderr, "want: %.*s\n got: %.*s\n", (int)want->len, want->data, (int)got->len, got->data);
    fail();
}

static void check_feeding(struct feeding *f, const struct bytes_buf *want)
{
    struct bytes_buf got = {0};
    feed(f, &got);
    assert_same_text(want, &got);
    bytes_buf_release(&got);
}

static void check_all_cuts(struct bytes_view in, const struct resp_limits *limits)
{
    struct bytes_buf want = {0};
    model_parse(in, limits->authenticated, &want);
    for (size_t cut = 0; cut <= in.len; cut++) {
        struct feeding f = {.in = in, .limits = limits, .cut = cut};
        rng_seed(&f.rng, cut);
        check_feeding(&f, &want);
    }
    struct feeding bytewise = {.in = in, .limits = limits, .max_piece = 1};
    rng_seed(&bytewise.rng, 7);
    check_feeding(&bytewise, &want);
    bytes_buf_release(&want);
}

/* ---- tests ---- */

static void test_requests_are_the_same_however_they_are_cut(void **state)
{
    check_all_cuts(BYTES_LIT("*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$5\r\nvalue\r\n"
                             "*1\r\n$4\r\nPING\r\n\r\nPING\r\n  \r\nget  foo\tbar \n"
                             "*2\r\n$0\r\n\r\n$12\r\na\r\nb\r\n*3\r\n$ \r\n"
                             "*11\r\n$1\r\n0\r\n$1\r\n1\r\n$1\r\n2\r\n$1\r\n3\r\n$1\r\n4\r\n$1\r\n5\r\n"
                             "$1\r\n6\r\n$1\r\n7\r\n$1\r\n8\r\n$1\r\n9\r\n$1\r\na\r\n"),
                   &usual);
}

static void test_CVE_2026_27623_empty_requests_leave_no_state(void **state)
{
    check_all_cuts(
        BYTES_LIT("*0\r\n*-1\r\n\r\n\n*-10\r\n*1\r\n$4\r\nPING\r\n*0\r\nPING\r\n*0\r\n\r\n*1\r\n$1\r\nx\r\n"), &usual);
    check_all_cuts(BYTES_LIT("*-1\r\n$5\r\nhello\r\n*1\r\n$1\r\nx\r\n"), &usual);
}

static void check_error(struct bytes_view in, const struct resp_limits *limits, struct bytes_view text)
{
    struct bytes_buf got = {0};
    struct feeding f = {.in = in, .limits = limits, .cut = in.len};
    feed(&f, &got);
    struct bytes_view tail = bytes_view(got.data, got.len);
    assert_true(tail.len >= text.len + 1);
    assert_memory_equal(tail.data + tail.len - text.len - 1, text.data, text.len);
    bytes_buf_release(&got);
    if (in.len < 200) check_all_cuts(in, limits);
}

static void test_malformed_requests_get_redis_words(void **state)
{
    static const struct {
        const char *in, *error;
    } cases[] = {
        {"*3000000000\r\n", "error Protocol error: invalid multibulk length"},
        {"*2147483648\r\n", "error Protocol error: invalid multibulk length"},
        {"*99999999999999999999\r\n", "error Protocol error: invalid multibulk length"},
        {"*\r\n", "error Protocol error: invalid multibulk length"},
        {"*1x\r\n", "error Protocol error: invalid multibulk length"},
        {"*01\r\n$4\r\nPING\r\n", "error Protocol error: invalid multibulk length"},
        {"*+1\r\n$4\r\nPING\r\n", "error Protocol error: invalid multibulk length"},
        {"*1\r\nfoo\r\n", "error Protocol error: expected '$', got 'f'"},
        {"*1\r\n\r\n", "error Protocol error: expected '$', got '\r'"},
        {"*3\r\n$3\r\nSET\r\n$1\r\nx\r\nfooz\r\n", "error Protocol error: expected '$', got 'f'"},
        {"*3\r\n$3\r\nSET\r\n$1\r\nx\r\n$-10\r\n", "error Protocol error: invalid bulk length"},
        {"*3\r\n$3\r\nSET\r\n$1\r\nx\r\n$2000000000\r\n", "error Protocol error: invalid bulk length"},
        {"*3\r\n$3\r\nSET\r\n$1\r\nx\r\n$blabla\r\n", "error Protocol error: invalid bulk length"},
        {"*1\r\n$04\r\nPING\r\n", "error Protocol error: invalid bulk length"},
        {"*1\r\n$\r\n", "error Protocol error: invalid bulk length"},
        {"*1\r\n$9223372036854775808\r\n", "error Protocol error: invalid bulk length"},
        {"*1\r\n$536870913\r\n", "error Protocol error: invalid bulk length"},
        {"*1\r\n$4\r\nPING\r\n*1\r\n:4\r\n", "error Protocol error: expected '$', got ':'"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        check_error(bytes_str(cases[i].in), &usual, bytes_str(cases[i].error));
    check_error(BYTES_LIT("*1\r\n\0\r\n"), &usual, BYTES_LIT("error Protocol error: expected '$', got '\0'"));
}

/* A proxy that compares line ends would not see the requests after the first, or would see others. */
static void test_fault_30_N3_line_ends_are_compared(void **state)
{
    static const char *const cases[] = {
        "*1\rX$4\r\nPING\r\n",
        "*1\r\r$4\r\nPING\r\n",
        "*0\rX*1\r\n$4\r\nPING\r\n",
        "*-1\rX*1\r\n$4\r\nPING\r\n",
        "*2\r\n$3\rXGET\r\n$1\r\nk\r\n",
        "*2\r\n$3\r\nGET\r\n$1\rXk\r\n",
        "*2\r\n$3\r\nGETYZ$1\r\nk\r\n",
        "*2\r\n$3\r\nGET\rZ$1\r\nk\r\n",
        "*2\r\n$3\r\nGETY\n$1\r\nk\r\n",
        "*2\r\n$3\r\nGET\n\r$1\r\nk\r\n",
        "*2\r\n$3\r\nGET\r\n$1\r\nkYZ*1\r\n$4\r\nPING\r\n",
        "*2\r\n$3\r\nGET\r\n$0\r\nYZ*1\r\n$4\r\nPING\r\n",
        "*2\r\n$3\r\nGET\r\n$100000000\rXk\r\n",
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct bytes_buf in = {0};
        bytes_buf_printf(&in, "*1\r\n$4\r\nPING\r\nPING\n%s", cases[i]);
        check_error(bytes_buf_view(&in), &usual, BYTES_LIT("error Protocol error: invalid CRLF in request"));
        bytes_buf_release(&in);
    }
}

/* The same after an argument that has a block of its own. */
static void test_fault_30_N3_line_end_of_a_big_argument_is_compared(void **state)
{
    static const char *const ends[] = {"\r\n", "\rX", "X\n", "XX", "\n\r"};
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        struct bytes_buf in = {0}, want = {0};
        bytes_buf_printf(&in, "*2\r\n$4\r\nECHO\r\n$%d\r\n", 2 * RESP_BIG_ARG);
        for (int n = 0; n < 2 * RESP_BIG_ARG; n++) bytes_buf_append(&in, "b", 1);
        bytes_buf_printf(&in, "%s*1\r\n$4\r\nPING\r\n", ends[i]);
        model_parse(bytes_buf_view(&in), true, &want);
        for (size_t piece = 7; piece <= in.len; piece *= 3) {
            struct feeding f = {.in = bytes_buf_view(&in), .limits = &usual, .max_piece = piece};
            rng_seed(&f.rng, piece);
            check_feeding(&f, &want);
        }
        for (size_t back = 1; back < 20; back++) {
            struct feeding f = {.in = bytes_buf_view(&in), .limits = &usual, .cut = in.len - back};
            rng_seed(&f.rng, back);
            check_feeding(&f, &want);
        }
        bytes_buf_release(&in), bytes_buf_release(&want);
    }
}

static void test_fault_30_inline_requests_may_end_in_a_lone_line_feed(void **state)
{
    check_all_cuts(BYTES_LIT("PING\nPING\r\n\n\r\nget a\n*1\r\n$4\r\nPING\r\n"), &usual);
}

static void check_long_line(const char *prefix, size_t len, const char *error)
{
    size_t head = strlen(prefix);
    char *in = mem_alloc(len);
    memcpy(in, prefix, head);
    memset(in + head, 'A', len - head);
    struct bytes_buf want = {0};
    if (error != NULL) bytes_buf_printf(&want, "error Protocol error: %s\n", error);
    for (size_t piece = 1000; piece <= 128000; piece *= 2) {
        struct feeding f = {.in = bytes_view(in, len), .limits = &usual, .max_piece = piece};
        rng_seed(&f.rng, piece);
        check_feeding(&f, &want);
    }
    bytes_buf_release(&want);
    mem_free(in);
}

static void test_endless_lines_are_refused_at_64k(void **state)
{
    check_long_line("x", RESP_INLINE_MAX, NULL);
    check_long_line("x", RESP_INLINE_MAX + 1, "too big inline request");
    check_long_line("*1", RESP_INLINE_MAX, NULL);
    check_long_line("*1", RESP_INLINE_MAX + 1, "too big mbulk count string");
    check_long_line("*1\r\n$1", RESP_INLINE_MAX + 4, NULL);
    check_long_line("*1\r\n$1", RESP_INLINE_MAX + 5, "too big bulk count string");
}

static void test_CVE_2021_32675_limits_before_authentication(void **state)
{
    check_error(BYTES_LIT("*11\r\n"), &stranger, BYTES_LIT("error Protocol error: unauthenticated multibulk length"));
    check_error(BYTES_LIT("*100\r\n"), &stranger, BYTES_LIT("error Protocol error: unauthenticated multibulk length"));
    check_error(BYTES_LIT("*1\r\n$16385\r\n"), &stranger,
                BYTES_LIT("error Protocol error: unauthenticated bulk length"));
    check_error(BYTES_LIT("*1\r\n$100000000\r\n"), &stranger,
                BYTES_LIT("error Protocol error: unauthenticated bulk length"));
    check_error(BYTES_LIT("*3000000000\r\n"), &stranger, BYTES_LIT("error Protocol error: invalid multibulk length"));
    check_all_cuts(BYTES_LIT("*10\r\n$1\r\na\r\n$1\r\na\r\n$1\r\na\r\n$1\r\na\r\n$1\r\na\r\n$1\r\na\r\n$1\r\na\r\n"
                             "$1\r\na\r\n$1\r\na\r\n$1\r\na\r\n"),
                   &stranger);
}

static void test_limits_can_be_lifted_between_requests(void **state)
{
    struct resp_reader r;
    struct resp_batch batch;
    struct resp_request req;
    resp_batch_init(&batch);
    resp_reader_init(&r, &stranger);
    resp_reader_feed(&r, BYTES_LIT("*2\r\n$4\r\nAUTH\r\n$1\r\nx\r\n*11\r\n"));
    assert_int_equal(resp_reader_next(&r, &batch, &req), RESP_REQUEST);
    resp_reader_set_limits(&r, &usual);
    assert_int_equal(resp_reader_next(&r, &batch, &req), RESP_INCOMPLETE);
    resp_reader_release(&r);
    resp_batch_release(&batch);
}

/* A declared length allocates nothing: only the bytes that arrived do, and one step of a block. */
static void test_CVE_2021_32675_declared_lengths_take_no_memory(void **state)
{
    struct resp_reader r;
    struct resp_batch batch;
    struct resp_request req;
    resp_batch_init(&batch);
    resp_reader_init(&r, &usual);
    resp_reader_feed(&r, BYTES_LIT("*1000000000\r\n$500000000\r\nabc"));
    assert_int_equal(resp_reader_next(&r, &batch, &req), RESP_INCOMPLETE);
    assert_true(resp_reader_memory(&r) < RESP_BIG_STEP + 64 * 1024);
    resp_reader_shrink(&r, true);
    assert_true(resp_reader_memory(&r) < 16 * 1024);
    assert_int_equal(resp_reader_pending(&r), 13 + 12 + 3);
    assert_int_equal(resp_reader_unparsed(&r), 3);
    resp_reader_release(&r);
    resp_batch_release(&batch);
}

/* Without a limit, the longest possible length must not overflow any sum of lengths. */
static void test_CVE_2021_41099_CVE_2021_21309_the_longest_length_is_only_a_promise(void **state)
{
    static const struct resp_limits none = {.max_bulk = SIZE_MAX, .max_pending = 4 << 20, .authenticated = true};
    struct resp_reader r;
    struct resp_batch batch;
    struct resp_request req;
    char *filler = mem_calloc(100000);
    resp_batch_init(&batch);
    resp_reader_init(&r, &none);
    resp_reader_feed(&r, BYTES_LIT("*2147483647\r\n$9223372036854775807\r\n"));
    enum resp_status status = resp_reader_next(&r, &batch, &req);
    for (size_t fed = 0; status == RESP_INCOMPLETE; fed += 100000) {
        assert_true(resp_reader_memory(&r) <= 2 * fed + 2 * RESP_BIG_STEP);
        resp_reader_feed(&r, bytes_view(filler, 100000));
        status = resp_reader_next(&r, &batch, &req);
    }
    assert_int_equal(status, RESP_TOO_BIG);
    mem_free(filler);
    resp_reader_release(&r);
    resp_batch_release(&batch);
}

static void append_bulk(struct bytes_buf *b, struct rng *rng, size_t len)
{
    bytes_buf_printf(b, "$%zu\r\n", len);
    bytes_buf_reserve(b, len);
    for (size_t i = 0; i < len; i++) b->data[b->len + i] = (char)rng_below(rng, i % 64 == 0 ? 256 : 3);
    b->len += len;
    bytes_buf_append(b, "\r\n", 2);
}

static size_t random_length(struct rng *rng, bool big)
{
    switch (rng_below(rng, big ? 12 : 9)) {
    case 0: return 0;
    case 1: return 9 + rng_below(rng, 3);
    case 2: return 99 + rng_below(rng, 3);
    case 3: return rng_below(rng, 2000);
    case 9: return RESP_BIG_ARG - 3 + rng_below(rng, 6);
    case 10: return 16000 + rng_below(rng, 60000);
    case 11: return rng_below(rng, 40) == 0 ? 2500000 : 70000;
    default: return 1 + rng_below(rng, 20);
    }
}

static void append_random_request(struct bytes_buf *b, struct rng *rng, bool big)
{
    static const char *const odd[] = {"\r\n",    "\n",       "*0\r\n",      "*-1\r\n",
                                      "   \r\n", "PING\r\n", "set a b\r\n", "x\ty  z\n"};
    if (rng_below(rng, 6) == 0) {
        bytes_buf_append_view(b, bytes_str(odd[rng_below(rng, 8)]));
        return;
    }
    size_t argc = rng_below(rng, 20) == 0 ? 1 + rng_below(rng, 300) : 1 + rng_below(rng, 5);
    bytes_buf_printf(b, "*%zu\r\n", argc);
    for (size_t i = 0; i < argc; i++) append_bulk(b, rng, random_length(rng, big && argc < 10));
}

static void check_random_stream(uint64_t seed, bool damaged)
{
    struct bytes_buf in = {0}, want = {0};
    struct rng rng;
    rng_seed(&rng, seed);
    bool big = !damaged && rng_below(&rng, 3) == 0;
    for (uint64_t n = 1 + rng_below(&rng, 40); n > 0; n--) append_random_request(&in, &rng, big);
    for (uint64_t n = damaged ? 1 + rng_below(&rng, 3) : 0; n > 0; n--)
        in.data[rng_below(&rng, in.len)] = "*$\r\n0129a- "[rng_below(&rng, 11)];
    const struct resp_limits *limits = rng_below(&rng, 4) == 0 ? &stranger : &usual;
    model_parse(bytes_buf_view(&in), limits->authenticated, &want);
    static const size_t pieces[] = {1, 7, 100, 5000, 100000, 1000000};
    struct feeding f = {.in = bytes_buf_view(&in), .limits = limits, .rng = rng};
    f.max_piece = pieces[rng_below(&rng, 6)];
    if (in.len > 100000 && f.max_piece < 100) f.max_piece = 5000;
    f.unread_sometimes = rng_below(&rng, 2);
    f.take_sometimes = rng_below(&rng, 2);
    f.shrink_sometimes = rng_below(&rng, 2);
    check_feeding(&f, &want);
    bytes_buf_release(&in);
    bytes_buf_release(&want);
}

static void test_random_pipelines_match_the_model(void **state)
{
    for (uint64_t seed = 0; seed < 300; seed++) check_random_stream(seed, false);
}

static void test_random_damage_matches_the_model(void **state)
{
    for (uint64_t seed = 0; seed < 1200; seed++) check_random_stream(seed, true);
}

static void test_big_arguments_come_in_their_own_block(void **state)
{
    struct resp_reader r;
    struct resp_batch batch;
    struct resp_request req, next;
    struct bytes_buf in = {0};
    struct rng rng;
    rng_seed(&rng, 1);
    bytes_buf_append_view(&in, BYTES_LIT("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n"));
    append_bulk(&in, &rng, 100000);
    bytes_buf_append_view(&in, BYTES_LIT("*1\r\n$4\r\nPING\r\n"));
    resp_batch_init(&batch);
    resp_reader_init(&r, &usual);
    resp_reader_feed(&r, bytes_view(in.data, 5000));
    assert_int_equal(resp_reader_next(&r, &batch, &req), RESP_INCOMPLETE);
    char *room;
    size_t len, capacity;
    resp_reader_space(&r, &room, &len);
    assert_int_equal(len, 100000 + 2 - (5000 - 29)); /* the rest of the argument and its CR LF, no more */
    resp_reader_feed(&r, bytes_view(in.data + 5000, len));
    assert_int_equal(resp_reader_next(&r, &batch, &req), RESP_REQUEST);
    assert_true(req.has_blocks);
    assert_null(req.raw.data);
    assert_null(resp_arg_take(&r, &req, 1, &capacity));
    char *block = resp_arg_take(&r, &req, 2, &capacity);
    assert_non_null(block);
    assert_int_equal(capacity, RESP_BIG_HEADROOM + 100000 + RESP_BIG_TAILROOM);
    resp_reader_feed(&r, bytes_view(in.data + 5000 + len, in.len - 5000 - len));
    assert_int_equal(resp_reader_next(&r, &batch, &next), RESP_REQUEST);
    assert_int_equal(next.end_offset, in.len);
    assert_memory_equal(block + RESP_BIG_HEADROOM, in.data + 29, 100000);
    mem_free(block);
    resp_reader_release(&r);
    resp_batch_release(&batch);
    bytes_buf_release(&in);
}

static void test_an_unfinished_request_has_a_limit(void **state)
{
    static const struct resp_limits small = {.max_bulk = 512 << 20, .max_pending = 1 << 20, .authenticated = true};
    struct resp_reader r;
    struct resp_batch batch;
    struct resp_request req;
    static const struct bytes_view heads[] = {BYTES_LIT("*2\r\n$100000000\r\n"), BYTES_LIT("*1000000\r\n")};
    resp_batch_init(&batch);
    for (int i = 0; i < 2; i++) {
        resp_reader_init(&r, &small);
        resp_reader_feed(&r, heads[i]);
        enum resp_status status = RESP_INCOMPLETE;
        for (int n = 0; n < 1000000 && status == RESP_INCOMPLETE; n++) {
            resp_reader_feed(&r, BYTES_LIT("$3\r\nabc\r\n"));
            status = resp_reader_next(&r, &batch, &req);
        }
        assert_int_equal(status, RESP_TOO_BIG);
        assert_int_equal(resp_reader_next(&r, &batch, &req), RESP_TOO_BIG);
        assert_true(resp_reader_pending(&r) <= (1 << 20) + 100);
        resp_reader_release(&r);
    }
    resp_batch_release(&batch);
}

static void test_an_idle_reader_holds_no_memory(void **state)
{
    struct resp_reader r;
    struct resp_batch batch;
    struct resp_request req;
    resp_batch_init(&batch);
    resp_reader_init(&r, &usual);
    assert_int_equal(resp_reader_memory(&r), 0);
    resp_reader_feed(&r, BYTES_LIT("PING\r\n"));
    assert_true(resp_reader_memory(&r) >= RESP_READ_SIZE);
    assert_int_equal(resp_reader_next(&r, &batch, &req), RESP_REQUEST);
    resp_reader_shrink(&r, true);
    assert_int_equal(resp_reader_memory(&r), 0);
    resp_reader_feed(&r, BYTES_LIT("PI"));
    resp_reader_shrink(&r, true);
    resp_reader_feed(&r, BYTES_LIT("NG\r\n"));
    assert_int_equal(resp_reader_next(&r, &batch, &req), RESP_REQUEST);
    assert_true(bytes_equal(req.argv[0], BYTES_LIT("PING")));
    assert_int_equal(req.end_offset, 12);
    resp_reader_release(&r);
    resp_batch_release(&batch);
}

static void test_empty_lines_are_counted(void **state)
{
    struct resp_reader r;
    struct resp_batch batch;
    struct resp_request req;
    resp_batch_init(&batch);
    resp_reader_init(&r, &usual);
    resp_reader_feed(&r, BYTES_LIT("\n\n*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n$1\r\n0\r\n\n"));
    assert_int_equal(resp_reader_next(&r, &batch, &req), RESP_REQUEST); /* P15: keep-alives right before a command */
    assert_int_equal(req.argc, 3);
    assert_int_equal(resp_reader_empty_lines(&r), 2);
    assert_int_equal(resp_reader_next(&r, &batch, &req), RESP_INCOMPLETE);
    assert_int_equal(resp_reader_empty_lines(&r), 3);
    assert_int_equal(resp_reader_offset(&r), 2 + 34 + 1);
    resp_reader_release(&r);
    resp_batch_release(&batch);
}

/* Requests that were parsed ahead and not executed are given again, including their blocks. */
static void test_unread_gives_requests_again(void **state)
{
    struct resp_reader r;
    struct resp_batch batch;
    struct resp_request first, second;
    struct bytes_buf in = {0};
    struct rng rng;
    rng_seed(&rng, 3);
    bytes_buf_append_view(&in, BYTES_LIT("*2\r\n"));
    append_bulk(&in, &rng, 50000);
    append_bulk(&in, &rng, 3);
    bytes_buf_append_view(&in, BYTES_LIT("get \"quoted word\"\r\n*2\r\n$40000\r\nstart of the next"));
    resp_batch_init(&batch);
    resp_reader_init(&r, &usual);
    resp_reader_feed(&r, bytes_view(in.data, 40));
    assert_int_equal(resp_reader_next(&r, &batch, &first), RESP_INCOMPLETE);
    resp_reader_feed(&r, bytes_view(in.data + 40, in.len - 40));
    for (int round = 0; round < 4; round++) {
        assert_int_equal(resp_reader_next(&r, &batch, &first), RESP_REQUEST);
        assert_int_equal(first.argv[0].len, 50000);
        assert_int_equal(resp_reader_next(&r, &batch, &second), RESP_REQUEST);
        assert_true(bytes_equal(second.argv[1], BYTES_LIT("quoted word")));
        assert_int_equal(resp_reader_next(&r, &batch, &second), RESP_INCOMPLETE);
        assert_memory_equal(first.argv[0].data, in.data + 12, 50000);
        if (round == 3) break;
        resp_reader_unread(&r, &first);
        if (round > 0) resp_reader_feed(&r, BYTES_LIT("more"));
    }
    resp_reader_release(&r);
    resp_batch_release(&batch);
    bytes_buf_release(&in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests_are_the_same_however_they_are_cut),
        cmocka_unit_test(test_CVE_2026_27623_empty_requests_leave_no_state),
        cmocka_unit_test(test_fault_30_N3_line_ends_are_compared),
        cmocka_unit_test(test_fault_30_N3_line_end_of_a_big_argument_is_compared),
        cmocka_unit_test(test_fault_30_inline_requests_may_end_in_a_lone_line_feed),
        cmocka_unit_test(test_malformed_requests_get_redis_words),
        cmocka_unit_test(test_endless_lines_are_refused_at_64k),
        cmocka_unit_test(test_CVE_2021_32675_limits_before_authentication),
        cmocka_unit_test(test_limits_can_be_lifted_between_requests),
        cmocka_unit_test(test_CVE_2021_32675_declared_lengths_take_no_memory),
        cmocka_unit_test(test_CVE_2021_41099_CVE_2021_21309_the_longest_length_is_only_a_promise),
        cmocka_unit_test(test_random_pipelines_match_the_model),
        cmocka_unit_test(test_random_damage_matches_the_model),
        cmocka_unit_test(test_big_arguments_come_in_their_own_block),
        cmocka_unit_test(test_an_unfinished_request_has_a_limit),
        cmocka_unit_test(test_an_idle_reader_holds_no_memory),
        cmocka_unit_test(test_empty_lines_are_counted),
        cmocka_unit_test(test_unread_gives_requests_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
