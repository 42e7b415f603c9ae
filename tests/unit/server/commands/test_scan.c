/* Options of the SCAN family, the page of a reply, and when a scan stops. */
#include "server/commands/scan.h"

#include "tests/unit/server/commands/ctx_fixture.h"

static bool parse(struct fixture *f, const char *line, unsigned allowed, struct scan_options *o)
{
    struct by_hand h;
    by_hand_init(f, &h, line);
    bool good = scan_parse_options(&h.ctx, 1, allowed, o);
    by_hand_release(f, &h);
    return good;
}

static void test_options(void **state)
{
    struct fixture *f = *state;
    struct scan_options o;
    assert_true(parse(f, "scan", 0, &o));
    assert_int_equal(o.count, 10);
    assert_false(o.has_pattern);
    assert_true(parse(f, "scan COUNT 3 match x*", 0, &o));
    assert_int_equal(o.count, 3);
    assert_true(o.has_pattern);
    assert_true(parse(f, "scan match * count 1 count 2", 0, &o));
    assert_int_equal(o.count, 2);
    assert_false(o.has_pattern); /* "*" matches everything */
    assert_true(parse(f, "scan novalues type string", SCAN_OPTION_TYPE | SCAN_OPTION_NOVALUES, &o));
    assert_true(o.no_values && o.has_type);
    CHECK_ANSWER(f, "");
}

static void test_options_that_do_not_fit(void **state)
{
    static const char *const lines[] = {"scan count 0", "scan count -1",  "scan count",    "scan match",
                                        "scan what",    "scan type list", "scan novalues", "scan ''"};
    struct fixture *f = *state;
    struct scan_options o;
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        assert_false(parse(f, lines[i], 0, &o));
        CHECK_ANSWER(f, "-ERR syntax error");
    }
    assert_false(parse(f, "scan count x", 0, &o));
    CHECK_ANSWER(f, "-ERR value is not an integer or out of range");
}

static void test_matching(void **state)
{
    struct scan_options o = {.has_pattern = true, .pattern = BYTES_LIT("k?y*")};
    (void)state;
    assert_true(scan_matches(&o, BYTES_LIT("key1")));
    assert_false(scan_matches(&o, BYTES_LIT("KEY1")));
    assert_false(scan_matches(&o, BYTES_LIT("")));
    o.has_pattern = false;
    assert_true(scan_matches(&o, BYTES_LIT("")));
    assert_true(scan_type_matches(&o, TYPE_LIST));
    o.has_type = true;
    o.type = BYTES_LIT("LiSt");
    assert_true(scan_type_matches(&o, TYPE_LIST));
    assert_false(scan_type_matches(&o, TYPE_SET));
    o.type = BYTES_LIT("lists");
    assert_false(scan_type_matches(&o, TYPE_LIST));
}

static void test_pages(void **state)
{
    struct fixture *f = *state;
    struct scan_page page = {0};
    struct by_hand h;
    char item[16];
    scan_page_add(&page, BYTES_LIT("")); /* no byte is kept yet */
    assert_int_equal(scan_page_item(&page, 0).len, 0);
    for (int i = 1; i < 200; i++) {
        snprintf(item, sizeof(item), "item%d", i);
        scan_page_add(&page, i % 3 == 0 ? BYTES_LIT("") : bytes_str(item));
    }
    assert_int_equal(page.count, 200);
    assert_true(bytes_equal(scan_page_item(&page, 199), BYTES_LIT("item199")));
    assert_true(bytes_equal(scan_page_item(&page, 1), BYTES_LIT("item1")));
    assert_int_equal(scan_page_item(&page, 3).len, 0);
    scan_page_release(&page);
    page = (struct scan_page){0};
    by_hand_init(f, &h, "scan 0");
    scan_page_add(&page, BYTES_LIT("a"));
    scan_page_add(&page, BYTES_LIT(""));
    scan_page_reply(&h.ctx, &page, UINT64_MAX);
    CHECK_ANSWER(f, "[18446744073709551615 [a '']]");
    by_hand_release(f, &h);
}

static void test_when_a_scan_stops(void **state)
{
    struct scan_options o = {.count = 5};
    struct scan_page page = {0};
    size_t steps = 0;
    (void)state;
    assert_false(scan_continues(&o, &page, 0)); /* the last position */
    assert_true(scan_continues(&o, &page, 1));
    page.visited = 4;
    assert_true(scan_continues(&o, &page, 1));
    page.visited = 5;
    assert_false(scan_continues(&o, &page, 1));
    page = (struct scan_page){0};
    while (scan_continues(&o, &page, 1)) steps++; /* positions without an element end it too */
    assert_in_range(steps, 5, 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_options), TEST(test_options_that_do_not_fit), TEST(test_matching),
        TEST(test_pages),   TEST(test_when_a_scan_stops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
