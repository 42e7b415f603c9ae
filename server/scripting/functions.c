#include "server/scripting/functions.h"

#include <ctype.h>
#include <lua5.1/lauxlib.h>
#include <stdio.h>

#include "server/scripting/lua_safe.h"
#include "server/scripting/lua_sandbox.h"
#include "server/scripting/script_flags.h"
#include "server/scripting/scripting_internal.h"
#include "storage/base/checked.h"
#include "storage/base/memory.h"
#include "storage/base/words.h"
#include "storage/lazyfree.h"

#define ENGINE "LUA"
#define BAD_NAMES                                                                                                      \
    "Library names can only contain letters, numbers, or underscores(_) and must be at least one character long"

struct functions {
    struct scripting *scripting;
    lua_State *state; /* NULL: none yet */
    struct library **libraries;
    size_t library_count, library_cap;
    struct table by_name; /* struct function, by its name in lower case */
};

/* ---- Names ---- */

static uint64_t name_hash(struct bytes_view name)
{
    uint64_t h = 14695981039346656037u; /* FNV-1a */
    for (size_t i = 0; i < name.len; i++) h = (h ^ (uint64_t)tolower((unsigned char)name.data[i])) * 1099511628211u;
    return h ^ (h >> 29) ^ (h << 32);
}
static uint64_t function_hash(const void *ctx, const void *entry)
{
    (void)ctx;
    return name_hash(bytes_str(((const struct function *)entry)->name));
}

static bool is_good_name(struct bytes_view name)
{
    for (size_t i = 0; i < name.len; i++)
        if (!isalnum((unsigned char)name.data[i]) && name.data[i] != '_') return false;
    return name.len > 0;
}

const struct function *functions_find(const struct functions *fs, struct bytes_view name)
{
    struct table_probe probe;
    const struct function *f;
    table_probe_start(&probe, &fs->by_name, name_hash(name));
    while ((f = table_probe_next(&probe)) != NULL)
        if (bytes_equal_nocase(name, f->name)) return f;
    return NULL;
}

static size_t library_position(const struct functions *fs, struct bytes_view name)
{
    size_t i = 0;
    while (i < fs->library_count && !bytes_equal(bytes_str(fs->libraries[i]->name), name)) i++;
    return i;
}

const struct library *functions_library(const struct functions *fs, struct bytes_view name)
{
    size_t at = library_position(fs, name);
    return at == fs->library_count ? NULL : fs->libraries[at];
}

/* ---- Life ---- */

struct functions *functions_new(struct scripting *sc)
{
    struct functions *fs = mem_calloc(sizeof(*fs));
    fs->scripting = sc;
    table_init(&fs->by_name, function_hash, NULL);
    return fs;
}

lua_State *functions_state(struct functions *fs)
{
    if (fs->state == NULL) fs->state = scripting_new_state(fs->scripting);
    return fs->state;
}

/* Leaves the functions in the Lua registry: see forget_library(). */
static void free_library(struct library *lib)
{
    for (size_t i = 0; i < lib->count; i++) {
        mem_free(lib->functions[i].name);
        bytes_buf_release(&lib->functions[i].description);
    }
    mem_free(lib->functions);
    mem_free(lib->name);
    mem_free(lib);
}

static int unregister(lua_State *L)
{
    const struct library *lib = lua_touserdata(L, 1);
    for (size_t i = 0; i < lib->count; i++) luaL_unref(L, LUA_REGISTRYINDEX, lib->functions[i].reference);
    return 0;
}

/* Frees a library that cannot be called (any more), and its references in the Lua registry. */
static void forget_library(struct functions *fs, struct library *lib)
{
    if (lib->count > 0 && lua_cpcall(fs->state, unregister, lib) != 0)
        lua_pop(fs->state, 1); /* no memory: the functions stay in the registry, where scripts cannot reach them */
    free_library(lib);
}

static void close_state(void *state)
{
    lua_sandbox_close(state);
}

static void clear(struct functions *fs, struct lazyfree *background)
{
    for (size_t i = 0; i < fs->library_count; i++) free_library(fs->libraries[i]);
    mem_free(fs->libraries);
    table_release(&fs->by_name, NULL, NULL);
    fs->libraries = NULL;
    fs->library_count = fs->library_cap = 0;
    lua_State *state = fs->state;
    fs->state = NULL;
    if (state == NULL) return;
    lua_guard_let_go(state);
    if (background != NULL)
        lazyfree_run(background, close_state, state, 1);
    else
        close_state(state);
}

void functions_free(struct functions *fs)
{
    if (fs == NULL) return;
    clear(fs, NULL);
    mem_free(fs);
}

void functions_flush(struct functions *fs, struct keyspace *ks, struct lazyfree *background)
{
    clear(fs, background);
    libraries_clear(ks->libraries);
}

struct functions *functions_of(struct scripting *sc)
{
    return sc->functions;
}

void functions_replace(struct scripting *sc, struct functions *fs)
{
    ASSERT(sc->run == NULL);
    functions_free(sc->functions);
    sc->functions = fs;
}

size_t functions_library_count(const struct functions *fs)
{
    return fs->library_count;
}
size_t functions_count(const struct functions *fs)
{
    return table_count(&fs->by_name);
}
size_t functions_vm_memory(const struct functions *fs)
{
    return fs->state == NULL ? 0 : lua_sandbox_memory(fs->state);
}
size_t functions_memory(const struct functions *fs)
{
    size_t bytes = fs->library_cap * sizeof(*fs->libraries) + table_memory(&fs->by_name);
    for (size_t i = 0; i < fs->library_count; i++)
        bytes += sizeof(struct library) + fs->libraries[i]->cap * sizeof(struct function);
    return bytes;
}

/* ---- The first line ---- */

static bool fail(struct bytes_buf *error, const char *text)
{
    bytes_buf_printf(error, "%s", text);
    return false;
}

static bool read_metadata_words(char **words, size_t count, char **name, struct bytes_buf *error)
{
    if (count == 0 || strncmp(words[0], "#!", 2) != 0) return fail(error, "Invalid library metadata");
    if (!bytes_equal_nocase(bytes_str(words[0] + 2), ENGINE)) {
        bytes_buf_printf(error, "Engine '%s' not found", words[0] + 2);
        return false;
    }
    *name = NULL;
    for (size_t i = 1; i < count; i++) {
        if (strncasecmp(words[i], "name=", 5) != 0) {
            bytes_buf_printf(error, "Invalid metadata value given: %s", words[i]);
            return false;
        }
        if (*name != NULL) return fail(error, "Invalid metadata value, name argument was given multiple times");
        *name = words[i] + 5;
    }
    if (*name == NULL) return fail(error, "Library name was not given");
    return is_good_name(bytes_str(*name)) || fail(error, BAD_NAMES);
}

/* Parses "#!lua name=mylib". The caller frees *name. The body begins with the line end of that line. */
static bool read_metadata(struct bytes_view source, struct bytes_view *body, char **name, struct bytes_buf *error)
{
    struct word_list words;
    if (source.len < 2 || memcmp(source.data, "#!", 2) != 0) return fail(error, "Missing library metadata");
    const char *end = memchr(source.data, '\n', source.len);
    if (end == NULL) return fail(error, "Invalid library metadata");
    size_t len = (size_t)(end - source.data);
    *body = bytes_view(end, source.len - len);
    if (len > 0 && source.data[len - 1] == '\r') len--;
    if (words_split(bytes_view(source.data, len), &words) != 0) return fail(error, "Invalid library metadata");
    bool good = read_metadata_words(words.words, words.count, name, error);
    if (good) *name = mem_strdup(*name);
    words_release(&words);
    return good;
}

/* ---- Registering: redis.register_function() ---- */

struct registration {
    struct bytes_view name, description;
    bool has_name, has_description, has_callback;
    unsigned flags;
};

static void take_string(lua_State *L, int index, struct bytes_view *out, const char *error)
{
    if (!lua_isstring(L, index)) script_raise(L, error);
    out->data = lua_tolstring(L, index, &out->len);
}

/* Reads the list of flags on top of the stack and pops it. */
static unsigned take_flags(lua_State *L)
{
    unsigned flags = 0;
    if (!lua_istable(L, -1))
        script_raise(L, "ERR flags argument to redis.register_function must be a table representing function flags");
    for (int i = 1;; i++) {
        lua_rawgeti(L, -1, i);
        if (lua_isnil(L, -1)) break;
        struct bytes_view name = {0};
        if (lua_type(L, -1) == LUA_TSTRING) name.data = lua_tolstring(L, -1, &name.len);
        unsigned flag = name.data == NULL ? 0 : script_flag_by_name(name);
        if (flag == 0) script_raise(L, "ERR unknown flag given");
        flags |= flag;
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    return flags;
}

/* Reads one named argument, whose value is on top of the stack. A callback is copied to index 2. */
static void take_named(lua_State *L, struct bytes_view key, struct registration *r)
{
    if (bytes_equal(key, BYTES_LIT("function_name"))) {
        take_string(L, -1, &r->name, "ERR function_name argument given to redis.register_function must be a string");
        r->has_name = true;
    } else if (bytes_equal(key, BYTES_LIT("description"))) {
        take_string(L, -1, &r->description,
                    "ERR description argument given to redis.register_function must be a string");
        r->has_description = true;
    } else if (bytes_equal(key, BYTES_LIT("callback"))) {
        if (!lua_isfunction(L, -1))
            script_raise(L, "ERR callback argument given to redis.register_function must be a function");
        lua_pushvalue(L, -1);
        lua_replace(L, 2);
        r->has_callback = true;
    } else if (bytes_equal(key, BYTES_LIT("flags"))) {
        r->flags = take_flags(L);
    } else {
        script_raise(L, "ERR unknown argument given to redis.register_function");
    }
}

/* Reads the arguments from the table at index 1. The views stay valid, since the table holds the strings. */
static void take_named_arguments(lua_State *L, struct registration *r)
{
    if (!lua_istable(L, 1))
        script_raise(L, "ERR calling redis.register_function with a single argument is only applicable to Lua table "
                        "(representing named arguments).");
    lua_settop(L, 2);
    lua_pushnil(L);
    while (lua_next(L, 1)) {
        struct bytes_view key = {0};
        if (lua_type(L, -2) != LUA_TSTRING) script_raise(L, "ERR unknown argument given to redis.register_function");
        key.data = lua_tolstring(L, -2, &key.len);
        /* lua_tostring() converts a number on the stack only: the string is stored in the table too, so that it lives.
         * An existing key may be assigned while the table is walked. */
        if (lua_type(L, -1) == LUA_TNUMBER) {
            lua_tostring(L, -1);
            lua_pushvalue(L, -2);
            lua_pushvalue(L, -2);
            lua_rawset(L, 1);
        }
        take_named(L, key, r);
        lua_pop(L, 1);
    }
    if (!r->has_name) script_raise(L, "ERR redis.register_function must get a function name argument");
    if (!r->has_callback) script_raise(L, "ERR redis.register_function must get a callback argument");
}

static void add_function(struct library *lib, const struct registration *r, int reference)
{
    if (lib->count == lib->cap) {
        lib->cap = lib->cap == 0 ? 4 : lib->cap * 2;
        lib->functions = mem_realloc(lib->functions, lib->cap * sizeof(*lib->functions));
    }
    struct function *f = &lib->functions[lib->count++];
    *f = (struct function){.name = bytes_to_cstr(r->name),
                           .has_description = r->has_description,
                           .flags = r->flags,
                           .reference = reference};
    if (r->has_description) bytes_buf_append_view(&f->description, r->description);
}

static bool has_function(const struct library *lib, struct bytes_view name)
{
    for (size_t i = 0; i < lib->count; i++)
        if (bytes_equal_nocase(name, lib->functions[i].name)) return true;
    return false;
}

/* redis.register_function(name, callback), or with one table of named arguments. */
static int lua_register_function(lua_State *L)
{
    struct library *lib = scripting_of(L)->loading;
    struct registration r = {0};
    int argc = lua_gettop(L);
    if (lib == NULL) script_raise(L, "ERR redis.register_function can only be called on FUNCTION LOAD command");
    if (argc < 1 || argc > 2) script_raise(L, "ERR wrong number of arguments to redis.register_function");
    if (argc == 1) {
        take_named_arguments(L, &r);
    } else {
        take_string(L, 1, &r.name, "ERR first argument to redis.register_function must be a string");
        if (!lua_isfunction(L, 2)) script_raise(L, "ERR second argument to redis.register_function must be a function");
    }
    if (!is_good_name(r.name)) script_raise(L, "ERR " BAD_NAMES);
    if (has_function(lib, r.name)) script_raise(L, "ERR Function already exists in the library");
    lua_pushvalue(L, 2);
    add_function(lib, &r, luaL_ref(L, LUA_REGISTRYINDEX));
    return 0;
}

/* ---- Loading ---- */

struct load_plan {
    struct bytes_view body;
    const char *error; /* the step that failed */
};

/* Between lua_sandbox_restrict() and _unrestrict() only the library can raise an error, and lua_pcall() catches it. */
static int compile_and_run(lua_State *L)
{
    struct load_plan *plan = lua_touserdata(L, 1);
    lua_pushcfunction(L, script_on_error);
    if (lua_safe_load(L, plan->body.data, plan->body.len, "@user_function") != 0) {
        plan->error = "Error compiling function";
        return lua_error(L);
    }
    script_push_load_api(L, lua_register_function);
    lua_sandbox_restrict(L);
    int status = lua_pcall(L, 0, 0, 2);
    lua_sandbox_unrestrict(L);
    if (status == 0) return 0;
    plan->error = "Error registering functions";
    return lua_error(L);
}

static int run_body(struct functions *fs, struct library *lib, struct bytes_view body, int limit_ms,
                    struct bytes_buf *error)
{
    struct scripting *sc = fs->scripting;
    lua_State *L = functions_state(fs);
    struct load_plan plan = {.body = body, .error = "Error loading library"};
    sc->loading = lib;
    int64_t now_us = sys_mono_us(sc->core->sys);
    sc->guard.deadline_us = limit_ms == 0 ? 0 : now_us + limit_ms * INT64_C(1000);
    lua_guard_start(&sc->guard, L, now_us);
    script_failure_clear(&sc->failure);
    int status = lua_cpcall(L, compile_and_run, &plan);
    sc->loading = NULL;
    lua_guard_stop(&sc->guard);
    if (status != 0) {
        bytes_buf_printf(error, "%s: ", plan.error);
        bytes_buf_append_view(error, script_failure_text(&sc->failure, L));
        lua_pop(L, 1);
        return -1;
    }
    if (lib->count > 0) return 0;
    bytes_buf_printf(error, "No functions registered");
    return -1;
}

struct load_terms {
    bool replace; /* libraries of the same name */
    int limit_ms;
    const char *exists; /* format of the error if a library exists and must not be replaced */
};

static bool refuses_name(const struct functions *fs, const char *name, const struct load_terms *terms,
                         struct bytes_buf *error)
{
    if (terms->replace || functions_library(fs, bytes_str(name)) == NULL) return false;
    bytes_buf_printf(error, terms->exists, name);
    return true;
}

/* Compiles a library that is not added yet; the caller owns it. NULL with *error. */
static struct library *compile(struct functions *fs, struct bytes_view source, const struct load_terms *terms,
                               struct bytes_buf *error)
{
    struct bytes_view body;
    char *name;
    if (!read_metadata(source, &body, &name, error)) return NULL;
    struct library *lib = mem_calloc(sizeof(*lib));
    lib->name = name;
    if (!refuses_name(fs, name, terms, error) && run_body(fs, lib, body, terms->limit_ms, error) == 0) return lib;
    forget_library(fs, lib);
    return NULL;
}

static void index_functions(struct functions *fs, struct library *lib, bool add)
{
    for (size_t i = 0; i < lib->count; i++) {
        struct function *f = &lib->functions[i];
        f->library = lib;
        if (add)
            table_insert(&fs->by_name, name_hash(bytes_str(f->name)), f);
        else
            ASSERT(table_remove(&fs->by_name, name_hash(bytes_str(f->name)), f));
    }
}

static void add_library(struct functions *fs, struct library *lib)
{
    if (fs->library_count == fs->library_cap) {
        fs->library_cap = fs->library_cap == 0 ? 4 : fs->library_cap * 2;
        fs->libraries = mem_realloc(fs->libraries, fs->library_cap * sizeof(struct library *));
    }
    fs->libraries[fs->library_count++] = lib;
    index_functions(fs, lib, true);
}

/* Removes a library from the tables without freeing it, so that it can be added again. NULL if there is none. */
static struct library *take_library(struct functions *fs, struct bytes_view name)
{
    size_t at = library_position(fs, name);
    if (at == fs->library_count) return NULL;
    struct library *lib = fs->libraries[at];
    memmove(fs->libraries + at, fs->libraries + at + 1, (fs->library_count - at - 1) * sizeof(struct library *));
    fs->library_count--;
    index_functions(fs, lib, false);
    return lib;
}

static bool collides(const struct functions *fs, const struct library *lib, struct bytes_buf *error)
{
    for (size_t i = 0; i < lib->count; i++) {
        if (functions_find(fs, bytes_str(lib->functions[i].name)) == NULL) continue;
        bytes_buf_printf(error, "Function %s already exists", lib->functions[i].name);
        return true;
    }
    return false;
}

/* One library of a group that is loaded together. */
struct arrival {
    struct library *fresh, *replaced; /* NULL: none, or not yet */
};

static void undo(struct functions *fs, struct arrival *arrivals, size_t added)
{
    while (added-- > 0) {
        ASSERT(take_library(fs, bytes_str(arrivals[added].fresh->name)) == arrivals[added].fresh);
        if (arrivals[added].replaced != NULL) add_library(fs, arrivals[added].replaced);
    }
}

static int add_arrival(struct functions *fs, struct arrival *a, const struct load_terms *terms, struct bytes_buf *error)
{
    if (refuses_name(fs, a->fresh->name, terms, error)) return -1; /* the name occurs twice in the group */
    a->replaced = take_library(fs, bytes_str(a->fresh->name));
    if (!collides(fs, a->fresh, error)) {
        add_library(fs, a->fresh);
        return 0;
    }
    if (a->replaced != NULL) add_library(fs, a->replaced);
    a->replaced = NULL;
    return -1;
}

/* Loads all sources or none: first all are compiled, then added one by one, which is undone if one collides. */
static int arrive(struct functions *fs, struct keyspace *ks, const struct bytes_view *sources, size_t count,
                  const struct load_terms *terms, struct bytes_buf *error)
{
    struct arrival *arrivals = mem_calloc(checked_size_mul(count + 1, sizeof(*arrivals)));
    size_t compiled = 0, added = 0;
    while (compiled < count) {
        arrivals[compiled].fresh = compile(fs, sources[compiled], terms, error);
        if (arrivals[compiled].fresh == NULL) break;
        compiled++;
    }
    if (compiled == count)
        while (added < count && add_arrival(fs, &arrivals[added], terms, error) == 0) added++;
    bool good = added == count;
    if (!good) undo(fs, arrivals, added);
    for (size_t i = 0; i < compiled; i++) {
        if (!good)
            forget_library(fs, arrivals[i].fresh);
        else if (arrivals[i].replaced != NULL)
            forget_library(fs, arrivals[i].replaced);
        if (good) libraries_set(ks->libraries, bytes_str(arrivals[i].fresh->name), sources[i]);
    }
    mem_free(arrivals);
    return good ? 0 : -1;
}

int functions_load(struct functions *fs, struct keyspace *ks, struct bytes_view source, bool replace, int limit_ms,
                   const char **name, struct bytes_buf *error)
{
    struct load_terms terms = {.replace = replace, .limit_ms = limit_ms, .exists = "Library '%s' already exists"};
    if (arrive(fs, ks, &source, 1, &terms, error) != 0) return -1;
    *name = fs->libraries[fs->library_count - 1]->name;
    return 0;
}

int functions_load_all(struct functions *fs, struct keyspace *ks, const struct bytes_view *sources, size_t count,
                       bool replace, int limit_ms, struct bytes_buf *error)
{
    struct load_terms terms = {.replace = replace, .limit_ms = limit_ms, .exists = "Library %s already exists"};
    return arrive(fs, ks, sources, count, &terms, error);
}

bool functions_delete(struct functions *fs, struct keyspace *ks, struct bytes_view name)
{
    struct library *lib = take_library(fs, name);
    if (lib == NULL) return false;
    forget_library(fs, lib);
    ASSERT(libraries_remove(ks->libraries, name));
    return true;
}
