#include "replication/handshake.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define ID       "0123456789abcdef0123456789abcdef01234567"
#define ID2      "fedcba9876543210fedcba9876543210fedcba98"
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

struct dialog {
    struct handshake h;
    struct handshake_options options;
    struct bytes_buf out;
};

static void dialog_begin(struct dialog *d, const char *user, const char *password)
{
    *d = (struct dialog){.options = {.user = user, .password = password, .port = 7000, .version = "7.2.4"}};
    handshake_begin(&d->h, &d->out);
}

static void dialog_end(struct dialog *d)
{
    bytes_buf_release(&d->out);
}

static void expect_sent(struct dialog *d, const char *text)
{
    assert_int_equal(d->out.len, strlen(text));
    assert_memory_equal(d->out.data, text, d->out.len);
    d->out.len = 0;
}

static bool was_sent(const struct dialog *d, const char *text)
{
    return memmem(d->out.data, d->out.len, text, strlen(text)) != NULL;
}

static enum handshake_verdict hear(struct dialog *d, const char *line)
{
    return handshake_line(&d->h, bytes_str(line), &d->options, &d->out);
}

/* Runs the handshake up to the point where PSYNC is due. */
static void introduce(struct dialog *d)
{
    dialog_begin(d, NULL, NULL);
    assert_int_equal(hear(d, "+PONG"), HANDSHAKE_WAIT);
    assert_int_equal(hear(d, "+OK"), HANDSHAKE_WAIT);
    assert_int_equal(hear(d, "+OK"), HANDSHAKE_WAIT);
    assert_int_equal(hear(d, "+OK"), HANDSHAKE_ASK_PSYNC);
    d->out.len = 0;
}

static void introduce_and_ask(struct dialog *d, const char *id, uint64_t position)
{
    introduce(d);
    handshake_psync(&d->h, id, position, false, &d->out);
    d->out.len = 0;
}

static void test_the_plain_way(void **state)
{
    struct dialog d;
    dialog_begin(&d, NULL, NULL);
    expect_sent(&d, "*1\r\n$4\r\nPING\r\n");
    assert_int_equal(hear(&d, "+PONG"), HANDSHAKE_WAIT);
    expect_sent(&d, "*3\r\n$8\r\nREPLCONF\r\n$14\r\nlistening-port\r\n$4\r\n7000\r\n"
                    "*11\r\n$8\r\nREPLCONF\r\n$4\r\ncapa\r\n$3\r\neof\r\n$4\r\ncapa\r\n$6\r\npsync2\r\n"
                    "$4\r\ncapa\r\n$11\r\nfield-times\r\n"
                    "$4\r\ncapa\r\n$15\r\nlockstep-verify\r\n"
                    "$4\r\ncapa\r\n$18\r\nlockstep-promotion\r\n"
                    "*3\r\n$8\r\nREPLCONF\r\n$7\r\nversion\r\n$5\r\n7.2.4\r\n");
    assert_int_equal(hear(&d, "+OK"), HANDSHAKE_WAIT);
    assert_int_equal(hear(&d, "+OK"), HANDSHAKE_WAIT);
    assert_int_equal(hear(&d, "-ERR Unrecognized REPLCONF option: version"), HANDSHAKE_ASK_PSYNC);
    handshake_psync(&d.h, ID, 41, false, &d.out);
    expect_sent(&d, "*3\r\n$5\r\nPSYNC\r\n$40\r\n" ID "\r\n$2\r\n42\r\n");
    assert_int_equal(hear(&d, "+CONTINUE"), HANDSHAKE_CONTINUE);
    assert_false(d.h.has_id);
    dialog_end(&d);
}

/* Only a master that says so can be asked to hand over; another +OK says nothing. */
static void test_a_master_that_hands_over(void **state)
{
    static const struct {
        const char *answer;
        bool hands_over;
    } cases[] = {
        {"+OK lockstep-promotion", true}, {"+OK", false}, {"+OK lockstep-promotions", false}, {"-ERR no", false}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct dialog d;
        dialog_begin(&d, NULL, NULL);
        d.options.not_master = true;
        hear(&d, "+PONG");
        assert_true(was_sent(&d, "$4\r\ncapa\r\n$19\r\nlockstep-not-master\r\n"));
        hear(&d, "+OK");
        hear(&d, cases[i].answer);
        assert_int_equal(hear(&d, "+OK"), HANDSHAKE_ASK_PSYNC);
        assert_int_equal(d.h.master_hands_over, cases[i].hands_over);
        dialog_end(&d);
    }
}

static void test_with_user_password_and_address(void **state)
{
    struct dialog d;
    dialog_begin(&d, "joe", "secret");
    d.options.announce_ip = "10.0.0.1";
    assert_int_equal(hear(&d, "-NOAUTH Authentication required."), HANDSHAKE_WAIT);
    assert_true(was_sent(&d, "*3\r\n$4\r\nAUTH\r\n$3\r\njoe\r\n$6\r\nsecret\r\n"));
    assert_true(was_sent(&d, "$10\r\nip-address\r\n$8\r\n10.0.0.1\r\n"));
    for (int i = 0; i < 4; i++) assert_int_equal(hear(&d, "+OK"), HANDSHAKE_WAIT);
    assert_int_equal(hear(&d, "+OK"), HANDSHAKE_ASK_PSYNC);
    dialog_end(&d);
}

static void test_a_wrong_password_ends_it(void **state)
{
    struct dialog d;
    dialog_begin(&d, NULL, "secret");
    assert_int_equal(hear(&d, "+PONG"), HANDSHAKE_WAIT);
    assert_true(was_sent(&d, "*2\r\n$4\r\nAUTH\r\n$6\r\nsecret\r\n"));
    assert_int_equal(hear(&d, "-WRONGPASS invalid username-password pair"), HANDSHAKE_LATER);
    assert_non_null(strstr(d.h.error, "Unable to AUTH to MASTER"));
    dialog_end(&d);
}

static void test_full_resync(void **state)
{
    struct dialog d;
    introduce(&d);
    handshake_psync(&d.h, NULL, 999, false, &d.out);
    expect_sent(&d, "*3\r\n$5\r\nPSYNC\r\n$1\r\n?\r\n$2\r\n-1\r\n");
    assert_int_equal(hear(&d, ""), HANDSHAKE_WAIT); /* keep-alives */
    assert_int_equal(hear(&d, ""), HANDSHAKE_WAIT);
    assert_int_equal(hear(&d, "+FULLRESYNC " ID " 9223372036854775806"), HANDSHAKE_FULL);
    assert_string_equal(d.h.id, ID);
    assert_int_equal(d.h.position, INT64_MAX - 1);
    assert_false(d.h.has_secret);
    dialog_end(&d);
}

#define SECRET "00112233445566778899aabbccddeeff"

static void test_full_resync_with_the_secret(void **state)
{
    struct dialog d;
    char hex[HASH_SECRET_HEX_CHARS + 1];
    introduce_and_ask(&d, NULL, 0);
    assert_int_equal(hear(&d, "+FULLRESYNC " ID " 12 " SECRET), HANDSHAKE_FULL);
    assert_int_equal(d.h.position, 12);
    assert_true(d.h.has_secret);
    hash_secret_format(&d.h.secret, hex);
    assert_string_equal(hex, SECRET);
    dialog_end(&d);
}

/* The error goes into the log. */
static void test_a_wrong_secret_is_refused_and_not_repeated(void **state)
{
    static const char *const bad[] = {
        "+FULLRESYNC " ID " 12 " SECRET " ", "+FULLRESYNC " ID " 12 " SECRET "00", "+FULLRESYNC " ID " 12 " SECRET " 1",
        "+FULLRESYNC " ID " 12  " SECRET,    "+FULLRESYNC " ID " x " SECRET,       "+FULLRESYNC  " ID " 12 " SECRET,
    };
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct dialog d;
        introduce_and_ask(&d, NULL, 0);
        assert_int_equal(hear(&d, bad[i]), HANDSHAKE_LATER);
        assert_non_null(strstr(d.h.error, "wrong +FULLRESYNC"));
        assert_null(strstr(d.h.error, "00112233"));
        dialog_end(&d);
    }
}

static void test_continue_with_a_new_id(void **state)
{
    struct dialog d;
    introduce_and_ask(&d, ID, 7);
    assert_int_equal(hear(&d, "+CONTINUE " ID2), HANDSHAKE_CONTINUE);
    assert_true(d.h.has_id);
    assert_string_equal(d.h.id, ID2);
    dialog_end(&d);
}

static void test_an_old_master_gets_sync(void **state)
{
    struct dialog d;
    introduce_and_ask(&d, ID, 7);
    assert_int_equal(hear(&d, "-ERR unknown command 'PSYNC'"), HANDSHAKE_OLD);
    expect_sent(&d, "*1\r\n$4\r\nSYNC\r\n");
    dialog_end(&d);
}

static void test_P14_no_answer_that_makes_no_sense_leads_to_a_sync(void **state)
{
    static const char *const answers[] = {
        "+FULLRESYNC",
        "+FULLRESYNC ",
        "+FULLRESYNC " ID,
        "+FULLRESYNC " ID " ",
        "+FULLRESYNC " ID " -1",
        "+FULLRESYNC " ID " 12x",
        "+FULLRESYNC " ID " 9223372036854775807",
        "+FULLRESYNC " ID " 99999999999999999999",
        "+FULLRESYNC 0123 0",
        "+FULLRESYNC " ID "0 1",
        "+FULLRESYNC ?123456789abcdef0123456789abcdef01234567 1",
        "+CONTINUE 0123",
        "+CONTINUED",
        "+CONTINUE " ID "x",
        "-NOMASTERLINK Can't SYNC while not connected with my master",
        "-LOADING Redis is loading the dataset in memory",
        "-NOAUTH Authentication required.",
        "-NOPERM this user has no permissions to run the 'psync' command",
        "-ERR something else",
        "+OK",
        ":1",
        "$40",
        "$EOF:" ID,
        "REDIS0011",
        "\x01\x02\xff",
        " ",
    };
    for (size_t i = 0; i < COUNT(answers); i++) {
        struct dialog d;
        introduce_and_ask(&d, ID, 7);
        assert_int_equal(hear(&d, answers[i]), HANDSHAKE_LATER);
        assert_true(d.h.error[0] != '\0');
        for (const char *p = d.h.error; *p != '\0'; p++) assert_true((unsigned char)*p >= ' ');
        assert_int_equal(d.out.len, 0);
        assert_int_equal(hear(&d, "+FULLRESYNC " ID " 1"), HANDSHAKE_LATER); /* the handshake stays over */
        dialog_end(&d);
    }
}

static void test_P14_continue_without_having_asked_for_it(void **state)
{
    struct dialog d;
    introduce_and_ask(&d, NULL, 0);
    assert_int_equal(hear(&d, "+CONTINUE"), HANDSHAKE_LATER);
    dialog_end(&d);
}

static void test_P14_nonsense_at_each_earlier_step(void **state)
{
    static const char *const nonsense[] = {"", "nonsense", "*3", "$5", "\r\r\r", ":0"};
    for (int replies = 0; replies < 4; replies++) {
        for (size_t i = 0; i < COUNT(nonsense); i++) {
            struct dialog d;
            dialog_begin(&d, NULL, NULL);
            for (int k = 0; k < replies; k++) assert_int_equal(hear(&d, "+OK"), HANDSHAKE_WAIT);
            assert_int_equal(hear(&d, nonsense[i]), HANDSHAKE_LATER);
            dialog_end(&d);
        }
    }
}

static void test_P14_errors_to_ping(void **state)
{
    static const char *const fatal[] = {"-LOADING wait", "-ERR whatever", "-READONLY no"};
    static const char *const fine[] = {
        "-NOAUTH x", "-NOPERM x", "-MISCONF x", "-MASTERDOWN x", "-ERR operation not permitted", "+PONG"};
    struct dialog d;
    for (size_t i = 0; i < COUNT(fatal); i++) {
        dialog_begin(&d, NULL, NULL);
        assert_int_equal(hear(&d, fatal[i]), HANDSHAKE_LATER);
        dialog_end(&d);
    }
    for (size_t i = 0; i < COUNT(fine); i++) {
        dialog_begin(&d, NULL, NULL);
        assert_int_equal(hear(&d, fine[i]), HANDSHAKE_WAIT);
        dialog_end(&d);
    }
}

static void test_P14_a_line_before_psync_was_sent(void **state)
{
    struct dialog d;
    introduce(&d);
    assert_int_equal(hear(&d, "+FULLRESYNC " ID " 1"), HANDSHAKE_LATER);
    dialog_end(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_plain_way),
        cmocka_unit_test(test_a_master_that_hands_over),
        cmocka_unit_test(test_with_user_password_and_address),
        cmocka_unit_test(test_a_wrong_password_ends_it),
        cmocka_unit_test(test_full_resync),
        cmocka_unit_test(test_full_resync_with_the_secret),
        cmocka_unit_test(test_a_wrong_secret_is_refused_and_not_repeated),
        cmocka_unit_test(test_continue_with_a_new_id),
        cmocka_unit_test(test_an_old_master_gets_sync),
        cmocka_unit_test(test_P14_no_answer_that_makes_no_sense_leads_to_a_sync),
        cmocka_unit_test(test_P14_continue_without_having_asked_for_it),
        cmocka_unit_test(test_P14_nonsense_at_each_earlier_step),
        cmocka_unit_test(test_P14_errors_to_ping),
        cmocka_unit_test(test_P14_a_line_before_psync_was_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
