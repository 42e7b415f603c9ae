#include "server/config/config.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <syslog.h>
#include <cmocka.h>

#include "storage/base/log.h"
#include "storage/base/memory.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* ---- A configuration whose hooks are counted ---- */

struct fixture {
    struct settings settings;
    struct config *cfg;
    int port_calls, bind_calls, memory_calls;
    int refused_port; /* the hook fails for this port */
    char dir[64];     /* the last argument of change_dir() */
};

static int on_port(void *ctx, struct config_error *err)
{
    struct fixture *f = ctx;
    f->port_calls++;
    if (f->settings.net.port == f->refused_port) return config_fail(err, "Unable to listen on this port");
    return 0;
}

static int on_bind(void *ctx, struct config_error *err)
{
    ((struct fixture *)ctx)->bind_calls++;
    return 0;
}

static int on_maxmemory(void *ctx, struct config_error *err)
{
    ((struct fixture *)ctx)->memory_calls++;
    return 0;
}

static int change_dir(void *ctx, const char *path, char *absolute, size_t cap)
{
    struct fixture *f = ctx;
    if (strcmp(path, "/missing") == 0) return -ENOENT;
    snprintf(f->dir, sizeof(f->dir), "%s", path);
    snprintf(absolute, cap, "/abs%s%s", path[0] == '/' ? "" : "/", path);
    return 0;
}

static int setup(void **state)
{
    struct fixture *f = mem_calloc(sizeof(*f));
    struct config_hooks hooks = {.ctx = f,
                                 .port_changed = on_port,
                                 .bind_changed = on_bind,
                                 .maxmemory_changed = on_maxmemory,
                                 .change_dir = change_dir};
    f->cfg = config_new(&f->settings, sys_real(), &hooks);
    f->refused_port = -1;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    config_free(f->cfg);
    mem_free(f);
    return 0;
}

static void load_ok(struct fixture *f, const char *text)
{
    struct config_failure failure;
    if (config_load_text(f->cfg, bytes_str(text), &failure) != 0) fail_msg("[%s]: %s", text, failure.error.text);
}

static void load_fails(struct fixture *f, const char *text, const char *reason)
{
    struct config_failure failure;
    if (config_load_text(f->cfg, bytes_str(text), &failure) != -EINVAL) fail_msg("[%s] was taken", text);
    assert_string_equal(failure.error.text, reason);
}

static void value_is(struct fixture *f, const char *name, const char *expected)
{
    struct bytes_buf value = {NULL, 0, 0};
    assert_true(config_get_one(f->cfg, name, &value));
    bytes_buf_append(&value, "", 1);
    if (strcmp(value.data, expected) != 0) fail_msg("%s is [%s], not [%s]", name, value.data, expected);
    bytes_buf_release(&value);
}

static const struct config_set_context anybody = {.protected_allowed = false, .loading = false};

static int set_pairs(struct fixture *f, const struct config_set_context *how, struct config_error *err, size_t count,
                     const char *const *words)
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

/* ---- Defaults and plain values ---- */

static void test_defaults(void **state)
{
    struct fixture *f = *state;
    const struct settings *s = &f->settings;
    assert_int_equal(s->net.port, 6379);
    assert_int_equal(s->net.bind_count, 2);
    assert_string_equal(s->net.bind[1], "-::*");
    assert_int_equal(s->limits.hash_max_entries, encoding_limits_default().hash_max_entries);
    assert_int_equal(s->persistence.save_count, 3);
    assert_int_equal(s->persistence.save[2].changes, 10000);
    assert_int_equal(s->clients.output_limits[CLIENT_LIMIT_REPLICA].hard_bytes, 256 << 20);
    assert_ptr_equal(s->replication.replica_output_limit, &s->clients.output_limits[CLIENT_LIMIT_REPLICA]);
    assert_null(s->security.requirepass);
    assert_null(s->replication.master_host);
    assert_int_equal(s->log.loglevel, LOG_LEVEL_NOTICE);
    assert_int_equal(s->log.syslog_facility, LOG_LOCAL0);
    assert_int_equal(s->memory.maxmemory_policy, EVICT_NONE);
    assert_int_equal(s->latency.percentile_count, 3);
    assert_int_equal(s->clients.query_buffer_limit, 1 << 30);
    value_is(f, "client-output-buffer-limit", "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60");
    value_is(f, "latency-tracking-info-percentiles", "50 99 99.9");
    value_is(f, "oom-score-adj-values", "0 200 800");
    value_is(f, "dir", "/abs/.");
}

static void test_the_default_limits_are_those_of_storage(void **state)
{
    struct fixture *f = *state;
    struct encoding_limits expected = encoding_limits_default();
    assert_int_equal(f->settings.limits.hash_max_value, expected.hash_max_value);
    assert_int_equal(f->settings.limits.set_max_intset_entries, expected.set_max_intset_entries);
    assert_int_equal(f->settings.limits.set_max_listpack_entries, expected.set_max_listpack_entries);
    assert_int_equal(f->settings.limits.set_max_listpack_value, expected.set_max_listpack_value);
    assert_int_equal(f->settings.limits.zset_max_entries, expected.zset_max_entries);
    assert_int_equal(f->settings.limits.zset_max_value, expected.zset_max_value);
    assert_int_equal(f->settings.limits.stream_max_bytes, expected.stream_max_bytes);
    assert_int_equal(f->settings.limits.stream_max_entries, expected.stream_max_entries);
    assert_int_equal(f->settings.limits.hll_sparse_max_bytes, expected.hll_sparse_max_bytes);
    assert_int_equal(f->settings.limits.list_max_listpack_size, expected.list_max_listpack_size);
    assert_int_equal(f->settings.limits.list_compress_depth, expected.list_compress_depth);
}

static void test_units_of_memory(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *text;
        const char *value;
    } examples[] = {{"100", "100"},        {"1b", "1"},
                    {"1k", "1000"},        {"1kb", "1024"},
                    {"1kB", "1024"},       {"5m", "5000000"},
                    {"5MB", "5242880"},    {"1g", "1000000000"},
                    {"1gb", "1073741824"}, {"18446744073709551615", "18446744073709551615"}};
    for (size_t i = 0; i < COUNT(examples); i++) {
        char line[64];
        snprintf(line, sizeof(line), "maxmemory %s", examples[i].text);
        load_ok(f, line);
        value_is(f, "maxmemory", examples[i].value);
    }
    static const char *const bad[] = {"-1", "1t", "5.5gb", "x", "\"1 g\"", "18446744073709551616", "99999999999gb"};
    for (size_t i = 0; i < COUNT(bad); i++) {
        char line[64];
        snprintf(line, sizeof(line), "maxmemory %s", bad[i]);
        load_fails(f, line, "argument must be a memory value");
    }
    SET_OK(f, "maxmemory", "");
    value_is(f, "maxmemory", "0");
}

static void test_bad_values_in_a_file(void **state)
{
    struct fixture *f = *state;
    load_fails(f, "port abc", "argument couldn't be parsed into an integer");
    load_fails(f, "port 007", "argument couldn't be parsed into an integer");
    load_fails(f, "port +7", "argument couldn't be parsed into an integer");
    load_fails(f, "port 70000", "argument must be between 0 and 65535 inclusive");
    load_fails(f, "port -1", "argument must be between 0 and 65535 inclusive");
    load_fails(f, "port", "wrong number of arguments");
    load_fails(f, "port 1 2", "wrong number of arguments");
    load_fails(f, "daemonize maybe", "argument must be 'yes' or 'no'");
    load_fails(f, "loglevel x", "argument(s) must be one of the following: debug, verbose, notice, warning, nothing");
    load_fails(f, "shutdown-on-sigint", "argument(s) must be one of the following: default, save, nosave, now, force");
    load_fails(f, "shutdown-on-sigint default now",
               "argument(s) must be one of the following: default, save, nosave, now, force");
    load_fails(f, "unixsocketperm 9", "argument couldn't be parsed as an octal number");
    load_fails(f, "unixsocketperm 1000", "argument must be between 0 and 777 inclusive");
    load_fails(f, "client-query-buffer-limit 10", "argument must be between 1048576 and 9223372036854775807 inclusive");
    load_fails(f, "maxclients 4294967296", "argument must be between 1 and 4294967295 inclusive");
    load_fails(f, "maxmemory-clients 101%", "percentage argument must be less or equal to 100");
    load_fails(f, "maxmemory-clients x", "argument must be a memory or percent value");
    load_fails(f, "nonsense 1", "Bad directive or wrong number of arguments");
    load_fails(f, "rename-command a", "Bad directive or wrong number of arguments");
    load_fails(f, "replicaof a", "wrong number of arguments");
    load_fails(f, "replicaof 127.0.0.1 abc", "Invalid master port");
    load_fails(f, "dir /missing", "No such file or directory");
    load_fails(f, "dbfilename a/b", "dbfilename can't be a path, just a filename");
    load_fails(f, "notify-keyspace-events Q", "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.");
    load_fails(f, "oom-score-adj-values 1 2", "wrong number of arguments");
    load_fails(f, "oom-score-adj-values 3000 1 1",
               "Invalid oom-score-adj-values, elements must be between -2000 and 2000.");
    load_fails(f, "proc-title-template {x}", "template format is invalid or contains unknown variables");
    load_fails(f, "save 1", "Invalid save parameters");
    load_fails(f, "save 0 1", "Invalid save parameters");
    load_fails(f, "save 1 -1", "Invalid save parameters");
    load_fails(f, "latency-tracking-info-percentiles 50 nan", "Invalid latency-tracking-info-percentiles parameters");
    load_fails(f, "latency-tracking-info-percentiles 101",
               "latency-tracking-info-percentiles parameters should sit between [0.0,100.0]");
}

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

static void test_what_cannot_be_honoured_is_refused(void **state)
{
    struct fixture *f = *state;
    load_fails(f, "cluster-enabled yes", "cluster mode is not available");
    load_fails(f, "tls-port 6380", "TLS is not available in this version");
    load_fails(f, "tls-replication yes", "TLS is not available in this version");
    load_fails(f, "loadmodule /x.so", "modules are not available");
    load_fails(f, "appendonly maybe", "argument must be 'yes' or 'no'");
    load_ok(f, "appendonly no\ncluster-enabled no\ntls-port 0\nio-threads 4\nlua-replicate-commands yes\n");
    assert_false(f->settings.persistence.appendonly);
    assert_false(f->settings.cluster.enabled);
    SET_REFUSED(f, "appendonly", "maybe", "argument must be 'yes' or 'no'");
    value_is(f, "appendonly", "no");
}

static void test_values_that_are_moved_into_range(void **state)
{
    struct fixture *f = *state;
    SET_OK(f, "hz", "0", "repl-backlog-size", "1k");
    value_is(f, "hz", "1");
    value_is(f, "repl-backlog-size", "16384");
    SET_OK(f, "hz", "10000");
    value_is(f, "hz", "500");
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
    assert_int_equal(f->settings.net.bind_count, 0);
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

/* ---- Start-up ---- */

static enum config_start_result start(struct fixture *f, int argc, const char *const *argv, struct config_start *out)
{
    return config_load(f->cfg, argc, (char **)argv, out);
}

static void test_command_line_wins_over_the_file(void **state)
{
    struct fixture *f = *state;
    char path[] = "/tmp/lockstep-conf-XXXXXX";
    int fd = mkstemp(path);
    FILE *file = fdopen(fd, "w");
    fputs("port 7001\nsave 900 1\nmaxmemory 1mb\n", file);
    fclose(file);
    const char *argv[] = {"lockstep-server", path, "--port", "7002", "--save", "100", "100"};
    struct config_start out;
    assert_int_equal(start(f, COUNT(argv), argv, &out), CONFIG_START_RUN);
    assert_int_equal(f->settings.net.port, 7002);
    value_is(f, "save", "900 1 100 100");
    value_is(f, "maxmemory", "1048576");
    assert_string_equal(config_path(f->cfg), path);
    remove(path);
}

static void test_a_bad_start_exits(void **state)
{
    struct fixture *f = *state;
    static const char *const missing[] = {"lockstep-server", "/nonexistent.conf"};
    static const char *const bad[] = {"lockstep-server", "--port", "x"};
    static const char *const log[] = {"lockstep-server", "--logfile", "/nonexistent/x.log"};
    static const char *const memory[] = {"lockstep-server", "--test-memory", "10"};
    struct config_start out;
    assert_int_equal(start(f, 2, missing, &out), CONFIG_START_EXIT);
    assert_int_equal(out.exit_code, 1);
    assert_int_equal(start(f, 3, bad, &out), CONFIG_START_EXIT);
    assert_int_equal(start(f, 3, log, &out), CONFIG_START_EXIT);
    assert_int_equal(start(f, 3, memory, &out), CONFIG_START_EXIT);
    assert_int_equal(out.exit_code, 1);
}

static void test_the_message_of_a_bad_start(void **state)
{
    struct fixture *f = *state;
    struct config_failure failure;
    struct bytes_buf text = {NULL, 0, 0};
    assert_int_equal(config_load_text(f->cfg, BYTES_LIT("\nport \"abc\" \n"), &failure), -EINVAL);
    config_failure_print(&failure, &text);
    bytes_buf_append(&text, "", 1);
    assert_string_equal(text.data, "\n*** FATAL CONFIG FILE ERROR (Lockstep 0.1.0, Redis 7.2.4) ***\n"
                                   "Reading the configuration file, at line 2\n>>> 'port \"abc\"'\n"
                                   "argument couldn't be parsed into an integer\n");
    bytes_buf_release(&text);
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(test_defaults),
        WITH(test_the_default_limits_are_those_of_storage),
        WITH(test_units_of_memory),
        WITH(test_bad_values_in_a_file),
        WITH(test_CVE_2016_8339_client_classes),
        WITH(test_what_cannot_be_honoured_is_refused),
        WITH(test_values_that_are_moved_into_range),
        WITH(test_save_lines_add_up),
        WITH(test_too_many_save_points_and_addresses_are_refused),
        WITH(test_replicaof_and_bind),
        WITH(test_notify_flags),
        WITH(test_lines_that_only_a_file_can_have),
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
        WITH(test_command_line_wins_over_the_file),
        WITH(test_a_bad_start_exits),
        WITH(test_the_message_of_a_bad_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
