#include "storage/value.h"

#include "storage/base/assert.h"
#include "storage/hash.h"
#include "storage/list.h"
#include "storage/set.h"
#include "storage/stream.h"
#include "storage/zset.h"

const char *value_type_name(enum value_type type)
{
    switch (type) {
    case TYPE_STRING: return "string";
    case TYPE_LIST: return "list";
    case TYPE_SET: return "set";
    case TYPE_ZSET: return "zset";
    case TYPE_HASH: return "hash";
    case TYPE_STREAM: return "stream";
    }
    UNREACHABLE();
}

const char *value_encoding_name(enum value_encoding encoding)
{
    switch (encoding) {
    case ENCODING_RAW: return "raw";
    case ENCODING_INT: return "int";
    case ENCODING_EMBSTR: return "embstr";
    case ENCODING_LISTPACK: return "listpack";
    case ENCODING_QUICKLIST: return "quicklist";
    case ENCODING_INTSET: return "intset";
    case ENCODING_HASHTABLE: return "hashtable";
    case ENCODING_SKIPLIST: return "skiplist";
    case ENCODING_STREAM: return "stream";
    case ENCODING_LISTPACK_EX: return "listpackex";
    }
    UNREACHABLE();
}

void value_free(enum value_type type, void *value)
{
    switch (type) {
    case TYPE_LIST: list_free(value); return;
    case TYPE_SET: set_free(value); return;
    case TYPE_ZSET: zset_free(value); return;
    case TYPE_HASH: hash_free(value); return;
    case TYPE_STREAM: stream_free(value); return;
    case TYPE_STRING: break;
    }
    UNREACHABLE();
}

void *value_dup(enum value_type type, const void *value)
{
    switch (type) {
    case TYPE_LIST: return list_dup(value);
    case TYPE_SET: return set_dup(value);
    case TYPE_ZSET: return zset_dup(value);
    case TYPE_HASH: return hash_dup(value);
    case TYPE_STREAM: return stream_dup(value);
    case TYPE_STRING: break;
    }
    UNREACHABLE();
}

size_t value_count(enum value_type type, const void *value)
{
    switch (type) {
    case TYPE_LIST: return list_count(value);
    case TYPE_SET: return set_count(value);
    case TYPE_ZSET: return zset_count(value);
    case TYPE_HASH: return hash_count(value);
    case TYPE_STREAM: return stream_count(value);
    case TYPE_STRING: break;
    }
    UNREACHABLE();
}

enum value_encoding value_encoding_of(enum value_type type, const void *value)
{
    switch (type) {
    case TYPE_LIST: return list_encoding(value);
    case TYPE_SET: return set_encoding(value);
    case TYPE_ZSET: return zset_encoding(value);
    case TYPE_HASH: return hash_encoding(value);
    case TYPE_STREAM: return ENCODING_STREAM;
    case TYPE_STRING: break;
    }
    UNREACHABLE();
}

size_t value_memory(enum value_type type, const void *value, size_t samples)
{
    switch (type) {
    case TYPE_LIST: return list_memory(value, samples);
    case TYPE_SET: return set_memory(value, samples);
    case TYPE_ZSET: return zset_memory(value, samples);
    case TYPE_HASH: return hash_memory(value, samples);
    case TYPE_STREAM: return stream_memory(value, samples);
    case TYPE_STRING: break;
    }
    UNREACHABLE();
}

size_t value_free_effort(enum value_type type, const void *value)
{
    switch (type) {
    case TYPE_LIST: return list_free_effort(value);
    case TYPE_SET: return set_free_effort(value);
    case TYPE_ZSET: return zset_free_effort(value);
    case TYPE_HASH: return hash_free_effort(value);
    case TYPE_STREAM: return stream_free_effort(value);
    case TYPE_STRING: break;
    }
    UNREACHABLE();
}

void value_prefetch(enum value_type type, const void *value, struct bytes_view member, int step)
{
    switch (type) {
    case TYPE_SET:
        if (step == 0)
            set_prefetch(value, member);
        else
            set_prefetch_member(value, member);
        return;
    case TYPE_HASH:
        if (step == 0)
            hash_prefetch(value, member);
        else
            hash_prefetch_field(value, member);
        return;
    case TYPE_ZSET:
        if (step == 0)
            zset_prefetch(value, member);
        else
            zset_prefetch_member(value, member);
        return;
    case TYPE_STRING:
    case TYPE_LIST:
    case TYPE_STREAM: return;
    }
    UNREACHABLE();
}
