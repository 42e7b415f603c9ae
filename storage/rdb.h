/* rdb.h -- the constants of the RDB file format, versions 1 to 12.
 *
 * Taken from public descriptions: the RDB file format pages of redis-rdb-tools and redis-replicator, the release
 * notes of Redis for versions 9 to 12, and files written by Debian's redis-server.
 *
 *      "REDIS" version(4 digits)
 *      { AUX | SELECTDB | RESIZEDB | FUNCTION2 | [EXPIRE] [IDLE | FREQ] type key value }
 *      EOF crc64
 *
 *      version  adds
 *        1-4    (no checksum)
 *        5      crc64 at the end; 0: not computed
 *        7      AUX, RESIZEDB, quicklists
 *        8      binary scores
 *        9      IDLE, FREQ, module types, streams
 *       10      listpacks, functions
 *       11      sets as listpacks
 *       12      hash fields that expire */
#ifndef LOCKSTEP_STORAGE_RDB_H
#define LOCKSTEP_STORAGE_RDB_H

enum {
    RDB_VERSION_MIN = 1,
    RDB_VERSION_MAX = 12,     /* highest version that we read */
    RDB_VERSION_DEFAULT = 10, /* version that we write by default: Redis 7.0 and later read it */
    RDB_VERSION_WRITE_MIN = 9,
    RDB_VERSION_WRITE_MAX = 12,
    RDB_VERSION_LIBRARIES = 10,     /* first version with function libraries */
    RDB_VERSION_STREAM_COUNTS = 10, /* first version with entries added to and read from streams, and deleted ids */
    RDB_VERSION_FIELD_TIMES = 12,   /* first version with hash fields that expire */
};

enum rdb_opcode {
    RDB_OP_SLOT_INFO = 244, /* three lengths: slot, keys, keys that expire */
    RDB_OP_FUNCTION2 = 245, /* a function library: its source as a string */
    RDB_OP_FUNCTION_PRE_GA = 246,
    RDB_OP_MODULE_AUX = 247,
    RDB_OP_IDLE = 248, /* LRU idle time in seconds, as a length */
    RDB_OP_FREQ = 249, /* LFU counter, one byte */
    RDB_OP_AUX = 250,
    RDB_OP_RESIZEDB = 251,
    RDB_OP_EXPIRE_MS = 252, /* 8 bytes, little-endian */
    RDB_OP_EXPIRE_S = 253,  /* 4 bytes, little-endian */
    RDB_OP_SELECTDB = 254,
    RDB_OP_EOF = 255,
};

enum rdb_type { /* types of values */
                RDB_TYPE_STRING = 0,
                RDB_TYPE_LIST = 1,
                RDB_TYPE_SET = 2,
                RDB_TYPE_ZSET = 3, /* scores as text */
                RDB_TYPE_HASH = 4,
                RDB_TYPE_ZSET_2 = 5, /* scores as 8 bytes, little-endian */
                RDB_TYPE_MODULE = 6,
                RDB_TYPE_MODULE_2 = 7,
                RDB_TYPE_HASH_ZIPMAP = 9,
                RDB_TYPE_LIST_ZIPLIST = 10,
                RDB_TYPE_SET_INTSET = 11,
                RDB_TYPE_ZSET_ZIPLIST = 12,
                RDB_TYPE_HASH_ZIPLIST = 13,
                RDB_TYPE_LIST_QUICKLIST = 14,
                RDB_TYPE_STREAM = 15,
                RDB_TYPE_HASH_LISTPACK = 16,
                RDB_TYPE_ZSET_LISTPACK = 17,
                RDB_TYPE_LIST_QUICKLIST_2 = 18,
                RDB_TYPE_STREAM_2 = 19,
                RDB_TYPE_SET_LISTPACK = 20,
                RDB_TYPE_STREAM_3 = 21,
                RDB_TYPE_HASH_FIELD_TTL_PRE_GA = 22,
                RDB_TYPE_HASH_LISTPACK_TTL_PRE_GA = 23,
                RDB_TYPE_HASH_FIELD_TTL = 24,
                RDB_TYPE_HASH_LISTPACK_TTL = 25,
};

/* A length. The top two bits of its first byte select the form. */
enum {
    RDB_LEN_6BIT = 0,
    RDB_LEN_14BIT = 1, /* lengths of more than one byte are big-endian */
    RDB_LEN_WIDE = 2,
    RDB_LEN_ENCODED = 3, /* not a length: the low bits are an enum rdb_string_encoding */
    RDB_LEN_32BIT_BYTE = 0x80,
    RDB_LEN_64BIT_BYTE = 0x81,
};

enum rdb_string_encoding {
    RDB_STRING_INT8 = 0, /* integers are little-endian */
    RDB_STRING_INT16 = 1,
    RDB_STRING_INT32 = 2,
    RDB_STRING_LZF = 3, /* compressed length, length, compressed bytes */
};

enum { RDB_QUICKLIST_PLAIN = 1, RDB_QUICKLIST_PACKED = 2 }; /* kinds of nodes of a LIST_QUICKLIST_2 */
/* Kinds of items in the data of a module (AUX or MODULE_2). Each is a length, followed by the item. */
enum {
    RDB_MODULE_END = 0,
    RDB_MODULE_SINT = 1, /* the item is a length */
    RDB_MODULE_UINT = 2,
    RDB_MODULE_FLOAT = 3,  /* 4 bytes */
    RDB_MODULE_DOUBLE = 4, /* 8 bytes */
    RDB_MODULE_STRING = 5,
};
enum { RDB_SCORE_NAN = 253, RDB_SCORE_INF = 254, RDB_SCORE_NEG_INF = 255 }; /* stand for the length of a score's text */
enum { RDB_MAGIC_LEN = 9, RDB_CHECKSUM_LEN = 8, RDB_CHECKSUM_VERSION = 5, RDB_DUMP_FOOTER_LEN = 10 };

#endif
