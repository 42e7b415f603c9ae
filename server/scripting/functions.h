/* functions.h -- the function libraries of a data set, compiled.
 *
 *     source --functions_load()--> the Lua code runs once and calls redis.register_function()
 *                                     |
 *                                     +--> struct functions: libraries by name, functions by name
 *                                     `--> keyspace.libraries: the sources, for files, snapshots and FUNCTION DUMP
 *
 * All functions of one data set live in one Lua state, separate from that of EVAL. A second data set that is being
 * loaded has a struct functions of its own, which replaces the first together with the keys (functions_replace()).
 *
 *   1. The libraries here are those of the keyspace of the data set. Only this module changes either of them.
 *   2. A library that is being loaded can reach only what it needs to register functions, and its time is limited.
 *   3. A load or restore that fails changes nothing.
 *   4. Names of functions are compared without regard to case, names of libraries byte by byte. */
#ifndef LOCKSTEP_SERVER_SCRIPTING_FUNCTIONS_H
#define LOCKSTEP_SERVER_SCRIPTING_FUNCTIONS_H

#include "server/scripting/scripting.h"
#include "storage/keyspace.h"

struct functions; /* opaque */

struct function {
    char *name;
    const struct library *library;
    struct bytes_buf description;
    bool has_description;
    unsigned flags; /* enum script_flag */
    int reference;  /* of the Lua function, in the registry of the state */
};

struct library {
    char *name;
    struct function *functions; /* in the order of registration */
    size_t count, cap;
};

struct functions *functions_new(struct scripting *sc);
void functions_free(struct functions *fs);
struct functions *functions_of(struct scripting *sc);
lua_State *functions_state(struct functions *fs);

const struct function *functions_find(const struct functions *fs, struct bytes_view name); /* or NULL */
const struct library *functions_library(const struct functions *fs, struct bytes_view name);
size_t functions_library_count(const struct functions *fs);
size_t functions_count(const struct functions *fs);
size_t functions_memory(const struct functions *fs); /* without the Lua state and without the sources */
size_t functions_vm_memory(const struct functions *fs);

enum { LIBRARY_LOAD_MS = 500, LIBRARY_LOAD_MS_FROM_FILE = 10000, LIBRARY_LOAD_MS_UNLIMITED = 0 };
/* FUNCTION LOAD: compiles the source and adds it as a library. 0 with its name, or -1 with *error and nothing
 * changed. */
NODISCARD int functions_load(struct functions *fs, struct keyspace *ks, struct bytes_view source, bool replace,
                             int limit_ms, const char **name, struct bytes_buf *error);
/* FUNCTION RESTORE: loads all sources or none. */
NODISCARD int functions_load_all(struct functions *fs, struct keyspace *ks, const struct bytes_view *sources,
                                 size_t count, bool replace, int limit_ms, struct bytes_buf *error);
/* False if there is no such library. */
bool functions_delete(struct functions *fs, struct keyspace *ks, struct bytes_view library);
/* Deletes all libraries. The Lua state is closed by `background`, or at once if that is NULL. */
void functions_flush(struct functions *fs, struct keyspace *ks, struct lazyfree *background);
/* Replaces the functions of the server by those of a newly loaded data set, which it takes over. */
void functions_replace(struct scripting *sc, struct functions *fs);

#endif
