/* cmd_sort.c -- SORT and SORT_RO: the elements of a list, set or sorted set, sorted as numbers or text.
 * They are sorted by themselves or by the values of other keys (BY). The elements or the values of other keys (GET) are
 * replied or stored.
 *
 *   load      copies the elements (without sorting, only those of LIMIT)
 *   weigh     finds the value by which each element is sorted
 *   rank      sorts positions with ranking.h, which sorts only as far as LIMIT needs
 *   reply or store
 *
 * Elements are copied, because look-ups of other keys may delete keys that are expired. */
#include <ctype.h>
#include <errno.h>
#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>

#include "server/acl/acl_check.h"
#include "server/clients/clients.h"
#include "server/commands/collection.h"
#include "server/commands/hash_fields.h"
#include "server/commands/tables.h"
#include "storage/base/checked.h"
#include "storage/base/memory.h"
#include "storage/base/prefetch.h"
#include "storage/base/ranking.h"
#include "storage/list.h"

/* ---- Arguments ---- */

struct sort_request {
    bool stores; /* SORT: STORE is allowed */
    bool descending, alpha;
    bool unsorted;  /* BY with a pattern without "*" */
    bool by_others; /* BY with a pattern that names other keys */
    int by_arg, store_arg;
    int64_t offset, limit; /* as given */
    int *get_args;
    size_t get_count;
};

/* The number of arguments of the option at `arg` with its name; 0: unknown option, or arguments are missing. */
static int option_length(int argc, const struct bytes_view *argv, int arg, bool stores)
{
    static const struct {
        const char *name;
        int length;
    } options[] = {{"asc", 1}, {"desc", 1}, {"alpha", 1}, {"limit", 3}, {"by", 2}, {"get", 2}, {"store", 2}};
    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]) - !stores; i++)
        if (bytes_equal_nocase(argv[arg], options[i].name))
            return arg + options[i].length <= argc ? options[i].length : 0;
    return 0;
}

/* The text up to its first NUL, as in C. */
static struct bytes_view c_text(struct bytes_view s)
{
    const char *nul = s.len == 0 ? NULL : memchr(s.data, '\0', s.len);
    return nul == NULL ? s : bytes_view(s.data, (size_t)(nul - s.data));
}

static const char *find_star(struct bytes_view pattern)
{
    struct bytes_view text = c_text(pattern);
    return text.len == 0 ? NULL : memchr(text.data, '*', text.len);
}

static bool parse_option(struct cmd_ctx *ctx, int arg, struct sort_request *r)
{
    if (ctx_arg_is(ctx, arg, "asc")) {
        r->descending = false;
    } else if (ctx_arg_is(ctx, arg, "desc")) {
        r->descending = true;
    } else if (ctx_arg_is(ctx, arg, "alpha")) {
        r->alpha = true;
    } else if (ctx_arg_is(ctx, arg, "limit")) {
        return ctx_arg_i64(ctx, arg + 1, &r->offset) && ctx_arg_i64(ctx, arg + 2, &r->limit);
    } else if (ctx_arg_is(ctx, arg, "by")) {
        r->by_arg = arg + 1;
        if (find_star(ctx->argv[arg + 1]) == NULL)
            r->unsorted = true;
        else
            r->by_others = true;
    } else if (ctx_arg_is(ctx, arg, "get")) {
        r->get_args[r->get_count++] = arg + 1;
    } else {
        r->store_arg = arg + 1;
    }
    return true;
}

static bool parse_request(struct cmd_ctx *ctx, struct sort_request *r)
{
    r->limit = -1;
    for (int arg = 2, length; arg < ctx->argc; arg += length) {
        length = option_length(ctx->argc, ctx->argv, arg, r->stores);
        if (length == 0) {
            ctx_error_syntax(ctx);
            return false;
        }
        if (!parse_option(ctx, arg, r)) return false;
    }
    return true;
}

/* BY and GET read keys that cannot be known from the arguments, so the user needs permission to read all keys. Even
 * "GET #" needs it. */
static bool may_read_others(struct cmd_ctx *ctx, const struct sort_request *r)
{
    struct command_table *commands = ctx->client->clients->commands;
    if (LIKELY(!client_has(ctx->client, CLIENT_RESTRICTED)) || (!r->by_others && r->get_count == 0)) return true;
    if (acl_check_reading_all(ctx->client->user, command_table_slot_of(commands, ctx->command), ctx->argc, ctx->argv))
        return true;
    reply_errorf(ctx->reply, "ERR %s option of SORT denied due to insufficient ACL permissions.",
                 r->by_others ? "BY" : "GET");
    return false;
}

/* Finds the sorted key and that of the last STORE. */
static int find_sort_keys(int argc, const struct bytes_view *argv, struct command_key *keys, int max)
{
    int store = 0;
    for (int arg = 2, length; arg < argc; arg += length) {
        length = option_length(argc, argv, arg, true);
        if (length == 0) length = 1;
        if (length == 2 && bytes_equal_nocase(argv[arg], "store")) store = arg + 1;
    }
    if (max > 0) keys[0] = (struct command_key){.arg = 1, .flags = KEY_RO | KEY_ACCESS};
    if (max > 1 && store > 0) keys[1] = (struct command_key){.arg = store, .flags = KEY_OW | KEY_UPDATE};
    return store > 0 ? 2 : 1;
}

/* The part of `count` elements that LIMIT selects; both numbers may have any value (CVE-2022-35977). */
static struct span limit_span(const struct sort_request *r, size_t count)
{
    size_t offset = r->offset <= 0 ? 0 : (uint64_t)r->offset > count ? count : (size_t)r->offset;
    size_t rest = count - offset;
    return (struct span){.first = offset,
                         .count = r->limit >= 0 && (uint64_t)r->limit < rest ? (size_t)r->limit : rest};
}

/* ---- Patterns: names of keys, or of fields in them, with a place for the element ---- */

struct pattern {
    bool is_element; /* "#" */
    bool has_place;  /* has a "*"; without one, no key is found */
    bool has_field;
    struct bytes_view before, after, field;
};

static struct pattern pattern_of(struct bytes_view text)
{
    const char *star = find_star(text);
    struct pattern p = {.is_element = bytes_equal(text, BYTES_LIT("#")), .has_place = star != NULL};
    if (star == NULL) return p;
    p.before = bytes_view(text.data, (size_t)(star - text.data));
    p.after = bytes_view(star + 1, text.len - p.before.len - 1);
    struct bytes_view c_after = c_text(p.after);
    const char *arrow = memmem(c_after.data, c_after.len, "->", 2);
    if (arrow == NULL || arrow + 2 == c_after.data + c_after.len)
        return p; /* nothing behind "->": it is part of the name */
    p.has_field = true;
    p.field = bytes_view(arrow + 2, p.after.len - (size_t)(arrow + 2 - p.after.data));
    p.after.len = (size_t)(arrow - p.after.data);
    return p;
}

static void pattern_append_name(const struct pattern *p, struct bytes_view element, struct bytes_buf *out)
{
    bytes_buf_append_view(out, p->before);
    bytes_buf_append_view(out, element);
    bytes_buf_append_view(out, p->after);
}

/* The value of the key or of its field. False: it does not exist. */
static bool look_up(struct cmd_ctx *ctx, const struct pattern *p, struct keyref key, struct number_text *text,
                    struct bytes_view *value)
{
    const struct entry *e = keyspace_find(ctx->db, key, ctx_find_flags(ctx));
    if (e == NULL) ctx_notify(ctx, NOTIFY_KEY_MISS, "keymiss", key);
    if (e == NULL || e->type != (p->has_field ? TYPE_HASH : TYPE_STRING)) return false;
    if (p->has_field) return field_get(ctx, entry_pointer(e), p->field, text, value);
    *value = entry_string(e, text);
    return true;
}

/* ---- The elements ---- */

struct place {
    size_t at, len;
};
#define PLACE_NONE ((struct place){.at = SIZE_MAX})

struct sorting {
    struct cmd_ctx *ctx;
    const struct sort_request *request;
    enum value_type type; /* of the collection */
    bool shuffled;        /* a set: its order differs even between replicas */
    bool bad_number;      /* a weight is not a number */
    struct bytes_buf bytes;
    struct place *elements, *weights; /* positions in `bytes`; weights only with ALPHA, PLACE_NONE: no value */
    struct ranked *order;
    size_t count, room;
    struct span result; /* of the sorted order */
};

static struct bytes_view view_of(const struct sorting *s, struct place p)
{
    return bytes_view(bytes_buf_view(&s->bytes).data + p.at, p.len);
}

static struct place keep(struct sorting *s, struct bytes_view bytes)
{
    struct place p = {.at = s->bytes.len, .len = bytes.len};
    bytes_buf_append_view(&s->bytes, bytes);
    return p;
}

static void add_element(struct sorting *s, struct bytes_view element)
{
    ASSERT(s->count < s->room);
    s->elements[s->count++] = keep(s, element);
}

static void load_list(struct sorting *s, const struct list *l, struct span span, bool reverse)
{
    struct list_iter it;
    struct bytes_view element;
    int64_t first = (int64_t)span.first;
    list_iter_init(&it, l, reverse ? -1 - first : first, reverse);
    while (s->count < span.count && list_iter_next(&it, &element)) add_element(s, element);
    list_iter_release(&it);
}

static void load_zset(struct sorting *s, const struct zset *z, struct span span, bool reverse)
{
    struct zset_iter it;
    struct bytes_view member;
    double score;
    zset_iter_init(&it, z, reverse ? zset_count(z) - 1 - span.first : span.first, reverse);
    while (s->count < span.count && zset_iter_next(&it, &member, &score)) add_element(s, member);
}

static void load_set(struct sorting *s, const struct set *set, struct span span)
{
    struct set_iter it;
    struct bytes_view member;
    size_t skip = span.first;
    set_iter_init(&it, set);
    while (s->count < span.count && set_iter_next(&it, &member)) {
        if (skip > 0)
            skip--;
        else
            add_element(s, member);
    }
}

/* Copies the elements of `span`, in the order of the collection or in reverse. */
static void load(struct sorting *s, const void *value, struct span span, bool reverse)
{
    s->room = span.count;
    s->elements = mem_alloc(checked_size_mul(span.count, sizeof(*s->elements)));
    if (span.count == 0) return;
    switch (s->type) {
    case TYPE_LIST: load_list(s, value, span, reverse); break;
    case TYPE_ZSET: load_zset(s, value, span, reverse); break;
    case TYPE_SET: load_set(s, value, span); break;
    default: UNREACHABLE();
    }
}

/* ---- Weights ---- */

enum { LOOKUP_BATCH = 32 };

/* Gets the weight of each element, or NULL. */
typedef void weight_fn(struct sorting *s, size_t i, const struct bytes_view *weight);

/* Weighs a batch of elements, whose keys are prefetched together. */
static void weigh_batch(struct sorting *s, const struct pattern *p, size_t first, size_t count, struct bytes_buf *names,
                        weight_fn *fn)
{
    struct keyref keys[LOOKUP_BATCH];
    size_t ends[LOOKUP_BATCH], start = 0;
    struct db *db = s->ctx->db;
    names->len = 0;
    for (size_t i = 0; i < count; i++) {
        pattern_append_name(p, view_of(s, s->elements[first + i]), names);
        ends[i] = names->len;
    }
    for (size_t i = 0; i < count; start = ends[i++]) {
        keys[i] = keyref(db, bytes_view(bytes_buf_view(names).data + start, ends[i] - start));
        keyspace_prefetch_bucket(db, keys[i].hash);
    }
    for (size_t i = 0; i < count; i++) keyspace_prefetch_entry(db, keys[i].hash);
    for (size_t i = 0; i < count; i++) {
        struct number_text text;
        struct bytes_view weight;
        bool found = look_up(s->ctx, p, keys[i], &text, &weight);
        fn(s, first + i, found ? &weight : NULL);
    }
}

static void weigh_by_keys(struct sorting *s, weight_fn *fn)
{
    struct pattern p = pattern_of(s->ctx->argv[s->request->by_arg]);
    struct bytes_buf names = {0};
    for (size_t i = 0; i < s->count; i += LOOKUP_BATCH)
        weigh_batch(s, &p, i, s->count - i < LOOKUP_BATCH ? s->count - i : LOOKUP_BATCH, &names, fn);
    bytes_buf_release(&names);
}

static void weigh_by_elements(struct sorting *s, weight_fn *fn)
{
    for (size_t i = 0; i < s->count; i++) {
        struct bytes_view element = view_of(s, s->elements[i]);
        fn(s, i, &element);
    }
}

/* Parses as strtod() does: leading blanks are allowed, and an empty text is 0. NaN and numbers out of range are
 * refused. */
static bool parse_weight(struct bytes_view text, double *out)
{
    char *end, *copy;
    if (num_parse_double(text, out) && (*out == 0 || fabs(*out) >= DBL_MIN)) return true;
    copy = bytes_to_cstr(text);
    errno = 0;
    *out = strtod(copy, &end);
    bool good = *end == '\0' && errno != ERANGE && !isnan(*out);
    mem_free(copy);
    return good;
}

static uint64_t directed(const struct sorting *s, uint64_t key)
{
    return s->request->descending ? ~key : key;
}

static void weigh_number(struct sorting *s, size_t i, const struct bytes_view *weight)
{
    double value = 0;
    if (weight != NULL && !parse_weight(*weight, &value)) s->bad_number = true;
    s->order[i] = (struct ranked){.key = directed(s, ranking_key_of_double(value)), .index = i};
}

/* Stores the weight in a form that compares byte by byte in the order of the locale. */
static void keep_collated(struct sorting *s, size_t i, struct bytes_view weight)
{
    char *copy = bytes_to_cstr(weight);
    size_t len = strxfrm(NULL, copy, 0);
    bytes_buf_reserve(&s->bytes, len + 1);
    s->weights[i] = (struct place){.at = s->bytes.len, .len = len};
    (void)strxfrm(s->bytes.data + s->bytes.len, copy, len + 1); /* returns the same length as before */
    s->bytes.len += len;
    mem_free(copy);
}

static bool is_plain_locale(void)
{
    const char *name = setlocale(LC_COLLATE, NULL);
    return name == NULL || strcmp(name, "C") == 0 || strcmp(name, "POSIX") == 0;
}

/* STORE compares bytes, since a replica may have another locale. */
static void weigh_text(struct sorting *s, size_t i, const struct bytes_view *weight)
{
    bool stored = s->request->store_arg > 0;
    if (weight == NULL)
        s->weights[i] = PLACE_NONE;
    else if (!stored && !is_plain_locale())
        keep_collated(s, i, *weight);
    else if (s->request->by_arg > 0)
        s->weights[i] = keep(s, stored ? *weight : c_text(*weight));
    else
        s->weights[i] = (struct place){.at = s->elements[i].at, .len = stored ? weight->len : c_text(*weight).len};
}

/* The length of the common prefix of all weights, such as "user:" of "user:1" and "user:2". */
static size_t common_length(const struct sorting *s)
{
    const char *first = NULL;
    size_t common = 0;
    for (size_t i = 0; i < s->count; i++) {
        if (s->weights[i].at == SIZE_MAX) continue;
        struct bytes_view weight = view_of(s, s->weights[i]);
        if (first == NULL) first = weight.data, common = weight.len;
        if (weight.len < common) common = weight.len;
        if (memcmp(weight.data, first, common) == 0) continue;
        for (common = 0; weight.data[common] == first[common];) common++;
    }
    return common;
}

static void key_texts(struct sorting *s)
{
    size_t common = common_length(s);
    for (size_t i = 0; i < s->count; i++) {
        struct place p = s->weights[i];
        struct bytes_view rest = bytes_view("", 0);
        if (p.at != SIZE_MAX) rest = view_of(s, (struct place){.at = p.at + common, .len = p.len - common});
        s->order[i] = (struct ranked){.key = directed(s, ranking_key_of_bytes(rest)), .index = i};
    }
}

/* ---- Order ---- */

static int compare_elements(const struct sorting *s, size_t a, size_t b)
{
    return bytes_compare(view_of(s, s->elements[a]), view_of(s, s->elements[b]));
}

static int tie_of_numbers(const void *ctx, size_t a, size_t b)
{
    const struct sorting *s = ctx;
    int cmp = compare_elements(s, a, b);
    return s->request->descending ? -cmp : cmp;
}

static int tie_of_texts(const void *ctx, size_t a, size_t b)
{
    const struct sorting *s = ctx;
    bool has_a = s->weights[a].at != SIZE_MAX, has_b = s->weights[b].at != SIZE_MAX;
    int cmp = has_a - has_b;
    if (has_a && has_b) cmp = bytes_compare(view_of(s, s->weights[a]), view_of(s, s->weights[b]));
    if (cmp == 0 && s->shuffled) cmp = compare_elements(s, a, b);
    return s->request->descending ? -cmp : cmp;
}

static bool sort_elements(struct sorting *s)
{
    bool alpha = s->request->alpha;
    weight_fn *fn = alpha ? weigh_text : weigh_number;
    s->order = mem_alloc(checked_size_mul(s->count, sizeof(*s->order)));
    if (alpha) s->weights = mem_alloc(checked_size_mul(s->count, sizeof(*s->weights)));
    if (s->request->by_arg > 0)
        weigh_by_keys(s, fn);
    else
        weigh_by_elements(s, fn);
    if (s->bad_number) {
        reply_error(s->ctx->reply, "ERR One or more scores can't be converted into double");
        return false;
    }
    if (alpha) key_texts(s);
    ranking_sort_first(s->order, s->count, s->result.first + s->result.count, alpha ? tie_of_texts : tie_of_numbers, s);
    return true;
}

static struct bytes_view element_at(const struct sorting *s, size_t i)
{
    size_t at = s->result.first + i;
    return view_of(s, s->elements[s->order == NULL ? at : s->order[at].index]);
}

/* ---- Results ---- */

enum { PLACES_AHEAD = 16, BYTES_AHEAD = 8 };

/* After sorting, neighbours are far apart in memory, so places and bytes are prefetched some steps ahead. */
static void prefetch_elements(const struct sorting *s, size_t i)
{
    if (s->order == NULL || i + PLACES_AHEAD >= s->result.count) return;
    const struct ranked *r = &s->order[s->result.first + i];
    prefetch(&s->elements[r[PLACES_AHEAD].index]);
    prefetch(view_of(s, s->elements[r[BYTES_AHEAD].index]).data);
}

/* Calls fn with each value of the result (NULL: GET found nothing) until it returns false. */
typedef bool result_fn(struct sorting *s, void *to, const struct bytes_view *value);

static bool get_each(struct sorting *s, const struct pattern *patterns, struct bytes_view element,
                     struct bytes_buf *name, result_fn *fn, void *to)
{
    for (size_t i = 0; i < s->request->get_count; i++) {
        const struct pattern *p = &patterns[i];
        struct number_text text;
        struct bytes_view value = element;
        bool found = p->is_element;
        if (!found && p->has_place) {
            name->len = 0;
            pattern_append_name(p, element, name);
            found = look_up(s->ctx, p, keyref(s->ctx->db, bytes_buf_view(name)), &text, &value);
        }
        if (!fn(s, to, found ? &value : NULL)) return false;
    }
    return true;
}

static void each_result(struct sorting *s, result_fn *fn, void *to)
{
    size_t gets = s->request->get_count;
    struct pattern *patterns = mem_alloc(gets * sizeof(*patterns));
    struct bytes_buf name = {0};
    bool more = true;
    for (size_t i = 0; i < gets; i++) patterns[i] = pattern_of(s->ctx->argv[s->request->get_args[i]]);
    for (size_t i = 0; more && i < s->result.count; i++) {
        struct bytes_view element = element_at(s, i);
        prefetch_elements(s, i);
        more = gets == 0 ? fn(s, to, &element) : get_each(s, patterns, element, &name, fn, to);
    }
    bytes_buf_release(&name);
    mem_free(patterns);
}

static size_t result_size(const struct sorting *s)
{
    size_t gets = s->request->get_count;
    return checked_size_mul(s->result.count, gets == 0 ? 1 : gets);
}

enum { LIMIT_CHECK_PERIOD = 1024 };

/* `to` counts the values. With GET the reply may be of any length. */
static bool reply_value(struct sorting *s, void *to, const struct bytes_view *value)
{
    size_t *count = to;
    if (value == NULL)
        reply_null(s->ctx->reply);
    else
        reply_bulk(s->ctx->reply, *value);
    return ++*count % LIMIT_CHECK_PERIOD != 0 || !close_if_over_limit(s->ctx);
}

static bool store_value(struct sorting *s, void *to, const struct bytes_view *value)
{
    list_push(to, LIST_TAIL, value == NULL ? BYTES_LIT("") : *value);
    return true;
}

static void store(struct sorting *s)
{
    struct cmd_ctx *ctx = s->ctx;
    struct keyref key = ctx_key(ctx, s->request->store_arg);
    size_t size = result_size(s);
    if (size > 0) {
        struct list *l = list_new(ctx->keyspace->env);
        each_result(s, store_value, l);
        keyspace_put_value(ctx->db, key, TYPE_LIST, l, 0);
        ctx_changed(ctx, key, NOTIFY_LIST, "sortstore", size);
    } else if (keyspace_delete(ctx->db, key, ctx->settings->memory.lazyfree_lazy_server_del)) {
        ctx_changed(ctx, key, NOTIFY_GENERIC, "del", 1);
    }
    reply_int(ctx->reply, (int64_t)size);
}

static void answer(struct sorting *s)
{
    size_t count = 0;
    if (s->request->store_arg > 0) {
        store(s);
        return;
    }
    reply_array(s->ctx->reply, result_size(s));
    each_result(s, reply_value, &count);
}

/* ---- The commands ---- */

static bool find_collection(struct cmd_ctx *ctx, const struct entry **e)
{
    *e = ctx_read_any(ctx, 1);
    if (*e == NULL) return true;
    if ((*e)->type == TYPE_LIST || (*e)->type == TYPE_SET || (*e)->type == TYPE_ZSET) return true;
    ctx_error_wrong_type(ctx);
    return false;
}

/* The order of a set differs on a replica, and in the next run of a script, so its elements are always sorted then. */
static void insist_on_order(struct cmd_ctx *ctx, struct sort_request *r, const struct entry *e)
{
    bool repeatable = r->store_arg > 0 || client_has(ctx->client, CLIENT_SCRIPT);
    if (!r->unsorted || e->type != TYPE_SET || !repeatable) return;
    r->unsorted = false;
    r->alpha = true;
    r->by_arg = 0;
}

static void sort_entry(struct cmd_ctx *ctx, struct sort_request *r, const struct entry *e)
{
    struct sorting s = {.ctx = ctx, .request = r, .type = TYPE_LIST};
    struct span all = {0};
    if (e != NULL) {
        insist_on_order(ctx, r, e);
        s.type = e->type;
        s.shuffled = s.type == TYPE_SET && entry_encoding(e) == ENCODING_HASHTABLE;
        all.count = value_count(s.type, entry_pointer(e));
    }
    s.result = limit_span(r, all.count);
    load(&s, e == NULL ? NULL : entry_pointer(e), r->unsorted ? s.result : all, r->unsorted && r->descending);
    if (r->unsorted) s.result.first = 0; /* load has copied only the elements of LIMIT */
    if (r->unsorted || sort_elements(&s)) answer(&s);
    bytes_buf_release(&s.bytes);
    mem_free(s.elements);
    mem_free(s.weights);
    mem_free(s.order);
}

static void sort(struct cmd_ctx *ctx, bool stores)
{
    const struct entry *e;
    struct sort_request r = {.stores = stores, .get_args = mem_alloc((size_t)ctx->argc * sizeof(*r.get_args))};
    if (parse_request(ctx, &r) && may_read_others(ctx, &r) && find_collection(ctx, &e)) sort_entry(ctx, &r, e);
    mem_free(r.get_args);
}

static void cmd_sort(struct cmd_ctx *ctx)
{
    sort(ctx, true);
}
static void cmd_sort_ro(struct cmd_ctx *ctx)
{
    sort(ctx, false);
}

// clang-format off
#define SORT_ROW .acl = ACL_SET | ACL_SORTEDSET | ACL_LIST | ACL_DANGEROUS, .group = "generic", .complexity = \
    "O(N+M*log(M)) where N is the number of elements in the list or set to sort, and M the number of returned elements. When the elements are not sorted, complexity is O(N)."
#define OTHER_KEYS KEY_UNKNOWN(KEY_RO | KEY_ACCESS, "The keys of BY and GET: their names are made of the elements that are sorted.")

const struct command sort_commands[] = {
    { .name = "sort", .run = cmd_sort, .arity = -2, .flags = CMD_WRITE | CMD_DENYOOM, SORT_ROW, .find_keys = find_sort_keys,
      .keys = { KEY_AT(1, KEY_RO | KEY_ACCESS), OTHER_KEYS, KEY_UNKNOWN(KEY_OW | KEY_UPDATE, "The key of STORE, which may stand anywhere among the options.") },
      .since = "1.0.0", .summary = "Sorts the elements of a list, a set or a sorted set, and answers or stores them.",
      .syntax = "key:k0 [BY by-pattern\"pattern\":p1] [LIMIT limit(offset:i count:i)] [GET get-pattern\"pattern\":p1]+... [order<ASC | DESC>] [sorting!ALPHA] [STORE destination:k2]" },
    { .name = "sort_ro", .run = cmd_sort_ro, .arity = -2, .flags = CMD_READONLY, SORT_ROW,
      .keys = { KEY_AT(1, KEY_RO | KEY_ACCESS), OTHER_KEYS },
      .since = "7.0.0", .summary = "Sorts the elements of a list, a set or a sorted set, and answers them.",
      .syntax = "key:k0 [BY by-pattern\"pattern\":p1] [LIMIT limit(offset:i count:i)] [GET get-pattern\"pattern\":p1]+... [order<ASC | DESC>] [sorting!ALPHA]" },
    { 0 },
};
// clang-format on
