#include "server/streams/verify_check.h"

#include <inttypes.h>

#include "storage/base/num.h"

#define PREFIX      "lockstep-check:"
#define THIS_FORMAT PREFIX "1 "

bool verify_check_is(struct bytes_view argument)
{
    return bytes_starts_with(argument, PREFIX);
}

void verify_check_format(const struct verify_check *check, struct bytes_buf *out)
{
    char hex[STRICT_DIGEST_CHARS + 1];
    strict_digest_format(check->digest, hex);
    bytes_buf_printf(out, THIS_FORMAT "%016" PRIx64 " %" PRIu64 " %" PRIu64 " %s ", check->fingerprint, check->round,
                     check->count, hex);
    range_format(&check->range, out);
}

/* Takes `len` bytes, which a blank must follow. */
static bool take_fixed(struct bytes_view *text, size_t len, struct bytes_view *word)
{
    if (text->len <= len || text->data[len] != ' ') return false;
    *word = bytes_view(text->data, len);
    *text = bytes_view(text->data + len + 1, text->len - len - 1);
    return true;
}

static bool take_number(struct bytes_view *text, uint64_t *n)
{
    struct bytes_view word;
    const char *blank = text->len > 0 ? memchr(text->data, ' ', text->len) : NULL;
    return blank != NULL && take_fixed(text, (size_t)(blank - text->data), &word) && num_parse_u64(word, n);
}

/* The fingerprint is the low half of what would be a digest. */
static bool take_fingerprint(struct bytes_view *text, uint64_t *fingerprint)
{
    enum { CHARS = STRICT_DIGEST_CHARS / 2 };
    char hex[STRICT_DIGEST_CHARS];
    struct strict_digest both;
    struct bytes_view word;
    if (!take_fixed(text, CHARS, &word)) return false;
    memset(hex, '0', CHARS);
    memcpy(hex + CHARS, word.data, CHARS);
    if (!strict_digest_parse(bytes_view(hex, sizeof(hex)), &both)) return false;
    *fingerprint = both.low;
    return true;
}

bool verify_check_parse(struct bytes_view argument, struct verify_check *check)
{
    struct bytes_view text = argument, hex;
    if (!bytes_starts_with(text, THIS_FORMAT)) return false;
    text = bytes_view(text.data + strlen(THIS_FORMAT), text.len - strlen(THIS_FORMAT));
    return take_fingerprint(&text, &check->fingerprint) && take_number(&text, &check->round) &&
           take_number(&text, &check->count) && take_fixed(&text, STRICT_DIGEST_CHARS, &hex) &&
           strict_digest_parse(hex, &check->digest) && range_parse(text, &check->range);
}
