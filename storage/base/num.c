#include "storage/base/num.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "storage/base/assert.h"
#include "storage/base/checked.h"
#include "storage/base/memory.h"

/* --- integers --------------------------------------------------------------------------------------------------- */

/* Parses decimal digits. The first one may not be zero, unless it is the only one. */
static bool parse_digits(const char *p, size_t len, uint64_t *out)
{
    if (len == 0 || len > NUM_U64_MAX_CHARS) return false;
    uint64_t value = (unsigned char)p[0] - (unsigned)'0';
    if (value > 9 || (value == 0 && len > 1)) return false;
    size_t safe = len < NUM_U64_MAX_CHARS ? len : NUM_U64_MAX_CHARS - 1; /* 19 digits always fit */
    for (size_t i = 1; i < safe; i++) {
        unsigned digit = (unsigned char)p[i] - (unsigned)'0';
        if (digit > 9) return false;
        value = value * 10 + digit;
    }
    if (safe < len) {
        unsigned digit = (unsigned char)p[safe] - (unsigned)'0';
        if (digit > 9 || mul_overflow(value, 10u, &value) || add_overflow(value, digit, &value)) return false;
    }
    *out = value;
    return true;
}

bool num_parse_u64(struct bytes_view s, uint64_t *out)
{
    return parse_digits(s.data, s.len, out);
}

bool num_parse_i64(struct bytes_view s, int64_t *out)
{
    uint64_t value;
    if (s.len > 0 && s.data[0] == '-') {
        if (!parse_digits(s.data + 1, s.len - 1, &value)) return false;
        if (value == 0 || value > (uint64_t)INT64_MAX + 1) return false;
        *out = (int64_t)(0 - value);
        return true;
    }
    if (!parse_digits(s.data, s.len, &value) || value > INT64_MAX) return false;
    *out = (int64_t)value;
    return true;
}

/* log10 from log2 (1233 / 4096 is log10 of 2), corrected with one comparison. */
static size_t count_digits(uint64_t value)
{
    // clang-format off
    static const uint64_t powers[] = {
        0, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000, 1000000000, 10000000000, 100000000000,
        1000000000000, 10000000000000, 100000000000000, 1000000000000000, 10000000000000000, 100000000000000000,
        1000000000000000000, 10000000000000000000u,
    };
    // clang-format on
    unsigned log10 = (64 - (unsigned)__builtin_clzll(value | 1)) * 1233 >> 12;
    return log10 + (value >= powers[log10]);
}

static uint64_t magnitude(int64_t value)
{
    return value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
}

size_t num_i64_length(int64_t value)
{
    return count_digits(magnitude(value)) + (value < 0);
}

static void write_digits(char *buf, size_t digits, uint64_t value)
{
    static const char pairs[] = "00010203040506070809101112131415161718192021222324252627282930313233343536373839"
                                "40414243444546474849505152535455565758596061626364656667686970717273747576777879"
                                "8081828384858687888990919293949596979899";
    char *p = buf + digits;
    while (value >= 100) {
        p -= 2;
        memcpy(p, pairs + 2 * (value % 100), 2);
        value /= 100;
    }
    if (value >= 10)
        memcpy(buf, pairs + 2 * value, 2);
    else
        buf[0] = (char)('0' + value);
}

size_t num_format_u64(char *buf, uint64_t value)
{
    size_t digits = count_digits(value);
    write_digits(buf, digits, value);
    return digits;
}

size_t num_format_i64(char *buf, int64_t value)
{
    if (value >= 0) return num_format_u64(buf, (uint64_t)value);
    *buf = '-';
    return 1 + num_format_u64(buf + 1, magnitude(value));
}

/* --- reading floating point ------------------------------------------------------------------------------------- */

/* Plain decimals of at most 15 digits, as most scores are: digits and power of ten are exact doubles, so one
 * division rounds correctly. */
static bool parse_short_decimal(struct bytes_view s, double *out)
{
    static const double powers[] = {1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                    1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
    if (s.len == 0 || s.len > 17) return false;
    bool negative = s.data[0] == '-', point = false;
    size_t digits = 0, fraction = 0;
    uint64_t value = 0;
    for (size_t i = negative; i < s.len; i++) {
        unsigned digit = (unsigned char)s.data[i] - (unsigned)'0';
        if (digit <= 9) {
            value = value * 10 + digit;
            digits++;
            fraction += point;
        } else if (s.data[i] == '.' && !point) {
            point = true;
        } else {
            return false;
        }
    }
    if (digits == 0 || digits > 15) return false;
    double result = (double)value / powers[fraction];
    *out = negative ? -result : result;
    return true;
}

/* A NUL-terminated copy for strtod(); on the stack unless the input is unusually long. */
struct terminated {
    char *text;
    char small[256];
};

static void terminate(struct terminated *t, struct bytes_view s)
{
    t->text = s.len < sizeof(t->small) ? t->small : mem_alloc(s.len + 1);
    memcpy(t->text, s.data, s.len);
    t->text[s.len] = '\0';
}

static bool starts_with_space(struct bytes_view s)
{
    return s.len > 0 && isspace((unsigned char)s.data[0]);
}

static void terminate_release(struct terminated *t)
{
    if (t->text != t->small) mem_free(t->text);
}

bool num_parse_double(struct bytes_view s, double *out)
{
    if (parse_short_decimal(s, out)) return true;
    if (s.len == 0 || starts_with_space(s)) return false;
    struct terminated t;
    terminate(&t, s);
    char *end;
    errno = 0;
    double value = strtod(t.text, &end);
    bool whole = end == t.text + s.len;
    terminate_release(&t);
    if (!whole || isnan(value) || (errno == ERANGE && (isinf(value) || value == 0))) return false;
    *out = value;
    return true;
}

bool num_parse_long_double(struct bytes_view s, long double *out)
{
    if (s.len == 0 || s.len >= NUM_LONG_DOUBLE_MAX_CHARS || starts_with_space(s)) return false;
    struct terminated t;
    terminate(&t, s);
    char *end;
    errno = 0;
    long double value = strtold(t.text, &end);
    bool whole = end == t.text + s.len;
    terminate_release(&t);
    if (!whole || isnan(value) || (errno == ERANGE && (isinf(value) || value == 0))) return false;
    *out = value;
    return true;
}

bool num_parse_bound(struct bytes_view s, double *out)
{
    if (parse_short_decimal(s, out)) return true;
    struct terminated t;
    terminate(&t, s);
    char *end;
    double value = strtod(t.text, &end);
    bool whole = *end == '\0';
    terminate_release(&t);
    if (!whole || isnan(value)) return false;
    *out = value;
    return true;
}

bool num_parse_cursor(struct bytes_view s, uint64_t *out)
{
    if (num_parse_u64(s, out)) return true;
    if (starts_with_space(s)) return false;
    struct terminated t;
    terminate(&t, s);
    char *end;
    errno = 0;
    uint64_t value = strtoul(t.text, &end, 10);
    bool whole = *end == '\0' && errno != ERANGE;
    terminate_release(&t);
    if (whole) *out = value;
    return whole;
}

/* --- printing floating point ------------------------------------------------------------------------------------ */

static size_t put(char *buf, const char *text, size_t len)
{
    memcpy(buf, text, len);
    return len;
}

static size_t format_special(char *buf, double value)
{
    if (isnan(value)) return put(buf, "nan", 3);
    return value < 0 ? put(buf, "-inf", 4) : put(buf, "inf", 3);
}

/* The shortest decimal `digits` x 10^exponent inside a double's rounding interval, and of those the closest, by R.
 * Giulietti's Schubfach ("The Schubfach way to render doubles", 2020). Names below are those of the paper. */
struct decimal {
    uint64_t digits;
    int exponent;
};

/* floor(10^k x 2^(127 - floor(log2 10^k))) + 1, high and low half, for k from POW10_MIN on. */
enum { POW10_MIN = -292, POW10_MAX = 324 };
static const uint64_t pow10_table[POW10_MAX - POW10_MIN + 1][2] = {
#include "storage/base/num_pow10.inc"
};

static int floor_log2_pow10(int e)
{
    return (e * 1741647) >> 19;
}
static int floor_log10_pow2(int e)
{
    return (e * 1262611) >> 22;
}
static int floor_log10_three_quarters_pow2(int e)
{
    return (e * 1262611 - 524031) >> 22;
}

/* The upper 64 bits of a 192-bit product; the lowest bit is also set if any of the lower bits is. */
static uint64_t round_to_odd(const uint64_t g[2], uint64_t cp)
{
    unsigned __int128 low = (unsigned __int128)g[1] * cp;
    unsigned __int128 sum = (unsigned __int128)g[0] * cp + (uint64_t)(low >> 64);
    return (uint64_t)(sum >> 64) | ((uint64_t)sum > 1);
}

static struct decimal shortest_decimal(uint64_t fraction, int biased_exponent)
{
    const uint64_t hidden_bit = (uint64_t)1 << 52;
    uint64_t c = biased_exponent != 0 ? fraction | hidden_bit : fraction;
    int q = (biased_exponent != 0 ? biased_exponent : 1) - 1075;
    bool lower_is_closer = fraction == 0 && biased_exponent > 1, odd = c & 1;

    int k = lower_is_closer ? floor_log10_three_quarters_pow2(q) : floor_log10_pow2(q);
    int h = q + floor_log2_pow10(-k) + 1;
    ASSERT(-k >= POW10_MIN && -k <= POW10_MAX);
    const uint64_t *g = pow10_table[-k - POW10_MIN];
    uint64_t vb = round_to_odd(g, (4 * c) << h);
    uint64_t lower = round_to_odd(g, (4 * c - 2 + lower_is_closer) << h) + odd;
    uint64_t upper = round_to_odd(g, (4 * c + 2) << h) - odd;

    uint64_t s = vb / 4, tens = s / 10;
    if (s >= 10) {
        bool down_inside = lower <= 40 * tens, up_inside = 40 * tens + 40 <= upper;
        if (down_inside != up_inside) return (struct decimal){tens + up_inside, k + 1};
    }
    bool down_inside = lower <= 4 * s, up_inside = 4 * s + 4 <= upper;
    if (down_inside != up_inside) return (struct decimal){s + up_inside, k};
    uint64_t middle = 4 * s + 2;
    return (struct decimal){s + (vb > middle || (vb == middle && (s & 1) != 0)), k};
}

static size_t put_scientific(char *buf, const char *digits, int count, int exponent)
{
    size_t n = put(buf, digits, 1);
    if (count > 1) {
        buf[n++] = '.';
        n += put(buf + n, digits + 1, (size_t)count - 1);
    }
    buf[n++] = 'e';
    buf[n++] = exponent < 0 ? '-' : '+';
    return n + num_format_u64(buf + n, (uint64_t)abs(exponent));
}

/* Chooses between plain and scientific notation as Redis 7.2 does. `exponent` is that of the last digit, `leading`
 * that of the first. */
static size_t put_decimal(char *buf, const char *digits, int count, int exponent)
{
    int leading = exponent + count - 1;
    if (exponent >= 0 && leading < count + 7) {
        memcpy(buf, digits, (size_t)count);
        memset(buf + count, '0', (size_t)exponent);
        return (size_t)(count + exponent);
    }
    if (exponent >= 0 || (exponent <= -7 && abs(leading) >= 4)) return put_scientific(buf, digits, count, leading);
    int point = count + exponent; /* digits before the decimal point */
    if (point > 0) {
        size_t n = put(buf, digits, (size_t)point);
        buf[n++] = '.';
        return n + put(buf + n, digits + point, (size_t)(count - point));
    }
    size_t n = put(buf, "0.", 2);
    memset(buf + n, '0', (size_t)-point);
    n += (size_t)-point;
    return n + put(buf + n, digits, (size_t)count);
}

static bool is_integer_for_print(double value)
{
    const double limit = (double)(INT64_MAX / 2);
    return value >= -limit && value <= limit && value == (double)(int64_t)value;
}

size_t num_format_double(char *buf, double value)
{
    if (!isfinite(value)) return format_special(buf, value);
    size_t sign = signbit(value) != 0;
    if (value == 0) return put(buf, &"-0"[1 - sign], 1 + sign);
    if (is_integer_for_print(value)) return num_format_i64(buf, (int64_t)value);

    uint64_t bits;
    memcpy(&bits, &value, sizeof(bits));
    struct decimal d = shortest_decimal(bits & (((uint64_t)1 << 52) - 1), (int)(bits >> 52 & 0x7ff));
    for (; d.digits % 10 == 0; d.digits /= 10) d.exponent++;
    char digits[NUM_U64_MAX_CHARS];
    int count = (int)num_format_u64(digits, d.digits);
    buf[0] = '-';
    return sign + put_decimal(buf + sign, digits, count, d.exponent);
}

size_t num_format_double17(char *buf, double value)
{
    if (!isfinite(value)) return format_special(buf, value);
    if (fabs(value) < 1e15 && value == (double)(int64_t)value && (value != 0 || !signbit(value)))
        return num_format_i64(buf, (int64_t)value);
    char text[NUM_DOUBLE_MAX_CHARS]; /* snprintf() needs room for a terminator, which `buf` may lack */
    int len = snprintf(text, sizeof(text), "%.17g", value);
    ASSERT(len > 0 && (size_t)len < sizeof(text));
    return put(buf, text, (size_t)len);
}

size_t num_format_long_double_human(char *buf, long double value)
{
    if (!isfinite(value)) return format_special(buf, isnan(value) ? NAN : value < 0 ? -INFINITY : INFINITY);
    int printed = snprintf(buf, NUM_LONG_DOUBLE_MAX_CHARS, "%.17Lf", value);
    ASSERT(printed > 0 && printed < NUM_LONG_DOUBLE_MAX_CHARS);
    size_t len = (size_t)printed;
    while (buf[len - 1] == '0') len--; /* stops at the point at the latest */
    if (buf[len - 1] == '.') len--;
    return len == 2 && memcmp(buf, "-0", 2) == 0 ? put(buf, "0", 1) : len;
}

/* --- sizes ------------------------------------------------------------------------------------------------------ */

static uint64_t memory_unit(struct bytes_view unit)
{
    static const struct {
        const char *name;
        uint64_t bytes;
    } units[] = {
        {"", 1},           {"b", 1},
        {"k", 1000},       {"kb", (uint64_t)1 << 10},
        {"m", 1000000},    {"mb", (uint64_t)1 << 20},
        {"g", 1000000000}, {"gb", (uint64_t)1 << 30},
    };
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
        if (bytes_equal_nocase(unit, units[i].name)) return units[i].bytes;
    return 0;
}

bool num_parse_memory(struct bytes_view s, uint64_t *out)
{
    uint64_t value = 0;
    size_t digits = 0;
    for (; digits < s.len && s.data[digits] >= '0' && s.data[digits] <= '9'; digits++)
        if (mul_overflow(value, 10u, &value) || add_overflow(value, (unsigned)(s.data[digits] - '0'), &value))
            return false;
    uint64_t unit = memory_unit(bytes_view(s.data + digits, s.len - digits));
    if (digits == 0 || unit == 0 || mul_overflow(value, unit, &value)) return false;
    *out = value;
    return true;
}

size_t num_format_memory_human(char *buf, uint64_t bytes)
{
    char text[NUM_MEMORY_MAX_CHARS];
    int len, unit = -1;
    double scaled = (double)bytes;
    for (uint64_t left = bytes; left >= 1024 && unit < 4; left /= 1024, scaled /= 1024) unit++;
    if (unit == -1)
        len = snprintf(text, sizeof(text), "%uB", (unsigned)bytes);
    else
        len = snprintf(text, sizeof(text), "%.2f%c", scaled, "KMGTP"[unit]);
    ASSERT(len > 0 && (size_t)len < sizeof(text));
    return put(buf, text, (size_t)len);
}
