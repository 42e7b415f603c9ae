#include "server/commands/stream_reply.h"

#include "server/commands/collection.h"

struct bytes_view stream_id_view(struct stream_id id, struct stream_id_text *text)
{
    size_t len = num_format_u64(text->text, id.ms);
    text->text[len++] = '-';
    len += num_format_u64(text->text + len, id.seq);
    return bytes_view(text->text, len);
}

void reply_stream_id(struct reply *r, struct stream_id id)
{
    struct stream_id_text text;
    reply_bulk(r, stream_id_view(id, &text));
}

void reply_stream_entry(struct reply *r, struct stream_iter *it, struct stream_id id, size_t fields)
{
    struct bytes_view field, value;
    reply_array(r, 2);
    reply_stream_id(r, id);
    reply_array(r, fields * 2);
    for (size_t i = 0; i < fields; i++) {
        stream_iter_pair(it, &field, &value);
        reply_bulk(r, field);
        reply_bulk(r, value);
    }
}

bool reply_stream_entry_of(struct reply *r, const struct stream *s, struct stream_id id)
{
    struct stream_iter it;
    size_t fields;
    stream_iter_init(&it, s, id, id, false);
    if (!stream_iter_next(&it, &id, &fields)) return false;
    reply_stream_entry(r, &it, id, fields);
    return true;
}

void reply_stream_span(struct cmd_ctx *ctx, const struct stream *s, const struct stream_span *span)
{
    struct stream_iter it;
    struct stream_id id;
    size_t fields, count = 0;
    if (stream_id_compare(span->start, span->end) > 0) {
        reply_empty_array(ctx->reply);
        return;
    }
    struct outbuf_mark mark = reply_deferred(ctx->reply);
    stream_iter_init(&it, s, span->start, span->end, span->reverse);
    while ((span->limit == 0 || count < span->limit) && stream_iter_next(&it, &id, &fields)) {
        reply_stream_entry(ctx->reply, &it, id, fields);
        if (++count % 256 == 0 && close_if_over_limit(ctx)) break;
    }
    reply_deferred_array(ctx->reply, mark, count);
}
