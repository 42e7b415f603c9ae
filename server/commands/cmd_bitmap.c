/* cmd_bitmap.c -- BITCOUNT, BITPOS, BITOP, BITFIELD, GETBIT and SETBIT: strings as arrays of bits. */
#include "server/commands/tables.h"
#include "server/dispatch/command.h"
#include "storage/base/bits.h"
#include "storage/base/checked.h"
#include "storage/base/memory.h"

/* ---- What they share ---- */

/* Parses a bit offset such as "7", or "#7" (the seventh field of `width` bits) if width > 0. The offset must lie within
 * the longest allowed string. */
static bool arg_bit_offset(struct cmd_ctx *ctx, int arg, unsigned width, uint64_t *out)
{
    struct bytes_view text = ctx->argv[arg];
    bool fields = width > 0 && text.len > 0 && text.data[0] == '#';
    int64_t offset;
    if (fields) text = bytes_view(text.data + 1, text.len - 1);
    bool good = num_parse_i64(text, &offset) && offset >= 0;
    if (good && fields) good = !mul_overflow(offset, width, &offset);
    if (good && !ctx_is_replayed(ctx)) good = offset / 8 < ctx->settings->clients.proto_max_bulk_len;
    if (!good) reply_error(ctx->reply, "ERR bit offset is not an integer or out of range");
    *out = good ? (uint64_t)offset : 0;
    return good;
}

static struct bytes_view string_or_empty(const struct entry *e, struct number_text *text)
{
    return e == NULL ? bytes_view("", 0) : entry_string(e, text);
}

/* The string for writing, created or extended to `len` bytes. */
static char *writable(struct cmd_ctx *ctx, struct keyref key, struct entry *e, size_t len)
{
    char *data;
    if (e == NULL) e = keyspace_put_string(ctx->db, key, bytes_view("", 0), PUT_NO_INT);
    size_t has = entry_string_len(e);
    keyspace_resize_string(ctx->db, key, e, len > has ? len : has, &data);
    return data;
}

/* ---- SETBIT, GETBIT ---- */

static void cmd_setbit(struct cmd_ctx *ctx)
{
    struct keyref key = ctx_key(ctx, 1);
    struct number_text text;
    struct entry *e;
    uint64_t at;
    int64_t bit;
    if (!arg_bit_offset(ctx, 2, 0, &at)) return;
    if (!ctx_arg_i64_range(ctx, 3, 0, 1, &bit, "bit is not an integer or out of range")) return;
    if (ctx_write(ctx, 1, TYPE_STRING, &e) == LOOKUP_WRONG_TYPE) return;
    struct bytes_view old = string_or_empty(e, &text);
    int64_t was = (int64_t)bits_get(old, at, 1);
    /* a longer string is a change even if the bit is 0 (X9) */
    bool grows = at / 8 >= old.len;
    /* The encoding becomes raw even if the bit did not change. */
    char *data = writable(ctx, key, e, (size_t)(at / 8) + 1);
    if (grows || was != bit) {
        bits_set(data, at, 1, (uint64_t)bit);
        ctx_changed(ctx, key, NOTIFY_STRING, "setbit", 1);
    }
    reply_int(ctx->reply, was);
}

static void cmd_getbit(struct cmd_ctx *ctx)
{
    const struct entry *e;
    struct number_text text;
    uint64_t at;
    if (!arg_bit_offset(ctx, 2, 0, &at) || ctx_read(ctx, 1, TYPE_STRING, &e) == LOOKUP_WRONG_TYPE) return;
    reply_int(ctx->reply, (int64_t)bits_get(string_or_empty(e, &text), at, 1));
}

/* ---- BITCOUNT, BITPOS ---- */

struct bit_range {
    int64_t start, end;    /* as given; negative positions count from the end */
    bool in_bits, has_end; /* has_end: the client gave an end */
};

/* Both commands first refuse too many arguments. They parse, and report errors of, the others in different orders. */
static bool parse_start(struct cmd_ctx *ctx, int arg, struct bit_range *r)
{
    *r = (struct bit_range){.end = -1, .has_end = ctx_has_arg(ctx, arg + 1)};
    if (!ctx_has_arg(ctx, arg + 3)) return !ctx_has_arg(ctx, arg) || ctx_arg_i64(ctx, arg, &r->start);
    ctx_error_syntax(ctx);
    return false;
}

static bool parse_end(struct cmd_ctx *ctx, int arg, struct bit_range *r)
{
    return !ctx_has_arg(ctx, arg) || ctx_arg_i64(ctx, arg, &r->end);
}

static bool parse_unit(struct cmd_ctx *ctx, int arg, struct bit_range *r)
{
    if (!ctx_has_arg(ctx, arg)) return true;
    r->in_bits = ctx_arg_is(ctx, arg, "bit");
    if (r->in_bits || ctx_arg_is(ctx, arg, "byte")) return true;
    ctx_error_syntax(ctx);
    return false;
}

/* The range as bits of a string of `len` bytes: first to last. False: it is empty. */
static bool resolve_bit_range(const struct bit_range *r, size_t bytes, uint64_t *first, uint64_t *last)
{
    int64_t units = (int64_t)bytes * (r->in_bits ? 8 : 1), start = r->start, end = r->end;
    if (start < 0) start = start + units < 0 ? 0 : start + units;
    if (end < 0) end = end + units < 0 ? 0 : end + units;
    if (end >= units) end = units - 1;
    if (start > end) return false;
    *first = (uint64_t)start * (r->in_bits ? 1 : 8);
    *last = r->in_bits ? (uint64_t)end : (uint64_t)end * 8 + 7;
    return true;
}

static uint64_t count_ones(struct bytes_view s, uint64_t first, uint64_t last)
{
    uint64_t from = first / 8, to = last / 8 + 1;
    uint64_t ones = bits_count(bytes_view(s.data + from, (size_t)(to - from)));
    if (first % 8 != 0) ones -= (uint64_t)__builtin_popcountll(bits_get(s, from * 8, (unsigned)(first % 8)));
    if (last % 8 != 7) ones -= (uint64_t)__builtin_popcountll(bits_get(s, last + 1, (unsigned)(7 - last % 8)));
    return ones;
}

static void cmd_bitcount(struct cmd_ctx *ctx)
{
    const struct entry *e;
    struct number_text text;
    struct bit_range range;
    uint64_t first, last;
    switch (ctx_read(ctx, 1, TYPE_STRING, &e)) {
    case LOOKUP_WRONG_TYPE: return;
    case LOOKUP_MISSING: reply_int(ctx->reply, 0); return; /* without a look at the other arguments */
    case LOOKUP_FOUND: break;
    }
    if (ctx->argc == 3) { /* a start without an end */
        ctx_error_syntax(ctx);
        return;
    }
    if (!parse_start(ctx, 2, &range) || !parse_end(ctx, 3, &range)) return;
    /* Two positions before the beginning, the later one first: an empty range, unlike in BITPOS. The unit is not
     * checked. */
    if (range.start < 0 && range.end < 0 && range.start > range.end) {
        reply_int(ctx->reply, 0);
        return;
    }
    if (!parse_unit(ctx, 4, &range)) return;
    struct bytes_view s = entry_string(e, &text);
    bool any = resolve_bit_range(&range, s.len, &first, &last);
    reply_int(ctx->reply, any ? (int64_t)count_ones(s, first, last) : 0);
}

static void cmd_bitpos(struct cmd_ctx *ctx)
{
    const struct entry *e;
    struct number_text text;
    struct bit_range range;
    uint64_t first, last;
    int64_t bit;
    if (!ctx_arg_i64(ctx, 2, &bit)) return;
    if (bit != 0 && bit != 1) {
        reply_error(ctx->reply, "ERR The bit argument must be 1 or 0.");
        return;
    }
    switch (ctx_read(ctx, 1, TYPE_STRING, &e)) {
    case LOOKUP_WRONG_TYPE: return;
    case LOOKUP_MISSING: reply_int(ctx->reply, bit == 1 ? -1 : 0); return;
    case LOOKUP_FOUND: break;
    }
    if (!parse_start(ctx, 3, &range) || !parse_unit(ctx, 5, &range) || !parse_end(ctx, 4, &range)) return;
    struct bytes_view s = entry_string(e, &text);
    int64_t found = resolve_bit_range(&range, s.len, &first, &last) ? bits_find(s, first, last, bit == 1) : -2;
    /* As if the string continued with zeros. */
    if (found == -1 && bit == 0 && !range.has_end) found = (int64_t)s.len * 8;
    reply_int(ctx->reply, found == -2 ? -1 : found);
}

/* ---- BITOP ---- */

enum bit_op { BIT_AND, BIT_OR, BIT_XOR, BIT_NOT };

static bool parse_bit_op(struct cmd_ctx *ctx, enum bit_op *op)
{
    static const char *const names[] = {"and", "or", "xor", "not"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (!ctx_arg_is(ctx, 1, names[i])) continue;
        *op = (enum bit_op)i;
        if (*op != BIT_NOT || ctx->argc == 4) return true;
        reply_error(ctx->reply, "ERR BITOP NOT must be called with a single source key.");
        return false;
    }
    ctx_error_syntax(ctx);
    return false;
}

static void combine(enum bit_op op, char *to, const char *from, size_t len)
{
    switch (op) {
    case BIT_AND: bits_and(to, from, len); break;
    case BIT_OR: bits_or(to, from, len); break;
    case BIT_XOR: bits_xor(to, from, len); break;
    case BIT_NOT: bits_not(to, from, len); break;
    }
}

/* The part of a source from a position on; behind the end of a source there are zeros. */
static struct bytes_view part_of(struct bytes_view s, size_t at, size_t len)
{
    if (at >= s.len) return bytes_view("", 0);
    return bytes_view(s.data + at, s.len - at < len ? s.len - at : len);
}

/* Computes one part of the result. */
static void combine_part(enum bit_op op, const struct bytes_view *sources, size_t count, size_t at, char *to,
                         size_t len)
{
    struct bytes_view first = part_of(sources[0], at, len);
    if (op == BIT_NOT)
        combine(op, to, first.data, first.len);
    else
        memcpy(to, first.data, first.len);
    memset(to + first.len, 0, len - first.len);
    for (size_t i = 1; i < count; i++) {
        struct bytes_view s = part_of(sources[i], at, len);
        combine(op, to, s.data, s.len);
        if (op == BIT_AND) memset(to + s.len, 0, len - s.len);
    }
}

/* The sources, with empty views for missing keys. Values that are integers are formatted in `texts`. */
static bool read_sources(struct cmd_ctx *ctx, struct bytes_view *sources, struct number_text *texts, size_t *longest)
{
    *longest = 0;
    for (int i = 3; i < ctx->argc; i++) {
        const struct entry *e;
        if (ctx_read(ctx, i, TYPE_STRING, &e) == LOOKUP_WRONG_TYPE) return false;
        sources[i - 3] = string_or_empty(e, &texts[i - 3]);
        if (sources[i - 3].len > *longest) *longest = sources[i - 3].len;
    }
    return true;
}

enum { PART = 8192 /* bytes of the result, few enough for the first-level cache while all sources are read */ };

static struct blob *bit_op_result(enum bit_op op, const struct bytes_view *sources, size_t count, size_t len)
{
    struct blob *b = mem_alloc(checked_size_add(sizeof(*b), len));
    blob_init(b, len, len);
    for (size_t at = 0; at < len; at += PART)
        combine_part(op, sources, count, at, b->data + at, len - at < PART ? len - at : PART);
    return b;
}

static void store_bit_op(struct cmd_ctx *ctx, struct blob *result)
{
    struct keyref key = ctx_key(ctx, 2);
    if (result->len > 0) {
        keyspace_put_blob(ctx->db, key, result, 0);
        ctx_changed(ctx, key, NOTIFY_STRING, "set", 1);
        return;
    }
    mem_free(result);
    if (keyspace_delete(ctx->db, key, ctx->settings->memory.lazyfree_lazy_server_del))
        ctx_changed(ctx, key, NOTIFY_GENERIC, "del", 1);
}

static void cmd_bitop(struct cmd_ctx *ctx)
{
    enum bit_op op;
    size_t count = (size_t)ctx->argc - 3, len;
    if (!parse_bit_op(ctx, &op)) return;
    struct bytes_view *sources = mem_alloc(count * sizeof(*sources));
    struct number_text *texts = mem_alloc(count * sizeof(*texts));
    if (read_sources(ctx, sources, texts, &len)) {
        struct blob *result = bit_op_result(op, sources, count, len);
        store_bit_op(ctx, result);
        reply_int(ctx->reply, (int64_t)len);
    }
    mem_free(sources);
    mem_free(texts);
}

/* ---- BITFIELD ---- */

enum overflow { OVERFLOW_WRAP, OVERFLOW_SATURATE, OVERFLOW_FAIL };
enum field_verb { FIELD_GET, FIELD_SET, FIELD_INCREMENT };

struct field_op {
    enum field_verb verb;
    enum overflow overflow;
    bool is_signed;
    unsigned width;
    uint64_t at;
    int64_t value; /* to set or to add */
};

static bool parse_field_type(struct cmd_ctx *ctx, int arg, struct field_op *op)
{
    struct bytes_view text = ctx->argv[arg];
    int64_t width = 0;
    op->is_signed = text.len > 0 && text.data[0] == 'i';
    bool good = text.len > 1 && (op->is_signed || text.data[0] == 'u') &&
                num_parse_i64(bytes_view(text.data + 1, text.len - 1), &width) && width >= 1 &&
                width <= (op->is_signed ? 64 : 63);
    op->width = (unsigned)width;
    if (!good)
        reply_error(ctx->reply, "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported "
                                "but i64 is.");
    return good;
}

static bool parse_overflow(struct cmd_ctx *ctx, int arg, enum overflow *out)
{
    static const char *const names[] = {"wrap", "sat", "fail"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (!ctx_arg_is(ctx, arg, names[i])) continue;
        *out = (enum overflow)i;
        return true;
    }
    reply_error(ctx->reply, "ERR Invalid OVERFLOW type specified");
    return false;
}

/* Parses one operation at *arg and moves *arg past it. */
static bool parse_field_op(struct cmd_ctx *ctx, int *arg, struct field_op *op)
{
    int at = *arg, words = 0;
    if (ctx_arg_is(ctx, at, "get")) op->verb = FIELD_GET, words = 3;
    if (ctx_arg_is(ctx, at, "set")) op->verb = FIELD_SET, words = 4;
    if (ctx_arg_is(ctx, at, "incrby")) op->verb = FIELD_INCREMENT, words = 4;
    if (words == 0 || at + words > ctx->argc) {
        ctx_error_syntax(ctx);
        return false;
    }
    *arg = at + words;
    if (!parse_field_type(ctx, at + 1, op) || !arg_bit_offset(ctx, at + 2, op->width, &op->at)) return false;
    return op->verb == FIELD_GET || ctx_arg_i64(ctx, at + 3, &op->value);
}

struct field_ops {
    struct field_op *list;
    size_t count;
    uint64_t write_end; /* number of bits that must exist for the writes; 0: only reads */
};

static bool parse_field_ops(struct cmd_ctx *ctx, bool read_only, struct field_ops *ops)
{
    enum overflow overflow = OVERFLOW_WRAP;
    for (int arg = 2; arg < ctx->argc;) {
        if (ctx_arg_is(ctx, arg, "overflow") && ctx_has_arg(ctx, arg + 1)) {
            if (!parse_overflow(ctx, arg + 1, &overflow)) return false;
            arg += 2;
            continue;
        }
        struct field_op *op = &ops->list[ops->count++];
        op->overflow = overflow;
        if (!parse_field_op(ctx, &arg, op)) return false;
        if (op->verb == FIELD_GET) continue;
        if (op->at + op->width > ops->write_end) ops->write_end = op->at + op->width;
    }
    if (!read_only || ops->write_end == 0) return true;
    reply_error(ctx->reply, "ERR BITFIELD_RO only supports the GET subcommand");
    return false;
}

static int64_t field_value(const struct field_op *op, uint64_t bits)
{
    if (!op->is_signed || op->width == 64) return (int64_t)bits;
    uint64_t sign = (uint64_t)1 << (op->width - 1);
    return (int64_t)((bits ^ sign) - sign);
}

/* The field's new bits for the value `wanted`, which is a sum for INCRBY. False: it does not fit and OVERFLOW FAIL is
 * set. 128 bits hold every sum of two values. */
static bool fit_field(const struct field_op *op, __int128 wanted, uint64_t *bits)
{
    __int128 span = (__int128)1 << op->width;
    __int128 least = op->is_signed ? -(span / 2) : 0, most = op->is_signed ? span / 2 - 1 : span - 1;
    if (wanted < least || wanted > most) {
        if (op->overflow == OVERFLOW_FAIL) return false;
        /* Redis treats a value to be set as too large if its distance to the maximum does not fit into 64 bits.
         * Replicas need the same result. */
        bool above = wanted > most || (op->verb == FIELD_SET && most - wanted > INT64_MAX);
        if (op->overflow == OVERFLOW_SATURATE) wanted = above ? most : least;
    }
    *bits = (uint64_t)wanted & (uint64_t)(span - 1); /* wraps around */
    return true;
}

/* True if it counts as a change: the value changed, or the string became longer. */
static bool run_write(struct cmd_ctx *ctx, const struct field_op *op, char *data, size_t len, bool grown)
{
    uint64_t bits, old_bits = bits_get(bytes_view(data, len), op->at, op->width);
    int64_t old = field_value(op, old_bits);
    /* SET of an unsigned field takes the value as unsigned: -1 is the maximum. */
    __int128 given = op->is_signed || op->verb == FIELD_INCREMENT ? op->value : (__int128)(uint64_t)op->value;
    if (!fit_field(op, op->verb == FIELD_SET ? given : (__int128)old + given, &bits)) {
        reply_null(ctx->reply);
        return false;
    }
    bits_set(data, op->at, op->width, bits);
    reply_int(ctx->reply, op->verb == FIELD_SET ? old : field_value(op, bits));
    return grown || bits != old_bits;
}

static void run_reads(struct cmd_ctx *ctx, const struct field_ops *ops)
{
    const struct entry *e;
    struct number_text text;
    if (ctx_read(ctx, 1, TYPE_STRING, &e) == LOOKUP_WRONG_TYPE) return;
    struct bytes_view s = string_or_empty(e, &text);
    reply_array(ctx->reply, ops->count);
    for (size_t i = 0; i < ops->count; i++)
        reply_int(ctx->reply, field_value(&ops->list[i], bits_get(s, ops->list[i].at, ops->list[i].width)));
}

static void run_fields(struct cmd_ctx *ctx, const struct field_ops *ops)
{
    struct entry *e;
    struct keyref key = ctx_key(ctx, 1);
    uint64_t changes = 0;
    if (ctx_write(ctx, 1, TYPE_STRING, &e) == LOOKUP_WRONG_TYPE) return;
    size_t has = e == NULL ? 0 : entry_string_len(e), len = (size_t)((ops->write_end + 7) / 8);
    bool grows = len > has; /* a longer string is a change, whatever is written (X9) */
    if (!grows) len = has;
    char *data = writable(ctx, key, e, len);
    reply_array(ctx->reply, ops->count);
    for (size_t i = 0; i < ops->count; i++) {
        const struct field_op *op = &ops->list[i];
        if (op->verb == FIELD_GET)
            reply_int(ctx->reply, field_value(op, bits_get(bytes_view(data, len), op->at, op->width)));
        else
            changes += run_write(ctx, op, data, len, grows);
    }
    if (changes == 0) changes = grows;
    if (changes > 0) ctx_changed(ctx, key, NOTIFY_STRING, "setbit", changes);
}

static void bitfield(struct cmd_ctx *ctx, bool read_only)
{
    struct field_ops ops = {.list = mem_alloc((size_t)ctx->argc * sizeof(struct field_op))};
    if (parse_field_ops(ctx, read_only, &ops)) {
        if (ops.write_end == 0)
            run_reads(ctx, &ops);
        else
            run_fields(ctx, &ops);
    }
    mem_free(ops.list);
}

static void cmd_bitfield(struct cmd_ctx *ctx)
{
    bitfield(ctx, false);
}
static void cmd_bitfield_ro(struct cmd_ctx *ctx)
{
    bitfield(ctx, true);
}

/* With two wrong arguments, the error of the second is answered. */
static unsigned bitfield_key_flags(int argc, const struct bytes_view *argv)
{
    for (int arg = 2, length; arg < argc; arg += length) {
        length = bytes_equal_nocase(argv[arg], "get") ? 3 : 2;
        bool reads = length == 3 || bytes_equal_nocase(argv[arg], "overflow");
        if (!reads || arg + length > argc) return KEY_RW | KEY_ACCESS | KEY_UPDATE;
    }
    return KEY_RO | KEY_ACCESS;
}

// clang-format off
#define BITFIELD_NOTES "It both reads and changes the value; with GET alone, it only reads."
#define BITMAP_ROW .acl = ACL_BITMAP, .group = "bitmap"
const struct command bitmap_commands[] = {
    { .name = "setbit", .run = cmd_setbit, .arity = 4, .flags = CMD_WRITE | CMD_DENYOOM, BITMAP_ROW, .keys = { KEY_AT(1, KEY_RW | KEY_ACCESS | KEY_UPDATE) },
      .since = "2.2.0", .complexity = "O(1)", .summary = "Sets one bit of a string, and returns what it was.",
      .syntax = "key:k0 offset:i value:i" },
    { .name = "getbit", .run = cmd_getbit, .arity = 3, .flags = CMD_READONLY | CMD_FAST, BITMAP_ROW, .keys = { KEY_AT(1, KEY_RO | KEY_ACCESS) },
      .since = "2.2.0", .complexity = "O(1)", .summary = "Returns one bit of a string.",
      .syntax = "key:k0 offset:i" },
    { .name = "bitcount", .run = cmd_bitcount, .arity = -2, .flags = CMD_READONLY, BITMAP_ROW, .keys = { KEY_AT(1, KEY_RO | KEY_ACCESS) },
      .since = "2.6.0", .complexity = "O(N)", .summary = "Counts the bits of a string that are set.",
      .history = "7.0.0 BYTE and BIT were added.",
      .syntax = "key:k0 [range(start:i end:i [unit<BYTE | BIT>@7.0.0])]" },
    { .name = "bitpos", .run = cmd_bitpos, .arity = -3, .flags = CMD_READONLY, BITMAP_ROW, .keys = { KEY_AT(1, KEY_RO | KEY_ACCESS) },
      .since = "2.8.7", .complexity = "O(N)", .summary = "Finds the first bit of a string that is set, or not set.",
      .history = "7.0.0 BYTE and BIT were added.",
      .syntax = "key:k0 bit:i [range(start:i [end-unit-block(end:i [unit<BYTE | BIT>@7.0.0])])]" },
    { .name = "bitop", .run = cmd_bitop, .arity = -4, .flags = CMD_WRITE | CMD_DENYOOM, BITMAP_ROW,
      .keys = { KEY_AT(2, KEY_OW | KEY_UPDATE), KEY_RANGE(3, -1, 1, KEY_RO | KEY_ACCESS) },
      .since = "2.6.0", .complexity = "O(N)", .summary = "Combines strings bit by bit, and stores the result.",
      .syntax = "operation<AND | OR | XOR | NOT> destkey:k0 key:k1..." },
    { .name = "bitfield", .run = cmd_bitfield, .arity = -2, .flags = CMD_WRITE | CMD_DENYOOM, BITMAP_ROW,
      .keys = { KEY_NOTED(1, KEY_RW | KEY_ACCESS | KEY_UPDATE | KEY_VARIABLE_FLAGS, BITFIELD_NOTES) },
      .key_flags = bitfield_key_flags,
      .since = "3.2.0", .complexity = "O(1) for each subcommand specified", .summary = "Reads and changes integers of any width within a string.",
      .syntax = "key:k0 [operation<GET get-block(encoding offset:i) | write([OVERFLOW overflow-block<WRAP | SAT | FAIL>] write-operation<SET set-block(encoding offset:i value:i) | INCRBY incrby-block(encoding offset:i increment:i)>)>]..." },
    { .name = "bitfield_ro", .run = cmd_bitfield_ro, .arity = -2, .flags = CMD_READONLY | CMD_FAST, BITMAP_ROW, .keys = { KEY_AT(1, KEY_RO | KEY_ACCESS) },
      .since = "6.0.0", .complexity = "O(1) for each subcommand specified", .summary = "Reads integers of any width within a string.",
      .syntax = "key:k0 [GET get-block(encoding offset:i)]+..." },
    { 0 },
};
// clang-format on
