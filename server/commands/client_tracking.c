#include "server/commands/client_tracking.h"

#include "server/clients/clients.h"
#include "server/clients/tracking.h"
#include "storage/base/checked.h"
#include "storage/base/memory.h"
#include "storage/base/ranking.h"

struct options {
    unsigned mode;
    uint64_t redirect;
    struct bytes_view *prefixes; /* as many as there are arguments */
    size_t prefix_count;
};

static bool set_redirect(struct cmd_ctx *ctx, int arg, struct options *o)
{
    int64_t id;
    if (o->redirect != 0) {
        reply_error(ctx->reply, "ERR A client can only redirect to a single other client");
        return false;
    }
    if (!ctx_arg_i64(ctx, arg, &id)) return false;
    if (id > 0 && client_by_id(ctx->client->clients, (uint64_t)id) != NULL) {
        o->redirect = (uint64_t)id;
        return true;
    }
    reply_error(ctx->reply, "ERR The client ID you want redirect to does not exist");
    return false;
}

/* Parses one option; *arg is moved past its argument. */
static bool parse_option(struct cmd_ctx *ctx, int *arg, struct options *o)
{
    bool more = ctx_has_arg(ctx, *arg + 1);
    if (ctx_arg_is(ctx, *arg, "redirect") && more) return set_redirect(ctx, ++*arg, o);
    if (ctx_arg_is(ctx, *arg, "prefix") && more)
        o->prefixes[o->prefix_count++] = ctx->argv[++*arg];
    else if (ctx_arg_is(ctx, *arg, "bcast"))
        o->mode |= TRACKING_BCAST;
    else if (ctx_arg_is(ctx, *arg, "optin"))
        o->mode |= TRACKING_OPTIN;
    else if (ctx_arg_is(ctx, *arg, "optout"))
        o->mode |= TRACKING_OPTOUT;
    else if (ctx_arg_is(ctx, *arg, "noloop"))
        o->mode |= TRACKING_NOLOOP;
    else {
        ctx_error_syntax(ctx);
        return false;
    }
    return true;
}

/* Why these options do not fit each other or the options in force, or NULL. */
static const char *misfit(const struct client *c, const struct options *o)
{
    unsigned now = tracking_mode_of(c), mode = o->mode;
    bool bcast = mode & TRACKING_BCAST, optin = mode & TRACKING_OPTIN, optout = mode & TRACKING_OPTOUT;
    if (!bcast && o->prefix_count > 0) return "ERR PREFIX option requires BCAST mode to be enabled";
    if (client_has(c, CLIENT_TRACKING) && bcast != (bool)(now & TRACKING_BCAST))
        return "ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling it "
               "with a different mode.";
    if (bcast && (optin || optout)) return "ERR OPTIN and OPTOUT are not compatible with BCAST";
    if (optin && optout) return "ERR You can't specify both OPTIN mode and OPTOUT mode";
    if ((optin && (now & TRACKING_OPTOUT)) || (optout && (now & TRACKING_OPTIN)))
        return "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling it "
               "with a different mode.";
    return NULL;
}

static bool refuse_overlap(struct cmd_ctx *ctx, struct bytes_view prefix, const char *which, struct bytes_view other)
{
    reply_errorf(ctx->reply,
                 "ERR Prefix '%.*s' overlaps with %s prefix '%.*s'. Prefixes for a single client must not overlap.",
                 bytes_shown(prefix, 128), prefix.data, which, bytes_shown(other, 128), other.data);
    return false;
}

static int compare_prefixes(const void *ctx, size_t a, size_t b)
{
    const struct options *o = ctx;
    return bytes_compare(o->prefixes[a], o->prefixes[b]);
}

struct overlap {
    size_t first, second; /* positions of overlapping prefixes, first < second; SIZE_MAX: none */
};

/* If one prefix begins another, it also begins all that stand between them in sorted order. So it is enough to compare
 * neighbours. */
static struct overlap find_overlap(const struct options *o)
{
    struct overlap found = {SIZE_MAX, SIZE_MAX};
    struct ranked *order = mem_alloc(checked_size_mul(o->prefix_count, sizeof(*order)));
    for (size_t i = 0; i < o->prefix_count; i++)
        order[i] = (struct ranked){.key = ranking_key_of_bytes(o->prefixes[i]), .index = i};
    ranking_sort(order, o->prefix_count, compare_prefixes, o);
    for (size_t i = 1; i < o->prefix_count; i++) {
        size_t a = order[i - 1].index, b = order[i].index, first = a < b ? a : b;
        if (first < found.first && tracking_prefixes_overlap(o->prefixes[a], o->prefixes[b]))
            found = (struct overlap){first, a < b ? b : a};
    }
    mem_free(order);
    return found;
}

static bool prefixes_fit(struct cmd_ctx *ctx, const struct options *o)
{
    struct overlap provided = find_overlap(o);
    for (size_t i = 0; i < o->prefix_count; i++) {
        const struct bytes_view *existing = tracking_overlap(ctx->client, o->prefixes[i]);
        if (existing != NULL) return refuse_overlap(ctx, o->prefixes[i], "an existing", *existing);
        if (i == provided.first)
            return refuse_overlap(ctx, o->prefixes[i], "another provided", o->prefixes[provided.second]);
    }
    return true;
}

static void start(struct cmd_ctx *ctx, const struct options *o)
{
    const char *why = misfit(ctx->client, o);
    if (why != NULL) {
        reply_error(ctx->reply, why);
    } else if (prefixes_fit(ctx, o)) {
        tracking_start(ctx->client, o->mode, o->redirect, o->prefixes, o->prefix_count);
        reply_ok(ctx->reply);
    }
}

static bool parse_options(struct cmd_ctx *ctx, struct options *o)
{
    for (int i = 3; i < ctx->argc; i++)
        if (!parse_option(ctx, &i, o)) return false;
    return true;
}

void cmd_client_tracking(struct cmd_ctx *ctx)
{
    struct options o = {.prefixes = mem_alloc(sizeof(struct bytes_view) * (size_t)ctx->argc)};
    if (!parse_options(ctx, &o)) {
        /* Already answered. */
    } else if (ctx_arg_is(ctx, 2, "on")) {
        start(ctx, &o);
    } else if (ctx_arg_is(ctx, 2, "off")) {
        tracking_stop(ctx->client);
        reply_ok(ctx->reply);
    } else {
        ctx_error_syntax(ctx);
    }
    mem_free(o.prefixes);
}

/* For the next command, or for the transaction that it begins. end_caching() of dispatch.c clears it. */
void cmd_client_caching(struct cmd_ctx *ctx)
{
    unsigned mode = tracking_mode_of(ctx->client);
    bool yes = ctx_arg_is(ctx, 2, "yes");
    if (!client_has(ctx->client, CLIENT_TRACKING)) {
        reply_error(ctx->reply,
                    "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or "
                    "OPTOUT mode enabled");
    } else if (!yes && !ctx_arg_is(ctx, 2, "no")) {
        ctx_error_syntax(ctx);
    } else if (yes && !(mode & TRACKING_OPTIN)) {
        reply_error(ctx->reply, "ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.");
    } else if (!yes && !(mode & TRACKING_OPTOUT)) {
        reply_error(ctx->reply, "ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.");
    } else {
        tracking_set_caching(ctx->client);
        reply_ok(ctx->reply);
    }
}

void cmd_client_getredir(struct cmd_ctx *ctx)
{
    reply_int(ctx->reply, client_has(ctx->client, CLIENT_TRACKING) ? (int64_t)tracking_redirect(ctx->client) : -1);
}

static size_t list_flags(const struct client *c, const char *words[8])
{
    size_t n = 0;
    unsigned mode = tracking_mode_of(c);
    bool caching = client_has(c, CLIENT_TRACKING_CACHING);
    words[n++] = client_has(c, CLIENT_TRACKING) ? "on" : "off";
    if (mode & TRACKING_BCAST) words[n++] = "bcast";
    if (mode & TRACKING_OPTIN) words[n++] = "optin";
    if ((mode & TRACKING_OPTIN) && caching) words[n++] = "caching-yes";
    if (mode & TRACKING_OPTOUT) words[n++] = "optout";
    if ((mode & TRACKING_OPTOUT) && caching) words[n++] = "caching-no";
    if (mode & TRACKING_NOLOOP) words[n++] = "noloop";
    if (client_has(c, CLIENT_TRACKING_BROKEN)) words[n++] = "broken_redirect";
    return n;
}

void cmd_client_trackinginfo(struct cmd_ctx *ctx)
{
    const char *words[8];
    size_t count = list_flags(ctx->client, words), prefixes = tracking_prefix_count(ctx->client);
    reply_map(ctx->reply, 3);
    reply_bulk_cstr(ctx->reply, "flags");
    reply_set(ctx->reply, count);
    for (size_t i = 0; i < count; i++) reply_bulk_cstr(ctx->reply, words[i]);
    reply_bulk_cstr(ctx->reply, "redirect");
    cmd_client_getredir(ctx);
    reply_bulk_cstr(ctx->reply, "prefixes");
    reply_array(ctx->reply, prefixes);
    for (size_t i = 0; i < prefixes; i++) reply_bulk(ctx->reply, tracking_prefix(ctx->client, i));
}
