/* From directives and files to the context in use: what is refused, and what is loaded again. */
#include "server/clients/tls_setup.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "tests/unit/server/core/core_fixture.h"
#include "tests/unit/server/net/tls_fixture.h"

struct test {
    struct core_fixture f;
    struct files files;
    struct tls_setup *ts;
};

static int setup(void **state)
{
    struct test *t = mem_calloc(sizeof(*t));
    core_fixture_init(&t->f, NULL);
    files_init(&t->files);
    t->ts = tls_setup_new(&t->f.core);
    *state = t;
    return 0;
}

static int teardown(void **state)
{
    struct test *t = *state;
    tls_setup_free(t->ts);
    tls_setup_free(NULL);
    files_release(&t->files);
    core_fixture_release(&t->f);
    mem_free(t);
    return 0;
}

static void set(struct test *t, const char *name, const char *value)
{
    struct config_error err = {""};
    if (config_set_internal(t->f.config, name, value, &err) != 0) fail_msg("%s", err.text);
}

/* The directives name the files of the certificate that was made last. */
static void name_files(struct test *t)
{
    set(t, "tls-cert-file", t->files.cert);
    set(t, "tls-key-file", t->files.key);
    set(t, "tls-ca-cert-file", t->files.ca_file);
}

static void turn_on(struct test *t)
{
    name_files(t);
    set(t, "tls-port", "6380");
    assert_int_equal(tls_setup_apply(t->ts), 0);
}

static void counts(const struct test *t, uint64_t reloads, uint64_t failures)
{
    struct tls_setup_info info;
    tls_setup_describe(t->ts, &info);
    assert_int_equal(info.reloads, reloads);
    assert_int_equal(info.reload_failures, failures);
}

static bool files_refused(const struct test *t)
{
    struct tls_setup_info info;
    tls_setup_describe(t->ts, &info);
    return info.files_refused;
}

static const struct tls_context *context_of(const struct test *t)
{
    return tls_transport_context(tls_setup_transport(t->ts));
}

/* Moves a file onto another one, as programs that renew certificates do. */
static void replace(const char *path, const char *by)
{
    assert_int_equal(rename(by, path), 0);
}

static void test_off(void **state)
{
    struct test *t = *state;
    struct tls_setup_info info;
    set(t, "tls-cert-file", "/nonexistent");
    assert_false(tls_setup_is_on(t->ts));
    assert_int_equal(tls_setup_apply(t->ts), 0);
    tls_setup_cron(t->ts);
    assert_null(context_of(t));
    tls_setup_describe(t->ts, &info);
    assert_int_equal(info.not_after_s, 0);
    counts(t, 0, 0);
}

static void test_on_for_clients_or_for_a_master(void **state)
{
    struct test *t = *state;
    name_files(t);
    set(t, "tls-replication", "yes");
    assert_true(tls_setup_is_on(t->ts));
    assert_int_equal(tls_setup_apply(t->ts), 0);
    assert_non_null(context_of(t));
    set(t, "tls-replication", "no");
    set(t, "tls-port", "6380");
    assert_true(tls_setup_is_on(t->ts));
    set(t, "tls-auth-clients", "no");
    set(t, "tls-ca-cert-file", "");
    assert_int_equal(tls_setup_apply(t->ts), 0);
    set(t, "tls-replication", "yes"); /* a master has to be verified */
    assert_int_equal(tls_setup_apply(t->ts), -EINVAL);
    set(t, "tls-replication", "no");
    set(t, "tls-port", "0");
    assert_false(tls_setup_is_on(t->ts));
    set(t, "tls-cluster", "yes"); /* and so has the target of MIGRATE */
    assert_true(tls_setup_is_on(t->ts));
    assert_int_equal(tls_setup_apply(t->ts), -EINVAL);
}

static void test_what_is_refused_changes_nothing(void **state)
{
    struct test *t = *state;
    turn_on(t);
    const struct tls_context *before = context_of(t);
    make_cert(&t->files, "other");
    set(t, "tls-cert-file", t->files.cert);
    assert_int_equal(tls_setup_apply(t->ts), -EINVAL);
    assert_int_equal(core_logged(&t->f, "Failed to load private key"), 1);
    assert_ptr_equal(context_of(t), before);
    assert_true(files_refused(t));
    set(t, "tls-key-file", t->files.key);
    assert_int_equal(tls_setup_apply(t->ts), 0);
    assert_false(files_refused(t));
    assert_ptr_not_equal(context_of(t), before);
}

static void test_changed_files(void **state)
{
    struct test *t = *state;
    char cert[64], key[64];
    turn_on(t);
    strcpy(cert, t->files.cert);
    strcpy(key, t->files.key);
    tls_setup_cron(t->ts);
    counts(t, 0, 0);
    make_cert(&t->files, "next");
    tls_setup_cron(t->ts); /* files that no directive names */
    counts(t, 0, 0);
    const struct tls_context *before = context_of(t);
    replace(cert, t->files.cert); /* the key is not there yet */
    for (int i = 0; i < 3; i++) tls_setup_cron(t->ts);
    counts(t, 0, 1);
    assert_true(files_refused(t));
    assert_int_equal(core_logged(&t->f, "TLS files have changed and cannot be used"), 1);
    assert_ptr_equal(context_of(t), before);
    replace(key, t->files.key);
    for (int i = 0; i < 3; i++) tls_setup_cron(t->ts);
    counts(t, 1, 1);
    assert_false(files_refused(t));
    assert_ptr_not_equal(context_of(t), before);
    assert_int_equal(unlink(cert), 0);
    for (int i = 0; i < 3; i++) tls_setup_cron(t->ts);
    counts(t, 1, 2);
}

static void test_file_that_is_written_in_place(void **state)
{
    struct test *t = *state;
    turn_on(t);
    struct stat st;
    assert_int_equal(stat(t->files.ca_file, &st), 0);
    struct timespec times[2] = {st.st_atim, {.tv_sec = st.st_mtim.tv_sec + 1}};
    assert_int_equal(utimensat(AT_FDCWD, t->files.ca_file, times, 0), 0);
    tls_setup_cron(t->ts);
    counts(t, 1, 0);
}

static void test_changed_files_are_left_alone(void **state)
{
    struct test *t = *state;
    set(t, "tls-auto-reload", "no");
    turn_on(t);
    assert_int_equal(unlink(t->files.cert), 0);
    tls_setup_cron(t->ts);
    counts(t, 0, 0);
}

static void test_expired_certificate(void **state)
{
    struct test *t = *state;
    struct tls_setup_info info;
    turn_on(t);
    assert_int_equal(core_logged(&t->f, "has expired"), 0);
    tls_setup_describe(t->ts, &info);
    t->f.wall_us = (info.not_after_s + 1) * 1000000;
    clock_update(&t->f.core);
    assert_int_equal(tls_setup_apply(t->ts), 0);
    assert_int_equal(core_logged(&t->f, "has expired"), 1);
    set(t, "tls-client-cert-file", t->files.cert);
    set(t, "tls-client-key-file", t->files.key);
    assert_int_equal(tls_setup_apply(t->ts), 0);
    assert_int_equal(core_logged(&t->f, "tls-client-cert-file has expired"), 1);
    tls_setup_describe(t->ts, &info);
    assert_int_equal(info.client_not_after_s, info.not_after_s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_off, setup, teardown),
        cmocka_unit_test_setup_teardown(test_on_for_clients_or_for_a_master, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_refused_changes_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_changed_files, setup, teardown),
        cmocka_unit_test_setup_teardown(test_file_that_is_written_in_place, setup, teardown),
        cmocka_unit_test_setup_teardown(test_changed_files_are_left_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(test_expired_certificate, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
