#include "server/scripting/script_cache.h"

#include <ctype.h>
#include <lua5.1/lauxlib.h>
#include <stdio.h>

#include "server/scripting/lua_safe.h"
#include "server/scripting/lua_sandbox.h"
#include "server/scripting/script_flags.h"
#include "storage/base/memory.h"
#include "storage/base/sha1.h"

struct script_cache {
    struct table scripts;
    lua_State *state; /* NULL: none yet */
    lua_State *(*new_state)(void *ctx);
    void *ctx;
    struct lua_guard *guard;
};

/* The digest is a good hash: its first bytes are used. */
static uint64_t hash_of(const char *digest)
{
    uint64_t hash;
    memcpy(&hash, digest, sizeof(hash));
    return hash * UINT64_C(0x9E3779B97F4A7C15);
}
static uint64_t script_hash(const void *ctx, const void *entry)
{
    (void)ctx;
    return hash_of(((const struct cached_script *)entry)->digest);
}

struct script_cache *script_cache_new(lua_State *(*new_state)(void *ctx), void *ctx, struct lua_guard *guard)
{
    struct script_cache *sc = mem_calloc(sizeof(*sc));
    table_init(&sc->scripts, script_hash, NULL);
    sc->new_state = new_state;
    sc->ctx = ctx;
    sc->guard = guard;
    return sc;
}

static void free_script(void *ctx, void *entry)
{
    (void)ctx;
    mem_free(entry);
}

static void close_state(void *state)
{
    lua_sandbox_close(state);
}

void script_cache_flush(struct script_cache *sc, void (*later)(void *ctx, void (*close)(void *state), void *state),
                        void *ctx)
{
    table_release(&sc->scripts, free_script, NULL);
    lua_State *state = sc->state;
    sc->state = NULL;
    if (state == NULL) return;
    lua_guard_let_go(state);
    if (later != NULL)
        later(ctx, close_state, state);
    else
        close_state(state);
}

void script_cache_free(struct script_cache *sc)
{
    if (sc == NULL) return;
    script_cache_flush(sc, NULL, NULL);
    mem_free(sc);
}

void script_digest(struct bytes_view source, char digest[SCRIPT_DIGEST_LEN + 1])
{
    static const char hex[] = "0123456789abcdef";
    unsigned char bytes[SHA1_SIZE];
    sha1(source.data, source.len, bytes);
    for (size_t i = 0; i < SHA1_SIZE; i++) {
        digest[2 * i] = hex[bytes[i] >> 4];
        digest[2 * i + 1] = hex[bytes[i] & 15];
    }
    digest[SCRIPT_DIGEST_LEN] = '\0';
}

struct cached_script *script_cache_find(const struct script_cache *sc, struct bytes_view digest)
{
    char lower[SCRIPT_DIGEST_LEN];
    struct table_probe probe;
    struct cached_script *s;
    if (digest.len != SCRIPT_DIGEST_LEN) return NULL;
    for (size_t i = 0; i < SCRIPT_DIGEST_LEN; i++) lower[i] = (char)tolower((unsigned char)digest.data[i]);
    table_probe_start(&probe, &sc->scripts, hash_of(lower));
    while ((s = table_probe_next(&probe)) != NULL)
        if (memcmp(s->digest, lower, SCRIPT_DIGEST_LEN) == 0) return s;
    return NULL;
}

lua_State *script_cache_state(struct script_cache *sc)
{
    if (sc->state == NULL) sc->state = sc->new_state(sc->ctx);
    return sc->state;
}

struct compilation {
    struct bytes_view body;
    int reference;
};

/* Runs in a protected call, since compiling and luaL_ref() may lack memory. */
static int compile(lua_State *L)
{
    struct compilation *c = lua_touserdata(L, 1);
    if (lua_safe_load(L, c->body.data, c->body.len, "@user_script") != 0) return lua_error(L);
    c->reference = luaL_ref(L, LUA_REGISTRYINDEX);
    return 0;
}

static int compile_in_time(struct lua_guard *guard, lua_State *L, struct compilation *c)
{
    if (guard->running != NULL) return lua_cpcall(L, compile, c); /* a script runs: its time counts */
    int64_t now_us = sys_mono_us(guard->sys);
    lua_guard_start(guard, L, now_us);
    guard->deadline_us = now_us + SCRIPT_COMPILE_MS * INT64_C(1000);
    int status = lua_cpcall(L, compile, c);
    lua_guard_stop(guard);
    return status;
}

struct cached_script *script_cache_add(struct script_cache *sc, struct bytes_view source, const char *digest,
                                       struct bytes_buf *error)
{
    struct cached_script *s = script_cache_find(sc, bytes_view(digest, SCRIPT_DIGEST_LEN));
    struct compilation c = {0};
    unsigned flags;
    if (s != NULL) return s;
    if (!script_read_shebang(source, &c.body, &flags, error)) return NULL;
    lua_State *L = script_cache_state(sc);
    int status = compile_in_time(sc->guard, L, &c);
    if (status != 0) {
        const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "";
        bytes_buf_printf(error, "Error compiling script (new function): %s", text);
        lua_pop(L, 1);
        return NULL;
    }
    s = mem_calloc(sizeof(*s));
    snprintf(s->digest, sizeof(s->digest), "%s", digest);
    s->flags = flags;
    s->reference = c.reference;
    table_insert(&sc->scripts, hash_of(digest), s);
    return s;
}

size_t script_cache_count(const struct script_cache *sc)
{
    return table_count(&sc->scripts);
}

size_t script_cache_memory(const struct script_cache *sc)
{
    return table_memory(&sc->scripts) + table_count(&sc->scripts) * sizeof(struct cached_script);
}

size_t script_cache_vm_memory(const struct script_cache *sc)
{
    return sc->state == NULL ? 0 : lua_sandbox_memory(sc->state);
}
