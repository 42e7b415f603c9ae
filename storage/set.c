#include "storage/set.h"

#include "storage/base/assert.h"
#include "storage/base/checked.h"
#include "storage/base/memory.h"
#include "storage/base/num.h"
#include "storage/intset.h"
#include "storage/listpack.h"
#include "storage/packed.h"

#define MAX_INTSET_ENTRIES ((size_t)1 << 26) /* whatever is configured: beyond this an insert would move megabytes */

struct set {
    const struct value_env *env;
    union {
        struct intset *is;
        unsigned char *lp;
        struct table *table; /* of members: packed length and bytes, one allocation each */
    };
    uint8_t encoding;
};

/* ---- Members of the table ------------------------------------------------------------------------------------ */

static size_t member_size(size_t len)
{
    return checked_size_add(packed_length_size(len), len);
}

static char *member_new(struct bytes_view text)
{
    char *member = mem_alloc(member_size(text.len)), *at = packed_put_length(member, text.len);
    if (text.len > 0) memcpy(at, text.data, text.len);
    return member;
}

static struct bytes_view member_view(const void *member)
{
    struct bytes_view v;
    v.data = packed_get_length(member, &v.len);
    return v;
}

static void member_free(void *ctx, void *member)
{
    (void)ctx;
    mem_free_sized(member, member_size(member_view(member).len));
}

static uint64_t member_hash(const void *env, const void *member)
{
    return value_hash(env, member_view(member));
}

static char *member_find(const struct table *t, uint64_t hash, struct bytes_view text, struct table_pos *pos)
{
    struct table_probe p;
    table_probe_start(&p, t, hash);
    for (char *member; (member = table_probe_next(&p)) != NULL;) {
        if (!bytes_equal(member_view(member), text)) continue;
        *pos = p.pos;
        return member;
    }
    return NULL;
}

static bool table_has(const struct set *s, struct bytes_view text)
{
    struct table_pos pos;
    return member_find(s->table, value_hash(s->env, text), text, &pos) != NULL;
}

static bool table_add(struct set *s, struct bytes_view text)
{
    struct table_pos pos;
    uint64_t hash = value_hash(s->env, text);
    if (member_find(s->table, hash, text, &pos) != NULL) return false;
    table_insert(s->table, hash, member_new(text));
    return true;
}

static bool table_take_out(struct set *s, struct bytes_view text)
{
    struct table_pos pos;
    uint64_t hash = value_hash(s->env, text);
    if (member_find(s->table, hash, text, &pos) == NULL) return false;
    member_free(NULL, table_remove_at(s->table, hash, pos));
    return true;
}

/* ---- Life and encoding --------------------------------------------------------------------------------------- */

static struct set *set_alloc(const struct value_env *env, enum value_encoding encoding)
{
    struct set *s = mem_alloc(sizeof(*s));
    s->env = env;
    s->encoding = encoding;
    return s;
}

static struct table *members_new(const struct value_env *env, size_t expected)
{
    struct table *t = mem_alloc(sizeof(*t));
    table_init(t, member_hash, env);
    table_reserve(t, expected);
    return t;
}

static size_t intset_limit(const struct set *s)
{
    size_t limit = s->env->limits->set_max_intset_entries;
    return limit < MAX_INTSET_ENTRIES ? limit : MAX_INTSET_ENTRIES;
}

struct set *set_new(const struct value_env *env, struct bytes_view first, size_t size_hint)
{
    struct set *s = set_alloc(env, ENCODING_INTSET);
    int64_t value;
    if (size_hint <= intset_limit(s) && num_parse_i64(first, &value)) {
        s->is = intset_new();
    } else if (size_hint <= env->limits->set_max_listpack_entries) {
        s->encoding = ENCODING_LISTPACK;
        s->lp = lp_new(0);
    } else {
        s->encoding = ENCODING_HASHTABLE;
        s->table = members_new(env, size_hint);
    }
    return s;
}

static void body_free(struct set *s)
{
    if (s->encoding == ENCODING_INTSET) {
        intset_free(s->is);
    } else if (s->encoding == ENCODING_LISTPACK) {
        lp_free(s->lp);
    } else {
        table_release(s->table, member_free, NULL);
        mem_free_sized(s->table, sizeof(*s->table));
    }
}

void set_free(struct set *s)
{
    body_free(s);
    mem_free_sized(s, sizeof(*s));
}

/* Returns a table with copies of all members. */
static struct table *members_of(const struct set *s, size_t expected)
{
    struct table *t = members_new(s->env, expected);
    struct set_iter it;
    struct bytes_view text;
    set_iter_init(&it, s);
    while (set_iter_next(&it, &text)) table_insert(t, value_hash(s->env, text), member_new(text));
    return t;
}

static void convert_to_table(struct set *s, size_t expected)
{
    struct table *t = members_of(s, expected);
    body_free(s);
    s->table = t;
    s->encoding = ENCODING_HASHTABLE;
}

static void convert_to_listpack(struct set *s)
{
    unsigned char *lp = lp_new(0);
    for (uint32_t i = 0; i < intset_len(s->is); i++) lp = lp_append_int(lp, intset_get(s->is, i));
    intset_free(s->is);
    s->lp = lp;
    s->encoding = ENCODING_LISTPACK;
}

struct set *set_dup(const struct set *s)
{
    struct set *copy = set_alloc(s->env, s->encoding);
    if (s->encoding == ENCODING_INTSET)
        copy->is = intset_copy(s->is);
    else if (s->encoding == ENCODING_LISTPACK)
        copy->lp = lp_copy(s->lp);
    else
        copy->table = members_of(s, set_count(s));
    return copy;
}

void set_reserve(struct set *s, size_t more)
{
    const struct encoding_limits *limits = s->env->limits;
    if (s->encoding == ENCODING_INTSET ? more > intset_limit(s)
                                       : s->encoding == ENCODING_LISTPACK && more > limits->set_max_listpack_entries)
        convert_to_table(s, checked_size_add(set_count(s), more));
}

size_t set_count(const struct set *s)
{
    if (s->encoding == ENCODING_INTSET) return intset_len(s->is);
    return s->encoding == ENCODING_LISTPACK ? lp_count(s->lp) : table_count(s->table);
}

enum value_encoding set_encoding(const struct set *s)
{
    return s->encoding;
}

size_t set_memory(const struct set *s, size_t samples)
{
    size_t bytes = mem_usable_size(s);
    if (s->encoding == ENCODING_INTSET) return bytes + mem_usable_size(s->is);
    if (s->encoding == ENCODING_LISTPACK) return bytes + mem_usable_size(s->lp);
    return bytes + mem_usable_size(s->table) + table_memory(s->table) +
           table_entry_memory(s->table, samples, mem_usable_size);
}

size_t set_free_effort(const struct set *s)
{
    return s->encoding == ENCODING_HASHTABLE ? table_count(s->table) : 1;
}

/* ---- Members ------------------------------------------------------------------------------------------------- */

/* True if an intset that gets a text member may become a listpack. */
static bool fits_listpack(const struct set *s, size_t longest)
{
    const struct encoding_limits *limits = s->env->limits;
    size_t count = intset_len(s->is);
    if (count > 0) {
        size_t low = num_i64_length(intset_get(s->is, 0)),
               high = num_i64_length(intset_get(s->is, (uint32_t)count - 1));
        if (low > longest) longest = low;
        if (high > longest) longest = high;
    }
    return count < limits->set_max_listpack_entries && longest <= limits->set_max_listpack_value &&
           (count + 1) * (NUM_I64_MAX_CHARS + longest) < LP_MAX_BYTES;
}

static bool intset_add_text(struct set *s, struct bytes_view text)
{
    int64_t value;
    if (num_parse_i64(text, &value) && intset_safe_to_add(s->is)) {
        bool added;
        s->is = intset_add(s->is, value, &added);
        if (added && intset_len(s->is) > intset_limit(s)) convert_to_table(s, set_count(s));
        return added;
    }
    if (fits_listpack(s, text.len))
        convert_to_listpack(s);
    else
        convert_to_table(s, set_count(s) + 1);
    return set_add(s, text);
}

static unsigned char *listpack_find(const struct set *s, struct bytes_view text)
{
    unsigned char *first = lp_first(s->lp);
    return first == NULL ? NULL : lp_find(s->lp, first, text, 0);
}

static bool listpack_add(struct set *s, struct bytes_view text)
{
    const struct encoding_limits *limits = s->env->limits;
    if (listpack_find(s, text) != NULL) return false;
    if (lp_count(s->lp) < limits->set_max_listpack_entries && text.len <= limits->set_max_listpack_value &&
        lp_safe_to_add(s->lp, text.len)) {
        s->lp = lp_append(s->lp, text);
        return true;
    }
    convert_to_table(s, set_count(s) + 1);
    return table_add(s, text);
}

bool set_add(struct set *s, struct bytes_view member)
{
    if (s->encoding == ENCODING_HASHTABLE) return table_add(s, member);
    return s->encoding == ENCODING_LISTPACK ? listpack_add(s, member) : intset_add_text(s, member);
}

static bool listpack_take_out(struct set *s, struct bytes_view text)
{
    unsigned char *at = listpack_find(s, text);
    if (at == NULL) return false;
    s->lp = lp_delete(s->lp, at, NULL);
    return true;
}

static bool intset_take_out(struct set *s, struct bytes_view text)
{
    int64_t value;
    bool removed = false;
    if (num_parse_i64(text, &value)) s->is = intset_remove(s->is, value, &removed);
    return removed;
}

bool set_remove(struct set *s, struct bytes_view member)
{
    if (s->encoding == ENCODING_HASHTABLE) return table_take_out(s, member);
    return s->encoding == ENCODING_LISTPACK ? listpack_take_out(s, member) : intset_take_out(s, member);
}

bool set_contains(const struct set *s, struct bytes_view member)
{
    if (s->encoding == ENCODING_HASHTABLE) return table_has(s, member);
    if (s->encoding == ENCODING_LISTPACK) return listpack_find(s, member) != NULL;
    int64_t value;
    return num_parse_i64(member, &value) && intset_contains(s->is, value);
}

void set_prefetch(const struct set *s, struct bytes_view member)
{
    if (s->encoding == ENCODING_HASHTABLE) table_prefetch_bucket(s->table, value_hash(s->env, member));
}

void set_prefetch_member(const struct set *s, struct bytes_view member)
{
    if (s->encoding == ENCODING_HASHTABLE) table_prefetch_entries(s->table, value_hash(s->env, member));
}

static struct bytes_view integer_view(int64_t value, struct number_text *buf)
{
    return bytes_view(buf->text, num_format_i64(buf->text, value));
}

struct bytes_view set_random(const struct set *s, struct number_text *buf)
{
    struct rng *rng = s->env->rng;
    ASSERT(set_count(s) > 0);
    if (s->encoding == ENCODING_HASHTABLE) return member_view(table_random(s->table, rng));
    if (s->encoding == ENCODING_INTSET) return integer_view(intset_random(s->is, rng), buf);
    return lp_get_view(lp_seek(s->lp, (int64_t)rng_below(rng, lp_count(s->lp))), buf->text);
}

/* ---- Visiting ------------------------------------------------------------------------------------------------ */

void set_iter_init(struct set_iter *it, const struct set *s)
{
    it->set = s;
    if (s->encoding == ENCODING_HASHTABLE)
        table_iter_init(&it->table, s->table);
    else if (s->encoding == ENCODING_LISTPACK)
        it->lp = lp_first(s->lp);
    else
        it->index = 0;
}

static bool iter_next_member(struct set_iter *it, struct bytes_view *member)
{
    const void *found = table_iter_next(&it->table);
    if (found == NULL) return false;
    *member = member_view(found);
    return true;
}

static bool iter_next_packed(struct set_iter *it, struct lp_value *v)
{
    if (it->lp == NULL) return false;
    *v = lp_get(it->lp);
    it->lp = lp_next(it->set->lp, it->lp);
    return true;
}

bool set_iter_next_int(struct set_iter *it, struct bytes_view *member, bool *is_int, int64_t *value)
{
    struct lp_value v = {.is_int = true};
    *is_int = false;
    if (it->set->encoding == ENCODING_HASHTABLE) return iter_next_member(it, member);
    if (it->set->encoding == ENCODING_LISTPACK) {
        if (!iter_next_packed(it, &v)) return false;
    } else {
        if (it->index >= intset_len(it->set->is)) return false;
        v.num = intset_get(it->set->is, it->index++);
    }
    *member = v.is_int ? integer_view(v.num, &it->buf) : v.str;
    *is_int = v.is_int;
    *value = v.num;
    return true;
}

bool set_iter_next(struct set_iter *it, struct bytes_view *member)
{
    bool is_int;
    int64_t value;
    return set_iter_next_int(it, member, &is_int, &value);
}

struct scan_call {
    void (*fn)(void *ctx, struct bytes_view member);
    void *ctx;
};

static void scan_member(void *ctx, void *member)
{
    const struct scan_call *call = ctx;
    call->fn(call->ctx, member_view(member));
}

uint64_t set_scan(const struct set *s, uint64_t cursor, void (*fn)(void *ctx, struct bytes_view member), void *ctx)
{
    if (s->encoding == ENCODING_HASHTABLE)
        return table_scan(s->table, cursor, scan_member, &(struct scan_call){.fn = fn, .ctx = ctx});
    struct set_iter it;
    struct bytes_view member;
    set_iter_init(&it, s);
    while (set_iter_next(&it, &member)) fn(ctx, member);
    return 0;
}

/* ---- Files --------------------------------------------------------------------------------------------------- */

struct bytes_view set_blob(const struct set *s)
{
    if (s->encoding == ENCODING_INTSET) return bytes_view(s->is, intset_blob_len(s->is));
    if (s->encoding == ENCODING_LISTPACK) return bytes_view(s->lp, lp_bytes(s->lp));
    return bytes_view(NULL, 0);
}

struct set *set_from_blob(const struct value_env *env, enum value_encoding encoding, unsigned char *blob, size_t len)
{
    ASSERT(encoding == ENCODING_INTSET || encoding == ENCODING_LISTPACK);
    struct set *s = set_alloc(env, encoding);
    if (encoding == ENCODING_INTSET) {
        s->is = (struct intset *)(void *)blob;
        ASSERT(intset_blob_len(s->is) == len);
        if (intset_len(s->is) > intset_limit(s)) convert_to_table(s, intset_len(s->is));
    } else {
        s->lp = blob;
        ASSERT(lp_bytes(blob) == len);
        if (lp_count(s->lp) > env->limits->set_max_listpack_entries) convert_to_table(s, lp_count(s->lp));
    }
    return s;
}

const struct table *set_table(const struct set *s)
{
    return s->encoding == ENCODING_HASHTABLE ? s->table : NULL;
}

struct bytes_view set_table_member(const void *entry)
{
    return member_view(entry);
}

const struct intset *set_intset(const struct set *s)
{
    return s->encoding == ENCODING_INTSET ? s->is : NULL;
}

void set_check(const struct set *s)
{
    if (s->encoding == ENCODING_HASHTABLE) {
        table_check(s->table);
        struct table_iter it;
        table_iter_init(&it, s->table);
        for (void *member; (member = table_iter_next(&it)) != NULL;) ASSERT(table_has(s, member_view(member)));
    } else if (s->encoding == ENCODING_LISTPACK) {
        ASSERT(lp_validate(s->lp, lp_bytes(s->lp), true, NULL, NULL));
        for (unsigned char *p = lp_first(s->lp); p != NULL; p = lp_next(s->lp, p)) {
            struct number_text buf;
            ASSERT(listpack_find(s, lp_get_view(p, buf.text)) == p); /* fails if the member is there twice */
        }
    } else {
        ASSERT(s->encoding == ENCODING_INTSET);
        ASSERT(intset_len(s->is) == 0 || intset_validate((const void *)s->is, intset_blob_len(s->is), true));
    }
}
