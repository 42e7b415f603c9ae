#include "storage/rdb_eof.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

/* A naive search fails on a mark that begins with parts of itself. */
#define TRICKY_MARK "aaabaaabaaacaaabaaabaaacaaabaaabaaacaaad"
#define PLAIN_MARK  "0123456789abcdefghijklmnopqrstuvwxyzABCD"

static int collect(void *ctx, struct bytes_view bytes)
{
    bytes_buf_append_view(ctx, bytes);
    return 0;
}

static int refuse(void *ctx, struct bytes_view bytes)
{
    return -7;
}

/* Feeds `all` in pieces of the given sizes, over and over; returns how many bytes were consumed when the mark was seen.
 */
static size_t run(const char *mark, struct bytes_view all, size_t first, size_t chunk, struct bytes_buf *out)
{
    struct rdb_eof e;
    rdb_eof_init(&e, mark);
    size_t pos = 0;
    int rc = 0;
    while (rc == 0 && pos < all.len) {
        size_t n = pos == 0 && first > 0 ? first : chunk, used = 0;
        if (n > all.len - pos) n = all.len - pos;
        char *copy = malloc(n); /* exact size: the sanitizer sees reads behind it */
        memcpy(copy, all.data + pos, n);
        rc = rdb_eof_feed(&e, bytes_view(copy, n), &used, collect, out);
        free(copy);
        if (rc == 0) assert_int_equal(used, n);
        pos += used;
    }
    assert_int_equal(rc, 1);
    return pos;
}

static void check_all_splits(const char *mark, struct bytes_view body, struct bytes_view trailer)
{
    struct bytes_buf all = {0};
    bytes_buf_append_view(&all, body);
    bytes_buf_append(&all, mark, RDB_EOF_MARK_LEN);
    bytes_buf_append_view(&all, trailer);
    for (size_t first = 0; first <= all.len; first++) {
        for (size_t chunk = 1; chunk <= 45; chunk += first % 7 == 0 ? 1 : 11) {
            struct bytes_buf out = {0};
            assert_int_equal(run(mark, bytes_buf_view(&all), first, chunk, &out), body.len + RDB_EOF_MARK_LEN);
            assert_true(bytes_equal(bytes_buf_view(&out), body));
            bytes_buf_release(&out);
        }
    }
    bytes_buf_release(&all);
}

static void test_F5_mark_split_at_every_byte(void **state)
{
    check_all_splits(PLAIN_MARK, BYTES_LIT("REDIS0010 some payload, long enough to pass a mark's length \xff"),
                     BYTES_LIT(""));
    check_all_splits(PLAIN_MARK, BYTES_LIT(""), BYTES_LIT(""));
    check_all_splits(PLAIN_MARK, BYTES_LIT("x"), BYTES_LIT(""));
}

static void test_F5_mark_followed_by_stream(void **state)
{
    check_all_splits(PLAIN_MARK, BYTES_LIT("payload"), BYTES_LIT("\n\n\n*1\r\n$4\r\nPING\r\n"));
}

static void test_F5_beginnings_of_the_mark_are_payload(void **state)
{
    check_all_splits(TRICKY_MARK, BYTES_LIT("aaabaaabaaacaaabaaabaaacaaabaaabaaacaaaaaabaaabaaacaaabaaab"),
                     BYTES_LIT("\n"));
    check_all_splits(TRICKY_MARK, BYTES_LIT("aaabaaabaaacaaabaaabaaac"), BYTES_LIT("\n"));
    check_all_splits("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab",
                     BYTES_LIT("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"), BYTES_LIT("a"));
}

/* Two letters only, so that partial matches are frequent; compared with a search in the whole input. */
static void test_random_bytes_against_a_search(void **state)
{
    struct rng rng;
    rng_seed(&rng, 5);
    for (int round = 0; round < 3000; round++) {
        char mark[RDB_EOF_MARK_LEN], text[400];
        size_t len = rng_below(&rng, sizeof(text) - RDB_EOF_MARK_LEN);
        for (size_t i = 0; i < sizeof(mark); i++) mark[i] = rng_below(&rng, 8) == 0 ? 'b' : 'a';
        for (size_t i = 0; i < len; i++) text[i] = rng_below(&rng, 8) == 0 ? 'b' : 'a';
        if (len > 20) memcpy(text + len - 20, mark, rng_below(&rng, 20));
        memcpy(text + len, mark, sizeof(mark));
        size_t end = (size_t)((char *)memmem(text, len + sizeof(mark), mark, sizeof(mark)) - text);
        struct bytes_buf out = {0};
        size_t got =
            run(mark, bytes_view(text, len + sizeof(mark)), rng_below(&rng, 60), 1 + rng_below(&rng, 60), &out);
        assert_int_equal(got, end + sizeof(mark));
        assert_true(bytes_equal(bytes_buf_view(&out), bytes_view(text, end)));
        bytes_buf_release(&out);
    }
}

static void test_without_a_mark_nothing_but_its_beginning_is_held_back(void **state)
{
    struct rdb_eof e;
    struct bytes_buf out = {0};
    size_t used;
    rdb_eof_init(&e, PLAIN_MARK);
    assert_int_equal(rdb_eof_feed(&e, BYTES_LIT("data0123"), &used, collect, &out), 0);
    assert_int_equal(used, 8);
    assert_true(bytes_equal(bytes_buf_view(&out), BYTES_LIT("data")));
    assert_int_equal(rdb_eof_feed(&e, BYTES_LIT("!"), &used, collect, &out), 0);
    assert_true(bytes_equal(bytes_buf_view(&out), BYTES_LIT("data0123!")));
    bytes_buf_release(&out);
}

static void test_payload_can_stop_the_transfer(void **state)
{
    struct rdb_eof e;
    size_t used;
    rdb_eof_init(&e, PLAIN_MARK);
    assert_int_equal(rdb_eof_feed(&e, BYTES_LIT("data"), &used, refuse, NULL), -7);
}

static void test_header(void **state)
{
    char mark[RDB_EOF_MARK_LEN], other[RDB_EOF_MARK_LEN], header[RDB_EOF_HEADER_LEN];
    rdb_eof_random_mark(mark, sys_real());
    rdb_eof_random_mark(other, sys_real());
    assert_memory_not_equal(mark, other, sizeof(mark));
    rdb_eof_format_header(header, mark);
    assert_memory_equal(header, "$EOF:", 5);
    assert_true(rdb_eof_parse_header(bytes_view(header, sizeof(header)), other));
    assert_memory_equal(mark, other, sizeof(mark));
    assert_true(rdb_eof_parse_header(bytes_view(header, sizeof(header) - 2), other));
    assert_false(rdb_eof_parse_header(bytes_view(header, sizeof(header) - 3), other));
    assert_false(rdb_eof_parse_header(BYTES_LIT("$123\r\n"), other));
    assert_false(rdb_eof_parse_header(BYTES_LIT(""), other));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_F5_mark_split_at_every_byte),
        cmocka_unit_test(test_F5_mark_followed_by_stream),
        cmocka_unit_test(test_F5_beginnings_of_the_mark_are_payload),
        cmocka_unit_test(test_random_bytes_against_a_search),
        cmocka_unit_test(test_without_a_mark_nothing_but_its_beginning_is_held_back),
        cmocka_unit_test(test_payload_can_stop_the_transfer),
        cmocka_unit_test(test_header),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
