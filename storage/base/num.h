/* num.h -- parsing and formatting of numbers as in Redis.
 *
 * A parser accepts the whole view or nothing: if it returns false, *out is unchanged. A formatter writes no NUL and
 * returns the length; the constants below are the sizes of buffers for the longest results. */
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

/* Accept only the canonical form: no '+', no leading zero or space, no "-0". Formatting the result restores the same
 * bytes, so a string can be stored as an integer. */
bool num_parse_i64(struct bytes_view s, int64_t *out);
bool num_parse_u64(struct bytes_view s, uint64_t *out);
/* Accept what strtod() accepts (decimal, exponent, hex, inf, infinity, any case, with a sign) without leading space.
 * NaN, overflow to infinity and underflow to zero are refused. */
bool num_parse_double(struct bytes_view s, double *out);
bool num_parse_long_double(struct bytes_view s, long double *out);
/* Accept what strtoul() and strtod() read as the whole of a C string, where Redis checks nothing more: SCAN cursors
 * and score bounds. An empty string is 0. A cursor may have a sign (the value wraps around) and leading zeros, but
 * no leading space. A bound may have leading space; one that is too large is infinite. NaN is refused. */
bool num_parse_cursor(struct bytes_view s, uint64_t *out);
bool num_parse_bound(struct bytes_view s, double *out);
/* A number of bytes such as "100", "1k" (1000), "1kb" (1024), "5mb", "2G", in any case. */
bool num_parse_memory(struct bytes_view s, uint64_t *out);

size_t num_format_i64(char *buf, int64_t value);
size_t num_format_u64(char *buf, uint64_t value);
/* The shortest digits that parse to the same double, in the notation of Redis 7.2 for scores: 3, 0.1, 1e+20, 1.5e-7,
 * inf, -inf, nan. */
size_t num_format_double(char *buf, double value);
/* "%.17g": hashed by DEBUG DIGEST, and printed by Redis up to 7.0 for scores that are not small integers. */
size_t num_format_double17(char *buf, double value);
/* The format of INCRBYFLOAT: "%.17Lf" without trailing zeros, never "-0". `buf` has NUM_LONG_DOUBLE_MAX_CHARS. */
size_t num_format_long_double_human(char *buf, long double value);
/* The format of INFO: 512B, 1.50M, 2.00G. */
size_t num_format_memory_human(char *buf, uint64_t bytes);

/* The number of characters that num_format_i64() would write. */
size_t num_i64_length(int64_t value);

#endif
