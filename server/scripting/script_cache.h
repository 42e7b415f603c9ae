/* script_cache.h -- the compiled scripts of EVAL, by the SHA-1 digest of their source.
 *
 *     digest --> struct cached_script { flags, reference } --> compiled function in the registry of the Lua state
 *
 * The source is not kept.
 * Ownership: the cache owns the Lua state. It makes the state when one is needed. A flush closes the state with all its
 *            functions. */
#ifndef LOCKSTEP_SERVER_SCRIPTING_SCRIPT_CACHE_H
#define LOCKSTEP_SERVER_SCRIPTING_SCRIPT_CACHE_H

#include <lua5.1/lua.h>

#include "server/scripting/lua_guard.h"
#include "storage/table.h"
#include "storage/base/bytes.h"

enum { SCRIPT_DIGEST_LEN = 40, SCRIPT_COMPILE_MS = 5000 /* longer compilation is an error */ };

struct cached_script {
    char digest[SCRIPT_DIGEST_LEN + 1]; /* lower-case hexadecimal */
    unsigned flags;                     /* enum script_flag */
    int reference;                      /* of the Lua function, in the registry of the state */
};

struct script_cache; /* opaque */

/* new_state() makes states that have this guard. */
struct script_cache *script_cache_new(lua_State *(*new_state)(void *ctx), void *ctx, struct lua_guard *guard);
void script_cache_free(struct script_cache *sc);

void script_digest(struct bytes_view source, char digest[SCRIPT_DIGEST_LEN + 1]);
/* The digest may be in upper or lower case. NULL: the cache does not have the script. */
struct cached_script *script_cache_find(const struct script_cache *sc, struct bytes_view digest);
/* Compiles and adds the source, unless the cache has it. NULL, with the reason in *error. */
struct cached_script *script_cache_add(struct script_cache *sc, struct bytes_view source, const char *digest,
                                       struct bytes_buf *error);
lua_State *script_cache_state(struct script_cache *sc);
/* Drops all scripts. `later` gets the function that closes the Lua state; NULL: the state is closed at once. */
void script_cache_flush(struct script_cache *sc, void (*later)(void *ctx, void (*close)(void *state), void *state),
                        void *ctx);
size_t script_cache_count(const struct script_cache *sc);
size_t script_cache_memory(const struct script_cache *sc);    /* without the Lua state */
size_t script_cache_vm_memory(const struct script_cache *sc); /* of the Lua state; 0 without a state */

#endif
