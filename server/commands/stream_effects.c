#include "server/commands/stream_effects.h"

#include "replication/replication.h"
#include "server/commands/stream_parse.h"
#include "server/commands/stream_reply.h"
#include "server/core/core.h"
#include "storage/base/memory.h"
#include "storage/rdb.h"

enum { IDS_PER_COMMAND = 512, WORDS_MAX = 16 /* words of an XCLAIM without its ids */ };

/* ---- Into the stream ---- */

struct effect_words {
    struct bytes_view *argv;
    int argc;
    struct stream_id_text *ids; /* text that the views of ids point to */
};

static void add_word(struct effect_words *w, struct bytes_view word)
{
    w->argv[w->argc++] = word;
}

static void add_ids(struct effect_words *w, const struct stream_effect *e)
{
    for (size_t i = 0; i < e->count; i++) add_word(w, stream_id_view(e->ids[i], &w->ids[i]));
}

static void say_dropped(struct group_use *use, struct effect_words *w)
{
    add_word(w, BYTES_LIT("XACK"));
    add_word(w, use->key.name);
    add_word(w, stream_group_name(use->group));
    add_ids(w, &use->effect);
    ctx_replicate_as(use->ctx, w->argc, w->argv);
}

static void say_pending(struct group_use *use, struct effect_words *w)
{
    const struct stream_effect *e = &use->effect;
    struct stream_id_text last_id;
    char time[NUM_I64_MAX_CHARS], count[NUM_U64_MAX_CHARS];
    add_word(w, BYTES_LIT("XCLAIM"));
    add_word(w, use->key.name);
    add_word(w, stream_group_name(use->group));
    add_word(w, stream_consumer_name(e->consumer));
    add_word(w, BYTES_LIT("0"));
    add_ids(w, e);
    add_word(w, BYTES_LIT("TIME"));
    add_word(w, bytes_view(time, num_format_i64(time, e->delivery_ms)));
    add_word(w, BYTES_LIT("RETRYCOUNT"));
    add_word(w, bytes_view(count, num_format_u64(count, e->delivery_count)));
    add_word(w, BYTES_LIT("FORCE"));
    add_word(w, BYTES_LIT("JUSTID"));
    add_word(w, BYTES_LIT("LASTID"));
    add_word(w, stream_id_view(stream_group_last_id(use->group), &last_id));
    ctx_replicate_as(use->ctx, w->argc, w->argv);
    if (use->unsaid == e->consumer) use->unsaid = NULL;
}

static void say_effect(struct group_use *use)
{
    struct stream_effect *e = &use->effect;
    if (e->count == 0) return;
    struct effect_words w = {.argv = mem_alloc((e->count + WORDS_MAX) * sizeof(*w.argv)),
                             .ids = mem_alloc(e->count * sizeof(*w.ids))};
    if (e->consumer == NULL)
        say_dropped(use, &w);
    else
        say_pending(use, &w);
    mem_free(w.argv);
    mem_free(w.ids);
    e->count = 0;
}

/* With rdb-version 9, replicas are too old for ENTRIESREAD. */
static void say_position(struct group_use *use)
{
    struct stream_id_text id;
    char read[NUM_I64_MAX_CHARS];
    const struct bytes_view words[] = {
        BYTES_LIT("XGROUP"),
        BYTES_LIT("SETID"),
        use->key.name,
        stream_group_name(use->group),
        stream_id_view(stream_group_last_id(use->group), &id),
        BYTES_LIT("ENTRIESREAD"),
        bytes_view(read, num_format_i64(read, stream_group_entries_read(use->group))),
    };
    bool too_old = use->ctx->settings->persistence.rdb_version < RDB_VERSION_STREAM_COUNTS;
    ctx_replicate_as(use->ctx, too_old ? 5 : 7, words);
}

static void say_created(struct group_use *use)
{
    ctx_replicate(use->ctx, BYTES_LIT("XGROUP"), BYTES_LIT("CREATECONSUMER"), use->key.name,
                  stream_group_name(use->group), stream_consumer_name(use->unsaid));
}

static bool same_effect(const struct stream_effect *a, const struct stream_effect *b)
{
    return a->consumer == b->consumer && a->delivery_ms == b->delivery_ms && a->delivery_count == b->delivery_count;
}

static void add_effect(struct group_use *use, struct stream_id id, const struct stream_effect *like)
{
    struct stream_effect *e = &use->effect;
    if (!repl_stream_wanted(use->ctx->core->repl)) return;
    if (!same_effect(e, like) || e->count == IDS_PER_COMMAND) say_effect(use);
    if (e->count == e->cap) {
        e->cap = e->cap == 0 ? 8 : e->cap * 2;
        e->ids = mem_realloc(e->ids, e->cap * sizeof(*e->ids));
    }
    e->consumer = like->consumer;
    e->delivery_ms = like->delivery_ms;
    e->delivery_count = like->delivery_count;
    e->ids[e->count++] = id;
}

/* ---- A group in use ---- */

bool group_use_begin(struct cmd_ctx *ctx, int key_arg, int group_arg, const char *where, struct group_use *out)
{
    void *stream;
    enum lookup found = ctx_write_value(ctx, key_arg, TYPE_STREAM, &stream);
    if (found == LOOKUP_WRONG_TYPE) return false;
    if (found == LOOKUP_MISSING) ctx_notify(ctx, NOTIFY_KEY_MISS, "keymiss", ctx_key(ctx, key_arg));
    struct stream_group *g = stream == NULL ? NULL : stream_group_find(stream, ctx->argv[group_arg]);
    if (g == NULL) {
        ctx_error_no_group(ctx, ctx->argv[key_arg], ctx->argv[group_arg], where);
        return false;
    }
    *out = (struct group_use){.ctx = ctx, .key = ctx_key(ctx, key_arg), .stream = stream, .group = g};
    ctx_replicate_none(ctx);
    return true;
}

struct stream_consumer *group_create_consumer(struct cmd_ctx *ctx, struct keyref key, struct stream_group *g,
                                              struct bytes_view name)
{
    struct stream_consumer *c = stream_consumer_create(g, name, ctx_now_ms(ctx));
    if (c != NULL) ctx_changed_beside(ctx, key, NOTIFY_STREAM, "xgroup-createconsumer", 1);
    return c;
}

struct stream_consumer *group_use_consumer(struct group_use *use, struct bytes_view name)
{
    struct stream_consumer *c = stream_consumer_find(use->group, name);
    if (c == NULL) {
        c = group_create_consumer(use->ctx, use->key, use->group, name);
        use->unsaid = c;
    }
    stream_consumer_set_seen(c, ctx_now_ms(use->ctx));
    return c;
}

void group_use_pending(struct group_use *use, struct stream_id id, const struct stream_pending *p)
{
    struct stream_effect like = {
        .consumer = p->consumer, .delivery_ms = p->delivery_ms, .delivery_count = p->delivery_count};
    add_effect(use, id, &like);
}

void group_use_drop(struct group_use *use, struct stream_id id)
{
    if (!stream_pending_remove(use->group, id)) return;
    use->changes++;
    add_effect(use, id, &(struct stream_effect){0});
}

void group_use_end(struct group_use *use)
{
    say_effect(use);
    if (use->moved) say_position(use);
    if (use->unsaid != NULL) say_created(use);
    keyspace_changed_beside(use->ctx->db, use->changes);
    mem_free(use->effect.ids);
    use->effect.ids = NULL;
}
