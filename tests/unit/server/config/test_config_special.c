/* Directives whose values are more than one field. */
#include "server/config/config_special.h"

#include "tests/unit/server/config/config_fixture.h"

/* CVE-2016-8339: an unknown class of clients must never index past the classes there are. */
static void test_CVE_2016_8339_client_classes(void **state)
{
    struct fixture *f = *state;
    SET_REFUSED(f, "client-output-buffer-limit", "master 3735928559 3405691582 373529054",
                "Invalid client class specified in buffer limit configuration.");
    SET_REFUSED(f, "client-output-buffer-limit", "normal 1 2",
                "Wrong number of arguments in buffer limit configuration.");
    SET_REFUSED(f, "client-output-buffer-limit", "pubsub 1 2 3 normal -1 2mb 3",
                "Error in hard, soft or soft_seconds setting in buffer limit configuration.");
    value_is(f, "client-output-buffer-limit", "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60");
    SET_OK(f, "client-output-buffer-limit", "replica 1kb 2kb 3 NORMAL 4 5 6");
    value_is(f, "client-output-buffer-limit", "normal 4 5 6 slave 1024 2048 3 pubsub 33554432 8388608 60");
}

static void test_save_lines_add_up(void **state)
{
    struct fixture *f = *state;
    load_ok(f, "save 900 1\nsave 300 10\n");
    value_is(f, "save", "900 1 300 10");
    load_ok(f, "save \"100 2\"\nsave 5 6");
    value_is(f, "save", "100 2 5 6");
    load_ok(f, "save 1 1\nsave \"\"\n");
    value_is(f, "save", "");
    load_ok(f, "save 1 1\nsave ''\nsave 7 7");
    value_is(f, "save", "7 7");
    SET_OK(f, "save", "3 3");
    value_is(f, "save", "3 3");
    SET_REFUSED(f, "save", "3 3 x", "Invalid save parameters");
    value_is(f, "save", "3 3");
}

static void test_too_many_save_points_and_addresses_are_refused(void **state)
{
    struct fixture *f = *state;
    struct bytes_buf text = {NULL, 0, 0};
    for (int i = 0; i < SETTINGS_SAVE_POINTS_MAX + 1; i++) bytes_buf_printf(&text, "save 1 %d\n", i);
    bytes_buf_append(&text, "", 1);
    load_fails(f, text.data, "Too many save points");
    assert_int_equal(f->settings.persistence.save_count, SETTINGS_SAVE_POINTS_MAX);
    text.len = 0;
    bytes_buf_printf(&text, "bind");
    for (int i = 0; i < SETTINGS_BIND_MAX + 1; i++) bytes_buf_printf(&text, " 127.0.0.%d", i);
    load_fails(f, text.data, "Too many bind addresses specified.");
    bytes_buf_release(&text);
}

static void test_replicaof_and_bind(void **state)
{
    struct fixture *f = *state;
    load_ok(f, "slaveof \"host-a 6380\"");
    assert_string_equal(f->settings.replication.master_host, "host-a");
    assert_int_equal(f->settings.replication.master_port, 6380);
    value_is(f, "replicaof", "host-a 6380");
    load_ok(f, "replicaof NO ONE");
    assert_null(f->settings.replication.master_host);
    value_is(f, "slaveof", "");
    SET_OK(f, "bind", "");
    assert_int_equal(f->settings.net.bind.count, 0);
    SET_OK(f, "bind", "127.0.0.1 -::1");
    value_is(f, "bind", "127.0.0.1 -::1");
    load_fails(f, "bind \"1 2\" 3", "Invalid bind address '1 2'");
    load_fails(f, "bind 1 \"\"", "Invalid bind address ''");
    value_is(f, "bind", "127.0.0.1 -::1");
    config_note_master(f->cfg, "b", 7);
    value_is(f, "slaveof", "b 7");
    config_note_master(f->cfg, NULL, 0);
    value_is(f, "slaveof", "");
}

static void test_ranges_of_addresses(void **state)
{
    struct fixture *f = *state;
    value_is(f, "proxy-protocol-trusted", "127.0.0.0/8 ::1");
    SET_OK(f, "proxy-protocol-trusted", "10.1.2.3/8 ::1/128 192.0.2.1");
    value_is(f, "proxy-protocol-trusted", "10.0.0.0/8 ::1 192.0.2.1");
    load_fails(f, "proxy-protocol-trusted 10.0.0.1 localhost",
               "'localhost' is not an address, nor a range such as 10.0.0.0/8");
    load_fails(f, "proxy-protocol-trusted 10.0.0.1 \"\"", "'' is not an address, nor a range such as 10.0.0.0/8");
    value_is(f, "proxy-protocol-trusted", "10.0.0.0/8 ::1 192.0.2.1");
    SET_OK(f, "proxy-protocol-trusted", "");
    assert_int_equal(f->settings.net.proxy_trusted.count, 0);
    value_is(f, "proxy-protocol-trusted", "");
    struct bytes_buf many = {0};
    for (int i = 0; i < SETTINGS_RANGES_MAX; i++) bytes_buf_printf(&many, " 10.0.0.%d", i);
    bytes_buf_append(&many, "", 1);
    struct bytes_view pair[] = {BYTES_LIT("proxy-protocol-trusted"), bytes_str(many.data)};
    assert_int_equal(config_set_many(f->cfg, pair, 1, &(struct config_set_context){0}, NULL), 0);
    assert_int_equal(f->settings.net.proxy_trusted.count, SETTINGS_RANGES_MAX);
    char *line = NULL;
    assert_true(asprintf(&line, "proxy-protocol-trusted%s ::2", many.data) > 0);
    load_fails(f, line, "Too many addresses specified.");
    free(line);
    bytes_buf_release(&many);
}

static void test_notify_flags(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *set, *get;
    } examples[] = {{"", ""},
                    {"KEA", "AKE"},
                    {"KEAmn", "AKEmn"},
                    {"g$lshzxetd", "A"},
                    {"Kxe", "xeK"},
                    {"Ez$", "$zE"},
                    {"mKntdg$lshz", "g$lshztdKmn"}};
    for (size_t i = 0; i < COUNT(examples); i++) {
        int flags = config_notify_from_text(examples[i].set);
        struct bytes_buf text = {NULL, 0, 0};
        config_notify_to_text((unsigned)flags, &text);
        bytes_buf_append(&text, "", 1);
        assert_string_equal(text.data, examples[i].get);
        assert_int_equal(config_notify_from_text(text.data), flags);
        bytes_buf_release(&text);
    }
    assert_int_equal(config_notify_from_text("Kq"), -1);
    SET_OK(f, "notify-keyspace-events", "KEA");
    assert_int_equal(f->settings.misc.notify_keyspace_events, NOTIFY_KEYSPACE | NOTIFY_KEYEVENT | NOTIFY_ALL);
}

static void test_lines_that_only_a_file_can_have(void **state)
{
    struct fixture *f = *state;
    load_ok(f, "rename-command flushall \"\"\nrename-command config secret\nuser default on nopass ~* +@all\nuser x\n");
    assert_int_equal(f->settings.misc.renamed_count, 2);
    assert_string_equal(f->settings.misc.renamed[0].to, "");
    assert_string_equal(f->settings.misc.renamed[1].from, "config");
    assert_int_equal(f->settings.misc.user_count, 2);
    assert_int_equal(f->settings.misc.users[0].count, 5);
    assert_string_equal(f->settings.misc.users[0].words[4], "+@all");
    SET_FAILS(f, "ERR Unknown option or number of arguments for CONFIG SET - 'user'", "user", "x on");
    struct bytes_buf none = {NULL, 0, 0};
    assert_false(config_get_one(f->cfg, "rename-command", &none));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(test_CVE_2016_8339_client_classes),
        WITH(test_save_lines_add_up),
        WITH(test_too_many_save_points_and_addresses_are_refused),
        WITH(test_replicaof_and_bind),
        WITH(test_ranges_of_addresses),
        WITH(test_notify_flags),
        WITH(test_lines_that_only_a_file_can_have),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
