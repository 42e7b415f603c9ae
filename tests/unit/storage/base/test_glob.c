#include "storage/base/glob.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <cmocka.h>

#include "storage/base/memory.h"
#include "storage/base/sys.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

struct example {
    const char *pattern, *text;
    bool matches;
};

static void check_examples(const struct example *examples, size_t count, bool nocase)
{
    for (size_t i = 0; i < count; i++) {
        bool got = glob_match(bytes_str(examples[i].pattern), bytes_str(examples[i].text), nocase);
        if (got != examples[i].matches) fail_msg("[%s] on [%s]: %d", examples[i].pattern, examples[i].text, got);
    }
}

static void test_ordinary_patterns(void **state)
{
    static const struct example examples[] = {
        {"", "", true},
        {"", "a", false},
        {"a", "", false},
        {"abc", "abc", true},
        {"abc", "abcd", false},
        {"abcd", "abc", false},
        {"*", "", false},
        {"**", "", false},
        {"*", "anything", true},
        {"a***", "a", true},
        {"a*c", "abbbc", true},
        {"a*c", "abbb", false},
        {"*a*b*", "xxaxxbxx", true},
        {"*a*b*", "xxbxxaxx", false},
        {"*.txt", "a.txt.txt", true},
        {"h?llo", "hello", true},
        {"h?llo", "hllo", false},
        {"?", "", false},
        {"h[ae]llo", "hallo", true},
        {"h[ae]llo", "hillo", false},
        {"h[^e]llo", "hallo", true},
        {"h[^e]llo", "hello", false},
        {"[a-c]*[0-9]", "b--7", true},
        {"[c-a]", "b", true},
        {"\\*", "*", true},
        {"\\*", "a", false},
        {"\\a", "a", true},
        {"*\\*", "ab*", true},
        {"*\\*", "ab", false},
        {"Abc", "abc", false},
    };
    check_examples(examples, COUNT(examples), false);
}

/* Compared with KEYS of redis-server 7.0.15. */
static void test_odd_patterns_are_read_as_redis_reads_them(void **state)
{
    static const struct example examples[] = {
        {"[", "[", false},       {"[a", "a", true},       {"[a", "[", false},       {"a[", "a", false},
        {"a[", "ax", false},     {"a[", "a[", false},     {"[^", "x", true},        {"[^a", "b", true},
        {"[^a", "a", false},     {"[]", "]", false},      {"[]a", "a", false},      {"[]a", "]a", false},
        {"[\\", "x", false},     {"[\\", "\\", true},     {"[\\]]", "]", true},     {"[a-", "a", true},
        {"[a-", "-", true},      {"[a-]", "]", true},     {"[a-]", "b", false},     {"[a-]]", "b", false},
        {"[z-a]", "m", true},    {"\\", "\\", true},      {"a\\", "a\\", true},     {"[^]", "a", true},
        {"[^]a", "b", false},    {"[^]]", "]", false},    {"[^]", "", false},       {"[!a]", "b", false},
        {"[\\a-z]", "c", false}, {"[a-\\]]", "]", false}, {"[--0]", ".", true},     {"[a-c-e]", "d", false},
        {"[a-c-e]", "-", true},  {"[a\\-c]", "b", false}, {"[a\\-c]", "-", true},   {"[a-zA", "A", true},
        {"[a-zA", "B", false},   {"*\\", "a\\", true},    {"[a-\xff]", "z", false}, {"[a-\xff]", "\xff", true},
        {"[\x80-a]", "Z", true},
    };
    check_examples(examples, COUNT(examples), false);
}

/* Compared with CONFIG GET of redis-server 7.0.15. */
static void test_nocase(void **state)
{
    static const struct example examples[] = {
        {"ABC", "abc", true},     {"abc", "ABC", true},         {"a[BX]c", "abc", true}, {"a[A-Z]c", "abc", true},
        {"a[^B]c", "abc", false}, {"\\ABC", "abc", true},       {"[\\A]", "a", false},   {"[Z-a]", "m", false},
        {"[0-z]", "m", true},     {"*MEM*", "maxmemory", true}, {"[", "[", false},       {"{", "[", false},
    };
    check_examples(examples, COUNT(examples), true);
}

static void test_zero_bytes_are_ordinary(void **state)
{
    assert_true(glob_match(bytes_view("a\0*", 3), bytes_view("a\0b", 3), false));
    assert_false(glob_match(bytes_view("a\0*", 3), bytes_view("a", 1), false));
    assert_true(glob_match(bytes_view("[\0]", 3), bytes_view("\0", 1), false));
    assert_false(glob_match(bytes_view("*", 1), bytes_view(NULL, 0), false));
    assert_true(glob_match(bytes_view(NULL, 0), bytes_view(NULL, 0), false));
}

/* The definition, word for word: exponential, but short and obviously right. */
static bool reference(const char *p, const char *s)
{
    if (*p == '\0') return *s == '\0';
    if (*p == '*') return reference(p + 1, s) || (*s != '\0' && reference(p, s + 1));
    if (*s == '\0') return false;
    if (*p != '[') return (*p == '?' || *p == *s) && reference(p + 1, s + 1);
    bool negated = p[1] == '^', found = false;
    for (p += 1 + negated; *p != ']'; p++) found |= *p == *s;
    return found != negated && reference(p + 1, s + 1);
}

static void test_random_patterns_follow_the_definition(void **state)
{
    static const char *const pieces[] = {"a", "b", "*", "*", "?", "[ab]", "[^a]", "[b]"};
    struct rng rng;
    rng_seed(&rng, 7);
    size_t matches = 0;
    for (int i = 0; i < 200000; i++) {
        char pattern[64] = "", text[16] = "";
        for (uint64_t n = rng_below(&rng, 8); n > 0; n--) strcat(pattern, pieces[rng_below(&rng, COUNT(pieces))]);
        for (uint64_t n = rng_below(&rng, 10); n > 0; n--) strcat(text, rng_below(&rng, 2) ? "a" : "b");
        bool expected =
            text[0] == '\0' ? pattern[0] == '\0' : reference(pattern, text); /* a star takes no character by itself */
        if (glob_match(bytes_str(pattern), bytes_str(text), false) != expected) fail_msg("[%s] on [%s]", pattern, text);
        matches += expected;
    }
    assert_in_range(matches, 10000, 190000);
}

/* Work for these grew exponentially, or as deep as the pattern is long. */
static void test_CVE_2022_36021_CVE_2024_31228_hostile_patterns_end_soon(void **state)
{
    enum { PATTERN = 20001, TEXT = 20000 };
    char *pattern = mem_alloc(PATTERN), *text = mem_alloc(TEXT);
    memset(text, 'a', TEXT);
    static const char *const units[] = {"*a", "*", "*?", "*[a]", "a*"};
    clock_t start = clock();
    for (size_t u = 0; u < COUNT(units); u++) {
        size_t unit = strlen(units[u]);
        for (size_t i = 0; i < PATTERN; i++) pattern[i] = units[u][i % unit];
        pattern[PATTERN - 1] = 'b';
        assert_false(glob_match(bytes_view(pattern, PATTERN), bytes_view(text, TEXT), false));
        pattern[0] = 'b';
        assert_false(glob_match(bytes_view(pattern, PATTERN), bytes_view(text, TEXT), true));
    }
    memset(pattern, '*', PATTERN);
    assert_true(glob_match(bytes_view(pattern, PATTERN), bytes_view(text, TEXT), false));
    memset(pattern, '[', PATTERN); /* one class, never closed, looked at for each byte of the text */
    pattern[0] = '*';
    assert_false(glob_match(bytes_view(pattern, PATTERN), bytes_view(text, TEXT), false));
    assert_true(clock() - start < 30 * CLOCKS_PER_SEC); /* a loose bound: exponential work would outlast the machine */
    mem_free(pattern);
    mem_free(text);
}

/* Redis gives up there; we do so too, to answer the same. */
static void test_CVE_2024_31228_number_of_stars_is_limited(void **state)
{
    char pattern[2 * (GLOB_STARS_MAX + 2)], text[GLOB_STARS_MAX + 2];
    memset(text, 'a', sizeof(text));
    for (size_t i = 0; i < sizeof(pattern); i++) pattern[i] = "*?"[i % 2];
    assert_true(glob_match(bytes_view(pattern, 2 * GLOB_STARS_MAX), bytes_view(text, sizeof(text)), false));
    assert_true(glob_match(bytes_view(pattern, 2 * GLOB_STARS_MAX + 1), bytes_view(text, sizeof(text)), false));
    assert_false(glob_match(bytes_view(pattern, sizeof(pattern)), bytes_view(text, sizeof(text)), false));
}

static void test_is_literal(void **state)
{
    assert_true(glob_is_literal(BYTES_LIT("")));
    assert_true(glob_is_literal(BYTES_LIT("maxmemory-policy]^")));
    static const char *const special[] = {"*", "a?", "[a]", "a\\b", "a["};
    for (size_t i = 0; i < COUNT(special); i++) assert_false(glob_is_literal(bytes_str(special[i])));
    assert_true(glob_is_literal(bytes_view("a\0b", 3)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ordinary_patterns),
        cmocka_unit_test(test_odd_patterns_are_read_as_redis_reads_them),
        cmocka_unit_test(test_nocase),
        cmocka_unit_test(test_zero_bytes_are_ordinary),
        cmocka_unit_test(test_random_patterns_follow_the_definition),
        cmocka_unit_test(test_CVE_2022_36021_CVE_2024_31228_hostile_patterns_end_soon),
        cmocka_unit_test(test_CVE_2024_31228_number_of_stars_is_limited),
        cmocka_unit_test(test_is_literal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
