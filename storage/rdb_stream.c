#include "storage/rdb_stream.h"

#include <endian.h>

enum part {
    PART_NODES,
    PART_NODE_ID,
    PART_NODE,
    PART_COUNT,
    PART_LAST_MS,
    PART_LAST_SEQ,
    PART_FIRST_MS,
    PART_FIRST_SEQ,
    PART_DELETED_MS,
    PART_DELETED_SEQ,
    PART_ADDED,
    PART_GROUPS,
    PART_GROUP_NAME,
    PART_GROUP_MS,
    PART_GROUP_SEQ,
    PART_ENTRIES_READ,
    PART_PENDING,
    PART_PENDING_ID,
    PART_PENDING_TIME,
    PART_DELIVERIES,
    PART_CONSUMERS,
    PART_CONSUMER_NAME,
    PART_SEEN,
    PART_ACTIVE,
    PART_CLAIMS,
    PART_CLAIM,
    PART_END,
};

/* ---- transitions from part to part ---- */

static void after_node(struct rdb_stream *r)
{
    r->part = r->nodes-- > 0 ? PART_NODE_ID : PART_COUNT;
}

static void after_group(struct rdb_stream *r)
{
    r->part = r->groups-- > 0 ? PART_GROUP_NAME : PART_END;
}

static void after_pending(struct rdb_stream *r)
{
    r->part = r->ids_left-- > 0 ? PART_PENDING_ID : PART_CONSUMERS;
}

static const char *after_consumer(struct rdb_stream *r)
{
    if (r->consumers-- > 0) {
        r->part = PART_CONSUMER_NAME;
        return NULL;
    }
    after_group(r);
    return stream_load_group_is_whole(r->group) ? NULL : "a pending entry of a stream has no consumer";
}

static const char *after_claim(struct rdb_stream *r)
{
    if (r->ids_left-- == 0) return after_consumer(r);
    r->part = PART_CLAIM;
    return NULL;
}

/* ---- parts ---- */

static struct stream_id read_id(struct bytes_view bytes)
{
    uint64_t raw[2];
    memcpy(raw, bytes.data, sizeof(raw));
    return (struct stream_id){be64toh(raw[0]), be64toh(raw[1])};
}

/* A time before 1970 becomes 1970, so that callers can subtract times without an overflow. */
static int64_t read_time(struct bytes_view bytes)
{
    uint64_t raw;
    memcpy(&raw, bytes.data, sizeof(raw));
    int64_t ms = (int64_t)le64toh(raw);
    return ms < 0 ? 0 : ms;
}

static const char *take_node_id(struct rdb_stream *r, struct bytes_view bytes)
{
    if (bytes.len != sizeof(r->id)) return "the id of a stream node has a wrong length";
    r->id = read_id(bytes);
    r->part = PART_NODE;
    return NULL;
}

static const char *take_node(struct rdb_stream *r, struct bytes_view listpack)
{
    after_node(r);
    return stream_load_node(r->stream, &r->loading, r->id, listpack);
}

static const char *take_last_id(struct rdb_stream *r)
{
    r->part = r->type == RDB_TYPE_STREAM ? PART_GROUPS : PART_FIRST_MS;
    return stream_load_totals(r->stream, &r->loading, r->count, r->id);
}

static const char *take_group_name(struct rdb_stream *r, struct bytes_view name)
{
    r->part = PART_GROUP_MS;
    r->group = stream_group_create(r->stream, name, STREAM_ID_MIN, STREAM_ENTRIES_READ_UNKNOWN);
    return r->group != NULL ? NULL : "Duplicate stream consumer group detected";
}

/* Files of type RDB_TYPE_STREAM do not say how many entries a group has read, so it is computed. */
static void take_group_id(struct rdb_stream *r)
{
    int64_t read;
    if (!stream_entries_up_to(r->stream, r->id, &read)) read = STREAM_ENTRIES_READ_UNKNOWN;
    stream_group_set_position(r->group, r->id, read);
    r->part = r->type == RDB_TYPE_STREAM ? PART_PENDING : PART_ENTRIES_READ;
}

/* Redis increments past INT64_MAX (which XGROUP SETID can set) to a negative number: treat that as unknown. */
static void take_entries_read(struct rdb_stream *r, uint64_t number)
{
    int64_t read = (int64_t)number;
    stream_group_set_position(r->group, r->id, read < 0 ? STREAM_ENTRIES_READ_UNKNOWN : read);
    r->part = PART_PENDING;
}

static const char *take_deliveries(struct rdb_stream *r, uint64_t count)
{
    after_pending(r);
    bool added = stream_pending_add(r->group, NULL, r->id, r->time_ms, count) != NULL;
    return added ? NULL : "a pending entry of a stream appears twice";
}

static const char *take_consumer_name(struct rdb_stream *r, struct bytes_view name)
{
    r->part = PART_SEEN;
    r->consumer = stream_consumer_create(r->group, name, 0);
    return r->consumer != NULL ? NULL : "Duplicate stream consumer detected";
}

/* Versions without an active time use the seen time for both. */
static void take_seen(struct rdb_stream *r, int64_t ms)
{
    stream_consumer_set_seen(r->consumer, ms);
    stream_consumer_set_active(r->consumer, ms);
    r->part = r->type == RDB_TYPE_STREAM_3 ? PART_ACTIVE : PART_CLAIMS;
}

static void take_active(struct rdb_stream *r, struct bytes_view bytes)
{
    static const unsigned char never[8] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}; /* -1 */
    stream_consumer_set_active(r->consumer, memcmp(bytes.data, never, 8) == 0 ? -1 : read_time(bytes));
    r->part = PART_CLAIMS;
}

static const char *take_claim(struct rdb_stream *r, struct stream_id id)
{
    if (!stream_load_claim(r->group, r->consumer, id))
        return "what is pending for a consumer of a stream is not pending in its group, or another's";
    return after_claim(r);
}

/* ---- the pieces ---- */

void rdb_stream_init(struct rdb_stream *r, enum rdb_type type, struct stream *stream)
{
    *r = (struct rdb_stream){.stream = stream, .type = type, .part = PART_NODES};
}

enum rdb_piece rdb_stream_next(const struct rdb_stream *r)
{
    switch ((enum part)r->part) {
    case PART_NODE_ID:
    case PART_NODE:
    case PART_GROUP_NAME:
    case PART_CONSUMER_NAME: return RDB_PIECE_STRING;
    case PART_PENDING_ID:
    case PART_CLAIM: return RDB_PIECE_BYTES16;
    case PART_PENDING_TIME:
    case PART_SEEN:
    case PART_ACTIVE: return RDB_PIECE_BYTES8;
    case PART_END: return RDB_PIECE_NONE;
    default: return RDB_PIECE_LENGTH;
    }
}

const char *rdb_stream_take(struct rdb_stream *r, uint64_t number, struct bytes_view bytes)
{
    enum part part = (enum part)r->part;
    r->part = part + 1; /* the default; some cases below set another part */
    switch (part) {
    case PART_NODES:
        r->nodes = number;
        after_node(r);
        break;
    case PART_NODE_ID: return take_node_id(r, bytes);
    case PART_NODE: return take_node(r, bytes);
    case PART_COUNT: r->count = number; break;
    case PART_LAST_MS:
    case PART_GROUP_MS:
    case PART_DELETED_MS: r->id.ms = number; break;
    case PART_LAST_SEQ: r->id.seq = number; return take_last_id(r);
    case PART_FIRST_MS:
    case PART_FIRST_SEQ: break;
    case PART_DELETED_SEQ:
        r->id.seq = number;
        stream_set_max_deleted_id(r->stream, r->id);
        break;
    case PART_ADDED: stream_set_entries_added(r->stream, number); break;
    case PART_GROUPS:
        r->groups = number;
        after_group(r);
        break;
    case PART_GROUP_NAME: return take_group_name(r, bytes);
    case PART_GROUP_SEQ:
        r->id.seq = number;
        take_group_id(r);
        break;
    case PART_ENTRIES_READ: take_entries_read(r, number); break;
    case PART_PENDING:
        r->ids_left = number;
        after_pending(r);
        break;
    case PART_PENDING_ID: r->id = read_id(bytes); break;
    case PART_PENDING_TIME: r->time_ms = read_time(bytes); break;
    case PART_DELIVERIES: return take_deliveries(r, number);
    case PART_CONSUMERS: r->consumers = number; return after_consumer(r);
    case PART_CONSUMER_NAME: return take_consumer_name(r, bytes);
    case PART_SEEN: take_seen(r, read_time(bytes)); break;
    case PART_ACTIVE: take_active(r, bytes); break;
    case PART_CLAIMS: r->ids_left = number; return after_claim(r);
    case PART_CLAIM: return take_claim(r, read_id(bytes));
    case PART_END: break;
    }
    return NULL;
}
