/* sentinel.conf.example: it can be loaded, and it names every directive that a sentinel has. */
#include "replication/sentinel/sentinel.h"
#include "server/config/config.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "storage/base/memory.h"

/* Those that SENTINEL SET, SENTINEL CONFIG and the file know. */
static const char *const directives[] = {"monitor",
                                         "down-after-milliseconds",
                                         "failover-timeout",
                                         "parallel-syncs",
                                         "auth-pass",
                                         "auth-user",
                                         "master-reboot-down-after-period",
                                         "refusal-down-after-ms",
                                         "forget-after-ms",
                                         "rename-command",
                                         "notification-script",
                                         "client-reconfig-script",
                                         "deny-scripts-reconfig",
                                         "announce-ip",
                                         "announce-port",
                                         "resolve-hostnames",
                                         "announce-hostnames",
                                         "sentinel-user",
                                         "sentinel-pass",
                                         "myid",
                                         "current-epoch",
                                         "config-epoch",
                                         "leader-epoch",
                                         "known-replica",
                                         "known-sentinel"};
enum { DIRECTIVES = sizeof(directives) / sizeof(directives[0]) };

struct fixture {
    struct settings settings;
    struct config *cfg;
    struct bytes_buf text;
};

static int setup(void **state)
{
    struct fixture *f = mem_calloc(sizeof(*f));
    f->cfg = config_new(&f->settings, sys_real(), NULL);
    config_be_sentinel(f->cfg);
    assert_int_equal(config_file_read(sys_real(), "sentinel.conf.example", &f->text), 0);
    bytes_buf_append(&f->text, "", 1);
    f->text.len--;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    bytes_buf_release(&f->text);
    config_free(f->cfg);
    mem_free(f);
    return 0;
}

static int64_t host_now(void *ctx)
{
    return 1000;
}
static uint64_t host_random(void *ctx)
{
    return 1;
}
static int host_resolve(void *ctx, const char *name, char ip[SENTINEL_IP_SIZE])
{
    return -EAGAIN;
}
static bool host_usable(void *ctx, const char *path)
{
    return true;
}
static struct sentinel *new_sentinel(void)
{
    struct sentinel_host host = {
        .now = host_now, .random = host_random, .resolve = host_resolve, .script_usable = host_usable};
    return sentinel_new(&host);
}

static void test_it_can_be_loaded(void **state)
{
    struct fixture *f = *state;
    struct config_failure failure;
    struct sentinel_error err = {""};
    struct sentinel *s = new_sentinel();
    int at = 0;
    if (config_load_text(f->cfg, bytes_buf_view(&f->text), &failure) != 0) fail_msg("%s", failure.error.text);
    for (size_t i = 0; i < f->settings.sentinel.line_count; i++) {
        const struct sentinel_line *line = &f->settings.sentinel.lines[i];
        assert_true(sentinel_config_line(s, (int)i, (int)line->count, (const char *const *)line->words));
    }
    if (sentinel_config_end(s, &at, &err) != 0) fail_msg("%s: %s", f->settings.sentinel.lines[at].words[0], err.text);
    assert_int_equal(sentinel_master_count(s), 1);
    sentinel_free(s);
}

static void test_it_names_every_directive(void **state)
{
    const struct fixture *f = *state;
    char wanted[64];
    for (size_t i = 0; i < DIRECTIVES; i++) {
        snprintf(wanted, sizeof(wanted), "sentinel %s ", directives[i]);
        if (strstr(f->text.data, wanted) == NULL) fail_msg("%s is missing", directives[i]);
    }
}

/* The second word of each line that begins with "sentinel", in comments too. */
static void test_it_names_nothing_else(void **state)
{
    struct fixture *f = *state;
    struct sentinel *s = new_sentinel();
    char *rest = f->text.data, *line;
    while ((line = strsep(&rest, "\n")) != NULL) {
        char name[64];
        if (sscanf(line, "sentinel %63[^ ,]", name) != 1 && sscanf(line, "# sentinel %63[^ ,]", name) != 1) continue;
        const char *words[] = {name};
        if (!sentinel_config_line(s, 0, 1, words)) fail_msg("there is no directive %s", name);
    }
    sentinel_free(s);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_it_can_be_loaded),
        TEST(test_it_names_every_directive),
        TEST(test_it_names_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
