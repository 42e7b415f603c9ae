/* config_fixture.h -- a configuration whose hooks are counted, and short ways to load and set. */
#ifndef LOCKSTEP_TESTS_UNIT_SERVER_CONFIG_CONFIG_FIXTURE_H
#define LOCKSTEP_TESTS_UNIT_SERVER_CONFIG_CONFIG_FIXTURE_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "server/config/config.h"
#include "storage/base/log.h"
#include "storage/base/memory.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* ---- A configuration whose hooks are counted ---- */

struct fixture {
    struct settings settings;
    struct config *cfg;
    int port_calls, bind_calls, memory_calls, tls_calls;
    int refused_port; /* the hook fails for this port */
    char dir[64];     /* the last argument of change_dir() */
};

static inline int on_port(void *ctx, struct config_error *err)
{
    struct fixture *f = ctx;
    f->port_calls++;
    if (f->settings.net.port == f->refused_port) return config_fail(err, "Unable to listen on this port");
    return 0;
}

static inline int on_bind(void *ctx, struct config_error *err)
{
    ((struct fixture *)ctx)->bind_calls++;
    return 0;
}

static inline int on_maxmemory(void *ctx, struct config_error *err)
{
    ((struct fixture *)ctx)->memory_calls++;
    return 0;
}

static inline int on_tls(void *ctx, struct config_error *err)
{
    ((struct fixture *)ctx)->tls_calls++;
    return 0;
}

static inline int change_dir(void *ctx, const char *path, char *absolute, size_t cap)
{
    struct fixture *f = ctx;
    if (strcmp(path, "/missing") == 0) return -ENOENT;
    snprintf(f->dir, sizeof(f->dir), "%s", path);
    snprintf(absolute, cap, "/abs%s%s", path[0] == '/' ? "" : "/", path);
    return 0;
}

static inline int setup(void **state)
{
    struct fixture *f = mem_calloc(sizeof(*f));
    struct config_hooks hooks = {.ctx = f,
                                 .port_changed = on_port,
                                 .bind_changed = on_bind,
                                 .maxmemory_changed = on_maxmemory,
                                 .tls_changed = on_tls,
                                 .change_dir = change_dir};
    f->cfg = config_new(&f->settings, sys_real(), &hooks);
    f->refused_port = -1;
    *state = f;
    return 0;
}

static inline int teardown(void **state)
{
    struct fixture *f = *state;
    config_free(f->cfg);
    mem_free(f);
    return 0;
}

static inline void load_ok(struct fixture *f, const char *text)
{
    struct config_failure failure;
    if (config_load_text(f->cfg, bytes_str(text), &failure) != 0) fail_msg("[%s]: %s", text, failure.error.text);
}

static inline void load_fails(struct fixture *f, const char *text, const char *reason)
{
    struct config_failure failure;
    if (config_load_text(f->cfg, bytes_str(text), &failure) != -EINVAL) fail_msg("[%s] was taken", text);
    assert_string_equal(failure.error.text, reason);
}

static inline void value_is(struct fixture *f, const char *name, const char *expected)
{
    struct bytes_buf value = {NULL, 0, 0};
    assert_true(config_get_one(f->cfg, name, &value));
    bytes_buf_append(&value, "", 1);
    if (strcmp(value.data, expected) != 0) fail_msg("%s is [%s], not [%s]", name, value.data, expected);
    bytes_buf_release(&value);
}

static const struct config_set_context anybody = {.protected_allowed = false, .loading = false};

static inline int set_pairs(struct fixture *f, const struct config_set_context *how, struct config_error *err,
                            size_t count, const char *const *words)
{
    struct bytes_view views[32];
    assert_true(count <= COUNT(views));
    for (size_t i = 0; i < count; i++) views[i] = bytes_str(words[i]);
    return config_set_many(f->cfg, views, count / 2, how, err);
}

#define SET_OK(f, ...)                                                                                                 \
    do {                                                                                                               \
        static const char *const words_[] = {__VA_ARGS__};                                                             \
        struct config_error err_ = {""};                                                                               \
        if (set_pairs(f, &anybody, &err_, COUNT(words_), words_) != 0) fail_msg("%s", err_.text);                      \
    } while (0)

#define SET_FAILS(f, reply, ...)                                                                                       \
    do {                                                                                                               \
        static const char *const words_[] = {__VA_ARGS__};                                                             \
        struct config_error err_ = {""};                                                                               \
        assert_int_equal(set_pairs(f, &anybody, &err_, COUNT(words_), words_), -EINVAL);                               \
        assert_string_equal(err_.text, reply);                                                                         \
    } while (0)

#define SET_REFUSED(f, name, value, reason)                                                                            \
    SET_FAILS(f, "ERR CONFIG SET failed (possibly related to argument '" name "') - " reason, name, value)

#define WITH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

#endif
