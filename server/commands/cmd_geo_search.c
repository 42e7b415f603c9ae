/* cmd_geo_search.c -- GEOSEARCH, GEOSEARCHSTORE, GEORADIUS, GEORADIUSBYMEMBER and their read-only forms.
 * They find the members of a sorted set within a circle or a box. All are one search with different syntax: parse the
 * arguments, walk the ranges of scores that cover the shape, sort, then reply or store a sorted set. */
#include "server/commands/cmd_geo.h"
#include "server/commands/collection.h"
#include "server/commands/tables.h"
#include "storage/base/checked.h"
#include "storage/base/memory.h"
#include "storage/base/ranking.h"

/* ---- Arguments ---- */

enum search_order { ORDER_NONE, ORDER_ASCENDING, ORDER_DESCENDING };

/* What depends on the command's name. */
struct search_kind {
    int source_arg, options_arg; /* positions of the key and of the first option */
    bool any_shape;              /* GEOSEARCH: center and shape are options */
    bool from_member;            /* GEORADIUSBYMEMBER */
    bool stores;                 /* GEOSEARCHSTORE: into the first key */
    bool store_options;          /* STORE and STOREDIST are options with a key */
};

struct search {
    struct cmd_ctx *ctx;
    const struct search_kind *kind;
    const struct zset *source; /* NULL: no such key; the arguments are checked anyway */
    struct geo_shape shape;
    bool has_member, has_point, has_radius, has_box;
    bool with_distance, with_hash, with_point, any;
    int64_t count; /* 0: all */
    enum search_order order;
    int store_arg; /* 0: reply to the client */
    bool store_distance;
};

static bool fail(struct search *s, const char *error)
{
    reply_error(s->ctx->reply, error);
    return false;
}

static bool arg_size(struct search *s, int arg, const char *error, double *out)
{
    return num_parse_double(s->ctx->argv[arg], out) || fail(s, error);
}

static bool parse_circle(struct search *s, int arg)
{
    double radius;
    if (!arg_size(s, arg, "ERR need numeric radius", &radius)) return false;
    if (radius < 0) return fail(s, "ERR radius cannot be negative");
    s->shape.type = GEO_CIRCLE;
    s->shape.radius = radius;
    s->has_radius = true;
    return arg_geo_unit(s->ctx, arg + 1, &s->shape.unit);
}

static bool parse_box(struct search *s, int arg)
{
    double width, height;
    if (!arg_size(s, arg, "ERR need numeric width", &width) ||
        !arg_size(s, arg + 1, "ERR need numeric height", &height))
        return false;
    if (width < 0 || height < 0) return fail(s, "ERR height or width cannot be negative");
    s->shape.type = GEO_BOX;
    s->shape.width = width;
    s->shape.height = height;
    s->has_box = true;
    return arg_geo_unit(s->ctx, arg + 2, &s->shape.unit);
}

static bool parse_member(struct search *s, int arg)
{
    double score;
    s->has_member = true;
    if (s->source == NULL) return true; /* the result is empty anyway */
    if (!zset_score(s->source, s->ctx->argv[arg], &score)) return fail(s, "ERR could not decode requested zset member");
    s->shape.center = geo_point_of_score(score);
    return true;
}

static bool parse_count(struct search *s, int arg)
{
    if (!ctx_arg_i64(s->ctx, arg, &s->count)) return false;
    return s->count > 0 || fail(s, "ERR COUNT must be > 0");
}

/* An option without a value. */
static bool take_flag(struct search *s, int arg)
{
    struct cmd_ctx *ctx = s->ctx;
    if (ctx_arg_is(ctx, arg, "withdist"))
        s->with_distance = true;
    else if (ctx_arg_is(ctx, arg, "withhash"))
        s->with_hash = true;
    else if (ctx_arg_is(ctx, arg, "withcoord"))
        s->with_point = true;
    else if (ctx_arg_is(ctx, arg, "any"))
        s->any = true;
    else if (ctx_arg_is(ctx, arg, "asc"))
        s->order = ORDER_ASCENDING;
    else if (ctx_arg_is(ctx, arg, "desc"))
        s->order = ORDER_DESCENDING;
    else if (s->kind->stores && ctx_arg_is(ctx, arg, "storedist"))
        s->store_distance = true;
    else
        return false;
    return true;
}

/* GEOSEARCH's options of center and shape. Returns the number of arguments, 0 for another option, -1 on an error. */
static int parse_place_option(struct search *s, int arg)
{
    struct cmd_ctx *ctx = s->ctx;
    if (!s->kind->any_shape) return 0;
    if (ctx_arg_is(ctx, arg, "frommember") && ctx_has_arg(ctx, arg + 1) && !s->has_point)
        return parse_member(s, arg + 1) ? 2 : -1;
    if (ctx_arg_is(ctx, arg, "fromlonlat") && ctx_has_arg(ctx, arg + 2) && !s->has_member) {
        s->has_point = true;
        return arg_geo_point(ctx, arg + 1, &s->shape.center) ? 3 : -1;
    }
    if (ctx_arg_is(ctx, arg, "byradius") && ctx_has_arg(ctx, arg + 2) && !s->has_box)
        return parse_circle(s, arg + 1) ? 3 : -1;
    if (ctx_arg_is(ctx, arg, "bybox") && ctx_has_arg(ctx, arg + 3) && !s->has_radius)
        return parse_box(s, arg + 1) ? 4 : -1;
    return 0;
}

static bool is_store_option(struct bytes_view word)
{
    return bytes_equal_nocase(word, "store") || bytes_equal_nocase(word, "storedist");
}

/* The number of arguments, or -1: the error has been answered. */
static int parse_option(struct search *s, int arg)
{
    struct cmd_ctx *ctx = s->ctx;
    if (take_flag(s, arg)) return 1;
    if (ctx_arg_is(ctx, arg, "count") && ctx_has_arg(ctx, arg + 1)) return parse_count(s, arg + 1) ? 2 : -1;
    if (s->kind->store_options && is_store_option(ctx->argv[arg]) && ctx_has_arg(ctx, arg + 1)) {
        s->store_arg = arg + 1;
        s->store_distance = ctx_arg_is(ctx, arg, "storedist");
        return 2;
    }
    int length = parse_place_option(s, arg);
    if (length != 0) return length;
    ctx_error_syntax(ctx);
    return -1;
}

static bool options_fit(struct search *s)
{
    const char *name = s->ctx->argv[0].data;
    int name_len = (int)s->ctx->argv[0].len; /* the name of a known command: short */
    if (s->store_arg > 0 && (s->with_distance || s->with_hash || s->with_point)) {
        reply_errorf(s->ctx->reply, "ERR %s is not compatible with WITHDIST, WITHHASH and WITHCOORD options",
                     s->kind->stores ? "GEOSEARCHSTORE" : "STORE option in GEORADIUS");
        return false;
    }
    if (s->kind->any_shape && !s->has_member && !s->has_point) {
        reply_errorf(s->ctx->reply, "ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for %.*s", name_len,
                     name);
        return false;
    }
    if (s->kind->any_shape && !s->has_radius && !s->has_box) {
        reply_errorf(s->ctx->reply, "ERR exactly one of BYRADIUS and BYBOX can be specified for %.*s", name_len, name);
        return false;
    }
    return !s->any || s->count > 0 || fail(s, "ERR the ANY argument requires COUNT argument");
}

/* The arguments in fixed positions. Without a source, a member and the arguments behind it are not checked. */
static bool parse_fixed(struct search *s)
{
    if (s->kind->any_shape) return true;
    if (!s->kind->from_member) return arg_geo_point(s->ctx, 2, &s->shape.center) && parse_circle(s, 4);
    return s->source == NULL || (parse_member(s, 2) && parse_circle(s, 3));
}

static bool parse_search(struct search *s)
{
    if (s->kind->stores) s->store_arg = 1;
    if (!parse_fixed(s)) return false;
    for (int arg = s->kind->options_arg, length; arg < s->ctx->argc; arg += length) {
        length = parse_option(s, arg);
        if (length < 0) return false;
    }
    if (!options_fit(s)) return false;
    if (s->count > 0 && s->order == ORDER_NONE && !s->any) s->order = ORDER_ASCENDING; /* the nearest members */
    return true;
}

/* Finds all keys of STORE and STOREDIST, although only the last is used (CVE-2023-41053). */
static int find_store_keys(int argc, const struct bytes_view *argv, int options_arg, struct command_key *keys, int max)
{
    int count = 1;
    if (max > 0) keys[0] = (struct command_key){.arg = 1, .flags = KEY_RO | KEY_ACCESS};
    for (int arg = options_arg; arg + 1 < argc; arg++) {
        if (bytes_equal_nocase(argv[arg], "count")) arg++;
        if (arg + 1 >= argc || !is_store_option(argv[arg])) continue;
        arg++;
        if (count < max) keys[count] = (struct command_key){.arg = arg, .flags = KEY_OW | KEY_UPDATE};
        count++;
    }
    return count;
}

static int find_radius_keys(int argc, const struct bytes_view *argv, struct command_key *keys, int max)
{
    return find_store_keys(argc, argv, 6, keys, max);
}
static int find_member_keys(int argc, const struct bytes_view *argv, struct command_key *keys, int max)
{
    return find_store_keys(argc, argv, 5, keys, max);
}

/* ---- Finding ---- */

struct match {
    size_t member_at, member_len; /* in the bytes of the result */
    double score, distance;       /* in the unit of the request */
    struct geo_point place;
};

struct matches {
    struct match *list;
    size_t count, room;
    struct bytes_buf members;
    struct ranked *order; /* NULL: unsorted */
    size_t answered;      /* how many matches the reply has */
};

static void add_match(struct matches *m, struct bytes_view member, const struct match *found)
{
    if (m->count == m->room) {
        m->room = m->room == 0 ? 16 : checked_size_mul(m->room, 2);
        m->list = mem_realloc(m->list, checked_size_mul(m->room, sizeof(*m->list)));
    }
    struct match *added = &m->list[m->count++];
    *added = *found;
    added->member_at = m->members.len;
    added->member_len = member.len;
    bytes_buf_append_view(&m->members, member);
}

static bool has_enough(const struct search *s, const struct matches *m)
{
    return s->any && m->count >= (uint64_t)s->count;
}

static void find_in_range(const struct search *s, double min, double max, struct matches *m)
{
    struct zset_iter it;
    struct bytes_view member;
    struct match found;
    size_t rank = zset_rank_of_score(s->source, min, false);
    if (rank == zset_count(s->source)) return;
    zset_iter_init(&it, s->source, rank, false);
    while (!has_enough(s, m) && zset_iter_next(&it, &member, &found.score) && found.score < max) {
        found.place = geo_point_of_score(found.score);
        if (!geo_shape_holds(&s->shape, found.place, &found.distance)) continue;
        found.distance /= s->shape.unit;
        add_match(m, member, &found);
    }
}

static void put_in_order(const struct search *s, struct matches *m)
{
    m->answered = s->count > 0 && (uint64_t)s->count < m->count ? (size_t)s->count : m->count;
    if (s->order == ORDER_NONE) return;
    m->order = mem_alloc(checked_size_mul(m->count, sizeof(*m->order)));
    for (size_t i = 0; i < m->count; i++) {
        uint64_t key = ranking_key_of_double(m->list[i].distance);
        m->order[i] = (struct ranked){.key = s->order == ORDER_ASCENDING ? key : ~key, .index = i};
    }
    ranking_sort_first(m->order, m->count, m->answered, NULL, NULL);
}

static void find_matches(struct search *s, struct matches *m)
{
    struct geo_ranges ranges;
    geo_shape_prepare(&s->shape);
    geo_shape_ranges(&s->shape, &ranges);
    for (size_t i = 0; i < ranges.count && !has_enough(s, m); i++)
        find_in_range(s, ranges.range[i].min, ranges.range[i].max, m);
    put_in_order(s, m);
}

static const struct match *match_at(const struct matches *m, size_t i)
{
    return &m->list[m->order == NULL ? i : m->order[i].index];
}

static struct bytes_view member_of(const struct matches *m, const struct match *match)
{
    return bytes_view(bytes_buf_view(&m->members).data + match->member_at, match->member_len);
}

static void matches_release(struct matches *m)
{
    mem_free(m->list);
    mem_free(m->order);
    bytes_buf_release(&m->members);
}

/* ---- Results ---- */

static void reply_matches(const struct search *s, const struct matches *m)
{
    struct reply *r = s->ctx->reply;
    size_t details = (size_t)s->with_distance + s->with_hash + s->with_point;
    reply_array(r, m->answered);
    for (size_t i = 0; i < m->answered; i++) {
        const struct match *match = match_at(m, i);
        if (details > 0) reply_array(r, 1 + details);
        reply_bulk(r, member_of(m, match));
        if (s->with_distance) reply_geo_distance(r, match->distance);
        if (s->with_hash) reply_int(r, (int64_t)match->score);
        if (s->with_point) reply_geo_point(r, match->place);
    }
}

static struct zset *zset_of_matches(const struct search *s, const struct matches *m)
{
    size_t longest = 0;
    if (m->answered == 0) return NULL;
    for (size_t i = 0; i < m->answered; i++)
        if (match_at(m, i)->member_len > longest) longest = match_at(m, i)->member_len;
    struct zset *z = zset_new(s->ctx->keyspace->env, m->answered, longest);
    for (size_t i = 0; i < m->answered; i++) {
        const struct match *match = match_at(m, i);
        zset_set(z, member_of(m, match), s->store_distance ? match->distance : match->score);
    }
    return z;
}

static void store_matches(const struct search *s, const struct matches *m)
{
    struct cmd_ctx *ctx = s->ctx;
    struct keyref key = ctx_key(ctx, s->store_arg);
    struct zset *z = zset_of_matches(s, m);
    size_t count = z == NULL ? 0 : zset_count(z);
    if (z != NULL) {
        keyspace_put_value(ctx->db, key, TYPE_ZSET, z, 0);
        ctx_changed(ctx, key, NOTIFY_ZSET, s->kind->any_shape ? "geosearchstore" : "georadiusstore", count);
    } else if (keyspace_delete(ctx->db, key, ctx->settings->memory.lazyfree_lazy_server_del)) {
        ctx_changed(ctx, key, NOTIFY_GENERIC, "del", 1);
    }
    reply_int(ctx->reply, (int64_t)count);
}

static void search(struct cmd_ctx *ctx, const struct search_kind *kind)
{
    const void *source;
    struct matches m = {0};
    if (ctx_read_value(ctx, kind->source_arg, TYPE_ZSET, &source) == LOOKUP_WRONG_TYPE) return;
    struct search s = {.ctx = ctx, .kind = kind, .source = source};
    if (!parse_search(&s)) return;
    if (source != NULL) find_matches(&s, &m);
    if (s.store_arg > 0)
        store_matches(&s, &m);
    else
        reply_matches(&s, &m);
    matches_release(&m);
}

static void cmd_geosearch(struct cmd_ctx *ctx)
{
    search(ctx, &(struct search_kind){.source_arg = 1, .options_arg = 2, .any_shape = true});
}
static void cmd_geosearchstore(struct cmd_ctx *ctx)
{
    search(ctx, &(struct search_kind){.source_arg = 2, .options_arg = 3, .any_shape = true, .stores = true});
}
static void cmd_georadius(struct cmd_ctx *ctx)
{
    search(ctx, &(struct search_kind){.source_arg = 1, .options_arg = 6, .store_options = true});
}
static void cmd_georadius_ro(struct cmd_ctx *ctx)
{
    search(ctx, &(struct search_kind){.source_arg = 1, .options_arg = 6});
}
static void cmd_georadiusbymember(struct cmd_ctx *ctx)
{
    search(ctx, &(struct search_kind){.source_arg = 1, .options_arg = 5, .from_member = true, .store_options = true});
}
static void cmd_georadiusbymember_ro(struct cmd_ctx *ctx)
{
    search(ctx, &(struct search_kind){.source_arg = 1, .options_arg = 5, .from_member = true});
}

// clang-format off
#define GEO_ROW .acl = ACL_GEO, .group = "geo"
#define SEARCHES "O(N+log(M)) where N is the number of elements in the grid-aligned bounding box area around the shape provided as the filter and M is the number of items inside the shape"
#define RADIUS_SEARCHES "O(N+log(M)) where N is the number of elements inside the bounding box of the circular area delimited by center and radius and M is the number of items inside the index."
#define READS   .flags = CMD_READONLY, .keys = { KEY_AT(1, KEY_RO | KEY_ACCESS) }
#define STORE_KEY(word, from) { .flags = KEY_OW | KEY_UPDATE, .begin = KEY_BEGIN_KEYWORD, .begin_keyword = (word), .begin_at = (from), .step = 1 }
#define MAY_STORE(from) .flags = CMD_WRITE | CMD_DENYOOM, .keys = { KEY_AT(1, KEY_RO | KEY_ACCESS), STORE_KEY("STORE", from), STORE_KEY("STOREDIST", from) }

const struct command geo_search_commands[] = {
    { .name = "geosearch", .run = cmd_geosearch, .arity = -7, GEO_ROW, READS, .since = "6.2.0", .complexity = SEARCHES,
      .summary = "Returns the members whose places lie within a circle or a box.",
      .history = "7.0.0 Units may be written in capitals.",
      .syntax = "key:k0 from<FROMMEMBER member | FROMLONLAT fromlonlat(longitude:d latitude:d)> by<circle(BYRADIUS radius:d unit<M | KM | FT | MI>) | box(BYBOX width:d height:d unit<M | KM | FT | MI>)> [order<ASC | DESC>] [count-block(COUNT count:i [ANY])] [WITHCOORD] [WITHDIST] [WITHHASH]" },
    { .name = "geosearchstore", .run = cmd_geosearchstore, .arity = -8, .flags = CMD_WRITE | CMD_DENYOOM, GEO_ROW,
      .keys = { KEY_AT(1, KEY_OW | KEY_UPDATE), KEY_AT(2, KEY_RO | KEY_ACCESS) }, .since = "6.2.0", .complexity = SEARCHES,
      .summary = "Stores the members whose places lie within a circle or a box.",
      .history = "7.0.0 Units may be written in capitals.",
      .syntax = "destination:k0 source:k1 from<FROMMEMBER member | FROMLONLAT fromlonlat(longitude:d latitude:d)> by<circle(BYRADIUS radius:d unit<M | KM | FT | MI>) | box(BYBOX width:d height:d unit<M | KM | FT | MI>)> [order<ASC | DESC>] [count-block(COUNT count:i [ANY])] [STOREDIST]" },
    { .name = "georadius", .run = cmd_georadius, .arity = -6, GEO_ROW, MAY_STORE(6), .find_keys = find_radius_keys, .since = "3.2.0", .complexity = RADIUS_SEARCHES,
      .summary = "Returns or stores the members whose places are near a point.",
      .deprecated_since = "6.2.0", .replaced_by = "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` argument",
      .history = "6.2.0 COUNT takes ANY.\n7.0.0 Units may be written in capitals.",
      .syntax = "key:k0 longitude:d latitude:d radius:d unit<M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] [count-block(COUNT count:i [ANY]@6.2.0)] [order<ASC | DESC>] [store<STORE storekey\"key\":k1 | STOREDIST storedistkey\"key\":k2>]" },
    { .name = "georadius_ro", .run = cmd_georadius_ro, .arity = -6, GEO_ROW, READS, .since = "3.2.10", .complexity = RADIUS_SEARCHES,
      .summary = "Returns the members whose places are near a point.",
      .deprecated_since = "6.2.0", .replaced_by = "`GEOSEARCH` with the `BYRADIUS` argument",
      .history = "6.2.0 COUNT takes ANY.",
      .syntax = "key:k0 longitude:d latitude:d radius:d unit<M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] [count-block(COUNT count:i [ANY]@6.2.0)] [order<ASC | DESC>]" },
    { .name = "georadiusbymember", .run = cmd_georadiusbymember, .arity = -5, GEO_ROW, MAY_STORE(5), .find_keys = find_member_keys, .since = "3.2.0", .complexity = RADIUS_SEARCHES,
      .summary = "Returns or stores the members whose places are near that of a member.",
      .deprecated_since = "6.2.0", .replaced_by = "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` and `FROMMEMBER` arguments",
      .history = "7.0.0 Units may be written in capitals.",
      .syntax = "key:k0 member radius:d unit<M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] [count-block(COUNT count:i [ANY])] [order<ASC | DESC>] [store<STORE storekey\"key\":k1 | STOREDIST storedistkey\"key\":k2>]" },
    { .name = "georadiusbymember_ro", .run = cmd_georadiusbymember_ro, .arity = -5, GEO_ROW, READS, .since = "3.2.10", .complexity = RADIUS_SEARCHES,
      .summary = "Returns the members whose places are near that of a member.",
      .deprecated_since = "6.2.0", .replaced_by = "`GEOSEARCH` with the `BYRADIUS` and `FROMMEMBER` arguments",
      .syntax = "key:k0 member radius:d unit<M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] [count-block(COUNT count:i [ANY])] [order<ASC | DESC>]" },
    { 0 },
};
// clang-format on
