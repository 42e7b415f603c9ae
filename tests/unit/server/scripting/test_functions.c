/* Function libraries, in a server that does not run: what is loaded and what is refused. The compiled functions and
 * the sources in the keyspace change together. */
#include "server/scripting/functions.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "server/commands/tables.h"
#include "server/scripting/script_flags.h"
#include "server/scripting/scripting_internal.h"
#include "server/house.h"
#include "storage/base/memory.h"
#include "storage/libraries.h"

struct fixture {
    struct settings settings;
    struct config *config;
    struct server *server;
    struct functions *fs;
    struct keyspace *ks;
    struct bytes_buf error;
};

static int setup(void **state)
{
    struct fixture *f = mem_calloc(sizeof(*f));
    struct config_failure failure;
    f->config = config_new(&f->settings, sys_real(), &(struct config_hooks){0});
    assert_int_equal(config_load_text(f->config, BYTES_LIT("port 0\nsave \"\"\n"), &failure), 0);
    f->server = server_new(f->config, &f->settings, command_row_tables(), sys_real(), NULL);
    assert_non_null(f->server);
    f->fs = functions_of(f->server->scripting);
    f->ks = f->server->core.keyspace;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    server_free(f->server);
    config_free(f->config);
    bytes_buf_release(&f->error);
    mem_free(f);
    return 0;
}

static int load_with(struct fixture *f, const char *source, bool replace)
{
    const char *name;
    f->error.len = 0;
    return functions_load(f->fs, f->ks, bytes_str(source), replace, LIBRARY_LOAD_MS_UNLIMITED, &name, &f->error);
}
static void load(struct fixture *f, const char *source)
{
    if (load_with(f, source, false) != 0) fail_msg("%s\n%.*s", source, (int)f->error.len, f->error.data);
}

/* Checks that the source is refused with an error that contains `words`, and that nothing has changed. */
static void refused(struct fixture *f, const char *source, bool replace, const char *words)
{
    size_t libraries = functions_library_count(f->fs), functions = functions_count(f->fs);
    assert_int_equal(load_with(f, source, replace), -1);
    if (memmem(f->error.data, f->error.len, words, strlen(words)) == NULL)
        fail_msg("%s\n%.*s", source, (int)f->error.len, f->error.data);
    assert_int_equal(functions_library_count(f->fs), libraries);
    assert_int_equal(functions_count(f->fs), functions);
    assert_int_equal(libraries_count(f->ks->libraries), libraries);
}

static const struct function *find(struct fixture *f, const char *name)
{
    return functions_find(f->fs, bytes_str(name));
}

static lua_Integer result_of(struct fixture *f, const char *name)
{
    lua_State *L = functions_state(f->fs);
    const struct function *function = find(f, name);
    assert_non_null(function);
    lua_rawgeti(L, LUA_REGISTRYINDEX, function->reference);
    assert_int_equal(lua_pcall(L, 0, 1, 0), 0);
    lua_Integer n = lua_tointeger(L, -1);
    lua_pop(L, 1);
    return n;
}

#define LIB(name, body)  "#!lua name=" name "\n" body
#define RETURNS(name, n) "redis.register_function('" name "', function() return " n " end)\n"

static void test_a_library_and_its_functions(void **state)
{
    struct fixture *f = *state;
    load(f, LIB("one", RETURNS("a", "1") RETURNS("B_2", "2")));
    assert_int_equal(functions_count(f->fs), 2);
    assert_int_equal(result_of(f, "a"), 1);
    assert_int_equal(result_of(f, "b_2"), 2); /* without regard to case */
    assert_int_equal(result_of(f, "B_2"), 2);
    assert_null(find(f, "c"));
    const struct library *lib = functions_library(f->fs, BYTES_LIT("one"));
    assert_string_equal(lib->name, "one");
    assert_string_equal(lib->functions[1].name, "B_2"); /* as it was written */
    assert_ptr_equal(find(f, "a")->library, lib);
    assert_null(functions_library(f->fs, BYTES_LIT("ONE")));
    size_t at;
    assert_true(libraries_find(f->ks->libraries, BYTES_LIT("one"), &at));
    assert_true(bytes_equal(libraries_source(f->ks->libraries, at),
                            bytes_str(LIB("one", RETURNS("a", "1") RETURNS("B_2", "2")))));
    assert_true(functions_memory(f->fs) > 0 && functions_vm_memory(f->fs) > 0);
}

static void test_named_arguments(void **state)
{
    struct fixture *f = *state;
    load(f, LIB("l", "redis.register_function{function_name='f', callback=function() return 5 end, "
                     "description='what it does', flags={'no-writes', 'allow-stale'}}\n"
                     "redis.register_function{function_name='7', callback=function() return 7 end}"));
    const struct function *function = find(f, "f");
    assert_int_equal(function->flags, SCRIPT_NO_WRITES | SCRIPT_ALLOW_STALE);
    assert_true(function->has_description);
    assert_true(bytes_equal(bytes_buf_view(&function->description), BYTES_LIT("what it does")));
    assert_int_equal(result_of(f, "f"), 5);
    assert_int_equal(find(f, "7")->flags, 0);
    assert_false(find(f, "7")->has_description);
    load(f, LIB("m", "redis.register_function{function_name=8, callback=function() return 8 end}")); /* a number */
    assert_int_equal(result_of(f, "8"), 8);
}

static void test_bad_first_lines(void **state)
{
    static const char *const cases[][2] = {
        {"redis.register_function('f', function() end)", "Missing library metadata"},
        {"", "Missing library metadata"},
        {"#!lua name=x", "Invalid library metadata"}, /* no line end */
        {"#!lua name='x\n", "Invalid library metadata"},
        {"#!lua\n", "Library name was not given"},
        {"#!js name=x\n", "Engine 'js' not found"},
        {"#!lua name=x name=y\n", "name argument was given multiple times"},
        {"#!lua name=x foo=y\n", "Invalid metadata value given: foo=y"},
        {"#!lua name=a-b\n", "Library names can only contain letters, numbers, or underscores(_)"},
        {"#!lua name=\n", "Library names can only contain"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) refused(*state, cases[i][0], false, cases[i][1]);
}

static void test_bad_registrations(void **state)
{
    static const char *const cases[][2] = {
        {"", "No functions registered"},
        {"local x = ", "Error compiling function: "},
        {"error('my words')", "Error registering functions: "},
        {"redis.register_function()", "wrong number of arguments"},
        {"redis.register_function('f', function() end, 1)", "wrong number of arguments"},
        {"redis.register_function('f', 1)", "second argument to redis.register_function must be a function"},
        {"redis.register_function({}, function() end)", "first argument to redis.register_function must be a string"},
        {"redis.register_function('f-g', function() end)", "Library names can only contain"},
        {"redis.register_function('f', function() end) redis.register_function('F', function() end)",
         "Function already exists in the library"},
        {"redis.register_function('f')", "single argument is only applicable to Lua table"},
        {"redis.register_function{callback=function() end}", "must get a function name argument"},
        {"redis.register_function{function_name='f'}", "must get a callback argument"},
        {"redis.register_function{function_name='f', callback='x'}", "callback argument given"},
        {"redis.register_function{function_name='f', callback=function() end, flags='no-writes'}",
         "flags argument to redis.register_function must be a table"},
        {"redis.register_function{function_name='f', callback=function() end, flags={'no'}}", "unknown flag given"},
        {"redis.register_function{function_name='f', callback=function() end, flags={1}}", "unknown flag given"},
        {"redis.register_function{function_name='f', callback=function() end, what=1}", "unknown argument given"},
        {"redis.register_function{'f', function() end}", "unknown argument given"},
        {"redis.call('ping')", "nonexistent global variable 'call'"},
        {"return math.floor(1)", "nonexistent global variable 'math'"},
        {"x = 1", "readonly table"},
    };
    char source[512];
    struct fixture *f = *state;
    load(f, LIB("before", RETURNS("kept", "1")));
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        snprintf(source, sizeof(source), "#!lua name=l\n%s", cases[i][0]);
        refused(f, source, false, cases[i][1]);
        assert_int_equal(result_of(f, "kept"), 1);
    }
}

/* Functions can be registered only during a load, so a library matches its source. */
static void test_registering_later_is_refused(void **state)
{
    struct fixture *f = *state;
    load(f, LIB("l", "local register = redis.register_function\n"
                     "register('f', function() register('g', function() end) end)"));
    lua_State *L = functions_state(f->fs);
    lua_rawgeti(L, LUA_REGISTRYINDEX, find(f, "f")->reference);
    assert_int_equal(lua_pcall(L, 0, 0, 0), LUA_ERRRUN);
    lua_settop(L, 0);
    assert_int_equal(functions_count(f->fs), 1);
}

static void test_names_that_are_taken(void **state)
{
    struct fixture *f = *state;
    load(f, LIB("one", RETURNS("f", "1")));
    refused(f, LIB("one", RETURNS("g", "2")), false, "Library 'one' already exists");
    refused(f, LIB("two", RETURNS("g", "2") RETURNS("F", "2")), false, "Function F already exists");
    refused(f, LIB("two", RETURNS("f", "2")), true, "Function f already exists"); /* a function of another library */
    assert_int_equal(result_of(f, "f"), 1);
    assert_null(find(f, "g"));
}

static void test_replacing(void **state)
{
    struct fixture *f = *state;
    load(f, LIB("one", RETURNS("f", "1") RETURNS("old", "1")));
    load(f, LIB("two", RETURNS("g", "2")));
    assert_int_equal(load_with(f, LIB("one", RETURNS("f", "10") RETURNS("new", "10")), true), 0);
    assert_int_equal(result_of(f, "f"), 10);
    assert_int_equal(result_of(f, "new"), 10);
    assert_null(find(f, "old"));
    assert_int_equal(functions_library_count(f->fs), 2);
    refused(f, LIB("one", RETURNS("f", "11") RETURNS("g", "11")), true, "Function g already exists");
    assert_int_equal(result_of(f, "f"), 10); /* the old library is back */
    assert_int_equal(result_of(f, "new"), 10);
    refused(f, LIB("one", "error('x')"), true, "Error registering functions");
    assert_int_equal(result_of(f, "f"), 10);
}

static int load_all(struct fixture *f, bool replace, size_t count, const char *const *sources)
{
    struct bytes_view views[4];
    for (size_t i = 0; i < count; i++) views[i] = bytes_str(sources[i]);
    f->error.len = 0;
    return functions_load_all(f->fs, f->ks, views, count, replace, LIBRARY_LOAD_MS_UNLIMITED, &f->error);
}

static void test_all_or_none(void **state)
{
    struct fixture *f = *state;
    static const char *const good[] = {LIB("one", RETURNS("a", "10")), LIB("two", RETURNS("b", "20"))};
    static const char *const clash[] = {LIB("one", RETURNS("a", "11")), LIB("three", RETURNS("c", "30")),
                                        LIB("four", RETURNS("old", "40"))};
    static const char *const twice[] = {LIB("five", RETURNS("x", "1")), LIB("five", RETURNS("y", "1"))};
    static const char *const broken[] = {LIB("six", RETURNS("x", "1")), LIB("seven", "local")};
    load(f, LIB("zero", RETURNS("old", "0")));
    load(f, LIB("one", RETURNS("a", "1")));
    assert_int_equal(load_all(f, false, 2, good), -1);
    assert_int_equal(result_of(f, "a"), 1);
    assert_null(find(f, "b"));
    assert_int_equal(load_all(f, true, 2, good), 0);
    assert_int_equal(result_of(f, "a"), 10);
    assert_int_equal(result_of(f, "b"), 20);
    assert_int_equal(load_all(f, true, 3, clash), -1); /* the third fails, so the first is undone */
    assert_int_equal(result_of(f, "a"), 10);
    assert_int_equal(result_of(f, "old"), 0);
    assert_null(find(f, "c"));
    assert_int_equal(load_all(f, false, 2, twice), -1);
    assert_int_equal(load_all(f, true, 2, broken), -1);
    assert_null(find(f, "x"));
    assert_int_equal(functions_library_count(f->fs), 3);
    assert_int_equal(libraries_count(f->ks->libraries), 3);
    assert_int_equal(load_all(f, false, 0, NULL), 0);
}

static void test_deleting_and_flushing(void **state)
{
    struct fixture *f = *state;
    load(f, LIB("one", RETURNS("a", "1")));
    load(f, LIB("two", RETURNS("b", "2")));
    assert_false(functions_delete(f->fs, f->ks, BYTES_LIT("three")));
    assert_true(functions_delete(f->fs, f->ks, BYTES_LIT("one")));
    assert_null(find(f, "a"));
    assert_int_equal(result_of(f, "b"), 2);
    assert_int_equal(libraries_count(f->ks->libraries), 1);
    functions_flush(f->fs, f->ks, NULL);
    assert_int_equal(functions_library_count(f->fs) + functions_count(f->fs), 0);
    assert_int_equal(libraries_count(f->ks->libraries), 0);
    assert_int_equal(functions_vm_memory(f->fs), 0);
    load(f, LIB("one", RETURNS("a", "3"))); /* in a state of its own */
    assert_int_equal(result_of(f, "a"), 3);
}

/* The time to load a library is limited. */
static void test_loading_has_a_limit(void **state)
{
    struct fixture *f = *state;
    const char *name = NULL;
    load(f, LIB("before", RETURNS("kept", "1")));
    f->error.len = 0;
    assert_int_equal(
        functions_load(f->fs, f->ks, BYTES_LIT(LIB("l", "while true do end")), false, 20, &name, &f->error), -1);
    assert_non_null(memmem(f->error.data, f->error.len, "FUNCTION LOAD timeout", 21));
    assert_null(name);
    assert_int_equal(result_of(f, "kept"), 1);
    load(f, LIB("l", RETURNS("f", "2")));
    assert_null(f->server->scripting->guard.running); /* the guard has been reset */
    assert_int_equal(f->server->scripting->guard.deadline_us, 0);
    assert_int_equal(result_of(f, "f"), 2);
}

/* A data set that replaces the current one brings its functions. */
static void test_the_functions_of_another_data_set(void **state)
{
    struct fixture *f = *state;
    struct bytes_buf error = {0};
    const char *name;
    load(f, LIB("one", RETURNS("a", "1")));
    struct functions *other = functions_new(f->server->scripting);
    struct keyspace *ks = keyspace_new_sibling(f->ks, NULL);
    assert_int_equal(functions_load(other, ks, BYTES_LIT(LIB("one", RETURNS("a", "100"))), false, 0, &name, &error), 0);
    assert_int_equal(result_of(f, "a"), 1); /* each has its own state */
    functions_replace(f->server->scripting, other);
    f->fs = functions_of(f->server->scripting);
    assert_ptr_equal(f->fs, other);
    assert_int_equal(result_of(f, "a"), 100);
    keyspace_free(ks);
    bytes_buf_release(&error);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_library_and_its_functions, setup, teardown),
        cmocka_unit_test_setup_teardown(test_named_arguments, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_first_lines, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_registrations, setup, teardown),
        cmocka_unit_test_setup_teardown(test_registering_later_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_names_that_are_taken, setup, teardown),
        cmocka_unit_test_setup_teardown(test_replacing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_all_or_none, setup, teardown),
        cmocka_unit_test_setup_teardown(test_deleting_and_flushing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_loading_has_a_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_functions_of_another_data_set, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
