/* Ranges of addresses: what is parsed, how it is printed, which addresses are inside. */
#include "server/net/ip_range.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static struct ip_range parsed(const char *text)
{
    struct ip_range r;
    if (ip_range_parse(text, &r) != 0) fail_msg("%s", text);
    return r;
}

static void test_printed_as_written(void **state)
{
    static const struct {
        const char *written, *printed;
    } cases[] = {
        {"127.0.0.1", NULL},
        {"127.0.0.1/32", "127.0.0.1"},
        {"10.0.0.0/8", NULL},
        {"10.1.2.3/8", "10.0.0.0/8"},
        {"10.255.255.255/9", "10.128.0.0/9"},
        {"0.0.0.0/0", NULL},
        {"::1", NULL},
        {"::1/128", "::1"},
        {"::/0", NULL},
        {"2001:db8::/33", NULL},
        {"2001:DB8:FFFF::1/33", "2001:db8:8000::/33"},
        {"::ffff:10.0.0.1", "10.0.0.1"}, /* the same address */
        {"::ffff:10.0.0.0/104", "10.0.0.0/8"},
        {"::ffff:0:0/95", "::fffe:0:0/95"},
    };
    char text[IP_RANGE_TEXT_MAX];
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct ip_range r = parsed(cases[i].written);
        ip_range_print(&r, text);
        assert_string_equal(text, cases[i].printed != NULL ? cases[i].printed : cases[i].written);
        struct ip_range again = parsed(text); /* CONFIG GET's text is one that CONFIG SET takes */
        assert_memory_equal(&again, &r, sizeof(r));
    }
}

static void test_what_is_no_range(void **state)
{
    static const char *const texts[] = {
        "",
        "/",
        "/8",
        "10.0.0.0/",
        "10.0.0.0/33",
        "10.0.0.0/-1",
        "10.0.0.0/08",
        "::/129",
        "10.0.0",
        "10.0.0.0.0",
        "localhost",
        "::1%lo",
        "10.0.0.0/8 ",
        " 10.0.0.0",
        "10.0.0.0/8/8",
        "256.0.0.1",
        "1.2.3.4/x",
        "[::1]",
        "0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0001",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct ip_range r = {{7}, 7}, before = r;
        assert_int_equal(ip_range_parse(texts[i], &r), -EINVAL);
        assert_memory_equal(&r, &before, sizeof(r));
    }
}

static void test_inside_and_outside(void **state)
{
    static const struct {
        const char *range, *inside[3], *outside[3];
    } cases[] = {
        {"10.0.0.0/8", {"10.0.0.0", "10.255.255.255", "::ffff:10.1.2.3"}, {"9.255.255.255", "11.0.0.0", "::10.0.0.0"}},
        {"192.0.2.128/25", {"192.0.2.128", "192.0.2.255"}, {"192.0.2.127", "192.0.3.128"}},
        {"127.0.0.1", {"127.0.0.1"}, {"127.0.0.0", "127.0.0.2", "::1"}},
        {"0.0.0.0/0", {"0.0.0.0", "255.255.255.255"}, {"::", "2001:db8::1"}},
        {"::/0", {"::", "ffff::", "10.0.0.1"}, {"no address", "", "?"}},
        {"2001:db8::/33", {"2001:db8::", "2001:db8:7fff::"}, {"2001:db8:8000::", "2001:db9::"}},
        {"::1", {"::1"}, {"::2", "::", "127.0.0.1"}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct ip_range r = parsed(cases[i].range);
        for (int j = 0; j < 3 && cases[i].inside[j] != NULL; j++)
            if (!ip_range_any_has(&r, 1, cases[i].inside[j]))
                fail_msg("%s not in %s", cases[i].inside[j], cases[i].range);
        for (int j = 0; j < 3 && cases[i].outside[j] != NULL; j++)
            if (ip_range_any_has(&r, 1, cases[i].outside[j])) fail_msg("%s in %s", cases[i].outside[j], cases[i].range);
    }
}

static void test_any_of_several(void **state)
{
    struct ip_range ranges[] = {parsed("10.0.0.0/8"), parsed("::1")};
    (void)state;
    assert_true(ip_range_any_has(ranges, 2, "10.2.3.4"));
    assert_true(ip_range_any_has(ranges, 2, "::1"));
    assert_false(ip_range_any_has(ranges, 1, "::1"));
    assert_false(ip_range_any_has(ranges, 0, "10.2.3.4"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_printed_as_written),
        cmocka_unit_test(test_what_is_no_range),
        cmocka_unit_test(test_inside_and_outside),
        cmocka_unit_test(test_any_of_several),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
