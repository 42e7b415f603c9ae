/* cmd_list.c -- the commands of lists. */
#include "server/commands/collection.h"
#include "server/commands/tables.h"
#include "server/dispatch/ctx_waits.h"
#include "storage/list.h"

static const char *push_event(enum list_end end)
{
    return end == LIST_HEAD ? "lpush" : "rpush";
}
static const char *pop_event(enum list_end end)
{
    return end == LIST_HEAD ? "lpop" : "rpop";
}

/* Reports a removal, and deletes the key after its last element. */
static void after_removal(struct cmd_ctx *ctx, struct keyref key, const struct list *l, const char *event, size_t gone)
{
    ctx_changed(ctx, key, NOTIFY_LIST, event, gone);
    if (list_count(l) == 0) ctx_delete_emptied(ctx, key);
}

/* ---- Pushing ---- */

static void push(struct cmd_ctx *ctx, enum list_end end, bool only_if_exists)
{
    void *value;
    struct list *l;
    struct keyref key = ctx_key(ctx, 1);
    enum lookup found = ctx_write_value(ctx, 1, TYPE_LIST, &value);
    if (UNLIKELY(found == LOOKUP_WRONG_TYPE)) return;
    if (found == LOOKUP_MISSING && only_if_exists) {
        reply_int(ctx->reply, 0);
        return;
    }
    l = found == LOOKUP_FOUND ? value : list_new(ctx->keyspace->env);
    for (int i = 2; i < ctx->argc; i++) list_push(l, end, ctx->argv[i]);
    if (found == LOOKUP_MISSING) keyspace_put_value(ctx->db, key, TYPE_LIST, l, 0);
    ctx_changed(ctx, key, NOTIFY_LIST, push_event(end), (uint64_t)ctx->argc - 2);
    reply_int(ctx->reply, (int64_t)list_count(l));
}
static void cmd_lpush(struct cmd_ctx *ctx)
{
    push(ctx, LIST_HEAD, false);
}
static void cmd_rpush(struct cmd_ctx *ctx)
{
    push(ctx, LIST_TAIL, false);
}
static void cmd_lpushx(struct cmd_ctx *ctx)
{
    push(ctx, LIST_HEAD, true);
}
static void cmd_rpushx(struct cmd_ctx *ctx)
{
    push(ctx, LIST_TAIL, true);
}

static void cmd_linsert(struct cmd_ctx *ctx)
{
    void *l;
    bool before = ctx_arg_is(ctx, 2, "BEFORE");
    if (!before && !ctx_arg_is(ctx, 2, "AFTER")) {
        ctx_error_syntax(ctx);
        return;
    }
    switch (ctx_write_value(ctx, 1, TYPE_LIST, &l)) {
    case LOOKUP_WRONG_TYPE: return;
    case LOOKUP_MISSING: reply_int(ctx->reply, 0); return;
    case LOOKUP_FOUND: break;
    }
    if (!list_insert(l, ctx->argv[3], before, ctx->argv[4])) {
        reply_int(ctx->reply, -1);
        return;
    }
    ctx_changed(ctx, ctx_key(ctx, 1), NOTIFY_LIST, "linsert", 1);
    reply_int(ctx->reply, (int64_t)list_count(l));
}

static void cmd_lset(struct cmd_ctx *ctx)
{
    void *l;
    int64_t index;
    switch (ctx_write_value(ctx, 1, TYPE_LIST, &l)) {
    case LOOKUP_WRONG_TYPE: return;
    case LOOKUP_MISSING: ctx_error_no_key(ctx); return;
    case LOOKUP_FOUND: break;
    }
    if (!ctx_arg_i64(ctx, 2, &index)) return;
    if (!list_set(l, index, ctx->argv[3])) {
        reply_error(ctx->reply, "ERR index out of range");
        return;
    }
    ctx_changed(ctx, ctx_key(ctx, 1), NOTIFY_LIST, "lset", 1);
    reply_ok(ctx->reply);
}

/* ---- Reading ---- */

static void reply_elements(struct cmd_ctx *ctx, const struct list *l, int64_t index, bool reverse, size_t count)
{
    struct list_iter it;
    struct bytes_view element;
    reply_array(ctx->reply, count);
    list_iter_init(&it, l, index, reverse);
    for (size_t i = 0; i < count && list_iter_next(&it, &element); i++) reply_bulk(ctx->reply, element);
    list_iter_release(&it);
}

static void cmd_llen(struct cmd_ctx *ctx)
{
    const void *l;
    if (ctx_read_value(ctx, 1, TYPE_LIST, &l) == LOOKUP_WRONG_TYPE) return;
    reply_int(ctx->reply, l == NULL ? 0 : (int64_t)list_count(l));
}

static void cmd_lindex(struct cmd_ctx *ctx)
{
    const void *l;
    int64_t index;
    struct number_text text;
    struct bytes_view element;
    switch (ctx_read_value(ctx, 1, TYPE_LIST, &l)) {
    case LOOKUP_WRONG_TYPE: return;
    case LOOKUP_MISSING: reply_null(ctx->reply); return;
    case LOOKUP_FOUND: break;
    }
    if (!ctx_arg_i64(ctx, 2, &index)) return;
    if (list_get(l, index, &text, &element))
        reply_bulk(ctx->reply, element);
    else
        reply_null(ctx->reply);
}

static void cmd_lrange(struct cmd_ctx *ctx)
{
    const void *l;
    int64_t start, stop;
    if (!ctx_arg_i64(ctx, 2, &start) || !ctx_arg_i64(ctx, 3, &stop)) return;
    if (ctx_read_value(ctx, 1, TYPE_LIST, &l) == LOOKUP_WRONG_TYPE) return;
    struct span span = span_of(start, stop, l == NULL ? 0 : list_count(l));
    if (span.count == 0)
        reply_empty_array(ctx->reply);
    else
        reply_elements(ctx, l, (int64_t)span.first, false, span.count);
}

/* ---- LPOS ---- */

struct lpos {
    int64_t rank;     /* of the first match to report; negative: counted from the tail */
    uint64_t count;   /* of matches; 0: all */
    uint64_t max_len; /* number of elements to compare; 0: all */
    bool has_count;
};

static bool parse_lpos_rank(struct cmd_ctx *ctx, int arg, int64_t *rank)
{
    if (!arg_negatable(ctx, arg, rank)) return false;
    if (*rank != 0) return true;
    reply_error(ctx->reply, "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use "
                            "negative to start from the end of the list");
    return false;
}

static bool parse_lpos_option(struct cmd_ctx *ctx, int arg, struct lpos *out)
{
    int64_t value;
    if (!ctx_has_arg(ctx, arg + 1)) {
        ctx_error_syntax(ctx);
        return false;
    }
    if (ctx_arg_is(ctx, arg, "RANK")) return parse_lpos_rank(ctx, arg + 1, &out->rank);
    if (ctx_arg_is(ctx, arg, "COUNT")) {
        if (!ctx_arg_i64_range(ctx, arg + 1, 0, INT64_MAX, &value, "COUNT can't be negative")) return false;
        out->has_count = true;
        out->count = (uint64_t)value;
        return true;
    }
    if (ctx_arg_is(ctx, arg, "MAXLEN")) {
        if (!ctx_arg_i64_range(ctx, arg + 1, 0, INT64_MAX, &value, "MAXLEN can't be negative")) return false;
        out->max_len = (uint64_t)value;
        return true;
    }
    ctx_error_syntax(ctx);
    return false;
}

/* Replies with the positions. Returns their number. */
static size_t lpos_search(struct cmd_ctx *ctx, const struct list *l, const struct lpos *how)
{
    struct list_iter it;
    struct bytes_view element;
    bool reverse = how->rank < 0;
    uint64_t to_skip = (uint64_t)(reverse ? -how->rank : how->rank) - 1;
    size_t len = list_count(l), found = 0;
    list_iter_init(&it, l, reverse ? -1 : 0, reverse);
    for (uint64_t seen = 0; (how->max_len == 0 || seen < how->max_len) && list_iter_next(&it, &element); seen++) {
        if (!bytes_equal(element, ctx->argv[2])) continue;
        if (to_skip > 0) {
            to_skip--;
            continue;
        }
        reply_int(ctx->reply, (int64_t)(reverse ? len - 1 - seen : seen));
        if (++found == how->count) break;
    }
    list_iter_release(&it);
    return found;
}

static void cmd_lpos(struct cmd_ctx *ctx)
{
    const void *l;
    struct lpos how = {.rank = 1, .count = 1};
    for (int i = 3; i < ctx->argc; i += 2)
        if (!parse_lpos_option(ctx, i, &how)) return;
    switch (ctx_read_value(ctx, 1, TYPE_LIST, &l)) {
    case LOOKUP_WRONG_TYPE: return;
    case LOOKUP_MISSING:
        if (how.has_count)
            reply_empty_array(ctx->reply);
        else
            reply_null(ctx->reply);
        return;
    case LOOKUP_FOUND: break;
    }
    if (how.has_count) {
        struct outbuf_mark mark = reply_deferred(ctx->reply);
        reply_deferred_array(ctx->reply, mark, lpos_search(ctx, l, &how));
    } else if (lpos_search(ctx, l, &how) == 0) {
        reply_null(ctx->reply);
    }
}

/* ---- Popping and removing ---- */

static void pop_one(struct cmd_ctx *ctx, struct keyref key, struct list *l, enum list_end end)
{
    struct number_text text;
    struct bytes_view element;
    if (list_peek(l, end, &text, &element)) /* a list in the keyspace is never empty */
        reply_bulk(ctx->reply, element);
    list_drop(l, end);
    after_removal(ctx, key, l, pop_event(end), 1);
}

/* Replies with up to `wanted` elements and removes them. Returns their number. */
static size_t pop_many(struct cmd_ctx *ctx, struct keyref key, struct list *l, enum list_end end, uint64_t wanted)
{
    size_t len = list_count(l), count = wanted < len ? (size_t)wanted : len;
    reply_elements(ctx, l, end == LIST_HEAD ? 0 : -1, end == LIST_TAIL, count);
    if (count == 0) return 0;
    list_remove_range(l, end == LIST_HEAD ? 0 : len - count, count);
    after_removal(ctx, key, l, pop_event(end), count);
    return count;
}

static void pop(struct cmd_ctx *ctx, enum list_end end)
{
    void *l;
    uint64_t count;
    bool counted = ctx->argc > 2;
    if (UNLIKELY(ctx->argc > 3)) {
        ctx_error_arity(ctx);
        return;
    }
    if (counted && !arg_pop_count(ctx, 2, &count)) return;
    switch (ctx_write_value(ctx, 1, TYPE_LIST, &l)) {
    case LOOKUP_WRONG_TYPE: return;
    case LOOKUP_MISSING: reply_nothing(ctx, counted); return;
    case LOOKUP_FOUND: break;
    }
    if (counted)
        (void)pop_many(ctx, ctx_key(ctx, 1), l, end, count); /* replicated verbatim */
    else
        pop_one(ctx, ctx_key(ctx, 1), l, end);
}
static void cmd_lpop(struct cmd_ctx *ctx)
{
    pop(ctx, LIST_HEAD);
}
static void cmd_rpop(struct cmd_ctx *ctx)
{
    pop(ctx, LIST_TAIL);
}

static struct bytes_view pop_command(enum list_end end)
{
    return end == LIST_HEAD ? BYTES_LIT("LPOP") : BYTES_LIT("RPOP");
}

/* Pops from the first key that holds a list. False: none does, and nothing was answered. */
static bool pop_from_first(struct cmd_ctx *ctx, const struct multi_pop *how)
{
    void *l;
    enum list_end end = how->second ? LIST_TAIL : LIST_HEAD;
    for (int arg = how->first_key; arg < how->first_key + how->key_count; arg++) {
        enum lookup found = ctx_write_value(ctx, arg, TYPE_LIST, &l);
        if (found == LOOKUP_WRONG_TYPE) return true;
        if (found == LOOKUP_MISSING) continue;
        reply_array(ctx->reply, 2);
        reply_bulk(ctx->reply, ctx->argv[arg]);
        size_t count = pop_many(ctx, ctx_key(ctx, arg), l, end, how->count);
        replicate_pop(ctx, pop_command(end), ctx->argv[arg], count);
        return true;
    }
    return false;
}

static void cmd_lmpop(struct cmd_ctx *ctx)
{
    struct multi_pop how;
    if (!parse_multi_pop(ctx, 1, "LEFT", "RIGHT", &how)) return;
    if (!pop_from_first(ctx, &how)) reply_null_array(ctx->reply);
}

static void cmd_blmpop(struct cmd_ctx *ctx)
{
    struct multi_pop how;
    struct key_wait_for wait = {.type = TYPE_LIST};
    if (!parse_multi_pop(ctx, 2, "LEFT", "RIGHT", &how)) return;
    if (!ctx_arg_timeout(ctx, 1, TIMEOUT_SECONDS, &wait.until_ms) || pop_from_first(ctx, &how)) return;
    wait.first_key = how.first_key;
    wait.key_count = how.key_count;
    if (!ctx_wait_for_keys(ctx, &wait)) reply_null_array(ctx->reply);
}

static void blocking_pop(struct cmd_ctx *ctx, enum list_end end)
{
    void *l;
    struct key_wait_for wait = {.type = TYPE_LIST, .first_key = 1, .key_count = ctx->argc - 2};
    if (!ctx_arg_timeout(ctx, ctx->argc - 1, TIMEOUT_SECONDS, &wait.until_ms)) return;
    for (int arg = 1; arg < ctx->argc - 1; arg++) {
        enum lookup found = ctx_write_value(ctx, arg, TYPE_LIST, &l);
        if (found == LOOKUP_WRONG_TYPE) return;
        if (found == LOOKUP_MISSING) continue;
        reply_array(ctx->reply, 2);
        reply_bulk(ctx->reply, ctx->argv[arg]);
        pop_one(ctx, ctx_key(ctx, arg), l, end);
        ctx_replicate(ctx, pop_command(end), ctx->argv[arg]);
        return;
    }
    if (!ctx_wait_for_keys(ctx, &wait)) reply_null_array(ctx->reply);
}
static void cmd_blpop(struct cmd_ctx *ctx)
{
    blocking_pop(ctx, LIST_HEAD);
}
static void cmd_brpop(struct cmd_ctx *ctx)
{
    blocking_pop(ctx, LIST_TAIL);
}

static void cmd_lrem(struct cmd_ctx *ctx)
{
    void *l;
    int64_t count;
    if (!ctx_arg_i64(ctx, 2, &count)) return;
    if (count == INT64_MIN) count++; /* -INT64_MIN overflows; INT64_MIN + 1 also means all matches from the tail */
    switch (ctx_write_value(ctx, 1, TYPE_LIST, &l)) {
    case LOOKUP_WRONG_TYPE: return;
    case LOOKUP_MISSING: reply_int(ctx->reply, 0); return;
    case LOOKUP_FOUND: break;
    }
    size_t gone = list_remove(l, count, ctx->argv[3]);
    if (gone > 0) after_removal(ctx, ctx_key(ctx, 1), l, "lrem", gone);
    reply_int(ctx->reply, (int64_t)gone);
}

static void cmd_ltrim(struct cmd_ctx *ctx)
{
    void *l;
    int64_t start, stop;
    if (!ctx_arg_i64(ctx, 2, &start) || !ctx_arg_i64(ctx, 3, &stop)) return;
    switch (ctx_write_value(ctx, 1, TYPE_LIST, &l)) {
    case LOOKUP_WRONG_TYPE: return;
    case LOOKUP_MISSING: reply_ok(ctx->reply); return;
    case LOOKUP_FOUND: break;
    }
    size_t len = list_count(l);
    struct span keep = span_of(start, stop, len);
    size_t gone = len - keep.count;
    if (gone > 0) {
        list_remove_range(l, keep.first + keep.count, len - keep.first - keep.count);
        list_remove_range(l, 0, keep.first);
        after_removal(ctx, ctx_key(ctx, 1), l, "ltrim", gone);
    } else {
        /* WATCH and events see LTRIM even if nothing was removed */
        ctx_changed(ctx, ctx_key(ctx, 1), NOTIFY_LIST, "ltrim", 0);
    }
    reply_ok(ctx->reply);
}

/* ---- From one list to another ---- */

/* Source and destination are the same list. The popped element is copied, since a push must not get bytes of the
 * list. */
static void rotate(struct cmd_ctx *ctx, struct list *l, enum list_end from, enum list_end to)
{
    struct number_text text;
    struct bytes_view element;
    if (!list_peek(l, from, &text, &element)) return;
    struct bytes_buf copy = {0};
    bytes_buf_append_view(&copy, element);
    reply_bulk(ctx->reply, element);
    list_drop(l, from);
    list_push(l, to, bytes_view(copy.data, element.len));
    bytes_buf_release(&copy);
}

static void move_element(struct cmd_ctx *ctx, struct list *from, enum list_end from_end, struct list *to,
                         enum list_end to_end)
{
    struct number_text text;
    struct bytes_view element;
    if (!list_peek(from, from_end, &text, &element)) return;
    list_push(to, to_end, element);
    reply_bulk(ctx->reply, element);
    list_drop(from, from_end);
}

enum move_outcome { MOVE_DONE, MOVE_REFUSED /* an error was answered */, MOVE_NOTHING /* nothing was answered */ };

static enum move_outcome move(struct cmd_ctx *ctx, enum list_end from_end, enum list_end to_end)
{
    void *from, *to;
    switch (ctx_write_value(ctx, 1, TYPE_LIST, &from)) {
    case LOOKUP_WRONG_TYPE: return MOVE_REFUSED;
    case LOOKUP_MISSING: return MOVE_NOTHING;
    case LOOKUP_FOUND: break;
    }
    enum lookup found = ctx_write_value(ctx, 2, TYPE_LIST, &to);
    if (found == LOOKUP_WRONG_TYPE) return MOVE_REFUSED;
    struct keyref to_key = ctx_key(ctx, 2);
    if (to == from) {
        rotate(ctx, from, from_end, to_end);
    } else {
        if (found == LOOKUP_MISSING) to = list_new(ctx->keyspace->env);
        move_element(ctx, from, from_end, to, to_end);
        if (found == LOOKUP_MISSING) keyspace_put_value(ctx->db, to_key, TYPE_LIST, to, 0);
    }
    ctx_changed(ctx, to_key, NOTIFY_LIST, push_event(to_end), 1);
    after_removal(ctx, ctx_key(ctx, 1), from, pop_event(from_end), 0); /* pop and push together count as one change */
    return MOVE_DONE;
}

static bool parse_end(struct cmd_ctx *ctx, int arg, enum list_end *end)
{
    if (ctx_arg_is(ctx, arg, "LEFT"))
        *end = LIST_HEAD;
    else if (ctx_arg_is(ctx, arg, "RIGHT"))
        *end = LIST_TAIL;
    else
        return false;
    return true;
}

static void cmd_lmove(struct cmd_ctx *ctx)
{
    enum list_end from, to;
    if (!parse_end(ctx, 3, &from) || !parse_end(ctx, 4, &to))
        ctx_error_syntax(ctx);
    else if (move(ctx, from, to) == MOVE_NOTHING)
        reply_null(ctx->reply);
}
static void cmd_rpoplpush(struct cmd_ctx *ctx)
{
    if (move(ctx, LIST_TAIL, LIST_HEAD) == MOVE_NOTHING) reply_null(ctx->reply);
}

/* False: nothing was moved. The client then waits or has its reply. */
static bool blocking_move(struct cmd_ctx *ctx, enum list_end from, enum list_end to, int timeout_arg)
{
    struct key_wait_for wait = {.type = TYPE_LIST, .first_key = 1, .key_count = 1};
    if (!ctx_arg_timeout(ctx, timeout_arg, TIMEOUT_SECONDS, &wait.until_ms)) return false;
    enum move_outcome outcome = move(ctx, from, to);
    if (outcome == MOVE_NOTHING && !ctx_wait_for_keys(ctx, &wait)) reply_null(ctx->reply);
    return outcome == MOVE_DONE;
}

static void cmd_blmove(struct cmd_ctx *ctx)
{
    enum list_end from, to;
    const struct bytes_view *argv = ctx->argv;
    if (!parse_end(ctx, 3, &from) || !parse_end(ctx, 4, &to))
        ctx_error_syntax(ctx);
    else if (blocking_move(ctx, from, to, 5))
        ctx_replicate(ctx, BYTES_LIT("LMOVE"), argv[1], argv[2], argv[3], argv[4]);
}
static void cmd_brpoplpush(struct cmd_ctx *ctx)
{
    if (blocking_move(ctx, LIST_TAIL, LIST_HEAD, 3))
        ctx_replicate(ctx, BYTES_LIT("RPOPLPUSH"), ctx->argv[1], ctx->argv[2]);
}

// clang-format off
#define LIST_ROW .acl = ACL_LIST, .group = "list"
#define READS   .keys = { KEY_AT(1, KEY_RO | KEY_ACCESS) }
#define INSERTS .keys = { KEY_AT(1, KEY_RW | KEY_INSERT) }
#define DELETES .keys = { KEY_AT(1, KEY_RW | KEY_DELETE) }
#define POPS    .keys = { KEY_AT(1, KEY_RW | KEY_ACCESS | KEY_DELETE) }
#define POPS_BUT_LAST .keys = { KEY_RANGE(1, -2, 1, KEY_RW | KEY_ACCESS | KEY_DELETE) }
#define MOVES   .keys = { KEY_AT(1, KEY_RW | KEY_ACCESS | KEY_DELETE), KEY_AT(2, KEY_RW | KEY_INSERT) }
#define PER_ELEMENT "O(1) for each element added, so O(N) to add N elements when the command is called with multiple arguments."

const struct command list_commands[] = {
    { .name = "lpush", .run = cmd_lpush, .arity = -3, .flags = CMD_WRITE | CMD_DENYOOM | CMD_FAST, LIST_ROW, INSERTS, .since = "1.0.0",
      .complexity = PER_ELEMENT, .summary = "Puts elements at the head of a list, creating it if need be.",
      .history = "2.4.0 Several elements may be given.",
      .syntax = "key:k0 element..." },
    { .name = "rpush", .run = cmd_rpush, .arity = -3, .flags = CMD_WRITE | CMD_DENYOOM | CMD_FAST, LIST_ROW, INSERTS, .since = "1.0.0",
      .complexity = PER_ELEMENT, .summary = "Puts elements at the tail of a list, creating it if need be.",
      .history = "2.4.0 Several elements may be given.",
      .syntax = "key:k0 element..." },
    { .name = "lpushx", .run = cmd_lpushx, .arity = -3, .flags = CMD_WRITE | CMD_DENYOOM | CMD_FAST, LIST_ROW, INSERTS, .since = "2.2.0",
      .complexity = PER_ELEMENT, .summary = "Puts elements at the head of a list that exists.",
      .history = "4.0.0 Several elements may be given.",
      .syntax = "key:k0 element..." },
    { .name = "rpushx", .run = cmd_rpushx, .arity = -3, .flags = CMD_WRITE | CMD_DENYOOM | CMD_FAST, LIST_ROW, INSERTS, .since = "2.2.0",
      .complexity = PER_ELEMENT, .summary = "Puts elements at the tail of a list that exists.",
      .history = "4.0.0 Several elements may be given.",
      .syntax = "key:k0 element..." },
    { .name = "lpop", .run = cmd_lpop, .arity = -2, .flags = CMD_WRITE | CMD_FAST, LIST_ROW, POPS, .since = "1.0.0",
      .complexity = "O(N) where N is the number of elements returned", .summary = "Takes elements from the head of a list.",
      .history = "6.2.0 The count was added.",
      .syntax = "key:k0 [count:i]@6.2.0" },
    { .name = "rpop", .run = cmd_rpop, .arity = -2, .flags = CMD_WRITE | CMD_FAST, LIST_ROW, POPS, .since = "1.0.0",
      .complexity = "O(N) where N is the number of elements returned", .summary = "Takes elements from the tail of a list.",
      .history = "6.2.0 The count was added.",
      .syntax = "key:k0 [count:i]@6.2.0" },
    { .name = "llen", .run = cmd_llen, .arity = 2, .flags = CMD_READONLY | CMD_FAST, LIST_ROW, .keys = { KEY_AT(1, KEY_RO) }, .since = "1.0.0",
      .complexity = "O(1)", .summary = "Returns how many elements a list has.",
      .syntax = "key:k0" },
    { .name = "lindex", .run = cmd_lindex, .arity = 3, .flags = CMD_READONLY, LIST_ROW, READS, .since = "1.0.0",
      .complexity = "O(N) where N is the number of elements to traverse to get to the element at index. This makes asking for the first or the last element of the list O(1).",
      .summary = "Returns the element of a list at an index.",
      .syntax = "key:k0 index:i" },
    { .name = "lset", .run = cmd_lset, .arity = 4, .flags = CMD_WRITE | CMD_DENYOOM, LIST_ROW, .keys = { KEY_AT(1, KEY_RW | KEY_UPDATE) }, .since = "1.0.0",
      .complexity = "O(N) where N is the length of the list. Setting either the first or the last element of the list is O(1).",
      .summary = "Replaces the element of a list at an index.",
      .syntax = "key:k0 index:i element" },
    { .name = "lrange", .run = cmd_lrange, .arity = 4, .flags = CMD_READONLY, LIST_ROW, READS, .since = "1.0.0",
      .complexity = "O(S+N) where S is the distance of start offset from HEAD for small lists, from nearest end (HEAD or TAIL) for large lists; and N is the number of elements in the specified range.",
      .summary = "Returns the elements of a list between two indexes.",
      .syntax = "key:k0 start:i stop:i" },
    { .name = "lrem", .run = cmd_lrem, .arity = 4, .flags = CMD_WRITE, LIST_ROW, DELETES, .since = "1.0.0",
      .complexity = "O(N+M) where N is the length of the list and M is the number of elements removed.",
      .summary = "Removes elements of a list that equal a value.",
      .syntax = "key:k0 count:i element" },
    { .name = "ltrim", .run = cmd_ltrim, .arity = 4, .flags = CMD_WRITE, LIST_ROW, DELETES, .since = "1.0.0",
      .complexity = "O(N) where N is the number of elements to be removed by the operation.",
      .summary = "Removes all elements of a list but those between two indexes.",
      .syntax = "key:k0 start:i stop:i" },
    { .name = "linsert", .run = cmd_linsert, .arity = 5, .flags = CMD_WRITE | CMD_DENYOOM, LIST_ROW, INSERTS, .since = "2.2.0",
      .complexity = "O(N) where N is the number of elements to traverse before seeing the value pivot. This means that inserting somewhere on the left end on the list (head) can be considered O(1) and inserting somewhere on the right end (tail) is O(N).",
      .summary = "Puts an element before or after another one of a list.",
      .syntax = "key:k0 where<BEFORE | AFTER> pivot element" },
    { .name = "lpos", .run = cmd_lpos, .arity = -3, .flags = CMD_READONLY, LIST_ROW, READS, .since = "6.0.6",
      .complexity = "O(N) where N is the number of elements in the list, for the average case. When searching for elements near the head or the tail of the list, or when the MAXLEN option is provided, the command may run in constant time.",
      .summary = "Returns where in a list elements equal a value.",
      .syntax = "key:k0 element [RANK rank:i] [COUNT num-matches:i] [MAXLEN len:i]" },
    { .name = "lmove", .run = cmd_lmove, .arity = 5, .flags = CMD_WRITE | CMD_DENYOOM, LIST_ROW, MOVES, .since = "6.2.0",
      .complexity = "O(1)", .summary = "Takes an element from one end of a list and puts it at one end of another.",
      .syntax = "source:k0 destination:k1 wherefrom<LEFT | RIGHT> whereto<LEFT | RIGHT>" },
    { .name = "rpoplpush", .run = cmd_rpoplpush, .arity = 3, .flags = CMD_WRITE | CMD_DENYOOM, LIST_ROW, MOVES, .since = "1.2.0",
      .complexity = "O(1)", .summary = "Takes an element from the tail of a list and puts it at the head of another.",
      .deprecated_since = "6.2.0", .replaced_by = "`LMOVE` with the `RIGHT` and `LEFT` arguments",
      .syntax = "source:k0 destination:k1" },
    { .name = "lmpop", .run = cmd_lmpop, .arity = -4, .flags = CMD_WRITE | CMD_MOVABLE_KEYS, LIST_ROW, .keys = { KEY_NUM(1, KEY_RW | KEY_ACCESS | KEY_DELETE) },
      .since = "7.0.0", .complexity = "O(N+M) where N is the number of provided keys and M is the number of elements returned.",
      .summary = "Takes elements from the first of several lists that is not empty.",
      .syntax = "numkeys:i key:k0... where<LEFT | RIGHT> [COUNT count:i]" },
    { .name = "blpop", .run = cmd_blpop, .arity = -3, .flags = CMD_WRITE | CMD_BLOCKING, LIST_ROW, POPS_BUT_LAST, .since = "2.0.0",
      .complexity = "O(N) where N is the number of provided keys.", .summary = "Takes the head of the first list that is not empty, or waits for one.",
      .history = "6.0.0 The timeout may have a fraction.",
      .syntax = "key:k0... timeout:d" },
    { .name = "brpop", .run = cmd_brpop, .arity = -3, .flags = CMD_WRITE | CMD_BLOCKING, LIST_ROW, POPS_BUT_LAST, .since = "2.0.0",
      .complexity = "O(N) where N is the number of provided keys.", .summary = "Takes the tail of the first list that is not empty, or waits for one.",
      .history = "6.0.0 The timeout may have a fraction.",
      .syntax = "key:k0... timeout:d" },
    { .name = "blmove", .run = cmd_blmove, .arity = 6, .flags = CMD_WRITE | CMD_DENYOOM | CMD_BLOCKING, LIST_ROW, MOVES, .since = "6.2.0",
      .complexity = "O(1)", .summary = "LMOVE that waits for an element.",
      .syntax = "source:k0 destination:k1 wherefrom<LEFT | RIGHT> whereto<LEFT | RIGHT> timeout:d" },
    { .name = "brpoplpush", .run = cmd_brpoplpush, .arity = 4, .flags = CMD_WRITE | CMD_DENYOOM | CMD_BLOCKING, LIST_ROW, MOVES, .since = "2.2.0",
      .complexity = "O(1)", .summary = "RPOPLPUSH that waits for an element.",
      .deprecated_since = "6.2.0", .replaced_by = "`BLMOVE` with the `RIGHT` and `LEFT` arguments",
      .history = "6.0.0 The timeout may have a fraction.",
      .syntax = "source:k0 destination:k1 timeout:d" },
    { .name = "blmpop", .run = cmd_blmpop, .arity = -5, .flags = CMD_WRITE | CMD_BLOCKING | CMD_MOVABLE_KEYS, LIST_ROW, .keys = { KEY_NUM(2, KEY_RW | KEY_ACCESS | KEY_DELETE) },
      .since = "7.0.0", .complexity = "O(N+M) where N is the number of provided keys and M is the number of elements returned.",
      .summary = "LMPOP that waits for an element.",
      .syntax = "timeout:d numkeys:i key:k0... where<LEFT | RIGHT> [COUNT count:i]" },
    { 0 },
};
// clang-format on
