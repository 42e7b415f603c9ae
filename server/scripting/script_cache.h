/* script_cache.h -- the scripts of EVAL, compiled, by the SHA-1 digest of their source.
 * Only what was compiled is kept, not the source.
 * Ownership: the cache owns the Lua state in which they live; emptying it ends that state with all of them. A new one
 * is made when it is needed. */
#ifndef LOCKSTEP_SERVER_SCRIPTING_SCRIPT_CACHE_H
#define LOCKSTEP_SERVER_SCRIPTING_SCRIPT_CACHE_H

#include <lua5.1/lua.h>

#include "server/scripting/lua_guard.h"
#include "storage/table.h"
#include "storage/base/bytes.h"

enum { SCRIPT_DIGEST_LEN = 40, SCRIPT_COMPILE_MS = 5000 /* more is an error */ };

struct cached_script {
    char digest[SCRIPT_DIGEST_LEN + 1]; /* lower-case hexadecimal */
    unsigned flags;                     /* enum script_flag */
    int reference;                      /* of the function, in the Lua registry */
};

struct script_cache; /* opaque */

/* The states that new_state() makes have this guard. */
struct script_cache *script_cache_new(lua_State *(*new_state)(void *ctx), void *ctx, struct lua_guard *guard);
void script_cache_free(struct script_cache *sc);

void script_digest(struct bytes_view source, char digest[SCRIPT_DIGEST_LEN + 1]);
/* The digest in any case; NULL: it is not there. */
struct cached_script *script_cache_find(const struct script_cache *sc, struct bytes_view digest);
/* Compiles the source, unless it is there already. NULL: *error says what is wrong with it. */
struct cached_script *script_cache_add(struct script_cache *sc, struct bytes_view source, const char *digest,
                                       struct bytes_buf *error);
lua_State *script_cache_state(struct script_cache *sc);
/* Forgets all scripts. What is left to do is handed to `later`, or done at once if that is NULL. */
void script_cache_flush(struct script_cache *sc, void (*later)(void *ctx, void (*close)(void *state), void *state),
                        void *ctx);
size_t script_cache_count(const struct script_cache *sc);
size_t script_cache_memory(const struct script_cache *sc);    /* without the Lua state */
size_t script_cache_vm_memory(const struct script_cache *sc); /* of the Lua state; 0 while there is none */

#endif
