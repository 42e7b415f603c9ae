/* functions.h -- the functions of a data set: its libraries, compiled.
 *
 *     keyspace.libraries (sources) -> functions_load() -> struct functions: by name of library, by name of function
 *
 * A library is text that registers functions when it is run. That happens in a Lua state of its own kind, which holds
 * the functions of one data set; a second data set that is being loaded has a second one, and takes the place of the
 * first together with its keys (functions_replace()). While a library is loaded it finds nothing but what it needs to
 * register functions, and has limited time.
 *
 * Invariants: the libraries here are those of the data set's keyspace, and both change in this file alone.
 * Names of functions are looked up without regard to case. */
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
    int reference;  /* in the registry of the state */
};

struct library {
    char *name;
    struct function *functions; /* in the order of registration */
    size_t count, cap;
};

struct functions *functions_new(struct scripting *sc);
void functions_free(struct functions *fs);
struct functions *functions_of(struct server *s);
lua_State *functions_state(struct functions *fs);

const struct function *functions_find(const struct functions *fs, struct bytes_view name); /* or NULL */
const struct library *functions_library(const struct functions *fs, struct bytes_view name);
size_t functions_library_count(const struct functions *fs);
size_t functions_count(const struct functions *fs);
size_t functions_memory(const struct functions *fs); /* without the Lua state, and without the sources */
size_t functions_vm_memory(const struct functions *fs);

enum { LIBRARY_LOAD_MS = 500, LIBRARY_LOAD_MS_FROM_FILE = 10000, LIBRARY_LOAD_MS_UNLIMITED = 0 };
/* FUNCTION LOAD: the source becomes a library of this data set. 0 with its name; -1 with the error. On failure all is
 * as it was. */
NODISCARD int functions_load(struct functions *fs, struct keyspace *ks, struct bytes_view source, bool replace,
                             int limit_ms, const char **name, struct bytes_buf *error);
/* FUNCTION RESTORE: all of them or none. */
NODISCARD int functions_load_all(struct functions *fs, struct keyspace *ks, const struct bytes_view *sources,
                                 size_t count, bool replace, int limit_ms, struct bytes_buf *error);
bool functions_delete(struct functions *fs, struct keyspace *ks, struct bytes_view library); /* false: there is none */
/* All are gone, and the state with them: at once, or in the background. */
void functions_flush(struct functions *fs, struct keyspace *ks, struct lazyfree *background);
/* The server's functions become these, which came with a data set that it takes. */
void functions_replace(struct server *s, struct functions *fs);

#endif
