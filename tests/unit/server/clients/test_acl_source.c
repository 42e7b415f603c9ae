/* Where users come from: lines of the configuration, requirepass, or an ACL file; and what goes back. */
#include "server/clients/acl_source.h"

#include "server/clients/session.h"
#include "server/config/config_internal.h"
#include "tests/unit/server/clients/fixture.h"

static char dir[32], path[64];

static void write_file(const char *file, const char *text)
{
    FILE *f = fopen(file, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
    fclose(f);
}

static struct room *with(void **state, const char *directives)
{
    room_free(*state);
    *state = room_new(directives);
    return *state;
}

static int setup(void **state)
{
    snprintf(dir, sizeof(dir), "/tmp/lockstep-acl-XXXXXX");
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/file", dir);
    return room_setup(state);
}
static int teardown(void **state)
{
    room_teardown(state);
    (void)unlink(path); /* not every test makes it */
    return rmdir(dir);
}

/* A room with directives that name the file of the test as %s. */
static struct room *with_file(void **state, const char *format, const char *text)
{
    char directives[256];
    write_file(path, text);
    snprintf(directives, sizeof(directives), format, path);
    return with(state, directives);
}

static struct acl_user *user(const struct room *r, const char *name)
{
    return acl_users_find(r->users, bytes_str(name));
}

#define assert_rules(r, name, wanted) assert_rules_at(r, name, wanted, __FILE__, __LINE__)
static void assert_rules_at(const struct room *r, const char *name, const char *wanted, const char *file, int line)
{
    struct bytes_buf text = {0};
    assert_non_null(user(r, name));
    acl_user_describe_rules(user(r, name), &text);
    bytes_buf_append(&text, "", 1);
    _assert_string_equal(text.data, wanted, file, line);
    bytes_buf_release(&text);
}

/* ---- Lines of the configuration ---- */

static void test_without_lines_the_default_user_may_do_everything(void **state)
{
    struct room *r = *state;
    assert_int_equal(acl_source_load(r->cs), 0);
    assert_int_equal(acl_users_count(r->users), 1);
    assert_rules(r, "default", "on nopass sanitize-payload ~* &* +@all");
}

static void test_lines_of_the_main_file_win(void **state)
{
    struct room *r =
        with_file(state, "user a on nopass ~main +get\ninclude %s\nuser b on nopass ~main +get\nrequirepass pw\n",
                  "user a on nopass ~included +get\nuser c on nopass ~included +get\n");
    assert_int_equal(acl_source_load(r->cs), 0);
    assert_rules(r, "a", "on nopass sanitize-payload ~main resetchannels -@all +get");
    assert_rules(r, "b", "on nopass sanitize-payload ~main resetchannels -@all +get");
    assert_rules(r, "c", "on nopass sanitize-payload ~included resetchannels -@all +get");
    assert_true(acl_user_accepts(user(r, "default"), BYTES_LIT("pw")));
    assert_false(acl_user_accepts(user(r, "default"), BYTES_LIT("other")));
}

static void test_a_wrong_line_is_logged_and_fails(void **state)
{
    struct room *r = with(state, "user a on +nonsense\n");
    assert_int_equal(acl_source_load(r->cs), -1);
    assert_int_equal(core_logged(&r->f, "Error in user declaration 'a'"), 1);
}

static void test_two_sources_are_refused(void **state)
{
    struct room *r = with_file(state, "user a on\naclfile %s\n", "user b on\n");
    assert_int_equal(acl_source_load(r->cs), -1);
    assert_int_equal(core_logged(&r->f, "please use one of the two, but not both"), 1);
    assert_int_equal(acl_users_count(r->users), 1);
}

static void test_a_new_password_is_asked_from_new_connections(void **state)
{
    struct room *r = *state;
    struct client *before = room_open(r);
    char password[] = "pw";
    r->f.settings.security.requirepass = password;
    acl_source_password_changed(r->cs);
    assert_false(acl_session_is_open(r->cs));
    struct client *c = room_open(r);
    assert_false(client_has(c, CLIENT_AUTHENTICATED));
    assert_true(client_has(before, CLIENT_AUTHENTICATED)); /* it stays logged in */
    r->f.settings.security.requirepass = NULL;
    acl_source_password_changed(r->cs);
    assert_true(client_has(c, CLIENT_AUTHENTICATED)); /* no password is asked any more */
}

/* ---- The file ---- */

static void test_the_file_is_the_only_source(void **state)
{
    struct room *r = with_file(state, "aclfile %s\nrequirepass pw\n", "user a on nopass ~* +get\n");
    assert_int_equal(acl_source_load(r->cs), 0);
    assert_int_equal(acl_users_count(r->users), 2);
    assert_rules(r, "default", "on nopass sanitize-payload ~* &* +@all"); /* requirepass is not read */
}

static void test_a_file_that_cannot_be_read_or_is_wrong_fails(void **state)
{
    struct room *r = with_file(state, "aclfile %s\n", "user a nonsense\n");
    assert_int_equal(acl_source_load(r->cs), -1);
    assert_int_equal(core_logged(&r->f, "Aborting startup because of ACL errors"), 1);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(acl_source_load(r->cs), -1);
    assert_int_equal(core_logged(&r->f, "No such file or directory"), 1);
}

static void test_a_failed_reload_changes_nothing(void **state)
{
    struct room *r = with_file(state, "aclfile %s\n", "user a on nopass ~* +get\n");
    struct bytes_buf error = {0};
    assert_int_equal(acl_source_load(r->cs), 0);
    struct client *c = room_open(r);
    assert_true(acl_session_login(c, BYTES_LIT("a"), BYTES_LIT("x"), BYTES_LIT("auth")));
    write_file(path, "user b on\nuser a nonsense\n");
    assert_int_equal(acl_source_reload(r->cs, NULL, &error), -1);
    assert_non_null(memmem(error.data, error.len, "Error in ACL SETUSER modifier 'nonsense'", 40));
    assert_non_null(memmem(error.data, error.len, "no change to the previously active ACL rules", 44));
    assert_int_equal(acl_users_count(r->users), 2);
    assert_rules(r, "a", "on nopass sanitize-payload ~* resetchannels -@all +get");
    assert_false(client_has(c, CLIENT_CLOSING));
    bytes_buf_release(&error);
}

static void test_a_reload_keeps_clients_of_users_that_stay(void **state)
{
    struct room *r = with_file(state, "aclfile %s\n", "user a on nopass ~* &* +@all\nuser b on nopass ~* +@all\n");
    struct bytes_buf error = {0};
    assert_int_equal(acl_source_load(r->cs), 0);
    struct client *a = room_open(r), *b = room_open(r), *current = room_open(r);
    assert_true(acl_session_login(a, BYTES_LIT("a"), BYTES_LIT("x"), BYTES_LIT("auth")));
    assert_true(acl_session_login(b, BYTES_LIT("b"), BYTES_LIT("x"), BYTES_LIT("auth")));
    assert_true(acl_session_login(current, BYTES_LIT("b"), BYTES_LIT("x"), BYTES_LIT("auth")));
    write_file(path, "user a on nopass ~* &* +get\n");
    assert_int_equal(acl_source_reload(r->cs, current, &error), 0);
    assert_false(client_has(a, CLIENT_CLOSING));
    assert_true(client_has(a, CLIENT_RESTRICTED)); /* by the new rules */
    assert_true(client_has(b, CLIENT_CLOSING));
    assert_false(client_has(current, CLIENT_CLOSING)); /* it has asked for this: it gets its answer first */
    assert_true(client_has(current, CLIENT_CLOSE_AFTER_REPLY));
    assert_null(user(r, "b"));
    bytes_buf_release(&error);
}

static void test_what_is_saved_can_be_loaded(void **state)
{
    struct room *r = with_file(state, "aclfile %s\n", "");
    write_file(path, "user a on nopass ~k* +get (~other +set)\nuser b off >pw\n");
    struct bytes_buf before = {0}, after = {0}, error = {0};
    assert_int_equal(acl_source_load(r->cs), 0);
    acl_user_describe(user(r, "a"), &before);
    assert_int_equal(acl_source_save(r->cs), 0);
    assert_int_equal(acl_source_reload(r->cs, NULL, &error), 0);
    acl_user_describe(user(r, "a"), &after);
    assert_true(bytes_equal(bytes_buf_view(&before), bytes_buf_view(&after)));
    assert_int_equal(acl_users_count(r->users), 3);
    assert_int_equal(unlink(path), 0);
    char nowhere[] = "/nonexistent/users.acl", *configured = r->f.settings.security.aclfile;
    r->f.settings.security.aclfile = nowhere;
    assert_int_equal(acl_source_save(r->cs), -ENOENT);
    assert_int_equal(core_logged(&r->f, "Saving the users to '/nonexistent/users.acl'"), 1);
    r->f.settings.security.aclfile = configured;
    bytes_buf_release(&before);
    bytes_buf_release(&after);
    bytes_buf_release(&error);
}

/* ---- CONFIG REWRITE ---- */

/* The lines that CONFIG REWRITE would write: "a on nopass ...|b ...". */
static void lines(const struct room *r, struct bytes_buf *out)
{
    const struct config *cfg = r->f.config;
    assert_true(cfg->users_noted);
    for (size_t i = 0; i < cfg->user_count; i++) {
        if (out->len > 0) bytes_buf_append(out, "|", 1);
        for (size_t w = 0; w < cfg->users[i].count; w++)
            bytes_buf_printf(out, "%s%s", w == 0 ? "" : " ", cfg->users[i].words[w]);
    }
    bytes_buf_append(out, "", 1);
}
#define assert_lines(r, wanted)                                                                                        \
    do {                                                                                                               \
        struct bytes_buf text_ = {0};                                                                                  \
        acl_source_note_lines((r)->cs);                                                                                \
        lines(r, &text_);                                                                                              \
        assert_string_equal(text_.data, wanted);                                                                       \
        bytes_buf_release(&text_);                                                                                     \
    } while (0)

static void set_user(struct room *r, const char *name, const char *a, const char *b, const char *c)
{
    struct bytes_view rules[] = {bytes_str(a), bytes_str(b), bytes_str(c)};
    struct config_error err = {{0}};
    assert_int_equal(acl_users_set_anew(r->users, bytes_str(name), rules, 3, &err), 0);
}

static void test_the_default_user_needs_no_line_unless_it_differs(void **state)
{
    struct room *r = with(state, "requirepass pw\n");
    assert_int_equal(acl_source_load(r->cs), 0);
    assert_lines(r, "");
    set_user(r, "a", "on", "nopass", "+get");
    assert_lines(r, "a on nopass sanitize-payload resetchannels -@all +get");
    set_user(r, "default", "on", "nopass", "+get");
    assert_lines(r, "a on nopass sanitize-payload resetchannels -@all +get|"
                    "default on nopass sanitize-payload resetchannels -@all +get");
}

/* An included file is never written to, and an edit of it must keep its effect. */
static void test_users_of_included_files_get_a_line_only_if_they_differ(void **state)
{
    struct room *r =
        with_file(state, "include %s\n", "user same on nopass +get\nuser other on nopass +get\nuser gone on\n");
    assert_int_equal(acl_source_load(r->cs), 0);
    assert_lines(r, "");
    set_user(r, "other", "off", "nopass", "+get");
    acl_users_remove(r->users, user(r, "gone"));
    assert_lines(r, "other off nopass sanitize-payload resetchannels -@all +get|gone reset");
}

static void test_with_a_file_no_line_is_written(void **state)
{
    struct room *r = with_file(state, "aclfile %s\n", "user a on nopass +get\n");
    assert_int_equal(acl_source_load(r->cs), 0);
    assert_lines(r, "");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_without_lines_the_default_user_may_do_everything),
        TEST(test_lines_of_the_main_file_win),
        TEST(test_a_wrong_line_is_logged_and_fails),
        TEST(test_two_sources_are_refused),
        TEST(test_a_new_password_is_asked_from_new_connections),
        TEST(test_the_file_is_the_only_source),
        TEST(test_a_file_that_cannot_be_read_or_is_wrong_fails),
        TEST(test_a_failed_reload_changes_nothing),
        TEST(test_a_reload_keeps_clients_of_users_that_stay),
        TEST(test_what_is_saved_can_be_loaded),
        TEST(test_the_default_user_needs_no_line_unless_it_differs),
        TEST(test_users_of_included_files_get_a_line_only_if_they_differ),
        TEST(test_with_a_file_no_line_is_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
