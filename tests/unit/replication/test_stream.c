#include "replication/stream.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "storage/base/memory.h"
#include "storage/base/sys.h"

/* Byte number n of every stream in these tests: the position alone determines the content. */
static char byte_at(uint64_t position)
{
    return (char)(position * 2654435761u >> 13);
}

static void append_pattern(struct repl_stream *s, size_t n)
{
    char *bytes = mem_alloc(n + 1);
    for (size_t i = 0; i < n; i++) bytes[i] = byte_at(repl_stream_end(s) + i);
    repl_stream_append(s, bytes_view(bytes, n));
    mem_free(bytes);
}

/* Reads n bytes in the pieces that the reader offers, and checks each byte. */
static void read_pattern(struct repl_stream_reader *r, uint64_t n)
{
    struct iovec iov[3];
    while (n > 0) {
        int pieces = repl_stream_peek(r, iov, 3);
        assert_true(pieces > 0);
        uint64_t took = 0;
        for (int i = 0; i < pieces && took < n; i++) {
            size_t len = iov[i].iov_len < n - took ? iov[i].iov_len : (size_t)(n - took);
            for (size_t k = 0; k < len; k++)
                if (((char *)iov[i].iov_base)[k] != byte_at(r->pos + took + k)) fail_msg("wrong byte");
            took += len;
        }
        repl_stream_advance(r, took);
        n -= took;
    }
}

static void test_empty_stream_covers_only_its_end(void **state)
{
    struct repl_stream s;
    repl_stream_init(&s, 1000, 500);
    assert_true(repl_stream_covers(&s, 500));
    assert_false(repl_stream_covers(&s, 499));
    assert_false(repl_stream_covers(&s, 501));
    assert_int_equal(repl_stream_length(&s), 0);
    repl_stream_release(&s);
}

static void test_P1_the_next_byte_is_covered(void **state)
{
    struct repl_stream s;
    repl_stream_init(&s, 1000, 0);
    append_pattern(&s, 10);
    assert_true(repl_stream_covers(&s, 10));
    assert_false(repl_stream_covers(&s, 11));
    assert_true(repl_stream_covers(&s, 0));
    repl_stream_release(&s);
}

static void test_P1_psync_offsets_count_bytes_from_one(void **state)
{
    uint64_t position = 77;
    assert_true(repl_stream_position_of_psync(1, &position));
    assert_int_equal(position, 0);
    assert_true(repl_stream_position_of_psync(INT64_MAX, &position));
    assert_int_equal(position, (uint64_t)INT64_MAX - 1);
    position = 77;
    assert_false(repl_stream_position_of_psync(0, &position));
    assert_false(repl_stream_position_of_psync(-1, &position));
    assert_false(repl_stream_position_of_psync(INT64_MIN, &position));
    assert_int_equal(position, 77);
}

static void test_P16_history_is_the_limit_and_less_than_a_block(void **state)
{
    for (uint64_t limit = STREAM_BLOCK_BYTES - 1; limit <= STREAM_BLOCK_BYTES + 1; limit++) {
        struct repl_stream s;
        repl_stream_init(&s, limit, 7);
        for (int i = 0; i < 50; i++) {
            append_pattern(&s, 12345);
            uint64_t written = repl_stream_end(&s) - 7;
            assert_true(repl_stream_length(&s) >= (written < limit ? written : limit));
            assert_true(repl_stream_length(&s) <= limit + STREAM_BLOCK_BYTES + 12345);
            repl_stream_check(&s);
        }
        assert_true(repl_stream_memory(&s) <= 3 * STREAM_BLOCK_BYTES + 4096);
        repl_stream_release(&s);
    }
}

static void test_P16_one_append_larger_than_everything(void **state)
{
    struct repl_stream s;
    struct repl_stream_reader r = {0};
    repl_stream_init(&s, 100, 0);
    append_pattern(&s, 5 * STREAM_BLOCK_BYTES + 170);
    assert_int_equal(repl_stream_length(&s), 170); /* of the last block */
    assert_true(repl_stream_memory(&s) <= 2 * STREAM_BLOCK_BYTES + 4096);
    repl_stream_reader_start(&s, &r, repl_stream_start(&s));
    append_pattern(&s, 5 * STREAM_BLOCK_BYTES);
    read_pattern(&r, repl_stream_pending(&r));
    repl_stream_reader_stop(&r);
    repl_stream_release(&s);
}

static void test_a_slow_reader_keeps_its_bytes_and_only_those(void **state)
{
    struct repl_stream s;
    struct repl_stream_reader slow = {0}, quick = {0};
    repl_stream_init(&s, 1000, 0);
    append_pattern(&s, 500);
    repl_stream_reader_start(&s, &slow, 400);
    repl_stream_reader_start(&s, &quick, 500);
    append_pattern(&s, 10 * STREAM_BLOCK_BYTES);
    assert_int_equal(repl_stream_start(&s), 0); /* its block begins there */
    assert_true(repl_stream_covers(&s, 400));   /* a third reader may start at any kept byte */
    read_pattern(&quick, repl_stream_pending(&quick));
    assert_int_equal(repl_stream_start(&s), 0);
    assert_true(repl_stream_memory_beyond_limit(&s) >= 9 * STREAM_BLOCK_BYTES);
    read_pattern(&slow, repl_stream_pending(&slow));
    assert_true(repl_stream_length(&s) >= 1000);
    assert_true(repl_stream_length(&s) < 1000 + STREAM_BLOCK_BYTES);
    assert_true(repl_stream_memory(&s) <= 2 * STREAM_BLOCK_BYTES + 4096);
    repl_stream_reader_stop(&slow);
    repl_stream_reader_stop(&quick);
    repl_stream_reader_stop(&quick); /* a second stop has no effect */
    repl_stream_release(&s);
}

static void test_a_larger_limit_does_not_bring_bytes_back(void **state)
{
    struct repl_stream s;
    repl_stream_init(&s, 100, 0);
    append_pattern(&s, 10 * STREAM_BLOCK_BYTES + 1000);
    assert_int_equal(repl_stream_length(&s), 1000);
    repl_stream_set_limit(&s, 5 * STREAM_BLOCK_BYTES);
    assert_int_equal(repl_stream_length(&s), 1000);
    append_pattern(&s, 5 * STREAM_BLOCK_BYTES);
    assert_int_equal(repl_stream_start(&s), 10 * STREAM_BLOCK_BYTES);
    repl_stream_set_limit(&s, 50); /* a smaller limit takes effect at once */
    assert_int_equal(repl_stream_length(&s), 1000);
    repl_stream_release(&s);
}

static void test_reset_starts_anew_anywhere(void **state)
{
    struct repl_stream s;
    struct repl_stream_reader r = {0};
    repl_stream_init(&s, 100000, 0);
    append_pattern(&s, 70000);
    repl_stream_reset(&s, UINT64_C(1) << 40);
    assert_int_equal(repl_stream_length(&s), 0);
    repl_stream_check(&s);
    append_pattern(&s, 90000);
    repl_stream_reader_start(&s, &r, UINT64_C(1) << 40);
    read_pattern(&r, 90000);
    repl_stream_reader_stop(&r);
    repl_stream_release(&s);
}

/* ---- Random operations against a model: two numbers and the readers' positions ---- */

enum { READERS = 5, MODEL_FIRST = 123 };

struct model {
    uint64_t end, limit;
    struct repl_stream_reader readers[READERS];
};

/* Blocks begin at multiples of their size from the first position on. */
static uint64_t model_start(struct model *m)
{
    uint64_t oldest = m->end > m->limit ? m->end - m->limit : 0;
    for (int i = 0; i < READERS; i++)
        if (m->readers[i].stream != NULL && m->readers[i].pos < oldest) oldest = m->readers[i].pos;
    if (oldest < MODEL_FIRST) return MODEL_FIRST;
    return oldest - (oldest - MODEL_FIRST) % STREAM_BLOCK_BYTES;
}

static void random_append(struct rng *rng, struct repl_stream *s, struct model *m)
{
    size_t n = (size_t)rng_below(rng, rng_below(rng, 10) == 0 ? 300000 : 2000);
    append_pattern(s, n);
    m->end += n;
}

static void random_step(struct rng *rng, struct repl_stream *s, struct model *m)
{
    struct repl_stream_reader *r = &m->readers[rng_below(rng, READERS)];
    switch (rng_below(rng, 5)) {
    case 0:
    case 1: random_append(rng, s, m); break;
    case 2:
        if (r->stream != NULL) read_pattern(r, rng_below(rng, repl_stream_pending(r) + 1));
        break;
    case 3:
        if (r->stream != NULL)
            repl_stream_reader_stop(r);
        else
            repl_stream_reader_start(s, r, repl_stream_start(s) + rng_below(rng, m->end - repl_stream_start(s) + 1));
        break;
    default:
        if (rng_below(rng, 20) != 0) break;
        m->limit = rng_below(rng, 400000);
        repl_stream_set_limit(s, m->limit);
        break;
    }
}

static void test_P16_random_operations(void **state)
{
    struct rng rng;
    struct repl_stream s;
    struct model m = {.limit = 1000, .end = MODEL_FIRST};
    uint64_t last_start = MODEL_FIRST;
    rng_seed(&rng, 42);
    repl_stream_init(&s, m.limit, m.end);
    for (int i = 0; i < 20000; i++) {
        random_step(&rng, &s, &m);
        repl_stream_check(&s);
        assert_int_equal(repl_stream_end(&s), m.end);
        /* All bytes that the model needs are kept, and at most one more block. */
        uint64_t wanted = model_start(&m);
        assert_true(repl_stream_start(&s) <= wanted || repl_stream_start(&s) == last_start);
        assert_true(repl_stream_start(&s) + 2 * STREAM_BLOCK_BYTES >= wanted);
        assert_true(repl_stream_start(&s) >= last_start);
        last_start = repl_stream_start(&s);
        assert_false(repl_stream_covers(&s, last_start - 1));
        assert_true(repl_stream_covers(&s, last_start));
        assert_true(repl_stream_covers(&s, m.end));
        assert_false(repl_stream_covers(&s, m.end + 1));
    }
    for (int i = 0; i < READERS; i++) repl_stream_reader_stop(&m.readers[i]);
    repl_stream_release(&s);
}

/* Bytes before the cut stay readable; bytes appended after it follow them. */
static void test_fault_10_the_end_can_be_cut_off(void **state)
{
    struct rng rng;
    struct repl_stream s;
    struct repl_stream_reader r = {0};
    rng_seed(&rng, 7);
    repl_stream_init(&s, 100000, MODEL_FIRST);
    for (int i = 0; i < 5000; i++) {
        append_pattern(&s, (size_t)rng_below(&rng, 30000));
        uint64_t start = repl_stream_start(&s), back = rng_below(&rng, 4) == 0 ? STREAM_BLOCK_BYTES : 0;
        uint64_t from = start + rng_below(&rng, repl_stream_length(&s) + 1);
        repl_stream_reader_start(&s, &r, from);
        uint64_t cut = start + (back + rng_below(&rng, repl_stream_length(&s) + 1)) / (back + 1) * (back + 1);
        if (cut > repl_stream_end(&s)) cut = repl_stream_end(&s);
        repl_stream_cut(&s, cut);
        repl_stream_check(&s);
        assert_int_equal(repl_stream_end(&s), cut);
        assert_int_equal(repl_stream_start(&s), start);
        assert_int_equal(r.pos, from < cut ? from : cut);
        read_pattern(&r, repl_stream_pending(&r));
        append_pattern(&s, (size_t)rng_below(&rng, 20000));
        read_pattern(&r, repl_stream_pending(&r));
        repl_stream_reader_stop(&r);
        repl_stream_check(&s);
    }
    repl_stream_cut(&s, repl_stream_start(&s) - 10); /* older than all kept bytes */
    repl_stream_check(&s);
    assert_int_equal(repl_stream_length(&s), 0);
    append_pattern(&s, 10);
    repl_stream_check(&s);
    repl_stream_release(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty_stream_covers_only_its_end),
        cmocka_unit_test(test_P1_the_next_byte_is_covered),
        cmocka_unit_test(test_P1_psync_offsets_count_bytes_from_one),
        cmocka_unit_test(test_P16_history_is_the_limit_and_less_than_a_block),
        cmocka_unit_test(test_P16_one_append_larger_than_everything),
        cmocka_unit_test(test_a_slow_reader_keeps_its_bytes_and_only_those),
        cmocka_unit_test(test_a_larger_limit_does_not_bring_bytes_back),
        cmocka_unit_test(test_reset_starts_anew_anywhere),
        cmocka_unit_test(test_P16_random_operations),
        cmocka_unit_test(test_fault_10_the_end_can_be_cut_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
