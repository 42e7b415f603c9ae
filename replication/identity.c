#include "replication/identity.h"

#include <string.h>

#define NO_ID "0000000000000000000000000000000000000000"

static void make_id(char id[REPL_ID_LEN + 1], const struct sys *sys)
{
    static const char digits[] = "0123456789abcdef";
    unsigned char random[REPL_ID_LEN / 2];
    sys_random(sys, random, sizeof(random));
    for (int i = 0; i < REPL_ID_LEN; i++) id[i] = digits[(random[i / 2] >> (i % 2 * 4)) & 15];
    id[REPL_ID_LEN] = '\0';
}

static void clear_second(struct repl_identity *i)
{
    memcpy(i->id2, NO_ID, sizeof(i->id2));
    i->has_second = false;
    i->second_position = 0;
}

void identity_init(struct repl_identity *i, const struct sys *sys)
{
    identity_renew(i, sys);
}

void identity_renew(struct repl_identity *i, const struct sys *sys)
{
    make_id(i->id, sys);
    clear_second(i);
    i->is_shared = false;
}

void identity_fork(struct repl_identity *i, const struct sys *sys, uint64_t position)
{
    char id[REPL_ID_LEN + 1];
    make_id(id, sys);
    identity_fork_to(i, id, position);
}

void identity_fork_to(struct repl_identity *i, const char *id, uint64_t position)
{
    memcpy(i->id2, i->id, sizeof(i->id2));
    i->has_second = true;
    i->second_position = position;
    memcpy(i->id, id, REPL_ID_LEN);
}

void identity_adopt(struct repl_identity *i, const char *id)
{
    memcpy(i->id, id, REPL_ID_LEN);
    i->id[REPL_ID_LEN] = '\0';
    clear_second(i);
}

void identity_share(struct repl_identity *i)
{
    i->is_shared = true;
}

bool identity_shares(const struct repl_identity *i, struct bytes_view id, uint64_t position)
{
    if (id.len != REPL_ID_LEN) return false;
    if (memcmp(id.data, i->id, REPL_ID_LEN) == 0) return true;
    return i->has_second && position <= i->second_position && memcmp(id.data, i->id2, REPL_ID_LEN) == 0;
}

int64_t identity_second_offset(const struct repl_identity *i)
{
    return i->has_second ? (int64_t)i->second_position + 1 : -1;
}

bool identity_is_id(struct bytes_view text)
{
    if (text.len != REPL_ID_LEN) return false;
    for (size_t k = 0; k < text.len; k++) {
        char c = text.data[k];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'))) return false;
    }
    return true;
}
