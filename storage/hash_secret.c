#include "storage/hash_secret.h"

#include <string.h>

#include "storage/base/assert.h"
#include "storage/base/sha256.h"

void hash_secret_random(struct hash_secret *secret, const struct sys *sys)
{
    sys_random(sys, secret->bytes, sizeof(secret->bytes));
}

bool hash_secret_equal(const struct hash_secret *a, const struct hash_secret *b)
{
    return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

/* The first eight bytes, little-endian, of the SHA-256 of the label and the secret. */
static uint64_t derive(const char *label, const struct hash_secret *secret)
{
    char text[64];
    unsigned char digest[SHA256_SIZE];
    uint64_t number = 0;
    size_t len = strlen(label);
    ASSERT(len + sizeof(secret->bytes) <= sizeof(text));
    memcpy(text, label, len);
    memcpy(text + len, secret->bytes, sizeof(secret->bytes));
    sha256(bytes_view(text, len + sizeof(secret->bytes)), digest);
    for (int i = 7; i >= 0; i--) number = number << 8 | digest[i];
    return number;
}

uint64_t hash_secret_key_seed(const struct hash_secret *secret)
{
    return derive("lockstep hash of keys 1:", secret);
}

uint64_t hash_secret_element_seed(const struct hash_secret *secret)
{
    return derive("lockstep hash of elements 1:", secret);
}

uint64_t hash_secret_fingerprint(const struct hash_secret *secret)
{
    return derive("lockstep fingerprint 1:", secret);
}

void hash_secret_format(const struct hash_secret *secret, char hex[HASH_SECRET_HEX_CHARS + 1])
{
    static const char digits[] = "0123456789abcdef";
    for (int i = 0; i < HASH_SECRET_SIZE; i++) {
        hex[2 * i] = digits[secret->bytes[i] >> 4];
        hex[2 * i + 1] = digits[secret->bytes[i] & 15];
    }
    hex[HASH_SECRET_HEX_CHARS] = '\0';
}

static int digit_value(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return -1;
}

bool hash_secret_parse(struct bytes_view text, struct hash_secret *secret)
{
    struct hash_secret parsed;
    if (text.len != HASH_SECRET_HEX_CHARS) return false;
    for (int i = 0; i < HASH_SECRET_SIZE; i++) {
        int high = digit_value(text.data[2 * i]), low = digit_value(text.data[2 * i + 1]);
        if (high < 0 || low < 0) return false;
        parsed.bytes[i] = (unsigned char)(high << 4 | low);
    }
    *secret = parsed;
    return true;
}
