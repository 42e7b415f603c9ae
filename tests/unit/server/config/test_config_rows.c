/* Defaults, bounds and refusals of single directives. */
#include "tests/unit/server/config/config_fixture.h"

#include <syslog.h>

static void test_defaults(void **state)
{
    struct fixture *f = *state;
    const struct settings *s = &f->settings;
    assert_int_equal(s->net.port, 6379);
    assert_int_equal(s->net.bind.count, 2);
    assert_string_equal(s->net.bind.addresses[1], "-::*");
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

static void test_what_cannot_be_honoured_is_refused(void **state)
{
    struct fixture *f = *state;
    load_fails(f, "cluster-enabled yes", "cluster mode is not available");
    load_fails(f, "loadmodule /x.so", "modules are not available");
    load_fails(f, "appendonly maybe", "argument must be 'yes' or 'no'");
    load_ok(f, "appendonly no\ncluster-enabled no\ntls-port 0\nio-threads 4\nlua-replicate-commands yes\n");
    assert_false(f->settings.persistence.appendonly);
    assert_false(f->settings.cluster.enabled);
    SET_REFUSED(f, "appendonly", "maybe", "argument must be 'yes' or 'no'");
    value_is(f, "appendonly", "no");
}

static void test_directives_of_tls(void **state)
{
    struct fixture *f = *state;
    load_ok(f, "tls-port 6380\ntls-replication yes\ntls-auth-clients optional\ntls-auth-clients-user san\n"
               "tls-cert-file a.crt\ntls-session-cache-size 5\n");
    assert_int_equal(f->settings.net.tls_port, 6380);
    assert_true(f->settings.replication.tls_replication);
    value_is(f, "tls-auth-clients-user", "SAN");
    value_is(f, "tls-auto-reload", "yes");
    SET_REFUSED(f, "tls-auth-clients-user", "dn", "argument(s) must be one of the following: off, CN, SAN");
    SET_OK(f, "tls-cert-file", "a.crt"); /* the file may have changed */
    assert_int_equal(f->tls_calls, 1);
    SET_OK(f, "tls-auth-clients", "optional");
    assert_int_equal(f->tls_calls, 1);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(test_defaults),
        WITH(test_the_default_limits_are_those_of_storage),
        WITH(test_units_of_memory),
        WITH(test_bad_values_in_a_file),
        WITH(test_what_cannot_be_honoured_is_refused),
        WITH(test_directives_of_tls),
        WITH(test_values_that_are_moved_into_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
