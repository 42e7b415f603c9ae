/* CONFIG GET and SET, names, hooks, rows of a subsystem. */
#include "tests/unit/server/config/config_fixture.h"

/* ---- Names ---- */

static void test_aliases_and_the_last_line_wins(void **state)
{
    struct fixture *f = *state;
    load_ok(f, "hash-max-listpack-entries 20\nhash-max-ziplist-entries 21\n");
    value_is(f, "hash-max-listpack-entries", "21");
    value_is(f, "hash-max-ziplist-entries", "21");
    load_ok(f, "SLAVE-READ-ONLY no\n");
    assert_false(f->settings.replication.replica_read_only);
}

/* ---- CONFIG GET ---- */

static void gather(void *ctx, const char *name, struct bytes_view value)
{
    bytes_buf_printf(ctx, "%s=%.*s;", name, (int)value.len, value.data);
}

static void get_is(struct fixture *f, const char *expected, size_t count, const char *const *patterns)
{
    struct bytes_view views[8];
    struct bytes_buf out = {NULL, 0, 0};
    for (size_t i = 0; i < count; i++) views[i] = bytes_str(patterns[i]);
    config_get(f->cfg, views, count, &out, gather);
    bytes_buf_append(&out, "", 1);
    assert_string_equal(out.data, expected);
    bytes_buf_release(&out);
}

#define GET_IS(f, expected, ...)                                                                                       \
    do {                                                                                                               \
        static const char *const patterns_[] = {__VA_ARGS__};                                                          \
        get_is(f, expected, COUNT(patterns_), patterns_);                                                              \
    } while (0)

static void test_get(void **state)
{
    struct fixture *f = *state;
    GET_IS(f, "port=6379;", "PORT");
    GET_IS(f, "port=6379;maxmemory=0;", "maxmemory", "port", "por*", "port");
    GET_IS(f, "replicaof=;slaveof=;", "*of");
    GET_IS(f, "slaveof=;", "slaveof");
    GET_IS(f, "", "nothing*", "");
    GET_IS(f, "slave-announce-ip=;slave-announce-port=0;", "slave-ann*");
}

static void test_hidden_directives_need_their_full_name(void **state)
{
    struct fixture *f = *state;
    GET_IS(f, "key-load-delay=0;", "key-load-delay");
    GET_IS(f, "", "key-load*");
}

/* ---- CONFIG SET ---- */

static void test_set_refusals(void **state)
{
    struct fixture *f = *state;
    SET_FAILS(f, "ERR Unknown option or number of arguments for CONFIG SET - 'foo'", "daemonize", "yes", "foo", "bar");
    SET_REFUSED(f, "daemonize", "yes", "can't set immutable config");
    SET_REFUSED(f, "slaveof", "a 1", "can't set immutable config");
    SET_REFUSED(f, "dir", "/tmp", "can't set protected config");
    SET_FAILS(f, "ERR CONFIG SET failed (possibly related to argument 'maxmemory') - duplicate parameter", "maxmemory",
              "1", "maxmemory", "2");
    SET_FAILS(f, "ERR CONFIG SET failed (possibly related to argument 'min-slaves-to-write') - duplicate parameter",
              "min-replicas-to-write", "1", "min-slaves-to-write", "2");
    SET_REFUSED(f, "MAXMEMORY", "x", "argument must be a memory value");
    value_is(f, "maxmemory", "0");
}

static void test_protected_and_loading(void **state)
{
    struct fixture *f = *state;
    static const char *const dir[] = {"dir", "/somewhere"};
    struct config_error err = {""};
    struct config_set_context local = {.protected_allowed = true};
    assert_int_equal(set_pairs(f, &local, &err, 2, dir), 0);
    assert_string_equal(f->dir, "/somewhere");
    assert_string_equal(f->settings.persistence.dir, "/abs/somewhere");
    local.loading = true;
    assert_int_equal(set_pairs(f, &local, &err, 2, dir), -EINVAL);
    assert_memory_equal(err.text, "LOADING ", 8);
    static const char *const level[] = {"loglevel", "debug"};
    assert_int_equal(set_pairs(f, &local, &err, 2, level), 0);
}

static void test_set_is_all_or_nothing_when_a_value_is_bad(void **state)
{
    struct fixture *f = *state;
    SET_OK(f, "maxmemory", "10000002", "save", "3000 5", "requirepass", "secret");
    assert_int_equal(f->memory_calls, 1);
    SET_FAILS(
        f,
        "ERR CONFIG SET failed (possibly related to argument 'maxmemory-clients') - percentage argument must be less "
        "or equal to 100",
        "maxmemory", "10000001", "save", "", "requirepass", "", "bind", "1.2.3.4", "maxmemory-clients", "200%",
        "client-query-buffer-limit", "invalid");
    value_is(f, "maxmemory", "10000002");
    value_is(f, "save", "3000 5");
    value_is(f, "requirepass", "secret");
    value_is(f, "bind", "* -::*");
    value_is(f, "maxmemory-clients", "0");
    assert_int_equal(f->memory_calls, 1);
}

static void test_set_is_all_or_nothing_when_a_hook_fails(void **state)
{
    struct fixture *f = *state;
    f->refused_port = 7777;
    SET_FAILS(f, "ERR CONFIG SET failed (possibly related to argument 'port') - Unable to listen on this port",
              "maxmemory", "10000001", "port", "7777", "bind", "127.0.0.1", "client-query-buffer-limit", "10m");
    value_is(f, "maxmemory", "0");
    value_is(f, "port", "6379");
    value_is(f, "bind", "* -::*");
    value_is(f, "client-query-buffer-limit", "1073741824");
    assert_int_equal(f->memory_calls, 2); /* applied, and applied again with the restored values */
    assert_int_equal(f->port_calls, 2);
    assert_int_equal(f->bind_calls, 0); /* never reached */
}

static void test_each_hook_runs_once_and_only_for_changes(void **state)
{
    struct fixture *f = *state;
    SET_OK(f, "maxmemory", "1gb", "maxmemory-policy", "allkeys-lru", "maxmemory-samples", "7", "port", "6379");
    assert_int_equal(f->memory_calls, 1);
    assert_int_equal(f->port_calls, 0);
    load_ok(f, "port 1\nmaxmemory 2\n");
    assert_int_equal(f->port_calls, 0);
}

/* Every value from CONFIG GET is accepted by CONFIG SET, and then stays the same. */
static void set_back(void *ctx, const char *name, struct bytes_view value)
{
    struct fixture *f = ctx;
    struct bytes_view pair[] = {bytes_str(name), value};
    struct config_set_context all = {.protected_allowed = true};
    struct config_error err = {""};
    if (config_set_many(f->cfg, pair, 1, &all, &err) != 0 && strstr(err.text, "immutable") == NULL)
        fail_msg("%s: %s", name, err.text);
}

static void test_every_value_can_be_set_to_itself(void **state)
{
    struct fixture *f = *state;
    struct bytes_view everything = BYTES_LIT("*");
    struct bytes_buf before = {NULL, 0, 0}, after = {NULL, 0, 0};
    SET_OK(f, "maxmemory-clients", "5%", "shutdown-on-sigint", "nosave now", "oom-score-adj", "relative", "save", "");
    assert_int_equal(config_set_internal(f->cfg, "unixsocketperm", "700", NULL), 0);
    config_get(f->cfg, &everything, 1, &before, gather);
    config_get(f->cfg, &everything, 1, f, set_back);
    config_get(f->cfg, &everything, 1, &after, gather);
    /* dir is the one whose hook here makes another value of it each time */
    assert_int_equal(before.len + strlen("/abs"), after.len);
    bytes_buf_release(&before);
    bytes_buf_release(&after);
}

static void test_enum_bits(void **state)
{
    struct fixture *f = *state;
    SET_OK(f, "shutdown-on-sigint", "now force nosave");
    value_is(f, "shutdown-on-sigint", "nosave now force");
    assert_int_equal(f->settings.process.shutdown_on_sigint, SHUTDOWN_NOSAVE | SHUTDOWN_NOW | SHUTDOWN_FORCE);
    load_ok(f, "shutdown-on-sigint \"now\"\nshutdown-on-sigterm nosave force");
    value_is(f, "shutdown-on-sigint", "now");
    value_is(f, "shutdown-on-sigterm", "nosave force");
    SET_OK(f, "oom-score-adj", "relative");
    value_is(f, "oom-score-adj", "yes");
}

static void test_R14970_V3847_control_bytes_are_refused(void **state)
{
    struct fixture *f = *state;
    SET_REFUSED(f, "masteruser", "x\nreplicaof 10.0.0.1 6379", "argument must not contain control characters");
    SET_REFUSED(f, "proc-title-template", "a\rb", "argument must not contain control characters");
    SET_REFUSED(f, "replica-announce-ip", "\x7f", "argument must not contain control characters");
    SET_REFUSED(f, "bind", "\"a\\nb\"", "argument must not contain control characters");
    load_fails(f, "masteruser \"a\\nb\"", "argument must not contain control characters");
    load_fails(f, "logfile \"a\\x01\"", "argument must not contain control characters");
    load_fails(f, "logfile \"a\\x00b\"", "argument must not contain control characters");
    assert_null(f->settings.replication.masteruser);
    struct bytes_view nul[] = {BYTES_LIT("masteruser"), BYTES_LIT("a\0b")};
    struct config_error err = {""};
    assert_int_equal(config_set_many(f->cfg, nul, 1, &anybody, &err), -EINVAL);
    assert_null(f->settings.replication.masteruser);
}

static void test_passwords_are_any_bytes(void **state)
{
    struct fixture *f = *state;
    struct bytes_buf value = {NULL, 0, 0};
    struct bytes_view password = BYTES_LIT("a\0b\nc\xff");
    struct bytes_view pair[] = {BYTES_LIT("requirepass"), password};
    struct bytes_view taken[] = {BYTES_LIT("requirepass"), BYTES_LIT("a\xc0\x80")};
    struct config_error err = {""};
    assert_int_equal(config_set_many(f->cfg, pair, 1, &anybody, &err), 0);
    assert_int_equal(config_set_many(f->cfg, taken, 1, &anybody, &err), -EINVAL);
    assert_true(config_get_one(f->cfg, "requirepass", &value));
    assert_true(bytes_equal(bytes_buf_view(&value), password));
    value.len = 0;
    load_ok(f, "requirepass \"x\\x00y\"");
    assert_true(config_get_one(f->cfg, "requirepass", &value));
    assert_true(bytes_equal(bytes_buf_view(&value), BYTES_LIT("x\0y")));
    bytes_buf_release(&value);
}

/* ---- A subsystem's own rows ---- */

struct own {
    int depth;
    bool on;
};
struct own_hooks {
    struct own *ctx;
    config_hook_fn *changed;
};

static int own_changed(void *ctx, struct config_error *err)
{
    struct own *own = ctx;
    return own->on && own->depth > 5 ? config_fail(err, "too deep") : 0;
}

static void test_a_subsystem_registers_rows(void **state)
{
    struct fixture *f = *state;
    static const struct config_directive rows[] = {
        {.name = "own-depth",
         .alias = "old-depth",
         .kind = CONFIG_INT,
         .offset = offsetof(struct own, depth),
         .def = "3",
         .max = 10,
         .apply = offsetof(struct own_hooks, changed)},
        {.name = "own-on",
         .kind = CONFIG_BOOL,
         .offset = offsetof(struct own, on),
         .def = "yes",
         .apply = offsetof(struct own_hooks, changed)},
    };
    struct own own;
    struct own_hooks hooks = {.ctx = &own, .changed = own_changed};
    config_register(f->cfg, rows, COUNT(rows), &own, &hooks);
    assert_int_equal(own.depth, 3);
    assert_true(own.on);
    SET_REFUSED(f, "old-depth", "6", "too deep");
    assert_int_equal(own.depth, 3);
    SET_OK(f, "own-depth", "6", "own-on", "no");
    assert_int_equal(own.depth, 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(test_aliases_and_the_last_line_wins),
        WITH(test_get),
        WITH(test_hidden_directives_need_their_full_name),
        WITH(test_set_refusals),
        WITH(test_protected_and_loading),
        WITH(test_set_is_all_or_nothing_when_a_value_is_bad),
        WITH(test_set_is_all_or_nothing_when_a_hook_fails),
        WITH(test_each_hook_runs_once_and_only_for_changes),
        WITH(test_every_value_can_be_set_to_itself),
        WITH(test_enum_bits),
        WITH(test_R14970_V3847_control_bytes_are_refused),
        WITH(test_passwords_are_any_bytes),
        WITH(test_a_subsystem_registers_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
