#include "storage/base/num.h"

#include <inttypes.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "storage/base/sys.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void test_parse_i64_accepts_only_the_canonical_spelling(void **state)
{
    static const struct {
        const char *text;
        int64_t value;
    } good[] = {
        {"0", 0},
        {"7", 7},
        {"-1", -1},
        {"10", 10},
        {"1234567890", 1234567890},
        {"999999999999999999", 999999999999999999},
        {"9223372036854775807", INT64_MAX},
        {"-9223372036854775807", INT64_MIN + 1},
        {"-9223372036854775808", INT64_MIN},
    };
    static const char *bad[] = {"",
                                "-",
                                "+1",
                                "-0",
                                "01",
                                "-01",
                                "00",
                                " 1",
                                "1 ",
                                "1.0",
                                "1e3",
                                "0x1",
                                "a",
                                "1a",
                                "--1",
                                "-+1",
                                "1\n",
                                "/",
                                ":",
                                "-/",
                                "9223372036854775808",
                                "-9223372036854775809",
                                "18446744073709551616",
                                "99999999999999999999",
                                "000000000000000000001",
                                "-99999999999999999999",
                                "100000000000000000000"};
    for (size_t i = 0; i < COUNT(good); i++) {
        int64_t got = 42;
        assert_true(num_parse_i64(bytes_str(good[i].text), &got));
        assert_int_equal(got, good[i].value);
    }
    for (size_t i = 0; i < COUNT(bad); i++) {
        int64_t got = 42;
        assert_false(num_parse_i64(bytes_str(bad[i]), &got));
        assert_int_equal(got, 42);
    }
    int64_t got;
    assert_false(num_parse_i64(bytes_view("1\0", 2), &got));
}

static void test_parse_u64_limits(void **state)
{
    uint64_t got = 42;
    assert_true(num_parse_u64(BYTES_LIT("18446744073709551615"), &got) && got == UINT64_MAX);
    assert_true(num_parse_u64(BYTES_LIT("0"), &got) && got == 0);
    got = 42;
    static const char *bad[] = {"",
                                "-1",
                                "18446744073709551616",
                                "18446744073709551620",
                                "28446744073709551615",
                                "99999999999999999999",
                                "1844674407370955161a",
                                "01"};
    for (size_t i = 0; i < COUNT(bad); i++) assert_false(num_parse_u64(bytes_str(bad[i]), &got));
    assert_int_equal(got, 42);
}

static uint64_t random_of_any_size(struct rng *rng)
{
    return rng_next(rng) >> rng_below(rng, 64);
}

static void test_integers_survive_a_round_trip(void **state)
{
    struct rng rng;
    rng_seed(&rng, 1);
    for (int i = 0; i < 200000; i++) {
        int64_t value = (int64_t)random_of_any_size(&rng), back;
        if (i & 1) value = (int64_t)(0 - (uint64_t)value);
        char buf[NUM_I64_MAX_CHARS], expected[32];
        size_t len = num_format_i64(buf, value);
        assert_int_equal(len, snprintf(expected, sizeof(expected), "%" PRId64, value));
        assert_memory_equal(buf, expected, len);
        assert_int_equal(num_i64_length(value), len);
        assert_true(num_parse_i64(bytes_view(buf, len), &back));
        assert_int_equal(back, value);

        uint64_t natural = random_of_any_size(&rng), natural_back;
        len = num_format_u64(buf, natural);
        assert_int_equal(len, snprintf(expected, sizeof(expected), "%" PRIu64, natural));
        assert_memory_equal(buf, expected, len);
        assert_true(num_parse_u64(bytes_view(buf, len), &natural_back));
        assert_true(natural_back == natural);
    }
}

static void test_integer_formatting_at_every_length(void **state)
{
    uint64_t power = 1;
    for (size_t digits = 1; digits <= 20; digits++, power *= 10) {
        char buf[NUM_U64_MAX_CHARS];
        assert_int_equal(num_format_u64(buf, power), digits);
        if (digits > 1) assert_int_equal(num_format_u64(buf, power - 1), digits - 1);
    }
    char buf[NUM_I64_MAX_CHARS];
    assert_int_equal(num_format_i64(buf, INT64_MIN), 20);
    assert_memory_equal(buf, "-9223372036854775808", 20);
}

static void test_parse_cursor_reads_what_strtoul_does(void **state)
{
    static const struct {
        const char *text;
        uint64_t value;
    } good[] = {{"0", 0},
                {"", 0},
                {"00", 0},
                {"-0", 0},
                {"+1", 1},
                {"0007", 7},
                {"-1", UINT64_MAX},
                {"18446744073709551615", UINT64_MAX},
                {"-18446744073709551615", 1}};
    static const char *bad[] = {" 1",
                                "\t1",
                                "1 ",
                                "-",
                                "+",
                                "- 1",
                                "--1",
                                "+-1",
                                "1x",
                                "x",
                                "0x10",
                                "1.0",
                                "18446744073709551616",
                                "-18446744073709551616",
                                "99999999999999999999999"};
    uint64_t got = 42;
    for (size_t i = 0; i < COUNT(good); i++) {
        got = 42;
        assert_true(num_parse_cursor(bytes_str(good[i].text), &got));
        assert_true(got == good[i].value);
    }
    got = 42;
    for (size_t i = 0; i < COUNT(bad); i++) assert_false(num_parse_cursor(bytes_str(bad[i]), &got));
    assert_true(got == 42);
    assert_true(num_parse_cursor(bytes_view("9\0x", 3), &got) && got == 9);
    char zeros[1000];
    memset(zeros, '0', sizeof(zeros));
    assert_true(num_parse_cursor(bytes_view(zeros, sizeof(zeros)), &got) && got == 0);
}

static void test_parse_bound_reads_what_strtod_does(void **state)
{
    static const struct {
        const char *text;
        double value;
    } good[] = {{"", 0},
                {"1", 1},
                {" 1", 1},
                {"\n-2.5", -2.5},
                {"+3", 3},
                {"1e400", INFINITY},
                {"-1e400", -INFINITY},
                {"1e-400", 0},
                {"-Infinity", -INFINITY},
                {"inf", INFINITY},
                {"0x10", 16},
                {"4.9e-324", 4.9e-324}};
    static const char *bad[] = {"nan", "-nan", "nan(1)", "1 ", " ", "x", "1x", "(", "+", ".", "1e", "inf2"};
    double got;
    for (size_t i = 0; i < COUNT(good); i++) {
        got = 42;
        assert_true(num_parse_bound(bytes_str(good[i].text), &got));
        assert_true(got == good[i].value);
    }
    got = 42;
    for (size_t i = 0; i < COUNT(bad); i++) assert_false(num_parse_bound(bytes_str(bad[i]), &got));
    assert_true(got == 42);
    assert_true(num_parse_bound(bytes_view("7\0x", 3), &got) && got == 7);
}

static void test_parse_double(void **state)
{
    static const struct {
        const char *text;
        double value;
    } good[] = {
        {"3", 3},
        {"-3.25", -3.25},
        {"+5", 5},
        {".5", .5},
        {"5.", 5},
        {"1e5", 1e5},
        {"0x10", 16},
        {"0x1p4", 16},
        {"-0", -0.0},
        {"inf", INFINITY},
        {"+inf", INFINITY},
        {"-inf", -INFINITY},
        {"Infinity", INFINITY},
        {"-INFINITY", -INFINITY},
        {"4.9e-324", 4.9e-324},
        {"1e-320", 1e-320},
        {"0.1", 0.1},
        {"123456789012345", 123456789012345.},
        {"-0.000000000000001", -1e-15},
        {"1.7976931348623157e308", 1.7976931348623157e308},
        {"00012.50", 12.5},
        {"0.30000000000000004", 0.30000000000000004},
    };
    static const char *bad[] = {"",       " 1",   "1 ", "\t1", "nan", "-nan", "nan(1)", "1e",  "0x", "1e400", "-1e400",
                                "1e-400", "1..2", ".",  "-",   "-.",  "+",    "--1",    "abc", "1a", "1,5",   "infx"};
    for (size_t i = 0; i < COUNT(good); i++) {
        double got = 42;
        assert_true(num_parse_double(bytes_str(good[i].text), &got));
        assert_memory_equal(&got, &good[i].value, sizeof(got));
    }
    for (size_t i = 0; i < COUNT(bad); i++) {
        double got = 42;
        assert_false(num_parse_double(bytes_str(bad[i]), &got));
        assert_true(got == 42);
    }
    double got;
    assert_false(num_parse_double(bytes_view("1\0", 2), &got));
    assert_false(num_parse_double(bytes_view("12345678901234567890\0", 21), &got));
}

static void test_parse_double_takes_long_texts_whole(void **state)
{
    char text[5000];
    memset(text, '0', sizeof(text));
    memcpy(text, "0.", 2);
    text[sizeof(text) - 1] = '1'; /* underflows to zero */
    double got;
    long double got_long;
    assert_false(num_parse_double(bytes_view(text, sizeof(text)), &got));
    text[10] = '5';
    assert_true(num_parse_double(bytes_view(text, sizeof(text)), &got));
    assert_true(got == 5e-9);
    assert_true(num_parse_long_double(bytes_view(text, sizeof(text)), &got_long));
    assert_true(got_long == 5e-9L);
    text[sizeof(text) - 1] = ' ';
    assert_false(num_parse_double(bytes_view(text, sizeof(text)), &got));
}

static void test_short_decimals_parse_as_strtod_does(void **state)
{
    struct rng rng;
    rng_seed(&rng, 2);
    for (int i = 0; i < 200000; i++) {
        char text[64];
        snprintf(text, sizeof(text), "%s%.*f", i & 1 ? "-" : "", (int)rng_below(&rng, 12),
                 (double)(random_of_any_size(&rng) >> 11) / 1e9);
        double got, expected = strtod(text, NULL);
        assert_true(num_parse_double(bytes_str(text), &got));
        assert_memory_equal(&got, &expected, sizeof(got));
    }
}

static void assert_formats(size_t (*format)(char *, double), double value, const char *expected)
{
    char buf[NUM_DOUBLE_MAX_CHARS + 1];
    size_t len = format(buf, value);
    assert_true(len <= NUM_DOUBLE_MAX_CHARS);
    buf[len] = '\0';
    assert_string_equal(buf, expected);
}

static void test_format_double_as_scores_are_printed(void **state)
{
    static const struct {
        double value;
        const char *text;
    } cases[] = {
        {3, "3"},
        {-3, "-3"},
        {0, "0"},
        {-0.0, "-0"},
        {INFINITY, "inf"},
        {-INFINITY, "-inf"},
        {NAN, "nan"},
        {0.1, "0.1"},
        {3.14159, "3.14159"},
        {-1.5, "-1.5"},
        {0.30000000000000004, "0.30000000000000004"},
        {1e17, "100000000000000000"},
        {1e18, "1000000000000000000"},
        {1e19, "1e+19"},
        {1e20, "1e+20"},
        {-1e20, "-1e+20"},
        {1.2345678901234568e18, "1234567890123456768"},
        {1.2345678901234568e20, "123456789012345680000"},
        {1.5e300, "1.5e+300"},
        {1e100, "1e+100"},
        {1.7976931348623157e308, "1.7976931348623157e+308"},
        {0.000001, "0.000001"},
        {1e-7, "1e-7"},
        {1.5e-7, "1.5e-7"},
        {0.00012345678, "1.2345678e-4"},
        {0.0012345678, "0.0012345678"},
        {4.9406564584124654e-324, "5e-324"},
        {2.2250738585072014e-308, "2.2250738585072014e-308"},
        {9007199254740993.0, "9007199254740992"},
        {5e-5, "0.00005"},
        {123.456789012345, "123.456789012345"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) assert_formats(num_format_double, cases[i].value, cases[i].text);
}

static void test_format_double17(void **state)
{
    static const double values[] = {3,   -3,         0,    -0.0, 0.1, 1e15, 1e16, 1e17, 1e18, 123456789012345678,
                                    1.5, -2.25e-300, 1e-5, 1e-4};
    for (size_t i = 0; i < COUNT(values); i++) {
        char expected[64];
        snprintf(expected, sizeof(expected), "%.17g", values[i]);
        assert_formats(num_format_double17, values[i], expected);
    }
    assert_formats(num_format_double17, INFINITY, "inf");
    assert_formats(num_format_double17, -INFINITY, "-inf");
}

static int significant_digits(const char *text, size_t len)
{
    char digits[NUM_DOUBLE_MAX_CHARS];
    int count = 0, trimmed;
    for (size_t i = 0; i < len && text[i] != 'e'; i++)
        if (text[i] >= '0' && text[i] <= '9' && (count > 0 || text[i] != '0')) digits[count++] = text[i];
    for (trimmed = count; trimmed > 0 && digits[trimmed - 1] == '0'; trimmed--) {
    }
    return trimmed;
}

/* The digits of the nearest decimal of `precision` digits, when these read back as the same double. */
static bool reads_back_with(double value, int precision)
{
    char text[64];
    snprintf(text, sizeof(text), "%.*e", precision - 1, value);
    return strtod(text, NULL) == value;
}

static void check_shortest(double value)
{
    char buf[NUM_DOUBLE_MAX_CHARS + 1];
    size_t len = num_format_double(buf, value);
    assert_true(len <= NUM_DOUBLE_MAX_CHARS);
    buf[len] = '\0';
    assert_true(strtod(buf, NULL) == value);
    if (value == trunc(value) && fabs(value) <= (double)(INT64_MAX / 2)) return; /* printed in full */
    int digits = significant_digits(buf, len);
    assert_true(digits >= 1 && digits <= 17);
    if (digits > 1) assert_false(reads_back_with(value, digits - 1));
}

static void test_format_double_is_shortest_and_reads_back(void **state)
{
    struct rng rng;
    rng_seed(&rng, 3);
    for (int i = 0; i < 300000; i++) {
        uint64_t bits = rng_next(&rng);
        double value;
        memcpy(&value, &bits, sizeof(value));
        if (isfinite(value)) check_shortest(value);
        check_shortest((double)random_of_any_size(&rng) / (double)(1 + rng_below(&rng, 1000)));
    }
    for (int exponent = -1074; exponent <= 1023; exponent++) { /* where the interval below is half as wide */
        check_shortest(ldexp(1, exponent));
        check_shortest(nextafter(ldexp(1, exponent), 0));
        check_shortest(nextafter(ldexp(1, exponent), INFINITY));
    }
}

static void test_format_long_double_human(void **state)
{
    static const struct {
        const char *in, *out;
    } cases[] = {{"3", "3"},
                 {"10.50", "10.5"},
                 {"-0", "0"},
                 {"5.0e3", "5000"},
                 {"0.1", "0.1"},
                 {"100", "100"},
                 {"-1.25", "-1.25"},
                 {"1e-20", "0"},
                 {"-1e-20", "0"},
                 {"inf", "inf"},
                 {"-inf", "-inf"},
                 {"3.0000000000000001", "3.0000000000000001"},
                 {"123456789.123456789", "123456789.12345678899873747"}};
    static char buf[NUM_LONG_DOUBLE_MAX_CHARS];
    for (size_t i = 0; i < COUNT(cases); i++) {
        long double value;
        assert_true(num_parse_long_double(bytes_str(cases[i].in), &value));
        size_t len = num_format_long_double_human(buf, value);
        assert_int_equal(len, strlen(cases[i].out));
        assert_memory_equal(buf, cases[i].out, len);
    }
    long double big;
    assert_true(num_parse_long_double(BYTES_LIT("1e4932"), &big));
    assert_int_equal(num_format_long_double_human(buf, big), 4933);
}

static void test_parse_long_double_refuses(void **state)
{
    static const char *bad[] = {"", " 1", "1 ", "nan", "1e5000", "1e-5000", "1x", "0x"};
    long double got = 42;
    for (size_t i = 0; i < COUNT(bad); i++) assert_false(num_parse_long_double(bytes_str(bad[i]), &got));
    assert_true(got == 42);
    static char text[NUM_LONG_DOUBLE_MAX_CHARS];
    memset(text, '1', sizeof(text));
    assert_false(num_parse_long_double(bytes_view(text, sizeof(text)), &got));
}

static void test_parse_memory(void **state)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } good[] = {{"0", 0},          {"100", 100},       {"00100", 100},    {"10b", 10},
                {"1k", 1000},      {"1kb", 1024},      {"1KB", 1024},     {"5m", 5000000},
                {"5Mb", 5u << 20}, {"2g", 2000000000}, {"1gB", 1u << 30}, {"18446744073709551615", UINT64_MAX}};
    static const char *bad[] = {"",
                                "kb",
                                "-1",
                                "+1",
                                " 1",
                                "1 ",
                                "1 kb",
                                "1.5mb",
                                "1tb",
                                "100mbx",
                                "18446744073709551616",
                                "20000000000gb",
                                "99999999999999999999999"};
    for (size_t i = 0; i < COUNT(good); i++) {
        uint64_t got = 42;
        assert_true(num_parse_memory(bytes_str(good[i].text), &got));
        assert_true(got == good[i].bytes);
    }
    uint64_t got = 42;
    for (size_t i = 0; i < COUNT(bad); i++) assert_false(num_parse_memory(bytes_str(bad[i]), &got));
    assert_int_equal(got, 42);
}

static void test_format_memory_human(void **state)
{
    static const struct {
        uint64_t bytes;
        const char *text;
    } cases[] = {{0, "0B"},
                 {1023, "1023B"},
                 {1024, "1.00K"},
                 {1572864, "1.50M"},
                 {(1u << 20) - 1, "1024.00K"},
                 {5368709120, "5.00G"},
                 {1ull << 40, "1.00T"},
                 {3ull << 50, "3.00P"},
                 {UINT64_MAX, "16384.00P"}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        char buf[NUM_MEMORY_MAX_CHARS];
        size_t len = num_format_memory_human(buf, cases[i].bytes);
        assert_int_equal(len, strlen(cases[i].text));
        assert_memory_equal(buf, cases[i].text, len);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse_i64_accepts_only_the_canonical_spelling),
        cmocka_unit_test(test_parse_u64_limits),
        cmocka_unit_test(test_integers_survive_a_round_trip),
        cmocka_unit_test(test_integer_formatting_at_every_length),
        cmocka_unit_test(test_parse_cursor_reads_what_strtoul_does),
        cmocka_unit_test(test_parse_bound_reads_what_strtod_does),
        cmocka_unit_test(test_parse_double),
        cmocka_unit_test(test_parse_double_takes_long_texts_whole),
        cmocka_unit_test(test_short_decimals_parse_as_strtod_does),
        cmocka_unit_test(test_format_double_as_scores_are_printed),
        cmocka_unit_test(test_format_double17),
        cmocka_unit_test(test_format_double_is_shortest_and_reads_back),
        cmocka_unit_test(test_format_long_double_human),
        cmocka_unit_test(test_parse_long_double_refuses),
        cmocka_unit_test(test_parse_memory),
        cmocka_unit_test(test_format_memory_human),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
