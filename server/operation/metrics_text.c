#include "server/operation/metrics_text.h"

#include "storage/base/assert.h"
#include "storage/base/num.h"

#define NONE ((struct bytes_view){0})

enum { NUMBER_MAX_CHARS = 32, NANOSECOND_DECIMALS = 9, MICROSECOND_DECIMALS = 6 };

static char *put(char *at, struct bytes_view text)
{
    if (text.len > 0) memcpy(at, text.data, text.len);
    return at + text.len;
}

/* One line. `suffix` is part of the name, `more` are labels behind the others; both may be empty. */
static void sample(struct bytes_buf *out, const char *name, struct bytes_view suffix, struct bytes_view labels,
                   struct bytes_view more, struct bytes_view number)
{
    size_t name_len = strlen(name);
    bytes_buf_reserve(out, name_len + suffix.len + labels.len + more.len + number.len + 5);
    char *at = put(out->data + out->len, bytes_view(name, name_len));
    at = put(at, suffix);
    if (labels.len + more.len > 0) {
        *at++ = '{';
        at = put(at, labels);
        if (labels.len > 0 && more.len > 0) *at++ = ',';
        at = put(at, more);
        *at++ = '}';
    }
    *at++ = ' ';
    at = put(at, number);
    *at++ = '\n';
    out->len = (size_t)(at - out->data);
}

static size_t format_decimal(char *buf, uint64_t value, unsigned decimals)
{
    static const uint64_t powers[] = {1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000, 1000000000};
    ASSERT(decimals < sizeof(powers) / sizeof(powers[0]));
    uint64_t fraction = value % powers[decimals];
    size_t len = num_format_u64(buf, value / powers[decimals]);
    if (fraction == 0) return len;
    buf[len++] = '.';
    while (fraction > 0 && decimals > 0) {
        decimals--;
        buf[len++] = (char)('0' + fraction / powers[decimals]);
        fraction %= powers[decimals];
    }
    return len;
}

void metrics_family(struct bytes_buf *out, const char *name, enum metrics_type type, const char *help)
{
    static const struct bytes_view types[] = {
        {" gauge\n", 7}, {" counter\n", 9}, {" histogram\n", 11}, {" summary\n", 9}};
    struct bytes_view named = bytes_str(name), text = bytes_str(help);
    bytes_buf_reserve(out, 2 * named.len + text.len + 32);
    char *at = put(out->data + out->len, BYTES_LIT("# HELP "));
    at = put(at, named);
    *at++ = ' ';
    at = put(at, text);
    at = put(at, BYTES_LIT("\n# TYPE "));
    at = put(at, named);
    at = put(at, types[type]);
    out->len = (size_t)(at - out->data);
}

void metrics_number(struct bytes_buf *out, const char *name, struct bytes_view labels, int64_t value)
{
    char digits[NUMBER_MAX_CHARS];
    sample(out, name, NONE, labels, NONE, bytes_view(digits, num_format_i64(digits, value)));
}

void metrics_decimal(struct bytes_buf *out, const char *name, struct bytes_view labels, uint64_t value,
                     unsigned decimals)
{
    char digits[NUMBER_MAX_CHARS];
    sample(out, name, NONE, labels, NONE, bytes_view(digits, format_decimal(digits, value, decimals)));
}

void metrics_verbatim(struct bytes_buf *out, const char *name, struct bytes_view labels, struct bytes_view number)
{
    sample(out, name, NONE, labels, NONE, number);
}

static char *put_escaped(char *at, unsigned char byte)
{
    static const char hex[] = "0123456789abcdef";
    if (byte == '"' || byte == '\\') *at++ = '\\';
    if (byte >= ' ' && byte <= '~') {
        *at++ = (char)byte;
        return at;
    }
    at = put(at, BYTES_LIT("\\\\x")); /* is read as one backslash */
    *at++ = hex[byte >> 4];
    *at++ = hex[byte & 15];
    return at;
}

void metrics_label(struct bytes_buf *labels, const char *name, struct bytes_view value)
{
    enum { ESCAPED_MAX = 5 };
    size_t name_len = strlen(name);
    bytes_buf_reserve(labels, name_len + value.len * ESCAPED_MAX + 5);
    char *at = labels->data + labels->len;
    if (labels->len > 0) *at++ = ',';
    at = put(at, bytes_view(name, name_len));
    at = put(at, BYTES_LIT("=\""));
    for (size_t i = 0; i < value.len; i++) at = put_escaped(at, (unsigned char)value.data[i]);
    *at++ = '"';
    labels->len = (size_t)(at - labels->data);
}

/* ---- Histograms ---- */

void metrics_limits_set(struct metrics_limits *limits, double ns_per_unit, unsigned first, unsigned last)
{
    if (limits->ns_per_unit == ns_per_unit && limits->first == first && limits->last == last) return;
    limits->ns_per_unit = ns_per_unit;
    limits->first = first;
    limits->last = last;
    unsigned at = first;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        double ns = (double)histogram_bucket_limit(i) * ns_per_unit;
        while (at <= last && ns > 1000.0 * (double)(UINT64_C(1) << at)) at++;
        /* The last bucket counts all larger values. */
        limits->at[i] = (uint8_t)(i == HISTOGRAM_BUCKETS - 1 ? last + 1 : at);
    }
}

static void bucket_line(struct bytes_buf *out, const char *name, struct bytes_view labels, struct bytes_view le,
                        uint64_t count)
{
    char digits[NUMBER_MAX_CHARS];
    sample(out, name, BYTES_LIT("_bucket"), labels, le, bytes_view(digits, num_format_u64(digits, count)));
}

void metrics_histogram(struct bytes_buf *out, const char *name, struct bytes_view labels,
                       const struct metrics_limits *limits, const uint64_t counts[HISTOGRAM_BUCKETS], uint64_t sum)
{
    char le[NUMBER_MAX_CHARS + sizeof("le=\"\"")] = "le=\"", digits[NUMBER_MAX_CHARS];
    uint64_t count = 0;
    unsigned bucket = 0;
    for (unsigned at = limits->first; at <= limits->last; at++) {
        for (; bucket < HISTOGRAM_BUCKETS && limits->at[bucket] <= at; bucket++) count += counts[bucket];
        size_t len = 4 + format_decimal(le + 4, UINT64_C(1) << at, MICROSECOND_DECIMALS);
        le[len++] = '"';
        bucket_line(out, name, labels, bytes_view(le, len), count);
    }
    for (; bucket < HISTOGRAM_BUCKETS; bucket++) count += counts[bucket];
    bucket_line(out, name, labels, BYTES_LIT("le=\"+Inf\""), count);
    uint64_t sum_ns = (uint64_t)((double)sum * limits->ns_per_unit);
    sample(out, name, BYTES_LIT("_sum"), labels, NONE,
           bytes_view(digits, format_decimal(digits, sum_ns, NANOSECOND_DECIMALS)));
    sample(out, name, BYTES_LIT("_count"), labels, NONE, bytes_view(digits, num_format_u64(digits, count)));
}
