/* fuzz_acl.c -- any bytes as rules of a user, and as an ACL file.
 * No crash; a change happens wholly or not at all; a user that was accepted is written as one line of printable
 * characters, which is read again as the same user. */
#include <ctype.h>
#include <stdlib.h>

#include "server/acl/acl_check.h"
#include "server/acl/acl_file.h"
#include "server/commands/tables.h"
#include "storage/base/memory.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RULES_MAX = 64 };

static void insist(bool holds)
{
    if (!holds) abort();
}

static void insist_same_text(const struct bytes_buf *a, const struct bytes_buf *b)
{
    insist(bytes_equal(bytes_buf_view(a), bytes_buf_view(b)));
}

static void insist_on_lines(const struct bytes_buf *text, size_t lines)
{
    for (size_t i = 0; i < text->len; i++) {
        if (text->data[i] == '\n')
            insist(lines-- > 0);
        else
            insist(!iscntrl((unsigned char)text->data[i]));
    }
    insist(lines == 0);
}

/* Every command without arguments, a key and a channel. */
static void insist_same_permissions(struct command_table *t, const struct acl_user *a, const struct acl_user *b)
{
    size_t count;
    const struct command_slot *slots = command_table_slots(t, &count);
    const struct bytes_view words[] = {BYTES_LIT("a"), BYTES_LIT("0")};
    for (size_t i = 0; i < count; i++) {
        for (size_t w = 0; w < sizeof(words) / sizeof(words[0]); w++) {
            struct bytes_view argv[] = {bytes_str(slots[i].name), words[w], words[w]};
            struct acl_denial why = {0};
            bool one = acl_check(a, &slots[i], 3, argv, &why);
            insist(one == acl_check(b, &slots[i], 3, argv, &why));
        }
    }
}

static void insist_on_round_trip(struct acl_users *us, struct command_table *t,
                                 const struct settings_security *settings)
{
    struct bytes_buf text = {0}, again = {0}, errors = {0};
    struct acl_users *second = acl_users_new(t, settings);
    acl_file_format(us, &text);
    insist_on_lines(&text, acl_users_count(us));
    insist(acl_file_parse(second, bytes_buf_view(&text), "saved", &errors));
    acl_file_format(second, &again);
    insist_same_text(&text, &again);
    for (size_t i = 0; i < acl_users_count(us); i++)
        insist_same_permissions(t, acl_users_at(us, i), acl_users_at(second, i));
    acl_users_free(second);
    bytes_buf_release(&text);
    bytes_buf_release(&again);
    bytes_buf_release(&errors);
}

static size_t split_rules(struct bytes_view text, char separator, struct bytes_view *rules)
{
    size_t count = 0;
    while (text.len > 0 && count < RULES_MAX) {
        const char *end = memchr(text.data, separator, text.len);
        size_t len = end == NULL ? text.len : (size_t)(end - text.data);
        rules[count++] = bytes_view(text.data, len);
        len += end != NULL;
        text = bytes_view(text.data + len, text.len - len);
    }
    return count;
}

static void try_rules(struct acl_users *us, struct bytes_view text, char separator)
{
    struct bytes_view rules[RULES_MAX];
    struct bytes_buf before = {0}, after = {0};
    struct config_error err = {{0}};
    struct acl_user *user;
    size_t count = split_rules(text, separator, rules), half = count / 2;
    if (count == 0) return;
    acl_file_format(us, &before);
    if (acl_users_set(us, rules[0], rules + 1, count - 1, &user, &err) != 0) {
        acl_file_format(us, &after);
        insist_same_text(&before, &after);
        insist(err.text[0] != '\0');
        if (acl_users_set(us, BYTES_LIT("half"), rules, half, &user, &err) == 0)
            insist(acl_users_find(us, BYTES_LIT("half")) == user);
    }
    bytes_buf_release(&before);
    bytes_buf_release(&after);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct command_table *t; /* shared by all inputs; nothing here changes it */
    struct settings_security security = {0};
    struct bytes_buf errors = {0};
    if (size < 1) return 0;
    struct bytes_view text = bytes_view(data + 1, size - 1);
    if (t == NULL) t = command_table_new(command_row_tables(), NULL, 0);
    security.acl_pubsub_default = data[0] & 1;
    struct acl_users *us = acl_users_new(t, &security);
    if (data[0] & 2) {
        insist(acl_file_parse(us, text, "fuzz", &errors) == (errors.len == 0));
    } else {
        char separator = data[0] & 4 ? '\t' : '\n'; /* so that a rule may contain either */
        try_rules(us, text, separator);
        try_rules(us, text, separator); /* again, on the users that the first call made */
    }
    insist_on_round_trip(us, t, &security);
    acl_users_free(us);
    bytes_buf_release(&errors);
    return 0;
}
