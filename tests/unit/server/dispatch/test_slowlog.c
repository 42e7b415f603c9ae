/* Which commands the slow log keeps, how many, and how their arguments are shown. */
#include "server/dispatch/slowlog.h"

#include "tests/unit/server/dispatch/dispatch_fixture.h"

static const struct command plain = {.name = "get"};

static bool hides_the_second(const struct config *config, int argc, const struct bytes_view *argv, int arg)
{
    (void)config;
    (void)argc;
    (void)argv;
    return arg == 1;
}
static const struct command secret = {.name = "auth", .hides = hides_the_second};

static void note(struct dispatch_fixture *f, const struct command *cmd, int argc, const struct bytes_view *argv,
                 int64_t us)
{
    slowlog_note(f->slowlog, f->a, cmd, argc, argv, us);
}

static void note_us(struct dispatch_fixture *f, int64_t us)
{
    struct bytes_view argv[] = {BYTES_LIT("get"), BYTES_LIT("k")};
    note(f, &plain, 2, argv, us);
}

static void assert_arg(const struct slowlog_entry *e, int arg, const char *wanted)
{
    assert_true(arg < e->argc);
    assert_int_equal(e->argv[arg].len, strlen(wanted));
    assert_memory_equal(e->argv[arg].data, wanted, strlen(wanted));
}

static void test_the_threshold(void **state)
{
    struct dispatch_fixture *f = *state;
    struct settings_latency *st = &f->base->settings.latency;
    st->slowlog_log_slower_than_us = 100;
    note_us(f, 99);
    assert_int_equal(f->slowlog->count, 0);
    note_us(f, 100);
    assert_int_equal(f->slowlog->count, 1);
    st->slowlog_log_slower_than_us = -1;
    note_us(f, INT64_MAX);
    assert_int_equal(f->slowlog->count, 1);
    st->slowlog_log_slower_than_us = 0;
    note_us(f, 0);
    assert_int_equal(f->slowlog->count, 2);
}

static void test_what_an_entry_says(void **state)
{
    struct dispatch_fixture *f = *state;
    f->base->settings.latency.slowlog_log_slower_than_us = 0;
    snprintf(f->a->peer, sizeof(f->a->peer), "1.2.3.4:5");
    assert_true(client_set_name(f->a, BYTES_LIT("me")));
    core_later_ms(f->base, 3000);
    note_us(f, 77);
    const struct slowlog_entry *e = f->slowlog->newest;
    assert_int_equal(e->id, 0);
    assert_int_equal(e->time_s, CORE_START_S + 3);
    assert_int_equal(e->us, 77);
    assert_string_equal(e->peer, "1.2.3.4:5");
    assert_string_equal(e->client_name, "me");
    assert_int_equal(e->argc, 2);
    assert_arg(e, 0, "get");
    assert_arg(e, 1, "k");
    assert_true(client_set_name(f->a, BYTES_LIT("")));
    note_us(f, 78);
    assert_string_equal(f->slowlog->newest->client_name, "");
    assert_string_equal(e->client_name, "me"); /* a copy */
    assert_ptr_equal(f->slowlog->newest->older, e);
    assert_ptr_equal(e->newer, f->slowlog->newest);
}

static void test_the_oldest_goes(void **state)
{
    struct dispatch_fixture *f = *state;
    f->base->settings.latency.slowlog_log_slower_than_us = 0;
    f->base->settings.latency.slowlog_max_len = 3;
    for (int i = 0; i < 10; i++) note_us(f, i);
    assert_int_equal(f->slowlog->count, 3);
    assert_int_equal(f->slowlog->newest->id, 9);
    assert_int_equal(f->slowlog->oldest->id, 7);
    assert_null(f->slowlog->oldest->older);
    f->base->settings.latency.slowlog_max_len = 1; /* counts from the next entry on */
    assert_int_equal(f->slowlog->count, 3);
    note_us(f, 10);
    assert_int_equal(f->slowlog->count, 1);
    assert_ptr_equal(f->slowlog->newest, f->slowlog->oldest);
    f->base->settings.latency.slowlog_max_len = 0;
    note_us(f, 11);
    assert_int_equal(f->slowlog->count, 0);
    assert_null(f->slowlog->newest);
    assert_null(f->slowlog->oldest);
    f->base->settings.latency.slowlog_max_len = 3;
    note_us(f, 12);
    assert_int_equal(f->slowlog->newest->id, 12); /* ids count what was slow, kept or not */
}

static void test_a_reset(void **state)
{
    struct dispatch_fixture *f = *state;
    f->base->settings.latency.slowlog_log_slower_than_us = 0;
    for (int i = 0; i < 5; i++) note_us(f, i);
    slowlog_trim(f->slowlog, 0);
    assert_int_equal(f->slowlog->count, 0);
    assert_null(f->slowlog->newest);
    note_us(f, 1);
    assert_int_equal(f->slowlog->newest->id, 5);
    assert_null(f->slowlog->newest->older);
}

static void test_long_arguments_are_cut(void **state)
{
    struct dispatch_fixture *f = *state;
    char text[SLOWLOG_ARGUMENT_MAX + 10], wanted[SLOWLOG_ARGUMENT_MAX + 40];
    memset(text, 'x', sizeof(text));
    struct bytes_view argv[] = {BYTES_LIT("get"), bytes_view(text, SLOWLOG_ARGUMENT_MAX),
                                bytes_view(text, SLOWLOG_ARGUMENT_MAX + 1), bytes_view(text, sizeof(text))};
    f->base->settings.latency.slowlog_log_slower_than_us = 0;
    note(f, &plain, 4, argv, 1);
    const struct slowlog_entry *e = f->slowlog->newest;
    snprintf(wanted, sizeof(wanted), "%.128s", text);
    assert_arg(e, 1, wanted);
    snprintf(wanted, sizeof(wanted), "%.128s... (1 more bytes)", text);
    assert_arg(e, 2, wanted);
    snprintf(wanted, sizeof(wanted), "%.128s... (10 more bytes)", text);
    assert_arg(e, 3, wanted);
}

static void test_long_commands_are_cut(void **state)
{
    struct dispatch_fixture *f = *state;
    struct bytes_view argv[SLOWLOG_ARGUMENTS_MAX + 8];
    f->base->settings.latency.slowlog_log_slower_than_us = 0;
    for (int i = 0; i < SLOWLOG_ARGUMENTS_MAX + 8; i++) argv[i] = BYTES_LIT("arg");
    note(f, &plain, SLOWLOG_ARGUMENTS_MAX, argv, 1);
    assert_int_equal(f->slowlog->newest->argc, SLOWLOG_ARGUMENTS_MAX);
    assert_arg(f->slowlog->newest, SLOWLOG_ARGUMENTS_MAX - 1, "arg");
    note(f, &plain, SLOWLOG_ARGUMENTS_MAX + 1, argv, 1);
    assert_int_equal(f->slowlog->newest->argc, SLOWLOG_ARGUMENTS_MAX);
    assert_arg(f->slowlog->newest, SLOWLOG_ARGUMENTS_MAX - 2, "arg");
    assert_arg(f->slowlog->newest, SLOWLOG_ARGUMENTS_MAX - 1, "... (2 more arguments)");
    note(f, &plain, SLOWLOG_ARGUMENTS_MAX + 8, argv, 1);
    assert_arg(f->slowlog->newest, SLOWLOG_ARGUMENTS_MAX - 1, "... (9 more arguments)");
}

static void test_secrets_are_hidden(void **state)
{
    struct dispatch_fixture *f = *state;
    struct bytes_view argv[] = {BYTES_LIT("auth"), BYTES_LIT("password"), BYTES_LIT("more")};
    f->base->settings.latency.slowlog_log_slower_than_us = 0;
    note(f, &secret, 3, argv, 1);
    assert_arg(f->slowlog->newest, 0, "auth");
    assert_arg(f->slowlog->newest, 1, "(redacted)");
    assert_arg(f->slowlog->newest, 2, "more");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        DISPATCH_TEST(test_the_threshold),          DISPATCH_TEST(test_what_an_entry_says),
        DISPATCH_TEST(test_the_oldest_goes),        DISPATCH_TEST(test_a_reset),
        DISPATCH_TEST(test_long_arguments_are_cut), DISPATCH_TEST(test_long_commands_are_cut),
        DISPATCH_TEST(test_secrets_are_hidden),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
