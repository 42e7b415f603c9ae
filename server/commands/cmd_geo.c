/* cmd_geo.c -- GEOADD, GEODIST, GEOHASH, GEOPOS: positions in sorted sets. cmd_geo_search.c has the searches. */
#include "server/commands/cmd_geo.h"

#include <math.h>

#include "server/commands/cmd_sorted_set.h"
#include "server/commands/tables.h"
#include "storage/base/memory.h"

/* ---- Arguments and replies ---- */

bool arg_geo_point(struct cmd_ctx *ctx, int arg, struct geo_point *out)
{
    struct geo_point p;
    if (!ctx_arg_double(ctx, arg, &p.lon) || !ctx_arg_double(ctx, arg + 1, &p.lat)) return false;
    if (!geo_is_valid(p)) {
        reply_errorf(ctx->reply, "ERR invalid longitude,latitude pair %f,%f", p.lon, p.lat);
        return false;
    }
    *out = p;
    return true;
}

bool arg_geo_unit(struct cmd_ctx *ctx, int arg, double *metres)
{
    static const struct {
        const char *name;
        double metres;
    } units[] = {{"m", 1}, {"km", 1000}, {"ft", 0.3048}, {"mi", 1609.34}};
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (!ctx_arg_is(ctx, arg, units[i].name)) continue;
        *metres = units[i].metres;
        return true;
    }
    reply_error(ctx->reply, "ERR unsupported unit provided. please use M, KM, FT, MI");
    return false;
}

void reply_geo_distance(struct reply *r, double distance)
{
    char text[NUM_U64_MAX_CHARS + 5];
    /* Not negative, and small enough. */
    uint64_t scaled = (uint64_t)llrint(distance * 10000), fraction = scaled % 10000;
    size_t len = num_format_u64(text, scaled / 10000);
    text[len++] = '.';
    for (uint64_t unit = 1000; unit > 0; unit /= 10) text[len++] = (char)('0' + fraction / unit % 10);
    reply_bulk(r, bytes_view(text, len));
}

void reply_geo_point(struct reply *r, struct geo_point p)
{
    reply_array(r, 2);
    reply_long_double(r, p.lon);
    reply_long_double(r, p.lat);
}

/* ---- GEOADD: a ZADD, and that is what goes into the stream ---- */

enum { SCORE_CHARS = NUM_U64_MAX_CHARS };

struct zadd_args {
    struct bytes_view *argv;
    char (*scores)[SCORE_CHARS];
    int argc;
};

/* Builds the arguments of ZADD: the options stay, positions become scores. */
static bool make_zadd(struct cmd_ctx *ctx, int first_place, struct zadd_args *z)
{
    z->argv[0] = BYTES_LIT("ZADD");
    for (z->argc = 1; z->argc < first_place; z->argc++) z->argv[z->argc] = ctx->argv[z->argc];
    for (int arg = first_place, i = 0; arg < ctx->argc; arg += 3, i++) {
        struct geo_point p;
        if (!arg_geo_point(ctx, arg, &p)) return false;
        z->argv[z->argc++] = bytes_view(z->scores[i], num_format_u64(z->scores[i], geo_cell_of(p)));
        z->argv[z->argc++] = ctx->argv[arg + 2];
    }
    return true;
}

static void run_zadd(struct cmd_ctx *ctx, const struct zadd_args *z)
{
    uint64_t changes_before = ctx->keyspace->stats.changes;
    struct cmd_ctx inner = *ctx;
    inner.argc = z->argc;
    inner.argv = z->argv;
    inner.request = NULL; /* the arguments are not those of the request */
    zset_add_command(&inner);
    if (ctx->keyspace->stats.changes != changes_before) ctx_replicate_as(ctx, z->argc, z->argv);
}

static void cmd_geoadd(struct cmd_ctx *ctx)
{
    bool nx = false, xx = false;
    int first_place = 2;
    for (; first_place < ctx->argc; first_place++) {
        bool is_nx = ctx_arg_is(ctx, first_place, "nx"), is_xx = ctx_arg_is(ctx, first_place, "xx");
        if (!is_nx && !is_xx && !ctx_arg_is(ctx, first_place, "ch")) break;
        nx |= is_nx;
        xx |= is_xx;
    }
    if ((ctx->argc - first_place) % 3 != 0 || (nx && xx)) {
        ctx_error_syntax(ctx);
        return;
    }
    size_t argc = (size_t)ctx->argc;
    struct zadd_args z = {.argv = mem_alloc(argc * sizeof(*z.argv)), .scores = mem_alloc(argc * sizeof(*z.scores))};
    if (make_zadd(ctx, first_place, &z)) run_zadd(ctx, &z);
    mem_free(z.argv);
    mem_free(z.scores);
}

/* ---- GEOPOS, GEOHASH, GEODIST ---- */

static bool place_of(const struct zset *z, struct bytes_view member, struct geo_point *out)
{
    double score;
    if (z == NULL || !zset_score(z, member, &score)) return false;
    *out = geo_point_of_score(score);
    return true;
}

static void cmd_geopos(struct cmd_ctx *ctx)
{
    const void *z;
    struct geo_point p;
    if (ctx_read_value(ctx, 1, TYPE_ZSET, &z) == LOOKUP_WRONG_TYPE) return;
    reply_array(ctx->reply, (size_t)ctx->argc - 2);
    for (int arg = 2; arg < ctx->argc; arg++) {
        if (place_of(z, ctx->argv[arg], &p))
            reply_geo_point(ctx->reply, p);
        else
            reply_null_array(ctx->reply);
    }
}

static void cmd_geohash(struct cmd_ctx *ctx)
{
    const void *z;
    struct geo_point p;
    char hash[GEO_HASH_CHARS];
    if (ctx_read_value(ctx, 1, TYPE_ZSET, &z) == LOOKUP_WRONG_TYPE) return;
    reply_array(ctx->reply, (size_t)ctx->argc - 2);
    for (int arg = 2; arg < ctx->argc; arg++) {
        if (!place_of(z, ctx->argv[arg], &p)) {
            reply_null(ctx->reply);
            continue;
        }
        geo_format_hash(p, hash);
        reply_bulk(ctx->reply, bytes_view(hash, sizeof(hash)));
    }
}

static void cmd_geodist(struct cmd_ctx *ctx)
{
    const void *z;
    struct geo_point from, to;
    double unit = 1;
    if (ctx->argc == 5 && !arg_geo_unit(ctx, 4, &unit)) return;
    if (ctx->argc > 5) {
        ctx_error_syntax(ctx);
        return;
    }
    if (ctx_read_value(ctx, 1, TYPE_ZSET, &z) == LOOKUP_WRONG_TYPE) return;
    if (place_of(z, ctx->argv[2], &from) && place_of(z, ctx->argv[3], &to))
        reply_geo_distance(ctx->reply, geo_distance(from, to) / unit);
    else
        reply_null(ctx->reply);
}

// clang-format off
#define GEO_ROW .acl = ACL_GEO, .group = "geo", .since = "3.2.0"
#define READS   .flags = CMD_READONLY, .keys = { KEY_AT(1, KEY_RO | KEY_ACCESS) }

const struct command geo_commands[] = {
    { .name = "geoadd", .run = cmd_geoadd, .arity = -5, .flags = CMD_WRITE | CMD_DENYOOM, GEO_ROW, .keys = { KEY_AT(1, KEY_RW | KEY_UPDATE) },
      .complexity = "O(log(N)) for each item added, where N is the number of elements in the sorted set.", .summary = "Adds places to a sorted set, creating it if need be.",
      .history = "6.2.0 CH, NX and XX were added.",
      .syntax = "key:k0 [condition<NX | XX>]@6.2.0 [change!CH]@6.2.0 data(longitude:d latitude:d member)..." },
    { .name = "geopos", .run = cmd_geopos, .arity = -2, GEO_ROW, READS,
      .complexity = "O(1) for each member requested.", .summary = "Returns the longitude and latitude of members.",
      .syntax = "key:k0 [member]..." },
    { .name = "geohash", .run = cmd_geohash, .arity = -2, GEO_ROW, READS,
      .complexity = "O(1) for each member requested.", .summary = "Returns the places of members as geohash strings.",
      .syntax = "key:k0 [member]..." },
    { .name = "geodist", .run = cmd_geodist, .arity = -4, GEO_ROW, READS,
      .complexity = "O(1)", .summary = "Returns the distance between two members.",
      .syntax = "key:k0 member1 member2 [unit<M | KM | FT | MI>]" },
    { 0 },
};
// clang-format on
