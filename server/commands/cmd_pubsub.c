/* cmd_pubsub.c -- SUBSCRIBE and its variants, PUBLISH, SPUBLISH and PUBSUB. */
#include "server/clients/clients.h"
#include "server/clients/pubsub.h"
#include "server/commands/tables.h"
#include "server/dispatch/command.h"
#include "server/sentinel/sentinel_room.h"
#include "storage/base/glob.h"

/* ---- Subscribing ---- */

/* The count in a confirmation: channels and patterns together, or shard channels. */
static size_t counted(const struct client *c, enum pubsub_kind kind)
{
    if (kind == PUBSUB_SHARD) return pubsub_client_count(c, PUBSUB_SHARD);
    return pubsub_client_count(c, PUBSUB_CHANNEL) + pubsub_client_count(c, PUBSUB_PATTERN);
}

static void confirm(struct client *c, const char *word, enum pubsub_kind kind, struct bytes_view name)
{
    client_push_begin(c);
    reply_push(&c->reply, 3);
    reply_bulk_cstr(&c->reply, word);
    if (name.data != NULL)
        reply_bulk(&c->reply, name);
    else
        reply_null(&c->reply);
    reply_int(&c->reply, (int64_t)counted(c, kind));
    client_push_end(c);
}

static void subscribe(struct cmd_ctx *ctx, enum pubsub_kind kind, const char *word)
{
    for (int i = 1; i < ctx->argc; i++) {
        pubsub_subscribe(ctx->client, kind, ctx->argv[i]);
        confirm(ctx->client, word, kind, ctx->argv[i]);
    }
}

struct confirming {
    struct client *client;
    enum pubsub_kind kind;
    const char *word;
};
static void confirm_one(void *ctx, struct bytes_view name)
{
    const struct confirming *cf = ctx;
    confirm(cf->client, cf->word, cf->kind, name);
}

static void unsubscribe_everything(struct client *c, enum pubsub_kind kind, const char *word)
{
    struct confirming cf = {.client = c, .kind = kind, .word = word};
    if (pubsub_unsubscribe_each(c, kind, confirm_one, &cf) == 0) confirm(c, word, kind, (struct bytes_view){0});
}

static void unsubscribe(struct cmd_ctx *ctx, enum pubsub_kind kind, const char *word)
{
    if (ctx->argc == 1) unsubscribe_everything(ctx->client, kind, word);
    for (int i = 1; i < ctx->argc; i++) {
        pubsub_unsubscribe(ctx->client, kind, ctx->argv[i]);
        confirm(ctx->client, word, kind, ctx->argv[i]);
    }
}

static void cmd_subscribe(struct cmd_ctx *ctx)
{
    subscribe(ctx, PUBSUB_CHANNEL, "subscribe");
}
static void cmd_psubscribe(struct cmd_ctx *ctx)
{
    subscribe(ctx, PUBSUB_PATTERN, "psubscribe");
}
static void cmd_ssubscribe(struct cmd_ctx *ctx)
{
    subscribe(ctx, PUBSUB_SHARD, "ssubscribe");
}
static void cmd_unsubscribe(struct cmd_ctx *ctx)
{
    unsubscribe(ctx, PUBSUB_CHANNEL, "unsubscribe");
}
static void cmd_punsubscribe(struct cmd_ctx *ctx)
{
    unsubscribe(ctx, PUBSUB_PATTERN, "punsubscribe");
}
static void cmd_sunsubscribe(struct cmd_ctx *ctx)
{
    unsubscribe(ctx, PUBSUB_SHARD, "sunsubscribe");
}

/* ---- Publishing ---- */

/* A sentinel takes hellos of others, and publishes what happens; nobody else publishes on it. */
static void publish_to_sentinel(struct cmd_ctx *ctx)
{
    if (!bytes_equal(ctx->argv[1], BYTES_LIT(SENTINEL_HELLO_CHANNEL))) {
        reply_error(ctx->reply, "ERR Only HELLO messages are accepted by Sentinel instances.");
        return;
    }
    sentinel_room_touch(ctx->core->sentinel);
    sentinel_hello(sentinel_room_library(ctx->core->sentinel), NULL, ctx->argv[2]);
    reply_int(ctx->reply, 1);
}

static void cmd_publish(struct cmd_ctx *ctx)
{
    if (ctx->core->sentinel != NULL) {
        publish_to_sentinel(ctx);
        return;
    }
    reply_int(ctx->reply, (int64_t)pubsub_publish(ctx->client->clients->pubsub, ctx->argv[1], ctx->argv[2]));
    ctx_replicate_moment(ctx);
}
static void cmd_spublish(struct cmd_ctx *ctx)
{
    reply_int(ctx->reply, (int64_t)pubsub_publish_shard(ctx->client->clients->pubsub, ctx->argv[1], ctx->argv[2]));
    ctx_replicate_moment(ctx);
}

/* ---- PUBSUB ---- */

struct listing {
    struct reply *reply;
    struct bytes_view pattern; /* data NULL: all topics */
    size_t count;
};
static void list_topic(void *ctx, struct bytes_view name)
{
    struct listing *l = ctx;
    if (l->pattern.data != NULL && !glob_match(l->pattern, name, false)) return;
    reply_bulk(l->reply, name);
    l->count++;
}
static void list_topics(struct cmd_ctx *ctx, enum pubsub_kind kind)
{
    struct listing l = {.reply = ctx->reply, .pattern = ctx->argc == 3 ? ctx->argv[2] : (struct bytes_view){0}};
    if (ctx->argc > 3) {
        ctx_error_subcommand(ctx, "PUBSUB");
        return;
    }
    struct outbuf_mark mark = reply_deferred(ctx->reply);
    pubsub_topics(ctx->client->clients->pubsub, kind, list_topic, &l);
    reply_deferred_array(ctx->reply, mark, l.count);
}
static void count_subscribers(struct cmd_ctx *ctx, enum pubsub_kind kind)
{
    reply_array(ctx->reply, 2 * ((size_t)ctx->argc - 2));
    for (int i = 2; i < ctx->argc; i++) {
        reply_bulk(ctx->reply, ctx->argv[i]);
        reply_int(ctx->reply, (int64_t)pubsub_subscriber_count(ctx->client->clients->pubsub, kind, ctx->argv[i]));
    }
}
static void cmd_pubsub_channels(struct cmd_ctx *ctx)
{
    list_topics(ctx, PUBSUB_CHANNEL);
}
static void cmd_pubsub_shardchannels(struct cmd_ctx *ctx)
{
    list_topics(ctx, PUBSUB_SHARD);
}
static void cmd_pubsub_numsub(struct cmd_ctx *ctx)
{
    count_subscribers(ctx, PUBSUB_CHANNEL);
}
static void cmd_pubsub_shardnumsub(struct cmd_ctx *ctx)
{
    count_subscribers(ctx, PUBSUB_SHARD);
}
static void cmd_pubsub_numpat(struct cmd_ctx *ctx)
{
    reply_int(ctx->reply, (int64_t)pubsub_topic_count(ctx->client->clients->pubsub, PUBSUB_PATTERN));
}
static void cmd_pubsub_help(struct cmd_ctx *ctx)
{
    static const char *const lines[] = {
        "PUBSUB <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "CHANNELS [<pattern>]",
        "    Return the channels that have subscribers and match the pattern (default: all).",
        "NUMPAT",
        "    Return the number of patterns that have subscribers.",
        "NUMSUB [<channel> ...]",
        "    Return the number of subscribers of each channel, patterns not counted.",
        "SHARDCHANNELS [<pattern>]",
        "    Return the shard channels that have subscribers and match the pattern (default: all).",
        "SHARDNUMSUB [<shardchannel> ...]",
        "    Return the number of subscribers of each shard channel.",
        "HELP",
        "    Print this help.",
        NULL,
    };
    ctx_reply_help(ctx, lines);
}

enum { SUB = CMD_PUBSUB | CMD_NOSCRIPT | CMD_LOADING | CMD_STALE | CMD_SUBSCRIBED };
enum { PUB = CMD_PUBSUB | CMD_LOADING | CMD_STALE | CMD_FAST | CMD_MAY_REPLICATE };
enum { ASK = CMD_PUBSUB | CMD_LOADING | CMD_STALE };

// clang-format off
#define PUBSUB_ROW .acl = ACL_PUBSUB, .group = "pubsub"
static const struct command pubsub_subcommands[] = {
    { .name = "channels", .run = cmd_pubsub_channels, .arity = -2, .flags = ASK, PUBSUB_ROW, .since = "2.8.0", .complexity = "O(N) where N is the number of active channels, and assuming constant time pattern matching (relatively short channels and patterns)",
      .summary = "Returns the active channels.",
      .syntax = "[pattern:p]" },
    { .name = "numpat", .run = cmd_pubsub_numpat, .arity = 2, .flags = ASK, PUBSUB_ROW, .since = "2.8.0", .complexity = "O(1)", .summary = "Returns the number of patterns." },
    { .name = "numsub", .run = cmd_pubsub_numsub, .arity = -2, .flags = ASK, PUBSUB_ROW, .since = "2.8.0", .complexity = "O(N) for the NUMSUB subcommand, where N is the number of requested channels",
      .summary = "Returns the number of subscribers of channels.",
      .syntax = "[channel]..." },
    { .name = "shardchannels", .run = cmd_pubsub_shardchannels, .arity = -2, .flags = ASK, PUBSUB_ROW, .since = "7.0.0", .complexity = "O(N) where N is the number of active shard channels, and assuming constant time pattern matching (relatively short shard channels).",
      .summary = "Returns the active shard channels.",
      .syntax = "[pattern:p]" },
    { .name = "shardnumsub", .run = cmd_pubsub_shardnumsub, .arity = -2, .flags = ASK, PUBSUB_ROW, .since = "7.0.0", .complexity = "O(N) for the SHARDNUMSUB subcommand, where N is the number of requested shard channels",
      .summary = "Returns the number of subscribers of shard channels.",
      .syntax = "[shardchannel]..." },
    { .name = "help", .run = cmd_pubsub_help, .arity = 2, .flags = CMD_LOADING | CMD_STALE, .group = "pubsub", .since = "6.2.0", .complexity = "O(1)", .summary = "Tells about the subcommands." },
    { 0 },
};
const struct command pubsub_commands[] = {
    { .name = "subscribe", .run = cmd_subscribe, .channels = CHANNELS_ALL, .arity = -2, .flags = SUB | CMD_SENTINEL, PUBSUB_ROW, .since = "2.0.0", .complexity = "O(N) where N is the number of channels to subscribe to.",
      .summary = "Listens for messages published to channels.",
      .syntax = "channel..." },
    { .name = "unsubscribe", .run = cmd_unsubscribe, .arity = -1, .flags = SUB | CMD_SENTINEL, PUBSUB_ROW, .since = "2.0.0", .complexity = "O(N) where N is the number of channels to unsubscribe.",
      .summary = "Stops listening to channels.",
      .syntax = "[channel]..." },
    { .name = "psubscribe", .run = cmd_psubscribe, .channels = CHANNELS_PATTERNS, .arity = -2, .flags = SUB | CMD_SENTINEL, PUBSUB_ROW, .since = "2.0.0", .complexity = "O(N) where N is the number of patterns to subscribe to.",
      .summary = "Listens for messages published to channels that match patterns.",
      .syntax = "pattern:p..." },
    { .name = "punsubscribe", .run = cmd_punsubscribe, .arity = -1, .flags = SUB | CMD_SENTINEL, PUBSUB_ROW, .since = "2.0.0", .complexity = "O(N) where N is the number of patterns to unsubscribe.",
      .summary = "Stops listening to patterns.",
      .syntax = "[pattern:p]..." },
    { .name = "ssubscribe", .run = cmd_ssubscribe, .channels = CHANNELS_ALL, .arity = -2, .flags = SUB, PUBSUB_ROW, .keys = { KEY_RANGE(1, -1, 1, KEY_NOT_KEY) }, .since = "7.0.0",
      .complexity = "O(N) where N is the number of shard channels to subscribe to.", .summary = "Listens for messages published to shard channels.",
      .syntax = "shardchannel..." },
    { .name = "sunsubscribe", .run = cmd_sunsubscribe, .arity = -1, .flags = SUB, PUBSUB_ROW, .keys = { KEY_RANGE(1, -1, 1, KEY_NOT_KEY) }, .since = "7.0.0",
      .complexity = "O(N) where N is the number of shard channels to unsubscribe.", .summary = "Stops listening to shard channels.",
      .syntax = "[shardchannel]..." },
    { .name = "publish", .run = cmd_publish, .channels = CHANNELS_FIRST, .arity = 3, .flags = PUB | CMD_SENTINEL, PUBSUB_ROW, .since = "2.0.0",
      .complexity = "O(N+M) where N is the number of clients subscribed to the receiving channel and M is the total number of subscribed patterns (by any client).",
      .summary = "Posts a message to a channel.",
      .syntax = "channel message" },
    { .name = "spublish", .run = cmd_spublish, .channels = CHANNELS_FIRST, .arity = 3, .flags = PUB, PUBSUB_ROW, .keys = { KEY_AT(1, KEY_NOT_KEY) }, .since = "7.0.0",
      .complexity = "O(N) where N is the number of clients subscribed to the receiving shard channel.", .summary = "Posts a message to a shard channel.",
      .syntax = "shardchannel message" },
    { .name = "pubsub", .arity = -2, .subcommands = pubsub_subcommands, .group = "pubsub", .since = "2.8.0", .complexity = "Depends on subcommand.",
      .summary = "A container for commands about publishing." },
    { 0 },
};
// clang-format on
