#include "server/streams/repair_text.h"

#include <inttypes.h>
#include <string.h>

#include "storage/base/num.h"

static struct bytes_view take_word(struct bytes_view *text)
{
    const char *blank = text->len > 0 ? memchr(text->data, ' ', text->len) : NULL;
    struct bytes_view word = bytes_view(text->data, blank != NULL ? (size_t)(blank - text->data) : text->len);
    size_t taken = word.len + (blank != NULL);
    *text = bytes_view(text->data + taken, text->len - taken);
    return word;
}

void repair_range_format(uint64_t fingerprint, const struct range *range, struct bytes_buf *out)
{
    bytes_buf_printf(out, "%" PRIu64 " ", fingerprint);
    range_format(range, out);
}

bool repair_range_parse(struct bytes_view text, uint64_t *fingerprint, struct range *range)
{
    return num_parse_u64(take_word(&text), fingerprint) && range_parse(text, range);
}

void repair_big_format(const struct repair_big *big, struct bytes_buf *out)
{
    bytes_buf_printf(out, "%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRId64 " ", big->fingerprint, big->db,
                     big->type, big->elements, big->expiry_ms);
    bytes_buf_append_view(out, big->key);
}

bool repair_big_parse(struct bytes_view text, struct repair_big *big)
{
    if (!num_parse_u64(take_word(&text), &big->fingerprint) || !num_parse_u64(take_word(&text), &big->db) ||
        !num_parse_u64(take_word(&text), &big->type) || !num_parse_u64(take_word(&text), &big->elements) ||
        !num_parse_i64(take_word(&text), &big->expiry_ms))
        return false;
    big->key = text;
    return true;
}

bool repair_text_after(struct bytes_view argument, const char *start, struct bytes_view *rest)
{
    size_t len = strlen(start);
    if (argument.len < len || memcmp(argument.data, start, len) != 0) return false;
    *rest = bytes_view(argument.data + len, argument.len - len);
    return true;
}
