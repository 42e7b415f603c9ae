#include "storage/range.h"

#include <inttypes.h>

#include "storage/base/num.h"
#include "storage/table.h"

const char *range_kind_name(enum range_kind kind)
{
    static const char *const names[RANGE_KINDS] = {"functions", "keys",    "members", "elements",
                                                   "bytes",     "entries", "groups",  "pending"};
    return names[kind];
}

/* Stores where the numbers of a range of this kind are, in the order of its text, and returns how many. */
static size_t numbers_of(struct range *r, uint64_t *at[6])
{
    size_t n = 0;
    if (r->kind == RANGE_FUNCTIONS) return 0;
    at[n++] = &r->db;
    if (r->kind == RANGE_KEYS) at[n++] = &r->last_db;
    if (r->kind == RANGE_PENDING) at[n++] = &r->group;
    switch (r->kind) {
    case RANGE_KEYS:
    case RANGE_MEMBERS:
        at[n++] = &r->bits;
        at[n++] = &r->part;
        break;
    case RANGE_ELEMENTS:
    case RANGE_BYTES:
    case RANGE_GROUPS:
        at[n++] = &r->from;
        at[n++] = &r->to;
        break;
    case RANGE_ENTRIES:
    case RANGE_PENDING:
        at[n++] = &r->from_id.ms;
        at[n++] = &r->from_id.seq;
        at[n++] = &r->to_id.ms;
        at[n++] = &r->to_id.seq;
        break;
    case RANGE_FUNCTIONS:
    case RANGE_KINDS: break;
    }
    return n;
}

void range_format(const struct range *r, struct bytes_buf *out)
{
    struct range copy = *r;
    uint64_t *at[6];
    size_t count = numbers_of(&copy, at);
    bytes_buf_printf(out, "%s", range_kind_name(r->kind));
    for (size_t i = 0; i < count; i++) bytes_buf_printf(out, " %" PRIu64, *at[i]);
    if (!range_has_key(r)) return;
    bytes_buf_append(out, " ", 1);
    bytes_buf_append_view(out, r->key);
}

/* Takes the bytes up to a blank, which is skipped. */
static struct bytes_view take_word(struct bytes_view *text)
{
    const char *blank = text->len > 0 ? memchr(text->data, ' ', text->len) : NULL;
    struct bytes_view word = bytes_view(text->data, blank != NULL ? (size_t)(blank - text->data) : text->len);
    size_t taken = word.len + (blank != NULL);
    *text = bytes_view(text->data + taken, text->len - taken);
    return word;
}

static bool find_kind(struct bytes_view name, enum range_kind *kind)
{
    for (int k = 0; k < RANGE_KINDS; k++) {
        *kind = (enum range_kind)k;
        if (bytes_equal(name, bytes_str(range_kind_name(*kind)))) return true;
    }
    return false;
}

static bool is_sound(const struct range *r)
{
    if (r->bits > TABLE_PART_BITS_MAX || r->part >> r->bits != 0) return false;
    if (r->kind == RANGE_KEYS && r->last_db != r->db && (r->last_db < r->db || r->bits != 0)) return false;
    if (r->from > r->to || stream_id_compare(r->from_id, r->to_id) > 0) return false;
    return r->db <= INT32_MAX && r->last_db <= INT32_MAX && r->key.len <= RANGE_KEY_MAX;
}

bool range_parse(struct bytes_view text, struct range *out)
{
    uint64_t *at[6];
    *out = (struct range){0};
    bool ends_blank = text.len > 0 && text.data[text.len - 1] == ' ';
    if (!find_kind(take_word(&text), &out->kind)) return false;
    size_t count = numbers_of(out, at);
    for (size_t i = 0; i < count; i++)
        if (!num_parse_u64(take_word(&text), at[i])) return false;
    if (range_has_key(out))
        out->key = text;
    else if (text.len > 0 || ends_blank)
        return false;
    return is_sound(out);
}
