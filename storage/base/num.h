/* num.h -- numbers as Redis reads and prints them.
 * Parsing takes the whole view or nothing: *out is untouched when the answer is false. Formatting writes no NUL and
 * returns the length; the buffer sizes below are what the longest result needs. */
#ifndef LOCKSTEP_STORAGE_BASE_NUM_H
#define LOCKSTEP_STORAGE_BASE_NUM_H

#include "storage/base/bytes.h"

enum {
    NUM_I64_MAX_CHARS = 20, /* -9223372036854775808 */
    NUM_U64_MAX_CHARS = 20, /* 18446744073709551615 */
    NUM_DOUBLE_MAX_CHARS = 40,
    NUM_LONG_DOUBLE_MAX_CHARS = 5 * 1024, /* the largest long double has 4933 digits before the point */
    NUM_MEMORY_MAX_CHARS = 32,
};

/* Only the one canonical spelling is a number: no sign '+', no leading zero or space, no "-0". So formatting the result
 * gives the same bytes back, which is what lets a string be stored as an integer. */
bool num_parse_i64(struct bytes_view s, int64_t *out);
bool num_parse_u64(struct bytes_view s, uint64_t *out);
/* What strtod() takes (decimal, exponent, hex, inf, infinity, any case, with a sign) without leading space; NaN, an
 * overflow to infinity and an underflow to zero are refused. */
bool num_parse_double(struct bytes_view s, double *out);
bool num_parse_long_double(struct bytes_view s, long double *out);
/* What strtoul() and strtod() read in the whole of a C string, where Redis asks nothing more: cursors of SCAN, and
 * bounds of scores. Nothing counts as 0; a cursor may have a sign (the value wraps) and leading zeros, but no leading
 * space; a bound may have leading space, and one too large is infinite. NaN is refused. */
bool num_parse_cursor(struct bytes_view s, uint64_t *out);
bool num_parse_bound(struct bytes_view s, double *out);
/* "100", "1k" (1000), "1kb" (1024), "5mb", "2G" ...: any case; bytes. */
bool num_parse_memory(struct bytes_view s, uint64_t *out);

size_t num_format_i64(char *buf, int64_t value);
size_t num_format_u64(char *buf, uint64_t value);
/* The shortest digits that read back as the same double, laid out as Redis 7.2 prints scores: 3, 0.1, 1e+20, 1.5e-7,
 * inf, -inf, nan. */
size_t num_format_double(char *buf, double value);
/* "%.17g": what DEBUG DIGEST hashes and what Redis up to 7.0 printed for scores that are not small integers. */
size_t num_format_double17(char *buf, double value);
/* As INCRBYFLOAT prints: "%.17Lf" without trailing zeros, never "-0". `buf` has NUM_LONG_DOUBLE_MAX_CHARS. */
size_t num_format_long_double_human(char *buf, long double value);
/* As in INFO: 512B, 1.50M, 2.00G. */
size_t num_format_memory_human(char *buf, uint64_t bytes);

/* How many characters num_format_i64() would write. */
size_t num_i64_length(int64_t value);

#endif
