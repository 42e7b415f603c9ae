/* Running scripts, in a server that does not run: EVAL and its kin through the dispatcher, by a client without a
 * connection. Replies are compared as RESP. */
#include "server/scripting/scripting.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "replication/replication.h"
#include "server/clients/client.h"
#include "server/clients/clients.h"
#include "server/commands/tables.h"
#include "server/dispatch/dispatch.h"
#include "server/house.h"
#include "storage/base/memory.h"

struct fixture {
    struct settings settings;
    struct config *config;
    struct server *server;
    struct client *client;
    struct bytes_buf reply;
    struct repl_stream_reader stream;
};

static int setup(void **state)
{
    struct fixture *f = mem_calloc(sizeof(*f));
    struct config_failure failure;
    f->config = config_new(&f->settings, sys_real(), &(struct config_hooks){0});
    assert_int_equal(config_load_text(f->config, BYTES_LIT("port 0\nsave \"\"\n"), &failure), 0);
    f->server = server_new(f->config, &f->settings, command_row_tables(), sys_real(), NULL);
    assert_non_null(f->server);
    f->client = client_new_script(f->server->clients);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    repl_aof_stop(f->server->core.repl, &f->stream);
    client_free_fake(f->client);
    server_free(f->server);
    config_free(f->config);
    bytes_buf_release(&f->reply);
    mem_free(f);
    return 0;
}

/* Runs a command. Its reply, or "nothing". */
static const char *run(struct fixture *f, int argc, const char *const *argv)
{
    struct bytes_view views[16];
    assert_true(argc <= 16);
    for (int i = 0; i < argc; i++) views[i] = bytes_str(argv[i]);
    struct command_slot *slot = dispatch_find(f->server->dispatcher, argc, views);
    assert_non_null(slot);
    dispatch_for_script(f->server->dispatcher, f->client, f->client, slot, argc, views, true);
    f->reply.len = 0;
    outbuf_copy(&f->client->out, &f->reply);
    outbuf_clear(&f->client->out);
    bytes_buf_append(&f->reply, "", 1);
    return f->reply.data;
}
#define RUN(f, ...)                                                                                                    \
    run(f, (int)(sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *)), (const char *const[]){__VA_ARGS__})
#define EVAL(f, script) RUN(f, "eval", script, "0")

static void evals(struct fixture *f, const char *script, const char *reply)
{
    const char *got = EVAL(f, script);
    if (strcmp(got, reply) != 0) fail_msg("%s\n  is       %s\n  and not  %s", script, got, reply);
}

/* The error begins with these words. */
static void fails(struct fixture *f, const char *script, const char *words)
{
    const char *got = EVAL(f, script);
    if (got[0] != '-' || strncmp(got + 1, words, strlen(words)) != 0)
        fail_msg("%s\n  is              %s\n  and begins not  %s", script, got, words);
}

static void test_results(void **state)
{
    struct fixture *f = *state;
    evals(f, "return 1", ":1\r\n");
    evals(f, "return 3.99", ":3\r\n");
    evals(f, "return 'x'", "$1\r\nx\r\n");
    evals(f, "return {1, 'a', {2}, nil, 3}", "*3\r\n:1\r\n$1\r\na\r\n*1\r\n:2\r\n");
    evals(f, "return true", ":1\r\n");
    evals(f, "return false", "$-1\r\n");
    evals(f, "", "$-1\r\n");
    evals(f, "return {ok = 'fine'}", "+fine\r\n");
    evals(f, "return {err = 'MY words'}", "-MY words\r\n");
    evals(f, "return redis.status_reply('fine')", "+fine\r\n");
    evals(f, "return redis.error_reply('MY words')", "-MY words\r\n");
    evals(f, "return redis.error_reply('words')", "-ERR words\r\n"); /* one word is no code */
    evals(f, "return redis.error_reply('-MY words')", "-MY words\r\n");
    evals(f, "return redis.error_reply()", "-ERR wrong number or type of arguments\r\n");
}

static void test_keys_and_arguments(void **state)
{
    struct fixture *f = *state;
    assert_string_equal(RUN(f, "eval", "return {#KEYS, #ARGV, KEYS[1], ARGV[2]}", "1", "k", "a", "b"),
                        "*4\r\n:1\r\n:2\r\n$1\r\nk\r\n$1\r\nb\r\n");
    assert_string_equal(RUN(f, "eval", "return #KEYS + #ARGV", "0"), ":0\r\n"); /* nothing is left of the last one */
    assert_string_equal(RUN(f, "eval", "return 1", "x"), "-ERR value is not an integer or out of range\r\n");
    assert_string_equal(RUN(f, "eval", "return 1", "-1"), "-ERR Number of keys can't be negative\r\n");
    assert_string_equal(RUN(f, "eval", "return 1", "2", "k"),
                        "-ERR Number of keys can't be greater than number of args\r\n");
}

static void test_by_digest(void **state)
{
    struct fixture *f = *state;
    const char *digest = "e0e1f9fabfc9d4800c877a703b823ac0578ff8db";
    assert_int_equal(strncmp(RUN(f, "evalsha", digest, "0"), "-NOSCRIPT ", 10), 0);
    evals(f, "return 1", ":1\r\n");
    assert_string_equal(RUN(f, "evalsha", digest, "0"), ":1\r\n");
    assert_string_equal(RUN(f, "script", "exists", digest, "x"), "*2\r\n:1\r\n:0\r\n");
    assert_string_equal(RUN(f, "script", "flush", "sync"), "+OK\r\n");
    assert_int_equal(strncmp(RUN(f, "evalsha", digest, "0"), "-NOSCRIPT ", 10), 0);
}

/* The error names the script, and the line of it. */
static void test_errors(void **state)
{
    struct fixture *f = *state;
    fails(f, "\nerror('my words')", "ERR user_script:2: my words script: ");
    assert_non_null(strstr(f->reply.data, ", on @user_script:2.\r\n"));
    fails(f, "error({err = 'MINE it is'})", "MINE it is script: ");
    fails(f, "error({})", "ERR table");
    fails(f, "error()", "ERR nil");
    fails(f, "return x", "ERR user_script:1: Script attempted to access nonexistent global variable 'x'");
    fails(f, "return return", "ERR Error compiling script (new function): user_script:1:");
    fails(
        f,
        "local t = {} t.t = t return t == nil or error(setmetatable({}, {__tostring = function() while true do end end}))",
        "ERR table"); /* no metamethod of an error runs */
    fails(f, "return redis.call('lpush', 'k', 'v', redis.call('get'))",
          "ERR Wrong number of args calling Redis command");
    evals(f, "return 1", ":1\r\n"); /* it goes on */
}

static void test_commands_of_scripts(void **state)
{
    struct fixture *f = *state;
    evals(f, "return redis.call('set', 'k', 'v')", "+OK\r\n");
    evals(f, "return redis.call('GET', 'k')", "$1\r\nv\r\n");
    evals(f, "return redis.call('get', 'nothing')", "$-1\r\n");
    evals(f, "redis.call('set', 'n', 1e15) return redis.call('get', 'n')", "$16\r\n1000000000000000\r\n");
    evals(f, "redis.call('set', 'n', 0.1) return redis.call('get', 'n')", "$19\r\n0.10000000000000001\r\n");
    fails(f, "redis.call('lpush', 'k', 1)",
          "WRONGTYPE Operation against a key holding the wrong kind of value script: ");
    evals(f, "return redis.pcall('lpush', 'k', 1)",
          "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n");
    evals(f, "return redis.pcall('lpush', 'k', 1).err and 1", ":1\r\n");
    fails(f, "redis.call()", "ERR Please specify at least one argument for this redis lib call");
    fails(f, "redis.call('set', 'k', {})", "ERR Lua redis lib command arguments must be strings or integers");
    fails(f, "redis.call('set', 'k', true)", "ERR Lua redis lib command arguments must be strings or integers");
    fails(f, "redis.call('nonsense')", "ERR Unknown Redis command called from script");
    fails(f, "redis.call('get', 'a', 'b')", "ERR Wrong number of args calling Redis command from script");
    fails(f, "redis.call('config', 'nonsense')", "ERR Unknown Redis command called from script");
    fails(f, "redis.call('subscribe', 'c')", "ERR This Redis command is not allowed from script");
    fails(f, "redis.call('eval', 'return 1', 0)", "ERR This Redis command is not allowed from script");
}

static void test_scripts_are_not_nested(void **state)
{
    struct fixture *f = *state;
    scripting_allow_all_commands(f->server->scripting, true);
    fails(f, "redis.call('eval', 'return 1', 0)", "ERR scripts can not be nested");
    fails(f, "redis.call('script', 'flush')", "ERR scripts can not be taken away while one is running");
    evals(f, "return 1", ":1\r\n");
    scripting_allow_all_commands(f->server->scripting, false);
}

static void test_what_may_only_read(void **state)
{
    struct fixture *f = *state;
    const char *write = "return redis.call('set', 'k', 'v')",
               *refusal = "-ERR Write commands are not allowed from read-only scripts.";
    assert_int_equal(strncmp(RUN(f, "eval_ro", write, "0"), refusal, strlen(refusal)), 0);
    assert_int_equal(
        strncmp(EVAL(f, "#!lua flags=no-writes\nreturn redis.call('set', 'k', 'v')"), refusal, strlen(refusal)), 0);
    assert_string_equal(RUN(f, "eval_ro", "return redis.call('get', 'k')", "0"), "$-1\r\n");
    assert_string_equal(RUN(f, "eval_ro", "#!lua\nreturn 1", "0"),
                        "-ERR Can not execute a script with write flag using *_ro command.\r\n");
    assert_string_equal(RUN(f, "eval_ro", "#!lua flags=no-writes\nreturn 1", "0"), ":1\r\n");
}

static void test_the_rest_of_the_table(void **state)
{
    struct fixture *f = *state;
    evals(f, "return redis.sha1hex('')", "$40\r\nda39a3ee5e6b4b0d3255bfef95601890afd80709\r\n");
    evals(f, "return redis.sha1hex('return 1')", "$40\r\ne0e1f9fabfc9d4800c877a703b823ac0578ff8db\r\n");
    fails(f, "return redis.sha1hex()", "ERR wrong number of arguments");
    evals(f, "return redis.replicate_commands() and 1", ":1\r\n");
    evals(f, "return redis.breakpoint() == false and redis.debug('x') == nil and 1", ":1\r\n");
    evals(f, "return redis.REDIS_VERSION_NUM >= 0x70000 and type(redis.REDIS_VERSION)", "$6\r\nstring\r\n");
    evals(f, "return {redis.LOG_DEBUG, redis.LOG_VERBOSE, redis.LOG_NOTICE, redis.LOG_WARNING}",
          "*4\r\n:0\r\n:1\r\n:2\r\n:3\r\n");
    evals(f, "redis.log(redis.LOG_NOTICE, 'a', 1, {}, 'b') return 1", ":1\r\n");
    evals(f, "redis.log(redis.LOG_DEBUG, 'x') redis.log(redis.LOG_WARNING, 'x') return 1", ":1\r\n");
    fails(f, "redis.log('x')", "ERR redis.log() requires two arguments or more.");
    fails(f, "redis.log('x', 'y')", "ERR First argument must be a number (log level).");
    fails(f, "redis.log(4, 'y')", "ERR Invalid debug level.");
    fails(f, "redis.log(0/0, 'y')", "ERR Invalid debug level.");
    fails(f, "redis.setresp()", "ERR redis.setresp() requires one argument.");
    fails(f, "redis.setresp(4)", "ERR RESP version must be 2 or 3.");
    fails(f, "redis.set_repl()", "ERR redis.set_repl() requires two arguments.");
    fails(f, "redis.set_repl(4)", "ERR Invalid replication flags.");
    fails(f, "redis.set_repl(-1)", "ERR Invalid replication flags.");
    fails(f, "redis.set_repl(0.5)", "ERR Invalid replication flags.");
    evals(f, "return redis.acl_check_cmd('set', 'k', 'v') and 1", ":1\r\n");
    fails(f, "return redis.acl_check_cmd('nonsense')", "ERR Invalid command passed to redis.acl_check_cmd()");
    fails(f, "return redis.acl_check_cmd()", "ERR Please specify at least one argument");
    fails(f, "redis.call = nil", "ERR user_script:1: Attempt to modify a readonly table");
}

static void test_resp3_in_a_script(void **state)
{
    struct fixture *f = *state;
    evals(f, "redis.call('hset', 'h', 'f', 'v') redis.setresp(3) return redis.call('hgetall', 'h').map.f",
          "$1\r\nv\r\n");
    evals(f, "return redis.call('hgetall', 'h')[1]", "$1\r\nf\r\n"); /* each script begins with RESP2 */
    evals(f, "redis.setresp(3) return redis.call('get', 'none') == nil and 1", ":1\r\n");
}

/* The bytes that the stream has got since the last time, from its SELECT on. */
static const char *streamed(struct fixture *f)
{
    static char text[2000];
    struct iovec iov[4];
    size_t len = 0;
    int n = repl_stream_peek(&f->stream, iov, 4);
    for (int i = 0; i < n; i++) {
        assert_true(len + iov[i].iov_len < sizeof(text));
        memcpy(text + len, iov[i].iov_base, iov[i].iov_len);
        len += iov[i].iov_len;
    }
    repl_stream_advance(&f->stream, len);
    text[len] = '\0';
    return text;
}

static void count_stream(struct fixture *f)
{
    repl_aof_want(f->server->core.repl, true);
    repl_aof_start(f->server->core.repl, &f->stream);
    EVAL(f, "redis.call('set', 'first', 1)"); /* brings the SELECT */
    (void)streamed(f);
}

#define SET(key, value) "*3\r\n$3\r\nset\r\n$1\r\n" key "\r\n$1\r\n" value "\r\n"
#define UNIT(commands)  "*1\r\n$5\r\nMULTI\r\n" commands "*1\r\n$4\r\nEXEC\r\n"

static void test_effects_are_one_unit(void **state)
{
    struct fixture *f = *state;
    count_stream(f);
    EVAL(f, "redis.call('get', 'a')");
    assert_string_equal(streamed(f), "");
    EVAL(f, "redis.call('set', 'a', 1)");
    assert_string_equal(streamed(f), SET("a", "1"));
    EVAL(f, "redis.call('set', 'a', 1) redis.call('set', 'b', 2)");
    assert_string_equal(streamed(f), UNIT(SET("a", "1") SET("b", "2")));
    EVAL(f, "redis.call('set', 'a', 1) redis.call('set', 'b', 2) error('late')"); /* what it did is done */
    assert_string_equal(streamed(f), UNIT(SET("a", "1") SET("b", "2")));
    EVAL(f, "redis.call('set', 'a', 1) redis.set_repl(redis.REPL_NONE) redis.call('set', 'b', 2) "
            "redis.set_repl(redis.REPL_ALL) redis.call('set', 'c', 3)");
    assert_string_equal(streamed(f), UNIT(SET("a", "1") SET("c", "3")));
    EVAL(f, "redis.set_repl(redis.REPL_AOF) redis.call('set', 'a', 1)"); /* one stream for both */
    assert_string_equal(streamed(f), SET("a", "1"));
    EVAL(f, "redis.call('set', 'd', 4)"); /* the next script begins with REPL_ALL */
    assert_string_equal(streamed(f), SET("d", "4"));
}

/* Half of a script would be worse than a write that the server would refuse by now. */
static void test_a_script_that_has_written_may_go_on(void **state)
{
    struct fixture *f = *state;
    scripting_allow_all_commands(f->server->scripting, true); /* so that a script can change the configuration */
    fails(f, "redis.call('config', 'set', 'min-replicas-to-write', '1') redis.call('set', 'a', '1')", "NOREPLICAS");
    evals(f, "return redis.call('exists', 'a')", ":0\r\n");
    evals(f, "redis.call('config', 'set', 'min-replicas-to-write', '0') return 1", ":1\r\n");
    evals(f,
          "redis.call('set', 'a', '1') redis.call('config', 'set', 'min-replicas-to-write', '1') "
          "return redis.call('set', 'b', '2')",
          "+OK\r\n");
    fails(f, "redis.call('set', 'c', '3')", "NOREPLICAS"); /* the next script has not written yet */
    evals(f, "return redis.call('exists', 'a', 'b', 'c')", ":2\r\n");
    scripting_allow_all_commands(f->server->scripting, false);
}

static void test_killing(void **state)
{
    struct fixture *f = *state;
    struct scripting *sc = f->server->scripting;
    assert_string_equal(RUN(f, "script", "kill"), "-NOTBUSY No scripts in execution right now.\r\n");
    assert_string_equal(RUN(f, "function", "kill"), "-NOTBUSY No scripts in execution right now.\r\n");
    scripting_allow_all_commands(sc, true); /* so that a script can kill itself */
    fails(f, "redis.call('script', 'kill') while true do end", "ERR Script killed by user with SCRIPT KILL...");
    fails(f, "redis.call('script', 'kill') while true do pcall(function() while true do end end) end",
          "ERR Script killed by user with SCRIPT KILL...");
    fails(f, "redis.call('set', 'k', 'v') redis.call('script', 'kill')",
          "UNKILLABLE Sorry the script already executed write");
    fails(f, "redis.call('function', 'kill')", "BUSY Redis is busy running a script."); /* that is for functions */
    scripting_allow_all_commands(sc, false);
    assert_false(script_is_running(sc));
    evals(f, "for i = 1, 1000000 do end return 1", ":1\r\n"); /* the end was for that one */
}

static void test_functions_run_as_well(void **state)
{
    struct fixture *f = *state;
    assert_string_equal(RUN(f, "function", "load",
                            "#!lua name=l\nredis.register_function('f', function(keys, args) "
                            "return {keys[1], args[1]} end)\nredis.register_function{"
                            "function_name='r', callback=function() return redis.call('set', "
                            "'k', 'v') end, flags={'no-writes'}}"),
                        "$1\r\nl\r\n");
    assert_string_equal(RUN(f, "fcall", "f", "1", "key", "arg"), "*2\r\n$3\r\nkey\r\n$3\r\narg\r\n");
    assert_string_equal(RUN(f, "fcall", "F", "0"), "*0\r\n"); /* a nil ends the array */
    assert_int_equal(strncmp(RUN(f, "fcall", "r", "0"), "-ERR Write commands are not allowed from read-only", 50), 0);
    assert_non_null(strstr(f->reply.data, "script: r, on @user_function:"));
    assert_string_equal(RUN(f, "fcall_ro", "f", "0"),
                        "-ERR Can not execute a script with write flag using *_ro command.\r\n");
    assert_string_equal(RUN(f, "fcall", "nothing", "0"), "-ERR Function not found\r\n");
}

/* What a big script left is collected in slices from the cron, though nothing is run any more. */
static void test_garbage_goes(void **state)
{
    struct fixture *f = *state;
    struct scripting *sc = f->server->scripting;
    evals(f, "return 1", ":1\r\n");
    size_t before = scripting_vm_memory(sc);
    evals(f, "local t = {} for i = 1, 300000 do t[i] = {i} end return 1", ":1\r\n");
    assert_true(scripting_vm_memory(sc) > before + 10 * 1024 * 1024);
    for (int i = 0; i < 100000 && scripting_vm_memory(sc) > before + 4 * 1024 * 1024; i++) scripting_collect(sc);
    assert_true(scripting_vm_memory(sc) <= before + 4 * 1024 * 1024);
    evals(f, "return 1", ":1\r\n");
}

static void test_counts(void **state)
{
    struct fixture *f = *state;
    struct scripting_memory m;
    scripting_get_memory(f->server->scripting, &m);
    assert_int_equal(m.script_count + m.function_count + m.library_count + m.vm_eval + m.vm_functions, 0);
    EVAL(f, "return 1");
    EVAL(f, "return 2");
    EVAL(f, "return 2");
    scripting_get_memory(f->server->scripting, &m);
    assert_int_equal(m.script_count, 2);
    assert_true(m.vm_eval > 0 && m.scripts_eval > 0);
    assert_int_equal(m.vm_functions, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_results, setup, teardown),
        cmocka_unit_test_setup_teardown(test_keys_and_arguments, setup, teardown),
        cmocka_unit_test_setup_teardown(test_by_digest, setup, teardown),
        cmocka_unit_test_setup_teardown(test_errors, setup, teardown),
        cmocka_unit_test_setup_teardown(test_commands_of_scripts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_scripts_are_not_nested, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_may_only_read, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_rest_of_the_table, setup, teardown),
        cmocka_unit_test_setup_teardown(test_resp3_in_a_script, setup, teardown),
        cmocka_unit_test_setup_teardown(test_effects_are_one_unit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_script_that_has_written_may_go_on, setup, teardown),
        cmocka_unit_test_setup_teardown(test_killing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_functions_run_as_well, setup, teardown),
        cmocka_unit_test_setup_teardown(test_garbage_goes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_counts, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
