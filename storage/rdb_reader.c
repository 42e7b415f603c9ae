/* Design: the file is a sequence of atoms (a byte, a length, a string, a score...). The reader's step says which
 * atom is next and what it is for; steps[] has a row for each step. An atom that lies wholly in the fed bytes is
 * read in place. Otherwise it is collected in `carry`, which grows with the bytes that arrive and never to a length
 * that was merely announced. So every handler gets a whole atom, and the cost of a feed does not depend on where the
 * bytes were split. */
#include "storage/rdb_reader.h"

#include <ctype.h>
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "storage/base/assert.h"
#include "storage/base/checked.h"
#include "storage/base/crc64.h"
#include "storage/base/lzf.h"
#include "storage/base/memory.h"
#include "storage/base/num.h"
#include "storage/entry.h"
#include "storage/hash.h"
#include "storage/hash_expiry.h"
#include "storage/list.h"
#include "storage/rdb_stream.h"
#include "storage/rdb_unpack.h"
#include "storage/set.h"
#include "storage/zset.h"

#define DEFAULT_MAX_STRING ((uint64_t)1 << 32)

enum {
    LZF_MAX_RATIO = 88,    /* LZF turns three bytes into 264 at most */
    HINT_MAX = 1 << 16,    /* upper bound of announced sizes for which room is reserved */
    LONG_STRING = 1 << 15, /* from this length on a string is collected in the blob that becomes the value */
    KEEP_BUFFER = 1 << 16, /* larger scratch buffers are freed after use */
    ERROR_MAX = 512,
    QUOTE_MAX = 64,
};

enum step {
    STEP_MAGIC = 0,
    STEP_OPCODE,
    STEP_AUX_NAME,
    STEP_AUX_VALUE,
    STEP_SELECT_DB,
    STEP_RESIZE_KEYS,
    STEP_RESIZE_EXPIRES,
    STEP_EXPIRE_MS,
    STEP_EXPIRE_S,
    STEP_IDLE,
    STEP_FREQ,
    STEP_FUNCTION,
    STEP_OLD_FUNCTION, /* of a release candidate of Redis 7: name, engine, has description, description, code */
    STEP_OLD_FUNCTION_ENGINE,
    STEP_OLD_FUNCTION_DESCRIBED,
    STEP_OLD_FUNCTION_DESCRIPTION,
    STEP_OLD_FUNCTION_CODE,
    STEP_MODULE_AUX,
    STEP_SLOT_ID,
    STEP_SLOT_KEYS,
    STEP_SLOT_EXPIRES,
    STEP_CHECKSUM,
    STEP_KEY,
    STEP_RESTORE_TYPE, /* RESTORE starts here */
    STEP_STRING,
    STEP_BLOB,
    STEP_COUNT,
    STEP_ELEMENT,
    STEP_FIRST_TIME, /* expiries of hash fields */
    STEP_FIELD_TIME,
    STEP_FIELD,
    STEP_FIELD_VALUE,
    STEP_MEMBER,
    STEP_SCORE_TEXT,
    STEP_SCORE_BINARY,
    STEP_ZIPLIST_NODE,
    STEP_NODE_KIND,
    STEP_NODE,
    STEP_STREAM_LENGTH, /* pieces of a stream, by their form */
    STEP_STREAM_STRING,
    STEP_STREAM_BYTES8,
    STEP_STREAM_BYTES16,
    STEP_MODULE_ID,
    STEP_MODULE_WHEN, /* data of a module, to be skipped: items, each with a number in front that tells its kind */
    STEP_MODULE_ITEM,
    STEP_MODULE_NUMBER,
    STEP_MODULE_FLOAT,
    STEP_MODULE_DOUBLE,
    STEP_MODULE_STRING,
    STEP_END, /* nothing more is expected */
};

enum atom_kind { ATOM_BYTES, ATOM_LENGTH, ATOM_STRING, ATOM_SCORE };

struct atom {
    struct bytes_view bytes; /* ATOM_BYTES, ATOM_STRING, the text of an ATOM_SCORE */
    uint64_t number;         /* ATOM_LENGTH, the length byte of an ATOM_SCORE */
};

struct rdb_reader {
    struct rdb_reader_options options;
    struct rdb_callbacks callbacks;
    enum rdb_status status;
    enum step step;
    int version;
    uint64_t offset;     /* bytes consumed */
    uint64_t atom_start; /* offset of the first byte of the current atom */
    uint64_t atom_end;   /* offset behind its last byte, once it is being handled */
    uint64_t crc;
    size_t crc_done; /* bytes of the current feed that are in crc */

    struct bytes_buf carry; /* an atom that has arrived in part, or the one being handled */
    size_t carry_need;      /* length at which it is parsed again */
    bool carry_used;        /* the atom in carry was complete: empty carry before the next one */
    struct bytes_buf unpacked;
    struct number_text number;
    struct blob *blob;  /* a long string value that is arriving or being handled */
    size_t blob_len;    /* its full length; 0: no such value */
    size_t blob_header; /* bytes of the encoded length in front of it */

    int db;
    uint64_t resize_keys;
    struct bytes_buf name; /* of the current key or AUX field */
    int64_t expiry_ms, idle_seconds;
    int freq;

    bool in_value; /* error messages name the key */
    enum rdb_type type;
    enum value_type value_type;
    void *value;           /* the collection being filled, of value_type */
    uint64_t remaining;    /* elements or nodes still to come */
    uint64_t announced;    /* their total number */
    uint64_t node_kind;    /* kind of the next node */
    struct bytes_buf part; /* a field or member that waits for its value or score */
    int64_t first_ms;      /* the earliest expiry of a field, to which the others are relative; or 0 */
    int64_t field_ms;      /* of the current field */
    struct rdb_stream stream;

    bool restoring;
    bool libraries_only; /* the payload is from FUNCTION DUMP */
    enum rdb_checksum checksum;
    char error[ERROR_MAX];
    size_t reason_at; /* position in `error` of the text behind the byte offset and key */
};

/* ---- errors ---- */

static void set_error(struct rdb_reader *r, const char *fmt, va_list ap)
{
    if (r->status == RDB_ERROR) return; /* keep the first error */
    r->status = RDB_ERROR;
    int len = snprintf(r->error, ERROR_MAX, "at byte %" PRIu64 ": ", r->atom_start);
    if (r->in_value && !r->restoring) {
        char name[BYTES_QUOTED_SIZE(QUOTE_MAX)];
        bytes_quoted(bytes_buf_view(&r->name), QUOTE_MAX, name);
        len += snprintf(r->error + len, ERROR_MAX - (size_t)len, "key '%s': ", name);
    }
    r->reason_at = (size_t)len;
    vsnprintf(r->error + len, ERROR_MAX - (size_t)len, fmt, ap);
}

static void PRINTF(2, 3) fail(struct rdb_reader *r, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    set_error(r, fmt, ap);
    va_end(ap);
}

void rdb_reader_set_error(struct rdb_reader *r, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    set_error(r, fmt, ap);
    va_end(ap);
}

static void tell_skipped(struct rdb_reader *r, enum rdb_skipped what, struct bytes_view name)
{
    if (r->callbacks.on_skipped != NULL) r->callbacks.on_skipped(r->callbacks.ctx, what, name);
}

/* Turns the result of a callback into an error. */
static void check_accepted(struct rdb_reader *r, int rc)
{
    if (rc != 0) fail(r, "refused (error %d)", rc); /* has no effect if the callback has set a reason */
}

/* ---- the current value ---- */

static void drop_value(struct rdb_reader *r)
{
    if (r->value != NULL) value_free(r->value_type, r->value);
    r->value = NULL;
}

static void drop_blob(struct rdb_reader *r)
{
    mem_free(r->blob);
    r->blob = NULL;
    r->blob_len = 0;
}

static void trim(struct bytes_buf *b)
{
    b->len = 0;
    if (b->cap > KEEP_BUFFER) bytes_buf_release(b);
}

static void forget_key(struct rdb_reader *r)
{
    r->expiry_ms = r->idle_seconds = r->freq = -1;
    r->in_value = false;
    r->step = r->restoring ? STEP_END : STEP_OPCODE;
    trim(&r->part);
    if (!r->restoring) return;
    r->status = RDB_DONE;
}

static void deliver(struct rdb_reader *r, enum value_type type, struct bytes_view string)
{
    struct rdb_key key = {.db = r->db,
                          .name = bytes_buf_view(&r->name),
                          .expiry_ms = r->expiry_ms,
                          .idle_seconds = r->idle_seconds,
                          .freq = r->freq,
                          .type = type,
                          .value = r->value,
                          .string = string,
                          .blob = r->blob != NULL ? &r->blob : NULL};
    r->value = NULL; /* the callback owns it now */
    check_accepted(r, r->callbacks.on_key(r->callbacks.ctx, &key));
    drop_blob(r);
    if (r->status == RDB_MORE) forget_key(r);
}

static void finish_empty(struct rdb_reader *r)
{
    if (!r->options.skip_empty) {
        fail(r, "%s", RDB_EMPTY);
        return;
    }
    tell_skipped(r, RDB_SKIPPED_EMPTY_KEY, bytes_buf_view(&r->name));
    drop_value(r);
    forget_key(r);
}

static void finish_collection(struct rdb_reader *r)
{
    if (r->type == RDB_TYPE_LIST_QUICKLIST_2) list_finish_load(r->value);
    if (r->value_type == TYPE_ZSET) zset_compact(r->value);
    if (value_count(r->value_type, r->value) == 0) {
        finish_empty(r);
    } else {
        deliver(r, r->value_type, (struct bytes_view){0});
    }
}

static void element_done(struct rdb_reader *r, enum step next)
{
    if (r->status != RDB_MORE) return;
    r->step = next;
    if (--r->remaining == 0) finish_collection(r);
}

static size_t size_hint(const struct rdb_reader *r)
{
    return r->announced < HINT_MAX ? (size_t)r->announced : HINT_MAX;
}

/* ---- opcodes ---- */

static void on_magic(struct rdb_reader *r, const struct atom *a)
{
    const char *digits = a->bytes.data + 5;
    if (memcmp(a->bytes.data, "VALKEY", 6) == 0) {
        fail(r, "a file in Valkey's own format, which only Valkey 9 and later read");
        return;
    }
    if (memcmp(a->bytes.data, "REDIS", 5) != 0) {
        fail(r, "wrong signature: this is not an RDB file");
        return;
    }
    for (int i = 0; i < 4; i++) {
        if (digits[i] < '0' || digits[i] > '9') {
            fail(r, "wrong signature: the version is not a number");
            return;
        }
        r->version = r->version * 10 + (digits[i] - '0');
    }
    r->step = STEP_OPCODE;
    if (r->version < RDB_VERSION_MIN || r->version > RDB_VERSION_MAX)
        fail(r, "Can't handle RDB format version %d", r->version);
}

static void start_key(struct rdb_reader *r, unsigned type)
{
    r->type = (enum rdb_type)type;
    r->step = STEP_KEY;
}

static void on_eof(struct rdb_reader *r)
{
    if (r->expiry_ms != -1 || r->idle_seconds != -1 || r->freq != -1) {
        fail(r, "the file ends between the attributes of a key and the key");
        return;
    }
    r->step = r->version >= RDB_CHECKSUM_VERSION ? STEP_CHECKSUM : STEP_END;
    if (r->step != STEP_END) return;
    r->checksum = RDB_CHECKSUM_NONE;
    r->status = RDB_DONE;
}

static bool is_known_type(unsigned type)
{
    return type <= RDB_TYPE_HASH_LISTPACK_TTL && type != 8;
}

static void on_opcode(struct rdb_reader *r, const struct atom *a)
{
    unsigned op = (unsigned char)a->bytes.data[0];
    if (r->libraries_only && op != RDB_OP_FUNCTION2) {
        fail(r, "given type is not a function");
        return;
    }
    switch (op) {
    case RDB_OP_SLOT_INFO: r->step = STEP_SLOT_ID; break;
    case RDB_OP_FUNCTION2: r->step = STEP_FUNCTION; break;
    case RDB_OP_FUNCTION_PRE_GA: r->step = STEP_OLD_FUNCTION; break;
    case RDB_OP_MODULE_AUX: r->step = STEP_MODULE_AUX; break;
    case RDB_OP_IDLE: r->step = STEP_IDLE; break;
    case RDB_OP_FREQ: r->step = STEP_FREQ; break;
    case RDB_OP_AUX: r->step = STEP_AUX_NAME; break;
    case RDB_OP_RESIZEDB: r->step = STEP_RESIZE_KEYS; break;
    case RDB_OP_EXPIRE_MS: r->step = STEP_EXPIRE_MS; break;
    case RDB_OP_EXPIRE_S: r->step = STEP_EXPIRE_S; break;
    case RDB_OP_SELECTDB: r->step = STEP_SELECT_DB; break;
    case RDB_OP_EOF: on_eof(r); break;
    default:
        if (is_known_type(op)) {
            start_key(r, op);
        } else {
            fail(r, "unknown type or opcode %u", op);
        }
    }
}

static void set_buf(struct bytes_buf *b, struct bytes_view v)
{
    b->len = 0;
    bytes_buf_append_view(b, v);
}

static void on_aux_name(struct rdb_reader *r, const struct atom *a)
{
    set_buf(&r->name, a->bytes);
    r->step = STEP_AUX_VALUE;
}

static void on_aux_value(struct rdb_reader *r, const struct atom *a)
{
    r->step = STEP_OPCODE;
    if (r->callbacks.on_aux == NULL) return;
    check_accepted(r, r->callbacks.on_aux(r->callbacks.ctx, bytes_buf_view(&r->name), a->bytes));
}

static void on_select_db(struct rdb_reader *r, const struct atom *a)
{
    int limit = r->options.max_db > 0 ? r->options.max_db : INT_MAX;
    r->step = STEP_OPCODE;
    if (a->number >= (uint64_t)limit) {
        fail(r, "database %" PRIu64 " does not exist: there are %d", a->number, limit);
        return;
    }
    r->db = (int)a->number;
    if (r->callbacks.on_db != NULL) check_accepted(r, r->callbacks.on_db(r->callbacks.ctx, r->db));
}

static void on_resize_keys(struct rdb_reader *r, const struct atom *a)
{
    r->resize_keys = a->number;
    r->step = STEP_RESIZE_EXPIRES;
}

static void on_resize_expires(struct rdb_reader *r, const struct atom *a)
{
    r->step = STEP_OPCODE;
    if (r->callbacks.on_size != NULL)
        check_accepted(r, r->callbacks.on_size(r->callbacks.ctx, r->db, r->resize_keys, a->number));
}

/* -1 means "none" here. A time before 1970 becomes 1970: both are in the past. */
static void set_expiry(struct rdb_reader *r, int64_t at_ms)
{
    r->expiry_ms = at_ms < 0 ? 0 : at_ms;
    r->step = STEP_OPCODE;
}

static uint64_t read_le64(const char *bytes)
{
    uint64_t value;
    memcpy(&value, bytes, sizeof(value));
    return le64toh(value);
}

static void on_expire_ms(struct rdb_reader *r, const struct atom *a)
{
    set_expiry(r, (int64_t)read_le64(a->bytes.data));
}

static void on_expire_s(struct rdb_reader *r, const struct atom *a)
{
    uint32_t seconds;
    memcpy(&seconds, a->bytes.data, sizeof(seconds));
    set_expiry(r, (int64_t)(int32_t)le32toh(seconds) * 1000);
}

static void on_idle(struct rdb_reader *r, const struct atom *a)
{
    r->idle_seconds = a->number > INT64_MAX ? INT64_MAX : (int64_t)a->number;
    r->step = STEP_OPCODE;
}

static void on_freq(struct rdb_reader *r, const struct atom *a)
{
    r->freq = (unsigned char)a->bytes.data[0];
    r->step = STEP_OPCODE;
}

struct bytes_view rdb_library_name(struct bytes_view code)
{
    const char *line_end = memchr(code.data, '\n', code.len);
    size_t line_len = line_end != NULL ? (size_t)(line_end - code.data) : code.len;
    const char *name = memmem(code.data, line_len, "name=", 5);
    if (name == NULL) return BYTES_LIT("?");
    name += 5;
    size_t len = 0;
    while (name + len < code.data + line_len && !isspace((unsigned char)name[len])) len++;
    return bytes_view(name, len);
}

static void have_function(struct rdb_reader *r, struct bytes_view library, const char *why)
{
    if (r->options.skip_functions) {
        tell_skipped(r, RDB_SKIPPED_FUNCTION, library);
        return;
    }
    char name[BYTES_QUOTED_SIZE(QUOTE_MAX)];
    bytes_quoted(library, QUOTE_MAX, name);
    fail(r, "function library '%s': %s", name, why);
}

static void on_function(struct rdb_reader *r, const struct atom *a)
{
    r->step = STEP_OPCODE;
    if (r->callbacks.on_library != NULL && !r->options.skip_functions)
        check_accepted(r, r->callbacks.on_library(r->callbacks.ctx, a->bytes));
    else
        have_function(r, rdb_library_name(a->bytes), "there is no place for it here");
}

static void on_old_function(struct rdb_reader *r, const struct atom *a)
{
    r->step = STEP_OLD_FUNCTION_ENGINE;
    have_function(r, a->bytes, "it is in the format of a release candidate of Redis 7");
}
static void on_old_function_engine(struct rdb_reader *r, const struct atom *a)
{
    r->step = STEP_OLD_FUNCTION_DESCRIBED;
}
static void on_old_function_described(struct rdb_reader *r, const struct atom *a)
{
    r->step = a->number != 0 ? STEP_OLD_FUNCTION_DESCRIPTION : STEP_OLD_FUNCTION_CODE;
}
static void on_old_function_description(struct rdb_reader *r, const struct atom *a)
{
    r->step = STEP_OLD_FUNCTION_CODE;
}
static void on_old_function_code(struct rdb_reader *r, const struct atom *a)
{
    r->step = STEP_OPCODE;
}

/* An id is nine characters of six bits and ten bits of version. */
static void module_name(uint64_t id, char name[10])
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    id >>= 10;
    for (int i = 8; i >= 0; i--, id >>= 6) name[i] = alphabet[id & 63];
    name[9] = '\0';
}

static void on_module(struct rdb_reader *r, const struct atom *a)
{
    char name[10];
    module_name(a->number, name);
    r->step = r->in_value ? STEP_MODULE_ITEM : STEP_MODULE_WHEN;
    if (r->in_value && r->type == RDB_TYPE_MODULE && r->options.skip_modules) {
        fail(r, "a value of module '%s' in the old form, whose end only the module finds", name);
    } else if (r->options.skip_modules) {
        tell_skipped(r, r->in_value ? RDB_SKIPPED_MODULE_VALUE : RDB_SKIPPED_MODULE_AUX, bytes_str(name));
    } else if (r->in_value) {
        fail(r, "The RDB file contains module data I can't load: no matching module type '%s'", name);
    } else {
        fail(r, "The RDB file contains AUX module data I can't load: no matching module '%s'", name);
    }
}

/* The number says whether the data belongs before or after the keys. It is an item as all others. */
static void on_module_when(struct rdb_reader *r, const struct atom *a)
{
    r->step = STEP_MODULE_NUMBER;
    if (a->number != RDB_MODULE_UINT) fail(r, "bad when_opcode");
}

static void on_module_item(struct rdb_reader *r, const struct atom *a)
{
    switch (a->number) {
    case RDB_MODULE_END:
        if (r->in_value) {
            forget_key(r);
        } else {
            r->step = STEP_OPCODE;
        }
        break;
    case RDB_MODULE_SINT:
    case RDB_MODULE_UINT: r->step = STEP_MODULE_NUMBER; break;
    case RDB_MODULE_FLOAT: r->step = STEP_MODULE_FLOAT; break;
    case RDB_MODULE_DOUBLE: r->step = STEP_MODULE_DOUBLE; break;
    case RDB_MODULE_STRING: r->step = STEP_MODULE_STRING; break;
    default: fail(r, "a module's data has an item of unknown kind %" PRIu64, a->number);
    }
}

static void on_module_data(struct rdb_reader *r, const struct atom *a)
{
    r->step = STEP_MODULE_ITEM;
}

static void on_slot_id(struct rdb_reader *r, const struct atom *a)
{
    enum { CLUSTER_SLOTS = 16384 };
    r->step = STEP_SLOT_KEYS;
    if (a->number >= CLUSTER_SLOTS) fail(r, "slot %" PRIu64 " is out of range", a->number);
}

static void on_slot_keys(struct rdb_reader *r, const struct atom *a)
{
    r->step = STEP_SLOT_EXPIRES;
} /* a hint that is ignored */
static void on_slot_expires(struct rdb_reader *r, const struct atom *a)
{
    r->step = STEP_OPCODE;
}

static void on_checksum(struct rdb_reader *r, const struct atom *a)
{
    uint64_t expected = read_le64(a->bytes.data);
    r->step = STEP_END;
    if (expected != 0 && expected != r->crc && !r->options.ignore_checksum) {
        fail(r, "RDB CRC error: %016" PRIx64 " in the file, %016" PRIx64 " computed", expected, r->crc);
        return;
    }
    r->checksum = expected == 0 || r->options.ignore_checksum ? RDB_CHECKSUM_NOT_CHECKED : RDB_CHECKSUM_RIGHT;
    r->status = RDB_DONE;
}

/* ---- values ---- */

static void begin_collection(struct rdb_reader *r, enum value_type type, enum step step)
{
    r->value_type = type;
    r->step = step;
}

static void await_stream_piece(struct rdb_reader *r)
{
    switch (rdb_stream_next(&r->stream)) {
    case RDB_PIECE_LENGTH: r->step = STEP_STREAM_LENGTH; break;
    case RDB_PIECE_STRING: r->step = STEP_STREAM_STRING; break;
    case RDB_PIECE_BYTES8: r->step = STEP_STREAM_BYTES8; break;
    case RDB_PIECE_BYTES16: r->step = STEP_STREAM_BYTES16; break;
    case RDB_PIECE_NONE: deliver(r, TYPE_STREAM, (struct bytes_view){0}); break; /* a stream may have no entries */
    }
}

static void begin_stream(struct rdb_reader *r)
{
    r->value_type = TYPE_STREAM;
    r->value = stream_new(r->options.env);
    rdb_stream_init(&r->stream, r->type, r->value);
    await_stream_piece(r);
}

static void on_stream_piece(struct rdb_reader *r, const struct atom *a)
{
    const char *why = rdb_stream_take(&r->stream, a->number, a->bytes);
    if (why != NULL)
        fail(r, "%s", why);
    else
        await_stream_piece(r);
}

/* Chooses the next step after the type and the key. */
static void begin_value(struct rdb_reader *r)
{
    r->in_value = true;
    r->first_ms = 0;
    r->field_ms = HASH_FIELD_STAYS;
    switch (r->type) {
    case RDB_TYPE_STRING: r->step = STEP_STRING; break;
    case RDB_TYPE_LIST:
    case RDB_TYPE_LIST_QUICKLIST:
    case RDB_TYPE_LIST_QUICKLIST_2: begin_collection(r, TYPE_LIST, STEP_COUNT); break;
    case RDB_TYPE_SET: begin_collection(r, TYPE_SET, STEP_COUNT); break;
    case RDB_TYPE_ZSET:
    case RDB_TYPE_ZSET_2: begin_collection(r, TYPE_ZSET, STEP_COUNT); break;
    case RDB_TYPE_HASH: begin_collection(r, TYPE_HASH, STEP_COUNT); break;
    case RDB_TYPE_LIST_ZIPLIST: begin_collection(r, TYPE_LIST, STEP_BLOB); break;
    case RDB_TYPE_SET_INTSET:
    case RDB_TYPE_SET_LISTPACK: begin_collection(r, TYPE_SET, STEP_BLOB); break;
    case RDB_TYPE_ZSET_ZIPLIST:
    case RDB_TYPE_ZSET_LISTPACK: begin_collection(r, TYPE_ZSET, STEP_BLOB); break;
    case RDB_TYPE_HASH_ZIPMAP:
    case RDB_TYPE_HASH_ZIPLIST:
    case RDB_TYPE_HASH_LISTPACK: begin_collection(r, TYPE_HASH, STEP_BLOB); break;
    case RDB_TYPE_MODULE:
    case RDB_TYPE_MODULE_2: r->step = STEP_MODULE_ID; break;
    case RDB_TYPE_STREAM:
    case RDB_TYPE_STREAM_2:
    case RDB_TYPE_STREAM_3: begin_stream(r); break;
    case RDB_TYPE_HASH_FIELD_TTL_PRE_GA: begin_collection(r, TYPE_HASH, STEP_COUNT); break;
    case RDB_TYPE_HASH_LISTPACK_TTL_PRE_GA: begin_collection(r, TYPE_HASH, STEP_BLOB); break;
    case RDB_TYPE_HASH_FIELD_TTL:
    case RDB_TYPE_HASH_LISTPACK_TTL: begin_collection(r, TYPE_HASH, STEP_FIRST_TIME); break;
    }
}

static void on_key_name(struct rdb_reader *r, const struct atom *a)
{
    if (a->bytes.len > UINT32_MAX) {
        fail(r, "a key of %zu bytes is too long", a->bytes.len);
        return;
    }
    set_buf(&r->name, a->bytes);
    begin_value(r);
}

static void on_restore_type(struct rdb_reader *r, const struct atom *a)
{
    unsigned type = (unsigned char)a->bytes.data[0];
    if (!is_known_type(type)) {
        fail(r, "unknown type %u", type);
        return;
    }
    r->type = (enum rdb_type)type;
    begin_value(r);
}

static void on_string(struct rdb_reader *r, const struct atom *a)
{
    deliver(r, TYPE_STRING, a->bytes);
}

static void fail_packed(struct rdb_reader *r, const char *why)
{
    fail(r, "%s %s", rdb_packed_name(r->type), why);
}

static void on_blob(struct rdb_reader *r, const struct atom *a)
{
    const char *why = rdb_unpack(r->type, a->bytes, r->options.env, &r->value);
    if (why == RDB_EMPTY) {
        finish_empty(r);
    } else if (why != NULL) {
        fail_packed(r, why);
    } else {
        deliver(r, r->value_type, (struct bytes_view){0});
    }
}

static enum step first_element_step(enum rdb_type type)
{
    switch (type) {
    case RDB_TYPE_ZSET:
    case RDB_TYPE_ZSET_2: return STEP_MEMBER;
    case RDB_TYPE_HASH: return STEP_FIELD;
    case RDB_TYPE_HASH_FIELD_TTL_PRE_GA:
    case RDB_TYPE_HASH_FIELD_TTL: return STEP_FIELD_TIME;
    case RDB_TYPE_LIST_QUICKLIST: return STEP_ZIPLIST_NODE;
    case RDB_TYPE_LIST_QUICKLIST_2: return STEP_NODE_KIND;
    default: return STEP_ELEMENT;
    }
}

static void on_count(struct rdb_reader *r, const struct atom *a)
{
    const struct value_env *env = r->options.env;
    r->announced = r->remaining = a->number;
    if (r->remaining == 0) {
        finish_empty(r);
        return;
    }
    r->step = first_element_step(r->type);
    if (r->value_type == TYPE_LIST) r->value = list_new(env);
    if (r->value_type == TYPE_ZSET)
        r->value = zset_new_table(env, size_hint(r)); /* a score may be -0, which only a
                                                                                   * table keeps */
    if (r->value_type != TYPE_HASH) return; /* a set is created with its first member, which decides its encoding */
    r->value = hash_new(env);
    hash_reserve(r->value, size_hint(r), 0);
}

static void on_element(struct rdb_reader *r, const struct atom *a)
{
    if (r->value_type == TYPE_LIST) {
        list_push(r->value, LIST_TAIL, a->bytes);
    } else {
        if (r->value == NULL) r->value = set_new(r->options.env, a->bytes, size_hint(r));
        if (!set_add(r->value, a->bytes)) fail(r, "an element appears twice");
    }
    element_done(r, STEP_ELEMENT);
}

/* A hash without expiring fields has HASH_TIME_MAX + 1 here. */
static void on_first_time(struct rdb_reader *r, const struct atom *a)
{
    uint64_t first = read_le64(a->bytes.data);
    r->step = r->type == RDB_TYPE_HASH_FIELD_TTL ? STEP_COUNT : STEP_BLOB;
    if (first > HASH_TIME_MAX + 1)
        fail(r, "Hash %s", RDB_BAD_TIME);
    else
        r->first_ms = (int64_t)first;
}

static void on_field_time(struct rdb_reader *r, const struct atom *a)
{
    uint64_t base = r->type == RDB_TYPE_HASH_FIELD_TTL ? (uint64_t)r->first_ms - 1 : 0; /* may wrap around, which the
                                                                                         * addition undoes */
    r->step = STEP_FIELD;
    r->field_ms = HASH_FIELD_STAYS;
    if (a->number == 0) return;
    if (a->number > HASH_TIME_MAX || base + a->number > HASH_TIME_MAX || base + a->number == 0)
        fail(r, "Hash %s", RDB_BAD_TIME);
    else
        r->field_ms = (int64_t)(base + a->number);
}

static void on_field(struct rdb_reader *r, const struct atom *a)
{
    set_buf(&r->part, a->bytes);
    r->step = STEP_FIELD_VALUE;
}

static void on_field_value(struct rdb_reader *r, const struct atom *a)
{
    struct bytes_view field = bytes_buf_view(&r->part);
    if (!hash_set(r->value, field, a->bytes)) fail(r, "an element appears twice");
    if (r->field_ms != HASH_FIELD_STAYS) hash_set_time(r->value, field, r->field_ms);
    element_done(r, first_element_step(r->type));
}

static void on_member(struct rdb_reader *r, const struct atom *a)
{
    set_buf(&r->part, a->bytes);
    r->step = r->type == RDB_TYPE_ZSET ? STEP_SCORE_TEXT : STEP_SCORE_BINARY;
}

static void add_scored(struct rdb_reader *r, double score)
{
    if (isnan(score)) {
        fail(r, "a score is not a number");
    } else if (zset_set(r->value, bytes_buf_view(&r->part), score) != ZSET_ADDED) {
        fail(r, "an element appears twice");
    }
    element_done(r, STEP_MEMBER);
}

static void on_score_text(struct rdb_reader *r, const struct atom *a)
{
    double score = NAN;
    if (a->number == RDB_SCORE_INF) {
        score = INFINITY;
    } else if (a->number == RDB_SCORE_NEG_INF) {
        score = -INFINITY;
    } else if (a->number != RDB_SCORE_NAN && !num_parse_double(a->bytes, &score)) {
        score = NAN;
    }
    add_scored(r, score);
}

static void on_score_binary(struct rdb_reader *r, const struct atom *a)
{
    uint64_t bits = read_le64(a->bytes.data);
    double score;
    memcpy(&score, &bits, sizeof(score));
    add_scored(r, score);
}

static void on_ziplist_node(struct rdb_reader *r, const struct atom *a)
{
    const char *why = rdb_unpack_ziplist_node(r->value, a->bytes);
    if (why != NULL) fail_packed(r, why);
    element_done(r, STEP_ZIPLIST_NODE);
}

static void on_node_kind(struct rdb_reader *r, const struct atom *a)
{
    r->node_kind = a->number;
    r->step = STEP_NODE;
    if (a->number != RDB_QUICKLIST_PLAIN && a->number != RDB_QUICKLIST_PACKED)
        fail(r, "unknown kind of list node %" PRIu64, a->number);
}

static void on_node(struct rdb_reader *r, const struct atom *a)
{
    bool plain = r->node_kind == RDB_QUICKLIST_PLAIN;
    const char *why = plain ? rdb_unpack_plain_node(r->value, a->bytes) : rdb_unpack_listpack_node(r->value, a->bytes);
    if (why != NULL) fail_packed(r, why);
    element_done(r, STEP_NODE_KIND);
}

static void on_end(struct rdb_reader *r, const struct atom *a)
{
    UNREACHABLE();
} /* unreachable: the status is DONE */

/* ---- the table of steps ---- */

struct step_row {
    enum atom_kind kind;
    unsigned size; /* of an ATOM_BYTES */
    void (*handle)(struct rdb_reader *r, const struct atom *a);
    const char *doing; /* NULL: reading a value */
};

static const struct step_row steps[] = {
    [STEP_MAGIC] = {ATOM_BYTES, RDB_MAGIC_LEN, on_magic, "start"},
    [STEP_OPCODE] = {ATOM_BYTES, 1, on_opcode, "read-type"},
    [STEP_AUX_NAME] = {ATOM_STRING, 0, on_aux_name, "read-aux"},
    [STEP_AUX_VALUE] = {ATOM_STRING, 0, on_aux_value, "read-aux"},
    [STEP_SELECT_DB] = {ATOM_LENGTH, 0, on_select_db, "read-len"},
    [STEP_RESIZE_KEYS] = {ATOM_LENGTH, 0, on_resize_keys, "read-len"},
    [STEP_RESIZE_EXPIRES] = {ATOM_LENGTH, 0, on_resize_expires, "read-len"},
    [STEP_EXPIRE_MS] = {ATOM_BYTES, 8, on_expire_ms, "read-expire"},
    [STEP_EXPIRE_S] = {ATOM_BYTES, 4, on_expire_s, "read-expire"},
    [STEP_IDLE] = {ATOM_LENGTH, 0, on_idle, "read-type"},
    [STEP_FREQ] = {ATOM_BYTES, 1, on_freq, "read-type"},
    [STEP_FUNCTION] = {ATOM_STRING, 0, on_function, "read-functions"},
    [STEP_OLD_FUNCTION] = {ATOM_STRING, 0, on_old_function, "read-functions"},
    [STEP_OLD_FUNCTION_ENGINE] = {ATOM_STRING, 0, on_old_function_engine, "read-functions"},
    [STEP_OLD_FUNCTION_DESCRIBED] = {ATOM_LENGTH, 0, on_old_function_described, "read-functions"},
    [STEP_OLD_FUNCTION_DESCRIPTION] = {ATOM_STRING, 0, on_old_function_description, "read-functions"},
    [STEP_OLD_FUNCTION_CODE] = {ATOM_STRING, 0, on_old_function_code, "read-functions"},
    [STEP_MODULE_AUX] = {ATOM_LENGTH, 0, on_module, "read-module-aux"},
    [STEP_SLOT_ID] = {ATOM_LENGTH, 0, on_slot_id, "read-len"},
    [STEP_SLOT_KEYS] = {ATOM_LENGTH, 0, on_slot_keys, "read-len"},
    [STEP_SLOT_EXPIRES] = {ATOM_LENGTH, 0, on_slot_expires, "read-len"},
    [STEP_CHECKSUM] = {ATOM_BYTES, RDB_CHECKSUM_LEN, on_checksum, "check-sum"},
    [STEP_KEY] = {ATOM_STRING, 0, on_key_name, "read-key"},
    [STEP_RESTORE_TYPE] = {ATOM_BYTES, 1, on_restore_type},
    [STEP_STRING] = {ATOM_STRING, 0, on_string},
    [STEP_BLOB] = {ATOM_STRING, 0, on_blob},
    [STEP_COUNT] = {ATOM_LENGTH, 0, on_count},
    [STEP_ELEMENT] = {ATOM_STRING, 0, on_element},
    [STEP_FIRST_TIME] = {ATOM_BYTES, 8, on_first_time},
    [STEP_FIELD_TIME] = {ATOM_LENGTH, 0, on_field_time},
    [STEP_FIELD] = {ATOM_STRING, 0, on_field},
    [STEP_FIELD_VALUE] = {ATOM_STRING, 0, on_field_value},
    [STEP_MEMBER] = {ATOM_STRING, 0, on_member},
    [STEP_SCORE_TEXT] = {ATOM_SCORE, 0, on_score_text},
    [STEP_SCORE_BINARY] = {ATOM_BYTES, 8, on_score_binary},
    [STEP_ZIPLIST_NODE] = {ATOM_STRING, 0, on_ziplist_node},
    [STEP_NODE_KIND] = {ATOM_LENGTH, 0, on_node_kind},
    [STEP_NODE] = {ATOM_STRING, 0, on_node},
    [STEP_STREAM_LENGTH] = {ATOM_LENGTH, 0, on_stream_piece},
    [STEP_STREAM_STRING] = {ATOM_STRING, 0, on_stream_piece},
    [STEP_STREAM_BYTES8] = {ATOM_BYTES, 8, on_stream_piece},
    [STEP_STREAM_BYTES16] = {ATOM_BYTES, 16, on_stream_piece},
    [STEP_MODULE_ID] = {ATOM_LENGTH, 0, on_module},
    [STEP_MODULE_WHEN] = {ATOM_LENGTH, 0, on_module_when, "read-module-aux"},
    [STEP_MODULE_ITEM] = {ATOM_LENGTH, 0, on_module_item},
    [STEP_MODULE_NUMBER] = {ATOM_LENGTH, 0, on_module_data},
    [STEP_MODULE_FLOAT] = {ATOM_BYTES, 4, on_module_data},
    [STEP_MODULE_DOUBLE] = {ATOM_BYTES, 8, on_module_data},
    [STEP_MODULE_STRING] = {ATOM_STRING, 0, on_module_data},
    [STEP_END] = {ATOM_BYTES, 1, on_end},
};

/* ---- atoms ---- */

/* The parse_*() functions look at bytes that begin with an atom. They return its size if it is complete. Otherwise
 * they return 0, with *need set to the number of bytes to wait for, or with an error set. */

static size_t parse_bytes(struct bytes_view in, size_t size, struct atom *a, size_t *need)
{
    *need = size;
    if (in.len < size) return 0;
    a->bytes = bytes_view(in.data, size);
    return size;
}

/* Size of an encoded length by its first byte; 0 for an unknown form. */
static size_t length_size(unsigned char first)
{
    if (first == RDB_LEN_32BIT_BYTE) return 5;
    if (first == RDB_LEN_64BIT_BYTE) return 9;
    static const unsigned char sizes[] = {
        [RDB_LEN_6BIT] = 1, [RDB_LEN_14BIT] = 2, [RDB_LEN_WIDE] = 0, [RDB_LEN_ENCODED] = 1};
    return sizes[first >> 6];
}

/* Parses a length, or the kind of an encoded string into *encoding (else -1). */
static size_t parse_length(struct rdb_reader *r, struct bytes_view in, uint64_t *len, int *encoding, size_t *need)
{
    *need = 1;
    if (in.len == 0) return 0;
    unsigned char first = (unsigned char)in.data[0];
    *need = length_size(first);
    if (*need == 0) fail(r, "unknown form of length %u", first);
    if (in.len < *need) return 0;
    *encoding = first >> 6 == RDB_LEN_ENCODED ? first & 63 : -1;
    *len = *need <= 2 ? first & 63 : 0;
    for (size_t i = 1; i < *need; i++) *len = *len << 8 | (unsigned char)in.data[i];
    return *need;
}

static size_t parse_plain_length(struct rdb_reader *r, struct bytes_view in, uint64_t *len, size_t *need)
{
    int encoding = -1;
    size_t size = parse_length(r, in, len, &encoding, need);
    if (size == 0 || encoding == -1) return size;
    fail(r, "a length is due, there is an encoded string");
    return 0;
}

static bool check_string_length(struct rdb_reader *r, uint64_t len)
{
    if (len <= r->options.max_string) return true;
    fail(r, "a string of %" PRIu64 " bytes is longer than the limit of %" PRIu64, len, r->options.max_string);
    return false;
}

static size_t parse_int_string(struct rdb_reader *r, struct bytes_view in, int encoding, struct atom *a, size_t *need)
{
    size_t size = (size_t)1 << encoding;
    uint32_t raw = 0;
    *need = 1 + size;
    if (in.len < *need) return 0;
    memcpy(&raw, in.data + 1, size);
    raw = le32toh(raw);
    int64_t value = encoding == RDB_STRING_INT8    ? (int8_t)raw
                    : encoding == RDB_STRING_INT16 ? (int16_t)raw
                                                   : (int32_t)raw;
    a->bytes = bytes_view(r->number.text, num_format_i64(r->number.text, value));
    return *need;
}

static void unpack_lzf(struct rdb_reader *r, struct bytes_view packed, size_t len, struct atom *a)
{
    r->unpacked.len = 0;
    bytes_buf_reserve(&r->unpacked, len);
    if (lzf_unpack(packed, r->unpacked.data, len) != 0) {
        fail(r, "a compressed string is damaged");
        return;
    }
    a->bytes = bytes_view(r->unpacked.data, len);
}

static size_t parse_lzf_string(struct rdb_reader *r, struct bytes_view in, struct atom *a, size_t *need)
{
    uint64_t packed_len, len;
    size_t at = 1;
    for (int i = 0; i < 2; i++) {
        size_t size = parse_plain_length(r, bytes_view(in.data + at, in.len - at), i == 0 ? &packed_len : &len, need);
        *need += at;
        if (size == 0) return 0;
        at += size;
    }
    if (!check_string_length(r, packed_len) || !check_string_length(r, len)) return 0;
    if (packed_len == 0 || len == 0 || len / LZF_MAX_RATIO > packed_len) {
        fail(r, "a compressed string of %" PRIu64 " bytes cannot come to %" PRIu64, packed_len, len);
        return 0;
    }
    *need = at + (size_t)packed_len;
    if (in.len < *need) return 0;
    unpack_lzf(r, bytes_view(in.data + at, (size_t)packed_len), (size_t)len, a);
    return r->status == RDB_MORE ? *need : 0;
}

static size_t parse_string(struct rdb_reader *r, struct bytes_view in, struct atom *a, size_t *need)
{
    uint64_t len = 0;
    int encoding = -1;
    size_t size = parse_length(r, in, &len, &encoding, need);
    if (size == 0) return 0;
    if (encoding == RDB_STRING_LZF) return parse_lzf_string(r, in, a, need);
    if (encoding > RDB_STRING_LZF) {
        fail(r, "unknown string encoding %d", encoding);
        return 0;
    }
    if (encoding != -1) return parse_int_string(r, in, encoding, a, need);
    if (!check_string_length(r, len)) return 0;
    *need = size + (size_t)len;
    if (in.len < *need) {
        r->blob_header = size;
        if (r->step == STEP_STRING && len >= LONG_STRING) r->blob_len = (size_t)len;
        return 0;
    }
    a->bytes = bytes_view(in.data + size, (size_t)len);
    return *need;
}

static size_t parse_score(struct bytes_view in, struct atom *a, size_t *need)
{
    *need = 1;
    if (in.len == 0) return 0;
    a->number = (unsigned char)in.data[0];
    *need += a->number >= RDB_SCORE_NAN ? 0 : a->number;
    if (in.len < *need) return 0;
    a->bytes = bytes_view(in.data + 1, *need - 1);
    return *need;
}

static size_t parse_atom(struct rdb_reader *r, struct bytes_view in, struct atom *a, size_t *need)
{
    const struct step_row *row = &steps[r->step];
    switch (row->kind) {
    case ATOM_BYTES: return parse_bytes(in, row->size, a, need);
    case ATOM_LENGTH: return parse_plain_length(r, in, &a->number, need);
    case ATOM_STRING: return parse_string(r, in, a, need);
    case ATOM_SCORE: return parse_score(in, a, need);
    }
    UNREACHABLE();
}

/* Appends to carry the bytes that its atom still lacks, as far as they are in the input. Capacity doubles: so a long
 * string is copied few times, and carry has at most twice the bytes that have arrived. */
static void fill_carry(struct rdb_reader *r, struct bytes_view in, size_t *pos)
{
    size_t lacks = r->carry_need - r->carry.len, there = in.len - *pos;
    size_t take = lacks < there ? lacks : there;
    if (take > r->carry.cap - r->carry.len) {
        size_t twice = checked_size_add(take, r->carry.len);
        bytes_buf_reserve(&r->carry, twice < lacks ? twice : lacks);
    }
    bytes_buf_append(&r->carry, in.data + *pos, take);
    *pos += take;
}

static void grow_blob(struct rdb_reader *r, size_t len)
{
    size_t have = r->blob != NULL ? r->blob->len : 0, cap = checked_size_add(have, have > len ? have : len);
    if (cap > r->blob_len) cap = r->blob_len;
    r->blob = mem_realloc(r->blob, checked_size_add(sizeof(*r->blob), cap));
    blob_init(r->blob, have, cap);
}

/* The same for a long string value whose length is known. */
static bool fill_blob(struct rdb_reader *r, struct bytes_view in, size_t *pos, struct atom *a)
{
    size_t have = r->blob != NULL ? r->blob->len : 0, there = in.len - *pos;
    size_t take = there < r->blob_len - have ? there : r->blob_len - have;
    if (r->blob == NULL || take > r->blob->cap - have) grow_blob(r, take);
    memcpy(r->blob->data + have, in.data + *pos, take);
    r->blob->len += take;
    *pos += take;
    a->bytes = bytes_view(r->blob->data, r->blob->len);
    return r->blob->len == r->blob_len;
}

static void clean_up_after_atom(struct rdb_reader *r)
{
    r->carry_used = false;
    trim(&r->carry);
    if (r->unpacked.cap > KEEP_BUFFER) trim(&r->unpacked);
}

/* Reads an atom in place, or else in carry. Returns false also when only the length of a long string has been read. */
static bool next_short_atom(struct rdb_reader *r, struct bytes_view in, size_t *pos, struct atom *a)
{
    if (r->carry.len == 0) {
        r->atom_start = r->offset + *pos;
        size_t size = parse_atom(r, bytes_view(in.data + *pos, in.len - *pos), a, &r->carry_need);
        *pos += r->blob_len > 0 ? r->blob_header : size;
        if (size > 0) return true;
    }
    while (*pos < in.len && r->status == RDB_MORE && r->blob_len == 0) {
        fill_carry(r, in, pos);
        if (r->carry.len < r->carry_need) return false;
        r->carry_used = parse_atom(r, bytes_buf_view(&r->carry), a, &r->carry_need) > 0;
        if (r->carry_used) return true;
    }
    return false;
}

/* Sets *a to the next whole atom. False: more input is needed (all of it has been consumed), or an error is set. */
static bool next_atom(struct rdb_reader *r, struct bytes_view in, size_t *pos, struct atom *a)
{
    if (r->carry_used) clean_up_after_atom(r);
    if (*pos == in.len) return false;
    if (r->blob_len == 0 && next_short_atom(r, in, pos, a)) return true;
    if (r->blob_len == 0 || *pos == in.len) return false;
    r->carry.len = 0; /* carry held only the length */
    return fill_blob(r, in, pos, a);
}

static void add_to_crc(struct rdb_reader *r, struct bytes_view in, size_t end)
{
    bool has_checksum = r->version == 0 || r->version >= RDB_CHECKSUM_VERSION; /* 0: not known yet */
    if (has_checksum && !r->options.ignore_checksum) r->crc = crc64(r->crc, in.data + r->crc_done, end - r->crc_done);
    r->crc_done = end;
}

enum rdb_status rdb_reader_feed(struct rdb_reader *r, struct bytes_view in, size_t *consumed)
{
    struct atom a;
    size_t pos = 0;
    r->crc_done = 0;
    while (r->status == RDB_MORE && next_atom(r, in, &pos, &a)) {
        r->atom_end = r->offset + pos;
        enum step step = r->step;
        steps[step].handle(r, &a);
        if (r->status == RDB_ERROR) r->step = step;           /* keeps the step for rdb_reader_place() */
        if (r->step == STEP_CHECKSUM) add_to_crc(r, in, pos); /* the checksum covers all bytes before it */
    }
    if (r->step != STEP_CHECKSUM && r->step != STEP_END) add_to_crc(r, in, pos);
    r->offset += pos;
    *consumed = pos;
    return r->status;
}

/* ---- life cycle and accessors ---- */

struct rdb_reader *rdb_reader_new(const struct rdb_reader_options *options, const struct rdb_callbacks *callbacks)
{
    ASSERT(callbacks->on_key != NULL && options->env != NULL);
    struct rdb_reader *r = mem_calloc(sizeof(*r));
    r->options = *options;
    r->callbacks = *callbacks;
    if (r->options.max_string == 0) r->options.max_string = DEFAULT_MAX_STRING;
    r->expiry_ms = r->idle_seconds = r->freq = -1;
    return r;
}

void rdb_reader_free(struct rdb_reader *r)
{
    if (r == NULL) return;
    drop_value(r);
    drop_blob(r);
    bytes_buf_release(&r->carry);
    bytes_buf_release(&r->unpacked);
    bytes_buf_release(&r->name);
    bytes_buf_release(&r->part);
    mem_free(r);
}

const char *rdb_reader_error(const struct rdb_reader *r)
{
    return r->error;
}
const char *rdb_reader_reason(const struct rdb_reader *r)
{
    return r->error + r->reason_at;
}
struct rdb_place rdb_reader_place(const struct rdb_reader *r)
{
    const char *doing = steps[r->step].doing;
    return (struct rdb_place){.start = r->atom_start,
                              .end = r->atom_end,
                              .doing = doing != NULL ? doing : "read-object-value",
                              .in_value = r->in_value,
                              .key = bytes_buf_view(&r->name),
                              .type = r->type,
                              .expiry_ms = r->expiry_ms};
}
enum rdb_checksum rdb_reader_checksum(const struct rdb_reader *r)
{
    return r->checksum;
}
uint64_t rdb_reader_offset(const struct rdb_reader *r)
{
    return r->offset;
}
int rdb_reader_version(const struct rdb_reader *r)
{
    return r->version;
}
/* ---- RESTORE ---- */

struct restored {
    enum value_type type;
    void *value;
    struct bytes_buf *string;
};

static int keep_restored(void *ctx, const struct rdb_key *key)
{
    struct restored *out = ctx;
    out->type = key->type;
    out->value = key->value;
    if (key->type == TYPE_STRING) bytes_buf_append_view(out->string, key->string);
    return 0;
}

static bool footer_is_right(struct bytes_view payload)
{
    if (payload.len < RDB_DUMP_FOOTER_LEN) return false;
    const char *footer = payload.data + payload.len - RDB_DUMP_FOOTER_LEN;
    unsigned version = (unsigned char)footer[0] | (unsigned)(unsigned char)footer[1] << 8;
    if (version > RDB_VERSION_MAX) return false;
    return crc64(0, payload.data, payload.len - RDB_CHECKSUM_LEN) == read_le64(footer + 2);
}

static const char *restore_reason(const struct rdb_reader *r, enum rdb_status status)
{
    if (status == RDB_ERROR) return rdb_reader_reason(r);
    return status == RDB_MORE ? "the payload ends within the value" : "there are bytes behind the value";
}

static int no_keys(void *ctx, const struct rdb_key *key)
{
    (void)ctx, (void)key;
    return -1;
}

int rdb_restore_libraries(struct bytes_view payload, int (*on_library)(void *ctx, struct bytes_view source), void *ctx,
                          struct bytes_buf *why)
{
    if (!footer_is_right(payload)) return -EBADMSG;
    struct bytes_view body = bytes_view(payload.data, payload.len - RDB_DUMP_FOOTER_LEN);
    struct value_env env = {0}; /* for values; the payload has none */
    struct rdb_reader_options options = {.env = &env};
    struct rdb_callbacks callbacks = {.ctx = ctx, .on_key = no_keys, .on_library = on_library};
    struct rdb_reader *r = rdb_reader_new(&options, &callbacks);
    r->step = STEP_OPCODE;
    r->libraries_only = true;
    size_t consumed;
    enum rdb_status status = rdb_reader_feed(r, body, &consumed);
    bool good = status == RDB_MORE && r->step == STEP_OPCODE; /* such a payload has no end mark */
    if (!good)
        bytes_buf_printf(why, "%s", status == RDB_ERROR ? rdb_reader_reason(r) : "the payload ends within a library");
    rdb_reader_free(r);
    return good ? 0 : -EINVAL;
}

int rdb_restore(struct bytes_view payload, const struct value_env *env, enum value_type *type, void **value,
                struct bytes_buf *string, struct bytes_buf *why)
{
    if (!footer_is_right(payload)) return -EBADMSG;
    struct bytes_view body = bytes_view(payload.data, payload.len - RDB_DUMP_FOOTER_LEN);
    struct restored out = {.string = string};
    struct rdb_reader_options options = {.env = env};
    struct rdb_callbacks callbacks = {.ctx = &out, .on_key = keep_restored};
    struct rdb_reader *r = rdb_reader_new(&options, &callbacks);
    r->step = STEP_RESTORE_TYPE;
    r->restoring = true;
    size_t consumed;
    enum rdb_status status = rdb_reader_feed(r, body, &consumed);
    bool good = status == RDB_DONE && consumed == body.len;
    if (!good && why != NULL) bytes_buf_printf(why, "%s", restore_reason(r, status));
    rdb_reader_free(r);
    if (!good) {
        if (status == RDB_DONE && out.value != NULL) value_free(out.type, out.value);
        string->len = 0;
        return -EINVAL;
    }
    *type = out.type;
    *value = out.value;
    return 0;
}
